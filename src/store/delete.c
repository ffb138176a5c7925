/*
 * Deleting a run that has ended.
 *
 * One unit takes away everything that was asked, answered or told: events,
 * stages, checkpoints, refinements, captions, kept answers, the texts of the run
 * and those of its ledger rows.  What stays is what money is counted by: the
 * figures of the ledger, the jobs they belong to, and the run itself as a row
 * without content that no query finds any more (deleted_ms).
 *
 * A new table or column with content of runs gets its line in forget[]; the
 * test that looks for a word in the whole database fails when it is missing.
 *
 *   there --store_delete_run--> deleted --store_files_removed--> files_removed
 *
 * Between the two the run's files may still be on the disk; the row is how they
 * are found again after a crash.  An answer that is paid for and comes after
 * the deletion is booked without its content (ledger.c).
 */
#include "internal.h"

#include "deletion.h"
#include "xalloc.h"

#define MAX_DELETED_PAGE 100

struct deletion {
	const char *owner, *run_id;
	int64_t now_ms;
	enum delete_outcome outcome;
};

#define JOBS_OF_RUN	"(SELECT id FROM jobs WHERE run_id = ?1)"

/* Each takes the id of the run. */
static const char forget_events[] = "DELETE FROM events WHERE run_id = ?1";
static const char forget_stages[] =
    "DELETE FROM stages WHERE job_id IN " JOBS_OF_RUN;
static const char forget_outputs[] =
    "DELETE FROM lane_outputs WHERE job_id IN " JOBS_OF_RUN;
static const char forget_refinements[] =
    "DELETE FROM refinements WHERE run_id = ?1";
static const char forget_captions[] =
    "DELETE FROM captions WHERE run_id = ?1";
static const char forget_answers[] =
    "DELETE FROM idempotency WHERE run_id = ?1";
static const char forget_calls[] =
    "UPDATE model_calls SET answer = NULL, blobs = NULL, error = NULL"
    " WHERE job_id IN " JOBS_OF_RUN;

static const char *const forget[] = {
	forget_events, forget_stages, forget_outputs, forget_refinements,
	forget_captions, forget_answers, forget_calls,
};

static enum err_code
forget_run(struct db *db, const char *run_id, int64_t now_ms, struct err *e)
{
	static const char sql[] =
	    "UPDATE runs SET deleted_ms = ?2, version = version + 1,"
	    " last_seq = 0, platform_name = NULL, task_type = NULL,"
	    " preset_id = NULL, preset_type = NULL, output_directory = NULL,"
	    " metadata_path = NULL, error_message = NULL, prompt = NULL,"
	    " warnings = NULL, brand_kit = NULL, form = NULL, inputs = NULL"
	    " WHERE id = ?1";

	return db_run(db, sql, DB_ARGS(db_s(run_id), db_i(now_ms)), NULL, e);
}

static enum err_code
has_open_job(struct db *db, const char *run_id, bool *out, struct err *e)
{
	static const char sql[] =
	    "SELECT 1 FROM jobs WHERE run_id = ?1"
	    " AND state IN ('PENDING', 'RUNNING') LIMIT 1";
	struct db_rows *r = NULL;
	enum err_code rc;

	rc = db_first(db, sql, DB_ARGS(db_s(run_id)), &r, out, e);
	db_done(r);
	return rc;
}

static enum err_code
delete_unit(struct db *db, void *arg, struct err *e)
{
	struct run_brief b = RUN_BRIEF_NONE;
	struct deletion *d = arg;
	bool open = false;
	enum err_code rc;
	size_t i;

	rc = run_read_brief(db, d->owner, d->run_id, &b, e);
	if (rc == ERR_OK)
		rc = has_open_job(db, d->run_id, &open, e);
	if (rc != ERR_OK)
		goto out;
	if (open || !state_is_terminal(b.status)) {
		d->outcome = DELETE_IS_OPEN;
		goto out;
	}
	d->outcome = DELETE_DONE;
	for (i = 0; i < ARRAY_LEN(forget) && rc == ERR_OK; i++)
		rc = db_run(db, forget[i], DB_ARGS(db_s(d->run_id)), NULL, e);
	if (rc == ERR_OK)
		rc = forget_run(db, d->run_id, d->now_ms, e);
	if (rc == ERR_OK)
		rc = run_count_move(db, &b, b.status, STATE__COUNT, e);
out:
	run_brief_release(&b);
	return rc;
}

enum err_code
store_delete_run(struct store *st, const char *owner, const char *run_id,
    int64_t now_ms, enum delete_outcome *outcome, struct err *e)
{
	struct deletion d = { .owner = owner, .run_id = run_id,
	    .now_ms = now_ms };
	enum err_code rc;

	rc = store_write(st, delete_unit, &d, e);
	if (rc == ERR_OK)
		*outcome = d.outcome;
	return rc;
}

/* --- the files ------------------------------------------------------------ */

static enum err_code
deleted_from_row(struct db_rows *r, void *slot, struct err *e)
{
	struct deleted_run *d = slot;

	(void)e;
	copy_id(d->id, db_text(r, 0));
	d->deleted_ms = db_int(r, 1);
	return ERR_OK;
}

enum err_code
store_list_deleted(struct store *st, const struct deleted_run *after, int max,
    struct deleted_list *out, struct err *e)
{
	static const struct reading how = {
		"SELECT id, deleted_ms FROM runs"
		" WHERE deleted_ms > 0 AND files_removed = 0"
		" AND (deleted_ms, id) > (?1, ?2)"
		" ORDER BY deleted_ms, id LIMIT ?3",
		deleted_from_row, sizeof(struct deleted_run)
	};
	struct row_list rows = { NULL, 0 };
	enum err_code rc;

	if (max < 1 || max > MAX_DELETED_PAGE)
		max = MAX_DELETED_PAGE;
	rc = store_read_rows(st, &how, DB_ARGS(db_i(after->deleted_ms),
	    db_s(after->id), db_i(max)), &rows, e);
	if (rc == ERR_OK)
		*out = (struct deleted_list){ rows.rows, rows.n };
	else
		free(rows.rows);
	return rc;
}

void
deleted_list_release(struct deleted_list *l)
{
	free(l->rows);
	memset(l, 0, sizeof(*l));
}

static enum err_code
removed_unit(struct db *db, void *arg, struct err *e)
{
	static const char sql[] =
	    "UPDATE runs SET files_removed = 1"
	    " WHERE id = ?1 AND deleted_ms > 0";

	return db_run(db, sql, DB_ARGS(db_s(arg)), NULL, e);
}

enum err_code
store_files_removed(struct store *st, const char *run_id, struct err *e)
{
	char id[ID_MAX];

	copy_id(id, run_id);
	return store_write(st, removed_unit, id, e);
}
