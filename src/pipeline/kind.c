/*
 * What differs between the kinds of jobs.
 *
 * Claiming, walking a plan, checkpoints, the ledger, stopping and putting back
 * are the same for every job.  What it works from, what its progress is called
 * on the channel of its run, and what its end leaves behind are a row here.
 *
 * To add a kind: its row in the store (derived.h), a file kind_NAME.c that
 * fills a struct job_kind, and a line in the table below.
 */
#include "internal.h"

#include <assert.h>

#include "clock.h"
#include "xalloc.h"

static const struct job_kind *const kinds[] = {
	&kind_generation, &kind_refinement, &kind_caption, &kind_assessment,
};

const struct job_kind *
kind_find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(kinds); i++)
		if (strcmp(kinds[i]->name, name) == 0)
			return kinds[i];
	return NULL;
}

/* --- what several of them tell -------------------------------------------- */

/* A number that clients see: 4, and 4.5 where a step was put in between. */
static void
put_order(struct json_object *o, double order)
{
	if (order == (double)(int)order)
		json_put_int(o, "stage_order", (int)order);
	else
		json_put_num(o, "stage_order", order);
}

struct json_object *
kind_stage_update(const struct stage_update *u, struct json_object *told,
    bool times)
{
	struct json_object *o;

	o = json_object_new_object();
	json_put_str(o, "stage_name", u->name);
	put_order(o, u->order);
	json_put_str(o, "status", stage_status_name(u->status));
	json_put_obj(o, "started_at", times ? json_new_time(u->started_ms) :
	    NULL);
	json_put_obj(o, "completed_at", times ?
	    json_new_time(u->completed_ms) : NULL);
	json_put_obj(o, "duration_seconds", u->duration_ms < 0 ? NULL :
	    json_new_seconds(u->duration_ms));
	json_put_str(o, "message", u->message);
	json_put_obj(o, "output_data", json_object_get(told));
	json_put_str(o, "error_message", u->error_message);
	return o;
}

struct json_object *
kind_error(const struct work *k, const struct failure *why)
{
	struct json_object *o, *details;

	details = json_object_new_object();
	json_put_str(details, "type", why->type);
	if (why->cause >= 0)
		json_put_str(details, "stage",
		    k->steps[why->cause].stage->name);
	o = json_object_new_object();
	json_put_str(o, "error_message", why->message);
	json_put_obj(o, "error_details", details);
	json_put_obj(o, "timestamp", json_new_time(clock_now_ms()));
	return o;
}

/* --- endings -------------------------------------------------------------- */

const char *
ending_keep(struct ending *x, char *text)
{
	assert(x->n_texts < MAX_END_TEXTS);
	x->texts[x->n_texts++] = text;
	return text;
}

const char *
ending_keep_json(struct ending *x, struct json_object *o)
{
	char *text = o != NULL ? json_to_text(o) : NULL;

	json_object_put(o);
	return ending_keep(x, text);
}

int64_t
ending_cost_nano(const struct ending *x)
{
	int64_t sum = 0;
	int i;

	for (i = 0; i < x->calls.n; i++)
		sum += x->calls.rows[i].cost_nano;
	return sum;
}
