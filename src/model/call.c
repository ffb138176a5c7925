/*
 * The state machine of a call (drawn in model.h) and the loop that runs up to
 * MODEL_MAX_CALLS of them in one thread.
 *
 * An attempt comes from the ledger as long as it has rows of earlier lives,
 * from the wire afterwards; call_decide() does not know the difference.  What
 * one attempt leads to:
 *
 *   usable ------------------------------------------> the end, ERR_OK
 *   unknown -- first of this ask ---------------------> the same ask again
 *   again ---- retries left --------------------------> the same ask again
 *   lost (its picture has gone from disk) ------------> the same ask again
 *   otherwise  the kind can ask differently ----------> a new ask
 *              the ledger has more rows ---------------> its next attempt
 *              a fall-back is left -------------------> a new ask, of it
 *              nothing is left -----------------------> the end, ERR_MODEL
 *
 * The same ask is the same body under the same idempotency key; whatever
 * changes the body is a new ask.
 *
 * The loop never blocks on anything but http_group_poll(), which ends when an
 * answer arrives, a gate moves, a pause is over or the cancel fires.  Whatever
 * is under way then is settled as unknown before the loop returns.
 *
 * A call for which a budget has no room ends with ERR_BUDGET: no retry, no
 * fall-back.  Only when what is in its way is reserved for calls under way, it
 * looks again until they are settled.
 *
 * When the process is about to end, nothing more is sent, but what is in flight
 * may arrive, and what the ledger has may be read.  Nobody fires a cancel for
 * that; so a call that waits for its turn looks now and then.
 */
#include "call.h"

#include <assert.h>

#include "clock.h"
#include "log.h"
#include "xalloc.h"

#include <sys/random.h>

#define UNKNOWN_RETRIES 1	/* of one ask */
#define BACKOFF_SHIFT_MAX 16
#define LAST_MOMENT_MS 1000	/* left for the job: nothing can be done with it */
#define BUDGET_LOOK_MS 250	/* how soon money that became free is seen */
#define BUDGET_WAIT_MS 300000	/* longest wait for it */
#define STOPPING_LOOK_MS 250	/* how soon one that waits sees the end coming */

/* --- ends ---------------------------------------------------------------- */

void
call_note(const struct call *c, const char *code, const char *fmt, ...)
{
	char text[ERR_MSG_MAX];
	va_list ap;

	if (c->note == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->note(c->note_arg, code, text);
}

void
wire_release(struct call_wire *w)
{
	http_body_free(w->body);
	w->body = NULL;
}

void
call_end(struct call *c, enum err_code rc)
{
	gate_leave(c->m->gates, &c->ticket, GATE_NEUTRAL, clock_mono_ms());
	wire_release(&c->wire);
	c->rc = rc;
	c->step = STEP_DONE;
}

static void
call_fail(struct call *c, const struct verdict *v)
{
	err_set(&c->err, ERR_MODEL, "%s", v->sentence);
	c->err.detail = (int)v->fault;
	call_end(c, ERR_MODEL);
}

static int64_t
until(int64_t deadline_ms)
{
	return deadline_ms == 0 ? INT64_MAX : deadline_ms - clock_now_ms();
}

int64_t
call_time_left(const struct call *c)
{
	int64_t job_ms = until(c->scope->deadline_ms);
	int64_t stage_ms = until(c->scope->stage_deadline_ms);

	return job_ms < stage_ms ? job_ms : stage_ms;
}

void
call_out_of_time(struct call *c)
{
	if (until(c->scope->deadline_ms) <= LAST_MOMENT_MS) {
		call_end(c, err_set(&c->err, ERR_TIMEOUT,
		    "%s was not finished within the time for the whole job",
		    purpose_name(c->purpose)));
		return;
	}
	err_set(&c->err, ERR_MODEL, "%s",
	    model_fault_text(FAULT_TIMEOUT));
	c->err.detail = FAULT_TIMEOUT;
	call_end(c, ERR_MODEL);
}

/* Is nothing more to be sent, since the process is about to end? */
static bool
end_is_near(const struct call *c)
{
	const bool *stopping = c->scope->stopping;

	return stopping != NULL && __atomic_load_n(stopping, __ATOMIC_ACQUIRE);
}

static void
call_not_now(struct call *c)
{
	call_end(c, err_set(&c->err, ERR_BUSY,
	    "%s was not begun, since this process is about to end",
	    purpose_name(c->purpose)));
}

/* --- asks ---------------------------------------------------------------- */

/* The next attempt asks something else than the last one. */
static void
new_ask(struct call *c)
{
	c->ask++;
	c->retries = c->unknowns = 0;
	c->hash[0] = '\0';
	wire_release(&c->wire);
	ledger_key(c, c->idempotency_key);
	c->step = STEP_NEXT;
}

static void
use_model(struct call *c, const struct provider *p,
    const struct model_info *info)
{
	c->provider = p;
	c->model = info;
	c->ticket.provider = (int)(p - c->m->conf->providers);
	c->kind->begin(c);
}

static void
use_fallback(struct call *c, const char *why)
{
	const struct purpose *p = &c->m->conf->purposes[c->purpose];

	call_note(c, "fallback_model", "%s was asked instead of %s (%s)",
	    p->fallback_model->id, p->model->id, why);
	c->on_fallback = true;
	use_model(c, p->fallback_provider, p->fallback_model);
}

static bool
fall_back(struct call *c, const struct verdict *v)
{
	const struct purpose *p = &c->m->conf->purposes[c->purpose];

	if (c->on_fallback || v->fault == FAULT_CONTENT_POLICY ||
	    p->fallback_model == NULL ||
	    !call_can_ask(c->m, p->fallback_provider))
		return false;
	use_fallback(c, model_fault_name(v->fault));
	new_ask(c);
	return true;
}

enum err_code
call_prepare(struct call *c, struct err *e)
{
	struct call_wire *w = &c->wire;
	enum err_code rc;

	if (w->body != NULL)
		return ERR_OK;
	w->key_header = "";
	w->max_string_bytes = 0;
	w->body = http_body_new();
	rc = c->kind->build(c, w, e);
	if (rc == ERR_OK && c->hash[0] == '\0')
		rc = http_body_hash(w->body, c->hash, e);
	if (rc == ERR_OK)
		return ERR_OK;
	wire_release(w);
	/* A picture of the run that cannot be opened is our own trouble. */
	if (rc != ERR_MODEL && rc != ERR_FULL && rc != ERR_SYSTEM)
		rc = e == NULL ? ERR_SYSTEM :
		    err_set(e, ERR_SYSTEM, "%s", e->msg);
	return rc;
}

/* --- decisions ----------------------------------------------------------- */

int64_t
backoff_ms(const struct settings *s, int n)
{
	int64_t ms = s->retry_base_ms;
	uint32_t noise = 0;

	if (n > BACKOFF_SHIFT_MAX)
		n = BACKOFF_SHIFT_MAX;
	ms = ms << n;
	if (ms > s->retry_cap_ms)
		ms = s->retry_cap_ms;
	/* Without noise everybody who failed together returns together. */
	if (getrandom(&noise, sizeof(noise), GRND_NONBLOCK) !=
	    (ssize_t)sizeof(noise))
		noise = (uint32_t)clock_mono_us();
	ms += ms / 2 * (int64_t)(noise % 1000) / 1000 - ms / 4;
	return ms < s->retry_cap_ms ? ms : s->retry_cap_ms;
}

/*
 * The same ask again, after a pause when the last attempt was just now. False
 * when the pause is longer than what the job has left: then this attempt was the
 * last, and the job may do something else with its time.
 */
static bool
same_ask(struct call *c, const struct verdict *v, bool live)
{
	const struct settings *s = &c->m->conf->settings;
	int64_t now_ms = clock_mono_ms(), left_ms = call_time_left(c);
	int64_t pause_ms = 0;

	if (live) {
		pause_ms = backoff_ms(s, c->retries + c->unknowns - 1);
		if (v->retry_after_ms >= 0)
			pause_ms = v->retry_after_ms < s->retry_after_cap_ms ?
			    v->retry_after_ms : s->retry_after_cap_ms;
	}
	if (pause_ms < left_ms) {
		c->until_ms = now_ms + pause_ms;
		c->step = STEP_PAUSE;
		return true;
	}
	if (left_ms > LAST_MOMENT_MS)
		return false;
	call_out_of_time(c);
	return true;
}

void
call_decide(struct call *c, const struct verdict *v, bool live)
{
	int max_retries = c->m->conf->settings.max_retries;

	if (v->fault == FAULT_NONE) {
		call_end(c, ERR_OK);
		return;
	}
	if (v->local != ERR_OK) {
		call_end(c, err_set(&c->err, v->local, "%s", v->sentence));
		return;
	}
	if (v->lost) {
		same_ask(c, v, false);	/* without a pause */
		return;
	}
	if (v->unknown) {
		call_note(c, "call_unknown", "a call to %s got no answer (%s);"
		    " the provider may have charged for it", c->model->id,
		    model_fault_name(v->fault));
		if (c->unknowns < UNKNOWN_RETRIES) {
			c->unknowns++;
			if (same_ask(c, v, live))
				return;
		}
	} else if (v->again) {
		if (c->retries < max_retries) {
			c->retries++;
			if (same_ask(c, v, live))
				return;
		}
	} else if (c->kind->adapt(c, v)) {
		new_ask(c);
		return;
	}
	/* An earlier life went on from here, by settings of its own: what it
	 * was answered counts. */
	if (c->n_past_used < c->past.n)
		c->step = STEP_NEXT;
	else if (!fall_back(c, v))
		call_fail(c, v);
}

void
call_judge(struct call *c, const struct call_row *row, struct json_object *answer,
    bool live)
{
	struct verdict v;

	verdict_set(&v, FAULT_NONE);
	v.status = row->http_status;
	c->kind->judge(c, row, answer, &v);
	if (v.fault != FAULT_NONE || c->fetch_url == NULL) {
		call_decide(c, &v, live);
		return;
	}
	snprintf(c->fetch_prefix, sizeof(c->fetch_prefix), "calls/%s.url",
	    row->id);
	snprintf(c->fetch_file, sizeof(c->fetch_file), "calls/%s.0",
	    row->id);
	c->fetch_tries = 0;
	c->until_ms = 0;
	c->step = STEP_FETCH;
}

/*
 * Nothing was sent and nothing is written, so trying again costs nothing.  Calls
 * under way are settled within their time-outs; one whose sender has died may
 * hold its reservation longer, and is not waited for.
 */
bool
call_await_budget(struct call *c)
{
	int64_t now_ms = clock_mono_ms();

	if (c->err.detail != BUDGET_HELD)
		return false;
	if (c->budget_until_ms == 0)
		c->budget_until_ms = now_ms + BUDGET_WAIT_MS;
	if (now_ms >= c->budget_until_ms ||
	    call_time_left(c) <= BUDGET_LOOK_MS)
		return false;
	gate_leave(c->m->gates, &c->ticket, GATE_NEUTRAL, now_ms);
	err_clear(&c->err);
	c->until_ms = now_ms + BUDGET_LOOK_MS;
	c->step = STEP_PAUSE;
	return true;
}

/* --- attempts of earlier lives ------------------------------------------- */

/* The row decides who was asked and as which ask. */
static void
follow_row(struct call *c, const struct call_row *row)
{
	const struct conf *conf = c->m->conf;
	const struct purpose *p = &conf->purposes[c->purpose];
	const struct provider *provider = conf_provider(conf, row->provider);
	const struct model_info *info = row->model != NULL ?
	    conf_model(conf, row->model) : NULL;

	if (provider != NULL && info != NULL &&
	    (provider != c->provider || info != c->model)) {
		if (provider == p->fallback_provider &&
		    info == p->fallback_model && !c->on_fallback)
			use_fallback(c, "in an earlier attempt");
		else
			use_model(c, provider, info);
		wire_release(&c->wire);
		c->hash[0] = '\0';
	}
	if (row->ask != c->ask) {
		c->ask = row->ask - 1;
		new_ask(c);
	}
	/* What cannot be built any more is not needed either: the row has
	 * its answer, or sending will fail with the same sentence. */
	if (call_prepare(c, NULL) == ERR_OK && row->request_hash != NULL &&
	    strcmp(row->request_hash, c->hash) != 0)
		log_warn("ledger answers a different request, using it",
		    "call=%s stage=%s purpose=%s attempt=%d", row->id,
		    c->stage, c->purpose_key, row->attempt);
}

static void
replay(struct call *c, const struct call_row *row)
{
	struct json_object *answer = NULL;
	struct verdict v;

	follow_row(c, row);
	preview_followed(c);
	c->attempt = row->attempt;
	c->cost_nano += row->cost_nano;
	if (row->state == CALL_ANSWERED) {
		ledger_usage(row, &c->usage);
		if (json_parse(row->answer != NULL ? row->answer : "",
		    row->answer != NULL ? strlen(row->answer) : 0, &answer,
		    NULL) == ERR_OK && answer != NULL &&
		    ledger_blobs_exist(row, c->scope->run_dirfd)) {
			call_judge(c, row, answer, false);
			json_object_put(answer);
			return;
		}
		json_object_put(answer);
		log_warn("a paid answer is no longer there, asking again",
		    "call=%s stage=%s purpose=%s", row->id, c->stage,
		    c->purpose_key);
		verdict_set(&v, FAULT_SERVER);
		v.lost = true;
	} else {
		verdict_of_row(row, &v);
	}
	call_decide(c, &v, false);
}

/* --- the loop ------------------------------------------------------------ */

/* Towards the next attempt: from the ledger, or ready for its gate. */
static void
next_attempt(struct call *c)
{
	const struct call_row *row;
	enum err_code rc;

	if (c->m->preview != NULL && !preview_ask(c))
		return;
	if (c->n_past_used < c->past.n) {
		row = &c->past.rows[c->n_past_used++];
		replay(c, row);
		return;
	}
	if (!provider_usable(c->provider)) {
		call_end(c, not_configured(c->m->conf, c->purpose, &c->err));
		return;
	}
	rc = call_prepare(c, &c->err);
	if (rc != ERR_OK) {
		call_end(c, rc);
		return;
	}
	c->step = STEP_GATE;
}

/* As far as it goes without waiting. */
static void
advance(struct call *c, struct http_group *g, int tag)
{
	int64_t now_ms;

	for (;;) {
		now_ms = clock_mono_ms();
		switch (c->step) {
		case STEP_NEXT:
			next_attempt(c);
			continue;
		case STEP_GATE:
			if (end_is_near(c)) {
				call_not_now(c);
				return;
			}
			if (!gate_enter(c->m->gates, &c->ticket, now_ms,
			    &c->until_ms))
				return;
			attempt_send(c, g, tag);
			continue;
		case STEP_PAUSE:
			if (now_ms >= c->until_ms) {
				c->step = STEP_NEXT;
				continue;
			}
			if (end_is_near(c))
				call_not_now(c);
			return;
		case STEP_FETCH:
			if (now_ms < c->until_ms)
				return;
			attempt_fetch(c, g, tag);
			continue;
		case STEP_FLIGHT:
		case STEP_DONE:
			return;
		}
	}
}

/* The loop ends early: settle what is in flight, end all with rc. */
static void
stop_all(struct call **calls, int n, enum err_code rc)
{
	int i;

	for (i = 0; i < n; i++) {
		struct call *c = calls[i];

		if (c->step == STEP_DONE)
			continue;
		if (c->step == STEP_FLIGHT)
			attempt_abandon(c);
		if (rc == ERR_TIMEOUT)
			call_out_of_time(c);
		else
			call_end(c, err_set(&c->err, rc, "%s was stopped",
			    purpose_name(c->purpose)));
	}
}

/* When a call that is not in flight has to be looked at again. */
static int64_t
look_again_ms(const struct call *c, int64_t now_ms)
{
	int64_t ms = c->until_ms;

	if (c->scope->stopping != NULL && c->step != STEP_FETCH &&
	    ms > now_ms + STOPPING_LOOK_MS)
		ms = now_ms + STOPPING_LOOK_MS;
	return ms;
}

/* Advance all; false when all are done. *wait_ms: when to look again. */
static bool
advance_all(struct call **calls, int n, struct http_group *g,
    int64_t *wait_ms)
{
	int64_t first_ms = INT64_MAX, now_ms = clock_mono_ms(), ms;
	bool open = false;
	int i;

	for (i = 0; i < n; i++) {
		struct call *c = calls[i];

		advance(c, g, i);
		if (c->step == STEP_DONE)
			continue;
		open = true;
		if (c->step == STEP_FLIGHT)
			continue;
		ms = look_again_ms(c, now_ms);
		if (ms < first_ms)
			first_ms = ms;
	}
	now_ms = clock_mono_ms();
	*wait_ms = first_ms == INT64_MAX ? -1 :
	    first_ms > now_ms ? first_ms - now_ms : 0;
	return open;
}

/* Must everything end now? */
static enum err_code
stop_code(const struct call *c)
{
	enum err_code rc = cancel_code(c->scope->cancel);

	if (rc == ERR_OK && call_time_left(c) <= 0)
		rc = ERR_TIMEOUT;
	return rc;
}

/* Wait for an answer and take it; false when none came. */
static bool
take_one(struct call **calls, struct http_group *g, int64_t wait_ms)
{
	struct http_answer answer;
	int tag;

	if (!http_group_poll(g, wait_ms, &tag, &answer))
		return false;
	if (tag >= TAG_FETCH)
		attempt_fetched(calls[tag - TAG_FETCH], &answer);
	else
		attempt_answered(calls[tag], &answer);
	http_answer_release(&answer);
	return true;
}

void
calls_run(struct model *m, const struct call_scope *scope, struct call **calls,
    int n)
{
	struct http_group *g = http_group_new(m->http, scope->cancel);
	int64_t wait_ms, left_ms;
	enum err_code stop;
	bool got = false;
	int i;

	for (i = 0; i < n; i++)
		calls[i]->ticket.wake = g;
	for (;;) {
		/* Answers that are there are booked before anything else; no
		 * attempt begins once a stop is known. */
		stop = stop_code(calls[0]);
		if (!got && stop != ERR_OK)
			break;
		wait_ms = 0;
		if (stop == ERR_OK && !advance_all(calls, n, g, &wait_ms))
			break;
		left_ms = call_time_left(calls[0]);
		if (left_ms != INT64_MAX && (wait_ms < 0 || left_ms < wait_ms))
			wait_ms = left_ms > 0 ? left_ms : 0;
		got = take_one(calls, g, wait_ms);
	}
	if (stop != ERR_OK) {
		/* Away from the wire first, so that it is felt there at once;
		 * what had arrived by then is still booked. */
		http_group_abort(g);
		while (take_one(calls, g, 0))
			;
		stop_all(calls, n, stop);
	}
	http_group_free(g);
	if (m->preview != NULL)
		m->preview_round++;
}

enum err_code
call_init(struct call *c, struct model *m, const struct call_scope *scope,
    const struct call_kind *kind, enum purpose_id purpose, const char *suffix,
    const char *stage, int variant, model_note *note, void *note_arg)
{
	const struct purpose *p = &m->conf->purposes[purpose];
	enum err_code rc;

	c->m = m;
	c->scope = scope;
	c->kind = kind;
	c->purpose = purpose;
	c->stage = stage;
	c->variant = variant;
	c->note = note;
	c->note_arg = note_arg;
	c->ticket.kind = kind->gate;
	snprintf(c->purpose_key, sizeof(c->purpose_key), "%s%s%s",
	    purpose_name(purpose), suffix != NULL ? "/" : "",
	    suffix != NULL ? suffix : "");
	rc = cancel_code(scope->cancel);
	if (rc != ERR_OK) {
		err_set(&c->err, rc, "%s was stopped", purpose_name(purpose));
		goto out;
	}
	if (p->model == NULL || p->provider == NULL) {
		rc = not_configured(m->conf, purpose, &c->err);
		goto out;
	}
	rc = ledger_load(c, &c->err);
	if (rc != ERR_OK)
		goto out;
	if (!call_can_ask(m, p->provider) && p->fallback_model != NULL &&
	    call_can_ask(m, p->fallback_provider))
		use_fallback(c, "no key");
	else
		use_model(c, p->provider, p->model);
	new_ask(c);
out:
	c->rc = rc;
	if (rc != ERR_OK)
		c->step = STEP_DONE;
	return rc;
}

void
call_release(struct call *c)
{
	call_list_release(&c->past);
	call_row_release(&c->row);
	wire_release(&c->wire);
	free(c->fetch_url);
}
