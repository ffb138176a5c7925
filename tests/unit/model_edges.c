/*
 * The state machine of a call, edge by edge, against a scripted peer.
 */
#include "tests/unit/model_test.h"

#include "clock.h"
#include "strbuf.h"
#include "xalloc.h"

#define REFUSED "{\"error\":{\"message\":\"Invalid parameter: " \
	"'response_format' of type '%s' is not supported with this model.\"," \
	"\"type\":\"invalid_request_error\",\"param\":\"response_format\"," \
	"\"code\":null}}"

/* --- transport ----------------------------------------------------------- */

static const struct {
	int status;
	const char *body;
	bool retried;
	enum model_fault fault;
} statuses[] = {
	{ 408, "", true, FAULT_TIMEOUT },
	{ 409, "", true, FAULT_SERVER },
	{ 425, "", true, FAULT_SERVER },
	{ 429, "", true, FAULT_RATE_LIMIT },
	{ 500, "", true, FAULT_SERVER },
	{ 502, "<html>bad gateway</html>", true, FAULT_SERVER },
	{ 503, "", true, FAULT_SERVER },
	{ 529, "", true, FAULT_SERVER },
	{ 400, "{\"error\":{\"message\":\"odd\"}}", false, FAULT_BAD_REQUEST },
	{ 401, "", false, FAULT_AUTH },
	{ 403, "", false, FAULT_AUTH },
	{ 404, "", false, FAULT_BAD_REQUEST },
	{ 422, "", false, FAULT_BAD_REQUEST },
	{ 302, "", false, FAULT_BAD_REQUEST },
	{ 402, "", false, FAULT_RATE_LIMIT },
	{ 429, "{\"error\":{\"code\":\"insufficient_quota\"}}", false,
	    FAULT_RATE_LIMIT },
	{ 400, "{\"error\":{\"code\":\"moderation_blocked\"}}", false,
	    FAULT_CONTENT_POLICY },
	{ 200, "{\"error\":{\"code\":503,\"message\":\"x\"}}", true,
	    FAULT_SERVER },
	{ 200, "no json at all", true, FAULT_SERVER },
};

START_TEST(a_status_is_retried_or_not)
{
	say(statuses[_i].body, statuses[_i].status);
	ask(ERR_MODEL);
	fault_is(statuses[_i].fault);
	ck_assert_int_eq(peer_count(rig.peer), statuses[_i].retried ? 4 : 1);
	ck_assert_int_eq(rig.chat.attempts, statuses[_i].retried ? 4 : 1);
	ledger_is(statuses[_i].retried ?
	    "FAILED/1 FAILED/1 FAILED/1 FAILED/1" : "FAILED/1");
	notes_are("");
	ck_assert_int_eq((int)ledger_cost(), 0);
}
END_TEST

START_TEST(a_retry_keeps_the_key_and_a_new_row)
{
	say("", 500);
	say_chat(GOOD);
	ask(ERR_OK);
	ledger_is("FAILED/1 ANSWERED/1");
	ck_assert_str_eq(peer_request(rig.peer, 0)->key,
	    peer_request(rig.peer, 1)->key);
	ck_assert_str_ne(peer_request(rig.peer, 0)->call,
	    peer_request(rig.peer, 1)->call);
	ck_assert_str_eq(peer_request(rig.peer, 0)->body,
	    peer_request(rig.peer, 1)->body);
}
END_TEST

START_TEST(a_request_that_was_never_received_is_retried)	/* P10 */
{
	rig.providers[0].base_url = (char *)(uintptr_t)"http://127.0.0.1:1/v1";
	ask(ERR_MODEL);
	fault_is(FAULT_NETWORK);
	ledger_is("FAILED/1 FAILED/1 FAILED/1 FAILED/1");
	notes_are("");
}
END_TEST

START_TEST(no_answer_is_unknown_and_tried_once_more)
{
	static const enum peer_way ways[] = { PEER_CLOSE, PEER_CUT,
		PEER_STALL };
	const char *body = kept(chat_json(GOOD, "stop", NULL));

	rig.conf.settings.llm_timeout_ms = 200;
	say_step((struct peer_step){ .body = body, .way = ways[_i],
	    .cut = 20 });
	say_chat(GOOD);
	ask(ERR_OK);
	ledger_is("UNKNOWN/1 ANSWERED/1");
	notes_are("call_unknown");
	ck_assert_str_eq(peer_request(rig.peer, 0)->key,
	    peer_request(rig.peer, 1)->key);
}
END_TEST

START_TEST(no_answer_twice_is_the_end)
{
	say_step((struct peer_step){ .way = PEER_CLOSE });
	ask(ERR_MODEL);
	fault_is(FAULT_NETWORK);
	ledger_is("UNKNOWN/1 UNKNOWN/1");
	notes_are("call_unknown call_unknown");
}
END_TEST

START_TEST(a_stall_ends_as_timeout)	/* P10 */
{
	rig.conf.settings.llm_timeout_ms = 100;
	say_step((struct peer_step){ .delay_ms = 5000 });
	ask(ERR_MODEL);
	fault_is(FAULT_TIMEOUT);
	ck_assert_int_eq(peer_count(rig.peer), 2);
}
END_TEST

START_TEST(unknown_and_retries_are_counted_apart)
{
	say_step((struct peer_step){ .way = PEER_CLOSE });
	say("", 500);
	say("", 500);
	say("", 500);
	say_chat(GOOD);
	ask(ERR_OK);
	ledger_is("UNKNOWN/1 FAILED/1 FAILED/1 FAILED/1 ANSWERED/1");
}
END_TEST

START_TEST(an_error_page_that_breaks_off_is_an_error_not_unknown)
{
	say_step((struct peer_step){ .status = 500, .body = "0123456789",
	    .way = PEER_CUT, .cut = 3 });
	say_chat(GOOD);
	ask(ERR_OK);
	ledger_is("FAILED/1 ANSWERED/1");
	notes_are("");
}
END_TEST

START_TEST(retry_after_is_waited_for_and_capped)
{
	struct provider_stats st[2];
	int64_t began_ms;

	rig.conf.settings.retry_after_cap_ms = 120;
	say_step((struct peer_step){ .status = 429,
	    .headers = { "Retry-After: 3600" } });
	say_chat(GOOD);
	rig_start();
	began_ms = clock_mono_ms();
	ask(ERR_OK);
	ck_assert_int_ge((int)(clock_mono_ms() - began_ms), 119);
	ck_assert_int_lt((int)(clock_mono_ms() - began_ms), 2000);
	model_get_stats(rig.m, st, 2);
	ck_assert_int_eq((int)st[0].errors, 1);
}
END_TEST

START_TEST(retry_after_holds_for_everybody)
{
	struct chat_request reqs[2] = { chat_request(), chat_request() };
	struct call_result results[2];
	int64_t began_ms = clock_mono_ms();

	rig.conf.settings.retry_after_cap_ms = 150;
	rig.providers[0].max_parallel = 1;
	reqs[1].variant = 1;
	say_step((struct peer_step){ .status = 429,
	    .headers = { "Retry-After: 1" } });
	say_chat(GOOD);
	rig_start();
	ck_ok(model_chat_all(rig.m, &rig.scope, reqs, 2, results, &rig.err),
	    &rig.err);
	ck_assert_int_eq(results[0].rc, ERR_OK);
	ck_assert_int_eq(results[1].rc, ERR_OK);
	ck_assert_int_eq(results[0].attempts, 2);
	ck_assert_int_eq(results[1].attempts, 1);
	/* The second had a free slot at once, and waited all the same. */
	ck_assert_int_ge((int)(clock_mono_ms() - began_ms), 149);
	call_result_release(&results[0]);
	call_result_release(&results[1]);
}
END_TEST

START_TEST(gemini_says_in_the_body_how_long_to_wait)
{
	int64_t began_ms = clock_mono_ms();

	rig.conf.settings.retry_after_cap_ms = 5000;
	say("[{\"error\":{\"code\":429,\"status\":\"RESOURCE_EXHAUSTED\","
	    "\"details\":[{\"@type\":\"x.RetryInfo\","
	    "\"retryDelay\":\"0.15s\"}]}}]", 429);
	say_chat(GOOD);
	ask(ERR_OK);
	ck_assert_int_ge((int)(clock_mono_ms() - began_ms), 149);
}
END_TEST

START_TEST(failed_attempts_with_usage_are_booked)
{
	say("{\"error\":{\"message\":\"x\"},\"usage\":{\"prompt_tokens\":1000,"
	    "\"completion_tokens\":0}}", 500);
	say_chat(GOOD);
	ask(ERR_OK);
	ck_assert_int_eq((int)rig.chat.cost_nano, 2000000 + 280000);
	ck_assert_int_eq((int)ledger_cost(), 2280000);
}
END_TEST

/* --- answers that will not do -------------------------------------------- */

static const struct {
	const char *about, *content, *complaint;
	enum model_fault fault;
} unusable[] = {
	{ "prose", "I would rather not.", "no JSON", FAULT_NO_JSON },
	{ "a number too small", "{\"word\":\"tart\",\"n\":0}", "- ",
	    FAULT_INVALID_SCHEMA },
	{ "a member missing", "{\"word\":\"tart\"}", "- ",
	    FAULT_INVALID_SCHEMA },
	{ "nothing", "  ", "empty", FAULT_EMPTY },
};

START_TEST(an_unusable_answer_is_asked_about_once)
{
	struct json_object *o, *last;

	say_chat(unusable[_i].content);
	say_chat(GOOD);
	ask(ERR_OK);
	ledger_is("ANSWERED/1 ANSWERED/2");
	ck_assert_int_eq((int)rig.chat.cost_nano, 560000);
	ck_assert_str_ne(peer_request(rig.peer, 0)->key,
	    peer_request(rig.peer, 1)->key);
	o = sent_json(1);
	last = json_at(o, unusable[_i].fault == FAULT_EMPTY ? "messages/2" :
	    "messages/3");
	ck_assert_str_eq(json_get_str(last, "role"), "user");
	ck_assert_ptr_nonnull(strstr(json_get_str(last, "content"),
	    unusable[_i].complaint));
	if (unusable[_i].fault != FAULT_EMPTY) {
		last = json_at(o, "messages/2");
		ck_assert_str_eq(json_get_str(last, "role"), "assistant");
		ck_assert_str_eq(json_get_str(last, "content"),
		    unusable[_i].content);
	}
	json_object_put(o);
}
END_TEST

START_TEST(an_answer_that_stays_unusable_is_the_end)
{
	say_chat(unusable[_i].content);
	ask(ERR_MODEL);
	fault_is(unusable[_i].fault);
	ck_assert_int_eq(peer_count(rig.peer), 2);
	ledger_is("ANSWERED/1 ANSWERED/2");
	/* What the model wrote is not shown. */
	ck_assert_ptr_null(strstr(rig.err.msg, "rather"));
}
END_TEST

static void
no_threes(struct json_object *value, struct strbuf *violations, void *arg)
{
	int *calls = arg;

	if ((*calls)++ == 0 && json_get_int(value, "n", 0) == 3)
		strbuf_addstr(violations, "n: three is taken\n");
}

START_TEST(what_the_caller_finds_wrong_is_said_too)
{
	struct chat_request req = chat_request();
	int calls = 0;

	req.verify = no_threes;
	req.verify_arg = &calls;
	say_chat(GOOD);
	ask_this(&req, ERR_OK);
	ck_assert_int_eq(calls, 2);
	ck_assert(sent_has(1, "three is taken"));
	ledger_is("ANSWERED/1 ANSWERED/2");
}
END_TEST

START_TEST(a_long_unusable_answer_is_sent_back_in_part)
{
	char *text = xmalloc(100001);
	struct json_object *o;
	size_t i;

	text[0] = 'x';		/* so that the cut falls into a character */
	for (i = 1; i < 100000; i++)
		text[i] = "\xa4\xc3"[i % 2];
	text[99999] = '\0';
	say_chat(text);
	say_chat(GOOD);
	ask(ERR_OK);
	o = sent_json(1);
	ck_assert_int_eq((int)strlen(json_get_str(json_at(o, "messages/2"),
	    "content")), 8191);
	json_object_put(o);
	free(text);
}
END_TEST

START_TEST(a_truncated_answer_gets_half_as_much_room_again)
{
	struct json_object *o;

	say(kept(chat_json("{\"word\":\"ta", "length",
	    "{\"prompt_tokens\":100,\"completion_tokens\":10}")), 200);
	say_chat(GOOD);
	ask(ERR_OK);
	ledger_is("ANSWERED/1 ANSWERED/2");
	o = sent_json(1);
	ck_assert_int_eq((int)json_get_int(o, "max_tokens", 0), 1500);
	ck_assert_uint_eq(json_len(json_get(o, "messages")), 2);
	json_object_put(o);
}
END_TEST

START_TEST(a_second_truncation_is_the_end)
{
	say(kept(chat_json(_i == 0 ? "{\"word\":\"ta" : "", "length", NULL)),
	    200);
	ask(ERR_MODEL);
	fault_is(FAULT_TRUNCATED);
	ck_assert_int_eq(peer_count(rig.peer), 2);
}
END_TEST

START_TEST(truncation_and_re_ask_have_their_own_bounds)
{
	struct json_object *o;

	say(kept(chat_json("{\"word\":\"ta", "length", NULL)), 200);
	say_chat("nothing to say");
	say_chat(GOOD);
	ask(ERR_OK);
	ledger_is("ANSWERED/1 ANSWERED/2 ANSWERED/3");
	o = sent_json(2);
	ck_assert_int_eq((int)json_get_int(o, "max_tokens", 0), 1500);
	json_object_put(o);
}
END_TEST

static const struct {
	const char *about, *answer;
} refusals[] = {
	{ "a refusal message", "{\"choices\":[{\"message\":{\"content\":null,"
	    "\"refusal\":\"I cannot.\"},\"finish_reason\":\"stop\"}]}" },
	{ "a filter", "{\"choices\":[{\"message\":{\"content\":\"\"},"
	    "\"finish_reason\":\"content_filter\"}]}" },
	{ "Gemini's filter", "{\"choices\":[{\"message\":{},"
	    "\"finish_reason\":\"content_filter: SAFETY\"}]}" },
};

START_TEST(a_refusal_is_never_asked_again)
{
	rig.conf.purposes[PURPOSE_STYLE_GUIDE].fallback_provider =
	    &rig.providers[0];
	rig.conf.purposes[PURPOSE_STYLE_GUIDE].fallback_model =
	    &rig.models[MODEL_SMALL];
	say(refusals[_i].answer, 200);
	ask(ERR_MODEL);
	fault_is(FAULT_CONTENT_POLICY);
	ck_assert_int_eq(peer_count(rig.peer), 1);
	ledger_is("ANSWERED/1");
}
END_TEST

START_TEST(an_answer_over_its_limits_is_unusable)
{
	char *text = xmalloc(2 * MB);

	memset(text, 'x', 2 * MB - 1);
	text[2 * MB - 1] = '\0';
	say(kept(chat_json(text, "stop", NULL)), 200);
	say_chat(GOOD);
	ask(ERR_OK);
	ledger_is("FAILED/1 ANSWERED/2");
	ck_assert_int_gt((int)ledger_cost(), 280000);
	free(text);
}
END_TEST

/* --- formats ------------------------------------------------------------- */

START_TEST(a_refused_format_falls_to_the_next_simpler_one)
{
	char a[400], b[400];
	struct json_object *o;

	snprintf(a, sizeof(a), REFUSED, "json_schema");
	snprintf(b, sizeof(b), REFUSED, "json_object");
	say(a, _i == 0 ? 400 : _i == 1 ? 404 : 422);
	say(b, 400);
	say_chat(GOOD);
	ask(ERR_OK);
	ledger_is("FAILED/1 FAILED/2 ANSWERED/3");
	o = sent_json(1);
	ck_assert_str_eq(json_get_str(json_get(o, "response_format"), "type"),
	    "json_object");
	json_object_put(o);
	o = sent_json(2);
	ck_assert_ptr_null(json_get(o, "response_format"));
	ck_assert_ptr_nonnull(strstr(json_get_str(json_at(o, "messages/0"),
	    "content"), "minLength"));
	json_object_put(o);
}
END_TEST

START_TEST(a_refused_format_is_remembered_per_model)
{
	struct chat_request req = chat_request();
	char a[400];

	snprintf(a, sizeof(a), REFUSED, "json_schema");
	say(a, 400);
	say_chat(GOOD);
	ask(ERR_OK);
	req.variant = 1;
	ask_this(&req, ERR_OK);
	ck_assert_int_eq(peer_count(rig.peer), 3);
	ck_assert(sent_has(2, "\"json_object\""));
	rig.conf.purposes[PURPOSE_STYLE_GUIDE].model =
	    &rig.models[MODEL_SMALL];
	req.variant = 2;
	ask_this(&req, ERR_OK);
	ck_assert(sent_has(3, "\"json_schema\""));
}
END_TEST

START_TEST(formats_do_not_use_up_retries)
{
	char a[400], b[400];

	rig.conf.settings.max_retries = 1;
	snprintf(a, sizeof(a), REFUSED, "json_schema");
	snprintf(b, sizeof(b), REFUSED, "json_object");
	say(a, 400);
	say("", 500);
	say(b, 400);
	say("", 500);
	say_chat(GOOD);
	ask(ERR_OK);
	ledger_is("FAILED/1 FAILED/2 FAILED/2 FAILED/3 ANSWERED/3");
}
END_TEST

START_TEST(another_rejection_is_not_about_the_format)
{
	say("{\"error\":{\"message\":\"max_tokens is too large\"}}", 400);
	ask(ERR_MODEL);
	fault_is(FAULT_BAD_REQUEST);
	ck_assert_int_eq(peer_count(rig.peer), 1);
	ck_assert_ptr_nonnull(strstr(rig.err.msg, "max_tokens is too large"));
}
END_TEST

/* --- the fall-back ------------------------------------------------------- */

static void
with_fallback(void)
{
	struct purpose *p = &rig.conf.purposes[PURPOSE_STYLE_GUIDE];

	p->fallback_provider = &rig.providers[1];
	p->fallback_model = &rig.models[MODEL_SMALL];
}

static const struct {
	const char *about, *body;
	int status, requests;
} exhausted[] = {
	{ "out of retries", "", 500, 4 },
	{ "a bad key", "", 401, 1 },
	{ "an unknown model", "{\"error\":{\"message\":\"no model\"}}", 404,
	    1 },
};

START_TEST(an_exhausted_model_is_followed_by_its_fall_back)
{
	int i, n = exhausted[_i].requests;

	with_fallback();
	for (i = 0; i < n; i++)
		say(exhausted[_i].body, exhausted[_i].status);
	say_chat(GOOD);
	ask(ERR_OK);
	ck_assert_str_eq(rig.chat.model, "vendor/small");
	ck_assert_str_eq(rig.chat.provider, "gem");
	notes_are("fallback_model");
	ck_assert_int_eq(peer_count(rig.peer), n + 1);
	ck_assert_str_eq(peer_request(rig.peer, n)->path,
	    "/v1/openai/chat/completions");
	/* 110 tokens at a dollar a million */
	ck_assert_int_eq((int)rig.chat.cost_nano, 110000);
}
END_TEST

START_TEST(the_fall_back_has_its_own_retries_and_then_it_is_over)
{
	with_fallback();
	say("", 500);
	ask(ERR_MODEL);
	fault_is(FAULT_SERVER);
	ck_assert_int_eq(peer_count(rig.peer), 8);
}
END_TEST

START_TEST(unusable_answers_lead_to_the_fall_back_too)
{
	with_fallback();
	say_chat("no");
	say_chat("no");
	say_chat(GOOD);
	ask(ERR_OK);
	ledger_is("ANSWERED/1 ANSWERED/2 ANSWERED/3");
	ck_assert(!sent_has(2, "assistant"));
	ck_assert_str_eq(rig.chat.model, "vendor/small");
}
END_TEST

START_TEST(a_model_without_a_key_is_replaced_at_once)
{
	with_fallback();
	rig.providers[0].key = NULL;
	say_chat(GOOD);
	rig_start();
	ck_ok(model_available(rig.m, PURPOSE_STYLE_GUIDE, &rig.err),
	    &rig.err);
	ask(ERR_OK);
	ck_assert_str_eq(rig.chat.model, "vendor/small");
	notes_are("fallback_model");
}
END_TEST

static void
add_chat_tests(TCase *t)
{
	tcase_add_loop_test(t, an_unusable_answer_is_asked_about_once, 0,
	    ARRAY_LEN(unusable));
	tcase_add_loop_test(t, an_answer_that_stays_unusable_is_the_end, 0,
	    ARRAY_LEN(unusable));
	tcase_add_test(t, what_the_caller_finds_wrong_is_said_too);
	tcase_add_test(t, a_long_unusable_answer_is_sent_back_in_part);
	tcase_add_test(t, a_truncated_answer_gets_half_as_much_room_again);
	tcase_add_loop_test(t, a_second_truncation_is_the_end, 0, 2);
	tcase_add_test(t, truncation_and_re_ask_have_their_own_bounds);
	tcase_add_loop_test(t, a_refusal_is_never_asked_again, 0,
	    ARRAY_LEN(refusals));
	tcase_add_test(t, an_answer_over_its_limits_is_unusable);
	tcase_add_loop_test(t, a_refused_format_falls_to_the_next_simpler_one,
	    0, 3);
	tcase_add_test(t, a_refused_format_is_remembered_per_model);
	tcase_add_test(t, formats_do_not_use_up_retries);
	tcase_add_test(t, another_rejection_is_not_about_the_format);
	tcase_add_loop_test(t, an_exhausted_model_is_followed_by_its_fall_back,
	    0, ARRAY_LEN(exhausted));
	tcase_add_test(t, the_fall_back_has_its_own_retries_and_then_it_is_over);
	tcase_add_test(t, unusable_answers_lead_to_the_fall_back_too);
	tcase_add_test(t, a_model_without_a_key_is_replaced_at_once);
}

Suite *
suite_edges(void)
{
	Suite *s = suite_create("edges");
	TCase *t = tcase_create("transport");

	tcase_add_checked_fixture(t, rig_setup, rig_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, a_status_is_retried_or_not, 0,
	    ARRAY_LEN(statuses));
	tcase_add_test(t, a_retry_keeps_the_key_and_a_new_row);
	tcase_add_test(t, a_request_that_was_never_received_is_retried);
	tcase_add_loop_test(t, no_answer_is_unknown_and_tried_once_more, 0, 3);
	tcase_add_test(t, no_answer_twice_is_the_end);
	tcase_add_test(t, a_stall_ends_as_timeout);
	tcase_add_test(t, unknown_and_retries_are_counted_apart);
	tcase_add_test(t, an_error_page_that_breaks_off_is_an_error_not_unknown);
	tcase_add_test(t, retry_after_is_waited_for_and_capped);
	tcase_add_test(t, retry_after_holds_for_everybody);
	tcase_add_test(t, gemini_says_in_the_body_how_long_to_wait);
	tcase_add_test(t, failed_attempts_with_usage_are_booked);
	suite_add_tcase(s, t);
	t = tcase_create("answers");
	tcase_add_checked_fixture(t, rig_setup, rig_teardown);
	tcase_set_timeout(t, 60);
	add_chat_tests(t);
	suite_add_tcase(s, t);
	return s;
}
