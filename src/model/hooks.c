/*
 * What models are known to get wrong, mended before the schema is asked
 * (generation.md 10.3 and 11.8).
 *
 * A hook takes a candidate and gives one back, the same or another.  It sees
 * whatever the model wrote, so it assumes nothing: what does not look like the
 * mistake it mends is left alone, and the schema says what is wrong with it.
 */
#include "answer.h"

#include <math.h>

#include "reading.h"

#define MAX_PHRASE_BYTES ANSWER_MAX_BYTES
#define SCORE_MIN 1
#define SCORE_MAX 5
#define NOISE_SCORE_MAX 3

/* --- shared -------------------------------------------------------------- */

/* { key: list } for a bare list, and for a single object where the list should
 * be. *items is the list, NULL when there is none. */
static struct json_object *
wrap_list(struct json_object *candidate, const char *key,
    struct json_object **items)
{
	struct json_object *object = candidate, *list, *single;

	if (json_object_is_type(candidate, json_type_array)) {
		object = json_object_new_object();
		json_object_object_add(object, key, candidate);
	}
	single = json_get_obj(object, key);
	if (single != NULL) {
		list = json_object_new_array();
		json_object_array_add(list, json_object_get(single));
		json_object_object_add(object, key, list);
	}
	*items = json_get_arr(object, key);
	return object;
}

/* object[from] becomes object[to], unless that says something already. */
static void
rename_member(struct json_object *object, const char *from, const char *to)
{
	struct json_object *value = json_get(object, from);

	if (is_empty_value(value) || !is_empty_value(json_get(object, to)))
		return;
	json_object_object_add(object, to, json_object_get(value));
	json_object_object_del(object, from);
}

/* Replace object[key] by the text; nothing happens without one. */
static void
set_text(struct json_object *object, const char *key, const struct strbuf *sb)
{
	if (sb->len > 0 && !strbuf_overflowed(sb))
		json_object_object_add(object, key,
		    json_object_new_string_len(sb->buf, (int)sb->len));
}

/* --- strategies ---------------------------------------------------------- */

/* Can a plan be made from it: does it have its three texts? */
static bool
is_strategy(const struct json_object *item)
{
	return !is_empty_value(json_get(item, "target_audience")) &&
	    !is_empty_value(json_get(item, "target_objective")) &&
	    !is_empty_value(json_get(item, "target_voice"));
}

/*
 * Items that are no strategy are left out as long as one is left: the stage
 * asks again for what is missing, which costs less than all of them anew.
 */
static struct json_object *
keep_strategies(struct json_object *items)
{
	struct json_object *kept = json_object_new_array();
	struct json_object *item;
	size_t i;

	for (i = 0; i < json_object_array_length(items); i++) {
		item = json_object_array_get_idx(items, i);
		if (is_strategy(item))
			json_object_array_add(kept, json_object_get(item));
	}
	return kept;
}

struct json_object *
hook_strategies(struct json_object *candidate, void *arg)
{
	struct json_object *object, *items, *item, *kept;
	size_t i;

	(void)arg;
	object = wrap_list(candidate, "strategies", &items);
	if (items == NULL)
		return object;
	for (i = 0; i < json_object_array_length(items); i++) {
		item = json_object_array_get_idx(items, i);
		rename_member(item, "audience", "target_audience");
		rename_member(item, "objective", "target_objective");
		rename_member(item, "voice", "target_voice");
		rename_member(item, "niche", "target_niche");
	}
	kept = keep_strategies(items);
	if (json_object_array_length(kept) > 0)
		json_object_object_add(object, "strategies", kept);
	else
		json_object_put(kept);
	return object;
}

/* --- style sets ---------------------------------------------------------- */

struct json_object *
hook_style_sets(struct json_object *candidate, void *arg)
{
	struct json_object *object, *items, *item;
	size_t i;

	(void)arg;
	object = wrap_list(candidate, "style_guidance_sets", &items);
	for (i = 0; i < json_len(items); i++) {
		item = json_object_array_get_idx(items, i);
		if (json_object_is_type(item, json_type_object) &&
		    json_get(item, "source_strategy_index") == NULL)
			json_put_int(item, "source_strategy_index",
			    (int64_t)i);
	}
	return object;
}

/* --- concepts ------------------------------------------------------------ */

/* Members of a concept that are texts, whatever the model made of them. */
static const char *const concept_texts[] = {
	"main_subject", "composition_and_framing", "background_environment",
	"foreground_elements", "lighting_and_mood", "color_palette",
	"visual_style", "promotional_text_visuals", "logo_visuals",
	"texture_and_details", "negative_elements", "creative_reasoning",
	"suggested_alt_text"
};
#define N_TEXTS (sizeof(concept_texts) / sizeof(concept_texts[0]))

static void
flatten_member(struct json_object *object, const char *key)
{
	struct json_object *value = json_get(object, key);
	char *text;

	if (!json_object_is_type(value, json_type_object) &&
	    !json_object_is_type(value, json_type_array))
		return;
	text = flatten_text(value);
	json_put_str(object, key, text);
	free(text);
}

static void
flatten_concept(struct json_object *concept)
{
	size_t i;

	for (i = 0; i < N_TEXTS; i++)
		flatten_member(concept, concept_texts[i]);
}

/* Does the object itself have members of a concept? */
static bool
is_bare_concept(const struct json_object *object)
{
	size_t i;

	for (i = 0; i < N_TEXTS; i++)
		if (json_get(object, concept_texts[i]) != NULL)
			return true;
	return false;
}

struct json_object *
hook_concept(struct json_object *candidate, void *arg)
{
	struct json_object *object = candidate, *index;

	(void)arg;
	if (json_get(candidate, "visual_concept") == NULL &&
	    is_bare_concept(candidate)) {
		object = json_object_new_object();
		index = json_get(candidate, "source_strategy_index");
		if (index != NULL)
			json_object_object_add(object, "source_strategy_index",
			    json_object_get(index));
		json_object_object_add(object, "visual_concept", candidate);
	}
	flatten_concept(json_get_obj(object, "visual_concept"));
	return object;
}

/* --- adaptation ---------------------------------------------------------- */

/* One part of a sentence: the member, and the words around its text. */
struct phrase {
	const char *key;
	const char *before, *after;
};

/* Join the parts that are there with `separator` and put them in place of the
 * object; it stays as it is when the first, the one that matters, is not. */
static void
phrase_member(struct json_object *concept, const char *key,
    const struct phrase *phrases, size_t n, const char *separator)
{
	struct strbuf sb = STRBUF_INIT(MAX_PHRASE_BYTES);
	struct json_object *object = json_get_obj(concept, key), *part;
	size_t i;

	if (object == NULL || is_empty_value(json_get(object, phrases[0].key)))
		return;
	for (i = 0; i < n; i++) {
		part = json_get(object, phrases[i].key);
		if (is_empty_value(part))
			continue;
		strbuf_addstr(&sb, sb.len > 0 ? separator : "");
		strbuf_addstr(&sb, phrases[i].before);
		add_plain_text(&sb, part);
		strbuf_addstr(&sb, phrases[i].after);
	}
	set_text(concept, key, &sb);
	strbuf_release(&sb);
}

struct json_object *
hook_adaptation(struct json_object *candidate, void *arg)
{
	static const struct phrase subject[] = {
		{ "description", "", "" }, { "garnish", "", "" }
	};
	static const struct phrase text[] = {
		{ "text_content", "Text: '", "'" },
		{ "font_style", "Font: ", "" },
		{ "color", "Color: ", "" },
		{ "placement", "Placement: ", "" }
	};
	static const struct phrase logo[] = {
		{ "logo_description", "Logo: ", "" },
		{ "placement", "Placement: ", "" },
		{ "style", "Style: ", "" }
	};
	struct json_object *concept = candidate, *inner;

	(void)arg;
	inner = json_get_obj(candidate, "visual_concept");
	if (inner != NULL && !is_bare_concept(candidate)) {
		concept = json_object_get(inner);
		json_object_put(candidate);
	}
	phrase_member(concept, "main_subject", subject, 2, " ");
	phrase_member(concept, "promotional_text_visuals", text, 4, ". ");
	phrase_member(concept, "logo_visuals", logo, 3, ". ");
	flatten_concept(concept);
	return concept;
}

/* --- assessment ---------------------------------------------------------- */

/* The number in a score, which may stand in quotes; NAN when it is none. */
static double
score_value(struct json_object *score)
{
	const char *s;
	size_t n;

	if (json_object_is_type(score, json_type_int) ||
	    json_object_is_type(score, json_type_double))
		return json_object_get_double(score);
	if (!json_object_is_type(score, json_type_string))
		return NAN;
	s = json_object_get_string(score);
	s += strspn(s, " ");
	n = strcspn(s, " ");
	if (s[n + strspn(s + n, " ")] != '\0' || !is_json_number(s, n))
		return NAN;
	return strtod(s, NULL);
}

/* Cut to a whole number within the scale; what is no number stays, and the
 * schema refuses it. */
static void
cut_score(struct json_object *scores, const char *key, int max)
{
	double v;

	v = score_value(json_get(scores, key));
	if (isnan(v))
		return;
	v = trunc(v);
	if (v < SCORE_MIN)
		v = SCORE_MIN;
	if (v > max)
		v = max;
	json_put_int(scores, key, (int64_t)v);
}

struct json_object *
hook_assessment(struct json_object *candidate, void *arg)
{
	struct json_object *scores;

	(void)arg;
	scores = json_get_obj(candidate, "assessment_scores");
	if (scores == NULL)
		scores = candidate;	/* the noise-only answer has no more */
	cut_score(scores, "concept_adherence", SCORE_MAX);
	cut_score(scores, "subject_preservation", SCORE_MAX);
	cut_score(scores, "technical_quality", SCORE_MAX);
	cut_score(scores, "text_rendering_quality", SCORE_MAX);
	cut_score(scores, "noise_and_grain_impact", NOISE_SCORE_MAX);
	return candidate;
}
