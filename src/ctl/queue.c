/*
 * list, queue and cancel: the runs as a whole.
 *
 * Whoever may read the database may see every run, so these commands ask for
 * no owner.
 */
#include "ctl.h"

#include "submit.h"
#include "views.h"
#include "wake.h"
#include "xalloc.h"
#include "yaml.h"

#define DEFAULT_LISTED 20
#define MAX_LISTED 10000
#define BRIEF_CHARS 40
#define MIN_DECIMALS 4
#define CANCEL_MESSAGE "The run was cancelled."

const struct ctl_option list_options[] = {
	{ "status", "STATUS", "PENDING, RUNNING, COMPLETED, FAILED or "
	  "CANCELLED" },
	{ "limit", "N", "at most so many (default 20)" },
	{ NULL, NULL, NULL }
};

/* --- list ----------------------------------------------------------------- */

/* 0, or the exit status. */
static int
read_query(struct ctl *c, struct run_query *q, int64_t *limit)
{
	const char *status = ctl_given(c, "status");
	const char *number = ctl_given(c, "limit");

	*limit = DEFAULT_LISTED;
	if (number != NULL && (!parse_int(number, limit) || *limit < 1 ||
	    *limit > MAX_LISTED))
		return ctl_misuse(c, "--limit must be from 1 to %d",
		    MAX_LISTED);
	if (status != NULL && !state_parse(status, &q->status))
		return ctl_misuse(c, "--status must be PENDING, RUNNING, "
		    "COMPLETED, FAILED or CANCELLED");
	q->by_status = status != NULL;
	return 0;
}

/* Move the runs of page to the end of all, as many as there is room for. */
static void
add_page(struct run_page *all, struct run_page *page, int64_t limit)
{
	int i;

	all->total = page->total;
	all->has_more = page->has_more;
	all->next = page->next;
	all->runs = xrealloc_array(all->runs,
	    (size_t)(all->n + page->n) + 1, sizeof(*all->runs));
	for (i = 0; i < page->n; i++) {
		if (all->n < limit) {
			all->runs[all->n++] = page->runs[i];
			continue;
		}
		all->has_more = true;
		run_release(&page->runs[i]);
	}
	free(page->runs);
	memset(page, 0, sizeof(*page));
	if (all->has_more && all->n == limit) {
		all->next.created_ms = all->runs[all->n - 1].created_ms;
		memcpy(all->next.id, all->runs[all->n - 1].id, ID_MAX);
	}
}

/* By key, so that each run is shown once although others come and end. */
static enum err_code
read_runs(struct store *st, struct run_query *q, int64_t limit,
    struct run_page *all, struct err *e)
{
	struct run_page page = { .runs = NULL };
	enum err_code rc;

	q->page_size = limit < MAX_LIST_PAGE ? (int)limit : MAX_LIST_PAGE;
	do {
		q->after = all->next;
		rc = store_list_runs(st, q, &page, e);
		if (rc == ERR_OK)
			add_page(all, &page, limit);
	} while (rc == ERR_OK && all->has_more && all->n < limit);
	return rc;
}

static void
print_runs(const struct run_page *p)
{
	static const struct column columns[] = {
		{ "ID", false }, { "STATUS", false }, { "SUBMITTED", false },
		{ "TOOK", true }, { "COST", true }, { "PLATFORM", false },
		{ "BRIEF", false }
	};
	struct strbuf brief = STRBUF_INIT(MAX_LINE_BYTES);
	char when[CLOCK_TEXT_MAX];
	const struct run *r;
	struct table t;
	int i;

	table_init(&t, columns, (int)ARRAY_LEN(columns));
	for (i = 0; i < p->n; i++) {
		r = &p->runs[i];
		table_text(&t, r->id);
		table_state(&t, state_name(r->status),
		    state_colour(r->status));
		table_text(&t, time_text(r->created_ms, when));
		table_seconds(&t, r->started_ms > 0 && r->completed_ms > 0 ?
		    r->duration_ms : -1);
		if (r->has_cost)
			table_money(&t, r->cost_nano, MIN_DECIMALS);
		else
			table_text(&t, NULL);
		table_text(&t, r->platform_name);
		strbuf_reset(&brief);
		if (r->prompt != NULL)
			add_plain(&brief, r->prompt, BRIEF_CHARS);
		table_text(&t, brief.buf);
	}
	table_print(&t, "");
	if (p->n < p->total)
		printf("%d of %lld\n", p->n, (long long)p->total);
	table_release(&t);
	strbuf_release(&brief);
}

int
cmd_list(struct ctl *c)
{
	struct run_page all = { .runs = NULL };
	struct run_query q = { .owner = NULL };
	struct err e = ERR_INIT;
	enum err_code rc;
	int64_t limit;
	int status;

	status = read_query(c, &q, &limit);
	if (status == 0)
		status = ctl_open(c, OPEN_READING);
	if (status != 0)
		return status;
	rc = read_runs(c->store, &q, limit, &all, &e);
	if (rc != ERR_OK)
		status = ctl_fail(rc, &e);
	else if (c->json)
		print_json(view_run_list(&all, 1, (int)limit));
	else if (all.n == 0)
		puts("There are no such runs.");
	else
		print_runs(&all);
	run_page_release(&all);
	return status;
}

/* --- queue ---------------------------------------------------------------- */

static struct json_object *
queue_view(const struct queue_figures *q, char *const *running,
    int64_t now_ms)
{
	struct json_object *o = json_object_new_object();
	struct json_object *ids = json_object_new_array();

	for (; *running != NULL; running++)
		json_object_array_add(ids, json_object_new_string(*running));
	json_put_int(o, "jobs_pending", q->pending);
	json_put_int(o, "jobs_running", q->running);
	json_put_obj(o, "oldest_pending_seconds", q->oldest_due_ms > 0 ?
	    json_new_seconds(now_ms - q->oldest_due_ms) : NULL);
	json_put_obj(o, "running_run_ids", ids);
	return o;
}

static void
print_queue(const struct queue_figures *q, char *const *running,
    int64_t now_ms)
{
	struct strbuf waited = STRBUF_INIT(64);

	printf("waiting  %lld", (long long)q->pending);
	if (q->oldest_due_ms > 0 && now_ms > q->oldest_due_ms) {
		add_seconds(&waited, now_ms - q->oldest_due_ms);
		printf(", the longest for %s", waited.buf);
	}
	printf("\nrunning  %lld\n", (long long)q->running);
	for (; *running != NULL; running++)
		printf("  %s\n", *running);
	strbuf_release(&waited);
}

int
cmd_queue(struct ctl *c)
{
	struct queue_figures q = { 0, 0, 0 };
	struct err e = ERR_INIT;
	char **running = NULL;
	int64_t now_ms;
	enum err_code rc;
	int status, i;

	status = ctl_open(c, OPEN_READING);
	if (status != 0)
		return status;
	rc = store_queue_figures(c->store, &q, &e);
	if (rc == ERR_OK)
		rc = store_active_runs(c->store, MAX_LISTED, &running, &e);
	if (rc != ERR_OK)
		return ctl_fail(rc, &e);
	now_ms = clock_now_ms();
	if (c->json)
		print_json(queue_view(&q, running, now_ms));
	else
		print_queue(&q, running, now_ms);
	for (i = 0; running[i] != NULL; i++)
		free(running[i]);
	free(running);
	return 0;
}

/* --- cancel --------------------------------------------------------------- */

static void
tell_cancelled(const struct ctl *c, enum cancel_outcome outcome,
    enum state was)
{
	struct json_object *o;

	if (c->json) {
		o = json_object_new_object();
		json_put_str(o, "id", c->operand);
		json_put_str(o, "was", state_name(was));
		json_put_bool(o, "cancelled", outcome == CANCEL_DONE);
		print_json(o);
		return;
	}
	switch (outcome) {
	case CANCEL_DONE:
		printf("Cancelled; it was %s.\n", state_name(was));
		break;
	case CANCEL_WAS_TERMINAL:
		fprintf(stderr, CTL_NAME ": the run had ended before: it is "
		    "%s\n", state_name(was));
		break;
	}
}

/* 0 when the run is cancelled now, 1 when it had ended in another way. */
int
cmd_cancel(struct ctl *c)
{
	enum cancel_outcome outcome = CANCEL_DONE;
	enum state was = STATE_PENDING;
	struct err e = ERR_INIT;
	enum err_code rc;
	int status;

	status = ctl_open(c, OPEN_WRITING);
	if (status != 0)
		return status;
	rc = store_cancel_run(c->store, NULL, c->operand, CANCEL_MESSAGE,
	    clock_now_ms(), &outcome, &was, &e);
	if (rc == ERR_NOT_FOUND)
		err_set(&e, rc, "there is no run %.40s", c->operand);
	if (rc != ERR_OK)
		return ctl_fail(rc, &e);
	if (outcome == CANCEL_DONE) {
		wake_send(c->service.conf->settings.run_dir, "runner",
		    "cancel");
		wake_send_event(c->service.conf->settings.run_dir, c->operand);
	}
	tell_cancelled(c, outcome, was);
	return outcome == CANCEL_DONE || was == STATE_CANCELLED ? 0 :
	    CTL_FAILED;
}
