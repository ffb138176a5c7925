/*
 * backup and restore: everything that was answered, in one directory.
 *
 *   DIR/db/churns.sqlite   one state of the database
 *   DIR/runs/ID/...        the files of its runs
 *   DIR/backup.json        when, by whom, how much; written last
 *
 * The order is what makes it whole although everybody goes on working.  A file
 * is there before the row that names it; so the database is copied first, and
 * whatever its rows name can be copied after it.  What happens later may add
 * files, which do no harm, or take them away: a run that is deleted meanwhile is
 * deleted in the copy, too, and answers of a job that ends meanwhile go, which
 * only means that a job restored in the middle asks for them again.
 *
 * The directory bears another name until all of it is on the disk.  So whoever
 * finds DIR has a whole backup.
 *
 * What a backup promises: each request that was answered before it began is in
 * it; of each run that had ended, everything; every other run goes on, after
 * restore, from its last finished step.  What such a run had done since then is
 * done, and paid, again.  Configuration and keys are not in it.
 *
 * The way back needs a place where nothing is, with all programs stopped.
 */
#include "ctl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <sys/stat.h>
#include <unistd.h>

#include "deletion.h"
#include "file.h"
#include "upkeep.h"
#include "xalloc.h"

#define FORMAT 1
#define NOTE "backup.json"
#define NOTE_MAX_BYTES (64 * 1024)
#define DATABASE "db/churns.sqlite"
#define RUNS "runs"
#define PARTIAL ".partial"
#define DIR_MODE 0700
#define RUNS_MODE 0750
#define FILE_MODE 0600
#define PAGE 100
#define CACHE_KB 2048
#define LOCK_WAIT_MS 5000
#define MIB (1024.0 * 1024.0)

struct backup {
	struct ctl *c;
	char *dir;		/* absolute; under its other name */
	struct store *copy;	/* the database in it */
	int dirfd;		/* of dir */
	int from_runs, to_runs;	/* -1: none */
	struct file_copied copied;
	int64_t runs, open, deleted;
	int64_t began_ms;
};

/* --- the copy's rows ------------------------------------------------------- */

/* Opened as the programs do it: that also proves that they could. */
static enum err_code
open_copy(struct backup *b, struct err *e)
{
	char *database = xasprintf("sqlite:%s/" DATABASE, b->dir);
	struct store_options o = { .database = database, .full_sync = true,
	    .cache_kb = CACHE_KB, .lock_wait_ms = LOCK_WAIT_MS,
	    .max_readers = 1 };
	enum err_code rc;

	rc = store_open(&o, &b->copy, e);
	free(database);
	return rc;
}

static void
damage_found(void *arg, const char *what)
{
	(void)what;
	(*(int *)arg)++;
}

static enum err_code
check_copy(struct backup *b, struct err *e)
{
	enum err_code rc;
	int damages = 0;

	rc = store_verify_file(b->copy, damage_found, &damages, e);
	if (rc == ERR_OK && damages > 0)
		rc = err_set(e, ERR_SYSTEM, "the database is damaged in %d "
		    "places; see \"churnsctl verify\"", damages);
	return rc;
}

/* --- the copy's files ------------------------------------------------------ */

/* A run that is deleted now is deleted in the copy as well: its files may have
 * gone before they could be copied. */
static enum err_code
follow_deletion(struct backup *b, const char *run_id, struct err *e)
{
	enum delete_outcome outcome = DELETE_DONE;
	struct run_presence now;
	enum err_code rc;

	rc = store_verify_run(b->c->store, run_id, &now, e);
	if (rc != ERR_OK || !now.deleted)
		return rc;
	rc = store_delete_run(b->copy, NULL, run_id, clock_now_ms(), &outcome,
	    e);
	if (rc == ERR_OK && outcome == DELETE_DONE)
		rc = store_files_removed(b->copy, run_id, e);
	if (rc == ERR_OK)
		rc = file_remove_tree(b->to_runs, run_id, e);
	b->deleted++;
	return rc;
}

static enum err_code
copy_run(struct backup *b, const struct run_presence *run, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (run->deleted)
		return ERR_OK;
	b->runs++;
	b->open += run->open;
	if (b->from_runs >= 0)
		rc = file_copy_tree(b->from_runs, run->id, b->to_runs, run->id,
		    &b->copied, e);
	if (rc != ERR_OK && rc != ERR_NOT_FOUND)
		return rc;
	return follow_deletion(b, run->id, e);
}

static enum err_code
copy_runs(struct backup *b, struct err *e)
{
	struct run_presence_list l = { NULL, 0 };
	char after[ID_MAX] = "";
	enum err_code rc;
	int i, n;

	do {
		rc = store_verify_runs(b->copy, after, PAGE, &l, e);
		if (rc != ERR_OK)
			return rc;
		n = l.n;
		for (i = 0; i < n && rc == ERR_OK; i++)
			rc = copy_run(b, &l.rows[i], e);
		if (n > 0)
			memcpy(after, l.rows[n - 1].id, ID_MAX);
		run_presence_list_release(&l);
	} while (n == PAGE && rc == ERR_OK);
	return rc;
}

/* --- the directory --------------------------------------------------------- */

/* An absolute path, without slashes at its end. */
static char *
absolute(const char *path)
{
	char *here, *out;
	size_t len;

	if (path[0] == '/') {
		out = xstrdup(path);
	} else {
		here = getcwd(NULL, 0);
		out = xasprintf("%s/%s", here != NULL ? here : "", path);
		free(here);
	}
	for (len = strlen(out); len > 1 && out[len - 1] == '/'; len--)
		out[len - 1] = '\0';
	return out;
}

static enum err_code
make_directories(struct backup *b, struct err *e)
{
	char *runs = xasprintf("%s/" RUNS,
	    b->c->service.conf->settings.data_dir);
	enum err_code rc;

	if (mkdir(b->dir, DIR_MODE) != 0)
		rc = err_set_errno(e, ERR_SYSTEM, errno, errno == EEXIST ?
		    "%s is of a backup that was interrupted; remove it first" :
		    "%s", b->dir);
	else
		rc = file_open_dir(AT_FDCWD, b->dir, &b->dirfd, e);
	if (rc == ERR_OK && (mkdirat(b->dirfd, "db", DIR_MODE) != 0 ||
	    mkdirat(b->dirfd, RUNS, RUNS_MODE) != 0))
		rc = err_set_errno(e, ERR_SYSTEM, errno, "%s", b->dir);
	if (rc == ERR_OK)
		rc = file_open_dir(b->dirfd, RUNS, &b->to_runs, e);
	if (rc == ERR_OK && file_open_dir(AT_FDCWD, runs, &b->from_runs,
	    NULL) != ERR_OK)
		b->from_runs = -1;	/* no run has ever had a file */
	free(runs);
	return rc;
}

static struct json_object *
note_of(const struct backup *b)
{
	struct json_object *o = json_object_new_object();

	json_put_int(o, "format", FORMAT);
	json_put_obj(o, "created_at", json_new_time(b->began_ms));
	json_put_str(o, "program", CHURNS_VERSION);
	json_put_int(o, "schema", STORE_SCHEMA_VERSION);
	json_put_int(o, "runs", b->runs - b->deleted);
	json_put_int(o, "open_runs", b->open);
	json_put_int(o, "files", b->copied.files);
	json_put_int(o, "bytes", b->copied.bytes);
	return o;
}

static enum err_code
write_note(struct backup *b, struct err *e)
{
	struct json_object *o = note_of(b);
	char *text = json_to_pretty_text(o);
	enum err_code rc;

	rc = file_replace(b->dirfd, NOTE, text, strlen(text), FILE_MODE, e);
	free(text);
	json_object_put(o);
	return rc;
}

/* All of it is there: make it last, then give it its name. */
static enum err_code
give_name(struct backup *b, const char *name, struct err *e)
{
	char *text = xstrdup(name);
	enum err_code rc;
	int parent = -1;

	unlinkat(b->dirfd, DATABASE ".turn", 0);
	rc = file_sync_all(b->dirfd, e);
	if (rc == ERR_OK && rename(b->dir, name) != 0)
		rc = err_set_errno(e, ERR_SYSTEM, errno, "%s", name);
	if (rc == ERR_OK)
		rc = file_open_dir(AT_FDCWD, dirname(text), &parent, e);
	if (rc == ERR_OK && fsync(parent) != 0)
		rc = err_set_errno(e, ERR_SYSTEM, errno, "%s", text);
	if (parent >= 0)
		close(parent);
	free(text);
	return rc;
}

static enum err_code
make_backup(struct backup *b, struct err *e)
{
	char *file = xasprintf("%s/" DATABASE, b->dir);
	enum err_code rc;

	rc = make_directories(b, e);
	if (rc == ERR_OK) {
		b->began_ms = clock_now_ms();
		rc = store_backup(b->c->store, file, e);
	}
	if (rc == ERR_OK)
		rc = open_copy(b, e);
	if (rc == ERR_OK)
		rc = check_copy(b, e);
	if (rc == ERR_OK)
		rc = copy_runs(b, e);
	if (b->copy != NULL)
		store_close(b->copy);
	b->copy = NULL;
	if (rc == ERR_OK)
		rc = write_note(b, e);
	free(file);
	return rc;
}

static void
tell_backup(const struct backup *b, const char *name)
{
	struct json_object *o;

	if (b->c->json) {
		o = note_of(b);
		json_put_str(o, "directory", name);
		print_json(o);
		return;
	}
	printf("%" PRId64 " runs, %" PRId64 " of them not ended, with %" PRId64
	    " files (%.1f MiB) are in %s.\n", b->runs - b->deleted, b->open,
	    b->copied.files, (double)b->copied.bytes / MIB, name);
}

int
cmd_backup(struct ctl *c)
{
	struct backup b = { .c = c, .dirfd = -1, .from_runs = -1,
	    .to_runs = -1 };
	struct err e = ERR_INIT;
	enum err_code rc;
	char *name;
	struct stat st;
	int status;

	status = ctl_open(c, OPEN_READING);
	if (status != 0)
		return status;
	name = absolute(c->operand);
	b.dir = xasprintf("%s" PARTIAL, name);
	if (lstat(name, &st) == 0)
		rc = err_set(&e, ERR_CONFLICT, "%s is there already", name);
	else
		rc = make_backup(&b, &e);
	if (rc == ERR_OK)
		rc = give_name(&b, name, &e);
	if (rc == ERR_OK)
		tell_backup(&b, name);
	else
		status = ctl_fail(rc, &e);
	/* What was begun and is of no use; not what another one has begun. */
	if (rc != ERR_OK && b.dirfd >= 0)
		file_remove_tree(AT_FDCWD, b.dir, NULL);
	if (b.from_runs >= 0)
		close(b.from_runs);
	if (b.to_runs >= 0)
		close(b.to_runs);
	if (b.dirfd >= 0)
		close(b.dirfd);
	free(b.dir);
	free(name);
	return status;
}

/* --- restore ---------------------------------------------------------------- */

struct restore {
	char *from;		/* the backup */
	char *to;		/* data_dir */
	struct json_object *note;
	struct file_copied copied;
};

static enum err_code
read_note(struct restore *r, struct err *e)
{
	char *path = xasprintf("%s/" NOTE, r->from);
	enum err_code rc;

	rc = json_parse_file(path, NOTE_MAX_BYTES, &r->note, e);
	if (rc != ERR_OK)
		err_set(e, rc, "%s is no backup: it has no " NOTE " that can "
		    "be read", r->from);
	else if (json_get_int(r->note, "format", 0) != FORMAT)
		rc = err_set(e, ERR_CONFIG, "%s is a backup of another kind "
		    "(%" PRId64 ", and this program knows %d)", r->from,
		    json_get_int(r->note, "format", 0), FORMAT);
	free(path);
	return rc;
}

static bool
is_empty(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *d = NULL;

	if (list == NULL) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	do
		d = readdir(list);
	while (d != NULL && (strcmp(d->d_name, ".") == 0 ||
	    strcmp(d->d_name, "..") == 0));
	closedir(list);
	return d == NULL;
}

/* Into a directory that is made or empty; what was begun is taken away again. */
static enum err_code
bring_files(void *arg, struct err *e)
{
	struct restore *r = arg;
	char *from = xasprintf("%s/" RUNS, r->from);
	char *to = xasprintf("%s/" RUNS, r->to);
	enum err_code rc;
	int fd = -1;

	rc = file_make_dirs(to, RUNS_MODE, e);
	if (rc == ERR_OK)
		rc = file_open_dir(AT_FDCWD, to, &fd, e);
	if (rc == ERR_OK && !is_empty(fd)) {
		rc = err_set(e, ERR_CONFLICT, "%s is not empty; move what is "
		    "in it away first", to);
		goto out;
	}
	if (rc == ERR_OK)
		rc = file_copy_tree(AT_FDCWD, from, AT_FDCWD, to, &r->copied,
		    e);
	if (rc == ERR_OK)
		rc = file_sync_all(fd, e);
	if (rc != ERR_OK && fd >= 0)
		file_remove_tree(AT_FDCWD, to, NULL);
out:
	if (fd >= 0)
		close(fd);
	free(from);
	free(to);
	return rc;
}

static void
tell_restore(const struct ctl *c, const struct restore *r, int version)
{
	bool old = version < STORE_SCHEMA_VERSION;
	struct json_object *o;

	if (c->json) {
		o = json_copy(r->note);
		json_put_int(o, "files", r->copied.files);
		json_put_bool(o, "migrate", old);
		print_json(o);
		return;
	}
	printf("%" PRId64 " runs of %s are back, with %" PRId64 " files; %"
	    PRId64 " of them go on when the programs start.\n",
	    json_get_int(r->note, "runs", 0),
	    json_get_str(r->note, "created_at"), r->copied.files,
	    json_get_int(r->note, "open_runs", 0));
	if (old)
		puts("The database is of an older version: run \"" CTL_NAME
		    " migrate\" first.");
}

int
cmd_restore(struct ctl *c)
{
	struct restore r = { NULL, NULL, NULL, { 0, 0 } };
	struct err e = ERR_INIT;
	enum err_code rc;
	char *file = NULL;
	int status, version = 0;

	status = ctl_load(c);
	if (status == 0)
		status = ctl_check_user(c);
	if (status != 0)
		return status;
	r.from = absolute(c->operand);
	r.to = xstrdup(c->service.conf->settings.data_dir);
	file = xasprintf("%s/" DATABASE, r.from);
	rc = read_note(&r, &e);
	if (rc == ERR_OK)
		rc = store_restore(c->service.conf->settings.database, file,
		    bring_files, &r, &version, &e);
	if (rc == ERR_OK)
		tell_restore(c, &r, version);
	else
		status = ctl_fail(rc, &e);
	json_object_put(r.note);
	free(file);
	free(r.from);
	free(r.to);
	return status;
}
