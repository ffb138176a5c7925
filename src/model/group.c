/*
 * Groups: the callers' half of HTTP.
 *
 * Everything here is list work under the lock of struct http; a caller waits
 * on the condition of its own group, which is signalled by the curl thread
 * (an answer is there), by its cancel (through a watch) and by the gates (a
 * slot may be free).  Leaving is setting pointers to NULL: nothing here waits
 * for the network.
 *
 * The disk syncs of an answer happen here, in the thread that wants it, so
 * that a slow disk never holds up the transfers of others.
 */
#include "http.h"

#include <assert.h>

#include "clock.h"
#include "transfer.h"
#include "xalloc.h"

void
http_group_wake(struct http_group *g)
{
	pthread_mutex_lock(&g->http->lock);
	g->woken = true;
	pthread_cond_signal(&g->changed);
	pthread_mutex_unlock(&g->http->lock);
}

static void
wake_group(void *arg)
{
	http_group_wake(arg);
}

struct http_group *
http_group_new(struct http *h, struct cancel *cancel)
{
	struct http_group *g = xcalloc(1, sizeof(*g));

	g->http = h;
	g->cancel = cancel;
	cond_init_monotonic(&g->changed);
	TAILQ_INIT(&g->under_way);
	TAILQ_INIT(&g->done);
	g->watch.wake = wake_group;
	g->watch.arg = g;
	pthread_mutex_lock(&h->lock);
	h->n_groups++;
	pthread_mutex_unlock(&h->lock);
	cancel_watch_add(cancel, &g->watch);
	return g;
}

void
http_group_add(struct http_group *g, const struct http_request *req, int tag)
{
	struct http *h = g->http;
	struct transfer *t = transfer_new(h, req, tag);

	pthread_mutex_lock(&h->lock);
	t->group = g;
	TAILQ_INSERT_TAIL(&g->under_way, t, of_group);
	TAILQ_INSERT_TAIL(&h->incoming, t, link);
	pthread_mutex_unlock(&h->lock);
	http_wake(h);
}

/* Walk away from everything under way. With the lock held. */
static bool
abandon(struct http_group *g)
{
	struct transfer *t;
	bool any = false;

	while (!TAILQ_EMPTY(&g->under_way)) {
		t = TAILQ_FIRST(&g->under_way);
		TAILQ_REMOVE(&g->under_way, t, of_group);
		t->group = NULL;
		any = true;
	}
	g->http->left |= any;
	return any;
}

/* Move the answer of a finished transfer to the caller. */
static void
hand_over(struct transfer *t, int *tag, struct http_answer *out)
{
	struct http *h = t->http;
	struct err err = ERR_INIT;

	if (t->answer.failure == HTTP_FINE &&
	    sink_sync(&t->sink, &err) != ERR_OK) {
		transfer_fail(t, HTTP_LOCAL, err.msg);
		t->answer.local = err.code;
		t->answer.n_blobs = 0;
		sink_discard(&t->sink);
	}
	*tag = t->tag;
	*out = t->answer;
	strbuf_init(&t->answer.text, 0);	/* the caller's now */
	transfer_free(t);
	if (atomic_load(&h->n_paused) > 0)
		http_wake(h);
}

bool
http_group_poll(struct http_group *g, int64_t timeout_ms, int *tag,
    struct http_answer *out)
{
	int64_t until = mono_after(clock_mono_ms(), timeout_ms);
	struct http *h = g->http;
	struct transfer *t;
	bool in_time = true, left = false;

	pthread_mutex_lock(&h->lock);
	for (;;) {
		/* What has been paid for is handed over even when cancelled. */
		t = TAILQ_FIRST(&g->done);
		if (t != NULL) {
			TAILQ_REMOVE(&g->done, t, of_group);
			break;
		}
		if (cancel_code(g->cancel) != ERR_OK) {
			left = abandon(g);
			break;
		}
		if (g->woken || !in_time)
			break;
		in_time = cond_wait_until(&g->changed, &h->lock, until);
	}
	g->woken = false;
	pthread_mutex_unlock(&h->lock);
	if (left)
		http_wake(h);
	if (t == NULL)
		return false;
	hand_over(t, tag, out);
	return true;
}

bool
http_group_wait(struct http_group *g, int64_t timeout_ms, int *tag,
    struct http_answer *out)
{
	int64_t until = mono_after(clock_mono_ms(), timeout_ms);
	int64_t left_ms = timeout_ms;

	while (http_group_pending(g) > 0) {
		if (http_group_poll(g, left_ms, tag, out))
			return true;
		if (until != INT64_MAX) {
			left_ms = until - clock_mono_ms();
			if (left_ms <= 0)
				return false;
		}
	}
	return false;
}

void
http_group_abort(struct http_group *g)
{
	bool left;

	pthread_mutex_lock(&g->http->lock);
	left = abandon(g);
	pthread_mutex_unlock(&g->http->lock);
	if (left)
		http_wake(g->http);
}

int
http_group_pending(const struct http_group *g)
{
	const struct transfer *t;
	int n = 0;

	pthread_mutex_lock(&g->http->lock);
	TAILQ_FOREACH(t, &g->under_way, of_group)
		n++;
	TAILQ_FOREACH(t, &g->done, of_group)
		n++;
	pthread_mutex_unlock(&g->http->lock);
	return n;
}

void
http_group_free(struct http_group *g)
{
	struct http *h;
	struct transfer *t;
	bool left;

	if (g == NULL)
		return;
	h = g->http;
	cancel_watch_remove(g->cancel, &g->watch);
	pthread_mutex_lock(&h->lock);
	left = abandon(g);
	h->n_groups--;
	pthread_mutex_unlock(&h->lock);
	/* The thread has forgotten what is done; the rest is ours. */
	while (!TAILQ_EMPTY(&g->done)) {
		t = TAILQ_FIRST(&g->done);
		TAILQ_REMOVE(&g->done, t, of_group);
		sink_discard(&t->sink);
		transfer_free(t);
	}
	if (left || atomic_load(&h->n_paused) > 0)
		http_wake(h);
	pthread_cond_destroy(&g->changed);
	free(g);
}
