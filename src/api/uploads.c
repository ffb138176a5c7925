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
#define STAT_MAX 256		/* beginning of a line of /proc */

/* Gone, or dead and only not yet collected by its parent, as in a container
 * whose first process collects nobody. */
static bool
is_dead(long pid)
{
	char path[64], text[STAT_MAX];
	const char *state;
	ssize_t n;
	int fd;

	if (pid <= 0 || (kill((pid_t)pid, 0) != 0 && errno == ESRCH))
		return true;
	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	/* "pid (name) state ...", and a name may contain anything. */
	state = strrchr(text, ')');
	return state != NULL && (strncmp(state, ") Z", 3) == 0 ||
	    strncmp(state, ") X", 3) == 0);
}

static bool
is_left_over(int dirfd, const char *name)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	return st.st_mtime + MAX_UPLOAD_AGE_S < clock_now_ms() / 1000 ||
	    is_dead(strtol(name + strlen(UPLOAD_PREFIX), NULL, 10));
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
