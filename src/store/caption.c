/*
 * Captions: accepting and reading them.
 *
 * The number of a caption is taken in the unit that stores it: one more than
 * the highest there is of its picture.  Units come one after another, so two
 * requests at the same moment get two numbers; a caption that fails keeps its
 * own, so no number is ever used twice.
 */
#include "internal.h"

#include <assert.h>

#include "derived.h"
#include "xalloc.h"

#define CAPTION_COLUMNS							\
	"id, run_id, owner, status, image_id, number, model_id, "	\
	"writer_only, source_number, created_ms, started_ms, "		\
	"completed_ms, cost_nano, has_cost, simulated, truncated, version, " \
	"file_path, error_message, error_type, settings, usage, text, "	\
	"brief, inputs"

void
caption_release(struct caption *c)
{
	derived_release(&c->d);
	free(c->image_id);
	free(c->settings);
	free(c->model_id);
	free(c->text);
	free(c->brief);
	free(c->usage);
	free(c->file_path);
	memset(c, 0, sizeof(*c));
}

/* --- accepting ------------------------------------------------------------ */

struct submission {
	const struct caption *c;
	const struct new_job *job;
	const struct idempotency *idem;	/* NULL: none */
	char *(*body)(void *arg, int number);
	void *arg;
	int number;
	char *text;		/* the answer; owned */
	struct kept kept;
};

static enum err_code
next_number(struct db *db, const struct caption *c, int *out, struct err *e)
{
	static const char sql[] =
	    "SELECT COALESCE(max(number), -1) + 1 FROM captions"
	    " WHERE run_id = ?1 AND image_id = ?2";
	struct db_rows *r = NULL;
	enum err_code rc;
	bool found;

	rc = db_first(db, sql, DB_ARGS(db_s(c->d.run_id), db_s(c->image_id)),
	    &r, &found, e);
	if (rc == ERR_OK)
		*out = found ? (int)db_int(r, 0) : 0;
	db_done(r);
	return rc;
}

static enum err_code
insert_caption(struct db *db, const struct caption *c, int number,
    struct err *e)
{
	static const char sql[] =
	    "INSERT INTO captions (id, run_id, owner, status, image_id,"
	    " number, model_id, writer_only, source_number, created_ms,"
	    " settings, inputs)"
	    " VALUES (?1, ?2, ?3, 'PENDING', ?4, ?5, ?6, ?7, ?8, ?9, ?10,"
	    " ?11)";

	return db_run(db, sql, DB_ARGS(db_s(c->d.id), db_s(c->d.run_id),
	    db_s(c->d.owner), db_s(c->image_id), db_i(number),
	    db_s(c->model_id), db_i(c->writer_only), db_i(c->source_number),
	    db_i(c->d.created_ms), db_s(c->settings), db_s(c->d.inputs)),
	    NULL, e);
}

static enum err_code
store_new(struct db *db, const struct submission *s, struct err *e)
{
	const struct caption *c = s->c;
	const struct job_plan plan = { s->job->id, c->d.run_id, c->d.id,
	    KIND_CAPTION, c->d.owner, s->job->stages, s->job->n_stages,
	    s->job->priority, c->d.created_ms, s->job->deadline_after_ms, 0,
	    0 };
	enum err_code rc;

	rc = run_check_completed(db, c->d.owner, c->d.run_id, e);
	if (rc == ERR_OK)
		rc = insert_caption(db, c, s->number, e);
	if (rc == ERR_OK)
		rc = job_insert(db, &plan, e);
	if (rc == ERR_OK)
		rc = run_touch(db, c->d.run_id, e);
	return rc;
}

static enum err_code
submit_unit(struct db *db, void *arg, struct err *e)
{
	struct submission *s = arg;
	struct idempotency idem;
	enum err_code rc;
	bool is_new = true;

	free(s->text);
	s->text = NULL;
	rc = next_number(db, s->c, &s->number, e);
	if (rc != ERR_OK)
		return rc;
	s->text = s->body(s->arg, s->number);
	if (s->idem != NULL) {
		idem = *s->idem;
		idem.body = s->text;
	}
	rc = key_take(db, s->idem != NULL ? &idem : NULL, s->c->d.run_id,
	    s->c->d.created_ms, &is_new, &s->kept, e);
	if (rc == ERR_OK && is_new)
		rc = store_new(db, s, e);
	return rc;
}

enum err_code
store_submit_caption(struct store *st, const struct caption *c,
    const struct new_job *job, const struct idempotency *idem,
    char *(*body)(void *arg, int number), void *arg,
    enum submit_outcome *outcome, int *status, char **body_out,
    struct err *e)
{
	struct submission s = { .c = c, .job = job, .idem = idem,
	    .body = body, .arg = arg };
	enum err_code rc;

	rc = store_write(st, submit_unit, &s, e);
	if (rc == ERR_OK && s.kept.outcome == SUBMIT_NEW) {
		*outcome = SUBMIT_NEW;
		*body_out = s.text;
		s.text = NULL;
	} else if (rc == ERR_OK) {
		kept_give(&s.kept, outcome, status, body_out);
	}
	free(s.text);
	kept_release(&s.kept);
	return rc;
}

/* --- reading -------------------------------------------------------------- */

static enum err_code
caption_from_row(struct db_rows *r, void *slot, struct err *e)
{
	struct caption *c = slot;

	copy_id(c->d.id, db_text(r, 0));
	copy_id(c->d.run_id, db_text(r, 1));
	c->d.owner = db_text_copy(r, 2);
	c->image_id = db_text_copy(r, 4);
	c->number = (int)db_int(r, 5);
	c->model_id = db_text_copy(r, 6);
	c->writer_only = db_int(r, 7) != 0;
	c->source_number = (int)db_int(r, 8);
	c->d.created_ms = db_int(r, 9);
	c->d.started_ms = db_int(r, 10);
	c->d.completed_ms = db_int(r, 11);
	c->d.cost_nano = db_int(r, 12);
	c->d.has_cost = db_int(r, 13) != 0;
	c->d.simulated = db_int(r, 14) != 0;
	c->truncated = db_int(r, 15) != 0;
	c->d.version = db_int(r, 16);
	c->file_path = db_text_copy(r, 17);
	c->d.error_message = db_text_copy(r, 18);
	c->d.error_type = db_text_copy(r, 19);
	c->settings = db_text_copy(r, 20);
	c->usage = db_text_copy(r, 21);
	c->text = db_text_copy(r, 22);
	c->brief = db_text_copy(r, 23);
	c->d.inputs = db_text_copy(r, 24);
	return read_state(r, 3, &c->d.status, e);
}

/* One row that the statement finds. */
static enum err_code
read_caption(struct store *st, const char *sql, const struct db_value *args,
    size_t n, struct caption *out, struct err *e)
{
	struct db_rows *r = NULL;
	struct db *db = NULL;
	struct caption c;
	enum err_code rc;
	bool found = false;

	memset(&c, 0, sizeof(c));
	rc = store_borrow(st, &db, e);
	if (rc == ERR_OK)
		rc = db_first(db, sql, args, n, &r, &found, e);
	if (rc == ERR_OK && !found)
		rc = err_set(e, ERR_NOT_FOUND, "there is no such caption");
	if (rc == ERR_OK)
		rc = caption_from_row(r, &c, e);
	db_done(r);
	store_return(st, db);
	if (rc == ERR_OK)
		*out = c;
	else
		caption_release(&c);
	return rc;
}

enum err_code
store_get_caption(struct store *st, const char *owner, const char *id,
    struct caption *out, struct err *e)
{
	static const char sql[] = "SELECT " CAPTION_COLUMNS " FROM captions"
	    " WHERE id = ?1 AND (?2 IS NULL OR owner = ?2)";

	return read_caption(st, sql, DB_ARGS(db_s(id), db_s(owner)), out, e);
}

enum err_code
store_find_caption(struct store *st, const char *owner, const char *run_id,
    const char *image_id, int number, struct caption *out, struct err *e)
{
	static const char sql[] = "SELECT " CAPTION_COLUMNS " FROM captions"
	    " WHERE run_id = ?1 AND image_id = ?2 AND number = ?3"
	    " AND (?4 IS NULL OR owner = ?4)";

	return read_caption(st, sql, DB_ARGS(db_s(run_id), db_s(image_id),
	    db_i(number), db_s(owner)), out, e);
}

enum err_code
store_list_captions(struct store *st, const char *run_id,
    const char *image_id, bool completed_only, struct caption_list *out,
    struct err *e)
{
	static const struct reading how = {
		"SELECT " CAPTION_COLUMNS " FROM captions"
		" WHERE run_id = ?1 AND image_id = ?2"
		" AND (?3 = 0 OR status = 'COMPLETED') ORDER BY number",
		caption_from_row, sizeof(struct caption)
	};
	struct row_list rows = { NULL, 0 };
	struct caption_list list;
	enum err_code rc;

	rc = store_read_rows(st, &how, DB_ARGS(db_s(run_id), db_s(image_id),
	    db_i(completed_only)), &rows, e);
	list.rows = rows.rows;
	list.n = rows.n;
	if (rc == ERR_OK)
		*out = list;
	else
		caption_list_release(&list);
	return rc;
}

void
caption_list_release(struct caption_list *l)
{
	int i;

	for (i = 0; i < l->n; i++)
		caption_release(&l->rows[i]);
	free(l->rows);
	memset(l, 0, sizeof(*l));
}

enum err_code
store_caption_cost(struct store *st, const char *run_id, int64_t *cost_nano,
    struct err *e)
{
	static const char sql[] =
	    "SELECT COALESCE(sum(cost_nano), 0) FROM captions"
	    " WHERE run_id = ?1";
	struct db_rows *r = NULL;
	struct db *db = NULL;
	enum err_code rc;
	bool found;

	rc = store_borrow(st, &db, e);
	if (rc == ERR_OK)
		rc = db_first(db, sql, DB_ARGS(db_s(run_id)), &r, &found, e);
	if (rc == ERR_OK)
		*cost_nano = db_int(r, 0);
	db_done(r);
	store_return(st, db);
	return rc;
}
