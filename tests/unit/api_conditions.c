/* Conditions and ranges, and the tags by which clients ask for news. */
#include "tests/unit/api_unit.h"

#include "src/api/conditions.h"
#include "xalloc.h"

/* --- dates ---------------------------------------------------------------------- */

static const struct {
	const char *text;
	int64_t want;		/* -1: none */
} dates[] = {
	{ "Sun, 06 Nov 1994 08:49:37 GMT", 784111777 },
	{ "Sunday, 06-Nov-94 08:49:37 GMT", 784111777 },
	{ "Sun Nov  6 08:49:37 1994", 784111777 },
	{ "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
	{ "Tue, 19 Jan 2038 03:14:08 GMT", 2147483648 },
	{ "", -1 },
	{ "yesterday", -1 },
	{ "784111777", -1 },
	{ "1994-11-06T08:49:37Z", -1 },
	{ "Sun, 06 Nov 1994 08:49:37", -1 },
	{ "Sun, 06 Nov 1994 08:49:37 CET", -1 },
	{ "Sun, 06 Nov 1994 08:49:37 GMT x", -1 },
	{ "Sun, 36 Nov 1994 08:49:37 GMT", -1 },
};

START_TEST(dates_are_read_in_three_forms)
{
	char text[HTTP_DATE_MAX];
	int64_t got_s = -1;

	ck_assert_msg(http_date_parse(dates[_i].text, &got_s) ==
	    (dates[_i].want >= 0), "%s", dates[_i].text);
	ck_assert_int_eq(got_s, dates[_i].want);
	if (got_s < 0)
		return;
	http_date_format(got_s, text);
	ck_assert(http_date_parse(text, &got_s));
	ck_assert_int_eq(got_s, dates[_i].want);
}
END_TEST

/* --- tags ------------------------------------------------------------------------ */

static const struct {
	const char *list, *tag;
	bool weak, strong;	/* listed by that comparison */
} tags[] = {
	{ "\"a\"", "\"a\"", true, true },
	{ "\"a\"", "\"b\"", false, false },
	{ "\"a\"", "W/\"a\"", true, false },
	{ "W/\"a\"", "\"a\"", true, false },
	{ "W/\"a\"", "W/\"a\"", true, false },
	{ "w/\"a\"", "\"a\"", false, false },
	{ "*", "\"a\"", true, true },
	{ " * ", "\"a\"", true, true },
	{ "*, \"b\"", "\"a\"", false, false },
	{ "\"*\"", "\"a\"", false, false },
	{ "\"b\", \"a\"", "\"a\"", true, true },
	{ "\"b\",\"a\"", "\"a\"", true, true },
	{ ", ,\"b\" ,\t\"a\",", "\"a\"", true, true },
	{ "\"b,\", \"a\"", "\"a\"", true, true },
	{ "\"a, b\"", "\"a\"", false, false },
	{ "\"aa\"", "\"a\"", false, false },
	{ "\"\"", "\"a\"", false, false },
	{ "", "\"a\"", false, false },
	{ "a", "\"a\"", false, false },
	{ "\"a", "\"a\"", false, false },
	{ "\"b\" \"a\"", "\"a\"", false, false },
	{ "\"b\"; \"a\"", "\"a\"", false, false },
	{ "x, \"a\"", "\"a\"", false, false },
	{ "\"a\", x", "\"a\"", true, true },
	{ "\"a b\"", "\"a b\"", false, false },
	{ "\"\xe4\"", "\"\xe4\"", true, true },
};

START_TEST(a_list_of_tags_is_read_by_the_rules)
{
	ck_assert_msg(tag_listed(tags[_i].list, tags[_i].tag, true) ==
	    tags[_i].weak, "%s", tags[_i].list);
	ck_assert_msg(tag_listed(tags[_i].list, tags[_i].tag, false) ==
	    tags[_i].strong, "%s", tags[_i].list);
}
END_TEST

/* --- preconditions ----------------------------------------------------------------- */

#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define NOW "Sun, 06 Nov 1994 08:49:37 GMT"
#define AFTER "Sun, 06 Nov 1994 08:49:38 GMT"

static const struct validators thing = { "\"a\"", 784111777 };

static const struct {
	struct conditions c;
	enum verdict want;
} verdicts[] = {
	{ { .if_match = NULL }, VERDICT_GO_ON },
	{ { .if_match = "\"a\"" }, VERDICT_GO_ON },
	{ { .if_match = "*" }, VERDICT_GO_ON },
	{ { .if_match = "\"b\"" }, VERDICT_FAILED },
	{ { .if_match = "W/\"a\"" }, VERDICT_FAILED },
	{ { .if_match = "\"a\"", .if_unmodified_since = BEFORE },
	  VERDICT_GO_ON },
	{ { .if_unmodified_since = BEFORE }, VERDICT_FAILED },
	{ { .if_unmodified_since = NOW }, VERDICT_GO_ON },
	{ { .if_unmodified_since = "then" }, VERDICT_GO_ON },
	{ { .if_none_match = "\"a\"" }, VERDICT_NOT_MODIFIED },
	{ { .if_none_match = "W/\"a\"" }, VERDICT_NOT_MODIFIED },
	{ { .if_none_match = "\"b\"" }, VERDICT_GO_ON },
	/* With a tag, dates do not count. */
	{ { .if_none_match = "\"b\"", .if_modified_since = AFTER },
	  VERDICT_GO_ON },
	{ { .if_none_match = "\"a\"", .if_modified_since = BEFORE },
	  VERDICT_NOT_MODIFIED },
	{ { .if_modified_since = BEFORE }, VERDICT_GO_ON },
	{ { .if_modified_since = NOW }, VERDICT_NOT_MODIFIED },
	{ { .if_modified_since = AFTER }, VERDICT_NOT_MODIFIED },
	{ { .if_modified_since = "then" }, VERDICT_GO_ON },
	{ { .if_match = "\"b\"", .if_none_match = "\"a\"" },
	  VERDICT_FAILED },
};

START_TEST(preconditions_are_weighed_in_their_order)
{
	ck_assert_int_eq(conditions_check(&verdicts[_i].c, &thing),
	    verdicts[_i].want);
}
END_TEST

static const struct {
	const char *if_range;
	enum range_kind want;
} resumptions[] = {
	{ "\"a\"", RANGE_PART },
	{ "\"a\" ", RANGE_PART },
	{ "\"b\"", RANGE_WHOLE },
	{ "W/\"a\"", RANGE_WHOLE },
	{ "\"a\", \"b\"", RANGE_WHOLE },
	{ "*", RANGE_WHOLE },
	{ NOW, RANGE_PART },
	{ AFTER, RANGE_WHOLE },
	{ BEFORE, RANGE_WHOLE },
	{ "", RANGE_WHOLE },
};

START_TEST(a_download_is_resumed_only_of_the_same_thing)
{
	struct conditions c = { .range = "bytes=2-3",
		.if_range = resumptions[_i].if_range };
	int64_t first = 0, length = 0;

	ck_assert_int_eq(range_check(&c, &thing, 10, &first, &length),
	    resumptions[_i].want);
	ck_assert_int_eq(first, resumptions[_i].want == RANGE_PART ? 2 : 0);
}
END_TEST

START_TEST(nothing_has_no_part)
{
	struct conditions c = { .range = "bytes=0-" };
	int64_t first = 0, length = 0;

	ck_assert_int_eq(range_check(&c, &thing, 0, &first, &length),
	    RANGE_OUTSIDE);
	c.range = "bytes=-5";
	ck_assert_int_eq(range_check(&c, &thing, 0, &first, &length),
	    RANGE_WHOLE);
	ck_assert_int_eq(length, 0);
}
END_TEST

/* --- answers with tags --------------------------------------------------------------- */

/* Ask again with what the last answer was tagged: nothing is sent twice. */
static void
expect_known(const char *what)
{
	char *condition, *tag = xstrdup(header("ETag"));
	char *head = xasprintf("HEAD%s", strchr(what, ' '));

	ck_assert_msg(strncmp(tag, "W/\"", 3) == 0, "%s: %s", what, tag);
	ck_assert_str_eq(header("Cache-Control"), "no-cache");
	condition = xasprintf("HTTP_IF_NONE_MATCH=\"x\", %s", tag);
	ask_with(NULL, what, condition, "HTTP_ORIGIN=http://localhost:3000",
	    NULL);
	ck_assert_msg(got.status == 304, "%s: %d", what, got.status);
	ck_assert_uint_eq(got.body.len, 0);
	ck_assert_str_eq(header("ETag"), tag);
	ck_assert_str_eq(header("Cache-Control"), "no-cache");
	ck_assert_ptr_null(header("Content-Type"));
	ck_assert_str_eq(header("Access-Control-Allow-Origin"),
	    "http://localhost:3000");
	ask_with(NULL, what, "HTTP_IF_NONE_MATCH=*", NULL);
	ck_assert_int_eq(got.status, 304);
	ask_with(NULL, what, "HTTP_IF_NONE_MATCH=\"x\"", NULL);
	ck_assert_int_eq(got.status, 200);
	ck_assert_str_eq(header("ETag"), tag);
	ask(head);
	ck_assert_int_eq(got.status, 200);
	ck_assert_str_eq(header("ETag"), tag);
	free(condition);
	free(head);
	free(tag);
}

static const char *const stable[] = {
	"GET /api/v1/config/platforms",
	"GET /api/v1/config/task-types",
	"GET /api/v1/config/caption-models",
	"GET /api/v1/runs",
	"GET /api/v1/runs/?page_size=2&status=PENDING",
};

START_TEST(what_has_not_changed_is_not_sent_again)
{
	make_run();
	ask(stable[_i]);
	ck_assert_int_eq(got.status, 200);
	expect_known(stable[_i]);
}
END_TEST

static const char *const of_runs[] = {
	"", "/status", "/events", "/events?after=1&limit=2",
};

START_TEST(what_happens_to_a_run_changes_its_tags)
{
	char *what, *before;

	make_run();
	what = xasprintf("GET /api/v1/runs/%s%s", run_id, of_runs[_i]);
	ask(what);
	ck_assert_int_eq(got.status, 200);
	expect_known(what);
	before = xasprintf("HTTP_IF_NONE_MATCH=%s", header("ETag"));
	ask_run("POST", "/cancel");
	ask_with(NULL, what, before, NULL);
	ck_assert_int_eq(got.status, 200);
	expect_known(what);
	free(what);
	free(before);
}
END_TEST

START_TEST(another_run_changes_the_tag_of_lists)
{
	char *before;

	make_run();
	ask("GET /api/v1/runs?page_size=1&page=2");
	before = xasprintf("HTTP_IF_NONE_MATCH=%s", header("ETag"));
	make_run();
	ask_with(NULL, "GET /api/v1/runs?page_size=1&page=2", before, NULL);
	ck_assert_int_eq(got.status, 200);
	free(before);
}
END_TEST

START_TEST(results_have_a_tag)
{
	char *what, *before;

	make_run();
	complete_run();
	put_text("pipeline_metadata.json", "{}");
	what = xasprintf("GET /api/v1/runs/%s/results", run_id);
	ask(what);
	ck_assert_int_eq(got.status, 200);
	expect_known(what);
	before = xasprintf("HTTP_IF_NONE_MATCH=%s", header("ETag"));
	put_text("pipeline_metadata.json", "{ }");
	ask_with(NULL, what, before, NULL);
	ck_assert_int_eq(got.status, 200);
	free(what);
	free(before);
}
END_TEST

START_TEST(a_lease_changes_the_tag_of_the_status)
{
	static const struct holder h = { "life", "host", "boot", "/x" };
	char *what, *before;
	int64_t next = 0;
	struct job job;
	bool found = false;

	make_run();
	memset(&job, 0, sizeof(job));
	ck_ok(store_claim(st, &h, T0 * 2, T0, &job, &found, &next, &err),
	    &err);
	ck_assert(found);
	what = xasprintf("GET /api/v1/runs/%s/status", run_id);
	ask(what);
	ck_assert_str_eq(member("is_active"), "true");
	before = xasprintf("HTTP_IF_NONE_MATCH=%s", header("ETag"));
	ck_ok(store_release(st, &(struct job_ref){ job.id, job.run_id,
	    job.fence }, T0, &err), &err);
	ask_with(NULL, what, before, NULL);
	ck_assert_int_eq(got.status, 200);
	ck_assert_str_eq(member("is_active"), "false");
	job_release(&job);
	free(what);
	free(before);
}
END_TEST

START_TEST(who_may_not_see_it_is_not_told_that_it_is_known)
{
	ask_with(NULL, "GET /api/v1/runs/" UNKNOWN_ID,
	    "HTTP_IF_NONE_MATCH=*", NULL);
	ck_assert_int_eq(got.status, 404);
	ck_assert_ptr_null(header("ETag"));
	ask_with(NULL, "GET /api/v1/runs/" UNKNOWN_ID "/events",
	    "HTTP_IF_NONE_MATCH=*", NULL);
	ck_assert_int_eq(got.status, 404);
	ask_with(NULL, "GET /api/v1/runs?page=0", "HTTP_IF_NONE_MATCH=*",
	    NULL);
	ck_assert_int_eq(got.status, 422);
	ck_assert_str_eq(header("Cache-Control"), "no-store");
}
END_TEST

TCase *
api_conditions_case(void)
{
	TCase *t = tcase_create("conditions");

	add_rows(t, dates_are_read_in_three_forms, dates);
	add_rows(t, a_list_of_tags_is_read_by_the_rules, tags);
	add_rows(t, preconditions_are_weighed_in_their_order, verdicts);
	add_rows(t, a_download_is_resumed_only_of_the_same_thing, resumptions);
	tcase_add_test(t, nothing_has_no_part);
	return t;
}

TCase *
api_tags_case(void)
{
	TCase *t = tcase_create("tags");

	tcase_add_checked_fixture(t, client_setup, client_teardown);
	add_rows(t, what_has_not_changed_is_not_sent_again, stable);
	add_rows(t, what_happens_to_a_run_changes_its_tags, of_runs);
	tcase_add_test(t, another_run_changes_the_tag_of_lists);
	tcase_add_test(t, results_have_a_tag);
	tcase_add_test(t, a_lease_changes_the_tag_of_the_status);
	tcase_add_test(t, who_may_not_see_it_is_not_told_that_it_is_known);
	return t;
}
