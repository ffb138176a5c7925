/*
 * A hub with a pretended store: runs are counters, event n of a run is a
 * message with seq n.  What a client is sent is written down as a transcript:
 * "ping 1 2 3".
 */
#ifndef PUSH_RIG_H
#define PUSH_RIG_H

#include "tests/unit/push_unit.h"

#define RUN_A "aaaaaaaa-0000-4000-8000-000000000001"
#define RUN_B "bbbbbbbb-0000-4000-8000-000000000002"
#define START 1000000		/* on the monotonic clock */

struct pretended {
	const char *id;
	int64_t last_seq;	/* -1: does not exist */
	bool is_over;
};

#define MAX_RUNS 8
#define MAX_TEXT 65536

struct rig {
	struct hub *hub;
	struct hub_limits limits;
	struct moment now;
	struct pretended runs[MAX_RUNS];
	int n_runs;
	int64_t version;	/* of the database; grows with each event */
	int64_t seen;		/* version at the last ASK_CHANGED */
	bool is_broken;		/* no question can be answered */
	int asked[ASK_TIPS + 1];	/* questions so far, by kind */
	size_t message_bytes;	/* of data in each event */
};

extern struct rig rig;

void rig_set_up(void);		/* RUN_A and RUN_B exist with 0 events */
void rig_tear_down(void);	/* all clients must have left */

struct pretended *run_named(const char *id);
void commit(const char *id, int n);	/* n more events, nobody told */
void hint(const char *id);

/* after < 0: none. NULL when refused. */
struct client *join_as(enum client_kind kind, const char *id, int64_t after,
    const char *address);
struct client *join(const char *id);
struct client *join_after(const char *id, int64_t after);
void leave(struct client *c);

/* Answer one question; false: there is none. */
bool answer_one(void);
/* The next question, to be answered later. */
bool take_question(struct question *q);
void answer_question(struct question *q);
/* The same in two steps: what is read may be old when it is delivered. */
void read_answer(struct question *q, struct answer *out);
void deliver(struct answer *a);
/* Answer questions until there are no more. */
void settle_all(void);
/* Time passes: what is due is done, questions are answered. */
void pass(int64_t ms);

/* Send what waits for c: the transcript of all it was sent. The caller's. */
char *sent(struct client *c);
#define ck_sent(c, want)						\
	do {								\
		char *ck_sent_ = sent(c);				\
		ck_assert_str_eq(ck_sent_, want);			\
		free(ck_sent_);						\
	} while (0)

#endif
