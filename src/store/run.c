/*
 * Runs: reading them, and the counters that spare lists the counting.
 *
 * run_counts(owner, status, mode, platform) is changed in the transaction that
 * changes the status of a run or deletes it, by run_count_move().
 *
 * A deleted run is a row without content (delete.c): no query here finds it.
 */
#include "internal.h"

#include "xalloc.h"

enum {
	COL_ID, COL_OWNER, COL_STATUS, COL_MODE, COL_PLATFORM, COL_TASK,
	COL_PRESET_ID, COL_PRESET_TYPE, COL_CREATED, COL_STARTED,
	COL_COMPLETED, COL_DURATION, COL_COST, COL_HAS_COST, COL_SIMULATED,
	COL_LAST_SEQ, COL_VERSION, COL_DIRECTORY, COL_METADATA, COL_ERROR,
	COL_PROMPT, COL_WARNINGS,
	COL_BRAND_KIT, COL_FORM, COL_INPUTS	/* of a whole run only */
};

/* --- for units ------------------------------------------------------------ */

static enum err_code
count_one_less(struct db *db, const struct run_brief *b, enum state s,
    struct err *e)
{
	static const char sql[] =
	    "UPDATE run_counts SET n = n - 1"
	    " WHERE owner = ?1 AND status = ?2 AND mode = ?3 AND platform = ?4";
	int64_t changes = 0;
	enum err_code rc;

	rc = db_run(db, sql, DB_ARGS(db_s(b->owner), db_s(state_name(s)),
	    db_s(b->mode), db_s(b->platform)), &changes, e);
	if (rc == ERR_OK && changes != 1)
		rc = err_set(e, ERR_SYSTEM, "the run counters are damaged");
	return rc;
}

static enum err_code
count_one_more(struct db *db, const struct run_brief *b, enum state s,
    struct err *e)
{
	static const char sql[] =
	    "INSERT INTO run_counts (owner, status, mode, platform, n)"
	    " VALUES (?1, ?2, ?3, ?4, 1)"
	    " ON CONFLICT (owner, status, mode, platform)"
	    " DO UPDATE SET n = run_counts.n + 1";

	return db_run(db, sql, DB_ARGS(db_s(b->owner), db_s(state_name(s)),
	    db_s(b->mode), db_s(b->platform)), NULL, e);
}

enum err_code
run_count_move(struct db *db, const struct run_brief *b, enum state from,
    enum state to, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (from != STATE__COUNT)
		rc = count_one_less(db, b, from, e);
	if (rc == ERR_OK && to != STATE__COUNT)
		rc = count_one_more(db, b, to, e);
	return rc;
}

void
run_brief_release(struct run_brief *b)
{
	free(b->owner);
	free(b->mode);
	free(b->platform);
	memset(b, 0, sizeof(*b));
}

/* The columns of a brief, in this order. */
#define BRIEF_COLUMNS							\
	"owner, mode, COALESCE(platform_name, ''), status, started_ms"

static enum err_code
brief_from_row(struct db_rows *r, struct run_brief *out, struct err *e)
{
	out->owner = db_text_copy(r, 0);
	out->mode = db_text_copy(r, 1);
	out->platform = db_text_copy(r, 2);
	out->started_ms = db_int(r, 4);
	return read_state(r, 3, &out->status, e);
}

enum err_code
run_read_brief(struct db *db, const char *owner, const char *run_id,
    struct run_brief *out, struct err *e)
{
	static const char sql[] =
	    "SELECT " BRIEF_COLUMNS " FROM runs WHERE id = ?1"
	    " AND deleted_ms = 0 AND (?2 IS NULL OR owner = ?2)";
	struct db_rows *r = NULL;
	enum err_code rc;
	bool found;

	rc = db_first(db, sql, DB_ARGS(db_s(run_id), db_s(owner)), &r, &found,
	    e);
	if (rc == ERR_OK && !found)
		rc = err_set(e, ERR_NOT_FOUND, "there is no such run");
	if (rc == ERR_OK)
		rc = brief_from_row(r, out, e);
	db_done(r);
	return rc;
}

enum err_code
run_begin(struct db *db, const char *run_id, int64_t now_ms, struct err *e)
{
	static const char sql[] =
	    "UPDATE runs SET status = 'RUNNING', started_ms = ?2,"
	    " version = version + 1"
	    " WHERE id = ?1 AND status = 'PENDING' RETURNING " BRIEF_COLUMNS;
	struct run_brief b = RUN_BRIEF_NONE;
	struct db_rows *r = NULL;
	enum err_code rc;
	bool found;

	rc = db_first(db, sql, DB_ARGS(db_s(run_id), db_i(now_ms)), &r, &found,
	    e);
	if (rc == ERR_OK && found)
		rc = brief_from_row(r, &b, e);
	rc = db_end(r, rc, e);
	if (rc == ERR_OK && found)
		rc = run_count_move(db, &b, STATE_PENDING, STATE_RUNNING, e);
	run_brief_release(&b);
	return rc;
}

enum err_code
run_touch(struct db *db, const char *run_id, struct err *e)
{
	static const char sql[] =
	    "UPDATE runs SET version = version + 1 WHERE id = ?1";

	return db_run(db, sql, DB_ARGS(db_s(run_id)), NULL, e);
}

enum err_code
run_sum(struct db *db, const char *run_id, int64_t *cost_nano, bool *simulated,
    struct err *e)
{
	static const char sql[] =
	    "SELECT COALESCE(sum(cost_nano), 0), COALESCE(max(simulated), 0)"
	    " FROM model_calls WHERE job_id IN"
	    " (SELECT id FROM jobs WHERE run_id = ?1 AND kind = 'generation')";
	struct db_rows *r = NULL;
	enum err_code rc;
	bool found;

	rc = db_first(db, sql, DB_ARGS(db_s(run_id)), &r, &found, e);
	if (rc == ERR_OK) {
		*cost_nano = db_int(r, 0);
		*simulated = db_int(r, 1) != 0;
	}
	db_done(r);
	return rc;
}

/* --- reading -------------------------------------------------------------- */

enum err_code
run_from_row(struct db_rows *r, void *slot, struct err *e)
{
	struct run *run = slot;
	enum err_code rc;

	copy_id(run->id, db_text(r, COL_ID));
	run->owner = db_text_copy(r, COL_OWNER);
	run->mode = db_text_copy(r, COL_MODE);
	run->platform_name = db_text_copy(r, COL_PLATFORM);
	run->task_type = db_text_copy(r, COL_TASK);
	run->preset_id = db_text_copy(r, COL_PRESET_ID);
	run->preset_type = db_text_copy(r, COL_PRESET_TYPE);
	run->created_ms = db_int(r, COL_CREATED);
	run->started_ms = db_int(r, COL_STARTED);
	run->completed_ms = db_int(r, COL_COMPLETED);
	run->duration_ms = db_int(r, COL_DURATION);
	run->cost_nano = db_int(r, COL_COST);
	run->has_cost = db_int(r, COL_HAS_COST) != 0;
	run->simulated = db_int(r, COL_SIMULATED) != 0;
	run->last_seq = db_int(r, COL_LAST_SEQ);
	run->version = db_int(r, COL_VERSION);
	run->output_directory = db_text_copy(r, COL_DIRECTORY);
	run->metadata_path = db_text_copy(r, COL_METADATA);
	run->error_message = db_text_copy(r, COL_ERROR);
	run->prompt = db_text_copy(r, COL_PROMPT);
	run->warnings = db_text_copy(r, COL_WARNINGS);
	rc = read_state(r, COL_STATUS, &run->status, e);
	return rc == ERR_OK ? rc : err_wrap(e, "run %s", run->id);
}

void
run_release(struct run *r)
{
	free(r->owner);
	free(r->mode);
	free(r->platform_name);
	free(r->task_type);
	free(r->prompt);
	free(r->preset_id);
	free(r->preset_type);
	free(r->form);
	free(r->inputs);
	free(r->brand_kit);
	free(r->warnings);
	free(r->error_message);
	free(r->output_directory);
	free(r->metadata_path);
	memset(r, 0, sizeof(*r));
}

static enum err_code
read_whole(struct db *db, const char *owner, const char *run_id,
    struct run *out, struct err *e)
{
	static const char sql[] = "SELECT " RUN_HEAD ", brand_kit, form, inputs"
	    " FROM runs WHERE id = ?1 AND deleted_ms = 0"
	    " AND (?2 IS NULL OR owner = ?2)";
	struct db_rows *r = NULL;
	enum err_code rc;
	bool found;

	rc = db_first(db, sql, DB_ARGS(db_s(run_id), db_s(owner)), &r, &found,
	    e);
	if (rc == ERR_OK && !found)
		rc = err_set(e, ERR_NOT_FOUND, "there is no such run");
	if (rc != ERR_OK)
		return rc;
	rc = run_from_row(r, out, e);
	out->brand_kit = db_text_copy(r, COL_BRAND_KIT);
	out->form = db_text_copy(r, COL_FORM);
	out->inputs = db_text_copy(r, COL_INPUTS);
	db_done(r);
	return rc;
}

enum err_code
store_get_run(struct store *st, const char *owner, const char *run_id,
    struct run *out, struct err *e)
{
	struct db *db = NULL;
	struct run run;
	enum err_code rc;

	memset(&run, 0, sizeof(run));
	rc = store_borrow(st, &db, e);
	if (rc == ERR_OK)
		rc = read_whole(db, owner, run_id, &run, e);
	store_return(st, db);
	if (rc == ERR_OK)
		*out = run;
	else
		run_release(&run);
	return rc;
}

/* --- figures -------------------------------------------------------------- */

static enum err_code
read_counts(struct db *db, int64_t out[STATE__COUNT], struct err *e)
{
	static const char sql[] =
	    "SELECT status, sum(n) FROM run_counts GROUP BY status";
	enum state status = STATE_PENDING;
	struct db_rows *r = NULL;
	enum err_code rc;
	bool more = false;

	rc = db_query(db, sql, DB_NONE, &r, e);
	while (rc == ERR_OK) {
		rc = db_next(r, &more, e);
		if (rc == ERR_OK && more)
			rc = read_state(r, 0, &status, e);
		if (rc != ERR_OK || !more)
			break;
		out[status] = db_int(r, 1);
	}
	db_done(r);
	return rc;
}

enum err_code
store_count_runs(struct store *st, int64_t out[STATE__COUNT], struct err *e)
{
	struct db *db = NULL;
	enum err_code rc;

	memset(out, 0, STATE__COUNT * sizeof(*out));
	rc = store_borrow(st, &db, e);
	if (rc == ERR_OK)
		rc = read_counts(db, out, e);
	store_return(st, db);
	return rc;
}
