/*
 * A file that is not what it was: pages overwritten, cut off, a log with bad
 * bytes, rows that no program of ours wrote, and places that cannot be written.
 * The error names what a person has to look at, nothing is half written, and
 * whatever does not touch the damage goes on.
 */
#include "tests/unit/store_support.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "xalloc.h"

Suite *damage_suite(void);

#define NOBODY 65534
#define PAGE_BYTES 4096

/* --- damaging ------------------------------------------------------------- */

static void
overwrite(const char *path, off_t at, size_t len)
{
	char junk[PAGE_BYTES];
	int fd;

	memset(junk, 0xa5, sizeof(junk));
	fd = open(path, O_WRONLY);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, junk, len, at), (ssize_t)len);
	close(fd);
}

/* The first page of a table or index; the store is closed. */
static void
damage(const char *table)
{
	char sql[200];

	snprintf(sql, sizeof(sql), "SELECT rootpage FROM sqlite_schema"
	    " WHERE name = '%s'", table);
	overwrite(db_path(), (off_t)(sql_int(sql) - 1) * PAGE_BYTES,
	    PAGE_BYTES);
}

static void
expect_damaged(enum err_code rc)
{
	ck_assert_msg(rc == ERR_SYSTEM, "%s: %s", err_code_name(rc), err.msg);
	ck_assert_msg(strstr(err.msg, "the database is damaged") != NULL, "%s",
	    err.msg);
}

/* Run 1 is being worked on, run 2 waits; what is stored is in the file. */
static void
make_runs(struct claimed *c)
{
	struct store_options o = options();

	open_with(&o);
	add_run(1);
	ck_assert_int_eq(claim_at(T0 + HOUR, c), 1);
	ck_ok(tell(c, "strategy", STAGE_RUNNING, T0), &err);
	add_run(2);
	close_store();
}

/* No audit: that would find what the test has done. */
static void
close_damaged(void)
{
	close_store();
}

START_TEST(a_damaged_table_fails_what_needs_it_and_nothing_else)
{
	struct store_options o = options();
	enum cancel_outcome outcome;
	struct event_list l;
	enum state was;
	struct claimed c;
	struct run r;

	make_runs(&c);
	damage("events");
	open_with(&o);
	ck_ok(store_ping(st, &err), &err);
	expect_damaged(store_list_events(st, "ann", c.run_id, 0, 9, &l, &err));
	expect_damaged(tell(&c, "strategy", STAGE_COMPLETED, T0 + 1));
	expect_damaged(cancel(2, T0, &outcome, &was));
	/* Not half of it: row, stages, counters and job are as they were. */
	ck_ok(store_get_run(st, "ann", c.run_id, &r, &err), &err);
	ck_assert_int_eq(r.last_seq, 1);
	ck_assert_int_eq(r.status, STATE_RUNNING);
	run_release(&r);
	ck_assert_int_eq(run_status(2), STATE_PENDING);
	ck_assert_int_eq(job_state(2), STATE_PENDING);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM stages"
	    " WHERE status = 'RUNNING'"), 1);
	add_run(3);		/* needs no event */
	ck_assert_int_eq(claim_at(T0 + HOUR, NULL), 2);
	close_damaged();
}
END_TEST

/* A batch has units that meet the damage and units that do not. */
START_TEST(a_damaged_table_fails_only_its_own_units_of_a_batch)
{
	struct store_options o = options();
	struct put puts[6];
	struct gate g;
	struct claimed c;
	size_t i;

	make_runs(&c);
	damage("answer_cache");
	open_with(&o);
	gate_close(&g, ERR_OK);
	for (i = 0; i < ARRAY_LEN(puts); i++)
		put_start(&puts[i], (int)i, "text");
	wait_for_queue(ARRAY_LEN(puts));
	gate_open(&g);
	ck_assert_int_eq(g.rc, ERR_OK);
	for (i = 0; i < ARRAY_LEN(puts); i++) {
		pthread_join(puts[i].thread, NULL);
		ck_assert_int_eq(puts[i].rc, ERR_SYSTEM);
	}
	ck_ok(tell(&c, "strategy", STAGE_COMPLETED, T0 + 1), &err);
	ck_assert_int_eq(last_event_seq(1), 2);
	close_damaged();
}
END_TEST

START_TEST(a_damaged_schema_is_told_when_opening)
{
	struct store_options o = options();
	struct claimed c;
	struct store *s = NULL;

	make_runs(&c);
	overwrite(db_path(), 100, 1000);	/* behind the header */
	expect_damaged(store_open(&o, &s, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, db_path()));
}
END_TEST

START_TEST(a_damaged_header_is_no_database)
{
	struct store_options o = options();
	struct claimed c;
	struct store *s = NULL;

	make_runs(&c);
	overwrite(db_path(), 0, 100);
	ck_fails(store_open(&o, &s, &err), ERR_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.msg, "not a database"));
	ck_assert_ptr_nonnull(strstr(err.msg, db_path()));
}
END_TEST

START_TEST(a_file_that_was_cut_off_is_damaged)
{
	struct store_options o = options();
	struct claimed c;
	struct store *s = NULL;
	struct run r;
	enum err_code rc;

	make_runs(&c);
	ck_assert_int_eq(truncate(db_path(), 3 * PAGE_BYTES), 0);
	rc = store_open(&o, &s, &err);
	if (rc == ERR_OK) {
		rc = store_get_run(s, "ann", c.run_id, &r, &err);
		store_close(s);
	}
	expect_damaged(rc);
}
END_TEST

#define LOGGED_RUNS 20

static void
copy_file(const char *from, const char *to)
{
	struct strbuf bytes = STRBUF_INIT(16 * 1024 * 1024);
	int fd;

	ck_ok(file_read(from, 16 * 1024 * 1024, &bytes, &err), &err);
	fd = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_ok(file_write_all(fd, bytes.buf, bytes.len, &err), &err);
	close(fd);
	strbuf_release(&bytes);
}

/* Frames are checked one by one: what stands behind a bad one never was.  The
 * files are taken while the store is open, so the log has everything. */
START_TEST(a_damaged_log_loses_its_end_and_nothing_before)
{
	struct store_options o = options();
	char *log = xasprintf("%s-wal", db_path());
	char *kept = xasprintf("%s.kept", db_path());
	char *kept_log = xasprintf("%s.kept-wal", db_path());
	struct stat sb;
	int64_t left;
	int n;

	open_with(&o);
	for (n = 1; n <= LOGGED_RUNS; n++)
		add_run(n);
	copy_file(db_path(), kept);
	copy_file(log, kept_log);
	close_store();
	ck_assert_int_eq(rename(kept, db_path()), 0);
	ck_assert_int_eq(rename(kept_log, log), 0);
	ck_assert_int_eq(stat(log, &sb), 0);
	overwrite(log, sb.st_size / 2, 64);
	open_with(&o);
	left = sql_int("SELECT count(*) FROM runs");
	ck_assert_int_gt(left, 0);
	ck_assert_int_lt(left, LOGGED_RUNS);
	for (n = 1; n <= left; n++)
		ck_assert_int_eq(run_status(n), STATE_PENDING);
	audit();
	add_run(LOGGED_RUNS + 1);
	free(log);
	free(kept);
	free(kept_log);
}
END_TEST

/* --- rows ----------------------------------------------------------------- */

static const struct {
	const char *what, *sql, *says;
} rows[] = {
	{ "a state of a run", "UPDATE runs SET status = 'PAUSED'"
	    " WHERE id = 'run-000001'", "run run-000001: a row has an unknown "
	    "state" },
	{ "no state at all", "UPDATE runs SET status = ''"
	    " WHERE id = 'run-000001'", "run run-000001" },
};

START_TEST(a_row_that_nobody_wrote_names_its_run)
{
	struct run_query q = { .owner = "ann", .page = 1, .page_size = 20 };
	struct store_options o = options();
	struct run_page p;
	struct claimed c;
	struct run r;
	char *sql;

	make_runs(&c);
	sql = xasprintf("PRAGMA ignore_check_constraints = 1; %s",
	    rows[_i].sql);
	sql_run(sql);
	free(sql);
	open_with(&o);
	ck_fails(store_get_run(st, "ann", "run-000001", &r, &err), ERR_SYSTEM);
	ck_assert_msg(strstr(err.msg, rows[_i].says) != NULL, "%s", err.msg);
	ck_fails(store_list_runs(st, &q, &p, &err), ERR_SYSTEM);
	ck_assert_msg(strstr(err.msg, rows[_i].says) != NULL, "%s", err.msg);
	ck_assert_int_eq(run_status(2), STATE_PENDING);
	close_damaged();
}
END_TEST

/* --- places that cannot be written ---------------------------------------- */

/* As somebody else; root may write everywhere. */
static void
become_nobody(void)
{
	if (geteuid() == 0)
		ck_assert_int_eq(seteuid(NOBODY), 0);
}

static void
become_root(void)
{
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
}

static char *
folder(void)
{
	char *path = xstrdup(db_path());

	*strrchr(path, '/') = '\0';
	return path;
}

/* Everything that is there belongs to nobody, as if we were that user. */
static void
give_away(void)
{
	static const char *const ends[] = { "", ".turn", "-wal", "-shm", NULL };
	char *dir = folder(), *path, *top = folder();
	int i;

	*strrchr(top, '/') = '\0';
	ck_assert_int_eq(chmod(top, 0755), 0);
	if (geteuid() == 0) {
		ck_assert_int_eq(chown(dir, NOBODY, NOBODY), 0);
		for (i = 0; ends[i] != NULL; i++) {
			path = xasprintf("%s%s", db_path(), ends[i]);
			ck_assert(chown(path, NOBODY, NOBODY) == 0 ||
			    errno == ENOENT);
			free(path);
		}
	}
	free(dir);
	free(top);
}

static const struct {
	const char *what;
	mode_t dir, file;
	bool read_only;		/* asked for */
	enum err_code code;
} places[] = {
	{ "as it should be", 0700, 0600, false, ERR_OK },
	{ "a directory to read only", 0500, 0600, false, ERR_CONFIG },
	{ "a file to read only", 0700, 0400, false, ERR_CONFIG },
	{ "a file not to be read", 0700, 0000, false, ERR_CONFIG },
	{ "a directory not to be entered", 0000, 0600, false, ERR_CONFIG },
	{ "not to be entered, for reading", 0000, 0600, true, ERR_CONFIG },
	{ "a file not to be read, for reading", 0700, 0000, true, ERR_CONFIG },
};

START_TEST(a_place_that_cannot_be_written_is_told_at_once)
{
	struct store_options o = options();
	struct store *s = NULL;
	char *dir = folder();
	struct claimed c;
	enum err_code rc;

	make_runs(&c);
	give_away();
	ck_assert_int_eq(chmod(db_path(), places[_i].file), 0);
	ck_assert_int_eq(chmod(dir, places[_i].dir), 0);
	o.read_only = places[_i].read_only;
	become_nobody();
	rc = store_open(&o, &s, &err);
	store_close(s);
	become_root();
	ck_assert_int_eq(chmod(dir, 0700), 0);
	ck_assert_int_eq(chmod(db_path(), 0600), 0);
	ck_assert_msg(rc == places[_i].code, "%s: %s: %s", places[_i].what,
	    err_code_name(rc), err.msg);
	if (rc != ERR_OK)
		ck_assert_msg(strstr(err.msg, dir) != NULL, "%s", err.msg);
	free(dir);
}
END_TEST

START_TEST(a_directory_that_becomes_read_only_harms_nobody_who_is_inside)
{
	struct store_options o = options();
	char *dir = folder();
	struct claimed c;

	make_runs(&c);
	give_away();
	become_nobody();
	open_with(&o);
	add_run(3);
	become_root();
	ck_assert_int_eq(chmod(dir, 0500), 0);
	become_nobody();
	add_run(4);
	ck_assert_int_eq(run_status(4), STATE_PENDING);
	become_root();
	ck_assert_int_eq(chmod(dir, 0700), 0);
	free(dir);
}
END_TEST

Suite *
damage_suite(void)
{
	Suite *s = suite_create("store: damage");
	TCase *tc = tcase_create("damage");

	tcase_add_checked_fixture(tc, set_up_closed, tear_down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_damaged_table_fails_what_needs_it_and_nothing_else);
	tcase_add_test(tc, a_damaged_table_fails_only_its_own_units_of_a_batch);
	tcase_add_test(tc, a_damaged_schema_is_told_when_opening);
	tcase_add_test(tc, a_damaged_header_is_no_database);
	tcase_add_test(tc, a_file_that_was_cut_off_is_damaged);
	tcase_add_test(tc, a_damaged_log_loses_its_end_and_nothing_before);
	tcase_add_loop_test(tc, a_row_that_nobody_wrote_names_its_run, 0,
	    ARRAY_LEN(rows));
	tcase_add_loop_test(tc, a_place_that_cannot_be_written_is_told_at_once,
	    0, ARRAY_LEN(places));
	tcase_add_test(tc,
	    a_directory_that_becomes_read_only_harms_nobody_who_is_inside);
	suite_add_tcase(s, tc);
	return s;
}
