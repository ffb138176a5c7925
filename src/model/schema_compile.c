/*
 * From a JSON Schema file to a struct schema.
 *
 * What a file may say is one table of keywords; anything else is a fault that
 * names the file and the place in it, so that a schema never promises what
 * nobody checks.
 *
 * To teach it a keyword: a field in struct schema (schema_node.h), a setter
 * and a row in keywords[] below, the check in schema_fit.c, and how it is
 * written in schema_text.c.
 */
#include "schema_node.h"

#include "xalloc.h"

#define MAX_WHERE_BYTES 256	/* of a place in a file */

/* A file being read. */
struct loader {
	const char *path;
	struct problems *problems;
	struct strbuf where;	/* "/properties/colors/items" */
	int depth;
};

struct keyword {
	const char *name;
	void (*set)(struct loader *ld, struct schema *s,
	    const struct json_object *v);
};

static struct schema *compile(struct loader *ld, const struct json_object *o);

/* --- faults -------------------------------------------------------------- */

static void fault(struct loader *ld, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
fault(struct loader *ld, const char *fmt, ...)
{
	struct strbuf text = STRBUF_INIT(ERR_MSG_MAX);
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(&text, fmt, ap);
	va_end(ap);
	problems_add(ld->problems, ld->path, 0, "%s: %s",
	    ld->where.len > 0 ? ld->where.buf : "/", text.buf);
	strbuf_release(&text);
}

/* Compile what stands at step below the current place. */
static struct schema *
compile_at(struct loader *ld, const char *step, const struct json_object *o)
{
	struct schema *s;
	size_t len = ld->where.len;

	strbuf_addf(&ld->where, "/%.40s", step);
	s = compile(ld, o);
	strbuf_truncate(&ld->where, len);
	return s;
}

/* --- keywords ------------------------------------------------------------ */

static void
set_text(struct loader *ld, char **field, const char *keyword,
    const struct json_object *v)
{
	struct json_object *mutable = (struct json_object *)(uintptr_t)v;

	if (!json_object_is_type(v, json_type_string)) {
		fault(ld, "%s is not text", keyword);
		return;
	}
	*field = xstrdup(json_object_get_string(mutable));
}

static void
set_title(struct loader *ld, struct schema *s, const struct json_object *v)
{
	set_text(ld, &s->title, "title", v);
}

static void
set_description(struct loader *ld, struct schema *s,
    const struct json_object *v)
{
	set_text(ld, &s->description, "description", v);
}

static void
set_default(struct loader *ld, struct schema *s, const struct json_object *v)
{
	(void)ld;
	s->default_text = json_to_text(v);
}

static void
set_nothing(struct loader *ld, struct schema *s, const struct json_object *v)
{
	(void)ld;
	(void)s;
	(void)v;
}

static unsigned
type_bit(struct loader *ld, struct json_object *v)
{
	const char *word = json_object_is_type(v, json_type_string) ?
	    json_object_get_string(v) : "";
	unsigned bit = schema_type_bit(word);

	if (bit == 0)
		fault(ld, "type \"%.40s\" is unknown", word);
	return bit;
}

static void
set_type(struct loader *ld, struct schema *s, const struct json_object *v)
{
	struct json_object *mutable = (struct json_object *)(uintptr_t)v;
	size_t i;

	s->types = 0;
	if (!json_object_is_type(v, json_type_array)) {
		s->types = type_bit(ld, mutable);
		return;
	}
	if (json_len(v) == 0)
		fault(ld, "type is an empty list");
	for (i = 0; i < json_len(v); i++)
		s->types |= type_bit(ld, json_object_array_get_idx(v, i));
}

static void
set_enum(struct loader *ld, struct schema *s, const struct json_object *v)
{
	size_t i, n = json_len(v);

	if (n == 0 || n > SCHEMA_MAX_MEMBERS) {
		fault(ld, "enum is not a list of 1 to %d values",
		    SCHEMA_MAX_MEMBERS);
		return;
	}
	s->values = xcalloc(n, sizeof(*s->values));
	s->n_values = (int)n;
	for (i = 0; i < n; i++)
		s->values[i] = json_to_canonical(
		    json_object_array_get_idx(v, i));
}

static void
set_const(struct loader *ld, struct schema *s, const struct json_object *v)
{
	(void)ld;
	s->values = xcalloc(1, sizeof(*s->values));
	s->values[0] = json_to_canonical(v);
	s->n_values = 1;
	s->is_const = true;
}

static void
set_properties(struct loader *ld, struct schema *s,
    const struct json_object *v)
{
	size_t len = ld->where.len;
	struct schema_member *m;
	int n;

	n = json_object_is_type(v, json_type_object) ?
	    json_object_object_length(v) : -1;
	if (n < 0 || n > SCHEMA_MAX_MEMBERS) {
		fault(ld, "properties is not an object of at most %d members",
		    SCHEMA_MAX_MEMBERS);
		return;
	}
	s->members = xcalloc((size_t)n + 1, sizeof(*s->members));
	strbuf_addstr(&ld->where, "/properties");
	json_object_object_foreach(v, key, value) {
		m = &s->members[s->n_members++];
		m->name = xstrdup(key);
		m->schema = compile_at(ld, key, value);
	}
	strbuf_truncate(&ld->where, len);
}

static struct schema_member *
find_member(const struct schema *s, const char *name)
{
	int i;

	for (i = 0; i < s->n_members; i++)
		if (strcmp(s->members[i].name, name) == 0)
			return &s->members[i];
	return NULL;
}

/* Comes after properties in the table below, whatever the file's order. */
static void
set_required(struct loader *ld, struct schema *s, const struct json_object *v)
{
	struct schema_member *m;
	struct json_object *name;
	size_t i;

	if (!json_object_is_type(v, json_type_array)) {
		fault(ld, "required is not a list");
		return;
	}
	for (i = 0; i < json_len(v); i++) {
		name = json_object_array_get_idx(v, i);
		m = json_object_is_type(name, json_type_string) ?
		    find_member(s, json_object_get_string(name)) : NULL;
		if (m != NULL)
			m->required = true;
		else
			fault(ld, "required names \"%.40s\", which properties "
			    "does not have", name != NULL ?
			    json_object_get_string(name) : "null");
	}
}

static void
set_additional(struct loader *ld, struct schema *s,
    const struct json_object *v)
{
	if (!json_object_is_type(v, json_type_boolean))
		fault(ld, "additionalProperties is neither true nor false");
	else
		s->closed = !json_object_get_boolean(v);
}

static void
set_items(struct loader *ld, struct schema *s, const struct json_object *v)
{
	s->items = compile_at(ld, "items", v);
}

static void
set_any_of(struct loader *ld, struct schema *s, const struct json_object *v)
{
	size_t i, n = json_len(v);

	if (n == 0 || n > SCHEMA_MAX_MEMBERS) {
		fault(ld, "anyOf is not a list of 1 to %d schemas",
		    SCHEMA_MAX_MEMBERS);
		return;
	}
	s->any_of = xcalloc(n, sizeof(struct schema *));
	for (i = 0; i < n; i++)
		s->any_of[s->n_any_of++] = compile_at(ld, "anyOf",
		    json_object_array_get_idx(v, i));
}

static void
set_number(struct loader *ld, struct schema_limit *limit, const char *keyword,
    const struct json_object *v)
{
	limit->set = json_object_is_type(v, json_type_int) ||
	    json_object_is_type(v, json_type_double);
	if (limit->set)
		limit->value = json_object_get_double(v);
	else
		fault(ld, "%s is not a number", keyword);
}

static void
set_count(struct loader *ld, struct schema_limit *limit, const char *keyword,
    const struct json_object *v)
{
	limit->set = json_object_is_type(v, json_type_int) &&
	    json_object_get_int64(v) >= 0;
	if (limit->set)
		limit->value = json_object_get_double(v);
	else
		fault(ld, "%s is not a count", keyword);
}

static void
set_min_items(struct loader *ld, struct schema *s, const struct json_object *v)
{
	set_count(ld, &s->min_items, "minItems", v);
}

static void
set_max_items(struct loader *ld, struct schema *s, const struct json_object *v)
{
	set_count(ld, &s->max_items, "maxItems", v);
}

static void
set_min_length(struct loader *ld, struct schema *s,
    const struct json_object *v)
{
	set_count(ld, &s->min_length, "minLength", v);
}

static void
set_max_length(struct loader *ld, struct schema *s,
    const struct json_object *v)
{
	set_count(ld, &s->max_length, "maxLength", v);
}

static void
set_minimum(struct loader *ld, struct schema *s, const struct json_object *v)
{
	set_number(ld, &s->minimum, "minimum", v);
}

static void
set_maximum(struct loader *ld, struct schema *s, const struct json_object *v)
{
	set_number(ld, &s->maximum, "maximum", v);
}

/* \d and its like mean something else, or nothing, to regcomp(3). */
static bool
has_class_escape(const char *pattern)
{
	const char *p;

	for (p = pattern; *p != '\0'; p++) {
		if (*p != '\\')
			continue;
		p++;
		if (*p == '\0' || isalnum((unsigned char)*p))
			return true;
	}
	return false;
}

static void
set_pattern(struct loader *ld, struct schema *s, const struct json_object *v)
{
	char *text = NULL;
	char why[ERR_MSG_MAX / 2];
	int rc;

	set_text(ld, &text, "pattern", v);
	if (text == NULL)
		return;
	if (has_class_escape(text)) {
		fault(ld, "pattern is not a POSIX extended expression "
		    "(use [0-9] and the like)");
		free(text);
		return;
	}
	rc = regcomp(&s->regex, text, REG_EXTENDED | REG_NOSUB);
	if (rc != 0) {
		regerror(rc, &s->regex, why, sizeof(why));
		fault(ld, "pattern: %s", why);
		free(text);
		return;
	}
	s->pattern = text;
}

static void
set_ref(struct loader *ld, struct schema *s, const struct json_object *v)
{
	set_text(ld, &s->ref_name, "$ref", v);
}

/* In the order they are worked off. */
static const struct keyword keywords[] = {
	{ "$schema", set_nothing },
	{ "$id", set_nothing },
	{ "title", set_title },
	{ "description", set_description },
	{ "default", set_default },
	{ "$ref", set_ref },
	{ "type", set_type },
	{ "enum", set_enum },
	{ "const", set_const },
	{ "properties", set_properties },
	{ "required", set_required },
	{ "additionalProperties", set_additional },
	{ "items", set_items },
	{ "minItems", set_min_items },
	{ "maxItems", set_max_items },
	{ "minLength", set_min_length },
	{ "maxLength", set_max_length },
	{ "pattern", set_pattern },
	{ "minimum", set_minimum },
	{ "maximum", set_maximum },
	{ "anyOf", set_any_of }
};

static bool
is_keyword(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(keywords); i++)
		if (strcmp(keywords[i].name, name) == 0)
			return true;
	return false;
}

/* Says something to people, not about values. */
static bool
is_annotation(const char *name)
{
	static const char *const names[] = {
		"$schema", "$id", "title", "description", "default"
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* Unknown keywords, and those that would be passed over. */
static void
check_together(struct loader *ld, const struct schema *s,
    const struct json_object *o)
{
	const char *alone = NULL;

	if (s->ref_name != NULL)
		alone = "$ref";
	else if (s->any_of != NULL)
		alone = "anyOf";
	json_object_object_foreach(o, key, value) {
		(void)value;
		if (!is_keyword(key))
			fault(ld, "\"%.40s\" is not a keyword this program "
			    "checks", key);
		else if (alone != NULL && strcmp(key, alone) != 0 &&
		    !is_annotation(key))
			fault(ld, "\"%s\" beside %s would not be looked at",
			    key, alone);
	}
}

static struct schema *
compile(struct loader *ld, const struct json_object *o)
{
	struct schema *s = xcalloc(1, sizeof(*s));
	struct json_object *v = NULL;
	size_t i;

	s->types = TYPE_ANY;
	if (!json_object_is_type(o, json_type_object)) {
		fault(ld, "a schema is an object");
		return s;
	}
	if (ld->depth == SCHEMA_DEPTH_MAX) {
		fault(ld, "nested deeper than %d", SCHEMA_DEPTH_MAX);
		return s;
	}
	ld->depth++;
	for (i = 0; i < ARRAY_LEN(keywords); i++)
		if (json_object_object_get_ex(o, keywords[i].name, &v))
			keywords[i].set(ld, s, v);
	check_together(ld, s, o);
	ld->depth--;
	return s;
}

struct schema *
schema_compile(const char *path, const struct json_object *doc,
    struct problems *problems)
{
	struct loader ld = { path, problems, STRBUF_INIT(MAX_WHERE_BYTES), 0 };
	struct schema *s;

	s = compile(&ld, doc);
	strbuf_release(&ld.where);
	return s;
}
