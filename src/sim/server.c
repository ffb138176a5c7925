/*
 * The sockets: libmicrohttpd's one thread, and what it is told.
 *
 * A provider call is suspended as soon as its body is complete and resumed by
 * the pool; libmicrohttpd then asks again and is given the answer.  Requests
 * about the simulator itself (/sim/..., /picture/...) are answered at once.
 *
 * Two faults live here because they are about the connection: reset sends
 * half of the answer and then a real RST; stall sends the headers and then
 * nothing until the client goes away.
 *
 * A struct call is born with the first line of a request and freed in
 * on_completed(), both in libmicrohttpd's thread.  In between the pool may
 * hold its task; the connection is suspended exactly then.
 */
#include <microhttpd.h>

#include "sim.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "xalloc.h"

#define WORKERS 2
#define BACKLOG 4096
#define MAX_CONNECTIONS 8192
#define IDLE_S 600
#define MAX_CONTROL_BYTES (4u * 1024 * 1024)
#define BAD_KEY "bad-key"
#define BLOCK_BYTES (64u * 1024)	/* of a response that is interrupted */

struct server {
	struct MHD_Daemon *daemon;
	struct pool *pool;
	struct script *script;
	struct counters *counters;
	struct call_log *log;	/* NULL: none */
	int64_t n_calls;	/* so far; of libmicrohttpd's thread */
	bool log_calls;
	int port;
};

enum call_state {
	CALL_RECEIVING,
	CALL_WAITING,		/* suspended; the pool has it */
	CALL_READY,
	CALL_ANSWERING
};

struct call {
	struct task task;	/* first: a task is a call */
	struct server *server;
	struct MHD_Connection *conn;
	int fd;
	enum call_state state;
	bool is_provider_call;
	bool arrived;		/* counted as in flight */
	bool gone;		/* nobody waits for the answer */
	bool stalled;
	enum sim_kind kind;
	char *path;		/* owned, as are the next two */
	char *key, *content_type;	/* NULL: none */
	char *request_id;	/* owned; NULL: none */
	int64_t number;		/* of the calls that arrived; 0 before */
	char base_url[160];
	struct strbuf body;
	struct fault fault;
	struct answer answer;
	size_t answer_bytes;
	int64_t arrived_ms;	/* monotonic */
	int64_t at_ms;		/* wall clock */
	char model[SIM_NAME_MAX], schema[SIM_NAME_MAX];
	char *system, *prompt;	/* owned */
};

/* --- a call ------------------------------------------------------------ */

static bool
is_plain_host(const char *s)
{
	return s != NULL && strlen(s) < 120 && s[strspn(s, "abcdefghijklmnopqrst"
	    "uvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:-[]")] == '\0';
}

static const char *
header(struct MHD_Connection *conn, const char *name)
{
	return MHD_lookup_connection_value(conn, MHD_HEADER_KIND, name);
}

static struct call *
call_new(struct server *s, struct MHD_Connection *conn, const char *path)
{
	const union MHD_ConnectionInfo *info;
	struct call *c = xcalloc(1, sizeof(*c));
	const char *host = header(conn, "Host");

	c->server = s;
	c->conn = conn;
	info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
	c->fd = info != NULL ? info->connect_fd : -1;
	c->path = xstrdup(path);
	c->is_provider_call = sim_kind_of_path(path, &c->kind);
	c->key = xstrdup(header(conn, "Idempotency-Key"));
	c->request_id = xstrdup(header(conn, "X-Client-Request-Id"));
	c->content_type = xstrdup(header(conn, "Content-Type"));
	if (is_plain_host(host))
		snprintf(c->base_url, sizeof(c->base_url), "http://%s", host);
	else
		snprintf(c->base_url, sizeof(c->base_url),
		    "http://127.0.0.1:%d", s->port);
	strbuf_init(&c->body, c->is_provider_call ? SIM_MAX_BODY_BYTES :
	    MAX_CONTROL_BYTES);
	answer_init(&c->answer);
	return c;
}

static void
call_free(struct call *c)
{
	answer_release(&c->answer);
	fault_release(&c->fault);
	strbuf_release(&c->body);
	free(c->system);
	free(c->prompt);
	free(c->content_type);
	free(c->request_id);
	free(c->key);
	free(c->path);
	free(c);
}

static void
call_note(const struct call *c, enum call_log_event event, bool whole)
{
	struct logged_call l = { .number = c->number, .kind = c->kind,
	    .key = c->key, .request_id = c->request_id,
	    .status = c->answer.status, .fault = fault_name(c->fault.type),
	    .whole = whole };

	call_log_write(c->server->log, event, &l);
}

/* To be sent to its last byte, as far as the script has a say in it. */
static bool
is_to_be_whole(const struct call *c)
{
	return !c->gone && c->fault.type != FAULT_RESET &&
	    c->fault.type != FAULT_STALL;
}

/* --- in the pool ------------------------------------------------------- */

static void
build(struct task *t)
{
	struct call *c = (struct call *)t;
	struct sim_input in = { c->kind, c->path, c->content_type, c->body.buf,
	    c->body.len };
	struct sim_request r;
	struct err e = ERR_INIT;

	if (sim_request_parse(&in, &r, &e) != ERR_OK) {
		counters_parsed(c->server->counters, NULL);
		answer_error(c->kind, 400, e.msg, &c->answer);
	} else {
		counters_parsed(c->server->counters, &r);
		script_apply(c->server->script, &r, &c->fault);
		answer_make(&r, &c->fault, c->base_url, &c->answer);
	}
	snprintf(c->model, sizeof(c->model), "%s", r.model);
	snprintf(c->schema, sizeof(c->schema), "%s", r.schema_name);
	c->system = strbuf_detach(&r.system);
	c->prompt = strbuf_detach(&r.user);
	sim_request_release(&r);
	strbuf_release(&c->body);
	if (c->fault.type == FAULT_STALL)
		strbuf_release(&c->answer.body);
	c->answer_bytes = c->answer.body.len;
	t->ready_bytes = c->answer_bytes;
	/* Clocks in whole milliseconds: one more, so as to be never early. */
	t->due_ms = c->arrived_ms + c->fault.latency_ms +
	    (c->fault.latency_ms > 0 ? 1 : 0);
}

/* In the pool's clock thread. The connection may be gone when this returns. */
static void
resume(struct task *t, bool gone)
{
	struct call *c = (struct call *)t;

	if (gone)
		c->gone = true;
	if (c->state == CALL_WAITING)
		c->state = CALL_READY;
	MHD_resume_connection(c->conn);
}

static bool
client_is_gone(struct task *t)
{
	struct call *c = (struct call *)t;
	struct pollfd p = { c->fd, POLLRDHUP, 0 };

	return c->fd >= 0 && poll(&p, 1, 0) == 1 &&
	    (p.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0;
}

/* --- interrupted answers ----------------------------------------------- */

/* Disconnecting a TCP socket sends RST at once, where close() would say a
 * polite goodbye first. */
static void
send_reset(int fd)
{
	struct linger now = { 1, 0 };
	struct sockaddr nowhere = { .sa_family = AF_UNSPEC };
	int on = 1;

	/* Pushes what is still held back of the first half. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	connect(fd, &nowhere, sizeof(nowhere));
}

static ssize_t
read_half(void *cls, uint64_t pos, char *buf, size_t max)
{
	struct call *c = cls;
	size_t half = c->answer.body.len / 2;

	if (pos >= half) {
		send_reset(c->fd);
		return MHD_CONTENT_READER_END_WITH_ERROR;
	}
	if (max > half - pos)
		max = (size_t)(half - pos);
	memcpy(buf, c->answer.body.buf + pos, max);
	return (ssize_t)max;
}

static ssize_t
read_nothing(void *cls, uint64_t pos, char *buf, size_t max)
{
	struct call *c = cls;

	(void)pos;
	(void)buf;
	(void)max;
	if (c->stalled)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	c->stalled = true;
	c->task.due_ms = clock_mono_ms() + c->fault.stall_ms;
	MHD_suspend_connection(c->conn);
	if (!pool_wait(c->server->pool, &c->task))
		MHD_resume_connection(c->conn);
	return 0;
}

/* --- answering --------------------------------------------------------- */

static struct MHD_Response *
make_response(struct call *c)
{
	size_t len = c->answer.body.len;

	if (c->fault.type == FAULT_RESET)
		return MHD_create_response_from_callback(len, BLOCK_BYTES,
		    read_half, c, NULL);
	if (c->fault.type == FAULT_STALL)
		return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN,
		    BLOCK_BYTES, read_nothing, c, NULL);
	return MHD_create_response_from_buffer(len,
	    strbuf_detach(&c->answer.body), MHD_RESPMEM_MUST_FREE);
}

static enum MHD_Result
send_answer(struct call *c)
{
	struct MHD_Response *r = make_response(c);
	enum MHD_Result ok;

	c->state = CALL_ANSWERING;
	if (r == NULL)
		return MHD_NO;
	if (c->arrived)
		call_note(c, CALL_LOG_ANSWERING, is_to_be_whole(c));
	MHD_add_response_header(r, "Content-Type", c->answer.content_type);
	if (c->is_provider_call)
		MHD_add_response_header(r, "X-Simulated", "true");
	if (c->answer.retry_after[0] != '\0')
		MHD_add_response_header(r, "Retry-After",
		    c->answer.retry_after);
	if (c->answer.status == 405)
		MHD_add_response_header(r, "Allow", "POST");
	ok = MHD_queue_response(c->conn, (unsigned)c->answer.status, r);
	MHD_destroy_response(r);
	return ok;
}

static enum MHD_Result
refuse(struct call *c, int status, const char *message)
{
	answer_error(c->kind, status, message, &c->answer);
	c->answer_bytes = c->answer.body.len;
	return send_answer(c);
}

static bool
has_bad_key(struct call *c)
{
	const char *auth = header(c->conn, "Authorization");
	const char *google = header(c->conn, "x-goog-api-key");
	const char *arg = MHD_lookup_connection_value(c->conn,
	    MHD_GET_ARGUMENT_KIND, "key");

	return (auth != NULL && strcmp(auth, "Bearer " BAD_KEY) == 0) ||
	    (google != NULL && strcmp(google, BAD_KEY) == 0) ||
	    (arg != NULL && strcmp(arg, BAD_KEY) == 0);
}

static enum MHD_Result
start_call(struct call *c)
{
	c->arrived_ms = clock_mono_ms();
	c->at_ms = clock_now_ms();
	c->arrived = true;
	c->number = ++c->server->n_calls;
	call_note(c, CALL_LOG_ARRIVED, false);
	counters_arrived(c->server->counters, c->kind, c->key);
	if (has_bad_key(c))
		return refuse(c, 401, NULL);
	if (strbuf_overflowed(&c->body))
		return refuse(c, 413, NULL);
	c->task.build = build;
	c->task.resume = resume;
	c->task.gone = client_is_gone;
	c->state = CALL_WAITING;
	MHD_suspend_connection(c->conn);
	if (!pool_submit(c->server->pool, &c->task))
		resume(&c->task, true);
	return MHD_YES;
}

/* --- the simulator's own resources ------------------------------------- */

static enum MHD_Result
answer_own(struct call *c, char *text)
{
	strbuf_addstr(&c->answer.body, text);
	strbuf_addch(&c->answer.body, '\n');
	free(text);
	return send_answer(c);
}

static enum MHD_Result
own_script(struct call *c)
{
	struct err e = ERR_INIT;

	if (strbuf_overflowed(&c->body))
		return refuse(c, 413, NULL);
	if (script_load(c->server->script, c->body.buf, c->body.len, &e) !=
	    ERR_OK)
		return refuse(c, 400, e.msg);
	return answer_own(c, xstrdup("{\"ok\":true}"));
}

static enum MHD_Result
own_reset(struct call *c)
{
	script_reset(c->server->script);
	counters_reset(c->server->counters);
	gallery_clear();
	return answer_own(c, xstrdup("{\"ok\":true}"));
}

static enum MHD_Result
own_counters(struct call *c)
{
	return answer_own(c, counters_text(c->server->counters));
}

static enum MHD_Result
own_requests(struct call *c)
{
	const char *last = MHD_lookup_connection_value(c->conn,
	    MHD_GET_ARGUMENT_KIND, "last");
	long n = last != NULL ? strtol(last, NULL, 10) : 20;

	return answer_own(c, counters_requests_text(c->server->counters,
	    n < 0 ? 0 : n > 1000 ? 1000 : (int)n));
}

static const struct {
	const char *method;
	const char *path;
	enum MHD_Result (*exec)(struct call *c);
} own[] = {
	{ "POST", "/sim/script", own_script },
	{ "POST", "/sim/reset", own_reset },
	{ "GET", "/sim/counters", own_counters },
	{ "GET", "/sim/requests", own_requests },
};

static bool
fetch_picture(struct call *c)
{
	const char *name = strrchr(c->path, '/');
	char hash[DIGEST_HEX_MAX];
	size_t n;

	if (name == NULL || name - c->path < 8 ||
	    strncmp(name - 8, "/picture", 8) != 0)
		return false;
	n = strspn(name + 1, "0123456789abcdef");
	if (n != sizeof(hash) - 1 || strcmp(name + 1 + n, ".png") != 0)
		return false;
	memcpy(hash, name + 1, n);
	hash[n] = '\0';
	if (!gallery_get(hash, &c->answer.body))
		return false;
	c->answer.content_type = "image/png";
	return true;
}

static enum MHD_Result
dispatch(struct call *c, const char *method)
{
	size_t i;

	if (c->is_provider_call)
		return strcmp(method, "POST") == 0 ? start_call(c) :
		    refuse(c, 405, "Method not allowed, use POST.");
	for (i = 0; i < ARRAY_LEN(own); i++)
		if (strcmp(own[i].path, c->path) == 0 &&
		    strcmp(own[i].method, method) == 0)
			return own[i].exec(c);
	if (strcmp(method, "GET") == 0 && fetch_picture(c))
		return send_answer(c);
	return refuse(c, 404, "There is nothing at this address.");
}

/* --- what libmicrohttpd calls ------------------------------------------ */

static enum MHD_Result
on_request(void *cls, struct MHD_Connection *conn, const char *url,
    const char *method, const char *version, const char *data, size_t *size,
    void **con_cls)
{
	struct call *c = *con_cls;

	(void)version;
	if (c == NULL) {
		*con_cls = call_new(cls, conn, url);
		return MHD_YES;
	}
	if (*size > 0) {
		strbuf_add(&c->body, data, *size);
		*size = 0;
		return MHD_YES;
	}
	switch (c->state) {
	case CALL_RECEIVING:
		return dispatch(c, method);
	case CALL_READY:
		return c->gone ? MHD_NO : send_answer(c);
	case CALL_WAITING:
	case CALL_ANSWERING:
		break;
	}
	return MHD_YES;
}

static void
finish(struct call *c, bool whole)
{
	struct outcome o = {
		.kind = c->kind, .key = c->key, .model = c->model,
		.schema = c->schema, .system = c->system, .prompt = c->prompt,
		.status = c->answer.status, .bytes = c->answer_bytes,
		.at_ms = c->at_ms, .took_ms = clock_mono_ms() - c->arrived_ms,
	};

	o.whole = whole && is_to_be_whole(c);
	call_note(c, CALL_LOG_ENDED, o.whole);
	counters_done(c->server->counters, &o);
	pool_returned(c->server->pool, c->task.ready_bytes);
	if (c->server->log_calls)
		log_info(o.whole ? "call answered" : "call broken off",
		    "kind=%s model=%s schema=%s status=%d bytes=%zu ms=%lld",
		    sim_kind_name(c->kind), log_quote(c->model),
		    log_quote(c->schema), o.status, o.bytes,
		    (long long)o.took_ms);
}

static void
on_completed(void *cls, struct MHD_Connection *conn, void **con_cls,
    enum MHD_RequestTerminationCode why)
{
	struct call *c = *con_cls;

	(void)cls;
	(void)conn;
	if (c == NULL)
		return;
	if (c->arrived)
		finish(c, why == MHD_REQUEST_TERMINATED_COMPLETED_OK &&
		    c->state == CALL_ANSWERING);
	call_free(c);
	*con_cls = NULL;
}

static void
on_connection(void *cls, struct MHD_Connection *conn, void **socket_cls,
    enum MHD_ConnectionNotificationCode what)
{
	struct server *s = cls;

	(void)conn;
	(void)socket_cls;
	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		counters_connection(s->counters);
}

/* --- starting and stopping --------------------------------------------- */

static bool
is_loopback(const struct sockaddr *a)
{
	const struct sockaddr_in *v4 = (const void *)a;
	const struct sockaddr_in6 *v6 = (const void *)a;

	if (a->sa_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	return a->sa_family == AF_INET6 &&
	    IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static int
port_of(int fd)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);

	if (getsockname(fd, (struct sockaddr *)&a, &len) != 0)
		return 0;
	return ntohs(a.ss_family == AF_INET6 ?
	    ((struct sockaddr_in6 *)&a)->sin6_port :
	    ((struct sockaddr_in *)&a)->sin_port);
}

static enum err_code
listen_on(const struct server_options *o, int *out_fd, struct err *e)
{
	struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
	    .ai_socktype = SOCK_STREAM }, *list = NULL;
	enum err_code rc = ERR_OK;
	int fd = -1, on = 1, status;
	char port[16];

	snprintf(port, sizeof(port), "%d", o->port);
	status = getaddrinfo(o->host, port, &hints, &list);
	if (status != 0)
		return err_set(e, ERR_INVALID, "%s: %s", o->host,
		    gai_strerror(status));
	if (!o->allow_remote && !is_loopback(list->ai_addr)) {
		rc = err_set(e, ERR_INVALID, "%s is not a loopback address; "
		    "a simulator has no authentication (--allow-remote)",
		    o->host);
		goto out;
	}
	fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    bind(fd, list->ai_addr, list->ai_addrlen) != 0 ||
	    listen(fd, BACKLOG) != 0) {
		rc = err_set_errno(e, ERR_SYSTEM, errno, "listening on %s:%s",
		    o->host, port);
		goto out;
	}
	*out_fd = fd;
	fd = -1;
out:
	if (fd >= 0)
		close(fd);
	freeaddrinfo(list);
	return rc;
}

enum err_code
server_start(const struct server_options *o, struct server **out,
    struct err *e)
{
	struct server *s;
	enum err_code rc;
	int fd = -1;

	rc = listen_on(o, &fd, e);
	if (rc != ERR_OK)
		return rc;
	s = xcalloc(1, sizeof(*s));
	s->script = o->script;
	s->counters = o->counters;
	s->log = o->log;
	s->log_calls = o->log_calls;
	s->port = port_of(fd);
	s->pool = pool_new(WORKERS);
	s->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD |
	    MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, s,
	    MHD_OPTION_LISTEN_SOCKET, fd,
	    MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
	    MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
	    MHD_OPTION_CONNECTION_LIMIT, (unsigned)MAX_CONNECTIONS,
	    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
	    MHD_OPTION_END);
	if (s->daemon == NULL) {
		close(fd);
		pool_close(s->pool);
		pool_free(s->pool);
		free(s);
		return err_set(e, ERR_SYSTEM, "the HTTP server did not start");
	}
	*out = s;
	return ERR_OK;
}

int
server_port(const struct server *s)
{
	return s->port;
}

/* The pool outlives the daemon: on_completed() still hands memory back. */
void
server_stop(struct server *s)
{
	int fd;

	if (s == NULL)
		return;
	fd = MHD_quiesce_daemon(s->daemon);
	if (fd != MHD_INVALID_SOCKET)
		close(fd);
	pool_close(s->pool);
	MHD_stop_daemon(s->daemon);
	pool_free(s->pool);
	gallery_clear();
	free(s);
}
