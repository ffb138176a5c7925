/*
 * The documents of a finished run: costs and usage as sums over the ledger,
 * the metadata document, and what the results route shows of it.
 */
#include "tests/unit/pipeline_unit.h"

#include "xalloc.h"

#include "tests/unit/pipeline_suites.h"

static struct json_object *
json(const char *text)
{
	struct json_object *o = NULL;

	ck_ok(json_parse(text, strlen(text), &o, &err), &err);
	return o;
}

static const char *
str_at(const struct json_object *o, const char *path)
{
	return json_object_get_string(json_at(o, path));
}

/* --- a ledger ------------------------------------------------------------- */

static struct call_row calls[16];
static struct call_list ledger = { calls, 0 };
static struct stage_row rows[N_STAGES];
static struct stage_list stages = { rows, N_STAGES };

static struct call_row *
add_call(const char *stage, const char *purpose, int variant, int64_t prompt,
    int64_t completion, int64_t cost_nano)
{
	struct call_row *c = &calls[ledger.n++];

	memset(c, 0, sizeof(*c));
	c->stage = (char *)stage;
	c->purpose = (char *)purpose;
	c->variant = variant;
	c->attempt = 1;
	c->state = CALL_ANSWERED;
	c->provider = (char *)"openrouter";
	c->model = (char *)"m";
	c->prompt_tokens = prompt;
	c->completion_tokens = completion;
	c->cost_nano = cost_nano;
	c->sent_ms = T0;
	c->settled_ms = T0 + 1500;
	return c;
}

/* The usage of oracle H, with the costs it says. */
static void
fill_ledger(void)
{
	struct call_row *c;
	int i;

	ledger.n = 0;
	for (i = 0; i < N_STAGES; i++) {
		memset(&rows[i], 0, sizeof(rows[i]));
		rows[i].name = (char *)fake_stages[i].name;
		rows[i].order = i + 1;
		rows[i].status = STAGE_COMPLETED;
		rows[i].duration_ms = 1000 * (i + 1);
	}
	add_call("image_eval", "image_eval", VARIANT_NONE, 1200, 120, 3360000);
	c = add_call("image_eval", "logo_eval", VARIANT_NONE, 800, 80,
	    2240000);
	c->has_billed = true;
	add_call("strategy", "strategy_niche", VARIANT_NONE, 300, 40, 168000);
	add_call("strategy", "strategy_goals", VARIANT_NONE, 900, 360, 792000);
	add_call("style_guide", "style_guide/2", VARIANT_NONE, 1800, 3200,
	    34250000);
	add_call("creative_expert", "creative_expert", 0, 3000, 2500,
	    28750000);
	c = add_call("creative_expert", "creative_expert", 1, 3010, 2600,
	    29762500);
	c->state = CALL_FAILED;
	c->fault = (char *)"truncated";
	c = add_call("creative_expert", "creative_expert", 1, 10, 20, 1);
	c->attempt = 2;
	c->estimated = true;
	c = add_call("image_generation", "image_generation", 0, 50, 0,
	    42240000);
	c->image_out_tokens = 1056;
	c = add_call("image_assessment", "image_assessment", 0, 1861, 150,
	    2707100);
	c->image_in_tokens = 1761;
	c = add_call("image_assessment", "image_assessment", 1, 1861, 150,
	    2707100);
	c->image_in_tokens = 1761;
}

START_TEST(the_total_is_the_sum_of_all_calls)
{
	struct json_object *o;
	int64_t total = 0;
	char *text;
	int i;

	fill_ledger();
	for (i = 0; i < ledger.n; i++)
		total += calls[i].cost_nano;
	ck_assert(total == 146976701);
	o = results_cost_summary(&stages, &ledger, 71400);
	text = json_to_text(json_get(o, "total_pipeline_cost_usd"));
	ck_assert_str_eq(text, "0.146976701");
	free(text);
	text = json_to_text(json_get(o, "total_pipeline_duration_seconds"));
	ck_assert_str_eq(text, "71.4");
	free(text);
	ck_assert_uint_eq(json_len(json_get(o, "stage_costs")), N_STAGES);
	ck_assert_str_eq(str_at(o, "stage_costs/3/stage_name"),
	    "creative_expert");
	/* The attempt that failed is in it. */
	text = json_to_text(json_at(o, "stage_costs/3/cost_usd"));
	ck_assert_str_eq(text, "0.058512501");
	free(text);
	ck_assert_double_eq(json_get_num(json_at(o, "stage_costs/4"),
	    "cost_usd", -1), 0);
	ck_assert_int_eq(json_get_int(json_at(o, "stage_costs/5"),
	    "images_generated", -1), 1);
	ck_assert_double_eq(json_get_num(o, "sum_of_stage_durations_seconds",
	    -1), 28);
	json_object_put(o);
}
END_TEST

START_TEST(only_stages_that_ran_are_costed_failed_ones_too)
{
	struct json_object *o;

	fill_ledger();
	rows[0].status = STAGE_SKIPPED;
	rows[5].status = STAGE_FAILED;
	rows[6].status = STAGE_PENDING;
	o = results_cost_summary(&stages, &ledger, 0);
	ck_assert_uint_eq(json_len(json_get(o, "stage_costs")), 5);
	ck_assert_str_eq(str_at(o, "stage_costs/4/stage_name"),
	    "image_generation");
	json_object_put(o);
}
END_TEST

START_TEST(usage_has_the_names_it_always_had)
{
	static const char *const keys[] = { "image_eval", "logo_eval",
	    "strategy_niche_id", "strategy_goal_gen", "style_guider",
	    "creative_expert_strategy_0", "creative_expert_strategy_1",
	    "image_assessment" };
	struct json_object *o, *a;
	size_t i;

	fill_ledger();
	o = results_usage(&ledger);
	ck_assert_int_eq(json_object_object_length(o), ARRAY_LEN(keys));
	for (i = 0; i < ARRAY_LEN(keys); i++)
		ck_assert_msg(json_get_obj(o, keys[i]) != NULL, "%s", keys[i]);
	a = json_get(o, "creative_expert_strategy_1");
	ck_assert_int_eq(json_get_int(a, "prompt_tokens", 0), 3020);
	ck_assert_int_eq(json_get_int(a, "total_tokens", 0), 5640);
	ck_assert_int_eq(json_get_int(a, "attempts", 0), 2);
	ck_assert(json_get_bool(a, "estimated", false));
	a = json_get(o, "image_assessment");
	ck_assert_int_eq(json_get_int(a, "assessment_count", 0), 2);
	ck_assert_int_eq(json_get_int(a, "total_tokens", 0), 4022);
	ck_assert_int_eq(json_get_int(a, "image_tokens", 0), 3522);
	ck_assert_int_eq(json_get_int(a, "text_tokens", 0), 200);
	ck_assert_uint_eq(json_len(json_get(a, "individual_assessments")), 2);
	ck_assert_int_eq(json_get_int(json_at(a, "individual_assessments/1"),
	    "image_index", -1), 1);
	json_object_put(o);
}
END_TEST

/* --- metadata ------------------------------------------------------------- */

static struct json_object *
metadata(const char *inputs, const char *outputs)
{
	struct json_object *i = json(inputs), *o = json(outputs), *m;
	struct json_object *w_ = json_object_new_array();

	m = results_metadata(i, o, w_, &ledger, &stages, 1000, true);
	json_object_put(i);
	json_object_put(o);
	json_object_put(w_);
	return m;
}

static void
check_keys(const struct json_object *o, const char *const *keys)
{
	ck_assert_ptr_nonnull(o);
	for (; *keys != NULL; keys++)
		ck_assert_msg(json_object_object_get_ex(o, *keys, NULL),
		    "%s is missing", *keys);
}

START_TEST(the_metadata_has_every_documented_key)
{
	static const char *const settings[] = { "run_timestamp",
	    "creativity_level_selected", "num_variants", "pipeline_mode",
	    NULL };
	static const char *const request[] = { "mode", "task_type",
	    "target_platform", "language", NULL };
	static const char *const user[] = { "prompt", "image_reference",
	    "render_text", "apply_branding", "task_description",
	    "marketing_goals", "preset_id", "preset_type",
	    "template_overrides", "adaptation_prompt", "brand_kit", NULL };
	static const char *const context[] = { "image_analysis_result",
	    "suggested_marketing_strategies", "style_guidance_sets",
	    "generated_image_prompts", "final_assembled_prompts",
	    "generated_image_results", "llm_call_usage", "cost_summary",
	    NULL };
	struct json_object *m;

	fill_ledger();
	m = metadata("{}", "{}");
	check_keys(json_get(m, "pipeline_settings"), settings);
	check_keys(json_get(m, "request_details"), request);
	check_keys(json_get(m, "user_inputs"), user);
	check_keys(json_get(m, "processing_context"), context);
	ck_assert_int_eq(json_get_int(json_get(m, "pipeline_settings"),
	    "creativity_level_selected", 0), 2);
	ck_assert_uint_eq(json_len(json_get(m, "calls")), (size_t)ledger.n);
	ck_assert_str_eq(str_at(m, "calls/6/fault"), "truncated");
	ck_assert_str_eq(str_at(m, "calls/4/key"), "style_guider");
	ck_assert_int_eq(json_get_int(json_at(m, "calls/0"), "ms", 0), 1500);
	/* The amount a provider has named is told apart from our own sum. */
	ck_assert_ptr_null(json_at(m, "calls/0/billed_cost_usd"));
	ck_assert_double_eq_tol(json_get_num(json_at(m, "calls/1"),
	    "billed_cost_usd", -1), 0.00224, 1e-12);
	ck_assert(json_get_bool(m, "simulated", false));
	json_object_put(m);
}
END_TEST

START_TEST(assessments_are_a_key_only_when_there_are_some)	/* N17 */
{
	struct json_object *m;

	fill_ledger();
	m = metadata("{}", "{}");
	ck_assert(!json_object_object_get_ex(json_get(m,
	    "processing_context"), "image_assessment", NULL));
	json_object_put(m);
	m = metadata("{}", "{\"x\":{\"image_assessments\":[]}}");
	ck_assert(json_object_is_type(json_at(m,
	    "processing_context/image_assessment"), json_type_array));
	json_object_put(m);
}
END_TEST

START_TEST(no_picture_in_base64_gets_into_the_metadata)
{
	struct json_object *m;
	char *text;

	fill_ledger();
	m = metadata("{\"apply_branding\":true,\"image_reference\":"
	    "{\"filename\":\"a.png\",\"image_content_base64\":\"SECRET\"},"
	    "\"brand_kit\":{\"logo_file_base64\":\"SECRET\",\"colors\":[]}}",
	    "{}");
	text = json_to_text(m);
	ck_assert_ptr_null(strstr(text, "SECRET"));
	free(text);
	ck_assert(json_object_object_get_ex(json_at(m,
	    "user_inputs/image_reference"), "image_content_base64", NULL));
	ck_assert_str_eq(str_at(m, "user_inputs/image_reference/filename"),
	    "a.png");
	json_object_put(m);
}
END_TEST

START_TEST(an_empty_brand_kit_is_none)	/* N17 */
{
	struct json_object *m;

	fill_ledger();
	m = metadata("{\"brand_kit\":{}}", "{}");
	ck_assert_ptr_null(json_at(m, "user_inputs/brand_kit"));
	json_object_put(m);
}
END_TEST

START_TEST(a_given_logo_analysis_is_not_replaced)
{
	struct json_object *m;

	fill_ledger();
	m = metadata("{\"brand_kit\":{\"logo_analysis\":{\"by\":\"user\"}}}",
	    "{\"image_eval\":{\"logo_analysis\":{\"by\":\"model\"}}}");
	ck_assert_str_eq(str_at(m, "user_inputs/brand_kit/logo_analysis/by"),
	    "user");
	json_object_put(m);
}
END_TEST

/* --- the view ------------------------------------------------------------- */

static const char *const view_keys[] = { "run_id", "status",
    "image_analysis", "marketing_strategies", "style_guidance",
    "visual_concepts", "final_prompts", "generated_images",
    "image_assessments", "refinements", "total_cost_usd",
    "total_duration_seconds", "stage_costs", "warnings", "simulated", NULL };

START_TEST(every_key_is_there_whatever_the_document)
{
	static const char *const documents[] = { "{}",
	    "{\"processing_context\":null}", "{\"processing_context\":"
	    "{\"generated_image_results\":null,\"cost_summary\":7}}",
	    "{\"processing_context\":[],\"warnings\":{}}" };
	struct json_object *m, *v;
	size_t i;

	for (i = 0; i < ARRAY_LEN(documents); i++) {
		m = json(documents[i]);
		v = results_view("r", "COMPLETED", m, NULL);
		check_keys(v, view_keys);
		ck_assert(json_object_is_type(json_get(v, "generated_images"),
		    json_type_array));
		ck_assert(json_object_is_type(json_get(v, "warnings"),
		    json_type_array));
		json_object_put(v);
		json_object_put(m);
	}
}
END_TEST

START_TEST(pictures_are_sorted_and_their_names_bare)
{
	struct json_object *m, *v, *refinements = json_object_new_array();

	m = json("{\"processing_context\":{\"generated_image_results\":["
	    "{\"index\":2,\"status\":\"success\",\"result_path\":"
	    "\"data/runs/x/c.png\"},"
	    "{\"index\":0,\"status\":\"error\",\"result_path\":null,"
	    "\"error_message\":\"no\"},{\"index\":1}]}}");
	v = results_view("r", "COMPLETED", m, refinements);
	ck_assert_int_eq(json_get_int(json_at(v, "generated_images/0"),
	    "strategy_index", -1), 0);
	ck_assert_str_eq(str_at(v, "generated_images/0/error_message"), "no");
	ck_assert_str_eq(str_at(v, "generated_images/1/status"), "unknown");
	ck_assert_str_eq(str_at(v, "generated_images/2/image_path"), "c.png");
	ck_assert_ptr_eq(json_get(v, "refinements"), refinements);
	json_object_put(v);
	json_object_put(m);
}
END_TEST

START_TEST(entries_stand_where_their_index_says)
{
	struct json_object *m, *v, *o;

	m = json("{\"processing_context\":{\"generated_image_prompts\":["
	    "{\"visual_concept\":{\"visual_style\":\"one\"},"
	    "\"source_strategy_index\":1},"
	    "{\"visual_concept\":{\"visual_style\":\"three\"},"
	    "\"source_strategy_index\":3}],"
	    "\"final_assembled_prompts\":[{\"index\":3,\"prompt\":\"p3\"}]}}");
	v = results_view("r", "COMPLETED", m, NULL);
	ck_assert_uint_eq(json_len(json_get(v, "visual_concepts")), 4);
	ck_assert_str_eq(str_at(v,
	    "visual_concepts/1/visual_concept/visual_style"), "one");
	ck_assert_str_eq(str_at(v,
	    "visual_concepts/3/visual_concept/visual_style"), "three");
	o = json_at(v, "visual_concepts/2/visual_concept");
	ck_assert_str_eq(json_get_str(o, "suggested_alt_text"), "");
	ck_assert(json_object_object_get_ex(o, "main_subject", NULL));
	ck_assert_str_eq(str_at(v, "final_prompts/3/prompt"), "p3");
	ck_assert_int_eq(strncmp(str_at(v, "final_prompts/0/prompt"),
	    "Error:", 6), 0);
	json_object_put(v);
	json_object_put(m);
}
END_TEST

START_TEST(lists_of_the_first_implementation_keep_their_order)
{
	struct json_object *m, *v;

	m = json("{\"processing_context\":{\"generated_image_prompts\":["
	    "{\"visual_concept\":{}},{\"visual_concept\":{\"x\":1}}],"
	    "\"final_assembled_prompts\":[{\"index\":99999999999}]}}");
	v = results_view("r", "COMPLETED", m, NULL);
	ck_assert_uint_eq(json_len(json_get(v, "visual_concepts")), 2);
	ck_assert_int_eq(json_get_int(json_at(v,
	    "visual_concepts/1/visual_concept"), "x", 0), 1);
	ck_assert_uint_eq(json_len(json_get(v, "final_prompts")), 1);
	json_object_put(v);
	json_object_put(m);
}
END_TEST

/* --- warnings ------------------------------------------------------------- */

START_TEST(a_stage_says_each_thing_once_and_not_without_end)
{
	struct stage_env env = { .variant = 2 };
	int i;

	stage_warn(&env, "a", "%s", "x");
	stage_warn(&env, "a", "x");
	stage_note(&env, "a", "y");
	ck_assert_uint_eq(json_len(env.warnings), 2);
	ck_assert_int_eq(json_get_int(json_object_array_get_idx(env.warnings,
	    0), "variant_index", -1), 2);
	for (i = 0; i < 100; i++)
		stage_warn(&env, "n", "%d", i);
	ck_assert_uint_le(json_len(env.warnings), 16);
	json_object_put(env.warnings);
}
END_TEST

TCase *
pipeline_results_case(void)
{
	TCase *t;

	t = tcase_create("results");
	tcase_add_test(t, the_total_is_the_sum_of_all_calls);
	tcase_add_test(t, only_stages_that_ran_are_costed_failed_ones_too);
	tcase_add_test(t, usage_has_the_names_it_always_had);
	tcase_add_test(t, the_metadata_has_every_documented_key);
	tcase_add_test(t, assessments_are_a_key_only_when_there_are_some);
	tcase_add_test(t, no_picture_in_base64_gets_into_the_metadata);
	tcase_add_test(t, an_empty_brand_kit_is_none);
	tcase_add_test(t, a_given_logo_analysis_is_not_replaced);
	tcase_add_test(t, every_key_is_there_whatever_the_document);
	tcase_add_test(t, pictures_are_sorted_and_their_names_bare);
	tcase_add_test(t, entries_stand_where_their_index_says);
	tcase_add_test(t, lists_of_the_first_implementation_keep_their_order);
	tcase_add_test(t, a_stage_says_each_thing_once_and_not_without_end);
	return t;
}
