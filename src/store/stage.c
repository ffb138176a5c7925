/*
 * Progress: stage rows, the events that tell of them, and checkpoints.
 *
 * lane_outputs is what a job resumes from, stages is the summary people see.
 * One call of store_progress() writes both and the events in one unit, under
 * the fence, so nobody ever sees one without the other.
 *
 * What a stage cost is summed from the ledger whenever the stage ends, and
 * again when an answer is booked after that.
 */
#include "internal.h"

#include "xalloc.h"

#define MAX_NAMES_BYTES 1024	/* of models or providers in one stage row */

static const char *const status_names[] = {
	[STAGE_PENDING] = "PENDING",
	[STAGE_RUNNING] = "RUNNING",
	[STAGE_COMPLETED] = "COMPLETED",
	[STAGE_FAILED] = "FAILED",
	[STAGE_SKIPPED] = "SKIPPED",
};

_Static_assert(ARRAY_LEN(status_names) == STAGE_STATUS__COUNT,
    "a status has no name");

const char *
stage_status_name(enum stage_status s)
{
	return status_names[s];
}

static bool
status_parse(const char *name, enum stage_status *out)
{
	int i;

	for (i = 0; i < STAGE_STATUS__COUNT; i++)
		if (name != NULL && strcmp(name, status_names[i]) == 0) {
			*out = (enum stage_status)i;
			return true;
		}
	return false;
}

static bool
has_ended(enum stage_status s)
{
	switch (s) {
	case STAGE_PENDING:
	case STAGE_RUNNING:
		return false;
	case STAGE_COMPLETED:
	case STAGE_FAILED:
	case STAGE_SKIPPED:
	case STAGE_STATUS__COUNT:
		return true;
	}
	return true;
}

/* --- what a stage cost ---------------------------------------------------- */

struct stage_figures {
	struct strbuf models, providers;
	int64_t input_tokens, output_tokens, images, cost_nano;
};

/* "a, b", each once, in the order of their first call. */
static void
add_name(struct strbuf *names, const char *name)
{
	size_t len = name == NULL ? 0 : strlen(name);
	const char *p;

	if (len == 0)
		return;
	for (p = strstr(names->buf, name); p != NULL; p = strstr(p + 1, name))
		if ((p == names->buf || p[-1] == ' ') &&
		    (p[len] == '\0' || p[len] == ','))
			return;
	strbuf_addf(names, "%s%s", names->len > 0 ? ", " : "", name);
}

static enum err_code
read_figures(struct db *db, const char *job_id, const char *stage,
    struct stage_figures *f, struct err *e)
{
	static const char sql[] =
	    "SELECT model, provider, sum(prompt_tokens),"
	    " sum(CASE WHEN image_out_tokens > completion_tokens"
	    "  THEN image_out_tokens ELSE completion_tokens END),"
	    " sum(CASE WHEN state = 'ANSWERED' AND"
	    "  (image_out_tokens > 0 OR blobs <> '[]') THEN 1 ELSE 0 END),"
	    " sum(cost_nano) FROM model_calls"
	    " WHERE job_id = ?1 AND stage = ?2"
	    " GROUP BY model, provider ORDER BY min(sent_ms), model";
	struct db_rows *r = NULL;
	enum err_code rc;
	bool more;

	rc = db_query(db, sql, DB_ARGS(db_s(job_id), db_s(stage)), &r, e);
	while (rc == ERR_OK) {
		rc = db_next(r, &more, e);
		if (rc != ERR_OK || !more)
			break;
		add_name(&f->models, db_text(r, 0));
		add_name(&f->providers, db_text(r, 1));
		f->input_tokens += db_int(r, 2);
		f->output_tokens += db_int(r, 3);
		f->images += db_int(r, 4);
		f->cost_nano += db_int(r, 5);
	}
	db_done(r);
	return rc;
}

enum err_code
stage_sum(struct db *db, const char *job_id, const char *stage, bool *changed,
    struct err *e)
{
	static const char sql[] =
	    "UPDATE stages SET model_id = ?3, provider = ?4,"
	    " input_tokens = ?5, output_tokens = ?6, images = ?7,"
	    " cost_nano = ?8 WHERE job_id = ?1 AND name = ?2"
	    " AND status IN ('COMPLETED', 'FAILED', 'SKIPPED')";
	struct stage_figures f = {
		STRBUF_INIT(MAX_NAMES_BYTES), STRBUF_INIT(MAX_NAMES_BYTES),
		0, 0, 0, 0
	};
	int64_t changes = 0;
	enum err_code rc;

	rc = read_figures(db, job_id, stage, &f, e);
	/* Names that are too many to fit are cut; the figures are not. */
	if (rc == ERR_OK)
		rc = db_run(db, sql, DB_ARGS(db_s(job_id), db_s(stage),
		    db_s(f.models.len > 0 ? f.models.buf : NULL),
		    db_s(f.providers.len > 0 ? f.providers.buf : NULL),
		    db_i(f.input_tokens), db_i(f.output_tokens),
		    db_i(f.images), db_i(f.cost_nano)), &changes, e);
	if (rc == ERR_OK && changed != NULL)
		*changed = changes > 0;
	strbuf_release(&f.models);
	strbuf_release(&f.providers);
	return rc;
}

/* --- for units ------------------------------------------------------------ */

/* *changed is false when the stage has ended already: nothing leaves that. */
static enum err_code
put_row(struct db *db, const char *job_id, const struct stage_update *u,
    bool *changed, struct err *e)
{
	static const char sql[] =
	    "INSERT INTO stages (job_id, name, ord, status, started_ms,"
	    " completed_ms, duration_ms, message, output, error_message)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
	    " ON CONFLICT (job_id, name) DO UPDATE SET ord = excluded.ord,"
	    " status = excluded.status, started_ms = excluded.started_ms,"
	    " completed_ms = excluded.completed_ms,"
	    " duration_ms = excluded.duration_ms,"
	    " message = excluded.message, output = excluded.output,"
	    " error_message = excluded.error_message"
	    " WHERE stages.status IN ('PENDING', 'RUNNING')";
	int64_t changes = 0;
	enum err_code rc;

	rc = db_run(db, sql, DB_ARGS(db_s(job_id), db_s(u->name),
	    db_d(u->order), db_s(status_names[u->status]),
	    db_i(u->started_ms), db_i(u->completed_ms), db_i(u->duration_ms),
	    db_s(u->message), db_s(u->output), db_s(u->error_message)),
	    &changes, e);
	*changed = changes > 0;
	return rc;
}

enum err_code
stage_write(struct db *db, const struct job_ref *ref,
    const struct stage_update *u, int64_t now_ms, struct err *e)
{
	bool changed = false;
	enum err_code rc;

	rc = put_row(db, ref->job_id, u, &changed, e);
	if (rc != ERR_OK || !changed)
		return rc;
	if (has_ended(u->status))
		rc = stage_sum(db, ref->job_id, u->name, NULL, e);
	if (rc == ERR_OK && u->event_data != NULL)
		rc = event_append(db, ref->run_id, u->event_type != NULL ?
		    u->event_type : "stage_update", u->event_data, now_ms, e);
	else if (rc == ERR_OK)
		rc = run_touch(db, ref->run_id, e);
	return rc;
}

enum err_code
stages_close(struct db *db, const char *job_id, const char *message,
    int64_t now_ms, struct err *e)
{
	static const struct reading running = {
		"SELECT name FROM stages"
		" WHERE job_id = ?1 AND status = 'RUNNING'",
		text_from_row, sizeof(char *)
	};
	static const char sql[] =
	    "UPDATE stages SET status = 'FAILED', completed_ms = ?2,"
	    " duration_ms = CASE WHEN started_ms > 0 AND ?2 >= started_ms"
	    "  THEN ?2 - started_ms ELSE -1 END,"
	    " message = COALESCE(?3, message), error_message = ?3"
	    " WHERE job_id = ?1 AND status = 'RUNNING'";
	struct row_list names = { NULL, 0 };
	enum err_code rc;
	char **list;
	int i;

	rc = rows_read(db, &running, DB_ARGS(db_s(job_id)), &names, e);
	if (rc == ERR_OK && names.n > 0)
		rc = db_run(db, sql, DB_ARGS(db_s(job_id), db_i(now_ms),
		    db_s(message)), NULL, e);
	list = names.rows;
	for (i = 0; i < names.n; i++) {
		if (rc == ERR_OK)
			rc = stage_sum(db, job_id, list[i], NULL, e);
		free(list[i]);
	}
	free(list);
	return rc;
}

/* --- progress ------------------------------------------------------------- */

struct progress {
	const struct job_ref *ref;
	const struct lane_output *checkpoint;
	const struct stage_update *updates;
	int n_updates;
	int64_t now_ms;
};

static enum err_code
put_checkpoint(struct db *db, const char *job_id, const struct lane_output *o,
    struct err *e)
{
	static const char sql[] =
	    "INSERT INTO lane_outputs (job_id, stage, variant, ok, started_ms,"
	    " ended_ms, error, warnings, output)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
	    " ON CONFLICT (job_id, stage, variant) DO UPDATE SET"
	    " ok = excluded.ok, started_ms = excluded.started_ms,"
	    " ended_ms = excluded.ended_ms, error = excluded.error,"
	    " warnings = excluded.warnings, output = excluded.output";
	static const char sql_attempts[] =
	    "UPDATE jobs SET attempts = 1 WHERE id = ?1 AND attempts <> 1";
	enum err_code rc;

	rc = db_run(db, sql, DB_ARGS(db_s(job_id), db_s(o->stage),
	    db_i(o->variant), db_i(o->ok), db_i(o->started_ms),
	    db_i(o->ended_ms), db_s(o->error), db_s(o->warnings),
	    db_s(o->output)), NULL, e);
	if (rc == ERR_OK)
		rc = db_run(db, sql_attempts, DB_ARGS(db_s(job_id)), NULL, e);
	return rc;
}

static enum err_code
progress_unit(struct db *db, void *arg, struct err *e)
{
	const struct progress *p = arg;
	enum err_code rc;
	int i;

	rc = job_check_fence(db, p->ref, e);
	if (rc == ERR_OK && p->checkpoint != NULL)
		rc = put_checkpoint(db, p->ref->job_id, p->checkpoint, e);
	for (i = 0; i < p->n_updates && rc == ERR_OK; i++)
		rc = stage_write(db, p->ref, &p->updates[i], p->now_ms, e);
	return rc;
}

enum err_code
store_progress(struct store *st, const struct job_ref *ref,
    const struct lane_output *checkpoint, const struct stage_update *updates,
    int n_updates, int64_t now_ms, struct err *e)
{
	struct progress p = { ref, checkpoint, updates, n_updates, now_ms };

	return store_write(st, progress_unit, &p, e);
}

/* --- reading -------------------------------------------------------------- */

#define STAGE_COLUMNS							\
	"name, ord, status, started_ms, completed_ms, duration_ms, "	\
	"message, output, error_message, model_id, provider, "		\
	"input_tokens, output_tokens, images, cost_nano"

static enum err_code
stage_from_row(struct db_rows *r, void *slot, struct err *e)
{
	struct stage_row *s = slot;

	s->name = db_text_copy(r, 0);
	s->order = db_real(r, 1);
	s->started_ms = db_int(r, 3);
	s->completed_ms = db_int(r, 4);
	s->duration_ms = db_int(r, 5);
	s->message = db_text_copy(r, 6);
	s->output = db_text_copy(r, 7);
	s->error_message = db_text_copy(r, 8);
	s->model_id = db_text_copy(r, 9);
	s->provider = db_text_copy(r, 10);
	s->input_tokens = db_int(r, 11);
	s->output_tokens = db_int(r, 12);
	s->images = db_int(r, 13);
	s->cost_nano = db_int(r, 14);
	if (!status_parse(db_text(r, 2), &s->status))
		return err_set(e, ERR_SYSTEM, "a row has an unknown status");
	return ERR_OK;
}

static enum err_code
list_stages(struct store *st, const struct reading *how, const char *id,
    struct stage_list *out, struct err *e)
{
	struct row_list rows = { NULL, 0 };
	struct stage_list list;
	enum err_code rc;

	rc = store_read_rows(st, how, DB_ARGS(db_s(id)), &rows, e);
	list.rows = rows.rows;
	list.n = rows.n;
	if (rc == ERR_OK)
		*out = list;
	else
		stage_list_release(&list);
	return rc;
}

enum err_code
store_list_stages(struct store *st, const char *job_id, struct stage_list *out,
    struct err *e)
{
	static const struct reading how = {
		"SELECT " STAGE_COLUMNS " FROM stages WHERE job_id = ?1"
		" ORDER BY ord, name",
		stage_from_row, sizeof(struct stage_row)
	};

	return list_stages(st, &how, job_id, out, e);
}

enum err_code
store_list_run_stages(struct store *st, const char *run_id,
    struct stage_list *out, struct err *e)
{
	static const struct reading how = {
		"SELECT " STAGE_COLUMNS " FROM stages WHERE job_id ="
		" (SELECT id FROM jobs"
		"  WHERE run_id = ?1 AND kind = 'generation'"
		"  ORDER BY created_ms DESC LIMIT 1)"
		" ORDER BY ord, name",
		stage_from_row, sizeof(struct stage_row)
	};

	return list_stages(st, &how, run_id, out, e);
}

void
stage_list_release(struct stage_list *l)
{
	struct stage_row *s;
	int i;

	for (i = 0; i < l->n; i++) {
		s = &l->rows[i];
		free(s->name);
		free(s->message);
		free(s->output);
		free(s->error_message);
		free(s->model_id);
		free(s->provider);
	}
	free(l->rows);
	memset(l, 0, sizeof(*l));
}

static enum err_code
output_from_row(struct db_rows *r, void *slot, struct err *e)
{
	struct lane_output_row *o = slot;

	(void)e;
	o->stage = db_text_copy(r, 0);
	o->variant = (int)db_int(r, 1);
	o->ok = db_int(r, 2) != 0;
	o->output = db_text_copy(r, 3);
	o->warnings = db_text_copy(r, 4);
	o->error = db_text_copy(r, 5);
	o->started_ms = db_int(r, 6);
	o->ended_ms = db_int(r, 7);
	return ERR_OK;
}

enum err_code
store_list_outputs(struct store *st, const char *job_id,
    struct lane_output_list *out, struct err *e)
{
	static const struct reading how = {
		"SELECT stage, variant, ok, output, warnings, error,"
		" started_ms, ended_ms FROM lane_outputs WHERE job_id = ?1"
		" ORDER BY stage, variant",
		output_from_row, sizeof(struct lane_output_row)
	};
	struct row_list rows = { NULL, 0 };
	struct lane_output_list list;
	enum err_code rc;

	rc = store_read_rows(st, &how, DB_ARGS(db_s(job_id)), &rows, e);
	list.rows = rows.rows;
	list.n = rows.n;
	if (rc == ERR_OK)
		*out = list;
	else
		lane_output_list_release(&list);
	return rc;
}

void
lane_output_list_release(struct lane_output_list *l)
{
	struct lane_output_row *o;
	int i;

	for (i = 0; i < l->n; i++) {
		o = &l->rows[i];
		free(o->stage);
		free(o->output);
		free(o->warnings);
		free(o->error);
	}
	free(l->rows);
	memset(l, 0, sizeof(*l));
}
