/*
 * YAML: from libyaml's events to a tree with line numbers.
 *
 * The configuration needs scalars, lists and maps.  Everything in YAML that
 * makes a file mean something other than it looks like (anchors, aliases,
 * tags, several documents, one key twice) is refused with its line.
 */
#define CHURNS_YAML_WANTS_LIBYAML
#include "yaml.h"

#include <errno.h>
#include <math.h>
#include <strings.h>

#include "file.h"
#include "strbuf.h"
#include "xalloc.h"

#define CHILDREN_MAX 10000	/* of one list or map */
#define NUMBER_MAX 64		/* bytes of a number */

struct reader {
	yaml_parser_t parser;
	yaml_event_t event;	/* the one being looked at */
	bool have_event;
	const char *name;	/* of the file, for messages */
	const char *text;
	size_t len;
};

static enum err_code read_node(struct reader *r, int depth,
    struct yaml_node **out, struct err *e);

static void
free_node(struct yaml_node *n)
{
	struct yaml_node *child;

	if (n == NULL)
		return;
	while (n->first != NULL) {
		child = n->first;
		n->first = child->next;
		free_node(child);
	}
	free(n->key);
	free(n->text);
	free(n);
}

static enum err_code
fail_at(const struct reader *r, size_t line, const char *what, struct err *e)
{
	return err_set(e, ERR_CONFIG, "%s:%zu: %s", r->name, line, what);
}

/* Fail at the line of the event in hand. */
static enum err_code
fail_here(const struct reader *r, const char *what, struct err *e)
{
	return fail_at(r, r->event.start_mark.line + 1, what, e);
}

static enum err_code
fail_parser(const struct reader *r, struct err *e)
{
	const yaml_parser_t *p = &r->parser;
	size_t i, line = 1;
	const char *what;

	what = p->problem != NULL ? p->problem : "not YAML";
	if (p->error == YAML_MEMORY_ERROR)
		abort();
	if (p->error != YAML_READER_ERROR)
		return fail_at(r, p->problem_mark.line + 1, what, e);
	/* A wrong byte comes with its offset alone. */
	for (i = 0; i < r->len && i < p->problem_offset; i++)
		if (r->text[i] == '\n')
			line++;
	return fail_at(r, line, what, e);
}

static enum err_code
next_event(struct reader *r, struct err *e)
{
	if (r->have_event)
		yaml_event_delete(&r->event);
	r->have_event = false;
	if (!yaml_parser_parse(&r->parser, &r->event))
		return fail_parser(r, e);
	r->have_event = true;
	return ERR_OK;
}

static struct yaml_node *
new_node(const struct reader *r, enum yaml_kind kind)
{
	struct yaml_node *n;

	n = xcalloc(1, sizeof(*n));
	n->kind = kind;
	n->line = (int)r->event.start_mark.line + 1;
	return n;
}

static enum err_code
refuse_decoration(const struct reader *r, const yaml_char_t *anchor,
    const yaml_char_t *tag, struct err *e)
{
	if (anchor != NULL)
		return fail_here(r, "anchors are not supported", e);
	if (tag != NULL)
		return fail_here(r, "tags are not supported", e);
	return ERR_OK;
}

/* The text of the scalar in hand; ours to free. */
static enum err_code
scalar_text(const struct reader *r, char **out, struct err *e)
{
	const char *value = (const char *)r->event.data.scalar.value;
	size_t len = r->event.data.scalar.length;
	enum err_code rc;

	rc = refuse_decoration(r, r->event.data.scalar.anchor,
	    r->event.data.scalar.tag, e);
	if (rc != ERR_OK)
		return rc;
	if (memchr(value, '\0', len) != NULL)
		return fail_here(r, "a value holds a NUL", e);
	*out = xstrndup(value, len);
	return ERR_OK;
}

static enum err_code
read_scalar(struct reader *r, struct yaml_node **out, struct err *e)
{
	struct yaml_node *n;
	char *text = NULL;
	enum err_code rc;

	rc = scalar_text(r, &text, e);
	if (rc != ERR_OK)
		return rc;
	n = new_node(r, YAML_SCALAR);
	n->text = text;
	n->plain = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	*out = n;
	return ERR_OK;
}

static enum err_code
read_list(struct reader *r, int depth, struct yaml_node **out, struct err *e)
{
	struct yaml_node *list = NULL;
	struct yaml_node **tail;
	enum err_code rc;
	int count = 0;

	rc = refuse_decoration(r, r->event.data.sequence_start.anchor,
	    r->event.data.sequence_start.tag, e);
	if (rc != ERR_OK)
		return rc;
	list = new_node(r, YAML_LIST);
	tail = &list->first;
	for (;;) {
		rc = next_event(r, e);
		if (rc != ERR_OK || r->event.type == YAML_SEQUENCE_END_EVENT)
			break;
		if (++count > CHILDREN_MAX) {
			rc = fail_here(r, "the list is too long", e);
			break;
		}
		rc = read_node(r, depth + 1, tail, e);
		if (rc != ERR_OK)
			break;
		tail = &(*tail)->next;
	}
	if (rc == ERR_OK) {
		*out = list;
		list = NULL;
	}
	free_node(list);
	return rc;
}

/* The key in hand, which must be new to map. */
static enum err_code
read_key(struct reader *r, const struct yaml_node *map, char **out,
    struct err *e)
{
	char *key = NULL;
	enum err_code rc;

	if (r->event.type == YAML_ALIAS_EVENT)
		return fail_here(r, "aliases are not supported", e);
	if (r->event.type != YAML_SCALAR_EVENT)
		return fail_here(r, "a key must be a plain word", e);
	rc = scalar_text(r, &key, e);
	if (rc == ERR_OK && yaml_get(map, key) != NULL)
		rc = err_set(e, ERR_CONFIG, "%s:%zu: \"%s\" is there twice",
		    r->name, r->event.start_mark.line + 1, key);
	if (rc == ERR_OK) {
		*out = key;
		key = NULL;
	}
	free(key);
	return rc;
}

/* One "key: value"; the line is the key's, where people look for it. */
static enum err_code
read_member(struct reader *r, int depth, struct yaml_node *map,
    struct yaml_node **tail, struct err *e)
{
	struct yaml_node *n = NULL;
	char *key = NULL;
	enum err_code rc;
	int line;

	line = (int)r->event.start_mark.line + 1;
	rc = read_key(r, map, &key, e);
	if (rc != ERR_OK)
		return rc;
	rc = next_event(r, e);
	if (rc == ERR_OK)
		rc = read_node(r, depth + 1, &n, e);
	if (rc != ERR_OK) {
		free(key);
		return rc;
	}
	n->key = key;
	n->line = line;
	*tail = n;
	return ERR_OK;
}

static enum err_code
read_map(struct reader *r, int depth, struct yaml_node **out, struct err *e)
{
	struct yaml_node *map = NULL;
	struct yaml_node **tail;
	enum err_code rc;
	int count = 0;

	rc = refuse_decoration(r, r->event.data.mapping_start.anchor,
	    r->event.data.mapping_start.tag, e);
	if (rc != ERR_OK)
		return rc;
	map = new_node(r, YAML_MAP);
	tail = &map->first;
	for (;;) {
		rc = next_event(r, e);
		if (rc != ERR_OK || r->event.type == YAML_MAPPING_END_EVENT)
			break;
		if (++count > CHILDREN_MAX) {
			rc = fail_here(r, "the map is too long", e);
			break;
		}
		rc = read_member(r, depth, map, tail, e);
		if (rc != ERR_OK)
			break;
		tail = &(*tail)->next;
	}
	if (rc == ERR_OK) {
		*out = map;
		map = NULL;
	}
	free_node(map);
	return rc;
}

/* The node that begins with the event in hand. */
static enum err_code
read_node(struct reader *r, int depth, struct yaml_node **out, struct err *e)
{
	if (depth > YAML_DEPTH_MAX)
		return fail_here(r, "nested too deep", e);
	switch (r->event.type) {
	case YAML_SCALAR_EVENT:
		return read_scalar(r, out, e);
	case YAML_SEQUENCE_START_EVENT:
		return read_list(r, depth, out, e);
	case YAML_MAPPING_START_EVENT:
		return read_map(r, depth, out, e);
	case YAML_ALIAS_EVENT:
		return fail_here(r, "aliases are not supported", e);
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_START_EVENT:
	case YAML_DOCUMENT_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		break;
	}
	return fail_here(r, "a value is missing", e);
}

/* A document that says nothing at all ("---" alone) is an empty map too. */
static bool
says_nothing(const struct yaml_node *n)
{
	return n->kind == YAML_SCALAR && n->plain && n->text[0] == '\0';
}

/* From the start of the stream to its end: at most one document. */
static enum err_code
read_stream(struct reader *r, struct yaml_node **out, struct err *e)
{
	enum err_code rc;

	rc = next_event(r, e);			/* stream start */
	if (rc == ERR_OK)
		rc = next_event(r, e);
	if (rc != ERR_OK)
		return rc;
	if (r->event.type == YAML_STREAM_END_EVENT) {
		*out = new_node(r, YAML_MAP);
		(*out)->line = 1;
		return ERR_OK;
	}
	rc = next_event(r, e);			/* behind document start */
	if (rc == ERR_OK)
		rc = read_node(r, 1, out, e);
	if (rc == ERR_OK)
		rc = next_event(r, e);		/* document end */
	if (rc == ERR_OK)
		rc = next_event(r, e);
	if (rc != ERR_OK)
		return rc;
	if (r->event.type != YAML_STREAM_END_EVENT)
		return fail_here(r, "only one document is allowed", e);
	if (says_nothing(*out)) {
		free((*out)->text);
		(*out)->text = NULL;
		(*out)->plain = false;
		(*out)->kind = YAML_MAP;
	}
	return ERR_OK;
}

enum err_code
yaml_parse(const char *name, const char *text, size_t len,
    struct yaml_doc **out, struct err *e)
{
	struct yaml_node *root = NULL;
	struct yaml_doc *doc;
	struct reader r;
	enum err_code rc;

	if (len > YAML_MAX_BYTES)
		return err_set(e, ERR_CONFIG, "%s:1: over %d bytes", name,
		    YAML_MAX_BYTES);
	memset(&r, 0, sizeof(r));
	r.name = name;
	r.text = text;
	r.len = len;
	if (!yaml_parser_initialize(&r.parser))
		abort();	/* out of memory */
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text,
	    len);
	rc = read_stream(&r, &root, e);
	if (rc == ERR_OK) {
		doc = xcalloc(1, sizeof(*doc));
		doc->path = xstrdup(name);
		doc->root = root;
		root = NULL;
		*out = doc;
	}
	free_node(root);
	if (r.have_event)
		yaml_event_delete(&r.event);
	yaml_parser_delete(&r.parser);
	return rc;
}

enum err_code
yaml_load(const char *path, struct yaml_doc **out, struct err *e)
{
	struct strbuf text = STRBUF_INIT(YAML_MAX_BYTES);
	enum err_code rc;

	rc = file_read(path, YAML_MAX_BYTES, &text, e);
	if (rc == ERR_TOO_LARGE)
		rc = err_set(e, ERR_CONFIG, "%s:1: over %d bytes", path,
		    YAML_MAX_BYTES);
	if (rc == ERR_OK)
		rc = yaml_parse(path, text.buf, text.len, out, e);
	strbuf_release(&text);
	return rc;
}

void
yaml_free(struct yaml_doc *doc)
{
	if (doc == NULL)
		return;
	free_node(doc->root);
	free(doc->path);
	free(doc);
}

const struct yaml_node *
yaml_get(const struct yaml_node *map, const char *key)
{
	const struct yaml_node *n;

	if (map == NULL || map->kind != YAML_MAP)
		return NULL;
	for (n = map->first; n != NULL; n = n->next)
		if (strcmp(n->key, key) == 0)
			return n;
	return NULL;
}

size_t
yaml_count(const struct yaml_node *n)
{
	const struct yaml_node *child;
	size_t count = 0;

	if (n == NULL)
		return 0;
	for (child = n->first; child != NULL; child = child->next)
		count++;
	return count;
}

bool
yaml_is_null(const struct yaml_node *n)
{
	if (n == NULL)
		return true;
	return n->kind == YAML_SCALAR && n->plain &&
	    (n->text[0] == '\0' || strcmp(n->text, "~") == 0 ||
	    strcasecmp(n->text, "null") == 0);
}

static bool
is_plain(const struct yaml_node *n)
{
	return n != NULL && n->kind == YAML_SCALAR && n->plain;
}

bool
yaml_to_int(const struct yaml_node *n, int64_t *out)
{
	return is_plain(n) && parse_int(n->text, out);
}

bool
yaml_to_num(const struct yaml_node *n, double *out)
{
	return is_plain(n) && parse_num(n->text, out);
}

/* Single letters are more often a name than an answer in a file. */
bool
yaml_to_bool(const struct yaml_node *n, bool *out)
{
	if (!is_plain(n))
		return false;
	if (n->text[0] != '\0' && n->text[1] == '\0' &&
	    isalpha((unsigned char)n->text[0]))
		return false;
	return parse_bool(n->text, out);
}

bool
parse_int(const char *s, int64_t *out)
{
	long long v;
	char *end;

	/* strtoll() would skip blanks and accept an empty number. */
	if (s == NULL || !isdigit((unsigned char)s[s[0] == '-' ||
	    s[0] == '+']))
		return false;
	errno = 0;
	v = strtoll(s, &end, 10);
	if (errno != 0 || *end != '\0')
		return false;
	*out = v;
	return true;
}

bool
parse_num(const char *s, double *out)
{
	const char *digits;
	double v;
	char *end;

	/* Only what decimal numbers are made of: no hex, inf, nan, blanks. */
	if (s == NULL || strlen(s) > NUMBER_MAX ||
	    s[strspn(s, "+-.0123456789eE")] != '\0')
		return false;
	digits = s + (s[0] == '-' || s[0] == '+');
	if (!isdigit((unsigned char)digits[digits[0] == '.']))
		return false;
	v = strtod(s, &end);
	if (*end != '\0' || !isfinite(v))
		return false;
	*out = v;
	return true;
}

bool
parse_bool(const char *s, bool *out)
{
	static const struct {
		const char *text;
		bool value;
	} words[] = {
		{ "true", true }, { "false", false },
		{ "yes", true }, { "no", false },
		{ "on", true }, { "off", false },
		{ "1", true }, { "0", false },
		{ "t", true }, { "f", false },
		{ "y", true }, { "n", false },
	};
	size_t i;

	if (s == NULL)
		return false;
	for (i = 0; i < ARRAY_LEN(words); i++) {
		if (strcasecmp(s, words[i].text) == 0) {
			*out = words[i].value;
			return true;
		}
	}
	return false;
}
