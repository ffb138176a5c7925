/*
 * churns-api between its files.
 *
 *   main.c     arguments, configuration, the listening socket
 *   parent.c   keeps api.workers processes alive; never opens the database
 *   worker.c   one process: its store, its accepting threads
 *   serve.c    one request, from its variables to its line in the log
 *   routes.c   one table of routes; everything else is reached from there
 */
#ifndef API_H
#define API_H

#include "conf.h"
#include "err.h"
#include "listener.h"
#include "service.h"

struct metrics;

/*
 * Supervise until SIGTERM.  svc is taken over; opts are those it was loaded
 * with, for SIGHUP.  Returns the exit status of the program.
 */
int parent_run(struct service *svc, const struct conf_options *opts,
    const struct listener *l);

/*
 * Be a worker until stop_fd becomes readable (its writing end was closed) or
 * a limit retires us.  Returns the exit status of the process.
 */
int worker_run(struct service *svc, int listen_fd, int stop_fd,
    struct metrics *metrics);

#endif
