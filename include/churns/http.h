/*
 * HTTP to model providers: one thread around one curl_multi, with keep-alive.
 * Nothing outside http.c knows libcurl.
 *
 * A calling thread makes a group, adds requests and waits for them one by one
 * in the order they finish; many threads do so at once.  The curl thread never
 * runs a caller's code except reading a body and filling an answer.
 *
 * Request bodies are lists of pieces (memory, a file's bytes, a file's bytes
 * as base64), read through a callback without a seek callback, so that libcurl
 * cannot silently send a body twice.
 *
 * Answers: JSON strings longer than SINK_STRING_MAX bytes never enter memory.
 * Each is written to a file of its own ("blob") as it arrives, base64-decoded,
 * and replaced in the text by "@blob:N" (N from 0).  What stays in memory is
 * capped at max_text_bytes, and all answers being received together at
 * max_in_flight_bytes (further ones wait).
 */
#ifndef CHURNS_HTTP_H
#define CHURNS_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "strbuf.h"

#define SINK_STRING_MAX 65536
#define HTTP_MAX_BLOBS 8
#define HTTP_MAX_HEADERS 12

/* --- stopping ------------------------------------------------------------- */

/* A flag that somebody may raise while others wait: every wait that was given
 * it returns at once. Reference-counted by its users themselves: the owner
 * frees it after all of them have gone. */
struct cancel;

struct cancel *cancel_new(void);
void cancel_free(struct cancel *c);
/* First one wins. code is ERR_CANCELLED, ERR_LOST or ERR_TIMEOUT. */
void cancel_fire(struct cancel *c, enum err_code code);
enum err_code cancel_code(struct cancel *c);	/* ERR_OK until fired; NULL: ERR_OK */
/* Sleep; true when it was cut short by cancel_fire(). c may be NULL. */
bool cancel_sleep(struct cancel *c, int64_t ms);

/* --- bodies ---------------------------------------------------------------- */

struct http_body;

struct http_body *http_body_new(void);
void http_body_free(struct http_body *b);
void http_body_text(struct http_body *b, const char *text, size_t len);	/* copied */
/* The file is opened now and read while sending; it must not change. */
enum err_code http_body_file(struct http_body *b, int dirfd, const char *path,
    bool base64, struct err *e);
int64_t http_body_length(const struct http_body *b);
int64_t http_body_text_length(const struct http_body *b);	/* without files */
/* Hash over everything that would be sent. */
enum err_code http_body_hash(struct http_body *b, char out[65], struct err *e);
/* Everything that would be sent, for tests and "churnsctl prompt". */
enum err_code http_body_render(struct http_body *b, struct strbuf *out,
    struct err *e);

/* --- one request ----------------------------------------------------------- */

struct http_request {
	const char *method;	/* "GET", "POST" */
	const char *url;
	const char *headers[HTTP_MAX_HEADERS];	/* "Name: value", copied; NULL ends */
	struct http_body *body;	/* taken over by http_group_add(); NULL: none */
	int connect_timeout_ms;
	int total_timeout_ms;
	int max_connections;	/* per host; 0: no limit */
	bool http2;
	size_t max_text_bytes;	/* of the answer without its blobs */
	int64_t max_blob_bytes;	/* of one blob; 0: an over-long string is an error */
	int blob_dirfd;		/* where blobs are made; -1: none */
	const char *blob_prefix;	/* copied; the files are PREFIX.N */
	bool raw_to_blob;	/* the whole answer is blob 0 (picture download) */
	/* Strings longer than this leave the text (0: SINK_STRING_MAX); for
	 * answers that are text and are wanted in memory up to max_text_bytes. */
	size_t max_string_bytes;
};

enum http_failure {
	HTTP_FINE,		/* an answer with some status arrived whole */
	HTTP_NOT_SENT,		/* resolve, connect, TLS: certainly not received */
	HTTP_TIMEOUT,		/* after something was sent */
	HTTP_BROKEN,		/* reset or cut off after something was sent */
	HTTP_TOO_LARGE,		/* answer over its limits */
	HTTP_LOCAL,		/* our disk or memory; message says what */
	HTTP_CANCELLED
};

struct http_answer {
	enum http_failure failure;
	int status;		/* 0 without an answer */
	bool connect_timeout;	/* HTTP_NOT_SENT because of time */
	struct strbuf text;	/* body without its blobs; may be partial */
	int n_blobs;		/* files written and fsynced: PREFIX.0 ... */
	bool blob_invalid[HTTP_MAX_BLOBS];	/* it was not base64 after all */
	int64_t retry_after_ms;	/* -1: not said */
	char request_id[80];	/* the provider's, for logs; "" if none */
	char message[256];	/* one line, when not HTTP_FINE */
	int64_t total_ms;
	enum err_code local;	/* HTTP_LOCAL: ERR_FULL or ERR_SYSTEM */
};

void http_answer_release(struct http_answer *a);	/* files stay */

/* --- the thread, and groups ------------------------------------------------ */

struct http;
struct http_group;

struct http_options {
	int64_t max_in_flight_bytes;
	const char *ca_file;	/* NULL: the system's */
};

enum err_code http_new(const struct http_options *opts, struct http **out,
    struct err *e);
void http_free(struct http *h);		/* aborts what is under way */

/* A group belongs to one thread. cancel may be NULL. */
struct http_group *http_group_new(struct http *h, struct cancel *cancel);
/* Aborts what is under way and returns at once; never waits for the network. */
void http_group_free(struct http_group *g);

/* Start req; tag comes back with its answer. */
void http_group_add(struct http_group *g, const struct http_request *req,
    int tag);

/*
 * Wait for the next finished request: true with *tag and *out (to be
 * released). False when timeout_ms (-1: none) is over, the cancel was fired
 * (all requests of the group are aborted then), or none is under way.
 */
bool http_group_wait(struct http_group *g, int64_t timeout_ms, int *tag,
    struct http_answer *out);
int http_group_pending(const struct http_group *g);

struct http_stats {
	int64_t requests, connections, in_flight, in_flight_bytes;
};
void http_get_stats(struct http *h, struct http_stats *out);

#endif
