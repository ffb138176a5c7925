/*
 * Brand kits: their rules (generation.md 7.3, oracles O17), and logos that
 * come as base64 inside the JSON, small and large.
 */
#include "tests/unit/submit_unit.h"

#include <fcntl.h>
#include <unistd.h>

#include "digest.h"
#include "file.h"
#include "src/submit/internal.h"
#include "xalloc.h"

#define MIB (1024 * 1024)

static void
add_kit(const char *kit)
{
	add_text("platform_name", SQUARE);
	add_text("prompt", "tart");
	add_text("apply_branding", "yes");
	add_text("brand_kit", kit);
}

/* --- rules -------------------------------------------------------------------------- */

#define COLORS(list) "{\"colors\":[" list "]}"
#define COLOR(hex) "{\"hex\":\"" hex "\",\"role\":\"primary\"}"

static const struct {
	const char *kit;
	int faults;		/* how many */
	const char *says;	/* NULL: nothing */
} kits[] = {
	{ "{}", 0, NULL },
	{ COLORS(""), 0, NULL },
	{ "{\"colors\":null}", 0, NULL },
	{ COLORS(COLOR("#FFF")), 0, NULL },
	{ COLORS(COLOR("#4a90E2")), 0, NULL },
	{ COLORS(COLOR("#GGGGGG")), 1, "hex code" },
	{ COLORS(COLOR("#12345")), 1, "hex code" },
	{ COLORS(COLOR("#1234567")), 1, "hex code" },
	{ COLORS(COLOR("123456")), 1, "hex code" },
	{ COLORS(COLOR("")), 1, "hex code" },
	{ COLORS("{\"hex\":\"#fff\",\"role\":\"hero\"}"), 1, "roles" },
	{ COLORS("{\"hex\":\"#fff\",\"role\":\"Primary\"}"), 1, "roles" },
	{ COLORS("{\"role\":\"primary\"}"), 1, "hex code" },
	{ COLORS("{\"hex\":16777215,\"role\":\"primary\"}"), 1, "hex code" },
	{ COLORS("{\"hex\":\"#fff\"}"), 1, "roles" },
	{ COLORS("{\"hex\":\"#fff\",\"role\":\"neutral_dark\"}"), 0, NULL },
	{ COLORS("{\"hex\":\"#fff\",\"role\":\"accent\",\"ratio\":1.2}"), 1,
	  "ratio" },
	{ COLORS("{\"hex\":\"#fff\",\"role\":\"accent\",\"ratio\":-0.1}"), 1,
	  "ratio" },
	{ COLORS("{\"hex\":\"#fff\",\"role\":\"accent\",\"ratio\":\"0.5\"}"),
	  1, "ratio" },
	{ COLORS("{\"hex\":\"#fff\",\"role\":\"accent\",\"ratio\":0}"), 0,
	  NULL },
	{ COLORS("{\"hex\":\"#fff\",\"role\":\"accent\",\"ratio\":1}"), 0,
	  NULL },
	{ COLORS("{\"hex\":\"#fff\",\"role\":\"accent\",\"ratio\":null,"
	  "\"label\":null}"), 0, NULL },
	{ COLORS(COLOR("#FFFFFF") "," COLOR("#ffffff")), 1, "twice" },
	{ COLORS(COLOR("#fff") "," COLOR("#ffffff")), 1, "twice" },
	{ COLORS(COLOR("#fff") "," COLOR("#fffffe")), 0, NULL },
	{ COLORS("\"#fff\""), 1, "object" },
	{ COLORS("null"), 1, "object" },
	{ COLORS("7," COLOR("#x") "," COLOR("#fff")), 2, "Colour 2" },
	{ "{\"colors\":{}}", 1, "list" },
	{ "{\"brand_voice_description\":7}", 1, "voice" },
	{ "{\"logo_file_base64\":{}}", 1, "logo_file_base64" },
	{ "{\"unknown\":[1]}", 0, NULL },
};

START_TEST(a_kit_is_held_against_its_rules)
{
	struct run_request *r;
	struct json_object *body;
	int status;

	add_kit(kits[_i].kit);
	if (kits[_i].says == NULL) {
		r = check_fine();
		ck_assert_str_ne(at(r->form, "brand_kit"), "null");
		request_free(r);
		return;
	}
	body = check_faulty(&status);
	ck_assert_int_eq(status, 400);
	ck_assert_msg((int)json_len(json_at(body, "errors")) ==
	    kits[_i].faults, "%s: %s", kits[_i].kit, at(body, "detail"));
	ck_assert_str_eq(at(body, "errors/0/field"), "brand_kit");
	ck_assert_msg(strstr(at(body, "detail"), kits[_i].says) != NULL,
	    "%s: %s", kits[_i].kit, at(body, "detail"));
	json_object_put(body);
}
END_TEST

START_TEST(a_kit_has_at_most_so_many_colours)
{
	struct strbuf kit = STRBUF_INIT(10000);
	struct json_object *body;
	int i, status, over;

	for (over = 0; over <= 1; over++) {
		strbuf_reset(&kit);
		strbuf_addstr(&kit, "{\"colors\":[");
		for (i = 0; i < MAX_BRAND_COLORS + over; i++)
			strbuf_addf(&kit, "%s{\"hex\":\"#0000%02x\","
			    "\"role\":\"primary\"}", i > 0 ? "," : "", i);
		strbuf_addstr(&kit, "]}");
		form_release(&sent);
		add_kit(kit.buf);
		if (over == 0) {
			request_free(check_fine());
			continue;
		}
		body = check_faulty(&status);
		ck_assert_ptr_nonnull(strstr(at(body, "detail"), "25 colours"));
		json_object_put(body);
	}
	strbuf_release(&kit);
}
END_TEST

START_TEST(what_we_keep_of_a_kit_is_what_we_know)
{
	struct run_request *r;

	add_kit("{\"colors\":[{\"hex\":\"#fff\",\"role\":\"accent\","
	    "\"label\":\"Snow\",\"ratio\":0.5,\"isCustomRatio\":true,"
	    "\"x\":1}],\"brand_voice_description\":\"warm\","
	    "\"saved_logo_path_in_run_dir\":\"../../etc/passwd\","
	    "\"logo_analysis\":{\"filename\":\"logo.png\"},\"y\":2}");
	r = check_fine();
	ck_assert_str_eq(at(r->inputs, "brand_kit/colors/0/hex"), "#fff");
	ck_assert_str_eq(at(r->inputs, "brand_kit/colors/0/label"), "Snow");
	ck_assert_str_eq(at(r->inputs, "brand_kit/colors/0/isCustomRatio"),
	    "true");
	ck_assert_str_eq(at(r->inputs, "brand_kit/colors/0/x"), "null");
	ck_assert_str_eq(at(r->inputs, "brand_kit/brand_voice_description"),
	    "warm");
	ck_assert_str_eq(at(r->inputs, "brand_kit/y"), "null");
	/* Paths are ours, and an analysis is one that has a style. */
	ck_assert_str_eq(at(r->inputs,
	    "brand_kit/saved_logo_path_in_run_dir"), "null");
	ck_assert_str_eq(at(r->inputs, "brand_kit/logo_analysis"), "null");
	ck_assert_str_eq(at(r->form, "brand_kit/colors/0/hex"), "#fff");
	request_free(r);
}
END_TEST

START_TEST(an_analysis_of_ours_is_kept_without_additions)
{
	struct run_request *r;

	add_kit("{\"logo_analysis\":{\"logo_style\":\"wordmark\","
	    "\"contains_text\":true,\"extracted_text\":\"Cafe\","
	    "\"dominant_colors\":[\"#ffffff\"],\"preview_url\":\"data:x\"}}");
	r = check_fine();
	ck_assert_str_eq(at(r->inputs, "brand_kit/logo_analysis/logo_style"),
	    "wordmark");
	ck_assert_str_eq(at(r->inputs,
	    "brand_kit/logo_analysis/dominant_colors/0"), "#ffffff");
	ck_assert_ptr_null(json_at(r->inputs,
	    "brand_kit/logo_analysis/preview_url"));
	request_free(r);
}
END_TEST

START_TEST(without_branding_the_kit_is_kept_but_not_used)
{
	struct run_request *r;

	add_text("platform_name", SQUARE);
	add_text("prompt", "tart");
	add_text("brand_kit", "{\"brand_voice_description\":\"warm\","
	    "\"logo_file_base64\":\"not even base64\"}");
	r = check_fine();
	ck_assert_str_eq(at(r->inputs, "brand_kit"), "null");
	ck_assert_str_eq(at(r->form, "brand_kit/brand_voice_description"),
	    "warm");
	ck_assert_uint_eq(json_len(json_at(r->inputs, "submit_warnings")), 0);
	ck_assert_ptr_null(r->logo_tmp);
	request_free(r);
}
END_TEST

/* {"key": n times text}, n characters counted as the sender would. */
static char *
kit_of(const char *before, const char *text, int n, const char *after)
{
	struct strbuf kit = STRBUF_INIT(2 * MIB);
	int i;

	strbuf_addstr(&kit, before);
	for (i = 0; i < n; i++)
		strbuf_addstr(&kit, text);
	strbuf_addstr(&kit, after);
	return strbuf_detach(&kit);
}

static const struct {
	const char *before, *text, *after;
	int max;
	const char *says;
} limits[] = {
	{ "{\"brand_voice_description\":\"", "x", "\"}", 1000, "voice" },
	{ "{\"brand_voice_description\":\"", "\xe2\x82\xac", "\"}", 1000,
	  "voice" },
	{ "{\"brand_voice_description\":\"", "\\ud83d\\ude00", "\"}", 1000,
	  "voice" },
	{ "{\"colors\":[{\"hex\":\"#fff\",\"role\":\"accent\",\"label\":\"",
	  "x", "\"}]}", MAX_LABEL_CHARS, "label" },
};

/* Just right, one too many, and so many that they never enter memory. */
START_TEST(texts_of_a_kit_are_limited)
{
	const int counts[] = { limits[_i].max, limits[_i].max + 1, 500000 /
		(int)strlen(limits[_i].text) };
	struct json_object *body;
	size_t i;
	char *kit;
	int status;

	for (i = 0; i < ARRAY_LEN(counts); i++) {
		kit = kit_of(limits[_i].before, limits[_i].text, counts[i],
		    limits[_i].after);
		form_release(&sent);
		add_kit(kit);
		free(kit);
		if (i == 0) {
			request_free(check_fine());
			continue;
		}
		body = check_faulty(&status);
		ck_assert_ptr_nonnull(strstr(at(body, "detail"),
		    limits[_i].says));
		json_object_put(body);
	}
}
END_TEST

START_TEST(a_voice_as_long_as_any_setting_allows_is_kept_whole)
{
	char *kit = kit_of("{\"brand_voice_description\":\"", "\\ud83d\\ude00",
	    32000, "\"}");
	struct run_request *r;

	svc.conf->settings.max_voice_chars = 32000;
	add_kit(kit);
	r = check_fine();
	ck_assert_uint_eq(strlen(at(r->inputs,
	    "brand_kit/brand_voice_description")), 4 * 32000);
	request_free(r);
	free(kit);
}
END_TEST

START_TEST(a_kit_of_too_much_text_is_refused)
{
	char *kit = kit_of("{\"x\":[0", ",\"0123456789abcdef\"", 60000, "]}");
	struct json_object *body;
	int status;

	add_kit(kit);
	body = check_faulty(&status);
	ck_assert_ptr_nonnull(strstr(at(body, "detail"), "besides its logo"));
	json_object_put(body);
	free(kit);
}
END_TEST

/* --- logos ------------------------------------------------------------------------------ */

/* 33 bytes of a PNG; among the base64 letters are / and +. */
#define LOGO "iVBORw0KGgoAAAANSUhEUgAAAP8AAAD+CAIAAAAAAAAA"

static const struct {
	const char *about, *value;	/* as it stands in the JSON */
} logos[] = {
	{ "bare base64", LOGO },
	{ "a data URI", "data:image/png;base64," LOGO },
	{ "a wrong type in it", "data:image/jpeg;base64," LOGO },
	{ "no type in it", "data:;base64," LOGO },
	{ "escaped slashes", "data:image\\/png;base64,"
	  "iVBORw0KGgoAAAANSUhEUgAAAP8AAAD+CAIAAAAAAAAA" },
	{ "escaped letters", "\\u0069VBORw0KGgoAAAANSUhEUgAAAP8AAAD\\u002bCAIA"
	  "AAAAAAAA" },
	{ "line breaks", "iVBORw0KGgoAAAANSUhEUgAAAP8\\r\\nAAAD+CAIA\\n"
	  "AAAAAAAA\\n" },
};

/* The bytes of the logo that was decoded. */
static void
check_logo(const struct run_request *r, const void *want, size_t len)
{
	struct strbuf bytes = STRBUF_INIT(64 * MIB);
	int fd = -1;

	ck_assert_ptr_nonnull(r->logo_tmp);
	ck_ok(file_open_beneath(uploads, r->logo_tmp, O_RDONLY, 0, &fd, &err),
	    &err);
	ck_ok(file_read_fd(fd, 64 * MIB, &bytes, &err), &err);
	close(fd);
	ck_assert_uint_eq(bytes.len, len);
	ck_assert_mem_eq(bytes.buf, want, len);
	strbuf_release(&bytes);
}

START_TEST(a_logo_is_decoded_however_it_was_written)
{
	char *kit = xasprintf("{\"logo_file_base64\":\"%s\"}",
	    logos[_i].value);
	uint8_t png[PNG_BYTES];
	struct run_request *r;

	make_png(png, 255, 254);
	add_kit(kit);
	r = check_fine();
	check_logo(r, png, sizeof(png));
	ck_assert_str_eq(r->logo_extension, "png");
	ck_assert_str_eq(at(r->inputs,
	    "brand_kit/saved_logo_path_in_run_dir"), "logo.png");
	/* The base64 goes nowhere else. */
	ck_assert_ptr_null(json_at(r->inputs, "brand_kit/logo_file_base64"));
	ck_assert_ptr_null(json_at(r->form, "brand_kit/logo_file_base64"));
	ck_assert_uint_eq(json_len(json_at(r->inputs, "submit_warnings")), 0);
	request_free(r);
	ck_assert_int_eq(unit_count("data/uploads"), 0);
	free(kit);
}
END_TEST

static const struct {
	const char *about, *value;
} unusable[] = {
	{ "no base64", "hello world, this is no base64!" },
	{ "text", "aGVsbG8gd29ybGQ=" },
	{ "half a PNG", "iVBORw0KGgo=" },
	{ "cut off", "iVBORw0KGgoAAAANSUhEUgAAAP8AAAD+CAIAAAAAAAA" },
	{ "a data URI without data", "data:image/png;base64," },
	{ "a data URI without a comma", "data:image/png;base64" },
	{ "a data URI of another kind", "data:image/svg+xml,<svg/>" },
	{ "SVG", "PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciLz4=" },
	{ "a picture of too many pixels",
	  "iVBORw0KGgoAAAANSUhEUgAA//8AAP//CAIAAAAAAAAA" },
	{ "other escapes", "iVBORw0KGgo\\bAAAANSUhEUgAAAP8AAAD+CAIAAAAAAAAA" },
	{ "letters beyond ASCII", "\\u20acVBORw0KGgoAAAANSUhEUgAAAP8AAAD+" },
};

START_TEST(an_unusable_logo_is_left_out_with_a_warning)
{
	char *kit = xasprintf("{\"logo_file_base64\":\"%s\"}",
	    unusable[_i].value);
	struct run_request *r;

	add_kit(kit);
	r = check_fine();
	ck_assert_ptr_null(r->logo_tmp);
	ck_assert_msg(json_len(json_at(r->inputs, "submit_warnings")) == 1,
	    "%s", unusable[_i].about);
	ck_assert_str_eq(at(r->inputs, "submit_warnings/0/code"),
	    "logo_unusable");
	ck_assert_ptr_nonnull(strstr(at(r->inputs,
	    "submit_warnings/0/message"), "left out"));
	ck_assert_str_eq(at(r->inputs,
	    "brand_kit/saved_logo_path_in_run_dir"), "null");
	ck_assert_int_eq(unit_count("data/uploads"), 0);
	request_free(r);
	free(kit);
}
END_TEST

START_TEST(an_empty_logo_is_none)
{
	static const char *const empty[] = { "{\"logo_file_base64\":\"\"}",
		"{\"logo_file_base64\":null}" };
	struct run_request *r;
	size_t i;

	for (i = 0; i < ARRAY_LEN(empty); i++) {
		form_release(&sent);
		add_kit(empty[i]);
		r = check_fine();
		ck_assert_uint_eq(json_len(json_at(r->inputs,
		    "submit_warnings")), 0);
		ck_assert_ptr_null(r->logo_tmp);
		request_free(r);
	}
}
END_TEST

/* --- large logos --------------------------------------------------------------------------- */

/* A PNG of so many bytes, and a spilled field with it; before and after are
 * JSON around the base64. */
static uint8_t *
add_large_kit(size_t bytes, const char *before, const char *after)
{
	uint8_t *png = xcalloc(1, bytes);
	struct strbuf kit = STRBUF_INIT(80 * MIB);
	struct form_field *f;
	size_t i;
	int fd = -1;

	for (i = PNG_BYTES; i < bytes; i++)
		png[i] = (uint8_t)(i * 2654435761u >> 13);
	make_png(png, 10, 10);
	strbuf_addstr(&kit, before);
	base64_add(&kit, png, bytes);
	strbuf_addstr(&kit, after);
	add_text("platform_name", SQUARE);
	add_text("prompt", "tart");
	add_text("apply_branding", "yes");
	f = &sent.fields[sent.n_fields++];
	memset(f, 0, sizeof(*f));
	f->name = xstrdup("brand_kit");
	f->len = kit.len;
	ck_ok(upload_create(uploads, &f->spill, &fd, &err), &err);
	ck_ok(file_write_all(fd, kit.buf, kit.len, &err), &err);
	close(fd);
	strbuf_release(&kit);
	return png;
}

/* Highest resident memory since the last reset, in bytes. */
static int64_t
peak_bytes(void)
{
	char line[256];
	long long kib = 0;
	FILE *f = fopen("/proc/self/status", "r");

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "VmHWM:", 6) == 0)
			kib = strtoll(line + 6, NULL, 10);
	fclose(f);
	return kib * 1024;
}

static bool
reset_peak(void)
{
	int fd = open("/proc/self/clear_refs", O_WRONLY);
	bool ok = fd >= 0 && write(fd, "5", 1) == 1;

	if (fd >= 0)
		close(fd);
	return ok;
}

START_TEST(a_logo_of_20_mb_never_enters_memory_whole)
{
	size_t bytes = 20 * MIB;
	uint8_t *png = add_large_kit(bytes, "{\"brand_voice_description\":"
	    "\"a \\\"voice\\\"\",\"logo_file_base64\":\"data:image/png;base64,",
	    "\",\"colors\":[{\"hex\":\"#fff\",\"role\":\"accent\"}]}");
	struct run_request *r;
	bool measured = reset_peak();
	int64_t before = peak_bytes(), grown;

	r = check_fine();
	grown = peak_bytes() - before;
	check_logo(r, png, bytes);
	ck_assert_str_eq(at(r->inputs, "brand_kit/brand_voice_description"),
	    "a \"voice\"");
	ck_assert_str_eq(at(r->inputs, "brand_kit/colors/0/hex"), "#fff");
	ck_assert_msg(!measured || grown < 6 * MIB, "grown by %lld bytes",
	    (long long)grown);
	request_free(r);
	form_release(&sent);
	ck_assert_int_eq(unit_count("data/uploads"), 0);
	free(png);
}
END_TEST

START_TEST(a_small_logo_in_a_large_kit_is_not_disturbed)
{
	uint8_t png[PNG_BYTES], *large;
	struct run_request *r;

	large = add_large_kit(2 * MIB, "{\"logo_file_base64\":\"" LOGO
	    "\",\"x\":\"", "\"}");
	make_png(png, 255, 254);
	r = check_fine();
	check_logo(r, png, sizeof(png));
	request_free(r);
	free(large);
}
END_TEST

START_TEST(a_logo_over_its_limit_is_left_out)
{
	uint8_t *png = add_large_kit(MAX_LOGO_BYTES + 1,
	    "{\"logo_file_base64\":\"", "\"}");
	struct run_request *r = check_fine();

	ck_assert_ptr_null(r->logo_tmp);
	ck_assert_ptr_nonnull(strstr(at(r->inputs,
	    "submit_warnings/0/message"), "50 MiB"));
	request_free(r);
	free(png);
}
END_TEST

static const struct {
	const char *before, *after;
} broken[] = {
	{ "{\"logo_file_base64\":\"", "" },
	{ "{\"logo_file_base64\":\"", "\"" },
	{ "{\"logo_file_base64\":\"", "\\\"}" },
	{ "{\"logo_file_base64\":\"", "\\" },
	{ "\"", "\"" },
	{ "{\"logo_file_base64\":\"x\",\"", "\"}" },
};

START_TEST(a_large_field_that_is_no_kit_is_refused)
{
	uint8_t *png = add_large_kit(2 * MIB, broken[_i].before,
	    broken[_i].after);
	struct json_object *body;
	int status;

	body = check_faulty(&status);
	ck_assert_int_eq(status, 400);
	ck_assert_str_eq(at(body, "errors/0/field"), "brand_kit");
	json_object_put(body);
	form_release(&sent);
	ck_assert_int_eq(unit_count("data/uploads"), 0);
	free(png);
}
END_TEST

TCase *
submit_kit_case(void)
{
	TCase *t = tcase_create("kits");

	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, unit_setup, unit_teardown);
	add_rows(t, a_kit_is_held_against_its_rules, kits);
	tcase_add_test(t, a_kit_has_at_most_so_many_colours);
	tcase_add_test(t, what_we_keep_of_a_kit_is_what_we_know);
	tcase_add_test(t, an_analysis_of_ours_is_kept_without_additions);
	tcase_add_test(t, without_branding_the_kit_is_kept_but_not_used);
	add_rows(t, texts_of_a_kit_are_limited, limits);
	tcase_add_test(t,
	    a_voice_as_long_as_any_setting_allows_is_kept_whole);
	tcase_add_test(t, a_kit_of_too_much_text_is_refused);
	add_rows(t, a_logo_is_decoded_however_it_was_written, logos);
	add_rows(t, an_unusable_logo_is_left_out_with_a_warning, unusable);
	tcase_add_test(t, an_empty_logo_is_none);
	tcase_add_test(t, a_logo_of_20_mb_never_enters_memory_whole);
	tcase_add_test(t, a_small_logo_in_a_large_kit_is_not_disturbed);
	tcase_add_test(t, a_logo_over_its_limit_is_left_out);
	add_rows(t, a_large_field_that_is_no_kit_is_refused, broken);
	return t;
}
