/*
 * Group commit: the one thread of this process that writes.
 *
 * Callers put units into a queue and wait.  The writer waits for the write turn
 * of all processes, begins a transaction, takes what has queued up meanwhile,
 * runs each unit between a savepoint and its release, commits once, and tells
 * everybody.  While it waits for the disk the next batch gathers, so the busier
 * it is the fewer disk syncs a unit costs.
 *
 *   QUEUED --taken--> TAKEN --commit or failure--> DONE
 *      '--lock_wait_ms are over--> DONE (ERR_BUSY)
 *
 * A unit is withdrawn by its own waiter, and only while it is QUEUED; a writer
 * that waits for its turn gives up when nobody is left in the queue.  So the
 * writer itself needs no time-out, and a turn that never comes costs each
 * caller its lock_wait_ms and nothing more.
 *
 * What a waiter may rely on: told ERR_OK, everything its unit did is on the
 * disk; told an error, nothing of it is in the database.  (With one exception
 * that is not ours to mend: when the disk refuses the sync of a commit and the
 * machine then loses power before another commit, the refused one may have
 * reached the disk.)  Three failures are told apart:
 *
 *   - the unit fails, the transaction stands: back to the savepoint, the other
 *     units of the batch never notice;
 *   - the engine has given up the whole transaction (disk full while it spilled
 *     its cache, for instance; not every such error means that, so the
 *     connection is asked): every unit of the batch is run again in a
 *     transaction of its own, also those that had failed, since what they saw
 *     is gone;
 *   - the commit fails: all units fail with its error, also those that had
 *     failed for a reason of their own, for the same reason.
 */
#include "internal.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/queue.h>

#include "clock.h"
#include "xalloc.h"

#define MAX_BATCH_UNITS 256
#define MIN_LOCK_WAIT_MS 10
#define OPEN_BUSY_MS 2000
#define SPARE_CHECKPOINT_PAGES 8192	/* 32 MB, should the runner not do it */

enum unit_state { UNIT_QUEUED, UNIT_TAKEN, UNIT_DONE };

struct unit {
	enum err_code (*fn)(struct db *db, void *arg, struct err *e);
	void *arg;		/* belongs to the waiter */
	enum unit_state state;
	enum err_code rc;	/* with UNIT_DONE */
	struct err err;
	pthread_cond_t done;
	TAILQ_ENTRY(unit) link;	/* in the queue, then in the batch */
};

TAILQ_HEAD(unit_list, unit);

struct writer {
	struct db *db;		/* the writer thread's alone */
	struct turn turn;	/* likewise */
	int lock_wait_ms;
	pthread_t thread;

	pthread_mutex_t lock;	/* guards everything below */
	pthread_cond_t work;	/* queue, closing or inside changed */
	struct unit_list queue;
	int inside;		/* callers between entering and leaving */
	bool closing;
	struct store_stats stats;
};

/* --- the callers' side ---------------------------------------------------- */

static void
init_cond(pthread_cond_t *c)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(c, &attr);
	pthread_condattr_destroy(&attr);
}

static struct timespec
time_after(int ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += (long)(ms % 1000) * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_nsec -= 1000000000;
		ts.tv_sec++;
	}
	return ts;
}

/* With w->lock held. */
static void
withdraw(struct writer *w, struct unit *u)
{
	TAILQ_REMOVE(&w->queue, u, link);
	w->stats.queued--;
	w->stats.busy_errors++;
	u->state = UNIT_DONE;
	u->rc = err_set(&u->err, ERR_BUSY, "the database was busy for more "
	    "than %d ms", w->lock_wait_ms);
}

/* With w->lock held. */
static void
await(struct writer *w, struct unit *u)
{
	struct timespec limit = time_after(w->lock_wait_ms);
	int rc = 0;

	while (u->state == UNIT_QUEUED && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&u->done, &w->lock, &limit);
	if (u->state == UNIT_QUEUED)
		withdraw(w, u);
	while (u->state != UNIT_DONE)
		pthread_cond_wait(&u->done, &w->lock);
}

enum err_code
writer_do(struct writer *w,
    enum err_code (*fn)(struct db *db, void *arg, struct err *e), void *arg,
    struct err *e)
{
	struct unit u = { .fn = fn, .arg = arg, .state = UNIT_QUEUED };

	init_cond(&u.done);
	pthread_mutex_lock(&w->lock);
	assert(!w->closing);
	w->inside++;
	TAILQ_INSERT_TAIL(&w->queue, &u, link);
	w->stats.queued++;
	pthread_cond_signal(&w->work);
	await(w, &u);
	w->inside--;
	if (w->closing)
		pthread_cond_signal(&w->work);
	pthread_mutex_unlock(&w->lock);
	pthread_cond_destroy(&u.done);
	if (u.rc != ERR_OK && e != NULL)
		*e = u.err;
	return u.rc;
}

void
writer_stats(struct writer *w, struct store_stats *out)
{
	pthread_mutex_lock(&w->lock);
	*out = w->stats;
	pthread_mutex_unlock(&w->lock);
}

/* --- one batch ------------------------------------------------------------ */

static enum err_code
run_unit(struct db *db, struct unit *u)
{
	err_clear(&u->err);
	return u->fn(db, u->arg, &u->err);
}

/* False: the transaction around us is gone, or nobody can say. */
static bool
run_in_savepoint(struct db *db, struct unit *u)
{
	u->rc = db_save(db, &u->err);
	if (u->rc == ERR_OK)
		u->rc = run_unit(db, u);
	if (u->rc == ERR_OK)
		u->rc = db_save_release(db, &u->err);
	if (!db_in_transaction(db))
		return false;
	if (u->rc == ERR_OK)
		return true;
	return db_save_rollback(db, NULL) == ERR_OK && db_in_transaction(db);
}

/* In a transaction of its own; the write turn is still ours. */
static void
run_alone(struct db *db, struct unit *u)
{
	u->rc = db_begin_write(db, &u->err);
	if (u->rc == ERR_OK)
		u->rc = run_unit(db, u);
	if (u->rc == ERR_OK && !db_in_transaction(db))
		u->rc = err_set(&u->err, ERR_SYSTEM,
		    "the database gave up a transaction");
	if (u->rc == ERR_OK)
		u->rc = db_commit(db, &u->err);
	if (u->rc != ERR_OK)
		db_rollback(db);
}

static void
fail_all(struct unit_list *batch, enum err_code rc, const struct err *e)
{
	struct unit *u;

	TAILQ_FOREACH(u, batch, link) {
		u->rc = rc;
		u->err = *e;
	}
}

/* The transaction has begun; afterwards there is none.  Returns how many
 * transactions it took. */
static int
run_batch(struct db *db, struct unit_list *batch)
{
	struct err err = ERR_INIT;
	struct unit *u;
	enum err_code rc;
	bool whole = true;
	int n = 0;

	TAILQ_FOREACH(u, batch, link) {
		whole = run_in_savepoint(db, u);
		if (!whole)
			break;
	}
	if (!whole) {
		db_rollback(db);
		TAILQ_FOREACH(u, batch, link) {
			run_alone(db, u);
			n += u->rc == ERR_OK;
		}
		return n;
	}
	rc = db_commit(db, &err);
	if (rc == ERR_OK)
		return 1;
	db_rollback(db);
	fail_all(batch, rc, &err);
	return 0;
}

/* --- the writer's side ---------------------------------------------------- */

/* Is anybody still waiting for the turn? */
static bool
is_wanted(void *arg)
{
	struct writer *w = arg;
	bool wanted;

	pthread_mutex_lock(&w->lock);
	wanted = !TAILQ_EMPTY(&w->queue);
	pthread_mutex_unlock(&w->lock);
	return wanted;
}

/* Begin, waiting for whoever writes without asking for the turn (a person with
 * a shell, a backup).  ERR_BUSY: not begun, and nobody wants it any more. */
static enum err_code
begin(struct writer *w, int64_t *waited_us, struct err *e)
{
	int64_t begin_us = 0, waited = 0;
	enum err_code rc;

	for (;;) {
		rc = db_begin_write(w->db, e);
		if (rc != ERR_BUSY || !is_wanted(w))
			break;
		if (begin_us == 0)
			begin_us = clock_mono_us();
		turn_pause(waited);
		waited = clock_mono_us() - begin_us;
	}
	*waited_us += waited;
	return rc;
}

static void
take_batch(struct writer *w, struct unit_list *batch, int64_t waited_us)
{
	struct unit *u;
	int n;

	pthread_mutex_lock(&w->lock);
	for (n = 0; n < MAX_BATCH_UNITS; n++) {
		u = TAILQ_FIRST(&w->queue);
		if (u == NULL)
			break;
		TAILQ_REMOVE(&w->queue, u, link);
		TAILQ_INSERT_TAIL(batch, u, link);
		u->state = UNIT_TAKEN;
		w->stats.queued--;
	}
	w->stats.busy_waits += waited_us > 0;
	if (waited_us > w->stats.max_turn_wait_us)
		w->stats.max_turn_wait_us = waited_us;
	pthread_mutex_unlock(&w->lock);
}

/* A unit is its waiter's again as soon as the lock is free. */
static void
tell(struct writer *w, struct unit_list *batch, int commits)
{
	struct unit *u;

	pthread_mutex_lock(&w->lock);
	w->stats.commits += commits;
	TAILQ_FOREACH(u, batch, link) {
		if (u->rc == ERR_OK)
			w->stats.units++;
		else
			w->stats.failed_units++;
		u->state = UNIT_DONE;
		pthread_cond_signal(&u->done);
	}
	pthread_mutex_unlock(&w->lock);
}

static void
write_once(struct writer *w)
{
	struct unit_list batch = TAILQ_HEAD_INITIALIZER(batch);
	struct err err = ERR_INIT;
	int64_t waited_us = 0;
	enum err_code rc;
	int commits = 0;

	if (!turn_take(&w->turn, is_wanted, w, &waited_us))
		return;
	rc = begin(w, &waited_us, &err);
	if (rc == ERR_BUSY) {
		turn_give(&w->turn);
		return;
	}
	take_batch(w, &batch, waited_us);
	if (rc != ERR_OK)
		fail_all(&batch, rc, &err);
	else if (TAILQ_EMPTY(&batch))
		db_rollback(w->db);
	else
		commits = run_batch(w->db, &batch);
	turn_give(&w->turn);
	tell(w, &batch, commits);
}

static void *
writer_main(void *arg)
{
	struct writer *w = arg;
	bool more;

	for (;;) {
		pthread_mutex_lock(&w->lock);
		while (TAILQ_EMPTY(&w->queue) && !w->closing)
			pthread_cond_wait(&w->work, &w->lock);
		more = !TAILQ_EMPTY(&w->queue);
		pthread_mutex_unlock(&w->lock);
		if (!more)
			return NULL;
		write_once(w);
	}
}

/* --- opening and closing -------------------------------------------------- */

/* Signals are for the program's own threads. */
enum err_code
store_thread(pthread_t *out, void *(*fn)(void *arg), void *arg, struct err *e)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(out, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0)
		return err_set_errno(e, ERR_SYSTEM, rc,
		    "cannot start a thread");
	return ERR_OK;
}

static enum err_code
open_connection(struct writer *w, const struct writer_options *o,
    struct err *e)
{
	struct db_options d = { .path = o->place->db,
	    .full_sync = o->store->full_sync, .cache_kb = o->store->cache_kb,
	    .busy_ms = OPEN_BUSY_MS };
	enum err_code rc;

	d.autocheckpoint_pages = o->checkpointer != NULL ? 0 :
	    SPARE_CHECKPOINT_PAGES;
	rc = db_open(&d, &w->db, e);
	if (rc != ERR_OK)
		return rc;
	/* From now on the waiting is ours. */
	db_set_busy(w->db, 0);
	if (o->checkpointer != NULL)
		db_watch_log(w->db, checkpointer_notice, o->checkpointer);
	return ERR_OK;
}

enum err_code
writer_open(const struct writer_options *o, struct writer **out, struct err *e)
{
	struct writer *w = xcalloc(1, sizeof(*w));
	enum err_code rc;

	w->turn = (struct turn)TURN_INIT;
	w->lock_wait_ms = o->store->lock_wait_ms > MIN_LOCK_WAIT_MS ?
	    o->store->lock_wait_ms : MIN_LOCK_WAIT_MS;
	TAILQ_INIT(&w->queue);
	pthread_mutex_init(&w->lock, NULL);
	init_cond(&w->work);
	rc = turn_open(o->place->turn, false, &w->turn, e);
	if (rc == ERR_OK)
		rc = open_connection(w, o, e);
	if (rc == ERR_OK)
		rc = store_thread(&w->thread, writer_main, w, e);
	if (rc == ERR_OK) {
		*out = w;
		return rc;
	}
	db_close(w->db);
	turn_close(&w->turn);
	pthread_cond_destroy(&w->work);
	pthread_mutex_destroy(&w->lock);
	free(w);
	return rc;
}

void
writer_close(struct writer *w)
{
	if (w == NULL)
		return;
	pthread_mutex_lock(&w->lock);
	w->closing = true;
	pthread_cond_broadcast(&w->work);
	while (w->inside > 0)
		pthread_cond_wait(&w->work, &w->lock);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	db_close(w->db);
	turn_close(&w->turn);
	pthread_cond_destroy(&w->work);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
