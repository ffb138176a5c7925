/* Lists of runs: filters, pages by number and by key, totals, and the cost. */
#include "tests/unit/store_support.h"

#include <stdatomic.h>

#include "clock.h"
#include "xalloc.h"

Suite *list_suite(void);

/* --- what is in a page ---------------------------------------------------- */

static void
add_ids(struct strbuf *got, const struct run_page *p)
{
	int i;

	for (i = 0; i < p->n; i++) {
		strbuf_addf(got, "%s%ld", got->len > 0 ? " " : "",
		    strtol(p->runs[i].id + 4, NULL, 10));
		ck_assert_ptr_null(p->runs[i].form);
		ck_assert_ptr_null(p->runs[i].inputs);
	}
}

static void
expect_page(const struct run_query *q, int64_t total, const char *ids)
{
	struct strbuf got = STRBUF_INIT(1000);
	struct run_page p;

	ck_ok(store_list_runs(st, q, &p, &err), &err);
	add_ids(&got, &p);
	ck_assert_str_eq(got.buf != NULL ? got.buf : "", ids);
	ck_assert_int_eq(p.total, total);
	run_page_release(&p);
	strbuf_release(&got);
}

/* Go on by key until there is no more; how many pages it took. */
static int
follow(struct run_query q, struct strbuf *got)
{
	struct run_page p;
	bool more = true;
	int pages = 0;

	q.page = 0;
	while (more) {
		ck_ok(store_list_runs(st, &q, &p, &err), &err);
		ck_assert_int_le(p.n, q.page_size);
		add_ids(got, &p);
		more = p.has_more;
		q.after = p.next;
		run_page_release(&p);
		ck_assert_int_lt(++pages, 1000);
	}
	return pages;
}

/* 2 and 4 are cancelled. */
static void
add_mixed_runs(void)
{
	static const struct run_spec specs[] = {
		{ .n = 1, .platform = "Story", .prompt = "Oat flat white" },
		{ .n = 2, .mode = "custom_mode", .platform = "Square",
		  .prompt = "100% rye, 20_g SALT \\o/" },
		{ .n = 3, .owner = "bob", .platform = "Story",
		  .prompt = "a FLAT bread" },
		{ .n = 4, .prompt = "Zwiebelkuchen, \xc3\x96l und Salz" },
		{ .n = 5, .created_ms = T0 + 4, .platform = "Story" },
	};
	enum cancel_outcome outcome;
	enum state was;
	size_t i;

	for (i = 0; i < ARRAY_LEN(specs); i++)
		add(&specs[i]);
	ck_ok(cancel(2, T0 + 50, &outcome, &was), &err);
	ck_ok(cancel(4, T0 + 50, &outcome, &was), &err);
}

#define ANN	.owner = "ann"
#define PAGE	.page = 1, .page_size = 20
#define IN(s)	.by_status = true, .status = STATE_##s
#define UNKNOWN	(-1)

static const struct {
	struct run_query q;
	int total;
	const char *ids;
} pages[] = {
	{ { ANN, PAGE }, 4, "5 4 2 1" },
	{ { PAGE }, 5, "5 4 3 2 1" },
	{ { ANN, .page = 1, .page_size = 2 }, 4, "5 4" },
	{ { ANN, .page = 2, .page_size = 2 }, 4, "2 1" },
	{ { ANN, .page = 3, .page_size = 2 }, 4, "" },
	{ { ANN, .page = 2000000000, .page_size = 100 }, 4, "" },
	{ { ANN, IN(CANCELLED), PAGE }, 2, "4 2" },
	{ { IN(PENDING), PAGE }, 3, "5 3 1" },
	{ { ANN, .mode = "easy_mode", PAGE }, 3, "5 4 1" },
	{ { .mode = "easy_mode", IN(PENDING), PAGE }, 3, "5 3 1" },
	{ { ANN, .mode = "custom_mode", IN(CANCELLED), PAGE }, 1, "2" },
	{ { ANN, .mode = "custom_mode", IN(RUNNING), PAGE }, 0, "" },
	{ { .owner = "nobody", PAGE }, 0, "" },
	{ { .owner = "", PAGE }, 0, "" },
	/* platforms */
	{ { .platform = "Story", PAGE }, 3, "5 3 1" },
	{ { ANN, .platform = "Story", PAGE }, 2, "5 1" },
	{ { ANN, .platform = "Square", IN(CANCELLED), PAGE }, 1, "2" },
	{ { ANN, .platform = "story", PAGE }, 0, "" },
	{ { ANN, .platform = "Stor%", PAGE }, 0, "" },
	{ { ANN, .platform = "Story", .mode = "custom_mode", PAGE }, 0, "" },
	/* times */
	{ { ANN, .from_ms = T0 + 2, PAGE }, UNKNOWN, "5 4 2" },
	{ { ANN, .to_ms = T0 + 4, PAGE }, UNKNOWN, "2 1" },
	{ { .from_ms = T0 + 2, .to_ms = T0 + 4, PAGE }, UNKNOWN, "3 2" },
	{ { .from_ms = T0 + 4, .to_ms = T0 + 4, PAGE }, UNKNOWN, "" },
	{ { .from_ms = T0 + 9, PAGE }, UNKNOWN, "" },
	{ { ANN, IN(CANCELLED), .from_ms = T0 + 3, PAGE }, UNKNOWN, "4" },
	{ { ANN, .from_ms = T0, .page = 2, .page_size = 3 }, UNKNOWN, "1" },
	/* words */
	{ { .text = "flat", PAGE }, UNKNOWN, "3 1" },
	{ { ANN, .text = "FlAt WhItE", PAGE }, UNKNOWN, "1" },
	{ { .text = "flat", .page = 2, .page_size = 1 }, UNKNOWN, "1" },
	{ { .text = "flat", .page = 3, .page_size = 1 }, UNKNOWN, "" },
	{ { ANN, .text = "%", PAGE }, UNKNOWN, "2" },
	{ { ANN, .text = "_", PAGE }, UNKNOWN, "2" },
	{ { ANN, .text = "20_G", PAGE }, UNKNOWN, "2" },
	{ { ANN, .text = "20xg", PAGE }, UNKNOWN, "" },
	{ { ANN, .text = "\\", PAGE }, UNKNOWN, "2" },
	{ { ANN, .text = "\\O/", PAGE }, UNKNOWN, "2" },
	{ { ANN, .text = "'; DROP TABLE runs; --", PAGE }, UNKNOWN, "" },
	{ { ANN, .text = "sal", PAGE }, UNKNOWN, "4 2" },
	{ { ANN, .text = "\xc3\x96L", PAGE }, UNKNOWN, "4" },
	{ { ANN, .text = "\xc3\xb6l", PAGE }, UNKNOWN, "" },	/* not folded */
	{ { ANN, .text = "", PAGE }, 4, "5 4 2 1" },
	{ { ANN, .text = "sal", IN(CANCELLED), .mode = "custom_mode",
	    .platform = "Square", .from_ms = T0, .to_ms = T0 + 3, PAGE },
	  UNKNOWN, "2" },
};

START_TEST(a_list_is_newest_first_with_its_total)
{
	add_mixed_runs();
	expect_page(&pages[_i].q, pages[_i].total, pages[_i].ids);
}
END_TEST

START_TEST(keys_lead_through_the_same_list)
{
	struct strbuf got = STRBUF_INIT(1000), all = STRBUF_INIT(1000);
	struct run_query q = pages[_i].q;
	int size;

	add_mixed_runs();
	q.page_size = 20;
	ck_assert_int_eq(follow(q, &all), 1);
	if (pages[_i].q.page == 1 && pages[_i].q.page_size == 20)
		ck_assert_str_eq(all.buf != NULL ? all.buf : "",
		    pages[_i].ids);
	for (size = 1; size <= 3; size++) {
		q.page_size = size;
		follow(q, &got);
		ck_assert_str_eq(got.buf != NULL ? got.buf : "",
		    all.buf != NULL ? all.buf : "");
		strbuf_release(&got);
	}
	strbuf_release(&all);
}
END_TEST

START_TEST(runs_are_counted_by_status)
{
	int64_t n[STATE__COUNT], all = 0;
	struct run_query q = { .page = 1, .page_size = 1 };
	int i;

	add_mixed_runs();
	ck_ok(store_count_runs(st, n, &err), &err);
	for (i = 0; i < STATE__COUNT; i++) {
		struct run_page p;

		q.by_status = true;
		q.status = (enum state)i;
		ck_ok(store_list_runs(st, &q, &p, &err), &err);
		ck_assert_int_eq(n[i], p.total);
		run_page_release(&p);
		all += n[i];
	}
	ck_assert_int_gt(n[STATE_PENDING], 0);
	ck_assert_int_gt(all, n[STATE_PENDING]);
}
END_TEST

START_TEST(a_page_that_is_none_is_refused)
{
	char text[MAX_LIST_TEXT_BYTES + 2];
	struct run_query q = { .owner = "ann", .page = -1, .page_size = 20 };
	struct run_page p;

	ck_fails(store_list_runs(st, &q, &p, &err), ERR_INVALID);
	q.page = 1;
	q.page_size = MAX_LIST_PAGE + 1;
	ck_fails(store_list_runs(st, &q, &p, &err), ERR_INVALID);
	q.page_size = 0;
	ck_fails(store_list_runs(st, &q, &p, &err), ERR_INVALID);
	q.page_size = 20;
	memset(text, '%', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	q.text = text;
	ck_fails(store_list_runs(st, &q, &p, &err), ERR_INVALID);
	text[sizeof(text) - 2] = '\0';
	expect_page(&q, UNKNOWN, "");
}
END_TEST

START_TEST(a_page_by_number_says_where_to_go_on)
{
	struct run_query q = { .owner = "ann", .page = 1, .page_size = 3 };
	struct strbuf got = STRBUF_INIT(100);
	struct run_page p;

	add_mixed_runs();
	ck_ok(store_list_runs(st, &q, &p, &err), &err);
	ck_assert(p.has_more);
	q.page = 0;
	q.after = p.next;
	run_page_release(&p);
	ck_ok(store_list_runs(st, &q, &p, &err), &err);
	add_ids(&got, &p);
	ck_assert_str_eq(got.buf, "1");
	ck_assert_int_eq(p.total, 4);
	ck_assert(!p.has_more);
	run_page_release(&p);
	strbuf_release(&got);
}
END_TEST

START_TEST(keys_are_not_moved_by_what_comes_and_goes)
{
	struct run_query q = { .owner = "ann", .page_size = 2 };
	enum cancel_outcome outcome;
	enum state was;
	struct run_page p;
	int n;

	for (n = 1; n <= 6; n++)
		add_run(n);
	ck_ok(store_list_runs(st, &q, &p, &err), &err);	/* 6 5 */
	q.after = p.next;
	run_page_release(&p);
	add_run(7);
	sql_run("DELETE FROM stages WHERE job_id = 'job-000005';"
	    "DELETE FROM jobs WHERE run_id = 'run-000005';"
	    "DELETE FROM runs WHERE id = 'run-000005';"
	    "UPDATE run_counts SET n = n - 1;"
	    "UPDATE job_counts SET n = n - 1 WHERE state = 'PENDING'");
	ck_ok(cancel(4, T0 + 50, &outcome, &was), &err);
	expect_page(&q, 6, "4 3");
}
END_TEST

/* --- many ----------------------------------------------------------------- */

#define MANY 100000
#define RARE 99000		/* the only one of its mode and platform */

static atomic_llong sorts, scans;
static char walked[4096];	/* the text of a walk over keys */

static int
on_profile(unsigned what, void *arg, void *stmt, void *ns)
{
	const char *sql = sqlite3_sql(stmt);

	(void)what;
	(void)arg;
	(void)ns;
	atomic_fetch_add(&sorts, sqlite3_stmt_status(stmt,
	    SQLITE_STMTSTATUS_SORT, 1));
	atomic_fetch_add(&scans, sqlite3_stmt_status(stmt,
	    SQLITE_STMTSTATUS_FULLSCAN_STEP, 1));
	if (strstr(sql, "(created_ms, id) <") != NULL)
		snprintf(walked, sizeof(walked), "%s", sql);
	return 0;
}

static int
on_connection(sqlite3 *conn, const char **msg, const void *api)
{
	(void)msg;
	(void)api;
	sqlite3_trace_v2(conn, SQLITE_TRACE_PROFILE, on_profile, NULL);
	return SQLITE_OK;
}

static void
fill(int n)
{
	char sql[1200];

	snprintf(sql, sizeof(sql),
	    "PRAGMA foreign_keys = 0; BEGIN;"
	    "CREATE TEMP TABLE t AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL"
	    " SELECT n + 1 FROM c WHERE n < %d) SELECT n FROM c;"
	    "INSERT INTO runs (id, owner, status, mode, platform_name,"
	    " created_ms, completed_ms, last_seq, prompt, form, inputs)"
	    " SELECT printf('run-%%06d', n), 'ann', iif(n %% 3, 'FAILED',"
	    " 'PENDING'), iif(n = %d, 'rare', 'easy'), iif(n = %d, 'Odd', 'P'"
	    " || n %% 7), 1000 + n / 2, n %% 3 > 0, n %% 3 > 0,"
	    " 'a cake with number ' || n || ' and a sentence around it',"
	    " printf('%%300s', ''), printf('%%500s', '') FROM t;"
	    "INSERT INTO jobs (id, run_id, subject_id, kind, owner, state,"
	    " priority, due_ms, created_ms, deadline_after_ms)"
	    " SELECT 'job' || n, printf('run-%%06d', n), 'x', 'generation',"
	    " 'ann', iif(n %% 3, 'FAILED', 'PENDING'), 0, n, n, 1 FROM t;"
	    "INSERT INTO events SELECT id, 1, 'run_error', 1, '{}' FROM runs"
	    " WHERE status = 'FAILED';"
	    "UPDATE job_counts SET n = (SELECT count(*) FROM jobs"
	    " WHERE state = 'PENDING') WHERE state = 'PENDING';"
	    "INSERT INTO run_counts SELECT owner, status, mode, platform_name,"
	    " count(*) FROM runs GROUP BY 1, 2, 3, 4; COMMIT", n, RARE, RARE);
	sql_run(sql);
}

static int64_t
page_time_us(const struct run_query *q)
{
	int64_t begin_us, best_us = INT64_MAX, us;
	struct run_page p;
	int i;

	for (i = 0; i < 20; i++) {
		begin_us = clock_mono_us();
		ck_ok(store_list_runs(st, q, &p, &err), &err);
		us = clock_mono_us() - begin_us;
		run_page_release(&p);
		if (us < best_us)
			best_us = us;
	}
	return best_us;
}

static const struct {
	const char *what;
	struct run_query q;
	const char *index;
	bool covering;		/* rows are not touched */
} plans[] = {
	{ "all", { .page = 1, .page_size = 5 }, "runs_by_time", true },
	{ "all by status", { IN(FAILED), PAGE }, "runs_by_time", true },
	{ "all by text", { .text = "x", PAGE }, "runs_by_time", false },
	{ "owner", { ANN, PAGE }, "runs_by_owner", true },
	{ "mode", { ANN, .mode = "easy", PAGE }, "runs_by_owner", true },
	{ "platform", { ANN, .platform = "P1", .page_size = 9 },
	  "runs_by_owner", true },
	{ "times", { ANN, .from_ms = 1200, .to_ms = 1300, PAGE },
	  "runs_by_owner", true },
	{ "text", { ANN, .text = "x", PAGE }, "runs_by_owner", false },
	{ "status", { ANN, IN(FAILED), PAGE }, "runs_by_owner_status", true },
	{ "status and text", { ANN, IN(FAILED), .text = "x", PAGE },
	  "runs_by_owner_status", false },
	{ "key", { ANN, .after = { 1050, "run-000100" }, .page_size = 20 },
	  "runs_by_owner", true },
};

static void
expect_plan(const char *index, bool covering)
{
	sqlite3 *conn = NULL;
	sqlite3_stmt *q = NULL;
	char *sql = xasprintf("EXPLAIN QUERY PLAN %s", walked);
	char want[100];
	const char *plan;

	snprintf(want, sizeof(want), "USING %sINDEX %s (",
	    covering ? "COVERING " : "", index);
	ck_assert_int_eq(sqlite3_open(db_path(), &conn), SQLITE_OK);
	ck_assert_int_eq(sqlite3_prepare_v2(conn, sql, -1, &q, NULL),
	    SQLITE_OK);
	ck_assert_int_eq(sqlite3_step(q), SQLITE_ROW);
	plan = (const char *)sqlite3_column_text(q, 3);
	ck_assert_msg(strncmp(plan, "SEARCH runs", 11) == 0 &&
	    strstr(plan, want) != NULL && strstr(plan, "created_ms") != NULL,
	    "%s", plan);
	ck_assert_int_eq(sqlite3_step(q), SQLITE_DONE);	/* no sort behind it */
	sqlite3_finalize(q);
	sqlite3_close(conn);
	free(sql);
}

START_TEST(every_list_walks_an_index_and_sorts_nothing)
{
	struct store_options o = options();
	struct run_page p;
	int rc;

	rc = sqlite3_auto_extension((void (*)(void))(uintptr_t)on_connection);
	ck_assert_int_eq(rc, SQLITE_OK);
	open_with(&o);
	fill(2000);
	atomic_store(&sorts, 0);
	atomic_store(&scans, 0);
	ck_ok(store_list_runs(st, &plans[_i].q, &p, &err), &err);
	run_page_release(&p);
	ck_assert_int_eq(atomic_load(&sorts), 0);
	/* The counters may be read whole; they are few. */
	ck_assert_int_le(atomic_load(&scans),
	    sql_int("SELECT count(*) FROM run_counts"));
	sqlite3_cancel_auto_extension(
	    (void (*)(void))(uintptr_t)on_connection);
	expect_plan(plans[_i].index, plans[_i].covering);
}
END_TEST

/* The best of some tries, so that a busy machine does not matter; a page that
 * read everything would take hundreds of times as long. */
static void
expect_as_quick_as_among_few(int64_t few_us)
{
	struct run_query q = { ANN, PAGE };
	int64_t many_us = page_time_us(&q);

	ck_assert_msg(many_us < few_us * 5 + 1000, "%lld us among 100, %lld us"
	    " among %d", (long long)few_us, (long long)many_us, MANY);
}

static void
expect_rare_match_and_last_page(void)
{
	struct run_query mode = { ANN, .mode = "rare", PAGE };
	struct run_query platform = { .platform = "Odd", PAGE };
	struct run_query deep = { ANN, .page = MANY / 100, .page_size = 100 };
	struct run_page p;

	expect_page(&mode, 1, "99000");
	expect_page(&platform, 1, "99000");
	ck_ok(store_list_runs(st, &deep, &p, &err), &err);
	ck_assert_int_eq(p.n, 100);
	ck_assert_str_eq(p.runs[99].id, "run-000001");
	ck_assert(!p.has_more);
	run_page_release(&p);
}

/* No call looks at more than its share; all of them together at everything. */
static void
expect_shares(void)
{
	struct run_query q = { ANN, .text = "cake with number 77 ",
	    .page = 1, .page_size = 20 };
	struct strbuf got = STRBUF_INIT(100);
	struct run_page p;

	ck_ok(store_list_runs(st, &q, &p, &err), &err);
	ck_assert_int_eq(p.n, 0);
	ck_assert_int_eq(p.total, UNKNOWN);
	ck_assert(p.has_more);
	ck_assert_int_ge(p.next.created_ms,
	    1000 + (MANY - LIST_SCAN_TEXTS) / 2);
	run_page_release(&p);
	ck_assert_int_ge(follow(q, &got), MANY / LIST_SCAN_TEXTS);
	ck_assert_str_eq(got.buf, "77");
	strbuf_release(&got);
}

START_TEST(among_many_runs_lists_are_as_quick_and_as_whole)
{
	struct run_query q = { ANN, PAGE };
	struct store_options o = options();
	int64_t few_us;

	open_with(&o);
	fill(100);
	few_us = page_time_us(&q);
	sql_run("DELETE FROM events; DELETE FROM jobs; DELETE FROM runs;"
	    "DELETE FROM run_counts");
	fill(MANY);
	expect_as_quick_as_among_few(few_us);
	expect_rare_match_and_last_page();
	expect_shares();
}
END_TEST

#define LONG_PROMPTS 5000	/* of 20 KB: more than can be read in time */

START_TEST(a_search_in_long_prompts_stops_by_the_clock)
{
	struct store_options o = options();
	struct run_query q = { ANN, .text = "number 77 ", .page_size = 20 };
	struct strbuf got = STRBUF_INIT(100);

	open_with(&o);
	fill(LONG_PROMPTS);
	sql_run("UPDATE runs SET prompt = prompt || printf('%20000s', 'x'),"
	    " form = NULL, inputs = NULL");
	ck_assert_int_lt(LONG_PROMPTS, LIST_SCAN_TEXTS);
	ck_assert_int_ge(follow(q, &got), 2);
	ck_assert_str_eq(got.buf, "77");
	strbuf_release(&got);
}
END_TEST

START_TEST(a_long_list_is_followed_to_its_end)
{
	struct run_query q = { ANN, .mode = "rare", .page_size = 20 };
	struct store_options o = options();
	struct strbuf got = STRBUF_INIT(100);

	open_with(&o);
	fill(LIST_SCAN_ROWS + 5000);
	ck_assert_int_eq(follow(q, &got), 2);
	ck_assert_str_eq(got.buf, "99000");
	strbuf_release(&got);
}
END_TEST

Suite *
list_suite(void)
{
	Suite *s = suite_create("store: lists");
	TCase *tc = tcase_create("lists");
	TCase *many = tcase_create("many");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, a_list_is_newest_first_with_its_total, 0,
	    ARRAY_LEN(pages));
	tcase_add_loop_test(tc, keys_lead_through_the_same_list, 0,
	    ARRAY_LEN(pages));
	tcase_add_test(tc, runs_are_counted_by_status);
	tcase_add_test(tc, a_page_that_is_none_is_refused);
	tcase_add_test(tc, a_page_by_number_says_where_to_go_on);
	tcase_add_test(tc, keys_are_not_moved_by_what_comes_and_goes);
	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(many, set_up_closed, tear_down);
	tcase_set_timeout(many, 240);
	tcase_add_test(many, among_many_runs_lists_are_as_quick_and_as_whole);
	tcase_add_loop_test(many, every_list_walks_an_index_and_sorts_nothing,
	    0, ARRAY_LEN(plans));
	tcase_add_test(many, a_search_in_long_prompts_stops_by_the_clock);
	tcase_add_test(many, a_long_list_is_followed_to_its_end);
	suite_add_tcase(s, many);
	return s;
}
