/*
 * The runner: takes jobs from the queue and executes them.
 *
 *   main thread   signals and wake-ups; starts and stops the others
 *   claimer       takes jobs while a slot is free, finds the jobs of dead
 *                 runners, keeps our row in the table of processes, removes
 *                 what ended jobs and deleted runs have left
 *   keeper        renews leases, hears of cancels, ends jobs at their deadline
 *   slots         at most runner.max_jobs threads, one job each at a time
 *   lanes, HTTP, checkpoints   threads of the rooms below
 *
 * A slot:   FREE --claimer--> BUSY --job ended--> FREE
 *
 * The claimer and the keeper are apart so that a claim that waits for the write
 * turn cannot hold up a cancel.  What they share is guarded by runner.lock.
 * stopping is read without it by running jobs: it only ever becomes true.
 */
#ifndef CHURNS_RUNNER_H
#define CHURNS_RUNNER_H

#include <dirent.h>
#include <pthread.h>

#include "executor.h"
#include "service.h"
#include "submit.h"

#define ROLE "runner"
#define RECOVER_MS 1000		/* how often we look for dead runners */
#define LEFTOVERS_MS 3600000	/* how often leftovers are looked for ... */
#define LEFTOVERS_STEP_MS 100	/* ... some directories at a time */
#define LEFTOVERS_STEP 256
#define SWEEP_MS 60000		/* how often old rows of processes are forgotten */
#define FORGET_MS 3600000	/* ... of those silent for so long */
#define RETRY_MS 1000		/* after the store refused */
#define GRACE_MS 5000		/* for calls in flight at a shutdown */
#define ABORT_MS 10000		/* for jobs to notice that they are aborted */
#define HELPERS_AT_ONCE 2	/* churns-image processes */
#define MAX_READERS 8		/* database connections for reading */
#define MAX_SUSPECTS 8		/* neighbours watched for being stuck */

/* Runners of this host that live although leases of theirs are over. */
struct suspects {
	struct {
		char id[ID_MAX];
		int looks;	/* in a row that found it so */
	} of[MAX_SUSPECTS];
	int n;
};

struct slot {
	struct runner *r;
	pthread_t thread;
	bool started;		/* the thread exists */
	bool busy;
	bool timed_out;		/* its cancel was fired for the deadline */
	struct job job;		/* while busy */
	struct cancel *cancel;	/* while busy */
	pthread_cond_t given;	/* a job, or the end */
};

struct runner {
	struct service service;
	const struct settings *settings;
	struct store *store;
	struct model *model;
	struct pixels *pixels;
	struct lane_pool *lanes;
	struct workshop shop;
	struct presence presence;
	struct holder holder;	/* its id is presence.id */
	char *life_path;
	int life_fd;		/* flock'ed while we live; -1: none */
	struct suspects suspects;	/* the claimer's */
	DIR *leftovers;		/* being looked through, by the claimer; NULL */
	int leftovers_removed;	/* in this pass */
	struct delete_sweep deleted;	/* this pass; the claimer's */
	int changed_fd;		/* eventfd: busy became 0, or we have drained */
	pthread_t claimer, keeper;
	bool claimer_started, keeper_started;

	pthread_mutex_t lock;
	pthread_cond_t claim_wake, keep_wake;
	struct slot *slots;
	int n_slots, busy;
	bool claim_now, check_now;	/* do not wait for the time */
	bool stopping;		/* no more jobs, jobs begin nothing new */
	bool draining;		/* no more jobs; end when the last is done */
	bool closing;		/* slots and keeper end */
};

/* --- runner.c: the slots and the claimer ---------------------------------- */

void runner_init(struct runner *r);
void runner_release(struct runner *r);
enum err_code runner_start(struct runner *r, struct err *e);
/* Give jobs GRACE_MS to end what they have begun (less when *hurry says so),
 * then abort them; end all threads. False: some job would not end. */
bool runner_stop(struct runner *r, bool (*hurry)(void *arg, int timeout_ms),
    void *arg);
/* Look at the queue now; look for cancelled jobs now. Any thread. */
void runner_look(struct runner *r);
void runner_check(struct runner *r);
bool runner_is_drained(struct runner *r);

/* Until cond is signalled or ms are over; the lock is held. */
void wait_ms(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t ms);
/* A thread with all signals blocked. stack 0: the default size. */
enum err_code thread_start(pthread_t *t, size_t stack, void *(*run)(void *),
    void *arg, struct err *e);

/* --- keeper.c ------------------------------------------------------------- */

void *keeper_run(void *runner);

/* --- life.c --------------------------------------------------------------- */

/* Make our life file and hold its lock until the process ends. */
enum err_code life_begin(struct runner *r, struct err *e);
void life_end(struct runner *r);
/* Take the jobs of runners that are dead, and of those we cannot tell of once
 * their leases are over. */
void life_recover(struct runner *r);
/* Remove what dead runners have left in run_dir, once, at the start. */
void life_sweep(struct runner *r);
/* Take back leases of ours that nobody renews any more, since the store would
 * not take them back in time. Only right after the others have been renewed. */
void life_take_back(struct runner *r);

/* --- leftovers.c ---------------------------------------------------------- */

/* Go on looking through the runs' directories, or begin to; returns in how many
 * ms to call again. */
int64_t leftovers_step(struct runner *r);
/* The same for the files of deleted runs. */
int64_t deleted_step(struct runner *r);

/* --- stats.c -------------------------------------------------------------- */

/* Refresh our row in the table of processes. */
enum err_code stats_beat(struct runner *r, struct err *e);

#endif
