/*
 * Placeholders: what a run is about, put under names that templates use.
 *
 * One function for each group of names; a stage calls those it wants and
 * lists the same groups for the check at start-up.  A fact that is absent
 * leaves its name without a value, and the template's section with it; no
 * stand-in such as "none" is ever made up here.  The one exception are task
 * and platform, which prompts for language models show as N/A.
 */
#include "common.h"

#include <assert.h>

#include "xalloc.h"

#define MAX_FIELD_CHARS 400	/* of a strategy's field or an analysed fact */
#define MAX_FACTS_BYTES (16 * 1024)

static const char *const level_names[] = {
	"Focused & Photorealistic",
	"Impressionistic & Stylized",
	"Abstract & Illustrative",
};

/* --- the list ----------------------------------------------------------- */

void
vars_release(struct vars *v)
{
	int i;

	for (i = 0; i < v->n; i++)
		free((char *)v->v[i].value);
	v->n = 0;
}

const char *
vars_get(const struct vars *v, const char *name)
{
	int i;

	for (i = 0; i < v->n; i++)
		if (strcmp(v->v[i].name, name) == 0)
			return v->v[i].value;
	return NULL;
}

void
vars_set(struct vars *v, const char *name, const char *value)
{
	assert(vars_get(v, name) == NULL);
	if (value == NULL || value[strspn(value, " \t\r\n")] == '\0')
		return;
	assert(v->n < MAX_VARS);
	v->v[v->n].name = name;
	v->v[v->n++].value = xstrdup(value);
}

void
vars_setf(struct vars *v, const char *name, const char *fmt, ...)
{
	struct strbuf value = STRBUF_INIT(MAX_FACTS_BYTES);
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(&value, fmt, ap);
	va_end(ap);
	vars_set(v, name, value.buf);
	strbuf_release(&value);
}

void
vars_flag(struct vars *v, const char *name, bool on)
{
	vars_set(v, name, on ? "yes" : NULL);
}

/* In one line; models answer with line breaks where none belong. */
static void
set_line(struct vars *v, const char *name, const char *value)
{
	char *line = text_one_line(value, MAX_FIELD_CHARS);

	vars_set(v, name, line);
	free(line);
}

/* --- where and what for ------------------------------------------------- */

static const char *
platform_flag(const struct platform *p)
{
	static const char *const flags[] = {
		"platform_instagram_post", "platform_instagram_story",
		"platform_facebook", "platform_pinterest",
		"platform_xiaohongshu",
	};
	size_t i, prefix = strlen("platform_");

	for (i = 0; p != NULL && i < ARRAY_LEN(flags); i++)
		if (strcmp(flags[i] + prefix, p->guidance_key) == 0)
			return flags[i];
	return "platform_other";
}

void
vars_place(struct vars *v, const struct conf *conf, const struct context *c,
    const char *no_task)
{
	const char *name = context_platform(c);
	const char *task = context_str(c, "task_type");
	const struct platform *p = NULL;

	if (name != NULL)
		p = conf_platform(conf, name);
	vars_set(v, "platform", p != NULL ? p->short_name : ABSENT);
	vars_flag(v, platform_flag(p), true);
	vars_set(v, "task", task != NULL ? task : no_task);
}

void
vars_aspect(struct vars *v, const struct conf *conf, const struct context *c)
{
	vars_set(v, "aspect", drawn_aspect(conf, c));
}

void
vars_task(struct vars *v, const struct context *c)
{
	static const char *const flags[] = {
		"task_1", "task_2", "task_3", "task_4",
		"task_5", "task_6", "task_7", "task_8",
	};
	const char *task = context_str(c, "task_type");

	if (task != NULL && task[0] >= '1' && task[0] <= '8' && task[1] == '.')
		vars_flag(v, flags[task[0] - '1'], true);
	else
		vars_flag(v, "task_other", true);
}

void
vars_level(struct vars *v, const struct context *c)
{
	static const char *const flags[] = { "level_1", "level_2", "level_3" };
	int level = context_creativity(c);

	vars_setf(v, "level", "%d", level);
	vars_set(v, "level_name", level_names[level - 1]);
	vars_flag(v, flags[level - 1], true);
}

void
vars_brief(struct vars *v, const struct context *c)
{
	vars_set(v, "brief", context_str(c, "prompt"));
	vars_set(v, "overlay", context_str(c, "task_description"));
}

void
vars_language(struct vars *v, const struct conf *conf, const struct context *c)
{
	const char *code = context_language(c);
	char buf[16];

	vars_set(v, "language", conf_language_name(conf, code, buf));
	vars_flag(v, "other_language", strcmp(code, "en") != 0);
}

void
vars_goals(struct vars *v, const struct context *c)
{
	bool any;

	any = context_goal(c, "target_audience") != NULL ||
	    context_goal(c, "objective") != NULL ||
	    context_goal(c, "voice") != NULL || context_goal(c, "niche") != NULL;
	vars_flag(v, "goals_complete", goals_are_complete(c));
	vars_flag(v, "goals_partial", any && !goals_are_complete(c));
	vars_set(v, "goal_audience", context_goal(c, "target_audience"));
	vars_set(v, "goal_objective", context_goal(c, "objective"));
	vars_set(v, "goal_voice", context_goal(c, "voice"));
	vars_set(v, "goal_niche", context_goal(c, "niche"));
}

/* --- the picture -------------------------------------------------------- */

/* "a; b; c" from a list of texts. */
static void
set_list(struct vars *v, const char *name, const struct json_object *list)
{
	struct strbuf all = STRBUF_INIT(MAX_FACTS_BYTES);
	char *line;
	size_t i;

	for (i = 0; i < json_len(list); i++) {
		line = text_one_line(json_object_get_string(
		    json_object_array_get_idx(list, i)), MAX_FIELD_CHARS);
		if (line != NULL)
			strbuf_addf(&all, "%s%s", all.len > 0 ? "; " : "",
			    line);
		free(line);
	}
	vars_set(v, name, all.buf);
	strbuf_release(&all);
}

void
vars_reference(struct vars *v, const struct context *c)
{
	const struct json_object *seen;
	char *subject;

	if (reference_path(c) == NULL)
		return;
	vars_flag(v, "reference", true);
	vars_flag(v, "default_edit", context_instruction(c) == NULL);
	vars_set(v, "instruction", context_instruction(c));
	subject = text_one_line(context_subject(c), MAX_FIELD_CHARS);
	if (subject != NULL)
		vars_setf(v, "subject", "SUBJECT: %s", subject);
	free(subject);
	seen = json_get_obj(context_output(c, "image_eval"), "image_analysis");
	if (context_instruction(c) == NULL || seen == NULL)
		return;
	set_line(v, "angle", json_get_str(seen, "angle_orientation"));
	set_line(v, "setting", json_get_str(seen, "setting_environment"));
	set_line(v, "mood", json_get_str(seen, "style_mood"));
	set_list(v, "elements", json_get_arr(seen, "secondary_elements"));
}

/* --- the brand ---------------------------------------------------------- */

/* What is known of the logo, a fact a line. */
static void
set_logo(struct vars *v, const struct context *c)
{
	const struct json_object *seen = context_logo_analysis(c);
	struct strbuf facts = STRBUF_INIT(MAX_FACTS_BYTES);
	const struct json_object *colours;
	char *style, *text;
	size_t i;

	style = text_one_line(json_get_str(seen, "logo_style"),
	    MAX_FIELD_CHARS);
	text = text_one_line(json_get_str(seen, "extracted_text"),
	    MAX_FIELD_CHARS);
	colours = json_get_arr(seen, "dominant_colors");
	if (style != NULL)
		strbuf_addf(&facts, "Style: %s\n", style);
	if (text != NULL)
		strbuf_addf(&facts, "Lettering: %s\n", text);
	for (i = 0; i < json_len(colours); i++)
		strbuf_addf(&facts, "%s%s", i == 0 ? "Colours: " : ", ",
		    json_object_get_string(json_object_array_get_idx(colours,
		    i)));
	vars_set(v, "logo", facts.buf);
	free(text);
	free(style);
	strbuf_release(&facts);
}

void
vars_brand(struct vars *v, const struct context *c, enum palette_layer layer)
{
	struct strbuf text = STRBUF_INIT(MAX_FACTS_BYTES);
	const struct json_object *kit = context_brand_kit(c);
	struct brand_colours colours;

	if (kit == NULL)
		return;
	vars_flag(v, "brand", true);
	brand_analyse(json_get_arr(kit, "colors"), &colours);
	brand_palette_lines(&colours, &text);
	vars_set(v, "palette", text.buf);
	strbuf_reset(&text);
	brand_palette_guidance(&colours, layer, &text);
	strbuf_trim(&text);
	vars_set(v, "palette_guidance", text.buf);
	vars_set(v, "voice", json_get_str(kit, "brand_voice_description"));
	set_logo(v, c);
	strbuf_release(&text);
}

void
vars_lettering(struct vars *v, const struct context *c)
{
	struct strbuf pair = STRBUF_INIT(MAX_FACTS_BYTES);
	struct brand_colours colours;

	brand_analyse(json_get_arr(context_brand_kit(c), "colors"), &colours);
	brand_readable_pair(&colours, &pair);
	vars_set(v, "readable_pair", pair.buf);
	strbuf_release(&pair);
}

/* --- a strategy --------------------------------------------------------- */

void
vars_strategy(struct vars *v, const struct json_object *strategy, int index)
{
	static const struct {
		const char *key, *head;
	} fields[] = {
		{ "target_audience", "Audience" },
		{ "target_niche", "Niche" },
		{ "target_objective", "Objective" },
		{ "target_voice", "Voice" },
	};
	struct strbuf text = STRBUF_INIT(MAX_FACTS_BYTES);
	char *line;
	size_t i;

	for (i = 0; i < ARRAY_LEN(fields); i++) {
		line = text_one_line(json_get_str(strategy, fields[i].key),
		    MAX_FIELD_CHARS);
		if (line != NULL)
			strbuf_addf(&text, "%s: %s\n", fields[i].head, line);
		free(line);
	}
	vars_setf(v, "index", "%d", index);
	vars_set(v, "strategy", text.buf);
	strbuf_release(&text);
}
