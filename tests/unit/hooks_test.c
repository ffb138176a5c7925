/*
 * What is mended before a schema is asked (generation.md 10.3, 11.8; 17 D and
 * the arithmetic of J that the hook does).
 */
#include "tests/unit/answer_unit.h"

#include <math.h>

#include "xalloc.h"

#define CONCEPT "\"composition_and_framing\":\"c\"," \
	"\"background_environment\":\"b\",\"lighting_and_mood\":\"l\"," \
	"\"color_palette\":\"p\",\"visual_style\":\"v\"," \
	"\"suggested_alt_text\":\"s\""
#define NULLS "\"foreground_elements\":null,\"texture_and_details\":null," \
	"\"negative_elements\":null,\"creative_reasoning\":null"
#define SET "\"style_keywords\":[\"a\",\"b\",\"c\"]," \
	"\"style_description\":\"d\",\"marketing_impact\":\"i\""
#define GOALS "\"target_audience\":\"a\",\"target_objective\":\"o\"," \
	"\"target_voice\":\"v\""

static const struct {
	const char *about;
	const char *schema;
	answer_hook *hook;
	const char *text;
	const char *want;	/* NULL: a fault */
	enum answer_fault fault;
} rows[] = {
	{ "D1: a bare list of one style set", "style_guidance_list",
	    hook_style_sets, "[{" SET ",\"source_strategy_index\":0}]",
	    "{\"style_guidance_sets\":[{" SET ",\"source_strategy_index\":0}]}",
	    0 },
	{ "D2: the index by position", "style_guidance_list", hook_style_sets,
	    "{\"style_guidance_sets\":[{" SET ",\"source_strategy_index\":1},"
	    "{" SET "},{" SET ",\"source_strategy_index\":null}]}",
	    "{\"style_guidance_sets\":[{" SET ",\"source_strategy_index\":1},"
	    "{" SET ",\"source_strategy_index\":1},"
	    "{" SET ",\"source_strategy_index\":2}]}", 0 },
	{ "a single set where the list should be", "style_guidance_list",
	    hook_style_sets, "{\"style_guidance_sets\":{" SET "}}",
	    "{\"style_guidance_sets\":[{" SET ",\"source_strategy_index\":0}]}",
	    0 },
	{ "a list of anything else", "style_guidance_list", hook_style_sets,
	    "[1,\"a\",null]", NULL, ANSWER_INVALID_SCHEMA },

	{ "D3", "image_assessment", hook_assessment,
	    "{\"assessment_scores\":{\"concept_adherence\":4,"
	    "\"technical_quality\":\"5\"},\"assessment_justification\":"
	    "{\"concept_adherence\":\"x\",\"technical_quality\":\"y\"}}",
	    "{\"assessment_scores\":{\"concept_adherence\":4,"
	    "\"technical_quality\":5},\"assessment_justification\":"
	    "{\"concept_adherence\":\"x\",\"technical_quality\":\"y\"}}", 0 },
	{ "D4", "image_analysis", NULL, "{\"main_subject\":\"Burger\"}",
	    "{\"main_subject\":\"Burger\",\"secondary_elements\":null,"
	    "\"angle_orientation\":null,\"setting_environment\":null,"
	    "\"style_mood\":null,\"extracted_text\":null}", 0 },
	{ "D5", "image_analysis", NULL, "{\"secondary_elements\":[]}", NULL,
	    ANSWER_INVALID_SCHEMA },

	{ "D6", "marketing_strategies", hook_strategies,
	    "{\"strategies\":[{\"audience\":\"a\",\"objective\":\"o\","
	    "\"voice\":\"v\"},{" GOALS ",\"audience\":\"other\","
	    "\"niche\":\"n\"}]}",
	    "{\"strategies\":[{" GOALS ",\"target_niche\":null},"
	    "{" GOALS ",\"target_niche\":\"n\"}]}", 0 },
	{ "a bare list of strategies", "marketing_strategies", hook_strategies,
	    "[{\"audience\":\"a\",\"objective\":\"o\",\"voice\":\"v\"}]",
	    "{\"strategies\":[{" GOALS ",\"target_niche\":null}]}", 0 },
	{ "what is no strategy is left out", "marketing_strategies",
	    hook_strategies, "{\"strategies\":[{" GOALS "},{\"audience\":"
	    "\"x\"},7,{" GOALS ",\"target_voice\":\" \"}]}",
	    "{\"strategies\":[{" GOALS ",\"target_niche\":null}]}", 0 },
	{ "unless none is left", "marketing_strategies", hook_strategies,
	    "{\"strategies\":[{\"audience\":\"x\"}]}", NULL,
	    ANSWER_INVALID_SCHEMA },
	{ "no strategies at all", "marketing_strategies", hook_strategies,
	    "{\"plans\":[]}", NULL, ANSWER_INVALID_SCHEMA },

	{ "a bare concept is wrapped", "image_generation_prompt", hook_concept,
	    "{\"main_subject\":\"tart\",\"source_strategy_index\":2," CONCEPT
	    "}", "{\"source_strategy_index\":2,\"visual_concept\":"
	    "{\"main_subject\":\"tart\",\"promotional_text_visuals\":null,"
	    "\"logo_visuals\":null," NULLS "," CONCEPT "}}", 0 },
	{ "D7", "image_generation_prompt", hook_concept,
	    "{\"visual_concept\":{\"promotional_text_visuals\":{\"text_items\":"
	    "[{\"type\":\"headline\",\"text\":\"SALE\"},{\"x\":1},\"z\"],"
	    "\"style\":{\"font\":\"bold\"},\"placement\":\"top\"},"
	    "\"negative_elements\":{},\"logo_visuals\":[],"
	    "\"foreground_elements\":[\"fork\",2,true,null]," CONCEPT "}}",
	    "{\"source_strategy_index\":null,\"visual_concept\":"
	    "{\"promotional_text_visuals\":\"Text items: [Headline: \\\"SALE"
	    "\\\"; {\\\"x\\\": 1}; z]; Style: {\\\"font\\\": \\\"bold\\\"}; "
	    "Placement: top.\",\"main_subject\":null,\"logo_visuals\":null,"
	    "\"foreground_elements\":\"[fork; 2; true]\","
	    "\"texture_and_details\":null,\"negative_elements\":null,"
	    "\"creative_reasoning\":null," CONCEPT "}}", 0 },
	{ "an object of something else", "image_generation_prompt",
	    hook_concept, "{\"idea\":\"tart\"}", NULL,
	    ANSWER_INVALID_SCHEMA },

	{ "D8 to D10", "visual_concept", hook_adaptation,
	    "{\"main_subject\":{\"description\":\"Latte\",\"garnish\":\"mint\"},"
	    "\"promotional_text_visuals\":{\"text_content\":\"Hi\","
	    "\"font_style\":\"bold\",\"color\":\"red\",\"placement\":\"top\"},"
	    "\"logo_visuals\":{\"logo_description\":\"L\",\"placement\":"
	    "\"corner\",\"style\":\"flat\"}," CONCEPT "}",
	    "{\"main_subject\":\"Latte mint\",\"promotional_text_visuals\":"
	    "\"Text: 'Hi'. Font: bold. Color: red. Placement: top\","
	    "\"logo_visuals\":\"Logo: L. Placement: corner. Style: flat\","
	    NULLS "," CONCEPT "}", 0 },
	{ "parts that are there, and objects of other members",
	    "visual_concept", hook_adaptation,
	    "{\"main_subject\":{\"description\":\"Latte\"},"
	    "\"promotional_text_visuals\":{\"text_content\":\"Hi\","
	    "\"color\":null},\"logo_visuals\":{\"position\":\"corner\"},"
	    CONCEPT "}",
	    "{\"main_subject\":\"Latte\",\"promotional_text_visuals\":"
	    "\"Text: 'Hi'\",\"logo_visuals\":\"Position: corner.\","
	    NULLS "," CONCEPT "}", 0 },
	{ "an adaptation inside visual_concept", "visual_concept",
	    hook_adaptation, "{\"visual_concept\":{\"main_subject\":\"x\","
	    CONCEPT "}}", "{\"main_subject\":\"x\","
	    "\"promotional_text_visuals\":null,\"logo_visuals\":null,"
	    NULLS "," CONCEPT "}", 0 },
	{ "D11", "visual_concept", hook_adaptation,
	    "{\"main_subject\":{\"description\":\"Latte\"},"
	    "\"promotional_text_visuals\":{\"text_content\":\"Hi\"},"
	    "\"logo_visuals\":{\"logo_description\":\"L\"}}", NULL,
	    ANSWER_INVALID_SCHEMA },

	{ "J20", "image_assessment", hook_assessment, "{\"foo\":1}", NULL,
	    ANSWER_INVALID_SCHEMA },
	{ "J21", "image_assessment", hook_assessment, "[]", NULL,
	    ANSWER_INVALID_SCHEMA },
	{ "J9: missing both", "image_assessment", hook_assessment,
	    "{\"assessment_scores\":{},\"assessment_justification\":"
	    "{\"concept_adherence\":\"x\",\"technical_quality\":\"y\"}}", NULL,
	    ANSWER_INVALID_SCHEMA },
	{ "a score that is no number", "image_assessment", hook_assessment,
	    "{\"assessment_scores\":{\"concept_adherence\":\"good\","
	    "\"technical_quality\":4},\"assessment_justification\":"
	    "{\"concept_adherence\":\"x\",\"technical_quality\":\"y\"}}", NULL,
	    ANSWER_INVALID_SCHEMA },
	{ "J24, O-N3: the noise alone", "noise_assessment", hook_assessment,
	    "{'noise_and_grain_impact': '2'}",
	    "{\"noise_and_grain_impact\":2}", 0 }
};

START_TEST(each_hook_mends_what_it_is_for)
{
	struct answer_wish wish = { .schema = schema_of(rows[_i].schema),
	    .hook = rows[_i].hook };
	struct strbuf violations = STRBUF_INIT(65536);
	struct json_object *value = NULL;
	enum answer_fault fault;

	fault = answer_read(rows[_i].text, strlen(rows[_i].text), &wish,
	    &value, &violations);
	ck_assert_msg(fault == rows[_i].fault, "%s: %s: %s", rows[_i].about,
	    answer_fault_name(fault), violations.buf);
	if (rows[_i].want != NULL)
		ck_json(value, rows[_i].want, rows[_i].about);
	json_object_put(value);
	strbuf_release(&violations);
}
END_TEST

/* --- J: scores ----------------------------------------------------------- */

static const struct {
	const char *about;
	const char *concept, *technical, *subject, *noise;	/* as JSON */
	int want[4];
	double general;
} scores[] = {
	{ "J17", "4.9", "8", "5", "3", { 4, 5, 5, 3 }, 4.4 },
	{ "J18", "9", "8", "1", "1", { 5, 5, 1, 1 }, 5.0 },
	{ "J19", "\"9\"", "0", "3.7", "5", { 5, 1, 3, 3 }, 3.4 },
	{ "other numbers", "\" 4.9 \"", "-3", "1e300", "0.5",
	    { 4, 1, 5, 1 }, 2.8 }
};

START_TEST(scores_are_cut_to_whole_numbers_of_their_scale)
{
	struct answer_wish wish = { .schema = schema_of("image_assessment"),
	    .hook = hook_assessment };
	struct json_object *value = NULL, *o;
	double concept, technical;
	char *text;

	text = xasprintf("{\"assessment_scores\":{\"concept_adherence\":%s,"
	    "\"technical_quality\":%s,\"subject_preservation\":%s,"
	    "\"noise_and_grain_impact\":%s},\"assessment_justification\":"
	    "{\"concept_adherence\":\"x\",\"technical_quality\":\"y\"}}",
	    scores[_i].concept, scores[_i].technical, scores[_i].subject,
	    scores[_i].noise);
	ck_assert_int_eq(answer_read(text, strlen(text), &wish, &value, NULL),
	    ANSWER_FINE);
	o = json_get(value, "assessment_scores");
	concept = json_get_num(o, "concept_adherence", 0);
	technical = json_get_num(o, "technical_quality", 0);
	ck_assert_double_eq(concept, scores[_i].want[0]);
	ck_assert_double_eq(technical, scores[_i].want[1]);
	ck_assert_int_eq(json_get_int(o, "subject_preservation", 0),
	    scores[_i].want[2]);
	ck_assert_int_eq(json_get_int(o, "noise_and_grain_impact", 0),
	    scores[_i].want[3]);
	ck_assert_double_eq_tol(0.6 * concept + 0.4 * technical,
	    scores[_i].general, 1e-9);
	json_object_put(value);
	free(text);
}
END_TEST

/* --- hooks see anything -------------------------------------------------- */

static answer_hook *const hooks[] = {
	hook_strategies, hook_style_sets, hook_concept, hook_adaptation,
	hook_assessment
};
static const char *const anything[] = {
	"[]", "{}", "[[]]", "[{}]", "[null]", "[1,[2],{\"a\":3}]",
	"{\"strategies\":1}", "{\"strategies\":[null,1,\"a\",[]]}",
	"{\"strategies\":{}}", "{\"style_guidance_sets\":{\"a\":1}}",
	"{\"style_guidance_sets\":[null,1,[]]}", "{\"visual_concept\":1}",
	"{\"visual_concept\":[]}", "{\"visual_concept\":null}",
	"{\"visual_concept\":{\"main_subject\":{}}}",
	"{\"main_subject\":{\"description\":{\"a\":[1,null]}}}",
	"{\"main_subject\":{\"description\":[],\"garnish\":1}}",
	"{\"promotional_text_visuals\":{\"text_content\":{\"a\":null}}}",
	"{\"assessment_scores\":[]}", "{\"assessment_scores\":null}",
	"{\"assessment_scores\":{\"concept_adherence\":[],"
	"\"technical_quality\":null,\"noise_and_grain_impact\":true}}"
};

START_TEST(a_hook_leaves_alone_what_it_does_not_know)
{
	struct json_object *value;
	size_t i;
	char *text;

	for (i = 0; i < ARRAY_LEN(hooks); i++) {
		value = hooks[i](json_of(anything[_i]), NULL);
		ck_assert_ptr_nonnull(value);
		text = json_to_text(value);
		ck_assert_ptr_null(strstr(text, "\"null\""));
		free(text);
		json_object_put(value);
	}
}
END_TEST

Suite *
hooks_suite(void)
{
	Suite *s = suite_create("hooks");
	TCase *t = tcase_create("hooks");

	tcase_add_unchecked_fixture(t, load_schemas, drop_schemas);
	tcase_add_loop_test(t, each_hook_mends_what_it_is_for, 0,
	    (int)ARRAY_LEN(rows));
	tcase_add_loop_test(t, scores_are_cut_to_whole_numbers_of_their_scale,
	    0, (int)ARRAY_LEN(scores));
	tcase_add_loop_test(t, a_hook_leaves_alone_what_it_does_not_know, 0,
	    (int)ARRAY_LEN(anything));
	suite_add_tcase(s, t);
	return s;
}
