/*
 * The progress log of a run.
 *
 * A number is taken from the run's row and the event inserted under it in one
 * transaction, the one that also writes what the event tells.  So numbers have
 * no gaps and grow in the order of commits, and a reader who has seen number n
 * has seen everything up to n.
 */
#include "internal.h"

#include <inttypes.h>

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

struct visitor {
	bool (*visit)(void *arg, const struct event_view *ev);
	void *arg;
};

/* last_seq is -1 when there is no such run. */
static enum err_code
read_tip(struct db *db, const char *owner, const char *run_id,
    struct run_tip *out, struct err *e)
{
	static const char sql[] =
	    "SELECT last_seq, status FROM runs"
	    " WHERE id = ?1 AND deleted_ms = 0"
	    " AND (?2 IS NULL OR owner = ?2)";
	enum state status = STATE_FAILED;
	struct db_rows *r = NULL;
	enum err_code rc;
	bool found;

	rc = db_first(db, sql, DB_ARGS(db_s(run_id), db_s(owner)), &r, &found,
	    e);
	*out = (struct run_tip){ -1, false };
	if (rc == ERR_OK && found)
		rc = read_state(r, 1, &status, e);
	if (rc == ERR_OK && found)
		*out = (struct run_tip){ db_int(r, 0),
		    state_is_terminal(status) };
	db_done(r);
	return rc;
}

static enum err_code
read_tips(struct db *db, const char *owner, const char *const *run_ids,
    size_t n, struct run_tip *out, struct err *e)
{
	enum err_code rc;
	size_t i;

	rc = db_begin_read(db, e);
	for (i = 0; i < n && rc == ERR_OK; i++)
		rc = read_tip(db, owner, run_ids[i], &out[i], e);
	return rc;
}

enum err_code
store_read_tips(struct store *st, const char *owner,
    const char *const *run_ids, size_t n, struct run_tip *out, struct err *e)
{
	struct db *db = NULL;
	enum err_code rc = ERR_OK;
	size_t at, some;

	for (at = 0; at < n && rc == ERR_OK; at += some) {
		some = n - at < MAX_TIPS_AT_ONCE ? n - at : MAX_TIPS_AT_ONCE;
		rc = store_borrow(st, &db, e);
		if (rc == ERR_OK)
			rc = read_tips(db, owner, run_ids + at, some, out + at,
			    e);
		store_return(st, db);
	}
	return rc;
}

static enum err_code
show_events(struct db *db, const char *run_id, int64_t after, int limit,
    const struct visitor *v, struct err *e)
{
	static const char sql[] =
	    "SELECT seq, type, created_ms, data FROM events"
	    " WHERE run_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
	struct db_rows *r = NULL;
	struct event_view ev;
	enum err_code rc;
	bool more = false;

	rc = db_query(db, sql, DB_ARGS(db_s(run_id), db_i(after),
	    db_i(limit)), &r, e);
	while (rc == ERR_OK) {
		rc = db_next(r, &more, e);
		if (rc != ERR_OK || !more)
			break;
		ev.seq = db_int(r, 0);
		ev.type = db_text(r, 1);
		ev.created_ms = db_int(r, 2);
		ev.data = db_text(r, 3);
		ev.data_len = db_text_len(r, 3);
		if (ev.type == NULL || ev.data == NULL)
			rc = err_set(e, ERR_SYSTEM, "event %" PRId64 " of run "
			    "%s is damaged", ev.seq, run_id);
		else if (!v->visit(v->arg, &ev))
			break;
	}
	db_done(r);
	return rc;
}

/* One transaction, so that the tip and the rows are of the same moment. */
static enum err_code
visit_events(struct store *st, const char *owner, const char *run_id,
    int64_t after, int limit, const struct visitor *v, int64_t *last_seq,
    struct err *e)
{
	struct run_tip tip = { -1, false };
	struct db *db = NULL;
	enum err_code rc;

	if (limit < 1 || limit > MAX_EVENTS_PAGE)
		limit = MAX_EVENTS_PAGE;
	rc = store_borrow(st, &db, e);
	if (rc == ERR_OK)
		rc = db_begin_read(db, e);
	if (rc == ERR_OK)
		rc = read_tip(db, owner, run_id, &tip, e);
	if (rc == ERR_OK && tip.last_seq < 0)
		rc = err_set(e, ERR_NOT_FOUND, "there is no such run");
	if (rc == ERR_OK && after < tip.last_seq)
		rc = show_events(db, run_id, after, limit, v, e);
	store_return(st, db);
	if (rc == ERR_OK)
		*last_seq = tip.last_seq;
	return rc;
}

enum err_code
store_visit_events(struct store *st, const char *owner, const char *run_id,
    int64_t after, int limit,
    bool (*visit)(void *arg, const struct event_view *ev), void *arg,
    int64_t *last_seq, struct err *e)
{
	struct visitor v = { visit, arg };

	return visit_events(st, owner, run_id, after, limit, &v, last_seq, e);
}

struct page {
	struct row_list rows;	/* of struct event */
	size_t bytes;		/* of their data */
};

static bool
add_to_page(void *arg, const struct event_view *view)
{
	struct page *p = arg;
	struct event *ev;

	if (p->rows.n > 0 && p->bytes + view->data_len > MAX_EVENTS_PAGE_BYTES)
		return false;
	p->bytes += view->data_len;
	ev = rows_add(&p->rows, sizeof(*ev));
	ev->seq = view->seq;
	ev->type = xstrdup(view->type);
	ev->data = xstrndup(view->data, view->data_len);
	ev->created_ms = view->created_ms;
	return true;
}

enum err_code
store_list_events(struct store *st, const char *owner, const char *run_id,
    int64_t after, int limit, struct event_list *out, struct err *e)
{
	struct event_list list = { NULL, 0, 0 };
	struct page page = { { NULL, 0 }, 0 };
	struct visitor v = { add_to_page, &page };
	enum err_code rc;

	rc = visit_events(st, owner, run_id, after, limit, &v, &list.last_seq,
	    e);
	list.rows = page.rows.rows;
	list.n = page.rows.n;
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
