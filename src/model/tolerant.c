/*
 * A JSON reader that forgives how models write, and never what they say.
 *
 * What it accepts beyond JSON (generation.md 10.2, step 4):
 *
 *   'single quotes'           an apostrophe inside is recognised as one
 *   {key: 1}                  bare keys
 *   [1, 2,] [1,, 2]           too many commas
 *   "a": 1 <line end> "b": 2  a missing one between lines
 *   // and block comments
 *   raw line ends and tabs inside strings
 *   True False None NaN       in any letter case; what is no number is null
 *   {"a": hello world}        plain words up to the comma, bracket or line end
 *
 * The content of a quoted string is never changed, except for what cannot be
 * kept: bytes that are not UTF-8, lone surrogates and NUL become U+FFFD.  An
 * escape that JSON does not know stays as it was written.
 *
 * Valid JSON is read the same way as by a strict reader; a flag tells whether
 * any of the above was needed.  Nesting is limited to JSON_DEPTH_MAX, which is
 * also how deep this file recurses, and every byte is read once.
 */
#include "reading.h"

#include <errno.h>
#include <math.h>

#include "xalloc.h"

#define MAX_VALUES 16384	/* in one tree: json-c takes up to 1 KB for each */
#define NUMBER_KEPT_MAX 24	/* bytes of a decimal that is kept as written */

struct reader {
	const char *text;
	size_t len;
	size_t at;
	int depth;
	int values;		/* read so far */
	bool strict;		/* no tolerance was needed so far */
	bool line_end;		/* the last white space crossed one */
	struct strbuf word;	/* string or word being read */
};

static bool read_value(struct reader *r, struct json_object **out);

/* --- between the tokens -------------------------------------------------- */

/* White space and comments; sets line_end. */
static void
skip(struct reader *r)
{
	bool closed;

	r->line_end = false;
	while (r->at < r->len) {
		switch (r->text[r->at]) {
		case '\n':
			r->line_end = true;
			/* FALLTHROUGH */
		case ' ':
		case '\t':
		case '\r':
			r->at++;
			continue;
		case '\v':
		case '\f':
			r->strict = false;
			r->at++;
			continue;
		}
		if (!comment_starts(r->text, r->len, r->at))
			return;
		r->strict = false;
		r->at = comment_end(r->text, r->len, r->at, &closed);
	}
}

/* The next character, '\0' at the end. */
static char
peek(const struct reader *r)
{
	return r->at < r->len ? r->text[r->at] : '\0';
}

/*
 * What stands between two members: one comma, or with tolerance several, or a
 * line end.  closer ends the container; a comma before it is forgiven.
 * *done is true when the closer was read.
 */
static bool
read_separator(struct reader *r, char closer, bool first, bool *done)
{
	bool line_end = false;
	int commas = 0;

	for (;;) {
		skip(r);
		line_end = line_end || r->line_end;
		if (peek(r) != ',')
			break;
		r->at++;
		commas++;
	}
	*done = peek(r) == closer;
	if (*done) {
		r->at++;
		if (commas > 0)
			r->strict = false;
		return true;
	}
	if (r->at == r->len)
		return false;
	if (first ? commas > 0 : commas != 1)
		r->strict = false;
	return first || commas > 0 || line_end;
}

/* --- strings ------------------------------------------------------------- */

/* Four hexadecimal digits after a \u at `at`; -1 when they are not there. */
static int
hex4(const struct reader *r, size_t at)
{
	int i, value = 0;
	char c;

	if (at + 6 > r->len || r->text[at] != '\\' || r->text[at + 1] != 'u')
		return -1;
	for (i = 2; i < 6; i++) {
		c = r->text[at + (size_t)i];
		if (!isxdigit((unsigned char)c))
			return -1;
		value = value * 16 + (isdigit((unsigned char)c) ? c - '0' :
		    tolower((unsigned char)c) - 'a' + 10);
	}
	return value;
}

static void
add_code_point(struct strbuf *sb, int c)
{
	char u[4];
	size_t n;

	if (c < 0x80) {
		u[0] = (char)c;
		n = 1;
	} else if (c < 0x800) {
		u[0] = (char)(0xc0 | c >> 6);
		n = 2;
	} else if (c < 0x10000) {
		u[0] = (char)(0xe0 | c >> 12);
		n = 3;
	} else {
		u[0] = (char)(0xf0 | c >> 18);
		n = 4;
	}
	if (n > 3)
		u[n - 3] = (char)(0x80 | (c >> 12 & 0x3f));
	if (n > 2)
		u[n - 2] = (char)(0x80 | (c >> 6 & 0x3f));
	if (n > 1)
		u[n - 1] = (char)(0x80 | (c & 0x3f));
	strbuf_add(sb, u, n);
}

/* \uXXXX, or a pair of them that makes one character. */
static void
read_unicode_escape(struct reader *r)
{
	int high, low;

	high = hex4(r, r->at);
	if (high < 0) {
		strbuf_addch(&r->word, '\\');
		r->at++;
		r->strict = false;
		return;
	}
	r->at += 6;
	if (high >= 0xd800 && high <= 0xdbff) {
		low = hex4(r, r->at);
		if (low >= 0xdc00 && low <= 0xdfff) {
			r->at += 6;
			add_code_point(&r->word, 0x10000 +
			    ((high - 0xd800) << 10) + (low - 0xdc00));
			return;
		}
	}
	if (high == 0 || (high >= 0xd800 && high <= 0xdfff)) {
		strbuf_addstr(&r->word, UTF8_REPLACEMENT);
		r->strict = false;
		return;
	}
	add_code_point(&r->word, high);
}

/* The backslash at r->at and what belongs to it. */
static void
read_escape(struct reader *r)
{
	static const char letters[] = "\"\\/bfnrt";
	static const char values[] = "\"\\/\b\f\n\r\t";
	const char *found;
	char c;

	c = r->at + 1 < r->len ? r->text[r->at + 1] : '\0';
	if (c == 'u') {
		read_unicode_escape(r);
		return;
	}
	found = c != '\0' ? strchr(letters, c) : NULL;
	if (found != NULL) {
		strbuf_addch(&r->word, values[found - letters]);
		r->at += 2;
		return;
	}
	r->strict = false;
	r->at++;
	if (c == '\'') {
		strbuf_addch(&r->word, c);
		r->at++;
	} else {
		/* Not an escape: the backslash is one, and what follows it
		 * is read like anything else. */
		strbuf_addch(&r->word, '\\');
	}
}

/* May a run of plain characters go on with c? */
static bool
is_plain(char c, char quote)
{
	return c != quote && c != '\\' && c != '\0' &&
	    (unsigned char)c >= 0x20 && (unsigned char)c < 0x80;
}

/* A control character, one beyond ASCII, or a byte that is neither: how many
 * bytes that was. */
static size_t
read_odd_char(struct reader *r)
{
	const char *s = r->text + r->at;
	size_t n;

	n = utf8_char_len(s, r->len - r->at);
	if (n == 0)
		n = 1;
	if (!utf8_add_clean(&r->word, s, n) || (unsigned char)*s < 0x20)
		r->strict = false;
	return n;
}

static bool
read_string(struct reader *r)
{
	char quote = r->text[r->at];
	size_t n;
	char c;

	strbuf_reset(&r->word);
	if (quote == '\'')
		r->strict = false;
	for (r->at++; r->at < r->len; r->at += n) {
		c = r->text[r->at];
		n = 0;
		while (r->at + n < r->len &&
		    is_plain(r->text[r->at + n], quote))
			n++;
		if (n > 0) {
			strbuf_add(&r->word, r->text + r->at, n);
		} else if (c == quote && (quote == '"' ||
		    single_quote_ends(r->text, r->len, r->at))) {
			r->at++;
			return true;
		} else if (c == '\\') {
			read_escape(r);
		} else {
			n = read_odd_char(r);
		}
	}
	return false;
}

static struct json_object *
new_word(const struct reader *r)
{
	/* json-c counts in int; the buffer's maximum is far below. */
	return json_object_new_string_len(r->word.buf, (int)r->word.len);
}

/* --- words and numbers --------------------------------------------------- */

bool
is_json_number(const char *s, size_t n)
{
	size_t i = 0, from;

	if (i < n && s[i] == '-')
		i++;
	for (from = i; i < n && isdigit((unsigned char)s[i]); i++)
		;
	if (i == from || (s[from] == '0' && i > from + 1))
		return false;
	if (i < n && s[i] == '.') {
		for (from = ++i; i < n && isdigit((unsigned char)s[i]); i++)
			;
		if (i == from)
			return false;
	}
	if (i < n && (s[i] == 'e' || s[i] == 'E')) {
		i++;
		if (i < n && (s[i] == '+' || s[i] == '-'))
			i++;
		for (from = i; i < n && isdigit((unsigned char)s[i]); i++)
			;
		if (i == from)
			return false;
	}
	return i == n;
}

/*
 * The number in r->word.  An integer that no int64 holds becomes a double, a
 * number that no double holds becomes null: JSON has no infinity.
 */
static struct json_object *
new_number(struct reader *r)
{
	const char *s = r->word.buf;
	bool whole = strpbrk(s, ".eE") == NULL;
	long long i;
	double d;

	if (whole) {
		errno = 0;
		i = strtoll(s, NULL, 10);
		if (errno == 0)
			return json_object_new_int64(i);
	}
	d = strtod(s, NULL);
	if (!isfinite(d)) {
		r->strict = false;
		return NULL;
	}
	/* 0.10 stays 0.10; digits without a point would come back cut. */
	if (!whole && r->word.len <= NUMBER_KEPT_MAX)
		return json_object_new_double_s(d, s);
	return json_object_new_double(d);
}

static bool
word_is(const struct reader *r, const char *word)
{
	return strcasecmp(r->word.buf, word) == 0;
}

/* What the unquoted word means. */
static struct json_object *
new_meaning(struct reader *r)
{
	static const char *const nothing[] = {
		"null", "None", "NaN", "undefined", "Infinity", "-Infinity"
	};
	size_t i;

	if (is_json_number(r->word.buf, r->word.len))
		return new_number(r);
	if (strcmp(r->word.buf, "true") == 0)
		return json_object_new_boolean(true);
	if (strcmp(r->word.buf, "false") == 0)
		return json_object_new_boolean(false);
	if (strcmp(r->word.buf, "null") == 0)
		return NULL;
	r->strict = false;
	if (word_is(r, "true"))
		return json_object_new_boolean(true);
	if (word_is(r, "false"))
		return json_object_new_boolean(false);
	for (i = 0; i < ARRAY_LEN(nothing); i++)
		if (word_is(r, nothing[i]))
			return NULL;
	return new_word(r);
}

/* Does the word end before this character? *bad: it cannot be a word. */
static bool
word_ends(const struct reader *r, size_t at, bool *bad)
{
	char c = r->text[at];
	char next = at + 1 < r->len ? r->text[at + 1] : ' ';

	switch (c) {
	case ',':
	case '}':
	case ']':
	case '\n':
	case '\r':
		return true;
	case '{':
	case '[':
	case '"':
		*bad = true;
		return true;
	case ':':	/* 10:30 is a word, "a: b" is a comma gone missing */
		*bad = isspace((unsigned char)next) != 0;
		return *bad;
	case '/':
		return comment_starts(r->text, r->len, at);
	}
	return false;
}

/* Plain words, as far as they go; a number, true or null is one, too. */
static bool
read_word(struct reader *r, struct json_object **out)
{
	size_t from = r->at, i;
	bool bad = false, sound = false;

	strbuf_reset(&r->word);
	while (r->at < r->len && !word_ends(r, r->at, &bad))
		r->at++;
	if (bad)
		return false;
	utf8_add_clean(&r->word, r->text + from, r->at - from);
	strbuf_trim(&r->word);
	for (i = 0; i < r->word.len && !sound; i++)
		sound = isalnum((unsigned char)r->word.buf[i]) ||
		    (unsigned char)r->word.buf[i] >= 0x80;
	if (!sound)
		return false;
	*out = new_meaning(r);
	/* Outside of all brackets a word is prose, not a value. */
	if (r->depth == 0 && json_object_is_type(*out, json_type_string)) {
		json_object_put(*out);
		*out = NULL;
		return false;
	}
	return true;
}

/* --- containers ---------------------------------------------------------- */

static bool
read_array(struct reader *r, struct json_object **out)
{
	struct json_object *array = json_object_new_array();
	struct json_object *item;
	bool first = true, done = false, ok;

	for (r->at++;; first = false) {
		ok = read_separator(r, ']', first, &done);
		if (!ok || done)
			break;
		item = NULL;
		ok = read_value(r, &item);
		if (!ok)
			break;
		json_object_array_add(array, item);
	}
	if (ok)
		*out = array;
	else
		json_object_put(array);
	return ok;
}

static bool
is_key_char(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '$' || c == '-' ||
	    (unsigned char)c >= 0x80;
}

/* A quoted or bare key and its colon; free() *out. */
static bool
read_key(struct reader *r, char **out)
{
	size_t from = r->at;
	char c = peek(r);

	if (c == '"' || c == '\'') {
		if (!read_string(r))
			return false;
	} else {
		if (isdigit((unsigned char)c) || c == '-')
			return false;
		while (is_key_char(peek(r)))
			r->at++;
		if (r->at == from)
			return false;
		r->strict = false;
		strbuf_reset(&r->word);
		utf8_add_clean(&r->word, r->text + from, r->at - from);
	}
	skip(r);
	if (peek(r) != ':')
		return false;
	r->at++;
	*out = xstrndup(r->word.buf, r->word.len);
	return true;
}

static bool
read_member(struct reader *r, struct json_object *object)
{
	struct json_object *value = NULL;
	char *key = NULL;
	bool ok;

	ok = read_key(r, &key) && read_value(r, &value);
	if (ok)
		json_object_object_add(object, key, value);
	free(key);
	return ok;
}

static bool
read_object(struct reader *r, struct json_object **out)
{
	struct json_object *object = json_object_new_object();
	bool first = true, done = false, ok;

	for (r->at++;; first = false) {
		ok = read_separator(r, '}', first, &done);
		if (!ok || done)
			break;
		ok = read_member(r, object);
		if (!ok)
			break;
	}
	if (ok)
		*out = object;
	else
		json_object_put(object);
	return ok;
}

static bool
read_value(struct reader *r, struct json_object **out)
{
	bool ok;

	if (++r->values > MAX_VALUES)
		return false;
	skip(r);
	switch (peek(r)) {
	case '{':
	case '[':
		if (r->depth == JSON_DEPTH_MAX)
			return false;
		r->depth++;
		ok = peek(r) == '{' ? read_object(r, out) : read_array(r, out);
		r->depth--;
		return ok;
	case '"':
	case '\'':
		if (!read_string(r))
			return false;
		*out = new_word(r);
		return true;
	}
	return read_word(r, out);
}

bool
tolerant_read(const char *text, size_t len, size_t *used, bool *strict,
    struct json_object **out)
{
	struct reader r = { text, len, 0, 0, 0, true, false, STRBUF_INIT(0) };
	struct json_object *value = NULL;
	bool ok = false;

	if (len > ANSWER_MAX_BYTES)
		return false;
	/* A replaced byte takes the room of three. */
	strbuf_init(&r.word, len * (sizeof(UTF8_REPLACEMENT) - 1));
	if (read_value(&r, &value)) {
		*used = r.at;
		*strict = r.strict;
		*out = value;
		ok = true;
	}
	strbuf_release(&r.word);
	return ok;
}

struct json_object *
tolerant_parse(const char *text, size_t len, size_t *used)
{
	struct json_object *value = NULL;
	size_t n = 0;
	bool strict;

	tolerant_read(text, len, &n, &strict, &value);
	*used = n;
	return value;
}
