/*
 * The prompts: every text file of conf/prompts, compiled once at start-up and
 * checked against what the stages say they will fill in.
 *
 * Both directions are checked.  A stage without its file cannot work; a file
 * without its stage is a misspelt name whose edits would change nothing.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>

#include "stage.h"

#include "xalloc.h"

#define MAX_PROMPTS 64
#define PROMPT_SUFFIX ".txt"

struct prompt {
	const char *name;	/* the stage's; lives as long as the program */
	struct template *template;	/* NULL: could not be read */
};

struct prompt_set {
	struct prompt prompts[MAX_PROMPTS];
	int n;
};

static struct prompt *
find(const struct prompt_set *set, const char *name, size_t len)
{
	int i;

	for (i = 0; i < set->n; i++)
		if (strlen(set->prompts[i].name) == len &&
		    strncmp(set->prompts[i].name, name, len) == 0)
			return (struct prompt *)&set->prompts[i];
	return NULL;
}

/* The prompt of that name, read when it is the first time it is named. */
static struct prompt *
load(struct prompt_set *set, const char *dir, const char *name,
    struct problems *problems)
{
	struct err e = ERR_INIT;
	struct prompt *p;
	char *path;

	p = find(set, name, strlen(name));
	if (p != NULL)
		return p;
	if (set->n == MAX_PROMPTS) {
		problems_add(problems, dir, 0, "more than %d prompts",
		    MAX_PROMPTS);
		return NULL;
	}
	p = &set->prompts[set->n++];
	p->name = name;
	path = xasprintf("%s/%s" PROMPT_SUFFIX, dir, name);
	if (template_load(path, &p->template, &e) != ERR_OK)
		problems_add(problems, NULL, 0, "%s", e.msg);
	free(path);
	return p;
}

static void
load_all_of(struct prompt_set *set, const char *dir,
    const struct stage *stage, struct problems *problems)
{
	const struct stage_prompt *wanted;
	struct err e = ERR_INIT;
	struct prompt *p;

	if (stage->prompts == NULL)
		return;
	for (wanted = stage->prompts; wanted->name != NULL; wanted++) {
		p = load(set, dir, wanted->name, problems);
		if (p == NULL || p->template == NULL)
			continue;
		if (template_check(p->template, wanted->placeholders, &e) !=
		    ERR_OK)
			problems_add(problems, NULL, 0, "%s", e.msg);
	}
}

/* Files nobody asked for. */
static void
check_strangers(const struct prompt_set *set, const char *dir,
    struct problems *problems)
{
	const size_t tail = strlen(PROMPT_SUFFIX);
	struct dirent *d;
	size_t len;
	DIR *list;

	list = opendir(dir);
	if (list == NULL) {
		problems_add(problems, dir, 0, "cannot be read: %s",
		    strerror(errno));
		return;
	}
	for (d = readdir(list); d != NULL; d = readdir(list)) {
		len = strlen(d->d_name);
		if (len <= tail || d->d_name[0] == '.' ||
		    strcmp(d->d_name + len - tail, PROMPT_SUFFIX) != 0)
			continue;
		if (find(set, d->d_name, len - tail) == NULL)
			problems_add(problems, NULL, 0,
			    "%s/%s: no stage uses a prompt of this name", dir,
			    d->d_name);
	}
	closedir(list);
}

enum err_code
prompts_load(const char *dir, const struct stage *stages, int n_stages,
    struct problems *problems, struct prompt_set **out)
{
	struct prompt_set *set;
	int before, i;

	before = problems->count;
	set = xcalloc(1, sizeof(*set));
	for (i = 0; i < n_stages; i++)
		load_all_of(set, dir, &stages[i], problems);
	check_strangers(set, dir, problems);
	if (problems->count > before) {
		prompts_free(set);
		return ERR_CONFIG;
	}
	*out = set;
	return ERR_OK;
}

void
prompts_free(struct prompt_set *set)
{
	int i;

	if (set == NULL)
		return;
	for (i = 0; i < set->n; i++)
		template_free(set->prompts[i].template);
	free(set);
}

const struct template *
prompts_get(const struct prompt_set *set, const char *name)
{
	const struct prompt *p;

	p = find(set, name, strlen(name));
	assert(p != NULL && p->template != NULL);
	return p->template;
}
