/*
 * The fields of POST /api/v1/runs, for whoever must know what they hold without
 * knowing what they mean; run_form.c has the rules.
 */
#include "submit.h"

#include "xalloc.h"

static const struct shape_field fields[] = {
	{ "platform_name", FIELD_TEXT },
	{ "mode", FIELD_TEXT },
	{ "creativity_level", FIELD_NUMBER },
	{ "num_variants", FIELD_NUMBER },
	{ "prompt", FIELD_TEXT },
	{ "task_type", FIELD_TEXT },
	{ "task_description", FIELD_TEXT },
	{ "render_text", FIELD_TRUTH },
	{ "apply_branding", FIELD_TRUTH },
	{ "language", FIELD_TEXT },
	{ "marketing_audience", FIELD_TEXT },
	{ "marketing_objective", FIELD_TEXT },
	{ "marketing_voice", FIELD_TEXT },
	{ "marketing_niche", FIELD_TEXT },
	{ "image_instruction", FIELD_TEXT },
	{ "image_file", FIELD_FILE },
	{ "preset_id", FIELD_TEXT },
	{ "preset_type", FIELD_TEXT },
	{ "template_overrides", FIELD_JSON },
	{ "adaptation_prompt", FIELD_TEXT },
	{ "brand_kit", FIELD_JSON },
	{ "unified_brief", FIELD_JSON },
};

const struct form_shape run_form_shape = { fields, ARRAY_LEN(fields) };
