/*
 * Chat calls that go well: what is on the wire, what is in the ledger, what
 * comes back; and many at once.
 */
#include <pthread.h>

#include "tests/unit/model_test.h"

#include "clock.h"
#include "digest.h"
#include "src/model/internal.h"
#include "xalloc.h"

START_TEST(an_answer_is_booked_and_given_back)
{
	struct call_list l;
	const struct call_row *r;
	const struct peer_request *sent;

	say_chat(GOOD);
	ask(ERR_OK);
	ck_assert_str_eq(rig.chat.provider, "main");
	ck_assert_str_eq(rig.chat.model, "vendor/talker");
	ck_assert_int_eq(rig.chat.attempts, 1);
	ck_assert_int_eq((int)rig.chat.usage.prompt, 100);
	/* 100 * 2 + 10 * 8 dollars a million */
	ck_assert_int_eq((int)rig.chat.cost_nano, 280000);
	ck_assert_int_eq((int)ledger_cost(), 280000);
	ledger_is("ANSWERED/1");
	notes_are("");
	ck_ok(store_find_calls(rig.store, rig.job_id, "style_guide",
	    VARIANT_NONE, "style_guide", &l, &rig.err), &rig.err);
	ck_assert_int_eq(l.n, 1);
	r = &l.rows[0];
	sent = peer_request(rig.peer, 0);
	ck_assert_str_eq(r->id, sent->call);
	ck_assert_str_eq(r->idempotency_key, sent->key);
	ck_assert_int_eq(r->http_status, 200);
	ck_assert_int_gt((int)r->estimate_nano, 0);
	ck_assert(!r->estimated);
	ck_assert_ptr_null(r->fault);
	ck_assert_ptr_nonnull(strstr(r->answer, "tart"));
	ck_assert_int_eq((int)strlen(r->request_hash), 64);
	ck_assert_str_eq(sent->path, "/v1/chat/completions");
	ck_assert_str_eq(sent->authorization,
	    "Bearer sk-secret-key-of-the-tests");
	ck_assert_str_eq(sent->type, "application/json");
	ck_assert_str_eq(sent->expect, "");
	call_list_release(&l);
}
END_TEST

START_TEST(the_idempotency_key_is_made_of_what_names_the_ask)
{
	struct chat_request req = chat_request();
	char hex[DIGEST_HEX_MAX];
	struct digest d;

	req.suffix = "2";
	req.variant = 4;
	say_chat(GOOD);
	ask_this(&req, ERR_OK);
	digest_init(&d);
	digest_add_field(&d, rig.job_id);
	digest_add_field(&d, "style_guide");
	digest_add_field(&d, "4");
	digest_add_field(&d, "style_guide/2");
	digest_add_field(&d, "1");
	digest_hex(&d, hex);
	hex[32] = '\0';
	ck_assert_str_eq(peer_request(rig.peer, 0)->key, hex);
}
END_TEST

START_TEST(the_request_says_what_the_model_takes)
{
	struct json_object *o;

	say_chat(GOOD);
	ask(ERR_OK);
	o = sent_json(0);
	ck_assert_str_eq(json_get_str(o, "model"), "vendor/talker");
	ck_assert_str_eq(json_get_str(json_at(o, "messages/0"), "content"),
	    "You are terse.");
	ck_assert_str_eq(json_get_str(json_at(o, "messages/1"), "content"),
	    "One \"word\", please.");
	ck_assert(json_get_num(o, "temperature", 9) == 0.5);
	ck_assert_int_eq((int)json_get_int(o, "max_tokens", 0), 1000);
	ck_assert_str_eq(json_get_str(json_get(o, "response_format"), "type"),
	    "json_schema");
	ck_assert(json_get_bool(json_at(o, "response_format/json_schema"),
	    "strict", false));
	ck_assert_str_eq(json_get_str(json_at(o,
	    "response_format/json_schema"), "name"), "answer");
	ck_assert_str_eq(json_get_str(json_at(o, "response_format/json_schema/"
	    "schema/properties/n"), "type"), "integer");
	json_object_put(o);
}
END_TEST

START_TEST(a_reasoning_model_gets_room_and_no_temperature)
{
	struct json_object *o;

	rig.conf.purposes[PURPOSE_STYLE_GUIDE].model =
	    &rig.models[MODEL_THINKER];
	say_chat(GOOD);
	ask(ERR_OK);
	o = sent_json(0);
	ck_assert_int_eq((int)json_get_int(o, "max_completion_tokens", 0),
	    8000);
	ck_assert_ptr_null(json_get(o, "max_tokens"));
	ck_assert_ptr_null(json_get(o, "temperature"));
	json_object_put(o);
}
END_TEST

START_TEST(the_request_can_say_more_than_the_purpose)
{
	struct chat_request req = chat_request();
	struct json_object *o;

	req.temperature = 0.9;
	req.max_tokens = 6000;
	say_chat(GOOD);
	ask_this(&req, ERR_OK);
	o = sent_json(0);
	ck_assert(json_get_num(o, "temperature", 0) == 0.9);
	ck_assert_int_eq((int)json_get_int(o, "max_tokens", 0), 6000);
	json_object_put(o);
}
END_TEST

START_TEST(without_enforcement_the_schema_is_in_the_prompt)
{
	struct json_object *o;
	const char *system;

	rig.models[MODEL_CHAT].answer_mode = _i == 0 ? ANSWER_JSON_OBJECT :
	    ANSWER_TEXT;
	say_chat(GOOD);
	ask(ERR_OK);
	o = sent_json(0);
	system = json_get_str(json_at(o, "messages/0"), "content");
	ck_assert_int_eq(strncmp(system, "You are terse.\n\n", 16), 0);
	ck_assert_ptr_nonnull(strstr(system, "\"minLength\":2"));
	if (_i == 0)
		ck_assert_str_eq(json_get_str(json_get(o, "response_format"),
		    "type"), "json_object");
	else
		ck_assert_ptr_null(json_get(o, "response_format"));
	json_object_put(o);
}
END_TEST

START_TEST(pictures_are_sent_as_data_uris)
{
	struct chat_request req = chat_request();
	struct strbuf want = STRBUF_INIT(MB);
	struct json_object *o, *part;

	put_file("ref.png", png(5000), 5000);
	put_file("logo.png", png(777), 777);
	req.images[0] = (struct call_image){ .path = "ref.png",
	    .mime = "image/png", .high_detail = true };
	req.images[1] = (struct call_image){ .path = "logo.png",
	    .mime = "image/png" };
	req.n_images = 2;
	say_chat(GOOD);
	ask_this(&req, ERR_OK);
	o = sent_json(0);
	ck_assert_str_eq(json_get_str(json_at(o, "messages/1/content/0"),
	    "text"), "One \"word\", please.");
	part = json_at(o, "messages/1/content/1/image_url");
	strbuf_addstr(&want, "data:image/png;base64,");
	base64_add(&want, png(5000), 5000);
	ck_assert_str_eq(json_get_str(part, "url"), want.buf);
	ck_assert_str_eq(json_get_str(part, "detail"), "high");
	part = json_at(o, "messages/1/content/2/image_url");
	ck_assert_ptr_null(json_get(part, "detail"));
	json_object_put(o);
	strbuf_release(&want);
}
END_TEST

/* N16: bytes are encoded while they are sent; nothing else ever holds them. */
START_TEST(three_bytes_are_four_characters_on_the_wire)
{
	struct chat_request req = chat_request();

	put_file("ref.png", "abc", 3);
	req.images[0] = (struct call_image){ .path = "ref.png",
	    .mime = "image/png" };
	req.n_images = 1;
	say_chat(GOOD);
	ask_this(&req, ERR_OK);
	ck_assert(sent_has(0, "\"data:image/png;base64,YWJj\""));
}
END_TEST

START_TEST(a_missing_picture_is_our_own_trouble)
{
	struct chat_request req = chat_request();

	req.images[0] = (struct call_image){ .path = "none.png",
	    .mime = "image/png" };
	req.n_images = 1;
	ask_this(&req, ERR_SYSTEM);
	ck_assert_int_eq(peer_count(rig.peer), 0);
	ledger_is("");
}
END_TEST

START_TEST(a_prompt_over_the_limit_is_not_sent)
{
	struct chat_request req = chat_request();
	char *user = xmalloc(MODEL_MAX_PROMPT_BYTES + 1);

	memset(user, 'x', MODEL_MAX_PROMPT_BYTES);
	user[MODEL_MAX_PROMPT_BYTES] = '\0';
	req.user = user;
	ask_this(&req, ERR_MODEL);
	fault_is(FAULT_BAD_REQUEST);
	ck_assert_int_eq(peer_count(rig.peer), 0);
	free(user);
}
END_TEST

START_TEST(gemini_chats_through_its_openai_door)
{
	rig.conf.purposes[PURPOSE_STYLE_GUIDE].provider = &rig.providers[1];
	say_chat(GOOD);
	ask(ERR_OK);
	ck_assert_str_eq(peer_request(rig.peer, 0)->path,
	    "/v1/openai/chat/completions");
	ck_assert_str_eq(peer_request(rig.peer, 0)->authorization,
	    "Bearer sk-secret-key-of-the-tests");
}
END_TEST

START_TEST(content_may_come_in_parts)
{
	say("{\"choices\":[{\"message\":{\"content\":[{\"type\":\"text\","
	    "\"text\":\"{\\\"word\\\":\\\"tart\\\",\"},{\"type\":\"text\","
	    "\"text\":\"\\\"n\\\":3}\"}]}}]}", 200);
	ask(ERR_OK);
}
END_TEST

START_TEST(a_silent_provider_is_booked_by_estimate)
{
	struct call_list l;

	say(kept(chat_json(GOOD, "stop", NULL)), 200);
	ask(ERR_OK);
	ck_assert(rig.chat.usage.estimated);
	ck_assert_int_gt((int)rig.chat.cost_nano, 0);
	ck_ok(store_list_calls(rig.store, rig.job_id, &l, &rig.err),
	    &rig.err);
	ck_assert(l.rows[0].estimated);
	call_list_release(&l);
}
END_TEST

START_TEST(the_amount_a_provider_names_is_what_is_booked)
{
	say(kept(chat_json(GOOD, "stop", "{\"prompt_tokens\":100,"
	    "\"completion_tokens\":10,\"cost\":0.00123}")), 200);
	ask(ERR_OK);
	ck_assert_int_eq((int)rig.chat.cost_nano, 1230000);
	ck_assert(rig.chat.usage.has_billed);
}
END_TEST

START_TEST(a_model_without_a_price_is_noted_once)
{
	rig.models[MODEL_CHAT].price_input = 0;
	rig.models[MODEL_CHAT].price_output = 0;
	rig.models[MODEL_CHAT].price_image_input = 0;
	say_chat("nothing");
	say_chat(GOOD);
	ask(ERR_OK);
	notes_are("no_price");
	ck_assert_int_eq((int)rig.chat.cost_nano, 0);
}
END_TEST

START_TEST(a_free_model_needs_no_price)
{
	rig.models[MODEL_CHAT].price_input = 0;
	rig.models[MODEL_CHAT].price_output = 0;
	rig.models[MODEL_CHAT].price_image_input = 0;
	rig.models[MODEL_CHAT].is_free = true;
	say_chat(GOOD);
	ask(ERR_OK);
	notes_are("");
}
END_TEST

START_TEST(a_cached_answer_costs_nothing)
{
	struct chat_request req = chat_request();

	req.cacheable = true;
	say_chat(GOOD);
	ask_this(&req, ERR_OK);
	ck_assert(!rig.chat.from_cache);
	req.variant = 1;	/* another call, the same question */
	ask_this(&req, ERR_OK);
	ck_assert(rig.chat.from_cache);
	ck_assert_int_eq((int)rig.chat.cost_nano, 0);
	ck_assert_int_eq(rig.chat.attempts, 0);
	ck_assert_int_eq(peer_count(rig.peer), 1);
	req.user = "Another question.";
	req.variant = 2;
	ask_this(&req, ERR_OK);
	ck_assert(!rig.chat.from_cache);
	ck_assert_int_eq(peer_count(rig.peer), 2);
}
END_TEST

START_TEST(the_cache_looks_into_pictures)
{
	struct chat_request req = chat_request();

	req.cacheable = true;
	req.images[0] = (struct call_image){ .path = "a.png",
	    .mime = "image/png" };
	req.n_images = 1;
	put_file("a.png", png(100), 100);
	say_chat(GOOD);
	ask_this(&req, ERR_OK);
	put_file("a.png", png(101), 101);
	req.variant = 1;
	ask_this(&req, ERR_OK);
	ck_assert(!rig.chat.from_cache);
	ck_assert_int_eq(peer_count(rig.peer), 2);
}
END_TEST

START_TEST(a_resumed_call_prefers_its_row_to_the_cache)
{
	struct chat_request req = chat_request();

	req.cacheable = true;
	say_chat(GOOD);
	ask_this(&req, ERR_OK);
	rig_restart();
	ask_this(&req, ERR_OK);
	ck_assert(!rig.chat.from_cache);
	ck_assert_int_eq((int)rig.chat.cost_nano, 280000);
	ck_assert_int_eq(peer_count(rig.peer), 1);
}
END_TEST

/* --- availability -------------------------------------------------------- */

START_TEST(a_missing_key_is_named)
{
	rig.providers[0].key = NULL;
	rig_start();
	ck_fails(model_available(rig.m, PURPOSE_STYLE_GUIDE, &rig.err),
	    ERR_MODEL);
	fault_is(FAULT_NOT_CONFIGURED);
	ck_assert_ptr_nonnull(strstr(rig.err.msg, "MAIN_API_KEY"));
	ask(ERR_MODEL);
	fault_is(FAULT_NOT_CONFIGURED);
	ck_assert_int_eq(peer_count(rig.peer), 0);
	ledger_is("");
}
END_TEST

START_TEST(a_purpose_without_a_model_is_not_configured)
{
	rig.conf.purposes[PURPOSE_STYLE_GUIDE].model = NULL;
	rig.conf.purposes[PURPOSE_STYLE_GUIDE].provider = NULL;
	rig_start();
	ck_fails(model_available(rig.m, PURPOSE_STYLE_GUIDE, &rig.err),
	    ERR_MODEL);
	ask(ERR_MODEL);
	fault_is(FAULT_NOT_CONFIGURED);
	ck_ok(model_available(rig.m, PURPOSE_CAPTION, &rig.err), &rig.err);
}
END_TEST

START_TEST(a_local_server_needs_no_key)
{
	rig.providers[0].key = NULL;
	rig.providers[0].key_env = NULL;
	say_chat(GOOD);
	ask(ERR_OK);
	ck_assert_str_eq(peer_request(rig.peer, 0)->authorization, "");
}
END_TEST

START_TEST(a_simulated_provider_is_marked)
{
	struct call_list l;

	rig.providers[0].key = NULL;
	rig.providers[0].simulated = true;
	say_chat(GOOD);
	ask(ERR_OK);
	ck_assert(rig.chat.simulated);
	ck_ok(store_list_calls(rig.store, rig.job_id, &l, &rig.err),
	    &rig.err);
	ck_assert(l.rows[0].simulated);
	call_list_release(&l);
}
END_TEST

/* --- several at once ----------------------------------------------------- */

static void
answer_by_number(void *arg, int n, const struct peer_request *r,
    struct peer_step *out)
{
	(void)arg;
	(void)n;
	out->delay_ms = 10;
	out->body = strstr(r->body, "fail") != NULL ?
	    "{\"error\":{\"message\":\"no\"}}" :
	    "{\"choices\":[{\"message\":{\"content\":"
	    "\"{\\\"word\\\":\\\"tart\\\",\\\"n\\\":3}\"},"
	    "\"finish_reason\":\"stop\"}]}";
	out->status = strstr(r->body, "fail") != NULL ? 401 : 200;
}

START_TEST(several_calls_run_at_once_and_fail_alone)
{
	struct chat_request reqs[MODEL_MAX_CALLS];
	struct call_result results[MODEL_MAX_CALLS];
	int i;

	peer_on_request(rig.peer, answer_by_number, NULL);
	rig_start();
	for (i = 0; i < MODEL_MAX_CALLS; i++) {
		reqs[i] = chat_request();
		reqs[i].variant = i;
		if (i == 3)
			reqs[i].user = "fail";
	}
	ck_ok(model_chat_all(rig.m, &rig.scope, reqs, MODEL_MAX_CALLS,
	    results, &rig.err), &rig.err);
	for (i = 0; i < MODEL_MAX_CALLS; i++) {
		ck_assert_int_eq(results[i].rc, i == 3 ? ERR_MODEL : ERR_OK);
		ck_assert((results[i].value != NULL) == (i != 3));
		call_result_release(&results[i]);
	}
	ck_assert_int_gt(peer_busiest(rig.peer), 2);
}
END_TEST

START_TEST(one_thread_never_waits_for_its_own_slot)
{
	struct chat_request reqs[MODEL_MAX_CALLS];
	struct call_result results[MODEL_MAX_CALLS];
	int i;

	rig.providers[0].max_parallel = _i == 0 ? 1 : 16;
	rig.conf.settings.max_parallel_llm = _i == 0 ? 16 : 1;
	peer_on_request(rig.peer, answer_by_number, NULL);
	rig_start();
	for (i = 0; i < MODEL_MAX_CALLS; i++) {
		reqs[i] = chat_request();
		reqs[i].variant = i;
	}
	ck_ok(model_chat_all(rig.m, &rig.scope, reqs, MODEL_MAX_CALLS,
	    results, &rig.err), &rig.err);
	for (i = 0; i < MODEL_MAX_CALLS; i++) {
		ck_assert_int_eq(results[i].rc, ERR_OK);
		call_result_release(&results[i]);
	}
	ck_assert_int_eq(peer_busiest(rig.peer), 1);
}
END_TEST

#define LANES 12

struct lane {
	pthread_t thread;
	int n;
	int bad;
};

static void *
run_lane(void *arg)
{
	struct lane *lane = arg;
	struct chat_request reqs[4];
	struct call_result results[4];
	struct err e = ERR_INIT;
	int round, i;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < 4; i++) {
			reqs[i] = chat_request();
			reqs[i].note = NULL;
			reqs[i].variant = lane->n * 100 + round * 10 + i;
		}
		if (model_chat_all(rig.m, &rig.scope, reqs, 4, results, &e) !=
		    ERR_OK)
			lane->bad++;
		for (i = 0; i < 4; i++) {
			lane->bad += results[i].rc != ERR_OK;
			call_result_release(&results[i]);
		}
	}
	return NULL;
}

START_TEST(many_lanes_share_few_slots)
{
	struct lane lanes[LANES];
	struct provider_stats st[2];
	int i;

	rig.providers[0].max_parallel = 5;
	peer_on_request(rig.peer, answer_by_number, NULL);
	rig_start();
	for (i = 0; i < LANES; i++) {
		lanes[i].n = i;
		lanes[i].bad = 0;
		pthread_create(&lanes[i].thread, NULL, run_lane, &lanes[i]);
	}
	for (i = 0; i < LANES; i++) {
		pthread_join(lanes[i].thread, NULL);
		ck_assert_int_eq(lanes[i].bad, 0);
	}
	ck_assert_int_eq(peer_count(rig.peer), LANES * 12);
	ck_assert_int_le(peer_busiest(rig.peer), 5);
	ck_assert_int_le(peer_connections(rig.peer), 5);
	ck_assert_int_eq(model_get_stats(rig.m, st, 2), 2);
	ck_assert_str_eq(st[0].name, "main");
	ck_assert_int_eq((int)st[0].calls, LANES * 12);
	ck_assert_int_eq((int)st[0].in_flight, 0);
	ck_assert_int_eq((int)st[0].waiting, 0);
	ck_assert_int_eq((int)st[0].errors, 0);
}
END_TEST

Suite *
suite_chat(void)
{
	Suite *s = suite_create("chat");
	TCase *t = tcase_create("chat");

	tcase_add_checked_fixture(t, rig_setup, rig_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, an_answer_is_booked_and_given_back);
	tcase_add_test(t, the_idempotency_key_is_made_of_what_names_the_ask);
	tcase_add_test(t, the_request_says_what_the_model_takes);
	tcase_add_test(t, a_reasoning_model_gets_room_and_no_temperature);
	tcase_add_test(t, the_request_can_say_more_than_the_purpose);
	tcase_add_loop_test(t, without_enforcement_the_schema_is_in_the_prompt,
	    0, 2);
	tcase_add_test(t, pictures_are_sent_as_data_uris);
	tcase_add_test(t, three_bytes_are_four_characters_on_the_wire);
	tcase_add_test(t, a_missing_picture_is_our_own_trouble);
	tcase_add_test(t, a_prompt_over_the_limit_is_not_sent);
	tcase_add_test(t, gemini_chats_through_its_openai_door);
	tcase_add_test(t, content_may_come_in_parts);
	tcase_add_test(t, a_silent_provider_is_booked_by_estimate);
	tcase_add_test(t, the_amount_a_provider_names_is_what_is_booked);
	tcase_add_test(t, a_model_without_a_price_is_noted_once);
	tcase_add_test(t, a_free_model_needs_no_price);
	tcase_add_test(t, a_cached_answer_costs_nothing);
	tcase_add_test(t, the_cache_looks_into_pictures);
	tcase_add_test(t, a_resumed_call_prefers_its_row_to_the_cache);
	tcase_add_test(t, a_missing_key_is_named);
	tcase_add_test(t, a_purpose_without_a_model_is_not_configured);
	tcase_add_test(t, a_local_server_needs_no_key);
	tcase_add_test(t, a_simulated_provider_is_marked);
	suite_add_tcase(s, t);
	t = tcase_create("at once");
	tcase_add_checked_fixture(t, rig_setup, rig_teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, several_calls_run_at_once_and_fail_alone);
	tcase_add_loop_test(t, one_thread_never_waits_for_its_own_slot, 0, 2);
	tcase_add_test(t, many_lanes_share_few_slots);
	suite_add_tcase(s, t);
	return s;
}
