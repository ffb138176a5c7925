/*
 * Calling models: chat, vision and pictures, with ledger, retries and re-asks.
 *
 * A struct model is built once per process and shared by all its threads: it
 * owns the HTTP thread, one gate per provider (calls in flight, rate, pause
 * after 429) and the remembered abilities of models.
 *
 * Every wire request has a ledger row before it is sent and its answer after.
 * A call is a little state machine whose steps are attempts; on resume its
 * first attempts are read from the ledger instead of being sent, so the machine
 * walks through what has happened and goes on from there:
 *
 *   ask --send--> ANSWERED --usable--------------------------------> done
 *    ^              |--truncated: once, limit x 1.5 ------> new ask
 *    |              |--no JSON / wrong schema: once, with
 *    |              |  the violations -------------------> new ask
 *    |              '--no picture of use: once ----------> new ask
 *    |---- retryable fault, retries left (same idempotency key) ---'
 *    |---- UNKNOWN (time-out, reset, crash): once, same key -------'
 *    |---- format refused: next simpler answer mode ---------------'
 *    '---- primary exhausted, fall-back configured: its model -----'
 *
 * A fault is an enum model_fault in err.detail with code ERR_MODEL.
 */
#ifndef CHURNS_MODEL_H
#define CHURNS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer.h"
#include "conf.h"
#include "err.h"
#include "http.h"
#include "json.h"
#include "price.h"
#include "schema.h"
#include "store.h"

#define MODEL_MAX_IMAGES 3	/* input pictures of one call */
#define MODEL_MAX_CALLS 8	/* in one model_chat_all() */
#define MODEL_MAX_PROMPT_BYTES (256 * 1024)
#define MAX_IMAGE_PROMPT_CHARS 32000

enum model_fault {
	FAULT_NONE = 0,
	FAULT_AUTH,
	FAULT_RATE_LIMIT,
	FAULT_CONTENT_POLICY,
	FAULT_BAD_REQUEST,
	FAULT_NETWORK,
	FAULT_TIMEOUT,
	FAULT_SERVER,
	FAULT_TRUNCATED,
	FAULT_NO_JSON,
	FAULT_INVALID_SCHEMA,
	FAULT_NO_IMAGE,
	FAULT_EMPTY,
	FAULT_NOT_CONFIGURED,	/* purpose without model or key */
	FAULT__COUNT
};

const char *model_fault_name(enum model_fault f);	/* "rate_limit", ... */
/* A sentence for users: what happened and what they can do. */
const char *model_fault_text(enum model_fault f);
bool model_fault_is_transport(enum model_fault f);	/* worth a retry */

struct model;

struct model_options {
	const struct conf *conf;	/* with keys; outlives the model */
	const struct schema_set *schemas;
	struct store *store;	/* outlives the model */
};

enum err_code model_new(const struct model_options *opts, struct model **out,
    struct err *e);
void model_free(struct model *m);
const struct conf *model_conf(const struct model *m);
const struct schema_set *model_schemas(const struct model *m);

/* The connections shared with others that fetch over HTTP. */
struct http *model_http(struct model *m);

/* --- looking at requests without sending them ------------------------------ */

/*
 * A model can be told only to show its calls ("churnsctl prompt").  Then every
 * request is built as always and handed to a callback; after that the call goes
 * on with the ledger's answer if there is one, else it ends with
 * FAULT_NOT_CONFIGURED, so that a stage that asks several times shows all it
 * would ask.  Nothing is sent, no row is written, no key is needed.
 *
 * It is done here, and by running the stage itself, because only so it can be
 * true.  What a stage's second call says depends on the answer to its first,
 * and what a request says in the end (answer mode, limits, the schema put into
 * the words for a model that does not enforce it, a complaint, fewer pictures)
 * is settled by the state machine just before it is sent; a renderer beside
 * all that would be a second opinion, and wrong one day.  For the same reason
 * the texts and parameters shown are read back from the body's own bytes, and
 * the hash is the one the ledger gets.
 */
struct call_preview {
	const char *purpose;	/* with its suffix: "style_guide/2" */
	int variant;		/* or VARIANT_NONE */
	int ask;		/* 1; more after answers that could not be used */
	int round;		/* grows; calls of one round are made together */
	const char *provider, *model, *url;
	bool simulated, fallback;
	/* read back */
	const char *system, *user;	/* NULL: none; a picture's prompt is user */
	const char *answered, *complaint;	/* of the ask before; NULL: none */
	struct json_object *parameters;	/* all the rest but the schema */
	int64_t bytes;		/* of the body */
	const char *hash;
	/* what it was made of */
	const struct schema *schema;	/* of the answer; NULL: none */
	enum answer_mode mode;	/* meaningless without a schema */
	const struct call_image *images;
	int n_images;
	/* what has become of it */
	bool to_send;		/* it would go out now; else it is history */
	bool cached;		/* an equal request was answered: not to send */
	const struct call_row *sent;	/* the ask's last attempt; NULL: none */
};

/* One that was sent without success and would be sent again is shown twice. */
typedef void model_preview(void *arg, const struct call_preview *p);

/* From now on, for good. Such a model is used by one thread. */
void model_show_only(struct model *m, model_preview *show, void *arg);

/* On whose behalf calls are made: one per job, shared by its lanes. */
struct call_scope {
	const struct job_ref *ref;
	const char *owner;
	int run_dirfd;		/* the run's directory; blobs go to calls/ in it */
	struct cancel *cancel;
	/* Becomes true when the process is about to end: what is in flight may
	 * arrive, nothing more is sent (ERR_BUSY). Read atomically; NULL: never. */
	const bool *stopping;
	/* Unix time; 0: none. No call starts or lasts beyond either; the first
	 * is the job's (ERR_TIMEOUT), the second the stage's, which can do
	 * something else with the time that is left (FAULT_TIMEOUT). */
	int64_t deadline_ms, stage_deadline_ms;
};

/* Things people should know although the call went well: {code, message},
 * for example "call_unknown", "no_price", "fallback_model", "logo_left_out". */
typedef void model_note(void *arg, const char *code, const char *message);

struct call_image {
	const char *path;	/* relative to the run's directory */
	const char *mime;
	int width, height;	/* for estimates; 0: unknown */
	bool high_detail;
};

struct chat_request {
	enum purpose_id purpose;
	const char *suffix;	/* tells apart several calls of one purpose in a stage: "2"; NULL */
	const char *stage;	/* for the ledger */
	int variant;		/* or VARIANT_NONE */
	const char *system;
	const char *user;
	struct call_image images[MODEL_MAX_IMAGES];
	int n_images;
	const struct schema *schema;
	answer_hook *hook;
	void *hook_arg;
	/* Beyond the schema: append one line per fault; they count as violations.
	 * NULL: none. May change value. Runs in the calling thread. */
	void (*verify)(struct json_object *value, struct strbuf *violations,
	    void *arg);
	void *verify_arg;
	double temperature;	/* < 0: the purpose's */
	int max_tokens;		/* 0: the purpose's */
	bool cacheable;		/* same model, texts, pictures: same answer */
	model_note *note;
	void *note_arg;
};

struct call_result {
	enum err_code rc;	/* as model_chat() would return */
	struct err err;
	struct json_object *value;	/* chat: the fitted answer; caller's reference */
	const char *provider;	/* names live as long as the configuration */
	const char *model;
	struct usage usage;	/* of the attempt that was used */
	int64_t cost_nano;	/* of all attempts */
	int attempts;
	bool simulated;
	bool from_cache;
};

void call_result_release(struct call_result *r);

/*
 * One chat or vision call, to its end.
 * Errors: ERR_MODEL (detail: the fault of the last attempt), ERR_CANCELLED,
 * ERR_LOST, ERR_TIMEOUT (the job's deadline has come), ERR_BUSY (also: the
 * process is about to end), ERR_BUDGET (it may cost more than is left; what was
 * answered before that is booked), ERR_FULL, ERR_SYSTEM.
 */
enum err_code model_chat(struct model *m, const struct call_scope *scope,
    const struct chat_request *req, struct call_result *out, struct err *e);

/* Several at once; each result has its own rc. Returns the first rc that is
 * neither ERR_OK nor ERR_MODEL (all results are filled even so). */
enum err_code model_chat_all(struct model *m, const struct call_scope *scope,
    const struct chat_request *reqs, int n, struct call_result *out,
    struct err *e);

/* A picture that came back, before it counts. */
struct picture_offer {
	const char *file;	/* relative to the run's directory */
	const char *model;
	bool simulated;
};

/* ERR_INVALID with a reason: it cannot be used and counts as none. Others end
 * the call. Runs in the calling thread, again for the same picture when a call
 * is read back from the ledger. */
typedef enum err_code picture_judge(void *arg, const struct picture_offer *p,
    struct err *e);

struct image_request {
	enum purpose_id purpose;	/* PURPOSE_IMAGE_GENERATION */
	const char *stage;
	int variant;
	const char *prompt;
	const char *suffix;	/* tells apart several in a stage; NULL */
	struct call_image inputs[MODEL_MAX_IMAGES];	/* what is edited first, a logo last */
	int n_inputs;
	bool has_logo;		/* the last input is a logo */
	const char *mask;	/* a PNG of the first input's size, transparent
				 * where it may change; NULL: everywhere.  Left
				 * out where the wire has no masks. */
	const char *fidelity;	/* to the inputs, where the model knows it:
				 * "low"; NULL: "high" */
	const char *aspect;	/* "4:5", "1080:1350"; resolved for the model used */
	const char *quality;	/* "medium" */
	picture_judge *judge;	/* NULL: whatever begins like a picture is one */
	void *judge_arg;
	model_note *note;
	void *note_arg;
};

struct image_result {
	char *file;		/* picture bytes as the provider sent them, relative to the run's directory; owned */
	const char *provider;
	enum wire wire;
	const char *model;
	const char *aspect;	/* resolved */
	const char *size;	/* asked for; NULL where the provider takes none */
	char quality[16];	/* "medium", "default" */
	struct usage usage;
	int64_t cost_nano;	/* all attempts */
	int attempts;
	bool simulated;
	bool logo_left_out;
};

void image_result_release(struct image_result *r);

/* One picture. Errors as model_chat(). */
enum err_code model_image(struct model *m, const struct call_scope *scope,
    const struct image_request *req, struct image_result *out, struct err *e);

/* Is everything there that calls of this purpose need? ERR_MODEL with
 * FAULT_NOT_CONFIGURED and a sentence naming the variable otherwise. */
enum err_code model_available(const struct model *m, enum purpose_id p,
    struct err *e);

/* What failures in a row have led to. */
enum circuit {
	CIRCUIT_CLOSED,		/* nothing: requests go out */
	CIRCUIT_HALF_OPEN,	/* one at a time, until one succeeds */
	CIRCUIT_OPEN		/* none for a while */
};

struct provider_stats {
	const char *name;
	int64_t calls, errors, in_flight, waiting, paused_until_ms;
	enum circuit circuit;
};
/* Fills at most max rows; returns how many there are. */
int model_get_stats(struct model *m, struct provider_stats *out, int max);

/* What this process has had from one model of one provider. */
struct model_tally {
	const char *provider, *model;	/* live as long as the configuration */
	int64_t sent, in_flight;	/* wire requests */
	int64_t answered, unknown;	/* how they were settled, or ... */
	int64_t failed[FAULT__COUNT];
	int64_t cost_nano;
	/* as the ledger has them */
	int64_t prompt, completion, cached, reasoning, image_in, image_out;
};
/* The same for pairs of provider and model that were asked at all. */
int model_get_tallies(struct model *m, struct model_tally *out, int max);

#endif
