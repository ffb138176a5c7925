/* Shared by the tests of the store; see store_support.h. */
#include "tests/unit/store_support.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "file.h"
#include "xalloc.h"

struct store *st;
_Thread_local struct err err = ERR_INIT;

const struct holder me = { "holder-me", "host-a", "boot-1", "/run/me.life" };
const struct holder other = { "holder-other", "host-b", "boot-2",
    "/run/other.life" };

static char dir[256];
static char path[300];
static char database[320];

/* --- the database --------------------------------------------------------- */

const char *
db_path(void)
{
	return path;
}

struct store_options
options(void)
{
	struct store_options o;

	memset(&o, 0, sizeof(o));
	o.database = database;
	o.cache_kb = 1024;
	o.lock_wait_ms = 20000;
	o.max_readers = 4;
	return o;
}

void
open_with(const struct store_options *o)
{
	ck_ok(store_open(o, &st, &err), &err);
}

void
close_store(void)
{
	store_close(st);
	st = NULL;
}

void
set_up_closed(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%s/churns-store-XXXXXX",
	    tmp == NULL ? "/tmp" : tmp);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/db/churns.db", dir);
	snprintf(database, sizeof(database), "sqlite:%s", path);
	err_clear(&err);
}

void
set_up(void)
{
	struct store_options o;

	set_up_closed();
	o = options();
	open_with(&o);
}

void
set_up_impatient(void)
{
	struct store_options o;

	set_up_closed();
	o = options();
	o.lock_wait_ms = SHORT_WAIT_MS;
	open_with(&o);
}

void
tear_down(void)
{
	if (st != NULL)
		audit();
	close_store();
	ck_ok(file_remove_tree(AT_FDCWD, dir, &err), &err);
}

/* --- looking at it from outside ------------------------------------------- */

static sqlite3 *
open_raw(void)
{
	sqlite3 *conn = NULL;

	ck_assert_int_eq(sqlite3_open_v2(path, &conn, SQLITE_OPEN_READWRITE,
	    NULL), SQLITE_OK);
	sqlite3_busy_timeout(conn, 10000);
	return conn;
}

int64_t
sql_int(const char *sql)
{
	sqlite3 *conn = open_raw();
	sqlite3_stmt *q = NULL;
	int64_t value;

	ck_assert_msg(sqlite3_prepare_v2(conn, sql, -1, &q, NULL) == SQLITE_OK,
	    "%s: %s", sql, sqlite3_errmsg(conn));
	ck_assert_msg(sqlite3_step(q) == SQLITE_ROW, "%s: %s", sql,
	    sqlite3_errmsg(conn));
	value = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	sqlite3_close(conn);
	return value;
}

void
sql_run(const char *sql)
{
	sqlite3 *conn = open_raw();

	ck_assert_msg(sqlite3_exec(conn, sql, NULL, NULL, NULL) == SQLITE_OK,
	    "%s: %s", sql, sqlite3_errmsg(conn));
	sqlite3_close(conn);
}

/* An event of the run itself. */
#define OWN								\
	"(json_extract(data, '$.job_id') IS NULL"			\
	" AND json_extract(data, '$.caption_id') IS NULL)"
#define TERMINAL "('COMPLETED', 'FAILED', 'CANCELLED')"
#define RUN_NUMBERS							\
	"SELECT owner, status, mode, COALESCE(platform_name, ''), count(*)" \
	" FROM runs WHERE deleted_ms = 0 GROUP BY 1, 2, 3, 4"

/* Each counts what must not be. */
static const struct {
	const char *what, *sql;
} rules[] = {
	{ "the file is damaged",
	  "SELECT count(*) FROM pragma_integrity_check"
	  " WHERE integrity_check <> 'ok'" },
	{ "a row refers to nothing",
	  "SELECT count(*) FROM pragma_foreign_key_check" },
	{ "last_seq is not the number of events",
	  "SELECT count(*) FROM runs r WHERE last_seq <>"
	  " (SELECT count(*) FROM events WHERE run_id = r.id)" },
	{ "events have gaps",
	  "SELECT count(*) FROM (SELECT 1 FROM events GROUP BY run_id"
	  " HAVING min(seq) <> 1 OR max(seq) <> count(*))" },
	{ "runs are missing in the counters",
	  "SELECT count(*) FROM (" RUN_NUMBERS
	  " EXCEPT SELECT owner, status, mode, platform, n FROM run_counts)" },
	{ "the counters count runs that are not there",
	  "SELECT count(*) FROM (SELECT owner, status, mode, platform, n"
	  " FROM run_counts WHERE n > 0 EXCEPT " RUN_NUMBERS ")" },
	{ "the queue counters are wrong",
	  "SELECT count(*) FROM job_counts c WHERE n <>"
	  " (SELECT count(*) FROM jobs WHERE state = c.state)" },
	{ "run and job disagree",
	  "SELECT count(*) FROM runs r JOIN jobs j ON j.run_id = r.id"
	  " AND j.kind = 'generation' WHERE NOT (r.status = j.state"
	  " OR (r.status = 'RUNNING' AND j.state = 'PENDING'))" },
	{ "a run has no job",
	  "SELECT count(*) FROM runs WHERE id NOT IN"
	  " (SELECT run_id FROM jobs)" },
	{ "a run that ended has not one terminal event",
	  "SELECT count(*) FROM runs r WHERE deleted_ms = 0 AND"
	  " (status IN " TERMINAL ") <>"
	  " (SELECT count(*) FROM events WHERE run_id = r.id AND " OWN
	  "  AND type IN ('run_complete', 'run_error'))" },
	{ "a deleted run has content, or a job that is open",
	  "SELECT count(*) FROM runs r WHERE deleted_ms > 0 AND"
	  " (COALESCE(prompt, form, inputs, brand_kit, warnings,"
	  "  error_message, platform_name) IS NOT NULL"
	  "  OR EXISTS (SELECT 1 FROM events WHERE run_id = r.id)"
	  "  OR EXISTS (SELECT 1 FROM idempotency WHERE run_id = r.id)"
	  "  OR EXISTS (SELECT 1 FROM jobs WHERE run_id = r.id"
	  "   AND state NOT IN " TERMINAL ")"
	  "  OR EXISTS (SELECT 1 FROM model_calls WHERE run_id = r.id"
	  "   AND COALESCE(answer, blobs, error) IS NOT NULL))" },
	{ "files are gone of a run that is not deleted",
	  "SELECT count(*) FROM runs WHERE files_removed = 1"
	  " AND deleted_ms = 0" },
	{ "the terminal event is not the last, or tells another end",
	  "SELECT count(*) FROM runs r JOIN events e ON e.run_id = r.id"
	  " AND " OWN " AND e.type IN ('run_complete', 'run_error')"
	  " WHERE e.seq <> (SELECT max(seq) FROM events WHERE run_id = r.id"
	  "  AND " OWN ") OR"
	  " (e.type = 'run_complete') <> (r.status = 'COMPLETED')" },
	{ "a stage runs in a job that ended",
	  "SELECT count(*) FROM stages s JOIN jobs j ON j.id = s.job_id"
	  " WHERE s.status = 'RUNNING' AND j.state IN " TERMINAL },
	{ "a run that ended does not cost what the ledger says",
	  "SELECT count(*) FROM runs r WHERE status IN " TERMINAL
	  " AND cost_nano <> (SELECT COALESCE(sum(c.cost_nano), 0)"
	  "  FROM jobs j JOIN model_calls c ON c.job_id = j.id"
	  "  WHERE j.run_id = r.id AND j.kind = 'generation')" },
	{ "a refinement or caption and its job disagree",
	  "SELECT count(*) FROM (SELECT id, status FROM refinements"
	  "  UNION ALL SELECT id, status FROM captions) d"
	  " JOIN jobs j ON j.subject_id = d.id AND j.kind <> 'assessment'"
	  " WHERE NOT (d.status = j.state"
	  "  OR (d.status = 'RUNNING' AND j.state = 'PENDING'))" },
	{ "a refinement or caption does not cost what the ledger says",
	  "SELECT count(*) FROM (SELECT id, status, cost_nano FROM refinements"
	  "  UNION ALL SELECT id, status, cost_nano FROM captions) d"
	  " WHERE status IN " TERMINAL
	  " AND cost_nano <> (SELECT COALESCE(sum(c.cost_nano), 0)"
	  "  FROM jobs j JOIN model_calls c ON c.job_id = j.id"
	  "  WHERE j.subject_id = d.id)" },
	{ "a refinement that ended has not one terminal event",
	  "SELECT count(*) FROM refinements d WHERE (status IN " TERMINAL ")"
	  " <> (SELECT count(*) FROM events WHERE run_id = d.run_id"
	  "  AND json_extract(data, '$.job_id') = d.id"
	  "  AND type IN ('run_complete', 'run_error'))" },
	{ "a caption that ended has not one terminal event",
	  "SELECT count(*) FROM captions d WHERE (status IN " TERMINAL ")"
	  " <> (SELECT count(*) FROM events WHERE run_id = d.run_id"
	  "  AND json_extract(data, '$.caption_id') = d.id"
	  "  AND type IN ('caption_complete', 'caption_error'))" },
	{ "two noise checks of a refinement wait or run",
	  "SELECT count(*) FROM (SELECT 1 FROM jobs WHERE kind = 'assessment'"
	  " AND state IN ('PENDING', 'RUNNING') GROUP BY subject_id"
	  " HAVING count(*) > 1)" },
	{ "a stage that ended does not cost what the ledger says",
	  "SELECT count(*) FROM stages s"
	  " WHERE status IN ('COMPLETED', 'FAILED', 'SKIPPED')"
	  " AND cost_nano <> (SELECT COALESCE(sum(cost_nano), 0)"
	  "  FROM model_calls WHERE job_id = s.job_id AND stage = s.name)" },
	{ "kept sums of days are not what the ledger says",
	  "SELECT count(*) FROM (SELECT day, owner, provider, model, simulated,"
	  " calls, answered, input_tokens, output_tokens, images, cost_nano,"
	  " reserved_nano, unknown_nano FROM spend_days WHERE calls > 0"
	  " EXCEPT SELECT day, owner, provider, model, simulated, sum(calls),"
	  " sum(answered), sum(input_tokens), sum(output_tokens), sum(images),"
	  " sum(cost_nano), sum(reserved_nano), sum(unknown_nano)"
	  " FROM ledger_figures GROUP BY 1, 2, 3, 4, 5)" },
	{ "the ledger has days without a sum",
	  "SELECT count(*) FROM (SELECT day, owner, provider, model, simulated"
	  " FROM ledger_figures EXCEPT"
	  " SELECT day, owner, provider, model, simulated FROM spend_days"
	  " WHERE calls > 0)" },
	{ "kept sums of jobs are not what the ledger says",
	  "SELECT count(*) FROM (SELECT job_id, day, simulated, run_id, calls,"
	  " cost_nano, reserved_nano, unknown_nano FROM spend_jobs"
	  " WHERE calls > 0 EXCEPT"
	  " SELECT job_id, day, simulated, run_id, sum(calls), sum(cost_nano),"
	  " sum(reserved_nano), sum(unknown_nano) FROM ledger_figures"
	  " GROUP BY 1, 2, 3, 4)" },
	{ "money is reserved for a job that has ended",
	  "SELECT count(*) FROM jobs j JOIN model_calls c ON c.job_id = j.id"
	  " AND c.state = 'SENT' WHERE j.state IN " TERMINAL },
	{ "a time of the end without an end",
	  "SELECT count(*) FROM runs"
	  " WHERE (completed_ms > 0) <> (status IN " TERMINAL ")" },
	{ "a lease without a runner",
	  "SELECT count(*) FROM jobs WHERE (state = 'RUNNING') <>"
	  " (lease_holder IS NOT NULL AND lease_until_ms > 0)" },
};

void
audit(void)
{
	sqlite3 *conn = open_raw();
	sqlite3_stmt *q;
	size_t i;

	for (i = 0; i < ARRAY_LEN(rules); i++) {
		q = NULL;
		ck_assert_msg(sqlite3_prepare_v2(conn, rules[i].sql, -1, &q,
		    NULL) == SQLITE_OK, "%s: %s", rules[i].what,
		    sqlite3_errmsg(conn));
		ck_assert_int_eq(sqlite3_step(q), SQLITE_ROW);
		ck_assert_msg(sqlite3_column_int64(q, 0) == 0,
		    "audit: %s (%lld)", rules[i].what,
		    (long long)sqlite3_column_int64(q, 0));
		sqlite3_finalize(q);
	}
	sqlite3_close(conn);
}

/* --- runs ----------------------------------------------------------------- */

const char *
id_of(const char *what, int n)
{
	static _Thread_local char ring[8][ID_MAX];
	static _Thread_local unsigned at;
	char *id = ring[at++ % 8];

	snprintf(id, ID_MAX, "%s-%06d", what, n);
	return id;
}

static const struct planned_stage plan[] = {
	{ "image_eval", 1 }, { "strategy", 2 }, { "style_guide", 4.5 },
};

enum err_code
submit(struct store *s, const struct run_spec *spec,
    const struct idempotency *idem, enum submit_outcome *outcome, int *status,
    char **body, struct err *e)
{
	struct new_run nr = { .stages = plan, .n_stages = ARRAY_LEN(plan),
	    .priority = spec->priority, .deadline_after_ms = HOUR };
	struct run run;
	char owner[40], mode[40];

	memset(&run, 0, sizeof(run));
	snprintf(owner, sizeof(owner), "%s",
	    spec->owner == NULL ? "ann" : spec->owner);
	snprintf(mode, sizeof(mode), "%s",
	    spec->mode == NULL ? "easy_mode" : spec->mode);
	snprintf(run.id, sizeof(run.id), "%s", id_of("run", spec->n));
	run.owner = owner;
	run.mode = mode;
	run.platform_name = (char *)(uintptr_t)spec->platform;
	run.prompt = (char *)(uintptr_t)spec->prompt;
	run.created_ms = spec->created_ms == 0 ? T0 + spec->n :
	    spec->created_ms;
	nr.run = &run;
	nr.job_id = id_of("job", spec->n);
	return store_submit_run(s, &nr, idem, outcome, status, body, e);
}

void
add(const struct run_spec *spec)
{
	enum submit_outcome outcome = SUBMIT_MISMATCH;

	ck_ok(submit(st, spec, NULL, &outcome, NULL, NULL, &err), &err);
	ck_assert_int_eq(outcome, SUBMIT_NEW);
}

void
add_run(int n)
{
	struct run_spec spec = { .n = n };

	add(&spec);
}

int
claim_for(const struct holder *h, int64_t now_ms, struct claimed *out)
{
	struct job job;
	int64_t next_due_ms = -1;
	bool found = false;
	int n;

	memset(&job, 0, sizeof(job));
	ck_ok(store_claim(st, h, now_ms, LEASE, &job, &found, &next_due_ms,
	    &err), &err);
	if (!found)
		return 0;
	n = (int)strtol(job.run_id + strlen("run-"), NULL, 10);
	ck_assert_int_eq(job.state, STATE_RUNNING);
	ck_assert_str_eq(job.lease_holder, h->id);
	ck_assert_int_eq(job.lease_until_ms, now_ms + LEASE);
	if (out != NULL) {
		memcpy(out->job_id, job.id, ID_MAX);
		memcpy(out->run_id, job.run_id, ID_MAX);
		out->ref = (struct job_ref){ out->job_id, out->run_id,
		    job.fence };
		out->attempts = job.attempts;
		out->deadline_ms = job.deadline_ms;
	}
	job_release(&job);
	return n;
}

int
claim_at(int64_t now_ms, struct claimed *out)
{
	return claim_for(&me, now_ms, out);
}

struct stage_update
update_of(const char *name, double order, enum stage_status status)
{
	struct stage_update u;

	memset(&u, 0, sizeof(u));
	u.name = name;
	u.order = order;
	u.status = status;
	u.started_ms = T0 + 100;
	u.duration_ms = -1;
	if (status == STAGE_COMPLETED || status == STAGE_FAILED) {
		u.completed_ms = T0 + 900;
		u.duration_ms = 800;
	}
	u.message = stage_status_name(status);
	u.event_data = "{\"told\":true}";
	return u;
}

enum err_code
tell(const struct claimed *c, const char *stage, enum stage_status status,
    int64_t now_ms)
{
	struct stage_update u = update_of(stage, 1, status);

	return store_progress(st, &c->ref, NULL, &u, 1, now_ms, &err);
}

enum err_code
checkpoint(const struct claimed *c, const char *stage, int variant,
    int64_t now_ms)
{
	struct lane_output o = { stage, variant, true, "{\"n\":1}", NULL, NULL,
	    now_ms - 10, now_ms };

	return store_progress(st, &c->ref, &o, NULL, 0, now_ms, &err);
}

enum err_code
finish(const struct claimed *c, enum state how, int64_t now_ms)
{
	struct job_end end;

	memset(&end, 0, sizeof(end));
	end.state = how;
	end.error_message = how == STATE_FAILED ? "no picture" : NULL;
	end.event_type = how == STATE_FAILED ? "run_error" : "run_complete";
	end.event_data = "{\"end\":1}";
	end.output_directory = "data/runs/x";
	return store_finish(st, &c->ref, &end, now_ms, &err);
}

enum err_code
cancel(int n, int64_t now_ms, enum cancel_outcome *outcome, enum state *was)
{
	return store_cancel_run(st, "ann", id_of("run", n),
	    "The user \"cancelled\" it.", now_ms, outcome, was, &err);
}

void
call_init(struct call_row *c, const char *id, const struct claimed *of,
    const char *stage, int attempt)
{
	memset(c, 0, sizeof(*c));
	snprintf(c->id, sizeof(c->id), "%s", id);
	c->job_id = (char *)(uintptr_t)of->job_id;
	c->run_id = (char *)(uintptr_t)of->run_id;
	c->owner = (char *)(uintptr_t)"ann";
	c->stage = (char *)(uintptr_t)stage;
	c->variant = VARIANT_NONE;
	c->purpose = (char *)(uintptr_t)"ask";
	c->attempt = attempt;
	c->ask = 1;
	c->provider = (char *)(uintptr_t)"openai";
	c->model = (char *)(uintptr_t)"gpt-4.1";
	c->sent_ms = T0 + attempt;
}

void
buy(const struct claimed *c, const char *id, const char *stage,
    int64_t cost_nano)
{
	struct call_row row;
	int attempt = (int)strtol(strrchr(id, '-') + 1, NULL, 10);

	call_init(&row, id, c, stage, attempt);
	ck_ok(store_call_begin(st, &c->ref, &row, &err), &err);
	row.state = CALL_ANSWERED;
	row.settled_ms = row.sent_ms + 5;
	row.cost_nano = cost_nano;
	row.prompt_tokens = 100;
	row.completion_tokens = 20;
	ck_ok(store_call_settle(st, &row, &err), &err);
}

enum state
run_status(int n)
{
	enum state s;
	struct run run;

	ck_ok(store_get_run(st, NULL, id_of("run", n), &run, &err), &err);
	s = run.status;
	run_release(&run);
	return s;
}

enum state
job_state(int n)
{
	enum state s;
	struct job job;

	ck_ok(store_get_job(st, id_of("job", n), &job, &err), &err);
	s = job.state;
	job_release(&job);
	return s;
}

int64_t
last_event_seq(int n)
{
	struct event_list l;
	int64_t seq;

	ck_ok(store_list_events(st, NULL, id_of("run", n), 0, 1, &l, &err),
	    &err);
	seq = l.last_seq;
	event_list_release(&l);
	return seq;
}

/* --- a unit that stays inside its transaction until told to go on --------- */

static enum err_code
gate_unit(struct db *db, void *arg, struct err *e)
{
	struct gate *g = arg;

	(void)db;
	g->runs++;
	sem_post(&g->inside);
	sem_wait(&g->go);
	if (g->returns != ERR_OK)
		return err_set(e, g->returns, "asked to fail");
	return ERR_OK;
}

static void *
gate_main(void *arg)
{
	struct gate *g = arg;

	g->rc = store_write(st, gate_unit, g, NULL);
	return NULL;
}

void
gate_close(struct gate *g, enum err_code returns)
{
	memset(g, 0, sizeof(*g));
	g->returns = returns;
	sem_init(&g->inside, 0, 0);
	sem_init(&g->go, 0, 0);
	pthread_create(&g->thread, NULL, gate_main, g);
	sem_wait(&g->inside);
}

void
gate_open(struct gate *g)
{
	sem_post(&g->go);
	pthread_join(g->thread, NULL);
}

void
wait_for_queue(int64_t n)
{
	struct store_stats s;

	do {
		sched_yield();
		store_get_stats(st, &s);
	} while (s.queued != n);
}

/* --- a thread that does one thing ----------------------------------------- */

static void *
put_main(void *arg)
{
	struct put *p = arg;

	p->rc = store_cache_put(st, p->key, p->text, T0, NULL);
	return NULL;
}

void
put_start(struct put *p, int n, const char *text)
{
	snprintf(p->key, sizeof(p->key), "key-%d", n);
	p->text = text;
	pthread_create(&p->thread, NULL, put_main, p);
}

bool
is_stored(const char *key)
{
	char *answer = NULL;
	enum err_code rc;

	rc = store_cache_get(st, key, &answer, &err);
	free(answer);
	ck_assert(rc == ERR_OK || rc == ERR_NOT_FOUND);
	return rc == ERR_OK;
}
