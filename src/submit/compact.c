/*
 * JSON with long strings in it, without ever holding it whole.
 *
 * Pictures travel as base64 inside JSON, up to 70 MB of it.  A string-aware
 * scan copies the text with every long string replaced by a mark; the small
 * copy is parsed like any other JSON, and whoever meets a mark reads the string
 * in pieces from where it lies, usually a mapped file, whose pages are given
 * back behind the reader.
 *
 * A mark holds a random part that is new each time, so that no client can write
 * one.  Nothing is validated here: the parser sees all but the insides of the
 * long strings, and their readers take nothing but what they expect in them.
 */
#include "internal.h"

#include "digest.h"
#include "file.h"
#include "id.h"
#include "xalloc.h"

#define DECODE_BYTES 49152
#define WRITE_BYTES 65536

void
compact_init(struct compact *c, size_t max_bytes, size_t long_bytes)
{
	char id[ID_MAX];

	memset(c, 0, sizeof(*c));
	strbuf_init(&c->text, max_bytes);
	c->long_bytes = long_bytes;
	id_new(id);
	snprintf(c->mark, sizeof(c->mark), "@long-%s:", id);
}

void
compact_release(struct compact *c)
{
	strbuf_release(&c->text);
}

/* The end of a string that begins behind its opening quote. */
static const char *
string_end(const struct compact *c, const char *begin, const char *end)
{
	const char *q = begin, *from, *stop;

	do {
		from = q;
		stop = end - q > FORGET_BYTES ? q + FORGET_BYTES : end;
		while (q < stop && *q != '"')
			q += *q == '\\' && q + 1 < end ? 2 : 1;
		if (c->mapped && q >= stop)
			mapped_forget(from, q);
	} while (q < end && *q != '"');
	return q;
}

/* One string, p at its opening quote; returns what follows it. */
static const char *
compact_string(struct compact *c, const char *p, const char *end)
{
	const char *begin = p + 1, *q = string_end(c, begin, end);

	if ((size_t)(q - begin) < c->long_bytes ||
	    c->n == MAX_LONG_STRINGS) {
		strbuf_add(&c->text, p, (size_t)(q - p));
	} else {
		strbuf_addf(&c->text, "\"%s%d", c->mark, c->n);
		c->longs[c->n].p = begin;
		c->longs[c->n].len = (size_t)(q - begin);
		c->longs[c->n].mapped = c->mapped;
		c->n++;
	}
	if (q < end) {
		strbuf_addch(&c->text, '"');
		q++;
	}
	return q;
}

void
compact_json(struct compact *c, const char *text, size_t len, bool mapped)
{
	const char *p = text, *end = text + len, *q;

	c->mapped = mapped;
	while (p < end) {
		if (*p == '"') {
			p = compact_string(c, p, end);
			continue;
		}
		q = memchr(p, '"', (size_t)(end - p));
		if (q == NULL)
			q = end;
		strbuf_add(&c->text, p, (size_t)(q - p));
		p = q;
	}
}

const struct span *
compact_marked(const struct compact *c, const char *s)
{
	size_t len = strlen(c->mark);
	long n;

	if (strncmp(s, c->mark, len) != 0)
		return NULL;
	n = strtol(s + len, NULL, 10);
	return n >= 0 && n < c->n ? &c->longs[n] : NULL;
}

/* --- long strings in again -------------------------------------------------------- */

/* The raw characters of a long string, a few at a time. */
static enum err_code
write_span(const struct span *s, int fd, struct err *e)
{
	enum err_code rc = ERR_OK;
	size_t at, n;

	for (at = 0; at < s->len && rc == ERR_OK; at += n) {
		n = s->len - at < WRITE_BYTES ? s->len - at : WRITE_BYTES;
		rc = file_write_all(fd, s->p + at, n, e);
		if (s->mapped)
			mapped_forget(s->p + at, s->p + at + n);
	}
	return rc;
}

enum err_code
compact_expand(const struct compact *c, const char *text, int fd,
    struct err *e)
{
	const struct span *span;
	const char *mark;
	enum err_code rc;

	for (;;) {
		mark = strstr(text, c->mark);
		if (mark == NULL)
			return file_write_all(fd, text, strlen(text), e);
		rc = file_write_all(fd, text, (size_t)(mark - text), e);
		span = compact_marked(c, mark);
		if (rc == ERR_OK && span != NULL)
			rc = write_span(span, fd, e);
		if (rc != ERR_OK)
			return rc;
		text = mark + strlen(c->mark);
		text += strspn(text, "0123456789");
	}
}

/* --- reading a long string ----------------------------------------------------------- */

/* What follows the comma of a data URI; a bare base64 text has none. */
static struct span
payload(struct span s)
{
	const char *comma;

	if (s.len < 5 || strncmp(s.p, "data:", 5) != 0)
		return s;
	comma = memchr(s.p, ',', s.len);
	if (comma == NULL) {
		s.len = 0;
		return s;
	}
	s.len -= (size_t)(comma + 1 - s.p);
	s.p = comma + 1;
	return s;
}

static int
hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *p = strchr(digits, tolower((unsigned char)c));

	return c != '\0' && p != NULL ? (int)(p - digits) : -1;
}

/*
 * The next character of a JSON string as it stands in its text: '+' and '/'
 * may be written as escapes, and line breaks can only be. Other escapes are
 * not base64: -1.
 */
static int
next_char(struct span s, size_t *at)
{
	char c = s.p[(*at)++];
	int value = 0, digit, i;

	if (c != '\\')
		return (unsigned char)c;
	if (*at == s.len)
		return -1;
	c = s.p[(*at)++];
	switch (c) {
	case '/':
		return '/';
	case 'n':
	case 'r':
	case 't':
		return ' ';	/* white space, which base64 may have */
	case 'u':
		break;
	default:
		return -1;
	}
	for (i = 0; i < 4; i++) {
		digit = *at < s.len ? hex_digit(s.p[(*at)++]) : -1;
		if (digit < 0)
			return -1;
		value = value * 16 + digit;
	}
	return value < 0x80 ? value : -1;
}

bool
span_decode(struct span s, int64_t max_bytes, int fd, struct decoded *out,
    enum err_code *rc, struct err *e)
{
	struct base64_decode_ctx ctx;
	uint8_t bytes[BASE64_DECODE_LENGTH(DECODE_BYTES)];
	char chunk[DECODE_BYTES];
	struct digest digest;
	int64_t total = 0;
	size_t at = 0, from, n, got;
	int c;

	s = payload(s);
	digest_init(&digest);
	base64_decode_init(&ctx);
	while (at < s.len) {
		from = at;
		for (n = 0; n < sizeof(chunk) && at < s.len; n++) {
			c = next_char(s, &at);
			if (c < 0)
				return false;
			chunk[n] = (char)c;
		}
		if (s.mapped)
			mapped_forget(s.p + from, s.p + at);
		got = sizeof(bytes);
		if (!base64_decode_update(&ctx, &got, bytes, n, chunk))
			return false;
		total += (int64_t)got;
		if (total > max_bytes)
			return false;
		if (out != NULL)
			digest_add(&digest, bytes, got);
		*rc = file_write_all(fd, bytes, got, e);
		if (*rc != ERR_OK)
			return true;
	}
	if (!base64_decode_final(&ctx))
		return false;
	if (out != NULL) {
		out->size = total;
		digest_hex(&digest, out->sha256);
	}
	return total > 0 || out != NULL;
}

/* --- a string within a string ------------------------------------------------------- */

/* Characters on their way to a file. */
struct out {
	int fd;
	char buf[WRITE_BYTES];
	size_t n;
};

static enum err_code
flush(struct out *o, struct err *e)
{
	enum err_code rc = file_write_all(o->fd, o->buf, o->n, e);

	o->n = 0;
	return rc;
}

/* Four digits at *at, which is moved behind them; -1 when they are none. */
static int
read_unit(const struct span *s, size_t *at)
{
	int i, digit, value = 0;

	for (i = 0; i < 4; i++) {
		digit = *at < s->len ? hex_digit(s->p[(*at)++]) : -1;
		if (digit < 0)
			return -1;
		value = value * 16 + digit;
	}
	return value;
}

/* The code point of a \u escape, *at behind its u; -1. */
static int
read_code_point(const struct span *s, size_t *at)
{
	int high = read_unit(s, at), low;

	if (high < 0xd800 || high > 0xdfff)
		return high;
	if (high > 0xdbff || *at + 2 > s->len || s->p[*at] != '\\' ||
	    s->p[*at + 1] != 'u')
		return -1;
	*at += 2;
	low = read_unit(s, at);
	if (low < 0xdc00 || low > 0xdfff)
		return -1;
	return 0x10000 + (high - 0xd800) * 0x400 + (low - 0xdc00);
}

static void
put_code_point(struct out *o, int c)
{
	if (c < 0x80) {
		o->buf[o->n++] = (char)c;
	} else if (c < 0x800) {
		o->buf[o->n++] = (char)(0xc0 | c >> 6);
		o->buf[o->n++] = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		o->buf[o->n++] = (char)(0xe0 | c >> 12);
		o->buf[o->n++] = (char)(0x80 | (c >> 6 & 0x3f));
		o->buf[o->n++] = (char)(0x80 | (c & 0x3f));
	} else {
		o->buf[o->n++] = (char)(0xf0 | c >> 18);
		o->buf[o->n++] = (char)(0x80 | (c >> 12 & 0x3f));
		o->buf[o->n++] = (char)(0x80 | (c >> 6 & 0x3f));
		o->buf[o->n++] = (char)(0x80 | (c & 0x3f));
	}
}

/* One escape, *at behind its backslash. */
static bool
put_escape(struct out *o, const struct span *s, size_t *at)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	const char *name;
	int c;

	if (*at == s->len || s->p[*at] == '\0')
		return false;
	if (s->p[*at] == 'u') {
		(*at)++;
		c = read_code_point(s, at);
		if (c >= 0)
			put_code_point(o, c);
		return c >= 0;
	}
	name = strchr(names, s->p[(*at)++]);
	if (name != NULL)
		o->buf[o->n++] = values[name - names];
	return name != NULL;
}

bool
span_unescape(struct span s, int fd, enum err_code *rc, struct err *e)
{
	struct out *o = xcalloc(1, sizeof(*o));
	size_t at = 0, from = 0;
	bool ok = true;

	o->fd = fd;
	*rc = ERR_OK;
	while (at < s.len && ok && *rc == ERR_OK) {
		if (s.p[at] != '\\')
			o->buf[o->n++] = s.p[at++];
		else {
			at++;
			ok = put_escape(o, &s, &at);
		}
		if (o->n + 4 <= sizeof(o->buf))
			continue;
		*rc = flush(o, e);
		if (s.mapped)
			mapped_forget(s.p + from, s.p + at);
		from = at;
	}
	if (ok && *rc == ERR_OK)
		*rc = flush(o, e);
	free(o);
	return ok;
}
