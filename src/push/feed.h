/*
 * The feed: a thread that reads the database for the event loop.
 *
 * Reading takes well under a millisecond, as long as the disk is quick.  When
 * it is not, it must not be the event loop that waits: pings would be late,
 * and sockets of runs that have nothing to do with it would be dropped.  So the
 * loop hands its questions over and is told when there is an answer; parsing
 * and composing messages happens on the way, in this thread, too.
 */
#ifndef PUSH_FEED_H
#define PUSH_FEED_H

#include "hub.h"

struct feed;

/* ready(arg) is called in the feed's thread when an answer is there that nobody
 * is waiting for. */
enum err_code feed_start(struct store *st, void (*ready)(void *arg),
    void *arg, struct feed **out, struct err *e);
/* Ends the thread; what was asked and not taken is forgotten. NULL is fine. */
void feed_stop(struct feed *f);

/* How many questions are asked whose answers have not been taken. */
int feed_pending(const struct feed *f);
#define FEED_MAX_PENDING 8	/* more wait in the hub, which knows what is urgent */

void feed_ask(struct feed *f, const struct question *q);	/* takes q->run_ids */
/*
 * Wait at most so long for an answer; is one there?  As a rule it comes sooner
 * than a loop could have gone to sleep and been woken.
 */
bool feed_wait(struct feed *f, int max_us);
bool feed_take(struct feed *f, struct answer *out);	/* false: none is there */

/* Answer one question; *version is what ASK_CHANGED saw last, 0 at first. The
 * rest of the feed is only a queue around this. */
void feed_read(struct store *st, struct question *q, int64_t wall_ms,
    int64_t *version, struct answer *out);

#endif
