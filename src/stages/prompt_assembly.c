/*
 * Stage prompt_assembly: from a concept to the text an image model is given.
 *
 * A pure function of concept and run; no model, no cost.  Opening sentences and
 * labels are in conf/prompts/prompt_assembly.txt; what is decided here is
 * which opening fits, which parts there are, and three things a template
 * cannot do:
 *
 *   a missing value is not printed, nor is a word that stands for one;
 *   the client's quoted words appear in quotes once, in the text part, and
 *     are spoken of as "the lettering" elsewhere, since image models tend to
 *     draw words as often as they read them;
 *   the whole stays below what providers take, by shortening parts from the
 *     least important on.
 */
#include "common.h"

#include "xalloc.h"

#define LETTERING "(the lettering)"
#define MAX_RAW_PROMPT (1024 * 1024)	/* bytes, before it is shortened */

static const char *const assembly_names[] = {
	"open_create", "open_logo", "open_logo_told", "open_edit",
	"open_edit_told", "open_both", "open_both_told", "instruction",
	"main_subject", "composition_and_framing", "background_environment",
	"foreground_elements", "lighting_and_mood", "color_palette",
	"visual_style", "texture_and_details", "promotional_text_visuals",
	"logo_visuals", "negative_elements", "literal", "logo_sent",
	"aspect", NULL
};

const struct stage_prompt prompt_assembly_prompts[] = {
	{ "prompt_assembly", assembly_names },
	{ NULL, NULL }
};

/* The parts, in the order in which they are given up when room runs out. */
enum part {
	PART_NEGATIVE, PART_TEXTURE, PART_FOREGROUND, PART_LOGO, PART_TEXT,
	PART_STYLE, PART_PALETTE, PART_LIGHT, PART_BACKGROUND,
	PART_COMPOSITION, PART_SUBJECT, PART__COUNT
};

static const char *const part_keys[PART__COUNT] = {
	[PART_NEGATIVE] = "negative_elements",
	[PART_TEXTURE] = "texture_and_details",
	[PART_FOREGROUND] = "foreground_elements",
	[PART_LOGO] = "logo_visuals",
	[PART_TEXT] = "promotional_text_visuals",
	[PART_STYLE] = "visual_style",
	[PART_PALETTE] = "color_palette",
	[PART_LIGHT] = "lighting_and_mood",
	[PART_BACKGROUND] = "background_environment",
	[PART_COMPOSITION] = "composition_and_framing",
	[PART_SUBJECT] = "main_subject",
};

/* What the prompt is made of. */
struct assembly {
	bool reference, logo;
	const char *instruction;	/* NULL: none */
	const char *aspect;
	char *parts[PART__COUNT];	/* sentences; NULL: left out; owned */
	bool literal;		/* the text part quotes words */
};

/* --- parts -------------------------------------------------------------- */

static bool
part_is_wanted(const struct context *c, const struct assembly *a,
    enum part part)
{
	switch (part) {
	case PART_SUBJECT:
		/* What is in the picture stays as it is, unless told. */
		return !a->reference || a->instruction != NULL;
	case PART_TEXT:
		return context_flag(c, "render_text");
	case PART_LOGO:
		return a->logo;
	case PART_NEGATIVE:
	case PART_TEXTURE:
	case PART_FOREGROUND:
	case PART_STYLE:
	case PART_PALETTE:
	case PART_LIGHT:
	case PART_BACKGROUND:
	case PART_COMPOSITION:
	case PART__COUNT:
		break;
	}
	return true;
}

/*
 * text with "words" in quotes replaced, after the first `keep` occurrences.
 * Takes text, gives another.
 */
static char *
speak_of(char *text, const char *words, int keep)
{
	char *quoted = xasprintf("\"%s\"", words);
	struct strbuf out = STRBUF_INIT(MAX_RAW_PROMPT);
	const char *at = text, *hit;
	size_t n = strlen(quoted);

	for (hit = strstr(at, quoted); hit != NULL; hit = strstr(at, quoted)) {
		strbuf_add(&out, at, (size_t)(hit - at));
		if (keep-- > 0)
			strbuf_add(&out, hit, n);
		else
			strbuf_addstr(&out, LETTERING);
		at = hit + n;
	}
	strbuf_addstr(&out, at);
	free(quoted);
	free(text);
	return strbuf_detach(&out);
}

/* Leave each quoted piece of the text part in quotes there, and only once. */
static void
quote_once(struct assembly *a)
{
	struct literals words;
	int i, part;

	literals_find(a->parts[PART_TEXT], &words);
	a->literal = words.n > 0;
	for (i = 0; i < words.n; i++)
		for (part = 0; part < PART__COUNT; part++)
			if (a->parts[part] != NULL)
				a->parts[part] = speak_of(a->parts[part],
				    words.item[i], part == PART_TEXT ? 1 : 0);
	literals_release(&words);
}

static void
assembly_fill(struct assembly *a, const struct conf *conf,
    const struct context *c, const struct json_object *concept)
{
	int part;

	memset(a, 0, sizeof(*a));
	a->reference = reference_path(c) != NULL;
	a->logo = context_logo_path(c) != NULL;
	a->instruction = a->reference ? context_instruction(c) : NULL;
	a->aspect = drawn_aspect(conf, c);
	for (part = 0; part < PART__COUNT; part++)
		if (part_is_wanted(c, a, (enum part)part))
			a->parts[part] = text_sentence(json_get_str(concept,
			    part_keys[part]));
	if (a->parts[PART_TEXT] != NULL)
		quote_once(a);
}

static void
assembly_release(struct assembly *a)
{
	int part;

	for (part = 0; part < PART__COUNT; part++)
		free(a->parts[part]);
}

/* --- the text ----------------------------------------------------------- */

static const char *
opening(const struct assembly *a)
{
	bool told = a->instruction != NULL;

	if (a->reference && a->logo)
		return told ? "open_both_told" : "open_both";
	if (a->reference)
		return told ? "open_edit_told" : "open_edit";
	if (a->logo)
		return told ? "open_logo_told" : "open_logo";
	return "open_create";
}

static enum err_code
render(const struct template *t, const struct assembly *a,
    struct strbuf *out, struct err *e)
{
	struct vars v = { .n = 0 };
	enum err_code rc;
	int part;

	vars_flag(&v, opening(a), true);
	vars_set(&v, "instruction", a->instruction);
	for (part = 0; part < PART__COUNT; part++)
		vars_set(&v, part_keys[part], a->parts[part]);
	vars_flag(&v, "literal", a->literal);
	vars_flag(&v, "logo_sent", a->logo);
	vars_set(&v, "aspect", a->aspect);
	strbuf_reset(out);
	rc = prompt_render(t, &v, NULL, out, e);
	vars_release(&v);
	return rc;
}

/* Take `excess` characters from a part; all of it when it is shorter. */
static void
shorten(char **part, size_t excess)
{
	size_t have = text_chars(*part);
	char *cut, *ended;

	/* One for the full stop that the rest is given. */
	cut = have > excess + 1 ? text_cut(*part, have - excess - 1) : NULL;
	ended = cut != NULL ? text_sentence(cut) : NULL;
	free(cut);
	free(*part);
	*part = ended;
}

static enum err_code
render_within(const struct template *t, struct assembly *a,
    struct strbuf *out, struct err *e)
{
	enum err_code rc;
	size_t chars;
	int part;

	rc = render(t, a, out, e);
	for (part = 0; rc == ERR_OK && part < PART__COUNT; part++) {
		chars = text_chars(out->buf);
		if (chars <= MAX_IMAGE_PROMPT_CHARS)
			break;
		if (a->parts[part] == NULL)
			continue;
		shorten(&a->parts[part], chars - MAX_IMAGE_PROMPT_CHARS);
		rc = render(t, a, out, e);
	}
	return rc;
}

/* --- the item ----------------------------------------------------------- */

static struct json_object *
item_new(const struct conf *conf, const struct context *c,
    const struct json_object *record, int position)
{
	struct json_object *item = json_object_new_object();
	enum situation s = situation_of(c);

	json_put_int(item, "index",
	    json_get_int(record, "source_strategy_index", position));
	json_put_str(item, "assembly_type", situation_name(s));
	json_put_str(item, "platform_aspect_ratio", context_aspect(c));
	json_put_str(item, "supported_aspect_ratio", drawn_aspect(conf, c));
	json_put_bool(item, "has_reference", reference_path(c) != NULL);
	json_put_bool(item, "has_logo", context_logo_path(c) != NULL);
	json_put_bool(item, "has_instruction", reference_path(c) != NULL &&
	    context_instruction(c) != NULL);
	json_put_bool(item, "is_style_adaptation", s == SITUATION_ADAPTATION);
	return item;
}

enum err_code
assemble(const struct conf *conf, const struct template *t,
    const struct context *c, const struct json_object *record, int position,
    struct json_object **out, struct err *e)
{
	struct strbuf prompt = STRBUF_INIT(MAX_RAW_PROMPT);
	const struct json_object *concept = json_get_obj(record,
	    "visual_concept");
	struct json_object *item = item_new(conf, c, record, position);
	struct assembly a;
	enum err_code rc = ERR_OK;

	if (concept == NULL) {
		json_put_str(item, "error",
		    "there is no visual concept for this variant");
	} else {
		assembly_fill(&a, conf, c, concept);
		rc = render_within(t, &a, &prompt, e);
		assembly_release(&a);
		if (rc == ERR_OK)
			json_put_str(item, "prompt", prompt.buf);
	}
	if (rc == ERR_OK) {
		*out = item;
		item = NULL;
	}
	json_object_put(item);
	strbuf_release(&prompt);
	return rc;
}

enum err_code
stage_prompt_assembly(struct stage_env *env, const struct context *c,
    struct json_object **out, struct err *e)
{
	return assemble(env->conf, prompts_get(env->prompts,
	    "prompt_assembly"), c, context_output(c, "creative_expert"),
	    c->variant, out, e);
}
