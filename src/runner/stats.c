/*
 * What the health pages show of a runner: its row in the table of processes.
 */
#include "runner.h"

#include "clock.h"

#define MAX_PROVIDERS 16
#define MAX_MODELS 64		/* pairs of provider and model that are told */

static struct json_object *
provider_rows(struct model *m)
{
	struct provider_stats rows[MAX_PROVIDERS];
	struct json_object *list, *o;
	int i, n;

	list = json_object_new_array();
	n = model_get_stats(m, rows, MAX_PROVIDERS);
	for (i = 0; i < n && i < MAX_PROVIDERS; i++) {
		o = json_object_new_object();
		json_put_str(o, "name", rows[i].name);
		json_put_int(o, "calls", rows[i].calls);
		json_put_int(o, "errors", rows[i].errors);
		json_put_int(o, "in_flight", rows[i].in_flight);
		json_put_int(o, "waiting", rows[i].waiting);
		json_put_obj(o, "paused_until",
		    json_new_time(rows[i].paused_until_ms));
		json_put_int(o, "circuit", rows[i].circuit);
		json_object_array_add(list, o);
	}
	return list;
}

/* By fault; those that never happened are left out. */
static struct json_object *
failures(const struct model_tally *t)
{
	struct json_object *o = json_object_new_object();
	int f;

	for (f = 0; f < FAULT__COUNT; f++)
		if (t->failed[f] > 0)
			json_put_int(o, model_fault_name((enum model_fault)f),
			    t->failed[f]);
	return o;
}

static struct json_object *
tokens(const struct model_tally *t)
{
	struct json_object *o = json_object_new_object();

	json_put_int(o, "prompt", t->prompt);
	json_put_int(o, "completion", t->completion);
	json_put_int(o, "cached", t->cached);
	json_put_int(o, "reasoning", t->reasoning);
	json_put_int(o, "image_input", t->image_in);
	json_put_int(o, "image_output", t->image_out);
	return o;
}

static struct json_object *
model_rows(struct model *m)
{
	struct model_tally rows[MAX_MODELS];
	struct json_object *list, *o;
	int i, n;

	list = json_object_new_array();
	n = model_get_tallies(m, rows, MAX_MODELS);
	for (i = 0; i < n && i < MAX_MODELS; i++) {
		o = json_object_new_object();
		json_put_str(o, "provider", rows[i].provider);
		json_put_str(o, "model", rows[i].model);
		json_put_int(o, "calls", rows[i].sent);
		json_put_int(o, "in_flight", rows[i].in_flight);
		json_put_int(o, "answered", rows[i].answered);
		json_put_int(o, "unknown", rows[i].unknown);
		json_put_obj(o, "failed", failures(&rows[i]));
		json_put_int(o, "cost_nano", rows[i].cost_nano);
		json_put_obj(o, "tokens", tokens(&rows[i]));
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *
http_figures(struct model *m)
{
	struct http_stats s;
	struct json_object *o;

	memset(&s, 0, sizeof(s));
	http_get_stats(model_http(m), &s);
	o = json_object_new_object();
	json_put_int(o, "requests", s.requests);
	json_put_int(o, "connections", s.connections);
	json_put_int(o, "in_flight", s.in_flight);
	json_put_int(o, "in_flight_bytes", s.in_flight_bytes);
	return o;
}

static struct json_object *
store_figures(struct store *st)
{
	struct store_stats s;
	struct json_object *o;

	memset(&s, 0, sizeof(s));
	store_get_stats(st, &s);
	o = json_object_new_object();
	json_put_int(o, "commits", s.commits);
	json_put_int(o, "units", s.units);
	json_put_int(o, "failed_units", s.failed_units);
	json_put_int(o, "busy_waits", s.busy_waits);
	json_put_int(o, "busy_errors", s.busy_errors);
	json_put_int(o, "queued", s.queued);
	json_put_int(o, "max_turn_wait_us", s.max_turn_wait_us);
	return o;
}

/* {"base_llm_client_strategy": true, ...} */
static struct json_object *
client_summary(const struct conf *conf)
{
	struct conf_client clients[CONF_CLIENTS];
	struct json_object *o = json_object_new_object();
	int i;

	conf_clients(conf, clients);
	for (i = 0; i < CONF_CLIENTS; i++)
		json_put_bool(o, clients[i].name, clients[i].configured);
	return o;
}

enum err_code
stats_beat(struct runner *r, struct err *e)
{
	struct queue_figures q;
	struct json_object *o;
	int busy;

	memset(&q, 0, sizeof(q));
	store_queue_figures(r->store, &q, NULL);
	pthread_mutex_lock(&r->lock);
	busy = r->busy;
	pthread_mutex_unlock(&r->lock);
	o = json_object_new_object();
	/* There is no way to run a job without an executor that was built at
	 * the start, and the configuration is read once; the figures are kept
	 * for those who watch for the opposite. */
	json_put_int(o, "fallback_total", 0);
	json_put_int(o, "client_config_loads", 1);
	json_put_obj(o, "clients", client_summary(r->service.conf));
	json_put_int(o, "active_tasks", busy);
	json_put_int(o, "queued", q.pending);
	json_put_int(o, "max_jobs", r->n_slots);
	json_put_obj(o, "providers", provider_rows(r->model));
	json_put_obj(o, "models", model_rows(r->model));
	json_put_obj(o, "http", http_figures(r->model));
	json_put_obj(o, "store", store_figures(r->store));
	return presence_beat(&r->presence, &r->service, r->store, o,
	    clock_now_ms(), e);
}
