/* Lists of runs: what may be asked, and how one page leads to the next. */
#include "tests/unit/api_unit.h"

#include "views.h"
#include "xalloc.h"

#define A_DAY_MS (24 * 3600 * 1000LL)


/* --- what may be asked ----------------------------------------------------------- */

static const struct {
	const char *query;
	const char *field, *type;	/* of the only fault; NULL: none */
} queries[] = {
	{ "", NULL, NULL },
	{ "page=1&page_size=100", NULL, NULL },
	{ "page=0", "page", "greater_than_equal" },
	{ "page=1000001", "page", "less_than_equal" },
	{ "page=1.5", "page", "int_parsing" },
	{ "page_size=0", "page_size", "greater_than_equal" },
	{ "page_size=101", "page_size", "less_than_equal" },
	{ "status=FAILED", NULL, NULL },
	{ "status=", "status", "enum" },
	{ "status=failed", "status", "enum" },
	{ "status=x&status=FAILED", NULL, NULL },
	{ "mode=", NULL, NULL },
	{ "mode=whatever", NULL, NULL },
	{ "platform=", NULL, NULL },
	{ "platform=Pinterest%20Pin%20(2:3%20Vertical)", NULL, NULL },
	{ "q=", NULL, NULL },
	{ "q=tart", NULL, NULL },
	{ "q=%25_%27%22%5c", NULL, NULL },
	{ "q=%e2%82%ac", NULL, NULL },
	{ "q=%e2%82", "q", "string_unicode" },
	{ "created_from=2026-01-31", NULL, NULL },
	{ "created_from=2026-01-31T08:00:00Z&created_to=2026-02-01", NULL,
	  NULL },
	{ "created_from=2026-01-31T08:00:00.123456Z", NULL, NULL },
	{ "created_from=2026-01-31T08:00:00%2B00:00", NULL, NULL },
	{ "created_from=", NULL, NULL },
	{ "created_from=2026-02-30", "created_from", "datetime_parsing" },
	{ "created_from=2026-1-1", "created_from", "datetime_parsing" },
	{ "created_from=2026-01-31T08:00:00%2B02:00", "created_from",
	  "datetime_parsing" },
	{ "created_to=yesterday", "created_to", "datetime_parsing" },
	{ "created_to=1700000000", "created_to", "datetime_parsing" },
	{ "created_from=1969-12-31&created_to=1960-01-01", NULL, NULL },
	{ "cursor=", NULL, NULL },
	{ "cursor=", NULL, NULL },
	{ "cursor=x", "cursor", "value_error" },
	{ "cursor=1." UNKNOWN_ID, NULL, NULL },
	{ "cursor=1." UNKNOWN_ID "x", "cursor", "value_error" },
	{ "cursor=-1." UNKNOWN_ID, "cursor", "value_error" },
	{ "cursor=99999999999999999999." UNKNOWN_ID, "cursor",
	  "value_error" },
	{ "cursor=1." UNKNOWN_ID "&page=", NULL, NULL },
	{ "cursor=1." UNKNOWN_ID "&page=1", "page", "value_error" },
	{ "unknown=1", NULL, NULL },
};

START_TEST(a_query_is_checked)
{
	static const char *const paths[] = { "/api/v1/runs", "/api/v1/runs/" };
	char *what;
	size_t i;

	for (i = 0; i < ARRAY_LEN(paths); i++) {
		what = xasprintf("GET %s?%s", paths[i], queries[_i].query);
		ask(what);
		if (queries[_i].field == NULL) {
			ck_assert_msg(got.status == 200, "%s: %s", what,
			    got.body.buf);
			free(what);
			continue;
		}
		ck_assert_msg(got.status == 422, "%s: %d", what, got.status);
		ck_assert_str_eq(member("detail/0/loc/0"), "query");
		ck_assert_str_eq(member("detail/0/loc/1"), queries[_i].field);
		ck_assert_str_eq(member("detail/0/type"), queries[_i].type);
		ck_assert_str_eq(member("detail/1"), "null");
		free(what);
	}
}
END_TEST

START_TEST(all_faults_of_a_query_are_told_at_once)
{
	struct strbuf what = STRBUF_INIT(4000);
	int i;

	strbuf_addstr(&what, "GET /api/v1/runs?page=x&page_size=x&status=x&"
	    "created_from=x&created_to=x&cursor=x&q=");
	for (i = 0; i < 201; i++)
		strbuf_addstr(&what, "%c3%a4");
	ask(what.buf);
	ck_assert_int_eq(got.status, 422);
	/* page is wrong, and may not come with a cursor either. */
	ck_assert_str_ne(member("detail/7"), "null");
	ck_assert_str_eq(member("detail/8"), "null");
	strbuf_truncate(&what, what.len - 6);
	ask(what.buf);
	ck_assert_str_eq(member("detail/7"), "null");
	strbuf_release(&what);
}
END_TEST

/* --- what is given ----------------------------------------------------------------- */

/* A run of that time and prompt; its id is made of n. */
static void
store_run(int n, int64_t created_ms, const char *platform,
    const char *prompt)
{
	struct run run = { .created_ms = created_ms,
		.status = STATE_PENDING };
	struct new_run nr = { .run = &run, .job_id = run.id,
		.deadline_after_ms = 1000 };
	enum submit_outcome outcome;
	char *body = NULL;
	int status;

	snprintf(run.id, sizeof(run.id),
	    "%08d-0000-4000-8000-000000000000", n);
	run.owner = (char *)(uintptr_t)OWNER_DEFAULT;
	run.mode = (char *)(uintptr_t)"easy_mode";
	run.platform_name = (char *)(uintptr_t)platform;
	run.prompt = (char *)(uintptr_t)prompt;
	run.form = run.inputs = (char *)(uintptr_t)"{}";
	ck_ok(store_submit_run(st, &nr, NULL, &outcome, &status, &body, &err),
	    &err);
}

static void
store_some(void)
{
	store_run(1, T0, SQUARE, "Lemon tart");
	store_run(2, T0 + A_DAY_MS, "Facebook Post (Mixed)", "lemonade & \xc3\xa4");
	store_run(3, T0 + 2 * A_DAY_MS, SQUARE, "100% _wheat_ bread");
	store_run(4, T0 + 3 * A_DAY_MS, SQUARE, NULL);
	store_run(5, T0 + 4 * A_DAY_MS, SQUARE, "LEMON curd");
}

/* T0 is 2023-11-14T22:13:20Z. */
static const struct {
	const char *query, *ids, *total;
} filters[] = {
	{ "", "5 4 3 2 1 ", "5" },
	{ "page_size=2&page=2", "3 2 ", "5" },
	{ "q=lemon", "5 2 1 ", "null" },
	{ "q=LEMON%20T", "1 ", "null" },
	{ "q=%25", "3 ", "null" },
	{ "q=_wheat_", "3 ", "null" },
	{ "q=%26%20%c3%a4", "2 ", "null" },
	{ "q=cherry", "", "null" },
	{ "platform=Facebook+Post+(Mixed)", "2 ", "1" },
	{ "platform=Facebook", "", "0" },
	{ "created_from=2023-11-16", "5 4 3 ", "null" },
	{ "created_from=2023-11-15T22:13:20Z", "5 4 3 2 ", "null" },
	{ "created_from=2023-11-15T22:13:20.001000Z", "5 4 3 ", "null" },
	{ "created_to=2023-11-15T22:13:20Z", "1 ", "null" },
	{ "created_to=2023-11-15", "1 ", "null" },
	{ "created_from=2023-11-15&created_to=2023-11-17&q=b", "3 ", "null" },
	{ "created_to=1970-01-01", "", "null" },
	{ "status=PENDING&mode=easy_mode&q=tart&platform=" 
	  "Instagram+Post+(1:1+Square)", "1 ", "null" },
	{ "status=FAILED", "", "0" },
};

static void
add_ids(struct strbuf *out)
{
	struct json_object *o = NULL, *runs;
	size_t i;

	ck_ok(json_parse(got.body.buf, got.body.len, &o, &err), &err);
	runs = json_get_arr(o, "runs");
	for (i = 0; i < json_len(runs); i++)
		strbuf_addf(out, "%ld ", strtol(json_get_str(
		    json_object_array_get_idx(runs, i), "id"), NULL, 10));
	json_object_put(o);
}

START_TEST(filters_are_kept_to)
{
	char *what = xasprintf("GET /api/v1/runs?%s", filters[_i].query);
	struct strbuf ids = STRBUF_INIT(1000);

	store_some();
	ask(what);
	ck_assert_msg(got.status == 200, "%s", got.body.buf);
	add_ids(&ids);
	ck_assert_str_eq(ids.buf, filters[_i].ids);
	ck_assert_str_eq(member("total"), filters[_i].total);
	strbuf_release(&ids);
	free(what);
}
END_TEST

/* The target of the Link header; NULL: the list ends here. */
static char *
next_link(void)
{
	const char *link = header("Link"), *end;

	if (link == NULL)
		return NULL;
	end = strstr(link, ">; rel=\"next\"");
	ck_assert(link[0] == '<' && end != NULL);
	return xasprintf("GET %.*s", (int)(end - link - 1), link + 1);
}

static const char *const starts[] = {
	"GET /api/v1/runs?page_size=2",
	"GET /api/v1/runs/?page_size=2&page=1",
	"GET /api/v1/runs?page_size=1&q=e&status=PENDING",
};

START_TEST(links_lead_through_the_whole_list)
{
	static const char *const wanted[] = { "5 4 3 2 1 ", "5 4 3 2 1 ",
		"5 3 2 1 " };
	struct strbuf ids = STRBUF_INIT(1000);
	char *what = xstrdup(starts[_i]);
	int turns;

	store_some();
	for (turns = 0; what != NULL && turns < 20; turns++) {
		ask(what);
		ck_assert_msg(got.status == 200, "%s: %s", what, got.body.buf);
		add_ids(&ids);
		if (turns > 0) {
			ck_assert_str_eq(member("page"), "null");
			ck_assert_ptr_nonnull(strstr(what, "page_size="));
		}
		free(what);
		what = next_link();
		ck_assert((what != NULL) ==
		    (strcmp(member("next_cursor"), "null") != 0));
	}
	ck_assert_str_eq(ids.buf, wanted[_i]);
	ck_assert_int_le(turns, 6);
	strbuf_release(&ids);
}
END_TEST

START_TEST(a_link_holds_what_was_asked_and_nothing_more)
{
	char *link;

	store_some();
	ask("GET /api/v1/runs/?q=%C3%A4%20or%3E%22%0d%0aX%3A1&page_size=1");
	ck_assert_ptr_null(header("Link"));
	ask("GET /api/v1/runs/?q=e&platform=Instagram+Post+(1:1+Square)&"
	    "page_size=1&page=1&unknown=1");
	link = next_link();
	ck_assert_ptr_nonnull(link);
	ck_assert_ptr_nonnull(strstr(link, "GET /api/v1/runs/?page_size=1&"
	    "platform=Instagram%20Post%20%281%3A1%20Square%29&q=e&cursor="));
	ck_assert_ptr_null(strstr(link, "unknown"));
	free(link);
}
END_TEST

TCase *
api_lists_case(void)
{
	TCase *t = tcase_create("lists");

	tcase_add_checked_fixture(t, client_setup, client_teardown);
	add_rows(t, a_query_is_checked, queries);
	tcase_add_test(t, all_faults_of_a_query_are_told_at_once);
	add_rows(t, filters_are_kept_to, filters);
	add_rows(t, links_lead_through_the_whole_list, starts);
	tcase_add_test(t, a_link_holds_what_was_asked_and_nothing_more);
	return t;
}
