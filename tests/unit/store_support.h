/*
 * What the tests of the store share: a database in a directory of its own,
 * short ways to say "add a run", "claim at T0", and an audit that knows what
 * must be true of any database whatever was done to it.
 */
#ifndef STORE_SUPPORT_H
#define STORE_SUPPORT_H

#include <pthread.h>
#include <semaphore.h>
#include <sqlite3.h>

#include "src/store/internal.h"
#include "store.h"
#include "unit.h"

#define T0 INT64_C(1700000000000)	/* a moment in November 2023 */
#define LEASE 30000
#define HOUR 3600000
#define SHORT_WAIT_MS 60

extern struct store *st;	/* opened by the fixture */
extern _Thread_local struct err err;
extern const struct holder me, other;	/* two runners */

/* Checked fixture: a fresh directory and an open store in it.  After the test
 * the database is audited and the directory removed. */
void set_up(void);
void set_up_closed(void);	/* the directory only */
void set_up_impatient(void);	/* with a lock_wait_ms of SHORT_WAIT_MS */
void tear_down(void);

const char *db_path(void);
struct store_options options(void);
void open_with(const struct store_options *o);
void close_store(void);

/* "run-000001", kept in a ring of some buffers. */
const char *id_of(const char *what, int n);

/* Run n of owner "ann", created at T0 + n, with stages image_eval, strategy
 * and style_guide, job "job-n". */
void add_run(int n);
struct run_spec {
	int n;
	const char *owner;	/* NULL: "ann" */
	const char *mode;	/* NULL: "easy_mode" */
	int priority;
	int64_t created_ms;	/* 0: T0 + n */
	const char *platform, *prompt;	/* NULL: none */
};
enum err_code submit(struct store *s, const struct run_spec *spec,
    const struct idempotency *idem, enum submit_outcome *outcome, int *status,
    char **body, struct err *e);
void add(const struct run_spec *spec);

/* Number of the run claimed, or 0; the reference is in *ref. */
struct claimed {
	char job_id[ID_MAX], run_id[ID_MAX];
	struct job_ref ref;	/* points into this */
	int attempts;
	int64_t deadline_ms;
};
int claim_for(const struct holder *h, int64_t now_ms, struct claimed *out);
int claim_at(int64_t now_ms, struct claimed *out);
#define claim_none(now) ck_assert_int_eq(claim_at((now), NULL), 0)

/* A stage_update with an event that has the status in it. */
struct stage_update update_of(const char *name, double order,
    enum stage_status status);
enum err_code tell(const struct claimed *c, const char *stage,
    enum stage_status status, int64_t now_ms);
enum err_code checkpoint(const struct claimed *c, const char *stage,
    int variant, int64_t now_ms);
enum err_code finish(const struct claimed *c, enum state how, int64_t now_ms);
enum err_code cancel(int n, int64_t now_ms, enum cancel_outcome *outcome,
    enum state *was);

/* A ledger row: begun and, with cost >= 0, answered. */
void call_init(struct call_row *c, const char *id, const struct claimed *of,
    const char *stage, int attempt);
void buy(const struct claimed *c, const char *id, const char *stage,
    int64_t cost_nano);

enum state run_status(int n);
enum state job_state(int n);
int64_t last_event_seq(int n);

/* First column of the first row, on a connection of its own. */
int64_t sql_int(const char *sql);
void sql_run(const char *sql);
void audit(void);

/* A unit that stays inside its transaction until the gate is opened, so that
 * what is written meanwhile queues up. */
struct gate {
	sem_t inside, go;
	pthread_t thread;
	enum err_code rc, returns;
	int runs;
};

void gate_close(struct gate *g, enum err_code returns);
void gate_open(struct gate *g);
void wait_for_queue(int64_t n);	/* until n units wait */

/* A thread that writes one row: "key-n". */
struct put {
	pthread_t thread;
	char key[40];
	const char *text;	/* NULL breaks a rule of the table */
	enum err_code rc;
};

void put_start(struct put *p, int n, const char *text);
bool is_stored(const char *key);

#endif
