/*
 * Noise checks: is a refined picture grainy?  One stage, one call.
 *
 * The refinement has ended long ago; all that a check leaves in its row is what
 * was found, and nothing when it failed, so it may be asked for again.
 *
 * The stage's output: {noise_assessment: {score, needs_noise_reduction}}.
 */
#include "internal.h"

#include "clock.h"
#include "xalloc.h"

#define STAGE "noise_assessment"
#define STARTED "Looking for noise in the refined picture..."
#define CLEAN "The picture is clean."
#define NOISY "The picture shows noise or grain that was not asked for."
#define FAILED "The noise check did not work."

static enum err_code
load(struct work *k, struct err *e)
{
	struct json_object *o;
	enum err_code rc;

	rc = store_get_refinement(k->shop->store, NULL, k->job->subject_id,
	    &k->refinement, e);
	if (rc != ERR_OK)
		return rc;
	/* It works from the row: which picture, and that this is a check. */
	o = json_object_new_object();
	json_put_str(o, "assessment", "noise");
	json_put_str(o, "run_id", k->job->run_id);
	json_put_str(o, "image_path", k->refinement.image_path);
	free(k->refinement.d.inputs);
	k->refinement.d.inputs = json_to_text(o);
	json_object_put(o);
	k->inputs = k->refinement.d.inputs;
	k->began_ms = k->job->started_ms;
	return ERR_OK;
}

static struct json_object *
message_about(const struct work *k, const char *message)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "job_id", k->job->subject_id);
	json_put_str(o, "message", message);
	return o;
}

static const char *
tell(const struct work *k, const struct stage_update *u,
    struct json_object *told, char **data)
{
	struct json_object *o;

	(void)told;
	if (u->status != STAGE_RUNNING)
		return NULL;
	o = message_about(k, STARTED);
	*data = json_to_text(o);
	json_object_put(o);
	return "noise_assessment_started";
}

static enum err_code
complete(struct work *k, struct ending *x, struct err *e)
{
	struct json_object *found, *o;
	bool noisy;

	found = json_get_obj(json_get_obj(x->outputs, STAGE), STAGE);
	if (found == NULL)
		return err_set(e, ERR_SYSTEM, "the check gave no result");
	noisy = json_get_bool(found, "needs_noise_reduction", false);
	x->end.noise = noisy ? NOISE_NOISY : NOISE_CLEAN;
	o = message_about(k, noisy ? NOISY : CLEAN);
	json_put_bool(o, "needs_noise_reduction", noisy);
	x->end.event_type = "noise_assessment_completed";
	x->end.event_data = ending_keep_json(x, o);
	return ERR_OK;
}

static void
fail(struct work *k, struct ending *x, const struct failure *why)
{
	struct json_object *o = message_about(k, FAILED);

	json_put_str(o, "error", why->message);
	x->end.event_type = "noise_assessment_error";
	x->end.event_data = ending_keep_json(x, o);
}

const struct job_kind kind_assessment = {
	.name = KIND_ASSESSMENT,
	.noun = "The noise check",
	.load = load,
	.tell = tell,
	.complete = complete,
	.fail = fail,
};
