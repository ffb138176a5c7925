/*
 * What a stage knows: the job's inputs and the outputs of earlier stages,
 * nothing else.  Both are frozen JSON text; a context is one thread's own
 * parsed copy of it, since a json_object never crosses threads.
 *
 * Inputs of a generation (made by submit/, stored with the run, never changed):
 *
 *   run_id, run_timestamp        "YYYYMMDD_HHMMSS_ffffff", UTC
 *   creativity_level 1..3, num_variants 1..6, pipeline_mode "generation"
 *   mode, task_type|null, language
 *   target_platform   {name, resolution_details {width, height, aspect_ratio}}
 *   prompt|null, task_description|null, render_text, apply_branding
 *   marketing_goals|null {target_audience, objective, voice, niche} each |null
 *   image_reference|null {filename, content_type, size_bytes, width, height,
 *                     instruction|null, saved_image_path_in_run_dir}
 *   brand_kit|null    {colors|null, brand_voice_description|null,
 *                     saved_logo_path_in_run_dir|null, logo_analysis|null}
 *   brief_intent|null, unified_brief|null
 *   submit_warnings   [{code, message}] what was left out of the request
 *   preset_id, preset_type, preset_data, template_overrides,
 *   adaptation_prompt    null until presets exist
 *   skip_stages       []
 *
 * Paths are relative to the run's directory and were made by us.
 */
#ifndef CHURNS_CONTEXT_H
#define CHURNS_CONTEXT_H

#include <stdbool.h>

#include "err.h"
#include "json.h"

struct context {
	struct json_object *inputs;	/* object; read only */
	struct json_object *outputs;	/* stage name -> its output; read only */
	int variant;		/* the lane's strategy index; VARIANT_NONE */
	int num_variants;
};

/* Parse the inputs; outputs is empty. ERR_SYSTEM when the text is broken. */
enum err_code context_init(struct context *c, const char *inputs_text,
    struct err *e);
void context_release(struct context *c);

/* Add a stage's output (text), replacing an earlier one. Only the executor. */
enum err_code context_merge(struct context *c, const char *stage,
    const char *output_text, struct err *e);

/* NULL when the stage has not run, failed, or gave nothing. */
struct json_object *context_output(const struct context *c, const char *stage);

/* What later stages ask again and again. Never fail; see inputs above. */
const char *context_str(const struct context *c, const char *key);	/* NULL when null, absent or blank */
bool context_flag(const struct context *c, const char *key);
int context_creativity(const struct context *c);	/* 1..3 */
const char *context_goal(const struct context *c, const char *name);	/* marketing_goals member */
const char *context_platform(const struct context *c);	/* name */
const char *context_aspect(const struct context *c);	/* "1:1" when unknown */
const char *context_language(const struct context *c);	/* "en" when unknown */
struct json_object *context_reference(const struct context *c);	/* NULL: no picture */
const char *context_instruction(const struct context *c);	/* NULL: none */
/* The logo file: only with branding on. NULL otherwise. */
const char *context_logo_path(const struct context *c);
struct json_object *context_brand_kit(const struct context *c);	/* only with branding on */
/* brand_kit.logo_analysis, given or from image_eval. */
struct json_object *context_logo_analysis(const struct context *c);
/* Subject as image_eval saw it; NULL. */
const char *context_subject(const struct context *c);
/* The lane's strategy and style set, by index. */
struct json_object *context_strategy(const struct context *c, int index);
struct json_object *context_style(const struct context *c, int index);

#endif
