/*
 * GET /metrics.
 *
 * Three sources: the page that all workers of this parent count in, the queue
 * in the database, and the rows of the table of processes, in which every
 * program writes every two seconds what it has counted itself.  So one answer
 * shows all programs, whichever worker gives it; what others tell is a heartbeat
 * old, and a program that ends is gone from the answer ten seconds later.
 *
 * What can be a label is bounded by the table of routes, the configuration and
 * the number of processes; nothing that a client sends is one.  Money and time
 * are in dollars and seconds.
 */
#include "worker.h"

#include "clock.h"
#include "exposition.h"
#include "id.h"
#include "xalloc.h"

#define MAX_SHOWN 256		/* processes */

/* A process as its row tells it. */
struct teller {
	const struct process_row *row;
	struct json_object *stats;	/* owned; NULL when it cannot be read */
};

struct telling {
	struct process_list list;
	struct teller tellers[MAX_SHOWN];
	int n;
};

/* --- what we count ourselves ------------------------------------------------------- */

static void
route_labels(struct labels *l, int route, int status_class)
{
	const struct route *row = route_at(route);
	char status[8];

	snprintf(status, sizeof(status), "%dxx", status_class + 1);
	labels_init(l);
	labels_add(l, "method", row != NULL ? method_name(row->method) : "");
	labels_add(l, "route", row != NULL ? row->pattern : "");
	labels_add(l, "status", status);
}

static void
put_histogram(struct strbuf *out, const struct labels *l,
    const struct latency_figures *f)
{
	static const char name[] = "churns_http_request_duration_seconds";
	char part[sizeof(name) + 8];
	struct labels le;
	int64_t below = 0;
	int i;

	snprintf(part, sizeof(part), "%s_bucket", name);
	for (i = 0; i < LATENCY_BUCKETS; i++) {
		char end[24] = "+Inf";

		below += f->n[i];
		if (i < LATENCY_BUCKETS - 1)
			snprintf(end, sizeof(end), "%g",
			    (double)latency_ends_us[i] / 1e6);
		le = *l;
		labels_add(&le, "le", end);
		sample(out, part, &le, below, UNIT_ONE);
	}
	snprintf(part, sizeof(part), "%s_sum", name);
	sample(out, part, l, f->sum_us, UNIT_MICRO);
	snprintf(part, sizeof(part), "%s_count", name);
	sample(out, part, l, f->count, UNIT_ONE);
}

static void
put_requests(struct strbuf *out, const struct metrics *m)
{
	struct labels l;
	int route, class;

	family(out, "churns_http_request_duration_seconds", "histogram",
	    "Time from accepting a request to its answer. Requests that fit no "
	    "route have empty method and route.");
	for (route = 0; route <= route_count(); route++)
		for (class = 0; class < STATUS_CLASSES; class++) {
			struct latency_figures f = { .count = 0 };

			metrics_read(m, route, class, &f);
			route_labels(&l, route, class);
			if (f.count > 0)
				put_histogram(out, &l, &f);
		}
	family(out, "churns_http_received_bytes_total", "counter",
	    "Bytes of request bodies that were read.");
	sample(out, "churns_http_received_bytes_total", NULL,
	    atomic_load(&m->received_bytes), UNIT_ONE);
	family(out, "churns_http_sent_bytes_total", "counter",
	    "Bytes of answers' bodies, without files sent by the web server.");
	sample(out, "churns_http_sent_bytes_total", NULL,
	    atomic_load(&m->sent_bytes), UNIT_ONE);
}

static void
put_program(struct strbuf *out, const struct metrics *m)
{
	struct labels l;

	labels_init(&l);
	labels_add(&l, "version", CHURNS_VERSION);
	family(out, "churns_build_info", "gauge",
	    "Always 1; the label says what is running.");
	sample(out, "churns_build_info", &l, 1, UNIT_ONE);
	family(out, "churns_api_start_time_seconds", "gauge",
	    "When churns-api was started; its counters began at zero then.");
	sample(out, "churns_api_start_time_seconds", NULL, m->started_ms,
	    UNIT_MILLI);
	family(out, "churns_api_workers_started_total", "counter",
	    "Workers that were started, replacements included.");
	sample(out, "churns_api_workers_started_total", NULL,
	    atomic_load(&m->workers_started), UNIT_ONE);
	family(out, "churns_api_workers_ended_total", "counter",
	    "Workers that have ended: by themselves, or by a signal.");
	labels_init(&l);
	labels_add(&l, "how", "exit");
	sample(out, "churns_api_workers_ended_total", &l,
	    atomic_load(&m->workers_ended), UNIT_ONE);
	labels_init(&l);
	labels_add(&l, "how", "signal");
	sample(out, "churns_api_workers_ended_total", &l,
	    atomic_load(&m->workers_killed), UNIT_ONE);
}

/* --- the queue ----------------------------------------------------------------------- */

static enum err_code
put_queue(struct strbuf *out, struct worker *w, struct err *e)
{
	int64_t now = clock_now_ms(), runs[STATE__COUNT], waited = 0;
	struct queue_figures q;
	struct labels l;
	enum err_code rc;
	int i;

	rc = store_queue_figures(w->store, &q, e);
	if (rc == ERR_OK)
		rc = store_count_runs(w->store, runs, e);
	if (rc != ERR_OK)
		return rc;
	if (q.oldest_due_ms > 0 && q.oldest_due_ms < now)
		waited = now - q.oldest_due_ms;
	family(out, "churns_jobs", "gauge", "Jobs that wait, and that run.");
	labels_init(&l);
	labels_add(&l, "state", state_name(STATE_PENDING));
	sample(out, "churns_jobs", &l, q.pending, UNIT_ONE);
	labels_init(&l);
	labels_add(&l, "state", state_name(STATE_RUNNING));
	sample(out, "churns_jobs", &l, q.running, UNIT_ONE);
	family(out, "churns_queue_oldest_wait_seconds", "gauge",
	    "How long the job that has waited longest has been due.");
	sample(out, "churns_queue_oldest_wait_seconds", NULL, waited,
	    UNIT_MILLI);
	family(out, "churns_runs", "gauge", "Runs that are stored, by status.");
	for (i = 0; i < STATE__COUNT; i++) {
		labels_init(&l);
		labels_add(&l, "status", state_name((enum state)i));
		sample(out, "churns_runs", &l, runs[i], UNIT_ONE);
	}
	return ERR_OK;
}

/* --- what the processes tell ------------------------------------------------------------ */

/* A pid that was taken again within seconds: the later row counts, since two
 * samples with the same labels would spoil the whole answer. */
static bool
is_superseded(const struct process_list *list, int i)
{
	const struct process_row *a = &list->rows[i], *b;
	int j;

	for (j = i + 1; j < list->n; j++) {
		b = &list->rows[j];
		if (a->pid == b->pid && strcmp(a->role, b->role) == 0 &&
		    strcmp(a->host, b->host) == 0)
			return true;
	}
	return false;
}

static enum err_code
listen_to_all(struct worker *w, struct telling *t, struct err *e)
{
	struct teller *teller;
	enum err_code rc;
	int i;

	rc = store_list_processes(w->store, clock_now_ms() - PRESENCE_ALIVE_MS,
	    &t->list, e);
	for (i = 0; rc == ERR_OK && i < t->list.n && t->n < MAX_SHOWN; i++) {
		if (is_superseded(&t->list, i))
			continue;
		teller = &t->tellers[t->n++];
		teller->row = &t->list.rows[i];
		teller->stats = NULL;
		if (teller->row->stats != NULL)
			json_parse(teller->row->stats,
			    strlen(teller->row->stats), &teller->stats, NULL);
	}
	return rc;
}

static void
telling_release(struct telling *t)
{
	int i;

	for (i = 0; i < t->n; i++)
		json_object_put(t->tellers[i].stats);
	process_list_release(&t->list);
	free(t);
}

static void
teller_labels(struct labels *l, const struct teller *t)
{
	labels_init(l);
	labels_add(l, "role", t->row->role);
	labels_add(l, "host", t->row->host);
	labels_add_int(l, "pid", t->row->pid);
}

/* A figure at a path of what a process tells. */
struct told {
	const char *name, *type, *help;
	const char *path;
	enum unit unit;
};

static void
put_told(struct strbuf *out, const struct telling *t, const struct told *f)
{
	struct json_object *v;
	struct labels l;
	int i;

	family(out, f->name, f->type, f->help);
	for (i = 0; i < t->n; i++) {
		v = json_at(t->tellers[i].stats, f->path);
		if (v == NULL)
			continue;
		teller_labels(&l, &t->tellers[i]);
		sample(out, f->name, &l, json_object_get_int64(v), f->unit);
	}
}

static void
put_processes(struct strbuf *out, const struct telling *t)
{
	static const struct told figures[] = {
		{ "churns_process_resident_memory_bytes", "gauge",
		  "Resident memory of a process.", "rss_bytes", UNIT_ONE },
		{ "churns_process_active_tasks", "gauge",
		  "Requests or jobs a process has in hand.", "active_tasks",
		  UNIT_ONE },
		{ "churns_http_client_connections_total", "counter",
		  "Connections opened to providers.", "http/connections",
		  UNIT_ONE },
	};
	struct labels l;
	size_t i;
	int j;

	for (i = 0; i < ARRAY_LEN(figures); i++)
		put_told(out, t, &figures[i]);
	family(out, "churns_process_start_time_seconds", "gauge",
	    "When a process was started.");
	for (j = 0; j < t->n; j++) {
		teller_labels(&l, &t->tellers[j]);
		sample(out, "churns_process_start_time_seconds", &l,
		    t->tellers[j].row->started_ms, UNIT_MILLI);
	}
}

/* --- the database -------------------------------------------------------------------------- */

/* Workers count together; the others tell what they have counted alone. */
static void
put_store(struct strbuf *out, const struct metrics *m,
    const struct telling *t)
{
	const struct {
		struct told told;
		const atomic_llong *ours;
	} figures[] = {
		{ { "churns_store_commits_total", "counter",
		    "Transactions committed.", "store/commits", UNIT_ONE },
		  &m->store_commits },
		{ { "churns_store_units_total", "counter",
		    "Writes committed in them.", "store/units", UNIT_ONE },
		  &m->store_units },
		{ { "churns_store_failed_units_total", "counter",
		    "Writes that failed.", "store/failed_units", UNIT_ONE },
		  &m->store_failed_units },
		{ { "churns_store_busy_waits_total", "counter",
		    "Times the turn to write was not free at once.",
		    "store/busy_waits", UNIT_ONE }, &m->store_busy_waits },
		{ { "churns_store_busy_errors_total", "counter",
		    "Writes withdrawn because the turn did not come in time.",
		    "store/busy_errors", UNIT_ONE }, &m->store_busy_errors },
		{ { "churns_store_longest_wait_seconds", "gauge",
		    "The longest wait for the turn to write so far.",
		    "store/max_turn_wait_us", UNIT_MICRO },
		  &m->store_max_turn_wait_us },
	};
	struct labels l;
	size_t i;

	labels_init(&l);
	labels_add(&l, "role", "api");
	labels_add(&l, "host", id_host());
	for (i = 0; i < ARRAY_LEN(figures); i++) {
		put_told(out, t, &figures[i].told);
		sample(out, figures[i].told.name, &l,
		    atomic_load(figures[i].ours), figures[i].told.unit);
	}
}

/* --- providers ------------------------------------------------------------------------------ */

/* Each member of an object becomes a sample with its name as a label. */
static void
put_members(struct strbuf *out, const char *name, const struct labels *base,
    const char *label, struct json_object *members)
{
	struct labels l;

	if (members == NULL)
		return;
	json_object_object_foreach(members, key, value) {
		l = *base;
		labels_add(&l, label, key);
		sample(out, name, &l, json_object_get_int64(value), UNIT_ONE);
	}
}

static void
call_labels(struct labels *l, const struct teller *t,
    const struct json_object *o, const char *provider)
{
	const char *name = json_get_str(o, provider);
	const char *model = json_get_str(o, "model");

	labels_init(l);
	labels_add(l, "host", t->row->host);
	labels_add_int(l, "pid", t->row->pid);
	labels_add(l, "provider", name != NULL ? name : "");
	if (model != NULL)
		labels_add(l, "model", model);
}

/* Of each model, or of each provider, that a process tells of. by_member: the
 * label for the members of an object; NULL: it is a number. */
struct called {
	struct told told;
	const char *list, *provider;
	const char *by_member;
};

static void
put_called(struct strbuf *out, const struct telling *t,
    const struct called *c)
{
	struct json_object *list, *o, *v;
	struct labels l;
	size_t k;
	int i;

	family(out, c->told.name, c->told.type, c->told.help);
	for (i = 0; i < t->n; i++) {
		list = json_get_arr(t->tellers[i].stats, c->list);
		for (k = 0; k < json_len(list); k++) {
			o = json_object_array_get_idx(list, k);
			v = json_get(o, c->told.path);
			call_labels(&l, &t->tellers[i], o, c->provider);
			if (c->by_member != NULL)
				put_members(out, c->told.name, &l,
				    c->by_member, v);
			else if (v != NULL)
				sample(out, c->told.name, &l,
				    json_object_get_int64(v), c->told.unit);
		}
	}
}

static void
put_providers(struct strbuf *out, const struct telling *t)
{
	static const struct called figures[] = {
		{ { "churns_provider_calls_total", "counter",
		    "Requests sent to a provider for a model.", "calls",
		    UNIT_ONE }, "models", "provider", NULL },
		{ { "churns_provider_answers_total", "counter",
		    "Requests that were answered.", "answered", UNIT_ONE },
		  "models", "provider", NULL },
		{ { "churns_provider_failures_total", "counter",
		    "Requests that failed, by fault.", "failed", UNIT_ONE },
		  "models", "provider", "fault" },
		{ { "churns_provider_unknown_total", "counter",
		    "Requests that were sent and never answered; they may have "
		    "been paid for.", "unknown", UNIT_ONE }, "models",
		  "provider", NULL },
		{ { "churns_provider_cost_dollars_total", "counter",
		    "Money booked for requests.", "cost_nano", UNIT_NANO },
		  "models", "provider", NULL },
		{ { "churns_provider_tokens_total", "counter",
		    "Tokens of requests and answers, by kind; cached and "
		    "image_input are parts of prompt, reasoning of completion.",
		    "tokens", UNIT_ONE }, "models", "provider", "kind" },
		{ { "churns_provider_calls_in_flight", "gauge",
		    "Requests sent and not answered yet.", "in_flight",
		    UNIT_ONE }, "models", "provider", NULL },
		{ { "churns_provider_calls_waiting", "gauge",
		    "Requests that wait for their turn.", "waiting",
		    UNIT_ONE }, "providers", "name", NULL },
		{ { "churns_provider_circuit", "gauge",
		    "0: closed, requests go out; 1: half open, one at a time; "
		    "2: open, none after failures in a row.", "circuit",
		    UNIT_ONE }, "providers", "name", NULL },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(figures); i++)
		put_called(out, t, &figures[i]);
}

/* --- the page ------------------------------------------------------------------------------------ */

/* 200 with all figures as text; 403 for who is no operator. */
enum err_code
page_metrics(struct worker *w, struct request *r, struct response *res,
    struct err *e)
{
	struct telling *t = xcalloc(1, sizeof(*t));
	enum err_code rc;

	(void)r;
	response_header(res, "Content-Type", EXPOSITION_TYPE);
	response_header(res, "Cache-Control", "no-store");
	put_program(&res->body, w->metrics);
	put_requests(&res->body, w->metrics);
	rc = put_queue(&res->body, w, e);
	if (rc == ERR_OK)
		rc = listen_to_all(w, t, e);
	if (rc == ERR_OK) {
		put_processes(&res->body, t);
		put_store(&res->body, w->metrics, t);
		put_providers(&res->body, t);
	}
	telling_release(t);
	return rc;
}
