/*
 * Runs: reading them, and the counters that spare lists the counting.
 *
 * run_counts(owner, status, mode) is changed in the transaction that changes
 * the status of a run, by the functions here; the page of a list and its total
 * are read in one transaction, so they belong together.
 */
#include "internal.h"

#include "xalloc.h"

#define RUN_HEAD							\
	"id, owner, status, mode, platform_name, task_type, preset_id, "	\
	"preset_type, created_ms, started_ms, completed_ms, duration_ms, " \
	"cost_nano, has_cost, simulated, last_seq, version, "		\
	"output_directory, metadata_path, error_message, prompt, warnings"

enum {
	COL_ID, COL_OWNER, COL_STATUS, COL_MODE, COL_PLATFORM, COL_TASK,
	COL_PRESET_ID, COL_PRESET_TYPE, COL_CREATED, COL_STARTED,
	COL_COMPLETED, COL_DURATION, COL_COST, COL_HAS_COST, COL_SIMULATED,
	COL_LAST_SEQ, COL_VERSION, COL_DIRECTORY, COL_METADATA, COL_ERROR,
	COL_PROMPT, COL_WARNINGS,
	COL_BRAND_KIT, COL_FORM, COL_INPUTS	/* of a whole run only */
};

/* --- for units ------------------------------------------------------------ */

enum err_code
run_count_add(struct db *db, const char *owner, enum state s, const char *mode,
    struct err *e)
{
	static const char sql[] =
	    "INSERT INTO run_counts (owner, status, mode, n)"
	    " VALUES (?1, ?2, ?3, 1)"
	    " ON CONFLICT (owner, status, mode)"
	    " DO UPDATE SET n = run_counts.n + 1";

	return db_run(db, sql, DB_ARGS(db_s(owner), db_s(state_name(s)),
	    db_s(mode)), NULL, e);
}

enum err_code
run_count_move(struct db *db, const char *owner, const char *mode,
    enum state from, enum state to, struct err *e)
{
	static const char sql[] =
	    "UPDATE run_counts SET n = n - 1"
	    " WHERE owner = ?1 AND status = ?2 AND mode = ?3";
	int64_t changes = 0;
	enum err_code rc;

	rc = db_run(db, sql, DB_ARGS(db_s(owner), db_s(state_name(from)),
	    db_s(mode)), &changes, e);
	if (rc == ERR_OK && changes != 1)
		rc = err_set(e, ERR_SYSTEM, "the run counters are damaged");
	if (rc == ERR_OK)
		rc = run_count_add(db, owner, to, mode, e);
	return rc;
}

enum err_code
run_begin(struct db *db, const char *run_id, int64_t now_ms, struct err *e)
{
	static const char sql[] =
	    "UPDATE runs SET status = 'RUNNING', started_ms = ?2,"
	    " version = version + 1"
	    " WHERE id = ?1 AND status = 'PENDING' RETURNING owner, mode";
	struct db_rows *r = NULL;
	char *owner = NULL, *mode = NULL;
	enum err_code rc;
	bool found;

	rc = db_first(db, sql, DB_ARGS(db_s(run_id), db_i(now_ms)), &r, &found,
	    e);
	if (rc == ERR_OK && found) {
		owner = db_text_copy(r, 0);
		mode = db_text_copy(r, 1);
	}
	rc = db_end(r, rc, e);
	if (rc == ERR_OK && found)
		rc = run_count_move(db, owner, mode, STATE_PENDING,
		    STATE_RUNNING, e);
	free(owner);
	free(mode);
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

static enum err_code
run_from_row(struct db_rows *r, void *slot, struct err *e)
{
	struct run *run = slot;

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
	return read_state(r, COL_STATUS, &run->status, e);
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
	    " FROM runs WHERE id = ?1 AND (?2 IS NULL OR owner = ?2)";
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

/* --- lists ---------------------------------------------------------------- */

/* One text per index; ?1 owner, ?2 status, ?3 mode, ?4 size, ?5 offset.  What
 * is not asked for is NULL; the conditions that then always hold keep the
 * places of the arguments. */
#define ANY(n)	"CAST(" n " AS TEXT) IS NULL"
#define LIST_SQL(condition)						\
	"SELECT " RUN_HEAD " FROM runs WHERE " condition		\
	" AND (?3 IS NULL OR mode = ?3)"				\
	" ORDER BY created_ms DESC, id DESC LIMIT ?4 OFFSET ?5"

static const char *
list_sql(const struct run_query *q)
{
	static const char all[] = LIST_SQL(ANY("?1") " AND " ANY("?2"));
	static const char of_status[] = LIST_SQL(ANY("?1") " AND status = ?2");
	static const char of_owner[] = LIST_SQL("owner = ?1 AND " ANY("?2"));
	static const char of_both[] = LIST_SQL("owner = ?1 AND status = ?2");

	if (q->owner == NULL)
		return q->by_status ? of_status : all;
	return q->by_status ? of_both : of_owner;
}

static enum err_code
read_total(struct db *db, const struct run_query *q, int64_t *out,
    struct err *e)
{
	static const char sql_all[] =
	    "SELECT COALESCE(sum(n), 0) FROM run_counts WHERE " ANY("?1")
	    " AND (?2 IS NULL OR status = ?2) AND (?3 IS NULL OR mode = ?3)";
	static const char sql_owner[] =
	    "SELECT COALESCE(sum(n), 0) FROM run_counts WHERE owner = ?1"
	    " AND (?2 IS NULL OR status = ?2) AND (?3 IS NULL OR mode = ?3)";
	struct db_rows *r = NULL;
	enum err_code rc;
	bool found;

	rc = db_first(db, q->owner == NULL ? sql_all : sql_owner,
	    DB_ARGS(db_s(q->owner),
	    db_s(q->by_status ? state_name(q->status) : NULL), db_s(q->mode)),
	    &r, &found, e);
	if (rc == ERR_OK)
		*out = db_int(r, 0);
	db_done(r);
	return rc;
}

static enum err_code
read_page(struct db *db, const struct run_query *q, struct row_list *rows,
    int64_t *total, struct err *e)
{
	struct reading how = { list_sql(q), run_from_row, sizeof(struct run) };
	int64_t offset = ((int64_t)q->page - 1) * q->page_size;
	enum err_code rc;

	rc = db_begin_read(db, e);
	if (rc == ERR_OK)
		rc = read_total(db, q, total, e);
	if (rc != ERR_OK || offset >= *total)
		return rc;
	return rows_read(db, &how, DB_ARGS(db_s(q->owner),
	    db_s(q->by_status ? state_name(q->status) : NULL), db_s(q->mode),
	    db_i(q->page_size), db_i(offset)), rows, e);
}

enum err_code
store_list_runs(struct store *st, const struct run_query *q,
    struct run_page *out, struct err *e)
{
	struct row_list rows = { NULL, 0 };
	struct run_page page = { NULL, 0, 0 };
	struct db *db = NULL;
	enum err_code rc;

	if (q->page < 1 || q->page_size < 1 || q->page_size > MAX_LIST_PAGE)
		return err_set(e, ERR_INVALID, "page must be at least 1 and "
		    "page_size 1 to %d", MAX_LIST_PAGE);
	rc = store_borrow(st, &db, e);
	if (rc == ERR_OK)
		rc = read_page(db, q, &rows, &page.total, e);
	store_return(st, db);
	page.runs = rows.rows;
	page.n = rows.n;
	if (rc == ERR_OK)
		*out = page;
	else
		run_page_release(&page);
	return rc;
}

void
run_page_release(struct run_page *p)
{
	int i;

	for (i = 0; i < p->n; i++)
		run_release(&p->runs[i]);
	free(p->runs);
	memset(p, 0, sizeof(*p));
}
