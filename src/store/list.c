/*
 * Lists of runs: pages, filters, and their total.
 *
 * A page is found in two steps of one read transaction.  First the keys: an
 * index that is in the order of the list is walked from where the page begins,
 * and each entry says whether it matches.  Then the rows of those that do.  So
 * what is left out costs an entry of an index and never a row, except where
 * words are looked for, and there is nothing to sort.
 *
 * The walk ends when the page is full, and also after a bounded number of
 * entries: no filter, however rare its matches, keeps a reader's transaction
 * open for long (the log cannot be moved back past it).  The key it has come to
 * is where the next call goes on.
 */
#include "internal.h"

#include "clock.h"
#include "xalloc.h"

#define CLOCK_STRIDE 64		/* texts between two looks at the clock */

/* One page being looked for. */
struct walk {
	const struct run_query *q;
	bool has_text;
	int64_t limit;		/* entries to look at */
	int64_t skip;		/* matches before the page */
	int64_t total;		/* -1: not known */
	struct row_list keys;	/* of struct run_key: the page */
	struct run_key last;	/* looked at last */
	bool has_more;		/* there is something behind last */
};

/* --- the keys ------------------------------------------------------------- */

/*
 * One text per index; the arguments are the same for all: ?1 owner, ?2 status,
 * ?3 ?4 the key to begin behind, ?5 from, ?6 how many, ?7 mode, ?8 platform, ?9
 * pattern.  ANY keeps the place of an argument that a text does not use.
 */
#define ANY(n)	"CAST(" n " AS TEXT) IS NULL"
#define WALK(which, match)						\
	"SELECT created_ms, id, " match " FROM runs"			\
	" WHERE deleted_ms = 0 AND " which				\
	" AND (created_ms, id) < (?3, ?4) AND created_ms >= ?5"		\
	" ORDER BY created_ms DESC, id DESC LIMIT ?6"
#define OWNER	"owner = ?1"
#define STATUS	"status = ?2"
#define EVERY	ANY("?1")
#define WALK_ALL	EVERY
#define WALK_OWNER	OWNER
#define WALK_BOTH	OWNER " AND " STATUS
#define FILTER	"(?7 IS NULL OR mode = ?7)"				\
	" AND (?8 IS NULL OR platform_name = ?8)"
#define FILTER_ALL	"(?2 IS NULL OR status = ?2) AND " FILTER
/* CASE, because a row must not be fetched for what an index has refused. */
#define NO_TEXT(filter)	filter " AND " ANY("?9")
#define TEXT(filter)							\
	"CASE WHEN " filter " THEN lower(prompt) LIKE lower(?9) ESCAPE '\\'" \
	" ELSE FALSE END"

static const char *
walk_sql(const struct run_query *q, bool has_text)
{
	static const char all[] = WALK(WALK_ALL, NO_TEXT(FILTER_ALL));
	static const char all_text[] = WALK(WALK_ALL, TEXT(FILTER_ALL));
	static const char owner[] = WALK(WALK_OWNER " AND " ANY("?2"),
	    NO_TEXT(FILTER));
	static const char owner_text[] = WALK(WALK_OWNER " AND " ANY("?2"),
	    TEXT(FILTER));
	static const char both[] = WALK(WALK_BOTH, NO_TEXT(FILTER));
	static const char both_text[] = WALK(WALK_BOTH, TEXT(FILTER));

	if (q->owner == NULL)
		return has_text ? all_text : all;
	if (q->by_status)
		return has_text ? both_text : both;
	return has_text ? owner_text : owner;
}

/* The text between two %, with what is special in a pattern escaped. */
static void
make_pattern(const char *text, struct strbuf *out)
{
	const char *p;

	strbuf_addch(out, '%');
	for (p = text; *p != '\0'; p++) {
		if (*p == '%' || *p == '_' || *p == '\\')
			strbuf_addch(out, '\\');
		strbuf_addch(out, *p);
	}
	strbuf_addch(out, '%');
}

static bool
is_over(const struct walk *w, int64_t seen, int64_t begin_us)
{
	if (seen >= w->limit)
		return true;
	return w->has_text && seen > 0 && seen % CLOCK_STRIDE == 0 &&
	    clock_mono_us() - begin_us > LIST_SCAN_TEXT_MS * 1000;
}

/*
 * Take the entries one by one.  An entry that is not taken any more, because
 * the page is full or enough has been looked at, is what has_more tells of.
 */
static enum err_code
take_keys(struct db_rows *r, struct walk *w, struct err *e)
{
	int64_t begin_us = clock_mono_us(), seen, matches = 0;
	enum err_code rc;
	bool more = false;

	for (seen = 0; matches != w->total; seen++) {
		rc = db_next(r, &more, e);
		if (rc != ERR_OK || !more)
			return rc;
		if (w->keys.n == w->q->page_size || is_over(w, seen, begin_us)) {
			w->has_more = true;
			return ERR_OK;
		}
		w->last.created_ms = db_int(r, 0);
		copy_id(w->last.id, db_text(r, 1));
		if (db_int(r, 2) == 0)
			continue;
		if (++matches > w->skip)
			*(struct run_key *)rows_add(&w->keys,
			    sizeof(struct run_key)) = w->last;
	}
	return ERR_OK;		/* the rest cannot match */
}

/* Begin behind a key or before a time, whichever comes later in the list. */
static struct run_key
first_key(const struct run_query *q)
{
	struct run_key k = { INT64_MAX, "" };

	if (q->to_ms > 0)
		k.created_ms = q->to_ms;
	if (q->page == 0 && q->after.id[0] != '\0' &&
	    q->after.created_ms < k.created_ms)
		k = q->after;
	return k;
}

static enum err_code
walk_keys(struct db *db, struct walk *w, struct err *e)
{
	struct strbuf pattern = STRBUF_INIT(MAX_LIST_TEXT_BYTES * 2 + 3);
	const struct run_query *q = w->q;
	struct run_key first = first_key(q);
	struct db_rows *r = NULL;
	enum err_code rc;

	if (w->has_text)
		make_pattern(q->text, &pattern);
	w->limit = w->has_text ? LIST_SCAN_TEXTS : LIST_SCAN_ROWS;
	rc = db_query(db, walk_sql(q, w->has_text), DB_ARGS(db_s(q->owner),
	    db_s(q->by_status ? state_name(q->status) : NULL),
	    db_i(first.created_ms), db_s(first.id), db_i(q->from_ms),
	    db_i(w->limit + 1), db_s(q->mode), db_s(q->platform),
	    db_s(w->has_text ? pattern.buf : NULL)), &r, e);
	if (rc == ERR_OK)
		rc = take_keys(r, w, e);
	db_done(r);
	strbuf_release(&pattern);
	return rc;
}

/* --- the total ------------------------------------------------------------ */

static enum err_code
read_total(struct db *db, const struct run_query *q, int64_t *out,
    struct err *e)
{
#define COUNT(which)							\
	"SELECT COALESCE(sum(n), 0) FROM run_counts WHERE " which	\
	" AND (?2 IS NULL OR status = ?2) AND (?3 IS NULL OR mode = ?3)" \
	" AND (?4 IS NULL OR platform = ?4)"
	static const char sql_all[] = COUNT(EVERY);
	static const char sql_owner[] = COUNT(OWNER);
	struct db_rows *r = NULL;
	enum err_code rc;
	bool found;

	rc = db_first(db, q->owner == NULL ? sql_all : sql_owner,
	    DB_ARGS(db_s(q->owner),
	    db_s(q->by_status ? state_name(q->status) : NULL), db_s(q->mode),
	    db_s(q->platform)), &r, &found, e);
	if (rc == ERR_OK)
		*out = db_int(r, 0);
	db_done(r);
	return rc;
}

/* --- the page ------------------------------------------------------------- */

static enum err_code
read_rows(struct db *db, const struct row_list *keys, struct row_list *out,
    struct err *e)
{
	static const struct reading how = {
		"SELECT " RUN_HEAD " FROM runs WHERE id = ?1",
		run_from_row, sizeof(struct run)
	};
	const struct run_key *list = keys->rows;
	enum err_code rc = ERR_OK;
	int i;

	for (i = 0; i < keys->n && rc == ERR_OK; i++)
		rc = rows_read(db, &how, DB_ARGS(db_s(list[i].id)), out, e);
	return rc;
}

static enum err_code
read_page(struct db *db, struct walk *w, struct row_list *rows,
    int64_t *total, struct err *e)
{
	const struct run_query *q = w->q;
	enum err_code rc;

	rc = db_begin_read(db, e);
	if (rc == ERR_OK && !w->has_text && q->from_ms == 0 && q->to_ms == 0)
		rc = read_total(db, q, total, e);
	if (q->page > 0) {
		w->skip = ((int64_t)q->page - 1) * q->page_size;
		w->total = *total;
	}
	if (rc == ERR_OK && (w->total < 0 || w->skip < w->total))
		rc = walk_keys(db, w, e);
	if (rc == ERR_OK)
		rc = read_rows(db, &w->keys, rows, e);
	return rc;
}

static enum err_code
check_query(const struct run_query *q, struct err *e)
{
	if (q->page < 0 || q->page_size < 1 || q->page_size > MAX_LIST_PAGE)
		return err_set(e, ERR_INVALID, "page must be at least 1 and "
		    "page_size 1 to %d", MAX_LIST_PAGE);
	if (q->text != NULL && strlen(q->text) > MAX_LIST_TEXT_BYTES)
		return err_set(e, ERR_INVALID, "the text to look for is longer "
		    "than %d bytes", MAX_LIST_TEXT_BYTES);
	return ERR_OK;
}

enum err_code
store_list_runs(struct store *st, const struct run_query *q,
    struct run_page *out, struct err *e)
{
	struct walk w = { .q = q, .total = -1,
	    .has_text = q->text != NULL && q->text[0] != '\0' };
	struct run_page page = { .total = -1 };
	struct row_list rows = { NULL, 0 };
	struct db *db = NULL;
	enum err_code rc;

	rc = check_query(q, e);
	if (rc != ERR_OK)
		return rc;
	rc = store_borrow(st, &db, e);
	if (rc == ERR_OK)
		rc = read_page(db, &w, &rows, &page.total, e);
	store_return(st, db);
	free(w.keys.rows);
	page.runs = rows.rows;
	page.n = rows.n;
	page.has_more = w.has_more;
	if (w.has_more)
		page.next = w.last;
	if (rc == ERR_OK)
		*out = page;
	else
		run_page_release(&page);
	return rc;
}

void
run_page_release(struct run_page *p)
{
	int i;

	for (i = 0; i < p->n; i++)
		run_release(&p->runs[i]);
	free(p->runs);
	memset(p, 0, sizeof(*p));
}
