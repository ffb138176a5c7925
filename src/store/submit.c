/*
 * Accepting a run: everything the answer to a POST promises, as one unit.
 *
 * Run, planned stages, job, counters and the idempotency key are written
 * together, so a repeated POST finds either nothing or a run that will be
 * executed.  The key goes first: whoever inserts it owns the submission, and
 * two requests with the same key are put in order by that one insert.
 */
#include "internal.h"

#include <assert.h>

#include "derived.h"
#include "xalloc.h"

struct submission {
	const struct spend_limits *limits;
	const struct new_run *nr;
	const struct idempotency *idem;	/* NULL: none */
	struct kept kept;
};

void
kept_release(struct kept *k)
{
	free(k->body);
	memset(k, 0, sizeof(*k));
}

/* The key exists: replay or mismatch. ERR_NOT_FOUND when it does not. */
static enum err_code
find_key(struct db *db, const struct idempotency *idem, struct kept *out,
    struct err *e)
{
	static const char sql[] =
	    "SELECT fingerprint, http_status, body FROM idempotency"
	    " WHERE owner = ?1 AND route = ?2 AND key = ?3";
	struct db_rows *r = NULL;
	enum err_code rc;
	bool found;

	rc = db_first(db, sql, DB_ARGS(db_s(idem->owner), db_s(idem->route),
	    db_s(idem->key)), &r, &found, e);
	if (rc == ERR_OK && !found)
		rc = err_set(e, ERR_NOT_FOUND, "the idempotency key is new");
	if (rc != ERR_OK)
		return rc;
	if (strcmp(db_text(r, 0), idem->fingerprint) == 0) {
		out->outcome = SUBMIT_REPLAY;
		out->http_status = (int)db_int(r, 1);
		out->body = db_text_copy(r, 2);
	} else {
		out->outcome = SUBMIT_MISMATCH;
	}
	db_done(r);
	return ERR_OK;
}

static enum err_code
insert_key(struct db *db, const struct idempotency *idem,
    const char *run_id, int64_t now_ms, bool *is_new, struct err *e)
{
	static const char sql[] =
	    "INSERT INTO idempotency"
	    " (owner, route, key, fingerprint, http_status, created_ms, body,"
	    " run_id)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
	    " ON CONFLICT (owner, route, key) DO NOTHING";
	int64_t changes = 0;
	enum err_code rc;

	rc = db_run(db, sql, DB_ARGS(db_s(idem->owner), db_s(idem->route),
	    db_s(idem->key), db_s(idem->fingerprint), db_i(idem->http_status),
	    db_i(now_ms), db_s(idem->body), db_s(run_id)), &changes, e);
	*is_new = changes == 1;
	return rc;
}

enum err_code
key_take(struct db *db, const struct idempotency *idem, const char *run_id,
    int64_t now_ms, bool *is_new, struct kept *out, struct err *e)
{
	enum err_code rc;

	kept_release(out);
	out->outcome = SUBMIT_NEW;
	*is_new = true;
	if (idem == NULL)
		return ERR_OK;
	rc = insert_key(db, idem, run_id, now_ms, is_new, e);
	if (rc == ERR_OK && !*is_new)
		rc = find_key(db, idem, out, e);
	return rc;
}

static enum err_code
insert_run(struct db *db, const struct run *run, struct err *e)
{
	static const char sql[] =
	    "INSERT INTO runs (id, owner, status, mode, platform_name,"
	    " task_type, preset_id, preset_type, created_ms, prompt, brand_kit,"
	    " form, inputs)"
	    " VALUES (?1, ?2, 'PENDING', ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,"
	    " ?12)";

	return db_run(db, sql, DB_ARGS(db_s(run->id), db_s(run->owner),
	    db_s(run->mode), db_s(run->platform_name), db_s(run->task_type),
	    db_s(run->preset_id), db_s(run->preset_type),
	    db_i(run->created_ms), db_s(run->prompt), db_s(run->brand_kit),
	    db_s(run->form), db_s(run->inputs)), NULL, e);
}

static enum err_code
count_run(struct db *db, const struct run *run, struct err *e)
{
	static char none[] = "";
	struct run_brief b = { run->owner, run->mode,
	    run->platform_name != NULL ? run->platform_name : none,
	    STATE_PENDING, 0 };

	return run_count_move(db, &b, STATE__COUNT, STATE_PENDING, e);
}

static enum err_code
submit_unit(struct db *db, void *arg, struct err *e)
{
	struct submission *s = arg;
	const struct new_run *nr = s->nr;
	const struct job_plan plan = { nr->job_id, nr->run->id, nr->run->id,
	    KIND_GENERATION, nr->run->owner, nr->stages, nr->n_stages,
	    nr->priority, nr->run->created_ms, nr->deadline_after_ms,
	    nr->budget_nano, nr->estimate_nano };
	enum err_code rc;
	bool is_new = true;

	rc = key_take(db, s->idem, nr->run->id, nr->run->created_ms, &is_new,
	    &s->kept, e);
	if (rc != ERR_OK || !is_new)
		return rc;
	rc = budget_check_job(db, s->limits, &plan, nr->refused, e);
	if (rc == ERR_OK)
		rc = insert_run(db, nr->run, e);
	if (rc == ERR_OK)
		rc = job_insert(db, &plan, e);
	if (rc == ERR_OK)
		rc = count_run(db, nr->run, e);
	return rc;
}

void
kept_give(struct kept *k, enum submit_outcome *outcome, int *replay_status,
    char **replay_body)
{
	*outcome = k->outcome;
	if (k->outcome != SUBMIT_REPLAY)
		return;
	*replay_status = k->http_status;
	*replay_body = k->body;
	k->body = NULL;		/* theirs now */
}

enum err_code
store_submit_run(struct store *st, const struct new_run *nr,
    const struct idempotency *idem, enum submit_outcome *outcome,
    int *replay_status, char **replay_body, struct err *e)
{
	struct submission s = { .limits = store_limits(st), .nr = nr,
	    .idem = idem };
	enum err_code rc;

	assert(strlen(nr->run->id) < ID_MAX && strlen(nr->job_id) < ID_MAX);
	rc = store_write(st, submit_unit, &s, e);
	if (rc == ERR_OK)
		kept_give(&s.kept, outcome, replay_status, replay_body);
	kept_release(&s.kept);
	return rc;
}

enum err_code
store_find_idempotency(struct store *st, const struct idempotency *idem,
    enum submit_outcome *outcome, int *replay_status, char **replay_body,
    struct err *e)
{
	struct kept kept = { SUBMIT_NEW, 0, NULL };
	struct db *db = NULL;
	enum err_code rc;

	rc = store_borrow(st, &db, e);
	if (rc == ERR_OK)
		rc = find_key(db, idem, &kept, e);
	store_return(st, db);
	if (rc == ERR_OK)
		kept_give(&kept, outcome, replay_status, replay_body);
	kept_release(&kept);
	return rc;
}
