/*
 * A sentence out of an object or a list that stands where a text was asked for
 * (generation.md 10.3).
 *
 *   { text_items: [{ type: "headline", text: "SALE" }, "z"], placement: "top" }
 *
 * becomes
 *
 *   Text items: [Headline: "SALE"; z]; Placement: top.
 *
 * Null and empty values are left out, so that no prompt ever holds the word
 * null, and what has nothing in it has no text.
 */
#include "reading.h"

#include "xalloc.h"

#define MAX_FLAT_BYTES (ANSWER_MAX_BYTES * 6)	/* all of it escapes, \u0001 */

static void add_spaced_json(struct strbuf *sb, const struct json_object *v);

bool
is_empty_value(const struct json_object *v)
{
	switch (json_object_get_type(v)) {
	case json_type_null:
		return true;
	case json_type_string:
		return json_is_blank(v);
	case json_type_array:
		return json_object_array_length(v) == 0;
	case json_type_object:
		return json_object_object_length(v) == 0;
	case json_type_boolean:
	case json_type_double:
	case json_type_int:
		return false;
	}
	return false;
}

/* --- JSON with a blank after each comma and colon ------------------------ */

static void
add_json_key(struct strbuf *sb, const char *key)
{
	strbuf_addch(sb, '"');
	strbuf_add_json_escaped(sb, key, strlen(key));
	strbuf_addstr(sb, "\": ");
}

static void
add_spaced_object(struct strbuf *sb, const struct json_object *v)
{
	const char *separator = "";

	strbuf_addch(sb, '{');
	json_object_object_foreach(v, key, value) {
		if (value == NULL)
			continue;
		strbuf_addstr(sb, separator);
		add_json_key(sb, key);
		add_spaced_json(sb, value);
		separator = ", ";
	}
	strbuf_addch(sb, '}');
}

static void
add_spaced_array(struct strbuf *sb, const struct json_object *v)
{
	const char *separator = "";
	struct json_object *item;
	size_t i;

	strbuf_addch(sb, '[');
	for (i = 0; i < json_object_array_length(v); i++) {
		item = json_object_array_get_idx(v, i);
		if (item == NULL)
			continue;
		strbuf_addstr(sb, separator);
		add_spaced_json(sb, item);
		separator = ", ";
	}
	strbuf_addch(sb, ']');
}

/* Recurses as deep as the tree, which its reader limited. */
static void
add_spaced_json(struct strbuf *sb, const struct json_object *v)
{
	if (json_object_is_type(v, json_type_object))
		add_spaced_object(sb, v);
	else if (json_object_is_type(v, json_type_array))
		add_spaced_array(sb, v);
	else
		strbuf_add_json(sb, v);
}

/* --- text ---------------------------------------------------------------- */

void
add_plain_text(struct strbuf *sb, const struct json_object *v)
{
	struct json_object *mutable = (struct json_object *)(uintptr_t)v;

	if (is_empty_value(v))
		return;
	if (json_object_is_type(v, json_type_string))
		strbuf_add(sb, json_object_get_string(mutable),
		    (size_t)json_object_get_string_len(v));
	else
		add_spaced_json(sb, v);
}

/* "text_items" becomes "Text items". */
static void
add_label(struct strbuf *sb, const char *s)
{
	size_t from = sb->len;

	for (; *s != '\0'; s++)
		strbuf_addch(sb, *s == '_' ? ' ' : *s);
	if (sb->len > from)
		sb->buf[from] = (char)toupper((unsigned char)sb->buf[from]);
}

/* { type: "headline", text: "SALE" } becomes Headline: "SALE". */
static void
add_item(struct strbuf *sb, const struct json_object *item)
{
	const char *type = json_get_str(item, "type");
	struct json_object *text = json_get(item, "text");

	if (type == NULL || is_empty_value(text)) {
		add_plain_text(sb, item);
		return;
	}
	add_label(sb, type);
	strbuf_addstr(sb, ": \"");
	add_plain_text(sb, text);
	strbuf_addch(sb, '"');
}

static void
add_list(struct strbuf *sb, const struct json_object *list)
{
	const char *separator = "";
	struct json_object *item;
	size_t i;

	strbuf_addch(sb, '[');
	for (i = 0; i < json_object_array_length(list); i++) {
		item = json_object_array_get_idx(list, i);
		if (is_empty_value(item))
			continue;
		strbuf_addstr(sb, separator);
		add_item(sb, item);
		separator = "; ";
	}
	strbuf_addch(sb, ']');
}

static void
add_pairs(struct strbuf *sb, const struct json_object *object)
{
	const char *separator = "";

	json_object_object_foreach(object, key, value) {
		if (is_empty_value(value))
			continue;
		strbuf_addstr(sb, separator);
		add_label(sb, key);
		strbuf_addstr(sb, ": ");
		if (json_object_is_type(value, json_type_array))
			add_list(sb, value);
		else
			add_plain_text(sb, value);
		separator = "; ";
	}
	if (sb->len > 0 && sb->buf[sb->len - 1] != '.')
		strbuf_addch(sb, '.');
}

char *
flatten_text(const struct json_object *v)
{
	struct strbuf sb = STRBUF_INIT(MAX_FLAT_BYTES);
	char *text = NULL;

	if (json_object_is_type(v, json_type_object))
		add_pairs(&sb, v);
	else if (json_object_is_type(v, json_type_array))
		add_list(&sb, v);
	else
		add_plain_text(&sb, v);
	if (sb.len > 0 && strcmp(sb.buf, "[]") != 0 &&
	    !strbuf_overflowed(&sb))
		text = strbuf_detach(&sb);
	strbuf_release(&sb);
	return text;
}
