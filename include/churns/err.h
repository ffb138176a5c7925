/*
 * Errors: a code for the program and a sentence for a person.
 *
 * Every function that can fail returns an enum err_code and takes a struct
 * err * as its last parameter.  The callee fills it, the callers in between
 * add context once with err_wrap(), and the top (a main loop, a request
 * handler) logs or answers it once.  Passing NULL for the struct is allowed.
 * Our own bugs are asserted, not reported.
 *
 * One table in err.c answers, per code, which HTTP status it has and whether
 * trying again can help; no caller decides that by itself.
 */
#ifndef CHURNS_ERR_H
#define CHURNS_ERR_H

#include <stdarg.h>
#include <stdbool.h>

#include "banned.h"

#define ERR_MSG_MAX 512

enum err_code {
	ERR_OK = 0,
	ERR_INVALID,	/* a rule is broken; trying again is useless: 400 */
	ERR_BUDGET,	/* it would cost more than may be spent: 402; detail is an enum budget_detail */
	ERR_TYPE,	/* a field is missing or of the wrong type: 422 */
	ERR_FORBIDDEN,	/* 403 */
	ERR_NOT_FOUND,	/* 404 */
	ERR_CONFLICT,	/* somebody else changed it meanwhile: 409 */
	ERR_TOO_LARGE,	/* a size limit: 413 */
	ERR_SLOW,	/* the other end took too long to say it: 408 */
	ERR_BUSY,	/* a lock or a queue was full too long: 503, retry */
	ERR_FULL,	/* no space on disk: 503, retry */
	ERR_LOST,	/* our lease ended; somebody else has the job */
	ERR_CANCELLED,	/* the user or a shutdown wants us to stop */
	ERR_TIMEOUT,	/* a deadline passed: 504, retry */
	ERR_MODEL,	/* a model call failed; detail is an enum model_fault */
	ERR_CONFIG,	/* the configuration is wrong: exit 78 */
	ERR_SYSTEM,	/* the operating system, the database, a broken row: 500 */
	ERR__COUNT
};

struct err {
	enum err_code code;
	int detail;		/* meaning depends on code; 0 when unused */
	char msg[ERR_MSG_MAX];	/* one line, no newline, safe to show */
};

#define ERR_INIT { ERR_OK, 0, "" }

/*
 * Set code and message and return the code, so that a failing function can
 * end in one line.  Longer messages are cut; control characters become '?'.
 */
enum err_code err_set(struct err *e, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with the text of errnum ("fmt: No such file or directory").
 * ENOSPC and EDQUOT become ERR_FULL, ENOENT stays the code given. */
enum err_code err_set_errno(struct err *e, enum err_code code, int errnum,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Put "context: " in front of the message; code and detail stay. Returns the
 * code, so "return err_wrap(e, ...)" works; without a struct the code is not
 * known here and ERR_SYSTEM is returned, so where e may be NULL return rc. */
enum err_code err_wrap(struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

void err_clear(struct err *e);

/* "invalid", "not_found", ...: for logs. Never NULL. */
const char *err_code_name(enum err_code code);

/* The HTTP status a request that failed with this code is answered with. */
int err_http_status(enum err_code code);

/* Can the same thing succeed later without anyone changing it? */
bool err_is_retryable(enum err_code code);

#endif
