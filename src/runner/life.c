/*
 * Who is alive.
 *
 * Every runner holds a lock (flock) on a file of its own, runner.ID.life, from
 * before its first lease until its process ends.  The kernel lets go of the
 * lock at the very moment the process dies, however it dies; so whoever on the
 * same host obtains the lock of a holder of leases knows that it is dead and
 * may take its jobs at once.  A host that has booted since has no living
 * holders at all.  For everybody else only the end of the lease tells: other
 * hosts, and holders whose file is not there.  A missing file is no sign of
 * death: an orderly end gives its leases back before it removes the file, and
 * others remove files too (tidy-up of /run, another container's /run).
 *
 * The end of a lease is read from the wall clock, which may jump, and which goes
 * on while a machine is suspended.  So nobody judges itself by it: a runner
 * takes back what it no longer works on only right after it has renewed the
 * rest.  And a neighbour that holds its lock counts as stuck only after so many
 * looks as fit into a lease: we made none while we were suspended with it.
 *
 * The file is locked before it gets the name under which others look for it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <unistd.h>

#include "runner.h"

#include "clock.h"
#include "log.h"
#include "wake.h"
#include "xalloc.h"

#define LIFE_PREFIX "runner."
#define LIFE_SUFFIX ".life"
#define FAILED_MESSAGE							\
	"The run was interrupted too often and has been given up."

enum err_code
life_begin(struct runner *r, struct err *e)
{
	const char *dir = r->settings->run_dir;
	enum err_code rc = ERR_OK;
	char *early;
	int fd;

	early = xasprintf("%s/.%s%s%s", dir, LIFE_PREFIX, r->presence.id,
	    LIFE_SUFFIX);
	r->life_path = xasprintf("%s/%s%s%s", dir, LIFE_PREFIX,
	    r->presence.id, LIFE_SUFFIX);
	fd = open(early, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
	    0640);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0 ||
	    rename(early, r->life_path) != 0) {
		rc = err_set_errno(e, ERR_SYSTEM, errno,
		    "cannot make the life file in %s", dir);
		unlink(early);
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	free(early);
	r->life_fd = fd;
	r->holder.id = r->presence.id;
	r->holder.host = id_host();
	r->holder.boot_id = id_boot();
	r->holder.life_file = r->life_path;
	return rc;
}

void
life_end(struct runner *r)
{
	if (r->life_fd >= 0) {
		unlink(r->life_path);
		close(r->life_fd);
	}
	r->life_fd = -1;
	free(r->life_path);
	r->life_path = NULL;
}

/* The lock of a dead process's file, held; -1: it lives (then *alive) or we
 * cannot tell. */
static int
lock_of_dead(int dirfd, const char *path, bool *alive)
{
	int fd;

	*alive = false;
	fd = openat(dirfd, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -1;
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		*alive = errno == EWOULDBLOCK;
		close(fd);
		return -1;
	}
	return fd;
}

/* Is this the name of a life file, and whose? */
static bool
life_name(const char *name, char id[ID_MAX])
{
	const size_t head = strlen(LIFE_PREFIX);

	if (strncmp(name, LIFE_PREFIX, head) != 0 ||
	    strlen(name) != head + ID_LEN + strlen(LIFE_SUFFIX) ||
	    strcmp(name + head + ID_LEN, LIFE_SUFFIX) != 0)
		return false;
	memcpy(id, name + head, ID_LEN);
	id[ID_LEN] = '\0';
	return id_is_valid(id);
}

/* Take the leases of holder: all, or those whose time is over. */
static enum err_code
take_leases(struct runner *r, const char *holder, bool overdue)
{
	struct expired x = { 0, 0 };
	struct err e = ERR_INIT;
	enum err_code rc;

	rc = (overdue ? store_expire_overdue : store_expire_leases)(r->store,
	    holder, clock_now_ms(), r->settings->runner_max_attempts,
	    FAILED_MESSAGE, &x, &e);
	if (rc != ERR_OK) {
		log_warn("leases not taken, trying again", "holder=%s error=%s",
		    holder, log_quote(e.msg));
		return rc;
	}
	if (x.requeued > 0 || x.failed > 0)
		log_info("leases taken", "holder=%s requeued=%d failed=%d",
		    holder, x.requeued, x.failed);
	if (x.failed > 0)
		wake_send_event(r->settings->run_dir, "");
	return ERR_OK;
}

enum vitals {
	VITALS_UNKNOWN,
	VITALS_ALIVE,
	VITALS_DEAD
};

/* *fd: the lock of a dead one's file; -1: it has none. */
static enum vitals
vitals_of(const struct holder_row *h, int *fd)
{
	bool alive = false;

	*fd = -1;
	if (h->host == NULL || strcmp(h->host, id_host()) != 0 ||
	    h->boot_id == NULL)
		return VITALS_UNKNOWN;
	if (strcmp(h->boot_id, id_boot()) != 0)
		return VITALS_DEAD;
	if (h->life_file != NULL)
		*fd = lock_of_dead(AT_FDCWD, h->life_file, &alive);
	if (*fd >= 0)
		return VITALS_DEAD;
	return alive ? VITALS_ALIVE : VITALS_UNKNOWN;
}

/* It is dead, and fd the lock of its file (-1: none). */
static void
bury(struct runner *r, const struct holder_row *h, int fd)
{
	const char *slash;
	char id[ID_MAX];

	if (take_leases(r, h->id, false) == ERR_OK && fd >= 0) {
		slash = strrchr(h->life_file, '/');
		if (life_name(slash != NULL ? slash + 1 : h->life_file, id) &&
		    strcmp(id, h->id) == 0)
			unlink(h->life_file);
	}
	if (fd >= 0)
		close(fd);
}

/* How many looks in a row, this one included, have found this neighbour alive
 * with leases that are over? Kept for the next look. */
static int
suspicious_looks(struct runner *r, const char *id, struct suspects *now)
{
	int i, looks = 1;

	for (i = 0; i < r->suspects.n; i++)
		if (strcmp(r->suspects.of[i].id, id) == 0)
			looks = r->suspects.of[i].looks + 1;
	if (now->n < MAX_SUSPECTS) {
		snprintf(now->of[now->n].id, ID_MAX, "%s", id);
		now->of[now->n].looks = looks;
		now->n++;
	}
	return looks;
}

static void
recover_holder(struct runner *r, const struct holder_row *h,
    struct suspects *now)
{
	int fd = -1;

	if (h->id == NULL || strcmp(h->id, r->presence.id) == 0)
		return;
	switch (vitals_of(h, &fd)) {
	case VITALS_DEAD:
		bury(r, h, fd);
		break;
	case VITALS_ALIVE:
		if (h->until_ms <= clock_now_ms() &&
		    suspicious_looks(r, h->id, now) >
		    r->settings->runner_lease_ms / RECOVER_MS)
			take_leases(r, h->id, true);
		break;
	case VITALS_UNKNOWN:
		if (h->until_ms <= clock_now_ms())
			take_leases(r, h->id, true);
		break;
	}
}

void
life_recover(struct runner *r)
{
	struct holder_list l = { NULL, 0 };
	struct suspects now = { .n = 0 };
	struct err e = ERR_INIT;
	int i;

	if (store_list_holders(r->store, &l, &e) != ERR_OK) {
		log_warn("holders of leases not read, trying again",
		    "error=%s", log_quote(e.msg));
		return;
	}
	for (i = 0; i < l.n; i++)
		recover_holder(r, &l.rows[i], &now);
	r->suspects = now;
	holder_list_release(&l);
}

void
life_take_back(struct runner *r)
{
	take_leases(r, r->presence.id, true);
}

/* A file whose process is gone; its leases, if any, are taken first. */
static void
sweep_one(struct runner *r, int dirfd, const char *name, const char *id)
{
	bool alive;
	int fd;

	fd = lock_of_dead(dirfd, name, &alive);
	if (fd < 0)
		return;
	if (take_leases(r, id, false) == ERR_OK)
		unlinkat(dirfd, name, 0);
	close(fd);
}

void
life_sweep(struct runner *r)
{
	char id[ID_MAX];
	struct dirent *d;
	DIR *list;

	list = opendir(r->settings->run_dir);
	if (list == NULL)
		return;
	for (d = readdir(list); d != NULL; d = readdir(list))
		if (life_name(d->d_name, id) &&
		    strcmp(id, r->presence.id) != 0)
			sweep_one(r, dirfd(list), d->d_name, id);
	closedir(list);
}
