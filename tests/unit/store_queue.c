/* The queue: who is next, leases, fences, and who wins a race. */
#include "tests/unit/store_support.h"

#include "json.h"
#include "xalloc.h"

Suite *queue_suite(void);

/* --- who is next ---------------------------------------------------------- */

START_TEST(the_oldest_job_is_claimed_first_and_once)
{
	struct run_spec late = { .n = 1, .created_ms = T0 + 90 };
	struct run_spec early = { .n = 2, .created_ms = T0 + 10 };
	struct claimed c;

	add(&late);
	add(&early);
	ck_assert_int_eq(claim_at(T0 + 100, &c), 2);
	ck_assert_int_eq(c.ref.fence, 1);
	ck_assert_int_eq(c.attempts, 1);
	ck_assert_int_eq(c.deadline_ms, T0 + 100 + HOUR);
	ck_assert_int_eq(claim_at(T0 + 100, NULL), 1);
	claim_none(T0 + 100);
	ck_assert_int_eq(run_status(2), STATE_RUNNING);
}
END_TEST

START_TEST(a_job_is_not_claimed_before_it_is_due)
{
	struct run_spec spec = { .n = 1, .created_ms = T0 + 1000 };
	int64_t next_due_ms = -1;
	struct job job;
	bool found = true;

	ck_ok(store_claim(st, &me, T0, LEASE, &job, &found, &next_due_ms,
	    &err), &err);
	ck_assert(!found);
	ck_assert_int_eq(next_due_ms, 0);
	add(&spec);
	ck_ok(store_claim(st, &me, T0 + 999, LEASE, &job, &found,
	    &next_due_ms, &err), &err);
	ck_assert(!found);
	ck_assert_int_eq(next_due_ms, T0 + 1000);
	ck_assert_int_eq(claim_at(T0 + 1000, NULL), 1);
}
END_TEST

START_TEST(priority_comes_before_age_and_fairness)
{
	struct run_spec specs[] = {
		{ .n = 1, .priority = -5 },
		{ .n = 2, .owner = "bob" },
		{ .n = 3, .priority = 7 },
		{ .n = 4, .priority = 7 },
		{ .n = 5, .priority = 9, .created_ms = T0 + 500 },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(specs); i++)
		add(&specs[i]);
	ck_assert_int_eq(claim_at(T0 + 100, NULL), 3);	/* 5 is not due */
	ck_assert_int_eq(claim_at(T0 + 100, NULL), 4);
	ck_assert_int_eq(claim_at(T0 + 100, NULL), 2);
	ck_assert_int_eq(claim_at(T0 + 100, NULL), 1);
	claim_none(T0 + 100);
	ck_assert_int_eq(claim_at(T0 + 500, NULL), 5);
}
END_TEST

START_TEST(owners_take_turns_however_many_jobs_one_has)
{
	static const int order[] = { 1, 21, 2, 22, 3, 23, 4, 5 };
	struct run_spec bob = { .owner = "bob" };
	size_t i;
	int n;

	for (n = 1; n <= 5; n++)
		add_run(n);
	for (n = 21; n <= 23; n++) {
		bob.n = n;
		add(&bob);
	}
	for (i = 0; i < ARRAY_LEN(order); i++)
		ck_assert_int_eq(claim_at(T0 + 100, NULL), order[i]);
	claim_none(T0 + 100);
}
END_TEST

START_TEST(a_finished_job_frees_its_owners_turn)
{
	struct run_spec bob = { .n = 21, .owner = "bob" };
	struct claimed a, b;

	add_run(1);
	add_run(2);
	add_run(3);
	add(&bob);
	bob.n = 22;
	add(&bob);
	claim_at(T0 + 100, &a);
	claim_at(T0 + 100, &b);
	ck_assert_int_eq(run_status(21), STATE_RUNNING);
	ck_ok(finish(&b, STATE_COMPLETED, T0 + 200), &err);
	ck_assert_int_eq(claim_at(T0 + 200, NULL), 22);
	ck_assert_int_eq(claim_at(T0 + 200, NULL), 2);
	ck_assert_int_eq(claim_at(T0 + 200, NULL), 3);
}
END_TEST

/* --- leases --------------------------------------------------------------- */

START_TEST(an_expired_lease_makes_the_job_due_again)
{
	struct claimed c, again;
	struct expired x;

	add_run(1);
	claim_at(T0 + 10, &c);
	ck_ok(store_expire_leases(st, NULL, T0 + 9 + LEASE, 3, "gone", &x,
	    &err), &err);
	ck_assert_int_eq(x.requeued + x.failed, 0);
	ck_ok(store_expire_leases(st, NULL, T0 + 10 + LEASE, 3, "gone", &x,
	    &err), &err);
	ck_assert_int_eq(x.requeued, 1);
	ck_assert_int_eq(job_state(1), STATE_PENDING);
	ck_assert_int_eq(run_status(1), STATE_RUNNING);
	ck_assert_int_eq(claim_for(&other, T0 + 10 + LEASE, &again), 1);
	ck_assert_int_eq(again.ref.fence, 3);
	ck_assert_int_eq(again.attempts, 2);
	ck_assert_int_eq(again.deadline_ms, T0 + 10 + HOUR);
	ck_assert_int_eq(sql_int("SELECT started_ms FROM runs"), T0 + 10);
	ck_assert_int_eq(sql_int("SELECT started_ms FROM jobs"), T0 + 10);
}
END_TEST

START_TEST(whoever_lost_its_lease_writes_nothing_any_more)
{
	struct claimed c, again;
	enum err_code result;
	struct call_row call;
	struct expired x;

	add_run(1);
	claim_at(T0 + 10, &c);
	ck_ok(store_expire_leases(st, NULL, T0 + HOUR, 3, "gone", &x, &err),
	    &err);
	for (;;) {		/* waiting, then with its next holder */
		ck_fails(tell(&c, "strategy", STAGE_RUNNING, T0), ERR_LOST);
		ck_fails(checkpoint(&c, "strategy", 0, T0), ERR_LOST);
		ck_fails(finish(&c, STATE_COMPLETED, T0), ERR_LOST);
		ck_fails(store_release(st, &c.ref, T0, &err), ERR_LOST);
		call_init(&call, "call-1", &c, "strategy", 1);
		ck_fails(store_call_begin(st, &c.ref, &call, &err), ERR_LOST);
		ck_ok(store_renew(st, &c.ref, 1, T0 + HOUR, &result, &err),
		    &err);
		ck_assert_int_eq(result, ERR_LOST);
		if (job_state(1) == STATE_RUNNING)
			break;
		claim_for(&other, T0 + HOUR, &again);
	}
	ck_assert_int_eq(last_event_seq(1), 0);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM lane_outputs"), 0);
	ck_ok(tell(&again, "strategy", STAGE_RUNNING, T0), &err);
}
END_TEST

START_TEST(whoever_was_cancelled_is_told_so)
{
	enum cancel_outcome outcome;
	enum err_code result;
	struct claimed c;
	enum state was;

	add_run(1);
	claim_at(T0 + 10, &c);
	ck_ok(cancel(1, T0 + 20, &outcome, &was), &err);
	ck_fails(tell(&c, "strategy", STAGE_RUNNING, T0), ERR_CANCELLED);
	ck_fails(checkpoint(&c, "strategy", 0, T0), ERR_CANCELLED);
	ck_fails(finish(&c, STATE_COMPLETED, T0), ERR_CANCELLED);
	ck_fails(store_release(st, &c.ref, T0, &err), ERR_CANCELLED);
	ck_ok(store_renew(st, &c.ref, 1, T0 + HOUR, &result, &err), &err);
	ck_assert_int_eq(result, ERR_CANCELLED);
	ck_assert_int_eq(last_event_seq(1), 1);
	ck_assert_int_eq(sql_int("SELECT fence FROM jobs"), c.ref.fence + 1);
}
END_TEST

START_TEST(a_job_of_another_run_is_not_ours)
{
	struct claimed c;
	struct job_ref mixed;

	add_run(1);
	add_run(2);
	claim_at(T0 + 10, &c);
	mixed = c.ref;
	mixed.run_id = id_of("run", 2);
	ck_fails(store_release(st, &mixed, T0, &err), ERR_LOST);
	mixed = c.ref;
	mixed.job_id = "job-none";
	ck_fails(store_release(st, &mixed, T0, &err), ERR_LOST);
}
END_TEST

START_TEST(leases_are_renewed_many_at_once)
{
	enum cancel_outcome outcome;
	enum err_code results[3];
	struct job_ref refs[3];
	struct claimed c[3];
	struct expired x;
	enum state was;
	int i;

	for (i = 0; i < 3; i++) {
		add_run(i + 1);
		claim_at(T0 + 10, &c[i]);
		refs[i] = c[i].ref;
	}
	refs[1].fence++;
	ck_ok(cancel(3, T0 + 20, &outcome, &was), &err);
	ck_ok(store_renew(st, refs, 3, T0 + HOUR, results, &err), &err);
	ck_assert_int_eq(results[0], ERR_OK);
	ck_assert_int_eq(results[1], ERR_LOST);
	ck_assert_int_eq(results[2], ERR_CANCELLED);
	ck_ok(store_renew(st, NULL, 0, T0, NULL, &err), &err);
	ck_ok(store_expire_leases(st, NULL, T0 + HOUR - 1, 3, "gone", &x,
	    &err), &err);
	ck_assert_int_eq(x.requeued, 1);
	ck_assert_int_eq(job_state(1), STATE_RUNNING);
	ck_assert_int_eq(job_state(2), STATE_PENDING);
}
END_TEST

START_TEST(a_dead_holder_loses_all_its_leases_at_once)
{
	struct holder_list l;
	struct expired x;
	char **ids = NULL;

	add_run(1);
	add_run(2);
	add_run(3);
	claim_for(&me, T0 + 10, NULL);
	claim_for(&other, T0 + 10, NULL);
	claim_for(&me, T0 + 10, NULL);
	ck_ok(store_list_holders(st, &l, &err), &err);
	ck_assert_int_eq(l.n, 2);
	ck_assert_str_eq(l.rows[0].id, me.id);
	ck_assert_str_eq(l.rows[0].host, me.host);
	ck_assert_str_eq(l.rows[0].boot_id, me.boot_id);
	ck_assert_str_eq(l.rows[0].life_file, me.life_file);
	ck_assert_int_eq(l.rows[0].jobs, 2);
	ck_assert_int_eq(l.rows[1].jobs, 1);
	holder_list_release(&l);
	ck_ok(store_expire_leases(st, me.id, T0 + 20, 3, "gone", &x, &err),
	    &err);
	ck_assert_int_eq(x.requeued, 2);
	ck_assert_int_eq(job_state(2), STATE_RUNNING);
	ck_ok(store_active_runs(st, 10, &ids, &err), &err);
	ck_assert_str_eq(ids[0], id_of("run", 2));
	ck_assert_ptr_null(ids[1]);
	free(ids[0]);
	free(ids);
}
END_TEST

START_TEST(a_holder_that_may_be_alive_loses_only_what_is_over)
{
	struct holder_list l;
	struct expired x;

	add_run(1);
	add_run(2);
	add_run(3);
	claim_for(&me, T0 + 10, NULL);
	claim_for(&other, T0 + 11, NULL);
	claim_for(&me, T0 + 1000, NULL);
	ck_ok(store_list_holders(st, &l, &err), &err);
	ck_assert_int_eq(l.rows[0].until_ms, T0 + 10 + LEASE);
	ck_assert_int_eq(l.rows[1].until_ms, T0 + 11 + LEASE);
	holder_list_release(&l);
	ck_ok(store_expire_overdue(st, me.id, T0 + 9 + LEASE, 3, "gone", &x,
	    &err), &err);
	ck_assert_int_eq(x.requeued + x.failed, 0);
	ck_ok(store_expire_overdue(st, me.id, T0 + 999 + LEASE, 3, "gone", &x,
	    &err), &err);
	ck_assert_int_eq(x.requeued, 1);
	ck_assert_int_eq(job_state(1), STATE_PENDING);
	ck_assert_int_eq(job_state(2), STATE_RUNNING);
	ck_assert_int_eq(job_state(3), STATE_RUNNING);
}
END_TEST

START_TEST(a_run_is_open_until_its_job_has_ended)
{
	struct claimed job;
	bool open = true;

	ck_ok(store_run_is_open(st, "run-none", &open, &err), &err);
	ck_assert(!open);
	add_run(1);
	ck_ok(store_run_is_open(st, id_of("run", 1), &open, &err), &err);
	ck_assert(open);
	claim_at(T0 + 10, &job);
	ck_ok(store_run_is_open(st, id_of("run", 1), &open, &err), &err);
	ck_assert(open);
	ck_ok(finish(&job, STATE_COMPLETED, T0 + 20), &err);
	ck_ok(store_run_is_open(st, id_of("run", 1), &open, &err), &err);
	ck_assert(!open);
}
END_TEST

START_TEST(a_job_that_ends_has_no_call_on_its_way)
{
	enum cancel_outcome outcome;
	struct claimed job;
	struct call_row call;
	struct expired x;
	enum state was;
	int i;

	for (i = 1; i <= 3; i++) {
		add_run(i);
		ck_assert_int_eq(claim_at(T0 + 10, &job), i);
		call_init(&call, i == 1 ? "c1" : i == 2 ? "c2" : "c3", &job,
		    "strategy", 1);
		ck_ok(store_call_begin(st, &job.ref, &call, &err), &err);
		if (i == 1)
			ck_ok(cancel(1, T0 + 20, &outcome, &was), &err);
		else if (i == 2)
			ck_ok(finish(&job, STATE_FAILED, T0 + 20), &err);
		else
			ck_ok(store_expire_leases(st, me.id, T0 + 20, 1,
			    "gone", &x, &err), &err);
		ck_assert_int_eq(sql_int("SELECT count(*) FROM model_calls"
		    " WHERE state = 'UNKNOWN' AND settled_ms > 0"), i);
	}
}
END_TEST

START_TEST(active_runs_are_at_most_as_many_as_asked_for)
{
	char **ids = NULL;
	int i;

	ck_ok(store_active_runs(st, 10, &ids, &err), &err);
	ck_assert_ptr_null(ids[0]);
	free(ids);
	for (i = 1; i <= 4; i++) {
		add_run(i);
		claim_at(T0 + 10, NULL);
	}
	ck_ok(store_active_runs(st, 3, &ids, &err), &err);
	for (i = 0; i < 3; i++) {
		ck_assert_str_eq(ids[i], id_of("run", i + 1));
		free(ids[i]);
	}
	ck_assert_ptr_null(ids[3]);
	free(ids);
}
END_TEST

/* --- attempts ------------------------------------------------------------- */

/* Claim and lose the lease; what became of the job. */
static struct expired
crash_once(int64_t now_ms, struct claimed *c)
{
	struct expired x;

	ck_assert_int_eq(claim_at(now_ms, c), 1);
	ck_ok(store_expire_leases(st, me.id, now_ms, 3, "It was interrupted.",
	    &x, &err), &err);
	return x;
}

START_TEST(a_job_that_keeps_dying_fails_in_the_end)
{
	struct json_object *data = NULL;
	struct event_list l;
	struct claimed c;
	struct expired x;
	struct run r;

	add_run(1);
	ck_assert_int_eq(crash_once(T0 + 10, &c).requeued, 1);
	ck_assert_int_eq(claim_at(T0 + 20, &c), 1);
	ck_ok(tell(&c, "strategy", STAGE_RUNNING, T0 + 20), &err);
	ck_ok(store_expire_leases(st, me.id, T0 + 20, 3, "x", &x, &err), &err);
	ck_assert_int_eq(x.requeued, 1);
	x = crash_once(T0 + 30, &c);
	ck_assert_int_eq(c.attempts, 3);
	ck_assert_int_eq(x.requeued, 0);
	ck_assert_int_eq(x.failed, 1);
	ck_assert_int_eq(sql_int("SELECT fence FROM jobs"), c.ref.fence + 1);
	ck_ok(store_get_run(st, NULL, c.run_id, &r, &err), &err);
	ck_assert_int_eq(r.status, STATE_FAILED);
	ck_assert_str_eq(r.error_message, "It was interrupted.");
	run_release(&r);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM stages"
	    " WHERE status = 'FAILED'"), 1);
	ck_ok(store_list_events(st, NULL, c.run_id, 1, 9, &l, &err), &err);
	ck_assert_str_eq(l.rows[0].type, "run_error");
	ck_ok(json_parse(l.rows[0].data, strlen(l.rows[0].data), &data, &err),
	    &err);
	ck_assert_str_eq(json_get_str(json_get(data, "error_details"), "type"),
	    "interrupted");
	json_object_put(data);
	event_list_release(&l);
	claim_none(T0 + HOUR);
	ck_fails(tell(&c, "strategy", STAGE_RUNNING, T0), ERR_LOST);
}
END_TEST

START_TEST(a_checkpoint_gives_the_attempts_back)
{
	struct claimed c;
	struct expired x;
	int i;

	add_run(1);
	for (i = 0; i < 5; i++) {
		ck_assert_int_eq(crash_once(T0 + 10, &c).requeued, 1);
		ck_assert_int_eq(claim_at(T0 + 10, &c), 1);
		ck_ok(checkpoint(&c, "strategy", i, T0 + 10), &err);
		ck_ok(store_expire_leases(st, me.id, T0, 3, "x", &x, &err),
		    &err);
		ck_assert_int_eq(x.requeued, 1);
	}
	ck_assert_int_eq(claim_at(T0 + 10, &c), 1);
	ck_assert_int_eq(c.attempts, 2);
}
END_TEST

START_TEST(handing_a_job_back_is_not_an_attempt)
{
	int64_t next_due_ms = 0;
	struct claimed c;
	struct job job;
	bool found;
	int i;

	add_run(1);
	for (i = 0; i < 10; i++) {
		ck_assert_int_eq(claim_at(T0 + 10, &c), 1);
		ck_assert_int_eq(c.attempts, 1);
		ck_ok(store_release(st, &c.ref, 0, &err), &err);
		ck_assert_int_eq(job_state(1), STATE_PENDING);
	}
	ck_assert_int_eq(claim_at(T0 + 10, &c), 1);
	ck_ok(store_release(st, &c.ref, T0 + 500, &err), &err);
	ck_ok(store_claim(st, &me, T0 + 20, LEASE, &job, &found, &next_due_ms,
	    &err), &err);
	ck_assert(!found);
	ck_assert_int_eq(next_due_ms, T0 + 500);
	ck_assert_int_eq(run_status(1), STATE_RUNNING);
}
END_TEST

START_TEST(putting_a_job_back_after_trouble_is_an_attempt)
{
	struct claimed job;
	int i;

	add_run(1);
	for (i = 1; i <= 3; i++) {
		ck_assert_int_eq(claim_at(T0 + 10, &job), 1);
		ck_assert_int_eq(job.attempts, i);
		ck_ok(store_put_back(st, &job.ref, T0, &err), &err);
	}
	ck_fails(store_put_back(st, &job.ref, T0, &err), ERR_LOST);
}
END_TEST

START_TEST(a_waiting_run_that_had_begun_can_be_cancelled)
{
	enum cancel_outcome outcome;
	struct claimed c;
	enum state was;

	add_run(1);
	claim_at(T0 + 10, &c);
	ck_ok(store_release(st, &c.ref, T0, &err), &err);
	ck_ok(cancel(1, T0 + 20, &outcome, &was), &err);
	ck_assert_int_eq(outcome, CANCEL_DONE);
	ck_assert_int_eq(was, STATE_RUNNING);
	ck_assert_int_eq(job_state(1), STATE_CANCELLED);
	claim_none(T0 + 30);
}
END_TEST

START_TEST(the_queue_knows_its_length)
{
	struct queue_figures q;
	struct claimed c;
	int i;

	ck_ok(store_queue_figures(st, &q, &err), &err);
	ck_assert_int_eq(q.pending + q.running + q.oldest_due_ms, 0);
	for (i = 1; i <= 4; i++)
		add_run(i);
	claim_at(T0 + 10, &c);
	ck_ok(store_queue_figures(st, &q, &err), &err);
	ck_assert_int_eq(q.pending, 3);
	ck_assert_int_eq(q.running, 1);
	ck_assert_int_eq(q.oldest_due_ms, T0 + 2);
}
END_TEST

/* More owners than are compared one by one, named so that the answer is the
 * last of them. */
START_TEST(among_many_owners_the_same_one_is_next)
{
	enum { OWNERS = 150 };
	char owner[20];
	struct run_spec spec = { .owner = owner };
	int i;

	for (i = 1; i <= 2 * OWNERS; i++) {
		snprintf(owner, sizeof(owner), "o%03d", (OWNERS * 2 - i) % OWNERS);
		spec.n = i;
		add(&spec);
	}
	for (i = 1; i <= 2 * OWNERS; i++)
		ck_assert_int_eq(claim_at(T0 + HOUR, NULL), i);
	claim_none(T0 + HOUR);
}
END_TEST

START_TEST(of_jobs_of_one_age_the_id_decides)
{
	struct run_spec specs[] = {
		{ .n = 3, .owner = "ann", .created_ms = T0 },
		{ .n = 2, .owner = "bob", .created_ms = T0 },
		{ .n = 1, .owner = "ann", .created_ms = T0 },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(specs); i++)
		add(&specs[i]);
	ck_assert_int_eq(claim_at(T0, NULL), 1);
	ck_assert_int_eq(claim_at(T0, NULL), 2);
	ck_assert_int_eq(claim_at(T0, NULL), 3);
}
END_TEST

START_TEST(a_damaged_row_keeps_nobody_else_from_being_freed)
{
	struct run_spec bob = { .n = 2, .owner = "bob" };
	struct expired x;

	add_run(1);
	add(&bob);
	claim_at(T0 + 10, NULL);
	claim_at(T0 + 10, NULL);
	sql_run("DELETE FROM run_counts WHERE owner = 'ann'");
	ck_fails(store_expire_leases(st, me.id, T0 + 20, 1, "x", &x, &err),
	    ERR_SYSTEM);
	ck_assert_ptr_nonnull(strstr(err.msg, "counters"));
	ck_assert_int_eq(job_state(1), STATE_RUNNING);
	ck_assert_int_eq(job_state(2), STATE_FAILED);
	sql_run("INSERT INTO run_counts"
	    " VALUES ('ann', 'RUNNING', 'easy_mode', '', 1)");
	ck_ok(store_expire_leases(st, me.id, T0 + 20, 1, "x", &x, &err), &err);
	ck_assert_int_eq(x.failed, 1);
}
END_TEST

START_TEST(a_job_that_is_not_there_is_not_found)
{
	struct job job;

	ck_fails(store_get_job(st, "job-none", &job, &err), ERR_NOT_FOUND);
	ck_fails(store_get_run_job(st, "run-none", &job, &err), ERR_NOT_FOUND);
}
END_TEST

Suite *
queue_suite(void)
{
	Suite *s = suite_create("store: queue");
	TCase *tc = tcase_create("queue");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, the_oldest_job_is_claimed_first_and_once);
	tcase_add_test(tc, a_job_is_not_claimed_before_it_is_due);
	tcase_add_test(tc, priority_comes_before_age_and_fairness);
	tcase_add_test(tc, owners_take_turns_however_many_jobs_one_has);
	tcase_add_test(tc, a_finished_job_frees_its_owners_turn);
	tcase_add_test(tc, an_expired_lease_makes_the_job_due_again);
	tcase_add_test(tc, whoever_lost_its_lease_writes_nothing_any_more);
	tcase_add_test(tc, whoever_was_cancelled_is_told_so);
	tcase_add_test(tc, a_job_of_another_run_is_not_ours);
	tcase_add_test(tc, leases_are_renewed_many_at_once);
	tcase_add_test(tc, a_dead_holder_loses_all_its_leases_at_once);
	tcase_add_test(tc, a_holder_that_may_be_alive_loses_only_what_is_over);
	tcase_add_test(tc, a_run_is_open_until_its_job_has_ended);
	tcase_add_test(tc, a_job_that_ends_has_no_call_on_its_way);
	tcase_add_test(tc, active_runs_are_at_most_as_many_as_asked_for);
	tcase_add_test(tc, a_job_that_keeps_dying_fails_in_the_end);
	tcase_add_test(tc, a_checkpoint_gives_the_attempts_back);
	tcase_add_test(tc, handing_a_job_back_is_not_an_attempt);
	tcase_add_test(tc, putting_a_job_back_after_trouble_is_an_attempt);
	tcase_add_test(tc, a_waiting_run_that_had_begun_can_be_cancelled);
	tcase_add_test(tc, the_queue_knows_its_length);
	tcase_add_test(tc, among_many_owners_the_same_one_is_next);
	tcase_add_test(tc, of_jobs_of_one_age_the_id_decides);
	tcase_add_test(tc, a_damaged_row_keeps_nobody_else_from_being_freed);
	tcase_add_test(tc, a_job_that_is_not_there_is_not_found);
	suite_add_tcase(s, tc);
	return s;
}
