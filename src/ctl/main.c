/*
 * churnsctl: the command line for people and cron.
 *
 *   churnsctl COMMAND [OPTIONS] [ID]
 *
 * It works on the configuration and the database directly, so it needs neither
 * a web server nor a runner; what it submits or cancels is a row like any
 * other, and a wake-up tells the runner.  It never calls a model.
 *
 * Exit status: 0 done, 1 it did not work, 64 wrong usage, 78 the configuration
 * has faults.  Results go to standard output, everything else to standard
 * error.
 */
#include "ctl.h"

#include <getopt.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "log.h"
#include "xalloc.h"

#define N_COMMON 4
#define MAX_SYNOPSIS 64		/* bytes of "--option VALUE" in --help */
#define DOC_COLUMN 22

/*
 * To add a command "export":
 *
 *   1. write src/ctl/export.c with cmd_export(); config.c is the smallest to
 *      start from, and its essay says what it may rely on;
 *   2. declare cmd_export() in ctl.h and give it a row below; options of its
 *      own are a table beside the function (list_options in queue.c);
 *   3. name the file in Makefile.am (churnsctl_SOURCES);
 *   4. describe it in churnsctl.1 and add a test to tests/program/test_ctl.py.
 *
 * Parsing, --help, --json and the common options come with the row.
 */
static const struct command commands[] = {
	{ "doctor", NULL, "find everything that could stop a program",
	  NULL, true, true, cmd_doctor },
	{ "config", NULL, "print the configuration as it was understood",
	  NULL, false, true, cmd_config },
	{ "migrate", NULL, "make or upgrade the database",
	  NULL, true, false, cmd_migrate },
	{ "submit", NULL, "submit a run and print its id",
	  submit_options, true, false, cmd_submit },
	{ "list", NULL, "list runs, newest first",
	  list_options, true, false, cmd_list },
	{ "show", "ID", "tell what became of a run",
	  NULL, true, false, cmd_show },
	{ "watch", "ID", "follow a run until it has ended",
	  NULL, true, false, cmd_watch },
	{ "cancel", "ID", "cancel a run, whoever works on it",
	  NULL, true, false, cmd_cancel },
	{ "delete", "ID...", "delete runs that have ended, with their files",
	  NULL, true, false, cmd_delete },
	{ "calls", "ID", "list the model calls of a run and what they cost",
	  NULL, true, false, cmd_calls },
	{ "prompt", "STAGE", "show what a stage of a run would send to models",
	  prompt_options, true, false, cmd_prompt },
	{ "queue", NULL, "show how many runs wait and are executed",
	  NULL, true, false, cmd_queue },
	{ "verify", NULL, "do rows and files agree; say what to do if not",
	  verify_options, true, false, cmd_verify },
	{ "backup", "DIR", "copy database and files, beside the programs",
	  NULL, true, false, cmd_backup },
	{ "restore", "DIR", "bring a backup back, where there is nothing",
	  NULL, true, false, cmd_restore },
};

static const struct ctl_option common_options[N_COMMON] = {
	{ "conf", "DIR", "configuration (default $CHURNS_CONF_DIR, else "
	  CHURNS_CONFDIR ")" },
	{ "env", "FILE", "variables that are not in the environment" },
	{ "json", NULL, "print JSON" },
	{ "help", NULL, "print this" },
};

/* --- help ----------------------------------------------------------------- */

static void
print_option(FILE *to, const struct ctl_option *o)
{
	char text[MAX_SYNOPSIS];

	snprintf(text, sizeof(text), "--%s%s%s", o->name,
	    o->value != NULL ? " " : "", o->value != NULL ? o->value : "");
	fprintf(to, "  %-*s %s\n", DOC_COLUMN, text, o->doc);
}

static void
help_command(FILE *to, const struct command *cmd)
{
	const struct ctl_option *o;
	int i;

	fprintf(to, "usage: " CTL_NAME " %s [OPTIONS]%s%s\n\n%s: %s\n\n",
	    cmd->name, cmd->operand != NULL ? " " : "",
	    cmd->operand != NULL ? cmd->operand : "", cmd->name,
	    cmd->summary);
	for (o = cmd->options; o != NULL && o->name != NULL; o++)
		print_option(to, o);
	for (i = 0; i < N_COMMON; i++)
		if (cmd->json || strcmp(common_options[i].name, "json") != 0)
			print_option(to, &common_options[i]);
}

static void
help(FILE *to)
{
	size_t i;

	fputs("usage: " CTL_NAME " COMMAND [OPTIONS]\n"
	    "       " CTL_NAME " help [COMMAND] | --version\n\n", to);
	for (i = 0; i < ARRAY_LEN(commands); i++)
		fprintf(to, "  %-8s %-5s %s\n", commands[i].name,
		    commands[i].operand != NULL ? commands[i].operand : "",
		    commands[i].summary);
	fputs("\nEvery command takes --conf DIR, --env FILE and --help.\n",
	    to);
}

/* --- reading the command line --------------------------------------------- */

static const struct command *
find_command(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* All options of the command as getopt_long() wants them. */
static int
collect_options(const struct command *cmd,
    struct option out[MAX_OPTIONS + 1])
{
	const struct ctl_option *o;
	int i, n = 0;

	memset(out, 0, sizeof(*out) * (MAX_OPTIONS + 1));
	for (i = 0; i < N_COMMON; i++) {
		o = &common_options[i];
		if (!cmd->json && strcmp(o->name, "json") == 0)
			continue;
		out[n].name = o->name;
		out[n++].has_arg = o->value != NULL;
	}
	for (o = cmd->options; o != NULL && o->name != NULL &&
	    n < MAX_OPTIONS; o++) {
		out[n].name = o->name;
		out[n++].has_arg = o->value != NULL;
	}
	return n;
}

/* One option that was recognised; false: there are too many. */
static bool
take_option(struct ctl *c, const char *name, const char *value)
{
	if (c->n_given == MAX_GIVEN)
		return false;
	if (strcmp(name, "conf") == 0)
		c->conf.dir = value;
	else if (strcmp(name, "env") == 0)
		c->conf.env_file = value;
	else if (strcmp(name, "json") == 0)
		c->json = true;
	c->given[c->n_given].name = name;
	c->given[c->n_given++].value = value;
	return true;
}

/* -1: go on; otherwise the exit status. */
static int
read_options(struct ctl *c, int argc, char **argv)
{
	struct option options[MAX_OPTIONS + 1];
	int which = 0, got;

	collect_options(c->command, options);
	optind = 0;		/* the GNU way to begin anew */
	opterr = 0;
	for (;;) {
		got = getopt_long(argc, argv, ":", options, &which);
		if (got == -1)
			break;
		if (got == ':')
			return ctl_misuse(c, "%s needs a value",
			    argv[optind - 1]);
		if (got != 0)
			return ctl_misuse(c, "there is no option %s",
			    argv[optind - 1]);
		if (!take_option(c, options[which].name, optarg))
			return ctl_misuse(c, "more than %d options",
			    MAX_GIVEN);
	}
	if (ctl_given(c, "help") != NULL) {
		help_command(stdout, c->command);
		return 0;
	}
	if (c->command->operand != NULL && optind < argc) {
		c->operands = argv + optind;
		c->n_operands = strstr(c->command->operand, "...") != NULL ?
		    argc - optind : 1;
		c->operand = c->operands[0];
		optind += c->n_operands;
	}
	if (optind < argc)
		return ctl_misuse(c, "\"%s\" is not expected here",
		    argv[optind]);
	if (c->command->operand != NULL && c->operand == NULL)
		return ctl_misuse(c, "the %.*s of a run is missing",
		    (int)strcspn(c->command->operand, "."),
		    c->command->operand);
	return -1;
}

/* help, --help, --version and everything that is no command. */
static int
without_command(int argc, char **argv)
{
	const struct command *cmd;
	const char *word = argc > 1 ? argv[1] : NULL;

	if (word == NULL) {
		help(stderr);
		return CTL_USAGE;
	}
	if (strcmp(word, "--version") == 0) {
		puts(CTL_NAME " " CHURNS_VERSION);
		return 0;
	}
	if (strcmp(word, "help") != 0 && strcmp(word, "--help") != 0) {
		fprintf(stderr, CTL_NAME ": there is no command \"%s\"; see \""
		    CTL_NAME " help\"\n", word);
		return CTL_USAGE;
	}
	cmd = argc > 2 ? find_command(argv[2]) : NULL;
	if (argc > 2 && cmd == NULL) {
		fprintf(stderr, CTL_NAME ": there is no command \"%s\"\n",
		    argv[2]);
		return CTL_USAGE;
	}
	if (cmd != NULL)
		help_command(stdout, cmd);
	else
		help(stdout);
	return 0;
}

/* --- running -------------------------------------------------------------- */

/* Keys may come into our memory: it goes neither into a file nor to anybody
 * who attaches. */
static void
guard_memory(void)
{
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
#if !defined(__SANITIZE_ADDRESS__)	/* its leak check attaches to us */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

int
main(int argc, char **argv)
{
	struct ctl c;
	int status;

	memset(&c, 0, sizeof(c));
	umask(0027);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	log_init(CTL_NAME, LOG_WARN, LOG_TEXT);
	c.command = argc > 1 ? find_command(argv[1]) : NULL;
	if (c.command == NULL)
		return without_command(argc, argv);
	status = read_options(&c, argc - 1, argv + 1);
	if (status < 0) {
		c.conf.secrets = c.command->secrets;
		if (c.conf.secrets)
			guard_memory();
		status = c.command->run(&c);
	}
	if (c.store != NULL)
		store_close(c.store);
	service_release(&c.service);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fputs(CTL_NAME ": the output cannot be written\n", stderr);
		status = status != 0 ? status : CTL_FAILED;
	}
	return status;
}
