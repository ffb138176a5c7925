/* Log lines: whole, cut at 4 KB, and not to be forged. */
#include "tests/unit/base.h"

#include <errno.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "json.h"
#include "log.h"
#include "src/base/internal.h"
#include "xalloc.h"

/* Standard error as a datagram socket: what one write(2) sent is what one
 * read returns. */
static int log_socket = -1;
static int real_stderr = -1;

static void
log_setup(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0,
	    pair), 0);
	real_stderr = dup(STDERR_FILENO);
	ck_assert_int_ne(dup2(pair[1], STDERR_FILENO), -1);
	close(pair[1]);
	log_socket = pair[0];
	log_init("unit", LOG_INFO, LOG_TEXT);
}

static void
log_teardown(void)
{
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	close(log_socket);
}

/* The next line without its newline, or "" when there is none. */
static const char *
logged(void)
{
	static char line[2 * LOG_LINE_MAX];
	ssize_t n;

	n = recv(log_socket, line, sizeof(line) - 1, MSG_DONTWAIT);
	if (n < 0)
		return "";
	ck_assert_int_gt(n, 0);
	ck_assert_int_le(n, LOG_LINE_MAX);
	ck_assert_int_eq(line[n - 1], '\n');
	ck_assert_ptr_null(memchr(line, '\n', (size_t)n - 1));
	line[n - 1] = '\0';
	ck_assert(utf8_is_valid(line, strlen(line)));
	return line;
}

/* The line behind its time, which must be one. */
static const char *
logged_after_time(void)
{
	const char *line = logged();
	char time[CLOCK_TEXT_MAX];
	int64_t ms;
	size_t n;

	n = strcspn(line, " ");
	ck_assert_uint_lt(n, sizeof(time));
	memcpy(time, line, n);
	time[n] = '\0';
	ck_assert_msg(clock_parse(time, &ms), "no time: %s", line);
	return line + n + 1;
}

static struct json_object *
logged_json(void)
{
	const char *line = logged();
	struct json_object *o = NULL;
	struct err e = ERR_INIT;

	ck_ok(json_parse(line, strlen(line), &o, &e), &e);
	return o;
}

START_TEST(an_event_is_one_line_with_its_fields)
{
	log_info("run claimed", "run=%s stage=%d", "abc", 3);
	ck_assert_str_eq(logged_after_time(),
	    "info unit \"run claimed\" run=abc stage=3");
	ck_assert_str_eq(logged(), "");
	log_warn("shutting down", "%s", "");
	ck_assert_str_eq(logged_after_time(), "warn unit \"shutting down\"");
	log_error("x", "a=%d", 1);
	ck_assert_str_eq(logged_after_time(), "error unit \"x\" a=1");
}
END_TEST

START_TEST(events_below_the_level_are_not_written)
{
	log_debug("x", "a=1");
	log_write(LOG_DEBUG, "x", "a=1");
	ck_assert_str_eq(logged(), "");
	log_init("unit", LOG_ERROR, LOG_TEXT);
	log_info("x", "a=1");
	log_warn("x", "a=1");
	ck_assert_str_eq(logged(), "");
	log_init("unit", LOG_DEBUG, LOG_TEXT);
	log_debug("x", "a=1");
	ck_assert_str_eq(logged_after_time(), "debug unit \"x\" a=1");
}
END_TEST

START_TEST(bytes_from_outside_cannot_forge_a_line)
{
	log_info("a\nb", "v=%s", "1\n2026 error\x1b[2J\r\t\xff\xc2\x9b");
	ck_assert_str_eq(logged_after_time(),
	    "info unit \"a\\nb\" v=1\\n2026 error\\x1b[2J\\r\\t"
	    "\\xff\\xc2\\x9b");
	ck_assert_str_eq(logged(), "");
}
END_TEST

START_TEST(a_long_line_is_cut_at_a_character)
{
	char text[2 * LOG_LINE_MAX];
	const char *line;
	size_t i;
	int shift;

	for (i = 0; i + 3 < sizeof(text); i += 3)
		memcpy(text + i, "\xe2\x82\xac", 3);
	text[i] = '\0';
	for (shift = 0; shift < 3; shift++) {
		log_info("x", "%.*sv=%s", shift, "aa", text);
		line = logged();
		ck_assert_uint_gt(strlen(line), LOG_LINE_MAX - 10);
		ck_assert_str_eq(line + strlen(line) - 6, "\xe2\x82\xac...");
	}
}
END_TEST

START_TEST(every_line_of_a_request_says_which)
{
	char longer[2 * LOG_CONTEXT_MAX], text[2 * LOG_LINE_MAX];
	struct json_object *o;
	size_t i;

	log_context("request=abc");
	log_info("x", "a=%d", 1);
	ck_assert_str_eq(logged_after_time(), "info unit \"x\" request=abc a=1");
	log_info("x", "%s", "");
	ck_assert_str_eq(logged_after_time(), "info unit \"x\" request=abc");
	/* It is what a line that is cut keeps. */
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_init("unit", LOG_INFO, LOG_JSON);
	log_info("x", "a=%s", text);
	o = logged_json();
	ck_assert_str_eq(json_get_str(json_get(o, "fields"), "request"),
	    "abc");
	json_object_put(o);
	log_init("unit", LOG_INFO, LOG_TEXT);
	for (i = 0; i + 3 < sizeof(longer); i += 3)
		memcpy(longer + i, "\xe2\x82\xac", 3);
	longer[i] = '\0';
	log_context(longer);
	log_info("x", "a=%d", 1);
	ck_assert_ptr_nonnull(strstr(logged(), "\xe2\x82\xac a=1"));
	log_context(NULL);
	log_info("x", "a=%d", 1);
	ck_assert_str_eq(logged_after_time(), "info unit \"x\" a=1");
}
END_TEST

START_TEST(errno_survives_a_log_line)
{
	errno = EDOM;
	log_info("x", "a=1");
	ck_assert_int_eq(errno, EDOM);
	ck_assert_str_ne(logged(), "");
}
END_TEST

START_TEST(json_lines_split_their_fields)
{
	struct json_object *o, *fields;
	int64_t ms;

	log_init("unit", LOG_INFO, LOG_JSON);
	log_info("run \"claimed\"", "run=abc  note=%s n=%d empty= ",
	    log_quote("a \"b\" \\ c\n\r\t\x01\xff"), 3);
	o = logged_json();
	ck_assert(clock_parse(json_get_str(o, "time"), &ms));
	ck_assert_str_eq(json_get_str(o, "level"), "info");
	ck_assert_str_eq(json_get_str(o, "program"), "unit");
	ck_assert_str_eq(json_get_str(o, "event"), "run \"claimed\"");
	fields = json_get_obj(o, "fields");
	ck_assert_ptr_nonnull(fields);
	ck_assert_int_eq(json_object_object_length(fields), 4);
	ck_assert_str_eq(json_get_str(fields, "run"), "abc");
	ck_assert_str_eq(json_get_str(fields, "note"),
	    "a \"b\" \\ c\n\r\t\x01\\xff");
	ck_assert_str_eq(json_get_str(fields, "n"), "3");
	ck_assert_str_eq(json_get_str(fields, "empty"), "");
	json_object_put(o);
}
END_TEST

START_TEST(escapes_nobody_wrote_stay_as_they_are)
{
	struct json_object *o;

	log_init("unit", LOG_INFO, LOG_JSON);
	log_info("x", "%s", "a=\"\\q \\x4 \\xzz \\x4g\" b=\\n");
	o = logged_json();
	ck_assert_str_eq(json_get_str(json_get(o, "fields"), "a"),
	    "\\q \\x4 \\xzz \\x4g");
	ck_assert_str_eq(json_get_str(json_get(o, "fields"), "b"), "\\n");
	json_object_put(o);
}
END_TEST

static const char *const prose_rows[] = {
	"", "two words", "run=1 then words", "=1", "a=\"open", "a=\"b\"c",
	"no \"fields\"\n\x02",
};

START_TEST(json_lines_keep_prose_as_a_string)
{
	struct json_object *o;

	log_init("unit", LOG_INFO, LOG_JSON);
	log_info("x", "%s", prose_rows[_i]);
	o = logged_json();
	ck_assert_str_eq(json_get_str(o, "fields"), prose_rows[_i]);
	json_object_put(o);
}
END_TEST

/* Every length around the limit, with characters that grow when escaped. */
START_TEST(json_lines_are_valid_wherever_they_are_cut)
{
	static const char *const fills[] = {
		"a", "\"", "\x01", "\xe2\x82\xac", "\xff", " b=", "\\n",
	};
	static const char *const heads[] = {
		"v=", "v=\"", "prose ", "",
	};
	char text[2 * LOG_LINE_MAX];
	struct json_object *o;
	size_t i, k, n, len;

	log_init("unit", LOG_INFO, LOG_JSON);
	for (i = 0; i < ARRAY_LEN(fills); i++) {
		for (k = 0; k < ARRAY_LEN(heads); k++) {
			for (n = 640; n < 4300; n += n < 3900 ? 61 : 1) {
				len = 0;
				while (len + 4 < n) {
					memcpy(text + len, fills[i],
					    strlen(fills[i]));
					len += strlen(fills[i]);
				}
				text[len] = '\0';
				log_info("x", "%s%s", heads[k], text);
				o = logged_json();
				ck_assert_ptr_nonnull(json_get(o, "fields"));
				json_object_put(o);
			}
		}
	}
}
END_TEST

START_TEST(even_a_huge_event_and_program_fit)
{
	char text[LOG_LINE_MAX];
	struct json_object *o;

	memset(text, '"', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_init(text, LOG_INFO, LOG_JSON);
	log_info(text, "a=%s", text);
	o = logged_json();
	ck_assert_ptr_nonnull(json_get_str(o, "event"));
	json_object_put(o);
	log_init(text, LOG_INFO, LOG_TEXT);
	log_info(text, "a=%s", text);
	ck_assert_str_ne(logged(), "");
}
END_TEST

START_TEST(quotes_are_closed_and_capped)
{
	char text[2000];
	const char *q;

	ck_assert_str_eq(log_quote(NULL), "\"\"");
	ck_assert_str_eq(log_quote(""), "\"\"");
	ck_assert_str_eq(log_quote("a b\"c\\\n"), "\"a b\\\"c\\\\\\n\"");
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	q = log_quote(text);
	ck_assert_uint_lt(strlen(q), 530);
	ck_assert_str_eq(q + strlen(q) - 5, "x...\"");
}
END_TEST

START_TEST(four_quotes_live_at_once)
{
	const char *q[4];
	int i;

	for (i = 0; i < 4; i++)
		q[i] = log_quote(i == 0 ? "0" : i == 1 ? "1" :
		    i == 2 ? "2" : "3");
	ck_assert_str_eq(q[0], "\"0\"");
	ck_assert_str_eq(q[1], "\"1\"");
	ck_assert_str_eq(q[2], "\"2\"");
	ck_assert_str_eq(q[3], "\"3\"");
}
END_TEST

START_TEST(levels_are_read_in_any_case)
{
	enum log_level level = LOG_INFO;

	ck_assert(log_level_parse("DEBUG", &level));
	ck_assert_int_eq(level, LOG_DEBUG);
	ck_assert(log_level_parse("Warning", &level));
	ck_assert_int_eq(level, LOG_WARN);
	ck_assert(log_level_parse("warn", &level));
	ck_assert(log_level_parse("error", &level));
	ck_assert_int_eq(level, LOG_ERROR);
	ck_assert(!log_level_parse("loud", &level));
	ck_assert(!log_level_parse("", &level));
	ck_assert(!log_level_parse(NULL, &level));
	ck_assert_int_eq(level, LOG_ERROR);
}
END_TEST

/* --- suite --------------------------------------------------------------- */

static TCase *
log_case(void)
{
	TCase *tc = tcase_create("log");

	tcase_add_checked_fixture(tc, log_setup, log_teardown);
	tcase_add_test(tc, an_event_is_one_line_with_its_fields);
	tcase_add_test(tc, events_below_the_level_are_not_written);
	tcase_add_test(tc, bytes_from_outside_cannot_forge_a_line);
	tcase_add_test(tc, a_long_line_is_cut_at_a_character);
	tcase_add_test(tc, every_line_of_a_request_says_which);
	tcase_add_test(tc, errno_survives_a_log_line);
	tcase_add_test(tc, json_lines_split_their_fields);
	tcase_add_test(tc, escapes_nobody_wrote_stay_as_they_are);
	add_rows(tc, json_lines_keep_prose_as_a_string, prose_rows);
	tcase_add_test(tc, json_lines_are_valid_wherever_they_are_cut);
	tcase_add_test(tc, even_a_huge_event_and_program_fit);
	tcase_add_test(tc, quotes_are_closed_and_capped);
	tcase_add_test(tc, four_quotes_live_at_once);
	tcase_add_test(tc, levels_are_read_in_any_case);
	return tc;
}

Suite *
base_log_suite(void)
{
	Suite *s = suite_create("base: log");

	suite_add_tcase(s, log_case());
	return s;
}
