/*
 * Where an answer goes while it arrives.
 *
 * A picture comes as one base64 string inside a JSON text, a megabyte or
 * more of it.  The sink reads the JSON just closely enough to see where
 * strings begin and end.  A string stays in the text until it is longer than
 * max_string; then what there is of it moves to a file, the rest follows
 * decoded as it arrives, and the text keeps "@blob:N" in its place:
 *
 *   SINK_OUTSIDE --"--> SINK_STRING --too long--> SINK_BLOB
 *        ^------------"-------'                        |
 *        '--------------------"------------------------'
 *
 * Whether a string moves depends on its length alone, never on how the
 * network cut the answer into chunks.  Escapes are undone on the way to a
 * file (\/ and \u002f are legal in a base64 string); anything that is not
 * base64 marks the blob invalid and its bytes are dropped, for the rest of
 * the answer may still say why.
 *
 * An error page is no JSON and nobody wants its pictures: for a status of 400
 * and above the first max_text bytes are kept as they are.
 */
#include "http.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "file.h"
#include "internal.h"
#include "xalloc.h"

#define BLOB_MODE 0640
#define BLOB_NAME_MAX 512
#define DECODE_BYTES 4096	/* base64 text decoded in one step */

void
sink_init(struct sink *s, const struct http_request *req, int dirfd)
{
	int i;

	memset(s, 0, sizeof(*s));
	strbuf_init(&s->text, req->max_text_bytes);
	s->max_string = req->max_string_bytes > 0 ? req->max_string_bytes :
	    SINK_STRING_MAX;
	s->max_blob = dirfd >= 0 ? req->max_blob_bytes : 0;
	s->dirfd = dirfd;
	s->prefix = xstrdup(req->blob_prefix);
	s->raw = req->raw_to_blob;
	for (i = 0; i < HTTP_MAX_BLOBS; i++)
		s->fd[i] = -1;
}

static void
blob_path(const struct sink *s, int n, char out[BLOB_NAME_MAX])
{
	snprintf(out, BLOB_NAME_MAX, "%s.%d", s->prefix, n);
}

static bool
sink_fail(struct sink *s, enum http_failure failure)
{
	s->failure = failure;
	return false;
}

static bool
too_large(struct sink *s, const char *what)
{
	err_set(&s->err, ERR_TOO_LARGE, "%s", what);
	return sink_fail(s, HTTP_TOO_LARGE);
}

static bool
blob_open(struct sink *s)
{
	char path[BLOB_NAME_MAX];

	if (s->max_blob == 0)
		return too_large(s, "a string of the answer is too long");
	if (s->n_blobs == HTTP_MAX_BLOBS)
		return too_large(s, "the answer has too many long strings");
	blob_path(s, s->n_blobs, path);
	if (file_open_beneath(s->dirfd, path, O_WRONLY | O_CREAT | O_EXCL,
	    BLOB_MODE, &s->fd[s->n_blobs], &s->err) != ERR_OK)
		return sink_fail(s, HTTP_LOCAL);
	s->n_blobs++;
	s->blob_bytes = 0;
	base64_decode_init(&s->b64);
	s->esc = ESC_NONE;
	return true;
}

static bool
blob_write(struct sink *s, const void *data, size_t len)
{
	s->blob_bytes += (int64_t)len;
	if (s->blob_bytes > s->max_blob)
		return too_large(s, "a picture of the answer is too large");
	if (file_write_all(s->fd[s->n_blobs - 1], data, len, &s->err) !=
	    ERR_OK)
		return sink_fail(s, HTTP_LOCAL);
	return true;
}

/* Decode base64 text (already without escapes) into the blob. */
static bool
blob_decode(struct sink *s, const char *text, size_t len)
{
	uint8_t raw[BASE64_DECODE_LENGTH(DECODE_BYTES)];
	char plain[DECODE_BYTES];
	size_t i, n, n_raw;

	while (len > 0 && !s->blob_invalid[s->n_blobs - 1]) {
		n = len < sizeof(plain) ? len : sizeof(plain);
		/* JSON encoders may use the URL-safe alphabet. */
		for (i = 0; i < n; i++)
			plain[i] = (char)(text[i] == '-' ? '+' :
			    text[i] == '_' ? '/' : text[i]);
		if (!base64_decode_update(&s->b64, &n_raw, raw, n, plain)) {
			s->blob_invalid[s->n_blobs - 1] = true;
			return true;
		}
		if (!blob_write(s, raw, n_raw))
			return false;
		text += n;
		len -= n;
	}
	return true;
}

/* One byte of the string that is part of an escape. */
static bool
blob_escape(struct sink *s, char c)
{
	char plain = c;

	if (s->esc == ESC_BEGUN && c == 'u') {
		s->esc = ESC_HEX4;
		s->esc_value = 0;
		return true;
	}
	if (s->esc == ESC_BEGUN) {
		s->esc = ESC_NONE;
		if (c == 'n' || c == 'r' || c == 't')
			plain = ' ';
		return blob_decode(s, &plain, 1);
	}
	if (!isxdigit((unsigned char)c)) {
		s->blob_invalid[s->n_blobs - 1] = true;
		s->esc = ESC_NONE;
		return true;
	}
	s->esc_value = s->esc_value * 16 + (unsigned)(isdigit((unsigned char)c)
	    ? c - '0' : tolower((unsigned char)c) - 'a' + 10);
	s->esc--;
	if (s->esc != ESC_BEGUN)
		return true;
	s->esc = ESC_NONE;
	plain = s->esc_value < 0x80 ? (char)s->esc_value : '!';
	return blob_decode(s, &plain, 1);
}

/* Bytes of a long string from the wire, up to its closing quote or the end.
 * *used says how many; *closed whether the quote was among them. */
static bool
blob_feed(struct sink *s, const char *data, size_t len, size_t *used,
    bool *closed)
{
	size_t i = 0, n;

	*closed = false;
	while (i < len && !*closed) {
		if (s->esc != ESC_NONE) {
			if (!blob_escape(s, data[i++]))
				return false;
			continue;
		}
		for (n = 0; i + n < len && data[i + n] != '"' &&
		    data[i + n] != '\\'; n++)
			;
		if (!blob_decode(s, data + i, n))
			return false;
		i += n;
		if (i < len) {
			*closed = data[i] == '"';
			if (data[i] == '\\')
				s->esc = ESC_BEGUN;
			i++;
		}
	}
	*used = i;
	return true;
}

/* The string is complete: was it whole base64? */
static void
blob_end(struct sink *s)
{
	uint8_t none[3];
	size_t n;
	int pad;

	/* Some encoders leave the padding out; a lone sixth of a byte more
	 * than whole bytes is a damaged string nevertheless. */
	for (pad = 0; pad < 2 && s->b64.bits > 0; pad++)
		if (!base64_decode_update(&s->b64, &n, none, 1, "="))
			break;
	if (!base64_decode_final(&s->b64) || s->blob_bytes == 0)
		s->blob_invalid[s->n_blobs - 1] = true;
	strbuf_addf(&s->text, "@blob:%d\"", s->n_blobs - 1);
	s->state = SINK_OUTSIDE;
}

/* The string in hand has become too long to stay in the text. */
static bool
string_to_blob(struct sink *s)
{
	size_t used;
	bool closed, ok;

	if (!blob_open(s))
		return false;
	ok = blob_feed(s, s->text.buf + s->string_at,
	    s->text.len - s->string_at, &used, &closed);
	strbuf_truncate(&s->text, s->string_at);
	s->state = SINK_BLOB;
	return ok;
}

/* The bytes of a string that is still in the text, as feed_json(). */
static bool
string_feed(struct sink *s, const char *data, size_t len, size_t *used)
{
	bool closed = false;
	size_t n = 0;

	while (n < len && !closed) {
		if (s->backslash)
			s->backslash = false;
		else if (data[n] == '\\')
			s->backslash = true;
		else if (data[n] == '"')
			closed = true;
		n++;
	}
	/* The closing quote is not part of its length. */
	if (s->text.len - s->string_at + n - (closed ? 1 : 0) >
	    s->max_string) {
		*used = 0;
		return string_to_blob(s);
	}
	strbuf_add(&s->text, data, n);
	if (closed)
		s->state = SINK_OUTSIDE;
	*used = n;
	return true;
}

/* One step through JSON text: *used bytes of it are done with. */
static bool
feed_json(struct sink *s, const char *data, size_t len, size_t *used)
{
	const char *quote;
	bool closed;

	switch (s->state) {
	case SINK_OUTSIDE:
		quote = memchr(data, '"', len);
		*used = quote == NULL ? len : (size_t)(quote - data) + 1;
		strbuf_add(&s->text, data, *used);
		if (quote != NULL) {
			s->state = SINK_STRING;
			s->string_at = s->text.len;
			s->backslash = false;
		}
		return true;
	case SINK_STRING:
		return string_feed(s, data, len, used);
	case SINK_BLOB:
		if (!blob_feed(s, data, len, used, &closed))
			return false;
		if (closed)
			blob_end(s);
		return true;
	}
	return false;
}

/* An error answer: what fits is kept, in whole chunks or their heads. */
static void
feed_lenient(struct sink *s, const char *data, size_t len)
{
	size_t room = s->text.max - s->text.len;

	strbuf_add(&s->text, data, len < room ? len : room);
}

bool
sink_feed(struct sink *s, int status, const char *data, size_t len)
{
	size_t used;

	if (s->failure != HTTP_FINE)
		return false;
	if (status >= 400 || (s->raw && status != 200)) {
		feed_lenient(s, data, len);
		return true;
	}
	if (s->raw) {
		if (s->n_blobs == 0 && !blob_open(s))
			return false;
		return blob_write(s, data, len);
	}
	while (len > 0) {
		if (!feed_json(s, data, len, &used))
			return false;
		if (strbuf_overflowed(&s->text))
			return too_large(s, "the answer is too large");
		data += used;
		len -= used;
	}
	return true;
}

/* Make the directory entries of the blobs durable. */
static enum err_code
sync_directory(const struct sink *s, struct err *e)
{
	const char *slash = strrchr(s->prefix, '/');
	char dir[BLOB_NAME_MAX];
	enum err_code rc = ERR_OK;
	int fd = -1;

	if (slash != NULL) {
		snprintf(dir, sizeof(dir), "%.*s", (int)(slash - s->prefix),
		    s->prefix);
		rc = file_open_beneath(s->dirfd, dir, O_RDONLY | O_DIRECTORY,
		    0, &fd, e);
		if (rc != ERR_OK)
			return rc;
	}
	if (fsync(fd >= 0 ? fd : s->dirfd) != 0)
		rc = err_set_errno(e, ERR_SYSTEM, errno, "%s", s->prefix);
	if (fd >= 0)
		close(fd);
	return rc;
}

enum err_code
sink_sync(struct sink *s, struct err *e)
{
	int i;

	if (s->n_blobs == 0)
		return ERR_OK;
	for (i = 0; i < s->n_blobs; i++) {
		if (fsync(s->fd[i]) != 0)
			return err_set_errno(e, ERR_SYSTEM, errno,
			    "%s.%d", s->prefix, i);
		close(s->fd[i]);
		s->fd[i] = -1;
	}
	return sync_directory(s, e);
}

void
sink_discard(struct sink *s)
{
	char path[BLOB_NAME_MAX];
	int i;

	for (i = 0; i < s->n_blobs; i++) {
		blob_path(s, i, path);
		unlinkat(s->dirfd, path, 0);
	}
}

void
sink_release(struct sink *s)
{
	int i;

	for (i = 0; i < HTTP_MAX_BLOBS; i++)
		if (s->fd[i] >= 0)
			close(s->fd[i]);
	if (s->dirfd >= 0)
		close(s->dirfd);
	strbuf_release(&s->text);
	free(s->prefix);
}
