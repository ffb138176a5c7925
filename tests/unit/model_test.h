/* The suites of tests/unit/test_model, and what they share. */
#ifndef MODEL_TEST_H
#define MODEL_TEST_H

#include "tests/unit/peer.h"
#include "tests/unit/unit.h"

#include "http.h"
#include "model.h"

#define MB (1024 * 1024)

Suite *suite_http(void);
Suite *suite_sink(void);
Suite *suite_fault(void);
Suite *suite_gate(void);
Suite *suite_chat(void);
Suite *suite_edges(void);
Suite *suite_image(void);
Suite *suite_resume(void);
Suite *suite_stop(void);
Suite *suite_budget(void);

/* --- model_wire.c: between wire_setup() and wire_teardown() -------------- */

extern int dirfd_;		/* a directory with calls/ in it */
extern struct http *http;
extern struct peer *peer;

void wire_setup(void);
void wire_teardown(void);

/* A POST of text (NULL: no body yet) with generous limits. */
struct http_request post(const char *url, const char *text);
/* Send it alone and wait for its answer. */
void exchange(struct http_request r, struct http_answer *out);

/* --- model_rig.c: between rig_setup() and rig_teardown() ----------------- */

enum { MODEL_CHAT, MODEL_SMALL, MODEL_THINKER, MODEL_GPT_IMAGE, MODEL_GEMINI,
	MODEL__COUNT };

/*
 * A configuration with two providers (both the peer), a store with one
 * claimed job, a run directory, and a model over them.  Tests change conf
 * before rig_start(); it is called for them by the first call otherwise.
 */
extern struct rig {
	struct peer *peer;
	struct conf conf;
	struct provider providers[2];	/* "main": openai, "gem": gemini */
	struct model_info models[MODEL__COUNT];
	struct schema_set *schemas;
	struct store *store;
	struct model *m;
	struct cancel *cancel;
	struct call_scope scope;
	struct job_ref ref;
	char job_id[ID_MAX], run_id[ID_MAX];
	int run_dirfd;
	struct strbuf notes;	/* "code " for each */
	struct err err;
	struct call_result chat;	/* of the last ask() */
	struct image_result image;	/* of the last draw() */
} rig;

void rig_setup(void);
void rig_teardown(void);
void rig_start(void);
/* Before it: all calls of a day may cost so much. */
void rig_limit(int64_t day_nano);
/* Another life of the process: a new model over the same store and job. */
void rig_restart(void);

/* The peer's next answer. */
void say(const char *json, int status);
/* A chat answer whose content is text. */
void say_chat(const char *text);
void say_step(struct peer_step step);
/* Keep text until the peer is freed; for bodies of steps. */
const char *kept(char *text);
/* Body of a chat answer. */
char *chat_json(const char *content, const char *finish, const char *usage);

#define GOOD "{\"word\":\"tart\",\"n\":3}"

struct chat_request chat_request(void);
/* model_chat(); asserts that it ends with rc. */
void ask(enum err_code rc);
void ask_this(const struct chat_request *req, enum err_code rc);
struct image_request image_request(void);
void draw(enum err_code rc);
void draw_this(const struct image_request *req, enum err_code rc);

void fault_is(enum model_fault want);
void notes_are(const char *want);
/* Rows of the job's ledger: "ANSWERED/1 FAILED/2 ..." (state and ask). */
void ledger_is(const char *want);
int64_t ledger_cost(void);
/* The nth request's body as JSON (caller's reference). */
struct json_object *sent_json(int n);
/* Does the nth request's body contain this? */
bool sent_has(int n, const char *what);
/* A PNG of n bytes (header and noise); rewritten by each call. */
const unsigned char *png(size_t n);
/* Write a file into the run's directory. */
void put_file(const char *name, const void *data, size_t len);
bool file_is(const char *name, const void *data, size_t len);

#endif
