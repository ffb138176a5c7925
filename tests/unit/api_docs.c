/*
 * The API document: what is wrong with one is told with its line, settings get
 * into it, and the page made from it lets nothing through as markup.
 */
#include "tests/unit/api_unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "src/api/document.h"
#include "src/api/html.h"
#include "src/api/page.h"
#include "xalloc.h"

#define MAX_HTML 20000

/* --- text to HTML ------------------------------------------------------------------ */

static const struct {
	const char *text, *html;
} inlines[] = {
	{ "", "" },
	{ "a < b && c > \"d\"", "a &lt; b &amp;&amp; c &gt; &quot;d&quot;" },
	{ "`x`", "<code>x</code>" },
	{ "`<b>`", "<code>&lt;b&gt;</code>" },
	{ "`**x**`", "<code>**x**</code>" },
	{ "a ` b", "a ` b" },
	{ "``", "``" },
	{ "**x**", "<strong>x</strong>" },
	{ "**`x`** y", "<strong><code>x</code></strong> y" },
	{ "2 ** 3", "2 ** 3" },
	{ "[a](#b)", "<a href=\"#b\">a</a>" },
	{ "[`a`](/b)", "<a href=\"/b\"><code>a</code></a>" },
	{ "[a](https://x.example/?q=\"1\"&r=2)",
	  "<a href=\"https://x.example/?q=&quot;1&quot;&amp;r=2\">a</a>" },
	{ "[a](javascript:alert)", "[a](javascript:alert)" },
	{ "[a](data:text/html,x)", "[a](data:text/html,x)" },
	{ "[a] (#b)", "[a] (#b)" },
	{ "[1] and [a](#b)", "[1] and <a href=\"#b\">a</a>" },
	{ "[a](#b", "[a](#b" },
	{ "[a", "[a" },
	{ "<script>alert(1)</script>",
	  "&lt;script&gt;alert(1)&lt;/script&gt;" },
};

START_TEST(text_is_escaped_and_little_markup_known)
{
	struct strbuf out = STRBUF_INIT(MAX_HTML);

	html_inline(&out, inlines[_i].text, strlen(inlines[_i].text));
	ck_assert_str_eq(out.buf, inlines[_i].html);
	strbuf_release(&out);
}
END_TEST

#define TABLE "<div class=\"wide\" tabindex=\"0\"><table><thead><tr>"
#define CODE "<pre tabindex=\"0\"><code>"

static const struct {
	const char *text, *html;
} blocks[] = {
	{ "", "" },
	{ "a\nb\n\nc\n", "<p>a\nb</p>\n<p>c</p>\n" },
	{ "\n\na", "<p>a</p>\n" },
	{ "# A b\ntext", "<h2 id=\"a-b\">A b</h2>\n<p>text</p>\n" },
	{ "a\n## B: `c`!\n",
	  "<p>a</p>\n<h3 id=\"b-c\">B: <code>c</code>!</h3>\n" },
	{ "##### x", "<h6 id=\"x\">x</h6>\n" },
	{ "####### x", "<h6 id=\"x\">x</h6>\n" },
	{ "#x", "<p>#x</p>\n" },
	{ "- a\n- b\n  c\n",
	  "<ul>\n<li>a</li>\n<li>b\nc</li></ul>\n" },
	{ "1. a\n2. b\n", "<ol>\n<li>a</li>\n<li>b</li></ol>\n" },
	{ "- a\n1. b\n", "<ul>\n<li>a</li></ul>\n<ol>\n<li>b</li></ol>\n" },
	{ "- a\nb\n", "<ul>\n<li>a</li></ul>\n<p>b</p>\n" },
	{ "a\n- b\n", "<p>a</p>\n<ul>\n<li>b</li></ul>\n" },
	{ "**a\nb**", "<p><strong>a\nb</strong></p>\n" },
	{ "-a\n1.b\n1a. c", "<p>-a\n1.b\n1a. c</p>\n" },
	{ "| a | b |\n|---|---|\n| 1 | `<` |\n",
	  TABLE "<th>a </th><th>b </th></tr>\n</thead><tbody>\n"
	  "<tr><td>1 </td><td><code>&lt;</code> </td></tr>\n"
	  "</tbody></table></div>\n" },
	{ "| a |\n\nb", TABLE "<th>a </th></tr>\n</thead><tbody>\n"
	  "</tbody></table></div>\n<p>b</p>\n" },
	{ "```\na  <b>\n  # no\n\n- no\n```\nc",
	  CODE "a  &lt;b&gt;\n  # no\n\n- no\n</code></pre>\n<p>c</p>\n" },
	{ "```\nopen", CODE "open\n</code></pre>\n" },
};

START_TEST(blocks_of_text_become_elements_that_close)
{
	struct strbuf out = STRBUF_INIT(MAX_HTML);

	html_markdown(&out, blocks[_i].text, 2);
	ck_assert_str_eq(out.buf, blocks[_i].html);
	strbuf_reset(&out);
	html_markdown(&out, NULL, 2);
	ck_assert_str_eq(out.buf, "");
	strbuf_release(&out);
}
END_TEST

START_TEST(headings_are_found_for_the_contents)
{
	const char *at = "# A\nx\n```\n# no\n```\n## b\n# C d";
	char slug[HTML_SLUG_MAX];
	const char *text;
	size_t len = 0;

	text = html_next_heading(&at, &len);
	ck_assert_int_eq(strncmp(text, "A\n", 2), 0);
	ck_assert_uint_eq(len, 1);
	text = html_next_heading(&at, &len);
	html_slug(text, len, slug);
	ck_assert_str_eq(slug, "c-d");
	ck_assert_ptr_null(html_next_heading(&at, &len));
	html_slug("--", 2, slug);
	ck_assert_str_eq(slug, "");
}
END_TEST

/* --- faults of a document ---------------------------------------------------------- */

#define HEAD "openapi: 3.1.0\ninfo: {title: T, version: '1'}\n" \
	"tags: [{name: a}]\n"
#define OK "responses: {'200': {description: d}}"

static const struct {
	const char *text, *want;	/* want: the first fault; NULL: none */
} documents[] = {
	{ HEAD "paths: {}\n", NULL },
	{ HEAD "paths: {/x: {get: {operationId: x, tags: [a], " OK "}}}\n",
	  NULL },
	{ "openapi: 3.0.3\ninfo: {title: T, version: '1'}\npaths: {}\n",
	  ":1: openapi must be a version 3.1.x" },
	{ "openapi: 3.1.0\ninfo: {title: T}\npaths: {}\n",
	  ":1: info must have a title and a version" },
	{ HEAD, ":1: paths must be a map" },
	{ HEAD "paths: []\n", ":1: paths must be a map" },
	{ HEAD "paths:\n  x: {}\n", ":5: x must be a path" },
	{ HEAD "paths:\n  /x: 1\n", ":5: /x must be a path" },
	{ HEAD "paths:\n  /x:\n    get: 1\n", ":6: get must be a map" },
	{ HEAD "paths:\n  /x:\n    get: {tags: [a], " OK "}\n",
	  ":6: the operation has no operationId" },
	{ HEAD "paths:\n  /x:\n    get: {operationId: x, tags: [b], " OK "}\n",
	  ":6: the operation has no tag" },
	{ HEAD "paths:\n  /x:\n    get: {operationId: x, tags: [a]}\n",
	  ":6: the operation has no responses" },
	{ HEAD "paths:\n  /x:\n    get: {operationId: x, tags: [a], " OK "}\n"
	  "    post: {operationId: x, tags: [a], " OK "}\n",
	  ":7: the operationId x is there twice" },
	{ HEAD "paths:\n  /x/{y}:\n    get: {operationId: x, tags: [a], " OK
	  "}\n", ":6: the part {y} of the path is not among the parameters" },
	{ HEAD "paths:\n  /x/{y}:\n    parameters: [{name: y, in: path}]\n"
	  "    get: {operationId: x, tags: [a], " OK "}\n", NULL },
	{ HEAD "paths:\n  /x/{y}:\n    get: {operationId: x, tags: [a], "
	  "parameters: [{$ref: '#/components/parameters/Y'}], " OK "}\n"
	  "components: {parameters: {Y: {name: y, in: path}}}\n", NULL },
	{ HEAD "paths: {}\ncomponents: {schemas: {A: {$ref: '#/B'}}}\n",
	  ":5: the reference #/B leads nowhere" },
	{ HEAD "paths: {}\ncomponents:\n  schemas:\n    A:\n      $ref: "
	  "other.yml#/A\n", ":8: the reference other.yml#/A leads nowhere" },
	{ HEAD "paths: {}\nb/c: {d: 1}\na: [{$ref: '#/b~1c/d'}]\n", NULL },
	{ HEAD "paths: {}\na: {$ref: '#/a'}\n", "leads nowhere" },
	{ HEAD "paths: {}\na: {x-churns-from: {maxLength: limits.nothing}}\n",
	  "names 'limits.nothing', which is nothing" },
	{ "openapi: [\n", "openapi.yml:" },
};

/* A conf directory of its own, holding only a document. */
static void
load(const char *text, struct problems *problems, struct document *d)
{
	struct conf conf = *svc.conf;
	char *path;
	FILE *f;

	conf.dir = xasprintf("%s/docs-conf", unit_dir());
	mkdir(conf.dir, 0700);
	path = xasprintf("%s/" DOCUMENT_FILE, conf.dir);
	unlink(path);
	if (text != NULL) {
		f = fopen(path, "w");
		ck_assert_ptr_nonnull(f);
		ck_assert_int_ge(fputs(text, f), 0);
		ck_assert_int_eq(fclose(f), 0);
	}
	problems_init(problems);
	ck_assert_int_eq(document_load(&conf, problems, d) == ERR_OK,
	    problems->count == 0);
	free(path);
	free(conf.dir);
}

START_TEST(a_fault_of_the_document_is_told_with_its_line)
{
	struct document d = { .json = NULL };
	struct problems problems;

	load(documents[_i].text, &problems, &d);
	if (documents[_i].want == NULL)
		ck_assert_msg(problems.count == 0, "%s", problems.text.buf);
	else
		ck_assert_msg(strstr(problems.text.buf, documents[_i].want) !=
		    NULL, "%s", problems.text.buf);
	ck_assert_int_eq(d.json != NULL, documents[_i].want == NULL);
	problems_release(&problems);
	document_release(&d);
}
END_TEST

START_TEST(a_missing_document_is_a_fault)
{
	struct document d = { .json = NULL };
	struct problems problems;

	load(NULL, &problems, &d);
	ck_assert_int_eq(problems.count, 1);
	ck_assert_ptr_nonnull(strstr(problems.text.buf, DOCUMENT_FILE));
	problems_release(&problems);
}
END_TEST

START_TEST(all_faults_are_told_at_once)
{
	struct document d = { .json = NULL };
	struct problems problems;

	load("openapi: 2\npaths:\n  x: 1\na: {$ref: '#/b'}\n", &problems, &d);
	ck_assert_int_eq(problems.count, 4);
	problems_release(&problems);
}
END_TEST

/* --- what is served ------------------------------------------------------------------ */

static struct document real;

static void
docs_setup(void)
{
	struct problems problems;

	client_setup();
	problems_init(&problems);
	ck_assert_msg(document_load(svc.conf, &problems, &real) == ERR_OK,
	    "%s", problems.text.buf);
	problems_release(&problems);
	the_worker.document = &real;
}

static void
docs_teardown(void)
{
	document_release(&real);
	client_teardown();
}

START_TEST(the_document_is_served_and_known_again)
{
	char *known;

	ask("GET /openapi.json");
	ck_assert_int_eq(got.status, 200);
	ck_assert_str_eq(header("Content-Type"), "application/json");
	ck_assert_str_eq(header("Cache-Control"), "no-cache");
	ck_assert_str_eq(member("openapi"), "3.1.0");
	ck_assert_str_eq(member("servers/0/url"), "/");
	known = xasprintf("HTTP_IF_NONE_MATCH=%s", header("ETag"));
	ask_with(NULL, "GET /openapi.json", known, NULL);
	ck_assert_int_eq(got.status, 304);
	ck_assert_uint_eq(got.body.len, 0);
	ask_with(NULL, "GET /docs", known, NULL);
	ck_assert_int_eq(got.status, 200);
	free(known);
}
END_TEST

START_TEST(the_page_runs_nothing)
{
	ask("GET /docs");
	ck_assert_int_eq(got.status, 200);
	ck_assert_str_eq(header("Content-Type"), "text/html; charset=utf-8");
	ck_assert_int_eq(strncmp(header("Content-Security-Policy"),
	    "default-src 'none'; style-src 'self'; ", 38), 0);
	ck_assert_ptr_null(strstr(header("Content-Security-Policy"),
	    "unsafe"));
	ck_assert_ptr_null(strstr(got.body.buf, "<script"));
	ck_assert_ptr_null(strstr(got.body.buf, "<style"));
	ck_assert_ptr_null(strstr(got.body.buf, " style="));
	ck_assert_ptr_nonnull(strstr(got.body.buf, "id=\"op-createRun\""));
	ck_assert_ptr_nonnull(strstr(got.body.buf, "id=\"schema-runform\""));
	ask("GET /redoc");
	ck_assert_int_eq(got.status, 307);
	ck_assert_str_eq(header("Location"), "/docs");
}
END_TEST

START_TEST(settings_of_this_server_get_into_the_document)
{
	struct document d = { .json = NULL };
	struct json_object *o = NULL;
	struct problems problems;

	svc.conf->settings.max_brief_chars = 77;
	load(HEAD "paths: {}\na: {maxLength: 1, x-churns-from: "
	    "{maxLength: limits.max_brief_chars}}\n"
	    "b: [{enum: [x], x-churns-from: {enum: languages}}]\n"
	    "c: {maxLength: 1, x-churns-from: {maxLength: "
	    "limits.max_upload_mb}}\n", &problems, &d);
	ck_assert_int_eq(problems.count, 0);
	ck_ok(json_parse(d.json, d.json_len, &o, &err), &err);
	ck_assert_str_eq(at(o, "a/maxLength"), "77");
	ck_assert_str_eq(at(o, "c/maxLength"), "52428800");
	ck_assert_uint_eq(json_len(json_at(o, "b/0/enum")),
	    (size_t)svc.conf->n_languages);
	json_object_put(o);
	problems_release(&problems);
	document_release(&d);
}
END_TEST

/* Everywhere where text of the document lands in the page. */
START_TEST(no_text_of_the_document_becomes_markup)
{
	static const char text[] =
	    "openapi: 3.1.0\n"
	    "info: {title: '<i>', version: '<i>', summary: '<i>', "
	    "description: '# <i>'}\n"
	    "tags: [{name: '<i>', x-title: '<i>', description: '<i>'}]\n"
	    "paths:\n"
	    "  '/<i>':\n"
	    "    get:\n"
	    "      operationId: '<i>'\n"
	    "      tags: ['<i>']\n"
	    "      summary: '<i>'\n"
	    "      description: '<i>'\n"
	    "      x-served-by: '<i>'\n"
	    "      parameters: [{name: '<i>', in: '<i>', schema: {type: '<i>', "
	    "format: '<i>', enum: ['<i>'], default: '<i>'}}]\n"
	    "      requestBody: {description: '<i>', content: {'<i>': {schema: "
	    "{properties: {'<i>': {description: '<i>', pattern: '<i>'}}}, "
	    "example: '<i>'}}}\n"
	    "      x-codeSamples: [{label: '<i>', source: '<i>'}]\n"
	    "      responses: {'<i>': {description: '<i>', headers: {'<i>': "
	    "{description: '<i>'}}, content: {'<i>': {schema: {$ref: "
	    "'#/components/schemas/<i>'}, examples: {'<i>': {summary: '<i>', "
	    "value: {'<i>': '<i>'}}}}}}}\n"
	    "components: {schemas: {'<i>': {type: ['<i>', 'null'], const: '<i>', "
	    "properties: {'<i>': {type: '<i>'}}}}}\n";
	struct document d = { .json = NULL };
	struct problems problems;

	load(text, &problems, &d);
	ck_assert_msg(problems.count == 0, "%s", problems.text.buf);
	ck_assert_ptr_null(strstr(d.page, "<i>"));
	ck_assert_ptr_nonnull(strstr(d.page, "&lt;i&gt;"));
	problems_release(&problems);
	document_release(&d);
}
END_TEST

/* A document may leave out or twist whatever OpenAPI says. */
START_TEST(an_odd_document_gives_a_page)
{
	static const char text[] = HEAD
	    "paths:\n"
	    "  /a: {get: {operationId: a, tags: [a], responses: {'200': 1}}}\n"
	    "  /b: {get: {operationId: b, tags: [a], parameters: [1, {}], "
	    "requestBody: 1, x-codeSamples: [1], responses: {'200': "
	    "{content: 1, headers: 1}}}, x: 1}\n"
	    "  /c: {post: {operationId: c, tags: [a], requestBody: {content: "
	    "{x: 1, y: {schema: 1}, z: {schema: {allOf: [1, {}], oneOf: []}}}}, "
	    "responses: {'200': {content: {x: {examples: {a: 1}}}}}}}\n"
	    "components:\n"
	    "  schemas:\n"
	    "    A: {allOf: [{$ref: '#/components/schemas/A'}]}\n"
	    "    B: {properties: {b: {$ref: '#/components/schemas/B'}}}\n"
	    "    C: {type: 1, items: 1, enum: 1, required: [1], minimum: x}\n"
	    "    D: 1\n"
	    "    E: {type: array, items: {type: array, items: {type: array}}}\n";
	struct document d = { .json = NULL };
	struct problems problems;

	load(text, &problems, &d);
	ck_assert_msg(problems.count == 0, "%s", problems.text.buf);
	ck_assert_ptr_nonnull(strstr(d.page, "</html>"));
	problems_release(&problems);
	document_release(&d);
}
END_TEST

TCase *
api_docs_case(void)
{
	TCase *t = tcase_create("docs");

	tcase_add_checked_fixture(t, docs_setup, docs_teardown);
	add_rows(t, text_is_escaped_and_little_markup_known, inlines);
	add_rows(t, blocks_of_text_become_elements_that_close, blocks);
	tcase_add_test(t, headings_are_found_for_the_contents);
	add_rows(t, a_fault_of_the_document_is_told_with_its_line, documents);
	tcase_add_test(t, a_missing_document_is_a_fault);
	tcase_add_test(t, all_faults_are_told_at_once);
	tcase_add_test(t, the_document_is_served_and_known_again);
	tcase_add_test(t, the_page_runs_nothing);
	tcase_add_test(t, settings_of_this_server_get_into_the_document);
	tcase_add_test(t, no_text_of_the_document_becomes_markup);
	tcase_add_test(t, an_odd_document_gives_a_page);
	return t;
}
