/*
 * The test program of the pipeline, and its first case: executors, plans,
 * contexts, warnings and prompts.
 */
#include "tests/unit/pipeline_unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "xalloc.h"

#include "tests/unit/pipeline_suites.h"

static struct json_object *
json(const char *text)
{
	struct json_object *o = NULL;

	ck_ok(json_parse(text, strlen(text), &o, &err), &err);
	return o;
}

/* --- executors ------------------------------------------------------------ */

START_TEST(there_is_one_executor_per_mode_and_it_stays_the_same)
{
	struct executor *x = executor_get(&w.executors, MODE_GENERATION);
	struct json_object *o;
	char id[ID_MAX];
	int i;

	ck_assert_int_eq(executor_constructed_total(), MODE__COUNT);
	snprintf(id, sizeof(id), "%s", executor_id(x));
	ck_assert(id_is_valid(id));
	for (i = 0; i < 100000; i++)
		ck_assert_ptr_eq(executor_get(&w.executors, MODE_GENERATION),
		    x);
	run_of(1);
	ck_assert_str_eq(executor_id(x), id);
	ck_assert(executor_built_at_ms(x) == T0);
	ck_assert_int_eq(executor_constructed_total(), MODE__COUNT);
	o = executor_set_stats(&w.executors);
	ck_assert_str_eq(json_object_get_string(json_at(o, "generation/id")),
	    id);
	ck_assert_int_eq(json_get_int(json_get(o, "generation"), "uses", -1),
	    1);
	ck_assert_int_eq(json_get_int(json_get(o, "caption"), "uses", -1), 0);
	ck_assert_ptr_nonnull(json_at(o, "refinement/built_at"));
	json_object_put(o);
}
END_TEST

static void *
get_often(void *arg)
{
	int i;

	for (i = 0; i < 10000; i++)
		if (executor_get(&w.executors, MODE_REFINEMENT) != arg)
			return NULL;
	return arg;
}

START_TEST(threads_all_get_the_same_executor)
{
	struct executor *x = executor_get(&w.executors, MODE_REFINEMENT);
	pthread_t t[16];
	void *got;
	int i;

	for (i = 0; i < 16; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, get_often, x), 0);
	for (i = 0; i < 16; i++) {
		pthread_join(t[i], &got);
		ck_assert_ptr_eq(got, x);
	}
}
END_TEST

START_TEST(an_executor_cannot_be_written_to)
{
	int status = 0;
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		*(volatile char *)executor_get(&w.executors,
		    MODE_GENERATION) = 'x';
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}
END_TEST

START_TEST(isolated_executors_may_be_built_and_freed)
{
	struct executor_set set;
	struct problems p;
	int i;

	problems_init(&p);
	for (i = 0; i < 100; i++) {
		ck_assert_int_eq(executor_set_build(&w.conf, fake_stages,
		    n_fake_stages, T0, &p, &set), ERR_OK);
		executor_set_release(&set);
	}
	ck_assert_int_eq(p.count, 0);
	problems_release(&p);
}
END_TEST

START_TEST(unknown_stages_are_faults_with_their_line)
{
	struct executor_set set;
	struct problems p;

	problems_init(&p);
	w.conf.order[MODE_GENERATION].names[2] = (char *)"stile_guide";
	w.conf.order[MODE_CAPTION].names[0] = (char *)"subtitle";
	ck_assert_int_eq(executor_set_build(&w.conf, fake_stages,
	    n_fake_stages, T0, &p, &set), ERR_CONFIG);
	ck_assert_int_eq(p.count, 2);
	ck_assert_ptr_nonnull(strstr(p.text.buf, "stage_order.yml:12: "
	    "\"stile_guide\" is not a stage of generation"));
	ck_assert_ptr_nonnull(strstr(p.text.buf, "stage_order.yml:10: "
	    "\"subtitle\" is not a stage of caption"));
	problems_release(&p);
}
END_TEST

/* --- plans ---------------------------------------------------------------- */

static const struct {
	const char *what, *inputs;
	enum mode mode;
	const char *plan;	/* NULL: refused; S: skipped */
	const char *why;	/* part of the refusal */
} plans[] = {
	{ "a normal run", "{}", MODE_GENERATION, "1 2 3 4 5 6 7", NULL },
	{ "two left out", "{\"skip_stages\":[\"strategy\",\"nonsense\","
	  "\"style_guide\"]}", MODE_GENERATION, "1 2S 3S 4 5 6 7", NULL },
	{ "nothing to see", "{\"nothing_to_see\":true}", MODE_GENERATION,
	  "1S 2 3 4 5 6 7", NULL },
	{ "a recipe with a picture", "{\"preset_type\":\"STYLE_RECIPE\","
	  "\"image_reference\":{}}", MODE_GENERATION, NULL,
	  "style_adaptation" },
	{ "a recipe with a picture, adaptation left out",
	  "{\"preset_type\":\"STYLE_RECIPE\",\"image_reference\":{},"
	  "\"skip_stages\":[\"style_adaptation\",\"strategy\",\"style_guide\","
	  "\"creative_expert\"]}", MODE_GENERATION,
	  "1 2S 3S 4S 4.5S 5 6 7", NULL },
	{ "a recipe with a blank adaptation prompt",
	  "{\"preset_type\":\"STYLE_RECIPE\",\"adaptation_prompt\":\"  \"}",
	  MODE_GENERATION, "1 2 3 4 5 6 7", NULL },
	{ "a recipe with an adaptation prompt",
	  "{\"preset_type\":\"STYLE_RECIPE\",\"adaptation_prompt\":\"x\"}",
	  MODE_GENERATION, NULL, "style_adaptation" },
	{ "a template", "{\"preset_type\":\"INPUT_TEMPLATE\","
	  "\"image_reference\":{}}", MODE_GENERATION, "1 2 3 4 5 6 7", NULL },
	{ "a caption", "{}", MODE_CAPTION, NULL, "caption" },
	{ "a refinement of no kind", "{\"skip_stages\":[\"load_base_image\"]}",
	  MODE_REFINEMENT, NULL, "not a kind of refinement" },
	{ "a refinement of a strange kind", "{\"refinement_type\":\"magic\","
	  "\"skip_stages\":[\"load_base_image\"]}", MODE_REFINEMENT, NULL,
	  "\"magic\" is not a kind of refinement" },
	{ "a subject repair", "{\"refinement_type\":\"subject\","
	  "\"skip_stages\":[\"load_base_image\"]}", MODE_REFINEMENT, NULL,
	  "subject_repair" },
	{ "a prompt refinement the table lacks",
	  "{\"refinement_type\":\"prompt\","
	  "\"skip_stages\":[\"load_base_image\"]}", MODE_REFINEMENT, NULL,
	  "prompt_refine" },
	{ "a repair with all left out", "{\"refinement_type\":\"subject\","
	  "\"skip_stages\":[\"load_base_image\",\"subject_repair\","
	  "\"save_outputs\"]}", MODE_REFINEMENT, "1S 2S 3S", NULL },
};

START_TEST(a_plan_follows_from_order_and_inputs)
{
	struct json_object *inputs = json(plans[_i].inputs);
	struct strbuf got = STRBUF_INIT(256);
	struct plan p = { .n = 0 };
	enum err_code rc;
	int i;

	rc = executor_plan(executor_get(&w.executors, plans[_i].mode), inputs,
	    &p, &err);
	if (plans[_i].plan == NULL) {
		ck_assert_msg(rc == ERR_INVALID, "%s", plans[_i].what);
		ck_assert_msg(strstr(err.msg, plans[_i].why) != NULL, "%s: %s",
		    plans[_i].what, err.msg);
	} else {
		ck_ok(rc, &err);
		for (i = 0; i < p.n; i++)
			strbuf_addf(&got, "%s%g%s", i > 0 ? " " : "",
			    p.steps[i].order,
			    p.steps[i].skip_reason != NULL ? "S" : "");
		ck_assert_str_eq(got.buf, plans[_i].plan);
	}
	strbuf_release(&got);
	json_object_put(inputs);
}
END_TEST

/* --- contexts ------------------------------------------------------------- */

START_TEST(a_context_reads_what_is_there_and_invents_nothing)	/* N17 */
{
	struct context c;

	ck_ok(context_init(&c, "{}", &err), &err);
	ck_assert_int_eq(context_creativity(&c), 2);
	ck_assert_int_eq(c.num_variants, 3);
	ck_assert_str_eq(context_aspect(&c), "1:1");
	ck_assert_str_eq(context_language(&c), "en");
	ck_assert_ptr_null(context_platform(&c));
	ck_assert_ptr_null(context_reference(&c));
	ck_assert_ptr_null(context_instruction(&c));
	ck_assert_ptr_null(context_goal(&c, "voice"));
	ck_assert_ptr_null(context_brand_kit(&c));
	ck_assert_ptr_null(context_logo_path(&c));
	ck_assert_ptr_null(context_logo_analysis(&c));
	ck_assert_ptr_null(context_subject(&c));
	ck_assert_ptr_null(context_strategy(&c, 0));
	ck_assert_ptr_null(context_style(&c, 0));
	ck_assert_ptr_null(context_output(&c, "strategy"));
	ck_assert(!context_flag(&c, "render_text"));
	context_release(&c);
}
END_TEST

START_TEST(a_context_reads_its_inputs)
{
	static const char text[] = "{\"creativity_level\":9,"
	    "\"num_variants\":40,\"prompt\":\" \\n\",\"task_type\":\"x\","
	    "\"marketing_goals\":{\"voice\":\"warm\",\"niche\":\"\"},"
	    "\"target_platform\":{\"name\":\"P\",\"resolution_details\":"
	    "{\"aspect_ratio\":\"9:16\"}},\"image_reference\":"
	    "{\"instruction\":\"make it blue\"},\"apply_branding\":true,"
	    "\"brand_kit\":{\"colors\":null,"
	    "\"saved_logo_path_in_run_dir\":\"logo.png\","
	    "\"logo_analysis\":null}}";
	struct context c;

	ck_ok(context_init(&c, text, &err), &err);
	ck_assert_int_eq(context_creativity(&c), 3);
	ck_assert_int_eq(c.num_variants, MAX_VARIANTS);
	ck_assert_ptr_null(context_str(&c, "prompt"));
	ck_assert_str_eq(context_str(&c, "task_type"), "x");
	ck_assert_str_eq(context_goal(&c, "voice"), "warm");
	ck_assert_ptr_null(context_goal(&c, "niche"));
	ck_assert_str_eq(context_platform(&c), "P");
	ck_assert_str_eq(context_aspect(&c), "9:16");
	ck_assert_str_eq(context_instruction(&c), "make it blue");
	ck_assert_str_eq(context_logo_path(&c), "logo.png");
	ck_assert_ptr_null(context_logo_analysis(&c));
	ck_ok(context_merge(&c, "image_eval", "{\"image_analysis\":"
	    "{\"main_subject\":\"tart\"},\"logo_analysis\":{\"a\":1}}", &err),
	    &err);
	ck_assert_str_eq(context_subject(&c), "tart");
	ck_assert_ptr_nonnull(context_logo_analysis(&c));
	context_release(&c);
}
END_TEST

START_TEST(without_branding_there_is_no_kit)
{
	struct context c;

	ck_ok(context_init(&c, "{\"apply_branding\":false,\"brand_kit\":"
	    "{\"saved_logo_path_in_run_dir\":\"logo.png\"}}", &err), &err);
	ck_assert_ptr_null(context_brand_kit(&c));
	ck_assert_ptr_null(context_logo_path(&c));
	context_release(&c);
	ck_ok(context_init(&c, "{\"apply_branding\":true,\"brand_kit\":"
	    "{\"colors\":null}}", &err), &err);
	ck_assert_ptr_null(context_brand_kit(&c));
	context_release(&c);
}
END_TEST

START_TEST(strategies_and_styles_are_found_by_index)
{
	struct context c;

	ck_ok(context_init(&c, "{}", &err), &err);
	ck_ok(context_merge(&c, "strategy", "{\"marketing_strategies\":"
	    "[{\"n\":0},{\"n\":1}]}", &err), &err);
	ck_ok(context_merge(&c, "style_guide", "{\"style_guidance\":"
	    "[{\"source_strategy_index\":1,\"s\":\"b\"}]}", &err), &err);
	ck_assert_int_eq(json_get_int(context_strategy(&c, 1), "n", -1), 1);
	ck_assert_ptr_null(context_strategy(&c, 2));
	ck_assert_ptr_null(context_strategy(&c, -1));
	ck_assert_str_eq(json_get_str(context_style(&c, 1), "s"), "b");
	/* What says that it belongs to 1 is not taken for 0. */
	ck_assert_ptr_null(context_style(&c, 0));
	context_release(&c);
}
END_TEST

START_TEST(broken_text_is_an_error_not_a_context)
{
	struct context c;

	ck_fails(context_init(&c, "{", &err), ERR_SYSTEM);
	ck_fails(context_init(&c, "[]", &err), ERR_SYSTEM);
	ck_ok(context_init(&c, "{}", &err), &err);
	ck_fails(context_merge(&c, "strategy", "}", &err), ERR_SYSTEM);
	ck_ok(context_merge(&c, "strategy", "null", &err), &err);
	ck_assert_ptr_null(context_output(&c, "strategy"));
	context_release(&c);
}
END_TEST

/* --- prompts -------------------------------------------------------------- */

static const char *const known[] = { "name", "brief", NULL };
static const struct stage_prompt wants[] = { { "one", known },
    { "two", known }, { NULL, NULL } };
static const struct stage_prompt wants_one[] = { { "one", known },
    { NULL, NULL } };
static const struct stage prompted[] = {
	{ .name = "a", .title = "A", .prompts = wants },
	{ .name = "b", .title = "B", .prompts = wants_one },
	{ .name = "c", .title = "C" },
};

static void
write_prompt(const char *name, const char *text)
{
	int fd;

	ck_ok(file_make_dirs(runs_dir(), 0700, &err), &err);
	ck_ok(file_open_dir(AT_FDCWD, runs_dir(), &fd, &err), &err);
	ck_ok(file_replace(fd, name, text, strlen(text), 0600, &err), &err);
	close(fd);
}

START_TEST(prompts_are_loaded_and_found)
{
	struct prompt_set *set = NULL;
	struct problems p;

	problems_init(&p);
	write_prompt("one.txt", "== user ==\nHello {{name}}\n");
	write_prompt("two.txt", "== user ==\n{{block brief}}\n");
	write_prompt("README", "not a prompt\n");
	ck_assert_int_eq(prompts_load(runs_dir(), prompted, 3, &p, &set),
	    ERR_OK);
	ck_assert(template_uses(prompts_get(set, "one"), "name"));
	ck_assert(template_uses(prompts_get(set, "two"), "brief"));
	prompts_free(set);
	problems_release(&p);
}
END_TEST

START_TEST(every_fault_of_the_prompts_is_told)
{
	struct prompt_set *set = NULL;
	struct problems p;

	problems_init(&p);
	write_prompt("one.txt", "== user ==\nHello {{nmae}}\n");
	write_prompt("three.txt", "== user ==\nNobody reads me\n");
	ck_assert_int_eq(prompts_load(runs_dir(), prompted, 3, &p, &set),
	    ERR_CONFIG);
	ck_assert_ptr_null(set);
	ck_assert_ptr_nonnull(strstr(p.text.buf, "nmae"));
	ck_assert_ptr_nonnull(strstr(p.text.buf, "one.txt:2"));
	ck_assert_ptr_nonnull(strstr(p.text.buf, "two.txt"));
	ck_assert_ptr_nonnull(strstr(p.text.buf, "three.txt: no stage uses"));
	problems_release(&p);
}
END_TEST

START_TEST(a_prompt_directory_that_is_not_there_is_told)
{
	struct prompt_set *set = NULL;
	struct problems p;

	problems_init(&p);
	ck_assert_int_eq(prompts_load("/nonexistent", prompted, 3, &p, &set),
	    ERR_CONFIG);
	ck_assert_int_ge(p.count, 1);
	problems_release(&p);
}
END_TEST

TCase *
pipeline_plan_case(void)
{
	TCase *t;

	t = tcase_create("plan");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, world_up, world_down);
	tcase_add_test(t, there_is_one_executor_per_mode_and_it_stays_the_same);
	tcase_add_test(t, threads_all_get_the_same_executor);
	tcase_add_test(t, an_executor_cannot_be_written_to);
	tcase_add_test(t, isolated_executors_may_be_built_and_freed);
	tcase_add_test(t, unknown_stages_are_faults_with_their_line);
	tcase_add_loop_test(t, a_plan_follows_from_order_and_inputs, 0,
	    (int)ARRAY_LEN(plans));
	tcase_add_test(t, a_context_reads_what_is_there_and_invents_nothing);
	tcase_add_test(t, a_context_reads_its_inputs);
	tcase_add_test(t, without_branding_there_is_no_kit);
	tcase_add_test(t, strategies_and_styles_are_found_by_index);
	tcase_add_test(t, broken_text_is_an_error_not_a_context);
	tcase_add_test(t, prompts_are_loaded_and_found);
	tcase_add_test(t, every_fault_of_the_prompts_is_told);
	tcase_add_test(t, a_prompt_directory_that_is_not_there_is_told);
	return t;
}

int
main(void)
{
	SRunner *r;
	Suite *s;
	int failed;

	s = suite_create("pipeline");
	suite_add_tcase(s, pipeline_plan_case());
	suite_add_tcase(s, pipeline_job_case());
	suite_add_tcase(s, pipeline_lanes_case());
	suite_add_tcase(s, pipeline_resume_case());
	suite_add_tcase(s, pipeline_trouble_case());
	suite_add_tcase(s, pipeline_results_case());
	suite_add_tcase(s, pipeline_pixels_case());
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
