/*
 * What is worked out without a model: strategies (oracles K12 to K17), concepts
 * after the model (N14, N15) and assessment arithmetic (J1 to J16).
 */
#include "tests/unit/stages_unit.h"

/* --- strategies (K) ----------------------------------------------------- */

static const struct {
	const char *inputs;
	int count;
} counts[] = {
	{ "'num_variants':0", 1 }, { "'num_variants':-3", 1 },
	{ "'num_variants':9", 6 }, { "'num_variants':null", 3 },
	{ "'num_variants':4", 4 },
};

START_TEST(the_number_of_strategies_is_clamped)	/* K12 */
{
	ck_assert_int_eq(strategy_count(run_with(counts[_i].inputs)),
	    counts[_i].count);
}
END_TEST

static const char *
field(const struct json_object *list, size_t i, const char *key)
{
	return json_get_str(json_object_array_get_idx(list, i), key);
}

#define PLAN(a, niche) "{'target_audience':'" a "','target_objective':'o',"	\
	"'target_voice':'v','target_niche':" niche "}"

START_TEST(niches_are_dealt_by_position_where_none_is_named)	/* K13 */
{
	static const char *const want[] = { "z", "y", "z", "y", "z" };
	static char z[] = "z", y[] = "y";
	struct niches niches = { .item = { z, y }, .n = 2 };
	struct json_object *have = json_object_new_array();
	size_t i;

	ck_assert_int_eq(strategies_take(have, json("[" PLAN("1", "null") ","
	    PLAN("2", "null") "," PLAN("3", "null") "," PLAN("4", "null") ","
	    PLAN("5", "null") "]"), 5, &niches, run_with("")), 0);
	ck_assert_uint_eq(json_len(have), 5);
	for (i = 0; i < 5; i++)
		ck_assert_str_eq(field(have, i, "target_niche"), want[i]);
	json_object_put(have);
}
END_TEST

START_TEST(a_named_niche_counts_when_it_was_offered)
{
	static char z[] = "Zen bar", y[] = "Yard grill";
	struct niches niches = { .item = { z, y }, .n = 2 };
	struct json_object *have = json_object_new_array();

	strategies_take(have, json("[" PLAN("1", "' yard GRILL'") ","
	    PLAN("2", "'Elsewhere'") "," PLAN("3", "'Yard grill'") "]"), 3,
	    &niches, run_with(""));
	ck_assert_str_eq(field(have, 0, "target_niche"), "Yard grill");
	ck_assert_str_eq(field(have, 1, "target_niche"), "Yard grill");
	ck_assert_str_eq(field(have, 2, "target_niche"), "Yard grill");
	json_object_put(have);
}
END_TEST

START_TEST(the_users_niche_overrides_what_the_model_names)
{
	static char z[] = "Late bakery";
	struct niches niches = { .item = { z }, .n = 1 };
	struct json_object *have = json_object_new_array();

	strategies_take(have, json("[" PLAN("1", "'Elsewhere'") "]"), 1,
	    &niches, run_with(ALL_GOALS));
	ck_assert_str_eq(field(have, 0, "target_niche"), "Late bakery");
	json_object_put(have);
}
END_TEST

START_TEST(incomplete_and_repeated_combinations_are_dropped)
{
	static char z[] = "z";
	struct niches niches = { .item = { z }, .n = 1 };
	struct json_object *have = json_object_new_array();

	ck_assert_int_eq(strategies_take(have, json("[" PLAN("A", "null") ","
	    PLAN(" a ", "null") "," PLAN("N/A", "null") ",7," PLAN("B", "null")
	    "]"), 6, &niches, run_with("")), 3);
	ck_assert_uint_eq(json_len(have), 2);
	ck_assert_str_eq(field(have, 1, "target_audience"), "B");
	json_object_put(have);
}
END_TEST

START_TEST(more_than_wanted_are_cut_off)	/* K16, first half */
{
	static char z[] = "z";
	struct niches niches = { .item = { z }, .n = 1 };
	struct json_object *have = json_object_new_array();

	strategies_take(have, json("[" PLAN("1", "null") "," PLAN("2", "null")
	    "," PLAN("3", "null") "," PLAN("4", "null") "," PLAN("5", "null")
	    "]"), 3, &niches, run_with(""));
	ck_assert_uint_eq(json_len(have), 3);
	json_object_put(have);
}
END_TEST

static struct json_object *
filled(struct context *c, int count, const char *run_id)
{
	static char z[] = "First niche", y[] = "Second niche";
	struct niches niches = { .item = { z, y }, .n = 2 };
	struct json_object *have = json_object_new_array();

	strategies_fill(have, count, &niches,
	    conf_pool(conf, context_str(c, "task_type")), c, run_id);
	return have;
}

static void
all_differ(const struct json_object *list)
{
	char *a, *b;
	size_t i, k;

	for (i = 0; i < json_len(list); i++)
		for (k = 0; k < i; k++) {
			a = json_to_text(json_object_array_get_idx(list, i));
			b = json_to_text(json_object_array_get_idx(list, k));
			ck_assert_str_ne(a, b);
			free(b);
			free(a);
		}
}

START_TEST(the_pool_keeps_complete_goals_and_varies_the_way)	/* K14 */
{
	struct context *c = run_with(ALL_GOALS);
	struct json_object *list = filled(c, 3, RUN_ID);
	size_t i;

	ck_assert_uint_eq(json_len(list), 3);
	all_differ(list);
	for (i = 0; i < 3; i++) {
		ck_assert_str_eq(field(list, i, "target_audience"),
		    "Night owls");
		ck_assert_str_eq(field(list, i, "target_voice"), "Dry wit");
		ck_assert_str_eq(field(list, i, "target_niche"),
		    "Late bakery");
		has(field(list, i, "target_objective"), "Sell the last tray");
	}
	ck_assert_str_eq(field(list, 0, "target_objective"),
	    "Sell the last tray");
	json_object_put(list);
}
END_TEST

START_TEST(the_pool_gives_the_same_run_the_same_strategies)	/* K17 */
{
	struct context *c = run_with("'num_variants':6");
	struct json_object *a = filled(c, 6, RUN_ID);
	struct json_object *b = filled(c, 6, RUN_ID);
	struct json_object *other = filled(c, 6, "another run");
	char *ta = json_to_text(a), *tb = json_to_text(b);
	char *to = json_to_text(other);

	ck_assert_str_eq(ta, tb);
	ck_assert_str_ne(ta, to);
	all_differ(a);
	lacks(ta, "ariation");	/* W42: no markers */
	lacks(ta, "imulat");
	ck_assert_str_eq(field(a, 0, "target_niche"), "First niche");
	ck_assert_str_eq(field(a, 1, "target_niche"), "Second niche");
	free(to);
	free(tb);
	free(ta);
	json_object_put(other);
	json_object_put(b);
	json_object_put(a);
}
END_TEST

START_TEST(the_pool_keeps_the_goals_that_are_set)
{
	struct json_object *list = filled(run_with("'marketing_goals':{"
	    "'target_audience':null,'objective':'Fill Mondays','voice':null,"
	    "'niche':null}"), 6, RUN_ID);
	size_t i;

	all_differ(list);
	for (i = 0; i < 6; i++)
		ck_assert_str_eq(field(list, i, "target_objective"),
		    "Fill Mondays");
	json_object_put(list);
}
END_TEST

START_TEST(a_tiny_pool_still_gives_the_number)
{
	static char *one[] = { (char *)"Only one" };
	const struct words words = { .item = one, .n = 1 };
	const struct pool pool = { .audience = words, .niche = words,
	    .objective = words, .voice = words };
	struct niches niches = { .n = 0 };
	struct json_object *have = json_object_new_array();

	niches_from_pool(&niches, &pool, RUN_ID);
	ck_assert_int_eq(niches.n, 1);
	strategies_fill(have, 6, &niches, &pool, run_with(""), RUN_ID);
	ck_assert_uint_eq(json_len(have), 6);
	niches_release(&niches);
	json_object_put(have);
}
END_TEST

START_TEST(niches_of_the_pool_are_one_to_three_and_repeat)
{
	struct niches a = { .n = 0 }, b = { .n = 0 };
	bool seen[MAX_NICHES + 1] = { false };
	char run[16];
	int i;

	for (i = 0; i < 100; i++) {
		snprintf(run, sizeof(run), "run %d", i);
		niches_from_pool(&a, conf_pool(conf, NULL), run);
		niches_from_pool(&b, conf_pool(conf, NULL), run);
		ck_assert_int_ge(a.n, 1);
		ck_assert_int_le(a.n, MAX_NICHES);
		ck_assert_str_eq(a.item[0], b.item[0]);
		seen[a.n] = true;
		niches_release(&a);
		niches_release(&b);
	}
	ck_assert(seen[1] && seen[2] && seen[3]);
}
END_TEST

TCase *
stages_strategy_case(void)
{
	TCase *tc = tcase_create("strategy");

	tcase_add_checked_fixture(tc, stages_setup, stages_teardown);
	add_rows(tc, the_number_of_strategies_is_clamped, counts);
	tcase_add_test(tc, niches_are_dealt_by_position_where_none_is_named);
	tcase_add_test(tc, a_named_niche_counts_when_it_was_offered);
	tcase_add_test(tc, the_users_niche_overrides_what_the_model_names);
	tcase_add_test(tc, incomplete_and_repeated_combinations_are_dropped);
	tcase_add_test(tc, more_than_wanted_are_cut_off);
	tcase_add_test(tc, the_pool_keeps_complete_goals_and_varies_the_way);
	tcase_add_test(tc, the_pool_gives_the_same_run_the_same_strategies);
	tcase_add_test(tc, the_pool_keeps_the_goals_that_are_set);
	tcase_add_test(tc, a_tiny_pool_still_gives_the_number);
	tcase_add_test(tc, niches_of_the_pool_are_one_to_three_and_repeat);
	return tc;
}

/* --- concepts (N14, N15) ------------------------------------------------ */

START_TEST(temperature_follows_creativity)	/* N14 */
{
	ck_assert_double_eq_tol(concept_temperature(conf, 1), 0.4, 1e-9);
	ck_assert_double_eq_tol(concept_temperature(conf, 2), 0.7, 1e-9);
	ck_assert_double_eq_tol(concept_temperature(conf, 3), 0.9, 1e-9);
	conf->purposes[PURPOSE_CREATIVE_EXPERT].temperature = -1;
	ck_assert_double_lt(concept_temperature(conf, 1), 0);
}
END_TEST

static struct json_object *
concept_of(const char *inputs, const char *members)
{
	struct concept_rules rules;
	struct json_object *record;

	concept_rules_of(run_with(inputs), &rules);
	record = concept_record(json(concept_with(members)), &rules, 1);
	keeps_schema("creative_expert", record);
	return record;
}

static const struct {
	const char *inputs;
	bool subject, text, logo;
} switches[] = {
	{ "", true, false, false },
	{ TEXT_ON, true, true, false },
	{ BRAND_ON, true, false, true },
	{ PICTURE, false, false, false },
	{ PICTURE_TOLD("x") "," TEXT_ON "," BRAND_ON, true, true, true },
	{ PICTURE "," TEXT_ON "," BRAND_ON, false, true, true },
};

START_TEST(the_switches_of_the_run_decide_over_the_model)	/* N15 */
{
	struct json_object *r = concept_of(switches[_i].inputs, "");

	ck_assert_int_eq(json_at(r, "visual_concept/main_subject") != NULL,
	    switches[_i].subject);
	ck_assert_int_eq(json_at(r, "visual_concept/promotional_text_visuals")
	    != NULL, switches[_i].text);
	ck_assert_int_eq(json_at(r, "visual_concept/logo_visuals") != NULL,
	    switches[_i].logo);
	ck_assert_int_eq(json_get_int(r, "source_strategy_index", -1), 1);
	ck_assert_int_eq(json_object_object_length(json_get(r,
	    "visual_concept")), 13);
	json_object_put(r);
}
END_TEST

START_TEST(stand_ins_of_the_model_become_null)
{
	struct json_object *r = concept_of("", "'foreground_elements':'None',"
	    "'negative_elements':'N/A','creative_reasoning':null");

	ck_assert_ptr_null(json_at(r, "visual_concept/foreground_elements"));
	ck_assert_ptr_null(json_at(r, "visual_concept/negative_elements"));
	ck_assert_ptr_null(json_at(r, "visual_concept/creative_reasoning"));
	json_object_put(r);
}
END_TEST

START_TEST(alt_text_is_trimmed_at_a_word)
{
	char *words = long_text(30), *members;
	struct json_object *r;
	const char *alt;

	members = xasprintf("'suggested_alt_text':'%s'", words);
	r = concept_of("", members);
	alt = json_get_str(json_get(r, "visual_concept"),
	    "suggested_alt_text");
	ck_assert_uint_le(strlen(alt), MAX_ALT_CHARS);
	ck_assert_str_eq(alt + strlen(alt) - 7, "wordily");
	json_object_put(r);
	free(members);
	free(words);
}
END_TEST

#define OVERLAY TEXT_ON ",'task_description':'\\u0022Half price\\u0022 and "	\
	"\\u0022Today\\u0022, bold'"

static int
complaints(struct concept_rules *rules, const char *members, const char *of)
{
	struct strbuf violations = STRBUF_INIT(65536);
	int n;

	concept_verify(json(concept_with(members)), &violations, rules);
	n = occurrences(violations.buf, of);
	strbuf_release(&violations);
	return n;
}

START_TEST(missing_quoted_words_are_complained_of_once)
{
	static const char half[] = "'promotional_text_visuals':"
	    "'\\u0022Half price\\u0022 on top'";
	struct concept_rules rules;

	concept_rules_of(run_with(OVERLAY), &rules);
	ck_assert_int_eq(complaints(&rules, half, "\n"), 1);
	ck_assert_int_eq(complaints(&rules, half, "\n"), 0);
	concept_rules_of(run_with(OVERLAY), &rules);
	ck_assert_int_eq(complaints(&rules,
	    "'promotional_text_visuals':null", "exactly as the client"), 2);
	concept_rules_of(run_with(OVERLAY), &rules);
	ck_assert_int_eq(complaints(&rules, "'promotional_text_visuals':"
	    "'\\u0022Half\\n price\\u0022, then Today'", "\n"), 0);
}
END_TEST

START_TEST(missing_quoted_words_are_put_in_after_that)
{
	struct json_object *r = concept_of(OVERLAY,
	    "'promotional_text_visuals':'A \\u0022Half price\\u0022 sign'");
	const char *text = json_get_str(json_get(r, "visual_concept"),
	    "promotional_text_visuals");

	ck_assert_str_eq(text, "A \"Half price\" sign. The picture carries "
	    "the words \"Today\" in large, legible lettering.");
	json_object_put(r);
	r = concept_of(OVERLAY, "'promotional_text_visuals':null");
	text = json_get_str(json_get(r, "visual_concept"),
	    "promotional_text_visuals");
	has(text, "\"Half price\"");
	has(text, "\"Today\"");
	json_object_put(r);
}
END_TEST

START_TEST(an_overlay_without_quotes_needs_a_text_field)
{
	struct concept_rules rules;
	int i;

	concept_rules_of(run_with(TEXT_ON ",'task_description':"
	    "'something about spring'"), &rules);
	for (i = 0; i < 2; i++)
		ck_assert_int_eq(complaints(&rules,
		    "'promotional_text_visuals':null", "since text is on"), 1);
	ck_assert_int_eq(complaints(&rules, "", "\n"), 0);
	concept_rules_of(run_with(TEXT_ON), &rules);
	ck_assert_int_eq(complaints(&rules, "'promotional_text_visuals':null",
	    "\n"), 0);
}
END_TEST

START_TEST(a_subject_is_needed_only_without_a_picture)
{
	struct concept_rules rules;

	concept_rules_of(run_with(""), &rules);
	ck_assert_int_eq(complaints(&rules, "'main_subject':null",
	    "main_subject"), 1);
	ck_assert_int_eq(complaints(&rules, "'main_subject':'N/A'",
	    "main_subject"), 1);
	concept_rules_of(run_with(PICTURE), &rules);
	ck_assert_int_eq(complaints(&rules, "'main_subject':null", "\n"), 0);
	ck_assert_int_eq(complaints(&rules, "'visual_style':'None',"
	    "'color_palette':'-'", "must not be empty"), 2);
}
END_TEST

TCase *
stages_concept_case(void)
{
	TCase *tc = tcase_create("concept");

	tcase_add_checked_fixture(tc, stages_setup, stages_teardown);
	tcase_add_test(tc, temperature_follows_creativity);
	add_rows(tc, the_switches_of_the_run_decide_over_the_model, switches);
	tcase_add_test(tc, stand_ins_of_the_model_become_null);
	tcase_add_test(tc, alt_text_is_trimmed_at_a_word);
	tcase_add_test(tc, missing_quoted_words_are_complained_of_once);
	tcase_add_test(tc, missing_quoted_words_are_put_in_after_that);
	tcase_add_test(tc, an_overlay_without_quotes_needs_a_text_field);
	tcase_add_test(tc, a_subject_is_needed_only_without_a_picture);
	return tc;
}

/* --- assessments (J) ---------------------------------------------------- */

static struct json_object *
assessed(const char *scores, bool reference, bool text)
{
	struct assessment_rules rules = { .reference = reference,
	    .text = text, .index = 4, .image_path = "generated_4.png" };
	char *answer = xasprintf("{'assessment_scores':{%s},"
	    "'assessment_justification':{'concept_adherence':'a',"
	    "'technical_quality':'b','subject_preservation':'c',"
	    "'text_rendering_quality':'d'}}", scores);
	struct json_object *record = NULL;
	struct err e = ERR_INIT;

	ck_ok(assessment_record(json(answer), &rules, &record, &e), &e);
	keeps_schema("image_assessment", record);
	free(answer);
	return record;
}

static const struct {
	const char *row;
	int concept, technical;
	double general;
	bool regenerate;
} arithmetic[] = {
	{ "J1", 5, 5, 5.0, false }, { "J2", 4, 4, 4.0, false },
	{ "J3", 4, 3, 3.6, false }, { "J4", 3, 4, 3.4, true },
	{ "J5", 3, 5, 3.8, false }, { "J6", 4, 2, 3.2, true },
	{ "J7", 2, 5, 3.2, true }, { "J8", 1, 1, 1.0, true },
};

START_TEST(the_general_score_is_worked_out_here)
{
	char *scores = xasprintf("'concept_adherence':%d,"
	    "'technical_quality':%d,'noise_and_grain_impact':3,"
	    "'general_score':1.0,'needs_regeneration':true",
	    arithmetic[_i].concept, arithmetic[_i].technical);
	struct json_object *r = assessed(scores, false, false);

	ck_assert_msg(json_get_num(r, "general_score", 0) ==
	    arithmetic[_i].general, "%s", arithmetic[_i].row);
	ck_assert_int_eq(json_get_bool(r, "needs_regeneration",
	    !arithmetic[_i].regenerate), arithmetic[_i].regenerate);
	ck_assert_int_eq(json_get_int(r, "image_index", -1), 4);
	ck_assert_str_eq(json_get_str(r, "image_path"), "generated_4.png");
	json_object_put(r);
	free(scores);
}
END_TEST

static const struct {
	const char *row;
	bool reference, text;
	int subject, noise;	/* 0: missing */
	bool needs_subject, needs_text, needs_noise;
} flags[] = {
	{ "J10", true, true, 3, 2, true, true, true },
	{ "J11", false, true, 3, 2, false, true, true },
	{ "J12", true, false, 3, 2, true, false, true },
	{ "J13", false, false, 3, 2, false, false, true },
	{ "J14", true, true, 4, 2, false, true, true },
	{ "J15", true, true, 3, 3, true, true, false },
	{ "J15 missing", true, true, 3, 0, true, true, false },
};

START_TEST(repair_flags_follow_the_scores_that_apply)
{
	char noise[48] = "";
	char *scores;
	struct json_object *r;

	if (flags[_i].noise > 0)
		snprintf(noise, sizeof(noise),
		    ",'noise_and_grain_impact':%d", flags[_i].noise);
	scores = xasprintf("'concept_adherence':4,'technical_quality':4,"
	    "'subject_preservation':%d,'text_rendering_quality':3%s",
	    flags[_i].subject, noise);
	r = assessed(scores, flags[_i].reference, flags[_i].text);
	ck_assert(!json_get_bool(r, "needs_regeneration", true));
	ck_assert_msg(json_get_bool(r, "needs_subject_repair", false) ==
	    flags[_i].needs_subject, "%s", flags[_i].row);
	ck_assert_msg(json_get_bool(r, "needs_text_repair", false) ==
	    flags[_i].needs_text, "%s", flags[_i].row);
	ck_assert_msg(json_get_bool(r, "needs_noise_reduction", false) ==
	    flags[_i].needs_noise, "%s", flags[_i].row);
	ck_assert_int_eq(json_at(r, "assessment_scores/subject_preservation")
	    != NULL, flags[_i].reference);
	ck_assert_int_eq(json_at(r,
	    "assessment_justification/text_rendering_quality") != NULL,
	    flags[_i].text);
	json_object_put(r);
	free(scores);
}
END_TEST

static const struct {
	const char *scores;	/* NULL: no answer */
	enum noise want;
} noises[] = {			/* J24 */
	{ "{'noise_and_grain_impact':3}", NOISE_FINE },
	{ "{'noise_and_grain_impact':2}", NOISE_TO_REDUCE },
	{ "{'noise_and_grain_impact':1}", NOISE_TO_REDUCE },
	{ NULL, NOISE_UNKNOWN },
	{ "{}", NOISE_UNKNOWN },
	{ "{'noise_and_grain_impact':null}", NOISE_UNKNOWN },
};

START_TEST(noise_that_nobody_saw_is_unknown_and_not_clean)
{
	ck_assert_int_eq(noise_of(noises[_i].scores != NULL ?
	    json(noises[_i].scores) : NULL), noises[_i].want);
}
END_TEST

START_TEST(the_models_own_conclusions_are_ignored)	/* J16 */
{
	struct assessment_rules rules = { .image_path = "x.png" };
	struct json_object *r = NULL;
	struct err e = ERR_INIT;

	ck_ok(assessment_record(json("{'general_score':1.0,"
	    "'needs_regeneration':true,'assessment_scores':{"
	    "'concept_adherence':4,'technical_quality':3}}"), &rules, &r, &e),
	    &e);
	ck_assert(json_get_num(r, "general_score", 0) == 3.6);
	ck_assert(!json_get_bool(r, "needs_regeneration", true));
	json_object_put(r);
}
END_TEST

START_TEST(no_score_is_ever_made_up)	/* J9 */
{
	static const char *const answers_[] = { "{}", "{'foo':1}",
	    "{'assessment_scores':{}}",
	    "{'assessment_scores':{'concept_adherence':4}}",
	    "{'assessment_scores':{'concept_adherence':9,"
	    "'technical_quality':4}}" };
	struct assessment_rules rules = { .image_path = "x.png" };
	struct json_object *r = NULL;
	size_t i;

	for (i = 0; i < ARRAY_LEN(answers_); i++)
		ck_fails(assessment_record(json(answers_[i]), &rules, &r,
		    NULL), ERR_INVALID);
	ck_assert_ptr_null(r);
}
END_TEST

static const struct {
	bool reference, text;
} criteria[] = {
	{ false, false }, { true, false }, { false, true }, { true, true },
};

START_TEST(the_answer_has_exactly_the_criteria_that_apply)
{
	struct assessment_rules rules = { .reference = criteria[_i].reference,
	    .text = criteria[_i].text };
	struct strbuf faults = STRBUF_INIT(65536);
	struct schema *s = NULL;
	struct err e = ERR_INIT;
	struct json_object *bare;
	char *text;

	ck_ok(assessment_schema(schema_get(schemas, "image_assessment"),
	    &rules, &s, &e), &e);
	text = schema_text(s);
	ck_assert_int_eq(strstr(text, "subject_preservation") != NULL,
	    criteria[_i].reference);
	ck_assert_int_eq(strstr(text, "text_rendering_quality") != NULL,
	    criteria[_i].text);
	bare = json("{'assessment_scores':{'concept_adherence':4,"
	    "'technical_quality':4,'noise_and_grain_impact':3},"
	    "'assessment_justification':{'concept_adherence':'a',"
	    "'technical_quality':'b'}}");
	ck_assert_int_eq(schema_check(s, bare, &faults) == 0,
	    !criteria[_i].reference && !criteria[_i].text);
	free(text);
	schema_free(s);
	strbuf_release(&faults);
}
END_TEST

TCase *
stages_assessment_case(void)
{
	TCase *tc = tcase_create("assessment");

	tcase_add_checked_fixture(tc, stages_setup, stages_teardown);
	add_rows(tc, the_general_score_is_worked_out_here, arithmetic);
	add_rows(tc, repair_flags_follow_the_scores_that_apply, flags);
	add_rows(tc, noise_that_nobody_saw_is_unknown_and_not_clean, noises);
	tcase_add_test(tc, the_models_own_conclusions_are_ignored);
	tcase_add_test(tc, no_score_is_ever_made_up);
	add_rows(tc, the_answer_has_exactly_the_criteria_that_apply, criteria);
	return tc;
}
