/*
 * The listening socket of a program that web servers talk to.  It is opened
 * before any thread or child exists, non-blocking, with a long backlog.
 */
#ifndef CHURNS_LISTENER_H
#define CHURNS_LISTENER_H

#include "err.h"

struct listener {
	int fd;
	char *path;		/* of a Unix socket we bound; NULL */
};

#define LISTENER_INIT { -1, NULL }

/*
 * Take the socket that a web server (fd 0) or socket activation (LISTEN_FDS)
 * hands us, else open address: the path of a Unix socket, or HOST:PORT.
 * setting is the name under which operators know the address ("api.listen");
 * errors begin with it.  A socket file that nobody answers on is replaced; one
 * that somebody does is waited for some seconds, since a predecessor may be
 * finishing.  ERR_CONFIG, ERR_SYSTEM.
 */
enum err_code listener_open(const char *setting, const char *address,
    struct listener *out, struct err *e);
void listener_close(struct listener *l);	/* removes the socket file */

#endif
