/*
 * doctor: everything that could stop a program, found without starting one.
 *
 * It looks and changes nothing: no directory is made, no call is sent, the
 * database is left as it was.  One line per check:
 *
 *   ok    this is fine, and what it came to
 *   warn  programs start, but somebody should know
 *   FAIL  a program would not start or a run would fail; faults stand beneath
 *
 * Faults are collected by the code that the programs themselves start with, so
 * doctor cannot disagree with them.  Only where that code must give up early
 * (without settings there are no executors to miss a stage) the rest is looked
 * at here, so that one look tells everything.
 *
 * Keys are loaded to see whether they are there.  They are never printed.
 */
#include "doctor.h"

#include <strings.h>
#include <sys/stat.h>

#include "schema.h"
#include "stage.h"
#include "stages.h"
#include "xalloc.h"
#include "yaml.h"

#define MAX_MESSAGE_BYTES 4096
#define ENV_FILE_NAME "churns.env"

/* --- the configuration ---------------------------------------------------- */

static bool
is_stage(const char *name)
{
	int i;

	for (i = 0; i < stage_table_len; i++)
		if (strcmp(stage_table[i].name, name) == 0)
			return true;
	return false;
}

/* Names in stage_order.yml that the table of stages does not have. What is
 * wrong with the file's form, conf_load() has told. */
static void
check_stage_names(const char *dir, struct problems *problems)
{
	char *path = xasprintf("%s/stage_order.yml", dir);
	const struct yaml_node *list, *n;
	struct yaml_doc *doc = NULL;

	if (yaml_load(path, &doc, NULL) == ERR_OK) {
		for (list = doc->root->first; list != NULL; list = list->next)
			for (n = list->first; n != NULL; n = n->next)
				if (list->kind == YAML_LIST &&
				    n->kind == YAML_SCALAR &&
				    !is_stage(n->text))
					problems_add(problems, path, n->line,
					    "\"%s\" is not a stage of %s",
					    n->text, list->key);
		yaml_free(doc);
	}
	free(path);
}

/* A schema that a stage promises must be there; runners refuse without. */
static void
check_promised_schemas(const struct service *s, struct problems *problems)
{
	const char *name;
	int i;

	for (i = 0; i < stage_table_len; i++) {
		name = stage_table[i].schema;
		if (name != NULL && schema_get(s->schemas, name) == NULL)
			problems_add(problems, NULL, 0,
			    "%s/schemas/%s.json: not there, but %s needs it",
			    s->conf->dir, name, stage_table[i].name);
	}
}

/* service_load() builds no executors, which know the stages, when the settings
 * have faults; then their names are looked at here. */
static void
check_beside_settings(const struct ctl *c, struct problems *problems)
{
	struct problems scratch;
	struct conf *conf = NULL;
	char *dir = NULL;

	problems_init(&scratch);
	if (conf_load(&c->conf, &scratch, &conf) != ERR_OK)
		dir = conf_find_dir(&c->conf, &scratch);
	if (dir != NULL)
		check_stage_names(dir, problems);
	free(dir);
	conf_free(conf);
	problems_release(&scratch);
}

static void
check_configuration(struct report *r, struct ctl *c)
{
	struct strbuf text = STRBUF_INIT(MAX_MESSAGE_BYTES);
	struct problems problems;

	problems_init(&problems);
	if (service_load(&c->service, &c->conf, &problems) == ERR_OK)
		check_promised_schemas(&c->service, &problems);
	else
		check_beside_settings(c, &problems);
	if (problems.count > 0) {
		report_add(r, LEVEL_FAIL, "configuration", problems.count == 1 ?
		    "one fault keeps every program from starting" :
		    "%d faults keep every program from starting",
		    problems.count);
		report_faults(r, problems.text.buf);
		r->misconfigured = true;
		service_release(&c->service);
	} else {
		conf_summary(c->service.conf, &text);
		report_add(r, LEVEL_OK, "configuration", "%s; %s",
		    c->service.conf->dir, text.buf);
	}
	problems_release(&problems);
	strbuf_release(&text);
}

/* --- keys ----------------------------------------------------------------- */

static void
check_keys(struct report *r, const struct conf *conf)
{
	struct strbuf missing = STRBUF_INIT(MAX_MESSAGE_BYTES);
	int n;

	n = conf_missing_keys(conf, &missing);
	if (conf->keys_needed == 0) {
		report_add(r, LEVEL_OK, "keys", "the models need none");
	} else if (n == 0) {
		report_add(r, LEVEL_OK, "keys", "%d of %d that the models "
		    "need are set", conf->keys_found, conf->keys_needed);
	} else {
		report_add(r, LEVEL_FAIL, "keys", "without %s churns-runner "
		    "does not start", n == 1 ? "this one" : "these");
		report_faults(r, missing.buf);
		r->misconfigured = true;
	}
	strbuf_release(&missing);
}

/* The file that keys usually stand in. */
static void
check_env_file(struct report *r, const struct ctl *c)
{
	const char *named = c->conf.env_file;
	struct stat st;
	char *path;

	if (named == NULL)
		named = env_get(NULL, "CHURNS_ENV_FILE");
	path = named != NULL ? xstrdup(named) : xasprintf("%s/%s",
	    c->service.conf->dir, ENV_FILE_NAME);
	if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
		if ((st.st_mode & S_IROTH) != 0)
			report_add(r, LEVEL_WARN, "env file", "%s can be read "
			    "by every user; it should have mode 0600 when it "
			    "holds keys", path);
		else
			report_add(r, LEVEL_OK, "env file", "%s", path);
	}
	free(path);
}

/* --- models --------------------------------------------------------------- */

/* What a provider is asked for, "image_eval, logo_eval"; how many. */
static int
list_purposes(const struct conf *conf, const struct provider *p,
    struct strbuf *out)
{
	int i, n = 0;

	for (i = 0; i < PURPOSE__COUNT; i++) {
		if (conf->purposes[i].provider != p &&
		    conf->purposes[i].fallback_provider != p)
			continue;
		strbuf_addf(out, "%s%s", n > 0 ? ", " : "",
		    purpose_name((enum purpose_id)i));
		n++;
	}
	return n;
}

static bool
is_loopback(const char *host)
{
	static const char *const names[] = { "localhost", "127.", "[::1]" };
	size_t i;

	for (i = 0; i < ARRAY_LEN(names); i++)
		if (strncasecmp(host, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

/* A key sent in the clear to another machine. */
static bool
is_unprotected(const struct provider *p)
{
	return p->key_env != NULL &&
	    strncmp(p->base_url, "http://", strlen("http://")) == 0 &&
	    !is_loopback(p->base_url + strlen("http://"));
}

static void
check_provider(struct report *r, const struct conf *conf,
    const struct provider *p)
{
	struct strbuf what = STRBUF_INIT(MAX_MESSAGE_BYTES);
	struct strbuf uses = STRBUF_INIT(MAX_MESSAGE_BYTES);

	strbuf_addf(&what, "provider %s", p->name);
	if (list_purposes(conf, p, &uses) == 0)
		goto out;
	if (p->simulated)
		report_add(r, LEVEL_WARN, what.buf, "%s is simulated: what it "
		    "answers is made up, for %s", p->base_url, uses.buf);
	else if (is_unprotected(p))
		report_add(r, LEVEL_WARN, what.buf, "%s is not https: its key "
		    "and everything else crosses the network in the clear",
		    p->base_url);
	else
		report_add(r, LEVEL_OK, what.buf, "%s, for %s", p->base_url,
		    uses.buf);
out:
	strbuf_release(&uses);
	strbuf_release(&what);
}

static void
check_models(struct report *r, const struct conf *conf)
{
	struct strbuf off = STRBUF_INIT(MAX_MESSAGE_BYTES);
	int i;

	for (i = 0; i < conf->n_providers; i++)
		check_provider(r, conf, &conf->providers[i]);
	for (i = 0; i < PURPOSE__COUNT; i++)
		if (conf->purposes[i].provider == NULL)
			strbuf_addf(&off, "%s%s", off.len > 0 ? ", " : "",
			    purpose_name((enum purpose_id)i));
	if (off.len > 0)
		report_add(r, LEVEL_WARN, "purposes", "no model is configured "
		    "for %s", off.buf);
	strbuf_release(&off);
}

/* --- the whole ------------------------------------------------------------ */

/* 78: mend the configuration; 1: mend the machine; 0: nothing in the way. */
static int
exit_status(const struct report *r)
{
	if (r->misconfigured)
		return EXIT_CONFIG;
	return r->count[LEVEL_FAIL] > 0 ? CTL_FAILED : 0;
}

int
cmd_doctor(struct ctl *c)
{
	const struct conf *conf;
	struct report r;
	int status;

	report_init(&r);
	check_configuration(&r, c);
	conf = c->service.conf;
	if (conf != NULL) {
		check_env_file(&r, c);
		check_keys(&r, conf);
		check_models(&r, conf);
		doctor_site(&r, c);
	} else {
		report_add(&r, LEVEL_WARN, "everything else",
		    "is looked at once the configuration has no faults");
	}
	report_print(c, &r, "Nothing stops the programs");
	status = exit_status(&r);
	report_release(&r);
	return status;
}
