/*
 * Errors: the one table that says, per code, its name, the HTTP status of a
 * request that ends with it and whether trying again can help.
 *
 * A message is shown to users, written to logs and put into JSON.  Whatever
 * was formatted into it, what is stored is one line of well-formed UTF-8:
 * that is ensured here, so that no reader has to.
 */
#include "err.h"

#include <assert.h>
#include <errno.h>

#include "internal.h"
#include "xalloc.h"

#define ERRNO_TEXT_MAX 128

static const struct {
	const char *name;
	int http_status;
	bool retryable;
} codes[] = {
	[ERR_OK] =		{ "ok",		200, false },
	[ERR_INVALID] =		{ "invalid",	400, false },
	[ERR_BUDGET] =		{ "budget",	402, false },
	[ERR_TYPE] =		{ "type",	422, false },
	[ERR_FORBIDDEN] =	{ "forbidden",	403, false },
	[ERR_NOT_FOUND] =	{ "not_found",	404, false },
	[ERR_CONFLICT] =	{ "conflict",	409, false },
	[ERR_TOO_LARGE] =	{ "too_large",	413, false },
	[ERR_SLOW] =		{ "slow",	408, true },
	[ERR_BUSY] =		{ "busy",	503, true },
	[ERR_FULL] =		{ "full",	503, true },
	[ERR_LOST] =		{ "lost",	500, false },
	[ERR_CANCELLED] =	{ "cancelled",	503, false },
	[ERR_TIMEOUT] =		{ "timeout",	504, true },
	[ERR_MODEL] =		{ "model",	502, false },
	[ERR_CONFIG] =		{ "config",	500, false },
	[ERR_SYSTEM] =		{ "system",	500, false },
};

_Static_assert(ARRAY_LEN(codes) == ERR__COUNT, "a code has no row");

/* Store text as e's message: one line, well-formed, cut where it must be. */
static void
store_message(struct err *e, const char *text)
{
	size_t len, i, n;
	char c;

	len = strlen(text);
	if (len >= sizeof(e->msg))
		len = utf8_cut(text, sizeof(e->msg) - 1);
	for (i = 0; i < len; i += n) {
		n = utf8_char_len(text + i, len - i);
		if (n <= 1) {
			c = text[i];
			if (n == 0 || iscntrl((unsigned char)c))
				c = '?';
			e->msg[i] = c;
			n = 1;
		} else {
			memcpy(e->msg + i, text + i, n);
		}
	}
	e->msg[len] = '\0';
}

enum err_code
err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	char text[2 * ERR_MSG_MAX];	/* an argument may be e->msg itself */
	va_list ap;

	assert(code > ERR_OK && code < ERR__COUNT);
	if (e == NULL)
		return code;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	e->code = code;
	e->detail = 0;
	store_message(e, text);
	return code;
}

enum err_code
err_set_errno(struct err *e, enum err_code code, int errnum,
    const char *fmt, ...)
{
	char text[2 * ERR_MSG_MAX];
	char why[ERRNO_TEXT_MAX];
	va_list ap;

	if (errnum == ENOSPC || errnum == EDQUOT)
		code = ERR_FULL;
	if (e == NULL)
		return code;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(e, code, "%s: %s", text,
	    strerror_r(errnum, why, sizeof(why)));
}

enum err_code
err_wrap(struct err *e, const char *fmt, ...)
{
	char context[ERR_MSG_MAX];
	char text[2 * ERR_MSG_MAX + 2];
	va_list ap;

	/* Without a struct the code is the caller's; this one says so little
	 * that callers who may be given NULL return their own rc instead. */
	if (e == NULL)
		return ERR_SYSTEM;
	va_start(ap, fmt);
	vsnprintf(context, sizeof(context), fmt, ap);
	va_end(ap);
	snprintf(text, sizeof(text), "%s: %s", context, e->msg);
	store_message(e, text);
	return e->code;
}

void
err_clear(struct err *e)
{
	if (e == NULL)
		return;
	e->code = ERR_OK;
	e->detail = 0;
	e->msg[0] = '\0';
}

const char *
err_code_name(enum err_code code)
{
	if ((unsigned)code >= ERR__COUNT)
		return "unknown";
	return codes[code].name;
}

int
err_http_status(enum err_code code)
{
	if ((unsigned)code >= ERR__COUNT)
		return 500;
	return codes[code].http_status;
}

bool
err_is_retryable(enum err_code code)
{
	return (unsigned)code < ERR__COUNT && codes[code].retryable;
}
