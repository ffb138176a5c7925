/*
 * Connections that libwebsockets speaks WebSocket on.
 *
 * It frames what is sent and answers pings and closes of the other side.  The
 * greeting and all that follows wait in the client's queue; how fast they leave
 * is up to the system: a frame that it takes only in part is kept and finished
 * by libwebsockets, and until then no other is given to it, so a socket holds
 * at most its queue and one frame.
 *
 * A client that is dropped is told to come back later (1013), or that we are
 * restarting (1012); never 1000 or 1001, after which the existing client would
 * not come back.  One whose buffers are full cannot be told and is cut.
 */
#include "conn.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "log.h"
#include "reply.h"
#include "xalloc.h"

#define CLOSE_RESTART 1012	/* service restart */
#define CLOSE_LATER 1013	/* try again later */
#define FRAMES_AT_ONCE 32	/* to one socket, before others have their turn */
#define PING_TEXT "churns"	/* an empty one's answer would not be told */

/* --- handing over --------------------------------------------------------- */

void
socket_hand_over(struct conn *c)
{
	struct strbuf request = STRBUF_INIT(2 * MAX_HEAD_BYTES);
	struct server *s = c->watch.s;
	int fd = fcntl(c->fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0) {
		conn_leave(c, "no descriptor");
		conn_kill(c);
		return;
	}
	reply_handshake(&c->head, &request);
	/* It may have sent on without waiting for an answer. */
	strbuf_add(&request, c->in.buf + c->head.len, c->in.len - c->head.len);
	memset(&c->head, 0, sizeof(c->head));
	strbuf_release(&c->in);
	strbuf_init(&c->in, 0);
	/* The first descriptor goes, the connection stays. */
	lws_set_opaque_user_data(c->watch.wsi, NULL);
	lws_set_timeout(c->watch.wsi, PENDING_TIMEOUT_CLOSE_SEND,
	    LWS_TO_KILL_ASYNC);
	c->watch.wsi = NULL;
	c->fd = -1;
	c->state = CONN_SOCKET;
	s->handing = c;
	lws_adopt_socket_vhost_readbuf(s->vhost, fd, request.buf, request.len);
	/* Nobody took it, and the descriptor has been closed. */
	if (s->handing != NULL)
		conn_free(c);
	s->handing = NULL;
	strbuf_release(&request);
}

static int
taken_over(struct lws *wsi)
{
	struct lws_context *context = lws_get_context(wsi);
	struct server *s = lws_context_user(context);
	struct conn *c = s->handing;

	if (c == NULL)
		return -1;
	s->handing = NULL;
	c->watch.wsi = wsi;
	lws_set_opaque_user_data(wsi, c);
	return 0;
}

/* --- closing -------------------------------------------------------------- */

/* For the return value of a callback. */
static int
close_with(struct conn *c, int code, const char *why)
{
	conn_leave(c, why);
	c->state = CONN_CLOSING;
	link_take(&c->in_clock);
	lws_close_reason(c->watch.wsi, (enum lws_close_status)code, NULL, 0);
	return -1;
}

static int
close_dropped(struct conn *c)
{
	return close_with(c, c->client->drop == DROP_RESTART ? CLOSE_RESTART :
	    CLOSE_LATER, conn_why_dropped(c));
}

/* --- sending -------------------------------------------------------------- */

static int
send_ping(struct lws *wsi)
{
	unsigned char room[LWS_PRE + sizeof(PING_TEXT)];

	memcpy(room + LWS_PRE, PING_TEXT, sizeof(PING_TEXT));
	return lws_write(wsi, room + LWS_PRE, sizeof(PING_TEXT) - 1,
	    LWS_WRITE_PING);
}

static int
send_next(struct conn *c, enum outgoing *what)
{
	struct frame *f;
	int n = 0;

	*what = client_next(c->client, &f);
	switch (*what) {
	case OUT_NOTHING:
		break;
	case OUT_PING:
		n = send_ping(c->watch.wsi);
		break;
	case OUT_FRAME:
		n = lws_write(c->watch.wsi, (unsigned char *)f->room +
		    FRAME_HEADROOM, f->len, LWS_WRITE_TEXT);
		c->sent++;
		break;
	}
	return n;
}

enum sent {
	SENT_ALL,
	SENT_SOME,		/* it is called when it can take more */
	SENT_LAST,		/* all, and it is to be closed */
	SENT_BROKEN
};

static enum sent
socket_send(struct conn *c)
{
	enum outgoing what;
	int i;

	for (i = 0; i < FRAMES_AT_ONCE; i++) {
		/* It calls again when it has finished what it keeps. */
		if (lws_partial_buffered(c->watch.wsi))
			return SENT_SOME;
		if (send_next(c, &what) < 0)
			return SENT_BROKEN;
		if (what == OUT_NOTHING)
			return c->client->drop != DROP_NONE ? SENT_LAST :
			    SENT_ALL;
		client_sent(c->watch.s->hub, c->client, what);
	}
	lws_callback_on_writable(c->watch.wsi);
	return SENT_SOME;
}

/* It can take more. */
static int
socket_write(struct conn *c)
{
	if (c->client == NULL)
		return 0;
	switch (socket_send(c)) {
	case SENT_ALL:
	case SENT_SOME:
		break;
	case SENT_LAST:
		return close_dropped(c);
	case SENT_BROKEN:
		return -1;
	}
	return 0;
}

/*
 * Nearly always the system takes all at once, so it is tried without asking
 * first whether it would.  Closing is for callbacks alone.
 */
void
socket_attend(struct conn *c)
{
	if (c->client == NULL || !c->open)
		return;
	if (c->client->drop != DROP_NONE && link_is_free(&c->in_clock))
		conn_die(c);
	switch (socket_send(c)) {
	case SENT_ALL:
	case SENT_SOME:
		break;
	case SENT_LAST:
		lws_callback_on_writable(c->watch.wsi);
		break;
	case SENT_BROKEN:
		conn_leave(c, "reader gone");
		conn_kill(c);
		break;
	}
}

/* --- receiving ------------------------------------------------------------ */

/* The whole message is in c->in, or is not to be looked at. */
static void
message_ended(struct conn *c)
{
	if (!c->skipping)
		hub_hear(c->watch.s->hub, c->client, c->in.buf, c->in.len,
		    &c->watch.s->now);
	strbuf_release(&c->in);
	c->skipping = false;
}

static int
socket_read(struct conn *c, const void *in, size_t len)
{
	struct lws *wsi = c->watch.wsi;
	size_t max = (size_t)server_settings(c->watch.s)->push_max_frame_bytes;

	if (c->client == NULL)
		return 0;
	hub_alive(c->watch.s->hub, c->client, &c->watch.s->now);
	if (lws_is_first_fragment(wsi)) {
		strbuf_release(&c->in);
		strbuf_init(&c->in, max);
		c->skipping = lws_frame_is_binary(wsi) != 0;
		c->swallowed = 0;
	}
	c->swallowed += (int64_t)len;
	if (c->swallowed + (int64_t)lws_remaining_packet_payload(wsi) >
	    (int64_t)max)
		return close_with(c, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE,
		    "message too long");
	if (!c->skipping)
		strbuf_add(&c->in, in, len);
	if (lws_is_final_fragment(wsi))
		message_ended(c);
	return 0;
}

/* --- what libwebsockets tells --------------------------------------------- */

static void
established(struct conn *c)
{
	c->open = true;
	log_debug("socket open", "run=%s address=%s", c->run_id,
	    c->address[0] != '\0' ? c->address : "local");
	lws_callback_on_writable(c->watch.wsi);
}

int
socket_callback(struct lws *wsi, enum lws_callback_reasons reason,
    struct conn *c, const void *in, size_t len)
{
	switch ((int)reason) {
	case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
		return taken_over(wsi);
	case LWS_CALLBACK_HTTP:
		return -1;	/* we asked for a socket */
	case LWS_CALLBACK_ESTABLISHED:
		established(c);
		return 0;
	case LWS_CALLBACK_RECEIVE:
		return socket_read(c, in, len);
	case LWS_CALLBACK_RECEIVE_PONG:
		if (c->client != NULL)
			hub_alive(c->watch.s->hub, c->client,
			    &c->watch.s->now);
		return 0;
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return socket_write(c);
	case LWS_CALLBACK_CLOSED:
		conn_leave(c, "closed by the other side");
		return 0;
	case LWS_CALLBACK_WSI_DESTROY:
		lws_set_opaque_user_data(wsi, NULL);
		conn_free(c);
		return 0;
	default:
		return 0;
	}
}
