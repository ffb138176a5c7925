/* Looking whether the database is what it should be, and mending it. */
#include "tests/unit/store_support.h"

#include <fcntl.h>
#include <unistd.h>

#include "upkeep.h"
#include "xalloc.h"

Suite *verify_suite(void);

#define MAX_RULES 40

static struct verify_finding found[MAX_RULES];
static int n_found, n_rules;

static void
keep(void *arg, const struct verify_finding *f)
{
	(void)arg;
	ck_assert_int_lt(n_found, MAX_RULES);
	found[n_found++] = *f;
}

static const struct verify_finding *
broken(const char *name)
{
	int i;

	for (i = 0; i < n_found; i++)
		if (strcmp(found[i].name, name) == 0)
			return &found[i];
	return NULL;
}

static void
verify(void)
{
	n_found = 0;
	ck_ok(store_verify(st, keep, NULL, &n_rules, &err), &err);
}

/* Runs in every state, with calls, stages, a refinement's worth of events. */
static void
live_a_little(void)
{
	enum cancel_outcome outcome;
	struct claimed c;
	enum state was;
	int i;

	for (i = 1; i <= 4; i++)
		add_run(i);
	for (i = 1; i <= 3; i++) {
		claim_at(T0 + HOUR, &c);
		ck_ok(tell(&c, "strategy", STAGE_RUNNING, T0 + HOUR), &err);
		ck_ok(checkpoint(&c, "strategy", VARIANT_NONE, T0 + HOUR),
		    &err);
		buy(&c, id_of("call", i * 10 + 1), "strategy", 1000 + i);
		ck_ok(tell(&c, "strategy", STAGE_COMPLETED, T0 + HOUR), &err);
		if (i < 3)
			ck_ok(finish(&c, i == 1 ? STATE_COMPLETED :
			    STATE_FAILED, T0 + HOUR), &err);
	}
	ck_ok(cancel(4, T0 + HOUR, &outcome, &was), &err);
}

static void
set_up_life(void)
{
	set_up();
	live_a_little();
}

/* The audit of the other tests would find what is broken here on purpose. */
static void
tear_down_broken(void)
{
	close_store();
	tear_down();
}

START_TEST(a_sound_database_breaks_no_rule)
{
	verify();
	ck_assert_msg(n_found == 0, "%s: %s", found[0].name, found[0].ids[0]);
	ck_assert_int_gt(n_rules, 10);
}
END_TEST

START_TEST(repairing_what_is_sound_changes_nothing)
{
	int64_t before, after;

	before = sql_int("SELECT sum(version) FROM runs");
	ck_ok(store_repair(st, &err), &err);
	after = sql_int("SELECT sum(version) FROM runs");
	ck_assert_int_eq(before, after);
	verify();
	ck_assert_int_eq(n_found, 0);
	audit();
}
END_TEST

#define RUN "'run-000001'"
#define JOB "'job-000001'"

static const struct {
	const char *rule;	/* that must be found broken */
	bool repairable;
	const char *sql, *id;
} faults[] = {
	{ "run-has-job", false, "UPDATE jobs SET kind = 'caption'"
	  " WHERE id = " JOB, "run-000001" },
	{ "run-and-job-agree", false, "UPDATE jobs SET state = 'FAILED'"
	  " WHERE id = " JOB, "run-000001" },
	{ "derived-and-job-agree", false,
	  "INSERT INTO jobs (id, run_id, subject_id, kind, owner, state,"
	  " priority, due_ms, created_ms, deadline_after_ms) VALUES ('j', " RUN
	  ", 'ref-1', 'refinement', 'ann', 'COMPLETED', 0, 0, 0, 0);"
	  "INSERT INTO refinements (id, run_id, owner, status, type,"
	  " parent_image_id, parent_image_type, root_index, created_ms,"
	  " parent_image_path, inputs) VALUES ('ref-1', " RUN ", 'ann',"
	  " 'FAILED', 'prompt', 'image_0', 'original', 0, 0, 'x', '{}')",
	  "ref-1" },
	{ "events-gapless", false, "DELETE FROM events WHERE seq = 2"
	  " AND run_id = " RUN, "run-000001" },
	{ "events-gapless", false, "UPDATE runs SET last_seq = 7 WHERE id = "
	  RUN, "run-000001" },
	{ "end-told-once", false, "UPDATE events SET type = 'stage_update'"
	  " WHERE type = 'run_complete'", "run-000001" },
	{ "end-told-once", false, "UPDATE events SET type = 'run_error'"
	  " WHERE seq = 1 AND run_id = " RUN, "run-000001" },
	{ "stages-closed", false, "UPDATE stages SET status = 'RUNNING'"
	  " WHERE name = 'style_guide' AND job_id = " JOB, "run-000001" },
	{ "deleted-is-empty", false, "UPDATE runs SET deleted_ms = 5"
	  " WHERE id = " RUN, "run-000001" },
	{ "kept-answers", false, "INSERT INTO idempotency (owner, route, key,"
	  " fingerprint, http_status, created_ms, body, run_id) VALUES ('ann',"
	  " 'r', 'key-1', 'f', 200, 0, '{}', 'nobody')", "key-1" },
	{ "run-numbers", true, "UPDATE run_counts SET n = n + 1", "ann" },
	{ "run-numbers", true, "DELETE FROM run_counts", "ann" },
	{ "run-numbers", true, "INSERT INTO run_counts VALUES ('bob',"
	  " 'FAILED', 'm', '', 3)", "bob" },
	{ "job-numbers", true, "UPDATE job_counts SET n = 9"
	  " WHERE state = 'RUNNING'", "RUNNING" },
	{ "run-costs", true, "UPDATE runs SET cost_nano = 1 WHERE id = " RUN,
	  "run-000001" },
	{ "derived-costs", true, "INSERT INTO refinements (id, run_id, owner,"
	  " status, type, parent_image_id, parent_image_type, root_index,"
	  " created_ms, parent_image_path, inputs, cost_nano) VALUES ('ref-1',"
	  " " RUN ", 'ann', 'FAILED', 'prompt', 'image_0', 'original', 0, 0,"
	  " 'x', '{}', 5)", "ref-1" },
	{ "stage-costs", true, "UPDATE stages SET cost_nano = 1"
	  " WHERE name = 'strategy' AND job_id = " JOB, "run-000001" },
	{ "day-sums", true, "UPDATE spend_days SET cost_nano = 1", "ann" },
	{ "day-sums", true, "DELETE FROM spend_days", "ann" },
	{ "job-sums", true, "UPDATE spend_jobs SET calls = 5 WHERE job_id = "
	  JOB, "run-000001" },
	{ "job-sums", true, "DELETE FROM spend_jobs WHERE job_id = " JOB,
	  "run-000001" },
	{ "calls-settled", true, "UPDATE model_calls SET state = 'SENT'"
	  " WHERE job_id = " JOB, "run-000001" },
};

#define N_FAULTS ((int)ARRAY_LEN(faults))

START_TEST(a_broken_rule_is_found_with_its_examples)
{
	const struct verify_finding *f;

	sql_run(faults[_i].sql);
	verify();
	f = broken(faults[_i].rule);
	ck_assert_msg(f != NULL, "%s is not found", faults[_i].rule);
	ck_assert_int_ge(f->count, 1);
	ck_assert_int_ge(f->n_ids, 1);
	ck_assert_str_eq(f->ids[0], faults[_i].id);
	ck_assert_uint_gt(strlen(f->what), 10);
	ck_assert_uint_gt(strlen(f->todo), 10);
}
END_TEST

START_TEST(repairing_mends_what_can_be_counted_again_and_no_more)
{
	sql_run(faults[_i].sql);
	ck_ok(store_repair(st, &err), &err);
	verify();
	ck_assert_int_eq(broken(faults[_i].rule) == NULL,
	    faults[_i].repairable);
	if (!faults[_i].repairable)
		return;
	ck_assert_msg(n_found == 0, "%s", found[0].name);
}
END_TEST

START_TEST(every_rule_has_been_broken)
{
	int distinct = 0, i, j;

	verify();
	for (i = 0; i < N_FAULTS; i++) {
		for (j = 0; j < i; j++)
			if (strcmp(faults[i].rule, faults[j].rule) == 0)
				break;
		distinct += j == i;
	}
	ck_assert_int_eq(distinct, n_rules);
}
END_TEST

START_TEST(no_more_examples_than_fit_and_all_are_counted)
{
	const struct verify_finding *f;
	int i;

	for (i = 10; i < 30; i++)
		add_run(i);
	sql_run("UPDATE runs SET last_seq = 99");
	verify();
	f = broken("events-gapless");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(f->count, 24);
	ck_assert_int_eq(f->n_ids, VERIFY_SHOWN);
}
END_TEST

/* --- the file ------------------------------------------------------------- */

static int damages;

static void
count_damage(void *arg, const char *what)
{
	ck_assert_uint_gt(strlen(what), 2);
	if (arg != NULL && strstr(what, arg) != NULL)
		damages += 100;
	damages++;
}

START_TEST(a_whole_file_has_no_damage)
{
	damages = 0;
	ck_ok(store_verify_file(st, count_damage, NULL, &err), &err);
	ck_assert_int_eq(damages, 0);
}
END_TEST

START_TEST(a_reference_to_nothing_is_told)
{
	int i;

	for (i = 0; i < 30; i++)
		sql_run("PRAGMA foreign_keys = OFF; INSERT INTO lane_outputs"
		    " (job_id, stage, variant, ok, started_ms, ended_ms)"
		    " SELECT 'nobody', 's', count(*), 1, 0, 0"
		    " FROM lane_outputs");
	damages = 0;
	ck_ok(store_verify_file(st, count_damage,
	    (void *)(uintptr_t)"lane_outputs", &err), &err);
	ck_assert_int_eq(damages, 101 * VERIFY_MAX_DAMAGE);
}
END_TEST

START_TEST(a_damaged_page_is_told)
{
	char junk[512];
	enum err_code rc;
	int fd;

	sql_run("PRAGMA wal_checkpoint(TRUNCATE)");
	close_store();
	memset(junk, 0x5a, sizeof(junk));
	fd = open(db_path(), O_WRONLY);
	ck_assert_int_ge(fd, 0);
	/* The root of an index: what is in it is also in its table. */
	ck_assert_int_eq(pwrite(fd, junk, sizeof(junk), 4096 *
	    (sql_int("SELECT rootpage FROM sqlite_schema"
	    " WHERE name = 'jobs_by_run'") - 1)), (ssize_t)sizeof(junk));
	close(fd);
	open_with(&(struct store_options){ .database = options().database,
	    .lock_wait_ms = 1000, .max_readers = 2 });
	damages = 0;
	rc = store_verify_file(st, count_damage, NULL, &err);
	ck_assert(rc != ERR_OK || damages > 0);
}
END_TEST

/* --- rows and files ------------------------------------------------------- */

START_TEST(runs_are_listed_by_id_with_what_is_known_of_their_files)
{
	struct run_presence_list l = { NULL, 0 };
	struct run_presence p;

	ck_ok(store_verify_runs(st, "", 2, &l, &err), &err);
	ck_assert_int_eq(l.n, 2);
	ck_assert_str_eq(l.rows[1].id, "run-000002");
	run_presence_list_release(&l);
	ck_ok(store_verify_runs(st, "run-000002", 10, &l, &err), &err);
	ck_assert_int_eq(l.n, 2);
	ck_assert_int_eq(l.rows[0].status, STATE_RUNNING);
	ck_assert(l.rows[0].open);
	ck_assert_int_eq(l.rows[1].status, STATE_CANCELLED);
	ck_assert(!l.rows[1].open && !l.rows[1].deleted);
	run_presence_list_release(&l);
	sql_run("UPDATE runs SET deleted_ms = 1, files_removed = 1,"
	    " metadata_path = 'm' WHERE id = 'run-000004'");
	ck_ok(store_verify_run(st, "run-000004", &p, &err), &err);
	ck_assert(p.deleted && p.files_removed && p.has_results);
	ck_fails(store_verify_run(st, "nobody", &p, &err), ERR_NOT_FOUND);
}
END_TEST

START_TEST(files_that_rows_name_are_listed)
{
	struct named_file_list l = { NULL, 0 };

	sql_run("INSERT INTO refinements (id, run_id, owner, status, type,"
	    " parent_image_id, parent_image_type, root_index, created_ms,"
	    " parent_image_path, inputs, image_path, mask_path) VALUES"
	    " ('ref-1', 'run-000001', 'ann', 'COMPLETED', 'prompt', 'image_0',"
	    " 'original', 0, 0, 'x', '{}', 'r.png', 'm.png')");
	ck_ok(store_verify_files(st, "run-000001", &l, &err), &err);
	ck_assert_int_eq(l.n, 2);
	ck_assert_str_eq(l.rows[0].what, "refinement");
	ck_assert_str_eq(l.rows[0].path, "r.png");
	ck_assert_str_eq(l.rows[1].path, "m.png");
	named_file_list_release(&l);
	/* Kept answers are there as long as somebody may read them. */
	sql_run("UPDATE model_calls SET blobs = '[\"calls/x.0\"]'");
	ck_ok(store_verify_files(st, "run-000003", &l, &err), &err);
	ck_assert_int_eq(l.n, 1);
	ck_assert(l.rows[0].is_list);
	named_file_list_release(&l);
	ck_ok(store_verify_files(st, "run-000002", &l, &err), &err);
	ck_assert_int_eq(l.n, 0);
	named_file_list_release(&l);
}
END_TEST

Suite *
verify_suite(void)
{
	Suite *s = suite_create("store: verifying");
	TCase *tc = tcase_create("sound");
	TCase *bad = tcase_create("broken");

	tcase_add_checked_fixture(tc, set_up_life, tear_down);
	tcase_add_test(tc, a_sound_database_breaks_no_rule);
	tcase_add_test(tc, repairing_what_is_sound_changes_nothing);
	tcase_add_test(tc, a_whole_file_has_no_damage);
	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(bad, set_up_life, tear_down_broken);
	tcase_add_loop_test(bad, a_broken_rule_is_found_with_its_examples, 0,
	    N_FAULTS);
	tcase_add_loop_test(bad,
	    repairing_mends_what_can_be_counted_again_and_no_more, 0,
	    N_FAULTS);
	tcase_add_test(bad, every_rule_has_been_broken);
	tcase_add_test(bad, no_more_examples_than_fit_and_all_are_counted);
	tcase_add_test(bad, a_reference_to_nothing_is_told);
	tcase_add_test(bad, a_damaged_page_is_told);
	tcase_add_test(bad,
	    runs_are_listed_by_id_with_what_is_known_of_their_files);
	tcase_add_test(bad, files_that_rows_name_are_listed);
	suite_add_tcase(s, bad);
	return s;
}
