/*
 * Files: whole, durable, and beneath a directory.
 *
 * Durable means that it survives a power cut once the call returned: the
 * bytes are synced before the name, and the directory that holds the name
 * after it.  Whole means that a reader finds the old file or the new one.
 *
 * Beneath means that nobody who chooses a path, or can put links into a
 * directory of ours, makes us open something outside of it.  The kernel
 * resolves such a path in one piece with openat2(2); where that call is
 * refused, each component is opened by itself and none may be a link.  Both
 * ways refuse ".." anywhere, so that they agree.
 */
#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"
#include "xalloc.h"

#define READ_BYTES (16 * 1024)
#define OPENAT2_TRIES 8		/* EAGAIN: a rename came in between */
#define TEMP_PREFIX ".tmp-"
#define TEMP_MAX 64
#define TREE_DEPTH_MAX 64	/* each level holds a descriptor */
#define TREE_PASSES_MAX 8	/* over a directory that does not get empty */
#define UNNAMED "uploaded_image"
#define EXTENSION_MAX 16	/* bytes of an extension that is kept, with dot */

/* --- directories --------------------------------------------------------- */

/* Some file systems cannot sync a directory and need not: EINVAL is fine. */
static enum err_code
sync_dir(int fd, struct err *e)
{
	if (fsync(fd) != 0 && errno != EINVAL)
		return err_set_errno(e, ERR_SYSTEM, errno,
		    "cannot sync a directory");
	return ERR_OK;
}

/* Sync the directory that path has its name in. */
static enum err_code
sync_parent(const char *path, struct err *e)
{
	const char *slash;
	enum err_code rc;
	char *parent;
	int fd = -1;

	slash = strrchr(path, '/');
	if (slash == NULL)
		parent = xstrdup(".");
	else if (slash == path)
		parent = xstrdup("/");
	else
		parent = xstrndup(path, (size_t)(slash - path));
	rc = file_open_dir(AT_FDCWD, parent, &fd, e);
	if (rc == ERR_OK) {
		rc = sync_dir(fd, e);
		close(fd);
	}
	free(parent);
	return rc;
}

static enum err_code
make_one_dir(const char *path, mode_t mode, struct err *e)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return sync_parent(path, e);
	if (errno == EEXIST) {
		if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
			return ERR_OK;
		errno = ENOTDIR;
	}
	return err_set_errno(e, ERR_SYSTEM, errno, "cannot make directory %s",
	    path);
}

enum err_code
file_make_dirs(const char *path, mode_t mode, struct err *e)
{
	enum err_code rc = ERR_OK;
	char *prefix, *p;

	if (*path == '\0')
		return err_set(e, ERR_SYSTEM,
		    "cannot make a directory without a name");
	prefix = xstrdup(path);
	for (p = prefix + 1; rc == ERR_OK && *p != '\0'; p++) {
		/* The slash behind a name, not one behind another slash. */
		if (*p != '/' || p[-1] == '/')
			continue;
		*p = '\0';
		rc = make_one_dir(prefix, mode, e);
		*p = '/';
	}
	if (rc == ERR_OK && prefix[strlen(prefix) - 1] != '/')
		rc = make_one_dir(prefix, mode, e);
	free(prefix);
	return rc;
}

enum err_code
file_open_dir(int at, const char *path, int *out_fd, struct err *e)
{
	int fd;

	fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return err_set_errno(e,
		    errno == ENOENT ? ERR_NOT_FOUND : ERR_SYSTEM, errno,
		    "cannot open directory %s", path);
	*out_fd = fd;
	return ERR_OK;
}

/* --- beneath ------------------------------------------------------------- */

static enum err_code
fail_beneath(const char *path, int errnum, struct err *e)
{
	enum err_code code = ERR_SYSTEM;

	switch (errnum) {
	case ENOENT:
	case ENOTDIR:
	case ENAMETOOLONG:
		code = ERR_NOT_FOUND;
		break;
	case EXDEV:
		return err_set(e, ERR_FORBIDDEN,
		    "%s: leaves its directory", path);
	case ELOOP:
		return err_set(e, ERR_FORBIDDEN, "%s: is a link", path);
	}
	return err_set_errno(e, code, errnum, "cannot open %s", path);
}

/* Is one of the components ".."? */
static bool
climbs(const char *path)
{
	size_t n;

	while (*path != '\0') {
		n = strcspn(path, "/");
		if (n == 2 && memcmp(path, "..", 2) == 0)
			return true;
		path += n;
		path += strspn(path, "/");
	}
	return false;
}

/*
 * Open one component of path; -1 with errno set, ELOOP if it is a link.
 * O_DIRECTORY says ENOTDIR of a link, O_PATH opens the link itself: both are
 * asked again who they are.
 */
static int
open_component(int at, const char *name, int flags, mode_t mode)
{
	struct stat st;
	int fd, saved;

	fd = openat(at, name, flags | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd == -1) {
		saved = errno;
		if (saved == ENOTDIR && fstatat(at, name, &st,
		    AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
			saved = ELOOP;
		errno = saved;
		return -1;
	}
	if ((flags & O_PATH) != 0 && fstat(fd, &st) == 0 &&
	    S_ISLNK(st.st_mode)) {
		close(fd);
		errno = ELOOP;
		return -1;
	}
	return fd;
}

enum err_code
file_walk_beneath(int dirfd, const char *path, int flags, mode_t mode,
    int *out_fd, struct err *e)
{
	char name[NAME_MAX + 1];
	const char *p = path;
	int at = dirfd, fd = -1, saved = 0;
	bool last;
	size_t n;

	while (saved == 0) {
		n = strcspn(p, "/");
		if (n >= sizeof(name)) {
			saved = ENAMETOOLONG;
			break;
		}
		memcpy(name, p, n);
		name[n] = '\0';
		p += n;
		/* A slash at the end asks for a directory. */
		last = p[strspn(p, "/")] == '\0';
		if (last && *p == '/')
			flags |= O_DIRECTORY;
		p += strspn(p, "/");
		if (last)
			fd = open_component(at, name, flags, mode);
		else
			fd = open_component(at, name, O_PATH | O_DIRECTORY, 0);
		if (fd == -1)
			saved = errno;
		if (at != dirfd)
			close(at);
		at = fd;
		if (last)
			break;
	}
	if (saved != 0) {
		if (at != dirfd && at != -1)
			close(at);
		return fail_beneath(path, saved, e);
	}
	*out_fd = fd;
	return ERR_OK;
}

enum err_code
file_open_beneath(int dirfd, const char *path, int flags, mode_t mode,
    int *out_fd, struct err *e)
{
	struct open_how how;
	long fd = -1;
	int tries;

	if (*path == '\0')
		return fail_beneath(path, ENOENT, e);
	if (*path == '/' || climbs(path))
		return fail_beneath(path, EXDEV, e);
	memset(&how, 0, sizeof(how));
	how.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC);
	/* openat2 refuses a mode where none is used; openat ignores it. */
	if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE)
		how.mode = mode & 07777;
	how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
	    RESOLVE_NO_MAGICLINKS;
	for (tries = 0; tries < OPENAT2_TRIES; tries++) {
		fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
		if (fd != -1 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	if (fd == -1 && (errno == ENOSYS || errno == EPERM))
		return file_walk_beneath(dirfd, path, flags, mode, out_fd, e);
	if (fd == -1)
		return fail_beneath(path, errno, e);
	*out_fd = (int)fd;
	return ERR_OK;
}

/* --- reading ------------------------------------------------------------- */

enum err_code
file_read_fd(int fd, size_t max, struct strbuf *out, struct err *e)
{
	char chunk[READ_BYTES];
	size_t start = out->len;
	enum err_code rc = ERR_OK;
	ssize_t n;

	for (;;) {
		n = read(fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			rc = err_set_errno(e, ERR_SYSTEM, errno,
			    "cannot read");
			break;
		}
		if (n == 0)
			break;
		if ((size_t)n > max - (out->len - start)) {
			rc = err_set(e, ERR_TOO_LARGE, "over %zu bytes", max);
			break;
		}
		strbuf_add(out, chunk, (size_t)n);
		if (strbuf_overflowed(out)) {
			rc = err_set(e, ERR_TOO_LARGE, "over %zu bytes",
			    out->max);
			break;
		}
	}
	if (rc != ERR_OK)
		strbuf_truncate(out, start);
	return rc;
}

enum err_code
file_read(const char *path, size_t max, struct strbuf *out, struct err *e)
{
	enum err_code rc;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return err_set_errno(e,
		    errno == ENOENT ? ERR_NOT_FOUND : ERR_SYSTEM, errno,
		    "cannot open %s", path);
	rc = file_read_fd(fd, max, out, e);
	if (rc != ERR_OK)
		err_wrap(e, "%s", path);
	close(fd);
	return rc;
}

/* --- writing ------------------------------------------------------------- */

enum err_code
file_write_all(int fd, const void *data, size_t len, struct err *e)
{
	const char *p = data;
	ssize_t n;

	while (len > 0) {
		n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set_errno(e, ERR_SYSTEM, errno,
			    "cannot write");
		p += n;
		len -= (size_t)n;
	}
	return ERR_OK;
}

/* ".tmp-" and what nobody else has: names are random, O_EXCL proves it. */
static enum err_code
open_temp(int dirfd, mode_t mode, char name[TEMP_MAX], int *out_fd,
    struct err *e)
{
	uint64_t bits[2];
	int fd;

	if (getrandom(bits, sizeof(bits), 0) != (ssize_t)sizeof(bits))
		return err_set_errno(e, ERR_SYSTEM, errno,
		    "no randomness for a file name");
	snprintf(name, TEMP_MAX, TEMP_PREFIX "%016llx%016llx",
	    (unsigned long long)bits[0], (unsigned long long)bits[1]);
	fd = openat(dirfd, name,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd == -1)
		return err_set_errno(e, ERR_SYSTEM, errno,
		    "cannot make a temporary file");
	*out_fd = fd;
	return ERR_OK;
}

/*
 * Once the name is changed the new file stands; if the directory then cannot
 * be synced, that is reported, since a power cut may bring the old one back.
 */
enum err_code
file_commit(int fd, int dirfd, const char *from, const char *to,
    struct err *e)
{
	enum err_code rc = ERR_OK;

	if (fsync(fd) != 0)
		rc = err_set_errno(e, ERR_SYSTEM, errno, "cannot sync %s", to);
	else if (renameat(dirfd, from, dirfd, to) != 0)
		rc = err_set_errno(e, ERR_SYSTEM, errno, "cannot name %s", to);
	if (rc != ERR_OK) {
		unlinkat(dirfd, from, 0);
		return rc;
	}
	return sync_dir(dirfd, e);
}

enum err_code
file_replace(int dirfd, const char *name, const void *data, size_t len,
    mode_t mode, struct err *e)
{
	char temp[TEMP_MAX];
	enum err_code rc;
	int fd = -1;

	if (*name == '\0' || strchr(name, '/') != NULL ||
	    strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return err_set(e, ERR_INVALID, "\"%s\" is not a file name",
		    name);
	rc = open_temp(dirfd, mode, temp, &fd, e);
	if (rc != ERR_OK)
		return rc;
	rc = file_write_all(fd, data, len, e);
	if (rc != ERR_OK) {
		unlinkat(dirfd, temp, 0);
		err_wrap(e, "%s", name);
	} else {
		rc = file_commit(fd, dirfd, temp, name, e);
	}
	close(fd);
	return rc;
}

void
file_remove_temporaries(int dirfd)
{
	struct dirent *entry;
	DIR *dir = NULL;
	int fd;

	fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd != -1)
		dir = fdopendir(fd);
	if (dir == NULL) {
		if (fd != -1)
			close(fd);
		return;
	}
	for (entry = readdir(dir); entry != NULL; entry = readdir(dir))
		if (strncmp(entry->d_name, TEMP_PREFIX,
		    strlen(TEMP_PREFIX)) == 0)
			unlinkat(dirfd, entry->d_name, 0);
	closedir(dir);
}

/* --- removing ------------------------------------------------------------ */

static enum err_code remove_entry(int at, const char *name, int depth,
    struct err *e);

static enum err_code
fail_remove(const char *name, int errnum, struct err *e)
{
	return err_set_errno(e, ERR_SYSTEM, errnum, "cannot remove %s", name);
}

/* One pass over the entries; dir is left at its end. */
static enum err_code
remove_entries(DIR *dir, const char *name, int depth, struct err *e)
{
	enum err_code rc = ERR_OK;
	struct dirent *entry;

	while (rc == ERR_OK) {
		errno = 0;
		entry = readdir(dir);
		if (entry == NULL && errno != 0)
			return fail_remove(name, errno, e);
		if (entry == NULL)
			break;
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			rc = remove_entry(dirfd(dir), entry->d_name, depth, e);
	}
	return rc;
}

/*
 * Empty the directory fd (closed here) and remove it.  A file system may
 * leave entries out while others are removed, and a writer may still be
 * adding some: not empty means once more.
 */
static enum err_code
remove_dir(int at, const char *name, int fd, int depth, struct err *e)
{
	enum err_code rc = ERR_OK;
	DIR *dir;
	int pass;

	dir = fdopendir(fd);
	if (dir == NULL) {
		rc = fail_remove(name, errno, e);
		close(fd);
		return rc;
	}
	for (pass = 1; ; pass++) {
		rc = remove_entries(dir, name, depth, e);
		if (rc != ERR_OK)
			break;
		if (unlinkat(at, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
			break;
		if ((errno != ENOTEMPTY && errno != EEXIST) ||
		    pass == TREE_PASSES_MAX) {
			rc = fail_remove(name, errno, e);
			break;
		}
		rewinddir(dir);
	}
	closedir(dir);
	return rc;
}

static enum err_code
remove_entry(int at, const char *name, int depth, struct err *e)
{
	int fd;

	if (depth > TREE_DEPTH_MAX)
		return err_set(e, ERR_SYSTEM,
		    "cannot remove %s: directories nested too deep", name);
	fd = openat(at, name,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd != -1)
		return remove_dir(at, name, fd, depth + 1, e);
	if (errno == ENOENT)
		return ERR_OK;
	if (errno != ENOTDIR && errno != ELOOP)
		return fail_remove(name, errno, e);
	if (unlinkat(at, name, 0) != 0 && errno != ENOENT)
		return fail_remove(name, errno, e);
	return ERR_OK;
}

enum err_code
file_remove_tree(int at, const char *path, struct err *e)
{
	return remove_entry(at, path, 0, e);
}

/* --- names --------------------------------------------------------------- */

static bool
is_name_char(char c)
{
	return isalnum((unsigned char)c) || c == '.' || c == '_' || c == '-';
}

/* Where the extension of name starts (its dot), or its end. */
static size_t
extension_at(const char *name, size_t len)
{
	size_t i;

	for (i = len; i > 1 && len - i < EXTENSION_MAX; i--)
		if (name[i - 1] == '.')
			return i - 1;
	return len;
}

void
file_safe_name(const char *sent, char out[FILE_NAME_MAX])
{
	size_t len, ext, i, keep, n = 0;
	bool usable = false;
	const char *p;

	if (sent == NULL)
		sent = "";
	for (p = sent; *p != '\0'; p++)
		if (*p == '/' || *p == '\\')
			sent = p + 1;
	sent += strspn(sent, ".");
	len = strlen(sent);
	ext = extension_at(sent, len);
	keep = FILE_NAME_MAX - 1 - (len - ext);
	for (i = 0; i < len; i++) {
		if (i < ext && i >= keep)
			continue;
		out[n++] = is_name_char(sent[i]) ? sent[i] : '_';
		if (isalnum((unsigned char)sent[i]))
			usable = true;
	}
	out[n] = '\0';
	if (!usable)
		snprintf(out, FILE_NAME_MAX, "%s", UNNAMED);
}
