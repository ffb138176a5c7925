/* A model over a scripted peer and a store of its own; see model_test.h. */
#include <fcntl.h>
#include <unistd.h>

#include "tests/unit/model_test.h"

#include "clock.h"
#include "digest.h"
#include "file.h"
#include "xalloc.h"

#define MAX_KEPT 256

struct rig rig;

static char dir[64], base[64];
static char *keep[MAX_KEPT];
static int n_kept;

/* --- what is configured -------------------------------------------------- */

static void
set_model(int i, const char *id, int64_t in, int64_t out)
{
	struct model_info *m = &rig.models[i];

	memset(m, 0, sizeof(*m));
	m->id = (char *)(uintptr_t)id;
	m->price_input = in;
	m->price_image_input = in;
	m->price_output = out;
	m->price_cached_input = in / 2;
	m->takes_temperature = true;
	m->answer_mode = ANSWER_JSON_SCHEMA;
	m->token_rule = TOKENS_AREA;
}

static void
set_provider(int i, const char *name, enum wire wire)
{
	struct provider *p = &rig.providers[i];

	memset(p, 0, sizeof(*p));
	p->name = (char *)(uintptr_t)name;
	p->wire = wire;
	p->base_url = base;
	p->key_env = (char *)(uintptr_t)"MAIN_API_KEY";
	p->key = (char *)(uintptr_t)"sk-secret-key-of-the-tests";
	p->max_parallel = 16;
	p->max_connections = 16;
}

static void
set_image_models(void)
{
	static struct image_price prices[] = {
		{ (char *)(uintptr_t)"medium", (char *)(uintptr_t)"1024x1024",
		    1056 },
		{ (char *)(uintptr_t)"medium", (char *)(uintptr_t)"1024x1536",
		    1584 } };
	static struct image_price flat[] = {
		{ (char *)(uintptr_t)"", (char *)(uintptr_t)"", 1290 } };
	struct model_info *m = &rig.models[MODEL_GPT_IMAGE];

	set_model(MODEL_GPT_IMAGE, "gpt-image-1", 5000000000, 40000000000);
	m->is_image = true;
	m->takes_two_images = true;
	m->aspects[0] = (struct aspect_size){ (char *)(uintptr_t)"1:1",
	    (char *)(uintptr_t)"1024x1024" };
	m->aspects[1] = (struct aspect_size){ (char *)(uintptr_t)"2:3",
	    (char *)(uintptr_t)"1024x1536" };
	m->n_aspects = 2;
	m->image_prices = prices;
	m->n_image_prices = 2;
	m = &rig.models[MODEL_GEMINI];
	set_model(MODEL_GEMINI, "gemini-image", 300000000, 30000000000);
	m->is_image = true;
	m->takes_two_images = true;
	m->takes_aspect = true;
	m->aspects[0] = (struct aspect_size){ (char *)(uintptr_t)"1:1", NULL };
	m->aspects[1] = (struct aspect_size){ (char *)(uintptr_t)"9:16",
	    NULL };
	m->n_aspects = 2;
	m->image_prices = flat;
	m->n_image_prices = 1;
}

static void
configure(void)
{
	struct settings *s = &rig.conf.settings;
	struct purpose *p;
	int i;

	set_provider(0, "main", WIRE_OPENAI);
	set_provider(1, "gem", WIRE_GEMINI);
	set_model(MODEL_CHAT, "vendor/talker", 2000000000, 8000000000);
	set_model(MODEL_SMALL, "vendor/small", 1000000000, 1000000000);
	set_model(MODEL_THINKER, "vendor/thinker", 1000000000, 4000000000);
	rig.models[MODEL_THINKER].reasoning = true;
	rig.models[MODEL_THINKER].takes_temperature = false;
	rig.models[MODEL_THINKER].max_completion_tokens = true;
	set_image_models();
	rig.conf.providers = rig.providers;
	rig.conf.n_providers = 2;
	rig.conf.models = rig.models;
	rig.conf.n_models = MODEL__COUNT;
	for (i = 0; i < PURPOSE__COUNT; i++) {
		p = &rig.conf.purposes[i];
		p->provider = &rig.providers[0];
		p->model = &rig.models[MODEL_CHAT];
		p->temperature = 0.5;
		p->max_tokens = 1000;
		p->reasoning_max_tokens = 8000;
	}
	p = &rig.conf.purposes[PURPOSE_IMAGE_GENERATION];
	p->model = &rig.models[MODEL_GPT_IMAGE];
	s->max_retries = 3;
	s->validation_retries = 1;
	s->llm_timeout_ms = 5000;
	s->image_timeout_ms = 5000;
	s->connect_timeout_ms = 2000;
	s->retry_base_ms = 1;
	s->retry_cap_ms = 4;
	s->retry_after_cap_ms = 30;
	s->max_parallel_llm = 16;
	s->max_parallel_image = 4;
	s->max_body_in_flight_bytes = 16 * MB;
	s->image_quality = (char *)(uintptr_t)"medium";
}

/* --- store, job, files --------------------------------------------------- */

static void
open_database(const struct spend_limits *limits)
{
	struct store_options o;
	char database[128];

	memset(&o, 0, sizeof(o));
	snprintf(database, sizeof(database), "sqlite:%s/db/churns.db", dir);
	o.database = database;
	o.cache_kb = 1024;
	o.lock_wait_ms = 5000;
	o.max_readers = 4;
	if (limits != NULL)
		o.limits = *limits;
	ck_ok(store_open(&o, &rig.store, &rig.err), &rig.err);
}

static void
open_store(void)
{
	static const struct planned_stage plan[] = { { "style_guide", 3 },
		{ "image_generation", 6 } };
	static const struct holder me = { "holder", "host", "boot", "life" };
	struct new_run nr = { .stages = plan, .n_stages = 2,
	    .deadline_after_ms = 3600000 };
	enum submit_outcome outcome;
	struct run run;
	struct job job;
	int64_t due;
	bool found;

	open_database(NULL);
	memset(&run, 0, sizeof(run));
	id_new(run.id);
	run.owner = (char *)(uintptr_t)"ann";
	run.mode = (char *)(uintptr_t)"easy_mode";
	run.created_ms = clock_now_ms();
	id_new(rig.job_id);
	nr.run = &run;
	nr.job_id = rig.job_id;
	ck_ok(store_submit_run(rig.store, &nr, NULL, &outcome, NULL, NULL,
	    &rig.err), &rig.err);
	ck_ok(store_claim(rig.store, &me, clock_now_ms(), 600000, &job,
	    &found, &due, &rig.err), &rig.err);
	ck_assert(found);
	snprintf(rig.run_id, sizeof(rig.run_id), "%s", job.run_id);
	rig.ref = (struct job_ref){ rig.job_id, rig.run_id, job.fence };
	job_release(&job);
}

void
put_file(const char *name, const void *data, size_t len)
{
	ck_ok(file_replace(rig.run_dirfd, name, data, len, 0600, &rig.err),
	    &rig.err);
}

bool
file_is(const char *name, const void *data, size_t len)
{
	struct strbuf got = STRBUF_INIT(8 * MB);
	bool same;
	int fd = -1;

	if (file_open_beneath(rig.run_dirfd, name, O_RDONLY, 0, &fd, NULL) !=
	    ERR_OK)
		return false;
	ck_ok(file_read_fd(fd, 8 * MB, &got, &rig.err), &rig.err);
	close(fd);
	same = got.len == len && memcmp(got.buf, data, len) == 0;
	strbuf_release(&got);
	return same;
}

const unsigned char *
png(size_t n)
{
	static unsigned char data[2 * MB];
	static const unsigned char head[] = { 0x89, 'P', 'N', 'G', '\r', '\n',
		0x1a, '\n', 0, 0, 0, 13, 'I', 'H', 'D', 'R' };
	size_t i;

	ck_assert_uint_le(n, sizeof(data));
	for (i = 0; i < n; i++)
		data[i] = (unsigned char)(i * 131 + i / 251);
	memcpy(data, head, n < sizeof(head) ? n : sizeof(head));
	return data;
}

static void
load_schemas(void)
{
	static const char text[] = "{\"type\":\"object\",\"properties\":{"
	    "\"word\":{\"type\":\"string\",\"minLength\":2},"
	    "\"n\":{\"type\":\"integer\",\"minimum\":1}},"
	    "\"required\":[\"word\",\"n\"],\"additionalProperties\":false}";
	struct problems problems;
	char path[80];
	int fd = -1;

	snprintf(path, sizeof(path), "%s/schemas", dir);
	ck_ok(file_make_dirs(path, 0700, &rig.err), &rig.err);
	ck_ok(file_open_dir(AT_FDCWD, path, &fd, &rig.err), &rig.err);
	ck_ok(file_replace(fd, "answer.json", text, strlen(text), 0600,
	    &rig.err), &rig.err);
	close(fd);
	problems_init(&problems);
	ck_assert_msg(schema_set_load(path, &problems, &rig.schemas) ==
	    ERR_OK, "%s", problems.text.buf);
	problems_release(&problems);
}

/* --- fixtures ------------------------------------------------------------ */

void
rig_setup(void)
{
	char path[80];

	memset(&rig, 0, sizeof(rig));
	strbuf_init(&rig.notes, 4096);
	snprintf(dir, sizeof(dir), "/tmp/churns-model-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/run", dir);
	ck_ok(file_make_dirs(path, 0700, &rig.err), &rig.err);
	ck_ok(file_open_dir(AT_FDCWD, path, &rig.run_dirfd, &rig.err),
	    &rig.err);
	rig.peer = peer_new();
	snprintf(base, sizeof(base), "%s/v1", peer_url(rig.peer));
	configure();
	load_schemas();
	open_store();
	rig.cancel = cancel_new();
	rig.scope = (struct call_scope){ .ref = &rig.ref, .owner = "ann",
	    .run_dirfd = rig.run_dirfd, .cancel = rig.cancel };
}

static void
forget_results(void)
{
	call_result_release(&rig.chat);
	image_result_release(&rig.image);
}

void
rig_teardown(void)
{
	forget_results();
	model_free(rig.m);
	peer_free(rig.peer);
	store_close(rig.store);
	schema_set_free(rig.schemas);
	cancel_free(rig.cancel);
	close(rig.run_dirfd);
	strbuf_release(&rig.notes);
	while (n_kept > 0)
		free(keep[--n_kept]);
	ck_ok(file_remove_tree(AT_FDCWD, dir, &rig.err), &rig.err);
}

void
rig_limit(int64_t day_nano)
{
	struct spend_limits limits = { .day_nano = day_nano };

	ck_assert_ptr_null(rig.m);
	store_close(rig.store);
	open_database(&limits);
}

void
rig_start(void)
{
	struct model_options opts = { &rig.conf, rig.schemas, rig.store };

	if (rig.m == NULL)
		ck_ok(model_new(&opts, &rig.m, &rig.err), &rig.err);
}

void
rig_restart(void)
{
	model_free(rig.m);
	rig.m = NULL;
	strbuf_reset(&rig.notes);
	rig_start();
}

/* --- what the peer says -------------------------------------------------- */

const char *
kept(char *text)
{
	ck_assert_int_lt(n_kept, MAX_KEPT);
	keep[n_kept++] = text;
	return text;
}

void
say_step(struct peer_step step)
{
	peer_add(rig.peer, step);
}

void
say(const char *json, int status)
{
	say_step((struct peer_step){ .status = status, .body = json });
}

char *
chat_json(const char *content, const char *finish, const char *usage)
{
	struct strbuf sb = STRBUF_INIT(4 * MB);

	strbuf_addstr(&sb, "{\"choices\":[{\"message\":{\"content\":\"");
	strbuf_add_json_escaped(&sb, content, strlen(content));
	strbuf_addf(&sb, "\"},\"finish_reason\":\"%s\"}]", finish);
	if (usage != NULL)
		strbuf_addf(&sb, ",\"usage\":%s", usage);
	strbuf_addch(&sb, '}');
	return strbuf_detach(&sb);
}

void
say_chat(const char *text)
{
	say(kept(chat_json(text, "stop",
	    "{\"prompt_tokens\":100,\"completion_tokens\":10}")), 200);
}

/* --- calls --------------------------------------------------------------- */

static void
note(void *arg, const char *code, const char *message)
{
	(void)arg;
	ck_assert_str_ne(message, "");
	strbuf_addf(&rig.notes, "%s%s", rig.notes.len > 0 ? " " : "", code);
}

struct chat_request
chat_request(void)
{
	struct chat_request r;

	memset(&r, 0, sizeof(r));
	r.purpose = PURPOSE_STYLE_GUIDE;
	r.stage = "style_guide";
	r.variant = VARIANT_NONE;
	r.system = "You are terse.";
	r.user = "One \"word\", please.";
	r.schema = schema_get(rig.schemas, "answer");
	r.temperature = -1;
	r.note = note;
	return r;
}

void
ask_this(const struct chat_request *req, enum err_code rc)
{
	enum err_code got;

	rig_start();
	forget_results();
	err_clear(&rig.err);
	got = model_chat(rig.m, &rig.scope, req, &rig.chat, &rig.err);
	ck_assert_msg(got == rc, "%s: %s", err_code_name(got), rig.err.msg);
	ck_assert_int_eq(rig.chat.rc, rc);
	if (rc == ERR_OK) {
		ck_assert_str_eq(json_get_str(rig.chat.value, "word"),
		    "tart");
		ck_assert_int_eq((int)json_get_int(rig.chat.value, "n", 0), 3);
	}
}

void
ask(enum err_code rc)
{
	struct chat_request req = chat_request();

	ask_this(&req, rc);
}

struct image_request
image_request(void)
{
	struct image_request r;

	memset(&r, 0, sizeof(r));
	r.purpose = PURPOSE_IMAGE_GENERATION;
	r.stage = "image_generation";
	r.variant = 2;
	r.prompt = "A \"tart\" on a plate";
	r.aspect = "1:1";
	r.note = note;
	return r;
}

void
draw_this(const struct image_request *req, enum err_code rc)
{
	enum err_code got;

	rig_start();
	forget_results();
	err_clear(&rig.err);
	got = model_image(rig.m, &rig.scope, req, &rig.image, &rig.err);
	ck_assert_msg(got == rc, "%s: %s", err_code_name(got), rig.err.msg);
	ck_assert((rig.image.file != NULL) == (rc == ERR_OK));
}

void
draw(enum err_code rc)
{
	struct image_request req = image_request();

	draw_this(&req, rc);
}

/* --- what came of it ----------------------------------------------------- */

void
fault_is(enum model_fault want)
{
	ck_assert_int_eq(rig.err.code, ERR_MODEL);
	ck_assert_msg(rig.err.detail == (int)want, "%s, wanted %s: %s",
	    model_fault_name((enum model_fault)rig.err.detail),
	    model_fault_name(want), rig.err.msg);
}

void
notes_are(const char *want)
{
	ck_assert_str_eq(rig.notes.buf, want);
}

void
ledger_is(const char *want)
{
	struct strbuf sb = STRBUF_INIT(4096);
	struct call_list l;
	int i;

	ck_ok(store_list_calls(rig.store, rig.job_id, &l, &rig.err),
	    &rig.err);
	for (i = 0; i < l.n; i++) {
		strbuf_addf(&sb, "%s%s/%d", i > 0 ? " " : "",
		    call_state_name(l.rows[i].state), l.rows[i].ask);
		ck_assert_int_eq(l.rows[i].attempt, i + 1);
		ck_assert_int_eq((int)strlen(l.rows[i].idempotency_key), 32);
		ck_assert_int_gt((int)l.rows[i].settled_ms, 0);
	}
	ck_assert_str_eq(sb.buf, want);
	call_list_release(&l);
	strbuf_release(&sb);
}

int64_t
ledger_cost(void)
{
	struct call_list l;
	int64_t sum = 0;
	int i;

	ck_ok(store_list_calls(rig.store, rig.job_id, &l, &rig.err),
	    &rig.err);
	for (i = 0; i < l.n; i++)
		sum += l.rows[i].cost_nano;
	call_list_release(&l);
	return sum;
}

struct json_object *
sent_json(int n)
{
	const struct peer_request *r = peer_request(rig.peer, n);
	struct json_object *o = NULL;

	ck_ok(json_parse(r->body, r->len, &o, &rig.err), &rig.err);
	return o;
}

bool
sent_has(int n, const char *what)
{
	const struct peer_request *r = peer_request(rig.peer, n);

	return memmem(r->body, r->len, what, strlen(what)) != NULL;
}
