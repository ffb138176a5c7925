/*
 * The hub: who follows which run, and what each of them is sent next.
 *
 * It knows neither sockets nor the database and does not read the clock: the
 * server tells it what happens and when, and then asks it what there is to do.
 *
 *   server -> hub   somebody joined, left, sent something, answered a ping;
 *                   a run has news; an answer of the store; the time
 *   hub -> server   clients that want attention (something to send, or to be
 *                   closed); questions to the store; when to come back
 *
 * A client is a socket or an event stream of one run.
 *
 *   JOINING --known--> CATCHING <--> (pages)          each asks for itself
 *      |                  '--has all--> LIVE          gets what all get
 *      '----unknown----> SILENT                       pings only, costs nothing
 *   any of them --too slow, or no sign of life, or restart--> dropped
 *
 * The rule that makes it whole: client.seq is the number of the last event that
 * was put into the client's queue (or that it did not want).  Only an event
 * with a higher number is ever put there, and a client is LIVE only while its
 * seq is at least that of its audience; so nothing is sent twice and nothing
 * is left out, whatever order answers and news come in.
 *
 * An audience is a run with at least one client.  Its seq is the last event
 * that its live clients were given.  It asks one question at a time; news that
 * come meanwhile make it ask again.
 */
#ifndef PUSH_HUB_H
#define PUSH_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "frames.h"
#include "list.h"
#include "store.h"

#define RUN_NAME_MAX 65		/* of a run id as asked for, with the NUL */
#define ADDRESS_MAX 48		/* text of an IP address, with the NUL */

/* Both clocks, as the server has read them. */
struct moment {
	int64_t mono_ms;	/* for what is due when */
	int64_t wall_ms;	/* for what is shown */
};

struct hub_limits {
	int max_clients;
	int max_per_address;	/* 0: no limit */
	int queue_messages;
	int64_t queue_bytes;
	int ping_ms, pong_ms;	/* between signs of life; for the answer */
	int poll_ms;		/* between looks for news nobody told of */
	int recent_ms;		/* how long an end counts as news */
};

enum client_kind {
	CLIENT_SOCKET,
	CLIENT_STREAM
};

enum client_state {
	CLIENT_JOINING,
	CLIENT_CATCHING,
	CLIENT_LIVE,
	CLIENT_SILENT
};

enum drop {
	DROP_NONE,
	DROP_SLOW,		/* its queue is full */
	DROP_DEAD,		/* it did not answer a ping */
	DROP_RESTART,		/* we are ending; what is queued is still sent */
	DROP_TROUBLE		/* a stream whose run could not be looked up */
};

struct audience;
struct entry;
struct address;

struct client {
	/* for the server */
	void *owner;		/* its connection */
	enum client_kind kind;
	enum client_state state;
	enum drop drop;
	/* of the hub */
	struct audience *home;
	uint64_t ticket;	/* names it in questions; never used again */
	int64_t seq;
	bool wants_state;	/* named no event to go on after */
	bool asked;		/* a question of its own is with the store */
	bool failed;		/* ... was, and is to be asked again */
	bool ping_due;
	bool awaits_pong;
	int64_t due_ms;		/* of its next ping, or of the answer to it */
	struct entry *head, *tail;	/* what waits to be sent */
	int queued;
	int64_t queued_bytes;
	struct address *from;	/* NULL: not counted */
	int heard;		/* messages looked at since heard_ms */
	int64_t heard_ms;
	struct link in_home, in_clock, in_attention, in_asking;
};

struct hub;

struct hub *hub_new(const struct hub_limits *limits, const char *owner);
void hub_free(struct hub *h);	/* all clients must have left */
void hub_set_limits(struct hub *h, const struct hub_limits *limits);

/* --- clients --------------------------------------------------------------- */

struct joining {
	enum client_kind kind;
	const char *run_id;	/* as asked for; an impossible one is unknown */
	bool has_after;
	int64_t after;		/* events up to this one are not wanted */
	const char *address;	/* ""; not counted */
	void *owner;
};

enum join {
	JOIN_OK,
	JOIN_FULL,		/* as many clients as there may be */
	JOIN_CROWDED		/* as many as there may be from that address */
};

/* Its first message is the greeting. */
enum join hub_join(struct hub *h, const struct joining *j,
    const struct moment *now, struct client **out);
void hub_leave(struct hub *h, struct client *c);

/* It has sent a message: a ping is answered to all who follow the run, unless
 * that has been done too often lately; anything else is ignored. */
void hub_hear(struct hub *h, struct client *c, const char *text, size_t len,
    const struct moment *now);
/* It has given a sign of life. */
void hub_alive(struct hub *h, struct client *c, const struct moment *now);

/* --- what is sent ------------------------------------------------------------ */

enum outgoing {
	OUT_NOTHING,
	OUT_PING,		/* a sign of life, to be answered by a socket */
	OUT_FRAME
};

/* What to send next; *frame stays valid until client_sent(). */
enum outgoing client_next(const struct client *c, struct frame **frame);
void client_sent(struct hub *h, struct client *c, enum outgoing what);

/* The next client that has something to send or is to be closed; NULL: none.
 * Each is named once, until something new happens to it. */
struct client *hub_attention(struct hub *h);

/* --- runs ---------------------------------------------------------------------- */

/* run_id has news; "" or NULL: perhaps all. */
void hub_hint(struct hub *h, const char *run_id);

enum question_kind {
	ASK_STATE,		/* for a client: what the run has come to */
	ASK_AFTER,		/* for a client: events after one */
	ASK_NEWS,		/* for an audience: events after one */
	ASK_CHANGED,		/* has anything been committed since last asked? */
	ASK_TIPS		/* how far have these runs come? */
};

struct question {
	enum question_kind kind;
	uint64_t ticket;	/* of the client; 0 */
	char run_id[ID_MAX];
	const char *owner;	/* whose runs; lives as long as the hub */
	int64_t after;
	int limit;		/* events at most */
	int recent_ms;		/* ASK_STATE: an older end is not told */
	char (*run_ids)[ID_MAX];	/* ASK_TIPS; owned */
	size_t n;
};

/* The next question; false: none. */
bool hub_question(struct hub *h, struct question *out);

struct answer {
	struct question q;
	enum err_code rc;	/* ERR_NOT_FOUND: the owner has no such run */
	int64_t last_seq;	/* of the run, at the moment of the frames */
	struct frame **frames;	/* in order; a reference each */
	size_t n;
	bool changed;		/* ASK_CHANGED */
	struct run_tip *tips;	/* ASK_TIPS: of q.run_ids */
};

void answer_release(struct answer *a);
/* Takes what the answer has; it is released. */
void hub_answer(struct hub *h, struct answer *a, const struct moment *now);

/* --- time ------------------------------------------------------------------------ */

/* Do what is due by now. */
void hub_tick(struct hub *h, const struct moment *now);
/* Monotonic time of the next thing due; INT64_MAX: nothing, as when there is
 * no client. */
int64_t hub_due_ms(const struct hub *h);

/* Take no more clients, and drop all, each when its queue is empty. */
void hub_restart(struct hub *h);

struct hub_counts {
	int64_t clients, streams, runs;	/* now; runs: that exist */
	int64_t joined, refused, sent;	/* since the start */
	int64_t slow, dead;	/* dropped */
	int64_t queued, queued_bytes;	/* now, over all clients; shared frames
				   count for each */
};

void hub_get_counts(const struct hub *h, struct hub_counts *out);

#endif
