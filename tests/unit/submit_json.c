/* JSON bodies: what becomes of each kind of value, and that it is checked by
 * the same rules as a form. */
#include "tests/unit/submit_unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "digest.h"
#include "file.h"
#include "src/submit/internal.h"
#include "xalloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct faults faults;

static void
json_setup(void)
{
	unit_setup();
	faults_init(&faults);
}

static void
json_teardown(void)
{
	faults_release(&faults);
	unit_teardown();
}

static enum err_code
fill(const char *text)
{
	return form_from_json(&sent, &run_form_shape, text, strlen(text),
	    false, &faults, &err);
}

/* "name=value;" of each field, "name:filename:type:size;" of each file. */
static void
show(struct strbuf *out)
{
	int i;

	for (i = 0; i < sent.n_fields; i++)
		strbuf_addf(out, "%s=%s;", sent.fields[i].name,
		    sent.fields[i].value);
	for (i = 0; i < sent.n_files; i++)
		strbuf_addf(out, "%s:%s:%s:%lld;", sent.files[i].name,
		    sent.files[i].filename, sent.files[i].content_type,
		    (long long)sent.files[i].size);
}

static const struct {
	const char *body, *form;
	const char *field, *type;	/* of the only fault; NULL: none */
} rows[] = {
	{ "{}", "", NULL, NULL },
	{ " {\"prompt\" : \"a \\u00e4\\n\" } ", "prompt=a \xc3\xa4\n;", NULL,
	  NULL },
	{ "{\"prompt\":null,\"image_file\":null}", "", NULL, NULL },
	{ "{\"prompt\":\"\"}", "prompt=;", NULL, NULL },
	{ "{\"prompt\":\"a\",\"prompt\":\"b\"}", "prompt=b;", NULL, NULL },
	{ "{\"prompt\":5}", "prompt=5;", "prompt", "string_type" },
	{ "{\"prompt\":true}", "prompt=true;", "prompt", "string_type" },
	{ "{\"platform_name\":[\"x\"]}", "platform_name=[\"x\"];",
	  "platform_name", "string_type" },
	{ "{\"num_variants\":2}", "num_variants=2;", NULL, NULL },
	{ "{\"num_variants\":2.0}", "num_variants=2;", NULL, NULL },
	{ "{\"num_variants\":2e0}", "num_variants=2;", NULL, NULL },
	{ "{\"num_variants\":2.5}", "num_variants=2.5;", NULL, NULL },
	{ "{\"num_variants\":\"2\"}", "num_variants=2;", NULL, NULL },
	{ "{\"num_variants\":true}", "num_variants=true;", NULL, NULL },
	{ "{\"num_variants\":-0}", "num_variants=0;", NULL, NULL },
	{ "{\"render_text\":true,\"apply_branding\":false}",
	  "render_text=true;apply_branding=false;", NULL, NULL },
	{ "{\"render_text\":1}", "render_text=1;", NULL, NULL },
	{ "{\"render_text\":\"yes\"}", "render_text=yes;", NULL, NULL },
	{ "{\"render_text\":{}}", "render_text={};", NULL, NULL },
	{ "{\"brand_kit\":{\"colors\":[]}}", "brand_kit={\"colors\":[]};",
	  NULL, NULL },
	{ "{\"brand_kit\":\"{\\\"colors\\\":[]}\"}",
	  "brand_kit={\"colors\":[]};", NULL, NULL },
	{ "{\"brand_kit\":[1]}", "brand_kit=[1];", NULL, NULL },
	{ "{\"unknown\":{\"a\":[1,null]},\"other\":1.50}",
	  "unknown={\"a\":[1,null]};other=1.50;", NULL, NULL },
	{ "{\"image_file\":{\"filename\":\"a.png\",\"content_type\":"
	  "\"image/png\",\"data\":\"aGVsbG8=\"}}",
	  "image_file:a.png:image/png:5;", NULL, NULL },
	{ "{\"image_file\":{\"data\":\"data:image/png;base64,aGVs\\nbG8=\"}}",
	  "image_file:::5;", NULL, NULL },
	{ "{\"image_file\":{\"data\":\"\"}}", "image_file:::0;", NULL, NULL },
	{ "{\"image_file\":\"aGVsbG8=\"}", "", "image_file", "dict_type" },
	{ "{\"image_file\":{}}", "", "image_file", "missing" },
	{ "{\"image_file\":{\"data\":5}}", "", "image_file", "string_type" },
	{ "{\"image_file\":{\"data\":\"aGVsb\"}}", "image_file:::0;",
	  "image_file", "value_error" },
	{ "{\"image_file\":{\"data\":\"a.b\"}}", "image_file:::0;",
	  "image_file", "value_error" },
	{ "{\"image_file\":{\"filename\":5,\"data\":\"aGVsbG8=\"}}",
	  "image_file:::5;", "image_file", "string_type" },
};

START_TEST(a_member_becomes_a_field)
{
	struct strbuf text = STRBUF_INIT(10000);
	struct json_object *body;
	int status;

	ck_ok(fill(rows[_i].body), &err);
	show(&text);
	ck_assert_str_eq(text.buf, rows[_i].form);
	ck_assert_int_eq(faults_any(&faults), rows[_i].field != NULL);
	if (rows[_i].field != NULL) {
		body = faults_body(&faults, &status);
		ck_assert_int_eq(status, 422);
		ck_assert_str_eq(at(body, "detail/0/loc/0"), "body");
		ck_assert_str_eq(at(body, "detail/0/loc/1"), rows[_i].field);
		ck_assert_str_eq(at(body, "detail/0/type"), rows[_i].type);
		ck_assert_str_eq(at(body, "detail/1"), "null");
		json_object_put(body);
	}
	strbuf_release(&text);
}
END_TEST

START_TEST(a_fault_within_a_file_is_told_with_its_place)
{
	struct json_object *body;
	int status;

	ck_ok(fill("{\"image_file\":{\"filename\":\"x\"}}"), &err);
	body = faults_body(&faults, &status);
	ck_assert_str_eq(at(body, "detail/0/loc"),
	    "[ \"body\", \"image_file\", \"data\" ]");
	json_object_put(body);
}
END_TEST

static const struct {
	const char *body, *type, *says;
} useless[] = {
	{ "", "json_invalid", "not JSON" },
	{ "{", "json_invalid", "not JSON" },
	{ "{\"a\":1}}", "json_invalid", "line 1 column 8" },
	{ "{'a':1}", "json_invalid", "not JSON" },
	{ "{\"a\":NaN}", "json_invalid", "not JSON" },
	{ "{\"a\":\"\xff\"}", "json_invalid", "not JSON" },
	{ "\xef\xbb\xbf{}", "json_invalid", "not JSON" },
	{ "[]", "dict_type", "must be a JSON object" },
	{ "null", "dict_type", "must be a JSON object" },
	{ "\"platform_name\"", "dict_type", "must be a JSON object" },
};

START_TEST(what_is_no_object_is_refused)
{
	struct json_object *body;
	int status;

	ck_fails(fill(useless[_i].body), ERR_TYPE);
	body = faults_body(&faults, &status);
	ck_assert_int_eq(status, 422);
	ck_assert_str_eq(at(body, "detail/0/loc"), "[ \"body\" ]");
	ck_assert_str_eq(at(body, "detail/0/type"), useless[_i].type);
	ck_assert_msg(strstr(at(body, "detail/0/msg"), useless[_i].says) !=
	    NULL, "%s", at(body, "detail/0/msg"));
	ck_assert_int_eq(sent.n_fields, 0);
	json_object_put(body);
}
END_TEST

/* head, n times middle, tail */
static char *
repeat(const char *head, const char *middle, int n, const char *tail)
{
	struct strbuf text = STRBUF_INIT(64 * 1024 * 1024);

	strbuf_addstr(&text, head);
	while (n-- > 0)
		strbuf_addstr(&text, middle);
	strbuf_addstr(&text, tail);
	ck_assert(!strbuf_overflowed(&text));
	return strbuf_detach(&text);
}

static const struct {
	const char *head, *middle;
	int n;
	const char *tail;
	enum err_code code;
	const char *says;
} limits[] = {
	{ "{\"a\":", "[", 40, "1", ERR_TYPE, "nested too deep" },
	{ "{\"a\":[", "1,", 5000, "1]}", ERR_TOO_LARGE, "4000 values" },
	{ "{", "\"a\":\"x\", ", 5000, "\"b\":1}", ERR_TOO_LARGE,
	  "4000 values" },
	{ "{\"a\":[", "                ", 140000, "]}", ERR_TOO_LARGE,
	  "2097152 bytes" },
	{ "{\"", "nnnnnnnnnn", 21, "\":1}", ERR_INVALID,
	  "longer than 200 bytes" },
	{ "{\"", "nnnnnnnnnn", 50000, "\":1}", ERR_INVALID,
	  "longer than 200 bytes" },
};

START_TEST(a_body_has_limits)
{
	char *text = repeat(limits[_i].head, limits[_i].middle, limits[_i].n,
	    limits[_i].tail);

	ck_fails(fill(text), limits[_i].code);
	ck_assert_msg(strstr(err.msg, limits[_i].says) != NULL, "%s",
	    err.msg);
	free(text);
}
END_TEST

START_TEST(members_are_limited_like_fields)
{
	struct strbuf text = STRBUF_INIT(100000);
	int i;

	strbuf_addch(&text, '{');
	for (i = 0; i <= FORM_MAX_FIELDS; i++)
		strbuf_addf(&text, "%s\"m%d\":1", i > 0 ? "," : "", i);
	strbuf_addch(&text, '}');
	ck_fails(fill(text.buf), ERR_INVALID);
	strbuf_release(&text);
}
END_TEST

START_TEST(a_long_text_is_refused_by_name_and_never_kept)
{
	char *text = repeat("{\"prompt\":\"", "0123456789", 50000, "\"}");
	struct json_object *body;
	int status;

	ck_ok(fill(text), &err);
	body = faults_body(&faults, &status);
	ck_assert_int_eq(status, 400);
	ck_assert_str_eq(at(body, "errors/0/field"), "prompt");
	ck_assert_str_eq(form_get(&sent, "prompt"), "-");
	json_object_put(body);
	free(text);
}
END_TEST

START_TEST(a_mark_of_ours_cannot_be_written)
{
	char *text = repeat("{\"prompt\":\"@long:0\",\"image_file\":{\"data\":\"",
	    "aGVs", 200000, "\"}}");

	ck_ok(fill(text), &err);
	ck_assert_str_eq(form_get(&sent, "prompt"), "@long:0");
	ck_assert_int_eq((int)sent.files[0].size, 600000);
	free(text);
}
END_TEST

/* A picture of more than one piece, and where its text lies does not matter. */
START_TEST(a_large_picture_is_decoded_from_where_it_lies)
{
	char *text = repeat("{\"image_file\":{\"data\":\"", "aGVs\\/+8v", 100000,
	    "\"}}");
	char first[DIGEST_HEX_MAX];

	ck_ok(json_form_fill(&sent, &run_form_shape, text, strlen(text),
	    false, SIZE_MAX, &faults, &err), &err);
	ck_assert_int_eq((int)sent.files[0].size, 600000);
	memcpy(first, sent.files[0].sha256, sizeof(first));
	form_release(&sent);
	form_init(&sent, uploads);
	ck_ok(fill(text), &err);
	ck_assert_str_eq(sent.files[0].sha256, first);
	free(text);
}
END_TEST

static const struct {
	const char *head, *tail;
} kits[] = {
	{ "{\"brand_kit\":{\"colors\":[{\"hex\":\"#fff\",\"role\":\"primary\"}],"
	  "\"logo_file_base64\":\"", "\"}}" },
	{ "{\"brand_kit\":\"{\\\"colors\\\":[{\\\"hex\\\":\\\"#fff\\\","
	  "\\\"role\\\":\\\"primary\\\"}],\\\"logo_file_base64\\\":\\\"",
	  "\\\"}\"}" },
};

START_TEST(a_kit_with_a_large_logo_is_a_field_in_a_file)
{
	char *text = repeat(kits[_i].head, "aGVs\\/+8v", 100000,
	    kits[_i].tail);
	struct brand_kit kit;

	ck_ok(fill(text), &err);
	ck_assert(!faults_any(&faults));
	ck_assert_int_eq(sent.n_fields, 1);
	ck_assert_ptr_nonnull(sent.fields[0].spill);
	ck_ok(brand_kit_read(svc.conf, &sent, true, &kit, &faults, &err),
	    &err);
	ck_assert(!faults_any(&faults));
	ck_assert_str_eq(at(kit.kit, "colors/0/hex"), "#fff");
	/* It was read: it is no picture, but base64 it is. */
	ck_assert_ptr_nonnull(strstr(kit.warning, "not a PNG"));
	brand_kit_release(&kit, uploads);
	form_release(&sent);
	ck_assert_int_eq(unit_count("data/uploads"), 0);
	free(text);
}
END_TEST

static const struct {
	const char *raw, *want;	/* NULL: refused */
} escapes[] = {
	{ "", "" },
	{ "plain \xc3\xa4", "plain \xc3\xa4" },
	{ "\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t" },
	{ "\\u0041\\u00e4\\u20AC", "A\xc3\xa4\xe2\x82\xac" },
	{ "\\ud83d\\ude00", "\xf0\x9f\x98\x80" },
	{ "\\", NULL }, { "\\x", NULL }, { "\\u12", NULL },
	{ "\\u12g4", NULL }, { "\\ud83d", NULL }, { "\\ud83dx", NULL },
	{ "\\ud83d\\u0041", NULL }, { "\\ude00", NULL },
};

START_TEST(a_string_within_a_string_is_read)
{
	struct strbuf text = STRBUF_INIT(10000);
	struct span span = { escapes[_i].raw, strlen(escapes[_i].raw), false };
	enum err_code rc = ERR_SYSTEM;
	char *name = NULL;
	int fd = -1;

	ck_ok(upload_create(uploads, &name, &fd, &err), &err);
	ck_assert(span_unescape(span, fd, &rc, &err) ==
	    (escapes[_i].want != NULL));
	ck_ok(rc, &err);
	if (escapes[_i].want != NULL) {
		ck_assert_int_eq((int)lseek(fd, 0, SEEK_SET), 0);
		ck_ok(file_read_fd(fd, 10000, &text, &err), &err);
		ck_assert_str_eq(text.buf, escapes[_i].want);
	}
	close(fd);
	unlinkat(uploads, name, 0);
	free(name);
	strbuf_release(&text);
}
END_TEST

START_TEST(the_rules_are_those_of_forms)
{
	struct json_object *answer;
	struct run_request request;
	int status;

	memset(&request, 0, sizeof(request));
	ck_ok(fill("{\"platform_name\":\"Nowhere\",\"num_variants\":9,"
	    "\"creativity_level\":0,\"unified_brief\":{\"intentType\":\"x\"}}"),
	    &err);
	ck_fails(run_form_check(svc.conf, &sent, &request, &faults, &err),
	    ERR_INVALID);
	answer = faults_body(&faults, &status);
	ck_assert_int_eq(status, 400);
	ck_assert_str_ne(at(answer, "errors/5"), "null");
	json_object_put(answer);
}
END_TEST

START_TEST(wrong_kinds_are_told_with_what_is_missing)
{
	struct json_object *answer;
	struct run_request request;
	int status;

	memset(&request, 0, sizeof(request));
	ck_ok(fill("{\"platform_name\":7,\"num_variants\":[],"
	    "\"render_text\":\"perhaps\",\"prompt\":{}}"), &err);
	ck_fails(run_form_check(svc.conf, &sent, &request, &faults, &err),
	    ERR_TYPE);
	answer = faults_body(&faults, &status);
	ck_assert_int_eq(status, 422);
	ck_assert_str_ne(at(answer, "detail/3"), "null");
	ck_assert_str_eq(at(answer, "detail/4"), "null");
	json_object_put(answer);
}
END_TEST

START_TEST(json_and_a_form_give_the_same_request)
{
	static const char body[] = "{\"platform_name\":\"" SQUARE "\","
	    "\"prompt\":\"tart\",\"num_variants\":2,\"render_text\":true,"
	    "\"template_overrides\":{\"a\":[1,true]}}";
	struct run_request *a, *b;

	ck_ok(fill(body), &err);
	a = check_fine();
	form_release(&sent);
	form_init(&sent, uploads);
	add_lines("platform_name=" SQUARE "\nprompt=tart\nnum_variants=2\n"
	    "render_text=true\ntemplate_overrides={\"a\":[1,true]}");
	b = check_fine();
	ck_assert_str_eq(a->fingerprint, b->fingerprint);
	ck_assert_str_eq(json_object_to_json_string(a->inputs),
	    json_object_to_json_string(b->inputs));
	ck_assert_str_eq(json_object_to_json_string(a->form),
	    json_object_to_json_string(b->form));
	request_free(a);
	request_free(b);
}
END_TEST

START_TEST(what_the_fuzzer_asserts_holds_for_its_corpus)
{
	static const char dir[] = TOP_SRCDIR "/tests/fuzz/corpus/json_form";
	struct strbuf text = STRBUF_INIT(1024 * 1024);
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *d = opendir(dir);
	int n = 0;

	ck_assert_ptr_nonnull(d);
	for (entry = readdir(d); entry != NULL; entry = readdir(d)) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		strbuf_reset(&text);
		ck_ok(file_read(path, 1024 * 1024, &text, &err), &err);
		LLVMFuzzerTestOneInput((const uint8_t *)text.buf, text.len);
		n++;
	}
	closedir(d);
	strbuf_release(&text);
	ck_assert_int_ge(n, 10);
}
END_TEST

TCase *
submit_json_case(void)
{
	TCase *t = tcase_create("json");

	tcase_add_checked_fixture(t, json_setup, json_teardown);
	add_rows(t, a_member_becomes_a_field, rows);
	tcase_add_test(t, a_fault_within_a_file_is_told_with_its_place);
	add_rows(t, what_is_no_object_is_refused, useless);
	add_rows(t, a_body_has_limits, limits);
	tcase_add_test(t, members_are_limited_like_fields);
	tcase_add_test(t, a_long_text_is_refused_by_name_and_never_kept);
	tcase_add_test(t, a_mark_of_ours_cannot_be_written);
	tcase_add_test(t, a_large_picture_is_decoded_from_where_it_lies);
	add_rows(t, a_kit_with_a_large_logo_is_a_field_in_a_file, kits);
	add_rows(t, a_string_within_a_string_is_read, escapes);
	tcase_add_test(t, the_rules_are_those_of_forms);
	tcase_add_test(t, wrong_kinds_are_told_with_what_is_missing);
	tcase_add_test(t, json_and_a_form_give_the_same_request);
	tcase_add_test(t, what_the_fuzzer_asserts_holds_for_its_corpus);
	return t;
}
