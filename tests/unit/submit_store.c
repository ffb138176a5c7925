/*
 * Storing a request: wholly or not at all, once per Idempotency-Key, and never
 * a row that names a file which is not there.
 */
#include "tests/unit/submit_unit.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "digest.h"
#include "file.h"
#include "views.h"
#include "xalloc.h"

#define PNG_BASE64 "iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAIAAAAAAAAA"
#define KIT "{\"brand_voice_description\":\"warm\",\"logo_file_base64\":\"" \
	PNG_BASE64 "\"}"

static struct run_request *request;
static struct submit_result result;

static void
setup(void)
{
	unit_setup();
	request = NULL;
	memset(&result, 0, sizeof(result));
}

static void
teardown(void)
{
	request_free(request);
	submit_result_release(&result);
	unit_teardown();
}

/* A fresh request with a picture and, with branding, a logo. */
static void
make_request(const char *prompt, bool picture, bool logo)
{
	request_free(request);
	form_release(&sent);
	add_text("platform_name", SQUARE);
	if (prompt != NULL)
		add_text("prompt", prompt);
	if (picture)
		add_png("../my tart.png", 10, 10);
	if (logo) {
		add_text("apply_branding", "true");
		add_text("brand_kit", KIT);
	}
	request = check_fine();
}

static enum err_code
submit_for(const char *owner, const char *key)
{
	submit_result_release(&result);
	return run_submit(&svc, st, owner, &sent, request, key, T0, &result,
	    &err);
}

#define submit(key) submit_for("ann", key)

static int64_t
stored_runs(void)
{
	struct run_query q = { .page = 1, .page_size = 1 };
	struct run_page page = { .runs = NULL };
	int64_t total;

	ck_ok(store_list_runs(st, &q, &page, &err), &err);
	total = page.total;
	run_page_release(&page);
	return total;
}

/* Whatever was tried has left no trace. */
static void
expect_nothing(void)
{
	ck_assert_int_eq(stored_runs(), 0);
	ck_assert_int_eq(unit_count("data/runs"), 0);
	request_free(request);
	request = NULL;
	form_release(&sent);
	ck_assert_int_eq(unit_count("data/uploads"), 0);
}

static mode_t
mode_of(const char *run_id, const char *name)
{
	char path[PATH_MAX];
	struct stat s;

	snprintf(path, sizeof(path), "%s/%s/%s", svc.runs_dir, run_id, name);
	ck_assert_msg(stat(path, &s) == 0, "%s", path);
	return s.st_mode & 07777;
}

/* --- stored ------------------------------------------------------------------------- */

/* What a client sent of a preset is shown as sent; without a preset it changes
 * nothing else. */
static const struct {
	const char *type;	/* NULL: not sent */
	bool picture;
	const char *base_image;
} recipes[] = {
	{ "STYLE_RECIPE", true, "input_my_tart.png" },
	{ "STYLE_RECIPE", false, "null" },
	{ "INPUT_TEMPLATE", true, "null" },
	{ NULL, true, "null" },
};

START_TEST(a_preset_type_is_shown_as_it_was_sent)
{
	const char *type = recipes[_i].type;
	struct run_page page = { .runs = NULL };
	struct run_query q = { .page = 1, .page_size = 1 };
	struct json_object *o;
	struct run run;

	add_text("platform_name", SQUARE);
	add_text("prompt", "tart");
	if (type != NULL)
		add_text("preset_type", type);
	if (recipes[_i].picture)
		add_png("my tart.png", 10, 10);
	request = check_fine();
	ck_assert_str_eq(at(request->inputs, "preset_type"), "null");
	ck_ok(submit(NULL), &err);
	ck_ok(store_get_run(st, "ann", result.run_id, &run, &err), &err);
	o = view_run(&run);
	ck_assert_str_eq(at(o, "preset_type"), type != NULL ? type : "null");
	ck_assert_str_eq(at(o, "base_image_url"), recipes[_i].base_image);
	ck_assert_str_eq(at(o, "preset_id"), "null");
	json_object_put(o);
	if (strcmp(recipes[_i].base_image, "null") != 0)
		mode_of(result.run_id, recipes[_i].base_image);
	run_release(&run);
	ck_ok(store_list_runs(st, &q, &page, &err), &err);
	o = view_run_list(&page, 1, 1);
	ck_assert_str_eq(at(o, "runs/0/preset_type"),
	    type != NULL ? type : "null");
	json_object_put(o);
	run_page_release(&page);
}
END_TEST

START_TEST(a_stored_run_has_its_rows_and_its_files)
{
	struct stage_list stages = { NULL, 0 };
	struct json_object *inputs = NULL, *form = NULL, *kit = NULL;
	struct run run;
	struct job job;
	int i;

	make_request("tart", true, true);
	ck_ok(submit(NULL), &err);
	ck_assert_int_eq(result.http_status, 200);
	ck_assert(!result.replayed);
	ck_assert(id_is_valid(result.run_id));
	ck_ok(store_get_run(st, "ann", result.run_id, &run, &err), &err);
	ck_assert_int_eq(run.status, STATE_PENDING);
	ck_assert_str_eq(run.platform_name, SQUARE);
	ck_assert_str_eq(run.prompt, "tart");
	ck_assert_str_eq(run.mode, "easy_mode");
	ck_assert_int_eq(run.created_ms, T0);
	ck_ok(json_parse(run.inputs, strlen(run.inputs), &inputs, &err), &err);
	ck_assert_str_eq(at(inputs, "run_id"), result.run_id);
	ck_assert_str_eq(at(inputs, "run_timestamp"),
	    "20231114_221320_000000");
	ck_assert_str_eq(at(inputs, "brand_kit/saved_logo_path_in_run_dir"),
	    "logo.png");
	ck_ok(json_parse(run.form, strlen(run.form), &form, &err), &err);
	ck_assert_ptr_null(json_at(form, "brand_kit"));
	ck_ok(json_parse(run.brand_kit, strlen(run.brand_kit), &kit, &err),
	    &err);
	ck_assert_ptr_nonnull(strstr(at(kit, "saved_logo_path_in_run_dir"),
	    "/logo.png"));
	ck_assert_ptr_nonnull(strstr(at(kit, "saved_logo_path_in_run_dir"),
	    result.run_id));
	ck_ok(store_list_run_stages(st, run.id, &stages, &err), &err);
	ck_assert_int_ge(stages.n, 7);
	for (i = 0; i < stages.n; i++)
		ck_assert_int_eq(stages.rows[i].status, STAGE_PENDING);
	ck_ok(store_get_run_job(st, run.id, &job, &err), &err);
	ck_assert_int_eq(job.state, STATE_PENDING);
	ck_assert_str_eq(job.kind, "generation");
	ck_assert_str_eq(job.owner, "ann");
	ck_assert_uint_eq(mode_of(run.id, ""), 0750);
	ck_assert_uint_eq(mode_of(run.id, "input_my_tart.png"), 0640);
	ck_assert_uint_eq(mode_of(run.id, "logo.png"), 0640);
	form_release(&sent);
	ck_assert_int_eq(unit_count("data/uploads"), 0);
	json_object_put(inputs);
	json_object_put(form);
	json_object_put(kit);
	stage_list_release(&stages);
	job_release(&job);
	run_release(&run);
}
END_TEST

START_TEST(the_answer_is_the_run_as_it_was_stored)
{
	struct json_object *view, *body = NULL;
	struct run run;

	make_request("tart", false, false);
	ck_ok(submit(NULL), &err);
	ck_ok(json_parse(result.body, strlen(result.body), &body, &err), &err);
	ck_ok(store_get_run(st, NULL, result.run_id, &run, &err), &err);
	view = view_run(&run);
	ck_assert(json_object_equal(view, body));
	ck_assert_str_eq(at(body, "status"), "PENDING");
	ck_assert_str_eq(at(body, "created_at"), "2023-11-14T22:13:20Z");
	json_object_put(view);
	json_object_put(body);
	run_release(&run);
}
END_TEST

START_TEST(a_run_without_files_has_no_directory)
{
	make_request("tart", false, false);
	ck_ok(submit(NULL), &err);
	ck_assert_int_eq(unit_count("data/runs"), 0);
	ck_assert_int_eq(stored_runs(), 1);
}
END_TEST

/* --- refused, and nothing left ----------------------------------------------------------- */

START_TEST(without_its_directory_nothing_is_stored)
{
	char moved[PATH_MAX];
	int fd;

	make_request("tart", true, true);
	snprintf(moved, sizeof(moved), "%s-away", svc.runs_dir);
	ck_assert_int_eq(rename(svc.runs_dir, moved), 0);
	ck_assert_int_ne(submit("key"), ERR_OK);
	/* A file in its place is how a wrong mount looks. */
	fd = open(svc.runs_dir, O_WRONLY | O_CREAT, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_ne(submit("key"), ERR_OK);
	ck_assert_int_eq(unlink(svc.runs_dir), 0);
	ck_assert_int_eq(rename(moved, svc.runs_dir), 0);
	expect_nothing();
}
END_TEST

START_TEST(in_a_directory_that_is_read_only_nothing_is_stored)
{
	make_request("tart", true, true);
	ck_assert_int_eq(chmod(unit_dir(), 0755), 0);
	ck_assert_int_eq(chmod(svc.conf->settings.data_dir, 0755), 0);
	ck_assert_int_eq(chmod(svc.runs_dir, 0555), 0);
	/* Root may write anyway. */
	if (geteuid() == 0)
		ck_assert_int_eq(seteuid(65534), 0);
	ck_fails(submit(NULL), ERR_SYSTEM);
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_eq(chmod(svc.runs_dir, 0700), 0);
	expect_nothing();
}
END_TEST

START_TEST(when_a_file_cannot_be_moved_nothing_is_stored)
{
	make_request("tart", true, true);
	/* The picture goes first, so its directory is there already. */
	ck_assert_int_eq(unlinkat(uploads, request->logo_tmp, 0), 0);
	ck_assert_int_ne(submit("key"), ERR_OK);
	expect_nothing();
}
END_TEST

START_TEST(when_the_database_may_not_be_written_nothing_is_stored)
{
	make_request("tart", true, true);
	store_close(st);
	st = NULL;
	ck_ok(service_open_store(&svc, false, true, 2, &st, &err), &err);
	ck_assert_int_ne(submit("key"), ERR_OK);
	expect_nothing();
}
END_TEST

START_TEST(when_the_disk_takes_no_more_nothing_is_stored)
{
	static const struct rlimit none = { 0, RLIM_INFINITY };
	static const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	make_request("tart", true, true);
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	ck_assert_int_ne(submit("key"), ERR_OK);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &all), 0);
	expect_nothing();
	/* And it goes on afterwards. */
	make_request("tart", true, true);
	ck_ok(submit("key"), &err);
	ck_assert_int_eq(stored_runs(), 1);
}
END_TEST

/* --- once per key -------------------------------------------------------------------------- */

START_TEST(a_repeated_request_gets_the_first_answer)
{
	char first[ID_MAX], *body;

	make_request("tart", true, false);
	ck_ok(submit("key"), &err);
	memcpy(first, result.run_id, sizeof(first));
	body = xstrdup(result.body);
	make_request("tart", true, false);
	ck_ok(submit("key"), &err);
	ck_assert(result.replayed);
	ck_assert_str_eq(result.run_id, "");
	ck_assert_int_eq(result.http_status, 200);
	ck_assert_str_eq(result.body, body);
	ck_assert_ptr_nonnull(strstr(body, first));
	ck_assert_int_eq(stored_runs(), 1);
	ck_assert_int_eq(unit_count("data/runs"), 1);
	form_release(&sent);
	ck_assert_int_eq(unit_count("data/uploads"), 0);
	free(body);
}
END_TEST

START_TEST(a_key_is_for_one_request)
{
	make_request("tart", true, false);
	ck_ok(submit("key"), &err);
	make_request("another tart", true, false);
	ck_fails(submit("key"), ERR_TYPE);
	ck_assert_ptr_nonnull(strstr(err.msg, "Idempotency-Key"));
	make_request("tart", false, false);
	ck_fails(submit("key"), ERR_TYPE);
	ck_assert_int_eq(stored_runs(), 1);
	ck_assert_int_eq(unit_count("data/runs"), 1);
	form_release(&sent);
	ck_assert_int_eq(unit_count("data/uploads"), 0);
}
END_TEST

START_TEST(another_key_or_owner_is_another_request)
{
	make_request("tart", false, false);
	ck_ok(submit_for("ann", "key"), &err);
	make_request("tart", false, false);
	ck_ok(submit_for("bob", "key"), &err);
	ck_assert(!result.replayed);
	make_request("tart", false, false);
	ck_ok(submit_for("ann", "other"), &err);
	ck_assert(!result.replayed);
	make_request("tart", false, false);
	ck_ok(submit_for("ann", NULL), &err);
	ck_assert_int_eq(stored_runs(), 4);
}
END_TEST

/* One of several threads that submit the same at the same moment. */
struct twin {
	pthread_t thread;
	pthread_barrier_t *start;
	const char *key;
	uint8_t png[PNG_BYTES];
	enum err_code rc;
	struct submit_result result;
};

static void *
submit_twin(void *arg)
{
	struct twin *t = arg;
	struct err e = ERR_INIT;
	struct run_request r;
	struct faults faults;
	struct form f;
	int fd = -1;

	memset(&r, 0, sizeof(r));
	form_init(&f, uploads);
	faults_init(&faults);
	form_add(&f, "platform_name", SQUARE, strlen(SQUARE), &e);
	upload_create(uploads, &f.files[0].tmp, &fd, &e);
	file_write_all(fd, t->png, sizeof(t->png), &e);
	close(fd);
	f.files[0].name = xstrdup("image_file");
	f.files[0].filename = xstrdup("x.png");
	f.files[0].content_type = xstrdup("");
	f.files[0].size = sizeof(t->png);
	digest_buf_hex(t->png, sizeof(t->png), f.files[0].sha256);
	f.n_files = 1;
	t->rc = run_form_check(svc.conf, &f, &r, &faults, &e);
	pthread_barrier_wait(t->start);
	if (t->rc == ERR_OK)
		t->rc = run_submit(&svc, st, "ann", &f, &r, t->key, T0,
		    &t->result, &e);
	run_request_release(&r, uploads);
	faults_release(&faults);
	form_release(&f);
	return NULL;
}

#define TWINS 4
#define ROUNDS 10

START_TEST(twins_of_one_key_make_one_run)
{
	pthread_barrier_t start;
	struct twin twins[TWINS];
	char key[20];
	int round, i, news;

	for (round = 0; round < ROUNDS; round++) {
		snprintf(key, sizeof(key), "key-%d", round);
		memset(twins, 0, sizeof(twins));
		pthread_barrier_init(&start, NULL, TWINS);
		for (i = 0; i < TWINS; i++) {
			twins[i].start = &start;
			twins[i].key = key;
			make_png(twins[i].png, 10, 10);
			ck_assert_int_eq(pthread_create(&twins[i].thread, NULL,
			    submit_twin, &twins[i]), 0);
		}
		news = 0;
		for (i = 0; i < TWINS; i++) {
			pthread_join(twins[i].thread, NULL);
			ck_assert_int_eq(twins[i].rc, ERR_OK);
			news += !twins[i].result.replayed;
		}
		ck_assert_int_eq(news, 1);
		for (i = 1; i < TWINS; i++)
			ck_assert_str_eq(twins[i].result.body,
			    twins[0].result.body);
		for (i = 0; i < TWINS; i++)
			submit_result_release(&twins[i].result);
		pthread_barrier_destroy(&start);
		ck_assert_int_eq(stored_runs(), round + 1);
		ck_assert_int_eq(unit_count("data/runs"), round + 1);
		ck_assert_int_eq(unit_count("data/uploads"), 0);
	}
}
END_TEST

TCase *
submit_store_case(void)
{
	TCase *t = tcase_create("storing");

	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_stored_run_has_its_rows_and_its_files);
	add_rows(t, a_preset_type_is_shown_as_it_was_sent, recipes);
	tcase_add_test(t, the_answer_is_the_run_as_it_was_stored);
	tcase_add_test(t, a_run_without_files_has_no_directory);
	tcase_add_test(t, without_its_directory_nothing_is_stored);
	tcase_add_test(t, in_a_directory_that_is_read_only_nothing_is_stored);
	tcase_add_test(t, when_a_file_cannot_be_moved_nothing_is_stored);
	tcase_add_test(t,
	    when_the_database_may_not_be_written_nothing_is_stored);
	tcase_add_test(t, when_the_disk_takes_no_more_nothing_is_stored);
	tcase_add_test(t, a_repeated_request_gets_the_first_answer);
	tcase_add_test(t, a_key_is_for_one_request);
	tcase_add_test(t, another_key_or_owner_is_another_request);
	tcase_add_test(t, twins_of_one_key_make_one_run);
	return t;
}
