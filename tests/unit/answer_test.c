/*
 * Finding the JSON in an answer: every row of generation.md 17 C, and what
 * follows from 10.2 beside it.
 */
#include "tests/unit/answer_unit.h"

#include <pthread.h>

#include "xalloc.h"

#define F "```"

struct row {
	const char *about;
	const char *text;
	const char *want;	/* the value; NULL: a fault */
	enum answer_fault fault;
};

/* --- C1-C60: values and errors ------------------------------------------- */

static const struct row rows[] = {
	{ "C1", "{\"a\":1}", "{\"a\":1}", 0 },
	{ "C2", F "json\n{\"a\":1}\n" F, "{\"a\":1}", 0 },
	{ "C3", F "JSON\n{\"a\":1}\n" F, "{\"a\":1}", 0 },
	{ "C4", F "\n{\"a\":1}\n" F, "{\"a\":1}", 0 },
	{ "C5", F "\n[1,2]\n" F, "[1,2]", 0 },
	{ "C6", "Here is the result:\n" F "json\n{\"a\":1}\n" F
	    "\nLet me know if you need anything else!", "{\"a\":1}", 0 },
	{ "C7", "Text before\n\n" F "json\n{\"a\":1}\n" F "\n\ntext after",
	    "{\"a\":1}", 0 },
	{ "C8", "Text before " F "{\"a\":1}" F " text after", "{\"a\":1}", 0 },
	{ "C9", "{\"a\":1} extra text after", "{\"a\":1}", 0 },
	{ "C10", "[{\"item\":1}]\nAdditional content", "[{\"item\":1}]", 0 },
	{ "C11", "The result is {\"success\": true, \"value\": 42} which "
	    "indicates completion.", "{\"success\":true,\"value\":42}", 0 },
	{ "C12", "Items found: [{\"n\":1},{\"n\":2}] in the database.",
	    "[{\"n\":1},{\"n\":2}]", 0 },
	{ "C13", "{\"a\":1}\n{\"b\":2}", "{\"a\":1}", 0 },
	{ "C14", "note [1] then {\"a\":[1,2]} end", "{\"a\":[1,2]}", 0 },
	{ "C15", "x {\"a\":[1,2]} y", "{\"a\":[1,2]}", 0 },
	{ "C16", "x [{\"a\":1}] y", "[{\"a\":1}]", 0 },
	{ "C17", "{\"a\":\"v\",}", "{\"a\":\"v\"}", 0 },
	{ "C18", "[1,2,]", "[1,2]", 0 },
	{ "C19", "{a: \"v\", b: 12}", "{\"a\":\"v\",\"b\":12}", 0 },
	{ "C20", "{'a': 'v', 'n': 42}", "{\"a\":\"v\",\"n\":42}", 0 },
	{ "C21", "{a: 'v', n: 12,}", "{\"a\":\"v\",\"n\":12}", 0 },
	{ "C22", "{\"a\": hello}", "{\"a\":\"hello\"}", 0 },
	{ "C23", "{\"a\": hello world, \"b\": 1}",
	    "{\"a\":\"hello world\",\"b\":1}", 0 },
	{ "C24", "{\"a\": \"it's fine\"}", "{\"a\":\"it's fine\"}", 0 },
	{ "C25", "Here's the assessment: {'score': 5}", "{\"score\":5}", 0 },
	{ "C26", "Assessment: {'result': 'good'}", "{\"result\":\"good\"}", 0 },
	{ "C27", "{'answer': 'test'}\nI hope this helps!",
	    "{\"answer\":\"test\"}", 0 },
	{ "C28", "{\"url\": \"http://x.y/z\"}", "{\"url\":\"http://x.y/z\"}",
	    0 },
	{ "C29", "{\"a\":1} // comment", "{\"a\":1}", 0 },
	{ "C30", "\xef\xbb\xbf{\"a\":1}", "{\"a\":1}", 0 },
	{ "C31", "Result {\"a\": {\"b\": [1, {\"c\": 2}]}}",
	    "{\"a\":{\"b\":[1,{\"c\":2}]}}", 0 },
	{ "C32", "{\"a\":\"b\"}" F, "{\"a\":\"b\"}", 0 },
	{ "C33", F "json\n{\"a\":1}", "{\"a\":1}", 0 },
	{ "C34", F "json\n{\"x\":\"has " F " inside\"}\n" F,
	    "{\"x\":\"has " F " inside\"}", 0 },
	{ "C35", "{\"a\": [true, null],}", "{\"a\":[true,null]}", 0 },
	{ "C36", "{\"a\": 1.5,}", "{\"a\":1.5}", 0 },
	{ "C37 empty", "", NULL, ANSWER_EMPTY },
	{ "C37 blanks", " \t\r\n ", NULL, ANSWER_EMPTY },
	{ "C37 prose", "No JSON here at all", NULL, ANSWER_NO_JSON },
	{ "C37 fence", F "\nNo JSON\n" F, NULL, ANSWER_NO_JSON },
	{ "C38", "Almost JSON but not quite {incomplete", NULL,
	    ANSWER_NO_JSON },
	{ "C39", "{\"a\": \"it's fine\",}", "{\"a\":\"it's fine\"}", 0 },
	{ "C40", "{\"a\": true,}", "{\"a\":true}", 0 },
	{ "C41", "{\"a\": null,}", "{\"a\":null}", 0 },
	{ "C42", "{\"visual\": {\"main_subject\": null, \"b\": \"c\"},}",
	    "{\"visual\":{\"main_subject\":null,\"b\":\"c\"}}", 0 },
	{ "C43", "{\"ok\": true, \"n\": null, \"s\": \"done\",}",
	    "{\"ok\":true,\"n\":null,\"s\":\"done\"}", 0 },
	{ "C44", "{\"a\": True, \"b\": None}", "{\"a\":true,\"b\":null}", 0 },
	{ "C45", "{'final': true}\nLet me know if you need anything else.",
	    "{\"final\":true}", 0 },
	{ "C46", "Let me provide the JSON response: {'data': true}",
	    "{\"data\":true}", 0 },
	{ "C47", "I'll give you the result: {'success': true}",
	    "{\"success\":true}", 0 },
	{ "C48", "{\"url\": \"http://x.y/z\",}", "{\"url\":\"http://x.y/z\"}",
	    0 },
	{ "C49", "{\"t\":\"Time 10:30\",}", "{\"t\":\"Time 10:30\"}", 0 },
	{ "C50", "{\"a\":1, /* c */ \"b\":2}", "{\"a\":1,\"b\":2}", 0 },
	{ "C51", "{\"a\": \"line1\nline2\"}", "{\"a\":\"line1\\nline2\"}", 0 },
	{ "C52", "{\"a\": \"b\"\n\"c\": \"d\"}", "{\"a\":\"b\",\"c\":\"d\"}",
	    0 },
	{ "C53", "<think>hmm {x}</think>{\"a\":1}", "{\"a\":1}", 0 },
	{ "C54", "First {\"partial\": true} and then {\"complete\": true}",
	    "{\"complete\":true}", 0 },
	{ "C55", "{\"ok\": true} Note: \"hello there", "{\"ok\":true}", 0 },
	{ "C56", F "json\n{\"a\": 4}\nthanks", "{\"a\":4}", 0 },
	{ "C57", "{\"a\": \"x\"} {\"b\"", "{\"a\":\"x\"}", 0 },
	{ "C58 number", "42", NULL, ANSWER_NO_JSON },
	{ "C58 string", "\"str\"", NULL, ANSWER_NO_JSON },
	{ "C58 true", "true", NULL, ANSWER_NO_JSON },
	{ "C58 null", "null", NULL, ANSWER_NO_JSON },
	{ "C59", "list: a, b,", NULL, ANSWER_NO_JSON },
	{ "C60", "{\"a\": NaN}", "{\"a\":null}", 0 },
	{ "C61", "\"description\": \"This is trunc", NULL, ANSWER_NO_JSON },
	{ "C62", "{\"key\": \"value\",", NULL, ANSWER_TRUNCATED },
	{ "C63", "[{\"item\": ", NULL, ANSWER_TRUNCATED },
	{ "C64", "{\"a\": ", NULL, ANSWER_TRUNCATED },
	{ "C65", "{\"a\"", NULL, ANSWER_TRUNCATED },
	{ "C66", "{\"a\": \"b", NULL, ANSWER_TRUNCATED },
	{ "C67", F "json\n{\"a\": 4", NULL, ANSWER_TRUNCATED },
	{ "C68", "{", NULL, ANSWER_TRUNCATED },
	{ "C69", "{\"a\": \"x\", \"b\"", NULL, ANSWER_TRUNCATED },
	{ "C70", "{\"a\": 1", NULL, ANSWER_TRUNCATED },
	{ "C71", "{\"a\": [1, 2", NULL, ANSWER_TRUNCATED },
	{ "C72", "{\"a\": \"b\"", NULL, ANSWER_TRUNCATED },
	{ "C73", "{\"a\":{\"b\":1}", NULL, ANSWER_TRUNCATED },
	{ "C74", "{\"complete\": \"json\"}", "{\"complete\":\"json\"}", 0 },
	{ "C75", "[\"complete\", \"array\"]", "[\"complete\",\"array\"]", 0 },
	{ "C76", F "json\n{\"complete\": [1]}\n" F, "{\"complete\":[1]}", 0 },

	/* jobs 6.7 */
	{ "O-J3 open", "{\"a\":\"b", NULL, ANSWER_TRUNCATED },
	{ "O-J3 comma", "{\"a\": \"b\", ", NULL, ANSWER_TRUNCATED },
	{ "O-J3 fence", F "json\n{\"a\":1", NULL, ANSWER_TRUNCATED },
	{ "O-J5", "{\"a\": \"it's\"}", "{\"a\":\"it's\"}", 0 },
	{ "O-J6", "[1,2]", "[1,2]", 0 },

	/* what follows from 10.2 beside the table */
	{ "reasoning between, with JSON inside",
	    "<Reasoning>{\"draft\": 123456}</Reasoning>\n{\"a\":1}",
	    "{\"a\":1}", 0 },
	{ "reasoning alone", "<think>well</think>\n", NULL, ANSWER_EMPTY },
	{ "a tag inside a string stays", "{\"a\":\"<think>x</think>\"}",
	    "{\"a\":\"<think>x</think>\"}", 0 },
	{ "reasoning that never ends is prose", "<think>so [1] {\"a\":12}",
	    "{\"a\":12}", 0 },
	{ "prose in braces", "Use {placeholders} like [this], then {\"a\":1}",
	    "{\"a\":1}", 0 },
	{ "an unclosed bracket in prose", "see [here and {there {\"a\":1}",
	    "{\"a\":1}", 0 },
	{ "strict beats longer tolerant",
	    "{'long': 'longer than the other'} {\"a\":1}", "{\"a\":1}", 0 },
	{ "braces in strings", "{\"a\":\"}{\",\"b\":\"]\\\"[\"}",
	    "{\"a\":\"}{\",\"b\":\"]\\\"[\"}", 0 },
	{ "braces in comments", "{\"a\":1, // not a } here\n \"b\":2}",
	    "{\"a\":1,\"b\":2}", 0 },
	{ "a quote in a comment", "{\"a\":1, /* the \"best */ \"b\":2}",
	    "{\"a\":1,\"b\":2}", 0 },
	{ "a comment first", "{ // hello\n\"a\":1}", "{\"a\":1}", 0 },
	{ "apostrophe in single quotes", "{'a': 'it's fresh', 'b': 'd'}",
	    "{\"a\":\"it's fresh\",\"b\":\"d\"}", 0 },
	{ "escaped single quote", "{'a': 'it\\'s'}", "{\"a\":\"it's\"}", 0 },
	{ "double quotes in single ones", "{'a': 'say \"hi\"'}",
	    "{\"a\":\"say \\\"hi\\\"\"}", 0 },
	{ "doubled commas", "[1,,2] ", "[1,2]", 0 },
	{ "doubled commas in an object", "{\"a\":1,,\"b\":2,,}",
	    "{\"a\":1,\"b\":2}", 0 },
	{ "no comma on one line", "{\"a\":1 \"b\":2}", NULL, ANSWER_NO_JSON },
	{ "no comma between items", "[\"a\"\n\"b\"\n\"c\"]",
	    "[\"a\",\"b\",\"c\"]", 0 },
	{ "plain words up to the line end", "{\"a\": hello world\n\"b\": 1}",
	    "{\"a\":\"hello world\",\"b\":1}", 0 },
	{ "plain words with a colon", "{a: at 10:30, b: http://x.y/z}",
	    "{\"a\":\"at 10:30\",\"b\":\"http://x.y/z\"}", 0 },
	{ "plain words with an apostrophe", "{a: it's fine}",
	    "{\"a\":\"it's fine\"}", 0 },
	{ "a value that is missing", "{\"a\": , \"b\":1}", NULL,
	    ANSWER_NO_JSON },
	{ "dots are no word", "{\"a\": ...}", NULL, ANSWER_NO_JSON },
	{ "other letter case", "{\"a\": FALSE, \"b\": nan, \"c\": undefined}",
	    "{\"a\":false,\"b\":null,\"c\":null}", 0 },
	{ "strings of these words stay",
	    "{\"a\":\"None\",\"b\":\"NaN\",\"c\":\"True\",}",
	    "{\"a\":\"None\",\"b\":\"NaN\",\"c\":\"True\"}", 0 },
	{ "keys of these words stay", "{true: 1, \"null\": 2}",
	    "{\"true\":1,\"null\":2}", 0 },
	{ "what is no number is a word", "{\"a\": 007, \"b\": +5, \"c\": 5.}",
	    "{\"a\":\"007\",\"b\":\"+5\",\"c\":\"5.\"}", 0 },
	{ "numbers", "[0,-1,1.5e3,-0.25,9223372036854775807]",
	    "[0,-1,1500,-0.25,9223372036854775807]", 0 },
	{ "unknown escapes stay as written", "{\"a\":\"C:\\dir \\u12\"}",
	    "{\"a\":\"C:\\\\dir \\\\u12\"}", 0 },
	{ "escapes", "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\"}",
	    "{\"a\":\"\\\"\\\\/\\b\\f\\n\\r\\tA\xc3\xa9\"}", 0 },
	{ "an escape of three bytes", "{\"a\":\"\\u20ac\"}",
	    "{\"a\":\"\xe2\x82\xac\"}", 0 },
	{ "odd white space", "{\v\"a\"\f:\t1}", "{\"a\":1}", 0 },
	{ "False and a key without a value", "{\"a\": False, b}", NULL,
	    ANSWER_NO_JSON },
	{ "False", "[False]", "[false]", 0 },
	{ "a key that is never closed", "{\"a\":1, 'b: 2}", NULL,
	    ANSWER_TRUNCATED },
	{ "a surrogate pair", "{\"a\":\"\\ud83c\\udf4b\"}",
	    "{\"a\":\"\xf0\x9f\x8d\x8b\"}", 0 },
	{ "lone surrogates", "{\"a\":\"\\ud83c x \\udf4b \\ud83c\\u0041\"}",
	    "{\"a\":\"\xef\xbf\xbd x \xef\xbf\xbd \xef\xbf\xbd" "A\"}", 0 },
	{ "NUL", "{\"a\":\"x\\u0000y\"}", "{\"a\":\"x\xef\xbf\xbdy\"}", 0 },
	{ "bytes that are not UTF-8", "{\"a\":\"x\xff\xc3(\xed\xa0\x80y\"}",
	    "{\"a\":\"x\xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd"
	    "\xef\xbf\xbdy\"}", 0 },
	{ "the last of equal keys", "{\"a\":1,\"a\":2}", "{\"a\":2}", 0 },
	{ "a closer of the other kind", "{\"a\":[1}}", NULL, ANSWER_NO_JSON },
	{ "a list opened by a word", "[True, None]", "[true,null]", 0 },
	{ "a list opened by prose", "[not json] at all", NULL,
	    ANSWER_NO_JSON },
	{ "the empty object", "so: {}", "{}", 0 },
	{ "the empty list", "so: [ ]", "[]", 0 }
};

START_TEST(each_row_of_table_c_is_read_as_it_says)
{
	const struct row *r = &rows[_i];
	struct answer_wish wish = { 0 };
	struct json_object *value = NULL;
	enum answer_fault fault;

	fault = answer_read(r->text, strlen(r->text), &wish, &value, NULL);
	ck_assert_msg(fault == r->fault, "%s: %s, wanted %s", r->about,
	    answer_fault_name(fault), answer_fault_name(r->fault));
	if (r->want != NULL)
		ck_json(value, r->want, r->about);
	else
		ck_assert_ptr_null(value);
	json_object_put(value);
}
END_TEST

/* --- finish reasons (C77, C78; rule 6) ----------------------------------- */

static const struct {
	const char *about;
	const char *text;
	bool length_cut;
	enum answer_fault fault;
} endings[] = {
	{ "C77 object", "{\"a\":{\"b\":1}}", false, ANSWER_FINE },
	{ "C77 trailing comma", "{\"a\": 1,}", false, ANSWER_FINE },
	{ "C77 with prose", "So: {\"a\":1}, and \"that", false, ANSWER_FINE },
	{ "C78", "{\"a\":{\"b\":1},\"c\":", true, ANSWER_TRUNCATED },
	{ "C78 without the reason", "{\"a\":{\"b\":1},\"c\":", false,
	    ANSWER_TRUNCATED },
	{ "cut before any JSON", "Let me think about", true,
	    ANSWER_TRUNCATED },
	{ "cut before a word", "", true, ANSWER_TRUNCATED },
	{ "whole although cut", "{\"a\":1} I hope thi", true, ANSWER_FINE },
	{ "an earlier object does not make up for it", "{\"a\":1} {\"b\":",
	    true, ANSWER_TRUNCATED }
};

START_TEST(the_finish_reason_decides_what_is_truncated)
{
	struct answer_wish wish = { .length_cut = endings[_i].length_cut };
	struct json_object *value = NULL;
	const char *text = endings[_i].text;
	enum answer_fault fault;

	fault = answer_read(text, strlen(text), &wish, &value, NULL);
	ck_assert_msg(fault == endings[_i].fault, "%s: %s",
	    endings[_i].about, answer_fault_name(fault));
	json_object_put(value);
}
END_TEST

/* --- with a schema ------------------------------------------------------- */

static const struct {
	const char *about;
	const char *text;
	bool length_cut;
	enum answer_fault fault;
	const char *niche;	/* the first of the answer */
} wanted_niches[] = {
	{ "the first that validates", "{\"x\":1} {\"relevant_niches\":[\"a\"]} "
	    "{\"relevant_niches\":[\"b\",\"c\"]}", false, ANSWER_FINE, "a" },
	{ "strict before tolerant", "{'relevant_niches':['a']} "
	    "{\"relevant_niches\":[\"b\"]}", false, ANSWER_FINE, "b" },
	{ "tolerant when the strict one does not validate",
	    "{\"x\":1} {'relevant_niches':['a']}", false, ANSWER_FINE, "a" },
	{ "a bare list", "[\"a\",\"b\"]", false, ANSWER_FINE, "a" },
	{ "validating wins over length", "{\"relevant_niches\":[\"a\"]} {\"b",
	    true, ANSWER_FINE, "a" },
	{ "a fragment does not", "{\"x\":1} {\"relevant_niches\":[\"a\"",
	    true, ANSWER_TRUNCATED, NULL },
	{ "nor without the reason", "{\"x\":1} {\"relevant_niches\":[\"a\"",
	    false, ANSWER_TRUNCATED, NULL },
	{ "JSON of another kind", "{\"x\":1}", false, ANSWER_INVALID_SCHEMA,
	    NULL },
	{ "no JSON", "none come to mind", false, ANSWER_NO_JSON, NULL },
	{ "nothing", "", false, ANSWER_EMPTY, NULL }
};

START_TEST(with_a_schema_the_first_candidate_that_validates_counts)
{
	struct answer_wish wish = { .schema = schema_of("relevant_niches"),
	    .length_cut = wanted_niches[_i].length_cut };
	const char *text = wanted_niches[_i].text;
	struct json_object *value = NULL;
	enum answer_fault fault;

	fault = answer_read(text, strlen(text), &wish, &value, NULL);
	ck_assert_msg(fault == wanted_niches[_i].fault, "%s: %s",
	    wanted_niches[_i].about, answer_fault_name(fault));
	if (wanted_niches[_i].niche != NULL)
		ck_assert_str_eq(json_object_get_string(json_at(value,
		    "relevant_niches/0")), wanted_niches[_i].niche);
	json_object_put(value);
}
END_TEST

START_TEST(the_violations_are_those_of_the_best_candidate)
{
	static const char text[] = "{\"x\":1} {\"main_subject\":\"Burger\","
	    "\"secondary_elements\":7} [true]";
	struct answer_wish wish = { .schema = schema_of("image_analysis") };
	struct strbuf violations = STRBUF_INIT(4096);
	struct json_object *value = NULL;

	ck_assert_int_eq(answer_read(text, strlen(text), &wish, &value,
	    &violations), ANSWER_INVALID_SCHEMA);
	ck_assert_ptr_null(value);
	/* Both objects have one fault; of equals the first. */
	ck_assert_str_eq(violations.buf, "main_subject: is missing\n");
	strbuf_release(&violations);
}
END_TEST

/* --- the tolerant reader ------------------------------------------------- */

static const struct {
	const char *text;
	const char *want;	/* NULL: not JSON */
	size_t used;
} values[] = {
	{ "{\"a\":1} rest", "{\"a\":1}", 7 },
	{ "  [1] ]", "[1]", 5 },
	{ "\"x\" y", "\"x\"", 3 },
	{ "12, 13", "12", 2 },
	{ "true", "true", 4 },
	{ "null", "null", 4 },
	{ "hello", NULL, 0 },
	{ "", NULL, 0 },
	{ "{\"a\"", NULL, 0 },
	{ "}", NULL, 0 },
	{ "[1,2", NULL, 0 }
};

START_TEST(one_value_is_read_and_its_length_told)
{
	struct json_object *value;
	size_t used = 99;

	value = tolerant_parse(values[_i].text, strlen(values[_i].text),
	    &used);
	ck_assert_uint_eq(used, values[_i].used);
	ck_json(value, values[_i].want != NULL ? values[_i].want : "null",
	    values[_i].text);
	json_object_put(value);
}
END_TEST

START_TEST(faults_have_the_names_of_error_classes)
{
	ck_assert_str_eq(answer_fault_name(ANSWER_FINE), "fine");
	ck_assert_str_eq(answer_fault_name(ANSWER_EMPTY), "empty");
	ck_assert_str_eq(answer_fault_name(ANSWER_TRUNCATED), "truncated");
	ck_assert_str_eq(answer_fault_name(ANSWER_NO_JSON), "no_json");
	ck_assert_str_eq(answer_fault_name(ANSWER_INVALID_SCHEMA),
	    "invalid_schema");
}
END_TEST

START_TEST(numbers_keep_how_they_were_written)
{
	static const char text[] = "{\"a\":0.10,\"b\":1e2,\"c\":4,\"d\":5.0}";
	struct json_object *value;
	size_t used;
	char *back;

	value = tolerant_parse(text, strlen(text), &used);
	back = json_to_text(value);
	ck_assert_str_eq(back, text);
	free(back);
	json_object_put(value);
}
END_TEST

/* --- threads --------------------------------------------------------------- */

#define THREADS 4
#define ROUNDS 200

/* Read the same answer over and over; how often it was what it should be. */
static void *
read_over_and_over(void *arg)
{
	static const char text[] = "{'logo_style': {'kind': 'wordmark'}, "
	    "'contains_text': true, 'dominant_colors': ['#12ab34', '#FFFFFF']}";
	struct answer_wish wish = { .schema = schema_of("logo_analysis") };
	struct json_object *value;
	int i, *good = arg;

	for (i = 0; i < ROUNDS; i++) {
		value = NULL;
		if (answer_read(text, strlen(text), &wish, &value, NULL) ==
		    ANSWER_FINE && strcmp(json_get_str(value, "logo_style"),
		    "Kind: wordmark.") == 0)
			(*good)++;
		json_object_put(value);
	}
	return NULL;
}

START_TEST(one_schema_serves_many_threads)
{
	pthread_t threads[THREADS];
	int good[THREADS] = { 0 }, i;

	for (i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL,
		    read_over_and_over, &good[i]), 0);
	for (i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
		ck_assert_int_eq(good[i], ROUNDS);
	}
}
END_TEST

Suite *
extract_suite(void)
{
	Suite *s = suite_create("answers");
	TCase *t = tcase_create("table C");

	tcase_add_loop_test(t, each_row_of_table_c_is_read_as_it_says, 0,
	    (int)ARRAY_LEN(rows));
	tcase_add_loop_test(t, the_finish_reason_decides_what_is_truncated, 0,
	    (int)ARRAY_LEN(endings));
	suite_add_tcase(s, t);

	t = tcase_create("with a schema");
	tcase_add_unchecked_fixture(t, load_schemas, drop_schemas);
	tcase_add_loop_test(t,
	    with_a_schema_the_first_candidate_that_validates_counts, 0,
	    (int)ARRAY_LEN(wanted_niches));
	tcase_add_test(t, the_violations_are_those_of_the_best_candidate);
	tcase_add_test(t, one_schema_serves_many_threads);
	suite_add_tcase(s, t);

	t = tcase_create("one value");
	tcase_add_loop_test(t, one_value_is_read_and_its_length_told, 0,
	    (int)ARRAY_LEN(values));
	tcase_add_test(t, faults_have_the_names_of_error_classes);
	tcase_add_test(t, numbers_keep_how_they_were_written);
	suite_add_tcase(s, t);
	return s;
}
