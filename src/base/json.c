/*
 * JSON: a strict way in, forgiving readers, and small writers.  The way out,
 * from object to text, is jsontext.c.
 *
 * json-c is lenient where we must not be (NaN, infinities, comments,
 * control characters in strings, loose UTF-8).  A scan over the tokens comes
 * first and refuses these with their place; the grammar between the tokens
 * is json-c's in its strict mode.
 */
#include "json.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>

#include "clock.h"
#include "file.h"
#include "internal.h"
#include "xalloc.h"

#define NUMBER_TEXT_MAX 400	/* bytes of a number in a text; 1e308 has 309 */
#define KEY_MAX 256		/* of one step of json_at() */
#define NANO_PER_USD 1000000000u
#define MS_PER_S 1000u

/* --- in ------------------------------------------------------------------ */

struct scan {
	const char *text;
	size_t len;
	size_t at;
	int depth;
};

/* Fail naming the place of byte `at` as an editor would. */
static enum err_code
fail_at(const char *text, size_t at, const char *what, struct err *e)
{
	size_t i, line = 1, column = 1;

	for (i = 0; i < at; i++) {
		column++;
		if (text[i] == '\n') {
			line++;
			column = 1;
		}
	}
	return err_set(e, ERR_INVALID, "line %zu column %zu: %s", line, column,
	    what);
}

static enum err_code
scan_string(struct scan *s, struct err *e)
{
	size_t n;

	for (s->at++; s->at < s->len; s->at += n) {
		n = utf8_char_len(s->text + s->at, s->len - s->at);
		if (n == 0)
			return fail_at(s->text, s->at, "not UTF-8", e);
		if (s->text[s->at] == '"') {
			s->at++;
			return ERR_OK;
		}
		if ((unsigned char)s->text[s->at] < 0x20)
			return fail_at(s->text, s->at,
			    "control character in a string", e);
		if (s->text[s->at] == '\\' && s->at + 1 < s->len &&
		    (unsigned char)s->text[s->at + 1] < 0x80)
			n = 2;
	}
	return fail_at(s->text, s->len, "the text ends inside a string", e);
}

static size_t
skip_digits(const char *s, size_t i, size_t n)
{
	while (i < n && isdigit((unsigned char)s[i]))
		i++;
	return i;
}

/* -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)? and nothing else. */
static bool
is_number(const char *s, size_t n)
{
	size_t i = 0, from;

	if (i < n && s[i] == '-')
		i++;
	from = i;
	i = skip_digits(s, i, n);
	if (i == from || (s[from] == '0' && i > from + 1))
		return false;
	if (i < n && s[i] == '.') {
		from = ++i;
		i = skip_digits(s, i, n);
		if (i == from)
			return false;
	}
	if (i < n && (s[i] == 'e' || s[i] == 'E')) {
		i++;
		if (i < n && (s[i] == '+' || s[i] == '-'))
			i++;
		from = i;
		i = skip_digits(s, i, n);
		if (i == from)
			return false;
	}
	return i == n;
}

/* Is the number one a double can hold?  1e999 would be read as infinity. */
static bool
is_finite_number(const char *s, size_t n)
{
	char text[NUMBER_TEXT_MAX + 1];

	memcpy(text, s, n);
	text[n] = '\0';
	return isfinite(strtod(text, NULL));
}

static bool
ends_word(char c)
{
	return c == '\0' || strchr(" \t\r\n,:[]{}\"", c) != NULL;
}

/* A number, true, false or null. */
static enum err_code
scan_word(struct scan *s, struct err *e)
{
	const char *word = s->text + s->at;
	size_t n = 0;

	while (s->at + n < s->len && !ends_word(word[n]))
		n++;
	if ((n == 4 && memcmp(word, "true", 4) == 0) ||
	    (n == 5 && memcmp(word, "false", 5) == 0) ||
	    (n == 4 && memcmp(word, "null", 4) == 0)) {
		s->at += n;
		return ERR_OK;
	}
	if (!is_number(word, n))
		return fail_at(s->text, s->at, "not a JSON value", e);
	if (n > NUMBER_TEXT_MAX)
		return fail_at(s->text, s->at, "number too long", e);
	if (!is_finite_number(word, n))
		return fail_at(s->text, s->at, "number out of range", e);
	s->at += n;
	return ERR_OK;
}

static enum err_code
scan_token(struct scan *s, struct err *e)
{
	switch (s->text[s->at]) {
	case ' ':
	case '\t':
	case '\r':
	case '\n':
	case ',':
	case ':':
		s->at++;
		return ERR_OK;
	case '[':
	case '{':
		if (s->depth == JSON_DEPTH_MAX)
			return fail_at(s->text, s->at, "nested too deep", e);
		s->depth++;
		s->at++;
		return ERR_OK;
	case ']':
	case '}':
		s->depth--;
		s->at++;
		return ERR_OK;
	case '"':
		return scan_string(s, e);
	default:
		return scan_word(s, e);
	}
}

/* Everything json-c is too kind to refuse. */
static enum err_code
scan_text(const char *text, size_t len, struct err *e)
{
	struct scan s = { text, len, 0, 0 };
	enum err_code rc = ERR_OK;

	if (len >= INT_MAX)
		return err_set(e, ERR_INVALID, "text too long for JSON");
	while (s.at < s.len && rc == ERR_OK)
		rc = scan_token(&s, e);
	return rc;
}

enum err_code
json_parse(const char *text, size_t len, struct json_object **out,
    struct err *e)
{
	struct json_tokener *tok = NULL;
	struct json_object *o = NULL;
	enum json_tokener_error why;
	enum err_code rc;
	size_t end;

	rc = scan_text(text, len, e);
	if (rc != ERR_OK)
		return rc;
	/* One level more than containers may nest: a value is one as well. */
	tok = json_tokener_new_ex(JSON_DEPTH_MAX + 1);
	if (tok == NULL)
		abort();
	json_tokener_set_flags(tok,
	    JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(tok, text, (int)len);
	why = json_tokener_get_error(tok);
	end = json_tokener_get_parse_end(tok);
	if (why == json_tokener_continue) {
		/* A bare number goes on until something else comes. */
		o = json_tokener_parse_ex(tok, "", 1);
		why = json_tokener_get_error(tok);
		end = len;
	}
	if (why == json_tokener_success) {
		*out = o;
		o = NULL;
	} else if (why == json_tokener_continue ||
	    why == json_tokener_error_parse_eof ||
	    (end >= len && why != json_tokener_error_depth)) {
		rc = fail_at(text, len, "the text ends too early", e);
	} else {
		rc = fail_at(text, end, json_tokener_error_desc(why), e);
	}
	json_object_put(o);
	json_tokener_free(tok);
	return rc;
}

enum err_code
json_parse_file(const char *path, size_t max, struct json_object **out,
    struct err *e)
{
	struct strbuf text = STRBUF_INIT(max);
	enum err_code rc;

	rc = file_read(path, max, &text, e);
	if (rc != ERR_OK)
		goto out;
	rc = json_parse(text.buf, text.len, out, e);
	if (rc != ERR_OK)
		err_wrap(e, "%s", path);
out:
	strbuf_release(&text);
	return rc;
}

/* --- readers ------------------------------------------------------------- */

struct json_object *
json_get(const struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	if (o == NULL || !json_object_is_type(o, json_type_object))
		return NULL;
	json_object_object_get_ex(o, key, &v);
	return v;
}

static struct json_object *
get_typed(const struct json_object *o, const char *key, enum json_type type)
{
	struct json_object *v;

	v = json_get(o, key);
	return v != NULL && json_object_is_type(v, type) ? v : NULL;
}

const char *
json_get_str(const struct json_object *o, const char *key)
{
	struct json_object *v;

	v = get_typed(o, key, json_type_string);
	return v != NULL ? json_object_get_string(v) : NULL;
}

/* JSON has one kind of number: 5.0 is an integer, 5.5 is not. */
int64_t
json_get_int(const struct json_object *o, const char *key, int64_t dflt)
{
	struct json_object *v;
	double d;

	v = json_get(o, key);
	if (v == NULL)
		return dflt;
	if (json_object_is_type(v, json_type_int)) {
		if (json_object_get_int64(v) == INT64_MAX &&
		    json_object_get_uint64(v) > INT64_MAX)
			return dflt;
		return json_object_get_int64(v);
	}
	if (!json_object_is_type(v, json_type_double))
		return dflt;
	d = json_object_get_double(v);
	if (!isfinite(d) || fabs(d) > JSON_EXACT_MAX || d != trunc(d))
		return dflt;
	return (int64_t)d;
}

double
json_get_num(const struct json_object *o, const char *key, double dflt)
{
	struct json_object *v;

	v = json_get(o, key);
	if (v == NULL || !(json_object_is_type(v, json_type_int) ||
	    json_object_is_type(v, json_type_double)))
		return dflt;
	return json_object_get_double(v);
}

bool
json_get_bool(const struct json_object *o, const char *key, bool dflt)
{
	struct json_object *v;

	v = get_typed(o, key, json_type_boolean);
	return v != NULL ? json_object_get_boolean(v) : dflt;
}

struct json_object *
json_get_arr(const struct json_object *o, const char *key)
{
	return get_typed(o, key, json_type_array);
}

struct json_object *
json_get_obj(const struct json_object *o, const char *key)
{
	return get_typed(o, key, json_type_object);
}

/* The element of an array that a step such as "12" names. */
static struct json_object *
element_at(const struct json_object *array, const char *step)
{
	size_t i = 0;
	const char *p;

	for (p = step; *p != '\0'; p++) {
		if (!isdigit((unsigned char)*p) || p - step > 9)
			return NULL;
		i = i * 10 + (size_t)(*p - '0');
	}
	if (p == step)
		return NULL;
	return json_object_array_get_idx(array, i);
}

struct json_object *
json_at(const struct json_object *o, const char *path)
{
	char step[KEY_MAX];
	const struct json_object *at = o;
	size_t n;

	while (*path != '\0' && at != NULL) {
		n = strcspn(path, "/");
		if (n >= sizeof(step))
			return NULL;
		memcpy(step, path, n);
		step[n] = '\0';
		path += n;
		if (*path == '/')
			path++;
		if (json_object_is_type(at, json_type_array))
			at = element_at(at, step);
		else
			at = json_get(at, step);
	}
	return (struct json_object *)(uintptr_t)at;
}

size_t
json_len(const struct json_object *array)
{
	if (array == NULL || !json_object_is_type(array, json_type_array))
		return 0;
	return json_object_array_length(array);
}

/* json-c hands out a string only from an object it may change. */
const char *
json_string_of(const struct json_object *o, size_t *out_len)
{
	struct json_object *mutable = (struct json_object *)(uintptr_t)o;

	*out_len = (size_t)json_object_get_string_len(o);
	return json_object_get_string(mutable);
}

bool
json_is_blank(const struct json_object *o)
{
	const char *s;
	size_t i, len;

	if (o == NULL)
		return true;
	if (!json_object_is_type(o, json_type_string))
		return false;
	s = json_string_of(o, &len);
	for (i = 0; i < len; i++)
		if (!isspace((unsigned char)s[i]))
			return false;
	return true;
}

/* --- writers ------------------------------------------------------------- */

void
json_put_str(struct json_object *o, const char *key, const char *s)
{
	json_put_obj(o, key, s != NULL ? json_object_new_string(s) : NULL);
}

void
json_put_int(struct json_object *o, const char *key, int64_t v)
{
	json_put_obj(o, key, json_object_new_int64(v));
}

void
json_put_num(struct json_object *o, const char *key, double v)
{
	char text[JSON_NUMBER_MAX];

	if (!isfinite(v)) {
		json_put_null(o, key);
		return;
	}
	json_format_double(text, v);
	json_put_obj(o, key, json_object_new_double_s(v, text));
}

void
json_put_bool(struct json_object *o, const char *key, bool v)
{
	json_put_obj(o, key, json_object_new_boolean(v));
}

void
json_put_obj(struct json_object *o, const char *key, struct json_object *v)
{
	int rc;

	rc = json_object_object_add(o, key, v);
	assert(rc == 0);
	(void)rc;
}

void
json_put_null(struct json_object *o, const char *key)
{
	json_put_obj(o, key, NULL);
}

/* v units of which `per` make one, as a decimal number without a rounding:
 * the text is made from the integer, the double only goes with it. */
static struct json_object *
new_fixed(int64_t v, uint64_t per, int digits)
{
	char text[JSON_NUMBER_MAX];
	uint64_t size;
	size_t n;

	size = v < 0 ? (uint64_t)0 - (uint64_t)v : (uint64_t)v;
	snprintf(text, sizeof(text), "%s%" PRIu64 ".%0*" PRIu64,
	    v < 0 ? "-" : "", size / per, digits, size % per);
	n = strlen(text);
	while (text[n - 1] == '0' && text[n - 2] != '.')
		n--;
	text[n] = '\0';
	return json_object_new_double_s(strtod(text, NULL), text);
}

struct json_object *
json_new_money(int64_t nano_usd)
{
	return new_fixed(nano_usd, NANO_PER_USD, 9);
}

struct json_object *
json_new_seconds(int64_t ms)
{
	return new_fixed(ms, MS_PER_S, 3);
}

struct json_object *
json_new_time(int64_t ms)
{
	char text[CLOCK_TEXT_MAX];

	if (ms == 0)
		return NULL;
	return json_object_new_string(clock_format(ms, text));
}

struct json_object *
json_copy(const struct json_object *o)
{
	struct json_object *mutable = (struct json_object *)(uintptr_t)o;
	struct json_object *copy = NULL;

	if (o == NULL)
		return NULL;
	if (json_object_deep_copy(mutable, &copy, NULL) != 0)
		abort();	/* out of memory: nothing else can fail */
	return copy;
}
