/*
 * The providers of models.yml: addresses with a key and limits.
 *
 * Two environment variables exist for each, made from its name: NAME_BASE_URL
 * and NAME_SIMULATED.  The file only names the variable of the key; the key
 * itself is read when conf_load() was told to keep secrets, and it never
 * stands in a fault or in anything that is printed.
 */
#include "internal.h"

#include "xalloc.h"

#define MAX_PARALLEL 1024
#define DEFAULT_PARALLEL 16
#define DEFAULT_CONNECTIONS 8
#define MAX_RATE 1000000

static const char *const provider_keys[] = {
	"wire", "base_url", "key", "model_ids", "max_parallel",
	"max_connections", "rate_per_minute", "http2", "simulated", NULL
};
static const struct word wire_words[] = {
	{ "openai", WIRE_OPENAI }, { "gemini", WIRE_GEMINI }, { NULL, 0 }
};
static const struct word id_words[] = {
	{ "vendor/name", IDS_VENDOR }, { "bare", IDS_BARE },
	{ "as_written", IDS_AS_WRITTEN }, { NULL, 0 }
};

void
provider_variable(const struct provider *p, const char *suffix,
    char out[MAX_KEY * 2])
{
	char *c;

	snprintf(out, MAX_KEY * 2, "%.*s_%s", MAX_KEY, p->name, suffix);
	for (c = out; *c != '\0'; c++) {
		if (isalnum((unsigned char)*c))
			*c = (char)toupper((unsigned char)*c);
		else
			*c = '_';
	}
}

/* What is wrong with an address; NULL when nothing is. */
static const char *
url_complaint(const char *url)
{
	const char *host, *c;

	if (strncmp(url, "http://", 7) == 0)
		host = url + 7;
	else if (strncmp(url, "https://", 8) == 0)
		host = url + 8;
	else
		return "must begin with http:// or https://";
	if (*host == '\0' || *host == '/' || *host == ':')
		return "names no host";
	for (c = host; *c != '\0'; c++) {
		if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 127)
			return "has a blank or another character that no "
			    "address has";
		if (*c == '@')
			return "must not hold a user name or password";
		if (*c == '?' || *c == '#')
			return "must end with its path";
	}
	return NULL;
}

static void
set_url(struct provider *p, const char *url)
{
	size_t len = strlen(url);

	while (len > 0 && url[len - 1] == '/')
		len--;
	free(p->base_url);
	p->base_url = xstrndup(url, len);
}

static void
read_url(struct loading *ld, const struct yaml_node *n, struct provider *p)
{
	const char *url = read_text(ld, n, "base_url", true), *complaint;

	if (url == NULL)
		return;
	complaint = url_complaint(url);
	if (complaint != NULL)
		fault(ld, yaml_get(n, "base_url")->line, "base_url %s",
		    complaint);
	else
		set_url(p, url);
}

static bool
is_variable_name(const char *text)
{
	const char *c;

	for (c = text; *c != '\0'; c++) {
		if (!isupper((unsigned char)*c) && *c != '_' &&
		    !(isdigit((unsigned char)*c) && c > text))
			return false;
	}
	return *text != '\0';
}

/*
 * The text is never repeated in a fault: someone may have pasted the key
 * itself.  Names that env.c would not treat as secret are refused, or the key
 * would enter processes that must not have it.
 */
static void
read_key_name(struct loading *ld, const struct yaml_node *n,
    struct provider *p)
{
	const char *name = read_text(ld, n, "key", true);

	if (name == NULL || strcmp(name, "none") == 0)
		return;
	if (!is_variable_name(name) || !env_is_secret_name(name)) {
		fault(ld, yaml_get(n, "key")->line, "key must be the name of "
		    "an environment variable that ends in _KEY, _TOKEN, "
		    "_SECRET or _PASSWORD, or none; never the key itself");
		return;
	}
	p->key_env = xstrdup(name);
}

static void
read_key(struct loading *ld, struct provider *p)
{
	const char *key, *c;

	if (!ld->full->secrets || p->key_env == NULL)
		return;
	key = env_get(ld->env, p->key_env);
	if (key == NULL)
		return;
	for (c = key; *c != '\0'; c++) {
		if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 127) {
			fault_variable(ld, p->key_env, "the key has a blank "
			    "or another character that cannot be sent");
			return;
		}
	}
	p->key = xstrdup(key);
}

static void
override_provider(struct loading *ld, struct provider *p,
    struct provider_side *side)
{
	char name[MAX_KEY * 2];
	const char *text, *complaint;

	provider_variable(p, "BASE_URL", name);
	text = env_get(ld->env, name);
	if (text != NULL) {
		complaint = url_complaint(text);
		if (complaint != NULL)
			fault_variable(ld, name, "%s", complaint);
		else
			set_url(p, text);
		side->url_overridden = true;
	}
	provider_variable(p, "SIMULATED", name);
	text = env_get(ld->env, name);
	if (text != NULL) {
		if (!parse_bool(text, &p->simulated))
			fault_variable(ld, name, "must be yes or no, not '%s'",
			    text);
		side->mark_overridden = true;
	}
}

static bool
provider_name_is_valid(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= MAX_KEY / 2 &&
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}

/* What the entry says, then what the environment says. */
static void
read_provider_keys(struct loading *ld, const struct yaml_node *n,
    struct provider *p, struct provider_side *side)
{
	/* A wrong wire should not cause faults about sizes of pictures. */
	int wire = WIRE_GEMINI, ids = IDS_AS_WRITTEN;

	check_keys(ld, n, provider_keys);
	if (read_text(ld, n, "wire", true) != NULL)
		read_word(ld, n, "wire", wire_words, &wire);
	p->wire = (enum wire)wire;
	read_word(ld, n, "model_ids", id_words, &ids);
	side->ids = (enum id_style)ids;
	read_url(ld, n, p);
	read_key_name(ld, n, p);
	read_int(ld, n, "max_parallel", 1, MAX_PARALLEL, &p->max_parallel);
	read_int(ld, n, "max_connections", 1, MAX_PARALLEL,
	    &p->max_connections);
	read_int(ld, n, "rate_per_minute", 0, MAX_RATE, &p->rate_per_minute);
	read_bool(ld, n, "http2", &p->http2);
	read_bool(ld, n, "simulated", &p->simulated);
	override_provider(ld, p, side);
	read_key(ld, p);
}

static void
read_provider(struct loading *ld, const struct yaml_node *n)
{
	struct conf *conf = ld->conf;
	struct provider *p = &conf->providers[conf->n_providers];
	struct provider_side *side =
	    &ld->full->provider_sides[conf->n_providers];
	char *name = lower_copy(n->key);

	if (!provider_name_is_valid(name)) {
		fault(ld, n->line, "a provider's name is letters, digits, _ "
		    "and - only, not '%s'", n->key);
		goto out;
	}
	if (conf_provider(conf, name) != NULL) {
		fault(ld, n->line, "provider %s is there already", name);
		goto out;
	}
	p->name = name;
	name = NULL;
	p->line = n->line;
	p->max_parallel = DEFAULT_PARALLEL;
	p->max_connections = DEFAULT_CONNECTIONS;
	conf->n_providers++;
	if (is_kind(ld, n, YAML_MAP, p->name))
		read_provider_keys(ld, n, p, side);
out:
	free(name);
}

void
providers_load(struct loading *ld, const struct yaml_node *list)
{
	const struct yaml_node *n;

	ld->conf->providers = xcalloc(yaml_count(list),
	    sizeof(*ld->conf->providers));
	ld->full->provider_sides = xcalloc(yaml_count(list),
	    sizeof(*ld->full->provider_sides));
	for (n = list->first; n != NULL; n = n->next)
		read_provider(ld, n);
}

void
providers_release(struct conf *conf)
{
	struct provider *p;
	int i;

	for (i = 0; i < conf->n_providers; i++) {
		p = &conf->providers[i];
		if (p->key != NULL)
			explicit_bzero(p->key, strlen(p->key));
		free(p->key);
		free(p->key_env);
		free(p->base_url);
		free(p->name);
	}
	free(conf->providers);
}
