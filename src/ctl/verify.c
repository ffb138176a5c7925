/*
 * verify: do the rows and the files agree, and each with themselves?
 *
 *   the database    every page, every reference
 *   the rows        what they must say together, numbers and sums (store.h)
 *   rows > files    every file that a row names is there
 *   files > rows    what lies in runs/ and uploads/ and belongs to nobody
 *
 * It may run beside the programs: each rule sees one state of the database, a
 * file that is missing is told only if its run is still there afterwards, and a
 * file without a row only when it is older than --grace, since files come before
 * their rows.
 *
 * With --repair it does what cannot take anything from anybody: it makes numbers
 * and sums again that are kept beside the rows, and removes what belongs to
 * nobody.  Everything else is for a person, and is told with what to do.
 */
#include "report.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "results.h"
#include "upkeep.h"
#include "xalloc.h"
#include "yaml.h"

#define DEFAULT_GRACE_S 3600
#define MAX_GRACE_S (365 * 24 * 3600)
#define PAGE 100
#define MAX_LINES_BYTES (64 * 1024)
#define MAX_SHOWN 20		/* lines beneath one check */
#define UPLOADS "uploads"
#define UPLOAD_PREFIX "up-"
#define DELETED_PREFIX ".deleted-"

const struct ctl_option verify_options[] = {
	{ "repair", NULL, "count again, and remove what belongs to nobody" },
	{ "grace", "SECONDS", "younger files may still get their row "
	  "(default 3600)" },
	{ NULL, NULL, NULL }
};

/* Lines beneath a check that is still to be added. */
struct lines {
	struct strbuf text;
	int n;
};

struct verify {
	struct ctl *c;
	struct report r;
	bool repair;
	int64_t grace_s;
	int64_t now_ms;
	int runs_dirfd;		/* -1: there is none */
	/* rows */
	int n_broken;		/* rules */
	/* rows > files */
	struct run_presence run;	/* looked at */
	int run_dirfd;		/* its directory; -1: there is none */
	int n_runs, n_files;
	struct lines missing, unpaid;
	/* files > rows */
	struct lines orphans, left, strange, uploads;
	int n_removed;
};

static void
lines_add(struct lines *l, const char *fmt, ...)
{
	va_list ap;

	l->n++;
	if (l->n > MAX_SHOWN)
		return;
	va_start(ap, fmt);
	strbuf_vaddf(&l->text, fmt, ap);
	va_end(ap);
	strbuf_addch(&l->text, '\n');
}

/* The check with its lines, what to do about it as the last of them. */
static void
tell(struct verify *v, struct lines *l, enum level level, const char *what,
    const char *how, const char *todo)
{
	if (l->n > 0) {
		report_add(&v->r, level, what, "%d %s", l->n, how);
		if (l->n > MAX_SHOWN)
			strbuf_addf(&l->text, "... and %d more\n",
			    l->n - MAX_SHOWN);
		strbuf_addstr(&l->text, todo);
		report_faults(&v->r, l->text.buf);
	}
	strbuf_release(&l->text);
}

/* --- the database --------------------------------------------------------- */

static void
damage_found(void *arg, const char *what)
{
	lines_add(arg, "%s", what);
}

static void
check_file(struct verify *v)
{
	struct lines l = { STRBUF_INIT(MAX_LINES_BYTES), 0 };
	struct err e = ERR_INIT;

	if (store_verify_file(v->c->store, damage_found, &l, &e) != ERR_OK)
		lines_add(&l, "%s", e.msg);
	if (l.n == 0)
		report_add(&v->r, LEVEL_OK, "database",
		    "every page and every reference is whole");
	tell(v, &l, LEVEL_FAIL, "database", "damaged places",
	    "Stop all programs, keep a copy of the file, and restore the last "
	    "backup (churnsctl restore).");
}

/* --- the rows ------------------------------------------------------------- */

static void
rule_broken(void *arg, const struct verify_finding *f)
{
	struct lines l = { STRBUF_INIT(MAX_LINES_BYTES), 0 };
	struct verify *v = arg;
	int i;

	v->n_broken++;
	report_add(&v->r, LEVEL_FAIL, f->name, "%s (%" PRId64 ")", f->what,
	    f->count);
	for (i = 0; i < f->n_ids; i++)
		strbuf_addf(&l.text, "%s\n", f->ids[i]);
	strbuf_addstr(&l.text, f->todo);
	report_faults(&v->r, l.text.buf);
	strbuf_release(&l.text);
}

static void
rule_broken_before(void *arg, const struct verify_finding *f)
{
	(void)f;
	(*(int *)arg)++;
}

static void
check_rows(struct verify *v)
{
	struct err e = ERR_INIT;
	int before = 0, n = 0;
	enum err_code rc = ERR_OK;

	if (v->repair)
		rc = store_verify(v->c->store, rule_broken_before, &before, &n,
		    &e);
	if (rc == ERR_OK && before > 0)
		rc = store_repair(v->c->store, &e);
	if (rc == ERR_OK)
		rc = store_verify(v->c->store, rule_broken, v, &n, &e);
	if (rc != ERR_OK)
		report_add(&v->r, LEVEL_FAIL, "rows",
		    "they cannot be looked at: %s", e.msg);
	else if (v->n_broken == 0)
		report_add(&v->r, LEVEL_OK, "rows", "all %d rules hold%s", n,
		    before > 0 ? ", now that numbers and sums are counted "
		    "again" : "");
}

/* --- rows > files --------------------------------------------------------- */

/* Neither a link nor anything outside the directory will do. */
static bool
is_there(const struct verify *v, const char *path)
{
	int fd = -1;

	if (v->run_dirfd < 0 || file_open_beneath(v->run_dirfd, path, O_RDONLY,
	    0, &fd, NULL) != ERR_OK)
		return false;
	close(fd);
	return true;
}

/* It may have been deleted while we looked. */
static bool
still_wanted(const struct verify *v)
{
	struct run_presence now;

	return store_verify_run(v->c->store, v->run.id, &now, NULL) == ERR_OK &&
	    !now.deleted;
}

static void
need(struct verify *v, struct lines *l, const char *what, const char *path)
{
	if (path == NULL)
		return;
	v->n_files++;
	if (!is_there(v, path) && still_wanted(v))
		lines_add(l, "run %s (%s): %s %s", v->run.id,
		    state_name(v->run.status), what, path);
}

/* A list of kept answers is asked for as long as its job is open. */
static void
need_answers(struct verify *v, const char *text)
{
	struct json_object *list = NULL;
	struct run_presence now;
	size_t i;

	if (json_parse(text, strlen(text), &list, NULL) != ERR_OK)
		return;
	for (i = 0; i < json_len(list); i++) {
		const char *path = json_object_get_string(
		    json_object_array_get_idx(list, i));

		v->n_files++;
		if (path == NULL || is_there(v, path))
			continue;
		if (store_verify_run(v->c->store, v->run.id, &now, NULL) ==
		    ERR_OK && now.open)
			lines_add(&v->unpaid, "run %s: %s", v->run.id, path);
	}
	json_object_put(list);
}

static void
need_named(struct verify *v)
{
	struct named_file_list files = { NULL, 0 };
	int i;

	if (store_verify_files(v->c->store, v->run.id, &files, NULL) != ERR_OK)
		return;
	for (i = 0; i < files.n; i++) {
		if (files.rows[i].is_list)
			need_answers(v, files.rows[i].path);
		else
			need(v, &v->missing, files.rows[i].what,
			    files.rows[i].path);
	}
	named_file_list_release(&files);
}

/* What was sent with the request. */
static void
need_inputs(struct verify *v)
{
	struct json_object *in = NULL;
	struct run run;

	memset(&run, 0, sizeof(run));
	if (store_get_run(v->c->store, NULL, v->run.id, &run, NULL) == ERR_OK &&
	    run.inputs != NULL &&
	    json_parse(run.inputs, strlen(run.inputs), &in, NULL) == ERR_OK) {
		need(v, &v->missing, "uploaded picture", json_get_str(
		    json_get_obj(in, "image_reference"),
		    "saved_image_path_in_run_dir"));
		need(v, &v->missing, "uploaded logo", json_get_str(
		    json_get_obj(in, "brand_kit"),
		    "saved_logo_path_in_run_dir"));
	}
	json_object_put(in);
	run_release(&run);
}

/* Pictures that are results of a step. */
static void
need_pictures(struct verify *v)
{
	struct lane_output_list outputs = { NULL, 0 };
	struct json_object *o;
	struct job job;
	int i;

	memset(&job, 0, sizeof(job));
	if (store_get_run_job(v->c->store, v->run.id, &job, NULL) != ERR_OK)
		return;
	if (store_list_outputs(v->c->store, job.id, &outputs, NULL) == ERR_OK) {
		for (i = 0; i < outputs.n; i++) {
			o = NULL;
			if (outputs.rows[i].output != NULL &&
			    json_parse(outputs.rows[i].output,
			    strlen(outputs.rows[i].output), &o, NULL) ==
			    ERR_OK)
				need(v, &v->missing, "picture",
				    json_get_str(o, "result_path"));
			json_object_put(o);
		}
		lane_output_list_release(&outputs);
	}
	job_release(&job);
}

static void
check_run(struct verify *v, const struct run_presence *run)
{
	v->run = *run;
	v->run_dirfd = -1;
	v->n_runs++;
	if (v->runs_dirfd >= 0 && id_is_valid(run->id))
		file_open_dir(v->runs_dirfd, run->id, &v->run_dirfd, NULL);
	need_inputs(v);
	need_pictures(v);
	need_named(v);
	if (run->has_results)
		need(v, &v->missing, "results", METADATA_FILE);
	if (v->run_dirfd >= 0)
		close(v->run_dirfd);
	v->run_dirfd = -1;
}

static enum err_code
check_all_runs(struct verify *v, struct err *e)
{
	struct run_presence_list l = { NULL, 0 };
	char after[ID_MAX] = "";
	enum err_code rc;
	int i, n;

	do {
		rc = store_verify_runs(v->c->store, after, PAGE, &l, e);
		if (rc != ERR_OK)
			return rc;
		n = l.n;
		for (i = 0; i < n; i++)
			if (!l.rows[i].deleted)
				check_run(v, &l.rows[i]);
		if (n > 0)
			memcpy(after, l.rows[n - 1].id, ID_MAX);
		run_presence_list_release(&l);
	} while (n == PAGE);
	return ERR_OK;
}

static void
check_runs(struct verify *v)
{
	struct err e = ERR_INIT;
	bool all = true;

	if (check_all_runs(v, &e) != ERR_OK) {
		report_add(&v->r, LEVEL_FAIL, "files of runs",
		    "they cannot be looked for: %s", e.msg);
		all = false;
	}
	if (all && v->missing.n == 0)
		report_add(&v->r, LEVEL_OK, "files of runs",
		    "all %d files of %d runs are there", v->n_files,
		    v->n_runs);
	tell(v, &v->missing, LEVEL_FAIL, "files of runs", "missing",
	    "Bring them back from a backup, or delete the run (churnsctl "
	    "delete); a run that is open fails by itself.");
	tell(v, &v->unpaid, LEVEL_WARN, "paid answers", "missing",
	    "Nothing is to be done: when the job goes on, these calls are made "
	    "again, and paid again.");
}

/* --- files > rows --------------------------------------------------------- */

static bool
is_old(const struct verify *v, int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    (int64_t)st.st_mtime <= v->now_ms / 1000 - v->grace_s;
}

/* Remove what belongs to nobody, if that was asked for. */
static void
remove_old(struct verify *v, struct lines *l, int dirfd, const char *where,
    const char *name)
{
	struct err e = ERR_INIT;

	if (!is_old(v, dirfd, name))
		return;
	if (!v->repair)
		lines_add(l, "%s/%s", where, name);
	else if (file_remove_tree(dirfd, name, &e) == ERR_OK)
		v->n_removed++;
	else
		lines_add(l, "%s/%s: %s", where, name, e.msg);
}

/* A directory of a run that has ended: is anything in it half done? */
static void
check_leavings(struct verify *v, const char *run_id)
{
	static const char *const parts[] = { "calls", "work" };
	char path[ID_MAX + 16];
	size_t i;

	for (i = 0; i < ARRAY_LEN(parts); i++) {
		snprintf(path, sizeof(path), "%.*s/%s", ID_LEN, run_id,
		    parts[i]);
		if (is_old(v, v->runs_dirfd, path))
			lines_add(&v->left, "runs/%s", path);
	}
}

/* The row is asked for after the directory was seen: a run that is stored now
 * had its directory before. */
static void
check_directory(struct verify *v, const char *name)
{
	const char *id = name;
	struct run_presence run;
	enum err_code rc;
	bool trash;

	trash = strncmp(name, DELETED_PREFIX, strlen(DELETED_PREFIX)) == 0;
	if (trash)
		id += strlen(DELETED_PREFIX);
	if (!id_is_valid(id)) {
		lines_add(&v->strange, "runs/%s", name);
		return;
	}
	rc = store_verify_run(v->c->store, id, &run, NULL);
	if (rc == ERR_NOT_FOUND || (rc == ERR_OK && trash && run.deleted))
		remove_old(v, &v->orphans, v->runs_dirfd, "runs", name);
	else if (rc == ERR_OK && trash)
		lines_add(&v->strange, "runs/%s", name);
	else if (rc == ERR_OK && run.deleted && run.files_removed)
		remove_old(v, &v->orphans, v->runs_dirfd, "runs", name);
	else if (rc == ERR_OK && run.deleted)
		lines_add(&v->left, "runs/%s, which is deleted", name);
	else if (rc == ERR_OK && !run.open)
		check_leavings(v, id);
}

static void
check_directories(struct verify *v)
{
	struct dirent *d;
	DIR *list = NULL;
	int fd;

	fd = v->runs_dirfd < 0 ? -1 : openat(v->runs_dirfd, ".",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		list = fdopendir(fd);
	if (list == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	for (d = readdir(list); d != NULL; d = readdir(list))
		if (strcmp(d->d_name, ".") != 0 &&
		    strcmp(d->d_name, "..") != 0)
			check_directory(v, d->d_name);
	closedir(list);
}

static void
check_uploads(struct verify *v)
{
	char *path = xasprintf("%s/" UPLOADS,
	    v->c->service.conf->settings.data_dir);
	DIR *list = opendir(path);
	struct dirent *d;

	for (d = list != NULL ? readdir(list) : NULL; d != NULL;
	    d = readdir(list)) {
		if (strncmp(d->d_name, UPLOAD_PREFIX,
		    strlen(UPLOAD_PREFIX)) == 0)
			remove_old(v, &v->uploads, dirfd(list), UPLOADS,
			    d->d_name);
		else if (d->d_name[0] != '.')
			lines_add(&v->strange, UPLOADS "/%s", d->d_name);
	}
	if (list != NULL)
		closedir(list);
	free(path);
}

static void
check_files(struct verify *v)
{
	bool nothing;

	check_directories(v);
	check_uploads(v);
	nothing = v->orphans.n + v->left.n + v->strange.n + v->uploads.n == 0;
	if (v->n_removed > 0)
		report_add(&v->r, LEVEL_OK, "files without rows",
		    "%d removed", v->n_removed);
	else if (nothing)
		report_add(&v->r, LEVEL_OK, "files without rows",
		    "there are none");
	tell(v, &v->orphans, LEVEL_WARN, "files without rows",
	    "belonging to no run",
	    "They are of requests that were cut off before they were stored; "
	    "--repair removes them.");
	tell(v, &v->uploads, LEVEL_WARN, "unfinished uploads", "left",
	    "They are of requests that were cut off; --repair removes them, as "
	    "does churns-api when it starts.");
	tell(v, &v->left, LEVEL_WARN, "leftovers", "of ended runs",
	    "A runner removes them when it starts, and every hour.");
	tell(v, &v->strange, LEVEL_WARN, "strange files", "not ours",
	    "Look what they are, and move them elsewhere.");
}

/* --- the whole ------------------------------------------------------------ */

static void
lines_init(struct lines *l)
{
	strbuf_init(&l->text, MAX_LINES_BYTES);
	l->n = 0;
}

/* 0, or the exit status. */
static int
read_wishes(struct verify *v)
{
	const char *grace = ctl_given(v->c, "grace");

	v->repair = ctl_given(v->c, "repair") != NULL;
	v->grace_s = DEFAULT_GRACE_S;
	if (grace != NULL && (!parse_int(grace, &v->grace_s) ||
	    v->grace_s < 0 || v->grace_s > MAX_GRACE_S))
		return ctl_misuse(v->c, "--grace must be from 0 to %d seconds",
		    MAX_GRACE_S);
	return 0;
}

int
cmd_verify(struct ctl *c)
{
	struct verify v = { .c = c, .runs_dirfd = -1, .run_dirfd = -1 };
	char *runs;
	int status;

	status = read_wishes(&v);
	if (status == 0)
		status = ctl_open(c, v.repair ? OPEN_WRITING : OPEN_READING);
	if (status != 0)
		return status;
	lines_init(&v.missing);
	lines_init(&v.unpaid);
	lines_init(&v.orphans);
	lines_init(&v.left);
	lines_init(&v.strange);
	lines_init(&v.uploads);
	v.now_ms = clock_now_ms();
	runs = xasprintf("%s/runs", c->service.conf->settings.data_dir);
	file_open_dir(AT_FDCWD, runs, &v.runs_dirfd, NULL);
	report_init(&v.r);
	check_file(&v);
	check_rows(&v);
	check_runs(&v);
	check_files(&v);
	report_print(c, &v.r, "Rows and files agree");
	status = v.r.count[LEVEL_FAIL] > 0 ? CTL_FAILED : 0;
	report_release(&v.r);
	if (v.runs_dirfd >= 0)
		close(v.runs_dirfd);
	free(runs);
	return status;
}
