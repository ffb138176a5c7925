/* What those who follow runs ask: is there news, how far, and which. */
#include "tests/unit/store_support.h"

#include "clock.h"
#include "xalloc.h"

Suite *follow_suite(void);

/* --- is there news? ------------------------------------------------------- */

static int64_t
data_version(struct store *s)
{
	int64_t v = -1;

	ck_ok(store_data_version(s, &v, &err), &err);
	return v;
}

START_TEST(the_data_version_changes_with_our_own_commits)
{
	int64_t before = data_version(st);

	ck_assert_int_eq(data_version(st), before);
	add_run(1);
	ck_assert_int_ne(data_version(st), before);
	before = data_version(st);
	ck_assert_int_eq(run_status(1), STATE_PENDING);	/* reading is no news */
	claim_none(T0 - 1);
	ck_assert_int_eq(data_version(st), before);
}
END_TEST

START_TEST(the_data_version_changes_with_the_commits_of_others)
{
	struct store_options o = options();
	struct store *watcher = NULL;
	int64_t before;

	o.read_only = true;
	ck_ok(store_open(&o, &watcher, &err), &err);
	before = data_version(watcher);
	add_run(1);
	ck_assert_int_ne(data_version(watcher), before);
	before = data_version(watcher);
	sql_run("UPDATE runs SET version = version + 1");
	ck_assert_int_ne(data_version(watcher), before);
	before = data_version(watcher);
	ck_assert_int_eq(data_version(watcher), before);
	store_close(watcher);
}
END_TEST

START_TEST(a_write_that_was_undone_is_no_news)
{
	struct run_spec again = { .n = 1 };
	enum submit_outcome outcome;
	int64_t before;

	add_run(1);
	before = data_version(st);
	ck_fails(submit(st, &again, NULL, &outcome, NULL, NULL, &err),
	    ERR_CONFLICT);
	ck_assert_int_eq(data_version(st), before);
}
END_TEST

#define VERSION_ASKS 2000
#define VERSION_MAX_US 500	/* on a busy machine; on an idle one below 10 */

START_TEST(the_data_version_is_cheap)
{
	int64_t begin_us;
	int i;

	add_run(1);
	data_version(st);
	begin_us = clock_mono_us();
	for (i = 0; i < VERSION_ASKS; i++)
		data_version(st);
	ck_assert_int_lt((clock_mono_us() - begin_us) / VERSION_ASKS,
	    VERSION_MAX_US);
}
END_TEST

static void *
ask_version(void *arg)
{
	int64_t v;
	int i;

	for (i = 0; i < 500; i++)
		if (store_data_version(st, &v, NULL) != ERR_OK)
			return arg;
	return NULL;
}

START_TEST(threads_may_ask_while_others_write)
{
	pthread_t t[4];
	void *failed;
	size_t i;

	for (i = 0; i < ARRAY_LEN(t); i++)
		pthread_create(&t[i], NULL, ask_version, st);
	for (i = 1; i <= 50; i++)
		add_run((int)i);
	for (i = 0; i < ARRAY_LEN(t); i++) {
		pthread_join(t[i], &failed);
		ck_assert_ptr_null(failed);
	}
}
END_TEST

/* --- how far? ------------------------------------------------------------- */

START_TEST(tips_tell_how_far_each_run_is)
{
	const char *ids[] = { "run-000001", "run-none", "run-000002",
	    "run-000003" };
	struct run_tip tips[ARRAY_LEN(ids)];
	struct run_spec bobs = { .n = 3, .owner = "bob" };
	struct claimed c;

	add_run(1);
	claim_at(T0 + HOUR, &c);
	ck_ok(tell(&c, "strategy", STAGE_RUNNING, T0 + 60), &err);
	ck_ok(tell(&c, "strategy", STAGE_COMPLETED, T0 + 70), &err);
	ck_ok(finish(&c, STATE_COMPLETED, T0 + 80), &err);
	add_run(2);
	add(&bobs);
	ck_ok(store_read_tips(st, "ann", ids, ARRAY_LEN(ids), tips, &err),
	    &err);
	ck_assert_int_eq(tips[0].last_seq, 3);
	ck_assert(tips[0].is_over);
	ck_assert_int_eq(tips[1].last_seq, -1);
	ck_assert(!tips[1].is_over);
	ck_assert_int_eq(tips[2].last_seq, 0);
	ck_assert(!tips[2].is_over);
	ck_assert_int_eq(tips[3].last_seq, -1);	/* somebody else's */
	ck_ok(store_read_tips(st, NULL, ids, ARRAY_LEN(ids), tips, &err),
	    &err);
	ck_assert_int_eq(tips[3].last_seq, 0);
	ck_ok(store_read_tips(st, NULL, NULL, 0, NULL, &err), &err);
}
END_TEST

START_TEST(tips_of_more_runs_than_fit_in_one_transaction)
{
	size_t n = MAX_TIPS_AT_ONCE * 2 + 3, i;
	const char **ids = xcalloc(n, sizeof(*ids));
	struct run_tip *tips = xcalloc(n, sizeof(*tips));

	add_run(1);
	for (i = 0; i < n; i++)
		ids[i] = i % 1000 == 2 ? "run-000001" : "run-none";
	ck_ok(store_read_tips(st, "ann", ids, n, tips, &err), &err);
	for (i = 0; i < n; i++)
		ck_assert_int_eq(tips[i].last_seq, i % 1000 == 2 ? 0 : -1);
	free(ids);
	free(tips);
}
END_TEST

START_TEST(a_damaged_state_is_an_error_and_not_a_tip)
{
	const char *ids[] = { "run-000001" };
	struct run_tip tip;

	add_run(1);
	sql_run("PRAGMA ignore_check_constraints = 1;"
	    "UPDATE runs SET status = 'PAUSED'");
	ck_fails(store_read_tips(st, "ann", ids, 1, &tip, &err), ERR_SYSTEM);
	ck_assert_ptr_nonnull(strstr(err.msg, "unknown state"));
	sql_run("UPDATE runs SET status = 'PENDING'");
}
END_TEST

/* --- which? --------------------------------------------------------------- */

struct seen {
	int n, stop_after;	/* 0: never */
	int64_t seqs[20];
	size_t bytes;
};

static bool
look(void *arg, const struct event_view *ev)
{
	struct seen *s = arg;

	ck_assert_str_eq(ev->type, "stage_update");
	ck_assert_uint_eq(ev->data_len, strlen(ev->data));
	ck_assert_int_gt(ev->created_ms, T0);
	s->seqs[s->n++] = ev->seq;
	s->bytes += ev->data_len;
	return s->n != s->stop_after;
}

static void
tell_times(struct claimed *c, int n)
{
	int i;

	add_run(1);
	claim_at(T0 + HOUR, c);
	for (i = 1; i <= n; i++)
		ck_ok(tell(c, "strategy", STAGE_RUNNING, T0 + i), &err);
}

START_TEST(events_are_shown_in_order_until_enough)
{
	struct seen all = { .n = 0 }, some = { .stop_after = 2 },
	    page = { .n = 0 }, none = { .n = 0 };
	int64_t last_seq = -1;
	struct claimed c;

	tell_times(&c, 7);
	ck_ok(store_visit_events(st, "ann", c.run_id, 2, 0, look, &all,
	    &last_seq, &err), &err);
	ck_assert_int_eq(last_seq, 7);
	ck_assert_int_eq(all.n, 5);
	ck_assert_int_eq(all.seqs[0], 3);
	ck_assert_int_eq(all.seqs[4], 7);
	ck_ok(store_visit_events(st, NULL, c.run_id, 0, 0, look, &some,
	    &last_seq, &err), &err);
	ck_assert_int_eq(some.n, 2);
	ck_assert_int_eq(last_seq, 7);
	ck_ok(store_visit_events(st, NULL, c.run_id, 0, 3, look, &page,
	    &last_seq, &err), &err);
	ck_assert_int_eq(page.n, 3);
	ck_ok(store_visit_events(st, NULL, c.run_id, 7, 0, look, &none,
	    &last_seq, &err), &err);
	ck_assert_int_eq(none.n, 0);
	ck_assert_int_eq(last_seq, 7);
}
END_TEST

START_TEST(events_of_somebody_else_are_not_shown)
{
	struct seen s = { .n = 0 };
	int64_t last_seq = -7;
	struct claimed c;

	tell_times(&c, 1);
	ck_fails(store_visit_events(st, "bob", c.run_id, 0, 0, look, &s,
	    &last_seq, &err), ERR_NOT_FOUND);
	ck_assert_int_eq(s.n, 0);
	ck_assert_int_eq(last_seq, -7);
}
END_TEST

START_TEST(a_page_of_long_events_ends_early_and_goes_on)
{
	size_t len = MAX_EVENTS_PAGE_BYTES / 2 - 100;
	char *data = xmalloc(len + 1);
	struct stage_update u = update_of("strategy", 1, STAGE_RUNNING);
	int64_t after = 0;
	struct event_list l;
	struct claimed c;
	int i, pages = 0;

	memset(data, 'x', len);
	data[0] = data[len - 1] = '"';
	data[len] = '\0';
	u.event_data = data;
	add_run(1);
	claim_at(T0 + HOUR, &c);
	for (i = 0; i < 5; i++)
		ck_ok(store_progress(st, &c.ref, NULL, &u, 1, T0 + i, &err),
		    &err);
	do {
		ck_ok(store_list_events(st, NULL, c.run_id, after, 500, &l,
		    &err), &err);
		ck_assert_int_ge(l.n, 1);
		ck_assert_int_le(l.n, 2);
		ck_assert_int_eq(l.rows[0].seq, after + 1);
		ck_assert_uint_eq(strlen(l.rows[0].data), len);
		after = l.rows[l.n - 1].seq;
		i = (int)l.last_seq;
		event_list_release(&l);
		pages++;
	} while (after < i);
	ck_assert_int_eq(pages, 3);
	free(data);
}
END_TEST

Suite *
follow_suite(void)
{
	Suite *s = suite_create("store: following");
	TCase *tc = tcase_create("following");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, the_data_version_changes_with_our_own_commits);
	tcase_add_test(tc, the_data_version_changes_with_the_commits_of_others);
	tcase_add_test(tc, a_write_that_was_undone_is_no_news);
	tcase_add_test(tc, the_data_version_is_cheap);
	tcase_add_test(tc, threads_may_ask_while_others_write);
	tcase_add_test(tc, tips_tell_how_far_each_run_is);
	tcase_add_test(tc, tips_of_more_runs_than_fit_in_one_transaction);
	tcase_add_test(tc, a_damaged_state_is_an_error_and_not_a_tip);
	tcase_add_test(tc, events_are_shown_in_order_until_enough);
	tcase_add_test(tc, events_of_somebody_else_are_not_shown);
	tcase_add_test(tc, a_page_of_long_events_ends_early_and_goes_on);
	suite_add_tcase(s, tc);
	return s;
}
