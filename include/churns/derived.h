/*
 * What is made from a finished run's pictures: refinements (an edited picture),
 * captions (a text), and the noise check of a refinement.  Part of the store;
 * what store.h says of units, fences, owners and errors holds here.
 *
 * Each has a row of its own, a job in the one queue, and tells its progress on
 * the channel of its run.  Its job's subject_id is the id of the refinement or
 * caption; a noise check is a job of kind "assessment" about a refinement.
 *
 *   PENDING --first claim--> RUNNING --store_finish--> COMPLETED | FAILED
 *      '---------- cancel ------'--------------------> CANCELLED
 *
 * The run itself stays as it ended: neither its status nor its cost changes by
 * what is made from it later.  Files follow rows: what a row names exists.
 *
 * Paths are relative to the run's directory and were made by us.
 */
#ifndef CHURNS_DERIVED_H
#define CHURNS_DERIVED_H

#include <stdbool.h>
#include <stdint.h>

#include "store.h"

#define KIND_GENERATION "generation"
#define KIND_REFINEMENT "refinement"
#define KIND_CAPTION "caption"
#define KIND_ASSESSMENT "assessment"
#define INDEX_NONE (-1)

enum noise { NOISE_UNKNOWN = -1, NOISE_CLEAN = 0, NOISE_NOISY = 1 };

/* What both kinds of rows have. */
struct derived {
	char id[ID_MAX];
	char run_id[ID_MAX];
	char *owner;
	enum state status;
	char *inputs;		/* JSON: what the pipeline works from; frozen */
	int64_t created_ms, started_ms, completed_ms;
	int64_t cost_nano;	/* sum over the ledger of its job, from the end on */
	bool has_cost;		/* false: nothing was billed */
	bool simulated;		/* a simulated provider answered */
	char *error_message;	/* a sentence; what to do about it follows */
	char *error_type;	/* refinement-caption-jobs.md 1.10; NULL */
	int64_t version;	/* grows with every change; for ETags */
};

struct refinement {
	struct derived d;
	char *type;		/* "subject" or "prompt" */
	char *parent_image_id;	/* "image_<n>" or the id of a refinement */
	char *parent_image_type;	/* "original" or "refinement" */
	int generation_index;	/* as sent; INDEX_NONE for a chain */
	int root_index;		/* the variant the chain began with */
	char *parent_image_path;	/* the picture that is edited */
	char *prompt, *instructions;	/* as sent; NULL */
	char *reference_path;	/* uploaded for this job; NULL */
	char *mask_path;	/* uploaded for this job; NULL */
	char *image_path;	/* what came of it; NULL: nothing */
	char *summary;
	enum noise noise;
};

struct caption {
	struct derived d;
	char *image_id;		/* "image_<n>" or "refinement_<id>" */
	int number;		/* its version: 0, 1, 2 ... per picture */
	char *settings;		/* JSON: as asked for, then as used */
	char *model_id;
	bool writer_only;
	int source_number;	/* the version whose brief is used; INDEX_NONE */
	char *text;		/* NULL until COMPLETED */
	bool truncated;		/* the text was still cut off at the end */
	char *brief;		/* JSON, with COMPLETED */
	char *usage;		/* JSON: the usage_summary, with COMPLETED */
	char *file_path;	/* of the text, with COMPLETED */
};

void refinement_release(struct refinement *r);
void caption_release(struct caption *c);

/* --- submitting ------------------------------------------------------------ */

/* The job that does the work, and its plan. */
struct new_job {
	const char *id;
	const struct planned_stage *stages;
	int n_stages;
	int priority;
	int64_t deadline_after_ms;
};

/*
 * Store a refinement and its job as one unit.  Reads every member of r->d up
 * to created_ms and those that describe the request.
 * Errors: ERR_NOT_FOUND (no such run of that owner), ERR_CONFLICT (the run is
 * not COMPLETED any more).
 */
enum err_code store_submit_refinement(struct store *st,
    const struct refinement *r, const struct new_job *job,
    const struct idempotency *idem, enum submit_outcome *outcome,
    int *replay_status, char **replay_body, struct err *e);

/*
 * The same for a caption. Its number is the next one of the picture, taken in
 * the unit; numbers are never used twice.  body(arg, number) makes the answer
 * to keep (idem->body is not read) and to give in *body; it runs in the unit,
 * perhaps more than once, and only makes text.  *body is free()d by the
 * caller; on SUBMIT_REPLAY it is the kept one.
 */
enum err_code store_submit_caption(struct store *st, const struct caption *c,
    const struct new_job *job, const struct idempotency *idem,
    char *(*body)(void *arg, int number), void *arg,
    enum submit_outcome *outcome, int *status, char **body_out,
    struct err *e);

enum noise_outcome {
	NOISE_STARTED,		/* a job was stored */
	NOISE_UNDER_WAY,	/* one is waiting or running already */
	NOISE_KNOWN,		/* *noise says what was found */
	NOISE_NOT_READY,	/* the refinement is not COMPLETED: *was says */
	NOISE_NO_IMAGE
};

/* Store a noise check of a refinement unless there is one. ERR_NOT_FOUND. */
enum err_code store_submit_noise_check(struct store *st, const char *owner,
    const char *refinement_id, const struct new_job *job, int64_t now_ms,
    enum noise_outcome *outcome, enum noise *noise, enum state *was,
    struct err *e);

/* --- reading --------------------------------------------------------------- */

/* owner NULL: whoever owns it. ERR_NOT_FOUND. */
enum err_code store_get_refinement(struct store *st, const char *owner,
    const char *id, struct refinement *out, struct err *e);
enum err_code store_get_caption(struct store *st, const char *owner,
    const char *id, struct caption *out, struct err *e);
/* That version of a picture's captions, whatever its status. */
enum err_code store_find_caption(struct store *st, const char *owner,
    const char *run_id, const char *image_id, int number, struct caption *out,
    struct err *e);

struct refinement_list {
	struct refinement *rows;	/* inputs NULL */
	int n;
	int64_t cost_nano;	/* of all of them, whatever became of them */
};

struct caption_list {
	struct caption *rows;
	int n;
};

/* All of a run, oldest first. Empty for a run nobody knows. */
enum err_code store_list_refinements(struct store *st, const char *run_id,
    struct refinement_list *out, struct err *e);
/* Those of a picture, by number; completed_only leaves the others out. */
enum err_code store_list_captions(struct store *st, const char *run_id,
    const char *image_id, bool completed_only, struct caption_list *out,
    struct err *e);
void refinement_list_release(struct refinement_list *l);
void caption_list_release(struct caption_list *l);

/* What all captions of a run cost: shown apart from the cost of the run. */
enum err_code store_caption_cost(struct store *st, const char *run_id,
    int64_t *cost_nano, struct err *e);

/* The job of a refinement or caption. ERR_NOT_FOUND. */
enum err_code store_get_subject_job(struct store *st, const char *kind,
    const char *subject_id, struct job *out, struct err *e);

/* --- progress and ends ------------------------------------------------------ */

/* Fenced: one event that changes no row but the run's counter. */
enum err_code store_tell(struct store *st, const struct job_ref *ref,
    const char *type, const char *data, int64_t now_ms, struct err *e);

/*
 * What an end writes into the row, beside what struct job_end says: set the
 * member of the job's kind. Strings are JSON where the rows have JSON.
 */
struct refinement_end {
	const char *image_path;	/* NULL: none */
	const char *summary;
	const char *error_type;
};

struct caption_end {
	const char *text, *settings, *brief, *usage, *file_path;	/* with COMPLETED */
	bool truncated;
	const char *error_type;
};

/*
 * Cancel a refinement or caption, whoever works on it: row, open stages, job,
 * terminal event (run_error with job_id, or caption_error), fence + 1; one
 * unit.  *run_id is whose channel has news.  ERR_NOT_FOUND.
 */
enum err_code store_cancel_derived(struct store *st, const char *owner,
    const char *kind, const char *id, const char *message, int64_t now_ms,
    enum cancel_outcome *outcome, enum state *was, char run_id[ID_MAX],
    struct err *e);

#endif
