/*
 * Executing a job: walking its plan from where the checkpoints end.
 *
 * Per-run steps run here, in the job's own thread.  Consecutive per-variant
 * steps form a segment; each variant of it is a lane, which goes through the
 * steps by itself with a context of its own, parsed from frozen text.  A lane
 * begins by looking at what its variant has left from an earlier claim, so a
 * first run and a resumed one are the same code.
 *
 *   a variant that fails in a productive step drops out, with a warning
 *   one that fails in an advisory step goes on without that output
 *   all dropped, or a productive per-run step failed: the run fails
 *
 * Whoever finds that the job cannot go on (cancelled, lost, out of time, the
 * store will not write) says so once with work_stop(); everybody looks before
 * beginning something new.
 */
#include "internal.h"

#include "clock.h"
#include "xalloc.h"

struct lane {
	struct work *k;
	int first, last;	/* steps of the segment */
	int variant;
};

/* --- is everything there? ------------------------------------------------- */

/* Look for the models of a step. Returns how many of its purposes have one;
 * *missing gets the sentences about the others. */
static int
models_of(const struct work *k, const struct stage *stage,
    struct strbuf *missing, int *n_missing)
{
	const enum purpose_id *p;
	struct err e;
	int found = 0;

	*n_missing = 0;
	for (p = stage->purposes; *p != PURPOSE__COUNT; p++) {
		err_clear(&e);
		if (model_available(k->shop->model, *p, &e) == ERR_OK) {
			found++;
			continue;
		}
		(*n_missing)++;
		if (missing->len > 0)
			strbuf_addstr(missing, "; ");
		strbuf_addstr(missing, e.msg);
	}
	return found;
}

/*
 * A productive step that lacks a model makes the run fail before anything is
 * spent; an advisory one that has none at all is left out.
 */
static void
check_models(struct work *k)
{
	struct strbuf missing = STRBUF_INIT(ERR_MSG_MAX);
	struct strbuf all = STRBUF_INIT(ERR_MSG_MAX);
	struct step *s;
	int found, lacking, i;

	for (i = 0; i < k->n_steps && k->shop->model != NULL; i++) {
		s = &k->steps[i];
		if (s->stage->purposes == NULL || s->skip_reason != NULL ||
		    step_ended(s))
			continue;
		strbuf_reset(&missing);
		found = models_of(k, s->stage, &missing, &lacking);
		if (s->stage->productive && lacking > 0) {
			if (all.len > 0)
				strbuf_addstr(&all, "; ");
			strbuf_addstr(&all, missing.buf);
			if (k->fatal < 0)
				k->fatal = i;
		} else if (lacking > 0 && found == 0) {
			s->missing = xstrdup(missing.buf);
			s->skip_reason = s->missing;
		}
	}
	if (all.len > 0)
		k->steps[k->fatal].error = xasprintf(
		    "it is not set up here (%s)", all.buf);
	strbuf_release(&all);
	strbuf_release(&missing);
}

/* --- per-run steps -------------------------------------------------------- */

static enum err_code
walk_step(struct work *k, int at, struct err *e)
{
	struct context c = { .variant = VARIANT_NONE };
	struct attempt a = { .message = NULL };
	enum err_code rc;

	rc = progress_advance(k, at, at, e);
	if (rc != ERR_OK || step_ended(&k->steps[at]))
		return rc;
	rc = work_context(k, at, VARIANT_NONE, &c, e);
	if (rc == ERR_OK)
		rc = progress_begin(k, at, e);
	if (rc == ERR_OK)
		rc = step_attempt(k, at, &c, &a, e);
	if (rc == ERR_OK)
		rc = progress_record(k, at, at, at, VARIANT_NONE, &a, e);
	attempt_release(&a);
	context_release(&c);
	return rc;
}

/* --- lanes ---------------------------------------------------------------- */

/* Has this variant anything left to do in step number at? */
static bool
lane_has(const struct work *k, int at, int variant)
{
	const struct step *s = &k->steps[at];

	return s->skip_reason == NULL && !s->of[variant].there;
}

/* One step of a lane. *dropped: the variant ends here. */
static enum err_code
lane_step(struct lane *l, int at, struct context *c, bool *dropped,
    struct err *e)
{
	struct work *k = l->k;
	const struct stage *stage = k->steps[at].stage;
	const struct record *r = &k->steps[at].of[l->variant];
	struct attempt a = { .message = NULL };
	enum err_code rc;

	rc = progress_begin(k, at, e);
	if (rc == ERR_OK)
		rc = step_attempt(k, at, c, &a, e);
	if (rc == ERR_OK)
		rc = progress_record(k, l->first, l->last, at, l->variant, &a,
		    e);
	attempt_release(&a);
	if (rc != ERR_OK)
		return rc;
	/* The record is ours alone to read and write, and frozen by now. */
	*dropped = stage->productive && !r->ok;
	if (r->ok && r->output != NULL)
		rc = context_merge(c, stage->name, r->output, e);
	return rc;
}

static void
lane_run(void *arg)
{
	struct lane *l = arg;
	struct work *k = l->k;
	struct context c = { .variant = VARIANT_NONE };
	struct err e = ERR_INIT;
	enum err_code rc;
	bool dropped = false;
	int at, in_hand;

	for (at = l->first; at <= l->last; at++)
		if (lane_has(k, at, l->variant))
			break;
	if (work_may_go_on(k) != ERR_OK)
		return;
	in_hand = at;
	rc = work_context(k, at, l->variant, &c, &e);
	for (; at <= l->last && rc == ERR_OK && !dropped; at++) {
		if (!lane_has(k, at, l->variant))
			continue;
		if (work_may_go_on(k) != ERR_OK)
			break;
		in_hand = at;
		rc = lane_step(l, at, &c, &dropped, &e);
	}
	if (rc != ERR_OK)
		work_stop(k, in_hand, &e);
	context_release(&c);
}

static enum err_code
walk_lanes(struct work *k, int first, int last, struct err *e)
{
	struct lane lanes[MAX_VARIANTS];
	struct lane_task tasks[MAX_VARIANTS];
	enum err_code rc;
	int at, v, n = 0;

	rc = progress_advance(k, first, last, e);
	if (rc != ERR_OK)
		return rc;
	for (v = 0; v < k->num_variants; v++) {
		for (at = first; at <= last; at++)
			if (lane_has(k, at, v) && !work_dropped(k, v, at))
				break;
		if (at > last)
			continue;
		lanes[n] = (struct lane){ k, first, last, v };
		tasks[n] = (struct lane_task){ lane_run, &lanes[n] };
		n++;
	}
	lane_pool_run(k->shop->lanes, tasks, n);
	return ERR_OK;
}

/* --- the plan ------------------------------------------------------------- */

/* The last of the consecutive per-variant steps that begin at first. */
static int
segment_end(const struct work *k, int first)
{
	int at = first;

	while (at + 1 < k->n_steps &&
	    k->steps[at + 1].stage->scope == STAGE_PER_VARIANT)
		at++;
	return at;
}

/* Nothing has been told of it yet. */
static enum err_code
announce(struct work *k, struct err *e)
{
	if (k->kind->announce == NULL || k->n_steps == 0 ||
	    k->steps[0].status != STAGE_PENDING)
		return ERR_OK;
	return k->kind->announce(k, e);
}

static void
walk(struct work *k)
{
	struct err e = ERR_INIT;
	enum err_code rc = ERR_OK;
	int at, last;

	if (k->fatal < 0)
		check_models(k);
	if (k->fatal < 0 && work_may_go_on(k) == ERR_OK)
		rc = announce(k, &e);
	if (rc != ERR_OK)
		work_stop(k, -1, &e);
	for (at = 0; at < k->n_steps && k->fatal < 0; at = last + 1) {
		last = at;
		if (work_may_go_on(k) != ERR_OK)
			return;
		if (k->steps[at].stage->scope == STAGE_PER_VARIANT) {
			last = segment_end(k, at);
			rc = walk_lanes(k, at, last, &e);
		} else {
			rc = walk_step(k, at, &e);
		}
		if (rc != ERR_OK) {
			work_stop(k, at, &e);
			return;
		}
	}
}

enum job_outcome
executor_run(struct executor *x, const struct workshop *w,
    const struct job *job, struct cancel *cancel, const bool *stopping,
    enum state *ended_as, struct err *e)
{
	enum job_outcome outcome;
	struct err why = ERR_INIT;
	struct work *k;
	enum err_code rc;

	executor_use(x, "run", job->run_id);
	err_clear(e);
	k = xcalloc(1, sizeof(*k));
	rc = work_load(k, x, w, job, cancel, stopping, &why);
	if (rc == ERR_INVALID || rc == ERR_NOT_FOUND) {
		outcome = finish_unloaded(k, why.msg, ended_as, e);
	} else {
		if (rc == ERR_OK)
			walk(k);
		else
			work_stop(k, -1, &why);
		outcome = finish_job(k, ended_as, e);
	}
	work_release(k);
	free(k);
	return outcome;
}

enum job_outcome
executor_refuse(struct executor *x, const struct workshop *w,
    const struct job *job, const char *message, enum state *ended_as,
    struct err *e)
{
	enum job_outcome outcome;
	struct work *k;

	executor_use(x, "refuse", job->run_id);
	err_clear(e);
	k = xcalloc(1, sizeof(*k));
	work_init(k, x, w, job, NULL, NULL);
	outcome = finish_unloaded(k, message, ended_as, e);
	work_release(k);
	free(k);
	return outcome;
}
