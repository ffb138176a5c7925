/*
 * What stages promise and need, and lanes: variants that go at their own speed,
 * pools that are too small, and many jobs at once.
 */
#include "tests/unit/pipeline_unit.h"

#include <fcntl.h>
#include <unistd.h>

#include "file.h"
#include "xalloc.h"

#include "tests/unit/pipeline_suites.h"

#define ALL_GOOD "1R 1C 2R 2C 3R 3C 4R 4C 5R 5C 6R 6C 7R 7C run_complete"

static const char *
str_at(const struct json_object *o, const char *path)
{
	return json_object_get_string(json_at(o, path));
}

/* A warning of a stage with this code; NULL: none. */
static struct json_object *
find_warning(const struct json_object *list, const char *stage,
    const char *code)
{
	struct json_object *o;
	size_t i;

	for (i = 0; i < json_len(list); i++) {
		o = json_object_array_get_idx(list, i);
		if (strcmp(json_get_str(o, "stage"), stage) == 0 &&
		    strcmp(json_get_str(o, "code"), code) == 0)
			return o;
	}
	return NULL;
}

/* --- what a stage promises and needs -------------------------------------- */

static void
run_with_schema(void)
{
	static const char text[] = "{\"type\":\"object\",\"properties\":"
	    "{\"target_niche\":{\"type\":\"string\"}}}";
	struct schema_set *set = NULL;
	struct problems problems;
	int fd;

	ck_ok(file_make_dirs(runs_dir(), 0700, &err), &err);
	ck_ok(file_open_dir(AT_FDCWD, runs_dir(), &fd, &err), &err);
	ck_ok(file_replace(fd, "fake.json", text, strlen(text), 0600, &err),
	    &err);
	close(fd);
	problems_init(&problems);
	ck_assert_int_eq(schema_set_load(runs_dir(), &problems, &set), ERR_OK);
	w.shop.schemas = set;
	run_of(2);
	w.shop.schemas = NULL;
	schema_set_free(set);
	problems_release(&problems);
}

START_TEST(what_fits_its_schema_passes)
{
	struct json_object *o;

	run_with_schema();
	o = event_data(1, 0);
	ck_assert_str_eq(json_get_str(o, "status"), "COMPLETED");
	ck_assert_uint_eq(json_len(json_get(o, "warnings")), 0);
	json_object_put(o);
}
END_TEST

START_TEST(an_item_that_breaks_its_schema_fails_the_stage)
{
	struct json_object *o;

	w.deed[STRATEGY][0] = DO_DEVIATE;
	run_with_schema();
	ck_story(1, "1R 1C 2R 2F 3S 4S 5S 6S 7S run_error");
	o = told_of(1, "strategy");
	ck_assert_ptr_nonnull(strstr(json_get_str(o, "error_message"),
	    "promised form"));
	ck_assert_ptr_nonnull(strstr(json_get_str(o, "error_message"),
	    "target_niche"));
	json_object_put(o);
}
END_TEST

START_TEST(a_variant_that_breaks_its_schema_drops_out)
{
	struct json_object *o;

	w.deed[CREATIVE_EXPERT][2] = DO_DEVIATE;
	run_with_schema();
	o = event_data(1, 0);
	ck_assert_str_eq(json_get_str(o, "status"), "COMPLETED");
	ck_assert_str_eq(str_at(o, "warnings/0/stage"), "creative_expert");
	ck_assert_uint_eq(json_len(json_get(o, "generated_images")), 1);
	json_object_put(o);
}
END_TEST

static struct provider a_provider = { .name = (char *)"p",
    .base_url = (char *)"http://127.0.0.1:1", .max_parallel = 1 };
static struct model_info a_model = { .id = (char *)"m" };

/* Run with models for all purposes but these two (PURPOSE__COUNT: none). */
static void
run_without(enum purpose_id a, enum purpose_id b)
{
	struct model_options opts = { .conf = &w.conf, .store = st };
	struct model *m = NULL;
	int p;

	w.conf.providers = &a_provider;
	w.conf.n_providers = 1;
	w.conf.models = &a_model;
	w.conf.n_models = 1;
	for (p = 0; p < PURPOSE__COUNT; p++) {
		if (p == (int)a || p == (int)b)
			continue;
		w.conf.purposes[p].provider = &a_provider;
		w.conf.purposes[p].model = &a_model;
	}
	ck_ok(model_new(&opts, &m, &err), &err);
	w.shop.model = m;
	run_of(1);
	w.shop.model = NULL;
	model_free(m);
}

START_TEST(a_productive_stage_without_a_model_fails_the_run_at_once)	/* N7 */
{
	struct run run;

	run_without(PURPOSE_STRATEGY_GOALS, PURPOSE_IMAGE_GENERATION);
	ck_story(1, "1S 2F 3S 4S 5S 6S 7S run_error");
	ck_assert_int_eq(w.attempts, 0);
	load_run(1, &run);
	ck_assert_int_eq(run.status, STATE_FAILED);
	/* Both are named, not only the first. */
	ck_assert_ptr_nonnull(strstr(run.error_message, "Finding strategies"));
	ck_assert_ptr_nonnull(strstr(run.error_message, "strategy_goals"));
	ck_assert_ptr_nonnull(strstr(run.error_message, "image_generation"));
	run_release(&run);
}
END_TEST

START_TEST(an_advisory_stage_without_a_model_is_left_out_with_a_warning)
{
	struct json_object *o;

	run_without(PURPOSE_IMAGE_ASSESSMENT, PURPOSE__COUNT);
	ck_story(1, "1R 1C 2R 2C 3R 3C 4R 4C 5R 5C 6R 6C 7S run_complete");
	o = event_data(1, 0);
	ck_assert_ptr_null(json_get(o, "image_assessments"));
	ck_assert_ptr_nonnull(find_warning(json_get(o, "warnings"),
	    "image_assessment", "not_configured"));
	json_object_put(o);
	o = told_of(1, "image_assessment");
	ck_assert_ptr_nonnull(strstr(json_get_str(o, "message"),
	    "No model is configured"));
	json_object_put(o);
}
END_TEST

START_TEST(an_advisory_stage_with_some_of_its_models_is_tried)
{
	run_without(PURPOSE_LOGO_EVAL, PURPOSE__COUNT);
	ck_story(1, ALL_GOOD);
}
END_TEST

/* --- lanes ---------------------------------------------------------------- */

/* Variant 0 is held in its first step until variant 2 has had its picture
 * judged: 3 per-run attempts, 3 concepts, then 3 more of variant 2. */
START_TEST(a_slow_variant_holds_up_nobody_but_the_news)
{
	w.waits_for[CREATIVE_EXPERT][1] = 3 + 3 + 3;
	w.waits_for[CREATIVE_EXPERT][2] = 3 + 3 + 3;
	ck_assert_int_eq(run_of(3), STATE_COMPLETED);
	ck_story(1, "1R 1C 2R 2C 3R 3C 4R 5R 6R 7R 4C 5C 6C 7C run_complete");
}
END_TEST

static const int pool_sizes[] = { 0, 1, 2, 6 };

START_TEST(a_pool_smaller_than_the_lanes_still_ends)
{
	lane_pool_free(w.shop.lanes);
	w.shop.lanes = lane_pool_new(pool_sizes[_i]);
	ck_assert_int_eq(run_of(6), STATE_COMPLETED);
	ck_assert_int_le(w.max_inside, pool_sizes[_i] + 1);
	ck_assert_int_eq(w.attempts, 3 + 4 * 6);
}
END_TEST

START_TEST(lanes_run_at_once_when_there_are_threads)
{
	int v;

	for (v = 1; v <= 6; v++)	/* all six meet in their first step */
		w.waits_for[CREATIVE_EXPERT][v] = 3 + 6;
	ck_assert_int_eq(run_of(6), STATE_COMPLETED);
	ck_assert_int_eq(w.max_inside, 6);
}
END_TEST

#define CROWD 50

static void *
run_one_job(void *arg)
{
	enum state s = STATE_PENDING;
	struct err e = ERR_INIT;
	struct job *job = arg;
	struct cancel *c = cancel_new();

	ck_assert_int_eq(executor_run(executor_get(&w.executors,
	    MODE_GENERATION), &w.shop, job, c, &w.stopping, &s, &e),
	    JOB_ENDED);
	ck_assert_int_eq(s, STATE_COMPLETED);
	cancel_free(c);
	return NULL;
}

START_TEST(fifty_jobs_at_once_all_complete)
{
	static struct job jobs[CROWD];
	pthread_t threads[CROWD];
	struct run run;
	int i;

	lane_pool_free(w.shop.lanes);
	w.shop.lanes = lane_pool_new(8);
	for (i = 0; i < CROWD; i++)
		submit_run(i + 1, "{\"num_variants\":2}");
	for (i = 0; i < CROWD; i++)
		claim_run(&me, &jobs[i]);
	for (i = 0; i < CROWD; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL,
		    run_one_job, &jobs[i]), 0);
	for (i = 0; i < CROWD; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < CROWD; i++) {
		load_run(i + 1, &run);
		ck_assert_int_eq(run.status, STATE_COMPLETED);
		run_release(&run);
		free(story(i + 1));	/* checks that there are no gaps */
		job_release(&jobs[i]);
	}
	ck_assert_int_eq(w.attempts, CROWD * (3 + 4 * 2));
	ck_assert(executor_uses(executor_get(&w.executors,
	    MODE_GENERATION)) == CROWD);
}
END_TEST

TCase *
pipeline_lanes_case(void)
{
	TCase *t;

	t = tcase_create("lanes");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, world_up, world_down);
	tcase_add_test(t, what_fits_its_schema_passes);
	tcase_add_test(t, an_item_that_breaks_its_schema_fails_the_stage);
	tcase_add_test(t, a_variant_that_breaks_its_schema_drops_out);
	tcase_add_test(t,
	    a_productive_stage_without_a_model_fails_the_run_at_once);
	tcase_add_test(t,
	    an_advisory_stage_without_a_model_is_left_out_with_a_warning);
	tcase_add_test(t, an_advisory_stage_with_some_of_its_models_is_tried);
	tcase_add_test(t, a_slow_variant_holds_up_nobody_but_the_news);
	tcase_add_loop_test(t, a_pool_smaller_than_the_lanes_still_ends, 0,
	    (int)ARRAY_LEN(pool_sizes));
	tcase_add_test(t, lanes_run_at_once_when_there_are_threads);
	tcase_add_test(t, fifty_jobs_at_once_all_complete);
	return t;
}
