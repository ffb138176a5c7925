/*
 * Tokens and money: tables E, F, G and the prices of H of generation.md 17,
 * against conf/models.yml, and the shapes of usage of 13.1.
 */
#include "tests/unit/answer_unit.h"

#include "file.h"
#include "price.h"
#include "xalloc.h"

#define OPENAI "gpt-image-1"
#define GEMINI "gemini-2.5-flash-image-preview"

/* Dollars to nano-dollars, for amounts as the tables write them. */
#define USD(amount) ((int64_t)((amount) * 1e9 + 0.5))

/* --- E: tokens ----------------------------------------------------------- */

static const struct {
	const char *about;
	const char *model;	/* NULL: unknown */
	int w, h;
	bool low;
	int64_t tokens;
} pictures[] = {
	{ "E1", "gpt-4o", 1024, 1024, false, 765 },
	{ "E2", "gpt-4o", 1024, 1024, true, 85 },
	{ "E3", "gpt-4o", 2048, 4096, false, 1105 },
	{ "E4", "openai/gpt-4.1", 1080, 1080, false, 765 },
	{ "E5", "openai/gpt-4.1", 1080, 1920, false, 1105 },
	{ "E6", "gpt-4.1", 1200, 630, false, 1105 },
	{ "E7 512", "gpt-4.1", 512, 512, false, 765 },
	{ "E7 64", "gpt-4.1", 64, 64, false, 765 },
	{ "E8", "gpt-4.1", 3000, 1000, false, 1785 },
	{ "E9", "gpt-4o-mini", 1024, 1024, false, 25501 },
	{ "E10", "o3", 1024, 1024, false, 675 },
	{ "E11", "o1", 1024, 1024, true, 75 },
	{ "E12", "computer-use-preview", 1024, 1024, false, 581 },
	{ "gpt-4.5", "gpt-4.5", 1024, 1024, false, 765 },
	{ "o1-pro", "o1-pro", 1024, 1024, false, 675 },
	{ "o4-mini-high", "openai/o4-mini-high", 1024, 1024, false, 1761 },
	{ "E13", "openai/o4-mini", 1024, 1024, false, 1761 },
	{ "E14 portrait", "o4-mini", 1024, 1536, false, 2641 },
	{ "E14 landscape", "o4-mini", 1536, 1024, false, 2641 },
	{ "E14 large", "o4-mini", 1800, 2400, false, 2641 },
	{ "E15", "gpt-4.1-mini", 1024, 1024, false, 1658 },
	{ "E16", "gpt-4.1-nano", 1024, 1024, false, 2519 },
	{ "E17", "o4-mini", 33, 33, false, 6 },
	{ "E18", "o4-mini", 1, 1, false, 1 },
	{ "E19", OPENAI, 1024, 1024, false, 1000 },
	{ "E20", OPENAI, 512, 512, false, 250 },
	{ "E21", OPENAI, 64, 64, false, 100 },
	{ "E22", OPENAI, 2048, 2048, false, 4000 },
	{ "E23", GEMINI, 1080, 1920, false, 1977 },
	{ "E24", NULL, 1024, 1536, false, 1500 },
	{ "E25", "gpt-4.1", 0, 0, false, 100 },
	{ "E26 gpt-4.1", "openai/gpt-4.1", 1024, 1024, false, 765 },
	{ "E26 o4-mini", "openai/o4-mini", 1024, 1024, false, 1761 },
	{ "E26 unknown", NULL, 1024, 1024, false, 1000 },
	{ "a line", "gpt-4.1", 100000, 1, false, 100 },
	{ "sides nobody has", NULL, 2000000000, 2000000000, false,
	    1048576000 },
	{ "sides below nothing", "o4-mini", -5, 10, false, 100 }
};

/* Models that models.yml has no price for, so does not list. */
static const struct model_info unlisted[] = {
	{ .id = (char *)(uintptr_t)"gpt-4.1-nano", .token_rule = TOKENS_PATCH,
	    .patch_factor = 2.46 },
	{ .id = (char *)(uintptr_t)"gpt-4.5", .token_rule = TOKENS_TILE,
	    .tile_base = 85, .tile_tokens = 170 },
	{ .id = (char *)(uintptr_t)"o1", .token_rule = TOKENS_TILE,
	    .tile_base = 75, .tile_tokens = 150 },
	{ .id = (char *)(uintptr_t)"o1-pro", .token_rule = TOKENS_TILE,
	    .tile_base = 75, .tile_tokens = 150 },
	{ .id = (char *)(uintptr_t)"o3", .token_rule = TOKENS_TILE,
	    .tile_base = 75, .tile_tokens = 150 },
	{ .id = (char *)(uintptr_t)"computer-use-preview",
	    .token_rule = TOKENS_TILE, .tile_base = 65, .tile_tokens = 129 },
};

static const struct model_info *
counting_model(const char *id)
{
	size_t i;

	for (i = 0; id != NULL && i < ARRAY_LEN(unlisted); i++)
		if (strcmp(unlisted[i].id, id) == 0)
			return &unlisted[i];
	return id != NULL ? model_of(id) : NULL;
}

START_TEST(each_picture_costs_the_tokens_of_table_e)
{
	const struct model_info *m = counting_model(pictures[_i].model);
	int64_t tokens = tokens_image(m, pictures[_i].w, pictures[_i].h,
	    !pictures[_i].low);

	ck_assert_msg(tokens == pictures[_i].tokens, "%s: %lld",
	    pictures[_i].about, (long long)tokens);
}
END_TEST

/* E26: what cannot be decoded has no size, so the caller assumes a square. */
START_TEST(sizes_come_from_headers_and_not_from_noise)
{
	static const unsigned char png[24] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
	    "\0\0\x02\x80\0\0\x01\xe0";
	static const unsigned char jpeg[] = "\xff\xd8\xff\xe0\0\x04\0\0"
	    "\xff\xc0\0\x0b\x08\x01\x2c\x01\x90\x01\x01\x11\0";
	int w = 0, h = 0;

	ck_assert(!image_dimensions("no picture", 10, &w, &h));
	ck_assert(image_dimensions(png, sizeof(png), &w, &h));
	ck_assert_int_eq(w, 640);
	ck_assert_int_eq(h, 480);
	ck_assert(image_dimensions(jpeg, sizeof(jpeg), &w, &h));
	ck_assert_int_eq(w, 400);
	ck_assert_int_eq(h, 300);
}
END_TEST

START_TEST(words_cost_a_token_and_a_third)
{
	char *hundred = repeated("w ", 200);

	ck_assert_int_eq(tokens_text("a fine lemon tart"), 5);	/* E28 */
	ck_assert_int_eq(tokens_text(" one two\tthree four\nfive six  seven "),
	    9);							/* E29 */
	ck_assert_int_eq(tokens_text(hundred), 130);		/* E30 */
	ck_assert_int_eq(tokens_text(""), 0);
	free(hundred);
}
END_TEST

/* --- F: text calls ------------------------------------------------------- */

static const struct {
	const char *about;
	const char *model;
	int64_t prompt, completion, cached;
	double input, output;
} calls[] = {
	{ "F1", "openai/gpt-4.1", 1200, 300, 0, 0.0024, 0.0024 },
	{ "F2", "openai/gpt-4.1-mini", 900, 350, 0, 0.00036, 0.00042 },
	{ "F3", "google/gemini-2.5-pro", 2500, 4000, 0, 0.003125, 0.04 },
	{ "F4", "openai/o4-mini", 1861, 150, 0, 0.0020471, 0.00066 },
	{ "F5", "openai/gpt-4.1", 1000, 0, 400, 0.0016, 0 },
	{ "F6", "openai/gpt-4.1", 1000, 100, 1000, 0.001, 0.0008 },
	{ "F7", "openai/gpt-4.1", 1000, 0, 1400, 0.002, 0 },
	{ "F9 o4-mini", "o4-mini", 1000000, 1000000, 0, 1.1, 4.4 },
	{ "F9 gpt-4.1-mini", "openai/gpt-4.1-mini", 1000000, 1000000, 0, 0.4,
	    1.2 },
	{ "F9 deepseek", "deepseek/deepseek-r1-0528", 1000000, 1000000, 0, 0.5,
	    2.15 },
	{ "F9 qwen", "qwen/qwen3-235b-a22b", 1000000, 1000000, 0, 0.14, 2.0 },
	{ "F9 gemini", "google/gemini-2.5-pro", 1000000, 1000000, 0, 1.25,
	    10 },
	{ "F9 gpt-4.1", "gpt-4.1", 1000000, 1000000, 0, 2, 8 },
	{ "F9 gpt-4o-mini", "openai/gpt-4o-mini", 1000000, 1000000, 0, 0.15,
	    0.6 },
	{ "F9 gpt-4o", "openai/gpt-4o", 1000000, 1000000, 0, 5, 15 },
	{ "H1", "openai/gpt-4.1", 2000, 200, 0, 0.004, 0.0016 },
	{ "H2", "openai/gpt-4.1-mini", 1200, 400, 0, 0.00048, 0.00048 },
	{ "H3", "google/gemini-2.5-pro", 1800, 3200, 0, 0.00225, 0.032 },
	{ "H4", "google/gemini-2.5-pro", 9000, 7500, 0, 0.01125, 0.075 },
	{ "H5", "openai/o4-mini", 5583, 450, 0, 0.0061413, 0.00198 },
	{ "H6", "google/gemini-2.5-pro", 2200, 3000, 0, 0.00275, 0.03 },
	{ "H11", "openai/o4-mini", 0, 0, 0, 0, 0 }
};

START_TEST(each_text_call_costs_what_tables_f_and_h_say)
{
	const struct model_info *m = model_of(calls[_i].model);
	struct usage u = { .prompt = calls[_i].prompt,
	    .completion = calls[_i].completion, .cached = calls[_i].cached };
	struct usage in = u, out = { .completion = u.completion };

	in.completion = 0;
	ck_assert_int_eq(price_chat(m, &in), USD(calls[_i].input));
	ck_assert_int_eq(price_chat(m, &out), USD(calls[_i].output));
	ck_assert_int_eq(price_chat(m, &u),
	    USD(calls[_i].input) + USD(calls[_i].output));
	ck_assert_int_eq(price_booked(m, &u, 0, NULL, NULL),
	    price_chat(m, &u));
}
END_TEST

START_TEST(a_model_without_a_price_costs_nothing)
{
	const struct model_info freely = { .is_free = true,
	    .price_input = 1000000000 };
	struct usage u = { .prompt = 1000, .completion = 1000 };

	ck_assert_ptr_null(conf_model(conf, "foo/bar"));	/* F8 */
	ck_assert_int_eq(price_chat(NULL, &u), 0);
	ck_assert_int_eq(price_chat(&freely, &u), 0);
	ck_assert_int_eq(price_image(NULL, &u, 1, NULL, NULL), 0);
	ck_assert_int_eq(price_image(&freely, &u, 1, NULL, NULL), 0);
	ck_assert_int_eq(price_booked(NULL, &u, 0, NULL, NULL), 0);
}
END_TEST

/* --- G: pictures --------------------------------------------------------- */

static const struct {
	const char *about;
	const char *model;
	int n;
	const char *quality, *size;
	int64_t prompt, text_in, image_in, image_out;
	double usd;
} images[] = {
	{ "G1", OPENAI, 1, "low", "1024x1024", 0, 0, 0, 0, 0.01088 },
	{ "G2", OPENAI, 1, "low", "1024x1536", 0, 0, 0, 0, 0.01632 },
	{ "G3", OPENAI, 1, "low", "1536x1024", 0, 0, 0, 0, 0.016 },
	{ "G4", OPENAI, 1, "medium", "1024x1024", 0, 0, 0, 0, 0.04224 },
	{ "G5", OPENAI, 1, "medium", "1024x1536", 0, 0, 0, 0, 0.06336 },
	{ "G6", OPENAI, 1, "medium", "1536x1024", 0, 0, 0, 0, 0.06272 },
	{ "G7", OPENAI, 1, "high", "1024x1024", 0, 0, 0, 0, 0.1664 },
	{ "G8", OPENAI, 1, "high", "1024x1536", 0, 0, 0, 0, 0.2496 },
	{ "G9", OPENAI, 1, "high", "1536x1024", 0, 0, 0, 0, 0.24832 },
	{ "G10", OPENAI, 1, "medium", "1792x1024", 0, 0, 0, 0, 0.04224 },
	{ "G11", OPENAI, 1, "medium", "1024x1024", 1500, 500, 1000, 0,
	    0.05474 },
	{ "G12", OPENAI, 3, "medium", "1024x1536", 1500, 500, 1000, 0,
	    0.20258 },
	{ "G13", OPENAI, 1, "medium", "1024x1024", 500, 0, 0, 0, 0.04474 },
	{ "G14", GEMINI, 1, NULL, "1024x1024", 0, 0, 0, 0, 0.0387 },
	{ "G15", GEMINI, 3, NULL, NULL, 900, 900, 0, 0, 0.11637 },
	{ "G16", GEMINI, 1, "default", NULL, 0, 0, 0, 0, 0.0387 },
	{ "G17", GEMINI, 1, NULL, "896x1184", 1550, 300, 1250, 0, 0.039165 },
	{ "G18", OPENAI, 0, NULL, NULL, 0, 0, 0, 0, 0 },
	{ "the tokens the provider counted", OPENAI, 1, "medium", "1024x1024",
	    0, 0, 0, 272, 0.01088 },
	{ "a prompt of which only the image part is told", OPENAI, 0, NULL,
	    NULL, 1500, 0, 1000, 0, 0.0125 },
	{ "an image part beyond the prompt", OPENAI, 0, NULL, NULL, 500, 0,
	    1000, 0, 0.01 },
	{ "an unknown quality", OPENAI, 1, "ultra", "1024x1536", 0, 0, 0, 0,
	    0.06336 },
	{ "no quality and no size", OPENAI, 1, NULL, NULL, 0, 0, 0, 0,
	    0.04224 }
};

START_TEST(each_picture_costs_what_table_g_says)
{
	const struct model_info *m = model_of(images[_i].model);
	struct usage u = { .prompt = images[_i].prompt,
	    .text_in = images[_i].text_in, .image_in = images[_i].image_in,
	    .image_out = images[_i].image_out };
	int64_t nano = price_image(m, &u, images[_i].n, images[_i].quality,
	    images[_i].size);

	ck_assert_msg(nano == USD(images[_i].usd), "%s: %lld",
	    images[_i].about, (long long)nano);
	ck_assert_int_eq(price_booked(m, &u, images[_i].n, images[_i].quality,
	    images[_i].size), nano);
}
END_TEST

/* --- H: stages and runs -------------------------------------------------- */

static int64_t
chat_nano(const char *model, int64_t prompt, int64_t completion)
{
	struct usage u = { .prompt = prompt, .completion = completion };

	return price_chat(model_of(model), &u);
}

/* What calls cost one by one adds up to what the stages cost in the table. */
START_TEST(a_run_costs_the_sum_of_its_calls)
{
	const struct model_info *gemini = model_of(GEMINI);
	struct usage words = { .prompt = 300, .text_in = 300 };
	struct usage none = { 0 };
	int64_t h1, run, recipe;
	int i;

	h1 = chat_nano("openai/gpt-4.1", 1200, 120) +
	    chat_nano("openai/gpt-4.1", 800, 80);
	ck_assert_int_eq(h1, USD(0.0056));
	run = h1 + chat_nano("openai/gpt-4.1-mini", 300, 40) +
	    chat_nano("openai/gpt-4.1-mini", 900, 360) +
	    chat_nano("google/gemini-2.5-pro", 1800, 3200) +
	    chat_nano("google/gemini-2.5-pro", 3000, 2500) +
	    chat_nano("google/gemini-2.5-pro", 3010, 2600) +
	    chat_nano("google/gemini-2.5-pro", 2990, 2400);
	for (i = 0; i < 3; i++)
		run += price_image(gemini, &words, 1, NULL, NULL) +
		    chat_nano("openai/o4-mini", 1861, 150);
	ck_assert_int_eq(run, USD(0.2515513));			/* H7 */
	recipe = h1 + chat_nano("google/gemini-2.5-pro", 2200, 3000) +
	    price_image(gemini, &none, 1, NULL, NULL) +
	    chat_nano("openai/o4-mini", 1861, 150);
	ck_assert_int_eq(recipe, USD(0.0797571));		/* H8 */
}
END_TEST

START_TEST(an_assessment_is_estimated_from_its_picture)
{
	const struct model_info *m = model_of("openai/o4-mini");
	struct usage u = { .completion = 150, .estimated = true };

	u.prompt = tokens_image(m, 1024, 1024, true) + 100;
	ck_assert_int_eq(u.prompt, 1861);			/* H12 */
	ck_assert_int_eq(u.prompt + u.completion, 2011);
	ck_assert_int_eq(price_chat(m, &u), USD(0.0027071));
}
END_TEST

/* --- 13.1: usage --------------------------------------------------------- */

static const struct {
	const char *about;
	const char *answer;
	bool told;
	struct usage want;
} usages[] = {
	{ "OpenAI chat", "{\"usage\":{\"prompt_tokens\":1200,"
	    "\"completion_tokens\":300,\"total_tokens\":1500,"
	    "\"prompt_tokens_details\":{\"cached_tokens\":400},"
	    "\"completion_tokens_details\":{\"reasoning_tokens\":64}}}", true,
	    { .prompt = 1200, .completion = 300, .cached = 400,
	    .reasoning = 64 } },
	{ "OpenRouter with the amount", "{\"usage\":{\"prompt_tokens\":10,"
	    "\"completion_tokens\":5,\"cost\":0.0001235}}", true,
	    { .prompt = 10, .completion = 5, .has_billed = true,
	    .billed_nano = 123500 } },
	{ "OpenAI images", "{\"data\":[{\"b64_json\":\"\"}],\"usage\":"
	    "{\"input_tokens\":1500,\"output_tokens\":1056,\"total_tokens\":"
	    "2556,\"input_tokens_details\":{\"text_tokens\":500,"
	    "\"image_tokens\":1000}}}", true,
	    { .prompt = 1500, .completion = 1056, .text_in = 500,
	    .image_in = 1000, .image_out = 1056 } },
	{ "Gemini", "{\"usageMetadata\":{\"promptTokenCount\":1550,"
	    "\"candidatesTokenCount\":1290,\"totalTokenCount\":2900,"
	    "\"thoughtsTokenCount\":60,\"cachedContentTokenCount\":100,"
	    "\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":"
	    "300},{\"modality\":\"IMAGE\",\"tokenCount\":1250}],"
	    "\"candidatesTokensDetails\":[{\"modality\":\"IMAGE\","
	    "\"tokenCount\":1290}]}}", true,
	    { .prompt = 1550, .completion = 1350, .cached = 100,
	    .reasoning = 60, .text_in = 300, .image_in = 1250,
	    .image_out = 1290 } },
	{ "other names", "{\"usage\":{\"input_tokens\":7,\"output_tokens\":"
	    "3}}", true, { .prompt = 7, .completion = 3 } },
	{ "H9: a list, totals alone", "{\"usage\":[{\"total_tokens\":100},"
	    "{\"total_tokens\":50}]}", true, { .prompt = 150 } },
	{ "H10: no total", "{\"usage\":{\"prompt_tokens\":10,"
	    "\"completion_tokens\":10}}", true,
	    { .prompt = 10, .completion = 10 } },
	{ "floats", "{\"usage\":{\"prompt_tokens\":10.0,"
	    "\"completion_tokens\":2.9}}", true,
	    { .prompt = 10, .completion = 2 } },
	{ "none", "{\"choices\":[]}", false, { 0 } },
	{ "null", "{\"usage\":null}", false, { 0 } },
	{ "zeros", "{\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0,"
	    "\"cost\":0}}", false, { 0 } },
	{ "text", "{\"usage\":\"10\"}", false, { 0 } },
	{ "nonsense", "{\"usage\":{\"prompt_tokens\":\"10\","
	    "\"completion_tokens\":-5,\"cost\":-1}}", false, { 0 } },
	{ "more than can be", "{\"usage\":{\"prompt_tokens\":1e300,"
	    "\"completion_tokens\":9223372036854775807,\"cost\":1e12}}", true,
	    { .prompt = 1000000000000, .completion = 1000000000000 } },
	{ "not an object", "[]", false, { 0 } }
};

START_TEST(each_shape_of_usage_is_read)
{
	struct json_object *answer = json_of(usages[_i].answer);
	struct usage u = { .prompt = 99, .estimated = true };
	const struct usage *want = &usages[_i].want;

	ck_assert_msg(usage_read(answer, &u) == usages[_i].told, "%s",
	    usages[_i].about);
	ck_assert_int_eq(u.prompt, want->prompt);
	ck_assert_int_eq(u.completion, want->completion);
	ck_assert_int_eq(u.cached, want->cached);
	ck_assert_int_eq(u.reasoning, want->reasoning);
	ck_assert_int_eq(u.text_in, want->text_in);
	ck_assert_int_eq(u.image_in, want->image_in);
	ck_assert_int_eq(u.image_out, want->image_out);
	ck_assert_int_eq(u.has_billed, want->has_billed);
	ck_assert_int_eq(u.billed_nano, want->billed_nano);
	ck_assert(!u.estimated);
	json_object_put(answer);
}
END_TEST

START_TEST(usage_without_a_total_is_paid_in_full)
{
	struct json_object *list = json_of(usages[5].answer);
	struct json_object *plain = json_of(usages[6].answer);
	struct usage u;

	usage_read(list, &u);
	ck_assert_int_eq(price_chat(model_of("o4-mini"), &u),
	    USD(0.000165));					/* H9 */
	usage_read(plain, &u);
	ck_assert_int_eq(price_chat(model_of("o4-mini"), &u),
	    USD(0.000055));					/* H10 */
	json_object_put(list);
	json_object_put(plain);
}
END_TEST

START_TEST(the_amount_the_provider_names_is_booked)
{
	struct usage u = { .prompt = 1000, .completion = 1000,
	    .has_billed = true, .billed_nano = 77 };

	ck_assert_int_eq(price_booked(model_of("gpt-4.1"), &u, 0, NULL, NULL),
	    77);
	ck_assert_int_eq(price_booked(NULL, &u, 0, NULL, NULL), 77);
	u.billed_nano = 0;
	ck_assert_int_eq(price_booked(model_of(OPENAI), &u, 1, NULL, NULL), 0);
}
END_TEST

/* --- rounding ------------------------------------------------------------ */

static const struct {
	int64_t tokens, rate, want;
} roundings[] = {
	{ 1, 499999, 0 },
	{ 1, 500000, 1 },
	{ 3, 500000, 2 },
	{ 1, 1499999, 1 },
	{ 0, 1000, 0 },
	{ -5, 1000000, 0 },
	{ 5, -1000000, 0 },
	{ 1000000, 2000000000, 2000000000 },
	{ INT64_MAX, 1000000, INT64_MAX },
	{ INT64_MAX, INT64_MAX, INT64_MAX }
};

START_TEST(money_is_rounded_half_up_and_never_overflows)
{
	ck_assert_int_eq(price_tokens(roundings[_i].tokens,
	    roundings[_i].rate), roundings[_i].want);
}
END_TEST

START_TEST(a_call_is_rounded_once)
{
	const struct model_info m = { .price_input = 400000,
	    .price_output = 400000, .price_cached_input = 400000 };
	struct usage u = { .prompt = 2, .completion = 1, .cached = 1 };

	/* 0.4 three times is 1.2 nano-dollars; each by itself would be 0. */
	ck_assert_int_eq(price_chat(&m, &u), 1);
}
END_TEST

/* --- H13-H17: whose model is it ------------------------------------------ */

static const struct {
	const char *id;
	const char *guess;
} guesses[] = {
	{ "gpt-4.1", "openai" }, { "o1-preview", "openai" },
	{ "gpt-image-1", "openai" }, { "openai/gpt-4.1", "openrouter" },
	{ "gemini-2.5", "google" }, { "models/x", "google" },
	{ "mistral/x", "unknown" }, { "o4-mini", "unknown" },
	{ "zzz", "unknown" }, { "", "unknown" }
};

START_TEST(an_unknown_model_is_guessed_by_its_looks)
{
	ck_assert_str_eq(provider_guess(guesses[_i].id), guesses[_i].guess);
}
END_TEST

static const struct {
	const char *about;
	const char *id;
	const char *shown;
} providers[] = {
	{ "H13", "openai/gpt-4.1", "openrouter" },
	{ "H13", "google/gemini-2.5-pro", "openrouter" },
	{ "H13", "openai/gpt-4o", "openrouter" },
	{ "H14", GEMINI, "gemini" },
	{ "H15", OPENAI, "openai" },
	{ "H15", "gpt-5", "openai" },
	{ "H15", "o1x", "openai" },
	{ "H16", "gemini-x", "google" },
	{ "H16", "a/b", "openrouter" },
	{ "H16", "zzz", "unknown" }
};

START_TEST(the_provider_of_a_model_is_the_configured_one_first)
{
	struct conf only = { 0 };
	struct provider gemini = { .name = (char []){ "gemini" } };

	/* With the default models the image purpose uses one of the two. */
	only.purposes[PURPOSE_IMAGE_GENERATION].model = model_of(GEMINI);
	only.purposes[PURPOSE_IMAGE_GENERATION].provider = &gemini;
	ck_assert_str_eq(provider_shown(&only, providers[_i].id),
	    providers[_i].shown);
}
END_TEST

/* --- the most a call can cost --------------------------------------------- */

static unsigned seed;

static int64_t
dice(int64_t n)
{
	seed = seed * 1103515245u + 12345u;
	return (int64_t)(seed >> 8) % (n < 1 ? 1 : n);
}

/* Any usage of a request of so much text, such pictures and such a limit. */
static void
random_usage(int64_t text, int64_t shown, int64_t limit, struct usage *u)
{
	memset(u, 0, sizeof(*u));
	u->text_in = dice(text + 1);
	u->image_in = dice(shown + 1);
	u->prompt = u->text_in + u->image_in;
	u->cached = dice(u->prompt + 1);
	u->completion = dice(limit + 1);
	u->reasoning = dice(u->completion + 1);
	u->image_out = dice(2) * u->completion;
	if (dice(2) == 0)
		u->text_in = u->image_in = 0;	/* not told apart */
}

START_TEST(no_usage_costs_more_than_the_most)
{
	int64_t text, shown, limit, most, cost;
	struct model_info m;
	struct usage u;
	int i, n;

	seed = 4711;
	for (i = 0; i < conf->n_models; i++)
		for (n = 0; n < 500; n++) {
			m = conf->models[i];
			if (dice(3) == 0)	/* a cache that is dearer */
				m.price_cached_input *= 3;
			text = dice(200000);
			shown = dice(20000);
			limit = dice(20000);
			random_usage(text, shown, limit, &u);
			most = price_most(&m, text, shown, limit);
			cost = price_booked(&m, &u, 0, NULL, NULL);
			ck_assert_msg(cost <= most, "%s: %lld > %lld", m.id,
			    (long long)cost, (long long)most);
		}
	ck_assert_int_eq(price_most(NULL, 1000, 0, 1000), 0);
}
END_TEST

/* Google's count: tiles of two thirds of the shorter side, 256 to 768. */
static int64_t
google_tokens(int64_t w, int64_t h)
{
	int64_t crop = (w < h ? w : h) * 2 / 3;

	if (w <= 384 && h <= 384)
		return 258;
	crop = crop < 256 ? 256 : crop > 768 ? 768 : crop;
	return ((w + crop - 1) / crop) * ((h + crop - 1) / crop) * 258;
}

START_TEST(no_picture_counts_more_than_the_most)
{
	int i, n, w, h;

	seed = 815;
	for (n = 0; n < 20000; n++) {
		w = 1 + (int)dice(2048);
		h = 1 + (int)dice(2048);
		ck_assert_int_ge(tokens_image_most(NULL, w, h, true),
		    google_tokens(w, h));
		ck_assert_int_ge(tokens_image_most(NULL, w, h, true),
		    (int64_t)w * h / 750);
	}
	for (i = 0; i < (int)ARRAY_LEN(pictures); i++)
		ck_assert_int_ge(tokens_image_most(counting_model(
		    pictures[i].model), pictures[i].w, pictures[i].h,
		    !pictures[i].low), pictures[i].tokens);
}
END_TEST

START_TEST(a_picture_not_in_the_table_counts_as_the_dearest)
{
	const struct model_info *m = model_of(OPENAI);

	ck_assert_int_eq(tokens_picture_most(m, "medium", "1024x1024"), 1056);
	ck_assert_int_eq(tokens_picture_most(m, "low", "1536x1024"), 400);
	ck_assert_int_eq(tokens_picture_most(m, "auto", "1024x1024"), 6240);
	ck_assert_int_eq(tokens_picture_most(m, "low", "2048x2048"), 6240);
	ck_assert_int_eq(tokens_picture_most(m, NULL, NULL), 6240);
	ck_assert_int_eq(tokens_picture_most(model_of(GEMINI), NULL, NULL),
	    1290);
	ck_assert_int_eq(tokens_picture_most(NULL, NULL, NULL), 0);
}
END_TEST

Suite *
price_suite(void)
{
	Suite *s = suite_create("prices");
	TCase *t = tcase_create("prices");

	tcase_add_unchecked_fixture(t, load_conf, drop_conf);
	tcase_add_loop_test(t, each_picture_costs_the_tokens_of_table_e, 0,
	    (int)ARRAY_LEN(pictures));
	tcase_add_test(t, sizes_come_from_headers_and_not_from_noise);
	tcase_add_test(t, words_cost_a_token_and_a_third);
	tcase_add_loop_test(t, each_text_call_costs_what_tables_f_and_h_say, 0,
	    (int)ARRAY_LEN(calls));
	tcase_add_test(t, a_model_without_a_price_costs_nothing);
	tcase_add_loop_test(t, each_picture_costs_what_table_g_says, 0,
	    (int)ARRAY_LEN(images));
	tcase_add_test(t, a_run_costs_the_sum_of_its_calls);
	tcase_add_test(t, an_assessment_is_estimated_from_its_picture);
	tcase_add_loop_test(t, each_shape_of_usage_is_read, 0,
	    (int)ARRAY_LEN(usages));
	tcase_add_test(t, usage_without_a_total_is_paid_in_full);
	tcase_add_test(t, the_amount_the_provider_names_is_booked);
	tcase_add_loop_test(t, money_is_rounded_half_up_and_never_overflows, 0,
	    (int)ARRAY_LEN(roundings));
	tcase_add_test(t, a_call_is_rounded_once);
	tcase_add_loop_test(t, an_unknown_model_is_guessed_by_its_looks, 0,
	    (int)ARRAY_LEN(guesses));
	tcase_add_loop_test(t,
	    the_provider_of_a_model_is_the_configured_one_first, 0,
	    (int)ARRAY_LEN(providers));
	tcase_add_test(t, no_usage_costs_more_than_the_most);
	tcase_add_test(t, no_picture_counts_more_than_the_most);
	tcase_add_test(t, a_picture_not_in_the_table_counts_as_the_dearest);
	suite_add_tcase(s, t);
	return s;
}
