/*
 * One state of the database as a file of its own, and back.
 *
 * The copy is made by one statement, which reads as any reader does: it sees the
 * state of its beginning, however long it takes, and nobody waits for it.  (What
 * is written meanwhile stays in the log until it is done.)
 *
 * On the way back nobody else may look: a program that started in between would
 * find no database and make an empty one.  So the users lock is held alone from
 * the first look to the last step, and that is one rename.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "upkeep.h"
#include "xalloc.h"

#define COPY_CACHE_KB 2048
#define COPY_BUSY_MS 2000
#define NEW_NAME ".restored"

static enum err_code
sync_path(const char *path, struct err *e)
{
	enum err_code rc = ERR_OK;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || fsync(fd) != 0)
		rc = err_set_errno(e, ERR_SYSTEM, errno, "%s", path);
	if (fd >= 0)
		close(fd);
	return rc;
}

/* --- out ------------------------------------------------------------------ */

enum err_code
store_backup(struct store *st, const char *to, struct err *e)
{
	static const char sql[] = "VACUUM INTO ?1";
	struct db_options o = { .path = store_place(st)->db,
	    .cache_kb = COPY_CACHE_KB, .busy_ms = COPY_BUSY_MS };
	struct db *db = NULL;
	enum err_code rc;
	struct stat sb;

	if (lstat(to, &sb) == 0)
		return err_set(e, ERR_CONFLICT, "%s is there already", to);
	rc = db_open(&o, &db, e);
	if (rc == ERR_OK)
		rc = db_run(db, sql, DB_ARGS(db_s(to)), NULL, e);
	db_close(db);
	if (rc == ERR_OK && chmod(to, 0600) != 0)
		rc = err_set_errno(e, ERR_SYSTEM, errno, "%s", to);
	if (rc == ERR_OK)
		rc = sync_path(to, e);
	if (rc != ERR_OK)
		unlink(to);
	return rc;
}

/* --- back ----------------------------------------------------------------- */

/* A log without its database would be taken for that of the new one. */
static enum err_code
check_nothing_is_there(const struct place *p, struct err *e)
{
	static const char *const parts[] = { "", "-wal", "-shm", "-journal" };
	enum err_code rc = ERR_OK;
	struct stat sb;
	char *path;
	size_t i;

	for (i = 0; i < ARRAY_LEN(parts) && rc == ERR_OK; i++) {
		path = xasprintf("%s%s", p->db, parts[i]);
		if (lstat(path, &sb) == 0)
			rc = err_set(e, ERR_CONFLICT, "%s is there; move it "
			    "away first", path);
		free(path);
	}
	return rc;
}

static enum err_code
put_in_place(const struct place *p, const char *from, struct err *e)
{
	char *made = xasprintf("%s" NEW_NAME, p->db);
	enum err_code rc;
	int64_t bytes;

	unlink(made);		/* of one that was interrupted */
	rc = file_copy(AT_FDCWD, from, AT_FDCWD, made, &bytes, e);
	if (rc == ERR_OK && chmod(made, 0600) != 0)
		rc = err_set_errno(e, ERR_SYSTEM, errno, "%s", made);
	if (rc == ERR_OK)
		rc = sync_path(made, e);
	if (rc == ERR_OK)
		rc = check_nothing_is_there(p, e);
	if (rc == ERR_OK && rename(made, p->db) != 0)
		rc = err_set_errno(e, ERR_SYSTEM, errno, "%s", p->db);
	if (rc == ERR_OK)
		rc = sync_path(p->dir, e);
	else
		unlink(made);
	free(made);
	return rc;
}

enum err_code
store_restore(const char *database, const char *from,
    enum err_code (*files)(void *arg, struct err *e), void *arg, int *version,
    struct err *e)
{
	struct place p = { NULL, NULL, NULL };
	struct turn t = TURN_INIT;
	enum err_code rc;

	rc = place_parse(database, &p, e);
	if (rc != ERR_OK)
		return rc;
	rc = schema_version_of(from, version, e);
	if (rc == ERR_OK && *version == 0)
		rc = err_set(e, ERR_CONFIG, "there is nothing in it");
	if (rc != ERR_OK) {
		err_wrap(e, "%s", from);
		goto out;
	}
	rc = place_make(&p, e);
	if (rc == ERR_OK)
		rc = turn_open(p.turn, false, &t, e);
	if (rc == ERR_OK)
		rc = turn_exclude_users(&t, e);
	if (rc == ERR_OK)
		rc = check_nothing_is_there(&p, e);
	if (rc == ERR_OK)
		rc = files(arg, e);
	if (rc == ERR_OK)
		rc = put_in_place(&p, from, e);
out:
	turn_close(&t);
	place_release(&p);
	return rc;
}
