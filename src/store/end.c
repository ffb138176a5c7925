/*
 * How a job ends, and what it is about with it (its run, or a row of derived.c):
 * finished, cancelled, or given up.
 *
 * Whichever comes first wins.  Each change of a state is one UPDATE that names
 * the state it leaves, and none leaves a terminal one; stages, counters, cost
 * and the terminal event follow in the same unit.  So a run has exactly one
 * terminal event, it is the last one of its job, and it tells the state that
 * the row shows.
 */
#include "internal.h"

#include <assert.h>

#include "derived.h"

/* The end of a job, as the three ways to it have in common. */
struct ending {
	const char *job_id, *run_id;
	const char *kind, *subject_id;
	enum state from, to;	/* of the job */
	const char *message;	/* NULL when COMPLETED */
	const struct job_end *end;	/* NULL: not by a finish */
	int64_t now_ms;
};

/* --- the parts of an end -------------------------------------------------- */

/* A finish keeps the fence: its own late writes fail by the state. */
static enum err_code
end_job(struct db *db, const struct ending *x, struct err *e)
{
	static const char sql[] =
	    "UPDATE jobs SET state = ?3, fence = fence + ?4, ended_ms = ?5,"
	    " lease_holder = NULL, lease_host = NULL, lease_boot_id = NULL,"
	    " lease_life_file = NULL, lease_until_ms = 0"
	    " WHERE id = ?1 AND state = ?2";
	int64_t changes = 0;
	enum err_code rc;

	rc = db_run(db, sql, DB_ARGS(db_s(x->job_id), db_s(state_name(x->from)),
	    db_s(state_name(x->to)), db_i(x->end == NULL), db_i(x->now_ms)),
	    &changes, e);
	if (rc == ERR_OK && changes != 1)
		rc = err_set(e, ERR_SYSTEM, "a job is not in the state it was "
		    "read in");
	if (rc == ERR_OK)
		rc = job_count_move(db, x->from, x->to, e);
	return rc;
}

static enum err_code
update_run(struct db *db, const struct ending *x, const struct run_brief *b,
    int64_t cost_nano, bool simulated, struct err *e)
{
	static const struct job_end none;
	static const char sql[] =
	    "UPDATE runs SET status = ?3, completed_ms = ?4, duration_ms = ?5,"
	    " cost_nano = ?6, has_cost = ?7, simulated = ?8,"
	    " error_message = ?9, warnings = COALESCE(?10, warnings),"
	    " brand_kit = COALESCE(?11, brand_kit),"
	    " output_directory = COALESCE(?12, output_directory),"
	    " metadata_path = COALESCE(?13, metadata_path),"
	    " version = version + 1"
	    " WHERE id = ?1 AND status = ?2";
	const struct job_end *end = x->end != NULL ? x->end : &none;
	int64_t duration_ms = 0, changes = 0;
	enum err_code rc;

	if (b->started_ms > 0 && x->now_ms > b->started_ms)
		duration_ms = x->now_ms - b->started_ms;
	rc = db_run(db, sql, DB_ARGS(db_s(x->run_id),
	    db_s(state_name(b->status)), db_s(state_name(x->to)),
	    db_i(x->now_ms), db_i(duration_ms), db_i(cost_nano),
	    db_i(cost_nano > 0), db_i(simulated), db_s(x->message),
	    db_s(end->warnings), db_s(end->brand_kit),
	    db_s(end->output_directory), db_s(end->metadata_path)),
	    &changes, e);
	if (rc == ERR_OK && changes != 1)
		rc = err_set(e, ERR_SYSTEM, "a run is not in the state it was "
		    "read in");
	return rc;
}

static enum err_code
end_run(struct db *db, const struct ending *x, struct err *e)
{
	struct run_brief b = RUN_BRIEF_NONE;
	int64_t cost_nano = 0;
	bool simulated = false;
	enum err_code rc;

	rc = run_read_brief(db, NULL, x->run_id, &b, e);
	if (rc == ERR_OK && state_is_terminal(b.status))
		rc = err_set(e, ERR_SYSTEM, "a run ended before its job");
	if (rc == ERR_OK)
		rc = run_sum(db, x->run_id, &cost_nano, &simulated, e);
	if (x->end != NULL && x->end->simulated)
		simulated = true;
	if (rc == ERR_OK)
		rc = update_run(db, x, &b, cost_nano, simulated, e);
	if (rc == ERR_OK)
		rc = run_count_move(db, &b, b.status, x->to, e);
	run_brief_release(&b);
	return rc;
}

/* Nobody waits for these answers any more. One that comes even so is booked
 * by whoever had sent the call. */
static enum err_code
end_calls(struct db *db, const struct ending *x, struct err *e)
{
	static const char sql[] =
	    "UPDATE model_calls SET state = 'UNKNOWN', settled_ms = ?2"
	    " WHERE job_id = ?1 AND state = 'SENT'";

	return db_run(db, sql, DB_ARGS(db_s(x->job_id), db_i(x->now_ms)), NULL,
	    e);
}

/* All but the event. A job that is no run's own leaves the run alone. */
static enum err_code
end_all(struct db *db, const struct ending *x, struct err *e)
{
	enum err_code rc;

	rc = end_calls(db, x, e);
	if (rc == ERR_OK)
		rc = stages_close(db, x->job_id, x->message, x->now_ms, e);
	if (rc == ERR_OK)
		rc = end_job(db, x, e);
	if (rc != ERR_OK)
		return rc;
	if (strcmp(x->kind, KIND_GENERATION) == 0)
		return end_run(db, x, e);
	return derived_end(db, x->kind, x->subject_id, x->to, x->message,
	    x->end, x->now_ms, e);
}

/* --- finish --------------------------------------------------------------- */

struct finish {
	const struct job_ref *ref;
	const struct job_end *end;
	int64_t now_ms;
};

static enum err_code
finish_unit(struct db *db, void *arg, struct err *e)
{
	struct finish *f = arg;
	struct ending x = { .job_id = f->ref->job_id, .run_id = f->ref->run_id,
	    .from = STATE_RUNNING, .to = f->end->state,
	    .message = f->end->error_message, .end = f->end,
	    .now_ms = f->now_ms };
	struct job_subject subject = { NULL, NULL };
	enum err_code rc;
	int i;

	rc = job_check_fence(db, f->ref, e);
	if (rc == ERR_OK)
		rc = job_read_subject(db, f->ref->job_id, &subject, e);
	x.kind = subject.kind;
	x.subject_id = subject.id;
	for (i = 0; i < f->end->n_updates && rc == ERR_OK; i++)
		rc = stage_write(db, f->ref, &f->end->updates[i], f->now_ms, e);
	if (rc == ERR_OK)
		rc = end_all(db, &x, e);
	if (rc == ERR_OK)
		rc = event_append(db, f->ref->run_id, f->end->event_type,
		    f->end->event_data, f->now_ms, e);
	job_subject_release(&subject);
	return rc;
}

enum err_code
store_finish(struct store *st, const struct job_ref *ref,
    const struct job_end *end, int64_t now_ms, struct err *e)
{
	struct finish f = { ref, end, now_ms };

	assert(end->state == STATE_COMPLETED || end->state == STATE_FAILED);
	return store_write(st, finish_unit, &f, e);
}

/* --- cancel --------------------------------------------------------------- */

struct cancel {
	const char *owner, *run_id, *message;
	int64_t now_ms;
	enum cancel_outcome outcome;
	enum state was;
};

/* The job of the run that has not ended; there is one as long as the run has
 * not. */
static enum err_code
find_open_job(struct db *db, const char *run_id, char out[ID_MAX],
    enum state *state, struct err *e)
{
	static const char sql[] =
	    "SELECT id, state FROM jobs"
	    " WHERE run_id = ?1 AND kind = 'generation'"
	    " AND state IN ('PENDING', 'RUNNING')";
	struct db_rows *r = NULL;
	enum err_code rc;
	bool found;

	rc = db_first(db, sql, DB_ARGS(db_s(run_id)), &r, &found, e);
	if (rc == ERR_OK && !found)
		rc = err_set(e, ERR_SYSTEM, "an open run has no open job");
	if (rc != ERR_OK)
		return rc;
	copy_id(out, db_text(r, 0));
	rc = read_state(r, 1, state, e);
	db_done(r);
	return rc;
}

static enum err_code
cancel_open_run(struct db *db, const struct cancel *c, struct err *e)
{
	char job_id[ID_MAX] = "";
	struct ending x = { .job_id = job_id, .run_id = c->run_id,
	    .kind = KIND_GENERATION, .subject_id = c->run_id,
	    .to = STATE_CANCELLED, .message = c->message,
	    .now_ms = c->now_ms };
	enum err_code rc;

	rc = find_open_job(db, c->run_id, job_id, &x.from, e);
	if (rc == ERR_OK)
		rc = end_all(db, &x, e);
	if (rc == ERR_OK)
		rc = event_append_error(db, c->run_id, "cancelled", c->message,
		    c->now_ms, e);
	return rc;
}

static enum err_code
cancel_unit(struct db *db, void *arg, struct err *e)
{
	struct run_brief b = RUN_BRIEF_NONE;
	struct cancel *c = arg;
	enum err_code rc;

	rc = run_read_brief(db, c->owner, c->run_id, &b, e);
	if (rc != ERR_OK)
		goto out;
	c->was = b.status;
	if (state_is_terminal(b.status)) {
		c->outcome = CANCEL_WAS_TERMINAL;
	} else {
		c->outcome = CANCEL_DONE;
		rc = cancel_open_run(db, c, e);
	}
out:
	run_brief_release(&b);
	return rc;
}

enum err_code
store_cancel_run(struct store *st, const char *owner, const char *run_id,
    const char *message, int64_t now_ms, enum cancel_outcome *outcome,
    enum state *was, struct err *e)
{
	struct cancel c = { .owner = owner, .run_id = run_id,
	    .message = message, .now_ms = now_ms };
	enum err_code rc;

	rc = store_write(st, cancel_unit, &c, e);
	if (rc == ERR_OK) {
		*outcome = c.outcome;
		*was = c.was;
	}
	return rc;
}

/* --- cancelling what is not a run ----------------------------------------- */

struct derived_cancel {
	const char *owner, *kind, *id, *message;
	int64_t now_ms;
	enum cancel_outcome outcome;
	enum state was;
	char run_id[ID_MAX];
};

/* The latest job about it; it is open as long as the row is. */
static enum err_code
read_subject_job(struct db *db, const struct derived_cancel *c,
    struct job *out, struct err *e)
{
	static const char sql[] =
	    "SELECT " JOB_COLUMNS " FROM jobs WHERE subject_id = ?1"
	    " AND kind = ?2 AND (?3 IS NULL OR owner = ?3)"
	    " ORDER BY created_ms DESC LIMIT 1";
	struct db_rows *r = NULL;
	enum err_code rc;
	bool found;

	rc = db_first(db, sql, DB_ARGS(db_s(c->id), db_s(c->kind),
	    db_s(c->owner)), &r, &found, e);
	if (rc == ERR_OK && !found)
		rc = err_set(e, ERR_NOT_FOUND, "there is no such %s", c->kind);
	if (rc == ERR_OK)
		rc = job_from_row(r, out, e);
	db_done(r);
	return rc;
}

static enum err_code
cancel_derived_unit(struct db *db, void *arg, struct err *e)
{
	struct derived_cancel *c = arg;
	struct ending x = { .kind = c->kind, .subject_id = c->id,
	    .to = STATE_CANCELLED, .message = c->message,
	    .now_ms = c->now_ms };
	struct job job;
	enum err_code rc;

	memset(&job, 0, sizeof(job));
	rc = read_subject_job(db, c, &job, e);
	if (rc != ERR_OK)
		goto out;
	copy_id(c->run_id, job.run_id);
	c->was = job.state;
	c->outcome = CANCEL_WAS_TERMINAL;
	if (state_is_terminal(job.state))
		goto out;
	c->outcome = CANCEL_DONE;
	x.job_id = job.id;
	x.run_id = job.run_id;
	x.from = job.state;
	rc = end_all(db, &x, e);
	if (rc == ERR_OK)
		rc = derived_tell_end(db, &job, "cancelled", STATE_CANCELLED,
		    c->message, c->now_ms, e);
out:
	job_release(&job);
	return rc;
}

enum err_code
store_cancel_derived(struct store *st, const char *owner, const char *kind,
    const char *id, const char *message, int64_t now_ms,
    enum cancel_outcome *outcome, enum state *was, char run_id[ID_MAX],
    struct err *e)
{
	struct derived_cancel c = { .owner = owner, .kind = kind, .id = id,
	    .message = message, .now_ms = now_ms };
	enum err_code rc;

	rc = store_write(st, cancel_derived_unit, &c, e);
	if (rc == ERR_OK) {
		*outcome = c.outcome;
		*was = c.was;
		copy_id(run_id, c.run_id);
	}
	return rc;
}

/* --- leases that are over ------------------------------------------------- */

struct expiry {
	const char *job_id;
	const char *holder_id;	/* NULL: all */
	bool by_time;		/* only what is over; else all of the holder */
	int64_t now_ms;
	int max_attempts;
	const char *message;
	struct expired out;
};

/* It may have been renewed or have ended since the list was read. */
static enum err_code
read_expired(struct db *db, const struct expiry *x, struct job *out,
    bool *found, struct err *e)
{
	static const char sql[] =
	    "SELECT " JOB_COLUMNS " FROM jobs"
	    " WHERE id = ?1 AND state = 'RUNNING'"
	    " AND (?2 IS NULL OR lease_holder = ?2)"
	    " AND (?4 = 0 OR lease_until_ms <= ?3)";
	struct db_rows *r = NULL;
	enum err_code rc;

	rc = db_first(db, sql, DB_ARGS(db_s(x->job_id), db_s(x->holder_id),
	    db_i(x->now_ms), db_i(x->by_time)), &r, found, e);
	if (rc == ERR_OK && *found)
		rc = job_from_row(r, out, e);
	db_done(r);
	return rc;
}

static enum err_code
requeue(struct db *db, const struct job *j, int64_t now_ms, struct err *e)
{
	static const char sql[] =
	    "UPDATE jobs SET state = 'PENDING', fence = fence + 1, due_ms = ?2,"
	    " lease_holder = NULL, lease_host = NULL, lease_boot_id = NULL,"
	    " lease_life_file = NULL, lease_until_ms = 0"
	    " WHERE id = ?1 AND state = 'RUNNING'";
	enum err_code rc;

	rc = db_run(db, sql, DB_ARGS(db_s(j->id), db_i(now_ms)), NULL, e);
	if (rc == ERR_OK)
		rc = job_count_move(db, STATE_RUNNING, STATE_PENDING, e);
	return rc;
}

static enum err_code
give_up(struct db *db, const struct job *j, const struct expiry *x,
    struct err *e)
{
	struct ending end = { .job_id = j->id, .run_id = j->run_id,
	    .kind = j->kind, .subject_id = j->subject_id,
	    .from = STATE_RUNNING, .to = STATE_FAILED, .message = x->message,
	    .now_ms = x->now_ms };
	enum err_code rc;

	rc = end_all(db, &end, e);
	if (rc != ERR_OK)
		return rc;
	if (strcmp(j->kind, KIND_GENERATION) == 0)
		return event_append_error(db, j->run_id, "interrupted",
		    x->message, x->now_ms, e);
	return derived_tell_end(db, j, "interrupted", STATE_FAILED,
	    x->message, x->now_ms, e);
}

static enum err_code
expire_unit(struct db *db, void *arg, struct err *e)
{
	struct expiry *x = arg;
	struct job job;
	enum err_code rc;
	bool found = false;

	memset(&x->out, 0, sizeof(x->out));
	memset(&job, 0, sizeof(job));
	rc = read_expired(db, x, &job, &found, e);
	if (rc != ERR_OK || !found)
		goto out;
	if (job.attempts >= x->max_attempts) {
		rc = give_up(db, &job, x, e);
		x->out.failed = 1;
	} else {
		rc = requeue(db, &job, x->now_ms, e);
		x->out.requeued = 1;
	}
out:
	job_release(&job);
	return rc;
}

static enum err_code
list_expired(struct store *st, const char *holder_id, int64_t now_ms,
    struct row_list *ids, struct err *e)
{
	static const struct reading by_holder = {
		"SELECT id FROM jobs"
		" WHERE state = 'RUNNING' AND lease_holder = ?1",
		text_from_row, sizeof(char *)
	};
	static const struct reading by_time = {
		"SELECT id FROM jobs"
		" WHERE state = 'RUNNING' AND lease_until_ms <= ?1",
		text_from_row, sizeof(char *)
	};

	if (holder_id != NULL)
		return store_read_rows(st, &by_holder, DB_ARGS(db_s(holder_id)),
		    ids, e);
	return store_read_rows(st, &by_time, DB_ARGS(db_i(now_ms)), ids, e);
}

/*
 * A unit for each job, so that a row which is damaged keeps nobody else from
 * being freed, and a sweep that finds nothing writes nothing.  The first error
 * is returned, after the others have been tried; no turn or no space ends it.
 */
static enum err_code
expire(struct store *st, struct expiry *x, struct expired *out, struct err *e)
{
	struct expired sum = { 0, 0 };
	struct row_list ids = { NULL, 0 };
	struct err err = ERR_INIT;
	enum err_code rc, one;
	char **list;
	int i;

	rc = list_expired(st, x->holder_id, x->now_ms, &ids, e);
	list = ids.rows;
	for (i = 0; i < ids.n; i++) {
		x->job_id = list[i];
		one = rc == ERR_BUSY || rc == ERR_FULL ? rc :
		    store_write(st, expire_unit, x, &err);
		if (one == ERR_OK) {
			sum.requeued += x->out.requeued;
			sum.failed += x->out.failed;
		} else if (rc == ERR_OK) {
			rc = one;
			if (e != NULL)
				*e = err;
		}
		free(list[i]);
	}
	free(list);
	if (rc == ERR_OK)
		*out = sum;
	return rc;
}

enum err_code
store_expire_leases(struct store *st, const char *holder_id, int64_t now_ms,
    int max_attempts, const char *failed_message, struct expired *out,
    struct err *e)
{
	struct expiry x = { .holder_id = holder_id,
	    .by_time = holder_id == NULL, .now_ms = now_ms,
	    .max_attempts = max_attempts, .message = failed_message };

	return expire(st, &x, out, e);
}

enum err_code
store_expire_overdue(struct store *st, const char *holder_id, int64_t now_ms,
    int max_attempts, const char *failed_message, struct expired *out,
    struct err *e)
{
	struct expiry x = { .holder_id = holder_id, .by_time = true,
	    .now_ms = now_ms, .max_attempts = max_attempts,
	    .message = failed_message };

	return expire(st, &x, out, e);
}
