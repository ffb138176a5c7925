/*
 * Leftovers: what ended jobs have left in their runs' directories.
 *
 * Whoever ends a job removes half-written files, the answers kept in calls/ and
 * the stages' files in work/.  But some jobs end without one who works on them: cancelled while
 * they waited or while their runner was dead, or given up by the store.  So the
 * directories are looked through when a runner starts and now and then, a few at
 * a time, since there may be very many and the thread has better things to do.
 *
 * The files of deleted runs are found by their rows instead, and removed whole
 * (run_delete.c): whoever deleted them may have died, or was refused.
 *
 * Nothing is removed while any job of the run waits or runs, or while a slot of
 * ours still has one.  A job that is submitted at that very moment finds its
 * directory gone at worst, is put back, and makes it again.
 */
#include <fcntl.h>
#include <unistd.h>

#include "runner.h"

#include "clock.h"
#include "file.h"
#include "log.h"
#include "xalloc.h"

static const char *const leavings[] = { "calls", "work" };

static bool
has_leavings(int runs, const char *run_id)
{
	char path[ID_MAX + 16];
	size_t i;

	for (i = 0; i < ARRAY_LEN(leavings); i++) {
		snprintf(path, sizeof(path), "%s/%s", run_id, leavings[i]);
		if (faccessat(runs, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return true;
	}
	return false;
}

static bool
in_a_slot(struct runner *r, const char *run_id)
{
	bool found = false;
	int i;

	pthread_mutex_lock(&r->lock);
	for (i = 0; i < r->n_slots && !found; i++)
		found = r->slots[i].busy &&
		    strcmp(r->slots[i].job.run_id, run_id) == 0;
	pthread_mutex_unlock(&r->lock);
	return found;
}

static void
look_at(struct runner *r, int runs, const char *run_id)
{
	struct err e = ERR_INIT;
	bool open = true;
	int fd = -1;
	size_t i;

	if (!id_is_valid(run_id) || !has_leavings(runs, run_id) ||
	    in_a_slot(r, run_id) ||
	    store_run_is_open(r->store, run_id, &open, &e) != ERR_OK || open ||
	    file_open_dir(runs, run_id, &fd, &e) != ERR_OK)
		return;
	file_remove_temporaries(fd);
	for (i = 0; i < ARRAY_LEN(leavings); i++)
		if (file_remove_tree(fd, leavings[i], &e) != ERR_OK)
			log_warn("leftovers not removed, ignoring",
			    "run=%s error=%s", run_id, log_quote(e.msg));
	close(fd);
	r->leftovers_removed++;
}

int64_t
leftovers_step(struct runner *r)
{
	struct dirent *d;
	int i;

	if (r->leftovers == NULL) {
		r->leftovers = opendir(r->service.runs_dir);
		r->leftovers_removed = 0;
	}
	for (i = 0; r->leftovers != NULL && i < LEFTOVERS_STEP; i++) {
		d = readdir(r->leftovers);
		if (d == NULL)
			break;
		look_at(r, dirfd(r->leftovers), d->d_name);
	}
	if (r->leftovers != NULL && i == LEFTOVERS_STEP)
		return LEFTOVERS_STEP_MS;
	if (r->leftovers != NULL)
		closedir(r->leftovers);
	r->leftovers = NULL;
	if (r->leftovers_removed > 0)
		log_info("leftovers removed", "runs=%d",
		    r->leftovers_removed);
	return LEFTOVERS_MS;
}

int64_t
deleted_step(struct runner *r)
{
	struct delete_sweep *sweep = &r->deleted;
	struct err e = ERR_INIT;
	bool more = false;

	if (run_delete_sweep(r->service.runs_dir, r->store, sweep,
	    clock_now_ms(), &more, &e) != ERR_OK) {
		log_warn("files of deleted runs not looked for, trying again",
		    "error=%s", log_quote(e.msg));
		return SWEEP_MS;
	}
	if (more)
		return LEFTOVERS_STEP_MS;
	if (sweep->left > 0)
		log_warn("files of deleted runs are left, ignoring",
		    "runs=%d error=%s", sweep->left, log_quote(sweep->why.msg));
	else if (sweep->done > 0)
		log_info("files of deleted runs are gone", "runs=%d",
		    sweep->done);
	memset(sweep, 0, sizeof(*sweep));
	return LEFTOVERS_MS;
}
