/*
 * multipart/form-data, read as it arrives.
 *
 *   PREAMBLE --boundary--> BOUNDARY --CRLF--> HEADERS --empty line--> CONTENT
 *                             ^ '--"--"--> EPILOGUE                      |
 *                             '------------------boundary----------------'
 *
 * A delimiter is CRLF "--" boundary.  It begins with the only CR it contains,
 * so a partial match that fails can start again nowhere but at the byte that
 * failed: the bytes matched so far were content and are given out as such,
 * and no byte is looked at more than twice, whatever the body is made of.
 *
 * The rule that must hold: every file that is made is in the form before its
 * first byte is written, so that releasing the form removes it whatever
 * happens here.
 */
#include "multipart.h"

#include <unistd.h>

#include "digest.h"
#include "file.h"
#include "part.h"
#include "xalloc.h"

#define DELIMITER_MAX (4 + MAX_BOUNDARY_BYTES)	/* CRLF, two dashes, boundary */
#define WRITE_BYTES 65536	/* gathered before they go to a file */
#define LARGE_FIELD "brand_kit"	/* carries a logo inside its JSON */

enum step {
	STEP_PREAMBLE,
	STEP_BOUNDARY,		/* just behind one */
	STEP_DASH,		/* ... and behind its first dash */
	STEP_PADDING,		/* blanks before the end of its line */
	STEP_LINE_END,		/* behind the CR of that line */
	STEP_HEADERS,
	STEP_CONTENT,
	STEP_EPILOGUE
};

/* Where the content of the part being read goes. */
struct sink {
	bool is_file;		/* to be kept as a file, with its digest */
	char *name;		/* of the field; owned */
	struct strbuf text;	/* what is in memory of a text field */
	struct form_field *spill;	/* of the form: it outgrew text; NULL */
	struct form_file *file;	/* of the form; NULL */
	int fd;			/* of spill or file; -1 */
	int64_t size;
	struct digest digest;
};

struct multipart {
	struct form *form;
	enum step step;
	char delimiter[DELIMITER_MAX];
	size_t delimiter_len;
	size_t matched;		/* bytes of the delimiter seen */
	struct strbuf headers;	/* of the part, with their CRLFs */
	struct sink sink;
	char *out;		/* gathered for sink.fd; WRITE_BYTES; NULL until used */
	size_t out_len;
	size_t text_bytes;	/* in memory, all fields together */
};

enum err_code
multipart_new(const char *content_type, struct form *form,
    struct multipart **out, struct err *e)
{
	char boundary[MAX_BOUNDARY_BYTES + 1];
	struct multipart *m;
	enum err_code rc;

	rc = part_boundary(content_type, boundary, e);
	if (rc != ERR_OK)
		return rc;
	m = xcalloc(1, sizeof(*m));
	m->form = form;
	m->delimiter_len = 4 + strlen(boundary);
	memcpy(m->delimiter, "\r\n--", 4);
	memcpy(m->delimiter + 4, boundary, m->delimiter_len - 4);
	/* A body may begin with its first boundary, without a line before. */
	m->matched = 2;
	strbuf_init(&m->headers, MAX_PART_HEADER_BYTES);
	strbuf_init(&m->sink.text, FORM_MAX_FIELD_BYTES);
	m->sink.fd = -1;
	*out = m;
	return ERR_OK;
}

/* --- where content goes ---------------------------------------------------------- */

static enum err_code
flush(struct multipart *m, struct err *e)
{
	enum err_code rc;

	if (m->sink.is_file)
		digest_add(&m->sink.digest, m->out, m->out_len);
	rc = file_write_all(m->sink.fd, m->out, m->out_len, e);
	m->out_len = 0;
	return rc;
}

static enum err_code
write_out(struct multipart *m, const char *data, size_t len, struct err *e)
{
	enum err_code rc;
	size_t n;

	if (m->out == NULL)
		m->out = xmalloc(WRITE_BYTES);
	while (len > 0) {
		n = WRITE_BYTES - m->out_len;
		if (n > len)
			n = len;
		memcpy(m->out + m->out_len, data, n);
		m->out_len += n;
		data += n;
		len -= n;
		if (m->out_len < WRITE_BYTES)
			break;
		rc = flush(m, e);
		if (rc != ERR_OK)
			return rc;
	}
	return ERR_OK;
}

/* The field in memory has become too large: on with it in a file. */
static enum err_code
spill(struct multipart *m, struct err *e)
{
	struct sink *s = &m->sink;
	char *tmp = NULL;
	enum err_code rc;

	if (m->form->uploads_dirfd < 0)
		return err_set(e, ERR_TOO_LARGE, "the field %s is longer than "
		    "%d bytes", s->name, FORM_MAX_FIELD_BYTES);
	rc = form_add(m->form, s->name, "", 0, e);
	if (rc != ERR_OK)
		return rc;
	rc = upload_create(m->form->uploads_dirfd, &tmp, &s->fd, e);
	if (rc != ERR_OK)
		return rc;
	s->spill = &m->form->fields[m->form->n_fields - 1];
	free(s->spill->value);
	s->spill->value = NULL;
	s->spill->spill = tmp;
	rc = write_out(m, s->text.buf, s->text.len, e);
	m->text_bytes -= s->text.len;
	strbuf_release(&s->text);
	return rc;
}

/*
 * Which limit is named must not depend on how the body was cut into pieces:
 * it is the one whose last byte comes first.
 */
static enum err_code
outgrown(struct multipart *m, size_t field_room, size_t total_room,
    struct err *e)
{
	if (total_room < field_room)
		return err_set(e, ERR_TOO_LARGE, "the text fields of the form "
		    "have more than %d bytes", MAX_FORM_TEXT_BYTES);
	if (strcmp(m->sink.name, LARGE_FIELD) == 0)
		return spill(m, e);
	return err_set(e, ERR_INVALID, "the field %s is longer than %d bytes",
	    m->sink.name, FORM_MAX_FIELD_BYTES);
}

static enum err_code
keep_text(struct multipart *m, const char *data, size_t len, struct err *e)
{
	struct sink *s = &m->sink;
	size_t field_room = FORM_MAX_FIELD_BYTES - s->text.len;
	size_t total_room = MAX_FORM_TEXT_BYTES - m->text_bytes;
	enum err_code rc = ERR_OK;

	if (s->spill == NULL && len <= field_room && len <= total_room) {
		m->text_bytes += len;
		strbuf_add(&s->text, data, len);
		return ERR_OK;
	}
	if (s->spill == NULL)
		rc = outgrown(m, field_room, total_room, e);
	if (rc != ERR_OK)
		return rc;
	if (s->size + (int64_t)len > FORM_MAX_LARGE_FIELD_BYTES)
		return err_set(e, ERR_TOO_LARGE, "the field %s is longer than "
		    "%d bytes", s->name, FORM_MAX_LARGE_FIELD_BYTES);
	return write_out(m, data, len, e);
}

static enum err_code
keep(struct multipart *m, const char *data, size_t len, struct err *e)
{
	enum err_code rc;

	if (m->step == STEP_PREAMBLE || len == 0)
		return ERR_OK;
	rc = m->sink.is_file ? write_out(m, data, len, e) :
	    keep_text(m, data, len, e);
	m->sink.size += (int64_t)len;
	return rc;
}

static void
sink_close(struct multipart *m)
{
	struct sink *s = &m->sink;

	if (s->fd >= 0)
		close(s->fd);
	free(s->name);
	strbuf_release(&s->text);
	memset(s, 0, sizeof(*s));
	strbuf_init(&s->text, FORM_MAX_FIELD_BYTES);
	s->fd = -1;
	m->out_len = 0;
}

/* The part is complete. */
static enum err_code
end_part(struct multipart *m, struct err *e)
{
	struct sink *s = &m->sink;
	enum err_code rc = ERR_OK;

	if (s->fd >= 0)
		rc = flush(m, e);
	if (rc != ERR_OK)
		return rc;
	if (s->is_file) {
		s->file->size = s->size;
		digest_hex(&s->digest, s->file->sha256);
	} else if (s->spill != NULL) {
		s->spill->len = (size_t)s->size;
	} else {
		rc = form_add(m->form, s->name, s->text.buf, s->text.len, e);
	}
	sink_close(m);
	return rc;
}

static enum err_code
begin_file(struct multipart *m, const struct part_head *h, struct err *e)
{
	struct form_file *file;
	char *tmp = NULL;
	enum err_code rc;

	if (m->form->n_files == FORM_MAX_FILES || m->form->uploads_dirfd < 0)
		return err_set(e, ERR_INVALID, "the form has more than %d "
		    "files", m->form->uploads_dirfd < 0 ? 0 : FORM_MAX_FILES);
	rc = upload_create(m->form->uploads_dirfd, &tmp, &m->sink.fd, e);
	if (rc != ERR_OK)
		return rc;
	file = &m->form->files[m->form->n_files++];
	memset(file, 0, sizeof(*file));
	file->name = xstrdup(h->name);
	file->filename = xstrdup(h->filename);
	file->content_type = xstrdup(h->content_type);
	file->tmp = tmp;
	m->sink.file = file;
	m->sink.is_file = true;
	digest_init(&m->sink.digest);
	return ERR_OK;
}

/* All headers of a part are there. */
static enum err_code
begin_part(struct multipart *m, struct err *e)
{
	struct part_head h;
	enum err_code rc;

	rc = part_read(m->headers.buf, m->headers.len, &h, e);
	if (rc != ERR_OK)
		return rc;
	m->sink.name = xstrdup(h.name);
	strbuf_reset(&m->headers);
	return h.has_filename || h.has_extended ? begin_file(m, &h, e) : ERR_OK;
}

/* --- the parser ------------------------------------------------------------------ */

/* One byte between a boundary and the end of its line. */
static enum err_code
after_boundary(struct multipart *m, char c, struct err *e)
{
	bool is_padding = c == ' ' || c == '\t', ok = true;

	switch (m->step) {
	case STEP_BOUNDARY:
		ok = c == '-' || c == '\r' || is_padding;
		m->step = c == '-' ? STEP_DASH : c == '\r' ? STEP_LINE_END :
		    STEP_PADDING;
		break;
	case STEP_DASH:
		ok = c == '-';
		m->step = STEP_EPILOGUE;
		break;
	case STEP_PADDING:
		ok = c == '\r' || is_padding;
		if (c == '\r')
			m->step = STEP_LINE_END;
		break;
	case STEP_LINE_END:
		ok = c == '\n';
		m->step = STEP_HEADERS;
		break;
	case STEP_PREAMBLE:
	case STEP_HEADERS:
	case STEP_CONTENT:
	case STEP_EPILOGUE:
		break;
	}
	if (!ok)
		return err_set(e, ERR_INVALID, "the multipart body has text "
		    "directly behind a boundary");
	return ERR_OK;
}

/* One byte of the headers; an empty line ends them. */
static enum err_code
add_header_byte(struct multipart *m, char c, struct err *e)
{
	struct strbuf *h = &m->headers;

	strbuf_addch(h, c);
	if (strbuf_overflowed(h))
		return err_set(e, ERR_INVALID, "the headers of a part of the "
		    "multipart body are longer than %d bytes",
		    MAX_PART_HEADER_BYTES);
	if (c != '\n')
		return ERR_OK;
	if ((h->len == 2 && h->buf[0] == '\r') ||
	    (h->len >= 4 && memcmp(h->buf + h->len - 4, "\r\n\r\n", 4) == 0)) {
		m->step = STEP_CONTENT;
		return begin_part(m, e);
	}
	return ERR_OK;
}

/* Content up to the next delimiter or the end of data; *p moves on. */
static enum err_code
scan_content(struct multipart *m, const char **p, const char *end,
    struct err *e)
{
	const char *from = *p, *cr;
	size_t matched;
	enum err_code rc;

	if (m->matched == 0) {
		cr = memchr(from, '\r', (size_t)(end - from));
		*p = cr != NULL ? cr + 1 : end;
		m->matched = cr != NULL;
		return keep(m, from, (size_t)((cr != NULL ? cr : end) - from),
		    e);
	}
	while (*p < end && m->matched < m->delimiter_len &&
	    **p == m->delimiter[m->matched]) {
		m->matched++;
		(*p)++;
	}
	if (m->matched == m->delimiter_len) {
		rc = m->step == STEP_CONTENT ? end_part(m, e) : ERR_OK;
		m->step = STEP_BOUNDARY;
		m->matched = 0;
		return rc;
	}
	if (*p == end)
		return ERR_OK;
	matched = m->matched;
	m->matched = 0;
	return keep(m, m->delimiter, matched, e);
}

enum err_code
multipart_feed(struct multipart *m, const char *data, size_t len,
    struct err *e)
{
	const char *p = data, *end = data + len;
	enum err_code rc = ERR_OK;

	while (p < end && rc == ERR_OK) {
		switch (m->step) {
		case STEP_PREAMBLE:
		case STEP_CONTENT:
			rc = scan_content(m, &p, end, e);
			break;
		case STEP_BOUNDARY:
		case STEP_DASH:
		case STEP_PADDING:
		case STEP_LINE_END:
			rc = after_boundary(m, *p++, e);
			break;
		case STEP_HEADERS:
			rc = add_header_byte(m, *p++, e);
			break;
		case STEP_EPILOGUE:
			p = end;
			break;
		}
	}
	return rc;
}

enum err_code
multipart_end(struct multipart *m, struct err *e)
{
	if (m->step != STEP_EPILOGUE)
		return err_set(e, ERR_INVALID, "the multipart body ends "
		    "before its closing boundary");
	return ERR_OK;
}

void
multipart_free(struct multipart *m)
{
	if (m == NULL)
		return;
	sink_close(m);
	strbuf_release(&m->headers);
	free(m->out);
	free(m);
}
