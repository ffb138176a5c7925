/*
 * Files of a run.  This program decides who may have which file; the bytes are
 * sent by the web server where it can (X-Sendfile, X-Accel-Redirect), which
 * also does ranges and conditions then.
 *
 * A path from outside is opened beneath the run's directory and nowhere else,
 * with no link followed.  What the pipeline keeps for itself there (answers of
 * providers, scratch files) does not exist for clients.
 */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "xalloc.h"

#define MAX_AGE_S (7 * 24 * 3600)	/* what was deleted should not stay for ever */

static const struct {
	const char *extension, *type;
} types[] = {
	{ "png", "image/png" }, { "jpg", "image/jpeg" },
	{ "jpeg", "image/jpeg" }, { "webp", "image/webp" },
	{ "gif", "image/gif" }, { "json", "application/json" },
	{ "txt", "text/plain; charset=utf-8" },
};

static const char *const hidden[] = { "calls", "work", "temp" };

static const char *
type_of(const char *path)
{
	const char *dot = strrchr(path, '.');
	size_t i;

	for (i = 0; dot != NULL && i < ARRAY_LEN(types); i++)
		if (strcasecmp(dot + 1, types[i].extension) == 0)
			return types[i].type;
	return "application/octet-stream";
}

static bool
is_hidden(const char *path)
{
	size_t i, len;

	for (i = 0; i < ARRAY_LEN(hidden); i++) {
		len = strlen(hidden[i]);
		if (strncmp(path, hidden[i], len) == 0 &&
		    (path[len] == '/' || path[len] == '\0'))
			return true;
	}
	/* Dot files are temporary ones; ".." is refused when opening. */
	return (path[0] == '.' && path[1] != '.') ||
	    strstr(path, "/.tmp-") != NULL;
}

/*
 * A picture is written once and under a new name each time; what is told about
 * a run is written again while it grows.
 */
static void
put_caching(struct response *res, const char *path)
{
	if (strncmp(type_of(path), "image/", 6) == 0)
		response_header(res, "Cache-Control",
		    "private, max-age=%d, immutable", MAX_AGE_S);
	else
		response_header(res, "Cache-Control", "private, no-cache");
}

static void
put_headers(struct response *res, const char *path)
{
	const char *slash = strrchr(path, '/');
	char name[FILE_NAME_MAX];

	file_safe_name(slash != NULL ? slash + 1 : path, name);
	response_header(res, "Content-Type", "%s", type_of(path));
	response_header(res, "Content-Disposition",
	    "attachment; filename=\"%s\"", name);
	put_caching(res, path);
}

static void
put_validators(struct response *res, const struct validators *v)
{
	char date[HTTP_DATE_MAX];

	http_date_format(v->modified_s, date);
	response_header(res, "ETag", "%s", v->tag);
	response_header(res, "Last-Modified", "%s", date);
	response_header(res, "Accept-Ranges", "bytes");
}

static void
answer_outside(struct response *res, int64_t size)
{
	response_reset(res);
	response_error(res, 416, "The range is outside the file.");
	response_header(res, "Content-Range", "bytes */%lld", (long long)size);
}

/* All of the file, or the part that was asked for; fd is taken over. */
static void
send_bytes(struct request *r, struct response *res, int fd, int64_t size,
    const struct validators *v)
{
	enum range_kind range = RANGE_WHOLE;

	res->file_fd = fd;
	res->file_length = size;
	if (r->method == METHOD_GET)	/* HEAD knows no ranges */
		range = range_check(&r->conditions, v, size,
		    &res->file_offset, &res->file_length);
	switch (range) {
	case RANGE_WHOLE:
		break;
	case RANGE_PART:
		res->status = 206;
		response_header(res, "Content-Range", "bytes %lld-%lld/%lld",
		    (long long)res->file_offset, (long long)(res->file_offset +
		    res->file_length - 1), (long long)size);
		break;
	case RANGE_OUTSIDE:
		answer_outside(res, size);
		return;
	}
	put_validators(res, v);
}

/* The bytes go through us: ranges and conditions are ours to answer. */
static void
send_direct(struct request *r, struct response *res, int fd,
    const struct stat *st)
{
	struct validators v = { NULL, st->st_mtim.tv_sec };
	char tag[TAG_MAX];

	snprintf(tag, sizeof(tag), "\"%llx-%llx\"",
	    (unsigned long long)st->st_size,
	    (unsigned long long)(st->st_mtim.tv_sec * 1000000000LL +
	    st->st_mtim.tv_nsec));
	v.tag = tag;
	switch (conditions_check(&r->conditions, &v)) {
	case VERDICT_GO_ON:
		send_bytes(r, res, fd, st->st_size, &v);
		return;
	case VERDICT_NOT_MODIFIED:
		response_reset(res);
		res->status = 304;
		put_caching(res, r->params[1]);
		put_validators(res, &v);
		break;
	case VERDICT_FAILED:
		response_reset(res);
		response_error(res, 412, "The file is not the one that the "
		    "condition names.");
		break;
	}
	close(fd);
}

/*
 * The web server answers conditions and ranges, but a range outside the file is
 * refused by some without the headers that let another origin's page read the
 * refusal, so that is done here.  With a condition it is left to the web server,
 * whose tags we do not know.
 */
static bool
is_outside(const struct request *r, int64_t size)
{
	struct conditions range_alone = { .range = r->conditions.range };
	const struct conditions *c = &r->conditions;
	const struct validators none = { "", 0 };
	int64_t first, length;

	return r->method == METHOD_GET && c->if_range == NULL &&
	    c->if_match == NULL && c->if_none_match == NULL &&
	    c->if_modified_since == NULL && c->if_unmodified_since == NULL &&
	    range_check(&range_alone, &none, size, &first, &length) ==
	    RANGE_OUTSIDE;
}

static void
send_by_server(struct worker *w, struct request *r, struct response *res,
    const char *path)
{
	const struct settings *s = &w->svc->conf->settings;
	struct strbuf where = STRBUF_INIT(8192);

	if (s->api_sendfile == SENDFILE_X_ACCEL) {
		strbuf_addf(&where, "%s%s/", s->api_sendfile_prefix,
		    r->params[0]);
		strbuf_add_url_escaped(&where, path, true);
		response_header(res, "X-Accel-Redirect", "%s", where.buf);
	} else {
		/* lighttpd and Apache decode it, like the other. */
		strbuf_add_url_escaped(&where, w->svc->runs_dir, true);
		strbuf_addf(&where, "/%s/", r->params[0]);
		strbuf_add_url_escaped(&where, path, true);
		response_header(res, "X-Sendfile", "%s", where.buf);
	}
	strbuf_release(&where);
}

static enum err_code
open_file(struct worker *w, struct request *r, int *out_fd, struct stat *st,
    struct err *e)
{
	const char *path = r->params[1];
	int run_fd = -1, fd = -1;
	enum err_code rc;

	rc = file_open_dir(w->runs_dirfd, r->params[0], &run_fd, e);
	if (rc == ERR_OK)
		rc = file_open_beneath(run_fd, path, O_RDONLY | O_NONBLOCK, 0,
		    &fd, e);
	if (rc == ERR_OK && fstat(fd, st) != 0)
		rc = err_set_errno(e, ERR_SYSTEM, errno, "fstat");
	if (rc == ERR_OK && !S_ISREG(st->st_mode))
		rc = err_set(e, ERR_NOT_FOUND, "not a file");
	if (run_fd >= 0)
		close(run_fd);
	if (rc != ERR_OK && fd >= 0)
		close(fd);
	if (rc == ERR_NOT_FOUND)
		return err_set(e, rc, "The run has no such file.");
	if (rc == ERR_FORBIDDEN)
		return err_set(e, rc, "The path leaves the run's directory.");
	if (rc == ERR_OK)
		*out_fd = fd;
	return rc;
}

/*
 * 200 with the file; 206, 304, 412, 416 (from us or the web server); 403 for a path
 * that leaves the run's directory; 404 for an unknown run or file.
 */
enum err_code
page_file(struct worker *w, struct request *r, struct response *res,
    struct err *e)
{
	struct stat st;
	struct run run;
	enum err_code rc;
	int fd = -1;

	memset(&run, 0, sizeof(run));
	rc = store_get_run(w->store, r->owner, r->params[0], &run, e);
	run_release(&run);
	if (rc == ERR_NOT_FOUND)
		return err_set(e, rc, "There is no such run.");
	if (rc != ERR_OK)
		return rc;
	if (is_hidden(r->params[1]))
		return err_set(e, ERR_NOT_FOUND, "The run has no such file.");
	rc = open_file(w, r, &fd, &st, e);
	if (rc != ERR_OK)
		return rc;
	put_headers(res, r->params[1]);
	switch (w->svc->conf->settings.api_sendfile) {
	case SENDFILE_DIRECT:
		send_direct(r, res, fd, &st);
		return ERR_OK;
	case SENDFILE_X_SENDFILE:
	case SENDFILE_X_ACCEL:
		if (is_outside(r, st.st_size))
			answer_outside(res, st.st_size);
		else
			send_by_server(w, r, res, r->params[1]);
		break;
	}
	close(fd);
	return ERR_OK;
}
