/*
 * OpenAI's shapes: chat completions (which every wire speaks), picture
 * generations in JSON, picture edits as multipart with the files' bytes.
 *
 * Bodies are written by hand, piece by piece, because a picture inside is a
 * piece of its own that never enters memory.  The same ask gives the same
 * bytes: members in a fixed order, a boundary that is given.
 */
#include "provider.h"

#include "json.h"
#include "strbuf.h"

#define FIDELITY_TOKENS 6240	/* of an input kept with high fidelity, at most */
#define MAX_BODY_TEXT_BYTES ((size_t)4 * 1024 * 1024)	/* without pictures */

/* Without its own comma, as everything here. */
void
body_add_member(struct strbuf *sb, const char *key, const char *text)
{
	strbuf_addf(sb, "\"%s\":\"", key);
	strbuf_add_json_escaped(sb, text, strlen(text));
	strbuf_addch(sb, '"');
}

const char *
model_base_name(const char *id)
{
	const char *slash = strrchr(id, '/');

	return slash != NULL ? slash + 1 : id;
}

/* Hand what is written so far to the body. */
static enum err_code
flush(struct strbuf *sb, struct http_body *b, struct err *e)
{
	if (strbuf_overflowed(sb)) {
		err_set(e, ERR_MODEL, "the texts of the request have more "
		    "than %zu bytes", MAX_BODY_TEXT_BYTES);
		if (e != NULL)
			e->detail = FAULT_BAD_REQUEST;
		return ERR_MODEL;
	}
	http_body_text(b, sb->buf, sb->len);
	strbuf_reset(sb);
	return ERR_OK;
}

/* --- chat: the request --------------------------------------------------- */

static void
add_system(struct strbuf *sb, const struct chat_ask *a)
{
	struct strbuf text = STRBUF_INIT(MAX_BODY_TEXT_BYTES);
	char *schema = NULL;

	strbuf_addstr(&text, a->system);
	/* A server that enforces the schema is told it once, elsewhere. */
	if (a->schema != NULL && a->mode != ANSWER_JSON_SCHEMA) {
		schema = schema_text(a->schema);
		if (text.len > 0)
			strbuf_addstr(&text, "\n\n");
		strbuf_addf(&text, "Answer with one JSON value that fits this "
		    "JSON Schema. Write nothing before or after it.\n%s",
		    schema);
	}
	if (text.len > 0) {
		strbuf_addstr(sb, "{\"role\":\"system\",");
		body_add_member(sb, "content", text.buf);
		strbuf_addstr(sb, "},");
	}
	free(schema);
	strbuf_release(&text);
}

static enum err_code
add_user(struct strbuf *sb, const struct chat_ask *a, struct http_body *b,
    struct err *e)
{
	const char *user = a->user != NULL ? a->user : "";
	enum err_code rc;
	int i;

	strbuf_addstr(sb, "{\"role\":\"user\",");
	if (a->n_images == 0) {
		body_add_member(sb, "content", user);
		strbuf_addch(sb, '}');
		return ERR_OK;
	}
	strbuf_addstr(sb, "\"content\":[{\"type\":\"text\",");
	body_add_member(sb, "text", user);
	strbuf_addch(sb, '}');
	for (i = 0; i < a->n_images; i++) {
		strbuf_addf(sb, ",{\"type\":\"image_url\",\"image_url\":"
		    "{\"url\":\"data:%s;base64,", a->images[i].mime);
		rc = flush(sb, b, e);
		if (rc == ERR_OK)
			rc = http_body_file(b, a->run_dirfd,
			    a->images[i].path, true, e);
		if (rc != ERR_OK)
			return rc;
		strbuf_addstr(sb, a->images[i].high_detail ?
		    "\",\"detail\":\"high\"}}" : "\"}}");
	}
	strbuf_addstr(sb, "]}");
	return ERR_OK;
}

static void
add_format(struct strbuf *sb, const struct chat_ask *a)
{
	struct json_object *strict;

	if (a->schema == NULL || a->mode == ANSWER_TEXT)
		return;
	if (a->mode == ANSWER_JSON_OBJECT) {
		strbuf_addstr(sb,
		    ",\"response_format\":{\"type\":\"json_object\"}");
		return;
	}
	strict = schema_strict(a->schema);
	strbuf_addstr(sb, ",\"response_format\":{\"type\":\"json_schema\","
	    "\"json_schema\":{");
	body_add_member(sb, "name", schema_name(a->schema));
	strbuf_addstr(sb, ",\"strict\":true,\"schema\":");
	strbuf_add_json(sb, strict);
	strbuf_addstr(sb, "}}");
	json_object_put(strict);
}

enum err_code
chat_body(const struct chat_ask *a, struct http_body *b, struct err *e)
{
	struct strbuf sb = STRBUF_INIT(MAX_BODY_TEXT_BYTES);
	enum err_code rc;

	strbuf_addch(&sb, '{');
	body_add_member(&sb, "model", a->model->id);
	strbuf_addstr(&sb, ",\"messages\":[");
	add_system(&sb, a);
	rc = add_user(&sb, a, b, e);
	if (rc != ERR_OK)
		goto out;
	if (a->answered != NULL && a->answered[0] != '\0') {
		strbuf_addstr(&sb, ",{\"role\":\"assistant\",");
		body_add_member(&sb, "content", a->answered);
		strbuf_addch(&sb, '}');
	}
	if (a->complaint != NULL) {
		strbuf_addstr(&sb, ",{\"role\":\"user\",");
		body_add_member(&sb, "content", a->complaint);
		strbuf_addch(&sb, '}');
	}
	strbuf_addch(&sb, ']');
	if (a->temperature >= 0 && a->model->takes_temperature)
		strbuf_addf(&sb, ",\"temperature\":%g", a->temperature);
	if (a->max_tokens > 0)
		strbuf_addf(&sb, ",\"%s\":%d",
		    a->model->max_completion_tokens ? "max_completion_tokens" :
		    "max_tokens", a->max_tokens);
	add_format(&sb, a);
	strbuf_addch(&sb, '}');
	rc = flush(&sb, b, e);
out:
	strbuf_release(&sb);
	return rc;
}

/* --- chat: the answer ---------------------------------------------------- */

static void
add_content(const struct json_object *content, struct strbuf *text)
{
	struct json_object *part;
	size_t i;

	if (json_object_is_type(content, json_type_array)) {
		for (i = 0; i < json_len(content); i++) {
			part = json_object_array_get_idx(content, i);
			strbuf_addstr(text, json_get_str(part, "text"));
		}
	}
}

void
chat_reply_read(const struct json_object *answer, struct strbuf *text,
    struct chat_reply *out)
{
	const struct json_object *choice = json_at(answer, "choices/0");
	const struct json_object *message = json_get_obj(choice, "message");
	const char *finish = json_get_str(choice, "finish_reason");
	const char *refusal = json_get_str(message, "refusal");

	strbuf_addstr(text, json_get_str(message, "content"));
	add_content(json_get(message, "content"), text);
	out->length_cut = finish != NULL && (strcmp(finish, "length") == 0 ||
	    strcmp(finish, "max_tokens") == 0);
	out->refused = (finish != NULL &&
	    strncasecmp(finish, "content_filter", 14) == 0) ||
	    (refusal != NULL && refusal[0] != '\0');
}

/* --- chat: read back ----------------------------------------------------- */

static const char *
text_of(const struct json_object *message)
{
	const char *text = json_get_str(message, "content");

	return text != NULL ? text :
	    json_get_str(json_at(message, "content/0"), "text");
}

/* The messages in the order chat_body() writes them. */
void
chat_read_back(const struct json_object *body, struct call_preview *out)
{
	static const char *const told[] = { "model", "messages",
		"response_format", NULL };
	const struct json_object *messages = json_get_arr(body, "messages");
	const struct json_object *m;
	const char *role;
	size_t i;

	for (i = 0; i < json_len(messages); i++) {
		m = json_object_array_get_idx(messages, i);
		role = json_get_str(m, "role");
		if (role != NULL && strcmp(role, "system") == 0)
			out->system = text_of(m);
		else if (role != NULL && strcmp(role, "assistant") == 0)
			out->answered = text_of(m);
		else if (out->user == NULL)
			out->user = text_of(m);
		else
			out->complaint = text_of(m);
	}
	out->parameters = body_rest(body, told);
}

/* --- pictures ------------------------------------------------------------ */

static void
image_path(const struct image_ask *a, struct strbuf *out)
{
	strbuf_addstr(out, a->n_inputs > 0 ? "/images/edits" :
	    "/images/generations");
}

static void
generation_text(const struct image_ask *a, struct strbuf *sb)
{
	strbuf_addch(sb, '{');
	body_add_member(sb, "model", a->model->id);
	strbuf_addch(sb, ',');
	body_add_member(sb, "prompt", a->prompt);
	strbuf_addstr(sb, ",\"n\":1");
	if (a->size != NULL) {
		strbuf_addch(sb, ',');
		body_add_member(sb, "size", a->size);
	}
	if (a->quality != NULL) {
		strbuf_addch(sb, ',');
		body_add_member(sb, "quality", a->quality);
	}
	strbuf_addch(sb, '}');
}

static void
add_field(struct strbuf *sb, const char *boundary, const char *name,
    const char *value)
{
	if (value == NULL)
		return;
	strbuf_addf(sb, "--%s\r\nContent-Disposition: form-data; "
	    "name=\"%s\"\r\n\r\n", boundary, name);
	strbuf_addstr(sb, value);
	strbuf_addstr(sb, "\r\n");
}

static const char *
extension_of(const char *mime)
{
	if (strcmp(mime, "image/jpeg") == 0)
		return "jpg";
	if (strcmp(mime, "image/webp") == 0)
		return "webp";
	if (strcmp(mime, "image/gif") == 0)
		return "gif";
	return "png";
}

/* The only model that knows the parameter. */
static bool
keeps_fidelity(const struct model_info *m)
{
	return strcmp(model_base_name(m->id), "gpt-image-1") == 0;
}

static int64_t
image_input_extra(const struct model_info *m)
{
	return keeps_fidelity(m) ? FIDELITY_TOKENS : 0;
}

static enum err_code
add_file(const struct image_ask *a, const char *field, const char *filename,
    const char *mime, const char *path, struct strbuf *sb,
    struct http_body *b, struct err *e)
{
	enum err_code rc;

	strbuf_addf(sb, "--%s\r\nContent-Disposition: form-data; "
	    "name=\"%s\"; filename=\"%s\"\r\nContent-Type: %s\r\n\r\n",
	    a->boundary, field, filename, mime);
	rc = flush(sb, b, e);
	if (rc == ERR_OK)
		rc = http_body_file(b, a->run_dirfd, path, false, e);
	if (rc == ERR_OK)
		strbuf_addstr(sb, "\r\n");
	return rc;
}

/* A mask is about the first picture, whatever stands behind it. */
static enum err_code
edit_body(const struct image_ask *a, struct strbuf *sb, struct http_body *b,
    struct err *e)
{
	char filename[24];
	enum err_code rc = ERR_OK;
	int i;

	add_field(sb, a->boundary, "model", a->model->id);
	add_field(sb, a->boundary, "prompt", a->prompt);
	add_field(sb, a->boundary, "n", "1");
	add_field(sb, a->boundary, "size", a->size);
	add_field(sb, a->boundary, "quality", a->quality);
	if (keeps_fidelity(a->model))
		add_field(sb, a->boundary, "input_fidelity", a->fidelity);
	for (i = 0; i < a->n_inputs && rc == ERR_OK; i++) {
		snprintf(filename, sizeof(filename), "image%d.%s", i + 1,
		    extension_of(a->inputs[i].mime));
		rc = add_file(a, a->n_inputs > 1 ? "image[]" : "image",
		    filename, a->inputs[i].mime, a->inputs[i].path, sb, b, e);
	}
	if (rc == ERR_OK && a->mask != NULL)
		rc = add_file(a, "mask", "mask.png", "image/png", a->mask, sb,
		    b, e);
	if (rc != ERR_OK)
		return rc;
	strbuf_addf(sb, "--%s--\r\n", a->boundary);
	return ERR_OK;
}

static enum err_code
image_body(const struct image_ask *a, struct http_body *b, char *content_type,
    struct err *e)
{
	struct strbuf sb = STRBUF_INIT(MAX_BODY_TEXT_BYTES);
	enum err_code rc = ERR_OK;

	if (a->n_inputs == 0) {
		snprintf(content_type, 128, "application/json");
		generation_text(a, &sb);
	} else {
		snprintf(content_type, 128,
		    "multipart/form-data; boundary=%s", a->boundary);
		rc = edit_body(a, &sb, b, e);
	}
	if (rc == ERR_OK)
		rc = flush(&sb, b, e);
	strbuf_release(&sb);
	return rc;
}

static bool
image_find(const struct json_object *answer, struct picture_ref *out)
{
	struct json_object *item = json_at(answer, "data/0");

	out->holder = item;
	out->key = "b64_json";
	out->value = json_get_str(item, out->key);
	out->is_url = false;
	if (out->value != NULL && out->value[0] != '\0')
		return true;
	out->key = "url";
	out->value = json_get_str(item, out->key);
	out->is_url = true;
	return out->value != NULL && out->value[0] != '\0';
}

/* OpenAI refuses with an error status, never within an answer. */
static bool
image_refused(const struct json_object *answer)
{
	(void)answer;
	return false;
}

static void
image_read_back(const struct json_object *body, struct call_preview *out)
{
	static const char *const told[] = { "model", "prompt", NULL };

	out->user = json_get_str(body, "prompt");
	out->parameters = body_rest(body, told);
}

const struct wire_ops wire_openai = {
	.chat_path = "/chat/completions",
	.image_input_extra = image_input_extra,
	.image_key_header = "Authorization: Bearer ",
	.image_path = image_path,
	.image_body = image_body,
	.image_find = image_find,
	.image_refused = image_refused,
	.image_read_back = image_read_back,
};

const struct wire_ops *
provider_ops(enum wire wire)
{
	switch (wire) {
	case WIRE_OPENAI:
		return &wire_openai;
	case WIRE_GEMINI:
		return &wire_gemini;
	}
	return &wire_openai;
}
