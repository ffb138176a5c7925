/*
 * The HTML page of the API document, between its files.
 *
 *   page.c             the frame: head, contents, overview, chapters
 *   page_operation.c   one operation: parameters, body, example, answers
 *   page_schema.c      types, fields, and the chapter of schemas
 *
 * Named schemas are never written out inside others, they are linked; so a
 * schema may refer to itself.  A document without something that OpenAPI wants
 * gives a page without it: nothing here fails.
 */
#ifndef API_PAGE_H
#define API_PAGE_H

#include <stdbool.h>

#include "html.h"
#include "json.h"

#define PAGE_MAX_DEPTH 8	/* of objects written inside objects */

struct page {
	const struct json_object *doc;
	struct strbuf *out;
};

/* What o refers to, else o itself. */
struct json_object *page_resolve(const struct page *p, struct json_object *o);
/* The last part of a reference; NULL when o is none. */
const char *page_ref_name(const struct json_object *o);
/* A text member of o as Markdown, in which "#" is a heading of that level. */
void page_markdown(struct page *p, const struct json_object *o,
    const char *key, int level);

/* page_schema.c */
void page_type(struct page *p, struct json_object *schema);
/* Description and limits of a value, where it is used. */
void page_meaning(struct page *p, struct json_object *schema);
/* Limits and choices of a schema, as one paragraph; nothing when it has none. */
void page_limits(struct page *p, struct json_object *schema);
/* The members of a schema and, indented, those of unnamed objects in it. */
void page_fields(struct page *p, struct json_object *schema, int depth);
bool page_has_fields(struct page *p, struct json_object *schema);
void page_schemas(struct page *p);

/* page_operation.c */
void page_operation(struct page *p, const char *path, const char *method,
    struct json_object *item, struct json_object *op);

#endif
