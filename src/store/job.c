/*
 * The queue: claiming, leases, and what can be asked about both.
 *
 * Who is next: the highest priority that has something due; in it the owner
 * with the fewest running jobs; of equals the oldest job.  The search takes one
 * step in an index per waiting owner, however many jobs wait.  When owners are
 * many, most of them run nothing, and the oldest job of one who runs nothing
 * is who is next; it is found in the order of age.  The claim itself is one
 * conditional UPDATE, in the same transaction.
 *
 * A job that comes back (lease lost, handed back) keeps its age and its run
 * stays RUNNING.  job_counts follows every change of a state.
 */
#include "internal.h"

#include <limits.h>

#include "derived.h"
#include "xalloc.h"

#define FEW_OWNERS 64		/* that are compared one by one */

/* --- for units ------------------------------------------------------------ */

enum err_code
job_from_row(struct db_rows *r, struct job *out, struct err *e)
{
	copy_id(out->id, db_text(r, 0));
	copy_id(out->run_id, db_text(r, 1));
	copy_id(out->subject_id, db_text(r, 2));
	out->kind = db_text_copy(r, 3);
	out->owner = db_text_copy(r, 4);
	out->priority = (int)db_int(r, 6);
	out->attempts = (int)db_int(r, 7);
	out->fence = db_int(r, 8);
	out->created_ms = db_int(r, 9);
	out->started_ms = db_int(r, 10);
	out->due_ms = db_int(r, 11);
	out->deadline_ms = db_int(r, 12);
	out->lease_holder = db_text_copy(r, 13);
	out->lease_until_ms = db_int(r, 14);
	return read_state(r, 5, &out->state, e);
}

void
job_release(struct job *j)
{
	free(j->kind);
	free(j->owner);
	free(j->lease_holder);
	memset(j, 0, sizeof(*j));
}

enum err_code
job_read_subject(struct db *db, const char *job_id, struct job_subject *out,
    struct err *e)
{
	static const char sql[] =
	    "SELECT kind, subject_id FROM jobs WHERE id = ?1";
	struct db_rows *r = NULL;
	enum err_code rc;
	bool found;

	rc = db_first(db, sql, DB_ARGS(db_s(job_id)), &r, &found, e);
	if (rc == ERR_OK && !found)
		rc = err_set(e, ERR_NOT_FOUND, "there is no such job");
	if (rc == ERR_OK) {
		out->kind = db_text_copy(r, 0);
		out->id = db_text_copy(r, 1);
	}
	db_done(r);
	return rc;
}

void
job_subject_release(struct job_subject *s)
{
	free(s->kind);
	free(s->id);
	memset(s, 0, sizeof(*s));
}

static enum err_code
insert_stages(struct db *db, const struct job_plan *p, struct err *e)
{
	static const char sql[] =
	    "INSERT INTO stages (job_id, name, ord, status)"
	    " VALUES (?1, ?2, ?3, 'PENDING')";
	enum err_code rc = ERR_OK;
	int i;

	for (i = 0; i < p->n_stages && rc == ERR_OK; i++)
		rc = db_run(db, sql, DB_ARGS(db_s(p->job_id),
		    db_s(p->stages[i].name), db_d(p->stages[i].order)),
		    NULL, e);
	return rc;
}

enum err_code
job_insert(struct db *db, const struct job_plan *p, struct err *e)
{
	static const char sql[] =
	    "INSERT INTO jobs (id, run_id, subject_id, kind, owner, state,"
	    " priority, due_ms, created_ms, deadline_after_ms, budget_nano,"
	    " estimate_nano)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, 'PENDING', ?6, ?7, ?7, ?8, ?9, ?10)";
	enum err_code rc;

	rc = db_run(db, sql, DB_ARGS(db_s(p->job_id), db_s(p->run_id),
	    db_s(p->subject_id), db_s(p->kind), db_s(p->owner),
	    db_i(p->priority), db_i(p->created_ms),
	    db_i(p->deadline_after_ms), db_i(p->budget_nano),
	    db_i(p->estimate_nano)), NULL, e);
	if (rc == ERR_OK)
		rc = insert_stages(db, p, e);
	if (rc == ERR_OK)
		rc = job_count_move(db, STATE__COUNT, STATE_PENDING, e);
	return rc;
}

static bool
is_counted(enum state s)
{
	return s == STATE_PENDING || s == STATE_RUNNING;
}

enum err_code
job_count_move(struct db *db, enum state from, enum state to, struct err *e)
{
	static const char sql[] =
	    "UPDATE job_counts SET n = n + ?2 WHERE state = ?1";
	enum err_code rc = ERR_OK;

	if (is_counted(from))
		rc = db_run(db, sql, DB_ARGS(db_s(state_name(from)), db_i(-1)),
		    NULL, e);
	if (rc == ERR_OK && is_counted(to))
		rc = db_run(db, sql, DB_ARGS(db_s(state_name(to)), db_i(1)),
		    NULL, e);
	return rc;
}

enum err_code
job_check_fence(struct db *db, const struct job_ref *ref, struct err *e)
{
	static const char sql[] =
	    "SELECT state, fence FROM jobs WHERE id = ?1 AND run_id = ?2";
	enum state state = STATE_FAILED;
	struct db_rows *r = NULL;
	int64_t fence = 0;
	enum err_code rc;
	bool found;

	rc = db_first(db, sql, DB_ARGS(db_s(ref->job_id), db_s(ref->run_id)),
	    &r, &found, e);
	if (rc == ERR_OK && !found)
		rc = err_set(e, ERR_LOST, "there is no such job");
	if (rc != ERR_OK)
		return rc;
	rc = read_state(r, 0, &state, e);
	fence = db_int(r, 1);
	db_done(r);
	if (rc != ERR_OK)
		return rc;
	if (state == STATE_CANCELLED)
		return err_set(e, ERR_CANCELLED, "the job was cancelled");
	if (state != STATE_RUNNING || fence != ref->fence)
		return err_set(e, ERR_LOST, "the job is no longer ours");
	return ERR_OK;
}

/* --- claim ---------------------------------------------------------------- */

struct claim {
	const struct holder *h;
	int64_t now_ms, lease_ms;
	struct job job;
	bool found;
	int64_t next_due_ms;
};

struct candidate {
	char id[ID_MAX];	/* "" while there is none */
	int64_t running;	/* jobs of its owner */
	int64_t created_ms;
};

/* Rows come in the order of age for one owner; ids only break ties. */
static bool
is_better(const struct candidate *a, const struct candidate *b)
{
	if (b->id[0] == '\0')
		return true;
	if (a->running != b->running)
		return a->running < b->running;
	if (a->created_ms != b->created_ms)
		return a->created_ms < b->created_ms;
	return strcmp(a->id, b->id) < 0;
}

/* The oldest due job of the next owner by name; *owner becomes that one, or
 * NULL when there is no other. */
static enum err_code
next_owner(struct db *db, int64_t priority, int64_t now_ms, char **owner,
    struct candidate *out, struct err *e)
{
	static const char sql[] =
	    "SELECT w.owner, w.id, w.created_ms,"
	    " (SELECT count(*) FROM jobs r"
	    "  WHERE r.state = 'RUNNING' AND r.owner = w.owner)"
	    " FROM jobs w WHERE w.state = 'PENDING' AND w.priority = ?1"
	    " AND w.owner > ?2 AND w.due_ms <= ?3"
	    " ORDER BY w.owner, w.created_ms, w.id LIMIT 1";
	struct db_rows *r = NULL;
	char *last = *owner;
	enum err_code rc;
	bool found;

	rc = db_first(db, sql, DB_ARGS(db_i(priority), db_s(last),
	    db_i(now_ms)), &r, &found, e);
	*owner = NULL;
	if (rc == ERR_OK && found) {
		*owner = db_text_copy(r, 0);
		copy_id(out->id, db_text(r, 1));
		out->created_ms = db_int(r, 2);
		out->running = db_int(r, 3);
	}
	db_done(r);
	free(last);
	return rc;
}

/* The oldest due job of all owners who run nothing. */
static enum err_code
oldest_of_idle(struct db *db, int64_t priority, int64_t now_ms,
    struct candidate *out, bool *found, struct err *e)
{
	static const char sql[] =
	    "SELECT w.id, w.created_ms FROM jobs w"
	    " WHERE w.state = 'PENDING' AND w.priority = ?1"
	    " AND w.due_ms <= ?2 AND NOT EXISTS (SELECT 1 FROM jobs r"
	    "  WHERE r.state = 'RUNNING' AND r.owner = w.owner)"
	    " ORDER BY w.created_ms, w.id LIMIT 1";
	struct db_rows *r = NULL;
	enum err_code rc;

	rc = db_first(db, sql, DB_ARGS(db_i(priority), db_i(now_ms)), &r,
	    found, e);
	if (rc == ERR_OK && *found) {
		copy_id(out->id, db_text(r, 0));
		out->created_ms = db_int(r, 1);
		out->running = 0;
	}
	db_done(r);
	return rc;
}

static enum err_code
best_of_priority(struct db *db, int64_t priority, int64_t now_ms,
    struct candidate *best, struct err *e)
{
	struct candidate c = { "", 0, 0 };
	char *owner = xstrdup("");	/* comes before every owner */
	bool found = false;
	enum err_code rc;
	int n;

	for (n = 1; ; n++) {
		rc = next_owner(db, priority, now_ms, &owner, &c, e);
		if (rc != ERR_OK || owner == NULL)
			break;
		if (is_better(&c, best))
			*best = c;
		if (n != FEW_OWNERS)
			continue;
		rc = oldest_of_idle(db, priority, now_ms, best, &found, e);
		if (rc != ERR_OK || found)
			break;
	}
	free(owner);
	return rc;
}

/* The highest priority below *priority with something waiting, due or not. */
static enum err_code
next_priority(struct db *db, int64_t *priority, bool *found, struct err *e)
{
	static const char sql[] =
	    "SELECT priority FROM jobs WHERE state = 'PENDING'"
	    " AND priority < ?1 ORDER BY priority DESC LIMIT 1";
	struct db_rows *r = NULL;
	enum err_code rc;

	rc = db_first(db, sql, DB_ARGS(db_i(*priority)), &r, found, e);
	if (rc == ERR_OK && *found)
		*priority = db_int(r, 0);
	db_done(r);
	return rc;
}

static enum err_code
find_best(struct db *db, int64_t now_ms, struct candidate *best, struct err *e)
{
	int64_t priority = (int64_t)INT_MAX + 1;
	enum err_code rc;
	bool found = true;

	for (;;) {
		rc = next_priority(db, &priority, &found, e);
		if (rc != ERR_OK || !found)
			return rc;
		rc = best_of_priority(db, priority, now_ms, best, e);
		if (rc != ERR_OK || best->id[0] != '\0')
			return rc;
	}
}

/* When will something be due? *waiting is false when nothing waits. */
static enum err_code
first_due(struct db *db, bool *waiting, int64_t *due_ms, struct err *e)
{
	static const char sql[] =
	    "SELECT due_ms FROM jobs WHERE state = 'PENDING'"
	    " ORDER BY due_ms LIMIT 1";
	struct db_rows *r = NULL;
	enum err_code rc;

	rc = db_first(db, sql, DB_NONE, &r, waiting, e);
	if (rc == ERR_OK)
		*due_ms = *waiting ? db_int(r, 0) : 0;
	db_done(r);
	return rc;
}

static enum err_code
take(struct db *db, const char *id, struct claim *c, struct err *e)
{
	static const char sql[] =
	    "UPDATE jobs SET state = 'RUNNING', attempts = attempts + 1,"
	    " fence = fence + 1, lease_holder = ?2, lease_host = ?3,"
	    " lease_boot_id = ?4, lease_life_file = ?5, lease_until_ms = ?7,"
	    " started_ms = CASE WHEN started_ms = 0 THEN ?6"
	    "  ELSE started_ms END,"
	    " deadline_ms = CASE WHEN deadline_ms = 0"
	    "  THEN ?6 + deadline_after_ms ELSE deadline_ms END"
	    " WHERE id = ?1 AND state = 'PENDING' RETURNING " JOB_COLUMNS;
	struct db_rows *r = NULL;
	enum err_code rc;

	rc = db_first(db, sql, DB_ARGS(db_s(id), db_s(c->h->id),
	    db_s(c->h->host), db_s(c->h->boot_id), db_s(c->h->life_file),
	    db_i(c->now_ms), db_i(c->now_ms + c->lease_ms)), &r, &c->found, e);
	if (rc == ERR_OK && c->found)
		rc = job_from_row(r, &c->job, e);
	rc = db_end(r, rc, e);
	if (rc == ERR_OK && c->found)
		rc = job_count_move(db, STATE_PENDING, STATE_RUNNING, e);
	return rc;
}

static enum err_code
claim_unit(struct db *db, void *arg, struct err *e)
{
	struct candidate best = { "", 0, 0 };
	struct claim *c = arg;
	enum err_code rc;
	bool waiting;

	job_release(&c->job);
	c->found = false;
	rc = first_due(db, &waiting, &c->next_due_ms, e);
	if (rc != ERR_OK || !waiting || c->next_due_ms > c->now_ms)
		return rc;
	rc = find_best(db, c->now_ms, &best, e);
	if (rc == ERR_OK && best.id[0] != '\0')
		rc = take(db, best.id, c, e);
	if (rc != ERR_OK || !c->found)
		return rc;
	if (strcmp(c->job.kind, KIND_GENERATION) == 0)
		return run_begin(db, c->job.run_id, c->now_ms, e);
	return derived_begin(db, &c->job, c->now_ms, e);
}

/* A runner that is only asking takes nobody's turn to write. */
static enum err_code
is_due(struct store *st, int64_t now_ms, bool *due, int64_t *next_due_ms,
    struct err *e)
{
	struct db *db = NULL;
	bool waiting = false;
	enum err_code rc;

	rc = store_borrow(st, &db, e);
	if (rc == ERR_OK)
		rc = first_due(db, &waiting, next_due_ms, e);
	store_return(st, db);
	*due = waiting && *next_due_ms <= now_ms;
	return rc;
}

enum err_code
store_claim(struct store *st, const struct holder *h, int64_t now_ms,
    int64_t lease_ms, struct job *out, bool *found, int64_t *next_due_ms,
    struct err *e)
{
	struct claim c = { .h = h, .now_ms = now_ms, .lease_ms = lease_ms };
	enum err_code rc;
	bool due = false;

	rc = is_due(st, now_ms, &due, &c.next_due_ms, e);
	if (rc == ERR_OK && due)
		rc = store_write(st, claim_unit, &c, e);
	if (rc != ERR_OK) {
		job_release(&c.job);
		return rc;
	}
	*found = c.found;
	*next_due_ms = c.found ? 0 : c.next_due_ms;
	if (c.found)
		*out = c.job;
	return ERR_OK;
}

/* --- leases --------------------------------------------------------------- */

struct renewal {
	const struct job_ref *refs;
	int n;
	int64_t lease_until_ms;
	enum err_code *results;
};

static enum err_code
renew_unit(struct db *db, void *arg, struct err *e)
{
	static const char sql[] =
	    "UPDATE jobs SET lease_until_ms = ?2 WHERE id = ?1";
	struct renewal *u = arg;
	enum err_code rc;
	int i;

	for (i = 0; i < u->n; i++) {
		rc = job_check_fence(db, &u->refs[i], e);
		if (rc == ERR_OK)
			rc = db_run(db, sql, DB_ARGS(db_s(u->refs[i].job_id),
			    db_i(u->lease_until_ms)), NULL, e);
		if (rc != ERR_OK && rc != ERR_LOST && rc != ERR_CANCELLED)
			return rc;
		u->results[i] = rc;
	}
	return ERR_OK;
}

enum err_code
store_renew(struct store *st, const struct job_ref *refs, int n,
    int64_t lease_until_ms, enum err_code *results, struct err *e)
{
	struct renewal u = { refs, n, lease_until_ms, results };

	return n > 0 ? store_write(st, renew_unit, &u, e) : ERR_OK;
}

struct handing_back {
	const struct job_ref *ref;
	int64_t due_ms;
	bool counted;		/* the attempt, against max_attempts */
};

static enum err_code
release_unit(struct db *db, void *arg, struct err *e)
{
	static const char sql[] =
	    "UPDATE jobs SET state = 'PENDING', due_ms = ?2,"
	    " attempts = CASE WHEN attempts > 0 AND ?3 = 0 THEN attempts - 1"
	    "  ELSE attempts END,"
	    " lease_holder = NULL, lease_host = NULL, lease_boot_id = NULL,"
	    " lease_life_file = NULL, lease_until_ms = 0 WHERE id = ?1";
	struct handing_back *u = arg;
	enum err_code rc;

	rc = job_check_fence(db, u->ref, e);
	if (rc == ERR_OK)
		rc = db_run(db, sql, DB_ARGS(db_s(u->ref->job_id),
		    db_i(u->due_ms), db_i(u->counted)), NULL, e);
	if (rc == ERR_OK)
		rc = job_count_move(db, STATE_RUNNING, STATE_PENDING, e);
	return rc;
}

enum err_code
store_release(struct store *st, const struct job_ref *ref, int64_t due_ms,
    struct err *e)
{
	struct handing_back u = { ref, due_ms, false };

	return store_write(st, release_unit, &u, e);
}

enum err_code
store_put_back(struct store *st, const struct job_ref *ref, int64_t due_ms,
    struct err *e)
{
	struct handing_back u = { ref, due_ms, true };

	return store_write(st, release_unit, &u, e);
}

/* --- reading -------------------------------------------------------------- */

static enum err_code
read_job(struct store *st, const char *sql, const char *id, struct job *out,
    struct err *e)
{
	struct db_rows *r = NULL;
	struct db *db = NULL;
	struct job job;
	enum err_code rc;
	bool found = false;

	memset(&job, 0, sizeof(job));
	rc = store_borrow(st, &db, e);
	if (rc == ERR_OK)
		rc = db_first(db, sql, DB_ARGS(db_s(id)), &r, &found, e);
	if (rc == ERR_OK && !found)
		rc = err_set(e, ERR_NOT_FOUND, "there is no such job");
	if (rc == ERR_OK)
		rc = job_from_row(r, &job, e);
	db_done(r);
	store_return(st, db);
	if (rc == ERR_OK)
		*out = job;
	else
		job_release(&job);
	return rc;
}

enum err_code
store_get_job(struct store *st, const char *job_id, struct job *out,
    struct err *e)
{
	static const char sql[] =
	    "SELECT " JOB_COLUMNS " FROM jobs WHERE id = ?1";

	return read_job(st, sql, job_id, out, e);
}

enum err_code
store_get_run_job(struct store *st, const char *run_id, struct job *out,
    struct err *e)
{
	static const char sql[] =
	    "SELECT " JOB_COLUMNS " FROM jobs"
	    " WHERE run_id = ?1 AND kind = 'generation'"
	    " AND EXISTS (SELECT 1 FROM runs WHERE id = ?1 AND deleted_ms = 0)"
	    " ORDER BY created_ms DESC LIMIT 1";

	return read_job(st, sql, run_id, out, e);
}

enum err_code
store_get_subject_job(struct store *st, const char *kind,
    const char *subject_id, struct job *out, struct err *e)
{
	static const char refinement[] =
	    "SELECT " JOB_COLUMNS " FROM jobs WHERE subject_id = ?1"
	    " AND kind = 'refinement' ORDER BY created_ms DESC LIMIT 1";
	static const char caption[] =
	    "SELECT " JOB_COLUMNS " FROM jobs WHERE subject_id = ?1"
	    " AND kind = 'caption' ORDER BY created_ms DESC LIMIT 1";
	static const char assessment[] =
	    "SELECT " JOB_COLUMNS " FROM jobs WHERE subject_id = ?1"
	    " AND kind = 'assessment' ORDER BY created_ms DESC LIMIT 1";
	const char *sql = refinement;

	if (strcmp(kind, KIND_CAPTION) == 0)
		sql = caption;
	else if (strcmp(kind, KIND_ASSESSMENT) == 0)
		sql = assessment;
	return read_job(st, sql, subject_id, out, e);
}

enum err_code
store_run_is_open(struct store *st, const char *run_id, bool *out,
    struct err *e)
{
	static const char sql[] =
	    "SELECT 1 FROM jobs WHERE run_id = ?1"
	    " AND state IN ('PENDING', 'RUNNING') LIMIT 1";
	struct db_rows *r = NULL;
	struct db *db = NULL;
	enum err_code rc;
	bool found = false;

	rc = store_borrow(st, &db, e);
	if (rc == ERR_OK)
		rc = db_first(db, sql, DB_ARGS(db_s(run_id)), &r, &found, e);
	db_done(r);
	store_return(st, db);
	if (rc == ERR_OK)
		*out = found;
	return rc;
}

enum err_code
store_queue_figures(struct store *st, struct queue_figures *out,
    struct err *e)
{
	static const char sql[] =
	    "SELECT (SELECT n FROM job_counts WHERE state = 'PENDING'),"
	    " (SELECT n FROM job_counts WHERE state = 'RUNNING'),"
	    " (SELECT COALESCE(min(due_ms), 0) FROM jobs"
	    "  WHERE state = 'PENDING')";
	struct db_rows *r = NULL;
	struct db *db = NULL;
	enum err_code rc;
	bool found;

	rc = store_borrow(st, &db, e);
	if (rc == ERR_OK)
		rc = db_first(db, sql, DB_NONE, &r, &found, e);
	if (rc == ERR_OK) {
		out->pending = db_int(r, 0);
		out->running = db_int(r, 1);
		out->oldest_due_ms = db_int(r, 2);
	}
	db_done(r);
	store_return(st, db);
	return rc;
}

enum err_code
store_active_runs(struct store *st, int max, char ***out, struct err *e)
{
	static const struct reading how = {
		"SELECT DISTINCT run_id FROM jobs WHERE state = 'RUNNING'"
		" ORDER BY run_id LIMIT ?1",
		text_from_row, sizeof(char *)
	};
	struct row_list rows = { NULL, 0 };
	char **ids;
	enum err_code rc;
	int i;

	rc = store_read_rows(st, &how, DB_ARGS(db_i(max)), &rows, e);
	ids = xrealloc_array(rows.rows, (size_t)rows.n + 1, sizeof(*ids));
	ids[rows.n] = NULL;
	if (rc == ERR_OK) {
		*out = ids;
		return rc;
	}
	for (i = 0; i < rows.n; i++)
		free(ids[i]);
	free(ids);
	return rc;
}

static enum err_code
holder_from_row(struct db_rows *r, void *slot, struct err *e)
{
	struct holder_row *h = slot;

	(void)e;
	h->id = db_text_copy(r, 0);
	h->host = db_text_copy(r, 1);
	h->boot_id = db_text_copy(r, 2);
	h->life_file = db_text_copy(r, 3);
	h->jobs = (int)db_int(r, 4);
	h->until_ms = db_int(r, 5);
	return ERR_OK;
}

enum err_code
store_list_holders(struct store *st, struct holder_list *out, struct err *e)
{
	static const struct reading how = {
		"SELECT lease_holder, max(lease_host), max(lease_boot_id),"
		" max(lease_life_file), count(*), min(lease_until_ms) FROM jobs"
		" WHERE state = 'RUNNING' GROUP BY lease_holder"
		" ORDER BY lease_holder",
		holder_from_row, sizeof(struct holder_row)
	};
	struct row_list rows = { NULL, 0 };
	struct holder_list list;
	enum err_code rc;

	rc = store_read_rows(st, &how, DB_NONE, &rows, e);
	list.rows = rows.rows;
	list.n = rows.n;
	if (rc == ERR_OK)
		*out = list;
	else
		holder_list_release(&list);
	return rc;
}

void
holder_list_release(struct holder_list *l)
{
	int i;

	for (i = 0; i < l->n; i++) {
		free(l->rows[i].id);
		free(l->rows[i].host);
		free(l->rows[i].boot_id);
		free(l->rows[i].life_file);
	}
	free(l->rows);
	memset(l, 0, sizeof(*l));
}
