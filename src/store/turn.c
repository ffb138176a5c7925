/*
 * Whose turn it is to write, between the processes that share a database.
 *
 * The engine's own waiting sleeps up to 100 ms between tries and lets whoever
 * just wrote write again, so that under load one process starves.  Here a
 * process that wants to write takes two bytes of a side file in order:
 *
 *   NEXT    the place behind the one who is writing; at most one waits there
 *   WRITE   the turn; whoever gets it leaves NEXT to the others
 *
 * Whoever has just written and wants to write again finds NEXT taken by the one
 * who waits, so nobody is overtaken twice.  Only the one at NEXT looks often.
 *
 * Nothing is ever asked for while WRITE is held, so there is no deadlock.  A
 * third byte, USERS, is shared by all who have the database open.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "clock.h"

#define PAUSE_MIN_US 60		/* a commit of another takes about 200 */
#define PAUSE_MAX_US 1000
#define PAUSE_SHARE 16		/* pause for a sixteenth of the wait so far */

enum turn_byte { TURN_WRITE, TURN_NEXT, TURN_USERS };

/* False: another has it. type is F_RDLCK, F_WRLCK or F_UNLCK. */
static bool
set_lock(struct turn *t, enum turn_byte byte, short type)
{
	struct flock fl;

	memset(&fl, 0, sizeof(fl));
	fl.l_type = type;
	fl.l_whence = SEEK_SET;
	fl.l_start = (off_t)byte;
	fl.l_len = 1;
	return fcntl(t->fd, F_OFD_SETLK, &fl) == 0;
}

enum err_code
turn_open(const char *path, bool read_only, struct turn *out, struct err *e)
{
	int flags = read_only ? O_RDONLY : O_RDWR | O_CREAT;
	int fd;

	fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set_errno(e, ERR_CONFIG, errno, "%s", path);
	out->fd = fd;
	out->is_next = false;
	return ERR_OK;
}

void
turn_close(struct turn *t)
{
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
	t->is_next = false;
}

void
turn_pause(int64_t waited_us)
{
	struct timespec ts;
	int64_t us = waited_us / PAUSE_SHARE;

	if (us < PAUSE_MIN_US)
		us = PAUSE_MIN_US;
	if (us > PAUSE_MAX_US)
		us = PAUSE_MAX_US;
	ts.tv_sec = 0;
	ts.tv_nsec = (long)us * 1000;
	nanosleep(&ts, NULL);
}

static bool
try_take(struct turn *t)
{
	if (!t->is_next)
		t->is_next = set_lock(t, TURN_NEXT, F_WRLCK);
	if (!t->is_next || !set_lock(t, TURN_WRITE, F_WRLCK))
		return false;
	set_lock(t, TURN_NEXT, F_UNLCK);
	t->is_next = false;
	return true;
}

bool
turn_take(struct turn *t, bool (*wanted)(void *arg), void *arg,
    int64_t *waited_us)
{
	int64_t begin_us = 0, waited = 0;
	bool got;

	for (;;) {
		got = try_take(t);
		if (got || !wanted(arg))
			break;
		if (begin_us == 0)
			begin_us = clock_mono_us();
		turn_pause(waited);
		waited = clock_mono_us() - begin_us;
	}
	if (!got && t->is_next) {
		set_lock(t, TURN_NEXT, F_UNLCK);
		t->is_next = false;
	}
	if (waited_us != NULL)
		*waited_us = waited;
	return got;
}

void
turn_give(struct turn *t)
{
	set_lock(t, TURN_WRITE, F_UNLCK);
}

static enum err_code
lock_users(struct turn *t, short type, struct err *e)
{
	if (set_lock(t, TURN_USERS, type))
		return ERR_OK;
	if (errno == EAGAIN || errno == EACCES)
		return err_set(e, ERR_BUSY, "the database is %s",
		    type == F_WRLCK ? "in use" : "being upgraded");
	return err_set_errno(e, ERR_CONFIG, errno,
	    "the file system of the database does not allow locks");
}

enum err_code
turn_share_users(struct turn *t, struct err *e)
{
	return lock_users(t, F_RDLCK, e);
}

enum err_code
turn_exclude_users(struct turn *t, struct err *e)
{
	return lock_users(t, F_WRLCK, e);
}
