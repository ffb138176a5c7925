/*
 * show and calls: what became of one run, and what it cost.
 *
 * Every figure comes from the rows themselves.  Pictures are found in the
 * checkpoints of the lanes, not in the file of results, so that they are shown
 * while the run is under way and after it has failed; a run's cost until it
 * has ended is the sum over its ledger, as it is afterwards.
 */
#include "ctl.h"

#include <inttypes.h>

#include "results.h"
#include "views.h"
#include "xalloc.h"

#define MIN_DECIMALS 4
#define STAGE_MESSAGE_CHARS 70

/* All that is known of one run. */
struct story {
	struct run run;
	struct job job;
	struct stage_list stages;
	struct lane_output_list outputs;
	struct call_list calls;
};

static void
story_release(struct story *s)
{
	run_release(&s->run);
	job_release(&s->job);
	stage_list_release(&s->stages);
	lane_output_list_release(&s->outputs);
	call_list_release(&s->calls);
}

static int
story_read(struct ctl *c, struct story *s)
{
	struct err e = ERR_INIT;
	enum err_code rc;
	int status;

	status = ctl_open(c, OPEN_READING);
	if (status == 0)
		status = ctl_get_run(c, &s->run);
	if (status != 0)
		return status;
	rc = store_get_run_job(c->store, s->run.id, &s->job, &e);
	if (rc == ERR_OK)
		rc = store_list_stages(c->store, s->job.id, &s->stages, &e);
	if (rc == ERR_OK)
		rc = store_list_outputs(c->store, s->job.id, &s->outputs, &e);
	if (rc == ERR_OK)
		rc = store_list_calls(c->store, s->job.id, &s->calls, &e);
	return rc == ERR_OK ? 0 : ctl_fail(rc, &e);
}

static int64_t
ledger_sum(const struct call_list *calls)
{
	int64_t sum = 0;
	int i;

	for (i = 0; i < calls->n; i++)
		sum += calls->rows[i].cost_nano;
	return sum;
}

static struct json_object *
parsed(const char *text)
{
	struct json_object *o = NULL;

	if (text == NULL || json_parse(text, strlen(text), &o, NULL) != ERR_OK)
		return NULL;
	return o;
}

/* --- the head ------------------------------------------------------------- */

static void
line(const char *name, const char *text)
{
	if (text == NULL || *text == '\0')
		return;
	printf("  %-10s ", name);
	print_plain(text);
	putchar('\n');
}

static void
print_times(const struct run *r)
{
	struct strbuf text = STRBUF_INIT(MAX_LINE_BYTES);
	char when[CLOCK_TEXT_MAX];

	line("submitted", time_text(r->created_ms, when));
	if (r->started_ms > 0) {
		strbuf_addf(&text, "%s, after ", time_text(r->started_ms,
		    when));
		add_seconds(&text, r->started_ms - r->created_ms);
		line("started", text.buf);
	}
	strbuf_reset(&text);
	if (r->completed_ms > 0) {
		strbuf_addstr(&text, time_text(r->completed_ms, when));
		if (r->started_ms > 0) {
			strbuf_addstr(&text, ", took ");
			add_seconds(&text, r->duration_ms);
		}
		line("ended", text.buf);
	}
	strbuf_release(&text);
}

static void
print_cost(const struct story *s)
{
	struct strbuf text = STRBUF_INIT(MAX_LINE_BYTES);
	bool ended = state_is_terminal(s->run.status);

	if (s->calls.n == 0)
		return;
	add_money(&text, ended ? s->run.cost_nano : ledger_sum(&s->calls),
	    MIN_DECIMALS);
	strbuf_addf(&text, "%s in %d calls%s", ended ? "" : " so far",
	    s->calls.n, s->run.simulated ? ", of a simulated provider" : "");
	line("cost", text.buf);
	strbuf_release(&text);
}

static void
print_request(const struct run *r)
{
	struct json_object *inputs = parsed(r->inputs);
	struct strbuf text = STRBUF_INIT(MAX_LINE_BYTES);

	line("platform", r->platform_name);
	line("task", r->task_type);
	strbuf_addf(&text, "%s, %" PRId64 " variants, creativity %" PRId64,
	    r->mode, json_get_int(inputs, "num_variants", 0),
	    json_get_int(inputs, "creativity_level", 0));
	line("mode", text.buf);
	line("brief", r->prompt);
	line("overlay", json_get_str(inputs, "task_description"));
	line("picture", json_get_str(json_get_obj(inputs, "image_reference"),
	    "filename"));
	strbuf_release(&text);
	json_object_put(inputs);
}

/* --- stages --------------------------------------------------------------- */

static void
print_stages(const struct stage_list *l)
{
	static const struct column columns[] = {
		{ "#", true }, { "STAGE", false }, { "STATUS", false },
		{ "TOOK", true }, { "COST", true }, { "MESSAGE", false }
	};
	struct strbuf text = STRBUF_INIT(MAX_LINE_BYTES);
	const struct stage_row *r;
	struct table t;
	char order[16];
	int i;

	puts("\nStages");
	table_init(&t, columns, (int)ARRAY_LEN(columns));
	for (i = 0; i < l->n; i++) {
		r = &l->rows[i];
		snprintf(order, sizeof(order), "%g", r->order);
		table_text(&t, order);
		table_text(&t, r->name);
		table_state(&t, stage_status_name(r->status),
		    stage_colour(r->status));
		table_seconds(&t, r->duration_ms);
		if (r->cost_nano > 0)
			table_money(&t, r->cost_nano, MIN_DECIMALS);
		else
			table_text(&t, NULL);
		strbuf_reset(&text);
		add_plain(&text, r->error_message != NULL ?
		    r->error_message : r->message != NULL ? r->message : "",
		    STAGE_MESSAGE_CHARS);
		table_text(&t, text.buf);
	}
	table_print(&t, "  ");
	table_release(&t);
	strbuf_release(&text);
}

/* --- pictures and warnings ------------------------------------------------ */

/* Absolute paths of the pictures that were made, in order of their variant. */
static struct json_object *
pictures(const struct ctl *c, const struct story *s)
{
	struct json_object *list = json_object_new_array(), *o, *item;
	const char *file;
	char *path;
	int i;

	for (i = 0; i < s->outputs.n; i++) {
		o = parsed(s->outputs.rows[i].output);
		file = json_get_str(o, "result_path");
		if (s->outputs.rows[i].ok && file != NULL) {
			path = xasprintf("%s/runs/%s/%s",
			    c->service.conf->settings.data_dir, s->run.id,
			    file);
			item = json_object_new_object();
			json_put_int(item, "variant",
			    s->outputs.rows[i].variant);
			json_put_str(item, "path", path);
			json_put_int(item, "width",
			    json_get_int(o, "width", 0));
			json_put_int(item, "height",
			    json_get_int(o, "height", 0));
			json_object_array_add(list, item);
			free(path);
		}
		json_object_put(o);
	}
	return list;
}

static void
print_pictures(const struct ctl *c, const struct story *s)
{
	struct json_object *list = pictures(c, s), *item;
	size_t i;

	if (json_len(list) > 0)
		puts("\nPictures");
	for (i = 0; i < json_len(list); i++) {
		item = json_object_array_get_idx(list, i);
		printf("  variant %" PRId64 ", %" PRId64 " x %" PRId64 "  ",
		    json_get_int(item, "variant", 0),
		    json_get_int(item, "width", 0),
		    json_get_int(item, "height", 0));
		print_plain(json_get_str(item, "path"));
		putchar('\n');
	}
	json_object_put(list);
}

static void
print_warnings(const struct run *r)
{
	struct json_object *list = parsed(r->warnings), *w;
	const char *stage, *message;
	size_t i;

	if (json_len(list) > 0)
		puts("\nWarnings");
	for (i = 0; i < json_len(list); i++) {
		w = json_object_array_get_idx(list, i);
		stage = json_get_str(w, "stage");
		message = json_get_str(w, "message");
		fputs("  ", stdout);
		print_plain(stage != NULL ? stage : "run");
		if (json_get(w, "variant_index") != NULL)
			printf(", variant %" PRId64,
			    json_get_int(w, "variant_index", 0));
		fputs(": ", stdout);
		print_plain(message != NULL ? message : "?");
		putchar('\n');
	}
	json_object_put(list);
}

/* --- show ----------------------------------------------------------------- */

static struct json_object *
story_view(const struct ctl *c, const struct story *s)
{
	struct json_object *o;
	int64_t wall_ms = s->run.duration_ms;

	o = view_run_detail(&s->run, &s->stages);
	json_put_obj(o, "cost_summary", results_cost_summary(&s->stages,
	    &s->calls, wall_ms));
	json_put_obj(o, "pictures", pictures(c, s));
	return o;
}

static void
print_story(const struct ctl *c, const struct story *s)
{
	enum colour colour = state_colour(s->run.status);

	printf("Run %s  %s%s%s\n", s->run.id, colour_on(colour),
	    state_name(s->run.status), colour_off(colour));
	print_request(&s->run);
	print_times(&s->run);
	print_cost(s);
	line("error", s->run.error_message);
	print_stages(&s->stages);
	print_pictures(c, s);
	print_warnings(&s->run);
}

int
cmd_show(struct ctl *c)
{
	struct story s;
	int status;

	memset(&s, 0, sizeof(s));
	status = story_read(c, &s);
	if (status == 0 && c->json)
		print_json(story_view(c, &s));
	else if (status == 0)
		print_story(c, &s);
	story_release(&s);
	return status;
}

/* --- calls ---------------------------------------------------------------- */

static struct json_object *
call_view(const struct call_row *r)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "stage", r->stage);
	json_put_obj(o, "variant", r->variant == VARIANT_NONE ? NULL :
	    json_object_new_int(r->variant));
	json_put_str(o, "purpose", r->purpose);
	json_put_int(o, "attempt", r->attempt);
	json_put_str(o, "state", call_state_name(r->state));
	json_put_str(o, "provider", r->provider);
	json_put_str(o, "model", r->model);
	json_put_obj(o, "sent_at", json_new_time(r->sent_ms));
	json_put_obj(o, "settled_at", json_new_time(r->settled_ms));
	json_put_int(o, "http_status", r->http_status);
	json_put_int(o, "prompt_tokens", r->prompt_tokens);
	json_put_int(o, "completion_tokens", r->completion_tokens);
	json_put_int(o, "image_tokens", r->image_out_tokens);
	json_put_obj(o, "cost_usd", json_new_money(r->cost_nano));
	json_put_bool(o, "estimated", r->estimated);
	json_put_bool(o, "simulated", r->simulated);
	json_put_str(o, "fault", r->fault);
	json_put_str(o, "error", r->error);
	return o;
}

static struct json_object *
calls_view(const struct story *s)
{
	struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array();
	int i;

	for (i = 0; i < s->calls.n; i++)
		json_object_array_add(list, call_view(&s->calls.rows[i]));
	json_put_str(o, "run_id", s->run.id);
	json_put_obj(o, "calls", list);
	json_put_obj(o, "total_cost_usd",
	    json_new_money(ledger_sum(&s->calls)));
	return o;
}

/* So many decimals that every row and the sum are exact and aligned. */
static int
shared_decimals(const struct call_list *calls)
{
	int i, decimals;

	decimals = money_decimals(ledger_sum(calls), MIN_DECIMALS);
	for (i = 0; i < calls->n; i++)
		decimals = money_decimals(calls->rows[i].cost_nano, decimals);
	return decimals;
}

static void
add_call(struct table *t, const struct call_row *r, int decimals)
{
	static const enum colour colours[CALL_STATE__COUNT] = {
		[CALL_FAILED] = COLOUR_BAD, [CALL_UNKNOWN] = COLOUR_DOUBT,
	};

	table_text(t, r->stage);
	if (r->variant == VARIANT_NONE)
		table_text(t, NULL);
	else
		table_int(t, r->variant);
	table_text(t, r->purpose);
	table_int(t, r->attempt);
	table_state(t, call_state_name(r->state), colours[r->state]);
	table_text(t, r->model);
	table_int(t, r->prompt_tokens);
	table_int(t, r->completion_tokens);
	table_money(t, r->cost_nano, decimals);
	table_text(t, r->fault);
}

static void
print_calls(const struct story *s)
{
	static const struct column columns[] = {
		{ "STAGE", false }, { "VARIANT", true }, { "PURPOSE", false },
		{ "ATTEMPT", true }, { "STATE", false }, { "MODEL", false },
		{ "IN", true }, { "OUT", true }, { "COST", true },
		{ "FAULT", false }
	};
	int i, decimals = shared_decimals(&s->calls);
	struct strbuf sum = STRBUF_INIT(64);
	struct table t;

	table_init(&t, columns, (int)ARRAY_LEN(columns));
	for (i = 0; i < s->calls.n; i++)
		add_call(&t, &s->calls.rows[i], decimals);
	if (s->calls.n > 0)
		table_print(&t, "");
	add_money(&sum, ledger_sum(&s->calls), decimals);
	printf("%d calls, %s\n", s->calls.n, sum.buf);
	strbuf_release(&sum);
	table_release(&t);
}

/* The ledger. A run that has ended cost exactly its sum; when the row says
 * otherwise somebody should know. */
int
cmd_calls(struct ctl *c)
{
	struct story s;
	int status;

	memset(&s, 0, sizeof(s));
	status = story_read(c, &s);
	if (status == 0 && c->json)
		print_json(calls_view(&s));
	else if (status == 0)
		print_calls(&s);
	if (status == 0 && state_is_terminal(s.run.status) &&
	    s.run.cost_nano != ledger_sum(&s.calls)) {
		fprintf(stderr, CTL_NAME ": the run was booked with another "
		    "cost, %" PRId64 " nano-dollars\n", s.run.cost_nano);
		status = CTL_FAILED;
	}
	story_release(&s);
	return status;
}
