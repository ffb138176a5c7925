/*
 * name=value&name=value, of query strings and small bodies.
 *
 * Decoding is strict: a '%' without two hex digits is refused rather than kept,
 * and so is a zero byte, because what comes out is used as C strings and two
 * readings of one request are how checks are got round.
 */
#include "multipart.h"

#include "xalloc.h"

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* What does not fit into out_size with its NUL is refused. */
static bool
decode(const char *text, size_t len, char plus, char *out, size_t out_size,
    size_t *out_len)
{
	size_t i, n = 0;
	int high, low;

	for (i = 0; i < len; i++) {
		char c = text[i];

		if (c == '%') {
			if (len - i < 3)
				return false;
			high = hex_value(text[i + 1]);
			low = hex_value(text[i + 2]);
			if (high < 0 || low < 0)
				return false;
			c = (char)(high * 16 + low);
			i += 2;
		} else if (c == '+') {
			c = plus;
		}
		if (c == '\0' || n + 1 >= out_size)
			return false;
		out[n++] = c;
	}
	out[n] = '\0';
	*out_len = n;
	return true;
}

bool
percent_decode(const char *text, size_t len, char *out, size_t out_size)
{
	size_t n;

	return decode(text, len, '+', out, out_size, &n);
}

/* One name=value, or a name alone, which has an empty value. */
static enum err_code
add_pair(const char *pair, size_t len, struct form *form, struct err *e)
{
	const char *equals = memchr(pair, '=', len);
	size_t name_len = equals != NULL ? (size_t)(equals - pair) : len;
	const char *raw = equals != NULL ? equals + 1 : pair + len;
	char *name = xmalloc(name_len + 1);
	char *value = xmalloc(len + 1);
	enum err_code rc;
	size_t n, m;

	if (!decode(pair, name_len, ' ', name, name_len + 1, &n) ||
	    !decode(raw, (size_t)(pair + len - raw), ' ', value, len + 1, &m))
		rc = err_set(e, ERR_INVALID, "the form or query contains a "
		    "broken %%-escape or a zero byte");
	else if (n > MAX_FIELD_NAME_BYTES)
		rc = err_set(e, ERR_INVALID, "the name of a field is longer "
		    "than %d bytes", MAX_FIELD_NAME_BYTES);
	else if (utf8_length(name, n) < 0)
		rc = err_set(e, ERR_INVALID, "the name of a field is not "
		    "UTF-8 text");
	else
		rc = form_add(form, name, value, m, e);
	free(name);
	free(value);
	return rc;
}

enum err_code
urlencoded_parse(const char *text, size_t len, struct form *form,
    struct err *e)
{
	const char *p = text, *end = text + len, *amp;
	enum err_code rc = ERR_OK;

	while (p < end && rc == ERR_OK) {
		amp = memchr(p, '&', (size_t)(end - p));
		if (amp == NULL)
			amp = end;
		if (amp > p)
			rc = add_pair(p, (size_t)(amp - p), form, e);
		p = amp < end ? amp + 1 : end;
	}
	return rc;
}
