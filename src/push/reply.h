/*
 * What a request asks for, and the text of every HTTP answer we give ourselves.
 */
#ifndef PUSH_REPLY_H
#define PUSH_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "conf.h"
#include "head.h"
#include "hub.h"
#include "strbuf.h"

#define MAX_REPLY_BYTES 16384

enum wish_kind {
	WISH_SOCKET,		/* GET /api/v1/ws/{run_id} */
	WISH_STREAM,		/* GET /api/v1/runs/{run_id}/stream */
	WISH_STREAM_HEAD,	/* HEAD of the same */
	WISH_REFUSED		/* answered already */
};

struct wish {
	enum wish_kind kind;
	char run_id[RUN_NAME_MAX];
	bool has_after;
	int64_t after;
};

/*
 * Read h as a wish.  What we do not do, or not for this origin, is answered in
 * *reply in the shapes of the API: 400, 403, 404, 405, 422, 426, and 200 for a
 * CORS preflight.
 */
void wish_read(const struct settings *s, const struct head *h,
    struct wish *out, struct strbuf *reply);

/* {"detail": message} with that status, closing the connection. h NULL: the
 * request could not be read. */
void reply_error(const struct settings *s, const struct head *h, int status,
    const char *message, struct strbuf *reply);
/* The head of an event stream, and how soon to come back. */
void reply_stream(const struct settings *s, const struct head *h,
    bool head_only, struct strbuf *reply);
/* The request as libwebsockets is given it. */
void reply_handshake(const struct head *h, struct strbuf *request);

/*
 * Whom the web server in front speaks for, as the limit per address counts: an
 * IPv4 address, the /64 network of an IPv6 one; "" when it does not say.
 */
void caller_address(const struct head *h, char out[ADDRESS_MAX]);

#endif
