/*
 * Stage creative_expert: one visual concept, in a variant's own lane.
 *
 * The model proposes; the switches of the run decide.  Whatever it wrote, a
 * picture whose subject is to be kept has no subject field, one without text
 * has no text field, one without branding no logo field.  The other way round
 * a field that must be there and is not is a violation, told to the model once
 * more by the model layer.
 *
 * The client's quoted words are sacred: when a concept leaves some out it is
 * complained about once, and if they are still missing they are put in here.
 * Without that, a picture with the wrong words would be paid for.
 */
#include "common.h"

#include "xalloc.h"

#define TEMPERATURE_FOCUSED 0.4
#define TEMPERATURE_ABSTRACT 0.9
#define MAX_DIRECTION_CHARS 4000
#define MAX_CONCEPT_CHARS 8000	/* of one field; 13 of them */

static const char *const concept_names[] = {
	PLACE_NAMES, ASPECT_NAMES, TASK_NAMES, LEVEL_NAMES, BRIEF_NAMES,
	LANGUAGE_NAMES, REFERENCE_NAMES, BRAND_NAMES, LETTERING_NAMES,
	STRATEGY_NAMES,
	"file_name", "direction", "text_on", "branding_on", "logo_file", NULL
};

const struct stage_prompt creative_expert_prompts[] = {
	{ "creative_expert", concept_names },
	{ NULL, NULL }
};

/* In the order of the schema; the record has all of them. */
static const struct field {
	const char *key;
	bool needed;
} fields[] = {
	{ "main_subject", false },	/* by the situation */
	{ "composition_and_framing", true },
	{ "background_environment", true },
	{ "foreground_elements", false },
	{ "lighting_and_mood", true },
	{ "color_palette", true },
	{ "visual_style", true },
	{ "promotional_text_visuals", false },
	{ "logo_visuals", false },
	{ "texture_and_details", false },
	{ "negative_elements", false },
	{ "creative_reasoning", false },
	{ "suggested_alt_text", true },
};

/* --- pure --------------------------------------------------------------- */

double
concept_temperature(const struct conf *conf, int creativity)
{
	double usual = conf->purposes[PURPOSE_CREATIVE_EXPERT].temperature;

	if (usual < 0 || creativity == 2)
		return usual;
	return creativity == 1 ? TEMPERATURE_FOCUSED : TEMPERATURE_ABSTRACT;
}

/* Keywords, description and aim of a style set, a line each. */
static void
set_direction(struct vars *v, const struct json_object *style)
{
	struct strbuf text = STRBUF_INIT(MAX_PROMPT_TEXT);
	struct json_object *words = json_get_arr(style, "style_keywords");
	char *line;
	size_t i;

	for (i = 0; i < json_len(words); i++)
		strbuf_addf(&text, "%s%s", i == 0 ? "Keywords: " : ", ",
		    json_object_get_string(json_object_array_get_idx(words,
		    i)));
	if (i > 0)
		strbuf_addch(&text, '\n');
	line = text_one_line(json_get_str(style, "style_description"),
	    MAX_DIRECTION_CHARS);
	if (line != NULL)
		strbuf_addf(&text, "Description: %s\n", line);
	free(line);
	line = text_one_line(json_get_str(style, "marketing_impact"),
	    MAX_DIRECTION_CHARS);
	if (line != NULL)
		strbuf_addf(&text, "Effect wanted: %s\n", line);
	free(line);
	vars_set(v, "direction", text.buf);
	strbuf_release(&text);
}

void
concept_vars(struct vars *v, const struct conf *conf, const struct context *c,
    const struct json_object *strategy, const struct json_object *style,
    int index)
{
	bool text_on = context_flag(c, "render_text");

	vars_place(v, conf, c, ABSENT);
	vars_aspect(v, conf, c);
	vars_task(v, c);
	vars_level(v, c);
	vars_set(v, "brief", context_str(c, "prompt"));
	/* Words that are not wanted in the picture would only tempt. */
	if (text_on)
		vars_set(v, "overlay", context_str(c, "task_description"));
	vars_language(v, conf, c);
	vars_reference(v, c);
	if (reference_path(c) != NULL)
		vars_set(v, "file_name", json_get_str(context_reference(c),
		    "filename"));
	vars_brand(v, c, LAYER_CREATIVE);
	if (text_on)
		vars_lettering(v, c);
	vars_strategy(v, strategy, index);
	set_direction(v, style);
	vars_flag(v, "text_on", text_on);
	vars_flag(v, "branding_on", context_flag(c, "apply_branding"));
	vars_flag(v, "logo_file", context_logo_path(c) != NULL);
}

void
concept_rules_of(const struct context *c, struct concept_rules *out)
{
	memset(out, 0, sizeof(*out));
	out->text_on = context_flag(c, "render_text");
	out->branding_on = context_flag(c, "apply_branding");
	out->reference = reference_path(c) != NULL;
	out->default_edit = out->reference && context_instruction(c) == NULL;
	if (out->text_on)
		out->overlay = context_str(c, "task_description");
}

/* Tell of quoted words that the text field leaves out. */
static bool
complain_of_literals(const char *overlay, const char *text,
    struct strbuf *violations)
{
	struct literals words;
	bool complained = false;
	int i;

	literals_find(overlay, &words);
	for (i = 0; i < words.n; i++)
		if (!text_has(text, words.item[i])) {
			strbuf_addf(violations, "visual_concept/"
			    "promotional_text_visuals: must contain the words "
			    "\"%s\" exactly as the client quoted them\n",
			    words.item[i]);
			complained = true;
		}
	literals_release(&words);
	return complained;
}

void
concept_verify(struct json_object *value, struct strbuf *violations, void *arg)
{
	const struct json_object *concept = json_get_obj(value,
	    "visual_concept");
	struct concept_rules *rules = arg;
	const char *text = json_get_str(concept, "promotional_text_visuals");
	struct literals words;
	size_t i;

	for (i = 0; i < ARRAY_LEN(fields); i++)
		if (fields[i].needed &&
		    text_is_void(json_get_str(concept, fields[i].key)))
			strbuf_addf(violations,
			    "visual_concept/%s: must not be empty\n",
			    fields[i].key);
	if (!rules->reference &&
	    text_is_void(json_get_str(concept, "main_subject")))
		strbuf_addstr(violations, "visual_concept/main_subject: must "
		    "describe the subject, since no picture is supplied\n");
	if (rules->overlay == NULL)
		return;
	if (!rules->literals_told)
		rules->literals_told = complain_of_literals(rules->overlay,
		    text, violations);
	literals_find(rules->overlay, &words);
	if (words.n == 0 && text_is_void(text))
		strbuf_addstr(violations, "visual_concept/"
		    "promotional_text_visuals: must say which words are "
		    "drawn and how, since text is on\n");
	literals_release(&words);
}

/* text, and the quoted words it leaves out. Caller's; NULL when void. */
static char *
with_literals(const char *text, const char *overlay)
{
	struct strbuf all = STRBUF_INIT(MAX_PROMPT_TEXT);
	char *line = text_one_line(text, MAX_CONCEPT_CHARS);
	char *start = text_sentence(line);
	struct literals words;
	int i;

	strbuf_addstr(&all, start);
	literals_find(overlay, &words);
	for (i = 0; i < words.n; i++)
		if (!text_has(all.buf, words.item[i]))
			strbuf_addf(&all, "%sThe picture carries the words "
			    "\"%s\" in large, legible lettering.",
			    all.len > 0 ? " " : "", words.item[i]);
	literals_release(&words);
	free(start);
	free(line);
	if (all.len == 0) {
		strbuf_release(&all);
		return NULL;
	}
	return strbuf_detach(&all);
}

static void
put_text_field(struct json_object *concept, const struct concept_rules *rules)
{
	char *text;

	if (rules->overlay == NULL)
		return;
	text = with_literals(json_get_str(concept,
	    "promotional_text_visuals"), rules->overlay);
	json_put_str(concept, "promotional_text_visuals", text);
	free(text);
}

static void
put_field(struct json_object *concept, const char *key, const char *text)
{
	char *cut = text_is_void(text) ? NULL :
	    text_cut(text, MAX_CONCEPT_CHARS);

	json_put_str(concept, key, cut);
	free(cut);
}

struct json_object *
concept_record(const struct json_object *answer,
    const struct concept_rules *rules, int index)
{
	const struct json_object *from = json_get_obj(answer,
	    "visual_concept");
	struct json_object *concept = json_object_new_object();
	struct json_object *record = json_object_new_object();
	char *alt;
	size_t i;

	for (i = 0; i < ARRAY_LEN(fields); i++)
		put_field(concept, fields[i].key,
		    json_get_str(from, fields[i].key));
	if (rules->default_edit)
		json_put_null(concept, "main_subject");
	if (rules->text_on)
		put_text_field(concept, rules);
	else
		json_put_null(concept, "promotional_text_visuals");
	if (!rules->branding_on)
		json_put_null(concept, "logo_visuals");
	alt = text_one_line(json_get_str(concept, "suggested_alt_text"),
	    MAX_ALT_CHARS);
	json_put_str(concept, "suggested_alt_text", alt);
	free(alt);
	json_put_obj(record, "visual_concept", concept);
	json_put_int(record, "source_strategy_index", index);
	return record;
}

/* --- asking ------------------------------------------------------------- */

static enum err_code
ask(struct stage_env *env, const struct context *c,
    const struct json_object *strategy, const struct json_object *style,
    struct concept_rules *rules, struct json_object **out, struct err *e)
{
	struct vars v = { .n = 0 };
	struct call_result r;
	struct chat_call k;
	enum err_code rc;

	memset(&r, 0, sizeof(r));
	chat_call_init(&k, env, PURPOSE_CREATIVE_EXPERT, "creative_expert",
	    "image_generation_prompt");
	k.req.hook = hook_concept;
	k.req.verify = concept_verify;
	k.req.verify_arg = rules;
	k.req.temperature = concept_temperature(env->conf,
	    context_creativity(c));
	concept_vars(&v, env->conf, c, strategy, style, c->variant);
	rc = chat_call_render(&k, env, "creative_expert", &v, e);
	if (rc == ERR_OK)
		rc = model_chat(env->model, env->scope, &k.req, &r, e);
	result_note(env, &r);
	if (rc == ERR_OK)
		*out = concept_record(r.value, rules, c->variant);
	call_result_release(&r);
	vars_release(&v);
	chat_call_release(&k);
	return rc;
}

enum err_code
stage_creative_expert(struct stage_env *env, const struct context *c,
    struct json_object **out, struct err *e)
{
	const struct json_object *strategy, *style;
	struct concept_rules rules;

	strategy = context_strategy(c, c->variant);
	if (strategy == NULL)
		return err_set(e, ERR_INVALID,
		    "there is no strategy for this variant");
	style = context_style(c, c->variant);
	if (style == NULL)
		return err_set(e, ERR_INVALID,
		    "there is no style for this variant");
	concept_rules_of(c, &rules);
	return ask(env, c, strategy, style, &rules, out, e);
}
