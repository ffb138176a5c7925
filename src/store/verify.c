/*
 * Looking whether the database is what it should be, and making again what can
 * be made from the rest.
 *
 * The engine looks after pages and references; the rules below look after what
 * the rows say together.  The code of this room keeps every one of them in each
 * transaction, so a rule that is broken means a damaged file, a change by hand or
 * a fault of ours.  Each rule is one statement and so sees one state of the
 * database; between two rules others may write.
 *
 * What store_repair() makes again is kept beside the rows for speed only: numbers
 * and sums.  Whatever people were told or paid for is never touched; there the
 * rule's advice is for a person.
 *
 * To add a rule: a row in rules[], whose statement gives an "id" for each thing
 * that breaks it; with REPAIRED, the statements that mend it in repairs[].
 */
#include "internal.h"

#include "upkeep.h"
#include "xalloc.h"

#define TERMINAL "('COMPLETED', 'FAILED', 'CANCELLED')"
#define SHOWN "5"		/* VERIFY_SHOWN, for SQL */
#define RESTORE "Restore the run from a backup, or look into the log of the time."
#define REPAIRED "\"churnsctl verify --repair\" counts it again from the rows."

_Static_assert(VERIFY_SHOWN == 5, "SHOWN says another number");

/* Examples, and how many there are. */
#define BREAKING(sql)							\
	"SELECT id, count(*) OVER () FROM (" sql ") AS broken LIMIT " SHOWN

#define RUN_NUMBERS							\
	"SELECT owner, status, mode, COALESCE(platform_name, ''), count(*)" \
	" FROM runs WHERE deleted_ms = 0 GROUP BY 1, 2, 3, 4"
#define DAY_COLUMNS							\
	"day, owner, provider, model, simulated"
#define DAY_SUMS							\
	"sum(calls), sum(answered), sum(input_tokens),"			\
	" sum(output_tokens), sum(images), sum(cost_nano),"		\
	" sum(reserved_nano), sum(unknown_nano)"
#define DAY_FIGURES							\
	"calls, answered, input_tokens, output_tokens, images,"		\
	" cost_nano, reserved_nano, unknown_nano"

struct rule {
	const char *name;	/* for programs: never rename */
	const char *what;	/* breaks it */
	const char *todo;
	const char *sql;
};

static const struct rule rules[] = {
	{ "run-has-job", "A run has no job that executes it", RESTORE,
	  BREAKING("SELECT id FROM runs WHERE id NOT IN"
	  " (SELECT run_id FROM jobs WHERE kind = 'generation')") },
	{ "run-and-job-agree", "A run and its job tell different states",
	  RESTORE,
	  BREAKING("SELECT r.id FROM runs r JOIN jobs j ON j.run_id = r.id"
	  " AND j.kind = 'generation' WHERE NOT (r.status = j.state"
	  " OR (r.status = 'RUNNING' AND j.state = 'PENDING'))") },
	{ "derived-and-job-agree",
	  "A refinement or caption and its job tell different states", RESTORE,
	  BREAKING("SELECT d.id FROM (SELECT id, status FROM refinements"
	  "  UNION ALL SELECT id, status FROM captions) d"
	  " JOIN jobs j ON j.subject_id = d.id AND j.kind <> 'assessment'"
	  " WHERE NOT (d.status = j.state"
	  "  OR (d.status = 'RUNNING' AND j.state = 'PENDING'))") },
	{ "events-gapless", "The events of a run have a gap", RESTORE,
	  BREAKING("SELECT r.id FROM runs r LEFT JOIN (SELECT run_id,"
	  "  min(seq) AS first, max(seq) AS last, count(*) AS n"
	  "  FROM events GROUP BY run_id) e ON e.run_id = r.id"
	  " WHERE r.last_seq <> COALESCE(e.n, 0)"
	  "  OR e.first <> 1 OR e.last <> e.n") },
	{ "end-told-once",
	  "The jobs of a run that ended are not the ends that were told",
	  RESTORE,
	  BREAKING("SELECT r.id FROM runs r WHERE r.deleted_ms = 0 AND"
	  " (SELECT count(*) FROM events WHERE run_id = r.id AND type IN"
	  "  ('run_complete', 'run_error')) <>"
	  " (SELECT count(*) FROM jobs WHERE run_id = r.id AND"
	  "  kind IN ('generation', 'refinement') AND state IN " TERMINAL ")") },
	{ "stages-closed", "A stage is RUNNING in a job that has ended",
	  RESTORE,
	  BREAKING("SELECT j.run_id AS id FROM stages s JOIN jobs j"
	  " ON j.id = s.job_id"
	  " WHERE s.status = 'RUNNING' AND j.state IN " TERMINAL) },
	{ "deleted-is-empty", "A deleted run still has content",
	  "Delete it again: set deleted_ms of its row to 0 and use "
	  "\"churnsctl delete\".",
	  BREAKING("SELECT r.id FROM runs r WHERE deleted_ms > 0 AND"
	  " (COALESCE(prompt, form, inputs, brand_kit, warnings,"
	  "  error_message, platform_name) IS NOT NULL"
	  "  OR EXISTS (SELECT 1 FROM events WHERE run_id = r.id)"
	  "  OR EXISTS (SELECT 1 FROM idempotency WHERE run_id = r.id)"
	  "  OR EXISTS (SELECT 1 FROM jobs WHERE run_id = r.id"
	  "   AND state NOT IN " TERMINAL "))") },
	{ "kept-answers", "An answer is kept for a run that is not there",
	  "The key of that answer cannot be used again; otherwise harmless.",
	  BREAKING("SELECT i.key AS id FROM idempotency i"
	  " WHERE i.run_id IS NOT NULL AND i.run_id NOT IN"
	  " (SELECT id FROM runs)") },
	{ "run-numbers", "The numbers of runs are not those of the rows",
	  REPAIRED,
	  BREAKING("SELECT owner AS id FROM (SELECT * FROM (" RUN_NUMBERS
	  "  EXCEPT SELECT owner, status, mode, platform, n FROM run_counts)"
	  " UNION ALL SELECT * FROM (SELECT owner, status, mode, platform, n"
	  "  FROM run_counts WHERE n > 0 EXCEPT " RUN_NUMBERS ")) AS wrong") },
	{ "job-numbers", "The numbers of jobs are not those of the rows",
	  REPAIRED,
	  BREAKING("SELECT c.state AS id FROM job_counts c WHERE n <>"
	  " (SELECT count(*) FROM jobs WHERE state = c.state)") },
	{ "run-costs", "A run does not cost what its calls cost", REPAIRED,
	  BREAKING("SELECT r.id FROM runs r WHERE status IN " TERMINAL
	  " AND cost_nano <> (SELECT COALESCE(sum(c.cost_nano), 0)"
	  "  FROM jobs j JOIN model_calls c ON c.job_id = j.id"
	  "  WHERE j.run_id = r.id AND j.kind = 'generation')") },
	{ "derived-costs",
	  "A refinement or caption does not cost what its calls cost", REPAIRED,
	  BREAKING("SELECT d.id FROM (SELECT id, status, cost_nano"
	  "  FROM refinements UNION ALL SELECT id, status, cost_nano"
	  "  FROM captions) d WHERE status IN " TERMINAL
	  " AND cost_nano <> (SELECT COALESCE(sum(c.cost_nano), 0)"
	  "  FROM jobs j JOIN model_calls c ON c.job_id = j.id"
	  "  WHERE j.subject_id = d.id AND j.kind <> 'generation')") },
	{ "stage-costs", "A stage does not cost what its calls cost", REPAIRED,
	  BREAKING("SELECT j.run_id AS id FROM stages s"
	  " JOIN jobs j ON j.id = s.job_id"
	  " WHERE s.status IN ('COMPLETED', 'FAILED', 'SKIPPED')"
	  " AND s.cost_nano <> (SELECT COALESCE(sum(cost_nano), 0)"
	  "  FROM model_calls WHERE job_id = s.job_id AND stage = s.name)") },
	{ "day-sums", "The sums of a day are not those of its calls", REPAIRED,
	  BREAKING("SELECT owner AS id FROM (SELECT * FROM (SELECT "
	  DAY_COLUMNS ", " DAY_FIGURES " FROM spend_days WHERE calls > 0"
	  "  EXCEPT SELECT " DAY_COLUMNS ", " DAY_SUMS
	  "  FROM ledger_figures GROUP BY 1, 2, 3, 4, 5)"
	  " UNION ALL SELECT * FROM (SELECT " DAY_COLUMNS ", " DAY_SUMS
	  "  FROM ledger_figures GROUP BY 1, 2, 3, 4, 5"
	  "  EXCEPT SELECT " DAY_COLUMNS ", " DAY_FIGURES
	  "  FROM spend_days)) AS wrong") },
	{ "job-sums", "The sums of a job are not those of its calls", REPAIRED,
	  BREAKING("SELECT run_id AS id FROM (SELECT * FROM (SELECT job_id,"
	  "  day, simulated, run_id, " DAY_FIGURES " FROM spend_jobs"
	  "  WHERE calls > 0 EXCEPT SELECT job_id, day, simulated, run_id, "
	  DAY_SUMS " FROM ledger_figures GROUP BY 1, 2, 3, 4)"
	  " UNION ALL SELECT * FROM (SELECT job_id, day, simulated, run_id, "
	  DAY_SUMS " FROM ledger_figures GROUP BY 1, 2, 3, 4"
	  "  EXCEPT SELECT job_id, day, simulated, run_id, " DAY_FIGURES
	  "  FROM spend_jobs)) AS wrong") },
	{ "calls-settled", "A call of a job that has ended waits for its answer",
	  "\"churnsctl verify --repair\" marks it as unknown: it may have been "
	  "paid.",
	  BREAKING("SELECT c.run_id AS id FROM jobs j JOIN model_calls c"
	  " ON c.job_id = j.id AND c.state = 'SENT'"
	  " WHERE j.state IN " TERMINAL) },
};

/* The sums of the ledger come first: its triggers rely on them. */
static const char *const repairs[] = {
	"DELETE FROM spend_days",
	"INSERT INTO spend_days (" DAY_COLUMNS ", " DAY_FIGURES ") SELECT "
	DAY_COLUMNS ", " DAY_SUMS " FROM ledger_figures"
	" GROUP BY 1, 2, 3, 4, 5",
	"DELETE FROM spend_jobs",
	"INSERT INTO spend_jobs (job_id, day, simulated, run_id, owner,"
	" first_ms, " DAY_FIGURES ") SELECT job_id, day, simulated, run_id,"
	" owner, min(sent_ms), " DAY_SUMS " FROM ledger_figures"
	" GROUP BY 1, 2, 3",
	"UPDATE model_calls SET state = 'UNKNOWN' WHERE state = 'SENT'"
	" AND job_id IN (SELECT id FROM jobs WHERE state IN " TERMINAL ")",
	"DELETE FROM run_counts",
	"INSERT INTO run_counts (owner, status, mode, platform, n) "
	RUN_NUMBERS,
	"UPDATE job_counts SET n ="
	" (SELECT count(*) FROM jobs WHERE state = job_counts.state)",
	"UPDATE stages SET cost_nano = (SELECT COALESCE(sum(c.cost_nano), 0)"
	" FROM model_calls c WHERE c.job_id = stages.job_id"
	" AND c.stage = stages.name)"
	" WHERE status IN ('COMPLETED', 'FAILED', 'SKIPPED')",
};

/* What has a cost: its table, and whose calls it is the sum of. */
#define SUM_AGAIN(table, calls)						\
	"UPDATE " table " SET cost_nano = (SELECT COALESCE(sum("	\
	"c.cost_nano), 0)" calls "), has_cost = CASE WHEN EXISTS"	\
	" (SELECT 1" calls " AND c.cost_nano > 0) THEN 1 ELSE 0 END,"	\
	" version = version + 1 WHERE status IN " TERMINAL		\
	" AND cost_nano <> (SELECT COALESCE(sum(c.cost_nano), 0)" calls ")"
#define OF_SUBJECT(table)						\
	" FROM jobs j JOIN model_calls c ON c.job_id = j.id"		\
	" WHERE j.subject_id = " table ".id AND j.kind <> 'generation'"

static const char *const sums[] = {
	SUM_AGAIN("runs", " FROM jobs j JOIN model_calls c ON c.job_id = j.id"
	    " WHERE j.run_id = runs.id AND j.kind = 'generation'"),
	SUM_AGAIN("refinements", OF_SUBJECT("refinements")),
	SUM_AGAIN("captions", OF_SUBJECT("captions")),
};

/* --- rules ---------------------------------------------------------------- */

static enum err_code
ask(struct db *db, const struct rule *rule, struct verify_finding *f,
    struct err *e)
{
	struct db_rows *r = NULL;
	enum err_code rc;
	bool more;

	memset(f, 0, sizeof(*f));
	f->name = rule->name;
	f->what = rule->what;
	f->todo = rule->todo;
	rc = db_query(db, rule->sql, DB_NONE, &r, e);
	while (rc == ERR_OK) {
		rc = db_next(r, &more, e);
		if (rc != ERR_OK || !more)
			break;
		snprintf(f->ids[f->n_ids++], VERIFY_ID_MAX, "%s",
		    db_text(r, 0) != NULL ? db_text(r, 0) : "");
		f->count = db_int(r, 1);
	}
	db_done(r);
	return rc;
}

enum err_code
store_verify(struct store *st,
    void (*found)(void *arg, const struct verify_finding *f), void *arg,
    int *n_rules, struct err *e)
{
	enum err_code rc = ERR_OK;
	struct verify_finding f;
	struct db *db = NULL;
	size_t i;

	rc = store_borrow(st, &db, e);
	for (i = 0; i < ARRAY_LEN(rules) && rc == ERR_OK; i++) {
		rc = ask(db, &rules[i], &f, e);
		if (rc == ERR_OK && f.count > 0)
			found(arg, &f);
	}
	store_return(st, db);
	if (rc == ERR_OK)
		*n_rules = (int)ARRAY_LEN(rules);
	return rc;
}

enum err_code
store_verify_file(struct store *st, void (*tell)(void *arg, const char *what),
    void *arg, struct err *e)
{
	struct db *db = NULL;
	enum err_code rc;

	rc = store_borrow(st, &db, e);
	if (rc == ERR_OK)
		rc = db_check_integrity(db, VERIFY_MAX_DAMAGE, tell, arg, e);
	store_return(st, db);
	return rc;
}

/* --- repair --------------------------------------------------------------- */

static enum err_code
run_all(struct db *db, const char *const *list, size_t n, struct err *e)
{
	enum err_code rc = ERR_OK;
	size_t i;

	for (i = 0; i < n && rc == ERR_OK; i++)
		rc = db_run(db, list[i], DB_NONE, NULL, e);
	return rc;
}

static enum err_code
repair_unit(struct db *db, void *arg, struct err *e)
{
	enum err_code rc;

	(void)arg;
	rc = run_all(db, repairs, ARRAY_LEN(repairs), e);
	return rc == ERR_OK ? run_all(db, sums, ARRAY_LEN(sums), e) : rc;
}

enum err_code
store_repair(struct store *st, struct err *e)
{
	return store_write(st, repair_unit, NULL, e);
}

/* --- rows and files ------------------------------------------------------- */

static enum err_code
presence_from_row(struct db_rows *r, void *slot, struct err *e)
{
	struct run_presence *p = slot;

	copy_id(p->id, db_text(r, 0));
	p->deleted = db_int(r, 2) > 0;
	p->files_removed = db_int(r, 3) != 0;
	p->has_results = db_int(r, 4) != 0;
	p->open = db_int(r, 5) != 0;
	return read_state(r, 1, &p->status, e);
}

#define PRESENCE							\
	"SELECT id, status, deleted_ms, files_removed,"			\
	" CASE WHEN metadata_path IS NULL THEN 0 ELSE 1 END,"		\
	" (SELECT count(*) FROM jobs WHERE run_id = runs.id"		\
	"  AND state IN ('PENDING', 'RUNNING')) FROM runs"

enum err_code
store_verify_runs(struct store *st, const char *after, int max,
    struct run_presence_list *out, struct err *e)
{
	static const struct reading how = {
		PRESENCE " WHERE id > ?1 ORDER BY id LIMIT ?2",
		presence_from_row, sizeof(struct run_presence)
	};
	struct row_list rows = { NULL, 0 };
	enum err_code rc;

	rc = store_read_rows(st, &how, DB_ARGS(db_s(after), db_i(max)), &rows,
	    e);
	if (rc != ERR_OK) {
		free(rows.rows);
		return rc;
	}
	out->rows = rows.rows;
	out->n = rows.n;
	return ERR_OK;
}

void
run_presence_list_release(struct run_presence_list *l)
{
	free(l->rows);
	memset(l, 0, sizeof(*l));
}

enum err_code
store_verify_run(struct store *st, const char *run_id,
    struct run_presence *out, struct err *e)
{
	static const struct reading how = {
		PRESENCE " WHERE id = ?1",
		presence_from_row, sizeof(struct run_presence)
	};
	struct row_list rows = { NULL, 0 };
	enum err_code rc;

	rc = store_read_rows(st, &how, DB_ARGS(db_s(run_id)), &rows, e);
	if (rc == ERR_OK && rows.n == 0)
		rc = err_set(e, ERR_NOT_FOUND, "no row knows the run");
	if (rc == ERR_OK)
		*out = *(struct run_presence *)rows.rows;
	free(rows.rows);
	return rc;
}

static enum err_code
named_from_row(struct db_rows *r, void *slot, struct err *e)
{
	struct named_file *f = slot;

	(void)e;
	f->what = db_text_copy(r, 0);
	f->path = db_text_copy(r, 1);
	f->is_list = db_int(r, 2) != 0;
	return ERR_OK;
}

enum err_code
store_verify_files(struct store *st, const char *run_id,
    struct named_file_list *out, struct err *e)
{
	static const struct reading how = {
		"SELECT 'refinement', image_path, 0 FROM refinements"
		" WHERE run_id = ?1 AND image_path IS NOT NULL"
		" UNION ALL SELECT 'reference of a refinement',"
		" reference_path, 0 FROM refinements"
		" WHERE run_id = ?1 AND reference_path IS NOT NULL"
		" UNION ALL SELECT 'mask of a refinement', mask_path, 0"
		" FROM refinements"
		" WHERE run_id = ?1 AND mask_path IS NOT NULL"
		" UNION ALL SELECT 'caption', file_path, 0 FROM captions"
		" WHERE run_id = ?1 AND file_path IS NOT NULL"
		" UNION ALL SELECT 'paid answer', c.blobs, 1"
		" FROM jobs j JOIN model_calls c ON c.job_id = j.id"
		" WHERE j.run_id = ?1 AND j.state IN ('PENDING', 'RUNNING')"
		" AND c.state = 'ANSWERED' AND c.blobs IS NOT NULL",
		named_from_row, sizeof(struct named_file)
	};
	struct row_list rows = { NULL, 0 };
	struct named_file_list list;
	enum err_code rc;

	rc = store_read_rows(st, &how, DB_ARGS(db_s(run_id)), &rows, e);
	list.rows = rows.rows;
	list.n = rows.n;
	if (rc == ERR_OK)
		*out = list;
	else
		named_file_list_release(&list);
	return rc;
}

void
named_file_list_release(struct named_file_list *l)
{
	int i;

	for (i = 0; i < l->n; i++) {
		free(l->rows[i].what);
		free(l->rows[i].path);
	}
	free(l->rows);
	memset(l, 0, sizeof(*l));
}
