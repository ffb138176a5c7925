/*
 * The purposes of models.yml: which model of which provider does which work.
 *
 * Environment variables can replace the provider, the model or both.  The
 * first implementation's variables often carry a model id without its vendor,
 * or a provider without a new id; since every provider says how it names
 * models, such an id is mended with the list of models.  What is resolved here
 * is all there is: calls, prices and what is shown to people read the same
 * struct purpose.
 *
 * A model that is listed only under its bare name serves for vendor/name too,
 * under a copy of its entry, so that the wire has the id that was asked for.
 */
#include "internal.h"

#include "xalloc.h"

#define MAX_TOKEN_LIMIT 1000000
#define MAX_TIMEOUT_S 3600
#define MAX_TEMPERATURE 2.0
#define UNSENT (-1.0)

static const char *const names[PURPOSE__COUNT + 1] = {
	[PURPOSE_IMAGE_EVAL] = "image_eval",
	[PURPOSE_LOGO_EVAL] = "logo_eval",
	[PURPOSE_STRATEGY_GOALS] = "strategy_goals",
	[PURPOSE_STYLE_GUIDE] = "style_guide",
	[PURPOSE_CREATIVE_EXPERT] = "creative_expert",
	[PURPOSE_STYLE_ADAPTATION] = "style_adaptation",
	[PURPOSE_IMAGE_GENERATION] = "image_generation",
	[PURPOSE_IMAGE_ASSESSMENT] = "image_assessment",
	[PURPOSE_CAPTION] = "caption",
	[PURPOSE__COUNT] = NULL
};

/* The variables keep the names that the first implementation gave them. */
static const struct override {
	const char *provider, *model;	/* variables; NULL: there is none */
} overrides[PURPOSE__COUNT] = {
	[PURPOSE_IMAGE_EVAL] =
	    { "IMG_EVAL_MODEL_PROVIDER", "IMG_EVAL_MODEL_ID" },
	[PURPOSE_LOGO_EVAL] =
	    { "IMG_EVAL_MODEL_PROVIDER", "IMG_EVAL_MODEL_ID" },
	[PURPOSE_STRATEGY_GOALS] =
	    { "STRATEGY_MODEL_PROVIDER", "STRATEGY_MODEL_ID" },
	[PURPOSE_STYLE_GUIDE] =
	    { "STYLE_GUIDER_MODEL_PROVIDER", "STYLE_GUIDER_MODEL_ID" },
	[PURPOSE_CREATIVE_EXPERT] =
	    { "CREATIVE_EXPERT_MODEL_PROVIDER", "CREATIVE_EXPERT_MODEL_ID" },
	[PURPOSE_STYLE_ADAPTATION] =
	    { "STYLE_ADAPTATION_MODEL_PROVIDER", "STYLE_ADAPTATION_MODEL_ID" },
	[PURPOSE_IMAGE_GENERATION] = { "IMAGE_GENERATION_PROVIDER", NULL },
	[PURPOSE_IMAGE_ASSESSMENT] =
	    { "IMAGE_ASSESSMENT_MODEL_PROVIDER", "IMAGE_ASSESSMENT_MODEL_ID" },
	[PURPOSE_CAPTION] =
	    { "CAPTION_MODEL_PROVIDER", "CAPTION_MODEL_ID" },
};

static const char *const purpose_keys[] = {
	"provider", "model", "models", "fallback", "temperature",
	"temperature_of", "max_tokens", "reasoning_max_tokens", "timeout_s", NULL
};
static const char *const fallback_keys[] = { "provider", "model", NULL };

/* A provider and a model as asked for, and who asked. */
struct choice {
	const struct provider *provider;
	const char *provider_variable;	/* NULL: the file */
	const char *id;
	const char *id_variable;	/* NULL: the file */
	int line;
};

const char *
purpose_name(enum purpose_id id)
{
	return names[id];
}

bool
purpose_parse(const char *name, enum purpose_id *out)
{
	int i;

	for (i = 0; i < PURPOSE__COUNT; i++) {
		if (strcmp(names[i], name) == 0) {
			*out = (enum purpose_id)i;
			return true;
		}
	}
	return false;
}

/* --- model ids --------------------------------------------------------- */

/* The first listed model whose id ends in "/bare". */
static const char *
with_vendor(const struct conf *conf, const char *bare)
{
	const char *slash;
	int i;

	for (i = 0; i < conf->n_models; i++) {
		slash = strrchr(conf->models[i].id, '/');
		if (slash != NULL && strcmp(slash + 1, bare) == 0)
			return conf->models[i].id;
	}
	return NULL;
}

/* id as this provider spells it. */
static const char *
mend_id(struct loading *ld, const struct provider *p, const char *id)
{
	const char *slash = strrchr(id, '/'), *mended = NULL;

	switch (ld->full->provider_sides[p - ld->conf->providers].ids) {
	case IDS_AS_WRITTEN:
		break;
	case IDS_VENDOR:
		if (slash == NULL)
			mended = with_vendor(ld->conf, id);
		break;
	case IDS_BARE:
		if (slash != NULL && model_exact(ld->conf, slash + 1) != NULL)
			mended = slash + 1;
		break;
	}
	return mended != NULL ? mended : id;
}

const struct model_info *
model_at_provider(struct loading *ld, const struct provider *p,
    const char *asked)
{
	struct conf *conf = ld->conf;
	const char *id = mend_id(ld, p, asked);
	const struct model_info *m = conf_model(conf, id);

	if (m == NULL || strcmp(m->id, id) == 0)
		return m;
	if (conf->n_models == ld->full->models_room)
		return NULL;
	model_copy(&conf->models[conf->n_models], m, id);
	return &conf->models[conf->n_models++];
}

/* --- one choice -------------------------------------------------------- */

static void __attribute__((format(printf, 4, 5)))
fault_at(struct loading *ld, const char *variable, int line, const char *fmt,
    ...)
{
	char text[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (variable != NULL)
		fault_variable(ld, variable, "%s", text);
	else
		fault(ld, line, "%s", text);
}

static const struct provider *
find_provider(struct loading *ld, const char *variable, int line,
    const char *name)
{
	const struct provider *p = conf_provider(ld->conf, name);

	if (p == NULL)
		fault_at(ld, variable, line, "there is no provider '%s' in "
		    "%s", name, ld->conf->models_path);
	return p;
}

/* Can this model be used for this kind of work at this provider? */
static void
check_choice(struct loading *ld, const struct choice *c,
    const struct model_info *m, bool pictures)
{
	const char *variable = c->id_variable;
	const char *quality = ld->conf->settings.image_quality;
	/* A model without any is reported where it stands. */
	bool quality_known = m->n_image_prices == 0;
	int i;

	if (m->is_image != pictures) {
		fault_at(ld, variable, c->line, "model %s %s", m->id,
		    pictures ? "does not make pictures" :
		    "makes pictures; this work needs one that writes");
		return;
	}
	for (i = 0; i < m->n_aspects; i++) {
		if (c->provider->wire == WIRE_OPENAI &&
		    m->aspects[i].size == NULL) {
			fault_at(ld, variable, c->line, "provider %s is told "
			    "sizes, but model %s lists none for its aspects",
			    c->provider->name, m->id);
			return;
		}
	}
	for (i = 0; i < m->n_image_prices; i++) {
		if (*m->image_prices[i].quality == '\0' ||
		    strcmp(m->image_prices[i].quality, quality) == 0)
			quality_known = true;
	}
	if (pictures && !quality_known)
		fault_at(ld, variable, c->line, "model %s has no "
		    "output_tokens for quality %s (calls.image_quality)",
		    m->id, quality);
}

static const struct model_info *
resolve(struct loading *ld, const struct choice *c, bool pictures)
{
	const struct model_info *m;

	if (c->provider == NULL || c->id == NULL)
		return NULL;
	m = model_at_provider(ld, c->provider, c->id);
	if (m == NULL) {
		fault_at(ld, c->id_variable, c->line, "there is no model '%s' "
		    "in %s; add it there with its price", c->id,
		    ld->conf->models_path);
		return NULL;
	}
	check_choice(ld, c, m, pictures);
	return m;
}

/* --- one purpose ------------------------------------------------------- */

static void
choose_provider(struct loading *ld, const struct yaml_node *n,
    enum purpose_id id, struct choice *c)
{
	const char *name = read_text(ld, n, "provider", true);
	const char *variable = overrides[id].provider, *text;

	if (name != NULL)
		c->provider = find_provider(ld, NULL,
		    yaml_get(n, "provider")->line, name);
	text = variable != NULL ? env_get(ld->env, variable) : NULL;
	if (text != NULL) {
		c->provider_variable = variable;
		c->provider = find_provider(ld, variable, 0, text);
	}
}

/* The model that "models" gives for the chosen provider. */
static void
choose_by_provider(struct loading *ld, const struct yaml_node *models,
    struct choice *c)
{
	const struct yaml_node *n;
	const struct provider *p;
	bool listed = false;

	if (!is_kind(ld, models, YAML_MAP, "models"))
		return;
	for (n = models->first; n != NULL; n = n->next) {
		p = find_provider(ld, NULL, n->line, n->key);
		listed = listed || (p != NULL && p == c->provider);
		if (!is_kind(ld, n, YAML_SCALAR, n->key))
			continue;
		if (conf_model(ld->conf, n->text) == NULL) {
			fault(ld, n->line, "there is no model '%s'; add it "
			    "below with its price", n->text);
		} else if (p != NULL && p == c->provider) {
			c->id = n->text;
			c->line = n->line;
		}
	}
	if (!listed && c->provider != NULL)
		fault_at(ld, c->provider_variable, models->line, "models has "
		    "no model for provider %s", c->provider->name);
}

static void
choose_model(struct loading *ld, const struct yaml_node *n,
    enum purpose_id id, struct choice *c)
{
	const struct yaml_node *models = yaml_get(n, "models");
	const char *variable = overrides[id].model, *text;

	if (models != NULL && yaml_get(n, "model") != NULL)
		fault(ld, models->line, "give either model or models");
	else if (models != NULL)
		choose_by_provider(ld, models, c);
	else
		c->id = read_text(ld, n, "model", true);
	if (models == NULL && c->id != NULL)
		c->line = yaml_get(n, "model")->line;
	text = variable != NULL ? env_get(ld->env, variable) : NULL;
	if (text != NULL) {
		c->id_variable = variable;
		c->id = text;
	}
}

static void
read_fallback(struct loading *ld, const struct yaml_node *n, bool pictures,
    struct purpose *p)
{
	const struct yaml_node *fb = yaml_get(n, "fallback");
	struct choice c = { NULL, NULL, NULL, NULL, 0 };
	const char *provider;

	if (fb == NULL || (fb->kind == YAML_SCALAR && (yaml_is_null(fb) ||
	    strcmp(fb->text, "none") == 0)))
		return;
	if (!is_kind(ld, fb, YAML_MAP, "fallback"))
		return;
	check_keys(ld, fb, fallback_keys);
	c.line = fb->line;
	provider = read_text(ld, fb, "provider", true);
	if (provider != NULL)
		c.provider = find_provider(ld, NULL, fb->line, provider);
	c.id = read_text(ld, fb, "model", true);
	p->fallback_model = resolve(ld, &c, pictures);
	if (p->fallback_model != NULL)
		p->fallback_provider = c.provider;
}

/* Does name mean this model, with its vendor or without? */
static bool
is_called(const struct model_info *m, const char *name)
{
	const char *slash = strrchr(m->id, '/');

	return strcmp(m->id, name) == 0 ||
	    (slash != NULL && strcmp(slash + 1, name) == 0);
}

double
purpose_temperature(const struct purpose *p, const struct model_info *m)
{
	int i;

	for (i = 0; i < p->n_own; i++)
		if (is_called(m, p->own[i].model))
			return p->own[i].value;
	return p->temperature;
}

/* A number in its range, or "none"; what is missing leaves *out alone. */
static void
read_temperature(struct loading *ld, const struct yaml_node *n, double *out)
{
	if (n == NULL)
		return;
	if (n->kind == YAML_SCALAR && strcmp(n->text, "none") == 0)
		*out = UNSENT;
	else if (!yaml_to_num(n, out) || !(*out >= 0) ||
	    *out > MAX_TEMPERATURE)
		fault(ld, n->line, "%s must be a number from 0 to 2, or none",
		    n->key);
}

static void
read_own_temperatures(struct loading *ld, const struct yaml_node *n,
    struct purpose *p)
{
	const struct yaml_node *list = yaml_get(n, "temperature_of"), *item;
	struct own_temperature *own;
	int i;

	if (list == NULL || !is_kind(ld, list, YAML_MAP, "temperature_of"))
		return;
	for (item = list->first; item != NULL; item = item->next) {
		for (i = 0; i < ld->conf->n_models; i++)
			if (is_called(&ld->conf->models[i], item->key))
				break;
		if (i == ld->conf->n_models) {
			fault(ld, item->line, "there is no model '%s' below",
			    item->key);
			continue;
		}
		if (p->n_own == MAX_OWN_TEMPERATURES) {
			fault(ld, item->line, "temperature_of has more than "
			    "%d models", MAX_OWN_TEMPERATURES);
			return;
		}
		own = &p->own[p->n_own++];
		own->model = xstrdup(item->key);
		own->value = UNSENT;
		read_temperature(ld, item, &own->value);
	}
}

static void
read_sampling(struct loading *ld, const struct yaml_node *n,
    struct purpose *p)
{
	int timeout_s = 0;

	read_temperature(ld, yaml_get(n, "temperature"), &p->temperature);
	read_own_temperatures(ld, n, p);
	read_int(ld, n, "max_tokens", 0, MAX_TOKEN_LIMIT, &p->max_tokens);
	read_int(ld, n, "reasoning_max_tokens", 0, MAX_TOKEN_LIMIT,
	    &p->reasoning_max_tokens);
	read_int(ld, n, "timeout_s", 0, MAX_TIMEOUT_S, &timeout_s);
	p->timeout_ms = timeout_s * 1000;
}

static void
read_purpose(struct loading *ld, const struct yaml_node *n,
    enum purpose_id id)
{
	struct purpose *p = &ld->conf->purposes[id];
	struct purpose_side *side = &ld->full->purpose_sides[id];
	struct choice c = { NULL, NULL, NULL, NULL, n->line };
	bool pictures = id == PURPOSE_IMAGE_GENERATION;

	p->line = n->line;
	if (n->kind == YAML_SCALAR && strcmp(n->text, "none") == 0) {
		side->off = true;
		return;
	}
	if (!is_kind(ld, n, YAML_MAP, n->key))
		return;
	check_keys(ld, n, purpose_keys);
	choose_provider(ld, n, id, &c);
	choose_model(ld, n, id, &c);
	side->provider_variable = c.provider_variable;
	side->model_variable = c.id_variable;
	p->model = resolve(ld, &c, pictures);
	if (p->model != NULL)
		p->provider = c.provider;
	read_fallback(ld, n, pictures, p);
	/* The file's fall-back may be the very model a variable chose. */
	if (p->fallback_model == p->model &&
	    p->fallback_provider == p->provider) {
		p->fallback_model = NULL;
		p->fallback_provider = NULL;
	}
	read_sampling(ld, n, p);
}

/* --- keys -------------------------------------------------------------- */

static bool
lacks_key(const struct provider *p)
{
	return p != NULL && p->key_env != NULL && p->key == NULL &&
	    !p->simulated;
}

static bool
uses(const struct purpose *purpose, const struct provider *p)
{
	return purpose->provider == p || purpose->fallback_provider == p;
}

static bool
is_used(const struct conf *conf, const struct provider *p)
{
	int i;

	for (i = 0; i < PURPOSE__COUNT; i++) {
		if (uses(&conf->purposes[i], p))
			return true;
	}
	return false;
}

static void
count_keys(struct loading *ld)
{
	struct conf *conf = ld->conf;
	int i;

	for (i = 0; i < conf->n_providers; i++) {
		if (conf->providers[i].key_env == NULL ||
		    conf->providers[i].simulated ||
		    !is_used(conf, &conf->providers[i]))
			continue;
		conf->keys_needed++;
		if (conf->providers[i].key != NULL)
			conf->keys_found++;
	}
	for (i = 0; i < PURPOSE__COUNT && ld->full->secrets; i++)
		conf->purposes[i].missing_key =
		    lacks_key(conf->purposes[i].provider);
}

bool
conf_any_simulated(const struct conf *conf)
{
	int i;

	for (i = 0; i < conf->n_providers; i++) {
		if (conf->providers[i].simulated &&
		    is_used(conf, &conf->providers[i]))
			return true;
	}
	return false;
}

/* "image_eval, caption", those that use p, and the line of the first. */
static int
add_users(const struct conf *conf, const struct provider *p,
    struct strbuf *out, int *first_line)
{
	int i, n = 0;

	for (i = 0; i < PURPOSE__COUNT; i++) {
		if (!uses(&conf->purposes[i], p))
			continue;
		if (n == 0)
			*first_line = conf->purposes[i].line;
		strbuf_addf(out, "%s%s", n > 0 ? ", " : "", names[i]);
		n++;
	}
	return n;
}

int
conf_missing_keys(const struct conf *conf, struct strbuf *out)
{
	const struct conf_full *full = (const struct conf_full *)conf;
	const struct provider *p;
	int i, users, line = 0, missing = 0;

	for (i = 0; i < conf->n_providers && full->secrets; i++) {
		p = &conf->providers[i];
		if (!lacks_key(p) || !is_used(conf, p))
			continue;
		missing++;
		strbuf_addf(out, "%s is not set; ", p->key_env);
		users = add_users(conf, p, out, &line);
		strbuf_addf(out, " %s it (models.yml:%d)\n",
		    users == 1 ? "needs" : "need", line);
	}
	return missing;
}

/* --- all purposes ------------------------------------------------------ */

void
purposes_load(struct loading *ld, const struct yaml_node *list)
{
	const struct yaml_node *n;
	int i;

	check_keys(ld, list, names);
	for (i = 0; i < PURPOSE__COUNT; i++) {
		ld->conf->purposes[i].temperature = UNSENT;
		n = yaml_get(list, names[i]);
		if (n != NULL)
			read_purpose(ld, n, (enum purpose_id)i);
		else
			fault(ld, list->line, "purpose %s is missing; to run "
			    "without it say %s: none", names[i], names[i]);
	}
	count_keys(ld);
}
