/*
 * Limits: may this call be sent, may this run be accepted?
 *
 * A call is asked for after its row has been written, in the same unit: the
 * sums that the database keeps contain it by then, so there is one rule
 *
 *	booked + unknown + reserved <= limit
 *
 * and a refusal takes the row back with everything else of its unit.  Nothing
 * can come between the question and the answer, since there is one writer at a
 * time.
 *
 * What is reserved by calls under way is given back when they cost less.  So a
 * call that is in the way of a limit only because of them is told apart
 * (BUDGET_HELD): it may wait.  What UNKNOWN calls hold is not given back.
 *
 * A run is accepted by what it will probably cost, not by the most it could:
 * else a day would be full of runs that cost a tenth of it.  What runs accepted
 * before will probably still cost is taken as spent.
 */
#include "internal.h"

#include "money.h"
#include "xalloc.h"

static const char *const limit_names[] = {
	[LIMIT_NONE] = "none",
	[LIMIT_RUN] = "run",
	[LIMIT_OWNER_DAY] = "owner_day",
	[LIMIT_DAY] = "day",
};

_Static_assert(ARRAY_LEN(limit_names) == LIMIT__COUNT, "a limit has no name");

const char *
spend_limit_name(enum spend_limit l)
{
	return limit_names[l];
}

/* In a sentence that begins with it. */
static const char *
limit_title(enum spend_limit l)
{
	switch (l) {
	case LIMIT_RUN:
		return "The budget of the run";
	case LIMIT_OWNER_DAY:
		return "The budget of its owner for today";
	case LIMIT_DAY:
		return "The budget for today";
	case LIMIT_NONE:
	case LIMIT__COUNT:
		break;
	}
	return "The budget";
}

/* a + b where what does not fit is as bad as the most there is. */
static int64_t
plus(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static int64_t
firm_of(const struct budget *b)
{
	return plus(b->booked_nano, b->unknown_nano);
}

static int64_t
gone_of(const struct budget *b)
{
	return plus(plus(firm_of(b), b->reserved_nano), b->planned_nano);
}

int64_t
budget_left(const struct budget *b)
{
	int64_t gone = gone_of(b);

	return gone < b->limit_nano ? b->limit_nano - gone : 0;
}

/* --- reading the sums ------------------------------------------------------- */

static enum err_code
read_sums(struct db *db, const char *sql, const struct db_value *args,
    size_t n, struct budget *out, struct err *e)
{
	struct db_rows *r = NULL;
	enum err_code rc;
	bool found;

	rc = db_first(db, sql, args, n, &r, &found, e);
	if (rc == ERR_OK) {
		out->booked_nano = db_int(r, 0);
		out->reserved_nano = db_int(r, 1);
		out->unknown_nano = db_int(r, 2);
	}
	db_done(r);
	return rc;
}

#define SUMS								\
	"SELECT COALESCE(sum(cost_nano), 0),"				\
	" COALESCE(sum(reserved_nano), 0),"				\
	" COALESCE(sum(unknown_nano), 0) FROM "

/* owner NULL: of all. */
static enum err_code
read_day(struct db *db, const char *owner, int64_t day, struct budget *out,
    struct err *e)
{
	static const char sql_all[] = SUMS "spend_days WHERE day = ?1";
	static const char sql_owner[] = SUMS
	    "spend_days WHERE day = ?1 AND owner = ?2";

	out->resets_ms = (day + 1) * DAY_MS;
	if (owner == NULL)
		return read_sums(db, sql_all, DB_ARGS(db_i(day)), out, e);
	return read_sums(db, sql_owner, DB_ARGS(db_i(day), db_s(owner)), out,
	    e);
}

static enum err_code
read_job(struct db *db, const char *job_id, struct budget *out, struct err *e)
{
	static const char sql_limit[] =
	    "SELECT budget_nano FROM jobs WHERE id = ?1";
	static const char sql[] = SUMS "spend_jobs WHERE job_id = ?1";
	struct db_rows *r = NULL;
	enum err_code rc;
	bool found;

	rc = db_first(db, sql_limit, DB_ARGS(db_s(job_id)), &r, &found, e);
	if (rc == ERR_OK && found)
		out->limit_nano = db_int(r, 0);
	db_done(r);
	if (rc != ERR_OK || out->limit_nano == 0)
		return rc;
	return read_sums(db, sql, DB_ARGS(db_s(job_id)), out, e);
}

/* What open jobs will probably cost beyond what they have. */
static enum err_code
read_planned(struct db *db, const char *owner, struct budget *out,
    struct err *e)
{
	static const char sql[] =
	    "SELECT COALESCE(sum(max(j.estimate_nano -"
	    " (SELECT COALESCE(sum(s.cost_nano + s.reserved_nano +"
	    "  s.unknown_nano), 0) FROM spend_jobs s WHERE s.job_id = j.id),"
	    " 0)), 0) FROM jobs j WHERE j.state IN ('PENDING', 'RUNNING')"
	    " AND j.estimate_nano > 0 AND (?1 IS NULL OR j.owner = ?1)";
	struct db_rows *r = NULL;
	enum err_code rc;
	bool found;

	rc = db_first(db, sql, DB_ARGS(db_s(owner)), &r, &found, e);
	if (rc == ERR_OK)
		out->planned_nano = db_int(r, 0);
	db_done(r);
	return rc;
}

/* --- calls ------------------------------------------------------------------ */

/* b's sums contain the estimate of c. */
static enum err_code
judge_call(const struct budget *b, const struct call_row *c, struct err *e)
{
	int64_t firm = firm_of(b), held = b->reserved_nano - c->estimate_nano;
	char limit[MONEY_TEXT_MAX], spent[MONEY_TEXT_MAX];
	char under_way[MONEY_TEXT_MAX], unknown[MONEY_TEXT_MAX];
	char most[MONEY_TEXT_MAX];

	if (plus(firm, b->reserved_nano) <= b->limit_nano)
		return ERR_OK;
	err_set(e, ERR_BUDGET, "%s, %s, leaves no room for a call that may "
	    "cost up to %s: %s is spent, %s is reserved for calls under way, "
	    "and %s may have been charged for calls without an answer",
	    limit_title(b->limit), money_text(b->limit_nano, limit),
	    money_text(c->estimate_nano, most),
	    money_text(b->booked_nano, spent), money_text(held, under_way),
	    money_text(b->unknown_nano, unknown));
	if (e != NULL)
		e->detail = plus(firm, c->estimate_nano) <= b->limit_nano ?
		    BUDGET_HELD : BUDGET_USED_UP;
	return ERR_BUDGET;
}

/* What comes first is what is told; what is used up for good comes before
 * what may still become free. */
enum err_code
budget_check_call(struct db *db, const struct spend_limits *l,
    const char *job_id, const struct call_row *c, struct err *e)
{
	struct budget b[] = {
		{ .limit = LIMIT_RUN },
		{ .limit = LIMIT_OWNER_DAY, .limit_nano = l->owner_day_nano },
		{ .limit = LIMIT_DAY, .limit_nano = l->day_nano },
	};
	struct err one = ERR_INIT;
	enum err_code rc, verdict = ERR_OK;
	size_t i;

	if (c->estimate_nano <= 0)
		return ERR_OK;
	rc = read_job(db, job_id, &b[0], e);
	if (rc == ERR_OK && b[1].limit_nano > 0)
		rc = read_day(db, c->owner, c->sent_ms / DAY_MS, &b[1], e);
	if (rc == ERR_OK && b[2].limit_nano > 0)
		rc = read_day(db, NULL, c->sent_ms / DAY_MS, &b[2], e);
	for (i = 0; i < ARRAY_LEN(b) && rc == ERR_OK; i++) {
		if (b[i].limit_nano == 0 || judge_call(&b[i], c, &one) ==
		    ERR_OK)
			continue;
		if (verdict == ERR_OK || one.detail == BUDGET_USED_UP) {
			verdict = ERR_BUDGET;
			if (e != NULL)
				*e = one;
		}
		if (one.detail == BUDGET_USED_UP)
			break;
	}
	return rc != ERR_OK ? rc : verdict;
}

/* --- runs ------------------------------------------------------------------- */

static enum err_code
refuse_job(const struct budget *b, const struct job_plan *p, struct err *e)
{
	char limit[MONEY_TEXT_MAX], estimate[MONEY_TEXT_MAX];
	char spent[MONEY_TEXT_MAX], left[MONEY_TEXT_MAX];

	if (b->limit == LIMIT_RUN)
		return err_set(e, ERR_BUDGET, "The run will probably cost %s, "
		    "which is more than its budget of %s allows.",
		    money_text(p->estimate_nano, estimate),
		    money_text(b->limit_nano, limit));
	return err_set(e, ERR_BUDGET, "%s is %s; %s of it is spent or held "
	    "for calls and runs that came before, so %s is left and the run, "
	    "which will probably cost %s, does not fit.",
	    limit_title(b->limit), money_text(b->limit_nano, limit),
	    money_text(gone_of(b), spent),
	    money_text(budget_left(b), left),
	    money_text(p->estimate_nano, estimate));
}

static enum err_code
read_budget(struct db *db, const char *owner, int64_t day, struct budget *b,
    struct err *e)
{
	enum err_code rc;

	rc = read_day(db, owner, day, b, e);
	if (rc == ERR_OK)
		rc = read_planned(db, owner, b, e);
	return rc;
}

enum err_code
budget_check_job(struct db *db, const struct spend_limits *l,
    const struct job_plan *p, struct budget *refused, struct err *e)
{
	struct budget b[] = {
		{ .limit = LIMIT_RUN, .limit_nano = p->budget_nano },
		{ .limit = LIMIT_OWNER_DAY, .limit_nano = l->owner_day_nano },
		{ .limit = LIMIT_DAY, .limit_nano = l->day_nano },
	};
	int64_t day = p->created_ms / DAY_MS;
	enum err_code rc = ERR_OK;
	size_t i;

	for (i = 0; i < ARRAY_LEN(b) && p->estimate_nano > 0; i++) {
		if (b[i].limit_nano == 0)
			continue;
		if (b[i].limit != LIMIT_RUN)
			rc = read_budget(db, b[i].limit == LIMIT_DAY ? NULL :
			    p->owner, day, &b[i], e);
		if (rc != ERR_OK)
			return rc;
		if (p->estimate_nano <= budget_left(&b[i]))
			continue;
		if (refused != NULL)
			*refused = b[i];
		return refuse_job(&b[i], p, e);
	}
	return ERR_OK;
}

enum err_code
store_budgets(struct store *st, const char *owner, int64_t now_ms,
    struct budget out[MAX_BUDGETS], int *n, struct err *e)
{
	const struct spend_limits *l = store_limits(st);
	struct budget b[MAX_BUDGETS];
	struct db *db = NULL;
	enum err_code rc;
	int count = 0;

	memset(b, 0, sizeof(b));
	rc = store_borrow(st, &db, e);
	if (rc == ERR_OK)
		rc = db_begin_read(db, e);
	if (rc == ERR_OK && l->owner_day_nano > 0) {
		b[count].limit = LIMIT_OWNER_DAY;
		b[count].limit_nano = l->owner_day_nano;
		rc = read_budget(db, owner, now_ms / DAY_MS, &b[count++], e);
	}
	if (rc == ERR_OK && l->day_nano > 0) {
		b[count].limit = LIMIT_DAY;
		b[count].limit_nano = l->day_nano;
		rc = read_budget(db, NULL, now_ms / DAY_MS, &b[count++], e);
	}
	store_return(st, db);
	if (rc == ERR_OK) {
		memcpy(out, b, sizeof(b));
		*n = count;
	}
	return rc;
}
