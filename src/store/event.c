/*
 * The progress log of a run.
 *
 * A number is taken from the run's row and the event inserted under it in one
 * transaction, the one that also writes what the event tells.  So numbers have
 * no gaps and grow in the order of commits, and a reader who has seen number n
 * has seen everything up to n.
 */
#include "internal.h"

#include "clock.h"
#include "xalloc.h"

#define MAX_ERROR_DATA_BYTES (64 * 1024)

/* --- for units ------------------------------------------------------------ */

/* Counts as a change of the run. */
static enum err_code
next_seq(struct db *db, const char *run_id, int64_t *out, struct err *e)
{
	static const char sql[] =
	    "UPDATE runs SET last_seq = last_seq + 1, version = version + 1"
	    " WHERE id = ?1 RETURNING last_seq";
	struct db_rows *r = NULL;
	enum err_code rc;
	bool found;

	rc = db_first(db, sql, DB_ARGS(db_s(run_id)), &r, &found, e);
	if (rc == ERR_OK && !found)
		return err_set(e, ERR_NOT_FOUND, "there is no such run");
	if (rc == ERR_OK)
		*out = db_int(r, 0);
	return db_end(r, rc, e);
}

enum err_code
event_append(struct db *db, const char *run_id, const char *type,
    const char *data, int64_t now_ms, struct err *e)
{
	static const char sql[] =
	    "INSERT INTO events (run_id, seq, type, created_ms, data)"
	    " VALUES (?1, ?2, ?3, ?4, ?5)";
	int64_t seq = 0;
	enum err_code rc;

	rc = next_seq(db, run_id, &seq, e);
	if (rc == ERR_OK)
		rc = db_run(db, sql, DB_ARGS(db_s(run_id), db_i(seq),
		    db_s(type), db_i(now_ms), db_s(data)), NULL, e);
	return rc;
}

enum err_code
event_append_error(struct db *db, const char *run_id, const char *type,
    const char *message, int64_t now_ms, struct err *e)
{
	struct strbuf data = STRBUF_INIT(MAX_ERROR_DATA_BYTES);
	char when[CLOCK_TEXT_MAX];
	enum err_code rc;

	strbuf_addstr(&data, "{\"error_message\":\"");
	strbuf_add_json_escaped(&data, message, strlen(message));
	strbuf_addf(&data, "\",\"error_details\":{\"type\":\"%s\"},"
	    "\"timestamp\":\"%s\"}", type, clock_format(now_ms, when));
	if (strbuf_overflowed(&data))
		rc = err_set(e, ERR_TOO_LARGE, "the message is too long");
	else
		rc = event_append(db, run_id, "run_error", data.buf, now_ms, e);
	strbuf_release(&data);
	return rc;
}

/* --- reading -------------------------------------------------------------- */

static enum err_code
event_from_row(struct db_rows *r, void *slot, struct err *e)
{
	struct event *ev = slot;

	(void)e;
	ev->seq = db_int(r, 0);
	ev->type = db_text_copy(r, 1);
	ev->created_ms = db_int(r, 2);
	ev->data = db_text_copy(r, 3);
	return ERR_OK;
}

static enum err_code
read_last_seq(struct db *db, const char *owner, const char *run_id,
    int64_t *out, struct err *e)
{
	static const char sql[] =
	    "SELECT last_seq FROM runs"
	    " WHERE id = ?1 AND (?2 IS NULL OR owner = ?2)";
	struct db_rows *r = NULL;
	enum err_code rc;
	bool found;

	rc = db_first(db, sql, DB_ARGS(db_s(run_id), db_s(owner)), &r, &found,
	    e);
	if (rc == ERR_OK && !found)
		return err_set(e, ERR_NOT_FOUND, "there is no such run");
	if (rc == ERR_OK)
		*out = db_int(r, 0);
	db_done(r);
	return rc;
}

/* One transaction, so that last_seq and the rows are of the same moment. */
static enum err_code
read_events(struct db *db, const char *owner, const char *run_id,
    int64_t after, int limit, struct row_list *rows, int64_t *last_seq,
    struct err *e)
{
	static const struct reading how = {
		"SELECT seq, type, created_ms, data FROM events"
		" WHERE run_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
		event_from_row, sizeof(struct event)
	};
	enum err_code rc;

	rc = db_begin_read(db, e);
	if (rc == ERR_OK)
		rc = read_last_seq(db, owner, run_id, last_seq, e);
	if (rc != ERR_OK || after >= *last_seq)
		return rc;
	return rows_read(db, &how, DB_ARGS(db_s(run_id), db_i(after),
	    db_i(limit)), rows, e);
}

enum err_code
store_list_events(struct store *st, const char *owner, const char *run_id,
    int64_t after, int limit, struct event_list *out, struct err *e)
{
	struct row_list rows = { NULL, 0 };
	struct event_list list = { NULL, 0, 0 };
	struct db *db = NULL;
	enum err_code rc;

	if (limit < 1 || limit > MAX_EVENTS_PAGE)
		limit = MAX_EVENTS_PAGE;
	rc = store_borrow(st, &db, e);
	if (rc == ERR_OK)
		rc = read_events(db, owner, run_id, after, limit, &rows,
		    &list.last_seq, e);
	store_return(st, db);
	list.rows = rows.rows;
	list.n = rows.n;
	if (rc == ERR_OK)
		*out = list;
	else
		event_list_release(&list);
	return rc;
}

void
event_list_release(struct event_list *l)
{
	int i;

	for (i = 0; i < l->n; i++) {
		free(l->rows[i].type);
		free(l->rows[i].data);
	}
	free(l->rows);
	memset(l, 0, sizeof(*l));
}
