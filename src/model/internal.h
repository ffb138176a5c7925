/*
 * What the files of this room share and no other room sees, for its lower
 * half: waiting, bodies, sinks, groups.  The upper half (calls, gates, ledger)
 * is in call.h.
 */
#ifndef MODEL_INTERNAL_H
#define MODEL_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "digest.h"
#include "http.h"

/* --- waiting (cancel.c) -------------------------------------------------- */

void cond_init_monotonic(pthread_cond_t *cond);
/* Wait until the monotonic time (INT64_MAX: for ever); false when it came. */
bool cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock,
    int64_t mono_ms);
/* now + wait; INT64_MAX when wait is negative (no limit). */
int64_t mono_after(int64_t now_ms, int64_t wait_ms);

/* Somebody to be woken when the cancel fires. c may be NULL. */
struct cancel_watch {
	struct cancel_watch *next, *prev;
	void (*wake)(void *arg);	/* takes its owner's lock only */
	void *arg;
};

void cancel_watch_add(struct cancel *c, struct cancel_watch *w);
void cancel_watch_remove(struct cancel *c, struct cancel_watch *w);

/* --- bodies (body.c) ----------------------------------------------------- */

struct body_cursor {
	int piece;
	int64_t offset;		/* on the wire, within the piece */
};

/* The next bytes of the body: as many as fit, 0 at its end, -1 when a file
 * cannot be read. */
ssize_t body_read(const struct http_body *b, struct body_cursor *at, void *buf,
    size_t len);

/* --- sinks (sink.c) ------------------------------------------------------ */

enum sink_state { SINK_OUTSIDE, SINK_STRING, SINK_BLOB };

/* Position within an escape; counts down over the digits of \uXXXX. */
enum sink_escape { ESC_NONE, ESC_BEGUN, ESC_HEX1, ESC_HEX2, ESC_HEX3,
	ESC_HEX4 = ESC_BEGUN + 4 };

struct sink {
	/* wanted */
	size_t max_string;
	int64_t max_blob;	/* 0: no blobs */
	int dirfd;		/* its own; -1: none */
	char *prefix;
	bool raw;
	/* so far */
	struct strbuf text;
	enum sink_state state;
	bool backslash;		/* SINK_STRING: the last byte was one */
	size_t string_at;	/* SINK_STRING: where it begins in text */
	int fd[HTTP_MAX_BLOBS];
	bool blob_invalid[HTTP_MAX_BLOBS];
	int n_blobs;
	int64_t blob_bytes;	/* of the last blob */
	struct base64_decode_ctx b64;
	enum sink_escape esc;	/* SINK_BLOB */
	unsigned esc_value;
	/* the first failure */
	enum http_failure failure;	/* HTTP_FINE, _TOO_LARGE or _LOCAL */
	struct err err;
};

/* dirfd is taken over and closed by sink_release(). */
void sink_init(struct sink *s, const struct http_request *req, int dirfd);
/* More of the answer; false once it has failed. */
bool sink_feed(struct sink *s, int status, const char *data, size_t len);
/* Make the blobs durable and close them. */
enum err_code sink_sync(struct sink *s, struct err *e);
/* Remove the blobs that were made. */
void sink_discard(struct sink *s);
void sink_release(struct sink *s);

/* --- groups (http.c) ----------------------------------------------------- */

/* http_group_wait() that also waits when nothing is under way, and returns
 * false early after http_group_wake(). */
bool http_group_poll(struct http_group *g, int64_t timeout_ms, int *tag,
    struct http_answer *out);
/* Stop everything under way, keeping what is done. */
void http_group_abort(struct http_group *g);
/* From any thread, while the group exists. */
void http_group_wake(struct http_group *g);

#endif
