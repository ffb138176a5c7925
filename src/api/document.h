/*
 * The API document: conf/openapi.yml, written by us for people and programs,
 * as this server serves it.
 *
 *   openapi.yml --check--> tree with line numbers, references that lead somewhere
 *        |
 *      fill              figures and lists that are settings of this server
 *        |
 *        +--> JSON text  GET /openapi.json
 *        '--> HTML page  GET /docs
 *
 * Both are made once, before any worker exists, and are read-only afterwards:
 * workers share the memory of their parent.
 */
#ifndef API_DOCUMENT_H
#define API_DOCUMENT_H

#include <stddef.h>

#include "conf.h"
#include "json.h"
#include "strbuf.h"
#include "yaml.h"

#define DOCUMENT_FILE "openapi.yml"
#define DOCUMENT_DIGEST_MAX 21	/* hex digits and the NUL */

struct document {
	char *json;		/* compact */
	size_t json_len;
	char json_digest[DOCUMENT_DIGEST_MAX];
	char *page;
	size_t page_len;
	char page_digest[DOCUMENT_DIGEST_MAX];
};

/*
 * Load, check, fill and render.  All faults go to problems, with their lines;
 * ERR_CONFIG when there is any, and *out is untouched.
 */
enum err_code document_load(const struct conf *conf, struct problems *problems,
    struct document *out);
void document_release(struct document *d);

/* document_check.c: is it an OpenAPI 3.1 document as far as the page relies on
 * it? Faults go to problems. */
void document_check(const struct yaml_doc *doc, struct problems *problems);

/*
 * document_fill.c: where a schema says "x-churns-from: {maxLength: NAME}" its
 * maxLength becomes the setting of that name, and with "enum" or "default" the
 * list or text of that name; the file's own values are the defaults. An
 * unknown NAME is a problem of the file at path.
 */
void document_fill(struct json_object *doc, const struct conf *conf,
    const char *path, struct problems *problems);

/* page.c: the whole page. */
void page_write(const struct json_object *doc, struct strbuf *out);

#endif
