/*
 * Budgets: what is reserved for a call, and what happens when it does not fit.
 *
 * The peer of most of these tests charges as much as a provider can: a token
 * for each byte of text that it was sent, the most it counts for each picture,
 * and an answer as long as the limit.
 */
#include "tests/unit/model_test.h"

#include "clock.h"
#include "digest.h"
#include "xalloc.h"

#define PLENTY INT64_C(1000000000000)

static int64_t
column_sum(int64_t (*of)(const struct call_row *row))
{
	struct call_list l;
	int64_t sum = 0;
	int i;

	ck_ok(store_list_calls(rig.store, rig.job_id, &l, &rig.err),
	    &rig.err);
	for (i = 0; i < l.n; i++)
		sum += of(&l.rows[i]);
	call_list_release(&l);
	return sum;
}

static int64_t
reserved(const struct call_row *row)
{
	return row->estimate_nano;
}

static int64_t
surplus(const struct call_row *row)
{
	return row->cost_nano > row->estimate_nano ?
	    row->cost_nano - row->estimate_nano : 0;
}

/* --- the bound ---------------------------------------------------------------- */

/* How a provider may count what it is sent. */
static struct dear {
	int64_t text_tokens;	/* the last request's; pictures left out */
	int limit;
	const char *content;
	const char *shape;	/* "chat", "openai", "gemini" */
	int64_t picture_tokens;	/* of its input pictures */
	int inputs;
	bool spoil_first;	/* the first answer cannot be used */
} dear;

#define PICTURE_BYTES 5000

/* Bytes of a request without the pictures in it. */
static int64_t
text_bytes(const struct peer_request *r)
{
	const char *body = r->body, *at, *end;
	int64_t n = (int64_t)r->len;

	if (strncmp(r->type, "multipart/", 10) == 0)
		return n - dear.inputs * PICTURE_BYTES;
	for (at = strstr(body, ";base64,"); at != NULL;
	    at = strstr(end, ";base64,")) {
		end = strchr(at, '"');
		n -= end - at - 8;
	}
	for (at = strstr(body, "\"data\":\""); at != NULL;
	    at = strstr(end, "\"data\":\"")) {
		end = strchr(at + 8, '"');
		n -= end - at - 8;
	}
	return n;
}

static char *
dear_chat(int n)
{
	const char *text = dear.spoil_first && n == 0 ? "nothing" :
	    dear.content;
	char *usage, *body;

	usage = xasprintf("{\"prompt_tokens\":%lld,\"completion_tokens\":%d,"
	    "\"completion_tokens_details\":{\"reasoning_tokens\":%d}}",
	    (long long)(dear.text_tokens + dear.picture_tokens), dear.limit,
	    dear.limit / 2);
	body = chat_json(text, "stop", usage);
	free(usage);
	return body;
}

static char *
dear_picture(void)
{
	struct strbuf sb = STRBUF_INIT(MB);
	bool gemini = strcmp(dear.shape, "gemini") == 0;

	strbuf_addstr(&sb, gemini ? "{\"candidates\":[{\"content\":{\"parts\":"
	    "[{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"" :
	    "{\"data\":[{\"b64_json\":\"");
	base64_add(&sb, png(1000), 1000);
	if (gemini)
		strbuf_addf(&sb, "\"}}]}}],\"usageMetadata\":{"
		    "\"promptTokenCount\":%lld,\"candidatesTokenCount\":1290}}",
		    (long long)(dear.text_tokens + dear.picture_tokens));
	else
		strbuf_addf(&sb, "\"}],\"usage\":{\"input_tokens\":%lld,"
		    "\"output_tokens\":%d,\"input_tokens_details\":{"
		    "\"text_tokens\":%lld,\"image_tokens\":%lld}}}",
		    (long long)(dear.text_tokens + dear.picture_tokens), 1056,
		    (long long)dear.text_tokens,
		    (long long)dear.picture_tokens);
	return strbuf_detach(&sb);
}

static void
charge(void *arg, int n, const struct peer_request *r, struct peer_step *out)
{
	static const char *const names[] = { "\"max_tokens\":",
	    "\"max_completion_tokens\":" };
	const char *at;
	size_t i;

	(void)arg;
	dear.text_tokens = text_bytes(r);
	dear.limit = 0;
	for (i = 0; i < ARRAY_LEN(names); i++) {
		at = strstr(r->body, names[i]);
		if (at != NULL)
			dear.limit = (int)strtol(at + strlen(names[i]), NULL,
			    10);
	}
	memset(out, 0, sizeof(*out));
	out->body = kept(strcmp(dear.shape, "chat") == 0 ? dear_chat(n) :
	    dear_picture());
}

static const struct {
	const char *about;
	int model;
	int images;
	bool spoil_first;
	int calls;
} chat_rows[] = {
	{ "a text", MODEL_CHAT, 0, false, 1 },
	{ "thinking is paid from the limit", MODEL_THINKER, 0, false, 1 },
	{ "two pictures", MODEL_CHAT, 2, false, 1 },
	{ "a re-ask, with the answer and what is wrong with it", MODEL_CHAT,
	  0, true, 2 },
};

START_TEST(no_answer_costs_more_than_was_reserved)
{
	struct chat_request req = chat_request();
	int i;

	dear = (struct dear){ .content = GOOD, .shape = "chat",
	    .spoil_first = chat_rows[_i].spoil_first };
	rig.conf.purposes[req.purpose].model =
	    &rig.models[chat_rows[_i].model];
	peer_on_request(rig.peer, charge, NULL);
	put_file("a.png", png(PICTURE_BYTES), PICTURE_BYTES);
	for (i = 0; i < chat_rows[_i].images; i++) {
		req.images[req.n_images++] = (struct call_image){ "a.png",
		    "image/png", 960, 540, true };
		/* Google's tiles for such a picture. */
		dear.picture_tokens += 6 * 258;
	}
	ask_this(&req, ERR_OK);
	ck_assert_int_eq(peer_count(rig.peer), chat_rows[_i].calls);
	ck_assert_int_gt(ledger_cost(), 0);
	ck_assert_msg(column_sum(surplus) == 0, "%s: %lld too much",
	    chat_rows[_i].about, (long long)column_sum(surplus));
	notes_are("");
}
END_TEST

static const struct {
	const char *about, *shape;
	int inputs;
	int64_t picture_tokens;	/* of one */
} picture_rows[] = {
	{ "OpenAI", "openai", 0, 0 },
	{ "OpenAI, two inputs kept with high fidelity", "openai", 2,
	  65 + 4 * 129 + 6240 },
	{ "Gemini", "gemini", 0, 0 },
	{ "Gemini, two inputs", "gemini", 2, 6 * 258 },
};

START_TEST(no_picture_costs_more_than_was_reserved)
{
	struct image_request req = image_request();
	struct purpose *p = &rig.conf.purposes[PURPOSE_IMAGE_GENERATION];
	int i;

	dear = (struct dear){ .shape = picture_rows[_i].shape };
	if (strcmp(picture_rows[_i].shape, "gemini") == 0) {
		p->provider = &rig.providers[1];
		p->model = &rig.models[MODEL_GEMINI];
	}
	peer_on_request(rig.peer, charge, NULL);
	put_file("a.png", png(PICTURE_BYTES), PICTURE_BYTES);
	for (i = 0; i < picture_rows[_i].inputs; i++) {
		req.inputs[req.n_inputs++] = (struct call_image){ "a.png",
		    "image/png", 1024, 768, true };
		dear.picture_tokens += picture_rows[_i].picture_tokens;
		dear.inputs++;
	}
	draw_this(&req, ERR_OK);
	ck_assert_int_gt(ledger_cost(), 0);
	ck_assert_msg(column_sum(surplus) == 0, "%s: %lld too much",
	    picture_rows[_i].about, (long long)column_sum(surplus));
}
END_TEST

START_TEST(a_purpose_without_a_limit_reserves_what_no_model_writes)
{
	rig.conf.purposes[PURPOSE_STYLE_GUIDE].max_tokens = 0;
	say_chat(GOOD);
	ask(ERR_OK);
	/* 131072 tokens at 8 dollars a million, at least. */
	ck_assert_int_ge(column_sum(reserved), 131072 * INT64_C(8000));
}
END_TEST

START_TEST(a_bill_beyond_what_was_reserved_is_booked_and_told)
{
	say(kept(chat_json(GOOD, "stop", "{\"prompt_tokens\":10,"
	    "\"completion_tokens\":10,\"cost\":5.5}")), 200);
	ask(ERR_OK);
	ck_assert_int_eq(ledger_cost(), 5500000000);
	notes_are("cost_above_estimate");
}
END_TEST

/* --- no room ------------------------------------------------------------------ */

START_TEST(a_call_that_does_not_fit_is_not_sent)
{
	struct purpose *p = &rig.conf.purposes[PURPOSE_STYLE_GUIDE];

	/* A fall-back costs money, too. */
	p->fallback_provider = &rig.providers[0];
	p->fallback_model = &rig.models[MODEL_SMALL];
	rig_limit(100);
	say_chat(GOOD);
	ask(ERR_BUDGET);
	ck_assert_msg(strstr(rig.err.msg, "The budget for today, $0.0000001,")
	    != NULL, "%s", rig.err.msg);
	ck_assert_int_eq(peer_count(rig.peer), 0);
	ledger_is("");
	notes_are("");
	draw(ERR_BUDGET);
	ck_assert_int_eq(peer_count(rig.peer), 0);
}
END_TEST

START_TEST(a_retry_that_does_not_fit_is_not_sent)
{
	int64_t one;

	say_chat(GOOD);
	ask(ERR_OK);
	one = column_sum(reserved);
	model_free(rig.m);
	rig.m = NULL;
	/* Room for what the first cost, one call, and not another. */
	rig_limit(ledger_cost() + one + one / 2);
	say_step((struct peer_step){ .way = PEER_CLOSE });
	rig.conf.purposes[PURPOSE_STRATEGY_GOALS] =
	    rig.conf.purposes[PURPOSE_STYLE_GUIDE];
	{
		struct chat_request req = chat_request();

		req.purpose = PURPOSE_STRATEGY_GOALS;
		ask_this(&req, ERR_BUDGET);
	}
	/* It may have been paid, so it holds what it holds. */
	ck_assert_int_eq(peer_count(rig.peer), 2);
	ck_assert_msg(strstr(rig.err.msg, "may have been charged") != NULL,
	    "%s", rig.err.msg);
}
END_TEST

START_TEST(a_call_waits_for_money_that_calls_under_way_will_not_need)
{
	struct chat_request reqs[3];
	struct call_result out[3];
	struct peer_step slow = { .delay_ms = 200, .body = kept(chat_json(GOOD,
	    "stop", "{\"prompt_tokens\":1,\"completion_tokens\":1}")) };
	int64_t most;
	int i;

	say_chat(GOOD);
	ask(ERR_OK);
	most = column_sum(reserved);
	model_free(rig.m);
	rig.m = NULL;
	rig_limit(ledger_cost() + most + most / 2);
	rig_start();
	for (i = 0; i < 3; i++) {
		say_step(slow);
		reqs[i] = chat_request();
		reqs[i].suffix = i == 0 ? "a" : i == 1 ? "b" : "c";
	}
	ck_ok(model_chat_all(rig.m, &rig.scope, reqs, 3, out, &rig.err),
	    &rig.err);
	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(out[i].rc, ERR_OK);
		ck_assert_int_eq(out[i].attempts, 1);
		call_result_release(&out[i]);
	}
	/* One at a time, since two do not fit. */
	ck_assert_int_eq(peer_busiest(rig.peer), 1);
}
END_TEST

START_TEST(a_call_that_waits_for_money_ends_with_its_job)
{
	struct chat_request reqs[2];
	struct call_result out[2];
	struct peer_step stall = { .delay_ms = 1500, .body = GOOD };
	int64_t most;
	int i;

	say_chat(GOOD);
	ask(ERR_OK);
	most = column_sum(reserved);
	model_free(rig.m);
	rig.m = NULL;
	rig_limit(ledger_cost() + most + most / 2);
	rig_start();
	for (i = 0; i < 2; i++) {
		say_step(stall);
		reqs[i] = chat_request();
		reqs[i].suffix = i == 0 ? "a" : "b";
	}
	rig.scope.deadline_ms = clock_now_ms() + 700;
	model_chat_all(rig.m, &rig.scope, reqs, 2, out, &rig.err);
	ck_assert_int_eq(peer_count(rig.peer), 2);	/* with the first one */
	for (i = 0; i < 2; i++) {
		ck_assert(out[i].rc == ERR_TIMEOUT || out[i].rc == ERR_BUDGET);
		call_result_release(&out[i]);
	}
}
END_TEST

Suite *
suite_budget(void)
{
	Suite *s = suite_create("budget");
	TCase *tc = tcase_create("budget");

	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_loop_test(tc, no_answer_costs_more_than_was_reserved, 0,
	    ARRAY_LEN(chat_rows));
	tcase_add_loop_test(tc, no_picture_costs_more_than_was_reserved, 0,
	    ARRAY_LEN(picture_rows));
	tcase_add_test(tc,
	    a_purpose_without_a_limit_reserves_what_no_model_writes);
	tcase_add_test(tc, a_bill_beyond_what_was_reserved_is_booked_and_told);
	tcase_add_test(tc, a_call_that_does_not_fit_is_not_sent);
	tcase_add_test(tc, a_retry_that_does_not_fit_is_not_sent);
	tcase_add_test(tc,
	    a_call_waits_for_money_that_calls_under_way_will_not_need);
	tcase_add_test(tc, a_call_that_waits_for_money_ends_with_its_job);
	suite_add_tcase(s, tc);
	return s;
}
