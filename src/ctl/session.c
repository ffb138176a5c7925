/*
 * One invocation: the way from what was asked for to what is open, and how it
 * is told when that does not work.
 *
 * Reading commands open the database for reading only, so they neither make
 * nor change one.  Writing ones first make sure that they are not root working
 * on files of another user: what root makes (a lock file, the directory of a
 * run) the programs could not write afterwards, and they would stop.
 */
#include "ctl.h"

#include <pwd.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "xalloc.h"

#define MAX_READERS 1

const char *
ctl_given(const struct ctl *c, const char *name)
{
	int i;

	for (i = c->n_given - 1; i >= 0; i--)
		if (strcmp(c->given[i].name, name) == 0)
			return c->given[i].value != NULL ?
			    c->given[i].value : "";
	return NULL;
}

int
ctl_fail(enum err_code rc, const struct err *e)
{
	fprintf(stderr, CTL_NAME ": %s\n", e->msg[0] != '\0' ? e->msg :
	    err_code_name(rc));
	return rc == ERR_CONFIG ? EXIT_CONFIG : CTL_FAILED;
}

int
ctl_misuse(const struct ctl *c, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, CTL_NAME " %s: ", c->command->name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "; see \"" CTL_NAME " %s --help\"\n",
	    c->command->name);
	return CTL_USAGE;
}

/* --- the configuration ---------------------------------------------------- */

static int
tell_problems(struct problems *problems, enum err_code rc)
{
	if (rc != ERR_OK)
		fprintf(stderr, CTL_NAME ": the configuration has faults:\n"
		    "%s", problems->text.buf);
	problems_release(problems);
	return rc == ERR_OK ? 0 : EXIT_CONFIG;
}

int
ctl_load(struct ctl *c)
{
	struct problems problems;
	enum err_code rc;

	problems_init(&problems);
	rc = conf_load(&c->conf, &problems, &c->service.conf);
	return tell_problems(&problems, rc);
}

int
ctl_load_all(struct ctl *c)
{
	struct problems problems;
	enum err_code rc;

	problems_init(&problems);
	rc = service_load(&c->service, &c->conf, &problems);
	return tell_problems(&problems, rc);
}

/* --- the database --------------------------------------------------------- */

int
ctl_check_user(const struct ctl *c)
{
	const char *dir = c->service.conf->settings.data_dir;
	struct passwd *pw;
	struct stat st;

	if (geteuid() != 0 || stat(dir, &st) != 0 || st.st_uid == 0)
		return 0;
	pw = getpwuid(st.st_uid);
	fprintf(stderr, CTL_NAME ": %s belongs to %s, and files that root "
	    "makes in it would stop the programs; run this as that user\n",
	    dir, pw != NULL ? pw->pw_name : "another user");
	return CTL_FAILED;
}

static bool
database_is_there(const struct ctl *c)
{
	const char *path;
	struct stat st;

	path = c->service.conf->settings.database + strlen("sqlite:");
	if (stat(path, &st) == 0)
		return true;
	fprintf(stderr, CTL_NAME ": there is no database at %s yet; the first "
	    "program that starts makes it\n", path);
	return false;
}

int
ctl_open(struct ctl *c, enum opening how)
{
	struct err e = ERR_INIT;
	enum err_code rc;
	int status = 0;

	if (c->service.conf == NULL)
		status = ctl_load(c);
	if (status == 0 && how != OPEN_READING)
		status = ctl_check_user(c);
	if (status == 0 && how != OPEN_MAKING && !database_is_there(c))
		status = CTL_FAILED;
	if (status != 0)
		return status;
	rc = service_open_store(&c->service, false, how == OPEN_READING,
	    MAX_READERS, &c->store, &e);
	return rc == ERR_OK ? 0 : ctl_fail(rc, &e);
}

int
ctl_get_run(struct ctl *c, struct run *out)
{
	struct err e = ERR_INIT;
	enum err_code rc;

	rc = store_get_run(c->store, NULL, c->operand, out, &e);
	if (rc == ERR_NOT_FOUND)
		err_set(&e, rc, "there is no run %.40s", c->operand);
	return rc == ERR_OK ? 0 : ctl_fail(rc, &e);
}
