/*
 * The server from inside.
 *
 *   server.c   the loop, what it waits for, and who calls
 *   plain.c    connections that speak HTTP: their request, our answers, streams
 *   socket.c   connections that libwebsockets speaks WebSocket on
 *
 * A connection:
 *
 *   HEAD --stream--> WAITING --known run--> STREAM --ended--> LINGER --> gone
 *     |                 '-----unknown-----> ANSWER --sent---> LINGER
 *     |--refused--> ANSWER
 *     '--socket--> HANDOVER --libwebsockets has it--> SOCKET --> CLOSING --> gone
 *
 * To libwebsockets a connection is at first a file whose readiness it reports;
 * bytes are read and written here.  An approved WebSocket request is handed over
 * as a socket of its own (a duplicate of the descriptor) with a request written
 * by us.  This is because its HTTP server (4.1) can neither notice that the
 * reader of a stream has gone away without spinning, nor be told what to answer
 * in every case; and because so it parses nothing of a stranger's but frames.
 */
#ifndef PUSH_CONN_H
#define PUSH_CONN_H

#include <libwebsockets.h>

#include "feed.h"
#include "head.h"
#include "hub.h"
#include "server.h"
#include "strbuf.h"

_Static_assert(FRAME_HEADROOM >= LWS_PRE, "no room for its header");

enum watched {
	WATCHED_LISTENER,
	WATCHED_WAKE,
	WATCHED_CONN
};

/* What the opaque pointer of libwebsockets points to: the first member of
 * whatever it is. */
struct watch {
	enum watched kind;
	struct server *s;
	struct lws *wsi;
};

enum conn_state {
	CONN_HEAD,
	CONN_HANDOVER,
	CONN_WAITING,
	CONN_STREAM,
	CONN_ANSWER,
	CONN_LINGER,
	CONN_SOCKET,
	CONN_CLOSING
};

struct conn {
	struct watch watch;
	enum conn_state state;
	int fd;			/* while we read and write it ourselves */
	struct client *client;	/* of the hub; NULL before and after */
	struct strbuf in;	/* the request so far; a message of a socket */
	struct head head;	/* points into in */
	bool head_only;		/* asked for with HEAD */
	struct strbuf out;	/* text to send before anything else ... */
	size_t out_at;		/* ... and how much of it is gone */
	struct frame *sending;	/* to a stream; NULL */
	size_t sending_at;
	int64_t swallowed;	/* bytes that came uninvited */
	bool open;		/* a socket's handshake is through */
	bool skipping;		/* the message coming in is not looked at */
	char run_id[RUN_NAME_MAX], address[ADDRESS_MAX];	/* for the log */
	int64_t began_ms, sent;
	int64_t deadline_ms;	/* while in_clock */
	struct link in_clock;	/* server.heading or .dying */
	struct link in_todo;	/* server.handovers or .rearm */
};

struct server {
	struct lws_context *context;
	struct lws_vhost *vhost;
	struct hub *hub;
	struct feed *feed;
	struct wake *wake;
	_Atomic(const struct settings *) settings;	/* in force */
	_Atomic(const struct settings *) wanted;	/* to be in force */
	atomic_bool stopping;
	bool restarting;
	int max_conns, conns;
	int wake_queue;		/* wake-ups that the kernel keeps for us */
	int spare_fd;		/* given up to get rid of a caller */
	struct watch listener, waker;
	struct conn *handing;	/* the connection being handed over */
	struct moment now;
	struct link heading;	/* connections whose request is awaited */
	struct link dying;	/* that have a second left */
	struct link handovers;	/* approved WebSocket requests */
	struct link rearm;	/* to be told when they can be written to */
	lws_sorted_usec_list_t alarm;
	struct server_stats stats;
};

#define HEAD_PATIENCE_MS 10000	/* for a request to come */
#define DYING_MS 1000		/* for the last bytes of a connection */

/* --- server.c -------------------------------------------------------------- */

const struct settings *server_settings(const struct server *s);
/* What has happened to its client. */
void conn_attend(struct conn *c);
/* Its client leaves the hub; why is logged. */
void conn_leave(struct conn *c, const char *why);
const char *conn_why_dropped(const struct conn *c);
/* In a second at most it is gone. */
void conn_die(struct conn *c);
/* It is gone as soon as libwebsockets gets to it. */
void conn_kill(struct conn *c);
/* libwebsockets has let go of it. */
void conn_free(struct conn *c);

/* --- plain.c ---------------------------------------------------------------- */

void plain_new(struct server *s, int fd);
/* Readable, writable: nonzero closes it. */
int plain_read(struct conn *c);
int plain_write(struct conn *c);
void plain_attend(struct conn *c);

/* --- socket.c ---------------------------------------------------------------- */

/* Give an approved request to libwebsockets. */
void socket_hand_over(struct conn *c);
int socket_callback(struct lws *wsi, enum lws_callback_reasons reason,
    struct conn *c, const void *in, size_t len);
void socket_attend(struct conn *c);

#endif
