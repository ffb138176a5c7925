/*
 * The store as the programs hold it: one writer, some readers, perhaps a
 * checkpointer, and a share of the users lock for as long as it is open.
 *
 * Readers are connections of their own, opened on demand and handed out to
 * one thread at a time.  A thread holds at most one and for one read only, so
 * waiting for one is short and cannot deadlock.
 */
#include "internal.h"

#include <assert.h>
#include <sys/stat.h>

#include "clock.h"
#include "xalloc.h"

#define READER_BUSY_MS 2000	/* another process opens or closes right now */
#define MIN_READER_CACHE_KB 256

struct store {
	struct place place;
	struct turn users;	/* shared, until closed */
	struct writer *writer;	/* NULL: read only */
	struct checkpointer *checkpointer;	/* NULL: another process's */

	int cache_kb;		/* of a reader */
	struct spend_limits limits;
	bool read_only;
	pthread_mutex_t lock;	/* guards everything below */
	pthread_cond_t returned;
	int max_readers;
	int n_readers;		/* open, idle or out */
	int n_idle;
	struct db **idle;	/* max_readers slots */

	pthread_mutex_t watch_lock;	/* guards watcher */
	struct db *watcher;	/* for the data version; NULL until asked */
};

static bool
before(void *deadline_us)
{
	return clock_mono_us() < *(int64_t *)deadline_us;
}

/* --- opening and closing -------------------------------------------------- */

/* An upgrade keeps everybody out for a moment. */
static enum err_code
join_users(struct store *st, const struct store_options *o, struct err *e)
{
	int64_t begin_us = clock_mono_us();
	int64_t deadline_us = begin_us + (int64_t)o->lock_wait_ms * 1000;
	enum err_code rc;

	for (;;) {
		rc = turn_share_users(&st->users, e);
		if (rc != ERR_BUSY || !before(&deadline_us))
			return rc;
		turn_pause(clock_mono_us() - begin_us);
	}
}

static enum err_code
open_files(struct store *st, const struct store_options *o, struct err *e)
{
	enum err_code rc = ERR_OK;
	struct stat sb;

	if (!o->read_only)
		rc = place_make(&st->place, e);
	/* A copy that was put somewhere to be looked at has no side file. */
	if (!o->read_only || stat(st->place.turn, &sb) == 0) {
		if (rc == ERR_OK)
			rc = turn_open(st->place.turn, o->read_only,
			    &st->users, e);
		if (rc == ERR_OK)
			rc = join_users(st, o, e);
	}
	if (rc == ERR_OK)
		rc = schema_ensure(&st->place, o, &st->users, e);
	return rc;
}

static enum err_code
start_threads(struct store *st, const struct store_options *o, struct err *e)
{
	struct writer_options w = { .place = &st->place, .store = o };
	enum err_code rc = ERR_OK;

	if (o->read_only)
		return ERR_OK;
	if (o->checkpointer)
		rc = checkpointer_start(&st->place, &st->checkpointer, e);
	w.checkpointer = st->checkpointer;
	if (rc == ERR_OK)
		rc = writer_open(&w, &st->writer, e);
	return rc;
}

enum err_code
store_open(const struct store_options *opts, struct store **out, struct err *e)
{
	struct store *st = xcalloc(1, sizeof(*st));
	enum err_code rc;

	assert(schema_steps[n_schema_steps - 1].version ==
	    STORE_SCHEMA_VERSION);
	st->users = (struct turn)TURN_INIT;
	st->read_only = opts->read_only;
	st->limits = opts->limits;
	st->cache_kb = opts->cache_kb / 4 > MIN_READER_CACHE_KB ?
	    opts->cache_kb / 4 : MIN_READER_CACHE_KB;
	st->max_readers = opts->max_readers > 1 ? opts->max_readers : 1;
	st->idle = xcalloc((size_t)st->max_readers, sizeof(*st->idle));
	pthread_mutex_init(&st->lock, NULL);
	pthread_cond_init(&st->returned, NULL);
	pthread_mutex_init(&st->watch_lock, NULL);
	rc = place_parse(opts->database, &st->place, e);
	if (rc != ERR_OK)
		goto out;
	rc = open_files(st, opts, e);
	if (rc == ERR_OK)
		rc = start_threads(st, opts, e);
	if (rc != ERR_OK) {
		err_wrap(e, "database %s", st->place.db);
		goto out;
	}
	*out = st;
	st = NULL;
out:
	store_close(st);
	return rc;
}

void
store_close(struct store *st)
{
	if (st == NULL)
		return;
	/* The writer first: it is the one that notices the checkpointer. */
	writer_close(st->writer);
	checkpointer_stop(st->checkpointer);
	assert(st->n_idle == st->n_readers);
	while (st->n_idle > 0)
		db_close(st->idle[--st->n_idle]);
	db_close(st->watcher);
	turn_close(&st->users);
	free(st->idle);
	pthread_mutex_destroy(&st->watch_lock);
	pthread_cond_destroy(&st->returned);
	pthread_mutex_destroy(&st->lock);
	place_release(&st->place);
	free(st);
}

void
store_get_stats(struct store *st, struct store_stats *out)
{
	memset(out, 0, sizeof(*out));
	if (st->writer != NULL)
		writer_stats(st->writer, out);
}

const struct spend_limits *
store_limits(const struct store *st)
{
	return &st->limits;
}

enum err_code
store_write(struct store *st,
    enum err_code (*fn)(struct db *db, void *arg, struct err *e), void *arg,
    struct err *e)
{
	if (st->writer == NULL)
		return err_set(e, ERR_SYSTEM,
		    "the database was opened for reading only");
	return writer_do(st->writer, fn, arg, e);
}

const struct place *
store_place(const struct store *st)
{
	return &st->place;
}

/* --- reading -------------------------------------------------------------- */

static enum err_code
open_for_reading(struct store *st, int cache_kb, struct db **out,
    struct err *e)
{
	struct db_options d = { .path = st->place.db, .query_only = true,
	    .read_only = st->read_only, .cache_kb = cache_kb,
	    .busy_ms = READER_BUSY_MS };

	return db_open(&d, out, e);
}

static enum err_code
open_reader(struct store *st, struct db **out, struct err *e)
{
	enum err_code rc;

	rc = open_for_reading(st, st->cache_kb, out, e);
	if (rc == ERR_OK)
		return rc;
	pthread_mutex_lock(&st->lock);
	st->n_readers--;
	pthread_cond_signal(&st->returned);
	pthread_mutex_unlock(&st->lock);
	return rc;
}

enum err_code
store_borrow(struct store *st, struct db **out, struct err *e)
{
	struct db *db = NULL;

	*out = NULL;
	pthread_mutex_lock(&st->lock);
	while (st->n_idle == 0 && st->n_readers == st->max_readers)
		pthread_cond_wait(&st->returned, &st->lock);
	if (st->n_idle > 0)
		db = st->idle[--st->n_idle];
	else
		st->n_readers++;
	pthread_mutex_unlock(&st->lock);
	if (db == NULL)
		return open_reader(st, out, e);
	*out = db;
	return ERR_OK;
}

void
store_return(struct store *st, struct db *db)
{
	if (db == NULL)
		return;
	db_rollback(db);	/* ends a read of several statements */
	pthread_mutex_lock(&st->lock);
	st->idle[st->n_idle++] = db;
	pthread_cond_signal(&st->returned);
	pthread_mutex_unlock(&st->lock);
}

/* The list doubles when it is full. */
void *
rows_add(struct row_list *l, size_t size)
{
	char *slot;

	if ((l->n & (l->n - 1)) == 0)
		l->rows = xrealloc_array(l->rows,
		    l->n == 0 ? 1 : (size_t)l->n * 2, size);
	slot = (char *)l->rows + (size_t)l->n * size;
	memset(slot, 0, size);
	l->n++;
	return slot;
}

enum err_code
rows_read(struct db *db, const struct reading *how,
    const struct db_value *args, size_t n, struct row_list *out, struct err *e)
{
	struct db_rows *r = NULL;
	enum err_code rc;
	bool more;

	rc = db_query(db, how->sql, args, n, &r, e);
	while (rc == ERR_OK) {
		rc = db_next(r, &more, e);
		if (rc != ERR_OK || !more)
			break;
		rc = how->row(r, rows_add(out, how->size), e);
	}
	db_done(r);
	return rc;
}

enum err_code
store_read_rows(struct store *st, const struct reading *how,
    const struct db_value *args, size_t n, struct row_list *out, struct err *e)
{
	struct db *db = NULL;
	enum err_code rc;

	rc = store_borrow(st, &db, e);
	if (rc == ERR_OK)
		rc = rows_read(db, how, args, n, out, e);
	store_return(st, db);
	return rc;
}

enum err_code
text_from_row(struct db_rows *r, void *slot, struct err *e)
{
	(void)e;
	*(char **)slot = db_text_copy(r, 0);
	return ERR_OK;
}

enum err_code
store_ping(struct store *st, struct err *e)
{
	static const char sql[] = "SELECT max(version) FROM schema_version";
	struct db *db = NULL;
	struct db_rows *r = NULL;
	enum err_code rc;
	bool found;

	rc = store_borrow(st, &db, e);
	if (rc != ERR_OK)
		return rc;
	rc = db_first(db, sql, DB_NONE, &r, &found, e);
	db_done(r);
	store_return(st, db);
	return rc;
}

/*
 * The number is counted per connection and only commits of others change it,
 * so it takes a connection that never commits, and always the same one: a new
 * one would count from the start.  That is why it is kept after a failure, too.
 */
enum err_code
store_data_version(struct store *st, int64_t *out, struct err *e)
{
	enum err_code rc = ERR_OK;

	pthread_mutex_lock(&st->watch_lock);
	if (st->watcher == NULL)
		rc = open_for_reading(st, MIN_READER_CACHE_KB, &st->watcher, e);
	if (rc == ERR_OK)
		rc = db_data_version(st->watcher, out, e);
	pthread_mutex_unlock(&st->watch_lock);
	return rc;
}

/* --- names ---------------------------------------------------------------- */

static const char *const state_names[] = {
	[STATE_PENDING] = "PENDING",
	[STATE_RUNNING] = "RUNNING",
	[STATE_COMPLETED] = "COMPLETED",
	[STATE_FAILED] = "FAILED",
	[STATE_CANCELLED] = "CANCELLED",
};

_Static_assert(ARRAY_LEN(state_names) == STATE__COUNT, "a state has no name");

const char *
state_name(enum state s)
{
	return state_names[s];
}

bool
state_parse(const char *name, enum state *out)
{
	int i;

	for (i = 0; i < STATE__COUNT; i++)
		if (name != NULL && strcmp(name, state_names[i]) == 0) {
			*out = (enum state)i;
			return true;
		}
	return false;
}

bool
state_is_terminal(enum state s)
{
	switch (s) {
	case STATE_PENDING:
	case STATE_RUNNING:
		return false;
	case STATE_COMPLETED:
	case STATE_FAILED:
	case STATE_CANCELLED:
	case STATE__COUNT:
		return true;
	}
	return true;
}

enum err_code
read_state(struct db_rows *r, int col, enum state *out, struct err *e)
{
	if (!state_parse(db_text(r, col), out))
		return err_set(e, ERR_SYSTEM, "a row has an unknown state");
	return ERR_OK;
}

void
copy_id(char out[ID_MAX], const char *id)
{
	snprintf(out, ID_MAX, "%s", id == NULL ? "" : id);
}
