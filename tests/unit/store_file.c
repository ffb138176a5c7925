/* The database as a file: creating, recognising, upgrading, surviving. */
#include "tests/unit/store_support.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "xalloc.h"

Suite *file_suite(void);

static enum err_code
try_open(const struct store_options *o)
{
	struct store *s = NULL;
	enum err_code rc;

	err_clear(&err);
	rc = store_open(o, &s, &err);
	store_close(s);
	return rc;
}

/* --- creating ------------------------------------------------------------- */

START_TEST(an_empty_place_becomes_a_database)
{
	struct store_options o = options();
	struct stat sb;
	char *dir;

	open_with(&o);
	add_run(1);
	dir = xasprintf("%s/..", db_path());
	dir[strlen(dir) - strlen("/churns.db/..")] = '\0';
	ck_assert_int_eq(stat(dir, &sb), 0);
	ck_assert_int_eq(sb.st_mode & 0777, 0700);
	free(dir);
	ck_assert_int_eq(sql_int("SELECT max(version) FROM schema_version"),
	    STORE_SCHEMA_VERSION);
	ck_assert_int_eq(sql_int("PRAGMA application_id"), 0x43686e73);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM pragma_journal_mode"
	    " WHERE journal_mode = 'wal'"), 1);
}
END_TEST

START_TEST(a_file_without_a_byte_becomes_a_database)
{
	struct store_options o = options();
	char *dir = xstrdup(db_path());
	int fd;

	*strrchr(dir, '/') = '\0';
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	fd = open(db_path(), O_CREAT | O_RDWR, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
	free(dir);
	open_with(&o);
	add_run(1);
}
END_TEST

#define CREATORS 8
#define CREATE_ROUNDS 40

static void
create_and_write(int n, int start)
{
	struct store_options o = options();
	struct run_spec spec = { .n = n };
	enum submit_outcome outcome;
	struct err e = ERR_INIT;
	struct store *s = NULL;
	char go;

	if (read(start, &go, 1) != 1)
		_exit(2);
	if (store_open(&o, &s, &e) != ERR_OK ||
	    submit(s, &spec, NULL, &outcome, NULL, NULL, &e) != ERR_OK) {
		fprintf(stderr, "%s\n", e.msg);
		_exit(1);
	}
	store_close(s);
	_exit(0);
}

START_TEST(eight_processes_create_it_at_once)
{
	struct store_options o = options();
	pid_t pids[CREATORS];
	int i, status, p[2];

	ck_assert_int_eq(pipe(p), 0);
	for (i = 0; i < CREATORS; i++) {
		pids[i] = fork();
		ck_assert_int_ge(pids[i], 0);
		if (pids[i] == 0)
			create_and_write(i + 1, p[0]);
	}
	ck_assert_int_eq(write(p[1], "gogogogo", CREATORS), CREATORS);
	for (i = 0; i < CREATORS; i++) {
		ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
		ck_assert(WIFEXITED(status));
		ck_assert_int_eq(WEXITSTATUS(status), 0);
	}
	close(p[0]);
	close(p[1]);
	open_with(&o);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM runs"), CREATORS);
}
END_TEST

/* --- refusing ------------------------------------------------------------- */

static const char *const bad_names[] = {
	"", "sqlite:", "sqlite:relative.db", "postgres://x", "/tmp/x.db",
	"sqlite:/", "sqlite:/tmp/",
};

START_TEST(a_name_that_is_no_absolute_path_is_refused)
{
	struct store_options o = options();
	int from, to;

	o.database = bad_names[_i];
	ck_assert_int_eq(try_open(&o), ERR_CONFIG);
	ck_fails(store_migrate(bad_names[_i], &from, &to, &err), ERR_CONFIG);
}
END_TEST

START_TEST(a_directory_that_cannot_be_made_is_refused)
{
	struct store_options o = options();

	o.database = "sqlite:/proc/nowhere/churns.db";
	ck_assert_int_eq(try_open(&o), ERR_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.msg, "/proc/nowhere"));
}
END_TEST

static void
make_raw(const char *sql)
{
	char *dir = xstrdup(db_path());
	sqlite3 *conn = NULL;

	*strrchr(dir, '/') = '\0';
	mkdir(dir, 0700);
	free(dir);
	ck_assert_int_eq(sqlite3_open(db_path(), &conn), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(conn, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(conn);
}

static const char *const foreign[] = {
	"PRAGMA application_id = 77; CREATE TABLE x (a)",
	"CREATE TABLE runs (id TEXT)",
	"PRAGMA application_id = 77; CREATE TABLE x (a); DROP TABLE x",
};

START_TEST(a_database_of_another_program_is_refused_and_untouched)
{
	struct store_options o = options();
	int from, to;

	make_raw(foreign[_i]);
	ck_assert_int_eq(try_open(&o), ERR_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.msg, "another program"));
	ck_fails(store_migrate(o.database, &from, &to, &err), ERR_CONFIG);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM pragma_journal_mode"
	    " WHERE journal_mode = 'wal'"), 0);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM sqlite_schema"
	    " WHERE name = 'schema_version'"), 0);
}
END_TEST

START_TEST(a_file_that_is_no_database_is_refused)
{
	struct store_options o = options();
	FILE *f;
	int i;

	make_raw("");
	f = fopen(db_path(), "w");
	ck_assert_ptr_nonnull(f);
	for (i = 0; i < 1000; i++)
		fputs("this is no database ", f);
	fclose(f);
	ck_assert_int_eq(try_open(&o), ERR_CONFIG);
}
END_TEST

START_TEST(a_newer_schema_is_refused)
{
	struct store_options o = options();
	int from, to;

	open_with(&o);
	close_store();
	sql_run("INSERT INTO schema_version VALUES (99, 'future')");
	ck_assert_int_eq(try_open(&o), ERR_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.msg, "newer program"));
	ck_fails(store_migrate(o.database, &from, &to, &err), ERR_CONFIG);
	o.read_only = true;
	ck_assert_int_eq(try_open(&o), ERR_CONFIG);
}
END_TEST

/* A database as the first program that had one left it, with a run that waits,
 * one that ended, and what belongs to them. */
static void
make_version_1(void)
{
	struct store_options o = options();
	int from, to;

	ck_ok(schema_migrate(o.database, schema_steps, 1, &from, &to, &err),
	    &err);
	ck_assert_int_eq(to, 1);
	sql_run(
	    "INSERT INTO runs (id, owner, status, mode, platform_name, prompt,"
	    " created_ms) VALUES ('run-000001', 'ann', 'PENDING', 'easy_mode',"
	    " 'Story', 'Oat cake', 1001),"
	    " ('run-000004', 'ann', 'PENDING', 'easy_mode', NULL, NULL, 1004),"
	    " ('run-000005', 'bob', 'PENDING', 'easy_mode', 'Story', NULL,"
	    " 1005);"
	    "INSERT INTO runs (id, owner, status, mode, platform_name,"
	    " created_ms, started_ms, completed_ms, last_seq, cost_nano,"
	    " has_cost) VALUES"
	    " ('run-000002', 'ann', 'FAILED', 'easy_mode', 'Story', 1002,"
	    " 1003, 1004, 1, 7, 1);"
	    "INSERT INTO run_counts VALUES ('ann', 'PENDING', 'easy_mode', 2),"
	    " ('ann', 'FAILED', 'easy_mode', 1),"
	    " ('ann', 'RUNNING', 'easy_mode', 0),"
	    " ('bob', 'PENDING', 'easy_mode', 1);"
	    "INSERT INTO jobs (id, run_id, subject_id, kind, owner, state,"
	    " priority, due_ms, created_ms, deadline_after_ms)"
	    " SELECT 'job' || substr(id, 4), id, id, 'generation', owner,"
	    " status, 0, created_ms, created_ms, 5000 FROM runs;"
	    "UPDATE job_counts SET n = 3 WHERE state = 'PENDING';"
	    "INSERT INTO stages (job_id, name, ord, status, cost_nano) VALUES"
	    " ('job-000002', 'strategy', 2, 'FAILED', 7);"
	    "INSERT INTO model_calls (id, job_id, run_id, owner, stage,"
	    " variant, purpose, attempt, ask, fence, state, sent_ms, cost_nano,"
	    " answer) VALUES ('call-1', 'job-000002', 'run-000002', 'ann',"
	    " 'strategy', -1, 'ask', 1, 1, 1, 'ANSWERED', 1003, 7, '{}');"
	    "INSERT INTO events VALUES ('run-000002', 1, 'run_error', 1004,"
	    " '{}');"
	    "INSERT INTO idempotency VALUES ('ann', 'POST /runs', 'k1', 'fp',"
	    " 201, 1001, '{\"id\":\"run-000001\",\"status\":\"PENDING\"}'),"
	    " ('ann', 'POST /runs', 'k2', 'fp', 201, 1001, 'not JSON'),"
	    " ('ann', 'POST /runs', 'k3', 'fp', 201, 1001, '[]');");
}

START_TEST(an_older_schema_asks_for_migrate_and_is_left_alone)
{
	struct store_options o = options();

	make_version_1();
	ck_assert_int_eq(try_open(&o), ERR_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.msg, "schema is version 1"));
	ck_assert_ptr_nonnull(strstr(err.msg, "churnsctl migrate"));
	o.read_only = true;
	ck_assert_int_eq(try_open(&o), ERR_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.msg, "churnsctl migrate"));
	ck_assert_int_eq(sql_int("SELECT max(version) FROM schema_version"), 1);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM run_counts"), 4);
}
END_TEST

static void
expect_list(const char *owner, const char *platform, int64_t total)
{
	struct run_query q = { .owner = owner, .platform = platform,
	    .page = 1, .page_size = 20 };
	struct run_page p;

	ck_ok(store_list_runs(st, &q, &p, &err), &err);
	ck_assert_int_eq(p.total, total);
	ck_assert_int_eq(p.n, total);
	run_page_release(&p);
}

/* The audit at the end of the test looks at counters and money again. */
START_TEST(a_database_of_version_1_is_upgraded_with_its_rows)
{
	struct store_options o = options();
	struct idempotency key = { "ann", "POST /runs", "k1", "fp", 0, NULL };
	enum submit_outcome outcome;
	struct run r;
	struct claimed c;
	char *body = NULL;
	int from = -1, to = -1, status = 0;

	make_version_1();
	ck_ok(store_migrate(o.database, &from, &to, &err), &err);
	ck_assert_int_eq(from, 1);
	ck_assert_int_eq(to, STORE_SCHEMA_VERSION);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM schema_version"),
	    STORE_SCHEMA_VERSION);
	open_with(&o);
	audit();
	expect_list("ann", NULL, 3);
	expect_list("ann", "Story", 2);
	expect_list(NULL, NULL, 4);
	ck_assert_int_eq(sql_int("SELECT sum(cost_nano) FROM spend_days"), 7);
	ck_assert_int_eq(sql_int("SELECT sum(cost_nano) FROM spend_jobs"
	    " WHERE run_id = 'run-000002'"), 7);
	ck_ok(store_get_run(st, "ann", "run-000002", &r, &err), &err);
	ck_assert_int_eq(r.cost_nano, 7);
	run_release(&r);
	ck_ok(store_find_idempotency(st, &key, &outcome, &status, &body, &err),
	    &err);
	ck_assert_int_eq(outcome, SUBMIT_REPLAY);
	free(body);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM idempotency WHERE"
	    " (run_id = 'run-000001') = (key = 'k1')"), 1);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM idempotency WHERE"
	    " run_id IS NULL"), 2);
	ck_assert_int_eq(claim_at(2000, &c), 1);
	ck_ok(finish(&c, STATE_COMPLETED, 2500), &err);
	add_run(9);
}
END_TEST

/* --- reading only --------------------------------------------------------- */

START_TEST(a_store_for_reading_writes_nothing)
{
	struct store_options o = options();
	struct run_spec spec = { .n = 2 };
	enum submit_outcome outcome;
	struct store *reader = NULL;
	struct store_stats s;
	struct run r;

	o.read_only = true;
	ck_assert_int_eq(try_open(&o), ERR_CONFIG);	/* nor creates */
	ck_assert_int_ne(access(db_path(), F_OK), 0);
	o.read_only = false;
	open_with(&o);
	add_run(1);
	o.read_only = true;
	ck_ok(store_open(&o, &reader, &err), &err);
	ck_ok(store_get_run(reader, "ann", id_of("run", 1), &r, &err), &err);
	run_release(&r);
	ck_fails(submit(reader, &spec, NULL, &outcome, NULL, NULL, &err),
	    ERR_SYSTEM);
	store_get_stats(reader, &s);
	ck_assert_int_eq(s.units, 0);
	store_close(reader);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM runs"), 1);
}
END_TEST

START_TEST(a_copy_is_read_without_the_files_beside_it)
{
	struct store_options o = options();
	char *turn = xasprintf("%s.turn", db_path());

	open_with(&o);
	add_run(1);
	close_store();
	ck_assert_int_eq(unlink(turn), 0);
	o.read_only = true;
	open_with(&o);
	ck_assert_int_eq(run_status(1), STATE_PENDING);
	ck_assert_int_ne(access(turn, F_OK), 0);
	free(turn);
}
END_TEST

START_TEST(creating_waits_for_its_turn)
{
	struct store_options o = options();
	struct turn t = TURN_INIT;
	char *turn = xasprintf("%s.turn", db_path());

	make_raw("");
	ck_ok(turn_open(turn, false, &t, &err), &err);
	ck_assert(turn_take(&t, NULL, NULL, NULL));
	o.lock_wait_ms = 30;
	ck_assert_int_eq(try_open(&o), ERR_BUSY);
	turn_give(&t);
	ck_assert_int_eq(try_open(&o), ERR_OK);
	turn_close(&t);
	free(turn);
}
END_TEST

/* --- upgrading ------------------------------------------------------------ */

START_TEST(migrate_creates_and_then_has_nothing_to_do)
{
	struct store_options o = options();
	int from = -1, to = -1;

	ck_ok(store_migrate(o.database, &from, &to, &err), &err);
	ck_assert_int_eq(from, 0);
	ck_assert_int_eq(to, STORE_SCHEMA_VERSION);
	ck_ok(store_migrate(o.database, &from, &to, &err), &err);
	ck_assert_int_eq(from, STORE_SCHEMA_VERSION);
	ck_assert_int_eq(to, STORE_SCHEMA_VERSION);
	open_with(&o);
}
END_TEST

#define NOW STORE_SCHEMA_VERSION

START_TEST(an_upgrade_goes_as_far_as_its_steps_succeed)
{
	static const struct schema_step steps[] = {
		{ NOW + 1, "CREATE TABLE two (a INTEGER)" },
		{ NOW + 2, "CREATE TABLE three (a INTEGER); CREATE TABLE two (b)" },
	};
	static const struct schema_step broken[] = {
		{ NOW + 2, "CREATE TABLE three (a INTEGER);"
		    "INSERT INTO jobs (id, run_id, subject_id, kind, owner,"
		    " state, priority, due_ms, created_ms, deadline_after_ms)"
		    " VALUES ('j', 'nobody', 'x', 'caption', 'a', 'PENDING',"
		    " 0, 0, 0, 0)" },
	};
	struct store_options o = options();
	int from = -1, to = -1;

	open_with(&o);
	add_run(1);
	close_store();
	ck_fails(schema_migrate(o.database, steps, 2, &from, &to, &err),
	    ERR_SYSTEM);
	ck_assert_int_eq(from, NOW);
	ck_assert_int_eq(to, NOW + 1);
	ck_assert_int_eq(sql_int("SELECT max(version) FROM schema_version"),
	    NOW + 1);
	ck_fails(schema_migrate(o.database, broken, 1, &from, &to, &err),
	    ERR_SYSTEM);
	ck_assert_ptr_nonnull(strstr(err.msg, "jobs"));
	ck_assert_int_eq(sql_int("SELECT count(*) FROM sqlite_schema"
	    " WHERE name IN ('two', 'three')"), 1);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM runs"), 1);
	ck_assert_int_eq(sql_int("SELECT max(version) FROM schema_version"),
	    NOW + 1);
}
END_TEST

START_TEST(an_upgrade_and_users_keep_each_other_out)
{
	struct store_options o = options();
	struct turn t = TURN_INIT;
	char name[400];
	int from, to;

	open_with(&o);
	ck_fails(store_migrate(o.database, &from, &to, &err), ERR_BUSY);
	close_store();
	snprintf(name, sizeof(name), "%s.turn", db_path());
	ck_ok(turn_open(name, false, &t, &err), &err);
	ck_ok(turn_exclude_users(&t, &err), &err);
	o.lock_wait_ms = 30;
	ck_assert_int_eq(try_open(&o), ERR_BUSY);
	turn_close(&t);
	ck_assert_int_eq(try_open(&o), ERR_OK);
}
END_TEST

START_TEST(a_restored_backup_is_made_concurrent_again)
{
	struct store_options o = options();

	open_with(&o);
	add_run(1);
	close_store();
	sql_run("PRAGMA journal_mode = DELETE");
	open_with(&o);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM pragma_journal_mode"
	    " WHERE journal_mode = 'wal'"), 1);
	ck_assert_int_eq(run_status(1), STATE_PENDING);
}
END_TEST

/* --- kill -9 -------------------------------------------------------------- */

#define KILL_ROUNDS 6
#define KILL_THREADS 4
#define KILL_AFTER 60		/* acknowledged runs */
#define KILL_STRIDE 100000	/* numbers of one thread */

struct victim {
	int first, out;
};

/* Runs live and end; each number is written out after its run was answered. */
static void *
live(void *arg)
{
	struct victim *v = arg;
	enum cancel_outcome outcome;
	struct run_spec spec = { .n = 0 };
	enum submit_outcome so;
	struct claimed c;
	enum state was;
	int n;

	for (n = v->first; ; n++) {
		spec.n = n;
		if (submit(st, &spec, NULL, &so, NULL, NULL, NULL) != ERR_OK ||
		    write(v->out, &n, sizeof(n)) != sizeof(n))
			_exit(1);
		if (claim_at(T0 + HOUR, &c) == 0)
			continue;
		tell(&c, "strategy", STAGE_RUNNING, T0);
		checkpoint(&c, "strategy", 0, T0);
		if (n % 3 == 0)
			cancel(n, T0, &outcome, &was);
		else if (n % 3 == 1)
			finish(&c, STATE_COMPLETED, T0);
	}
}

static void
be_killed(int out)
{
	struct store_options o = options();
	struct victim v[KILL_THREADS];
	pthread_t t;
	int i;

	o.checkpointer = true;
	if (store_open(&o, &st, NULL) != ERR_OK)
		_exit(1);
	for (i = 0; i < KILL_THREADS; i++) {
		v[i].first = i * KILL_STRIDE + 1;
		v[i].out = out;
		pthread_create(&t, NULL, live, &v[i]);
	}
	for (;;)
		pause();
}

START_TEST(what_was_answered_survives_kill_9)
{
	struct store_options o = options();
	int answered[KILL_AFTER + 1000];
	int n = 0, i, p[2], status;
	pid_t pid;

	ck_assert_int_eq(pipe(p), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		be_killed(p[1]);
	close(p[1]);
	while (n < KILL_AFTER + _i * 37) {
		ck_assert_int_eq(read(p[0], &answered[n], sizeof(int)),
		    (int)sizeof(int));
		n++;
	}
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	while (n < (int)ARRAY_LEN(answered) &&
	    read(p[0], &answered[n], sizeof(int)) == (int)sizeof(int))
		n++;
	close(p[0]);
	open_with(&o);
	audit();
	for (i = 0; i < n; i++)
		run_status(answered[i]);
	add_run(999999);
}
END_TEST

Suite *
file_suite(void)
{
	Suite *s = suite_create("store: file");
	TCase *tc = tcase_create("file");

	tcase_add_checked_fixture(tc, set_up_closed, tear_down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, an_empty_place_becomes_a_database);
	tcase_add_test(tc, a_file_without_a_byte_becomes_a_database);
	tcase_add_loop_test(tc, eight_processes_create_it_at_once, 0,
	    CREATE_ROUNDS);
	tcase_add_loop_test(tc, a_name_that_is_no_absolute_path_is_refused, 0,
	    ARRAY_LEN(bad_names));
	tcase_add_test(tc, a_directory_that_cannot_be_made_is_refused);
	tcase_add_loop_test(tc,
	    a_database_of_another_program_is_refused_and_untouched, 0,
	    ARRAY_LEN(foreign));
	tcase_add_test(tc, a_file_that_is_no_database_is_refused);
	tcase_add_test(tc, a_newer_schema_is_refused);
	tcase_add_test(tc,
	    an_older_schema_asks_for_migrate_and_is_left_alone);
	tcase_add_test(tc, a_store_for_reading_writes_nothing);
	tcase_add_test(tc, a_copy_is_read_without_the_files_beside_it);
	tcase_add_test(tc, creating_waits_for_its_turn);
	tcase_add_test(tc, migrate_creates_and_then_has_nothing_to_do);
	tcase_add_test(tc, a_database_of_version_1_is_upgraded_with_its_rows);
	tcase_add_test(tc, an_upgrade_goes_as_far_as_its_steps_succeed);
	tcase_add_test(tc, an_upgrade_and_users_keep_each_other_out);
	tcase_add_test(tc, a_restored_backup_is_made_concurrent_again);
	tcase_add_loop_test(tc, what_was_answered_survives_kill_9, 0,
	    KILL_ROUNDS);
	suite_add_tcase(s, tc);
	return s;
}
