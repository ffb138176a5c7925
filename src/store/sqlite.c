/*
 * The SQLite engine behind db.h.
 *
 * Every connection is opened NOMUTEX (one thread at a time uses it), in WAL
 * mode, with foreign keys checked at once, temporary tables in memory, no
 * memory map (a map turns an I/O error into SIGBUS) and a small cache.  What is
 * deleted is overwritten in the file, since users delete for a reason.
 *
 * Nothing in this project may open(2) the database file itself while a
 * connection is open: closing any descriptor of the file drops the POSIX locks
 * that SQLite holds on it.
 *
 * Prepared statements are kept in a small hash table keyed by the address of
 * their text.  The number of texts in the program bounds it.
 */
#include "db.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>

#include "xalloc.h"

#define SQLITE_OLDEST 3037000	/* STRICT tables; RETURNING came earlier */
#define APPLICATION_ID 0x43686e73	/* "Chns" in bytes 68-71 of the file */
#define MAX_STATEMENTS 256	/* slots of the table; a power of two */
#define ERRNO_TEXT_MAX 128
#define LOG_FILE_LIMIT_BYTES (64 * 1024 * 1024)	/* kept after a reset */

struct db_rows {
	struct db *db;
	const char *sql;	/* the key; NULL: the slot is free */
	sqlite3_stmt *stmt;
	bool in_use;
	bool ended;		/* stepping again would run it again */
};

struct db {
	sqlite3 *conn;
	struct db_rows statements[MAX_STATEMENTS];
	int n_statements;
	int n_in_use;
	void (*watch)(void *arg, int pages);
	void *watch_arg;
};

static pthread_once_t configure_once = PTHREAD_ONCE_INIT;

/*
 * Memory statistics cost a process-wide lock at every allocation and nobody
 * reads them.  Refused when SQLite has been used already, which is harmless.
 */
static void
configure_library(void)
{
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static enum err_code
code_of_io_error(int errnum)
{
	return errnum == ENOSPC || errnum == EDQUOT || errnum == EFBIG ?
	    ERR_FULL : ERR_SYSTEM;
}

/*
 * What the system said about an I/O error.  The engine keeps it for statements
 * but not for a COMMIT that fails, so the two files are asked as well (the
 * second answers for the log).
 */
static bool
is_out_of_space(sqlite3 *conn)
{
	sqlite3_file *log = NULL;
	int errnum = 0;

	if (code_of_io_error(sqlite3_system_errno(conn)) == ERR_FULL)
		return true;
	sqlite3_file_control(conn, "main", SQLITE_FCNTL_LAST_ERRNO, &errnum);
	if (code_of_io_error(errnum) == ERR_FULL)
		return true;
	sqlite3_file_control(conn, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
	if (log == NULL || log->pMethods == NULL)
		return false;
	errnum = 0;
	log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &errnum);
	return code_of_io_error(errnum) == ERR_FULL;
}

static enum err_code
code_of_open_error(int errnum)
{
	switch (errnum) {
	case ENOENT:
	case ENOTDIR:
	case EISDIR:
	case EACCES:
	case EPERM:
	case EROFS:
		return ERR_CONFIG;
	default:
		return code_of_io_error(errnum);
	}
}

static enum err_code
code_of(sqlite3 *conn, int xrc)
{
	switch (xrc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return ERR_BUSY;
	case SQLITE_FULL:
		return ERR_FULL;
	case SQLITE_IOERR:
		return is_out_of_space(conn) ? ERR_FULL : ERR_SYSTEM;
	case SQLITE_CANTOPEN:
		return code_of_open_error(sqlite3_system_errno(conn));
	case SQLITE_NOTADB:
		return ERR_CONFIG;
	case SQLITE_READONLY:
		/* The plain code is a writing statement on a reader. */
		return xrc == SQLITE_READONLY ? ERR_SYSTEM : ERR_CONFIG;
	case SQLITE_CONSTRAINT:
		return xrc == SQLITE_CONSTRAINT_UNIQUE ||
		    xrc == SQLITE_CONSTRAINT_PRIMARYKEY ?
		    ERR_CONFLICT : ERR_SYSTEM;
	default:
		return ERR_SYSTEM;
	}
}

/* The beginning of the sentence: what a person has to look at. */
static const char *
what_failed(int xrc, enum err_code code)
{
	if (code == ERR_FULL)
		return "there is no space for the database";
	switch (xrc & 0xff) {
	case SQLITE_CORRUPT:
		return "the database is damaged";
	case SQLITE_IOERR:
		return "the disk under the database failed";
	case SQLITE_CANTOPEN:
		return "the database cannot be opened";
	case SQLITE_READONLY:
		return "the database cannot be written";
	default:
		return "database";
	}
}

static enum err_code
fail(sqlite3 *conn, struct err *e)
{
	int xrc = sqlite3_extended_errcode(conn);
	enum err_code code = code_of(conn, xrc);
	char why[ERRNO_TEXT_MAX] = "";
	int errnum = 0;

	if ((xrc & 0xff) == SQLITE_IOERR || (xrc & 0xff) == SQLITE_CANTOPEN)
		errnum = sqlite3_system_errno(conn);
	return err_set(e, code, "%s: %s (%d)%s%s", what_failed(xrc, code),
	    sqlite3_errmsg(conn), xrc, errnum != 0 ? ": " : "",
	    errnum != 0 ? strerror_r(errnum, why, sizeof(why)) : "");
}

/* --- opening -------------------------------------------------------------- */

static enum err_code
check_library(struct err *e)
{
	pthread_once(&configure_once, configure_library);
	if (sqlite3_threadsafe() == 0)
		return err_set(e, ERR_CONFIG, "this SQLite was built without "
		    "thread safety and cannot be used");
	if (sqlite3_libversion_number() < SQLITE_OLDEST)
		return err_set(e, ERR_CONFIG, "SQLite %s is too old, at least "
		    "3.37 is needed", sqlite3_libversion());
	return ERR_OK;
}

static enum err_code
set_up(struct db *db, const struct db_options *o, struct err *e)
{
	char pragmas[512];

	sqlite3_extended_result_codes(db->conn, 1);
	sqlite3_busy_timeout(db->conn, o->busy_ms);
	/* Double quotes are names only, and nothing writes to the schema by
	 * the back door. */
	sqlite3_db_config(db->conn, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
	sqlite3_db_config(db->conn, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
	sqlite3_db_config(db->conn, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(db->conn, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	if (!o->read_only && sqlite3_db_readonly(db->conn, "main") != 0)
		return err_set(e, ERR_CONFIG, "the database file cannot be "
		    "written");
	snprintf(pragmas, sizeof(pragmas),
	    "PRAGMA foreign_keys = %d;"
	    "PRAGMA synchronous = %s;"
	    "PRAGMA temp_store = MEMORY;"
	    "PRAGMA mmap_size = 0;"
	    "PRAGMA secure_delete = ON;"
	    "PRAGMA cache_size = -%d;"
	    "PRAGMA wal_autocheckpoint = %d;"
	    "PRAGMA journal_size_limit = %d;"
	    "PRAGMA query_only = %d;",
	    !o->no_foreign_keys, o->full_sync ? "FULL" : "NORMAL",
	    o->cache_kb, o->autocheckpoint_pages, LOG_FILE_LIMIT_BYTES,
	    o->query_only || o->read_only);
	return db_script(db, pragmas, e);
}

enum err_code
db_open(const struct db_options *o, struct db **out, struct err *e)
{
	struct db *db = NULL;
	enum err_code rc;
	int flags;

	rc = check_library(e);
	if (rc != ERR_OK)
		return rc;
	flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
	flags |= o->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
	flags |= o->create ? SQLITE_OPEN_CREATE : 0;
	db = xcalloc(1, sizeof(*db));
	if (sqlite3_open_v2(o->path, &db->conn, flags, NULL) != SQLITE_OK)
		rc = fail(db->conn, e);
	else
		rc = set_up(db, o, e);
	if (rc != ERR_OK)
		goto out;
	*out = db;
	db = NULL;
out:
	db_close(db);
	return rc;
}

void
db_close(struct db *db)
{
	size_t i;
	int rc;

	if (db == NULL)
		return;
	assert(db->n_in_use == 0);
	for (i = 0; i < MAX_STATEMENTS; i++)
		sqlite3_finalize(db->statements[i].stmt);
	rc = sqlite3_close(db->conn);
	assert(rc == SQLITE_OK);
	(void)rc;
	free(db);
}

void
db_set_busy(struct db *db, int ms)
{
	sqlite3_busy_timeout(db->conn, ms);
}

/* --- statements ----------------------------------------------------------- */

static size_t
slot_of(const char *sql)
{
	uint64_t h = (uint64_t)(uintptr_t)sql * UINT64_C(0x9e3779b97f4a7c15);

	return (size_t)(h >> 32) & (MAX_STATEMENTS - 1);
}

static enum err_code
find_statement(struct db *db, const char *sql, struct db_rows **out,
    struct err *e)
{
	struct db_rows *r;
	size_t i;

	for (i = slot_of(sql); ; i = (i + 1) & (MAX_STATEMENTS - 1)) {
		r = &db->statements[i];
		if (r->sql == sql || r->sql == NULL)
			break;
	}
	if (r->sql == NULL) {
		assert(db->n_statements < MAX_STATEMENTS - 1);
		if (sqlite3_prepare_v3(db->conn, sql, -1,
		    SQLITE_PREPARE_PERSISTENT, &r->stmt, NULL) != SQLITE_OK)
			return fail(db->conn, e);
		r->db = db;
		r->sql = sql;
		db->n_statements++;
	}
	*out = r;
	return ERR_OK;
}

static int
bind_value(sqlite3_stmt *stmt, int at, const struct db_value *v)
{
	switch (v->type) {
	case DB_INT:
		return sqlite3_bind_int64(stmt, at, v->i);
	case DB_REAL:
		return sqlite3_bind_double(stmt, at, v->d);
	case DB_TEXT:
		if (v->s == NULL)
			return sqlite3_bind_null(stmt, at);
		return sqlite3_bind_text64(stmt, at, v->s, strlen(v->s),
		    SQLITE_STATIC, SQLITE_UTF8);
	}
	return SQLITE_MISUSE;
}

enum err_code
db_query(struct db *db, const char *sql, const struct db_value *args, size_t n,
    struct db_rows **out, struct err *e)
{
	struct db_rows *r = NULL;
	enum err_code rc;
	size_t i;

	*out = NULL;
	rc = find_statement(db, sql, &r, e);
	if (rc != ERR_OK)
		return rc;
	assert(!r->in_use);
	assert((size_t)sqlite3_bind_parameter_count(r->stmt) == n);
	r->in_use = true;
	db->n_in_use++;
	r->ended = false;
	for (i = 0; i < n; i++)
		if (bind_value(r->stmt, (int)i + 1, &args[i]) != SQLITE_OK) {
			rc = fail(db->conn, e);
			db_done(r);
			return rc;
		}
	*out = r;
	return ERR_OK;
}

enum err_code
db_next(struct db_rows *r, bool *more, struct err *e)
{
	int step;

	*more = false;
	if (r->ended)
		return ERR_OK;
	step = sqlite3_step(r->stmt);
	if (step == SQLITE_ROW) {
		*more = true;
		return ERR_OK;
	}
	r->ended = true;
	return step == SQLITE_DONE ? ERR_OK : fail(r->db->conn, e);
}

void
db_done(struct db_rows *r)
{
	if (r == NULL)
		return;
	sqlite3_reset(r->stmt);
	sqlite3_clear_bindings(r->stmt);	/* the texts die before we do */
	r->in_use = false;
	r->db->n_in_use--;
}

enum err_code
db_first(struct db *db, const char *sql, const struct db_value *args, size_t n,
    struct db_rows **out, bool *found, struct err *e)
{
	struct db_rows *r = NULL;
	enum err_code rc;

	*out = NULL;
	*found = false;
	rc = db_query(db, sql, args, n, &r, e);
	if (rc == ERR_OK)
		rc = db_next(r, found, e);
	if (rc == ERR_OK && *found)
		*out = r;
	else
		db_done(r);
	return rc;
}

enum err_code
db_end(struct db_rows *r, enum err_code rc, struct err *e)
{
	bool more = r != NULL;

	while (rc == ERR_OK && more)
		rc = db_next(r, &more, e);
	db_done(r);
	return rc;
}

enum err_code
db_run(struct db *db, const char *sql, const struct db_value *args, size_t n,
    int64_t *changes, struct err *e)
{
	struct db_rows *r = NULL;
	enum err_code rc;

	rc = db_query(db, sql, args, n, &r, e);
	rc = db_end(r, rc, e);
	if (rc == ERR_OK && changes != NULL)
		*changes = sqlite3_changes64(db->conn);
	return rc;
}

int64_t
db_int(struct db_rows *r, int col)
{
	return sqlite3_column_int64(r->stmt, col);
}

double
db_real(struct db_rows *r, int col)
{
	return sqlite3_column_double(r->stmt, col);
}

const char *
db_text(struct db_rows *r, int col)
{
	return (const char *)sqlite3_column_text(r->stmt, col);
}

size_t
db_text_len(struct db_rows *r, int col)
{
	return (size_t)sqlite3_column_bytes(r->stmt, col);
}

char *
db_text_copy(struct db_rows *r, int col)
{
	return xstrdup(db_text(r, col));
}

/* --- transactions --------------------------------------------------------- */

static const char sql_begin_write[] = "BEGIN IMMEDIATE";
static const char sql_begin_read[] = "BEGIN";
static const char sql_commit[] = "COMMIT";
static const char sql_rollback[] = "ROLLBACK";
static const char sql_save[] = "SAVEPOINT unit";
static const char sql_save_release[] = "RELEASE unit";
static const char sql_save_rollback[] = "ROLLBACK TO unit";

enum err_code
db_begin_write(struct db *db, struct err *e)
{
	assert(db->n_in_use == 0);
	return db_run(db, sql_begin_write, DB_NONE, NULL, e);
}

enum err_code
db_begin_read(struct db *db, struct err *e)
{
	assert(db->n_in_use == 0);
	return db_run(db, sql_begin_read, DB_NONE, NULL, e);
}

enum err_code
db_commit(struct db *db, struct err *e)
{
	return db_run(db, sql_commit, DB_NONE, NULL, e);
}

void
db_rollback(struct db *db)
{
	assert(db->n_in_use == 0);
	if (db_in_transaction(db))
		db_run(db, sql_rollback, DB_NONE, NULL, NULL);
}

bool
db_in_transaction(struct db *db)
{
	return sqlite3_get_autocommit(db->conn) == 0;
}

enum err_code
db_save(struct db *db, struct err *e)
{
	return db_run(db, sql_save, DB_NONE, NULL, e);
}

enum err_code
db_save_release(struct db *db, struct err *e)
{
	return db_run(db, sql_save_release, DB_NONE, NULL, e);
}

enum err_code
db_save_rollback(struct db *db, struct err *e)
{
	enum err_code rc;

	rc = db_run(db, sql_save_rollback, DB_NONE, NULL, e);
	return rc == ERR_OK ? db_save_release(db, e) : rc;
}

/* --- the file as a whole -------------------------------------------------- */

static enum err_code
one_int(struct db *db, const char *sql, int64_t *out, struct err *e)
{
	struct db_rows *r = NULL;
	enum err_code rc;
	bool found;

	rc = db_first(db, sql, DB_NONE, &r, &found, e);
	if (rc == ERR_OK)
		*out = found ? db_int(r, 0) : 0;
	db_done(r);
	return rc;
}

enum err_code
db_identify(struct db *db, enum db_identity *out, struct err *e)
{
	static const char sql_mark[] = "PRAGMA application_id";
	static const char sql_tables[] = "SELECT count(*) FROM sqlite_schema";
	int64_t mark = 0, tables = 0;
	enum err_code rc;

	rc = one_int(db, sql_mark, &mark, e);
	if (rc == ERR_OK)
		rc = one_int(db, sql_tables, &tables, e);
	if (rc != ERR_OK)
		return rc;
	if (mark == APPLICATION_ID)
		*out = DB_OURS;
	else
		*out = mark == 0 && tables == 0 ? DB_EMPTY : DB_FOREIGN;
	return ERR_OK;
}

enum err_code
db_mark_ours(struct db *db, struct err *e)
{
	char pragma[64];

	snprintf(pragma, sizeof(pragma), "PRAGMA application_id = %d",
	    APPLICATION_ID);
	return db_script(db, pragma, e);
}

enum err_code
db_data_version(struct db *db, int64_t *out, struct err *e)
{
	static const char sql[] = "PRAGMA data_version";

	return one_int(db, sql, out, e);
}

static enum err_code
journal_mode_is_wal(struct db *db, const char *sql, bool *out, struct err *e)
{
	struct db_rows *r = NULL;
	enum err_code rc;
	bool found;

	rc = db_first(db, sql, DB_NONE, &r, &found, e);
	if (rc == ERR_OK)
		*out = found && strcmp(db_text(r, 0), "wal") == 0;
	return db_end(r, rc, e);
}

enum err_code
db_is_concurrent(struct db *db, bool *out, struct err *e)
{
	static const char sql[] = "PRAGMA journal_mode";

	return journal_mode_is_wal(db, sql, out, e);
}

enum err_code
db_make_concurrent(struct db *db, struct err *e)
{
	static const char sql[] = "PRAGMA journal_mode = WAL";
	enum err_code rc;
	bool is_wal = false;

	rc = journal_mode_is_wal(db, sql, &is_wal, e);
	if (rc == ERR_OK && !is_wal)
		rc = err_set(e, ERR_CONFIG, "the file system of the database "
		    "does not allow write-ahead logging");
	return rc;
}

enum err_code
db_script(struct db *db, const char *sql, struct err *e)
{
	if (sqlite3_exec(db->conn, sql, NULL, NULL, NULL) != SQLITE_OK)
		return fail(db->conn, e);
	return ERR_OK;
}

/* *n: how many more may be told. */
static enum err_code
tell_references(struct db *db, int *n,
    void (*tell)(void *arg, const char *what), void *arg, struct err *e)
{
	static const char sql[] = "PRAGMA foreign_key_check";
	struct db_rows *r = NULL;
	char text[200];
	enum err_code rc;
	bool more = true;

	rc = db_query(db, sql, DB_NONE, &r, e);
	while (rc == ERR_OK && *n > 0) {
		rc = db_next(r, &more, e);
		if (rc != ERR_OK || !more)
			break;
		snprintf(text, sizeof(text), "row %lld of table %s refers to "
		    "one in %s that is not there", (long long)db_int(r, 1),
		    db_text(r, 0), db_text(r, 2));
		tell(arg, text);
		(*n)--;
	}
	db_done(r);
	return rc;
}

enum err_code
db_check_integrity(struct db *db, int max,
    void (*tell)(void *arg, const char *what), void *arg, struct err *e)
{
	static const char sql[] = "PRAGMA integrity_check";
	struct db_rows *r = NULL;
	enum err_code rc;
	bool more = true;

	rc = db_query(db, sql, DB_NONE, &r, e);
	while (rc == ERR_OK && max > 0) {
		rc = db_next(r, &more, e);
		if (rc != ERR_OK || !more)
			break;
		if (strcmp(db_text(r, 0), "ok") == 0)
			continue;
		tell(arg, db_text(r, 0));
		max--;
	}
	db_done(r);
	return rc == ERR_OK ? tell_references(db, &max, tell, arg, e) : rc;
}

enum err_code
db_check_references(struct db *db, struct err *e)
{
	static const char sql[] = "PRAGMA foreign_key_check";
	struct db_rows *r = NULL;
	enum err_code rc;
	bool found;

	rc = db_first(db, sql, DB_NONE, &r, &found, e);
	if (rc == ERR_OK && found)
		rc = err_set(e, ERR_SYSTEM, "a row of table %s refers to one "
		    "in %s that is not there", db_text(r, 0), db_text(r, 2));
	db_done(r);
	return rc;
}

static int
after_commit(void *arg, sqlite3 *conn, const char *name, int pages)
{
	struct db *db = arg;

	(void)conn;
	(void)name;
	db->watch(db->watch_arg, pages);
	return SQLITE_OK;
}

void
db_watch_log(struct db *db, void (*fn)(void *arg, int pages), void *arg)
{
	db->watch = fn;
	db->watch_arg = arg;
	sqlite3_wal_hook(db->conn, after_commit, db);
}

enum err_code
db_checkpoint(struct db *db, int *log_pages, int *moved_pages, struct err *e)
{
	if (sqlite3_wal_checkpoint_v2(db->conn, "main",
	    SQLITE_CHECKPOINT_PASSIVE, log_pages, moved_pages) != SQLITE_OK)
		return fail(db->conn, e);
	return ERR_OK;
}
