/*
 * What the results route and the run_complete event show of a metadata
 * document, which may also be one of the first implementation: nothing is
 * taken for granted, and every documented key is there.
 *
 * Clients join by strategy index, and look marketing_strategies,
 * visual_concepts and final_prompts up by POSITION with it.  Strategies always
 * are complete; concepts and prompts of variants that dropped out are not
 * there.  So their places are filled here with entries that say nothing (empty
 * texts, a prompt that begins with "Error:"), and every entry stands where its
 * index says.  The file keeps the true lists.
 */
#include "results.h"

#include "internal.h"
#include "xalloc.h"

#define MAX_PLACES 32		/* an index beyond is not believed */

static struct json_object *
no_concept(int index)
{
	static const char *const texts[] = {
		"composition_and_framing", "background_environment",
		"lighting_and_mood", "color_palette", "visual_style",
		"suggested_alt_text",
	};
	static const char *const nulls[] = {
		"main_subject", "foreground_elements",
		"promotional_text_visuals", "logo_visuals",
		"texture_and_details", "negative_elements",
		"creative_reasoning",
	};
	struct json_object *o, *concept;
	size_t i;

	concept = json_object_new_object();
	for (i = 0; i < ARRAY_LEN(nulls); i++)
		json_put_null(concept, nulls[i]);
	for (i = 0; i < ARRAY_LEN(texts); i++)
		json_put_str(concept, texts[i], "");
	o = json_object_new_object();
	json_put_obj(o, "visual_concept", concept);
	json_put_int(o, "source_strategy_index", index);
	json_put_bool(o, "dropped", true);
	return o;
}

static struct json_object *
no_prompt(int index)
{
	struct json_object *o;

	o = json_object_new_object();
	json_put_int(o, "index", index);
	json_put_str(o, "prompt", "Error: this variant was dropped.");
	json_put_str(o, "assembly_type", "full_generation");
	json_put_str(o, "platform_aspect_ratio", "");
	json_put_str(o, "supported_aspect_ratio", "");
	json_put_bool(o, "has_reference", false);
	json_put_bool(o, "has_logo", false);
	json_put_bool(o, "has_instruction", false);
	json_put_bool(o, "is_style_adaptation", false);
	json_put_bool(o, "dropped", true);
	return o;
}

/* The list with every entry in the place that its index_key names. */
static struct json_object *
in_place(const struct json_object *list, const char *index_key,
    struct json_object *(*filler)(int index))
{
	struct json_object *out, *entry;
	int64_t index;
	size_t i;

	if (!json_object_is_type(list, json_type_array))
		return NULL;
	out = json_object_new_array();
	for (i = 0; i < json_len(list); i++) {
		entry = json_object_array_get_idx(list, i);
		index = json_get_int(entry, index_key, -1);
		while (index < MAX_PLACES && (int64_t)json_len(out) < index)
			json_object_array_add(out,
			    filler((int)json_len(out)));
		json_object_array_add(out, json_copy(entry));
	}
	return out;
}

/* The part of a path after its last slash. */
static const char *
base_name(const char *path)
{
	const char *slash;

	if (path == NULL)
		return NULL;
	slash = strrchr(path, '/');
	return slash != NULL ? slash + 1 : path;
}

static struct json_object *
picture(const struct json_object *result, size_t position)
{
	struct json_object *o;
	const char *status;

	status = json_get_str(result, "status");
	o = json_object_new_object();
	json_put_int(o, "strategy_index",
	    json_get_int(result, "index", (int64_t)position));
	json_put_str(o, "status", status != NULL ? status : "unknown");
	json_put_str(o, "image_path",
	    base_name(json_get_str(result, "result_path")));
	json_put_str(o, "error_message",
	    json_get_str(result, "error_message"));
	json_put_null(o, "prompt_used");
	return o;
}

static int
by_strategy(const void *a, const void *b)
{
	struct json_object *const *left = a, *const *right = b;
	int64_t l, r;

	l = json_get_int(*left, "strategy_index", 0);
	r = json_get_int(*right, "strategy_index", 0);
	return l < r ? -1 : l > r;
}

/* Never NULL. */
static struct json_object *
pictures(const struct json_object *results)
{
	struct json_object *list;
	size_t i;

	list = json_object_new_array();
	for (i = 0; i < json_len(results); i++)
		json_object_array_add(list, picture(
		    json_object_array_get_idx(results, i), i));
	json_object_array_sort(list, by_strategy);
	return list;
}

struct json_object *
results_view(const char *run_id, const char *status,
    const struct json_object *metadata, struct json_object *refinements)
{
	const struct json_object *made, *costs;
	struct json_object *o, *warnings;

	made = json_get_obj(metadata, "processing_context");
	costs = json_get_obj(made, "cost_summary");
	warnings = json_copy(json_get_arr(metadata, "warnings"));
	o = json_object_new_object();
	json_put_str(o, "run_id", run_id);
	json_put_str(o, "status", status);
	json_put_obj(o, "image_analysis",
	    json_copy(json_get(made, "image_analysis_result")));
	json_put_obj(o, "marketing_strategies",
	    json_copy(json_get(made, "suggested_marketing_strategies")));
	json_put_obj(o, "style_guidance",
	    json_copy(json_get(made, "style_guidance_sets")));
	json_put_obj(o, "visual_concepts",
	    in_place(json_get(made, "generated_image_prompts"),
	    "source_strategy_index", no_concept));
	json_put_obj(o, "final_prompts",
	    in_place(json_get(made, "final_assembled_prompts"), "index",
	    no_prompt));
	json_put_obj(o, "generated_images",
	    pictures(json_get(made, "generated_image_results")));
	json_put_obj(o, "image_assessments",
	    json_copy(json_get(made, "image_assessment")));
	json_put_obj(o, "refinements", refinements);
	json_put_obj(o, "total_cost_usd",
	    json_copy(json_get(costs, "total_pipeline_cost_usd")));
	json_put_obj(o, "total_duration_seconds",
	    json_copy(json_get(costs, "total_pipeline_duration_seconds")));
	json_put_obj(o, "stage_costs",
	    json_copy(json_get(costs, "stage_costs")));
	json_put_obj(o, "warnings",
	    warnings != NULL ? warnings : json_object_new_array());
	json_put_bool(o, "simulated",
	    json_get_bool(metadata, "simulated", false));
	return o;
}
