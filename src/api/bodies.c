/*
 * The body of a POST, whatever its shape, as a form.
 *
 * A body is read as it arrives and never as a whole: what is long in it goes to
 * files of the uploads directory, so that a worker stays as small as it is
 * whatever it is sent.  Whoever releases the form removes those files.
 */
#include "worker.h"

#include <strings.h>

#include "multipart.h"
#include "xalloc.h"

#define BODY_CHUNK 65536

/* The next bytes, as body_reader has it. */
static int
read_some(struct request *r, char *chunk)
{
	int n = r->read_body(r->read_arg, chunk, BODY_CHUNK);

	if (n > 0)
		r->body_bytes += n;
	return n;
}

static enum err_code
body_ended(const struct request *r, int last, struct err *e)
{
	if (last < 0 || (r->content_length >= 0 &&
	    r->body_bytes != r->content_length))
		return err_set(e, ERR_INVALID, "the body ended after %lld "
		    "bytes, before it was complete",
		    (long long)r->body_bytes);
	return ERR_OK;
}

static enum err_code
too_large(const struct worker *w, int64_t n, struct err *e)
{
	int64_t max = w->svc->conf->settings.api_max_body_bytes;

	if (n <= max)
		return ERR_OK;
	return err_set(e, ERR_TOO_LARGE, "the body is larger than %lld bytes",
	    (long long)max);
}

static enum err_code
read_multipart(struct worker *w, struct request *r, struct form *form,
    struct err *e)
{
	struct multipart *m = NULL;
	char *chunk = xmalloc(BODY_CHUNK);
	enum err_code rc;
	int n = 0;

	rc = multipart_new(r->content_type, form, &m, e);
	while (rc == ERR_OK) {
		n = read_some(r, chunk);
		if (n <= 0)
			break;
		rc = too_large(w, r->body_bytes, e);
		if (rc == ERR_OK)
			rc = multipart_feed(m, chunk, (size_t)n, e);
	}
	if (rc == ERR_OK)
		rc = body_ended(r, n, e);
	if (rc == ERR_OK)
		rc = multipart_end(m, e);
	multipart_free(m);
	free(chunk);
	return rc;
}

static enum err_code
read_urlencoded(struct request *r, struct form *form, struct err *e)
{
	struct strbuf body = STRBUF_INIT(MAX_URLENCODED_BYTES);
	char *chunk = xmalloc(BODY_CHUNK);
	enum err_code rc;
	int n;

	for (;;) {
		n = read_some(r, chunk);
		if (n <= 0)
			break;
		strbuf_add(&body, chunk, (size_t)n);
		if (strbuf_overflowed(&body)) {
			rc = err_set(e, ERR_TOO_LARGE, "a form without files "
			    "may have at most %d bytes", MAX_URLENCODED_BYTES);
			goto out;
		}
	}
	rc = body_ended(r, n, e);
	if (rc == ERR_OK)
		rc = urlencoded_parse(body.buf, body.len, form, e);
out:
	strbuf_release(&body);
	free(chunk);
	return rc;
}

static bool
type_is(const char *content_type, const char *wanted)
{
	size_t len = strlen(wanted);

	return strncasecmp(content_type, wanted, len) == 0 &&
	    (content_type[len] == '\0' || content_type[len] == ';' ||
	    content_type[len] == ' ');
}

enum err_code
read_form(struct worker *w, struct request *r, struct form *form,
    struct err *e)
{
	enum err_code rc;

	rc = too_large(w, r->content_length, e);
	if (rc != ERR_OK)
		return rc;
	if (type_is(r->content_type, "multipart/form-data"))
		return read_multipart(w, r, form, e);
	/* An empty body without a type is an empty form: its fields are
	 * missing, which says more than a complaint about the type. */
	if (type_is(r->content_type, "application/x-www-form-urlencoded") ||
	    (*r->content_type == '\0' && r->content_length <= 0))
		return read_urlencoded(r, form, e);
	return err_set(e, ERR_TYPE, "send the form as multipart/form-data or "
	    "application/x-www-form-urlencoded");
}
