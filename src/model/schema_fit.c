/*
 * Holding a value against a schema, with and without mending it.
 *
 * One walk does both.  It first brings the value to a type the schema takes
 * (only when mending, and only without loss: generation.md 10.2, step 7), then
 * checks what is there now, then goes on to members and items.  All faults are
 * listed, since a model that is asked again should hear of all of them.
 *
 * A value that has to be replaced is handed up to whoever holds it: the walk
 * never owns the tree.
 */
#include "schema.h"

#include <math.h>

#include "reading.h"
#include "schema_node.h"
#include "xalloc.h"

#define MAX_LISTED 40		/* faults that are written down */
#define MAX_PATH_BYTES 4096	/* 16 names of a schema fit */
#define MAX_FAULT_BYTES 2048
#define MAX_SHOWN 40		/* bytes of a foreign name in a fault */
#define EXACT_MAX 9007199254740992.0	/* 2^53: no gaps up to here */
#define MAX_DIGITS 18		/* of an integer in quotes; fits int64 */

struct walk {
	bool mend;
	int faults;
	struct strbuf path;	/* "strategies/0/target_voice" */
	struct strbuf *out;	/* NULL: only count */
};

static bool fit(struct walk *w, const struct schema *s, struct json_object *v,
    struct json_object **instead);

/* --- faults -------------------------------------------------------------- */

static void fault(struct walk *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
fault(struct walk *w, const char *fmt, ...)
{
	struct strbuf line = STRBUF_INIT(MAX_FAULT_BYTES);
	va_list ap;

	w->faults++;
	if (w->out == NULL || w->faults > MAX_LISTED)
		return;
	va_start(ap, fmt);
	strbuf_vaddf(&line, fmt, ap);
	va_end(ap);
	strbuf_addf(w->out, "%s: %s\n",
	    w->path.len > 0 ? w->path.buf : "(top)", line.buf);
	strbuf_release(&line);
}

/* Step down to a member; the caller truncates to what is returned. */
static size_t
descend(struct walk *w, const char *step)
{
	size_t len = w->path.len;

	strbuf_addf(&w->path, "%s%s", len > 0 ? "/" : "", step);
	return len;
}

static void
ascend(struct walk *w, size_t len)
{
	strbuf_truncate(&w->path, len);
}

/* --- types --------------------------------------------------------------- */

static unsigned
type_of(const struct json_object *v)
{
	switch (json_object_get_type(v)) {
	case json_type_null:
		return TYPE_NULL;
	case json_type_boolean:
		return TYPE_BOOLEAN;
	case json_type_double:
		return TYPE_NUMBER;
	case json_type_int:
		return TYPE_INTEGER;
	case json_type_object:
		return TYPE_OBJECT;
	case json_type_array:
		return TYPE_ARRAY;
	case json_type_string:
		return TYPE_STRING;
	}
	return TYPE_NULL;
}

static bool
takes(const struct schema *s, unsigned type)
{
	if (type == TYPE_INTEGER && (s->types & TYPE_NUMBER) != 0)
		return true;
	return (s->types & type) != 0;
}

static const char *
string_of(const struct json_object *v, size_t *len)
{
	struct json_object *mutable = (struct json_object *)(uintptr_t)v;

	*len = (size_t)json_object_get_string_len(v);
	return json_object_get_string(mutable);
}

/* --- mending ------------------------------------------------------------- */

/* "12" and " -3 " are integers; more digits than fit are not. */
static bool
integer_in(const struct json_object *v, int64_t *out)
{
	const char *s;
	size_t len, digits = 0;
	bool negative;

	s = string_of(v, &len);
	s += strspn(s, " ");
	negative = *s == '-';
	if (negative)
		s++;
	while (isdigit((unsigned char)s[digits]))
		digits++;
	if (digits == 0 || digits > MAX_DIGITS ||
	    s[digits + strspn(s + digits, " ")] != '\0')
		return false;
	*out = strtoll(s, NULL, 10);
	if (negative)
		*out = -*out;
	return true;
}

/* The name of the only member that is a list; NULL without one or with two. */
static const char *
only_list_of(const struct schema *s)
{
	const char *found = NULL;
	int i;

	for (i = 0; i < s->n_members; i++) {
		if (s->members[i].schema->types == TYPE_ANY ||
		    !takes(schema_follow(s->members[i].schema), TYPE_ARRAY))
			continue;
		if (found != NULL)
			return NULL;
		found = s->members[i].name;
	}
	return found;
}

static bool
is_list_of_objects(const struct schema *s)
{
	return s->items != NULL &&
	    schema_follow(s->items)->types == TYPE_OBJECT;
}

/* A double without a fraction, for a schema that takes integers alone. */
static bool
mend_double(const struct schema *s, const struct json_object *v,
    struct json_object **instead)
{
	double d = json_object_get_double(v);

	if (takes(s, TYPE_NUMBER) || !takes(s, TYPE_INTEGER) ||
	    d != trunc(d) || fabs(d) > EXACT_MAX)
		return false;
	*instead = json_object_new_int64((int64_t)d);
	return true;
}

static bool
mend_string(const struct schema *s, const struct json_object *v,
    struct json_object **instead)
{
	int64_t i;

	if (!takes(s, TYPE_INTEGER) || !integer_in(v, &i))
		return false;
	*instead = json_object_new_int64(i);
	return true;
}

static bool
mend_container(const struct schema *s, struct json_object *v,
    struct json_object **instead)
{
	bool is_list = json_object_is_type(v, json_type_array);
	const char *list = NULL;
	char *text;

	if (is_list && takes(s, TYPE_OBJECT))
		list = only_list_of(s);
	if (list != NULL) {
		*instead = json_object_new_object();
		json_object_object_add(*instead, list, json_object_get(v));
		return true;
	}
	if (!is_list && takes(s, TYPE_ARRAY) && is_list_of_objects(s)) {
		*instead = json_object_new_array();
		json_object_array_add(*instead, json_object_get(v));
		return true;
	}
	if (!takes(s, TYPE_STRING))
		return false;
	text = flatten_text(v);
	*instead = text != NULL ? json_object_new_string(text) : NULL;
	free(text);
	return true;
}

/* Another writing of v that s takes. False: v stays as it is. */
static bool
mend(const struct schema *s, struct json_object *v,
    struct json_object **instead)
{
	if (s->any_of != NULL || takes(s, type_of(v)))
		return false;
	switch (json_object_get_type(v)) {
	case json_type_double:
		return mend_double(s, v, instead);
	case json_type_string:
		return mend_string(s, v, instead);
	case json_type_array:
	case json_type_object:
		return mend_container(s, v, instead);
	case json_type_null:
	case json_type_boolean:
	case json_type_int:
		return false;
	}
	return false;
}

/* --- checks of one value ------------------------------------------------- */

static bool
check_type(struct walk *w, const struct schema *s, const struct json_object *v)
{
	struct strbuf wanted = STRBUF_INIT(MAX_FAULT_BYTES);
	struct strbuf found = STRBUF_INIT(MAX_FAULT_BYTES);
	unsigned type = type_of(v);

	if (takes(s, type))
		return true;
	if (type == TYPE_NUMBER && takes(s, TYPE_INTEGER) &&
	    !w->mend && json_object_get_double(v) ==
	    trunc(json_object_get_double(v)))
		return true;	/* 5.0 is an integer; JSON has one number */
	schema_add_types(&wanted, s->types);
	schema_add_types(&found, type);
	fault(w, "is %s, must be %s", found.buf, wanted.buf);
	strbuf_release(&wanted);
	strbuf_release(&found);
	return false;
}

static void
check_values(struct walk *w, const struct schema *s,
    const struct json_object *v)
{
	struct strbuf list = STRBUF_INIT(MAX_FAULT_BYTES);
	char *text;
	int i;

	if (s->n_values == 0)
		return;
	text = json_to_canonical(v);
	for (i = 0; i < s->n_values; i++)
		if (strcmp(text, s->values[i]) == 0)
			goto out;
	for (i = 0; i < s->n_values; i++)
		strbuf_addf(&list, "%s%s", i > 0 ? ", " : "", s->values[i]);
	fault(w, "must be one of %s", list.buf);
out:
	strbuf_release(&list);
	free(text);
}

static const char *
plural(double n)
{
	return n == 1 ? "" : "s";
}

static void
check_string(struct walk *w, const struct schema *s,
    const struct json_object *v)
{
	size_t len, chars;
	const char *text;

	text = string_of(v, &len);
	/* White space alone says nothing. */
	chars = json_is_blank(v) ? 0 : utf8_count(text, len);
	if (s->min_length.set && (double)chars < s->min_length.value) {
		if (chars == 0)
			fault(w, "is empty");
		else
			fault(w, "is %zu character%s long, must be at least "
			    "%.0f", chars, plural((double)chars),
			    s->min_length.value);
	}
	if (s->max_length.set && (double)chars > s->max_length.value)
		fault(w, "is %zu characters long, must be at most %.0f", chars,
		    s->max_length.value);
	if (s->pattern != NULL && (len > SCHEMA_PATTERN_SUBJECT_MAX ||
	    regexec(&s->regex, text, 0, NULL, 0) != 0))
		fault(w, "does not match %s", s->pattern);
}

static void
check_number(struct walk *w, const struct schema *s,
    const struct json_object *v)
{
	double d = json_object_get_double(v);

	if (s->minimum.set && d < s->minimum.value)
		fault(w, "is %g, must be at least %g", d, s->minimum.value);
	if (s->maximum.set && d > s->maximum.value)
		fault(w, "is %g, must be at most %g", d, s->maximum.value);
}

/* --- objects ------------------------------------------------------------- */

static const struct schema_member *
find_member(const struct schema *s, const char *name)
{
	int i;

	for (i = 0; i < s->n_members; i++)
		if (strcmp(s->members[i].name, name) == 0)
			return &s->members[i];
	return NULL;
}

/* A foreign name in a fault, without surprises for who reads it. */
static void
fault_unknown(struct walk *w, const char *name)
{
	char shown[MAX_SHOWN + 1];
	size_t i;

	for (i = 0; i < MAX_SHOWN && name[i] != '\0'; i++)
		shown[i] = isprint((unsigned char)name[i]) ? name[i] : '?';
	shown[i] = '\0';
	fault(w, "has no member \"%s\"", shown);
}

static void
fit_unknown(struct walk *w, const struct schema *s, struct json_object *object)
{
	if (!s->closed)
		return;
	json_object_object_foreach(object, key, value) {
		(void)value;
		if (find_member(s, key) != NULL)
			continue;
		if (w->mend)
			json_object_object_del(object, key);
		else
			fault_unknown(w, key);
	}
}

/* The member is there; v is what it holds, perhaps null. */
static void
fit_present(struct walk *w, const struct schema_member *m,
    struct json_object *object, struct json_object *v)
{
	const struct schema *s = schema_follow(m->schema);
	struct json_object *instead = NULL;

	if (w->mend && mend(s, v, &instead)) {
		json_object_object_add(object, m->name, instead);
		v = instead;
	}
	if (v == NULL && !m->required && w->mend && !schema_takes_null(s)) {
		json_object_object_del(object, m->name);
		return;
	}
	if (fit(w, s, v, &instead))
		json_object_object_add(object, m->name, instead);
}

static void
fit_members(struct walk *w, const struct schema *s, struct json_object *object)
{
	const struct schema_member *m;
	struct json_object *v = NULL;
	size_t len;
	int i;

	for (i = 0; i < s->n_members; i++) {
		m = &s->members[i];
		len = descend(w, m->name);
		if (json_object_object_get_ex(object, m->name, &v))
			fit_present(w, m, object, v);
		else if (m->required)
			fault(w, "is missing");
		else if (w->mend && schema_takes_null(m->schema))
			json_put_null(object, m->name);
		ascend(w, len);
	}
	fit_unknown(w, s, object);
}

/* --- lists --------------------------------------------------------------- */

static void
fit_items(struct walk *w, const struct schema *s, struct json_object *array)
{
	struct json_object *v, *instead = NULL;
	size_t i, n = json_object_array_length(array), len;
	char step[24];

	if (s->min_items.set && (double)n < s->min_items.value)
		fault(w, "has %zu item%s, must have at least %.0f", n,
		    plural((double)n), s->min_items.value);
	if (s->max_items.set && (double)n > s->max_items.value)
		fault(w, "has %zu item%s, must have at most %.0f", n,
		    plural((double)n), s->max_items.value);
	for (i = 0; s->items != NULL && i < n; i++) {
		snprintf(step, sizeof(step), "%zu", i);
		len = descend(w, step);
		v = json_object_array_get_idx(array, i);
		if (fit(w, s->items, v, &instead))
			json_object_array_put_idx(array, i, instead);
		ascend(w, len);
	}
}

/* --- the walk ------------------------------------------------------------ */

/*
 * The first alternative that fits. They are tried on copies, so that a try
 * that fails leaves nothing behind.
 */
static bool
fit_any_of(struct walk *w, const struct schema *s,
    const struct json_object *v, struct json_object **instead)
{
	struct walk probe = { w->mend, 0, STRBUF_INIT(MAX_PATH_BYTES), NULL };
	struct json_object *copy;
	int i;

	for (i = 0; i < s->n_any_of; i++) {
		copy = json_copy(v);
		probe.faults = 0;
		if (fit(&probe, s->any_of[i], copy, instead)) {
			json_object_put(copy);
			copy = *instead;
		}
		if (probe.faults == 0 && w->mend) {
			*instead = copy;
			strbuf_release(&probe.path);
			return true;
		}
		json_object_put(copy);
		if (probe.faults == 0)
			break;
	}
	strbuf_release(&probe.path);
	*instead = NULL;
	if (i == s->n_any_of)
		fault(w, "fits none of the %d forms it may have", i);
	return false;
}

/* True when *instead (a reference) has to take the place of v. */
static bool
fit(struct walk *w, const struct schema *s, struct json_object *v,
    struct json_object **instead)
{
	bool replaced = false;

	s = schema_follow(s);
	if (s->any_of != NULL)
		return fit_any_of(w, s, v, instead);
	if (w->mend) {
		replaced = mend(s, v, instead);
		if (replaced)
			v = *instead;
	}
	if (!check_type(w, s, v))
		return replaced;
	check_values(w, s, v);
	switch (json_object_get_type(v)) {
	case json_type_object:
		fit_members(w, s, v);
		break;
	case json_type_array:
		fit_items(w, s, v);
		break;
	case json_type_string:
		check_string(w, s, v);
		break;
	case json_type_int:
	case json_type_double:
		check_number(w, s, v);
		break;
	case json_type_null:
	case json_type_boolean:
		break;
	}
	return replaced;
}

int
schema_fit(const struct schema *s, struct json_object **value,
    struct strbuf *violations)
{
	struct walk w = { true, 0, STRBUF_INIT(MAX_PATH_BYTES), violations };
	struct json_object *instead = NULL;

	if (fit(&w, s, *value, &instead)) {
		json_object_put(*value);
		*value = instead;
	}
	strbuf_release(&w.path);
	return w.faults;
}

int
schema_check(const struct schema *s, const struct json_object *value,
    struct strbuf *violations)
{
	struct walk w = { false, 0, STRBUF_INIT(MAX_PATH_BYTES), violations };
	struct json_object *unchanged = (struct json_object *)(uintptr_t)value;
	struct json_object *instead = NULL;

	fit(&w, s, unchanged, &instead);
	strbuf_release(&w.path);
	return w.faults;
}
