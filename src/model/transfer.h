/*
 * A request on its way, and what the two sides that handle it share: http.c
 * (the curl thread) and group.c (the callers).  http.c begins with the drawing.
 */
#ifndef MODEL_TRANSFER_H
#define MODEL_TRANSFER_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "internal.h"

#define HOST_MAX 300
#define CURL_TEXT_MAX 256	/* of curl's own error text */

struct curl_slist;

struct transfer {
	TAILQ_ENTRY(transfer) link;	/* in one list of struct http */
	TAILQ_ENTRY(transfer) of_group;	/* in one list of its group */
	struct http *http;
	struct http_group *group;	/* under lock; NULL: nobody wants it */
	int tag;
	char *method, *url;
	char host[HOST_MAX];	/* scheme://host:port of url */
	struct curl_slist *headers;
	struct http_body *body;
	struct body_cursor at;
	struct sink sink;
	int connect_timeout_ms;
	int max_connections;
	bool http2;
	int64_t began_ms, deadline_ms;	/* monotonic */
	void *easy;		/* NULL until running */
	bool paused;
	bool done;		/* its answer waits to be fetched */
	bool body_failed;	/* a file of the body could not be read */
	int64_t counted;	/* bytes counted in http->in_flight_bytes */
	struct http_answer answer;
	char errbuf[CURL_TEXT_MAX];
};

TAILQ_HEAD(transfers, transfer);

struct http_group {
	struct http *http;
	struct cancel *cancel;
	struct cancel_watch watch;
	pthread_cond_t changed;	/* with http->lock */
	struct transfers under_way, done;	/* by of_group; under lock */
	bool woken;		/* under lock */
};

struct http {
	void *multi;
	pthread_t thread;
	char *ca_file;
	int64_t max_in_flight_bytes;

	pthread_mutex_t lock;
	struct transfers incoming;	/* by link */
	bool stop, left;	/* left: some transfer has lost its group */
	int n_groups;

	struct transfers waiting, running;	/* by link; the thread's own */
	int host_limit;		/* the largest max_connections seen */
	bool any_http2;

	_Atomic int64_t in_flight_bytes;	/* text not yet fetched */
	_Atomic int64_t done_bytes;	/* the part of it that is complete */
	_Atomic int64_t n_paused;
	_Atomic int64_t requests, connections, in_flight;
};

/* The caller's half of http_group_add(): everything but the lists. */
struct transfer *transfer_new(struct http *h, const struct http_request *req,
    int tag);
/* One that the thread has no handle for (any more). */
void transfer_free(struct transfer *t);
/* Put a failure into its answer; message becomes one clean line. */
void transfer_fail(struct transfer *t, enum http_failure failure,
    const char *message);
/* Make the thread look at its orders. */
void http_wake(struct http *h);

#endif
