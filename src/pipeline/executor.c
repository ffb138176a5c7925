/*
 * The executors: one per mode, built when the process starts and never changed.
 *
 * "Never changed" is kept by the memory itself: an executor lives in pages of
 * its own that are made read-only once it is complete, so that a stage which
 * wrote into it would crash in its first test instead of disturbing another
 * job.  The count of uses is the one thing that changes and lives elsewhere.
 */
#include <assert.h>
#include <errno.h>
#include <sys/mman.h>

#include "internal.h"

#include "log.h"
#include "xalloc.h"

static atomic_llong constructed;

const struct stage *
stage_find(const struct stage *table, int n, const char *name)
{
	int i;

	for (i = 0; i < n; i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

/* The stages of a mode; names that are not in the table are problems. */
static void
resolve(struct executor *x, const struct conf *conf,
    struct problems *problems)
{
	const struct stage_order *order = &conf->order[x->mode];
	const struct stage *stage;
	int i;

	if (order->n == 0)
		problems_add(problems, conf->stage_order_path, 0,
		    "%s has no stages", mode_name(x->mode));
	for (i = 0; i < order->n && i < MAX_STAGES; i++) {
		stage = stage_find(x->table, x->n_table, order->names[i]);
		if (stage == NULL)
			problems_add(problems, conf->stage_order_path,
			    order->lines[i], "\"%s\" is not a stage of %s",
			    order->names[i], mode_name(x->mode));
		else
			x->stages[x->n++] = stage;
	}
}

static void
executor_free(struct executor *x)
{
	if (x == NULL)
		return;
	free(x->uses);
	munmap(x, sizeof(*x));
}

static struct executor *
executor_build(const struct conf *conf, enum mode m,
    const struct stage *stages, int n_stages, int64_t now_ms,
    struct problems *problems)
{
	struct executor *x;

	x = mmap(NULL, sizeof(*x), PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (x == MAP_FAILED) {
		problems_add(problems, NULL, 0, "no memory for the executors: %s",
		    strerror(errno));
		return NULL;
	}
	id_new(x->id);
	x->mode = m;
	x->built_at_ms = now_ms;
	x->table = stages;
	x->n_table = n_stages;
	x->uses = xcalloc(1, sizeof(*x->uses));
	resolve(x, conf, problems);
	if (mprotect(x, sizeof(*x), PROT_READ) != 0)
		problems_add(problems, NULL, 0,
		    "the executors cannot be made read-only: %s",
		    strerror(errno));
	atomic_fetch_add(&constructed, 1);
	return x;
}

enum err_code
executor_set_build(const struct conf *conf, const struct stage *stages,
    int n_stages, int64_t now_ms, struct problems *problems,
    struct executor_set *out)
{
	struct executor_set set = { { NULL } };
	int before, m;

	before = problems->count;
	for (m = 0; m < MODE__COUNT; m++)
		set.of[m] = executor_build(conf, (enum mode)m, stages,
		    n_stages, now_ms, problems);
	if (problems->count > before) {
		executor_set_release(&set);
		return ERR_CONFIG;
	}
	*out = set;
	return ERR_OK;
}

void
executor_set_release(struct executor_set *set)
{
	int m;

	for (m = 0; m < MODE__COUNT; m++) {
		executor_free(set->of[m]);
		set->of[m] = NULL;
	}
}

struct executor *
executor_get(const struct executor_set *set, enum mode m)
{
	assert(m < MODE__COUNT && set->of[m] != NULL);
	return set->of[m];
}

const char *
executor_id(const struct executor *x)
{
	return x->id;
}

enum mode
executor_mode(const struct executor *x)
{
	return x->mode;
}

int64_t
executor_built_at_ms(const struct executor *x)
{
	return x->built_at_ms;
}

int64_t
executor_uses(const struct executor *x)
{
	return atomic_load(x->uses);
}

int64_t
executor_constructed_total(void)
{
	return atomic_load(&constructed);
}

struct json_object *
executor_set_stats(const struct executor_set *set)
{
	struct json_object *all, *one;
	const struct executor *x;
	int m;

	all = json_object_new_object();
	for (m = 0; m < MODE__COUNT; m++) {
		x = set->of[m];
		if (x == NULL)
			continue;
		one = json_object_new_object();
		json_put_str(one, "id", x->id);
		json_put_obj(one, "built_at", json_new_time(x->built_at_ms));
		json_put_int(one, "uses", executor_uses(x));
		json_put_obj(all, mode_name(x->mode), one);
	}
	return all;
}

void
executor_use(struct executor *x, const char *what, const char *run_id)
{
	atomic_fetch_add(x->uses, 1);
	log_debug("executor used", "executor_id=%s mode=%s for=%s run=%s",
	    x->id, mode_name(x->mode), what, run_id);
}

enum err_code
executor_plan(struct executor *x, const struct json_object *inputs,
    struct plan *out, struct err *e)
{
	const char *run_id;

	run_id = json_get_str(inputs, "run_id");
	executor_use(x, "plan", run_id != NULL ? run_id : "");
	return plan_make(x, inputs, out, e);
}
