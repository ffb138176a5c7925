/*
 * From a form to a request: every rule and every type, each fault with its
 * field, all faults at once, and what a good form becomes.
 */
#include "tests/unit/submit_unit.h"

#include "xalloc.h"

/* --- faults ------------------------------------------------------------------------- */

#define GOOD "platform_name=" SQUARE "\nprompt=tart\n"

static const struct {
	const char *lines;
	int status;
	const char *field;	/* of the only fault */
	const char *says;	/* part of its sentence; for 422 its type */
} faulty[] = {
	/* types */
	{ "prompt=tart", 422, "platform_name", "missing" },
	{ "prompt=tart\nplatform_name=", 422, "platform_name", "missing" },
	{ GOOD "creativity_level=x", 422, "creativity_level", "int_parsing" },
	{ GOOD "creativity_level=2.0", 422, "creativity_level",
	  "int_parsing" },
	{ GOOD "creativity_level= 2", 422, "creativity_level", "int_parsing" },
	{ GOOD "num_variants=two", 422, "num_variants", "int_parsing" },
	{ GOOD "num_variants=99999999999999999999", 422, "num_variants",
	  "int_parsing" },
	{ GOOD "num_variants=0x2", 422, "num_variants", "int_parsing" },
	{ GOOD "render_text=maybe", 422, "render_text", "bool_parsing" },
	{ GOOD "render_text=2", 422, "render_text", "bool_parsing" },
	{ GOOD "apply_branding=yess", 422, "apply_branding", "bool_parsing" },
	{ GOOD "image_file=x", 422, "image_file", "value_error" },
	/* rules */
	{ "prompt=x\nplatform_name=Select Platform...", 400, "platform_name",
	  "must be one of: Instagram Post" },
	{ "prompt=x\nplatform_name=instagram post (1:1 square)", 400,
	  "platform_name", "must be one of" },
	{ "prompt=x\nplatform_name=Instagram Post", 400, "platform_name",
	  "must be one of" },
	{ GOOD "creativity_level=0", 400, "creativity_level", "1, 2 or 3" },
	{ GOOD "creativity_level=4", 400, "creativity_level", "1, 2 or 3" },
	{ GOOD "creativity_level=-1", 400, "creativity_level", "1, 2 or 3" },
	{ GOOD "num_variants=0", 400, "num_variants", "from 1 to 6" },
	{ GOOD "num_variants=7", 400, "num_variants", "from 1 to 6" },
	{ GOOD "mode=easy", 400, "mode", "easy_mode" },
	{ GOOD "mode=EASY_MODE", 400, "mode", "easy_mode" },
	{ GOOD "task_type=Select Task...", 400, "task_type", "task types" },
	{ GOOD "task_type=2", 400, "task_type", "task types" },
	{ GOOD "language=xx", 400, "language", "two-letter" },
	{ GOOD "language=eng", 400, "language", "two-letter" },
	{ GOOD "language=e", 400, "language", "two-letter" },
	{ GOOD "language=english and more", 400, "language", "two-letter" },
	{ GOOD "preset_id=6f9619ff-8b86-4d01-b42d-00cf4fc964ff", 400,
	  "preset_id", "not available" },
	{ GOOD "preset_type=style", 400, "preset_type", "STYLE_RECIPE" },
	{ GOOD "template_overrides={", 400, "template_overrides",
	  "not JSON" },
	{ GOOD "template_overrides=[]", 400, "template_overrides",
	  "must be a JSON object" },
	{ GOOD "template_overrides=null", 400, "template_overrides",
	  "must be a JSON object" },
	{ GOOD "brand_kit=x", 400, "brand_kit", "not JSON" },
	{ GOOD "brand_kit=[]", 400, "brand_kit", "must be a JSON object" },
	{ GOOD "brand_kit=null", 400, "brand_kit", "must be a JSON object" },
	{ GOOD "unified_brief=x", 400, "unified_brief", "not JSON" },
	{ GOOD "unified_brief=\"x\"", 400, "unified_brief",
	  "must be a JSON object" },
	{ GOOD "unified_brief={\"generalBrief\":\"x\"}", 400, "unified_brief",
	  "intentType" },
	{ GOOD "unified_brief={\"intentType\":\"x\",\"generalBrief\":\"x\"}",
	  400, "unified_brief", "intentType" },
	{ GOOD "unified_brief={\"intentType\":7,\"generalBrief\":\"x\"}", 400,
	  "unified_brief", "intentType" },
	{ GOOD "unified_brief={\"intentType\":\"fullGeneration\"}", 400,
	  "unified_brief", "generalBrief" },
	{ GOOD "unified_brief={\"intentType\":\"fullGeneration\","
	  "\"generalBrief\":null}", 400, "unified_brief", "generalBrief" },
	{ GOOD "unified_brief={\"intentType\":\"fullGeneration\","
	  "\"generalBrief\":\"\",\"editInstruction\":1}", 400,
	  "unified_brief", "editInstruction" },
	{ GOOD "unified_brief={\"intentType\":\"fullGeneration\","
	  "\"generalBrief\":\"\",\"textOverlay\":\"x\"}", 400,
	  "unified_brief", "textOverlay" },
	{ GOOD "unified_brief={\"intentType\":\"fullGeneration\","
	  "\"generalBrief\":\"\",\"textOverlay\":{\"raw\":[]}}", 400,
	  "unified_brief", "textOverlay.raw" },
	{ GOOD "unified_brief={\"intentType\":\"instructedEdit\","
	  "\"generalBrief\":\"x\",\"editInstruction\":\"do\"}", 400,
	  "unified_brief", "needs a picture" },
	{ GOOD "unified_brief={\"intentType\":\"logoOnly\","
	  "\"generalBrief\":\"x\"}", 400, "unified_brief", "needs a logo" },
	{ GOOD "unified_brief={\"intentType\":\"styleAdaptation\","
	  "\"generalBrief\":\"x\"}", 400, "unified_brief", "preset" },
	{ "platform_name=" SQUARE, 400, "prompt", "nothing to work from" },
	{ "platform_name=" SQUARE "\ntask_description=SALE", 400, "prompt",
	  "nothing to work from" },
	{ "platform_name=" SQUARE "\nunified_brief={\"intentType\":"
	  "\"fullGeneration\",\"generalBrief\":\"\"}", 400, "prompt",
	  "nothing to work from" },
	{ GOOD "task_description=\xff", 400, "task_description", "UTF-8" },
	{ GOOD "marketing_voice=a\xc3", 400, "marketing_voice", "UTF-8" },
	{ GOOD "adaptation_prompt=\xed\xa0\x80", 400, "adaptation_prompt",
	  "UTF-8" },
	{ GOOD "image_instruction=\xc0\xaf", 400, "image_instruction",
	  "UTF-8" },
};

START_TEST(each_fault_is_told_with_its_field)
{
	struct json_object *body;
	int status;

	add_lines(faulty[_i].lines);
	body = check_faulty(&status);
	ck_assert_msg(status == faulty[_i].status, "%s: %d %s",
	    faulty[_i].lines, status, at(body, "detail"));
	expect_only(body, status, faulty[_i].field, faulty[_i].says,
	    faulty[_i].lines);
	json_object_put(body);
}
END_TEST

START_TEST(all_broken_rules_are_told_at_once)
{
	static const char *const fields[] = { "platform_name",
		"creativity_level", "num_variants", "mode", "task_type",
		"language", "marketing_niche", "preset_id", "template_overrides",
		"brand_kit", "unified_brief", "prompt" };
	struct json_object *body;
	const char *field;
	size_t i, j, n;
	int status;

	add_lines("platform_name=x\ncreativity_level=9\nnum_variants=9\nmode=x"
	    "\ntask_type=x\nlanguage=xx\nmarketing_niche=\xff\npreset_id=x\n"
	    "template_overrides=x\nbrand_kit=x\nunified_brief=x");
	body = check_faulty(&status);
	ck_assert_int_eq(status, 400);
	n = json_len(json_at(body, "errors"));
	ck_assert_uint_eq(n, ARRAY_LEN(fields));
	for (i = 0; i < ARRAY_LEN(fields); i++) {
		for (j = 0; j < n; j++) {
			field = json_get_str(json_object_array_get_idx(
			    json_at(body, "errors"), j), "field");
			if (strcmp(field, fields[i]) == 0)
				break;
		}
		ck_assert_msg(j < n, "%s is not told", fields[i]);
	}
	json_object_put(body);
}
END_TEST

START_TEST(wrong_types_win_over_broken_rules)
{
	struct json_object *body;
	int status;

	add_lines("num_variants=x\nrender_text=x\ncreativity_level=9");
	body = check_faulty(&status);
	ck_assert_int_eq(status, 422);
	/* platform_name, num_variants, render_text. */
	ck_assert_uint_eq(json_len(json_at(body, "detail")), 3);
	ck_assert_ptr_null(json_at(body, "errors"));
	json_object_put(body);
}
END_TEST

START_TEST(a_fault_shows_what_was_sent_if_it_is_text)
{
	struct json_object *body;
	int status;

	add_lines("platform_name=" SQUARE "\nnum_variants=two\n"
	    "creativity_level=\xff\xfe");
	body = check_faulty(&status);
	ck_assert_str_eq(at(body, "detail/0/input"), "null");
	ck_assert_str_eq(at(body, "detail/1/input"), "two");
	json_object_put(body);
}
END_TEST

static const struct {
	const char *field;
	int max;
} texts[] = {
	{ "prompt", 4000 }, { "task_description", 1000 },
	{ "image_instruction", 2000 }, { "adaptation_prompt", 2000 },
	{ "marketing_audience", 300 }, { "marketing_objective", 300 },
	{ "marketing_voice", 300 }, { "marketing_niche", 300 },
};

START_TEST(texts_are_limited_in_characters_not_bytes)
{
	char *fits = many(texts[_i].max), *not = many(texts[_i].max + 1);
	struct json_object *body;
	int status;

	add_text("platform_name", SQUARE);
	add_text("prompt", "tart");
	add_text(texts[_i].field, fits);
	request_free(check_fine());
	add_text(texts[_i].field, not);
	body = check_faulty(&status);
	expect_only(body, 400, texts[_i].field, "characters", "");
	json_object_put(body);
	free(fits);
	free(not);
}
END_TEST

START_TEST(a_zero_byte_is_a_fault)
{
	struct json_object *body;
	int status;

	add_lines(GOOD);
	ck_ok(form_add(&sent, "task_description", "a\0b", 3, &err), &err);
	body = check_faulty(&status);
	expect_only(body, 400, "task_description", "zero byte", "");
	json_object_put(body);
}
END_TEST

START_TEST(a_text_sent_as_a_file_is_a_wrong_type)
{
	struct json_object *body;
	int status;

	add_lines(GOOD);
	add_file("task_description", "x.txt", "x", 1);
	body = check_faulty(&status);
	expect_only(body, 422, "task_description", "string_type", "");
	json_object_put(body);
}
END_TEST

/* --- pictures -------------------------------------------------------------------------- */

static const struct {
	const char *about;
	const char *bytes;
	size_t len;
	const char *says;
} pictures[] = {
	{ "text", "hello", 5, "not a PNG" },
	{ "nothing", "", 0, "not a PNG" },
	{ "SVG", "<svg xmlns=\"http://www.w3.org/2000/svg\"/>", 41,
	  "not a PNG" },
	{ "a PNG without its header", "\x89PNG\r\n\x1a\n", 8, "damaged" },
	{ "a JPEG without its size", "\xff\xd8\xff\xe0\0\x10JFIF\0\0\0\0\0\0",
	  16, "damaged" },
};

START_TEST(the_bytes_say_whether_it_is_a_picture)
{
	struct json_object *body;
	int status;

	add_lines(GOOD);
	add_file("image_file", "x.png", pictures[_i].bytes, pictures[_i].len);
	body = check_faulty(&status);
	expect_only(body, 400, "image_file", pictures[_i].says,
	    pictures[_i].about);
	json_object_put(body);
}
END_TEST

START_TEST(a_picture_has_limits)
{
	struct json_object *body;
	int status;

	add_lines(GOOD);
	add_png("x.png", 60000, 1000);
	request_free(check_fine());
	add_png("x.png", 60000, 1001);
	body = check_faulty(&status);
	expect_only(body, 400, "image_file", "60000 x 1001", "");
	json_object_put(body);

	svc.conf->settings.max_upload_bytes = PNG_BYTES;
	add_png("x.png", 10, 10);
	request_free(check_fine());
	svc.conf->settings.max_upload_bytes = PNG_BYTES - 1;
	body = check_faulty(&status);
	expect_only(body, 400, "image_file", "33 bytes", "");
	json_object_put(body);
}
END_TEST

START_TEST(a_browser_without_a_picture_sent_none)
{
	struct run_request *r;
	struct json_object *body;
	int status;

	add_text("platform_name", SQUARE);
	add_file("image_file", "", "", 0);
	body = check_faulty(&status);
	expect_only(body, 400, "prompt", "nothing to work from", "");
	json_object_put(body);
	add_text("prompt", "tart");
	add_text("image_instruction", "brighter");
	r = check_fine();
	ck_assert_ptr_null(r->image);
	ck_assert_str_eq(at(r->inputs, "image_reference"), "null");
	ck_assert_str_eq(at(r->form, "image_instruction"), "null");
	request_free(r);
}
END_TEST

/* P11, and what else a name can be. */
static const struct {
	const char *filename, *safe;
} names[] = {
	{ "../../x.png", "x.png" },
	{ "/etc/passwd", "passwd" },
	{ "C:\\dir\\lemon tart.png", "lemon_tart.png" },
	{ "", "uploaded_image" },
	{ "...", "uploaded_image" },
	{ "..", "uploaded_image" },
	{ ".htaccess", "htaccess" },
	{ "a\xc3\xa4.png", "a__.png" },
	{ "\xff.png", "_.png" },
	{ "a\"b;c.png", "a_b_c.png" },
};

START_TEST(a_picture_has_a_safe_name)
{
	char *stored = xasprintf("input_%s", names[_i].safe);
	struct run_request *r;

	add_lines(GOOD);
	add_png(names[_i].filename, 10, 20);
	r = check_fine();
	ck_assert_str_eq(r->image_name, names[_i].safe);
	ck_assert_str_eq(at(r->form, "image_filename"), names[_i].safe);
	ck_assert_str_eq(at(r->form, "has_image_reference"), "true");
	ck_assert_str_eq(at(r->inputs,
	    "image_reference/saved_image_path_in_run_dir"), stored);
	ck_assert_str_eq(at(r->inputs, "image_reference/content_type"),
	    "image/png");
	ck_assert_str_eq(at(r->inputs, "image_reference/size_bytes"), "33");
	ck_assert_str_eq(at(r->inputs, "image_reference/width"), "10");
	ck_assert_str_eq(at(r->inputs, "image_reference/height"), "20");
	/* What was sent is kept, if it is text. */
	ck_assert_str_eq(at(r->inputs, "image_reference/filename"),
	    names[_i].filename[0] == '\xff' ? names[_i].safe :
	    names[_i].filename);
	request_free(r);
	free(stored);
}
END_TEST

/* --- good forms -------------------------------------------------------------------------- */

static const struct {
	const char *lines;
	const char *path, *want;	/* in the inputs */
} accepted[] = {
	{ GOOD, "creativity_level", "2" },
	{ GOOD, "num_variants", "3" },
	{ GOOD, "language", "en" },
	{ GOOD, "mode", "easy_mode" },
	{ GOOD, "pipeline_mode", "generation" },
	{ GOOD, "render_text", "false" },
	{ GOOD, "apply_branding", "false" },
	{ GOOD, "task_type", "null" },
	{ GOOD, "task_description", "null" },
	{ GOOD, "marketing_goals", "null" },
	{ GOOD, "image_reference", "null" },
	{ GOOD, "brand_kit", "null" },
	{ GOOD, "unified_brief", "null" },
	{ GOOD, "brief_intent", "null" },
	{ GOOD, "preset_id", "null" },
	{ GOOD, "skip_stages", "[ ]" },
	{ GOOD, "submit_warnings", "[ ]" },
	{ GOOD, "target_platform/name", SQUARE },
	{ GOOD, "target_platform/resolution_details/width", "1080" },
	{ GOOD, "target_platform/resolution_details/aspect_ratio", "1:1" },
	{ GOOD "creativity_level=1\nnum_variants=6", "num_variants", "6" },
	{ GOOD "creativity_level=+3", "creativity_level", "3" },
	{ GOOD "creativity_level=\nnum_variants=", "num_variants", "3" },
	{ GOOD "num_variants=1\nnum_variants=2", "num_variants", "2" },
	{ GOOD "render_text=TRUE", "render_text", "true" },
	{ GOOD "render_text=t", "render_text", "true" },
	{ GOOD "render_text=Yes", "render_text", "true" },
	{ GOOD "render_text=y", "render_text", "true" },
	{ GOOD "render_text=ON", "render_text", "true" },
	{ GOOD "render_text=1", "render_text", "true" },
	{ GOOD "render_text=off", "render_text", "false" },
	{ GOOD "render_text=N", "render_text", "false" },
	{ GOOD "render_text=", "render_text", "false" },
	{ GOOD "language=ES", "language", "es" },
	{ GOOD "language=zh", "language", "zh" },
	{ GOOD "language=", "language", "en" },
	{ GOOD "task_type=4. Menu Spotlights", "mode", "task_specific_mode" },
	{ GOOD "marketing_voice=warm", "mode", "custom_mode" },
	{ GOOD "marketing_voice=warm\ntask_type=4. Menu Spotlights", "mode",
	  "task_specific_mode" },
	{ GOOD "marketing_voice=", "mode", "easy_mode" },
	{ GOOD "mode=custom_mode", "mode", "custom_mode" },
	{ GOOD "mode=easy_mode\ntask_type=4. Menu Spotlights", "mode",
	  "easy_mode" },
	{ GOOD "marketing_audience=A\nmarketing_voice=V",
	  "marketing_goals/target_audience", "A" },
	{ GOOD "marketing_audience=A\nmarketing_voice=V",
	  "marketing_goals/voice", "V" },
	{ GOOD "marketing_audience=A", "marketing_goals/niche", "null" },
	{ GOOD "image_instruction=brighter", "image_reference", "null" },
	{ GOOD "unknown=x\nimage_file=", "prompt", "tart" },
	{ "platform_name=" SQUARE "\nprompt= ", "prompt", " " },
	{ GOOD "brand_kit={}", "brand_kit", "null" },
	{ GOOD "preset_type=STYLE_RECIPE", "preset_type", "null" },
	{ GOOD "template_overrides={\"prompt\":\"x\"}", "template_overrides",
	  "null" },
};

START_TEST(a_good_form_becomes_inputs)
{
	struct run_request *r;

	add_lines(accepted[_i].lines);
	r = check_fine();
	ck_assert_msg(strcmp(at(r->inputs, accepted[_i].path),
	    accepted[_i].want) == 0, "%s: %s is %s", accepted[_i].lines,
	    accepted[_i].path, at(r->inputs, accepted[_i].path));
	ck_assert_str_eq(r->mode, at(r->inputs, "mode"));
	request_free(r);
}
END_TEST

START_TEST(the_run_detail_shows_the_form_as_it_was_sent)
{
	struct run_request *r;

	add_lines(GOOD "task_description=SALE\nlanguage=ES\nrender_text=yes\n"
	    "marketing_niche=cafes\nadaptation_prompt=bluer\n"
	    "template_overrides={\"a\":1}\nimage_instruction=brighter");
	add_png("x.png", 10, 10);
	r = check_fine();
	ck_assert_str_eq(at(r->form, "prompt"), "tart");
	ck_assert_str_eq(at(r->form, "task_description"), "SALE");
	ck_assert_str_eq(at(r->form, "language"), "es");
	ck_assert_str_eq(at(r->form, "render_text"), "true");
	ck_assert_str_eq(at(r->form, "marketing_niche"), "cafes");
	ck_assert_str_eq(at(r->form, "adaptation_prompt"), "bluer");
	ck_assert_str_eq(at(r->form, "template_overrides/a"), "1");
	ck_assert_str_eq(at(r->form, "image_instruction"), "brighter");
	ck_assert_str_eq(at(r->form, "image_filename"), "x.png");
	ck_assert_str_eq(at(r->inputs, "image_reference/instruction"),
	    "brighter");
	request_free(r);
}
END_TEST

/* --- the same request -------------------------------------------------------------------- */

/* The fingerprint of the form; the form is emptied. */
static void
take_fingerprint(char out[65])
{
	struct run_request *r = check_fine();

	memcpy(out, r->fingerprint, 65);
	request_free(r);
	form_release(&sent);
}

START_TEST(a_fingerprint_is_of_the_content)
{
	static const char *const others[] = {
		GOOD "task_description=x",
		"platform_name=" SQUARE "\nprompt=tarts",
		"platform_name=" SQUARE "\nprompt=tar\nadaptation_prompt=t",
		GOOD "unknown=x",
	};
	char first[65], again[65], seen[ARRAY_LEN(others)][65];
	size_t i, j;

	add_lines(GOOD);
	take_fingerprint(first);
	/* Another request of the same content; empty is not sent. */
	add_lines(GOOD "task_description=");
	take_fingerprint(again);
	ck_assert_str_eq(first, again);
	for (i = 0; i < ARRAY_LEN(others); i++) {
		add_lines(others[i]);
		take_fingerprint(seen[i]);
		ck_assert_str_ne(seen[i], first);
		for (j = 0; j < i; j++)
			ck_assert_str_ne(seen[i], seen[j]);
	}
}
END_TEST

START_TEST(a_fingerprint_covers_files)
{
	char none[65], first[65], again[65], other[65], renamed[65];

	add_lines(GOOD);
	take_fingerprint(none);
	add_lines(GOOD);
	add_png("x.png", 10, 10);
	take_fingerprint(first);
	add_lines(GOOD);
	add_png("x.png", 10, 10);
	take_fingerprint(again);
	add_lines(GOOD);
	add_png("x.png", 10, 11);
	take_fingerprint(other);
	add_lines(GOOD);
	add_png("y.png", 10, 10);
	take_fingerprint(renamed);
	ck_assert_str_eq(first, again);
	ck_assert_str_ne(first, none);
	ck_assert_str_ne(first, other);
	ck_assert_str_ne(first, renamed);
}
END_TEST

TCase *
submit_form_case(void)
{
	TCase *t = tcase_create("forms");

	tcase_add_checked_fixture(t, unit_setup, unit_teardown);
	add_rows(t, each_fault_is_told_with_its_field, faulty);
	tcase_add_test(t, all_broken_rules_are_told_at_once);
	tcase_add_test(t, wrong_types_win_over_broken_rules);
	tcase_add_test(t, a_fault_shows_what_was_sent_if_it_is_text);
	add_rows(t, texts_are_limited_in_characters_not_bytes, texts);
	tcase_add_test(t, a_zero_byte_is_a_fault);
	tcase_add_test(t, a_text_sent_as_a_file_is_a_wrong_type);
	add_rows(t, the_bytes_say_whether_it_is_a_picture, pictures);
	tcase_add_test(t, a_picture_has_limits);
	tcase_add_test(t, a_browser_without_a_picture_sent_none);
	add_rows(t, a_picture_has_a_safe_name, names);
	add_rows(t, a_good_form_becomes_inputs, accepted);
	tcase_add_test(t, the_run_detail_shows_the_form_as_it_was_sent);
	tcase_add_test(t, a_fingerprint_is_of_the_content);
	tcase_add_test(t, a_fingerprint_covers_files);
	return t;
}
