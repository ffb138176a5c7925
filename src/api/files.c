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
#include "yaml.h"

#define MAX_AGE_S 3600
#define ETAG_MAX 64
#define HTTP_DATE_MAX 40

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

static void
http_date(time_t t, char out[HTTP_DATE_MAX])
{
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(out, HTTP_DATE_MAX, "%a, %d %b %Y %H:%M:%S GMT", &tm);
}

static void
put_headers(struct response *res, const char *path, const struct stat *st,
    char etag[ETAG_MAX])
{
	const char *slash = strrchr(path, '/');
	char name[FILE_NAME_MAX];

	snprintf(etag, ETAG_MAX, "\"%llx-%llx\"",
	    (unsigned long long)st->st_size,
	    (unsigned long long)(st->st_mtim.tv_sec * 1000000000LL +
	    st->st_mtim.tv_nsec));
	file_safe_name(slash != NULL ? slash + 1 : path, name);
	response_header(res, "Content-Type", "%s", type_of(path));
	response_header(res, "Content-Disposition",
	    "attachment; filename=\"%s\"", name);
	response_header(res, "Cache-Control", "private, max-age=%d",
	    MAX_AGE_S);
}

static bool
etag_matches(const char *header, const char *etag)
{
	return header != NULL &&
	    (strcmp(header, "*") == 0 || strstr(header, etag) != NULL);
}

static bool
is_digits(const char *s)
{
	return s[strspn(s, "0123456789")] == '\0';
}

/*
 * One range of a file: true when it can be satisfied. Several ranges, another
 * unit, or what is no range are answered with the whole file, as RFC 9110 has
 * it.
 */
static bool
read_range(const char *header, int64_t size, int64_t *first, int64_t *length,
    bool *whole)
{
	char from[24] = "", to[24] = "";
	int64_t a = 0, b = size - 1;
	const char *dash;

	*whole = true;
	if (strncmp(header, "bytes=", 6) != 0 || strchr(header, ',') != NULL)
		return true;
	header += 6;
	dash = strchr(header, '-');
	if (dash == NULL || dash - header >= (int)sizeof(from) ||
	    strlen(dash + 1) >= sizeof(to))
		return true;
	memcpy(from, header, (size_t)(dash - header));
	memcpy(to, dash + 1, strlen(dash + 1) + 1);
	if (!is_digits(from) || !is_digits(to) ||
	    (*from != '\0' && !parse_int(from, &a)) ||
	    (*to != '\0' && !parse_int(to, &b)) ||
	    (*from == '\0' && *to == '\0') ||
	    (*from != '\0' && *to != '\0' && b < a))
		return true;
	*whole = false;
	if (*from == '\0') {	/* the last b bytes */
		if (b <= 0)
			return false;
		a = b >= size ? 0 : size - b;
		b = size - 1;
	}
	if (a >= size)
		return false;
	*first = a;
	*length = (b < size ? b : size - 1) - a + 1;
	return true;
}

/* The bytes go through us: ranges and conditions are ours to answer. */
static void
send_direct(struct request *r, struct response *res, int fd,
    const struct stat *st, const char *etag)
{
	char date[HTTP_DATE_MAX];
	bool whole = true;

	http_date(st->st_mtime, date);
	response_header(res, "ETag", "%s", etag);
	response_header(res, "Last-Modified", "%s", date);
	response_header(res, "Accept-Ranges", "bytes");
	if (etag_matches(r->if_none_match, etag)) {
		res->status = 304;
		close(fd);
		return;
	}
	res->file_offset = 0;
	res->file_length = st->st_size;
	if (r->range != NULL && (r->if_range == NULL ||
	    strcmp(r->if_range, etag) == 0) && !read_range(r->range, st->st_size,
	    &res->file_offset, &res->file_length, &whole)) {
		/* The answer is no longer the file, nor named like it. */
		strbuf_reset(&res->headers);
		response_header(res, "Content-Range", "bytes */%lld",
		    (long long)st->st_size);
		close(fd);
		response_error(res, 416, "The range is outside the file.");
		return;
	}
	if (!whole) {
		res->status = 206;
		response_header(res, "Content-Range", "bytes %lld-%lld/%lld",
		    (long long)res->file_offset,
		    (long long)(res->file_offset + res->file_length - 1),
		    (long long)st->st_size);
	}
	res->file_fd = fd;
}

/* Percent-encode for a header that the web server decodes. */
static void
add_encoded(struct strbuf *out, const char *s)
{
	for (; *s != '\0'; s++)
		if (isalnum((unsigned char)*s) || strchr("/._-~", *s) != NULL)
			strbuf_addch(out, *s);
		else
			strbuf_addf(out, "%%%02X", (unsigned char)*s);
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
		add_encoded(&where, path);
		response_header(res, "X-Accel-Redirect", "%s", where.buf);
	} else {
		/* lighttpd and Apache decode it, like the other. */
		add_encoded(&where, w->svc->runs_dir);
		strbuf_addf(&where, "/%s/", r->params[0]);
		add_encoded(&where, path);
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
 * 200 with the file; 206, 304, 416 (from us or the web server); 403 for a path
 * that leaves the run's directory; 404 for an unknown run or file.
 */
enum err_code
page_file(struct worker *w, struct request *r, struct response *res,
    struct err *e)
{
	char etag[ETAG_MAX];
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
	put_headers(res, r->params[1], &st, etag);
	switch (w->svc->conf->settings.api_sendfile) {
	case SENDFILE_DIRECT:
		send_direct(r, res, fd, &st, etag);
		return ERR_OK;
	case SENDFILE_X_SENDFILE:
	case SENDFILE_X_ACCEL:
		send_by_server(w, r, res, r->params[1]);
		break;
	}
	close(fd);
	return ERR_OK;
}
