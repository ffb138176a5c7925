/* Runs: submitting, reading, cancelling, deleting. Lists are in run_list.c. */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "log.h"
#include "results.h"
#include "views.h"
#include "xalloc.h"

#define DEFAULT_EVENTS 200
#define EVENTS_TAG "e%lld-%s"	/* newest event, salt */
#define CANCEL_MESSAGE "The run was cancelled."

/* --- creating ------------------------------------------------------------------------ */

static enum err_code
check_key(const struct request *r, struct err *e)
{
	if (r->idempotency_key != NULL &&
	    strlen(r->idempotency_key) > IDEMPOTENCY_KEY_MAX)
		return err_set(e, ERR_INVALID, "Idempotency-Key is longer than "
		    "%d characters", IDEMPOTENCY_KEY_MAX);
	return ERR_OK;
}

/*
 * 200 with the PENDING Run, stored durably; the kept answer for a repeated
 * Idempotency-Key (422 when the content differs); 400 or 422 with all faults
 * of the form; 413; 503 when it could not be stored, and then nothing is.
 */
enum err_code
page_run_create(struct worker *w, struct request *r, struct response *res,
    struct err *e)
{
	struct submit_result result = { "", 0, NULL, false };
	struct run_request request;
	struct faults faults;
	struct form form;
	enum err_code rc;

	memset(&request, 0, sizeof(request));
	form_init(&form, w->uploads_dirfd);
	faults_init(&faults);
	rc = check_key(r, e);
	if (rc == ERR_OK)
		rc = read_form(w, r, &run_form_shape, &form, &faults, e);
	if (rc == ERR_OK)
		rc = run_form_check(w->svc->conf, &form, &request, &faults, e);
	if ((rc == ERR_TYPE || rc == ERR_INVALID) && faults_any(&faults)) {
		response_faults(res, &faults);
		rc = ERR_OK;
		goto out;
	}
	if (rc != ERR_OK)
		goto out;
	rc = run_submit(w->svc, w->store, r->owner, &form, &request,
	    r->idempotency_key, clock_now_ms(), &result, e);
	if (rc != ERR_OK)
		goto out;
	res->status = result.http_status;
	response_header(res, "Content-Type", "application/json");
	response_header(res, "Cache-Control", "no-store");
	if (result.replayed) {
		response_header(res, "Idempotency-Replayed", "true");
	} else {
		snprintf(r->run_id, sizeof(r->run_id), "%s", result.run_id);
		response_header(res, "Location", "/api/v1/runs/%s",
		    result.run_id);
		res->wake = "job";
	}
	strbuf_addstr(&res->body, result.body);
out:
	submit_result_release(&result);
	run_request_release(&request, w->uploads_dirfd);
	faults_release(&faults);
	form_release(&form);
	return rc;
}

/* --- reading -------------------------------------------------------------------------- */

static enum err_code
get_run(struct worker *w, struct request *r, struct run *out, struct err *e)
{
	enum err_code rc = store_get_run(w->store, r->owner, r->params[0], out,
	    e);

	if (rc == ERR_NOT_FOUND)
		return err_set(e, rc, "There is no such run.");
	return rc;
}

/* 200 with the run, its inputs and the stages begun; 304; 404. */
enum err_code
page_run_show(struct worker *w, struct request *r, struct response *res,
    struct err *e)
{
	struct stage_list stages = { NULL, 0 };
	struct run run;
	enum err_code rc;

	memset(&run, 0, sizeof(run));
	rc = get_run(w, r, &run, e);
	/* Stages are read after the version: they may be newer than the tag
	 * says, never older, so a client that asks with it again is not told
	 * that nothing has happened since. */
	if (rc == ERR_OK && response_is_known(r, res, "r%lld-%s",
	    (long long)run.version, w->tag_salt))
		goto out;
	if (rc == ERR_OK)
		rc = store_list_run_stages(w->store, run.id, &stages, e);
	if (rc == ERR_OK)
		response_json(res, 200, view_run_detail(&run, &stages));
out:
	stage_list_release(&stages);
	run_release(&run);
	return rc;
}

/* Somebody holds its lease: what the status says besides the run's row. */
static bool
is_active(const struct job *job, int64_t now_ms)
{
	return job->state == STATE_RUNNING && job->lease_until_ms > now_ms;
}

/* 200 with the counts; reading changes nothing; 304; 404. */
enum err_code
page_run_status(struct worker *w, struct request *r, struct response *res,
    struct err *e)
{
	struct stage_list stages = { NULL, 0 };
	int64_t now = clock_now_ms();
	struct run run;
	struct job job;
	enum err_code rc;

	memset(&run, 0, sizeof(run));
	memset(&job, 0, sizeof(job));
	rc = get_run(w, r, &run, e);
	if (rc == ERR_OK)
		rc = store_get_run_job(w->store, run.id, &job, e);
	if (rc == ERR_OK && response_is_known(r, res, "s%lld.%d-%s",
	    (long long)run.version, is_active(&job, now), w->tag_salt))
		goto out;
	if (rc == ERR_OK)
		rc = store_list_run_stages(w->store, run.id, &stages, e);
	if (rc == ERR_OK)
		response_json(res, 200, view_run_status(&run, &job, &stages,
		    now));
out:
	job_release(&job);
	stage_list_release(&stages);
	run_release(&run);
	return rc;
}

static enum err_code
open_metadata(struct worker *w, const char *run_id, int *fd, struct stat *st,
    struct err *e)
{
	char *path = xasprintf("%s/%s", run_id, METADATA_FILE);
	enum err_code rc;

	rc = file_open_beneath(w->runs_dirfd, path, O_RDONLY, 0, fd, e);
	if (rc == ERR_NOT_FOUND)
		err_set(e, rc, "The results of this run are gone.");
	if (rc == ERR_OK && fstat(*fd, st) != 0)
		rc = err_set_errno(e, ERR_SYSTEM, errno, "%s", path);
	free(path);
	return rc;
}

static enum err_code
read_metadata(int fd, const char *run_id, struct json_object **out,
    struct err *e)
{
	struct strbuf text = STRBUF_INIT(METADATA_MAX_BYTES);
	enum err_code rc;

	rc = file_read_fd(fd, METADATA_MAX_BYTES, &text, e);
	if (rc == ERR_OK && json_parse(text.buf, text.len, out, e) != ERR_OK)
		rc = err_set(e, ERR_SYSTEM, "the metadata of run %s cannot be "
		    "read", run_id);
	strbuf_release(&text);
	return rc;
}

/* 200 with everything a completed run produced; 304; 400 before; 404 when the
 * run or its metadata file is gone; 500 when that cannot be read. */
enum err_code
page_run_results(struct worker *w, struct request *r, struct response *res,
    struct err *e)
{
	struct json_object *metadata = NULL;
	struct run run;
	struct stat st;
	enum err_code rc;
	int fd = -1;

	memset(&run, 0, sizeof(run));
	rc = get_run(w, r, &run, e);
	if (rc == ERR_OK && run.status != STATE_COMPLETED)
		rc = err_set(e, ERR_INVALID, "The run has no results: it is "
		    "%s.", state_name(run.status));
	if (rc == ERR_OK)
		rc = open_metadata(w, run.id, &fd, &st, e);
	if (rc == ERR_OK && response_is_known(r, res, "m%lld.%llx.%llx-%s",
	    (long long)run.version, (unsigned long long)st.st_size,
	    (unsigned long long)st.st_mtim.tv_nsec, w->tag_salt))
		goto out;
	if (rc == ERR_OK)
		rc = read_metadata(fd, run.id, &metadata, e);
	if (rc == ERR_OK)
		response_json(res, 200, results_view(run.id,
		    state_name(run.status), metadata,
		    json_object_new_array()));
out:
	if (fd >= 0)
		close(fd);
	json_object_put(metadata);
	run_release(&run);
	return rc;
}

/*
 * Has the client seen all events there are? Only who asks is looked up: the
 * others need the list anyway, and it tells how far it goes.
 */
static enum err_code
knows_events(struct worker *w, struct request *r, struct response *res,
    bool *out, struct err *e)
{
	const char *ids[] = { r->params[0] };
	struct run_tip tip = { -1, false };
	enum err_code rc;

	*out = false;
	if (r->conditions.if_none_match == NULL)
		return ERR_OK;
	rc = store_read_tips(w->store, r->owner, ids, 1, &tip, e);
	if (rc != ERR_OK || tip.last_seq < 0)
		return rc;
	*out = response_is_known(r, res, EVENTS_TAG, (long long)tip.last_seq,
	    w->tag_salt);
	if (!*out)
		response_reset(res);
	return ERR_OK;
}

/* 200 with events after the one named, oldest first; 304; 404; 422. */
enum err_code
page_run_events(struct worker *w, struct request *r, struct response *res,
    struct err *e)
{
	struct event_list list = { NULL, 0, 0 };
	struct faults faults;
	int64_t after;
	enum err_code rc = ERR_OK;
	bool known = false;
	int limit;

	faults_init(&faults);
	after = query_int(r, "after", 0, 0, INT64_MAX, &faults);
	limit = (int)query_int(r, "limit", DEFAULT_EVENTS, 1, MAX_EVENTS_PAGE,
	    &faults);
	if (faults_any(&faults)) {
		response_faults(res, &faults);
		goto out;
	}
	rc = knows_events(w, r, res, &known, e);
	if (rc != ERR_OK || known)
		goto out;
	rc = store_list_events(w->store, r->owner, r->params[0], after, limit,
	    &list, e);
	if (rc == ERR_NOT_FOUND)
		err_set(e, rc, "There is no such run.");
	if (rc != ERR_OK)
		goto out;
	if (!response_is_known(r, res, EVENTS_TAG, (long long)list.last_seq,
	    w->tag_salt))
		response_json(res, 200, view_events(r->params[0], &list));
out:
	event_list_release(&list);
	faults_release(&faults);
	return rc;
}

/* --- cancelling ------------------------------------------------------------------------- */

/* 200 with a message that says what happened, whatever state it was in; 404. */
enum err_code
page_run_cancel(struct worker *w, struct request *r, struct response *res,
    struct err *e)
{
	enum cancel_outcome outcome = CANCEL_DONE;
	enum state was = STATE_PENDING;
	struct json_object *o;
	char message[120];
	enum err_code rc;

	rc = store_cancel_run(w->store, r->owner, r->params[0], CANCEL_MESSAGE,
	    clock_now_ms(), &outcome, &was, e);
	if (rc == ERR_NOT_FOUND)
		return err_set(e, rc, "There is no such run.");
	if (rc != ERR_OK)
		return rc;
	switch (outcome) {
	case CANCEL_DONE:
		snprintf(message, sizeof(message), "%s", CANCEL_MESSAGE);
		res->wake = "cancel";
		res->told = true;
		break;
	case CANCEL_WAS_TERMINAL:
		snprintf(message, sizeof(message), "The run had ended before: "
		    "it is %s.", state_name(was));
		break;
	}
	o = json_object_new_object();
	json_put_str(o, "message", message);
	response_json(res, 200, o);
	return ERR_OK;
}

/* --- deleting ------------------------------------------------------------------------------ */

/*
 * 204: it is gone, with its files; 404; 409 as long as anything of it waits or
 * runs, since what works on it would have nothing left to work on.
 */
enum err_code
page_run_delete(struct worker *w, struct request *r, struct response *res,
    struct err *e)
{
	struct run_deletion gone = { .outcome = DELETE_DONE };
	enum err_code rc;

	rc = run_delete(w->svc->runs_dir, w->store, r->owner, r->params[0],
	    clock_now_ms(), &gone, e);
	if (rc == ERR_NOT_FOUND)
		return err_set(e, rc, "There is no such run.");
	if (rc != ERR_OK)
		return rc;
	switch (gone.outcome) {
	case DELETE_DONE:
		if (gone.files_left)
			log_warn("files of a deleted run left, a runner "
			    "tries again", "run=%s error=%s", r->params[0],
			    log_quote(gone.why.msg));
		res->status = 204;
		res->told = true;
		break;
	case DELETE_IS_OPEN:
		return err_set(e, ERR_CONFLICT, "The run, or work on one of "
		    "its pictures, has not ended; cancel it first.");
	}
	return ERR_OK;
}
