/*
 * Stopping: one flag, many sleepers.
 *
 * The flag itself is an atomic number, so that anybody may look at it while
 * holding a lock of his own.  Whoever sleeps on something else than the flag
 * (a group waiting for answers) registers a watch; firing calls every watch,
 * and a watch takes its owner's lock for a moment.  So locks are always taken
 * in the order cancel, then owner; an owner never adds or removes its watch
 * while it holds its lock.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "http.h"

#include <assert.h>

#include "clock.h"
#include "internal.h"
#include "xalloc.h"

struct cancel {
	_Atomic int code;	/* enum err_code; ERR_OK until fired */
	pthread_mutex_t lock;
	pthread_cond_t fired;	/* monotonic */
	struct cancel_watch *watches;	/* under lock */
};

void
cond_init_monotonic(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

bool
cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t mono_ms)
{
	struct timespec ts;

	if (mono_ms == INT64_MAX)
		return pthread_cond_wait(cond, lock) == 0;
	ts.tv_sec = (time_t)(mono_ms / 1000);
	ts.tv_nsec = (long)(mono_ms % 1000) * 1000000;
	return pthread_cond_timedwait(cond, lock, &ts) != ETIMEDOUT;
}

int64_t
mono_after(int64_t now_ms, int64_t wait_ms)
{
	if (wait_ms < 0 || wait_ms > INT64_MAX - now_ms)
		return INT64_MAX;
	return now_ms + wait_ms;
}

struct cancel *
cancel_new(void)
{
	struct cancel *c = xcalloc(1, sizeof(*c));

	atomic_init(&c->code, ERR_OK);
	pthread_mutex_init(&c->lock, NULL);
	cond_init_monotonic(&c->fired);
	return c;
}

void
cancel_free(struct cancel *c)
{
	if (c == NULL)
		return;
	assert(c->watches == NULL);
	pthread_cond_destroy(&c->fired);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void
cancel_fire(struct cancel *c, enum err_code code)
{
	struct cancel_watch *w;
	int none = ERR_OK;

	assert(code == ERR_CANCELLED || code == ERR_LOST ||
	    code == ERR_TIMEOUT);
	if (!atomic_compare_exchange_strong(&c->code, &none, (int)code))
		return;
	pthread_mutex_lock(&c->lock);
	pthread_cond_broadcast(&c->fired);
	for (w = c->watches; w != NULL; w = w->next)
		w->wake(w->arg);
	pthread_mutex_unlock(&c->lock);
}

enum err_code
cancel_code(struct cancel *c)
{
	return c == NULL ? ERR_OK : (enum err_code)atomic_load(&c->code);
}

bool
cancel_sleep(struct cancel *c, int64_t ms)
{
	int64_t until = mono_after(clock_mono_ms(), ms < 0 ? 0 : ms);
	struct timespec ts;

	if (c == NULL) {
		ts.tv_sec = (time_t)(until / 1000);
		ts.tv_nsec = (long)(until % 1000) * 1000000;
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts,
		    NULL) == EINTR)
			;
		return false;
	}
	pthread_mutex_lock(&c->lock);
	while (cancel_code(c) == ERR_OK && clock_mono_ms() < until)
		cond_wait_until(&c->fired, &c->lock, until);
	pthread_mutex_unlock(&c->lock);
	return cancel_code(c) != ERR_OK;
}

void
cancel_watch_add(struct cancel *c, struct cancel_watch *w)
{
	if (c == NULL)
		return;
	pthread_mutex_lock(&c->lock);
	w->prev = NULL;
	w->next = c->watches;
	if (w->next != NULL)
		w->next->prev = w;
	c->watches = w;
	pthread_mutex_unlock(&c->lock);
}

void
cancel_watch_remove(struct cancel *c, struct cancel_watch *w)
{
	if (c == NULL)
		return;
	pthread_mutex_lock(&c->lock);
	if (w->next != NULL)
		w->next->prev = w->prev;
	if (w->prev != NULL)
		w->prev->next = w->next;
	else
		c->watches = w->next;
	pthread_mutex_unlock(&c->lock);
}
