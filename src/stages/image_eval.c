/*
 * Stage image_eval: what the uploaded picture shows, and what the logo is like.
 *
 * Two vision calls, made at the same time and independent of each other.  Both
 * are advisory: whatever goes wrong, the run goes on, with null where the
 * answer would be and a warning.  A subject is never made up; later stages
 * speak of "the subject of the supplied picture" then.
 *
 * Without an edit instruction only the subject is wanted, and everything else
 * is nulled here even when the model volunteers it, so that no accidental
 * detail of a snapshot steers strategy and style.
 *
 * The pictures that other stages send are scaled here as well, since this is
 * the one stage before the lanes part.
 */
#include "common.h"

#include "xalloc.h"

enum look_kind { LOOK_IMAGE, LOOK_LOGO, LOOK__COUNT };

/* One of the two calls. */
struct look {
	bool wanted;
	bool ready;		/* the call can be made */
	struct chat_call call;
	struct picture picture;
	struct err err;		/* why there is no answer */
	struct json_object *answer;
};

static const char *const image_names[] = {
	PLACE_NAMES, REFERENCE_NAMES, NULL
};
static const char *const logo_names[] = { NULL };

const struct stage_prompt image_eval_prompts[] = {
	{ "image_eval", image_names },
	{ "logo_eval", logo_names },
	{ NULL, NULL }
};

static const char *const analysis_keys[] = {
	"secondary_elements", "angle_orientation", "setting_environment",
	"style_mood", "extracted_text",
};

/* --- pure --------------------------------------------------------------- */

void
image_eval_vars(struct vars *v, const struct conf *conf,
    const struct context *c)
{
	vars_place(v, conf, c, ABSENT);
	vars_reference(v, c);
}

/* "none" and its like where the model should have written null. */
static bool
says_nothing(const struct json_object *value)
{
	if (json_object_is_type(value, json_type_string))
		return text_is_void(json_object_get_string(
		    (struct json_object *)value));
	if (json_object_is_type(value, json_type_array))
		return json_len(value) == 0;
	return value == NULL;
}

struct json_object *
image_analysis_shape(struct json_object *answer, bool instructed)
{
	struct json_object *shaped = json_object_new_object(), *value;
	size_t i;

	json_put_str(shaped, "main_subject",
	    json_get_str(answer, "main_subject"));
	for (i = 0; i < ARRAY_LEN(analysis_keys); i++) {
		value = json_get(answer, analysis_keys[i]);
		if (!instructed || says_nothing(value))
			json_put_null(shaped, analysis_keys[i]);
		else
			json_put_obj(shaped, analysis_keys[i],
			    json_object_get(value));
	}
	json_object_put(answer);
	return shaped;
}

static void
verify_image(struct json_object *value, struct strbuf *violations, void *arg)
{
	(void)arg;
	if (text_is_void(json_get_str(value, "main_subject")))
		strbuf_addstr(violations,
		    "main_subject: must name what the picture shows\n");
}

/* --- asking ------------------------------------------------------------- */

/* A picture that cannot be read costs its call, not the stage. */
static enum err_code
unreadable(enum err_code rc, const struct look *l, struct err *e)
{
	if (!stops_job(rc))
		return ERR_OK;
	return err_set(e, rc, "%s", l->err.msg);
}

/* Get the call ready; a picture that cannot be read is left for the warning. */
static enum err_code
prepare_image(struct stage_env *env, const struct context *c, struct look *l,
    struct err *e)
{
	struct vars v = { .n = 0 };
	struct picture unused;
	enum err_code rc;

	rc = picture_prepare(env, reference_path(c), "analysis",
	    env->conf->settings.analysis_max_px, false, &l->picture, &l->err);
	if (rc == ERR_OK)
		rc = picture_reference(env, c, &unused, &l->err);
	if (rc != ERR_OK)
		return unreadable(rc, l, e);
	chat_call_init(&l->call, env, PURPOSE_IMAGE_EVAL, "image_eval",
	    "image_analysis");
	l->call.req.verify = verify_image;
	l->call.req.cacheable = true;
	picture_attach(&l->call.req, &l->picture);
	image_eval_vars(&v, env->conf, c);
	rc = chat_call_render(&l->call, env, "image_eval", &v, e);
	l->ready = rc == ERR_OK;
	vars_release(&v);
	return rc;
}

static enum err_code
prepare_logo(struct stage_env *env, const struct context *c, struct look *l,
    struct err *e)
{
	struct vars v = { .n = 0 };
	enum err_code rc;

	rc = picture_logo(env, c, &l->picture, &l->err);
	if (rc != ERR_OK)
		return unreadable(rc, l, e);
	chat_call_init(&l->call, env, PURPOSE_LOGO_EVAL, "image_eval",
	    "logo_analysis");
	l->call.req.cacheable = true;
	picture_attach(&l->call.req, &l->picture);
	rc = chat_call_render(&l->call, env, "logo_eval", &v, e);
	l->ready = rc == ERR_OK;
	return rc;
}

/* Make the calls that are ready, at the same time. */
static enum err_code
ask(struct stage_env *env, struct look looks[LOOK__COUNT], struct err *e)
{
	struct chat_request reqs[LOOK__COUNT];
	struct call_result results[LOOK__COUNT];
	struct look *asked[LOOK__COUNT];
	enum err_code rc;
	int i, n = 0;

	for (i = 0; i < LOOK__COUNT; i++)
		if (looks[i].ready) {
			reqs[n] = looks[i].call.req;
			asked[n++] = &looks[i];
		}
	if (n == 0)
		return ERR_OK;
	memset(results, 0, sizeof(results));
	rc = model_chat_all(env->model, env->scope, reqs, n, results, e);
	for (i = 0; i < n; i++) {
		result_note(env, &results[i]);
		if (results[i].rc == ERR_OK)
			asked[i]->answer = json_object_get(results[i].value);
		else
			asked[i]->err = results[i].err;
		call_result_release(&results[i]);
	}
	return rc;
}

/* What was left out when the request was taken in, such as a logo that is no
 * picture, is told by the first stage that would have looked at it. */
static void
tell_left_out(struct stage_env *env, const struct context *c)
{
	const struct json_object *list, *w;
	size_t i;

	list = json_get_arr(c->inputs, "submit_warnings");
	for (i = 0; i < json_len(list); i++) {
		w = json_object_array_get_idx(list, i);
		if (json_get_str(w, "code") != NULL &&
		    json_get_str(w, "message") != NULL)
			stage_warn(env, json_get_str(w, "code"), "%s",
			    json_get_str(w, "message"));
	}
}

/* Say what is missing: to the run's warnings, and beside the stage. */
static void
degrade(struct stage_env *env, const struct look looks[LOOK__COUNT])
{
	const struct look *image = &looks[LOOK_IMAGE];
	const struct look *logo = &looks[LOOK_LOGO];

	if (logo->wanted && logo->answer == NULL)
		stage_warn(env, "logo_analysis_failed", "The logo could not "
		    "be analysed, so styles were chosen without regard to "
		    "it: %s", logo->err.msg);
	if (!image->wanted || image->answer != NULL)
		return;
	stage_warn(env, "image_analysis_failed", "The uploaded picture could "
	    "not be analysed, so strategy and style know it by the brief "
	    "alone: %s", image->err.msg);
	env->message = xstrdup("Your picture could not be analysed; the "
	    "result may fit it less well.");
	env->soft_error = xasprintf("The picture could not be analysed: %s",
	    image->err.msg);
}

enum err_code
stage_image_eval(struct stage_env *env, const struct context *c,
    struct json_object **out, struct err *e)
{
	struct look looks[LOOK__COUNT];
	struct look *image = &looks[LOOK_IMAGE], *logo = &looks[LOOK_LOGO];
	struct json_object *result;
	enum err_code rc = ERR_OK;
	int i;

	memset(looks, 0, sizeof(looks));
	image->wanted = reference_path(c) != NULL;
	logo->wanted = context_logo_path(c) != NULL &&
	    context_logo_analysis(c) == NULL;
	if (image->wanted)
		rc = prepare_image(env, c, image, e);
	if (rc == ERR_OK && logo->wanted)
		rc = prepare_logo(env, c, logo, e);
	if (rc == ERR_OK)
		rc = ask(env, looks, e);
	if (rc != ERR_OK)
		goto out;
	tell_left_out(env, c);
	degrade(env, looks);
	if (image->answer != NULL)
		image->answer = image_analysis_shape(image->answer,
		    context_instruction(c) != NULL);
	result = json_object_new_object();
	json_put_obj(result, "image_analysis", image->answer);
	json_put_obj(result, "logo_analysis", logo->answer);
	image->answer = logo->answer = NULL;
	*out = result;
out:
	for (i = 0; i < LOOK__COUNT; i++) {
		json_object_put(looks[i].answer);
		chat_call_release(&looks[i].call);
	}
	return rc;
}
