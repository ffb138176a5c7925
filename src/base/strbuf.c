/*
 * A growing string with a maximum.
 *
 * A write that does not fit is left out whole and so is everything after it:
 * a buffer that overflowed holds a prefix of what was written, cut between
 * two writes.  That is why overflow is asked once, at the end, and why
 * nothing that overflowed is used.
 *
 * buf points at a shared empty string until the first byte is stored; alloc
 * 0 says so.  Nobody writes through buf without going through here, so the
 * shared string stays empty.
 */
#include "strbuf.h"

#include <assert.h>
#include <stdint.h>

#include "utf8.h"
#include "xalloc.h"

#define ALLOC_FIRST 64

char strbuf_empty[1] = "";

/* Make room for len more bytes and the NUL; false when that is too much. */
static bool
make_room(struct strbuf *sb, size_t len)
{
	size_t need, size;
	char *buf;

	if (sb->overflow)
		return false;
	if (sb->len > sb->max || len > sb->max - sb->len ||
	    len >= SIZE_MAX - sb->len) {
		sb->overflow = true;
		return false;
	}
	need = sb->len + len + 1;
	if (need <= sb->alloc)
		return true;
	size = sb->alloc > SIZE_MAX / 2 ? need : sb->alloc * 2;
	if (size < ALLOC_FIRST)
		size = ALLOC_FIRST;
	if (size < need)
		size = need;
	if (sb->max < SIZE_MAX && size > sb->max + 1)
		size = sb->max + 1;
	buf = xrealloc_array(sb->alloc > 0 ? sb->buf : NULL, size, 1);
	if (sb->alloc == 0)
		buf[0] = '\0';
	sb->buf = buf;
	sb->alloc = size;
	return true;
}

void
strbuf_init(struct strbuf *sb, size_t max_bytes)
{
	sb->buf = strbuf_empty;
	sb->len = 0;
	sb->alloc = 0;
	sb->max = max_bytes;
	sb->overflow = false;
}

void
strbuf_release(struct strbuf *sb)
{
	if (sb->alloc > 0)
		free(sb->buf);
	strbuf_init(sb, sb->max);
}

void
strbuf_reset(struct strbuf *sb)
{
	sb->overflow = false;
	strbuf_truncate(sb, 0);
}

void
strbuf_add(struct strbuf *sb, const void *data, size_t len)
{
	if (len == 0 || !make_room(sb, len))
		return;
	memcpy(sb->buf + sb->len, data, len);
	sb->len += len;
	sb->buf[sb->len] = '\0';
}

void
strbuf_addstr(struct strbuf *sb, const char *s)
{
	if (s != NULL)
		strbuf_add(sb, s, strlen(s));
}

void
strbuf_addch(struct strbuf *sb, char c)
{
	strbuf_add(sb, &c, 1);
}

void
strbuf_addf(struct strbuf *sb, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(sb, fmt, ap);
	va_end(ap);
}

void
strbuf_vaddf(struct strbuf *sb, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	assert(n >= 0);
	if (n > 0 && make_room(sb, (size_t)n)) {
		vsnprintf(sb->buf + sb->len, (size_t)n + 1, fmt, again);
		sb->len += (size_t)n;
	}
	va_end(again);
}

void
strbuf_truncate(struct strbuf *sb, size_t len)
{
	assert(len <= sb->len);
	sb->len = len;
	if (sb->alloc > 0)
		sb->buf[len] = '\0';
}

void
strbuf_trim(struct strbuf *sb)
{
	size_t start = 0, end = sb->len;

	while (end > 0 && isspace((unsigned char)sb->buf[end - 1]))
		end--;
	while (start < end && isspace((unsigned char)sb->buf[start]))
		start++;
	if (start > 0)
		memmove(sb->buf, sb->buf + start, end - start);
	strbuf_truncate(sb, end - start);
}

bool
strbuf_overflowed(const struct strbuf *sb)
{
	return sb->overflow;
}

char *
strbuf_detach(struct strbuf *sb)
{
	char *s;

	s = sb->alloc > 0 ? sb->buf : xstrdup("");
	strbuf_init(sb, sb->max);
	return s;
}

static void
add_json_control(struct strbuf *sb, unsigned char c)
{
	switch (c) {
	case '"':
		strbuf_addstr(sb, "\\\"");
		break;
	case '\\':
		strbuf_addstr(sb, "\\\\");
		break;
	case '\b':
		strbuf_addstr(sb, "\\b");
		break;
	case '\f':
		strbuf_addstr(sb, "\\f");
		break;
	case '\n':
		strbuf_addstr(sb, "\\n");
		break;
	case '\r':
		strbuf_addstr(sb, "\\r");
		break;
	case '\t':
		strbuf_addstr(sb, "\\t");
		break;
	default:
		strbuf_addf(sb, "\\u%04x", c);
		break;
	}
}

/*
 * Bytes that are not UTF-8 become U+FFFD: a JSON text with them in it would
 * be refused whole by its reader.
 */
void
strbuf_add_json_escaped(struct strbuf *sb, const char *s, size_t len)
{
	size_t i, n, plain = 0;		/* s[plain..i) is still to be copied */

	for (i = 0; i < len; i += n) {
		n = utf8_char_len(s + i, len - i);
		if (n > 1)
			continue;
		if (n == 1 && s[i] != '"' && s[i] != '\\' &&
		    !iscntrl((unsigned char)s[i]))
			continue;
		strbuf_add(sb, s + plain, i - plain);
		if (n == 0)
			strbuf_addstr(sb, UTF8_REPLACEMENT);
		else
			add_json_control(sb, (unsigned char)s[i]);
		n = 1;
		plain = i + 1;
	}
	if (plain < len)
		strbuf_add(sb, s + plain, len - plain);
}
