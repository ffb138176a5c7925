/*
 * churns-push: tells browsers what happens in their runs, as it happens.
 *
 * It stays in the foreground and logs to standard error.  It reads the events
 * that others have committed and writes nothing but its own row in the table of
 * processes; it holds no key and never calls a model.
 *
 *   main thread   signals; our row in the table of processes, every two seconds
 *   loop          all sockets (server.c)
 *   feed          reads the database for the loop (feed.c)
 *   writer        of the store, which commits our row
 *
 * SIGTERM and SIGINT end it: every socket is told to come back (1012), which
 * takes two seconds at most, and what it misses meanwhile it can ask for.
 * SIGHUP loads the configuration anew: limits, origins and pauses change, but
 * not the address, the database and the number of sockets there is room for.
 */
#include "server.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "json.h"
#include "listener.h"
#include "log.h"
#include "service.h"
#include "xalloc.h"

#define PROGRAM "churns-push"
#define ROLE "push"
#define EXIT_USAGE 64
#define MAX_READERS 2		/* the feed's, and one to spare */

static const char usage[] =
"usage: churns-push [--conf DIR] [--env FILE] [--listen ADDRESS]\n"
"\n"
"  --conf DIR        configuration directory (default " CHURNS_CONFDIR ")\n"
"  --env FILE        fills in environment variables that are not set\n"
"  --listen ADDRESS  path of a Unix socket or LOOPBACK:PORT; default\n"
"                    push.listen\n"
"  --help, --version\n"
"\n"
"Runs in the foreground. SIGHUP loads the configuration anew, SIGTERM stops.\n";

struct arguments {
	struct conf_options conf;
	const char *listen;
};

struct push {
	struct arguments args;
	struct service service;	/* its conf is all we use of it */
	struct listener listener;
	struct wake *wake;
	struct store *store;
	struct server *server;
	struct presence presence;
	pthread_t loop;
	sigset_t signals;
};

/* -1: go on; otherwise the exit status. */
static int
read_arguments(int argc, char **argv, struct arguments *a)
{
	static const struct option options[] = {
		{ "conf", required_argument, NULL, 'c' },
		{ "env", required_argument, NULL, 'e' },
		{ "listen", required_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	for (;;) {
		c = getopt_long(argc, argv, "", options, NULL);
		if (c == -1)
			break;
		switch (c) {
		case 'c':
			a->conf.dir = optarg;
			break;
		case 'e':
			a->conf.env_file = optarg;
			break;
		case 'l':
			a->listen = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'v':
			puts(PROGRAM " " CHURNS_VERSION);
			return 0;
		default:
			fputs(usage, stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, PROGRAM ": %s is not expected here\n",
		    argv[optind]);
		return EXIT_USAGE;
	}
	return -1;
}

/* --- starting ------------------------------------------------------------- */

static struct conf *
load(const struct conf_options *opts, bool first)
{
	struct problems problems;
	struct conf *conf = NULL;

	problems_init(&problems);
	conf_load(opts, &problems, &conf);
	if (problems.count > 0) {
		conf_free(conf);
		conf = NULL;
	}
	if (problems.count > 0 && first)
		fputs(problems.text.buf, stderr);
	else if (conf == NULL)
		log_error("configuration not loaded, keeping the old one",
		    "problems=%s", log_quote(problems.text.buf));
	problems_release(&problems);
	return conf;
}

/* Exactly as many files as there can be sockets: libwebsockets makes its
 * tables by that number. */
static void
limit_files(const struct settings *s)
{
	rlim_t wanted = (rlim_t)s->push_max_sockets + SERVER_OTHER_FILES;
	struct rlimit files;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = wanted;
	if (files.rlim_max != RLIM_INFINITY && files.rlim_max < wanted)
		files.rlim_max = wanted;
	if (setrlimit(RLIMIT_NOFILE, &files) == 0)
		return;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	log_warn("fewer files than push.max_sockets needs, ignoring",
	    "files=%llu wanted=%llu", (unsigned long long)files.rlim_cur,
	    (unsigned long long)wanted);
}

static enum err_code
open_all(struct push *p, struct err *e)
{
	const struct settings *s = &p->service.conf->settings;
	struct server_options o = { .settings = s };
	enum err_code rc;

	rc = service_check_dirs(&p->service, e);
	if (rc == ERR_OK)
		rc = listener_open("push.listen", p->args.listen != NULL ?
		    p->args.listen : s->push_listen, &p->listener, e);
	if (rc == ERR_OK)
		rc = service_open_store(&p->service, false, false, MAX_READERS,
		    &p->store, e);
	if (rc == ERR_OK)
		rc = wake_open(s->run_dir, ROLE, &p->wake, e);
	if (rc != ERR_OK)
		return rc;
	o.store = p->store;
	o.wake = p->wake;
	o.listen_fd = p->listener.fd;
	return server_new(&o, &p->server, e);
}

static void
close_all(struct push *p)
{
	struct err e = ERR_INIT;

	server_free(p->server);
	if (p->wake != NULL)
		wake_close(p->wake);
	if (p->store != NULL && p->presence.id[0] != '\0' &&
	    store_delete_process(p->store, p->presence.id, &e) != ERR_OK)
		log_warn("our row is left, ignoring", "error=%s",
		    log_quote(e.msg));
	if (p->store != NULL)
		store_close(p->store);
	listener_close(&p->listener);
	service_release(&p->service);
}

/* --- while it lives ------------------------------------------------------- */

static void
beat(struct push *p)
{
	const struct server_stats *t = server_get_stats(p->server);
	struct json_object *o = json_object_new_object();
	struct err e = ERR_INIT;

	json_put_int(o, "sockets", atomic_load(&t->sockets));
	json_put_int(o, "streams", atomic_load(&t->streams));
	json_put_int(o, "connections", atomic_load(&t->connections));
	json_put_int(o, "runs_watched", atomic_load(&t->runs));
	json_put_int(o, "joined_total", atomic_load(&t->joined));
	json_put_int(o, "refused_total", atomic_load(&t->refused));
	json_put_int(o, "sent_total", atomic_load(&t->sent));
	json_put_int(o, "dropped_slow_total", atomic_load(&t->slow));
	json_put_int(o, "dropped_dead_total", atomic_load(&t->dead));
	json_put_int(o, "queued_bytes", atomic_load(&t->queued_bytes));
	if (presence_beat(&p->presence, &p->service, p->store, o,
	    clock_now_ms(), &e) != ERR_OK)
		log_warn("heartbeat not written, ignoring", "error=%s",
		    log_quote(e.msg));
}

static void
reload(struct push *p)
{
	struct conf *conf = load(&p->args.conf, false);

	if (conf == NULL)
		return;
	log_init(PROGRAM, conf->settings.log_level, conf->settings.log_format);
	server_reload(p->server, &conf->settings);
	conf_free(p->service.conf);
	p->service.conf = conf;
	log_info("configuration loaded anew", "pid=%d", (int)getpid());
}

static void *
loop_run(void *arg)
{
	struct push *p = arg;

	server_run(p->server);
	/* If nobody has told it to end, the main thread must hear of it. */
	kill(getpid(), SIGTERM);
	return NULL;
}

/* Until a signal says "end". */
static void
live(struct push *p)
{
	struct timespec pause = { PRESENCE_BEAT_MS / 1000,
		(PRESENCE_BEAT_MS % 1000) * 1000000L };
	int signo;

	for (;;) {
		beat(p);
		signo = sigtimedwait(&p->signals, NULL, &pause);
		if (signo == SIGHUP)
			reload(p);
		else if (signo > 0)
			break;
	}
	log_info("stopping", "signal=%d", signo);
}

/* For people: the address we were told, unless a socket was handed to us. */
static const char *
listens_on(const struct push *p)
{
	if (p->listener.fd <= STDERR_FILENO)
		return "given socket";
	return p->args.listen != NULL ? p->args.listen :
	    p->service.conf->settings.push_listen;
}

static int
serve(struct push *p)
{
	int rc;

	rc = pthread_create(&p->loop, NULL, loop_run, p);
	if (rc != 0) {
		log_error("not started, no thread", "error=%s", strerror(rc));
		return 1;
	}
	presence_init(&p->presence, ROLE, clock_now_ms());
	log_info("ready to serve", "pid=%d id=%s listen=%s max_sockets=%d",
	    (int)getpid(), p->presence.id, log_quote(listens_on(p)),
	    p->service.conf->settings.push_max_sockets);
	live(p);
	server_stop(p->server);
	pthread_join(p->loop, NULL);
	log_info("stopped", "pid=%d", (int)getpid());
	return 0;
}

/* A socket's owner may not look into our memory, and need not. */
static void
drop_what_we_do_not_need(void)
{
	struct rlimit none = { 0, 0 };

	umask(0027);
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	signal(SIGPIPE, SIG_IGN);
}

int
main(int argc, char **argv)
{
	struct push p = { .listener = LISTENER_INIT };
	struct err e = ERR_INIT;
	int status;

	status = read_arguments(argc, argv, &p.args);
	if (status >= 0)
		return status;
	drop_what_we_do_not_need();
	log_init(PROGRAM, LOG_INFO, LOG_TEXT);
	sigemptyset(&p.signals);
	sigaddset(&p.signals, SIGTERM);
	sigaddset(&p.signals, SIGINT);
	sigaddset(&p.signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &p.signals, NULL);
	p.service.conf = load(&p.args.conf, true);
	if (p.service.conf == NULL)
		return EXIT_CONFIG;
	log_init(PROGRAM, p.service.conf->settings.log_level,
	    p.service.conf->settings.log_format);
	p.service.runs_dir = xasprintf("%s/runs",
	    p.service.conf->settings.data_dir);
	limit_files(&p.service.conf->settings);
	if (open_all(&p, &e) != ERR_OK) {
		fprintf(stderr, PROGRAM ": %s\n", e.msg);
		status = e.code == ERR_CONFIG ? EXIT_CONFIG : 1;
	} else {
		status = serve(&p);
	}
	close_all(&p);
	return status;
}
