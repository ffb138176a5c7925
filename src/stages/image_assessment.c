/*
 * Stage image_assessment: a critical look at each finished picture.
 *
 * The model gives scores and reasons; everything that follows from scores is
 * worked out here, and what the model says about it is ignored.  No score is
 * ever made up: without a usable answer the picture has no assessment, and the
 * run says so.
 *
 * Which criteria there are depends on the run: whether the subject survived can
 * only be judged beside the client's picture, and lettering only where words
 * were asked for.  The schema is cut to fit, so that a model can neither forget
 * a criterion nor judge one that does not apply.
 */
#include "common.h"

#include "xalloc.h"

#define CONCEPT_WEIGHT 6	/* tenths; scores are integers, so is the sum */
#define TECHNICAL_WEIGHT 4
#define REGENERATE_BELOW 35	/* tenths of general_score */
#define REPAIR_BELOW 4
#define NOISE_CLEAN 3
#define FIVE_POINT 5

static const char *const assessment_names[] = {
	PLACE_NAMES, LEVEL_NAMES, "reference", "text_on", "concept",
	"lettering", "index", NULL
};

const struct stage_prompt image_assessment_prompts[] = {
	{ "image_assessment", assessment_names },
	{ NULL, NULL }
};

/* What of a concept can be seen; reasons and alt text would only plead. */
static const char *const visible[] = {
	"main_subject", "composition_and_framing", "background_environment",
	"foreground_elements", "lighting_and_mood", "color_palette",
	"visual_style", "promotional_text_visuals", "logo_visuals",
	"texture_and_details", "negative_elements",
};

static const char *const subject_paths[] = {
	"assessment_scores/subject_preservation",
	"assessment_justification/subject_preservation",
};
static const char *const text_paths[] = {
	"assessment_scores/text_rendering_quality",
	"assessment_justification/text_rendering_quality",
};

/* --- the request -------------------------------------------------------- */

static void
set_concept(struct vars *v, const struct json_object *concept)
{
	struct json_object *seen = json_object_new_object();
	const char *value;
	char *text;
	size_t i;

	for (i = 0; i < ARRAY_LEN(visible); i++) {
		value = json_get_str(concept, visible[i]);
		if (!text_is_void(value))
			json_put_str(seen, visible[i], value);
	}
	text = json_to_pretty_text(seen);
	vars_set(v, "concept", text);
	free(text);
	json_object_put(seen);
}

/* The words that must be in the picture, one a line. */
static void
set_lettering(struct vars *v, const struct json_object *concept)
{
	struct strbuf text = STRBUF_INIT(MAX_PROMPT_TEXT);
	struct literals words;
	int i;

	literals_find(json_get_str(concept, "promotional_text_visuals"),
	    &words);
	for (i = 0; i < words.n; i++)
		strbuf_addf(&text, "%s\n", words.item[i]);
	vars_set(v, "lettering", text.buf);
	literals_release(&words);
	strbuf_release(&text);
}

void
assessment_vars(struct vars *v, const struct conf *conf,
    const struct context *c, const struct json_object *concept,
    const struct assessment_rules *rules)
{
	vars_place(v, conf, c, "marketing asset");
	vars_level(v, c);
	vars_flag(v, "reference", rules->reference);
	vars_flag(v, "text_on", rules->text);
	set_concept(v, concept);
	if (rules->text)
		set_lettering(v, concept);
	vars_setf(v, "index", "%d", rules->index);
}

enum err_code
assessment_schema(const struct schema *whole,
    const struct assessment_rules *rules, struct schema **out, struct err *e)
{
	const char *drop[ARRAY_LEN(subject_paths) + ARRAY_LEN(text_paths) + 1];
	const char *need[ARRAY_LEN(drop)];
	size_t i, n_drop = 0, n_need = 0;

	for (i = 0; i < ARRAY_LEN(subject_paths); i++)
		if (rules->reference)
			need[n_need++] = subject_paths[i];
		else
			drop[n_drop++] = subject_paths[i];
	for (i = 0; i < ARRAY_LEN(text_paths); i++)
		if (rules->text)
			need[n_need++] = text_paths[i];
		else
			drop[n_drop++] = text_paths[i];
	drop[n_drop] = need[n_need] = NULL;
	return schema_vary(whole, drop, need, out, e);
}

/* --- the answer --------------------------------------------------------- */

static int
score(const struct json_object *scores, const char *key)
{
	return (int)json_get_int(scores, key, 0);
}

static bool
is_low(const struct json_object *scores, const char *key)
{
	return score(scores, key) > 0 && score(scores, key) < REPAIR_BELOW;
}

enum noise
noise_of(const struct json_object *scores)
{
	int64_t noise = json_get_int(scores, "noise_and_grain_impact", 0);

	if (noise < 1)
		return NOISE_UNKNOWN;
	return noise < NOISE_CLEAN ? NOISE_TO_REDUCE : NOISE_FINE;
}

/* Members of `from` that apply to this run. Caller's. */
static struct json_object *
applying(const struct json_object *from, const struct assessment_rules *rules)
{
	struct json_object *o = from != NULL ? json_copy(from) :
	    json_object_new_object();

	if (!rules->reference)
		json_object_object_del(o, "subject_preservation");
	if (!rules->text)
		json_object_object_del(o, "text_rendering_quality");
	return o;
}

enum err_code
assessment_record(const struct json_object *answer,
    const struct assessment_rules *rules, struct json_object **out,
    struct err *e)
{
	const struct json_object *s = json_get_obj(answer,
	    "assessment_scores");
	struct json_object *r;
	int concept = score(s, "concept_adherence");
	int technical = score(s, "technical_quality");
	int tenths = CONCEPT_WEIGHT * concept + TECHNICAL_WEIGHT * technical;

	if (concept < 1 || technical < 1 || concept > FIVE_POINT ||
	    technical > FIVE_POINT)
		return err_set(e, ERR_INVALID,
		    "the answer lacks the scores that count");
	r = json_object_new_object();
	json_put_int(r, "image_index", rules->index);
	json_put_str(r, "image_path", rules->image_path);
	json_put_obj(r, "assessment_scores", applying(s, rules));
	json_put_obj(r, "assessment_justification", applying(
	    json_get_obj(answer, "assessment_justification"), rules));
	json_put_num(r, "general_score", tenths / 10.0);
	json_put_bool(r, "needs_regeneration", tenths < REGENERATE_BELOW);
	json_put_bool(r, "needs_subject_repair",
	    rules->reference && is_low(s, "subject_preservation"));
	json_put_bool(r, "needs_text_repair",
	    rules->text && is_low(s, "text_rendering_quality"));
	json_put_bool(r, "needs_noise_reduction",
	    noise_of(s) == NOISE_TO_REDUCE);
	json_put_null(r, "consistency_metrics");
	json_put_bool(r, "simulated", rules->simulated);
	*out = r;
	return ERR_OK;
}

/* --- asking ------------------------------------------------------------- */

/* The finished picture, and the client's beside it. */
static enum err_code
attach(struct stage_env *env, const struct context *c,
    const struct assessment_rules *rules, struct picture pictures[2],
    struct chat_request *req, struct err *e)
{
	int max_side = env->conf->settings.assessment_max_px;
	char name[RUN_PATH_MAX / 2];
	enum err_code rc;

	/* By the file's name: another picture must not find this one's copy. */
	snprintf(name, sizeof(name), "assess_%.*s",
	    (int)strcspn(rules->image_path, "."), rules->image_path);
	rc = picture_prepare(env, rules->image_path, name, max_side, false,
	    &pictures[0], e);
	if (rc != ERR_OK)
		return rc;
	picture_attach(req, &pictures[0]);
	if (!rules->reference)
		return ERR_OK;
	rc = picture_prepare(env, reference_path(c), "assess_reference",
	    max_side, false, &pictures[1], e);
	if (rc == ERR_OK)
		picture_attach(req, &pictures[1]);
	return rc;
}

static enum err_code
assess(struct stage_env *env, const struct context *c,
    const struct json_object *concept, struct assessment_rules *rules,
    struct json_object **out, struct err *e)
{
	struct vars v = { .n = 0 };
	struct picture pictures[2];
	struct schema *schema = NULL;
	struct call_result r;
	struct chat_call k;
	enum err_code rc;

	memset(&r, 0, sizeof(r));
	chat_call_init(&k, env, PURPOSE_IMAGE_ASSESSMENT, "image_assessment",
	    "image_assessment");
	k.req.hook = hook_assessment;
	assessment_vars(&v, env->conf, c, concept, rules);
	rc = assessment_schema(k.req.schema, rules, &schema, e);
	if (rc == ERR_OK) {
		k.req.schema = schema;
		rc = chat_call_render(&k, env, "image_assessment", &v, e);
	}
	if (rc == ERR_OK)
		rc = attach(env, c, rules, pictures, &k.req, e);
	if (rc == ERR_OK)
		rc = model_chat(env->model, env->scope, &k.req, &r, e);
	result_note(env, &r);
	rules->simulated = r.simulated;
	if (rc == ERR_OK)
		rc = assessment_record(r.value, rules, out, e);
	call_result_release(&r);
	schema_free(schema);
	vars_release(&v);
	chat_call_release(&k);
	return rc;
}

enum err_code
stage_image_assessment(struct stage_env *env, const struct context *c,
    struct json_object **out, struct err *e)
{
	const struct json_object *concept, *made;
	struct assessment_rules rules;

	memset(&rules, 0, sizeof(rules));
	made = context_output(c, "image_generation");
	concept = json_get_obj(context_output(c, "creative_expert"),
	    "visual_concept");
	rules.image_path = json_get_str(made, "result_path");
	if (rules.image_path == NULL || concept == NULL)
		return err_set(e, ERR_INVALID,
		    "there is no picture with a concept to look at");
	rules.index = c->variant;
	rules.reference = reference_path(c) != NULL;
	rules.text = context_flag(c, "render_text") && !text_is_void(
	    json_get_str(concept, "promotional_text_visuals"));
	return assess(env, c, concept, &rules, out, e);
}
