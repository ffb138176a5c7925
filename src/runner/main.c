/*
 * churns-runner: executes the jobs that the API has accepted.
 *
 * It stays in the foreground and logs to standard error.  It alone reads the
 * providers' keys, and refuses to start when one is missing that a configured
 * model needs.  Everything dear is made here, once, before the first job:
 *
 *   configuration, prompts, schemas, executors   all faults told, exit 78
 *   -> keys -> directories -> database -> HTTP, helpers, lanes
 *   -> life file, row in the table of processes -> "ready" -> loop
 *
 * SIGTERM and SIGINT end it: running jobs begin nothing new, calls in flight
 * have five seconds (a second signal cuts that short), leases are given back.
 * SIGHUP only says that a new configuration needs a restart: jobs of one
 * process must not differ in what they were configured with.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner.h"

#include "clock.h"
#include "log.h"
#include "wake.h"

#define PROGRAM "churns-runner"
#define MAX_ARENAS 2		/* of malloc; each costs memory per burst */
#define MAX_TEXT 8192
#define EXIT_USAGE 64

struct control {
	struct runner *r;
	struct wake *wake;
	int signal_fd;
};

static void
usage(FILE *to)
{
	fprintf(to, "usage: %s [--conf DIR] [--env FILE]\n"
	    "       %s --help | --version\n\n"
	    "  --conf DIR   configuration (default: $CHURNS_CONF_DIR, else %s)\n"
	    "  --env FILE   variables that are not in the environment, keys\n"
	    "               among them (default: $CHURNS_ENV_FILE, else\n"
	    "               churns.env beside the configuration)\n",
	    PROGRAM, PROGRAM, CHURNS_CONFDIR);
}

/* -1: go on; otherwise the exit status. */
static int
read_options(int argc, char **argv, struct conf_options *opts)
{
	static const struct option options[] = {
		{ "conf", required_argument, NULL, 'c' },
		{ "env", required_argument, NULL, 'e' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	for (;;) {
		c = getopt_long(argc, argv, "c:e:hV", options, NULL);
		switch (c) {
		case -1:
			if (optind == argc)
				return -1;
			fprintf(stderr, "%s: unexpected \"%s\"\n", PROGRAM,
			    argv[optind]);
			usage(stderr);
			return EXIT_USAGE;
		case 'c':
			opts->dir = optarg;
			break;
		case 'e':
			opts->env_file = optarg;
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'V':
			printf("%s %s\n", PROGRAM, CHURNS_VERSION);
			return 0;
		default:
			usage(stderr);
			return EXIT_USAGE;
		}
	}
}

/* --- what this process gives up ------------------------------------------- */

/* Keys are in our memory: no core files, nobody attaches. */
static void
drop_what_we_do_not_need(void)
{
	struct rlimit none = { 0, 0 };

	umask(0027);
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
#if !defined(__SANITIZE_ADDRESS__)	/* its leak check attaches to us */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

/* --- starting ------------------------------------------------------------- */

static void
print_problems(const char *text)
{
	fprintf(stderr, "%s: not started, since the configuration has faults:\n"
	    "%s", PROGRAM, text);
}

static enum err_code
load(struct runner *r, const struct conf_options *opts)
{
	struct strbuf missing = STRBUF_INIT(MAX_TEXT);
	struct problems problems;
	enum err_code rc;

	problems_init(&problems);
	rc = service_load(&r->service, opts, &problems);
	if (problems.count > 0) {
		print_problems(problems.text.buf);
		rc = ERR_CONFIG;
	} else if (rc != ERR_OK) {
		fprintf(stderr, "%s: the configuration cannot be loaded\n",
		    PROGRAM);
	} else if (conf_missing_keys(r->service.conf, &missing) > 0) {
		print_problems(missing.buf);
		rc = ERR_CONFIG;
	} else {
		r->settings = &r->service.conf->settings;
		log_init(PROGRAM, r->settings->log_level,
		    r->settings->log_format);
	}
	problems_release(&problems);
	strbuf_release(&missing);
	return rc;
}

static void
on_event(void *arg, const char *run_id)
{
	struct runner *r = arg;

	wake_send_event(r->settings->run_dir, run_id);
}

static void
open_workshop(struct runner *r)
{
	r->lanes = lane_pool_new(r->settings->runner_max_lanes);
	r->shop.conf = r->service.conf;
	r->shop.store = r->store;
	r->shop.model = r->model;
	r->shop.schemas = r->service.schemas;
	r->shop.prompts = r->service.prompts;
	r->shop.pixels = r->pixels;
	r->shop.lanes = r->lanes;
	r->shop.runs_dir = r->service.runs_dir;
	r->shop.on_event = on_event;
	r->shop.on_event_arg = r;
}

/* Directories, database, connections, helpers. */
static enum err_code
open_all(struct runner *r, struct err *e)
{
	struct model_options opts = { .conf = r->service.conf,
	    .schemas = r->service.schemas };
	enum err_code rc;

	rc = service_check_dirs(&r->service, e);
	if (rc == ERR_OK)
		rc = service_open_store(&r->service, true, false, MAX_READERS,
		    &r->store, e);
	opts.store = r->store;
	if (rc == ERR_OK)
		rc = model_new(&opts, &r->model, e);
	if (rc == ERR_OK)
		rc = pixels_new(r->settings->image_helper, HELPERS_AT_ONCE,
		    r->settings->max_image_pixels, &r->pixels, e);
	if (rc == ERR_OK)
		open_workshop(r);
	return rc;
}

/* From here on others can see us. */
static enum err_code
enter(struct runner *r, struct control *c, struct err *e)
{
	enum err_code rc;

	presence_init(&r->presence, ROLE, clock_now_ms());
	rc = life_begin(r, e);
	if (rc == ERR_OK)
		rc = wake_open(r->settings->run_dir, ROLE, &c->wake, e);
	if (rc != ERR_OK)
		return rc;
	life_sweep(r);
	/* Somebody who writes just now, or a full disk, is no reason to stay
	 * away: the claimer tells it again soon. */
	if (stats_beat(r, e) != ERR_OK)
		log_warn("heartbeat not written, trying again", "error=%s",
		    log_quote(e->msg));
	err_clear(e);
	return runner_start(r, e);
}

static void
log_ready(const struct runner *r)
{
	struct strbuf text = STRBUF_INIT(MAX_TEXT);
	const struct executor_set *x = &r->service.executors;

	conf_summary(r->service.conf, &text);
	log_info("ready", "pid=%d id=%s max_jobs=%d generation=%s "
	    "refinement=%s caption=%s summary=%s", (int)getpid(),
	    r->presence.id, r->n_slots,
	    executor_id(executor_get(x, MODE_GENERATION)),
	    executor_id(executor_get(x, MODE_REFINEMENT)),
	    executor_id(executor_get(x, MODE_CAPTION)), log_quote(text.buf));
	strbuf_release(&text);
}

/* --- the main thread ------------------------------------------------------ */

/* Returns true when the process is to end. */
static bool
take_signals(const struct control *c)
{
	struct signalfd_siginfo info;
	bool end = false;

	while (read(c->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGHUP) {
			log_warn("SIGHUP does nothing here, restart for a new "
			    "configuration, ignoring", "pid=%d",
			    (int)getpid());
			continue;
		}
		log_info("stopping", "signal=%d", (int)info.ssi_signo);
		end = true;
	}
	return end;
}

/* A wake-up only says that there is something to see; what it names may be one
 * of several, of which the others were dropped. */
static void
take_wakes(const struct control *c)
{
	if (wake_drain(c->wake, NULL, NULL) <= 0)
		return;
	runner_check(c->r);
	runner_look(c->r);
}

/* Wait for something to happen; true when a signal says "end". */
static bool
wait_once(struct control *c, int timeout_ms)
{
	struct pollfd fds[3] = {
		{ .fd = c->signal_fd, .events = POLLIN },
		{ .fd = wake_fd(c->wake), .events = POLLIN },
		{ .fd = c->r->changed_fd, .events = POLLIN },
	};
	uint64_t ignored;

	if (poll(fds, 3, timeout_ms) <= 0)
		return false;
	if (fds[2].revents != 0 &&
	    read(c->r->changed_fd, &ignored, sizeof(ignored)) < 0)
		return false;
	if (fds[1].revents != 0)
		take_wakes(c);
	return fds[0].revents != 0 && take_signals(c);
}

static bool
second_signal(void *arg, int timeout_ms)
{
	return wait_once(arg, timeout_ms);
}

static int
open_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void
close_all(struct runner *r, struct control *c)
{
	struct err e = ERR_INIT;

	if (r->store != NULL && r->presence.id[0] != '\0' &&
	    store_delete_process(r->store, r->presence.id, &e) != ERR_OK)
		log_warn("our row is left, ignoring", "error=%s",
		    log_quote(e.msg));
	if (c->wake != NULL)
		wake_close(c->wake);
	life_end(r);
	lane_pool_free(r->lanes);
	pixels_free(r->pixels);
	if (r->model != NULL)
		model_free(r->model);
	if (r->store != NULL)
		store_close(r->store);
	service_release(&r->service);
}

/* Until a signal, or until memory has grown too large and all is done. */
static int
serve(struct runner *r, struct control *c)
{
	log_ready(r);
	while (!wait_once(c, -1))
		if (runner_is_drained(r))
			break;
	if (!runner_stop(r, second_signal, c)) {
		/* The kernel gives our lock back; whoever comes next takes
		 * the jobs. */
		log_error("some jobs would not end, leaving them",
		    "pid=%d", (int)getpid());
		_exit(1);
	}
	log_info("stopped", "pid=%d", (int)getpid());
	return 0;
}

int
main(int argc, char **argv)
{
	struct conf_options opts = { .secrets = true };
	struct control c = { .signal_fd = -1 };
	struct err e = ERR_INIT;
	static struct runner runner;
	enum err_code rc;
	int status;

	mallopt(M_ARENA_MAX, MAX_ARENAS);
	log_init(PROGRAM, LOG_INFO, LOG_TEXT);
	status = read_options(argc, argv, &opts);
	if (status >= 0)
		return status;
	drop_what_we_do_not_need();
	c.r = &runner;
	c.signal_fd = open_signals();
	runner_init(&runner);
	if (c.signal_fd < 0 || runner.changed_fd < 0) {
		log_error("not started, since nobody could stop it",
		    "error=%s", strerror(errno));
		return 1;
	}
	rc = load(&runner, &opts);
	if (rc == ERR_OK) {
		rc = open_all(&runner, &e);
		if (rc == ERR_OK)
			rc = enter(&runner, &c, &e);
		if (rc != ERR_OK) {
			log_error("not started", "code=%s error=%s",
			    err_code_name(rc), log_quote(e.msg));
			if (runner.keeper_started)
				runner_stop(&runner, second_signal, &c);
		}
	}
	status = rc == ERR_CONFIG ? EXIT_CONFIG : 1;
	if (rc == ERR_OK)
		status = serve(&runner, &c);
	close_all(&runner, &c);
	runner_release(&runner);
	if (c.signal_fd >= 0)
		close(c.signal_fd);
	return status;
}
