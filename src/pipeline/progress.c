/*
 * Progress: storing checkpoints, and telling people what has begun and ended.
 *
 * One unit of the store holds a checkpoint, the stage rows it changes and the
 * events that tell of them; so what was told is true after any crash, and what
 * is true was told.
 *
 * Variants go at their own speed, people are told in order.  A step is told
 * RUNNING by its first variant; since a variant comes to a step only by way of
 * those before, that is in ascending order by itself.  A step has ended when
 * every variant has passed it, failed in it or dropped out before it; endings
 * are told from the first step on that has not ended, so in ascending order
 * too.  All of it happens under the job's lock.
 *
 * The sentences are for people.  They contain neither "stage" nor "completed":
 * the existing front end hides those that do.
 */
#include "internal.h"

#include "clock.h"
#include "xalloc.h"

/* Updates that belong into one unit. */
struct telling {
	struct stage_update updates[MAX_STAGES];
	int n;
	const struct lane_output *checkpoint;	/* NULL: none, or stored */
};

/* --- sentences and events ------------------------------------------------- */

static int
count_passed(const struct work *k, const struct step *s)
{
	int v, n = 0;

	for (v = 0; v < k->num_variants; v++)
		if (s->of[v].there && s->of[v].ok)
			n++;
	return n;
}

static char *
sentence(const struct work *k, const struct step *s, enum stage_status status,
    const char *reason)
{
	const char *title = s->stage->title;
	int passed;

	switch (status) {
	case STAGE_PENDING:
	case STAGE_RUNNING:
		return xasprintf("%s...", title);
	case STAGE_COMPLETED:
		if (s->message != NULL)
			return xstrdup(s->message);
		passed = count_passed(k, s);
		if (s->stage->scope == STAGE_PER_VARIANT &&
		    passed < k->num_variants)
			return xasprintf("%s: done for %d of %d variants.",
			    title, passed, k->num_variants);
		return xasprintf("%s: done.", title);
	case STAGE_FAILED:
		return xasprintf("%s: this did not work.", title);
	case STAGE_SKIPPED:
	case STAGE_STATUS__COUNT:
		break;
	}
	return xasprintf("%s: left out. %s", title,
	    reason != NULL ? reason : "");
}

static struct json_object *
list_of_variants(const struct work *k, const struct step *s)
{
	struct json_object *list, *item;
	const struct record *r;
	int v;

	list = json_object_new_array();
	for (v = 0; v < k->num_variants; v++) {
		r = &s->of[v];
		if (!r->there || r->output == NULL)
			continue;
		item = NULL;
		if (json_parse(r->output, strlen(r->output), &item, NULL) ==
		    ERR_OK)
			json_object_array_add(list, item);
	}
	return list;
}

struct json_object *
step_told(const struct work *k, int at)
{
	const struct step *s = &k->steps[at];
	const char *key = s->stage->output_key;
	struct json_object *told, *whole = NULL;

	if (key == NULL)
		return NULL;
	told = json_object_new_object();
	if (s->stage->scope == STAGE_PER_VARIANT) {
		json_put_obj(told, key, list_of_variants(k, s));
		return told;
	}
	if (s->whole.ok && s->whole.output != NULL)
		json_parse(s->whole.output, strlen(s->whole.output), &whole,
		    NULL);
	copy_member(told, key, whole);
	json_object_put(whole);
	return told;
}

void
update_make(const struct work *k, int at, enum stage_status status,
    int64_t now_ms, const char *reason, struct stage_update *out)
{
	const struct step *s = &k->steps[at];
	struct json_object *told = NULL;
	struct stage_update u = { .duration_ms = -1 };
	char *data = NULL;

	u.name = s->stage->name;
	u.order = s->order;
	u.status = status;
	if (status == STAGE_SKIPPED) {
		u.duration_ms = 0;
	} else {
		u.started_ms = s->started_ms != 0 ? s->started_ms : now_ms;
		if (status != STAGE_RUNNING) {
			u.completed_ms = now_ms;
			u.duration_ms = now_ms > u.started_ms ?
			    now_ms - u.started_ms : 0;
		}
	}
	u.message = sentence(k, s, status, reason);
	if (status == STAGE_COMPLETED) {
		told = step_told(k, at);
		if (told != NULL)
			u.output = json_to_text(told);
		u.error_message = xstrdup(s->soft_error);
	} else if (status == STAGE_FAILED) {
		u.error_message = xstrdup(reason != NULL ? reason : s->error);
	}
	u.event_type = k->kind->tell(k, &u, told, &data);
	u.event_data = data;
	json_object_put(told);
	*out = u;
}

void
update_release(struct stage_update *u)
{
	free((char *)u->message);
	free((char *)u->output);
	free((char *)u->error_message);
	free((char *)u->event_data);
	memset(u, 0, sizeof(*u));
}

/* --- writing -------------------------------------------------------------- */

/* Write what has gathered, if anything. */
static enum err_code
flush(struct work *k, struct telling *t, int64_t now_ms, struct err *e)
{
	enum err_code rc;
	int i, tries = 0;

	if (t->n == 0 && t->checkpoint == NULL)
		return ERR_OK;
	do
		rc = store_progress(k->shop->store, &k->ref, t->checkpoint,
		    t->updates, t->n, now_ms, e);
	while (rc != ERR_OK && work_try_again(k, &tries, e));
	if (rc == ERR_OK && t->checkpoint != NULL)
		k->attempts = 1;	/* as the store has it now */
	if (rc == ERR_OK && t->n > 0 && k->shop->on_event != NULL)
		k->shop->on_event(k->shop->on_event_arg, k->job->run_id);
	for (i = 0; i < t->n; i++)
		update_release(&t->updates[i]);
	t->n = 0;
	t->checkpoint = NULL;
	return rc;
}

/* A skipped step. One that wanted a model keeps its warning, as the record of
 * having been skipped. */
static enum err_code
tell_skipped(struct work *k, int at, int64_t now_ms, struct err *e)
{
	struct step *s = &k->steps[at];
	struct lane_output row = { .variant = VARIANT_NONE, .ok = true };
	struct telling t = { .n = 1 };
	struct json_object *list;

	if (s->missing != NULL) {
		list = json_object_new_array();
		json_object_array_add(list, warning_new(s->stage->name,
		    VARIANT_NONE, "not_configured", s->missing));
		s->whole.there = s->whole.ok = true;
		s->whole.warnings = json_to_text(list);
		json_object_put(list);
		row.stage = s->stage->name;
		row.warnings = s->whole.warnings;
		row.started_ms = row.ended_ms = now_ms;
		t.checkpoint = &row;
	}
	s->status = STAGE_SKIPPED;
	update_make(k, at, STAGE_SKIPPED, now_ms, s->skip_reason,
	    &t.updates[0]);
	return flush(k, &t, now_ms, e);
}

/* Has every variant passed the step, failed in it or dropped out before? */
static bool
settled(const struct work *k, int at)
{
	const struct step *s = &k->steps[at];
	int v;

	if (s->stage->scope == STAGE_PER_RUN)
		return s->whole.there;
	for (v = 0; v < k->num_variants; v++)
		if (!s->of[v].there && !work_dropped(k, v, at))
			return false;
	return true;
}

/* Why a step failed: of several variants the first one speaks. */
static char *
failure_of(const struct work *k, const struct step *s)
{
	int v;

	if (s->stage->scope == STAGE_PER_RUN)
		return xstrdup(s->whole.error);
	for (v = 0; v < k->num_variants; v++) {
		if (!s->of[v].there)
			continue;
		if (k->num_variants == 1)
			return xstrdup(s->of[v].error);
		return xasprintf("none of the %d variants succeeded; the "
		    "first of them: %s", k->num_variants, s->of[v].error);
	}
	return xstrdup("there was nothing to work on");
}

/* Take note that a settled step has ended, and how. */
static void
conclude(struct work *k, int at)
{
	struct step *s = &k->steps[at];
	bool passed;

	passed = s->stage->scope == STAGE_PER_RUN ? s->whole.ok :
	    count_passed(k, s) > 0;
	if (passed) {
		s->status = STAGE_COMPLETED;
		return;
	}
	s->status = STAGE_FAILED;
	free(s->error);
	s->error = failure_of(k, s);
	if (s->stage->productive && k->fatal < 0)
		k->fatal = at;
}

/* Tell every step from first on, up to last, that has ended. */
static enum err_code
advance(struct work *k, int first, int last, struct telling *t, int64_t now_ms,
    struct err *e)
{
	enum err_code rc;
	int at;

	for (at = first; at <= last && k->fatal < 0; at++) {
		if (step_ended(&k->steps[at]))
			continue;
		if (k->steps[at].skip_reason != NULL) {
			rc = flush(k, t, now_ms, e);
			if (rc == ERR_OK)
				rc = tell_skipped(k, at, now_ms, e);
			if (rc != ERR_OK)
				return rc;
			continue;
		}
		if (!settled(k, at))
			break;
		conclude(k, at);
		update_make(k, at, k->steps[at].status, now_ms, NULL,
		    &t->updates[t->n++]);
	}
	return flush(k, t, now_ms, e);
}

/* --- for the rest of the room --------------------------------------------- */

enum err_code
progress_begin(struct work *k, int at, struct err *e)
{
	struct step *s = &k->steps[at];
	struct telling t = { .n = 0 };
	enum err_code rc = ERR_OK;
	int64_t now_ms;

	pthread_mutex_lock(&k->lock);
	if (s->status == STAGE_PENDING) {
		now_ms = clock_now_ms();
		update_make(k, at, STAGE_RUNNING, now_ms, NULL,
		    &t.updates[t.n++]);
		rc = flush(k, &t, now_ms, e);
		if (rc == ERR_OK) {
			s->status = STAGE_RUNNING;
			s->started_ms = now_ms;
		}
	}
	pthread_mutex_unlock(&k->lock);
	return rc;
}

/* What the stage said beside its output: the first variant to speak does so
 * for the step. */
static void
take_remarks(struct step *s, struct attempt *a)
{
	if (s->message == NULL) {
		s->message = a->message;
		a->message = NULL;
	}
	if (s->soft_error == NULL) {
		s->soft_error = a->soft_error;
		a->soft_error = NULL;
	}
}

enum err_code
progress_record(struct work *k, int first, int last, int at, int variant,
    struct attempt *a, struct err *e)
{
	struct step *s = &k->steps[at];
	struct record *r = variant == VARIANT_NONE ? &s->whole :
	    &s->of[variant];
	struct lane_output row = { .stage = s->stage->name };
	struct telling t = { .checkpoint = &row };
	enum err_code rc;

	pthread_mutex_lock(&k->lock);
	record_release(r);
	*r = a->record;
	memset(&a->record, 0, sizeof(a->record));
	take_remarks(s, a);
	k->simulated = k->simulated || a->simulated;
	row.variant = variant;
	row.ok = r->ok;
	row.output = r->output;
	row.warnings = r->warnings;
	row.error = r->error;
	row.started_ms = r->started_ms;
	row.ended_ms = r->ended_ms;
	rc = advance(k, first, last, &t, clock_now_ms(), e);
	pthread_mutex_unlock(&k->lock);
	return rc;
}

enum err_code
progress_advance(struct work *k, int first, int last, struct err *e)
{
	struct telling t = { .checkpoint = NULL };
	enum err_code rc;

	pthread_mutex_lock(&k->lock);
	rc = advance(k, first, last, &t, clock_now_ms(), e);
	pthread_mutex_unlock(&k->lock);
	return rc;
}
