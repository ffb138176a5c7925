/*
 * Workers that make answers and a clock that lets them go.
 *
 * A call with two seconds of latency must not hold a thread for two seconds.
 * So the workers build answers as calls come, and a built answer waits in a
 * list until it is due; the clock thread wakes for the earliest one, and
 * every GONE_CHECK_MS it looks whether waiting clients are still there, since
 * a suspended connection tells nobody when it is closed.
 *
 * Answers that wait hold memory.  Beyond MAX_READY_BYTES the workers pause
 * until some are sent: better late than large.
 *
 * The rule: resume() is called without the lock, and the task is not touched
 * after it, because the other side may free it at once.
 */
#include "sim.h"

#include <pthread.h>

#include "clock.h"
#include "xalloc.h"

#define MAX_WORKERS 8
#define MAX_READY_BYTES (96u * 1024 * 1024)
#define GONE_CHECK_MS 200
#define BATCH 64		/* resumed at once */

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t work;	/* a task to build, memory, or the end */
	pthread_cond_t change;	/* the waiting list, for the clock */
	struct task *first, **last;	/* to be built */
	struct task *waiting;
	size_t ready_bytes;
	bool stopping;
	pthread_t workers[MAX_WORKERS];
	int n_workers;
	pthread_t clock;
};

/* --- workers ----------------------------------------------------------- */

static struct task *
take_work(struct pool *p)
{
	struct task *t = NULL;

	pthread_mutex_lock(&p->lock);
	while (!p->stopping && (p->first == NULL ||
	    p->ready_bytes > MAX_READY_BYTES))
		pthread_cond_wait(&p->work, &p->lock);
	if (!p->stopping) {
		t = p->first;
		p->first = t->next;
		if (p->first == NULL)
			p->last = &p->first;
	}
	pthread_mutex_unlock(&p->lock);
	return t;
}

static void *
work(void *arg)
{
	struct pool *p = arg;
	struct task *t;

	for (t = take_work(p); t != NULL; t = take_work(p)) {
		t->build(t);
		pthread_mutex_lock(&p->lock);
		p->ready_bytes += t->ready_bytes;
		t->next = p->waiting;
		p->waiting = t;
		pthread_cond_signal(&p->change);
		pthread_mutex_unlock(&p->lock);
	}
	return NULL;
}

/* --- the clock --------------------------------------------------------- */

/*
 * Unlink up to BATCH tasks that are due or gone. Returns how many; *next_ms
 * becomes when to look again.
 */
static int
take_due(struct pool *p, int64_t now, bool check_gone, struct task **out,
    bool *gone, int64_t *next_ms)
{
	struct task **link = &p->waiting, *t;
	int n = 0;

	*next_ms = now + GONE_CHECK_MS;
	while (*link != NULL && n < BATCH) {
		t = *link;
		gone[n] = p->stopping || (check_gone && t->gone(t));
		if (!gone[n] && t->due_ms > now) {
			if (t->due_ms < *next_ms)
				*next_ms = t->due_ms;
			link = &t->next;
			continue;
		}
		*link = t->next;
		out[n++] = t;
	}
	if (n == BATCH)
		*next_ms = now;
	return n;
}

static void
sleep_until(struct pool *p, int64_t when_ms)
{
	struct timespec ts;

	ts.tv_sec = when_ms / 1000;
	ts.tv_nsec = (when_ms % 1000) * 1000000;
	pthread_cond_timedwait(&p->change, &p->lock, &ts);
}

static void *
run_clock(void *arg)
{
	struct pool *p = arg;
	int64_t now, next_ms = 0, checked_ms = 0;
	struct task *due[BATCH];
	bool gone[BATCH], check, more = true;
	int n, i;

	pthread_mutex_lock(&p->lock);
	while (more) {
		now = clock_mono_ms();
		check = now - checked_ms >= GONE_CHECK_MS;
		if (check)
			checked_ms = now;
		n = take_due(p, now, check, due, gone, &next_ms);
		more = !p->stopping || n > 0;
		if (n > 0) {
			pthread_mutex_unlock(&p->lock);
			for (i = 0; i < n; i++)
				due[i]->resume(due[i], gone[i]);
			pthread_mutex_lock(&p->lock);
		} else if (more && p->waiting == NULL) {
			pthread_cond_wait(&p->change, &p->lock);
		} else if (more) {
			sleep_until(p, next_ms);
		}
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* --- the pool ---------------------------------------------------------- */

struct pool *
pool_new(int workers)
{
	struct pool *p = xcalloc(1, sizeof(*p));
	pthread_condattr_t attr;

	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->change, &attr);
	pthread_condattr_destroy(&attr);
	p->last = &p->first;
	if (workers > MAX_WORKERS)
		workers = MAX_WORKERS;
	while (p->n_workers < workers && pthread_create(
	    &p->workers[p->n_workers], NULL, work, p) == 0)
		p->n_workers++;
	if (p->n_workers == 0 ||
	    pthread_create(&p->clock, NULL, run_clock, p) != 0)
		abort();	/* no threads: there is nothing to serve with */
	return p;
}

void
pool_close(struct pool *p)
{
	struct task *t, *next;
	int i;

	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (i = 0; i < p->n_workers; i++)
		pthread_join(p->workers[i], NULL);
	/* The last answers are in the waiting list now; the clock ends last. */
	pthread_mutex_lock(&p->lock);
	pthread_cond_broadcast(&p->change);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->clock, NULL);
	for (t = p->first; t != NULL; t = next) {
		next = t->next;
		t->resume(t, true);
	}
	for (t = p->waiting; t != NULL; t = next) {
		next = t->next;
		t->resume(t, true);
	}
	p->first = p->waiting = NULL;
}

void
pool_free(struct pool *p)
{
	if (p == NULL)
		return;
	pthread_cond_destroy(&p->change);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

bool
pool_submit(struct pool *p, struct task *t)
{
	bool taken;

	pthread_mutex_lock(&p->lock);
	taken = !p->stopping;
	if (taken) {
		t->next = NULL;
		*p->last = t;
		p->last = &t->next;
		pthread_cond_signal(&p->work);
	}
	pthread_mutex_unlock(&p->lock);
	return taken;
}

bool
pool_wait(struct pool *p, struct task *t)
{
	bool taken;

	pthread_mutex_lock(&p->lock);
	taken = !p->stopping;
	if (taken) {
		t->next = p->waiting;
		p->waiting = t;
		pthread_cond_signal(&p->change);
	}
	pthread_mutex_unlock(&p->lock);
	return taken;
}

void
pool_returned(struct pool *p, size_t bytes)
{
	if (bytes == 0)
		return;
	pthread_mutex_lock(&p->lock);
	p->ready_bytes -= bytes;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
}
