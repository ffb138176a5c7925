/*
 * Allocations that end the process when there is no memory.
 *
 * The rule: only small, internally sized things come through here.  A size
 * of nothing still gives a pointer that can be freed, so that NULL never
 * means success.
 */
#include "xalloc.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

static void die_out_of_memory(void) __attribute__((noreturn));

/* Nothing here may allocate, so the log is out of reach. */
static void
die_out_of_memory(void)
{
	static const char text[] = "out of memory\n";
	ssize_t ignored;

	ignored = write(STDERR_FILENO, text, sizeof(text) - 1);
	(void)ignored;
	abort();
}

void *
xmalloc(size_t n)
{
	void *p;

	p = malloc(n > 0 ? n : 1);
	if (p == NULL)
		die_out_of_memory();
	return p;
}

void *
xcalloc(size_t n, size_t size)
{
	void *p;

	if (n == 0 || size == 0)
		n = size = 1;
	p = calloc(n, size);
	if (p == NULL)
		die_out_of_memory();
	return p;
}

void *
xrealloc_array(void *p, size_t n, size_t size)
{
	void *q;

	if (n == 0 || size == 0)
		n = size = 1;
	q = reallocarray(p, n, size);
	if (q == NULL)
		die_out_of_memory();
	return q;
}

char *
xstrdup(const char *s)
{
	if (s == NULL)
		return NULL;
	return xstrndup(s, strlen(s));
}

char *
xstrndup(const char *s, size_t n)
{
	size_t len;
	char *copy;

	if (s == NULL)
		return NULL;
	len = strnlen(s, n);
	copy = xmalloc(len + 1);
	memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

char *
xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *text = NULL;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		die_out_of_memory();
	return text;
}
