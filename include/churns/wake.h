/*
 * Wake-ups between processes: a datagram that says "look again".  It is a hint
 * and may be lost without harm; whoever waits for one also polls.
 *
 * Each process that wants to be woken binds a datagram socket
 * run_dir/wake/ROLE.PID; a sender lists the directory and sends to all of a
 * role without ever waiting (EAGAIN is success: one is already there).  A
 * receiver drains its socket, then looks until nothing is due.
 */
#ifndef CHURNS_WAKE_H
#define CHURNS_WAKE_H

#include <stdbool.h>
#include <sys/types.h>

#include "err.h"

#define WAKE_MAX_TEXT 64
#define WAKE_EVENT "event "	/* then the id of a run; alone: of any run */

struct wake;

/* Bind ROLE.PID (a stale one of that name is replaced). The directory is made
 * when missing. ERR_SYSTEM. */
enum err_code wake_open(const char *run_dir, const char *role,
    struct wake **out, struct err *e);
void wake_close(struct wake *w);	/* removes the socket */
int wake_fd(const struct wake *w);	/* readable when somebody called */

/* The next text that is there, NUL-terminated; false when there is none. */
bool wake_next(struct wake *w, char text[WAKE_MAX_TEXT + 1]);

/* Read all that is there; returns how many, and in *seen (may be NULL) whether
 * a text equal to want was among them. */
int wake_drain(struct wake *w, const char *want, bool *seen);

/* Tell churns-push that run_id has news. Thread-safe, never blocks. */
void wake_send_event(const char *run_dir, const char *run_id);

/* Send text ("job", "cancel", "event ID") to every ROLE.* of run_dir; sockets whose
 * process is gone (ECONNREFUSED) are removed. Thread-safe, never blocks. */
void wake_send(const char *run_dir, const char *role, const char *text);

#endif
