/*
 * Connections that speak HTTP: one request, one answer, and the end; or an
 * event stream, which has no end of its own.
 *
 * A stream stays open after the end of its run, as a socket does: refinements
 * and captions of the run report on the same channel, and EventSource takes an
 * end for a failure and comes back at once.  It is closed when its reader goes
 * away, lags, or when we restart.
 *
 * Bytes that come after the request are thrown away, and there may not be many.
 * At the end our side is shut down first and what still comes is read for a
 * moment, because closing at once could take our answer away from its reader.
 */
#include "conn.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "reply.h"
#include "xalloc.h"

#define MAX_SWALLOWED 65536	/* of a stranger's bytes */
#define STREAM_PING ":\n\n"	/* a comment, which readers skip */
#define FRAMES_AT_ONCE 32	/* to one stream, before others have their turn */

/* --- coming --------------------------------------------------------------- */

void
plain_new(struct server *s, int fd)
{
	struct conn *c = xcalloc(1, sizeof(*c));
	lws_adopt_desc_t how;

	c->watch.kind = WATCHED_CONN;
	c->watch.s = s;
	c->fd = fd;
	c->began_ms = s->now.mono_ms;
	strbuf_init(&c->in, MAX_HEAD_BYTES);
	strbuf_init(&c->out, MAX_REPLY_BYTES);
	link_init(&c->in_todo);
	link_init(&c->in_clock);
	c->deadline_ms = s->now.mono_ms + HEAD_PATIENCE_MS;
	s->conns++;
	memset(&how, 0, sizeof(how));
	how.vh = s->vhost;
	how.type = LWS_ADOPT_RAW_FILE_DESC;
	how.fd.filefd = fd;
	how.opaque = c;
	c->watch.wsi = lws_adopt_descriptor_vhost_via_info(&how);
	if (c->watch.wsi == NULL) {
		close(fd);
		conn_free(c);
		return;
	}
	link_put(&s->heading, &c->in_clock);
}

/* --- answering ------------------------------------------------------------ */

/* What the head was parsed from is needed no more. */
static void
forget_head(struct conn *c)
{
	memset(&c->head, 0, sizeof(c->head));
	strbuf_release(&c->in);
}

static void
write_again(struct conn *c)
{
	if (link_is_free(&c->in_todo))
		link_put(&c->watch.s->rearm, &c->in_todo);
}

/* out is the whole answer. */
static void
answer(struct conn *c)
{
	forget_head(c);
	c->state = CONN_ANSWER;
	conn_die(c);
	write_again(c);
}

static void
answer_error(struct conn *c, int status, const char *message)
{
	reply_error(server_settings(c->watch.s), &c->head, status, message,
	    &c->out);
	answer(c);
}

/* --- asking --------------------------------------------------------------- */

static bool
join(struct conn *c, const struct wish *w)
{
	struct server *s = c->watch.s;
	struct joining j = { .run_id = c->run_id, .has_after = w->has_after,
	    .after = w->after, .address = c->address, .owner = c };
	enum join may;

	j.kind = w->kind == WISH_SOCKET ? CLIENT_SOCKET : CLIENT_STREAM;
	may = hub_join(s->hub, &j, &s->now, &c->client);
	switch (may) {
	case JOIN_OK:
		return true;
	case JOIN_FULL:
		answer_error(c, 503, "Too many are following runs just now.");
		break;
	case JOIN_CROWDED:
		answer_error(c, 429, "Too many are following runs from your "
		    "address.");
		break;
	}
	log_info("client refused", "address=%s run=%s why=%s",
	    c->address[0] != '\0' ? c->address : "local", c->run_id,
	    may == JOIN_FULL ? "full" : "crowded");
	return false;
}

static void
decide(struct conn *c)
{
	struct server *s = c->watch.s;
	struct wish w;

	wish_read(server_settings(s), &c->head, &w, &c->out);
	if (w.kind == WISH_REFUSED) {
		answer(c);
		return;
	}
	memcpy(c->run_id, w.run_id, sizeof(c->run_id));
	caller_address(&c->head, c->address);
	if (!join(c, &w))
		return;
	link_take(&c->in_clock);
	c->head_only = w.kind == WISH_STREAM_HEAD;
	if (w.kind == WISH_SOCKET) {
		c->state = CONN_HANDOVER;
		link_put(&s->handovers, &c->in_todo);
	} else {
		c->state = CONN_WAITING;
	}
}

static int
read_head(struct conn *c)
{
	char chunk[MAX_HEAD_BYTES];
	ssize_t n;

	n = recv(c->fd, chunk, MAX_HEAD_BYTES - c->in.len, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	if (n == 0)
		return -1;
	strbuf_add(&c->in, chunk, (size_t)n);
	switch (head_parse(c->in.buf, c->in.len, &c->head)) {
	case HEAD_MORE:
		break;
	case HEAD_WHOLE:
		decide(c);
		break;
	case HEAD_BAD:
		reply_error(server_settings(c->watch.s), NULL, 400,
		    "This is no HTTP request.", &c->out);
		answer(c);
		break;
	case HEAD_TOO_LONG:
		reply_error(server_settings(c->watch.s), NULL, 431,
		    "The head of the request is too long.", &c->out);
		answer(c);
		break;
	}
	return 0;
}

/* --- streams -------------------------------------------------------------- */

static void
begin_stream(struct conn *c)
{
	reply_stream(server_settings(c->watch.s), &c->head, c->head_only,
	    &c->out);
	if (c->head_only) {
		conn_leave(c, "asked with HEAD");
		answer(c);
		return;
	}
	forget_head(c);
	c->state = CONN_STREAM;
}

/* The hub knows by now whether there is such a run, or cannot tell. */
static void
answer_waiting(struct conn *c)
{
	if (c->client->drop != DROP_NONE) {
		conn_leave(c, "run not looked up");
		answer_error(c, 503, "The run cannot be looked up just now.");
		return;
	}
	switch (c->client->state) {
	case CLIENT_JOINING:
		break;
	case CLIENT_SILENT:
		conn_leave(c, "no such run");
		answer_error(c, 404, "There is no such run.");
		break;
	case CLIENT_CATCHING:
	case CLIENT_LIVE:
		begin_stream(c);
		break;
	}
}

/* --- sending -------------------------------------------------------------- */

/* Send from *at on; 1: all is gone, 0: later, -1: nobody is there. */
static int
send_from(struct conn *c, const char *data, size_t len, size_t *at)
{
	ssize_t n;

	while (*at < len) {
		n = send(c->fd, data + *at, len - *at, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			write_again(c);
			return 0;
		}
		if (n < 0)
			return -1;
		*at += (size_t)n;
	}
	return 1;
}

static int
send_out(struct conn *c)
{
	int done = send_from(c, c->out.buf, c->out.len, &c->out_at);

	if (done > 0) {
		strbuf_release(&c->out);
		c->out_at = 0;
	}
	return done;
}

static int
send_frame(struct conn *c)
{
	const char *text;
	size_t len;
	int done;

	if (c->sending == NULL)
		return 1;
	text = frame_stream(c->sending, &len);
	done = send_from(c, text, len, &c->sending_at);
	if (done > 0) {
		frame_unref(c->sending);
		c->sending = NULL;
		c->sending_at = 0;
		c->sent++;
	}
	return done;
}

/* The next of its queue becomes what is being sent; false: there is none. */
static bool
next_of_stream(struct conn *c)
{
	struct hub *h = c->watch.s->hub;
	struct frame *f;
	enum outgoing what = client_next(c->client, &f);

	switch (what) {
	case OUT_NOTHING:
		return false;
	case OUT_PING:
		strbuf_addstr(&c->out, STREAM_PING);
		break;
	case OUT_FRAME:
		c->sending = frame_ref(f);
		break;
	}
	client_sent(h, c->client, what);
	return true;
}

/* A connection that has nothing more to say. */
static void
linger(struct conn *c)
{
	shutdown(c->fd, SHUT_WR);
	c->state = CONN_LINGER;
	conn_die(c);
}

/* Nonzero: the reader is gone. */
static int
send_stream(struct conn *c)
{
	int i, done;

	for (i = 0; i < FRAMES_AT_ONCE; i++) {
		done = send_out(c);
		if (done > 0)
			done = send_frame(c);
		if (done <= 0)
			return done;
		if (c->client == NULL)
			return 0;
		if (next_of_stream(c))
			continue;
		if (c->client->drop != DROP_NONE) {
			conn_leave(c, conn_why_dropped(c));
			linger(c);
		}
		return 0;
	}
	write_again(c);
	return 0;
}

static int
send_answer(struct conn *c)
{
	int done = send_out(c);

	if (done > 0)
		linger(c);
	return done < 0 ? -1 : 0;
}

/* --- events --------------------------------------------------------------- */

static int
swallow(struct conn *c)
{
	char chunk[4096];
	ssize_t n;

	n = recv(c->fd, chunk, sizeof(chunk), 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	c->swallowed += n;
	return n == 0 || c->swallowed > MAX_SWALLOWED ? -1 : 0;
}

int
plain_read(struct conn *c)
{
	if (c->state == CONN_HEAD)
		return read_head(c);
	/* What a socket sends on is for libwebsockets to read. */
	if (c->state == CONN_HANDOVER)
		return 0;
	return swallow(c);
}

int
plain_write(struct conn *c)
{
	switch (c->state) {
	case CONN_STREAM:
		return send_stream(c);
	case CONN_ANSWER:
		return send_answer(c);
	case CONN_HEAD:
	case CONN_HANDOVER:
	case CONN_WAITING:
	case CONN_LINGER:
	case CONN_SOCKET:
	case CONN_CLOSING:
		break;
	}
	return 0;
}

void
plain_attend(struct conn *c)
{
	if (c->state == CONN_WAITING)
		answer_waiting(c);
	if (c->state != CONN_STREAM)
		return;
	/* A lagging stream has had its chance; what is half sent stays so. */
	if (c->client->drop != DROP_NONE && c->client->drop != DROP_RESTART) {
		conn_leave(c, conn_why_dropped(c));
		conn_kill(c);
	} else if (send_stream(c) != 0) {
		conn_leave(c, "reader gone");
		conn_kill(c);
	}
}
