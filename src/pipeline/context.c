/*
 * The context of a stage: what the request said and what earlier stages gave.
 *
 * The readers never fail and never invent: where nothing is known they say so
 * (NULL) or give the documented default.  Outputs are looked up by the member
 * that holds them, not by the stage that made them, so that a style recipe may
 * later supply strategies in place of the strategy stage.
 */
#include "context.h"

#include "internal.h"

#define DEFAULT_CREATIVITY 2
#define DEFAULT_VARIANTS 3

static int
clamp(int64_t v, int low, int high)
{
	if (v < low)
		return low;
	if (v > high)
		return high;
	return (int)v;
}

/* A member's text, or NULL where it says nothing. */
static const char *
said(const struct json_object *o, const char *key)
{
	struct json_object *v;

	v = json_get(o, key);
	if (json_is_blank(v))
		return NULL;
	return json_get_str(o, key);
}

enum err_code
context_init(struct context *c, const char *inputs_text, struct err *e)
{
	struct json_object *inputs = NULL;
	enum err_code rc;

	memset(c, 0, sizeof(*c));
	rc = json_parse(inputs_text, strlen(inputs_text), &inputs, e);
	if (rc == ERR_OK && !json_object_is_type(inputs, json_type_object))
		rc = err_set(e, ERR_SYSTEM, "not a JSON object");
	if (rc != ERR_OK) {
		json_object_put(inputs);
		if (e != NULL)
			e->code = ERR_SYSTEM;
		err_wrap(e, "the inputs of the run are broken");
		return ERR_SYSTEM;
	}
	c->inputs = inputs;
	c->outputs = json_object_new_object();
	c->variant = VARIANT_NONE;
	c->num_variants = clamp(json_get_int(inputs, "num_variants",
	    DEFAULT_VARIANTS), 1, MAX_VARIANTS);
	return ERR_OK;
}

void
context_release(struct context *c)
{
	json_object_put(c->inputs);
	json_object_put(c->outputs);
	memset(c, 0, sizeof(*c));
}

enum err_code
context_merge(struct context *c, const char *stage, const char *output_text,
    struct err *e)
{
	struct json_object *output = NULL;
	enum err_code rc;

	rc = json_parse(output_text, strlen(output_text), &output, e);
	if (rc != ERR_OK) {
		if (e != NULL)
			e->code = ERR_SYSTEM;
		err_wrap(e, "the stored output of %s is broken", stage);
		return ERR_SYSTEM;
	}
	json_put_obj(c->outputs, stage, output);
	return ERR_OK;
}

struct json_object *
context_output(const struct context *c, const char *stage)
{
	return json_get(c->outputs, stage);
}

struct json_object *
outputs_find(const struct json_object *outputs, const char *key)
{
	struct json_object *value;

	if (outputs == NULL)
		return NULL;
	json_object_object_foreach((struct json_object *)outputs, stage, output) {
		(void)stage;
		value = json_get(output, key);
		if (value != NULL)
			return value;
	}
	return NULL;
}

bool
json_is_hollow(const struct json_object *o)
{
	if (!json_object_is_type(o, json_type_object))
		return true;
	json_object_object_foreach((struct json_object *)o, key, value) {
		(void)key;
		if (value != NULL)
			return false;
	}
	return true;
}

struct json_object *
entry_for(const struct json_object *list, int index)
{
	struct json_object *entry;
	size_t i;

	if (index < 0)
		return NULL;
	for (i = 0; i < json_len(list); i++) {
		entry = json_object_array_get_idx(list, i);
		if (json_get_int(entry, "source_strategy_index", -1) == index)
			return entry;
	}
	if ((size_t)index >= json_len(list))
		return NULL;
	entry = json_object_array_get_idx(list, (size_t)index);
	return json_get(entry, "source_strategy_index") == NULL ? entry : NULL;
}

const char *
context_str(const struct context *c, const char *key)
{
	return said(c->inputs, key);
}

bool
context_flag(const struct context *c, const char *key)
{
	return json_get_bool(c->inputs, key, false);
}

int
context_creativity(const struct context *c)
{
	return clamp(json_get_int(c->inputs, "creativity_level",
	    DEFAULT_CREATIVITY), 1, 3);
}

const char *
context_goal(const struct context *c, const char *name)
{
	return said(json_get_obj(c->inputs, "marketing_goals"), name);
}

const char *
context_platform(const struct context *c)
{
	return said(json_get_obj(c->inputs, "target_platform"), "name");
}

const char *
context_aspect(const struct context *c)
{
	const char *aspect;

	aspect = said(json_at(c->inputs, "target_platform/resolution_details"),
	    "aspect_ratio");
	return aspect != NULL ? aspect : "1:1";
}

const char *
context_language(const struct context *c)
{
	const char *language;

	language = said(c->inputs, "language");
	return language != NULL ? language : "en";
}

struct json_object *
context_reference(const struct context *c)
{
	return json_get_obj(c->inputs, "image_reference");
}

const char *
context_instruction(const struct context *c)
{
	return said(context_reference(c), "instruction");
}

struct json_object *
context_brand_kit(const struct context *c)
{
	struct json_object *kit;

	if (!context_flag(c, "apply_branding"))
		return NULL;
	kit = json_get_obj(c->inputs, "brand_kit");
	return json_is_hollow(kit) ? NULL : kit;
}

const char *
context_logo_path(const struct context *c)
{
	return said(context_brand_kit(c), "saved_logo_path_in_run_dir");
}

struct json_object *
context_logo_analysis(const struct context *c)
{
	struct json_object *kit, *given;

	kit = context_brand_kit(c);
	if (kit == NULL)
		return NULL;
	given = json_get_obj(kit, "logo_analysis");
	if (given != NULL)
		return given;
	given = outputs_find(c->outputs, "logo_analysis");
	return json_object_is_type(given, json_type_object) ? given : NULL;
}

const char *
context_subject(const struct context *c)
{
	return said(outputs_find(c->outputs, "image_analysis"), "main_subject");
}

struct json_object *
context_strategy(const struct context *c, int index)
{
	return entry_for(outputs_find(c->outputs, "marketing_strategies"),
	    index);
}

struct json_object *
context_style(const struct context *c, int index)
{
	return entry_for(outputs_find(c->outputs, "style_guidance"), index);
}
