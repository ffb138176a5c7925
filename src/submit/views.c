/*
 * Rows as JSON.  The existing client tests for null, so a documented key is
 * never left out, and a row's own text is parsed here rather than pasted, so
 * that a broken row shows as null instead of breaking the whole answer.
 */
#include "views.h"

#include <inttypes.h>
#include <stdlib.h>

#include "clock.h"
#include "service.h"
#include "xalloc.h"

#define MAX_CURSOR_DIGITS 15	/* of milliseconds */

/* Stored JSON text as an object; NULL when there is none or it is broken. */
static struct json_object *
parsed(const char *text)
{
	struct json_object *o = NULL;

	if (text == NULL || json_parse(text, strlen(text), &o, NULL) != ERR_OK)
		return NULL;
	return o;
}

/* Copy members of from; what from lacks becomes null. */
static void
copy_members(struct json_object *to, const struct json_object *from,
    const char *const *keys, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		json_put_obj(to, keys[i], json_copy(json_get(from, keys[i])));
}

static void
put_summary(struct json_object *o, const struct run *r)
{
	json_put_str(o, "id", r->id);
	json_put_str(o, "status", state_name(r->status));
	json_put_str(o, "mode", r->mode);
	json_put_obj(o, "created_at", json_new_time(r->created_ms));
}

static struct json_object *
duration(const struct run *r)
{
	if (r->completed_ms == 0 || r->started_ms == 0)
		return NULL;
	return json_new_seconds(r->duration_ms);
}

static struct json_object *
cost(const struct run *r)
{
	return r->has_cost && state_is_terminal(r->status) ?
	    json_new_money(r->cost_nano) : NULL;
}

struct json_object *
view_run(const struct run *r)
{
	static const char *const kept[] = { "base_image_url",
		"template_overrides", "adaptation_prompt" };
	struct json_object *o = json_object_new_object();
	struct json_object *form = parsed(r->form);

	put_summary(o, r);
	json_put_obj(o, "started_at", json_new_time(r->started_ms));
	json_put_obj(o, "completed_at", json_new_time(r->completed_ms));
	json_put_obj(o, "total_duration_seconds", duration(r));
	json_put_obj(o, "total_cost_usd", cost(r));
	json_put_str(o, "error_message", r->error_message);
	json_put_str(o, "output_directory", r->output_directory);
	json_put_str(o, "metadata_file_path", r->metadata_path);
	json_put_str(o, "preset_id", r->preset_id);
	json_put_str(o, "preset_type", r->preset_type);
	copy_members(o, form, kept, ARRAY_LEN(kept));
	json_put_null(o, "parent_preset");
	json_object_put(form);
	return o;
}

struct json_object *
view_stage(const struct stage_row *s)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "stage_name", s->name);
	if (s->order == (double)(int64_t)s->order)
		json_put_int(o, "stage_order", (int64_t)s->order);
	else
		json_put_num(o, "stage_order", s->order);
	json_put_str(o, "status", stage_status_name(s->status));
	json_put_obj(o, "started_at", json_new_time(s->started_ms));
	json_put_obj(o, "completed_at", json_new_time(s->completed_ms));
	json_put_obj(o, "duration_seconds",
	    s->duration_ms >= 0 ? json_new_seconds(s->duration_ms) : NULL);
	json_put_str(o, "message", s->message != NULL ? s->message : "");
	json_put_obj(o, "output_data", parsed(s->output));
	json_put_str(o, "error_message", s->error_message);
	return o;
}

struct json_object *
view_run_detail(const struct run *r, const struct stage_list *stages)
{
	static const char *const kept[] = { "platform_name", "task_type",
		"prompt", "creativity_level", "num_variants", "render_text",
		"apply_branding", "has_image_reference", "image_filename",
		"image_instruction", "task_description", "marketing_audience",
		"marketing_objective", "marketing_voice", "marketing_niche",
		"language", "unified_brief" };
	struct json_object *o = view_run(r), *form = parsed(r->form);
	struct json_object *list = json_object_new_array();
	int i;

	for (i = 0; i < stages->n; i++)
		if (stages->rows[i].status != STAGE_PENDING)
			json_object_array_add(list,
			    view_stage(&stages->rows[i]));
	json_put_obj(o, "stages", list);
	copy_members(o, form, kept, ARRAY_LEN(kept));
	json_put_obj(o, "brand_kit", parsed(r->brand_kit));
	json_put_obj(o, "warnings", parsed(r->warnings));
	json_put_bool(o, "simulated", r->simulated);
	json_object_put(form);
	return o;
}

static void
put_known(struct json_object *o, const char *key, int64_t v, bool known)
{
	if (known)
		json_put_int(o, key, v);
	else
		json_put_null(o, key);
}

struct json_object *
view_run_list(const struct run_page *p, int page, int page_size)
{
	struct json_object *o = json_object_new_object(), *item;
	struct json_object *runs = json_object_new_array();
	char cursor[VIEW_CURSOR_MAX];
	int i;

	for (i = 0; i < p->n; i++) {
		const struct run *r = &p->runs[i];

		item = json_object_new_object();
		put_summary(item, r);
		json_put_str(item, "platform_name", r->platform_name);
		json_put_str(item, "task_type", r->task_type);
		json_put_obj(item, "completed_at",
		    json_new_time(r->completed_ms));
		json_put_obj(item, "total_cost_usd", cost(r));
		json_put_str(item, "preset_type", r->preset_type);
		json_put_null(item, "parent_preset");
		json_object_array_add(runs, item);
	}
	json_put_obj(o, "runs", runs);
	put_known(o, "total", p->total, p->total >= 0);
	put_known(o, "page", page, page > 0);
	json_put_int(o, "page_size", page_size);
	if (p->has_more)
		view_cursor(&p->next, cursor);
	json_put_str(o, "next_cursor", p->has_more ? cursor : NULL);
	return o;
}

static bool
is_active(const struct job *job, int64_t now_ms)
{
	return job != NULL && job->state == STATE_RUNNING &&
	    job->lease_until_ms > now_ms;
}

struct json_object *
view_run_status(const struct run *r, const struct job *job,
    const struct stage_list *stages, int64_t now_ms)
{
	struct json_object *o = json_object_new_object();
	const char *current = NULL;
	int i, begun = 0, completed = 0, failed = 0;

	for (i = 0; i < stages->n; i++) {
		const struct stage_row *s = &stages->rows[i];

		if (s->status == STAGE_PENDING)
			continue;
		begun++;
		current = s->name;
		completed += s->status == STAGE_COMPLETED;
		failed += s->status == STAGE_FAILED;
	}
	json_put_str(o, "id", r->id);
	json_put_str(o, "status", state_name(r->status));
	json_put_bool(o, "is_active", is_active(job, now_ms));
	json_put_obj(o, "created_at", json_new_time(r->created_ms));
	json_put_obj(o, "started_at", json_new_time(r->started_ms));
	json_put_obj(o, "completed_at", json_new_time(r->completed_ms));
	json_put_str(o, "error_message", r->error_message);
	json_put_obj(o, "total_duration_seconds", duration(r));
	json_put_str(o, "current_stage", current);
	json_put_int(o, "stage_count", begun);
	json_put_int(o, "completed_stages", completed);
	json_put_int(o, "failed_stages", failed);
	json_put_int(o, "last_seq", r->last_seq);
	return o;
}

struct json_object *
view_events(const char *run_id, const struct event_list *l)
{
	struct json_object *o = json_object_new_object(), *item;
	struct json_object *events = json_object_new_array();
	int i;

	for (i = 0; i < l->n; i++) {
		item = json_object_new_object();
		json_put_int(item, "seq", l->rows[i].seq);
		json_put_str(item, "type", l->rows[i].type);
		json_put_str(item, "run_id", run_id);
		json_put_obj(item, "timestamp",
		    json_new_time(l->rows[i].created_ms));
		json_put_obj(item, "data", parsed(l->rows[i].data));
		json_object_array_add(events, item);
	}
	json_put_obj(o, "events", events);
	json_put_int(o, "last_seq", l->last_seq);
	return o;
}

struct json_object *
view_processes(const struct process_list *l, int64_t now_ms)
{
	static const char *const counted[] = { "executors",
		"constructed_total", "active_tasks", "queued", "rss_bytes" };
	struct json_object *o = json_object_new_object(), *item, *stats;
	struct json_object *list = json_object_new_array();
	int i;

	for (i = 0; i < l->n; i++) {
		const struct process_row *p = &l->rows[i];

		stats = parsed(p->stats);
		/* What the process says of itself, and above it who it is. */
		item = stats != NULL ? json_copy(stats) :
		    json_object_new_object();
		json_put_str(item, "role", p->role);
		json_put_int(item, "pid", p->pid);
		json_put_str(item, "host", p->host);
		json_put_str(item, "id", p->id);
		json_put_obj(item, "started_at", json_new_time(p->started_ms));
		json_put_obj(item, "seen_at", json_new_time(p->heartbeat_ms));
		json_put_bool(item, "alive",
		    now_ms - p->heartbeat_ms <= PRESENCE_ALIVE_MS);
		copy_members(item, stats, counted, ARRAY_LEN(counted));
		json_object_array_add(list, item);
		json_object_put(stats);
	}
	json_put_obj(o, "processes", list);
	return o;
}

/* --- cursors -------------------------------------------------------------- */

void
view_cursor(const struct run_key *k, char out[VIEW_CURSOR_MAX])
{
	snprintf(out, VIEW_CURSOR_MAX, "%" PRId64 ".%s", k->created_ms, k->id);
}

bool
view_cursor_parse(const char *text, struct run_key *out)
{
	size_t digits = strspn(text, "0123456789");
	const char *id = text + digits + 1;

	if (digits == 0 || digits > MAX_CURSOR_DIGITS || text[digits] != '.' ||
	    !id_is_valid(id))
		return false;
	out->created_ms = strtoll(text, NULL, 10);
	memcpy(out->id, id, ID_MAX);
	return true;
}
