/*
 * Generations: the run itself.  Its end leaves pipeline_metadata.json, from
 * which results are shown and captions and refinements start.
 */
#include "internal.h"

#include "clock.h"
#include "file.h"
#include "xalloc.h"

#define FILE_MODE 0640
#define OUTPUT_DIRECTORY "data/runs/%s"

static enum err_code
load(struct work *k, struct err *e)
{
	enum err_code rc;

	rc = store_get_run(k->shop->store, NULL, k->job->run_id, &k->run, e);
	if (rc != ERR_OK)
		return rc;
	k->inputs = k->run.inputs;
	k->began_ms = k->run.started_ms;
	return ERR_OK;
}

static const char *
tell(const struct work *k, const struct stage_update *u,
    struct json_object *told, char **data)
{
	struct json_object *o;

	(void)k;
	o = kind_stage_update(u, told, true);
	*data = json_to_text(o);
	json_object_put(o);
	return "stage_update";
}

/* --- ends ----------------------------------------------------------------- */

static enum err_code
write_metadata(struct work *k, struct ending *x, struct err *e)
{
	enum err_code rc;
	int64_t wall_ms;
	char *text;

	if (!x->complete || k->run_dirfd < 0)
		return err_set(e, ERR_SYSTEM, "there is nothing to write");
	wall_ms = clock_now_ms() - k->began_ms;
	json_object_put(x->metadata);
	x->metadata = results_metadata(x->inputs, x->outputs, x->warnings,
	    &x->calls, &x->stages, wall_ms > 0 ? wall_ms : 0, x->simulated);
	text = json_to_pretty_text(x->metadata);
	if (strlen(text) > METADATA_MAX_BYTES)
		rc = err_set(e, ERR_TOO_LARGE,
		    "the results are larger than %d bytes",
		    METADATA_MAX_BYTES);
	else
		rc = file_replace(k->run_dirfd, METADATA_FILE, text,
		    strlen(text), FILE_MODE, e);
	free(text);
	if (rc == ERR_OK)
		x->end.metadata_path = ending_keep(x, xasprintf(
		    OUTPUT_DIRECTORY "/%s", k->job->run_id, METADATA_FILE));
	return rc;
}

static void
describe(struct work *k, struct ending *x)
{
	struct json_object *kit = NULL;

	if (json_get_bool(x->inputs, "apply_branding", false))
		kit = results_brand_kit(x->inputs, x->outputs);
	x->end.brand_kit = ending_keep_json(x, kit);
	x->end.warnings = ending_keep_json(x, json_object_get(x->warnings));
	x->end.output_directory = ending_keep(x, xasprintf(OUTPUT_DIRECTORY,
	    k->job->run_id));
}

static enum err_code
complete(struct work *k, struct ending *x, struct err *e)
{
	enum err_code rc;

	rc = write_metadata(k, x, e);
	if (rc != ERR_OK)
		return err_wrap(e, "The results could not be written");
	describe(k, x);
	x->end.event_type = "run_complete";
	x->end.event_data = ending_keep_json(x, results_view(k->job->run_id,
	    state_name(STATE_COMPLETED), x->metadata, NULL));
	return ERR_OK;
}

static void
fail(struct work *k, struct ending *x, const struct failure *why)
{
	struct err ignored = ERR_INIT;

	/* What was reached is worth a file, but not another failure. */
	write_metadata(k, x, &ignored);
	describe(k, x);
	x->end.event_type = "run_error";
	x->end.event_data = ending_keep_json(x, kind_error(k, why));
}

/* The user does not want it any more; what was reached is kept. */
static void
cancelled(struct work *k, struct ending *x)
{
	struct err ignored = ERR_INIT;

	write_metadata(k, x, &ignored);
}

const struct job_kind kind_generation = {
	.name = KIND_GENERATION,
	.noun = "The run",
	.load = load,
	.tell = tell,
	.complete = complete,
	.fail = fail,
	.cancelled = cancelled,
};
