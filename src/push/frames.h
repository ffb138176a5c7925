/*
 * Messages: an event of the log as the text that its followers are sent.
 *
 * A frame is made once and shared by all sockets that wait for it.  It is made
 * by any thread; once it has been handed over, its references are counted by
 * one thread only.
 */
#ifndef PUSH_FRAMES_H
#define PUSH_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "list.h"
#include "store.h"

/* Bytes in front of the text that libwebsockets writes its own header to: the
 * same for every socket of a server, so that sharing does no harm. */
#define FRAME_HEADROOM 32

struct frame {
	int refs;
	int64_t seq;		/* of the event; 0: a ping, which has none */
	size_t len;		/* of the text */
	char *room;		/* FRAME_HEADROOM bytes, the text, NUL; owned */
	char *stream;		/* as a server-sent event; NULL until asked for */
	size_t stream_len;
	struct link shared;	/* in the list of those who share it */
};

/* What of an event decides who is shown it. */
struct gist {
	bool is_stage;		/* a stage_update */
	bool is_end;		/* the run itself has ended */
	char *stage;		/* of a stage_update: job and stage; owned; NULL */
};

void gist_release(struct gist *g);

/*
 * {"type","run_id","seq","timestamp","data"}: data is always an object; one
 * that the log has broken shows as {}.  One reference, the caller's.
 */
struct frame *frame_of_event(const char *run_id, const struct event *ev,
    struct gist *gist);
/* {"type":"ping","run_id","timestamp","data":{"timestamp"}} */
struct frame *frame_ping(const char *run_id, int64_t wall_ms);

struct frame *frame_ref(struct frame *f);
void frame_unref(struct frame *f);	/* NULL is fine */

const char *frame_text(const struct frame *f);
/* The text as an event of a stream, made at the first call:
 * "id: SEQ\nevent: TYPE\ndata: TEXT\n\n", a ping without an id. */
const char *frame_stream(struct frame *f, size_t *len);

/* Is what a client has sent a JSON object with "type": "ping"? */
bool message_is_ping(const char *text, size_t len);

#endif
