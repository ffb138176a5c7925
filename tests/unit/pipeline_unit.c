/* Shared by the tests of the pipeline; see pipeline_unit.h. */
#include "tests/unit/pipeline_unit.h"

#include <fcntl.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "xalloc.h"

struct world w;

static char runs[300];

/* --- the fake stages ------------------------------------------------------ */

static int
fake_index(const char *name)
{
	int i;

	for (i = 0; i < N_STAGES; i++)
		if (strcmp(fake_stages[i].name, name) == 0)
			return i;
	ck_abort_msg("%s is no fake stage", name);
	return -1;
}

/* Wait until so many attempts have been made; a test that asks for what never
 * comes ends by its time limit. */
static void
wait_for_attempts(int n)
{
	pthread_mutex_lock(&w.lock);
	while (w.attempts < n)
		pthread_cond_wait(&w.changed, &w.lock);
	pthread_mutex_unlock(&w.lock);
}

static int
enter(int at, int slot)
{
	int attempt;

	pthread_mutex_lock(&w.lock);
	attempt = ++w.attempts;
	w.made[at][slot]++;
	w.inside++;
	if (w.inside > w.max_inside)
		w.max_inside = w.inside;
	pthread_cond_broadcast(&w.changed);
	pthread_mutex_unlock(&w.lock);
	if (w.on_enter != NULL)
		w.on_enter(attempt);
	return attempt;
}

static void
leave(int attempt)
{
	if (w.on_leave != NULL)
		w.on_leave(attempt);
	pthread_mutex_lock(&w.lock);
	w.inside--;
	pthread_mutex_unlock(&w.lock);
}

static struct json_object *
strategies(int n)
{
	struct json_object *list, *o;
	char text[64];
	int i;

	list = json_object_new_array();
	for (i = 0; i < n; i++) {
		o = json_object_new_object();
		snprintf(text, sizeof(text), "niche %d", i);
		json_put_str(o, "target_niche", text);
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *
styles(const struct context *c, int n)
{
	struct json_object *list, *o;
	char text[128];
	int i;

	list = json_object_new_array();
	for (i = n - 1; i >= 0; i--) {	/* not in order on purpose */
		o = json_object_new_object();
		snprintf(text, sizeof(text), "style for %s",
		    json_get_str(context_strategy(c, i), "target_niche"));
		json_put_str(o, "style_description", text);
		json_put_int(o, "source_strategy_index", i);
		json_object_array_add(list, o);
	}
	return list;
}

/* A picture: a file whose name must come out the same when made again. */
static const char *
draw(struct stage_env *env, const char *prompt)
{
	static __thread char name[96];
	char stamp[CLOCK_STAMP_MAX];
	struct err e = ERR_INIT;

	snprintf(name, sizeof(name), "generated_image_strategy_%d_%s.png",
	    env->variant, clock_stamp(env->started_ms, stamp));
	ck_ok(file_replace(env->run_dirfd, name, prompt, strlen(prompt), 0640,
	    &e), &e);
	return name;
}

static struct json_object *
make(int at, struct stage_env *env, const struct context *c)
{
	struct json_object *o;
	char text[512];
	const char *prompt;
	int v = env->variant;

	o = json_object_new_object();
	text[0] = '\0';
	prompt = json_get_str(context_output(c, "prompt_assembly"), "prompt");
	if (prompt == NULL)
		prompt = "nothing";
	switch (at) {
	case IMAGE_EVAL:
		json_put_obj(o, "image_analysis", json_object_new_object());
		json_put_str(json_get(o, "image_analysis"), "main_subject",
		    context_str(c, "prompt"));
		json_put_obj(o, "logo_analysis", json_object_new_object());
		json_put_str(json_get(o, "logo_analysis"), "logo_style",
		    "bold");
		break;
	case STRATEGY:
		json_put_obj(o, "marketing_strategies",
		    strategies(c->num_variants));
		break;
	case STYLE_GUIDE:
		json_put_obj(o, "style_guidance", styles(c, c->num_variants));
		break;
	case CREATIVE_EXPERT:
		snprintf(text, sizeof(text), "%s in %s",
		    context_subject(c) != NULL ? context_subject(c) : "it",
		    json_get_str(context_style(c, v), "style_description"));
		json_put_str(o, "visual_concept", text);
		json_put_int(o, "source_strategy_index", v);
		break;
	case PROMPT_ASSEMBLY:
		json_put_int(o, "index", v);
		snprintf(text, sizeof(text), "Paint %s", json_get_str(
		    context_output(c, "creative_expert"), "visual_concept"));
		json_put_str(o, "prompt", text);
		break;
	case IMAGE_GENERATION:
		json_put_int(o, "index", v);
		json_put_str(o, "status", "success");
		json_put_str(o, "result_path", draw(env, prompt));
		json_put_str(o, "prompt_seen", prompt);
		json_put_null(o, "error_message");
		break;
	default:
		json_put_int(o, "image_index", v);
		json_put_str(o, "image_path", "x.png");
		json_put_bool(o, "saw_picture", json_get_str(
		    context_output(c, "image_generation"), "result_path") !=
		    NULL);
	}
	return o;
}

static void
lose_job(void)
{
	struct job thief;
	struct expired x;
	struct err e = ERR_INIT;

	ck_ok(store_expire_leases(st, me.id, clock_now_ms(), 9, "", &x, &e),
	    &e);
	claim_run(&other, &thief);
	job_release(&thief);
}

static void
cancel_by_owner(void)
{
	enum cancel_outcome how;
	enum state was;
	struct err e = ERR_INIT;

	ck_ok(store_cancel_run(st, "ann", w.run_id, "Cancelled.",
	    clock_now_ms(), &how, &was, &e), &e);
	ck_assert_int_eq(how, CANCEL_DONE);
	cancel_fire(w.cancel, ERR_CANCELLED);
}

static enum err_code
hang(struct err *e)
{
	while (!cancel_sleep(w.cancel, 10))
		continue;
	return err_set(e, cancel_code(w.cancel), "stopped");
}

static enum err_code
act(enum deed deed, int at, struct stage_env *env, const struct context *c,
    struct json_object **out, struct err *e)
{
	struct strbuf big = STRBUF_INIT(4 * 1024 * 1024);

	switch (deed) {
	case DO_FAIL:
		err_set(e, ERR_MODEL, "the model is busy");
		e->detail = FAULT_RATE_LIMIT;
		return ERR_MODEL;
	case DO_REFUSE:
		return err_set(e, ERR_INVALID, "the picture is broken");
	case DO_NOTHING:
		return ERR_OK;
	case DO_NULL:
		*out = json_object_new_object();
		json_put_null(*out, fake_stages[at].output_key);
		stage_warn(env, "no_analysis", "The picture was not read.");
		env->message = xstrdup("Your picture could not be read.");
		env->soft_error = xstrdup("no analysis");
		return ERR_OK;
	case DO_MISSHAPE:
		*out = json_object_new_string("not an object");
		return ERR_OK;
	case DO_DEVIATE:
		*out = make(at, env, c);
		json_put_int(at == STRATEGY ? json_at(*out,
		    "marketing_strategies/1") : *out, "target_niche", 7);
		return ERR_OK;
	case DO_TOO_MUCH:
		while (big.len < 2 * 1024 * 1024)
			strbuf_addstr(&big, "0123456789abcdef");
		*out = make(at, env, c);
		json_put_str(*out, "big", big.buf);
		strbuf_release(&big);
		return ERR_OK;
	case DO_SYSTEM:
		return err_set(e, ERR_SYSTEM, "no helper");
	case DO_TIMEOUT:
		return err_set(e, ERR_TIMEOUT, "no time is left");
	case DO_HANG:
		return hang(e);
	case DO_CANCEL:
		cancel_by_owner();
		return hang(e);
	case DO_LOSE:
		lose_job();
		break;
	case DO_WARN:
		stage_warn(env, "no_price", "No price for %s.", "it");
		stage_warn(env, "no_price", "No price for %s.", "it");
		stage_note(env, "call_unknown", "A call was made twice.");
		break;
	case DO_WELL:
		break;
	}
	*out = make(at, env, c);
	return ERR_OK;
}

static enum err_code
fake_exec(int at, struct stage_env *env, const struct context *c,
    struct json_object **out, struct err *e)
{
	int slot = env->variant + 1, attempt;
	enum err_code rc;

	ck_assert_int_eq(env->variant, c->variant);
	ck_assert_int_eq(env->variant == VARIANT_NONE, at < LANES_FIRST);
	attempt = enter(at, slot);
	wait_for_attempts(w.waits_for[at][slot]);
	if (cancel_code(w.cancel) != ERR_OK)
		rc = err_set(e, cancel_code(w.cancel), "stopped");
	else
		rc = act(w.deed[at][slot], at, env, c, out, e);
	leave(attempt);
	return rc;
}

#define FAKE(n)								\
	static enum err_code						\
	fake_##n(struct stage_env *env, const struct context *c,	\
	    struct json_object **out, struct err *e)			\
	{								\
		return fake_exec(n, env, c, out, e);			\
	}
FAKE(0)
FAKE(1)
FAKE(2)
FAKE(3)
FAKE(4)
FAKE(5)
FAKE(6)

static struct json_object *
failed_picture(const struct context *c, const struct err *why)
{
	struct json_object *o;

	o = json_object_new_object();
	json_put_int(o, "index", c->variant);
	json_put_str(o, "status", "error");
	json_put_null(o, "result_path");
	json_put_str(o, "error_message", why->msg);
	return o;
}

/* For one test: a stage that finds nothing to do when there is no picture. */
static const char *
skip_without_picture(const struct context *c)
{
	return context_flag(c, "nothing_to_see") ? "There is no picture." :
	    NULL;
}

static const enum purpose_id reading[] = { PURPOSE_IMAGE_EVAL,
    PURPOSE_LOGO_EVAL, PURPOSE__COUNT };
static const enum purpose_id finding[] = { PURPOSE_STRATEGY_GOALS,
    PURPOSE_CAPTION, PURPOSE__COUNT };
static const enum purpose_id painting[] = { PURPOSE_IMAGE_GENERATION,
    PURPOSE__COUNT };
static const enum purpose_id judging[] = { PURPOSE_IMAGE_ASSESSMENT,
    PURPOSE__COUNT };

const struct stage fake_stages[] = {
	{ "image_eval", "Reading your picture", STAGE_PER_RUN, false,
	  "image_analysis", NULL, reading, NULL, fake_0, NULL,
	  skip_without_picture },
	{ "strategy", "Finding strategies", STAGE_PER_RUN, true,
	  "marketing_strategies", "fake", finding, NULL, fake_1, NULL, NULL },
	{ "style_guide", "Choosing styles", STAGE_PER_RUN, true,
	  "style_guidance", NULL, NULL, NULL, fake_2, NULL, NULL },
	{ "creative_expert", "Developing ideas", STAGE_PER_VARIANT, true,
	  "visual_concepts", "fake", NULL, NULL, fake_3, NULL, NULL },
	{ "prompt_assembly", "Writing the briefs", STAGE_PER_VARIANT, true,
	  "final_prompts", NULL, NULL, NULL, fake_4, NULL, NULL },
	{ "image_generation", "Painting the pictures", STAGE_PER_VARIANT,
	  true, "generated_images", NULL, painting, NULL, fake_5, failed_picture,
	  NULL },
	{ "image_assessment", "Judging the pictures", STAGE_PER_VARIANT,
	  false, "image_assessments", NULL, judging, NULL, fake_6, NULL, NULL },
	{ .name = "style_adaptation", .title = "Adapting the style" },
	{ .name = "load_base_image", .title = "Loading" },
	{ .name = "conditional_stage", .title = "Editing" },
	{ .name = "subject_repair", .title = "Repairing" },
	{ .name = "save_outputs", .title = "Saving" },
	{ .name = "caption", .title = "Writing" },
};
const int n_fake_stages = ARRAY_LEN(fake_stages);

/* --- the workshop --------------------------------------------------------- */

static void
count_event(void *arg, const char *run_id)
{
	(void)arg;
	ck_assert_ptr_nonnull(run_id);
	pthread_mutex_lock(&w.lock);
	w.events++;
	pthread_mutex_unlock(&w.lock);
}

static void
fill_order(struct stage_order *o, const char *const *names)
{
	for (o->n = 0; names[o->n] != NULL; o->n++) {
		o->names[o->n] = (char *)names[o->n];
		o->lines[o->n] = o->n + 10;
	}
}

void
world_up(void)
{
	static const char *const generation[] = { "image_eval", "strategy",
	    "style_guide", "creative_expert", "prompt_assembly",
	    "image_generation", "image_assessment", NULL };
	static const char *const refinement[] = { "load_base_image",
	    "conditional_stage", "save_outputs", NULL };
	static const char *const caption[] = { "caption", NULL };
	struct problems problems;

	set_up();
	memset(&w, 0, sizeof(w));
	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.changed, NULL);
	w.conf.stage_order_path = (char *)"stage_order.yml";
	fill_order(&w.conf.order[MODE_GENERATION], generation);
	fill_order(&w.conf.order[MODE_REFINEMENT], refinement);
	fill_order(&w.conf.order[MODE_CAPTION], caption);
	problems_init(&problems);
	ck_assert_int_eq(executor_set_build(&w.conf, fake_stages,
	    n_fake_stages, T0, &problems, &w.executors), ERR_OK);
	problems_release(&problems);
	snprintf(runs, sizeof(runs), "%.*s/runs",
	    (int)(strlen(db_path()) - strlen("/db/churns.db")), db_path());
	w.conf.settings.runner_max_attempts = 3;
	w.shop.conf = &w.conf;
	w.shop.store = st;
	w.shop.runs_dir = runs;
	w.shop.on_event = count_event;
	w.shop.lanes = lane_pool_new(MAX_VARIANTS);
	w.cancel = cancel_new();
}

void
world_down(void)
{
	lane_pool_free(w.shop.lanes);
	executor_set_release(&w.executors);
	cancel_free(w.cancel);
	pthread_cond_destroy(&w.changed);
	pthread_mutex_destroy(&w.lock);
	tear_down();
}

const char *
runs_dir(void)
{
	return runs;
}

/* --- runs ----------------------------------------------------------------- */

static const char usual_inputs[] =
    "{\"run_timestamp\":\"20260101_120000_000000\",\"creativity_level\":2,"
    "\"num_variants\":3,\"pipeline_mode\":\"generation\","
    "\"mode\":\"easy_mode\",\"task_type\":null,\"language\":\"en\","
    "\"target_platform\":{\"name\":\"Instagram Post (1:1 Square)\","
    "\"resolution_details\":{\"width\":1080,\"height\":1080,"
    "\"aspect_ratio\":\"1:1\"}},\"prompt\":\"lemon tart\","
    "\"task_description\":null,\"render_text\":false,"
    "\"apply_branding\":false,\"marketing_goals\":null,"
    "\"image_reference\":null,\"brand_kit\":null,\"preset_id\":null,"
    "\"preset_type\":null,\"preset_data\":null,"
    "\"template_overrides\":null,\"adaptation_prompt\":null,"
    "\"skip_stages\":[]}";

static char *
inputs_with(const char *run_id, const char *changes)
{
	struct json_object *o = NULL, *c = NULL;
	struct err e = ERR_INIT;
	char *text;

	ck_ok(json_parse(usual_inputs, strlen(usual_inputs), &o, &e), &e);
	json_put_str(o, "run_id", run_id);
	if (changes != NULL) {
		ck_ok(json_parse(changes, strlen(changes), &c, &e), &e);
		json_object_object_foreach(c, key, value)
			json_put_obj(o, key, json_object_get(value));
	}
	text = json_to_text(o);
	json_object_put(o);
	json_object_put(c);
	return text;
}

const char *
submit_run(int n, const char *changes)
{
	const char *id = id_of("run", n);
	struct planned_stage planned[N_STAGES];
	struct run run = { .status = STATE_PENDING };
	struct new_run nr = { .run = &run, .stages = planned,
	    .n_stages = N_STAGES, .deadline_after_ms = DEADLINE_AFTER_MS };
	enum submit_outcome outcome;
	struct err e = ERR_INIT;
	int i;

	for (i = 0; i < N_STAGES; i++) {
		planned[i].name = fake_stages[i].name;
		planned[i].order = i + 1;
	}
	snprintf(run.id, sizeof(run.id), "%s", id);
	run.owner = (char *)"ann";
	run.mode = (char *)"easy_mode";
	run.platform_name = (char *)"Instagram Post (1:1 Square)";
	run.form = (char *)"{}";
	run.inputs = inputs_with(id, changes);
	run.created_ms = clock_now_ms();
	nr.job_id = id_of("job", n);
	ck_ok(store_submit_run(st, &nr, NULL, &outcome, NULL, NULL, &e), &e);
	free(run.inputs);
	return id_of("run", n);
}

void
claim_run(const struct holder *h, struct job *out)
{
	int64_t next_due = 0;
	bool found = false;
	struct err e = ERR_INIT;

	/* A job that was put back is due a little later: then is now. */
	ck_ok(store_claim(st, h, clock_now_ms(), LEASE, out, &found,
	    &next_due, &e), &e);
	if (!found && next_due > 0)
		ck_ok(store_claim(st, h, next_due, LEASE, out, &found,
		    &next_due, &e), &e);
	ck_assert_msg(found, "nothing to claim");
}

enum job_outcome
execute_as(const struct holder *h, enum state *ended_as)
{
	enum job_outcome outcome;
	struct err e = ERR_INIT;
	struct job job;

	claim_run(h, &job);
	w.run_id = job.run_id;
	outcome = executor_run(executor_get(&w.executors, MODE_GENERATION),
	    &w.shop, &job, w.cancel, &w.stopping, ended_as, &e);
	job_release(&job);
	w.run_id = NULL;
	err = e;
	return outcome;
}

enum job_outcome
execute(enum state *ended_as)
{
	return execute_as(&me, ended_as);
}

enum state
run_of(int variants)
{
	enum state s = STATE_PENDING;
	char changes[64];

	snprintf(changes, sizeof(changes), "{\"num_variants\":%d}", variants);
	submit_run(1, changes);
	ck_assert_int_eq(execute(&s), JOB_ENDED);
	return s;
}

/* --- what was told and stored --------------------------------------------- */

static void
list_events(int n, struct event_list *l)
{
	struct err e = ERR_INIT;

	memset(l, 0, sizeof(*l));
	ck_ok(store_list_events(st, NULL, id_of("run", n), 0,
	    MAX_EVENTS_PAGE, l, &e), &e);
}

static struct json_object *
parse(const char *text)
{
	struct json_object *o = NULL;
	struct err e = ERR_INIT;

	ck_ok(json_parse(text, strlen(text), &o, &e), &e);
	return o;
}

static void
add_told(struct strbuf *sb, const struct event *ev)
{
	struct json_object *o;
	double order;

	if (sb->len > 0)
		strbuf_addch(sb, ' ');
	if (strcmp(ev->type, "stage_update") != 0) {
		strbuf_addstr(sb, ev->type);
		return;
	}
	o = parse(ev->data);
	order = json_get_num(o, "stage_order", 0);
	strbuf_addf(sb, "%g%c", order, json_get_str(o, "status")[0]);
	json_object_put(o);
}

char *
story(int n)
{
	struct strbuf sb = STRBUF_INIT(8192);
	struct event_list l;
	int i;

	list_events(n, &l);
	for (i = 0; i < l.n; i++) {
		ck_assert_int_eq(l.rows[i].seq, i + 1);
		add_told(&sb, &l.rows[i]);
	}
	ck_assert_int_eq(l.last_seq, l.n);
	event_list_release(&l);
	return strbuf_detach(&sb);
}

struct json_object *
event_data(int n, int64_t seq)
{
	struct event_list l;
	struct json_object *o;

	list_events(n, &l);
	if (seq == 0)
		seq = l.n;
	ck_assert(seq >= 1 && seq <= l.n);
	o = parse(l.rows[seq - 1].data);
	event_list_release(&l);
	return o;
}

struct json_object *
told_of(int n, const char *stage)
{
	struct json_object *o, *found = NULL;
	struct event_list l;
	const char *name;
	int i;

	fake_index(stage);
	list_events(n, &l);
	for (i = 0; i < l.n; i++) {
		o = parse(l.rows[i].data);
		name = json_get_str(o, "stage_name");
		if (name != NULL && strcmp(name, stage) == 0) {
			json_object_put(found);
			found = json_object_get(o);
		}
		json_object_put(o);
	}
	event_list_release(&l);
	ck_assert_msg(found != NULL, "nothing was told of %s", stage);
	return found;
}

struct json_object *
metadata_of(int n)
{
	struct json_object *o = NULL;
	char path[512];

	snprintf(path, sizeof(path), "%s/%s/%s", runs, id_of("run", n),
	    METADATA_FILE);
	if (access(path, R_OK) != 0)
		return NULL;
	ck_ok(json_parse_file(path, METADATA_MAX_BYTES, &o, &err), &err);
	return o;
}

void
load_run(int n, struct run *out)
{
	memset(out, 0, sizeof(*out));
	ck_ok(store_get_run(st, NULL, id_of("run", n), out, &err), &err);
}

char *
fingerprint(int n)
{
	struct json_object *o, *made, *picture;
	size_t i;
	char *text;

	o = metadata_of(n);
	ck_assert_ptr_nonnull(o);
	made = json_get(o, "processing_context");
	json_object_object_del(made, "cost_summary");
	json_object_object_del(json_get(o, "pipeline_settings"), "run_id");
	for (i = 0; i < json_len(json_get(made, "generated_image_results"));
	    i++) {
		picture = json_object_array_get_idx(
		    json_get(made, "generated_image_results"), i);
		json_object_object_del(picture, "result_path");
	}
	text = json_to_text(o);
	json_object_put(o);
	return text;
}
