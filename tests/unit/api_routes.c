/*
 * Routes and handlers: which path has which answer, who may read it from
 * another origin, and what becomes of a submitted form.
 */
#include "tests/unit/api_unit.h"

#include <limits.h>
#include <unistd.h>

#include "digest.h"
#include "xalloc.h"

#define TYPE "CONTENT_TYPE=multipart/form-data; boundary=AaB"
#define PART(name, value) "--AaB\r\nContent-Disposition: form-data; name=\"" \
	name "\"\r\n\r\n" value "\r\n"
#define END "--AaB--\r\n"
#define JSON "CONTENT_TYPE=application/json; charset=utf-8"
#define ORIGIN "HTTP_ORIGIN=http://localhost:3000"

/* --- paths and methods ------------------------------------------------------------- */

static const struct {
	const char *what;
	int status;
	const char *header, *value;	/* NULL: any */
} answers[] = {
	{ "GET /nowhere", 404, NULL, NULL },
	{ "GET /api", 404, NULL, NULL },
	{ "GET /api/v1", 404, NULL, NULL },
	{ "GET /api/v1/runsx", 404, NULL, NULL },
	{ "GET //health", 404, NULL, NULL },
	{ "GET /health/..", 404, NULL, NULL },
	{ "GET /HEALTH", 404, NULL, NULL },
	{ "GET /nowhere/", 404, NULL, NULL },
	{ "GET //evil.example/health/", 404, NULL, NULL },
	{ "GET /health%2f", 404, NULL, NULL },
	{ "GET /api/v1/files", 404, NULL, NULL },
	{ "GET /api/v1/files/" UNKNOWN_ID "/", 404, NULL, NULL },
	{ "GET /a%zz", 400, NULL, NULL },
	{ "GET /health?a=%zz", 400, NULL, NULL },
	{ "GET /", 200, "Content-Type", "application/json" },
	{ "GET /health", 200, "Cache-Control", "no-store" },
	{ "HEAD /health", 200, "Content-Type", "application/json" },
	{ "GET /%68ealth", 200, NULL, NULL },
	{ "GET /health?x=1", 200, NULL, NULL },
	{ "POST /health", 405, "Allow", "GET, HEAD, OPTIONS" },
	{ "PUT /health", 405, "Allow", "GET, HEAD, OPTIONS" },
	{ "DELETE /health", 405, "Allow", "GET, HEAD, OPTIONS" },
	{ "OTHER /health", 405, "Allow", "GET, HEAD, OPTIONS" },
	{ "BREW /health", 405, "Allow", "GET, HEAD, OPTIONS" },
	{ "DELETE /api/v1/runs", 405, "Allow", "GET, HEAD, POST, OPTIONS" },
	{ "POST /api/v1/runs/", 405, "Allow", "GET, HEAD, OPTIONS" },
	{ "GET /api/v1/runs/" UNKNOWN_ID "/cancel", 405, "Allow",
	  "POST, OPTIONS" },
	{ "HEAD /api/v1/runs/" UNKNOWN_ID "/cancel", 405, "Allow",
	  "POST, OPTIONS" },
	{ "OPTIONS /api/v1/runs", 204, "Allow", "GET, HEAD, POST, OPTIONS" },
	{ "OPTIONS /nowhere", 404, NULL, NULL },
	{ "GET /health/", 307, "Location", "/health" },
	{ "GET /health/?a=1&b=2", 307, "Location", "/health?a=1&b=2" },
	{ "POST /api/v1/runs/" UNKNOWN_ID "/cancel/", 307, "Location",
	  "/api/v1/runs/" UNKNOWN_ID "/cancel" },
	{ "GET /api/v1/runs/" UNKNOWN_ID "/", 307, "Location",
	  "/api/v1/runs/" UNKNOWN_ID },
	{ "GET /api/v1/runs/" UNKNOWN_ID, 404, NULL, NULL },
	{ "GET /api/v1/runs/" UNKNOWN_ID "/status", 404, NULL, NULL },
	{ "GET /api/v1/runs/" UNKNOWN_ID "/events", 404, NULL, NULL },
	{ "GET /api/v1/runs/" UNKNOWN_ID "/results", 404, NULL, NULL },
	{ "POST /api/v1/runs/" UNKNOWN_ID "/cancel", 404, NULL, NULL },
	{ "DELETE /api/v1/runs/" UNKNOWN_ID, 404, NULL, NULL },
	{ "DELETE /api/v1/runs/x", 404, NULL, NULL },
	{ "DELETE /api/v1/runs/" UNKNOWN_ID "/", 307, "Location",
	  "/api/v1/runs/" UNKNOWN_ID },
	{ "PUT /api/v1/runs/" UNKNOWN_ID, 405, "Allow",
	  "GET, HEAD, DELETE, OPTIONS" },
	{ "OPTIONS /api/v1/runs/" UNKNOWN_ID, 204, "Allow",
	  "GET, HEAD, DELETE, OPTIONS" },
	{ "GET /api/v1/files/" UNKNOWN_ID "/x.png", 404, NULL, NULL },
	{ "GET /api/v1/runs/not-an-id", 404, NULL, NULL },
	{ "GET /api/v1/runs/6F9619FF-8B86-4D01-B42D-00CF4FC964FF", 404, NULL,
	  NULL },
	{ "GET /api/v1/files/../x.png", 404, NULL, NULL },
	{ "GET /api/v1/runs", 200, NULL, NULL },
	{ "GET /api/v1/runs/", 200, NULL, NULL },
	{ "GET /api/v1/status", 200, NULL, NULL },
	{ "GET /api/v1/config/platforms", 200, NULL, NULL },
	{ "GET /api/v1/config/task-types", 200, NULL, NULL },
	{ "GET /api/v1/config/caption-models", 200, NULL, NULL },
	{ "GET /health/ready", 503, NULL, NULL },
	{ "GET /health/executor-stats", 200, NULL, NULL },
	{ "GET /api/v1/runs?page_size=0", 422, NULL, NULL },
	{ "GET /api/v1/runs?page_size=101", 422, NULL, NULL },
	{ "GET /api/v1/runs?page=0", 422, NULL, NULL },
	{ "GET /api/v1/runs?page=x", 422, NULL, NULL },
	{ "GET /api/v1/runs?status=", 422, NULL, NULL },
	{ "GET /api/v1/runs?status=pending", 422, NULL, NULL },
	{ "GET /api/v1/runs?status=FAILED&mode=easy_mode&page=3", 200, NULL,
	  NULL },
	{ "GET /api/v1/runs/" UNKNOWN_ID "/events?after=-1", 422, NULL, NULL },
	{ "GET /api/v1/runs/" UNKNOWN_ID "/events?limit=501", 422, NULL,
	  NULL },
};

START_TEST(each_path_has_its_answer)
{
	ask_with(NULL, answers[_i].what, ORIGIN, NULL);
	ck_assert_msg(got.status == answers[_i].status, "%s: %d %s",
	    answers[_i].what, got.status, got.body.buf);
	if (answers[_i].header != NULL)
		ck_assert_str_eq(header(answers[_i].header),
		    answers[_i].value);
	if (got.status >= 400)
		ck_assert_str_ne(member(got.status == 503 ? "reason" :
		    "detail"), "null");
	/* Whatever the answer: without these a browser shows it to nobody. */
	ck_assert_str_eq(header("Access-Control-Allow-Origin"),
	    "http://localhost:3000");
	ck_assert_str_eq(header("Vary"), "Origin");
	ck_assert_str_eq(header("X-Content-Type-Options"), "nosniff");
	ck_assert(id_is_valid(header("X-Request-Id")));
}
END_TEST

START_TEST(models_for_captions_come_from_the_configuration)
{
	ask("GET /api/v1/config/caption-models");
	ck_assert_str_eq(member("models/0/id"), "openai/gpt-4.1");
	ck_assert_str_eq(member("models/0/latency"), "Low");
	ck_assert_str_eq(member("models/0/strengths/0"), "fast");
	ck_assert_str_eq(member("models/1/latency"), "Higher");
	ck_assert_str_ne(member("models/1/creativity"), "null");
	ck_assert_str_eq(member("default_model_id"), "openai/gpt-4.1");
	/* "caption: none" in models.yml */
	svc.conf->purposes[PURPOSE_CAPTION].model = NULL;
	ask("GET /api/v1/config/caption-models");
	ck_assert_str_eq(member("models"), "[ ]");
	ck_assert_str_eq(member("default_model_id"), "");
}
END_TEST

START_TEST(a_redirect_is_not_cut)
{
	char *what = xmalloc(MAX_QUERY_BYTES);

	snprintf(what, MAX_QUERY_BYTES, "GET /health/?a=");
	memset(what + 15, 'x', 4000);
	what[4015] = '\0';
	ask(what);
	ck_assert_int_eq(got.status, 404);
	free(what);
}
END_TEST

START_TEST(an_answer_that_is_too_large_is_a_whole_500)
{
	answer_max = 100;
	ask_with(NULL, "GET /api/v1/config/platforms", ORIGIN, NULL);
	ck_assert_int_eq(got.status, 500);
	ck_assert_str_eq(member("detail"), "Internal server error");
	ck_assert_str_eq(header("Content-Type"), "application/json");
	ck_assert_ptr_null(strstr(strstr(got.headers.buf, "Content-Type: ") +
	    1, "Content-Type: "));
	ck_assert_str_eq(header("Access-Control-Allow-Origin"),
	    "http://localhost:3000");
	ck_assert_str_eq(header("Vary"), "Origin");
}
END_TEST

START_TEST(a_redirect_forges_no_header)
{
	ask("GET /health/?a=1%0d%0aX-A:%20b\r\nX-B: c");
	ck_assert_ptr_null(header("X-A"));
	ck_assert_ptr_null(header("X-B"));
}
END_TEST

/* --- CORS ------------------------------------------------------------------------------ */

static const struct {
	const char *pattern, *origin;
	bool allowed;
} origins[] = {
	{ "http://localhost:3000", "http://localhost:3000", true },
	{ "http://localhost:3000", "http://localhost:30000", false },
	{ "http://localhost:3000", "https://localhost:3000", false },
	{ "http://localhost:3000", "null", false },
	{ "http://localhost:3000", "", false },
	{ "https://*.example", "https://a.example", true },
	{ "https://*.example", "https://a-1.example", true },
	{ "https://*.example", "https://.example", false },
	{ "https://*.example", "https://example", false },
	{ "https://*.example", "https://a.b.example", false },
	{ "https://*.example", "http://a.example", false },
	{ "https://*.example", "https://evil.org/.example", false },
	{ "https://*.example", "https://evil.org:1.example", false },
	{ "https://*.example", "https://a@b.example", false },
	{ "https://*.example", "https://a.example.evil.org", false },
};

START_TEST(only_allowed_origins_are_told_so)
{
	char *patterns[] = { (char *)(uintptr_t)origins[_i].pattern, NULL };
	char *variable = xasprintf("HTTP_ORIGIN=%s", origins[_i].origin);
	char **kept = svc.conf->settings.cors_origins;

	svc.conf->settings.cors_origins = patterns;
	ask_with(NULL, "GET /health", variable, NULL);
	ck_assert_int_eq(got.status, 200);
	ck_assert_str_eq(header("Vary"), "Origin");
	if (origins[_i].allowed) {
		ck_assert_str_eq(header("Access-Control-Allow-Origin"),
		    origins[_i].origin);
		ck_assert_str_eq(header("Access-Control-Allow-Credentials"),
		    "true");
	} else {
		ck_assert_ptr_null(header("Access-Control-Allow-Origin"));
		ck_assert_ptr_null(header("Access-Control-Allow-Credentials"));
	}
	ask_with(NULL, "OPTIONS /api/v1/runs", variable,
	    "HTTP_ACCESS_CONTROL_REQUEST_METHOD=GET",
	    "HTTP_ACCESS_CONTROL_REQUEST_HEADERS=ngrok-skip-browser-warning",
	    NULL);
	ck_assert_int_eq(got.status, origins[_i].allowed ? 200 : 400);
	if (origins[_i].allowed) {
		ck_assert_str_eq(header("Access-Control-Allow-Headers"),
		    "ngrok-skip-browser-warning");
		ck_assert_str_eq(header("Access-Control-Allow-Methods"),
		    "GET, POST, PUT, DELETE, OPTIONS");
		ck_assert_str_eq(header("Access-Control-Max-Age"), "600");
	} else {
		ck_assert_ptr_null(header("Access-Control-Allow-Origin"));
	}
	svc.conf->settings.cors_origins = kept;
	free(variable);
}
END_TEST

/* --- submitting -------------------------------------------------------------------------- */

START_TEST(a_run_is_submitted_read_listed_and_cancelled)
{
	make_run();
	ck_assert_str_eq(member("status"), "PENDING");
	ck_assert_str_eq(got.wake, "job");
	ck_assert_ptr_nonnull(strstr(header("Location"), run_id));
	ask_run("GET", "");
	ck_assert_str_eq(member("prompt"), "tart");
	ask_run("GET", "/status");
	ck_assert_str_eq(member("stage_count"), "0");
	ask_run("GET", "/events");
	ck_assert_str_eq(member("last_seq"), "0");
	ask_run("GET", "/results");
	ck_assert_int_eq(got.status, 400);
	ask("GET /api/v1/runs/?page=1&page_size=10&status=PENDING");
	ck_assert_str_eq(member("total"), "1");
	ck_assert_str_eq(member("runs/0/id"), run_id);
	ask_run("POST", "/cancel");
	ck_assert_int_eq(got.status, 200);
	ck_assert_str_eq(got.wake, "cancel");
	ck_assert(got.told);
	ask_run("POST", "/cancel");
	ck_assert_int_eq(got.status, 200);
	ck_assert_ptr_null(got.wake);
	ck_assert(!got.told);
	ck_assert_ptr_nonnull(strstr(member("message"), "CANCELLED"));
	ask_run("GET", "/events?after=0");
	ck_assert_str_eq(member("events/0/type"), "run_error");
	ask("GET /api/v1/runs?status=PENDING");
	ck_assert_str_eq(member("total"), "0");
}
END_TEST

START_TEST(a_run_is_deleted_once_it_has_ended)
{
	make_run();
	ask_run("DELETE", "");
	ck_assert_int_eq(got.status, 409);
	ck_assert_ptr_nonnull(strstr(member("detail"), "cancel"));
	ask_run("GET", "");
	ck_assert_int_eq(got.status, 200);
	complete_run();
	put_text("pipeline_metadata.json", "{}");
	ask_run("DELETE", "");
	ck_assert_int_eq(got.status, 204);
	ck_assert_uint_eq(got.body.len, 0);
	ck_assert(got.told);
	ck_assert_int_eq(unit_count("data/runs"), 0);
	ask("GET /api/v1/runs");
	ck_assert_str_eq(member("total"), "0");
	ask_run("GET", "");
	ck_assert_int_eq(got.status, 404);
	ask_run("GET", "/events");
	ck_assert_int_eq(got.status, 404);
	ask_file("pipeline_metadata.json", "X=");
	ck_assert_int_eq(got.status, 404);
	ask_run("DELETE", "");
	ck_assert_int_eq(got.status, 404);
}
END_TEST

static const struct {
	const char *about, *type, *body;
	int64_t length;		/* told; -1: none */
	bool fails;
	int status;
	const char *says;
} bodies[] = {
	{ "no type", "CONTENT_TYPE=", "platform_name=x", 15, false, 422,
	  "multipart/form-data" },
	{ "another type", "CONTENT_TYPE=text/json", "{}", 2, false, 422,
	  "application/json" },
	{ "JSON without anything", JSON, "{}", 2, false, 422,
	  "platform_name" },
	{ "an empty JSON body", JSON, "", 0, false, 422, "json_invalid" },
	{ "no JSON", JSON, "{\"a\":", 5, false, 422, "json_invalid" },
	{ "JSON that is cut off", JSON, "{}", 3, false, 400, "complete" },
	{ "a JSON list", JSON, "[]", 2, false, 422, "dict_type" },
	{ "JSON told to be too large", JSON, "", 64 * 1024 * 1024 + 1, false,
	  413, "larger" },
	{ "faults of both kinds", JSON, "{\"prompt\":[],\"num_variants\":"
	  "\"x\"}", -1, false, 422, "string_type" },
	{ "a type that only begins well", "CONTENT_TYPE=multipart/form-datax",
	  "--AaB--", 7, false, 422, "multipart/form-data" },
	{ "nothing at all", "CONTENT_TYPE=", "", 0, false, 422,
	  "platform_name" },
	{ "no boundary", "CONTENT_TYPE=multipart/form-data", "--AaB--", 7,
	  false, 400, "boundary" },
	{ "a malformed body", TYPE, "--AaB\nx", 7, false, 400, "boundary" },
	{ "the client went away", TYPE, PART("prompt", "x") END, 1000, false,
	  400, "complete" },
	{ "the client went away, and the server knows", TYPE,
	  PART("prompt", "x"), -1, true, 400, "complete" },
	{ "a short urlencoded body", URLENCODED, "prompt=x", 9, false, 400,
	  "complete" },
	{ "more than was told", URLENCODED, "prompt=x", 7, false, 400,
	  "complete" },
	{ "a broken escape", URLENCODED, "prompt=%", 8, false, 400, "escape" },
	{ "told to be too large", TYPE, "", 64 * 1024 * 1024 + 1, false, 413,
	  "larger" },
	{ "platform alone", TYPE, PART("platform_name", "x") END, -1, false,
	  400, "platform_name must be one of" },
};

START_TEST(a_bad_body_is_refused_and_nothing_is_kept)
{
	struct body b = { bodies[_i].body, strlen(bodies[_i].body), 0, 3,
		bodies[_i].fails };
	char *length = bodies[_i].length < 0 ? xstrdup("X=") :
	    xasprintf("CONTENT_LENGTH=%lld", (long long)bodies[_i].length);

	ask_with(&b, "POST /api/v1/runs", bodies[_i].type, length, ORIGIN,
	    NULL);
	ck_assert_msg(got.status == bodies[_i].status, "%s: %d %s",
	    bodies[_i].about, got.status, got.body.buf);
	ck_assert_msg(strstr(got.body.buf, bodies[_i].says) != NULL,
	    "%s: %s", bodies[_i].about, got.body.buf);
	ck_assert_str_eq(header("Access-Control-Allow-Origin"),
	    "http://localhost:3000");
	ck_assert_int_eq(unit_count("data/uploads"), 0);
	ck_assert_int_eq(unit_count("data/runs"), 0);
	free(length);
}
END_TEST

START_TEST(a_body_of_unknown_length_is_cut_at_the_limit)
{
	struct strbuf body = STRBUF_INIT(4 * 1024 * 1024);
	struct body b = { NULL, 0, 0, 65536, false };

	svc.conf->settings.api_max_body_bytes = 1024 * 1024;
	strbuf_addstr(&body, "--AaB\r\nContent-Disposition: form-data; "
	    "name=image_file; filename=x\r\n\r\n");
	while (body.len < 2 * 1024 * 1024)
		strbuf_addstr(&body, "0123456789abcdef");
	b.text = body.buf;
	b.len = body.len;
	ask_with(&b, "POST /api/v1/runs", TYPE, NULL);
	ck_assert_int_eq(got.status, 413);
	/* The rest was not read. */
	ck_assert_uint_le(b.at, 1024 * 1024 + 65536);
	ck_assert_int_eq(unit_count("data/uploads"), 0);
	strbuf_release(&body);
}
END_TEST

START_TEST(a_picture_arrives_in_the_directory_of_the_run)
{
	struct strbuf body = STRBUF_INIT(100000);
	struct body b = { NULL, 0, 0, 7, false };
	uint8_t png[PNG_BYTES];
	char path[PATH_MAX];

	make_png(png, 10, 10);
	strbuf_addstr(&body, PART("platform_name", SQUARE)
	    "--AaB\r\nContent-Disposition: form-data; name=image_file; "
	    "filename=\"../../x.png\"\r\n\r\n");
	strbuf_add(&body, png, sizeof(png));
	strbuf_addstr(&body, "\r\n" END);
	b.text = body.buf;
	b.len = body.len;
	ask_with(&b, "POST /api/v1/runs", TYPE, NULL);
	ck_assert_int_eq(got.status, 200);
	snprintf(path, sizeof(path), "%s/%s/input_x.png", svc.runs_dir,
	    member("id"));
	ck_assert_int_eq(access(path, R_OK), 0);
	ck_assert_int_eq(unit_count("data/uploads"), 0);
	strbuf_release(&body);
}
END_TEST

/* In memory, or long enough to be in a file on its way. */
START_TEST(a_json_body_is_a_form_like_any_other)
{
	struct strbuf body = STRBUF_INIT(8 * 1024 * 1024);
	struct body b = { NULL, 0, 0, 65536, false };
	uint8_t png[PNG_BYTES];
	char path[PATH_MAX];
	int i;

	make_png(png, 10, 10);
	strbuf_addstr(&body, "{\"platform_name\":\"" SQUARE "\","
	    "\"image_file\":{\"filename\":\"../x.png\",\"data\":\"");
	base64_add(&body, png, sizeof(png));
	/* White space, which base64 may have. */
	for (i = 0; _i == 1 && i < 400000; i++)
		strbuf_addstr(&body, "  \\n ");
	strbuf_addstr(&body, "\"},\"brand_kit\":{\"colors\":[]}}");
	b.text = body.buf;
	b.len = body.len;
	ask_with(&b, "POST /api/v1/runs", JSON, NULL);
	ck_assert_msg(got.status == 200, "%s", got.body.buf);
	snprintf(path, sizeof(path), "%s/%s/input_x.png", svc.runs_dir,
	    member("id"));
	ck_assert_int_eq(access(path, R_OK), 0);
	ck_assert_int_eq(unit_count("data/uploads"), 0);
	strbuf_release(&body);
}
END_TEST

START_TEST(a_repeated_key_gets_the_first_answer)
{
	static const char text[] = "prompt=tart&platform_name="
	    "Instagram+Post+%281%3A1+Square%29";
	char *key = xasprintf("HTTP_IDEMPOTENCY_KEY=%0*d",
	    IDEMPOTENCY_KEY_MAX + 1, 1);
	struct body b = { text, strlen(text), 0, 64, false };
	char first[4096];

	ask_with(&b, "POST /api/v1/runs", URLENCODED,
	    "HTTP_IDEMPOTENCY_KEY=k", NULL);
	ck_assert_int_eq(got.status, 200);
	ck_assert_ptr_null(header("Idempotency-Replayed"));
	snprintf(first, sizeof(first), "%s", got.body.buf);
	b.at = 0;
	ask_with(&b, "POST /api/v1/runs", URLENCODED,
	    "HTTP_IDEMPOTENCY_KEY=k", NULL);
	ck_assert_int_eq(got.status, 200);
	ck_assert_str_eq(got.body.buf, first);
	ck_assert_str_eq(header("Idempotency-Replayed"), "true");
	ck_assert_ptr_null(got.wake);
	b.at = 0;
	b.len -= 2;
	ask_with(&b, "POST /api/v1/runs", URLENCODED,
	    "HTTP_IDEMPOTENCY_KEY=k", NULL);
	ck_assert_int_ge(got.status, 400);
	b.at = 0;
	ask_with(&b, "POST /api/v1/runs", URLENCODED, key, NULL);
	ck_assert_int_eq(got.status, 400);
	ask("GET /api/v1/runs");
	ck_assert_str_eq(member("total"), "1");
	free(key);
}
END_TEST

START_TEST(a_full_queue_is_503_with_retry_after)
{
	/* A directory that is gone is how a full or broken disk looks. */
	store_close(st);
	st = NULL;
	ck_ok(service_open_store(&svc, false, true, 2, &st, &err), &err);
	the_worker.store = st;
	post(URLENCODED, "prompt=tart&platform_name="
	    "Instagram+Post+%281%3A1+Square%29", 64);
	ck_assert_int_ge(got.status, 500);
	ck_assert_int_eq(unit_count("data/runs"), 0);
}
END_TEST

TCase *
api_routes_case(void)
{
	TCase *t = tcase_create("routes");

	tcase_add_checked_fixture(t, client_setup, client_teardown);
	add_rows(t, each_path_has_its_answer, answers);
	tcase_add_test(t, an_answer_that_is_too_large_is_a_whole_500);
	tcase_add_test(t, models_for_captions_come_from_the_configuration);
	tcase_add_test(t, a_redirect_is_not_cut);
	tcase_add_test(t, a_redirect_forges_no_header);
	add_rows(t, only_allowed_origins_are_told_so, origins);
	tcase_add_test(t, a_run_is_submitted_read_listed_and_cancelled);
	tcase_add_test(t, a_run_is_deleted_once_it_has_ended);
	add_rows(t, a_bad_body_is_refused_and_nothing_is_kept, bodies);
	tcase_add_test(t, a_body_of_unknown_length_is_cut_at_the_limit);
	tcase_add_test(t, a_picture_arrives_in_the_directory_of_the_run);
	tcase_add_loop_test(t, a_json_body_is_a_form_like_any_other, 0, 2);
	tcase_add_test(t, a_repeated_key_gets_the_first_answer);
	tcase_add_test(t, a_full_queue_is_503_with_retry_after);
	return t;
}
