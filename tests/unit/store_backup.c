/* One state of the database as a file, and back. */
#include "tests/unit/store_support.h"

#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "upkeep.h"
#include "xalloc.h"

Suite *backup_suite(void);

static char copy_path[320];
static atomic_int submitted;
static atomic_bool enough;

static void
set_up_copy(void)
{
	set_up();
	snprintf(copy_path, sizeof(copy_path), "%s.copy", db_path());
}

static int64_t
number_in(const char *path, const char *sql)
{
	sqlite3 *conn = NULL;
	sqlite3_stmt *q = NULL;
	int64_t n;

	ck_assert_int_eq(sqlite3_open_v2(path, &conn, SQLITE_OPEN_READONLY,
	    NULL), SQLITE_OK);
	ck_assert_msg(sqlite3_prepare_v2(conn, sql, -1, &q, NULL) == SQLITE_OK,
	    "%s", sqlite3_errmsg(conn));
	ck_assert_int_eq(sqlite3_step(q), SQLITE_ROW);
	n = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	sqlite3_close(conn);
	return n;
}

static enum err_code
no_files(void *arg, struct err *e)
{
	if (arg == NULL)
		return ERR_OK;
	return err_set(e, ERR_FULL, "asked to fail");
}

/* Another place beside the first. */
static char *
elsewhere(void)
{
	return xasprintf("sqlite:%s.d/db/churns.sqlite", db_path());
}

START_TEST(a_copy_has_what_there_was_and_can_be_the_database)
{
	char *database = elsewhere();
	struct store_options o = options();
	struct claimed c;
	int version = 0;
	struct stat sb;

	add_run(1);
	add_run(2);
	claim_at(T0 + HOUR, &c);
	buy(&c, id_of("call", 1), "strategy", 500);
	ck_ok(store_backup(st, copy_path, &err), &err);
	add_run(3);
	ck_assert_int_eq(stat(copy_path, &sb), 0);
	ck_assert_int_eq(sb.st_mode & 0777, 0600);
	ck_assert_int_eq(number_in(copy_path, "SELECT count(*) FROM runs"), 2);
	close_store();
	ck_ok(store_restore(database, copy_path, no_files, NULL, &version,
	    &err), &err);
	ck_assert_int_eq(version, STORE_SCHEMA_VERSION);
	o.database = database;
	open_with(&o);
	ck_assert_int_eq(run_status(1), STATE_RUNNING);
	ck_assert_int_eq(run_status(2), STATE_PENDING);
	/* The lease of before means nothing when its time is over. */
	add_run(4);
	ck_assert_int_eq(claim_at(T0 + HOUR, NULL), 2);
	free(database);
}
END_TEST

static void *
submit_on(void *arg)
{
	enum submit_outcome outcome;
	struct run_spec spec = { .n = *(int *)arg };

	while (!atomic_load(&enough)) {
		if (submit(st, &spec, NULL, &outcome, NULL, NULL, NULL) ==
		    ERR_OK)
			atomic_fetch_add(&submitted, 1);
		spec.n++;
	}
	return NULL;
}

/* Whatever had been answered when it began is in it, and no half of anything. */
START_TEST(a_copy_made_under_load_is_one_state)
{
	pthread_t threads[2];
	int first[2] = { 1000, 200000 }, before, i;
	char *path;

	atomic_store(&enough, false);
	for (i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, submit_on, &first[i]);
	for (i = 0; i < 5; i++) {
		path = xasprintf("%s.%d", copy_path, i);
		while (atomic_load(&submitted) < 40 * (i + 1))
			usleep(1000);
		before = atomic_load(&submitted);
		ck_ok(store_backup(st, path, &err), &err);
		ck_assert_int_ge(number_in(path, "SELECT count(*) FROM runs"),
		    before);
		ck_assert_int_eq(number_in(path, "SELECT count(*) FROM runs"
		    " r LEFT JOIN jobs j ON j.run_id = r.id LEFT JOIN stages s"
		    " ON s.job_id = j.id"), 3 * number_in(path,
		    "SELECT sum(n) FROM run_counts"));
		ck_assert_int_eq(number_in(path, "SELECT count(*) FROM"
		    " pragma_integrity_check WHERE integrity_check <> 'ok'"),
		    0);
		free(path);
	}
	atomic_store(&enough, true);
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}
END_TEST

START_TEST(a_copy_replaces_no_file)
{
	FILE *f = fopen(copy_path, "w");

	ck_assert_ptr_nonnull(f);
	fclose(f);
	ck_fails(store_backup(st, copy_path, &err), ERR_CONFLICT);
	ck_assert_int_eq(access(copy_path, F_OK), 0);
	ck_assert_int_eq(unlink(copy_path), 0);
	ck_assert(store_backup(st, "/nowhere/copy", &err) != ERR_OK);
}
END_TEST

START_TEST(nothing_is_restored_over_what_is_there)
{
	static const char *const parts[] = { "", "-wal", "-shm", "-journal" };
	char *path = xasprintf("%s%s", db_path(), parts[_i]);
	char *database = xasprintf("sqlite:%s", db_path());
	int version = 0;
	FILE *f;

	ck_ok(store_backup(st, copy_path, &err), &err);
	ck_fails(store_restore(database, copy_path, no_files, NULL, &version,
	    &err), ERR_BUSY);
	close_store();
	ck_assert_int_eq(unlink(db_path()), 0);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fclose(f);
	ck_fails(store_restore(database, copy_path, no_files, NULL, &version,
	    &err), ERR_CONFLICT);
	ck_assert_int_eq(unlink(path), 0);
	ck_ok(store_restore(database, copy_path, no_files, NULL, &version,
	    &err), &err);
	free(database);
	free(path);
}
END_TEST

START_TEST(without_its_files_a_database_does_not_come_back)
{
	char *database = elsewhere();
	struct stat sb;
	int version = 0;

	ck_ok(store_backup(st, copy_path, &err), &err);
	ck_fails(store_restore(database, copy_path, no_files, &version,
	    &version, &err), ERR_FULL);
	ck_assert_int_ne(stat(strchr(database, '/'), &sb), 0);
	ck_ok(store_restore(database, copy_path, no_files, NULL, &version,
	    &err), &err);
	free(database);
}
END_TEST

static void
put_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

START_TEST(only_a_database_of_ours_is_restored)
{
	char *database = elsewhere();
	sqlite3 *conn = NULL;
	int version = 0;

	ck_fails(store_restore(database, "/nowhere/copy", no_files, NULL,
	    &version, &err), ERR_CONFIG);
	put_text(copy_path, "no database at all, however long it may be");
	ck_fails(store_restore(database, copy_path, no_files, NULL, &version,
	    &err), ERR_CONFIG);
	put_text(copy_path, "");
	ck_fails(store_restore(database, copy_path, no_files, NULL, &version,
	    &err), ERR_CONFIG);
	ck_assert_int_eq(sqlite3_open(copy_path, &conn), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(conn, "CREATE TABLE t (a)", NULL, NULL,
	    NULL), SQLITE_OK);
	sqlite3_close(conn);
	ck_fails(store_restore(database, copy_path, no_files, NULL, &version,
	    &err), ERR_CONFIG);
	unlink(copy_path);
	sql_run("INSERT INTO schema_version VALUES (99, 'future')");
	ck_ok(store_backup(st, copy_path, &err), &err);
	ck_fails(store_restore(database, copy_path, no_files, NULL, &version,
	    &err), ERR_CONFIG);
	sql_run("DELETE FROM schema_version WHERE version = 99");
	free(database);
}
END_TEST

Suite *
backup_suite(void)
{
	Suite *s = suite_create("store: backups");
	TCase *tc = tcase_create("copies");

	tcase_add_checked_fixture(tc, set_up_copy, tear_down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_copy_has_what_there_was_and_can_be_the_database);
	tcase_add_test(tc, a_copy_made_under_load_is_one_state);
	tcase_add_test(tc, a_copy_replaces_no_file);
	tcase_add_loop_test(tc, nothing_is_restored_over_what_is_there, 0, 4);
	tcase_add_test(tc, without_its_files_a_database_does_not_come_back);
	tcase_add_test(tc, only_a_database_of_ours_is_restored);
	suite_add_tcase(s, tc);
	return s;
}
