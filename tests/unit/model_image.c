/*
 * Pictures on both wires: what is sent, where they go, what else may come.
 */
#include <unistd.h>

#include "tests/unit/model_test.h"

#include "clock.h"
#include "digest.h"
#include "xalloc.h"

#define BIG 300000
#define SMALL 1000

#define USAGE_OPENAI "\"usage\":{\"input_tokens\":50,\"output_tokens\":1056," \
	"\"total_tokens\":1106,\"input_tokens_details\":" \
	"{\"text_tokens\":20,\"image_tokens\":30}}"
#define USAGE_GEMINI "\"usageMetadata\":{\"promptTokenCount\":20," \
	"\"candidatesTokenCount\":1290,\"totalTokenCount\":1310}"

static const char *
openai_picture(size_t n)
{
	struct strbuf sb = STRBUF_INIT(8 * MB);

	strbuf_addstr(&sb, "{\"created\":1,\"data\":[{\"b64_json\":\"");
	base64_add(&sb, png(n), n);
	strbuf_addstr(&sb, "\"}]," USAGE_OPENAI "}");
	return kept(strbuf_detach(&sb));
}

static const char *
gemini_picture(size_t n)
{
	struct strbuf sb = STRBUF_INIT(8 * MB);

	strbuf_addstr(&sb, "{\"candidates\":[{\"content\":{\"parts\":["
	    "{\"text\":\"Here it is.\"},{\"inlineData\":{\"mimeType\":"
	    "\"image/png\",\"data\":\"");
	base64_add(&sb, png(n), n);
	strbuf_addstr(&sb, "\"}},{\"inlineData\":{\"mimeType\":\"image/png\","
	    "\"data\":\"AAAA\"}}]},\"finishReason\":\"STOP\"}]," USAGE_GEMINI
	    "}");
	return kept(strbuf_detach(&sb));
}

static void
use_gemini(void)
{
	struct purpose *p = &rig.conf.purposes[PURPOSE_IMAGE_GENERATION];

	p->provider = &rig.providers[1];
	p->model = &rig.models[MODEL_GEMINI];
}

static struct image_request
with_inputs(int n)
{
	struct image_request r = image_request();

	put_file("ref.png", png(3000), 3000);
	put_file("logo.png", png(700), 700);
	r.inputs[0] = (struct call_image){ .path = "ref.png",
	    .mime = "image/png", .width = 1024, .height = 1024 };
	r.inputs[1] = (struct call_image){ .path = "logo.png",
	    .mime = "image/png", .width = 100, .height = 100 };
	r.n_inputs = n;
	r.has_logo = n == 2;
	return r;
}

/* The row of the last attempt; to be released. */
static struct call_row
last_row(void)
{
	struct call_list l;
	struct call_row r;

	ck_ok(store_find_calls(rig.store, rig.job_id, "image_generation", 2,
	    "image_generation", &l, &rig.err), &rig.err);
	ck_assert_int_gt(l.n, 0);
	r = l.rows[l.n - 1];
	memset(&l.rows[l.n - 1], 0, sizeof(r));
	call_list_release(&l);
	return r;
}

/* --- OpenAI -------------------------------------------------------------- */

START_TEST(a_generated_picture_becomes_the_file_of_its_row)
{
	size_t size = _i == 0 ? BIG : SMALL;
	struct json_object *o;
	struct call_row r;
	char name[80];

	say(openai_picture(size), 200);
	draw(ERR_OK);
	r = last_row();
	snprintf(name, sizeof(name), "calls/%s.0", r.id);
	ck_assert_str_eq(rig.image.file, name);
	ck_assert(file_is(name, png(size), size));
	ck_assert_ptr_nonnull(strstr(r.blobs, name));
	ck_assert_ptr_nonnull(strstr(r.answer, "@blob:0"));
	ck_assert_int_lt((int)strlen(r.answer), 500);
	ck_assert_str_eq(rig.image.provider, "main");
	ck_assert_str_eq(rig.image.model, "gpt-image-1");
	ck_assert_int_eq(rig.image.wire, WIRE_OPENAI);
	ck_assert_str_eq(rig.image.aspect, "1:1");
	ck_assert_str_eq(rig.image.size, "1024x1024");
	ck_assert_str_eq(rig.image.quality, "medium");
	/* 20 * 5 + 30 * 5 + 1056 * 40 dollars a million */
	ck_assert_int_eq((int)rig.image.cost_nano, 42490000);
	ck_assert_int_eq((int)r.image_out_tokens, 1056);
	o = sent_json(0);
	ck_assert_str_eq(peer_request(rig.peer, 0)->path,
	    "/v1/images/generations");
	ck_assert_str_eq(json_get_str(o, "prompt"), "A \"tart\" on a plate");
	ck_assert_str_eq(json_get_str(o, "size"), "1024x1024");
	ck_assert_str_eq(json_get_str(o, "quality"), "medium");
	ck_assert_int_eq((int)json_get_int(o, "n", 0), 1);
	json_object_put(o);
	call_row_release(&r);
}
END_TEST

START_TEST(an_edit_is_multipart_with_the_bytes_of_the_files)
{
	struct image_request req = with_inputs(_i + 1);
	const struct peer_request *sent;
	char want[200];

	req.aspect = "2:3";
	req.quality = "high";
	say(openai_picture(BIG), 200);
	draw_this(&req, ERR_OK);
	sent = peer_request(rig.peer, 0);
	ck_assert_str_eq(sent->path, "/v1/images/edits");
	snprintf(want, sizeof(want), "multipart/form-data; boundary=churns-%s",
	    sent->key);
	ck_assert_str_eq(sent->type, want);
	ck_assert(sent_has(0, "name=\"prompt\"\r\n\r\nA \"tart\" on a plate\r\n"));
	ck_assert(sent_has(0, "name=\"model\"\r\n\r\ngpt-image-1\r\n"));
	ck_assert(sent_has(0, "name=\"size\"\r\n\r\n1024x1536\r\n"));
	ck_assert(sent_has(0, "name=\"quality\"\r\n\r\nhigh\r\n"));
	ck_assert(sent_has(0, "name=\"input_fidelity\"\r\n\r\nhigh\r\n"));
	ck_assert(sent_has(0, _i == 0 ? "name=\"image\"; filename=" :
	    "name=\"image[]\"; filename=\"image2.png\""));
	ck_assert_ptr_nonnull(memmem(sent->body, sent->len, png(3000), 3000));
	if (_i == 1)
		ck_assert_ptr_nonnull(memmem(sent->body, sent->len, png(700),
		    700));
	snprintf(want, sizeof(want), "\r\n--churns-%s--\r\n", sent->key);
	ck_assert_str_eq(sent->body + sent->len - strlen(want), want);
	ck_assert(!rig.image.logo_left_out);
}
END_TEST

START_TEST(a_mask_goes_behind_the_pictures_and_fidelity_as_asked)
{
	struct image_request req = with_inputs(2);
	const struct peer_request *sent;
	const char *mask, *last;

	req.mask = req.inputs[1].path;
	req.fidelity = "low";
	say(openai_picture(BIG), 200);
	draw_this(&req, ERR_OK);
	sent = peer_request(rig.peer, 0);
	ck_assert(sent_has(0, "name=\"input_fidelity\"\r\n\r\nlow\r\n"));
	mask = memmem(sent->body, sent->len,
	    "name=\"mask\"; filename=\"mask.png\"", 32);
	last = memmem(sent->body, sent->len, "filename=\"image2.png\"", 21);
	ck_assert_ptr_nonnull(mask);
	ck_assert_ptr_nonnull(last);
	ck_assert(mask > last);
	ck_assert_ptr_nonnull(memmem(mask, sent->len -
	    (size_t)(mask - sent->body), png(700), 700));
}
END_TEST

START_TEST(a_picture_may_come_as_an_address)
{
	char body[300];

	snprintf(body, sizeof(body), "{\"data\":[{\"url\":\"%s/p.png\"}],"
	    USAGE_OPENAI "}", peer_url(rig.peer));
	say(body, 200);
	say("", 503);
	say_step((struct peer_step){ .body = (const char *)png(BIG),
	    .len = BIG });
	draw(ERR_OK);
	ck_assert(file_is(rig.image.file, png(BIG), BIG));
	ck_assert_str_eq(peer_request(rig.peer, 2)->method, "GET");
	ck_assert_str_eq(peer_request(rig.peer, 2)->path, "/p.png");
	/* Our key is for the provider, not for its file server. */
	ck_assert_str_eq(peer_request(rig.peer, 2)->authorization, "");
	ledger_is("ANSWERED/1");
	/* A later life uses the file that is there. */
	rig_restart();
	draw(ERR_OK);
	ck_assert(file_is(rig.image.file, png(BIG), BIG));
	ck_assert_int_eq(peer_count(rig.peer), 3);
}
END_TEST

static const char *const bad_urls[] = { "file:///etc/passwd",
	"ftp://127.0.0.1/x", "//127.0.0.1/x", "data:image/png;base64,AAAA" };

START_TEST(other_addresses_are_not_fetched)
{
	char body[300];

	snprintf(body, sizeof(body), "{\"data\":[{\"url\":\"%s\"}]}",
	    bad_urls[_i]);
	say(body, 200);
	draw(ERR_MODEL);
	fault_is(FAULT_NO_IMAGE);
	ck_assert_int_eq(peer_count(rig.peer), 2);
	ledger_is("ANSWERED/1 ANSWERED/2");
}
END_TEST

START_TEST(a_redirected_picture_is_no_picture)
{
	char body[300];

	rig.conf.settings.max_retries = 0;
	snprintf(body, sizeof(body), "{\"data\":[{\"url\":\"%s/p\"}]}",
	    peer_url(rig.peer));
	say(body, 200);
	say_step((struct peer_step){ .status = 302,
	    .headers = { "Location: /else" } });
	say("", 302);
	say(openai_picture(SMALL), 200);
	draw(ERR_OK);
	ledger_is("ANSWERED/1 ANSWERED/2");
	ck_assert_int_eq(peer_count(rig.peer), 4);
}
END_TEST

START_TEST(a_refusal_of_a_picture_is_final)
{
	say("{\"error\":{\"code\":\"moderation_blocked\",\"message\":\"x\"}}",
	    400);
	draw(ERR_MODEL);
	fault_is(FAULT_CONTENT_POLICY);
	ck_assert_int_eq(peer_count(rig.peer), 1);
}
END_TEST

static const struct {
	const char *message;
	bool about_two;
} rejections[] = {
	{ "Invalid type for 'image': expected a file, but got an array.",
	    true },
	{ "This model does not support multiple images.", true },
	{ "Only one image is supported.", true },
	{ "image[]: too many images", true },
	{ "Unsupported image format.", false },
	{ "Invalid size.", false },
};

START_TEST(the_logo_is_left_out_only_when_the_provider_says_so)
{
	struct image_request req = with_inputs(2);
	struct strbuf sb = STRBUF_INIT(1000);

	strbuf_addf(&sb, "{\"error\":{\"message\":\"%s\"}}",
	    rejections[_i].message);
	say(sb.buf, 400);
	say(openai_picture(SMALL), 200);
	if (!rejections[_i].about_two) {
		draw_this(&req, ERR_MODEL);
		fault_is(FAULT_BAD_REQUEST);
		ck_assert_int_eq(peer_count(rig.peer), 1);
		strbuf_release(&sb);
		return;
	}
	draw_this(&req, ERR_OK);
	ck_assert(rig.image.logo_left_out);
	notes_are("logo_left_out");
	ledger_is("FAILED/1 ANSWERED/2");
	ck_assert(sent_has(1, "name=\"image\"; filename"));
	/* Known from now on. */
	req.variant = 3;
	draw_this(&req, ERR_OK);
	ck_assert_int_eq(peer_count(rig.peer), 3);
	strbuf_release(&sb);
}
END_TEST

START_TEST(an_error_with_two_pictures_is_retried_with_two)
{
	struct image_request req = with_inputs(2);

	say("", 500);
	say(openai_picture(SMALL), 200);
	draw_this(&req, ERR_OK);
	ck_assert(!rig.image.logo_left_out);
	ck_assert(sent_has(1, "image[]"));
}
END_TEST

/* --- Gemini -------------------------------------------------------------- */

START_TEST(gemini_draws_with_parts)
{
	struct image_request req = with_inputs(2);
	struct strbuf want = STRBUF_INIT(MB);
	struct json_object *o;

	use_gemini();
	req.aspect = "9:16";
	say(gemini_picture(BIG), 200);
	draw_this(&req, ERR_OK);
	ck_assert(file_is(rig.image.file, png(BIG), BIG));
	ck_assert_str_eq(peer_request(rig.peer, 0)->path,
	    "/v1/models/gemini-image:generateContent");
	ck_assert_str_eq(peer_request(rig.peer, 0)->authorization,
	    "sk-secret-key-of-the-tests");
	o = sent_json(0);
	ck_assert_str_eq(json_get_str(json_at(o, "contents/0/parts/0"),
	    "text"), "A \"tart\" on a plate");
	base64_add(&want, png(3000), 3000);
	ck_assert_str_eq(json_get_str(json_at(o,
	    "contents/0/parts/1/inlineData"), "data"), want.buf);
	ck_assert_str_eq(json_get_str(json_at(o,
	    "contents/0/parts/2/inlineData"), "mimeType"), "image/png");
	ck_assert_str_eq(json_get_str(json_at(o,
	    "generationConfig/imageConfig"), "aspectRatio"), "9:16");
	json_object_put(o);
	ck_assert_str_eq(rig.image.quality, "default");
	ck_assert_ptr_null(rig.image.size);
	ck_assert_int_eq(rig.image.wire, WIRE_GEMINI);
	/* 20 * 0.3 + 1290 * 30 dollars a million */
	ck_assert_int_eq((int)rig.image.cost_nano, 38706000);
	strbuf_release(&want);
}
END_TEST

START_TEST(a_refused_aspect_is_left_out_and_remembered)
{
	struct image_request req = image_request();

	use_gemini();
	say("{\"error\":{\"code\":400,\"status\":\"INVALID_ARGUMENT\","
	    "\"message\":\"Unknown name \\\"imageConfig\\\"\"}}", 400);
	say(gemini_picture(SMALL), 200);
	draw_this(&req, ERR_OK);
	ck_assert(!sent_has(1, "imageConfig"));
	ledger_is("FAILED/1 ANSWERED/2");
	req.variant = 3;
	draw_this(&req, ERR_OK);
	ck_assert(!sent_has(2, "imageConfig"));
}
END_TEST

START_TEST(text_and_picture_give_the_picture)
{
	use_gemini();	/* I25 */
	say(gemini_picture(SMALL), 200);
	draw(ERR_OK);
	ck_assert(file_is(rig.image.file, png(SMALL), SMALL));
}
END_TEST

START_TEST(text_alone_is_asked_once_more)
{
	use_gemini();	/* I26 */
	say("{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"I would "
	    "draw a tart.\"}]},\"finishReason\":\"STOP\"}]," USAGE_GEMINI "}",
	    200);
	draw(ERR_MODEL);
	fault_is(FAULT_NO_IMAGE);
	ck_assert_int_eq(peer_count(rig.peer), 2);
	ledger_is("ANSWERED/1 ANSWERED/2");
	ck_assert_int_gt((int)ledger_cost(), 0);
	ck_assert_str_ne(peer_request(rig.peer, 0)->key,
	    peer_request(rig.peer, 1)->key);
}
END_TEST

static const struct {
	const char *body;
	enum model_fault fault;
} refused[] = {
	{ "{\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}",
	    FAULT_CONTENT_POLICY },
	{ "{\"candidates\":[{\"finishReason\":\"IMAGE_SAFETY\"}]}",
	    FAULT_CONTENT_POLICY },
	{ "{\"candidates\":[{\"finishReason\":\"PROHIBITED_CONTENT\","
	    "\"content\":{\"parts\":[{\"text\":\"no\"}]}}]}",
	    FAULT_CONTENT_POLICY },
	{ "{\"candidates\":[{\"finishReason\":\"NO_IMAGE\"}]}",
	    FAULT_NO_IMAGE },
	{ "{\"candidates\":[]}", FAULT_NO_IMAGE },
};

START_TEST(gemini_refuses_within_a_success)
{
	use_gemini();
	say(refused[_i].body, 200);
	draw(ERR_MODEL);
	fault_is(refused[_i].fault);
	ck_assert_int_eq(peer_count(rig.peer),
	    refused[_i].fault == FAULT_NO_IMAGE ? 2 : 1);
}
END_TEST

/* --- what is no picture -------------------------------------------------- */

/* An answer whose "picture" is this text, repeated up to n bytes. */
static const char *
odd_picture(const char *text, size_t n)
{
	struct strbuf sb = STRBUF_INIT(MB);

	strbuf_addstr(&sb, "{\"data\":[{\"b64_json\":\"");
	do {
		strbuf_addstr(&sb, text);
	} while (sb.len < n);
	strbuf_addstr(&sb, "\"}]}");
	return kept(strbuf_detach(&sb));
}

static const struct {
	const char *about, *text;
	size_t n;
} odd[] = {
	{ "short, other bytes", "AAAA", 0 },
	{ "short, no base64", "???", 0 },
	{ "long, other bytes", "AAAA", 100000 },
	{ "long, no base64", "????", 100000 },
	{ "a name of a file that is not there", "@blob:0", 0 },
	{ "a path", "@blob:0/../../x", 0 },
};

START_TEST(what_is_no_picture_is_asked_once_more)
{
	say(odd_picture(odd[_i].text, odd[_i].n), 200);
	say(openai_picture(SMALL), 200);
	draw(ERR_OK);
	ledger_is("ANSWERED/1 ANSWERED/2");
	ck_assert(file_is(rig.image.file, png(SMALL), SMALL));
}
END_TEST

/* Who decodes: refuses as many as he is told to, then takes what comes. */
struct decoder {
	int refuses;
	enum err_code with;
	int seen;
	char file[80], model[64];
};

static enum err_code
decode(void *arg, const struct picture_offer *p, struct err *e)
{
	struct decoder *d = arg;

	d->seen++;
	snprintf(d->file, sizeof(d->file), "%s", p->file);
	snprintf(d->model, sizeof(d->model), "%s", p->model);
	if (d->seen <= d->refuses)
		return err_set(e, d->with, "it ends in the middle");
	return ERR_OK;
}

START_TEST(a_picture_that_cannot_be_decoded_is_asked_for_once_more)
{
	struct image_request req = image_request();
	struct decoder d = { .refuses = 1, .with = ERR_INVALID };

	req.judge = decode;
	req.judge_arg = &d;
	say(openai_picture(SMALL), 200);
	say(openai_picture(BIG), 200);
	draw_this(&req, ERR_OK);
	ledger_is("ANSWERED/1 ANSWERED/2");
	ck_assert_int_eq(d.seen, 2);
	ck_assert_str_eq(d.file, rig.image.file);
	ck_assert_str_eq(d.model, "gpt-image-1");
	ck_assert(file_is(rig.image.file, png(BIG), BIG));
	ck_assert_int_eq((int)rig.image.cost_nano, (int)ledger_cost());
}
END_TEST

START_TEST(two_pictures_that_cannot_be_decoded_are_the_end)
{
	struct image_request req = image_request();
	struct decoder d = { .refuses = 9, .with = ERR_INVALID };
	int lives;

	req.judge = decode;
	req.judge_arg = &d;
	say(openai_picture(SMALL), 200);
	for (lives = 1; lives <= 2; lives++) {
		draw_this(&req, ERR_MODEL);
		fault_is(FAULT_NO_IMAGE);
		ck_assert_ptr_nonnull(strstr(rig.err.msg,
		    "it ends in the middle"));
		ck_assert_int_eq(d.seen, 2 * lives);
		ck_assert_int_eq(peer_count(rig.peer), 2);
		rig_restart();
	}
	ledger_is("ANSWERED/1 ANSWERED/2");
}
END_TEST

START_TEST(trouble_while_decoding_is_not_the_providers)
{
	struct image_request req = image_request();
	struct decoder d = { .refuses = 1, .with = ERR_FULL };

	req.judge = decode;
	req.judge_arg = &d;
	say(openai_picture(SMALL), 200);
	draw_this(&req, ERR_FULL);
	ck_assert_str_eq(rig.err.msg, "it ends in the middle");
	rig_restart();
	draw_this(&req, ERR_OK);	/* what was paid for is still there */
	ck_assert_int_eq(peer_count(rig.peer), 1);
	ledger_is("ANSWERED/1");
}
END_TEST

START_TEST(a_broken_base64_that_begins_like_a_picture_is_none)
{
	struct strbuf sb = STRBUF_INIT(8 * MB);

	strbuf_addstr(&sb, "{\"data\":[{\"b64_json\":\"");
	base64_add(&sb, png(BIG), BIG);
	strbuf_addstr(&sb, "!!\"}]}");
	say(kept(strbuf_detach(&sb)), 200);
	say(openai_picture(SMALL), 200);
	draw(ERR_OK);
	ck_assert_int_eq(rig.image.attempts, 2);
}
END_TEST

START_TEST(a_picture_cut_off_is_unknown)
{
	say_step((struct peer_step){ .body = openai_picture(BIG),
	    .way = PEER_CUT, .cut = 200000 });
	say(openai_picture(BIG), 200);
	draw(ERR_OK);
	ledger_is("UNKNOWN/1 ANSWERED/1");
	notes_are("call_unknown");
}
END_TEST

START_TEST(a_picture_that_cannot_be_written_is_booked_as_unknown)
{
	put_file("calls", "a file where the directory should be", 5);
	say(openai_picture(_i == 0 ? BIG : SMALL), 200);
	draw(ERR_SYSTEM);
	ck_assert_int_eq(peer_count(rig.peer), 1);
	ledger_is("UNKNOWN/1");
	/* What arrived inside the text has told its price. */
	ck_assert(_i == 0 || ledger_cost() == 42490000);
	/* With the directory in order, the job goes on. */
	ck_assert_int_eq(unlinkat(rig.run_dirfd, "calls", 0), 0);
	rig_restart();
	draw(ERR_OK);
	ledger_is("UNKNOWN/1 ANSWERED/1");
	notes_are("call_unknown");
}
END_TEST

/* --- requests that cannot be --------------------------------------------- */

START_TEST(a_prompt_over_the_limit_is_refused_here)
{
	struct image_request req = image_request();
	char *prompt = xmalloc(2 * (MAX_IMAGE_PROMPT_CHARS + 1) + 1);
	int i;

	for (i = 0; i < 2 * (MAX_IMAGE_PROMPT_CHARS + 1); i++)
		prompt[i] = "\xc3\xa4"[i % 2];
	prompt[i] = '\0';
	req.prompt = prompt;
	draw_this(&req, ERR_MODEL);
	fault_is(FAULT_BAD_REQUEST);
	prompt[i - 2] = '\0';	/* characters count, not bytes */
	say(openai_picture(SMALL), 200);
	draw_this(&req, ERR_OK);
	free(prompt);
}
END_TEST

START_TEST(a_model_for_one_picture_gets_one)
{
	struct image_request req = with_inputs(2);

	rig.models[MODEL_GPT_IMAGE].takes_two_images = false;
	say(openai_picture(SMALL), 200);
	draw_this(&req, ERR_OK);
	ck_assert(rig.image.logo_left_out);
	ck_assert(sent_has(0, "name=\"image\"; filename"));
	notes_are("logo_left_out");
}
END_TEST

START_TEST(the_fall_back_may_speak_another_wire)
{
	struct purpose *p = &rig.conf.purposes[PURPOSE_IMAGE_GENERATION];
	struct image_request req = with_inputs(1);

	p->fallback_provider = &rig.providers[1];
	p->fallback_model = &rig.models[MODEL_GEMINI];
	req.aspect = "9:16";
	say("", 401);
	say(gemini_picture(BIG), 200);
	draw_this(&req, ERR_OK);
	ck_assert_str_eq(rig.image.model, "gemini-image");
	ck_assert_str_eq(rig.image.aspect, "9:16");
	ck_assert_str_eq(rig.image.quality, "default");
	ck_assert(file_is(rig.image.file, png(BIG), BIG));
	notes_are("fallback_model");
	/* And again from the ledger alone. */
	rig_restart();
	draw_this(&req, ERR_OK);
	ck_assert_str_eq(rig.image.model, "gemini-image");
	ck_assert_int_eq(peer_count(rig.peer), 2);
}
END_TEST

static void
add_cases(Suite *s)
{
	TCase *t = tcase_create("no picture");

	tcase_add_checked_fixture(t, rig_setup, rig_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, what_is_no_picture_is_asked_once_more, 0,
	    ARRAY_LEN(odd));
	tcase_add_test(t,
	    a_picture_that_cannot_be_decoded_is_asked_for_once_more);
	tcase_add_test(t, two_pictures_that_cannot_be_decoded_are_the_end);
	tcase_add_test(t, trouble_while_decoding_is_not_the_providers);
	tcase_add_test(t, a_broken_base64_that_begins_like_a_picture_is_none);
	tcase_add_test(t, a_picture_cut_off_is_unknown);
	tcase_add_loop_test(t,
	    a_picture_that_cannot_be_written_is_booked_as_unknown, 0, 2);
	tcase_add_test(t, a_prompt_over_the_limit_is_refused_here);
	tcase_add_test(t, a_model_for_one_picture_gets_one);
	tcase_add_test(t, the_fall_back_may_speak_another_wire);
	suite_add_tcase(s, t);
}

Suite *
suite_image(void)
{
	Suite *s = suite_create("image");
	TCase *t = tcase_create("pictures");

	tcase_add_checked_fixture(t, rig_setup, rig_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, a_generated_picture_becomes_the_file_of_its_row,
	    0, 2);
	tcase_add_loop_test(t, an_edit_is_multipart_with_the_bytes_of_the_files,
	    0, 2);
	tcase_add_test(t,
	    a_mask_goes_behind_the_pictures_and_fidelity_as_asked);
	tcase_add_test(t, a_picture_may_come_as_an_address);
	tcase_add_loop_test(t, other_addresses_are_not_fetched, 0,
	    ARRAY_LEN(bad_urls));
	tcase_add_test(t, a_redirected_picture_is_no_picture);
	tcase_add_test(t, a_refusal_of_a_picture_is_final);
	tcase_add_loop_test(t,
	    the_logo_is_left_out_only_when_the_provider_says_so, 0,
	    ARRAY_LEN(rejections));
	tcase_add_test(t, an_error_with_two_pictures_is_retried_with_two);
	tcase_add_test(t, gemini_draws_with_parts);
	tcase_add_test(t, a_refused_aspect_is_left_out_and_remembered);
	tcase_add_test(t, text_and_picture_give_the_picture);
	tcase_add_test(t, text_alone_is_asked_once_more);
	tcase_add_loop_test(t, gemini_refuses_within_a_success, 0,
	    ARRAY_LEN(refused));
	suite_add_tcase(s, t);
	add_cases(s);
	return s;
}
