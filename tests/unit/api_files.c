/* What a run has made: its results and its files. */
#include "tests/unit/api_unit.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "file.h"
#include "xalloc.h"

/* --- results -------------------------------------------------------------------------------- */

static const struct holder runner = { "life", "host", "boot", "/x" };

/* The run made last is executed: COMPLETED. */
void
complete_run(void)
{
	struct job_end end = { .state = STATE_COMPLETED,
		.event_type = "run_complete", .event_data = "{}" };
	struct job_ref ref = { .fence = 0 };
	int64_t next = 0;
	struct job job;
	bool found = false;

	memset(&job, 0, sizeof(job));
	ck_ok(store_claim(st, &runner, INT64_MAX / 2, 1000, &job, &found,
	    &next, &err), &err);
	ck_assert(found);
	ref.job_id = job.id;
	ref.run_id = job.run_id;
	ref.fence = job.fence;
	ck_ok(store_finish(st, &ref, &end, INT64_MAX / 2, &err), &err);
	job_release(&job);
}

void
put_text(const char *name, const char *text)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", svc.runs_dir, run_id);
	ck_ok(file_make_dirs(path, 0750, &err), &err);
	snprintf(path, sizeof(path), "%s/%s/%s", svc.runs_dir, run_id, name);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

START_TEST(results_come_from_the_metadata)
{
	make_run();
	ask_run("GET", "/results");
	ck_assert_int_eq(got.status, 400);
	ck_assert_ptr_nonnull(strstr(member("detail"), "PENDING"));
	complete_run();
	ask_run("GET", "/results");
	ck_assert_int_eq(got.status, 404);
	put_text("pipeline_metadata.json", "{\"cut");
	ask_run("GET", "/results");
	ck_assert_int_eq(got.status, 500);
	ck_assert_str_eq(member("detail"), "Internal server error");
	put_text("pipeline_metadata.json", "{}");
	ask_run("GET", "/results");
	ck_assert_int_eq(got.status, 200);
	ck_assert_str_eq(member("run_id"), run_id);
	ck_assert_str_eq(member("status"), "COMPLETED");
	ck_assert_str_eq(member("refinements"), "[ ]");
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
	ck_assert_msg(got.status == files[_i].status, "%s: %d %s",
	    files[_i].path, got.status, got.body.buf);
	if (files[_i].type != NULL) {
		ck_assert_str_eq(header("Content-Type"), files[_i].type);
		ck_assert_ptr_nonnull(strstr(header("Content-Disposition"),
		    "attachment; filename=\""));
		ck_assert_int_eq(got.file_length, 10);
	} else {
		ck_assert_int_eq(got.file_fd, -1);
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
	{ "bytes=0-1,", 206, 0, 2 },
	{ "bytes= , 2-3", 206, 2, 2 },
	{ "Bytes=2-3", 206, 2, 2 },
	{ "bytes=0-99999999999999999999999999", 206, 0, 10 },
	{ "bytes=99999999999999999999999999-", 416, 0, 0 },
	{ "bytes=-99999999999999999999999999", 206, 0, 10 },
	{ "bytes=1 -2", 200, 0, 10 },
	{ "bytes 0-1", 200, 0, 10 },
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
	ck_assert_msg(got.status == ranges[_i].status, "%s: %d",
	    ranges[_i].range, got.status);
	if (got.status == 416) {
		ck_assert_str_eq(header("Content-Range"), "bytes */10");
		ck_assert_str_eq(header("Content-Type"), "application/json");
		ck_assert_ptr_null(header("Content-Disposition"));
	} else {
		ck_assert_int_eq(got.file_offset, ranges[_i].first);
		ck_assert_int_eq(got.file_length, ranges[_i].length);
	}
	free(variable);
}
END_TEST

START_TEST(head_knows_no_ranges)
{
	char *what;

	make_run();
	put_file("a.png");
	svc.conf->settings.api_sendfile = SENDFILE_DIRECT;
	what = xasprintf("HEAD /api/v1/files/%s/a.png", run_id);
	ask_with(NULL, what, "HTTP_RANGE=bytes=0-3", NULL);
	ck_assert_int_eq(got.status, 200);
	ck_assert_int_eq(got.file_length, 10);
	ck_assert_str_eq(header("Accept-Ranges"), "bytes");
	ck_assert_ptr_null(header("Content-Range"));
	free(what);
}
END_TEST

START_TEST(what_an_error_says_is_not_about_the_file)
{
	make_run();
	put_file("a.png");
	svc.conf->settings.api_sendfile = SENDFILE_DIRECT;
	ask_file("a.png", "HTTP_IF_MATCH=\"other\"");
	ck_assert_int_eq(got.status, 412);
	ck_assert_int_eq(got.file_fd, -1);
	ck_assert_ptr_null(header("ETag"));
	ck_assert_ptr_null(header("Content-Disposition"));
	ck_assert_str_eq(header("Cache-Control"), "no-store");
	ask_file("a.png", "HTTP_IF_MATCH=*");
	ck_assert_int_eq(got.status, 200);
}
END_TEST

START_TEST(pictures_stay_in_caches_and_documents_are_asked_for)
{
	make_run();
	put_file("a.png");
	put_file("pipeline_metadata.json");
	svc.conf->settings.api_sendfile = SENDFILE_DIRECT;
	ask_file("a.png", "X=");
	ck_assert_str_eq(header("Cache-Control"),
	    "private, max-age=604800, immutable");
	ask_file("pipeline_metadata.json", "X=");
	ck_assert_str_eq(header("Cache-Control"), "private, no-cache");
}
END_TEST

START_TEST(a_file_is_sent_once)
{
	char *known, *date;

	make_run();
	put_file("a.png");
	svc.conf->settings.api_sendfile = SENDFILE_DIRECT;
	ask_file("a.png", "X=");
	known = xasprintf("HTTP_IF_NONE_MATCH=\"x\", %s", header("ETag"));
	ask_file("a.png", known);
	ck_assert_int_eq(got.status, 304);
	ck_assert_int_eq(got.file_fd, -1);
	ck_assert_str_eq(header("Cache-Control"),
	    "private, max-age=604800, immutable");
	ck_assert_ptr_nonnull(header("ETag"));
	ck_assert_ptr_null(header("Content-Type"));
	ask_file("a.png", "HTTP_IF_NONE_MATCH=*");
	ck_assert_int_eq(got.status, 304);
	date = xasprintf("HTTP_IF_MODIFIED_SINCE=%s", header("Last-Modified"));
	ask_file("a.png", date);
	ck_assert_int_eq(got.status, 304);
	ask_file("a.png",
	    "HTTP_IF_MODIFIED_SINCE=Sun, 06 Nov 1994 08:49:37 GMT");
	ck_assert_int_eq(got.status, 200);
	put_file("b.png");
	ask_file("b.png", known);
	ck_assert_int_eq(got.status, 200);
	free(known);
	free(date);
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
	ck_assert_int_eq(got.status, 206);
	free(same);
	same = xasprintf("HTTP_IF_RANGE=%s", header("Last-Modified"));
	ask_with(NULL, what, "HTTP_RANGE=bytes=0-3", same, NULL);
	ck_assert_int_eq(got.status, 206);
	ask_with(NULL, what, "HTTP_RANGE=bytes=0-3",
	    "HTTP_IF_RANGE=Sun, 06 Nov 1994 08:49:37 GMT", NULL);
	ck_assert_int_eq(got.status, 200);
	ask_with(NULL, what, "HTTP_RANGE=bytes=0-3", "HTTP_IF_RANGE=\"x\"",
	    NULL);
	ck_assert_int_eq(got.status, 200);
	ck_assert_int_eq(got.file_length, 10);
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
	ck_assert_int_eq(got.status, 200);
	ck_assert_int_eq(got.file_fd, -1);
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

START_TEST(a_range_outside_the_file_is_refused_by_us_in_any_case)
{
	static const enum sendfile_mode modes[] = { SENDFILE_X_SENDFILE,
		SENDFILE_X_ACCEL };
	char *what;
	size_t i;

	make_run();
	put_file("a.png");
	what = xasprintf("GET /api/v1/files/%s/a.png", run_id);
	for (i = 0; i < ARRAY_LEN(modes); i++) {
		svc.conf->settings.api_sendfile = modes[i];
		ask_with(NULL, what, "HTTP_RANGE=bytes=10-", NULL);
		ck_assert_int_eq(got.status, 416);
		ck_assert_str_eq(header("Content-Range"), "bytes */10");
		ck_assert_str_eq(header("Content-Type"), "application/json");
		ck_assert_ptr_null(header("X-Sendfile"));
		ck_assert_ptr_null(header("X-Accel-Redirect"));
		/* With a condition it is for the web server to say. */
		ask_with(NULL, what, "HTTP_RANGE=bytes=10-",
		    "HTTP_IF_RANGE=\"x\"", NULL);
		ck_assert_int_eq(got.status, 200);
		ask_with(NULL, what, "HTTP_RANGE=bytes=10-",
		    "HTTP_IF_NONE_MATCH=\"x\"", NULL);
		ck_assert_int_eq(got.status, 200);
		ask_with(NULL, what, "HTTP_RANGE=bytes=9-", NULL);
		ck_assert_int_eq(got.status, 200);
	}
	free(what);
}
END_TEST

TCase *
api_files_case(void)
{
	TCase *t = tcase_create("files");

	tcase_add_checked_fixture(t, client_setup, client_teardown);
	tcase_add_test(t, results_come_from_the_metadata);
	add_rows(t, only_files_of_the_run_are_given_out, files);
	add_rows(t, a_range_is_answered_by_the_rules, ranges);
	tcase_add_test(t, head_knows_no_ranges);
	tcase_add_test(t, what_an_error_says_is_not_about_the_file);
	tcase_add_test(t, pictures_stay_in_caches_and_documents_are_asked_for);
	tcase_add_test(t, a_file_is_sent_once);
	tcase_add_test(t, a_range_of_another_version_gives_the_whole_file);
	tcase_add_test(t, the_web_server_is_told_where_the_file_is);
	tcase_add_test(t,
	    a_range_outside_the_file_is_refused_by_us_in_any_case);
	return t;
}
