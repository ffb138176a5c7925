/*
 * Planning: which stages a request goes through, and under which numbers.
 *
 * The order is that of conf/stage_order.yml; a stage's number is its place in
 * it, from 1, whether it is executed or skipped.  Two rules go beyond the file:
 *
 *   - A run made from a style recipe that brings something new (a picture or
 *     an adaptation prompt) passes through style_adaptation, half a number
 *     before prompt_assembly.
 *   - In refinements, conditional_stage stands for the kind of edit asked for.
 *   - A noise check of a refinement is one step of its own.
 *
 * A plan is a pure function of order, table and inputs: the API stores it with
 * the run, the runner makes the same one again.
 */
#include "internal.h"

#include "xalloc.h"

#define ADAPTATION "style_adaptation"
#define ADAPTATION_BEFORE "prompt_assembly"
#define CONDITIONAL "conditional_stage"
#define NOISE_CHECK "noise_assessment"
#define RECIPE "STYLE_RECIPE"

static const struct {
	const char *type, *stage;
} edits[] = {
	{ "subject", "subject_repair" },
	{ "text", "text_repair" },
	{ "prompt", "prompt_refine" },
};

static bool
wants_adaptation(const struct context *c)
{
	const char *type;

	type = context_str(c, "preset_type");
	return type != NULL && strcmp(type, RECIPE) == 0 &&
	    (context_reference(c) != NULL ||
	    context_str(c, "adaptation_prompt") != NULL);
}

/* Named by the request as one to leave out? */
static bool
left_out(const struct context *c, const char *stage)
{
	const struct json_object *list;
	const char *name;
	size_t i;

	list = json_get_arr(c->inputs, "skip_stages");
	for (i = 0; i < json_len(list); i++) {
		name = json_object_get_string(
		    json_object_array_get_idx(list, i));
		if (name != NULL && strcmp(name, stage) == 0)
			return true;
	}
	return false;
}

static enum err_code
add_step(struct plan *p, const struct stage *stage, double order,
    const struct context *c, struct err *e)
{
	struct plan_step *step;

	if (p->n == MAX_STAGES)
		return err_set(e, ERR_INVALID, "more than %d steps",
		    MAX_STAGES);
	step = &p->steps[p->n];
	step->stage = stage;
	step->order = order;
	step->skip_reason = NULL;
	if (left_out(c, stage->name))
		step->skip_reason = "The request leaves it out.";
	else if (stage->exec == NULL)
		return err_set(e, ERR_INVALID,
		    "this installation cannot carry out %s yet", stage->name);
	else if (stage->skip != NULL)
		step->skip_reason = stage->skip(c);
	p->n++;
	return ERR_OK;
}

/* The stage that conditional_stage stands for. */
static enum err_code
resolve_edit(const struct executor *x, const struct context *c,
    const struct stage **stage, struct err *e)
{
	const char *type, *name = NULL;
	size_t i;

	type = context_str(c, "refinement_type");
	for (i = 0; i < ARRAY_LEN(edits); i++)
		if (type != NULL && strcmp(type, edits[i].type) == 0)
			name = edits[i].stage;
	if (name == NULL)
		return err_set(e, ERR_INVALID,
		    "\"%s\" is not a kind of refinement",
		    type != NULL ? type : "");
	*stage = stage_find(x->table, x->n_table, name);
	if (*stage == NULL)
		return err_set(e, ERR_INVALID,
		    "this installation cannot carry out %s yet", name);
	return ERR_OK;
}

/* The one stage of that name as the plan's next step. */
static enum err_code
add_named(const struct executor *x, struct plan *p, const char *name,
    double order, const struct context *c, struct err *e)
{
	const struct stage *stage;

	stage = stage_find(x->table, x->n_table, name);
	if (stage == NULL)
		return err_set(e, ERR_INVALID,
		    "this installation cannot carry out %s yet", name);
	return add_step(p, stage, order, c, e);
}

enum err_code
plan_make(const struct executor *x, const struct json_object *inputs,
    struct plan *out, struct err *e)
{
	/* Only looked at; the reference stays the caller's. */
	struct context c = {
		.inputs = (struct json_object *)inputs,
		.variant = VARIANT_NONE,
		.num_variants = (int)json_get_int(inputs, "num_variants", 1),
	};
	const struct stage *stage;
	struct plan plan = { .n = 0 };
	enum err_code rc;
	int i;

	if (context_str(&c, "assessment") != NULL) {
		rc = add_named(x, &plan, NOISE_CHECK, 1, &c, e);
		if (rc == ERR_OK)
			*out = plan;
		return rc;
	}
	for (i = 0; i < x->n; i++) {
		stage = x->stages[i];
		if (strcmp(stage->name, CONDITIONAL) == 0) {
			rc = resolve_edit(x, &c, &stage, e);
			if (rc != ERR_OK)
				return rc;
		}
		if (strcmp(stage->name, ADAPTATION_BEFORE) == 0 &&
		    wants_adaptation(&c)) {
			rc = add_named(x, &plan, ADAPTATION, i + 0.5, &c, e);
			if (rc != ERR_OK)
				return rc;
		}
		rc = add_step(&plan, stage, i + 1, &c, e);
		if (rc != ERR_OK)
			return rc;
	}
	*out = plan;
	return ERR_OK;
}
