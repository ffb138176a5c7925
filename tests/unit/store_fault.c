/*
 * The disk fails: full, refusing to sync, for a moment or for good.
 *
 * A file system layer under SQLite counts everything that changes a file and
 * lets the n-th such operation fail.  Loop tests let n run over a whole piece
 * of work, so that each operation in it fails once.  Whatever happens, what was
 * answered with ERR_OK is there, what was answered with an error is not, and
 * the database passes its audit and can be written again.
 */
#include "tests/unit/store_support.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "deletion.h"
#include "xalloc.h"

Suite *fault_suite(void);

/* --- the layer ------------------------------------------------------------ */

struct layer_file {
	sqlite3_file base;
	bool is_log;
	sqlite3_file *real;	/* behind us in the same memory */
};

static sqlite3_vfs layer;
static sqlite3_vfs *real_vfs;

static atomic_int countdown;	/* operations until one fails; < 0: none will */
static atomic_bool for_good;	/* and all after it, too */
static atomic_int failures;	/* so far */
static atomic_int reads_left;	/* until all reading fails; < 0: it works */
static atomic_int open_errno;	/* opening a file fails with it; 0: it works */
static atomic_bool log_unsynced;	/* the log was written and not synced */

static bool
fails_now(void)
{
	int left = atomic_load(&countdown);

	if (left < 0)
		return false;
	if (left > 0)
		left = atomic_fetch_sub(&countdown, 1);
	if (left > 1)
		return false;
	if (!atomic_load(&for_good))
		atomic_store(&countdown, -1);
	else
		atomic_store(&countdown, 1);
	atomic_fetch_add(&failures, 1);
	return true;
}

static sqlite3_file *
real_of(sqlite3_file *f)
{
	return ((struct layer_file *)f)->real;
}

static int
layer_close(sqlite3_file *f)
{
	return real_of(f)->pMethods->xClose(real_of(f));
}

static int
layer_read(sqlite3_file *f, void *buf, int n, sqlite3_int64 at)
{
	if (atomic_load(&reads_left) > 0)
		atomic_fetch_sub(&reads_left, 1);
	if (atomic_load(&reads_left) == 0) {
		errno = EIO;
		return SQLITE_IOERR_READ;
	}
	return real_of(f)->pMethods->xRead(real_of(f), buf, n, at);
}

/* A write that fails has written half. */
static int
layer_write(sqlite3_file *f, const void *buf, int n, sqlite3_int64 at)
{
	if (((struct layer_file *)f)->is_log)
		atomic_store(&log_unsynced, true);
	if (fails_now()) {
		real_of(f)->pMethods->xWrite(real_of(f), buf, n / 2, at);
		return SQLITE_FULL;
	}
	return real_of(f)->pMethods->xWrite(real_of(f), buf, n, at);
}

static int
layer_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	if (fails_now())
		return SQLITE_IOERR_TRUNCATE;
	return real_of(f)->pMethods->xTruncate(real_of(f), size);
}

static int
layer_sync(sqlite3_file *f, int flags)
{
	if (fails_now())
		return SQLITE_IOERR_FSYNC;
	if (((struct layer_file *)f)->is_log)
		atomic_store(&log_unsynced, false);
	return real_of(f)->pMethods->xSync(real_of(f), flags);
}

static int
layer_size(sqlite3_file *f, sqlite3_int64 *size)
{
	return real_of(f)->pMethods->xFileSize(real_of(f), size);
}

static int
layer_lock(sqlite3_file *f, int how)
{
	return real_of(f)->pMethods->xLock(real_of(f), how);
}

static int
layer_unlock(sqlite3_file *f, int how)
{
	return real_of(f)->pMethods->xUnlock(real_of(f), how);
}

static int
layer_check_lock(sqlite3_file *f, int *out)
{
	return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}

static int
layer_control(sqlite3_file *f, int op, void *arg)
{
	return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}

static int
layer_sector(sqlite3_file *f)
{
	return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int
layer_device(sqlite3_file *f)
{
	return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

static int
layer_shm_map(sqlite3_file *f, int page, int size, int extend,
    void volatile **out)
{
	return real_of(f)->pMethods->xShmMap(real_of(f), page, size, extend,
	    out);
}

static int
layer_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
	return real_of(f)->pMethods->xShmLock(real_of(f), at, n, flags);
}

static void
layer_shm_barrier(sqlite3_file *f)
{
	real_of(f)->pMethods->xShmBarrier(real_of(f));
}

static int
layer_shm_unmap(sqlite3_file *f, int also_delete)
{
	return real_of(f)->pMethods->xShmUnmap(real_of(f), also_delete);
}

static const sqlite3_io_methods layer_methods = {
	.iVersion = 2,
	.xClose = layer_close, .xRead = layer_read, .xWrite = layer_write,
	.xTruncate = layer_truncate, .xSync = layer_sync,
	.xFileSize = layer_size, .xLock = layer_lock,
	.xUnlock = layer_unlock, .xCheckReservedLock = layer_check_lock,
	.xFileControl = layer_control, .xSectorSize = layer_sector,
	.xDeviceCharacteristics = layer_device, .xShmMap = layer_shm_map,
	.xShmLock = layer_shm_lock, .xShmBarrier = layer_shm_barrier,
	.xShmUnmap = layer_shm_unmap,
};

static int
layer_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags,
    int *out_flags)
{
	struct layer_file *lf = (struct layer_file *)f;
	int rc;

	(void)vfs;
	memset(lf, 0, sizeof(*lf));
	if (atomic_load(&open_errno) != 0) {
		errno = atomic_load(&open_errno);
		return SQLITE_CANTOPEN;
	}
	lf->real = (sqlite3_file *)(lf + 1);
	lf->is_log = (flags & SQLITE_OPEN_WAL) != 0;
	rc = real_vfs->xOpen(real_vfs, name, lf->real, flags, out_flags);
	if (lf->real->pMethods != NULL)
		lf->base.pMethods = &layer_methods;
	return rc;
}

static void
lay_under(void)
{
	atomic_store(&countdown, -1);
	atomic_store(&for_good, false);
	atomic_store(&reads_left, -1);
	atomic_store(&open_errno, 0);
	real_vfs = sqlite3_vfs_find(NULL);
	layer = *real_vfs;
	layer.pNext = NULL;
	layer.zName = "layer";
	layer.szOsFile += (int)sizeof(struct layer_file);
	layer.xOpen = layer_open;
	ck_assert_int_eq(sqlite3_vfs_register(&layer, 1), SQLITE_OK);
}

static void
fail_at(int n, bool good)
{
	atomic_store(&for_good, good);
	atomic_store(&failures, 0);
	atomic_store(&countdown, n);
}

static void
heal(void)
{
	atomic_store(&countdown, -1);
	atomic_store(&reads_left, -1);
	atomic_store(&open_errno, 0);
}

static void
set_up_layer(void)
{
	lay_under();
	set_up_closed();
}

static void
tear_down_layer(void)
{
	heal();
	tear_down();
	sqlite3_vfs_unregister(&layer);
}

/* --- a piece of work ------------------------------------------------------ */

#define WORKERS 3
#define RUNS_EACH 3
#define TEXT_BYTES 30000	/* more than a small cache takes */
#define FAULTS 90		/* the work makes about that many changes */

static struct worker {
	pthread_t thread;
	int first;
	enum err_code submitted[RUNS_EACH], cached[RUNS_EACH];
} workers[WORKERS];

static void *
work(void *arg)
{
	char *text = xmalloc(TEXT_BYTES + 1), key[40];
	struct worker *w = arg;
	struct run_spec spec;
	enum submit_outcome outcome;
	int i;

	memset(text, 'x', TEXT_BYTES);
	text[TEXT_BYTES] = '\0';
	for (i = 0; i < RUNS_EACH; i++) {
		spec = (struct run_spec){ .n = w->first + i };
		w->submitted[i] = submit(st, &spec, NULL, &outcome, NULL, NULL,
		    NULL);
		snprintf(key, sizeof(key), "key-%d", w->first + i);
		w->cached[i] = store_cache_put(st, key, text, T0, NULL);
	}
	free(text);
	return NULL;
}

static void
expect_exactly_what_was_answered(void)
{
	char sql[200];
	int i, j, n;

	for (i = 0; i < WORKERS; i++)
		for (j = 0; j < RUNS_EACH; j++) {
			n = workers[i].first + j;
			snprintf(sql, sizeof(sql), "SELECT count(*) FROM runs"
			    " WHERE id = '%s'", id_of("run", n));
			ck_assert_int_eq(sql_int(sql),
			    workers[i].submitted[j] == ERR_OK);
			snprintf(sql, sizeof(sql), "SELECT count(*) FROM"
			    " answer_cache WHERE key = 'key-%d'", n);
			ck_assert_int_eq(sql_int(sql),
			    workers[i].cached[j] == ERR_OK);
		}
}

static void
work_with_a_fault(int n, bool good)
{
	struct store_options o = options();
	int i, j;

	o.full_sync = true;
	o.cache_kb = 16;
	open_with(&o);
	add_run(900);
	fail_at(n, good);
	for (i = 0; i < WORKERS; i++) {
		workers[i].first = i * 100 + 1;
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	for (i = 0; i < WORKERS; i++)
		pthread_join(workers[i].thread, NULL);
	heal();
	for (i = 0; i < WORKERS; i++)
		for (j = 0; j < RUNS_EACH; j++)
			ck_assert(workers[i].submitted[j] == ERR_OK ||
			    workers[i].submitted[j] == ERR_FULL ||
			    workers[i].submitted[j] == ERR_SYSTEM);
	expect_exactly_what_was_answered();
	audit();
	add_run(901);		/* writing works again */
	close_store();
	open_with(&o);
	expect_exactly_what_was_answered();
}

START_TEST(any_change_of_a_file_may_fail_once)
{
	work_with_a_fault(_i + 1, false);
}
END_TEST

START_TEST(any_change_of_a_file_may_fail_for_good)
{
	work_with_a_fault(_i + 1, true);
	ck_assert_int_ge(atomic_load(&failures), 1);
}
END_TEST

/* --- one kind of failure -------------------------------------------------- */

START_TEST(an_answer_means_the_log_is_on_the_disk)
{
	struct store_options o = options();
	struct claimed c;
	int i;

	o.full_sync = true;
	open_with(&o);
	for (i = 1; i <= 20; i++) {
		add_run(i);
		ck_assert(!atomic_load(&log_unsynced));
		claim_at(T0 + HOUR, &c);
		ck_assert(!atomic_load(&log_unsynced));
		ck_ok(tell(&c, "strategy", STAGE_RUNNING, T0), &err);
		ck_assert(!atomic_load(&log_unsynced));
		buy(&c, id_of("call", i), "strategy", 1);
		ck_assert(!atomic_load(&log_unsynced));
	}
}
END_TEST

START_TEST(a_full_disk_is_told_and_passes)
{
	struct store_options o = options();
	enum submit_outcome outcome;
	struct run_spec spec = { .n = 2 };

	open_with(&o);
	add_run(1);
	fail_at(1, true);
	ck_fails(submit(st, &spec, NULL, &outcome, NULL, NULL, &err),
	    ERR_FULL);
	ck_assert_int_eq(run_status(1), STATE_PENDING);	/* reading works */
	ck_fails(submit(st, &spec, NULL, &outcome, NULL, NULL, &err),
	    ERR_FULL);
	heal();
	ck_ok(submit(st, &spec, NULL, &outcome, NULL, NULL, &err), &err);
}
END_TEST

/* The kernel's own limit instead of the layer's. */
START_TEST(a_file_that_may_not_grow_is_a_full_disk)
{
	struct store_options o = options();
	struct rlimit old, small;
	enum submit_outcome outcome;
	struct run_spec spec = { .n = 0 };
	enum err_code rc = ERR_OK;
	struct store_stats s;

	signal(SIGXFSZ, SIG_IGN);
	open_with(&o);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 600000;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	while (rc == ERR_OK && spec.n < 1000) {
		spec.n++;
		rc = submit(st, &spec, NULL, &outcome, NULL, NULL, &err);
	}
	ck_assert_msg(rc == ERR_FULL, "%s: %s", err_code_name(rc), err.msg);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM runs"), spec.n - 1);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
	ck_ok(submit(st, &spec, NULL, &outcome, NULL, NULL, &err), &err);
	store_get_stats(st, &s);
	ck_assert_int_eq(s.units, spec.n);
	ck_assert_int_eq(s.failed_units, 1);
}
END_TEST

#define DELETE_FAULTS 12	/* deleting makes fewer changes */

/* The run is there with everything, or gone with everything; the audit after
 * the test looks at the rest. */
START_TEST(a_run_is_deleted_whole_or_not_at_all)
{
	struct store_options o = options();
	enum delete_outcome outcome;
	enum err_code rc;
	struct claimed c;
	int64_t events, calls;

	o.full_sync = true;
	open_with(&o);
	add_run(1);
	claim_at(T0 + HOUR, &c);
	ck_ok(tell(&c, "strategy", STAGE_RUNNING, T0), &err);
	ck_ok(checkpoint(&c, "strategy", 1, T0), &err);
	buy(&c, "call-1", "strategy", 5);
	ck_ok(finish(&c, STATE_COMPLETED, T0), &err);
	fail_at(_i + 1, false);
	rc = store_delete_run(st, "ann", c.run_id, T0, &outcome, &err);
	heal();
	ck_assert(rc == ERR_OK || rc == ERR_FULL || rc == ERR_SYSTEM);
	events = sql_int("SELECT count(*) FROM events");
	calls = sql_int("SELECT sum(cost_nano) FROM model_calls");
	ck_assert_int_eq(events, rc == ERR_OK ? 0 : 2);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM stages"),
	    rc == ERR_OK ? 0 : 3);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM lane_outputs"),
	    rc != ERR_OK);
	ck_assert_int_eq(calls, 5);
	audit();
	if (rc != ERR_OK)
		ck_ok(store_delete_run(st, "ann", c.run_id, T0, &outcome,
		    &err), &err);
}
END_TEST

START_TEST(creating_may_fail_anywhere_and_be_tried_again)
{
	struct store_options o = options();
	struct store *s = NULL;
	enum err_code rc;

	fail_at(_i + 1, true);
	rc = store_open(&o, &s, &err);
	heal();
	store_close(s);
	ck_assert(rc == ERR_OK || rc == ERR_FULL || rc == ERR_SYSTEM);
	open_with(&o);
	add_run(1);
}
END_TEST

/* --- reading fails -------------------------------------------------------- */

#define READ_FAULTS 24		/* the reads below make about half as many */

static int refused;		/* reads that failed */

/* An answer that is right, or an error that says whose fault it is. */
static bool
is_read(enum err_code rc)
{
	if (rc == ERR_OK)
		return true;
	ck_assert_int_eq(rc, ERR_SYSTEM);
	ck_assert_ptr_nonnull(strstr(err.msg, "the disk under the database "
	    "failed"));
	ck_assert_ptr_nonnull(strstr(err.msg, strerror(EIO)));
	refused++;
	return false;
}

static void
read_everything(int runs)
{
	struct run_query q = { .owner = "ann", .page = 1, .page_size = 20 };
	const char *ids[] = { "run-000001" };
	struct event_list events;
	struct run_page page;
	struct run_tip tip;
	int64_t version;
	struct run run;

	if (is_read(store_get_run(st, "ann", ids[0], &run, &err))) {
		ck_assert_str_eq(run.id, ids[0]);
		run_release(&run);
	}
	if (is_read(store_list_runs(st, &q, &page, &err))) {
		ck_assert_int_eq(page.n, runs);
		run_page_release(&page);
	}
	if (is_read(store_list_events(st, "ann", ids[0], 0, 9, &events,
	    &err))) {
		ck_assert_int_eq(events.n, 2);
		event_list_release(&events);
	}
	if (is_read(store_read_tips(st, "ann", ids, 1, &tip, &err)))
		ck_assert_int_eq(tip.last_seq, 2);
	is_read(store_data_version(st, &version, &err));
	is_read(store_ping(st, &err));
}

START_TEST(any_read_may_fail_and_the_next_one_works)
{
	struct store_options o = options();
	struct run_spec spec = { .n = 9 };
	enum submit_outcome outcome;
	struct claimed c;
	int stored;

	open_with(&o);
	add_run(1);
	claim_at(T0 + HOUR, &c);
	ck_ok(tell(&c, "strategy", STAGE_RUNNING, T0), &err);
	ck_ok(finish(&c, STATE_COMPLETED, T0), &err);
	add_run(2);
	add_run(3);
	close_store();
	open_with(&o);		/* with nothing in memory */
	refused = 0;
	atomic_store(&reads_left, _i + 1);
	read_everything(3);
	stored = is_read(submit(st, &spec, NULL, &outcome, NULL, NULL, &err));
	heal();
	ck_assert(_i > 0 || refused > 3);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM runs"), 3 + stored);
	refused = 0;
	read_everything(3 + stored);
	ck_assert_int_eq(refused, 0);
	add_run(10);
}
END_TEST

/* --- opening fails -------------------------------------------------------- */

static const struct {
	int errnum;
	enum err_code code;
} openings[] = {
	{ EACCES, ERR_CONFIG }, { EROFS, ERR_CONFIG }, { EPERM, ERR_CONFIG },
	{ EISDIR, ERR_CONFIG }, { ENOSPC, ERR_FULL }, { EDQUOT, ERR_FULL },
	{ EIO, ERR_SYSTEM }, { EMFILE, ERR_SYSTEM }, { ENFILE, ERR_SYSTEM },
};

START_TEST(a_file_that_cannot_be_opened_says_why)
{
	struct store_options o = options();
	struct store *s = NULL;
	enum err_code rc;

	open_with(&o);
	add_run(1);
	close_store();
	atomic_store(&open_errno, openings[_i].errnum);
	rc = store_open(&o, &s, &err);
	heal();
	ck_assert_msg(rc == openings[_i].code, "%s: %s", err_code_name(rc),
	    err.msg);
	ck_assert_ptr_nonnull(strstr(err.msg, strerror(openings[_i].errnum)));
	ck_assert_ptr_nonnull(strstr(err.msg, db_path()));
	open_with(&o);
	ck_assert_int_eq(run_status(1), STATE_PENDING);
}
END_TEST

/* A reader is opened late, when it is needed: that may fail, too. */
START_TEST(a_reader_that_cannot_be_opened_is_tried_again)
{
	struct store_options o = options();
	struct run run;

	open_with(&o);
	add_run(1);
	atomic_store(&open_errno, EMFILE);
	ck_fails(store_get_run(st, "ann", "run-000001", &run, &err),
	    ERR_SYSTEM);
	ck_assert_ptr_nonnull(strstr(err.msg, strerror(EMFILE)));
	heal();
	ck_assert_int_eq(run_status(1), STATE_PENDING);
}
END_TEST

Suite *
fault_suite(void)
{
	Suite *s = suite_create("store: faults");
	TCase *tc = tcase_create("faults");

	tcase_add_checked_fixture(tc, set_up_layer, tear_down_layer);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, an_answer_means_the_log_is_on_the_disk);
	tcase_add_test(tc, a_full_disk_is_told_and_passes);
	tcase_add_test(tc, a_file_that_may_not_grow_is_a_full_disk);
	tcase_add_loop_test(tc, any_change_of_a_file_may_fail_once, 0, FAULTS);
	tcase_add_loop_test(tc, any_change_of_a_file_may_fail_for_good, 0,
	    FAULTS / 3);
	tcase_add_loop_test(tc, any_read_may_fail_and_the_next_one_works, 0,
	    READ_FAULTS);
	tcase_add_loop_test(tc, a_file_that_cannot_be_opened_says_why, 0,
	    ARRAY_LEN(openings));
	tcase_add_test(tc, a_reader_that_cannot_be_opened_is_tried_again);
	tcase_add_loop_test(tc, a_run_is_deleted_whole_or_not_at_all, 0,
	    DELETE_FAULTS);
	tcase_add_loop_test(tc, creating_may_fail_anywhere_and_be_tried_again,
	    0, 80);
	suite_add_tcase(s, tc);
	return s;
}
