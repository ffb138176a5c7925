/*
 * One request, from its variables to its line in the log.
 *
 * The order is what counts: the request is counted, which takes no time, then
 * the answer is finished, because the client waits for it; then it is logged,
 * and who has work by it is woken.  What it was made of lives as long as the
 * request: whatever is said about it afterwards is copied before.
 */
#include "worker.h"

#include <fcgiapp.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "wake.h"
#include "xalloc.h"

#define SEND_CHUNK 65536
#define METHOD_SHOWN 16	/* bytes of a method in the log */
#define MIN_BODY_RATE 4096	/* bytes a second, once its first time is over */

/* --- writing an answer -------------------------------------------------------------- */

/* A request on its way in and out. */
struct exchange {
	FCGX_Request *f;
	struct seat *seat;
	int64_t patience_ms;
	int64_t began_ms, received;
};

/*
 * What is silent for too long is cut off, and so is what comes so slowly that
 * it might as well be: the time for all of a body grows with what has come.
 */
static int64_t
body_due(const struct exchange *x)
{
	int64_t now = clock_mono_ms() + x->patience_ms;
	int64_t all = x->began_ms + x->patience_ms +
	    x->received * 1000 / MIN_BODY_RATE;

	return now < all ? now : all;
}

static int
read_piece(void *arg, char *buf, int len)
{
	struct exchange *x = arg;
	int n;

	seat_await(x->seat, false, body_due(x));
	n = FCGX_GetStr(buf, len, x->f->in);
	seat_rest(x->seat);
	if (seat_is_shut(x->seat))
		return BODY_LATE;
	if (n == 0 && FCGX_GetError(x->f->in) != 0)
		return BODY_BROKEN;
	x->received += n;
	return n;
}

/* False when the other end is gone. */
static bool
put(struct exchange *x, const char *data, size_t len)
{
	size_t n;

	for (; len > 0; data += n, len -= n) {
		n = len < SEND_CHUNK ? len : SEND_CHUNK;
		seat_await(x->seat, true, clock_mono_ms() + x->patience_ms);
		if (FCGX_PutStr(data, (int)n, x->f->out) != (int)n)
			return false;
	}
	return true;
}

static int64_t
put_file(struct exchange *x, const struct response *res)
{
	char *chunk = xmalloc(SEND_CHUNK);
	int64_t sent = 0, left;
	ssize_t n;

	while (sent < res->file_length) {
		left = res->file_length - sent;
		n = pread(res->file_fd, chunk,
		    left < SEND_CHUNK ? (size_t)left : SEND_CHUNK,
		    res->file_offset + sent);
		/* After a short answer the web server sees that it is one. */
		if (n <= 0 || !put(x, chunk, (size_t)n))
			break;
		sent += n;
	}
	free(chunk);
	return sent;
}

/* Returns the bytes of the body. */
static int64_t
write_response(struct exchange *x, const struct request *r,
    struct response *res)
{
	struct strbuf head = STRBUF_INIT(MAX_HEADER_BYTES + 1024);
	bool has_body = res->status != 204 && res->status != 304;

	strbuf_addf(&head, "Status: %d %s\r\n", res->status,
	    http_reason(res->status));
	strbuf_add(&head, res->headers.buf, res->headers.len);
	if (has_body && res->file_fd >= 0)
		strbuf_addf(&head, "Content-Length: %lld\r\n",
		    (long long)res->file_length);
	else if (has_body)
		strbuf_addf(&head, "Content-Length: %zu\r\n", res->body.len);
	strbuf_addstr(&head, "\r\n");
	put(x, head.buf, head.len);
	strbuf_release(&head);
	if (!has_body || r->method == METHOD_HEAD)
		return 0;
	if (res->file_fd >= 0)
		return put_file(x, res);
	put(x, res->body.buf, res->body.len);
	return (int64_t)res->body.len;
}

/* --- one request -------------------------------------------------------------------- */

/* The access log. Queries may hold what somebody is looking for: left out. */
static void
log_request(const struct request *r, const char *method,
    const struct response *res, int64_t bytes, int64_t us)
{
	const struct route *route = route_at(r->route);

	log_info("request", "method=%s route=%s path=%s status=%d bytes=%lld "
	    "us=%lld%s%s", log_quote(method),
	    log_quote(route != NULL ? route->pattern : "-"),
	    log_quote(r->path), res->status, (long long)bytes, (long long)us,
	    r->run_id[0] != '\0' ? " run=" : "", r->run_id);
}

/* Hints that may be lost: who sleeps looks again by itself, only later. */
static void
wake_others(const struct worker *w, const struct request *r,
    const struct response *res)
{
	const char *run_dir = w->svc->conf->settings.run_dir;

	if (res->wake != NULL)
		wake_send(run_dir, "runner", res->wake);
	if (res->told)
		wake_send_event(run_dir, r->run_id);
}

void
serve(struct worker *w, struct seat *seat, struct FCGX_Request *f)
{
	struct exchange x = { .f = f, .seat = seat,
		.patience_ms = w->svc->conf->settings.api_read_timeout_ms,
		.began_ms = clock_mono_ms() };
	int64_t began_us = clock_mono_us(), took_us, bytes;
	struct response res;
	struct request r;
	struct err e = ERR_INIT;
	char method[METHOD_SHOWN], who[LOG_CONTEXT_MAX];
	enum err_code rc;

	atomic_fetch_add(&w->active, 1);
	atomic_fetch_add(&w->requests, 1);
	response_init(&res);
	rc = request_init(&r, f->envp, &e);
	snprintf(who, sizeof(who), "request=%s", r.id);
	log_context(who);
	if (rc != ERR_OK) {
		route_refuse(w, &r, &e, &res);
	} else {
		r.read_body = read_piece;
		r.read_arg = &x;
		route_request(w, &r, &res);
	}
	bytes = write_response(&x, &r, &res);
	took_us = clock_mono_us() - began_us;
	/* Whoever has an answer finds it counted. */
	metrics_request(w->metrics, r.route, res.status, took_us,
	    r.body_bytes, bytes);
	if (r.method != METHOD_GET && r.method != METHOD_HEAD)
		worker_count_store(w);
	/* The variables die with the request: copy what is logged first. */
	snprintf(method, sizeof(method), "%s", r.method_name);
	/* What is buffered goes out, and the other end closes. */
	seat_await(seat, true, clock_mono_ms() + x.patience_ms);
	FCGX_Finish_r(f);
	seat_leave(seat);
	log_request(&r, method, &res, bytes, took_us);
	wake_others(w, &r, &res);
	log_context(NULL);
	request_release(&r);
	response_release(&res);
	atomic_fetch_sub(&w->active, 1);
}
