/*
 * Refinements: accepting and reading them, and accepting noise checks of them.
 *
 * What makes a refinement acceptable is asked again in the unit that stores it:
 * the run must be there and COMPLETED then, whatever a handler saw before.  A
 * noise check is stored only when no other one waits or runs and nothing has
 * been found yet, so however many ask for it, one is made.
 */
#include "internal.h"

#include <assert.h>

#include "derived.h"
#include "xalloc.h"

#define REFINEMENT_HEAD							\
	"id, run_id, owner, status, type, parent_image_id, "		\
	"parent_image_type, generation_index, root_index, created_ms, "	\
	"started_ms, completed_ms, cost_nano, has_cost, simulated, noise, " \
	"version, parent_image_path, image_path, reference_path, "	\
	"mask_path, summary, error_message, error_type, prompt, instructions"
#define COL_INPUTS 26		/* behind them, where it is read */

void
derived_release(struct derived *d)
{
	free(d->owner);
	free(d->inputs);
	free(d->error_message);
	free(d->error_type);
}

void
refinement_release(struct refinement *r)
{
	derived_release(&r->d);
	free(r->type);
	free(r->parent_image_id);
	free(r->parent_image_type);
	free(r->parent_image_path);
	free(r->prompt);
	free(r->instructions);
	free(r->reference_path);
	free(r->mask_path);
	free(r->image_path);
	free(r->summary);
	memset(r, 0, sizeof(*r));
}

/* --- accepting ------------------------------------------------------------ */

enum err_code
run_check_completed(struct db *db, const char *owner, const char *run_id,
    struct err *e)
{
	static const char sql[] =
	    "SELECT status FROM runs"
	    " WHERE id = ?1 AND owner = ?2 AND deleted_ms = 0";
	enum state status = STATE_FAILED;
	struct db_rows *r = NULL;
	enum err_code rc;
	bool found;

	rc = db_first(db, sql, DB_ARGS(db_s(run_id), db_s(owner)), &r, &found,
	    e);
	if (rc == ERR_OK && !found)
		rc = err_set(e, ERR_NOT_FOUND, "there is no such run");
	if (rc == ERR_OK)
		rc = read_state(r, 0, &status, e);
	db_done(r);
	if (rc == ERR_OK && status != STATE_COMPLETED)
		rc = err_set(e, ERR_CONFLICT, "the run is %s",
		    state_name(status));
	return rc;
}

struct submission {
	const struct refinement *r;
	const struct new_job *job;
	const struct idempotency *idem;	/* NULL: none */
	struct kept kept;
};

static enum err_code
insert_refinement(struct db *db, const struct refinement *r, struct err *e)
{
	static const char sql[] =
	    "INSERT INTO refinements (id, run_id, owner, status, type,"
	    " parent_image_id, parent_image_type, generation_index, root_index,"
	    " created_ms, parent_image_path, reference_path, mask_path,"
	    " summary, prompt, instructions, inputs)"
	    " VALUES (?1, ?2, ?3, 'PENDING', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,"
	    " ?12, ?13, ?14, ?15, ?16)";

	return db_run(db, sql, DB_ARGS(db_s(r->d.id), db_s(r->d.run_id),
	    db_s(r->d.owner), db_s(r->type), db_s(r->parent_image_id),
	    db_s(r->parent_image_type), db_i(r->generation_index),
	    db_i(r->root_index), db_i(r->d.created_ms),
	    db_s(r->parent_image_path), db_s(r->reference_path),
	    db_s(r->mask_path), db_s(r->summary), db_s(r->prompt),
	    db_s(r->instructions), db_s(r->d.inputs)), NULL, e);
}

static enum err_code
submit_unit(struct db *db, void *arg, struct err *e)
{
	struct submission *s = arg;
	const struct refinement *r = s->r;
	const struct job_plan plan = { s->job->id, r->d.run_id, r->d.id,
	    KIND_REFINEMENT, r->d.owner, s->job->stages, s->job->n_stages,
	    s->job->priority, r->d.created_ms, s->job->deadline_after_ms, 0,
	    0 };
	enum err_code rc;
	bool is_new = true;

	rc = key_take(db, s->idem, r->d.run_id, r->d.created_ms, &is_new,
	    &s->kept, e);
	if (rc != ERR_OK || !is_new)
		return rc;
	rc = run_check_completed(db, r->d.owner, r->d.run_id, e);
	if (rc == ERR_OK)
		rc = insert_refinement(db, r, e);
	if (rc == ERR_OK)
		rc = job_insert(db, &plan, e);
	if (rc == ERR_OK)
		rc = run_touch(db, r->d.run_id, e);
	return rc;
}

enum err_code
store_submit_refinement(struct store *st, const struct refinement *r,
    const struct new_job *job, const struct idempotency *idem,
    enum submit_outcome *outcome, int *replay_status, char **replay_body,
    struct err *e)
{
	struct submission s = { .r = r, .job = job, .idem = idem };
	enum err_code rc;

	rc = store_write(st, submit_unit, &s, e);
	if (rc == ERR_OK)
		kept_give(&s.kept, outcome, replay_status, replay_body);
	kept_release(&s.kept);
	return rc;
}

/* --- noise checks --------------------------------------------------------- */

struct check {
	const char *owner, *id;
	const struct new_job *job;
	int64_t now_ms;
	enum noise_outcome outcome;
	enum noise noise;
	enum state was;
};

/* What is known of the refinement. run_id: ID_MAX. */
static enum err_code
read_checked(struct db *db, struct check *c, char *run_id, char **owner,
    bool *has_image, struct err *e)
{
	static const char sql[] =
	    "SELECT run_id, owner, status, noise, image_path IS NOT NULL"
	    " FROM refinements WHERE id = ?1 AND (?2 IS NULL OR owner = ?2)";
	struct db_rows *r = NULL;
	enum err_code rc;
	bool found;

	rc = db_first(db, sql, DB_ARGS(db_s(c->id), db_s(c->owner)), &r,
	    &found, e);
	if (rc == ERR_OK && !found)
		rc = err_set(e, ERR_NOT_FOUND, "there is no such refinement");
	if (rc != ERR_OK)
		return rc;
	copy_id(run_id, db_text(r, 0));
	*owner = db_text_copy(r, 1);
	rc = read_state(r, 2, &c->was, e);
	c->noise = (enum noise)db_int(r, 3);
	*has_image = db_int(r, 4) != 0;
	db_done(r);
	return rc;
}

static enum err_code
is_under_way(struct db *db, const char *id, bool *out, struct err *e)
{
	static const char sql[] =
	    "SELECT 1 FROM jobs WHERE subject_id = ?1 AND kind = 'assessment'"
	    " AND state IN ('PENDING', 'RUNNING') LIMIT 1";
	struct db_rows *r = NULL;
	enum err_code rc;

	rc = db_first(db, sql, DB_ARGS(db_s(id)), &r, out, e);
	db_done(r);
	return rc;
}

static enum err_code
check_unit(struct db *db, void *arg, struct err *e)
{
	struct check *c = arg;
	char run_id[ID_MAX] = "", *owner = NULL;
	struct job_plan plan = { .job_id = c->job->id, .run_id = run_id,
	    .subject_id = c->id, .kind = KIND_ASSESSMENT,
	    .stages = c->job->stages, .n_stages = c->job->n_stages,
	    .priority = c->job->priority, .created_ms = c->now_ms,
	    .deadline_after_ms = c->job->deadline_after_ms };
	bool has_image = false, under_way = false;
	enum err_code rc;

	rc = read_checked(db, c, run_id, &owner, &has_image, e);
	if (rc != ERR_OK)
		goto out;
	if (c->was != STATE_COMPLETED)
		c->outcome = NOISE_NOT_READY;
	else if (!has_image)
		c->outcome = NOISE_NO_IMAGE;
	else if (c->noise != NOISE_UNKNOWN)
		c->outcome = NOISE_KNOWN;
	else
		c->outcome = NOISE_STARTED;
	if (c->outcome != NOISE_STARTED)
		goto out;
	rc = is_under_way(db, c->id, &under_way, e);
	if (rc == ERR_OK && under_way)
		c->outcome = NOISE_UNDER_WAY;
	plan.owner = owner;
	if (rc == ERR_OK && !under_way)
		rc = job_insert(db, &plan, e);
out:
	free(owner);
	return rc;
}

enum err_code
store_submit_noise_check(struct store *st, const char *owner,
    const char *refinement_id, const struct new_job *job, int64_t now_ms,
    enum noise_outcome *outcome, enum noise *noise, enum state *was,
    struct err *e)
{
	struct check c = { .owner = owner, .id = refinement_id, .job = job,
	    .now_ms = now_ms };
	enum err_code rc;

	rc = store_write(st, check_unit, &c, e);
	if (rc == ERR_OK) {
		*outcome = c.outcome;
		*noise = c.noise;
		*was = c.was;
	}
	return rc;
}

/* --- reading -------------------------------------------------------------- */

static enum err_code
refinement_from_row(struct db_rows *r, void *slot, struct err *e)
{
	struct refinement *f = slot;

	copy_id(f->d.id, db_text(r, 0));
	copy_id(f->d.run_id, db_text(r, 1));
	f->d.owner = db_text_copy(r, 2);
	f->type = db_text_copy(r, 4);
	f->parent_image_id = db_text_copy(r, 5);
	f->parent_image_type = db_text_copy(r, 6);
	f->generation_index = (int)db_int(r, 7);
	f->root_index = (int)db_int(r, 8);
	f->d.created_ms = db_int(r, 9);
	f->d.started_ms = db_int(r, 10);
	f->d.completed_ms = db_int(r, 11);
	f->d.cost_nano = db_int(r, 12);
	f->d.has_cost = db_int(r, 13) != 0;
	f->d.simulated = db_int(r, 14) != 0;
	f->noise = (enum noise)db_int(r, 15);
	f->d.version = db_int(r, 16);
	f->parent_image_path = db_text_copy(r, 17);
	f->image_path = db_text_copy(r, 18);
	f->reference_path = db_text_copy(r, 19);
	f->mask_path = db_text_copy(r, 20);
	f->summary = db_text_copy(r, 21);
	f->d.error_message = db_text_copy(r, 22);
	f->d.error_type = db_text_copy(r, 23);
	f->prompt = db_text_copy(r, 24);
	f->instructions = db_text_copy(r, 25);
	return read_state(r, 3, &f->d.status, e);
}

static enum err_code
read_refinement(struct db *db, const char *owner, const char *id,
    struct refinement *out, struct err *e)
{
	static const char sql[] = "SELECT " REFINEMENT_HEAD ", inputs"
	    " FROM refinements WHERE id = ?1 AND (?2 IS NULL OR owner = ?2)";
	struct db_rows *r = NULL;
	enum err_code rc;
	bool found;

	rc = db_first(db, sql, DB_ARGS(db_s(id), db_s(owner)), &r, &found, e);
	if (rc == ERR_OK && !found)
		rc = err_set(e, ERR_NOT_FOUND, "there is no such refinement");
	if (rc != ERR_OK)
		return rc;
	rc = refinement_from_row(r, out, e);
	out->d.inputs = db_text_copy(r, COL_INPUTS);
	db_done(r);
	return rc;
}

enum err_code
store_get_refinement(struct store *st, const char *owner, const char *id,
    struct refinement *out, struct err *e)
{
	struct refinement f;
	struct db *db = NULL;
	enum err_code rc;

	memset(&f, 0, sizeof(f));
	rc = store_borrow(st, &db, e);
	if (rc == ERR_OK)
		rc = read_refinement(db, owner, id, &f, e);
	store_return(st, db);
	if (rc == ERR_OK)
		*out = f;
	else
		refinement_release(&f);
	return rc;
}

enum err_code
store_list_refinements(struct store *st, const char *run_id,
    struct refinement_list *out, struct err *e)
{
	static const struct reading how = {
		"SELECT " REFINEMENT_HEAD " FROM refinements"
		" WHERE run_id = ?1 ORDER BY created_ms, id",
		refinement_from_row, sizeof(struct refinement)
	};
	struct row_list rows = { NULL, 0 };
	struct refinement_list list;
	enum err_code rc;
	int i;

	rc = store_read_rows(st, &how, DB_ARGS(db_s(run_id)), &rows, e);
	list.rows = rows.rows;
	list.n = rows.n;
	list.cost_nano = 0;
	for (i = 0; i < list.n; i++)
		list.cost_nano += list.rows[i].d.cost_nano;
	if (rc == ERR_OK)
		*out = list;
	else
		refinement_list_release(&list);
	return rc;
}

void
refinement_list_release(struct refinement_list *l)
{
	int i;

	for (i = 0; i < l->n; i++)
		refinement_release(&l->rows[i]);
	free(l->rows);
	memset(l, 0, sizeof(*l));
}
