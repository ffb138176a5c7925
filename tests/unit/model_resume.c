/*
 * Resuming: rows of an earlier life in the ledger, and what is still sent.
 */
#include <unistd.h>

#include "tests/unit/model_test.h"

#include "clock.h"
#include "digest.h"
#include "xalloc.h"

/* A row of an earlier life, in the words of a test. */
struct past {
	enum call_state state;
	int ask;
	const char *answer;	/* content; NULL: none */
	const char *fault, *error;
	int status;
};

#define ANSWERED(n, text) { CALL_ANSWERED, (n), (text), NULL, NULL, 200 }
#define FAILED(n, fault, status) { CALL_FAILED, (n), NULL, (fault), "x", \
	(status) }
#define UNKNOWN(n) { CALL_UNKNOWN, (n), NULL, "timeout", "x", 0 }
#define SENT(n) { CALL_SENT, (n), NULL, NULL, NULL, 0 }
#define REFUSED(n) { CALL_FAILED, (n), NULL, "bad_request", "The model " \
	"provider rejected the request: response_format unsupported", 400 }

static void
add_row(int attempt, const struct past *p, const char *model)
{
	struct call_row r;
	char *answer = NULL;

	memset(&r, 0, sizeof(r));
	id_new(r.id);
	r.job_id = rig.job_id;
	r.run_id = rig.run_id;
	r.owner = (char *)(uintptr_t)"ann";
	r.stage = (char *)(uintptr_t)"style_guide";
	r.variant = VARIANT_NONE;
	r.purpose = (char *)(uintptr_t)"style_guide";
	r.attempt = attempt;
	r.ask = p->ask;
	r.provider = (char *)(uintptr_t)"main";
	r.model = (char *)(uintptr_t)model;
	r.idempotency_key = (char *)(uintptr_t)
	    "00000000000000000000000000000000";
	r.request_hash = (char *)(uintptr_t)"another";
	r.sent_ms = clock_now_ms() - 60000;
	ck_ok(store_call_begin(rig.store, &rig.ref, &r, &rig.err), &rig.err);
	if (p->state == CALL_SENT)
		return;
	if (p->answer != NULL)
		answer = chat_json(p->answer, "stop", NULL);
	r.state = p->state;
	r.settled_ms = r.sent_ms + 1000;
	r.http_status = p->status;
	r.fault = (char *)(uintptr_t)p->fault;
	r.error = (char *)(uintptr_t)p->error;
	r.answer = answer;
	r.cost_nano = p->answer != NULL ? 1000 : 0;
	ck_ok(store_call_settle(rig.store, &r, &rig.err), &rig.err);
	free(answer);
}

#define MAX_PAST 8

static const struct {
	const char *about;
	struct past past[MAX_PAST];
	int n_past;
	enum err_code rc;	/* the peer always has a good answer */
	enum model_fault fault;
	int sent;		/* requests that still go out */
	int attempts;
} lives[] = {
	{ "answered: nothing is bought twice",
	    { ANSWERED(1, GOOD) }, 1, ERR_OK, 0, 0, 1 },
	{ "answered after a failure",
	    { FAILED(1, "server", 500), ANSWERED(1, GOOD) }, 2,
	    ERR_OK, 0, 0, 2 },
	{ "a retryable failure is followed by the next attempt",
	    { FAILED(1, "server", 500) }, 1, ERR_OK, 0, 1, 2 },
	{ "retries of the earlier life count",
	    { FAILED(1, "server", 500), FAILED(1, "rate_limit", 429),
	    FAILED(1, "network", 0), FAILED(1, "server", 503) }, 4,
	    ERR_MODEL, FAULT_SERVER, 0, 4 },
	{ "a final failure stays final",
	    { FAILED(1, "auth", 401) }, 1, ERR_MODEL, FAULT_AUTH, 0, 1 },
	{ "a refusal stays a refusal",
	    { FAILED(1, "content_policy", 400) }, 1, ERR_MODEL,
	    FAULT_CONTENT_POLICY, 0, 1 },
	{ "unknown: once more",
	    { UNKNOWN(1) }, 1, ERR_OK, 0, 1, 2 },
	{ "sent: as unknown",
	    { SENT(1) }, 1, ERR_OK, 0, 1, 2 },
	{ "unknown twice: no more",
	    { UNKNOWN(1), SENT(1) }, 2, ERR_MODEL, FAULT_NETWORK, 0, 2 },
	{ "unknown, then answered",
	    { UNKNOWN(1), ANSWERED(1, GOOD) }, 2, ERR_OK, 0, 0, 2 },
	{ "unusable: the re-ask is what is left",
	    { ANSWERED(1, "nothing") }, 1, ERR_OK, 0, 1, 2 },
	{ "unusable, re-asked, unusable",
	    { ANSWERED(1, "nothing"), ANSWERED(2, "nothing") }, 2,
	    ERR_MODEL, FAULT_NO_JSON, 0, 2 },
	{ "unusable, re-asked in vain, answered",
	    { ANSWERED(1, "nothing"), FAILED(2, "server", 500),
	    ANSWERED(2, GOOD) }, 3, ERR_OK, 0, 0, 3 },
	{ "each ask has its own unknown",
	    { UNKNOWN(1), ANSWERED(1, "nothing"), UNKNOWN(2) }, 3,
	    ERR_OK, 0, 1, 4 },
	{ "a refused format is not a retry",
	    { REFUSED(1), REFUSED(2) }, 2, ERR_OK, 0, 1, 3 },
	{ "an answer counts even after more failures than we would bear",
	    { FAILED(1, "auth", 401), UNKNOWN(1), UNKNOWN(1), UNKNOWN(1),
	    ANSWERED(1, GOOD) }, 5, ERR_OK, 0, 0, 5 },
	{ "an answer that is gone is bought again",
	    { { CALL_ANSWERED, 1, NULL, NULL, NULL, 200 } }, 1,
	    ERR_OK, 0, 1, 2 },
};

START_TEST(the_ledger_is_walked_through_before_anything_is_sent)
{
	int i;

	for (i = 0; i < lives[_i].n_past; i++)
		add_row(i + 1, &lives[_i].past[i], "vendor/talker");
	say_chat(GOOD);
	ask(lives[_i].rc);
	if (lives[_i].rc == ERR_MODEL)
		fault_is(lives[_i].fault);
	ck_assert_msg(peer_count(rig.peer) == lives[_i].sent, "%s: %d sent",
	    lives[_i].about, peer_count(rig.peer));
	ck_assert_msg(rig.chat.attempts == lives[_i].attempts, "%s: %d",
	    lives[_i].about, rig.chat.attempts);
	ck_assert_int_eq((int)rig.chat.cost_nano, (int)ledger_cost());
}
END_TEST

START_TEST(a_whole_life_is_walked_again_without_a_request)
{
	struct call_result first;

	say("", 500);
	say_step((struct peer_step){ .way = PEER_CLOSE });
	say_chat("nothing");
	say_chat(GOOD);
	ask(ERR_OK);
	ck_assert_int_eq(peer_count(rig.peer), 4);
	first = rig.chat;
	rig.chat.value = NULL;
	rig_restart();
	ask(ERR_OK);
	ck_assert_int_eq(peer_count(rig.peer), 4);
	ck_assert_int_eq(rig.chat.attempts, first.attempts);
	ck_assert(rig.chat.cost_nano == first.cost_nano);
	ck_assert(rig.chat.usage.prompt == first.usage.prompt);
	ck_assert(json_object_equal(rig.chat.value, first.value));
	notes_are("call_unknown");
	call_result_release(&first);
}
END_TEST

START_TEST(a_resumed_ask_keeps_its_key)
{
	struct call_list l;

	say_step((struct peer_step){ .delay_ms = 5000 });
	rig.conf.settings.llm_timeout_ms = 100;
	rig.conf.settings.max_retries = 0;
	ask(ERR_MODEL);
	ck_assert_int_eq(peer_count(rig.peer), 2);
	ck_ok(store_list_calls(rig.store, rig.job_id, &l, &rig.err),
	    &rig.err);
	ck_assert_str_eq(l.rows[0].idempotency_key,
	    l.rows[1].idempotency_key);
	ck_assert_str_eq(l.rows[0].request_hash, l.rows[1].request_hash);
	call_list_release(&l);
}
END_TEST

START_TEST(rows_of_a_fall_back_are_read_as_such)
{
	struct purpose *p = &rig.conf.purposes[PURPOSE_STYLE_GUIDE];
	static const struct past failed = FAILED(1, "auth", 401);
	static const struct past odd = ANSWERED(2, "nothing");

	p->fallback_provider = &rig.providers[0];
	p->fallback_model = &rig.models[MODEL_SMALL];
	add_row(1, &failed, "vendor/talker");
	add_row(2, &odd, "vendor/small");
	say_chat(GOOD);
	ask(ERR_OK);
	ck_assert_int_eq(peer_count(rig.peer), 1);
	ck_assert(sent_has(0, "vendor/small"));
	ck_assert(sent_has(0, "no JSON"));
	ck_assert_str_eq(rig.chat.model, "vendor/small");
}
END_TEST

START_TEST(a_row_of_a_model_that_is_configured_no_longer_still_counts)
{
	static const struct past good = ANSWERED(1, GOOD);

	add_row(1, &good, "vendor/forgotten");
	ask(ERR_OK);
	ck_assert_int_eq(peer_count(rig.peer), 0);
}
END_TEST

START_TEST(a_key_that_is_gone_does_not_matter_for_what_is_answered)
{
	static const struct past good = ANSWERED(1, GOOD);

	rig.providers[0].key = NULL;
	add_row(1, &good, "vendor/talker");
	ask(ERR_OK);
}
END_TEST

/* --- pictures ------------------------------------------------------------ */

static const char *
picture_answer(size_t n)
{
	struct strbuf sb = STRBUF_INIT(8 * MB);

	strbuf_addstr(&sb, "{\"data\":[{\"b64_json\":\"");
	base64_add(&sb, png(n), n);
	strbuf_addstr(&sb, "\"}]}");
	return kept(strbuf_detach(&sb));
}

START_TEST(a_picture_on_disk_is_not_drawn_again)
{
	say(picture_answer(_i == 0 ? 200000 : 500), 200);
	draw(ERR_OK);
	rig_restart();
	draw(ERR_OK);
	ck_assert_int_eq(peer_count(rig.peer), 1);
	ck_assert(file_is(rig.image.file, png(200000), _i == 0 ? 200000 :
	    500));
	ck_assert(rig.image.usage.estimated);
	ck_assert(rig.image.cost_nano == ledger_cost());
}
END_TEST

START_TEST(a_picture_gone_from_disk_is_drawn_again_under_its_key)
{
	say(picture_answer(200000), 200);
	draw(ERR_OK);
	ck_assert_int_eq(unlinkat(rig.run_dirfd, rig.image.file, 0), 0);
	rig_restart();
	draw(ERR_OK);
	ck_assert_int_eq(peer_count(rig.peer), 2);
	ck_assert_str_eq(peer_request(rig.peer, 0)->key,
	    peer_request(rig.peer, 1)->key);
	ledger_is("ANSWERED/1 ANSWERED/1");
	ck_assert(file_is(rig.image.file, png(200000), 200000));
}
END_TEST

Suite *
suite_resume(void)
{
	Suite *s = suite_create("resume");
	TCase *t = tcase_create("resume");

	tcase_add_checked_fixture(t, rig_setup, rig_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t,
	    the_ledger_is_walked_through_before_anything_is_sent, 0,
	    ARRAY_LEN(lives));
	tcase_add_test(t, a_whole_life_is_walked_again_without_a_request);
	tcase_add_test(t, a_resumed_ask_keeps_its_key);
	tcase_add_test(t, rows_of_a_fall_back_are_read_as_such);
	tcase_add_test(t,
	    a_row_of_a_model_that_is_configured_no_longer_still_counts);
	tcase_add_test(t,
	    a_key_that_is_gone_does_not_matter_for_what_is_answered);
	tcase_add_loop_test(t, a_picture_on_disk_is_not_drawn_again, 0, 2);
	tcase_add_test(t,
	    a_picture_gone_from_disk_is_drawn_again_under_its_key);
	suite_add_tcase(s, t);
	return s;
}
