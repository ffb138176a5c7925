/*
 * Storing a request so that it is either wholly there or not at all.
 *
 *   look the key up --known--> the kept answer
 *        | new
 *   plan (refuse nonsense before anything is touched)
 *        |
 *   files: make runs/ID, move picture and logo in, sync file, directory, runs/
 *        |
 *   rows: run, stages, job, counters, key; one durable transaction
 *        |                  \ refused, replayed or failed: remove runs/ID
 *   answer
 *
 * Files come first because a row that names a file must never be without it; a
 * crash between the two leaves a directory without a row, which is harmless.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "views.h"
#include "xalloc.h"

#define RUN_DIR_MODE 0750
#define ROUTE_RUNS "POST /api/v1/runs"

void
submit_result_release(struct submit_result *r)
{
	free(r->body);
	memset(r, 0, sizeof(*r));
}

/* Move one uploaded file into the run's directory, durably. */
static enum err_code
move_in(int uploads_dirfd, const char *tmp, int run_dirfd, const char *name,
    struct err *e)
{
	enum err_code rc;
	int fd = -1;

	rc = file_open_beneath(uploads_dirfd, tmp, O_RDONLY, 0, &fd, e);
	if (rc != ERR_OK)
		return rc;
	if (fsync(fd) != 0 || fchmod(fd, 0640) != 0)
		rc = err_set_errno(e, ERR_SYSTEM, errno, "%s", name);
	else if (renameat(uploads_dirfd, tmp, run_dirfd, name) != 0)
		rc = err_set_errno(e, ERR_SYSTEM, errno, "%s", name);
	close(fd);
	return rc;
}

static enum err_code
move_files(const char *runs_dir, const char *run_id, const struct form *f,
    const struct run_request *r, struct err *e)
{
	char *image = NULL, *logo = NULL;
	int runs_fd = -1, run_fd = -1;
	enum err_code rc;

	rc = file_open_dir(AT_FDCWD, runs_dir, &runs_fd, e);
	if (rc != ERR_OK)
		goto out;
	if (mkdirat(runs_fd, run_id, RUN_DIR_MODE) != 0) {
		rc = err_set_errno(e, ERR_SYSTEM, errno, "runs/%s", run_id);
		goto out;
	}
	rc = file_open_dir(runs_fd, run_id, &run_fd, e);
	if (rc == ERR_OK && r->image != NULL) {
		image = xasprintf("input_%s", r->image_name);
		rc = move_in(f->uploads_dirfd, r->image->tmp, run_fd, image, e);
	}
	if (rc == ERR_OK && r->logo_tmp != NULL) {
		logo = xasprintf("logo.%s", r->logo_extension);
		rc = move_in(f->uploads_dirfd, r->logo_tmp, run_fd, logo, e);
	}
	if (rc == ERR_OK && (fsync(run_fd) != 0 || fsync(runs_fd) != 0))
		rc = err_set_errno(e, ERR_SYSTEM, errno, "runs/%s", run_id);
out:
	if (run_fd >= 0)
		close(run_fd);
	if (runs_fd >= 0)
		close(runs_fd);
	free(image);
	free(logo);
	return rc;
}

static void
remove_files(const char *runs_dir, const char *run_id)
{
	int fd = -1;

	if (file_open_dir(AT_FDCWD, runs_dir, &fd, NULL) != ERR_OK)
		return;
	file_remove_tree(fd, run_id, NULL);
	close(fd);
}

/* What the request alone does not know: who it is and when. */
static void
complete_inputs(struct run_request *r, const char *run_id, int64_t now_ms)
{
	char stamp[CLOCK_STAMP_MAX], text[CLOCK_STAMP_MAX + 4];

	clock_stamp(now_ms, stamp);
	snprintf(text, sizeof(text), "%.8s_%.6s_%.6s", stamp, stamp + 8,
	    stamp + 14);
	json_put_str(r->inputs, "run_id", run_id);
	json_put_str(r->inputs, "run_timestamp", text);
}

/* The kit as people see it: where the logo lies, not what it is. */
static char *
shown_kit(const struct run_request *r, const char *run_id)
{
	struct json_object *kit = json_copy(json_get(r->form, "brand_kit"));
	char *path, *text;

	if (kit == NULL)
		return NULL;
	if (r->logo_tmp != NULL) {
		path = xasprintf("data/runs/%s/logo.%s", run_id,
		    r->logo_extension);
		json_put_str(kit, "saved_logo_path_in_run_dir", path);
		free(path);
	}
	text = json_to_text(kit);
	json_object_put(kit);
	return text;
}

static void
fill_run(struct run *run, struct run_request *r, const char *owner,
    int64_t now_ms)
{
	id_new(run->id);
	complete_inputs(r, run->id, now_ms);
	run->owner = xstrdup(owner);
	run->status = STATE_PENDING;
	run->mode = xstrdup(r->mode);
	run->platform_name = xstrdup(json_get_str(r->form, "platform_name"));
	run->task_type = xstrdup(json_get_str(r->form, "task_type"));
	run->preset_type = xstrdup(json_get_str(r->form, "preset_type"));
	run->prompt = xstrdup(json_get_str(r->inputs, "prompt"));
	run->inputs = json_to_text(r->inputs);
	run->brand_kit = shown_kit(r, run->id);
	/* It is a column of its own, which the pipeline replaces. */
	json_object_object_del(r->form, "brand_kit");
	run->form = json_to_text(r->form);
	run->created_ms = now_ms;
}

static int
plan_stages(const struct plan *plan, struct planned_stage *out)
{
	int i;

	for (i = 0; i < plan->n; i++) {
		out[i].name = plan->steps[i].stage->name;
		out[i].order = plan->steps[i].order;
	}
	return plan->n;
}

static char *
answer_body(const struct run *run)
{
	struct json_object *view = view_run(run);
	char *text = json_to_text(view);

	json_object_put(view);
	return text;
}

/* What the store's outcome means for the caller. */
static enum err_code
settle(enum submit_outcome outcome, const char *run_id, int status,
    char *kept_body, char *new_body, struct submit_result *out, struct err *e)
{
	switch (outcome) {
	case SUBMIT_NEW:
		snprintf(out->run_id, sizeof(out->run_id), "%s", run_id);
		out->http_status = 200;
		out->body = new_body;
		out->replayed = false;
		free(kept_body);
		return ERR_OK;
	case SUBMIT_REPLAY:
		out->run_id[0] = '\0';
		out->http_status = status;
		out->body = kept_body;
		out->replayed = true;
		free(new_body);
		return ERR_OK;
	case SUBMIT_MISMATCH:
		break;
	}
	free(kept_body);
	free(new_body);
	return err_set(e, ERR_TYPE, "this Idempotency-Key was used before for "
	    "another request; choose a new one");
}

/* ERR_NOT_FOUND: the key is new (or there is none). */
static enum err_code
replay_known(struct store *st, const struct idempotency *idem,
    struct submit_result *out, struct err *e)
{
	enum submit_outcome outcome = SUBMIT_NEW;
	char *body = NULL;
	int status = 0;
	enum err_code rc;

	if (idem == NULL)
		return ERR_NOT_FOUND;
	rc = store_find_idempotency(st, idem, &outcome, &status, &body, e);
	if (rc != ERR_OK)
		return rc;
	return settle(outcome, "", status, body, NULL, out, e);
}

/* What a run may cost; 0: no limit of its own. */
static int64_t
run_budget(const struct settings *s)
{
	return s->budget_run_nano > 0 ? s->budget_run_nano :
	    s->budget_run_max_nano;
}

/* Files, then rows. The caller removes the files when this fails. */
static enum err_code
store_request(struct service *s, struct store *st, const struct form *f,
    const struct run_request *r, const struct run *run,
    const struct plan *plan, struct idempotency *idem,
    struct submit_result *out, struct err *e)
{
	struct planned_stage stages[MAX_STAGES];
	enum submit_outcome outcome = SUBMIT_NEW;
	char job_id[ID_MAX], *body = NULL, *kept = NULL;
	struct new_run nr = { .run = run, .stages = stages, .job_id = job_id };
	enum err_code rc;
	int status = 0;

	if (r->image != NULL || r->logo_tmp != NULL) {
		rc = move_files(s->runs_dir, run->id, f, r, e);
		if (rc != ERR_OK)
			return rc;
	}
	id_new(job_id);
	nr.n_stages = plan_stages(plan, stages);
	nr.deadline_after_ms = s->conf->settings.run_deadline_ms;
	nr.budget_nano = run_budget(&s->conf->settings);
	body = answer_body(run);
	if (idem != NULL) {
		idem->http_status = 200;
		idem->body = body;
	}
	rc = store_submit_run(st, &nr, idem, &outcome, &status, &kept, e);
	if (rc != ERR_OK) {
		free(body);
		return rc;
	}
	rc = settle(outcome, run->id, status, kept, body, out, e);
	/* A twin was faster: its files are the ones that count. */
	if (outcome != SUBMIT_NEW)
		remove_files(s->runs_dir, run->id);
	return rc;
}

enum err_code
run_submit(struct service *s, struct store *st, const char *owner,
    const struct form *f, struct run_request *r, const char *idempotency_key,
    int64_t now_ms, struct submit_result *out, struct err *e)
{
	struct idempotency idem = { .owner = owner, .route = ROUTE_RUNS,
		.key = idempotency_key, .fingerprint = r->fingerprint };
	struct idempotency *key = idempotency_key != NULL ? &idem : NULL;
	struct submit_result result = { "", 0, NULL, false };
	struct plan plan;
	struct run run;
	enum err_code rc;

	memset(&run, 0, sizeof(run));
	rc = replay_known(st, key, &result, e);
	if (rc != ERR_NOT_FOUND)
		goto out;
	rc = executor_plan(executor_get(&s->executors, MODE_GENERATION),
	    r->inputs, &plan, e);
	if (rc != ERR_OK)
		goto out;
	fill_run(&run, r, owner, now_ms);
	rc = store_request(s, st, f, r, &run, &plan, key, &result, e);
	if (rc != ERR_OK && rc != ERR_TYPE)
		remove_files(s->runs_dir, run.id);
out:
	if (rc == ERR_OK)
		*out = result;
	run_release(&run);
	return rc;
}
