/*
 * Answers that fit the schema of the request.
 *
 * The schema is walked; every property gets a value by its name when prose.c
 * knows the name, otherwise by its type and description.  Strict schemas make
 * everything required and nullable: null is chosen only where the prompt says
 * so (text off, branding off, a picture without an instruction).
 *
 * How many items a list gets: "COUNT: n" for the list the request is about,
 * otherwise a number named next to the list's topic, otherwise a fitting few;
 * minItems and maxItems bind in any case.
 */
#include "prose.h"

#include <math.h>

#include "xalloc.h"

#define MAX_DEPTH 24
#define MAX_ITEMS 12
#define MAX_TEXT 4096

struct writer {
	struct voice voice;
	const struct json_object *root;	/* the whole schema */
	uint64_t seed;
	bool minimal_analysis;	/* only the main subject was asked for */
	struct json_object *counted;	/* the array schema COUNT is about */
};

/* Where in the answer we are. */
struct place {
	const char *name;	/* of the property */
	const char *parent;	/* property the object is in; "" at the top */
	int item;		/* which variant or list item this belongs to */
	int depth;
};

static struct json_object *make(const struct writer *w,
    const struct json_object *schema, struct place at);

/* --- schemas ----------------------------------------------------------- */

static bool
has_type(const struct json_object *schema, const char *type)
{
	struct json_object *t = json_get(schema, "type");
	size_t i;

	if (json_object_is_type(t, json_type_string))
		return strcmp(json_object_get_string(t), type) == 0;
	for (i = 0; i < json_len(t); i++)
		if (strcmp(json_object_get_string(json_object_array_get_idx(t,
		    i)), type) == 0)
			return true;
	return false;
}

static const struct json_object *
resolve(const struct writer *w, const struct json_object *schema)
{
	static const char *const unions[] = { "anyOf", "oneOf", "allOf" };
	const struct json_object *list, *one;
	const char *ref;
	int hops;
	size_t k, i;

	for (hops = 0; hops < MAX_DEPTH; hops++) {
		ref = json_get_str(schema, "$ref");
		if (ref != NULL && strncmp(ref, "#/", 2) == 0) {
			schema = json_at(w->root, ref + 2);
			continue;
		}
		for (k = 0, list = NULL; k < 3 && list == NULL; k++)
			list = json_get_arr(schema, unions[k]);
		if (list == NULL)
			break;
		one = json_object_array_get_idx(list, 0);
		for (i = 0; i < json_len(list); i++) {
			one = json_object_array_get_idx(list, i);
			if (!has_type(one, "null"))
				break;
		}
		schema = one;
	}
	return schema;
}

static bool
is_object(const struct json_object *s)
{
	return has_type(s, "object") || json_get_obj(s, "properties") != NULL;
}

static bool
is_array(const struct json_object *s)
{
	return has_type(s, "array") || json_get(s, "items") != NULL;
}

/* The list COUNT speaks of: the first one of objects, or the only member. */
static struct json_object *
find_counted(const struct writer *w)
{
	const struct json_object *items;
	struct json_object *only = NULL, *props;
	int members = 0;

	props = json_get_obj(w->root, "properties");
	if (props == NULL)
		return NULL;
	json_object_object_foreach(props, key, value) {
		(void)key;
		members++;
		if (!is_array(value))
			continue;
		items = resolve(w, json_get(value, "items"));
		if (is_object(items))
			return value;
		only = value;
	}
	return members == 1 ? only : NULL;
}

/* --- null or not ------------------------------------------------------- */

static bool
should_be_null(const struct writer *w, const struct place *at)
{
	static const char *const analysis[] = { "secondary_elements",
	    "angle_orientation", "setting_environment", "style_mood" };
	const struct facts *f = &w->voice.facts;
	size_t i;

	if (strcmp(at->name, "promotional_text_visuals") == 0 ||
	    strcmp(at->name, "text_rendering_quality") == 0)
		return f->text_off;
	if (strcmp(at->name, "logo_visuals") == 0)
		return f->branding_off;
	if (strcmp(at->name, "extracted_text") == 0)
		return true;
	if (strcmp(at->name, "main_subject") == 0)
		return f->keeps_subject;
	if (strcmp(at->name, "subject_preservation") == 0)
		return w->voice.r->n_pictures < 2;
	for (i = 0; i < ARRAY_LEN(analysis); i++)
		if (strcmp(at->name, analysis[i]) == 0)
			return w->minimal_analysis;
	return false;
}

/* --- values ------------------------------------------------------------ */

static uint64_t
draw_lot(const struct writer *w, const struct place *at)
{
	uint64_t h = w->seed ^ (uint64_t)(unsigned)at->item * 0x9e3779b97f4aull;
	const char *p;

	for (p = at->name; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * 0x100000001b3ull;
	for (p = at->parent; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * 0x100000001b3ull;
	return h ^ h >> 29;
}

static struct json_object *
make_enum(const struct writer *w, const struct json_object *list,
    const struct place *at)
{
	size_t n = json_len(list), i, start;
	struct json_object *v = NULL;

	start = n > 0 ? draw_lot(w, at) % n : 0;
	for (i = 0; i < n; i++) {
		v = json_object_array_get_idx(list, (start + i) % n);
		if (v != NULL)
			break;
	}
	return json_object_get(v);
}

static struct json_object *
make_number(const struct writer *w, const struct json_object *schema,
    const struct place *at)
{
	uint64_t lot = draw_lot(w, at) % 16;
	double low = json_get_num(schema, "minimum", NAN);
	double high = json_get_num(schema, "maximum", NAN);
	double v = 1;

	if (strcmp(at->name, "source_strategy_index") == 0)
		v = at->item;
	else if (strcmp(at->name, "noise_and_grain_impact") == 0)
		v = lot == 0 ? 2 : 3;
	else if (strcmp(at->parent, "assessment_scores") == 0 ||
	    strstr(at->name, "score") != NULL)
		v = lot < 7 ? 5 : lot < 15 ? 4 : 3;
	else if (!isnan(low))
		v = low;
	if (!isnan(low) && v < low)
		v = low;
	if (!isnan(high) && v > high)
		v = high;
	if (has_type(schema, "integer"))
		return json_object_new_int64((int64_t)v);
	return json_object_new_double(v);
}

static struct json_object *
make_string(const struct writer *w, const struct json_object *schema,
    const struct place *at)
{
	struct strbuf sb = STRBUF_INIT(MAX_TEXT);
	const char *pattern = json_get_str(schema, "pattern");
	int64_t longest = json_get_int(schema, "maxLength", MAX_TEXT);
	struct json_object *v;
	size_t n;

	if (pattern != NULL && strstr(pattern, "A-Fa-f") != NULL)
		strbuf_addstr(&sb, w->voice.facts.n_hexes > 0 ?
		    w->voice.facts.hexes[0] : "#C98A5B");
	else if (!prose_field(&w->voice, at->name, at->item, &sb))
		prose_unknown(&w->voice, at->name, json_get_str(schema,
		    "description"), &sb);
	if (longest >= 0 && (int64_t)sb.len > longest) {
		n = (size_t)longest;
		while (n > 0 && ((unsigned char)sb.buf[n] & 0xc0) == 0x80)
			n--;
		strbuf_truncate(&sb, n);
	}
	v = json_object_new_string_len(sb.buf, (int)sb.len);
	strbuf_release(&sb);
	return v;
}

static int
default_count(const char *name)
{
	static const struct {
		const char *name;
		int n;
	} counts[] = {
		{ "style_keywords", 4 }, { "secondary_elements", 2 },
		{ "hashtags", 5 }, { "seo_keywords", 4 },
		{ "key_themes_to_include", 4 }, { "relevant_niches", 3 },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(counts); i++)
		if (strcmp(name, counts[i].name) == 0)
			return counts[i].n;
	return 3;
}

/* "strategies" is spoken of as "strategy", "style_guidance_sets" as "set". */
static int
asked_count(const struct writer *w, const char *name)
{
	const char *word = strrchr(name, '_');
	char topic[32];
	int n;

	word = word != NULL ? word + 1 : name;
	snprintf(topic, sizeof(topic), "%s", word);
	if (strlen(topic) > 4)
		topic[strlen(topic) - 3] = '\0';
	n = words_count_near(w->voice.r->user.buf, topic);
	if (n == 0)
		n = words_count_near(w->voice.r->system.buf, topic);
	return n;
}

static int
count_items(const struct writer *w, const struct json_object *schema,
    const struct place *at)
{
	int64_t low = json_get_int(schema, "minItems", 0);
	int64_t high = json_get_int(schema, "maxItems", MAX_ITEMS);
	int64_t n = 0;

	if (schema == w->counted)
		n = w->voice.facts.count > 0 ? w->voice.facts.count :
		    asked_count(w, at->name);
	if (n == 0)
		n = default_count(at->name);
	if (n > high)
		n = high;
	if (n < low)
		n = low;
	return n > MAX_ITEMS ? MAX_ITEMS : n < 0 ? 0 : (int)n;
}

static struct json_object *
make_word(const struct writer *w, const struct place *at, int k)
{
	struct place here = *at;
	char buf[FACTS_PHRASE_MAX + 32];
	struct strbuf sb = STRBUF_INIT(MAX_TEXT);
	struct json_object *v;
	const char *word;

	word = prose_word(&w->voice, at->name, at->item, k, buf, sizeof(buf));
	if (word != NULL)
		return json_object_new_string(word);
	here.item += k;
	if (!prose_field(&w->voice, at->name, here.item, &sb))
		strbuf_addf(&sb, "%s %d", w->voice.facts.subject, k + 1);
	v = json_object_new_string_len(sb.buf, (int)sb.len);
	strbuf_release(&sb);
	return v;
}

static struct json_object *
make_seen_colors(const struct writer *w)
{
	struct json_object *list = json_object_new_array();
	int i;

	for (i = 0; i < w->voice.look.n; i++)
		json_object_array_add(list,
		    json_object_new_string(w->voice.look.hexes[i]));
	return list;
}

static struct json_object *
make_array(const struct writer *w, const struct json_object *schema,
    struct place at)
{
	const struct json_object *items = resolve(w, json_get(schema, "items"));
	struct json_object *list;
	struct place inner = at;
	int n = count_items(w, schema, &at), i;

	if (strstr(at.name, "colors") != NULL && w->voice.has_look)
		return make_seen_colors(w);
	list = json_object_new_array();
	inner.depth++;
	for (i = 0; i < n; i++) {
		if (has_type(items, "string") &&
		    json_get(items, "enum") == NULL) {
			json_object_array_add(list, make_word(w, &at, i));
			continue;
		}
		inner.item = at.item + i;
		json_object_array_add(list, make(w, items, inner));
	}
	return list;
}

static struct json_object *
make_object(const struct writer *w, const struct json_object *schema,
    struct place at)
{
	struct json_object *o = json_object_new_object();
	struct json_object *props = json_get_obj(schema, "properties");
	struct json_object *any = json_get_obj(schema, "additionalProperties");
	struct place inner = at;

	inner.parent = at.name;
	inner.depth++;
	if (props != NULL) {
		json_object_object_foreach(props, key, value) {
			inner.name = key;
			json_object_object_add(o, key, make(w, value, inner));
		}
	} else if (any != NULL) {
		inner.name = "general";
		json_object_object_add(o, inner.name, make(w, any, inner));
	}
	return o;
}

static struct json_object *
make(const struct writer *w, const struct json_object *given, struct place at)
{
	const struct json_object *schema = resolve(w, given);
	const struct json_object *list;

	if (schema == NULL || at.depth > MAX_DEPTH)
		return NULL;
	if ((has_type(schema, "null") || schema != given) &&
	    should_be_null(w, &at))
		return NULL;
	if (json_get(schema, "const") != NULL)
		return json_copy(json_get(schema, "const"));
	list = json_get_arr(schema, "enum");
	if (list != NULL)
		return make_enum(w, list, &at);
	if (is_object(schema))
		return make_object(w, schema, at);
	if (is_array(schema))
		return make_array(w, schema, at);
	if (has_type(schema, "integer") || has_type(schema, "number"))
		return make_number(w, schema, &at);
	if (has_type(schema, "boolean"))
		return json_object_new_boolean(false);
	if (has_type(schema, "string"))
		return make_string(w, schema, &at);
	return NULL;
}

/* --- the whole answer -------------------------------------------------- */

static void
set_up(struct writer *w, const struct sim_request *r)
{
	const struct json_object *props;
	const char *p;

	memset(w, 0, sizeof(*w));
	w->voice.r = r;
	facts_find(r, &w->voice.facts);
	if (r->n_pictures > 0)
		w->voice.has_look = look_at(&r->pictures[0], &w->voice.look);
	for (p = w->voice.facts.subject; *p != '\0'; p++)
		w->voice.base = w->voice.base * 31 + (unsigned char)*p;
	w->seed = r->seed;
	w->root = r->schema;
	w->counted = find_counted(w);
	props = json_get_obj(r->schema, "properties");
	w->minimal_analysis = json_get(props, "main_subject") != NULL &&
	    json_get(props, "setting_environment") != NULL &&
	    !w->voice.facts.wants_details;
}

void
chat_write(const struct sim_request *r, struct strbuf *out)
{
	struct place top = { "", "", 0, 0 };
	struct strbuf text = STRBUF_INIT(MAX_TEXT);
	struct json_object *answer = NULL;
	struct writer *w = xcalloc(1, sizeof(*w));

	set_up(w, r);
	if (w->voice.facts.index > 0)
		top.item = w->voice.facts.index;
	if (r->schema != NULL) {
		answer = make(w, r->schema, top);
	} else {
		prose_caption(&w->voice, &text);
		if (r->format == FORMAT_TEXT) {
			strbuf_add(out, text.buf, text.len);
			goto out;
		}
		answer = json_object_new_object();
		json_put_str(answer, "text", text.buf);
	}
	strbuf_add_json(out, answer);
out:
	json_object_put(answer);
	strbuf_release(&text);
	free(w);
}
