/*
 * What was spent, in lists; and whether the sums that are kept beside the
 * ledger are what the ledger says.
 *
 * Lists are read from the kept sums (schema/0004_spend.sql), of which there is
 * one row a day and model, or a day and job; a list never reads the ledger.
 * That they are the same is no belief: store_check_spend() compares them row by
 * row, and the tests do so after every history they can think of.
 */
#include "internal.h"

#include "xalloc.h"

static const char *const group_names[] = {
	[SPEND_BY_DAY] = "day",
	[SPEND_BY_MODEL] = "model",
	[SPEND_BY_RUN] = "run",
};

_Static_assert(ARRAY_LEN(group_names) == SPEND_GROUP__COUNT,
    "a group has no name");

const char *
spend_group_name(enum spend_group g)
{
	return group_names[g];
}

bool
spend_group_parse(const char *name, enum spend_group *out)
{
	int i;

	for (i = 0; i < SPEND_GROUP__COUNT; i++)
		if (strcmp(name, group_names[i]) == 0) {
			*out = (enum spend_group)i;
			return true;
		}
	return false;
}

/* --- lists ------------------------------------------------------------------ */

#define SUMS								\
	"sum(calls), sum(answered), sum(input_tokens), sum(output_tokens), " \
	"sum(images), sum(cost_nano), sum(reserved_nano), sum(unknown_nano)"
#define N_SUMS 8
#define DAYS_OF								\
	" WHERE day >= ?1 AND day < ?2 AND (?3 IS NULL OR owner = ?3)"	\
	" AND calls > 0"

static void
sums_from_row(struct db_rows *r, int col, struct spend_sums *out)
{
	out->calls = db_int(r, col);
	out->answered = db_int(r, col + 1);
	out->input_tokens = db_int(r, col + 2);
	out->output_tokens = db_int(r, col + 3);
	out->images = db_int(r, col + 4);
	out->cost_nano = db_int(r, col + 5);
	out->reserved_nano = db_int(r, col + 6);
	out->unknown_nano = db_int(r, col + 7);
}

static enum err_code
day_from_row(struct db_rows *r, void *slot, struct err *e)
{
	struct spend_row *row = slot;

	(void)e;
	sums_from_row(r, 0, &row->sums);
	row->key.simulated = db_int(r, N_SUMS) != 0;
	row->day = db_int(r, N_SUMS + 1);
	return ERR_OK;
}

static enum err_code
model_from_row(struct db_rows *r, void *slot, struct err *e)
{
	struct spend_row *row = slot;

	(void)e;
	sums_from_row(r, 0, &row->sums);
	row->key.simulated = db_int(r, N_SUMS) != 0;
	row->provider = db_text_copy(r, N_SUMS + 1);
	row->model = db_text_copy(r, N_SUMS + 2);
	return ERR_OK;
}

static enum err_code
spend_run_from_row(struct db_rows *r, void *slot, struct err *e)
{
	struct spend_row *row = slot;

	(void)e;
	sums_from_row(r, 0, &row->sums);
	row->key.simulated = db_int(r, N_SUMS) != 0;
	copy_id(row->key.run_id, db_text(r, N_SUMS + 1));
	row->key.first_ms = db_int(r, N_SUMS + 2);
	return ERR_OK;
}

/* ?4: rows; ?5 to ?7: go on behind this run. */
static const struct reading readings[] = {
	[SPEND_BY_DAY] = {
		"SELECT " SUMS ", simulated, day FROM spend_days" DAYS_OF
		" GROUP BY day, simulated ORDER BY day DESC, simulated LIMIT ?4",
		day_from_row, sizeof(struct spend_row)
	},
	[SPEND_BY_MODEL] = {
		"SELECT " SUMS ", simulated, provider, model FROM spend_days"
		DAYS_OF " GROUP BY provider, model, simulated"
		" ORDER BY sum(cost_nano) DESC, provider, model, simulated"
		" LIMIT ?4",
		model_from_row, sizeof(struct spend_row)
	},
	[SPEND_BY_RUN] = {
		"SELECT " SUMS ", simulated, run_id, min(first_ms) AS first"
		" FROM spend_jobs" DAYS_OF " GROUP BY run_id, simulated"
		" HAVING ?6 IS NULL OR"
		" (min(first_ms), run_id, simulated) < (?5, ?6, ?7)"
		" ORDER BY first DESC, run_id DESC, simulated DESC LIMIT ?4",
		spend_run_from_row, sizeof(struct spend_row)
	},
};

static enum err_code
read_total(struct db *db, const struct spend_query *q, struct spend_page *p,
    struct err *e)
{
	static const char sql[] =
	    "SELECT " SUMS ","
	    " COALESCE(sum(CASE WHEN simulated = 1 THEN cost_nano ELSE 0 END),"
	    "  0) FROM spend_days" DAYS_OF;
	struct db_rows *r = NULL;
	enum err_code rc;
	bool found;

	rc = db_first(db, sql, DB_ARGS(db_i(q->from_day), db_i(q->to_day),
	    db_s(q->owner)), &r, &found, e);
	if (rc == ERR_OK) {
		sums_from_row(r, 0, &p->total);
		p->simulated_nano = db_int(r, N_SUMS);
	}
	db_done(r);
	return rc;
}

static enum err_code
read_groups(struct db *db, const struct spend_query *q, struct row_list *rows,
    struct err *e)
{
	const struct spend_key *after = q->after;

	/* One more than wanted tells whether there are more. */
	if (q->group != SPEND_BY_RUN)
		return rows_read(db, &readings[q->group],
		    DB_ARGS(db_i(q->from_day), db_i(q->to_day),
		    db_s(q->owner), db_i(q->limit + 1)), rows, e);
	return rows_read(db, &readings[q->group], DB_ARGS(db_i(q->from_day),
	    db_i(q->to_day), db_s(q->owner), db_i(q->limit + 1),
	    db_i(after != NULL ? after->first_ms : 0),
	    db_s(after != NULL ? after->run_id : NULL),
	    db_i(after != NULL && after->simulated)), rows, e);
}

static void
row_release(struct spend_row *r)
{
	free(r->provider);
	free(r->model);
}

enum err_code
store_spend(struct store *st, const struct spend_query *q,
    struct spend_page *out, struct err *e)
{
	struct spend_page page = { .rows = NULL };
	struct row_list rows = { NULL, 0 };
	struct db *db = NULL;
	enum err_code rc;

	if (q->limit < 1 || q->limit > MAX_SPEND_ROWS)
		return err_set(e, ERR_INVALID, "from 1 to %d rows can be "
		    "asked for", MAX_SPEND_ROWS);
	rc = store_borrow(st, &db, e);
	if (rc == ERR_OK)
		rc = db_begin_read(db, e);
	if (rc == ERR_OK)
		rc = read_total(db, q, &page, e);
	if (rc == ERR_OK)
		rc = read_groups(db, q, &rows, e);
	store_return(st, db);
	page.rows = rows.rows;
	page.n = rows.n;
	if (page.n > q->limit) {
		page.more = true;
		row_release(&page.rows[--page.n]);
	}
	if (rc == ERR_OK)
		*out = page;
	else
		spend_page_release(&page);
	return rc;
}

void
spend_page_release(struct spend_page *p)
{
	int i;

	for (i = 0; i < p->n; i++)
		row_release(&p->rows[i]);
	free(p->rows);
	memset(p, 0, sizeof(*p));
}

/* --- checking --------------------------------------------------------------- */

#define FIGURES								\
	"calls, answered, input_tokens, output_tokens, images, cost_nano, " \
	"reserved_nano, unknown_nano"
#define KEPT_DAYS							\
	"SELECT day, owner, provider, model, simulated, " FIGURES	\
	" FROM spend_days WHERE calls <> 0"
#define TRUE_DAYS							\
	"SELECT day, owner, provider, model, simulated, " SUMS		\
	" FROM ledger_figures GROUP BY 1, 2, 3, 4, 5"
#define KEPT_JOBS							\
	"SELECT job_id, day, simulated, run_id, owner, " FIGURES	\
	" FROM spend_jobs WHERE calls <> 0"
#define TRUE_JOBS							\
	"SELECT job_id, day, simulated, run_id, owner, " SUMS		\
	" FROM ledger_figures GROUP BY 1, 2, 3, 4, 5"
#define DAY_WORDS							\
	"'day ' || date(day * 86400, 'unixepoch') || ' of ' || owner"	\
	" || ', ' || provider || ' ' || model"
#define JOB_WORDS							\
	"'job ' || job_id || ' of run ' || run_id || ' on '"		\
	" || date(day * 86400, 'unixepoch')"

/* Each gives a line for a row of one side that the other has not. A sum that
 * is no row because nothing is left of it is no difference. */
static const char *const differences[] = {
	"SELECT " DAY_WORDS " || ' has a sum that the ledger does not give'"
	" FROM (" KEPT_DAYS " EXCEPT " TRUE_DAYS ")",
	"SELECT " DAY_WORDS " || ' lacks a sum that the ledger gives'"
	" FROM (" TRUE_DAYS " EXCEPT " KEPT_DAYS ")",
	"SELECT " JOB_WORDS " || ' has a sum that the ledger does not give'"
	" FROM (" KEPT_JOBS " EXCEPT " TRUE_JOBS ")",
	"SELECT " JOB_WORDS " || ' lacks a sum that the ledger gives'"
	" FROM (" TRUE_JOBS " EXCEPT " KEPT_JOBS ")",
	"SELECT " DAY_WORDS " || ' has money and no calls' FROM spend_days"
	" WHERE calls = 0 AND (cost_nano <> 0 OR reserved_nano <> 0 OR"
	"  unknown_nano <> 0)",
	"SELECT " JOB_WORDS " || ' has money and no calls' FROM spend_jobs"
	" WHERE calls = 0 AND (cost_nano <> 0 OR reserved_nano <> 0 OR"
	"  unknown_nano <> 0)",
};

/* The first column of every row, a line each. */
static enum err_code
add_lines(struct db *db, const char *sql, const struct db_value *args,
    size_t n_args, struct strbuf *out, int *n, struct err *e)
{
	struct db_rows *r = NULL;
	enum err_code rc;
	bool more;

	rc = db_query(db, sql, args, n_args, &r, e);
	while (rc == ERR_OK) {
		rc = db_next(r, &more, e);
		if (rc != ERR_OK || !more)
			break;
		(*n)++;
		strbuf_addf(out, "%s\n", db_text(r, 0));
	}
	db_done(r);
	return rc;
}

enum err_code
store_check_spend(struct store *st, struct strbuf *out, int *n, struct err *e)
{
	struct db *db = NULL;
	enum err_code rc;
	int count = 0;
	size_t i;

	rc = store_borrow(st, &db, e);
	if (rc == ERR_OK)
		rc = db_begin_read(db, e);
	for (i = 0; i < ARRAY_LEN(differences) && rc == ERR_OK; i++)
		rc = add_lines(db, differences[i], DB_NONE, out, &count, e);
	store_return(st, db);
	if (rc == ERR_OK)
		*n = count;
	return rc;
}

static enum err_code
recount_unit(struct db *db, void *arg, struct err *e)
{
	static const char *const sql[] = {
		"DELETE FROM spend_days",
		"DELETE FROM spend_jobs",
		"INSERT INTO spend_days (day, owner, provider, model,"
		" simulated, " FIGURES ") " TRUE_DAYS,
		"INSERT INTO spend_jobs (job_id, day, simulated, run_id,"
		" owner, first_ms, " FIGURES ") SELECT job_id, day, simulated,"
		" run_id, owner, min(sent_ms), " SUMS " FROM ledger_figures"
		" GROUP BY 1, 2, 3, 4, 5",
	};
	enum err_code rc = ERR_OK;
	size_t i;

	(void)arg;
	for (i = 0; i < ARRAY_LEN(sql) && rc == ERR_OK; i++)
		rc = db_run(db, sql[i], DB_NONE, NULL, e);
	return rc;
}

enum err_code
store_recount_spend(struct store *st, struct err *e)
{
	return store_write(st, recount_unit, NULL, e);
}

enum err_code
store_check_estimates(struct store *st, int64_t since_ms, struct strbuf *out,
    int *n, struct err *e)
{
	static const char sql[] =
	    "SELECT COALESCE(provider, '') || ' ' || COALESCE(model, '')"
	    " || ': ' || count(*) || ' calls cost more than was reserved, by '"
	    " || printf('%.6f', max(cost_nano - estimate_nano) / 1e9)"
	    " || ' dollars at most' FROM model_calls"
	    " WHERE cost_nano > estimate_nano AND sent_ms >= ?1"
	    " GROUP BY provider, model"
	    " ORDER BY max(cost_nano - estimate_nano) DESC";
	struct db *db = NULL;
	enum err_code rc;
	int count = 0;

	rc = store_borrow(st, &db, e);
	if (rc == ERR_OK)
		rc = add_lines(db, sql, DB_ARGS(db_i(since_ms)), out, &count,
		    e);
	store_return(st, db);
	if (rc == ERR_OK)
		*n = count;
	return rc;
}
