/*
 * Loading everything under conf/, in one go, with all its faults.
 *
 *   directory, env file --> settings --> models, purposes --> order --> tables
 *
 * The env file comes first because variables override every other file.  No
 * step stops at a fault; only when all have spoken is the configuration kept
 * or thrown away.  What was loaded is read-only from then on, so threads share
 * it without locks.
 */
#include "conf.h"

#include <errno.h>
#include <limits.h>
#include <strings.h>
#include <sys/stat.h>

#include "internal.h"
#include "xalloc.h"

#define ENV_FILE_NAME "churns.env"

static char *
path_in(const char *dir, const char *name)
{
	return xasprintf("%s/%s", dir, name);
}

char *
conf_find_dir(const struct conf_options *opts, struct problems *problems)
{
	const char *dir = opts->dir;
	char *absolute;
	struct stat st;

	if (dir == NULL)
		dir = env_get(NULL, "CHURNS_CONF_DIR");
	if (dir == NULL)
		dir = CHURNS_CONFDIR;
	absolute = realpath(dir, NULL);
	if (absolute == NULL) {
		problems_add(problems, dir, 0, "the directory of the "
		    "configuration cannot be opened: %s", strerror(errno));
		return NULL;
	}
	if (stat(absolute, &st) != 0 || !S_ISDIR(st.st_mode)) {
		problems_add(problems, dir, 0, "is not a directory");
		free(absolute);
		return NULL;
	}
	return absolute;
}

/* Variables of the process and of the env file. NULL after a report. */
static struct env *
load_env(struct loading *ld, const struct conf_options *opts)
{
	const char *named = opts->env_file;
	struct env *env = NULL;
	struct err e = ERR_INIT;
	struct stat st;
	char *path;
	enum err_code rc;

	if (named == NULL)
		named = env_get(NULL, "CHURNS_ENV_FILE");
	path = named != NULL ? xstrdup(named) :
	    path_in(ld->conf->dir, ENV_FILE_NAME);
	/* One that was asked for must be there, or keys would be missed. */
	if (named == NULL && stat(path, &st) != 0 && errno == ENOENT) {
		free(path);
		path = NULL;
	}
	ld->full->env_path = path;
	rc = env_load(path, false, opts->secrets, &env, &e);
	if (rc != ERR_OK)
		problems_add(ld->problems, NULL, 0, "%s", e.msg);
	return env;
}

/*
 * With a broken env file the rest is still checked, against the variables of
 * the process alone: the operator sees everything at once.
 */
static struct env *
process_only(const struct conf_options *opts)
{
	struct env *env = NULL;
	struct err e = ERR_INIT;

	if (env_load(NULL, true, opts->secrets, &env, &e) != ERR_OK)
		return NULL;
	return env;
}

static struct conf_full *
new_full(char *dir, bool secrets)
{
	struct conf_full *full = xcalloc(1, sizeof(*full));

	full->pub.dir = dir;
	full->pub.stage_order_path = path_in(dir, "stage_order.yml");
	full->pub.models_path = path_in(dir, "models.yml");
	full->settings_path = path_in(dir, "churns.yml");
	full->secrets = secrets;
	return full;
}

enum err_code
conf_load(const struct conf_options *opts, struct problems *problems,
    struct conf **out)
{
	struct loading ld = { .problems = problems };
	struct env *env = NULL;
	int before = problems->count;
	enum err_code rc = ERR_CONFIG;
	char *dir;

	dir = conf_find_dir(opts, problems);
	if (dir == NULL)
		goto out;
	ld.full = new_full(dir, opts->secrets);
	ld.conf = &ld.full->pub;
	env = load_env(&ld, opts);
	if (env == NULL)
		env = process_only(opts);
	ld.env = env;
	settings_load(&ld);
	models_load(&ld);
	order_load(&ld);
	tables_load(&ld);
	if (problems->count > before)
		goto out;
	*out = ld.conf;
	ld.conf = NULL;
	rc = ERR_OK;
out:
	env_free(env);
	conf_free(ld.conf);
	return rc;
}

void
conf_free(struct conf *conf)
{
	struct conf_full *full = (struct conf_full *)conf;

	if (full == NULL)
		return;
	settings_release(&conf->settings);
	captions_release(conf);
	models_release(conf);
	providers_release(conf);
	order_release(conf);
	tables_release(conf);
	free(conf->dir);
	free(conf->stage_order_path);
	free(conf->models_path);
	free(full->settings_path);
	free(full->env_path);
	free(full->provider_sides);
	free(full);
}

/* --- look-ups ---------------------------------------------------------- */

const struct model_info *
conf_model(const struct conf *conf, const char *id)
{
	const struct model_info *m = model_exact(conf, id);
	const char *slash = strrchr(id, '/');

	if (m == NULL && slash != NULL)
		m = model_exact(conf, slash + 1);
	return m;
}

const struct provider *
conf_provider(const struct conf *conf, const char *name)
{
	int i;

	for (i = 0; name != NULL && i < conf->n_providers; i++) {
		if (strcasecmp(conf->providers[i].name, name) == 0)
			return &conf->providers[i];
	}
	return NULL;
}

/* --- for people -------------------------------------------------------- */

void
conf_print(const struct conf *conf, struct strbuf *out)
{
	const struct conf_full *full = (const struct conf_full *)conf;

	strbuf_addf(out, "# Churns %s, configuration as resolved\n"
	    "# directory: %s\n# env file: %s\n\n", CHURNS_VERSION, conf->dir,
	    full->env_path != NULL ? full->env_path : "none");
	settings_print(full, out);
	models_print(full, out);
	lists_print(full, out);
}

void
conf_summary(const struct conf *conf, struct strbuf *out)
{
	const struct conf_full *full = (const struct conf_full *)conf;
	struct conf_client clients[CONF_CLIENTS];
	bool first = true;
	int i;

	strbuf_addf(out, "clients configured %d of %d",
	    conf_clients(conf, clients), CONF_CLIENTS);
	if (full->secrets)
		strbuf_addf(out, ", keys %d of %d", conf->keys_found,
		    conf->keys_needed);
	else
		strbuf_addstr(out, ", keys not read");
	for (i = 0; i < conf->n_providers; i++) {
		if (!conf->providers[i].simulated)
			continue;
		strbuf_addf(out, "%s%s", first ? ", simulated " : " ",
		    conf->providers[i].name);
		first = false;
	}
	strbuf_addf(out, ", %d models, prices as of %s", conf->n_models,
	    conf->prices_as_of);
}
