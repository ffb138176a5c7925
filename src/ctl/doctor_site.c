/*
 * The machine's half of doctor: directories, sockets, the picture helper, the
 * database and who is alive.
 *
 * Leaving the database as it was takes some care.  Opening one in WAL mode
 * makes its log and its index beside it, and only a connection that may write
 * removes them again when it is the last.  So a database that nobody has open
 * is opened for reading to be looked at, and then, when that went well and the
 * two files are new, opened and closed once the way the programs do it.  The
 * engine's own locks decide whether they go, so a program that came in
 * meanwhile keeps them.
 */
#include "doctor.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <unistd.h>

#include "xalloc.h"

#define MIB ((int64_t)1024 * 1024)
#define LITTLE_SPACE (1024 * MIB)	/* a few hundred runs with pictures */
#define NO_SPACE (16 * MIB)
#define LONGEST_SOCKET "wake/runner.4194304"	/* the kernel's largest pid */
#define ONE_PAGE 4096		/* a database as small as this has no table */
#define SHOWN_AGE_MS (24 * 3600 * 1000LL)	/* older rows are forgotten ones */

/* --- directories ---------------------------------------------------------- */

/* The deepest directory of path that exists; the caller's. */
static char *
existing_part(const char *path)
{
	char *part = xstrdup(path), *slash;
	struct stat st;

	while (stat(part, &st) != 0) {
		slash = strrchr(part, '/');
		if (slash == NULL || slash == part) {
			free(part);
			return xstrdup("/");
		}
		*slash = '\0';
	}
	return part;
}

/* Is path there, or can it be made? False after a FAIL. */
static bool
check_dir(struct report *r, const char *what, const char *path)
{
	char *part = existing_part(path);
	bool there = strcmp(part, path) == 0;
	struct stat st;
	bool good = false;

	if (stat(part, &st) == 0 && !S_ISDIR(st.st_mode))
		report_add(r, LEVEL_FAIL, what, "%s is not a directory", part);
	else if (there && access(part, R_OK | W_OK | X_OK) != 0)
		report_add(r, LEVEL_FAIL, what, "%s cannot be used: %s", part,
		    strerror(errno));
	else if (!there && access(part, W_OK | X_OK) != 0)
		report_add(r, LEVEL_FAIL, what, "%s is not there and cannot be "
		    "made in %s: %s", path, part, strerror(errno));
	else
		good = true;
	free(part);
	return good;
}

static void
check_space(struct report *r, const char *what, const char *path)
{
	char *part = existing_part(path);
	bool there = strcmp(part, path) == 0;
	struct statvfs fs;
	int64_t left;

	if (statvfs(part, &fs) != 0) {
		report_add(r, LEVEL_WARN, what, "%s does not say how much "
		    "space is left: %s", part, strerror(errno));
		free(part);
		return;
	}
	left = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
	if (left < NO_SPACE)
		report_add(r, LEVEL_FAIL, what, "%s is full: %" PRId64
		    " MiB are left", part, left / MIB);
	else if (left < LITTLE_SPACE)
		report_add(r, LEVEL_WARN, what, "%s has only %" PRId64
		    " MiB left", part, left / MIB);
	else
		report_add(r, LEVEL_OK, what, "%s%s, %" PRId64 " GiB free",
		    path, there ? "" : " will be made", left / MIB / 1024);
	free(part);
}

static void
check_data_dir(struct report *r, const struct settings *s)
{
	static const char *const inside[] = { "runs", "uploads" };
	char *path;
	bool good;
	size_t i;

	good = check_dir(r, "data_dir", s->data_dir);
	for (i = 0; good && i < ARRAY_LEN(inside); i++) {
		path = xasprintf("%s/%s", s->data_dir, inside[i]);
		good = check_dir(r, "data_dir", path);
		free(path);
	}
	if (good)
		check_space(r, "data_dir", s->data_dir);
}

/* Sockets have short names; api.listen was checked with the configuration. */
static void
check_run_dir(struct report *r, const struct settings *s)
{
	struct sockaddr_un sa;
	size_t longest;

	longest = strlen(s->run_dir) + 1 + strlen(LONGEST_SOCKET);
	if (longest >= sizeof(sa.sun_path)) {
		report_add(r, LEVEL_FAIL, "run_dir", "%s makes socket paths of "
		    "%zu bytes, and the system takes %zu: choose a shorter "
		    "one", s->run_dir, longest, sizeof(sa.sun_path) - 1);
		r->misconfigured = true;
	} else if (check_dir(r, "run_dir", s->run_dir)) {
		report_add(r, LEVEL_OK, "run_dir", "%s%s", s->run_dir,
		    access(s->run_dir, F_OK) == 0 ? "" : " will be made");
	}
}

/* Root may write anywhere, so what was found above says nothing. */
static void
check_user(struct report *r, const struct settings *s)
{
	struct passwd *pw;
	struct stat st;

	if (geteuid() != 0 || stat(s->data_dir, &st) != 0 || st.st_uid == 0)
		return;
	pw = getpwuid(st.st_uid);
	report_add(r, LEVEL_WARN, "user", "root can write everything; to know "
	    "that the programs can, run this as %s", pw != NULL ? pw->pw_name :
	    "the owner of data_dir");
}

static void
check_helper(struct report *r, const struct settings *s)
{
	const char *path = s->image_helper;
	struct stat st;

	if (stat(path, &st) != 0)
		report_add(r, LEVEL_FAIL, "image_helper", "%s: %s", path,
		    strerror(errno));
	else if (!S_ISREG(st.st_mode) || access(path, X_OK) != 0)
		report_add(r, LEVEL_FAIL, "image_helper", "%s cannot be "
		    "executed", path);
	else
		report_add(r, LEVEL_OK, "image_helper", "%s", path);
}

/* --- the database --------------------------------------------------------- */

/* Files beside the database before it is looked at. */
struct beside {
	bool log, index, turn;
};

static bool
is_beside(const char *db, const char *suffix)
{
	char *path = xasprintf("%s%s", db, suffix);
	bool there = access(path, F_OK) == 0;

	free(path);
	return there;
}

static struct beside
look_beside(const char *db)
{
	struct beside b = { is_beside(db, "-wal"), is_beside(db, "-shm"),
		is_beside(db, ".turn") };

	return b;
}

/*
 * See the essay. Opening for writing would give a lone copy its lock file, and
 * its tables to a database that has none; there the two files stay.
 */
static void
leave_as_it_was(const struct service *s, const char *db, off_t size,
    const struct beside *before)
{
	struct beside now = look_beside(db);
	struct store *st = NULL;

	if (before->log || before->index || (!now.log && !now.index))
		return;
	if (!before->turn || size <= ONE_PAGE)
		return;
	if (service_open_store(s, false, false, 1, &st, NULL) == ERR_OK)
		store_close(st);
}

static void
describe_process(const struct process_row *p, int64_t now_ms,
    struct strbuf *out)
{
	strbuf_addf(out, "%s %" PRId64 " on %s, seen ", p->role, p->pid,
	    p->host);
	add_seconds(out, now_ms > p->heartbeat_ms ?
	    now_ms - p->heartbeat_ms : 0);
	strbuf_addstr(out, " ago");
}

static void
check_processes(struct report *r, struct store *st)
{
	struct strbuf text = STRBUF_INIT(MAX_LINE_BYTES);
	struct process_list l = { NULL, 0 };
	int64_t now_ms = clock_now_ms();
	struct err e = ERR_INIT;
	bool alive, runner = false;
	int i;

	if (store_list_processes(st, now_ms - SHOWN_AGE_MS, &l, &e) !=
	    ERR_OK) {
		report_add(r, LEVEL_FAIL, "processes", "%s", e.msg);
		return;
	}
	for (i = 0; i < l.n; i++) {
		alive = now_ms - l.rows[i].heartbeat_ms <= PRESENCE_ALIVE_MS;
		runner = runner || (alive &&
		    strcmp(l.rows[i].role, "runner") == 0);
		strbuf_reset(&text);
		describe_process(&l.rows[i], now_ms, &text);
		if (alive)
			report_add(r, LEVEL_OK, "process", "%s", text.buf);
		else
			report_add(r, LEVEL_WARN, "process", "%s; it ended "
			    "without saying so", text.buf);
	}
	if (!runner)
		report_add(r, LEVEL_WARN, "runner", "none is alive; what is "
		    "submitted waits until churns-runner is started");
	process_list_release(&l);
	strbuf_release(&text);
}

static void
check_queue(struct report *r, struct store *st, const char *db)
{
	struct queue_figures q = { 0, 0, 0 };
	struct err e = ERR_INIT;

	if (store_queue_figures(st, &q, &e) != ERR_OK)
		report_add(r, LEVEL_FAIL, "database", "%s", e.msg);
	else
		report_add(r, LEVEL_OK, "database", "%s, schema %d, %" PRId64
		    " jobs wait and %" PRId64 " are executed", db,
		    STORE_SCHEMA_VERSION, q.pending, q.running);
}

static void
check_database(struct report *r, const struct service *s)
{
	const char *db = s->conf->settings.database + strlen("sqlite:");
	struct beside before;
	struct store *st = NULL;
	struct err e = ERR_INIT;
	struct stat sb;
	char *dir;

	dir = xstrndup(db, (size_t)(strrchr(db, '/') - db));
	if (!check_dir(r, "database", *dir != '\0' ? dir : "/"))
		goto out;
	/* One that has no byte in it is as good as none. */
	if (stat(db, &sb) != 0 || sb.st_size == 0) {
		report_add(r, LEVEL_OK, "database", "%s is not there yet; the "
		    "first program that starts makes it", db);
		goto out;
	}
	if (access(db, R_OK | W_OK) != 0) {
		report_add(r, LEVEL_FAIL, "database", "%s: %s", db,
		    strerror(errno));
		goto out;
	}
	before = look_beside(db);
	if (service_open_store(s, false, true, 1, &st, &e) != ERR_OK) {
		report_add(r, LEVEL_FAIL, "database", "%s", e.msg);
	} else {
		check_queue(r, st, db);
		check_processes(r, st);
		store_close(st);
	}
	leave_as_it_was(s, db, sb.st_size, &before);
out:
	free(dir);
}

void
doctor_site(struct report *r, const struct ctl *c)
{
	const struct settings *s = &c->service.conf->settings;

	check_user(r, s);
	check_data_dir(r, s);
	check_run_dir(r, s);
	check_helper(r, s);
	check_database(r, &c->service);
}
