/* What a provider's answer means; generation.md 9.5 and P10. */
#include "tests/unit/model_test.h"

#include "src/model/call.h"

#define KEY "sk-this-is-the-key-of-the-test"

static const struct {
	const char *about;
	int status;
	const char *body;
	enum model_fault fault;
	bool again;
} rows[] = {
	{ "OpenAI: moderation", 400, "{\"error\":{\"code\":"
	    "\"moderation_blocked\",\"type\":\"image_generation_user_error\","
	    "\"message\":\"Your request was rejected by the safety system.\"}}",
	    FAULT_CONTENT_POLICY, false },
	{ "OpenAI: policy", 400, "{\"error\":{\"code\":"
	    "\"content_policy_violation\",\"message\":\"no\"}}",
	    FAULT_CONTENT_POLICY, false },
	{ "a message about the policy", 400, "{\"error\":{\"message\":"
	    "\"This violates our content policy.\"}}",
	    FAULT_CONTENT_POLICY, false },
	{ "OpenRouter: flagged", 403, "{\"error\":{\"code\":403,\"message\":"
	    "\"Input was flagged\",\"metadata\":{\"reasons\":[\"violence\"]}}}",
	    FAULT_CONTENT_POLICY, false },
	{ "policy words in a server error", 500, "{\"error\":{\"message\":"
	    "\"content policy service is down\"}}", FAULT_SERVER, true },
	{ "bad key", 401, "{\"error\":{\"code\":\"invalid_api_key\","
	    "\"message\":\"Incorrect API key provided: " KEY "\"}}",
	    FAULT_AUTH, false },
	{ "not allowed", 403, "{\"error\":{\"message\":\"no\"}}", FAULT_AUTH,
	    false },
	{ "Gemini: bad key is a 400", 400, "{\"error\":{\"code\":400,"
	    "\"message\":\"API key not valid.\",\"status\":"
	    "\"INVALID_ARGUMENT\",\"details\":[{\"reason\":"
	    "\"API_KEY_INVALID\"}]}}", FAULT_AUTH, false },
	{ "rate", 429, "{\"error\":{\"code\":\"rate_limit_exceeded\"}}",
	    FAULT_RATE_LIMIT, true },
	{ "quota", 429, "{\"error\":{\"type\":\"insufficient_quota\"}}",
	    FAULT_RATE_LIMIT, false },
	{ "credits", 402, "{\"error\":{\"code\":402}}", FAULT_RATE_LIMIT,
	    false },
	{ "Gemini: quota", 429, "{\"error\":{\"code\":429,\"status\":"
	    "\"RESOURCE_EXHAUSTED\"}}", FAULT_RATE_LIMIT, true },
	{ "Gemini: quota with another status", 403, "[{\"error\":{\"status\":"
	    "\"RESOURCE_EXHAUSTED\"}}]", FAULT_RATE_LIMIT, true },
	{ "Gemini: overloaded", 503, "{\"error\":{\"status\":"
	    "\"UNAVAILABLE\"}}", FAULT_SERVER, true },
	{ "OpenRouter: error in a 200", 200, "{\"error\":{\"code\":429,"
	    "\"message\":\"slow down\"}}", FAULT_RATE_LIMIT, true },
	{ "OpenRouter: error in a choice", 200, "{\"choices\":[{\"error\":"
	    "{\"code\":502,\"message\":\"upstream\"}}]}", FAULT_SERVER, true },
	{ "an error without a number in a 200", 200, "{\"error\":\"odd\"}",
	    FAULT_SERVER, true },
	{ "a page", 404, "<html>", FAULT_BAD_REQUEST, false },
	{ "a list of nothing", 400, "[]", FAULT_BAD_REQUEST, false },
	{ "null", 200, "null", FAULT_SERVER, true },
	{ "a redirect", 301, "", FAULT_BAD_REQUEST, false },
	{ "an answer", 200, "{\"choices\":[]}", FAULT_NONE, false },
};

START_TEST(an_answer_means)
{
	struct http_answer a;
	struct json_object *answer = NULL;
	struct verdict v;
	enum model_fault parsed;

	memset(&a, 0, sizeof(a));
	a.status = rows[_i].status;
	a.retry_after_ms = -1;
	strbuf_init(&a.text, 10000);
	strbuf_addstr(&a.text, rows[_i].body);
	verdict_of_answer(&a, KEY, &answer, &v);
	ck_assert_msg(v.fault == rows[_i].fault, "%s: %s", rows[_i].about,
	    model_fault_name(v.fault));
	ck_assert_msg(v.again == rows[_i].again, "%s", rows[_i].about);
	ck_assert(!v.unknown);
	ck_assert_ptr_null(strstr(v.sentence, KEY));
	ck_assert_ptr_null(strstr(v.detail, KEY));
	ck_assert((v.sentence[0] != '\0') == (v.fault != FAULT_NONE));
	if (v.fault != FAULT_NONE) {
		ck_assert(fault_parse(model_fault_name(v.fault), &parsed));
		ck_assert_int_eq(parsed, v.fault);
	}
	json_object_put(answer);
	strbuf_release(&a.text);
}
END_TEST

START_TEST(a_rejection_is_quoted_in_one_clean_line)
{
	struct http_answer a;
	struct json_object *answer = NULL;
	struct verdict v;

	memset(&a, 0, sizeof(a));
	a.status = 400;
	strbuf_init(&a.text, 10000);
	strbuf_addstr(&a.text, "{\"error\":{\"message\":\"Bad\\n\\tthing \\u0007"
	    "with <" KEY "> and sk-0123456789abcdefghij, AIzaSyA0123456789abc"
	    "\",\"param\":\"size\"}}");
	verdict_of_answer(&a, KEY, &answer, &v);
	ck_assert_str_eq(v.sentence, "The model provider rejected the request:"
	    " Bad thing ?with <[key]> and [key], [key] (size)");
	json_object_put(answer);
	strbuf_release(&a.text);
}
END_TEST

static const struct {
	enum http_failure failure;
	enum model_fault fault;
	bool unknown, again;
} failures[] = {
	{ HTTP_NOT_SENT, FAULT_NETWORK, false, true },
	{ HTTP_TIMEOUT, FAULT_TIMEOUT, true, false },
	{ HTTP_BROKEN, FAULT_NETWORK, true, false },
	{ HTTP_TOO_LARGE, FAULT_NO_JSON, false, false },
	{ HTTP_LOCAL, FAULT_NETWORK, true, false },
};

START_TEST(no_answer_means)
{
	struct http_answer a;
	struct json_object *answer = NULL;
	struct verdict v;

	memset(&a, 0, sizeof(a));
	a.failure = failures[_i].failure;
	strbuf_init(&a.text, 10);
	verdict_of_answer(&a, NULL, &answer, &v);
	ck_assert_ptr_null(answer);
	ck_assert_int_eq(v.fault, failures[_i].fault);
	ck_assert(v.unknown == failures[_i].unknown);
	ck_assert(v.again == failures[_i].again);
	ck_assert_int_eq(v.local, failures[_i].failure == HTTP_LOCAL ?
	    ERR_SYSTEM : ERR_OK);
}
END_TEST

START_TEST(every_fault_has_a_name_and_a_sentence)
{
	int f;

	for (f = 0; f < FAULT__COUNT; f++) {
		ck_assert_str_ne(model_fault_name((enum model_fault)f), "");
		ck_assert_str_ne(model_fault_text((enum model_fault)f), "");
	}
	ck_assert(model_fault_is_transport(FAULT_TIMEOUT));
	ck_assert(!model_fault_is_transport(FAULT_CONTENT_POLICY));
	ck_assert_str_eq(model_fault_name(FAULT_INVALID_SCHEMA),
	    "invalid_schema");
}
END_TEST

Suite *
suite_fault(void)
{
	Suite *s = suite_create("fault");
	TCase *t = tcase_create("fault");

	tcase_add_loop_test(t, an_answer_means, 0,
	    sizeof(rows) / sizeof(rows[0]));
	tcase_add_loop_test(t, no_answer_means, 0,
	    sizeof(failures) / sizeof(failures[0]));
	tcase_add_test(t, a_rejection_is_quoted_in_one_clean_line);
	tcase_add_test(t, every_fault_has_a_name_and_a_sentence);
	suite_add_tcase(s, t);
	return s;
}
