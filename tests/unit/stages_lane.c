/*
 * The stages that run once per variant, in its lane: concept, prompt, picture
 * and assessment, with what fails there (generation.md 1.2).
 */
#include "tests/unit/stages_unit.h"

/* --- creative_expert ---------------------------------------------------- */

START_TEST(a_concept_belongs_to_its_variant)
{
	struct context *c = run_with("'creativity_level':3");
	struct done d;

	gave(c, "strategy", strategies(3));
	gave(c, "style_guide", styles(3));
	answers("creative_expert", concept_with(""));
	d = run_stage("creative_expert", c, 1);
	ck_ok(d.rc, &d.e);
	keeps_schema("creative_expert", d.out);
	ck_assert_int_eq(json_get_int(d.out, "source_strategy_index", -1), 1);
	ck_assert_int_eq(asked("creative_expert")->variant, 1);
	ck_assert_double_eq_tol(asked("creative_expert")->temperature, 0.9,
	    1e-9);
	fenced(asked("creative_expert")->user, "strategy", "AUD1");
	fenced(asked("creative_expert")->user, "direction", "DESC1");
}
END_TEST

START_TEST(a_bare_concept_with_objects_is_accepted)
{
	struct context *c = run_with("'render_text':true");
	struct done d;

	gave(c, "strategy", strategies(1));
	gave(c, "style_guide", styles(1));
	answers("creative_expert", "{'main_subject':'A tart',"
	    "'composition_and_framing':'c','background_environment':'b',"
	    "'lighting_and_mood':'l','color_palette':['red','gold'],"
	    "'visual_style':'v','promotional_text_visuals':{'placement':'top'}"
	    ",'suggested_alt_text':'alt'}");
	d = run_stage("creative_expert", c, 0);
	ck_ok(d.rc, &d.e);
	ck_assert_str_eq(json_get_str(json_get(d.out, "visual_concept"),
	    "promotional_text_visuals"), "Placement: top.");
}
END_TEST

START_TEST(a_variant_without_style_is_dropped_alone)	/* N13 */
{
	struct context *c = run_with("'num_variants':2");
	struct done d;

	gave(c, "strategy", strategies(2));
	gave(c, "style_guide", styles(1));
	answers("creative_expert", concept_with(""));
	d = run_stage("creative_expert", c, 0);
	ck_ok(d.rc, &d.e);
	d = run_stage("creative_expert", c, 1);
	ck_fails(d.rc, ERR_INVALID);
	ck_assert_ptr_null(d.out);
	ck_assert_int_eq(n_asked(), 1);
}
END_TEST

START_TEST(a_concept_that_cannot_be_had_fails_its_variant)
{
	struct context *c = run_with("");
	struct done d;

	gave(c, "strategy", strategies(1));
	gave(c, "style_guide", styles(1));
	answers("creative_expert", concept_with("'main_subject':null"));
	answers("creative_expert", concept_with("'main_subject':'none'"));
	d = run_stage("creative_expert", c, 0);
	ck_fails(d.rc, ERR_MODEL);
	ck_assert_int_eq(d.e.detail, FAULT_INVALID_SCHEMA);
	ck_assert(was_told("creative_expert", "main_subject"));
}
END_TEST

START_TEST(missing_words_cost_one_question_and_never_the_variant)
{
	struct context *c = run_with("'render_text':true,"
	    "'task_description':'\\u0022Half price\\u0022'");
	struct done d;

	gave(c, "strategy", strategies(1));
	gave(c, "style_guide", styles(1));
	answers("creative_expert", concept_with(""));
	answers("creative_expert", concept_with(
	    "'promotional_text_visuals':null"));
	d = run_stage("creative_expert", c, 0);
	ck_ok(d.rc, &d.e);
	ck_assert(was_told("creative_expert", "Half price"));
	has(json_get_str(json_get(d.out, "visual_concept"),
	    "promotional_text_visuals"), "\"Half price\"");
}
END_TEST

/* --- prompt_assembly, image_generation ---------------------------------- */

static struct context *
with_prompt(const char *inputs)
{
	struct context *c = run_with(inputs);

	gave(c, "creative_expert", concept_with(""));
	gave(c, "prompt_assembly", "{'index':0,'prompt':'A tart on a table'}");
	return c;
}

START_TEST(assembly_runs_in_its_lane)	/* N10 */
{
	struct context *c = run_with("");
	struct done d;

	gave(c, "creative_expert", concept_with("'visual_style':'cubist'"));
	d = run_stage("prompt_assembly", c, 2);
	ck_ok(d.rc, &d.e);
	has(json_get_str(d.out, "prompt"), "cubist");
	ck_assert_int_eq(n_asked(), 0);
	keeps_schema("prompt_assembly", d.out);
}
END_TEST

static const struct {
	const char *inputs;
	int n;
	const char *first, *second;
	bool has_logo;
	const char *base;
} routes[] = {
	{ "", 0, "", "", false, "generated_image_strategy_5_" },
	{ PICTURE, 1, "work/reference.png", "", false,
	    "edited_image_strategy_5_" },
	{ LOGO, 1, "work/logo.png", "", true,
	    "edited_image_strategy_5_" },
	{ PICTURE "," LOGO, 2, "work/reference.png", "work/logo.png",
	    true, "edited_image_strategy_5_" },
};

START_TEST(pictures_are_sent_by_the_routing_table)
{
	struct done d;

	paints(1024, 1024);
	d = run_stage("image_generation", with_prompt(routes[_i].inputs), 5);
	ck_ok(d.rc, &d.e);
	ck_assert_int_eq(painted()->n_inputs, routes[_i].n);
	ck_assert_str_eq(painted()->inputs[0], routes[_i].first);
	ck_assert_str_eq(painted()->inputs[1], routes[_i].second);
	ck_assert_int_eq(painted()->has_logo, routes[_i].has_logo);
	ck_assert_str_eq(painted()->prompt, "A tart on a table");
	ck_assert_str_eq(painted()->aspect, "1:1");
	ck_assert_str_eq(painted()->quality, conf->settings.image_quality);
	ck_assert_int_eq(count_files(routes[_i].base), 1);
	keeps_schema("image_generation", d.out);
}
END_TEST

START_TEST(the_record_has_measured_figures)	/* I27, I28 */
{
	const struct json_object *made, *tokens;
	const char *file;
	struct done d;
	size_t digits;

	paints(832, 1248);
	d = run_stage("image_generation", with_prompt(PICTURE), 5);
	ck_ok(d.rc, &d.e);
	ck_assert_int_eq(json_get_int(d.out, "index", -1), 5);
	ck_assert_str_eq(json_get_str(d.out, "status"), "success");
	file = json_get_str(d.out, "result_path");
	ck_assert(exists(file));
	digits = strlen("edited_image_strategy_5_");
	ck_assert_uint_eq(strspn(file + digits, "0123456789"), 20);
	ck_assert_str_eq(file + digits + 20, ".png");
	made = json_get(d.out, "generation_metadata");
	ck_assert_str_eq(json_get_str(made, "provider"), "gemini");
	ck_assert_str_eq(json_get_str(made, "output_quality"), "default");
	ck_assert_str_eq(json_get_str(made, "output_resolution"), "832x1248");
	ck_assert_int_eq(json_get_int(d.out, "prompt_tokens", 0), 1000);
	tokens = json_get(d.out, "token_breakdown");
	ck_assert_int_eq(json_get_int(tokens, "text_tokens", 0), 400);
	ck_assert_int_eq(json_get_int(tokens, "input_image_tokens", 0), 600);
	ck_assert_int_eq(json_get_int(tokens, "num_input_images", 0), 1);
	ck_assert_str_eq(json_get_str(json_at(tokens, "image_details/0"),
	    "path"), "input_tart.png");
	ck_assert(d.env.simulated);
	ck_assert_str_eq(marked()->run_id, RUN_ID);
	ck_assert(marked()->simulated);
	ck_assert_uint_eq(strlen(marked()->prompt_hash), 64);
}
END_TEST

START_TEST(a_second_life_writes_the_same_file)
{
	struct context *c = with_prompt(PICTURE);
	struct done a, b;
	char *first, *second;
	int fitted;

	paints(64, 64);
	a = run_stage("image_generation", c, 5);
	fitted = n_fitted();
	b = run_stage("image_generation", c, 5);
	ck_ok(b.rc, &b.e);
	first = json_to_text(a.out);
	second = json_to_text(b.out);
	ck_assert_str_eq(first, second);
	ck_assert_int_eq(count_files("edited_image_strategy_5_"), 1);
	ck_assert_int_eq(n_fitted(), fitted);
	free(second);
	free(first);
}
END_TEST

START_TEST(a_refused_picture_fails_with_a_record)	/* I23 */
{
	static const enum model_fault faults[] = { FAULT_NOT_CONFIGURED,
	    FAULT_CONTENT_POLICY };
	struct context *c = with_prompt("");
	struct json_object *record;
	struct done d;
	int i;

	for (i = 0; i < 2; i++) {
		paints_not(faults[i]);
		d = run_stage("image_generation", c, 5);
		ck_fails(d.rc, ERR_MODEL);
		ck_assert_ptr_null(d.out);
		c->variant = i == 0 ? 5 : 7;
		record = image_record_failed(c, &d.e);
		keeps_schema("image_generation", record);
		ck_assert_int_eq(json_get_int(record, "index", -1),
		    i == 0 ? 5 : 7);
		ck_assert_str_eq(json_get_str(record, "status"), "error");
		has(json_get_str(record, "error_message"),
		    model_fault_name(faults[i]));
		ck_assert_int_eq(json_get_int(record, "prompt_tokens", -1) > 0,
		    i == 1);
		json_object_put(record);
	}
}
END_TEST

START_TEST(an_assembly_error_makes_no_call)	/* I15, I24 */
{
	struct context *c = run_with("");
	struct json_object *record;
	struct done d;

	gave(c, "prompt_assembly", "{'index':7,'error':'no concept'}");
	d = run_stage("image_generation", c, 7);
	ck_fails(d.rc, ERR_INVALID);
	ck_assert_int_eq(n_painted(), 0);
	c->variant = 7;
	record = image_record_failed(c, &d.e);
	ck_assert_int_eq(json_get_int(record, "index", -1), 7);
	ck_assert_str_eq(json_get_str(record, "error_message"), "no concept");
	ck_assert_int_eq(json_get_int(record, "prompt_tokens", -1), 0);
	json_object_put(record);
}
END_TEST

START_TEST(bytes_that_do_not_decode_are_no_picture)
{
	struct done d;

	paints(64, 64);
	sees_nothing();
	d = run_stage("image_generation", with_prompt(""), 0);
	ck_fails(d.rc, ERR_MODEL);
	ck_assert_int_eq(d.e.detail, FAULT_NO_IMAGE);
	has(d.e.msg, "not a picture");
	ck_assert_int_eq(count_files("generated_"), 0);
}
END_TEST

START_TEST(a_logo_left_out_by_the_provider_is_not_counted)
{
	struct done d;

	paints_without_logo(64, 64);
	d = run_stage("image_generation", with_prompt(PICTURE "," LOGO),
	    0);
	ck_ok(d.rc, &d.e);
	ck_assert(json_get_bool(d.out, "logo_left_out", false));
	ck_assert_int_eq(json_get_int(json_get(d.out, "token_breakdown"),
	    "num_input_images", 0), 1);
}
END_TEST

START_TEST(a_reference_that_cannot_be_decoded_fails_the_variant)
{
	struct done d;

	paints(64, 64);
	sees_nothing();
	d = run_stage("image_generation", with_prompt(PICTURE), 0);
	ck_fails(d.rc, ERR_INVALID);
	has(d.e.msg, "the uploaded picture");
	ck_assert_int_eq(n_painted(), 0);
}
END_TEST

/* --- image_assessment --------------------------------------------------- */

#define SCORES "'concept_adherence':4,'technical_quality':3,"			\
	"'noise_and_grain_impact':2"
#define REASONS "'concept_adherence':'a','technical_quality':'b'"

static struct context *
with_picture(const char *inputs, const char *concept)
{
	struct context *c = run_with(inputs);

	gave(c, "creative_expert", concept_with(concept));
	gave(c, "image_generation", "{'index':1,'status':'success',"
	    "'result_path':'generated_image_strategy_1_2.png'}");
	return c;
}

START_TEST(a_picture_is_judged_beside_its_reference)
{
	struct done d;

	answers("image_assessment", "{'assessment_scores':{" SCORES
	    ",'subject_preservation':'3'},'assessment_justification':{"
	    REASONS ",'subject_preservation':'c'}}");
	d = run_stage("image_assessment", with_picture(PICTURE, ""), 1);
	ck_ok(d.rc, &d.e);
	keeps_schema("image_assessment", d.out);
	ck_assert_int_eq(asked("image_assessment")->n_images, 2);
	ck_assert_str_eq(asked("image_assessment")->images[0],
	    "work/assess_generated_image_strategy_1_2.jpg");
	ck_assert_str_eq(asked("image_assessment")->images[1],
	    "work/assess_reference.jpg");
	ck_assert_int_eq(json_get_int(d.out, "image_index", -1), 1);
	ck_assert_str_eq(json_get_str(d.out, "image_path"),
	    "generated_image_strategy_1_2.png");
	ck_assert(json_get_num(d.out, "general_score", 0) == 3.6);
	ck_assert(json_get_bool(d.out, "needs_subject_repair", false));
	ck_assert(!json_get_bool(d.out, "needs_text_repair", true));
}
END_TEST

static const char *const file_names[] = {	/* J22 */
	"a.PNG", "a.jpg", "a.jpeg", "a.webp", "a.gif", "a.bmp", "a",
};

/* The picture helper decodes it and writes what is sent: no name is asked. */
START_TEST(a_picture_is_sent_as_what_it_is_whatever_its_name)
{
	struct context *c = run_with("");
	struct done d;

	gave(c, "creative_expert", concept_with(""));
	gave(c, "image_generation", keep(xasprintf("{'index':1,'status':"
	    "'success','result_path':'%s'}", file_names[_i])));
	answers("image_assessment", "{'assessment_scores':{" SCORES "},"
	    "'assessment_justification':{" REASONS "}}");
	d = run_stage("image_assessment", c, 1);
	ck_ok(d.rc, &d.e);
	ck_assert_str_eq(asked("image_assessment")->images[0],
	    "work/assess_a.jpg");
	ck_assert_str_eq(asked("image_assessment")->mimes[0], "image/jpeg");
	ck_assert_str_eq(json_get_str(d.out, "image_path"), file_names[_i]);
}
END_TEST

START_TEST(a_criterion_that_applies_must_be_judged)
{
	struct done d;

	answers("image_assessment", "{'assessment_scores':{" SCORES "},"
	    "'assessment_justification':{" REASONS "}}");
	answers("image_assessment", "{'assessment_scores':{" SCORES
	    ",'text_rendering_quality':2},'assessment_justification':{"
	    REASONS ",'text_rendering_quality':'t'}}");
	d = run_stage("image_assessment", with_picture("'render_text':true",
	    ""), 1);
	ck_ok(d.rc, &d.e);
	ck_assert(was_told("image_assessment", "text_rendering_quality"));
	ck_assert(json_get_bool(d.out, "needs_text_repair", false));
	ck_assert_int_eq(asked("image_assessment")->n_images, 1);
}
END_TEST

START_TEST(text_is_not_judged_where_the_concept_has_none)
{
	struct done d;

	answers("image_assessment", "{'assessment_scores':{" SCORES "},"
	    "'assessment_justification':{" REASONS "}}");
	d = run_stage("image_assessment", with_picture("'render_text':true",
	    "'promotional_text_visuals':null"), 1);
	ck_ok(d.rc, &d.e);
	ck_assert(!json_get_bool(d.out, "needs_text_repair", true));
}
END_TEST

START_TEST(a_failed_assessment_gives_no_score)	/* W5, J20 */
{
	struct done d;

	fails("image_assessment", FAULT_TIMEOUT);
	d = run_stage("image_assessment", with_picture("", ""), 1);
	ck_fails(d.rc, ERR_MODEL);
	ck_assert_ptr_null(d.out);
	answers("image_assessment", "{'foo':1}");
	answers("image_assessment", "[]");
	d = run_stage("image_assessment", with_picture("", ""), 1);
	ck_fails(d.rc, ERR_MODEL);
	ck_assert_ptr_null(d.out);
}
END_TEST

START_TEST(everything_but_pictures_is_in_the_work_directory)
{
	struct context *c = run_with(PICTURE "," LOGO);
	int visible;

	answers("image_eval", tart);
	answers("logo_eval", logo_seen);
	run_stage("image_eval", c, VARIANT_NONE);
	gave(c, "creative_expert", concept_with(""));
	run_stage("prompt_assembly", c, 0);
	gave(c, "prompt_assembly", "{'index':0,'prompt':'p'}");
	paints(64, 64);
	run_stage("image_generation", c, 0);
	visible = count_files("") - 2;	/* "." and ".." */
	ck_assert_int_eq(visible, 2);
	ck_assert(exists("work"));
	ck_assert_int_eq(count_files("edited_image_strategy_0_"), 1);
}
END_TEST

TCase *
stages_lane_case(void)
{
	TCase *tc = tcase_create("lanes at work");

	tcase_add_checked_fixture(tc, stages_setup, stages_teardown);
	tcase_add_test(tc, a_concept_belongs_to_its_variant);
	tcase_add_test(tc, a_bare_concept_with_objects_is_accepted);
	tcase_add_test(tc, a_variant_without_style_is_dropped_alone);
	tcase_add_test(tc, a_concept_that_cannot_be_had_fails_its_variant);
	tcase_add_test(tc, missing_words_cost_one_question_and_never_the_variant);
	tcase_add_test(tc, assembly_runs_in_its_lane);
	add_rows(tc, pictures_are_sent_by_the_routing_table, routes);
	tcase_add_test(tc, the_record_has_measured_figures);
	tcase_add_test(tc, a_second_life_writes_the_same_file);
	tcase_add_test(tc, a_refused_picture_fails_with_a_record);
	tcase_add_test(tc, an_assembly_error_makes_no_call);
	tcase_add_test(tc, bytes_that_do_not_decode_are_no_picture);
	tcase_add_test(tc, a_logo_left_out_by_the_provider_is_not_counted);
	tcase_add_test(tc, a_reference_that_cannot_be_decoded_fails_the_variant);
	tcase_add_test(tc, a_picture_is_judged_beside_its_reference);
	add_rows(tc, a_picture_is_sent_as_what_it_is_whatever_its_name,
	    file_names);
	tcase_add_test(tc, a_criterion_that_applies_must_be_judged);
	tcase_add_test(tc, text_is_not_judged_where_the_concept_has_none);
	tcase_add_test(tc, a_failed_assessment_gives_no_score);
	tcase_add_test(tc, everything_but_pictures_is_in_the_work_directory);
	return tc;
}
