/* Requests judged, and the text of the answers. */
#include "tests/unit/push_unit.h"

#include <dirent.h>
#include <limits.h>

#include "file.h"
#include "json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RUN "7b0fcd5a-3f6e-4b8c-9d2e-1a2b3c4d5e6f"
#define WS "/api/v1/ws/" RUN
#define STREAM "/api/v1/runs/" RUN "/stream"
#define HANDSHAKE "Upgrade: websocket\r\nConnection: Upgrade\r\n"	\
	"Sec-WebSocket-Version: 13\r\n"				\
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static const char *const cors[] = { "https://page.example", NULL };
static const char *const mine[] = { "https://follow.example", NULL };

static struct settings settings;
static struct wish wish;
static struct strbuf reply;
static char *buf;
static struct head head;

static void
setup(void)
{
	memset(&settings, 0, sizeof(settings));
	settings.cors_origins = (char **)cors;
	strbuf_init(&reply, MAX_REPLY_BYTES);
}

static void
teardown(void)
{
	strbuf_release(&reply);
	free(buf);
	buf = NULL;
}

static void
ask(const char *request, const char *headers)
{
	teardown();
	strbuf_init(&reply, MAX_REPLY_BYTES);
	buf = xasprintf("%s HTTP/1.1\r\nHost: shop.example:8000\r\n%s\r\n",
	    request, headers);
	ck_assert_int_eq(head_parse(buf, strlen(buf), &head), HEAD_WHOLE);
	wish_read(&settings, &head, &wish, &reply);
}

static int
status(void)
{
	return reply.len == 0 ? 0 : (int)strtol(reply.buf + 9, NULL, 10);
}

static const struct {
	const char *request, *headers;
	int status;		/* 0: granted */
	enum wish_kind kind;
} wishes[] = {
	{ "GET " WS, HANDSHAKE, 0, WISH_SOCKET },
	{ "GET " WS "?x=1", HANDSHAKE, 0, WISH_SOCKET },
	{ "GET /api/v1/ws/nobody", HANDSHAKE, 0, WISH_SOCKET },
	{ "GET /api/v1/ws/", HANDSHAKE, 404, WISH_REFUSED },
	{ "GET /api/v1/ws/a/b", HANDSHAKE, 404, WISH_REFUSED },
	{ "GET /api/v1/ws/a%2Fb", HANDSHAKE, 404, WISH_REFUSED },
	{ "GET " WS "/", HANDSHAKE, 404, WISH_REFUSED },
	{ "GET /api/v1/ws", HANDSHAKE, 404, WISH_REFUSED },
	{ "GET " WS, "", 404, WISH_REFUSED },
	{ "POST " WS, HANDSHAKE, 405, WISH_REFUSED },
	{ "GET " WS, "Upgrade: websocket\r\n", 404, WISH_REFUSED },
	{ "GET " WS, "Upgrade: h2c\r\nConnection: Upgrade\r\n", 404,
	  WISH_REFUSED },
	{ "GET " WS, "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	  "Sec-WebSocket-Version: 8\r\n", 426, WISH_REFUSED },
	{ "GET " WS, "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	  "Sec-WebSocket-Version: 13\r\n", 400, WISH_REFUSED },
	{ "GET " WS, "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n", 400,
	  WISH_REFUSED },
	{ "GET " STREAM, "", 0, WISH_STREAM },
	{ "HEAD " STREAM, "", 0, WISH_STREAM_HEAD },
	{ "OPTIONS " STREAM, "", 204, WISH_REFUSED },
	{ "OPTIONS " STREAM, "Origin: https://page.example\r\n"
	  "Access-Control-Request-Method: GET\r\n", 200, WISH_REFUSED },
	{ "OPTIONS " STREAM, "Origin: https://other.example\r\n"
	  "Access-Control-Request-Method: GET\r\n", 400, WISH_REFUSED },
	{ "POST " STREAM, "", 405, WISH_REFUSED },
	{ "BREW " STREAM, "", 405, WISH_REFUSED },
	{ "GET /api/v1/runs//stream", "", 404, WISH_REFUSED },
	{ "GET /api/v1/runs/a/b/stream", "", 404, WISH_REFUSED },
	{ "GET /api/v1/runs/" RUN, "", 404, WISH_REFUSED },
	{ "GET /", "", 404, WISH_REFUSED },
	{ "GET " STREAM "?after=x", "", 422, WISH_REFUSED },
	{ "GET " STREAM "?after=-1", "", 422, WISH_REFUSED },
	{ "GET " WS "?after=1.5", HANDSHAKE, 422, WISH_REFUSED },
	{ "GET " WS "?after=99999999999999999999", HANDSHAKE, 422,
	  WISH_REFUSED },
	{ "GET " WS, HANDSHAKE "Origin: https://evil.example\r\n", 403,
	  WISH_REFUSED },
	{ "GET " WS, HANDSHAKE "Origin: https://page.example\r\n", 0,
	  WISH_SOCKET },
	{ "GET " WS, HANDSHAKE "Origin: http://shop.example:8000\r\n", 0,
	  WISH_SOCKET },
	{ "GET " STREAM, "Origin: null\r\n", 403, WISH_REFUSED },
};

START_TEST(requests_are_granted_or_answered)
{
	ask(wishes[_i].request, wishes[_i].headers);
	ck_assert_msg(status() == wishes[_i].status && wish.kind ==
	    wishes[_i].kind, "%s: %s", wishes[_i].request, reply.buf);
	if (wish.kind == WISH_REFUSED)
		ck_assert_ptr_nonnull(strstr(reply.buf, "\r\n\r\n"));
}
END_TEST

static const struct {
	const char *request, *headers;
	bool has_after;
	int64_t after;
} afters[] = {
	{ "GET " STREAM, "", false, 0 },
	{ "GET " STREAM "?after=0", "", true, 0 },
	{ "GET " STREAM "?after=17", "", true, 17 },
	{ "GET " STREAM "?after=1&x=y&after=2", "", true, 2 },
	{ "GET " STREAM "?after=", "", false, 0 },
	{ "GET " STREAM "?thereafter=5", "", false, 0 },
	{ "GET " STREAM, "Last-Event-ID: 9\r\n", true, 9 },
	{ "GET " STREAM "?after=3", "Last-Event-ID: 9\r\n", true, 9 },
	{ "GET " STREAM, "Last-Event-ID: abc\r\n", false, 0 },
	{ "GET " STREAM, "Last-Event-ID: -4\r\n", false, 0 },
	{ "GET " WS "?after=4", HANDSHAKE "Last-Event-ID: 9\r\n", true, 4 },
};

START_TEST(where_to_go_on_comes_from_the_query_or_the_browser)
{
	ask(afters[_i].request, afters[_i].headers);
	ck_assert_int_ne(wish.kind, WISH_REFUSED);
	ck_assert_str_eq(wish.run_id, RUN);
	ck_assert_int_eq(wish.has_after, afters[_i].has_after);
	ck_assert_int_eq(wish.after, afters[_i].after);
}
END_TEST

START_TEST(errors_have_the_shape_of_the_api)
{
	struct json_object *o = NULL;
	const char *body;

	ask("GET /nowhere", "Origin: https://page.example\r\n");
	body = strstr(reply.buf, "\r\n\r\n") + 4;
	ck_assert_int_eq(json_parse(body, strlen(body), &o, NULL), ERR_OK);
	ck_assert_str_eq(json_get_str(o, "detail"), "Not Found");
	json_object_put(o);
	ck_assert_ptr_nonnull(strstr(reply.buf,
	    "Content-Type: application/json\r\n"));
	ck_assert_ptr_nonnull(strstr(reply.buf,
	    "Access-Control-Allow-Origin: https://page.example\r\n"));
	ck_assert_ptr_nonnull(strstr(reply.buf, "Vary: Origin\r\n"));
	ask("GET " STREAM "?after=x", "");
	body = strstr(reply.buf, "\r\n\r\n") + 4;
	ck_assert_int_eq(json_parse(body, strlen(body), &o, NULL), ERR_OK);
	ck_assert_str_eq(json_object_get_string(json_at(o,
	    "detail/0/loc/1")), "after");
	json_object_put(o);
	ask("HEAD /nowhere", "");
	body = strstr(reply.buf, "\r\n\r\n") + 4;
	ck_assert_str_eq(body, "");
}
END_TEST

START_TEST(origins_of_its_own_replace_those_of_the_api)
{
	settings.push_origins = (char **)mine;
	ask("GET " WS, HANDSHAKE "Origin: https://follow.example\r\n");
	ck_assert_int_eq(wish.kind, WISH_SOCKET);
	ask("GET " WS, HANDSHAKE "Origin: https://page.example\r\n");
	ck_assert_int_eq(status(), 403);
	ask("GET " WS, HANDSHAKE "Origin: https://shop.example:8000\r\n");
	ck_assert_int_eq(wish.kind, WISH_SOCKET);
	ask("GET " WS, HANDSHAKE);
	ck_assert_int_eq(wish.kind, WISH_SOCKET);
}
END_TEST

START_TEST(a_stream_begins_with_its_head_and_when_to_come_back)
{
	ask("GET " STREAM, "Origin: https://page.example\r\n");
	reply_stream(&settings, &head, false, &reply);
	ck_assert_int_eq(status(), 200);
	ck_assert_ptr_nonnull(strstr(reply.buf,
	    "Content-Type: text/event-stream\r\n"));
	ck_assert_ptr_nonnull(strstr(reply.buf, "\r\n\r\nretry: 2000\n\n"));
	ck_assert_ptr_nonnull(strstr(reply.buf, "X-Accel-Buffering: no"));
	ck_assert_ptr_null(strstr(reply.buf, "Content-Length"));
	ck_assert_ptr_nonnull(strstr(reply.buf, "Access-Control-Allow-Origin"));
}
END_TEST

START_TEST(the_library_is_given_a_request_of_our_own)
{
	ask("GET " WS, HANDSHAKE "X-Strange: stuff\r\nCookie: a=b\r\n");
	reply_handshake(&head, &reply);
	ck_assert_str_eq(reply.buf, "GET / HTTP/1.1\r\nHost: churns\r\n"
	    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Version: 13\r\n"
	    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
}
END_TEST

static const struct {
	const char *headers, *address;
} callers[] = {
	{ "", "" },
	{ "X-Forwarded-For: 192.0.2.7\r\n", "192.0.2.7" },
	{ "X-Forwarded-For: 10.1.1.1, 192.0.2.7\r\n", "192.0.2.7" },
	{ "X-Forwarded-For: made up, 192.0.2.7 \r\n", "192.0.2.7" },
	{ "X-Forwarded-For: 192.0.2.7, unknown\r\n", "" },
	{ "X-Forwarded-For: 2001:db8:1:2:aaaa:bbbb:cccc:dddd\r\n",
	  "2001:db8:1:2::" },
	{ "X-Forwarded-For: 2001:db8:1:2::1\r\n", "2001:db8:1:2::" },
	{ "X-Forwarded-For: ::ffff:192.0.2.7\r\n", "::ffff:192.0.2.7" },
	{ "X-Real-IP: 192.0.2.7\r\n", "" },
	{ "Forwarded: for=192.0.2.7\r\n", "" },
};

START_TEST(the_address_is_what_our_own_web_server_added_last)
{
	char address[ADDRESS_MAX];

	ask("GET " WS, callers[_i].headers);
	caller_address(&head, address);
	ck_assert_str_eq(address, callers[_i].address);
}
END_TEST

START_TEST(what_the_fuzzer_asserts_holds_for_its_corpus)
{
	static const char dir[] = TOP_SRCDIR "/tests/fuzz/corpus/request";
	struct strbuf text = STRBUF_INIT(65536);
	struct err e = ERR_INIT;
	struct dirent *entry;
	DIR *d = opendir(dir);
	char path[PATH_MAX];
	int n = 0;

	ck_assert_ptr_nonnull(d);
	for (entry = readdir(d); entry != NULL; entry = readdir(d)) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		strbuf_reset(&text);
		ck_ok(file_read(path, 65536, &text, &e), &e);
		LLVMFuzzerTestOneInput((const uint8_t *)text.buf, text.len);
		n++;
	}
	closedir(d);
	strbuf_release(&text);
	ck_assert_int_ge(n, 20);
}
END_TEST

TCase *
push_reply_case(void)
{
	TCase *t = tcase_create("reply");

	tcase_add_checked_fixture(t, setup, teardown);
	add_rows(t, requests_are_granted_or_answered, wishes);
	add_rows(t, where_to_go_on_comes_from_the_query_or_the_browser,
	    afters);
	tcase_add_test(t, errors_have_the_shape_of_the_api);
	tcase_add_test(t, origins_of_its_own_replace_those_of_the_api);
	tcase_add_test(t, a_stream_begins_with_its_head_and_when_to_come_back);
	tcase_add_test(t, the_library_is_given_a_request_of_our_own);
	tcase_add_test(t, what_the_fuzzer_asserts_holds_for_its_corpus);
	add_rows(t, the_address_is_what_our_own_web_server_added_last,
	    callers);
	return t;
}
