/* Loading the API document; the essay is in document.h. */
#include "document.h"

#include "digest.h"
#include "err.h"
#include "xalloc.h"

#define MAX_PAGE_BYTES (4 * 1024 * 1024)

static void
make_digest(const char *text, size_t len, char out[DOCUMENT_DIGEST_MAX])
{
	char hex[DIGEST_HEX_MAX];

	digest_buf_hex(text, len, hex);
	snprintf(out, DOCUMENT_DIGEST_MAX, "%.*s", DOCUMENT_DIGEST_MAX - 1,
	    hex);
}

static void
render(const struct json_object *doc, struct document *out,
    struct problems *problems)
{
	struct strbuf page = STRBUF_INIT(MAX_PAGE_BYTES);

	page_write(doc, &page);
	if (strbuf_overflowed(&page))
		problems_add(problems, DOCUMENT_FILE, 0, "the page made from "
		    "it has more than %d bytes", MAX_PAGE_BYTES);
	out->json = json_to_text(doc);
	out->json_len = strlen(out->json);
	out->page_len = page.len;
	out->page = strbuf_detach(&page);
	make_digest(out->json, out->json_len, out->json_digest);
	make_digest(out->page, out->page_len, out->page_digest);
}

enum err_code
document_load(const struct conf *conf, struct problems *problems,
    struct document *out)
{
	char *path = xasprintf("%s/" DOCUMENT_FILE, conf->dir);
	struct yaml_doc *source = NULL;
	struct json_object *doc = NULL;
	struct document made;
	struct err e = ERR_INIT;
	int before = problems->count;

	memset(&made, 0, sizeof(made));
	if (yaml_load(path, &source, &e) != ERR_OK) {
		problems_add(problems, NULL, 0, "%s", e.msg);
		goto out;
	}
	document_check(source, problems);
	/* What is not a document cannot be made a page. */
	if (problems->count > before)
		goto out;
	doc = yaml_to_json(source->root);
	document_fill(doc, conf, path, problems);
	render(doc, &made, problems);
	if (problems->count > before)
		goto out;
	*out = made;
	memset(&made, 0, sizeof(made));
out:
	document_release(&made);
	json_object_put(doc);
	yaml_free(source);
	free(path);
	return problems->count > before ? ERR_CONFIG : ERR_OK;
}

void
document_release(struct document *d)
{
	free(d->json);
	free(d->page);
	memset(d, 0, sizeof(*d));
}
