/* Gates, with times that the test chooses. */
#include "tests/unit/model_test.h"

#include "clock.h"
#include "src/model/call.h"

#define T0 1000000
#define TICKETS 8

static struct conf conf;
static struct provider providers[2];
static struct gates *gates;
static struct http *wire;
static struct http_group *group;
static struct gate_ticket t[TICKETS];

static void
start(void)
{
	gates = gates_new(&conf);
}

static void
setup(void)
{
	struct http_options opts = { 0, NULL };
	struct err e = ERR_INIT;
	int i;

	memset(&conf, 0, sizeof(conf));
	memset(providers, 0, sizeof(providers));
	conf.providers = providers;
	conf.n_providers = 2;
	conf.settings.max_parallel_llm = 100;
	conf.settings.max_parallel_image = 100;
	conf.settings.retry_cap_ms = 8000;
	for (i = 0; i < 2; i++) {
		providers[i].name = (char *)(uintptr_t)"p";
		providers[i].max_parallel = 4;
	}
	ck_ok(http_new(&opts, &wire, &e), &e);
	group = http_group_new(wire, NULL);
	memset(t, 0, sizeof(t));
	for (i = 0; i < TICKETS; i++)
		t[i].wake = group;
}

static void
teardown(void)
{
	gates_free(gates);
	http_group_free(group);
	http_free(wire);
}

static enum circuit
circuit(void)
{
	struct provider_stats st[2];

	gates_stats(gates, st, 2);
	return st[0].circuit;
}

static bool
enter(int i, int64_t now_ms)
{
	int64_t again_ms;

	return gate_enter(gates, &t[i], now_ms, &again_ms);
}

/* When is it worth trying again? */
static int64_t
again(int i, int64_t now_ms)
{
	int64_t again_ms;

	ck_assert(!gate_enter(gates, &t[i], now_ms, &again_ms));
	return again_ms;
}

/* Was the group told to look again? A wait without a wake takes its time. */
static bool
woken(void)
{
	int64_t began_ms = clock_mono_ms();
	struct http_answer a;
	int tag;

	ck_assert(!http_group_poll(group, 1000, &tag, &a));
	return clock_mono_ms() - began_ms < 900;
}

START_TEST(a_provider_gets_no_more_than_its_limit)
{
	int i;

	start();
	for (i = 0; i < 4; i++)
		ck_assert(enter(i, T0));
	ck_assert(again(4, T0) == INT64_MAX);
	gate_leave(gates, &t[0], GATE_FINE, T0 + 1);
	ck_assert(woken());
	ck_assert(enter(4, T0 + 1));
	t[0].provider = 1;
	ck_assert(enter(0, T0 + 1));
}
END_TEST

START_TEST(a_kind_gets_no_more_than_its_limit_over_all_providers)
{
	conf.settings.max_parallel_image = 2;
	start();
	t[0].kind = t[1].kind = t[2].kind = GATE_IMAGE;
	t[1].provider = 1;
	ck_assert(enter(0, T0));
	ck_assert(enter(1, T0));
	ck_assert(!enter(2, T0));
	ck_assert(enter(3, T0));	/* chat is another matter */
	gate_leave(gates, &t[1], GATE_FINE, T0);
	ck_assert(enter(2, T0));
}
END_TEST

START_TEST(who_came_first_goes_first)
{
	int i;

	providers[0].max_parallel = 1;
	start();
	ck_assert(enter(0, T0));
	for (i = 1; i < 4; i++)
		ck_assert(!enter(i, T0));
	gate_leave(gates, &t[0], GATE_FINE, T0);
	ck_assert(!enter(3, T0));
	ck_assert(!enter(2, T0));
	ck_assert(enter(1, T0));
	gate_leave(gates, &t[2], GATE_NEUTRAL, T0);	/* gives up */
	gate_leave(gates, &t[1], GATE_FINE, T0);
	ck_assert(enter(3, T0));
	gate_leave(gates, &t[3], GATE_FINE, T0);
	gate_leave(gates, &t[3], GATE_FINE, T0);	/* nothing any more */
	ck_assert(enter(4, T0));
}
END_TEST

START_TEST(a_rate_is_kept_after_a_burst)
{
	int i;

	providers[0].rate_per_minute = 24;	/* 2 at once, one in 2.5 s */
	start();
	ck_assert(enter(0, T0));
	ck_assert(enter(1, T0));
	ck_assert(again(2, T0) == T0 + 2500);
	ck_assert(again(2, T0 + 1000) == T0 + 2500);
	ck_assert(enter(2, T0 + 2500));
	ck_assert(again(3, T0 + 2500) == T0 + 5000);
	gate_leave(gates, &t[3], GATE_NEUTRAL, T0 + 2500);
	for (i = 0; i < 3; i++)
		gate_leave(gates, &t[i], GATE_FINE, T0 + 2600);
	/* A long quiet time earns no more than the burst. */
	ck_assert(enter(0, T0 + 10000000));
	ck_assert(enter(1, T0 + 10000000));
	ck_assert(!enter(2, T0 + 10000000));
}
END_TEST

START_TEST(a_pause_holds_for_everybody_and_the_longest_counts)
{
	start();
	gate_pause(gates, 0, T0 + 500);
	gate_pause(gates, 0, T0 + 300);
	ck_assert(again(0, T0) == T0 + 500);
	ck_assert(again(0, T0 + 499) == T0 + 500);
	t[1].provider = 1;
	ck_assert(enter(1, T0));
	ck_assert(enter(0, T0 + 500));
}
END_TEST

START_TEST(too_many_requests_halve_what_is_allowed)
{
	int i;

	start();
	for (i = 0; i < 4; i++)
		ck_assert(enter(i, T0));
	gate_leave(gates, &t[0], GATE_LIMITED, T0);
	for (i = 1; i < 4; i++)
		gate_leave(gates, &t[i], GATE_NEUTRAL, T0);
	ck_assert(enter(0, T0));
	ck_assert(enter(1, T0));
	ck_assert(!enter(2, T0));
	gate_leave(gates, &t[2], GATE_NEUTRAL, T0);
	/* Two good ones are a round: one more is allowed. */
	gate_leave(gates, &t[0], GATE_FINE, T0);
	gate_leave(gates, &t[1], GATE_FINE, T0);
	for (i = 0; i < 3; i++)
		ck_assert(enter(i, T0));
	ck_assert(!enter(3, T0));
}
END_TEST

START_TEST(a_broken_provider_is_left_alone_then_probed)
{
	int64_t now_ms = T0;
	int i;

	start();
	for (i = 0; i < 8; i++) {
		ck_assert(enter(0, now_ms));
		gate_leave(gates, &t[0], GATE_BROKEN, now_ms);
	}
	ck_assert(again(0, now_ms) == now_ms + 8000);
	now_ms += 8000;
	ck_assert(enter(0, now_ms));
	ck_assert(again(1, now_ms) == INT64_MAX);	/* one at a time */
	gate_leave(gates, &t[0], GATE_FINE, now_ms);
	for (i = 1; i < 5; i++)
		ck_assert(enter(i, now_ms));
}
END_TEST

START_TEST(figures_are_kept)
{
	struct provider_stats st[2];

	start();
	ck_assert(enter(0, T0));
	gate_leave(gates, &t[0], GATE_BROKEN, T0);
	ck_assert(enter(0, T0));
	gate_pause(gates, 0, INT64_MAX / 2);
	ck_assert(!enter(1, T0));
	ck_assert_int_eq(gates_stats(gates, st, 1), 2);
	ck_assert_int_eq((int)st[0].calls, 2);
	ck_assert_int_eq((int)st[0].errors, 1);
	ck_assert_int_eq((int)st[0].in_flight, 1);
	ck_assert_int_eq((int)st[0].waiting, 1);
	ck_assert(st[0].paused_until_ms > 0);
}
END_TEST

/* Its pauses are told by the clock, so these times are real ones. */
START_TEST(the_circuit_is_told)
{
	int64_t now_ms = clock_mono_ms();
	int i;

	conf.settings.retry_cap_ms = 60000;
	start();
	for (i = 0; i < 7; i++) {
		ck_assert(enter(0, now_ms));
		gate_leave(gates, &t[0], GATE_BROKEN, now_ms);
	}
	/* A pause that the provider asked for is no failure of it. */
	gate_pause(gates, 0, now_ms + 60000);
	ck_assert_int_eq(circuit(), CIRCUIT_CLOSED);
	now_ms -= 120000;
	ck_assert(!enter(0, now_ms));
	gate_leave(gates, &t[0], GATE_NEUTRAL, now_ms);
	gates_free(gates);
	start();
	for (i = 0; i < 8; i++) {
		ck_assert(enter(0, now_ms));
		gate_leave(gates, &t[0], GATE_BROKEN, now_ms);
	}
	/* That pause is over since a minute. */
	ck_assert_int_eq(circuit(), CIRCUIT_HALF_OPEN);
	now_ms = clock_mono_ms();
	ck_assert(enter(0, now_ms));
	gate_leave(gates, &t[0], GATE_BROKEN, now_ms);
	ck_assert_int_eq(circuit(), CIRCUIT_OPEN);
	now_ms += 60000;
	ck_assert(enter(0, now_ms));
	gate_leave(gates, &t[0], GATE_FINE, now_ms);
	ck_assert_int_eq(circuit(), CIRCUIT_CLOSED);
}
END_TEST

START_TEST(tallies_add_up_per_provider_and_model)
{
	static struct model_info models[2];
	struct call_row row = { .state = CALL_ANSWERED, .cost_nano = 5,
		.prompt_tokens = 7, .image_out_tokens = 3 };
	struct tallies *all = tallies_new();
	struct model_tally got[4];

	providers[1].name = (char *)(uintptr_t)"q";
	models[0].id = (char *)(uintptr_t)"a";
	models[1].id = (char *)(uintptr_t)"b";
	ck_assert_int_eq(tallies_get(all, got, 4), 0);
	tally_sent(all, &providers[0], &models[0]);
	tally_sent(all, &providers[0], &models[0]);
	tally_sent(all, &providers[0], &models[0]);
	tally_sent(all, &providers[1], &models[1]);
	tally_settled(all, &providers[0], &models[0], &row, FAULT_NONE);
	row.state = CALL_FAILED;
	tally_settled(all, &providers[0], &models[0], &row, FAULT_SERVER);
	row.state = CALL_UNKNOWN;
	row.cost_nano = 0;
	tally_settled(all, &providers[1], &models[1], &row, FAULT_NETWORK);
	ck_assert_int_eq(tallies_get(all, got, 1), 2);
	ck_assert_int_eq(tallies_get(all, got, 4), 2);
	ck_assert_str_eq(got[0].provider, "p");
	ck_assert_str_eq(got[0].model, "a");
	ck_assert_int_eq(got[0].sent, 3);
	ck_assert_int_eq(got[0].in_flight, 1);
	ck_assert_int_eq(got[0].answered, 1);
	ck_assert_int_eq(got[0].failed[FAULT_SERVER], 1);
	ck_assert_int_eq(got[0].cost_nano, 10);
	ck_assert_int_eq(got[0].prompt, 14);
	ck_assert_int_eq(got[0].image_out, 6);
	ck_assert_int_eq(got[1].unknown, 1);
	ck_assert_int_eq(got[1].in_flight, 0);
	ck_assert_int_eq(got[1].failed[FAULT_NETWORK], 0);
	tallies_free(all);
}
END_TEST

Suite *
suite_gate(void)
{
	Suite *s = suite_create("gate");
	TCase *tc = tcase_create("gate");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_provider_gets_no_more_than_its_limit);
	tcase_add_test(tc,
	    a_kind_gets_no_more_than_its_limit_over_all_providers);
	tcase_add_test(tc, who_came_first_goes_first);
	tcase_add_test(tc, a_rate_is_kept_after_a_burst);
	tcase_add_test(tc, a_pause_holds_for_everybody_and_the_longest_counts);
	tcase_add_test(tc, too_many_requests_halve_what_is_allowed);
	tcase_add_test(tc, a_broken_provider_is_left_alone_then_probed);
	tcase_add_test(tc, figures_are_kept);
	tcase_add_test(tc, the_circuit_is_told);
	tcase_add_test(tc, tallies_add_up_per_provider_and_model);
	suite_add_tcase(s, tc);
	return s;
}
