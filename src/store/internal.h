/*
 * What the files of the store share with each other and with nobody else.
 *
 *   store.c        a store is a writer, some readers, perhaps a checkpointer
 *   schema.c       (generated) the text of schema/NNNN_*.sql
 *   migrate.c      creating, checking and upgrading the database
 *   turn.c         whose turn it is to write, between processes
 *   writer.c       the one thread that writes: group commit
 *   checkpoint.c   the thread that moves the log back
 *   submit.c run.c list.c delete.c job.c end.c stage.c ledger.c event.c
 *   process.c derived.c refinement.c caption.c budget.c spend.c
 *                  the statements, by what they are about
 *   backup.c       one state of the database as a file, and back
 *   verify.c       whether the rows are what they should be, and mending them
 *
 * A unit is a function that runs in the writer thread, inside a transaction,
 * between a savepoint and its release.  It does no I/O besides SQL, and it may
 * be run a second time after the engine gave up the transaction around it: so
 * it leaves nothing behind outside the database but results in its argument,
 * and it starts by dropping results of an earlier try.  The functions below
 * that take a struct db are pieces of units (or of reads, where they say so).
 */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include <pthread.h>

#include "db.h"
#include "store.h"

/* --- schema and files ----------------------------------------------------- */

struct schema_step {
	int version;
	const char *sql;
};

extern const struct schema_step schema_steps[];	/* ascending, from 1 */
extern const size_t n_schema_steps;

struct turn;

/* Where the parts of a database are. */
struct place {
	char *db;		/* the file; owned */
	char *dir;		/* the directory it is in; owned */
	char *turn;		/* the side file with the locks; owned */
};

enum err_code place_parse(const char *database, struct place *out,
    struct err *e);
void place_release(struct place *p);
/* The directory, for us alone. ERR_CONFIG when that is not possible. */
enum err_code place_make(const struct place *p, struct err *e);

/* The database is there, ours, current and concurrent; made so if it is empty
 * or missing (not when read_only). The caller holds the users lock. */
enum err_code schema_ensure(const struct place *p,
    const struct store_options *o, struct turn *t, struct err *e);

/* The version of the schema in it; 0: it is empty. ERR_CONFIG when it is not
 * ours, or newer than this program. */
enum err_code schema_version_of(const char *path, int *version, struct err *e);

/* store_migrate() with the steps to know; tests bring their own. */
enum err_code schema_migrate(const char *database,
    const struct schema_step *steps, size_t n, int *from, int *to,
    struct err *e);

/* --- whose turn it is ----------------------------------------------------- */

/*
 * Locks on bytes of the side file.  They are OFD locks: they belong to this
 * descriptor, end with it (also by kill -9), and have nothing to do with the
 * locks of the engine.  Used by one thread at a time.
 */
struct turn {
	int fd;			/* -1: closed */
	bool is_next;		/* we hold the place behind the one writing */
};

#define TURN_INIT { -1, false }

enum err_code turn_open(const char *path, bool read_only, struct turn *out,
    struct err *e);
void turn_close(struct turn *t);	/* lets go of everything */

/*
 * Wait for the write turn as long as wanted(arg) says yes; it is asked before
 * every pause.  *waited_us (may be NULL) is 0 when the turn was free.
 * Returns whether we have it.
 */
bool turn_take(struct turn *t, bool (*wanted)(void *arg), void *arg,
    int64_t *waited_us);
void turn_give(struct turn *t);

/* Sleep a little; the longer the wait has lasted the longer. */
void turn_pause(int64_t waited_us);

/* Everybody who has the database open shares a lock; an upgrade wants it for
 * itself. ERR_BUSY at once when somebody is in the way; ERR_CONFIG. */
enum err_code turn_share_users(struct turn *t, struct err *e);
enum err_code turn_exclude_users(struct turn *t, struct err *e);

/* --- the writer ----------------------------------------------------------- */

struct writer;
struct checkpointer;

struct writer_options {
	const struct place *place;
	const struct store_options *store;
	struct checkpointer *checkpointer;	/* NULL: another process does it */
};

enum err_code writer_open(const struct writer_options *o, struct writer **out,
    struct err *e);
void writer_close(struct writer *w);	/* after what is queued; NULL is fine */
enum err_code writer_do(struct writer *w,
    enum err_code (*fn)(struct db *db, void *arg, struct err *e), void *arg,
    struct err *e);
void writer_stats(struct writer *w, struct store_stats *out);

/* A thread that leaves signals to the program's own. */
enum err_code store_thread(pthread_t *out, void *(*fn)(void *arg), void *arg,
    struct err *e);

enum err_code checkpointer_start(const struct place *p,
    struct checkpointer **out, struct err *e);
void checkpointer_stop(struct checkpointer *c);	/* NULL is fine */
void checkpointer_notice(void *c, int log_pages);	/* for db_watch_log */

/* --- for the files with statements ---------------------------------------- */

/* Run fn as a unit and wait for its outcome. */
enum err_code store_write(struct store *st,
    enum err_code (*fn)(struct db *db, void *arg, struct err *e), void *arg,
    struct err *e);

const struct spend_limits *store_limits(const struct store *st);

const struct place *store_place(const struct store *st);

/* Borrow a connection for reading; waits while all are out. */
enum err_code store_borrow(struct store *st, struct db **out, struct err *e);
void store_return(struct store *st, struct db *db);	/* NULL is fine */

struct row_list {
	void *rows;		/* malloc'ed; NULL when n is 0 */
	int n;
};

/* A zeroed slot of so many bytes at the end. */
void *rows_add(struct row_list *l, size_t size);

/* How a list is read: row() fills a zeroed slot; what it has put there when it
 * fails is released with the rest of the list, by the caller. */
struct reading {
	const char *sql;
	enum err_code (*row)(struct db_rows *r, void *slot, struct err *e);
	size_t size;		/* of a slot */
};

/* Append all rows to out, which has what was read also after a failure. */
enum err_code rows_read(struct db *db, const struct reading *how,
    const struct db_value *args, size_t n, struct row_list *out,
    struct err *e);
/* The same on a borrowed connection. */
enum err_code store_read_rows(struct store *st, const struct reading *how,
    const struct db_value *args, size_t n, struct row_list *out,
    struct err *e);

/* row() for a list of char *: the first column. */
enum err_code text_from_row(struct db_rows *r, void *slot, struct err *e);

enum err_code read_state(struct db_rows *r, int col, enum state *out,
    struct err *e);
void copy_id(char out[ID_MAX], const char *id);

/* runs */
#define RUN_HEAD							\
	"id, owner, status, mode, platform_name, task_type, preset_id, "	\
	"preset_type, created_ms, started_ms, completed_ms, duration_ms, " \
	"cost_nano, has_cost, simulated, last_seq, version, "		\
	"output_directory, metadata_path, error_message, prompt, warnings"

/* row() for a list of struct run; the columns of RUN_HEAD. */
enum err_code run_from_row(struct db_rows *r, void *slot, struct err *e);

/* What of a run is needed to change its state; strings owned. */
struct run_brief {
	char *owner, *mode;
	char *platform;		/* "": none */
	enum state status;
	int64_t started_ms;
};

#define RUN_BRIEF_NONE { NULL, NULL, NULL, STATE_FAILED, 0 }

/* Not of a deleted one. owner NULL: any. ERR_NOT_FOUND. */
enum err_code run_read_brief(struct db *db, const char *owner,
    const char *run_id, struct run_brief *out, struct err *e);
void run_brief_release(struct run_brief *b);
/* STATE__COUNT: it did not exist before, does not exist afterwards. */
enum err_code run_count_move(struct db *db, const struct run_brief *b,
    enum state from, enum state to, struct err *e);
/* PENDING to RUNNING; nothing when it has begun already. */
enum err_code run_begin(struct db *db, const char *run_id, int64_t now_ms,
    struct err *e);
/* Show that something about it changed. */
enum err_code run_touch(struct db *db, const char *run_id, struct err *e);
/* Sum the ledger of the run's generation jobs. */
enum err_code run_sum(struct db *db, const char *run_id, int64_t *cost_nano,
    bool *simulated, struct err *e);

/* jobs */
#define JOB_COLUMNS							\
	"id, run_id, subject_id, kind, owner, state, priority, attempts, " \
	"fence, created_ms, started_ms, due_ms, deadline_ms, lease_holder, " \
	"lease_until_ms"

enum err_code job_from_row(struct db_rows *r, struct job *out, struct err *e);
/* to or from may be a state that is not counted. */
enum err_code job_count_move(struct db *db, enum state from, enum state to,
    struct err *e);
/* ERR_OK while ref's holder has the job, else ERR_LOST or ERR_CANCELLED. */
enum err_code job_check_fence(struct db *db, const struct job_ref *ref,
    struct err *e);

/* What a job is about. */
struct job_subject {
	char *kind, *id;	/* owned */
};

enum err_code job_read_subject(struct db *db, const char *job_id,
    struct job_subject *out, struct err *e);
void job_subject_release(struct job_subject *s);
/* A new job and its planned stages. */
struct job_plan {
	const char *job_id, *run_id, *subject_id, *kind, *owner;
	const struct planned_stage *stages;
	int n_stages;
	int priority;
	int64_t created_ms, deadline_after_ms;
	int64_t budget_nano;	/* most it may cost; 0: no limit of its own */
	int64_t estimate_nano;	/* what it will probably cost; 0: not known */
};

enum err_code job_insert(struct db *db, const struct job_plan *p,
    struct err *e);

/* first answers to keys; the body may be made in the unit */
struct kept {
	enum submit_outcome outcome;
	int http_status;
	char *body;		/* owned; NULL unless SUBMIT_REPLAY */
};

void kept_release(struct kept *k);
/* Who inserts the key owns the submission: *is_new. Else *out is what was
 * kept with it, or a mismatch. The key goes with the run. */
enum err_code key_take(struct db *db, const struct idempotency *idem,
    const char *run_id, int64_t now_ms, bool *is_new, struct kept *out,
    struct err *e);
void kept_give(struct kept *k, enum submit_outcome *outcome,
    int *replay_status, char **replay_body);

/* stages */
enum err_code stage_write(struct db *db, const struct job_ref *ref,
    const struct stage_update *u, int64_t now_ms, struct err *e);
/* Those that are RUNNING become FAILED with message. */
enum err_code stages_close(struct db *db, const char *job_id,
    const char *message, int64_t now_ms, struct err *e);
/* Sum the ledger into the row; *changed (may be NULL) is whether the stage has
 * ended and so was changed. */
enum err_code stage_sum(struct db *db, const char *job_id, const char *stage,
    bool *changed, struct err *e);

/* money (budget.c) */
/* The row c of the job has just been written: do the limits hold with it?
 * ERR_BUDGET, with an enum budget_detail. */
enum err_code budget_check_call(struct db *db, const struct spend_limits *l,
    const char *job_id, const struct call_row *c, struct err *e);
/* Does a job that is about to be accepted fit? ERR_BUDGET; *refused (may be
 * NULL) is then how the limit in its way stands. */
enum err_code budget_check_job(struct db *db, const struct spend_limits *l,
    const struct job_plan *p, struct budget *refused, struct err *e);

/* events */
enum err_code event_append(struct db *db, const char *run_id, const char *type,
    const char *data, int64_t now_ms, struct err *e);
/* The run_error that the store itself tells; type as in error_details. */
enum err_code event_append_error(struct db *db, const char *run_id,
    const char *type, const char *message, int64_t now_ms, struct err *e);

/* derived: refinements, captions and noise checks */
struct derived;

void derived_release(struct derived *d);
/* ERR_NOT_FOUND; ERR_CONFLICT with the status it has instead. */
enum err_code run_check_completed(struct db *db, const char *owner,
    const char *run_id, struct err *e);
/* PENDING to RUNNING; nothing when it has begun already. */
enum err_code derived_begin(struct db *db, const struct job *j, int64_t now_ms,
    struct err *e);
/* The row of a job that ends. end: NULL when it is not finished but given up
 * or cancelled. */
enum err_code derived_end(struct db *db, const char *kind,
    const char *subject_id, enum state to, const char *message,
    const struct job_end *end, int64_t now_ms, struct err *e);
/* Sum the ledger into the row, if it has ended. */
enum err_code derived_sum(struct db *db, const char *kind,
    const char *subject_id, struct err *e);
/* The terminal event that the store itself tells; type as in error_details. */
enum err_code derived_tell_end(struct db *db, const struct job *j,
    const char *type, enum state to, const char *message, int64_t now_ms,
    struct err *e);

#endif
