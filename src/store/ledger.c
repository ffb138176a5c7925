/*
 * The ledger: a row for every wire request, written before it is sent and
 * settled when its outcome is known; and the cache of answers.
 *
 *   SENT --> ANSWERED | FAILED | UNKNOWN;  UNKNOWN --> ANSWERED
 *
 * Beginning is fenced, so a runner that lost its job sends nothing new.
 * Settling is not: money that was spent is booked, whoever has the job by now,
 * and once a row is ANSWERED nothing changes it.  A row that would pass a limit
 * is not written (budget.c).  What was summed from the row before (its stage, its
 * run) is summed again in the same unit.  Only the content of an answer that comes
 * after its run was deleted is not kept.
 */
#include "internal.h"

#include <assert.h>

#include "derived.h"
#include "xalloc.h"

static const char *const call_names[] = {
	[CALL_SENT] = "SENT",
	[CALL_ANSWERED] = "ANSWERED",
	[CALL_FAILED] = "FAILED",
	[CALL_UNKNOWN] = "UNKNOWN",
};

_Static_assert(ARRAY_LEN(call_names) == CALL_STATE__COUNT,
    "a call state has no name");

const char *
call_state_name(enum call_state s)
{
	return call_names[s];
}

/* --- begin ---------------------------------------------------------------- */

struct begin {
	const struct spend_limits *limits;
	const struct job_ref *ref;
	const struct call_row *c;
};

static enum err_code
begin_unit(struct db *db, void *arg, struct err *e)
{
	static const char sql[] =
	    "INSERT INTO model_calls (id, job_id, run_id, owner, stage,"
	    " variant, purpose, attempt, ask, fence, state, provider, model,"
	    " idempotency_key, request_hash, estimate_nano, sent_ms, simulated)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 'SENT', ?11,"
	    " ?12, ?13, ?14, ?15, ?16, ?17)"
	    " ON CONFLICT (job_id, stage, variant, purpose, attempt)"
	    " DO NOTHING";
	const struct begin *b = arg;
	const struct call_row *c = b->c;
	int64_t changes = 0;
	enum err_code rc;

	rc = job_check_fence(db, b->ref, e);
	if (rc == ERR_OK)
		rc = db_run(db, sql, DB_ARGS(db_s(c->id),
		    db_s(b->ref->job_id), db_s(b->ref->run_id), db_s(c->owner),
		    db_s(c->stage), db_i(c->variant), db_s(c->purpose),
		    db_i(c->attempt), db_i(c->ask), db_i(b->ref->fence),
		    db_s(c->provider), db_s(c->model),
		    db_s(c->idempotency_key), db_s(c->request_hash),
		    db_i(c->estimate_nano), db_i(c->sent_ms),
		    db_i(c->simulated)), &changes, e);
	if (rc == ERR_OK && changes != 1)
		rc = err_set(e, ERR_CONFLICT, "this call is in the ledger "
		    "already");
	if (rc == ERR_OK)
		rc = budget_check_call(db, b->limits, b->ref->job_id, c, e);
	return rc;
}

enum err_code
store_call_begin(struct store *st, const struct job_ref *ref,
    const struct call_row *c, struct err *e)
{
	struct begin b = { store_limits(st), ref, c };

	assert(strlen(c->id) < ID_MAX);
	return store_write(st, begin_unit, &b, e);
}

/* --- settle --------------------------------------------------------------- */

/* Where a row belongs. */
struct call_place {
	char *job_id, *run_id, *stage;	/* owned */
};

static void
place_free(struct call_place *p)
{
	free(p->job_id);
	free(p->run_id);
	free(p->stage);
}

static enum err_code
update_call(struct db *db, const struct call_row *c, struct call_place *out,
    bool *found, struct err *e)
{
	static const char sql[] =
	    "UPDATE model_calls SET state = ?2, settled_ms = ?3,"
	    " http_status = ?4, fault = ?5, error = ?6, answer = ?7,"
	    " blobs = ?8, prompt_tokens = ?9, completion_tokens = ?10,"
	    " cached_tokens = ?11, reasoning_tokens = ?12,"
	    " image_in_tokens = ?13, image_out_tokens = ?14, cost_nano = ?15,"
	    " has_billed = ?16, estimated = ?17, simulated = ?18"
	    " WHERE id = ?1 AND state <> 'ANSWERED'"
	    " RETURNING job_id, run_id, stage";
	struct db_rows *r = NULL;
	enum err_code rc;

	rc = db_first(db, sql, DB_ARGS(db_s(c->id),
	    db_s(call_names[c->state]), db_i(c->settled_ms),
	    db_i(c->http_status), db_s(c->fault), db_s(c->error),
	    db_s(c->answer), db_s(c->blobs), db_i(c->prompt_tokens),
	    db_i(c->completion_tokens), db_i(c->cached_tokens),
	    db_i(c->reasoning_tokens), db_i(c->image_in_tokens),
	    db_i(c->image_out_tokens), db_i(c->cost_nano),
	    db_i(c->has_billed), db_i(c->estimated), db_i(c->simulated)),
	    &r, found, e);
	if (rc == ERR_OK && *found) {
		out->job_id = db_text_copy(r, 0);
		out->run_id = db_text_copy(r, 1);
		out->stage = db_text_copy(r, 2);
	}
	return db_end(r, rc, e);
}

/* Why did nothing change? */
static enum err_code
explain_refusal(struct db *db, const char *id, struct err *e)
{
	static const char sql[] = "SELECT state FROM model_calls WHERE id = ?1";
	struct db_rows *r = NULL;
	enum err_code rc;
	bool found;

	rc = db_first(db, sql, DB_ARGS(db_s(id)), &r, &found, e);
	db_done(r);
	if (rc != ERR_OK)
		return rc;
	if (!found)
		return err_set(e, ERR_NOT_FOUND, "there is no such call");
	return err_set(e, ERR_CONFLICT, "the call is answered already");
}

/* The run, if it has ended, costs what its ledger says now. */
static enum err_code
sum_ended_run(struct db *db, const char *run_id, struct err *e)
{
	static const char sql[] =
	    "UPDATE runs SET cost_nano = ?2, has_cost = ?3,"
	    " simulated = CASE WHEN ?4 = 1 THEN 1 ELSE simulated END,"
	    " version = version + 1"
	    " WHERE id = ?1 AND status IN ('COMPLETED', 'FAILED', 'CANCELLED')";
	int64_t cost_nano = 0;
	bool simulated = false;
	enum err_code rc;

	rc = run_sum(db, run_id, &cost_nano, &simulated, e);
	if (rc == ERR_OK)
		rc = db_run(db, sql, DB_ARGS(db_s(run_id), db_i(cost_nano),
		    db_i(cost_nano > 0), db_i(simulated)), NULL, e);
	return rc;
}

/* Nobody may read any more what came for a deleted run. */
static enum err_code
forget_if_deleted(struct db *db, const char *id, struct err *e)
{
	static const char sql[] =
	    "UPDATE model_calls SET answer = NULL, blobs = NULL, error = NULL"
	    " WHERE id = ?1 AND EXISTS (SELECT 1 FROM runs r"
	    "  WHERE r.id = model_calls.run_id AND r.deleted_ms > 0)";

	return db_run(db, sql, DB_ARGS(db_s(id)), NULL, e);
}

/* What the call was made for, if it has ended. */
static enum err_code
sum_subject(struct db *db, const struct call_place *p, struct err *e)
{
	struct job_subject s = { NULL, NULL };
	enum err_code rc;

	rc = job_read_subject(db, p->job_id, &s, e);
	if (rc == ERR_OK && strcmp(s.kind, KIND_GENERATION) == 0)
		rc = sum_ended_run(db, p->run_id, e);
	else if (rc == ERR_OK)
		rc = derived_sum(db, s.kind, s.id, e);
	job_subject_release(&s);
	return rc;
}

static enum err_code
settle_unit(struct db *db, void *arg, struct err *e)
{
	const struct call_row *c = *(const struct call_row **)arg;
	struct call_place p = { NULL, NULL, NULL };
	bool found = false, changed = false;
	enum err_code rc;

	rc = update_call(db, c, &p, &found, e);
	if (rc == ERR_OK && !found)
		rc = explain_refusal(db, c->id, e);
	if (rc == ERR_OK)
		rc = stage_sum(db, p.job_id, p.stage, &changed, e);
	if (rc == ERR_OK && changed)
		rc = run_touch(db, p.run_id, e);
	if (rc == ERR_OK)
		rc = sum_subject(db, &p, e);
	if (rc == ERR_OK)
		rc = forget_if_deleted(db, c->id, e);
	place_free(&p);
	return rc;
}

enum err_code
store_call_settle(struct store *st, const struct call_row *c, struct err *e)
{
	assert(c->state != CALL_SENT);
	return store_write(st, settle_unit, &c, e);
}

/* --- after a crash -------------------------------------------------------- */

struct lost_calls {
	const struct job_ref *ref;
	int64_t now_ms;
	int64_t n;
};

static enum err_code
unknown_unit(struct db *db, void *arg, struct err *e)
{
	static const char sql[] =
	    "UPDATE model_calls SET state = 'UNKNOWN', settled_ms = ?3"
	    " WHERE job_id = ?1 AND fence < ?2 AND state = 'SENT'";
	struct lost_calls *u = arg;
	enum err_code rc;

	rc = job_check_fence(db, u->ref, e);
	if (rc == ERR_OK)
		rc = db_run(db, sql, DB_ARGS(db_s(u->ref->job_id),
		    db_i(u->ref->fence), db_i(u->now_ms)), &u->n, e);
	return rc;
}

enum err_code
store_calls_unknown(struct store *st, const struct job_ref *ref,
    int64_t now_ms, int *n, struct err *e)
{
	struct lost_calls u = { ref, now_ms, 0 };
	enum err_code rc;

	rc = store_write(st, unknown_unit, &u, e);
	if (rc == ERR_OK)
		*n = (int)u.n;
	return rc;
}

/* --- reading -------------------------------------------------------------- */

#define CALL_COLUMNS							\
	"id, job_id, run_id, owner, stage, variant, purpose, attempt, "	\
	"ask, state, provider, model, idempotency_key, request_hash, "	\
	"estimate_nano, sent_ms, settled_ms, http_status, fault, error, " \
	"blobs, prompt_tokens, completion_tokens, cached_tokens, "	\
	"reasoning_tokens, image_in_tokens, image_out_tokens, "		\
	"cost_nano, has_billed, estimated, simulated"
#define COL_ANSWER 31		/* behind them, where it is read */

static enum err_code
read_call_state(struct db_rows *r, int col, enum call_state *out,
    struct err *e)
{
	const char *name = db_text(r, col);
	int i;

	for (i = 0; i < CALL_STATE__COUNT; i++)
		if (name != NULL && strcmp(name, call_names[i]) == 0) {
			*out = (enum call_state)i;
			return ERR_OK;
		}
	return err_set(e, ERR_SYSTEM, "a ledger row has an unknown state");
}

static enum err_code
call_from_row(struct db_rows *r, void *slot, struct err *e)
{
	struct call_row *c = slot;

	copy_id(c->id, db_text(r, 0));
	c->job_id = db_text_copy(r, 1);
	c->run_id = db_text_copy(r, 2);
	c->owner = db_text_copy(r, 3);
	c->stage = db_text_copy(r, 4);
	c->variant = (int)db_int(r, 5);
	c->purpose = db_text_copy(r, 6);
	c->attempt = (int)db_int(r, 7);
	c->ask = (int)db_int(r, 8);
	c->provider = db_text_copy(r, 10);
	c->model = db_text_copy(r, 11);
	c->idempotency_key = db_text_copy(r, 12);
	c->request_hash = db_text_copy(r, 13);
	c->estimate_nano = db_int(r, 14);
	c->sent_ms = db_int(r, 15);
	c->settled_ms = db_int(r, 16);
	c->http_status = (int)db_int(r, 17);
	c->fault = db_text_copy(r, 18);
	c->error = db_text_copy(r, 19);
	c->blobs = db_text_copy(r, 20);
	c->prompt_tokens = db_int(r, 21);
	c->completion_tokens = db_int(r, 22);
	c->cached_tokens = db_int(r, 23);
	c->reasoning_tokens = db_int(r, 24);
	c->image_in_tokens = db_int(r, 25);
	c->image_out_tokens = db_int(r, 26);
	c->cost_nano = db_int(r, 27);
	c->has_billed = db_int(r, 28) != 0;
	c->estimated = db_int(r, 29) != 0;
	c->simulated = db_int(r, 30) != 0;
	return read_call_state(r, 9, &c->state, e);
}

static enum err_code
call_with_answer(struct db_rows *r, void *slot, struct err *e)
{
	struct call_row *c = slot;

	c->answer = db_text_copy(r, COL_ANSWER);
	return call_from_row(r, slot, e);
}

static enum err_code
give_calls(struct row_list *rows, enum err_code rc, struct call_list *out)
{
	struct call_list list = { rows->rows, rows->n };

	if (rc == ERR_OK)
		*out = list;
	else
		call_list_release(&list);
	return rc;
}

enum err_code
store_find_calls(struct store *st, const char *job_id, const char *stage,
    int variant, const char *purpose, struct call_list *out, struct err *e)
{
	static const struct reading how = {
		"SELECT " CALL_COLUMNS ", answer FROM model_calls"
		" WHERE job_id = ?1 AND stage = ?2 AND variant = ?3"
		" AND purpose = ?4 ORDER BY attempt",
		call_with_answer, sizeof(struct call_row)
	};
	struct row_list rows = { NULL, 0 };
	enum err_code rc;

	rc = store_read_rows(st, &how, DB_ARGS(db_s(job_id), db_s(stage),
	    db_i(variant), db_s(purpose)), &rows, e);
	return give_calls(&rows, rc, out);
}

enum err_code
store_list_calls(struct store *st, const char *job_id, struct call_list *out,
    struct err *e)
{
	static const struct reading how = {
		"SELECT " CALL_COLUMNS " FROM model_calls WHERE job_id = ?1"
		" ORDER BY sent_ms, stage, variant, purpose, attempt",
		call_from_row, sizeof(struct call_row)
	};
	struct row_list rows = { NULL, 0 };
	enum err_code rc;

	rc = store_read_rows(st, &how, DB_ARGS(db_s(job_id)), &rows, e);
	return give_calls(&rows, rc, out);
}

void
call_row_release(struct call_row *c)
{
	free(c->job_id);
	free(c->run_id);
	free(c->owner);
	free(c->stage);
	free(c->purpose);
	free(c->provider);
	free(c->model);
	free(c->idempotency_key);
	free(c->request_hash);
	free(c->fault);
	free(c->error);
	free(c->answer);
	free(c->blobs);
	memset(c, 0, sizeof(*c));
}

void
call_list_release(struct call_list *l)
{
	int i;

	for (i = 0; i < l->n; i++)
		call_row_release(&l->rows[i]);
	free(l->rows);
	memset(l, 0, sizeof(*l));
}

/* --- the cache of answers ------------------------------------------------- */

enum err_code
store_cache_get(struct store *st, const char *key, char **answer,
    struct err *e)
{
	static const char sql[] =
	    "SELECT answer FROM answer_cache WHERE key = ?1";
	struct db_rows *r = NULL;
	struct db *db = NULL;
	enum err_code rc;
	bool found = false;

	rc = store_borrow(st, &db, e);
	if (rc == ERR_OK)
		rc = db_first(db, sql, DB_ARGS(db_s(key)), &r, &found, e);
	if (rc == ERR_OK && !found)
		rc = err_set(e, ERR_NOT_FOUND, "this was not asked before");
	if (rc == ERR_OK)
		*answer = db_text_copy(r, 0);
	db_done(r);
	store_return(st, db);
	return rc;
}

struct cache_entry {
	const char *key, *answer;
	int64_t now_ms;
};

static enum err_code
cache_unit(struct db *db, void *arg, struct err *e)
{
	static const char sql[] =
	    "INSERT INTO answer_cache (key, created_ms, answer)"
	    " VALUES (?1, ?2, ?3) ON CONFLICT (key) DO UPDATE SET"
	    " created_ms = excluded.created_ms, answer = excluded.answer";
	const struct cache_entry *c = arg;

	return db_run(db, sql, DB_ARGS(db_s(c->key), db_i(c->now_ms),
	    db_s(c->answer)), NULL, e);
}

enum err_code
store_cache_put(struct store *st, const char *key, const char *answer,
    int64_t now_ms, struct err *e)
{
	struct cache_entry c = { key, answer, now_ms };

	return store_write(st, cache_unit, &c, e);
}
