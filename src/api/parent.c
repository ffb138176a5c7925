/*
 * The parent of the workers: it forks them before any thread exists, replaces
 * one that ends, and never opens the database.
 *
 * Each worker has a pipe of its own whose writing end only the parent holds.
 * Closing it is the one way a worker is told to stop: no signal interrupts a
 * request, because libfcgi's reads end on EINTR and an upload would be cut.  If
 * the parent dies, the kernel closes the pipes and the workers stop too.
 *
 *   EMPTY --fork--> ALIVE --we close its pipe--> LEAVING --exit--> EMPTY
 *     ^               '---- it ends by itself (limits, a crash) ----'
 *     '--- due_ms: at once, or later when it died young ------------
 *
 * SIGHUP loads the configuration anew: new workers start with it, then the old
 * ones are told to stop; each finishes the request in hand.  A configuration
 * with faults is logged and changes nothing.
 */
#include "api.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "metrics.h"
#include "uploads.h"
#include "xalloc.h"

#define MAX_WORKERS 64
#define MAX_SLOTS (2 * MAX_WORKERS)	/* old and new ones during a SIGHUP */
#define STOP_PATIENCE_MS 6000	/* workers give themselves 5 s */
#define YOUNG_MS 1000		/* dying before this age is a fault */
#define MAX_BACKOFF_MS 5000
#define LONG_SLEEP_MS 60000
#define EXIT_FAILED 1

enum slot_state { SLOT_EMPTY, SLOT_ALIVE, SLOT_LEAVING };

struct slot {
	enum slot_state state;
	bool wanted;		/* EMPTY: fork one when due_ms has come */
	pid_t pid;
	int stop_fd;		/* our writing end; -1 */
	int64_t started_ms;	/* monotonic */
	int64_t due_ms;
	int backoff_ms;
};

struct parent {
	struct site *site;
	const struct conf_options *opts;
	const struct listener *listener;
	struct metrics *metrics;	/* shared with all workers */
	struct slot slots[MAX_SLOTS];
	int workers;
	int exit_status;
	bool stopping;
	sigset_t signals;
};

/* In the child: nothing of the parent's may stay open but what it needs. */
static void
become_worker(struct parent *p, int stop_fd)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	int i;

	for (i = 0; i < MAX_SLOTS; i++)
		if (p->slots[i].stop_fd >= 0)
			close(p->slots[i].stop_fd);
	sigaction(SIGHUP, &dfl, NULL);
	/*
	 * A terminal's Ctrl-C and a supervisor's SIGTERM reach the whole
	 * group; the parent alone decides what they mean.
	 */
	sigprocmask(SIG_BLOCK, &p->signals, NULL);
	_exit(worker_run(p->site, p->listener->fd, stop_fd, p->metrics));
}

static void
slot_fork(struct parent *p, struct slot *s)
{
	int ends[2];

	s->due_ms = clock_mono_ms() + MAX_BACKOFF_MS;
	if (pipe2(ends, O_CLOEXEC) != 0) {
		log_error("worker not started", "error=%s",
		    log_quote(strerror(errno)));
		return;
	}
	s->pid = fork();
	if (s->pid < 0) {
		log_error("worker not started", "error=%s",
		    log_quote(strerror(errno)));
		close(ends[0]);
		close(ends[1]);
		return;
	}
	if (s->pid == 0) {
		close(ends[1]);
		become_worker(p, ends[0]);
	}
	close(ends[0]);
	s->stop_fd = ends[1];
	s->state = SLOT_ALIVE;
	s->wanted = false;
	s->started_ms = clock_mono_ms();
	atomic_fetch_add(&p->metrics->workers_started, 1);
	log_info("worker started", "worker_pid=%ld", (long)s->pid);
}

static void
slot_leave(struct slot *s)
{
	if (s->state == SLOT_ALIVE)
		s->state = SLOT_LEAVING;
	if (s->stop_fd >= 0)
		close(s->stop_fd);
	s->stop_fd = -1;
	s->wanted = false;
}

/* Tell it that others serve from now on, so that it may take its time. */
static void
slot_take_over(struct slot *s)
{
	if (s->stop_fd >= 0 && write(s->stop_fd, "t", 1) != 1)
		log_warn("worker not told that others take over, ignoring",
		    "worker_pid=%ld", (long)s->pid);
}

static void
stop_all(struct parent *p)
{
	int i;

	p->stopping = true;
	for (i = 0; i < MAX_SLOTS; i++)
		slot_leave(&p->slots[i]);
}

/* Ask for n workers in free slots. */
static void
want_workers(struct parent *p, int n)
{
	int i;

	for (i = 0; i < MAX_SLOTS && n > 0; i++) {
		struct slot *s = &p->slots[i];

		if (s->state != SLOT_EMPTY || s->wanted)
			continue;
		s->wanted = true;
		s->due_ms = 0;
		s->backoff_ms = 0;
		n--;
	}
}

/* An upload that was cut by a crash need not wait for the next start. */
static void
sweep(const struct parent *p)
{
	struct err e = ERR_INIT;

	if (uploads_sweep(p->site->svc.conf->settings.data_dir, &e) != ERR_OK)
		log_warn("uploads not swept, ignoring", "error=%s",
		    log_quote(e.msg));
}

static void
slot_ended(struct parent *p, struct slot *s, int status)
{
	bool young = clock_mono_ms() - s->started_ms < YOUNG_MS;
	bool was_alive = s->state == SLOT_ALIVE;

	if (s->stop_fd >= 0)
		close(s->stop_fd);
	s->stop_fd = -1;
	s->state = SLOT_EMPTY;
	if (WIFSIGNALED(status)) {
		atomic_fetch_add(&p->metrics->workers_killed, 1);
		log_warn("worker killed", "worker_pid=%ld signal=%d",
		    (long)s->pid, WTERMSIG(status));
		sweep(p);
	} else {
		atomic_fetch_add(&p->metrics->workers_ended, 1);
		log_info("worker ended", "worker_pid=%ld status=%d",
		    (long)s->pid, WEXITSTATUS(status));
	}
	if (!was_alive || p->stopping)
		return;
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_CONFIG && young) {
		/* It has said why; starting it again would say it again. */
		p->exit_status = EXIT_CONFIG;
		stop_all(p);
		return;
	}
	s->wanted = true;
	s->backoff_ms = !young ? 0 : s->backoff_ms == 0 ? 100 :
	    s->backoff_ms * 2 > MAX_BACKOFF_MS ? MAX_BACKOFF_MS :
	    s->backoff_ms * 2;
	s->due_ms = clock_mono_ms() + s->backoff_ms;
}

static void
reap(struct parent *p)
{
	int status, i;
	pid_t pid;

	for (;;) {
		pid = waitpid(-1, &status, WNOHANG);
		if (pid <= 0)
			return;
		for (i = 0; i < MAX_SLOTS; i++)
			if (p->slots[i].state != SLOT_EMPTY &&
			    p->slots[i].pid == pid)
				slot_ended(p, &p->slots[i], status);
	}
}

/* One line each: together they would not fit into one. */
static void
log_problems(const struct problems *problems)
{
	const char *p = problems->text.buf;
	size_t len;

	for (; *p != '\0'; p += len + (p[len] == '\n')) {
		char *line;

		len = strcspn(p, "\n");
		line = xstrndup(p, len);
		log_error("configuration", "fault=%s", log_quote(line));
		free(line);
	}
}

static void
reload(struct parent *p)
{
	struct problems problems;
	struct site fresh;
	struct err e = ERR_INIT;
	int i, old = p->workers;

	problems_init(&problems);
	if (site_load(&fresh, p->opts, &problems) == ERR_OK &&
	    service_check_dirs(&fresh.svc, &e) != ERR_OK) {
		problems_add(&problems, NULL, 0, "%s", e.msg);
		site_release(&fresh);
	}
	if (problems.count > 0) {
		log_problems(&problems);
		log_error("new configuration refused, the old one stays",
		    "problems=%d", problems.count);
		goto out;
	}
	site_release(p->site);
	*p->site = fresh;
	p->workers = p->site->svc.conf->settings.api_workers;
	for (i = 0; i < MAX_SLOTS; i++) {
		struct slot *s = &p->slots[i];

		s->wanted = false;
		/* Old ones leave only after the new ones were forked. */
		if (s->state == SLOT_ALIVE)
			s->state = SLOT_LEAVING;
	}
	want_workers(p, p->workers);
	for (i = 0; i < MAX_SLOTS; i++)
		if (p->slots[i].state == SLOT_EMPTY && p->slots[i].wanted)
			slot_fork(p, &p->slots[i]);
	for (i = 0; i < MAX_SLOTS; i++)
		if (p->slots[i].state == SLOT_LEAVING) {
			slot_take_over(&p->slots[i]);
			slot_leave(&p->slots[i]);
		}
	log_info("configuration loaded anew", "workers=%d was=%d", p->workers,
	    old);
out:
	problems_release(&problems);
}

static void
start_due(struct parent *p)
{
	int64_t now = clock_mono_ms();
	int i;

	for (i = 0; i < MAX_SLOTS; i++) {
		struct slot *s = &p->slots[i];

		if (s->state == SLOT_EMPTY && s->wanted && s->due_ms <= now)
			slot_fork(p, s);
	}
}

static int64_t
next_due_in(const struct parent *p)
{
	int64_t now = clock_mono_ms(), wait = LONG_SLEEP_MS;
	int i;

	for (i = 0; i < MAX_SLOTS; i++) {
		const struct slot *s = &p->slots[i];

		if (s->state == SLOT_EMPTY && s->wanted &&
		    s->due_ms - now < wait)
			wait = s->due_ms - now;
	}
	return wait < 0 ? 0 : wait;
}

static int
count_living(const struct parent *p)
{
	int i, n = 0;

	for (i = 0; i < MAX_SLOTS; i++)
		n += p->slots[i].state != SLOT_EMPTY;
	return n;
}

/* The next signal, or 0 after ms. */
static int
await_signal(const struct parent *p, int64_t ms)
{
	struct timespec patience = { ms / 1000, (ms % 1000) * 1000000 };
	int sig = sigtimedwait(&p->signals, NULL, &patience);

	return sig > 0 ? sig : 0;
}

static void
wait_for_last(struct parent *p)
{
	int64_t end = clock_mono_ms() + STOP_PATIENCE_MS;
	int i;

	while (count_living(p) > 0 && clock_mono_ms() < end) {
		await_signal(p, 100);
		reap(p);
	}
	for (i = 0; i < MAX_SLOTS; i++)
		if (p->slots[i].state != SLOT_EMPTY) {
			log_warn("worker did not stop in time, killing it",
			    "worker_pid=%ld", (long)p->slots[i].pid);
			kill(p->slots[i].pid, SIGKILL);
			waitpid(p->slots[i].pid, NULL, 0);
			p->slots[i].state = SLOT_EMPTY;
		}
}

int
parent_run(struct site *site, const struct conf_options *opts,
    const struct listener *l)
{
	struct parent p = { .site = site, .opts = opts, .listener = l };
	int i;

	for (i = 0; i < MAX_SLOTS; i++)
		p.slots[i].stop_fd = -1;
	sigemptyset(&p.signals);
	sigaddset(&p.signals, SIGCHLD);
	sigaddset(&p.signals, SIGHUP);
	sigaddset(&p.signals, SIGTERM);
	sigaddset(&p.signals, SIGINT);
	sigprocmask(SIG_BLOCK, &p.signals, NULL);

	p.metrics = metrics_new(clock_now_ms());
	if (p.metrics == NULL) {
		log_error("cannot start", "error=%s", log_quote(
		    strerror(errno)));
		return EXIT_FAILED;
	}
	p.workers = site->svc.conf->settings.api_workers;
	want_workers(&p, p.workers);
	while (!p.stopping) {
		start_due(&p);
		switch (await_signal(&p, next_due_in(&p))) {
		case SIGTERM:
		case SIGINT:
			log_info("stopping", "workers=%d", count_living(&p));
			stop_all(&p);
			break;
		case SIGHUP:
			reload(&p);
			break;
		default:
			reap(&p);
			break;
		}
	}
	wait_for_last(&p);
	metrics_free(p.metrics);
	return p.exit_status;
}
