/*
 * Chat and vision calls: what is asked, and whether the answer will do.
 *
 * What can be asked differently after a fault, each within its bound:
 *
 *   the answer format is refused   the next simpler one, remembered per model
 *   truncated                      once, with half as much room again
 *   no JSON, wrong form, empty     validation_retries times, with the answer
 *                                  and what is wrong with it
 *
 * Correctness never depends on the provider: every answer is read by
 * answer_read() and held against the schema, whatever was promised.
 */
#include "call.h"

#include "answer.h"
#include "clock.h"
#include "log.h"
#include "provider.h"
#include "utf8.h"
#include "xalloc.h"

#define MAX_ANSWERED_BYTES 8192	/* of the unusable answer that is sent back */
#define MAX_COMPLAINT_BYTES 16384
#define MAX_LINE_BYTES 500	/* of one violation */
#define GUESSED_COMPLETION 1000	/* tokens, where there is no limit */
#define UNLIMITED_COMPLETION 131072	/* at most then; no model writes more */

struct chat_call {
	struct call call;	/* first: a struct call * is one of these */
	const struct chat_request *req;
	enum answer_mode mode;
	int limit;		/* output tokens; 0: not sent */
	int reasks;
	bool widened;
	char *answered;		/* the unusable answer; owned */
	char *complaint;	/* what is wrong with it; owned */
	char *cache_key;	/* owned; NULL: not cached */
	struct json_object *value;
	bool from_cache;
};

static struct chat_call *
chat_of(const struct call *c)
{
	return (struct chat_call *)(uintptr_t)c;
}

static void
forget_complaint(struct chat_call *cc)
{
	free(cc->answered);
	free(cc->complaint);
	cc->answered = cc->complaint = NULL;
}

static void
chat_begin(struct call *c)
{
	struct chat_call *cc = chat_of(c);
	const struct purpose *p = &c->m->conf->purposes[c->purpose];
	enum answer_mode known = model_ability(c->m, c->model).mode;

	cc->mode = known < c->model->answer_mode ? known :
	    c->model->answer_mode;
	cc->limit = cc->req->max_tokens > 0 ? cc->req->max_tokens :
	    p->max_tokens;
	/* Hidden reasoning is paid from the same limit. */
	if (c->model->reasoning && cc->limit > 0 &&
	    p->reasoning_max_tokens > cc->limit)
		cc->limit = p->reasoning_max_tokens;
	cc->reasks = 0;
	cc->widened = false;
	forget_complaint(cc);
}

static enum err_code
chat_build(struct call *c, struct call_wire *w, struct err *e)
{
	const struct chat_call *cc = chat_of(c);
	const struct chat_request *req = cc->req;
	const struct chat_ask ask = {
		.model = c->model,
		.system = req->system,
		.user = req->user,
		.images = req->images,
		.n_images = req->n_images,
		.run_dirfd = c->scope->run_dirfd,
		.schema = req->schema,
		.mode = cc->mode,
		.temperature = req->temperature >= 0 ? req->temperature :
		    purpose_temperature(&c->m->conf->purposes[c->purpose],
		    c->model),
		.max_tokens = cc->limit,
		.answered = cc->answered,
		.complaint = cc->complaint,
	};

	snprintf(w->url, sizeof(w->url), "%s%s", c->provider->base_url,
	    provider_ops(c->provider->wire)->chat_path);
	snprintf(w->content_type, sizeof(w->content_type),
	    "application/json");
	w->key_header = "Authorization: Bearer ";
	w->max_string_bytes = CALL_TEXT_MAX_BYTES;
	return chat_body(&ask, w->body, e);
}

static enum err_code
chat_keep(struct call *c, struct json_object *answer, struct err *e)
{
	(void)c;
	(void)answer;
	(void)e;
	return ERR_OK;
}

/*
 * The texts are those of the body itself, with schema and complaint.  What comes
 * back is bounded by the limit that is sent, which pays for hidden reasoning as
 * well; without one, by what no model writes.
 */
static int64_t
chat_most(const struct call *c)
{
	const struct chat_call *cc = chat_of(c);
	const struct chat_request *req = cc->req;
	int64_t pictures = 0;
	int i;

	for (i = 0; i < req->n_images; i++)
		pictures += tokens_image_most(c->model, req->images[i].width,
		    req->images[i].height, req->images[i].high_detail);
	return price_most(c->model, http_body_text_length(c->wire.body),
	    pictures, cc->limit > 0 ? cc->limit : UNLIMITED_COMPLETION);
}

static void
chat_estimate(const struct call *c, const struct json_object *answer,
    struct usage *u)
{
	const struct chat_call *cc = chat_of(c);
	const struct chat_request *req = cc->req;
	struct strbuf text = STRBUF_INIT(CALL_TEXT_MAX_BYTES);
	struct chat_reply reply;
	int i;

	u->text_in = tokens_text(req->system != NULL ? req->system : "") +
	    tokens_text(req->user != NULL ? req->user : "");
	for (i = 0; i < req->n_images; i++)
		u->image_in += tokens_image(c->model, req->images[i].width,
		    req->images[i].height, req->images[i].high_detail);
	u->prompt = u->text_in + u->image_in;
	if (answer != NULL) {
		chat_reply_read(answer, &text, &reply);
		u->completion = tokens_text(text.buf);
		/* Nobody is charged for more than there was room for. */
		if (cc->limit > 0 && u->completion > cc->limit)
			u->completion = cc->limit;
	} else {
		u->completion = cc->limit > 0 ? cc->limit :
		    GUESSED_COMPLETION;
	}
	strbuf_release(&text);
}

static int64_t
chat_price(const struct call *c, const struct usage *u,
    const struct json_object *answer)
{
	(void)answer;
	return price_booked(c->model, u, 0, NULL, NULL);
}

/* --- judging ------------------------------------------------------------- */

static enum model_fault
fault_of_answer(enum answer_fault f)
{
	switch (f) {
	case ANSWER_FINE:
		return FAULT_NONE;
	case ANSWER_EMPTY:
		return FAULT_EMPTY;
	case ANSWER_TRUNCATED:
		return FAULT_TRUNCATED;
	case ANSWER_NO_JSON:
		return FAULT_NO_JSON;
	case ANSWER_INVALID_SCHEMA:
		return FAULT_INVALID_SCHEMA;
	}
	return FAULT_NO_JSON;
}

/* Read and check; the value goes to *out when there is no fault. */
static enum model_fault
read_value(const struct chat_call *cc, const struct strbuf *text,
    bool length_cut, struct json_object **out, struct strbuf *violations)
{
	const struct answer_wish wish = {
		.schema = cc->req->schema,
		.hook = cc->req->hook,
		.hook_arg = cc->req->hook_arg,
		.length_cut = length_cut,
	};
	struct json_object *value = NULL;
	enum model_fault fault;

	fault = fault_of_answer(answer_read(text->buf, text->len, &wish,
	    &value, violations));
	if (fault == FAULT_NONE && cc->req->verify != NULL) {
		cc->req->verify(value, violations, cc->req->verify_arg);
		if (violations->len > 0)
			fault = FAULT_INVALID_SCHEMA;
	}
	if (fault == FAULT_NONE)
		*out = value;
	else
		json_object_put(value);
	return fault;
}

/* What the model is told about its answer. */
static char *
complaint_about(enum model_fault fault, const struct strbuf *violations)
{
	struct strbuf sb = STRBUF_INIT(MAX_COMPLAINT_BYTES + 1024);
	const char *line = violations->buf;
	size_t len;

	if (fault == FAULT_EMPTY)
		strbuf_addstr(&sb, "Your answer was empty.");
	else if (fault == FAULT_NO_JSON)
		strbuf_addstr(&sb, "Your answer has no JSON value that can "
		    "be read.");
	else
		strbuf_addstr(&sb, "Your answer cannot be used yet. What is "
		    "wrong with it:");
	while (*line != '\0' && sb.len < MAX_COMPLAINT_BYTES) {
		len = strcspn(line, "\n");
		strbuf_addf(&sb, "\n- %.*s", (int)utf8_cut(line,
		    len < MAX_LINE_BYTES ? len : MAX_LINE_BYTES), line);
		line += len;
		line += *line == '\n' ? 1 : 0;
	}
	strbuf_addstr(&sb, "\n\nAnswer again in full: one JSON value that "
	    "keeps to the schema, and nothing around it.");
	return strbuf_detach(&sb);
}

static void
chat_judge(struct call *c, const struct call_row *row,
    const struct json_object *answer, struct verdict *v)
{
	struct chat_call *cc = chat_of(c);
	struct strbuf text = STRBUF_INIT(CALL_TEXT_MAX_BYTES);
	struct strbuf violations = STRBUF_INIT(MAX_COMPLAINT_BYTES);
	struct chat_reply reply;
	enum model_fault fault;

	(void)row;
	chat_reply_read(answer, &text, &reply);
	fault = read_value(cc, &text, reply.length_cut, &cc->value,
	    &violations);
	if (fault == FAULT_NONE)
		goto out;
	/* A refusal beside a usable answer does not matter. */
	if (reply.refused)
		fault = FAULT_CONTENT_POLICY;
	verdict_set(v, fault);
	v->status = row->http_status;
	forget_complaint(cc);
	if (fault != FAULT_TRUNCATED && fault != FAULT_CONTENT_POLICY) {
		if (fault != FAULT_EMPTY)
			cc->answered = xstrndup(text.buf, utf8_cut(text.buf,
			    text.len < MAX_ANSWERED_BYTES ? text.len :
			    MAX_ANSWERED_BYTES));
		cc->complaint = complaint_about(fault, &violations);
	}
out:
	strbuf_release(&violations);
	strbuf_release(&text);
}

static void
chat_fetched(struct call *c, struct verdict *v)
{
	(void)c;
	(void)v;
}

/* --- asking differently -------------------------------------------------- */

static bool
simpler_format(struct chat_call *cc, const struct verdict *v)
{
	static const char *const about_format[] = { "response_format",
		"response format", "json_schema", "json_object", "json schema",
		"json mode", "structured output", "structured_output", NULL };
	static const char *const about_schema[] = { "invalid schema", NULL };
	struct ability ability;

	if (cc->req->schema == NULL || cc->mode == ANSWER_TEXT ||
	    !rejection_mentions(v, about_format))
		return false;
	cc->mode--;
	/* A schema it does not like says nothing about the model. */
	if (!rejection_mentions(v, about_schema)) {
		ability = model_ability(cc->call.m, cc->call.model);
		ability.mode = cc->mode;
		model_learn(cc->call.m, cc->call.model, ability);
	}
	return true;
}

static bool
chat_adapt(struct call *c, const struct verdict *v)
{
	struct chat_call *cc = chat_of(c);

	switch (v->fault) {
	case FAULT_BAD_REQUEST:
		return simpler_format(cc, v);
	case FAULT_TRUNCATED:
		if (cc->widened)
			return false;
		cc->widened = true;
		cc->limit += cc->limit / 2;
		return true;
	case FAULT_NO_JSON:
	case FAULT_INVALID_SCHEMA:
	case FAULT_EMPTY:
		if (cc->reasks >= c->m->conf->settings.validation_retries)
			return false;
		cc->reasks++;
		return true;
	case FAULT_NONE:
	case FAULT_AUTH:
	case FAULT_RATE_LIMIT:
	case FAULT_CONTENT_POLICY:
	case FAULT_NETWORK:
	case FAULT_TIMEOUT:
	case FAULT_SERVER:
	case FAULT_NO_IMAGE:
	case FAULT_NOT_CONFIGURED:
	case FAULT__COUNT:
		return false;
	}
	return false;
}

static void
chat_describe(const struct call *c, const struct json_object *body,
    struct call_preview *out)
{
	const struct chat_call *cc = chat_of(c);

	chat_read_back(body, out);
	out->schema = cc->req->schema;
	out->mode = cc->mode;
	out->images = cc->req->images;
	out->n_images = cc->req->n_images;
}

static const struct call_kind chat_kind = {
	.gate = GATE_LLM,
	.begin = chat_begin,
	.build = chat_build,
	.keep = chat_keep,
	.most = chat_most,
	.estimate = chat_estimate,
	.price = chat_price,
	.judge = chat_judge,
	.fetched = chat_fetched,
	.adapt = chat_adapt,
	.describe = chat_describe,
};

/* --- the cache ----------------------------------------------------------- */

/* Everything the first request says, so everything the answer depends on. */
static void
cache_key(struct chat_call *cc)
{
	struct call *c = &cc->call;
	char hex[DIGEST_HEX_MAX];
	struct digest d;

	if (call_prepare(c, NULL) != ERR_OK)
		return;
	digest_init(&d);
	digest_add_field(&d, "chat");
	digest_add_field(&d, c->provider->name);
	digest_add_field(&d, c->wire.url);
	digest_add_field(&d, c->hash);
	digest_hex(&d, hex);
	cc->cache_key = xstrdup(hex);
}

/* A row of this call is better than any cache: it is paid and booked. */
static void
cache_look(struct chat_call *cc)
{
	struct strbuf violations = STRBUF_INIT(MAX_COMPLAINT_BYTES);
	struct strbuf text = STRBUF_INIT(CALL_TEXT_MAX_BYTES);
	struct call *c = &cc->call;
	char *answer = NULL;

	if (!cc->req->cacheable || c->past.n > 0 ||
	    !call_can_ask(c->m, c->provider))
		goto out;
	cache_key(cc);
	if (cc->cache_key == NULL || store_cache_get(c->m->store,
	    cc->cache_key, &answer, NULL) != ERR_OK)
		goto out;
	strbuf_addstr(&text, answer);
	if (read_value(cc, &text, false, &cc->value, &violations) !=
	    FAULT_NONE)
		goto out;
	cc->from_cache = true;
	preview_cached(c);
	wire_release(&c->wire);
	c->step = STEP_DONE;
out:
	free(answer);
	strbuf_release(&text);
	strbuf_release(&violations);
}

/* A cache that cannot be written costs money later, not the answer now. */
static void
cache_keep(const struct chat_call *cc)
{
	struct err e = ERR_INIT;
	char *text;

	if (cc->cache_key == NULL || cc->from_cache || cc->value == NULL ||
	    cc->call.on_fallback)
		return;
	text = json_to_text(cc->value);
	if (store_cache_put(cc->call.m->store, cc->cache_key, text,
	    clock_now_ms(), &e) != ERR_OK)
		log_warn("cannot keep an answer in the cache, ignoring",
		    "reason=%s", log_quote(e.msg));
	free(text);
}

/* --- public -------------------------------------------------------------- */

static void
chat_open(struct chat_call *cc, struct model *m,
    const struct call_scope *scope, const struct chat_request *req)
{
	struct call *c = &cc->call;
	size_t len = (req->system != NULL ? strlen(req->system) : 0) +
	    (req->user != NULL ? strlen(req->user) : 0);

	cc->req = req;
	if (call_init(c, m, scope, &chat_kind, req->purpose, req->suffix,
	    req->stage, req->variant, req->note, req->note_arg) != ERR_OK)
		return;
	if (len > MODEL_MAX_PROMPT_BYTES || req->n_images > MODEL_MAX_IMAGES) {
		err_set(&c->err, ERR_MODEL, "The prompt is too long: %zu bytes "
		    "of %d", len, MODEL_MAX_PROMPT_BYTES);
		c->err.detail = FAULT_BAD_REQUEST;
		call_end(c, ERR_MODEL);
		return;
	}
	cache_look(cc);
}

static void
chat_close(struct chat_call *cc, struct call_result *out)
{
	struct call *c = &cc->call;

	memset(out, 0, sizeof(*out));
	if (c->rc == ERR_OK) {
		cache_keep(cc);
		out->value = cc->value;
		cc->value = NULL;
		out->usage = c->usage;
	}
	out->rc = c->rc;
	out->err = c->err;
	if (c->provider != NULL) {
		out->provider = c->provider->name;
		out->simulated = c->provider->simulated;
	}
	if (c->model != NULL)
		out->model = c->model->id;
	out->cost_nano = c->cost_nano;
	out->attempts = c->attempt;
	out->from_cache = cc->from_cache;
	json_object_put(cc->value);
	forget_complaint(cc);
	free(cc->cache_key);
	call_release(c);
}

enum err_code
model_chat_all(struct model *m, const struct call_scope *scope,
    const struct chat_request *reqs, int n, struct call_result *out,
    struct err *e)
{
	struct chat_call *calls;
	struct call *open[MODEL_MAX_CALLS];
	enum err_code rc = ERR_OK;
	int i;

	if (n < 1 || n > MODEL_MAX_CALLS)
		return err_set(e, ERR_SYSTEM, "%d calls at once", n);
	calls = xcalloc((size_t)n, sizeof(*calls));
	for (i = 0; i < n; i++) {
		chat_open(&calls[i], m, scope, &reqs[i]);
		open[i] = &calls[i].call;
	}
	calls_run(m, scope, open, n);
	for (i = 0; i < n; i++) {
		chat_close(&calls[i], &out[i]);
		if (rc == ERR_OK && out[i].rc != ERR_OK &&
		    out[i].rc != ERR_MODEL) {
			rc = out[i].rc;
			if (e != NULL)
				*e = out[i].err;
		}
	}
	free(calls);
	return rc;
}

enum err_code
model_chat(struct model *m, const struct call_scope *scope,
    const struct chat_request *req, struct call_result *out, struct err *e)
{
	enum err_code rc;

	rc = model_chat_all(m, scope, req, 1, out, e);
	if (rc == ERR_OK && out->rc != ERR_OK) {
		rc = out->rc;
		if (e != NULL)
			*e = out->err;
	}
	return rc;
}

void
call_result_release(struct call_result *r)
{
	json_object_put(r->value);
	r->value = NULL;
}
