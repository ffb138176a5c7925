/*
 * The API without a web server: decoding, requests, answers.  The fixture of
 * all files of test_api is here, too.
 */
#include "tests/unit/api_unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "file.h"
#include "id.h"
#include "src/api/multipart.h"
#include "src/api/request.h"
#include "src/api/uploads.h"
#include "xalloc.h"

static char dir[64];
static int uploads_fd = -1;

void
api_setup(void)
{
	char path[100];

	snprintf(dir, sizeof(dir), "/tmp/churns-api-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/uploads", dir);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	uploads_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(uploads_fd, 0);
}

void
api_teardown(void)
{
	struct err e = ERR_INIT;

	close(uploads_fd);
	ck_ok(file_remove_tree(AT_FDCWD, dir, &e), &e);
}

const char *
api_dir(void)
{
	return dir;
}

int
api_uploads(void)
{
	return uploads_fd;
}

int
api_upload_count(void)
{
	char path[100];
	struct dirent *entry;
	DIR *d;
	int n = 0;

	snprintf(path, sizeof(path), "%s/uploads", dir);
	d = opendir(path);
	ck_assert_ptr_nonnull(d);
	for (entry = readdir(d); entry != NULL; entry = readdir(d))
		n += entry->d_name[0] != '.';
	closedir(d);
	return n;
}

enum err_code
api_feed(const char *content_type, const char *body, size_t len, size_t step,
    struct form *form, struct err *e)
{
	struct multipart *m = NULL;
	enum err_code rc;
	size_t at, n;

	rc = multipart_new(content_type, form, &m, e);
	for (at = 0; rc == ERR_OK && at < len; at += n) {
		n = step == 0 || len - at < step ? len - at : step;
		rc = multipart_feed(m, body + at, n, e);
	}
	if (rc == ERR_OK)
		rc = multipart_end(m, e);
	multipart_free(m);
	return rc;
}

/* --- urlencoded ------------------------------------------------------------------- */

static const struct {
	const char *text, *want;	/* "name=value;" each; NULL: refused */
} encoded[] = {
	{ "", "" },
	{ "a=1", "a=1;" },
	{ "a=1&b=2&a=3", "a=1;b=2;a=3;" },
	{ "a", "a=;" },
	{ "a=", "a=;" },
	{ "=1", "=1;" },
	{ "&&a=1&&", "a=1;" },
	{ "a=b=c", "a=b=c;" },
	{ "a=x;b=y", "a=x;b=y;" },
	{ "a+b=c+d%2B%20e", "a b=c d+ e;" },
	{ "%61=%e2%82%AC", "a=\xe2\x82\xac;" },
	{ "a=%0d%0a%26%3D", "a=\r\n&=;" },
	{ "a=%", NULL },
	{ "a=%4", NULL },
	{ "a=%4g", NULL },
	{ "a=%g4", NULL },
	{ "a=%%41", NULL },
	{ "a=%00", NULL },
	{ "%00=a", NULL },
	{ "%ff=a", NULL },
	{ "b=1&a=%", NULL },
};

START_TEST(a_query_is_decoded_strictly)
{
	struct strbuf seen = STRBUF_INIT(1000);
	struct err e = ERR_INIT;
	struct form f;
	int i;

	form_init(&f, -1);
	if (encoded[_i].want == NULL) {
		ck_fails(urlencoded_parse(encoded[_i].text,
		    strlen(encoded[_i].text), &f, &e), ERR_INVALID);
		form_release(&f);
		return;
	}
	ck_ok(urlencoded_parse(encoded[_i].text, strlen(encoded[_i].text), &f,
	    &e), &e);
	for (i = 0; i < f.n_fields; i++)
		strbuf_addf(&seen, "%s=%s;", f.fields[i].name,
		    f.fields[i].value);
	ck_assert_str_eq(seen.buf, encoded[_i].want);
	strbuf_release(&seen);
	form_release(&f);
}
END_TEST

START_TEST(a_query_has_limits)
{
	struct strbuf text = STRBUF_INIT(100000);
	struct err e = ERR_INIT;
	struct form f;
	int i;

	form_init(&f, -1);
	for (i = 0; i < FORM_MAX_FIELDS; i++)
		strbuf_addstr(&text, "a=1&");
	ck_ok(urlencoded_parse(text.buf, text.len, &f, &e), &e);
	ck_assert_int_eq(f.n_fields, FORM_MAX_FIELDS);
	form_release(&f);
	strbuf_addstr(&text, "a=1");
	ck_fails(urlencoded_parse(text.buf, text.len, &f, &e), ERR_INVALID);
	form_release(&f);

	strbuf_reset(&text);
	for (i = 0; i < MAX_FIELD_NAME_BYTES; i++)
		strbuf_addch(&text, 'n');
	ck_ok(urlencoded_parse(text.buf, text.len, &f, &e), &e);
	form_release(&f);
	strbuf_addch(&text, 'n');
	ck_fails(urlencoded_parse(text.buf, text.len, &f, &e), ERR_INVALID);
	form_release(&f);
	strbuf_release(&text);
}
END_TEST

START_TEST(decoding_stays_in_its_room)
{
	char out[4];

	ck_assert(percent_decode("a+c", 3, out, sizeof(out)));
	ck_assert_str_eq(out, "a+c");
	ck_assert(percent_decode("%61%2f%63", 9, out, sizeof(out)));
	ck_assert_str_eq(out, "a/c");
	ck_assert(!percent_decode("abcd", 4, out, sizeof(out)));
	ck_assert(!percent_decode("%61%62%63%64", 12, out, sizeof(out)));
	ck_assert(percent_decode("abcd%", 3, out, sizeof(out)));
}
END_TEST

/* --- requests ------------------------------------------------------------------------ */

#define MAX_VARIABLES 20

/* A request from variables; the caller releases it. */
static enum err_code
request_of(struct request *r, struct err *e, ...)
{
	char *envp[MAX_VARIABLES];
	va_list ap;
	int n = 0;

	va_start(ap, e);
	do {
		ck_assert_int_lt(n, MAX_VARIABLES);
		envp[n] = va_arg(ap, char *);
	} while (envp[n++] != NULL);
	va_end(ap);
	return request_init(r, envp, e);
}

static const struct {
	const char *uri, *path;	/* NULL: refused */
} paths[] = {
	{ "/", "/" },
	{ "/api/v1/runs?x=1", "/api/v1/runs" },
	{ "/api/v1/runs/?x=1", "/api/v1/runs/" },
	{ "/a#b", "/a" },
	{ "/%61%20b", "/a b" },
	{ "/a+b", "/a+b" },
	{ "/a%2fb", "/a/b" },
	{ "/a/../b", "/a/../b" },
	{ "/%0d%0aX: y", "/\r\nX: y" },
	{ "/a%", NULL },
	{ "/a%zz", NULL },
	{ "/a%00b", NULL },
};

START_TEST(a_path_is_decoded_once)
{
	char *uri = xasprintf("REQUEST_URI=%s", paths[_i].uri);
	struct err e = ERR_INIT;
	struct request r;

	if (paths[_i].path == NULL) {
		ck_fails(request_of(&r, &e, uri, NULL), ERR_INVALID);
		ck_assert_str_eq(r.path, "/");
	} else {
		ck_ok(request_of(&r, &e, uri, NULL), &e);
		ck_assert_str_eq(r.path, paths[_i].path);
	}
	request_release(&r);
	free(uri);
}
END_TEST

START_TEST(a_path_and_a_query_are_only_so_long)
{
	char *longest = xmalloc(MAX_QUERY_BYTES + 100), *uri, *query;
	struct err e = ERR_INIT;
	struct request r;

	memset(longest, 'a', MAX_QUERY_BYTES + 99);
	longest[MAX_QUERY_BYTES + 99] = '\0';
	uri = xasprintf("REQUEST_URI=/%.*s", MAX_PATH_BYTES - 2, longest);
	ck_ok(request_of(&r, &e, uri, NULL), &e);
	request_release(&r);
	free(uri);
	uri = xasprintf("REQUEST_URI=/%.*s", MAX_PATH_BYTES - 1, longest);
	ck_fails(request_of(&r, &e, uri, NULL), ERR_INVALID);
	ck_assert_str_eq(r.path, "/");
	request_release(&r);
	free(uri);
	uri = xasprintf("PATH_INFO=/%.*s", MAX_PATH_BYTES - 1, longest);
	ck_fails(request_of(&r, &e, uri, NULL), ERR_INVALID);
	request_release(&r);
	free(uri);
	query = xasprintf("QUERY_STRING=a=%.*s", MAX_QUERY_BYTES - 1, longest);
	ck_fails(request_of(&r, &e, "REQUEST_URI=/x", query, NULL),
	    ERR_INVALID);
	request_release(&r);
	free(query);
	free(longest);
}
END_TEST

START_TEST(a_request_without_variables_is_a_get_of_the_root)
{
	struct err e = ERR_INIT;
	struct request r;

	ck_ok(request_of(&r, &e, NULL), &e);
	ck_assert_int_eq(r.method, METHOD_GET);
	ck_assert_str_eq(r.path, "/");
	ck_assert_int_eq(r.content_length, -1);
	ck_assert_str_eq(r.content_type, "");
	ck_assert_str_eq(r.accept, "");
	ck_assert_ptr_null(r.origin);
	ck_assert_ptr_null(r.idempotency_key);
	ck_assert_str_eq(r.owner, OWNER_DEFAULT);
	ck_assert(id_is_valid(r.id));
	request_release(&r);
}
END_TEST

START_TEST(a_request_has_what_the_server_said)
{
	struct err e = ERR_INIT;
	struct request r;

	ck_ok(request_of(&r, &e, "REQUEST_METHOD=POST", "SCRIPT_NAME=/api",
	    "PATH_INFO=/v1/runs", "QUERY_STRING=page=2&status=PENDING",
	    "CONTENT_TYPE=a/b", "CONTENT_LENGTH=12",
	    "HTTP_ORIGIN=http://x", "HTTP_IF_NONE_MATCH=\"1\"",
	    "HTTP_RANGE=bytes=0-1", "HTTP_ACCEPT=c/d",
	    "HTTP_IDEMPOTENCY_KEY=key", "HTTP_X_REQUEST_ID=abc-1_2.3", NULL),
	    &e);
	ck_assert_int_eq(r.method, METHOD_POST);
	ck_assert_str_eq(r.path, "/api/v1/runs");
	ck_assert_str_eq(form_get(&r.query, "status"), "PENDING");
	ck_assert_str_eq(r.content_type, "a/b");
	ck_assert_int_eq(r.content_length, 12);
	ck_assert_str_eq(r.origin, "http://x");
	ck_assert_str_eq(r.conditions.if_none_match, "\"1\"");
	ck_assert_str_eq(r.conditions.range, "bytes=0-1");
	ck_assert_str_eq(r.accept, "c/d");
	ck_assert_str_eq(r.idempotency_key, "key");
	ck_assert_str_eq(r.id, "abc-1_2.3");
	request_release(&r);
}
END_TEST

static const char *const strange_ids[] = { "", "a b", "a\nb", "a\"b",
	"\xc3\xa4", "0123456789012345678901234567890123456789"
	"0123456789012345678901234" };

START_TEST(a_strange_request_id_is_replaced)
{
	char *id = xasprintf("HTTP_X_REQUEST_ID=%s", strange_ids[_i]);
	struct err e = ERR_INIT;
	struct request r;

	ck_ok(request_of(&r, &e, id, NULL), &e);
	ck_assert(id_is_valid(r.id));
	request_release(&r);
	free(id);
}
END_TEST

static const struct {
	const char *length;
	int64_t want;
} content_lengths[] = {
	{ "0", 0 }, { "67108864", 67108864 }, { "", -1 }, { "-1", -1 },
	{ "1x", -1 }, { "99999999999999999999", -1 },
};

START_TEST(only_a_number_is_a_content_length)
{
	char *v = xasprintf("CONTENT_LENGTH=%s", content_lengths[_i].length);
	struct err e = ERR_INIT;
	struct request r;

	ck_ok(request_of(&r, &e, v, NULL), &e);
	ck_assert_int_eq(r.content_length, content_lengths[_i].want);
	request_release(&r);
	free(v);
}
END_TEST

static const struct {
	const char *query;
	int64_t want;
	const char *type;	/* of the fault; NULL: none */
} query_ints[] = {
	{ "", 20, NULL }, { "n=", 20, NULL }, { "m=7", 20, NULL },
	{ "n=1", 1, NULL }, { "n=100", 100, NULL }, { "n=7&n=8", 8, NULL },
	{ "n=0", 20, "greater_than_equal" },
	{ "n=-1", 20, "greater_than_equal" },
	{ "n=101", 20, "less_than_equal" },
	{ "n=x", 20, "int_parsing" }, { "n=1.5", 20, "int_parsing" },
	{ "n=%201", 20, "int_parsing" },
	{ "n=99999999999999999999", 20, "int_parsing" },
	{ "n=%ff", 20, "int_parsing" },
};

START_TEST(a_number_in_a_query_is_checked)
{
	char *q = xasprintf("QUERY_STRING=%s", query_ints[_i].query);
	struct err e = ERR_INIT;
	struct json_object *body;
	struct faults faults;
	struct request r;
	int status = 0;

	faults_init(&faults);
	ck_ok(request_of(&r, &e, q, NULL), &e);
	ck_assert_int_eq(query_int(&r, "n", 20, 1, 100, &faults),
	    query_ints[_i].want);
	ck_assert_int_eq(faults_any(&faults), query_ints[_i].type != NULL);
	if (query_ints[_i].type != NULL) {
		body = faults_body(&faults, &status);
		ck_assert_int_eq(status, 422);
		ck_assert_str_eq(json_object_get_string(json_at(body,
		    "detail/0/type")), query_ints[_i].type);
		ck_assert_str_eq(json_object_get_string(json_at(body,
		    "detail/0/loc/0")), "query");
		ck_assert_str_eq(json_object_get_string(json_at(body,
		    "detail/0/loc/1")), "n");
		json_object_put(body);
	}
	faults_release(&faults);
	request_release(&r);
	free(q);
}
END_TEST

/* --- answers --------------------------------------------------------------------------- */

START_TEST(no_header_can_be_forged)
{
	static const char *const values[] = { "x\r\nSet-Cookie: a=b",
		"x\nSet-Cookie: a=b", "x\rSet-Cookie: a=b", "x\x7fy" };
	struct response res;
	size_t i;

	for (i = 0; i < ARRAY_LEN(values); i++) {
		response_init(&res);
		response_header(&res, "X-A", "%s", values[i]);
		ck_assert_str_eq(res.headers.buf, "X-A: x\r\n");
		response_release(&res);
	}
}
END_TEST

/* The body of an answer, parsed. */
static struct json_object *
body_of(const struct response *res)
{
	struct json_object *o = NULL;
	struct err e = ERR_INIT;

	ck_ok(json_parse(res->body.buf, res->body.len, &o, &e), &e);
	return o;
}

static const struct {
	enum err_code code;
	bool development;
	int status;
	const char *key, *says;	/* a path in the body and part of its text */
	const char *header;	/* NULL: any */
} errors[] = {
	{ ERR_INVALID, false, 400, "detail", "what happened", NULL },
	{ ERR_FORBIDDEN, false, 403, "detail", "what happened", NULL },
	{ ERR_NOT_FOUND, false, 404, "detail", "what happened", NULL },
	{ ERR_CONFLICT, false, 409, "detail", "what happened", NULL },
	{ ERR_TOO_LARGE, false, 413, "detail", "what happened", NULL },
	{ ERR_TYPE, false, 422, "detail/0/msg", "what happened", NULL },
	{ ERR_BUSY, false, 503, "detail", "what happened", "Retry-After: 2" },
	{ ERR_FULL, false, 503, "detail", "what happened", "Retry-After: 2" },
	{ ERR_SYSTEM, false, 500, "detail", "Internal server error", NULL },
	{ ERR_SYSTEM, false, 500, "error", "log says why", NULL },
	{ ERR_SYSTEM, true, 500, "error", "what happened", NULL },
};

START_TEST(an_error_is_answered_in_its_documented_shape)
{
	struct err e = ERR_INIT;
	struct json_object *body;
	struct response res;

	err_set(&e, errors[_i].code, "what happened");
	response_init(&res);
	response_err(&res, &e, errors[_i].development);
	ck_assert_int_eq(res.status, errors[_i].status);
	ck_assert_str_ne(http_reason(res.status), "Unknown");
	body = body_of(&res);
	ck_assert_ptr_nonnull(strstr(json_object_get_string(json_at(body,
	    errors[_i].key)), errors[_i].says));
	if (errors[_i].status == 500 && !errors[_i].development)
		ck_assert_ptr_null(strstr(res.body.buf, "what happened"));
	if (errors[_i].header != NULL)
		ck_assert_ptr_nonnull(strstr(res.headers.buf,
		    errors[_i].header));
	ck_assert_ptr_nonnull(strstr(res.headers.buf,
	    "Content-Type: application/json\r\nCache-Control: no-store\r\n"));
	json_object_put(body);
	response_release(&res);
}
END_TEST

/* --- uploads that nobody will come back for -------------------------------------------- */

/* A pid that was ours a moment ago and is nobody's now. */
static pid_t
dead_pid(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	return pid;
}

static void
make_upload(const char *name, int64_t age_s)
{
	struct timespec times[2];
	int fd = openat(uploads_fd, name, O_WRONLY | O_CREAT, 0600);

	ck_assert_int_ge(fd, 0);
	clock_gettime(CLOCK_REALTIME, &times[0]);
	times[0].tv_sec -= age_s;
	times[1] = times[0];
	ck_assert_int_eq(futimens(fd, times), 0);
	close(fd);
}

START_TEST(what_dead_processes_left_is_swept)
{
	char ours[80], theirs[80], old[80], zombies[80];
	pid_t zombie = fork();
	struct err e = ERR_INIT;
	siginfo_t info;

	if (zombie == 0)
		_exit(0);
	ck_assert_int_eq(waitid(P_PID, (id_t)zombie, &info,
	    WEXITED | WNOWAIT), 0);
	snprintf(zombies, sizeof(zombies), "up-%ld-a", (long)zombie);
	make_upload(zombies, 0);

	snprintf(ours, sizeof(ours), "up-%ld-a", (long)getpid());
	snprintf(theirs, sizeof(theirs), "up-%ld-a", (long)dead_pid());
	snprintf(old, sizeof(old), "up-%ld-b", (long)getpid());
	make_upload(ours, 0);
	make_upload(theirs, 0);
	make_upload(old, 4000);
	make_upload("up-x", 0);
	make_upload("other", 4000);
	ck_ok(uploads_sweep(dir, &e), &e);
	ck_assert_int_eq(faccessat(uploads_fd, ours, F_OK, 0), 0);
	ck_assert_int_eq(faccessat(uploads_fd, "other", F_OK, 0), 0);
	ck_assert_int_eq(api_upload_count(), 2);
	ck_assert_int_eq(waitpid(zombie, NULL, 0), zombie);
	ck_fails(uploads_sweep("/nonexistent", &e), ERR_NOT_FOUND);
}
END_TEST

static Suite *
api_suite(void)
{
	Suite *s = suite_create("api");
	TCase *t = tcase_create("requests");

	add_rows(t, a_query_is_decoded_strictly, encoded);
	tcase_add_test(t, a_query_has_limits);
	tcase_add_test(t, decoding_stays_in_its_room);
	add_rows(t, a_path_is_decoded_once, paths);
	tcase_add_test(t, a_path_and_a_query_are_only_so_long);
	tcase_add_test(t, a_request_without_variables_is_a_get_of_the_root);
	tcase_add_test(t, a_request_has_what_the_server_said);
	add_rows(t, a_strange_request_id_is_replaced, strange_ids);
	add_rows(t, only_a_number_is_a_content_length, content_lengths);
	add_rows(t, a_number_in_a_query_is_checked, query_ints);
	tcase_add_test(t, no_header_can_be_forged);
	add_rows(t, an_error_is_answered_in_its_documented_shape, errors);
	suite_add_tcase(s, t);
	t = tcase_create("uploads");
	tcase_add_checked_fixture(t, api_setup, api_teardown);
	tcase_add_test(t, what_dead_processes_left_is_swept);
	suite_add_tcase(s, t);
	suite_add_tcase(s, api_multipart_case());
	suite_add_tcase(s, api_large_case());
	suite_add_tcase(s, api_routes_case());
	suite_add_tcase(s, api_files_case());
	suite_add_tcase(s, api_docs_case());
	suite_add_tcase(s, api_conditions_case());
	suite_add_tcase(s, api_tags_case());
	suite_add_tcase(s, api_metrics_case());
	suite_add_tcase(s, api_lists_case());
	suite_add_tcase(s, api_seat_case());
	return s;
}

int
main(void)
{
	SRunner *sr = srunner_create(api_suite());
	int failed;

	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
