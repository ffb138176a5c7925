/*
 * The keeper: renews the leases of running jobs, and tells jobs to stop.
 *
 * Any wake-up makes it look at the rows of our jobs at once, whatever it says:
 * the one that says "cancel" may have been dropped because others were waiting.
 * That is a read and waits for nobody's turn to write.  Without one we hear that
 * a job is no longer ours (cancelled, or lost because we were too slow) with
 * the next renewal, and the job itself at its next write, since every write
 * carries the fence.
 */
#include "runner.h"

#include "clock.h"
#include "log.h"
#include "xalloc.h"

/* A job that is leased now. */
struct lease {
	char job_id[ID_MAX], run_id[ID_MAX];
	int64_t fence;
	int slot;
};

/* Copies of what is leased now: slots may change while the store works. */
static int
list_leases(struct runner *r, struct lease *list)
{
	const struct slot *s;
	int i, n = 0;

	for (i = 0; i < r->n_slots; i++) {
		s = &r->slots[i];
		if (!s->busy)
			continue;
		memcpy(list[n].job_id, s->job.id, ID_MAX);
		memcpy(list[n].run_id, s->job.run_id, ID_MAX);
		list[n].fence = s->job.fence;
		list[n].slot = i;
		n++;
	}
	return n;
}

/* The job may have ended meanwhile, and its slot have another. */
static void
tell_job(struct runner *r, const struct lease *x, enum err_code code)
{
	struct slot *s = &r->slots[x->slot];

	pthread_mutex_lock(&r->lock);
	if (s->busy && s->job.fence == x->fence &&
	    strcmp(s->job.id, x->job_id) == 0 &&
	    cancel_code(s->cancel) == ERR_OK) {
		cancel_fire(s->cancel, code);
		log_info(code == ERR_CANCELLED ? "job cancelled" : "job lost",
		    "job=%s run=%s", x->job_id, x->run_id);
	}
	pthread_mutex_unlock(&r->lock);
}

/* Which of them are no longer ours? One that we have ended ourselves just now
 * still has our fence. */
static void
check_leases(struct runner *r, const struct lease *list, int n)
{
	struct err e = ERR_INIT;
	struct job job;
	int i;

	for (i = 0; i < n; i++) {
		memset(&job, 0, sizeof(job));
		if (store_get_job(r->store, list[i].job_id, &job, &e) !=
		    ERR_OK) {
			log_warn("job not read, ignoring", "job=%s error=%s",
			    list[i].job_id, log_quote(e.msg));
			continue;
		}
		if (job.state == STATE_CANCELLED)
			tell_job(r, &list[i], ERR_CANCELLED);
		else if (job.fence != list[i].fence ||
		    job.state == STATE_PENDING)
			tell_job(r, &list[i], ERR_LOST);
		job_release(&job);
	}
}

static enum err_code
renew(struct runner *r, const struct lease *list, int n)
{
	struct job_ref *refs;
	enum err_code *results, rc;
	struct err e = ERR_INIT;
	int i;

	if (n == 0)
		return ERR_OK;
	refs = xcalloc((size_t)n, sizeof(*refs));
	results = xcalloc((size_t)n, sizeof(*results));
	for (i = 0; i < n; i++) {
		refs[i].job_id = list[i].job_id;
		refs[i].run_id = list[i].run_id;
		refs[i].fence = list[i].fence;
	}
	rc = store_renew(r->store, refs, n,
	    clock_now_ms() + r->settings->runner_lease_ms, results, &e);
	if (rc != ERR_OK)
		log_warn("leases not renewed, trying again", "error=%s",
		    log_quote(e.msg));
	for (i = 0; i < n && rc == ERR_OK; i++)
		if (results[i] != ERR_OK)
			check_leases(r, &list[i], 1);
	free(results);
	free(refs);
	return rc;
}

/* End what has reached its deadline; returns how long until the next one, at
 * most max_ms. */
static int64_t
check_deadlines(struct runner *r, int64_t max_ms)
{
	int64_t now_ms, left;
	struct slot *s;
	int i;

	now_ms = clock_now_ms();
	for (i = 0; i < r->n_slots; i++) {
		s = &r->slots[i];
		if (!s->busy || s->timed_out || s->job.deadline_ms == 0)
			continue;
		left = s->job.deadline_ms - now_ms;
		if (left <= 0) {
			s->timed_out = true;
			if (cancel_code(s->cancel) != ERR_OK)
				continue;
			cancel_fire(s->cancel, ERR_TIMEOUT);
			log_warn("job reached its time limit",
			    "job=%s run=%s", s->job.id, s->job.run_id);
		} else if (left < max_ms) {
			max_ms = left;
		}
	}
	return max_ms;
}

/* Look at our jobs, or renew their leases when it is time for that, with the
 * lock let go meanwhile. */
static void
keep(struct runner *r, struct lease *list, int64_t *next_ms)
{
	enum err_code rc;
	bool check;
	int n;

	check = r->check_now;
	r->check_now = false;
	n = list_leases(r, list);
	pthread_mutex_unlock(&r->lock);
	if (check)
		check_leases(r, list, n);
	if (clock_mono_ms() >= *next_ms) {
		rc = renew(r, list, n);
		if (rc == ERR_OK)
			life_take_back(r);
		*next_ms = clock_mono_ms() + (rc == ERR_OK ?
		    r->settings->runner_renew_ms : RETRY_MS);
	}
	pthread_mutex_lock(&r->lock);
}

void *
keeper_run(void *runner)
{
	struct runner *r = runner;
	struct lease *list;
	int64_t next_ms, wait;

	list = xcalloc((size_t)r->n_slots, sizeof(*list));
	next_ms = clock_mono_ms() + r->settings->runner_renew_ms;
	pthread_mutex_lock(&r->lock);
	while (!r->closing) {
		wait = check_deadlines(r, next_ms - clock_mono_ms());
		if (r->check_now || clock_mono_ms() >= next_ms)
			keep(r, list, &next_ms);
		else
			wait_ms(&r->keep_wake, &r->lock, wait);
	}
	pthread_mutex_unlock(&r->lock);
	free(list);
	return NULL;
}
