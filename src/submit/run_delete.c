/*
 * Deleting a run: its rows, then its files.
 *
 *   rows: one transaction; from here on the run is gone for everybody
 *     |
 *   runs/ID is renamed to runs/.deleted-ID: no reader meets half a run
 *     |
 *   everything in there is removed, then the directory
 *
 * What stops between the first step and the last (a crash, a directory that
 * cannot be removed) is found again by its row: the sweep, which a runner calls
 * now and then, takes the same two steps for every run whose row does not say
 * that its files are gone.  That is said late, FILES_SETTLE_MS after the
 * deletion, because a runner may not have noticed yet that a job of it was
 * cancelled, and make a file once more.
 *
 * A directory is opened by its name beneath its parent and never through a
 * link; ids come from our own rows and are checked before they become names.
 */
#include "submit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

#define TRASH ".deleted-"
#define TRASH_NAME_MAX (sizeof(TRASH) + ID_MAX)
#define SWEEP_RUNS 32		/* looked after by one call */
#define FILES_SETTLE_MS (10 * 60 * 1000)	/* longer than any job ends late */

/* What is gone already is fine. */
static enum err_code
remove_run_files(int runs_fd, const char *run_id, struct err *e)
{
	char trash[TRASH_NAME_MAX];
	enum err_code rc;

	if (!id_is_valid(run_id))
		return err_set(e, ERR_SYSTEM, "a deleted run has an id that is "
		    "none");
	snprintf(trash, sizeof(trash), TRASH "%s", run_id);
	/* First what an earlier try has left, or it would be in the way. */
	rc = file_remove_tree(runs_fd, trash, e);
	if (rc != ERR_OK)
		return rc;
	if (renameat(runs_fd, run_id, runs_fd, trash) != 0)
		return errno == ENOENT ? ERR_OK :
		    err_set_errno(e, ERR_SYSTEM, errno, "runs/%s", run_id);
	return file_remove_tree(runs_fd, trash, e);
}

static enum err_code
open_and_remove(const char *runs_dir, const char *run_id, struct err *e)
{
	enum err_code rc;
	int fd = -1;

	rc = file_open_dir(AT_FDCWD, runs_dir, &fd, e);
	if (rc == ERR_OK) {
		rc = remove_run_files(fd, run_id, e);
		close(fd);
	}
	return rc;
}

enum err_code
run_delete(const char *runs_dir, struct store *st, const char *owner,
    const char *run_id, int64_t now_ms, struct run_deletion *out,
    struct err *e)
{
	struct run_deletion d = { .outcome = DELETE_DONE, .why = ERR_INIT };
	enum err_code rc;

	rc = store_delete_run(st, owner, run_id, now_ms, &d.outcome, e);
	if (rc != ERR_OK)
		return rc;
	if (d.outcome == DELETE_DONE)
		d.files_left = open_and_remove(runs_dir, run_id, &d.why) !=
		    ERR_OK;
	*out = d;
	return ERR_OK;
}

static enum err_code
sweep_one(int runs_fd, struct store *st, const struct deleted_run *d,
    struct delete_sweep *sweep, int64_t now_ms, struct err *e)
{
	struct err why = ERR_INIT;

	if (remove_run_files(runs_fd, d->id, &why) != ERR_OK) {
		sweep->left++;
		sweep->why = why;
		return ERR_OK;
	}
	if (now_ms - d->deleted_ms < FILES_SETTLE_MS)
		return ERR_OK;
	sweep->done++;
	return store_files_removed(st, d->id, e);
}

enum err_code
run_delete_sweep(const char *runs_dir, struct store *st,
    struct delete_sweep *sweep, int64_t now_ms, bool *more, struct err *e)
{
	struct deleted_list l = { NULL, 0 };
	enum err_code rc;
	int fd = -1, i;

	rc = store_list_deleted(st, &sweep->at, SWEEP_RUNS, &l, e);
	if (rc == ERR_OK && l.n > 0)
		rc = file_open_dir(AT_FDCWD, runs_dir, &fd, e);
	for (i = 0; i < l.n && rc == ERR_OK; i++) {
		rc = sweep_one(fd, st, &l.rows[i], sweep, now_ms, e);
		sweep->at = l.rows[i];
	}
	if (rc == ERR_OK)
		*more = l.n == SWEEP_RUNS;
	if (fd >= 0)
		close(fd);
	deleted_list_release(&l);
	return rc;
}
