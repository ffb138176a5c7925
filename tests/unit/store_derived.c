/* Refinements, captions and noise checks: their rows, jobs, ends and money. */
#include "tests/unit/store_support.h"

#include "derived.h"
#include "json.h"
#include "xalloc.h"

Suite *derived_suite(void);

#define RUN "run-000001"
#define MINUTE 60000

static const struct planned_stage stages[] = {
	{ "load_base_image", 1 }, { "prompt_refine", 2 }, { "save_outputs", 3 },
};

/* A run of ann that ended at T0 + 100, having cost 700. */
static void
completed_run(void)
{
	struct claimed c;

	add_run(1);
	ck_assert_int_eq(claim_at(T0 + 50, &c), 1);
	buy(&c, "gen-1", "strategy", 700);
	ck_ok(finish(&c, STATE_COMPLETED, T0 + 100), &err);
}

static struct new_job
job_of(const char *id)
{
	return (struct new_job){ .id = id, .stages = stages,
	    .n_stages = (int)ARRAY_LEN(stages), .deadline_after_ms = HOUR / 2 };
}

static struct refinement
refinement_of(const char *id)
{
	struct refinement r;

	memset(&r, 0, sizeof(r));
	snprintf(r.d.id, ID_MAX, "%s", id);
	snprintf(r.d.run_id, ID_MAX, RUN);
	r.d.owner = (char *)"ann";
	r.d.inputs = (char *)"{\"refinement_type\":\"prompt\"}";
	r.d.created_ms = T0 + 200;
	r.type = (char *)"prompt";
	r.parent_image_id = (char *)"image_0";
	r.parent_image_type = (char *)"original";
	r.parent_image_path = (char *)"generated_image_strategy_0_1.png";
	r.summary = (char *)"Custom: warmer light";
	r.prompt = (char *)"warmer light";
	return r;
}

static enum err_code
refine(const char *id, const char *job)
{
	const struct refinement r = refinement_of(id);
	const struct new_job j = job_of(job);
	enum submit_outcome outcome = SUBMIT_MISMATCH;
	char *body = NULL;
	int status = 0;
	enum err_code rc;

	rc = store_submit_refinement(st, &r, &j, NULL, &outcome, &status,
	    &body, &err);
	if (rc == ERR_OK)
		ck_assert_int_eq(outcome, SUBMIT_NEW);
	return rc;
}

static char *
answer_with(void *arg, int number)
{
	(void)arg;
	return xasprintf("{\"version\":%d}", number);
}

static int
caption(const char *id, const char *image)
{
	struct new_job j = job_of(id);
	struct caption c = { .number = 0, .source_number = INDEX_NONE };
	enum submit_outcome outcome = SUBMIT_MISMATCH;
	char *body = NULL;
	int status = 0, number;

	snprintf(c.d.id, ID_MAX, "%s", id);
	snprintf(c.d.run_id, ID_MAX, RUN);
	c.d.owner = (char *)"ann";
	c.d.inputs = (char *)"{}";
	c.d.created_ms = T0 + 300;
	c.image_id = (char *)image;
	c.settings = (char *)"{\"tone\":null}";
	c.model_id = (char *)"openai/gpt-4.1";
	ck_ok(store_submit_caption(st, &c, &j, NULL, answer_with, NULL,
	    &outcome, &status, &body, &err), &err);
	ck_assert_int_eq(outcome, SUBMIT_NEW);
	number = (int)strtol(strchr(body, ':') + 1, NULL, 10);
	free(body);
	return number;
}

static enum err_code
end_refinement(const struct claimed *c, enum state how, const char *id)
{
	struct refinement_end x = { how == STATE_COMPLETED ?
	    "refinements/r_from_0_1.png" : NULL, "Style Enhancement: x",
	    how == STATE_FAILED ? "rate_limit" : NULL };
	struct job_end end;
	char data[100];

	memset(&end, 0, sizeof(end));
	snprintf(data, sizeof(data), "{\"job_id\":\"%s\"}", id);
	end.state = how;
	end.error_message = how == STATE_FAILED ? "Too many. Wait." : NULL;
	end.event_type = how == STATE_FAILED ? "run_error" : "run_complete";
	end.event_data = data;
	end.refinement = &x;
	return store_finish(st, &c->ref, &end, T0 + MINUTE, &err);
}

/* The events of the run after its own, as "type type". */
static void
events_are(const char *wanted)
{
	struct event_list l = { NULL, 0, 0 };
	struct strbuf sb = STRBUF_INIT(1000);
	int i;

	ck_ok(store_list_events(st, "ann", RUN, 1, 100, &l, &err), &err);
	for (i = 0; i < l.n; i++)
		strbuf_addf(&sb, "%s%s", i > 0 ? " " : "", l.rows[i].type);
	ck_assert_str_eq(sb.buf != NULL ? sb.buf : "", wanted);
	strbuf_release(&sb);
	event_list_release(&l);
}

/* --- refinements ---------------------------------------------------------- */

START_TEST(a_refinement_lives_beside_its_run)
{
	struct refinement r;
	struct claimed c;

	completed_run();
	ck_ok(refine("r1", "job-r1"), &err);
	ck_ok(store_get_refinement(st, "ann", "r1", &r, &err), &err);
	ck_assert_int_eq(r.d.status, STATE_PENDING);
	ck_assert_str_eq(r.parent_image_path,
	    "generated_image_strategy_0_1.png");
	ck_assert_int_eq(r.noise, NOISE_UNKNOWN);
	ck_assert_ptr_null(r.image_path);
	refinement_release(&r);
	ck_assert_int_eq(claim_at(T0 + 400, &c), 1);
	ck_assert_str_eq(c.job_id, "job-r1");
	ck_assert_int_eq(c.deadline_ms, T0 + 400 + HOUR / 2);
	ck_assert_int_eq(run_status(1), STATE_COMPLETED);
	buy(&c, "edit-1", "prompt_refine", 250);
	ck_ok(end_refinement(&c, STATE_COMPLETED, "r1"), &err);
	ck_ok(store_get_refinement(st, NULL, "r1", &r, &err), &err);
	ck_assert_int_eq(r.d.status, STATE_COMPLETED);
	ck_assert_int_eq(r.d.started_ms, T0 + 400);
	ck_assert_int_eq(r.d.completed_ms, T0 + MINUTE);
	ck_assert_int_eq(r.d.cost_nano, 250);
	ck_assert(r.d.has_cost);
	ck_assert_str_eq(r.image_path, "refinements/r_from_0_1.png");
	ck_assert_str_eq(r.summary, "Style Enhancement: x");
	refinement_release(&r);
	ck_assert_int_eq(sql_int("SELECT cost_nano FROM runs"), 700);
	events_are("run_complete");
}
END_TEST

START_TEST(only_finished_runs_of_the_owner_can_be_refined)
{
	add_run(1);
	ck_fails(refine("r1", "job-r1"), ERR_CONFLICT);
	ck_assert_ptr_nonnull(strstr(err.msg, "PENDING"));
	sql_run("UPDATE runs SET owner = 'bob'; "
	    "UPDATE run_counts SET owner = 'bob'; "
	    "UPDATE jobs SET owner = 'bob'");
	ck_fails(refine("r1", "job-r1"), ERR_NOT_FOUND);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM refinements"), 0);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM jobs"), 1);
}
END_TEST

START_TEST(the_list_sums_what_all_of_them_cost)
{
	struct refinement_list l;
	struct claimed c;

	completed_run();
	ck_ok(refine("r1", "job-r1"), &err);
	ck_ok(refine("r2", "job-r2"), &err);
	claim_at(T0 + 400, &c);
	buy(&c, "edit-1", "prompt_refine", 250);
	ck_ok(end_refinement(&c, STATE_FAILED, "r1"), &err);
	claim_at(T0 + 400, &c);
	buy(&c, "edit2-1", "prompt_refine", 50);
	ck_ok(end_refinement(&c, STATE_COMPLETED, "r2"), &err);
	ck_ok(store_list_refinements(st, RUN, &l, &err), &err);
	ck_assert_int_eq(l.n, 2);
	ck_assert_int_eq(l.cost_nano, 300);
	ck_assert_str_eq(l.rows[0].d.id, "r1");
	ck_assert_str_eq(l.rows[0].d.error_type, "rate_limit");
	ck_assert_str_eq(l.rows[0].d.error_message, "Too many. Wait.");
	ck_assert_ptr_null(l.rows[0].image_path);
	refinement_list_release(&l);
}
END_TEST

START_TEST(an_answer_that_comes_after_the_end_is_booked)
{
	struct refinement r;
	struct call_row row;
	struct claimed c;

	completed_run();
	ck_ok(refine("r1", "job-r1"), &err);
	claim_at(T0 + 400, &c);
	call_init(&row, "edit-1", &c, "prompt_refine", 1);
	ck_ok(store_call_begin(st, &c.ref, &row, &err), &err);
	ck_ok(end_refinement(&c, STATE_FAILED, "r1"), &err);
	row.state = CALL_ANSWERED;
	row.settled_ms = T0 + 2 * MINUTE;
	row.cost_nano = 99;
	row.simulated = true;
	ck_ok(store_call_settle(st, &row, &err), &err);
	ck_ok(store_get_refinement(st, "ann", "r1", &r, &err), &err);
	ck_assert_int_eq(r.d.cost_nano, 99);
	ck_assert(r.d.has_cost && r.d.simulated);
	refinement_release(&r);
	ck_assert_int_eq(sql_int("SELECT cost_nano FROM runs"), 700);
}
END_TEST

START_TEST(a_key_makes_one_refinement)
{
	const struct refinement r = refinement_of("r1"), again =
	    refinement_of("r2");
	const struct new_job j = job_of("job-r1"), k = job_of("job-r2");
	struct idempotency idem = { "ann", "POST refine", "key", "print", 200,
	    "{\"job_id\":\"r1\"}" };
	enum submit_outcome outcome;
	char *body = NULL;
	int status = 0;

	completed_run();
	ck_ok(store_submit_refinement(st, &r, &j, &idem, &outcome, &status,
	    &body, &err), &err);
	ck_assert_int_eq(outcome, SUBMIT_NEW);
	ck_ok(store_submit_refinement(st, &again, &k, &idem, &outcome,
	    &status, &body, &err), &err);
	ck_assert_int_eq(outcome, SUBMIT_REPLAY);
	ck_assert_str_eq(body, "{\"job_id\":\"r1\"}");
	free(body);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM refinements"), 1);
}
END_TEST

/* --- cancelling and giving up --------------------------------------------- */

static enum cancel_outcome
cancel_it(const char *kind, const char *id, enum state *was)
{
	enum cancel_outcome outcome;
	char run_id[ID_MAX];

	ck_ok(store_cancel_derived(st, "ann", kind, id, "It was cancelled.",
	    T0 + 500, &outcome, was, run_id, &err), &err);
	ck_assert_str_eq(run_id, RUN);
	return outcome;
}

START_TEST(a_waiting_refinement_is_cancelled_and_never_begun)
{
	enum cancel_outcome outcome;
	char run_id[ID_MAX];
	enum state was;

	completed_run();
	ck_ok(refine("r1", "job-r1"), &err);
	ck_assert_int_eq(cancel_it("refinement", "r1", &was), CANCEL_DONE);
	ck_assert_int_eq(was, STATE_PENDING);
	claim_none(T0 + 600);
	events_are("run_error");
	ck_assert_int_eq(cancel_it("refinement", "r1", &was),
	    CANCEL_WAS_TERMINAL);
	ck_assert_int_eq(was, STATE_CANCELLED);
	ck_fails(store_cancel_derived(st, "bob", "refinement", "r1", "no", T0,
	    &outcome, &was, run_id, &err), ERR_NOT_FOUND);
	ck_fails(store_cancel_derived(st, "ann", "caption", "r1", "no", T0,
	    &outcome, &was, run_id, &err), ERR_NOT_FOUND);
}
END_TEST

START_TEST(what_is_cancelled_while_it_runs_is_lost_to_its_holder)
{
	struct stage_update u = update_of("load_base_image", 1, STAGE_RUNNING);
	struct claimed c;
	enum state was;

	completed_run();
	ck_ok(refine("r1", "job-r1"), &err);
	claim_at(T0 + 400, &c);
	u.event_data = "{\"job_id\":\"r1\"}";
	ck_ok(store_progress(st, &c.ref, NULL, &u, 1, T0 + 410, &err), &err);
	ck_assert_int_eq(cancel_it("refinement", "r1", &was), CANCEL_DONE);
	ck_assert_int_eq(was, STATE_RUNNING);
	ck_fails(end_refinement(&c, STATE_COMPLETED, "r1"), ERR_CANCELLED);
	ck_fails(store_tell(st, &c.ref, "caption_update", "{}", T0, &err),
	    ERR_CANCELLED);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM refinements"
	    " WHERE status = 'CANCELLED' AND image_path IS NULL"), 1);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM events WHERE"
	    " json_extract(data, '$.error_details.type') = 'cancelled' AND"
	    " json_extract(data, '$.error_details.job_id') = 'r1' AND"
	    " json_extract(data, '$.job_id') = 'r1'"), 1);
}
END_TEST

START_TEST(what_is_given_up_tells_it_in_its_own_words)
{
	struct expired x;
	struct claimed c;

	completed_run();
	ck_ok(refine("r1", "job-r1"), &err);
	ck_assert_int_eq(caption("c1", "image_0"), 0);
	claim_at(T0 + 400, &c);
	claim_at(T0 + 400, &c);
	ck_ok(store_expire_leases(st, me.id, T0 + MINUTE, 1, "Given up \"so\".",
	    &x, &err), &err);
	ck_assert_int_eq(x.failed, 2);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM events WHERE"
	    " type = 'run_error' AND"
	    " json_extract(data, '$.error_details.type') = 'interrupted' AND"
	    " json_extract(data, '$.status') = 'FAILED' AND"
	    " json_extract(data, '$.job_id') = 'r1'"), 1);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM captions WHERE"
	    " status = 'FAILED' AND error_message = 'Given up \"so\".'"), 1);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM events WHERE"
	    " type = 'caption_error' AND"
	    " json_extract(data, '$.image_id') = 'image_0' AND"
	    " json_extract(data, '$.error_type') = 'interrupted'"), 1);
	ck_assert_int_eq(run_status(1), STATE_COMPLETED);
}
END_TEST

/* --- captions ------------------------------------------------------------- */

START_TEST(captions_are_numbered_per_picture_and_never_twice)
{
	struct caption c;
	struct caption_list l;
	enum state was;

	completed_run();
	ck_assert_int_eq(caption("c1", "image_0"), 0);
	ck_assert_int_eq(caption("c2", "image_0"), 1);
	ck_assert_int_eq(caption("c3", "image_1"), 0);
	cancel_it("caption", "c2", &was);
	ck_assert_int_eq(caption("c4", "image_0"), 2);
	ck_ok(store_find_caption(st, "ann", RUN, "image_0", 2, &c, &err),
	    &err);
	ck_assert_str_eq(c.d.id, "c4");
	caption_release(&c);
	ck_fails(store_find_caption(st, "ann", RUN, "image_0", 3, &c, &err),
	    ERR_NOT_FOUND);
	ck_ok(store_list_captions(st, RUN, "image_0", false, &l, &err), &err);
	ck_assert_int_eq(l.n, 3);
	caption_list_release(&l);
	ck_ok(store_list_captions(st, RUN, "image_0", true, &l, &err), &err);
	ck_assert_int_eq(l.n, 0);
	caption_list_release(&l);
}
END_TEST

START_TEST(a_caption_keeps_what_came_of_it)
{
	struct caption_end x = { .text = "Zest \xf0\x9f\x8d\x8b",
	    .settings = "{\"tone\":\"bright\"}", .brief = "{}",
	    .usage = "{}", .file_path = "captions/image_0/v0.txt" };
	struct job_end end;
	struct caption c;
	struct claimed claimed;
	int64_t cost = 0;

	completed_run();
	caption("c1", "image_0");
	claim_at(T0 + 400, &claimed);
	buy(&claimed, "writer-1", "caption", 72);
	ck_ok(store_tell(st, &claimed.ref, "caption_update",
	    "{\"caption_id\":\"c1\"}", T0 + 410, &err), &err);
	memset(&end, 0, sizeof(end));
	end.state = STATE_COMPLETED;
	end.event_type = "caption_complete";
	end.event_data = "{\"caption_id\":\"c1\"}";
	end.caption = &x;
	ck_ok(store_finish(st, &claimed.ref, &end, T0 + 900, &err), &err);
	ck_ok(store_get_caption(st, "ann", "c1", &c, &err), &err);
	ck_assert_str_eq(c.text, x.text);
	ck_assert_str_eq(c.settings, "{\"tone\":\"bright\"}");
	ck_assert_str_eq(c.file_path, "captions/image_0/v0.txt");
	ck_assert_int_eq(c.d.cost_nano, 72);
	caption_release(&c);
	ck_ok(store_caption_cost(st, RUN, &cost, &err), &err);
	ck_assert_int_eq(cost, 72);
	events_are("caption_update caption_complete");
}
END_TEST

/* --- noise checks --------------------------------------------------------- */

static enum noise_outcome
check_noise(const char *job, enum noise *noise)
{
	static const struct planned_stage one = { "noise_assessment", 1 };
	struct new_job j = { .id = job, .stages = &one, .n_stages = 1,
	    .deadline_after_ms = HOUR };
	enum noise_outcome outcome;
	enum state was;

	ck_ok(store_submit_noise_check(st, "ann", "r1", &j, T0 + 2 * MINUTE,
	    &outcome, noise, &was, &err), &err);
	return outcome;
}

static enum err_code
end_check(const struct claimed *c, enum state how, enum noise noise)
{
	struct job_end end;

	memset(&end, 0, sizeof(end));
	end.state = how;
	end.error_message = how == STATE_FAILED ? "no answer" : NULL;
	end.event_type = how == STATE_FAILED ? "noise_assessment_error" :
	    "noise_assessment_completed";
	end.event_data = "{\"job_id\":\"r1\"}";
	end.noise = noise;
	return store_finish(st, &c->ref, &end, T0 + 3 * MINUTE, &err);
}

START_TEST(one_noise_check_is_made_however_many_ask)
{
	struct refinement r;
	struct claimed c;
	enum noise noise;

	completed_run();
	ck_ok(refine("r1", "job-r1"), &err);
	ck_assert_int_eq(check_noise("n0", &noise), NOISE_NOT_READY);
	claim_at(T0 + 400, &c);
	ck_ok(end_refinement(&c, STATE_COMPLETED, "r1"), &err);
	ck_assert_int_eq(check_noise("n1", &noise), NOISE_STARTED);
	ck_assert_int_eq(check_noise("n2", &noise), NOISE_UNDER_WAY);
	claim_at(T0 + 3 * MINUTE, &c);
	ck_assert_str_eq(c.job_id, "n1");
	ck_assert_int_eq(check_noise("n3", &noise), NOISE_UNDER_WAY);
	buy(&c, "noise-1", "noise_assessment", 11);
	ck_ok(end_check(&c, STATE_FAILED, NOISE_UNKNOWN), &err);
	/* It may be asked for again. */
	ck_assert_int_eq(check_noise("n4", &noise), NOISE_STARTED);
	claim_at(T0 + 3 * MINUTE, &c);
	ck_ok(end_check(&c, STATE_COMPLETED, NOISE_NOISY), &err);
	ck_assert_int_eq(check_noise("n5", &noise), NOISE_KNOWN);
	ck_assert_int_eq(noise, NOISE_NOISY);
	ck_ok(store_get_refinement(st, "ann", "r1", &r, &err), &err);
	ck_assert_int_eq(r.noise, NOISE_NOISY);
	ck_assert_int_eq(r.d.status, STATE_COMPLETED);
	ck_assert_int_eq(r.d.cost_nano, 11);
	refinement_release(&r);
}
END_TEST

START_TEST(without_a_picture_there_is_nothing_to_check)
{
	struct claimed c;
	enum noise noise;

	completed_run();
	ck_ok(refine("r1", "job-r1"), &err);
	claim_at(T0 + 400, &c);
	ck_ok(end_refinement(&c, STATE_COMPLETED, "r1"), &err);
	sql_run("UPDATE refinements SET image_path = NULL");
	ck_assert_int_eq(check_noise("n1", &noise), NOISE_NO_IMAGE);
}
END_TEST

Suite *
derived_suite(void)
{
	Suite *s = suite_create("derived");
	TCase *tc = tcase_create("derived");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, a_refinement_lives_beside_its_run);
	tcase_add_test(tc, only_finished_runs_of_the_owner_can_be_refined);
	tcase_add_test(tc, the_list_sums_what_all_of_them_cost);
	tcase_add_test(tc, an_answer_that_comes_after_the_end_is_booked);
	tcase_add_test(tc, a_key_makes_one_refinement);
	tcase_add_test(tc, a_waiting_refinement_is_cancelled_and_never_begun);
	tcase_add_test(tc, what_is_cancelled_while_it_runs_is_lost_to_its_holder);
	tcase_add_test(tc, what_is_given_up_tells_it_in_its_own_words);
	tcase_add_test(tc, captions_are_numbered_per_picture_and_never_twice);
	tcase_add_test(tc, a_caption_keeps_what_came_of_it);
	tcase_add_test(tc, one_noise_check_is_made_however_many_ask);
	tcase_add_test(tc, without_a_picture_there_is_nothing_to_check);
	suite_add_tcase(s, tc);
	return s;
}
