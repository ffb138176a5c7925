/* Runs: accepting, reading, listing, their progress and their events. */
#include "tests/unit/store_support.h"

#include "clock.h"
#include "json.h"
#include "xalloc.h"

Suite *runs_suite(void);

/* --- accepting ------------------------------------------------------------ */

START_TEST(a_submitted_run_is_read_back_whole)
{
	struct planned_stage stages[] = { { "strategy", 2 },
	    { "image_eval", 1 } };
	struct run in, out;
	struct new_run nr = { .run = &in, .stages = stages, .n_stages = 2,
	    .job_id = "job-1", .deadline_after_ms = HOUR };
	enum submit_outcome outcome;
	struct stage_list l;

	memset(&in, 0, sizeof(in));
	snprintf(in.id, sizeof(in.id), "run-1");
	in.owner = (char *)(uintptr_t)"ann";
	in.mode = (char *)(uintptr_t)"custom_mode";
	in.platform_name = (char *)(uintptr_t)"Instagram Story";
	in.prompt = (char *)(uintptr_t)"Kaffee \xc3\xa4 'quoted' \"twice\"";
	in.preset_id = (char *)(uintptr_t)"p1";
	in.preset_type = (char *)(uintptr_t)"INPUT_TEMPLATE";
	in.form = (char *)(uintptr_t)"{\"f\":1}";
	in.inputs = (char *)(uintptr_t)"{\"i\":1}";
	in.brand_kit = (char *)(uintptr_t)"{\"b\":1}";
	in.created_ms = T0;
	ck_ok(store_submit_run(st, &nr, NULL, &outcome, NULL, NULL, &err),
	    &err);
	ck_assert_int_eq(outcome, SUBMIT_NEW);
	ck_ok(store_get_run(st, "ann", "run-1", &out, &err), &err);
	ck_assert_str_eq(out.id, "run-1");
	ck_assert_str_eq(out.owner, in.owner);
	ck_assert_int_eq(out.status, STATE_PENDING);
	ck_assert_str_eq(out.mode, in.mode);
	ck_assert_str_eq(out.platform_name, in.platform_name);
	ck_assert_ptr_null(out.task_type);
	ck_assert_str_eq(out.prompt, in.prompt);
	ck_assert_str_eq(out.preset_id, in.preset_id);
	ck_assert_str_eq(out.preset_type, in.preset_type);
	ck_assert_str_eq(out.form, in.form);
	ck_assert_str_eq(out.inputs, in.inputs);
	ck_assert_str_eq(out.brand_kit, in.brand_kit);
	ck_assert_ptr_null(out.warnings);
	ck_assert_int_eq(out.created_ms, T0);
	ck_assert_int_eq(out.started_ms + out.completed_ms, 0);
	ck_assert(!out.has_cost && !out.simulated);
	ck_assert_int_eq(out.last_seq, 0);
	ck_assert_int_eq(out.version, 1);
	run_release(&out);
	ck_ok(store_list_run_stages(st, "run-1", &l, &err), &err);
	ck_assert_int_eq(l.n, 2);
	ck_assert_str_eq(l.rows[0].name, "image_eval");
	ck_assert_str_eq(l.rows[1].name, "strategy");
	ck_assert_int_eq(l.rows[0].status, STAGE_PENDING);
	ck_assert_int_eq(l.rows[0].duration_ms, -1);
	ck_assert_ptr_null(l.rows[0].message);
	stage_list_release(&l);
}
END_TEST

START_TEST(a_run_is_shown_to_its_owner_only)
{
	struct event_list l;
	struct run r;

	add_run(1);
	ck_fails(store_get_run(st, "bob", id_of("run", 1), &r, &err),
	    ERR_NOT_FOUND);
	ck_fails(store_get_run(st, "", id_of("run", 1), &r, &err),
	    ERR_NOT_FOUND);
	ck_fails(store_list_events(st, "bob", id_of("run", 1), 0, 10, &l, &err),
	    ERR_NOT_FOUND);
	ck_fails(store_list_events(st, "", id_of("run", 1), 0, 10, &l, &err),
	    ERR_NOT_FOUND);
	ck_ok(store_get_run(st, NULL, id_of("run", 1), &r, &err), &err);
	run_release(&r);
}
END_TEST

START_TEST(a_second_run_with_the_same_id_leaves_nothing)
{
	struct run_spec again = { .n = 1, .owner = "bob" };
	enum submit_outcome outcome;

	add_run(1);
	ck_fails(submit(st, &again, NULL, &outcome, NULL, NULL, &err),
	    ERR_CONFLICT);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM runs"), 1);
}
END_TEST

START_TEST(a_run_without_an_owner_is_refused)
{
	struct run_spec spec = { .n = 1, .owner = "" };
	enum submit_outcome outcome;

	ck_fails(submit(st, &spec, NULL, &outcome, NULL, NULL, &err),
	    ERR_SYSTEM);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM run_counts"), 0);
}
END_TEST

/* --- idempotency ---------------------------------------------------------- */

static const struct idempotency key1 = { "ann", "POST /runs", "key-1", "fp-a",
    201, "{\"id\":\"run-000001\"}" };

START_TEST(a_repeated_post_gets_the_first_answer)
{
	struct run_spec first = { .n = 1 }, second = { .n = 2 };
	enum submit_outcome outcome = SUBMIT_MISMATCH;
	char *body = NULL;
	int status = 0;

	ck_fails(store_find_idempotency(st, &key1, &outcome, &status, &body,
	    &err), ERR_NOT_FOUND);
	ck_ok(submit(st, &first, &key1, &outcome, &status, &body, &err), &err);
	ck_assert_int_eq(outcome, SUBMIT_NEW);
	ck_assert_ptr_null(body);
	ck_ok(submit(st, &second, &key1, &outcome, &status, &body, &err), &err);
	ck_assert_int_eq(outcome, SUBMIT_REPLAY);
	ck_assert_int_eq(status, 201);
	ck_assert_str_eq(body, key1.body);
	free(body);
	body = NULL;
	ck_ok(store_find_idempotency(st, &key1, &outcome, &status, &body,
	    &err), &err);
	ck_assert_int_eq(outcome, SUBMIT_REPLAY);
	ck_assert_str_eq(body, key1.body);
	free(body);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM runs"), 1);
}
END_TEST

START_TEST(a_key_used_for_another_request_is_a_mismatch)
{
	struct idempotency changed = key1;
	struct run_spec first = { .n = 1 }, second = { .n = 2 };
	enum submit_outcome outcome;
	char *body = NULL;
	int status = 0;

	changed.fingerprint = "fp-b";
	ck_ok(submit(st, &first, &key1, &outcome, &status, &body, &err), &err);
	ck_ok(submit(st, &second, &changed, &outcome, &status, &body, &err),
	    &err);
	ck_assert_int_eq(outcome, SUBMIT_MISMATCH);
	ck_assert_ptr_null(body);
	ck_ok(store_find_idempotency(st, &changed, &outcome, &status, &body,
	    &err), &err);
	ck_assert_int_eq(outcome, SUBMIT_MISMATCH);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM runs"), 1);
}
END_TEST

START_TEST(keys_belong_to_an_owner_and_a_route)
{
	struct idempotency bobs = key1, route = key1;
	struct run_spec spec = { .n = 1 };
	enum submit_outcome outcome;

	bobs.owner = "bob";
	route.route = "POST /captions";
	ck_ok(submit(st, &spec, &key1, &outcome, NULL, NULL, &err), &err);
	spec.n = 2;
	ck_ok(submit(st, &spec, &bobs, &outcome, NULL, NULL, &err), &err);
	ck_assert_int_eq(outcome, SUBMIT_NEW);
	spec.n = 3;
	ck_ok(submit(st, &spec, &route, &outcome, NULL, NULL, &err), &err);
	ck_assert_int_eq(outcome, SUBMIT_NEW);
}
END_TEST

START_TEST(a_submission_that_fails_does_not_use_up_the_key)
{
	struct run_spec spec = { .n = 1 };
	enum submit_outcome outcome;

	add_run(1);
	ck_fails(submit(st, &spec, &key1, &outcome, NULL, NULL, &err),
	    ERR_CONFLICT);
	spec.n = 2;
	ck_ok(submit(st, &spec, &key1, &outcome, NULL, NULL, &err), &err);
	ck_assert_int_eq(outcome, SUBMIT_NEW);
}
END_TEST

/* --- progress ------------------------------------------------------------- */

START_TEST(progress_writes_rows_checkpoint_and_events_together)
{
	struct lane_output o = { "image_eval", VARIANT_NONE, true, "{\"a\":1}",
	    "[\"w\"]", NULL, T0 + 100, T0 + 900 };
	struct stage_update u[2];
	struct lane_output_list outputs;
	struct stage_list stages;
	struct event_list events;
	struct claimed c;

	add_run(1);
	ck_assert_int_eq(claim_at(T0 + 50, &c), 1);
	u[0] = update_of("image_eval", 1, STAGE_COMPLETED);
	u[0].output = "{\"a\":1}";
	u[0].event_data = "{\"first\":1}";
	u[1] = update_of("strategy", 2, STAGE_RUNNING);
	u[1].event_data = "{\"second\":1}";
	ck_ok(store_progress(st, &c.ref, &o, u, 2, T0 + 900, &err), &err);

	ck_ok(store_list_outputs(st, c.job_id, &outputs, &err), &err);
	ck_assert_int_eq(outputs.n, 1);
	ck_assert_str_eq(outputs.rows[0].stage, "image_eval");
	ck_assert_int_eq(outputs.rows[0].variant, VARIANT_NONE);
	ck_assert(outputs.rows[0].ok);
	ck_assert_str_eq(outputs.rows[0].output, "{\"a\":1}");
	ck_assert_str_eq(outputs.rows[0].warnings, "[\"w\"]");
	ck_assert_ptr_null(outputs.rows[0].error);
	ck_assert_int_eq(outputs.rows[0].ended_ms, T0 + 900);
	lane_output_list_release(&outputs);

	ck_ok(store_list_stages(st, c.job_id, &stages, &err), &err);
	ck_assert_int_eq(stages.n, 3);
	ck_assert_int_eq(stages.rows[0].status, STAGE_COMPLETED);
	ck_assert_str_eq(stages.rows[0].output, "{\"a\":1}");
	ck_assert_int_eq(stages.rows[0].duration_ms, 800);
	ck_assert_int_eq(stages.rows[1].status, STAGE_RUNNING);
	ck_assert_int_eq(stages.rows[2].status, STAGE_PENDING);
	ck_assert(stages.rows[2].order > 4.4 && stages.rows[2].order < 4.6);
	stage_list_release(&stages);

	ck_ok(store_list_events(st, "ann", c.run_id, 0, 10, &events, &err),
	    &err);
	ck_assert_int_eq(events.n, 2);
	ck_assert_int_eq(events.last_seq, 2);
	ck_assert_int_eq(events.rows[0].seq, 1);
	ck_assert_str_eq(events.rows[0].type, "stage_update");
	ck_assert_str_eq(events.rows[0].data, "{\"first\":1}");
	ck_assert_int_eq(events.rows[0].created_ms, T0 + 900);
	ck_assert_str_eq(events.rows[1].data, "{\"second\":1}");
	event_list_release(&events);
}
END_TEST

START_TEST(a_checkpoint_replaces_the_one_before)
{
	struct lane_output bad = { "strategy", 3, false, NULL, NULL,
	    "refused", T0, T0 + 5 };
	struct lane_output_list l;
	struct claimed c;

	add_run(1);
	claim_at(T0 + 50, &c);
	ck_ok(checkpoint(&c, "strategy", 3, T0 + 60), &err);
	ck_ok(checkpoint(&c, "strategy", 2, T0 + 60), &err);
	ck_ok(store_progress(st, &c.ref, &bad, NULL, 0, T0 + 70, &err), &err);
	ck_ok(store_list_outputs(st, c.job_id, &l, &err), &err);
	ck_assert_int_eq(l.n, 2);
	ck_assert_int_eq(l.rows[0].variant, 2);
	ck_assert(!l.rows[1].ok);
	ck_assert_ptr_null(l.rows[1].output);
	ck_assert_str_eq(l.rows[1].error, "refused");
	lane_output_list_release(&l);
}
END_TEST

START_TEST(every_visible_change_grows_the_version)
{
	enum cancel_outcome outcome;
	struct stage_update quiet;
	struct claimed c;
	enum state was;
	int64_t v[6];

	add_run(1);
	v[0] = sql_int("SELECT version FROM runs");
	claim_at(T0 + 50, &c);
	v[1] = sql_int("SELECT version FROM runs");
	ck_ok(tell(&c, "strategy", STAGE_RUNNING, T0 + 60), &err);
	v[2] = sql_int("SELECT version FROM runs");
	quiet = update_of("strategy", 2, STAGE_COMPLETED);
	quiet.event_data = NULL;
	ck_ok(store_progress(st, &c.ref, NULL, &quiet, 1, T0 + 70, &err), &err);
	v[3] = sql_int("SELECT version FROM runs");
	ck_assert_int_eq(last_event_seq(1), 1);
	buy(&c, "call-1", "strategy", 5);	/* after the stage's end */
	v[4] = sql_int("SELECT version FROM runs");
	ck_ok(cancel(1, T0 + 80, &outcome, &was), &err);
	v[5] = sql_int("SELECT version FROM runs");
	ck_assert(v[0] < v[1] && v[1] < v[2] && v[2] < v[3] && v[3] < v[4] &&
	    v[4] < v[5]);
}
END_TEST

START_TEST(events_are_read_from_any_point_in_pages)
{
	struct event_list l;
	struct claimed c;
	int i;

	add_run(1);
	claim_at(T0 + 50, &c);
	for (i = 1; i <= 7; i++)
		ck_ok(tell(&c, "strategy", STAGE_RUNNING, T0 + 50 + i), &err);
	ck_ok(store_list_events(st, NULL, c.run_id, 0, 3, &l, &err), &err);
	ck_assert_int_eq(l.n, 3);
	ck_assert_int_eq(l.rows[2].seq, 3);
	ck_assert_int_eq(l.last_seq, 7);
	event_list_release(&l);
	ck_ok(store_list_events(st, NULL, c.run_id, 5, 500, &l, &err), &err);
	ck_assert_int_eq(l.n, 2);
	ck_assert_int_eq(l.rows[0].seq, 6);
	event_list_release(&l);
	ck_ok(store_list_events(st, NULL, c.run_id, 7, 500, &l, &err), &err);
	ck_assert_int_eq(l.n, 0);
	ck_assert_int_eq(l.last_seq, 7);
	event_list_release(&l);
	ck_ok(store_list_events(st, NULL, c.run_id, 99, 500, &l, &err), &err);
	ck_assert_int_eq(l.n, 0);
	event_list_release(&l);
}
END_TEST

/* --- the end -------------------------------------------------------------- */

START_TEST(a_finished_run_tells_everything_about_its_end)
{
	struct stage_update skipped = update_of("style_guide", 4.5,
	    STAGE_SKIPPED);
	struct job_end end = { .state = STATE_COMPLETED,
	    .warnings = "[\"cut\"]", .brand_kit = "{\"used\":1}",
	    .output_directory = "data/runs/run-1", .metadata_path = "m.json",
	    .simulated = true, .updates = &skipped, .n_updates = 1,
	    .event_type = "run_complete", .event_data = "{\"done\":1}" };
	struct event_list l;
	struct claimed c;
	struct run r;
	struct job j;

	add_run(1);
	claim_at(T0 + 1000, &c);
	buy(&c, "call-1", "strategy", 42240000);
	ck_ok(store_finish(st, &c.ref, &end, T0 + 9800, &err), &err);
	ck_ok(store_get_run(st, "ann", c.run_id, &r, &err), &err);
	ck_assert_int_eq(r.status, STATE_COMPLETED);
	ck_assert_int_eq(r.started_ms, T0 + 1000);
	ck_assert_int_eq(r.completed_ms, T0 + 9800);
	ck_assert_int_eq(r.duration_ms, 8800);
	ck_assert_int_eq(r.cost_nano, 42240000);
	ck_assert(r.has_cost && r.simulated);
	ck_assert_str_eq(r.warnings, "[\"cut\"]");
	ck_assert_str_eq(r.brand_kit, "{\"used\":1}");
	ck_assert_str_eq(r.output_directory, "data/runs/run-1");
	ck_assert_str_eq(r.metadata_path, "m.json");
	ck_assert_ptr_null(r.error_message);
	ck_assert_int_eq(r.last_seq, 2);
	run_release(&r);
	ck_ok(store_get_run_job(st, c.run_id, &j, &err), &err);
	ck_assert_int_eq(j.state, STATE_COMPLETED);
	ck_assert_ptr_null(j.lease_holder);
	job_release(&j);
	ck_ok(store_list_events(st, NULL, c.run_id, 0, 9, &l, &err), &err);
	ck_assert_str_eq(l.rows[1].type, "run_complete");
	ck_assert_str_eq(l.rows[1].data, "{\"done\":1}");
	event_list_release(&l);
	ck_fails(tell(&c, "strategy", STAGE_RUNNING, T0 + 9900), ERR_LOST);
	ck_fails(finish(&c, STATE_FAILED, T0 + 9900), ERR_LOST);
}
END_TEST

START_TEST(a_failed_run_closes_the_stages_that_were_open)
{
	struct stage_list l;
	struct claimed c;
	struct run r;

	add_run(1);
	claim_at(T0 + 50, &c);
	ck_ok(tell(&c, "image_eval", STAGE_COMPLETED, T0 + 60), &err);
	ck_ok(tell(&c, "strategy", STAGE_RUNNING, T0 + 60), &err);
	buy(&c, "call-1", "strategy", 7);
	ck_ok(finish(&c, STATE_FAILED, T0 + 600), &err);
	ck_ok(store_list_run_stages(st, c.run_id, &l, &err), &err);
	ck_assert_int_eq(l.rows[0].status, STAGE_COMPLETED);
	ck_assert_int_eq(l.rows[1].status, STAGE_FAILED);
	ck_assert_str_eq(l.rows[1].error_message, "no picture");
	ck_assert_int_eq(l.rows[1].completed_ms, T0 + 600);
	ck_assert_int_eq(l.rows[1].duration_ms, 500);
	ck_assert_int_eq(l.rows[1].cost_nano, 7);
	ck_assert_int_eq(l.rows[2].status, STAGE_PENDING);
	stage_list_release(&l);
	ck_ok(store_get_run(st, NULL, c.run_id, &r, &err), &err);
	ck_assert_str_eq(r.error_message, "no picture");
	ck_assert(!r.simulated);
	run_release(&r);
}
END_TEST

START_TEST(a_run_that_bought_nothing_has_no_cost)
{
	struct claimed c;
	struct run r;

	add_run(1);
	claim_at(T0 + 50, &c);
	ck_ok(finish(&c, STATE_COMPLETED, T0 + 60), &err);
	ck_ok(store_get_run(st, NULL, c.run_id, &r, &err), &err);
	ck_assert(!r.has_cost);
	ck_assert_int_eq(r.cost_nano, 0);
	run_release(&r);
}
END_TEST

START_TEST(a_cancelled_run_keeps_what_it_has_and_says_why)
{
	struct json_object *data = NULL;
	enum cancel_outcome outcome;
	struct stage_list stages;
	struct event_list l;
	struct claimed c;
	enum state was;
	char when[CLOCK_TEXT_MAX];

	add_run(1);
	claim_at(T0 + 50, &c);
	ck_ok(tell(&c, "strategy", STAGE_RUNNING, T0 + 60), &err);
	ck_ok(checkpoint(&c, "image_eval", VARIANT_NONE, T0 + 70), &err);
	buy(&c, "call-1", "strategy", 11);
	ck_ok(cancel(1, T0 + 500, &outcome, &was), &err);
	ck_assert_int_eq(outcome, CANCEL_DONE);
	ck_assert_int_eq(was, STATE_RUNNING);
	ck_assert_int_eq(run_status(1), STATE_CANCELLED);
	ck_assert_int_eq(job_state(1), STATE_CANCELLED);
	ck_assert_int_eq(sql_int("SELECT cost_nano FROM runs"), 11);
	ck_assert_int_eq(sql_int("SELECT duration_ms FROM runs"), 450);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM lane_outputs"), 1);
	ck_ok(store_list_run_stages(st, c.run_id, &stages, &err), &err);
	ck_assert_int_eq(stages.rows[1].status, STAGE_FAILED);
	ck_assert_str_eq(stages.rows[1].error_message,
	    "The user \"cancelled\" it.");
	ck_assert_int_eq(stages.rows[0].status, STAGE_PENDING);
	stage_list_release(&stages);
	ck_ok(store_list_events(st, NULL, c.run_id, 1, 9, &l, &err), &err);
	ck_assert_int_eq(l.n, 1);
	ck_assert_str_eq(l.rows[0].type, "run_error");
	ck_ok(json_parse(l.rows[0].data, strlen(l.rows[0].data), &data, &err),
	    &err);
	ck_assert_str_eq(json_get_str(data, "error_message"),
	    "The user \"cancelled\" it.");
	ck_assert_str_eq(json_get_str(json_get(data, "error_details"), "type"),
	    "cancelled");
	ck_assert_str_eq(json_get_str(data, "timestamp"),
	    clock_format(T0 + 500, when));
	json_object_put(data);
	event_list_release(&l);
}
END_TEST

START_TEST(a_waiting_run_is_cancelled_without_a_runner)
{
	enum cancel_outcome outcome;
	enum state was;

	add_run(1);
	ck_ok(cancel(1, T0 + 500, &outcome, &was), &err);
	ck_assert_int_eq(outcome, CANCEL_DONE);
	ck_assert_int_eq(was, STATE_PENDING);
	ck_assert_int_eq(sql_int("SELECT duration_ms FROM runs"), 0);
	claim_none(T0 + 600);
}
END_TEST

START_TEST(a_run_that_has_ended_is_not_cancelled)
{
	enum cancel_outcome outcome;
	struct claimed c;
	enum state was;

	add_run(1);
	claim_at(T0 + 50, &c);
	ck_ok(finish(&c, STATE_COMPLETED, T0 + 60), &err);
	ck_ok(cancel(1, T0 + 500, &outcome, &was), &err);
	ck_assert_int_eq(outcome, CANCEL_WAS_TERMINAL);
	ck_assert_int_eq(was, STATE_COMPLETED);
	ck_assert_int_eq(last_event_seq(1), 1);
	ck_ok(store_cancel_run(st, NULL, id_of("run", 1), "x", T0, &outcome,
	    &was, &err), &err);
	ck_fails(store_cancel_run(st, "bob", id_of("run", 1), "x", T0,
	    &outcome, &was, &err), ERR_NOT_FOUND);
	ck_fails(store_cancel_run(st, "ann", "run-none", "x", T0, &outcome,
	    &was, &err), ERR_NOT_FOUND);
}
END_TEST

/* --- names ---------------------------------------------------------------- */

START_TEST(every_state_has_a_name_that_is_read_back)
{
	enum state s, back;

	for (s = 0; s < STATE__COUNT; s++) {
		ck_assert(state_parse(state_name(s), &back));
		ck_assert_int_eq(back, s);
		ck_assert(state_is_terminal(s) == (s >= STATE_COMPLETED));
	}
	ck_assert(!state_parse("pending", &back));
	ck_assert(!state_parse("", &back));
	ck_assert(!state_parse(NULL, &back));
	ck_assert_str_eq(stage_status_name(STAGE_SKIPPED), "SKIPPED");
	ck_assert_str_eq(call_state_name(CALL_UNKNOWN), "UNKNOWN");
}
END_TEST

Suite *
runs_suite(void)
{
	Suite *s = suite_create("store: runs");
	TCase *tc = tcase_create("runs");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, a_submitted_run_is_read_back_whole);
	tcase_add_test(tc, a_run_is_shown_to_its_owner_only);
	tcase_add_test(tc, a_second_run_with_the_same_id_leaves_nothing);
	tcase_add_test(tc, a_run_without_an_owner_is_refused);
	tcase_add_test(tc, a_repeated_post_gets_the_first_answer);
	tcase_add_test(tc, a_key_used_for_another_request_is_a_mismatch);
	tcase_add_test(tc, keys_belong_to_an_owner_and_a_route);
	tcase_add_test(tc, a_submission_that_fails_does_not_use_up_the_key);
	tcase_add_test(tc, progress_writes_rows_checkpoint_and_events_together);
	tcase_add_test(tc, a_checkpoint_replaces_the_one_before);
	tcase_add_test(tc, every_visible_change_grows_the_version);
	tcase_add_test(tc, events_are_read_from_any_point_in_pages);
	tcase_add_test(tc, a_finished_run_tells_everything_about_its_end);
	tcase_add_test(tc, a_failed_run_closes_the_stages_that_were_open);
	tcase_add_test(tc, a_run_that_bought_nothing_has_no_cost);
	tcase_add_test(tc, a_cancelled_run_keeps_what_it_has_and_says_why);
	tcase_add_test(tc, a_waiting_run_is_cancelled_without_a_runner);
	tcase_add_test(tc, a_run_that_has_ended_is_not_cancelled);
	tcase_add_test(tc, every_state_has_a_name_that_is_read_back);
	suite_add_tcase(s, tc);
	return s;
}
