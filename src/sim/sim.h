/*
 * What the files of churns-sim share.
 *
 * The life of a call:
 *
 *   RECEIVING --body complete--> QUEUED --worker--> BUILT --due--> SENDING
 *                                                                    |
 *                  answered (whole, status 200) or failed <-- DONE --'
 *
 * One thread of libmicrohttpd owns all sockets.  A call whose body is complete
 * is suspended there, so that waiting costs no thread; a few workers parse
 * requests and make answers; one clock thread resumes the calls whose time
 * has come or whose client has left.
 *
 * The rule: an answer depends on the request's decoded content alone, so the
 * same request gives the same bytes whoever asks, whenever, with whatever
 * Idempotency-Key.  Only a script changes what is answered.
 *
 * No json_object crosses threads: a call owns its parsed body, and one
 * worker at a time owns a call.
 */
#ifndef SIM_H
#define SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "digest.h"
#include "err.h"
#include "json.h"
#include "strbuf.h"

#define SIM_MAX_BODY_BYTES (64u * 1024 * 1024)
#define SIM_MAX_ANSWER_BYTES (96u * 1024 * 1024)
#define SIM_MAX_PICTURE_BYTES (48u * 1024 * 1024)	/* one input, decoded */
#define SIM_MAX_PIXELS 60000000
#define SIM_MAX_PICTURES 4	/* inputs of one request */
#define SIM_MAX_TEXT_BYTES (1024 * 1024)
#define SIM_NAME_MAX 96

enum sim_kind {
	KIND_CHAT,
	KIND_GENERATION,
	KIND_EDIT,
	KIND_GENERATE_CONTENT,
	KIND__COUNT
};

const char *sim_kind_name(enum sim_kind k);	/* "chat", ... */

enum answer_format { FORMAT_TEXT, FORMAT_JSON_OBJECT, FORMAT_JSON_SCHEMA };

/* --- request.c: what was asked ----------------------------------------- */

struct sim_request {
	enum sim_kind kind;
	bool openrouter;	/* says what it charged */
	char model[SIM_NAME_MAX];
	char schema_name[SIM_NAME_MAX];	/* given or recognised; "" when none */
	struct strbuf system;	/* texts of system messages */
	struct strbuf user;	/* all other texts, or the picture prompt */
	enum answer_format format;
	bool wants_picture;	/* the answer is a picture */
	struct json_object *body;	/* JSON requests; owned */
	struct json_object *schema;	/* borrowed from body or from found */
	struct json_object *found;	/* a schema read from the prompt; owned */
	struct strbuf pictures[SIM_MAX_PICTURES];	/* file bytes */
	int n_pictures;
	int width, height;	/* of the picture asked for */
	char quality[16];
	bool as_url;
	bool high_fidelity;
	int max_tokens;		/* 0: no limit */
	char hash[DIGEST_HEX_MAX];	/* of the decoded content */
	uint64_t seed;		/* its first 64 bits */
};

struct sim_input {		/* as it came */
	enum sim_kind kind;
	const char *path;
	const char *content_type;	/* NULL: none */
	const char *body;
	size_t len;
};

/* Errors: ERR_INVALID with a sentence a provider could say. The request is to
 * be released in any case. */
enum err_code sim_request_parse(const struct sim_input *in,
    struct sim_request *r, struct err *e);
void sim_request_release(struct sim_request *r);

/* Which call a path asks for; false when it is none. */
bool sim_kind_of_path(const char *path, enum sim_kind *out);

/* --- multipart.c ------------------------------------------------------- */

struct part {
	char name[64];
	const char *data;	/* within the body */
	size_t len;
	bool is_file;
};

/* Up to max parts of a whole multipart/form-data body; -1 when malformed. */
int multipart_split(const char *content_type, const char *body, size_t len,
    struct part *out, int max);

/* --- words.c, lexicon.c: what a prompt speaks of ----------------------- */

#define FACTS_MAX_NICHES 12
#define FACTS_MAX_HEXES 8
#define FACTS_MAX_QUOTES 8
#define FACTS_PHRASE_MAX 512

struct food {			/* a row of the lexicon */
	const char *word;	/* lower case, singular */
	int category;		/* enum food_category */
	const char *hex;	/* its colour */
};

enum food_category {
	FOOD_OTHER,
	FOOD_SWEET,
	FOOD_DRINK,
	FOOD_SAVOURY,
	FOOD_GREEN,
	FOOD_SEA,
	FOOD__COUNT
};

struct facts {
	char subject[FACTS_PHRASE_MAX];	/* "lemon tart"; never empty */
	char detail[FACTS_PHRASE_MAX];	/* another phrase of the brief, or "" */
	bool from_brief;	/* the subject was found in a brief */
	const struct food *food;	/* of the subject; NULL */
	int count;		/* "COUNT: n"; 0 when absent */
	int index;		/* "INDEX: k"; -1 when absent */
	char niches[FACTS_MAX_NICHES][FACTS_PHRASE_MAX];
	int n_niches;
	char hexes[FACTS_MAX_HEXES][8];	/* "#RRGGBB", upper case */
	int n_hexes;
	bool hexes_given;	/* as codes; otherwise from colour words */
	bool has_overlay;
	char quotes[FACTS_MAX_QUOTES][FACTS_PHRASE_MAX];	/* literal words */
	int n_quotes;
	bool wants_details;	/* of a picture, not its subject alone */
	bool keeps_subject;	/* it is in the picture: not to be described */
	bool text_off, branding_off;	/* "Text: OFF", "Branding: OFF" */
};

void facts_find(const struct sim_request *r, struct facts *out);

/* The number asked for next to a word that starts with topic ("exactly 3
 * strategies", "N = 3", "three styles"); 0 when there is none. */
int words_count_near(const char *text, const char *topic);

/* Words in double quotes in text, at most n; returns how many. */
int words_quoted(const char *text, size_t len,
    char (*out)[FACTS_PHRASE_MAX], int n);

/* NULL when the lexicon does not know it; plural forms are understood. */
const struct food *lexicon_food(const char *word, size_t len);
/* "#RRGGBB" of a colour word ("teal"), or NULL. */
const char *lexicon_color(const char *word, size_t len);
bool lexicon_is_stop_word(const char *word, size_t len);
/* The name for a colour a person would use ("golden brown"). */
const char *lexicon_color_name(int r, int g, int b);

/* --- look.c: what is in an input picture ------------------------------- */

#define LOOK_MAX_COLORS 4

struct look {
	int width, height;
	char hexes[LOOK_MAX_COLORS][8];	/* most frequent first */
	const char *names[LOOK_MAX_COLORS];
	int n;
	double brightness;	/* 0..1 */
};

/* False when the bytes are no picture that can be decoded. */
bool look_at(const struct strbuf *file, struct look *out);
/* True-colour pixels for gdImageDestroy(), or NULL. */
struct gdImageStruct *look_decode(const struct strbuf *file);

/* --- chat.c, prose.c: answers in words --------------------------------- */

/* The content of an answer as JSON text that fits the schema, or prose when
 * no schema was asked for. */
void chat_write(const struct sim_request *r, struct strbuf *out);

/* --- draw.c, letters.c, photo.c: pictures ------------------------------ */

/* A PNG for a request that wants a picture. ERR_INVALID: an input picture
 * cannot be decoded; ERR_SYSTEM: no memory. */
enum err_code draw_picture(const struct sim_request *r, struct strbuf *png,
    struct err *e);

/* A JPEG of a lemon tart; orientation 0 (no tag) or 1..8. */
enum err_code photo_draw(int orientation, struct strbuf *out, struct err *e);

/* --- script.c: faults -------------------------------------------------- */

enum fault_type {
	FAULT_NONE,
	FAULT_STATUS,
	FAULT_RESET,
	FAULT_STALL,
	FAULT_TRUNCATED,
	FAULT_FENCED,
	FAULT_CHATTY,
	FAULT_WRONG_SCHEMA,
	FAULT_NO_JSON,
	FAULT_EMPTY,
	FAULT_NO_IMAGE,
	FAULT_BROKEN_IMAGE,
	FAULT_POLICY,
	FAULT_LATENCY,
	FAULT_UNSUPPORTED_FORMAT,
	FAULT_NO_USAGE,
	FAULT__COUNT
};

struct fault {			/* what is to happen to one call */
	enum fault_type type;
	int64_t latency_ms;	/* before anything is answered */
	bool dear;		/* all that could be used was used */
	int status;
	char retry_after[32];	/* "": no header */
	int64_t stall_ms;
	char *body;		/* JSON text to answer with; owned, NULL: none */
};

struct script;

struct script *script_new(void);
void script_free(struct script *s);
/* {"latency_ms":N,"dear":false,"faults":[...]}; replaces what it names; "append":true adds
 * faults behind those that are there. ERR_INVALID says what is wrong and
 * leaves the script as it was. */
enum err_code script_load(struct script *s, const char *json, size_t len,
    struct err *e);
void script_reset(struct script *s);
/* Decide the fate of a call; uses up what it matches. Release with
 * fault_release(). */
void script_apply(struct script *s, const struct sim_request *r,
    struct fault *out);
void fault_release(struct fault *f);
const char *fault_name(enum fault_type t);	/* "reset"; "none" */

/* --- answer.c: the providers' shapes ----------------------------------- */

struct answer {
	int status;
	const char *content_type;
	char retry_after[32];
	struct strbuf body;
};

/* base_url: "http://host:port" for url answers. */
void answer_make(const struct sim_request *r, const struct fault *f,
    const char *base_url, struct answer *out);
/* A provider's error; message is a sentence. */
void answer_error(enum sim_kind kind, int status, const char *message,
    struct answer *out);
void answer_init(struct answer *a);
void answer_release(struct answer *a);

/* Pictures that were answered by URL, the youngest few of them. */
void gallery_put(const char *hash, const struct strbuf *png);
bool gallery_get(const char *hash, struct strbuf *out);
void gallery_clear(void);

/* --- counters.c -------------------------------------------------------- */

struct counters;

struct counters *counters_new(void);
void counters_free(struct counters *c);
void counters_reset(struct counters *c);
void counters_connection(struct counters *c);
/* A call's body is complete; r is NULL when it could not be parsed. */
void counters_arrived(struct counters *c, enum sim_kind kind, const char *key);
void counters_parsed(struct counters *c, const struct sim_request *r);

struct outcome {
	enum sim_kind kind;
	const char *key;	/* Idempotency-Key; NULL: none */
	const char *model, *schema;	/* "" when not parsed */
	const char *system, *prompt;
	int status;
	bool whole;		/* all of it went to the socket */
	size_t bytes;
	int64_t at_ms, took_ms;	/* wall clock at arrival */
};
void counters_done(struct counters *c, const struct outcome *o);

/* Texts of GET /sim/counters and GET /sim/requests; free(). */
char *counters_text(struct counters *c);
char *counters_requests_text(struct counters *c, int last);

/* --- calllog.c: what a killed simulator had answered -------------------- */

struct call_log;

enum call_log_event {
	CALL_LOG_ARRIVED,
	CALL_LOG_ANSWERING,
	CALL_LOG_ENDED
};

struct logged_call {
	int64_t number;		/* of the process's calls, from 1 */
	enum sim_kind kind;
	const char *key;	/* Idempotency-Key; NULL: none */
	const char *request_id;	/* X-Client-Request-Id; NULL: none */
	int status;		/* not yet known when it arrives */
	const char *fault;	/* fault_name() */
	bool whole;		/* to be sent, and at the end: was sent */
};

/* Lines are added to those of the file. ERR_SYSTEM. */
enum err_code call_log_open(const char *path, struct call_log **out,
    struct err *e);
void call_log_close(struct call_log *l);	/* NULL is fine */
/* Any thread. l may be NULL. */
void call_log_write(struct call_log *l, enum call_log_event event,
    const struct logged_call *c);

/* --- pool.c: workers and the clock ------------------------------------- */

/*
 * Something that is built by a worker and then waits for its time.  The pool
 * holds a task from pool_submit() or pool_wait() until it calls resume(), and
 * does not touch it afterwards.
 */
struct task {
	void (*build)(struct task *t);	/* in a worker; sets due_ms */
	void (*resume)(struct task *t, bool gone);	/* gone: nobody waits */
	bool (*gone)(struct task *t);	/* has the client left? */
	int64_t due_ms;		/* clock_mono_ms() at which to resume */
	size_t ready_bytes;	/* memory its answer holds */
	struct task *next;
};

struct pool;

struct pool *pool_new(int workers);
/* Resume all tasks as gone and end the threads; no task is taken any more. */
void pool_close(struct pool *p);
void pool_free(struct pool *p);	/* after pool_close() */
/* False when the pool is stopping: the task stays the caller's. */
bool pool_submit(struct pool *p, struct task *t);
bool pool_wait(struct pool *p, struct task *t);
/* The memory of an answer is free again. */
void pool_returned(struct pool *p, size_t bytes);

/* --- server.c ---------------------------------------------------------- */

struct server_options {
	const char *host;
	int port;		/* 0: any */
	bool allow_remote;	/* otherwise loopback addresses only */
	bool log_calls;
	struct script *script;
	struct counters *counters;
	struct call_log *log;	/* NULL: none */
};

struct server;

enum err_code server_start(const struct server_options *o, struct server **out,
    struct err *e);
int server_port(const struct server *s);
void server_stop(struct server *s);

#endif
