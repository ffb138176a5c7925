/*
 * Power cuts.  A layer under SQLite (power.h) loses what was not synced, or keeps
 * a random part of it; then the machine starts again.  What must be true:
 *
 *   synchronous=FULL     a unit that was reported as stored is there
 *   both                 no unit is there in half, the database passes its audit
 *                        and can be written
 *   synchronous=NORMAL   what is missing is the end of the log: a unit is there
 *                        only if all that were reported before it are
 *
 * Each seed is another history: threads that submit, claim, tell, buy and finish
 * through the group commit, checkpoints in the middle, the cut at any operation
 * on a file.  CHURNS_POWER_SEEDS sets how many there are (more than the usual
 * ones for a night).
 */
#include "tests/unit/store_support.h"

#include <stdatomic.h>

#include "tests/unit/power.h"
#include "xalloc.h"

Suite *power_suite(void);

#define USUAL_SEEDS 60
#define WRITERS 3
#define RUNS_EACH 6
#define MAX_RUN (WRITERS * 100 + RUNS_EACH)
#define FORM_BYTES 6000		/* more than a page */
#define PAUSES 3		/* of a checkpoint, in operations */
#define BIG_TEXT_BYTES 300000	/* some of these make the log long */

/* How far a run was reported to have got before the cut. */
enum step {
	STEP_NONE, STEP_SUBMITTED, STEP_CLAIMED, STEP_CHECKPOINT, STEP_SENT,
	STEP_ANSWERED, STEP_FINISHED
};

static atomic_int reached[MAX_RUN + 1];
static atomic_bool cancelled[MAX_RUN + 1], kept[MAX_RUN + 1];
static atomic_bool stop_checkpoints;
static char form[FORM_BYTES + 1];

static char db_dir[300];

static void
set_up_power(void)
{
	set_up_closed();
	snprintf(db_dir, sizeof(db_dir), "%.*s",
	    (int)(strrchr(db_path(), '/') - db_path()), db_path());
	power_install(db_dir);
	memset(form, 'f', FORM_BYTES);
}

/* --- the work ------------------------------------------------------------- */

/* Told, and the power was still on afterwards: then it was on the disk. */
static bool
counts(enum err_code rc)
{
	return rc == ERR_OK && !power_is_off();
}

static void
note_step(int n, enum step step)
{
	if (n <= MAX_RUN)
		atomic_store(&reached[n], step);
}

static bool
submit_one(int n)
{
	struct idempotency idem = { .owner = "ann", .route = "POST",
	    .fingerprint = "f", .http_status = 200, .body = "{}" };
	enum submit_outcome outcome;
	struct run_spec spec = { .n = n };
	char key[40];
	enum err_code rc;

	snprintf(key, sizeof(key), "key-%d", n);
	idem.key = key;
	rc = submit(st, &spec, &idem, &outcome, NULL, NULL, NULL);
	if (counts(rc))
		note_step(n, STEP_SUBMITTED);
	return rc == ERR_OK;
}

/* Whatever is due, perhaps another thread's. */
static int
claim_one(struct claimed *c)
{
	int64_t next = 0;
	struct job job;
	bool found = false;
	int n = 0;

	memset(&job, 0, sizeof(job));
	if (store_claim(st, &me, T0 + HOUR, LEASE, &job, &found, &next,
	    NULL) != ERR_OK || !found)
		return 0;
	memcpy(c->job_id, job.id, ID_MAX);
	memcpy(c->run_id, job.run_id, ID_MAX);
	c->ref = (struct job_ref){ c->job_id, c->run_id, job.fence };
	job_release(&job);
	n = (int)strtol(c->run_id + strlen("run-"), NULL, 10);
	if (!power_is_off())
		note_step(n, STEP_CLAIMED);
	return n;
}

static bool
execute_one(int n, const struct claimed *c)
{
	struct stage_update u = update_of("strategy", 2, STAGE_COMPLETED);
	struct lane_output o = { "strategy", VARIANT_NONE, true, form, NULL,
	    NULL, T0, T0 };
	struct job_end end = { .state = STATE_COMPLETED,
	    .event_type = "run_complete", .event_data = "{}" };
	struct call_row row;
	enum err_code rc;

	rc = store_progress(st, &c->ref, &o, &u, 1, T0 + HOUR, NULL);
	if (counts(rc))
		note_step(n, STEP_CHECKPOINT);
	if (rc != ERR_OK)
		return false;
	call_init(&row, id_of("call", n), c, "style_guide", 1);
	rc = store_call_begin(st, &c->ref, &row, NULL);
	if (counts(rc))
		note_step(n, STEP_SENT);
	if (rc != ERR_OK)
		return false;
	row.state = CALL_ANSWERED;
	row.cost_nano = 1000 + n;
	row.answer = form;
	rc = store_call_settle(st, &row, NULL);
	if (counts(rc))
		note_step(n, STEP_ANSWERED);
	if (rc != ERR_OK)
		return false;
	rc = store_finish(st, &c->ref, &end, T0 + HOUR, NULL);
	if (counts(rc))
		note_step(n, STEP_FINISHED);
	return rc == ERR_OK;
}

static void
cancel_one(int n)
{
	enum cancel_outcome outcome;
	enum state was;

	if (counts(store_cancel_run(st, "ann", id_of("run", n), "no", T0 + HOUR,
	    &outcome, &was, NULL)) && outcome == CANCEL_DONE)
		atomic_store(&cancelled[n], true);
}

static bool
keep_big_text(int n, const char *text)
{
	char key[40];
	enum err_code rc;

	snprintf(key, sizeof(key), "big-%d", n);
	rc = store_cache_put(st, key, text, T0, NULL);
	if (counts(rc))
		atomic_store(&kept[n], true);
	return rc == ERR_OK;
}

struct writer_thread {
	pthread_t thread;
	int first;
	bool big;		/* writes texts that make the log long */
};

static void *
write_on(void *arg)
{
	struct writer_thread *w = arg;
	struct claimed c;
	char *text = NULL;
	bool on = true;
	int i, n;

	if (w->big) {
		text = xmalloc(BIG_TEXT_BYTES + 1);
		memset(text, 'b', BIG_TEXT_BYTES);
		text[BIG_TEXT_BYTES] = '\0';
	}
	for (i = 0; i < RUNS_EACH && on; i++) {
		on = submit_one(w->first + i);
		if (on && text != NULL)
			on = keep_big_text(w->first + i, text);
		if (on && i % 3 == 2)
			cancel_one(w->first + i - 1);
		n = on ? claim_one(&c) : 0;
		if (n > 0)
			on = execute_one(n, &c);
	}
	free(text);
	return NULL;
}

/* Checkpoints by somebody else, in the middle of everything. */
static void *
checkpoint_on(void *arg)
{
	static const int kinds[] = { SQLITE_CHECKPOINT_PASSIVE,
	    SQLITE_CHECKPOINT_FULL, SQLITE_CHECKPOINT_RESTART,
	    SQLITE_CHECKPOINT_TRUNCATE };
	sqlite3 *conn = NULL;
	unsigned i = *(unsigned *)arg;

	if (sqlite3_open(db_path(), &conn) != SQLITE_OK)
		goto out;
	sqlite3_busy_timeout(conn, 100);
	sqlite3_exec(conn, "PRAGMA synchronous = FULL", NULL, NULL, NULL);
	while (!atomic_load(&stop_checkpoints) && !power_is_off()) {
		sqlite3_wal_checkpoint_v2(conn, NULL, kinds[i++ % 4], NULL,
		    NULL);
		turn_pause(PAUSES * 1000);
	}
out:
	sqlite3_close(conn);
	return NULL;
}

/* Until everything is done or the power is gone. */
static void
work_on(unsigned seed)
{
	struct writer_thread w[WRITERS];
	pthread_t checkpoints;
	int i;

	atomic_store(&stop_checkpoints, false);
	if (seed % 2 == 0)
		pthread_create(&checkpoints, NULL, checkpoint_on, &seed);
	for (i = 0; i < WRITERS; i++) {
		w[i].first = (i + 1) * 100;
		w[i].big = seed % 4 == 1;
		pthread_create(&w[i].thread, NULL, write_on, &w[i]);
	}
	for (i = 0; i < WRITERS; i++)
		pthread_join(w[i].thread, NULL);
	atomic_store(&stop_checkpoints, true);
	if (seed % 2 == 0)
		pthread_join(checkpoints, NULL);
}

/* --- what is left --------------------------------------------------------- */

/* A number about run n: ?1 is its id, ?2 its job's, ?3 its call's, ?4 n. */
static int64_t
count(const char *sql, int n)
{
	sqlite3 *conn = NULL;
	sqlite3_stmt *q = NULL;
	int64_t value;

	ck_assert_int_eq(sqlite3_open(db_path(), &conn), SQLITE_OK);
	sqlite3_busy_timeout(conn, 10000);
	ck_assert_msg(sqlite3_prepare_v2(conn, sql, -1, &q, NULL) == SQLITE_OK,
	    "%s: %s", sql, sqlite3_errmsg(conn));
	/* Those that the text does not name are out of range: ignored. */
	sqlite3_bind_text(q, 1, id_of("run", n), -1, SQLITE_TRANSIENT);
	sqlite3_bind_text(q, 2, id_of("job", n), -1, SQLITE_TRANSIENT);
	sqlite3_bind_text(q, 3, id_of("call", n), -1, SQLITE_TRANSIENT);
	sqlite3_bind_int(q, 4, n);
	ck_assert_msg(sqlite3_step(q) == SQLITE_ROW, "%s: %s", sql,
	    sqlite3_errmsg(conn));
	value = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	sqlite3_close(conn);
	return value;
}

/* How far the run got by its rows, each of which must be whole. */
static enum step
step_of(int n)
{
	int64_t there, told;

	there = count("SELECT count(*) FROM runs WHERE id = ?1", n);
	ck_assert_int_eq(count("SELECT count(*) FROM idempotency"
	    " WHERE key = 'key-' || ?4", n), there);
	ck_assert_int_eq(count("SELECT count(*) FROM stages"
	    " WHERE job_id = ?2", n), 3 * there);
	if (there == 0)
		return STEP_NONE;
	if (count("SELECT fence FROM jobs WHERE id = ?2", n) == 0)
		return STEP_SUBMITTED;
	there = count("SELECT count(*) FROM lane_outputs"
	    " WHERE job_id = ?2 AND length(output) = 6000", n);
	told = count("SELECT count(*) FROM events WHERE run_id = ?1"
	    " AND type = 'stage_update'", n);
	ck_assert_int_eq(there, told);
	if (count("SELECT status = 'COMPLETED' FROM runs WHERE id = ?1", n))
		return STEP_FINISHED;
	if (there == 0)
		return STEP_CLAIMED;
	if (count("SELECT count(*) FROM model_calls WHERE id = ?3"
	    " AND state = 'ANSWERED' AND cost_nano > 0", n) > 0)
		return STEP_ANSWERED;
	return count("SELECT count(*) FROM model_calls WHERE id = ?3",
	    n) > 0 ? STEP_SENT : STEP_CHECKPOINT;
}

/* How many units that were reported are not there. */
static int
missing(void)
{
	int n, missed = 0;

	for (n = 0; n <= MAX_RUN; n++) {
		if (n < 100 || n % 100 >= RUNS_EACH)
			continue;
		missed += step_of(n) < (enum step)atomic_load(&reached[n]);
		missed += atomic_load(&cancelled[n]) && count("SELECT count(*)"
		    " FROM runs WHERE id = ?1 AND status = 'CANCELLED'",
		    n) == 0;
		missed += atomic_load(&kept[n]) && count("SELECT count(*)"
		    " FROM answer_cache WHERE key = 'big-' || ?4"
		    " AND length(answer) = 300000", n) == 0;
	}
	return missed;
}

/* Which operation of about n, and what survives it. */
static int
choose_cut(unsigned seed, int n)
{
	enum power_survival how = seed % 5 == 0 ? POWER_DROP : POWER_SOME;
	int at = 1 + (int)((uint64_t)seed * UINT64_C(2654435761) %
	    (uint64_t)n);

	power_cut_at(at, how, seed);
	return at;
}

#define OPERATIONS 900		/* of the work, more or less */

static void
cut_and_restart(unsigned seed, bool full_sync)
{
	struct store_options o = options();

	o.full_sync = full_sync;
	o.checkpointer = seed % 4 == 1;
	open_with(&o);
	choose_cut(seed, OPERATIONS);
	work_on(seed);
	power_cut_now();
	close_store();
	power_restore();
	/* One that wakes up may fall asleep again. */
	if (seed % 3 == 0) {
		power_cut_at(1 + (int)(seed % 40), POWER_SOME, seed + 1);
		if (store_open(&o, &st, &err) == ERR_OK)
			submit_one(99);
		power_cut_now();
		close_store();
		power_restore();
	}
	open_with(&o);
}

/* --- tests ---------------------------------------------------------------- */

START_TEST(what_was_reported_survives_a_power_cut)
{
	struct run_spec spec = { .n = 98 };

	cut_and_restart((unsigned)_i, true);
	ck_assert_int_eq(missing(), 0);
	audit();
	add(&spec);		/* and life goes on */
}
END_TEST

/* The order of commits is the order of the answers to one thread. */
START_TEST(with_normal_only_the_tail_is_lost)
{
	int w, i, n;
	bool gap;

	cut_and_restart((unsigned)_i, false);
	audit();
	for (w = 1; w <= WRITERS; w++) {
		gap = false;
		for (i = 0; i < RUNS_EACH; i++) {
			n = w * 100 + i;
			if (step_of(n) == STEP_NONE)
				gap = true;
			else
				ck_assert_msg(!gap, "run %d is there, and one "
				    "before it is not", n);
		}
	}
	add_run(98);
}
END_TEST

/* Otherwise the tests above would show nothing: the same cuts, and a disk that
 * has synced nothing when it says so. */
START_TEST(a_disk_that_lies_is_found_out)
{
	struct store_options o = options();
	int missed = 0;

	o.full_sync = true;
	open_with(&o);
	add_run(1);
	power_cut_at(-1, POWER_DROP, 1);
	power_lie(true);
	submit_one(100);
	submit_one(101);
	power_cut_now();
	close_store();
	power_lie(false);
	power_restore();
	open_with(&o);
	missed = missing();
	ck_assert_int_eq(missed, 2);
	ck_assert_int_eq(count("SELECT count(*) FROM runs WHERE id = ?1", 1),
	    1);
}
END_TEST

START_TEST(with_normal_the_tail_can_be_lost_and_a_kill_loses_nothing)
{
	struct store_options o = options();

	open_with(&o);
	power_cut_at(-1, _i == 0 ? POWER_DROP : POWER_KEEP, 1);
	submit_one(100);
	submit_one(101);
	power_cut_now();
	close_store();
	power_restore();
	open_with(&o);
	ck_assert_int_eq(missing(), _i == 0 ? 2 : 0);
	ck_assert(power_lost_something() == (_i == 0));
}
END_TEST

#define CREATING 60		/* operations of creating a database */

START_TEST(a_database_that_was_opened_once_is_there)
{
	struct store_options o = options();
	bool opened, stored = false;

	o.full_sync = true;
	power_cut_at(1 + _i % CREATING, _i % 2 == 0 ? POWER_DROP : POWER_SOME,
	    (uint64_t)_i);
	opened = store_open(&o, &st, &err) == ERR_OK && !power_is_off();
	if (opened)
		stored = submit_one(100);
	power_cut_now();
	close_store();
	power_restore();
	open_with(&o);
	audit();
	if (stored)
		ck_assert_int_eq(missing(), 0);
	add_run(2);
}
END_TEST

static const struct schema_step upgrade[] = {
	{ 1, "CREATE TABLE schema_version (version INTEGER PRIMARY KEY,"
	  " program TEXT NOT NULL); CREATE TABLE t (a TEXT) STRICT;"
	  "CREATE TABLE u (b TEXT) STRICT;" },
	{ 2, "ALTER TABLE t ADD COLUMN c TEXT; INSERT INTO t VALUES ('x', 'y');"
	  "UPDATE u SET b = 'later';" },
	{ 3, "CREATE TABLE v AS SELECT * FROM t; DROP TABLE t;" },
};

#define UPGRADING 90

/* Each step is there with all it did, or not at all. */
START_TEST(an_upgrade_is_cut_between_its_steps)
{
	char *database = xasprintf("sqlite:%s", db_path());
	int from = -1, to = -1, version, seen = 0;
	enum err_code rc;

	ck_ok(schema_migrate(database, upgrade, 1, &from, &to, &err), &err);
	sql_run("INSERT INTO u VALUES ('first')");
	power_cut_at(1 + _i * UPGRADING / 40, POWER_SOME, (uint64_t)_i);
	rc = schema_migrate(database, upgrade, 3, &from, &to, &err);
	if (rc == ERR_OK && !power_is_off())
		seen = to;
	power_cut_now();
	power_restore();
	version = (int)sql_int("SELECT max(version) FROM schema_version");
	ck_assert_int_ge(version, seen == 3 ? 3 : 1);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM pragma_integrity_check"
	    " WHERE integrity_check <> 'ok'"), 0);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM u"
	    " WHERE b = 'later'"), version >= 2);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM sqlite_schema"
	    " WHERE name = 't'"), version < 3);
	if (version == 2)
		ck_assert_int_eq(sql_int("SELECT count(*) FROM t"), 1);
	ck_ok(schema_migrate(database, upgrade, 3, &from, &to, &err), &err);
	ck_assert_int_eq(from, version);
	ck_assert_int_eq(to, 3);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM v WHERE c = 'y'"), 1);
	free(database);
}
END_TEST

static int
seeds(void)
{
	const char *text = getenv("CHURNS_POWER_SEEDS");

	return text != NULL ? (int)strtol(text, NULL, 10) : USUAL_SEEDS;
}

Suite *
power_suite(void)
{
	Suite *s = suite_create("store: power cuts");
	TCase *tc = tcase_create("cuts");
	TCase *raw = tcase_create("upgrades");

	tcase_add_checked_fixture(tc, set_up_power, tear_down);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, what_was_reported_survives_a_power_cut, 0,
	    seeds());
	tcase_add_loop_test(tc, with_normal_only_the_tail_is_lost, 0,
	    seeds() / 2);
	tcase_add_test(tc, a_disk_that_lies_is_found_out);
	tcase_add_loop_test(tc,
	    with_normal_the_tail_can_be_lost_and_a_kill_loses_nothing, 0, 2);
	tcase_add_loop_test(tc, a_database_that_was_opened_once_is_there, 0,
	    CREATING);
	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(raw, set_up_power, tear_down);
	tcase_set_timeout(raw, 60);
	tcase_add_loop_test(raw, an_upgrade_is_cut_between_its_steps, 0, 40);
	suite_add_tcase(s, raw);
	return s;
}
