/*
 * Spending: what calls have cost and may still cost, and what they may not
 * pass.  Part of the store.
 *
 * Every wire request has a row in the ledger before it is sent.  In the
 * transaction that writes it the most it can cost is reserved, and the row is
 * refused (ERR_BUDGET, nothing written, nothing sent) when for any limit
 *
 *	booked + unknown + reserved + estimate > limit
 *
 * Settling the row turns what it reserved into what it cost.  A call that was
 * certainly not paid lets go of it; one that may have been paid (UNKNOWN) goes
 * on holding it, visibly, until a later answer says what it cost.  Nothing
 * else lets go of it, not even the end of its run; but it weighs on its own day
 * and its own job only.  A day is a day in UTC, that of sending.
 *
 * Limits of days are settings (store_options.limits), the limit of a job is in
 * its row.  An estimate of 0 is never refused: it cannot pass anything.
 *
 * So as long as no call costs more than its estimate says, no sum ever passes
 * its limit, however many threads and processes spend at once.
 *
 * The sums are kept beside the ledger by the database itself, in the
 * transactions that change it (schema/0004_spend.sql).
 */
#ifndef CHURNS_SPEND_H
#define CHURNS_SPEND_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "id.h"
#include "strbuf.h"

#define DAY_MS INT64_C(86400000)
#define MAX_SPEND_ROWS 1000	/* of one answer */

struct store;

struct spend_limits {
	int64_t owner_day_nano;	/* of one owner in a day; 0: no limit */
	int64_t day_nano;	/* of all in a day; 0: no limit */
};

enum spend_limit {
	LIMIT_NONE,
	LIMIT_RUN,		/* of the job */
	LIMIT_OWNER_DAY,
	LIMIT_DAY,
	LIMIT__COUNT
};

const char *spend_limit_name(enum spend_limit l);	/* "run", "owner_day", "day" */

/* With ERR_BUDGET in err.detail. */
enum budget_detail {
	BUDGET_USED_UP,		/* it does not fit any more */
	BUDGET_HELD		/* it may fit once calls under way are settled */
};

/* How a limit stands. */
struct budget {
	enum spend_limit limit;
	int64_t limit_nano;
	int64_t booked_nano;
	int64_t reserved_nano;	/* by calls under way */
	int64_t unknown_nano;	/* may have been charged */
	int64_t planned_nano;	/* what runs accepted before will probably cost beyond that */
	int64_t resets_ms;	/* when the day ends; 0: never */
};

/* Not spent, not held, not planned; at least 0. */
int64_t budget_left(const struct budget *b);

#define MAX_BUDGETS 2

/* The limits of the day that are set, for owner at now_ms; *n of them. */
enum err_code store_budgets(struct store *st, const char *owner,
    int64_t now_ms, struct budget out[MAX_BUDGETS], int *n, struct err *e);

/* --- lists ------------------------------------------------------------------ */

struct spend_sums {
	int64_t calls, answered;
	int64_t input_tokens, output_tokens, images;
	int64_t cost_nano, reserved_nano, unknown_nano;
};

enum spend_group { SPEND_BY_DAY, SPEND_BY_MODEL, SPEND_BY_RUN,
	SPEND_GROUP__COUNT };

bool spend_group_parse(const char *name, enum spend_group *out);
const char *spend_group_name(enum spend_group g);	/* "day", "model", "run" */

/* Runs come newest first; a page goes on behind its last row. */
struct spend_key {
	int64_t first_ms;
	char run_id[ID_MAX];
	bool simulated;
};

struct spend_query {
	const char *owner;	/* NULL: all */
	int64_t from_day, to_day;	/* the first one, and the one behind the last */
	enum spend_group group;
	int limit;		/* rows, at most MAX_SPEND_ROWS */
	const struct spend_key *after;	/* by run only; NULL: from the newest */
};

/* Of one day, one model or one run, within the days asked for.  What simulated
 * providers charged has rows of its own. */
struct spend_row {
	int64_t day;		/* by day */
	char *provider, *model;	/* by model; owned */
	struct spend_key key;	/* by run; otherwise simulated alone */
	struct spend_sums sums;
};

struct spend_page {
	struct spend_row *rows;
	int n;
	bool more;		/* there are rows behind the last */
	struct spend_sums total;	/* of everything asked for, on whatever page */
	int64_t simulated_nano;	/* the part of its cost that was no real money */
};

/* Rows and totals are of one moment. ERR_INVALID for a limit out of range. */
enum err_code store_spend(struct store *st, const struct spend_query *q,
    struct spend_page *out, struct err *e);
void spend_page_release(struct spend_page *p);

/* --- checking --------------------------------------------------------------- */

/*
 * Compare the sums with the ledger, row by row: a line into out for each that
 * differs (as far as it has room), *n how many.  Reads the whole ledger.
 */
enum err_code store_check_spend(struct store *st, struct strbuf *out, int *n,
    struct err *e);
/* Make the sums anew from the ledger. */
enum err_code store_recount_spend(struct store *st, struct err *e);

/* Ledger rows that cost more than was reserved for them, since since_ms: a line
 * each, the dearest surplus first, with provider and model. */
enum err_code store_check_estimates(struct store *st, int64_t since_ms,
    struct strbuf *out, int *n, struct err *e);

#endif
