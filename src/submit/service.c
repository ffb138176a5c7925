/*
 * The common start of every program: one configuration, one set of schemas and
 * prompts, three executors, built before any thread exists and never again.
 *
 * All faults are collected before anything is refused, so that an operator
 * who mends a configuration needs one look, not one restart per fault.
 */
#include "service.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "stages.h"
#include "xalloc.h"

#define RUNS_MODE 0750		/* the web server's group reads pictures */
#define PRIVATE_MODE 0700
#define RUN_DIR_MODE 0770
#define STATM_MAX 256

/* Every schema that a stage promises must be there. */
static void
check_schemas(const struct service *s, const char *dir,
    struct problems *problems)
{
	int i;

	for (i = 0; i < stage_table_len && s->schemas != NULL; i++)
		if (stage_table[i].schema != NULL &&
		    schema_get(s->schemas, stage_table[i].schema) == NULL)
			problems_add(problems, NULL, 0,
			    "%s/schemas/%s.json: not there, but %s needs it",
			    dir, stage_table[i].schema, stage_table[i].name);
}

enum err_code
service_load(struct service *s, const struct conf_options *opts,
    struct problems *problems)
{
	char *dir, *path;

	memset(s, 0, sizeof(*s));
	dir = conf_find_dir(opts, problems);
	if (dir == NULL)
		return ERR_CONFIG;
	conf_load(opts, problems, &s->conf);
	path = xasprintf("%s/schemas", dir);
	schema_set_load(path, problems, &s->schemas);
	free(path);
	check_schemas(s, dir, problems);
	path = xasprintf("%s/prompts", dir);
	prompts_load(path, stage_table, stage_table_len, problems,
	    &s->prompts);
	free(path);
	free(dir);
	/* Executors follow from the configuration, and so do their faults. */
	if (s->conf != NULL) {
		executor_set_build(s->conf, stage_table, stage_table_len,
		    clock_now_ms(), problems, &s->executors);
		s->runs_dir = xasprintf("%s/runs",
		    s->conf->settings.data_dir);
	}
	if (problems->count == 0)
		return ERR_OK;
	service_release(s);
	return ERR_CONFIG;
}

void
service_release(struct service *s)
{
	executor_set_release(&s->executors);
	prompts_free(s->prompts);
	schema_set_free(s->schemas);
	conf_free(s->conf);
	free(s->runs_dir);
	memset(s, 0, sizeof(*s));
}

/* The directory exists and this process can make files in it. */
static enum err_code
check_dir(const char *setting, const char *path, mode_t mode, struct err *e)
{
	enum err_code rc;

	rc = file_make_dirs(path, mode, e);
	if (rc != ERR_OK) {
		e->code = ERR_CONFIG;
		return err_wrap(e, "%s", setting);
	}
	if (access(path, R_OK | W_OK | X_OK) != 0) {
		err_set_errno(e, ERR_CONFIG, errno, "%s: %s", setting, path);
		e->code = ERR_CONFIG;
		return ERR_CONFIG;
	}
	return ERR_OK;
}

enum err_code
service_check_dirs(const struct service *s, struct err *e)
{
	char *uploads = xasprintf("%s/uploads", s->conf->settings.data_dir);
	enum err_code rc;

	rc = check_dir("data_dir", s->conf->settings.data_dir, RUNS_MODE, e);
	if (rc == ERR_OK)
		rc = check_dir("data_dir", s->runs_dir, RUNS_MODE, e);
	if (rc == ERR_OK)
		rc = check_dir("data_dir", uploads, PRIVATE_MODE, e);
	if (rc == ERR_OK)
		rc = check_dir("run_dir", s->conf->settings.run_dir,
		    RUN_DIR_MODE, e);
	free(uploads);
	return rc;
}

enum err_code
service_open_store(const struct service *s, bool checkpointer, bool read_only,
    int max_readers, struct store **out, struct err *e)
{
	struct store_options opts = {
		.database = s->conf->settings.database,
		.full_sync = s->conf->settings.store_sync == STORE_SYNC_FULL,
		.cache_kb = s->conf->settings.store_cache_kb,
		.lock_wait_ms = s->conf->settings.store_lock_wait_ms,
		.max_readers = max_readers,
		.checkpointer = checkpointer,
		.read_only = read_only,
		.limits = {
			.owner_day_nano =
			    s->conf->settings.budget_owner_day_nano,
			.day_nano = s->conf->settings.budget_day_nano,
		},
	};

	return store_open(&opts, out, e);
}

int64_t
service_rss_bytes(void)
{
	char text[STATM_MAX];
	long long pages = 0;
	ssize_t n;
	int fd;

	fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	if (sscanf(text, "%*s %lld", &pages) != 1)
		return 0;
	return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

void
presence_init(struct presence *p, const char *role, int64_t now_ms)
{
	id_new(p->id);
	p->role = role;
	p->started_ms = now_ms;
}

enum err_code
presence_beat(struct presence *p, const struct service *s, struct store *st,
    struct json_object *stats, int64_t now_ms, struct err *e)
{
	struct process_row row = { .heartbeat_ms = now_ms };
	enum err_code rc;

	json_put_obj(stats, "executors", executor_set_stats(&s->executors));
	json_put_int(stats, "constructed_total", executor_constructed_total());
	json_put_int(stats, "rss_bytes", service_rss_bytes());
	memcpy(row.id, p->id, sizeof(row.id));
	row.role = xstrdup(p->role);
	row.pid = getpid();
	row.host = xstrdup(id_host());
	row.boot_id = xstrdup(id_boot());
	row.started_ms = p->started_ms;
	row.stats = json_to_text(stats);
	rc = store_put_process(st, &row, e);
	free(row.role);
	free(row.host);
	free(row.boot_id);
	free(row.stats);
	json_object_put(stats);
	return rc;
}
