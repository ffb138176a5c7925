/*
 * Money: limits that hold whoever spends, and sums that are the ledger's.
 *
 * Calls of these tests cost what a table or a seed says; the audit after each
 * test compares the kept sums with the ledger.
 */
#include "tests/unit/store_support.h"

#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "money.h"
#include "xalloc.h"

Suite *spend_suite(void);

#define DAY0 (T0 / DAY_MS)
#define UNLIMITED 0

/* A run of its own for each owner and number, with a budget. */
static void
add_with(int n, const char *owner, int64_t budget_nano, int64_t estimate_nano,
    enum err_code want, struct budget *refused)
{
	enum submit_outcome outcome = SUBMIT_MISMATCH;
	struct planned_stage plan = { "strategy", 1 };
	struct new_run nr = { .stages = &plan, .n_stages = 1,
	    .deadline_after_ms = HOUR, .budget_nano = budget_nano,
	    .estimate_nano = estimate_nano, .refused = refused };
	struct run run;
	enum err_code rc;

	memset(&run, 0, sizeof(run));
	snprintf(run.id, sizeof(run.id), "%s", id_of("run", n));
	run.owner = (char *)(uintptr_t)owner;
	run.mode = (char *)(uintptr_t)"easy_mode";
	run.created_ms = T0 + n;
	nr.run = &run;
	nr.job_id = id_of("job", n);
	rc = store_submit_run(st, &nr, NULL, &outcome, NULL, NULL, &err);
	ck_assert_msg(rc == want, "%s: %s", err_code_name(rc), err.msg);
}

static void
open_limited(int64_t owner_day_nano, int64_t day_nano)
{
	struct store_options o = options();

	o.limits.owner_day_nano = owner_day_nano;
	o.limits.day_nano = day_nano;
	open_with(&o);
}

static atomic_int next_call;

/* A call that may cost up to estimate, sent at sent_ms. */
static enum err_code
begin(const struct claimed *job, const char *owner, int64_t estimate_nano,
    int64_t sent_ms, struct call_row *out, struct err *e)
{
	struct call_row c;
	int n = atomic_fetch_add(&next_call, 1) + 1;

	call_init(&c, id_of("call", n), job, "strategy", n);
	c.owner = (char *)(uintptr_t)owner;
	c.estimate_nano = estimate_nano;
	c.sent_ms = sent_ms;
	if (out != NULL)
		*out = c;
	return store_call_begin(st, &job->ref, &c, e);
}

static void
settle(struct call_row *c, enum call_state state, int64_t cost_nano)
{
	c->state = state;
	c->settled_ms = c->sent_ms + 1;
	c->cost_nano = cost_nano;
	ck_ok(store_call_settle(st, c, &err), &err);
}

static struct budget
stands(const char *owner, enum spend_limit which, int64_t now_ms)
{
	struct budget b[MAX_BUDGETS];
	int i, n = 0;

	ck_ok(store_budgets(st, owner, now_ms, b, &n, &err), &err);
	for (i = 0; i < n; i++)
		if (b[i].limit == which)
			return b[i];
	ck_abort_msg("%s is not limited", spend_limit_name(which));
}

/* --- one limit at a time ---------------------------------------------------- */

/* In which day's or job's way it is; the others are wide. */
static const struct {
	const char *about;
	int64_t job, owner_day, day;
	const char *says;
} limit_rows[] = {
	{ "the job's own", 100, 1000, 1000, "The budget of the run, $0.00" },
	{ "the owner's day", 1000, 100, 1000, "owner for today" },
	{ "everybody's day", 1000, 1000, 100, "The budget for today" },
};

START_TEST(a_call_is_sent_only_if_the_most_it_can_cost_fits)
{
	struct call_row a, b, c;
	struct claimed job;

	open_limited(limit_rows[_i].owner_day, limit_rows[_i].day);
	add_with(1, "ann", limit_rows[_i].job, 0, ERR_OK, NULL);
	ck_assert_int_eq(claim_at(T0 + 10, &job), 1);
	ck_ok(begin(&job, "ann", 60, T0, &a, &err), &err);
	ck_ok(begin(&job, "ann", 40, T0, &b, &err), &err);	/* to the brim */
	ck_fails(begin(&job, "ann", 1, T0, &c, &err), ERR_BUDGET);
	ck_assert_msg(strstr(err.msg, limit_rows[_i].says) != NULL, "%s",
	    err.msg);
	ck_assert_int_eq(err.detail, BUDGET_HELD);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM model_calls"), 2);

	settle(&a, CALL_ANSWERED, 25);	/* gives 35 back */
	ck_fails(begin(&job, "ann", 36, T0, &c, &err), ERR_BUDGET);
	ck_ok(begin(&job, "ann", 35, T0, &c, &err), &err);
	settle(&c, CALL_FAILED, 0);	/* certainly not paid: all of it */
	settle(&b, CALL_ANSWERED, 40);
	ck_fails(begin(&job, "ann", 36, T0, &c, &err), ERR_BUDGET);
	ck_assert_int_eq(err.detail, BUDGET_USED_UP);
	ck_ok(begin(&job, "ann", 35, T0, &c, &err), &err);
	ck_ok(begin(&job, "ann", 0, T0, NULL, &err), &err);	/* free */
}
END_TEST

START_TEST(a_call_that_may_have_been_paid_holds_until_somebody_knows)
{
	struct call_row a, b;
	struct claimed job;

	open_limited(UNLIMITED, 100);
	add_with(1, "ann", 0, 0, ERR_OK, NULL);
	ck_assert_int_eq(claim_at(T0 + 10, &job), 1);
	ck_ok(begin(&job, "ann", 70, T0, &a, &err), &err);
	settle(&a, CALL_UNKNOWN, 0);
	ck_fails(begin(&job, "ann", 31, T0, &b, &err), ERR_BUDGET);
	ck_assert_int_eq(err.detail, BUDGET_USED_UP);
	ck_assert_int_eq(stands("ann", LIMIT_DAY, T0).unknown_nano, 70);
	ck_ok(finish(&job, STATE_FAILED, T0 + 50), &err);
	ck_assert_int_eq(stands("ann", LIMIT_DAY, T0).unknown_nano, 70);
	settle(&a, CALL_ANSWERED, 20);	/* a late answer says what it was */
	ck_assert_int_eq(stands("ann", LIMIT_DAY, T0).unknown_nano, 0);
	ck_assert_int_eq(stands("ann", LIMIT_DAY, T0).booked_nano, 20);
}
END_TEST

START_TEST(what_an_unknown_call_was_booked_with_is_not_held_again)
{
	struct call_row a;
	struct claimed job;

	open_limited(UNLIMITED, 100);
	add_with(1, "ann", 0, 0, ERR_OK, NULL);
	ck_assert_int_eq(claim_at(T0 + 10, &job), 1);
	ck_ok(begin(&job, "ann", 70, T0, &a, &err), &err);
	settle(&a, CALL_UNKNOWN, 50);	/* answered, but it could not be kept */
	ck_assert_int_eq(stands("ann", LIMIT_DAY, T0).booked_nano, 50);
	ck_assert_int_eq(stands("ann", LIMIT_DAY, T0).unknown_nano, 20);
}
END_TEST

START_TEST(a_crash_reserves_nothing_twice)
{
	struct claimed job, again;
	struct call_row a, b;
	struct expired x;
	int n = 0;

	open_limited(UNLIMITED, 100);
	add_with(1, "ann", 0, 0, ERR_OK, NULL);
	ck_assert_int_eq(claim_at(T0 + 10, &job), 1);
	ck_ok(begin(&job, "ann", 30, T0, &a, &err), &err);
	ck_ok(begin(&job, "ann", 30, T0, &b, &err), &err);
	settle(&a, CALL_ANSWERED, 10);
	ck_ok(store_expire_leases(st, me.id, T0 + 20, 3, "gone", &x, &err),
	    &err);
	ck_assert_int_eq(stands("ann", LIMIT_DAY, T0).reserved_nano, 30);
	ck_assert_int_eq(claim_at(T0 + 30, &again), 1);
	ck_ok(store_calls_unknown(st, &again.ref, T0 + 40, &n, &err), &err);
	ck_assert_int_eq(n, 1);
	ck_assert_int_eq(stands("ann", LIMIT_DAY, T0).reserved_nano, 0);
	ck_assert_int_eq(stands("ann", LIMIT_DAY, T0).unknown_nano, 30);
	ck_assert_int_eq(stands("ann", LIMIT_DAY, T0).booked_nano, 10);
	/* The call that is tried once more is another one, and held as such. */
	ck_ok(begin(&again, "ann", 60, T0, NULL, &err), &err);
	ck_fails(begin(&again, "ann", 1, T0, NULL, &err), ERR_BUDGET);
}
END_TEST

START_TEST(a_day_ends_at_midnight_utc_and_a_late_bill_belongs_to_its_day)
{
	int64_t midnight = (DAY0 + 1) * DAY_MS;
	struct claimed job;
	struct call_row a;

	open_limited(UNLIMITED, 100);
	add_with(1, "ann", 0, 0, ERR_OK, NULL);
	ck_assert_int_eq(claim_at(T0 + 10, &job), 1);
	ck_ok(begin(&job, "ann", 100, midnight - 1, &a, &err), &err);
	ck_fails(begin(&job, "ann", 1, midnight - 1, NULL, &err), ERR_BUDGET);
	ck_ok(begin(&job, "ann", 100, midnight, NULL, &err), &err);
	a.settled_ms = midnight + 5;
	settle(&a, CALL_ANSWERED, 90);
	ck_assert_int_eq(stands("ann", LIMIT_DAY, midnight - 1).booked_nano,
	    90);
	ck_assert_int_eq(stands("ann", LIMIT_DAY, midnight).booked_nano, 0);
	ck_assert_int_eq(stands("ann", LIMIT_DAY, midnight - 1).resets_ms,
	    midnight);
}
END_TEST

START_TEST(one_owner_does_not_spend_the_days_of_another)
{
	struct claimed ann, bob;

	open_limited(100, 150);
	add_with(1, "ann", 0, 0, ERR_OK, NULL);
	add_with(2, "bob", 0, 0, ERR_OK, NULL);
	ck_assert_int_eq(claim_at(T0 + 10, &ann), 1);
	ck_assert_int_eq(claim_at(T0 + 10, &bob), 2);
	ck_ok(begin(&ann, "ann", 100, T0, NULL, &err), &err);
	ck_fails(begin(&ann, "ann", 1, T0, NULL, &err), ERR_BUDGET);
	ck_fails(begin(&bob, "bob", 51, T0, NULL, &err), ERR_BUDGET);
	ck_assert_msg(strstr(err.msg, "The budget for today") != NULL, "%s",
	    err.msg);
	ck_ok(begin(&bob, "bob", 50, T0, NULL, &err), &err);
}
END_TEST

START_TEST(a_sum_that_does_not_fit_a_number_is_refused)
{
	struct claimed job;

	open_limited(UNLIMITED, INT64_MAX);
	add_with(1, "ann", 100, 0, ERR_OK, NULL);
	ck_assert_int_eq(claim_at(T0 + 10, &job), 1);
	ck_ok(begin(&job, "ann", 1, T0, NULL, &err), &err);
	ck_fails(begin(&job, "ann", INT64_MAX / 2, T0, NULL, &err),
	    ERR_BUDGET);
	ck_assert_int_eq(err.detail, BUDGET_USED_UP);
}
END_TEST

/* --- accepting runs --------------------------------------------------------- */

START_TEST(a_run_is_accepted_if_what_it_will_probably_cost_fits)
{
	struct budget refused = { .limit = LIMIT_NONE };
	struct claimed job;
	struct call_row a;

	open_limited(100, 150);
	add_with(1, "ann", 30, 31, ERR_BUDGET, &refused);
	ck_assert_int_eq(refused.limit, LIMIT_RUN);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM runs"), 0);
	add_with(1, "ann", 30, 30, ERR_OK, &refused);
	add_with(2, "ann", 0, 70, ERR_OK, &refused);
	add_with(3, "ann", 0, 1, ERR_BUDGET, &refused);
	ck_assert_int_eq(refused.limit, LIMIT_OWNER_DAY);
	ck_assert_int_eq(refused.planned_nano, 100);
	ck_assert_int_eq(budget_left(&refused), 0);
	ck_assert_int_eq(refused.resets_ms, (DAY0 + 1) * DAY_MS);
	add_with(3, "bob", 0, 51, ERR_BUDGET, &refused);
	ck_assert_int_eq(refused.limit, LIMIT_DAY);
	add_with(3, "bob", 0, 50, ERR_OK, &refused);
	/* Of what was planned, what is spent is not planned any more. */
	ck_assert_int_eq(claim_at(T0 + 10, &job), 1);
	ck_ok(begin(&job, "ann", 20, T0, &a, &err), &err);
	ck_assert_int_eq(stands("ann", LIMIT_OWNER_DAY, T0).planned_nano, 80);
	ck_assert_int_eq(stands("ann", LIMIT_OWNER_DAY, T0).reserved_nano, 20);
	settle(&a, CALL_ANSWERED, 5);
	ck_assert_int_eq(stands("ann", LIMIT_OWNER_DAY, T0).planned_nano, 95);
	/* A run that has ended plans nothing. */
	ck_ok(finish(&job, STATE_COMPLETED, T0 + 50), &err);
	ck_assert_int_eq(stands("ann", LIMIT_OWNER_DAY, T0).planned_nano, 70);
	ck_assert_int_eq(budget_left(&(struct budget){ .limit_nano = 5,
	    .booked_nano = 9 }), 0);
}
END_TEST

/* --- races ------------------------------------------------------------------ */

#define RACERS 100
#define RACER_COST 10
#define RACE_LIMIT 505		/* fifty of them, and not quite another */

static struct claimed race_job;
static atomic_int sent, refused_calls;

static void *
racer(void *arg)
{
	struct err e = ERR_INIT;
	struct call_row c;
	enum err_code rc;

	(void)arg;
	rc = begin(&race_job, "ann", RACER_COST, T0, &c, &e);
	if (rc == ERR_BUDGET) {
		atomic_fetch_add(&refused_calls, 1);
		return NULL;
	}
	if (rc == ERR_OK)
		atomic_fetch_add(&sent, 1);
	return NULL;
}

static void
race(int n)
{
	pthread_t t[RACERS];
	int i;

	for (i = 0; i < n; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, racer, NULL), 0);
	for (i = 0; i < n; i++)
		pthread_join(t[i], NULL);
}

START_TEST(a_hundred_racing_threads_never_pass_a_limit)
{
	open_limited(_i == 1 ? RACE_LIMIT : 0, _i == 2 ? RACE_LIMIT : 0);
	add_with(1, "ann", _i == 0 ? RACE_LIMIT : 0, 0, ERR_OK, NULL);
	ck_assert_int_eq(claim_at(T0 + 10, &race_job), 1);
	race(RACERS);
	ck_assert_int_eq(atomic_load(&sent), RACE_LIMIT / RACER_COST);
	ck_assert_int_eq(atomic_load(&refused_calls),
	    RACERS - RACE_LIMIT / RACER_COST);
	ck_assert_int_eq(sql_int("SELECT sum(estimate_nano) FROM model_calls"),
	    RACE_LIMIT / RACER_COST * RACER_COST);
}
END_TEST

#define PROCESSES 4

/* A process that spends with a connection of its own. */
static void
spender(int number, int ready_fd, int go_fd)
{
	char byte = 'r';

	open_limited(UNLIMITED, RACE_LIMIT);
	atomic_store(&next_call, number * RACERS);
	if (write(ready_fd, &byte, 1) != 1 || read(go_fd, &byte, 1) != 1)
		_exit(2);
	race(RACERS / PROCESSES);
	close_store();
	_exit(atomic_load(&sent) + atomic_load(&refused_calls) ==
	    RACERS / PROCESSES ? 0 : 1);
}

START_TEST(racing_processes_never_pass_a_limit)
{
	int ready[2], go[2], i, status;
	char byte;

	open_limited(UNLIMITED, RACE_LIMIT);
	add_with(1, "ann", 0, 0, ERR_OK, NULL);
	ck_assert_int_eq(claim_at(T0 + 10, &race_job), 1);
	close_store();
	ck_assert_int_eq(pipe(ready), 0);
	ck_assert_int_eq(pipe(go), 0);
	for (i = 0; i < PROCESSES; i++)
		if (fork() == 0)
			spender(i, ready[1], go[0]);
	for (i = 0; i < PROCESSES; i++)
		ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	ck_assert_int_eq(write(go[1], "gggg", PROCESSES), PROCESSES);
	for (i = 0; i < PROCESSES; i++) {
		ck_assert_int_gt(wait(&status), 0);
		ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	ck_assert_int_eq(sql_int("SELECT sum(estimate_nano) FROM model_calls"),
	    RACE_LIMIT / RACER_COST * RACER_COST);
	open_limited(UNLIMITED, RACE_LIMIT);
}
END_TEST

/* --- lists ------------------------------------------------------------------ */

static void
buy_at(const struct claimed *job, const char *owner, const char *model,
    bool simulated, int64_t cost_nano, int64_t sent_ms)
{
	struct call_row c;
	int n = atomic_fetch_add(&next_call, 1) + 1;

	call_init(&c, id_of("call", n), job, "strategy", n);
	c.owner = (char *)(uintptr_t)owner;
	c.model = (char *)(uintptr_t)model;
	c.simulated = simulated;
	c.sent_ms = sent_ms;
	ck_ok(store_call_begin(st, &job->ref, &c, &err), &err);
	c.prompt_tokens = 100;
	c.completion_tokens = 20;
	c.image_out_tokens = model[0] == 'i' ? 1290 : 0;
	settle(&c, CALL_ANSWERED, cost_nano);
}

/* Two owners, two days, real and play money. */
static void
fill(void)
{
	struct claimed ann, bob;

	set_up();
	add_with(1, "ann", 0, 0, ERR_OK, NULL);
	add_with(2, "bob", 0, 0, ERR_OK, NULL);
	ck_assert_int_eq(claim_at(T0 + 10, &ann), 1);
	ck_assert_int_eq(claim_at(T0 + 10, &bob), 2);
	buy_at(&ann, "ann", "gpt", false, 10, T0);
	buy_at(&ann, "ann", "img", false, 200, T0 + 1);
	buy_at(&ann, "ann", "gpt", true, 3000, T0 + 2);
	buy_at(&ann, "ann", "gpt", false, 40000, T0 + DAY_MS);
	buy_at(&bob, "bob", "gpt", false, 500000, T0 + 5);
	ck_ok(begin(&bob, "bob", 7, T0 + 6, NULL, &err), &err);
}

static void
ask(const struct spend_query *q, struct spend_page *out)
{
	ck_ok(store_spend(st, q, out, &err), &err);
}

START_TEST(spending_is_listed_by_day_with_its_totals)
{
	struct spend_query q = { "ann", DAY0, DAY0 + 2, SPEND_BY_DAY, 10,
	    NULL };
	struct spend_page p;

	ask(&q, &p);
	ck_assert_int_eq(p.n, 3);
	ck_assert_int_eq(p.rows[0].day, DAY0 + 1);	/* newest first */
	ck_assert_int_eq(p.rows[0].sums.cost_nano, 40000);
	ck_assert_int_eq(p.rows[1].day, DAY0);
	ck_assert(!p.rows[1].key.simulated && p.rows[2].key.simulated);
	ck_assert_int_eq(p.rows[1].sums.cost_nano, 210);
	ck_assert_int_eq(p.rows[1].sums.calls, 2);
	ck_assert_int_eq(p.rows[1].sums.images, 1);
	ck_assert_int_eq(p.rows[1].sums.input_tokens, 200);
	ck_assert_int_eq(p.rows[1].sums.output_tokens, 20 + 1290);
	ck_assert_int_eq(p.rows[2].sums.cost_nano, 3000);
	ck_assert_int_eq(p.total.cost_nano, 43210);
	ck_assert_int_eq(p.total.calls, 4);
	ck_assert_int_eq(p.simulated_nano, 3000);
	ck_assert(!p.more);
	spend_page_release(&p);
	q.limit = 1;
	ask(&q, &p);
	ck_assert(p.n == 1 && p.more);
	ck_assert_int_eq(p.total.cost_nano, 43210);
	spend_page_release(&p);
	q.from_day = DAY0 + 1;
	ask(&q, &p);
	ck_assert_int_eq(p.total.cost_nano, 40000);
	spend_page_release(&p);
	q.from_day = DAY0 + 5;
	q.to_day = DAY0 + 6;
	ask(&q, &p);
	ck_assert(p.n == 0 && !p.more && p.total.calls == 0);
	spend_page_release(&p);
	q.limit = MAX_SPEND_ROWS + 1;
	ck_fails(store_spend(st, &q, &p, &err), ERR_INVALID);
}
END_TEST

START_TEST(spending_is_listed_by_model_the_dearest_first)
{
	struct spend_query q = { NULL, DAY0, DAY0 + 2, SPEND_BY_MODEL, 10,
	    NULL };
	struct spend_page p;

	ask(&q, &p);
	ck_assert_int_eq(p.n, 4);
	ck_assert_str_eq(p.rows[0].model, "gpt");
	ck_assert_str_eq(p.rows[0].provider, "openai");
	ck_assert_int_eq(p.rows[0].sums.cost_nano, 540010);
	ck_assert(p.rows[1].key.simulated);
	ck_assert_str_eq(p.rows[2].model, "img");
	ck_assert_str_eq(p.rows[3].model, "gpt-4.1");
	ck_assert_int_eq(p.rows[3].sums.reserved_nano, 7);
	ck_assert_int_eq(p.total.reserved_nano, 7);
	spend_page_release(&p);
}
END_TEST

START_TEST(spending_is_listed_by_run_page_by_page)
{
	struct spend_query q = { NULL, DAY0, DAY0 + 2, SPEND_BY_RUN, 1, NULL };
	static const struct {
		int run;
		bool simulated;
		int64_t cost;
	} want[] = { { 2, false, 500000 }, { 1, true, 3000 },
	    { 1, false, 40210 } };
	struct spend_key key;
	struct spend_page p;
	size_t i;

	for (i = 0; i < ARRAY_LEN(want); i++) {
		ask(&q, &p);
		ck_assert_int_eq(p.n, 1);
		ck_assert_str_eq(p.rows[0].key.run_id,
		    id_of("run", want[i].run));
		ck_assert_int_eq(p.rows[0].key.simulated, want[i].simulated);
		ck_assert_int_eq(p.rows[0].sums.cost_nano, want[i].cost);
		ck_assert_int_eq(p.total.cost_nano, 543210);
		ck_assert_int_eq(p.more, i + 1 < ARRAY_LEN(want));
		key = p.rows[0].key;
		q.after = &key;
		spend_page_release(&p);
	}
	ask(&q, &p);
	ck_assert_int_eq(p.n, 0);
	spend_page_release(&p);
}
END_TEST

START_TEST(groups_have_names)
{
	enum spend_group g;
	int i;

	for (i = 0; i < SPEND_GROUP__COUNT; i++) {
		ck_assert(spend_group_parse(spend_group_name(
		    (enum spend_group)i), &g));
		ck_assert_int_eq(g, i);
	}
	ck_assert(!spend_group_parse("owner", &g));
	ck_assert_str_eq(spend_limit_name(LIMIT_OWNER_DAY), "owner_day");
}
END_TEST

/* --- sums that are wrong ---------------------------------------------------- */

static int
count_differences(struct strbuf *out)
{
	int n = -1;

	strbuf_reset(out);
	ck_ok(store_check_spend(st, out, &n, &err), &err);
	return n;
}

static const char *const damages[] = {
	"UPDATE spend_days SET cost_nano = cost_nano + 1 WHERE model = 'img'",
	"UPDATE spend_jobs SET reserved_nano = 0 WHERE owner = 'bob'",
	"DELETE FROM spend_days WHERE owner = 'bob'",
	"DELETE FROM spend_jobs WHERE owner = 'ann'",
	"UPDATE spend_days SET calls = 0 WHERE model = 'img'",
	"INSERT INTO spend_days VALUES (1, 'x', '', '', 0, 1, 0, 0, 0, 0, 9,"
	" 0, 0)",
};

START_TEST(a_sum_that_is_wrong_is_found_and_made_anew)
{
	struct strbuf out = STRBUF_INIT(4096);

	ck_assert_int_eq(count_differences(&out), 0);
	sql_run(damages[_i]);
	ck_assert_int_gt(count_differences(&out), 0);
	ck_assert_uint_gt(out.len, 0);
	ck_ok(store_recount_spend(st, &err), &err);
	ck_assert_int_eq(count_differences(&out), 0);
	strbuf_release(&out);
}
END_TEST

START_TEST(a_call_that_cost_more_than_was_reserved_is_told)
{
	struct strbuf out = STRBUF_INIT(4096);
	struct claimed job;
	struct call_row c;
	int n = -1;

	set_up();
	add_with(1, "ann", 0, 0, ERR_OK, NULL);
	ck_assert_int_eq(claim_at(T0 + 10, &job), 1);
	ck_ok(begin(&job, "ann", 50, T0, &c, &err), &err);
	settle(&c, CALL_ANSWERED, 50);
	ck_ok(store_check_estimates(st, 0, &out, &n, &err), &err);
	ck_assert_int_eq(n, 0);
	ck_ok(begin(&job, "ann", 50, T0 + 9, &c, &err), &err);
	settle(&c, CALL_ANSWERED, 2050);
	ck_ok(store_check_estimates(st, 0, &out, &n, &err), &err);
	ck_assert_int_eq(n, 1);
	ck_assert_str_eq(out.buf, "openai gpt-4.1: 1 calls cost more than was "
	    "reserved, by 0.000002 dollars at most\n");
	ck_ok(store_check_estimates(st, T0 + 10, &out, &n, &err), &err);
	ck_assert_int_eq(n, 0);
	strbuf_release(&out);
}
END_TEST

/* --- any history ------------------------------------------------------------ */

#define HISTORIES 12
#define STEPS 250
#define HISTORY_RUNS 6
#define MAX_OPEN 24

struct history {
	unsigned seed;
	struct claimed jobs[HISTORY_RUNS];
	bool running[HISTORY_RUNS];
	struct call_row open[MAX_OPEN];	/* sent or unknown */
	int n_open;
	int64_t now_ms;
};

static const char *const history_owners[] = { "ann", "bob" };

static int
dice(struct history *h, int n)
{
	h->seed = h->seed * 1103515245u + 12345u;
	return (int)((h->seed >> 16) % (unsigned)n);
}

static void
history_call(struct history *h)
{
	int j = dice(h, HISTORY_RUNS);
	struct call_row c;
	enum err_code rc;

	if (!h->running[j] || h->n_open == MAX_OPEN)
		return;
	rc = begin(&h->jobs[j], history_owners[j % 2], 1 + dice(h, 400),
	    h->now_ms, &c, &err);
	ck_assert_msg(rc == ERR_OK || rc == ERR_BUDGET, "%s", err.msg);
	if (rc == ERR_OK)
		h->open[h->n_open++] = c;
}

/* Never more than was reserved, often less. */
static void
history_settle(struct history *h)
{
	static const enum call_state ends[] = { CALL_ANSWERED, CALL_ANSWERED,
	    CALL_FAILED, CALL_UNKNOWN };
	struct call_row *c;
	enum call_state to;
	int i;

	if (h->n_open == 0)
		return;
	i = dice(h, h->n_open);
	c = &h->open[i];
	to = ends[dice(h, ARRAY_LEN(ends))];
	c->prompt_tokens = dice(h, 1000);
	c->image_out_tokens = dice(h, 2) * 1290;
	settle(c, to, to == CALL_ANSWERED ?
	    dice(h, (int)c->estimate_nano + 1) : 0);
	if (to != CALL_UNKNOWN)
		h->open[i] = h->open[--h->n_open];
}

static void
history_end(struct history *h)
{
	int j = dice(h, HISTORY_RUNS);
	struct expired x;
	int n;

	if (!h->running[j])
		return;
	if (dice(h, 2) == 0) {
		ck_ok(finish(&h->jobs[j], dice(h, 2) ? STATE_COMPLETED :
		    STATE_FAILED, h->now_ms), &err);
		h->running[j] = false;
		return;
	}
	/* Everybody dies and is found again. */
	ck_ok(store_expire_leases(st, me.id, h->now_ms, 1000, "x", &x, &err),
	    &err);
	for (j = 0; j < x.requeued; j++) {
		struct claimed c;
		int which = claim_at(h->now_ms, &c);

		ck_assert_int_gt(which, 0);
		h->jobs[which - 1] = c;
		h->jobs[which - 1].ref.job_id = h->jobs[which - 1].job_id;
		h->jobs[which - 1].ref.run_id = h->jobs[which - 1].run_id;
		ck_ok(store_calls_unknown(st, &h->jobs[which - 1].ref,
		    h->now_ms, &n, &err), &err);
	}
}

/* No sum passes its limit, ever. */
static void
check_limits(const struct history *h)
{
	struct budget b[MAX_BUDGETS];
	size_t o;
	int i, n;

	for (o = 0; o < ARRAY_LEN(history_owners); o++) {
		ck_ok(store_budgets(st, history_owners[o], h->now_ms, b, &n,
		    &err), &err);
		for (i = 0; i < n; i++)
			ck_assert_int_le(b[i].booked_nano + b[i].unknown_nano +
			    b[i].reserved_nano, b[i].limit_nano);
	}
}

/* A list against the ledger itself, summed by somebody else's hand. */
static void
check_lists(struct history *h)
{
	struct spend_query q = { dice(h, 3) == 0 ? NULL :
	    history_owners[dice(h, 2)], DAY0 + dice(h, 2),
	    DAY0 + 1 + dice(h, 3), (enum spend_group)dice(h, 3), 1000, NULL };
	struct spend_sums sum = { .calls = 0 };
	struct spend_page p;
	char sql[500];
	int i;

	ask(&q, &p);
	for (i = 0; i < p.n; i++) {
		sum.calls += p.rows[i].sums.calls;
		sum.cost_nano += p.rows[i].sums.cost_nano;
		sum.unknown_nano += p.rows[i].sums.unknown_nano;
	}
	ck_assert_int_eq(sum.calls, p.total.calls);
	ck_assert_int_eq(sum.cost_nano, p.total.cost_nano);
	ck_assert_int_eq(sum.unknown_nano, p.total.unknown_nano);
	snprintf(sql, sizeof(sql), "SELECT COALESCE(sum(cost_nano), 0)"
	    " FROM model_calls WHERE sent_ms >= %lld AND sent_ms < %lld"
	    " AND owner LIKE '%s'", (long long)(q.from_day * DAY_MS),
	    (long long)(q.to_day * DAY_MS), q.owner == NULL ? "%" : q.owner);
	ck_assert_int_eq(sql_int(sql), p.total.cost_nano);
	spend_page_release(&p);
}

START_TEST(whatever_happens_sums_are_the_ledgers_and_limits_hold)
{
	struct strbuf out = STRBUF_INIT(4096);
	struct history h = { .seed = (unsigned)_i * 7919 + 1,
	    .now_ms = T0 + 1000 };
	int i, what;

	open_limited(3000, 5000);
	for (i = 0; i < HISTORY_RUNS; i++) {
		add_with(i + 1, history_owners[i % 2], 2000, 0, ERR_OK, NULL);
		ck_assert_int_eq(claim_at(h.now_ms, &h.jobs[i]), i + 1);
		h.running[i] = true;
	}
	for (i = 0; i < STEPS; i++) {
		h.now_ms += dice(&h, 1000000);
		what = dice(&h, 10);
		if (what < 5)
			history_call(&h);
		else if (what < 9)
			history_settle(&h);
		else if (dice(&h, 4) == 0)
			history_end(&h);
		check_limits(&h);
		if (i % 10 == 0)
			check_lists(&h);
	}
	ck_assert_int_eq(count_differences(&out), 0);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM (SELECT job_id,"
	    " sum(cost_nano + reserved_nano + unknown_nano) AS gone"
	    " FROM ledger_figures GROUP BY 1) WHERE gone > 2000"), 0);
	strbuf_release(&out);
}
END_TEST

Suite *
spend_suite(void)
{
	Suite *s = suite_create("store: spending");
	TCase *tc = tcase_create("limits");
	TCase *lists = tcase_create("lists");
	TCase *races = tcase_create("races");

	tcase_add_checked_fixture(tc, set_up_closed, tear_down);
	tcase_add_loop_test(tc,
	    a_call_is_sent_only_if_the_most_it_can_cost_fits, 0,
	    ARRAY_LEN(limit_rows));
	tcase_add_test(tc,
	    a_call_that_may_have_been_paid_holds_until_somebody_knows);
	tcase_add_test(tc,
	    what_an_unknown_call_was_booked_with_is_not_held_again);
	tcase_add_test(tc, a_crash_reserves_nothing_twice);
	tcase_add_test(tc,
	    a_day_ends_at_midnight_utc_and_a_late_bill_belongs_to_its_day);
	tcase_add_test(tc, one_owner_does_not_spend_the_days_of_another);
	tcase_add_test(tc, a_sum_that_does_not_fit_a_number_is_refused);
	tcase_add_test(tc,
	    a_run_is_accepted_if_what_it_will_probably_cost_fits);
	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(races, set_up_closed, tear_down);
	tcase_set_timeout(races, 120);
	tcase_add_loop_test(races,
	    a_hundred_racing_threads_never_pass_a_limit, 0, 3);
	tcase_add_test(races, racing_processes_never_pass_a_limit);
	tcase_add_loop_test(races,
	    whatever_happens_sums_are_the_ledgers_and_limits_hold, 0,
	    HISTORIES);
	suite_add_tcase(s, races);
	tcase_add_checked_fixture(lists, fill, tear_down);
	tcase_add_test(lists, spending_is_listed_by_day_with_its_totals);
	tcase_add_test(lists,
	    spending_is_listed_by_model_the_dearest_first);
	tcase_add_test(lists, spending_is_listed_by_run_page_by_page);
	tcase_add_test(lists, groups_have_names);
	tcase_add_loop_test(lists, a_sum_that_is_wrong_is_found_and_made_anew,
	    0, ARRAY_LEN(damages));
	suite_add_tcase(s, lists);
	tc = tcase_create("estimates");
	tcase_add_checked_fixture(tc, NULL, tear_down);
	tcase_add_test(tc, a_call_that_cost_more_than_was_reserved_is_told);
	suite_add_tcase(s, tc);
	return s;
}
