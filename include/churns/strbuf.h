/*
 * A growing string that is always NUL-terminated, knows its maximum and,
 * once over it, ignores further writes and remembers.  Append freely and ask
 * strbuf_overflowed() once, where the buffer is used.
 */
#ifndef CHURNS_STRBUF_H
#define CHURNS_STRBUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "banned.h"

struct strbuf {
	char *buf;		/* never NULL; "" (static) until the first write */
	size_t len;		/* without the NUL */
	size_t alloc;		/* 0 while buf is the static empty string */
	size_t max;		/* largest len allowed */
	bool overflow;
};

extern char strbuf_empty[1];

#define STRBUF_INIT(max_bytes) { strbuf_empty, 0, 0, (max_bytes), false }

void strbuf_init(struct strbuf *sb, size_t max_bytes);
void strbuf_release(struct strbuf *sb);	/* usable again afterwards, empty */
void strbuf_reset(struct strbuf *sb);	/* len 0, overflow forgotten, memory kept */
void strbuf_add(struct strbuf *sb, const void *data, size_t len);
void strbuf_addstr(struct strbuf *sb, const char *s);	/* NULL adds nothing */
void strbuf_addch(struct strbuf *sb, char c);
void strbuf_addf(struct strbuf *sb, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void strbuf_vaddf(struct strbuf *sb, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));
void strbuf_truncate(struct strbuf *sb, size_t len);	/* len <= sb->len */
void strbuf_trim(struct strbuf *sb);	/* white space at both ends */
bool strbuf_overflowed(const struct strbuf *sb);

/* Give the string away (to be freed with free()) and start empty again. */
char *strbuf_detach(struct strbuf *sb);

/* JSON string contents of s (no quotes around): ", \ and controls escaped. */
void strbuf_add_json_escaped(struct strbuf *sb, const char *s, size_t len);

#endif
