/*
 * Routes and handlers with a real database and real directories, but without
 * FastCGI: a request is a list of variables and a body, an answer is looked
 * at as it would be written.
 */
#include "tests/unit/api_unit.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "id.h"
#include "src/api/worker.h"
#include "tests/unit/submit_unit.h"
#include "xalloc.h"

#define MAX_VARIABLES 12
#define TYPE "CONTENT_TYPE=multipart/form-data; boundary=AaB"
#define URLENCODED "CONTENT_TYPE=application/x-www-form-urlencoded"
#define PART(name, value) "--AaB\r\nContent-Disposition: form-data; name=\"" \
	name "\"\r\n\r\n" value "\r\n"
#define END "--AaB--\r\n"
#define UNKNOWN_ID "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
#define ORIGIN "HTTP_ORIGIN=http://localhost:3000"

/* A body and how it comes: pieces of at most step bytes, cut after stop. */
struct body {
	const char *text;
	size_t len, at, step;
	bool fails;		/* at its end the reader tells an error */
};

static struct worker w;
static struct response res;
static char run_id[ID_MAX];	/* of the last run made */

static int
read_piece(void *arg, char *buf, int len)
{
	struct body *b = arg;
	size_t n = b->len - b->at;

	if (n == 0)
		return b->fails ? -1 : 0;
	if (n > (size_t)len)
		n = (size_t)len;
	if (n > b->step)
		n = b->step;
	memcpy(buf, b->text + b->at, n);
	b->at += n;
	return (int)n;
}

static void
setup(void)
{
	unit_setup();
	memset(&w, 0, sizeof(w));
	w.svc = &svc;
	w.store = st;
	w.uploads_dirfd = uploads;
	ck_ok(file_open_dir(AT_FDCWD, svc.runs_dir, &w.runs_dirfd, &err),
	    &err);
	response_init(&res);
}

static void
teardown(void)
{
	response_release(&res);
	close(w.runs_dirfd);
	unit_teardown();
}

/* "GET /path?query" with more variables, NULL-terminated, into res. */
static void
ask_with(struct body *b, const char *what, ...)
{
	char *envp[MAX_VARIABLES + 3], *query = strchr(what, '?');
	const char *path = strchr(what, ' ') + 1;
	struct request r;
	va_list ap;
	int n = 3, i;

	envp[0] = xasprintf("REQUEST_METHOD=%.*s", (int)(path - what - 1),
	    what);
	envp[1] = xasprintf("REQUEST_URI=%s", path);
	envp[2] = xasprintf("QUERY_STRING=%s", query != NULL ? query + 1 : "");
	va_start(ap, what);
	do {
		ck_assert_int_lt(n, MAX_VARIABLES + 3);
		envp[n] = va_arg(ap, char *);
	} while (envp[n++] != NULL);
	va_end(ap);
	response_release(&res);
	response_init(&res);
	if (request_init(&r, envp, &err) != ERR_OK) {
		route_refuse(&w, &r, &err, &res);
	} else {
		r.read_body = read_piece;
		r.read_arg = b;
		route_request(&w, &r, &res);
	}
	request_release(&r);
	for (i = 0; i < 3; i++)
		free(envp[i]);
}

#define ask(what) ask_with(NULL, what, NULL)

static void
post(const char *type, const char *text, size_t step)
{
	struct body b = { text, strlen(text), 0, step, false };

	ask_with(&b, "POST /api/v1/runs", type, NULL);
}

/* The value of a header in res, until the next call; NULL when absent. */
static const char *
header(const char *name)
{
	static char value[4096];
	const char *p;
	size_t len = strlen(name);

	for (p = res.headers.buf; *p != '\0'; p = strstr(p, "\r\n") + 2)
		if (strncmp(p, name, len) == 0 && p[len] == ':') {
			snprintf(value, sizeof(value), "%.*s",
			    (int)strcspn(p + len + 2, "\r"), p + len + 2);
			return value;
		}
	return NULL;
}

/* The text at a path of the JSON body, until the next call. */
static const char *
member(const char *path)
{
	static char value[4096];
	struct json_object *o = NULL;

	ck_ok(json_parse(res.body.buf, res.body.len, &o, &err), &err);
	snprintf(value, sizeof(value), "%s", at(o, path));
	json_object_put(o);
	return value;
}

static void
make_run(void)
{
	post(URLENCODED, "prompt=tart&platform_name="
	    "Instagram+Post+%281%3A1+Square%29", 64);
	ck_assert_int_eq(res.status, 200);
	snprintf(run_id, sizeof(run_id), "%s", member("id"));
	ck_assert(id_is_valid(run_id));
}

/* Of the run made last. */
static void
ask_run(const char *method, const char *rest)
{
	char *what = xasprintf("%s /api/v1/runs/%s%s", method, run_id, rest);

	ask(what);
	free(what);
}

static void
ask_file(const char *path, const char *variable)
{
	char *what = xasprintf("GET /api/v1/files/%s/%s", run_id, path);

	ask_with(NULL, what, variable, NULL);
	free(what);
}

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
	ck_assert_msg(res.status == answers[_i].status, "%s: %d %s",
	    answers[_i].what, res.status, res.body.buf);
	if (answers[_i].header != NULL)
		ck_assert_str_eq(header(answers[_i].header),
		    answers[_i].value);
	if (res.status >= 400)
		ck_assert_str_ne(member(res.status == 503 ? "reason" :
		    "detail"), "null");
	/* Whatever the answer: without these a browser shows it to nobody. */
	ck_assert_str_eq(header("Access-Control-Allow-Origin"),
	    "http://localhost:3000");
	ck_assert_str_eq(header("Vary"), "Origin");
	ck_assert_str_eq(header("X-Content-Type-Options"), "nosniff");
	ck_assert(id_is_valid(header("X-Request-Id")));
}
END_TEST

START_TEST(a_redirect_is_not_cut)
{
	char *what = xmalloc(MAX_QUERY_BYTES);

	snprintf(what, MAX_QUERY_BYTES, "GET /health/?a=");
	memset(what + 15, 'x', 4000);
	what[4015] = '\0';
	ask(what);
	ck_assert_int_eq(res.status, 404);
	free(what);
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
	ck_assert_int_eq(res.status, 200);
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
	ck_assert_int_eq(res.status, origins[_i].allowed ? 200 : 400);
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
	ck_assert_str_eq(res.wake, "job");
	ck_assert_ptr_nonnull(strstr(header("Location"), run_id));
	ask_run("GET", "");
	ck_assert_str_eq(member("prompt"), "tart");
	ask_run("GET", "/status");
	ck_assert_str_eq(member("stage_count"), "0");
	ask_run("GET", "/events");
	ck_assert_str_eq(member("last_seq"), "0");
	ask_run("GET", "/results");
	ck_assert_int_eq(res.status, 400);
	ask("GET /api/v1/runs/?page=1&page_size=10&status=PENDING");
	ck_assert_str_eq(member("total"), "1");
	ck_assert_str_eq(member("runs/0/id"), run_id);
	ask_run("POST", "/cancel");
	ck_assert_int_eq(res.status, 200);
	ck_assert_str_eq(res.wake, "cancel");
	ask_run("POST", "/cancel");
	ck_assert_int_eq(res.status, 200);
	ck_assert_ptr_null(res.wake);
	ck_assert_ptr_nonnull(strstr(member("message"), "CANCELLED"));
	ask_run("GET", "/events?after=0");
	ck_assert_str_eq(member("events/0/type"), "run_error");
	ask("GET /api/v1/runs?status=PENDING");
	ck_assert_str_eq(member("total"), "0");
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
	{ "JSON", "CONTENT_TYPE=application/json", "{}", 2, false, 422,
	  "multipart/form-data" },
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
	ck_assert_msg(res.status == bodies[_i].status, "%s: %d %s",
	    bodies[_i].about, res.status, res.body.buf);
	ck_assert_msg(strstr(res.body.buf, bodies[_i].says) != NULL,
	    "%s: %s", bodies[_i].about, res.body.buf);
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
	ck_assert_int_eq(res.status, 413);
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
	ck_assert_int_eq(res.status, 200);
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
	ck_assert_int_eq(res.status, 200);
	ck_assert_ptr_null(header("Idempotency-Replayed"));
	snprintf(first, sizeof(first), "%s", res.body.buf);
	b.at = 0;
	ask_with(&b, "POST /api/v1/runs", URLENCODED,
	    "HTTP_IDEMPOTENCY_KEY=k", NULL);
	ck_assert_int_eq(res.status, 200);
	ck_assert_str_eq(res.body.buf, first);
	ck_assert_str_eq(header("Idempotency-Replayed"), "true");
	ck_assert_ptr_null(res.wake);
	b.at = 0;
	b.len -= 2;
	ask_with(&b, "POST /api/v1/runs", URLENCODED,
	    "HTTP_IDEMPOTENCY_KEY=k", NULL);
	ck_assert_int_ge(res.status, 400);
	b.at = 0;
	ask_with(&b, "POST /api/v1/runs", URLENCODED, key, NULL);
	ck_assert_int_eq(res.status, 400);
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
	w.store = st;
	post(URLENCODED, "prompt=tart&platform_name="
	    "Instagram+Post+%281%3A1+Square%29", 64);
	ck_assert_int_ge(res.status, 500);
	ck_assert_int_eq(unit_count("data/runs"), 0);
}
END_TEST

/* --- files -------------------------------------------------------------------------------- */

#define CONTENT "0123456789"

static void
put_file(const char *name)
{
	char path[PATH_MAX], *slash;
	int fd;

	snprintf(path, sizeof(path), "%s/%s/%s", svc.runs_dir, run_id, name);
	slash = strrchr(path, '/');
	*slash = '\0';
	ck_ok(file_make_dirs(path, 0750, &err), &err);
	*slash = '/';
	fd = open(path, O_WRONLY | O_CREAT, 0640);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq((int)write(fd, CONTENT, strlen(CONTENT)), 10);
	close(fd);
}

static const struct {
	const char *path;
	int status;
	const char *type;	/* NULL: any */
} files[] = {
	{ "a.png", 200, "image/png" },
	{ "a.JPG", 200, "image/jpeg" },
	{ "a", 200, "application/octet-stream" },
	{ "refinements/b.png", 200, "image/png" },
	{ "refinements%2Fb.png", 200, "image/png" },
	{ "pipeline_metadata.json", 200, "application/json" },
	{ "b.png", 404, NULL },
	{ "refinements", 404, NULL },
	{ "refinements/", 404, NULL },
	{ "calls/x.json", 404, NULL },
	{ "calls", 404, NULL },
	{ "./calls/x.json", 404, NULL },
	{ "work/x.png", 404, NULL },
	{ ".tmp-x", 404, NULL },
	{ "refinements/.tmp-x", 404, NULL },
	{ "a.png/x", 404, NULL },
	{ "../" UNKNOWN_ID "/a.png", 403, NULL },
	{ "%2e%2e/x", 403, NULL },
	{ "refinements/../calls/x.json", 403, NULL },
	{ "/etc/passwd", 403, NULL },
	{ "/calls/x.json", 403, NULL },
	{ "link.png", 403, NULL },
	{ "out/passwd", 403, NULL },
};

START_TEST(only_files_of_the_run_are_given_out)
{
	char path[PATH_MAX];

	make_run();
	put_file("a.png");
	put_file("a.JPG");
	put_file("a");
	put_file("pipeline_metadata.json");
	put_file("refinements/b.png");
	put_file("refinements/.tmp-x");
	put_file("calls/x.json");
	put_file("work/x.png");
	put_file(".tmp-x");
	snprintf(path, sizeof(path), "%s/%s/link.png", svc.runs_dir, run_id);
	ck_assert_int_eq(symlink("a.png", path), 0);
	snprintf(path, sizeof(path), "%s/%s/out", svc.runs_dir, run_id);
	ck_assert_int_eq(symlink("/etc", path), 0);
	svc.conf->settings.api_sendfile = SENDFILE_DIRECT;
	ask_file(files[_i].path, "X=");
	ck_assert_msg(res.status == files[_i].status, "%s: %d %s",
	    files[_i].path, res.status, res.body.buf);
	if (files[_i].type != NULL) {
		ck_assert_str_eq(header("Content-Type"), files[_i].type);
		ck_assert_ptr_nonnull(strstr(header("Content-Disposition"),
		    "attachment; filename=\""));
		ck_assert_int_eq(res.file_length, 10);
	} else {
		ck_assert_int_eq(res.file_fd, -1);
	}
}
END_TEST

static const struct {
	const char *range;
	int status;
	int64_t first, length;
} ranges[] = {
	{ "bytes=0-3", 206, 0, 4 },
	{ "bytes=4-", 206, 4, 6 },
	{ "bytes=-3", 206, 7, 3 },
	{ "bytes=-30", 206, 0, 10 },
	{ "bytes=9-99", 206, 9, 1 },
	{ "bytes=0-9223372036854775807", 206, 0, 10 },
	{ "bytes=10-", 416, 0, 0 },
	{ "bytes=-0", 416, 0, 0 },
	{ "bytes=5-3", 200, 0, 10 },
	{ "bytes=0-1,3-4", 200, 0, 10 },
	{ "bytes=", 200, 0, 10 },
	{ "bytes=-", 200, 0, 10 },
	{ "bytes=a-b", 200, 0, 10 },
	{ "bytes=--5", 200, 0, 10 },
	{ "bytes=-5-", 200, 0, 10 },
	{ "bytes=+1-2", 200, 0, 10 },
	{ "lines=1-2", 200, 0, 10 },
};

START_TEST(a_range_is_answered_by_the_rules)
{
	char *variable = xasprintf("HTTP_RANGE=%s", ranges[_i].range);

	make_run();
	put_file("a.png");
	svc.conf->settings.api_sendfile = SENDFILE_DIRECT;
	ask_file("a.png", variable);
	ck_assert_msg(res.status == ranges[_i].status, "%s: %d",
	    ranges[_i].range, res.status);
	if (res.status == 416) {
		ck_assert_str_eq(header("Content-Range"), "bytes */10");
		ck_assert_str_eq(header("Content-Type"), "application/json");
		ck_assert_ptr_null(header("Content-Disposition"));
	} else {
		ck_assert_int_eq(res.file_offset, ranges[_i].first);
		ck_assert_int_eq(res.file_length, ranges[_i].length);
	}
	free(variable);
}
END_TEST

START_TEST(a_file_is_sent_once)
{
	char *known;

	make_run();
	put_file("a.png");
	svc.conf->settings.api_sendfile = SENDFILE_DIRECT;
	ask_file("a.png", "X=");
	known = xasprintf("HTTP_IF_NONE_MATCH=\"x\", %s", header("ETag"));
	ask_file("a.png", known);
	ck_assert_int_eq(res.status, 304);
	ck_assert_int_eq(res.file_fd, -1);
	ask_file("a.png", "HTTP_IF_NONE_MATCH=*");
	ck_assert_int_eq(res.status, 304);
	put_file("b.png");
	ask_file("b.png", known);
	ck_assert_int_eq(res.status, 200);
	free(known);
}
END_TEST

START_TEST(a_range_of_another_version_gives_the_whole_file)
{
	char *what, *same;

	make_run();
	put_file("a.png");
	svc.conf->settings.api_sendfile = SENDFILE_DIRECT;
	what = xasprintf("GET /api/v1/files/%s/a.png", run_id);
	ask(what);
	same = xasprintf("HTTP_IF_RANGE=%s", header("ETag"));
	ask_with(NULL, what, "HTTP_RANGE=bytes=0-3", same, NULL);
	ck_assert_int_eq(res.status, 206);
	ask_with(NULL, what, "HTTP_RANGE=bytes=0-3", "HTTP_IF_RANGE=\"x\"",
	    NULL);
	ck_assert_int_eq(res.status, 200);
	ck_assert_int_eq(res.file_length, 10);
	free(what);
	free(same);
}
END_TEST

START_TEST(the_web_server_is_told_where_the_file_is)
{
	char want[PATH_MAX];

	make_run();
	put_file("refinements/b.png");
	svc.conf->settings.api_sendfile = SENDFILE_X_SENDFILE;
	ask_file("refinements/b.png", "X=");
	ck_assert_int_eq(res.status, 200);
	ck_assert_int_eq(res.file_fd, -1);
	snprintf(want, sizeof(want), "%s/%s/refinements/b.png", svc.runs_dir,
	    run_id);
	ck_assert_str_eq(header("X-Sendfile"), want);
	/* The web server decodes what it is told. */
	free(svc.runs_dir);
	svc.runs_dir = xasprintf("%s/data/a%%41 \xc3\xa4", unit_dir());
	ask_file("refinements/b.png", "X=");
	snprintf(want, sizeof(want), "%s/data/a%%2541%%20%%C3%%A4/%s"
	    "/refinements/b.png", unit_dir(), run_id);
	ck_assert_str_eq(header("X-Sendfile"), want);
	svc.conf->settings.api_sendfile = SENDFILE_X_ACCEL;
	ask_file("refinements/b.png", "X=");
	snprintf(want, sizeof(want), "/churns-files/%s/refinements/b.png",
	    run_id);
	ck_assert_str_eq(header("X-Accel-Redirect"), want);
}
END_TEST

TCase *
api_routes_case(void)
{
	TCase *t = tcase_create("routes");

	tcase_add_checked_fixture(t, setup, teardown);
	add_rows(t, each_path_has_its_answer, answers);
	tcase_add_test(t, a_redirect_is_not_cut);
	tcase_add_test(t, a_redirect_forges_no_header);
	add_rows(t, only_allowed_origins_are_told_so, origins);
	tcase_add_test(t, a_run_is_submitted_read_listed_and_cancelled);
	add_rows(t, a_bad_body_is_refused_and_nothing_is_kept, bodies);
	tcase_add_test(t, a_body_of_unknown_length_is_cut_at_the_limit);
	tcase_add_test(t, a_picture_arrives_in_the_directory_of_the_run);
	tcase_add_test(t, a_repeated_key_gets_the_first_answer);
	tcase_add_test(t, a_full_queue_is_503_with_retry_after);
	add_rows(t, only_files_of_the_run_are_given_out, files);
	add_rows(t, a_range_is_answered_by_the_rules, ranges);
	tcase_add_test(t, a_file_is_sent_once);
	tcase_add_test(t, a_range_of_another_version_gives_the_whole_file);
	tcase_add_test(t, the_web_server_is_told_where_the_file_is);
	return t;
}
