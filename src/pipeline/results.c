/*
 * The documents a finished run leaves behind: pure functions over its inputs,
 * its stages' outputs and the rows of the ledger.
 *
 * pipeline_metadata.json keeps the shape it has always had, since captions,
 * presets and the results route read it; what is new stands beside it
 * ("warnings", "calls", "simulated", "stages").  Outputs are found by the
 * member that holds them, whichever stage made it.  Money and time are exact
 * decimal numbers; every figure is a sum over the calls that were really made.
 */
#include "results.h"

#include <inttypes.h>

#include "internal.h"

#define USAGE_KEY_MAX 64

/* A member of the document and the output it is, as stages tell it. */
struct mapping {
	const char *key, *output_key;
};

static const struct mapping processing[] = {
	{ "image_analysis_result", "image_analysis" },
	{ "suggested_marketing_strategies", "marketing_strategies" },
	{ "style_guidance_sets", "style_guidance" },
	{ "generated_image_prompts", "visual_concepts" },
	{ "final_assembled_prompts", "final_prompts" },
	{ "generated_image_results", "generated_images" },
};

void
copy_member(struct json_object *to, const char *key,
    const struct json_object *from)
{
	json_put_obj(to, key, json_copy(json_get(from, key)));
}

static void
copy_members(struct json_object *to, const struct json_object *from,
    const char *const *keys)
{
	for (; *keys != NULL; keys++)
		copy_member(to, *keys, from);
}

static const char *
or_empty(const char *s)
{
	return s != NULL ? s : "";
}

/* --- usage ---------------------------------------------------------------- */

/* The name a call has in llm_call_usage; pictures have none (false). */
static bool
usage_key(const struct call_row *c, char out[USAGE_KEY_MAX])
{
	char name[USAGE_KEY_MAX];
	const char *key = NULL;
	enum purpose_id p;

	snprintf(name, sizeof(name), "%.*s",
	    (int)strcspn(or_empty(c->purpose), "/"), or_empty(c->purpose));
	/* Of jobs that began when niches were a call of their own. */
	if (strcmp(name, "strategy_niche") == 0) {
		snprintf(out, USAGE_KEY_MAX, "strategy_niche_id");
		return true;
	}
	if (!purpose_parse(name, &p))
		return false;
	switch (p) {
	case PURPOSE_CREATIVE_EXPERT:
		snprintf(out, USAGE_KEY_MAX, "creative_expert_strategy_%d",
		    c->variant);
		return true;
	case PURPOSE_STRATEGY_GOALS:
		key = "strategy_goal_gen";
		break;
	case PURPOSE_STYLE_GUIDE:
		key = "style_guider";
		break;
	case PURPOSE_IMAGE_GENERATION:
		return false;
	case PURPOSE_IMAGE_EVAL:
	case PURPOSE_LOGO_EVAL:
	case PURPOSE_STYLE_ADAPTATION:
	case PURPOSE_IMAGE_ASSESSMENT:
	case PURPOSE_CAPTION:
	case PURPOSE__COUNT:
		key = name;
		break;
	}
	snprintf(out, USAGE_KEY_MAX, "%s", key);
	return true;
}

static void
add_to(struct json_object *o, const char *key, int64_t n)
{
	json_put_int(o, key, json_get_int(o, key, 0) + n);
}

/* Tokens of one more attempt; a figure the provider kept to itself taints. */
static void
add_tokens(struct json_object *o, const struct call_row *c)
{
	add_to(o, "prompt_tokens", c->prompt_tokens);
	add_to(o, "completion_tokens", c->completion_tokens);
	add_to(o, "total_tokens", c->prompt_tokens + c->completion_tokens);
	add_to(o, "image_tokens", c->image_in_tokens);
	add_to(o, "text_tokens", c->prompt_tokens - c->image_in_tokens);
}

static void
add_call(struct json_object *o, const struct call_row *c)
{
	add_tokens(o, c);
	add_to(o, "cached_tokens", c->cached_tokens);
	add_to(o, "reasoning_tokens", c->reasoning_tokens);
	add_to(o, "attempts", 1);
	json_put_str(o, "model", c->model);
	json_put_str(o, "provider", c->provider);
	json_put_bool(o, "estimated",
	    json_get_bool(o, "estimated", false) || c->estimated);
}

/* Assessments are one entry for all pictures, with a part for each. */
static void
add_assessment(struct json_object *o, const struct call_row *c)
{
	struct json_object *list, *part = NULL;
	size_t i;

	list = json_get_arr(o, "individual_assessments");
	if (list == NULL) {
		list = json_object_new_array();
		json_put_obj(o, "individual_assessments", list);
	}
	for (i = 0; i < json_len(list) && part == NULL; i++) {
		part = json_object_array_get_idx(list, i);
		if (json_get_int(part, "image_index", -1) != c->variant)
			part = NULL;
	}
	if (part == NULL) {
		part = json_object_new_object();
		json_put_int(part, "image_index", c->variant);
		json_object_array_add(list, part);
		add_to(o, "assessment_count", 1);
	}
	add_tokens(part, c);
}

struct json_object *
results_usage(const struct call_list *calls)
{
	struct json_object *usage, *entry;
	const struct call_row *c;
	char key[USAGE_KEY_MAX];
	int i;

	usage = json_object_new_object();
	for (i = 0; i < calls->n; i++) {
		c = &calls->rows[i];
		if (!usage_key(c, key))
			continue;
		entry = json_get_obj(usage, key);
		if (entry == NULL) {
			entry = json_object_new_object();
			json_put_obj(usage, key, entry);
		}
		add_call(entry, c);
		if (strcmp(key, "image_assessment") == 0)
			add_assessment(entry, c);
	}
	return usage;
}

/* The ledger as a list: everything but prompts and answers. */
static struct json_object *
call_records(const struct call_list *calls)
{
	struct json_object *list, *o;
	const struct call_row *c;
	char key[USAGE_KEY_MAX];
	int i;

	list = json_object_new_array();
	for (i = 0; i < calls->n; i++) {
		c = &calls->rows[i];
		o = json_object_new_object();
		json_put_str(o, "stage", c->stage);
		json_put_str(o, "key", usage_key(c, key) ? key : c->purpose);
		if (c->variant != VARIANT_NONE)
			json_put_int(o, "variant", c->variant);
		json_put_str(o, "model", c->model);
		json_put_str(o, "provider", c->provider);
		json_put_int(o, "attempt", c->attempt);
		json_put_str(o, "state", call_state_name(c->state));
		json_put_str(o, "fault", c->fault);
		json_put_int(o, "prompt", c->prompt_tokens);
		json_put_int(o, "completion", c->completion_tokens);
		json_put_int(o, "cached", c->cached_tokens);
		json_put_int(o, "reasoning", c->reasoning_tokens);
		json_put_int(o, "image_in", c->image_in_tokens);
		json_put_int(o, "image_out", c->image_out_tokens);
		json_put_obj(o, "cost_usd", json_new_money(c->cost_nano));
		json_put_obj(o, "billed_cost_usd", c->has_billed ?
		    json_new_money(c->cost_nano) : NULL);
		json_put_bool(o, "estimated", c->estimated);
		json_put_bool(o, "simulated", c->simulated);
		json_put_obj(o, "started_at", json_new_time(c->sent_ms));
		if (c->settled_ms > 0)
			json_put_int(o, "ms", c->settled_ms - c->sent_ms);
		else
			json_put_null(o, "ms");
		json_object_array_add(list, o);
	}
	return list;
}

/* --- costs ---------------------------------------------------------------- */

static struct json_object *
stage_cost(const struct stage_row *row, const struct call_list *calls)
{
	struct json_object *o;
	const struct call_row *c;
	int64_t cost = 0, in = 0, out = 0, pictures = 0;
	int i;

	for (i = 0; i < calls->n; i++) {
		c = &calls->rows[i];
		if (strcmp(or_empty(c->stage), row->name) != 0)
			continue;
		cost += c->cost_nano;
		in += c->prompt_tokens;
		out += c->completion_tokens;
		if (c->image_out_tokens > 0 && c->state == CALL_ANSWERED)
			pictures++;
	}
	o = json_object_new_object();
	json_put_str(o, "stage_name", row->name);
	json_put_obj(o, "cost_usd", json_new_money(cost));
	json_put_obj(o, "duration_seconds",
	    json_new_seconds(row->duration_ms > 0 ? row->duration_ms : 0));
	json_put_str(o, "model_id", row->model_id);
	json_put_str(o, "provider", row->provider);
	json_put_int(o, "input_tokens", in);
	json_put_int(o, "output_tokens", out);
	json_put_int(o, "images_generated", pictures);
	return o;
}

struct json_object *
results_cost_summary(const struct stage_list *stages,
    const struct call_list *calls, int64_t wall_ms)
{
	struct json_object *o, *list;
	const struct stage_row *row;
	int64_t total = 0, sum_ms = 0;
	int i;

	for (i = 0; i < calls->n; i++)
		total += calls->rows[i].cost_nano;
	list = json_object_new_array();
	for (i = 0; i < stages->n; i++) {
		row = &stages->rows[i];
		if (row->status == STAGE_PENDING ||
		    row->status == STAGE_SKIPPED)
			continue;
		json_object_array_add(list, stage_cost(row, calls));
		if (row->duration_ms > 0)
			sum_ms += row->duration_ms;
	}
	o = json_object_new_object();
	json_put_obj(o, "total_pipeline_cost_usd", json_new_money(total));
	json_put_obj(o, "total_pipeline_duration_seconds",
	    json_new_seconds(wall_ms));
	json_put_obj(o, "stage_costs", list);
	json_put_obj(o, "sum_of_stage_durations_seconds",
	    json_new_seconds(sum_ms));
	json_put_str(o, "currency", "USD");
	return o;
}

/* --- the metadata document ------------------------------------------------ */

/* Pictures in base64 have no place in a document; their files have a path. */
static struct json_object *
without_pictures(const struct json_object *kit)
{
	struct json_object *copy;

	copy = json_copy(kit);
	json_object_object_del(copy, "logo_file_base64");
	return copy;
}

struct json_object *
results_brand_kit(const struct json_object *inputs,
    const struct json_object *outputs)
{
	struct json_object *kit, *analysis;

	kit = json_get_obj(inputs, "brand_kit");
	if (json_is_hollow(kit))
		return NULL;
	kit = without_pictures(kit);
	analysis = outputs_find(outputs, "logo_analysis");
	if (analysis != NULL && json_get(kit, "logo_analysis") == NULL)
		json_put_obj(kit, "logo_analysis", json_copy(analysis));
	return kit;
}

static struct json_object *
pipeline_settings(const struct json_object *inputs)
{
	static const char *const beside[] = { "run_id", "skip_stages", NULL };
	struct json_object *o;

	o = json_object_new_object();
	copy_member(o, "run_timestamp", inputs);
	json_put_int(o, "creativity_level_selected",
	    json_get_int(inputs, "creativity_level", 2));
	copy_member(o, "num_variants", inputs);
	copy_member(o, "pipeline_mode", inputs);
	copy_members(o, inputs, beside);
	return o;
}

static struct json_object *
request_details(const struct json_object *inputs)
{
	static const char *const keys[] = {
		"mode", "task_type", "target_platform", "language", NULL
	};
	struct json_object *o;

	o = json_object_new_object();
	copy_members(o, inputs, keys);
	return o;
}

static struct json_object *
user_inputs(const struct json_object *inputs,
    const struct json_object *outputs)
{
	static const char *const keys[] = {
		"render_text", "apply_branding", "task_description",
		"marketing_goals", "preset_id", "preset_type",
		"template_overrides", "adaptation_prompt", NULL
	};
	static const char *const beside[] = {
		"preset_data", "brief_intent", "unified_brief", NULL
	};
	struct json_object *o, *picture;

	o = json_object_new_object();
	copy_member(o, "prompt", inputs);
	picture = json_copy(json_get_obj(inputs, "image_reference"));
	if (picture != NULL)
		json_put_null(picture, "image_content_base64");
	json_put_obj(o, "image_reference", picture);
	copy_members(o, inputs, keys);
	json_put_obj(o, "brand_kit", results_brand_kit(inputs, outputs));
	copy_members(o, inputs, beside);
	return o;
}

static struct json_object *
processing_context(const struct json_object *outputs,
    const struct call_list *calls, const struct stage_list *stages,
    int64_t wall_ms)
{
	struct json_object *o, *assessments;
	size_t i;

	o = json_object_new_object();
	for (i = 0; i < sizeof(processing) / sizeof(processing[0]); i++)
		json_put_obj(o, processing[i].key, json_copy(
		    outputs_find(outputs, processing[i].output_key)));
	assessments = outputs_find(outputs, "image_assessments");
	if (assessments != NULL)
		json_put_obj(o, "image_assessment", json_copy(assessments));
	json_put_obj(o, "llm_call_usage", results_usage(calls));
	json_put_obj(o, "cost_summary",
	    results_cost_summary(stages, calls, wall_ms));
	return o;
}

/* What became of each stage; their outputs are above. */
static struct json_object *
stage_records(const struct stage_list *stages)
{
	struct json_object *list, *o;
	const struct stage_row *row;
	int i;

	list = json_object_new_array();
	for (i = 0; i < stages->n; i++) {
		row = &stages->rows[i];
		o = json_object_new_object();
		json_put_str(o, "stage_name", row->name);
		json_put_num(o, "stage_order", row->order);
		json_put_str(o, "status", stage_status_name(row->status));
		json_put_str(o, "error_message", row->error_message);
		json_object_array_add(list, o);
	}
	return list;
}

struct json_object *
results_metadata(const struct json_object *inputs,
    const struct json_object *outputs, const struct json_object *warnings,
    const struct call_list *calls, const struct stage_list *stages,
    int64_t wall_ms, bool simulated)
{
	struct json_object *o, *w;

	w = json_copy(warnings);
	o = json_object_new_object();
	json_put_obj(o, "pipeline_settings", pipeline_settings(inputs));
	json_put_obj(o, "request_details", request_details(inputs));
	json_put_obj(o, "user_inputs", user_inputs(inputs, outputs));
	json_put_obj(o, "processing_context",
	    processing_context(outputs, calls, stages, wall_ms));
	json_put_obj(o, "warnings", w != NULL ? w : json_object_new_array());
	json_put_bool(o, "simulated", simulated);
	json_put_obj(o, "stages", stage_records(stages));
	json_put_obj(o, "calls", call_records(calls));
	return o;
}
