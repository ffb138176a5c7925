/*
 * What a part of a multipart body says of itself, and which boundary separates
 * the parts: parameters of header values (RFC 2183, 5987, 7578).
 *
 * Nothing in here is taken as meant when it could be meant in two ways: a
 * parameter given twice or cut off in its middle refuses the body.
 */
#include "part.h"

#include <strings.h>

/* --- parameters of header values ---------------------------------------------- */

/* "; name=value" as it stands; value is decoded as far as its quotes go. */
struct param {
	char name[32];
	char value[MAX_FILENAME_BYTES + 1];
	bool too_long;
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static const char *
skip_blanks(const char *p)
{
	while (is_blank(*p))
		p++;
	return p;
}

/*
 * A quoted string, p behind its opening quote; returns what follows the
 * closing one, NULL without it. Only \" and \\ are escapes: browsers send the
 * backslashes of a Windows path as they are.
 */
static const char *
read_quoted(const char *p, struct param *out)
{
	size_t n = 0;

	for (; *p != '"'; p++) {
		if (*p == '\0')
			return NULL;
		if (*p == '\\' && (p[1] == '"' || p[1] == '\\'))
			p++;
		if (n + 1 == sizeof(out->value))
			out->too_long = true;
		else
			out->value[n++] = *p;
	}
	out->value[n] = '\0';
	return p + 1;
}

static const char *
read_token(const char *p, struct param *out)
{
	size_t len = strcspn(p, "; \t\"");

	out->too_long = len >= sizeof(out->value);
	snprintf(out->value, sizeof(out->value), "%.*s", (int)len, p);
	return p + len;
}

/*
 * The next "; name=value" of *at, which is behind a value or an earlier one.
 * False at the end, with *at NULL when what is there is not a parameter.
 */
static bool
next_param(const char **at, struct param *out)
{
	const char *p = skip_blanks(*at);
	size_t len;

	*at = p;
	if (*p == '\0')
		return false;
	*at = NULL;
	if (*p != ';')
		return false;
	while (*p == ';')
		p = skip_blanks(p + 1);
	if (*p == '\0') {
		*at = p;
		return false;
	}
	len = strcspn(p, "=; \t\"");
	if (len == 0 || p[len] != '=')
		return false;
	/* No name that we know is longer, so a cut one stays unknown. */
	snprintf(out->name, sizeof(out->name), "%.*s", (int)len, p);
	out->too_long = false;
	p += len + 1;
	p = *p == '"' ? read_quoted(p + 1, out) : read_token(p, out);
	*at = p;
	return p != NULL;
}

/* The value of a header up to its parameters, equal to wanted? */
static bool
value_is(const char *value, const char *wanted, const char **params)
{
	size_t len = strcspn(value, "; \t");

	*params = value + len;
	return len == strlen(wanted) && strncasecmp(value, wanted, len) == 0;
}

/* --- the boundary --------------------------------------------------------------- */

static bool
is_usable_boundary(const char *s)
{
	size_t i, len = strlen(s);

	if (len == 0 || len > MAX_BOUNDARY_BYTES || s[len - 1] == ' ')
		return false;
	for (i = 0; i < len; i++)
		if (s[i] < ' ' || s[i] > '~')
			return false;
	return true;
}

enum err_code
part_boundary(const char *content_type, char out[MAX_BOUNDARY_BYTES + 1],
    struct err *e)
{
	const char *p;
	struct param param;
	int found = 0;

	if (!value_is(content_type, "multipart/form-data", &p))
		return err_set(e, ERR_INVALID, "the body is not "
		    "multipart/form-data");
	while (next_param(&p, &param)) {
		if (strcasecmp(param.name, "boundary") != 0)
			continue;
		found++;
		if (param.too_long || !is_usable_boundary(param.value))
			return err_set(e, ERR_INVALID, "the boundary of the "
			    "multipart body is empty, longer than %d "
			    "characters, or has characters that it may not",
			    MAX_BOUNDARY_BYTES);
		memcpy(out, param.value, strlen(param.value) + 1);
	}
	if (p == NULL || found != 1)
		return err_set(e, ERR_INVALID, "the Content-Type of the "
		    "multipart body does not name its boundary");
	return ERR_OK;
}

/* --- the headers of a part ------------------------------------------------------- */

/* Latin-1 as UTF-8; false when it does not fit. */
static bool
from_latin1(const char *s, char *out, size_t out_size)
{
	size_t n = 0;

	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (n + 3 > out_size)
			return false;
		if (c >= 0x80) {
			out[n++] = (char)(0xc0 | c >> 6);
			out[n++] = (char)(0x80 | (c & 0x3f));
		} else {
			out[n++] = (char)c;
		}
	}
	out[n] = '\0';
	return true;
}

/* charset'language'percent-encoded (RFC 5987); false when it is not that. A
 * charset that we do not know leaves the plain name standing. */
static bool
read_extended(const char *value, struct part_head *h)
{
	char decoded[MAX_FILENAME_BYTES + 1];
	const char *first = strchr(value, '\''), *second;
	size_t charset;

	second = first != NULL ? strchr(first + 1, '\'') : NULL;
	if (second == NULL || !percent_decode(second + 1, strlen(second + 1),
	    decoded, sizeof(decoded)))
		return false;
	charset = (size_t)(first - value);
	if (charset == 5 && strncasecmp(value, "UTF-8", charset) == 0)
		snprintf(h->filename, sizeof(h->filename), "%s", decoded);
	else if (charset == 10 &&
	    strncasecmp(value, "ISO-8859-1", charset) == 0)
		return from_latin1(decoded, h->filename, sizeof(h->filename));
	return true;
}

static enum err_code
take_param(const struct param *param, struct part_head *h, struct err *e)
{
	bool ok = true;

	if (strcasecmp(param->name, "name") == 0) {
		ok = !h->has_name && !param->too_long &&
		    strlen(param->value) < sizeof(h->name);
		h->has_name = true;
		if (ok)
			memcpy(h->name, param->value, strlen(param->value) + 1);
	} else if (strcasecmp(param->name, "filename") == 0) {
		ok = !h->has_filename && !param->too_long;
		h->has_filename = true;
		if (ok && h->filename[0] == '\0')
			memcpy(h->filename, param->value,
			    strlen(param->value) + 1);
	} else if (strcasecmp(param->name, "filename*") == 0) {
		/* It says the name better than its plain sibling. */
		ok = !h->has_extended && !param->too_long &&
		    read_extended(param->value, h);
		h->has_extended = true;
	}
	if (!ok)
		return err_set(e, ERR_INVALID, "a part of the multipart body "
		    "has a %s that is given twice, too long or broken",
		    param->name);
	return ERR_OK;
}

static enum err_code
read_disposition(const char *value, struct part_head *h, struct err *e)
{
	struct param param;
	enum err_code rc = ERR_OK;
	const char *p;

	if (h->has_disposition || !value_is(value, "form-data", &p))
		return err_set(e, ERR_INVALID, "a part of the multipart body "
		    "has a wrong Content-Disposition");
	h->has_disposition = true;
	while (rc == ERR_OK && next_param(&p, &param))
		rc = take_param(&param, h, e);
	if (rc == ERR_OK && p == NULL)
		rc = err_set(e, ERR_INVALID, "a part of the multipart body "
		    "has a broken Content-Disposition");
	return rc;
}

static bool
is_plain_encoding(const char *value)
{
	return strcasecmp(value, "7bit") == 0 ||
	    strcasecmp(value, "8bit") == 0 || strcasecmp(value, "binary") == 0;
}

/* One line "Name: value" without its CRLF. */
static enum err_code
read_header(char *line, struct part_head *h, struct err *e)
{
	char *colon = strchr(line, ':');
	const char *value;

	if (colon == NULL || colon == line)
		return err_set(e, ERR_INVALID, "a part of the multipart body "
		    "has a header line without a name");
	*colon = '\0';
	value = skip_blanks(colon + 1);
	if (strcasecmp(line, "Content-Disposition") == 0)
		return read_disposition(value, h, e);
	if (strcasecmp(line, "Content-Type") == 0)
		snprintf(h->content_type, sizeof(h->content_type), "%s",
		    value);
	else if (strcasecmp(line, "Content-Transfer-Encoding") == 0 &&
	    !is_plain_encoding(value))
		return err_set(e, ERR_INVALID, "a part of the multipart body "
		    "has a Content-Transfer-Encoding; send it as it is");
	return ERR_OK;
}

/* Fold continued lines into one and cut the block into lines. */
static enum err_code
read_lines(char *block, struct part_head *h, struct err *e)
{
	enum err_code rc = ERR_OK;
	char *line = block, *p = block, *end;

	while (rc == ERR_OK && *line != '\r') {
		end = strstr(p, "\r\n");
		if (end == NULL)
			break;
		if (is_blank(end[2])) {
			end[0] = ' ';
			end[1] = ' ';
			p = end;
			continue;
		}
		*end = '\0';
		if (strpbrk(line, "\r\n") != NULL)
			rc = err_set(e, ERR_INVALID, "a header of the "
			    "multipart body contains a line break");
		else
			rc = read_header(line, h, e);
		line = end + 2;
		p = line;
	}
	return rc;
}

/* The name ends up in answers and rows: nothing that could not be shown. */
static void
make_showable(char *s)
{
	for (; *s != '\0'; s++)
		if (iscntrl((unsigned char)*s))
			*s = '_';
}

enum err_code
part_read(char *block, size_t len, struct part_head *out, struct err *e)
{
	struct part_head h;
	enum err_code rc;

	memset(&h, 0, sizeof(h));
	if (strlen(block) != len)
		return err_set(e, ERR_INVALID, "a header of the multipart "
		    "body contains a zero byte");
	rc = read_lines(block, &h, e);
	if (rc != ERR_OK)
		return rc;
	if (!h.has_name)
		return err_set(e, ERR_INVALID, "a part of the multipart body "
		    "has no name");
	if (utf8_length(h.name, strlen(h.name)) < 0)
		return err_set(e, ERR_INVALID, "the name of a field is not "
		    "UTF-8 text");
	make_showable(h.name);
	make_showable(h.filename);
	make_showable(h.content_type);
	*out = h;
	return ERR_OK;
}
