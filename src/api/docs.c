/* The API document: for programs, and as a page for people. */
#include "worker.h"

#include "document.h"

/* The page asks for its style sheet and nothing else, and is in no frame. */
#define PAGE_POLICY "default-src 'none'; style-src 'self'; img-src 'self'; " \
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

static void
answer_text(const struct request *r, struct response *res, const char *type,
    const char *digest, const char *text, size_t len)
{
	if (response_is_known(r, res, "%s", digest))
		return;
	response_header(res, "Content-Type", "%s", type);
	strbuf_add(&res->body, text, len);
}

/* 200 with the document; 304. */
enum err_code
page_openapi(struct worker *w, struct request *r, struct response *res,
    struct err *e)
{
	const struct document *d = w->document;

	(void)e;
	answer_text(r, res, "application/json", d->json_digest, d->json,
	    d->json_len);
	return ERR_OK;
}

/* 200 with the page; 304. */
enum err_code
page_docs(struct worker *w, struct request *r, struct response *res,
    struct err *e)
{
	const struct document *d = w->document;

	(void)e;
	response_header(res, "Content-Security-Policy", "%s", PAGE_POLICY);
	answer_text(r, res, "text/html; charset=utf-8", d->page_digest, d->page,
	    d->page_len);
	return ERR_OK;
}

/* 307 to the page: this address is known from other servers. */
enum err_code
page_redoc(struct worker *w, struct request *r, struct response *res,
    struct err *e)
{
	(void)w;
	(void)r;
	(void)e;
	res->status = 307;
	response_header(res, "Location", "/docs");
	return ERR_OK;
}
