/*
 * The head of an HTTP/1 request: what a client wants before it gets anything.
 *
 * Everything of the outside's is read and judged here, in one place and before
 * libwebsockets sees a byte: it is handed only requests that we have approved,
 * written anew from what matters of them.
 */
#ifndef PUSH_HEAD_H
#define PUSH_HEAD_H

#include <stdbool.h>
#include <stddef.h>

#define MAX_HEAD_BYTES 8192

enum head_state {
	HEAD_MORE,		/* not whole yet */
	HEAD_WHOLE,
	HEAD_BAD,		/* no request that we understand */
	HEAD_TOO_LONG
};

/* Strings point into the bytes that were parsed; NULL: there is none. */
struct head {
	size_t len;		/* with the empty line at its end */
	const char *method, *path;
	const char *query;	/* what follows the question mark; "" */
	bool is_http11;
	const char *host, *origin;
	bool upgrade_websocket;	/* Upgrade: websocket ... */
	bool connection_upgrade;	/* ... and Connection: upgrade */
	const char *ws_key, *ws_version;
	const char *last_event_id;
	const char *forwarded_for;	/* the last address that was added */
	const char *acr_method, *acr_headers;	/* of a CORS preflight */
};

/*
 * Parse what has come so far; buf is changed when the head is whole.  A header
 * that decides something and comes twice makes the request bad: two readers of
 * it could take different ones.
 */
enum head_state head_parse(char *buf, size_t len, struct head *out);

#endif
