/*
 * Stage image_generation: the picture of one variant, in its lane.
 *
 *   reference  logo   the model is sent
 *   -          -      text
 *   yes        -      text and the reference
 *   -          yes    text and the logo
 *   yes        yes    text, the reference, then the logo
 *
 * What comes back is decoded by the picture helper before it counts (one that
 * cannot be is asked for once more), marked as made by a machine, and put in
 * the run's directory under a name made of the variant and of the time the
 * stage began.  That time is stored before a lane
 * starts; so when the stage runs again after a crash it writes the same file
 * and leaves no second picture behind.
 *
 * Figures in the record are measured: width and height of the picture itself,
 * tokens by the provider's usage, estimates only where it is silent.
 */
#include "common.h"

#include "clock.h"
#include "price.h"
#include "xalloc.h"

#define BASE_NAME_MAX 80

/* --- pure --------------------------------------------------------------- */

void
picture_base_name(int index, bool edited, int64_t started_ms, char *out,
    size_t size)
{
	char stamp[CLOCK_STAMP_MAX];

	snprintf(out, size, "%s_image_strategy_%d_%s",
	    edited ? "edited" : "generated", index,
	    clock_stamp(started_ms, stamp));
}

struct json_object *
image_record_failed(const struct context *c, const struct err *why)
{
	struct json_object *record = json_object_new_object();
	const char *prompt = json_get_str(context_output(c,
	    "prompt_assembly"), "prompt");
	bool attempted = why->code == ERR_MODEL &&
	    why->detail != FAULT_NOT_CONFIGURED;

	json_put_int(record, "index", c->variant);
	json_put_str(record, "status", "error");
	json_put_null(record, "result_path");
	json_put_str(record, "error_message", why->msg);
	json_put_int(record, "prompt_tokens",
	    attempted && prompt != NULL ? tokens_text(prompt) : 0);
	return record;
}

static struct json_object *
size_text(int width, int height)
{
	char text[32];

	snprintf(text, sizeof(text), "%dx%d", width, height);
	return json_object_new_string(text);
}

/* What was sent, picture by picture. Returns the sum of the estimates. */
static int64_t
add_details(struct json_object *breakdown, const struct model_info *m,
    const struct sent_picture *sent, int n_sent)
{
	struct json_object *list = json_object_new_array(), *one;
	int64_t sum = 0, tokens;
	int i;

	for (i = 0; i < n_sent; i++) {
		tokens = tokens_image(m, sent[i].width, sent[i].height, true);
		sum += tokens;
		one = json_object_new_object();
		json_put_str(one, "type", sent[i].type);
		json_put_str(one, "path", sent[i].path);
		json_put_obj(one, "size", size_text(sent[i].width,
		    sent[i].height));
		json_put_int(one, "tokens", tokens);
		json_object_array_add(list, one);
	}
	json_put_obj(breakdown, "image_details", list);
	return sum;
}

/* Returns the total. */
static int64_t
add_breakdown(struct json_object *record, const struct model_info *m,
    const char *prompt, const struct usage *u,
    const struct sent_picture *sent, int n_sent)
{
	struct json_object *b = json_object_new_object();
	bool estimated = u->estimated || u->prompt == 0;
	int64_t images, text, total;

	images = add_details(b, m, sent, n_sent);
	if (!estimated && u->image_in > 0)
		images = u->image_in;
	if (estimated) {
		text = tokens_text(prompt);
		total = text + images;
	} else {
		total = u->prompt;
		if (images > total)
			images = total;
		text = u->text_in > 0 ? u->text_in : total - images;
	}
	json_put_int(b, "text_tokens", text);
	json_put_int(b, "input_image_tokens", images);
	json_put_int(b, "total_tokens", total);
	json_put_int(b, "num_input_images", n_sent);
	json_put_bool(b, "estimated", estimated);
	json_put_int(record, "prompt_tokens", total);
	json_put_obj(record, "token_breakdown", b);
	return total;
}

struct json_object *
image_record(const struct conf *conf, int index, const char *prompt,
    const struct image_result *r, const char *file,
    const struct pixels_info *info, const struct sent_picture *sent,
    int n_sent)
{
	struct json_object *record = json_object_new_object();
	struct json_object *made = json_object_new_object();

	json_put_int(record, "index", index);
	json_put_str(record, "status", "success");
	json_put_str(record, "result_path", file);
	json_put_null(record, "error_message");
	add_breakdown(record, conf_model(conf, r->model), prompt, &r->usage,
	    sent, n_sent);
	json_put_str(made, "provider", r->provider);
	json_put_str(made, "model_id", r->model);
	json_put_obj(made, "output_resolution", size_text(info->width,
	    info->height));
	json_put_str(made, "output_quality", r->quality);
	json_put_str(made, "aspect", r->aspect);
	json_put_str(made, "format", info->type);
	json_put_obj(record, "generation_metadata", made);
	json_put_int(record, "width", info->width);
	json_put_int(record, "height", info->height);
	json_put_bool(record, "logo_left_out", r->logo_left_out);
	json_put_bool(record, "simulated", r->simulated);
	return record;
}

/* --- what is sent ------------------------------------------------------- */

/* Pictures that go with the prompt. */
struct parcel {
	struct picture pictures[MODEL_MAX_IMAGES];
	struct sent_picture sent[MODEL_MAX_IMAGES];
	int n;
	bool has_logo;
};

static void
parcel_note(struct parcel *p, const char *type, const char *path)
{
	struct sent_picture *s = &p->sent[p->n];
	const char *slash = strrchr(path, '/');

	s->type = type;
	s->path = slash != NULL ? slash + 1 : path;
	s->width = p->pictures[p->n].width;
	s->height = p->pictures[p->n].height;
	p->n++;
}

static enum err_code
parcel_fill(struct parcel *p, struct stage_env *env, const struct context *c,
    struct err *e)
{
	struct err why = ERR_INIT;
	enum err_code rc;

	memset(p, 0, sizeof(*p));
	if (reference_path(c) != NULL) {
		rc = picture_reference(env, c, &p->pictures[p->n], e);
		if (rc != ERR_OK) {
			err_wrap(e, "the uploaded picture");
			return rc;
		}
		parcel_note(p, "reference_image", reference_path(c));
	}
	if (context_logo_path(c) == NULL)
		return ERR_OK;
	rc = picture_logo(env, c, &p->pictures[p->n], &why);
	if (stops_job(rc))
		return err_set(e, rc, "%s", why.msg);
	if (rc != ERR_OK) {
		stage_warn(env, "logo_left_out", "The logo was left out of "
		    "this picture, because its file cannot be read: %s",
		    why.msg);
		return ERR_OK;
	}
	parcel_note(p, "logo_image", context_logo_path(c));
	p->has_logo = true;
	return ERR_OK;
}

static void
request_fill(struct image_request *req, struct stage_env *env,
    const struct context *c, const char *prompt, const struct parcel *p)
{
	int i;

	memset(req, 0, sizeof(*req));
	req->purpose = PURPOSE_IMAGE_GENERATION;
	req->stage = "image_generation";
	req->variant = env->variant;
	req->prompt = prompt;
	for (i = 0; i < p->n; i++) {
		req->inputs[i].path = p->pictures[i].path;
		req->inputs[i].mime = p->pictures[i].mime;
		req->inputs[i].width = p->pictures[i].width;
		req->inputs[i].height = p->pictures[i].height;
		req->inputs[i].high_detail = true;
	}
	req->n_inputs = p->n;
	req->has_logo = p->has_logo;
	req->aspect = context_aspect(c);
	req->quality = env->conf->settings.image_quality;
	req->note = stage_note;
	req->note_arg = env;
}

/* --- what comes back ---------------------------------------------------- */

/* The picture as it goes into the run's directory. */
struct finished {
	struct stage_env *env;
	const char *prompt;
	bool edited;
	char *file;		/* its name; owned; NULL until there is one */
	struct pixels_info info;
};

/* A picture_judge: decode, mark and name the provider's picture. */
static enum err_code
finish(void *arg, const struct picture_offer *offer, struct err *e)
{
	struct finished *f = arg;
	struct stage_env *env = f->env;
	struct pixels_mark mark = { .run_id = env->run_id,
	    .model = offer->model, .simulated = offer->simulated };
	char hash[DIGEST_HEX_MAX], base[BASE_NAME_MAX];
	enum err_code rc;

	digest_buf_hex(f->prompt, strlen(f->prompt), hash);
	mark.prompt_hash = hash;
	picture_base_name(env->variant, f->edited, env->started_ms, base,
	    sizeof(base));
	rc = pixels_finish(env->pixels, env->run_dir, offer->file, base, &mark,
	    env->scope->cancel, &f->file, &f->info, e);
	return rc == ERR_OK ? ERR_OK : picture_fault(env, rc, e);
}

enum err_code
stage_image_generation(struct stage_env *env, const struct context *c,
    struct json_object **out, struct err *e)
{
	const struct json_object *item = context_output(c, "prompt_assembly");
	const char *prompt = json_get_str(item, "prompt");
	struct finished made = { .env = env, .prompt = prompt };
	struct image_request req;
	struct image_result r;
	struct parcel parcel;
	enum err_code rc;

	if (json_is_blank(json_get(item, "prompt")))
		return err_set(e, ERR_INVALID, "%s",
		    json_get_str(item, "error") != NULL ?
		    json_get_str(item, "error") :
		    "there is no prompt for this variant");
	memset(&r, 0, sizeof(r));
	rc = parcel_fill(&parcel, env, c, e);
	if (rc != ERR_OK)
		return rc;
	made.edited = parcel.n > 0;
	request_fill(&req, env, c, prompt, &parcel);
	req.judge = finish;
	req.judge_arg = &made;
	rc = model_image(env->model, env->scope, &req, &r, e);
	if (rc == ERR_OK) {
		if (r.logo_left_out)
			parcel.n--;	/* the logo was the last */
		*out = image_record(env->conf, env->variant, prompt, &r,
		    made.file, &made.info, parcel.sent, parcel.n);
	}
	if (r.simulated)
		env->simulated = true;
	free(made.file);
	image_result_release(&r);
	return rc;
}
