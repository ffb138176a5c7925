/*
 * HTTP against a scripted peer: what comes back, how failures are told apart,
 * waiting, leaving, limits.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/model_test.h"

#include "clock.h"
#include "src/model/internal.h"
#include "xalloc.h"

/* --- requests and answers ------------------------------------------------ */

START_TEST(an_answer_comes_back_with_its_status_and_request_id)
{
	struct http_answer a;

	peer_add(peer, (struct peer_step){ .status = 201, .body = "{\"a\":1}",
	    .headers = { "X-Request-Id: req-1" } });
	exchange(post(peer_url(peer), "hello"), &a);
	ck_assert_int_eq(a.failure, HTTP_FINE);
	ck_assert_int_eq(a.status, 201);
	ck_assert_str_eq(a.text.buf, "{\"a\":1}");
	ck_assert_str_eq(a.request_id, "req-1");
	ck_assert_int_eq((int)a.retry_after_ms, -1);
	ck_assert_str_eq(peer_request(peer, 0)->body, "hello");
	ck_assert_str_eq(peer_request(peer, 0)->method, "POST");
	ck_assert_str_eq(peer_request(peer, 0)->type, "application/json");
	ck_assert_str_eq(peer_request(peer, 0)->expect, "");
	http_answer_release(&a);
}
END_TEST

static const struct {
	const char *header;
	int64_t want_ms;
} retry_after[] = {
	{ "Retry-After: 7", 7000 },
	{ "Retry-After: 0", -1 },
	{ "Retry-After: soon", -1 },
	{ "retry-after-ms: 250", 250 },
	{ "retry-after-ms: nan", -1 },
	{ "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT", -1 },
};

START_TEST(retry_after_is_read_in_each_of_its_forms)
{
	struct http_answer a;

	peer_add(peer, (struct peer_step){ .status = 429,
	    .headers = { retry_after[_i].header } });
	exchange(post(peer_url(peer), "x"), &a);
	ck_assert_int_eq(a.status, 429);
	ck_assert_int_eq((int)a.retry_after_ms, (int)retry_after[_i].want_ms);
	http_answer_release(&a);
}
END_TEST

START_TEST(a_redirect_is_not_followed)
{
	struct http_answer a;
	char where[128];

	snprintf(where, sizeof(where), "Location: %s/else", peer_url(peer));
	peer_add(peer, (struct peer_step){ .status = 302,
	    .headers = { where } });
	exchange(post(peer_url(peer), "x"), &a);
	ck_assert_int_eq(a.status, 302);
	ck_assert_int_eq(peer_count(peer), 1);
	http_answer_release(&a);
}
END_TEST

START_TEST(proxies_of_the_environment_are_ignored)
{
	struct http_answer a;

	setenv("http_proxy", "http://127.0.0.1:9", 1);
	peer_add(peer, (struct peer_step){ .body = "direct" });
	exchange(post(peer_url(peer), "x"), &a);
	unsetenv("http_proxy");
	ck_assert_str_eq(a.text.buf, "direct");
	http_answer_release(&a);
}
END_TEST

START_TEST(twenty_calls_in_a_row_share_a_connection)
{
	struct http_answer a;
	struct http_stats st;
	int i;

	peer_add(peer, (struct peer_step){ .body = "ok" });
	for (i = 0; i < 20; i++) {
		exchange(post(peer_url(peer), "x"), &a);
		ck_assert_str_eq(a.text.buf, "ok");
		http_answer_release(&a);
	}
	ck_assert_int_eq(peer_count(peer), 20);
	ck_assert_int_le(peer_connections(peer), 2);
	http_get_stats(http, &st);
	ck_assert_int_eq((int)st.requests, 20);
	ck_assert_int_le((int)st.connections, 2);
	ck_assert_int_eq((int)st.in_flight, 0);
	ck_assert_int_eq((int)st.in_flight_bytes, 0);
}
END_TEST

/* --- failures ------------------------------------------------------------ */

static const struct {
	const char *about, *url;	/* url NULL: the peer's */
	struct peer_step step;
	int timeout_ms;
	enum http_failure want;
	int status;
} failures[] = {
	{ "nobody listens", "http://127.0.0.1:1/", { 0 }, 2000,
	    HTTP_NOT_SENT, 0 },
	{ "no such name", "http://name.invalid/", { 0 }, 5000,
	    HTTP_NOT_SENT, 0 },
	{ "another protocol", "file:///etc/passwd", { 0 }, 2000,
	    HTTP_NOT_SENT, 0 },
	{ "closed without an answer", NULL, { .way = PEER_CLOSE }, 2000,
	    HTTP_BROKEN, 0 },
	{ "cut off in the body", NULL, { .body = "0123456789",
	    .way = PEER_CUT, .cut = 4 }, 2000, HTTP_BROKEN, 200 },
	{ "never answers", NULL, { .delay_ms = 5000 }, 150, HTTP_TIMEOUT, 0 },
	{ "stalls in the body", NULL, { .body = "0123456789",
	    .way = PEER_STALL, .cut = 4 }, 150, HTTP_TIMEOUT, 200 },
};

START_TEST(failures_are_told_apart)
{
	struct http_request r;
	struct http_answer a;

	r = post(failures[_i].url != NULL ? failures[_i].url : peer_url(peer),
	    "x");
	r.total_timeout_ms = failures[_i].timeout_ms;
	peer_add(peer, failures[_i].step);
	exchange(r, &a);
	ck_assert_msg(a.failure == failures[_i].want, "%s: %d: %s",
	    failures[_i].about, a.failure, a.message);
	ck_assert_int_eq(a.status, failures[_i].status);
	ck_assert_str_ne(a.message, "");
	http_answer_release(&a);
}
END_TEST

START_TEST(a_connection_that_is_not_made_in_time_was_not_sent)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t len = sizeof(at);
	struct http_request r;
	struct http_answer a;
	char url[64];
	int server, fill[4], i;

	/* A listener whose queue is full does not answer a SYN. */
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	server = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(server, (struct sockaddr *)&at, len), 0);
	ck_assert_int_eq(listen(server, 0), 0);
	getsockname(server, (struct sockaddr *)&at, &len);
	for (i = 0; i < 4; i++) {
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(fill[i], (struct sockaddr *)&at, len);
	}
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/",
	    ntohs(at.sin_port));
	r = post(url, "x");
	r.connect_timeout_ms = 200;
	exchange(r, &a);
	ck_assert_int_eq(a.failure, HTTP_NOT_SENT);
	ck_assert(a.connect_timeout);
	http_answer_release(&a);
	for (i = 0; i < 4; i++)
		close(fill[i]);
	close(server);
}
END_TEST

START_TEST(an_error_page_is_cut_not_refused)
{
	struct http_request r = post(peer_url(peer), "x");
	char *page = xmalloc(300000);
	struct http_answer a;

	memset(page, 'e', 300000);
	page[0] = '"';
	r.max_text_bytes = 1000;
	peer_add(peer, (struct peer_step){ .status = 502, .body = page,
	    .len = 300000 });
	exchange(r, &a);
	ck_assert_int_eq(a.failure, HTTP_FINE);
	ck_assert_int_eq(a.status, 502);
	ck_assert_int_eq((int)a.text.len, 1000);
	http_answer_release(&a);
	free(page);
}
END_TEST

START_TEST(text_over_its_limit_is_too_large)
{
	struct http_request r = post(peer_url(peer), "x");
	char *text = xmalloc(3000);
	struct http_answer a;

	memset(text, ' ', 3000);
	r.max_text_bytes = 2999;
	peer_add(peer, (struct peer_step){ .body = text, .len = 3000 });
	exchange(r, &a);
	ck_assert_int_eq(a.failure, HTTP_TOO_LARGE);
	http_answer_release(&a);
	r = post(peer_url(peer), "x");
	r.max_text_bytes = 3000;
	exchange(r, &a);
	ck_assert_int_eq(a.failure, HTTP_FINE);
	ck_assert_int_eq((int)a.text.len, 3000);
	http_answer_release(&a);
	free(text);
}
END_TEST

/* --- groups, cancelling, limits ------------------------------------------ */

static void
echo_number(void *arg, int n, const struct peer_request *r,
    struct peer_step *out)
{
	(void)arg;
	(void)n;
	out->body = r->body;
	out->delay_ms = 20;
}

START_TEST(a_hundred_calls_of_one_group_run_at_once)
{
	struct http_group *g = http_group_new(http, NULL);
	struct http_request r;
	struct http_answer a;
	char text[100][8];
	bool seen[100] = { false };
	int i, tag;

	peer_on_request(peer, echo_number, NULL);
	for (i = 0; i < 100; i++) {
		snprintf(text[i], sizeof(text[i]), "%d", i);
		r = post(peer_url(peer), text[i]);
		http_group_add(g, &r, i);
	}
	for (i = 0; i < 100; i++) {
		ck_assert(http_group_wait(g, 10000, &tag, &a));
		ck_assert_int_eq(a.failure, HTTP_FINE);
		ck_assert(!seen[tag]);
		seen[tag] = true;
		ck_assert_str_eq(a.text.buf, text[tag]);
		http_answer_release(&a);
	}
	ck_assert(!http_group_wait(g, -1, &tag, &a));
	http_group_free(g);
	ck_assert_int_gt(peer_busiest(peer), 10);
}
END_TEST

START_TEST(a_host_gets_no_more_connections_than_allowed)
{
	struct http_group *g = http_group_new(http, NULL);
	struct http_request r;
	struct http_answer a;
	int i, tag;

	peer_add(peer, (struct peer_step){ .body = "ok", .delay_ms = 10 });
	for (i = 0; i < 12; i++) {
		r = post(peer_url(peer), "x");
		r.max_connections = 3;
		http_group_add(g, &r, i);
	}
	for (i = 0; i < 12; i++) {
		ck_assert(http_group_wait(g, 10000, &tag, &a));
		ck_assert_int_eq(a.failure, HTTP_FINE);
		http_answer_release(&a);
	}
	http_group_free(g);
	ck_assert_int_le(peer_busiest(peer), 3);
	ck_assert_int_le(peer_connections(peer), 3);
}
END_TEST

START_TEST(a_request_that_never_gets_a_connection_was_not_sent)
{
	struct http_group *g = http_group_new(http, NULL);
	struct http_request r = post(peer_url(peer), "x");
	struct http_answer a;
	int tag;

	peer_add(peer, (struct peer_step){ .delay_ms = 5000 });
	r.max_connections = 1;
	http_group_add(g, &r, 1);
	r = post(peer_url(peer), "x");
	r.max_connections = 1;
	r.total_timeout_ms = 100;
	http_group_add(g, &r, 2);
	ck_assert(http_group_wait(g, 3000, &tag, &a));
	ck_assert_int_eq(tag, 2);
	ck_assert_int_eq(a.failure, HTTP_NOT_SENT);
	http_answer_release(&a);
	http_group_free(g);
}
END_TEST

START_TEST(a_wait_gives_up_when_its_time_is_over)
{
	struct http_group *g = http_group_new(http, NULL);
	struct http_request r = post(peer_url(peer), "x");
	struct http_answer a;
	int tag;

	peer_add(peer, (struct peer_step){ .delay_ms = 5000 });
	http_group_add(g, &r, 1);
	ck_assert(!http_group_wait(g, 30, &tag, &a));
	ck_assert_int_eq(http_group_pending(g), 1);
	http_group_free(g);
}
END_TEST

static void *
fire_soon(void *arg)
{
	cancel_sleep(NULL, 100);
	cancel_fire(arg, ERR_CANCELLED);
	return NULL;
}

START_TEST(a_cancelled_caller_returns_at_once)
{
	struct cancel *c = cancel_new();
	struct http_group *g = http_group_new(http, c);
	struct http_request r = post(peer_url(peer), "x");
	struct http_answer a;
	int64_t began_ms, ended_ms;
	pthread_t thread;
	int tag;

	r.total_timeout_ms = 20000;
	peer_add(peer, (struct peer_step){ .delay_ms = 10000 });
	http_group_add(g, &r, 1);
	pthread_create(&thread, NULL, fire_soon, c);
	began_ms = clock_mono_ms();
	ck_assert(!http_group_wait(g, -1, &tag, &a));
	http_group_free(g);
	ended_ms = clock_mono_ms();
	ck_assert_int_eq(cancel_code(c), ERR_CANCELLED);
	ck_assert_int_lt((int)(ended_ms - began_ms), 200);
	pthread_join(thread, NULL);
	cancel_free(c);
}
END_TEST

START_TEST(cancel_sleep_is_cut_short_and_the_first_code_stays)
{
	struct cancel *c = cancel_new();
	int64_t began_ms = clock_mono_ms();
	pthread_t thread;

	ck_assert(!cancel_sleep(c, 1));
	ck_assert_int_eq(cancel_code(NULL), ERR_OK);
	pthread_create(&thread, NULL, fire_soon, c);
	ck_assert(cancel_sleep(c, 10000));
	ck_assert_int_lt((int)(clock_mono_ms() - began_ms), 2000);
	pthread_join(thread, NULL);
	cancel_fire(c, ERR_LOST);
	ck_assert_int_eq(cancel_code(c), ERR_CANCELLED);
	ck_assert(cancel_sleep(c, 10000));
	cancel_free(c);
}
END_TEST

START_TEST(a_wait_ended_by_a_wake_reports_nothing)
{
	struct http_group *g = http_group_new(http, NULL);
	struct http_answer a;
	int tag;

	http_group_wake(g);
	ck_assert(!http_group_poll(g, -1, &tag, &a));
	ck_assert(!http_group_poll(g, 1, &tag, &a));
	http_group_free(g);
}
END_TEST

START_TEST(who_leaves_does_not_disturb_others)
{
	struct http_group *gone = http_group_new(http, NULL);
	struct http_group *g = http_group_new(http, NULL);
	struct http_request r;
	struct http_answer a;
	int i, tag;

	peer_add(peer, (struct peer_step){ .body = "ok", .delay_ms = 50 });
	for (i = 0; i < 6; i++) {
		r = post(peer_url(peer), "x");
		r.max_connections = 2;	/* most of them have to wait */
		http_group_add(i % 2 == 0 ? gone : g, &r, i);
	}
	cancel_sleep(NULL, 20);
	http_group_free(gone);
	for (i = 0; i < 3; i++) {
		ck_assert(http_group_wait(g, 5000, &tag, &a));
		ck_assert_int_eq(tag % 2, 1);
		ck_assert_int_eq(a.failure, HTTP_FINE);
		http_answer_release(&a);
	}
	http_group_free(g);
	ck_assert_int_eq(peer_count(peer), 4);
}
END_TEST

START_TEST(answers_nobody_fetched_are_dropped_with_their_files)
{
	struct http_group *g = http_group_new(http, NULL);
	struct http_request r = post(peer_url(peer), NULL);
	struct http_stats st;

	peer_add(peer, (struct peer_step){ .body = "picture" });
	r.method = "GET";
	r.raw_to_blob = true;
	r.max_blob_bytes = MB;
	r.blob_dirfd = dirfd_;
	r.blob_prefix = "calls/left";
	http_group_add(g, &r, 1);
	r = post(peer_url(peer), "x");
	http_group_add(g, &r, 2);
	do {
		cancel_sleep(NULL, 5);
		http_get_stats(http, &st);
	} while (st.requests < 2 || st.in_flight > 0);
	cancel_sleep(NULL, 20);	/* from curl's hands into the group's */
	ck_assert_int_eq(faccessat(dirfd_, "calls/left.0", F_OK, 0), 0);
	http_group_free(g);
	ck_assert_int_eq(faccessat(dirfd_, "calls/left.0", F_OK, 0), -1);
	http_get_stats(http, &st);
	ck_assert_int_eq((int)st.in_flight_bytes, 0);
}
END_TEST

START_TEST(http2_is_asked_for_only_over_tls)
{
	struct http_request r = post(peer_url(peer), "x");
	struct http_answer a;

	peer_add(peer, (struct peer_step){ .body = "ok" });
	r.http2 = true;
	r.max_connections = 2;
	exchange(r, &a);
	ck_assert_str_eq(a.text.buf, "ok");
	http_answer_release(&a);
}
END_TEST

/* --- memory -------------------------------------------------------------- */

START_TEST(answers_over_the_memory_limit_wait_and_all_arrive)
{
	struct http_options opts = { 200 * 1024, NULL };
	struct http *small = NULL;
	struct http_group *g;
	struct http_request r;
	struct http_answer a;
	struct http_stats st;
	struct err e = ERR_INIT;
	char *text = xmalloc(150 * 1024);
	int i, tag;

	memset(text, ' ', 150 * 1024);
	ck_ok(http_new(&opts, &small, &e), &e);
	g = http_group_new(small, NULL);
	peer_add(peer, (struct peer_step){ .body = text, .len = 150 * 1024 });
	for (i = 0; i < 8; i++) {
		r = post(peer_url(peer), "x");
		r.total_timeout_ms = 20000;
		http_group_add(g, &r, i);
	}
	for (i = 0; i < 8; i++) {
		cancel_sleep(NULL, 20);
		http_get_stats(small, &st);
		/* The limit, and what the one that may go on adds to it. */
		ck_assert_int_le((int)st.in_flight_bytes, 350 * 1024 + 16384);
		ck_assert(http_group_wait(g, 10000, &tag, &a));
		ck_assert_int_eq(a.failure, HTTP_FINE);
		ck_assert_int_eq((int)a.text.len, 150 * 1024);
		http_answer_release(&a);
	}
	http_group_free(g);
	http_free(small);
	free(text);
}
END_TEST

START_TEST(a_paused_transfer_can_be_left)
{
	struct http_options opts = { 100 * 1024, NULL };
	struct http *small = NULL;
	struct http_group *g, *others;
	struct http_request r;
	struct http_answer a;
	struct err e = ERR_INIT;
	char *text = xmalloc(90 * 1024);
	int i, tag;

	memset(text, ' ', 90 * 1024);
	ck_ok(http_new(&opts, &small, &e), &e);
	g = http_group_new(small, NULL);
	others = http_group_new(small, NULL);
	peer_add(peer, (struct peer_step){ .body = text, .len = 90 * 1024 });
	for (i = 0; i < 6; i++) {
		r = post(peer_url(peer), "x");
		http_group_add(i < 3 ? g : others, &r, i);
	}
	cancel_sleep(NULL, 50);
	http_group_free(g);	/* answered, paused and waiting ones */
	for (i = 0; i < 3; i++) {
		ck_assert(http_group_wait(others, 5000, &tag, &a));
		ck_assert_int_eq(a.failure, HTTP_FINE);
		http_answer_release(&a);
	}
	http_group_free(others);
	http_free(small);
	free(text);
}
END_TEST

Suite *
suite_http(void)
{
	Suite *s = suite_create("http");
	TCase *t = tcase_create("exchange");

	tcase_add_checked_fixture(t, wire_setup, wire_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, an_answer_comes_back_with_its_status_and_request_id);
	tcase_add_loop_test(t, retry_after_is_read_in_each_of_its_forms, 0,
	    ARRAY_LEN(retry_after));
	tcase_add_test(t, a_redirect_is_not_followed);
	tcase_add_test(t, proxies_of_the_environment_are_ignored);
	tcase_add_test(t, twenty_calls_in_a_row_share_a_connection);
	tcase_add_loop_test(t, failures_are_told_apart, 0,
	    ARRAY_LEN(failures));
	tcase_add_test(t, a_connection_that_is_not_made_in_time_was_not_sent);
	tcase_add_test(t, an_error_page_is_cut_not_refused);
	tcase_add_test(t, text_over_its_limit_is_too_large);
	tcase_add_test(t, a_hundred_calls_of_one_group_run_at_once);
	tcase_add_test(t, a_host_gets_no_more_connections_than_allowed);
	tcase_add_test(t, a_request_that_never_gets_a_connection_was_not_sent);
	tcase_add_test(t, a_wait_gives_up_when_its_time_is_over);
	tcase_add_test(t, a_cancelled_caller_returns_at_once);
	tcase_add_test(t, cancel_sleep_is_cut_short_and_the_first_code_stays);
	tcase_add_test(t, a_wait_ended_by_a_wake_reports_nothing);
	tcase_add_test(t, who_leaves_does_not_disturb_others);
	tcase_add_test(t,
	    answers_nobody_fetched_are_dropped_with_their_files);
	tcase_add_test(t, http2_is_asked_for_only_over_tls);
	tcase_add_test(t, answers_over_the_memory_limit_wait_and_all_arrive);
	tcase_add_test(t, a_paused_transfer_can_be_left);
	suite_add_tcase(s, t);
	return s;
}
