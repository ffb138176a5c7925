/*
 * The wire: how requests are written and answers are read.
 *
 * To add a wire "foo": write provider_foo.c with a struct wire_ops (gemini is
 * the smaller one to start from), declare it here, give enum wire of conf.h
 * its name and provider_ops() its case, add the file to Makefile.am and a peer
 * to tests/unit/model_image.c.  Nothing else knows the wires.
 *
 * Chat is OpenAI's shape everywhere; wires differ in its path alone.
 */
#ifndef MODEL_PROVIDER_H
#define MODEL_PROVIDER_H

#include "model.h"

/* --- chat ---------------------------------------------------------------- */

struct chat_ask {
	const struct model_info *model;
	const char *system, *user;
	const struct call_image *images;
	int n_images;
	int run_dirfd;
	const struct schema *schema;	/* NULL: none */
	enum answer_mode mode;
	double temperature;	/* < 0: not sent */
	int max_tokens;		/* 0: not sent */
	const char *answered;	/* the unusable answer before; NULL: none */
	const char *complaint;	/* what is wrong with it; NULL: none */
};

enum err_code chat_body(const struct chat_ask *a, struct http_body *b,
    struct err *e);

/* What the model said, appended to text. */
struct chat_reply {
	bool length_cut;	/* finish_reason "length" */
	bool refused;
};

void chat_reply_read(const struct json_object *answer, struct strbuf *text,
    struct chat_reply *out);

/* The texts and parameters of a request, from its body. The texts belong to
 * body, parameters are the caller's. */
void chat_read_back(const struct json_object *body, struct call_preview *out);

/* --- pictures ------------------------------------------------------------ */

struct image_ask {
	const struct model_info *model;
	const char *prompt;
	const struct call_image *inputs;
	int n_inputs;
	int run_dirfd;
	const char *aspect;	/* NULL: not sent */
	const char *size;	/* NULL: not sent */
	const char *quality;	/* NULL: not sent */
	const char *mask;	/* file beside the inputs; NULL: none */
	const char *fidelity;	/* "low", "high" */
	const char *boundary;	/* for multipart bodies */
};

/* Where an answer has its picture: member key of holder. */
struct picture_ref {
	struct json_object *holder;
	const char *key;
	const char *value;	/* base64, "@blob:N" or a URL */
	bool is_url;
};

struct wire_ops {
	const char *chat_path;	/* behind the base URL */
	const char *image_key_header;
	/* Tokens an input picture may cost beyond its size; NULL: none. */
	int64_t (*image_input_extra)(const struct model_info *m);
	void (*image_path)(const struct image_ask *a, struct strbuf *out);
	/* content_type has 128 bytes. */
	enum err_code (*image_body)(const struct image_ask *a,
	    struct http_body *b, char *content_type, struct err *e);
	bool (*image_find)(const struct json_object *answer,
	    struct picture_ref *out);
	bool (*image_refused)(const struct json_object *answer);
	/* As chat_read_back(); of a form body has the fields, not the files. */
	void (*image_read_back)(const struct json_object *body,
	    struct call_preview *out);
};

extern const struct wire_ops wire_openai, wire_gemini;

const struct wire_ops *provider_ops(enum wire wire);
const char *model_base_name(const char *id);	/* after the last slash */
/* "key":"text" with text escaped; no comma. */
void body_add_member(struct strbuf *sb, const char *key, const char *text);
/* The members but those named (NULL-terminated). Caller's. */
struct json_object *body_rest(const struct json_object *body,
    const char *const *names);

#endif
