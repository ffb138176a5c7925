/* The turn to write between processes, the log, and the readers. */
#include "tests/unit/store_support.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "xalloc.h"

Suite *turn_suite(void);

/* --- the turn between processes ------------------------------------------- */

/* A process that holds the turn for hold_ms (for ever if -1), and perhaps the
 * place behind it; returns when it has it. */
static pid_t
hold_turn_elsewhere(int hold_ms, int bytes)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET,
	    .l_start = 0, .l_len = bytes };
	char name[400], ready;
	int fd, p[2];
	pid_t pid;

	snprintf(name, sizeof(name), "%s.turn", db_path());
	ck_assert_int_eq(pipe(p), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		fd = open(name, O_RDWR);
		if (fd < 0 || fcntl(fd, F_OFD_SETLKW, &fl) != 0)
			_exit(1);
		if (write(p[1], "x", 1) != 1)
			_exit(1);
		if (hold_ms < 0)
			pause();
		usleep((useconds_t)hold_ms * 1000);
		_exit(0);
	}
	ck_assert_int_eq(read(p[0], &ready, 1), 1);
	close(p[0]);
	close(p[1]);
	return pid;
}

static void
reap(pid_t pid, int sig)
{
	int status;

	if (sig != 0)
		kill(pid, sig);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (sig == 0)
		ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

START_TEST(a_write_waits_for_the_turn_of_another_process)
{
	int64_t begin_ms = clock_mono_ms();
	struct store_stats s;
	pid_t pid;

	pid = hold_turn_elsewhere(300, 1 + _i);
	ck_ok(store_cache_put(st, "k", "{}", T0, &err), &err);
	ck_assert_int_ge(clock_mono_ms() - begin_ms, 290);
	reap(pid, 0);
	store_get_stats(st, &s);
	ck_assert_int_eq(s.busy_waits, 1);
	ck_assert_int_ge(s.max_turn_wait_us, 200000);
}
END_TEST

START_TEST(a_turn_that_does_not_come_is_a_busy_error)
{
	pid_t pid = hold_turn_elsewhere(-1, 1 + _i);
	struct store_stats s;

	ck_fails(store_cache_put(st, "k", "{}", T0, &err), ERR_BUSY);
	ck_assert(!is_stored("k"));
	reap(pid, SIGKILL);		/* and its lock is gone */
	ck_ok(store_cache_put(st, "k2", "{}", T0, &err), &err);
	ck_assert(!is_stored("k"));
	store_get_stats(st, &s);
	ck_assert_int_eq(s.busy_errors, 1);
	ck_assert_int_eq(s.units, 1);
}
END_TEST

static sqlite3 *
lock_with_a_shell(void)
{
	sqlite3 *conn = NULL;

	ck_assert_int_eq(sqlite3_open(db_path(), &conn), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(conn, "BEGIN IMMEDIATE", NULL, NULL,
	    NULL), SQLITE_OK);
	return conn;
}

START_TEST(a_write_waits_for_somebody_who_ignores_the_turn)
{
	sqlite3 *conn = lock_with_a_shell();
	struct store_stats s;
	struct put p;

	put_start(&p, 1, "{}");
	wait_for_queue(1);
	sqlite3_exec(conn, "ROLLBACK", NULL, NULL, NULL);
	pthread_join(p.thread, NULL);
	ck_assert_int_eq(p.rc, ERR_OK);
	sqlite3_close(conn);
	store_get_stats(st, &s);
	ck_assert_int_eq(s.busy_errors, 0);
}
END_TEST

START_TEST(and_not_for_ever)
{
	sqlite3 *conn = lock_with_a_shell();

	ck_fails(store_cache_put(st, "k", "{}", T0, &err), ERR_BUSY);
	sqlite3_exec(conn, "ROLLBACK", NULL, NULL, NULL);
	sqlite3_close(conn);
	ck_assert(!is_stored("k"));
	ck_ok(store_cache_put(st, "k2", "{}", T0, &err), &err);
}
END_TEST

#define FAIR_MS 400

/* Two stores in one process are two to the turn. */
static void *
busy_neighbour(void *arg)
{
	struct store_options o = options();
	struct store *s = NULL;
	atomic_bool *stop = arg;

	ck_assert_int_eq(store_open(&o, &s, NULL), ERR_OK);
	while (!atomic_load(stop))
		ck_assert_int_eq(store_cache_put(s, "n", "{}", T0, NULL),
		    ERR_OK);
	store_close(s);
	return NULL;
}

START_TEST(a_busy_neighbour_starves_nobody)
{
	int64_t end_ms = clock_mono_ms() + FAIR_MS;
	atomic_bool stop = false;
	struct store_stats s;
	pthread_t t[3];
	int i, n = 0;

	for (i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, busy_neighbour, &stop);
	while (clock_mono_ms() < end_ms) {
		ck_ok(store_cache_put(st, "me", "{}", T0, &err), &err);
		n++;
	}
	atomic_store(&stop, true);
	for (i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	ck_assert_int_ge(n, 10);
	store_get_stats(st, &s);
	ck_assert_int_eq(s.busy_errors, 0);
}
END_TEST

/* --- the log -------------------------------------------------------------- */

static int64_t
log_bytes(void)
{
	char name[400];
	struct stat sb;

	snprintf(name, sizeof(name), "%s-wal", db_path());
	return stat(name, &sb) == 0 ? (int64_t)sb.st_size : 0;
}

#define LOG_TEXT_BYTES 16000
#define MB (1024 * 1024)

/* About n_mb into the log, in commits of 16 KB that change every page. */
static void
write_mb(int n_mb)
{
	static int round;
	char *text = xmalloc(LOG_TEXT_BYTES + 1), key[40];
	int i;

	text[LOG_TEXT_BYTES] = '\0';
	for (i = 0; i < n_mb * MB / LOG_TEXT_BYTES; i++) {
		memset(text, 'a' + round++ % 26, LOG_TEXT_BYTES);
		snprintf(key, sizeof(key), "k%d", i % 100);
		ck_ok(store_cache_put(st, key, text, T0, &err), &err);
	}
	free(text);
}

START_TEST(the_log_does_not_grow_under_a_steady_load)
{
	struct store_options o = options();

	close_store();
	o.full_sync = true;	/* a load that the disk can follow */
	o.checkpointer = _i == 0;	/* or each for itself */
	open_with(&o);
	write_mb(80);
	ck_assert_int_gt(log_bytes(), 0);
	ck_assert_int_lt(log_bytes(), 50 * MB);
}
END_TEST

START_TEST(a_log_that_a_reader_made_long_starts_over)
{
	struct store_options o = options();
	sqlite3 *reader = NULL;
	int64_t bytes;
	int i;

	close_store();
	o.full_sync = true;
	o.checkpointer = true;
	open_with(&o);
	ck_assert_int_eq(sqlite3_open(db_path(), &reader), SQLITE_OK);
	sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM runs", NULL, NULL,
	    NULL);
	write_mb(30);
	sqlite3_close(reader);
	bytes = log_bytes();
	ck_assert_int_gt(bytes, 30 * MB);
	for (i = 0; i < 4; i++)		/* 16 MB are long, and more follow */
		write_mb(20);
	ck_assert_int_lt(log_bytes(), bytes + 25 * MB);
}
END_TEST

static void *
many_reads(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < 200; i++)
		ck_assert_int_eq(store_ping(st, NULL), ERR_OK);
	return NULL;
}

START_TEST(readers_take_turns_when_there_are_few)
{
	struct store_options o = options();
	pthread_t t[8];
	int i;

	close_store();
	o.max_readers = 2;
	open_with(&o);
	for (i = 0; i < 8; i++)
		pthread_create(&t[i], NULL, many_reads, NULL);
	for (i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
}
END_TEST

START_TEST(a_reader_that_cannot_be_opened_is_tried_again)
{
	struct rlimit old, none;
	int i;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 3;
	for (i = 0; i < 10; i++) {
		setrlimit(RLIMIT_NOFILE, &none);
		ck_fails(store_ping(st, &err), ERR_SYSTEM);
		setrlimit(RLIMIT_NOFILE, &old);
	}
	ck_ok(store_ping(st, &err), &err);
}
END_TEST

START_TEST(closing_and_opening_again_loses_nothing)
{
	struct store_options o = options();
	int i;

	o.checkpointer = true;
	for (i = 1; i <= 10; i++) {
		close_store();
		open_with(&o);
		add_run(i);
		ck_assert_int_eq(sql_int("SELECT count(*) FROM runs"), i);
	}
}
END_TEST

Suite *
turn_suite(void)
{
	Suite *s = suite_create("store: turn");
	TCase *tc = tcase_create("turn");
	TCase *impatient = tcase_create("no turn");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, a_write_waits_for_the_turn_of_another_process,
	    0, 2);
	tcase_add_test(tc, a_write_waits_for_somebody_who_ignores_the_turn);
	tcase_add_test(tc, a_busy_neighbour_starves_nobody);
	tcase_add_loop_test(tc, the_log_does_not_grow_under_a_steady_load, 0,
	    2);
	tcase_add_test(tc, a_log_that_a_reader_made_long_starts_over);
	tcase_add_test(tc, readers_take_turns_when_there_are_few);
	tcase_add_test(tc, a_reader_that_cannot_be_opened_is_tried_again);
	tcase_add_test(tc, closing_and_opening_again_loses_nothing);
	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(impatient, set_up_impatient, tear_down);
	tcase_add_loop_test(impatient,
	    a_turn_that_does_not_come_is_a_busy_error, 0, 2);
	tcase_add_test(impatient, and_not_for_ever);
	suite_add_tcase(s, impatient);
	return s;
}
