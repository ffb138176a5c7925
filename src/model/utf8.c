/*
 * Characters of texts that others wrote.
 *
 * Everything that leaves the reader of answers is well-formed UTF-8 without
 * a NUL, so that nobody above has to ask again: databases refuse the first,
 * C strings end at the second.
 */
#include "reading.h"

/* Lowest and highest second byte for a lead byte (RFC 3629, table 3-7 of the
 * Unicode standard): this is what keeps overlong forms and surrogates out. */
static bool
second_byte_fits(unsigned char lead, unsigned char second)
{
	switch (lead) {
	case 0xe0:
		return second >= 0xa0 && second <= 0xbf;
	case 0xed:
		return second >= 0x80 && second <= 0x9f;
	case 0xf0:
		return second >= 0x90 && second <= 0xbf;
	case 0xf4:
		return second >= 0x80 && second <= 0x8f;
	}
	return second >= 0x80 && second <= 0xbf;
}

static size_t
length_by_lead(unsigned char lead)
{
	if (lead < 0x80)
		return 1;
	if (lead >= 0xc2 && lead <= 0xdf)
		return 2;
	if (lead >= 0xe0 && lead <= 0xef)
		return 3;
	if (lead >= 0xf0 && lead <= 0xf4)
		return 4;
	return 0;
}

size_t
char_len(const char *s, size_t n)
{
	const unsigned char *u = (const unsigned char *)s;
	size_t len, i;

	if (n == 0)
		return 0;
	len = length_by_lead(u[0]);
	if (len == 0 || len > n)
		return 0;
	if (len > 1 && !second_byte_fits(u[0], u[1]))
		return 0;
	for (i = 2; i < len; i++)
		if ((u[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

bool
add_clean(struct strbuf *sb, const char *s, size_t n)
{
	size_t i, len, from = 0;	/* s[from..i) is still to be copied */
	bool clean = true;

	for (i = 0; i < n; i += len) {
		len = char_len(s + i, n - i);
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

size_t
count_chars(const char *s, size_t n)
{
	size_t i, count = 0;

	for (i = 0; i < n; i++)
		if (((unsigned char)s[i] & 0xc0) != 0x80)
			count++;
	return count;
}
