/*
 * Small allocations that abort the process when memory is exhausted, since
 * no caller could do anything useful.  Anything sized from outside goes
 * through a capped struct strbuf or is checked first.
 */
#ifndef CHURNS_XALLOC_H
#define CHURNS_XALLOC_H

#include <stddef.h>

#include "banned.h"

void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size);	/* zeroed, overflow-checked */
void *xrealloc_array(void *p, size_t n, size_t size);	/* overflow-checked */
char *xstrdup(const char *s);		/* NULL stays NULL */
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
