/*
 * What ends calls from outside: a cancel, a lost lease, a deadline, and the end
 * of the process.  The last is the gentle one: nothing more is sent, what is in
 * flight may arrive, what the ledger has may be read.
 *
 * Nothing here waits for a guessed time.  Whoever is to be stopped is known to
 * be where the test wants it: the peer has its request, or the gate says that
 * it is waiting.
 */
#include <pthread.h>

#include "tests/unit/model_test.h"

#include "clock.h"
#include "xalloc.h"

#define LONG_MS 20000		/* nobody waits that long */
#define SOON_MS 3000		/* a stop is felt within, on a busy machine */
#define LOOK_MS 5

/* --- somebody who stops it, once it is where it should be ----------------- */

enum place {
	PLACE_SENT,		/* the peer has a request */
	PLACE_PAUSED,		/* the provider has asked for a pause */
	PLACE_QUEUED		/* a call waits at the gate */
};

struct stopper {
	pthread_t thread;
	enum place place;
	void (*stop)(void);
};

static bool stopping;
static int64_t stopped_ms;	/* monotonic */

static bool
is_there(enum place place)
{
	struct provider_stats st[2];

	model_get_stats(rig.m, st, 2);
	switch (place) {
	case PLACE_SENT:
		return peer_count(rig.peer) > 0;
	case PLACE_PAUSED:
		return st[0].paused_until_ms > 0 && st[0].in_flight == 0;
	case PLACE_QUEUED:
		return st[0].waiting > 0;
	}
	return false;
}

static void *
stop_there(void *arg)
{
	const struct stopper *s = arg;

	while (!is_there(s->place))
		cancel_sleep(NULL, LOOK_MS);
	stopped_ms = clock_mono_ms();
	s->stop();
	return NULL;
}

static void
stopper_begin(struct stopper *s, enum place place, void (*stop)(void))
{
	s->place = place;
	s->stop = stop;
	rig_start();
	ck_assert_int_eq(pthread_create(&s->thread, NULL, stop_there, s), 0);
}

static void
stopper_end(struct stopper *s)
{
	pthread_join(s->thread, NULL);
	ck_assert_int_lt((int)(clock_mono_ms() - stopped_ms), SOON_MS);
}

static void
cancel(void)
{
	cancel_fire(rig.cancel, ERR_CANCELLED);
}

static void
end_process(void)
{
	__atomic_store_n(&stopping, true, __ATOMIC_RELEASE);
}

static void
setup(void)
{
	rig_setup();
	stopping = false;
	rig.scope.stopping = &stopping;
	rig.conf.settings.llm_timeout_ms = LONG_MS;
	rig.conf.settings.retry_after_cap_ms = LONG_MS;
}

#define SLOW_DOWN ((struct peer_step){ .status = 429,			\
	.headers = { "Retry-After: 15" } })

/* --- a cancel, a lost lease ---------------------------------------------- */

START_TEST(a_cancel_during_a_stall_returns_at_once)
{
	struct stopper s;

	say_step((struct peer_step){ .delay_ms = LONG_MS });
	stopper_begin(&s, PLACE_SENT, cancel);
	ask(ERR_CANCELLED);
	stopper_end(&s);
	ledger_is("UNKNOWN/1");
	ask(ERR_CANCELLED);
	ck_assert_int_eq(peer_count(rig.peer), 1);
}
END_TEST

START_TEST(a_cancel_during_a_pause_returns_at_once)
{
	struct stopper s;

	say_step(SLOW_DOWN);
	stopper_begin(&s, PLACE_PAUSED, cancel);
	ask(ERR_CANCELLED);
	stopper_end(&s);
	ledger_is("FAILED/1");
}
END_TEST

START_TEST(a_lost_lease_sends_nothing)
{
	enum cancel_outcome outcome;
	enum state was;

	rig_start();
	ck_ok(store_cancel_run(rig.store, "ann", rig.run_id, "stop",
	    clock_now_ms(), &outcome, &was, &rig.err), &rig.err);
	ask(ERR_CANCELLED);
	ck_assert_int_eq(peer_count(rig.peer), 0);
}
END_TEST

/* --- deadlines ----------------------------------------------------------- */

START_TEST(the_deadline_of_the_job_ends_a_call)
{
	rig.scope.deadline_ms = clock_now_ms() + 150;
	say_step((struct peer_step){ .delay_ms = LONG_MS });
	ask(ERR_TIMEOUT);
	ledger_is("UNKNOWN/1");
	ask(ERR_TIMEOUT);
	ck_assert_int_eq(peer_count(rig.peer), 1);
}
END_TEST

START_TEST(the_deadline_of_the_stage_ends_a_call_and_not_the_job)
{
	rig.scope.deadline_ms = clock_now_ms() + LONG_MS;
	rig.scope.stage_deadline_ms = clock_now_ms() + 150;
	say_step((struct peer_step){ .delay_ms = LONG_MS });
	ask(ERR_MODEL);
	fault_is(FAULT_TIMEOUT);
	ledger_is("UNKNOWN/1");
	ask(ERR_MODEL);		/* and none begins after it */
	fault_is(FAULT_TIMEOUT);
	ck_assert_int_eq(peer_count(rig.peer), 1);
}
END_TEST

START_TEST(the_deadline_of_the_stage_ends_a_wait_at_the_gate)
{
	struct chat_request reqs[2] = { chat_request(), chat_request() };
	struct call_result results[2];

	rig.providers[0].max_parallel = 1;
	rig.scope.stage_deadline_ms = clock_now_ms() + 300;
	reqs[1].variant = 1;
	say_step((struct peer_step){ .delay_ms = LONG_MS });
	rig_start();
	ck_ok(model_chat_all(rig.m, &rig.scope, reqs, 2, results, &rig.err),
	    &rig.err);
	ck_assert_int_eq(results[0].rc, ERR_MODEL);
	ck_assert_int_eq(results[1].rc, ERR_MODEL);
	ck_assert_int_eq(results[1].err.detail, FAULT_TIMEOUT);
	ck_assert_int_eq(peer_count(rig.peer), 1);
	ledger_is("UNKNOWN/1");
}
END_TEST

START_TEST(a_pause_beyond_a_deadline_is_not_waited_for)
{
	int64_t *which = _i == 0 ? &rig.scope.deadline_ms :
	    &rig.scope.stage_deadline_ms;
	int64_t began_ms = clock_mono_ms();

	*which = clock_now_ms() + 10000;
	say_step((struct peer_step){ .status = 503,
	    .headers = { "Retry-After: 15" } });
	/* This call has failed; the job may go on without it. */
	ask(ERR_MODEL);
	fault_is(FAULT_SERVER);
	ck_assert_int_lt((int)(clock_mono_ms() - began_ms), SOON_MS);
}
END_TEST

/* --- the end of the process ---------------------------------------------- */

START_TEST(no_call_begins_while_the_process_ends)
{
	say_chat(GOOD);
	end_process();
	ask(ERR_BUSY);
	draw(ERR_BUSY);
	ck_assert_int_eq(peer_count(rig.peer), 0);
	ledger_is("");
}
END_TEST

START_TEST(who_pauses_is_not_sent_again)
{
	struct stopper s;

	say_step(SLOW_DOWN);
	stopper_begin(&s, PLACE_PAUSED, end_process);
	ask(ERR_BUSY);
	stopper_end(&s);
	ledger_is("FAILED/1");
	ask(ERR_BUSY);		/* nor by another try of the stage */
	ck_assert_int_eq(peer_count(rig.peer), 1);
}
END_TEST

START_TEST(who_waits_for_the_rate_is_not_sent)
{
	struct chat_request req = chat_request();
	struct stopper s;

	rig.providers[0].rate_per_minute = 1;
	say_chat(GOOD);
	ask(ERR_OK);
	req.variant = 1;
	stopper_begin(&s, PLACE_QUEUED, end_process);
	ask_this(&req, ERR_BUSY);
	stopper_end(&s);
	ck_assert_int_eq(peer_count(rig.peer), 1);
	ledger_is("ANSWERED/1");
}
END_TEST

/* The peer's first request is under way when the end comes. */
static void
answer_at_the_end(void *arg, int n, const struct peer_request *r,
    struct peer_step *out)
{
	(void)n;
	(void)r;
	end_process();
	*out = *(const struct peer_step *)arg;
}

START_TEST(who_waits_for_a_slot_is_not_sent_and_the_other_arrives)
{
	struct chat_request reqs[2] = { chat_request(), chat_request() };
	struct peer_step step = { .body = kept(chat_json(GOOD, "stop",
	    NULL)) };
	struct call_result results[2];

	rig.providers[0].max_parallel = 1;
	reqs[1].variant = 1;
	peer_on_request(rig.peer, answer_at_the_end, &step);
	rig_start();
	ck_fails(model_chat_all(rig.m, &rig.scope, reqs, 2, results,
	    &rig.err), ERR_BUSY);
	ck_assert_int_eq(results[0].rc, ERR_OK);
	ck_assert_str_eq(json_get_str(results[0].value, "word"), "tart");
	ck_assert_int_eq(results[1].rc, ERR_BUSY);
	ck_assert_ptr_null(results[1].value);
	ck_assert_int_eq(peer_count(rig.peer), 1);
	ledger_is("ANSWERED/1");
	call_result_release(&results[0]);
	call_result_release(&results[1]);
}
END_TEST

static const struct {
	const char *about, *body;
	int status;
	enum peer_way way;
	const char *ledger;
} afterwards[] = {		/* each would be followed by another request */
	{ "a retry", "{}", 500, PEER_ANSWER, "FAILED/1" },
	{ "a retry of what was never answered", NULL, 200, PEER_CLOSE,
	    "UNKNOWN/1" },
	{ "a question again", "{\"choices\":[{\"message\":{\"content\":"
	    "\"no\"},\"finish_reason\":\"stop\"}]}", 200, PEER_ANSWER,
	    "ANSWERED/1" },
	{ "more room", "{\"choices\":[{\"message\":{\"content\":\"{\"},"
	    "\"finish_reason\":\"length\"}]}", 200, PEER_ANSWER,
	    "ANSWERED/1" },
	{ "a simpler format", "{\"error\":{\"message\":\"response_format of "
	    "type json_schema is not supported\"}}", 400, PEER_ANSWER,
	    "FAILED/1" },
	{ "the fall-back", "{\"error\":{\"message\":\"no\"}}", 401,
	    PEER_ANSWER, "FAILED/1" },
};

START_TEST(no_second_request_follows_the_first)
{
	struct purpose *p = &rig.conf.purposes[PURPOSE_STYLE_GUIDE];
	struct peer_step step = { .body = afterwards[_i].body,
	    .status = afterwards[_i].status, .way = afterwards[_i].way };

	p->fallback_provider = &rig.providers[1];
	p->fallback_model = &rig.models[MODEL_SMALL];
	peer_on_request(rig.peer, answer_at_the_end, &step);
	ask(ERR_BUSY);
	ck_assert_msg(peer_count(rig.peer) == 1, "%s", afterwards[_i].about);
	ledger_is(afterwards[_i].ledger);
}
END_TEST

START_TEST(no_second_picture_is_asked_for)
{
	struct peer_step step = { .body = "{\"data\":[]}" };

	peer_on_request(rig.peer, answer_at_the_end, &step);
	draw(ERR_BUSY);
	ck_assert_int_eq(peer_count(rig.peer), 1);
	ledger_is("ANSWERED/1");
}
END_TEST

START_TEST(what_is_in_flight_may_arrive)
{
	struct peer_step step = { .delay_ms = 400,
	    .body = kept(chat_json(GOOD, "stop", NULL)) };

	peer_on_request(rig.peer, answer_at_the_end, &step);
	ask(ERR_OK);
	ledger_is("ANSWERED/1");
}
END_TEST

START_TEST(what_the_ledger_has_may_be_read)
{
	say("{}", 500);
	say_chat("no");
	say_chat(GOOD);
	ask(ERR_OK);
	ledger_is("FAILED/1 ANSWERED/1 ANSWERED/2");
	end_process();
	rig_restart();
	ask(ERR_OK);
	ck_assert_int_eq(peer_count(rig.peer), 3);
}
END_TEST

START_TEST(what_the_cache_has_may_be_read)
{
	struct chat_request req = chat_request();

	req.cacheable = true;
	say_chat(GOOD);
	ask_this(&req, ERR_OK);
	end_process();
	req.variant = 1;
	ask_this(&req, ERR_OK);
	ck_assert(rig.chat.from_cache);
	ck_assert_int_eq(peer_count(rig.peer), 1);
}
END_TEST

Suite *
suite_stop(void)
{
	Suite *s = suite_create("stop");
	TCase *t = tcase_create("stop");

	tcase_add_checked_fixture(t, setup, rig_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_cancel_during_a_stall_returns_at_once);
	tcase_add_test(t, a_cancel_during_a_pause_returns_at_once);
	tcase_add_test(t, a_lost_lease_sends_nothing);
	tcase_add_test(t, the_deadline_of_the_job_ends_a_call);
	tcase_add_test(t, the_deadline_of_the_stage_ends_a_call_and_not_the_job);
	tcase_add_test(t, the_deadline_of_the_stage_ends_a_wait_at_the_gate);
	tcase_add_loop_test(t, a_pause_beyond_a_deadline_is_not_waited_for, 0,
	    2);
	tcase_add_test(t, no_call_begins_while_the_process_ends);
	tcase_add_test(t, who_pauses_is_not_sent_again);
	tcase_add_test(t, who_waits_for_the_rate_is_not_sent);
	tcase_add_test(t, who_waits_for_a_slot_is_not_sent_and_the_other_arrives);
	tcase_add_loop_test(t, no_second_request_follows_the_first, 0,
	    (int)ARRAY_LEN(afterwards));
	tcase_add_test(t, no_second_picture_is_asked_for);
	tcase_add_test(t, what_is_in_flight_may_arrive);
	tcase_add_test(t, what_the_ledger_has_may_be_read);
	tcase_add_test(t, what_the_cache_has_may_be_read);
	suite_add_tcase(s, t);
	return s;
}
