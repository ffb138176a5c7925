/*
 * Gemini's own shape, used for pictures: generateContent with the prompt and
 * the input pictures as parts.  Chat goes to its OpenAI-shaped side door.
 */
#include "provider.h"

#include "json.h"
#include "strbuf.h"

#define MAX_BODY_TEXT_BYTES ((size_t)1024 * 1024)	/* without pictures */

static void
image_path(const struct image_ask *a, struct strbuf *out)
{
	const char *id = a->model->id;

	if (strncmp(id, "models/", 7) == 0)
		id += 7;
	strbuf_addf(out, "/models/%s:generateContent", id);
}

static enum err_code
image_body(const struct image_ask *a, struct http_body *b, char *content_type,
    struct err *e)
{
	struct strbuf sb = STRBUF_INIT(MAX_BODY_TEXT_BYTES);
	enum err_code rc = ERR_OK;
	int i;

	snprintf(content_type, 128, "application/json");
	strbuf_addstr(&sb, "{\"contents\":[{\"role\":\"user\",\"parts\":[{");
	body_add_member(&sb, "text", a->prompt);
	strbuf_addch(&sb, '}');
	for (i = 0; rc == ERR_OK && i < a->n_inputs; i++) {
		strbuf_addf(&sb, ",{\"inlineData\":{\"mimeType\":\"%s\","
		    "\"data\":\"", a->inputs[i].mime);
		http_body_text(b, sb.buf, sb.len);
		strbuf_reset(&sb);
		rc = http_body_file(b, a->run_dirfd, a->inputs[i].path, true,
		    e);
		strbuf_addstr(&sb, "\"}}");
	}
	strbuf_addstr(&sb, "]}],\"generationConfig\":{"
	    "\"responseModalities\":[\"TEXT\",\"IMAGE\"]");
	if (a->aspect != NULL) {
		strbuf_addstr(&sb, ",\"imageConfig\":{");
		body_add_member(&sb, "aspectRatio", a->aspect);
		strbuf_addch(&sb, '}');
	}
	strbuf_addstr(&sb, "}}");
	http_body_text(b, sb.buf, sb.len);
	strbuf_release(&sb);
	return rc;
}

/* The first part that carries a picture; text parts are passed over. */
static bool
image_find(const struct json_object *answer, struct picture_ref *out)
{
	struct json_object *parts, *data;
	size_t i;

	parts = json_at(answer, "candidates/0/content/parts");
	for (i = 0; i < json_len(parts); i++) {
		data = json_at(json_object_array_get_idx(parts, i),
		    "inlineData");
		if (data == NULL)
			data = json_at(json_object_array_get_idx(parts, i),
			    "inline_data");
		out->value = json_get_str(data, "data");
		if (out->value != NULL && out->value[0] != '\0') {
			out->holder = data;
			out->key = "data";
			out->is_url = false;
			return true;
		}
	}
	return false;
}

static bool
image_refused(const struct json_object *answer)
{
	static const char *const safety[] = { "SAFETY", "IMAGE_SAFETY",
		"PROHIBITED_CONTENT", "IMAGE_PROHIBITED_CONTENT", "BLOCKLIST",
		"SPII", "RECITATION", "IMAGE_RECITATION" };
	struct json_object *feedback = json_get(answer, "promptFeedback");
	const char *reason;
	size_t i;

	if (json_get_str(feedback, "blockReason") != NULL)
		return true;
	reason = json_get_str(json_at(answer, "candidates/0"), "finishReason");
	for (i = 0; reason != NULL && i < sizeof(safety) / sizeof(*safety);
	    i++)
		if (strcmp(reason, safety[i]) == 0)
			return true;
	return false;
}

static void
image_read_back(const struct json_object *body, struct call_preview *out)
{
	static const char *const told[] = { "contents", NULL };

	out->user = json_get_str(json_at(body, "contents/0/parts/0"), "text");
	out->parameters = body_rest(body, told);
}

const struct wire_ops wire_gemini = {
	.chat_path = "/openai/chat/completions",
	.image_key_header = "x-goog-api-key: ",
	.image_path = image_path,
	.image_body = image_body,
	.image_find = image_find,
	.image_refused = image_refused,
	.image_read_back = image_read_back,
};
