/*
 * What the tests of the pipeline share: a world of fake stages that do what
 * a test tells them to and remember what they did, a workshop around a real
 * store, and short ways to submit a run, claim it and execute it.
 *
 * The fake stages have the names, scopes and keys of the real ones.  What one
 * gives is made from what the ones before gave, so a context that was put
 * together wrongly shows in the last output.
 */
#ifndef PIPELINE_UNIT_H
#define PIPELINE_UNIT_H

#include <pthread.h>

#include "executor.h"
#include "results.h"
#include "tests/unit/store_support.h"
#include "tests/unit/unit.h"

#define N_STAGES 7
#define LANES_FIRST 3		/* the first per-variant stage */
#define DEADLINE_AFTER_MS 3600000

enum {
	IMAGE_EVAL, STRATEGY, STYLE_GUIDE, CREATIVE_EXPERT, PROMPT_ASSEMBLY,
	IMAGE_GENERATION, IMAGE_ASSESSMENT
};

enum deed {
	DO_WELL,
	DO_FAIL,		/* ERR_MODEL, rate limit */
	DO_REFUSE,		/* ERR_INVALID */
	DO_NOTHING,		/* ERR_OK without an output */
	DO_NULL,		/* ERR_OK, the value told is null, soft_error set */
	DO_MISSHAPE,		/* ERR_OK with something that is no object */
	DO_DEVIATE,		/* ERR_OK with a value the schema refuses */
	DO_TOO_MUCH,		/* ERR_OK with more than fits */
	DO_SYSTEM,		/* ERR_SYSTEM, not its own doing */
	DO_TIMEOUT,		/* ERR_TIMEOUT, as a call that ran out of time */
	DO_HANG,		/* until the cancel is fired; returns its code */
	DO_CANCEL,		/* the owner cancels the run; then DO_HANG */
	DO_LOSE,		/* another runner takes the job; then well */
	DO_WARN			/* well, with two warnings */
};

struct world {
	struct executor_set executors;
	struct workshop shop;
	struct conf conf;
	pthread_mutex_t lock;
	pthread_cond_t changed;

	/* orders; index variant + 1, so [0] is a per-run stage's */
	enum deed deed[N_STAGES][MAX_VARIANTS + 1];
	/* An attempt waits until so many have been made in all. */
	int waits_for[N_STAGES][MAX_VARIANTS + 1];
	const char *run_id;	/* of the run under test, for DO_CANCEL */
	void (*on_enter)(int attempt);	/* before attempt number ... (from 1) */
	void (*on_leave)(int attempt);

	/* what happened */
	int attempts;		/* of all stages */
	int made[N_STAGES][MAX_VARIANTS + 1];
	int inside, max_inside;	/* stages running at once */
	int events;		/* calls of on_event */
	struct cancel *cancel;	/* of the job that executes() runs */
	bool stopping;
};

extern struct world w;
extern const struct stage fake_stages[];
extern const int n_fake_stages;

void world_up(void);		/* fixtures: store and workshop */
void world_down(void);
const char *runs_dir(void);

/* A run of owner "ann" whose inputs are the usual ones with these members
 * replaced (JSON object text, NULL: none). */
const char *submit_run(int n, const char *changes);
void claim_run(const struct holder *h, struct job *out);
/* Claim what is due (whenever that is) and execute it, with w.cancel. */
enum job_outcome execute_as(const struct holder *h, enum state *ended_as);
enum job_outcome execute(enum state *ended_as);
/* The same for a run of so many variants: submit and execute. */
enum state run_of(int variants);

/* --- what was told and stored --------------------------------------------- */

/* The events of run n as "1R 1C 2R 2F 3S ... run_complete". */
char *story(int n);
#define ck_story(n, want)						\
	do {								\
		char *got_ = story(n);					\
		ck_assert_str_eq(got_, want);				\
		free(got_);						\
	} while (0)
/* Event number seq (from 1; 0: the last) of run n; caller's. */
struct json_object *event_data(int n, int64_t seq);
/* The last stage_update of a stage; caller's. */
struct json_object *told_of(int n, const char *stage);
struct json_object *metadata_of(int n);	/* NULL: no file; caller's */
void load_run(int n, struct run *out);
/* The metadata without what differs from one run to the next: text, free(). */
char *fingerprint(int n);

#endif
