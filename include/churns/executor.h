/*
 * Executors: one per mode and process, built when the process starts,
 * read-only afterwards, each with an id that is constant for its life.  The
 * workers of the API use one to plan (which stages, in which order, for this
 * request) and to refuse nonsense early; the runner uses it to execute.  No
 * request and no job builds one.
 *
 * Executing a job is walking its plan from where the checkpoints end:
 *
 *   per-run stage   run it in the job's thread, checkpoint, tell
 *   lane segment    consecutive per-variant stages: each variant goes through
 *                   them on its own, in a thread of the bounded pool
 *
 * A stage is told RUNNING when its first variant begins and ended when its last
 * variant has passed or dropped out, both in ascending order; a stage that had
 * been told RUNNING before a crash is not told so again.
 *
 *   PENDING --claim--> RUNNING --a variant passed every productive stage-->
 *   COMPLETED;  --a productive stage failed for the run or for every variant-->
 *   FAILED, naming the first stage that caused it, later stages SKIPPED.
 */
#ifndef CHURNS_EXECUTOR_H
#define CHURNS_EXECUTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "conf.h"
#include "err.h"
#include "json.h"
#include "stage.h"
#include "store.h"

struct executor;

struct executor_set {
	struct executor *of[MODE__COUNT];
};

/*
 * One executor per mode from conf->order and the table of stages. Unknown
 * stage names and every other fault go to problems with file
 * and line; *out is complete only without any.
 */
enum err_code executor_set_build(const struct conf *conf,
    const struct stage *stages, int n_stages, int64_t now_ms,
    struct problems *problems, struct executor_set *out);
void executor_set_release(struct executor_set *set);

/* The one accessor; asserts that it is there. */
struct executor *executor_get(const struct executor_set *set, enum mode m);

const char *executor_id(const struct executor *x);
enum mode executor_mode(const struct executor *x);
int64_t executor_built_at_ms(const struct executor *x);
int64_t executor_uses(const struct executor *x);	/* plans and runs so far */

/* {"generation":{"id","built_at","uses"},...}; caller's reference. */
struct json_object *executor_set_stats(const struct executor_set *set);
/* How many executor_set_build() made in this process so far. */
int64_t executor_constructed_total(void);

struct plan_step {
	const struct stage *stage;
	double order;		/* 1-based position; halves for inserted ones */
	const char *skip_reason;	/* told SKIPPED with it; NULL: executed */
};

struct plan {
	struct plan_step steps[MAX_STAGES];
	int n;
};

/* Pure: the same inputs give the same plan. ERR_INVALID when this process
 * cannot carry out such a request (a stage known by name only). */
enum err_code executor_plan(struct executor *x,
    const struct json_object *inputs, struct plan *out, struct err *e);

/* --- executing (runner, churnsctl run) ------------------------------------ */

struct lane_pool;

/* Threads are made on demand, at most max_threads, 256 KB of stack each. */
struct lane_pool *lane_pool_new(int max_threads);
void lane_pool_free(struct lane_pool *pool);	/* waits for its threads */

/* What jobs share; all pointers outlive them. */
struct workshop {
	const struct conf *conf;
	struct store *store;
	struct model *model;
	const struct schema_set *schemas;
	const struct prompt_set *prompts;
	struct pixels *pixels;
	struct lane_pool *lanes;
	const char *runs_dir;	/* absolute: data_dir/runs */
	/* Called after each committed event of run_id; may be NULL. */
	void (*on_event)(void *arg, const char *run_id);
	void *on_event_arg;
};

enum job_outcome {
	JOB_ENDED,		/* COMPLETED or FAILED is stored */
	JOB_GONE,		/* cancelled or lost: somebody else has decided */
	JOB_PUT_BACK,		/* not now (shutdown, store busy, disk full,
				 * trouble of ours): lease given back */
	JOB_STUCK		/* the store would not even take the lease back:
				 * it ends by itself */
};

/*
 * Execute a claimed job to its end in the calling thread (and lanes). cancel is
 * fired from outside with ERR_CANCELLED (user), ERR_LOST (lease), or
 * ERR_TIMEOUT (the job's deadline: FAILED with {"type":"timeout"}); a shutdown
 * fires ERR_LOST after setting *stopping, and the lease is given back.
 *
 * Trouble of our own (ERR_SYSTEM: a helper or a directory that does not work, a
 * row that cannot be read) counts as an attempt; after runner.max_attempts of
 * them without a checkpoint the job ends FAILED, with a sentence for people.
 * What is stored but broken cannot mend: FAILED at once.
 *
 * *e says what stood in the way, also of a job that ended FAILED by trouble of
 * our own.  Never leaves the job RUNNING under our lease except as JOB_STUCK.
 */
enum job_outcome executor_run(struct executor *x, const struct workshop *w,
    const struct job *job, struct cancel *cancel, const bool *stopping,
    enum state *ended_as, struct err *e);

/*
 * Run one stage of a stored job in the calling thread, for variant (or
 * VARIANT_NONE), and forget what it gives.  It sees the inputs and the outputs
 * of earlier stages as they are stored; nothing is claimed, stored or told,
 * whatever state the job is in.  Meant for a model that only shows its calls
 * (model_show_only).  Files are read and made in w->runs_dir/RUN_ID, so to
 * leave the run's own ones alone that is a place with copies of them.
 *
 * *warnings are what the stage wanted said (array; NULL: nothing; caller's),
 * also when it failed.
 * Errors: ERR_INVALID (the stage failed, e says how, which is to be expected
 * when a call had no answer), ERR_NOT_FOUND (no such run, or it has no such
 * stage), others: the job could not have gone on.
 */
enum err_code executor_look(struct executor *x, const struct workshop *w,
    const struct job *job, const char *stage, int variant,
    struct json_object **warnings, struct err *e);

/* End a claimed job FAILED, with message for people, without looking at it:
 * nobody here knows its kind. Outcomes as above. */
enum job_outcome executor_refuse(struct executor *x, const struct workshop *w,
    const struct job *job, const char *message, enum state *ended_as,
    struct err *e);

#endif
