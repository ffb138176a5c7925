/*
 * What executing stages do alike: the edit a run asks for, a chat request
 * around a prompt, and pictures made fit for sending.
 *
 * Pictures are scaled once per run into work/ and found there by every lane
 * and by every later life of the job, so that a call that is made again sends
 * the same bytes.
 */
#include "common.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aspect.h"
#include "file.h"
#include "xalloc.h"

#define REFERENCE_MAX_SIDE 2048	/* long side for the image model */
#define LOGO_MAX_SIDE 1024
#define WORK_MODE 0750

static const char *const situation_names[SITUATION__COUNT] = {
	[SITUATION_FULL] = "full_generation",
	[SITUATION_LOGO] = "logo_only_edit",
	[SITUATION_DEFAULT_EDIT] = "default_edit",
	[SITUATION_INSTRUCTED_EDIT] = "instructed_edit",
	[SITUATION_COMPLEX_EDIT] = "complex_edit",
	[SITUATION_ADAPTATION] = "style_adaptation_edit",
};

/* --- the run ------------------------------------------------------------ */

const char *
reference_path(const struct context *c)
{
	return json_get_str(context_reference(c),
	    "saved_image_path_in_run_dir");
}

enum situation
situation_of(const struct context *c)
{
	bool reference = reference_path(c) != NULL;
	bool logo = context_logo_path(c) != NULL;

	if (context_output(c, "style_adaptation") != NULL)
		return SITUATION_ADAPTATION;
	if (reference && logo)
		return SITUATION_COMPLEX_EDIT;
	if (reference)
		return context_instruction(c) != NULL ?
		    SITUATION_INSTRUCTED_EDIT : SITUATION_DEFAULT_EDIT;
	return logo ? SITUATION_LOGO : SITUATION_FULL;
}

const char *
situation_name(enum situation s)
{
	return situation_names[s];
}

bool
goals_are_complete(const struct context *c)
{
	return context_goal(c, "target_audience") != NULL &&
	    context_goal(c, "objective") != NULL &&
	    context_goal(c, "voice") != NULL && context_goal(c, "niche") != NULL;
}

int
strategy_count(const struct context *c)
{
	int64_t n = json_get_int(c->inputs, "num_variants", DEFAULT_VARIANTS);

	return n < 1 ? 1 : n > MAX_VARIANTS ? MAX_VARIANTS : (int)n;
}

const char *
drawn_aspect(const struct conf *conf, const struct context *c)
{
	return aspect_resolve(context_aspect(c),
	    conf->purposes[PURPOSE_IMAGE_GENERATION].model).aspect;
}

/* --- prompts ------------------------------------------------------------ */

enum err_code
prompt_render(const struct template *t, const struct vars *v,
    struct strbuf *system, struct strbuf *user, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (system != NULL)
		rc = template_render(t, "system", v->v, (size_t)v->n, system,
		    e);
	if (rc == ERR_OK && user != NULL)
		rc = template_render(t, "user", v->v, (size_t)v->n, user, e);
	return rc;
}

void
chat_call_init(struct chat_call *k, struct stage_env *env,
    enum purpose_id purpose, const char *stage, const char *schema)
{
	memset(k, 0, sizeof(*k));
	strbuf_init(&k->system, MAX_PROMPT_TEXT);
	strbuf_init(&k->user, MAX_PROMPT_TEXT);
	k->req.purpose = purpose;
	k->req.stage = stage;
	k->req.variant = env->variant;
	k->req.schema = schema_get(env->schemas, schema);
	assert(k->req.schema != NULL);
	k->req.temperature = -1.0;
	k->req.note = stage_note;
	k->req.note_arg = env;
}

enum err_code
chat_call_render(struct chat_call *k, const struct stage_env *env,
    const char *prompt, const struct vars *v, struct err *e)
{
	enum err_code rc;

	rc = prompt_render(prompts_get(env->prompts, prompt), v, &k->system,
	    &k->user, e);
	if (rc != ERR_OK)
		return err_wrap(e, "prompt %s", prompt);
	k->req.system = k->system.buf;
	k->req.user = k->user.buf;
	return ERR_OK;
}

void
chat_call_release(struct chat_call *k)
{
	if (k->req.stage == NULL)	/* never begun */
		return;
	strbuf_release(&k->system);
	strbuf_release(&k->user);
}

void
result_note(struct stage_env *env, const struct call_result *r)
{
	if (r->simulated)
		env->simulated = true;
}

/* --- pictures ----------------------------------------------------------- */

static enum err_code
make_work_dir(const struct stage_env *env, struct err *e)
{
	char *dir = xasprintf("%s/%s", env->run_dir, env->work_dir);
	enum err_code rc;

	rc = file_make_dirs(dir, WORK_MODE, e);
	free(dir);
	return rc;
}

/* Is the scaled picture there and readable? */
static bool
picture_is_there(const struct stage_env *env, struct picture *p)
{
	bool ok;
	int fd;

	if (file_open_beneath(env->run_dirfd, p->path, O_RDONLY, 0, &fd,
	    NULL) != ERR_OK)
		return false;
	ok = image_dimensions_fd(fd, &p->width, &p->height);
	close(fd);
	return ok;
}

/*
 * The helper's own time limit says something about the picture; only the
 * job's deadline, which fires the cancel, is a reason to stop the job.
 */
enum err_code
picture_fault(const struct stage_env *env, enum err_code rc, struct err *e)
{
	if (rc == ERR_TIMEOUT && cancel_code(env->scope->cancel) == ERR_OK)
		return err_set(e, ERR_INVALID,
		    "the picture took too long to decode");
	return rc;
}

enum err_code
picture_prepare(struct stage_env *env, const char *in, const char *name,
    int max_side, bool png, struct picture *out, struct err *e)
{
	struct pixels_info info;
	struct picture p;
	enum err_code rc;

	memset(&p, 0, sizeof(p));
	snprintf(p.path, sizeof(p.path), "%s/%s.%s", env->work_dir, name,
	    png ? "png" : "jpg");
	p.mime = png ? "image/png" : "image/jpeg";
	if (!picture_is_there(env, &p)) {
		rc = make_work_dir(env, e);
		if (rc == ERR_OK)
			rc = pixels_fit(env->pixels, env->run_dir, in, p.path,
			    max_side, png, env->scope->cancel, &info, e);
		if (rc != ERR_OK)
			return picture_fault(env, rc, e);
		p.width = info.width;
		p.height = info.height;
	}
	*out = p;
	return ERR_OK;
}

enum err_code
picture_reference(struct stage_env *env, const struct context *c,
    struct picture *out, struct err *e)
{
	const char *type = json_get_str(context_reference(c), "content_type");
	bool png = type == NULL || strcasecmp(type, "image/jpeg") != 0;

	return picture_prepare(env, reference_path(c), "reference",
	    REFERENCE_MAX_SIDE, png, out, e);
}

enum err_code
picture_logo(struct stage_env *env, const struct context *c,
    struct picture *out, struct err *e)
{
	return picture_prepare(env, context_logo_path(c), "logo",
	    LOGO_MAX_SIDE, true, out, e);
}

void
picture_attach(struct chat_request *req, const struct picture *p)
{
	struct call_image *to;

	assert(req->n_images < MODEL_MAX_IMAGES);
	to = &req->images[req->n_images++];
	to->path = p->path;
	to->mime = p->mime;
	to->width = p->width;
	to->height = p->height;
	to->high_detail = true;
}
