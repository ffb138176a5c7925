/*
 * The store: what the programs know, and the only way they tell each other.
 * All SQL of the project is in src/store; there is no SQLite in this header.
 *
 * A struct store belongs to one process (open it after fork()) and may be
 * used by any of its threads.  Reads use connections of their own and never
 * wait for writers.  Writes are small units handed to one writer thread, which
 * commits whatever waits as one transaction with a savepoint for each; a
 * writing function returns when its unit is durable (synchronous=FULL) or has
 * failed, and a unit that failed has left nothing behind.
 *
 * Between processes the write turn is a lock on a side file, taken before
 * BEGIN IMMEDIATE.  A unit that waits longer than lock_wait_ms for its turn is
 * withdrawn: ERR_BUSY, nothing written.  Once taken it is waited for.
 *
 * Times are Unix milliseconds given by the caller; 0 means "not yet".  Money is
 * integer nano-dollars.  JSON is text here, never looked into.  Strings given
 * are only read; strings in structs returned are owned by the struct and freed
 * by its _release or _free function; NULL means SQL NULL.
 *
 * Errors of every writing function besides those listed: ERR_BUSY (withdrawn),
 * ERR_FULL (disk), ERR_SYSTEM.
 *
 * The fence: a job's fence number grows whenever the job changes hands
 * (claimed, expired, cancelled).  A fenced write names the fence it was given
 * with the claim and fails with ERR_LOST when the job has another now, or with
 * ERR_CANCELLED when that is because somebody cancelled it.  Settling a ledger
 * row is not fenced: a paid answer is always booked.
 *
 * Events: each has seq = ++runs.last_seq, taken in the transaction that writes
 * what the event tells; so they are gapless per run and in commit order.
 */
#ifndef CHURNS_STORE_H
#define CHURNS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "id.h"
#include "spend.h"
#include "strbuf.h"

#define STORE_SCHEMA_VERSION 4
#define MAX_LIST_PAGE 100
#define MAX_LIST_TEXT_BYTES 1024	/* to look for in prompts */
#define LIST_SCAN_ROWS 100000	/* looked at for one page of runs ... */
#define LIST_SCAN_TEXTS 20000	/* ... with a text to look for */
#define LIST_SCAN_TEXT_MS 50	/* ... and for so long */
#define MAX_EVENTS_PAGE 500
#define MAX_EVENTS_PAGE_BYTES (1024 * 1024)	/* of data; one event may be more */
#define MAX_TIPS_AT_ONCE 10000	/* read in one transaction */
#define VARIANT_NONE (-1)	/* of a per-run stage */

struct store;

/* --- opening -------------------------------------------------------------- */

struct store_options {
	const char *database;	/* "sqlite:/absolute/path" */
	bool full_sync;		/* false: a power cut loses the last units, whole */
	int cache_kb;		/* of the writer; readers take a quarter */
	int lock_wait_ms;
	int max_readers;	/* connections for reads, opened on demand */
	bool checkpointer;	/* this process moves the WAL back (the runner) */
	bool read_only;		/* never write, never create */
	struct spend_limits limits;	/* that calls and runs of this process keep */
};

/*
 * Open, creating an empty database with the current schema under the lock.
 * Errors: ERR_CONFIG (not a database of ours, a newer schema, an older one
 * that "churnsctl migrate" must upgrade first, a directory that cannot be
 * written: the message says which), ERR_BUSY, ERR_FULL, ERR_SYSTEM.
 */
enum err_code store_open(const struct store_options *opts, struct store **out,
    struct err *e);
void store_close(struct store *st);	/* waits for queued writes */

/* Upgrade step by step to STORE_SCHEMA_VERSION. Nothing else may be using the
 * database (ERR_BUSY). *from and *to say what was done. */
enum err_code store_migrate(const char *database, int *from, int *to,
    struct err *e);

struct store_stats {
	int64_t commits;	/* transactions */
	int64_t units;		/* writes committed in them */
	int64_t failed_units;
	int64_t busy_waits;	/* times the write turn was not free at once */
	int64_t busy_errors;	/* units withdrawn with ERR_BUSY */
	int64_t queued;		/* units waiting now */
	int64_t max_turn_wait_us;	/* longest wait for the turn so far */
};

void store_get_stats(struct store *st, struct store_stats *out);

/* Is the database answering? One trivial read; for health pages. */
enum err_code store_ping(struct store *st, struct err *e);

/*
 * A number that is another one after anybody (any process, or we) has
 * committed anything; it may also change without.  Only for comparing with
 * what the same struct store gave before.  It reads no table and takes
 * microseconds, so who waits for news may ask often: look at the number, then
 * at the rows, and what is committed after the look shows at the next one.
 */
enum err_code store_data_version(struct store *st, int64_t *out,
    struct err *e);

/* --- runs ------------------------------------------------------------------ */

enum state { STATE_PENDING, STATE_RUNNING, STATE_COMPLETED, STATE_FAILED,
	STATE_CANCELLED, STATE__COUNT };

const char *state_name(enum state s);	/* "PENDING" ... */
bool state_parse(const char *name, enum state *out);
bool state_is_terminal(enum state s);

struct run {
	char id[ID_MAX];
	char *owner;
	enum state status;
	char *mode;		/* easy_mode, custom_mode, task_specific_mode */
	char *platform_name;
	char *task_type;	/* NULL: none */
	char *prompt;		/* NULL: none; kept apart for text search */
	char *preset_id;
	char *preset_type;
	char *form;		/* JSON: the accepted request, for the run detail */
	char *inputs;		/* JSON: what the pipeline works from; frozen */
	char *brand_kit;	/* JSON: as submitted; as used once completed */
	char *warnings;		/* JSON array, NULL until the end */
	int64_t created_ms, started_ms, completed_ms;
	int64_t duration_ms;	/* completed - started; 0 until then */
	int64_t cost_nano;	/* sum over the ledger at the end */
	bool has_cost;		/* false: nothing billable has happened */
	bool simulated;		/* a simulated provider answered */
	char *error_message;
	char *output_directory;	/* "data/runs/<id>", set at the end */
	char *metadata_path;
	int64_t last_seq;	/* of its events */
	int64_t version;	/* grows with every change; for ETags */
};

void run_release(struct run *r);	/* frees the strings, not r */

struct planned_stage {
	const char *name;
	double order;
};

struct new_run {
	const struct run *run;	/* id, owner, mode ... inputs, created_ms */
	const struct planned_stage *stages;	/* stored with status PENDING */
	int n_stages;
	const char *job_id;	/* the job that executes it, kind "generation" */
	int priority;		/* higher first; 0 is normal */
	int64_t deadline_after_ms;	/* from the first claim on */
	int64_t budget_nano;	/* most it may cost; 0: no limit of its own */
	int64_t estimate_nano;	/* what it will probably cost */
	struct budget *refused;	/* set with ERR_BUDGET; NULL: not wanted */
};

/* A repeated POST with the same key returns the first answer, as long as the
 * run it was about is not deleted. */
struct idempotency {
	const char *owner, *route, *key;
	const char *fingerprint;	/* over the decoded request */
	int http_status;	/* the answer to keep with this request */
	const char *body;
};

enum submit_outcome {
	SUBMIT_NEW,		/* stored */
	SUBMIT_REPLAY,		/* same key, same fingerprint: nothing stored */
	SUBMIT_MISMATCH		/* same key, another request: nothing stored */
};

/*
 * Store run, stages, job, counters and (idem not NULL) the key, durably, as
 * one unit.  On SUBMIT_REPLAY the kept answer is in *replay_status and
 * *replay_body (free() it).  ERR_BUDGET: the estimate is more than its own
 * budget or than what runs accepted before leave of a day's.
 */
enum err_code store_submit_run(struct store *st, const struct new_run *nr,
    const struct idempotency *idem, enum submit_outcome *outcome,
    int *replay_status, char **replay_body, struct err *e);

/* Look the key up before files are moved; ERR_NOT_FOUND when it is new. */
enum err_code store_find_idempotency(struct store *st,
    const struct idempotency *idem, enum submit_outcome *outcome,
    int *replay_status, char **replay_body, struct err *e);

/* owner NULL: whoever owns it. ERR_NOT_FOUND. */
enum err_code store_get_run(struct store *st, const char *owner,
    const char *run_id, struct run *out, struct err *e);

/* Where a run stands in the lists, which are in this order downwards. */
struct run_key {
	int64_t created_ms;
	char id[ID_MAX];
};

struct run_query {
	const char *owner;	/* NULL: all */
	const char *mode;	/* NULL: any */
	bool by_status;
	enum state status;
	int page;		/* from 1; 0: by key */
	int page_size;		/* 1..MAX_LIST_PAGE */
	struct run_key after;	/* with page 0: go on behind it; id "": begin */
	const char *platform;	/* platform_name, exactly; NULL: any */
	const char *text;	/* somewhere in the prompt; NULL or "": any */
	int64_t from_ms;	/* created then or later; 0: any */
	int64_t to_ms;		/* created before; 0: any */
};

struct run_page {
	struct run *runs;	/* form, inputs and brand_kit are NULL here */
	int n;			/* may be less than a page although has_more */
	int64_t total;		/* all that match, from the counters; -1: not known,
				   with a text or a time */
	bool has_more;		/* go on by key, with after = next */
	struct run_key next;
};

/*
 * Newest first.  A page past the end is empty.
 *
 * One call looks at a bounded number of runs, whatever it is asked: at
 * LIST_SCAN_ROWS entries of an index, or at LIST_SCAN_TEXTS prompts for
 * LIST_SCAN_TEXT_MS.  When that was not enough for a whole page, the page is
 * short, perhaps empty, and next says where to go on: following it until
 * has_more is false gives every match exactly once, however runs come and go
 * meanwhile.  Pages by number count from the newest on and are made for the
 * first few; behind what one call looks at only keys lead.
 *
 * text is compared without regard to case for the letters A to Z; other
 * letters must be as they are (SQLite folds no others).  Nothing in it is
 * special.
 *
 * ERR_INVALID: page, page_size or the length of text are out of range.
 */
enum err_code store_list_runs(struct store *st, const struct run_query *q,
    struct run_page *out, struct err *e);
void run_page_release(struct run_page *p);

/* How many runs there are of each status, of all owners, from the counters. */
enum err_code store_count_runs(struct store *st, int64_t out[STATE__COUNT],
    struct err *e);

/* --- stages ---------------------------------------------------------------- */

enum stage_status { STAGE_PENDING, STAGE_RUNNING, STAGE_COMPLETED,
	STAGE_FAILED, STAGE_SKIPPED, STAGE_STATUS__COUNT };

const char *stage_status_name(enum stage_status s);

struct stage_row {
	char *name;
	double order;
	enum stage_status status;
	int64_t started_ms, completed_ms;
	int64_t duration_ms;	/* -1: not known yet */
	char *message;		/* for people; NULL while PENDING */
	char *output;		/* JSON, with COMPLETED */
	char *error_message;
	char *model_id;		/* of its calls; "a, b" when several */
	char *provider;
	int64_t input_tokens, output_tokens, images;
	int64_t cost_nano;	/* sum of its ledger rows, failed ones included */
};

struct stage_list {
	struct stage_row *rows;	/* in ascending order number */
	int n;
};

enum err_code store_list_stages(struct store *st, const char *job_id,
    struct stage_list *out, struct err *e);
/* The stages of the run's generation job. */
enum err_code store_list_run_stages(struct store *st, const char *run_id,
    struct stage_list *out, struct err *e);
void stage_list_release(struct stage_list *l);

/* --- jobs ------------------------------------------------------------------ */

struct job {
	char id[ID_MAX];
	char run_id[ID_MAX];	/* whose channel its events go to */
	char subject_id[ID_MAX];	/* the run, refinement or caption itself */
	char *kind;		/* "generation", "refinement", "caption", "assessment" */
	char *owner;
	enum state state;
	int priority;
	int attempts;		/* claims since the last checkpoint, this one included */
	int64_t fence;
	int64_t created_ms, started_ms, due_ms;
	int64_t deadline_ms;	/* absolute; 0 until the first claim */
	char *lease_holder;	/* NULL unless leased */
	int64_t lease_until_ms;
};

void job_release(struct job *j);

/* Names a job and the fence under which its holder writes. */
struct job_ref {
	const char *job_id;
	const char *run_id;
	int64_t fence;
};

/* Who holds leases: one per runner process. */
struct holder {
	const char *id;		/* UUID of this process's life */
	const char *host;
	const char *boot_id;
	const char *life_file;	/* path it keeps flock'ed while alive */
};

/*
 * Lease the oldest due job: highest priority first, then the owner with the
 * fewest running jobs, then age.  The first claim of a run's job makes the run
 * RUNNING with started_ms.  *found is false when nothing is due; then
 * *next_due_ms is when something will be (0: nothing waits).
 */
enum err_code store_claim(struct store *st, const struct holder *h,
    int64_t now_ms, int64_t lease_ms, struct job *out, bool *found,
    int64_t *next_due_ms, struct err *e);

/* Renew many leases at once. results[i] becomes ERR_OK, ERR_LOST or
 * ERR_CANCELLED; the call itself fails only as a whole. */
enum err_code store_renew(struct store *st, const struct job_ref *refs, int n,
    int64_t lease_until_ms, enum err_code *results, struct err *e);

/* Give a lease back: PENDING, due at due_ms, and the attempt not counted. */
enum err_code store_release(struct store *st, const struct job_ref *ref,
    int64_t due_ms, struct err *e);
/* The same after a failure of our own: the attempt stays counted. */
enum err_code store_put_back(struct store *st, const struct job_ref *ref,
    int64_t due_ms, struct err *e);

struct holder_row {
	char *id, *host, *boot_id, *life_file;
	int jobs;		/* RUNNING jobs leased to it */
	int64_t until_ms;	/* when the first of its leases ends */
};

struct holder_list {
	struct holder_row *rows;
	int n;
};

/* Everyone who holds a lease now. */
enum err_code store_list_holders(struct store *st, struct holder_list *out,
    struct err *e);
void holder_list_release(struct holder_list *l);

struct expired {
	int requeued;		/* back to PENDING, due now */
	int failed;		/* out of attempts: FAILED, with terminal event */
};

/*
 * Take leases away: those of holder_id when it is not NULL (its owner is known
 * to be dead), else those whose time is over.  A job that has used up
 * max_attempts without a checkpoint ends FAILED with failed_message, its open
 * stages FAILED, a run_error event {"type":"interrupted"}.
 */
enum err_code store_expire_leases(struct store *st, const char *holder_id,
    int64_t now_ms, int max_attempts, const char *failed_message,
    struct expired *out, struct err *e);

/* The same for a holder that may be alive: only what is over by time. */
enum err_code store_expire_overdue(struct store *st, const char *holder_id,
    int64_t now_ms, int max_attempts, const char *failed_message,
    struct expired *out, struct err *e);

enum err_code store_get_job(struct store *st, const char *job_id,
    struct job *out, struct err *e);
/* Does any job of the run wait or run? False for a run nobody knows. */
enum err_code store_run_is_open(struct store *st, const char *run_id,
    bool *out, struct err *e);
/* The generation job of a run. */
enum err_code store_get_run_job(struct store *st, const char *run_id,
    struct job *out, struct err *e);

struct queue_figures {
	int64_t pending, running;
	int64_t oldest_due_ms;	/* when the longest waiting became due; 0: none */
};

enum err_code store_queue_figures(struct store *st, struct queue_figures *out,
    struct err *e);

/* Run ids of the jobs that are leased now, NULL-terminated array of strings;
 * free each and the array. At most max. */
enum err_code store_active_runs(struct store *st, int max, char ***out,
    struct err *e);

/* --- progress and checkpoints ---------------------------------------------- */

/* A change of a stage row that is also told as a stage_update event. */
struct stage_update {
	const char *name;
	double order;
	enum stage_status status;
	int64_t started_ms, completed_ms;
	int64_t duration_ms;	/* -1: null */
	const char *message;
	const char *output;	/* JSON or NULL */
	const char *error_message;
	const char *event_type;	/* NULL: "stage_update" */
	const char *event_data;	/* JSON object of the event; NULL: no event */
};

/* What one stage gave for one variant (VARIANT_NONE for a per-run stage). */
struct lane_output {
	const char *stage;
	int variant;
	bool ok;		/* false: the variant ended here; output may be NULL */
	const char *output;	/* JSON */
	const char *warnings;	/* JSON array or NULL */
	const char *error;	/* sentence, when not ok */
	int64_t started_ms, ended_ms;
};

/*
 * Fenced: store a checkpoint (NULL: none) and n stage updates, in this order,
 * as one unit.  A checkpoint sets the job's attempts to 1, replaces an earlier
 * one of the same stage and variant.  A stage that has ended stays as it is:
 * an update of it is neither stored nor told.  Stage cost and token columns are summed
 * from the ledger when a stage ends.  now_ms is the events' time.
 * Errors: ERR_LOST, ERR_CANCELLED.
 */
enum err_code store_progress(struct store *st, const struct job_ref *ref,
    const struct lane_output *checkpoint, const struct stage_update *updates,
    int n_updates, int64_t now_ms, struct err *e);

struct lane_output_row {
	char *stage;
	int variant;
	bool ok;
	char *output, *warnings, *error;
	int64_t started_ms, ended_ms;
};

struct lane_output_list {
	struct lane_output_row *rows;
	int n;
};

enum err_code store_list_outputs(struct store *st, const char *job_id,
    struct lane_output_list *out, struct err *e);
void lane_output_list_release(struct lane_output_list *l);

struct refinement_end;		/* derived.h */
struct caption_end;

/* How a job ends. Only COMPLETED and FAILED; cancelling is store_cancel_run
 * and store_cancel_derived. */
struct job_end {
	enum state state;
	const char *error_message;	/* NULL when COMPLETED */
	const char *warnings;	/* JSON array */
	const char *brand_kit;	/* JSON; NULL leaves the run's */
	const char *output_directory;
	const char *metadata_path;
	bool simulated;
	const struct stage_update *updates;	/* written before the end: stages skipped */
	int n_updates;
	const char *event_type;	/* "run_complete", "run_error", "caption_complete" ... */
	const char *event_data;	/* JSON object */
	/* Of what is not a run, the one of the job's kind: */
	const struct refinement_end *refinement;
	const struct caption_end *caption;
	int noise;		/* enum noise; of an assessment */
};

/*
 * Fenced: end the job and what it is about (its run, refinement, caption or
 * noise check), as one unit: open stages become FAILED
 * with error_message, cost_nano is summed from the ledger, the terminal event
 * is the last one.  Errors: ERR_LOST, ERR_CANCELLED.
 */
enum err_code store_finish(struct store *st, const struct job_ref *ref,
    const struct job_end *end, int64_t now_ms, struct err *e);

enum cancel_outcome { CANCEL_DONE, CANCEL_WAS_TERMINAL };

/*
 * Cancel a run, whoever works on it: state, open stages, job, terminal event
 * run_error {"type":"cancelled"} with message, fence + 1; one unit.
 * *was is the state found.  ERR_NOT_FOUND (also when owned by another).
 */
enum err_code store_cancel_run(struct store *st, const char *owner,
    const char *run_id, const char *message, int64_t now_ms,
    enum cancel_outcome *outcome, enum state *was, struct err *e);

/* --- events ---------------------------------------------------------------- */

/* How far the events of a run go. */
struct run_tip {
	int64_t last_seq;	/* -1: the owner has no such run (any more) */
	bool is_over;		/* its own job has ended; other jobs of the run may
				   still tell events */
};

/*
 * out[i] for run_ids[i]; owner NULL: whoever owns it.  All are of one moment
 * (more than MAX_TIPS_AT_ONCE: of one moment for each so many): is_over with
 * last_seq == what was read means that this was the run's own last event.
 */
enum err_code store_read_tips(struct store *st, const char *owner,
    const char *const *run_ids, size_t n, struct run_tip *out, struct err *e);

/* An event while it is read; the texts belong to the store. */
struct event_view {
	int64_t seq;
	const char *type;
	const char *data;	/* JSON object */
	size_t data_len;
	int64_t created_ms;
};

/*
 * Show the events with seq > after, in order, at most limit
 * (<= MAX_EVENTS_PAGE), to visit() until it returns false; the texts are gone
 * when it returns.  It is called within a read transaction: it must be quick
 * and must not call the store.  *last_seq (of the run) is of the same moment.
 * ERR_NOT_FOUND when the owner (NULL: any) has no such run.
 */
enum err_code store_visit_events(struct store *st, const char *owner,
    const char *run_id, int64_t after, int limit,
    bool (*visit)(void *arg, const struct event_view *ev), void *arg,
    int64_t *last_seq, struct err *e);

struct event {
	int64_t seq;
	char *type;
	char *data;		/* JSON object */
	int64_t created_ms;
};

struct event_list {
	struct event *rows;
	int n;
	int64_t last_seq;	/* of the run, not of this page */
};

/* The same as a list. It ends early where data would be more than
 * MAX_EVENTS_PAGE_BYTES, but has at least one event if there is one: there is
 * more as long as the last seq of the list is not last_seq. */
enum err_code store_list_events(struct store *st, const char *owner,
    const char *run_id, int64_t after, int limit, struct event_list *out,
    struct err *e);
void event_list_release(struct event_list *l);

/* --- the ledger ------------------------------------------------------------ */

enum call_state {
	CALL_SENT,		/* the row is written, then the request is sent */
	CALL_ANSWERED,
	CALL_FAILED,		/* an error answer, or certainly never received */
	CALL_UNKNOWN,		/* sent, no answer: may have been paid */
	CALL_STATE__COUNT
};

const char *call_state_name(enum call_state s);

/* Key: job, stage, variant, purpose, attempt. */
struct call_row {
	char id[ID_MAX];
	char *job_id, *run_id, *owner;
	char *stage;
	int variant;
	char *purpose;		/* with a suffix when one stage asks several times: "style_guide/2" */
	int attempt;		/* from 1; retries and re-asks are attempts */
	int ask;		/* from 1; grows with each re-ask; retries share it */
	enum call_state state;
	char *provider, *model;
	char *idempotency_key;	/* shared by the attempts of one ask */
	char *request_hash;
	int64_t estimate_nano;	/* before it was sent */
	int64_t sent_ms, settled_ms;
	int http_status;	/* 0: no answer */
	char *fault;		/* model_fault_name(), NULL when answered */
	char *error;		/* sentence */
	char *answer;		/* JSON text of the body; big strings are in blobs */
	char *blobs;		/* JSON array of file names in the run's directory */
	/* usage */
	int64_t prompt_tokens, completion_tokens, cached_tokens;
	int64_t reasoning_tokens, image_in_tokens, image_out_tokens;
	int64_t cost_nano;
	bool has_billed;	/* the provider named the amount itself */
	bool estimated;		/* the provider was silent; figures are ours */
	bool simulated;
};

struct call_list {
	struct call_row *rows;
	int n;
};

void call_row_release(struct call_row *c);
void call_list_release(struct call_list *l);

/* Fenced: the row of a call about to be sent, durable on return. Reads id ...
 * sent_ms of c, and simulated. ERR_LOST, ERR_CANCELLED, ERR_CONFLICT (the key
 * exists), ERR_BUDGET (spend.h; err.detail tells whether it may fit later). */
enum err_code store_call_begin(struct store *st, const struct job_ref *ref,
    const struct call_row *c, struct err *e);

/* Not fenced: the outcome. Reads id, state and everything from settled_ms on.
 * A row that is ANSWERED already stays as it is (ERR_CONFLICT). Adds the cost
 * to the run when the run has ended already. */
enum err_code store_call_settle(struct store *st, const struct call_row *c,
    struct err *e);

/* Rows of the job with this stage, variant and purpose, by attempt. */
enum err_code store_find_calls(struct store *st, const char *job_id,
    const char *stage, int variant, const char *purpose, struct call_list *out,
    struct err *e);

/* All rows of a job, oldest first, without answers. */
enum err_code store_list_calls(struct store *st, const char *job_id,
    struct call_list *out, struct err *e);

/* Fenced: rows still SENT from before this claim become UNKNOWN. *n: how many. */
enum err_code store_calls_unknown(struct store *st, const struct job_ref *ref,
    int64_t now_ms, int *n, struct err *e);

/* Content-addressed answers of analysis calls. ERR_NOT_FOUND. *answer is
 * free()d by the caller. */
enum err_code store_cache_get(struct store *st, const char *key, char **answer,
    struct err *e);
enum err_code store_cache_put(struct store *st, const char *key,
    const char *answer, int64_t now_ms, struct err *e);

/* --- processes ------------------------------------------------------------- */

struct process_row {
	char id[ID_MAX];
	char *role;		/* "api", "runner", "push" */
	int64_t pid;
	char *host, *boot_id;
	int64_t started_ms, heartbeat_ms;
	char *stats;		/* JSON object: executors, rss_bytes, active_tasks ... */
};

struct process_list {
	struct process_row *rows;
	int n;
};

/* Insert or refresh by id. */
enum err_code store_put_process(struct store *st, const struct process_row *p,
    struct err *e);
enum err_code store_delete_process(struct store *st, const char *id,
    struct err *e);
/* Those with heartbeat_ms >= since_ms, by role and start. */
enum err_code store_list_processes(struct store *st, int64_t since_ms,
    struct process_list *out, struct err *e);
/* Forget those not heard of since before_ms. */
enum err_code store_sweep_processes(struct store *st, int64_t before_ms,
    struct err *e);
void process_list_release(struct process_list *l);

#endif
