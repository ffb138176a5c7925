/*
 * A job under execution: loading it, and what it knows.
 *
 * Everything an earlier claim has left is taken over before anything is done:
 * outputs that are there are not made again, a variant that had dropped out
 * stays out with its warning, a step that people were told of keeps the state
 * and the start they were told.  Calls that were on their way when the earlier
 * holder vanished become "unknown" first of all, so that no later look at the
 * ledger can take them for ones of our own.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

#include "clock.h"
#include "file.h"
#include "xalloc.h"

#define DIR_MODE 0750		/* the web server's group may read pictures */

void
record_release(struct record *r)
{
	free(r->output);
	free(r->warnings);
	free(r->error);
	memset(r, 0, sizeof(*r));
}

bool
step_ended(const struct step *s)
{
	switch (s->status) {
	case STAGE_PENDING:
	case STAGE_RUNNING:
		return false;
	case STAGE_COMPLETED:
	case STAGE_FAILED:
	case STAGE_SKIPPED:
	case STAGE_STATUS__COUNT:
		break;
	}
	return true;
}

/* Wait although the cancel has been fired: only the end is being written. */
static void
pause_ms(int64_t ms)
{
	struct timespec t = { ms / 1000, (ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

bool
work_is_stopping(const struct work *k)
{
	return k->stopping != NULL &&
	    __atomic_load_n(k->stopping, __ATOMIC_ACQUIRE);
}

bool
work_try_again(struct work *k, int *tries, const struct err *e)
{
	int64_t ms = STORE_PAUSE_MS;
	int i;

	if (e->code != ERR_BUSY && e->code != ERR_FULL &&
	    e->code != ERR_SYSTEM)
		return false;
	(*tries)++;
	if (*tries >= STORE_TRIES || work_is_stopping(k))
		return false;
	for (i = 1; i < *tries; i++)
		ms *= 4;
	if (cancel_code(k->cancel) == ERR_OK)
		cancel_sleep(k->cancel, ms);
	else
		pause_ms(ms);
	return true;
}

/* --- stopping ------------------------------------------------------------- */

void
work_stop(struct work *k, int at, const struct err *e)
{
	struct err why = *e;
	enum err_code fired;

	fired = cancel_code(k->cancel);
	if (fired != ERR_OK)
		why.code = fired;	/* what the rest followed from */
	else if (k->cancel != NULL &&
	    (why.code == ERR_LOST || why.code == ERR_CANCELLED))
		cancel_fire(k->cancel, why.code);
	pthread_mutex_lock(&k->lock);
	if (k->stop == ERR_OK) {
		k->stop = why.code;
		k->stop_why = why;
		k->stop_at = at;
	}
	pthread_mutex_unlock(&k->lock);
}

enum err_code
work_may_go_on(struct work *k)
{
	struct err e = ERR_INIT;
	enum err_code rc;

	rc = cancel_code(k->cancel);
	if (rc != ERR_OK) {
		err_set(&e, rc, "stopped from outside");
	} else if (k->job->deadline_ms > 0 &&
	    clock_now_ms() >= k->job->deadline_ms) {
		err_set(&e, ERR_TIMEOUT, "the time limit is reached");
	} else if (work_is_stopping(k)) {
		err_set(&e, ERR_BUSY, "this process is shutting down");
	}
	if (e.code != ERR_OK)
		work_stop(k, -1, &e);
	pthread_mutex_lock(&k->lock);
	rc = k->stop;
	pthread_mutex_unlock(&k->lock);
	return rc;
}

bool
work_dropped(const struct work *k, int variant, int at)
{
	const struct step *s;
	int i;

	for (i = 0; i < at; i++) {
		s = &k->steps[i];
		if (s->stage->scope == STAGE_PER_VARIANT &&
		    s->stage->productive && s->of[variant].there &&
		    !s->of[variant].ok)
			return true;
	}
	return false;
}

/* --- contexts ------------------------------------------------------------- */

/* What step s gave as seen by variant; a list of all for a per-run stage that
 * comes after lanes. NULL: nothing. free() it. */
static char *
output_for(const struct work *k, int at, int variant)
{
	const struct step *s = &k->steps[at];
	const struct record *r = &s->whole;
	struct json_object *told;
	char *text;

	if (s->stage->scope == STAGE_PER_VARIANT) {
		if (variant == VARIANT_NONE) {
			told = step_told(k, at);
			text = told != NULL ? json_to_text(told) : NULL;
			json_object_put(told);
			return text;
		}
		r = &s->of[variant];
	}
	if (!r->there || !r->ok)
		return NULL;
	return xstrdup(r->output);
}

/* What is broken here was stored whole once; it will not mend by itself. */
enum err_code
work_context(struct work *k, int at, int variant, struct context *out,
    struct err *e)
{
	struct context c = { .variant = VARIANT_NONE };
	enum err_code rc;
	char *text;
	int i;

	rc = context_init(&c, k->inputs, e);
	for (i = 0; i < at && rc == ERR_OK; i++) {
		text = output_for(k, i, variant);
		if (text != NULL)
			rc = context_merge(&c, k->steps[i].stage->name, text,
			    e);
		free(text);
	}
	if (rc != ERR_OK) {
		context_release(&c);
		if (e != NULL)
			e->code = ERR_INVALID;
		return ERR_INVALID;
	}
	c.variant = variant;
	*out = c;
	return ERR_OK;
}

/* --- loading -------------------------------------------------------------- */

static struct step *
step_named(struct work *k, const char *name)
{
	int i;

	for (i = 0; i < k->n_steps; i++)
		if (strcmp(k->steps[i].stage->name, name) == 0)
			return &k->steps[i];
	return NULL;
}

/* Outputs of a stage the plan no longer has, or of a variant beyond those
 * asked for, are left alone: the order may have been edited meanwhile. */
static void
adopt_outputs(struct work *k, struct lane_output_list *l)
{
	struct lane_output_row *row;
	struct record *r;
	struct step *s;
	int i;

	for (i = 0; i < l->n; i++) {
		row = &l->rows[i];
		s = step_named(k, row->stage);
		if (s == NULL || row->variant >= k->num_variants ||
		    row->variant < VARIANT_NONE)
			continue;
		r = row->variant == VARIANT_NONE ? &s->whole :
		    &s->of[row->variant];
		record_release(r);
		r->there = true;
		r->ok = row->ok;
		r->output = xstrdup(row->output);
		r->warnings = xstrdup(row->warnings);
		r->error = xstrdup(row->error);
		r->started_ms = row->started_ms;
		r->ended_ms = row->ended_ms;
	}
}

static void
adopt_stages(struct work *k, const struct stage_list *l)
{
	const struct stage_row *row;
	struct step *s;
	int i;

	for (i = 0; i < l->n; i++) {
		row = &l->rows[i];
		s = step_named(k, row->name);
		if (s == NULL)
			continue;
		s->status = row->status;
		s->started_ms = row->started_ms;
		if (row->status != STAGE_FAILED)
			continue;
		s->error = xstrdup(row->error_message);
		if (s->stage->productive && k->fatal < 0)
			k->fatal = (int)(s - k->steps);
	}
}

static enum err_code
load_plan(struct work *k, struct err *e)
{
	struct context c = { .variant = VARIANT_NONE };
	enum err_code rc;
	int i;

	rc = context_init(&c, k->inputs != NULL ? k->inputs : "", e);
	if (rc != ERR_OK)
		return err_set(e, ERR_INVALID,
		    "the stored request cannot be read");
	k->num_variants = c.num_variants;
	rc = plan_make(k->x, c.inputs, &k->plan, e);
	context_release(&c);
	if (rc != ERR_OK)
		return ERR_INVALID;
	k->n_steps = k->plan.n;
	for (i = 0; i < k->n_steps; i++) {
		k->steps[i].stage = k->plan.steps[i].stage;
		k->steps[i].order = k->plan.steps[i].order;
		k->steps[i].skip_reason = k->plan.steps[i].skip_reason;
		k->steps[i].status = STAGE_PENDING;
	}
	return ERR_OK;
}

static void
forget_rows(struct work *k)
{
	run_release(&k->run);
	refinement_release(&k->refinement);
	caption_release(&k->caption);
	memset(&k->run, 0, sizeof(k->run));
	k->inputs = NULL;
	k->began_ms = 0;
}

static enum err_code
load_rows(struct work *k, struct lane_output_list *outputs,
    struct stage_list *stages, struct err *e)
{
	struct store *st = k->shop->store;
	enum err_code rc;
	int n = 0;

	rc = k->kind->load(k, e);
	if (rc == ERR_OK && !k->looking)
		rc = store_calls_unknown(st, &k->ref, clock_now_ms(), &n, e);
	if (rc == ERR_OK)
		rc = store_list_outputs(st, k->job->id, outputs, e);
	if (rc == ERR_OK)
		rc = store_list_stages(st, k->job->id, stages, e);
	if (rc == ERR_OK)
		return ERR_OK;
	lane_output_list_release(outputs);
	stage_list_release(stages);
	forget_rows(k);
	memset(outputs, 0, sizeof(*outputs));
	memset(stages, 0, sizeof(*stages));
	return rc;
}

static enum err_code
open_dirs(struct work *k, struct err *e)
{
	static const char *const parts[] = { CALLS_DIR, SCRATCH_DIR };
	enum err_code rc;
	size_t i;

	k->run_dir = xasprintf("%s/%s", k->shop->runs_dir, k->job->run_id);
	rc = file_make_dirs(k->run_dir, DIR_MODE, e);
	if (rc == ERR_OK)
		rc = file_open_dir(AT_FDCWD, k->run_dir, &k->run_dirfd, e);
	for (i = 0; i < ARRAY_LEN(parts) && rc == ERR_OK; i++)
		if (mkdirat(k->run_dirfd, parts[i], DIR_MODE) != 0 &&
		    errno != EEXIST)
			rc = err_set_errno(e, ERR_SYSTEM, errno,
			    "cannot make %s of the run", parts[i]);
	/* A paid picture is kept in one of them: so its name must last. */
	if (rc == ERR_OK && fsync(k->run_dirfd) != 0)
		rc = err_set_errno(e, ERR_SYSTEM, errno,
		    "cannot sync the directory of the run");
	return rc;
}

void
work_init(struct work *k, struct executor *x, const struct workshop *shop,
    const struct job *job, struct cancel *cancel, const bool *stopping)
{
	memset(k, 0, sizeof(*k));
	k->x = x;
	k->shop = shop;
	k->job = job;
	k->cancel = cancel;
	k->stopping = stopping;
	k->ref.job_id = job->id;
	k->ref.run_id = job->run_id;
	k->ref.fence = job->fence;
	k->time_limit_ms = job->deadline_ms - job->started_ms;
	k->attempts = job->attempts;
	k->kind = kind_find(job->kind);
	if (k->kind == NULL)	/* refused, but its channel is a run's */
		k->kind = &kind_generation;
	k->work_dir = strcmp(job->kind, KIND_GENERATION) == 0 ?
	    xstrdup(SCRATCH_DIR) : xasprintf(SCRATCH_DIR "/%s", job->id);
	k->run_dirfd = -1;
	k->stop_at = -1;
	k->fatal = -1;
	pthread_mutex_init(&k->lock, NULL);
}

/* On whose behalf model calls are made. */
static void
fill_scope(struct work *k)
{
	k->scope.ref = &k->ref;
	k->scope.owner = k->job->owner;
	k->scope.run_dirfd = k->run_dirfd;
	k->scope.cancel = k->cancel;
	k->scope.stopping = k->stopping;
	k->scope.deadline_ms = k->job->deadline_ms;
}

static enum err_code
load(struct work *k, struct err *e)
{
	struct lane_output_list outputs = { NULL, 0 };
	struct stage_list stages = { NULL, 0 };
	enum err_code rc;
	int tries = 0;

	do
		rc = load_rows(k, &outputs, &stages, e);
	while (rc != ERR_OK && work_try_again(k, &tries, e));
	if (rc == ERR_OK)
		rc = load_plan(k, e);
	if (rc == ERR_OK) {
		adopt_outputs(k, &outputs);
		adopt_stages(k, &stages);
		rc = open_dirs(k, e);
	}
	if (rc == ERR_OK)
		fill_scope(k);
	lane_output_list_release(&outputs);
	stage_list_release(&stages);
	return rc;
}

enum err_code
work_load(struct work *k, struct executor *x, const struct workshop *shop,
    const struct job *job, struct cancel *cancel, const bool *stopping,
    struct err *e)
{
	work_init(k, x, shop, job, cancel, stopping);
	return load(k, e);
}

enum err_code
work_look(struct work *k, struct executor *x, const struct workshop *shop,
    const struct job *job, struct err *e)
{
	work_init(k, x, shop, job, NULL, NULL);
	k->looking = true;
	return load(k, e);
}

void
work_release(struct work *k)
{
	struct step *s;
	int i, v;

	for (i = 0; i < k->n_steps; i++) {
		s = &k->steps[i];
		free(s->missing);
		free(s->message);
		free(s->soft_error);
		free(s->error);
		record_release(&s->whole);
		for (v = 0; v < MAX_VARIANTS; v++)
			record_release(&s->of[v]);
	}
	if (k->run_dirfd >= 0)
		close(k->run_dirfd);
	free(k->run_dir);
	free(k->work_dir);
	forget_rows(k);
	pthread_mutex_destroy(&k->lock);
}
