/*
 * The upper half of the room: what a call is, and who takes part in it.
 *
 *   call.c      the state machine drawn in model.h, and the loop that runs it
 *   attempt.c   one attempt on the wire
 *   chat.c      what is asked and judged of a chat or vision call
 *   image.c     the same for a picture
 *   provider_*  how it looks on the wire
 *   fault.c     what went wrong, and whether trying again can help
 *   gate.c      when a call may be sent
 *   ledger.c    what is written down before and after
 *   tally.c     the same in sums, for who watches this process
 *   preview.c   showing a call instead of sending it
 */
#ifndef MODEL_CALL_H
#define MODEL_CALL_H

#include <pthread.h>
#include <sys/queue.h>

#include "internal.h"
#include "model.h"

#define PURPOSE_KEY_MAX 64
#define IDEMPOTENCY_KEY_MAX 33		/* 32 hex digits and the NUL */
#define CALL_TEXT_MAX_BYTES ((size_t)1024 * 1024)	/* of one answer */
#define CALL_BLOB_MAX_BYTES ((int64_t)64 * 1024 * 1024)
#define CALL_URL_MAX 2048

/* --- what went wrong (fault.c) ------------------------------------------- */

/* The outcome of one attempt. */
struct verdict {
	enum model_fault fault;	/* FAULT_NONE: the answer is what was wanted */
	bool unknown;		/* sent, and no answer */
	bool again;		/* the same request may fare better later */
	bool lost;		/* answered once, but its picture is gone from disk */
	enum err_code local;	/* our own trouble ends the call; ERR_OK: none */
	int status;		/* HTTP */
	int64_t retry_after_ms;	/* -1: not said */
	char sentence[ERR_MSG_MAX];	/* for users */
	char detail[ERR_MSG_MAX];	/* for the ledger; "": as the sentence */
};

void verdict_set(struct verdict *v, enum model_fault fault);	/* with its usual text */
bool fault_parse(const char *name, enum model_fault *out);

/* How the wire fared: *answer is the parsed body, also of an error (caller's
 * reference; NULL: none). key is taken out of whatever the provider says. */
void verdict_of_answer(const struct http_answer *a, const char *key,
    struct json_object **answer, struct verdict *v);
/* The same for a row of an earlier life that is not ANSWERED. */
void verdict_of_row(const struct call_row *row, struct verdict *v);

/* Does a rejection speak of ...? Case does not matter; words end with NULL. */
bool rejection_mentions(const struct verdict *v, const char *const *words);

/* --- gates (gate.c) ------------------------------------------------------ */

enum gate_kind { GATE_LLM, GATE_IMAGE, GATE_KIND__COUNT };

enum gate_result {
	GATE_NEUTRAL,		/* says nothing about the provider */
	GATE_FINE,
	GATE_LIMITED,		/* 429: too much for it */
	GATE_BROKEN		/* no answer, or a broken one */
};

/* A call that wants to be sent, or is. Belongs to one thread. */
struct gate_ticket {
	TAILQ_ENTRY(gate_ticket) link;
	int provider;		/* position in conf->providers */
	enum gate_kind kind;
	struct http_group *wake;	/* told when it may be its turn */
	bool queued, held;
};

struct gates;

struct gates *gates_new(const struct conf *conf);
void gates_free(struct gates *g);

/*
 * Try to get through; never waits. When false the ticket keeps its place in
 * the queue, and it is worth trying again after a wake of its group or at
 * *again_ms (monotonic; INT64_MAX: only a wake helps).
 */
bool gate_enter(struct gates *g, struct gate_ticket *t, int64_t now_ms,
    int64_t *again_ms);
/* The call is over, or given up while queued; nothing when neither. */
void gate_leave(struct gates *g, struct gate_ticket *t,
    enum gate_result result, int64_t now_ms);
/* Nobody is sent to this provider before until_ms (monotonic). */
void gate_pause(struct gates *g, int provider, int64_t until_ms);
int gates_stats(struct gates *g, struct provider_stats *out, int max);

/* --- tallies (tally.c) --------------------------------------------------- */

struct tallies;

struct tallies *tallies_new(void);
void tallies_free(struct tallies *t);
/* The row was written and its request goes out. */
void tally_sent(struct tallies *t, const struct provider *p,
    const struct model_info *m);
/* It has been settled with this fault (FAULT_NONE: answered). */
void tally_settled(struct tallies *t, const struct provider *p,
    const struct model_info *m, const struct call_row *row,
    enum model_fault fault);
int tallies_get(struct tallies *t, struct model_tally *out, int max);

/* --- the model ----------------------------------------------------------- */

/* What a model turned out not to take, as long as this process lives. */
struct ability {
	enum answer_mode mode;	/* the strictest still tried */
	bool no_aspect;
	bool one_image;
};

struct model {
	const struct conf *conf;
	const struct schema_set *schemas;
	struct store *store;
	struct http *http;
	struct gates *gates;
	struct tallies *tallies;
	pthread_mutex_t lock;
	struct ability *abilities;	/* as conf->models; under lock */
	model_preview *preview;	/* NULL: calls are sent */
	void *preview_arg;
	int preview_round;
};

struct ability model_ability(struct model *m, const struct model_info *info);
/* Remember the lesser of what was known and what is. */
void model_learn(struct model *m, const struct model_info *info,
    struct ability ability);

bool provider_usable(const struct provider *p);	/* NULL: no */
enum err_code not_configured(const struct conf *conf, enum purpose_id p,
    struct err *e);

/* --- a call -------------------------------------------------------------- */

enum call_step {
	STEP_NEXT,		/* the next attempt: from the ledger or to be sent */
	STEP_GATE,		/* ready to be sent, not let through yet */
	STEP_PAUSE,		/* before another attempt */
	STEP_FLIGHT,		/* sent */
	STEP_FETCH,		/* the picture of an answer is being downloaded */
	STEP_DONE
};

/* One request as it goes out. */
struct call_wire {
	char url[CALL_URL_MAX];
	char content_type[128];
	const char *key_header;	/* "Authorization: Bearer " */
	struct http_body *body;	/* owned until it is sent */
	size_t max_string_bytes;	/* 0: pictures leave the text */
};

struct call;

/* What chat and pictures do differently. */
struct call_kind {
	enum gate_kind gate;
	/* c->provider and c->model are new: start over with them. */
	void (*begin)(struct call *c);
	/* The request of the current ask; c->idempotency_key is its name. */
	enum err_code (*build)(struct call *c, struct call_wire *w,
	    struct err *e);
	/* A success arrived: bring to disk what belongs there (c->row.blobs). */
	enum err_code (*keep)(struct call *c, struct json_object *answer,
	    struct err *e);
	/* The most the prepared request can cost: what is reserved for it. */
	int64_t (*most)(const struct call *c);
	/* Usage when the provider said none; answer NULL: nothing of it could
	 * be kept. */
	void (*estimate)(const struct call *c, const struct json_object *answer,
	    struct usage *u);
	int64_t (*price)(const struct call *c, const struct usage *u,
	    const struct json_object *answer);
	/* Is it what was wanted? May set c->fetch_url instead. */
	void (*judge)(struct call *c, const struct call_row *row,
	    const struct json_object *answer, struct verdict *v);
	/* The file of c->fetch_url has arrived as c->fetch_file. */
	void (*fetched)(struct call *c, struct verdict *v);
	/* Ask differently after this fault? True: it will. */
	bool (*adapt)(struct call *c, const struct verdict *v);
	/* For a preview: what the request was made of, and what body (that was
	 * read back from it) says. */
	void (*describe)(const struct call *c, const struct json_object *body,
	    struct call_preview *out);
};

struct call {
	/* who asks for what */
	struct model *m;
	const struct call_scope *scope;
	const struct call_kind *kind;
	enum purpose_id purpose;
	char purpose_key[PURPOSE_KEY_MAX];	/* "style_guide/2" */
	const char *stage;
	int variant;
	model_note *note;
	void *note_arg;

	/* whom */
	const struct provider *provider;
	const struct model_info *model;
	bool on_fallback;

	/* how far */
	enum call_step step;
	struct call_list past;	/* rows of earlier lives */
	int n_past_used;
	int attempt;		/* of the last one; 0: none yet */
	int ask;		/* the current one, from 1 */
	int retries, unknowns;	/* of the current ask */
	int shown_ask;		/* the last one previewed; 0: none */
	int64_t budget_until_ms;	/* waits for money no longer; monotonic; 0: does not */
	int64_t until_ms;	/* STEP_PAUSE, STEP_GATE: look again then; monotonic */
	char idempotency_key[IDEMPOTENCY_KEY_MAX];
	char hash[DIGEST_HEX_MAX];	/* of the current ask; "" until known */

	/* the attempt in hand */
	struct call_wire wire;
	struct call_row row;
	struct gate_ticket ticket;
	char *fetch_url;	/* owned */
	char blob_prefix[64];	/* "calls/<row id>" */
	char fetch_prefix[64];	/* "calls/<row id>.url": where it arrives */
	char fetch_file[64];	/* "calls/<row id>.0": what it becomes, whole */
	int fetch_tries;

	/* sums, and the end */
	struct usage usage;	/* of the last attempt with any */
	int64_t cost_nano;
	bool no_price_said;
	enum err_code rc;
	struct err err;
};

/* suffix may be NULL. Everything else of c must be zero. */
enum err_code call_init(struct call *c, struct model *m,
    const struct call_scope *scope, const struct call_kind *kind,
    enum purpose_id purpose, const char *suffix, const char *stage,
    int variant, model_note *note, void *note_arg);
/* Run them all to their ends: c->rc and c->err of each. */
void calls_run(struct model *m, const struct call_scope *scope,
    struct call **calls, int n);
void call_release(struct call *c);
void call_note(const struct call *c, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Between call.c and attempt.c. */
#define TAG_FETCH 256		/* added to the tag of a download */

/* The request of the current ask, built and hashed if it is not yet. */
enum err_code call_prepare(struct call *c, struct err *e);
void wire_release(struct call_wire *w);
/* What one attempt leads to. live: it was just now, so pauses are kept. */
void call_decide(struct call *c, const struct verdict *v, bool live);
/* Judge an answer. It may turn out to name a picture that must be fetched. */
void call_judge(struct call *c, const struct call_row *row,
    struct json_object *answer, bool live);
void call_end(struct call *c, enum err_code rc);	/* rc is what c->err says */
void call_out_of_time(struct call *c);
/* Its budget has no room, c->err says why. True: it may have when calls under
 * way are settled, so the call looks again after a pause. */
bool call_await_budget(struct call *c);
int64_t call_time_left(const struct call *c);	/* INT64_MAX: no deadline */
/* base * 2^n, 25 % more or less, at most the cap. */
int64_t backoff_ms(const struct settings *s, int n);

void attempt_send(struct call *c, struct http_group *g, int tag);
/* Book the answer, then see what it is worth. */
void attempt_answered(struct call *c, struct http_answer *a);
void attempt_abandon(struct call *c);	/* in flight, not waited for */
void attempt_fetch(struct call *c, struct http_group *g, int tag);
void attempt_fetched(struct call *c, const struct http_answer *a);

/* --- previews (preview.c) ------------------------------------------------ */

/* May this provider be asked? NULL: no. Who only shows needs no key. */
bool call_can_ask(const struct model *m, const struct provider *p);
/* Show the current ask; false: the call has ended with that. Only where
 * m->preview is set. */
bool preview_ask(struct call *c);
/* Show the ask that a row has led to, unless it is shown already. Nothing
 * without a preview, like the next one. */
void preview_followed(struct call *c);
/* The prepared request has an answer in the cache. */
void preview_cached(struct call *c);

/* --- the ledger (ledger.c) ----------------------------------------------- */

void ledger_key(const struct call *c, char out[IDEMPOTENCY_KEY_MAX]);
enum err_code ledger_load(struct call *c, struct err *e);
/* Write c->row for the attempt about to be sent. */
enum err_code ledger_begin(struct call *c, struct err *e);
/* The outcome; answer_text (NULL: none) is kept with an ANSWERED row. */
enum err_code ledger_settle(struct call *c, const struct verdict *v,
    const char *answer_text, struct err *e);
/* Put tokens and money of an answer into c->row and the sums. */
void ledger_book(struct call *c, const struct json_object *answer);
/* Tokens as the row tells them. */
void ledger_usage(const struct call_row *row, struct usage *out);
/* Are the files of the row still there? */
bool ledger_blobs_exist(const struct call_row *row, int run_dirfd);
/* Is name one of the files of the row? */
bool ledger_has_blob(const struct call_row *row, const char *name);
void ledger_add_blob(struct call_row *row, const char *name);

#endif
