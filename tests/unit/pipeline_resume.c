/*
 * Going on where an earlier claim has stopped, and stopping: whatever the
 * moment, nothing is told twice, nothing is made twice but what was under way,
 * and the results are those of a run that was never disturbed.
 */
#include "tests/unit/pipeline_unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "xalloc.h"

#include "tests/unit/pipeline_suites.h"

#define VARIANTS 3
#define ATTEMPTS (LANES_FIRST + 4 * VARIANTS)
#define EVENTS (2 * N_STAGES + 1)

static int stop_at;
static enum err_code stop_code;

/* --- what must be true of any finished run -------------------------------- */

static int
count_in(const char *text, const char *word)
{
	const char *p;
	int n = 0;

	for (p = strstr(text, word); p != NULL; p = strstr(p + 1, word))
		n++;
	return n;
}

/* Every stage told RUNNING once and COMPLETED once, in ascending order. */
static void
check_story(int n)
{
	char began[4], ended[4], *text = story(n);
	const char *last_began = text, *last_ended = text, *p;
	int i;

	for (i = 1; i <= N_STAGES; i++) {
		snprintf(began, sizeof(began), "%dR", i);
		snprintf(ended, sizeof(ended), "%dC", i);
		ck_assert_msg(count_in(text, began) == 1, "%s: %s", began,
		    text);
		ck_assert_msg(count_in(text, ended) == 1, "%s: %s", ended,
		    text);
		p = strstr(text, began);
		ck_assert_msg(p >= last_began, "%s: %s", began, text);
		last_began = p;
		p = strstr(text, ended);
		ck_assert_msg(p >= last_ended, "%s: %s", ended, text);
		last_ended = p;
	}
	ck_assert_int_eq(count_in(text, "run_complete"), 1);
	ck_assert_int_eq(count_in(text, "run_error"), 0);
	free(text);
}

/* One picture a variant, whoever drew it and how often. */
static void
check_pictures(int n, int variants)
{
	char path[512];
	struct dirent *d;
	int pictures = 0;
	DIR *list;

	snprintf(path, sizeof(path), "%s/%s", runs_dir(), id_of("run", n));
	list = opendir(path);
	ck_assert_ptr_nonnull(list);
	for (d = readdir(list); d != NULL; d = readdir(list)) {
		ck_assert_msg(strncmp(d->d_name, ".tmp-", 5) != 0, "%s",
		    d->d_name);
		if (strncmp(d->d_name, "generated_image_", 16) == 0)
			pictures++;
	}
	closedir(list);
	ck_assert_int_eq(pictures, variants);
}

/* The end of a run that nobody disturbed, to compare with. */
static char *
undisturbed(int n)
{
	enum state s = STATE_PENDING;

	submit_run(n, NULL);
	ck_assert_int_eq(execute(&s), JOB_ENDED);
	ck_assert_int_eq(s, STATE_COMPLETED);
	memset(w.made, 0, sizeof(w.made));
	w.attempts = 0;
	return fingerprint(n);
}

static void
new_cancel(void)
{
	cancel_free(w.cancel);
	w.cancel = cancel_new();
	w.on_enter = w.on_leave = NULL;
	w.stopping = false;
}

static void
finish_undisturbed(int n, const char *want)
{
	enum state s = STATE_PENDING;
	char *got;

	new_cancel();
	ck_assert_int_eq(execute_as(&other, &s), JOB_ENDED);
	ck_assert_int_eq(s, STATE_COMPLETED);
	check_story(n);
	check_pictures(n, VARIANTS);
	got = fingerprint(n);
	ck_assert_str_eq(got, want);
	free(got);
}

static int
made_more_than_once(void)
{
	int i, v, n = 0;

	for (i = 0; i < N_STAGES; i++)
		for (v = 0; v <= MAX_VARIANTS; v++) {
			ck_assert_int_le(w.made[i][v], 2);
			n += w.made[i][v] == 2;
		}
	return n;
}

/* --- stopped at each step ------------------------------------------------- */

static void
stop_now(int attempt)
{
	if (attempt < stop_at)
		return;
	if (attempt == stop_at && stop_code == ERR_LOST)
		__atomic_store_n(&w.stopping, true, __ATOMIC_RELEASE);
	cancel_fire(w.cancel, stop_code);
}

static const int pools[] = { 0, MAX_VARIANTS };

/* _i: attempt at which it is stopped, from 1, on entering or on leaving, with
 * or without threads for lanes. */
START_TEST(stopped_at_any_step_it_goes_on_from_there)
{
	enum state s = STATE_PENDING;
	struct job job;
	char *want;

	stop_at = 1 + _i / 4;
	stop_code = ERR_LOST;
	want = undisturbed(1);
	lane_pool_free(w.shop.lanes);
	w.shop.lanes = lane_pool_new(pools[_i % 2]);
	if (_i / 2 % 2 == 0)
		w.on_enter = stop_now;
	else
		w.on_leave = stop_now;
	submit_run(2, NULL);
	if (stop_at == ATTEMPTS && w.on_leave != NULL) {
		/* There is nothing left to put it back for. */
		ck_assert_int_eq(execute(&s), JOB_ENDED);
		ck_assert_int_eq(s, STATE_COMPLETED);
		free(want);
		return;
	}
	ck_assert_int_eq(execute(&s), JOB_PUT_BACK);
	ck_assert_int_eq(s, STATE_RUNNING);
	ck_ok(store_get_job(st, id_of("job", 2), &job, &err), &err);
	ck_assert_int_eq(job.state, STATE_PENDING);
	ck_assert_int_le(job.attempts, 1);
	job_release(&job);
	finish_undisturbed(2, want);
	/* Only what was under way was begun again. */
	ck_assert_int_le(made_more_than_once(), pools[_i % 2] + 1);
	free(want);
}
END_TEST

/* --- killed at each moment ------------------------------------------------ */

static int kill_at;

static void
die_at(int attempt)
{
	if (attempt == kill_at)
		_exit(9);
}

static void
die_after_event(void *arg, const char *run_id)
{
	(void)arg;
	(void)run_id;
	pthread_mutex_lock(&w.lock);
	w.events++;
	if (w.events == kill_at)
		_exit(9);
	pthread_mutex_unlock(&w.lock);
}

/* A process of its own claims run 2 and dies at it. False: it got through, as
 * several events may be one unit. */
static bool
execute_and_die(void)
{
	enum state s = STATE_PENDING;
	struct store_options o;
	int status = 0;
	pid_t pid;

	close_store();		/* nobody forks with threads running */
	lane_pool_free(w.shop.lanes);
	w.shop.lanes = NULL;
	pid = fork();
	ck_assert_int_ge(pid, 0);
	o = options();
	if (pid == 0) {
		open_with(&o);
		w.shop.store = st;
		w.shop.lanes = lane_pool_new(2);
		execute(&s);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && (WEXITSTATUS(status) == 9 ||
	    WEXITSTATUS(status) == 0), "status %x", (unsigned)status);
	open_with(&o);
	w.shop.store = st;
	w.shop.lanes = lane_pool_new(MAX_VARIANTS);
	return WEXITSTATUS(status) == 9;
}

static void
killed_and_resumed(void (*on_enter)(int),
    void (*on_event)(void *, const char *))
{
	struct expired x;
	char *want;

	want = undisturbed(1);
	submit_run(2, NULL);
	w.events = 0;
	w.on_enter = on_enter;
	w.shop.on_event = on_event;
	if (execute_and_die()) {
		ck_ok(store_expire_leases(st, me.id, clock_now_ms(), 3,
		    "gone", &x, &err), &err);
		ck_assert_int_eq(x.requeued, 1);
		w.shop.on_event = NULL;
		finish_undisturbed(2, want);
	} else {
		ck_assert_int_gt(kill_at, 2 * LANES_FIRST + 2);
		check_story(2);
	}
	free(want);
}

START_TEST(killed_when_a_step_begins_it_is_resumed)
{
	kill_at = 1 + _i;
	killed_and_resumed(die_at, NULL);
}
END_TEST

START_TEST(killed_after_any_event_it_is_resumed)
{
	kill_at = 1 + _i;
	killed_and_resumed(NULL, die_after_event);
}
END_TEST

/* --- who decides ---------------------------------------------------------- */

START_TEST(a_cancel_in_the_middle_of_lanes_ends_them_all)
{
	enum state s = STATE_PENDING;
	struct json_object *m;
	struct run run;
	char *text;

	submit_run(1, NULL);
	w.deed[IMAGE_GENERATION][1] = DO_HANG;
	w.deed[IMAGE_GENERATION][2] = DO_HANG;
	w.deed[IMAGE_GENERATION][3] = DO_CANCEL;
	w.waits_for[IMAGE_GENERATION][3] = LANES_FIRST + 3 * VARIANTS;
	ck_assert_int_eq(execute(&s), JOB_GONE);
	ck_assert_int_eq(s, STATE_CANCELLED);
	load_run(1, &run);
	ck_assert_int_eq(run.status, STATE_CANCELLED);
	run_release(&run);
	text = story(1);
	ck_assert_str_eq(text + strlen(text) - strlen("run_error"),
	    "run_error");
	free(text);
	m = metadata_of(1);	/* what was reached is kept */
	ck_assert_uint_eq(json_len(json_at(m,
	    "processing_context/final_assembled_prompts")), VARIANTS);
	json_object_put(m);
}
END_TEST

START_TEST(a_cancel_is_noticed_at_the_next_write_without_a_wake)
{
	enum cancel_outcome how;
	enum state s = STATE_PENDING, was;
	struct job job;

	submit_run(1, NULL);
	claim_run(&me, &job);
	ck_ok(store_cancel_run(st, NULL, job.run_id, "Cancelled.",
	    clock_now_ms(), &how, &was, &err), &err);
	ck_assert_int_eq(executor_run(executor_get(&w.executors,
	    MODE_GENERATION), &w.shop, &job, w.cancel, &w.stopping, &s, &err),
	    JOB_GONE);
	ck_assert_int_eq(s, STATE_CANCELLED);
	ck_assert_int_eq(w.attempts, 0);
	ck_assert_int_eq(cancel_code(w.cancel), ERR_CANCELLED);
	job_release(&job);
}
END_TEST

START_TEST(a_job_taken_by_another_is_left_to_it)
{
	enum state s = STATE_PENDING;
	struct run run;
	char path[512];

	submit_run(1, NULL);
	w.deed[CREATIVE_EXPERT][2] = DO_LOSE;
	ck_assert_int_eq(execute(&s), JOB_GONE);
	ck_assert_int_eq(s, STATE_RUNNING);
	ck_assert_int_eq(err.code, ERR_LOST);
	load_run(1, &run);
	ck_assert_int_eq(run.status, STATE_RUNNING);
	run_release(&run);
	/* The directory is the other's now. */
	snprintf(path, sizeof(path), "%s/run-000001/work", runs_dir());
	ck_assert_int_eq(access(path, F_OK), 0);
	ck_assert_ptr_null(metadata_of(1));
	w.deed[CREATIVE_EXPERT][2] = DO_WELL;
	new_cancel();
	ck_ok(store_expire_leases(st, other.id, clock_now_ms(), 9, "",
	    &(struct expired){ 0, 0 }, &err), &err);
	ck_assert_int_eq(execute(&s), JOB_ENDED);
	ck_assert_int_eq(s, STATE_COMPLETED);
	check_story(1);
}
END_TEST

/* --- time ----------------------------------------------------------------- */

static void
check_timeout(const char *want)
{
	struct json_object *o;
	struct run run;
	char *text = story(1);

	ck_assert_str_eq(text, want);
	free(text);
	o = event_data(1, 0);
	ck_assert_str_eq(json_object_get_string(json_at(o,
	    "error_details/type")), "timeout");
	ck_assert_str_eq(json_get_str(o, "error_message"), "The run was "
	    "stopped because it reached its time limit of 60 minutes.");
	json_object_put(o);
	load_run(1, &run);
	ck_assert_int_eq(run.status, STATE_FAILED);
	ck_assert_ptr_nonnull(run.metadata_path);
	run_release(&run);
}

static void
time_out(int attempt)
{
	if (attempt == stop_at)
		cancel_fire(w.cancel, ERR_TIMEOUT);
}

START_TEST(at_the_deadline_what_runs_failed_and_what_waits_is_skipped)
{
	enum state s = STATE_PENDING;

	submit_run(1, "{\"num_variants\":1}");
	stop_at = 3 + 2;
	w.on_enter = time_out;
	ck_assert_int_eq(execute(&s), JOB_ENDED);
	ck_assert_int_eq(s, STATE_FAILED);
	check_timeout("1R 1C 2R 2C 3R 3C 4R 4C 5R 5F 6S 7S run_error");
}
END_TEST

START_TEST(a_job_claimed_after_its_deadline_fails_at_once)
{
	enum state s = STATE_PENDING;

	submit_run(1, "{\"num_variants\":1}");
	stop_at = 2;
	stop_code = ERR_LOST;
	w.on_enter = stop_now;
	ck_assert_int_eq(execute(&s), JOB_PUT_BACK);
	sql_run("UPDATE jobs SET deadline_ms = deadline_ms - 3600000,"
	    " started_ms = started_ms - 3600000");
	sql_run("UPDATE runs SET started_ms = started_ms - 3600000");
	new_cancel();
	w.attempts = 0;
	ck_assert_int_eq(execute(&s), JOB_ENDED);
	ck_assert_int_eq(s, STATE_FAILED);
	ck_assert_int_eq(w.attempts, 0);
	check_timeout("1R 1C 2R 2F 3S 4S 5S 6S 7S run_error");
}
END_TEST

/* --- not now -------------------------------------------------------------- */

START_TEST(trouble_of_the_machine_puts_the_job_back)
{
	enum state s = STATE_PENDING;
	int64_t before = clock_now_ms();
	struct job job;

	submit_run(1, NULL);
	w.deed[IMAGE_GENERATION][2] = DO_SYSTEM;
	ck_assert_int_eq(execute(&s), JOB_PUT_BACK);
	ck_assert_int_eq(err.code, ERR_SYSTEM);
	ck_assert_ptr_nonnull(strstr(err.msg, "no helper"));
	ck_ok(store_get_job(st, id_of("job", 1), &job, &err), &err);
	ck_assert_int_eq(job.state, STATE_PENDING);
	ck_assert(job.due_ms >= before + 2000);
	ck_assert(job.due_ms <= clock_now_ms() + 60000);
	job_release(&job);
	w.deed[IMAGE_GENERATION][2] = DO_WELL;
	new_cancel();
	ck_assert_int_eq(execute(&s), JOB_ENDED);
	ck_assert_int_eq(s, STATE_COMPLETED);
	check_story(1);
	ck_assert_int_eq(w.made[IMAGE_GENERATION][2], 2);
}
END_TEST

/* Two bytes of the side file are the write turn; take them as another process
 * would. */
static int
take_turn(void)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET,
	    .l_len = 2 };
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s.turn", db_path());
	fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_OFD_SETLKW, &fl), 0);
	return fd;
}

static int turn_fd;

static void
block_store(int attempt)
{
	if (attempt == stop_at)
		turn_fd = take_turn();
}

START_TEST(a_store_that_will_not_write_fails_no_job)
{
	struct store_options o = options();
	enum state s = STATE_PENDING;
	struct run run;
	char *want;

	want = undisturbed(1);
	close_store();
	o.lock_wait_ms = 50;
	open_with(&o);
	w.shop.store = st;
	submit_run(2, NULL);
	stop_at = 6;
	w.on_leave = block_store;
	ck_assert_int_eq(execute(&s), JOB_STUCK);
	ck_assert_int_eq(err.code, ERR_BUSY);
	close(turn_fd);
	load_run(2, &run);
	ck_assert_int_eq(run.status, STATE_RUNNING);
	run_release(&run);
	/* It could not even be given back: its lease is taken. */
	ck_ok(store_expire_leases(st, me.id, clock_now_ms(), 3, "gone",
	    &(struct expired){ 0, 0 }, &err), &err);
	finish_undisturbed(2, want);
	free(want);
}
END_TEST

/* --- what a resumed job knows --------------------------------------------- */

START_TEST(a_variant_that_dropped_out_stays_out_with_its_warning)
{
	enum state s = STATE_PENDING;
	struct json_object *o;

	submit_run(1, NULL);
	w.deed[CREATIVE_EXPERT][2] = DO_FAIL;
	w.deed[IMAGE_GENERATION][1] = DO_SYSTEM;
	/* Variant 1 has failed and variant 2 is in its last step by then. */
	w.waits_for[IMAGE_GENERATION][1] = LANES_FIRST + 3 + 1 + 4;
	ck_assert_int_eq(execute(&s), JOB_PUT_BACK);
	w.deed[CREATIVE_EXPERT][2] = DO_WELL;
	w.deed[IMAGE_GENERATION][1] = DO_WELL;
	new_cancel();
	ck_assert_int_eq(execute(&s), JOB_ENDED);
	ck_assert_int_eq(s, STATE_COMPLETED);
	ck_assert_int_eq(w.made[CREATIVE_EXPERT][2], 1);
	o = event_data(1, 0);
	ck_assert_uint_eq(json_len(json_get(o, "warnings")), 1);
	ck_assert_str_eq(json_object_get_string(json_at(o,
	    "warnings/0/code")), "rate_limit");
	ck_assert_uint_eq(json_len(json_get(o, "generated_images")), 2);
	json_object_put(o);
}
END_TEST

START_TEST(an_advisory_failure_is_remembered)
{
	enum state s = STATE_PENDING;
	struct json_object *o;

	submit_run(1, NULL);
	w.deed[IMAGE_EVAL][0] = DO_FAIL;
	w.deed[IMAGE_ASSESSMENT][1] = DO_FAIL;
	w.deed[IMAGE_ASSESSMENT][2] = DO_SYSTEM;
	ck_assert_int_eq(execute(&s), JOB_PUT_BACK);
	w.deed[IMAGE_EVAL][0] = DO_WELL;
	w.deed[IMAGE_ASSESSMENT][1] = DO_WELL;
	w.deed[IMAGE_ASSESSMENT][2] = DO_WELL;
	new_cancel();
	ck_assert_int_eq(execute(&s), JOB_ENDED);
	ck_assert_int_eq(w.made[IMAGE_EVAL][0], 1);
	o = event_data(1, 0);
	ck_assert_ptr_null(json_get(o, "image_analysis"));
	ck_assert_str_eq(json_object_get_string(json_at(o,
	    "warnings/0/stage")), "image_eval");
	json_object_put(o);
}
END_TEST

START_TEST(a_resumed_stage_has_the_start_it_was_told_with)
{
	struct json_object *first, *last;
	enum state s = STATE_PENDING;

	submit_run(1, "{\"num_variants\":1}");
	w.deed[STRATEGY][0] = DO_SYSTEM;
	ck_assert_int_eq(execute(&s), JOB_PUT_BACK);
	w.deed[STRATEGY][0] = DO_WELL;
	new_cancel();
	ck_assert_int_eq(execute(&s), JOB_ENDED);
	first = event_data(1, 3);
	last = event_data(1, 4);
	ck_assert_str_eq(json_get_str(first, "stage_name"), "strategy");
	ck_assert_str_eq(json_get_str(last, "status"), "COMPLETED");
	ck_assert_str_eq(json_get_str(first, "started_at"),
	    json_get_str(last, "started_at"));
	json_object_put(first);
	json_object_put(last);
}
END_TEST

START_TEST(killed_between_a_fatal_step_and_the_end_it_still_fails)
{
	enum state s = STATE_PENDING;
	struct run run;

	submit_run(1, NULL);
	w.deed[STRATEGY][0] = DO_SYSTEM;
	ck_assert_int_eq(execute(&s), JOB_PUT_BACK);
	/* As if the process had died right after telling FAILED. */
	sql_run("UPDATE stages SET status = 'FAILED', completed_ms = 5,"
	    " duration_ms = 1, error_message = 'it broke'"
	    " WHERE name = 'strategy'");
	new_cancel();
	ck_assert_int_eq(execute(&s), JOB_ENDED);
	ck_assert_int_eq(s, STATE_FAILED);
	load_run(1, &run);
	ck_assert_str_eq(run.error_message,
	    "Finding strategies did not work: it broke");
	run_release(&run);
	ck_assert_int_eq(w.made[STYLE_GUIDE][0], 0);
}
END_TEST

/* Calls on their way when the earlier holder vanished are marked first. */
START_TEST(calls_without_an_answer_become_unknown)
{
	struct call_row call;
	struct call_list calls;
	struct job_ref ref;
	struct job job;

	submit_run(1, "{\"num_variants\":1}");
	claim_run(&me, &job);
	ref = (struct job_ref){ job.id, job.run_id, job.fence };
	memset(&call, 0, sizeof(call));
	id_new(call.id);
	call.job_id = job.id;
	call.run_id = job.run_id;
	call.owner = job.owner;
	call.stage = (char *)"strategy";
	call.variant = VARIANT_NONE;
	call.purpose = (char *)"strategy_goals";
	call.attempt = call.ask = 1;
	call.provider = call.model = (char *)"x";
	call.idempotency_key = call.request_hash = (char *)"k";
	call.sent_ms = clock_now_ms();
	ck_ok(store_call_begin(st, &ref, &call, &err), &err);
	ck_ok(store_release(st, &ref, clock_now_ms(), &err), &err);
	job_release(&job);
	ck_assert_int_eq(execute(&(enum state){ STATE_PENDING }), JOB_ENDED);
	ck_ok(store_list_calls(st, id_of("job", 1), &calls, &err), &err);
	ck_assert_int_eq(calls.n, 1);
	ck_assert_int_eq(calls.rows[0].state, CALL_UNKNOWN);
	call_list_release(&calls);
}
END_TEST

TCase *
pipeline_resume_case(void)
{
	TCase *t;

	t = tcase_create("resume");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, world_up, world_down);
	tcase_add_loop_test(t, stopped_at_any_step_it_goes_on_from_there, 0,
	    4 * ATTEMPTS);
	tcase_add_loop_test(t, killed_when_a_step_begins_it_is_resumed, 0,
	    ATTEMPTS);
	tcase_add_loop_test(t, killed_after_any_event_it_is_resumed, 0,
	    EVENTS - 1);
	tcase_add_test(t, a_cancel_in_the_middle_of_lanes_ends_them_all);
	tcase_add_test(t, a_cancel_is_noticed_at_the_next_write_without_a_wake);
	tcase_add_test(t, a_job_taken_by_another_is_left_to_it);
	tcase_add_test(t,
	    at_the_deadline_what_runs_failed_and_what_waits_is_skipped);
	tcase_add_test(t, a_job_claimed_after_its_deadline_fails_at_once);
	tcase_add_test(t, trouble_of_the_machine_puts_the_job_back);
	tcase_add_test(t, a_store_that_will_not_write_fails_no_job);
	tcase_add_test(t, a_variant_that_dropped_out_stays_out_with_its_warning);
	tcase_add_test(t, an_advisory_failure_is_remembered);
	tcase_add_test(t, a_resumed_stage_has_the_start_it_was_told_with);
	tcase_add_test(t,
	    killed_between_a_fatal_step_and_the_end_it_still_fails);
	tcase_add_test(t, calls_without_an_answer_become_unknown);
	return t;
}
