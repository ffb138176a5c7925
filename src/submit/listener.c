/*
 * The listening socket.  Non-blocking, so that of several processes that share
 * it the one that loses the race for a connection goes back to waiting.
 */
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "xalloc.h"
#include "yaml.h"

/* With 16 or 128 a burst of clients makes nginx answer 502, lighttpd 500. */
#define BACKLOG 4096
#define ACTIVATION_FD 3		/* first descriptor of socket activation */
#define SOCKET_MODE 0660
#define IN_USE_PATIENCE_MS 7000	/* workers stop within 5 s */
#define IN_USE_PAUSE_US 50000

static bool
is_listening(int fd)
{
	int on = 0;
	socklen_t len = sizeof(on);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 &&
	    on != 0;
}

static bool
is_activated(void)
{
	int64_t pid = 0, count = 0;

	return parse_int(getenv("LISTEN_PID"), &pid) && pid == getpid() &&
	    parse_int(getenv("LISTEN_FDS"), &count) && count >= 1 &&
	    is_listening(ACTIVATION_FD);
}

static bool
is_answered(const struct sockaddr_un *sa)
{
	bool answered;
	int fd;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	/* EAGAIN: its queue is full, so somebody has it. */
	answered = connect(fd, (const struct sockaddr *)sa,
	    sizeof(*sa)) == 0 || errno == EAGAIN;
	close(fd);
	return answered;
}

/*
 * A socket that nobody answers on may be replaced; one in use may not.  The
 * workers of a parent that was killed go on listening until they have
 * finished what they have in hand, so whoever starts it again at once must
 * wait for them.
 */
static enum err_code
await_unused(const struct sockaddr_un *sa, struct err *e)
{
	int64_t end = clock_mono_ms() + IN_USE_PATIENCE_MS;

	while (is_answered(sa)) {
		if (clock_mono_ms() >= end)
			return err_set(e, ERR_CONFIG, "another program is "
			    "listening on %s", sa->sun_path);
		usleep(IN_USE_PAUSE_US);
	}
	return ERR_OK;
}

/* Only a socket is ever in our way; anything else is somebody's file. */
static enum err_code
remove_stale(const char *path, struct err *e)
{
	struct stat st;

	if (lstat(path, &st) != 0)
		return ERR_OK;
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, ERR_CONFIG, "%s exists and is not a socket",
		    path);
	unlink(path);
	return ERR_OK;
}

static enum err_code
open_unix(const char *path, int *out_fd, struct err *e)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	char *dir = xstrdup(path), *slash;
	enum err_code rc = ERR_OK;
	int fd = -1;

	if (strlen(path) >= sizeof(sa.sun_path)) {
		rc = err_set(e, ERR_CONFIG, "the path %s is too long for a "
		    "socket", path);
		goto out;
	}
	memcpy(sa.sun_path, path, strlen(path) + 1);
	slash = strrchr(dir, '/');
	if (slash != NULL && slash != dir) {
		*slash = '\0';
		rc = file_make_dirs(dir, 0770, e);
		if (rc != ERR_OK)
			goto out;
	}
	rc = await_unused(&sa, e);
	if (rc == ERR_OK)
		rc = remove_stale(path, e);
	if (rc != ERR_OK)
		goto out;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 ||
	    chmod(path, SOCKET_MODE) != 0 || listen(fd, BACKLOG) != 0) {
		rc = err_set_errno(e, ERR_CONFIG, errno, "%s", path);
		goto out;
	}
	*out_fd = fd;
	fd = -1;
out:
	if (fd >= 0)
		close(fd);
	free(dir);
	return rc;
}

static enum err_code
open_tcp(const char *address, int *out_fd, struct err *e)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
	struct addrinfo *found = NULL;
	char *host = xstrdup(address);
	char *colon = strrchr(host, ':');
	enum err_code rc = ERR_OK;
	int fd = -1, on = 1, status;

	if (colon == NULL) {
		rc = err_set(e, ERR_CONFIG, "%s is neither the path of a "
		    "socket nor HOST:PORT", address);
		goto out;
	}
	*colon = '\0';
	status = getaddrinfo(*host != '\0' ? host : NULL, colon + 1, &hints,
	    &found);
	if (status != 0) {
		rc = err_set(e, ERR_CONFIG, "%s: %s", address,
		    gai_strerror(status));
		goto out;
	}
	fd = socket(found->ai_family,
	    found->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    bind(fd, found->ai_addr, found->ai_addrlen) != 0 ||
	    listen(fd, BACKLOG) != 0) {
		rc = err_set_errno(e, ERR_CONFIG, errno, "%s", address);
		goto out;
	}
	*out_fd = fd;
	fd = -1;
out:
	if (fd >= 0)
		close(fd);
	if (found != NULL)
		freeaddrinfo(found);
	free(host);
	return rc;
}

/* The web server made it, so its backlog and mode may not be ours. */
static enum err_code
adopt(int fd, struct err *e)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
		return err_set_errno(e, ERR_SYSTEM, errno,
		    "the socket we were given");
	listen(fd, BACKLOG);
	return ERR_OK;
}

enum err_code
listener_open(const char *setting, const char *address, struct listener *out,
    struct err *e)
{
	struct listener l = LISTENER_INIT;
	enum err_code rc;

	if (is_listening(STDIN_FILENO)) {
		l.fd = STDIN_FILENO;
		rc = adopt(l.fd, e);
	} else if (is_activated()) {
		l.fd = ACTIVATION_FD;
		rc = adopt(l.fd, e);
	} else if (address[0] == '/') {
		rc = open_unix(address, &l.fd, e);
		l.path = xstrdup(address);
	} else {
		rc = open_tcp(address, &l.fd, e);
	}
	if (rc != ERR_OK) {
		free(l.path);
		err_wrap(e, "%s", setting);
		return rc;
	}
	*out = l;
	return ERR_OK;
}

void
listener_close(struct listener *l)
{
	/* While it is still ours: a successor may bind the name right after. */
	if (l->path != NULL)
		unlink(l->path);
	if (l->fd >= 0)
		close(l->fd);
	free(l->path);
	l->fd = -1;
	l->path = NULL;
}
