/*
 * What calls share: configuration, schemas, store, the HTTP thread, the gates
 * and what models turned out not to take.
 *
 * Abilities are learned, never unlearned, as long as the process lives; a
 * restart asks again, which costs one rejected request and follows a provider
 * that has learned in the meantime.
 */
#include "model.h"

#include "call.h"
#include "xalloc.h"

enum err_code
model_new(const struct model_options *opts, struct model **out, struct err *e)
{
	struct http_options http = {
		.max_in_flight_bytes =
		    opts->conf->settings.max_body_in_flight_bytes,
		.ca_file = NULL,
	};
	struct model *m = xcalloc(1, sizeof(*m));
	enum err_code rc;
	int i;

	m->conf = opts->conf;
	m->schemas = opts->schemas;
	m->store = opts->store;
	pthread_mutex_init(&m->lock, NULL);
	m->gates = gates_new(m->conf);
	m->tallies = tallies_new();
	m->abilities = xcalloc((size_t)m->conf->n_models + 1,
	    sizeof(*m->abilities));
	for (i = 0; i < m->conf->n_models; i++)
		m->abilities[i].mode = ANSWER_JSON_SCHEMA;
	rc = http_new(&http, &m->http, e);
	if (rc != ERR_OK) {
		model_free(m);
		return rc;
	}
	*out = m;
	return ERR_OK;
}

void
model_free(struct model *m)
{
	if (m == NULL)
		return;
	http_free(m->http);
	gates_free(m->gates);
	tallies_free(m->tallies);
	pthread_mutex_destroy(&m->lock);
	free(m->abilities);
	free(m);
}

const struct conf *
model_conf(const struct model *m)
{
	return m->conf;
}

const struct schema_set *
model_schemas(const struct model *m)
{
	return m->schemas;
}

struct http *
model_http(struct model *m)
{
	return m->http;
}

void
model_show_only(struct model *m, model_preview *show, void *arg)
{
	m->preview = show;
	m->preview_arg = arg;
}

struct ability
model_ability(struct model *m, const struct model_info *info)
{
	struct ability a;

	pthread_mutex_lock(&m->lock);
	a = m->abilities[info - m->conf->models];
	pthread_mutex_unlock(&m->lock);
	return a;
}

void
model_learn(struct model *m, const struct model_info *info,
    struct ability ability)
{
	struct ability *a;

	pthread_mutex_lock(&m->lock);
	a = &m->abilities[info - m->conf->models];
	if (ability.mode < a->mode)
		a->mode = ability.mode;
	a->no_aspect |= ability.no_aspect;
	a->one_image |= ability.one_image;
	pthread_mutex_unlock(&m->lock);
}

bool
provider_usable(const struct provider *p)
{
	if (p == NULL)
		return false;
	if (p->key == NULL || p->key[0] == '\0')
		return p->key_env == NULL || p->simulated;
	/* It becomes a line of a header. */
	return strpbrk(p->key, "\r\n") == NULL;
}

enum err_code
not_configured(const struct conf *conf, enum purpose_id id, struct err *e)
{
	const struct purpose *p = &conf->purposes[id];

	if (p->provider == NULL || p->model == NULL)
		err_set(e, ERR_MODEL, "No model is configured for %s "
		    "(models.yml)", purpose_name(id));
	else
		err_set(e, ERR_MODEL, "%s is not set; %s needs it",
		    p->provider->key_env != NULL ? p->provider->key_env :
		    p->provider->name, purpose_name(id));
	if (e != NULL)
		e->detail = FAULT_NOT_CONFIGURED;
	return ERR_MODEL;
}

enum err_code
model_available(const struct model *m, enum purpose_id id, struct err *e)
{
	const struct purpose *p = &m->conf->purposes[id];

	if (p->model != NULL && (provider_usable(p->provider) ||
	    (p->fallback_model != NULL &&
	    provider_usable(p->fallback_provider))))
		return ERR_OK;
	return not_configured(m->conf, id, e);
}

int
model_get_stats(struct model *m, struct provider_stats *out, int max)
{
	return gates_stats(m->gates, out, max);
}

int
model_get_tallies(struct model *m, struct model_tally *out, int max)
{
	return tallies_get(m->tallies, out, max);
}
