/*
 * Stage style_guide: one art direction for each strategy.
 *
 * The sets are asked for at the same time, one call each.  A single call for
 * all of them is the one place where a cut-off answer could take every variant
 * down, and the slowest; so each is told what the others are for and is given
 * a lens of its own to look through, which keeps them apart.
 *
 * A set that cannot be had is replaced by a neutral one that fits the
 * creativity level: such a picture is plainer than it could be, but there.
 */
#include "common.h"

#include "xalloc.h"

#define NEUTRAL_VARIETIES 3
#define MAX_KEYWORDS 5
#define STYLE_KEYWORD_CHARS 80

static const char *const style_names[] = {
	PLACE_NAMES, LEVEL_NAMES, "brief", REFERENCE_NAMES, BRAND_NAMES,
	STRATEGY_NAMES, "others", "lens_0", "lens_1", "lens_2", "lens_3",
	"lens_4", "lens_5", NULL
};

const struct stage_prompt style_guide_prompts[] = {
	{ "style_guide", style_names },
	{ NULL, NULL }
};

static const char *const lenses[MAX_VARIANTS] = {
	"lens_0", "lens_1", "lens_2", "lens_3", "lens_4", "lens_5",
};

/* What is safe at each level; the varieties keep neighbours apart. */
static const struct neutral {
	const char *keywords[MAX_KEYWORDS];
	const char *description;
	const char *impact;
} neutrals[3][NEUTRAL_VARIETIES] = {
	{ {
		{ "photorealistic", "soft daylight", "symmetrical", "clean" },
		"A calm, realistic photograph in soft window light. The "
		"subject stands in the middle of a symmetrical arrangement "
		"with generous empty space and natural colours.",
		"The product is understood at a glance, which suits feeds "
		"that are scrolled quickly.",
	}, {
		{ "editorial still life", "even light", "top view",
		    "true colour" },
		"A realistic still life seen straight from above in even, "
		"shadowless light. Few objects, each with room around it, on "
		"one plain surface.",
		"The ordered layout looks professional and is easy to "
		"recognise again.",
	}, {
		{ "close-up", "natural texture", "shallow focus", "honest" },
		"A realistic close-up at eye level with shallow depth of "
		"field. Even side light brings out the surface of the food, "
		"and nothing competes with it.",
		"Visible freshness and texture raise appetite.",
	} }, {
		{
		{ "cinematic", "directional light", "rich shadow",
		    "film grain" },
		"A frame as if from a quiet feature film: light from one "
		"side, deep soft shadows, a slightly muted palette and fine "
		"film grain. The subject stays sharp and true.",
		"The mood makes people pause and lends the brand character.",
	}, {
		{ "painterly", "soft edges", "visible brushwork",
		    "blended colour" },
		"A picture in the manner of an oil still life: colours "
		"blended into each other, visible brushwork in background "
		"and cloth, the dish itself clear and appetising.",
		"A crafted look that stands apart from ordinary food "
		"photographs.",
	}, {
		{ "textured", "analogue print", "diagonal composition",
		    "limited palette" },
		"The look of an analogue print on textured paper, composed "
		"on a diagonal with three or four related tones. Stylised, "
		"but every ingredient remains recognisable.",
		"The tactile surface invites a second look and a share.",
	} }, {
		{
		{ "paper cut", "layered shapes", "bold contrast",
		    "illustrated" },
		"An illustration built from layered cut paper with crisp "
		"edges and small cast shadows. Constraint: no more than "
		"five flat colours in the whole picture.",
		"An unmistakable silhouette that works at thumbnail size.",
	}, {
		{ "duotone", "poster", "geometric", "graphic" },
		"A graphic poster in two tones, in which the subject is "
		"reduced to clear geometric forms. Constraint: two inks and "
		"the paper, nothing else.",
		"Strong recall through a single bold decision.",
	}, {
		{ "surreal scale", "dreamlike", "symbolic", "illustrative" },
		"A dreamlike scene in which the subject is the size of a "
		"landscape and small things of its world surround it. "
		"Constraint: one impossible change of scale, everything "
		"else calm.",
		"A surprise that people show to each other.",
	} },
};

/* --- pure --------------------------------------------------------------- */

/* The other strategies, a line each. */
static void
set_others(struct vars *v, const struct json_object *strategies, int index)
{
	struct strbuf text = STRBUF_INIT(MAX_PROMPT_TEXT);
	const struct json_object *s;
	size_t i;

	for (i = 0; i < json_len(strategies); i++) {
		if ((int)i == index)
			continue;
		s = json_object_array_get_idx(strategies, i);
		strbuf_addf(&text, "%zu: for %s | %s | %s | %s\n", i,
		    json_get_str(s, "target_audience"),
		    json_get_str(s, "target_niche"),
		    json_get_str(s, "target_objective"),
		    json_get_str(s, "target_voice"));
	}
	vars_set(v, "others", text.buf);
	strbuf_release(&text);
}

void
style_vars(struct vars *v, const struct conf *conf, const struct context *c,
    const struct json_object *strategies, int index)
{
	vars_place(v, conf, c, ABSENT);
	vars_level(v, c);
	vars_set(v, "brief", context_str(c, "prompt"));
	vars_reference(v, c);
	vars_brand(v, c, LAYER_STYLE);
	vars_strategy(v, json_object_array_get_idx(strategies, (size_t)index),
	    index);
	set_others(v, strategies, index);
	if (json_len(strategies) > 1)
		vars_flag(v, lenses[index % MAX_VARIANTS], true);
}

/* The keywords worth keeping: said, short, at most MAX_KEYWORDS. */
static struct json_object *
pick_keywords(const struct json_object *set)
{
	struct json_object *all = json_get_arr(set, "style_keywords");
	struct json_object *kept = json_object_new_array();
	char *word;
	size_t i;

	for (i = 0; i < json_len(all) && json_len(kept) < MAX_KEYWORDS; i++) {
		word = text_one_line(json_object_get_string(
		    json_object_array_get_idx(all, i)), STYLE_KEYWORD_CHARS);
		if (word != NULL)
			json_object_array_add(kept,
			    json_object_new_string(word));
		free(word);
	}
	return kept;
}

struct json_object *
style_pick(const struct json_object *answer, int index)
{
	struct json_object *list = json_get_arr(answer, "style_guidance_sets");
	struct json_object *set, *found, *picked;
	size_t i;

	found = json_len(list) > 0 ? json_object_array_get_idx(list, 0) : NULL;
	for (i = 0; i < json_len(list); i++) {
		set = json_object_array_get_idx(list, i);
		if (json_get_int(set, "source_strategy_index", -1) == index) {
			found = set;
			break;
		}
	}
	if (text_is_void(json_get_str(found, "style_description")))
		return NULL;
	picked = json_object_new_object();
	json_put_obj(picked, "style_keywords", pick_keywords(found));
	json_put_str(picked, "style_description",
	    json_get_str(found, "style_description"));
	json_put_str(picked, "marketing_impact",
	    json_get_str(found, "marketing_impact"));
	json_put_int(picked, "source_strategy_index", index);
	return picked;
}

struct json_object *
style_neutral(int creativity, int index)
{
	const struct neutral *n =
	    &neutrals[creativity - 1][index % NEUTRAL_VARIETIES];
	struct json_object *set = json_object_new_object();
	struct json_object *words = json_object_new_array();
	int i;

	for (i = 0; i < MAX_KEYWORDS && n->keywords[i] != NULL; i++)
		json_object_array_add(words,
		    json_object_new_string(n->keywords[i]));
	json_put_obj(set, "style_keywords", words);
	json_put_str(set, "style_description", n->description);
	json_put_str(set, "marketing_impact", n->impact);
	json_put_int(set, "source_strategy_index", index);
	return set;
}

/* --- asking ------------------------------------------------------------- */

static void
verify_style(struct json_object *value, struct strbuf *violations, void *arg)
{
	const struct json_object *set = json_at(value, "style_guidance_sets/0");

	(void)arg;
	if (text_is_void(json_get_str(set, "style_description")))
		strbuf_addstr(violations, "style_guidance_sets/0/"
		    "style_description: must describe the style\n");
}

static enum err_code
prepare(struct stage_env *env, const struct context *c,
    const struct json_object *strategies, int index, struct chat_call *k,
    struct err *e)
{
	struct vars v = { .n = 0 };
	enum err_code rc;

	chat_call_init(k, env, PURPOSE_STYLE_GUIDE, "style_guide",
	    "style_guidance_list");
	snprintf(k->suffix, sizeof(k->suffix), "%d", index);
	k->req.suffix = k->suffix;
	k->req.hook = hook_style_sets;
	k->req.verify = verify_style;
	style_vars(&v, env->conf, c, strategies, index);
	rc = chat_call_render(k, env, "style_guide", &v, e);
	vars_release(&v);
	return rc;
}

/* The set for one strategy, whatever became of its call. */
static struct json_object *
settle(struct stage_env *env, const struct context *c, int index,
    const struct call_result *r, bool *degraded)
{
	struct json_object *set = NULL;

	result_note(env, r);
	if (r->rc == ERR_OK)
		set = style_pick(r->value, index);
	if (set != NULL)
		return set;
	*degraded = true;
	stage_warn(env, "style_neutral", "Variant %d has a plain standard "
	    "style, because the model gave none%s%s", index + 1,
	    r->rc == ERR_OK ? "." : ": ", r->rc == ERR_OK ? "" : r->err.msg);
	return style_neutral(context_creativity(c), index);
}

static enum err_code
ask_all(struct stage_env *env, const struct context *c,
    const struct json_object *strategies, int n, struct json_object *sets,
    bool *degraded, struct err *e)
{
	struct chat_call calls[MAX_VARIANTS];
	struct chat_request reqs[MAX_VARIANTS];
	struct call_result results[MAX_VARIANTS];
	enum err_code rc = ERR_OK;
	int i;

	memset(calls, 0, sizeof(calls));
	memset(reqs, 0, sizeof(reqs));
	memset(results, 0, sizeof(results));
	for (i = 0; rc == ERR_OK && i < n; i++) {
		rc = prepare(env, c, strategies, i, &calls[i], e);
		reqs[i] = calls[i].req;
	}
	if (rc == ERR_OK)
		rc = model_chat_all(env->model, env->scope, reqs, n, results,
		    e);
	for (i = 0; rc == ERR_OK && i < n; i++)
		json_object_array_add(sets,
		    settle(env, c, i, &results[i], degraded));
	for (i = 0; i < n; i++) {
		call_result_release(&results[i]);
		chat_call_release(&calls[i]);
	}
	return rc;
}

enum err_code
stage_style_guide(struct stage_env *env, const struct context *c,
    struct json_object **out, struct err *e)
{
	struct json_object *strategies, *sets, *result;
	bool degraded = false;
	enum err_code rc;
	int n;

	strategies = json_get_arr(context_output(c, "strategy"),
	    "marketing_strategies");
	n = (int)json_len(strategies);
	if (n > MAX_VARIANTS)
		n = MAX_VARIANTS;
	sets = json_object_new_array();
	rc = n > 0 ? ask_all(env, c, strategies, n, sets, &degraded, e) :
	    ERR_OK;
	if (rc == ERR_OK) {
		result = json_object_new_object();
		json_put_obj(result, "style_guidance", sets);
		json_put_bool(result, "degraded", degraded);
		sets = NULL;
		*out = result;
	}
	json_object_put(sets);
	return rc;
}
