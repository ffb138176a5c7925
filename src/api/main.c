/*
 * churns-api: answers the HTTP API as FastCGI workers behind a web server.
 *
 * It never calls a model and holds no key.  What can be found out before
 * serving is found out here, once, before any worker exists: a fault in the
 * configuration ends the program with status 78 and all faults named.
 */
#include "api.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "uploads.h"
#include "xalloc.h"

#define EXIT_USAGE 64

static const char usage[] =
"usage: churns-api [--conf DIR] [--env FILE] [--listen ADDRESS]\n"
"\n"
"  --conf DIR        configuration directory (default " CHURNS_CONFDIR ")\n"
"  --env FILE        fills in environment variables that are not set\n"
"  --listen ADDRESS  path of a Unix socket or HOST:PORT; default api.listen\n"
"  --help, --version\n"
"\n"
"Runs in the foreground. SIGHUP loads the configuration anew, SIGTERM stops.\n";

struct arguments {
	struct conf_options conf;
	const char *listen;
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
			puts("churns-api " CHURNS_VERSION);
			return 0;
		default:
			fputs(usage, stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "churns-api: %s is not expected here\n",
		    argv[optind]);
		return EXIT_USAGE;
	}
	return -1;
}

enum err_code
site_load(struct site *s, const struct conf_options *opts,
    struct problems *problems)
{
	memset(s, 0, sizeof(*s));
	/* The document follows from the configuration, and so do its faults. */
	if (service_load(&s->svc, opts, problems) == ERR_OK &&
	    document_load(s->svc.conf, problems, &s->document) == ERR_OK)
		return ERR_OK;
	site_release(s);
	return ERR_CONFIG;
}

void
site_release(struct site *s)
{
	document_release(&s->document);
	service_release(&s->svc);
}

int
main(int argc, char **argv)
{
	struct arguments a = { { NULL, NULL, false }, NULL };
	struct listener listener = LISTENER_INIT;
	struct problems problems;
	struct site site;
	struct err e = ERR_INIT;
	int status;

	status = read_arguments(argc, argv, &a);
	if (status >= 0)
		return status;
	umask(0027);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	signal(SIGPIPE, SIG_IGN);
	log_init("churns-api", LOG_INFO, LOG_TEXT);

	problems_init(&problems);
	if (site_load(&site, &a.conf, &problems) != ERR_OK) {
		fputs(problems.text.buf, stderr);
		problems_release(&problems);
		return EXIT_CONFIG;
	}
	problems_release(&problems);
	log_init("churns-api", site.svc.conf->settings.log_level,
	    site.svc.conf->settings.log_format);
	if (service_check_dirs(&site.svc, &e) != ERR_OK ||
	    uploads_sweep(site.svc.conf->settings.data_dir, &e) != ERR_OK ||
	    listener_open("api.listen", a.listen != NULL ? a.listen :
	    site.svc.conf->settings.api_listen, &listener, &e) != ERR_OK) {
		fprintf(stderr, "churns-api: %s\n", e.msg);
		site_release(&site);
		return EXIT_CONFIG;
	}
	log_info("ready to serve", "listen=%s workers=%d threads=%d",
	    log_quote(listener.path != NULL ? listener.path : "given socket"),
	    site.svc.conf->settings.api_workers,
	    site.svc.conf->settings.api_threads);
	status = parent_run(&site, &a.conf, &listener);
	listener_close(&listener);
	site_release(&site);
	return status;
}
