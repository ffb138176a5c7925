/*
 * Trouble of our own: how long a job is tried, what people are told when it is
 * given up, and that an end without its documents is an end all the same.
 */
#include "tests/unit/pipeline_unit.h"

#include <fcntl.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "xalloc.h"

#include "tests/unit/pipeline_suites.h"

#define MAX_ATTEMPTS 3		/* as world_up() has set it */

static void
new_cancel(void)
{
	cancel_free(w.cancel);
	w.cancel = cancel_new();
	w.on_enter = w.on_leave = NULL;
	w.stopping = false;
}

static void
put_back(void)
{
	enum state s = STATE_PENDING;

	new_cancel();
	ck_assert_int_eq(execute(&s), JOB_PUT_BACK);
	ck_assert_int_eq(s, STATE_RUNNING);
}

static void
fails(void)
{
	enum state s = STATE_PENDING;

	new_cancel();
	ck_assert_int_eq(execute(&s), JOB_ENDED);
	ck_assert_int_eq(s, STATE_FAILED);
}

static void
pass_deadline(void)
{
	sql_run("UPDATE jobs SET deadline_ms = deadline_ms - 3600000,"
	    " started_ms = started_ms - 3600000");
	sql_run("UPDATE runs SET started_ms = started_ms - 3600000");
}

static int64_t
attempts_stored(void)
{
	return sql_int("SELECT attempts FROM jobs");
}

/* The last event says this, of this type, and names this stage (NULL: none). */
static void
check_told(const char *message, const char *type, const char *stage)
{
	struct json_object *o = event_data(1, 0);
	const char *told = json_get_str(o, "error_message");
	const char *named = json_object_get_string(json_at(o,
	    "error_details/stage"));

	ck_assert_msg(strstr(told, message) != NULL, "%s", told);
	ck_assert_str_eq(json_object_get_string(json_at(o,
	    "error_details/type")), type);
	if (stage == NULL)
		ck_assert_ptr_null(named);
	else
		ck_assert_str_eq(named, stage);
	json_object_put(o);
}

/* --- how long it is tried ------------------------------------------------- */

START_TEST(trouble_that_stays_fails_the_job_in_the_end)
{
	struct run run;

	submit_run(1, NULL);
	w.deed[STRATEGY][0] = DO_SYSTEM;
	put_back();
	ck_assert_int_eq(attempts_stored(), 1);
	put_back();
	ck_assert_int_eq(attempts_stored(), 2);
	fails();
	/* The cause is for the log, the place for people. */
	ck_assert_int_eq(err.code, ERR_SYSTEM);
	ck_assert_ptr_nonnull(strstr(err.msg, "no helper"));
	check_told("Finding strategies did not work because of trouble on the "
	    "server itself, not because of the request. It was tried 3 times",
	    "failed", "strategy");
	ck_story(1, "1R 1C 2R 2F 3S 4S 5S 6S 7S run_error");
	load_run(1, &run);
	ck_assert_ptr_null(strstr(run.error_message, "no helper"));
	ck_assert_ptr_nonnull(run.metadata_path);
	run_release(&run);
	ck_assert_int_eq(w.made[STRATEGY][0], MAX_ATTEMPTS);
}
END_TEST

START_TEST(progress_starts_the_count_again)
{
	submit_run(1, "{\"num_variants\":1}");
	w.deed[STRATEGY][0] = DO_SYSTEM;
	put_back();
	put_back();
	w.deed[STRATEGY][0] = DO_WELL;
	w.deed[STYLE_GUIDE][0] = DO_SYSTEM;
	put_back();	/* the third claim, but strategy was stored in it */
	ck_assert_int_eq(attempts_stored(), 1);
	put_back();
	fails();
	check_told("Choosing styles did not work", "failed", "style_guide");
}
END_TEST

static void
stop_process(int attempt)
{
	(void)attempt;
	__atomic_store_n(&w.stopping, true, __ATOMIC_RELEASE);
}

START_TEST(a_shutdown_is_no_attempt)
{
	enum state s = STATE_PENDING;
	int i;

	submit_run(1, "{\"num_variants\":1}");
	for (i = 0; i < 2 * MAX_ATTEMPTS; i++) {
		new_cancel();
		w.stopping = true;
		ck_assert_int_eq(execute(&s), JOB_PUT_BACK);
		ck_assert_int_eq(attempts_stored(), 0);
	}
	new_cancel();
	ck_assert_int_eq(execute(&s), JOB_ENDED);
	ck_assert_int_eq(s, STATE_COMPLETED);
}
END_TEST

START_TEST(trouble_past_the_deadline_is_the_end)
{
	submit_run(1, "{\"num_variants\":1}");
	w.deed[STRATEGY][0] = DO_SYSTEM;
	put_back();
	pass_deadline();
	fails();
	ck_story(1, "1R 1C 2R 2F 3S 4S 5S 6S 7S run_error");
	check_told("its time limit of 60 minutes", "timeout", NULL);
}
END_TEST

/* --- what cannot be loaded ------------------------------------------------ */

/* The run's directory cannot be made: something else has its name. */
static void
spoil_directory(void)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", runs_dir(), id_of("run", 1));
	ck_ok(file_remove_tree(AT_FDCWD, path, &err), &err);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
}

START_TEST(without_its_directory_what_was_told_stays_told)
{
	submit_run(1, "{\"num_variants\":1}");
	w.deed[STYLE_GUIDE][0] = DO_SYSTEM;
	put_back();
	ck_story(1, "1R 1C 2R 2C 3R");
	spoil_directory();
	put_back();
	fails();
	ck_story(1, "1R 1C 2R 2C 3R 3F 4S 5S 6S 7S run_error");
	check_told("Carrying out the run did not work because of trouble on",
	    "failed", NULL);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM stages WHERE status ="
	    " 'COMPLETED' AND output IS NOT NULL"), 2);
}
END_TEST

START_TEST(a_directory_that_never_was_fails_by_the_deadline_with_its_limit)
{
	submit_run(1, "{\"num_variants\":1}");
	ck_ok(file_make_dirs(runs_dir(), 0750, &err), &err);
	spoil_directory();
	put_back();
	pass_deadline();
	new_cancel();
	cancel_fire(w.cancel, ERR_TIMEOUT);
	ck_assert_int_eq(execute(&(enum state){ STATE_PENDING }), JOB_ENDED);
	check_told("its time limit of 60 minutes", "timeout", NULL);
}
END_TEST

START_TEST(rows_that_cannot_be_read_keep_no_job_alive)
{
	submit_run(1, "{\"num_variants\":1}");
	w.deed[STYLE_GUIDE][0] = DO_SYSTEM;
	put_back();
	sql_run("PRAGMA ignore_check_constraints = 1;"
	    "UPDATE stages SET status = 'WHAT' WHERE name = 'strategy'");
	pass_deadline();
	fails();
	/* Nothing is known of the steps, so nothing is said of them. */
	ck_story(1, "1R 1C 2R 2C 3R run_error");
	ck_assert_int_eq(sql_int("SELECT count(*) FROM stages"
	    " WHERE status = 'RUNNING'"), 0);
	sql_run("UPDATE stages SET status = 'COMPLETED' WHERE status = 'WHAT'");
}
END_TEST

static const struct {
	const char *sql, *told, *stage;
} broken[] = {
	{ "UPDATE lane_outputs SET output = '{' WHERE stage = 'strategy'",
	  "Choosing styles did not work, because what had been stored",
	  "style_guide" },
	{ "UPDATE runs SET inputs = '{'", "The job cannot be carried out",
	  NULL },
};

START_TEST(what_is_stored_and_broken_fails_at_once)
{
	submit_run(1, "{\"num_variants\":1}");
	w.deed[STYLE_GUIDE][0] = DO_SYSTEM;
	put_back();
	sql_run(broken[_i].sql);
	fails();
	check_told(broken[_i].told, "failed", broken[_i].stage);
	ck_assert_int_eq(w.made[STYLE_GUIDE][0], 1);
}
END_TEST

START_TEST(a_ledger_that_cannot_be_read_hides_no_failure)
{
	submit_run(1, "{\"num_variants\":1}");
	w.deed[STRATEGY][0] = DO_REFUSE;
	sql_run("PRAGMA ignore_check_constraints = 1;"
	    "INSERT INTO model_calls (id, job_id, run_id, owner, stage,"
	    " variant, purpose, attempt, ask, fence, state, provider, model,"
	    " idempotency_key, request_hash, sent_ms) VALUES ('x',"
	    " 'job-000001', 'run-000001', 'ann', 'strategy', -1, 'p', 1, 1, 0,"
	    " 'WHAT', 'p', 'm', 'k', 'h', 1)");
	fails();
	check_told("the picture is broken", "failed", "strategy");
	sql_run("DELETE FROM model_calls");
}
END_TEST

/* --- the store ------------------------------------------------------------ */

START_TEST(a_step_that_has_ended_is_left_as_it_is)
{
	struct stage_update u = { .name = "image_eval", .order = 1,
	    .status = STAGE_SKIPPED, .event_data = "{}" };
	struct job_ref ref;
	struct job job;

	submit_run(1, "{\"num_variants\":1}");
	w.deed[STRATEGY][0] = DO_SYSTEM;
	put_back();
	claim_run(&me, &job);
	ref = (struct job_ref){ job.id, job.run_id, job.fence };
	ck_ok(store_progress(st, &ref, NULL, &u, 1, clock_now_ms(), &err),
	    &err);
	ck_story(1, "1R 1C 2R");
	ck_assert_int_eq(sql_int("SELECT count(*) FROM stages WHERE name ="
	    " 'image_eval' AND status = 'COMPLETED'"), 1);
	job_release(&job);
}
END_TEST

static int turn_fd;

static void
stop_and_block_store(int attempt)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET,
	    .l_len = 2 };
	char path[512];

	stop_process(attempt);
	snprintf(path, sizeof(path), "%s.turn", db_path());
	turn_fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(turn_fd, 0);
	ck_assert_int_eq(fcntl(turn_fd, F_OFD_SETLKW, &fl), 0);
}

START_TEST(a_process_that_ends_does_not_wait_for_the_store)
{
	struct store_options o = options();
	enum state s = STATE_PENDING;
	int64_t began;

	close_store();
	o.lock_wait_ms = 50;
	open_with(&o);
	w.shop.store = st;
	submit_run(1, "{\"num_variants\":1}");
	w.on_leave = stop_and_block_store;
	began = clock_mono_ms();
	ck_assert_int_eq(execute(&s), JOB_STUCK);
	ck_assert_int_eq(err.code, ERR_BUSY);
	ck_assert_int_lt((int)(clock_mono_ms() - began), 1500);
	close(turn_fd);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM jobs"
	    " WHERE lease_holder IS NOT NULL"), 1);
}
END_TEST

/* --- the document --------------------------------------------------------- */

START_TEST(the_file_of_a_failed_run_shows_its_stages_as_they_ended)
{
	static const char *const want[] = { "COMPLETED", "FAILED", "SKIPPED",
	    "SKIPPED", "SKIPPED", "SKIPPED", "SKIPPED" };
	struct json_object *o, *list;
	size_t i;

	submit_run(1, "{\"num_variants\":1}");
	w.deed[STRATEGY][0] = DO_SYSTEM;
	put_back();
	put_back();
	fails();
	o = metadata_of(1);
	list = json_get(o, "stages");
	ck_assert_uint_eq(json_len(list), N_STAGES);
	for (i = 0; i < N_STAGES; i++)
		ck_assert_str_eq(json_get_str(json_object_array_get_idx(list,
		    i), "status"), want[i]);
	json_object_put(o);
}
END_TEST

TCase *
pipeline_trouble_case(void)
{
	TCase *t;

	t = tcase_create("trouble");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, world_up, world_down);
	tcase_add_test(t, trouble_that_stays_fails_the_job_in_the_end);
	tcase_add_test(t, progress_starts_the_count_again);
	tcase_add_test(t, a_shutdown_is_no_attempt);
	tcase_add_test(t, trouble_past_the_deadline_is_the_end);
	tcase_add_test(t, without_its_directory_what_was_told_stays_told);
	tcase_add_test(t,
	    a_directory_that_never_was_fails_by_the_deadline_with_its_limit);
	tcase_add_test(t, rows_that_cannot_be_read_keep_no_job_alive);
	tcase_add_loop_test(t, what_is_stored_and_broken_fails_at_once, 0,
	    (int)ARRAY_LEN(broken));
	tcase_add_test(t, a_ledger_that_cannot_be_read_hides_no_failure);
	tcase_add_test(t, a_step_that_has_ended_is_left_as_it_is);
	tcase_add_test(t, a_process_that_ends_does_not_wait_for_the_store);
	tcase_add_test(t,
	    the_file_of_a_failed_run_shows_its_stages_as_they_ended);
	return t;
}
