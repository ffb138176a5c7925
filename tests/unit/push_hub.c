/* Who is sent what: joining, and what happens then. */
#include "tests/unit/push_rig.h"

/* --- joining -------------------------------------------------------------- */

START_TEST(who_joins_is_greeted_told_the_state_and_then_what_happens)
{
	struct client *c;

	commit(RUN_A, 5);
	c = join(RUN_A);
	ck_assert_int_eq(c->queued, 1);	/* before anything is read */
	ck_sent(c, "ping 4 5");
	commit(RUN_A, 1);
	hint(RUN_A);
	settle_all();
	ck_sent(c, "6");
	leave(c);
}
END_TEST

START_TEST(who_names_a_number_is_sent_everything_after_it)
{
	struct client *all, *some, *none, *ahead;

	commit(RUN_A, 5);
	all = join_after(RUN_A, 0);
	some = join_after(RUN_A, 3);
	none = join_after(RUN_A, 5);
	ahead = join_after(RUN_A, 6);
	settle_all();
	commit(RUN_A, 2);
	hint(RUN_A);
	settle_all();
	ck_sent(all, "ping 1 2 3 4 5 6 7");
	ck_sent(some, "ping 4 5 6 7");
	ck_sent(none, "ping 6 7");
	ck_sent(ahead, "ping 7");
	leave(all);
	leave(some);
	leave(none);
	leave(ahead);
}
END_TEST

START_TEST(a_long_history_comes_page_by_page_and_drops_nobody)
{
	struct strbuf want = STRBUF_INIT(MAX_TEXT);
	struct client *c;
	int i;

	rig.message_bytes = 4000;	/* two fill half a queue */
	commit(RUN_A, 500);
	c = join_after(RUN_A, 0);
	settle_all();
	ck_assert_int_le(c->queued, rig.limits.queue_messages / 2 + 1);
	strbuf_addstr(&want, "ping");
	for (i = 1; i <= 500; i++)
		strbuf_addf(&want, " %d", i);
	ck_sent(c, want.buf);
	ck_assert_int_eq(c->state, CLIENT_LIVE);
	ck_assert_int_eq(c->drop, DROP_NONE);
	strbuf_release(&want);
	leave(c);
}
END_TEST

START_TEST(a_finished_run_has_no_state_to_tell)
{
	struct client *c;

	commit(RUN_A, 5);
	run_named(RUN_A)->is_over = true;
	c = join(RUN_A);
	settle_all();
	ck_sent(c, "ping");
	commit(RUN_A, 1);	/* a refinement */
	hint(RUN_A);
	settle_all();
	ck_sent(c, "6");
	leave(c);
}
END_TEST

START_TEST(an_unknown_run_is_silent_and_costs_nothing)
{
	static const char *const ids[] = {
		"cccccccc-0000-4000-8000-000000000003", "no-such-id", "x" };
	struct client *c[3];
	int i;

	for (i = 0; i < 3; i++)
		c[i] = join(ids[i]);
	settle_all();
	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(c[i]->state, CLIENT_SILENT);
		ck_sent(c[i], "ping");
		hint(ids[i]);
	}
	ck_assert_int_eq(rig.asked[ASK_STATE], 1);
	/* Nothing is due but signs of life. */
	ck_assert_int_eq(hub_due_ms(rig.hub), START + rig.limits.ping_ms);
	ck_assert(!answer_one());
	pass(1000);
	ck_assert_int_eq(rig.asked[ASK_CHANGED], 0);
	hub_hear(rig.hub, c[1], "{\"type\":\"ping\"}", 15, &rig.now);
	ck_sent(c[1], "ping");
	for (i = 0; i < 3; i++)
		leave(c[i]);
}
END_TEST

START_TEST(a_run_that_is_deleted_falls_silent)
{
	struct client *a, *b;

	commit(RUN_A, 2);
	a = join(RUN_A);
	b = join_after(RUN_A, 1);
	settle_all();
	run_named(RUN_A)->last_seq = -1;
	rig.version++;
	pass(rig.limits.poll_ms);
	ck_assert_int_eq(a->state, CLIENT_SILENT);
	ck_assert_int_eq(b->state, CLIENT_SILENT);
	ck_sent(a, "ping 1 2");
	ck_sent(b, "ping 2");
	hint(RUN_A);
	ck_assert(!answer_one());
	leave(a);
	leave(b);
}
END_TEST

/* --- news ----------------------------------------------------------------- */

START_TEST(news_are_asked_for_once_for_all)
{
	struct client *c[50];
	int i;

	for (i = 0; i < 50; i++)
		c[i] = join_after(RUN_A, 0);
	settle_all();
	commit(RUN_A, 1);
	for (i = 0; i < 10; i++)
		hint(RUN_A);
	settle_all();
	ck_assert_int_eq(rig.asked[ASK_NEWS], 1);
	for (i = 0; i < 50; i++) {
		ck_sent(c[i], "ping 1");
		leave(c[i]);
	}
}
END_TEST

START_TEST(a_message_is_one_frame_however_many_wait_for_it)
{
	struct frame *f, *g;
	struct client *a, *b;

	commit(RUN_A, 1);
	a = join_after(RUN_A, 0);
	b = join_after(RUN_A, 0);
	settle_all();
	client_sent(rig.hub, a, client_next(a, &f));
	client_sent(rig.hub, b, client_next(b, &g));
	ck_assert_int_eq(client_next(a, &f), OUT_FRAME);
	ck_assert_int_eq(client_next(b, &g), OUT_FRAME);
	ck_assert_ptr_eq(f, g);
	ck_assert_int_eq(f->refs, 2);
	leave(a);
	ck_assert_int_eq(g->refs, 1);
	leave(b);
}
END_TEST

START_TEST(news_that_come_while_asking_are_asked_for_again)
{
	struct answer a;
	struct question q;
	struct client *c = join_after(RUN_A, 0);

	settle_all();
	commit(RUN_A, 1);
	hint(RUN_A);
	ck_assert(take_question(&q));
	ck_assert_int_eq(q.kind, ASK_NEWS);
	answer_question(&q);
	commit(RUN_A, 1);
	hint(RUN_A);
	ck_assert(take_question(&q));
	read_answer(&q, &a);
	commit(RUN_A, 1);
	hint(RUN_A);	/* too late for what was read */
	ck_assert(!answer_one());
	deliver(&a);
	settle_all();
	ck_sent(c, "ping 1 2 3");
	leave(c);
}
END_TEST

START_TEST(news_between_the_question_and_its_answer_are_not_lost)
{
	struct question q;
	struct client *c = join(RUN_A);

	ck_assert(take_question(&q));
	ck_assert_int_eq(q.kind, ASK_STATE);
	hint(RUN_A);	/* of an event that the reader may have missed */
	answer_question(&q);
	settle_all();
	ck_assert_int_eq(rig.asked[ASK_NEWS], 1);
	ck_assert(take_question(&q) == false);
	hint("");
	settle_all();
	ck_assert_int_eq(rig.asked[ASK_TIPS], 1);
	leave(c);
}
END_TEST

START_TEST(a_hint_for_all_is_for_those_not_answered_yet_as_well)
{
	struct question q;
	struct client *c = join(RUN_A);

	ck_assert(take_question(&q));
	hint("");
	answer_question(&q);
	settle_all();
	ck_assert_int_eq(rig.asked[ASK_NEWS], 1);
	leave(c);
}
END_TEST

START_TEST(a_look_that_failed_is_made_up_for_though_nothing_was_committed_since)
{
	struct client *c = join_after(RUN_A, 0);
	struct question q;

	settle_all();
	commit(RUN_A, 1);
	rig.now.mono_ms += rig.limits.poll_ms;
	hub_tick(rig.hub, &rig.now);
	ck_assert(answer_one());
	ck_assert_int_eq(rig.asked[ASK_CHANGED], 1);
	ck_assert(take_question(&q));
	ck_assert_int_eq(q.kind, ASK_TIPS);
	rig.is_broken = true;
	answer_question(&q);
	rig.is_broken = false;
	pass(999);
	ck_sent(c, "ping");
	pass(1);
	ck_sent(c, "1");
	leave(c);
}
END_TEST

START_TEST(lost_hints_are_made_up_for_by_looking)
{
	struct client *a = join_after(RUN_A, 0), *b = join_after(RUN_B, 0);

	settle_all();
	pass(rig.limits.poll_ms);	/* the first look is at everything */
	ck_assert_int_eq(rig.asked[ASK_TIPS], 1);
	commit(RUN_B, 2);
	pass(rig.limits.poll_ms - 1);
	ck_sent(b, "ping");
	pass(1);
	ck_sent(a, "ping");
	ck_sent(b, "1 2");
	ck_assert_int_eq(rig.asked[ASK_NEWS], 1);
	leave(a);
	leave(b);
}
END_TEST

START_TEST(looking_stops_at_the_version_when_nothing_was_committed)
{
	struct client *c = join_after(RUN_A, 0);
	int i;

	settle_all();
	pass(rig.limits.poll_ms);
	for (i = 0; i < 100; i++)
		pass(rig.limits.poll_ms);
	ck_assert_int_eq(rig.asked[ASK_CHANGED], 101);
	ck_assert_int_eq(rig.asked[ASK_TIPS], 1);
	ck_assert_int_eq(rig.asked[ASK_NEWS], 0);
	leave(c);
}
END_TEST

START_TEST(nobody_there_means_nothing_to_do)
{
	struct client *c = join(RUN_A);

	settle_all();
	ck_assert_int_lt(hub_due_ms(rig.hub), INT64_MAX);
	leave(c);
	ck_assert_int_eq(hub_due_ms(rig.hub), INT64_MAX);
	pass(100000);
	ck_assert_int_eq(rig.asked[ASK_CHANGED], 0);
}
END_TEST

START_TEST(an_answer_for_those_who_left_is_dropped)
{
	struct client *c = join(RUN_A), *d;
	struct question q, p;

	commit(RUN_A, 3);
	ck_assert(take_question(&q));
	leave(c);
	d = join_after(RUN_A, 2);
	ck_assert(take_question(&p));
	answer_question(&q);
	ck_sent(d, "ping");
	answer_question(&p);
	ck_sent(d, "3");
	leave(d);
}
END_TEST

START_TEST(news_asked_for_an_audience_that_is_gone_are_not_given_to_the_next)
{
	struct client *c = join_after(RUN_A, 0), *d;
	struct question q;

	settle_all();
	commit(RUN_A, 2);
	hint(RUN_A);
	ck_assert(take_question(&q));
	ck_assert_int_eq(q.kind, ASK_NEWS);
	leave(c);
	d = join_after(RUN_A, 0);
	settle_all();
	answer_question(&q);
	settle_all();
	ck_sent(d, "ping 1 2");
	leave(d);
}
END_TEST

START_TEST(what_the_store_cannot_answer_is_asked_again)
{
	struct client *a = join(RUN_A), *b = join_after(RUN_B, 0), *s;

	settle_all();
	commit(RUN_B, 1);
	rig.is_broken = true;
	s = join_as(CLIENT_STREAM, RUN_A, -1, "");
	hint(RUN_B);
	pass(1);
	/* A stream is told at once; it has a way to say so. */
	ck_assert_int_eq(s->drop, DROP_TROUBLE);
	leave(s);
	pass(250);
	pass(2000);
	rig.is_broken = false;
	pass(1000);
	ck_sent(b, "ping 1");
	ck_sent(a, "ping");
	commit(RUN_A, 1);	/* and no hint: the looks go on as well */
	pass(rig.limits.poll_ms);
	ck_sent(a, "1");
	leave(a);
	leave(b);
}
END_TEST

START_TEST(who_joins_while_the_store_is_broken_waits)
{
	struct client *c;

	rig.is_broken = true;
	commit(RUN_A, 2);
	c = join_after(RUN_A, 0);
	settle_all();
	ck_sent(c, "ping");
	pass(1000);
	rig.is_broken = false;
	pass(1000);
	ck_sent(c, "1 2");
	leave(c);
}
END_TEST

static void
add_joining(TCase *t)
{
	tcase_add_test(t,
	    who_joins_is_greeted_told_the_state_and_then_what_happens);
	tcase_add_test(t, who_names_a_number_is_sent_everything_after_it);
	tcase_add_test(t, a_long_history_comes_page_by_page_and_drops_nobody);
	tcase_add_test(t, a_finished_run_has_no_state_to_tell);
	tcase_add_test(t, an_unknown_run_is_silent_and_costs_nothing);
	tcase_add_test(t, a_run_that_is_deleted_falls_silent);
}

static void
add_news(TCase *t)
{
	tcase_add_test(t, news_are_asked_for_once_for_all);
	tcase_add_test(t, a_message_is_one_frame_however_many_wait_for_it);
	tcase_add_test(t, news_that_come_while_asking_are_asked_for_again);
	tcase_add_test(t,
	    news_between_the_question_and_its_answer_are_not_lost);
	tcase_add_test(t,
	    a_hint_for_all_is_for_those_not_answered_yet_as_well);
	tcase_add_test(t,
	    a_look_that_failed_is_made_up_for_though_nothing_was_committed_since);
	tcase_add_test(t, lost_hints_are_made_up_for_by_looking);
	tcase_add_test(t,
	    looking_stops_at_the_version_when_nothing_was_committed);
	tcase_add_test(t, nobody_there_means_nothing_to_do);
	tcase_add_test(t, an_answer_for_those_who_left_is_dropped);
	tcase_add_test(t,
	    news_asked_for_an_audience_that_is_gone_are_not_given_to_the_next);
	tcase_add_test(t, what_the_store_cannot_answer_is_asked_again);
	tcase_add_test(t, who_joins_while_the_store_is_broken_waits);
}

TCase *
push_hub_case(void)
{
	TCase *t = tcase_create("hub");

	tcase_add_checked_fixture(t, rig_set_up, rig_tear_down);
	add_joining(t);
	add_news(t);
	return t;
}
