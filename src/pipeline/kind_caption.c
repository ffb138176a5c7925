/*
 * Captions: a text for one picture of a finished run.
 *
 * A caption tells caption_update: first which model works on it, then its one
 * stage like a run's, and in between the steps within it.  Only
 * caption_complete says that there is a text; where there is none, the stage
 * is told FAILED and caption_error says why.
 *
 * The stage's output: {caption: {text, truncated, settings, brief, usage}}.
 * The row has all of it; captions/IMAGE/vN.txt, vN_brief.json and
 * vN_result.json are written before the end is stored, the last of them last.
 */
#include "internal.h"

#include "clock.h"
#include "file.h"
#include "xalloc.h"

#define FILE_MODE 0640
#define DIR_MODE 0750
#define STAGE "caption"
#define CAPTIONS_DIR "captions"

static enum err_code
load(struct work *k, struct err *e)
{
	enum err_code rc;

	rc = store_get_caption(k->shop->store, NULL, k->job->subject_id,
	    &k->caption, e);
	if (rc != ERR_OK)
		return rc;
	k->inputs = k->caption.d.inputs;
	k->began_ms = k->caption.d.started_ms;
	return ERR_OK;
}

/* --- telling -------------------------------------------------------------- */

static struct json_object *
update(const struct work *k, enum stage_status status, const char *message)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "caption_id", k->caption.d.id);
	json_put_str(o, "image_id", k->caption.image_id);
	json_put_str(o, "status", stage_status_name(status));
	json_put_str(o, "message", message);
	return o;
}

static enum err_code
tell_update(struct work *k, struct json_object *o, struct err *e)
{
	char *text = json_to_text(o);
	enum err_code rc;
	int tries = 0;

	json_object_put(o);
	do
		rc = store_tell(k->shop->store, &k->ref, "caption_update",
		    text, clock_now_ms(), e);
	while (rc != ERR_OK && work_try_again(k, &tries, e));
	if (rc == ERR_OK && k->shop->on_event != NULL)
		k->shop->on_event(k->shop->on_event_arg, k->job->run_id);
	free(text);
	return rc;
}

static enum err_code
announce(struct work *k, struct err *e)
{
	char *message = xasprintf("Writing with %s...", k->caption.model_id);
	struct json_object *o = update(k, STAGE_RUNNING, message);

	free(message);
	return tell_update(k, o, e);
}

static enum err_code
tell_step(struct work *k, const char *step, const char *message,
    struct err *e)
{
	struct json_object *o = update(k, STAGE_RUNNING, message);

	json_put_str(o, "stage_name", STAGE);
	json_put_int(o, "stage_order", 1);
	json_put_null(o, "duration_seconds");
	json_put_str(o, "step", step);
	return tell_update(k, o, e);
}

static const char *
tell(const struct work *k, const struct stage_update *u,
    struct json_object *told, char **data)
{
	struct json_object *o = update(k, u->status, u->message);

	(void)told;
	json_put_str(o, "stage_name", u->name);
	json_put_int(o, "stage_order", (int64_t)u->order);
	json_put_obj(o, "duration_seconds", u->duration_ms < 0 ? NULL :
	    json_new_seconds(u->duration_ms));
	*data = json_to_text(o);
	json_object_put(o);
	return "caption_update";
}

/* --- files ---------------------------------------------------------------- */

static struct json_object *
result_document(const struct work *k, const struct json_object *given)
{
	struct json_object *o = json_object_new_object();

	copy_member(o, "text", given);
	json_put_int(o, "version", k->caption.number);
	json_put_obj(o, "settings_used", json_copy(json_get_obj(given,
	    "settings")));
	json_put_obj(o, "brief_used", json_copy(json_get_obj(given,
	    "brief")));
	json_put_obj(o, "created_at", json_new_time(k->caption.d.created_ms));
	json_put_str(o, "model_id", k->caption.model_id);
	json_put_obj(o, "usage_summary", json_copy(json_get_obj(given,
	    "usage")));
	if (k->caption.source_number != INDEX_NONE)
		json_put_int(o, "brief_source_version",
		    k->caption.source_number);
	if (json_get_bool(given, "truncated", false))
		json_put_bool(o, "truncated", true);
	return o;
}

static enum err_code
write_one(struct work *k, const char *ending, const char *text,
    struct err *e)
{
	enum err_code rc;
	char *path;

	path = xasprintf(CAPTIONS_DIR "/%s/v%d%s", k->caption.image_id,
	    k->caption.number, ending);
	rc = file_replace(k->run_dirfd, path, text, strlen(text), FILE_MODE,
	    e);
	free(path);
	return rc;
}

static enum err_code
write_json(struct work *k, const char *ending, struct json_object *o,
    struct err *e)
{
	char *text = json_to_pretty_text(o);
	enum err_code rc;

	rc = write_one(k, ending, text, e);
	free(text);
	json_object_put(o);
	return rc;
}

static enum err_code
write_files(struct work *k, const struct json_object *given, struct err *e)
{
	enum err_code rc;
	char *dir;

	if (k->run_dirfd < 0)
		return err_set(e, ERR_SYSTEM, "there is nothing to write to");
	dir = xasprintf("%s/" CAPTIONS_DIR "/%s", k->run_dir,
	    k->caption.image_id);
	rc = file_make_dirs(dir, DIR_MODE, e);
	free(dir);
	if (rc == ERR_OK)
		rc = write_one(k, ".txt", json_get_str(given, "text"), e);
	if (rc == ERR_OK)
		rc = write_json(k, "_brief.json",
		    json_copy(json_get_obj(given, "brief")), e);
	if (rc == ERR_OK)
		rc = write_json(k, "_result.json", result_document(k, given),
		    e);
	return rc;
}

/* --- ends ----------------------------------------------------------------- */

static enum err_code
complete(struct work *k, struct ending *x, struct err *e)
{
	struct json_object *given, *o;
	const char *path;
	enum err_code rc;

	given = json_get_obj(json_get_obj(x->outputs, STAGE), STAGE);
	if (json_get_str(given, "text") == NULL)
		return err_set(e, ERR_SYSTEM, "the stage gave no text");
	rc = write_files(k, given, e);
	if (rc != ERR_OK)
		return err_wrap(e, "The caption could not be written");
	path = ending_keep(x, xasprintf(CAPTIONS_DIR "/%s/v%d.txt",
	    k->caption.image_id, k->caption.number));
	x->caption.text = json_get_str(given, "text");
	x->caption.settings = ending_keep_json(x,
	    json_copy(json_get_obj(given, "settings")));
	x->caption.brief = ending_keep_json(x,
	    json_copy(json_get_obj(given, "brief")));
	x->caption.usage = ending_keep_json(x,
	    json_copy(json_get_obj(given, "usage")));
	x->caption.file_path = path;
	x->caption.truncated = json_get_bool(given, "truncated", false);
	x->end.caption = &x->caption;
	o = json_object_new_object();
	json_put_str(o, "caption_id", k->caption.d.id);
	json_put_str(o, "image_id", k->caption.image_id);
	json_put_str(o, "status", state_name(STATE_COMPLETED));
	json_put_str(o, "text", x->caption.text);
	json_put_int(o, "version", k->caption.number);
	json_put_str(o, "model_id", k->caption.model_id);
	json_put_str(o, "file_path", path);
	x->end.event_type = "caption_complete";
	x->end.event_data = ending_keep_json(x, o);
	return ERR_OK;
}

static void
fail(struct work *k, struct ending *x, const struct failure *why)
{
	struct json_object *said = NULL, *o;
	const struct record *r;
	const char *type = NULL;

	if (why->cause >= 0) {
		r = &k->steps[why->cause].whole;
		if (!r->ok && r->output != NULL)
			json_parse(r->output, strlen(r->output), &said, NULL);
	}
	type = json_get_str(said, "error_type");
	if (type == NULL)
		type = strcmp(why->type, "failed") == 0 ? "unexpected_error" :
		    why->type;
	x->caption.error_type = ending_keep(x, xstrdup(type));
	x->end.caption = &x->caption;
	if (json_get_str(said, "user_message") != NULL)
		x->end.error_message = ending_keep(x, xstrdup(
		    json_get_str(said, "user_message")));
	o = json_object_new_object();
	json_put_str(o, "caption_id", k->job->subject_id);
	json_put_str(o, "image_id", k->caption.image_id);
	json_put_str(o, "status", state_name(STATE_FAILED));
	json_put_str(o, "error_message", x->end.error_message);
	json_put_str(o, "error_type", x->caption.error_type);
	json_put_bool(o, "is_retryable", json_get_bool(said, "is_retryable",
	    true));
	x->end.event_type = "caption_error";
	x->end.event_data = ending_keep_json(x, o);
	json_object_put(said);
}

const struct job_kind kind_caption = {
	.name = KIND_CAPTION,
	.noun = "The caption",
	.load = load,
	.announce = announce,
	.tell = tell,
	.tell_step = tell_step,
	.complete = complete,
	.fail = fail,
};
