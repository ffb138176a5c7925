/* A scripted HTTP server, see peer.h. One thread per connection. */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>

#include "tests/unit/peer.h"

#include "clock.h"
#include "xalloc.h"

struct peer {
	struct MHD_Daemon *daemon;
	char url[64];
	pthread_mutex_t lock;
	pthread_cond_t stopping;
	bool stop;
	struct peer_step steps[PEER_STEPS];
	int n_steps, next_step;
	void (*answer)(void *, int, const struct peer_request *,
	    struct peer_step *);
	void *arg;
	struct peer_request *requests[PEER_REQUESTS];
	int n_requests, connections, busy, busiest;
};

/* A body on its way out. */
struct sending {
	struct peer *peer;
	struct peer_step step;
};

static void
nap(struct peer *p, int64_t ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += (time_t)(ms / 1000);
	ts.tv_nsec += (long)(ms % 1000) * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_nsec -= 1000000000;
		ts.tv_sec++;
	}
	pthread_mutex_lock(&p->lock);
	while (!p->stop && pthread_cond_timedwait(&p->stopping, &p->lock,
	    &ts) == 0)
		;
	pthread_mutex_unlock(&p->lock);
}

static ssize_t
send_more(void *cls, uint64_t pos, char *buf, size_t max)
{
	struct sending *s = cls;
	size_t n = s->step.len - (size_t)pos;

	if (s->step.way != PEER_ANSWER) {
		n = s->step.cut > pos ? s->step.cut - (size_t)pos : 0;
		if (n == 0 && s->step.way == PEER_STALL)
			nap(s->peer, 30000);
		if (n == 0)
			return MHD_CONTENT_READER_END_WITH_ERROR;
	}
	if (n > max)
		n = max;
	memcpy(buf, s->step.body + pos, n);
	return (ssize_t)n;
}

static void
keep_header(struct MHD_Connection *c, const char *name, char *out, size_t n)
{
	const char *v = MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);

	snprintf(out, n, "%s", v != NULL ? v : "");
}

static struct peer_step
next_step(struct peer *p, struct peer_request *r)
{
	struct peer_step step;
	int n;

	memset(&step, 0, sizeof(step));
	pthread_mutex_lock(&p->lock);
	n = p->n_requests;
	if (p->n_requests == PEER_REQUESTS)
		abort();
	p->requests[p->n_requests++] = r;
	if (p->n_steps > 0) {
		step = p->steps[p->next_step < p->n_steps ? p->next_step :
		    p->n_steps - 1];
		p->next_step++;
	}
	if (p->answer != NULL)
		p->answer(p->arg, n, r, &step);
	if (++p->busy > p->busiest)
		p->busiest = p->busy;
	pthread_mutex_unlock(&p->lock);
	if (step.status == 0)
		step.status = 200;
	if (step.body == NULL)
		step.body = "";
	if (step.len == 0)
		step.len = strlen(step.body);
	return step;
}

static enum MHD_Result
answer_step(struct peer *p, struct MHD_Connection *c,
    const struct peer_step *step)
{
	struct sending *s;
	struct MHD_Response *r;
	enum MHD_Result ok;
	char name[64];
	const char *colon;
	int i;

	if (step->delay_ms > 0)
		nap(p, step->delay_ms);
	if (step->way == PEER_CLOSE)
		return MHD_NO;
	s = xmalloc(sizeof(*s));
	s->peer = p;
	s->step = *step;
	r = MHD_create_response_from_callback(step->len, 16384, send_more, s,
	    free);
	for (i = 0; i < PEER_HEADERS && step->headers[i] != NULL; i++) {
		colon = strchr(step->headers[i], ':');
		snprintf(name, sizeof(name), "%.*s",
		    (int)(colon - step->headers[i]), step->headers[i]);
		MHD_add_response_header(r, name, colon + 2);
	}
	ok = MHD_queue_response(c, (unsigned)step->status, r);
	MHD_destroy_response(r);
	return ok;
}

static enum MHD_Result
on_request(void *cls, struct MHD_Connection *c, const char *url,
    const char *method, const char *version, const char *data, size_t *len,
    void **state)
{
	struct peer *p = cls;
	struct peer_request *r = *state;
	struct peer_step step;

	(void)version;
	if (r == NULL) {
		r = xcalloc(1, sizeof(*r));
		snprintf(r->method, sizeof(r->method), "%s", method);
		snprintf(r->path, sizeof(r->path), "%s", url);
		keep_header(c, "Idempotency-Key", r->key, sizeof(r->key));
		keep_header(c, "X-Client-Request-Id", r->call,
		    sizeof(r->call));
		keep_header(c, "Authorization", r->authorization,
		    sizeof(r->authorization));
		if (r->authorization[0] == '\0')
			keep_header(c, "x-goog-api-key", r->authorization,
			    sizeof(r->authorization));
		keep_header(c, "Content-Type", r->type, sizeof(r->type));
		keep_header(c, "Expect", r->expect, sizeof(r->expect));
		r->body = xcalloc(1, 1);
		*state = r;
		return MHD_YES;
	}
	if (*len > 0) {
		r->body = xrealloc_array(r->body, r->len + *len + 1, 1);
		memcpy(r->body + r->len, data, *len);
		r->len += *len;
		r->body[r->len] = '\0';
		*len = 0;
		return MHD_YES;
	}
	step = next_step(p, r);
	*state = p;		/* the request belongs to the peer now */
	return answer_step(p, c, &step);
}

static void
on_end(void *cls, struct MHD_Connection *c, void **state,
    enum MHD_RequestTerminationCode why)
{
	struct peer *p = cls;
	struct peer_request *r = *state;

	(void)c;
	(void)why;
	if (*state == p) {
		pthread_mutex_lock(&p->lock);
		p->busy--;
		pthread_mutex_unlock(&p->lock);
	} else if (r != NULL) {
		free(r->body);
		free(r);
	}
	*state = NULL;
}

static void
on_connection(void *cls, struct MHD_Connection *c, void **state,
    enum MHD_ConnectionNotificationCode what)
{
	struct peer *p = cls;

	(void)c;
	(void)state;
	if (what != MHD_CONNECTION_NOTIFY_STARTED)
		return;
	pthread_mutex_lock(&p->lock);
	p->connections++;
	pthread_mutex_unlock(&p->lock);
}

struct peer *
peer_new(void)
{
	struct peer *p = xcalloc(1, sizeof(*p));
	const union MHD_DaemonInfo *info;
	struct sockaddr_in at;

	memset(&at, 0, sizeof(at));
	at.sin_family = AF_INET;
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->stopping, NULL);
	p->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD |
	    MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL, 0, NULL, NULL,
	    on_request, p,
	    MHD_OPTION_SOCK_ADDR, (const struct sockaddr *)&at,
	    MHD_OPTION_NOTIFY_COMPLETED, on_end, p,
	    MHD_OPTION_NOTIFY_CONNECTION, on_connection, p,
	    MHD_OPTION_CONNECTION_LIMIT, 400u, MHD_OPTION_END);
	if (p->daemon == NULL)
		abort();
	info = MHD_get_daemon_info(p->daemon, MHD_DAEMON_INFO_BIND_PORT);
	snprintf(p->url, sizeof(p->url), "http://127.0.0.1:%u",
	    (unsigned)info->port);
	return p;
}

void
peer_free(struct peer *p)
{
	int i;

	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->stopping);
	pthread_mutex_unlock(&p->lock);
	MHD_stop_daemon(p->daemon);
	for (i = 0; i < p->n_requests; i++) {
		free(p->requests[i]->body);
		free(p->requests[i]);
	}
	pthread_cond_destroy(&p->stopping);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

const char *
peer_url(const struct peer *p)
{
	return p->url;
}

void
peer_add(struct peer *p, struct peer_step step)
{
	pthread_mutex_lock(&p->lock);
	if (p->n_steps == PEER_STEPS)
		abort();
	p->steps[p->n_steps++] = step;
	pthread_mutex_unlock(&p->lock);
}

void
peer_on_request(struct peer *p, void (*answer)(void *, int,
    const struct peer_request *, struct peer_step *), void *arg)
{
	p->answer = answer;
	p->arg = arg;
}

static int
read_locked(struct peer *p, const int *what)
{
	int v;

	pthread_mutex_lock(&p->lock);
	v = *what;
	pthread_mutex_unlock(&p->lock);
	return v;
}

int
peer_count(struct peer *p)
{
	return read_locked(p, &p->n_requests);
}

int
peer_connections(struct peer *p)
{
	return read_locked(p, &p->connections);
}

int
peer_busiest(struct peer *p)
{
	return read_locked(p, &p->busiest);
}

const struct peer_request *
peer_request(struct peer *p, int n)
{
	const struct peer_request *r = NULL;

	pthread_mutex_lock(&p->lock);
	if (n >= 0 && n < p->n_requests)
		r = p->requests[n];
	pthread_mutex_unlock(&p->lock);
	if (r == NULL)
		abort();
	return r;
}
