/* The queue under load: who wins a race, and what a claim costs. */
#include "tests/unit/store_support.h"

#include <stdatomic.h>

#include "deletion.h"
#include "xalloc.h"

Suite *race_suite(void);

/* --- races ---------------------------------------------------------------- */

#define RACES 1000

struct race {
	pthread_barrier_t start, end;
	struct claimed c;
	int n;			/* 0: no more */
	enum err_code finished;
	enum cancel_outcome outcome;
};

static void *
canceller(void *arg)
{
	struct race *r = arg;
	struct err e = ERR_INIT;
	enum state was;

	for (;;) {
		pthread_barrier_wait(&r->start);
		if (r->n == 0)
			return NULL;
		ck_assert_int_eq(store_cancel_run(st, "ann", r->c.run_id,
		    "stop", T0 + 50, &r->outcome, &was, &e), ERR_OK);
		pthread_barrier_wait(&r->end);
	}
}

START_TEST(of_cancel_and_finish_exactly_one_wins)
{
	struct race r = { .n = 0 };
	pthread_t t;
	int i, cancelled = 0;

	pthread_barrier_init(&r.start, NULL, 2);
	pthread_barrier_init(&r.end, NULL, 2);
	pthread_create(&t, NULL, canceller, &r);
	for (i = 1; i <= RACES; i++) {
		add_run(i);
		ck_assert_int_eq(claim_at(T0 + HOUR, &r.c), i);
		r.n = i;
		pthread_barrier_wait(&r.start);
		r.finished = finish(&r.c, STATE_COMPLETED, T0 + 50);
		pthread_barrier_wait(&r.end);
		if (r.outcome == CANCEL_DONE) {
			ck_assert_int_eq(r.finished, ERR_CANCELLED);
			ck_assert_int_eq(run_status(i), STATE_CANCELLED);
			cancelled++;
		} else {
			ck_assert_int_eq(r.finished, ERR_OK);
			ck_assert_int_eq(run_status(i), STATE_COMPLETED);
		}
	}
	r.n = 0;
	pthread_barrier_wait(&r.start);
	pthread_join(t, NULL);
	pthread_barrier_destroy(&r.start);
	pthread_barrier_destroy(&r.end);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM runs"
	    " WHERE status = 'CANCELLED'"), cancelled);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM events"), RACES);
}
END_TEST

#define CLAIMERS 8
#define CLAIM_RUNS 200

static atomic_int claims_of[CLAIM_RUNS + 1];

static void *
claimer(void *arg)
{
	int n;

	(void)arg;
	for (;;) {
		n = claim_at(T0 + HOUR, NULL);
		if (n == 0)
			return NULL;
		atomic_fetch_add(&claims_of[n], 1);
	}
}

START_TEST(no_two_claimers_get_the_same_job)
{
	struct run_spec spec = { .owner = NULL };
	pthread_t t[CLAIMERS];
	int i;

	for (i = 1; i <= CLAIM_RUNS; i++) {
		spec.n = i;
		spec.owner = i % 3 == 0 ? "bob" : "ann";
		add(&spec);
	}
	for (i = 0; i < CLAIMERS; i++)
		pthread_create(&t[i], NULL, claimer, NULL);
	for (i = 0; i < CLAIMERS; i++)
		pthread_join(t[i], NULL);
	for (i = 1; i <= CLAIM_RUNS; i++)
		ck_assert_int_eq(atomic_load(&claims_of[i]), 1);
}
END_TEST

/* --- what it costs -------------------------------------------------------- */

#define MANY 10000
#define CLAIM_STEPS_MAX 4000	/* of the engine's machine; a scan takes 10^5 */

static atomic_llong steps, scans;

static int
on_profile(unsigned what, void *arg, void *stmt, void *ns)
{
	(void)what;
	(void)arg;
	(void)ns;
	atomic_fetch_add(&steps, sqlite3_stmt_status(stmt,
	    SQLITE_STMTSTATUS_VM_STEP, 1));
	atomic_fetch_add(&scans, sqlite3_stmt_status(stmt,
	    SQLITE_STMTSTATUS_FULLSCAN_STEP, 1));
	return 0;
}

/* Called for every connection that is opened from now on. */
static int
on_connection(sqlite3 *conn, const char **msg, const void *api)
{
	(void)msg;
	(void)api;
	sqlite3_trace_v2(conn, SQLITE_TRACE_PROFILE, on_profile, NULL);
	return SQLITE_OK;
}

static void
watch_statements(void)
{
	int rc;

	/* The engine declares the hook without its arguments. */
	rc = sqlite3_auto_extension((void (*)(void))(uintptr_t)on_connection);
	ck_assert_int_eq(rc, SQLITE_OK);
}

static void
fill_queue(int n_owners)
{
	char sql[900];

	snprintf(sql, sizeof(sql),
	    "BEGIN;"
	    "CREATE TEMP TABLE t AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL"
	    " SELECT n + 1 FROM c WHERE n < %d) SELECT n FROM c;"
	    "INSERT INTO runs (id, owner, status, mode, created_ms)"
	    " SELECT printf('run-%%06d', n), 'o' || (n %% %d), 'PENDING', 'm',"
	    " n FROM t;"
	    "INSERT INTO jobs (id, run_id, subject_id, kind, owner, state,"
	    " priority, due_ms, created_ms, deadline_after_ms)"
	    " SELECT printf('job-%%06d', n), printf('run-%%06d', n), 'x',"
	    " 'generation', 'o' || (n %% %d), 'PENDING', 0, n, n, 1 FROM t;"
	    "UPDATE job_counts SET n = %d WHERE state = 'PENDING';"
	    "INSERT INTO run_counts SELECT owner, status, mode, '', count(*)"
	    " FROM runs GROUP BY 1, 2, 3; COMMIT",
	    MANY, n_owners, n_owners, MANY);
	sql_run(sql);
}

static const int owner_numbers[] = { 1, 50, 1000, MANY };

START_TEST(no_statement_of_a_runs_life_reads_a_whole_table)
{
	struct store_options o = options();
	struct run_query q = { .owner = "ann", .page = 1, .page_size = 20 };
	enum cancel_outcome outcome;
	struct deleted_run from = { "", 0 };
	enum delete_outcome deleted;
	struct queue_figures figures;
	struct deleted_list gone;
	struct stage_list stages;
	struct run_page page;
	struct expired x;
	struct claimed c;
	enum state was;
	int i;

	watch_statements();
	open_with(&o);
	fill_queue(owner_numbers[_i]);
	close_store();
	open_with(&o);
	atomic_store(&scans, 0);
	for (i = 1; i <= 20; i++) {
		atomic_store(&steps, 0);
		ck_assert_int_ne(claim_at(T0, &c), 0);
		ck_assert_msg(atomic_load(&steps) < CLAIM_STEPS_MAX,
		    "claim %d took %lld steps", i, atomic_load(&steps));
	}
	ck_ok(tell(&c, "strategy", STAGE_RUNNING, T0), &err);
	ck_ok(checkpoint(&c, "strategy", 1, T0), &err);
	buy(&c, "call-1", "strategy", 5);
	ck_ok(tell(&c, "strategy", STAGE_COMPLETED, T0), &err);
	ck_ok(finish(&c, STATE_COMPLETED, T0), &err);
	add_run(MANY + 1);
	ck_ok(cancel(MANY + 1, T0, &outcome, &was), &err);
	ck_ok(store_expire_leases(st, me.id, T0, 3, "x", &x, &err), &err);
	ck_ok(store_list_runs(st, &q, &page, &err), &err);
	run_page_release(&page);
	q.by_status = true;
	ck_ok(store_list_runs(st, &q, &page, &err), &err);
	run_page_release(&page);
	ck_ok(store_list_run_stages(st, c.run_id, &stages, &err), &err);
	stage_list_release(&stages);
	ck_ok(store_queue_figures(st, &figures, &err), &err);
	ck_assert_int_ge(last_event_seq(MANY + 1), 1);
	ck_ok(store_delete_run(st, NULL, c.run_id, T0, &deleted, &err), &err);
	ck_assert_int_eq(deleted, DELETE_DONE);
	ck_ok(store_list_deleted(st, &from, 0, &gone, &err), &err);
	ck_assert_int_eq(gone.n, 1);
	deleted_list_release(&gone);
	ck_ok(store_files_removed(st, c.run_id, &err), &err);
	ck_assert_int_eq(atomic_load(&scans), 0);
}
END_TEST

Suite *
race_suite(void)
{
	Suite *s = suite_create("store: races");
	TCase *tc = tcase_create("races");
	TCase *cost = tcase_create("cost");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, of_cancel_and_finish_exactly_one_wins);
	tcase_add_test(tc, no_two_claimers_get_the_same_job);
	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(cost, set_up_closed, tear_down);
	tcase_set_timeout(cost, 60);
	tcase_add_loop_test(cost,
	    no_statement_of_a_runs_life_reads_a_whole_table, 0,
	    ARRAY_LEN(owner_numbers));
	suite_add_tcase(s, cost);
	return s;
}
