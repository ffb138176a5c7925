/*
 * churns-api between its files.
 *
 *   main.c     arguments, configuration, the listening socket
 *   parent.c   keeps api.workers processes alive; never opens the database
 *   worker.c   one process: its store, its accepting threads
 *   serve.c    one request, from its variables to its line in the log
 *   document.c the API document, loaded and rendered once
 *   routes.c   one table of routes; everything else is reached from there
 */
#ifndef API_H
#define API_H

#include "conf.h"
#include "document.h"
#include "err.h"
#include "listener.h"
#include "service.h"

struct metrics;

/* What a process serves with: loaded together, replaced together. */
struct site {
	struct service svc;
	struct document document;
};

/* All faults, of configuration and document, go to problems; ERR_CONFIG when
 * there is any, and *s is then empty. */
enum err_code site_load(struct site *s, const struct conf_options *opts,
    struct problems *problems);
void site_release(struct site *s);

/*
 * Supervise until SIGTERM.  site is taken over; opts are those it was loaded
 * with, for SIGHUP.  Returns the exit status of the program.
 */
int parent_run(struct site *site, const struct conf_options *opts,
    const struct listener *l);

/*
 * Be a worker until stop_fd becomes readable (its writing end was closed) or
 * a limit retires us.  Returns the exit status of the process.
 */
int worker_run(struct site *site, int listen_fd, int stop_fd,
    struct metrics *metrics);

#endif
