/*
 * The event loop: every socket of churns-push lives in one thread, in here.
 */
#ifndef PUSH_SERVER_H
#define PUSH_SERVER_H

#include <stdatomic.h>

#include "conf.h"
#include "store.h"
#include "wake.h"

struct server;

struct server_options {
	const struct settings *settings;
	struct store *store;
	struct wake *wake;
	int listen_fd;
};

/* Everything but the loop. The limit of open files must have been raised; what
 * is left of it decides how many sockets there can be. */
enum err_code server_new(const struct server_options *o, struct server **out,
    struct err *e);
void server_free(struct server *s);	/* NULL is fine */

/* Serve until server_stop(); returns when all clients are gone, or after the
 * patience for that is over. */
void server_run(struct server *s);

/* The rest may be called by other threads. */
void server_stop(struct server *s);
/* Limits, origins and pauses as settings have them, which must live until the
 * next call of this or until the server has ended; returns when they are in
 * force and the ones before are no longer looked at. */
void server_reload(struct server *s, const struct settings *settings);

struct server_stats {
	atomic_llong sockets, streams, runs, connections;	/* now */
	atomic_llong joined, refused, sent, slow, dead;	/* since the start */
	atomic_llong queued_bytes;	/* now */
};

const struct server_stats *server_get_stats(const struct server *s);

/* Descriptors needed besides one for each socket. */
#define SERVER_OTHER_FILES 320

#endif
