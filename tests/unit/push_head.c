/* Heads of requests, whole, in pieces, and broken. */
#include "tests/unit/push_unit.h"

#define GOOD "GET /api/v1/ws/x?after=3 HTTP/1.1\r\n"		\
	"Host: shop.example\r\n"				\
	"upgrade: foo, WebSocket\r\n"				\
	"Connection: keep-alive, Upgrade\r\n"			\
	"Sec-WebSocket-Key:  dGhlIHNhbXBsZSBub25jZQ== \r\n"	\
	"Sec-WebSocket-Version: 13\r\n"				\
	"Origin: https://shop.example\r\n"			\
	"X-Forwarded-For: 1.2.3.4, 10.0.0.9\r\n"		\
	"X-Forwarded-For: 192.0.2.7\r\n"			\
	"Last-Event-ID:\t17\r\n\r\n"

static enum head_state
parse(const char *text, size_t len, struct head *h, char **buf)
{
	*buf = xmalloc(len + 1);
	memcpy(*buf, text, len);
	(*buf)[len] = '\0';
	return head_parse(*buf, len, h);
}

START_TEST(what_matters_is_found_in_a_head)
{
	struct head h;
	char *buf;

	ck_assert_int_eq(parse(GOOD "rest", strlen(GOOD "rest"), &h, &buf),
	    HEAD_WHOLE);
	ck_assert_uint_eq(h.len, strlen(GOOD));
	ck_assert_str_eq(h.method, "GET");
	ck_assert_str_eq(h.path, "/api/v1/ws/x");
	ck_assert_str_eq(h.query, "after=3");
	ck_assert(h.is_http11);
	ck_assert_str_eq(h.host, "shop.example");
	ck_assert_str_eq(h.origin, "https://shop.example");
	ck_assert(h.upgrade_websocket);
	ck_assert(h.connection_upgrade);
	ck_assert_str_eq(h.ws_key, "dGhlIHNhbXBsZSBub25jZQ==");
	ck_assert_str_eq(h.ws_version, "13");
	ck_assert_str_eq(h.last_event_id, "17");
	ck_assert_str_eq(h.forwarded_for, "192.0.2.7");
	ck_assert_ptr_null(h.acr_method);
	ck_assert_int_eq(memcmp(buf + h.len, "rest", 4), 0);
	free(buf);
}
END_TEST

START_TEST(a_head_may_come_in_any_pieces)
{
	struct head h;
	size_t len;
	char *buf;

	for (len = 0; len < strlen(GOOD); len++) {
		ck_assert_int_eq(parse(GOOD, len, &h, &buf), HEAD_MORE);
		ck_assert_int_eq(memcmp(buf, GOOD, len), 0);
		free(buf);
	}
}
END_TEST

static const struct {
	const char *text;
	enum head_state state;
} heads[] = {
	{ "GET / HTTP/1.1\r\n\r\n", HEAD_WHOLE },
	{ "GET / HTTP/1.0\r\nHost: x\r\n\r\n", HEAD_WHOLE },
	{ "OPTIONS /a HTTP/1.1\r\nX:\r\n\r\n", HEAD_WHOLE },
	{ "\r\n\r\n", HEAD_BAD },
	{ "GET\r\n\r\n", HEAD_BAD },
	{ "GET /\r\n\r\n", HEAD_BAD },
	{ "GET / HTTP/2.0\r\n\r\n", HEAD_BAD },
	{ "GET / HTTP/1.1 \r\n\r\n", HEAD_BAD },
	{ "GET  / HTTP/1.1\r\n\r\n", HEAD_BAD },
	{ "GET http://x/ HTTP/1.1\r\n\r\n", HEAD_BAD },
	{ "GET * HTTP/1.1\r\n\r\n", HEAD_BAD },
	{ "GET /\303\251 HTTP/1.1\r\n\r\n", HEAD_BAD },
	{ "GET /a\tb HTTP/1.1\r\n\r\n", HEAD_BAD },
	{ "GET / HTTP/1.1\nHost: x\r\n\r\n", HEAD_BAD },
	{ "GET / HTTP/1.1\r\nHost : x\r\n\r\n", HEAD_BAD },
	{ "GET / HTTP/1.1\r\n Host: x\r\n\r\n", HEAD_BAD },
	{ "GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", HEAD_BAD },
	{ "GET / HTTP/1.1\r\nHost\r\n\r\n", HEAD_BAD },
	{ "GET / HTTP/1.1\r\n: x\r\n\r\n", HEAD_BAD },
	{ "GET / HTTP/1.1\r\nX: a\001b\r\n\r\n", HEAD_BAD },
	{ "GET / HTTP/1.1\r\nX: a\rb\r\n\r\n", HEAD_BAD },
	{ "GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", HEAD_BAD },
	{ "GET / HTTP/1.1\r\nOrigin: a\r\nOrigin: a\r\n\r\n", HEAD_BAD },
	{ "\026\003\001\002\r\n\r\n", HEAD_BAD },
};

START_TEST(a_head_is_read_strictly)
{
	struct head h;
	char *buf;

	ck_assert_msg(parse(heads[_i].text, strlen(heads[_i].text), &h,
	    &buf) == heads[_i].state, "%s", heads[_i].text);
	free(buf);
}
END_TEST

START_TEST(a_zero_byte_is_no_end)
{
	static const char text[] = "GET / HTTP/1.1\r\nX: a\0b\r\n\r\n";
	struct head h;
	char *buf;

	ck_assert_int_eq(parse(text, sizeof(text) - 1, &h, &buf), HEAD_BAD);
	free(buf);
}
END_TEST

START_TEST(a_head_has_a_length_and_so_has_its_list)
{
	struct strbuf sb = STRBUF_INIT(4 * MAX_HEAD_BYTES);
	struct head h;
	char *buf;
	int i;

	strbuf_addstr(&sb, "GET / HTTP/1.1\r\n");
	for (i = 0; i < 101; i++)
		strbuf_addstr(&sb, "a: b\r\n");
	strbuf_addstr(&sb, "\r\n");
	ck_assert_int_eq(parse(sb.buf, sb.len, &h, &buf), HEAD_BAD);
	free(buf);
	strbuf_reset(&sb);
	strbuf_addstr(&sb, "GET / HTTP/1.1\r\nX: ");
	while (sb.len < MAX_HEAD_BYTES)
		strbuf_addch(&sb, 'x');
	ck_assert_int_eq(parse(sb.buf, sb.len, &h, &buf), HEAD_TOO_LONG);
	free(buf);
	strbuf_addstr(&sb, "\r\n\r\n");
	ck_assert_int_eq(parse(sb.buf, sb.len, &h, &buf), HEAD_TOO_LONG);
	free(buf);
	strbuf_release(&sb);
}
END_TEST

TCase *
push_head_case(void)
{
	TCase *t = tcase_create("head");

	tcase_add_test(t, what_matters_is_found_in_a_head);
	tcase_add_test(t, a_head_may_come_in_any_pieces);
	add_rows(t, a_head_is_read_strictly, heads);
	tcase_add_test(t, a_zero_byte_is_no_end);
	tcase_add_test(t, a_head_has_a_length_and_so_has_its_list);
	return t;
}
