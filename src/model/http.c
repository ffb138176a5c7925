/*
 * One thread around one curl_multi.
 *
 * A transfer is one request on its way:
 *
 *   http_group_add()         the curl thread              http_group_poll()
 *     INCOMING --taken--> waiting --room at host--> running --> done --> caller
 *         |                  |                         |          |
 *         '-- its group has gone: destroyed by the thread'   freed by the group
 *
 * Three rules keep it simple.  (1) Only the curl thread touches curl handles;
 * others leave orders under the lock and wake it.  (2) Whether somebody still
 * wants a transfer is its group pointer, read and written under the lock: a
 * caller who leaves sets it to NULL and is gone, without waiting for anything.
 * (3) The thread never waits: not for a resolver (QUICK_EXIT), not for a disk
 * sync (the caller does that when it fetches the answer), not for a lock that
 * is held longer than a list operation.
 *
 * How many connections a host gets is decided here, before a transfer is
 * given to curl: curl's own queue would count against the time-out.
 *
 * Memory: text bytes of answers not yet fetched are counted.  Over the limit
 * transfers are paused, which makes TCP hold the sender back; the oldest one
 * that has begun goes on, so that something always moves.
 */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "http.h"

#include <assert.h>

#include "clock.h"
#include "transfer.h"
#include "xalloc.h"

#define IDLE_CONNECTIONS_MAX 64L
#define IDLE_CONNECTION_S 55L	/* providers close theirs at 60 s and more */
#define DNS_CACHE_S 600L
#define TCP_KEEP_IDLE_S 30L
#define TCP_KEEP_INTERVAL_S 15L
#define UPLOAD_BUFFER_BYTES 16384L
#define LONGEST_POLL_MS 1000
#define RETRY_AFTER_MAX_S (7 * 24 * 3600)

_Static_assert(CURL_TEXT_MAX >= CURL_ERROR_SIZE, "curl writes more");

/* --- a transfer ---------------------------------------------------------- */

void
transfer_free(struct transfer *t)
{
	struct curl_slist *h;

	if (t == NULL)
		return;
	atomic_fetch_sub(&t->http->in_flight_bytes, t->counted);
	if (t->done)
		atomic_fetch_sub(&t->http->done_bytes, t->counted);
	for (h = t->headers; h != NULL; h = h->next)
		explicit_bzero(h->data, strlen(h->data));	/* keys */
	curl_slist_free_all(t->headers);
	http_answer_release(&t->answer);
	http_body_free(t->body);
	sink_release(&t->sink);
	free(t->method);
	free(t->url);
	free(t);
}

void
http_answer_release(struct http_answer *a)
{
	strbuf_release(&a->text);
}

/* "https://host:port" of a URL; what is not a URL is its own host. */
static void
host_of(const char *url, char out[HOST_MAX])
{
	const char *p = strstr(url, "://");
	size_t len;

	p = p == NULL ? url : p + 3;
	len = (size_t)(p - url) + strcspn(p, "/?#");
	if (len >= HOST_MAX)
		len = HOST_MAX - 1;
	memcpy(out, url, len);
	out[len] = '\0';
}

struct transfer *
transfer_new(struct http *h, const struct http_request *req, int tag)
{
	struct transfer *t = xcalloc(1, sizeof(*t));
	struct curl_slist *more;
	int dirfd = -1, i;

	t->http = h;
	t->tag = tag;
	t->method = xstrdup(req->method);
	t->url = xstrdup(req->url);
	host_of(t->url, t->host);
	t->body = req->body;
	t->connect_timeout_ms = req->connect_timeout_ms;
	t->max_connections = req->max_connections;
	t->http2 = req->http2;
	t->began_ms = clock_mono_ms();
	t->deadline_ms = mono_after(t->began_ms, req->total_timeout_ms);
	/* The caller may be gone, and its descriptor with it, while the
	 * thread still writes. */
	if (req->blob_dirfd >= 0 && req->blob_prefix != NULL)
		dirfd = fcntl(req->blob_dirfd, F_DUPFD_CLOEXEC, 3);
	sink_init(&t->sink, req, dirfd);
	strbuf_init(&t->answer.text, req->max_text_bytes);
	t->answer.retry_after_ms = -1;
	/* curl adds these by itself unless told not to. */
	t->headers = curl_slist_append(NULL, "Expect:");
	for (i = 0; i < HTTP_MAX_HEADERS && req->headers[i] != NULL; i++) {
		assert(strpbrk(req->headers[i], "\r\n") == NULL);
		more = curl_slist_append(t->headers, req->headers[i]);
		if (more == NULL)
			abort();	/* as xmalloc() */
		t->headers = more;
	}
	return t;
}

/* --- callbacks of curl, in its thread ------------------------------------ */

static size_t
on_read(char *buf, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	ssize_t got = body_read(t->body, &t->at, buf, size * n);

	if (got < 0) {
		t->body_failed = true;
		return CURL_READFUNC_ABORT;
	}
	return (size_t)got;
}

/* Is t the one transfer that goes on while others wait for memory?  Nobody is
 * while finished answers fill half of it: callers fetch them, that helps. */
static bool
is_privileged(const struct transfer *t)
{
	const struct transfer *other;

	if (atomic_load(&t->http->done_bytes) * 2 >
	    t->http->max_in_flight_bytes)
		return false;
	TAILQ_FOREACH(other, &t->http->running, link)
		if (other->counted > 0)
			return other == t;
	return true;
}

static size_t
on_write(char *data, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	struct http *h = t->http;
	size_t len = size * n;
	int64_t grown;
	long status = 0;

	if (h->max_in_flight_bytes > 0 &&
	    atomic_load(&h->in_flight_bytes) + (int64_t)len >
	    h->max_in_flight_bytes && !is_privileged(t)) {
		t->paused = true;
		atomic_fetch_add(&h->n_paused, 1);
		return CURL_WRITEFUNC_PAUSE;
	}
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	if (!sink_feed(&t->sink, (int)status, data, len))
		return 0;
	grown = (int64_t)t->sink.text.len - t->counted;
	t->counted += grown;
	atomic_fetch_add(&h->in_flight_bytes, grown);
	return len;
}

/* If line is "name: value", copy the value and say so. */
static bool
header_value(const char *line, size_t len, const char *name, char *out,
    size_t size)
{
	size_t n = strlen(name);

	if (len <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
		return false;
	for (n++; n < len && isblank((unsigned char)line[n]); n++)
		;
	while (len > n && isspace((unsigned char)line[len - 1]))
		len--;
	if (len - n >= size)
		len = n + size - 1;
	memcpy(out, line + n, len - n);
	out[len - n] = '\0';
	return true;
}

static size_t
on_header(char *data, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	struct http_answer *a = &t->answer;
	size_t len = size * n;
	char value[80], *end;
	double ms;

	if (header_value(data, len, "x-request-id", value, sizeof(value)) ||
	    header_value(data, len, "request-id", value, sizeof(value))) {
		memcpy(a->request_id, value, sizeof(value));
		for (end = a->request_id; *end != '\0'; end++)
			if (!isgraph((unsigned char)*end))
				*end = '?';
	} else if (header_value(data, len, "retry-after-ms", value,
	    sizeof(value))) {
		ms = strtod(value, &end);
		if (end != value && ms >= 0 && ms < RETRY_AFTER_MAX_S * 1e3)
			a->retry_after_ms = (int64_t)ms;
	}
	return len;
}

/* A program we start later must not get our connections. */
static curl_socket_t
on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
	(void)arg;
	(void)purpose;
	return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

/* --- starting and finishing, in the thread ------------------------------- */

/* Options that are the same for every transfer. */
static void
set_habits(const struct http *h, CURL *easy)
{
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "churns/" CHURNS_VERSION);
	curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, DNS_CACHE_S);
	curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, IDLE_CONNECTION_S);
	curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE,
	    UPLOAD_BUFFER_BYTES);
	/* A picture may take minutes without a byte: routers forget. */
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, TCP_KEEP_IDLE_S);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, TCP_KEEP_INTERVAL_S);
	if (h->ca_file != NULL)
		curl_easy_setopt(easy, CURLOPT_CAINFO, h->ca_file);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_socket);
	curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_write);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
}

static void
set_request(struct transfer *t, int64_t now_ms)
{
	CURL *easy = t->easy;

	curl_easy_setopt(easy, CURLOPT_URL, t->url);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t->headers);
	curl_easy_setopt(easy, CURLOPT_READDATA, t);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->errbuf);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
	    (long)t->connect_timeout_ms);
	if (t->deadline_ms != INT64_MAX)
		curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS,
		    (long)(t->deadline_ms - now_ms));
	if (t->http2) {
		curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
		    (long)CURL_HTTP_VERSION_2TLS);
		curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
	} else {
		curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
		    (long)CURL_HTTP_VERSION_1_1);
	}
	if (t->body != NULL) {
		/* A read callback and no seek callback: see http.h. */
		curl_easy_setopt(easy, CURLOPT_POST, 1L);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
		    (curl_off_t)http_body_length(t->body));
	} else if (strcmp(t->method, "GET") == 0) {
		curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	} else {
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "");
	}
	if (strcmp(t->method, "GET") != 0 && strcmp(t->method, "POST") != 0)
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, t->method);
}

/* Give the transfer to whoever waits for it; destroy it when nobody does. */
static void
transfer_done(struct transfer *t)
{
	struct http *h = t->http;
	struct http_group *g;

	if (t->answer.failure != HTTP_FINE)
		sink_discard(&t->sink);
	pthread_mutex_lock(&h->lock);
	g = t->group;
	if (g != NULL) {
		t->done = true;
		atomic_fetch_add(&h->done_bytes, t->counted);
		TAILQ_REMOVE(&g->under_way, t, of_group);
		TAILQ_INSERT_TAIL(&g->done, t, of_group);
		pthread_cond_signal(&g->changed);
	}
	pthread_mutex_unlock(&h->lock);
	if (g == NULL) {
		sink_discard(&t->sink);
		transfer_free(t);
	}
}

void
transfer_fail(struct transfer *t, enum http_failure failure,
    const char *message)
{
	struct http_answer *a = &t->answer;
	struct err clean = ERR_INIT;

	a->failure = failure;
	err_set(&clean, ERR_SYSTEM, "%s", message);	/* one clean line */
	snprintf(a->message, sizeof(a->message), "%.*s",
	    (int)sizeof(a->message) - 1, clean.msg);
}

/* Did anything of the request leave this machine? */
static bool
was_sent(const struct transfer *t)
{
	long bytes = 0;

	curl_easy_getinfo(t->easy, CURLINFO_REQUEST_SIZE, &bytes);
	return bytes > 0;
}

static enum http_failure
failure_of(const struct transfer *t, CURLcode code)
{
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
		return HTTP_NOT_SENT;
	case CURLE_OUT_OF_MEMORY:
		return HTTP_LOCAL;
	case CURLE_OPERATION_TIMEDOUT:
		return was_sent(t) ? HTTP_TIMEOUT : HTTP_NOT_SENT;
	default:
		if (t->body_failed)
			return HTTP_LOCAL;
		if (t->sink.failure != HTTP_FINE)
			return t->sink.failure;
		return was_sent(t) ? HTTP_BROKEN : HTTP_NOT_SENT;
	}
}

static void
fill_answer(struct transfer *t, CURLcode code)
{
	struct http_answer *a = &t->answer;
	curl_off_t retry_s = 0;
	long status = 0, opened = 0;

	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &retry_s);
	curl_easy_getinfo(t->easy, CURLINFO_NUM_CONNECTS, &opened);
	atomic_fetch_add(&t->http->connections, opened);
	a->status = (int)status;
	a->total_ms = clock_mono_ms() - t->began_ms;
	if (a->retry_after_ms < 0 && retry_s > 0 &&
	    retry_s <= RETRY_AFTER_MAX_S)
		a->retry_after_ms = (int64_t)retry_s * 1000;
	if (code != CURLE_OK) {
		transfer_fail(t, failure_of(t, code),
		    t->body_failed ? "a file of the request cannot be read" :
		    t->sink.failure != HTTP_FINE ? t->sink.err.msg :
		    t->errbuf[0] != '\0' ? t->errbuf :
		    curl_easy_strerror(code));
		a->connect_timeout = a->failure == HTTP_NOT_SENT &&
		    code == CURLE_OPERATION_TIMEDOUT;
		a->local = t->sink.err.code == ERR_FULL ? ERR_FULL :
		    ERR_SYSTEM;
	}
	strbuf_release(&a->text);
	a->text = t->sink.text;
	strbuf_init(&t->sink.text, 0);
	if (a->failure == HTTP_FINE) {
		a->n_blobs = t->sink.n_blobs;
		memcpy(a->blob_invalid, t->sink.blob_invalid,
		    sizeof(a->blob_invalid));
	}
}

/* Take a running transfer out of curl. */
static void
transfer_stop(struct transfer *t)
{
	struct http *h = t->http;

	curl_multi_remove_handle(h->multi, t->easy);
	curl_easy_cleanup(t->easy);
	t->easy = NULL;
	if (t->paused)
		atomic_fetch_sub(&h->n_paused, 1);
	t->paused = false;
	TAILQ_REMOVE(&h->running, t, link);
	atomic_fetch_sub(&h->in_flight, 1);
}

/* curl opens a connection for each HTTP/2 request unless it may not.  The
 * limit holds for every host, so it is the largest anyone asked for. */
static void
limit_connections(struct http *h, const struct transfer *t)
{
	bool news = t->http2 && !h->any_http2;

	h->any_http2 |= t->http2;
	if (t->max_connections > h->host_limit) {
		h->host_limit = t->max_connections;
		news = true;
	}
	if (news && h->any_http2)
		curl_multi_setopt(h->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
		    (long)h->host_limit);
}

static void
transfer_start(struct transfer *t, int64_t now_ms)
{
	struct http *h = t->http;

	atomic_fetch_add(&h->requests, 1);
	t->easy = curl_easy_init();
	if (t->easy != NULL) {
		set_habits(h, t->easy);
		set_request(t, now_ms);
	}
	limit_connections(h, t);
	if (t->easy == NULL ||
	    curl_multi_add_handle(h->multi, t->easy) != CURLM_OK) {
		curl_easy_cleanup(t->easy);
		t->easy = NULL;
		transfer_fail(t, HTTP_LOCAL, "no memory for a request");
		t->answer.local = ERR_SYSTEM;
		transfer_done(t);
		return;
	}
	TAILQ_INSERT_TAIL(&h->running, t, link);
	atomic_fetch_add(&h->in_flight, 1);
}

/* --- the thread ---------------------------------------------------------- */

/* Destroy the transfers of a list that nobody wants any more. */
static void
drop_unwanted(struct http *h, struct transfers *list)
{
	struct transfer *t, *next;
	bool wanted;

	for (t = TAILQ_FIRST(list); t != NULL; t = next) {
		next = TAILQ_NEXT(t, link);
		pthread_mutex_lock(&h->lock);
		wanted = t->group != NULL;
		pthread_mutex_unlock(&h->lock);
		if (wanted)
			continue;
		if (t->easy != NULL)
			transfer_stop(t);
		else
			TAILQ_REMOVE(list, t, link);
		sink_discard(&t->sink);
		transfer_free(t);
	}
}

/* What others want; false: stop. */
static bool
take_orders(struct http *h)
{
	bool stop, left;

	pthread_mutex_lock(&h->lock);
	TAILQ_CONCAT(&h->waiting, &h->incoming, link);
	stop = h->stop;
	left = h->left;
	h->left = false;
	pthread_mutex_unlock(&h->lock);
	if (left) {
		drop_unwanted(h, &h->waiting);
		drop_unwanted(h, &h->running);
	}
	return !stop;
}

static bool
host_has_room(const struct http *h, const struct transfer *t)
{
	const struct transfer *other;
	int n = 0;

	/* Over HTTP/2 requests share connections; curl caps those. */
	if (t->max_connections <= 0 || t->http2)
		return true;
	TAILQ_FOREACH(other, &h->running, link)
		if (!other->http2 && strcmp(other->host, t->host) == 0)
			n++;
	return n < t->max_connections;
}

/* Start what may start. Returns how long the rest may wait: to its deadline. */
static int64_t
start_waiting(struct http *h)
{
	int64_t now_ms = clock_mono_ms(), first = INT64_MAX;
	struct transfer *t, *next;

	for (t = TAILQ_FIRST(&h->waiting); t != NULL; t = next) {
		next = TAILQ_NEXT(t, link);
		if (t->deadline_ms <= now_ms) {
			TAILQ_REMOVE(&h->waiting, t, link);
			transfer_fail(t, HTTP_NOT_SENT,
			    "no connection became free in time");
			t->answer.connect_timeout = true;
			transfer_done(t);
		} else if (host_has_room(h, t)) {
			TAILQ_REMOVE(&h->waiting, t, link);
			transfer_start(t, now_ms);
		} else if (t->deadline_ms < first) {
			first = t->deadline_ms;
		}
	}
	return first == INT64_MAX ? INT64_MAX : first - now_ms;
}

static int
collect_finished(struct http *h)
{
	struct transfer *t;
	CURLMsg *msg;
	int left, n = 0;

	for (;;) {
		msg = curl_multi_info_read(h->multi, &left);
		if (msg == NULL)
			return n;
		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &t);
		fill_answer(t, msg->data.result);
		transfer_stop(t);
		transfer_done(t);
		n++;
	}
}

/* Let paused transfers go on as far as memory allows, oldest first. */
static void
resume_paused(struct http *h)
{
	struct transfer *t;
	bool under;

	if (atomic_load(&h->n_paused) == 0)
		return;
	TAILQ_FOREACH(t, &h->running, link) {
		if (!t->paused)
			continue;
		under = atomic_load(&h->in_flight_bytes) <
		    h->max_in_flight_bytes;
		if (!under && !is_privileged(t))
			continue;
		t->paused = false;
		atomic_fetch_sub(&h->n_paused, 1);
		/* This calls on_write(), which may pause it again. */
		curl_easy_pause(t->easy, CURLPAUSE_CONT);
	}
}

static void *
http_main(void *arg)
{
	struct http *h = arg;
	int64_t wait_ms;
	int n;

	while (take_orders(h)) {
		wait_ms = start_waiting(h);
		curl_multi_perform(h->multi, &n);
		if (collect_finished(h) > 0)
			continue;	/* somebody's turn may have come */
		resume_paused(h);
		if (wait_ms > LONGEST_POLL_MS)
			wait_ms = LONGEST_POLL_MS;
		curl_multi_poll(h->multi, NULL, 0, (int)wait_ms, NULL);
	}
	/* No group is left (http_free), so nobody wants any of these. */
	drop_unwanted(h, &h->waiting);
	drop_unwanted(h, &h->running);
	return NULL;
}

static void
curl_init_once(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

enum err_code
http_new(const struct http_options *opts, struct http **out, struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct http *h = xcalloc(1, sizeof(*h));
	int rc;

	pthread_once(&once, curl_init_once);
	h->max_in_flight_bytes = opts->max_in_flight_bytes;
	h->ca_file = xstrdup(opts->ca_file);
	pthread_mutex_init(&h->lock, NULL);
	TAILQ_INIT(&h->incoming);
	TAILQ_INIT(&h->waiting);
	TAILQ_INIT(&h->running);
	h->multi = curl_multi_init();
	if (h->multi == NULL) {
		rc = ENOMEM;
	} else {
		curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS,
		    IDLE_CONNECTIONS_MAX);
		rc = pthread_create(&h->thread, NULL, http_main, h);
	}
	if (rc != 0) {
		curl_multi_cleanup(h->multi);
		pthread_mutex_destroy(&h->lock);
		free(h->ca_file);
		free(h);
		return err_set_errno(e, ERR_SYSTEM, rc, "cannot start HTTP");
	}
	*out = h;
	return ERR_OK;
}

void
http_free(struct http *h)
{
	if (h == NULL)
		return;
	pthread_mutex_lock(&h->lock);
	assert(h->n_groups == 0);
	h->stop = true;
	pthread_mutex_unlock(&h->lock);
	curl_multi_wakeup(h->multi);
	pthread_join(h->thread, NULL);
	curl_multi_cleanup(h->multi);
	pthread_mutex_destroy(&h->lock);
	free(h->ca_file);
	free(h);
}

void
http_wake(struct http *h)
{
	curl_multi_wakeup(h->multi);
}

void
http_get_stats(struct http *h, struct http_stats *out)
{
	out->requests = atomic_load(&h->requests);
	out->connections = atomic_load(&h->connections);
	out->in_flight = atomic_load(&h->in_flight);
	out->in_flight_bytes = atomic_load(&h->in_flight_bytes);
}
