/*
 * Is a YAML tree an OpenAPI document, as far as the page and a reader rely on
 * it?  Every reference leads somewhere; every operation has a name of its own, a
 * chapter (its tag) and at least one answer; every {part} of a path is described.
 *
 * tests/program/test_openapi.py holds the document against much more; this here
 * is for the one who changes conf/openapi.yml on a server and needs a line
 * number.
 */
#include "document.h"

#include "xalloc.h"

#define VERSION "3.1."
#define REFERENCE "$ref"
#define MAX_OPERATIONS 400
#define MAX_HOPS 8		/* references to references */
#define MAX_NAME 200

struct checking {
	const struct yaml_doc *doc;
	struct problems *problems;
	const struct yaml_node *ids[MAX_OPERATIONS];	/* operationId of each */
	int n_ids;
};

static const char *const methods[] = { "get", "put", "post", "delete",
	"options", "head", "patch", "trace" };

static const char *
text_of(const struct yaml_node *n)
{
	return n != NULL && n->kind == YAML_SCALAR ? n->text : NULL;
}

static bool
is_map(const struct yaml_node *n)
{
	return n != NULL && n->kind == YAML_MAP;
}

static void
fault(struct checking *c, const struct yaml_node *n, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void
fault(struct checking *c, const struct yaml_node *n, const char *fmt, ...)
{
	char sentence[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(sentence, sizeof(sentence), fmt, ap);
	va_end(ap);
	problems_add(c->problems, c->doc->path, n->line, "%s", sentence);
}

/* --- references ---------------------------------------------------------------- */

/* One step of a JSON pointer, its ~1 and ~0 undone. */
static void
unescape(const char *step, size_t len, char out[MAX_NAME])
{
	size_t i, n = 0;

	for (i = 0; i < len && n < MAX_NAME - 1; i++) {
		out[n] = step[i];
		if (step[i] == '~' && i + 1 < len) {
			i++;
			out[n] = step[i] == '1' ? '/' : '~';
		}
		n++;
	}
	out[n] = '\0';
}

static const struct yaml_node *
look_up(const struct checking *c, const char *pointer)
{
	const struct yaml_node *n = c->doc->root;
	const char *p = pointer;
	char step[MAX_NAME];
	size_t len;

	if (strncmp(p, "#/", 2) != 0)
		return NULL;
	p++;
	while (*p == '/' && n != NULL) {
		p++;
		len = strcspn(p, "/");
		unescape(p, len, step);
		n = yaml_get(n, step);
		p += len;
	}
	return n;
}

/* What n stands for; NULL when its reference leads nowhere. */
static const struct yaml_node *
resolve(const struct checking *c, const struct yaml_node *n)
{
	const char *pointer;
	int hops;

	for (hops = 0; n != NULL && hops < MAX_HOPS; hops++) {
		pointer = text_of(yaml_get(n, REFERENCE));
		if (pointer == NULL)
			return n;
		n = look_up(c, pointer);
	}
	return NULL;
}

static void
check_references(struct checking *c, const struct yaml_node *n)
{
	const struct yaml_node *child;

	for (child = n->first; child != NULL; child = child->next) {
		if (n->kind == YAML_MAP && strcmp(child->key, REFERENCE) == 0 &&
		    resolve(c, n) == NULL)
			fault(c, child, "the reference %s leads nowhere",
			    text_of(child) != NULL ? text_of(child) : "");
		check_references(c, child);
	}
}

/* --- operations ------------------------------------------------------------------ */

static bool
is_method(const char *key)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(methods); i++)
		if (strcmp(key, methods[i]) == 0)
			return true;
	return false;
}

static bool
describes(const struct checking *c, const struct yaml_node *list,
    const char *name)
{
	const struct yaml_node *p = list != NULL ? list->first : NULL, *one;
	const char *in, *called;

	for (; p != NULL; p = p->next) {
		one = resolve(c, p);
		in = text_of(yaml_get(one, "in"));
		called = text_of(yaml_get(one, "name"));
		if (in != NULL && called != NULL && strcmp(in, "path") == 0 &&
		    strcmp(called, name) == 0)
			return true;
	}
	return false;
}

static void
check_path_parts(struct checking *c, const struct yaml_node *item,
    const struct yaml_node *op)
{
	const char *p = item->key;
	char name[MAX_NAME];
	size_t len;

	for (p = strchr(p, '{'); p != NULL; p = strchr(p, '{')) {
		p++;
		len = strcspn(p, "}");
		snprintf(name, sizeof(name), "%.*s", (int)len, p);
		if (!describes(c, yaml_get(item, "parameters"), name) &&
		    !describes(c, yaml_get(op, "parameters"), name))
			fault(c, op, "the part {%s} of the path is not among "
			    "the parameters", name);
	}
}

static void
check_id(struct checking *c, const struct yaml_node *op)
{
	const struct yaml_node *id = yaml_get(op, "operationId");
	int i;

	if (text_of(id) == NULL) {
		fault(c, op, "the operation has no operationId");
		return;
	}
	for (i = 0; i < c->n_ids; i++)
		if (strcmp(c->ids[i]->text, id->text) == 0)
			fault(c, id, "the operationId %s is there twice",
			    id->text);
	if (c->n_ids < MAX_OPERATIONS)
		c->ids[c->n_ids++] = id;
}

/* The page has a chapter for each tag, and no other place for an operation. */
static void
check_tag(struct checking *c, const struct yaml_node *op)
{
	const struct yaml_node *tags = yaml_get(c->doc->root, "tags"), *t;
	const struct yaml_node *own = yaml_get(op, "tags");
	const char *name, *wanted;

	wanted = own != NULL ? text_of(own->first) : NULL;
	for (t = tags != NULL ? tags->first : NULL; t != NULL; t = t->next) {
		name = text_of(yaml_get(t, "name"));
		if (wanted != NULL && name != NULL &&
		    strcmp(name, wanted) == 0)
			return;
	}
	fault(c, op, "the operation has no tag that the document knows");
}

static void
check_operation(struct checking *c, const struct yaml_node *item,
    const struct yaml_node *op)
{
	const struct yaml_node *responses = yaml_get(op, "responses");

	if (!is_map(op)) {
		fault(c, op, "%s must be a map", op->key);
		return;
	}
	check_id(c, op);
	check_tag(c, op);
	if (!is_map(responses) || responses->first == NULL)
		fault(c, op, "the operation has no responses");
	check_path_parts(c, item, op);
}

static void
check_paths(struct checking *c, const struct yaml_node *paths)
{
	const struct yaml_node *item, *op;

	for (item = paths->first; item != NULL; item = item->next) {
		if (item->key[0] != '/' || !is_map(item)) {
			fault(c, item, "%s must be a path, beginning with a "
			    "slash, and a map", item->key);
			continue;
		}
		for (op = item->first; op != NULL; op = op->next)
			if (is_method(op->key))
				check_operation(c, item, op);
	}
}

void
document_check(const struct yaml_doc *doc, struct problems *problems)
{
	struct checking c = { .doc = doc, .problems = problems };
	const struct yaml_node *root = doc->root;
	const struct yaml_node *info = yaml_get(root, "info");
	const char *version = text_of(yaml_get(root, "openapi"));

	if (version == NULL || strncmp(version, VERSION, strlen(VERSION)) != 0)
		fault(&c, root, "openapi must be a version " VERSION "x");
	if (text_of(yaml_get(info, "title")) == NULL ||
	    text_of(yaml_get(info, "version")) == NULL)
		fault(&c, root, "info must have a title and a version");
	if (!is_map(yaml_get(root, "paths")))
		fault(&c, root, "paths must be a map");
	else
		check_paths(&c, yaml_get(root, "paths"));
	check_references(&c, root);
}
