/*
 * The schemas of a directory.
 *
 * All files are read and compiled first, then references are resolved among
 * them; a reference that leads in a circle shows as a schema too deep.  Faults
 * of all files are collected, and a set with faults is thrown away.
 */
#include "schema.h"

#include <dirent.h>
#include <errno.h>

#include "file.h"
#include "schema_node.h"
#include "xalloc.h"

#define MAX_SCHEMAS 128		/* files of a directory */
#define SUFFIX ".json"

struct schema_set {
	struct schema **roots;	/* sorted by name */
	int n;
};

/* --- one schema ---------------------------------------------------------- */

static const struct {
	unsigned bit;
	const char *word;	/* in a schema */
	const char *plain;	/* to people and models */
} types[] = {
	{ TYPE_OBJECT, "object", "an object" },
	{ TYPE_ARRAY, "array", "a list" },
	{ TYPE_STRING, "string", "text" },
	{ TYPE_INTEGER, "integer", "a whole number" },
	{ TYPE_NUMBER, "number", "a number" },
	{ TYPE_BOOLEAN, "boolean", "true or false" },
	{ TYPE_NULL, "null", "null" }
};

const char *
schema_type_word(unsigned type)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(types); i++)
		if (types[i].bit == type)
			return types[i].word;
	return "null";
}

unsigned
schema_type_bit(const char *word)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(types); i++)
		if (strcmp(types[i].word, word) == 0)
			return types[i].bit;
	return 0;
}

void
schema_add_types(struct strbuf *sb, unsigned mask)
{
	const char *separator = "";
	size_t i;

	for (i = 0; i < ARRAY_LEN(types); i++) {
		if ((mask & types[i].bit) == 0)
			continue;
		strbuf_addstr(sb, separator);
		strbuf_addstr(sb, types[i].plain);
		separator = " or ";
	}
}

const struct schema *
schema_follow(const struct schema *s)
{
	while (s->ref != NULL)
		s = s->ref;
	return s;
}

bool
schema_takes_null(const struct schema *s)
{
	int i;

	s = schema_follow(s);
	for (i = 0; i < s->n_any_of; i++)
		if (schema_takes_null(s->any_of[i]))
			return true;
	if (s->any_of != NULL || (s->types & TYPE_NULL) == 0)
		return false;
	for (i = 0; i < s->n_values; i++)
		if (strcmp(s->values[i], "null") == 0)
			return true;
	return s->n_values == 0;
}

void
schema_free(struct schema *s)
{
	int i;

	if (s == NULL)
		return;
	for (i = 0; i < s->n_members; i++) {
		free(s->members[i].name);
		schema_free(s->members[i].schema);
	}
	for (i = 0; i < s->n_values; i++)
		free(s->values[i]);
	for (i = 0; i < s->n_any_of; i++)
		schema_free(s->any_of[i]);
	schema_free(s->items);
	if (s->pattern != NULL)
		regfree(&s->regex);
	free(s->members);
	free(s->values);
	free(s->any_of);
	free(s->pattern);
	free(s->name);
	free(s->title);
	free(s->description);
	free(s->default_text);
	free(s->ref_name);
	free(s);
}

const char *
schema_name(const struct schema *s)
{
	return s->name;
}

/* --- references ---------------------------------------------------------- */

struct linker {
	const struct schema_set *set;
	const char *dir;
	const struct schema *root;	/* whose file is looked at */
	struct problems *problems;
};

static void
link_fault(const struct linker *l, const char *what, const char *name)
{
	char *path = xasprintf("%s/%s%s", l->dir, l->root->name, SUFFIX);

	problems_add(l->problems, path, 0, "%s%s", what, name);
	free(path);
}

static const struct schema *
find_file(const struct schema_set *set, const char *file)
{
	size_t n = strlen(file), suffix = strlen(SUFFIX);
	const struct schema *found = NULL;
	char *name;

	if (n <= suffix || strcmp(file + n - suffix, SUFFIX) != 0)
		return NULL;
	name = xstrndup(file, n - suffix);
	found = schema_get(set, name);
	free(name);
	return found;
}

static void
link_refs(const struct linker *l, struct schema *s)
{
	int i;

	if (s->ref_name != NULL) {
		s->ref = find_file(l->set, s->ref_name);
		if (s->ref == NULL)
			link_fault(l, "no such schema beside it: ",
			    s->ref_name);
	}
	for (i = 0; i < s->n_members; i++)
		link_refs(l, s->members[i].schema);
	for (i = 0; i < s->n_any_of; i++)
		link_refs(l, s->any_of[i]);
	if (s->items != NULL)
		link_refs(l, s->items);
}

/* Is it at most `left` levels deep, references followed? */
static bool
is_shallow(const struct schema *s, int left)
{
	bool shallow = left > 0;
	int i;

	if (shallow && s->ref != NULL)
		return is_shallow(s->ref, left - 1);
	for (i = 0; shallow && i < s->n_members; i++)
		shallow = is_shallow(s->members[i].schema, left - 1);
	for (i = 0; shallow && i < s->n_any_of; i++)
		shallow = is_shallow(s->any_of[i], left - 1);
	if (shallow && s->items != NULL)
		shallow = is_shallow(s->items, left - 1);
	return shallow;
}

static void
link_set(struct schema_set *set, const char *dir, struct problems *problems)
{
	struct linker l = { set, dir, NULL, problems };
	int i;

	for (i = 0; i < set->n; i++) {
		l.root = set->roots[i];
		link_refs(&l, set->roots[i]);
	}
	for (i = 0; i < set->n; i++) {
		l.root = set->roots[i];
		if (!is_shallow(set->roots[i], SCHEMA_DEPTH_MAX))
			link_fault(&l, "nested too deep, or refers to itself",
			    "");
	}
}

/* --- files --------------------------------------------------------------- */

static int
is_schema_file(const struct dirent *d)
{
	size_t n = strlen(d->d_name), suffix = strlen(SUFFIX);

	return d->d_name[0] != '.' && n > suffix &&
	    strcmp(d->d_name + n - suffix, SUFFIX) == 0;
}

/* By byte and not by locale; names differ before their common suffix. */
static int
compare_files(const struct dirent **a, const struct dirent **b)
{
	size_t suffix = strlen(SUFFIX);
	size_t na = strlen((*a)->d_name) - suffix;
	size_t nb = strlen((*b)->d_name) - suffix;
	int order = memcmp((*a)->d_name, (*b)->d_name, na < nb ? na : nb);

	if (order != 0)
		return order;
	return (na > nb) - (na < nb);
}

static struct schema *
load_file(const char *dir, const char *file, struct problems *problems)
{
	struct strbuf text = STRBUF_INIT(SCHEMA_FILE_MAX_BYTES);
	struct json_object *doc = NULL;
	struct schema *s = NULL;
	struct err e = ERR_INIT;
	char *path;

	path = xasprintf("%s/%s", dir, file);
	if (file_read(path, SCHEMA_FILE_MAX_BYTES, &text, &e) != ERR_OK) {
		problems_add(problems, NULL, 0, "%s", e.msg);
		goto out;
	}
	if (json_parse(text.buf, text.len, &doc, &e) != ERR_OK) {
		problems_add(problems, path, 0, "%s", e.msg);
		goto out;
	}
	s = schema_compile(path, doc, problems);
	s->name = xstrndup(file, strlen(file) - strlen(SUFFIX));
out:
	json_object_put(doc);
	strbuf_release(&text);
	free(path);
	return s;
}

enum err_code
schema_set_load(const char *dir, struct problems *problems,
    struct schema_set **out)
{
	struct schema_set *set = xcalloc(1, sizeof(*set));
	struct dirent **files = NULL;
	struct schema *s;
	int i, n, before = problems->count;

	n = scandir(dir, &files, is_schema_file, compare_files);
	if (n < 0)
		problems_add(problems, dir, 0, "%s", strerror(errno));
	else if (n == 0 || n > MAX_SCHEMAS)
		problems_add(problems, dir, 0, "has %d schemas; 1 to %d are "
		    "expected", n, MAX_SCHEMAS);
	set->roots = xcalloc(MAX_SCHEMAS, sizeof(struct schema *));
	for (i = 0; i < n && i < MAX_SCHEMAS; i++) {
		s = load_file(dir, files[i]->d_name, problems);
		if (s != NULL)
			set->roots[set->n++] = s;
	}
	/* With a file missing every reference to it would be a second fault. */
	if (set->n == n)
		link_set(set, dir, problems);
	for (i = 0; i < n; i++)
		free(files[i]);
	free(files);
	if (problems->count > before) {
		schema_set_free(set);
		return ERR_CONFIG;
	}
	*out = set;
	return ERR_OK;
}

void
schema_set_free(struct schema_set *set)
{
	int i;

	if (set == NULL)
		return;
	for (i = 0; i < set->n; i++)
		schema_free(set->roots[i]);
	free(set->roots);
	free(set);
}

static int
compare_name(const void *name, const void *root)
{
	return strcmp(name, (*(struct schema *const *)root)->name);
}

const struct schema *
schema_get(const struct schema_set *set, const char *name)
{
	struct schema **found;

	if (set->n == 0)
		return NULL;
	found = bsearch(name, set->roots, (size_t)set->n,
	    sizeof(set->roots[0]), compare_name);
	return found != NULL ? *found : NULL;
}
