/*
 * The fixed tables: platforms.yml, pools.yml and languages.yml, and the
 * look-ups in them.
 *
 * Names of platforms and task types are part of the interface and compare
 * exactly.  A pool is found by the number a task type begins with ("4."), so
 * that a name that was worded differently once still finds its pool.
 */
#include "internal.h"

#include <strings.h>

#include "xalloc.h"

#define MAX_NAME 100
#define MAX_WORDS_BYTES 200	/* of one entry of a pool */
#define MAX_PIXELS 16384	/* of a platform's side */
#define DEFAULT_POOL "default"
#define DEFAULT_GUIDANCE "other"
#define LANGUAGE_BUF 16		/* conf_language_name() */

static const char *const file_keys[] = { "platforms", "task_types", NULL };
static const char *const platform_keys[] = {
	"name", "width", "height", "aspect", "guidance", NULL
};
static const char *const task_keys[] = { "name", "pool", NULL };
static const char *const pool_keys[] = {
	"audience", "niche", "objective", "voice", NULL
};

/* --- short names ------------------------------------------------------- */

/* Does the text from..to hold digits, a colon, digits? */
static bool
has_ratio(const char *from, const char *to)
{
	const char *c;

	for (c = from + 1; c + 1 < to; c++) {
		if (*c == ':' && isdigit((unsigned char)c[-1]) &&
		    isdigit((unsigned char)c[1]))
			return true;
	}
	return false;
}

/* The group that opens here, past its ')', when it only tells the shape. */
static const char *
shape_group_end(const char *open)
{
	const char *close = strchr(open, ')'), *mixed = strstr(open, "Mixed");

	if (close == NULL)
		return NULL;
	if (has_ratio(open + 1, close) || (mixed != NULL && mixed < close))
		return close + 1;
	return NULL;
}

char *
platform_short_name(const char *name)
{
	struct strbuf out = STRBUF_INIT(YAML_MAX_BYTES);
	const char *c = name, *end;

	while (*c != '\0') {
		end = *c == '(' ? shape_group_end(c) : NULL;
		if (end == NULL) {
			strbuf_addch(&out, *c++);
			continue;
		}
		while (out.len > 0 &&
		    isspace((unsigned char)out.buf[out.len - 1]))
			strbuf_truncate(&out, out.len - 1);
		c = end + strspn(end, " \t\n\r\f\v");
	}
	strbuf_trim(&out);
	if (out.len == 0)
		strbuf_addstr(&out, name);
	return strbuf_detach(&out);
}

/* --- platforms.yml ----------------------------------------------------- */

/* A name clients send. NULL after a report. */
static const char *
read_name(struct loading *ld, const struct yaml_node *n)
{
	const char *name = read_text(ld, n, "name", true);
	size_t len;

	if (name == NULL)
		return NULL;
	len = strlen(name);
	if (!name_is_clean(name, MAX_NAME)) {
		fault(ld, n->line, "'%s' cannot be a name: at most %d bytes, "
		    "no blanks around it", name, MAX_NAME);
		return NULL;
	}
	if (len >= 3 && strcmp(name + len - 3, "...") == 0) {
		fault(ld, n->line, "'%s' is a menu's placeholder, not a name",
		    name);
		return NULL;
	}
	return name;
}

static void
read_platform(struct loading *ld, const struct yaml_node *n)
{
	struct conf *conf = ld->conf;
	struct platform *p = &conf->platforms[conf->n_platforms];
	const char *name, *aspect, *guidance;

	if (!is_kind(ld, n, YAML_MAP, "a platform"))
		return;
	check_keys(ld, n, platform_keys);
	name = read_name(ld, n);
	aspect = read_text(ld, n, "aspect", true);
	guidance = read_text(ld, n, "guidance", false);
	read_int(ld, n, "width", 1, MAX_PIXELS, &p->width);
	read_int(ld, n, "height", 1, MAX_PIXELS, &p->height);
	if (yaml_get(n, "width") == NULL || yaml_get(n, "height") == NULL)
		fault(ld, n->line, "a platform needs width and height");
	if (aspect != NULL && !aspect_is_valid(aspect))
		fault(ld, yaml_get(n, "aspect")->line, "'%s' is not an aspect "
		    "such as \"3:2\"", aspect);
	if (name == NULL || aspect == NULL)
		return;
	if (conf_platform(conf, name) != NULL) {
		fault(ld, n->line, "platform '%s' is there already", name);
		return;
	}
	p->name = xstrdup(name);
	p->short_name = platform_short_name(name);
	p->aspect = xstrdup(aspect);
	p->guidance_key = xstrdup(guidance != NULL ? guidance :
	    DEFAULT_GUIDANCE);
	conf->n_platforms++;
}

/* Length of the leading "4.", 0 when there is none. */
static size_t
number_length(const char *name)
{
	size_t digits = strspn(name, "0123456789");

	return digits > 0 && name[digits] == '.' ? digits + 1 : 0;
}

static const struct pool *
find_pool(const struct conf *conf, const char *name)
{
	int i;

	for (i = 0; i < conf->n_pools; i++) {
		if (strcmp(conf->pools[i].name, name) == 0)
			return &conf->pools[i];
	}
	return NULL;
}

/* The task type with the number that name begins with; NULL if none. */
static const struct task_type *
by_number(const struct conf *conf, const char *name)
{
	size_t len = number_length(name);
	int i;

	for (i = 0; len > 0 && i < conf->n_task_types; i++) {
		if (strncmp(conf->task_types[i].name, name, len) == 0)
			return &conf->task_types[i];
	}
	return NULL;
}

static void
read_task_type(struct loading *ld, const struct yaml_node *n)
{
	struct conf *conf = ld->conf;
	struct task_type *t = &conf->task_types[conf->n_task_types];
	const char *name, *pool;

	if (!is_kind(ld, n, YAML_MAP, "a task type"))
		return;
	check_keys(ld, n, task_keys);
	name = read_name(ld, n);
	pool = read_text(ld, n, "pool", true);
	/* Without any pools, pools.yml has had its say already. */
	if (pool != NULL && conf->n_pools > 0 && find_pool(conf, pool) == NULL)
		fault(ld, yaml_get(n, "pool")->line, "there is no pool '%s' "
		    "in pools.yml", pool);
	if (name == NULL || pool == NULL)
		return;
	if (number_length(name) == 0) {
		fault(ld, n->line, "task type '%s' must begin with a number "
		    "and a full stop", name);
		return;
	}
	if (by_number(conf, name) != NULL) {
		fault(ld, n->line, "the number of task type '%s' is taken",
		    name);
		return;
	}
	t->name = xstrdup(name);
	t->pool = xstrdup(pool);
	conf->n_task_types++;
}

static void
platforms_load(struct loading *ld)
{
	const struct yaml_node *list, *n;
	struct yaml_doc *doc = open_file(ld, false);

	if (doc == NULL)
		return;
	check_keys(ld, doc->root, file_keys);
	list = needed_list(ld, doc->root, "platforms");
	if (list != NULL) {
		ld->conf->platforms = xcalloc(yaml_count(list),
		    sizeof(*ld->conf->platforms));
		for (n = list->first; n != NULL; n = n->next)
			read_platform(ld, n);
	}
	list = needed_list(ld, doc->root, "task_types");
	if (list != NULL) {
		ld->conf->task_types = xcalloc(yaml_count(list),
		    sizeof(*ld->conf->task_types));
		for (n = list->first; n != NULL; n = n->next)
			read_task_type(ld, n);
	}
	yaml_free(doc);
}

/* --- pools.yml --------------------------------------------------------- */

static void
read_pool(struct loading *ld, const struct yaml_node *n)
{
	struct pool *p = &ld->conf->pools[ld->conf->n_pools];

	if (!is_kind(ld, n, YAML_MAP, n->key))
		return;
	p->name = xstrdup(n->key);
	ld->conf->n_pools++;
	check_keys(ld, n, pool_keys);
	read_words(ld, n, "audience", MAX_WORDS_BYTES, &p->audience);
	read_words(ld, n, "niche", MAX_WORDS_BYTES, &p->niche);
	read_words(ld, n, "objective", MAX_WORDS_BYTES, &p->objective);
	read_words(ld, n, "voice", MAX_WORDS_BYTES, &p->voice);
}

static void
pools_load(struct loading *ld)
{
	const struct yaml_node *n;
	struct yaml_doc *doc = open_file(ld, false);

	if (doc == NULL)
		return;
	ld->conf->pools = xcalloc(yaml_count(doc->root) + 1,
	    sizeof(*ld->conf->pools));
	for (n = doc->root->first; n != NULL; n = n->next)
		read_pool(ld, n);
	if (find_pool(ld->conf, DEFAULT_POOL) == NULL)
		fault(ld, 0, "pool " DEFAULT_POOL " is missing");
	yaml_free(doc);
}

/* --- languages.yml ----------------------------------------------------- */

static bool
code_is_valid(const char *code)
{
	return strlen(code) >= 2 && strlen(code) <= 3 &&
	    strspn(code, "abcdefghijklmnopqrstuvwxyz") == strlen(code);
}

static void
read_language(struct loading *ld, const struct yaml_node *n)
{
	struct language *l = &ld->conf->languages[ld->conf->n_languages];

	if (!code_is_valid(n->key)) {
		fault(ld, n->line, "'%s' is not a language code of two or "
		    "three small letters", n->key);
		return;
	}
	if (!is_kind(ld, n, YAML_SCALAR, n->key))
		return;
	if (!name_is_clean(n->text, MAX_NAME)) {
		fault(ld, n->line, "language %s has no name", n->key);
		return;
	}
	snprintf(l->code, sizeof(l->code), "%s", n->key);
	l->name = xstrdup(n->text);
	ld->conf->n_languages++;
}

static void
languages_load(struct loading *ld)
{
	const struct yaml_node *n;
	struct yaml_doc *doc = open_file(ld, false);

	if (doc == NULL)
		return;
	ld->conf->languages = xcalloc(yaml_count(doc->root) + 1,
	    sizeof(*ld->conf->languages));
	for (n = doc->root->first; n != NULL; n = n->next)
		read_language(ld, n);
	if (ld->conf->n_languages == 0)
		fault(ld, 0, "there is no language");
	yaml_free(doc);
}

/* --- all tables -------------------------------------------------------- */

void
tables_load(struct loading *ld)
{
	static const struct {
		const char *name;
		void (*load)(struct loading *ld);
	} files[] = {
		{ "pools.yml", pools_load },	/* task types name pools */
		{ "platforms.yml", platforms_load },
		{ "languages.yml", languages_load },
	};
	char *path;
	size_t i;

	for (i = 0; i < ARRAY_LEN(files); i++) {
		path = xasprintf("%s/%s", ld->conf->dir, files[i].name);
		ld->path = path;
		files[i].load(ld);
		ld->path = NULL;
		free(path);
	}
}

void
tables_release(struct conf *conf)
{
	int i;

	for (i = 0; i < conf->n_platforms; i++) {
		free(conf->platforms[i].name);
		free(conf->platforms[i].short_name);
		free(conf->platforms[i].aspect);
		free(conf->platforms[i].guidance_key);
	}
	free(conf->platforms);
	for (i = 0; i < conf->n_task_types; i++) {
		free(conf->task_types[i].name);
		free(conf->task_types[i].pool);
	}
	free(conf->task_types);
	for (i = 0; i < conf->n_pools; i++) {
		free(conf->pools[i].name);
		words_release(&conf->pools[i].audience);
		words_release(&conf->pools[i].niche);
		words_release(&conf->pools[i].objective);
		words_release(&conf->pools[i].voice);
	}
	free(conf->pools);
	for (i = 0; i < conf->n_languages; i++)
		free(conf->languages[i].name);
	free(conf->languages);
}

/* --- look-ups ---------------------------------------------------------- */

const struct platform *
conf_platform(const struct conf *conf, const char *name)
{
	int i;

	for (i = 0; name != NULL && i < conf->n_platforms; i++) {
		if (strcmp(conf->platforms[i].name, name) == 0)
			return &conf->platforms[i];
	}
	return NULL;
}

const struct task_type *
conf_task_type(const struct conf *conf, const char *name)
{
	int i;

	for (i = 0; name != NULL && i < conf->n_task_types; i++) {
		if (strcmp(conf->task_types[i].name, name) == 0)
			return &conf->task_types[i];
	}
	return NULL;
}

const struct pool *
conf_pool(const struct conf *conf, const char *task_type)
{
	const struct task_type *t;

	t = task_type != NULL ? by_number(conf, task_type) : NULL;
	return find_pool(conf, t != NULL ? t->pool : DEFAULT_POOL);
}

const struct language *
conf_language(const struct conf *conf, const char *code)
{
	int i;

	for (i = 0; code != NULL && i < conf->n_languages; i++) {
		if (strcasecmp(conf->languages[i].code, code) == 0)
			return &conf->languages[i];
	}
	return NULL;
}

const char *
conf_language_name(const struct conf *conf, const char *code,
    char buf[LANGUAGE_BUF])
{
	const struct language *l = conf_language(conf, code);
	size_t i;

	if (l != NULL)
		return l->name;
	snprintf(buf, LANGUAGE_BUF, "%s", code != NULL ? code : "");
	for (i = 0; buf[i] != '\0'; i++)
		buf[i] = (char)toupper((unsigned char)buf[i]);
	return buf;
}
