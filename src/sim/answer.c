/*
 * Answers in the providers' shapes, whole and broken.
 *
 * A fault changes one thing of an otherwise proper answer, so that what a
 * client does about it is tested and nothing else.  reset and stall are
 * matters of the connection and belong to server.c; here they are like no
 * fault at all.
 *
 * Nothing here reads the clock: "created" is a constant and ids come from the
 * request's hash, since the same request is to give the same bytes.
 */
#include "sim.h"

#include "file.h"
#include "xalloc.h"

#define CREATED 1767225600L	/* 2026-01-01 */
#define CHARS_PER_TOKEN 4
#define MESSAGE_TOKENS 8	/* what a message costs beside its text */
#define GEMINI_PICTURE_TOKENS 1290
#define GEMINI_INPUT_TOKENS 258
#define FIDELITY_TOKENS 4160	/* more for input_fidelity high */
#define MIN_REASONING 128
#define ID_CHARS 16		/* of the hash, in ids */

/* Billed by a router for a call, dollars per million tokens; the first row is
 * for models that have none. */
static const struct {
	const char *model;	/* without its vendor */
	double input, output;
} router_prices[] = {
	{ "gpt-4.1", 2.00, 8.00 },
	{ "gpt-4.1-mini", 0.40, 1.20 },
	{ "gpt-4o", 5.00, 15.00 },
	{ "gpt-4o-mini", 0.15, 0.60 },
	{ "o4-mini", 1.10, 4.40 },
	{ "o4-mini-high", 1.10, 4.40 },
	{ "gemini-2.5-pro", 1.25, 10.00 },
	{ "deepseek-r1-0528", 0.50, 2.15 },
	{ "qwen3-235b-a22b", 0.14, 2.00 },
};

struct tokens {
	int64_t text, image;	/* input */
	int64_t output;
	int64_t reasoning;	/* part of output */
};

void
answer_init(struct answer *a)
{
	memset(a, 0, sizeof(*a));
	a->status = 200;
	a->content_type = "application/json";
	strbuf_init(&a->body, SIM_MAX_ANSWER_BYTES);
}

void
answer_release(struct answer *a)
{
	strbuf_release(&a->body);
}

static void
add_quoted(struct strbuf *sb, const char *s, size_t len)
{
	strbuf_addch(sb, '"');
	strbuf_add_json_escaped(sb, s, len);
	strbuf_addch(sb, '"');
}

/* --- errors ------------------------------------------------------------ */

static const struct {
	int status;
	const char *type;	/* OpenAI */
	const char *code;	/* OpenAI; NULL: null */
	const char *state;	/* Google */
	const char *message;
} errors[] = {
	{ 400, "invalid_request_error", NULL, "INVALID_ARGUMENT",
	    "The request is not valid." },
	{ 401, "invalid_request_error", "invalid_api_key", "UNAUTHENTICATED",
	    "Incorrect API key provided." },
	{ 403, "invalid_request_error", "access_denied", "PERMISSION_DENIED",
	    "You are not allowed to do this." },
	{ 404, "invalid_request_error", "not_found", "NOT_FOUND",
	    "The requested resource does not exist." },
	{ 408, "server_error", NULL, "DEADLINE_EXCEEDED",
	    "The request took too long." },
	{ 409, "invalid_request_error", NULL, "ABORTED",
	    "The resource was changed meanwhile." },
	{ 413, "invalid_request_error", NULL, "INVALID_ARGUMENT",
	    "The request is too large." },
	{ 422, "invalid_request_error", NULL, "INVALID_ARGUMENT",
	    "The request cannot be processed." },
	{ 429, "requests", "rate_limit_exceeded", "RESOURCE_EXHAUSTED",
	    "Rate limit reached, please slow down." },
	{ 503, "server_error", NULL, "UNAVAILABLE",
	    "The service is overloaded, please try again later." },
	{ 504, "server_error", NULL, "DEADLINE_EXCEEDED",
	    "The request timed out." },
	{ 500, "server_error", NULL, "INTERNAL",
	    "The server had an error while processing your request." },
};

static size_t
find_error(int status)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(errors) - 1; i++)
		if (errors[i].status == status)
			break;
	/* Statuses without a row: as bad request, or as server error. */
	if (i == ARRAY_LEN(errors) - 1 && status < 500)
		i = 0;
	return i;
}

void
answer_error(enum sim_kind kind, int status, const char *message,
    struct answer *out)
{
	size_t i = find_error(status);
	struct strbuf *b = &out->body;

	out->status = status;
	strbuf_reset(b);
	if (message == NULL)
		message = errors[i].message;
	if (kind == KIND_GENERATE_CONTENT) {
		strbuf_addf(b, "{\"error\":{\"code\":%d,\"message\":", status);
		add_quoted(b, message, strlen(message));
		strbuf_addf(b, ",\"status\":\"%s\"}}\n", errors[i].state);
		return;
	}
	strbuf_addstr(b, "{\"error\":{\"message\":");
	add_quoted(b, message, strlen(message));
	strbuf_addf(b, ",\"type\":\"%s\",\"param\":null,\"code\":",
	    errors[i].type);
	if (errors[i].code != NULL)
		strbuf_addf(b, "\"%s\"}}\n", errors[i].code);
	else
		strbuf_addstr(b, "null}}\n");
}

static void
answer_policy(const struct sim_request *r, struct answer *out)
{
	if (r->kind == KIND_GENERATE_CONTENT) {
		strbuf_addf(&out->body, "{\"promptFeedback\":{\"blockReason\":"
		    "\"PROHIBITED_CONTENT\"},\"usageMetadata\":{"
		    "\"promptTokenCount\":%zu,\"totalTokenCount\":%zu},"
		    "\"modelVersion\":", r->user.len / CHARS_PER_TOKEN,
		    r->user.len / CHARS_PER_TOKEN);
		add_quoted(&out->body, r->model, strlen(r->model));
		strbuf_addstr(&out->body, "}\n");
		return;
	}
	out->status = 400;
	strbuf_addf(&out->body, "{\"error\":{\"message\":\"Your request was "
	    "rejected by the safety system.\",\"type\":\"%s\",\"param\":null,"
	    "\"code\":\"%s\"}}\n", r->kind == KIND_CHAT ?
	    "invalid_request_error" : "image_generation_user_error",
	    r->kind == KIND_CHAT ? "content_policy_violation" :
	    "moderation_blocked");
}

/* --- tokens ------------------------------------------------------------ */

static int64_t
tokens_of_text(size_t chars)
{
	return (int64_t)((chars + CHARS_PER_TOKEN - 1) / CHARS_PER_TOKEN);
}

/* Tiles of 512 after scaling, as vision models count. */
static int64_t
tokens_of_picture(const struct strbuf *file, int base, int tile)
{
	int w = 1024, h = 1024;
	double scale = 1, shorter;

	image_dimensions(file->buf, file->len, &w, &h);
	if (w > 2048 || h > 2048)
		scale = 2048.0 / (w > h ? w : h);
	shorter = (w < h ? w : h) * scale;
	if (shorter > 768)
		scale *= 768 / shorter;
	w = ((int)(w * scale) + 511) / 512;
	h = ((int)(h * scale) + 511) / 512;
	return base + (int64_t)tile * w * h;
}

/* As many as no tokenizer can exceed: one for each byte that was sent, the
 * schema's included. */
static int64_t
most_tokens_of_text(const struct sim_request *r)
{
	size_t n = r->system.len + r->user.len;
	char *schema;

	if (r->schema != NULL && r->found == NULL) {
		schema = json_to_text(r->schema);
		n += strlen(schema);
		free(schema);
	}
	return (int64_t)n;
}

static void
count_input(const struct sim_request *r, bool dear, struct tokens *t)
{
	int i;

	t->text = dear ? most_tokens_of_text(r) :
	    tokens_of_text(r->system.len) + tokens_of_text(r->user.len);
	t->text += MESSAGE_TOKENS;
	for (i = 0; i < r->n_pictures; i++) {
		if (r->kind == KIND_GENERATE_CONTENT)
			t->image += GEMINI_INPUT_TOKENS;
		else if (r->kind == KIND_CHAT)
			t->image += tokens_of_picture(&r->pictures[i], 85, 170);
		else
			t->image += tokens_of_picture(&r->pictures[i], 65,
			    129) + (r->high_fidelity ? FIDELITY_TOKENS : 0);
	}
}

/* Models that think before they speak, and bill it. */
static bool
is_reasoning(const char *model)
{
	const char *id = strrchr(model, '/');

	id = id != NULL ? id + 1 : model;
	return strncmp(id, "o1", 2) == 0 || strncmp(id, "o3", 2) == 0 ||
	    strncmp(id, "o4", 2) == 0 || strncmp(id, "gemini-2.5-pro", 14) == 0;
}

/* --- texts ------------------------------------------------------------- */

static void
spoil_schema(struct strbuf *text)
{
	struct json_object *o = NULL;
	const char *first = NULL, *last = NULL;

	if (json_parse(text->buf, text->len, &o, NULL) != ERR_OK ||
	    !json_object_is_type(o, json_type_object))
		goto out;
	json_object_object_foreach(o, key, value) {
		(void)value;
		if (first == NULL)
			first = key;
		last = key;
	}
	if (first == NULL)
		goto out;
	if (last != first)
		json_object_object_del(o, last);
	json_object_object_add(o, first, json_object_new_int(42));
	strbuf_reset(text);
	strbuf_add_json(text, o);
out:
	json_object_put(o);
}

static void
wrap(struct strbuf *text, const char *before, const char *after)
{
	struct strbuf all = STRBUF_INIT(SIM_MAX_TEXT_BYTES);

	strbuf_addstr(&all, before);
	strbuf_add(&all, text->buf, text->len);
	strbuf_addstr(&all, after);
	strbuf_release(text);
	*text = all;
}

static void
cut(struct strbuf *text, size_t len)
{
	while (len > 0 && ((unsigned char)text->buf[len] & 0xc0) == 0x80)
		len--;
	strbuf_truncate(text, len);
}

/* Apply a fault to the words of an answer; true when it ends early. */
static bool
spoil_text(enum fault_type type, struct strbuf *text)
{
	switch (type) {
	case FAULT_TRUNCATED:
		cut(text, text->len * 6 / 10);
		return true;
	case FAULT_FENCED:
		wrap(text, "Here is the JSON you asked for:\n\n```json\n",
		    "\n```\n");
		break;
	case FAULT_CHATTY:
		wrap(text, "Sure! I looked at everything you gave me and made "
		    "sure that it fits together. My answer:\n\n",
		    "\n\nI hope this helps! Let me know if you would like me to "
		    "adjust anything.");
		break;
	case FAULT_WRONG_SCHEMA:
		spoil_schema(text);
		break;
	case FAULT_NO_JSON:
		strbuf_reset(text);
		strbuf_addstr(text, "I would rather describe it in words: it "
		    "should feel warm, honest and appetising, and say what the "
		    "place is about.");
		break;
	case FAULT_EMPTY:
		strbuf_reset(text);
		break;
	case FAULT_NONE:
	case FAULT_STATUS:
	case FAULT_RESET:
	case FAULT_STALL:
	case FAULT_NO_IMAGE:
	case FAULT_BROKEN_IMAGE:
	case FAULT_POLICY:
	case FAULT_LATENCY:
	case FAULT_UNSUPPORTED_FORMAT:
	case FAULT_NO_USAGE:
	case FAULT__COUNT:
		break;
	}
	return false;
}

/* A limit that is too low ends an answer without any fault. */
static bool
obey_limit(const struct sim_request *r, struct tokens *t, struct strbuf *text)
{
	int64_t room;

	if (is_reasoning(r->model)) {
		t->reasoning = MIN_REASONING + (int64_t)(r->seed >> 16 & 255);
		if (r->max_tokens > 0 && t->reasoning > r->max_tokens / 4)
			t->reasoning = r->max_tokens / 4;
	}
	room = r->max_tokens - t->reasoning;
	if (r->max_tokens <= 0 || tokens_of_text(text->len) <= room)
		return false;
	cut(text, (size_t)(room * CHARS_PER_TOKEN));
	return true;
}

static double
router_bill(const struct sim_request *r, const struct tokens *t)
{
	const char *slash = strrchr(r->model, '/');
	const char *id = slash != NULL ? slash + 1 : r->model;
	size_t i, row = 0;

	for (i = 0; i < ARRAY_LEN(router_prices); i++)
		if (strcmp(router_prices[i].model, id) == 0)
			row = i;
	return ((double)(t->text + t->image) * router_prices[row].input +
	    (double)t->output * router_prices[row].output) / 1e6;
}

static void
add_chat_usage(const struct sim_request *r, const struct tokens *t,
    struct strbuf *b)
{
	int64_t input = t->text + t->image;

	strbuf_addf(b, ",\"usage\":{\"prompt_tokens\":%lld,"
	    "\"completion_tokens\":%lld,\"total_tokens\":%lld,"
	    "\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},"
	    "\"completion_tokens_details\":{\"reasoning_tokens\":%lld}",
	    (long long)input, (long long)t->output,
	    (long long)(input + t->output), (long long)t->reasoning);
	if (r->openrouter)
		strbuf_addf(b, ",\"cost\":%.8f", router_bill(r, t));
	strbuf_addch(b, '}');
}

static void
add_gemini_usage(const struct sim_request *r, const struct tokens *t,
    struct strbuf *b)
{
	int64_t input = t->text + t->image;

	strbuf_addf(b, ",\"usageMetadata\":{\"promptTokenCount\":%lld,"
	    "\"candidatesTokenCount\":%lld,\"totalTokenCount\":%lld,"
	    "\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":"
	    "%lld}", (long long)input, (long long)(t->output - t->reasoning),
	    (long long)(input + t->output), (long long)t->text);
	if (t->image > 0)
		strbuf_addf(b, ",{\"modality\":\"IMAGE\",\"tokenCount\":%lld}",
		    (long long)t->image);
	strbuf_addf(b, "],\"candidatesTokensDetails\":[{\"modality\":\"%s\","
	    "\"tokenCount\":%lld}]", r->wants_picture ? "IMAGE" : "TEXT",
	    (long long)(t->output - t->reasoning));
	if (t->reasoning > 0)
		strbuf_addf(b, ",\"thoughtsTokenCount\":%lld",
		    (long long)t->reasoning);
	strbuf_addch(b, '}');
}

static void
add_gemini_tail(const struct sim_request *r, const struct fault *f,
    const struct tokens *t, struct strbuf *b)
{
	if (f->type != FAULT_NO_USAGE)
		add_gemini_usage(r, t, b);
	strbuf_addstr(b, ",\"modelVersion\":");
	add_quoted(b, r->model, strlen(r->model));
	strbuf_addf(b, ",\"responseId\":\"sim-%.*s\"}\n", ID_CHARS, r->hash);
}

static void
answer_text(const struct sim_request *r, const struct fault *f,
    struct answer *out)
{
	struct strbuf text = STRBUF_INIT(SIM_MAX_TEXT_BYTES);
	struct strbuf *b = &out->body;
	struct tokens t = { 0, 0, 0, 0 };
	bool cut_off;

	chat_write(r, &text);
	cut_off = spoil_text(f->type, &text);
	count_input(r, f->dear, &t);
	cut_off = obey_limit(r, &t, &text) || cut_off;
	t.output = tokens_of_text(text.len) + t.reasoning;
	if (f->dear && r->max_tokens > t.output) {
		if (is_reasoning(r->model))
			t.reasoning += r->max_tokens - t.output;
		t.output = r->max_tokens;
	}
	if (r->kind == KIND_GENERATE_CONTENT) {
		strbuf_addstr(b, "{\"candidates\":[{\"content\":{\"role\":"
		    "\"model\",\"parts\":[{\"text\":");
		add_quoted(b, text.buf, text.len);
		strbuf_addf(b, "}]},\"finishReason\":\"%s\",\"index\":0}]",
		    cut_off ? "MAX_TOKENS" : "STOP");
		add_gemini_tail(r, f, &t, b);
	} else {
		strbuf_addf(b, "{\"id\":\"chatcmpl-sim-%.*s\",\"object\":"
		    "\"chat.completion\",\"created\":%ld,\"model\":", ID_CHARS,
		    r->hash, CREATED);
		add_quoted(b, r->model, strlen(r->model));
		strbuf_addstr(b, ",\"choices\":[{\"index\":0,\"message\":{"
		    "\"role\":\"assistant\",\"content\":");
		add_quoted(b, text.buf, text.len);
		strbuf_addf(b, ",\"refusal\":null},\"logprobs\":null,"
		    "\"finish_reason\":\"%s\"}]", cut_off ? "length" : "stop");
		if (f->type != FAULT_NO_USAGE)
			add_chat_usage(r, &t, b);
		strbuf_addstr(b, ",\"system_fingerprint\":\"churns-sim\"}\n");
	}
	strbuf_release(&text);
}

/* --- pictures ---------------------------------------------------------- */

static int64_t
picture_tokens(const struct sim_request *r)
{
	static const int table[3][3] = {	/* square, upright, wide */
		{ 272, 408, 400 }, { 1056, 1584, 1568 }, { 4160, 6240, 6208 },
	};
	int quality = strcmp(r->quality, "low") == 0 ? 0 :
	    strcmp(r->quality, "high") == 0 ? 2 : 1;
	int shape = r->width == r->height ? 0 : r->width < r->height ? 1 : 2;

	return table[quality][shape];
}

static void
add_openai_picture(const struct sim_request *r, const struct fault *f,
    const struct strbuf *png, const char *base_url, struct strbuf *b)
{
	strbuf_addf(b, "{\"created\":%ld,\"data\":[", CREATED);
	if (f->type == FAULT_NO_IMAGE) {
		strbuf_addstr(b, "{\"revised_prompt\":\"A calm table.\"}");
	} else if (f->type != FAULT_EMPTY && r->as_url) {
		gallery_put(r->hash, png);
		strbuf_addf(b, "{\"url\":\"%s/picture/%s.png\"}", base_url,
		    r->hash);
	} else if (f->type != FAULT_EMPTY) {
		strbuf_addstr(b, "{\"b64_json\":\"");
		base64_add(b, png->buf, png->len);
		strbuf_addstr(b, "\"}");
	}
	strbuf_addf(b, "],\"background\":\"opaque\",\"output_format\":\"png\","
	    "\"size\":\"%dx%d\",\"quality\":\"%s\"", r->width, r->height,
	    picture_tokens(r) < 1000 ? "low" : picture_tokens(r) < 4000 ?
	    "medium" : "high");
}

static void
add_gemini_picture(const struct fault *f, const struct strbuf *png,
    struct strbuf *b)
{
	if (f->type == FAULT_EMPTY) {
		strbuf_addstr(b, "{\"candidates\":[]");
		return;
	}
	strbuf_addstr(b, "{\"candidates\":[{\"content\":{\"role\":\"model\","
	    "\"parts\":[{\"text\":");
	if (f->type == FAULT_NO_IMAGE) {
		strbuf_addstr(b, "\"I can describe such a picture, but I did "
		    "not make one.\"}");
	} else {
		strbuf_addstr(b, "\"Here is your picture.\"},{\"inlineData\":{"
		    "\"mimeType\":\"image/png\",\"data\":\"");
		base64_add(b, png->buf, png->len);
		strbuf_addstr(b, "\"}}");
	}
	strbuf_addstr(b, "]},\"finishReason\":\"STOP\",\"index\":0}]");
}

static void
add_image_usage(const struct tokens *t, struct strbuf *b)
{
	int64_t input = t->text + t->image;

	strbuf_addf(b, ",\"usage\":{\"input_tokens\":%lld,"
	    "\"input_tokens_details\":{\"text_tokens\":%lld,"
	    "\"image_tokens\":%lld},\"output_tokens\":%lld,"
	    "\"total_tokens\":%lld}", (long long)input, (long long)t->text,
	    (long long)t->image, (long long)t->output,
	    (long long)(input + t->output));
}

static void
answer_picture(const struct sim_request *r, const struct fault *f,
    const char *base_url, struct answer *out)
{
	struct strbuf png = STRBUF_INIT(SIM_MAX_PICTURE_BYTES);
	struct tokens t = { 0, 0, 0, 0 };
	struct err e = ERR_INIT;
	enum err_code rc = ERR_OK;

	count_input(r, f->dear, &t);
	if (f->type != FAULT_NO_IMAGE && f->type != FAULT_EMPTY)
		rc = draw_picture(r, &png, &e);
	/* It begins like a picture. */
	if (rc == ERR_OK && f->type == FAULT_BROKEN_IMAGE)
		strbuf_truncate(&png, png.len / 2);
	if (rc != ERR_OK) {
		answer_error(r->kind, rc == ERR_INVALID ? 400 : 500, e.msg,
		    out);
	} else if (r->kind == KIND_GENERATE_CONTENT) {
		t.output = GEMINI_PICTURE_TOKENS;
		add_gemini_picture(f, &png, &out->body);
		add_gemini_tail(r, f, &t, &out->body);
	} else {
		t.output = picture_tokens(r);
		add_openai_picture(r, f, &png, base_url, &out->body);
		if (f->type != FAULT_NO_USAGE)
			add_image_usage(&t, &out->body);
		strbuf_addstr(&out->body, "}\n");
	}
	strbuf_release(&png);
}

void
answer_make(const struct sim_request *r, const struct fault *f,
    const char *base_url, struct answer *out)
{
	snprintf(out->retry_after, sizeof(out->retry_after), "%s",
	    f->retry_after);
	if (f->type == FAULT_STATUS)
		answer_error(r->kind, f->status, NULL, out);
	else if (f->type == FAULT_POLICY)
		answer_policy(r, out);
	else if (f->type == FAULT_UNSUPPORTED_FORMAT)
		answer_error(r->kind, 400, r->format == FORMAT_JSON_SCHEMA ?
		    "Invalid parameter: 'response_format' of type 'json_schema' "
		    "is not supported with this model." : "Invalid parameter: "
		    "'response_format' of type 'json_object' is not supported "
		    "with this model.", out);
	else if (r->wants_picture)
		answer_picture(r, f, base_url, out);
	else
		answer_text(r, f, out);
	if (f->body != NULL) {
		if (f->status != 0)
			out->status = f->status;
		strbuf_reset(&out->body);
		strbuf_addstr(&out->body, f->body);
	}
}
