/*
 * The place of an accepting thread, watched: a connection whose other end stops
 * talking, or listening, is shut down when its time is over, so that nobody
 * can keep the thread.
 *
 *   EMPTY --take--> AWAITED --due_ms passes, the watcher looks--> SHUT
 *     ^                |  ^                                         |
 *     |              rest await                                     |
 *     |                v  |                                         |
 *     '----leave---- OURS  <--------leave---------------------------'
 *
 * AWAITED: the other end's turn.  OURS: we are working, nobody is late.
 */
#ifndef API_SEAT_H
#define API_SEAT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "banned.h"

struct seat {
	pthread_mutex_t lock;
	int fd;			/* of our own, of the connection; -1: empty */
	int64_t due_ms;		/* monotonic; INT64_MAX: nobody is awaited */
	bool writing;		/* when due: both directions, not only reading */
	bool shut;
};

void seat_init(struct seat *s);
void seat_destroy(struct seat *s);

/* connection is only looked at; awaited until due_ms. */
void seat_take(struct seat *s, int connection, int64_t due_ms);
/* Its turn to send (writing: to read) until due_ms. */
void seat_await(struct seat *s, bool writing, int64_t due_ms);
void seat_rest(struct seat *s);
void seat_leave(struct seat *s);
/* Since it was taken. */
bool seat_is_shut(struct seat *s);

/* From the watcher: true when the seat is shut by this call. */
bool seat_check(struct seat *s, int64_t now_ms);

#endif
