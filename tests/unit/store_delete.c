/* Deleting a run: what goes, what stays, and who may. */
#include "tests/unit/store_support.h"

#include <fcntl.h>

#include "deletion.h"
#include "file.h"
#include "xalloc.h"

Suite *delete_suite(void);

#define WORD "marzipan"		/* in every text of the run */
#define SOME "{\"x\":\"" WORD "\"}"
#define COST 4200

static const struct idempotency key1 = { "ann", "POST /runs", "key-1", "fp",
    201, "{\"id\":\"run-000001\",\"said\":\"" WORD "\"}" };

static enum delete_outcome
delete_run(int n, int64_t now_ms)
{
	enum delete_outcome outcome = DELETE_IS_OPEN;

	ck_ok(store_delete_run(st, "ann", id_of("run", n), now_ms, &outcome,
	    &err), &err);
	return outcome;
}

/* --- a run that says the word everywhere ---------------------------------- */

/* But for its platform: that is a name out of the configuration. */
static void
submit_talkative(void)
{
	static const struct planned_stage stages[] = { { "strategy", 2 } };
	struct run r = { .id = "run-000001", .owner = (char[]){ "ann" },
	    .mode = (char[]){ "easy_mode" }, .created_ms = T0,
	    .platform_name = (char[]){ "P" }, .task_type = (char[]){ WORD },
	    .prompt = (char[]){ WORD }, .preset_id = (char[]){ WORD },
	    .preset_type = (char[]){ WORD }, .form = (char[]){ SOME },
	    .inputs = (char[]){ SOME }, .brand_kit = (char[]){ SOME } };
	struct new_run nr = { .run = &r, .stages = stages, .n_stages = 1,
	    .job_id = "job-000001", .deadline_after_ms = HOUR };
	enum submit_outcome outcome;

	ck_ok(store_submit_run(st, &nr, &key1, &outcome, NULL, NULL, &err),
	    &err);
}

static void
call_about(const struct claimed *c, const char *id, int attempt,
    enum call_state how)
{
	struct call_row row;

	call_init(&row, id, c, "strategy", attempt);
	ck_ok(store_call_begin(st, &c->ref, &row, &err), &err);
	row.state = how;
	row.settled_ms = row.sent_ms + 5;
	row.answer = (char *)(uintptr_t)SOME;
	row.blobs = (char *)(uintptr_t)"[\"" WORD ".png\"]";
	row.error = (char *)(uintptr_t)WORD;
	row.cost_nano = how == CALL_ANSWERED ? COST : 0;
	ck_ok(store_call_settle(st, &row, &err), &err);
}

/* Run 1 has ended FAILED, having said the word wherever there is room. */
static void
add_talkative(void)
{
	struct stage_update u = update_of("strategy", 2, STAGE_RUNNING);
	struct lane_output o = { "strategy", 0, false, SOME, "[\"" WORD "\"]",
	    WORD, T0, T0 + 1 };
	struct job_end end = { .state = STATE_FAILED, .error_message = WORD,
	    .warnings = "[\"" WORD "\"]", .brand_kit = SOME,
	    .output_directory = WORD, .metadata_path = WORD,
	    .event_type = "run_error", .event_data = SOME };
	struct claimed c;

	submit_talkative();
	ck_assert_int_eq(claim_at(T0 + 10, &c), 1);
	u.message = WORD;
	u.event_data = SOME;
	ck_ok(store_progress(st, &c.ref, &o, &u, 1, T0 + 20, &err), &err);
	call_about(&c, "call-1", 1, CALL_FAILED);
	call_about(&c, "call-2", 2, CALL_ANSWERED);
	u.status = STAGE_COMPLETED;
	u.output = SOME;
	ck_ok(store_progress(st, &c.ref, NULL, &u, 1, T0 + 30, &err), &err);
	ck_ok(store_finish(st, &c.ref, &end, T0 + 40, &err), &err);
}

/* In how many columns of the database does any row have the word? */
static int
places_of_word(void)
{
	sqlite3 *conn = NULL;
	sqlite3_stmt *columns = NULL, *rows = NULL;
	char *sql;
	int n = 0;

	ck_assert_int_eq(sqlite3_open(db_path(), &conn), SQLITE_OK);
	ck_assert_int_eq(sqlite3_prepare_v2(conn, "SELECT t.name, c.name"
	    " FROM sqlite_schema t, pragma_table_info(t.name) c"
	    " WHERE t.type = 'table'", -1, &columns, NULL), SQLITE_OK);
	while (sqlite3_step(columns) == SQLITE_ROW) {
		sql = xasprintf("SELECT 1 FROM \"%s\" WHERE CAST(\"%s\" AS"
		    " TEXT) LIKE '%%" WORD "%%' LIMIT 1",
		    (const char *)sqlite3_column_text(columns, 0),
		    (const char *)sqlite3_column_text(columns, 1));
		ck_assert_int_eq(sqlite3_prepare_v2(conn, sql, -1, &rows,
		    NULL), SQLITE_OK);
		n += sqlite3_step(rows) == SQLITE_ROW;
		sqlite3_finalize(rows);
		free(sql);
	}
	sqlite3_finalize(columns);
	sqlite3_close(conn);
	return n;
}

static bool
word_is_in_the_file(void)
{
	struct strbuf bytes = STRBUF_INIT(64 * 1024 * 1024);
	bool found;

	ck_ok(file_read(db_path(), 64 * 1024 * 1024, &bytes, &err), &err);
	found = memmem(bytes.buf, bytes.len, WORD, strlen(WORD)) != NULL;
	strbuf_release(&bytes);
	return found;
}

/* --- what goes, what stays ------------------------------------------------ */

START_TEST(nothing_that_was_said_is_left)
{
	struct store_options o = options();

	add_talkative();
	ck_assert_int_ge(places_of_word(), 18);
	ck_assert_int_eq(delete_run(1, T0 + 100), DELETE_DONE);
	ck_assert_int_eq(places_of_word(), 0);
	close_store();		/* moves the log into the file */
	ck_assert(!word_is_in_the_file());
	open_with(&o);
}
END_TEST

START_TEST(what_was_made_from_its_pictures_goes_along)
{
	add_talkative();
	sql_run("INSERT INTO refinements (id, run_id, owner, status, type,"
	    " parent_image_id, parent_image_type, root_index, created_ms,"
	    " parent_image_path, image_path, summary, prompt, instructions,"
	    " inputs) VALUES ('r', 'run-000001', 'ann', 'COMPLETED', 'prompt',"
	    " 'image_0', 'original', 0, 1, '" WORD "', '" WORD "', '" WORD "',"
	    " '" WORD "', '" WORD "', '" SOME "');"
	    "INSERT INTO captions (id, run_id, owner, status, image_id,"
	    " number, model_id, created_ms, settings, text, brief, inputs)"
	    " VALUES ('c', 'run-000001', 'ann', 'COMPLETED', 'image_0', 0,"
	    " 'm', 1, '" SOME "', '" WORD "', '" SOME "', '" SOME "')");
	ck_assert_int_eq(delete_run(1, T0 + 100), DELETE_DONE);
	ck_assert_int_eq(places_of_word(), 0);
	ck_assert_int_eq(sql_int("SELECT (SELECT count(*) FROM refinements)"
	    " + (SELECT count(*) FROM captions)"), 0);
}
END_TEST

START_TEST(nobody_finds_a_deleted_run)
{
	const char *ids[] = { "run-000001" };
	struct run_query q = { .page = 1, .page_size = 20 };
	enum submit_outcome so;
	enum cancel_outcome co;
	enum delete_outcome dd;
	enum state was;
	struct run_tip tip;
	struct run_page p;
	struct event_list l;
	struct stage_list stages;
	struct job j;
	struct run r;
	int status;
	char *body = NULL;

	add_talkative();
	ck_assert_int_eq(delete_run(1, T0 + 100), DELETE_DONE);
	ck_fails(store_get_run(st, NULL, ids[0], &r, &err), ERR_NOT_FOUND);
	ck_fails(store_list_events(st, NULL, ids[0], 0, 9, &l, &err),
	    ERR_NOT_FOUND);
	ck_fails(store_get_run_job(st, ids[0], &j, &err), ERR_NOT_FOUND);
	ck_fails(store_find_idempotency(st, &key1, &so, &status, &body, &err),
	    ERR_NOT_FOUND);
	ck_fails(store_cancel_run(st, NULL, ids[0], "x", T0, &co, &was, &err),
	    ERR_NOT_FOUND);
	ck_fails(store_delete_run(st, NULL, ids[0], T0, &dd, &err),
	    ERR_NOT_FOUND);
	ck_ok(store_read_tips(st, NULL, ids, 1, &tip, &err), &err);
	ck_assert_int_eq(tip.last_seq, -1);
	ck_ok(store_list_run_stages(st, ids[0], &stages, &err), &err);
	ck_assert_int_eq(stages.n, 0);
	for (q.text = NULL; ; q.text = WORD) {
		ck_ok(store_list_runs(st, &q, &p, &err), &err);
		ck_assert_int_eq(p.n, 0);
		ck_assert_int_le(p.total, 0);
		if (q.text != NULL)
			break;
	}
}
END_TEST

START_TEST(the_money_stays_in_the_ledger)
{
	struct call_list l;

	add_talkative();
	ck_assert_int_eq(delete_run(1, T0 + 100), DELETE_DONE);
	ck_assert_int_eq(sql_int("SELECT sum(cost_nano) FROM model_calls"
	    " WHERE owner = 'ann'"), COST);
	ck_assert_int_eq(sql_int("SELECT cost_nano FROM runs"), COST);
	ck_ok(store_list_calls(st, "job-000001", &l, &err), &err);
	ck_assert_int_eq(l.n, 2);
	ck_assert_int_eq(l.rows[1].state, CALL_ANSWERED);
	ck_assert_str_eq(l.rows[1].model, "gpt-4.1");
	ck_assert_int_eq(l.rows[1].cost_nano, COST);
	call_list_release(&l);
}
END_TEST

START_TEST(others_keep_everything)
{
	struct run_query q = { .owner = "ann", .page = 1, .page_size = 20 };
	struct claimed c;
	struct run_page p;
	int64_t events, stages;

	add_talkative();
	add_run(2);
	claim_at(T0 + 50, &c);
	ck_ok(tell(&c, "strategy", STAGE_RUNNING, T0 + 60), &err);
	ck_ok(store_cache_put(st, "k", "cached", T0, &err), &err);
	events = last_event_seq(2);
	stages = sql_int("SELECT count(*) FROM stages"
	    " WHERE job_id = 'job-000002'");
	ck_assert_int_eq(delete_run(1, T0 + 100), DELETE_DONE);
	ck_assert_int_eq(last_event_seq(2), events);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM stages"), stages);
	ck_assert(is_stored("k"));
	ck_ok(store_list_runs(st, &q, &p, &err), &err);
	ck_assert_int_eq(p.total, 1);
	ck_assert_str_eq(p.runs[0].id, "run-000002");
	run_page_release(&p);
	ck_ok(finish(&c, STATE_COMPLETED, T0 + 200), &err);
}
END_TEST

START_TEST(its_key_counts_as_new_again)
{
	struct run_spec spec = { .n = 2 };
	enum submit_outcome outcome;
	char *body = NULL;
	int status;

	add_talkative();
	ck_ok(submit(st, &spec, &key1, &outcome, &status, &body, &err), &err);
	ck_assert_int_eq(outcome, SUBMIT_REPLAY);
	free(body);
	ck_assert_int_eq(delete_run(1, T0 + 100), DELETE_DONE);
	ck_ok(submit(st, &spec, &key1, &outcome, NULL, NULL, &err), &err);
	ck_assert_int_eq(outcome, SUBMIT_NEW);
	ck_assert_int_eq(run_status(2), STATE_PENDING);
}
END_TEST

/* --- who may, and when ---------------------------------------------------- */

START_TEST(only_the_owner_deletes_a_run)
{
	enum delete_outcome outcome;

	add_talkative();
	ck_fails(store_delete_run(st, "bob", "run-000001", T0, &outcome, &err),
	    ERR_NOT_FOUND);
	ck_fails(store_delete_run(st, "ann", "run-none", T0, &outcome, &err),
	    ERR_NOT_FOUND);
	ck_assert_int_eq(run_status(1), STATE_FAILED);
}
END_TEST

START_TEST(a_run_that_waits_or_runs_is_left_alone)
{
	enum cancel_outcome outcome;
	enum state was;
	struct claimed c;

	add_run(1);
	ck_assert_int_eq(delete_run(1, T0 + 100), DELETE_IS_OPEN);
	claim_at(T0 + 50, &c);
	ck_assert_int_eq(delete_run(1, T0 + 100), DELETE_IS_OPEN);
	ck_ok(store_release(st, &c.ref, T0 + 60, &err), &err);
	ck_assert_int_eq(delete_run(1, T0 + 100), DELETE_IS_OPEN);
	ck_assert_int_eq(run_status(1), STATE_RUNNING);
	ck_ok(cancel(1, T0 + 70, &outcome, &was), &err);
	ck_assert_int_eq(delete_run(1, T0 + 100), DELETE_DONE);
}
END_TEST

START_TEST(a_run_with_another_job_that_is_open_is_left_alone)
{
	add_talkative();
	sql_run("INSERT INTO jobs (id, run_id, subject_id, kind, owner, state,"
	    " priority, due_ms, created_ms, deadline_after_ms) VALUES"
	    " ('j2', 'run-000001', 's', 'caption', 'ann', 'COMPLETED', 0, 0,"
	    " 0, 1)");
	sql_run("UPDATE jobs SET state = 'PENDING' WHERE id = 'j2';"
	    "UPDATE job_counts SET n = 1 WHERE state = 'PENDING'");
	ck_assert_int_eq(delete_run(1, T0 + 100), DELETE_IS_OPEN);
	ck_assert_int_eq(run_status(1), STATE_FAILED);
	sql_run("UPDATE jobs SET state = 'FAILED' WHERE id = 'j2';"
	    "UPDATE job_counts SET n = 0 WHERE state = 'PENDING'");
	ck_assert_int_eq(delete_run(1, T0 + 100), DELETE_DONE);
}
END_TEST

START_TEST(an_answer_that_comes_late_is_booked_and_not_kept)
{
	enum cancel_outcome outcome;
	struct call_row row;
	enum state was;
	struct claimed c;

	submit_talkative();
	claim_at(T0 + 10, &c);
	call_init(&row, "call-1", &c, "strategy", 1);
	ck_ok(store_call_begin(st, &c.ref, &row, &err), &err);
	ck_ok(cancel(1, T0 + 20, &outcome, &was), &err);
	ck_assert_int_eq(delete_run(1, T0 + 100), DELETE_DONE);
	row.state = CALL_ANSWERED;
	row.settled_ms = T0 + 200;
	row.cost_nano = COST;
	row.answer = (char *)(uintptr_t)SOME;
	row.blobs = (char *)(uintptr_t)"[\"" WORD "\"]";
	ck_ok(store_call_settle(st, &row, &err), &err);
	ck_assert_int_eq(places_of_word(), 0);
	ck_assert_int_eq(sql_int("SELECT cost_nano FROM model_calls"
	    " WHERE state = 'ANSWERED'"), COST);
	ck_assert_int_eq(sql_int("SELECT cost_nano FROM runs"), COST);
}
END_TEST

struct deleter {
	pthread_t thread;
	enum err_code rc;
	enum delete_outcome outcome;
};

static void *
deleter_main(void *arg)
{
	struct deleter *d = arg;

	d->rc = store_delete_run(st, "ann", "run-000001", T0 + 100,
	    &d->outcome, NULL);
	return NULL;
}

START_TEST(of_many_who_delete_it_one_does)
{
	struct deleter d[8];
	size_t i;
	int done = 0;

	add_talkative();
	for (i = 0; i < ARRAY_LEN(d); i++)
		pthread_create(&d[i].thread, NULL, deleter_main, &d[i]);
	for (i = 0; i < ARRAY_LEN(d); i++) {
		pthread_join(d[i].thread, NULL);
		ck_assert(d[i].rc == ERR_OK || d[i].rc == ERR_NOT_FOUND);
		done += d[i].rc == ERR_OK && d[i].outcome == DELETE_DONE;
	}
	ck_assert_int_eq(done, 1);
}
END_TEST

/* --- the files ------------------------------------------------------------ */

START_TEST(deleted_runs_are_listed_until_their_files_are_gone)
{
	struct deleted_run from = { "", 0 };
	struct deleted_list l;
	struct claimed c;
	int n;

	for (n = 1; n <= 5; n++) {
		add_run(n);
		claim_at(T0 + HOUR, &c);
		ck_ok(finish(&c, STATE_COMPLETED, T0 + HOUR), &err);
	}
	for (n = 1; n <= 4; n++)	/* 2 and 3 at the same moment */
		delete_run(n, T0 + (n == 3 ? 2 : n));
	ck_ok(store_list_deleted(st, &from, 3, &l, &err), &err);
	ck_assert_int_eq(l.n, 3);
	ck_assert_str_eq(l.rows[0].id, "run-000001");
	ck_assert_int_eq(l.rows[0].deleted_ms, T0 + 1);
	ck_assert_str_eq(l.rows[1].id, "run-000002");
	from = l.rows[1];
	deleted_list_release(&l);
	ck_ok(store_files_removed(st, "run-000003", &err), &err);
	ck_ok(store_files_removed(st, "run-000005", &err), &err); /* it lives */
	ck_ok(store_list_deleted(st, &from, 0, &l, &err), &err);
	ck_assert_int_eq(l.n, 1);
	ck_assert_str_eq(l.rows[0].id, "run-000004");
	deleted_list_release(&l);
	ck_assert_int_eq(run_status(5), STATE_COMPLETED);
}
END_TEST

Suite *
delete_suite(void)
{
	Suite *s = suite_create("store: deleting");
	TCase *tc = tcase_create("deleting");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, nothing_that_was_said_is_left);
	tcase_add_test(tc, what_was_made_from_its_pictures_goes_along);
	tcase_add_test(tc, nobody_finds_a_deleted_run);
	tcase_add_test(tc, the_money_stays_in_the_ledger);
	tcase_add_test(tc, others_keep_everything);
	tcase_add_test(tc, its_key_counts_as_new_again);
	tcase_add_test(tc, only_the_owner_deletes_a_run);
	tcase_add_test(tc, a_run_that_waits_or_runs_is_left_alone);
	tcase_add_test(tc, a_run_with_another_job_that_is_open_is_left_alone);
	tcase_add_test(tc, an_answer_that_comes_late_is_booked_and_not_kept);
	tcase_add_test(tc, of_many_who_delete_it_one_does);
	tcase_add_test(tc, deleted_runs_are_listed_until_their_files_are_gone);
	suite_add_tcase(s, tc);
	return s;
}
