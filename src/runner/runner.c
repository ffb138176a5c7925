/*
 * Slots and the claimer: jobs come in here and are executed.
 *
 * The claimer sleeps until the earliest of: a wake-up, a slot that became free,
 * the next job that will be due, the poll interval.  A claim is made only when
 * a slot is free, so what waits in the queue can be taken by other runners.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runner.h"

#include "clock.h"
#include "log.h"
#include "xalloc.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOT_STACK_BYTES (1024 * 1024)	/* instrumented frames are larger */
#else
#define SLOT_STACK_BYTES (256 * 1024)
#endif

#define BYTES_PER_MB (1024 * 1024)

/* --- small things --------------------------------------------------------- */

void
wait_ms(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t ms)
{
	struct timespec until;

	if (ms <= 0)
		return;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_cond_timedwait(cond, lock, &until);
}

enum err_code
thread_start(pthread_t *t, size_t stack, void *(*run)(void *), void *arg,
    struct err *e)
{
	pthread_attr_t attr;
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attr);
	if (stack > 0)
		pthread_attr_setstacksize(&attr, stack);
	rc = pthread_create(t, &attr, run, arg);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return err_set_errno(e, ERR_SYSTEM, rc, "no thread");
	return ERR_OK;
}

static void
tell_main(struct runner *r)
{
	uint64_t one = 1;

	/* It can only fail when main has been told 2^64 times already. */
	if (write(r->changed_fd, &one, sizeof(one)) < 0)
		return;
}

void
runner_look(struct runner *r)
{
	pthread_mutex_lock(&r->lock);
	r->claim_now = true;
	pthread_cond_signal(&r->claim_wake);
	pthread_mutex_unlock(&r->lock);
}

void
runner_check(struct runner *r)
{
	pthread_mutex_lock(&r->lock);
	r->check_now = true;
	pthread_cond_signal(&r->keep_wake);
	pthread_mutex_unlock(&r->lock);
}

bool
runner_is_drained(struct runner *r)
{
	bool drained;

	pthread_mutex_lock(&r->lock);
	drained = r->draining && r->busy == 0;
	pthread_mutex_unlock(&r->lock);
	return drained;
}

/* --- slots ---------------------------------------------------------------- */

/* The executor for a kind of job; false when there is no such kind. */
static bool
mode_of(const char *kind, enum mode *m)
{
	if (mode_parse(kind, m))
		return true;
	*m = MODE_REFINEMENT;	/* judging a picture is part of refining it */
	return strcmp(kind, "assessment") == 0;
}

/* e: what stood in the way, if anything did. */
static void
log_outcome(const struct job *j, const struct executor *x,
    enum job_outcome outcome, enum state state, int64_t ms,
    const struct err *e)
{
	const char *what = "job put back";
	enum log_level level = LOG_INFO;

	switch (outcome) {
	case JOB_ENDED:
		if (e->code == ERR_OK) {
			log_info("job ended", "job=%s run=%s state=%s ms=%"
			    PRId64 " executor_id=%s", j->id, j->run_id,
			    state_name(state), ms, executor_id(x));
			return;
		}
		what = "job failed by trouble of our own";
		level = LOG_ERROR;
		break;
	case JOB_GONE:
		what = "job gone";
		break;
	case JOB_PUT_BACK:
		if (e->code == ERR_SYSTEM)
			level = LOG_WARN;
		break;
	case JOB_STUCK:
		what = "lease not given back, it ends by itself";
		level = LOG_ERROR;
		break;
	}
	log_write(level, what, "job=%s run=%s attempt=%d ms=%" PRId64
	    " executor_id=%s code=%s error=%s", j->id, j->run_id, j->attempts,
	    ms, executor_id(x), err_code_name(e->code), log_quote(e->msg));
}

static void
run_job(struct runner *r, struct slot *s)
{
	enum state state = STATE_RUNNING;
	struct err e = ERR_INIT;
	enum job_outcome outcome;
	int64_t began_ms;
	struct executor *x;
	enum mode m;
	bool known;

	began_ms = clock_mono_ms();
	known = mode_of(s->job.kind, &m);
	x = executor_get(&r->service.executors, known ? m : MODE_GENERATION);
	log_info("job claimed", "job=%s run=%s kind=%s attempt=%d", s->job.id,
	    s->job.run_id, s->job.kind, s->job.attempts);
	if (known)
		outcome = executor_run(x, &r->shop, &s->job, s->cancel,
		    &r->stopping, &state, &e);
	else
		outcome = executor_refuse(x, &r->shop, &s->job,
		    "this version does not know such jobs", &state, &e);
	log_outcome(&s->job, x, outcome, state, clock_mono_ms() - began_ms,
	    &e);
}

static void *
slot_run(void *arg)
{
	struct slot *s = arg;
	struct runner *r = s->r;

	pthread_mutex_lock(&r->lock);
	for (;;) {
		while (!s->busy && !r->closing)
			pthread_cond_wait(&s->given, &r->lock);
		if (!s->busy)
			break;
		pthread_mutex_unlock(&r->lock);
		run_job(r, s);
		pthread_mutex_lock(&r->lock);
		s->busy = false;
		cancel_free(s->cancel);
		s->cancel = NULL;
		job_release(&s->job);
		r->busy--;
		r->claim_now = true;
		pthread_cond_signal(&r->claim_wake);
		if (r->busy == 0)
			tell_main(r);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

/* A free slot with its thread; NULL: none. The lock is held. */
static struct slot *
free_slot(struct runner *r)
{
	struct err e = ERR_INIT;
	struct slot *s;
	int i;

	for (i = 0; i < r->n_slots; i++)
		if (!r->slots[i].busy)
			break;
	if (i == r->n_slots)
		return NULL;
	s = &r->slots[i];
	if (!s->started && thread_start(&s->thread, SLOT_STACK_BYTES, slot_run,
	    s, &e) != ERR_OK) {
		log_error("no thread for another job, trying again",
		    "error=%s", log_quote(e.msg));
		return NULL;
	}
	s->started = true;
	return s;
}

/* --- the claimer ---------------------------------------------------------- */

/* Claim one job into a slot. False: nothing is due, or it did not work; then
 * *wait is at most how long to wait. */
static bool
claim_one(struct runner *r, int64_t *wait)
{
	struct err e = ERR_INIT;
	int64_t next_due = 0, now_ms;
	struct job job;
	bool found = false;
	struct slot *s;

	pthread_mutex_lock(&r->lock);
	s = r->stopping || r->draining ? NULL : free_slot(r);
	pthread_mutex_unlock(&r->lock);
	if (s == NULL)
		return false;
	now_ms = clock_now_ms();
	memset(&job, 0, sizeof(job));
	if (store_claim(r->store, &r->holder, now_ms,
	    r->settings->runner_lease_ms, &job, &found, &next_due, &e) !=
	    ERR_OK) {
		log_warn("no job claimed, trying again", "error=%s",
		    log_quote(e.msg));
		*wait = RETRY_MS;
		return false;
	}
	if (!found) {
		if (next_due > now_ms && next_due - now_ms < *wait)
			*wait = next_due - now_ms;
		return false;
	}
	pthread_mutex_lock(&r->lock);
	s->job = job;
	s->cancel = cancel_new();
	s->timed_out = false;
	s->busy = true;
	r->busy++;
	pthread_cond_signal(&s->given);
	pthread_cond_signal(&r->keep_wake);	/* it may have a near deadline */
	pthread_mutex_unlock(&r->lock);
	return true;
}

/* Grown too large: take no more jobs, end when those we have are done. */
static void
check_size(struct runner *r)
{
	int64_t max_bytes, bytes;

	max_bytes = (int64_t)r->settings->runner_max_rss_mb * BYTES_PER_MB;
	bytes = service_rss_bytes();
	if (max_bytes == 0 || bytes <= max_bytes)
		return;
	pthread_mutex_lock(&r->lock);
	if (!r->draining)
		log_warn("memory limit passed, draining", "rss_bytes=%" PRId64
		    " max_bytes=%" PRId64, bytes, max_bytes);
	r->draining = true;
	if (r->busy == 0)
		tell_main(r);
	pthread_mutex_unlock(&r->lock);
}

struct rounds {
	/* monotonic: when next */
	int64_t recover_ms, leftovers_ms, deleted_ms, sweep_ms, beat_ms;
};

/* What is done now and then; returns how long until the next of it. */
static int64_t
go_rounds(struct runner *r, struct rounds *n)
{
	struct err e = ERR_INIT;
	int64_t now, next;

	now = clock_mono_ms();
	if (now >= n->recover_ms) {
		life_recover(r);
		n->recover_ms = now + RECOVER_MS;
	}
	if (now >= n->leftovers_ms)
		n->leftovers_ms = now + leftovers_step(r);
	if (now >= n->deleted_ms)
		n->deleted_ms = now + deleted_step(r);
	if (now >= n->sweep_ms) {
		/* Those who died could not take their rows away. */
		if (store_sweep_processes(r->store,
		    clock_now_ms() - FORGET_MS, &e) != ERR_OK)
			log_warn("old rows are left, ignoring", "error=%s",
			    log_quote(e.msg));
		n->sweep_ms = now + SWEEP_MS;
	}
	if (now >= n->beat_ms) {
		if (stats_beat(r, &e) != ERR_OK)
			log_warn("heartbeat not written, ignoring",
			    "error=%s", log_quote(e.msg));
		check_size(r);
		n->beat_ms = now + PRESENCE_BEAT_MS;
	}
	next = n->recover_ms < n->leftovers_ms ? n->recover_ms :
	    n->leftovers_ms;
	next = n->deleted_ms < next ? n->deleted_ms : next;
	next = n->beat_ms < next ? n->beat_ms : next;
	return next - clock_mono_ms();
}

static void *
claimer_run(void *arg)
{
	struct runner *r = arg;
	struct rounds rounds = { 0, 0, 0, 0, 0 };
	int64_t wait, until_round;

	pthread_mutex_lock(&r->lock);
	while (!r->stopping) {
		r->claim_now = false;
		pthread_mutex_unlock(&r->lock);
		until_round = go_rounds(r, &rounds);
		wait = r->settings->runner_poll_ms;
		while (claim_one(r, &wait))
			continue;
		if (until_round < wait)
			wait = until_round;
		pthread_mutex_lock(&r->lock);
		if (!r->claim_now && !r->stopping)
			wait_ms(&r->claim_wake, &r->lock, wait);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

/* --- starting and stopping ------------------------------------------------ */

static void
cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

void
runner_init(struct runner *r)
{
	memset(r, 0, sizeof(*r));
	r->life_fd = -1;
	r->changed_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&r->lock, NULL);
	cond_init(&r->claim_wake);
	cond_init(&r->keep_wake);
}

void
runner_release(struct runner *r)
{
	int i;

	for (i = 0; i < r->n_slots; i++)
		pthread_cond_destroy(&r->slots[i].given);
	free(r->slots);
	if (r->leftovers != NULL)
		closedir(r->leftovers);
	pthread_cond_destroy(&r->keep_wake);
	pthread_cond_destroy(&r->claim_wake);
	pthread_mutex_destroy(&r->lock);
	if (r->changed_fd >= 0)
		close(r->changed_fd);
}

enum err_code
runner_start(struct runner *r, struct err *e)
{
	enum err_code rc;
	int i;

	r->n_slots = r->settings->runner_max_jobs;
	r->slots = xcalloc((size_t)r->n_slots, sizeof(*r->slots));
	for (i = 0; i < r->n_slots; i++) {
		r->slots[i].r = r;
		pthread_cond_init(&r->slots[i].given, NULL);
	}
	rc = thread_start(&r->keeper, 0, keeper_run, r, e);
	r->keeper_started = rc == ERR_OK;
	if (rc == ERR_OK) {
		rc = thread_start(&r->claimer, 0, claimer_run, r, e);
		r->claimer_started = rc == ERR_OK;
	}
	return rc;
}

static void
abort_jobs(struct runner *r)
{
	int i, n = 0;

	pthread_mutex_lock(&r->lock);
	for (i = 0; i < r->n_slots; i++) {
		if (!r->slots[i].busy)
			continue;
		cancel_fire(r->slots[i].cancel, ERR_LOST);
		n++;
	}
	pthread_mutex_unlock(&r->lock);
	if (n > 0)
		log_warn("calls in flight aborted", "jobs=%d", n);
}

static bool
is_idle(struct runner *r)
{
	bool idle;

	pthread_mutex_lock(&r->lock);
	idle = r->busy == 0;
	pthread_mutex_unlock(&r->lock);
	return idle;
}

/* Until no job is left; false when the time is over or there is a hurry. */
static bool
wait_idle(struct runner *r, int64_t ms, bool (*hurry)(void *, int), void *arg)
{
	int64_t until;

	until = clock_mono_ms() + ms;
	while (!is_idle(r)) {
		if (clock_mono_ms() >= until)
			return false;
		if (hurry(arg, (int)(until - clock_mono_ms())))
			return false;
	}
	return true;
}

static bool
never(void *arg, int timeout_ms)
{
	struct timespec t = { 0, 10 * 1000000 };

	(void)arg;
	(void)timeout_ms;
	nanosleep(&t, NULL);
	return false;
}

bool
runner_stop(struct runner *r, bool (*hurry)(void *arg, int timeout_ms),
    void *arg)
{
	int i;

	pthread_mutex_lock(&r->lock);
	__atomic_store_n(&r->stopping, true, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&r->lock);
	runner_look(r);
	if (r->claimer_started)
		pthread_join(r->claimer, NULL);
	if (!wait_idle(r, GRACE_MS, hurry, arg)) {
		abort_jobs(r);
		if (!wait_idle(r, ABORT_MS, never, NULL))
			return false;
	}
	pthread_mutex_lock(&r->lock);
	r->closing = true;
	for (i = 0; i < r->n_slots; i++)
		pthread_cond_signal(&r->slots[i].given);
	pthread_cond_signal(&r->keep_wake);
	pthread_mutex_unlock(&r->lock);
	for (i = 0; i < r->n_slots; i++)
		if (r->slots[i].started)
			pthread_join(r->slots[i].thread, NULL);
	if (r->keeper_started)
		pthread_join(r->keeper, NULL);
	return true;
}
