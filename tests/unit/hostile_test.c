/*
 * Answers written to hurt: half a megabyte of one thing, nesting, numbers
 * nobody can hold, bytes that are no text.  Each must come to an end well
 * within the time-out of a test, and mean what it means.
 */
#include "tests/unit/answer_unit.h"

#include <dirent.h>
#include <pthread.h>

#include "file.h"
#include "xalloc.h"

#define LANE_STACK_BYTES (256 * 1024)	/* what a lane thread has */

static enum answer_fault
read_bytes(const char *text, size_t len, const char *schema,
    struct json_object **value)
{
	struct answer_wish wish = { 0 };

	*value = NULL;
	if (schema != NULL)
		wish.schema = schema_of(schema);
	return answer_read(text, len, &wish, value, NULL);
}

/* --- half a megabyte of one thing ---------------------------------------- */

static const char *const parts[] = {
	"{", "[", "\"", "'", "}", "]", "{}", "[]", "}{", "][", "[1] ", "[1]",
	"{\"", "{'", "{\"a\":", "{a:", "{'a':'", "[\"a\",", "[\"a\"\n", "[1\n",
	"{\"a\":1,", "{\"a\":1}\n", "{a:1}", "{a b", "{a", "[-", "[t", "[true ",
	"<", "<think>", "<think></think>", "</think>", "<think>{", "<thinking>",
	"/", "/*", "//", "{/*", "{//", "{/**/", "[/*", "{//\n", "{ /* */ \n",
	"\\", "{\"\\", "[\"\\u", "[\"\\ud83c", "[\"\xff", "\xff", "\xef\xbb\xbf",
	",", "[,", "[1,", ":", "{:", "{\"a\"::", " ", "{ ", "[ ", "\n", "\t",
	"9", "[9", "[\"9\",", "```", "```json\n{", "{\"a\":\"```", "'{", "['a' ",
	"{'it's", "[''", "{a:http://", "{a:x/", "[x:", "{a:b ", "{a:b\n", "\x01"
};

/* With nothing, and with closers that make something of it. */
static const char *const tails[] = { "", "}", "]", "\"}", "\"]", "}]}]", "'}" };

/* n bytes of the part with the tail at its end, with and without a schema. */
static void
read_repeated(const char *part, size_t n, const char *tail)
{
	struct json_object *value;
	enum answer_fault fault;
	char *text;

	text = repeated(part, n);
	memcpy(text + n - strlen(tail), tail, strlen(tail));
	fault = read_bytes(text, n, NULL, &value);
	ck_assert_int_eq(fault == ANSWER_FINE, value != NULL);
	json_object_put(value);
	fault = read_bytes(text, n, "style_guidance_list", &value);
	ck_assert_int_ne(fault, ANSWER_FINE);
	free(text);
}

START_TEST(half_a_megabyte_of_one_thing_is_read_in_one_pass)
{
	size_t i;

	read_repeated(parts[_i], ANSWER_MAX_BYTES, "");
	for (i = 0; i < ARRAY_LEN(tails); i++)
		read_repeated(parts[_i], ANSWER_MAX_BYTES / 16, tails[i]);
}
END_TEST

/* The same inside one string of an answer that is fine. */
START_TEST(half_a_megabyte_inside_a_string_is_text)
{
	static const char head[] = "{\"main_subject\":\"";
	struct json_object *value;
	struct strbuf sb = STRBUF_INIT(ANSWER_MAX_BYTES);
	size_t room = ANSWER_MAX_BYTES - strlen(head) - 2;
	char *text;

	if (strpbrk(parts[_i], "\"\\") != NULL)
		return;
	text = repeated(parts[_i], room);
	strbuf_addstr(&sb, head);
	strbuf_add(&sb, text, room);
	strbuf_addstr(&sb, "\"}");
	ck_assert(!strbuf_overflowed(&sb));
	if (strspn(text, " \t\n") == room) {
		ck_assert_int_eq(read_bytes(sb.buf, sb.len, "image_analysis",
		    &value), ANSWER_INVALID_SCHEMA);
	} else {
		ck_assert_int_eq(read_bytes(sb.buf, sb.len, "image_analysis",
		    &value), ANSWER_FINE);
		if (strchr(parts[_i], '\xff') == NULL)
			ck_assert(strncmp(json_get_str(value, "main_subject"),
			    text, room) == 0);
	}
	json_object_put(value);
	strbuf_release(&sb);
	free(text);
}
END_TEST

START_TEST(an_answer_beyond_the_limit_is_truncated)
{
	struct json_object *value;
	char *text = repeated("[\"", ANSWER_MAX_BYTES + 2);

	memset(text + 2, 'x', ANSWER_MAX_BYTES - 2);
	memcpy(text + ANSWER_MAX_BYTES, "\"]", 2);
	ck_assert_int_eq(read_bytes(text, ANSWER_MAX_BYTES + 2, NULL, &value),
	    ANSWER_TRUNCATED);
	memcpy(text + ANSWER_MAX_BYTES - 2, "\"]", 2);
	ck_assert_int_eq(read_bytes(text, ANSWER_MAX_BYTES, NULL, &value),
	    ANSWER_FINE);
	json_object_put(value);
	free(text);
}
END_TEST

START_TEST(more_values_than_memory_should_hold_are_refused)
{
	struct json_object *value;
	char *text = repeated("{},", 300000);

	text[0] = '[';
	text[1] = '1';
	text[299999] = ']';
	ck_assert_int_eq(read_bytes(text, 300000, NULL, &value),
	    ANSWER_NO_JSON);
	free(text);
}
END_TEST

/* --- many candidates ----------------------------------------------------- */

START_TEST(an_answer_after_a_hundred_footnotes_is_found)
{
	struct strbuf sb = STRBUF_INIT(ANSWER_MAX_BYTES);
	struct json_object *value;
	int i;

	for (i = 1; i <= 100; i++)
		strbuf_addf(&sb, "as shown in [%d], ", i);
	strbuf_addstr(&sb, "{\"relevant_niches\":[\"bakery\"]}");
	for (i = 1; i <= 100; i++)
		strbuf_addf(&sb, " and again [%d]", i);
	ck_assert_int_eq(read_bytes(sb.buf, sb.len, "relevant_niches", &value),
	    ANSWER_FINE);
	ck_json(value, "{\"relevant_niches\":[\"bakery\"]}", "footnotes");
	json_object_put(value);
	strbuf_release(&sb);
}
END_TEST

/* --- depth --------------------------------------------------------------- */

static enum answer_fault
read_nested(int depth, struct json_object **value)
{
	struct strbuf sb = STRBUF_INIT(ANSWER_MAX_BYTES);
	enum answer_fault fault;
	int i;

	for (i = 0; i < depth; i++)
		strbuf_addstr(&sb, i % 2 == 0 ? "[" : "{\"a\":");
	strbuf_addstr(&sb, depth % 2 == 0 ? "1" : "");
	for (i = depth - 1; i >= 0; i--)
		strbuf_addstr(&sb, i % 2 == 0 ? "]" : "}");
	fault = read_bytes(sb.buf, sb.len, NULL, value);
	strbuf_release(&sb);
	return fault;
}

START_TEST(nesting_is_read_to_the_limit_and_not_beyond)
{
	struct json_object *value;

	ck_assert_int_eq(read_nested(JSON_DEPTH_MAX, &value), ANSWER_FINE);
	json_object_put(value);
	ck_assert_int_eq(read_nested(JSON_DEPTH_MAX + 1, &value),
	    ANSWER_NO_JSON);
	ck_assert_int_eq(read_nested(60000, &value), ANSWER_NO_JSON);
}
END_TEST

static void *
read_on_a_small_stack(void *arg)
{
	struct answer_wish wish = { .schema = arg, .hook = hook_concept };
	struct strbuf sb = STRBUF_INIT(4096), faults = STRBUF_INIT(65536);
	struct json_object *value = NULL;
	int i;

	strbuf_addstr(&sb, "{\"visual_concept\":{\"main_subject\":");
	for (i = 0; i < JSON_DEPTH_MAX - 2; i++)
		strbuf_addstr(&sb, "{\"a\":");
	strbuf_addstr(&sb, "'deep'");
	for (i = 0; i < JSON_DEPTH_MAX; i++)
		strbuf_addstr(&sb, "}");
	ck_assert_int_eq(answer_read(sb.buf, sb.len, &wish, &value, &faults),
	    ANSWER_INVALID_SCHEMA);
	ck_assert_ptr_nonnull(strstr(faults.buf,
	    "visual_concept/visual_style: is missing"));
	strbuf_release(&sb);
	strbuf_release(&faults);
	return NULL;
}

START_TEST(the_deepest_answer_fits_the_stack_of_a_lane)
{
	const struct schema *s = schema_of("image_generation_prompt");
	pthread_attr_t attr;
	pthread_t thread;

	ck_assert_int_eq(pthread_attr_init(&attr), 0);
	ck_assert_int_eq(pthread_attr_setstacksize(&attr, LANE_STACK_BYTES),
	    0);
	ck_assert_int_eq(pthread_create(&thread, &attr, read_on_a_small_stack,
	    (void *)(uintptr_t)s), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	pthread_attr_destroy(&attr);
}
END_TEST

/* --- numbers ------------------------------------------------------------- */

static const struct {
	const char *text;
	const char *want;
} numbers[] = {
	{ "[9223372036854775807]", "[9223372036854775807]" },
	{ "[-9223372036854775808]", "[-9223372036854775808]" },
	{ "[9223372036854775808]", "[9.223372036854775807e18]" },
	{ "[123456789012345678901234567890]", "[1.2345678901234568e29]" },
	{ "[1e400]", "[null]" },
	{ "[-1e400, 2]", "[null, 2]" },
	{ "[1e-400]", "[0]" },
	{ "[1e99999999999999999999]", "[null]" }
};

START_TEST(numbers_beyond_an_integer_are_doubles_or_nothing)
{
	struct json_object *value, *again;
	char *text;

	ck_assert_int_eq(read_bytes(numbers[_i].text, strlen(numbers[_i].text),
	    NULL, &value), ANSWER_FINE);
	ck_json(value, numbers[_i].want, numbers[_i].text);
	/* What was read can be written and read back strictly. */
	text = json_to_text(value);
	again = json_of(text);
	ck_json(again, numbers[_i].want, text);
	json_object_put(again);
	json_object_put(value);
	free(text);
}
END_TEST

START_TEST(half_a_megabyte_of_digits_is_no_number)
{
	struct json_object *value;
	char *text = repeated("7", ANSWER_MAX_BYTES);

	text[0] = '[';
	text[ANSWER_MAX_BYTES - 1] = ']';
	ck_assert_int_eq(read_bytes(text, ANSWER_MAX_BYTES, NULL, &value),
	    ANSWER_FINE);
	ck_json(value, "[null]", "digits");
	json_object_put(value);
	text[2] = '.';
	ck_assert_int_eq(read_bytes(text, ANSWER_MAX_BYTES, NULL, &value),
	    ANSWER_FINE);
	ck_json(value, "[7.777777777777778]", "a fraction");
	json_object_put(value);
	free(text);
}
END_TEST

/* --- what the fuzzer asserts --------------------------------------------- */

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

START_TEST(what_the_fuzzer_asserts_holds_for_hostile_texts)
{
	char *text;
	size_t n;

	for (n = 1; n < 200; n += 3) {
		text = repeated(parts[_i], n);
		LLVMFuzzerTestOneInput((const unsigned char *)text, n);
		free(text);
	}
}
END_TEST

/* Everything that was once worth keeping, what it found included. */
START_TEST(what_the_fuzzer_asserts_holds_for_its_corpus)
{
	static const char dir[] = TOP_SRCDIR "/tests/fuzz/corpus/answer";
	struct strbuf sb = STRBUF_INIT(ANSWER_MAX_BYTES);
	struct dirent **files = NULL;
	struct err e = ERR_INIT;
	int i, n, read = 0;
	char *path;

	n = scandir(dir, &files, NULL, alphasort);
	for (i = 0; i < n; i++) {
		if (files[i]->d_name[0] != '.') {
			path = xasprintf("%s/%s", dir, files[i]->d_name);
			strbuf_reset(&sb);
			ck_ok(file_read(path, ANSWER_MAX_BYTES, &sb, &e), &e);
			LLVMFuzzerTestOneInput((unsigned char *)sb.buf,
			    sb.len);
			free(path);
			read++;
		}
		free(files[i]);
	}
	free(files);
	strbuf_release(&sb);
	ck_assert_int_ge(read, 20);
}
END_TEST

Suite *
hostile_suite(void)
{
	Suite *s = suite_create("hostile answers");
	TCase *t = tcase_create("hostile");

	tcase_add_unchecked_fixture(t, load_schemas, drop_schemas);
	tcase_add_loop_test(t,
	    half_a_megabyte_of_one_thing_is_read_in_one_pass, 0,
	    (int)ARRAY_LEN(parts));
	tcase_add_loop_test(t, half_a_megabyte_inside_a_string_is_text, 0,
	    (int)ARRAY_LEN(parts));
	tcase_add_test(t, an_answer_beyond_the_limit_is_truncated);
	tcase_add_test(t, more_values_than_memory_should_hold_are_refused);
	tcase_add_test(t, an_answer_after_a_hundred_footnotes_is_found);
	tcase_add_test(t, nesting_is_read_to_the_limit_and_not_beyond);
	tcase_add_test(t, the_deepest_answer_fits_the_stack_of_a_lane);
	tcase_add_loop_test(t,
	    numbers_beyond_an_integer_are_doubles_or_nothing, 0,
	    (int)ARRAY_LEN(numbers));
	tcase_add_test(t, half_a_megabyte_of_digits_is_no_number);
	tcase_add_loop_test(t, what_the_fuzzer_asserts_holds_for_hostile_texts,
	    0, (int)ARRAY_LEN(parts));
	tcase_add_test(t, what_the_fuzzer_asserts_holds_for_its_corpus);
	suite_add_tcase(s, t);
	return s;
}
