/*
 * Schemas on their way to a model: written in full for a prompt, projected
 * for providers that enforce them, and varied for one request.
 *
 * The strict projection (generation.md 9.1) says less than the schema: what
 * providers refuse is left out, every member is required and what was
 * optional may be null.  Our own check afterwards knows the rest.
 */
#include "schema.h"

#include "schema_node.h"
#include "xalloc.h"

#define MAX_STEP_BYTES 64	/* of one name in a path of schema_vary() */

static struct json_object *write_schema(const struct schema *s, bool strict,
    bool nullable);

/* --- writing ------------------------------------------------------------- */

/* Texts that we made ourselves parse. */
static struct json_object *
parse_own(const char *text)
{
	struct json_object *v = NULL;

	json_parse(text, strlen(text), &v, NULL);
	return v;
}

static bool
is_text_value(const char *json)
{
	return json[0] == '"';
}

/* The types of a schema; where it names only values, those of the values. */
static unsigned
types_to_write(const struct schema *s, bool strict)
{
	int i;

	if (s->types != TYPE_ANY)
		return s->types;
	if (!strict || s->n_values == 0)
		return 0;
	for (i = 0; i < s->n_values; i++)
		if (!is_text_value(s->values[i]))
			return 0;
	return TYPE_STRING;
}

static void
write_type(struct json_object *o, unsigned types)
{
	struct json_object *list;
	unsigned bit;

	if (types == 0)
		return;
	if ((types & (types - 1)) == 0) {
		json_put_str(o, "type", schema_type_word(types));
		return;
	}
	list = json_object_new_array();
	for (bit = 1; bit <= TYPE_NULL; bit <<= 1)
		if ((types & bit) != 0)
			json_object_array_add(list,
			    json_object_new_string(schema_type_word(bit)));
	json_object_object_add(o, "type", list);
}

static void
write_values(struct json_object *o, const struct schema *s, bool nullable)
{
	struct json_object *list;
	int i;

	if (s->n_values == 0)
		return;
	if (s->is_const && !nullable) {
		json_object_object_add(o, "const", parse_own(s->values[0]));
		return;
	}
	list = json_object_new_array();
	for (i = 0; i < s->n_values; i++)
		json_object_array_add(list, parse_own(s->values[i]));
	if (nullable && !schema_takes_null(s))
		json_object_array_add(list, NULL);
	json_object_object_add(o, "enum", list);
}

static void
write_limit(struct json_object *o, const char *keyword,
    const struct schema_limit *limit)
{
	if (!limit->set)
		return;
	if (limit->value == (double)(int64_t)limit->value)
		json_put_int(o, keyword, (int64_t)limit->value);
	else
		json_put_num(o, keyword, limit->value);
}

static void
write_limits(struct json_object *o, const struct schema *s)
{
	write_limit(o, "minItems", &s->min_items);
	write_limit(o, "maxItems", &s->max_items);
	write_limit(o, "minLength", &s->min_length);
	write_limit(o, "maxLength", &s->max_length);
	write_limit(o, "minimum", &s->minimum);
	write_limit(o, "maximum", &s->maximum);
	if (s->pattern != NULL)
		json_put_str(o, "pattern", s->pattern);
	if (s->default_text != NULL)
		json_object_object_add(o, "default",
		    parse_own(s->default_text));
}

static void
write_members(struct json_object *o, const struct schema *s, bool strict)
{
	struct json_object *properties, *required;
	const struct schema_member *m;
	bool is_object;
	int i;

	is_object = s->types != TYPE_ANY && (s->types & TYPE_OBJECT) != 0;
	if (s->n_members == 0 && !s->closed && !(strict && is_object))
		return;
	properties = json_object_new_object();
	required = json_object_new_array();
	for (i = 0; i < s->n_members; i++) {
		m = &s->members[i];
		json_object_object_add(properties, m->name,
		    write_schema(m->schema, strict, strict && !m->required));
		if (strict || m->required)
			json_object_array_add(required,
			    json_object_new_string(m->name));
	}
	json_object_object_add(o, "properties", properties);
	json_object_object_add(o, "required", required);
	json_put_bool(o, "additionalProperties", !strict && !s->closed);
}

static void
write_any_of(struct json_object *o, const struct schema *s, bool strict,
    bool nullable)
{
	struct json_object *list, *none;
	int i;

	if (s->any_of == NULL)
		return;
	list = json_object_new_array();
	for (i = 0; i < s->n_any_of; i++)
		json_object_array_add(list,
		    write_schema(s->any_of[i], strict, false));
	if (nullable && !schema_takes_null(s)) {
		none = json_object_new_object();
		json_put_str(none, "type", "null");
		json_object_array_add(list, none);
	}
	json_object_object_add(o, "anyOf", list);
}

/* References are followed, so the result stands alone. It recurses as deep as
 * the schema, which its loader limited. */
static struct json_object *
write_schema(const struct schema *s, bool strict, bool nullable)
{
	struct json_object *o = json_object_new_object();
	unsigned types;

	s = schema_follow(s);
	if (!strict && s->title != NULL)
		json_put_str(o, "title", s->title);
	if (s->description != NULL)
		json_put_str(o, "description", s->description);
	types = types_to_write(s, strict);
	if (nullable && types != 0)
		types |= TYPE_NULL;
	write_type(o, types);
	write_values(o, s, nullable);
	write_members(o, s, strict);
	if (s->items != NULL)
		json_object_object_add(o, "items",
		    write_schema(s->items, strict, false));
	write_any_of(o, s, strict, nullable);
	if (!strict)
		write_limits(o, s);
	return o;
}

struct json_object *
schema_strict(const struct schema *s)
{
	return write_schema(s, true, false);
}

char *
schema_text(const struct schema *s)
{
	struct json_object *o = write_schema(s, false, false);
	char *text;

	text = json_to_text(o);
	json_object_put(o);
	return text;
}

/* --- varying ------------------------------------------------------------- */

/* A copy of its own all the way down, references replaced by what they name. */
static struct schema *
copy_schema(const struct schema *s)
{
	struct schema *copy = xcalloc(1, sizeof(*copy));
	int i;

	s = schema_follow(s);
	*copy = *s;
	copy->name = xstrdup(s->name);
	copy->title = xstrdup(s->title);
	copy->description = xstrdup(s->description);
	copy->default_text = xstrdup(s->default_text);
	copy->pattern = xstrdup(s->pattern);
	if (s->pattern != NULL &&
	    regcomp(&copy->regex, s->pattern, REG_EXTENDED | REG_NOSUB) != 0)
		abort();	/* it compiled before: memory is out */
	copy->values = s->n_values == 0 ? NULL :
	    xcalloc((size_t)s->n_values, sizeof(*s->values));
	for (i = 0; i < s->n_values; i++)
		copy->values[i] = xstrdup(s->values[i]);
	copy->members = s->n_members == 0 ? NULL :
	    xcalloc((size_t)s->n_members, sizeof(*s->members));
	for (i = 0; i < s->n_members; i++) {
		copy->members[i].name = xstrdup(s->members[i].name);
		copy->members[i].required = s->members[i].required;
		copy->members[i].schema = copy_schema(s->members[i].schema);
	}
	copy->any_of = s->n_any_of == 0 ? NULL :
	    xcalloc((size_t)s->n_any_of, sizeof(struct schema *));
	for (i = 0; i < s->n_any_of; i++)
		copy->any_of[i] = copy_schema(s->any_of[i]);
	copy->items = s->items != NULL ? copy_schema(s->items) : NULL;
	return copy;
}

static int
member_index(const struct schema *s, const char *name)
{
	int i;

	for (i = 0; i < s->n_members; i++)
		if (strcmp(s->members[i].name, name) == 0)
			return i;
	return -1;
}

/* The schema whose member the path ends in, and which one; NULL when the path
 * leads nowhere. Lists are passed through. */
static struct schema *
find_place(struct schema *s, const char *path, int *member)
{
	char step[MAX_STEP_BYTES];
	size_t n;

	for (;;) {
		while (s->items != NULL && s->n_members == 0)
			s = s->items;
		n = strcspn(path, "/");
		if (n == 0 || n >= sizeof(step))
			return NULL;
		memcpy(step, path, n);
		step[n] = '\0';
		*member = member_index(s, step);
		if (*member < 0)
			return NULL;
		if (path[n] == '\0')
			return s;
		s = s->members[*member].schema;
		path += n + 1;
	}
}

static void
drop_member(struct schema *s, int member)
{
	free(s->members[member].name);
	schema_free(s->members[member].schema);
	memmove(&s->members[member], &s->members[member + 1],
	    (size_t)(s->n_members - member - 1) * sizeof(s->members[0]));
	s->n_members--;
}

/* Required, and more than null: a member that is asked for has to say
 * something. */
static void
require_member(struct schema *s, int member)
{
	struct schema *m = s->members[member].schema;

	s->members[member].required = true;
	if (m->types != TYPE_ANY)
		m->types &= ~(unsigned)TYPE_NULL;
}

static enum err_code
vary(struct schema *s, const char *const *paths,
    void (*change)(struct schema *s, int member), struct err *e)
{
	struct schema *place;
	int member = -1;

	for (; paths != NULL && *paths != NULL; paths++) {
		place = find_place(s, *paths, &member);
		if (place == NULL)
			return err_set(e, ERR_INVALID,
			    "schema %s has no member %s", s->name, *paths);
		change(place, member);
	}
	return ERR_OK;
}

enum err_code
schema_vary(const struct schema *s, const char *const *drop,
    const char *const *require, struct schema **out, struct err *e)
{
	struct schema *copy = copy_schema(s);
	enum err_code rc;

	rc = vary(copy, drop, drop_member, e);
	if (rc == ERR_OK)
		rc = vary(copy, require, require_member, e);
	if (rc == ERR_OK) {
		*out = copy;
		copy = NULL;
	}
	schema_free(copy);
	return rc;
}
