/*
 * JSON text out of an object.
 *
 * It is written here and not by json-c, which keeps every text it made inside
 * the object it made it from and has its own ideas about numbers.  What goes
 * out is always valid JSON: bytes that are not UTF-8 become U+FFFD, numbers
 * that are not finite become null.
 */
#include "json.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>

#include "internal.h"
#include "xalloc.h"

#define TEXT_MAX (SIZE_MAX / 4)	/* the values were capped on their way in */
#define INDENT 2

enum style { COMPACT, PRETTY, CANONICAL };

struct out {
	struct strbuf *sb;
	enum style style;
	int level;		/* of indentation */
};

static void put_value(struct out *w, const struct json_object *o);

static void
put_string(struct out *w, const char *s, size_t len)
{
	strbuf_addch(w->sb, '"');
	strbuf_add_json_escaped(w->sb, s, len);
	strbuf_addch(w->sb, '"');
}

static void
new_line(struct out *w)
{
	if (w->style == PRETTY)
		strbuf_addf(w->sb, "\n%*s", w->level * INDENT, "");
}

static void
put_integer(struct out *w, const struct json_object *o)
{
	int64_t v;

	v = json_object_get_int64(o);
	if (v == INT64_MAX)
		strbuf_addf(w->sb, "%" PRIu64, json_object_get_uint64(o));
	else
		strbuf_addf(w->sb, "%" PRId64, v);
}

/* As it was read or made (0.10 stays 0.10), but for the canonical text. */
static void
put_double(struct out *w, const struct json_object *o)
{
	struct json_object *mutable = (struct json_object *)(uintptr_t)o;
	char text[JSON_NUMBER_MAX];
	const char *made;
	double v;

	v = json_object_get_double(o);
	if (!isfinite(v)) {
		strbuf_addstr(w->sb, "null");
		return;
	}
	made = json_object_get_userdata(mutable);
	if (w->style == CANONICAL && v == trunc(v) &&
	    fabs(v) <= JSON_EXACT_MAX) {
		strbuf_addf(w->sb, "%" PRId64, (int64_t)v);
	} else if (w->style != CANONICAL && made != NULL) {
		strbuf_addstr(w->sb, made);
	} else {
		json_format_double(text, v);
		strbuf_addstr(w->sb, text);
	}
}

static void
put_array(struct out *w, const struct json_object *o)
{
	size_t i, n;

	n = json_object_array_length(o);
	strbuf_addch(w->sb, '[');
	w->level++;
	for (i = 0; i < n; i++) {
		if (i > 0)
			strbuf_addch(w->sb, ',');
		new_line(w);
		put_value(w, json_object_array_get_idx(o, i));
	}
	w->level--;
	if (n > 0)
		new_line(w);
	strbuf_addch(w->sb, ']');
}

static void
put_member(struct out *w, const char *key, const struct json_object *v)
{
	new_line(w);
	put_string(w, key, strlen(key));
	strbuf_addstr(w->sb, w->style == PRETTY ? ": " : ":");
	put_value(w, v);
}

static int
compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The keys of an object, sorted when the style wants that; free() it. */
static const char **
keys_of(const struct out *w, const struct json_object *o, size_t n)
{
	const char **keys;
	size_t i = 0;

	keys = xcalloc(n, sizeof(*keys));
	json_object_object_foreach(o, key, value) {
		(void)value;
		keys[i++] = key;
	}
	assert(i == n);
	if (w->style == CANONICAL)
		qsort(keys, n, sizeof(*keys), compare_keys);
	return keys;
}

static void
put_object(struct out *w, const struct json_object *o)
{
	const char **keys;
	size_t i, n;

	n = (size_t)json_object_object_length(o);
	keys = keys_of(w, o, n);
	strbuf_addch(w->sb, '{');
	w->level++;
	for (i = 0; i < n; i++) {
		if (i > 0)
			strbuf_addch(w->sb, ',');
		put_member(w, keys[i], json_get(o, keys[i]));
	}
	w->level--;
	if (n > 0)
		new_line(w);
	strbuf_addch(w->sb, '}');
	free(keys);
}

static void
put_value(struct out *w, const struct json_object *o)
{
	const char *s;
	size_t len;

	switch (json_object_get_type(o)) {
	case json_type_null:
		strbuf_addstr(w->sb, "null");
		break;
	case json_type_boolean:
		strbuf_addstr(w->sb,
		    json_object_get_boolean(o) ? "true" : "false");
		break;
	case json_type_int:
		put_integer(w, o);
		break;
	case json_type_double:
		put_double(w, o);
		break;
	case json_type_string:
		s = json_string_of(o, &len);
		put_string(w, s, len);
		break;
	case json_type_array:
		put_array(w, o);
		break;
	case json_type_object:
		put_object(w, o);
		break;
	}
}

static char *
to_text(const struct json_object *o, enum style style)
{
	struct strbuf text = STRBUF_INIT(TEXT_MAX);
	struct out w = { &text, style, 0 };

	put_value(&w, o);
	return strbuf_detach(&text);
}

/* The shortest text that reads back as v; it looks like a double, so that
 * it reads back as one. */
void
json_format_double(char out[JSON_NUMBER_MAX], double v)
{
	int digits;

	for (digits = 15; digits <= 17; digits++) {
		snprintf(out, JSON_NUMBER_MAX - 2, "%.*g", digits, v);
		if (strtod(out, NULL) == v)
			break;
	}
	if (strpbrk(out, ".e") == NULL)
		memcpy(out + strlen(out), ".0", 3);
}

char *
json_to_text(const struct json_object *o)
{
	return to_text(o, COMPACT);
}

char *
json_to_pretty_text(const struct json_object *o)
{
	return to_text(o, PRETTY);
}

void
strbuf_add_json(struct strbuf *sb, const struct json_object *o)
{
	struct out w = { sb, COMPACT, 0 };

	put_value(&w, o);
}

char *
json_to_canonical(const struct json_object *o)
{
	return to_text(o, CANONICAL);
}
