/* Health, introspection, and the lists that never change. */
#include "worker.h"

#include "clock.h"
#include "executor.h"
#include "views.h"

#define API_VERSION "1.0.0"	/* of the API, as its document says */
#define MAX_ACTIVE_SHOWN 1000
#define RUNNER_ROLE "runner"

/* 200: the banner. The web server sends browsers the page instead. */
enum err_code
page_root(struct worker *w, struct request *r, struct response *res,
    struct err *e)
{
	struct json_object *o = json_object_new_object();

	(void)w;
	(void)r;
	(void)e;
	json_put_str(o, "message", "Churns API");
	json_put_str(o, "version", API_VERSION);
	json_put_str(o, "docs", "/docs");
	json_put_str(o, "health", "/health");
	json_put_str(o, "api", "/api/v1");
	response_json(res, 200, o);
	return ERR_OK;
}

/* 200 while the process lives; touches nothing. */
enum err_code
page_health(struct worker *w, struct request *r, struct response *res,
    struct err *e)
{
	struct json_object *o = json_object_new_object();

	(void)w;
	(void)r;
	(void)e;
	json_put_str(o, "status", "healthy");
	json_put_str(o, "service", "churns-api");
	json_put_str(o, "version", API_VERSION);
	response_json(res, 200, o);
	return ERR_OK;
}

/* Does the row speak of a runner with all its executors? */
static bool
is_ready_runner(const struct process_row *p)
{
	struct json_object *stats = NULL, *executors;
	bool ready = false;

	if (strcmp(p->role, RUNNER_ROLE) != 0 || p->stats == NULL ||
	    json_parse(p->stats, strlen(p->stats), &stats, NULL) != ERR_OK)
		return false;
	executors = json_get_obj(stats, "executors");
	if (executors != NULL)
		ready = json_object_object_length(executors) == MODE__COUNT;
	json_object_put(stats);
	return ready;
}

static const char *
not_ready_reason(struct worker *w, struct err *e)
{
	struct process_list list = { NULL, 0 };
	const char *reason = "No runner with three executors is alive; "
	    "submitted runs wait until one is.";
	int i;

	if (store_ping(w->store, e) != ERR_OK ||
	    store_list_processes(w->store, clock_now_ms() - PRESENCE_ALIVE_MS,
	    &list, e) != ERR_OK)
		return e->msg;
	for (i = 0; i < list.n; i++)
		if (is_ready_runner(&list.rows[i]))
			reason = NULL;
	process_list_release(&list);
	return reason;
}

/* 200 when a submitted run would be executed now; 503 with the reason. */
enum err_code
page_ready(struct worker *w, struct request *r, struct response *res,
    struct err *e)
{
	const char *reason = not_ready_reason(w, e);
	struct json_object *o = json_object_new_object();

	(void)r;
	json_put_str(o, "status", reason == NULL ? "ready" : "not_ready");
	json_put_str(o, "reason", reason);
	response_json(res, reason == NULL ? 200 : 503, o);
	return ERR_OK;
}

/* {"count", "p95_ms"} of all workers: the end of the bucket in which the 95th of
 * 100 lies; null without requests, and beyond the last end. */
static struct json_object *
submit_latency(const struct worker *w)
{
	struct json_object *o = json_object_new_object();
	struct latency_figures f = { .count = 0 };
	int64_t p95_us;
	int i, class;

	for (i = 0; i < route_count(); i++)
		for (class = 0; class < STATUS_CLASSES &&
		    route_at(i)->answer == page_run_create; class++)
			metrics_read(w->metrics, i, class, &f);
	p95_us = latency_quantile_us(&f, 0.95);
	json_put_int(o, "count", f.count);
	if (p95_us < 0)
		json_put_null(o, "p95_ms");
	else
		json_put_num(o, "p95_ms", (double)p95_us / 1000);
	return o;
}

/* 200 with every process heard of lately; 403 for who is no operator. */
enum err_code
page_executor_stats(struct worker *w, struct request *r, struct response *res,
    struct err *e)
{
	struct process_list list = { NULL, 0 };
	struct queue_figures queue;
	struct json_object *o;
	int64_t now = clock_now_ms();
	enum err_code rc;

	(void)r;
	rc = store_list_processes(w->store, now - PRESENCE_ALIVE_MS, &list, e);
	if (rc == ERR_OK)
		rc = store_queue_figures(w->store, &queue, e);
	if (rc == ERR_OK) {
		o = view_processes(&list, now);
		json_put_obj(o, "post_runs", submit_latency(w));
		json_put_int(o, "jobs_pending", queue.pending);
		json_put_int(o, "jobs_running", queue.running);
		json_put_obj(o, "oldest_pending_seconds",
		    queue.oldest_due_ms > 0 ?
		    json_new_seconds(now - queue.oldest_due_ms) : NULL);
		response_json(res, 200, o);
	}
	process_list_release(&list);
	return rc;
}

/* 200 with the runs that somebody is working on. */
enum err_code
page_status(struct worker *w, struct request *r, struct response *res,
    struct err *e)
{
	struct json_object *o, *ids;
	char **runs = NULL;
	enum err_code rc;
	int i;

	(void)r;
	rc = store_active_runs(w->store, MAX_ACTIVE_SHOWN, &runs, e);
	if (rc != ERR_OK)
		return rc;
	o = json_object_new_object();
	ids = json_object_new_array();
	for (i = 0; runs[i] != NULL; i++) {
		json_object_array_add(ids, json_object_new_string(runs[i]));
		free(runs[i]);
	}
	free(runs);
	json_put_str(o, "status", "healthy");
	json_put_int(o, "active_runs", i);
	json_put_obj(o, "active_run_ids", ids);
	response_json(res, 200, o);
	return ERR_OK;
}

/* 200 with the platforms in the order of their file; 304. */
enum err_code
page_platforms(struct worker *w, struct request *r, struct response *res,
    struct err *e)
{
	const struct conf *conf = w->svc->conf;
	struct json_object *o = json_object_new_object(), *item, *details;
	struct json_object *list = json_object_new_array();
	int i;

	(void)e;
	for (i = 0; i < conf->n_platforms; i++) {
		const struct platform *p = &conf->platforms[i];

		item = json_object_new_object();
		details = json_object_new_object();
		json_put_str(item, "name", p->name);
		json_put_int(details, "width", p->width);
		json_put_int(details, "height", p->height);
		json_put_str(details, "aspect_ratio", p->aspect);
		json_put_obj(item, "details", details);
		json_object_array_add(list, item);
	}
	json_put_obj(o, "platforms", list);
	response_kept_json(r, res, o);
	return ERR_OK;
}

/* 200 with the task types in the order of their file; 304. */
enum err_code
page_task_types(struct worker *w, struct request *r, struct response *res,
    struct err *e)
{
	const struct conf *conf = w->svc->conf;
	struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array();
	int i;

	(void)e;
	for (i = 0; i < conf->n_task_types; i++)
		json_object_array_add(list,
		    json_object_new_string(conf->task_types[i].name));
	json_put_obj(o, "task_types", list);
	json_put_str(o, "message", "Send one of these as task_type.");
	response_kept_json(r, res, o);
	return ERR_OK;
}

static struct json_object *
caption_model(const struct caption_model *m)
{
	struct json_object *o = json_object_new_object();
	struct json_object *strengths = json_object_new_array();
	int i;

	for (i = 0; i < m->strengths.n; i++)
		json_object_array_add(strengths,
		    json_object_new_string(m->strengths.item[i]));
	json_put_str(o, "id", m->id);
	json_put_str(o, "name", m->name);
	json_put_str(o, "description", m->description);
	json_put_obj(o, "strengths", strengths);
	json_put_str(o, "best_for", m->best_for);
	json_put_str(o, "latency", m->fast ? "Low" : "Higher");
	json_put_str(o, "creativity", m->creativity);
	return o;
}

/* 200 with the models offered for captions, none where captions are switched
 * off; 304. */
enum err_code
page_caption_models(struct worker *w, struct request *r, struct response *res,
    struct err *e)
{
	const struct conf *conf = w->svc->conf;
	struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array();
	const char *first = "";
	int i;

	(void)e;
	if (conf->purposes[PURPOSE_CAPTION].model != NULL &&
	    conf->n_caption_models > 0) {
		first = conf->caption_models[conf->default_caption_model].id;
		for (i = 0; i < conf->n_caption_models; i++)
			json_object_array_add(list,
			    caption_model(&conf->caption_models[i]));
	}
	json_put_obj(o, "models", list);
	json_put_str(o, "default_model_id", first);
	response_kept_json(r, res, o);
	return ERR_OK;
}
