/*
 * Refinements: one picture of a finished run, edited.
 *
 * Its stages tell stage_update on the run's channel, without times; job_id says
 * that they are not the run's own.  What the last stage gives decides how the
 * job ends: an edit in which nothing had to change is COMPLETED without a
 * picture; everything else without a picture is FAILED, and then what the
 * failing stage said of it is what people are told.
 *
 * What is read of the stages' outputs (stages/ writes them):
 *
 *   load_base_image   base_image_metadata {width, height, mode, format,
 *                     size_bytes}
 *   the edit          refinement_result {type, status, output_path,
 *                     modifications, error_context}
 *                     processing {model_used, api_image_size, operation_type,
 *                     quality, input_fidelity, provider_request_id, ...}
 *                     refined_prompt, original_prompt, mask_file_path
 *   save_outputs      refinement_result, image_path|null, reference_path|null,
 *                     output_path|null, summary
 *
 * refinements/ID/metadata.json is written before the end is stored, with its
 * final values; refinements.json is made from the rows after it, under a lock,
 * so that of two jobs that end together the later one lists both.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "internal.h"

#include "clock.h"
#include "file.h"
#include "log.h"
#include "xalloc.h"

#define FILE_MODE 0640
#define SAVE_STAGE "save_outputs"
#define LOAD_STAGE "load_base_image"
#define RESULT "refinement_result"
#define REFINEMENTS_DIR "refinements"
#define INDEX_FILE "refinements.json"

static enum err_code
load(struct work *k, struct err *e)
{
	enum err_code rc;

	rc = store_get_refinement(k->shop->store, NULL, k->job->subject_id,
	    &k->refinement, e);
	if (rc != ERR_OK)
		return rc;
	k->inputs = k->refinement.d.inputs;
	k->began_ms = k->refinement.d.started_ms;
	return ERR_OK;
}

/* --- telling -------------------------------------------------------------- */

static bool
base_is_loaded(const struct work *k)
{
	int i;

	for (i = 0; i < k->n_steps; i++)
		if (strcmp(k->steps[i].stage->name, LOAD_STAGE) == 0)
			return k->steps[i].status == STAGE_COMPLETED;
	return false;
}

static const char *
tell(const struct work *k, const struct stage_update *u,
    struct json_object *told, char **data)
{
	struct json_object *o, *output = NULL;

	if (u->status == STAGE_COMPLETED) {
		output = json_object_new_object();
		copy_member(output, RESULT, told);
		json_put_bool(output, "base_image_loaded", base_is_loaded(k));
	}
	o = kind_stage_update(u, output, false);
	json_put_str(o, "job_id", k->job->subject_id);
	*data = json_to_text(o);
	json_object_put(output);
	json_object_put(o);
	return "stage_update";
}

/* --- how it ended, in words ----------------------------------------------- */

static const char *
type_label(const char *type)
{
	if (type != NULL && strcmp(type, "subject") == 0)
		return "Subject Enhancement";
	if (type != NULL && strcmp(type, "prompt") == 0)
		return "Style Enhancement";
	return "Refinement";
}

/* The front end looks for these words. */
static const char *
failure_label(const char *error_type)
{
	static const struct {
		const char *type, *label;
	} labels[] = {
		{ "connection_error", "Connection failed" },
		{ "rate_limit", "Rate limit exceeded" },
		{ "api_error", "API error" },
		{ "auth_error", "Authentication failed" },
		{ "no_reference_image", "Not available" },
	};
	size_t i;

	for (i = 0; error_type != NULL && i < ARRAY_LEN(labels); i++)
		if (strcmp(labels[i].type, error_type) == 0)
			return labels[i].label;
	return "Failed";
}

/* --- the record of the job ------------------------------------------------ */

/* The output of whichever stage did the edit: the one in the middle. */
static struct json_object *
edit_output(const struct work *k, const struct ending *x)
{
	const char *name;
	int i;

	for (i = 0; i < k->n_steps; i++) {
		name = k->steps[i].stage->name;
		if (strcmp(name, LOAD_STAGE) != 0 &&
		    strcmp(name, SAVE_STAGE) != 0)
			return json_get_obj(x->outputs, name);
	}
	return NULL;
}

static struct json_object *
info_block(const struct work *k)
{
	const struct refinement *r = &k->refinement;
	struct json_object *o = json_object_new_object();

	json_put_str(o, "job_id", r->d.id);
	json_put_str(o, "parent_run_id", r->d.run_id);
	json_put_str(o, "parent_image_id", r->parent_image_id);
	json_put_str(o, "parent_image_type", r->parent_image_type);
	if (r->generation_index == INDEX_NONE)
		json_put_null(o, "generation_index");
	else
		json_put_int(o, "generation_index", r->generation_index);
	json_put_str(o, "refinement_type", r->type);
	json_put_obj(o, "created_at", json_new_time(r->d.created_ms));
	return o;
}

static struct json_object *
inputs_block(const struct work *k, const struct ending *x,
    const struct json_object *edit)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "instructions", k->refinement.instructions);
	json_put_str(o, "original_prompt", json_get_str(edit,
	    "original_prompt"));
	json_put_str(o, "refined_prompt", json_get_str(edit,
	    "refined_prompt"));
	copy_member(o, "mask_coordinates", x->inputs);
	json_put_str(o, "mask_file_path", k->refinement.mask_path);
	copy_member(o, "creativity_level", x->inputs);
	return o;
}

static struct json_object *
results_block(const struct json_object *result, const char *output,
    const char *reference)
{
	struct json_object *o = json_object_new_object();

	copy_member(o, "status", result);
	json_put_bool(o, "output_generated", output != NULL);
	json_put_bool(o, "reference_preserved", reference != NULL);
	copy_member(o, "modifications", result);
	copy_member(o, "error_context", result);
	return o;
}

static struct json_object *
costs_block(const struct ending *x)
{
	struct json_object *o = json_object_new_object();
	bool estimated = false;
	int i;

	for (i = 0; i < x->calls.n; i++)
		estimated = estimated || x->calls.rows[i].estimated;
	json_put_obj(o, "refinement_cost_usd",
	    json_new_money(ending_cost_nano(x)));
	json_put_str(o, "model_pricing_used", "token_usage");
	json_put_bool(o, "estimated", estimated);
	return o;
}

/* What the run was; the request has frozen it. */
static struct json_object *
context_block(const struct ending *x)
{
	struct json_object *o = json_object_new_object();

	copy_member(o, "original_pipeline_data", x->inputs);
	json_put_str(o, "pipeline_mode", KIND_REFINEMENT);
	return o;
}

static struct json_object *
record(const struct work *k, const struct ending *x,
    const struct json_object *saved)
{
	struct json_object *o = json_object_new_object(), *images;
	struct json_object *edit = edit_output(k, x);
	const char *output = json_get_str(saved, "output_path");
	const char *reference = json_get_str(saved, "reference_path");

	json_put_obj(o, "refinement_info", info_block(k));
	json_put_obj(o, "inputs", inputs_block(k, x, edit));
	json_put_obj(o, "processing", json_copy(json_get_obj(edit,
	    "processing")));
	json_put_obj(o, "results", results_block(json_get_obj(saved, RESULT),
	    output, reference));
	json_put_obj(o, "costs", costs_block(x));
	images = json_object_new_object();
	copy_member(images, "base_image_metadata",
	    json_get_obj(x->outputs, LOAD_STAGE));
	json_put_str(images, "output_path", output);
	json_put_str(images, "reference_path", reference);
	json_put_obj(o, "images", images);
	json_put_obj(o, "context", context_block(x));
	json_put_obj(o, "usage", results_usage(&x->calls));
	json_put_obj(o, "warnings", json_object_get(x->warnings));
	json_put_bool(o, "simulated", x->simulated);
	return o;
}

static enum err_code
write_record(struct work *k, struct ending *x,
    const struct json_object *saved, struct err *e)
{
	struct json_object *o;
	char *dir, *path, *text;
	enum err_code rc;

	if (!x->complete || k->run_dirfd < 0)
		return err_set(e, ERR_SYSTEM, "there is nothing to write");
	o = record(k, x, saved);
	text = json_to_pretty_text(o);
	json_object_put(o);
	dir = xasprintf("%s/" REFINEMENTS_DIR "/%s", k->run_dir,
	    k->refinement.d.id);
	path = xasprintf(REFINEMENTS_DIR "/%s/metadata.json",
	    k->refinement.d.id);
	rc = file_make_dirs(dir, 0750, e);
	if (rc == ERR_OK)
		rc = file_replace(k->run_dirfd, path, text, strlen(text),
		    FILE_MODE, e);
	free(dir);
	free(path);
	free(text);
	return rc;
}

/* --- ends ----------------------------------------------------------------- */

/* The object of run_complete, which refinements.json lists as well. */
static struct json_object *
completed_view(const struct refinement *r, const char *image_path,
    const char *reference_path, const char *summary, int64_t cost_nano)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "job_id", r->d.id);
	json_put_str(o, "type", r->type);
	json_put_str(o, "parent_run_id", r->d.run_id);
	json_put_str(o, "parent_image_type", r->parent_image_type);
	json_put_str(o, "parent_image_path", r->parent_image_path);
	json_put_str(o, "reference_image_path", reference_path);
	json_put_str(o, "image_path", image_path);
	json_put_obj(o, "cost_usd", json_new_money(cost_nano));
	json_put_str(o, "summary", summary);
	json_put_obj(o, "created_at", json_new_time(r->d.created_ms));
	return o;
}

static enum err_code
complete(struct work *k, struct ending *x, struct err *e)
{
	struct json_object *saved = json_get_obj(x->outputs, SAVE_STAGE);
	struct json_object *o;
	enum err_code rc;

	rc = write_record(k, x, saved, e);
	if (rc != ERR_OK)
		return err_wrap(e, "The result could not be written");
	x->refinement.image_path = json_get_str(saved, "image_path");
	x->refinement.summary = json_get_str(saved, "summary");
	x->end.refinement = &x->refinement;
	o = completed_view(&k->refinement, x->refinement.image_path,
	    json_get_str(saved, "reference_path"), x->refinement.summary,
	    ending_cost_nano(x));
	json_put_str(o, "status", state_name(STATE_COMPLETED));
	x->end.event_type = "run_complete";
	x->end.event_data = ending_keep_json(x, o);
	return ERR_OK;
}

/* What the failing stage said of its failure; NULL: nothing. Caller's. */
static struct json_object *
said_failure(const struct work *k, const struct failure *why)
{
	struct json_object *o = NULL;
	const struct record *r;

	if (why->cause < 0)
		return NULL;
	r = &k->steps[why->cause].whole;
	if (!r->ok && r->output != NULL)
		json_parse(r->output, strlen(r->output), &o, NULL);
	return o;
}

/* The problem, then what to do about it; the front end cuts at the first ". ". */
static void
describe_failure(struct ending *x, const struct failure *why,
    const struct json_object *said)
{
	const char *advice = json_get_str(said, "suggestion");
	const char *problem = json_get_str(said, "user_message");

	x->refinement.error_type = json_get_str(said, "error_type");
	if (x->refinement.error_type == NULL)
		x->refinement.error_type = strcmp(why->type, "failed") == 0 ?
		    "unexpected_error" : why->type;
	if (problem == NULL)
		return;		/* the general sentence stays */
	x->end.error_message = ending_keep(x, xasprintf("%s%s%s", problem,
	    advice != NULL ? " " : "", advice != NULL ? advice : ""));
}

static void
fail(struct work *k, struct ending *x, const struct failure *why)
{
	struct failure told = *why;
	struct json_object *said, *o, *details;

	said = said_failure(k, why);
	x->refinement.error_type = NULL;
	describe_failure(x, why, said);
	x->refinement.error_type = ending_keep(x,
	    xstrdup(x->refinement.error_type));
	x->refinement.summary = ending_keep(x, xasprintf("%s: %s",
	    type_label(k->refinement.type),
	    failure_label(x->refinement.error_type)));
	x->end.refinement = &x->refinement;
	told.message = x->end.error_message;
	o = kind_error(k, &told);
	json_put_str(o, "job_id", k->job->subject_id);
	json_put_str(o, "status", state_name(STATE_FAILED));
	details = json_get_obj(o, "error_details");
	json_put_str(details, "job_id", k->job->subject_id);
	json_put_str(details, "error_type", x->refinement.error_type);
	json_put_bool(details, "is_retryable", json_get_bool(said,
	    "is_retryable", true));
	x->end.event_type = "run_error";
	x->end.event_data = ending_keep_json(x, o);
	json_object_put(said);
}

/* --- refinements.json ------------------------------------------------------ */

static char *
index_text(const struct refinement_list *l)
{
	struct json_object *o, *list;
	const struct refinement *r;
	char *text;
	int i;

	list = json_object_new_array();
	for (i = 0; i < l->n; i++) {
		r = &l->rows[i];
		if (state_is_terminal(r->d.status))
			json_object_array_add(list, completed_view(r,
			    r->image_path, r->reference_path, r->summary,
			    r->d.cost_nano));
	}
	o = json_object_new_object();
	json_put_obj(o, "total_cost", json_new_money(l->cost_nano));
	json_put_int(o, "total_refinements", (int64_t)json_len(list));
	json_put_obj(o, "refinements", list);
	text = json_to_pretty_text(o);
	json_object_put(o);
	return text;
}

/* Rows are read while nobody else writes the file, so it never goes back. */
static void
after(struct work *k)
{
	struct refinement_list list = { NULL, 0, 0 };
	struct err e = ERR_INIT;
	enum err_code rc;
	char *text;
	int fd = -1;

	rc = file_open_dir(k->run_dirfd, ".", &fd, &e);
	if (rc == ERR_OK && flock(fd, LOCK_EX) != 0)
		rc = err_set_errno(&e, ERR_SYSTEM, errno, "flock");
	if (rc == ERR_OK)
		rc = store_list_refinements(k->shop->store, k->job->run_id,
		    &list, &e);
	if (rc == ERR_OK) {
		text = index_text(&list);
		rc = file_replace(k->run_dirfd, INDEX_FILE, text,
		    strlen(text), FILE_MODE, &e);
		free(text);
	}
	if (rc != ERR_OK)
		log_warn(INDEX_FILE " not written, ignoring",
		    "run=%s error=%s", k->job->run_id, log_quote(e.msg));
	refinement_list_release(&list);
	if (fd >= 0)
		close(fd);	/* lets go of the lock */
}

const struct job_kind kind_refinement = {
	.name = KIND_REFINEMENT,
	.noun = "The refinement",
	.load = load,
	.tell = tell,
	.complete = complete,
	.fail = fail,
	.after = after,
};
