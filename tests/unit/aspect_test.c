/*
 * Shapes: tables A and B1-B9 of generation.md 17, against conf/models.yml.
 */
#include "tests/unit/answer_unit.h"

#include "aspect.h"
#include "xalloc.h"

#define OPENAI "gpt-image-1"
#define GEMINI "gemini-2.5-flash-image-preview"

static const struct {
	const char *about;
	const char *aspect;
	const char *model;	/* NULL: unknown provider */
	const char *want;
	const char *size;	/* NULL: none */
	bool reason;
} rows[] = {
	{ "A1", "1:1", OPENAI, "1:1", "1024x1024", false },
	{ "A2", "2:3", OPENAI, "2:3", "1024x1536", false },
	{ "A3", "3:2", OPENAI, "3:2", "1536x1024", false },
	{ "A4", "9:16", OPENAI, "2:3", "1024x1536", true },
	{ "A5", "16:9", OPENAI, "3:2", "1536x1024", true },
	{ "A6", "3:4", OPENAI, "2:3", "1024x1536", true },
	{ "A7", "4:3", OPENAI, "3:2", "1536x1024", true },
	{ "A8", "4:5", OPENAI, "2:3", "1024x1536", true },
	{ "A9", "5:4", OPENAI, "1:1", "1024x1024", true },
	{ "A10", "1.91:1", OPENAI, "3:2", "1536x1024", true },
	{ "A11", "21:9", OPENAI, "3:2", "1536x1024", true },
	{ "A12", "4:6", OPENAI, "2:3", "1024x1536", false },
	{ "A13", "1:1", GEMINI, "1:1", NULL, false },
	{ "A14", "9:16", GEMINI, "9:16", NULL, false },
	{ "A15", "16:9", GEMINI, "16:9", NULL, false },
	{ "A16", "3:4", GEMINI, "3:4", NULL, false },
	{ "A17", "4:3", GEMINI, "4:3", NULL, false },
	{ "A18", "2:3", GEMINI, "3:4", NULL, true },
	{ "A19", "3:2", GEMINI, "4:3", NULL, true },
	{ "A20", "4:5", GEMINI, "3:4", NULL, true },
	{ "A21", "5:4", GEMINI, "4:3", NULL, true },
	{ "A22", "1.91:1", GEMINI, "16:9", NULL, true },
	{ "A23", "21:9", GEMINI, "16:9", NULL, true },
	{ "A25", "abc", OPENAI, "1:1", "1024x1024", true },
	{ "A26", "", OPENAI, "1:1", "1024x1024", true },
	{ "A27", "16", GEMINI, "1:1", NULL, true },
	{ "A28", "9:16", NULL, "1:1", NULL, true },
	{ "A29", "16:9:1", OPENAI, "1:1", "1024x1024", true },
	{ "A30", "1:0", OPENAI, "1:1", "1024x1024", true },
	{ "A31", "0:1", OPENAI, "1:1", "1024x1024", true },
	{ "A32", "-1:1", GEMINI, "1:1", NULL, true },
	{ "A33 leading blank", " 1:1", OPENAI, "1:1", "1024x1024", false },
	{ "A33 blanks inside", "1 : 1", OPENAI, "1:1", "1024x1024", false },
	{ "A33 decimals", "1.0:1", OPENAI, "1:1", "1024x1024", false },

	/* What the concept model is told, by the one resolver. */
	{ "B1", "1:1", OPENAI, "1:1", "1024x1024", false },
	{ "B2 OpenAI", "9:16", OPENAI, "2:3", "1024x1536", true },
	{ "B2 Gemini", "9:16", GEMINI, "9:16", NULL, false },
	{ "B3 OpenAI", "3:4", OPENAI, "2:3", "1024x1536", true },
	{ "B3 Gemini", "3:4", GEMINI, "3:4", NULL, false },
	{ "B4", "2:3", OPENAI, "2:3", "1024x1536", false },
	{ "B5 OpenAI", "16:9", OPENAI, "3:2", "1536x1024", true },
	{ "B5 Gemini", "16:9", GEMINI, "16:9", NULL, false },
	{ "B6", "1.91:1", OPENAI, "3:2", "1536x1024", true },
	{ "B7 Gemini", "4:3", GEMINI, "4:3", NULL, false },
	{ "B7 OpenAI", "4:3", OPENAI, "3:2", "1536x1024", true },
	{ "B8 Gemini", "3:2", GEMINI, "4:3", NULL, true },
	{ "B8 OpenAI", "3:2", OPENAI, "3:2", "1536x1024", false },
	{ "B9 Gemini", "4:5", GEMINI, "3:4", NULL, true },
	{ "B9 OpenAI", "4:5", OPENAI, "2:3", "1024x1536", true },

	{ "no text", NULL, OPENAI, "1:1", "1024x1024", true },
	{ "no numbers", "inf:nan", OPENAI, "1:1", "1024x1024", true },
	{ "hexadecimal", "0x10:9", OPENAI, "1:1", "1024x1024", true },
	{ "an exponent", "1e1:9", OPENAI, "1:1", "1024x1024", true },
	{ "two points", "1.9.1:1", OPENAI, "1:1", "1024x1024", true },
	{ "a number beyond all sense",
	    "99999999999999999999999999999999999999:1", OPENAI, "1:1",
	    "1024x1024", true }
};

START_TEST(each_aspect_is_resolved_for_its_model)
{
	const struct model_info *m = rows[_i].model != NULL ?
	    model_of(rows[_i].model) : NULL;
	struct aspect_choice choice;

	choice = aspect_resolve(rows[_i].aspect, m);
	ck_assert_msg(strcmp(choice.aspect, rows[_i].want) == 0, "%s: %s",
	    rows[_i].about, choice.aspect);
	ck_assert_pstr_eq(choice.size, rows[_i].size);
	ck_assert_msg((choice.reason != NULL) == rows[_i].reason, "%s: %s",
	    rows[_i].about, choice.reason);
}
END_TEST

/* Pinterest's shape, with a model that knows more of them. */
START_TEST(a_model_that_knows_more_shapes_draws_them_exactly)
{
	struct model_info m = { .is_image = true, .n_aspects = 3, .aspects = {
	    { (char *)(uintptr_t)"1:1", NULL },
	    { (char *)(uintptr_t)"3:4", NULL },
	    { (char *)(uintptr_t)"2:3", NULL } } };
	struct aspect_choice choice = aspect_resolve("2:3", &m);

	ck_assert_str_eq(choice.aspect, "2:3");
	ck_assert_ptr_null(choice.size);
	ck_assert_ptr_null(choice.reason);
}
END_TEST

/* A24, A28: by the provider's name, in any letter case. */
START_TEST(the_provider_leads_to_the_model_in_any_letter_case)
{
	ck_assert_ptr_nonnull(conf_provider(conf, "gemini"));
	ck_assert_ptr_eq(conf_provider(conf, "Gemini"),
	    conf_provider(conf, "gemini"));
	ck_assert_ptr_null(conf_provider(conf, "Foo"));
	ck_assert_str_eq(aspect_resolve("9:16", model_of(GEMINI)).aspect,
	    "9:16");
}
END_TEST

static const struct {
	const char *about;
	const char *text;
	double ratio;
	bool valid;
} ratios[] = {
	{ "A34", "16:9", 1.7777777777777777, true },
	{ "A35", "9:16", 0.5625, true },
	{ "A36", "1.91:1", 1.91, true },
	{ "A37", "4:5", 0.8, true },
	{ "A38 abc", "abc", 1.0, false },
	{ "A38 empty", "", 1.0, false },
	{ "A38 16", "16", 1.0, false },
	{ "A38 1:0", "1:0", 1.0, false },
	{ "A38 1:2:3", "1:2:3", 1.0, false }
};

START_TEST(a_ratio_is_width_by_height)
{
	bool valid;

	ck_assert_double_eq_tol(aspect_ratio(ratios[_i].text, &valid),
	    ratios[_i].ratio, 1e-9);
	ck_assert_int_eq(valid, ratios[_i].valid);
	ck_assert_double_eq_tol(aspect_ratio(ratios[_i].text, NULL),
	    ratios[_i].ratio, 1e-9);
}
END_TEST

static const struct {
	const char *about;
	double target;
	const char *candidates[3];
	int n;
	int want;
	double difference;
} nearest[] = {
	{ "A39", 1.2, { "3:2", "2:3", "1:1" }, 3, 2, 0.2 },
	{ "A40", 1.25, { "3:2", "1:1" }, 2, 1, 0.25 },
	{ "A41", 1.91, { "1:1", "3:2", "2:3" }, 3, 1, 0.41 },
	{ "A42", 1.5, { NULL }, 0, -1, 0 },
	{ "a tie of two unknown ones: the first", 1.0, { "8:10", "12:10" }, 2,
	    0, 0.2 },
	{ "a tie with an unknown one", 1.25, { "15:10", "1:1" }, 2, 1, 0.25 }
};

START_TEST(the_nearest_candidate_is_found)
{
	double difference = -1;

	ck_assert_int_eq(aspect_nearest(nearest[_i].target,
	    nearest[_i].candidates, nearest[_i].n, &difference),
	    nearest[_i].want);
	ck_assert_double_eq_tol(difference, nearest[_i].difference, 1e-9);
	ck_assert_int_eq(aspect_nearest(nearest[_i].target,
	    nearest[_i].candidates, nearest[_i].n, NULL), nearest[_i].want);
}
END_TEST

START_TEST(a_model_that_knows_no_shapes_is_square)
{
	const struct model_info m = { .id = (char []){ "x" } };
	struct aspect_choice choice = aspect_resolve("9:16", &m);

	ck_assert_str_eq(choice.aspect, "1:1");
	ck_assert_ptr_null(choice.size);
	ck_assert_ptr_nonnull(choice.reason);
}
END_TEST

Suite *
aspect_suite(void)
{
	Suite *s = suite_create("shapes");
	TCase *t = tcase_create("shapes");

	tcase_add_unchecked_fixture(t, load_conf, drop_conf);
	tcase_add_loop_test(t, each_aspect_is_resolved_for_its_model, 0,
	    (int)ARRAY_LEN(rows));
	tcase_add_test(t,
	    a_model_that_knows_more_shapes_draws_them_exactly);
	tcase_add_test(t, the_provider_leads_to_the_model_in_any_letter_case);
	tcase_add_loop_test(t, a_ratio_is_width_by_height, 0,
	    (int)ARRAY_LEN(ratios));
	tcase_add_loop_test(t, the_nearest_candidate_is_found, 0,
	    (int)ARRAY_LEN(nearest));
	tcase_add_test(t, a_model_that_knows_no_shapes_is_square);
	suite_add_tcase(s, t);
	return s;
}
