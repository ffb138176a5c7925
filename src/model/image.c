/*
 * Pictures: one call that ends with one file.
 *
 * Whatever way a provider hands a picture over (a long string that the sink
 * has put to disk already, a short one inside the answer, an address to fetch
 * it from), it ends as calls/ROW.N in the run's directory, in the bytes the
 * provider sent, and the answer kept in the ledger says "@blob:N" where it
 * was.  It is a picture when its first bytes say so and the caller, who can
 * decode it, finds nothing wrong with it.
 *
 * What can be asked differently after a fault:
 *
 *   imageConfig is refused      without it, remembered per model
 *   two pictures are refused    without the logo, remembered per model; only
 *                               when the provider says so, and told
 *   no picture in the answer,   once more
 *   or none that can be used
 */
#include "call.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "aspect.h"
#include "file.h"
#include "provider.h"
#include "utf8.h"
#include "xalloc.h"

#define NO_IMAGE_RETRIES 1
#define BLOB_NAME_BYTES 80
#define CALLS_DIR "calls"
#define CALLS_DIR_MODE 0750

struct image_call {
	struct call call;	/* first: a struct call * is one of these */
	const struct image_request *req;
	struct aspect_choice aspect;
	bool send_aspect;
	const char *quality;	/* NULL: the model has none */
	int n_inputs;
	bool logo_left_out;
	int no_images;		/* answers without a picture so far */
	char file[BLOB_NAME_BYTES];	/* "" until there is one */
};

static struct image_call *
image_of(const struct call *c)
{
	return (struct image_call *)(uintptr_t)c;
}

/* --- asking -------------------------------------------------------------- */

static void
leave_logo_out(struct image_call *ic)
{
	ic->n_inputs = 1;
	ic->logo_left_out = ic->req->has_logo;
	call_note(&ic->call, ic->req->has_logo ? "logo_left_out" :
	    "image_left_out", "%s takes one picture only; %s was left out",
	    ic->call.model->id, ic->req->has_logo ? "the logo" :
	    "the second one");
}

static void
image_begin(struct call *c)
{
	struct image_call *ic = image_of(c);
	struct ability known = model_ability(c->m, c->model);

	ic->aspect = aspect_resolve(ic->req->aspect, c->model);
	ic->send_aspect = c->model->takes_aspect && !known.no_aspect;
	ic->quality = NULL;
	if (c->model->n_image_prices > 0 &&
	    c->model->image_prices[0].quality[0] != '\0')
		ic->quality = ic->req->quality != NULL ? ic->req->quality :
		    c->m->conf->settings.image_quality;
	ic->n_inputs = ic->req->n_inputs;
	ic->logo_left_out = false;
	ic->no_images = 0;
	if (ic->n_inputs > 1 &&
	    (!c->model->takes_two_images || known.one_image))
		leave_logo_out(ic);
}

static enum err_code
image_build(struct call *c, struct call_wire *w, struct err *e)
{
	const struct image_call *ic = image_of(c);
	const struct wire_ops *ops = provider_ops(c->provider->wire);
	struct strbuf path = STRBUF_INIT(CALL_URL_MAX / 2);
	char boundary[IDEMPOTENCY_KEY_MAX + 16];
	const struct image_ask ask = {
		.model = c->model,
		.prompt = ic->req->prompt,
		.inputs = ic->req->inputs,
		.n_inputs = ic->n_inputs,
		.run_dirfd = c->scope->run_dirfd,
		.aspect = ic->send_aspect ? ic->aspect.aspect : NULL,
		.size = ic->aspect.size,
		.quality = ic->quality,
		.mask = ic->req->mask,
		.fidelity = ic->req->fidelity != NULL ? ic->req->fidelity :
		    "high",
		.boundary = boundary,
	};
	enum err_code rc;

	/* Random enough not to be in a picture, and the same for each
	 * attempt of the ask. */
	snprintf(boundary, sizeof(boundary), "churns-%s", c->idempotency_key);
	ops->image_path(&ask, &path);
	snprintf(w->url, sizeof(w->url), "%s%s", c->provider->base_url,
	    path.buf);
	w->key_header = ops->image_key_header;
	rc = ops->image_body(&ask, w->body, w->content_type, e);
	strbuf_release(&path);
	return rc;
}

/* One picture of the size and quality asked for. A provider that makes two of
 * them out of one request would charge more; that is booked and told. */
static int64_t
image_most(const struct call *c)
{
	const struct image_call *ic = image_of(c);
	const struct wire_ops *ops = provider_ops(c->provider->wire);
	const struct call_image *in = ic->req->inputs;
	int64_t pictures = 0, extra = 0;
	int i;

	if (ops->image_input_extra != NULL)
		extra = ops->image_input_extra(c->model);
	for (i = 0; i < ic->n_inputs; i++)
		pictures += extra + tokens_image_most(c->model, in[i].width,
		    in[i].height, in[i].high_detail);
	/* A mask is a picture of the first one's size. */
	if (ic->req->mask != NULL && ic->n_inputs > 0)
		pictures += extra + tokens_image_most(c->model, in[0].width,
		    in[0].height, in[0].high_detail);
	return price_most(c->model, http_body_text_length(c->wire.body),
	    pictures, tokens_picture_most(c->model, ic->quality,
	    ic->aspect.size));
}

static void
image_estimate(const struct call *c, const struct json_object *answer,
    struct usage *u)
{
	const struct image_call *ic = image_of(c);
	const struct call_image *in = ic->req->inputs;
	struct picture_ref ref;
	int i;

	u->text_in = tokens_text(ic->req->prompt);
	for (i = 0; i < ic->n_inputs; i++)
		u->image_in += tokens_image(c->model, in[i].width,
		    in[i].height, in[i].high_detail);
	u->prompt = u->text_in + u->image_in;
	if (answer == NULL ||
	    provider_ops(c->provider->wire)->image_find(answer, &ref))
		u->image_out = tokens_picture(c->model, ic->quality,
		    ic->aspect.size);
	u->completion = u->image_out;
}

static int64_t
image_price(const struct call *c, const struct usage *u,
    const struct json_object *answer)
{
	const struct image_call *ic = image_of(c);
	struct picture_ref ref;
	bool picture;

	picture = answer == NULL ||
	    provider_ops(c->provider->wire)->image_find(answer, &ref);
	return price_booked(c->model, u, picture ? 1 : 0, ic->quality,
	    ic->aspect.size);
}

/* --- keeping ------------------------------------------------------------- */

/* Write a picture that came inside the text to its own file. */
static enum err_code
write_blob(int run_dirfd, const char *name, const struct strbuf *bytes,
    struct err *e)
{
	enum err_code rc;
	int dirfd = -1;

	rc = file_open_dir(run_dirfd, CALLS_DIR, &dirfd, e);
	if (rc != ERR_OK)
		return rc;
	rc = file_replace(dirfd, name + strlen(CALLS_DIR "/"), bytes->buf,
	    bytes->len, 0640, e);
	close(dirfd);
	return rc;
}

/* The first name of this row that no blob of the answer has. */
static void
free_name(const struct call_row *row, char name[BLOB_NAME_BYTES], int *n)
{
	for (*n = 0; *n <= HTTP_MAX_BLOBS; (*n)++) {
		snprintf(name, BLOB_NAME_BYTES, CALLS_DIR "/%s.%d", row->id,
		    *n);
		if (!ledger_has_blob(row, name))
			return;
	}
}

static enum err_code
image_keep(struct call *c, struct json_object *answer, struct err *e)
{
	struct strbuf bytes = STRBUF_INIT(2 * SINK_STRING_MAX);
	char name[BLOB_NAME_BYTES], text[24];
	struct picture_ref ref;
	enum err_code rc = ERR_OK;
	int n;

	if (!provider_ops(c->provider->wire)->image_find(answer, &ref) ||
	    ref.is_url || strncmp(ref.value, "@blob:", 6) == 0)
		return ERR_OK;
	if (base64_decode_to(&bytes, ref.value, strlen(ref.value), NULL) !=
	    ERR_OK || bytes.len == 0)
		goto out;	/* judged as no picture */
	free_name(&c->row, name, &n);
	rc = write_blob(c->scope->run_dirfd, name, &bytes, e);
	if (rc != ERR_OK)
		goto out;
	ledger_add_blob(&c->row, name);
	snprintf(text, sizeof(text), "@blob:%d", n);
	json_put_str(ref.holder, ref.key, text);
out:
	strbuf_release(&bytes);
	return rc;
}

/* --- judging ------------------------------------------------------------- */

static bool
is_picture(int run_dirfd, const char *name)
{
	bool ok;
	int fd;

	if (file_open_beneath(run_dirfd, name, O_RDONLY, 0, &fd, NULL) !=
	    ERR_OK)
		return false;
	ok = image_sniff_fd(fd) != IMAGE_NONE;
	close(fd);
	return ok;
}

/* What is in this file counts, unless it is no picture that can be used. */
static void
take_picture(struct image_call *ic, const char *name, struct verdict *v)
{
	const struct call *c = &ic->call;
	const struct picture_offer offer = { name, c->model->id,
	    c->provider->simulated };
	struct err why = ERR_INIT;
	enum err_code rc = ERR_OK;

	if (!is_picture(c->scope->run_dirfd, name)) {
		verdict_set(v, FAULT_NO_IMAGE);
		return;
	}
	if (ic->req->judge != NULL)
		rc = ic->req->judge(ic->req->judge_arg, &offer, &why);
	if (rc == ERR_OK) {
		snprintf(ic->file, sizeof(ic->file), "%s", name);
		return;
	}
	verdict_set(v, FAULT_NO_IMAGE);
	v->local = rc == ERR_INVALID ? ERR_OK : rc;
	snprintf(v->sentence, sizeof(v->sentence), "%s%.*s",
	    rc == ERR_INVALID ? "The model's picture cannot be used: " : "",
	    ERR_MSG_MAX - 64, why.msg);
}

static void
image_judge(struct call *c, const struct call_row *row,
    const struct json_object *answer, struct verdict *v)
{
	struct image_call *ic = image_of(c);
	const struct wire_ops *ops = provider_ops(c->provider->wire);
	char name[BLOB_NAME_BYTES];
	struct picture_ref ref;
	int n, used = 0;

	if (!ops->image_find(answer, &ref)) {
		verdict_set(v, ops->image_refused(answer) ?
		    FAULT_CONTENT_POLICY : FAULT_NO_IMAGE);
		return;
	}
	if (ref.is_url) {
		free(c->fetch_url);
		c->fetch_url = xstrdup(ref.value);
		return;
	}
	if (sscanf(ref.value, "@blob:%1d%n", &n, &used) != 1 ||
	    ref.value[used] != '\0') {
		verdict_set(v, FAULT_NO_IMAGE);
		return;
	}
	snprintf(name, sizeof(name), CALLS_DIR "/%s.%d", row->id, n);
	if (ledger_has_blob(row, name))
		take_picture(ic, name, v);
	else
		verdict_set(v, FAULT_NO_IMAGE);
}

static void
image_fetched(struct call *c, struct verdict *v)
{
	take_picture(image_of(c), c->fetch_file, v);
}

/* --- asking differently -------------------------------------------------- */

static bool
other_request(struct image_call *ic, const struct verdict *v)
{
	static const char *const about_aspect[] = { "imageconfig",
		"image_config", "aspectratio", "aspect_ratio", "aspect ratio",
		NULL };
	static const char *const about_images[] = { "image", NULL };
	static const char *const about_number[] = { "multiple", "one image",
		"single image", "only one", "at most 1", "too many", "array",
		"image[]", NULL };
	struct call *c = &ic->call;
	struct ability ability = model_ability(c->m, c->model);

	if (ic->send_aspect && rejection_mentions(v, about_aspect)) {
		ic->send_aspect = false;
		ability.no_aspect = true;
	} else if (ic->n_inputs > 1 && rejection_mentions(v, about_images) &&
	    rejection_mentions(v, about_number)) {
		leave_logo_out(ic);
		ability.one_image = true;
	} else {
		return false;
	}
	model_learn(c->m, c->model, ability);
	return true;
}

static bool
image_adapt(struct call *c, const struct verdict *v)
{
	struct image_call *ic = image_of(c);

	switch (v->fault) {
	case FAULT_BAD_REQUEST:
		return other_request(ic, v);
	case FAULT_NO_IMAGE:
	case FAULT_NO_JSON:	/* an answer over its limits */
		return ic->no_images++ < NO_IMAGE_RETRIES;
	case FAULT_NONE:
	case FAULT_AUTH:
	case FAULT_RATE_LIMIT:
	case FAULT_CONTENT_POLICY:
	case FAULT_NETWORK:
	case FAULT_TIMEOUT:
	case FAULT_SERVER:
	case FAULT_TRUNCATED:
	case FAULT_INVALID_SCHEMA:
	case FAULT_EMPTY:
	case FAULT_NOT_CONFIGURED:
	case FAULT__COUNT:
		return false;
	}
	return false;
}

static void
image_describe(const struct call *c, const struct json_object *body,
    struct call_preview *out)
{
	const struct image_call *ic = image_of(c);

	provider_ops(c->provider->wire)->image_read_back(body, out);
	out->images = ic->req->inputs;
	out->n_images = ic->n_inputs;
}

static const struct call_kind image_kind = {
	.gate = GATE_IMAGE,
	.begin = image_begin,
	.build = image_build,
	.keep = image_keep,
	.most = image_most,
	.estimate = image_estimate,
	.price = image_price,
	.judge = image_judge,
	.fetched = image_fetched,
	.adapt = image_adapt,
	.describe = image_describe,
};

/* --- public -------------------------------------------------------------- */

/* calls/ must be there before an answer arrives, and survive a power cut. */
static enum err_code
make_calls_dir(int run_dirfd, struct err *e)
{
	if (mkdirat(run_dirfd, CALLS_DIR, CALLS_DIR_MODE) != 0) {
		if (errno == EEXIST)
			return ERR_OK;
		return err_set_errno(e, ERR_SYSTEM, errno, CALLS_DIR);
	}
	if (fsync(run_dirfd) != 0)
		return err_set_errno(e, ERR_SYSTEM, errno, CALLS_DIR);
	return ERR_OK;
}

static enum err_code
check_request(const struct image_request *req, struct err *e)
{
	size_t n = req->prompt != NULL ?
	    utf8_count(req->prompt, strlen(req->prompt)) : 0;

	if (n > 0 && n <= MAX_IMAGE_PROMPT_CHARS &&
	    req->n_inputs >= 0 && req->n_inputs <= MODEL_MAX_IMAGES)
		return ERR_OK;
	err_set(e, ERR_MODEL, "The picture's prompt has %zu characters; 1 to "
	    "%d are possible", n, MAX_IMAGE_PROMPT_CHARS);
	if (e != NULL)
		e->detail = FAULT_BAD_REQUEST;
	return ERR_MODEL;
}

static void
fill_result(const struct image_call *ic, struct image_result *out)
{
	const struct call *c = &ic->call;

	memset(out, 0, sizeof(*out));
	out->cost_nano = c->cost_nano;
	out->attempts = c->attempt;
	out->logo_left_out = ic->logo_left_out;
	if (c->provider != NULL) {
		out->provider = c->provider->name;
		out->wire = c->provider->wire;
		out->simulated = c->provider->simulated;
	}
	if (c->model != NULL) {
		out->model = c->model->id;
		out->aspect = ic->aspect.aspect;
		out->size = ic->aspect.size;
	}
	snprintf(out->quality, sizeof(out->quality), "%s",
	    ic->quality != NULL ? ic->quality : "default");
	if (c->rc != ERR_OK)
		return;
	out->usage = c->usage;
	out->file = xstrdup(ic->file);
}

enum err_code
model_image(struct model *m, const struct call_scope *scope,
    const struct image_request *req, struct image_result *out, struct err *e)
{
	struct image_call ic;
	struct call *c = &ic.call;
	enum err_code rc;

	memset(&ic, 0, sizeof(ic));
	ic.req = req;
	rc = call_init(c, m, scope, &image_kind, req->purpose, req->suffix,
	    req->stage, req->variant, req->note, req->note_arg);
	if (rc == ERR_OK)
		rc = check_request(req, &c->err);
	if (rc == ERR_OK)
		rc = make_calls_dir(scope->run_dirfd, &c->err);
	if (rc != ERR_OK)
		call_end(c, rc);
	calls_run(m, scope, &c, 1);
	rc = c->rc;
	fill_result(&ic, out);
	if (rc != ERR_OK && e != NULL)
		*e = c->err;
	call_release(c);
	return rc;
}

void
image_result_release(struct image_result *r)
{
	free(r->file);
	r->file = NULL;
}
