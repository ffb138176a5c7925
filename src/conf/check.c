/*
 * Faults and the readers that report them.
 *
 * Every reader knows the file and line of what it reads, so a loader says what
 * it wants ("a whole number from 1 to 64") and never how to complain.  Names
 * that are almost right are answered with the right one.
 */
#include <strings.h>

#include "internal.h"

#include "xalloc.h"

#define MAX_PROBLEMS_BYTES (256 * 1024)
#define MAX_FAULT_BYTES 1024
#define MAX_ENV_LINE 512

/* --- problems ---------------------------------------------------------- */

void
problems_init(struct problems *p)
{
	strbuf_init(&p->text, MAX_PROBLEMS_BYTES);
	p->count = 0;
}

void
problems_release(struct problems *p)
{
	strbuf_release(&p->text);
	p->count = 0;
}

static void __attribute__((format(printf, 4, 0)))
add(struct problems *p, const char *path, int line, const char *fmt,
    va_list ap)
{
	struct strbuf one = STRBUF_INIT(MAX_FAULT_BYTES);
	char *c;

	if (path != NULL && line > 0)
		strbuf_addf(&one, "%s:%d: ", path, line);
	else if (path != NULL)
		strbuf_addf(&one, "%s: ", path);
	strbuf_vaddf(&one, fmt, ap);
	/* One problem is one line, whatever a file or a variable held. */
	for (c = one.buf; *c != '\0'; c++) {
		if ((unsigned char)*c < ' ' || *c == 127)
			*c = '?';
	}
	strbuf_addstr(&p->text, one.buf);
	strbuf_addch(&p->text, '\n');
	p->count++;
	strbuf_release(&one);
}

void
problems_add(struct problems *p, const char *path, int line,
    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(p, path, line, fmt, ap);
	va_end(ap);
}

void
fault(struct loading *ld, int line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(ld->problems, ld->path, line, fmt, ap);
	va_end(ap);
}

/* --- environment variables --------------------------------------------- */

bool
variable_is_real(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && *value != '\0';
}

static bool
line_sets(const char *line, const char *name)
{
	size_t len = strlen(name);

	line += strspn(line, " \t");
	if (strncmp(line, "export", 6) == 0 &&
	    (line[6] == ' ' || line[6] == '\t'))
		line += 6 + strspn(line + 6, " \t");
	return strncmp(line, name, len) == 0 &&
	    line[len + strspn(line + len, " \t")] == '=';
}

/*
 * The last line of the env file that sets name, 0 if none.  Only faults need
 * it, so the file is simply read again; what passes through is wiped, since
 * the file may hold keys that this process is not meant to keep.
 */
static int
env_file_line(const char *path, const char *name)
{
	char buffer[BUFSIZ], line[MAX_ENV_LINE];
	bool at_start = true;
	int number = 0, found = 0;
	FILE *f;

	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	(void)setvbuf(f, buffer, _IOFBF, sizeof(buffer));
	while (fgets(line, sizeof(line), f) != NULL) {
		if (at_start)
			number++;
		if (at_start && line_sets(line, name))
			found = number;
		at_start = strchr(line, '\n') != NULL;
	}
	fclose(f);
	explicit_bzero(buffer, sizeof(buffer));
	explicit_bzero(line, sizeof(line));
	return found;
}

void
fault_variable(struct loading *ld, const char *name, const char *fmt, ...)
{
	struct strbuf text = STRBUF_INIT(MAX_FAULT_BYTES);
	const char *path = ld->full->env_path;
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(&text, fmt, ap);
	va_end(ap);
	if (path == NULL || variable_is_real(name))
		problems_add(ld->problems, NULL, 0,
		    "environment variable %s: %s", name, text.buf);
	else
		problems_add(ld->problems, path, env_file_line(path, name),
		    "%s: %s", name, text.buf);
	strbuf_release(&text);
}

/* --- near misses ------------------------------------------------------- */

/* Levenshtein's distance; texts over MAX_KEY bytes are far from everything. */
static size_t
distance(const char *a, const char *b)
{
	size_t row[MAX_KEY + 1], i, j, diagonal, above, best;
	size_t a_len = strlen(a), b_len = strlen(b);

	if (a_len > MAX_KEY || b_len > MAX_KEY)
		return MAX_KEY;
	for (j = 0; j <= b_len; j++)
		row[j] = j;
	for (i = 1; i <= a_len; i++) {
		diagonal = row[0];
		row[0] = i;
		for (j = 1; j <= b_len; j++) {
			above = row[j];
			best = diagonal + (tolower((unsigned char)a[i - 1]) !=
			    tolower((unsigned char)b[j - 1]) ? 1 : 0);
			if (above + 1 < best)
				best = above + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
			diagonal = above;
		}
	}
	return row[b_len];
}

const char *
nearest(const char *text, const char *const *words)
{
	size_t limit = strlen(text) / 4 + 1, d, best = limit + 1;
	const char *found = NULL;

	for (; *words != NULL; words++) {
		d = distance(text, *words);
		if (d < best && d < strlen(*words)) {
			best = d;
			found = *words;
		}
	}
	return found;
}

/* --- documents and their nodes ----------------------------------------- */

struct yaml_doc *
open_file(struct loading *ld, bool optional)
{
	struct yaml_doc *doc = NULL;
	struct err e = ERR_INIT;
	enum err_code rc;

	rc = yaml_load(ld->path, &doc, &e);
	if (rc == ERR_NOT_FOUND && optional)
		return NULL;
	if (rc != ERR_OK) {
		/* The message names file and line already. */
		problems_add(ld->problems, NULL, 0, "%s", e.msg);
		return NULL;
	}
	if (!is_kind(ld, doc->root, YAML_MAP, "the file")) {
		yaml_free(doc);
		return NULL;
	}
	return doc;
}

static const char *
kind_name(enum yaml_kind kind)
{
	switch (kind) {
	case YAML_SCALAR:
		return "a single value";
	case YAML_LIST:
		return "a list";
	case YAML_MAP:
		return "a map of names to values";
	}
	return "something else";
}

bool
is_kind(struct loading *ld, const struct yaml_node *n, enum yaml_kind kind,
    const char *what)
{
	if (n->kind != kind) {
		fault(ld, n->line, "%s must be %s, not %s", what,
		    kind_name(kind), kind_name(n->kind));
		return false;
	}
	if (kind != YAML_SCALAR && yaml_count(n) > MAX_LIST) {
		fault(ld, n->line, "%s has more than %d entries", what,
		    MAX_LIST);
		return false;
	}
	return true;
}

static bool
is_one_of(const char *text, const char *const *words)
{
	for (; *words != NULL; words++) {
		if (strcmp(text, *words) == 0)
			return true;
	}
	return false;
}

void
check_keys(struct loading *ld, const struct yaml_node *map,
    const char *const *allowed)
{
	const struct yaml_node *n;
	const char *near;

	for (n = map->first; n != NULL; n = n->next) {
		if (is_one_of(n->key, allowed))
			continue;
		near = nearest(n->key, allowed);
		if (near != NULL)
			fault(ld, n->line, "unknown key '%s'; "
			    "did you mean '%s'?", n->key, near);
		else
			fault(ld, n->line, "unknown key '%s'", n->key);
	}
}

/* The member as a single value; NULL when missing or, reported, not one. */
static const struct yaml_node *
scalar(struct loading *ld, const struct yaml_node *map, const char *key,
    bool *ok)
{
	const struct yaml_node *n = yaml_get(map, key);

	*ok = true;
	if (n == NULL)
		return NULL;
	*ok = is_kind(ld, n, YAML_SCALAR, key);
	return *ok ? n : NULL;
}

bool
read_int(struct loading *ld, const struct yaml_node *map, const char *key,
    int min, int max, int *out)
{
	const struct yaml_node *n;
	int64_t value;
	bool ok;

	n = scalar(ld, map, key, &ok);
	if (n == NULL)
		return ok;
	if (!yaml_to_int(n, &value) || value < min || value > max) {
		fault(ld, n->line, "%s must be a whole number from %d to %d, "
		    "not '%s'", key, min, max, n->text);
		return false;
	}
	*out = (int)value;
	return true;
}

bool
read_bool(struct loading *ld, const struct yaml_node *map, const char *key,
    bool *out)
{
	const struct yaml_node *n;
	bool ok;

	n = scalar(ld, map, key, &ok);
	if (n == NULL)
		return ok;
	if (!yaml_to_bool(n, out)) {
		fault(ld, n->line, "%s must be yes or no, not '%s'", key,
		    n->text);
		return false;
	}
	return true;
}

bool
read_word(struct loading *ld, const struct yaml_node *map, const char *key,
    const struct word *words, int *out)
{
	struct strbuf list = STRBUF_INIT(MAX_FAULT_BYTES);
	const struct yaml_node *n;
	bool ok;

	n = scalar(ld, map, key, &ok);
	if (n != NULL && !word_find(words, n->text, out)) {
		word_list(words, &list);
		fault(ld, n->line, "%s must be %s, not '%s'", key, list.buf,
		    n->text);
		ok = false;
	}
	strbuf_release(&list);
	return ok;
}

const char *
read_text(struct loading *ld, const struct yaml_node *map, const char *key,
    bool needed)
{
	const struct yaml_node *n;
	bool ok;

	n = scalar(ld, map, key, &ok);
	if (n == NULL) {
		if (ok && needed)
			fault(ld, map->line, "%s is missing", key);
		return NULL;
	}
	if (yaml_is_null(n) || *n->text == '\0') {
		fault(ld, n->line, "%s has no value", key);
		return NULL;
	}
	return n->text;
}

/* --- lists ------------------------------------------------------------- */

const struct yaml_node *
needed_list(struct loading *ld, const struct yaml_node *map, const char *key)
{
	const struct yaml_node *n = yaml_get(map, key);

	if (n == NULL || n->first == NULL) {
		fault(ld, n != NULL ? n->line : map->line,
		    "%s is missing or empty", key);
		return NULL;
	}
	return is_kind(ld, n, YAML_LIST, key) ? n : NULL;
}

static bool
has_word(const struct words *w, const char *text)
{
	int i;

	for (i = 0; i < w->n; i++) {
		if (strcasecmp(w->item[i], text) == 0)
			return true;
	}
	return false;
}

void
read_words(struct loading *ld, const struct yaml_node *map, const char *key,
    size_t max, struct words *w)
{
	const struct yaml_node *list = needed_list(ld, map, key), *n;

	if (list == NULL)
		return;
	w->item = xcalloc(yaml_count(list), sizeof(*w->item));
	for (n = list->first; n != NULL; n = n->next) {
		if (!is_kind(ld, n, YAML_SCALAR, "an entry"))
			continue;
		if (!name_is_clean(n->text, max))
			fault(ld, n->line, "an entry is empty or longer than "
			    "%zu bytes", max);
		else if (has_word(w, n->text))
			fault(ld, n->line, "'%s' stands in %s twice", n->text,
			    key);
		else
			w->item[w->n++] = xstrdup(n->text);
	}
}

void
words_release(struct words *w)
{
	int i;

	for (i = 0; i < w->n; i++)
		free(w->item[i]);
	free(w->item);
}

/* --- words, numbers, names --------------------------------------------- */

bool
word_find(const struct word *words, const char *text, int *out)
{
	for (; words->text != NULL; words++) {
		if (strcasecmp(words->text, text) == 0) {
			*out = words->value;
			return true;
		}
	}
	return false;
}

const char *
word_text(const struct word *words, int value)
{
	for (; words->text != NULL; words++) {
		if (words->value == value)
			return words->text;
	}
	return "?";
}

void
word_list(const struct word *words, struct strbuf *out)
{
	const struct word *w;

	for (w = words; w->text != NULL; w++) {
		if (w != words)
			strbuf_addstr(out, w[1].text != NULL ? ", " : " or ");
		strbuf_addstr(out, w->text);
	}
}

bool
aspect_is_valid(const char *text)
{
	char left[MAX_KEY];
	int64_t width, height;
	const char *colon = strchr(text, ':');
	size_t len;

	if (colon == NULL)
		return false;
	len = (size_t)(colon - text);
	if (len >= sizeof(left))
		return false;
	memcpy(left, text, len);
	left[len] = '\0';
	return decimal_parse(left, 3, &width) && width > 0 &&
	    decimal_parse(colon + 1, 3, &height) && height > 0;
}

bool
name_is_clean(const char *text, size_t max)
{
	size_t len = strlen(text), i;

	if (len == 0 || len > max || isspace((unsigned char)text[0]) ||
	    isspace((unsigned char)text[len - 1]))
		return false;
	for (i = 0; i < len; i++) {
		if ((unsigned char)text[i] < ' ' || text[i] == 127)
			return false;
	}
	return true;
}

void
add_quoted(struct strbuf *out, const char *text)
{
	strbuf_addch(out, '"');
	strbuf_add_json_escaped(out, text, strlen(text));
	strbuf_addch(out, '"');
}

char *
lower_copy(const char *text)
{
	char *copy = xstrdup(text), *c;

	for (c = copy; *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	return copy;
}
