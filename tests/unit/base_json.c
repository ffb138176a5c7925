/* Digests and base64; JSON strictly in, forgivingly read, exactly out. */
#include "tests/unit/base.h"

#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <unistd.h>

#include "digest.h"
#include "json.h"
#include "xalloc.h"

/* --- digest -------------------------------------------------------------- */

#define SHA_EMPTY \
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SHA_ABC \
	"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

START_TEST(sha256_is_sha256)
{
	char hex[DIGEST_HEX_MAX];
	struct digest d;

	digest_buf_hex("abc", 3, hex);
	ck_assert_str_eq(hex, SHA_ABC);
	digest_buf_hex(NULL, 0, hex);
	ck_assert_str_eq(hex, SHA_EMPTY);
	digest_init(&d);
	digest_add(&d, "a", 1);
	digest_add(&d, "bc", 2);
	digest_hex(&d, hex);
	ck_assert_str_eq(hex, SHA_ABC);
}
END_TEST

static void
fields_hex(const char *a, const char *b, char hex[DIGEST_HEX_MAX])
{
	struct digest d;

	digest_init(&d);
	digest_add_field(&d, a);
	digest_add_field(&d, b);
	digest_hex(&d, hex);
}

START_TEST(fields_do_not_run_together)
{
	static const char *const pairs[][2] = {
		{ "ab", "c" }, { "a", "bc" }, { "abc", "" }, { "", "abc" },
		{ "abc", NULL }, { NULL, "abc" }, { NULL, NULL }, { "", "" },
		{ NULL, "" }, { "", NULL },
	};
	char hex[ARRAY_LEN(pairs)][DIGEST_HEX_MAX];
	size_t i, k;

	for (i = 0; i < ARRAY_LEN(pairs); i++)
		fields_hex(pairs[i][0], pairs[i][1], hex[i]);
	for (i = 0; i < ARRAY_LEN(pairs); i++)
		for (k = 0; k < i; k++)
			ck_assert_str_ne(hex[i], hex[k]);
	fields_hex("ab", "c", hex[1]);
	ck_assert_str_eq(hex[0], hex[1]);
}
END_TEST

START_TEST(a_file_is_hashed_whole_and_its_offset_stays)
{
	char hex[DIGEST_HEX_MAX], want[DIGEST_HEX_MAX];
	struct err e = ERR_INIT;
	char *text;
	int fd;

	text = xmalloc(100001);
	memset(text, 'x', 100000);
	text[100000] = '\0';
	fd = open(base_write("big", text), O_RDONLY);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(lseek(fd, 77, SEEK_SET), 77);
	digest_buf_hex(text, 100000, want);
	ck_ok(digest_fd_hex(fd, hex, &e), &e);
	ck_assert_str_eq(hex, want);
	ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 77);
	close(fd);
	free(text);
	ck_fails(digest_fd_hex(-1, hex, &e), ERR_SYSTEM);
}
END_TEST

static const struct {
	const char *plain, *coded;
} base64_rows[] = {
	{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
	{ "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" },
	{ "foobar", "Zm9vYmFy" }, { "\xff\xfe\xfd", "//79" },
};

START_TEST(base64_goes_there_and_back)
{
	struct strbuf sb = STRBUF_INIT(100);
	struct err e = ERR_INIT;
	const char *plain = base64_rows[_i].plain;

	strbuf_addstr(&sb, "+");
	base64_add(&sb, plain, strlen(plain));
	ck_assert_str_eq(sb.buf + 1, base64_rows[_i].coded);
	strbuf_reset(&sb);
	strbuf_addstr(&sb, "+");
	ck_ok(base64_decode_to(&sb, base64_rows[_i].coded,
	    strlen(base64_rows[_i].coded), &e), &e);
	ck_assert_str_eq(sb.buf + 1, plain);
	strbuf_release(&sb);
}
END_TEST

START_TEST(base64_of_many_bytes_goes_there_and_back)
{
	struct strbuf text = STRBUF_INIT(1000000);
	struct strbuf back = STRBUF_INIT(1000000);
	struct err e = ERR_INIT;
	unsigned char *data;
	size_t i, len;

	data = xmalloc(50000);
	for (i = 0; i < 50000; i++)
		data[i] = (unsigned char)(i * 7 + (i >> 8));
	for (len = 49990; len <= 50000; len++) {
		strbuf_reset(&text);
		strbuf_reset(&back);
		base64_add(&text, data, len);
		ck_assert_uint_eq(text.len, (len + 2) / 3 * 4);
		ck_ok(base64_decode_to(&back, text.buf, text.len, &e), &e);
		ck_assert_uint_eq(back.len, len);
		ck_assert_mem_eq(back.buf, data, len);
	}
	strbuf_release(&text);
	strbuf_release(&back);
	free(data);
}
END_TEST

static const char *const not_base64[] = {
	"Z", "Zg", "Zg=", "Z===", "Zg==Zg==", "Zm9v!", "Zm9-", "=", "Zg==x",
};

START_TEST(what_is_not_base64_is_refused_and_leaves_nothing)
{
	struct strbuf sb = STRBUF_INIT(100);
	struct err e = ERR_INIT;

	strbuf_addstr(&sb, "keep");
	ck_assert_msg(base64_decode_to(&sb, not_base64[_i],
	    strlen(not_base64[_i]), &e) == ERR_INVALID, "%s",
	    not_base64[_i]);
	ck_assert_str_eq(sb.buf, "keep");
	strbuf_release(&sb);
}
END_TEST

START_TEST(base64_may_be_wrapped_and_is_capped)
{
	struct strbuf sb = STRBUF_INIT(6);
	struct err e = ERR_INIT;

	ck_ok(base64_decode_to(&sb, " Zm9v\r\nYm\tFy\n", 13, &e), &e);
	ck_assert_str_eq(sb.buf, "foobar");
	ck_fails(base64_decode_to(&sb, "Zg==", 4, &e), ERR_TOO_LARGE);
	ck_assert_str_eq(sb.buf, "foobar");
	strbuf_release(&sb);
}
END_TEST

/* --- json ---------------------------------------------------------------- */

static struct json_object *
parsed(const char *text)
{
	struct json_object *o = NULL;
	struct err e = ERR_INIT;

	ck_ok(json_parse(text, strlen(text), &o, &e), &e);
	return o;
}

static const struct {
	const char *in, *out;	/* out NULL: as it came in */
} roundtrip_rows[] = {
	{ "{}", NULL }, { "[]", NULL }, { "null", NULL }, { "true", NULL },
	{ "false", NULL }, { "0", NULL }, { "-0.5", NULL }, { "1e3", NULL },
	{ "\"\"", NULL }, { "12345", NULL }, { "0.10", NULL },
	{ "-9223372036854775808", NULL }, { "9223372036854775807", NULL },
	{ "18446744073709551615", NULL },
	{ " [ 1 , 2 ]\r\n\t", "[1,2]" },
	{ "{\"a\":{\"b\":[null,true,\"x\"]},\"c\":1.5}", NULL },
	{ "\"a/b\"", NULL }, { "\"a\\/b\"", "\"a/b\"" },
	{ "\"\\u00e9\\ud83d\\ude00\"", "\"\xc3\xa9\xf0\x9f\x98\x80\"" },
	{ "\"\xc3\xa9\"", NULL }, { "\"\\u0000a\"", NULL },
	{ "\"\\\"\\\\\\b\\f\\n\\r\\t\"", NULL },
	{ "{\"b\":1,\"a\":2}", NULL },
	{ "\"// no comment\"", NULL }, { "\"NaN\"", NULL },
	{ "\"[[[{{{\"", NULL }, { "1 ", "1" }, { " 1", "1" },
	{ "-0", "0" },
};

START_TEST(json_is_read_and_written)
{
	const char *in = roundtrip_rows[_i].in;
	const char *want = roundtrip_rows[_i].out;
	struct json_object *o;
	char *text;

	o = parsed(in);
	text = json_to_text(o);
	ck_assert_str_eq(text, want != NULL ? want : in);
	free(text);
	json_object_put(o);
}
END_TEST

static const char *const not_json[] = {
	"", " ", "{", "[", "]", "}", "[1,]", "{\"a\":1,}", "{\"a\"}",
	"{\"a\":}", "{a:1}", "{'a':1}", "'a'", "[1 2]", "[1,,2]", "[,]",
	"1 2", "{} {}", "{}x", "[]]", "nul", "NULL", "Null", "True", "TRUE",
	"tru", "NaN", "nan", "Infinity", "-Infinity", "inf", "01", "-", "+1",
	".5", "1.", "1e", "1e+", "--1", "0x10", "1e999", "-1e999",
	"// x\n1", "/* x */ 1", "1 /* x */", "[1] // x", "\"a", "\"a\nb\"",
	"\"a\tb\"", "\"\\x41\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\",
	"\"\xff\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "\"\\\xc3\"",
	"\xc2\xa0" "1", "\xef\xbb\xbf{}", "[\"a\"\"b\"]", "{\"a\":1 \"b\":2}",
	"{1:2}", "{\"a\"::1}", "[1}", "{\"a\":1]", "truefalse", "1true",
	"{\"a\":\"b\"", "undefined", "{null:1}", ",", ":", "[:]", "\"a\"b",
};

START_TEST(what_is_not_json_is_refused)
{
	struct json_object *o = NULL;
	struct err e = ERR_INIT;

	ck_assert_msg(json_parse(not_json[_i], strlen(not_json[_i]), &o,
	    &e) == ERR_INVALID, "%s", not_json[_i]);
	ck_assert_ptr_null(o);
	ck_assert_msg(strncmp(e.msg, "line ", 5) == 0, "%s", e.msg);
}
END_TEST

START_TEST(a_json_fault_names_its_place)
{
	struct json_object *o = NULL;
	struct err e = ERR_INIT;

	ck_fails(json_parse("{\n  \"a\": nan\n}", 14, &o, &e), ERR_INVALID);
	ck_assert_str_eq(e.msg, "line 2 column 8: not a JSON value");
	ck_fails(json_parse("[1,\n2", 5, &o, &e), ERR_INVALID);
	ck_assert_str_eq(e.msg, "line 2 column 2: the text ends too early");
	ck_fails(json_parse("[1\n,,2]", 7, &o, &e), ERR_INVALID);
	ck_assert_msg(strncmp(e.msg, "line 2 column 2: ", 17) == 0, "%s",
	    e.msg);
}
END_TEST

START_TEST(json_ends_where_its_length_says)
{
	struct json_object *o = NULL;
	struct err e = ERR_INIT;

	ck_ok(json_parse("123456", 3, &o, &e), &e);
	ck_assert_int_eq(json_object_get_int64(o), 123);
	json_object_put(o);
	o = NULL;
	ck_fails(json_parse("1\0" "2", 3, &o, &e), ERR_INVALID);
	ck_fails(json_parse("\"a\0b\"", 5, &o, &e), ERR_INVALID);
	ck_ok(json_parse("null", 4, &o, &e), &e);
	ck_assert_ptr_null(o);
}
END_TEST

static const struct {
	const char *open, *inner, *close;
	size_t levels;
	bool ok;
} depth_rows[] = {
	{ "[", "", "]", JSON_DEPTH_MAX, true },
	{ "[", "1", "]", JSON_DEPTH_MAX, true },
	{ "[", "\"]\"", "]", JSON_DEPTH_MAX, true },
	{ "{\"a\":", "1", "}", JSON_DEPTH_MAX, true },
	{ "[", "", "]", JSON_DEPTH_MAX + 1, false },
	{ "[", "1", "]", JSON_DEPTH_MAX + 1, false },
	{ "{\"a\":", "1", "}", JSON_DEPTH_MAX + 1, false },
	{ "[", "", "]", 10000, false },
};

START_TEST(json_may_nest_so_deep_and_no_deeper)
{
	struct json_object *o = NULL;
	struct err e = ERR_INIT;
	char *text;

	text = base_repeat(depth_rows[_i].levels, depth_rows[_i].open,
	    depth_rows[_i].inner, depth_rows[_i].close);
	if (depth_rows[_i].ok)
		ck_ok(json_parse(text, strlen(text), &o, &e), &e);
	else
		ck_fails(json_parse(text, strlen(text), &o, &e), ERR_INVALID);
	json_object_put(o);
	free(text);
}
END_TEST

START_TEST(a_number_of_any_length_is_no_trap)
{
	struct json_object *o = NULL;
	struct err e = ERR_INIT;
	char *text;

	text = base_repeat(300, "9", "", "");
	ck_ok(json_parse(text, strlen(text), &o, &e), &e);
	json_object_put(o);
	free(text);
	o = NULL;
	text = base_repeat(5000, "9", "", "");
	ck_fails(json_parse(text, strlen(text), &o, &e), ERR_INVALID);
	free(text);
}
END_TEST

START_TEST(json_files_are_named_in_their_faults)
{
	struct json_object *o = NULL;
	struct err e = ERR_INIT;

	ck_ok(json_parse_file(base_write("a.json", "{\"a\":1}\n"), 100, &o,
	    &e), &e);
	ck_assert_int_eq(json_get_int(o, "a", 0), 1);
	json_object_put(o);
	o = NULL;
	ck_fails(json_parse_file(base_write("b.json", "{\n!}"), 100, &o, &e),
	    ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(e.msg, "b.json: line 2 column 1: "));
	ck_fails(json_parse_file(base_write("c.json", "[1,2]"), 4, &o, &e),
	    ERR_TOO_LARGE);
	ck_assert_ptr_nonnull(strstr(e.msg, "c.json"));
	ck_fails(json_parse_file(base_path("d.json"), 4, &o, &e),
	    ERR_NOT_FOUND);
	ck_fails(json_parse_file(base_path("d.json"), 4, &o, NULL),
	    ERR_NOT_FOUND);
	ck_assert_ptr_null(o);
}
END_TEST

START_TEST(readers_give_what_is_there_and_else_the_default)
{
	struct json_object *o;

	o = parsed("{\"s\":\"x\",\"i\":5,\"d\":1.5,\"w\":7.0,\"b\":true,"
	    "\"n\":null,\"a\":[1],\"o\":{\"k\":1},"
	    "\"big\":18446744073709551615,\"huge\":1e300}");
	ck_assert_str_eq(json_get_str(o, "s"), "x");
	ck_assert_ptr_null(json_get_str(o, "i"));
	ck_assert_ptr_null(json_get_str(o, "none"));
	ck_assert_int_eq(json_get_int(o, "i", -1), 5);
	ck_assert_int_eq(json_get_int(o, "w", -1), 7);
	ck_assert_int_eq(json_get_int(o, "d", -1), -1);
	ck_assert_int_eq(json_get_int(o, "s", -1), -1);
	ck_assert_int_eq(json_get_int(o, "b", -1), -1);
	ck_assert_int_eq(json_get_int(o, "n", -1), -1);
	ck_assert_int_eq(json_get_int(o, "big", -1), -1);
	ck_assert_int_eq(json_get_int(o, "huge", -1), -1);
	ck_assert_double_eq(json_get_num(o, "d", -1), 1.5);
	ck_assert_double_eq(json_get_num(o, "i", -1), 5);
	ck_assert_double_eq(json_get_num(o, "s", -1), -1);
	ck_assert(json_get_bool(o, "b", false));
	ck_assert(json_get_bool(o, "i", true));
	ck_assert(!json_get_bool(o, "s", false));
	ck_assert_uint_eq(json_len(json_get_arr(o, "a")), 1);
	ck_assert_ptr_null(json_get_arr(o, "o"));
	ck_assert_ptr_nonnull(json_get_obj(o, "o"));
	ck_assert_ptr_null(json_get_obj(o, "a"));
	ck_assert_uint_eq(json_len(o), 0);
	ck_assert_uint_eq(json_len(NULL), 0);
	ck_assert_ptr_null(json_get(NULL, "a"));
	ck_assert_ptr_null(json_get(json_get_arr(o, "a"), "a"));
	json_object_put(o);
}
END_TEST

static const struct {
	const char *path, *want;	/* want NULL: nothing there */
} at_rows[] = {
	{ "choices/0/message/content", "\"hi\"" },
	{ "choices/1", "null" }, { "choices/2", NULL },
	{ "choices//0", NULL }, { "choices/x", NULL },
	{ "choices/-1", NULL }, { "choices/", "" },
	{ "choices/0x0", NULL }, { "choices/99999999999999999999", NULL },
	{ "none/0", NULL }, { "choices/0/message/content/deeper", NULL },
	{ "", "" }, { "n", "1" }, { "/n", NULL },
};

START_TEST(a_path_finds_its_value)
{
	const char *want = at_rows[_i].want;
	struct json_object *o, *v;
	char *text;

	o = parsed("{\"choices\":[{\"message\":{\"content\":\"hi\"}},null],"
	    "\"n\":1}");
	v = json_at(o, at_rows[_i].path);
	if (want == NULL) {
		ck_assert_ptr_null(v);
	} else if (*want != '\0') {
		text = json_to_text(v);
		ck_assert_str_eq(text, want);
		free(text);
	} else {
		ck_assert_ptr_nonnull(v);
	}
	json_object_put(o);
}
END_TEST

START_TEST(a_path_with_a_huge_step_finds_nothing)
{
	char *path = base_repeat(1000, "x", "", "");
	struct json_object *o = parsed("{\"x\":1}");

	ck_assert_ptr_null(json_at(o, path));
	ck_assert_ptr_null(json_at(NULL, "x"));
	json_object_put(o);
	free(path);
}
END_TEST

START_TEST(blank_is_null_or_white_space)
{
	struct json_object *o;

	o = parsed("[\"\",\" \\t\\n\",\"x\",0,[],{},false,\"\\u0000\"]");
	ck_assert(json_is_blank(NULL));
	ck_assert(json_is_blank(json_at(o, "0")));
	ck_assert(json_is_blank(json_at(o, "1")));
	ck_assert(!json_is_blank(json_at(o, "2")));
	ck_assert(!json_is_blank(json_at(o, "3")));
	ck_assert(!json_is_blank(json_at(o, "4")));
	ck_assert(!json_is_blank(json_at(o, "5")));
	ck_assert(!json_is_blank(json_at(o, "6")));
	ck_assert(!json_is_blank(json_at(o, "7")));
	json_object_put(o);
}
END_TEST

START_TEST(writers_write_every_key)
{
	struct json_object *o = json_object_new_object();
	char *text;

	json_put_str(o, "s", "a/\xff\"");
	json_put_str(o, "none", NULL);
	json_put_int(o, "i", INT64_MIN);
	json_put_num(o, "d", 0.1);
	json_put_num(o, "w", 8);
	json_put_num(o, "third", 1.0 / 3);
	json_put_num(o, "small", 1e-7);
	json_put_num(o, "nan", NAN);
	json_put_num(o, "inf", INFINITY);
	json_put_bool(o, "b", true);
	json_put_obj(o, "o", json_object_new_array());
	json_put_obj(o, "on", NULL);
	json_put_null(o, "n");
	json_put_int(o, "b", 2);
	json_object_object_add(o, "raw", json_object_new_double(NAN));
	text = json_to_text(o);
	ck_assert_str_eq(text, "{\"s\":\"a/\xef\xbf\xbd\\\"\",\"none\":null,"
	    "\"i\":-9223372036854775808,\"d\":0.1,\"w\":8.0,"
	    "\"third\":0.3333333333333333,\"small\":1e-07,\"nan\":null,"
	    "\"inf\":null,\"b\":2,\"o\":[],\"on\":null,\"n\":null,"
	    "\"raw\":null}");
	free(text);
	json_object_put(o);
}
END_TEST

static const struct {
	int64_t nano;
	const char *text;
} money_rows[] = {
	{ 42240000, "0.04224" }, { 0, "0.0" }, { 1, "0.000000001" },
	{ -1, "-0.000000001" }, { 1000000000, "1.0" },
	{ 1500000000, "1.5" }, { 123456789012345678, "123456789.012345678" },
	{ INT64_MAX, "9223372036.854775807" },
	{ INT64_MIN, "-9223372036.854775808" }, { 100000000, "0.1" },
	{ 10000000000, "10.0" },
};

START_TEST(money_is_exact)
{
	struct json_object *o, *copy;
	char *text;

	o = json_new_money(money_rows[_i].nano);
	copy = json_copy(o);
	text = json_to_text(copy);
	ck_assert_str_eq(text, money_rows[_i].text);
	ck_assert_double_eq_tol(json_object_get_double(copy),
	    (double)money_rows[_i].nano / 1e9, 1e-5);
	free(text);
	json_object_put(copy);
	json_object_put(o);
}
END_TEST

static const struct {
	int64_t ms;
	const char *text;
} seconds_rows[] = {
	{ 8800, "8.8" }, { 0, "0.0" }, { 1, "0.001" }, { 60000, "60.0" },
	{ 12345, "12.345" }, { -500, "-0.5" },
};

START_TEST(seconds_are_exact)
{
	struct json_object *o;
	char *text;

	o = json_new_seconds(seconds_rows[_i].ms);
	text = json_to_text(o);
	ck_assert_str_eq(text, seconds_rows[_i].text);
	free(text);
	json_object_put(o);
}
END_TEST

START_TEST(times_are_text_and_zero_is_null)
{
	struct json_object *o;

	ck_assert_ptr_null(json_new_time(0));
	o = json_new_time(1767268800123);
	ck_assert_str_eq(json_object_get_string(o),
	    "2026-01-01T12:00:00.123000Z");
	json_object_put(o);
}
END_TEST

START_TEST(a_copy_is_deep)
{
	struct json_object *o, *copy;
	char *text;

	ck_assert_ptr_null(json_copy(NULL));
	o = parsed("{\"a\":[{\"x\":0.10,\"n\":null}]}");
	copy = json_copy(o);
	json_put_int(json_at(o, "a/0"), "x", 2);
	json_object_put(o);
	text = json_to_text(copy);
	ck_assert_str_eq(text, "{\"a\":[{\"x\":0.10,\"n\":null}]}");
	free(text);
	json_object_put(copy);
}
END_TEST

START_TEST(pretty_text_is_indented_by_two)
{
	struct json_object *o;
	char *text;

	o = parsed("{\"a\":[1,{\"b\":null}],\"c\":{},\"d\":[]}");
	text = json_to_pretty_text(o);
	ck_assert_str_eq(text, "{\n  \"a\": [\n    1,\n    {\n"
	    "      \"b\": null\n    }\n  ],\n  \"c\": {},\n  \"d\": []\n}");
	free(text);
	json_object_put(o);
}
END_TEST

START_TEST(a_buffer_takes_json_up_to_its_maximum)
{
	struct strbuf sb = STRBUF_INIT(12);
	struct json_object *o;

	o = parsed("[1,2]");
	strbuf_addstr(&sb, "x=");
	strbuf_add_json(&sb, o);
	ck_assert_str_eq(sb.buf, "x=[1,2]");
	strbuf_add_json(&sb, NULL);
	ck_assert_str_eq(sb.buf, "x=[1,2]null");
	strbuf_add_json(&sb, o);
	ck_assert(strbuf_overflowed(&sb));
	strbuf_release(&sb);
	json_object_put(o);
}
END_TEST

static const char *const equal_rows[][2] = {
	{ "{\"a\":1,\"b\":[{\"y\":1,\"x\":2}]}",
	    " {\"b\" : [{\"x\":2,\"y\":1}], \"a\":1.0}" },
	{ "[1.50]", "[1.5]" }, { "[1e2]", "[100]" }, { "[-0.0]", "[0]" },
	{ "\"\\u00e9\"", "\"\xc3\xa9\"" }, { "{}", " { } " },
	{ "null", " null" }, { "[0.1]", "[1e-1]" },
};

START_TEST(equal_values_have_equal_canonical_text)
{
	struct json_object *a, *b;
	char *ta, *tb;

	a = parsed(equal_rows[_i][0]);
	b = parsed(equal_rows[_i][1]);
	ta = json_to_canonical(a);
	tb = json_to_canonical(b);
	ck_assert_str_eq(ta, tb);
	free(ta);
	free(tb);
	json_object_put(a);
	json_object_put(b);
}
END_TEST

START_TEST(canonical_text_keeps_the_order_of_arrays)
{
	struct json_object *o;
	char *text;

	o = parsed("{\"b\":[2,1],\"a\":\"x\",\"B\":null}");
	text = json_to_canonical(o);
	ck_assert_str_eq(text, "{\"B\":null,\"a\":\"x\",\"b\":[2,1]}");
	free(text);
	json_object_put(o);
}
END_TEST

/* --- suite --------------------------------------------------------------- */

static TCase *
digest_case(void)
{
	TCase *tc = tcase_create("digest");

	tcase_add_checked_fixture(tc, base_temp_setup, base_temp_teardown);
	tcase_add_test(tc, sha256_is_sha256);
	tcase_add_test(tc, fields_do_not_run_together);
	tcase_add_test(tc, a_file_is_hashed_whole_and_its_offset_stays);
	add_rows(tc, base64_goes_there_and_back, base64_rows);
	tcase_add_test(tc, base64_of_many_bytes_goes_there_and_back);
	add_rows(tc, what_is_not_base64_is_refused_and_leaves_nothing,
	    not_base64);
	tcase_add_test(tc, base64_may_be_wrapped_and_is_capped);
	return tc;
}

static TCase *
json_case(void)
{
	TCase *tc = tcase_create("json");

	tcase_add_checked_fixture(tc, base_temp_setup, base_temp_teardown);
	add_rows(tc, json_is_read_and_written, roundtrip_rows);
	add_rows(tc, what_is_not_json_is_refused, not_json);
	tcase_add_test(tc, a_json_fault_names_its_place);
	tcase_add_test(tc, json_ends_where_its_length_says);
	add_rows(tc, json_may_nest_so_deep_and_no_deeper, depth_rows);
	tcase_add_test(tc, a_number_of_any_length_is_no_trap);
	tcase_add_test(tc, json_files_are_named_in_their_faults);
	tcase_add_test(tc, readers_give_what_is_there_and_else_the_default);
	add_rows(tc, a_path_finds_its_value, at_rows);
	tcase_add_test(tc, a_path_with_a_huge_step_finds_nothing);
	tcase_add_test(tc, blank_is_null_or_white_space);
	tcase_add_test(tc, writers_write_every_key);
	add_rows(tc, money_is_exact, money_rows);
	add_rows(tc, seconds_are_exact, seconds_rows);
	tcase_add_test(tc, times_are_text_and_zero_is_null);
	tcase_add_test(tc, a_copy_is_deep);
	tcase_add_test(tc, pretty_text_is_indented_by_two);
	tcase_add_test(tc, a_buffer_takes_json_up_to_its_maximum);
	add_rows(tc, equal_values_have_equal_canonical_text, equal_rows);
	tcase_add_test(tc, canonical_text_keeps_the_order_of_arrays);
	return tc;
}

Suite *
base_json_suite(void)
{
	Suite *s = suite_create("base: digests and json");

	suite_add_tcase(s, digest_case());
	suite_add_tcase(s, json_case());
	return s;
}
