/*
 * Request bodies: a list of pieces, read from front to back any number of
 * times, each reader with a cursor of its own.
 *
 * Pictures are never held in memory: a piece names an open file, and base64 is
 * made of it a few kilobytes at a time while it is sent.  The length is known
 * before the first byte, since file sizes are taken when a piece is added; a
 * file that gives less later is an error, not a shorter body.
 */
#include "http.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "digest.h"
#include "file.h"
#include "internal.h"
#include "xalloc.h"

#define MAX_BODY_FILE_BYTES ((int64_t)64 * 1024 * 1024)
#define COPY_BYTES 16384
#define B64_GROUPS 1024		/* encoded in one step: 3 KB make 4 KB */

enum piece_kind { PIECE_TEXT, PIECE_FILE, PIECE_BASE64 };

struct piece {
	enum piece_kind kind;
	char *text;		/* PIECE_TEXT; owned */
	int fd;			/* the others; -1 for text */
	int64_t size;		/* bytes of the text or the file */
};

struct http_body {
	struct piece *pieces;
	int n;
};

static struct piece *
piece_add(struct http_body *b, enum piece_kind kind)
{
	struct piece *p;

	b->pieces = xrealloc_array(b->pieces, (size_t)b->n + 1,
	    sizeof(*b->pieces));
	p = &b->pieces[b->n++];
	p->kind = kind;
	p->text = NULL;
	p->fd = -1;
	p->size = 0;
	return p;
}

/* Bytes the piece has on the wire. */
static int64_t
piece_length(const struct piece *p)
{
	if (p->kind == PIECE_BASE64)
		return (p->size + 2) / 3 * 4;
	return p->size;
}

/* Exactly len bytes at offset at; false when the file has become shorter. */
static bool
read_exactly(int fd, void *buf, size_t len, int64_t at)
{
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = pread(fd, (char *)buf + done, len - done,
		    (off_t)(at + (int64_t)done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

/* Some of the base64 text of a file, from position at of that text on. */
static ssize_t
read_base64(const struct piece *p, void *buf, size_t len, int64_t at)
{
	uint8_t raw[B64_GROUPS * 3];
	char text[B64_GROUPS * 4];
	int64_t first = at / 4 * 3;
	size_t skip = (size_t)(at % 4);
	size_t want, have;

	want = (size_t)(p->size - first);
	if (want > sizeof(raw))
		want = sizeof(raw);
	/* No more than is asked for, in whole groups. */
	if (want > (len + skip + 3) / 4 * 3)
		want = (len + skip + 3) / 4 * 3;
	if (!read_exactly(p->fd, raw, want, first))
		return -1;
	base64_encode_raw(text, want, raw);
	have = BASE64_ENCODE_RAW_LENGTH(want) - skip;
	if (have > len)
		have = len;
	memcpy(buf, text + skip, have);
	return (ssize_t)have;
}

/* At least one byte of what is left of the piece from position at on. */
static ssize_t
piece_read(const struct piece *p, void *buf, size_t len, int64_t at)
{
	int64_t left = piece_length(p) - at;

	if ((int64_t)len > left)
		len = (size_t)left;
	switch (p->kind) {
	case PIECE_TEXT:
		memcpy(buf, p->text + at, len);
		return (ssize_t)len;
	case PIECE_FILE:
		return read_exactly(p->fd, buf, len, at) ? (ssize_t)len : -1;
	case PIECE_BASE64:
		return read_base64(p, buf, len, at);
	}
	return -1;
}

struct http_body *
http_body_new(void)
{
	return xcalloc(1, sizeof(struct http_body));
}

void
http_body_free(struct http_body *b)
{
	int i;

	if (b == NULL)
		return;
	for (i = 0; i < b->n; i++) {
		free(b->pieces[i].text);
		if (b->pieces[i].fd >= 0)
			close(b->pieces[i].fd);
	}
	free(b->pieces);
	free(b);
}

void
http_body_text(struct http_body *b, const char *text, size_t len)
{
	struct piece *p;

	if (len == 0)
		return;
	p = piece_add(b, PIECE_TEXT);
	p->text = xmalloc(len);
	memcpy(p->text, text, len);
	p->size = (int64_t)len;
}

enum err_code
http_body_file(struct http_body *b, int dirfd, const char *path, bool base64,
    struct err *e)
{
	struct piece *p;
	struct stat sb;
	enum err_code rc;
	int fd = -1;

	rc = file_open_beneath(dirfd, path, O_RDONLY | O_NONBLOCK, 0, &fd, e);
	if (rc != ERR_OK)
		return rc;
	if (fstat(fd, &sb) != 0) {
		rc = err_set_errno(e, ERR_SYSTEM, errno, "%s", path);
		goto out;
	}
	if (!S_ISREG(sb.st_mode)) {
		rc = err_set(e, ERR_INVALID, "%s is not a file", path);
		goto out;
	}
	if (sb.st_size > MAX_BODY_FILE_BYTES) {
		rc = err_set(e, ERR_TOO_LARGE, "%s has more than %lld bytes",
		    path, (long long)MAX_BODY_FILE_BYTES);
		goto out;
	}
	p = piece_add(b, base64 ? PIECE_BASE64 : PIECE_FILE);
	p->fd = fd;
	p->size = (int64_t)sb.st_size;
	fd = -1;		/* the piece has it now */
out:
	if (fd >= 0)
		close(fd);
	return rc;
}

int64_t
http_body_length(const struct http_body *b)
{
	int64_t sum = 0;
	int i;

	for (i = 0; b != NULL && i < b->n; i++)
		sum += piece_length(&b->pieces[i]);
	return sum;
}

int64_t
http_body_text_length(const struct http_body *b)
{
	int64_t sum = 0;
	int i;

	for (i = 0; b != NULL && i < b->n; i++)
		if (b->pieces[i].kind == PIECE_TEXT)
			sum += b->pieces[i].size;
	return sum;
}

ssize_t
body_read(const struct http_body *b, struct body_cursor *at, void *buf,
    size_t len)
{
	size_t done = 0;
	ssize_t n;

	while (done < len && at->piece < b->n) {
		const struct piece *p = &b->pieces[at->piece];

		if (at->offset == piece_length(p)) {
			at->piece++;
			at->offset = 0;
			continue;
		}
		n = piece_read(p, (char *)buf + done, len - done, at->offset);
		if (n < 0)
			return -1;
		at->offset += n;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* Hand the whole body to take(), a piece of memory at a time. */
static enum err_code
body_walk(struct http_body *b, void (*take)(void *, const void *, size_t),
    void *arg, struct err *e)
{
	struct body_cursor at = { 0, 0 };
	char buf[COPY_BYTES];
	ssize_t n;

	for (;;) {
		n = body_read(b, &at, buf, sizeof(buf));
		if (n < 0)
			return err_set(e, ERR_SYSTEM,
			    "a file of the request cannot be read");
		if (n == 0)
			return ERR_OK;
		take(arg, buf, (size_t)n);
	}
}

static void
take_hash(void *arg, const void *data, size_t len)
{
	digest_add(arg, data, len);
}

static void
take_text(void *arg, const void *data, size_t len)
{
	strbuf_add(arg, data, len);
}

enum err_code
http_body_hash(struct http_body *b, char out[65], struct err *e)
{
	struct digest d;
	enum err_code rc;

	digest_init(&d);
	rc = body_walk(b, take_hash, &d, e);
	if (rc == ERR_OK)
		digest_hex(&d, out);
	return rc;
}

enum err_code
http_body_render(struct http_body *b, struct strbuf *out, struct err *e)
{
	enum err_code rc;

	rc = body_walk(b, take_text, out, e);
	if (rc == ERR_OK && strbuf_overflowed(out))
		rc = err_set(e, ERR_TOO_LARGE, "the request has %lld bytes",
		    (long long)http_body_length(b));
	return rc;
}
