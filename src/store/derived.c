/*
 * Rows of refinements and captions along the life of their jobs.
 *
 * The life of such a row follows its job's: begun with the first claim, ended
 * in the unit that ends the job.  The run is not touched but for the number of
 * its newest event.  A noise check is a job about a refinement that has ended;
 * all it leaves in the row is what was found.
 *
 * What a row cost is the sum over the ledger of all jobs about it, taken when
 * it ends and again whenever an answer is booked after that; so a noise check
 * is part of what its refinement cost.
 */
#include "internal.h"

#include "clock.h"
#include "derived.h"
#include "xalloc.h"

#define MAX_ERROR_DATA_BYTES (64 * 1024)
#define NOISE_FAILED "The noise check did not work."

/* The kinds with a row of their own. */
struct table {
	const char *kind;
	const char *begin, *end, *sum;	/* SQL */
};

#define OF_SUBJECT(table)						\
	" FROM jobs j JOIN model_calls c ON c.job_id = j.id"		\
	" WHERE j.subject_id = " table ".id AND j.kind <> 'generation'"
#define SUM(table)							\
	"UPDATE " table " SET cost_nano ="				\
	" (SELECT COALESCE(sum(c.cost_nano), 0)" OF_SUBJECT(table) ")," \
	" has_cost = CASE WHEN EXISTS (SELECT 1" OF_SUBJECT(table)	\
	"  AND c.cost_nano > 0) THEN 1 ELSE 0 END,"			\
	" simulated = CASE WHEN EXISTS (SELECT 1" OF_SUBJECT(table)	\
	"  AND c.simulated = 1) THEN 1 ELSE simulated END,"		\
	" version = version + 1 WHERE id = ?1"				\
	" AND status IN ('COMPLETED', 'FAILED', 'CANCELLED')"
#define BEGIN(table)							\
	"UPDATE " table " SET status = 'RUNNING', started_ms = ?2,"	\
	" version = version + 1 WHERE id = ?1 AND status = 'PENDING'"
#define END(table)							\
	"UPDATE " table " SET status = ?2, completed_ms = ?3,"		\
	" error_message = ?4, version = version + 1"			\
	" WHERE id = ?1 AND status IN ('PENDING', 'RUNNING')"

static const struct table tables[] = {
	{ KIND_REFINEMENT, BEGIN("refinements"), END("refinements"),
	    SUM("refinements") },
	{ KIND_CAPTION, BEGIN("captions"), END("captions"), SUM("captions") },
};

/* NULL: this kind has no row of its own. */
static const struct table *
table_of(const char *kind)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(tables); i++)
		if (strcmp(tables[i].kind, kind) == 0)
			return &tables[i];
	return NULL;
}

enum err_code
derived_begin(struct db *db, const struct job *j, int64_t now_ms,
    struct err *e)
{
	const struct table *t = table_of(j->kind);

	if (t == NULL)
		return ERR_OK;
	return db_run(db, t->begin, DB_ARGS(db_s(j->subject_id),
	    db_i(now_ms)), NULL, e);
}

/* --- money ---------------------------------------------------------------- */

enum err_code
derived_sum(struct db *db, const char *kind, const char *subject_id,
    struct err *e)
{
	const struct table *t;

	/* A noise check is about a refinement. */
	t = table_of(strcmp(kind, KIND_ASSESSMENT) == 0 ? KIND_REFINEMENT :
	    kind);
	if (t == NULL)
		return ERR_OK;
	return db_run(db, t->sum, DB_ARGS(db_s(subject_id)), NULL, e);
}

/* --- ends ----------------------------------------------------------------- */

static enum err_code
put_refinement(struct db *db, const char *id, const struct refinement_end *x,
    struct err *e)
{
	static const char sql[] =
	    "UPDATE refinements SET image_path = ?2,"
	    " summary = COALESCE(?3, summary), error_type = ?4 WHERE id = ?1";

	return db_run(db, sql, DB_ARGS(db_s(id), db_s(x->image_path),
	    db_s(x->summary), db_s(x->error_type)), NULL, e);
}

static enum err_code
put_caption(struct db *db, const char *id, const struct caption_end *x,
    struct err *e)
{
	static const char sql[] =
	    "UPDATE captions SET text = ?2, settings = COALESCE(?3, settings),"
	    " brief = ?4, usage = ?5, file_path = ?6, truncated = ?7,"
	    " error_type = ?8 WHERE id = ?1";

	return db_run(db, sql, DB_ARGS(db_s(id), db_s(x->text),
	    db_s(x->settings), db_s(x->brief), db_s(x->usage),
	    db_s(x->file_path), db_i(x->truncated), db_s(x->error_type)),
	    NULL, e);
}

/* What was found; a check that failed leaves the row as it is. */
static enum err_code
put_noise(struct db *db, const char *id, int noise, struct err *e)
{
	static const char sql[] =
	    "UPDATE refinements SET noise = ?2, version = version + 1"
	    " WHERE id = ?1";

	if (noise == NOISE_UNKNOWN)
		return ERR_OK;
	return db_run(db, sql, DB_ARGS(db_s(id), db_i(noise)), NULL, e);
}

enum err_code
derived_end(struct db *db, const char *kind, const char *subject_id,
    enum state to, const char *message, const struct job_end *end,
    int64_t now_ms, struct err *e)
{
	const struct table *t = table_of(kind);
	enum err_code rc = ERR_OK;
	int64_t changes = 0;

	if (t != NULL) {
		rc = db_run(db, t->end, DB_ARGS(db_s(subject_id),
		    db_s(state_name(to)), db_i(now_ms), db_s(message)),
		    &changes, e);
		if (rc == ERR_OK && changes != 1)
			rc = err_set(e, ERR_SYSTEM,
			    "a %s ended before its job", kind);
	}
	if (rc == ERR_OK && end != NULL && end->refinement != NULL)
		rc = put_refinement(db, subject_id, end->refinement, e);
	if (rc == ERR_OK && end != NULL && end->caption != NULL)
		rc = put_caption(db, subject_id, end->caption, e);
	if (rc == ERR_OK && strcmp(kind, KIND_ASSESSMENT) == 0 && end != NULL)
		rc = put_noise(db, subject_id, end->noise, e);
	if (rc == ERR_OK)
		rc = derived_sum(db, kind, subject_id, e);
	return rc;
}

/* --- what the store itself tells of an end -------------------------------- */

static enum err_code
read_image_id(struct db *db, const char *id, char **out, struct err *e)
{
	static const char sql[] = "SELECT image_id FROM captions WHERE id = ?1";
	struct db_rows *r = NULL;
	enum err_code rc;
	bool found;

	rc = db_first(db, sql, DB_ARGS(db_s(id)), &r, &found, e);
	if (rc == ERR_OK && !found)
		rc = err_set(e, ERR_NOT_FOUND, "there is no such caption");
	if (rc == ERR_OK)
		*out = db_text_copy(r, 0);
	db_done(r);
	return rc;
}

static void
add_member(struct strbuf *sb, const char *name, const char *value)
{
	strbuf_addf(sb, "%s\"%s\":\"", sb->len > 1 ? "," : "", name);
	strbuf_add_json_escaped(sb, value, strlen(value));
	strbuf_addch(sb, '"');
}

static void
refinement_text(struct strbuf *sb, const char *id, const char *type,
    enum state to, const char *message, int64_t now_ms)
{
	char when[CLOCK_TEXT_MAX];

	add_member(sb, "job_id", id);
	add_member(sb, "status", state_name(to));
	add_member(sb, "error_message", message);
	strbuf_addf(sb, ",\"error_details\":{\"job_id\":\"%s\","
	    "\"type\":\"%s\"}", id, type);
	add_member(sb, "timestamp", clock_format(now_ms, when));
}

static void
caption_text(struct strbuf *sb, const char *id, const char *image_id,
    const char *type, const char *message)
{
	add_member(sb, "caption_id", id);
	add_member(sb, "image_id", image_id);
	/* Clients know this one value only; error_type says more. */
	add_member(sb, "status", "FAILED");
	add_member(sb, "error_message", message);
	add_member(sb, "error_type", type);
}

static void
noise_text(struct strbuf *sb, const char *id, const char *message)
{
	add_member(sb, "job_id", id);
	add_member(sb, "error", message);
	add_member(sb, "message", NOISE_FAILED);
}

enum err_code
derived_tell_end(struct db *db, const struct job *j, const char *type,
    enum state to, const char *message, int64_t now_ms, struct err *e)
{
	struct strbuf data = STRBUF_INIT(MAX_ERROR_DATA_BYTES);
	const char *event = "run_error";
	char *image_id = NULL;
	enum err_code rc = ERR_OK;

	strbuf_addch(&data, '{');
	if (strcmp(j->kind, KIND_CAPTION) == 0) {
		event = "caption_error";
		rc = read_image_id(db, j->subject_id, &image_id, e);
		if (rc == ERR_OK)
			caption_text(&data, j->subject_id, image_id, type,
			    message);
	} else if (strcmp(j->kind, KIND_ASSESSMENT) == 0) {
		event = "noise_assessment_error";
		noise_text(&data, j->subject_id, message);
	} else {
		refinement_text(&data, j->subject_id, type, to, message,
		    now_ms);
	}
	strbuf_addch(&data, '}');
	if (rc == ERR_OK && strbuf_overflowed(&data))
		rc = err_set(e, ERR_TOO_LARGE, "the message is too long");
	if (rc == ERR_OK)
		rc = event_append(db, j->run_id, event, data.buf, now_ms, e);
	strbuf_release(&data);
	free(image_id);
	return rc;
}

/* --- telling -------------------------------------------------------------- */

struct told {
	const struct job_ref *ref;
	const char *type, *data;
	int64_t now_ms;
};

static enum err_code
tell_unit(struct db *db, void *arg, struct err *e)
{
	const struct told *t = arg;
	enum err_code rc;

	rc = job_check_fence(db, t->ref, e);
	if (rc == ERR_OK)
		rc = event_append(db, t->ref->run_id, t->type, t->data,
		    t->now_ms, e);
	return rc;
}

enum err_code
store_tell(struct store *st, const struct job_ref *ref, const char *type,
    const char *data, int64_t now_ms, struct err *e)
{
	struct told t = { ref, type, data, now_ms };

	return store_write(st, tell_unit, &t, e);
}
