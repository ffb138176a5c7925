/*
 * The page of the API document: one long page with a table of contents, without
 * scripts, so that it can be searched, printed and read with anything.
 *
 * Its looks are in docs.css, which the web server sends from the same place as
 * the page for people; no style and no script stands in the page, so that the
 * strictest policy for contents can be sent with it.
 */
#include "page.h"

#include <string.h>

#include "document.h"

#define CHAPTER_LEVEL 2
#define REF_PREFIX "#/"
#define MAX_HOPS 8

static const char *const methods[] = { "get", "post", "put", "patch",
	"delete" };

static const char head[] =
"<!doctype html>\n"
"<html lang=\"en\">\n"
"<head>\n"
"<meta charset=\"utf-8\">\n"
"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
"<meta name=\"color-scheme\" content=\"light dark\">\n"
"<link rel=\"stylesheet\" href=\"docs.css\">\n"
"<title>";

/* --- for all files of the page --------------------------------------------------------- */

struct json_object *
page_resolve(const struct page *p, struct json_object *o)
{
	const char *ref;
	int hops;

	for (hops = 0; hops < MAX_HOPS; hops++) {
		ref = json_get_str(o, "$ref");
		if (ref == NULL)
			return o;
		if (strncmp(ref, REF_PREFIX, strlen(REF_PREFIX)) != 0)
			return NULL;
		o = json_at(p->doc, ref + strlen(REF_PREFIX));
	}
	return NULL;
}

const char *
page_ref_name(const struct json_object *o)
{
	const char *ref = json_get_str(o, "$ref"), *slash;

	if (ref == NULL)
		return NULL;
	slash = strrchr(ref, '/');
	return slash != NULL ? slash + 1 : ref;
}

void
page_markdown(struct page *p, const struct json_object *o, const char *key,
    int level)
{
	html_markdown(p->out, json_get_str(o, key), level);
}

/* --- walking --------------------------------------------------------------------------- */

static bool
is_method(const char *key)
{
	size_t i;

	for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (strcmp(key, methods[i]) == 0)
			return true;
	return false;
}

static bool
is_of_tag(const struct json_object *op, const char *tag)
{
	struct json_object *tags = json_get_arr(op, "tags");

	return json_len(tags) > 0 && strcmp(json_object_get_string(
	    json_object_array_get_idx(tags, 0)), tag) == 0;
}

/* Call fn for each operation of a chapter, in the order of the document. */
static void
each_operation(struct page *p, const char *tag,
    void (*fn)(struct page *p, const char *path, const char *method,
    struct json_object *item, struct json_object *op))
{
	struct json_object *paths = json_get_obj(p->doc, "paths");

	if (paths == NULL)
		return;
	json_object_object_foreach(paths, path, item) {
		if (!json_object_is_type(item, json_type_object))
			continue;
		json_object_object_foreach(item, key, op)
			if (is_method(key) && is_of_tag(op, tag))
				fn(p, path, key, item, op);
	}
}

/* --- contents -------------------------------------------------------------------------- */

static void
contents_operation(struct page *p, const char *path, const char *method,
    struct json_object *item, struct json_object *op)
{
	const char *summary = json_get_str(op, "summary");

	(void)item;
	strbuf_addstr(p->out, "<li><a href=\"#op-");
	html_text(p->out, json_get_str(op, "operationId"));
	strbuf_addf(p->out, "\"><span class=\"verb %s\">%s</span> ", method,
	    method);
	html_text(p->out, summary != NULL ? summary : path);
	strbuf_addstr(p->out, "</a></li>\n");
}

static void
contents_overview(struct page *p)
{
	const char *at = json_get_str(json_get_obj(p->doc, "info"),
	    "description"), *text;
	char slug[HTML_SLUG_MAX];
	size_t len;

	strbuf_addstr(p->out, "<ul>\n");
	while (at != NULL) {
		text = html_next_heading(&at, &len);
		if (text == NULL)
			break;
		html_slug(text, len, slug);
		strbuf_addf(p->out, "<li><a href=\"#%s\">", slug);
		html_inline(p->out, text, len);
		strbuf_addstr(p->out, "</a></li>\n");
	}
	strbuf_addstr(p->out, "</ul>\n");
}

static void
contents(struct page *p)
{
	struct json_object *tags = json_get_arr(p->doc, "tags");
	const char *tag;
	size_t i;

	contents_overview(p);
	for (i = 0; i < json_len(tags); i++) {
		tag = json_get_str(json_object_array_get_idx(tags, i), "name");
		strbuf_addstr(p->out, "<p><a href=\"#tag-");
		html_text(p->out, tag);
		strbuf_addstr(p->out, "\">");
		html_text(p->out, tag);
		strbuf_addstr(p->out, "</a></p>\n<ul>\n");
		each_operation(p, tag, contents_operation);
		strbuf_addstr(p->out, "</ul>\n");
	}
	strbuf_addstr(p->out, "<p><a href=\"#schemas\">schemas</a></p>\n");
}

/* Twice: beside the text on a wide screen, folded above it on a narrow one. The
 * style sheet shows one of them, to everybody. */
static void
both_contents(struct page *p)
{
	strbuf_addstr(p->out, "<nav class=\"narrow\" aria-label=\"Contents\">"
	    "<details><summary>Contents</summary>\n");
	contents(p);
	strbuf_addstr(p->out, "</details></nav>\n"
	    "<nav class=\"broad\" aria-label=\"Contents\" tabindex=\"0\">\n");
	contents(p);
	strbuf_addstr(p->out, "</nav>\n");
}

/* --- the frame ------------------------------------------------------------------------- */

static void
chapters(struct page *p)
{
	struct json_object *tags = json_get_arr(p->doc, "tags"), *one;
	const char *tag;
	size_t i;

	for (i = 0; i < json_len(tags); i++) {
		one = json_object_array_get_idx(tags, i);
		tag = json_get_str(one, "name");
		strbuf_addstr(p->out, "<h2 id=\"tag-");
		html_text(p->out, tag);
		strbuf_addstr(p->out, "\">");
		html_text(p->out, json_get_str(one, "x-title") != NULL ?
		    json_get_str(one, "x-title") : tag);
		strbuf_addstr(p->out, "</h2>\n");
		page_markdown(p, one, "description", CHAPTER_LEVEL + 1);
		each_operation(p, tag, page_operation);
	}
	strbuf_addstr(p->out, "<h2 id=\"schemas\">Schemas</h2>\n");
	page_schemas(p);
}

void
page_write(const struct json_object *doc, struct strbuf *out)
{
	struct page p = { doc, out };
	const struct json_object *info = json_get_obj(doc, "info");

	strbuf_addstr(out, head);
	html_text(out, json_get_str(info, "title"));
	strbuf_addstr(out, "</title>\n</head>\n<body>\n"
	    "<a class=\"skip\" href=\"#content\">Skip to the text</a>\n"
	    "<header><h1>");
	html_text(out, json_get_str(info, "title"));
	strbuf_addstr(out, " <span class=\"version\">");
	html_text(out, json_get_str(info, "version"));
	strbuf_addstr(out, "</span></h1>\n<p>");
	html_text(out, json_get_str(info, "summary"));
	strbuf_addstr(out, " <a href=\"openapi.json\">OpenAPI document</a>"
	    "</p></header>\n");
	both_contents(&p);
	strbuf_addstr(out, "<main id=\"content\">\n");
	page_markdown(&p, info, "description", CHAPTER_LEVEL);
	chapters(&p);
	strbuf_addstr(out, "</main>\n</body>\n</html>\n");
}
