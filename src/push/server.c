/*
 * The loop of churns-push: one thread that waits in libwebsockets and never
 * anywhere else.
 *
 *   what happens             who tells         what is done
 *   somebody connects        the listener      a connection waits for its request
 *   a run has news           a wake-up         the hub asks the feed
 *   the feed has an answer   cancel_service    the hub puts it into queues
 *   something is due         the alarm         pings, looks for news, time-outs
 *   a socket can take more   libwebsockets     its queue is sent
 *   SIGTERM, SIGHUP          cancel_service    1012 to all; other settings
 *
 * Each round does what is to be done until nothing is, and then sleeps until
 * the next thing is due.  With no clients nothing is due, and it sleeps until
 * somebody comes.
 *
 * A wake-up names a run, and the kernel keeps only so many; whoever finds its
 * queue full goes on.  So when we find it full, others may have been turned
 * away, and we look at all runs.
 */
#include "conn.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "access.h"
#include "clock.h"
#include "file.h"
#include "log.h"
#include "xalloc.h"
#include "yaml.h"

#define PROTOCOL "churns"
#define RX_BYTES 1024		/* of a frame at a time; held for each socket */
#define TX_BYTES (4 * 1024 * 1024)	/* written at once, if the system takes it */
#define RESTART_PATIENCE_MS 2000
#define WAKE_QUEUE_FILE "/proc/sys/net/unix/max_dgram_qlen"
#define WAKE_QUEUE_LEAST 10	/* where the system does not say */
#define ANSWER_PATIENCE_US 500	/* for one answer of the feed ... */
#define ROUND_PATIENCE_US 3000	/* ... and for all in a round */
#define MAX_WAKES 256		/* read in one round */
#define MAX_ACCEPT 64		/* callers taken in one round */

const struct settings *
server_settings(const struct server *s)
{
	return atomic_load(&s->settings);
}

/* --- connections ---------------------------------------------------------- */

void
conn_attend(struct conn *c)
{
	if (c->state == CONN_SOCKET)
		socket_attend(c);
	else
		plain_attend(c);
}

const char *
conn_why_dropped(const struct conn *c)
{
	if (c->client == NULL)
		return "closed";
	switch (c->client->drop) {
	case DROP_NONE:
		break;
	case DROP_SLOW:
		return "too slow";
	case DROP_DEAD:
		return "no sign of life";
	case DROP_RESTART:
		return "restart";
	case DROP_TROUBLE:
		return "run not looked up";
	}
	return "closed";
}

void
conn_leave(struct conn *c, const char *why)
{
	struct server *s = c->watch.s;

	if (c->client == NULL)
		return;
	log_info("client left", "why=%s run=%s address=%s kind=%s sent=%"
	    PRId64 " seq=%" PRId64 " ms=%" PRId64, log_quote(why), c->run_id,
	    c->address[0] != '\0' ? c->address : "local",
	    c->client->kind == CLIENT_SOCKET ? "socket" : "stream", c->sent,
	    c->client->seq, s->now.mono_ms - c->began_ms);
	hub_leave(s->hub, c->client);
	c->client = NULL;
}

void
conn_die(struct conn *c)
{
	struct server *s = c->watch.s;

	c->deadline_ms = s->now.mono_ms + DYING_MS;
	link_put(&s->dying, &c->in_clock);
}

void
conn_kill(struct conn *c)
{
	link_take(&c->in_clock);
	link_take(&c->in_todo);
	if (c->watch.wsi != NULL)
		lws_set_timeout(c->watch.wsi, PENDING_TIMEOUT_CLOSE_SEND,
		    LWS_TO_KILL_ASYNC);
}

void
conn_free(struct conn *c)
{
	conn_leave(c, "connection closed");
	link_take(&c->in_clock);
	link_take(&c->in_todo);
	frame_unref(c->sending);
	strbuf_release(&c->in);
	strbuf_release(&c->out);
	c->watch.s->conns--;
	free(c);
}

/* --- callers -------------------------------------------------------------- */

/* Not even a file for it: one that is kept for this lets us send it away, so
 * that it does not stand at the door and wake us for ever. */
static void
turn_away(struct server *s)
{
	int fd;

	close(s->spare_fd);
	fd = accept4(s->listener.wsi != NULL ?
	    lws_get_socket_fd(s->listener.wsi) : -1, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	s->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	log_warn("caller turned away, no descriptors left, ignoring",
	    "connections=%d", s->conns);
}

static void
take_callers(struct server *s)
{
	int listener = lws_get_socket_fd(s->listener.wsi);
	int fd, n, on = 1;

	for (n = 0; n < MAX_ACCEPT; n++) {
		fd = accept4(listener, NULL, NULL,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && (errno == EMFILE || errno == ENFILE))
			turn_away(s);
		if (fd < 0)
			return;
		/* Fails on Unix sockets, which have no such delay. */
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if (s->conns >= s->max_conns)
			close(fd);
		else
			plain_new(s, fd);
	}
}

/* --- wake-ups ------------------------------------------------------------- */

static void
take_wakes(struct server *s)
{
	const size_t head = strlen(WAKE_EVENT);
	char text[WAKE_MAX_TEXT + 1];
	int n;

	for (n = 0; n < MAX_WAKES && wake_next(s->wake, text); n++) {
		if (strncmp(text, WAKE_EVENT, head) == 0)
			hub_hint(s->hub, text + head);
		else
			hub_hint(s->hub, NULL);
	}
	if (n >= s->wake_queue)
		hub_hint(s->hub, NULL);
}

static int
read_wake_queue(void)
{
	struct strbuf text = STRBUF_INIT(64);
	int64_t n = 0;

	if (file_read(WAKE_QUEUE_FILE, 63, &text, NULL) == ERR_OK)
		strbuf_trim(&text);
	if (!parse_int(text.buf, &n) || n < 1 || n > INT_MAX)
		n = WAKE_QUEUE_LEAST;
	strbuf_release(&text);
	return (int)n;
}

/* --- what libwebsockets tells --------------------------------------------- */

static int
plain_callback(struct lws *wsi, enum lws_callback_reasons reason,
    struct conn *c)
{
	switch ((int)reason) {
	case LWS_CALLBACK_RAW_RX_FILE:
		return plain_read(c);
	case LWS_CALLBACK_RAW_WRITEABLE_FILE:
		return plain_write(c);
	case LWS_CALLBACK_RAW_CLOSE_FILE:
		lws_set_opaque_user_data(wsi, NULL);
		conn_free(c);
		return 0;
	default:
		return 0;
	}
}

static void
read_clocks(struct server *s)
{
	s->now.mono_ms = clock_mono_ms();
	s->now.wall_ms = clock_now_ms();
}

/*
 * The one callback of libwebsockets.  Without an owner a descriptor is one that
 * was handed over or given up; it is closed when it makes itself heard.
 */
static int
callback(struct lws *wsi, enum lws_callback_reasons reason, void *user,
    void *in, size_t len)
{
	struct watch *w = wsi != NULL ? lws_get_opaque_user_data(wsi) : NULL;

	(void)user;
	/* The loop may have slept for hours since it last looked. */
	if (w != NULL)
		read_clocks(w->s);
	if (reason == LWS_CALLBACK_RAW_RX_FILE && w == NULL)
		return -1;
	if (reason == LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED ||
	    (w != NULL && w->kind == WATCHED_CONN))
		return w == NULL || ((struct conn *)w)->state == CONN_SOCKET ||
		    ((struct conn *)w)->state == CONN_CLOSING ?
		    socket_callback(wsi, reason, (struct conn *)w, in, len) :
		    plain_callback(wsi, reason, (struct conn *)w);
	if (w == NULL || reason != LWS_CALLBACK_RAW_RX_FILE)
		return 0;
	if (w->kind == WATCHED_LISTENER)
		take_callers(w->s);
	else
		take_wakes(w->s);
	return 0;
}

static const struct lws_protocols protocols[] = {
	{ PROTOCOL, callback, 0, RX_BYTES, 0, NULL, TX_BYTES },
	{ NULL, NULL, 0, 0, 0, NULL, 0 }
};

/* Its own words, for whoever debugs; a hand-over is not the error that 4.1
 * takes it for. */
static void
log_library(int level, const char *line)
{
	char text[LOG_LINE_MAX];

	if (strstr(line, "adopt_socket_readbuf") != NULL)
		return;
	snprintf(text, sizeof(text), "%.*s", (int)strcspn(line, "\n"), line);
	if (level == LLL_ERR)
		log_warn("libwebsockets", "said=%s", log_quote(text));
	else
		log_debug("libwebsockets", "said=%s", log_quote(text));
}

/* --- rounds --------------------------------------------------------------- */

static void
limits_of(const struct server *s, struct hub_limits *l)
{
	const struct settings *t = server_settings(s);

	l->max_clients = t->push_max_sockets;
	if (l->max_clients > s->max_conns)
		l->max_clients = s->max_conns;
	l->max_per_address = t->push_max_per_address;
	l->queue_messages = t->push_queue_messages;
	l->queue_bytes = t->push_queue_bytes;
	l->ping_ms = t->push_ping_ms;
	l->pong_ms = t->push_pong_ms;
	l->poll_ms = t->push_poll_ms;
	l->recent_ms = t->push_recent_ms;
}

static void
take_settings(struct server *s)
{
	const struct settings *wanted = atomic_load(&s->wanted);
	struct hub_limits limits;

	if (wanted == server_settings(s))
		return;
	atomic_store(&s->settings, wanted);
	limits_of(s, &limits);
	hub_set_limits(s->hub, &limits);
}

static void
take_answers(struct server *s)
{
	struct answer a;

	while (feed_take(s->feed, &a))
		hub_answer(s->hub, &a, &s->now);
}

static void
ask(struct server *s)
{
	struct question q;

	while (feed_pending(s->feed) < FEED_MAX_PENDING &&
	    hub_question(s->hub, &q))
		feed_ask(s->feed, &q);
}

/*
 * Going to sleep costs as much as there are sockets, and most answers are there
 * in less; so wait a little for them, but never long enough to be missed.
 */
static void
ask_and_wait(struct server *s)
{
	int64_t end_us;

	ask(s);
	if (feed_pending(s->feed) == 0)
		return;
	end_us = clock_mono_us() + ROUND_PATIENCE_US;
	while (feed_pending(s->feed) > 0 && clock_mono_us() < end_us &&
	    feed_wait(s->feed, ANSWER_PATIENCE_US)) {
		take_answers(s);
		ask(s);
	}
}

static struct conn *
first_in(const struct link *list)
{
	struct link *l = link_first(list);

	return l == NULL ? NULL : LINK_OF(l, struct conn, in_clock);
}

static void
end_late(struct server *s)
{
	struct conn *c;

	for (c = first_in(&s->heading); c != NULL &&
	    c->deadline_ms <= s->now.mono_ms; c = first_in(&s->heading))
		conn_kill(c);
	for (c = first_in(&s->dying); c != NULL &&
	    c->deadline_ms <= s->now.mono_ms; c = first_in(&s->dying)) {
		conn_leave(c, conn_why_dropped(c));
		conn_kill(c);
	}
}

static void
do_todo(struct server *s)
{
	struct client *client;
	struct link *l;
	struct conn *c;

	for (l = link_first(&s->handovers); l != NULL;
	    l = link_first(&s->handovers)) {
		link_take(l);
		socket_hand_over(LINK_OF(l, struct conn, in_todo));
	}
	for (client = hub_attention(s->hub); client != NULL;
	    client = hub_attention(s->hub))
		conn_attend(client->owner);
	for (l = link_first(&s->rearm); l != NULL;
	    l = link_first(&s->rearm)) {
		link_take(l);
		c = LINK_OF(l, struct conn, in_todo);
		lws_callback_on_writable(c->watch.wsi);
	}
}

static void
alarm_rang(lws_sorted_usec_list_t *alarm)
{
	(void)alarm;	/* it has done its work by waking the loop */
}

static void
set_alarm(struct server *s, int64_t until_ms)
{
	const struct link *lists[] = { &s->heading, &s->dying };
	int64_t due = hub_due_ms(s->hub), wait;
	const struct conn *c;
	size_t i;

	for (i = 0; i < ARRAY_LEN(lists); i++) {
		c = first_in(lists[i]);
		if (c != NULL && c->deadline_ms < due)
			due = c->deadline_ms;
	}
	due = until_ms < due ? until_ms : due;
	if (due == INT64_MAX) {
		lws_sul_cancel(&s->alarm);
		return;
	}
	wait = due - clock_mono_ms();
	lws_sul_schedule(s->context, 0, &s->alarm, alarm_rang,
	    (wait > 0 ? wait : 0) * LWS_US_PER_MS + 1);
}

static void
show_stats(struct server *s)
{
	struct server_stats *t = &s->stats;
	struct hub_counts n;

	hub_get_counts(s->hub, &n);
	atomic_store(&t->sockets, n.clients - n.streams);
	atomic_store(&t->streams, n.streams);
	atomic_store(&t->runs, n.runs);
	atomic_store(&t->connections, s->conns);
	atomic_store(&t->joined, n.joined);
	atomic_store(&t->refused, n.refused);
	atomic_store(&t->sent, n.sent);
	atomic_store(&t->slow, n.slow);
	atomic_store(&t->dead, n.dead);
	atomic_store(&t->queued_bytes, n.queued_bytes);
}

/* One round; false: the loop cannot go on. */
static bool
go_round(struct server *s, int64_t until_ms)
{
	read_clocks(s);
	take_settings(s);
	take_answers(s);
	hub_tick(s->hub, &s->now);
	ask_and_wait(s);
	do_todo(s);
	end_late(s);
	show_stats(s);
	set_alarm(s, until_ms);
	return lws_service(s->context, 0) >= 0;
}

static void
close_watch(struct watch *w)
{
	if (w->wsi == NULL)
		return;
	lws_set_opaque_user_data(w->wsi, NULL);
	lws_set_timeout(w->wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_ASYNC);
	w->wsi = NULL;
}

static void
begin_restart(struct server *s)
{
	struct link *l;

	s->restarting = true;
	close_watch(&s->listener);
	hub_restart(s->hub);
	/* Who has not asked for anything yet asks our successor. */
	for (l = link_first(&s->heading); l != NULL;
	    l = link_first(&s->heading))
		conn_kill(LINK_OF(l, struct conn, in_clock));
}

void
server_run(struct server *s)
{
	int64_t until_ms;

	while (!atomic_load(&s->stopping))
		if (!go_round(s, INT64_MAX))
			return;
	begin_restart(s);
	until_ms = clock_mono_ms() + RESTART_PATIENCE_MS;
	while (s->conns > 0 && clock_mono_ms() < until_ms)
		if (!go_round(s, until_ms))
			return;
}

/* --- life ----------------------------------------------------------------- */

static void
answer_ready(void *arg)
{
	struct server *s = arg;

	lws_cancel_service(s->context);
}

/* libwebsockets closes what it is given: a duplicate of ours. */
static bool
watch(struct server *s, struct watch *w, enum watched kind, int fd)
{
	lws_adopt_desc_t how;

	w->kind = kind;
	w->s = s;
	memset(&how, 0, sizeof(how));
	how.vh = s->vhost;
	how.type = LWS_ADOPT_RAW_FILE_DESC;
	how.fd.filefd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	how.vh_prot_name = PROTOCOL;
	how.opaque = w;
	w->wsi = lws_adopt_descriptor_vhost_via_info(&how);
	return w->wsi != NULL;
}

static enum err_code
open_context(struct server *s, int files, struct err *e)
{
	static const lws_retry_bo_t no_checks;	/* signs of life are ours */
	struct lws_context_creation_info info;

	lws_set_log_level(LLL_ERR | LLL_WARN, log_library);
	memset(&info, 0, sizeof(info));
	info.port = CONTEXT_PORT_NO_LISTEN;
	info.protocols = protocols;
	info.user = s;
	info.gid = info.uid = -1;	/* we drop nothing here */
	/* The same as the limit of files: a smaller number would make it search
	 * for each socket in a list. */
	info.fd_limit_per_thread = (unsigned int)files;
	info.retry_and_idle_policy = &no_checks;
	info.timeout_secs = HEAD_PATIENCE_MS / 1000;
	info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
	s->context = lws_create_context(&info);
	if (s->context != NULL)
		s->vhost = lws_create_vhost(s->context, &info);
	if (s->vhost == NULL)
		return err_set(e, ERR_SYSTEM, "libwebsockets cannot be set up");
	return ERR_OK;
}

enum err_code
server_new(const struct server_options *o, struct server **out, struct err *e)
{
	struct server *s = xcalloc(1, sizeof(*s));
	struct hub_limits limits;
	struct rlimit files;
	enum err_code rc;

	atomic_store(&s->settings, o->settings);
	atomic_store(&s->wanted, o->settings);
	s->wake = o->wake;
	s->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	s->wake_queue = read_wake_queue();
	link_init(&s->heading);
	link_init(&s->dying);
	link_init(&s->handovers);
	link_init(&s->rearm);
	getrlimit(RLIMIT_NOFILE, &files);
	s->max_conns = (int)files.rlim_cur - SERVER_OTHER_FILES / 4;
	limits_of(s, &limits);
	s->hub = hub_new(&limits, access_owner());
	rc = open_context(s, (int)files.rlim_cur, e);
	if (rc == ERR_OK &&
	    (!watch(s, &s->listener, WATCHED_LISTENER, o->listen_fd) ||
	    !watch(s, &s->waker, WATCHED_WAKE, wake_fd(o->wake))))
		rc = err_set(e, ERR_SYSTEM, "libwebsockets takes no files");
	if (rc == ERR_OK)
		rc = feed_start(o->store, answer_ready, s, &s->feed, e);
	if (rc != ERR_OK) {
		server_free(s);
		return rc;
	}
	*out = s;
	return ERR_OK;
}

void
server_free(struct server *s)
{
	if (s == NULL)
		return;
	feed_stop(s->feed);
	if (s->context != NULL)
		lws_context_destroy(s->context);
	hub_free(s->hub);
	if (s->spare_fd >= 0)
		close(s->spare_fd);
	free(s);
}

void
server_stop(struct server *s)
{
	atomic_store(&s->stopping, true);
	lws_cancel_service(s->context);
}

void
server_reload(struct server *s, const struct settings *settings)
{
	struct timespec pause = { 0, 1000000 };

	atomic_store(&s->wanted, settings);
	lws_cancel_service(s->context);
	while (server_settings(s) != settings && !atomic_load(&s->stopping))
		nanosleep(&pause, NULL);
}

const struct server_stats *
server_get_stats(const struct server *s)
{
	return &s->stats;
}
