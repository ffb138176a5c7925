/*
 * The run that the tests of the stages work on, and what they look at.
 * Everything handed out is kept in one list and freed at the end, so
 * that tests read without clean-up and still run clean under ASan.
 */
#include "tests/unit/stages_unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"

#define MAX_KEPT 512
#define MAX_RUNS 16

struct conf *conf;
struct schema_set *schemas;
struct prompt_set *prompts;
char run_dir[] = "/tmp/churns-stages-XXXXXX";

int run_dirfd = -1;
static char *kept_text[MAX_KEPT];
static struct json_object *kept_json[MAX_KEPT];
static int n_kept_text, n_kept_json;
static struct context runs[MAX_RUNS];
static int n_runs;

/* --- keeping ------------------------------------------------------------ */

char *
keep(char *text)
{
	ck_assert_int_lt(n_kept_text, MAX_KEPT);
	kept_text[n_kept_text++] = text;
	return text;
}

static struct json_object *
keep_json(struct json_object *o)
{
	ck_assert_int_lt(n_kept_json, MAX_KEPT);
	kept_json[n_kept_json++] = o;
	return o;
}

char *
requoted(const char *text)
{
	char *copy = keep(xstrdup(text)), *p;

	for (p = copy; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	return copy;
}

struct json_object *
json(const char *text)
{
	struct json_object *o = NULL;
	struct err e = ERR_INIT;
	char *copy = requoted(text);

	ck_ok(json_parse(copy, strlen(copy), &o, &e), &e);
	return keep_json(o);
}

/* --- the fixture -------------------------------------------------------- */

static void
load_everything(void)
{
	struct conf_options opts = { .dir = TOP_SRCDIR "/conf",
	    .env_file = "/dev/null" };
	struct problems problems;
	enum err_code rc;

	problems_init(&problems);
	rc = conf_load(&opts, &problems, &conf);
	if (rc == ERR_OK)
		rc = schema_set_load(TOP_SRCDIR "/conf/schemas", &problems,
		    &schemas);
	if (rc == ERR_OK)
		rc = prompts_load(TOP_SRCDIR "/conf/prompts", stage_table,
		    stage_table_len, &problems, &prompts);
	ck_assert_msg(rc == ERR_OK, "%s", problems.text.buf);
	problems_release(&problems);
}

void
stages_setup(void)
{
	struct err e = ERR_INIT;

	memcpy(run_dir + strlen(run_dir) - 6, "XXXXXX", 6);
	ck_assert_ptr_nonnull(mkdtemp(run_dir));
	ck_ok(file_open_dir(AT_FDCWD, run_dir, &run_dirfd, &e), &e);
	script_begin();
	load_everything();
}

static void
forget(void)
{
	int i;

	for (i = 0; i < n_kept_text; i++)
		free(kept_text[i]);
	for (i = 0; i < n_kept_json; i++)
		json_object_put(kept_json[i]);
	for (i = 0; i < n_runs; i++)
		context_release(&runs[i]);
	n_kept_text = n_kept_json = n_runs = 0;
}

void
stages_teardown(void)
{
	struct err e = ERR_INIT;

	prompts_free(prompts);
	schema_set_free(schemas);
	conf_free(conf);
	conf = NULL;
	schemas = NULL;
	prompts = NULL;
	script_end();
	forget();
	close(run_dirfd);
	ck_ok(file_remove_tree(AT_FDCWD, run_dir, &e), &e);
}

/* --- runs --------------------------------------------------------------- */

const char seen_all[] = "{'image_analysis':{'main_subject':'SEEN tart',"
    "'angle_orientation':'ANGLE','secondary_elements':['ELEM1','ELEM2'],"
    "'setting_environment':'SETTING','style_mood':'MOOD',"
    "'extracted_text':null}}";
const char seen_subject[] = "{'image_analysis':{'main_subject':"
    "'SEEN tart','angle_orientation':null,'secondary_elements':null,"
    "'setting_environment':null,'style_mood':null,'extracted_text':null}}";
const char seen_not[] = "{'image_analysis':null,'logo_analysis':null}";

const char tart[] = "{'main_subject':'A tart','secondary_elements':"
    "['fork'],'angle_orientation':'top','setting_environment':'table',"
    "'style_mood':'warm','extracted_text':'none'}";
const char logo_seen[] = "{'logo_style':'script','contains_text':false,"
    "'extracted_text':null,'dominant_colors':['#112233']}";

static const char usual[] = "{'run_id':'" RUN_ID "',"
    "'run_timestamp':'20250715_080112_001000','creativity_level':2,"
    "'num_variants':3,'pipeline_mode':'generation','mode':'easy_mode',"
    "'task_type':null,'language':'en','target_platform':{'name':"
    "'Instagram Post (1:1 Square)','resolution_details':{'width':1080,"
    "'height':1080,'aspect_ratio':'1:1'}},'prompt':'A lemon tart for spring',"
    "'task_description':null,'render_text':false,'apply_branding':false,"
    "'marketing_goals':null,'image_reference':null,'brand_kit':null,"
    "'brief_intent':null,'unified_brief':null,'preset_id':null,"
    "'preset_type':null,'preset_data':null,'template_overrides':null,"
    "'adaptation_prompt':null,'skip_stages':[]}";

struct context *
run_with(const char *members)
{
	struct json_object *inputs = json_copy(json(usual)), *changes;
	struct context *c;
	struct err e = ERR_INIT;
	char *text;

	changes = json(keep(xasprintf("{%s}", members)));
	json_object_object_foreach(changes, key, value)
		json_put_obj(inputs, key, json_object_get(value));
	text = json_to_text(inputs);
	ck_assert_int_lt(n_runs, MAX_RUNS);
	c = &runs[n_runs++];
	ck_ok(context_init(c, text, &e), &e);
	free(text);
	json_object_put(inputs);
	return c;
}

void
gave(struct context *c, const char *stage, const char *text)
{
	struct err e = ERR_INIT;

	if (text == NULL)
		json_object_object_del(c->outputs, stage);
	else
		ck_ok(context_merge(c, stage, requoted(text), &e), &e);
}

const char *
strategies(int n)
{
	struct strbuf sb = STRBUF_INIT(MAX_TEXT);
	int i;

	strbuf_addstr(&sb, "{'marketing_strategies':[");
	for (i = 0; i < n; i++)
		strbuf_addf(&sb, "%s{'target_audience':'AUD%d',"
		    "'target_niche':'NICHE%d','target_objective':'OBJ%d',"
		    "'target_voice':'VOICE%d'}", i > 0 ? "," : "", i, i, i, i);
	strbuf_addstr(&sb, "]}");
	return keep(strbuf_detach(&sb));
}

const char *
styles(int n)
{
	struct strbuf sb = STRBUF_INIT(MAX_TEXT);
	int i;

	strbuf_addstr(&sb, "{'style_guidance':[");
	for (i = 0; i < n; i++)
		strbuf_addf(&sb, "%s{'style_keywords':['KEY%d','glow'],"
		    "'style_description':'DESC%d','marketing_impact':"
		    "'EFFECT%d','source_strategy_index':%d}",
		    i > 0 ? "," : "", i, i, i, i);
	strbuf_addstr(&sb, "]}");
	return keep(strbuf_detach(&sb));
}

const char *
concept_with(const char *members)
{
	static const char markers[] = "{'main_subject':'SUBJ',"
	    "'composition_and_framing':'COMP','background_environment':'BG',"
	    "'foreground_elements':'FG','lighting_and_mood':'LIGHT',"
	    "'color_palette':'PAL','visual_style':'STYLE',"
	    "'promotional_text_visuals':'PROMO','logo_visuals':'LOGO',"
	    "'texture_and_details':'TEX','negative_elements':'NEG',"
	    "'creative_reasoning':'WHY','suggested_alt_text':'ALT'}";
	struct json_object *concept = json_copy(json(markers));
	struct json_object *changes = json(keep(xasprintf("{%s}", members)));
	struct json_object *whole = json_object_new_object();

	json_object_object_foreach(changes, key, value)
		json_put_obj(concept, key, json_object_get(value));
	json_put_obj(whole, "visual_concept", concept);
	json_put_int(whole, "source_strategy_index", 2);
	keep_json(whole);
	return keep(json_to_text(whole));
}

/* --- rendering ---------------------------------------------------------- */

struct rendered
rendered(const char *prompt, struct vars *v)
{
	struct strbuf system = STRBUF_INIT(MAX_TEXT);
	struct strbuf user = STRBUF_INIT(MAX_TEXT);
	struct err e = ERR_INIT;
	struct rendered r;

	ck_ok(prompt_render(prompts_get(prompts, prompt), v, &system, &user,
	    &e), &e);
	vars_release(v);
	r.system = keep(strbuf_detach(&system));
	r.user = keep(strbuf_detach(&user));
	r.both = keep(xasprintf("%s\n%s", r.system, r.user));
	return r;
}

void
has(const char *text, const char *piece)
{
	ck_assert_msg(strstr(text, piece) != NULL, "\"%s\" is not in:\n%s",
	    piece, text);
}

void
lacks(const char *text, const char *piece)
{
	ck_assert_msg(strstr(text, piece) == NULL, "\"%s\" is in:\n%s", piece,
	    text);
}

char *
outside_fences(const char *text)
{
	char *out = keep(xcalloc(strlen(text) + 1, 1)), *to = out;
	const char *line = text, *end;
	bool inside = false;
	size_t n;

	for (; *line != '\0'; line += n) {
		end = strchr(line, '\n');
		n = end != NULL ? (size_t)(end - line) + 1 : strlen(line);
		if (strncmp(line, "<<<", 3) == 0)
			inside = true;
		if (!inside) {
			memcpy(to, line, n);
			to += n;
		}
		if (n >= 3 && (strncmp(line + n - 3, ">>>", 3) == 0 ||
		    (n >= 4 && strncmp(line + n - 4, ">>>\n", 4) == 0)))
			inside = false;
	}
	ck_assert_msg(!inside, "a block does not end in:\n%s", text);
	return out;
}

void
fenced(const char *text, const char *block, const char *piece)
{
	char *open = keep(xasprintf("<<<%s\n", block));
	char *close = keep(xasprintf("\n%s>>>", block));
	const char *from = strstr(text, open), *to, *hit;

	ck_assert_msg(from != NULL, "no block %s in:\n%s", block, text);
	to = strstr(from, close);
	ck_assert_msg(to != NULL, "block %s does not end in:\n%s", block, text);
	hit = strstr(from, piece);
	ck_assert_msg(hit != NULL && hit < to, "\"%s\" is not in block %s:\n%s",
	    piece, block, text);
	lacks(outside_fences(text), piece);
}

void
no_gaps(const char *text)
{
	lacks(text, "\n\n\n");
}

void
no_stand_ins(const char *text)
{
	static const char *const stand_ins[] = {
		"None", "null", "(null)", "undefined", "N/A", "{{", "}}",
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(stand_ins); i++)
		lacks(text, stand_ins[i]);
}

void
is_hygienic(const struct rendered *r)
{
	has(r->system, "<<<name to name>>>");
	has(r->system, "instruction");
	lacks(r->both, "{{");
	lacks(r->both, "}}");
	lacks(r->both, "(null)");
	lacks(r->user, "None");
	lacks(r->user, "undefined");
}

int
occurrences(const char *text, const char *piece)
{
	int n = 0;

	for (text = strstr(text, piece); text != NULL;
	    text = strstr(text + 1, piece))
		n++;
	return n;
}

char *
long_text(int n)
{
	char *text = xcalloc((size_t)n + 1, 8);
	int i;

	for (i = 0; i < n; i++)
		memcpy(text + i * 8, "wordily ", 8);
	return text;
}

bool
exists(const char *name)
{
	char path[256];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", run_dir, name);
	return stat(path, &st) == 0;
}

int
count_files(const char *prefix)
{
	struct dirent *d;
	DIR *dir = opendir(run_dir);
	int n = 0;

	ck_assert_ptr_nonnull(dir);
	for (d = readdir(dir); d != NULL; d = readdir(dir))
		if (strncmp(d->d_name, prefix, strlen(prefix)) == 0)
			n++;
	closedir(dir);
	return n;
}

/* --- stages ------------------------------------------------------------- */

const struct stage *
stage_named(const char *name)
{
	int i;

	for (i = 0; i < stage_table_len; i++)
		if (strcmp(stage_table[i].name, name) == 0)
			return &stage_table[i];
	ck_abort_msg("no stage %s", name);
	return NULL;
}

struct done
run_stage(const char *name, const struct context *c, int variant)
{
	static const struct call_scope scope = { .owner = "default" };
	struct context lane = *c;
	struct done d;

	memset(&d, 0, sizeof(d));
	lane.variant = variant;
	d.env.conf = conf;
	d.env.schemas = schemas;
	d.env.prompts = prompts;
	d.env.scope = &scope;
	d.env.run_id = RUN_ID;
	d.env.run_dir = run_dir;
	d.env.run_dirfd = run_dirfd;
	d.env.work_dir = "work";
	d.env.variant = variant;
	d.env.started_ms = T0;
	d.rc = stage_named(name)->exec(&d.env, &lane, &d.out, &d.e);
	keep_json(d.out);
	keep_json(d.env.warnings);
	keep(d.env.message);
	keep(d.env.soft_error);
	return d;
}

const char *
warned(const struct done *d, const char *code)
{
	const struct json_object *w;
	size_t i;

	for (i = 0; i < json_len(d->env.warnings); i++) {
		w = json_object_array_get_idx(d->env.warnings, i);
		if (strcmp(json_get_str(w, "code"), code) == 0)
			return json_get_str(w, "message");
	}
	return NULL;
}

void
keeps_schema(const char *name, const struct json_object *out)
{
	const struct stage *s = stage_named(name);
	const struct schema *schema = schema_get(schemas, s->schema);
	struct strbuf faults = STRBUF_INIT(MAX_TEXT);
	const struct json_object *value = out;
	size_t i;

	ck_assert_ptr_nonnull(schema);
	if (s->scope == STAGE_PER_RUN)
		value = json_get(out, s->output_key);
	if (json_object_is_type(value, json_type_array))
		for (i = 0; i < json_len(value); i++)
			schema_check(schema, json_object_array_get_idx(value,
			    i), &faults);
	else if (value != NULL)
		schema_check(schema, value, &faults);
	ck_assert_msg(faults.len == 0, "%s: %s", name, faults.buf);
	strbuf_release(&faults);
}
