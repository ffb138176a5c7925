/*
 * Looking at a stage of a stored job: it runs as it would, on what is stored,
 * and what it gives is thrown away.
 *
 * This is the way a job takes, without a claim: the same loading, the same
 * context, the same attempt.  The job's time limit is left out, since a job
 * that ended long ago is looked at as well.
 */
#include "internal.h"

#include "xalloc.h"

static int
find_step(const struct work *k, const char *stage)
{
	int i;

	for (i = 0; i < k->n_steps; i++)
		if (strcmp(k->steps[i].stage->name, stage) == 0)
			return i;
	return -1;
}

static enum err_code
look(struct work *k, int at, int variant, struct json_object **warnings,
    struct err *e)
{
	struct context c = { .variant = VARIANT_NONE };
	struct attempt a = { .message = NULL };
	enum err_code rc;

	rc = work_context(k, at, variant, &c, e);
	if (rc != ERR_OK)
		return rc;
	rc = step_attempt(k, at, &c, &a, e);
	if (rc == ERR_OK && !a.record.ok)
		rc = err_set(e, ERR_INVALID, "%s", a.record.error);
	/* Our own text: it can be read. */
	if (a.record.warnings != NULL)
		json_parse(a.record.warnings, strlen(a.record.warnings),
		    warnings, NULL);
	attempt_release(&a);
	context_release(&c);
	return rc;
}

enum err_code
executor_look(struct executor *x, const struct workshop *w,
    const struct job *job, const char *stage, int variant,
    struct json_object **warnings, struct err *e)
{
	struct job timeless = *job;	/* its texts stay the caller's */
	struct work *k = xcalloc(1, sizeof(*k));
	enum err_code rc;
	int at = -1;

	*warnings = NULL;
	timeless.deadline_ms = 0;
	executor_use(x, "look", job->run_id);
	rc = work_look(k, x, w, &timeless, e);
	if (rc == ERR_OK) {
		at = find_step(k, stage);
		if (at < 0)
			rc = err_set(e, ERR_NOT_FOUND,
			    "the run has no stage %s", stage);
	}
	if (rc == ERR_OK)
		rc = look(k, at, variant, warnings, e);
	work_release(k);
	free(k);
	return rc;
}
