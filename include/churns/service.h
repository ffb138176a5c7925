/*
 * What every program of ours does when it starts and while it lives: loading
 * the configuration with all its faults told, building the executors once, and
 * keeping its row in the table of processes.
 */
#ifndef CHURNS_SERVICE_H
#define CHURNS_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "conf.h"
#include "err.h"
#include "executor.h"
#include "json.h"
#include "schema.h"
#include "stage.h"
#include "store.h"

/* Everything read-only that a process builds once, before threads exist. */
struct service {
	struct conf *conf;
	struct schema_set *schemas;
	struct prompt_set *prompts;
	struct executor_set executors;
	char *runs_dir;		/* absolute */
};

/*
 * Load and cross-check all of it. All faults, of every file, go to problems.
 * ERR_CONFIG when there is any; *s is then empty and may be released.
 */
enum err_code service_load(struct service *s, const struct conf_options *opts,
    struct problems *problems);
void service_release(struct service *s);

/* Make and check data_dir, data_dir/runs, run_dir: ERR_CONFIG names the one
 * that cannot be written. */
enum err_code service_check_dirs(const struct service *s, struct err *e);

/* store_open() by the settings. */
enum err_code service_open_store(const struct service *s, bool checkpointer,
    bool read_only, int max_readers, struct store **out, struct err *e);

int64_t service_rss_bytes(void);	/* from /proc/self/statm */

/* A row in the table of processes, refreshed by its owner. */
struct presence {
	char id[ID_MAX];
	const char *role;
	int64_t started_ms;
};

void presence_init(struct presence *p, const char *role, int64_t now_ms);
/* Adds rss_bytes, constructed_total and executors to stats (taken over). */
enum err_code presence_beat(struct presence *p, const struct service *s,
    struct store *st, struct json_object *stats, int64_t now_ms,
    struct err *e);

#define PRESENCE_BEAT_MS 2000
#define PRESENCE_ALIVE_MS 10000	/* older rows count as gone */

#endif
