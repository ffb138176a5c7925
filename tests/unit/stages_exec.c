/*
 * The table of stages, and the stages that run once per run, against a model
 * and a picture helper that do as the test says: who is asked what, at the
 * same time or in turn, what becomes of the answers, and each way to degrade
 * or fail (generation.md 1.2).
 */
#include "tests/unit/stages_unit.h"

/* --- the table ---------------------------------------------------------- */

START_TEST(the_table_knows_every_name_of_the_stage_order)
{
	int m, i;

	for (m = 0; m < MODE__COUNT; m++)
		for (i = 0; i < conf->order[m].n; i++)
			stage_named(conf->order[m].names[i]);
	ck_assert_ptr_null(stage_named("caption")->exec);
	ck_assert_ptr_null(stage_named("style_adaptation")->exec);
	ck_assert_ptr_nonnull(stage_named("image_generation")->failed);
}
END_TEST

static const struct {
	const char *stage, *member;
} told_as[] = {			/* N11; 8.4 */
	{ "image_eval", "image_analysis" },
	{ "strategy", "marketing_strategies" },
	{ "style_guide", "style_guidance" },
	{ "creative_expert", "visual_concepts" },
	{ "prompt_assembly", "final_prompts" },
	{ "image_generation", "generated_images" },
	{ "image_assessment", "image_assessments" },
};

START_TEST(outputs_are_told_under_the_names_clients_know)
{
	ck_assert_str_eq(stage_named(told_as[_i].stage)->output_key,
	    told_as[_i].member);
}
END_TEST

START_TEST(titles_do_not_speak_of_stages)
{
	int i;

	for (i = 0; i < stage_table_len; i++) {
		ck_assert_ptr_null(strcasestr(stage_table[i].title, "stage"));
		ck_assert_ptr_null(strcasestr(stage_table[i].title,
		    "completed"));
		if (stage_table[i].schema != NULL)
			ck_assert_ptr_nonnull(schema_get(schemas,
			    stage_table[i].schema));
	}
}
END_TEST

/* --- image_eval --------------------------------------------------------- */

START_TEST(without_picture_and_logo_nothing_is_asked)
{
	struct done d = run_stage("image_eval", run_with(""), VARIANT_NONE);

	ck_ok(d.rc, &d.e);
	ck_assert_int_eq(n_asked(), 0);
	ck_assert(json_object_object_get_ex(d.out, "image_analysis", NULL));
	ck_assert_ptr_null(json_get(d.out, "image_analysis"));
	ck_assert_uint_eq(json_len(d.env.warnings), 0);
	ck_assert_ptr_null(d.env.soft_error);
}
END_TEST

START_TEST(picture_and_logo_are_looked_at_together)
{
	struct done d;

	answers("image_eval", tart);
	answers("logo_eval", logo_seen);
	d = run_stage("image_eval", run_with(PICTURE_TOLD("x") "," LOGO),
	    VARIANT_NONE);
	ck_ok(d.rc, &d.e);
	ck_assert_int_eq(n_together(), 2);
	ck_assert_int_eq(asked("image_eval")->n_images, 1);
	ck_assert_str_eq(asked("image_eval")->images[0], "work/analysis.jpg");
	ck_assert_str_eq(asked("image_eval")->mimes[0], "image/jpeg");
	ck_assert_str_eq(asked("logo_eval")->images[0], "work/logo.png");
	ck_assert(asked("image_eval")->cacheable);
	ck_assert(asked("logo_eval")->cacheable);
	ck_assert_str_eq(json_get_str(json_get(d.out, "image_analysis"),
	    "style_mood"), "warm");
	ck_assert_ptr_null(json_at(d.out, "image_analysis/extracted_text"));
	ck_assert_str_eq(json_get_str(json_get(d.out, "logo_analysis"),
	    "logo_style"), "script");
	ck_assert(exists("work/reference.png"));
	keeps_schema("image_eval", d.out);
}
END_TEST

START_TEST(without_instruction_only_the_subject_is_kept)
{
	struct json_object *seen;
	struct done d;

	answers("image_eval", tart);
	d = run_stage("image_eval", run_with(PICTURE), VARIANT_NONE);
	seen = json_get(d.out, "image_analysis");
	ck_assert_str_eq(json_get_str(seen, "main_subject"), "A tart");
	ck_assert_int_eq(json_object_object_length(seen), 6);
	ck_assert_ptr_null(json_get(seen, "secondary_elements"));
	ck_assert_ptr_null(json_get(seen, "style_mood"));
}
END_TEST

START_TEST(a_failed_analysis_is_null_a_warning_and_a_word_to_the_user)
{
	struct done d;

	fails("image_eval", FAULT_RATE_LIMIT);
	d = run_stage("image_eval", run_with(PICTURE), VARIANT_NONE);
	ck_ok(d.rc, &d.e);
	ck_assert_ptr_null(json_get(d.out, "image_analysis"));
	ck_assert_ptr_nonnull(warned(&d, "image_analysis_failed"));
	ck_assert_ptr_nonnull(d.env.message);
	has(d.env.soft_error, "rate_limit");
}
END_TEST

START_TEST(a_failed_logo_analysis_costs_nothing_else)
{
	struct done d;

	answers("image_eval", tart);
	fails("logo_eval", FAULT_TIMEOUT);
	d = run_stage("image_eval", run_with(PICTURE "," LOGO),
	    VARIANT_NONE);
	ck_ok(d.rc, &d.e);
	ck_assert_ptr_nonnull(json_get(d.out, "image_analysis"));
	ck_assert_ptr_null(json_get(d.out, "logo_analysis"));
	ck_assert_ptr_nonnull(warned(&d, "logo_analysis_failed"));
	ck_assert_ptr_null(d.env.soft_error);
}
END_TEST

START_TEST(a_subject_that_says_nothing_is_asked_for_again)
{
	struct done d;

	answers("image_eval", "{'main_subject':'N/A'}");
	answers("image_eval", "{'main_subject':'A tart'}");
	d = run_stage("image_eval", run_with(PICTURE), VARIANT_NONE);
	ck_assert(was_told("image_eval", "main_subject"));
	ck_assert_str_eq(json_get_str(json_get(d.out, "image_analysis"),
	    "main_subject"), "A tart");
}
END_TEST

START_TEST(a_picture_that_cannot_be_decoded_degrades_without_a_call)
{
	struct done d;

	sees_nothing();
	d = run_stage("image_eval", run_with(PICTURE "," LOGO),
	    VARIANT_NONE);
	ck_ok(d.rc, &d.e);
	ck_assert_int_eq(n_asked(), 0);
	has(warned(&d, "image_analysis_failed"), "not a picture");
	has(warned(&d, "logo_analysis_failed"), "not a picture");
}
END_TEST

START_TEST(what_was_left_out_of_the_request_is_told)
{
	struct done d = run_stage("image_eval", run_with("'submit_warnings':"
	    "[{'code':'logo_unusable','message':'The logo was left out: it "
	    "is 100% no picture.'},{},7]"), VARIANT_NONE);

	ck_ok(d.rc, &d.e);
	ck_assert_uint_eq(json_len(d.env.warnings), 1);
	ck_assert_str_eq(warned(&d, "logo_unusable"),
	    "The logo was left out: it is 100% no picture.");
}
END_TEST

START_TEST(a_logo_that_was_analysed_before_is_not_asked_about_again)
{
	struct done d = run_stage("image_eval", run_with("'apply_branding':"
	    "true,'brand_kit':{'saved_logo_path_in_run_dir':'logo.png',"
	    "'logo_analysis':{'logo_style':'known','contains_text':false,"
	    "'dominant_colors':[]}}"), VARIANT_NONE);

	ck_ok(d.rc, &d.e);
	ck_assert_int_eq(n_asked(), 0);
}
END_TEST

START_TEST(cancelling_stops_and_stores_nothing)
{
	static const char *const keys[] = { "image_eval", "strategy_goals",
	    "style_guide/0", "creative_expert" };
	static const char *const stages[] = { "image_eval", "strategy",
	    "style_guide", "creative_expert" };
	struct context *c = run_with(PICTURE ",'num_variants':1");
	struct done d;
	int variant = _i == 3 ? 0 : VARIANT_NONE;

	if (_i >= 2)
		gave(c, "strategy", strategies(1));
	if (_i >= 3)
		gave(c, "style_guide", styles(1));
	fails_with(keys[_i], ERR_CANCELLED);
	d = run_stage(stages[_i], c, variant);
	ck_fails(d.rc, ERR_CANCELLED);
	ck_assert_ptr_null(d.out);
}
END_TEST

/* --- strategy ----------------------------------------------------------- */

#define PLAN(a) "{'target_audience':'" a "','target_objective':'o',"		\
	"'target_voice':'v','target_niche':null}"
#define NICHES "'relevant_niches':['Cafe','Bakery','Bistro']"
#define THREE "'strategies':[" PLAN("a") "," PLAN("b") "," PLAN("c") "]"

static const struct json_object *
plans(const struct done *d)
{
	return json_get_arr(d->out, "marketing_strategies");
}

static const char *
audience(const struct done *d, size_t i)
{
	return json_get_str(json_object_array_get_idx(plans(d), i),
	    "target_audience");
}

static const char *
niche(const struct done *d, size_t i)
{
	return json_get_str(json_object_array_get_idx(plans(d), i),
	    "target_niche");
}

START_TEST(niches_and_goals_come_with_one_answer)
{
	struct done d;

	answers("strategy_goals", "{" NICHES "," THREE "}");
	d = run_stage("strategy", run_with(""), VARIANT_NONE);
	ck_ok(d.rc, &d.e);
	ck_assert_int_eq(n_asked(), 1);
	has(asked("strategy_goals")->user, "Niches: FIND THREE");
	keeps_schema("strategy", d.out);
	ck_assert_uint_eq(json_len(plans(&d)), 3);
	ck_assert_str_eq(niche(&d, 0), "Cafe");
	ck_assert_str_eq(niche(&d, 1), "Bakery");
	ck_assert_str_eq(niche(&d, 2), "Bistro");
	ck_assert(!json_get_bool(d.out, "degraded", true));
	ck_assert_uint_eq(json_len(d.env.warnings), 0);
}
END_TEST

START_TEST(a_niche_of_the_users_is_not_looked_for)	/* K15 */
{
	struct done d;

	answers("strategy_goals", "{" THREE "}");
	d = run_stage("strategy", run_with("'marketing_goals':{'niche':"
	    "'Tea house','target_audience':null,'objective':null,"
	    "'voice':null}"), VARIANT_NONE);
	ck_ok(d.rc, &d.e);
	ck_assert_int_eq(n_asked(), 1);
	has(asked("strategy_goals")->user, "Niches: ONE GIVEN");
	fenced(asked("strategy_goals")->user, "niches", "NICHE: Tea house");
	ck_assert_str_eq(niche(&d, 2), "Tea house");
}
END_TEST

#define NAMED(a, niche) "{'target_audience':'" a "','target_objective':'o',"	\
	"'target_voice':'v','target_niche':" niche "}"

START_TEST(strategies_that_name_their_niches_have_found_them)
{
	struct done d;

	answers("strategy_goals", "{'strategies':[" NAMED("a", "'Kiosk'") ","
	    NAMED("b", "null") "," NAMED("c", "'Tea house'") "]}");
	d = run_stage("strategy", run_with(""), VARIANT_NONE);
	ck_ok(d.rc, &d.e);
	ck_assert_int_eq(n_asked(), 1);
	ck_assert_str_eq(niche(&d, 0), "Kiosk");
	ck_assert_str_eq(niche(&d, 1), "Tea house");	/* by position */
	ck_assert_str_eq(niche(&d, 2), "Tea house");
	ck_assert_uint_eq(json_len(d.env.warnings), 0);
}
END_TEST

START_TEST(an_answer_without_any_niche_is_asked_about)
{
	struct done d;

	answers("strategy_goals", "{" THREE "}");
	answers("strategy_goals", "{" NICHES "," THREE "}");
	d = run_stage("strategy", run_with(""), VARIANT_NONE);
	ck_ok(d.rc, &d.e);
	ck_assert(was_told("strategy_goals", "relevant_niches"));
	ck_assert_str_eq(niche(&d, 0), "Cafe");
}
END_TEST

START_TEST(failed_niches_and_goals_come_from_the_pool_and_say_so)
{
	struct done d, again;
	char *a, *b;

	fails("strategy_goals", FAULT_NOT_CONFIGURED);
	d = run_stage("strategy", run_with(""), VARIANT_NONE);
	ck_ok(d.rc, &d.e);
	ck_assert_int_eq(n_asked(), 1);
	ck_assert_uint_eq(json_len(plans(&d)), 3);
	ck_assert(json_get_bool(d.out, "degraded", false));
	ck_assert(json_get_bool(d.out, "simulated", false));
	has(warned(&d, "niches_from_pool"), "not_configured");
	has(warned(&d, "strategies_simulated"), "3 of 3");
	keeps_schema("strategy", d.out);

	fails("strategy_goals", FAULT_NOT_CONFIGURED);
	again = run_stage("strategy", run_with(""), VARIANT_NONE);
	a = json_to_text(d.out);
	b = json_to_text(again.out);
	ck_assert_str_eq(a, b);
	free(b);
	free(a);
}
END_TEST

START_TEST(failed_goals_keep_the_users_niche)
{
	struct done d;
	size_t i;

	fails("strategy_goals", FAULT_SERVER);
	d = run_stage("strategy", run_with(ALL_GOALS), VARIANT_NONE);
	ck_ok(d.rc, &d.e);
	for (i = 0; i < 3; i++)
		ck_assert_str_eq(niche(&d, i), "Late bakery");
	ck_assert_ptr_null(warned(&d, "niches_from_pool"));
	has(warned(&d, "strategies_simulated"), "server");
}
END_TEST

START_TEST(missing_strategies_are_asked_for_once_more)	/* K16 */
{
	struct done d;

	answers("strategy_goals", "{" NICHES ",'strategies':[" PLAN("a") ","
	    PLAN("A ") "]}");
	answers("strategy_goals/more", "{'strategies':[" PLAN("b") ","
	    PLAN("c") "," PLAN("d") "]}");
	d = run_stage("strategy", run_with(""), VARIANT_NONE);
	ck_ok(d.rc, &d.e);
	ck_assert_uint_eq(json_len(plans(&d)), 3);
	ck_assert_str_eq(audience(&d, 0), "a");
	ck_assert_str_eq(audience(&d, 2), "c");
	has(asked("strategy_goals/more")->user, "COUNT: 2\n");
	has(asked("strategy_goals/more")->user, "Niches: SEVERAL GIVEN");
	fenced(asked("strategy_goals/more")->user, "niches",
	    "NICHE: Cafe\nNICHE: Bakery\nNICHE: Bistro");
	fenced(asked("strategy_goals/more")->user, "have", "a | Cafe | o | v");
	ck_assert_uint_eq(json_len(d.env.warnings), 0);
}
END_TEST

START_TEST(what_is_still_missing_is_filled_from_the_pool)	/* K16 */
{
	struct done d;

	answers("strategy_goals", "{" NICHES ",'strategies':[" PLAN("a") ","
	    PLAN("b") "]}");
	fails("strategy_goals/more", FAULT_SERVER);
	d = run_stage("strategy", run_with(""), VARIANT_NONE);
	ck_ok(d.rc, &d.e);
	ck_assert_uint_eq(json_len(plans(&d)), 3);
	ck_assert_str_eq(audience(&d, 1), "b");
	has(warned(&d, "strategies_simulated"), "1 of 3");
	ck_assert_ptr_null(warned(&d, "niches_from_pool"));
	ck_assert(json_get_bool(d.out, "degraded", false));
}
END_TEST

START_TEST(names_without_target_and_bare_lists_are_understood)
{
	struct done d;

	answers("strategy_goals", "[{'audience':'a','objective':'o','voice':"
	    "'v','niche':'Bakery'}]");
	d = run_stage("strategy", run_with("'num_variants':1"), VARIANT_NONE);
	ck_ok(d.rc, &d.e);
	ck_assert_str_eq(niche(&d, 0), "Bakery");
}
END_TEST

START_TEST(lists_that_are_too_long_are_no_reason_to_ask_again)
{
	struct done d;

	answers("strategy_goals", "{'relevant_niches':['1','2','3','4','5',"
	    "'6','7'],'strategies':[" PLAN("a") "," PLAN("b") "," PLAN("c") ","
	    PLAN("d") "," PLAN("e") "," PLAN("f") "," PLAN("g") "]}");
	d = run_stage("strategy", run_with(""), VARIANT_NONE);
	ck_ok(d.rc, &d.e);
	ck_assert_int_eq(n_asked(), 1);
	ck_assert_uint_eq(json_len(plans(&d)), 3);
}
END_TEST

/* --- style_guide -------------------------------------------------------- */

#define SET(word, index) "{'style_guidance_sets':[{'style_keywords':['" word	\
	"','x','y'],'style_description':'About " word "','marketing_impact':"	\
	"'Because','source_strategy_index':" index "}]}"

static const struct json_object *
style(const struct done *d, int i)
{
	return json_object_array_get_idx(json_get_arr(d->out,
	    "style_guidance"), (size_t)i);
}

START_TEST(styles_are_asked_for_at_the_same_time)
{
	struct context *c = run_with("");
	struct done d;
	int i;

	gave(c, "strategy", strategies(3));
	answers("style_guide/0", SET("zero", "0"));
	answers("style_guide/1", SET("one", "0"));
	answers("style_guide/2", "[{'style_keywords':['two'],"
	    "'style_description':'About two','marketing_impact':'m'}]");
	d = run_stage("style_guide", c, VARIANT_NONE);
	ck_ok(d.rc, &d.e);
	ck_assert_int_eq(n_together(), 3);
	keeps_schema("style_guide", d.out);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(json_get_int(style(&d, i),
		    "source_strategy_index", -1), i);
	ck_assert_str_eq(json_get_str(style(&d, 1), "style_description"),
	    "About one");
	ck_assert(!json_get_bool(d.out, "degraded", true));
	fenced(asked("style_guide/1")->user, "strategy", "Audience: AUD1");
	fenced(asked("style_guide/1")->user, "others", "AUD2");
}
END_TEST

START_TEST(one_failed_style_is_neutral_and_the_others_stay)	/* W3 */
{
	struct context *c = run_with("'creativity_level':1");
	struct done d;

	gave(c, "strategy", strategies(3));
	answers("style_guide/0", SET("zero", "0"));
	fails("style_guide/1", FAULT_TRUNCATED);
	answers("style_guide/2", SET("two", "2"));
	d = run_stage("style_guide", c, VARIANT_NONE);
	ck_ok(d.rc, &d.e);
	keeps_schema("style_guide", d.out);
	ck_assert_str_eq(json_get_str(style(&d, 0), "style_description"),
	    "About zero");
	has(json_get_str(style(&d, 1), "style_description"), "realistic");
	ck_assert_int_eq(json_get_int(style(&d, 1), "source_strategy_index",
	    -1), 1);
	has(warned(&d, "style_neutral"), "Variant 2");
	ck_assert(json_get_bool(d.out, "degraded", false));
}
END_TEST

START_TEST(neutral_styles_follow_creativity_and_differ_between_neighbours)
{
	struct json_object *a, *b;
	int level;

	for (level = 1; level <= 3; level++) {
		a = style_neutral(level, 0);
		b = style_neutral(level, 1);
		ck_assert_str_ne(json_get_str(a, "style_description"),
		    json_get_str(b, "style_description"));
		ck_assert_uint_ge(json_len(json_get_arr(a, "style_keywords")),
		    3);
		json_object_put(a);
		json_object_put(b);
	}
}
END_TEST

START_TEST(a_style_that_says_nothing_is_asked_for_again)
{
	struct context *c = run_with("'num_variants':1");
	struct done d;

	gave(c, "strategy", strategies(1));
	answers("style_guide/0", "{'style_guidance_sets':[{'style_keywords':"
	    "['a'],'style_description':'N/A','marketing_impact':'m',"
	    "'source_strategy_index':0}]}");
	answers("style_guide/0", SET("better", "0"));
	d = run_stage("style_guide", c, VARIANT_NONE);
	ck_ok(d.rc, &d.e);
	ck_assert(was_told("style_guide/0", "style_description"));
	ck_assert_str_eq(json_get_str(style(&d, 0), "style_description"),
	    "About better");
}
END_TEST

START_TEST(extra_sets_are_dropped_and_the_matching_one_is_taken)
{
	struct json_object *answer, *set;

	answer = json("{'style_guidance_sets':[{'style_keywords':['a','b',"
	    "'c','d','e','f'],'style_description':'first','marketing_impact':"
	    "'m','source_strategy_index':0},{'style_keywords':['a'],"
	    "'style_description':'second','marketing_impact':'m',"
	    "'source_strategy_index':4}]}");
	set = style_pick(answer, 4);
	ck_assert_str_eq(json_get_str(set, "style_description"), "second");
	json_object_put(set);
	set = style_pick(answer, 2);
	ck_assert_str_eq(json_get_str(set, "style_description"), "first");
	ck_assert_uint_eq(json_len(json_get_arr(set, "style_keywords")), 5);
	json_object_put(set);
	ck_assert_ptr_null(style_pick(NULL, 0));
}
END_TEST

START_TEST(without_strategies_there_are_no_styles)
{
	struct done d = run_stage("style_guide", run_with(""), VARIANT_NONE);

	ck_ok(d.rc, &d.e);
	ck_assert_int_eq(n_asked(), 0);
	ck_assert_uint_eq(json_len(json_get_arr(d.out, "style_guidance")), 0);
}
END_TEST

TCase *
stages_exec_case(void)
{
	TCase *tc = tcase_create("stages at work");

	tcase_add_checked_fixture(tc, stages_setup, stages_teardown);
	tcase_add_test(tc, the_table_knows_every_name_of_the_stage_order);
	add_rows(tc, outputs_are_told_under_the_names_clients_know, told_as);
	tcase_add_test(tc, titles_do_not_speak_of_stages);
	tcase_add_test(tc, without_picture_and_logo_nothing_is_asked);
	tcase_add_test(tc, picture_and_logo_are_looked_at_together);
	tcase_add_test(tc, without_instruction_only_the_subject_is_kept);
	tcase_add_test(tc, a_failed_analysis_is_null_a_warning_and_a_word_to_the_user);
	tcase_add_test(tc, a_failed_logo_analysis_costs_nothing_else);
	tcase_add_test(tc, a_subject_that_says_nothing_is_asked_for_again);
	tcase_add_test(tc, a_picture_that_cannot_be_decoded_degrades_without_a_call);
	tcase_add_test(tc, what_was_left_out_of_the_request_is_told);
	tcase_add_test(tc, a_logo_that_was_analysed_before_is_not_asked_about_again);
	tcase_add_loop_test(tc, cancelling_stops_and_stores_nothing, 0, 4);
	tcase_add_test(tc, niches_and_goals_come_with_one_answer);
	tcase_add_test(tc, a_niche_of_the_users_is_not_looked_for);
	tcase_add_test(tc, strategies_that_name_their_niches_have_found_them);
	tcase_add_test(tc, an_answer_without_any_niche_is_asked_about);
	tcase_add_test(tc, failed_niches_and_goals_come_from_the_pool_and_say_so);
	tcase_add_test(tc, failed_goals_keep_the_users_niche);
	tcase_add_test(tc, missing_strategies_are_asked_for_once_more);
	tcase_add_test(tc, lists_that_are_too_long_are_no_reason_to_ask_again);
	tcase_add_test(tc, what_is_still_missing_is_filled_from_the_pool);
	tcase_add_test(tc, names_without_target_and_bare_lists_are_understood);
	tcase_add_test(tc, styles_are_asked_for_at_the_same_time);
	tcase_add_test(tc, one_failed_style_is_neutral_and_the_others_stay);
	tcase_add_test(tc, neutral_styles_follow_creativity_and_differ_between_neighbours);
	tcase_add_test(tc, a_style_that_says_nothing_is_asked_for_again);
	tcase_add_test(tc, extra_sets_are_dropped_and_the_matching_one_is_taken);
	tcase_add_test(tc, without_strategies_there_are_no_styles);
	return tc;
}
