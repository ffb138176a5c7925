/*
 * The tests of the conf room: this file has the tables and the stage order,
 * conf_settings.c churns.yml, conf_models.c models.yml, conf_faults.c all that
 * can be wrong with any of them.
 */
#include "conf_unit.h"

/* --- platforms --------------------------------------------------------- */

static const struct {
	const char *name, *want;
} short_names[] = {
	{ "Instagram Post (1:1 Square)", "Instagram Post" },	/* B10 */
	{ "Instagram Story/Reel (9:16 Vertical)", "Instagram Story/Reel" },
	{ "Facebook Post (Mixed)", "Facebook Post" },
	{ "Pinterest Pin (2:3 Vertical)", "Pinterest Pin" },
	{ "Xiaohongshu (Red Note) (3:4 Vertical)", "Xiaohongshu (Red Note)" },
	{ "Platform (No Aspect)", "Platform (No Aspect)" },
	{ "(1:1)", "(1:1)" },
	{ "N/A", "N/A" },					/* B17 */
	{ "A (1:1) B (Mixed sizes) ", "AB" },
	{ "Mixed (open 1:1", "Mixed (open 1:1" },
	{ "Ratio (a:1) (1:b)", "Ratio (a:1) (1:b)" },
	{ "", "" },
};

START_TEST(short_names_lose_the_groups_that_tell_the_shape)
{
	char *name = platform_short_name(short_names[_i].name);

	ck_assert_str_eq(name, short_names[_i].want);
	free(name);
}
END_TEST

static const struct {
	const char *name;
	int width, height;
	const char *aspect, *short_name, *guidance;
} platforms[] = {
	{ "Instagram Post (1:1 Square)", 1080, 1080, "1:1", "Instagram Post",
	  "instagram_post" },
	{ "Instagram Story/Reel (9:16 Vertical)", 1080, 1920, "9:16",
	  "Instagram Story/Reel", "instagram_story" },
	{ "Facebook Post (Mixed)", 1200, 630, "1.91:1", "Facebook Post",
	  "facebook" },
	{ "Pinterest Pin (2:3 Vertical)", 1024, 1536, "2:3", "Pinterest Pin",
	  "pinterest" },
	{ "Xiaohongshu (Red Note) (3:4 Vertical)", 1080, 1440, "3:4",
	  "Xiaohongshu (Red Note)", "xiaohongshu" },
};

START_TEST(platforms_have_pixels_aspect_and_names)
{
	struct conf *conf = load_good();
	const struct platform *p = conf_platform(conf, platforms[_i].name);

	ck_assert_ptr_nonnull(p);
	ck_assert_int_eq(p->width, platforms[_i].width);
	ck_assert_int_eq(p->height, platforms[_i].height);
	ck_assert_str_eq(p->aspect, platforms[_i].aspect);
	ck_assert_str_eq(p->short_name, platforms[_i].short_name);
	ck_assert_str_eq(p->guidance_key, platforms[_i].guidance);
	conf_free(conf);
}
END_TEST

START_TEST(unknown_platforms_and_placeholders_are_not_found)
{
	struct conf *conf = load_good();

	ck_assert_ptr_null(conf_platform(conf, "Select Platform..."));
	ck_assert_ptr_null(conf_platform(conf, "Instagram Post"));
	ck_assert_ptr_null(conf_platform(conf, NULL));
	ck_assert_ptr_null(conf_task_type(conf, "Select Task..."));
	ck_assert_ptr_null(conf_task_type(conf, "4."));
	ck_assert_ptr_null(conf_task_type(conf, NULL));
	ck_assert_ptr_nonnull(conf_task_type(conf,
	    "2. Promotional Graphics & Announcements"));
	conf_free(conf);
}
END_TEST

START_TEST(a_platform_without_guidance_has_the_general_one)
{
	struct conf *conf;

	edit("platforms.yml", "    guidance: pinterest\n", "");
	conf = load_good();
	ck_assert_str_eq(conf_platform(conf,
	    "Pinterest Pin (2:3 Vertical)")->guidance_key, "other");
	conf_free(conf);
}
END_TEST

/* --- pools ------------------------------------------------------------- */

static const struct {
	const char *task, *pool;
} tasks[] = {			/* K1 to K11 */
	{ NULL, "default" },
	{ "", "default" },
	{ "N/A", "default" },
	{ "Select Task...", "default" },
	{ "10. X", "default" },
	{ "1 Product", "default" },
	{ "Menu", "default" },
	{ ".", "default" },
	{ "1. Product Photography", "product_focus" },
	{ "4. Menu Spotlights", "product_focus" },
	{ "4. worded differently", "product_focus" },
	{ "2. Promotional Graphics & Announcements", "promotion" },
	{ "3. Store Atmosphere & Decor", "brand_atmosphere" },
	{ "5. Cultural & Community Content", "brand_atmosphere" },
	{ "7. Brand Story & Milestones", "brand_atmosphere" },
	{ "8. Behind the Scenes Imagery", "brand_atmosphere" },
	{ "6. Recipes & Food Tips", "informative" },
	{ "9. Y", "default" },
};

START_TEST(the_number_of_a_task_type_chooses_the_pool)
{
	struct conf *conf = load_good();

	ck_assert_str_eq(conf_pool(conf, tasks[_i].task)->name,
	    tasks[_i].pool);
	conf_free(conf);
}
END_TEST

static const struct {
	const char *name;
	int audience, niche, objective, voice;
} sizes[] = {
	{ "product_focus", 13, 13, 12, 10 },
	{ "promotion", 10, 9, 10, 8 },
	{ "brand_atmosphere", 10, 11, 13, 10 },
	{ "informative", 8, 9, 10, 8 },
	{ "default", 8, 6, 7, 5 },
};

START_TEST(pools_have_their_entries)
{
	struct conf *conf = load_good();
	const struct pool *p = &conf->pools[_i];

	ck_assert_str_eq(p->name, sizes[_i].name);
	ck_assert_int_eq(p->audience.n, sizes[_i].audience);
	ck_assert_int_eq(p->niche.n, sizes[_i].niche);
	ck_assert_int_eq(p->objective.n, sizes[_i].objective);
	ck_assert_int_eq(p->voice.n, sizes[_i].voice);
	ck_assert_ptr_nonnull(p->voice.item[sizes[_i].voice - 1]);
	conf_free(conf);
}
END_TEST

/* --- languages --------------------------------------------------------- */

static const struct {
	const char *code, *name;
	bool known;
} languages[] = {		/* P8 */
	{ "zh", "Simplified Chinese", true }, { "es", "Spanish", true },
	{ "en", "English", true }, { "no", "Norwegian", true },
	{ "fo", "Faroese", true }, { "PT", "Portuguese", true },
	{ "xx", "XX", false }, { "", "", false }, { NULL, "", false },
	{ "klingon-as-spoken", "KLINGON-AS-SPOK", false },
};

START_TEST(languages_have_english_names_or_their_code)
{
	struct conf *conf = load_good();
	char buf[16];

	ck_assert_str_eq(conf_language_name(conf, languages[_i].code, buf),
	    languages[_i].name);
	ck_assert_int_eq(conf_language(conf, languages[_i].code) != NULL,
	    languages[_i].known);
	conf_free(conf);
}
END_TEST

/* --- stage order ------------------------------------------------------- */

static const struct {
	enum mode mode;
	const char *name;
	int n;
	const char *stages[MAX_STAGES];
} modes[] = {			/* N1 */
	{ MODE_GENERATION, "generation", 7, { "image_eval", "strategy",
	    "style_guide", "creative_expert", "prompt_assembly",
	    "image_generation", "image_assessment" } },
	{ MODE_REFINEMENT, "refinement", 3, { "load_base_image",
	    "conditional_stage", "save_outputs" } },
	{ MODE_CAPTION, "caption", 1, { "caption" } },
};

static void
check_order(const struct conf *conf, int i, bool built_in)
{
	const struct stage_order *order = &conf->order[modes[i].mode];
	int k;

	ck_assert_int_eq(order->n, modes[i].n);
	for (k = 0; k < order->n; k++) {
		ck_assert_str_eq(order->names[k], modes[i].stages[k]);
		ck_assert_int_eq(order->lines[k] == 0, built_in);
	}
}

START_TEST(each_mode_has_its_stages_with_and_without_the_file)
{
	struct conf *conf = load_good();
	enum mode mode;

	ck_assert_str_eq(mode_name(modes[_i].mode), modes[_i].name);
	ck_assert(mode_parse(modes[_i].name, &mode));
	ck_assert_int_eq(mode, modes[_i].mode);
	check_order(conf, _i, false);
	conf_free(conf);
	drop("stage_order.yml");
	conf = load_good();
	check_order(conf, _i, true);
	conf_free(conf);
	put("stage_order.yml", "# nothing said\n");
	conf = load_good();
	check_order(conf, _i, true);
	conf_free(conf);
}
END_TEST

START_TEST(an_unknown_mode_is_not_parsed)	/* N2 */
{
	enum mode mode = MODE_CAPTION;
	enum purpose_id purpose = PURPOSE_CAPTION;

	ck_assert(!mode_parse("Generation", &mode));
	ck_assert(!mode_parse("", &mode));
	ck_assert(!mode_parse("stages", &mode));
	ck_assert_int_eq(mode, MODE_CAPTION);
	ck_assert(!purpose_parse("strategy", &purpose));
	ck_assert_int_eq(purpose, PURPOSE_CAPTION);
}
END_TEST

START_TEST(the_old_stage_file_with_one_list_loads_unchanged)
{
	struct conf *conf;

	put("stage_order.yml", "# Pipeline stages\nstages:\n"
	    "  - image_eval\n  - strategy\n  - image_generation\n");
	conf = load_good();
	ck_assert_int_eq(conf->order[MODE_GENERATION].n, 3);
	ck_assert_str_eq(conf->order[MODE_GENERATION].names[2],
	    "image_generation");
	ck_assert_int_eq(conf->order[MODE_GENERATION].lines[2], 5);
	check_order(conf, 1, true);
	check_order(conf, 2, true);
	conf_free(conf);
}
END_TEST

START_TEST(generation_wins_over_the_old_name)
{
	struct conf *conf;

	put("stage_order.yml", "stages: [a, b]\ngeneration: [c]\n"
	    "caption:\n- d\n- e\n");
	conf = load_good();
	ck_assert_int_eq(conf->order[MODE_GENERATION].n, 1);
	ck_assert_str_eq(conf->order[MODE_GENERATION].names[0], "c");
	ck_assert_int_eq(conf->order[MODE_CAPTION].n, 2);
	ck_assert_int_eq(conf->order[MODE_CAPTION].lines[1], 5);
	conf_free(conf);
}
END_TEST

/* --- everything -------------------------------------------------------- */

START_TEST(freeing_nothing_is_fine)
{
	conf_free(NULL);
	ck_assert_int_eq(problems.count, 0);
}
END_TEST

static TCase *
conf_tables_case(void)
{
	TCase *tc = tcase_create("tables");

	tcase_add_checked_fixture(tc, conf_setup, conf_teardown);
	tcase_add_loop_test(tc,
	    short_names_lose_the_groups_that_tell_the_shape, 0,
	    ARRAY_LEN(short_names));
	tcase_add_loop_test(tc, platforms_have_pixels_aspect_and_names, 0,
	    ARRAY_LEN(platforms));
	tcase_add_test(tc, unknown_platforms_and_placeholders_are_not_found);
	tcase_add_test(tc, a_platform_without_guidance_has_the_general_one);
	tcase_add_loop_test(tc, the_number_of_a_task_type_chooses_the_pool, 0,
	    ARRAY_LEN(tasks));
	tcase_add_loop_test(tc, pools_have_their_entries, 0,
	    ARRAY_LEN(sizes));
	tcase_add_loop_test(tc, languages_have_english_names_or_their_code, 0,
	    ARRAY_LEN(languages));
	tcase_add_loop_test(tc,
	    each_mode_has_its_stages_with_and_without_the_file, 0,
	    ARRAY_LEN(modes));
	tcase_add_test(tc, an_unknown_mode_is_not_parsed);
	tcase_add_test(tc, the_old_stage_file_with_one_list_loads_unchanged);
	tcase_add_test(tc, generation_wins_over_the_old_name);
	tcase_add_test(tc, freeing_nothing_is_fine);
	return tc;
}

int
main(void)
{
	Suite *s = suite_create("conf");
	SRunner *sr;
	int failed;

	suite_add_tcase(s, conf_tables_case());
	suite_add_tcase(s, conf_settings_case());
	suite_add_tcase(s, conf_models_case());
	suite_add_tcase(s, conf_faults_case());
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
