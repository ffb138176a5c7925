/* How long a client stays: limits, its messages, signs of life, the end. */
#include "tests/unit/push_rig.h"

/* --- limits --------------------------------------------------------------- */

START_TEST(a_socket_that_lags_is_dropped_and_nobody_else)
{
	struct client *slow = join_after(RUN_A, 0), *quick;
	char *all = NULL;
	int i;

	quick = join_after(RUN_A, 0);
	settle_all();
	for (i = 0; i < 20; i++) {
		commit(RUN_A, 1);
		hint(RUN_A);
		settle_all();
		free(all);
		all = sent(quick);
	}
	ck_assert_str_eq(all, "20");
	free(all);
	ck_assert_int_eq(slow->drop, DROP_SLOW);
	ck_assert_int_eq(slow->queued, 0);	/* its memory is free at once */
	ck_sent(slow, "");
	ck_assert_int_eq(quick->drop, DROP_NONE);
	leave(slow);
	/* It comes back with the last number it has. */
	slow = join_after(RUN_A, 7);
	settle_all();
	ck_sent(slow, "ping 8 9 10 11 12 13 14 15 16 17 18 19 20");
	leave(slow);
	leave(quick);
}
END_TEST

START_TEST(a_queue_is_bounded_in_bytes_but_takes_one_message_of_any_size)
{
	struct client *c = join_after(RUN_A, 0);

	settle_all();
	ck_sent(c, "ping");
	rig.message_bytes = 30000;
	commit(RUN_A, 1);
	hint(RUN_A);
	settle_all();
	ck_assert_int_eq(c->drop, DROP_NONE);
	commit(RUN_A, 1);
	hint(RUN_A);
	settle_all();
	ck_assert_int_eq(c->drop, DROP_SLOW);
	leave(c);
}
END_TEST

START_TEST(there_are_only_so_many_clients)
{
	struct client *a, *b;
	struct joining j = { CLIENT_SOCKET, RUN_A, false, 0, "", NULL };
	struct client *c = NULL;

	rig.limits.max_clients = 2;
	hub_set_limits(rig.hub, &rig.limits);
	a = join(RUN_A);
	b = join(RUN_B);
	ck_assert_int_eq(hub_join(rig.hub, &j, &rig.now, &c), JOIN_FULL);
	leave(a);
	a = join(RUN_A);
	ck_assert_ptr_nonnull(a);
	leave(a);
	leave(b);
}
END_TEST

START_TEST(there_are_only_so_many_from_one_address)
{
	struct joining j = { CLIENT_STREAM, RUN_A, false, 0, "192.0.2.1",
		NULL };
	struct client *c[4], *other, *refused = NULL;
	int i;

	for (i = 0; i < 3; i++)
		c[i] = join_as(CLIENT_SOCKET, RUN_A, -1, "192.0.2.1");
	ck_assert_int_eq(hub_join(rig.hub, &j, &rig.now, &refused),
	    JOIN_CROWDED);
	ck_assert_ptr_null(refused);
	other = join_as(CLIENT_SOCKET, RUN_A, -1, "192.0.2.2");
	ck_assert_ptr_nonnull(other);
	leave(other);
	leave(c[0]);
	c[0] = join_as(CLIENT_STREAM, RUN_B, -1, "192.0.2.1");
	ck_assert_ptr_nonnull(c[0]);
	/* Who names no address is not counted. */
	c[3] = join(RUN_A);
	ck_assert_ptr_nonnull(c[3]);
	for (i = 0; i < 4; i++)
		leave(c[i]);
}
END_TEST

/* --- messages of clients -------------------------------------------------- */

START_TEST(a_ping_of_one_is_a_ping_to_all_of_the_run)
{
	struct client *a = join(RUN_A), *b = join(RUN_A), *x = join(RUN_B);

	settle_all();
	ck_sent(a, "ping");
	ck_sent(b, "ping");
	ck_sent(x, "ping");
	hub_hear(rig.hub, a, "{\"type\":\"ping\"}", 15, &rig.now);
	hub_hear(rig.hub, a, "{\"type\":\"pong\"}", 15, &rig.now);
	hub_hear(rig.hub, a, "garbage", 7, &rig.now);
	ck_sent(a, "ping");
	ck_sent(b, "ping");
	ck_sent(x, "");
	leave(a);
	leave(b);
	leave(x);
}
END_TEST

START_TEST(pings_of_clients_are_answered_only_so_often)
{
	struct client *a = join(RUN_A), *b = join(RUN_A);
	int i;

	settle_all();
	ck_sent(a, "ping");
	ck_sent(b, "ping");
	for (i = 0; i < 10; i++) {
		hub_hear(rig.hub, a, "{\"type\":\"ping\"}", 15, &rig.now);
		hub_hear(rig.hub, b, "{\"type\":\"ping\"}", 15, &rig.now);
	}
	ck_sent(a, "ping ping ping ping ping");
	ck_sent(b, "ping ping ping ping ping");
	pass(999);
	hub_hear(rig.hub, a, "{\"type\":\"ping\"}", 15, &rig.now);
	ck_sent(b, "");
	pass(1);
	hub_hear(rig.hub, a, "{\"type\":\"ping\"}", 15, &rig.now);
	hub_hear(rig.hub, a, "{\"type\":\"ping\"}", 15, &rig.now);
	ck_sent(b, "ping");
	pass(3000);
	for (i = 0; i < 10; i++)
		hub_hear(rig.hub, a, "{\"type\":\"ping\"}", 15, &rig.now);
	ck_sent(b, "ping ping ping");
	leave(a);
	leave(b);
}
END_TEST

START_TEST(who_talks_all_the_time_is_not_listened_to)
{
	struct client *a = join(RUN_A);
	int i;

	settle_all();
	ck_sent(a, "ping");
	for (i = 0; i < 20; i++)
		hub_hear(rig.hub, a, "blah", 4, &rig.now);
	hub_hear(rig.hub, a, "{\"type\":\"ping\"}", 15, &rig.now);
	ck_sent(a, "");
	pass(1000);
	hub_hear(rig.hub, a, "{\"type\":\"ping\"}", 15, &rig.now);
	ck_sent(a, "ping");
	leave(a);
}
END_TEST

/* --- signs of life -------------------------------------------------------- */

START_TEST(a_socket_that_answers_stays_and_one_that_does_not_goes)
{
	struct client *a = join(RUN_A), *b = join(RUN_A);

	settle_all();
	ck_sent(a, "ping");
	ck_sent(b, "ping");
	pass(19999);
	ck_sent(a, "");
	pass(1);
	ck_sent(a, "life");
	ck_sent(b, "life");
	pass(5000);
	hub_alive(rig.hub, a, &rig.now);
	pass(4999);
	ck_assert_int_eq(b->drop, DROP_NONE);
	pass(1);
	ck_assert_int_eq(b->drop, DROP_DEAD);
	ck_assert_int_eq(a->drop, DROP_NONE);
	pass(15000);	/* 20 s after its sign of life */
	ck_sent(a, "life");
	leave(a);
	leave(b);
}
END_TEST

START_TEST(a_stream_is_given_comments_and_goes_when_they_pile_up)
{
	struct client *s = join_as(CLIENT_STREAM, RUN_A, -1, "");

	settle_all();
	ck_sent(s, "ping");
	pass(20000);
	ck_sent(s, "life");
	pass(20000);
	ck_assert_int_eq(s->drop, DROP_NONE);
	pass(20000);	/* the last was not written */
	ck_assert_int_eq(s->drop, DROP_DEAD);
	leave(s);
}
END_TEST

START_TEST(a_sign_of_life_goes_before_what_waits)
{
	struct client *c = join_after(RUN_A, 0);

	settle_all();
	commit(RUN_A, 2);
	hint(RUN_A);
	pass(20000);
	ck_sent(c, "life ping 1 2");
	leave(c);
}
END_TEST

START_TEST(the_hub_says_when_to_come_back)
{
	struct client *c = join(RUN_A);

	ck_assert_int_eq(hub_due_ms(rig.hub), START + 20000);
	settle_all();
	ck_assert_int_eq(hub_due_ms(rig.hub), START + 250);
	pass(250);
	ck_assert_int_eq(hub_due_ms(rig.hub), START + 500);
	leave(c);
}
END_TEST

START_TEST(attention_is_asked_for_once_until_something_new_happens)
{
	struct client *c = join(RUN_A);

	ck_assert_ptr_eq(hub_attention(rig.hub), c);
	ck_assert_ptr_null(hub_attention(rig.hub));
	settle_all();
	ck_assert_ptr_eq(hub_attention(rig.hub), c);
	ck_assert_ptr_null(hub_attention(rig.hub));
	commit(RUN_A, 2);
	hint(RUN_A);
	settle_all();
	ck_assert_ptr_eq(hub_attention(rig.hub), c);
	ck_assert_ptr_null(hub_attention(rig.hub));
	leave(c);
}
END_TEST

/* --- ending --------------------------------------------------------------- */

START_TEST(a_restart_sends_what_waits_and_lets_nobody_in)
{
	struct client *c = join_after(RUN_A, 0), *late;

	commit(RUN_A, 2);
	settle_all();
	hub_restart(rig.hub);
	ck_assert_int_eq(c->drop, DROP_RESTART);
	commit(RUN_A, 1);
	hint(RUN_A);
	settle_all();
	ck_sent(c, "ping 1 2");
	late = join(RUN_A);
	ck_assert_ptr_null(late);
	leave(c);
}
END_TEST

TCase *
push_life_case(void)
{
	TCase *t = tcase_create("life");

	tcase_add_checked_fixture(t, rig_set_up, rig_tear_down);
	tcase_add_test(t, a_socket_that_lags_is_dropped_and_nobody_else);
	tcase_add_test(t,
	    a_queue_is_bounded_in_bytes_but_takes_one_message_of_any_size);
	tcase_add_test(t, there_are_only_so_many_clients);
	tcase_add_test(t, there_are_only_so_many_from_one_address);
	tcase_add_test(t, a_ping_of_one_is_a_ping_to_all_of_the_run);
	tcase_add_test(t, pings_of_clients_are_answered_only_so_often);
	tcase_add_test(t, who_talks_all_the_time_is_not_listened_to);
	tcase_add_test(t,
	    a_socket_that_answers_stays_and_one_that_does_not_goes);
	tcase_add_test(t,
	    a_stream_is_given_comments_and_goes_when_they_pile_up);
	tcase_add_test(t, a_sign_of_life_goes_before_what_waits);
	tcase_add_test(t, the_hub_says_when_to_come_back);
	tcase_add_test(t,
	    attention_is_asked_for_once_until_something_new_happens);
	tcase_add_test(t, a_restart_sends_what_waits_and_lets_nobody_in);
	return t;
}
