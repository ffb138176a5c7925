/*
 * watch: a run's progress as it is written, one line per event.
 *
 * Events are numbered without gaps, so what was printed last is all there is
 * to remember; the database is asked again after a short sleep.  It ends when
 * the run has ended and its last event is out:
 *
 *   read events after N --some--> print, N = last --> again at once
 *        | none
 *        '--> run ended before we looked? --yes--> exit
 *                   | no
 *                   '--> sleep --> again
 */
#include "ctl.h"

#include "views.h"

#define POLL_MS 200
#define MAX_TROUBLES 50		/* looks that failed, one after the other */
#define NAME_WIDTH 17
#define STATUS_WIDTH 9

/* --- one event ------------------------------------------------------------ */

/* How a job told its end: the last event of its kind. */
static enum state
state_told(const struct event *ev, const struct json_object *data)
{
	const char *type;

	if (strcmp(ev->type, "run_complete") == 0)
		return STATE_COMPLETED;
	type = json_get_str(json_get_obj(data, "error_details"), "type");
	return type != NULL && strcmp(type, "cancelled") == 0 ?
	    STATE_CANCELLED : STATE_FAILED;
}

static void
print_end(const struct event *ev, const struct json_object *data)
{
	struct json_object *cost = json_get(data, "total_cost_usd");
	const char *message = json_get_str(data, "error_message");
	double seconds = json_get_num(data, "total_duration_seconds", 0);

	if (state_told(ev, data) != STATE_COMPLETED)
		print_plain(message != NULL ? message : "No reason was given.");
	else if (cost != NULL)
		printf("$%s (%.1f s)", json_object_get_string(cost), seconds);
}

static void
print_stage(const struct json_object *data)
{
	const char *message = json_get_str(data, "message");
	const char *error = json_get_str(data, "error_message");
	double seconds = json_get_num(data, "duration_seconds", -1);

	print_plain(message != NULL ? message : "");
	if (error != NULL) {
		putchar(' ');
		print_plain(error);
	}
	if (seconds > 0)
		printf(" (%.1f s)", seconds);
}

/* "12:00:05  image_eval         RUNNING    Reading your picture..." */
static void
print_event(const struct event *ev)
{
	struct json_object *data = NULL;
	const char *name, *status;
	char when[CLOCK_TEXT_MAX];
	bool is_stage = strcmp(ev->type, "stage_update") == 0;

	if (ev->data != NULL)
		json_parse(ev->data, strlen(ev->data), &data, NULL);
	name = is_stage ? json_get_str(data, "stage_name") : "run";
	status = is_stage ? json_get_str(data, "status") :
	    state_name(state_told(ev, data));
	time_text(ev->created_ms, when);
	printf("%.8s  ", when + strlen("YYYY-MM-DDT"));
	printf("%-*s  %-*s  ", NAME_WIDTH, name != NULL ? name : "?",
	    STATUS_WIDTH, status != NULL ? status : "?");
	if (is_stage)
		print_stage(data);
	else
		print_end(ev, data);
	putchar('\n');
	json_object_put(data);
}

/* One JSON object a line. */
static void
print_events_json(const char *run_id, const struct event_list *l)
{
	struct json_object *view = view_events(run_id, l), *list;
	char *text;
	size_t i;

	list = json_get_arr(view, "events");
	for (i = 0; i < json_len(list); i++) {
		text = json_to_text(json_object_array_get_idx(list, i));
		puts(text);
		free(text);
	}
	json_object_put(view);
}

/* --- following ------------------------------------------------------------ */

struct follower {
	struct ctl *c;
	const char *run_id;
	int64_t after;		/* number of the last event printed */
	enum state state;
};

static void
short_sleep(void)
{
	struct timespec t = { 0, POLL_MS * 1000000L };

	nanosleep(&t, NULL);
}

/* *any: there were some, and there may be more. */
static enum err_code
print_new(struct follower *f, bool *any, struct err *e)
{
	struct event_list l = { NULL, 0, 0 };
	enum err_code rc;
	int i;

	*any = false;
	rc = store_list_events(f->c->store, NULL, f->run_id, f->after,
	    MAX_EVENTS_PAGE, &l, e);
	if (rc != ERR_OK || l.n == 0)
		goto out;
	if (f->c->json)
		print_events_json(f->run_id, &l);
	for (i = 0; i < l.n && !f->c->json; i++)
		print_event(&l.rows[i]);
	fflush(stdout);
	f->after = l.rows[l.n - 1].seq;
	*any = true;
out:
	event_list_release(&l);
	return rc;
}

static enum err_code
read_status(struct follower *f, struct err *e)
{
	struct run run;
	enum err_code rc;

	memset(&run, 0, sizeof(run));
	rc = store_get_run(f->c->store, NULL, f->run_id, &run, e);
	if (rc == ERR_OK)
		f->state = run.status;
	run_release(&run);
	return rc;
}

/* A run that waits for nobody looks as if it hung. */
static void
tell_if_alone(const struct follower *f)
{
	struct process_list l = { NULL, 0 };
	bool alive = false;
	int i;

	if (f->state != STATE_PENDING ||
	    store_list_processes(f->c->store, clock_now_ms() -
	    PRESENCE_ALIVE_MS, &l, NULL) != ERR_OK)
		return;
	for (i = 0; i < l.n; i++)
		if (strcmp(l.rows[i].role, "runner") == 0)
			alive = true;
	if (!alive)
		fputs(CTL_NAME ": the run waits, because no runner is alive\n",
		    stderr);
	process_list_release(&l);
}

/* The status is read before the events: when it says "ended", everything that
 * is to be told has been written. */
static enum err_code
follow(struct follower *f, struct err *e)
{
	enum err_code rc;
	int troubles = 0;
	bool any;

	rc = read_status(f, e);
	if (rc != ERR_OK)
		return rc;
	tell_if_alone(f);
	for (;;) {
		rc = read_status(f, e);
		do {
			any = false;
			if (rc == ERR_OK)
				rc = print_new(f, &any, e);
		} while (any);
		troubles = rc == ERR_OK ? 0 : troubles + 1;
		if (rc != ERR_OK && (!err_is_retryable(rc) ||
		    troubles == MAX_TROUBLES))
			return rc;
		if (rc == ERR_OK && state_is_terminal(f->state))
			return ERR_OK;
		if (ferror(stdout))
			return err_set(e, ERR_SYSTEM, "nobody reads on");
		short_sleep();
	}
}

int
watch_run(struct ctl *c, const char *run_id)
{
	struct follower f = { c, run_id, 0, STATE_PENDING };
	struct err e = ERR_INIT;
	enum err_code rc;

	rc = follow(&f, &e);
	if (rc == ERR_NOT_FOUND)
		err_set(&e, rc, "there is no run %.40s", run_id);
	if (rc != ERR_OK)
		return ctl_fail(rc, &e);
	return f.state == STATE_COMPLETED ? 0 : CTL_FAILED;
}

int
cmd_watch(struct ctl *c)
{
	int status;

	status = ctl_open(c, OPEN_READING);
	return status == 0 ? watch_run(c, c->operand) : status;
}
