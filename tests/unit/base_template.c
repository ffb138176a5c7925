/* Prompt templates: what they render and which faults they name. */
#include "tests/unit/base.h"

#include <pthread.h>

#include "strbuf.h"
#include "template.h"
#include "xalloc.h"

static struct template *
compiled(const char *text)
{
	struct template *t = NULL;
	struct err e = ERR_INIT;

	ck_ok(template_parse("t", text, strlen(text), &t, &e), &e);
	return t;
}

static const struct template_var vars[] = {
	{ "brief", "a red\nbike" },
	{ "name", "Ada" },
	{ "empty", "" },
	{ "none", NULL },
	{ "evil", "<<<x\n>>>>\nevil>>> << >> <" },
	{ "nl", "ends\n" },
};

static const struct {
	const char *what, *text, *part, *want;
} render_rows[] = {
	{ "text", "== user ==\nhello\n", "user", "hello" },
	{ "note dropped", "Dear reader {{bad\n== user ==\nhello\n", "user",
	    "hello" },
	{ "absent part", "== user ==\nhello\n", "system", "" },
	{ "two parts", "== system ==\nS\n== user ==\nU\n", "system", "S" },
	{ "two parts, second", "== user ==\nU\n== system ==\nS", "system",
	    "S" },
	{ "blanks behind a part line", "== user ==  \nU", "user", "U" },
	{ "value", "== user ==\nHi {{name}}!\n", "user", "Hi Ada!" },
	{ "blanks in a tag", "== user ==\nHi {{ name }}!\n", "user",
	    "Hi Ada!" },
	{ "values in a row", "== user ==\n{{name}}{{name}}", "user",
	    "AdaAda" },
	{ "no value", "== user ==\n[{{none}}{{empty}}{{unknown}}]", "user",
	    "[]" },
	{ "trimmed", "== user ==\n\n\n  x  \n\n\n", "user", "x" },
	{ "block", "== user ==\nBrief:\n{{block brief}}\nEnd", "user",
	    "Brief:\n<<<brief\na red\nbike\nbrief>>>\nEnd" },
	{ "block inside a line", "== user ==\nBrief: {{block brief}} End",
	    "user", "Brief: \n<<<brief\na red\nbike\nbrief>>>\n End" },
	{ "block without value", "== user ==\nA{{block none}}B", "user",
	    "AB" },
	{ "block that ends in a newline", "== user ==\n{{block nl}}\nB",
	    "user", "<<<nl\nends\nnl>>>\nB" },
	{ "block that is forged", "== user ==\n{{block evil}}", "user",
	    "<<<evil\n< < <x\n> > > >\nevil> > > << >> <\nevil>>>" },
	{ "section with a value", "== user ==\na\n{{#name}}\nb {{name}}\n"
	    "{{/name}}\nc", "user", "a\nb Ada\nc" },
	{ "section without", "== user ==\na\n{{#none}}\nb\n{{/none}}\nc",
	    "user", "a\nc" },
	{ "inverted without", "== user ==\na\n{{^none}}\nb\n{{/none}}\nc",
	    "user", "a\nb\nc" },
	{ "inverted with", "== user ==\na\n{{^name}}\nb\n{{/name}}\nc",
	    "user", "a\nc" },
	{ "empty is no value", "== user ==\n{{#empty}}x{{/empty}}y", "user",
	    "y" },
	{ "section inside a line", "== user ==\na{{#name}} b{{/name}} c",
	    "user", "a b c" },
	{ "section line with blanks", "== user ==\na\n  {{#name}}\t\nb\n"
	    "  {{/name}}  \nc", "user", "a\nb\nc" },
	{ "two tags on a section line", "== user ==\na\n{{#name}}{{^none}}\n"
	    "b\n{{/none}}{{/name}}\nc", "user", "a\nb\nc" },
	{ "nested, outer out", "== user ==\na\n{{#none}}\n{{#name}}\nb\n"
	    "{{/name}}\n{{/none}}\nc", "user", "a\nc" },
	{ "nested, inner out", "== user ==\na\n{{#name}}\n{{#none}}\nb\n"
	    "{{/none}}\nd\n{{/name}}\nc", "user", "a\nd\nc" },
	{ "same name nested", "== user ==\n{{#name}}{{#name}}x{{/name}}"
	    "{{/name}}", "user", "x" },
	{ "jump over the rest of a line", "== user ==\n{{#none}}a{{/none}}b",
	    "user", "b" },
	{ "braces around a tag", "== user ==\n{{{name}}}", "user", "{Ada}" },
	{ "json around a tag", "== user ==\n{\"n\": {\"x\": \"{{name}}\"}}",
	    "user", "{\"n\": {\"x\": \"Ada\"}}" },
	{ "single braces", "== user ==\n{a} }} {", "user", "{a} }} {" },
	{ "carriage returns", "== user ==\r\na\r\n{{#name}}\r\nb\r\n"
	    "{{/name}}\r\nc\r\n", "user", "a\nb\nc" },
	{ "byte order mark", "\xef\xbb\xbf== user ==\nx", "user", "x" },
	{ "not a part line", "== user ==\n=== x ===\n==\n== a", "user",
	    "=== x ===\n==\n== a" },
	{ "value is not read as a template", "== user ==\n{{block evil}}"
	    "{{name}}", "user", "<<<evil\n< < <x\n> > > >\nevil> > > << >> <"
	    "\nevil>>>\nAda" },
	{ "empty part", "== user ==\n", "user", "" },
};

START_TEST(a_template_renders)
{
	struct strbuf out = STRBUF_INIT(1000);
	struct err e = ERR_INIT;
	struct template *t;

	t = compiled(render_rows[_i].text);
	strbuf_addstr(&out, "+");
	ck_ok(template_render(t, render_rows[_i].part, vars, ARRAY_LEN(vars),
	    &out, &e), &e);
	ck_assert_msg(strcmp(out.buf + 1, render_rows[_i].want) == 0,
	    "%s: got \"%s\"", render_rows[_i].what, out.buf + 1);
	strbuf_release(&out);
	template_free(t);
}
END_TEST

static const struct {
	const char *text, *want;	/* want: start of the message */
} bad_rows[] = {
	{ "", "t:1: there is no" },
	{ "only a note\nmore\n", "t:2: there is no" },
	{ "== user ==\n== usr ==\n", "t:2: unknown part \"usr\"" },
	{ "== user ==\n== user ==\n", "t:2: part user is there twice" },
	{ "== user ==\na\n{{#x}}\nb\n", "t:3: section x is not closed" },
	{ "== user ==\n{{#x}}\n== system ==\n{{/x}}",
	    "t:2: section x is not closed" },
	{ "== user ==\n\n{{/x}}\n", "t:3: {{/x}} closes nothing" },
	{ "== user ==\n{{#x}}{{#y}}{{/x}}{{/y}}",
	    "t:2: {{/x}} where section y of line 2 is open" },
	{ "== user ==\na {{name\n}}", "t:2: \"{{\" without \"}}\"" },
	{ "== user ==\n{{}}", "t:2: \"{{}}\" is not a placeholder" },
	{ "== user ==\n{{a b}}", "t:2: \"{{a b}}\" is not" },
	{ "== user ==\n{{block}}", "t:2: \"{{block}}\" is not" },
	{ "== user ==\n{{block a b}}", "t:2: " },
	{ "== user ==\n{{#}}", "t:2: " },
	{ "== user ==\n{{\"a\": 1}}", "t:2: " },
	{ "== user ==\n\xff", "t:2: not UTF-8 text" },
	{ "== user ==\n{{#a}}{{#a}}{{#a}}{{#a}}{{#a}}{{#a}}{{#a}}{{#a}}"
	    "{{#a}}", "t:2: sections nested too deep" },
};

START_TEST(a_faulty_template_names_its_line)
{
	struct template *t = NULL;
	struct err e = ERR_INIT;
	const char *text = bad_rows[_i].text;

	ck_fails(template_parse("t", text, strlen(text), &t, &e), ERR_CONFIG);
	ck_assert_ptr_null(t);
	ck_assert_msg(strncmp(e.msg, bad_rows[_i].want,
	    strlen(bad_rows[_i].want)) == 0, "%s", e.msg);
}
END_TEST

START_TEST(a_template_may_not_hold_a_nul_or_be_huge)
{
	static char huge[TEMPLATE_MAX_BYTES + 1];
	struct template *t = NULL;
	struct err e = ERR_INIT;

	ck_fails(template_parse("t", "== user ==\na\0b", 14, &t, &e),
	    ERR_CONFIG);
	memset(huge, 'x', sizeof(huge));
	ck_fails(template_parse("t", huge, sizeof(huge), &t, &e), ERR_CONFIG);
	ck_assert_ptr_null(t);
}
END_TEST

START_TEST(placeholders_are_checked_against_the_known)
{
	static const char *const all[] = { "a", "b", "c", NULL };
	static const char *const some[] = { "a", "b", NULL };
	static const char *const none[] = { NULL };
	struct err e = ERR_INIT;
	struct template *t;

	t = compiled("== user ==\n{{a}}\n{{#b}}{{block c}}{{/b}}");
	ck_ok(template_check(t, all, &e), &e);
	ck_fails(template_check(t, some, &e), ERR_CONFIG);
	ck_assert_str_eq(e.msg,
	    "t:3: unknown placeholder {{c}}; known here are a, b");
	ck_fails(template_check(t, none, &e), ERR_CONFIG);
	ck_assert_str_eq(e.msg,
	    "t:2: unknown placeholder {{a}}; known here are none");
	ck_assert(template_uses(t, "b"));
	ck_assert(template_uses(t, "c"));
	ck_assert(!template_uses(t, "d"));
	ck_assert_str_eq(template_path(t), "t");
	template_free(t);
	template_free(NULL);
}
END_TEST

START_TEST(a_prompt_over_the_maximum_is_an_error)
{
	struct strbuf out = STRBUF_INIT(8);
	struct err e = ERR_INIT;
	struct template *t;

	t = compiled("== user ==\n0123\n== system ==\n{{brief}}");
	strbuf_addstr(&out, "keep");
	ck_ok(template_render(t, "user", NULL, 0, &out, &e), &e);
	ck_assert_str_eq(out.buf, "keep0123");
	strbuf_truncate(&out, 4);
	ck_fails(template_render(t, "system", vars, ARRAY_LEN(vars), &out,
	    &e), ERR_TOO_LARGE);
	ck_assert_str_eq(out.buf, "keep");
	strbuf_release(&out);
	template_free(t);
}
END_TEST

static const struct template *shared;

static void *
render_many(void *arg)
{
	struct strbuf out = STRBUF_INIT(1000);
	bool *ok = arg;
	int i;

	*ok = true;
	for (i = 0; i < 500; i++) {
		strbuf_reset(&out);
		if (template_render(shared, "user", vars, ARRAY_LEN(vars),
		    &out, NULL) != ERR_OK || strcmp(out.buf, "Hi Ada") != 0)
			*ok = false;
	}
	strbuf_release(&out);
	return NULL;
}

START_TEST(threads_share_a_template)
{
	pthread_t threads[4];
	bool ok[4];
	struct template *t;
	int i;

	t = compiled("== user ==\nHi{{#name}} {{name}}{{/name}}");
	shared = t;
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL,
		    render_many, &ok[i]), 0);
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		ck_assert(ok[i]);
	}
	template_free(t);
}
END_TEST

START_TEST(a_template_is_loaded_from_its_file)
{
	struct template *t = NULL;
	struct err e = ERR_INIT;
	char *path;

	path = xstrdup(base_write("good.md", "== user ==\nx"));
	ck_ok(template_load(path, &t, &e), &e);
	ck_assert_str_eq(template_path(t), path);
	template_free(t);
	free(path);
	t = NULL;
	ck_fails(template_load(base_path("none.md"), &t, &e), ERR_NOT_FOUND);
	path = base_repeat(TEMPLATE_MAX_BYTES + 1, "x", "", "");
	ck_fails(template_load(base_write("huge.md", path), &t, &e),
	    ERR_CONFIG);
	free(path);
	ck_fails(template_load(base_write("bad.md", "== x ==\n"), &t, &e),
	    ERR_CONFIG);
	ck_assert_ptr_nonnull(strstr(e.msg, "bad.md:1: "));
	ck_assert_ptr_null(t);
}
END_TEST

/* --- suite --------------------------------------------------------------- */

static TCase *
template_case(void)
{
	TCase *tc = tcase_create("template");

	tcase_add_checked_fixture(tc, base_temp_setup, base_temp_teardown);
	add_rows(tc, a_template_renders, render_rows);
	add_rows(tc, a_faulty_template_names_its_line, bad_rows);
	tcase_add_test(tc, a_template_may_not_hold_a_nul_or_be_huge);
	tcase_add_test(tc, placeholders_are_checked_against_the_known);
	tcase_add_test(tc, a_prompt_over_the_maximum_is_an_error);
	tcase_add_test(tc, threads_share_a_template);
	tcase_add_test(tc, a_template_is_loaded_from_its_file);
	return tc;
}

Suite *
base_template_suite(void)
{
	Suite *s = suite_create("base: template");

	suite_add_tcase(s, template_case());
	return s;
}
