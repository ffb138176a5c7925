/*
 * What the files of the pipeline room share.
 *
 * A job under execution is a struct work.  Its plan, texts and numbers are
 * written by the job's own thread before any lane exists; what changes while
 * lanes run (steps, records, stop, fatal) is guarded by work.lock, which also
 * orders what people are told: whoever changes a step tells it before letting
 * go of the lock.
 *
 *   plan.c       which stages, in which order
 *   executor.c   the three executors of a process
 *   lane.c       the bounded pool of threads
 *   work.c       loading a claimed job, what an earlier claim has left
 *   step.c       running one stage once; what it gave becomes a record
 *   progress.c   checkpoints and what is told of steps, in order
 *   job.c        walking the plan
 *   look.c       one stage of it, looked at only
 *   finish.c     how a job ends
 *   kind.c       what differs between kinds of jobs; kind_*.c: each of them
 *   results.c    the documents a run leaves; view.c: what is shown of them
 */
#ifndef CHURNS_PIPELINE_INTERNAL_H
#define CHURNS_PIPELINE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "derived.h"
#include "executor.h"
#include "results.h"

#define MAX_OUTPUT_BYTES (1024 * 1024)	/* of one stage for one variant */
#define MAX_STAGE_WARNINGS 16	/* of one stage for one variant */
#define STORE_TRIES 4		/* of one write that the store refused for now */
#define STORE_PAUSE_MS 100	/* before the second try; then four times as long */
#define PUT_BACK_MIN_MS 2000	/* a job put back is due again after this ... */
#define PUT_BACK_MAX_MS 60000	/* ... up to this, longer the older the job is */
#define TROUBLE_MIN_MS 5000	/* the same after trouble of our own, then ... */
#define MAX_END_TEXTS 24
#define TROUBLE_GROWTH 4	/* ... so many times as long */
/* In the run's directory, for all its jobs: */
#define CALLS_DIR "calls"	/* answers as they came, named by ledger row */
#define SCRATCH_DIR "work"	/* stages' own files; in it, a directory for each
				 * job that is not the run's own */

/* --- executor.c ----------------------------------------------------------- */

/* Written once, then made read-only by the memory map itself. */
struct executor {
	char id[ID_MAX];
	enum mode mode;
	int64_t built_at_ms;
	const struct stage *table;
	int n_table;
	const struct stage *stages[MAX_STAGES];	/* in order; rows of table */
	int n;
	atomic_llong *uses;	/* elsewhere, since it changes */
};

const struct stage *stage_find(const struct stage *table, int n,
    const char *name);	/* NULL if none */

/* A use begins: counted, and logged with the executor's id. */
void executor_use(struct executor *x, const char *what, const char *run_id);

/* --- plan.c --------------------------------------------------------------- */

enum err_code plan_make(const struct executor *x,
    const struct json_object *inputs, struct plan *out, struct err *e);

/* --- lane.c --------------------------------------------------------------- */

struct lane_task {
	void (*run)(void *arg);
	void *arg;
};

/*
 * Run n tasks to their end: by threads of the pool as they become free, and by
 * the calling thread, which therefore always gets on even when the pool is
 * busy with other jobs or NULL.  Jobs take turns in the pool.
 */
void lane_pool_run(struct lane_pool *pool, struct lane_task *tasks, int n);

/* --- stage.c -------------------------------------------------------------- */

/* The run's warnings: each of from (array or NULL) with its stage's name put
 * in front, appended to list. */
void warnings_add(struct json_object *list, const char *stage,
    const struct json_object *from);
struct json_object *warning_new(const char *stage, int variant,
    const char *code, const char *message);
/* What kind of failure it was, as warnings name it. */
const char *failure_code(const struct err *e);

/* --- context.c ------------------------------------------------------------ */

/* The member of that name of whichever stage's output has one; NULL. */
struct json_object *outputs_find(const struct json_object *outputs,
    const char *key);
/* An object without any value says nothing. */
bool json_is_hollow(const struct json_object *o);
/* A list's entry for a strategy: the one that says so, else the one in its
 * place if it says nothing. NULL. */
struct json_object *entry_for(const struct json_object *list, int index);

/* --- a job under execution ------------------------------------------------ */

/* What one stage gave for one variant: a row of lane_outputs. Frozen text, so
 * that every thread may parse its own copy. */
struct record {
	bool there;
	bool ok;
	char *output;		/* JSON or NULL */
	char *warnings;		/* JSON array or NULL */
	char *error;		/* NULL when ok */
	int64_t started_ms, ended_ms;
};

struct step {
	const struct stage *stage;
	double order;
	const char *skip_reason;	/* told SKIPPED with it; NULL: executed */
	char *missing;		/* the skip_reason when a model is wanting; NULL */
	enum stage_status status;	/* as told */
	int64_t started_ms;	/* as told */
	char *message;		/* the stage's own sentence, or NULL */
	char *soft_error;	/* told with COMPLETED, or NULL */
	char *error;		/* with STAGE_FAILED */
	struct record whole;	/* of a per-run stage; of a skipped one */
	struct record of[MAX_VARIANTS];
};

struct job_kind;

struct work {
	const struct job_kind *kind;
	struct executor *x;
	const struct workshop *shop;
	const struct job *job;
	struct job_ref ref;
	struct cancel *cancel;
	const bool *stopping;
	bool looking;		/* nobody claimed it: rows are left alone */
	int64_t time_limit_ms;	/* of this job, for telling people */

	struct run run;
	/* What the job is about, if it is not the run: one of them. */
	struct refinement refinement;
	struct caption caption;
	const char *inputs;	/* JSON, of whichever it is; NULL: not loaded */
	int64_t began_ms;	/* when the first claim began it */
	char *work_dir;		/* relative to run_dir */
	char *run_dir;
	int run_dirfd;		/* -1: none yet */
	struct call_scope scope;
	struct plan plan;
	int num_variants;

	pthread_mutex_t lock;
	/* guarded by lock while lanes run */
	struct step steps[MAX_STAGES];
	int n_steps;
	bool simulated;
	int attempts;		/* claims since the last checkpoint */
	enum err_code stop;	/* why nothing more may be begun; ERR_OK: go on */
	struct err stop_why;
	int stop_at;		/* the step in hand then; -1: none */
	int fatal;		/* the step that made the run fail; -1 */
};

/* --- work.c --------------------------------------------------------------- */

/* What must be there for finish_unloaded() and work_release(). */
void work_init(struct work *k, struct executor *x,
    const struct workshop *shop, const struct job *job, struct cancel *cancel,
    const bool *stopping);
/*
 * work_init(), then load run, outputs and stages of a claimed job.
 * ERR_INVALID, ERR_NOT_FOUND: it can never be executed, the message says why;
 * after others, what could be loaded is there.  Steps are there only together
 * with what was told of them, so that an end never tells anything twice.
 */
enum err_code work_load(struct work *k, struct executor *x,
    const struct workshop *shop, const struct job *job, struct cancel *cancel,
    const bool *stopping, struct err *e);
/* The same of a job that is only looked at: no row is written. */
enum err_code work_look(struct work *k, struct executor *x,
    const struct workshop *shop, const struct job *job, struct err *e);
void work_release(struct work *k);

/* A context of its own with everything that variant (or VARIANT_NONE) knows
 * before step number at. */
enum err_code work_context(struct work *k, int at, int variant,
    struct context *out, struct err *e);

/* Has the variant ended in a step before number at? */
bool work_dropped(const struct work *k, int variant, int at);

/* Is this process about to end? */
bool work_is_stopping(const struct work *k);
/* May something new be begun? ERR_OK, or why not (also kept in stop). */
enum err_code work_may_go_on(struct work *k);
/* Nothing more is to be begun because of e, which came up in step number at
 * (-1: none); the first reason is kept. Fires the cancel when somebody else
 * has the job. */
void work_stop(struct work *k, int at, const struct err *e);

/* The same call again while the store says "not now"? Waits before it says
 * so; a process that is about to end has no time for that. tries starts at
 * 0. */
bool work_try_again(struct work *k, int *tries, const struct err *e);

/* --- step.c --------------------------------------------------------------- */

struct attempt {
	struct record record;	/* to be stored; with ok or with an error */
	char *message, *soft_error;
	bool simulated;
};

void record_release(struct record *r);
void attempt_release(struct attempt *a);

/*
 * Run the stage of a step once for a variant (or VARIANT_NONE). ERR_OK: the
 * attempt says whether it went well or failed; else the job must stop, as e
 * says, and there is nothing to store.
 */
enum err_code step_attempt(struct work *k, int at, const struct context *c,
    struct attempt *out, struct err *e);

/* --- progress.c ----------------------------------------------------------- */

/* All three return ERR_OK, or the job must stop as e says. */

/* Tell RUNNING unless that has been told. */
enum err_code progress_begin(struct work *k, int at, struct err *e);
/*
 * Store what an attempt gave for a variant and tell every step from first on,
 * up to last, that has thereby ended, as one unit. The record is taken over.
 */
enum err_code progress_record(struct work *k, int first, int last, int at,
    int variant, struct attempt *a, struct err *e);
/* Tell what has ended without anything new, such as skipped steps. */
enum err_code progress_advance(struct work *k, int first, int last,
    struct err *e);

/* What people are told of a step's outputs; NULL: nothing. Caller's. */
struct json_object *step_told(const struct work *k, int at);

/* An update that tells what a step has become; its texts are freed with
 * update_release(). */
void update_make(const struct work *k, int at, enum stage_status status,
    int64_t now_ms, const char *reason, struct stage_update *out);
void update_release(struct stage_update *u);
bool step_ended(const struct step *s);

/* --- finish.c ------------------------------------------------------------- */

/* End the job as its steps, stop and fatal say. */
enum job_outcome finish_job(struct work *k, enum state *ended_as,
    struct err *e);
/* End it FAILED although it could not even be loaded. */
enum job_outcome finish_unloaded(struct work *k, const char *message,
    enum state *ended_as, struct err *e);

/* What the end of a job is made of, gathered by the job's own thread. */
struct ending {
	struct json_object *inputs;
	struct json_object *outputs;	/* stage -> what it gave */
	struct json_object *warnings;
	struct call_list calls;
	struct stage_list stages;
	bool complete;		/* all of the above is there */
	bool simulated;
	struct json_object *metadata;	/* of a generation, once written */
	struct job_end end;	/* what is about to be stored */
	struct refinement_end refinement;
	struct caption_end caption;
	/* Texts that end points to; free()d with it. */
	char *texts[MAX_END_TEXTS];
	int n_texts;
};

/* Keep a text until the ending is released; returns it. NULL is fine. */
const char *ending_keep(struct ending *x, char *text);
/* The same of a JSON value, which is taken over. */
const char *ending_keep_json(struct ending *x, struct json_object *o);
int64_t ending_cost_nano(const struct ending *x);	/* of this job's calls */

/* --- kind.c ---------------------------------------------------------------- */

/* Why a job failed. */
struct failure {
	const char *message;	/* a sentence */
	const char *type;	/* "failed", "timeout" ... */
	int cause;		/* the step; -1: none */
};

/* What differs between the kinds of jobs. */
struct job_kind {
	const char *name;	/* jobs.kind */
	const char *noun;	/* for people: "The run" */
	/* Read the rows it is about: inputs, began_ms. */
	enum err_code (*load)(struct work *k, struct err *e);
	/* Before the first step of a first claim; NULL: nothing is told. */
	enum err_code (*announce)(struct work *k, struct err *e);
	/* The event of a step's update: its type, or NULL when there is none;
	 * *data is malloc()ed. told: the output, or NULL. */
	const char *(*tell)(const struct work *k, const struct stage_update *u,
	    struct json_object *told, char **data);
	/* A step within a stage; NULL: not told. */
	enum err_code (*tell_step)(struct work *k, const char *step,
	    const char *message, struct err *e);
	/* Fill x->end for COMPLETED and write the files that belong to it.
	 * ERR_FULL: later perhaps; others: the job fails with e. */
	enum err_code (*complete)(struct work *k, struct ending *x,
	    struct err *e);
	/* Fill x->end for FAILED; what was reached may be written, too. */
	void (*fail)(struct work *k, struct ending *x,
	    const struct failure *why);
	/* Somebody else has ended it CANCELLED; NULL: nothing to do. */
	void (*cancelled)(struct work *k, struct ending *x);
	/* The end is stored: what is derived from rows; NULL. */
	void (*after)(struct work *k);
};

extern const struct job_kind kind_generation, kind_refinement, kind_caption,
    kind_assessment;

/* NULL: nobody here knows it. */
const struct job_kind *kind_find(const char *name);
/* {error_message, error_details {type, stage}, timestamp} of a run_error. */
struct json_object *kind_error(const struct work *k,
    const struct failure *why);
/* The stage_update event; both times null where the kind has none. */
struct json_object *kind_stage_update(const struct stage_update *u,
    struct json_object *told, bool times);

/* --- results.c ------------------------------------------------------------ */

/* The kit as the pipeline used it: analysis in, inlined pictures out. NULL:
 * none. Caller's. */
struct json_object *results_brand_kit(const struct json_object *inputs,
    const struct json_object *outputs);
/* {key: value} copied when from has it, null otherwise. */
void copy_member(struct json_object *to, const char *key,
    const struct json_object *from);

#endif
