/*
 * Executing jobs: what is told and in which order, and every row of the table
 * that says which failure means what.
 */
#include "tests/unit/pipeline_unit.h"

#include <sys/stat.h>
#include <fcntl.h>
#include <unistd.h>

#include "clock.h"
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

/* --- a run that goes well ------------------------------------------------- */

START_TEST(a_normal_run_tells_fourteen_events_in_order)	/* N4 */
{
	ck_assert_int_eq(run_of(1), STATE_COMPLETED);
	ck_story(1, ALL_GOOD);
	ck_assert_int_eq(w.events, 15);
}
END_TEST

START_TEST(an_update_has_exactly_the_documented_keys)
{
	static const char *const keys[] = { "stage_name", "stage_order",
	    "status", "started_at", "completed_at", "duration_seconds",
	    "message", "output_data", "error_message" };
	struct json_object *o;
	int64_t seq;
	size_t i;

	run_of(2);
	for (seq = 1; seq <= 6; seq++) {
		o = event_data(1, seq);
		ck_assert_int_eq(json_object_object_length(o), ARRAY_LEN(keys));
		for (i = 0; i < ARRAY_LEN(keys); i++)
			ck_assert(json_object_object_get_ex(o, keys[i], NULL));
		ck_assert(json_object_is_type(json_get(o, "stage_order"),
		    json_type_int));
		json_object_put(o);
	}
}
END_TEST

START_TEST(running_has_a_start_and_completed_has_all_times)
{
	struct json_object *o;

	run_of(1);
	o = event_data(1, 1);
	ck_assert_str_eq(json_get_str(o, "status"), "RUNNING");
	ck_assert_ptr_nonnull(json_get_str(o, "started_at"));
	ck_assert_ptr_null(json_get(o, "completed_at"));
	ck_assert_ptr_null(json_get(o, "duration_seconds"));
	ck_assert_ptr_null(json_get(o, "output_data"));
	json_object_put(o);
	o = event_data(1, 2);
	ck_assert_str_eq(json_get_str(o, "status"), "COMPLETED");
	ck_assert_ptr_nonnull(json_get_str(o, "started_at"));
	ck_assert_ptr_nonnull(json_get_str(o, "completed_at"));
	ck_assert(json_get_num(o, "duration_seconds", -1) >= 0);
	ck_assert_str_eq(str_at(o, "output_data/image_analysis/main_subject"),
	    "lemon tart");
	json_object_put(o);
}
END_TEST

START_TEST(no_message_has_a_word_that_the_page_hides)
{
	struct json_object *o;
	int64_t seq;

	w.deed[IMAGE_EVAL][0] = DO_FAIL;
	w.deed[CREATIVE_EXPERT][1] = DO_FAIL;
	run_of(2);
	for (seq = 1; seq <= 14; seq++) {
		o = event_data(1, seq);
		ck_assert_ptr_null(strstr(json_get_str(o, "message"),
		    "stage"));
		ck_assert_ptr_null(strstr(json_get_str(o, "message"),
		    "ompleted"));
		json_object_put(o);
	}
}
END_TEST

START_TEST(outputs_of_variants_are_a_list_by_index)
{
	struct json_object *o, *list;
	size_t i;

	run_of(6);
	o = told_of(1, "creative_expert");
	list = json_at(o, "output_data/visual_concepts");
	ck_assert_uint_eq(json_len(list), 6);
	for (i = 0; i < 6; i++)
		ck_assert_int_eq(json_get_int(json_object_array_get_idx(list,
		    i), "source_strategy_index", -1), (int)i);
	ck_assert_str_eq(str_at(list, "5/visual_concept"),
	    "lemon tart in style for niche 5");
	json_object_put(o);
}
END_TEST

START_TEST(a_completed_run_has_its_row_its_file_and_its_event)
{
	struct json_object *o, *m;
	struct run run;

	ck_assert_int_eq(run_of(2), STATE_COMPLETED);
	load_run(1, &run);
	ck_assert_int_eq(run.status, STATE_COMPLETED);
	ck_assert_str_eq(run.output_directory, "data/runs/run-000001");
	ck_assert_str_eq(run.metadata_path,
	    "data/runs/run-000001/pipeline_metadata.json");
	ck_assert_ptr_null(run.error_message);
	ck_assert_str_eq(run.warnings, "[]");
	run_release(&run);
	o = event_data(1, 0);
	ck_assert_str_eq(json_get_str(o, "run_id"), "run-000001");
	ck_assert_str_eq(json_get_str(o, "status"), "COMPLETED");
	ck_assert_uint_eq(json_len(json_get(o, "generated_images")), 2);
	ck_assert_uint_eq(json_len(json_get(o, "image_assessments")), 2);
	ck_assert_ptr_null(strchr(str_at(o, "generated_images/0/image_path"),
	    '/'));
	ck_assert(json_object_object_get_ex(o, "refinements", NULL));
	ck_assert_ptr_null(json_get(o, "refinements"));
	json_object_put(o);
	m = metadata_of(1);
	ck_assert_str_eq(str_at(m, "processing_context/"
	    "generated_image_results/1/prompt_seen"),
	    "Paint lemon tart in style for niche 1");
	ck_assert(json_object_get_boolean(json_at(m,
	    "processing_context/image_assessment/1/saw_picture")));
	json_object_put(m);
}
END_TEST

START_TEST(scratch_files_go_when_the_run_has_ended)
{
	char path[512];
	int fd;

	submit_run(1, NULL);
	snprintf(path, sizeof(path), "%s/run-000001/calls", runs_dir());
	ck_ok(file_make_dirs(path, 0750, &err), &err);
	snprintf(path, sizeof(path), "%s/run-000001/calls/x.0", runs_dir());
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	snprintf(path, sizeof(path), "%s/run-000001/.tmp-1", runs_dir());
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	ck_assert_int_eq(execute(&(enum state){ STATE_PENDING }), JOB_ENDED);
	ck_assert_int_ne(access(path, F_OK), 0);
	snprintf(path, sizeof(path), "%s/run-000001/calls", runs_dir());
	ck_assert_int_ne(access(path, F_OK), 0);
	snprintf(path, sizeof(path), "%s/run-000001/work", runs_dir());
	ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(warnings_of_stages_are_said_once_and_kept)
{
	struct json_object *o, *x;
	struct run run;

	w.deed[STRATEGY][0] = DO_WARN;
	w.deed[IMAGE_GENERATION][2] = DO_WARN;
	run_of(2);
	load_run(1, &run);
	ck_ok(json_parse(run.warnings, strlen(run.warnings), &o, &err), &err);
	ck_assert_uint_eq(json_len(o), 4);
	x = find_warning(o, "strategy", "no_price");
	ck_assert_ptr_nonnull(x);
	ck_assert_ptr_null(json_get(x, "variant_index"));
	x = find_warning(o, "image_generation", "call_unknown");
	ck_assert_int_eq(json_get_int(x, "variant_index", -1), 1);
	json_object_put(o);
	run_release(&run);
}
END_TEST

START_TEST(the_brand_kit_as_used_replaces_the_one_submitted)
{
	struct json_object *o = NULL, *m;
	struct run run;

	submit_run(1, "{\"apply_branding\":true,\"brand_kit\":{\"colors\":null,"
	    "\"saved_logo_path_in_run_dir\":\"logo.png\","
	    "\"logo_file_base64\":\"AAAA\",\"logo_analysis\":null}}");
	execute(&(enum state){ STATE_PENDING });
	load_run(1, &run);
	ck_ok(json_parse(run.brand_kit, strlen(run.brand_kit), &o, &err), &err);
	ck_assert_str_eq(str_at(o, "logo_analysis/logo_style"), "bold");
	ck_assert_str_eq(json_get_str(o, "saved_logo_path_in_run_dir"),
	    "logo.png");
	ck_assert(!json_object_object_get_ex(o, "logo_file_base64", NULL));
	json_object_put(o);
	run_release(&run);
	m = metadata_of(1);
	ck_assert(!json_object_object_get_ex(json_at(m,
	    "user_inputs/brand_kit"), "logo_file_base64", NULL));
	json_object_put(m);
}
END_TEST

/* --- skipping ------------------------------------------------------------- */

START_TEST(skipped_stages_keep_their_number_and_are_told_once)
{
	struct json_object *o;

	submit_run(1, "{\"num_variants\":1,\"skip_stages\":[\"image_eval\","
	    "\"image_assessment\"]}");
	execute(&(enum state){ STATE_PENDING });
	ck_story(1, "1S 2R 2C 3R 3C 4R 4C 5R 5C 6R 6C 7S run_complete");
	o = told_of(1, "image_eval");
	ck_assert(json_object_object_get_ex(o, "started_at", NULL));
	ck_assert_ptr_null(json_get(o, "started_at"));
	ck_assert_ptr_null(json_get(o, "completed_at"));
	ck_assert_double_eq(json_get_num(o, "duration_seconds", -1), 0);
	ck_assert_ptr_null(json_get(o, "output_data"));
	json_object_put(o);
	ck_assert_int_eq(w.made[IMAGE_EVAL][0], 0);
	o = metadata_of(1);
	ck_assert(!json_object_object_get_ex(json_get(o,
	    "processing_context"), "image_assessment", NULL));
	json_object_put(o);
}
END_TEST

START_TEST(a_stage_with_nothing_to_do_is_skipped_with_its_reason)
{
	struct json_object *o;

	submit_run(1, "{\"num_variants\":1,\"nothing_to_see\":true}");
	execute(&(enum state){ STATE_PENDING });
	o = told_of(1, "image_eval");
	ck_assert_str_eq(json_get_str(o, "status"), "SKIPPED");
	ck_assert_ptr_nonnull(strstr(json_get_str(o, "message"),
	    "There is no picture."));
	json_object_put(o);
}
END_TEST

START_TEST(a_skipped_stage_in_a_lane_is_told_in_its_turn)
{
	submit_run(1, "{\"num_variants\":2,\"skip_stages\":"
	    "[\"prompt_assembly\"]}");
	/* Variant 0 begins its first step when variant 1 is in its last. */
	w.waits_for[CREATIVE_EXPERT][1] = 3 + 2 + 2;
	execute(&(enum state){ STATE_PENDING });
	ck_story(1, "1R 1C 2R 2C 3R 3C 4R 6R 7R 4C 5S 6C 7C run_complete");
}
END_TEST

/* --- failures ------------------------------------------------------------- */

struct failure {
	const char *what;
	int variants;
	struct {
		int stage, slot;	/* slot 0: per run, else variant + 1 */
		enum deed deed;
	} deeds[4];
	const char *story;
	enum state state;
	const char *warning_stage, *warning_code;	/* NULL: none */
	int warnings;
	const char *error;	/* part of the run's error_message; NULL */
};

#define LOST "4R 4C 5R 5C 6R 6C 7R 7C run_complete"

static const struct failure failures[] = {
	{ "image analysis fails", 1, { { IMAGE_EVAL, 0, DO_FAIL } },
	  "1R 1F 2R 2C 3R 3C " LOST, STATE_COMPLETED, "image_eval",
	  "rate_limit", 1, NULL },
	{ "image analysis is null", 1, { { IMAGE_EVAL, 0, DO_NULL } },
	  "1R 1C 2R 2C 3R 3C " LOST, STATE_COMPLETED, "image_eval",
	  "no_analysis", 1, NULL },
	{ "image analysis gives nothing", 1, { { IMAGE_EVAL, 0, DO_NOTHING } },
	  ALL_GOOD, STATE_COMPLETED, NULL, NULL, 0, NULL },
	{ "the strategies fail", 2, { { STRATEGY, 0, DO_REFUSE } },
	  "1R 1C 2R 2F 3S 4S 5S 6S 7S run_error", STATE_FAILED, "strategy",
	  "invalid", 1,
	  "Finding strategies did not work: the picture is broken" },
	{ "the strategies are not there", 2, { { STRATEGY, 0, DO_NOTHING } },
	  "1R 1C 2R 2F 3S 4S 5S 6S 7S run_error", STATE_FAILED, "strategy",
	  "invalid", 1, "Finding strategies did not work: there was no" },
	{ "the styles are null", 2, { { STYLE_GUIDE, 0, DO_NULL } },
	  "1R 1C 2R 2C 3R 3F 4S 5S 6S 7S run_error", STATE_FAILED,
	  "style_guide", "invalid", 2, "Choosing styles did not work" },
	{ "the styles have the wrong form", 2,
	  { { STYLE_GUIDE, 0, DO_MISSHAPE } },
	  "1R 1C 2R 2C 3R 3F 4S 5S 6S 7S run_error", STATE_FAILED,
	  "style_guide", "invalid", 1, "Choosing styles did not work" },
	{ "the strategies are too large", 1, { { STRATEGY, 0, DO_TOO_MUCH } },
	  "1R 1C 2R 2F 3S 4S 5S 6S 7S run_error", STATE_FAILED, "strategy",
	  "too_large", 1, "larger than" },
	{ "the only concept fails", 1, { { CREATIVE_EXPERT, 1, DO_FAIL } },
	  "1R 1C 2R 2C 3R 3C 4R 4F 5S 6S 7S run_error", STATE_FAILED,
	  "creative_expert", "rate_limit", 1,
	  "Developing ideas did not work: the model is busy" },
	{ "all concepts fail", 2, { { CREATIVE_EXPERT, 1, DO_FAIL },
	  { CREATIVE_EXPERT, 2, DO_REFUSE } },
	  "1R 1C 2R 2C 3R 3C 4R 4F 5S 6S 7S run_error", STATE_FAILED,
	  "creative_expert", "invalid", 2,
	  "Developing ideas did not work: none of the 2 variants" },
	{ "the only picture fails", 1, { { IMAGE_GENERATION, 1, DO_FAIL } },
	  "1R 1C 2R 2C 3R 3C 4R 4C 5R 5C 6R 6F 7S run_error", STATE_FAILED,
	  "image_generation", "rate_limit", 1,
	  "Painting the pictures did not work" },
	{ "the only assessment fails", 1, { { IMAGE_ASSESSMENT, 1, DO_FAIL } },
	  "1R 1C 2R 2C 3R 3C 4R 4C 5R 5C 6R 6C 7R 7F run_complete",
	  STATE_COMPLETED, "image_assessment", "rate_limit", 1, NULL },
	{ "the assessment has nothing to say", 1,
	  { { IMAGE_ASSESSMENT, 1, DO_NOTHING } }, ALL_GOOD, STATE_COMPLETED,
	  NULL, NULL, 0, NULL },
	{ "a call runs out of the job's time", 1,
	  { { IMAGE_GENERATION, 1, DO_TIMEOUT } },
	  "1R 1C 2R 2C 3R 3C 4R 4C 5R 5C 6R 6F 7S run_error", STATE_FAILED,
	  NULL, NULL, 0, "reached its time limit" },
	{ "an advisory call runs out of it", 1,
	  { { IMAGE_EVAL, 0, DO_TIMEOUT } },
	  "1R 1F 2S 3S 4S 5S 6S 7S run_error", STATE_FAILED, NULL, NULL, 0,
	  "reached its time limit" },
};

START_TEST(each_failure_means_what_the_matrix_says)
{
	const struct failure *f = &failures[_i];
	struct json_object *o = NULL, *m;
	struct run run;
	int i;

	for (i = 0; i < 4; i++)
		if (f->deeds[i].deed != DO_WELL)
			w.deed[f->deeds[i].stage][f->deeds[i].slot] =
			    f->deeds[i].deed;
	ck_assert_msg(run_of(f->variants) == f->state, "%s", f->what);
	ck_story(1, f->story);
	load_run(1, &run);
	ck_assert_int_eq(run.status, f->state);
	ck_ok(json_parse(run.warnings, strlen(run.warnings), &o, &err), &err);
	ck_assert_msg((int)json_len(o) == f->warnings, "%s: %s", f->what,
	    run.warnings);
	if (f->warning_stage != NULL)
		ck_assert_msg(find_warning(o, f->warning_stage,
		    f->warning_code) != NULL, "%s: %s", f->what, run.warnings);
	json_object_put(o);
	if (f->error == NULL)
		ck_assert_ptr_null(run.error_message);
	else
		ck_assert_msg(strstr(run.error_message, f->error) != NULL,
		    "%s: %s", f->what, run.error_message);
	run_release(&run);
	m = metadata_of(1);
	ck_assert_msg(m != NULL, "%s: no file of results", f->what);
	json_object_put(m);
}
END_TEST

START_TEST(a_failed_run_tells_why_and_that_it_failed)	/* N8 */
{
	struct json_object *o;

	w.deed[STYLE_GUIDE][0] = DO_FAIL;
	ck_assert_int_eq(run_of(2), STATE_FAILED);
	o = event_data(1, 0);
	ck_assert_int_eq(json_object_object_length(o), 3);
	ck_assert_str_eq(json_get_str(o, "error_message"),
	    "Choosing styles did not work: the model is busy");
	ck_assert_str_eq(str_at(o, "error_details/type"), "failed");
	ck_assert_str_eq(str_at(o, "error_details/stage"), "style_guide");
	ck_assert_ptr_nonnull(json_get_str(o, "timestamp"));
	json_object_put(o);
	o = told_of(1, "style_guide");
	ck_assert_str_eq(json_get_str(o, "error_message"),
	    "the model is busy");
	json_object_put(o);
	o = told_of(1, "image_generation");
	ck_assert_str_eq(json_get_str(o, "message"), "Painting the pictures: "
	    "left out. Not begun, since this did not work: Choosing styles.");
	json_object_put(o);
	ck_assert_int_eq(w.attempts, 3);
}
END_TEST

START_TEST(a_soft_error_is_told_with_completed)
{
	struct json_object *o;

	w.deed[IMAGE_EVAL][0] = DO_NULL;
	run_of(1);
	o = told_of(1, "image_eval");
	ck_assert_str_eq(json_get_str(o, "status"), "COMPLETED");
	ck_assert_str_eq(json_get_str(o, "message"),
	    "Your picture could not be read.");
	ck_assert_str_eq(json_get_str(o, "error_message"), "no analysis");
	ck_assert(json_object_object_get_ex(json_get(o, "output_data"),
	    "image_analysis", NULL));
	ck_assert_ptr_null(json_at(o, "output_data/image_analysis"));
	json_object_put(o);
}
END_TEST

START_TEST(a_dropped_variant_leaves_the_others_alone)
{
	struct json_object *o, *x;

	w.deed[CREATIVE_EXPERT][2] = DO_FAIL;
	ck_assert_int_eq(run_of(3), STATE_COMPLETED);
	ck_assert_int_eq(w.made[CREATIVE_EXPERT][2], 1);
	ck_assert_int_eq(w.made[PROMPT_ASSEMBLY][2], 0);
	ck_assert_int_eq(w.made[IMAGE_ASSESSMENT][1], 1);
	ck_assert_int_eq(w.made[IMAGE_ASSESSMENT][3], 1);
	o = told_of(1, "creative_expert");
	ck_assert_str_eq(json_get_str(o, "message"),
	    "Developing ideas: done for 2 of 3 variants.");
	ck_assert_uint_eq(json_len(json_at(o, "output_data/visual_concepts")),
	    2);
	json_object_put(o);
	o = event_data(1, 0);
	x = find_warning(json_get(o, "warnings"), "creative_expert",
	    "rate_limit");
	ck_assert_int_eq(json_get_int(x, "variant_index", -1), 1);
	ck_assert_str_eq(json_get_str(x, "message"), "the model is busy");
	/* Looked up by position, variant 2 must find its own. */
	ck_assert_uint_eq(json_len(json_get(o, "visual_concepts")), 3);
	ck_assert_str_eq(str_at(o, "visual_concepts/2/visual_concept"),
	    "lemon tart in style for niche 2");
	ck_assert_str_eq(str_at(o,
	    "visual_concepts/1/visual_concept/visual_style"), "");
	ck_assert_str_eq(str_at(o, "final_prompts/2/prompt"),
	    "Paint lemon tart in style for niche 2");
	ck_assert_uint_eq(json_len(json_get(o, "generated_images")), 2);
	ck_assert_int_eq(json_get_int(json_at(o, "generated_images/1"),
	    "strategy_index", -1), 2);
	json_object_put(o);
	o = metadata_of(1);
	ck_assert_uint_eq(json_len(json_at(o,
	    "processing_context/generated_image_prompts")), 2);
	json_object_put(o);
}
END_TEST

START_TEST(a_picture_that_failed_is_listed_with_its_error)
{
	struct json_object *o;

	w.deed[IMAGE_GENERATION][1] = DO_REFUSE;
	ck_assert_int_eq(run_of(2), STATE_COMPLETED);
	o = event_data(1, 0);
	ck_assert_uint_eq(json_len(json_get(o, "generated_images")), 2);
	ck_assert_str_eq(str_at(o, "generated_images/0/status"), "error");
	ck_assert_str_eq(str_at(o, "generated_images/0/error_message"),
	    "the picture is broken");
	ck_assert_str_eq(str_at(o, "generated_images/1/status"), "success");
	ck_assert_uint_eq(json_len(json_get(o, "image_assessments")), 1);
	json_object_put(o);
}
END_TEST

START_TEST(pictures_that_all_failed_are_in_the_file)
{
	struct json_object *o;

	w.deed[IMAGE_GENERATION][1] = DO_FAIL;
	w.deed[IMAGE_GENERATION][2] = DO_FAIL;
	ck_assert_int_eq(run_of(2), STATE_FAILED);
	o = metadata_of(1);
	ck_assert_uint_eq(json_len(json_at(o,
	    "processing_context/generated_image_results")), 2);
	ck_assert_uint_eq(json_len(json_at(o,
	    "processing_context/final_assembled_prompts")), 2);
	json_object_put(o);
}
END_TEST

START_TEST(variants_lost_at_different_stages_fail_the_run_at_the_last)
{
	w.deed[CREATIVE_EXPERT][1] = DO_FAIL;
	w.deed[IMAGE_GENERATION][2] = DO_FAIL;
	ck_assert_int_eq(run_of(2), STATE_FAILED);
	ck_assert_int_eq(w.made[IMAGE_ASSESSMENT][2], 0);
}
END_TEST

START_TEST(results_that_cannot_be_written_fail_the_run)
{
	struct run run;
	char path[512];

	submit_run(1, NULL);
	snprintf(path, sizeof(path), "%s/run-000001/" METADATA_FILE "/in_the_way",
	    runs_dir());
	ck_ok(file_make_dirs(path, 0750, &err), &err);
	ck_assert_int_eq(execute(&(enum state){ STATE_PENDING }), JOB_ENDED);
	load_run(1, &run);
	ck_assert_int_eq(run.status, STATE_FAILED);
	ck_assert_ptr_nonnull(strstr(run.error_message,
	    "The results could not be written"));
	ck_assert_ptr_null(run.metadata_path);
	run_release(&run);
}
END_TEST

START_TEST(a_request_that_cannot_be_planned_fails_with_a_reason)
{
	enum state s = STATE_PENDING;
	struct err e = ERR_INIT;
	struct run run;
	struct job job;

	submit_run(1, NULL);
	claim_run(&me, &job);
	ck_assert_int_eq(executor_run(executor_get(&w.executors,
	    MODE_CAPTION), &w.shop, &job, w.cancel, &w.stopping, &s, &e),
	    JOB_ENDED);
	ck_assert_int_eq(s, STATE_FAILED);
	job_release(&job);
	load_run(1, &run);
	ck_assert_str_eq(run.error_message, "The job cannot be carried out: "
	    "this installation cannot carry out caption yet");
	run_release(&run);
	ck_story(1, "run_error");
}
END_TEST

START_TEST(a_job_of_an_unknown_kind_is_refused_with_a_reason)
{
	enum state s = STATE_PENDING;
	struct err e = ERR_INIT;
	struct job job;

	submit_run(1, NULL);
	claim_run(&me, &job);
	ck_assert_int_eq(executor_refuse(executor_get(&w.executors,
	    MODE_GENERATION), &w.shop, &job, "nobody knows how", &s, &e),
	    JOB_ENDED);
	ck_assert_int_eq(s, STATE_FAILED);
	job_release(&job);
	ck_story(1, "run_error");
}
END_TEST

START_TEST(broken_inputs_fail_the_run_at_once)
{
	struct run run;

	submit_run(1, NULL);
	sql_run("UPDATE runs SET inputs = '[]'");
	ck_assert_int_eq(execute(&(enum state){ STATE_PENDING }), JOB_ENDED);
	load_run(1, &run);
	ck_assert_int_eq(run.status, STATE_FAILED);
	run_release(&run);
	ck_assert_int_eq(w.attempts, 0);
}
END_TEST

TCase *
pipeline_job_case(void)
{
	TCase *t;

	t = tcase_create("job");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, world_up, world_down);
	tcase_add_test(t, a_normal_run_tells_fourteen_events_in_order);
	tcase_add_test(t, an_update_has_exactly_the_documented_keys);
	tcase_add_test(t, running_has_a_start_and_completed_has_all_times);
	tcase_add_test(t, no_message_has_a_word_that_the_page_hides);
	tcase_add_test(t, outputs_of_variants_are_a_list_by_index);
	tcase_add_test(t, a_completed_run_has_its_row_its_file_and_its_event);
	tcase_add_test(t, scratch_files_go_when_the_run_has_ended);
	tcase_add_test(t, warnings_of_stages_are_said_once_and_kept);
	tcase_add_test(t, the_brand_kit_as_used_replaces_the_one_submitted);
	tcase_add_test(t, skipped_stages_keep_their_number_and_are_told_once);
	tcase_add_test(t, a_stage_with_nothing_to_do_is_skipped_with_its_reason);
	tcase_add_test(t, a_skipped_stage_in_a_lane_is_told_in_its_turn);
	tcase_add_loop_test(t, each_failure_means_what_the_matrix_says, 0,
	    (int)ARRAY_LEN(failures));
	tcase_add_test(t, a_failed_run_tells_why_and_that_it_failed);
	tcase_add_test(t, a_soft_error_is_told_with_completed);
	tcase_add_test(t, a_dropped_variant_leaves_the_others_alone);
	tcase_add_test(t, a_picture_that_failed_is_listed_with_its_error);
	tcase_add_test(t, pictures_that_all_failed_are_in_the_file);
	tcase_add_test(t,
	    variants_lost_at_different_stages_fail_the_run_at_the_last);
	tcase_add_test(t, results_that_cannot_be_written_fail_the_run);
	tcase_add_test(t, a_request_that_cannot_be_planned_fails_with_a_reason);
	tcase_add_test(t, a_job_of_an_unknown_kind_is_refused_with_a_reason);
	tcase_add_test(t, broken_inputs_fail_the_run_at_once);
	return t;
}
