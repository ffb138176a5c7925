/* The prompt for the image model: oracles I1 to I22, and its limits. */
#include "tests/unit/stages_unit.h"

static struct json_object *
item_of(struct context *c, const char *record, int position)
{
	struct json_object *out = NULL;
	struct err e = ERR_INIT;

	if (json_get_int(c->inputs, "adapted", 0))
		gave(c, "style_adaptation", "{'adapted_visual_concept':{}}");
	ck_ok(assemble(conf, prompts_get(prompts, "prompt_assembly"), c,
	    json(record), position, &out, &e), &e);
	return out;
}

static const struct {
	const char *row, *inputs, *type, *markers;
	bool subject_kept;	/* the opening demands an unchanged subject */
	const char *told;	/* in the opening */
} assemblies[] = {
	{ "I1", "", "full_generation",
	    "SUBJ COMP BG FG LIGHT PAL STYLE TEX NEG", false, NULL },
	{ "I2", TEXT_ON, "full_generation",
	    "SUBJ COMP BG FG LIGHT PAL STYLE TEX PROMO NEG", false, NULL },
	{ "I3", TEXT_ON "," BRAND_ON, "full_generation",
	    "SUBJ COMP BG FG LIGHT PAL STYLE TEX PROMO NEG", false, NULL },
	{ "I4", TEXT_ON "," BRAND_ON "," WITH_LOGO, "logo_only_edit",
	    "SUBJ COMP BG FG LIGHT PAL STYLE TEX PROMO LOGO NEG", false,
	    NULL },
	{ "I5", WITH_LOGO, "full_generation",
	    "SUBJ COMP BG FG LIGHT PAL STYLE TEX NEG", false, NULL },
	{ "I6", PICTURE, "default_edit",
	    "COMP BG FG LIGHT PAL STYLE TEX NEG", true, NULL },
	{ "I7", PICTURE_TOLD("Make it autumn"), "instructed_edit",
	    "SUBJ COMP BG FG LIGHT PAL STYLE TEX NEG", false,
	    "Make it autumn" },
	{ "I8", PICTURE "," BRAND_ON "," WITH_LOGO, "complex_edit",
	    "COMP BG FG LIGHT PAL STYLE TEX LOGO NEG", true, NULL },
	{ "I9", PICTURE_TOLD("Make it autumn") "," BRAND_ON "," WITH_LOGO,
	    "complex_edit",
	    "SUBJ COMP BG FG LIGHT PAL STYLE TEX LOGO NEG", false,
	    "Make it autumn" },
	{ "I10", "'adapted':1", "style_adaptation_edit",
	    "SUBJ COMP BG FG LIGHT PAL STYLE TEX NEG", false, NULL },
	{ "I11", "'adapted':1," PICTURE, "style_adaptation_edit",
	    "COMP BG FG LIGHT PAL STYLE TEX NEG", true, NULL },
	{ "I12", BRAND_ON ",'brand_kit':{'colors':[{'hex':'#AA0000',"
	    "'role':'primary'}]}", "full_generation",
	    "SUBJ COMP BG FG LIGHT PAL STYLE TEX NEG", false, NULL },
	{ "I13", PICTURE_TOLD(""), "default_edit",
	    "COMP BG FG LIGHT PAL STYLE TEX NEG", true, NULL },
};

/* The markers of the concept in the order in which the prompt has them. */
static void
markers_of(const char *prompt, char *out, size_t size)
{
	static const char *const all[] = { "SUBJ", "COMP", "BG", "FG",
	    "LIGHT", "PAL", "STYLE", "PROMO", "LOGO", "TEX", "NEG", "WHY",
	    "ALT" };
	const char *at;
	size_t i, n;

	out[0] = '\0';
	for (at = prompt; *at != '\0'; at++)
		for (i = 0; i < ARRAY_LEN(all); i++) {
			n = strlen(all[i]);
			if (strncmp(at, all[i], n) != 0 || at[n] != '.')
				continue;
			snprintf(out + strlen(out), size - strlen(out),
			    "%s%s", out[0] != '\0' ? " " : "", all[i]);
		}
}

START_TEST(prompts_have_the_parts_of_their_situation)
{
	struct context *c = run_with(assemblies[_i].inputs);
	struct json_object *item = item_of(c, concept_with(""), 0);
	const char *prompt = json_get_str(item, "prompt"), *parts;
	char markers[128];

	ck_assert_str_eq(json_get_str(item, "assembly_type"),
	    assemblies[_i].type);
	markers_of(prompt, markers, sizeof(markers));
	ck_assert_msg(strcmp(markers, assemblies[_i].markers) == 0,
	    "%s: %s in:\n%s", assemblies[_i].row, markers, prompt);
	parts = strstr(prompt, "Composition and framing:");
	ck_assert_ptr_nonnull(parts);
	if (assemblies[_i].subject_kept)
		has(prompt, "main subject exactly as it is");
	else
		lacks(prompt, "exactly as it is");
	if (assemblies[_i].told != NULL) {
		fenced(prompt, "instruction", assemblies[_i].told);
		ck_assert(strstr(prompt, assemblies[_i].told) < parts);
	} else {
		lacks(prompt, "instruction");
	}
	no_stand_ins(prompt);
	keeps_schema("prompt_assembly", item);
	ck_assert_int_eq(json_get_int(item, "index", -1), 2);
	json_object_put(item);
}
END_TEST

START_TEST(flags_are_booleans_and_reasons_stay_out)	/* I21 */
{
	static const char *const flags[] = { "has_reference", "has_logo",
	    "has_instruction", "is_style_adaptation" };
	struct json_object *item;
	const char *last;
	size_t i;

	item = item_of(run_with(PICTURE_TOLD("x") "," BRAND_ON "," WITH_LOGO),
	    concept_with(""), 0);
	for (i = 0; i < ARRAY_LEN(flags); i++) {
		ck_assert(json_object_is_type(json_get(item, flags[i]),
		    json_type_boolean));
		ck_assert_int_eq(json_get_bool(item, flags[i], false), i < 3);
	}
	lacks(json_get_str(item, "prompt"), "WHY");
	lacks(json_get_str(item, "prompt"), "ALT");
	last = strrchr(json_get_str(item, "prompt"), '\n');
	ck_assert_ptr_nonnull(last);
	has(last, "Strictly keep the aspect ratio 1:1");
	json_object_put(item);
}
END_TEST

START_TEST(an_empty_concept_prints_no_missing_values)	/* I14 */
{
	struct json_object *item = item_of(run_with(TEXT_ON),
	    "{'visual_concept':{'main_subject':null},"
	    "'source_strategy_index':0}", 0);
	const char *prompt = json_get_str(item, "prompt");

	no_stand_ins(prompt);
	lacks(prompt, "Background:");
	lacks(prompt, "Main subject:");
	lacks(prompt, "\n\n\n");
	json_object_put(item);
	item = item_of(run_with(TEXT_ON), concept_with("'main_subject':'None',"
	    "'foreground_elements':'N/A','negative_elements':'null.',"
	    "'promotional_text_visuals':'  '"), 0);
	prompt = json_get_str(item, "prompt");
	no_stand_ins(prompt);
	lacks(prompt, "Main subject:");
	lacks(prompt, "Avoid:");
	lacks(prompt, "Text in the picture:");
	json_object_put(item);
}
END_TEST

START_TEST(an_item_without_concept_is_an_error_and_no_prompt)	/* I15 */
{
	struct json_object *item = item_of(run_with(""),
	    "{'source_strategy_index':7}", 0);

	ck_assert_int_eq(json_get_int(item, "index", -1), 7);
	ck_assert_ptr_nonnull(json_get_str(item, "error"));
	ck_assert_ptr_null(json_get(item, "prompt"));
	keeps_schema("prompt_assembly", item);
	json_object_put(item);
}
END_TEST

START_TEST(position_stands_in_for_a_missing_index)	/* I16 */
{
	struct json_object *item;
	int i;

	for (i = 0; i < 2; i++) {
		item = item_of(run_with(""), "{'visual_concept':"
		    "{'visual_style':'plain'}}", i);
		ck_assert_int_eq(json_get_int(item, "index", -1), i);
		json_object_put(item);
	}
}
END_TEST

static const struct {
	const char *row, *aspect;	/* NULL: no details */
	const char *model, *platform, *drawn;
} shapes[] = {
	{ "I18", "9:16", NULL, "9:16", "9:16" },
	{ "I19", "1.91:1", NULL, "1.91:1", "16:9" },
	{ "I20", NULL, NULL, "1:1", "1:1" },
	{ "I22", "9:16", "gpt-image-1", "9:16", "2:3" },
};

START_TEST(the_last_sentence_names_the_shape_that_will_be_drawn)
{
	char *inputs = shapes[_i].aspect == NULL ?
	    xstrdup("'target_platform':{'name':'X'}") :
	    xasprintf("'target_platform':{'name':'X','resolution_details':"
	    "{'width':1,'height':1,'aspect_ratio':'%s'}}", shapes[_i].aspect);
	struct json_object *item;
	char sentence[64];

	if (shapes[_i].model != NULL)
		conf->purposes[PURPOSE_IMAGE_GENERATION].model =
		    conf_model(conf, shapes[_i].model);
	item = item_of(run_with(inputs), concept_with(""), 0);
	ck_assert_str_eq(json_get_str(item, "platform_aspect_ratio"),
	    shapes[_i].platform);
	ck_assert_str_eq(json_get_str(item, "supported_aspect_ratio"),
	    shapes[_i].drawn);
	snprintf(sentence, sizeof(sentence), "the aspect ratio %s;",
	    shapes[_i].drawn);
	has(strrchr(json_get_str(item, "prompt"), '\n'), sentence);
	json_object_put(item);
	free(inputs);
}
END_TEST

START_TEST(quoted_words_are_stated_once_and_asked_for_exactly)
{
	struct json_object *item = item_of(run_with(TEXT_ON), concept_with(
	    "'composition_and_framing':'A headline \\u0022SALE 5%\\u0022 on "
	    "top','promotional_text_visuals':'Headline \\u0022SALE 5%\\u0022 "
	    "in red; \\u0022SALE 5%\\u0022 is large'"), 0);
	const char *prompt = json_get_str(item, "prompt");

	ck_assert_int_eq(occurrences(prompt, "SALE 5%"), 1);
	has(prompt, "Text in the picture: Headline \"SALE 5%\" in red; "
	    "(the lettering) is large.");
	has(prompt, "A headline (the lettering) on top.");
	has(prompt, "exactly as they are spelled here");
	lacks(prompt, "Draw no lettering");
	json_object_put(item);
}
END_TEST

START_TEST(without_text_no_lettering_is_asked_for)
{
	struct json_object *item;

	item = item_of(run_with(""), concept_with(""), 0);
	has(json_get_str(item, "prompt"), "Draw no lettering");
	has(json_get_str(item, "prompt"), "part of the subject itself.");
	json_object_put(item);
	item = item_of(run_with(BRAND_ON "," WITH_LOGO), concept_with(""), 0);
	has(json_get_str(item, "prompt"), "or of the supplied logo.");
	json_object_put(item);
}
END_TEST

START_TEST(every_part_is_a_line_with_a_label_and_a_full_stop)	/* W48 */
{
	struct json_object *item = item_of(run_with(TEXT_ON), concept_with(
	    "'background_environment':'a tiled wall\\nwith steam'"), 0);
	const char *prompt = json_get_str(item, "prompt");

	has(prompt, "\nMain subject: SUBJ.\n");
	has(prompt, "\nBackground: a tiled wall with steam.\n");
	has(prompt, "\nTextures and details: TEX.\n");
	has(prompt, "\nAvoid: NEG.\n");
	json_object_put(item);
}
END_TEST

static struct json_object *
assembled_with(const char *key, int words, const char *other, int more)
{
	char *a = long_text(words), *b = long_text(more);
	char *members = xasprintf("'%s':'%s','%s':'%s'", key, a, other, b);
	struct json_object *item = item_of(run_with(""),
	    concept_with(members), 0);

	free(members);
	free(b);
	free(a);
	return item;
}

START_TEST(a_prompt_that_is_too_long_loses_its_optional_parts_first)
{
	struct json_object *item;
	const char *prompt;

	/* 3000 words are 24000 characters. */
	item = assembled_with("negative_elements", 3000, "visual_style", 3000);
	prompt = json_get_str(item, "prompt");
	ck_assert_uint_le(text_chars(prompt), MAX_IMAGE_PROMPT_CHARS);
	ck_assert_uint_gt(text_chars(prompt), MAX_IMAGE_PROMPT_CHARS - 200);
	has(prompt, "Avoid: wordily");
	has(prompt, "Textures and details: TEX.");
	has(strrchr(prompt, '\n'), "Strictly keep");
	json_object_put(item);

	item = assembled_with("negative_elements", 10, "visual_style", 5000);
	prompt = json_get_str(item, "prompt");
	ck_assert_uint_le(text_chars(prompt), MAX_IMAGE_PROMPT_CHARS);
	lacks(prompt, "Avoid:");
	lacks(prompt, "Textures and details:");
	lacks(prompt, "Foreground:");
	has(prompt, "Colour palette: PAL.");
	json_object_put(item);
}
END_TEST

TCase *
stages_assembly_case(void)
{
	TCase *tc = tcase_create("assembly");

	tcase_add_checked_fixture(tc, stages_setup, stages_teardown);
	add_rows(tc, prompts_have_the_parts_of_their_situation, assemblies);
	tcase_add_test(tc, flags_are_booleans_and_reasons_stay_out);
	tcase_add_test(tc, an_empty_concept_prints_no_missing_values);
	tcase_add_test(tc, an_item_without_concept_is_an_error_and_no_prompt);
	tcase_add_test(tc, position_stands_in_for_a_missing_index);
	add_rows(tc, the_last_sentence_names_the_shape_that_will_be_drawn,
	    shapes);
	tcase_add_test(tc, quoted_words_are_stated_once_and_asked_for_exactly);
	tcase_add_test(tc, without_text_no_lettering_is_asked_for);
	tcase_add_test(tc, every_part_is_a_line_with_a_label_and_a_full_stop);
	tcase_add_test(tc, a_prompt_that_is_too_long_loses_its_optional_parts_first);
	return tc;
}
