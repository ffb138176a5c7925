/*
 * The body of a POST, whatever its shape, as a form.
 *
 * A body is read as it arrives and never as a whole: what is long in it goes to
 * files of the uploads directory, so that a worker stays as small as it is
 * whatever it is sent.  Whoever releases the form removes those files.
 */
#include "worker.h"

#include <errno.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#include "file.h"
#include "multipart.h"
#include "xalloc.h"

#define BODY_CHUNK 65536
#define MAX_JSON_IN_MEMORY (1024 * 1024)

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
	if (last == BODY_LATE)
		return err_set(e, ERR_SLOW, "the body came too slowly: %lld "
		    "bytes so far", (long long)r->body_bytes);
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

/* --- JSON ----------------------------------------------------------------------------- */

/* A body in memory, or beyond MAX_JSON_IN_MEMORY in a file. */
struct text_body {
	struct strbuf text;
	char *tmp;		/* in the uploads directory; NULL */
	int fd;			/* of tmp; -1 */
};

static enum err_code
text_body_add(struct worker *w, struct text_body *b, const char *data,
    size_t len, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (b->fd < 0 && b->text.len + len <= MAX_JSON_IN_MEMORY) {
		strbuf_add(&b->text, data, len);
		return ERR_OK;
	}
	if (b->fd < 0) {
		rc = upload_create(w->uploads_dirfd, &b->tmp, &b->fd, e);
		if (rc == ERR_OK)
			rc = file_write_all(b->fd, b->text.buf, b->text.len,
			    e);
		strbuf_release(&b->text);
	}
	if (rc == ERR_OK)
		rc = file_write_all(b->fd, data, len, e);
	return rc;
}

static void
text_body_release(struct worker *w, struct text_body *b)
{
	if (b->fd >= 0)
		close(b->fd);
	if (b->tmp != NULL)
		unlinkat(w->uploads_dirfd, b->tmp, 0);
	free(b->tmp);
	strbuf_release(&b->text);
}

static enum err_code
turn_into_form(const struct text_body *b, int64_t len,
    const struct form_shape *shape, struct form *form, struct faults *faults,
    struct err *e)
{
	enum err_code rc;
	void *map;

	if (b->fd < 0)
		return form_from_json(form, shape, b->text.buf, b->text.len,
		    false, faults, e);
	map = mmap(NULL, (size_t)len, PROT_READ, MAP_PRIVATE, b->fd, 0);
	if (map == MAP_FAILED)
		return err_set_errno(e, ERR_SYSTEM, errno, "uploads: mmap");
	rc = form_from_json(form, shape, map, (size_t)len, true, faults, e);
	munmap(map, (size_t)len);
	return rc;
}

static enum err_code
read_json(struct worker *w, struct request *r,
    const struct form_shape *shape, struct form *form, struct faults *faults,
    struct err *e)
{
	struct text_body b = { STRBUF_INIT(MAX_JSON_IN_MEMORY), NULL, -1 };
	char *chunk = xmalloc(BODY_CHUNK);
	enum err_code rc = ERR_OK;
	int n = 0;

	while (rc == ERR_OK) {
		n = read_some(r, chunk);
		if (n <= 0)
			break;
		rc = too_large(w, r->body_bytes, e);
		if (rc == ERR_OK)
			rc = text_body_add(w, &b, chunk, (size_t)n, e);
	}
	if (rc == ERR_OK)
		rc = body_ended(r, n, e);
	if (rc == ERR_OK)
		rc = turn_into_form(&b, r->body_bytes, shape, form, faults, e);
	text_body_release(w, &b);
	free(chunk);
	return rc;
}

/* --- any of them ------------------------------------------------------------------------ */

static bool
type_is(const char *content_type, const char *wanted)
{
	size_t len = strlen(wanted);

	return strncasecmp(content_type, wanted, len) == 0 &&
	    (content_type[len] == '\0' || content_type[len] == ';' ||
	    content_type[len] == ' ');
}

enum err_code
read_form(struct worker *w, struct request *r,
    const struct form_shape *shape, struct form *form, struct faults *faults,
    struct err *e)
{
	enum err_code rc;

	rc = too_large(w, r->content_length, e);
	if (rc != ERR_OK)
		return rc;
	if (type_is(r->content_type, "multipart/form-data"))
		return read_multipart(w, r, form, e);
	if (type_is(r->content_type, "application/json"))
		return read_json(w, r, shape, form, faults, e);
	/* An empty body without a type is an empty form: its fields are
	 * missing, which says more than a complaint about the type. */
	if (type_is(r->content_type, "application/x-www-form-urlencoded") ||
	    (*r->content_type == '\0' && r->content_length <= 0))
		return read_urlencoded(r, form, e);
	return err_set(e, ERR_TYPE, "send the form as multipart/form-data, "
	    "application/x-www-form-urlencoded or application/json");
}
