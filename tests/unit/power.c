/* The layer described in power.h. */
#include "tests/unit/power.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "xalloc.h"

#define SECTOR 512
#define MAX_NAMES 8		/* database, log, journal, side file ... */
#define MAX_NAME 80

struct pending {
	struct pending *next;
	bool is_truncate;
	int64_t at;		/* of a truncate: the new size */
	size_t len;
	unsigned char data[];
};

/* The content of a file; names come and go. */
struct content {
	struct content *next;	/* of all there ever were */
	ino_t ino;		/* of the real file */
	unsigned char *platter;
	size_t len, room;
	struct pending *first, **last;
};

struct name {
	char base[MAX_NAME];
	struct content *now;	/* what the program sees; NULL: no such file */
	struct content *platter;	/* what the directory on the platter says */
};

struct power_file {
	sqlite3_file base;
	struct content *content;	/* NULL: not ours to watch */
	sqlite3_file *real;	/* behind us in the same memory */
};

static sqlite3_vfs layer;
static sqlite3_vfs *real_vfs;
static char watched[300];	/* the directory */
static char above[300];		/* the one that it is in */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct name names[MAX_NAMES];	/* guarded by lock, as is all below */
static struct content *contents;	/* live as long as the program */
static int n_names;
static int countdown;		/* operations until the cut; < 0: none */
static int operations;
static enum power_survival survival;
static uint64_t dice;
static unsigned chance;		/* of 100, that a piece survives */
static bool dir_is_there;	/* on the platter: its own name */
static bool lies, lost;
static atomic_bool off;

/* --- chance --------------------------------------------------------------- */

static unsigned
roll(unsigned n)
{
	dice += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t x = dice;

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (unsigned)((x ^ (x >> 31)) % n);
}

static bool
survives(void)
{
	switch (survival) {
	case POWER_DROP:
		return false;
	case POWER_KEEP:
		return true;
	case POWER_SOME:
	case POWER__COUNT:
		break;
	}
	return roll(100) < chance;
}

/* --- contents ------------------------------------------------------------- */

static struct content *
content_new(void)
{
	struct content *c = xcalloc(1, sizeof(*c));

	c->last = &c->first;
	c->next = contents;
	contents = c;
	return c;
}

static void
platter_put(struct content *c, int64_t at, const unsigned char *data,
    size_t len)
{
	size_t end = (size_t)at + len;

	if (end > c->room) {
		c->room = end + end / 2;
		c->platter = xrealloc_array(c->platter, c->room, 1);
	}
	if ((size_t)at > c->len)
		memset(c->platter + c->len, 0, (size_t)at - c->len);
	memcpy(c->platter + at, data, len);
	if (end > c->len)
		c->len = end;
}

static void
platter_truncate(struct content *c, int64_t size)
{
	if ((size_t)size < c->len)
		c->len = (size_t)size;
}

static void
note(struct content *c, bool is_truncate, int64_t at, const void *data,
    size_t len)
{
	struct pending *p = xmalloc(sizeof(*p) + len);

	p->next = NULL;
	p->is_truncate = is_truncate;
	p->at = at;
	p->len = len;
	if (len > 0)
		memcpy(p->data, data, len);
	*c->last = p;
	c->last = &p->next;
}

static void
forget_pending(struct content *c)
{
	struct pending *p;

	while (c->first != NULL) {
		p = c->first;
		c->first = p->next;
		free(p);
	}
	c->last = &c->first;
}

static void
flush(struct content *c)
{
	const struct pending *p;

	for (p = c->first; p != NULL; p = p->next) {
		if (p->is_truncate)
			platter_truncate(c, p->at);
		else
			platter_put(c, p->at, p->data, p->len);
	}
	forget_pending(c);
}

/* One write, in pieces that end where sectors end. */
static void
put_what_survives(struct content *c, const struct pending *p)
{
	size_t done = 0, piece;

	while (done < p->len) {
		piece = SECTOR - (size_t)(p->at + (int64_t)done) % SECTOR;
		if (piece > p->len - done)
			piece = p->len - done;
		if (survives()) {
			if (survival == POWER_SOME && roll(8) == 0)
				platter_put(c, p->at + (int64_t)done,
				    p->data + done, roll((unsigned)piece));
			else
				platter_put(c, p->at + (int64_t)done,
				    p->data + done, piece);
		} else {
			lost = true;
		}
		done += piece;
	}
}

static void
keep_some(struct content *c)
{
	const struct pending *p;

	for (p = c->first; p != NULL; p = p->next) {
		if (!p->is_truncate)
			put_what_survives(c, p);
		else if (survives())
			platter_truncate(c, p->at);
		else
			lost = true;
	}
	forget_pending(c);
}

/* --- names ---------------------------------------------------------------- */

/* NULL: not in the directory that is watched, or of no consequence. */
static struct name *
find_name(const char *path)
{
	size_t len = strlen(watched);
	const char *base;
	int i;

	if (path == NULL || strncmp(path, watched, len) != 0 ||
	    path[len] != '/')
		return NULL;
	base = path + len + 1;
	for (i = 0; i < n_names; i++)
		if (strcmp(names[i].base, base) == 0)
			return &names[i];
	ck_assert_int_lt(n_names, MAX_NAMES);
	snprintf(names[n_names].base, MAX_NAME, "%s", base);
	return &names[n_names++];
}

static void
sync_names(void)
{
	int i;

	for (i = 0; i < n_names; i++)
		names[i].platter = names[i].now;
}

/* --- the cut -------------------------------------------------------------- */

/* With the lock held. */
static void
cut(void)
{
	struct name *n;
	int i;

	if (!dir_is_there)
		dir_is_there = survives();
	for (i = 0; i < n_names; i++) {
		n = &names[i];
		if (!dir_is_there)
			n->now = n->platter = NULL;
		if (n->now != NULL)
			keep_some(n->now);
		if (n->platter != NULL && n->platter != n->now)
			keep_some(n->platter);
		if (n->platter != n->now) {
			if (survives())
				n->platter = n->now;
			else
				lost = true;
		}
	}
	atomic_store(&off, true);
}

/* An operation begins: false when there is no power for it. With the lock
 * held. */
static bool
powered(void)
{
	if (atomic_load(&off))
		return false;
	operations++;
	if (countdown > 0)
		countdown--;
	return true;
}

/* Is it this operation at which the power goes?  What it has noted by now is
 * pending like everything else. */
static bool
cut_now(void)
{
	if (countdown != 0)
		return false;
	countdown = -1;
	cut();
	return true;
}

/* --- files ---------------------------------------------------------------- */

static struct power_file *
ours(sqlite3_file *f)
{
	return (struct power_file *)f;
}

static sqlite3_file *
real_of(sqlite3_file *f)
{
	return ours(f)->real;
}

/* Note a change of the content; false: the power is gone. */
static bool
change(sqlite3_file *f, bool is_truncate, int64_t at, const void *data,
    size_t len)
{
	bool on;

	if (ours(f)->content == NULL)
		return true;
	pthread_mutex_lock(&lock);
	on = powered();
	if (on) {
		note(ours(f)->content, is_truncate, at, data, len);
		on = !cut_now();
	}
	pthread_mutex_unlock(&lock);
	return on;
}

static int
power_write(sqlite3_file *f, const void *buf, int n, sqlite3_int64 at)
{
	if (!change(f, false, at, buf, (size_t)n))
		return SQLITE_IOERR_WRITE;
	return real_of(f)->pMethods->xWrite(real_of(f), buf, n, at);
}

static int
power_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	if (!change(f, true, size, NULL, 0))
		return SQLITE_IOERR_TRUNCATE;
	return real_of(f)->pMethods->xTruncate(real_of(f), size);
}

/* What is only handed on. */
#define HAND_ON(method, params, ...)					\
static int								\
power_##method params							\
{									\
	return real_of(f)->pMethods->method(real_of(f), ##__VA_ARGS__);	\
}

HAND_ON(xClose, (sqlite3_file *f))
HAND_ON(xRead, (sqlite3_file *f, void *buf, int n, sqlite3_int64 at), buf, n,
    at)
HAND_ON(xSync, (sqlite3_file *f, int flags), flags)
HAND_ON(xFileSize, (sqlite3_file *f, sqlite3_int64 *size), size)
HAND_ON(xLock, (sqlite3_file *f, int how), how)
HAND_ON(xUnlock, (sqlite3_file *f, int how), how)
HAND_ON(xCheckReservedLock, (sqlite3_file *f, int *out), out)
HAND_ON(xFileControl, (sqlite3_file *f, int op, void *arg), op, arg)
HAND_ON(xSectorSize, (sqlite3_file *f))
HAND_ON(xDeviceCharacteristics, (sqlite3_file *f))
HAND_ON(xShmMap, (sqlite3_file *f, int page, int size, int extend,
    void volatile **out), page, size, extend, out)
HAND_ON(xShmLock, (sqlite3_file *f, int at, int n, int flags), at, n, flags)
HAND_ON(xShmUnmap, (sqlite3_file *f, int also_delete), also_delete)

static void
power_xShmBarrier(sqlite3_file *f)
{
	real_of(f)->pMethods->xShmBarrier(real_of(f));
}

static const sqlite3_io_methods power_methods = {
	.iVersion = 2,
	.xClose = power_xClose, .xRead = power_xRead, .xWrite = power_write,
	.xTruncate = power_truncate, .xSync = power_xSync,
	.xFileSize = power_xFileSize, .xLock = power_xLock,
	.xUnlock = power_xUnlock,
	.xCheckReservedLock = power_xCheckReservedLock,
	.xFileControl = power_xFileControl,
	.xSectorSize = power_xSectorSize,
	.xDeviceCharacteristics = power_xDeviceCharacteristics,
	.xShmMap = power_xShmMap, .xShmLock = power_xShmLock,
	.xShmBarrier = power_xShmBarrier, .xShmUnmap = power_xShmUnmap,
};

/* --- opening and deleting ------------------------------------------------- */

static bool
is_watched_kind(int flags)
{
	return (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL |
	    SQLITE_OPEN_MAIN_JOURNAL)) != 0;
}

static int
power_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *f, int flags,
    int *out_flags)
{
	struct power_file *pf = ours(f);
	struct name *n = NULL;
	struct stat st;
	bool on = true;
	int rc;

	(void)vfs;
	memset(pf, 0, sizeof(*pf));
	pf->real = (sqlite3_file *)(pf + 1);
	pthread_mutex_lock(&lock);
	if (is_watched_kind(flags))
		n = find_name(path);
	if (n != NULL && n->now == NULL && (flags & SQLITE_OPEN_CREATE) != 0)
		on = powered() && !cut_now();
	rc = on ? real_vfs->xOpen(real_vfs, path, pf->real, flags, out_flags) :
	    SQLITE_CANTOPEN;
	if (rc == SQLITE_OK && n != NULL) {
		if (n->now == NULL)
			n->now = content_new();
		if (stat(path, &st) == 0)
			n->now->ino = st.st_ino;
		pf->content = n->now;
	}
	pthread_mutex_unlock(&lock);
	if (on && pf->real->pMethods != NULL)
		pf->base.pMethods = &power_methods;
	return rc;
}

static int
power_delete(sqlite3_vfs *vfs, const char *path, int sync_dir)
{
	struct name *n;
	bool on = true;

	(void)vfs;
	pthread_mutex_lock(&lock);
	n = find_name(path);
	if (n != NULL && n->now != NULL) {
		on = powered() && !cut_now();
		if (on)
			n->now = NULL;
	}
	pthread_mutex_unlock(&lock);
	return on ? real_vfs->xDelete(real_vfs, path, sync_dir) :
	    SQLITE_IOERR_DELETE;
}

/* --- syncing --------------------------------------------------------------- */

static bool
is_directory(const struct stat *st, const char *path)
{
	struct stat dir;

	return stat(path, &dir) == 0 && st->st_dev == dir.st_dev &&
	    st->st_ino == dir.st_ino;
}

static struct content *
find_content(const struct stat *st)
{
	int i;

	for (i = 0; i < n_names; i++)
		if (names[i].now != NULL && names[i].now->ino == st->st_ino)
			return names[i].now;
	return NULL;
}

/* What a sync of this file or directory is for; false when the power is gone. */
static bool
sync_one(const struct stat *st)
{
	struct content *c = find_content(st);
	bool inside = S_ISDIR(st->st_mode) && is_directory(st, watched);
	bool outside = S_ISDIR(st->st_mode) && is_directory(st, above);

	if (c == NULL && !inside && !outside)
		return true;
	if (!powered() || cut_now())
		return false;
	if (lies)
		return true;
	if (c != NULL)
		flush(c);
	if (inside)
		sync_names();
	if (outside)
		dir_is_there = access(watched, F_OK) == 0;
	return true;
}

/* In the place of the C library's, for us and for SQLite: what is on the
 * platter is decided here, so the real disk need not be troubled. */
static int
sync_fd(int fd, long call)
{
	struct stat st;
	bool on = true;

	if (watched[0] == '\0')
		return (int)syscall(call, fd);
	if (fstat(fd, &st) != 0)
		return -1;
	pthread_mutex_lock(&lock);
	on = sync_one(&st);
	pthread_mutex_unlock(&lock);
	if (!on)
		errno = EIO;
	return on ? 0 : -1;
}

int
fsync(int fd)
{
	return sync_fd(fd, SYS_fsync);
}

int
fdatasync(int fd)
{
	return sync_fd(fd, SYS_fdatasync);
}

/* --- for tests ------------------------------------------------------------ */

void
power_install(const char *dir)
{
	snprintf(watched, sizeof(watched), "%s", dir);
	snprintf(above, sizeof(above), "%.*s",
	    (int)(strrchr(dir, '/') - dir), dir);
	dir_is_there = access(watched, F_OK) == 0;
	countdown = -1;
	real_vfs = sqlite3_vfs_find(NULL);
	layer = *real_vfs;
	layer.pNext = NULL;
	layer.zName = "power";
	layer.szOsFile += (int)sizeof(struct power_file);
	layer.xOpen = power_open;
	layer.xDelete = power_delete;
	ck_assert_int_eq(sqlite3_vfs_register(&layer, 1), SQLITE_OK);
}

void
power_cut_at(int n, enum power_survival how, uint64_t seed)
{
	pthread_mutex_lock(&lock);
	countdown = n;
	operations = 0;
	survival = how;
	dice = seed;
	chance = 5 + roll(91);
	lost = false;
	pthread_mutex_unlock(&lock);
}

void
power_cut_now(void)
{
	pthread_mutex_lock(&lock);
	if (!atomic_load(&off)) {
		countdown = -1;
		cut();
	}
	pthread_mutex_unlock(&lock);
}

bool
power_is_off(void)
{
	return atomic_load(&off);
}

int
power_operations(void)
{
	int n;

	pthread_mutex_lock(&lock);
	n = operations;
	pthread_mutex_unlock(&lock);
	return n;
}

bool
power_lost_something(void)
{
	return lost;
}

void
power_lie(bool yes)
{
	pthread_mutex_lock(&lock);
	lies = yes;
	pthread_mutex_unlock(&lock);
}

static void
write_real(const char *path, const struct content *c)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	if (c->len > 0)
		ck_assert_int_eq(write(fd, c->platter, c->len),
		    (ssize_t)c->len);
	close(fd);
}

/* Everything that is there, watched or not: locks and shared memory do not
 * outlive the machine. */
static void
empty_directory(void)
{
	struct dirent *d;
	DIR *dir = opendir(watched);

	if (dir == NULL)
		return;
	for (d = readdir(dir); d != NULL; d = readdir(dir))
		if (d->d_name[0] != '.')
			unlinkat(dirfd(dir), d->d_name, 0);
	closedir(dir);
}

void
power_restore(void)
{
	struct name *n;
	char *path;
	int i;

	ck_assert(atomic_load(&off));
	empty_directory();
	if (!dir_is_there)
		rmdir(watched);
	for (i = 0; i < n_names; i++) {
		n = &names[i];
		n->now = n->platter;
		path = xasprintf("%s/%s", watched, n->base);
		if (n->now != NULL)
			write_real(path, n->now);
		free(path);
	}
	atomic_store(&off, false);
	countdown = -1;
}
