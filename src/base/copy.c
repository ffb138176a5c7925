/*
 * Copies of files and directories, as a backup needs them.
 *
 * What is copied may be in use: files come and go in it.  One that is gone when
 * its turn comes is left out, a file that grows is copied as far as it was when
 * it was opened, and half-written ones (TEMP_PREFIX) are not for others.  Links
 * are never followed and never copied: there are none in our directories.
 *
 * Nothing is synced file by file; file_sync_all() does it once, at the end.
 */
#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"
#include "xalloc.h"

#define COPY_BYTES (256 * 1024)
#define COPY_DEPTH_MAX 8	/* each level holds two descriptors */
#define TEMP_PREFIX ".tmp-"

/* Up to size bytes. Without help of the kernel: through a buffer. */
static enum err_code
copy_bytes(int from, int to, int64_t size, struct err *e)
{
	char *buf = NULL;
	enum err_code rc = ERR_OK;
	ssize_t n;

	while (size > 0) {
		n = copy_file_range(from, NULL, to, NULL, (size_t)size, 0);
		if (n <= 0)
			break;
		size -= n;
	}
	if (size > 0)
		buf = xmalloc(COPY_BYTES);
	while (size > 0 && rc == ERR_OK) {
		n = read(from, buf, size < COPY_BYTES ? (size_t)size :
		    COPY_BYTES);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = err_set_errno(e, ERR_SYSTEM, errno,
			    "cannot read");
		if (n <= 0)
			break;		/* it has become shorter */
		rc = file_write_all(to, buf, (size_t)n, e);
		size -= n;
	}
	free(buf);
	return rc;
}

enum err_code
file_copy(int from_dirfd, const char *from, int to_dirfd, const char *to,
    int64_t *bytes, struct err *e)
{
	struct timespec times[2];
	enum err_code rc;
	struct stat st;
	int in, out = -1;

	in = openat(from_dirfd, from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (in < 0)
		return err_set_errno(e, errno == ENOENT ? ERR_NOT_FOUND :
		    ERR_SYSTEM, errno, "%s", from);
	if (fstat(in, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(in);
		return err_set(e, ERR_INVALID, "%s is not a file", from);
	}
	out = openat(to_dirfd, to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
	    O_CLOEXEC, st.st_mode & 0777);
	rc = out < 0 ? err_set_errno(e, ERR_SYSTEM, errno, "%s", to) :
	    copy_bytes(in, out, st.st_size, e);
	if (rc == ERR_OK) {
		times[0] = st.st_atim;
		times[1] = st.st_mtim;
		if (fchmod(out, st.st_mode & 0777) != 0 ||
		    futimens(out, times) != 0)
			rc = err_set_errno(e, ERR_SYSTEM, errno, "%s", to);
	}
	if (out >= 0)
		close(out);
	close(in);
	if (rc == ERR_OK)
		*bytes = st.st_size;
	else if (out >= 0)
		unlinkat(to_dirfd, to, 0);
	return rc;
}

static enum err_code copy_dir(int from_at, const char *from, int to_at,
    const char *to, int depth, struct file_copied *n, struct err *e);

static enum err_code
copy_entry(int from, int to, const char *name, int depth,
    struct file_copied *n, struct err *e)
{
	enum err_code rc = ERR_OK;
	int64_t bytes = 0;
	struct stat st;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? ERR_OK : err_set_errno(e, ERR_SYSTEM,
		    errno, "%s", name);
	if (S_ISDIR(st.st_mode))
		return copy_dir(from, name, to, name, depth + 1, n, e);
	if (!S_ISREG(st.st_mode) ||
	    strncmp(name, TEMP_PREFIX, strlen(TEMP_PREFIX)) == 0)
		return ERR_OK;
	rc = file_copy(from, name, to, name, &bytes, e);
	if (rc == ERR_NOT_FOUND)
		return ERR_OK;
	if (rc == ERR_OK) {
		n->files++;
		n->bytes += bytes;
	}
	return rc;
}

static enum err_code
copy_entries(DIR *list, int to, int depth, struct file_copied *n,
    struct err *e)
{
	enum err_code rc = ERR_OK;
	struct dirent *d;

	for (;;) {
		errno = 0;
		d = readdir(list);
		if (d == NULL)
			return errno == 0 ? ERR_OK : err_set_errno(e,
			    ERR_SYSTEM, errno, "cannot read a directory");
		if (strcmp(d->d_name, ".") == 0 ||
		    strcmp(d->d_name, "..") == 0)
			continue;
		rc = copy_entry(dirfd(list), to, d->d_name, depth, n, e);
		if (rc != ERR_OK)
			return rc;
	}
}

/* A directory that was made gets mode and times of its like; that it hands its
 * group on (S_ISGID) is the business of the place where it is. */
static enum err_code
make_alike(int from, int to, struct err *e)
{
	struct timespec times[2];
	struct stat st, now;
	mode_t mode;

	if (fstat(from, &st) != 0 || fstat(to, &now) != 0)
		return err_set_errno(e, ERR_SYSTEM, errno, "a directory");
	mode = (st.st_mode & 0777) | (now.st_mode & S_ISGID);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	if (fchmod(to, mode) != 0 || futimens(to, times) != 0)
		return err_set_errno(e, ERR_SYSTEM, errno, "a directory");
	return ERR_OK;
}

static enum err_code
copy_dir(int from_at, const char *from, int to_at, const char *to, int depth,
    struct file_copied *n, struct err *e)
{
	int in = -1, out = -1;
	DIR *list = NULL;
	bool made = false;
	enum err_code rc;

	if (depth > COPY_DEPTH_MAX)
		return err_set(e, ERR_INVALID, "%s is too deep", from);
	in = openat(from_at, from, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC);
	if (in < 0)
		return depth > 0 && errno == ENOENT ? ERR_OK :
		    err_set_errno(e, errno == ENOENT ? ERR_NOT_FOUND :
		    ERR_SYSTEM, errno, "%s", from);
	list = fdopendir(in);
	if (list != NULL)
		made = mkdirat(to_at, to, 0700) == 0;
	if (list == NULL || (!made && errno != EEXIST)) {
		rc = err_set_errno(e, ERR_SYSTEM, errno, "%s", to);
		goto out;
	}
	rc = file_open_dir(to_at, to, &out, e);
	if (rc == ERR_OK)
		rc = copy_entries(list, out, depth, n, e);
	if (rc == ERR_OK && made)
		rc = make_alike(dirfd(list), out, e);
	if (rc != ERR_OK)
		err_wrap(e, "%s", from);
out:
	if (out >= 0)
		close(out);
	if (list != NULL)
		closedir(list);
	else
		close(in);
	return rc;
}

enum err_code
file_copy_tree(int from_at, const char *from, int to_at, const char *to,
    struct file_copied *n, struct err *e)
{
	return copy_dir(from_at, from, to_at, to, 0, n, e);
}

enum err_code
file_sync_all(int dirfd, struct err *e)
{
	if (syncfs(dirfd) != 0)
		return err_set_errno(e, ERR_SYSTEM, errno,
		    "cannot sync the file system");
	return ERR_OK;
}
