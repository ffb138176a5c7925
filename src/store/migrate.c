/*
 * The database as a whole: creating it, knowing it again, upgrading it.
 *
 * An empty database is created by whoever comes first, under the write turn,
 * in one transaction; several may try at once.  A database is ours when it
 * bears our mark.  Nothing here ever changes one that is not, or one whose
 * schema is newer than this program; an older one is upgraded by an operator
 * only (store_migrate), with everybody else kept out by the users lock.
 *
 * Creating is one transaction of all steps.  In an upgrade each step is one: if
 * it fails, the last version that was reached is left.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "xalloc.h"

#define SCHEME "sqlite:"
#define CREATE_CACHE_KB 2048
#define OPEN_BUSY_MS 2000	/* others open or close at the same moment */

/* --- where it is ---------------------------------------------------------- */

void
place_release(struct place *p)
{
	free(p->db);
	free(p->dir);
	free(p->turn);
	memset(p, 0, sizeof(*p));
}

enum err_code
place_parse(const char *database, struct place *out, struct err *e)
{
	const char *path = database + strlen(SCHEME);
	const char *slash;

	if (strncmp(database, SCHEME, strlen(SCHEME)) != 0 || path[0] != '/' ||
	    path[1] == '\0' || path[strlen(path) - 1] == '/')
		return err_set(e, ERR_CONFIG, "the database must be given as "
		    "sqlite:/absolute/path");
	slash = strrchr(path, '/');
	out->db = xstrdup(path);
	out->dir = slash == path ? xstrdup("/") :
	    xstrndup(path, (size_t)(slash - path));
	out->turn = xasprintf("%s.turn", path);
	return ERR_OK;
}

/* The names of the new files are on the disk, too. */
static enum err_code
sync_place(const struct place *p, struct err *e)
{
	enum err_code rc;
	int fd = -1;

	rc = file_open_dir(AT_FDCWD, p->dir, &fd, e);
	if (rc != ERR_OK)
		return rc;
	if (fsync(fd) != 0)
		rc = err_set_errno(e, ERR_SYSTEM, errno, "%s", p->dir);
	close(fd);
	return rc;
}

enum err_code
place_make(const struct place *p, struct err *e)
{
	enum err_code rc;

	rc = file_make_dirs(p->dir, 0700, e);
	if (rc != ERR_SYSTEM)
		return rc;
	/* Whose fault a missing permission is, is for the operator to find. */
	if (e != NULL)
		e->code = ERR_CONFIG;
	return ERR_CONFIG;
}

/* --- what it is ----------------------------------------------------------- */

/* Within a transaction: *version is 0 when there is nothing in it yet. */
static enum err_code
read_version(struct db *db, int *version, struct err *e)
{
	static const char sql[] =
	    "SELECT COALESCE(max(version), 0) FROM schema_version";
	enum db_identity identity = DB_EMPTY;
	struct db_rows *r = NULL;
	enum err_code rc;
	bool found;

	rc = db_identify(db, &identity, e);
	if (rc != ERR_OK)
		return rc;
	switch (identity) {
	case DB_EMPTY:
		*version = 0;
		return ERR_OK;
	case DB_FOREIGN:
		return err_set(e, ERR_CONFIG,
		    "it is a database of another program");
	case DB_OURS:
		break;
	}
	rc = db_first(db, sql, DB_NONE, &r, &found, e);
	if (rc == ERR_OK)
		*version = (int)db_int(r, 0);
	db_done(r);
	return rc;
}

/* One look at one moment: somebody may be creating it right now. */
static enum err_code
find_version(struct db *db, int *version, struct err *e)
{
	enum err_code rc;

	rc = db_begin_read(db, e);
	if (rc == ERR_OK)
		rc = read_version(db, version, e);
	db_rollback(db);
	return rc;
}

static enum err_code
judge_version(int version, int known, struct err *e)
{
	if (version > known)
		return err_set(e, ERR_CONFIG, "its schema is version %d and "
		    "this program knows %d: a newer program is needed",
		    version, known);
	if (version < known)
		return err_set(e, ERR_CONFIG, "its schema is version %d and "
		    "this program needs %d: stop all programs and run "
		    "\"churnsctl migrate\"", version, known);
	return ERR_OK;
}

/* --- making it so --------------------------------------------------------- */

/* Within a transaction. */
static enum err_code
apply_step(struct db *db, const struct schema_step *step, struct err *e)
{
	static const char sql_note[] =
	    "INSERT INTO schema_version (version, program) VALUES (?1, ?2)";
	enum err_code rc;

	rc = db_script(db, step->sql, e);
	if (rc == ERR_OK)
		rc = db_run(db, sql_note, DB_ARGS(db_i(step->version),
		    db_s(CHURNS_VERSION)), NULL, e);
	if (rc == ERR_OK)
		rc = db_check_references(db, e);
	if (rc != ERR_OK)
		err_wrap(e, "schema step %d", step->version);
	return rc;
}

/* Some steps, all or none; *version (0: there is nothing yet) follows. */
static enum err_code
apply_together(struct db *db, const struct schema_step *steps, size_t n,
    int *version, struct err *e)
{
	enum err_code rc;
	size_t i;

	rc = db_begin_write(db, e);
	if (rc == ERR_OK && *version == 0)
		rc = db_mark_ours(db, e);
	for (i = 0; i < n && rc == ERR_OK; i++)
		rc = apply_step(db, &steps[i], e);
	if (rc == ERR_OK)
		rc = db_commit(db, e);
	if (rc == ERR_OK)
		*version = steps[n - 1].version;
	else
		db_rollback(db);
	return rc;
}

/* From *version to the last step; *version follows what is done. */
static enum err_code
apply_steps(struct db *db, const struct schema_step *steps, size_t n,
    int *version, struct err *e)
{
	enum err_code rc = ERR_OK;
	size_t i;

	/* Who looks meanwhile must see nothing or all of it. */
	if (*version == 0)
		return apply_together(db, steps, n, version, e);
	for (i = 0; i < n && rc == ERR_OK; i++)
		if (steps[i].version > *version)
			rc = apply_together(db, &steps[i], 1, version, e);
	return rc;
}

/* Switching needs the file for a moment without anybody reading it; the
 * engine does not always wait for that. */
static enum err_code
make_concurrent(struct db *db, struct err *e)
{
	int64_t begin_us = clock_mono_us(), waited = 0;
	enum err_code rc;

	for (;;) {
		rc = db_make_concurrent(db, e);
		if (rc != ERR_BUSY || waited > OPEN_BUSY_MS * 1000)
			return rc;
		turn_pause(waited);
		waited = clock_mono_us() - begin_us;
	}
}

/* Under the turn: create it, or only switch its journal, unless it is not for
 * us to touch. */
static enum err_code
make_ready(const struct place *p, struct err *e)
{
	struct db_options o = { .path = p->db, .create = true,
	    .full_sync = true, .cache_kb = CREATE_CACHE_KB,
	    .busy_ms = OPEN_BUSY_MS };
	struct db *db = NULL;
	int version = 0;
	enum err_code rc;

	rc = db_open(&o, &db, e);
	if (rc == ERR_OK)
		rc = find_version(db, &version, e);
	if (rc == ERR_OK && version != 0)
		rc = judge_version(version, STORE_SCHEMA_VERSION, e);
	if (rc == ERR_OK)
		rc = make_concurrent(db, e);
	if (rc == ERR_OK && version == 0)
		rc = apply_steps(db, schema_steps, n_schema_steps, &version, e);
	db_close(db);
	if (rc == ERR_OK)
		rc = sync_place(p, e);
	return rc;
}

/* *ready false: somebody must create it, or switch its journal. */
static enum err_code
look(const struct place *p, bool read_only, bool *ready, struct err *e)
{
	struct db_options o = { .path = p->db, .read_only = read_only,
	    .cache_kb = CREATE_CACHE_KB, .busy_ms = OPEN_BUSY_MS };
	struct db *db = NULL;
	bool concurrent = false;
	int version = 0;
	enum err_code rc;

	*ready = false;
	rc = db_open(&o, &db, e);
	if (rc == ERR_OK)
		rc = find_version(db, &version, e);
	if (rc != ERR_OK || version == 0)
		goto out;
	rc = judge_version(version, STORE_SCHEMA_VERSION, e);
	if (rc == ERR_OK)
		rc = db_is_concurrent(db, &concurrent, e);
	*ready = rc == ERR_OK && concurrent;
out:
	db_close(db);
	return rc;
}

static bool
before(void *deadline_us)
{
	return clock_mono_us() < *(int64_t *)deadline_us;
}

enum err_code
schema_ensure(const struct place *p, const struct store_options *o,
    struct turn *t, struct err *e)
{
	int64_t deadline_us;
	enum err_code rc;
	struct stat sb;
	bool exists, ready = false;

	/* stat() is fine; open() would cost the engine its locks. */
	exists = stat(p->db, &sb) == 0;
	if (exists || o->read_only) {
		rc = look(p, o->read_only, &ready, e);
		if (o->read_only && rc == ERR_OK && !ready)
			return err_set(e, ERR_CONFIG, "it is empty or was not "
			    "opened for writing yet");
		if (ready || o->read_only)
			return rc;
		if (rc != ERR_OK && rc != ERR_BUSY)
			return rc;
	}
	deadline_us = clock_mono_us() + (int64_t)o->lock_wait_ms * 1000;
	if (!turn_take(t, before, &deadline_us, NULL))
		return err_set(e, ERR_BUSY, "others are writing");
	rc = make_ready(p, e);
	turn_give(t);
	return rc;
}

enum err_code
schema_version_of(const char *path, int *version, struct err *e)
{
	struct db_options o = { .path = path, .read_only = true,
	    .cache_kb = CREATE_CACHE_KB, .busy_ms = OPEN_BUSY_MS };
	struct db *db = NULL;
	enum err_code rc;

	rc = db_open(&o, &db, e);
	if (rc == ERR_OK)
		rc = find_version(db, version, e);
	db_close(db);
	if (rc == ERR_OK && *version > STORE_SCHEMA_VERSION)
		rc = judge_version(*version, STORE_SCHEMA_VERSION, e);
	return rc;
}

/* --- upgrading ------------------------------------------------------------ */

static enum err_code
upgrade(const struct place *p, const struct schema_step *steps, size_t n,
    int *from, int *to, struct err *e)
{
	struct db_options o = { .path = p->db, .create = true,
	    .full_sync = true, .no_foreign_keys = true,
	    .cache_kb = CREATE_CACHE_KB, .busy_ms = OPEN_BUSY_MS };
	struct db *db = NULL;
	int known = steps[n - 1].version;
	int version = 0;
	enum err_code rc;

	rc = db_open(&o, &db, e);
	if (rc == ERR_OK)
		rc = find_version(db, &version, e);
	if (rc != ERR_OK)
		goto out;
	*from = version;
	*to = version;
	if (version > known) {
		rc = judge_version(version, known, e);
		goto out;
	}
	rc = make_concurrent(db, e);
	if (rc == ERR_OK)
		rc = apply_steps(db, steps, n, to, e);
out:
	db_close(db);
	if (rc == ERR_OK)
		rc = sync_place(p, e);
	return rc;
}

enum err_code
schema_migrate(const char *database, const struct schema_step *steps, size_t n,
    int *from, int *to, struct err *e)
{
	struct place p = { NULL, NULL, NULL };
	struct turn t = TURN_INIT;
	enum err_code rc;

	rc = place_parse(database, &p, e);
	if (rc != ERR_OK)
		return rc;
	rc = place_make(&p, e);
	if (rc == ERR_OK)
		rc = turn_open(p.turn, false, &t, e);
	if (rc == ERR_OK)
		rc = turn_exclude_users(&t, e);
	if (rc == ERR_OK)
		rc = upgrade(&p, steps, n, from, to, e);
	if (rc != ERR_OK)
		err_wrap(e, "database %s", p.db);
	turn_close(&t);
	place_release(&p);
	return rc;
}

enum err_code
store_migrate(const char *database, int *from, int *to, struct err *e)
{
	return schema_migrate(database, schema_steps, n_schema_steps, from, to,
	    e);
}
