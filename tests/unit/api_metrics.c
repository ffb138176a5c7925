/* Counting over processes, and showing it. */
#include "tests/unit/api_unit.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "src/api/exposition.h"
#include "src/api/metrics.h"
#include "xalloc.h"

/* --- counting ------------------------------------------------------------------- */

#define CHILDREN 4
#define EACH 2000

START_TEST(what_a_killed_process_has_counted_stays)
{
	struct metrics *m = metrics_new(T0);
	struct latency_figures f = { .count = 0 };
	pid_t pids[CHILDREN];
	int i, k, status;

	for (i = 0; i < CHILDREN; i++) {
		pids[i] = fork();
		ck_assert_int_ge(pids[i], 0);
		if (pids[i] > 0)
			continue;
		for (k = 0; k < EACH; k++)
			metrics_request(m, 3, 200, 700, 10, 20);
		kill(getpid(), SIGKILL);
	}
	for (i = 0; i < CHILDREN; i++) {
		ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
		ck_assert(WIFSIGNALED(status));
	}
	metrics_read(m, 3, 1, &f);
	ck_assert_int_eq(f.count, CHILDREN * EACH);
	ck_assert_int_eq(f.n[1], CHILDREN * EACH);
	ck_assert_int_eq(f.sum_us, 700LL * CHILDREN * EACH);
	ck_assert_int_eq(atomic_load(&m->received_bytes), 10 * CHILDREN * EACH);
	ck_assert_int_eq(atomic_load(&m->sent_bytes), 20 * CHILDREN * EACH);
	metrics_free(m);
}
END_TEST

static const struct {
	int64_t us;
	int bucket;
} times[] = {
	{ 0, 0 }, { 500, 0 }, { 501, 1 }, { 1000, 1 }, { 1001, 2 },
	{ 10000000, LATENCY_BUCKETS - 2 }, { 10000001, LATENCY_BUCKETS - 1 },
	{ INT64_MAX / 2, LATENCY_BUCKETS - 1 },
};

START_TEST(a_bucket_has_its_upper_end)
{
	struct metrics *m = metrics_new(T0);
	struct latency_figures f = { .count = 0 };

	metrics_request(m, 0, 404, times[_i].us, 0, 0);
	metrics_read(m, 0, 3, &f);
	ck_assert_int_eq(f.n[times[_i].bucket], 1);
	ck_assert_int_eq(f.count, 1);
	metrics_free(m);
}
END_TEST

START_TEST(odd_routes_and_statuses_are_counted_somewhere)
{
	struct metrics *m = metrics_new(T0);
	struct latency_figures f = { .count = 0 };

	metrics_request(m, -1, 200, 1, 0, 0);
	metrics_request(m, METRICS_ROUTES, 200, 1, 0, 0);
	metrics_read(m, METRICS_ROUTES - 1, 1, &f);
	ck_assert_int_eq(f.count, 2);
	metrics_request(m, 0, 0, 1, 0, 0);
	metrics_request(m, 0, 600, 1, 0, 0);
	f.count = 0;
	metrics_read(m, 0, 4, &f);
	ck_assert_int_eq(f.count, 2);
	metrics_free(m);
}
END_TEST

START_TEST(quantiles_are_ends_of_buckets)
{
	struct latency_figures f = { .count = 0 };

	ck_assert_int_eq(latency_quantile_us(&f, 0.95), -1);
	f.n[1] = 95;
	f.n[4] = 5;
	f.count = 100;
	ck_assert_int_eq(latency_quantile_us(&f, 0.95), 1000);
	ck_assert_int_eq(latency_quantile_us(&f, 0.96), 10000);
	f.n[LATENCY_BUCKETS - 1] = 100;
	f.count = 200;
	ck_assert_int_eq(latency_quantile_us(&f, 0.95), -1);
}
END_TEST

START_TEST(stores_of_all_workers_add_up)
{
	struct metrics *m = metrics_new(T0);
	struct store_stats none = { .commits = 0 };
	struct store_stats a = { .commits = 5, .busy_waits = 2,
		.max_turn_wait_us = 70 };
	struct store_stats b = { .commits = 8, .busy_waits = 2,
		.max_turn_wait_us = 60 };

	metrics_store(m, &none, &a);
	metrics_store(m, &a, &b);
	metrics_store(m, &none, &b);
	ck_assert_int_eq(atomic_load(&m->store_commits), 16);
	ck_assert_int_eq(atomic_load(&m->store_busy_waits), 4);
	ck_assert_int_eq(atomic_load(&m->store_max_turn_wait_us), 70);
	metrics_free(m);
}
END_TEST

/* --- the format ------------------------------------------------------------------- */

static const struct {
	int64_t value;
	enum unit unit;
	const char *want;
} values[] = {
	{ 0, UNIT_ONE, "x 0\n" },
	{ -7, UNIT_ONE, "x -7\n" },
	{ INT64_MAX, UNIT_ONE, "x 9223372036854775807\n" },
	{ 1500, UNIT_MILLI, "x 1.500\n" },
	{ 2000, UNIT_MILLI, "x 2\n" },
	{ -1, UNIT_MILLI, "x -0.001\n" },
	{ 1, UNIT_MICRO, "x 0.000001\n" },
	{ 42240000, UNIT_NANO, "x 0.042240000\n" },
	{ 3000000001, UNIT_NANO, "x 3.000000001\n" },
};

START_TEST(figures_are_exact_decimals)
{
	struct strbuf out = STRBUF_INIT(1000);

	sample(&out, "x", NULL, values[_i].value, values[_i].unit);
	ck_assert_str_eq(out.buf, values[_i].want);
	strbuf_release(&out);
}
END_TEST

START_TEST(labels_are_escaped_and_never_cut)
{
	struct strbuf out = STRBUF_INIT(10000);
	char text[MAX_LABELS_BYTES];
	struct labels l;

	labels_init(&l);
	labels_add(&l, "a", "q\"b\\n\n\xc3\xa4");
	labels_add_int(&l, "n", -5);
	sample(&out, "x", &l, 1, UNIT_ONE);
	ck_assert_str_eq(out.buf,
	    "x{a=\"q\\\"b\\\\n\\n\xc3\xa4\",n=\"-5\"} 1\n");
	memset(text, 'y', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	labels_add(&l, "long", text);
	labels_add(&l, "z", "1");
	strbuf_reset(&out);
	sample(&out, "x", &l, 1, UNIT_ONE);
	ck_assert_str_eq(out.buf,
	    "x{a=\"q\\\"b\\\\n\\n\xc3\xa4\",n=\"-5\",z=\"1\"} 1\n");
	strbuf_reset(&out);
	family(&out, "x_total", "counter", "What it is.");
	ck_assert_str_eq(out.buf, "# HELP x_total What it is.\n"
	    "# TYPE x_total counter\n");
	strbuf_release(&out);
}
END_TEST

/* --- the page --------------------------------------------------------------------- */

static const struct {
	const char *address;
	int status;
} addresses[] = {
	{ "REMOTE_ADDR=127.0.0.1", 200 },
	{ "REMOTE_ADDR=127.9.9.9", 200 },
	{ "REMOTE_ADDR=::1", 200 },
	{ "REMOTE_ADDR=::ffff:127.0.0.1", 200 },
	{ "REMOTE_ADDR=192.0.2.1", 403 },
	{ "REMOTE_ADDR=::2", 403 },
	{ "REMOTE_ADDR=", 403 },
	{ "REMOTE_ADDR=unix:", 403 },
};

START_TEST(figures_are_for_operators)
{
	static const char *const pages[] = { "GET /metrics",
		"GET /health/executor-stats", "HEAD /metrics" };
	size_t i;

	for (i = 0; i < ARRAY_LEN(pages); i++) {
		/* What another machine claims in a header counts for nothing. */
		ask_with(NULL, pages[i], addresses[_i].address,
		    "HTTP_X_FORWARDED_FOR=127.0.0.1", NULL);
		ck_assert_int_eq(got.status, addresses[_i].status);
		if (got.status == 403)
			ck_assert_ptr_nonnull(strstr(member("detail"),
			    "operators"));
	}
	ask_with(NULL, "GET /health", addresses[_i].address, NULL);
	ck_assert_int_eq(got.status, 200);
}
END_TEST

START_TEST(nobody_is_an_operator_when_the_list_is_empty)
{
	char *none[] = { NULL };
	char **kept = svc.conf->settings.api_operators;

	svc.conf->settings.api_operators = none;
	ask("GET /metrics");
	ck_assert_int_eq(got.status, 403);
	svc.conf->settings.api_operators = kept;
}
END_TEST

static void
put_process(const char *id, const char *role, int64_t pid, int64_t seen_ms,
    const char *stats)
{
	struct process_row row = { .pid = pid, .started_ms = seen_ms,
		.heartbeat_ms = seen_ms };

	snprintf(row.id, sizeof(row.id), "%s", id);
	row.role = xstrdup(role);
	row.host = xstrdup("box \"1\"");
	row.boot_id = xstrdup("boot");
	row.stats = xstrdup(stats);
	ck_ok(store_put_process(st, &row, &err), &err);
	free(row.role);
	free(row.host);
	free(row.boot_id);
	free(row.stats);
}

static void
expect_line(const char *line)
{
	ck_assert_msg(strstr(got.body.buf, line) != NULL, "%s\n%s", line,
	    got.body.buf);
}

#define RUNNER "{\"rss_bytes\":5000,\"active_tasks\":3,"			\
	"\"store\":{\"busy_waits\":4,\"max_turn_wait_us\":2500},"	\
	"\"providers\":[{\"name\":\"openai\",\"waiting\":2,\"circuit\":1}]," \
	"\"models\":[{\"provider\":\"openai\",\"model\":\"gpt-4.1\","	\
	"\"calls\":7,\"answered\":5,\"unknown\":1,\"in_flight\":1,"	\
	"\"failed\":{\"server\":3},\"cost_nano\":1500000000,"		\
	"\"tokens\":{\"prompt\":11}}]}"
#define HERE "host=\"box \\\"1\\\"\",pid=\"77\""

START_TEST(the_page_shows_what_all_processes_tell)
{
	int64_t now = clock_now_ms();

	make_run();
	/* A pid that was taken again: the older row is silent. */
	put_process("11111111-1111-4111-8111-111111111111", "runner", 77,
	    now - 2000, "{\"rss_bytes\":1}");
	put_process("22222222-2222-4222-8222-222222222222", "runner", 77,
	    now - 1000, RUNNER);
	put_process("33333333-3333-4333-8333-333333333333", "push", 78,
	    now - 500, "not JSON");
	put_process("44444444-4444-4444-8444-444444444444", "runner", 79,
	    now - 60000, RUNNER);
	metrics_request(the_worker.metrics, 0, 200, 700, 0, 0);
	metrics_request(the_worker.metrics, route_count(), 404, 700, 0, 0);
	ask("GET /metrics");
	ck_assert_int_eq(got.status, 200);
	ck_assert_str_eq(header("Content-Type"),
	    "text/plain; version=0.0.4; charset=utf-8");
	expect_line("\nchurns_jobs{state=\"PENDING\"} 1\n");
	expect_line("\nchurns_runs{status=\"PENDING\"} 1\n");
	expect_line("\nchurns_runs{status=\"FAILED\"} 0\n");
	expect_line("\nchurns_http_request_duration_seconds_bucket{"
	    "method=\"GET\",route=\"/\",status=\"2xx\",le=\"0.001\"} 1\n");
	expect_line("_count{method=\"\",route=\"\",status=\"4xx\"} 1\n");
	expect_line("\nchurns_process_resident_memory_bytes{"
	    "role=\"runner\"," HERE "} 5000\n");
	expect_line("\nchurns_store_busy_waits_total{role=\"runner\"," HERE
	    "} 4\n");
	expect_line("\nchurns_store_longest_wait_seconds{role=\"runner\","
	    HERE "} 0.002500\n");
	expect_line("\nchurns_provider_calls_total{" HERE
	    ",provider=\"openai\",model=\"gpt-4.1\"} 7\n");
	expect_line("\nchurns_provider_failures_total{" HERE
	    ",provider=\"openai\",model=\"gpt-4.1\",fault=\"server\"} 3\n");
	expect_line("\nchurns_provider_cost_dollars_total{" HERE
	    ",provider=\"openai\",model=\"gpt-4.1\"} 1.500000000\n");
	expect_line("\nchurns_provider_circuit{" HERE
	    ",provider=\"openai\"} 1\n");
	ck_assert_ptr_null(strstr(got.body.buf, "pid=\"79\""));
	ck_assert_ptr_null(strstr(got.body.buf, "} 1\nchurns_process_resident"));
}
END_TEST

TCase *
api_metrics_case(void)
{
	TCase *t = tcase_create("metrics");

	tcase_add_checked_fixture(t, client_setup, client_teardown);
	tcase_add_test(t, what_a_killed_process_has_counted_stays);
	add_rows(t, a_bucket_has_its_upper_end, times);
	tcase_add_test(t, odd_routes_and_statuses_are_counted_somewhere);
	tcase_add_test(t, quantiles_are_ends_of_buckets);
	tcase_add_test(t, stores_of_all_workers_add_up);
	add_rows(t, figures_are_exact_decimals, values);
	tcase_add_test(t, labels_are_escaped_and_never_cut);
	add_rows(t, figures_are_for_operators, addresses);
	tcase_add_test(t, nobody_is_an_operator_when_the_list_is_empty);
	tcase_add_test(t, the_page_shows_what_all_processes_tell);
	return t;
}
