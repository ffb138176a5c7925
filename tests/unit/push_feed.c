/* What the feed reads from a real store, and that its thread brings it. */
#include "tests/unit/push_unit.h"
#include "tests/unit/store_support.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "json.h"

static struct answer got;
static int64_t version;
static struct claimed claimed;

static void
set_up_run(void)
{
	set_up();
	memset(&got, 0, sizeof(got));
	version = 0;
	add_run(1);
	ck_assert_int_eq(claim_at(T0 + 10, &claimed), 1);
}

static void
tear_down_run(void)
{
	answer_release(&got);
	tear_down();
}

static void
read_for(enum question_kind kind, const char *run_id, int64_t after,
    int64_t wall_ms)
{
	struct question q = { .kind = kind, .owner = "ann", .after = after,
	    .limit = 3, .recent_ms = 5000 };

	answer_release(&got);
	snprintf(q.run_id, sizeof(q.run_id), "%s", run_id);
	feed_read(st, &q, wall_ms, &version, &got);
}

static void
told(const char *stage, enum stage_status status, int64_t at_ms)
{
	struct stage_update u = update_of(stage, 1, status);
	char *data = xasprintf("{\"stage_name\":\"%s\",\"status\":\"%s\"}",
	    stage, stage_status_name(status));

	u.event_data = data;
	ck_ok(store_progress(st, &claimed.ref, NULL, &u, 1, at_ms, &err),
	    &err);
	free(data);
}

/* The frames as "seq stage status, ..." */
static const char *
frames(void)
{
	static char text[1000];
	struct json_object *o;
	size_t i, at = 0;

	text[0] = '\0';
	for (i = 0; i < got.n; i++) {
		o = NULL;
		ck_assert_int_eq(json_parse(frame_text(got.frames[i]),
		    got.frames[i]->len, &o, NULL), ERR_OK);
		at += (size_t)snprintf(text + at, sizeof(text) - at,
		    "%s%lld %s %s", at > 0 ? ", " : "",
		    (long long)json_get_int(o, "seq", -1),
		    json_get_str(json_get(o, "data"), "stage_name") != NULL ?
		    json_get_str(json_get(o, "data"), "stage_name") :
		    json_get_str(o, "type"),
		    json_get_str(json_get(o, "data"), "status") != NULL ?
		    json_get_str(json_get(o, "data"), "status") : "-");
		json_object_put(o);
	}
	return text;
}

START_TEST(events_come_page_by_page_from_any_number)
{
	told("image_eval", STAGE_RUNNING, T0 + 20);
	told("image_eval", STAGE_COMPLETED, T0 + 21);
	told("strategy", STAGE_RUNNING, T0 + 22);
	told("strategy", STAGE_COMPLETED, T0 + 23);
	read_for(ASK_AFTER, claimed.run_id, 0, T0);
	ck_assert_int_eq(got.rc, ERR_OK);
	ck_assert_int_eq(got.last_seq, 4);
	ck_assert_str_eq(frames(), "1 image_eval RUNNING, "
	    "2 image_eval COMPLETED, 3 strategy RUNNING");
	read_for(ASK_NEWS, claimed.run_id, 3, T0);
	ck_assert_str_eq(frames(), "4 strategy COMPLETED");
	read_for(ASK_NEWS, claimed.run_id, 4, T0);
	ck_assert_uint_eq(got.n, 0);
	ck_assert_int_eq(got.last_seq, 4);
}
END_TEST

START_TEST(runs_of_others_and_none_are_not_found)
{
	struct question q = { .kind = ASK_NEWS, .owner = "bob", .limit = 3 };

	read_for(ASK_NEWS, "run-000099", 0, T0);
	ck_assert_int_eq(got.rc, ERR_NOT_FOUND);
	read_for(ASK_STATE, "run-000099", 0, T0);
	ck_assert_int_eq(got.rc, ERR_NOT_FOUND);
	answer_release(&got);
	snprintf(q.run_id, sizeof(q.run_id), "%s", claimed.run_id);
	feed_read(st, &q, T0, &version, &got);
	ck_assert_int_eq(got.rc, ERR_NOT_FOUND);
	answer_release(&got);
	memset(&q, 0, sizeof(q));
	q.kind = ASK_STATE;
	q.owner = "bob";
	snprintf(q.run_id, sizeof(q.run_id), "%s", claimed.run_id);
	feed_read(st, &q, T0, &version, &got);
	ck_assert_int_eq(got.rc, ERR_NOT_FOUND);
}
END_TEST

START_TEST(the_state_is_the_latest_of_each_stage_in_order)
{
	read_for(ASK_STATE, claimed.run_id, 0, T0);
	ck_assert_int_eq(got.rc, ERR_OK);
	ck_assert_uint_eq(got.n, 0);
	told("image_eval", STAGE_RUNNING, T0 + 20);
	told("strategy", STAGE_RUNNING, T0 + 21);
	told("image_eval", STAGE_COMPLETED, T0 + 22);
	read_for(ASK_STATE, claimed.run_id, 0, T0);
	ck_assert_str_eq(frames(), "2 strategy RUNNING, "
	    "3 image_eval COMPLETED");
	ck_assert_int_eq(got.last_seq, 3);
}
END_TEST

START_TEST(the_end_of_a_run_is_told_while_it_is_news)
{
	told("image_eval", STAGE_RUNNING, T0 + 20);
	told("image_eval", STAGE_COMPLETED, T0 + 21);
	ck_ok(finish(&claimed, STATE_COMPLETED, T0 + 1000), &err);
	read_for(ASK_STATE, claimed.run_id, 0, T0 + 1000);
	ck_assert_int_eq(got.last_seq, 3);
	ck_assert_str_eq(frames(), "3 run_complete -");
	read_for(ASK_STATE, claimed.run_id, 0, T0 + 6000);
	ck_assert_str_eq(frames(), "3 run_complete -");
	read_for(ASK_STATE, claimed.run_id, 0, T0 + 6001);
	ck_assert_uint_eq(got.n, 0);
	ck_assert_int_eq(got.last_seq, 3);
	read_for(ASK_AFTER, claimed.run_id, 0, T0 + HOUR);
	ck_assert_uint_eq(got.n, 3);
}
END_TEST

START_TEST(a_cancelled_run_ends_with_an_error)
{
	enum cancel_outcome outcome;
	enum state was;

	ck_ok(cancel(1, T0 + 50, &outcome, &was), &err);
	read_for(ASK_STATE, claimed.run_id, 0, T0 + 60);
	ck_assert_str_eq(frames(), "1 run_error -");
}
END_TEST

START_TEST(a_change_is_seen_once)
{
	read_for(ASK_CHANGED, "", 0, T0);
	ck_assert(got.changed);
	read_for(ASK_CHANGED, "", 0, T0);
	ck_assert(!got.changed);
	told("image_eval", STAGE_RUNNING, T0 + 20);
	read_for(ASK_CHANGED, "", 0, T0);
	ck_assert(got.changed);
	read_for(ASK_CHANGED, "", 0, T0);
	ck_assert(!got.changed);
}
END_TEST

START_TEST(tips_say_how_far_runs_have_come)
{
	struct question q = { .kind = ASK_TIPS, .owner = "ann", .n = 2 };

	told("image_eval", STAGE_RUNNING, T0 + 20);
	q.run_ids = xcalloc(2, sizeof(*q.run_ids));
	snprintf(q.run_ids[0], ID_MAX, "run-000077");
	snprintf(q.run_ids[1], ID_MAX, "%s", claimed.run_id);
	feed_read(st, &q, T0, &version, &got);
	ck_assert_int_eq(got.rc, ERR_OK);
	ck_assert_int_eq(got.tips[0].last_seq, -1);
	ck_assert_int_eq(got.tips[1].last_seq, 1);
}
END_TEST

/* --- the thread ----------------------------------------------------------- */

static void
ring(void *arg)
{
	uint64_t one = 1;

	ck_assert_int_eq(write(*(int *)arg, &one, sizeof(one)), sizeof(one));
}

static void
wait_ring(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };
	uint64_t n;

	ck_assert_int_eq(poll(&p, 1, 10000), 1);
	ck_assert_int_eq(read(fd, &n, sizeof(n)), sizeof(n));
}

START_TEST(the_thread_answers_in_the_order_of_asking)
{
	struct question q = { .kind = ASK_NEWS, .owner = "ann", .limit = 3 };
	struct feed *f = NULL;
	uint64_t asked = 0, answered = 0;
	int bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	told("image_eval", STAGE_RUNNING, T0 + 20);
	snprintf(q.run_id, sizeof(q.run_id), "%s", claimed.run_id);
	ck_ok(feed_start(st, ring, &bell, &f, &err), &err);
	while (answered < 500) {
		while (asked < 500 && feed_pending(f) < FEED_MAX_PENDING) {
			q.ticket = ++asked;
			feed_ask(f, &q);
		}
		wait_ring(bell);
		while (feed_take(f, &got)) {
			ck_assert_uint_eq(got.q.ticket, ++answered);
			ck_assert_uint_eq(got.n, 1);
			answer_release(&got);
		}
	}
	ck_assert_int_eq(feed_pending(f), 0);
	feed_stop(f);
	close(bell);
}
END_TEST

START_TEST(an_answer_can_be_waited_for_and_then_rings_no_bell)
{
	struct question q = { .kind = ASK_NEWS, .owner = "ann", .limit = 3 };
	struct feed *f = NULL;
	int bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), i, waited = 0;
	uint64_t rung = 0;

	snprintf(q.run_id, sizeof(q.run_id), "%s", claimed.run_id);
	ck_ok(feed_start(st, ring, &bell, &f, &err), &err);
	ck_assert(!feed_wait(f, 1));	/* nothing was asked */
	for (i = 0; i < 200; i++) {
		feed_ask(f, &q);
		ck_assert(feed_wait(f, 900000));
		waited++;
		ck_assert(feed_take(f, &got));
		answer_release(&got);
	}
	feed_stop(f);
	/* Only those that came before they were waited for. */
	if (read(bell, &rung, sizeof(rung)) < 0)
		rung = 0;
	ck_assert_uint_le(rung, (uint64_t)waited);
	close(bell);
}
END_TEST

START_TEST(a_feed_that_is_stopped_forgets_what_it_was_asked)
{
	struct question q = { .kind = ASK_TIPS, .owner = "ann", .n = 1 };
	struct feed *f = NULL;
	int bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), i;

	ck_ok(feed_start(st, ring, &bell, &f, &err), &err);
	for (i = 0; i < FEED_MAX_PENDING; i++) {
		q.run_ids = xcalloc(1, sizeof(*q.run_ids));
		feed_ask(f, &q);
	}
	feed_stop(f);
	feed_stop(NULL);
	close(bell);
}
END_TEST

TCase *
push_feed_case(void)
{
	TCase *t = tcase_create("feed");

	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, set_up_run, tear_down_run);
	tcase_add_test(t, events_come_page_by_page_from_any_number);
	tcase_add_test(t, runs_of_others_and_none_are_not_found);
	tcase_add_test(t, the_state_is_the_latest_of_each_stage_in_order);
	tcase_add_test(t, the_end_of_a_run_is_told_while_it_is_news);
	tcase_add_test(t, a_cancelled_run_ends_with_an_error);
	tcase_add_test(t, a_change_is_seen_once);
	tcase_add_test(t, tips_say_how_far_runs_have_come);
	tcase_add_test(t, the_thread_answers_in_the_order_of_asking);
	tcase_add_test(t,
	    an_answer_can_be_waited_for_and_then_rings_no_bell);
	tcase_add_test(t, a_feed_that_is_stopped_forgets_what_it_was_asked);
	return t;
}
