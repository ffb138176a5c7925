/*
 * How a job ends.
 *
 *   completed    the file of results, then state and event in one unit: whoever
 *                reads COMPLETED finds the file
 *   failed       the same, with what was reached; the first step that caused it
 *                is named, those that never began are told SKIPPED
 *   cancelled    the API has written state and event already; only the file of
 *                what was reached is left to write
 *   lost         another process has the job and its directory: touch nothing
 *   put back     nothing is wrong with the job; it is due again a little later
 *
 * Trouble of our own (a helper that dies, a directory that cannot be used, a row
 * that cannot be read) puts the job back as well, but counts: nobody is to wait
 * for the deadline for what does not mend.  After runner.max_attempts claims
 * without a checkpoint, past the deadline, or when what is stored is broken, the
 * job fails.  People are told where it went wrong; what exactly is for the log.
 *
 * A bad end needs no documents: it is written with whatever could be loaded.
 *
 * When a job has ended, the answers kept in files and the stages' scratch files
 * go: what was worth keeping has been copied out of them.
 */
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "internal.h"

#include "clock.h"
#include "file.h"
#include "log.h"
#include "xalloc.h"

static void
ending_release(struct ending *x)
{
	json_object_put(x->inputs);
	json_object_put(x->outputs);
	json_object_put(x->warnings);
	json_object_put(x->metadata);
	call_list_release(&x->calls);
	stage_list_release(&x->stages);
	while (x->n_texts > 0)
		free(x->texts[--x->n_texts]);
}

/* --- gathering ------------------------------------------------------------ */

static void
gather_warnings(struct json_object *list, const struct record *r)
{
	struct json_object *given = NULL;
	size_t i;

	if (r->warnings == NULL ||
	    json_parse(r->warnings, strlen(r->warnings), &given, NULL) !=
	    ERR_OK)
		return;
	for (i = 0; i < json_len(given); i++)
		json_object_array_add(list, json_object_get(
		    json_object_array_get_idx(given, i)));
	json_object_put(given);
}

static void
gather_output(struct ending *x, const struct work *k, int at)
{
	const struct step *s = &k->steps[at];
	struct json_object *o = NULL;

	if (s->stage->scope == STAGE_PER_VARIANT) {
		if (s->status != STAGE_PENDING && s->status != STAGE_SKIPPED)
			o = step_told(k, at);
	} else if (s->whole.ok && s->whole.output != NULL) {
		json_parse(s->whole.output, strlen(s->whole.output), &o, NULL);
	}
	if (o != NULL)
		json_put_obj(x->outputs, s->stage->name, o);
}

static bool
any_simulated(const struct call_list *calls)
{
	int i;

	for (i = 0; i < calls->n; i++)
		if (calls->rows[i].simulated)
			return true;
	return false;
}

static enum err_code
gather_rows(struct work *k, struct ending *x, struct err *e)
{
	struct store *st = k->shop->store;
	enum err_code rc;
	int tries = 0;

	do
		rc = store_list_calls(st, k->job->id, &x->calls, e);
	while (rc != ERR_OK && work_try_again(k, &tries, e));
	tries = 0;
	while (rc == ERR_OK) {
		rc = store_list_stages(st, k->job->id, &x->stages, e);
		if (rc == ERR_OK || !work_try_again(k, &tries, e))
			break;
		rc = ERR_OK;
	}
	return rc;
}

/* Everything the documents are made of. */
static enum err_code
gather(struct work *k, struct ending *x, struct err *e)
{
	struct context c = { .variant = VARIANT_NONE };
	enum err_code rc;
	int i, v;

	x->simulated = k->simulated;
	if (k->inputs == NULL)
		return err_set(e, ERR_SYSTEM, "the job could not be loaded");
	rc = context_init(&c, k->inputs, e);
	if (rc != ERR_OK)
		return rc;
	x->inputs = json_object_get(c.inputs);
	context_release(&c);
	x->outputs = json_object_new_object();
	x->warnings = json_object_new_array();
	for (i = 0; i < k->n_steps; i++) {
		gather_output(x, k, i);
		gather_warnings(x->warnings, &k->steps[i].whole);
		for (v = 0; v < k->num_variants; v++)
			gather_warnings(x->warnings, &k->steps[i].of[v]);
	}
	rc = gather_rows(k, x, e);
	if (rc != ERR_OK)
		return rc;
	x->simulated = x->simulated || any_simulated(&x->calls);
	x->complete = true;
	return ERR_OK;
}

/* The document shows the stages as the end is about to leave them. */
static void
show_update(struct stage_list *l, const struct stage_update *u)
{
	struct stage_row *row;
	int i;

	for (i = 0; i < l->n; i++) {
		row = &l->rows[i];
		if (strcmp(row->name, u->name) != 0)
			continue;
		row->status = u->status;
		row->started_ms = u->started_ms;
		row->completed_ms = u->completed_ms;
		row->duration_ms = u->duration_ms;
		free(row->message);
		row->message = xstrdup(u->message);
		free(row->error_message);
		row->error_message = xstrdup(u->error_message);
	}
}

/* --- files ---------------------------------------------------------------- */

/* Is the file one of those calls' answers? They are named by row. */
static bool
is_answer_of(const char *name, const struct call_list *calls)
{
	size_t len;
	int i;

	for (i = 0; i < calls->n; i++) {
		len = strlen(calls->rows[i].id);
		if (strncmp(name, calls->rows[i].id, len) == 0 &&
		    name[len] == '.')
			return true;
	}
	return false;
}

static void
remove_answers(struct work *k, const struct call_list *calls)
{
	struct err e = ERR_INIT;
	struct dirent *d;
	DIR *list;
	int fd = -1;

	if (file_open_dir(k->run_dirfd, CALLS_DIR, &fd, &e) != ERR_OK)
		return;
	list = fdopendir(fd);
	if (list == NULL) {
		close(fd);
		return;
	}
	for (d = readdir(list); d != NULL; d = readdir(list))
		if (is_answer_of(d->d_name, calls))
			unlinkat(fd, d->d_name, 0);
	closedir(list);
}

/* Everything, since no other job of the run is there to need it. */
static void
remove_all(struct work *k)
{
	struct err e = ERR_INIT;

	/* Last of all the directories by which leftovers are recognised. */
	file_remove_temporaries(k->run_dirfd);
	if (file_remove_tree(k->run_dirfd, CALLS_DIR, &e) != ERR_OK ||
	    file_remove_tree(k->run_dirfd, SCRATCH_DIR, &e) != ERR_OK)
		log_debug("scratch files left, ignoring", "run=%s error=%s",
		    k->job->run_id, log_quote(e.msg));
}

/*
 * Other jobs of the run may be at work: then only what is known to be this
 * one's goes, and the rest with the leftovers (runner) once none is open.
 */
static void
clean_up(struct work *k, const struct ending *x)
{
	struct err e = ERR_INIT;
	bool open = true;

	if (k->run_dirfd < 0)
		return;
	if (store_run_is_open(k->shop->store, k->job->run_id, &open, &e) ==
	    ERR_OK && !open) {
		remove_all(k);
		return;
	}
	remove_answers(k, &x->calls);
	if (strcmp(k->work_dir, SCRATCH_DIR) != 0 &&
	    file_remove_tree(k->run_dirfd, k->work_dir, &e) != ERR_OK)
		log_debug("scratch files left, ignoring", "run=%s error=%s",
		    k->job->run_id, log_quote(e.msg));
}

/* --- putting back --------------------------------------------------------- */

/* The longer a job has been tried, the longer it waits for the next time. */
static int64_t
due_again(const struct work *k, bool trouble, int64_t now_ms)
{
	const struct job *j = k->job;
	int64_t wait = TROUBLE_MIN_MS;
	int i;

	if (work_is_stopping(k))
		return now_ms;
	for (i = 1; i < k->attempts && wait < PUT_BACK_MAX_MS; i++)
		wait *= TROUBLE_GROWTH;
	if (!trouble)
		wait = (now_ms - (j->started_ms > 0 ? j->started_ms :
		    j->created_ms)) / 4;
	if (wait < PUT_BACK_MIN_MS)
		wait = PUT_BACK_MIN_MS;
	if (wait > PUT_BACK_MAX_MS)
		wait = PUT_BACK_MAX_MS;
	if (j->deadline_ms > now_ms && now_ms + wait > j->deadline_ms)
		wait = j->deadline_ms - now_ms;
	return now_ms + wait;
}

/* *why stays in *e when the lease could be given back. */
static enum job_outcome
put_back(struct work *k, const struct err *why, struct err *e)
{
	const bool trouble = why->code == ERR_SYSTEM;
	struct err failed = ERR_INIT;
	enum err_code rc;
	int64_t due_ms;
	int tries = 0;

	due_ms = due_again(k, trouble, clock_now_ms());
	do
		rc = (trouble ? store_put_back : store_release)(
		    k->shop->store, &k->ref, due_ms, &failed);
	while (rc != ERR_OK && work_try_again(k, &tries, &failed));
	if (e != NULL)
		*e = rc == ERR_OK ? *why : failed;
	if (rc == ERR_OK)
		return JOB_PUT_BACK;
	return rc == ERR_LOST || rc == ERR_CANCELLED ? JOB_GONE : JOB_STUCK;
}

/* --- the end in the store ------------------------------------------------- */

/* Write the end; what the store answers decides what became of the job. */
static enum job_outcome
end_write(struct work *k, struct ending *x, enum state *ended_as,
    struct err *e)
{
	struct err why = ERR_INIT;
	enum err_code rc;
	int tries = 0;

	x->end.simulated = x->simulated;
	do
		rc = store_finish(k->shop->store, &k->ref, &x->end,
		    clock_now_ms(), &why);
	while (rc != ERR_OK && work_try_again(k, &tries, &why));
	if (rc == ERR_OK) {
		if (k->shop->on_event != NULL)
			k->shop->on_event(k->shop->on_event_arg,
			    k->job->run_id);
		if (k->kind->after != NULL)
			k->kind->after(k);
		clean_up(k, x);
		*ended_as = x->end.state;
		return JOB_ENDED;
	}
	if (rc != ERR_CANCELLED && rc != ERR_LOST)
		return put_back(k, &why, e);
	if (rc == ERR_CANCELLED) {
		clean_up(k, x);
		*ended_as = STATE_CANCELLED;
	}
	if (e != NULL)
		*e = why;
	return JOB_GONE;
}

/*
 * What has to be told of steps that have not ended, since the run has. The one
 * that caused it (-1: none) has failed, even if it never got as far as to be
 * told RUNNING.
 */
static void
end_steps(struct work *k, struct job_end *end, struct stage_update *updates,
    const char *reason, int cause)
{
	const struct step *s;
	char *skipped;
	int i;

	skipped = cause >= 0 ?
	    xasprintf("Not begun, since this did not work: %s.",
	    k->steps[cause].stage->title) :
	    xstrdup("Not begun before the run ended.");
	for (i = 0; i < k->n_steps; i++) {
		s = &k->steps[i];
		if (step_ended(s))
			continue;
		if (s->status == STAGE_RUNNING || i == cause)
			update_make(k, i, STAGE_FAILED, clock_now_ms(),
			    i == cause && s->error != NULL ? s->error : reason,
			    &updates[end->n_updates++]);
		else
			update_make(k, i, STAGE_SKIPPED, clock_now_ms(),
			    s->skip_reason != NULL ? s->skip_reason : skipped,
			    &updates[end->n_updates++]);
	}
	free(skipped);
}

static enum job_outcome
end_failed(struct work *k, struct ending *x, const struct failure *why,
    enum state *ended_as, struct err *e)
{
	struct stage_update updates[MAX_STAGES];
	enum job_outcome outcome;
	int i;

	x->end.state = STATE_FAILED;
	x->end.noise = NOISE_UNKNOWN;
	end_steps(k, &x->end, updates, why->message, why->cause);
	for (i = 0; i < x->end.n_updates; i++)
		show_update(&x->stages, &updates[i]);
	x->end.error_message = why->message;
	x->end.updates = updates;
	k->kind->fail(k, x, why);
	outcome = end_write(k, x, ended_as, e);
	for (i = 0; i < x->end.n_updates; i++)
		update_release(&updates[i]);
	return outcome;
}

static enum job_outcome
end_fatal(struct work *k, struct ending *x, enum state *ended_as,
    struct err *e)
{
	const struct step *s = &k->steps[k->fatal];
	enum job_outcome outcome;
	char *message;

	message = xasprintf("%s did not work: %s", s->stage->title,
	    s->error != NULL ? s->error : "no reason was given");
	outcome = end_failed(k, x, &(struct failure){ message, "failed",
	    k->fatal }, ended_as, e);
	free(message);
	return outcome;
}

/* Trouble of our own for the last time. */
static enum job_outcome
end_trouble(struct work *k, struct ending *x, const struct err *why,
    enum state *ended_as, struct err *e)
{
	enum job_outcome outcome;
	const char *what;
	char *message;

	what = k->stop_at >= 0 ? k->steps[k->stop_at].stage->title :
	    "Carrying out the run";
	if (why->code == ERR_SYSTEM)
		message = xasprintf("%s did not work because of trouble on "
		    "the server itself, not because of the request. It was "
		    "tried %d time%s in vain; the server's log says more.",
		    what, k->attempts, k->attempts == 1 ? "" : "s");
	else
		message = xasprintf("%s did not work, because what had been "
		    "stored of the run before cannot be read any more.", what);
	outcome = end_failed(k, x, &(struct failure){ message, "failed",
	    k->stop_at }, ended_as, e);
	if (outcome == JOB_ENDED && e != NULL)
		*e = *why;
	free(message);
	return outcome;
}

static enum job_outcome
end_timeout(struct work *k, struct ending *x, enum state *ended_as,
    struct err *e)
{
	enum job_outcome outcome;
	int64_t seconds;
	char *message;

	seconds = (k->time_limit_ms + 500) / 1000;
	if (seconds >= 120)
		message = xasprintf("%s was stopped because it reached its "
		    "time limit of %d minutes.", k->kind->noun,
		    (int)(seconds / 60));
	else
		message = xasprintf("%s was stopped because it reached its "
		    "time limit of %d seconds.", k->kind->noun, (int)seconds);
	outcome = end_failed(k, x, &(struct failure){ message, "timeout",
	    -1 }, ended_as, e);
	free(message);
	return outcome;
}

static enum job_outcome
end_completed(struct work *k, struct ending *x, enum state *ended_as,
    struct err *e)
{
	struct err why = ERR_INIT;

	x->end.state = STATE_COMPLETED;
	x->end.noise = NOISE_UNKNOWN;
	if (k->kind->complete(k, x, &why) == ERR_OK)
		return end_write(k, x, ended_as, e);
	if (why.code == ERR_FULL)
		return put_back(k, &why, e);
	return end_failed(k, x, &(struct failure){ why.msg, "failed", -1 },
	    ended_as, e);
}

static enum job_outcome
end_cancelled(struct work *k, struct ending *x, enum state *ended_as,
    struct err *e)
{
	if (k->kind->cancelled != NULL)
		k->kind->cancelled(k, x);
	clean_up(k, x);
	*ended_as = STATE_CANCELLED;
	if (e != NULL)
		*e = k->stop_why;
	return JOB_GONE;
}

/* --- which end it is ------------------------------------------------------ */

enum fate {
	FATE_DONE,		/* by the steps: completed, or failed by one */
	FATE_CANCELLED,
	FATE_TIMEOUT,
	FATE_LOST,
	FATE_TROUBLE,		/* failed by trouble of our own */
	FATE_AGAIN
};

/* What follows from the reason to stop. */
static enum fate
fate_of(const struct work *k, enum err_code reason)
{
	const int max_attempts = k->shop->conf->settings.runner_max_attempts;
	bool late;

	late = k->job->deadline_ms > 0 &&
	    clock_now_ms() >= k->job->deadline_ms;
	switch (reason) {
	case ERR_OK:
		return FATE_DONE;
	case ERR_CANCELLED:
		return FATE_CANCELLED;
	case ERR_TIMEOUT:
		return FATE_TIMEOUT;
	case ERR_LOST:
		if (!work_is_stopping(k))
			return FATE_LOST;
		return late ? FATE_TIMEOUT : FATE_AGAIN;
	case ERR_BUSY:
	case ERR_FULL:
		return late ? FATE_TIMEOUT : FATE_AGAIN;
	case ERR_SYSTEM:
		return late || k->attempts >= max_attempts ? FATE_TROUBLE :
		    FATE_AGAIN;
	case ERR_INVALID:
	case ERR_BUDGET:
	case ERR_TYPE:
	case ERR_FORBIDDEN:
	case ERR_NOT_FOUND:
	case ERR_CONFLICT:
	case ERR_TOO_LARGE:
	case ERR_SLOW:
	case ERR_MODEL:
	case ERR_CONFIG:
	case ERR__COUNT:
		break;
	}
	return FATE_TROUBLE;
}

/* --- for the rest of the room --------------------------------------------- */

enum job_outcome
finish_job(struct work *k, enum state *ended_as, struct err *e)
{
	struct err why = k->stop_why, missing = ERR_INIT;
	struct ending x = { .inputs = NULL };
	enum job_outcome outcome = JOB_GONE;
	enum fate fate;

	*ended_as = STATE_RUNNING;
	fate = fate_of(k, k->stop);
	if (fate != FATE_LOST && fate != FATE_AGAIN &&
	    gather(k, &x, &missing) != ERR_OK && fate == FATE_DONE &&
	    k->fatal < 0) {
		why = missing;	/* there is no COMPLETED without documents */
		fate = fate_of(k, why.code);
	}
	switch (fate) {
	case FATE_DONE:
		outcome = k->fatal >= 0 ? end_fatal(k, &x, ended_as, e) :
		    end_completed(k, &x, ended_as, e);
		break;
	case FATE_CANCELLED:
		outcome = end_cancelled(k, &x, ended_as, e);
		break;
	case FATE_TIMEOUT:
		outcome = end_timeout(k, &x, ended_as, e);
		break;
	case FATE_TROUBLE:
		outcome = end_trouble(k, &x, &why, ended_as, e);
		break;
	case FATE_AGAIN:
		outcome = put_back(k, &why, e);
		break;
	case FATE_LOST:
		if (e != NULL)
			*e = why;
		break;
	}
	ending_release(&x);
	return outcome;
}

enum job_outcome
finish_unloaded(struct work *k, const char *message, enum state *ended_as,
    struct err *e)
{
	struct ending x = { .inputs = NULL };
	enum job_outcome outcome;
	char *text;

	*ended_as = STATE_RUNNING;
	text = xasprintf("The job cannot be carried out: %s", message);
	outcome = end_failed(k, &x, &(struct failure){ text, "failed", -1 },
	    ended_as, e);
	free(text);
	ending_release(&x);
	return outcome;
}
