/*
 * The keeper: renews the leases of running jobs, and tells jobs to stop.
 *
 * A renewal is also how we hear that a job is no longer ours: cancelled by its
 * owner, or lost because we were too slow.  A wake-up "cancel" makes us renew
 * at once; without it we hear with the next renewal, and the job itself at its
 * next write, since every write carries the fence.
 */
#include "runner.h"

#include "clock.h"
#include "log.h"
#include "xalloc.h"

struct renewal {
	char job_id[ID_MAX], run_id[ID_MAX];
	int64_t fence;
	int slot;
};

/* Copies of what is leased now, since slots may change while the store works. */
static int
list_leases(struct runner *r, struct renewal *list)
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
tell_job(struct runner *r, const struct renewal *x, enum err_code code)
{
	struct slot *s = &r->slots[x->slot];

	pthread_mutex_lock(&r->lock);
	if (s->busy && s->job.fence == x->fence &&
	    strcmp(s->job.id, x->job_id) == 0) {
		cancel_fire(s->cancel, code);
		log_info(code == ERR_CANCELLED ? "job cancelled" : "job lost",
		    "job=%s run=%s", x->job_id, x->run_id);
	}
	pthread_mutex_unlock(&r->lock);
}

static enum err_code
renew(struct runner *r, const struct renewal *list, int n)
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
			tell_job(r, &list[i], results[i]);
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
			cancel_fire(s->cancel, ERR_TIMEOUT);
			log_warn("job reached its time limit",
			    "job=%s run=%s", s->job.id, s->job.run_id);
		} else if (left < max_ms) {
			max_ms = left;
		}
	}
	return max_ms;
}

void *
keeper_run(void *runner)
{
	struct runner *r = runner;
	struct renewal *list;
	int64_t next_ms, left;
	enum err_code rc;
	int n;

	list = xcalloc((size_t)r->n_slots, sizeof(*list));
	next_ms = clock_mono_ms() + r->settings->runner_renew_ms;
	pthread_mutex_lock(&r->lock);
	while (!r->closing) {
		left = check_deadlines(r, next_ms - clock_mono_ms());
		if (!r->renew_now && left > 0) {
			wait_ms(&r->keep_wake, &r->lock, left);
			continue;
		}
		if (!r->renew_now && clock_mono_ms() < next_ms)
			continue;
		r->renew_now = false;
		n = list_leases(r, list);
		pthread_mutex_unlock(&r->lock);
		rc = renew(r, list, n);
		next_ms = clock_mono_ms() + (rc == ERR_OK ?
		    r->settings->runner_renew_ms : RETRY_MS);
		pthread_mutex_lock(&r->lock);
	}
	pthread_mutex_unlock(&r->lock);
	free(list);
	return NULL;
}
