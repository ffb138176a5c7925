/*
 * The unified brief laid over the older fields: generation.md 5.3, and its
 * oracles L.
 */
#include "tests/unit/submit_unit.h"

#include "src/submit/internal.h"
#include "xalloc.h"

#define GOOD "platform_name=" SQUARE "\nprompt=tart\n"

#define OLD 1			/* prompt "old" and text "td" are sent, too */
#define IMAGE 2
#define LOGO 4
#define INSTRUCTION 8		/* image_instruction "older" is sent */
#define REFUSED 16

static const struct {
	const char *name, *brief;
	int with;
	const char *prompt, *instruction, *text;	/* NULL: null */
	bool image;		/* in the inputs */
} briefs[] = {
	{ "L1", "{\"intentType\":\"fullGeneration\",\"generalBrief\":\"latte\"}",
	  0, "latte", NULL, NULL, false },
	{ "L2", "{\"intentType\":\"defaultEdit\",\"generalBrief\":\"latte\","
	  "\"editInstruction\":\"do\"}", IMAGE, "latte", NULL, NULL, true },
	{ "L3", "{\"intentType\":\"instructedEdit\",\"generalBrief\":\"latte\","
	  "\"editInstruction\":\"do\"}", IMAGE, "latte", "do", NULL, true },
	{ "L4", "{\"intentType\":\"instructedEdit\",\"generalBrief\":\"latte\","
	  "\"editInstruction\":\"do\"}", REFUSED, NULL, NULL, NULL, false },
	{ "L5", "{\"intentType\":\"instructedEdit\",\"generalBrief\":\"latte\","
	  "\"editInstruction\":\"\"}", IMAGE, "latte", NULL, NULL, true },
	{ "L5 with null", "{\"intentType\":\"instructedEdit\","
	  "\"generalBrief\":\"latte\",\"editInstruction\":null}", IMAGE,
	  "latte", NULL, NULL, true },
	{ "L5 with an older instruction", "{\"intentType\":\"instructedEdit\","
	  "\"generalBrief\":\"latte\",\"editInstruction\":\"\"}",
	  IMAGE | INSTRUCTION, "latte", "older", NULL, true },
	{ "L7", "{\"intentType\":\"logoOnly\",\"generalBrief\":\"\","
	  "\"textOverlay\":{\"raw\":\"\"}}", OLD | LOGO, "old", NULL, "td",
	  false },
	{ "L7 with a picture", "{\"intentType\":\"logoOnly\","
	  "\"generalBrief\":\"\"}", OLD | LOGO | IMAGE, "old", NULL, "td",
	  false },
	{ "L7 without a logo", "{\"intentType\":\"logoOnly\","
	  "\"generalBrief\":\"x\"}", REFUSED, NULL, NULL, NULL, false },
	{ "L8", "{\"intentType\":\"defaultEdit\",\"generalBrief\":\"latte\"}",
	  IMAGE | INSTRUCTION, "latte", NULL, NULL, true },
	{ "a picture makes fullGeneration a defaultEdit",
	  "{\"intentType\":\"fullGeneration\",\"generalBrief\":\"latte\"}",
	  IMAGE | INSTRUCTION, "latte", NULL, NULL, true },
	{ "L9, unknown intent", "{\"intentType\":\"x\",\"generalBrief\":\"\"}",
	  IMAGE | REFUSED, NULL, NULL, NULL, false },
	{ "L9, no brief", "{\"intentType\":\"fullGeneration\"}",
	  OLD | REFUSED, NULL, NULL, NULL, false },
	{ "L10", "{\"intentType\":\"fullGeneration\",\"generalBrief\":\"latte\","
	  "\"styleHints\":[1],\"textOverlay\":{\"raw\":\"SALE\","
	  "\"language\":\"en\"}}", 0, "latte", NULL, "SALE", false },
	{ "new wins over old", "{\"intentType\":\"fullGeneration\","
	  "\"generalBrief\":\"latte\",\"textOverlay\":{\"raw\":\"SALE\"}}",
	  OLD, "latte", NULL, "SALE", false },
	{ "a null overlay leaves the old text",
	  "{\"intentType\":\"fullGeneration\",\"generalBrief\":\"latte\","
	  "\"textOverlay\":null}", OLD, "latte", NULL, "td", false },
	{ "an empty brief with a picture",
	  "{\"intentType\":\"defaultEdit\",\"generalBrief\":\"\"}", IMAGE,
	  NULL, NULL, NULL, true },
};

#define PNG_BASE64 "iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAIAAAAAAAAA"

START_TEST(a_unified_brief_is_laid_over_the_older_fields)
{
	struct run_request *r;
	struct json_object *body;
	int status, with = briefs[_i].with;

	add_text("platform_name", SQUARE);
	add_text("unified_brief", briefs[_i].brief);
	if (with & OLD)
		add_lines("prompt=old\ntask_description=td");
	if (with & INSTRUCTION)
		add_text("image_instruction", "older");
	if (with & LOGO)
		add_lines("apply_branding=yes\nbrand_kit="
		    "{\"logo_file_base64\":\"" PNG_BASE64 "\"}");
	if (with & IMAGE)
		add_png("x.png", 10, 10);
	if (with & REFUSED) {
		body = check_faulty(&status);
		ck_assert_int_eq(status, 400);
		json_object_put(body);
		return;
	}
	r = check_fine();
	ck_assert_str_eq(at(r->inputs, "prompt"), briefs[_i].prompt != NULL ?
	    briefs[_i].prompt : "null");
	ck_assert_str_eq(at(r->inputs, "task_description"),
	    briefs[_i].text != NULL ? briefs[_i].text : "null");
	ck_assert_str_eq(at(r->inputs, "image_reference/instruction"),
	    briefs[_i].instruction != NULL ? briefs[_i].instruction : "null");
	ck_assert_int_eq(r->image != NULL, briefs[_i].image);
	ck_assert_int_eq(strcmp(at(r->inputs, "image_reference"), "null") != 0,
	    briefs[_i].image);
	ck_assert_str_eq(at(r->form, "has_image_reference"),
	    briefs[_i].image ? "true" : "false");
	ck_assert_str_ne(at(r->inputs, "brief_intent"), "null");
	ck_assert_str_ne(at(r->form, "unified_brief"), "null");
	request_free(r);
}
END_TEST

/* L6, as far as it goes without presets: the mapping, and a refusal. */
START_TEST(a_style_adaptation_maps_and_is_refused_without_presets)
{
	static const char text[] = "{\"intentType\":\"styleAdaptation\","
	    "\"generalBrief\":\"new\",\"textOverlay\":"
	    "{\"raw\":\"\\\"50% OFF\\\" bold\"}}";
	struct brief b = { "old", NULL, "td", false, false, false, NULL };
	struct json_object *doc = NULL;
	struct faults faults;

	ck_ok(json_parse(text, strlen(text), &doc, &err), &err);
	faults_init(&faults);
	brief_check(doc, &faults);
	ck_assert(!faults_any(&faults));
	brief_apply(doc, &b, &faults);
	ck_assert_str_eq(b.prompt, "new");
	ck_assert_str_eq(b.overlay, "\"50% OFF\" bold");
	ck_assert_ptr_null(b.instruction);
	ck_assert(faults_any(&faults));
	faults_release(&faults);
	json_object_put(doc);
}
END_TEST

START_TEST(the_texts_of_a_brief_have_the_limits_of_the_older_fields)
{
	char *text = many(4001), *doc;
	struct json_object *body;
	int status;

	doc = xasprintf("{\"intentType\":\"fullGeneration\","
	    "\"generalBrief\":\"%s\"}", text);
	add_text("platform_name", SQUARE);
	add_text("unified_brief", doc);
	body = check_faulty(&status);
	expect_only(body, 400, "unified_brief", "4001 characters", "");
	json_object_put(body);
	free(doc);
	free(text);
}
END_TEST

START_TEST(checking_never_leaves_a_file_of_its_own)
{
	struct run_request *r;
	struct json_object *body;
	int status;

	add_lines(GOOD "apply_branding=yes\nbrand_kit={\"logo_file_base64\":\""
	    PNG_BASE64 "\"}");
	r = check_fine();
	ck_assert_ptr_nonnull(r->logo_tmp);
	ck_assert_int_eq(unit_count("data/uploads"), 1);
	request_free(r);
	ck_assert_int_eq(unit_count("data/uploads"), 0);
	add_text("num_variants", "9");
	body = check_faulty(&status);
	json_object_put(body);
	ck_assert_int_eq(unit_count("data/uploads"), 0);
}
END_TEST

TCase *
submit_brief_case(void)
{
	TCase *t = tcase_create("briefs");

	tcase_add_checked_fixture(t, unit_setup, unit_teardown);
	add_rows(t, a_unified_brief_is_laid_over_the_older_fields, briefs);
	tcase_add_test(t,
	    a_style_adaptation_maps_and_is_refused_without_presets);
	tcase_add_test(t,
	    the_texts_of_a_brief_have_the_limits_of_the_older_fields);
	tcase_add_test(t, checking_never_leaves_a_file_of_its_own);
	return t;
}
