/*
 * Schemas for readers: what a value is in a few words, which members an object
 * has, and the chapter in which every named schema is written out once.
 */
#include "page.h"

#include <string.h>

#define SCHEMA_LEVEL 3		/* of the heading of a named schema */
#define MAX_CHOICES 48		/* of an enum shown in a sentence */
#define MEBIBYTE (1024 * 1024)

/* Two keywords that are told together. */
static const struct {
	const char *least, *most, *unit;
} ranges[] = {
	{ "minimum", "maximum", "" },
	{ "minLength", "maxLength", " characters" },
	{ "minItems", "maxItems", " items" },
};

/* A keyword with one value, as it is told. */
static const struct {
	const char *keyword, *before;
} values[] = {
	{ "const", "always" },
	{ "pattern", "matches" },
	{ "default", "default" },
};

/* --- types ---------------------------------------------------------------------------- */

static void
value_code(struct page *p, struct json_object *value)
{
	strbuf_addstr(p->out, "<code>");
	html_text(p->out, json_object_is_type(value, json_type_string) ?
	    json_object_get_string(value) : json_object_to_json_string_ext(
	    value, JSON_C_TO_STRING_NOSLASHESCAPE));
	strbuf_addstr(p->out, "</code>");
}

static void
link_to(struct page *p, const char *name)
{
	char slug[HTML_SLUG_MAX];

	html_slug(name, strlen(name), slug);
	strbuf_addf(p->out, "<a href=\"#schema-%s\">", slug);
	html_text(p->out, name);
	strbuf_addstr(p->out, "</a>");
}

static bool
is_null_schema(const struct json_object *schema)
{
	const char *type = json_get_str(schema, "type");

	return type != NULL && strcmp(type, "null") == 0;
}

/* The name of one JSON type, told with what the schema says about it. */
static void
one_type(struct page *p, struct json_object *schema, const char *type)
{
	const char *format = json_get_str(schema, "format");
	struct json_object *items = json_get_obj(schema, "items");

	if (strcmp(type, "array") == 0 && items != NULL) {
		strbuf_addstr(p->out, "array of ");
		page_type(p, items);
		return;
	}
	if (strcmp(type, "string") == 0 &&
	    json_get_str(schema, "contentMediaType") != NULL) {
		format = json_get_str(schema, "contentMediaType");
		if (strcmp(format, "application/octet-stream") == 0)
			type = "file";
		if (type[0] == 'f')
			format = NULL;
	}
	html_text(p->out, type);
	if (format != NULL && strcmp(type, "string") == 0) {
		strbuf_addstr(p->out, " (");
		html_text(p->out, format);
		strbuf_addch(p->out, ')');
	}
}

static void
joined_types(struct page *p, struct json_object *schema,
    struct json_object *types)
{
	size_t i, n = json_len(types);

	for (i = 0; i < n; i++) {
		if (i > 0)
			strbuf_addstr(p->out, i + 1 == n ? " or " : ", ");
		one_type(p, schema, json_object_get_string(
		    json_object_array_get_idx(types, i)));
	}
}

static void
joined_schemas(struct page *p, struct json_object *list)
{
	size_t i, n = json_len(list);

	for (i = 0; i < n; i++) {
		if (i > 0)
			strbuf_addstr(p->out, i + 1 == n ? " or " : ", ");
		page_type(p, json_object_array_get_idx(list, i));
	}
}

static struct json_object *
alternatives(const struct json_object *schema)
{
	struct json_object *list = json_get_arr(schema, "oneOf");

	return list != NULL ? list : json_get_arr(schema, "anyOf");
}

void
page_type(struct page *p, struct json_object *schema)
{
	const char *name = page_ref_name(schema);
	struct json_object *type = json_get(schema, "type");

	if (name != NULL)
		link_to(p, name);
	else if (alternatives(schema) != NULL)
		joined_schemas(p, alternatives(schema));
	else if (json_object_is_type(type, json_type_array))
		joined_types(p, schema, type);
	else if (type != NULL)
		one_type(p, schema, json_object_get_string(type));
	else if (json_get(schema, "const") != NULL)
		strbuf_addstr(p->out, "constant");
	else if (json_get_arr(schema, "allOf") != NULL)
		strbuf_addstr(p->out, "object");
	else
		strbuf_addstr(p->out, "any value");
}

/* --- limits --------------------------------------------------------------------------- */

static void
begin_limit(struct page *p, bool *any)
{
	strbuf_addstr(p->out, *any ? "; " : "<p class=\"limits\">");
	*any = true;
}

static void
choices(struct page *p, struct json_object *list, bool *any)
{
	size_t i, n = json_len(list), shown;

	if (n == 0)
		return;
	begin_limit(p, any);
	strbuf_addstr(p->out, n == 1 ? "always " : "one of ");
	shown = n > MAX_CHOICES ? MAX_CHOICES : n;
	for (i = 0; i < shown; i++) {
		if (i > 0)
			strbuf_addstr(p->out, ", ");
		value_code(p, json_object_array_get_idx(list, i));
	}
	if (shown < n)
		strbuf_addf(p->out, " and %zu more", n - shown);
}

/* A size in the unit in which settings give it. */
static void
bytes(struct page *p, struct json_object *value)
{
	int64_t n = json_object_get_int64(value);

	if (n > 0 && n % MEBIBYTE == 0)
		strbuf_addf(p->out, "%lld MiB", (long long)(n / MEBIBYTE));
	else
		strbuf_addf(p->out, "%lld bytes", (long long)n);
}

/* "1 to 6", "at most 4000 characters". */
static void
range(struct page *p, struct json_object *least, struct json_object *most,
    const char *unit, bool *any)
{
	/* That there is less than nothing of something needs no denying. */
	if (most == NULL && (least == NULL ||
	    json_object_get_double(least) == 0))
		return;
	begin_limit(p, any);
	if (least != NULL && most != NULL) {
		value_code(p, least);
		strbuf_addstr(p->out, " to ");
		value_code(p, most);
	} else {
		strbuf_addstr(p->out, most != NULL ? "at most " : "at least ");
		value_code(p, most != NULL ? most : least);
	}
	strbuf_addstr(p->out, unit);
}

void
page_limits(struct page *p, struct json_object *schema)
{
	struct json_object *value;
	bool any = false, is_file;
	size_t i;

	is_file = json_get(schema, "maxLength") != NULL && json_get(schema, "contentMediaType") != NULL &&
	    json_get(schema, "contentSchema") == NULL;
	choices(p, json_get_arr(schema, "enum"), &any);
	for (i = 0; i < sizeof(ranges) / sizeof(ranges[0]) && !is_file; i++)
		range(p, json_get(schema, ranges[i].least),
		    json_get(schema, ranges[i].most), ranges[i].unit, &any);
	if (is_file) {
		begin_limit(p, &any);
		strbuf_addstr(p->out, "at most ");
		bytes(p, json_get(schema, "maxLength"));
	}
	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		value = json_get(schema, values[i].keyword);
		if (value == NULL)
			continue;
		begin_limit(p, &any);
		strbuf_addf(p->out, "%s ", values[i].before);
		value_code(p, value);
	}
	if (json_get(schema, "x-churns-from") != NULL) {
		begin_limit(p, &any);
		strbuf_addstr(p->out, "a setting of this server");
	}
	if (any)
		strbuf_addstr(p->out, "</p>\n");
}

/* What is said of a value where it is used; a named one that is no object, such
 * as a list of choices, is said to be what it is, too. */
void
page_meaning(struct page *p, struct json_object *schema)
{
	struct json_object *named = page_resolve(p, schema);
	bool is_ref = page_ref_name(schema) != NULL;

	if (is_ref && page_has_fields(p, schema))
		named = NULL;
	page_markdown(p, is_ref && json_get_str(schema, "description") ==
	    NULL ? named : schema, "description", SCHEMA_LEVEL + 1);
	if (is_ref && named != NULL)
		page_limits(p, named);
	page_limits(p, schema);
}

/* --- fields --------------------------------------------------------------------------- */

/* The unnamed object that a field is, or a list of such, or NULL. */
static struct json_object *
inner_object(struct json_object *schema)
{
	struct json_object *list = alternatives(schema), *one = NULL, *found;
	size_t i;

	if (page_ref_name(schema) != NULL)
		return NULL;
	if (json_get_obj(schema, "properties") != NULL ||
	    json_get_arr(schema, "allOf") != NULL)
		return schema;
	if (json_get_obj(schema, "items") != NULL)
		return inner_object(json_get_obj(schema, "items"));
	for (i = 0; i < json_len(list) && one == NULL; i++) {
		found = json_object_array_get_idx(list, i);
		if (!is_null_schema(found))
			one = inner_object(found);
	}
	return one;
}

static bool
is_required(const struct json_object *schema, const char *name)
{
	struct json_object *list = json_get_arr(schema, "required");
	size_t i;

	for (i = 0; i < json_len(list); i++)
		if (strcmp(json_object_get_string(
		    json_object_array_get_idx(list, i)), name) == 0)
			return true;
	return false;
}

static void
field(struct page *p, struct json_object *owner, const char *name,
    struct json_object *schema, int depth)
{
	struct json_object *inside = inner_object(schema);

	strbuf_addstr(p->out, "<div class=\"field\"><dt><code>");
	html_text(p->out, name);
	strbuf_addstr(p->out, "</code> <span class=\"type\">");
	page_type(p, schema);
	strbuf_addstr(p->out, "</span>");
	/* Where everything is, saying so at each member says nothing. */
	if (is_required(owner, name) && json_len(json_get_arr(owner,
	    "required")) < (size_t)json_object_object_length(json_get_obj(owner,
	    "properties")))
		strbuf_addstr(p->out, " <span class=\"must\">required</span>");
	if (json_get_bool(schema, "deprecated", false))
		strbuf_addstr(p->out, " <span class=\"old\">deprecated</span>");
	strbuf_addstr(p->out, "</dt>\n<dd>");
	page_meaning(p, schema);
	if (inside != NULL && depth < PAGE_MAX_DEPTH)
		page_fields(p, inside, depth + 1);
	strbuf_addstr(p->out, "</dd></div>\n");
}

/* "Everything of Run, and:" for the named parts of an allOf. */
static void
parts(struct page *p, struct json_object *list, int depth)
{
	struct json_object *part;
	size_t i;

	for (i = 0; i < json_len(list); i++) {
		part = json_object_array_get_idx(list, i);
		if (page_ref_name(part) != NULL) {
			strbuf_addstr(p->out, "<p>Everything of ");
			link_to(p, page_ref_name(part));
			strbuf_addstr(p->out, ", and:</p>\n");
		} else {
			page_fields(p, part, depth + 1);
		}
	}
}

bool
page_has_fields(struct page *p, struct json_object *schema)
{
	schema = page_resolve(p, schema);
	return json_get_obj(schema, "properties") != NULL ||
	    json_get_arr(schema, "allOf") != NULL;
}

void
page_fields(struct page *p, struct json_object *schema, int depth)
{
	struct json_object *members = json_get_obj(schema, "properties");

	if (depth < PAGE_MAX_DEPTH)
		parts(p, json_get_arr(schema, "allOf"), depth);
	if (members == NULL)
		return;
	strbuf_addstr(p->out, "<dl class=\"fields\">\n");
	json_object_object_foreach(members, name, one)
		field(p, schema, name, one, depth);
	strbuf_addstr(p->out, "</dl>\n");
}

/* --- the chapter ---------------------------------------------------------------------- */

static void
named_schema(struct page *p, const char *name, struct json_object *schema)
{
	char slug[HTML_SLUG_MAX];

	html_slug(name, strlen(name), slug);
	strbuf_addf(p->out, "<section class=\"schema\" id=\"schema-%s\">\n"
	    "<h3><a href=\"#schema-%s\">", slug, slug);
	html_text(p->out, name);
	strbuf_addstr(p->out, "</a> <span class=\"type\">");
	page_type(p, schema);
	strbuf_addstr(p->out, "</span></h3>\n");
	page_markdown(p, schema, "description", SCHEMA_LEVEL + 1);
	page_limits(p, schema);
	page_fields(p, inner_object(schema), 0);
	strbuf_addstr(p->out, "</section>\n");
}

void
page_schemas(struct page *p)
{
	struct json_object *all = json_at(p->doc, "components/schemas");

	if (all == NULL)
		return;
	json_object_object_foreach(all, name, schema)
		named_schema(p, name, schema);
}
