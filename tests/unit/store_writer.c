/* Group commit: many threads, units that fail, and the turn to write. */
#include "tests/unit/store_support.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "src/store/internal.h"
#include "xalloc.h"

Suite *writer_suite(void);

#define SHORT_WAIT_MS 60

/* --- a unit that stays inside its transaction until told to go on ---------- */

struct gate {
	sem_t inside, go;
	pthread_t thread;
	enum err_code rc, returns;
	int runs;
};

static enum err_code
gate_unit(struct db *db, void *arg, struct err *e)
{
	struct gate *g = arg;

	(void)db;
	g->runs++;
	sem_post(&g->inside);
	sem_wait(&g->go);
	if (g->returns != ERR_OK)
		return err_set(e, g->returns, "asked to fail");
	return ERR_OK;
}

static void *
gate_main(void *arg)
{
	struct gate *g = arg;

	g->rc = store_write(st, gate_unit, g, NULL);
	return NULL;
}

static void
gate_close(struct gate *g, enum err_code returns)
{
	memset(g, 0, sizeof(*g));
	g->returns = returns;
	sem_init(&g->inside, 0, 0);
	sem_init(&g->go, 0, 0);
	pthread_create(&g->thread, NULL, gate_main, g);
	sem_wait(&g->inside);
}

static void
gate_open(struct gate *g)
{
	sem_post(&g->go);
	pthread_join(g->thread, NULL);
}

static void
wait_for_queue(int64_t n)
{
	struct store_stats s;

	do {
		sched_yield();
		store_get_stats(st, &s);
	} while (s.queued != n);
}

/* --- a thread that does one thing ------------------------------------------ */

struct put {
	pthread_t thread;
	char key[40];
	const char *text;	/* NULL breaks a rule of the table */
	enum err_code rc;
};

static void *
put_main(void *arg)
{
	struct put *p = arg;

	p->rc = store_cache_put(st, p->key, p->text, T0, NULL);
	return NULL;
}

static void
put_start(struct put *p, int n, const char *text)
{
	snprintf(p->key, sizeof(p->key), "key-%d", n);
	p->text = text;
	pthread_create(&p->thread, NULL, put_main, p);
}

static bool
is_stored(const char *key)
{
	char *answer = NULL;
	enum err_code rc;

	rc = store_cache_get(st, key, &answer, &err);
	free(answer);
	ck_assert(rc == ERR_OK || rc == ERR_NOT_FOUND);
	return rc == ERR_OK;
}

/* --- batches --------------------------------------------------------------- */

#define THREADS 16
#define UNITS 200

static void *
many_puts(void *arg)
{
	char key[40];
	int i;

	for (i = 0; i < UNITS; i++) {
		snprintf(key, sizeof(key), "%d-%d", *(int *)arg, i);
		ck_assert_int_eq(store_cache_put(st, key, "{}", T0, NULL),
		    ERR_OK);
	}
	return NULL;
}

START_TEST(many_writers_share_commits)
{
	pthread_t t[THREADS];
	struct store_stats s;
	int n[THREADS], i;

	for (i = 0; i < THREADS; i++) {
		n[i] = i;
		pthread_create(&t[i], NULL, many_puts, &n[i]);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	store_get_stats(st, &s);
	ck_assert_int_eq(s.units, THREADS * UNITS);
	ck_assert_int_lt(s.commits, s.units);
	ck_assert_int_eq(s.failed_units + s.busy_errors + s.queued, 0);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM answer_cache"),
	    THREADS * UNITS);
}
END_TEST

START_TEST(what_waits_is_one_transaction)
{
	struct store_stats before, after;
	struct put p[20];
	struct gate g;
	int i;

	gate_close(&g, ERR_OK);
	store_get_stats(st, &before);
	for (i = 0; i < 20; i++)
		put_start(&p[i], i, "{}");
	wait_for_queue(20);
	gate_open(&g);
	for (i = 0; i < 20; i++)
		pthread_join(p[i].thread, NULL);
	store_get_stats(st, &after);
	ck_assert_int_eq(after.commits - before.commits, 2);
	ck_assert_int_eq(after.units - before.units, 21);
}
END_TEST

START_TEST(a_unit_that_fails_leaves_the_others)
{
	struct store_stats s;
	struct put p[10];
	struct gate g;
	int i;

	gate_close(&g, ERR_INVALID);
	for (i = 0; i < 10; i++)
		put_start(&p[i], i, i % 3 == 0 ? NULL : "{}");
	wait_for_queue(10);
	gate_open(&g);
	ck_assert_int_eq(g.rc, ERR_INVALID);
	for (i = 0; i < 10; i++) {
		pthread_join(p[i].thread, NULL);
		ck_assert_int_eq(p[i].rc, i % 3 == 0 ? ERR_SYSTEM : ERR_OK);
		ck_assert_int_eq(is_stored(p[i].key), i % 3 != 0);
	}
	store_get_stats(st, &s);
	ck_assert_int_eq(s.failed_units, 5);
	ck_assert_int_eq(s.units, 6);
}
END_TEST

/* Writes a row and then fails. */
static enum err_code
half_unit(struct db *db, void *arg, struct err *e)
{
	static const char sql[] = "INSERT INTO answer_cache"
	    " (key, created_ms, answer) VALUES ('half', 1, '{}')";
	enum err_code rc;

	(void)arg;
	rc = db_run(db, sql, DB_NONE, NULL, e);
	return rc != ERR_OK ? rc : err_set(e, ERR_LOST, "half way");
}

START_TEST(a_unit_that_fails_half_way_has_written_nothing)
{
	ck_fails(store_write(st, half_unit, NULL, &err), ERR_LOST);
	ck_assert_str_eq(err.msg, "half way");
	ck_assert(!is_stored("half"));
}
END_TEST

/* Ends the transaction of the whole batch, as the engine may on errors. */
static enum err_code
wrecking_unit(struct db *db, void *arg, struct err *e)
{
	(*(int *)arg)++;
	db_rollback(db);
	return err_set(e, ERR_FULL, "as if the disk were full");
}

static void *
wrecker(void *arg)
{
	ck_assert_int_eq(store_write(st, wrecking_unit, arg, NULL), ERR_FULL);
	return NULL;
}

START_TEST(a_batch_the_engine_gave_up_is_run_again_one_by_one)
{
	pthread_t wreck;
	struct put p[6];
	struct gate g;
	int i, times = 0;

	gate_close(&g, ERR_OK);
	for (i = 0; i < 6; i++) {
		if (i == 3) {
			wait_for_queue(3);
			pthread_create(&wreck, NULL, wrecker, &times);
			wait_for_queue(4);
		}
		put_start(&p[i], i, i == 1 ? NULL : "{}");
	}
	wait_for_queue(7);
	gate_open(&g);
	pthread_join(wreck, NULL);
	ck_assert_int_eq(times, 2);
	for (i = 0; i < 6; i++) {
		pthread_join(p[i].thread, NULL);
		ck_assert_int_eq(p[i].rc, i == 1 ? ERR_SYSTEM : ERR_OK);
		ck_assert_int_eq(is_stored(p[i].key), i != 1);
	}
}
END_TEST

START_TEST(readers_do_not_wait_for_a_writer)
{
	struct put p;
	struct gate g;

	ck_ok(store_cache_put(st, "old", "{}", T0, &err), &err);
	gate_close(&g, ERR_OK);
	put_start(&p, 1, "{}");
	wait_for_queue(1);
	ck_assert(is_stored("old"));
	ck_assert(!is_stored("key-1"));
	ck_ok(store_ping(st, &err), &err);
	claim_none(T0);		/* asking is reading, too */
	gate_open(&g);
	pthread_join(p.thread, NULL);
	ck_assert(is_stored("key-1"));
}
END_TEST

#define EVENT_THREADS 16
#define EVENTS_EACH 50

static struct claimed lane_job;

static void *
lane(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < EVENTS_EACH; i++)
		ck_assert_int_eq(tell(&lane_job, "strategy", STAGE_RUNNING,
		    T0), ERR_OK);
	return NULL;
}

START_TEST(events_of_many_threads_have_no_gaps)
{
	pthread_t t[EVENT_THREADS];
	struct event_list l;
	int64_t seq = 0;
	int i;

	add_run(1);
	claim_at(T0 + 10, &lane_job);
	for (i = 0; i < EVENT_THREADS; i++)
		pthread_create(&t[i], NULL, lane, NULL);
	while (seq < EVENT_THREADS * EVENTS_EACH) {
		/* Whoever has seen n has seen all up to n. */
		ck_ok(store_list_events(st, NULL, id_of("run", 1), seq, 500,
		    &l, &err), &err);
		for (i = 0; i < l.n; i++)
			ck_assert_int_eq(l.rows[i].seq, ++seq);
		event_list_release(&l);
	}
	for (i = 0; i < EVENT_THREADS; i++)
		pthread_join(t[i], NULL);
	ck_assert_int_eq(last_event_seq(1), EVENT_THREADS * EVENTS_EACH);
}
END_TEST

/* --- two requests with the same key ---------------------------------------- */

struct repeat {
	pthread_barrier_t *start;
	int n, round;
	enum submit_outcome outcome;
};

static void *
repeated_post(void *arg)
{
	struct repeat *r = arg;
	struct run_spec spec = { .n = r->n };
	struct idempotency idem = { "ann", "POST /runs", "", "fp", 201, "{}" };
	char key[40], *body = NULL;
	int status = 0;

	snprintf(key, sizeof(key), "key-%d", r->round);
	idem.key = key;
	pthread_barrier_wait(r->start);
	ck_assert_int_eq(submit(st, &spec, &idem, &r->outcome, &status, &body,
	    &err), ERR_OK);
	free(body);
	return NULL;
}

START_TEST(of_two_posts_with_one_key_one_makes_a_run)
{
	struct repeat r[2];
	pthread_barrier_t start;
	pthread_t t[2];
	int round, i;

	pthread_barrier_init(&start, NULL, 2);
	for (round = 0; round < 100; round++) {
		for (i = 0; i < 2; i++) {
			r[i] = (struct repeat){ &start, round * 2 + i, round,
			    SUBMIT_MISMATCH };
			pthread_create(&t[i], NULL, repeated_post, &r[i]);
		}
		for (i = 0; i < 2; i++)
			pthread_join(t[i], NULL);
		ck_assert_int_eq(r[0].outcome + r[1].outcome,
		    SUBMIT_NEW + SUBMIT_REPLAY);
	}
	pthread_barrier_destroy(&start);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM runs"), 100);
}
END_TEST

/* --- withdrawing ----------------------------------------------------------- */

static void
set_up_impatient(void)
{
	struct store_options o;

	set_up_closed();
	o = options();
	o.lock_wait_ms = SHORT_WAIT_MS;
	open_with(&o);
}

START_TEST(what_waits_too_long_is_withdrawn)
{
	struct store_stats s;
	struct put p;
	struct gate g;

	gate_close(&g, ERR_OK);
	put_start(&p, 1, "{}");
	pthread_join(p.thread, NULL);
	ck_assert_int_eq(p.rc, ERR_BUSY);
	gate_open(&g);
	ck_assert_int_eq(g.rc, ERR_OK);	/* taken: it was waited for */
	ck_assert(!is_stored(p.key));
	store_get_stats(st, &s);
	ck_assert_int_eq(s.busy_errors, 1);
	ck_assert_int_eq(s.queued, 0);
	ck_ok(store_cache_put(st, "later", "{}", T0, &err), &err);
}
END_TEST

/* --- the turn between processes -------------------------------------------- */

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

/* --- the log --------------------------------------------------------------- */

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
closer(void *arg)
{
	store_close(arg);
	return NULL;
}

START_TEST(closing_waits_for_what_is_queued)
{
	struct store_options o = options();
	struct store *closing = st;
	struct put p[3];
	struct gate g;
	pthread_t t;
	int i;

	gate_close(&g, ERR_OK);
	for (i = 0; i < 3; i++)
		put_start(&p[i], i, "{}");
	wait_for_queue(3);
	pthread_create(&t, NULL, closer, closing);
	gate_open(&g);
	pthread_join(t, NULL);
	for (i = 0; i < 3; i++) {
		pthread_join(p[i].thread, NULL);
		ck_assert_int_eq(p[i].rc, ERR_OK);
	}
	open_with(&o);
	ck_assert(is_stored("key-0") && is_stored("key-1") &&
	    is_stored("key-2"));
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
writer_suite(void)
{
	Suite *s = suite_create("store: writer");
	TCase *tc = tcase_create("patient");
	TCase *impatient = tcase_create("impatient");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, many_writers_share_commits);
	tcase_add_test(tc, what_waits_is_one_transaction);
	tcase_add_test(tc, a_unit_that_fails_leaves_the_others);
	tcase_add_test(tc, a_unit_that_fails_half_way_has_written_nothing);
	tcase_add_test(tc, a_batch_the_engine_gave_up_is_run_again_one_by_one);
	tcase_add_test(tc, readers_do_not_wait_for_a_writer);
	tcase_add_test(tc, events_of_many_threads_have_no_gaps);
	tcase_add_test(tc, of_two_posts_with_one_key_one_makes_a_run);
	tcase_add_loop_test(tc, a_write_waits_for_the_turn_of_another_process,
	    0, 2);
	tcase_add_test(tc, a_write_waits_for_somebody_who_ignores_the_turn);
	tcase_add_test(tc, a_busy_neighbour_starves_nobody);
	tcase_add_loop_test(tc, the_log_does_not_grow_under_a_steady_load, 0,
	    2);
	tcase_add_test(tc, a_log_that_a_reader_made_long_starts_over);
	tcase_add_test(tc, closing_waits_for_what_is_queued);
	tcase_add_test(tc, readers_take_turns_when_there_are_few);
	tcase_add_test(tc, a_reader_that_cannot_be_opened_is_tried_again);
	tcase_add_test(tc, closing_and_opening_again_loses_nothing);
	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(impatient, set_up_impatient, tear_down);
	tcase_add_test(impatient, what_waits_too_long_is_withdrawn);
	tcase_add_loop_test(impatient,
	    a_turn_that_does_not_come_is_a_busy_error, 0, 2);
	tcase_add_test(impatient, and_not_for_ever);
	suite_add_tcase(s, impatient);
	return s;
}
