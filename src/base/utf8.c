/*
 * UTF-8, read by the table of the standard (Unicode, table 3-7): a lead byte
 * says how many follow, and four of them narrow the range of the second, which
 * is what keeps overlong forms and surrogates out.
 */
#include "utf8.h"

#include "strbuf.h"

size_t
utf8_char_len(const char *s, size_t n)
{
	const unsigned char *u = (const unsigned char *)s;
	unsigned char low = 0x80, high = 0xbf;	/* range of the second byte */
	size_t len, i;

	if (n == 0)
		return 0;
	if (u[0] < 0x80)
		return 1;
	if (u[0] >= 0xc2 && u[0] <= 0xdf)
		len = 2;
	else if (u[0] >= 0xe0 && u[0] <= 0xef)
		len = 3;
	else if (u[0] >= 0xf0 && u[0] <= 0xf4)
		len = 4;
	else
		return 0;
	if (n < len)
		return 0;
	if (u[0] == 0xe0)
		low = 0xa0;
	else if (u[0] == 0xed)
		high = 0x9f;
	else if (u[0] == 0xf0)
		low = 0x90;
	else if (u[0] == 0xf4)
		high = 0x8f;
	if (u[1] < low || u[1] > high)
		return 0;
	for (i = 2; i < len; i++)
		if ((u[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

bool
utf8_is_valid(const char *s, size_t n)
{
	size_t i, len;

	for (i = 0; i < n; i += len) {
		len = utf8_char_len(s + i, n - i);
		if (len == 0)
			return false;
	}
	return true;
}

size_t
utf8_cut(const char *s, size_t n)
{
	size_t start = n;

	/* s[n] may be beyond the string: only what is before it is read. */
	while (start > 0 && n - start < 4) {
		start--;
		if (((unsigned char)s[start] & 0xc0) != 0x80)
			break;
	}
	if (n - start == 0 || (unsigned char)s[start] < 0xc2)
		return n;
	if (utf8_char_len(s + start, n - start) > 0)
		return n;
	/* A lead byte without its rest: cut before it, if a rest is what is
	 * missing and not that the byte never led anywhere. */
	if ((unsigned char)s[start] >= 0xf0)
		return n - start < 4 ? start : n;
	if ((unsigned char)s[start] >= 0xe0)
		return n - start < 3 ? start : n;
	return n - start < 2 ? start : n;
}

size_t
utf8_count(const char *s, size_t n)
{
	size_t i, count = 0;

	for (i = 0; i < n; i++)
		if (((unsigned char)s[i] & 0xc0) != 0x80)
			count++;
	return count;
}

int64_t
utf8_length(const char *s, size_t n)
{
	return utf8_is_valid(s, n) ? (int64_t)utf8_count(s, n) : -1;
}

bool
utf8_add_clean(struct strbuf *sb, const char *s, size_t n)
{
	size_t i, len, from = 0;	/* s[from..i) is still to be copied */
	bool clean = true;

	for (i = 0; i < n; i += len) {
		len = utf8_char_len(s + i, n - i);
		if (len > 0 && s[i] != '\0')
			continue;
		strbuf_add(sb, s + from, i - from);
		strbuf_addstr(sb, UTF8_REPLACEMENT);
		clean = false;
		len = 1;
		from = i + 1;
	}
	if (from < n)
		strbuf_add(sb, s + from, n - from);
	return clean;
}
