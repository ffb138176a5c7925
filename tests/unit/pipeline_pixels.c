/*
 * Asking the picture helper, with a shell script in its place that does what
 * its input's name says.
 */
#include "tests/unit/pipeline_unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "xalloc.h"

#include "tests/unit/pipeline_suites.h"

static char dir[128], helper[160];
static struct pixels *pixels;
static struct cancel *stop;

/* $3 is the operation, since two words of options come first. */
static const char script[] =
    "#!/bin/sh\n"
    "echo \"$@\" > asked\n"
    "for last; do :; done\n"
    "case \"$3 $*\" in\n"
    "inspect*good*) echo '{\"type\":\"jpeg\",\"width\":640,\"height\":480,"
    "\"orientation\":6,\"bytes\":99}';;\n"
    "fit*good*) echo fitted > \"$last\";"
    " echo '{\"type\":\"png\",\"width\":100,\"height\":50,\"bytes\":7}';;\n"
    "finish*good*) echo \"{\\\"file\\\":\\\"$last.png\\\",\\\"type\\\":"
    "\\\"png\\\",\\\"width\\\":1,\\\"height\\\":2}\";;\n"
    "finish*outside*) echo '{\"file\":\"../../etc/x.png\"}';;\n"
    "*bad*) echo 'This is not a picture.' >&2; exit 2;;\n"
    "*silent*) exit 2;;\n"
    "*crash*) echo x >> crashes; kill -SEGV $$;;\n"
    "*unlucky*) test -f crashes || { echo x >> crashes; kill -ABRT $$; };"
    " echo '{\"type\":\"png\"}';;\n"
    "*killed*) kill -KILL $$;;\n"
    "*fails*) echo 'out of paint' >&2; exit 1;;\n"
    "*full*) echo 'x: No space left on device' >&2; exit 1;;\n"
    "*nonsense*) echo 'hello';;\n"
    "*chatter*) while :; do echo 0123456789012345678901234567890123456789;"
    " done | head -c 300000;;\n"
    "*hangs*) exec sleep 100;;\n"
    "*lingers*) exec >&- 2>&-; exec sleep 100;;\n"
    "*environment*) env > env.txt; ls /proc/self/fd > fds.txt;"
    " pwd > pwd.txt; grep SigBlk /proc/self/status > sig.txt;"
    " echo '{\"type\":\"png\"}';;\n"
    "esac\n";

static void
pixels_up(void)
{
	int fd;

	snprintf(dir, sizeof(dir), "/tmp/churns-pixels-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(helper, sizeof(helper), "%s/helper", dir);
	fd = open(helper, O_CREAT | O_WRONLY | O_CLOEXEC, 0700);
	ck_ok(file_write_all(fd, script, strlen(script), &err), &err);
	close(fd);
	ck_ok(pixels_new(helper, 2, 60000000, &pixels, &err), &err);
	stop = cancel_new();
}

static void
pixels_down(void)
{
	cancel_free(stop);
	pixels_free(pixels);
	ck_ok(file_remove_tree(AT_FDCWD, dir, &err), &err);
	/* Nobody is left behind, dead or alive. */
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
}

static char *
content(const char *name)
{
	struct strbuf sb = STRBUF_INIT(65536);
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	ck_ok(file_read(path, 65536, &sb, &err), &err);
	return strbuf_detach(&sb);
}

static void
check_content(const char *name, const char *want)
{
	char *got = content(name);

	ck_assert_str_eq(got, want);
	free(got);
}

static enum err_code
inspect(const char *name)
{
	struct pixels_info info;

	return pixels_inspect(pixels, dir, name, stop, &info, &err);
}

START_TEST(what_the_helper_says_is_read)
{
	struct pixels_mark mark = { "run", "model", "hash", true };
	struct pixels_info info;
	char *file = NULL;

	ck_ok(pixels_inspect(pixels, dir, "good.jpg", stop, &info, &err),
	    &err);
	ck_assert_str_eq(info.type, "jpeg");
	ck_assert_int_eq(info.width, 640);
	ck_assert_int_eq(info.height, 480);
	ck_assert_int_eq(info.orientation, 6);
	ck_assert_int_eq(info.bytes, 99);
	check_content("asked", "--max-pixels 60000000 inspect good.jpg\n");
	ck_ok(pixels_fit(pixels, dir, "good.jpg", "small.png", 100, true, stop,
	    &info, &err), &err);
	ck_assert_int_eq(info.width, 100);
	check_content("small.png", "fitted\n");
	check_content("asked", "--max-pixels 60000000 fit --max-side 100 "
	    "--format png good.jpg small.png\n");
	ck_ok(pixels_finish(pixels, dir, "good.0", "generated", &mark, stop,
	    &file, &info, &err), &err);
	ck_assert_str_eq(file, "generated.png");
	free(file);
	check_content("asked", "--max-pixels 60000000 finish --run-id run "
	    "--model model --prompt-hash hash --simulated good.0 generated\n");
	mark.simulated = false;
	ck_ok(pixels_finish(pixels, dir, "good.0", "generated", &mark, NULL,
	    &file, &info, &err), &err);
	free(file);
	check_content("asked", "--max-pixels 60000000 finish --run-id run "
	    "--model model --prompt-hash hash good.0 generated\n");
}
END_TEST

static const struct {
	const char *name;
	enum err_code code;
	const char *words;
} troubles[] = {
	{ "bad.png", ERR_INVALID, "This is not a picture." },
	{ "silent.png", ERR_INVALID, "the picture cannot be used" },
	{ "crash.png", ERR_INVALID, "signal 11" },
	{ "killed.png", ERR_SYSTEM, "killed by signal 9" },
	{ "fails.png", ERR_SYSTEM, "status 1: out of paint" },
	{ "full.png", ERR_FULL, "No space left" },
	{ "nonsense.png", ERR_SYSTEM, "cannot be read" },
	{ "chatter.png", ERR_SYSTEM, "cannot be read" },
	{ "nothing.png", ERR_SYSTEM, "cannot be read" },
	{ "-good.png", ERR_INVALID, "not a picture of the run" },
	{ "/good.png", ERR_INVALID, "not a picture of the run" },
};

START_TEST(each_trouble_has_its_code)
{
	ck_fails(inspect(troubles[_i].name), troubles[_i].code);
	ck_assert_msg(strstr(err.msg, troubles[_i].words) != NULL, "%s: %s",
	    troubles[_i].name, err.msg);
}
END_TEST

START_TEST(a_crash_is_tried_once_more)
{
	ck_ok(inspect("unlucky.png"), &err);
	check_content("crashes", "x\n");
	ck_fails(inspect("crash.png"), ERR_INVALID);
	check_content("crashes", "x\nx\nx\n");
}
END_TEST

START_TEST(a_name_that_leaves_the_directory_is_not_believed)
{
	struct pixels_mark mark = { "r", "m", "h", false };
	struct pixels_info info;
	char *file = NULL;

	ck_fails(pixels_finish(pixels, dir, "outside", "x", &mark, stop, &file,
	    &info, &err), ERR_SYSTEM);
	ck_assert_ptr_null(file);
}
END_TEST

START_TEST(the_helper_has_nothing_of_ours)
{
	sigset_t all;
	char *text;
	int fd;

	fd = open("/dev/null", O_RDONLY);	/* not close-on-exec */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	setenv("SECRET_KEY", "x", 1);
	ck_ok(inspect("environment"), &err);
	close(fd);
	text = content("env.txt");
	ck_assert_ptr_null(strstr(text, "SECRET_KEY"));
	free(text);
	check_content("sig.txt", "SigBlk:\t0000000000000000\n");
	text = content("pwd.txt");
	ck_assert_int_eq(strncmp(text, dir, strlen(dir)), 0);
	free(text);
	/* 0, 1, 2, and the directory that ls itself reads. */
	text = content("fds.txt");
	ck_assert_str_eq(text, "0\n1\n2\n3\n");
	free(text);
}
END_TEST

static void *
fire(void *arg)
{
	struct timespec t = { 0, 100 * 1000000 };

	nanosleep(&t, NULL);	/* let it start; any moment will do */
	cancel_fire(arg, ERR_CANCELLED);
	return NULL;
}

static const char *const hanging[] = { "hangs", "lingers" };

START_TEST(a_cancel_ends_a_helper_that_hangs)
{
	int64_t began = clock_mono_ms();
	pthread_t t;

	ck_assert_int_eq(pthread_create(&t, NULL, fire, stop), 0);
	ck_fails(inspect(hanging[_i]), ERR_CANCELLED);
	ck_assert(clock_mono_ms() - began < 3000);
	pthread_join(t, NULL);
	ck_fails(inspect("good"), ERR_CANCELLED);
}
END_TEST

static void *
inspect_hanging(void *arg)
{
	struct pixels_info info;
	struct err e = ERR_INIT;

	ck_fails(pixels_inspect(pixels, dir, "hangs", arg, &info, &e),
	    ERR_LOST);
	return NULL;
}

START_TEST(whoever_waits_for_a_turn_can_be_cancelled_too)
{
	struct cancel *all = cancel_new();
	pthread_t t[4];
	struct timespec pause = { 0, 200 * 1000000 };
	int i;

	for (i = 0; i < 4; i++)	/* two turns, four who want one */
		ck_assert_int_eq(pthread_create(&t[i], NULL, inspect_hanging,
		    all), 0);
	nanosleep(&pause, NULL);
	cancel_fire(all, ERR_LOST);
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	cancel_free(all);
	ck_ok(inspect("good"), &err);
}
END_TEST

START_TEST(a_helper_that_is_not_there_is_a_fault_of_the_configuration)
{
	struct pixels *p = NULL;

	ck_fails(pixels_new("/nonexistent/helper", 1, 1, &p, &err),
	    ERR_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.msg, "/nonexistent/helper"));
	ck_fails(pixels_new("/etc/passwd", 1, 1, &p, &err), ERR_CONFIG);
	ck_assert_ptr_null(p);
}
END_TEST

TCase *
pipeline_pixels_case(void)
{
	TCase *t;

	t = tcase_create("pixels");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, pixels_up, pixels_down);
	tcase_add_test(t, what_the_helper_says_is_read);
	tcase_add_loop_test(t, each_trouble_has_its_code, 0,
	    (int)ARRAY_LEN(troubles));
	tcase_add_test(t, a_crash_is_tried_once_more);
	tcase_add_test(t, a_name_that_leaves_the_directory_is_not_believed);
	tcase_add_test(t, the_helper_has_nothing_of_ours);
	tcase_add_loop_test(t, a_cancel_ends_a_helper_that_hangs, 0,
	    (int)ARRAY_LEN(hanging));
	tcase_add_test(t, whoever_waits_for_a_turn_can_be_cancelled_too);
	tcase_add_test(t,
	    a_helper_that_is_not_there_is_a_fault_of_the_configuration);
	return t;
}
