/*
 * Wake-ups: datagrams over Unix sockets, found by listing a directory.
 *
 * A message carries nothing that is not also in the database, so losing one
 * costs at most the receiver's polling interval.  That is what lets the sender
 * never wait: a full socket buffer means that the receiver has unread
 * wake-ups already.
 *
 * A receiver that was killed leaves its socket behind.  Whoever sends to it
 * next is refused (ECONNREFUSED) and removes the name; a new process with the
 * same pid replaces it when it binds.
 */
#include "wake.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "file.h"
#include "strbuf.h"
#include "xalloc.h"

#define WAKE_DIR "wake"
#define WAKE_DIR_MODE 0770
#define MAX_DRAIN 1024		/* datagrams read before the caller looks again */

struct wake {
	int fd;
	char *path;
};

static bool
address_set(struct sockaddr_un *sa, const char *path)
{
	size_t len = strlen(path);

	memset(sa, 0, sizeof(*sa));
	sa->sun_family = AF_UNIX;
	if (len >= sizeof(sa->sun_path))
		return false;
	memcpy(sa->sun_path, path, len + 1);
	return true;
}

enum err_code
wake_open(const char *run_dir, const char *role, struct wake **out,
    struct err *e)
{
	struct sockaddr_un sa;
	struct wake *w = xcalloc(1, sizeof(*w));
	char *dir = xasprintf("%s/%s", run_dir, WAKE_DIR);
	enum err_code rc;

	w->fd = -1;
	rc = file_make_dirs(dir, WAKE_DIR_MODE, e);
	if (rc != ERR_OK)
		goto out;
	w->path = xasprintf("%s/%s.%ld", dir, role, (long)getpid());
	if (!address_set(&sa, w->path)) {
		rc = err_set(e, ERR_CONFIG, "the path %s is too long for a "
		    "socket; choose a shorter run_dir", w->path);
		goto out;
	}
	w->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (w->fd < 0) {
		rc = err_set_errno(e, ERR_SYSTEM, errno, "wake socket");
		goto out;
	}
	unlink(w->path);
	if (bind(w->fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
		rc = err_set_errno(e, ERR_SYSTEM, errno, "%s", w->path);
		goto out;
	}
	/* Programs of the same group, but another umask, must reach it. */
	if (chmod(w->path, 0660) != 0) {
		rc = err_set_errno(e, ERR_SYSTEM, errno, "%s", w->path);
		goto out;
	}
	*out = w;
	w = NULL;
out:
	wake_close(w);
	free(dir);
	return rc;
}

void
wake_close(struct wake *w)
{
	if (w == NULL)
		return;
	if (w->fd >= 0) {
		close(w->fd);
		unlink(w->path);
	}
	free(w->path);
	free(w);
}

int
wake_fd(const struct wake *w)
{
	return w->fd;
}

bool
wake_next(struct wake *w, char text[WAKE_MAX_TEXT + 1])
{
	ssize_t n;

	do
		n = recv(w->fd, text, WAKE_MAX_TEXT, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	text[n < 0 ? 0 : n] = '\0';
	return n >= 0;
}

int
wake_drain(struct wake *w, const char *want, bool *seen)
{
	char text[WAKE_MAX_TEXT + 1];
	bool found = false;
	int count;

	for (count = 0; count < MAX_DRAIN && wake_next(w, text); count++) {
		if (want != NULL && strcmp(text, want) == 0)
			found = true;
	}
	if (seen != NULL)
		*seen = found;
	return count;
}

static void
send_to(int fd, const char *path, const char *text)
{
	struct sockaddr_un sa;
	struct stat st;

	if (!address_set(&sa, path))
		return;
	/* A file that is no socket refuses as well, and is not ours. */
	if (sendto(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL,
	    (struct sockaddr *)&sa, sizeof(sa)) < 0 && errno == ECONNREFUSED &&
	    lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path);
}

void
wake_send(const char *run_dir, const char *role, const char *text)
{
	struct strbuf path = STRBUF_INIT(4096);
	size_t role_len = strlen(role), dir_len;
	struct dirent *entry;
	DIR *dir = NULL;
	int fd = -1;

	strbuf_addf(&path, "%s/%s", run_dir, WAKE_DIR);
	dir = opendir(path.buf);
	if (dir == NULL)
		goto out;	/* nobody has ever waited here */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		goto out;
	strbuf_addch(&path, '/');
	dir_len = path.len;
	for (entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
		if (strncmp(entry->d_name, role, role_len) != 0 ||
		    entry->d_name[role_len] != '.')
			continue;
		strbuf_truncate(&path, dir_len);
		strbuf_addstr(&path, entry->d_name);
		send_to(fd, path.buf, text);
	}
out:
	if (fd >= 0)
		close(fd);
	if (dir != NULL)
		closedir(dir);
	strbuf_release(&path);
}

void
wake_send_event(const char *run_dir, const char *run_id)
{
	char text[WAKE_MAX_TEXT];

	snprintf(text, sizeof(text), WAKE_EVENT "%s", run_id);
	wake_send(run_dir, "push", text);
}
