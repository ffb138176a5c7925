/* Errors, allocations, strings, times and ids. */
#include "tests/unit/base.h"

#include <fcntl.h>
#include <errno.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "id.h"
#include "money.h"
#include "src/base/internal.h"
#include "strbuf.h"
#include "xalloc.h"

/* --- err ----------------------------------------------------------------- */

START_TEST(an_error_keeps_code_and_sentence)
{
	struct err e = ERR_INIT;

	e.detail = 7;
	ck_assert_int_eq(err_set(&e, ERR_CONFLICT, "row %d", 12),
	    ERR_CONFLICT);
	ck_assert_int_eq(e.code, ERR_CONFLICT);
	ck_assert_int_eq(e.detail, 0);
	ck_assert_str_eq(e.msg, "row 12");
	err_clear(&e);
	ck_assert_int_eq(e.code, ERR_OK);
	ck_assert_str_eq(e.msg, "");
}
END_TEST

START_TEST(context_goes_in_front_and_the_rest_stays)
{
	struct err e = ERR_INIT;

	err_set(&e, ERR_MODEL, "no answer");
	e.detail = 3;
	ck_assert_int_eq(err_wrap(&e, "stage %s", "brand"), ERR_MODEL);
	ck_assert_str_eq(e.msg, "stage brand: no answer");
	ck_assert_int_eq(e.detail, 3);
}
END_TEST

START_TEST(a_null_error_is_allowed_everywhere)
{
	ck_assert_int_eq(err_set(NULL, ERR_BUSY, "x"), ERR_BUSY);
	ck_assert_int_eq(err_set_errno(NULL, ERR_SYSTEM, EIO, "x"),
	    ERR_SYSTEM);
	ck_assert_int_eq(err_set_errno(NULL, ERR_SYSTEM, ENOSPC, "x"),
	    ERR_FULL);
	ck_assert_int_ne(err_wrap(NULL, "x"), ERR_OK);
	err_clear(NULL);
}
END_TEST

START_TEST(an_errno_brings_its_text_and_a_full_disk_its_code)
{
	struct err e = ERR_INIT;

	ck_assert_int_eq(err_set_errno(&e, ERR_NOT_FOUND, ENOENT, "open %s",
	    "a"), ERR_NOT_FOUND);
	ck_assert_str_eq(e.msg, "open a: No such file or directory");
	ck_assert_int_eq(err_set_errno(&e, ERR_SYSTEM, EDQUOT, "write"),
	    ERR_FULL);
	ck_assert_int_eq(e.code, ERR_FULL);
}
END_TEST

START_TEST(a_message_is_one_line_of_utf8)
{
	struct err e = ERR_INIT;

	err_set(&e, ERR_INVALID, "a\nb\tc\x7f" "d\xff" "e\xc3\xa9");
	ck_assert_str_eq(e.msg, "a?b?c?d?e\xc3\xa9");
}
END_TEST

START_TEST(a_long_message_is_cut_between_characters)
{
	struct err e = ERR_INIT;
	char text[2 * ERR_MSG_MAX];
	size_t i;

	for (i = 0; i + 2 < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xa9", 2);
	text[i] = '\0';
	err_set(&e, ERR_INVALID, "%s", text);
	ck_assert_uint_eq(strlen(e.msg), ERR_MSG_MAX - 2);
	ck_assert(utf8_is_valid(e.msg, strlen(e.msg)));
	err_wrap(&e, "x");
	ck_assert_uint_lt(strlen(e.msg), ERR_MSG_MAX);
	ck_assert(utf8_is_valid(e.msg, strlen(e.msg)));
}
END_TEST

START_TEST(a_message_may_be_made_from_itself)
{
	struct err e = ERR_INIT;

	err_set(&e, ERR_INVALID, "inner");
	err_set(&e, ERR_CONFIG, "outer (%s)", e.msg);
	ck_assert_str_eq(e.msg, "outer (inner)");
}
END_TEST

static const struct {
	enum err_code code;
	const char *name;
	int status;
	bool retry;
} code_rows[] = {
	{ ERR_OK, "ok", 200, false },
	{ ERR_INVALID, "invalid", 400, false },
	{ ERR_BUDGET, "budget", 402, false },
	{ ERR_TYPE, "type", 422, false },
	{ ERR_FORBIDDEN, "forbidden", 403, false },
	{ ERR_NOT_FOUND, "not_found", 404, false },
	{ ERR_CONFLICT, "conflict", 409, false },
	{ ERR_TOO_LARGE, "too_large", 413, false },
	{ ERR_BUSY, "busy", 503, true },
	{ ERR_FULL, "full", 503, true },
	{ ERR_TIMEOUT, "timeout", 504, true },
	{ ERR_CONFIG, "config", 500, false },
	{ ERR_SYSTEM, "system", 500, false },
	{ ERR__COUNT, "unknown", 500, false },
	{ (enum err_code)-1, "unknown", 500, false },
};

START_TEST(the_table_answers_for_every_code)
{
	enum err_code code = code_rows[_i].code;

	ck_assert_str_eq(err_code_name(code), code_rows[_i].name);
	ck_assert_int_eq(err_http_status(code), code_rows[_i].status);
	ck_assert_int_eq(err_is_retryable(code), code_rows[_i].retry);
}
END_TEST

START_TEST(no_code_is_without_name_and_status)
{
	int code;

	for (code = 0; code < ERR__COUNT; code++) {
		ck_assert_ptr_nonnull(err_code_name((enum err_code)code));
		ck_assert_int_ge(err_http_status((enum err_code)code), 200);
	}
}
END_TEST

/* --- xalloc and strbuf --------------------------------------------------- */

START_TEST(allocations_of_nothing_can_be_freed)
{
	char *p;

	p = xmalloc(0);
	ck_assert_ptr_nonnull(p);
	p = xrealloc_array(p, 0, 8);
	ck_assert_ptr_nonnull(p);
	free(p);
	p = xcalloc(0, 4);
	ck_assert_ptr_nonnull(p);
	free(p);
	ck_assert_ptr_null(xstrdup(NULL));
	ck_assert_ptr_null(xstrndup(NULL, 3));
}
END_TEST

START_TEST(copies_end_where_they_should)
{
	char *s;

	s = xstrndup("abcdef", 3);
	ck_assert_str_eq(s, "abc");
	free(s);
	s = xstrndup("ab", 9);
	ck_assert_str_eq(s, "ab");
	free(s);
	s = xasprintf("%s-%d", "x", 5);
	ck_assert_str_eq(s, "x-5");
	free(s);
}
END_TEST

START_TEST(impossible_memory_ends_the_process)
{
	int quiet, status;
	pid_t pid;

	pid = fork();
	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		quiet = open("/dev/null", O_WRONLY);
		dup2(quiet, STDERR_FILENO);
		free(xcalloc(SIZE_MAX / 2, 4));
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
}
END_TEST

START_TEST(a_string_buffer_grows_and_is_always_a_string)
{
	struct strbuf sb = STRBUF_INIT(100000);
	int i;

	ck_assert_str_eq(sb.buf, "");
	for (i = 0; i < 1000; i++)
		strbuf_addf(&sb, "%03d,", i);
	strbuf_addstr(&sb, NULL);
	strbuf_add(&sb, NULL, 0);
	ck_assert_uint_eq(sb.len, 4000);
	ck_assert_uint_eq(strlen(sb.buf), 4000);
	ck_assert_str_eq(sb.buf + 3996, "999,");
	ck_assert(!strbuf_overflowed(&sb));
	strbuf_truncate(&sb, 3);
	ck_assert_str_eq(sb.buf, "000");
	strbuf_release(&sb);
	ck_assert_str_eq(sb.buf, "");
	strbuf_addch(&sb, 'x');
	ck_assert_str_eq(sb.buf, "x");
	strbuf_release(&sb);
	ck_assert_str_eq(strbuf_empty, "");
}
END_TEST

START_TEST(a_string_buffer_stops_at_its_maximum_and_remembers)
{
	struct strbuf sb = STRBUF_INIT(5);

	strbuf_addstr(&sb, "12345");
	ck_assert(!strbuf_overflowed(&sb));
	ck_assert_str_eq(sb.buf, "12345");
	strbuf_truncate(&sb, 3);
	strbuf_addstr(&sb, "abc");
	ck_assert(strbuf_overflowed(&sb));
	ck_assert_str_eq(sb.buf, "123");
	strbuf_addch(&sb, 'x');
	ck_assert_str_eq(sb.buf, "123");
	strbuf_truncate(&sb, 0);
	ck_assert(strbuf_overflowed(&sb));
	strbuf_reset(&sb);
	ck_assert(!strbuf_overflowed(&sb));
	strbuf_addf(&sb, "%s", "123456");
	ck_assert(strbuf_overflowed(&sb));
	strbuf_release(&sb);
	ck_assert(!strbuf_overflowed(&sb));
}
END_TEST

START_TEST(a_string_buffer_of_no_size_takes_nothing)
{
	struct strbuf sb;

	strbuf_init(&sb, 0);
	strbuf_addstr(&sb, "");
	ck_assert(!strbuf_overflowed(&sb));
	strbuf_addch(&sb, 'x');
	ck_assert(strbuf_overflowed(&sb));
	ck_assert_str_eq(sb.buf, "");
	strbuf_release(&sb);
}
END_TEST

START_TEST(a_detached_string_belongs_to_the_caller)
{
	struct strbuf sb = STRBUF_INIT(SIZE_MAX);
	char *s;

	s = strbuf_detach(&sb);
	ck_assert_str_eq(s, "");
	free(s);
	strbuf_addstr(&sb, "abc");
	s = strbuf_detach(&sb);
	ck_assert_str_eq(s, "abc");
	ck_assert_str_eq(sb.buf, "");
	ck_assert_uint_eq(sb.len, 0);
	free(s);
}
END_TEST

static const struct {
	const char *in, *out;
} trim_rows[] = {
	{ "", "" }, { " \t\n", "" }, { "a", "a" }, { "  a b \r\n", "a b" },
	{ "a ", "a" }, { "\na", "a" },
};

START_TEST(trimming_takes_white_space_from_both_ends)
{
	struct strbuf sb = STRBUF_INIT(100);

	strbuf_addstr(&sb, trim_rows[_i].in);
	strbuf_trim(&sb);
	ck_assert_str_eq(sb.buf, trim_rows[_i].out);
	ck_assert_uint_eq(sb.len, strlen(trim_rows[_i].out));
	strbuf_release(&sb);
}
END_TEST

static const struct {
	const char *in;
	size_t len;
	const char *out;
} escape_rows[] = {
	{ "", 0, "" },
	{ "plain / text", 12, "plain / text" },
	{ "a\"b\\c", 5, "a\\\"b\\\\c" },
	{ "\b\f\n\r\t", 5, "\\b\\f\\n\\r\\t" },
	{ "\x01\x1f\x7f", 3, "\\u0001\\u001f\\u007f" },
	{ "a\0b", 3, "a\\u0000b" },
	{ "\xc3\xa9\xf0\x9f\x98\x80", 6, "\xc3\xa9\xf0\x9f\x98\x80" },
	{ "a\xff" "b\xc3", 4, "a\xef\xbf\xbd" "b\xef\xbf\xbd" },
};

START_TEST(json_escapes_leave_a_valid_string)
{
	struct strbuf sb = STRBUF_INIT(100);

	strbuf_add_json_escaped(&sb, escape_rows[_i].in, escape_rows[_i].len);
	ck_assert_str_eq(sb.buf, escape_rows[_i].out);
	strbuf_release(&sb);
}
END_TEST

static const struct {
	const char *what, *text;
	size_t want;
} utf8_rows[] = {
	{ "ascii", "a", 1 },
	{ "two bytes", "\xc3\xa9", 2 },
	{ "three bytes", "\xe2\x82\xac", 3 },
	{ "four bytes", "\xf0\x9f\x98\x80", 4 },
	{ "last code point", "\xf4\x8f\xbf\xbf", 4 },
	{ "beyond the last", "\xf4\x90\x80\x80", 0 },
	{ "lone continuation", "\x80", 0 },
	{ "overlong slash", "\xc0\xaf", 0 },
	{ "overlong three", "\xe0\x80\xaf", 0 },
	{ "overlong four", "\xf0\x80\x80\xaf", 0 },
	{ "surrogate", "\xed\xa0\x80", 0 },
	{ "just below the surrogates", "\xed\x9f\xbf", 3 },
	{ "cut", "\xe2\x82", 0 },
	{ "wrong rest", "\xe2\x82" "a", 0 },
	{ "impossible byte", "\xfe", 0 },
	{ "empty", "", 0 },
};

START_TEST(utf8_characters_are_measured)
{
	const char *s = utf8_rows[_i].text;

	ck_assert_msg(utf8_char_len(s, strlen(s)) == utf8_rows[_i].want,
	    "%s", utf8_rows[_i].what);
	if (*s != '\0')
		ck_assert_int_eq(utf8_is_valid(s, strlen(s)),
		    utf8_rows[_i].want > 0);
	ck_assert_int_eq(utf8_length(s, strlen(s)), *s == '\0' ? 0 :
	    utf8_rows[_i].want > 0 ? 1 : -1);
}
END_TEST

static const struct {
	const char *in;
	size_t len;
	const char *out;	/* NULL: as it is */
	size_t count;		/* characters of out */
} clean_rows[] = {
	{ "", 0, NULL, 0 },
	{ "caf\xc3\xa9", 5, NULL, 4 },
	{ "\xf0\x9f\x98\x80!", 5, NULL, 2 },
	{ "a\0b", 3, "a" UTF8_REPLACEMENT "b", 3 },
	{ "\xff\xfe", 2, UTF8_REPLACEMENT UTF8_REPLACEMENT, 2 },
	{ "x\xe2\x82", 3, "x" UTF8_REPLACEMENT UTF8_REPLACEMENT, 3 },
};

START_TEST(what_is_not_utf8_is_replaced_and_said)
{
	const char *want = clean_rows[_i].out != NULL ? clean_rows[_i].out :
	    clean_rows[_i].in;
	struct strbuf sb = STRBUF_INIT(100);

	ck_assert_int_eq(utf8_add_clean(&sb, clean_rows[_i].in,
	    clean_rows[_i].len), clean_rows[_i].out == NULL);
	ck_assert_str_eq(sb.buf, want);
	ck_assert_uint_eq(utf8_count(sb.buf, sb.len), clean_rows[_i].count);
	strbuf_release(&sb);
}
END_TEST

START_TEST(a_cut_never_splits_a_character)
{
	static const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z";
	static const size_t want[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11 };
	size_t n;

	for (n = 0; n < ARRAY_LEN(want); n++)
		ck_assert_uint_eq(utf8_cut(text, n), want[n]);
	/* Bytes that are not UTF-8 are cut anywhere. */
	ck_assert_uint_eq(utf8_cut("\x80\x80\x80\x80\x80\x80", 5), 5);
}
END_TEST

/* --- clock and id -------------------------------------------------------- */

static const struct {
	int64_t ms;
	const char *text, *stamp;
} time_rows[] = {
	{ 0, "1970-01-01T00:00:00Z", "19700101000000000000" },
	{ 1767268800123, "2026-01-01T12:00:00.123000Z",
	    "20260101120000123000" },
	{ 1767268800000, "2026-01-01T12:00:00Z", "20260101120000000000" },
	{ 1767268800005, "2026-01-01T12:00:00.005000Z",
	    "20260101120000005000" },
	{ 951782400000, "2000-02-29T00:00:00Z", "20000229000000000000" },
	{ -1, "1969-12-31T23:59:59.999000Z", "19691231235959999000" },
	{ 253402300799999, "9999-12-31T23:59:59.999000Z",
	    "99991231235959999000" },
	{ -62167219200000, "0000-01-01T00:00:00Z", "00000101000000000000" },
};

START_TEST(times_are_written_and_read_back)
{
	char text[CLOCK_TEXT_MAX], stamp[CLOCK_STAMP_MAX];
	int64_t ms = 42;

	ck_assert_str_eq(clock_format(time_rows[_i].ms, text),
	    time_rows[_i].text);
	ck_assert_str_eq(clock_stamp(time_rows[_i].ms, stamp),
	    time_rows[_i].stamp);
	ck_assert(clock_parse(text, &ms));
	ck_assert_int_eq(ms, time_rows[_i].ms);
}
END_TEST

START_TEST(times_out_of_range_are_the_nearest_inside)
{
	char text[CLOCK_TEXT_MAX];

	ck_assert_str_eq(clock_format(INT64_MAX, text),
	    "9999-12-31T23:59:59.999000Z");
	ck_assert_str_eq(clock_format(INT64_MIN, text),
	    "0000-01-01T00:00:00Z");
}
END_TEST

static const struct {
	const char *text;
	int64_t ms;
} parse_rows[] = {
	{ "2026-01-01T12:00:00", 1767268800000 },
	{ "2026-01-01T12:00:00+00:00", 1767268800000 },
	{ "2026-01-01T12:00:00.1Z", 1767268800100 },
	{ "2026-01-01T12:00:00.12+00:00", 1767268800120 },
	{ "2026-01-01T12:00:00.123999999Z", 1767268800123 },
	{ "2026-01-01T12:00:00.123456", 1767268800123 },
	{ "2024-02-29T00:00:00Z", 1709164800000 },
};

START_TEST(other_shapes_of_the_same_time_are_read)
{
	int64_t ms = 0;

	ck_assert_msg(clock_parse(parse_rows[_i].text, &ms), "%s",
	    parse_rows[_i].text);
	ck_assert_int_eq(ms, parse_rows[_i].ms);
}
END_TEST

static const char *const not_times[] = {
	"", "2026", "2026-01-01", "2026-01-01 12:00:00Z",
	"2026-01-01T12:00Z", "2026-13-01T12:00:00Z", "2026-00-01T12:00:00Z",
	"2026-02-29T12:00:00Z", "2026-04-31T12:00:00Z",
	"2026-01-00T12:00:00Z", "2026-01-01T24:00:00Z",
	"2026-01-01T12:60:00Z", "2026-01-01T12:00:60Z",
	"2026-01-01T12:00:00.Z", "2026-01-01T12:00:00.1234567890Z",
	"2026-01-01T12:00:00+01:00", "2026-01-01T12:00:00ZZ",
	"2026-01-01T12:00:00z", " 2026-01-01T12:00:00Z",
	"2026-01-01T12:00:00Z ", "-026-01-01T12:00:00Z",
	"2026-1-01T12:00:00Z", "26-01-01T12:00:00Z",
};

START_TEST(what_is_not_a_time_is_refused)
{
	int64_t ms = 42;

	ck_assert_msg(!clock_parse(not_times[_i], &ms), "%s", not_times[_i]);
	ck_assert_int_eq(ms, 42);
}
END_TEST

START_TEST(the_clocks_run)
{
	int64_t us = clock_mono_us(), ms = clock_mono_ms();

	/* After 2020, and both monotonic clocks are one. */
	ck_assert_int_gt(clock_now_ms(), 1577836800000);
	ck_assert_int_le(us / 1000, ms);
	ck_assert_int_le(us, clock_mono_us());
	ck_assert(!clock_parse(NULL, &ms));
}
END_TEST

START_TEST(new_ids_are_valid_and_differ)
{
	char a[ID_MAX], b[ID_MAX];
	int i;

	for (i = 0; i < 200; i++) {
		id_new(a);
		id_new(b);
		ck_assert_msg(id_is_valid(a), "%s", a);
		ck_assert_uint_eq(strlen(a), ID_LEN);
		ck_assert_int_eq(a[14], '4');
		ck_assert_ptr_nonnull(strchr("89ab", a[19]));
		ck_assert_str_ne(a, b);
	}
}
END_TEST

static const char *const not_ids[] = {
	"", "x", "123e4567-e89b-42d3-a456-42661417400",
	"123e4567-e89b-42d3-a456-4266141740000",
	"123E4567-e89b-42d3-a456-426614174000",
	"123e4567xe89b-42d3-a456-426614174000",
	"123e4567-e89b-42d3-a456-42661417400g",
	"123e4567e-89b-42d3-a456-426614174000",
	"../../../../../../../../../../../etc",
};

START_TEST(what_is_not_an_id_is_refused)
{
	ck_assert_msg(!id_is_valid(not_ids[_i]), "%s", not_ids[_i]);
}
END_TEST

START_TEST(host_and_boot_are_known_and_stay)
{
	ck_assert(!id_is_valid(NULL));
	ck_assert_str_ne(id_boot(), "");
	ck_assert_str_ne(id_host(), "");
	ck_assert_ptr_eq(id_boot(), id_boot());
	ck_assert_ptr_eq(id_host(), id_host());
}
END_TEST

/* --- money --------------------------------------------------------------- */

static const struct {
	int64_t nano;
	const char *text;
} money_rows[] = {
	{ 0, "$0.00" }, { 1, "$0.000000001" }, { 10000000, "$0.01" },
	{ 250000000, "$0.25" }, { 42240000, "$0.04224" },
	{ 1000000000, "$1.00" }, { 1234567891230000000, "$1234567891.23" },
	{ -3000000000, "-$3.00" }, { INT64_MAX, "$9223372036.854775807" },
	{ INT64_MIN, "-$9223372036.854775807" },
};

START_TEST(money_reads_as_dollars_to_the_last_digit)
{
	char text[MONEY_TEXT_MAX];

	ck_assert_str_eq(money_text(money_rows[_i].nano, text),
	    money_rows[_i].text);
}
END_TEST

#define NO_MONEY (-1)

static const struct {
	const char *text;
	int64_t max, nano;
} money_texts[] = {
	{ "0", INT64_MAX, 0 }, { "3", INT64_MAX, 3000000000 },
	{ ".5", INT64_MAX, 500000000 }, { "2.", INT64_MAX, 2000000000 },
	{ "0.000000001", INT64_MAX, 1 },
	{ "0.0000000010", INT64_MAX, 1 },
	{ "0.0000000001", INT64_MAX, NO_MONEY },
	{ "9223372036.854775807", INT64_MAX, INT64_MAX },
	{ "9223372036.854775808", INT64_MAX, NO_MONEY },
	{ "99999999999999999999", INT64_MAX, NO_MONEY },
	{ "1.5", 1500000000, 1500000000 }, { "1.5", 1499999999, NO_MONEY },
	{ "", INT64_MAX, NO_MONEY }, { ".", INT64_MAX, NO_MONEY },
	{ "-1", INT64_MAX, NO_MONEY }, { "+1", INT64_MAX, NO_MONEY },
	{ " 1", INT64_MAX, NO_MONEY }, { "1 ", INT64_MAX, NO_MONEY },
	{ "1e3", INT64_MAX, NO_MONEY }, { "1.2.3", INT64_MAX, NO_MONEY },
	{ "1,5", INT64_MAX, NO_MONEY }, { "$1", INT64_MAX, NO_MONEY },
	{ "0x10", INT64_MAX, NO_MONEY }, { "nan", INT64_MAX, NO_MONEY },
};

START_TEST(money_is_read_exactly_or_not_at_all)
{
	int64_t nano = NO_MONEY;
	bool read;

	read = money_parse(money_texts[_i].text, money_texts[_i].max, &nano);
	ck_assert_int_eq(read, money_texts[_i].nano != NO_MONEY);
	ck_assert_int_eq(nano, money_texts[_i].nano);
}
END_TEST

static TCase *
money_case(void)
{
	TCase *tc = tcase_create("money");

	add_rows(tc, money_reads_as_dollars_to_the_last_digit, money_rows);
	add_rows(tc, money_is_read_exactly_or_not_at_all, money_texts);
	return tc;
}

/* --- suite --------------------------------------------------------------- */

static TCase *
err_case(void)
{
	TCase *tc = tcase_create("err");

	tcase_add_test(tc, an_error_keeps_code_and_sentence);
	tcase_add_test(tc, context_goes_in_front_and_the_rest_stays);
	tcase_add_test(tc, a_null_error_is_allowed_everywhere);
	tcase_add_test(tc, an_errno_brings_its_text_and_a_full_disk_its_code);
	tcase_add_test(tc, a_message_is_one_line_of_utf8);
	tcase_add_test(tc, a_long_message_is_cut_between_characters);
	tcase_add_test(tc, a_message_may_be_made_from_itself);
	add_rows(tc, the_table_answers_for_every_code, code_rows);
	tcase_add_test(tc, no_code_is_without_name_and_status);
	return tc;
}

static TCase *
strbuf_case(void)
{
	TCase *tc = tcase_create("strbuf");

	tcase_add_test(tc, allocations_of_nothing_can_be_freed);
	tcase_add_test(tc, copies_end_where_they_should);
	tcase_add_test(tc, impossible_memory_ends_the_process);
	tcase_add_test(tc, a_string_buffer_grows_and_is_always_a_string);
	tcase_add_test(tc,
	    a_string_buffer_stops_at_its_maximum_and_remembers);
	tcase_add_test(tc, a_string_buffer_of_no_size_takes_nothing);
	tcase_add_test(tc, a_detached_string_belongs_to_the_caller);
	add_rows(tc, trimming_takes_white_space_from_both_ends, trim_rows);
	add_rows(tc, json_escapes_leave_a_valid_string, escape_rows);
	add_rows(tc, utf8_characters_are_measured, utf8_rows);
	add_rows(tc, what_is_not_utf8_is_replaced_and_said, clean_rows);
	tcase_add_test(tc, a_cut_never_splits_a_character);
	return tc;
}

static TCase *
clock_case(void)
{
	TCase *tc = tcase_create("clock");

	add_rows(tc, times_are_written_and_read_back, time_rows);
	tcase_add_test(tc, times_out_of_range_are_the_nearest_inside);
	add_rows(tc, other_shapes_of_the_same_time_are_read, parse_rows);
	add_rows(tc, what_is_not_a_time_is_refused, not_times);
	tcase_add_test(tc, the_clocks_run);
	tcase_add_test(tc, new_ids_are_valid_and_differ);
	add_rows(tc, what_is_not_an_id_is_refused, not_ids);
	tcase_add_test(tc, host_and_boot_are_known_and_stay);
	return tc;
}

Suite *
base_text_suite(void)
{
	Suite *s = suite_create("base: text");

	suite_add_tcase(s, err_case());
	suite_add_tcase(s, money_case());
	suite_add_tcase(s, strbuf_case());
	suite_add_tcase(s, clock_case());
	return s;
}
