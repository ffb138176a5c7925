/*
 * Rows as the API shows them: the keys are those of openapi.yaml, all of them
 * and always, since clients test for null and not for absence.
 */
#include "tests/unit/submit_unit.h"

#include "views.h"
#include "xalloc.h"

/* o has exactly these keys, separated by blanks. */
static void
expect_keys(struct json_object *o, const char *want)
{
	struct strbuf missing = STRBUF_INIT(4000);
	char key[64];
	const char *p = want;
	int n = 0;
	size_t len;

	ck_assert(json_object_is_type(o, json_type_object));
	while (*p != '\0') {
		len = strcspn(p, " ");
		ck_assert_uint_lt(len, sizeof(key));
		memcpy(key, p, len);
		key[len] = '\0';
		if (!json_object_object_get_ex(o, key, NULL))
			strbuf_addf(&missing, " %s", key);
		n++;
		p += len + (p[len] == ' ');
	}
	ck_assert_msg(missing.len == 0, "missing:%s", missing.buf);
	ck_assert_msg(json_object_object_length(o) == n, "more keys than %s: "
	    "%s", want, json_object_to_json_string(o));
	strbuf_release(&missing);
}

/* The lists "required" of openapi.yaml. */
#define RUN_KEYS "id status mode created_at started_at completed_at " \
	"total_duration_seconds total_cost_usd error_message " \
	"output_directory metadata_file_path preset_id preset_type " \
	"base_image_url template_overrides adaptation_prompt parent_preset"
#define DETAIL_KEYS RUN_KEYS " stages platform_name task_type prompt " \
	"creativity_level render_text apply_branding has_image_reference " \
	"image_filename image_instruction task_description " \
	"marketing_audience marketing_objective marketing_voice " \
	"marketing_niche language brand_kit unified_brief"
/* What we add, as the description of the API allows. */
#define OUR_DETAIL_KEYS DETAIL_KEYS " num_variants warnings simulated"
#define ITEM_KEYS "id status mode platform_name task_type created_at " \
	"completed_at total_cost_usd preset_type parent_preset"
#define LIST_KEYS "runs total page page_size next_cursor"
#define STATUS_KEYS "id status is_active created_at started_at " \
	"completed_at error_message total_duration_seconds current_stage " \
	"stage_count completed_stages failed_stages"
#define OUR_STATUS_KEYS STATUS_KEYS " last_seq"
#define STAGE_KEYS "stage_name stage_order status started_at " \
	"completed_at duration_seconds message output_data error_message"

#define FORM "{\"platform_name\":\"P\",\"task_type\":null,\"prompt\":\"tart\"," \
	"\"creativity_level\":2,\"num_variants\":3,\"render_text\":true," \
	"\"apply_branding\":false,\"has_image_reference\":true," \
	"\"image_filename\":\"x.png\",\"image_instruction\":null," \
	"\"task_description\":\"SALE\",\"marketing_audience\":null," \
	"\"marketing_objective\":null,\"marketing_voice\":null," \
	"\"marketing_niche\":null,\"language\":\"en\"," \
	"\"unified_brief\":{\"intentType\":\"defaultEdit\"}," \
	"\"template_overrides\":{\"a\":1},\"adaptation_prompt\":\"bluer\"}"

static struct run
fresh_run(void)
{
	struct run r;

	memset(&r, 0, sizeof(r));
	snprintf(r.id, sizeof(r.id), "6f9619ff-8b86-4d01-b42d-00cf4fc964ff");
	r.status = STATE_PENDING;
	r.mode = xstrdup("easy_mode");
	r.platform_name = xstrdup("P");
	r.form = xstrdup(FORM);
	r.created_ms = T0;
	return r;
}

static struct run
ended_run(void)
{
	struct run r = fresh_run();

	r.status = STATE_COMPLETED;
	r.started_ms = T0 + 1000;
	r.completed_ms = T0 + 9800;
	r.duration_ms = 8800;
	r.has_cost = true;
	r.cost_nano = 42240000;
	r.output_directory = xstrdup("data/runs/x");
	r.metadata_path = xstrdup("data/runs/x/pipeline_metadata.json");
	r.brand_kit = xstrdup("{\"colors\":[]}");
	r.warnings = xstrdup("[{\"code\":\"c\"}]");
	r.simulated = true;
	r.last_seq = 17;
	return r;
}

START_TEST(a_pending_run_has_every_key_and_few_values)
{
	struct run r = fresh_run();
	struct json_object *o = view_run(&r);

	expect_keys(o, RUN_KEYS);
	ck_assert_str_eq(at(o, "status"), "PENDING");
	ck_assert_str_eq(at(o, "created_at"), "2023-11-14T22:13:20Z");
	ck_assert_str_eq(at(o, "started_at"), "null");
	ck_assert_str_eq(at(o, "completed_at"), "null");
	ck_assert_str_eq(at(o, "total_duration_seconds"), "null");
	ck_assert_str_eq(at(o, "total_cost_usd"), "null");
	ck_assert_str_eq(at(o, "output_directory"), "null");
	ck_assert_str_eq(at(o, "base_image_url"), "null");
	ck_assert_str_eq(at(o, "parent_preset"), "null");
	ck_assert_str_eq(at(o, "template_overrides/a"), "1");
	ck_assert_str_eq(at(o, "adaptation_prompt"), "bluer");
	json_object_put(o);
	run_release(&r);
}
END_TEST

START_TEST(an_ended_run_has_its_times_and_its_cost)
{
	struct run r = ended_run();
	struct json_object *o = view_run(&r);

	expect_keys(o, RUN_KEYS);
	ck_assert_str_eq(at(o, "started_at"), "2023-11-14T22:13:21Z");
	ck_assert_str_eq(at(o, "completed_at"), "2023-11-14T22:13:29.800000Z");
	ck_assert_str_eq(at(o, "total_duration_seconds"), "8.8");
	ck_assert_str_eq(at(o, "total_cost_usd"), "0.04224");
	ck_assert_str_eq(at(o, "output_directory"), "data/runs/x");
	json_object_put(o);
	run_release(&r);
}
END_TEST

START_TEST(a_cost_is_shown_only_when_there_is_one_and_it_is_final)
{
	struct run r = ended_run();
	struct json_object *o;

	r.has_cost = false;
	o = view_run(&r);
	ck_assert_str_eq(at(o, "total_cost_usd"), "null");
	json_object_put(o);
	r.has_cost = true;
	r.status = STATE_RUNNING;
	o = view_run(&r);
	ck_assert_str_eq(at(o, "total_cost_usd"), "null");
	json_object_put(o);
	r.status = STATE_CANCELLED;
	r.cost_nano = 0;
	o = view_run(&r);
	ck_assert_str_eq(at(o, "total_cost_usd"), "0.0");
	json_object_put(o);
	run_release(&r);
}
END_TEST

/* image_eval done, strategy at work, style_guide not begun, one skipped. */
static struct stage_list
some_stages(void)
{
	struct stage_list l = { xcalloc(4, sizeof(struct stage_row)), 4 };

	l.rows[0].name = xstrdup("image_eval");
	l.rows[0].order = 1;
	l.rows[0].status = STAGE_COMPLETED;
	l.rows[0].started_ms = T0;
	l.rows[0].completed_ms = T0 + 1500;
	l.rows[0].duration_ms = 1500;
	l.rows[0].message = xstrdup("Done");
	l.rows[0].output = xstrdup("{\"image_analysis\":null}");
	l.rows[1].name = xstrdup("strategy");
	l.rows[1].order = 2;
	l.rows[1].status = STAGE_RUNNING;
	l.rows[1].started_ms = T0 + 1500;
	l.rows[1].duration_ms = -1;
	l.rows[2].name = xstrdup("style_guide");
	l.rows[2].order = 3;
	l.rows[2].status = STAGE_PENDING;
	l.rows[2].duration_ms = -1;
	l.rows[3].name = xstrdup("style_adaptation");
	l.rows[3].order = 4.5;
	l.rows[3].status = STAGE_SKIPPED;
	l.rows[3].duration_ms = 0;
	return l;
}

START_TEST(the_detail_shows_the_form_and_the_stages_begun)
{
	struct stage_list l = some_stages();
	struct run r = ended_run();
	struct json_object *o = view_run_detail(&r, &l), *stages;
	size_t i;

	expect_keys(o, OUR_DETAIL_KEYS);
	ck_assert_str_eq(at(o, "platform_name"), "P");
	ck_assert_str_eq(at(o, "render_text"), "true");
	ck_assert_str_eq(at(o, "task_type"), "null");
	ck_assert_str_eq(at(o, "unified_brief/intentType"), "defaultEdit");
	ck_assert_str_eq(at(o, "brand_kit/colors"), "[ ]");
	ck_assert_str_eq(at(o, "warnings/0/code"), "c");
	ck_assert_str_eq(at(o, "simulated"), "true");
	stages = json_at(o, "stages");
	ck_assert_uint_eq(json_len(stages), 3);
	for (i = 0; i < 3; i++)
		expect_keys(json_object_array_get_idx(stages, i), STAGE_KEYS);
	ck_assert_str_eq(at(o, "stages/0/stage_order"), "1");
	ck_assert_str_eq(at(o, "stages/0/duration_seconds"), "1.5");
	ck_assert_str_eq(at(o, "stages/0/output_data/image_analysis"), "null");
	ck_assert_str_eq(at(o, "stages/1/status"), "RUNNING");
	ck_assert_str_eq(at(o, "stages/1/duration_seconds"), "null");
	ck_assert_str_eq(at(o, "stages/1/message"), "");
	ck_assert_str_eq(at(o, "stages/2/stage_order"), "4.5");
	json_object_put(o);
	stage_list_release(&l);
	run_release(&r);
}
END_TEST

START_TEST(a_broken_row_is_shown_as_far_as_it_goes)
{
	struct stage_list l = { NULL, 0 };
	struct run r = ended_run();
	struct json_object *o;

	free(r.form);
	free(r.brand_kit);
	free(r.warnings);
	r.form = xstrdup("{\"prompt\":");
	r.brand_kit = NULL;
	r.warnings = xstrdup("");
	o = view_run_detail(&r, &l);
	expect_keys(o, OUR_DETAIL_KEYS);
	ck_assert_str_eq(at(o, "prompt"), "null");
	ck_assert_str_eq(at(o, "brand_kit"), "null");
	ck_assert_str_eq(at(o, "warnings"), "null");
	json_object_put(o);
	run_release(&r);
}
END_TEST

START_TEST(a_list_has_its_page_and_its_total)
{
	struct run runs[2] = { fresh_run(), ended_run() };
	struct run_page p = { .runs = runs, .n = 2, .total = 42 };
	struct json_object *o = view_run_list(&p, 3, 20);

	expect_keys(o, LIST_KEYS);
	ck_assert_str_eq(at(o, "total"), "42");
	ck_assert_str_eq(at(o, "page"), "3");
	ck_assert_str_eq(at(o, "page_size"), "20");
	ck_assert_str_eq(at(o, "next_cursor"), "null");
	expect_keys(json_at(o, "runs/0"), ITEM_KEYS);
	expect_keys(json_at(o, "runs/1"), ITEM_KEYS);
	ck_assert_str_eq(at(o, "runs/0/total_cost_usd"), "null");
	ck_assert_str_eq(at(o, "runs/1/total_cost_usd"), "0.04224");
	json_object_put(o);
	run_release(&runs[0]);
	run_release(&runs[1]);
	memset(&p, 0, sizeof(p));
	o = view_run_list(&p, 1, 20);
	ck_assert_str_eq(at(o, "runs"), "[ ]");
	json_object_put(o);
}
END_TEST

START_TEST(a_list_by_key_has_no_page_and_may_not_know_its_total)
{
	struct run_page p = { .total = -1, .has_more = true,
	    .next = { T0, "6f9619ff-8b86-4d01-b42d-00cf4fc964ff" } };
	struct json_object *o = view_run_list(&p, 0, 20);
	struct run_key k;

	expect_keys(o, LIST_KEYS);
	ck_assert_str_eq(at(o, "total"), "null");
	ck_assert_str_eq(at(o, "page"), "null");
	ck_assert(view_cursor_parse(at(o, "next_cursor"), &k));
	ck_assert_int_eq(k.created_ms, T0);
	ck_assert_str_eq(k.id, p.next.id);
	json_object_put(o);
}
END_TEST

static const char *const no_cursors[] = {
	"", ".", "1", "1.", ".6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "x",
	"-1.6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
	" 1.6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
	"1,6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
	"1.6f9619ff-8b86-4d01-b42d-00cf4fc964f",
	"1.6f9619ff-8b86-4d01-b42d-00cf4fc964ff ",
	"1.6F9619FF-8B86-4D01-B42D-00CF4FC964FF",
	"1234567890123456.6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
	"1.%27%20OR%201=1",
};

START_TEST(what_is_no_cursor_is_not_taken_for_one)
{
	struct run_key k;

	ck_assert(!view_cursor_parse(no_cursors[_i], &k));
}
END_TEST

START_TEST(a_status_counts_stages_and_knows_whether_someone_works)
{
	struct stage_list l = some_stages();
	struct run r = ended_run();
	struct job job;
	struct json_object *o;

	memset(&job, 0, sizeof(job));
	job.state = STATE_RUNNING;
	job.lease_until_ms = T0 + 30000;
	o = view_run_status(&r, &job, &l, T0 + 29999);
	expect_keys(o, OUR_STATUS_KEYS);
	ck_assert_str_eq(at(o, "is_active"), "true");
	ck_assert_str_eq(at(o, "current_stage"), "style_adaptation");
	ck_assert_str_eq(at(o, "stage_count"), "3");
	ck_assert_str_eq(at(o, "completed_stages"), "1");
	ck_assert_str_eq(at(o, "failed_stages"), "0");
	ck_assert_str_eq(at(o, "last_seq"), "17");
	json_object_put(o);
	/* A lease that is over is nobody's work. */
	o = view_run_status(&r, &job, &l, T0 + 30000);
	ck_assert_str_eq(at(o, "is_active"), "false");
	json_object_put(o);
	job.state = STATE_PENDING;
	o = view_run_status(&r, &job, &l, T0);
	ck_assert_str_eq(at(o, "is_active"), "false");
	json_object_put(o);
	o = view_run_status(&r, NULL, &(struct stage_list){ NULL, 0 }, T0);
	ck_assert_str_eq(at(o, "is_active"), "false");
	ck_assert_str_eq(at(o, "current_stage"), "null");
	json_object_put(o);
	stage_list_release(&l);
	run_release(&r);
}
END_TEST

START_TEST(events_carry_their_run_and_their_number)
{
	struct event rows[2] = {
		{ 4, xstrdup("stage_update"), xstrdup("{\"a\":1}"), T0 },
		{ 5, xstrdup("run_error"), xstrdup("{"), T0 + 1 },
	};
	struct event_list l = { rows, 2, 9 };
	struct json_object *o = view_events("run", &l);
	int i;

	expect_keys(o, "events last_seq");
	ck_assert_str_eq(at(o, "last_seq"), "9");
	for (i = 0; i < 2; i++) {
		expect_keys(json_object_array_get_idx(json_at(o, "events"),
		    (size_t)i), "seq type run_id timestamp data");
		free(rows[i].type);
		free(rows[i].data);
	}
	ck_assert_str_eq(at(o, "events/0/seq"), "4");
	ck_assert_str_eq(at(o, "events/0/run_id"), "run");
	ck_assert_str_eq(at(o, "events/0/data/a"), "1");
	ck_assert_str_eq(at(o, "events/0/timestamp"), "2023-11-14T22:13:20Z");
	ck_assert_str_eq(at(o, "events/1/data"), "null");
	json_object_put(o);
}
END_TEST

START_TEST(a_process_is_alive_as_long_as_it_is_heard_of)
{
	struct process_row row;
	struct process_list l = { &row, 1 };
	struct json_object *o;

	memset(&row, 0, sizeof(row));
	row.role = xstrdup("runner");
	row.host = xstrdup("h");
	row.pid = 12;
	row.heartbeat_ms = T0;
	row.stats = xstrdup("{\"role\":\"forged\",\"active_tasks\":3,"
	    "\"executors\":{\"generation\":{\"id\":\"x\"}},\"extra\":1}");
	o = view_processes(&l, T0 + PRESENCE_ALIVE_MS);
	ck_assert_str_eq(at(o, "processes/0/role"), "runner");
	ck_assert_str_eq(at(o, "processes/0/alive"), "true");
	ck_assert_str_eq(at(o, "processes/0/pid"), "12");
	ck_assert_str_eq(at(o, "processes/0/active_tasks"), "3");
	ck_assert_str_eq(at(o, "processes/0/executors/generation/id"), "x");
	ck_assert_str_eq(at(o, "processes/0/extra"), "1");
	ck_assert(json_object_object_get_ex(json_at(o, "processes/0"),
	    "rss_bytes", NULL));
	json_object_put(o);
	o = view_processes(&l, T0 + PRESENCE_ALIVE_MS + 1);
	ck_assert_str_eq(at(o, "processes/0/alive"), "false");
	json_object_put(o);
	free(row.stats);
	row.stats = NULL;
	o = view_processes(&l, T0);
	ck_assert_str_eq(at(o, "processes/0/role"), "runner");
	json_object_put(o);
	free(row.role);
	free(row.host);
}
END_TEST

TCase *
submit_views_case(void)
{
	TCase *t = tcase_create("views");

	tcase_add_test(t, a_pending_run_has_every_key_and_few_values);
	tcase_add_test(t, an_ended_run_has_its_times_and_its_cost);
	tcase_add_test(t,
	    a_cost_is_shown_only_when_there_is_one_and_it_is_final);
	tcase_add_test(t, the_detail_shows_the_form_and_the_stages_begun);
	tcase_add_test(t, a_broken_row_is_shown_as_far_as_it_goes);
	tcase_add_test(t, a_list_has_its_page_and_its_total);
	tcase_add_test(t, a_list_by_key_has_no_page_and_may_not_know_its_total);
	tcase_add_loop_test(t, what_is_no_cursor_is_not_taken_for_one, 0,
	    ARRAY_LEN(no_cursors));
	tcase_add_test(t,
	    a_status_counts_stages_and_knows_whether_someone_works);
	tcase_add_test(t, events_carry_their_run_and_their_number);
	tcase_add_test(t, a_process_is_alive_as_long_as_it_is_heard_of);
	return t;
}
