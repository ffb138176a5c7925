/*
 * What a stage is.  A stage is one function: it reads the context, calls models
 * through its environment and returns its output.  It knows neither SQL nor
 * HTTP; it keeps no state; it may run again after a crash, when the ledger
 * answers the calls it had already made, so it must be deterministic given
 * context and answers.
 *
 * The executor checks the output against the stage's schema, stores it, merges
 * it into the context and tells people, in one transaction.
 *
 * Outcomes:
 *   ERR_OK          output stored; the stage (or this variant of it) is done
 *   ERR_CANCELLED, ERR_LOST, ERR_BUSY, ERR_FULL, ERR_SYSTEM, ERR_TIMEOUT
 *                   not the stage's doing: nothing is stored, the job stops
 *   anything else   the stage failed: productive and per run -> the run fails;
 *                   productive and per variant -> this variant ends, with a
 *                   warning; advisory -> the run goes on without its output
 */
#ifndef CHURNS_STAGE_H
#define CHURNS_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "conf.h"
#include "context.h"
#include "err.h"
#include "json.h"
#include "model.h"
#include "pixels.h"
#include "schema.h"
#include "template.h"

struct prompt_set;

/* The second of these: whatever a stage could make of it, the job stops. */
bool stops_job(enum err_code rc);
/* Is there nothing to go on with instead? When the job stops, and when the
 * money is used up: the stage fails with that, so that what is left is not
 * spent on a run that cannot get anywhere. */
bool ends_stage(enum err_code rc);

struct stage_env {
	const struct conf *conf;
	struct model *model;
	const struct schema_set *schemas;
	const struct prompt_set *prompts;
	struct pixels *pixels;
	const struct call_scope *scope;
	const char *run_id;
	const char *job_id;
	const char *run_dir;	/* absolute, for pixels */
	int run_dirfd;
	const char *work_dir;	/* this job's scratch files, relative to run_dir;
				 * made when it is first needed */
	int variant;		/* or VARIANT_NONE */
	int64_t started_ms;	/* Unix time the stage was told to have begun:
				 * the same for all its variants */
	/* Set by the stage, owned by the executor: */
	struct json_object *warnings;	/* array, through stage_warn() */
	char *message;		/* told instead of the usual sentence; NULL */
	char *soft_error;	/* error_message told with COMPLETED; NULL */
	struct json_object *failure;	/* through stage_fail(); NULL */
	bool simulated;		/* a simulated provider answered */
	/* The executor's own: */
	enum err_code (*tell_step)(struct stage_env *env, const char *step,
	    const char *message, struct err *e);
	void *tell_arg;
};

/* {stage, variant_index?, code, message} in the run's warnings. The stage's
 * name is filled in by the executor. */
void stage_warn(struct stage_env *env, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/*
 * What people can do about a failure that the stage is about to return:
 * kept with the job as {error_type, user_message, suggestion, is_retryable}.
 * The message is a sentence with its full stop. The last call counts.
 */
void stage_fail(struct stage_env *env, const char *error_type,
    const char *user_message, const char *suggestion, bool is_retryable);
/*
 * Tell people of a step within the stage, as an event of its own, where the
 * kind of job has such events (captions); nothing elsewhere. Lost steps are
 * not told again. Fails only when the job must stop.
 */
enum err_code stage_step(struct stage_env *env, const char *step,
    const char *message, struct err *e);
/* A model_note for call requests: arg is the stage_env. */
void stage_note(void *env, const char *code, const char *message);

enum stage_scope {
	STAGE_PER_RUN,
	STAGE_PER_VARIANT	/* consecutive ones form lanes */
};

/* A prompt file conf/prompts/NAME.txt and every placeholder it may use. */
struct stage_prompt {
	const char *name;
	const char *const *placeholders;	/* NULL-terminated */
};

struct stage {
	const char *name;	/* stored: never rename */
	const char *title;	/* for people: "Reading your picture" */
	enum stage_scope scope;
	bool productive;	/* without its output there is no picture */
	/*
	 * What people are told of its output is {output_key: value}: for a
	 * per-run stage the member of that name of its output; for a
	 * per-variant stage the list of the variants' outputs by index.
	 */
	const char *output_key;
	const char *schema;	/* each item (or the one value) told; NULL: unchecked */
	const enum purpose_id *purposes;	/* ended by PURPOSE__COUNT; NULL: none */
	const struct stage_prompt *prompts;	/* ended by a NULL name; NULL: none */
	/* NULL: known by name only, cannot be planned yet. */
	enum err_code (*exec)(struct stage_env *env, const struct context *c,
	    struct json_object **out, struct err *e);
	/* The record of a variant that failed here, for lists that show failed
	 * ones; NULL: failed variants are left out of the list. */
	struct json_object *(*failed)(const struct context *c,
	    const struct err *why);
	/* A sentence when there is nothing to do for this run; NULL: run it. */
	const char *(*skip)(const struct context *c);
};

/* --- prompts ---------------------------------------------------------------- */

/* Load every prompt the stages name from dir and check its placeholders. A
 * file in dir that no stage names is a fault too. */
enum err_code prompts_load(const char *dir, const struct stage *stages,
    int n_stages, struct problems *problems, struct prompt_set **out);
void prompts_free(struct prompt_set *set);
const struct template *prompts_get(const struct prompt_set *set, const char *name);	/* asserts that it is there */

#endif
