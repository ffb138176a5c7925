/*
 * YAML as JSON, for documents that are written by people in YAML and served to
 * programs as JSON.  The scalars are those of YAML 1.2's core schema, as far as
 * JSON has them: a plain null, true, false or number is one, everything else is
 * text.  So "no" and "1:1" mean what they look like.
 */
#include "yaml.h"

#include "json.h"

static const char *
skip_digits(const char *s)
{
	return s + strspn(s, "0123456789");
}

/* A number as JSON writes it: no leading zeros, no bare point. */
static bool
is_json_number(const char *s, bool *whole)
{
	const char *digits = s + (*s == '-'), *p = skip_digits(digits), *q;

	*whole = true;
	if (p == digits || (*digits == '0' && p - digits > 1))
		return false;
	if (*p == '.') {
		*whole = false;
		q = skip_digits(p + 1);
		if (q == p + 1)
			return false;
		p = q;
	}
	if (*p == 'e' || *p == 'E') {
		*whole = false;
		p += p[1] == '-' || p[1] == '+' ? 2 : 1;
		q = skip_digits(p);
		if (q == p)
			return false;
		p = q;
	}
	return *p == '\0';
}

static struct json_object *
scalar_to_json(const struct yaml_node *n)
{
	int64_t i;
	double d;
	bool whole;

	if (!n->plain)
		return json_object_new_string(n->text);
	if (yaml_is_null(n))
		return NULL;
	if (strcmp(n->text, "true") == 0 || strcmp(n->text, "false") == 0)
		return json_object_new_boolean(n->text[0] == 't');
	if (!is_json_number(n->text, &whole))
		return json_object_new_string(n->text);
	if (whole && yaml_to_int(n, &i))
		return json_object_new_int64(i);
	/* Its own digits are kept: 0.1 stays 0.1. */
	if (yaml_to_num(n, &d))
		return json_object_new_double_s(d, n->text);
	return json_object_new_string(n->text);
}

struct json_object *
yaml_to_json(const struct yaml_node *n)
{
	const struct yaml_node *child;
	struct json_object *o = NULL;

	if (n == NULL)
		return NULL;
	switch (n->kind) {
	case YAML_SCALAR:
		return scalar_to_json(n);
	case YAML_LIST:
		o = json_object_new_array();
		for (child = n->first; child != NULL; child = child->next)
			json_object_array_add(o, yaml_to_json(child));
		break;
	case YAML_MAP:
		o = json_object_new_object();
		for (child = n->first; child != NULL; child = child->next)
			json_put_obj(o, child->key, yaml_to_json(child));
		break;
	}
	return o;
}
