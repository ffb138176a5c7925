/*
 * One operation, in the order in which a reader asks: what is it, what do I
 * send, show me, what comes back.
 */
#include "page.h"

#include <string.h>

#define OPERATION_LEVEL 3	/* of its heading */
#define PART_LEVEL 4
#define SUCCESS_BELOW "4"	/* answers from 400 on are refusals */

/* --- what is sent --------------------------------------------------------------------- */

static void
parameter(struct page *p, struct json_object *o)
{
	struct json_object *schema = json_get_obj(o, "schema");

	strbuf_addstr(p->out, "<div class=\"field\"><dt><code>");
	html_text(p->out, json_get_str(o, "name"));
	strbuf_addstr(p->out, "</code> <span class=\"type\">");
	page_type(p, schema);
	strbuf_addstr(p->out, "</span> <span class=\"in\">in ");
	html_text(p->out, json_get_str(o, "in"));
	strbuf_addstr(p->out, "</span>");
	if (json_get_bool(o, "required", false))
		strbuf_addstr(p->out, " <span class=\"must\">required</span>");
	strbuf_addstr(p->out, "</dt>\n<dd>");
	page_markdown(p, o, "description", PART_LEVEL + 1);
	page_meaning(p, schema);
	strbuf_addstr(p->out, "</dd></div>\n");
}

static void
parameters(struct page *p, struct json_object *of_path,
    struct json_object *own)
{
	size_t i;

	if (json_len(of_path) + json_len(own) == 0)
		return;
	strbuf_addstr(p->out, "<h4>Parameters</h4>\n<dl class=\"fields\">\n");
	for (i = 0; i < json_len(of_path); i++)
		parameter(p, page_resolve(p,
		    json_object_array_get_idx(of_path, i)));
	for (i = 0; i < json_len(own); i++)
		parameter(p, page_resolve(p, json_object_array_get_idx(own,
		    i)));
	strbuf_addstr(p->out, "</dl>\n");
}

/* --- examples -------------------------------------------------------------------------- */

static void
code(struct page *p, const char *text)
{
	strbuf_addstr(p->out, "<pre tabindex=\"0\"><code>");
	html_text(p->out, text);
	strbuf_addstr(p->out, "</code></pre>\n");
}

static void
example(struct page *p, const char *title, struct json_object *value)
{
	char *pretty = NULL;

	if (value == NULL)
		return;
	if (title != NULL) {
		strbuf_addstr(p->out, "<p class=\"caption\">");
		html_text(p->out, title);
		strbuf_addstr(p->out, "</p>\n");
	}
	if (json_object_is_type(value, json_type_string)) {
		code(p, json_object_get_string(value));
		return;
	}
	pretty = json_to_pretty_text(value);
	code(p, pretty);
	free(pretty);
}

static void
examples(struct page *p, struct json_object *media)
{
	struct json_object *all = json_get_obj(media, "examples"), *one;
	const char *summary;

	example(p, NULL, json_get(media, "example"));
	if (all == NULL)
		return;
	json_object_object_foreach(all, name, entry) {
		one = page_resolve(p, entry);
		summary = json_get_str(one, "summary");
		example(p, summary != NULL ? summary : name,
		    json_get(one, "value"));
	}
}

static void
samples(struct page *p, const struct json_object *op)
{
	struct json_object *list = json_get_arr(op, "x-codeSamples"), *one;
	const char *label;
	size_t i;

	if (json_len(list) == 0)
		return;
	strbuf_addstr(p->out, "<h4>Try it</h4>\n");
	for (i = 0; i < json_len(list); i++) {
		one = json_object_array_get_idx(list, i);
		label = json_get_str(one, "label");
		if (label != NULL) {
			strbuf_addstr(p->out, "<p class=\"caption\">");
			html_inline(p->out, label, strlen(label));
			strbuf_addstr(p->out, "</p>\n");
		}
		code(p, json_get_str(one, "source"));
	}
}

/* --- bodies ---------------------------------------------------------------------------- */

/* The members of a named schema, at hand but out of the way. */
static void
folded_fields(struct page *p, struct json_object *schema)
{
	const char *name = page_ref_name(schema);

	if (!page_has_fields(p, schema))
		return;
	if (name == NULL) {
		page_fields(p, schema, 0);
		return;
	}
	strbuf_addstr(p->out, "<details><summary>Members of ");
	html_text(p->out, name);
	strbuf_addstr(p->out, "</summary>\n");
	page_fields(p, page_resolve(p, schema), 0);
	strbuf_addstr(p->out, "</details>\n");
}

/* What has to be sent is what a reader came for. */
static void
open_fields(struct page *p, struct json_object *schema)
{
	page_fields(p, page_resolve(p, schema), 0);
}

static bool
same_schema(struct json_object *a, struct json_object *b)
{
	return a != NULL && b != NULL && json_object_equal(a, b) == 1;
}

/* Media types with one line for each schema: two that share it share the line. */
static void
content(struct page *p, struct json_object *types)
{
	struct json_object *schema, *item, *last = NULL;
	bool open = false;

	json_object_object_foreach(types, type, media) {
		schema = json_get_obj(media, "schema");
		item = json_get_obj(media, "x-item-schema");
		if (open && same_schema(schema, last)) {
			strbuf_addstr(p->out, " or ");
		} else {
			if (open)
				strbuf_addstr(p->out, "</p>\n");
			strbuf_addstr(p->out, "<p class=\"media\">");
			if (item != NULL) {
				strbuf_addstr(p->out, "A stream of ");
				page_type(p, item);
				strbuf_addstr(p->out, " as ");
			} else if (schema != NULL) {
				page_type(p, schema);
				strbuf_addstr(p->out, " as ");
			}
		}
		strbuf_addstr(p->out, "<code>");
		html_text(p->out, type);
		strbuf_addstr(p->out, "</code>");
		open = true;
		last = schema;
	}
	if (open)
		strbuf_addstr(p->out, "</p>\n");
}

/* Every schema's members once, those of the first as the caller wants them and
 * of others folded; and the examples of every media type. */
static void
content_details(struct page *p, struct json_object *types,
    void (*members)(struct page *p, struct json_object *schema))
{
	struct json_object *schema, *last = NULL;

	json_object_object_foreach(types, type, media) {
		(void)type;
		schema = json_get_obj(media, "schema");
		if (schema != NULL && !same_schema(schema, last))
			(last == NULL ? members : folded_fields)(p, schema);
		last = schema;
		examples(p, media);
	}
}

static void
request_body(struct page *p, struct json_object *body)
{
	struct json_object *types = json_get_obj(body, "content");

	if (types == NULL)
		return;
	strbuf_addstr(p->out, "<h4>Body</h4>\n");
	page_markdown(p, body, "description", PART_LEVEL + 1);
	content(p, types);
	content_details(p, types, open_fields);
}

/* --- answers --------------------------------------------------------------------------- */

static void
headers(struct page *p, struct json_object *all)
{
	struct json_object *one;
	bool any = false;

	if (all == NULL)
		return;
	json_object_object_foreach(all, name, entry) {
		one = page_resolve(p, entry);
		/* What every answer has is said once, in the overview. */
		if (json_get_bool(one, "x-everywhere", false))
			continue;
		if (!any)
			strbuf_addstr(p->out, "<dl class=\"headers\">\n");
		any = true;
		strbuf_addstr(p->out, "<div><dt><code>");
		html_text(p->out, name);
		strbuf_addstr(p->out, "</code></dt><dd>");
		page_markdown(p, one, "description", PART_LEVEL + 1);
		strbuf_addstr(p->out, "</dd></div>\n");
	}
	if (any)
		strbuf_addstr(p->out, "</dl>\n");
}

/* Refusals are much alike: their example is there for who asks. */
static void
folded_examples(struct page *p, struct json_object *types)
{
	json_object_object_foreach(types, type, media) {
		(void)type;
		if (json_get(media, "example") == NULL &&
		    json_get(media, "examples") == NULL)
			continue;
		strbuf_addstr(p->out, "<details><summary>Example</summary>\n");
		examples(p, media);
		strbuf_addstr(p->out, "</details>\n");
	}
}

static void
answer(struct page *p, const char *status, struct json_object *o)
{
	struct json_object *types = json_get_obj(o, "content");
	bool good = strcmp(status, SUCCESS_BELOW) < 0;

	strbuf_addf(p->out, "<div class=\"answer %s\"><dt><span "
	    "class=\"status\">", good ? "good" : "bad");
	html_text(p->out, status);
	strbuf_addstr(p->out, "</span></dt>\n<dd>");
	page_markdown(p, o, "description", PART_LEVEL + 1);
	if (types != NULL)
		content(p, types);
	headers(p, json_get_obj(o, "headers"));
	if (types != NULL && good)
		content_details(p, types, folded_fields);
	else if (types != NULL)
		folded_examples(p, types);
	strbuf_addstr(p->out, "</dd></div>\n");
}

static void
answers(struct page *p, struct json_object *all)
{
	if (all == NULL)
		return;
	strbuf_addstr(p->out, "<h4>Answers</h4>\n<dl class=\"answers\">\n");
	json_object_object_foreach(all, status, entry)
		answer(p, status, page_resolve(p, entry));
	strbuf_addstr(p->out, "</dl>\n");
}

/* --- the whole ------------------------------------------------------------------------- */

static void
heading(struct page *p, const char *path, const char *method,
    const struct json_object *op)
{
	const char *id = json_get_str(op, "operationId");
	const char *summary = json_get_str(op, "summary");
	const char *by = json_get_str(op, "x-served-by");

	strbuf_addstr(p->out, "<section class=\"operation\" id=\"op-");
	html_text(p->out, id);
	strbuf_addstr(p->out, "\">\n<h3><a href=\"#op-");
	html_text(p->out, id);
	strbuf_addstr(p->out, "\">");
	html_text(p->out, summary != NULL ? summary : id);
	strbuf_addf(p->out, "</a></h3>\n<p class=\"endpoint\"><span "
	    "class=\"verb %s\">%s</span> <code>", method, method);
	html_text(p->out, path);
	strbuf_addstr(p->out, "</code></p>\n");
	if (by != NULL) {
		strbuf_addstr(p->out, "<p class=\"by\">Answered by <code>");
		html_text(p->out, by);
		strbuf_addstr(p->out, "</code>.</p>\n");
	}
}

void
page_operation(struct page *p, const char *path, const char *method,
    struct json_object *item, struct json_object *op)
{
	heading(p, path, method, op);
	page_markdown(p, op, "description", OPERATION_LEVEL + 1);
	parameters(p, json_get_arr(item, "parameters"),
	    json_get_arr(op, "parameters"));
	request_body(p, page_resolve(p, json_get_obj(op, "requestBody")));
	samples(p, op);
	answers(p, json_get_obj(op, "responses"));
	strbuf_addstr(p->out, "</section>\n");
}
