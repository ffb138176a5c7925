/*
 * From wire bytes to what was asked: three JSON shapes and a form.
 *
 *   .../chat/completions            messages, response_format
 *   .../images/generations          prompt, size, quality
 *   .../images/edits                the same as multipart, with pictures
 *   .../models/ID:generateContent   contents, generationConfig
 *
 * The path's prefix is free, so that one simulator can stand for several
 * providers.  A request is identified by the hash of its decoded content:
 * the JSON text, or the fields of a form without their boundary.
 */
#include "sim.h"

#include <strings.h>

#include "file.h"
#include "xalloc.h"

#define MAX_PARTS 24
#define MAX_SCHEMA_TRIES 64	/* braces of a prompt looked behind */
#define MAX_SIDE 4096
#define MIN_SIDE 64
#define DEFAULT_SIDE 1024
#define MEGAPIXEL (1024 * 1024)
#define SIDE_STEP 32

static const char *const kind_names[KIND__COUNT] = {
	[KIND_CHAT] = "chat",
	[KIND_GENERATION] = "generation",
	[KIND_EDIT] = "edit",
	[KIND_GENERATE_CONTENT] = "generate_content",
};

const char *
sim_kind_name(enum sim_kind k)
{
	return kind_names[k];
}

static bool
ends_with(const char *s, const char *tail)
{
	size_t n = strlen(s), t = strlen(tail);

	return n >= t && strcmp(s + n - t, tail) == 0;
}

bool
sim_kind_of_path(const char *path, enum sim_kind *out)
{
	if (ends_with(path, "/chat/completions"))
		*out = KIND_CHAT;
	else if (ends_with(path, "/images/generations"))
		*out = KIND_GENERATION;
	else if (ends_with(path, "/images/edits"))
		*out = KIND_EDIT;
	else if (ends_with(path, ":generateContent") &&
	    strstr(path, "/models/") != NULL)
		*out = KIND_GENERATE_CONTENT;
	else
		return false;
	return true;
}

static void
add_text(struct strbuf *sb, const char *text)
{
	if (text == NULL)
		return;
	if (sb->len > 0)
		strbuf_addch(sb, '\n');
	strbuf_addstr(sb, text);
}

/* --- pictures ---------------------------------------------------------- */

static enum err_code
add_base64(struct sim_request *r, const char *text, size_t len, struct err *e)
{
	struct strbuf *slot;
	enum err_code rc;

	if (r->n_pictures == SIM_MAX_PICTURES)
		return err_set(e, ERR_INVALID,
		    "Too many images in the request.");
	slot = &r->pictures[r->n_pictures];
	rc = base64_decode_to(slot, text, len, e);
	if (rc != ERR_OK || image_sniff(slot->buf, slot->len) == IMAGE_NONE)
		return err_set(e, ERR_INVALID, "An image of the request is not "
		    "valid base64 of a PNG, JPEG, WebP or GIF file.");
	r->n_pictures++;
	return ERR_OK;
}

static enum err_code
add_data_uri(struct sim_request *r, const char *uri, struct err *e)
{
	const char *comma;

	if (uri == NULL || strncmp(uri, "data:", 5) != 0)
		return err_set(e, ERR_INVALID,
		    "Only data: URLs of images can be read here.");
	comma = strchr(uri, ',');
	if (comma == NULL)
		return err_set(e, ERR_INVALID, "A data: URL has no data.");
	return add_base64(r, comma + 1, strlen(comma + 1), e);
}

/* --- sizes ------------------------------------------------------------- */

static enum err_code
set_size(struct sim_request *r, const char *size, struct err *e)
{
	char *end = NULL;
	long w, h = 0;

	r->width = r->height = DEFAULT_SIDE;
	if (size == NULL || strcmp(size, "auto") == 0)
		return ERR_OK;
	w = strtol(size, &end, 10);
	if (end != size && *end == 'x')
		h = strtol(end + 1, &end, 10);
	if (*end != '\0' || w < MIN_SIDE || h < MIN_SIDE || w > MAX_SIDE ||
	    h > MAX_SIDE)
		return err_set(e, ERR_INVALID, "Invalid value: '%s'. Expected a "
		    "size such as '1024x1024'.", size);
	r->width = (int)w;
	r->height = (int)h;
	return ERR_OK;
}

/* About a megapixel, as the real one makes them. */
static void
set_aspect(struct sim_request *r, long a, long b)
{
	static const struct {
		int a, b, w, h;
	} known[] = {
		{ 1, 1, 1024, 1024 }, { 2, 3, 832, 1248 },
		{ 3, 2, 1248, 832 }, { 3, 4, 864, 1184 },
		{ 4, 3, 1184, 864 }, { 4, 5, 896, 1152 },
		{ 5, 4, 1152, 896 }, { 9, 16, 768, 1344 },
		{ 16, 9, 1344, 768 }, { 21, 9, 1536, 672 },
	};
	long h = DEFAULT_SIDE;
	size_t i;

	for (i = 0; i < ARRAY_LEN(known); i++) {
		if (known[i].a == a && known[i].b == b) {
			r->width = known[i].w;
			r->height = known[i].h;
			return;
		}
	}
	while (h * h * a / b > MEGAPIXEL && h > 256)
		h -= SIDE_STEP;
	r->height = (int)h;
	r->width = (int)(h * a / b / SIDE_STEP * SIDE_STEP);
	if (r->width < MIN_SIDE)
		r->width = MIN_SIDE;
	if (r->width > MAX_SIDE)
		r->width = MAX_SIDE;
}

/* The last "W:H" of a text; a time of day is no ratio. */
static bool
find_ratio(const char *text, long *a, long *b)
{
	bool found = false;
	char *end;
	const char *p;
	long x, y;

	for (p = text; *p != '\0'; p++) {
		if (!isdigit((unsigned char)*p) || (p != text &&
		    (isalnum((unsigned char)p[-1]) || p[-1] == ':' ||
		    p[-1] == '.')))
			continue;
		x = strtol(p, &end, 10);
		if (*end != ':' || !isdigit((unsigned char)end[1]) ||
		    end[1] == '0')
			continue;
		y = strtol(end + 1, &end, 10);
		if (x >= 1 && x <= 21 && y >= 1 && y <= 21 && *end != ':' &&
		    !isalnum((unsigned char)*end)) {
			*a = x;
			*b = y;
			found = true;
		}
	}
	return found;
}

/* --- schemas ----------------------------------------------------------- */

/* The end of the JSON object that begins at p, by its braces. */
static const char *
end_of_object(const char *p)
{
	bool in_string = false;
	int depth = 0;

	for (; *p != '\0'; p++) {
		if (in_string) {
			if (*p == '\\' && p[1] != '\0')
				p++;
			else if (*p == '"')
				in_string = false;
			continue;
		}
		if (*p == '"')
			in_string = true;
		else if (*p == '{')
			depth++;
		else if (*p == '}' && --depth == 0)
			return p + 1;
	}
	return NULL;
}

/* A JSON Schema written out in a prompt. */
static struct json_object *
find_schema(const char *text)
{
	struct json_object *o = NULL;
	int tries = MAX_SCHEMA_TRIES;
	const char *p, *end;

	for (p = strchr(text, '{'); p != NULL && tries-- > 0;
	    p = strchr(p + 1, '{')) {
		end = end_of_object(p);
		if (end == NULL)
			continue;
		if (json_parse(p, (size_t)(end - p), &o, NULL) == ERR_OK &&
		    (json_get_obj(o, "properties") != NULL ||
		    json_get(o, "items") != NULL))
			return o;
		json_object_put(o);
		o = NULL;
	}
	return NULL;
}

/* By what only this schema has, for those that come without a name. */
static const char *
recognise_schema(const struct json_object *schema)
{
	static const struct {
		const char *member, *other;	/* NULL: one is enough */
		const char *name;
	} marks[] = {
		{ "relevant_niches", "strategies", "niches_and_strategies" },
		{ "relevant_niches", NULL, "relevant_niches" },
		{ "strategies", NULL, "marketing_strategies" },
		{ "style_guidance_sets", NULL, "style_guidance_list" },
		{ "style_keywords", NULL, "style_guidance_set" },
		{ "visual_concept", NULL, "image_generation_prompt" },
		{ "assessment_scores", NULL, "image_assessment" },
		{ "logo_style", NULL, "logo_analysis" },
		{ "setting_environment", NULL, "image_analysis" },
		{ "composition_and_framing", NULL, "visual_concept" },
		{ "noise_and_grain_impact", NULL, "noise_assessment" },
		{ "core_message", NULL, "caption_brief" },
	};
	struct json_object *props = json_get_obj(schema, "properties");
	size_t i;

	for (i = 0; i < ARRAY_LEN(marks); i++)
		if (json_object_object_get_ex(props, marks[i].member, NULL) &&
		    (marks[i].other == NULL ||
		    json_object_object_get_ex(props, marks[i].other, NULL)))
			return marks[i].name;
	return "";
}

static void
settle_schema(struct sim_request *r, struct json_object *schema,
    const char *name)
{
	r->schema = schema;
	if (r->schema == NULL && r->kind == KIND_CHAT) {
		r->found = find_schema(r->system.buf);
		if (r->found == NULL)
			r->found = find_schema(r->user.buf);
		r->schema = r->found;
	}
	if (r->schema == NULL)
		return;
	if (name == NULL)
		name = recognise_schema(r->schema);
	snprintf(r->schema_name, sizeof(r->schema_name), "%s", name);
}

/* --- the four shapes --------------------------------------------------- */

static enum err_code
read_part_of_message(struct sim_request *r, const struct json_object *part,
    struct strbuf *text, struct err *e)
{
	const char *type = json_get_str(part, "type");
	struct json_object *url;

	if (type != NULL && strcmp(type, "text") == 0) {
		add_text(text, json_get_str(part, "text"));
		return ERR_OK;
	}
	if (type != NULL && strcmp(type, "image_url") == 0) {
		url = json_get(part, "image_url");
		return add_data_uri(r, json_object_is_type(url,
		    json_type_string) ? json_object_get_string(url) :
		    json_get_str(url, "url"), e);
	}
	return err_set(e, ERR_INVALID, "Invalid type of a content part: '%s'.",
	    type != NULL ? type : "");
}

static enum err_code
read_message(struct sim_request *r, const struct json_object *m, struct err *e)
{
	struct json_object *content = json_get(m, "content");
	const char *role = json_get_str(m, "role");
	struct strbuf *text;
	enum err_code rc = ERR_OK;
	size_t i;

	if (role == NULL)
		return err_set(e, ERR_INVALID, "A message has no role.");
	/* What the model said before is no material of the user's. */
	if (strcmp(role, "assistant") == 0)
		return ERR_OK;
	text = strcmp(role, "system") == 0 || strcmp(role, "developer") == 0 ?
	    &r->system : &r->user;
	if (json_object_is_type(content, json_type_string)) {
		add_text(text, json_object_get_string(content));
		return ERR_OK;
	}
	for (i = 0; rc == ERR_OK && i < json_len(content); i++)
		rc = read_part_of_message(r,
		    json_object_array_get_idx(content, i), text, e);
	return rc;
}

static enum err_code
read_chat(struct sim_request *r, struct err *e)
{
	struct json_object *messages = json_get_arr(r->body, "messages");
	struct json_object *format = json_get_obj(r->body, "response_format");
	struct json_object *named = json_get_obj(format, "json_schema");
	const char *type = json_get_str(format, "type");
	enum err_code rc = ERR_OK;
	size_t i;

	if (json_len(messages) == 0)
		return err_set(e, ERR_INVALID,
		    "Missing required parameter: 'messages'.");
	if (json_get_bool(r->body, "stream", false))
		return err_set(e, ERR_INVALID, "Streaming is not simulated.");
	for (i = 0; rc == ERR_OK && i < json_len(messages); i++)
		rc = read_message(r, json_object_array_get_idx(messages, i), e);
	if (rc != ERR_OK)
		return rc;
	if (type != NULL && strcmp(type, "json_schema") == 0)
		r->format = FORMAT_JSON_SCHEMA;
	else if (type != NULL && strcmp(type, "json_object") == 0)
		r->format = FORMAT_JSON_OBJECT;
	if (r->format == FORMAT_JSON_SCHEMA &&
	    json_get_obj(named, "schema") == NULL)
		return err_set(e, ERR_INVALID, "Missing required parameter: "
		    "'response_format.json_schema.schema'.");
	settle_schema(r, json_get_obj(named, "schema"),
	    json_get_str(named, "name"));
	r->max_tokens = (int)json_get_int(r->body, "max_completion_tokens",
	    json_get_int(r->body, "max_tokens", 0));
	return ERR_OK;
}

static enum err_code
settle_picture(struct sim_request *r, const char *size, const char *quality,
    const char *response_format, struct err *e)
{
	if (r->user.len == 0)
		return err_set(e, ERR_INVALID,
		    "Missing required parameter: 'prompt'.");
	r->wants_picture = true;
	r->as_url = response_format != NULL &&
	    strcmp(response_format, "url") == 0;
	snprintf(r->quality, sizeof(r->quality), "%s",
	    quality != NULL ? quality : "auto");
	return set_size(r, size, e);
}

static enum err_code
read_generation(struct sim_request *r, struct err *e)
{
	add_text(&r->user, json_get_str(r->body, "prompt"));
	if (json_get_int(r->body, "n", 1) != 1)
		return err_set(e, ERR_INVALID, "Only n = 1 is simulated.");
	return settle_picture(r, json_get_str(r->body, "size"),
	    json_get_str(r->body, "quality"),
	    json_get_str(r->body, "response_format"), e);
}

static enum err_code
add_file(struct sim_request *r, const struct part *p, struct err *e)
{
	if (r->n_pictures == SIM_MAX_PICTURES)
		return err_set(e, ERR_INVALID,
		    "Too many images in the request.");
	if (image_sniff(p->data, p->len) == IMAGE_NONE)
		return err_set(e, ERR_INVALID, "Invalid image file or mode for "
		    "'%s'. Supported are PNG, JPEG, WebP and GIF.", p->name);
	strbuf_add(&r->pictures[r->n_pictures], p->data, p->len);
	if (strbuf_overflowed(&r->pictures[r->n_pictures]))
		return err_set(e, ERR_INVALID, "An image is too large.");
	r->n_pictures++;
	return ERR_OK;
}

/* A short text field of a form, in a buffer of its own; NULL when absent. */
static const char *
field(const struct part *parts, int n, const char *name, char *buf,
    size_t size)
{
	int i;

	for (i = 0; i < n; i++) {
		if (parts[i].is_file || strcmp(parts[i].name, name) != 0)
			continue;
		snprintf(buf, size, "%.*s", (int)parts[i].len, parts[i].data);
		return buf;
	}
	return NULL;
}

static enum err_code
read_edit(struct sim_request *r, const struct sim_input *in, struct err *e)
{
	char size[32], quality[32], format[32], fidelity[32];
	struct part parts[MAX_PARTS];
	struct digest d;
	enum err_code rc = ERR_OK;
	int n, i;

	n = multipart_split(in->content_type, in->body, in->len, parts,
	    MAX_PARTS);
	if (n < 0)
		return err_set(e, ERR_INVALID,
		    "The body is no valid multipart/form-data.");
	digest_init(&d);
	digest_add_field(&d, sim_kind_name(r->kind));
	for (i = 0; rc == ERR_OK && i < n; i++) {
		digest_add_field(&d, parts[i].name);
		digest_add(&d, parts[i].data, parts[i].len);
		if (parts[i].is_file && strncmp(parts[i].name, "image", 5) == 0)
			rc = add_file(r, &parts[i], e);
		else if (strcmp(parts[i].name, "prompt") == 0)
			strbuf_add(&r->user, parts[i].data, parts[i].len);
	}
	digest_hex(&d, r->hash);
	if (rc != ERR_OK)
		return rc;
	if (r->n_pictures == 0)
		return err_set(e, ERR_INVALID,
		    "Missing required parameter: 'image'.");
	field(parts, n, "model", r->model, sizeof(r->model));
	r->high_fidelity = field(parts, n, "input_fidelity", fidelity,
	    sizeof(fidelity)) != NULL && strcmp(fidelity, "high") == 0;
	return settle_picture(r, field(parts, n, "size", size, sizeof(size)),
	    field(parts, n, "quality", quality, sizeof(quality)),
	    field(parts, n, "response_format", format, sizeof(format)), e);
}

static enum err_code
read_gemini_parts(struct sim_request *r, const struct json_object *content,
    struct strbuf *text, struct err *e)
{
	struct json_object *parts = json_get_arr(content, "parts");
	struct json_object *part, *data;
	enum err_code rc = ERR_OK;
	const char *b64;
	size_t i;

	for (i = 0; rc == ERR_OK && i < json_len(parts); i++) {
		part = json_object_array_get_idx(parts, i);
		add_text(text, json_get_str(part, "text"));
		data = json_get_obj(part, "inlineData");
		if (data == NULL)
			data = json_get_obj(part, "inline_data");
		if (data == NULL)
			continue;
		b64 = json_get_str(data, "data");
		rc = add_base64(r, b64 != NULL ? b64 : "",
		    b64 != NULL ? strlen(b64) : 0, e);
	}
	return rc;
}

static void
set_gemini_shape(struct sim_request *r)
{
	const char *aspect = json_get_str(json_at(r->body,
	    "generationConfig/imageConfig"), "aspectRatio");
	long a = 1, b = 1;

	if (aspect == NULL || !find_ratio(aspect, &a, &b))
		find_ratio(r->user.buf, &a, &b);
	set_aspect(r, a, b);
	snprintf(r->quality, sizeof(r->quality), "default");
}

static enum err_code
read_gemini(struct sim_request *r, const char *path, struct err *e)
{
	struct json_object *contents = json_get_arr(r->body, "contents");
	struct json_object *config = json_get_obj(r->body, "generationConfig");
	const char *mime = json_get_str(config, "responseMimeType");
	const char *id = strstr(path, "/models/") + 8;
	enum err_code rc = ERR_OK;
	size_t i;

	snprintf(r->model, sizeof(r->model), "%.*s",
	    (int)(strlen(id) - strlen(":generateContent")), id);
	if (json_len(contents) == 0)
		return err_set(e, ERR_INVALID,
		    "GenerateContentRequest.contents: contents is not specified");
	for (i = 0; rc == ERR_OK && i < json_len(contents); i++)
		rc = read_gemini_parts(r, json_object_array_get_idx(contents,
		    i), &r->user, e);
	if (rc == ERR_OK)
		rc = read_gemini_parts(r, json_get_obj(r->body,
		    "systemInstruction"), &r->system, e);
	if (rc != ERR_OK)
		return rc;
	r->max_tokens = (int)json_get_int(config, "maxOutputTokens", 0);
	if (mime != NULL && strcmp(mime, "application/json") == 0) {
		r->format = FORMAT_JSON_SCHEMA;
		settle_schema(r, json_get_obj(config, "responseSchema"), NULL);
		return ERR_OK;
	}
	r->wants_picture = true;
	set_gemini_shape(r);
	return ERR_OK;
}

/* --- all of it --------------------------------------------------------- */

static enum err_code
read_json(struct sim_request *r, const struct sim_input *in, struct err *e)
{
	const char *model;
	struct digest d;
	enum err_code rc;

	digest_init(&d);
	digest_add_field(&d, sim_kind_name(r->kind));
	digest_add(&d, in->body, in->len);
	digest_hex(&d, r->hash);
	rc = json_parse(in->body, in->len, &r->body, e);
	if (rc != ERR_OK || !json_object_is_type(r->body, json_type_object))
		return err_set(e, ERR_INVALID,
		    "We could not parse the JSON body of your request.");
	model = json_get_str(r->body, "model");
	snprintf(r->model, sizeof(r->model), "%s", model != NULL ? model : "");
	if (r->kind == KIND_GENERATE_CONTENT)
		return read_gemini(r, in->path, e);
	if (model == NULL)
		return err_set(e, ERR_INVALID,
		    "Missing required parameter: 'model'.");
	return r->kind == KIND_CHAT ? read_chat(r, e) : read_generation(r, e);
}

static void
init(struct sim_request *r, enum sim_kind kind)
{
	int i;

	memset(r, 0, sizeof(*r));
	r->kind = kind;
	strbuf_init(&r->system, SIM_MAX_TEXT_BYTES);
	strbuf_init(&r->user, SIM_MAX_TEXT_BYTES);
	for (i = 0; i < SIM_MAX_PICTURES; i++)
		strbuf_init(&r->pictures[i], SIM_MAX_PICTURE_BYTES);
}

enum err_code
sim_request_parse(const struct sim_input *in, struct sim_request *r,
    struct err *e)
{
	enum err_code rc;
	char top[17] = "";

	init(r, in->kind);
	r->openrouter = strstr(in->path, "/openrouter/") != NULL;
	rc = in->kind == KIND_EDIT ? read_edit(r, in, e) :
	    read_json(r, in, e);
	if (rc == ERR_OK && (strbuf_overflowed(&r->user) ||
	    strbuf_overflowed(&r->system)))
		rc = err_set(e, ERR_INVALID, "The texts are too long.");
	memcpy(top, r->hash, 16);
	r->seed = strtoull(top, NULL, 16);
	return rc;
}

void
sim_request_release(struct sim_request *r)
{
	int i;

	json_object_put(r->found);
	json_object_put(r->body);
	for (i = 0; i < SIM_MAX_PICTURES; i++)
		strbuf_release(&r->pictures[i]);
	strbuf_release(&r->user);
	strbuf_release(&r->system);
	r->found = r->body = r->schema = NULL;
}
