/*
 * The common start of programs: all faults of all files at once, directories
 * that can be used, and wake-ups that never hold anybody up.
 */
#include "tests/unit/submit_unit.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "wake.h"
#include "xalloc.h"

/* --- configuration ------------------------------------------------------------------ */

/* A copy of the conf/ that is shipped, in the directory of this test. */
static char *
copy_conf(void)
{
	char *dir = xasprintf("%s/conf", unit_dir());
	pid_t pid = fork();
	int status = 0;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		execlp("cp", "cp", "-r", TOP_SRCDIR "/conf", dir,
		    (char *)NULL);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	return dir;
}

static void
append(const char *dir, const char *name, const char *text)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "a");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

/* Load dir; the faults are in text. */
static enum err_code
load(const char *dir, struct service *s, struct strbuf *text)
{
	struct conf_options opts = { dir, NULL, false };
	struct problems problems;
	enum err_code rc;

	problems_init(&problems);
	rc = service_load(s, &opts, &problems);
	ck_assert_int_eq(rc == ERR_OK, problems.count == 0);
	strbuf_addstr(text, problems.text.buf);
	problems_release(&problems);
	return rc;
}

START_TEST(faults_of_all_files_are_told_at_once)
{
	static const char *const said[] = { "churns.yml:", "languages.yml:",
		"platforms.yml", "stage_order.yml", "schemas/strategy_x.json",
		"prompts/stranger.txt" };
	struct strbuf text = STRBUF_INIT(100000);
	char *dir = copy_conf();
	struct service s;
	size_t i;

	append(dir, "churns.yml", "\nno_such_setting: 1\n");
	append(dir, "languages.yml", "\n\"en\": Twice\n");
	append(dir, "platforms.yml", "\nno_such_key: 1\n");
	append(dir, "stage_order.yml", "\nno_such_mode: []\n");
	append(dir, "schemas/strategy_x.json", "{");
	append(dir, "prompts/stranger.txt", "hello");
	ck_fails(load(dir, &s, &text), ERR_CONFIG);
	for (i = 0; i < ARRAY_LEN(said); i++)
		ck_assert_msg(strstr(text.buf, said[i]) != NULL, "%s is not "
		    "in:\n%s", said[i], text.buf);
	/* Nothing was kept, and releasing it does no harm. */
	ck_assert_ptr_null(s.conf);
	ck_assert_ptr_null(s.schemas);
	service_release(&s);
	strbuf_release(&text);
	free(dir);
}
END_TEST

START_TEST(a_stage_that_nobody_knows_is_a_fault)
{
	struct strbuf text = STRBUF_INIT(100000);
	char *dir = copy_conf();
	struct service s;

	/* The file ends with the list of a mode. */
	append(dir, "stage_order.yml", "  - no_such\n");
	ck_fails(load(dir, &s, &text), ERR_CONFIG);
	ck_assert_ptr_nonnull(strstr(text.buf, "no_such"));
	strbuf_release(&text);
	free(dir);
}
END_TEST

START_TEST(a_missing_directory_is_one_fault)
{
	struct strbuf text = STRBUF_INIT(100000);
	struct service s;
	const char *newline;

	ck_fails(load("/nonexistent/conf", &s, &text), ERR_CONFIG);
	newline = strchr(text.buf, '\n');
	ck_assert_ptr_nonnull(newline);
	ck_assert_str_eq(newline, "\n");
	ck_assert_ptr_nonnull(strstr(text.buf, "/nonexistent/conf"));
	strbuf_release(&text);
}
END_TEST

START_TEST(loading_twice_gives_other_executors)
{
	struct strbuf text = STRBUF_INIT(100000);
	struct service s;
	int64_t before = executor_constructed_total();
	int m;

	ck_assert_int_eq(setenv("CHURNS_DATA_DIR", "/tmp", 1), 0);
	ck_assert_int_eq(setenv("CHURNS_RUN_DIR", "/tmp", 1), 0);
	ck_assert_int_eq(setenv("CHURNS_IMAGE_HELPER", "/bin/true", 1), 0);
	ck_assert_msg(load(TOP_SRCDIR "/conf", &s, &text) == ERR_OK, "%s",
	    text.buf);
	ck_assert_int_eq(executor_constructed_total(), before + MODE__COUNT);
	for (m = 0; m < MODE__COUNT; m++)
		ck_assert_str_ne(executor_id(executor_get(&s.executors,
		    (enum mode)m)), executor_id(executor_get(&svc.executors,
		    (enum mode)m)));
	service_release(&s);
	strbuf_release(&text);
}
END_TEST

/* --- directories ---------------------------------------------------------------------- */

START_TEST(directories_are_made_with_their_modes)
{
	static const struct {
		const char *path;
		mode_t mode;
	} dirs[] = { { "data", 0750 }, { "data/runs", 0750 },
		{ "data/uploads", 0700 }, { "run", 0770 } };
	char path[PATH_MAX];
	struct stat s;
	mode_t mask = umask(0);
	size_t i;

	snprintf(path, sizeof(path), "%s/data", unit_dir());
	ck_ok(file_remove_tree(AT_FDCWD, path, &err), &err);
	snprintf(path, sizeof(path), "%s/run", unit_dir());
	ck_ok(file_remove_tree(AT_FDCWD, path, &err), &err);
	ck_ok(service_check_dirs(&svc, &err), &err);
	for (i = 0; i < ARRAY_LEN(dirs); i++) {
		snprintf(path, sizeof(path), "%s/%s", unit_dir(),
		    dirs[i].path);
		ck_assert_int_eq(stat(path, &s), 0);
		ck_assert_msg((s.st_mode & 0777) == dirs[i].mode, "%s: %o",
		    dirs[i].path, s.st_mode & 0777);
	}
	umask(mask);
}
END_TEST

START_TEST(a_directory_that_cannot_be_is_a_fault_of_its_setting)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/run", unit_dir());
	ck_ok(file_remove_tree(AT_FDCWD, path, &err), &err);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_fails(service_check_dirs(&svc, &err), ERR_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.msg, "run_dir"));
	ck_assert_ptr_nonnull(strstr(err.msg, path));
	ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(a_process_tells_what_it_is)
{
	struct process_list list = { NULL, 0 };
	struct json_object *stats = json_object_new_object(), *read = NULL;
	struct presence p;

	presence_init(&p, "api", T0);
	json_put_int(stats, "active_tasks", 2);
	ck_ok(presence_beat(&p, &svc, st, stats, T0 + 1, &err), &err);
	stats = json_object_new_object();
	ck_ok(presence_beat(&p, &svc, st, stats, T0 + 2, &err), &err);
	ck_ok(store_list_processes(st, T0, &list, &err), &err);
	ck_assert_int_eq(list.n, 1);
	ck_assert_str_eq(list.rows[0].role, "api");
	ck_assert_int_eq(list.rows[0].pid, getpid());
	ck_assert_int_eq(list.rows[0].started_ms, T0);
	ck_assert_int_eq(list.rows[0].heartbeat_ms, T0 + 2);
	ck_ok(json_parse(list.rows[0].stats, strlen(list.rows[0].stats),
	    &read, &err), &err);
	ck_assert_str_eq(at(read, "executors/generation/id"),
	    executor_id(executor_get(&svc.executors, MODE_GENERATION)));
	ck_assert_int_gt(json_get_int(read, "rss_bytes", 0), 1024 * 1024);
	ck_assert_int_ge(json_get_int(read, "constructed_total", 0),
	    MODE__COUNT);
	json_object_put(read);
	process_list_release(&list);
}
END_TEST

/* --- wake-ups --------------------------------------------------------------------------- */

static char run_dir[64];

static void
wake_setup(void)
{
	snprintf(run_dir, sizeof(run_dir), "/tmp/churns-wake-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(run_dir));
}

static void
wake_teardown(void)
{
	ck_ok(file_remove_tree(AT_FDCWD, run_dir, &err), &err);
}

static bool
is_readable(const struct wake *w)
{
	struct pollfd p = { wake_fd(w), POLLIN, 0 };

	return poll(&p, 1, 0) == 1;
}

/* A datagram socket bound in wake/ whose process is gone. */
static void
leave_dead_socket(const char *name)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/wake/%s", run_dir,
	    name);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	close(fd);
}

static bool
exists(const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/wake/%s", run_dir, name);
	return access(path, F_OK) == 0;
}

START_TEST(a_role_is_woken_and_no_other)
{
	struct wake *runner = NULL, *push = NULL;
	bool seen = false;

	ck_ok(wake_open(run_dir, "runner", &runner, &err), &err);
	ck_ok(wake_open(run_dir, "push", &push, &err), &err);
	ck_assert(!is_readable(runner));
	wake_send(run_dir, "runner", "job");
	wake_send(run_dir, "runner", "cancel");
	wake_send(run_dir, "run", "job");
	wake_send(run_dir, "runner.", "job");
	ck_assert(is_readable(runner));
	ck_assert(!is_readable(push));
	ck_assert_int_eq(wake_drain(runner, "cancel", &seen), 2);
	ck_assert(seen);
	ck_assert(!is_readable(runner));
	ck_assert_int_eq(wake_drain(runner, "cancel", &seen), 0);
	ck_assert(!seen);
	wake_close(runner);
	wake_close(push);
	ck_assert(!exists("runner"));
}
END_TEST

START_TEST(who_follows_runs_is_told_which_has_news)
{
	char text[WAKE_MAX_TEXT + 1];
	struct wake *push = NULL;

	ck_ok(wake_open(run_dir, "push", &push, &err), &err);
	wake_send_event(run_dir, "7b0f");
	wake_send_event(run_dir, "");
	ck_assert(wake_next(push, text));
	ck_assert_str_eq(text, WAKE_EVENT "7b0f");
	ck_assert(wake_next(push, text));
	ck_assert_str_eq(text, WAKE_EVENT);
	ck_assert(!wake_next(push, text));
	ck_assert_str_eq(text, "");
	wake_close(push);
}
END_TEST

START_TEST(nobody_there_is_no_harm)
{
	char missing[100];

	snprintf(missing, sizeof(missing), "%s/none", run_dir);
	wake_send(missing, "runner", "job");
	wake_send(run_dir, "runner", "job");
}
END_TEST

START_TEST(a_sender_never_waits_for_a_receiver_that_sleeps)
{
	struct wake *w = NULL;
	int64_t began;
	bool seen = false;
	int i, n;

	ck_ok(wake_open(run_dir, "runner", &w, &err), &err);
	began = clock_mono_ms();
	for (i = 0; i < 20000; i++)
		wake_send(run_dir, "runner", "job");
	ck_assert_int_lt(clock_mono_ms() - began, 15000);
	/* Some were lost; that there was one was not. */
	n = wake_drain(w, "job", &seen);
	ck_assert_int_ge(n, 1);
	ck_assert_int_lt(n, 20000);
	ck_assert(seen);
	wake_close(w);
}
END_TEST

START_TEST(sockets_of_the_dead_are_removed)
{
	char ours[32];
	struct wake *w = NULL;

	snprintf(ours, sizeof(ours), "runner.%ld", (long)getpid());
	ck_ok(wake_open(run_dir, "runner", &w, &err), &err);
	leave_dead_socket("runner.1");
	leave_dead_socket("push.1");
	wake_send(run_dir, "runner", "job");
	ck_assert(!exists("runner.1"));
	ck_assert(exists("push.1"));
	ck_assert(exists(ours));
	ck_assert_int_eq(wake_drain(w, NULL, NULL), 1);
	wake_close(w);
	ck_assert(!exists(ours));
}
END_TEST

START_TEST(a_new_process_takes_the_place_of_a_dead_one)
{
	char name[32];
	struct wake *w = NULL;
	bool seen = false;

	ck_ok(wake_open(run_dir, "runner", &w, &err), &err);
	wake_close(w);
	snprintf(name, sizeof(name), "runner.%ld", (long)getpid());
	leave_dead_socket(name);
	ck_ok(wake_open(run_dir, "runner", &w, &err), &err);
	wake_send(run_dir, "runner", "job");
	ck_assert_int_eq(wake_drain(w, "job", &seen), 1);
	ck_assert(seen);
	wake_close(w);
}
END_TEST

START_TEST(what_is_no_wake_up_does_no_harm)
{
	char path[PATH_MAX], text[300];
	struct wake *w = NULL;
	bool seen = true;

	ck_ok(wake_open(run_dir, "runner", &w, &err), &err);
	snprintf(path, sizeof(path), "%s/wake/runner.file", run_dir);
	close(open(path, O_WRONLY | O_CREAT, 0600));
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	wake_send(run_dir, "runner", text);
	wake_send(run_dir, "runner", "");
	ck_assert_int_eq(wake_drain(w, "job", &seen), 2);
	ck_assert(!seen);
	/* A file is not ours to remove. */
	ck_assert(exists("runner.file"));
	wake_close(w);
}
END_TEST

START_TEST(a_path_too_long_for_a_socket_is_said_so)
{
	char deep[200];
	struct wake *w = NULL;

	snprintf(deep, sizeof(deep), "%s/%0*d", run_dir, 100, 1);
	ck_fails(wake_open(deep, "runner", &w, &err), ERR_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.msg, "too long"));
	ck_assert_ptr_null(w);
	wake_send(deep, "runner", "job");
}
END_TEST

TCase *
submit_service_case(void)
{
	TCase *t = tcase_create("service");

	tcase_add_checked_fixture(t, unit_setup, unit_teardown);
	tcase_add_test(t, faults_of_all_files_are_told_at_once);
	tcase_add_test(t, a_stage_that_nobody_knows_is_a_fault);
	tcase_add_test(t, a_missing_directory_is_one_fault);
	tcase_add_test(t, loading_twice_gives_other_executors);
	tcase_add_test(t, directories_are_made_with_their_modes);
	tcase_add_test(t,
	    a_directory_that_cannot_be_is_a_fault_of_its_setting);
	tcase_add_test(t, a_process_tells_what_it_is);
	return t;
}

TCase *
submit_wake_case(void)
{
	TCase *t = tcase_create("wake");

	tcase_set_timeout(t, 20);
	tcase_add_checked_fixture(t, wake_setup, wake_teardown);
	tcase_add_test(t, a_role_is_woken_and_no_other);
	tcase_add_test(t, who_follows_runs_is_told_which_has_news);
	tcase_add_test(t, nobody_there_is_no_harm);
	tcase_add_test(t, a_sender_never_waits_for_a_receiver_that_sleeps);
	tcase_add_test(t, sockets_of_the_dead_are_removed);
	tcase_add_test(t, a_new_process_takes_the_place_of_a_dead_one);
	tcase_add_test(t, what_is_no_wake_up_does_no_harm);
	tcase_add_test(t, a_path_too_long_for_a_socket_is_said_so);
	return t;
}
