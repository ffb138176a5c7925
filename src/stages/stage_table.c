/*
 * The stages.
 *
 * To add a stage "upscale":
 *
 *   1. write src/stages/upscale.c with stage_upscale(); prompt_assembly.c is
 *      the smallest to start from, creative_expert.c one that asks a model;
 *   2. declare it in common.h and give it a row below;
 *   3. put its prompts into conf/prompts/NAME.txt and list every placeholder
 *      they may use beside the function (start-up checks them both ways), and
 *      the schema of what it tells into conf/schemas/;
 *   4. name the file in Makefile.am (libstages_a_SOURCES);
 *   5. give it its place in conf/stage_order.yml;
 *   6. add a test to tests/unit that runs it against the scripted model.
 *
 * Nothing else knows the stages by name.
 *
 * Rules for a row.  A name is stored with runs: never rename one.  A stage
 * lists the purposes without which it can do nothing; image_eval and strategy
 * list none, because they go on without a model (with nothing seen, and with
 * the words of pools.yml).  A title is what people read ("Reading your
 * picture..."), so it does not speak of stages.
 */
#include "stages.h"

#include "common.h"
#include "xalloc.h"

static const enum purpose_id style_guide_purposes[] = {
	PURPOSE_STYLE_GUIDE, PURPOSE__COUNT
};
static const enum purpose_id creative_expert_purposes[] = {
	PURPOSE_CREATIVE_EXPERT, PURPOSE__COUNT
};
static const enum purpose_id image_generation_purposes[] = {
	PURPOSE_IMAGE_GENERATION, PURPOSE__COUNT
};
static const enum purpose_id image_assessment_purposes[] = {
	PURPOSE_IMAGE_ASSESSMENT, PURPOSE__COUNT
};

const struct stage stage_table[] = {
	{
		.name = "image_eval",
		.title = "Reading your picture",
		.scope = STAGE_PER_RUN,
		.productive = false,
		.output_key = "image_analysis",
		.schema = "image_analysis",
		.prompts = image_eval_prompts,
		.exec = stage_image_eval,
	}, {
		.name = "strategy",
		.title = "Finding marketing angles",
		.scope = STAGE_PER_RUN,
		.productive = true,
		.output_key = "marketing_strategies",
		.schema = "marketing_goal_set",
		.prompts = strategy_prompts,
		.exec = stage_strategy,
	}, {
		.name = "style_guide",
		.title = "Choosing art directions",
		.scope = STAGE_PER_RUN,
		.productive = true,
		.output_key = "style_guidance",
		.schema = "style_guidance_set",
		.purposes = style_guide_purposes,
		.prompts = style_guide_prompts,
		.exec = stage_style_guide,
	}, {
		.name = "creative_expert",
		.title = "Designing the pictures",
		.scope = STAGE_PER_VARIANT,
		.productive = true,
		.output_key = "visual_concepts",
		.schema = "image_generation_prompt",
		.purposes = creative_expert_purposes,
		.prompts = creative_expert_prompts,
		.exec = stage_creative_expert,
	}, {
		.name = "prompt_assembly",
		.title = "Writing the picture briefs",
		.scope = STAGE_PER_VARIANT,
		.productive = true,
		.output_key = "final_prompts",
		.schema = "assembled_prompt",
		.prompts = prompt_assembly_prompts,
		.exec = stage_prompt_assembly,
	}, {
		.name = "image_generation",
		.title = "Making the pictures",
		.scope = STAGE_PER_VARIANT,
		.productive = true,
		.output_key = "generated_images",
		.schema = "generated_image_result",
		.purposes = image_generation_purposes,
		.exec = stage_image_generation,
		.failed = image_record_failed,
	}, {
		.name = "image_assessment",
		.title = "Checking the pictures",
		.scope = STAGE_PER_VARIANT,
		.productive = false,
		.output_key = "image_assessments",
		.schema = "image_assessment_record",
		.purposes = image_assessment_purposes,
		.prompts = image_assessment_prompts,
		.exec = stage_image_assessment,
	},

	/*
	 * Known by name only: existing stage order files name them, so that
	 * they load.  They come with later capabilities (presets, refinements,
	 * captions); until then no request that needs them can be planned.
	 */
	{
		.name = "style_adaptation",
		.title = "Adapting the saved style",
		.scope = STAGE_PER_RUN,
		.productive = true,
		.output_key = "adapted_visual_concept",
	}, {
		.name = "load_base_image",
		.title = "Loading the picture",
		.scope = STAGE_PER_RUN,
		.productive = true,
		.output_key = "base_image_loaded",
	}, {
		.name = "conditional_stage",
		.title = "Refining the picture",
		.scope = STAGE_PER_RUN,
		.productive = true,
		.output_key = "refinement_result",
	}, {
		.name = "save_outputs",
		.title = "Saving the refined picture",
		.scope = STAGE_PER_RUN,
		.productive = true,
		.output_key = "refinement_result",
	}, {
		.name = "caption",
		.title = "Writing the caption",
		.scope = STAGE_PER_RUN,
		.productive = true,
		.output_key = "caption",
	},
};

const int stage_table_len = (int)ARRAY_LEN(stage_table);
