/*
 * Running one stage once, for the run or for one variant.
 *
 * What comes back is an attempt: the record to be stored, which says whether
 * the stage gave something usable or why not.  An output is usable when it is
 * there (an advisory stage may have nothing to say), is not absurdly large, and
 * is valid by the schema that promises clients its shape: what a stage got
 * wrong is found here, before it is stored or told.
 */
#include "internal.h"

#include "clock.h"
#include "xalloc.h"

void
attempt_release(struct attempt *a)
{
	record_release(&a->record);
	free(a->message);
	free(a->soft_error);
	memset(a, 0, sizeof(*a));
}

/* One value against the schema of what the stage tells. */
static enum err_code
check_value(const struct schema *s, const struct json_object *value,
    struct err *e)
{
	struct strbuf faults = STRBUF_INIT(ERR_MSG_MAX);
	char *line_end;
	enum err_code rc = ERR_OK;

	if (schema_check(s, value, &faults) > 0) {
		line_end = strchr(faults.buf, '\n');
		if (line_end != NULL)
			*line_end = '\0';
		rc = err_set(e, ERR_INVALID,
		    "the result does not have the promised form (%s)",
		    faults.buf);
	}
	strbuf_release(&faults);
	return rc;
}

/* The value, or each item of a per-run stage's list. NULL is no value. */
static enum err_code
check_schema(const struct work *k, const struct stage *stage,
    const struct json_object *value, struct err *e)
{
	const struct schema *s;
	enum err_code rc = ERR_OK;
	size_t i;

	if (stage->schema == NULL || k->shop->schemas == NULL || value == NULL)
		return ERR_OK;
	s = schema_get(k->shop->schemas, stage->schema);
	if (s == NULL)
		return err_set(e, ERR_SYSTEM, "there is no schema %s",
		    stage->schema);
	if (stage->scope == STAGE_PER_VARIANT ||
	    !json_object_is_type(value, json_type_array))
		return check_value(s, value, e);
	for (i = 0; i < json_len(value) && rc == ERR_OK; i++)
		rc = check_value(s, json_object_array_get_idx(value, i), e);
	return rc;
}

static enum err_code
check_output(const struct work *k, const struct stage *stage,
    const struct json_object *output, struct err *e)
{
	const struct json_object *told = output;

	if (output != NULL && stage->scope == STAGE_PER_RUN) {
		if (!json_object_is_type(output, json_type_object))
			return err_set(e, ERR_INVALID,
			    "the result is not an object");
		if (stage->output_key != NULL)
			told = json_get(output, stage->output_key);
	}
	if (stage->productive && told == NULL)
		return err_set(e, ERR_INVALID, "there was no result");
	return check_schema(k, stage, told, e);
}

/* Freeze an output. */
static enum err_code
keep_output(struct record *r, const struct json_object *output, struct err *e)
{
	char *text;

	if (output == NULL)
		return ERR_OK;
	text = json_to_text(output);
	if (strlen(text) > MAX_OUTPUT_BYTES) {
		free(text);
		return err_set(e, ERR_TOO_LARGE,
		    "the result is larger than %d bytes", MAX_OUTPUT_BYTES);
	}
	r->output = text;
	return ERR_OK;
}

/* The attempt failed: the error, and the record lists show for it; of a
 * per-run stage what it said about its failure. */
static void
keep_failure(struct attempt *a, const struct stage_env *env,
    const struct stage *stage, const struct context *c,
    const struct err *why)
{
	struct json_object *shown;
	struct err ignored = ERR_INIT;

	a->record.ok = false;
	a->record.error = xstrdup(why->msg[0] != '\0' ? why->msg :
	    err_code_name(why->code));
	free(a->record.output);
	a->record.output = NULL;
	if (stage->scope == STAGE_PER_RUN)
		keep_output(&a->record, env->failure, &ignored);
	if (stage->failed == NULL || stage->scope != STAGE_PER_VARIANT)
		return;
	shown = stage->failed(c, why);
	keep_output(&a->record, shown, &ignored);
	json_object_put(shown);
}

/* All that the stage wanted said, and that it failed, if it did. */
static void
keep_warnings(struct attempt *a, const struct stage_env *env,
    const struct stage *stage, const struct err *why)
{
	struct json_object *list;

	list = json_object_new_array();
	warnings_add(list, stage->name, env->warnings);
	if (why->code != ERR_OK)
		json_object_array_add(list, warning_new(stage->name,
		    env->variant, failure_code(why), a->record.error));
	if (json_len(list) > 0)
		a->record.warnings = json_to_text(list);
	json_object_put(list);
}

/* The job's scope, with the time this stage may take. */
static struct call_scope
scope_of(const struct work *k)
{
	struct call_scope scope = k->scope;
	int limit_ms = k->shop->conf->settings.stage_timeout_ms;

	if (limit_ms > 0 && !k->looking)
		scope.stage_deadline_ms = clock_now_ms() + limit_ms;
	return scope;
}

static enum err_code
tell_step(struct stage_env *env, const char *step, const char *message,
    struct err *e)
{
	struct work *k = env->tell_arg;

	if (k->kind->tell_step == NULL || k->looking)
		return ERR_OK;
	return k->kind->tell_step(k, step, message, e);
}

static void
env_fill(struct stage_env *env, struct work *k, int at,
    const struct context *c, const struct call_scope *scope)
{
	memset(env, 0, sizeof(*env));
	env->conf = k->shop->conf;
	env->model = k->shop->model;
	env->schemas = k->shop->schemas;
	env->prompts = k->shop->prompts;
	env->pixels = k->shop->pixels;
	env->scope = scope;
	env->run_id = k->job->run_id;
	env->job_id = k->job->id;
	env->work_dir = k->work_dir;
	env->tell_step = tell_step;
	env->tell_arg = k;
	env->run_dir = k->run_dir;
	env->run_dirfd = k->run_dirfd;
	env->variant = c->variant;
	/* As told and stored, so that names made of it are the same when the
	 * stage is run again after a crash. */
	env->started_ms = k->steps[at].started_ms;
}

enum err_code
step_attempt(struct work *k, int at, const struct context *c,
    struct attempt *out, struct err *e)
{
	const struct stage *stage = k->steps[at].stage;
	const struct call_scope scope = scope_of(k);
	struct json_object *output = NULL;
	struct stage_env env;
	struct err why = ERR_INIT;
	enum err_code rc;

	memset(out, 0, sizeof(*out));
	out->record.there = true;
	out->record.started_ms = clock_now_ms();
	env_fill(&env, k, at, c, &scope);
	rc = stage->exec(&env, c, &output, &why);
	if (rc != ERR_OK)
		why.code = rc;
	if (rc != ERR_OK && (stops_job(rc) ||
	    cancel_code(k->cancel) != ERR_OK)) {
		if (e != NULL)
			*e = why;
		err_wrap(e, "%s", stage->name);
		goto out;
	}
	if (rc == ERR_OK)
		rc = check_output(k, stage, output, &why);
	if (rc == ERR_OK)
		rc = keep_output(&out->record, output, &why);
	out->record.ok = rc == ERR_OK;
	if (rc != ERR_OK)
		keep_failure(out, &env, stage, c, &why);
	keep_warnings(out, &env, stage, &why);
	out->record.ended_ms = clock_now_ms();
	out->simulated = env.simulated;
	out->message = env.message;
	out->soft_error = env.soft_error;
	env.message = env.soft_error = NULL;	/* the attempt's now */
	rc = ERR_OK;
out:
	json_object_put(output);
	json_object_put(env.warnings);
	json_object_put(env.failure);
	free(env.message);
	free(env.soft_error);
	return rc;
}
