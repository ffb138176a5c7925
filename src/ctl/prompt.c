/*
 * prompt: what a stage would send to its models for a stored run.
 *
 * Nothing here makes a request.  The stage runs as in a runner, on the run's
 * stored inputs and outputs, with a model that shows its calls instead of
 * sending them (model.h says why); this file gives it a place to work in and
 * prints what it is shown.
 *
 * Nothing of the run is touched: the database is open for reading only, and
 * stages that scale pictures find copies of the run's files in a temporary
 * directory, which is removed in the end.  Keys are not read.
 */
#include "prompt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "context.h"
#include "file.h"
#include "log.h"
#include "model.h"
#include "pixels.h"
#include "xalloc.h"
#include "yaml.h"

#define COPY_BYTES 65536
#define SCRATCH_MODE 0700
#define SCRATCH_FILE_MODE 0600
#define HELPERS_AT_ONCE 1
#define WORK_DIR "work"		/* of a run: pictures scaled by stages */

const struct ctl_option prompt_options[] = {
	{ "run", "ID", "the stored run, in whatever state" },
	{ "variant", "N", "of this variant only, from 0" },
	{ NULL, NULL, NULL }
};

static const char *const mode_names[] = {
	[ANSWER_TEXT] = "text",
	[ANSWER_JSON_OBJECT] = "json_object",
	[ANSWER_JSON_SCHEMA] = "json_schema",
};

/* One look at a stage of a run. */
struct looking {
	struct ctl *c;
	struct run run;
	struct job job;
	struct executor *x;
	struct context inputs;
	struct plan plan;
	const struct plan_step *step;
	int only;		/* the one variant asked for; VARIANT_NONE */
	/* a place to work in */
	char *dir;		/* temporary; stands for runs/ */
	char *run_dir;
	struct model *model;
	struct pixels *pixels;
	/* what came of it */
	struct json_object *calls;	/* as in --json */
	struct json_object *problems;
	/* of the pass under way */
	bool open;		/* a call had no answer ... */
	int open_round;		/* ... in this round first */
};

/* --- a place to work in --------------------------------------------------- */

/* A file that a runner has taken away meanwhile is none. */
static enum err_code
copy_file(int from_dir, int to_dir, const char *name, struct err *e)
{
	char buf[COPY_BYTES];
	enum err_code rc;
	int from = -1, to;
	ssize_t n;

	rc = file_open_beneath(from_dir, name, O_RDONLY | O_NONBLOCK, 0, &from,
	    e);
	if (rc == ERR_NOT_FOUND)
		return ERR_OK;
	if (rc != ERR_OK)
		return rc;
	to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
	    SCRATCH_FILE_MODE);
	if (to < 0)
		rc = err_set_errno(e, ERR_SYSTEM, errno, "a copy of %s", name);
	while (rc == ERR_OK) {
		n = read(from, buf, sizeof(buf));
		if (n == 0)
			break;
		rc = n > 0 ? file_write_all(to, buf, (size_t)n, e) :
		    err_set_errno(e, ERR_SYSTEM, errno, "%s", name);
	}
	if (to >= 0)
		close(to);
	close(from);
	return rc;
}

static bool
is_file(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISREG(st.st_mode);
}

/* The files of a directory, not what is in directories below it. */
static enum err_code
copy_files(const char *from, const char *to, struct err *e)
{
	enum err_code rc = ERR_OK;
	struct dirent *entry;
	DIR *dir = opendir(from);
	int to_dir = -1;

	/* Of a run whose files are gone the texts can still be shown. */
	if (dir == NULL)
		return errno == ENOENT ? ERR_OK :
		    err_set_errno(e, ERR_SYSTEM, errno, "%s", from);
	if (mkdir(to, SCRATCH_MODE) != 0)
		rc = err_set_errno(e, ERR_SYSTEM, errno, "%s", to);
	if (rc == ERR_OK)
		rc = file_open_dir(AT_FDCWD, to, &to_dir, e);
	while (rc == ERR_OK) {
		entry = readdir(dir);
		if (entry == NULL)
			break;
		if (is_file(dirfd(dir), entry->d_name))
			rc = copy_file(dirfd(dir), to_dir, entry->d_name, e);
	}
	if (to_dir >= 0)
		close(to_dir);
	closedir(dir);
	return rc;
}

static enum err_code
make_place(struct looking *l, struct err *e)
{
	const char *tmp = getenv("TMPDIR");
	char *from, *from_work, *to_work;
	enum err_code rc;

	l->dir = xasprintf("%s/" CTL_NAME ".XXXXXX",
	    tmp != NULL && *tmp != '\0' ? tmp : "/tmp");
	if (mkdtemp(l->dir) == NULL) {
		rc = err_set_errno(e, ERR_SYSTEM, errno, "%s", l->dir);
		free(l->dir);
		l->dir = NULL;
		return rc;
	}
	l->run_dir = xasprintf("%s/%s", l->dir, l->run.id);
	from = xasprintf("%s/%s", l->c->service.runs_dir, l->run.id);
	from_work = xasprintf("%s/" WORK_DIR, from);
	to_work = xasprintf("%s/" WORK_DIR, l->run_dir);
	rc = copy_files(from, l->run_dir, e);
	if (rc == ERR_OK)
		rc = copy_files(from_work, to_work, e);
	free(from);
	free(from_work);
	free(to_work);
	return rc;
}

/* --- what is shown -------------------------------------------------------- */

static struct json_object *
picture_view(const struct looking *l, const struct call_image *p)
{
	struct json_object *o = json_object_new_object();
	char *path = xasprintf("%s/%s", l->run_dir, p->path);
	struct stat st;

	json_put_str(o, "name", p->path);
	json_put_str(o, "type", p->mime);
	json_put_int(o, "width", p->width);
	json_put_int(o, "height", p->height);
	json_put_int(o, "bytes", stat(path, &st) == 0 ? st.st_size : 0);
	free(path);
	return o;
}

static struct json_object *
ledger_view(const struct call_preview *p)
{
	struct json_object *o;

	if (p->sent == NULL)
		return NULL;
	o = json_object_new_object();
	json_put_str(o, "state", call_state_name(p->sent->state));
	json_put_int(o, "attempt", p->sent->attempt);
	json_put_str(o, "model", p->sent->model);
	json_put_str(o, "fault", p->sent->fault);
	json_put_str(o, "hash", p->sent->request_hash);
	json_put_bool(o, "same_request", p->sent->request_hash != NULL &&
	    strcmp(p->sent->request_hash, p->hash) == 0);
	return o;
}

static struct json_object *
answer_view(const struct call_preview *p)
{
	struct json_object *o;

	if (p->schema == NULL)
		return NULL;
	o = json_object_new_object();
	json_put_str(o, "mode", mode_names[p->mode]);
	json_put_str(o, "schema", schema_name(p->schema));
	return o;
}

static struct json_object *
call_view(const struct looking *l, const struct call_preview *p)
{
	struct json_object *o = json_object_new_object();
	struct json_object *pictures = json_object_new_array();
	int i;

	for (i = 0; i < p->n_images; i++)
		json_object_array_add(pictures,
		    picture_view(l, &p->images[i]));
	json_put_obj(o, "variant", p->variant == VARIANT_NONE ? NULL :
	    json_object_new_int(p->variant));
	json_put_str(o, "purpose", p->purpose);
	json_put_int(o, "ask", p->ask);
	json_put_str(o, "provider", p->provider);
	json_put_bool(o, "simulated", p->simulated);
	json_put_str(o, "model", p->model);
	json_put_bool(o, "fallback", p->fallback);
	json_put_str(o, "url", p->url);
	json_put_obj(o, "parameters", json_object_get(p->parameters));
	json_put_obj(o, "answer", answer_view(p));
	json_put_obj(o, "pictures", pictures);
	json_put_str(o, "system", p->system);
	json_put_str(o, "user", p->user);
	json_put_str(o, "answered", p->answered);
	json_put_str(o, "complaint", p->complaint);
	json_put_int(o, "bytes", p->bytes);
	json_put_str(o, "hash", p->hash);
	json_put_bool(o, "to_send", p->to_send);
	json_put_bool(o, "cached", p->cached);
	json_put_obj(o, "ledger", ledger_view(p));
	/* What was made without an answer may be another with it. */
	json_put_bool(o, "uncertain", l->open && p->round > l->open_round);
	return o;
}

/* The same request, shown before; NULL. */
static struct json_object *
find_call(const struct looking *l, const struct call_preview *p)
{
	struct json_object *o;
	size_t i;

	for (i = 0; i < json_len(l->calls); i++) {
		o = json_object_array_get_idx(l->calls, i);
		if (json_get_int(o, "variant", VARIANT_NONE) == p->variant &&
		    json_get_int(o, "ask", 0) == p->ask &&
		    strcmp(json_get_str(o, "purpose"), p->purpose) == 0 &&
		    strcmp(json_get_str(o, "hash"), p->hash) == 0)
			return o;
	}
	return NULL;
}

/* A model_preview. */
static void
take(void *arg, const struct call_preview *p)
{
	struct looking *l = arg;
	struct json_object *seen = find_call(l, p);

	if (seen != NULL)
		json_put_bool(seen, "to_send", p->to_send);
	else
		json_object_array_add(l->calls, call_view(l, p));
	if (p->to_send && !l->open) {
		l->open = true;
		l->open_round = p->round;
	}
}

/* --- looking -------------------------------------------------------------- */

static void
add_problem(struct looking *l, int variant, const char *message)
{
	struct json_object *o = json_object_new_object();

	json_put_obj(o, "variant", variant == VARIANT_NONE ? NULL :
	    json_object_new_int(variant));
	json_put_str(o, "message", message);
	json_object_array_add(l->problems, o);
}

/*
 * A stage that showed its calls has done what it was asked for, however it
 * ended.  One that showed none says why: with its failure, or with warnings
 * that it has gone on without.
 */
static enum err_code
look_once(struct looking *l, int variant, struct err *e)
{
	const struct service *s = &l->c->service;
	const struct workshop w = {
		.conf = s->conf,
		.store = l->c->store,
		.model = l->model,
		.schemas = s->schemas,
		.prompts = s->prompts,
		.pixels = l->pixels,
		.runs_dir = l->dir,
	};
	size_t i, before = json_len(l->calls);
	struct json_object *warnings = NULL;
	enum err_code rc;

	l->open = false;
	rc = executor_look(l->x, &w, &l->job, l->step->stage->name, variant,
	    &warnings, e);
	if (json_len(l->calls) == before && rc == ERR_INVALID)
		add_problem(l, variant, e->msg);
	else if (json_len(l->calls) == before)
		for (i = 0; i < json_len(warnings); i++)
			add_problem(l, variant, json_get_str(
			    json_object_array_get_idx(warnings, i),
			    "message"));
	json_object_put(warnings);
	return rc == ERR_INVALID ? ERR_OK : rc;
}

static enum err_code
look_all(struct looking *l, struct err *e)
{
	const struct conf *conf = l->c->service.conf;
	const struct model_options opts = {
		.conf = conf,
		.schemas = l->c->service.schemas,
		.store = l->c->store,
	};
	enum err_code rc;
	int v;

	rc = make_place(l, e);
	if (rc == ERR_OK)
		rc = pixels_new(conf->settings.image_helper, HELPERS_AT_ONCE,
		    conf->settings.max_image_pixels, &l->pixels, e);
	if (rc == ERR_OK)
		rc = model_new(&opts, &l->model, e);
	if (rc != ERR_OK)
		return rc;
	model_show_only(l->model, take, l);
	if (l->step->stage->scope == STAGE_PER_RUN)
		return look_once(l, VARIANT_NONE, e);
	for (v = 0; v < l->inputs.num_variants && rc == ERR_OK; v++)
		if (l->only == VARIANT_NONE || l->only == v)
			rc = look_once(l, v, e);
	return rc;
}

/* --- which stage of which run --------------------------------------------- */

static enum err_code
load_run(struct looking *l, const char *run_id, struct err *e)
{
	enum err_code rc;
	enum mode mode;

	rc = store_get_run(l->c->store, NULL, run_id, &l->run, e);
	if (rc == ERR_NOT_FOUND)
		return err_set(e, rc, "there is no run %.40s", run_id);
	if (rc == ERR_OK)
		rc = store_get_run_job(l->c->store, l->run.id, &l->job, e);
	if (rc == ERR_OK && !mode_parse(l->job.kind, &mode))
		rc = err_set(e, ERR_INVALID, "jobs of kind %s have no stages",
		    l->job.kind);
	if (rc != ERR_OK)
		return rc;
	l->x = executor_get(&l->c->service.executors, mode);
	rc = context_init(&l->inputs, l->run.inputs != NULL ? l->run.inputs :
	    "", e);
	if (rc == ERR_OK)
		rc = executor_plan(l->x, l->inputs.inputs, &l->plan, e);
	return rc;
}

static enum err_code
find_step(struct looking *l, struct err *e)
{
	struct strbuf names = STRBUF_INIT(MAX_LINE_BYTES);
	enum err_code rc = ERR_OK;
	int i;

	for (i = 0; i < l->plan.n; i++) {
		if (strcmp(l->plan.steps[i].stage->name, l->c->operand) == 0)
			l->step = &l->plan.steps[i];
		strbuf_addf(&names, "%s%s", i > 0 ? ", " : "",
		    l->plan.steps[i].stage->name);
	}
	if (l->step == NULL)
		rc = err_set(e, ERR_NOT_FOUND, "the run has no stage %.40s; it "
		    "has %s", l->c->operand, names.buf);
	strbuf_release(&names);
	return rc;
}

/* 0, or the exit status. */
static int
check_variant(struct looking *l)
{
	const char *text = ctl_given(l->c, "variant");
	int64_t v;

	if (text == NULL)
		return 0;
	if (l->step->stage->scope == STAGE_PER_RUN)
		return ctl_misuse(l->c, "%s is done once for all variants",
		    l->step->stage->name);
	if (!parse_int(text, &v) || v < 0 || v >= l->inputs.num_variants)
		return ctl_misuse(l->c, "--variant must be from 0 to %d",
		    l->inputs.num_variants - 1);
	l->only = (int)v;
	return 0;
}

/* --- prompt --------------------------------------------------------------- */

/* Everything, as in --json. Caller's. */
static struct json_object *
document(const struct looking *l, const char *idle)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "run_id", l->run.id);
	json_put_str(o, "stage", l->step->stage->name);
	json_put_str(o, "idle", idle);
	json_put_obj(o, "calls", json_object_get(l->calls));
	json_put_obj(o, "problems", json_object_get(l->problems));
	return o;
}

static void
looking_release(struct looking *l)
{
	struct err e = ERR_INIT;

	model_free(l->model);
	pixels_free(l->pixels);
	if (l->dir != NULL && file_remove_tree(AT_FDCWD, l->dir, &e) != ERR_OK)
		fprintf(stderr, CTL_NAME ": %s is left behind: %s\n", l->dir,
		    e.msg);
	free(l->dir);
	free(l->run_dir);
	context_release(&l->inputs);
	job_release(&l->job);
	run_release(&l->run);
	json_object_put(l->calls);
	json_object_put(l->problems);
}

/* The exit status; 0 when there is something to print. */
static int
find(struct looking *l, const char *run_id)
{
	struct err e = ERR_INIT;
	enum err_code rc;

	rc = load_run(l, run_id, &e);
	if (rc == ERR_OK)
		rc = find_step(l, &e);
	return rc == ERR_OK ? check_variant(l) : ctl_fail(rc, &e);
}

/* What there is to print is printed; 0 unless something kept the stage from
 * showing any call. */
static int
look_and_print(struct looking *l)
{
	const char *idle = l->step->skip_reason;
	struct err e = ERR_INIT;
	enum err_code rc = ERR_OK;
	struct json_object *doc;

	if (idle == NULL)
		rc = look_all(l, &e);
	if (rc != ERR_OK)
		return ctl_fail(rc, &e);
	if (idle == NULL && json_len(l->calls) == 0 &&
	    json_len(l->problems) == 0)
		idle = "This stage asks no model.";
	doc = document(l, idle);
	if (!l->c->json)
		prompt_print(doc);
	else
		print_json(json_object_get(doc));
	json_object_put(doc);
	return json_len(l->calls) == 0 && json_len(l->problems) > 0 ?
	    CTL_FAILED : 0;
}

int
cmd_prompt(struct ctl *c)
{
	const char *run_id = ctl_given(c, "run");
	struct looking l;
	int status;

	if (run_id == NULL)
		return ctl_misuse(c, "--run ID is needed");
	/* That a request differs from the one sent is told beside it. */
	log_init(CTL_NAME, LOG_ERROR, LOG_TEXT);
	memset(&l, 0, sizeof(l));
	l.c = c;
	l.only = VARIANT_NONE;
	l.inputs.variant = VARIANT_NONE;
	l.calls = json_object_new_array();
	l.problems = json_object_new_array();
	status = ctl_load_all(c);
	if (status == 0)
		status = ctl_open(c, OPEN_READING);
	if (status == 0)
		status = find(&l, run_id);
	if (status == 0)
		status = look_and_print(&l);
	looking_release(&l);
	return status;
}
