/*
 * What a killed worker leaves in the uploads directory is removed when the next
 * parent starts.  A file carries the pid of its maker; on this host a pid that
 * no longer exists means that nobody will come back for it.  A pid may have
 * been taken again by then, so age decides too.
 */
#include "uploads.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "log.h"
#include "xalloc.h"

#define UPLOAD_PREFIX "up-"
#define MAX_UPLOAD_AGE_S 3600

static bool
is_left_over(int dirfd, const char *name)
{
	struct stat st;
	long pid = strtol(name + strlen(UPLOAD_PREFIX), NULL, 10);

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	if (st.st_mtime + MAX_UPLOAD_AGE_S < clock_now_ms() / 1000)
		return true;
	return pid <= 0 || (kill((pid_t)pid, 0) != 0 && errno == ESRCH);
}

enum err_code
uploads_sweep(const char *data_dir, struct err *e)
{
	char *path = xasprintf("%s/uploads", data_dir);
	struct dirent *entry;
	enum err_code rc;
	DIR *dir = NULL;
	int fd = -1, removed = 0;

	rc = file_open_dir(AT_FDCWD, path, &fd, e);
	if (rc != ERR_OK)
		goto out;
	dir = fdopendir(fd);
	if (dir == NULL) {
		rc = err_set_errno(e, ERR_SYSTEM, errno, "%s", path);
		goto out;
	}
	for (entry = readdir(dir); entry != NULL; entry = readdir(dir))
		if (strncmp(entry->d_name, UPLOAD_PREFIX,
		    strlen(UPLOAD_PREFIX)) == 0 &&
		    is_left_over(fd, entry->d_name) &&
		    unlinkat(fd, entry->d_name, 0) == 0)
			removed++;
	if (removed > 0)
		log_info("unfinished uploads removed", "count=%d", removed);
out:
	if (dir != NULL)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
	free(path);
	return rc;
}
