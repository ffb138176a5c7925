/* The hub from inside: hub.c (clients), follow.c (runs and questions). */
#ifndef PUSH_HUB_INTERNAL_H
#define PUSH_HUB_INTERNAL_H

#include "hub.h"

#define BUCKETS 1024		/* of each hash table; a power of two */

enum audience_state {
	AUDIENCE_NEW,		/* nobody has been answered yet */
	AUDIENCE_FOLLOWED,	/* there is such a run */
	AUDIENCE_SILENT		/* there is none, or no longer */
};

struct audience {
	char run_id[RUN_NAME_MAX];
	enum audience_state state;
	uint64_t ticket;	/* names it in questions */
	int64_t seq;		/* live clients have been given events up to here */
	bool asked;		/* a question for it is with the store, or waits */
	bool news;		/* something came after it was asked */
	bool failed;		/* to be asked again */
	int pings;		/* that clients may still cause, now ... */
	int64_t pings_ms;	/* ... as of then */
	struct link clients;	/* in_home */
	struct link frames;	/* that somebody still waits for; shared */
	struct link in_bucket, in_all, in_asking;
};

struct address {
	char text[ADDRESS_MAX];
	int clients;
	struct link in_bucket;
};

struct entry {
	struct frame *frame;
	struct entry *next;
};

struct hub {
	struct hub_limits limits;
	const char *owner;
	uint64_t seed;		/* of the hash, since clients choose the keys */
	uint64_t last_ticket;
	bool restarting;
	struct link audiences[BUCKETS], addresses[BUCKETS];
	struct link all;	/* audiences */
	int followed;		/* of them, FOLLOWED */
	struct link pinging, ponging;	/* clients by due_ms */
	struct link attention;
	struct link asking;	/* clients with a question */
	struct link asking_news;	/* audiences with one */
	/* looking for news that nobody told of */
	bool poll_asked, want_changed, want_tips, tips_failed;
	int64_t poll_ms;	/* when next */
	int64_t retry_ms;	/* when what failed is asked again; INT64_MAX */
	struct hub_counts counts;
};

/* --- hub.c ------------------------------------------------------------------- */

uint64_t hub_hash(const struct hub *h, const char *text);
/* Put f (with a reference of its own) into the queue; force: whatever is
 * there. A client that has no room is dropped. */
void client_push(struct hub *h, struct client *c, struct frame *f, bool force);
void client_drop(struct hub *h, struct client *c, enum drop why);
void client_attend(struct hub *h, struct client *c);

/* --- follow.c ---------------------------------------------------------------- */

/* Find or make. Its first client must be put in at once. */
struct audience *audience_of(struct hub *h, const char *run_id);
struct audience *audience_find(struct hub *h, const char *run_id);
/* A client has left it; without clients it is forgotten. */
void audience_leave(struct hub *h, struct audience *a);
/* Begin to ask for what a client that has just joined is to be told. */
void client_ask(struct hub *h, struct client *c);
/* Its queue is empty: go on catching up, or be live. */
void client_drained(struct hub *h, struct client *c);
void follow_tick(struct hub *h, const struct moment *now);
int64_t follow_due_ms(const struct hub *h);

#endif
