/*
 * A connection to the database engine: the thin floor under all SQL here.
 *
 * sqlite.c implements it and is the only file that knows SQLite.  The SQL text
 * of the other files keeps to what PostgreSQL accepts as well (RETURNING, ON
 * CONFLICT, ?1 placeholders, no row numbers), so that another engine is another
 * implementation of this header and of schema/.
 *
 * A connection is used by one thread at a time.  A statement is prepared once
 * per connection and found again by the address of its SQL text, which must
 * therefore be a constant that lives as long as the program.  One statement
 * cannot be in use twice at once.
 *
 * Transactions say what they are when they begin: db_begin_write() takes the
 * write lock at once, db_begin_read() sees one state of the database until its
 * end.  A failed statement may have ended the transaction (db_in_transaction()
 * says so); that is the business of the writer, not of the code in between.
 *
 * Errors: ERR_BUSY (locked by another connection), ERR_FULL (no space),
 * ERR_CONFLICT (a key exists already), ERR_CONFIG (the file cannot be opened,
 * or is no database), ERR_SYSTEM (input/output, a damaged file, our own SQL).
 */
#ifndef STORE_DB_H
#define STORE_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

struct db;
struct db_rows;

struct db_options {
	const char *path;
	bool create;		/* make the file when there is none */
	bool read_only;		/* open the file for reading */
	bool query_only;	/* refuse statements that write */
	bool full_sync;		/* a commit is on the disk when it returns */
	bool no_foreign_keys;	/* while tables are rebuilt */
	int cache_kb;
	int busy_ms;		/* how long to wait for another's lock */
	int autocheckpoint_pages;	/* 0: somebody else does it */
};

enum err_code db_open(const struct db_options *o, struct db **out,
    struct err *e);
void db_close(struct db *db);	/* NULL is fine */
void db_set_busy(struct db *db, int ms);

/* --- statements ----------------------------------------------------------- */

enum db_type { DB_INT, DB_REAL, DB_TEXT };

struct db_value {
	enum db_type type;
	int64_t i;
	double d;
	const char *s;		/* NULL: SQL NULL */
};

static inline struct db_value
db_i(int64_t i)
{
	return (struct db_value){ DB_INT, i, 0, NULL };
}

static inline struct db_value
db_d(double d)
{
	return (struct db_value){ DB_REAL, 0, d, NULL };
}

/* The text is not copied: it must live until the statement ends. */
static inline struct db_value
db_s(const char *s)
{
	return (struct db_value){ DB_TEXT, 0, 0, s };
}

/* The values of ?1, ?2, ... */
#define DB_ARGS(...)							\
	(const struct db_value[]){ __VA_ARGS__ },			\
	sizeof((const struct db_value[]){ __VA_ARGS__ }) /		\
	sizeof(struct db_value)
#define DB_NONE	NULL, 0

/* A statement without result rows. *changes (may be NULL): rows changed. */
enum err_code db_run(struct db *db, const char *sql,
    const struct db_value *args, size_t n, int64_t *changes, struct err *e);

/*
 * A statement with result rows: db_query, db_next until *more is false, then
 * db_done.  db_done(NULL) is fine and *out is NULL after a failure, so that
 * one label cleans up.
 */
enum err_code db_query(struct db *db, const char *sql,
    const struct db_value *args, size_t n, struct db_rows **out,
    struct err *e);
enum err_code db_next(struct db_rows *r, bool *more, struct err *e);
void db_done(struct db_rows *r);

/*
 * db_query and the first db_next in one. *found tells whether there is a row;
 * when there is none or it failed, *out is NULL.
 */
enum err_code db_first(struct db *db, const char *sql,
    const struct db_value *args, size_t n, struct db_rows **out, bool *found,
    struct err *e);

/*
 * The end of a statement with RETURNING: its row is not ours until the engine
 * has answered "done", since constraints are checked last.  Passes rc on when
 * it is an error already; ends the statement in every case.
 */
enum err_code db_end(struct db_rows *r, enum err_code rc, struct err *e);

/* Columns of the row at hand, from 0. */
int64_t db_int(struct db_rows *r, int col);	/* NULL: 0 */
double db_real(struct db_rows *r, int col);
/* Valid until db_next or db_done; NULL: SQL NULL. */
const char *db_text(struct db_rows *r, int col);
/* Bytes of the db_text() that was taken last from this column. */
size_t db_text_len(struct db_rows *r, int col);
char *db_text_copy(struct db_rows *r, int col);	/* free() it */

/* --- transactions --------------------------------------------------------- */

enum err_code db_begin_write(struct db *db, struct err *e);
enum err_code db_begin_read(struct db *db, struct err *e);
enum err_code db_commit(struct db *db, struct err *e);
void db_rollback(struct db *db);	/* fine when there is no transaction */
bool db_in_transaction(struct db *db);

/* One savepoint, not nested. */
enum err_code db_save(struct db *db, struct err *e);
enum err_code db_save_release(struct db *db, struct err *e);
enum err_code db_save_rollback(struct db *db, struct err *e);

/* --- the file as a whole -------------------------------------------------- */

enum db_identity {
	DB_EMPTY,		/* nothing in it, never marked */
	DB_OURS,
	DB_FOREIGN		/* another mark, or tables without one */
};

enum err_code db_identify(struct db *db, enum db_identity *out, struct err *e);
/* Part of the transaction that creates the tables. */
enum err_code db_mark_ours(struct db *db, struct err *e);

/* Another number whenever another connection has committed. */
enum err_code db_data_version(struct db *db, int64_t *out, struct err *e);

/* Is it kept the way that lets readers and a writer work side by side? */
enum err_code db_is_concurrent(struct db *db, bool *out, struct err *e);
enum err_code db_make_concurrent(struct db *db, struct err *e);

/* Run several statements, separated by semicolons. */
enum err_code db_script(struct db *db, const char *sql, struct err *e);

/* Look at every page, index and reference; tell() gets a line for each damage,
 * at most max of them. */
enum err_code db_check_integrity(struct db *db, int max,
    void (*tell)(void *arg, const char *what), void *arg, struct err *e);

/* ERR_SYSTEM when a row refers to one that is not there. */
enum err_code db_check_references(struct db *db, struct err *e);

/* After each commit of this connection: fn(arg, pages now in the log). */
void db_watch_log(struct db *db, void (*fn)(void *arg, int pages), void *arg);

/* Move the log back into the database as far as nobody is in the way.
 * *log_pages were in it, *moved_pages of these are in the database now. */
enum err_code db_checkpoint(struct db *db, int *log_pages, int *moved_pages,
    struct err *e);

#endif
