/*
 * UTF-8: what is a character of a text that others wrote, and how many.
 *
 * Well-formed means RFC 3629: no overlong form, no surrogate, at most U+10FFFF.
 */
#ifndef CHURNS_UTF8_H
#define CHURNS_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct strbuf;

#define UTF8_REPLACEMENT "\xef\xbf\xbd"		/* U+FFFD */

/* Bytes of the character s starts with, when it is whole within n bytes and
 * well-formed; otherwise 0. */
size_t utf8_char_len(const char *s, size_t n);

/* Is all of s well-formed? */
bool utf8_is_valid(const char *s, size_t n);

/* The largest length <= n at which s can be cut without splitting a
 * character.  Malformed bytes count as characters of their own. */
size_t utf8_cut(const char *s, size_t n);

/* Characters of a text known to be well-formed. */
size_t utf8_count(const char *s, size_t n);

/* The same of any text; -1 when it is not UTF-8. */
int64_t utf8_length(const char *s, size_t n);

/* Append s; what is not UTF-8, and NUL, becomes U+FFFD, so that nobody above
 * has to ask again: databases refuse the first, C strings end at the second.
 * True when nothing had to be replaced. */
bool utf8_add_clean(struct strbuf *sb, const char *s, size_t n);

#endif
