/* Events as messages. */
#include "tests/unit/push_unit.h"

#include "json.h"

#define RUN "7b0fcd5a-3f6e-4b8c-9d2e-1a2b3c4d5e6f"
#define T0 INT64_C(1752566401120)	/* 2025-07-15T08:00:01.120Z */

static struct frame *
frame_with(const char *type, const char *data, struct gist *g)
{
	struct event ev = { 12, (char *)type, (char *)data, T0 };

	return frame_of_event(RUN, &ev, g);
}

START_TEST(an_event_is_the_documented_message_with_seq_and_timestamp)
{
	struct gist g;
	struct frame *f = frame_with("stage_update",
	    "{\"stage_name\":\"strategy\",\"stage_order\":2}", &g);

	ck_assert_str_eq(frame_text(f), "{\"type\":\"stage_update\","
	    "\"run_id\":\"" RUN "\",\"seq\":12,"
	    "\"timestamp\":\"2025-07-15T08:00:01.120000Z\","
	    "\"data\":{\"stage_name\":\"strategy\",\"stage_order\":2}}");
	ck_assert_uint_eq(f->len, strlen(frame_text(f)));
	ck_assert_int_eq(f->seq, 12);
	gist_release(&g);
	frame_unref(f);
}
END_TEST

START_TEST(a_ping_has_a_time_and_no_number)
{
	struct frame *f = frame_ping("any~id", T0);
	size_t len;

	ck_assert_str_eq(frame_text(f), "{\"type\":\"ping\","
	    "\"run_id\":\"any~id\","
	    "\"timestamp\":\"2025-07-15T08:00:01.120000Z\","
	    "\"data\":{\"timestamp\":\"2025-07-15T08:00:01.120000Z\"}}");
	ck_assert_int_eq(f->seq, 0);
	ck_assert_int_eq(strncmp(frame_stream(f, &len),
	    "event: ping\ndata: {", 19), 0);
	frame_unref(f);
}
END_TEST

/* What the log may hold, and what is sent as data. */
static const struct {
	const char *data, *sent;
} datas[] = {
	{ "{}", "{}" },
	{ "{\"a\":[1,2,{\"b\":null}]}", "{\"a\":[1,2,{\"b\":null}]}" },
	{ "{\"caf\303\251\":\"\\u00e9\\n\"}", "{\"caf\303\251\":\"\\u00e9\\n\"}" },
	{ "{\n  \"a\": 1\r\n}", "{\"a\":1}" },
	{ "null", "{}" },
	{ "[1]", "{}" },
	{ "\"text\"", "{}" },
	{ "{\"a\":", "{}" },
	{ "{\"a\":\"\377\"}", "{}" },
	{ "", "{}" },
};

START_TEST(data_is_always_one_object_on_one_line)
{
	struct gist g;
	struct frame *f = frame_with("run_complete", datas[_i].data, &g);
	const char *at = strstr(frame_text(f), "\"data\":");
	char *want = xasprintf("\"data\":%s}", datas[_i].sent);

	ck_assert_ptr_nonnull(at);
	ck_assert_str_eq(at, want);
	ck_assert_ptr_null(strpbrk(frame_text(f), "\r\n"));
	free(want);
	gist_release(&g);
	frame_unref(f);
}
END_TEST

START_TEST(data_that_grows_when_it_is_written_anew_stays_whole)
{
	char data[3000] = "{\"";
	struct json_object *o = NULL;
	struct frame *f;
	struct gist g;

	memset(data + 2, 0x7f, 2900);
	memcpy(data + 2902, "\":\n1}", 6);
	f = frame_with("run_complete", data, &g);
	ck_assert_int_eq(json_parse(frame_text(f), f->len, &o, NULL), ERR_OK);
	ck_assert_int_eq(json_object_object_length(json_get_obj(o, "data")),
	    1);
	json_object_put(o);
	gist_release(&g);
	frame_unref(f);
}
END_TEST

START_TEST(a_frame_is_made_a_stream_event_once)
{
	struct gist g;
	struct frame *f = frame_with("run_error", "{\"error_message\":\"x\"}",
	    &g);
	const char *first;
	char *want;
	size_t len;

	first = frame_stream(f, &len);
	want = xasprintf("id: 12\nevent: run_error\ndata: %s\n\n",
	    frame_text(f));
	ck_assert_str_eq(first, want);
	ck_assert_uint_eq(len, strlen(want));
	ck_assert_ptr_eq(frame_stream(f, &len), first);
	free(want);
	gist_release(&g);
	frame_unref(f);
}
END_TEST

static const struct {
	const char *type, *data;
	bool is_stage, is_end;
	const char *stage;
} gists[] = {
	{ "stage_update", "{\"stage_name\":\"strategy\"}", true, false,
	  " strategy" },
	{ "stage_update", "{\"stage_name\":\"save\",\"job_id\":\"j\"}", true,
	  false, "j save" },
	{ "stage_update", "{}", true, false, NULL },
	{ "run_complete", "{}", false, true, NULL },
	{ "run_complete", "{\"job_id\":\"j\"}", false, false, NULL },
	{ "run_error", "{\"error_message\":\"x\"}", false, true, NULL },
	{ "run_error", "{\"job_id\":\"j\"}", false, false, NULL },
	{ "caption_complete", "{\"caption_id\":\"c\"}", false, false, NULL },
	{ "run_complete", "broken", false, true, NULL },
};

START_TEST(the_gist_tells_stages_and_the_end_of_the_run_itself)
{
	struct gist g;
	struct frame *f = frame_with(gists[_i].type, gists[_i].data, &g);

	ck_assert_int_eq(g.is_stage, gists[_i].is_stage);
	ck_assert_int_eq(g.is_end, gists[_i].is_end);
	if (gists[_i].stage == NULL)
		ck_assert_ptr_null(g.stage);
	else
		ck_assert_str_eq(g.stage, gists[_i].stage);
	gist_release(&g);
	frame_unref(f);
}
END_TEST

static const struct {
	const char *text;
	bool is_ping;
} messages[] = {
	{ "{\"type\":\"ping\"}", true },
	{ " {\"x\":1, \"type\" : \"ping\"} ", true },
	{ "{\"type\":\"Ping\"}", false },
	{ "{\"type\":[\"ping\"]}", false },
	{ "{\"type\":null}", false },
	{ "{}", false },
	{ "[\"ping\"]", false },
	{ "\"ping\"", false },
	{ "null", false },
	{ "ping", false },
	{ "{\"type\":\"ping\"", false },
	{ "{\"type\":\"ping\"} x", false },
	{ "\377\376", false },
	{ "", false },
};

START_TEST(only_an_object_of_type_ping_is_a_ping)
{
	ck_assert_msg(message_is_ping(messages[_i].text,
	    strlen(messages[_i].text)) == messages[_i].is_ping, "%s",
	    messages[_i].text);
}
END_TEST

TCase *
push_frames_case(void)
{
	TCase *t = tcase_create("frames");

	tcase_add_test(t,
	    an_event_is_the_documented_message_with_seq_and_timestamp);
	tcase_add_test(t, a_ping_has_a_time_and_no_number);
	add_rows(t, data_is_always_one_object_on_one_line, datas);
	tcase_add_test(t,
	    data_that_grows_when_it_is_written_anew_stays_whole);
	tcase_add_test(t, a_frame_is_made_a_stream_event_once);
	add_rows(t, the_gist_tells_stages_and_the_end_of_the_run_itself,
	    gists);
	add_rows(t, only_an_object_of_type_ping_is_a_ping, messages);
	return t;
}
