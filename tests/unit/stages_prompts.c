/*
 * Every prompt in its situations, held against the lists of generation.md 11:
 * which inputs appear, where, and which never do.
 */
#include "tests/unit/stages_unit.h"

/* --- image_eval, logo_eval ---------------------------------------------- */

static struct rendered
image_eval_of(const char *members)
{
	struct vars v = { .n = 0 };

	image_eval_vars(&v, conf, run_with(members));
	return rendered("image_eval", &v);
}

START_TEST(image_eval_asks_for_everything_when_the_picture_is_edited_as_told)
{
	struct rendered r = image_eval_of(PICTURE_TOLD("Make it autumn")
	    ",'task_type':'4. Menu Spotlights'");

	is_hygienic(&r);
	has(r.system, "objective visual analyst");
	has(r.system, "food-and-beverage");
	has(r.system, "Never list parts of the subject itself");
	has(r.system, "burger");
	has(r.system, "Invent nothing");
	has(r.system, "Be concise");
	has(r.system, "Use null");
	has(r.user, "Task type: 4. Menu Spotlights");
	has(r.user, "Platform: Instagram Post\n");
	has(r.user, "Depth: FULL ANALYSIS");
	lacks(r.user, "SUBJECT ONLY");
	fenced(r.both, "instruction", "Make it autumn");
}
END_TEST

START_TEST(image_eval_asks_for_the_subject_alone_otherwise)
{
	struct rendered r = image_eval_of(PICTURE);

	is_hygienic(&r);
	has(r.user, "Depth: SUBJECT ONLY");
	lacks(r.user, "FULL ANALYSIS");
	has(r.user, "Task type: N/A");
	lacks(r.both, "lemon tart for spring");	/* the brief would suggest */
	lacks(r.both, "my tart.png");
}
END_TEST

START_TEST(image_eval_has_one_system_part_for_all_requests)
{
	struct rendered a = image_eval_of(PICTURE);
	struct rendered b = image_eval_of(PICTURE_TOLD("x"));

	ck_assert_str_eq(a.system, b.system);
}
END_TEST

START_TEST(logo_eval_looks_at_the_logo_only)
{
	struct vars v = { .n = 0 };
	struct rendered r = rendered("logo_eval", &v);

	has(r.system, "logo analyst");
	has(r.system, "Look at the logo only");
	has(r.system, "style");
	has(r.system, "contains_text");
	has(r.system, "extracted_text");
	has(r.system, "hexadecimal");
	lacks(r.both, "{{");
}
END_TEST

/* --- strategy ----------------------------------------------------------- */

/* n_niches 0: they are to be found. */
static struct rendered
strategy_of(struct context *c, int n_niches, const char *have)
{
	static char first[] = "FIRSTNICHE", second[] = "SECONDNICHE";
	struct niches niches = { .item = { first, second }, .n = n_niches };
	struct vars v = { .n = 0 };

	strategy_vars(&v, conf, c, &niches, 4,
	    have != NULL ? json(have) : NULL);
	return rendered("strategy", &v);
}

START_TEST(niches_are_found_by_brief_task_platform_goals_and_subject)
{
	struct context *c = run_with(PICTURE ",'task_type':"
	    "'1. Product Photography','task_description':'say \\u0022Fresh\\u0022',"
	    "'marketing_goals':{'target_audience':'GOALAUD','objective':"
	    "'GOALOBJ','voice':'GOALVOICE','niche':null}");
	struct rendered r;

	gave(c, "image_eval", seen_subject);
	r = strategy_of(c, 0, NULL);
	is_hygienic(&r);
	has(r.system, "market analyst");
	has(r.system, "plausible for the pictured subject");
	has(r.system, "must differ");
	has(r.system, "the three niches that fit best");
	has(r.system, "relevant_niches, a list of the three names");
	has(r.user, "COUNT: 4\n");
	has(r.user, "Niches: FIND THREE\n");
	lacks(r.user, "GIVEN");
	has(r.user, "Task type: 1. Product Photography");
	has(r.user, "Platform: Instagram Post\n");
	fenced(r.both, "brief", "A lemon tart for spring");
	fenced(r.both, "overlay", "Fresh");
	fenced(r.both, "subject", "SUBJECT: SEEN tart");
	fenced(r.both, "goal_audience", "GOALAUD");
	fenced(r.both, "goal_objective", "GOALOBJ");
	fenced(r.both, "goal_voice", "GOALVOICE");
	lacks(r.user, "could not be analysed");
}
END_TEST

START_TEST(the_strategy_prompt_is_silent_about_what_is_absent)
{
	struct context *c = run_with("'prompt':null");
	struct rendered r = strategy_of(c, 0, NULL);

	is_hygienic(&r);
	has(r.user, "Task type: N/A");
	lacks(r.user, "<<<");
	lacks(r.user, "picture");
	lacks(r.user, "null");
}
END_TEST

START_TEST(a_picture_that_could_not_be_analysed_is_spoken_of_as_such)
{
	struct context *c = run_with(PICTURE);
	struct rendered r;

	gave(c, "image_eval", seen_not);
	r = strategy_of(c, 0, NULL);
	has(r.user, "\"the subject of the supplied picture\"");
	lacks(r.user, "SUBJECT:");
}
END_TEST

START_TEST(given_niches_are_offered_and_what_is_not_provided_is_marked)
{
	struct context *c = run_with("'task_description':'\\u0022Half price\\u0022'");
	struct rendered r = strategy_of(c, 2, NULL);

	is_hygienic(&r);
	has(r.system, "marketing strategist");
	has(r.system, "exactly the number asked for");
	has(r.system, "Each rests on one niche");
	has(r.system, "spread the strategies over them");
	has(r.system, "target_audience, target_niche, target_objective and "
	    "target_voice");
	has(r.user, "COUNT: 4\n");
	has(r.user, "Niches: SEVERAL GIVEN\n");
	lacks(r.user, "FIND THREE");
	fenced(r.both, "niches", "NICHE: FIRSTNICHE\nNICHE: SECONDNICHE");
	fenced(r.both, "brief", "lemon tart");
	fenced(r.both, "overlay", "Half price");
	has(r.user, "Goals set by the client: NONE SET");
	has(r.user, "Audience: not provided");
	has(r.user, "Niche: not provided");
	has(r.user, "Objective: not provided");
	has(r.user, "Voice: not provided");
	lacks(r.user, "ALL FOUR SET");
	lacks(r.user, "SOME SET");
	lacks(r.user, "there already");
}
END_TEST

START_TEST(complete_goals_are_a_foundation_for_variations)
{
	struct rendered r = strategy_of(run_with(ALL_GOALS), 1, NULL);

	has(r.system, "insightful variations and refinements");
	has(r.system, "No plain copies");
	has(r.user, "Goals set by the client: ALL FOUR SET");
	has(r.user, "Niches: ONE GIVEN\n");
	lacks(r.user, "not provided");
	lacks(r.user, "NONE SET");
	fenced(r.both, "goal_audience", "Night owls");
	fenced(r.both, "goal_niche", "Late bakery");
	fenced(r.both, "goal_objective", "Sell the last tray");
	fenced(r.both, "goal_voice", "Dry wit");
}
END_TEST

START_TEST(partial_goals_are_strong_guidance)
{
	struct rendered r = strategy_of(run_with("'marketing_goals':{"
	    "'target_audience':null,'objective':null,'voice':'Dry wit',"
	    "'niche':null}"), 2, NULL);

	has(r.system, "strong guidance");
	has(r.user, "Goals set by the client: SOME SET");
	has(r.user, "Audience: not provided");
	lacks(r.user, "Voice: not provided");
	fenced(r.both, "goal_voice", "Dry wit");
}
END_TEST

START_TEST(strategies_that_are_there_are_shown_when_more_are_asked_for)
{
	struct rendered r = strategy_of(run_with(""), 2, "[{'target_audience':"
	    "'HAVEAUD','target_niche':'N','target_objective':'O',"
	    "'target_voice':'V'}]");

	has(r.user, "there already");
	fenced(r.both, "have", "HAVEAUD | N | O | V");
}
END_TEST

/* --- style_guide -------------------------------------------------------- */

static struct rendered
style_of(struct context *c, int n, int index)
{
	struct vars v = { .n = 0 };

	style_vars(&v, conf, c, json_get_arr(json(strategies(n)),
	    "marketing_strategies"), index);
	return rendered("style_guide", &v);
}

START_TEST(the_style_prompt_shows_one_strategy_and_the_others)
{
	struct rendered r = style_of(run_with("'creativity_level':3"), 3, 1);

	is_hygienic(&r);
	has(r.system, "art director");
	has(r.system, "artistic reference or constraint");
	has(r.system, "two or three sentences");
	has(r.system, "marketing_impact");
	has(r.system, "composition, palette, texture and source of "
	    "inspiration");
	has(r.system, "Futuristic does not have to mean neon");
	has(r.system, "cultures, periods");
	has(r.system, "Each level is visibly further");
	has(r.system, "symmetry");
	has(r.system, "no food with faces or speech unless");
	has(r.system, "one bold constraint");
	has(r.user, "COUNT: 1\nINDEX: 1\n");
	has(r.user, "Creativity level: 3, Abstract & Illustrative");
	fenced(r.both, "strategy", "Audience: AUD1\nNiche: NICHE1\n"
	    "Objective: OBJ1\nVoice: VOICE1");
	fenced(r.both, "others", "0: for AUD0");
	fenced(r.both, "others", "2: for AUD2");
	fenced(r.both, "brief", "lemon tart");
	has(r.user, "through light and colour");
	lacks(r.user, "through composition");
	lacks(r.user, "Brand kit");
	lacks(r.user, "supplied a picture");
	lacks(r.user, "could not be analysed");
}
END_TEST

START_TEST(a_lone_variant_is_not_told_of_others)
{
	struct rendered r = style_of(run_with(""), 1, 0);

	lacks(r.user, "others");
	lacks(r.user, "To keep the sets apart");
}
END_TEST

START_TEST(every_variant_has_a_lens_of_its_own)
{
	static const char *const words[] = { "through composition",
	    "through light", "through material", "through place",
	    "through time", "through nature" };
	struct context *c = run_with("'num_variants':6");
	struct rendered r;
	int i, k;

	for (i = 0; i < MAX_VARIANTS; i++) {
		r = style_of(c, 6, i);
		for (k = 0; k < MAX_VARIANTS; k++)
			if (k == i)
				has(r.user, words[k]);
			else
				lacks(r.user, words[k]);
	}
}
END_TEST

START_TEST(an_instruction_with_analysis_binds_the_style)
{
	struct context *c = run_with(PICTURE_TOLD("Keep the angle, more drama"));
	struct rendered r;

	gave(c, "image_eval", seen_all);
	r = style_of(c, 2, 0);
	is_hygienic(&r);
	has(r.user, "This is binding");
	fenced(r.both, "instruction", "Keep the angle");
	fenced(r.both, "angle", "ANGLE");
	fenced(r.both, "setting", "SETTING");
	fenced(r.both, "mood", "MOOD");
	fenced(r.both, "elements", "ELEM1; ELEM2");
	fenced(r.both, "subject", "SUBJECT: SEEN tart");
	has(r.user, "another perspective is out");
	has(r.user, "more drama, start from the mood that is there");
}
END_TEST

START_TEST(only_facts_that_exist_are_given_with_an_instruction)
{
	struct context *c = run_with(PICTURE_TOLD("More drama"));
	struct rendered r;

	gave(c, "image_eval", "{'image_analysis':{'main_subject':'SEEN tart',"
	    "'angle_orientation':'none','secondary_elements':[],"
	    "'setting_environment':null,'style_mood':'MOOD',"
	    "'extracted_text':null}}");
	r = style_of(c, 2, 0);
	fenced(r.both, "mood", "MOOD");
	lacks(r.user, "Camera angle now");
	lacks(r.user, "Setting now");
	lacks(r.user, "Around the subject now");
}
END_TEST

START_TEST(a_picture_without_instruction_gives_its_subject_alone)
{
	struct context *c = run_with(PICTURE);
	struct rendered r;

	gave(c, "image_eval", seen_all);
	r = style_of(c, 2, 0);
	fenced(r.both, "subject", "SUBJECT: SEEN tart");
	lacks(r.both, "ANGLE");
	lacks(r.both, "MOOD");
	lacks(r.user, "This is binding");
	has(r.user, "stays exactly as it is");
}
END_TEST

START_TEST(the_brand_kit_is_a_constraint_on_style)
{
	struct rendered r = style_of(run_with(BRANDED), 2, 0);

	is_hygienic(&r);
	has(r.user, "compatible with all of it");
	has(r.user, "They are a constraint");
	fenced(r.both, "palette", "Primary: #C0392B (Brick)");
	has(r.user, "Order of importance");
	fenced(r.both, "voice", "KITVOICE");
	fenced(r.both, "logo", "Style: LOGOSTYLE");
	fenced(r.both, "logo", "Lettering: LOGOTEXT");
	fenced(r.both, "logo", "#ABCDEF");
	has(r.user, "must not clash");
	has(r.user, "harmonise with its colours");
}
END_TEST

START_TEST(without_branding_the_kit_is_not_mentioned)
{
	struct rendered r = style_of(run_with(BRANDED
	    ",'apply_branding':false"), 2, 0);

	lacks(r.user, "Brand");
	lacks(r.both, "KITVOICE");
	lacks(r.both, "#C0392B");
	lacks(r.both, "LOGOSTYLE");
}
END_TEST

TCase *
stages_prompts_case(void)
{
	TCase *tc = tcase_create("prompts");

	tcase_add_checked_fixture(tc, stages_setup, stages_teardown);
	tcase_add_test(tc, image_eval_asks_for_everything_when_the_picture_is_edited_as_told);
	tcase_add_test(tc, image_eval_asks_for_the_subject_alone_otherwise);
	tcase_add_test(tc, image_eval_has_one_system_part_for_all_requests);
	tcase_add_test(tc, logo_eval_looks_at_the_logo_only);
	tcase_add_test(tc, niches_are_found_by_brief_task_platform_goals_and_subject);
	tcase_add_test(tc, the_strategy_prompt_is_silent_about_what_is_absent);
	tcase_add_test(tc, a_picture_that_could_not_be_analysed_is_spoken_of_as_such);
	tcase_add_test(tc, given_niches_are_offered_and_what_is_not_provided_is_marked);
	tcase_add_test(tc, complete_goals_are_a_foundation_for_variations);
	tcase_add_test(tc, partial_goals_are_strong_guidance);
	tcase_add_test(tc, strategies_that_are_there_are_shown_when_more_are_asked_for);
	tcase_add_test(tc, the_style_prompt_shows_one_strategy_and_the_others);
	tcase_add_test(tc, a_lone_variant_is_not_told_of_others);
	tcase_add_test(tc, every_variant_has_a_lens_of_its_own);
	tcase_add_test(tc, an_instruction_with_analysis_binds_the_style);
	tcase_add_test(tc, only_facts_that_exist_are_given_with_an_instruction);
	tcase_add_test(tc, a_picture_without_instruction_gives_its_subject_alone);
	tcase_add_test(tc, the_brand_kit_is_a_constraint_on_style);
	tcase_add_test(tc, without_branding_the_kit_is_not_mentioned);
	return tc;
}
