/* The ledger, the cache of answers, and the table of processes. */
#include "tests/unit/store_support.h"

#include "xalloc.h"

Suite *ledger_suite(void);

static struct claimed job;

static void
set_up_job(void)
{
	set_up();
	add_run(1);
	ck_assert_int_eq(claim_at(T0 + 10, &job), 1);
}

static struct call_row
begin_call(const char *id, int attempt)
{
	struct call_row c;

	call_init(&c, id, &job, "strategy", attempt);
	ck_ok(store_call_begin(st, &job.ref, &c, &err), &err);
	return c;
}

static enum err_code
settle(struct call_row *c, enum call_state state, int64_t cost_nano)
{
	c->state = state;
	c->settled_ms = c->sent_ms + 100;
	c->cost_nano = cost_nano;
	return store_call_settle(st, c, &err);
}

/* --- one row -------------------------------------------------------------- */

START_TEST(a_call_is_on_record_before_and_after_it_is_sent)
{
	struct call_row c;
	struct call_list l;

	call_init(&c, "call-1", &job, "strategy", 1);
	c.variant = 2;
	c.purpose = (char *)(uintptr_t)"style_guide/2";
	c.ask = 3;
	c.idempotency_key = (char *)(uintptr_t)"idem";
	c.request_hash = (char *)(uintptr_t)"hash";
	c.estimate_nano = 77;
	ck_ok(store_call_begin(st, &job.ref, &c, &err), &err);
	ck_ok(store_find_calls(st, job.job_id, "strategy", 2, "style_guide/2",
	    &l, &err), &err);
	ck_assert_int_eq(l.n, 1);
	ck_assert_int_eq(l.rows[0].state, CALL_SENT);
	ck_assert_str_eq(l.rows[0].id, "call-1");
	ck_assert_str_eq(l.rows[0].idempotency_key, "idem");
	ck_assert_str_eq(l.rows[0].request_hash, "hash");
	ck_assert_int_eq(l.rows[0].estimate_nano, 77);
	ck_assert_int_eq(l.rows[0].ask, 3);
	ck_assert_ptr_null(l.rows[0].answer);
	call_list_release(&l);

	c.http_status = 200;
	c.answer = (char *)(uintptr_t)"{\"choices\":[]}";
	c.blobs = (char *)(uintptr_t)"[\"a.png\"]";
	c.prompt_tokens = 1;
	c.completion_tokens = 2;
	c.cached_tokens = 3;
	c.reasoning_tokens = 4;
	c.image_in_tokens = 5;
	c.image_out_tokens = 6;
	c.has_billed = true;
	c.estimated = true;
	c.simulated = true;
	ck_ok(settle(&c, CALL_ANSWERED, 99), &err);
	ck_ok(store_find_calls(st, job.job_id, "strategy", 2, "style_guide/2",
	    &l, &err), &err);
	ck_assert_int_eq(l.rows[0].state, CALL_ANSWERED);
	ck_assert_int_eq(l.rows[0].http_status, 200);
	ck_assert_str_eq(l.rows[0].answer, "{\"choices\":[]}");
	ck_assert_str_eq(l.rows[0].blobs, "[\"a.png\"]");
	ck_assert_int_eq(l.rows[0].prompt_tokens, 1);
	ck_assert_int_eq(l.rows[0].completion_tokens, 2);
	ck_assert_int_eq(l.rows[0].cached_tokens, 3);
	ck_assert_int_eq(l.rows[0].reasoning_tokens, 4);
	ck_assert_int_eq(l.rows[0].image_in_tokens, 5);
	ck_assert_int_eq(l.rows[0].image_out_tokens, 6);
	ck_assert_int_eq(l.rows[0].cost_nano, 99);
	ck_assert(l.rows[0].has_billed && l.rows[0].estimated &&
	    l.rows[0].simulated);
	ck_assert_str_eq(l.rows[0].request_hash, "hash");
	call_list_release(&l);
	ck_ok(store_list_calls(st, job.job_id, &l, &err), &err);
	ck_assert_int_eq(l.n, 1);
	ck_assert_ptr_null(l.rows[0].answer);
	call_list_release(&l);
}
END_TEST

START_TEST(calls_are_found_by_attempt_and_listed_by_age)
{
	struct call_row c;
	struct call_list l;

	begin_call("call-2", 2);
	begin_call("call-1", 1);
	call_init(&c, "call-9", &job, "image_eval", 1);
	c.sent_ms = T0;
	ck_ok(store_call_begin(st, &job.ref, &c, &err), &err);
	ck_ok(store_find_calls(st, job.job_id, "strategy", VARIANT_NONE, "ask",
	    &l, &err), &err);
	ck_assert_int_eq(l.n, 2);
	ck_assert_str_eq(l.rows[0].id, "call-1");
	ck_assert_str_eq(l.rows[1].id, "call-2");
	call_list_release(&l);
	ck_ok(store_list_calls(st, job.job_id, &l, &err), &err);
	ck_assert_int_eq(l.n, 3);
	ck_assert_str_eq(l.rows[0].id, "call-9");
	call_list_release(&l);
	ck_ok(store_find_calls(st, job.job_id, "strategy", 0, "ask", &l, &err),
	    &err);
	ck_assert_int_eq(l.n, 0);
	call_list_release(&l);
}
END_TEST

START_TEST(the_same_call_is_not_begun_twice)
{
	struct call_row c;

	begin_call("call-1", 1);
	call_init(&c, "call-2", &job, "strategy", 1);
	ck_fails(store_call_begin(st, &job.ref, &c, &err), ERR_CONFLICT);
	call_init(&c, "call-1", &job, "strategy", 2);
	ck_fails(store_call_begin(st, &job.ref, &c, &err), ERR_CONFLICT);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM model_calls"), 1);
}
END_TEST

/* What a row may become. */
static const struct {
	enum call_state first, then;
	enum err_code want;
} settlings[] = {
	{ CALL_ANSWERED, CALL_ANSWERED, ERR_CONFLICT },
	{ CALL_ANSWERED, CALL_FAILED, ERR_CONFLICT },
	{ CALL_ANSWERED, CALL_UNKNOWN, ERR_CONFLICT },
	{ CALL_UNKNOWN, CALL_ANSWERED, ERR_OK },
	{ CALL_UNKNOWN, CALL_FAILED, ERR_OK },
	{ CALL_FAILED, CALL_ANSWERED, ERR_OK },
};

START_TEST(an_answer_once_booked_stays_booked)
{
	struct call_row c = begin_call("call-1", 1);

	ck_ok(settle(&c, settlings[_i].first, 10), &err);
	ck_fails(settle(&c, settlings[_i].then, 20), settlings[_i].want);
	ck_assert_int_eq(sql_int("SELECT cost_nano FROM model_calls"),
	    settlings[_i].want == ERR_OK ? 20 : 10);
}
END_TEST

START_TEST(settling_a_call_nobody_began_is_an_error)
{
	struct call_row c;

	call_init(&c, "call-1", &job, "strategy", 1);
	ck_fails(settle(&c, CALL_ANSWERED, 1), ERR_NOT_FOUND);
}
END_TEST

START_TEST(a_row_that_lost_its_job_begins_nothing)
{
	enum cancel_outcome outcome;
	struct call_row c;
	struct job_ref stale = job.ref;
	enum state was;

	stale.fence--;
	call_init(&c, "call-1", &job, "strategy", 1);
	ck_fails(store_call_begin(st, &stale, &c, &err), ERR_LOST);
	ck_ok(cancel(1, T0 + 50, &outcome, &was), &err);
	ck_fails(store_call_begin(st, &job.ref, &c, &err), ERR_CANCELLED);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM model_calls"), 0);
}
END_TEST

/* --- sums ----------------------------------------------------------------- */

START_TEST(an_answer_after_the_end_is_booked_on_run_and_stage)
{
	struct call_row c = begin_call("call-1", 1);
	enum cancel_outcome outcome;
	struct stage_list l;
	enum state was;
	struct run r;

	ck_ok(tell(&job, "strategy", STAGE_RUNNING, T0 + 20), &err);
	ck_ok(cancel(1, T0 + 50, &outcome, &was), &err);
	ck_ok(store_get_run(st, NULL, job.run_id, &r, &err), &err);
	ck_assert(!r.has_cost && !r.simulated);
	run_release(&r);
	c.simulated = true;
	ck_ok(settle(&c, CALL_ANSWERED, 500), &err);
	ck_ok(store_get_run(st, NULL, job.run_id, &r, &err), &err);
	ck_assert(r.has_cost && r.simulated);
	ck_assert_int_eq(r.cost_nano, 500);
	ck_assert_int_eq(r.status, STATE_CANCELLED);
	run_release(&r);
	ck_ok(store_list_run_stages(st, job.run_id, &l, &err), &err);
	ck_assert_int_eq(l.rows[1].cost_nano, 500);
	stage_list_release(&l);
}
END_TEST

START_TEST(a_stage_that_ends_is_summed_from_the_ledger)
{
	struct call_row c = begin_call("call-1", 1);
	struct stage_list l;

	c.prompt_tokens = 1000;
	c.completion_tokens = 50;
	ck_ok(settle(&c, CALL_FAILED, 3), &err);	/* costs all the same */
	call_init(&c, "call-2", &job, "strategy", 2);
	c.model = (char *)(uintptr_t)"gpt-4.1-mini";
	ck_ok(store_call_begin(st, &job.ref, &c, &err), &err);
	c.prompt_tokens = 10;
	c.completion_tokens = 5;
	ck_ok(settle(&c, CALL_ANSWERED, 4), &err);
	call_init(&c, "call-3", &job, "strategy", 3);
	ck_ok(store_call_begin(st, &job.ref, &c, &err), &err);
	c.image_out_tokens = 1056;
	c.blobs = (char *)(uintptr_t)"[\"x.png\"]";
	ck_ok(settle(&c, CALL_ANSWERED, 5), &err);
	ck_ok(tell(&job, "strategy", STAGE_RUNNING, T0 + 50), &err);
	ck_ok(store_list_run_stages(st, job.run_id, &l, &err), &err);
	ck_assert_int_eq(l.rows[1].cost_nano, 0);
	ck_assert_ptr_null(l.rows[1].model_id);
	stage_list_release(&l);
	ck_ok(tell(&job, "strategy", STAGE_COMPLETED, T0 + 50), &err);
	ck_ok(store_list_run_stages(st, job.run_id, &l, &err), &err);
	ck_assert_int_eq(l.rows[0].cost_nano, 0);
	ck_assert_ptr_null(l.rows[0].model_id);
	ck_assert_str_eq(l.rows[1].model_id, "gpt-4.1, gpt-4.1-mini");
	ck_assert_str_eq(l.rows[1].provider, "openai");
	ck_assert_int_eq(l.rows[1].input_tokens, 1010);
	ck_assert_int_eq(l.rows[1].output_tokens, 50 + 5 + 1056);
	ck_assert_int_eq(l.rows[1].images, 1);
	ck_assert_int_eq(l.rows[1].cost_nano, 12);
	stage_list_release(&l);
}
END_TEST

START_TEST(a_stage_names_each_of_its_models_once)
{
	static const char *const asked[][2] = {
		{ "openai/gpt-4.1-mini", "openrouter" },
		{ "gpt-4.1", "openai" }, { "gpt-4.1", "openrouter" },
		{ "gpt", "openai" }, { "mini", "openai" },
	};
	struct stage_list l;
	struct call_row c;
	size_t i;

	for (i = 0; i < ARRAY_LEN(asked); i++) {
		call_init(&c, id_of("call", (int)i), &job, "strategy",
		    (int)i + 1);
		c.model = (char *)(uintptr_t)asked[i][0];
		c.provider = (char *)(uintptr_t)asked[i][1];
		ck_ok(store_call_begin(st, &job.ref, &c, &err), &err);
	}
	ck_ok(tell(&job, "strategy", STAGE_FAILED, T0 + 50), &err);
	ck_ok(store_list_run_stages(st, job.run_id, &l, &err), &err);
	ck_assert_str_eq(l.rows[1].model_id,
	    "openai/gpt-4.1-mini, gpt-4.1, gpt, mini");
	ck_assert_str_eq(l.rows[1].provider, "openrouter, openai");
	stage_list_release(&l);
}
END_TEST

/* --- after a crash -------------------------------------------------------- */

START_TEST(calls_in_flight_at_a_crash_become_unknown)
{
	struct call_row answered = begin_call("call-1", 1);
	struct call_list l;
	struct expired x;
	struct claimed again;
	int n = -1;

	ck_ok(settle(&answered, CALL_ANSWERED, 10), &err);
	begin_call("call-2", 2);
	begin_call("call-3", 3);
	ck_ok(store_calls_unknown(st, &job.ref, T0 + 20, &n, &err), &err);
	ck_assert_int_eq(n, 0);		/* of this claim: still in flight */
	ck_ok(store_expire_leases(st, me.id, T0 + 30, 3, "gone", &x, &err),
	    &err);
	ck_fails(store_calls_unknown(st, &job.ref, T0 + 30, &n, &err),
	    ERR_LOST);
	ck_assert_int_eq(claim_at(T0 + 40, &again), 1);
	ck_ok(store_calls_unknown(st, &again.ref, T0 + 50, &n, &err), &err);
	ck_assert_int_eq(n, 2);
	ck_ok(store_find_calls(st, job.job_id, "strategy", VARIANT_NONE, "ask",
	    &l, &err), &err);
	ck_assert_int_eq(l.rows[0].state, CALL_ANSWERED);
	ck_assert_int_eq(l.rows[1].state, CALL_UNKNOWN);
	ck_assert_int_eq(l.rows[1].settled_ms, T0 + 50);
	ck_assert_int_eq(l.rows[2].state, CALL_UNKNOWN);
	call_list_release(&l);
	ck_ok(store_calls_unknown(st, &again.ref, T0 + 60, &n, &err), &err);
	ck_assert_int_eq(n, 0);
}
END_TEST

START_TEST(a_paid_answer_is_booked_although_the_job_was_lost)
{
	struct call_row c = begin_call("call-1", 1);
	struct claimed again;
	struct expired x;
	int n;

	ck_ok(store_expire_leases(st, me.id, T0 + 30, 3, "gone", &x, &err),
	    &err);
	claim_for(&other, T0 + 40, &again);
	ck_ok(store_calls_unknown(st, &again.ref, T0 + 50, &n, &err), &err);
	ck_ok(settle(&c, CALL_ANSWERED, 10), &err);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM model_calls"
	    " WHERE state = 'ANSWERED' AND cost_nano = 10"), 1);
}
END_TEST

/* --- cache and processes -------------------------------------------------- */

START_TEST(a_cached_answer_is_found_until_replaced)
{
	char *answer = NULL;

	ck_fails(store_cache_get(st, "k", &answer, &err), ERR_NOT_FOUND);
	ck_ok(store_cache_put(st, "k", "{\"v\":1}", T0, &err), &err);
	ck_ok(store_cache_put(st, "k", "{\"v\":2}", T0 + 1, &err), &err);
	ck_ok(store_cache_get(st, "k", &answer, &err), &err);
	ck_assert_str_eq(answer, "{\"v\":2}");
	free(answer);
}
END_TEST

static struct process_row
process_of(const char *id, const char *role, int64_t beat)
{
	struct process_row p;

	memset(&p, 0, sizeof(p));
	snprintf(p.id, sizeof(p.id), "%s", id);
	p.role = (char *)(uintptr_t)role;
	p.pid = 4711;
	p.host = (char *)(uintptr_t)"host-a";
	p.boot_id = (char *)(uintptr_t)"boot-1";
	p.started_ms = T0;
	p.heartbeat_ms = beat;
	p.stats = (char *)(uintptr_t)"{\"rss_bytes\":1}";
	return p;
}

static void
expect_processes(int64_t since_ms, const char *ids)
{
	struct strbuf got = STRBUF_INIT(200);
	struct process_list l;
	int i;

	ck_ok(store_list_processes(st, since_ms, &l, &err), &err);
	for (i = 0; i < l.n; i++)
		strbuf_addf(&got, "%s%s", i > 0 ? " " : "", l.rows[i].id);
	ck_assert_str_eq(got.buf, ids);
	process_list_release(&l);
	strbuf_release(&got);
}

START_TEST(processes_come_beat_and_go)
{
	struct process_row p = process_of("p1", "runner", T0);
	struct process_list l;

	ck_ok(store_put_process(st, &p, &err), &err);
	p = process_of("p2", "api", T0 + 5);
	ck_ok(store_put_process(st, &p, &err), &err);
	expect_processes(T0, "p2 p1");
	expect_processes(T0 + 1, "p2");
	p = process_of("p1", "runner", T0 + 9);
	ck_ok(store_put_process(st, &p, &err), &err);
	expect_processes(T0 + 6, "p1");
	ck_ok(store_list_processes(st, T0 + 6, &l, &err), &err);
	ck_assert_int_eq(l.rows[0].pid, 4711);
	ck_assert_str_eq(l.rows[0].host, "host-a");
	ck_assert_str_eq(l.rows[0].boot_id, "boot-1");
	ck_assert_int_eq(l.rows[0].started_ms, T0);
	ck_assert_str_eq(l.rows[0].stats, "{\"rss_bytes\":1}");
	process_list_release(&l);
	ck_ok(store_sweep_processes(st, T0 + 6, &err), &err);
	expect_processes(0, "p1");
	ck_ok(store_delete_process(st, "p1", &err), &err);
	ck_ok(store_delete_process(st, "p1", &err), &err);
	expect_processes(0, "");
}
END_TEST

Suite *
ledger_suite(void)
{
	Suite *s = suite_create("store: ledger");
	TCase *tc = tcase_create("ledger");

	tcase_add_checked_fixture(tc, set_up_job, tear_down);
	tcase_add_test(tc, a_call_is_on_record_before_and_after_it_is_sent);
	tcase_add_test(tc, calls_are_found_by_attempt_and_listed_by_age);
	tcase_add_test(tc, the_same_call_is_not_begun_twice);
	tcase_add_loop_test(tc, an_answer_once_booked_stays_booked, 0,
	    ARRAY_LEN(settlings));
	tcase_add_test(tc, settling_a_call_nobody_began_is_an_error);
	tcase_add_test(tc, a_row_that_lost_its_job_begins_nothing);
	tcase_add_test(tc, an_answer_after_the_end_is_booked_on_run_and_stage);
	tcase_add_test(tc, a_stage_that_ends_is_summed_from_the_ledger);
	tcase_add_test(tc, a_stage_names_each_of_its_models_once);
	tcase_add_test(tc, calls_in_flight_at_a_crash_become_unknown);
	tcase_add_test(tc, a_paid_answer_is_booked_although_the_job_was_lost);
	tcase_add_test(tc, a_cached_answer_is_found_until_replaced);
	tcase_add_test(tc, processes_come_beat_and_go);
	suite_add_tcase(s, tc);
	return s;
}
