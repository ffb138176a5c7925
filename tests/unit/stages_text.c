/* Words, seeded choices, and the colours of a brand (oracles O1 to O16). */
#include "tests/unit/stages_unit.h"

#include <math.h>

#define TINY 1e-9

/* --- words -------------------------------------------------------------- */

static const struct {
	const char *text;
	bool nothing;
} voids[] = {
	{ NULL, true }, { "", true }, { " \n\t", true }, { "None", true },
	{ "null", true }, { "N/A", true }, { "n/a.", true },
	{ "\"none\"", true }, { "(not applicable)", true }, { "-", true },
	{ "\xe2\x80\x94", true }, { "[]", true },
	{ "None of the cakes is cut", false }, { "No", false },
	{ "Naan", false }, { "Nan bread", false }, { "a - b", false },
	{ "Nullarbor honey", false }, { "0", false },
};

START_TEST(words_that_stand_for_nothing_say_nothing)
{
	ck_assert_int_eq(text_is_void(voids[_i].text), voids[_i].nothing);
}
END_TEST

static const struct {
	const char *from, *to;
} sentences[] = {
	{ "soft light", "soft light." },
	{ "soft light.", "soft light." },
	{ "  soft\n\tlight  ", "soft light." },
	{ "Buy!", "Buy!" },
	{ "reading \"SALE\"", "reading \"SALE\"." },
	{ "reading \"SALE!\"", "reading \"SALE!\"" },
	{ "a list (short)", "a list (short)." },
	{ "(A note.)", "(A note.)" },
	{ "and so on\xe2\x80\xa6", "and so on\xe2\x80\xa6" },
	{ "\xe7\x83\xad\xe8\x8c\xb6\xe3\x80\x82",
	    "\xe7\x83\xad\xe8\x8c\xb6\xe3\x80\x82" },
	{ "none", NULL }, { "", NULL }, { NULL, NULL },
};

START_TEST(a_sentence_is_one_line_with_one_full_stop)
{
	char *s = text_sentence(sentences[_i].from);

	ck_assert_pstr_eq(s, sentences[_i].to);
	free(s);
}
END_TEST

static const struct {
	const char *from;
	size_t max;
	const char *to;
} cuts[] = {
	{ "one two three", 100, "one two three" },
	{ "one two three", 13, "one two three" },
	{ "one two three", 12, "one two" },
	{ "one, two three", 6, "one" },
	{ "one two", 3, "one" },
	{ "\xe6\x8a\xb9\xe8\x8c\xb6\xe5\x92\x8c", 2, "\xe6\x8a\xb9\xe8\x8c\xb6" },
	{ "abcdef", 0, "" },
};

START_TEST(text_is_cut_between_words_and_never_inside_a_character)
{
	char *s = text_cut(cuts[_i].from, cuts[_i].max);

	ck_assert_str_eq(s, cuts[_i].to);
	ck_assert_uint_le(text_chars(s), cuts[_i].max);
	free(s);
}
END_TEST

static const struct {
	const char *text;
	int n;
	const char *first, *last;
} quoted[] = {
	{ NULL, 0, NULL, NULL },
	{ "a big sign", 0, NULL, NULL },
	{ "\"50% OFF\" bold", 1, "50% OFF", "50% OFF" },
	{ "\"Now\" and \"Open late\"", 2, "Now", "Open late" },
	{ "\"never closed", 0, NULL, NULL },
	{ "\"\" \"  \" \"x\"", 1, "x", "x" },
	{ "\"two\n lines\"", 1, "two lines", "two lines" },
	{ "it's \"O'Brien's\"", 1, "O'Brien's", "O'Brien's" },
	{ "\"None\"", 1, "None", "None" },
};

START_TEST(literals_are_what_stands_in_straight_double_quotes)
{
	struct literals l;

	literals_find(quoted[_i].text, &l);
	ck_assert_int_eq(l.n, quoted[_i].n);
	if (l.n > 0) {
		ck_assert_str_eq(l.item[0], quoted[_i].first);
		ck_assert_str_eq(l.item[l.n - 1], quoted[_i].last);
	}
	literals_release(&l);
}
END_TEST

START_TEST(literals_are_limited_in_number)
{
	struct literals l;

	literals_find("\"a\"\"b\"\"c\"\"d\"\"e\"\"f\"\"g\"\"h\"\"i\"\"j\"", &l);
	ck_assert_int_eq(l.n, MAX_LITERALS);
	literals_release(&l);
}
END_TEST

START_TEST(seeded_choices_repeat_and_depend_on_run_and_name)
{
	char run[16];
	int i, hits[7] = { 0 };

	ck_assert_int_eq(seeded_choice(RUN_ID, "voice", 1000000),
	    seeded_choice(RUN_ID, "voice", 1000000));
	ck_assert_int_ne(seeded_choice(RUN_ID, "voice", 1000000),
	    seeded_choice(RUN_ID, "niche", 1000000));
	ck_assert_int_eq(seeded_choice(RUN_ID, "voice", 1), 0);
	for (i = 0; i < 700; i++) {
		snprintf(run, sizeof(run), "run %d", i);
		hits[seeded_choice(run, "voice", 7)]++;
	}
	for (i = 0; i < 7; i++)
		ck_assert_int_gt(hits[i], 50);
}
END_TEST

TCase *
stages_text_case(void)
{
	TCase *tc = tcase_create("words");

	add_rows(tc, words_that_stand_for_nothing_say_nothing, voids);
	add_rows(tc, a_sentence_is_one_line_with_one_full_stop, sentences);
	add_rows(tc, text_is_cut_between_words_and_never_inside_a_character,
	    cuts);
	add_rows(tc, literals_are_what_stands_in_straight_double_quotes,
	    quoted);
	tcase_add_test(tc, literals_are_limited_in_number);
	tcase_add_test(tc, seeded_choices_repeat_and_depend_on_run_and_name);
	return tc;
}

/* --- brands (O) --------------------------------------------------------- */

#define P(ratio) "{'hex':'#AA0000','role':'primary','ratio':" ratio "}"
#define S(ratio) "{'hex':'#00BB00','role':'secondary','ratio':" ratio "}"
#define A(ratio) "{'hex':'#0000CC','role':'accent','ratio':" ratio "}"

static const struct {
	const char *row, *colors;
	bool custom;
	double expected[4];	/* of the colours that are core, in order */
} shares[] = {
	{ "O1", "[" P("0.6") "," S("0.3") "," A("0.1") "]", false,
	    { .6, .3, .1 } },
	{ "O2", "[" P("null") "," S("null") "," A("null") "]", false,
	    { .6, .3, .1 } },
	{ "O3", "[" P("0.5") "," S("0.4") "," A("0.1") "]", true,
	    { .6, .3, .1 } },
	{ "O4", "[" P("0.62") "," S("0.28") "," A("0.1") "]", false,
	    { .6, .3, .1 } },
	{ "O5", "[" P("0.63") "," S("0.27") "," A("0.1") "]", false,
	    { .6, .3, .1 } },
	{ "O6", "[" P("0.65") "," S("0.35") "]", false, { .65, .35 } },
	{ "O7", "[" P("0.5") "," P("0.5") "]", false, { .5, .5 } },
	{ "O8", "[" P("1.0") "]", false, { 1.0 } },
	{ "O9", "[{'hex':'#AA0000','role':'primary','ratio':0.6,"
	    "'isCustomRatio':true}," S("0.3") "," A("0.1") "]", true,
	    { .6, .3, .1 } },
	{ "O10", "[{'hex':'#FFFFFF','role':'neutral_light'},"
	    "{'hex':'#111111','role':'neutral_dark'}]", false, { 0, 0 } },
	{ "O11", "[" P("0.3") "," P("0.3") "," S("0.3") "," A("0.1") "]",
	    false, { .3, .3, .3, .1 } },
	{ "O12", "[" P("0.6") "," A("0.1") ",{'hex':'#FFFFFF','role':"
	    "'neutral_light'}]", true, { .75, .25 } },
	{ "a mark on a neutral means nothing", "[" P("0.6") "," S("0.3") ","
	    A("0.1") ",{'hex':'#FFFFFF','role':'neutral_light','ratio':0.9,"
	    "'isCustomRatio':true}]", false, { .6, .3, .1 } },
};

START_TEST(shares_follow_the_oracles)
{
	struct brand_colours b;
	int i;

	brand_analyse(json(shares[_i].colors), &b);
	ck_assert_msg(b.custom == shares[_i].custom, "%s", shares[_i].row);
	for (i = 0; i < b.n && i < 4; i++)
		ck_assert_msg(fabs(b.c[i].expected - shares[_i].expected[i]) <
		    TINY, "%s: colour %d expects %f", shares[_i].row, i,
		    b.c[i].expected);
}
END_TEST

START_TEST(neutrals_and_roles_are_counted)
{
	struct brand_colours b;

	brand_analyse(json("[{'hex':'#FFFFFF','role':'neutral_light'},"
	    "{'hex':'#111111','role':'neutral_dark'}," A("0.25") "," P("0.5")
	    "," A("0.25") ",{'hex':'#123456'},{'hex':'red','role':'primary'},"
	    "7]"), &b);
	ck_assert_int_eq(b.n, 6);
	ck_assert_int_eq(b.count[ROLE_NEUTRAL_LIGHT], 1);
	ck_assert_int_eq(b.count[ROLE_NEUTRAL_DARK], 1);
	ck_assert_int_eq(b.count[ROLE_UNKNOWN], 1);
	ck_assert_int_eq(b.n_core, 2);
	ck_assert_int_eq(b.core[0], ROLE_ACCENT);
	ck_assert_int_eq(b.core[1], ROLE_PRIMARY);
	ck_assert_double_eq_tol(b.sum[ROLE_ACCENT], 0.5, TINY);
	ck_assert_double_eq_tol(b.sum[ROLE_PRIMARY], 0.5, TINY);
}
END_TEST

static const char *
snippet(const char *colors, enum palette_layer layer)
{
	static char out[4096];
	struct strbuf sb = STRBUF_INIT(sizeof(out) - 1);

	brand_palette_snippet(colors != NULL ? json(colors) : NULL, layer,
	    &sb);
	snprintf(out, sizeof(out), "%s", sb.buf);
	strbuf_release(&sb);
	return out;
}

START_TEST(an_empty_palette_says_nothing)
{
	ck_assert_str_eq(snippet("[]", LAYER_STYLE), "");	/* O13 */
	ck_assert_str_eq(snippet(NULL, LAYER_CREATIVE), "");
}
END_TEST

static void
in_order(const char *text, const char *const *pieces)
{
	const char *at = text;

	for (; *pieces != NULL; pieces++) {
		at = strstr(at, *pieces);
		ck_assert_msg(at != NULL, "\"%s\" is missing or out of order "
		    "in:\n%s", *pieces, text);
	}
}

START_TEST(a_plan_of_the_users_is_told_in_figures)
{
	static const char *const style[] = { "Brand palette", "Primary:",
	    "#AA0000 (Tomato)", "Secondary:", "#00BB00", "Accent:", "#0000CC",
	    "Neutrals:", "#FFFFFF", "#111111", "hierarchy", "Usage plan",
	    "#AA0000 50%", "#00BB00 40%", "#0000CC 10%", "backgrounds", NULL };
	static const char *const creative[] = { "colour palette field",
	    "#AA0000 50%", "#00BB00 40%", "#0000CC 10%", NULL };
	static const char colors[] = "[{'hex':'#111111','role':"
	    "'neutral_dark'}," A("0.1") "," S("0.4") ",{'hex':'#AA0000',"
	    "'role':'primary','label':'Tomato','ratio':0.5},"
	    "{'hex':'#FFFFFF','role':'neutral_light'}]";

	in_order(snippet(colors, LAYER_STYLE), style);	/* O14 */
	has(snippet(colors, LAYER_STYLE), "within 5 percentage points");
	in_order(snippet(colors, LAYER_CREATIVE), creative);
}
END_TEST

START_TEST(the_usual_shares_are_told_without_figures)
{
	static const char colors[] = "[" P("0.6") "," S("0.3") "," A("0.1")
	    "]";

	lacks(snippet(colors, LAYER_STYLE), "%");
	lacks(snippet(colors, LAYER_CREATIVE), "%");
	has(snippet(colors, LAYER_STYLE), "Order of importance: primary");
	has(snippet(colors, LAYER_CREATIVE), "colour palette field");
	has(snippet(colors, LAYER_STYLE), "Neutrals serve");
	lacks(snippet(colors, LAYER_STYLE), "Neutrals:");
}
END_TEST

static const struct {
	const char *row, *a, *b;
	double contrast;
} contrasts[] = {
	{ "O15 black on white", "#000000", "#FFFFFF", 21.0 },
	{ "O15 white on white", "#ffffff", "#FFFFFF", 1.0 },
	{ "O15 grey", "#777777", "#FFFFFF", 4.478089453577214 },
	{ "O15 red", "#FF0000", "#FFFFFF", 3.9984767707539985 },
	{ "O15 blue", "#4A90E2", "#FFFFFF", 3.2922223042455103 },
	{ "O15 orange", "#FF5733", "#000000", 6.663081285617676 },
	{ "O15 two greys", "#333333", "#EEEEEE", 10.88977979803735 },
	{ "O15 invalid", "#GGGGGG", "#FFFFFF", 1.0 },
	{ "O15 missing", NULL, "#FFFFFF", 1.0 },
	{ "O16", "#fff", "#000000", 21.0 },
	{ "the other way round", "#000", "#fff", 21.0 },
};

START_TEST(contrast_is_that_of_wcag)
{
	ck_assert_msg(fabs(brand_contrast(contrasts[_i].a, contrasts[_i].b) -
	    contrasts[_i].contrast) < TINY, "%s: %.12f", contrasts[_i].row,
	    brand_contrast(contrasts[_i].a, contrasts[_i].b));
}
END_TEST

static const struct {
	const char *colors, *pair;
} pairs[] = {
	{ "[" P("0.6") "," S("0.3") "," A("0.1") "]", "" },
	{ "[" P("0.6") ",{'hex':'#FFFFFF','role':'neutral_light'},"
	    "{'hex':'#111111','role':'neutral_dark'}]", "#FFFFFF and #111111" },
	{ "['#fff','#222','#ccc']", "#fff and #222" },
	{ "[" P("1.0") "]", "" },
	{ "[]", "" },
};

START_TEST(words_are_set_in_the_colours_that_read_best)
{
	struct strbuf sb = STRBUF_INIT(100);
	struct brand_colours b;

	brand_analyse(json(pairs[_i].colors), &b);
	brand_readable_pair(&b, &sb);
	ck_assert_str_eq(sb.buf, pairs[_i].pair);
	strbuf_release(&sb);
}
END_TEST

START_TEST(old_kits_with_bare_colour_codes_are_listed_plainly)
{
	const char *text = snippet("['#AA0000','#00BB00','nonsense']",
	    LAYER_STYLE);

	has(text, "Colours: #AA0000, #00BB00\n");
	lacks(text, "nonsense");
	lacks(text, "Primary");
	lacks(text, "%");
}
END_TEST

TCase *
stages_brand_case(void)
{
	TCase *tc = tcase_create("brand");

	tcase_add_checked_fixture(tc, stages_setup, stages_teardown);
	add_rows(tc, shares_follow_the_oracles, shares);
	tcase_add_test(tc, neutrals_and_roles_are_counted);
	tcase_add_test(tc, an_empty_palette_says_nothing);
	tcase_add_test(tc, a_plan_of_the_users_is_told_in_figures);
	tcase_add_test(tc, the_usual_shares_are_told_without_figures);
	add_rows(tc, contrast_is_that_of_wcag, contrasts);
	add_rows(tc, words_are_set_in_the_colours_that_read_best, pairs);
	tcase_add_test(tc, old_kits_with_bare_colour_codes_are_listed_plainly);
	return tc;
}
