/*
 * churns-sim: a model provider that costs nothing.
 *
 * It speaks the wire shapes of OpenAI and Google, so the product is exercised
 * through the same HTTP, the same ledger and the same faults as with a real
 * one; there is no simulation inside the pipeline.  Answers are made from the
 * request's own words and schema, pictures are drawn, and a script says how
 * slow and how broken everything is.
 *
 * It has no authentication and decodes what it is sent, so it listens on
 * loopback unless told otherwise.
 */
#include "sim.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <gd.h>

#include "file.h"
#include "log.h"
#include "xalloc.h"

#define EXIT_TROUBLE 1
#define EXIT_USAGE 64
#define EXIT_CONFIG 78
#define MAX_SCRIPT_BYTES (4u * 1024 * 1024)
#define MAX_PHOTO_BYTES (16u * 1024 * 1024)
#define FILES_WANTED 8192
#define STOP_S 1		/* longest time from SIGTERM to the end */

struct options {
	char host[128];
	int port;		/* -1: no --listen */
	bool allow_remote;
	bool quiet;
	const char *port_file;
	const char *script;
	const char *log;
	const char *photo;
	int orientation;
};

enum option_id {
	OPT_LISTEN = 256,
	OPT_PORT_FILE,
	OPT_SCRIPT,
	OPT_LOG,
	OPT_QUIET,
	OPT_ALLOW_REMOTE,
	OPT_MAKE_PHOTO,
	OPT_ORIENTATION,
	OPT_HELP,
	OPT_VERSION
};

static const struct option long_options[] = {
	{ "listen", required_argument, NULL, OPT_LISTEN },
	{ "port-file", required_argument, NULL, OPT_PORT_FILE },
	{ "script", required_argument, NULL, OPT_SCRIPT },
	{ "log", required_argument, NULL, OPT_LOG },
	{ "quiet", no_argument, NULL, OPT_QUIET },
	{ "allow-remote", no_argument, NULL, OPT_ALLOW_REMOTE },
	{ "make-photo", required_argument, NULL, OPT_MAKE_PHOTO },
	{ "orientation", required_argument, NULL, OPT_ORIENTATION },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 }
};

static const char usage_text[] =
    "usage: churns-sim --listen HOST:PORT [--port-file FILE] [--script FILE]\n"
    "                  [--log FILE] [--quiet] [--allow-remote]\n"
    "       churns-sim --make-photo FILE [--orientation N]\n";

/* --- the command line -------------------------------------------------- */

static bool
number(const char *text, long low, long high, int *out)
{
	char *end = NULL;
	long v = strtol(text, &end, 10);

	if (end == text || *end != '\0' || v < low || v > high)
		return false;
	*out = (int)v;
	return true;
}

/* HOST:PORT, with an IPv6 address in brackets. */
static bool
set_listen(struct options *o, const char *text)
{
	const char *colon = strrchr(text, ':');
	size_t n;

	if (colon == NULL || !number(colon + 1, 0, 65535, &o->port))
		return false;
	n = (size_t)(colon - text);
	if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
		text++;
		n -= 2;
	}
	if (n == 0 || n >= sizeof(o->host))
		return false;
	memcpy(o->host, text, n);
	o->host[n] = '\0';
	return true;
}

static bool
set_option(struct options *o, int id)
{
	switch (id) {
	case OPT_LISTEN:
		return set_listen(o, optarg);
	case OPT_PORT_FILE:
		o->port_file = optarg;
		return true;
	case OPT_SCRIPT:
		o->script = optarg;
		return true;
	case OPT_LOG:
		o->log = optarg;
		return true;
	case OPT_QUIET:
		o->quiet = true;
		return true;
	case OPT_ALLOW_REMOTE:
		o->allow_remote = true;
		return true;
	case OPT_MAKE_PHOTO:
		o->photo = optarg;
		return true;
	case OPT_ORIENTATION:
		return number(optarg, 1, 8, &o->orientation);
	}
	return false;
}

/* --- what it does ------------------------------------------------------ */

/* libgd's complaints about hostile pictures are answers, not news. */
static void
hear_nothing(int priority, const char *fmt, va_list ap)
{
	(void)priority;
	(void)fmt;
	(void)ap;
}

static enum err_code
write_whole(const char *path, const void *data, size_t len, struct err *e)
{
	char *for_dir = xstrdup(path), *for_base = xstrdup(path);
	enum err_code rc;
	int dirfd = -1;

	rc = file_open_dir(AT_FDCWD, dirname(for_dir), &dirfd, e);
	if (rc == ERR_OK)
		rc = file_replace(dirfd, basename(for_base), data, len, 0644,
		    e);
	if (dirfd >= 0)
		close(dirfd);
	free(for_base);
	free(for_dir);
	return rc;
}

static enum err_code
make_photo(const struct options *o, struct err *e)
{
	struct strbuf jpeg = STRBUF_INIT(MAX_PHOTO_BYTES);
	enum err_code rc;

	rc = photo_draw(o->orientation, &jpeg, e);
	if (rc == ERR_OK)
		rc = write_whole(o->photo, jpeg.buf, jpeg.len, e);
	strbuf_release(&jpeg);
	return rc;
}

static enum err_code
load_script(struct script *s, const char *path, struct err *e)
{
	struct strbuf text = STRBUF_INIT(MAX_SCRIPT_BYTES);
	enum err_code rc;

	rc = file_read(path, MAX_SCRIPT_BYTES, &text, e);
	if (rc == ERR_OK)
		rc = script_load(s, text.buf, text.len, e);
	strbuf_release(&text);
	if (rc != ERR_OK)
		err_wrap(e, "script %s", path);
	return rc;
}

static void
want_files(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur >= FILES_WANTED)
		return;
	r.rlim_cur = r.rlim_max < FILES_WANTED ? r.rlim_max : FILES_WANTED;
	setrlimit(RLIMIT_NOFILE, &r);
}

/* Tell where we are: the port file first, since the line says it is there. */
static enum err_code
announce(const struct options *o, int port, struct err *e)
{
	bool v6 = strchr(o->host, ':') != NULL;
	char text[16];
	enum err_code rc = ERR_OK;

	if (o->port_file != NULL) {
		snprintf(text, sizeof(text), "%d\n", port);
		rc = write_whole(o->port_file, text, strlen(text), e);
	}
	if (rc == ERR_OK) {
		printf("listening on http://%s%s%s:%d\n", v6 ? "[" : "",
		    o->host, v6 ? "]" : "", port);
		fflush(stdout);
	}
	return rc;
}

/* Whatever hangs, SIGTERM is obeyed in time: there is nothing to lose. */
static void
give_up(int sig)
{
	(void)sig;
	_exit(EXIT_SUCCESS);
}

static void
wait_for_the_end(const sigset_t *ends)
{
	int sig;

	while (sigwait(ends, &sig) != 0)
		continue;
	signal(SIGALRM, give_up);
	alarm(STOP_S);
}

static enum err_code
serve(const struct options *o, struct err *e)
{
	struct server_options so = { .host = o->host, .port = o->port,
	    .allow_remote = o->allow_remote, .log_calls = !o->quiet };
	struct server *server = NULL;
	enum err_code rc = ERR_OK;
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	signal(SIGPIPE, SIG_IGN);
	want_files();
	gdSetErrorMethod(hear_nothing);
	so.script = script_new();
	so.counters = counters_new();
	if (o->script != NULL)
		rc = load_script(so.script, o->script, e);
	if (rc == ERR_OK && o->log != NULL)
		rc = call_log_open(o->log, &so.log, e);
	if (rc == ERR_OK)
		rc = server_start(&so, &server, e);
	if (rc == ERR_OK)
		rc = announce(o, server_port(server), e);
	if (rc == ERR_OK)
		wait_for_the_end(&ends);
	server_stop(server);
	call_log_close(so.log);
	counters_free(so.counters);
	script_free(so.script);
	gdFontCacheShutdown();
	return rc;
}

int
main(int argc, char **argv)
{
	struct options o = { .port = -1 };
	struct err e = ERR_INIT;
	enum err_code rc;
	int c;

	log_init("churns-sim", LOG_INFO, LOG_TEXT);
	for (;;) {
		c = getopt_long(argc, argv, "", long_options, NULL);
		if (c == -1)
			break;
		if (c == OPT_VERSION || c == OPT_HELP) {
			fputs(c == OPT_HELP ? usage_text :
			    "churns-sim " CHURNS_VERSION "\n", stdout);
			return EXIT_SUCCESS;
		}
		if (!set_option(&o, c)) {
			fputs(usage_text, stderr);
			return EXIT_USAGE;
		}
	}
	if (optind != argc || (o.photo == NULL) == (o.port < 0)) {
		fputs(usage_text, stderr);
		return EXIT_USAGE;
	}
	rc = o.photo != NULL ? make_photo(&o, &e) : serve(&o, &e);
	if (rc == ERR_OK)
		return EXIT_SUCCESS;
	fprintf(stderr, "churns-sim: %s\n", e.msg);
	return rc == ERR_INVALID && o.script != NULL ? EXIT_CONFIG :
	    EXIT_TROUBLE;
}
