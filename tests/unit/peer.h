/*
 * The other end of an HTTP test: a server on a port of its own that answers
 * as the test says and remembers what it was asked.
 *
 * Answers are steps, used in the order requests arrive; when they run out
 * the last one is used again.  A test that must look at the request first
 * sets answer, which is called for each (under the peer's lock).
 */
#ifndef PEER_H
#define PEER_H

#include <stdbool.h>
#include <stddef.h>

#define PEER_STEPS 64
#define PEER_REQUESTS 512
#define PEER_HEADERS 3

enum peer_way {
	PEER_ANSWER,
	PEER_CLOSE,		/* close instead of answering */
	PEER_CUT,		/* close after cut bytes of the body */
	PEER_STALL		/* send cut bytes, then nothing more */
};

struct peer_step {
	int status;		/* 0: 200 */
	const char *body;	/* NULL: empty; must outlive the peer */
	size_t len;		/* 0: strlen(body) */
	const char *headers[PEER_HEADERS];	/* "Name: value" */
	int delay_ms;		/* before anything is sent */
	enum peer_way way;
	size_t cut;
};

struct peer_request {
	char method[8];
	char path[256];
	char key[64];		/* Idempotency-Key */
	char call[64];		/* X-Client-Request-Id */
	char authorization[128];
	char type[128];		/* Content-Type */
	char expect[32];
	char *body;		/* with a NUL behind it */
	size_t len;
};

struct peer;

struct peer *peer_new(void);
void peer_free(struct peer *p);
const char *peer_url(const struct peer *p);	/* "http://127.0.0.1:PORT" */
void peer_add(struct peer *p, struct peer_step step);
void peer_on_request(struct peer *p, void (*answer)(void *arg, int n,
    const struct peer_request *r, struct peer_step *out), void *arg);
int peer_count(struct peer *p);		/* requests so far */
int peer_connections(struct peer *p);	/* ever accepted */
int peer_busiest(struct peer *p);	/* most requests at one time */
/* The nth request (from 0); stays valid until the peer is freed. */
const struct peer_request *peer_request(struct peer *p, int n);

#endif
