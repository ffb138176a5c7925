/*
 * The model and the picture helper of the stages' tests: they answer what the
 * test has put down for them, in that order, and note what they were asked.
 * A call nobody foresaw fails the test.
 */
#include "tests/unit/stages_unit.h"

#include <fcntl.h>
#include <unistd.h>

#include "file.h"

#define MAX_REPLIES 64
#define MAX_ASKED 64

struct reply {
	char key[64];
	char *text;		/* NULL: fails */
	enum model_fault fault;
	enum err_code rc;
	bool used;
};

static struct reply replies[MAX_REPLIES];
static int n_replies;
static struct asked asked_list[MAX_ASKED];
static int n_asked_list, together;
static struct strbuf told;
static struct reply paint;
static int paint_width, paint_height;
static bool paint_left_out, blind;
static struct painted painted_last;
static int painted_count, fitted_count;
static struct pixels_mark mark;
static char mark_texts[3][80];

void
script_begin(void)
{
	strbuf_init(&told, MAX_TEXT);
}

void
script_end(void)
{
	strbuf_release(&told);
	n_replies = n_asked_list = together = 0;
	painted_count = fitted_count = 0;
	paint_left_out = blind = false;
	memset(&paint, 0, sizeof(paint));
}

/* --- the model ---------------------------------------------------------- */

static struct reply *
reply_new(const char *key)
{
	struct reply *r;

	ck_assert_int_lt(n_replies, MAX_REPLIES);
	r = &replies[n_replies++];
	memset(r, 0, sizeof(*r));
	snprintf(r->key, sizeof(r->key), "%s", key);
	return r;
}

void
answers(const char *key, const char *text)
{
	reply_new(key)->text = requoted(text);
}

void
fails(const char *key, enum model_fault fault)
{
	struct reply *r = reply_new(key);

	r->fault = fault;
	r->rc = ERR_MODEL;
}

void
fails_with(const char *key, enum err_code rc)
{
	reply_new(key)->rc = rc;
}

static struct reply *
next_reply(const char *key)
{
	int i;

	for (i = 0; i < n_replies; i++)
		if (!replies[i].used && strcmp(replies[i].key, key) == 0) {
			replies[i].used = true;
			return &replies[i];
		}
	return NULL;
}

static void
note_asked(const struct chat_request *req, const char *key)
{
	struct asked *a;
	int i;

	ck_assert_int_lt(n_asked_list, MAX_ASKED);
	a = &asked_list[n_asked_list++];
	memset(a, 0, sizeof(*a));
	snprintf(a->key, sizeof(a->key), "%s", key);
	a->system = keep(xstrdup(req->system));
	a->user = keep(xstrdup(req->user));
	for (i = 0; i < req->n_images; i++) {
		snprintf(a->images[i], sizeof(a->images[i]), "%s",
		    req->images[i].path);
		snprintf(a->mimes[i], sizeof(a->mimes[i]), "%s",
		    req->images[i].mime);
		ck_assert_int_gt(req->images[i].width, 0);
	}
	a->n_images = req->n_images;
	a->temperature = req->temperature;
	a->variant = req->variant;
	a->cacheable = req->cacheable;
}

/* Read an answer as the model layer does; false: unusable, and why is told. */
static bool
read_reply(const struct chat_request *req, const char *key, const char *text,
    struct json_object **out)
{
	struct answer_wish wish = { .schema = req->schema, .hook = req->hook,
	    .hook_arg = req->hook_arg };
	struct strbuf violations = STRBUF_INIT(MAX_TEXT);
	struct json_object *value = NULL;
	bool fine;

	fine = answer_read(text, strlen(text), &wish, &value, &violations) ==
	    ANSWER_FINE;
	if (fine && req->verify != NULL) {
		req->verify(value, &violations, req->verify_arg);
		fine = violations.len == 0;
	}
	if (!fine)
		strbuf_addf(&told, "%s: %s\n", key, violations.buf);
	if (fine)
		*out = value;
	else
		json_object_put(value);
	strbuf_release(&violations);
	return fine;
}

static void
fail_result(struct call_result *out, enum err_code rc, enum model_fault fault)
{
	out->rc = err_set(&out->err, rc, "scripted %s", rc == ERR_MODEL ?
	    model_fault_name(fault) : err_code_name(rc));
	out->err.detail = (int)fault;
}

static void
run_call(const struct chat_request *req, struct call_result *out)
{
	struct reply *r;
	char key[64];
	int attempt;

	memset(out, 0, sizeof(*out));
	snprintf(key, sizeof(key), "%s%s%s", purpose_name(req->purpose),
	    req->suffix != NULL ? "/" : "",
	    req->suffix != NULL ? req->suffix : "");
	note_asked(req, key);
	for (attempt = 0; attempt < 2; attempt++) {
		r = next_reply(key);
		if (r == NULL && attempt > 0)
			break;
		ck_assert_msg(r != NULL, "unexpected call %s", key);
		if (r->text == NULL) {
			fail_result(out, r->rc, r->fault);
			return;
		}
		if (read_reply(req, key, r->text, &out->value))
			return;
	}
	fail_result(out, ERR_MODEL, FAULT_INVALID_SCHEMA);
}

enum err_code __wrap_model_chat(struct model *m,
    const struct call_scope *scope, const struct chat_request *req,
    struct call_result *out, struct err *e);
enum err_code __wrap_model_chat_all(struct model *m,
    const struct call_scope *scope, const struct chat_request *reqs, int n,
    struct call_result *out, struct err *e);
enum err_code __wrap_model_image(struct model *m,
    const struct call_scope *scope, const struct image_request *req,
    struct image_result *out, struct err *e);
enum err_code __wrap_pixels_fit(struct pixels *p, const char *dir,
    const char *in, const char *out_path, int max_side, bool png,
    struct cancel *cancel, struct pixels_info *out, struct err *e);
enum err_code __wrap_pixels_finish(struct pixels *p, const char *dir,
    const char *in, const char *out_base, const struct pixels_mark *m,
    struct cancel *cancel, char **file, struct pixels_info *out,
    struct err *e);

enum err_code
__wrap_model_chat(struct model *m, const struct call_scope *scope,
    const struct chat_request *req, struct call_result *out, struct err *e)
{
	(void)m;
	ck_assert_ptr_nonnull(scope);
	run_call(req, out);
	if (out->rc != ERR_OK)
		*e = out->err;
	return out->rc;
}

enum err_code
__wrap_model_chat_all(struct model *m, const struct call_scope *scope,
    const struct chat_request *reqs, int n, struct call_result *out,
    struct err *e)
{
	enum err_code rc = ERR_OK;
	int i;

	(void)m;
	ck_assert_ptr_nonnull(scope);
	ck_assert_int_le(n, MODEL_MAX_CALLS);
	together = n > together ? n : together;
	for (i = 0; i < n; i++) {
		run_call(&reqs[i], &out[i]);
		if (rc == ERR_OK && out[i].rc != ERR_OK &&
		    out[i].rc != ERR_MODEL) {
			rc = out[i].rc;
			*e = out[i].err;
		}
	}
	return rc;
}

int
n_asked(void)
{
	return n_asked_list;
}

int
n_asked_for(const char *key)
{
	int i, n = 0;

	for (i = 0; i < n_asked_list; i++)
		if (strcmp(asked_list[i].key, key) == 0)
			n++;
	return n;
}

const struct asked *
asked(const char *key)
{
	int i;

	for (i = n_asked_list; i > 0; i--)
		if (strcmp(asked_list[i - 1].key, key) == 0)
			return &asked_list[i - 1];
	ck_abort_msg("%s was not asked", key);
	return NULL;
}

int
n_together(void)
{
	return together;
}

bool
was_told(const char *key, const char *violation)
{
	const char *at = strstr(told.buf, key);

	return at != NULL && strstr(at, violation) != NULL;
}

/* --- pictures ----------------------------------------------------------- */

void
paints(int width, int height)
{
	memset(&paint, 0, sizeof(paint));
	paint_width = width;
	paint_height = height;
}

void
paints_not(enum model_fault fault)
{
	paint.rc = ERR_MODEL;
	paint.fault = fault;
}

void
paints_without_logo(int width, int height)
{
	paints(width, height);
	paint_left_out = true;
}

void
sees_nothing(void)
{
	blind = true;
}

enum err_code
__wrap_model_image(struct model *m, const struct call_scope *scope,
    const struct image_request *req, struct image_result *out, struct err *e)
{
	const struct picture_offer offer = { "calls/x.0",
	    "gemini-2.5-flash-image-preview", true };
	struct err why = ERR_INIT;
	int i;

	(void)m;
	ck_assert_ptr_nonnull(scope);
	memset(out, 0, sizeof(*out));
	painted_count++;
	memset(&painted_last, 0, sizeof(painted_last));
	painted_last.prompt = keep(xstrdup(req->prompt));
	for (i = 0; i < req->n_inputs; i++)
		snprintf(painted_last.inputs[i],
		    sizeof(painted_last.inputs[i]), "%s", req->inputs[i].path);
	painted_last.n_inputs = req->n_inputs;
	painted_last.has_logo = req->has_logo;
	snprintf(painted_last.aspect, sizeof(painted_last.aspect), "%s",
	    req->aspect);
	snprintf(painted_last.quality, sizeof(painted_last.quality), "%s",
	    req->quality);
	if (paint.rc != ERR_OK) {
		err_set(e, paint.rc, "scripted %s",
		    model_fault_name(paint.fault));
		e->detail = (int)paint.fault;
		return paint.rc;
	}
	if (req->judge(req->judge_arg, &offer, &why) != ERR_OK) {
		err_set(e, why.code == ERR_INVALID ? ERR_MODEL : why.code,
		    "%s", why.msg);
		e->detail = FAULT_NO_IMAGE;
		return e->code;
	}
	out->file = xstrdup(offer.file);
	out->provider = "gemini";
	out->wire = WIRE_GEMINI;
	out->model = offer.model;
	out->aspect = "1:1";
	snprintf(out->quality, sizeof(out->quality), "default");
	out->usage.prompt = 1000;
	out->usage.text_in = 400;
	out->usage.image_in = 600;
	out->logo_left_out = paint_left_out;
	out->simulated = true;
	return ERR_OK;
}

/* A file that says it is a PNG of this size. */
static void
write_png(const char *path, int width, int height)
{
	unsigned char head[33] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
	struct err e = ERR_INIT;
	int fd;

	head[18] = (unsigned char)(width >> 8);
	head[19] = (unsigned char)width;
	head[22] = (unsigned char)(height >> 8);
	head[23] = (unsigned char)height;
	head[24] = 8;
	head[25] = 2;
	ck_ok(file_open_beneath(run_dirfd, path, O_WRONLY | O_CREAT | O_TRUNC,
	    0640, &fd, &e), &e);
	ck_ok(file_write_all(fd, head, sizeof(head), &e), &e);
	close(fd);
}

enum err_code
__wrap_pixels_fit(struct pixels *p, const char *dir, const char *in,
    const char *out_path, int max_side, bool png, struct cancel *cancel,
    struct pixels_info *out, struct err *e)
{
	(void)p;
	(void)cancel;
	ck_assert_str_eq(dir, run_dir);
	ck_assert_ptr_nonnull(in);
	fitted_count++;
	if (blind)
		return err_set(e, ERR_INVALID, "%s is not a picture", in);
	memset(out, 0, sizeof(*out));
	snprintf(out->type, sizeof(out->type), "%s", png ? "png" : "jpeg");
	out->width = max_side;
	out->height = max_side / 2;
	write_png(out_path, out->width, out->height);
	return ERR_OK;
}

enum err_code
__wrap_pixels_finish(struct pixels *p, const char *dir, const char *in,
    const char *out_base, const struct pixels_mark *m, struct cancel *cancel,
    char **file, struct pixels_info *out, struct err *e)
{
	char name[128];

	(void)p;
	(void)cancel;
	ck_assert_str_eq(dir, run_dir);
	ck_assert_str_eq(in, "calls/x.0");
	if (blind)
		return err_set(e, ERR_INVALID, "not a picture");
	snprintf(mark_texts[0], sizeof(mark_texts[0]), "%s", m->run_id);
	snprintf(mark_texts[1], sizeof(mark_texts[1]), "%s", m->model);
	snprintf(mark_texts[2], sizeof(mark_texts[2]), "%s", m->prompt_hash);
	mark.run_id = mark_texts[0];
	mark.model = mark_texts[1];
	mark.prompt_hash = mark_texts[2];
	mark.simulated = m->simulated;
	snprintf(name, sizeof(name), "%s.png", out_base);
	write_png(name, paint_width, paint_height);
	memset(out, 0, sizeof(*out));
	snprintf(out->type, sizeof(out->type), "png");
	out->width = paint_width;
	out->height = paint_height;
	*file = xstrdup(name);
	return ERR_OK;
}

const struct painted *
painted(void)
{
	ck_assert_int_gt(painted_count, 0);
	return &painted_last;
}

int
n_painted(void)
{
	return painted_count;
}

const struct pixels_mark *
marked(void)
{
	return &mark;
}

int
n_fitted(void)
{
	return fitted_count;
}
