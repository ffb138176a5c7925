/*
 * models.yml, caption_models: what people may choose from when they ask for a
 * caption.
 *
 * Clients keep an id and send it back later, so it is a name of its own that
 * can outlive the model behind it; unless the entry says otherwise it is the
 * model's. Whom it stands for is settled at the start like that of a purpose.
 */
#include "internal.h"

#include "xalloc.h"

#define MAX_ID_BYTES 200
#define MAX_NAME_BYTES 60
#define MAX_TEXT_BYTES 300

static const char *const map_keys[] = { "default", "offered", NULL };
static const char *const entry_keys[] = {
	"name", "description", "strengths", "best_for", "latency",
	"creativity", "provider", "model", NULL
};
static const struct word latency_words[] = {
	{ "Low", true }, { "Higher", false }, { NULL, 0 }
};

/* A text that is needed; NULL after a report. */
static char *
read_shown(struct loading *ld, const struct yaml_node *map, const char *key,
    size_t max)
{
	const char *text = read_text(ld, map, key, true);

	if (text == NULL)
		return NULL;
	if (!name_is_clean(text, max)) {
		fault(ld, yaml_get(map, key)->line, "%s is longer than %zu "
		    "bytes or has control characters", key, max);
		return NULL;
	}
	return xstrdup(text);
}

/* Who is asked, and for what. Without a purpose nobody would be. */
static void
read_choice(struct loading *ld, const struct yaml_node *n,
    struct caption_model *m)
{
	const char *provider = read_text(ld, n, "provider", false);
	const char *model = read_text(ld, n, "model", false);

	m->provider = ld->conf->purposes[PURPOSE_CAPTION].provider;
	if (provider != NULL) {
		m->provider = conf_provider(ld->conf, provider);
		if (m->provider == NULL)
			fault(ld, yaml_get(n, "provider")->line,
			    "there is no provider '%s'", provider);
	}
	if (m->provider == NULL)
		return;
	if (model == NULL)
		model = m->id;
	m->model = model_at_provider(ld, m->provider, model);
	if (m->model == NULL)
		fault(ld, m->line, "there is no model '%s'; add it below with "
		    "its price, or name another one as model", model);
	else if (m->model->is_image)
		fault(ld, m->line, "model %s makes pictures; captions need "
		    "one that writes", m->model->id);
}

static void
read_entry(struct loading *ld, const struct yaml_node *n)
{
	struct conf *conf = ld->conf;
	struct caption_model *m;
	int fast = false;

	if (!is_kind(ld, n, YAML_MAP, n->key))
		return;
	if (!name_is_clean(n->key, MAX_ID_BYTES)) {
		fault(ld, n->line, "the id is empty or longer than %d bytes",
		    MAX_ID_BYTES);
		return;
	}
	check_keys(ld, n, entry_keys);
	m = &conf->caption_models[conf->n_caption_models++];
	m->id = xstrdup(n->key);
	m->line = n->line;
	m->name = read_shown(ld, n, "name", MAX_NAME_BYTES);
	m->description = read_shown(ld, n, "description", MAX_TEXT_BYTES);
	m->best_for = read_shown(ld, n, "best_for", MAX_TEXT_BYTES);
	m->creativity = read_shown(ld, n, "creativity", MAX_NAME_BYTES);
	read_words(ld, n, "strengths", MAX_NAME_BYTES, &m->strengths);
	if (yaml_get(n, "latency") == NULL)
		fault(ld, n->line, "latency is missing");
	else if (read_word(ld, n, "latency", latency_words, &fast))
		m->fast = fast != 0;
	read_choice(ld, n, m);
}

/* That of the purpose, or the first, unless the file says. */
static void
choose_default(struct loading *ld, const struct yaml_node *map)
{
	const char *id = read_text(ld, map, "default", false);
	struct conf *conf = ld->conf;
	int i;

	for (i = 0; i < conf->n_caption_models; i++) {
		const struct caption_model *m = &conf->caption_models[i];

		if (id != NULL ? strcmp(m->id, id) == 0 : m->model != NULL &&
		    m->model == conf->purposes[PURPOSE_CAPTION].model)
			break;
	}
	if (i < conf->n_caption_models)
		conf->default_caption_model = i;
	else if (id != NULL)
		fault(ld, yaml_get(map, "default")->line, "default is '%s', "
		    "which is not among those offered", id);
}

void
captions_load(struct loading *ld, const struct yaml_node *map)
{
	const struct yaml_node *offered = yaml_get(map, "offered"), *n;

	check_keys(ld, map, map_keys);
	if (offered == NULL || offered->first == NULL) {
		fault(ld, map->line, "offered is missing or empty");
		return;
	}
	if (!is_kind(ld, offered, YAML_MAP, "offered"))
		return;
	if (yaml_count(offered) > MAX_CAPTION_MODELS) {
		fault(ld, offered->line, "more than %d models are offered",
		    MAX_CAPTION_MODELS);
		return;
	}
	ld->conf->caption_models = xcalloc(MAX_CAPTION_MODELS,
	    sizeof(*ld->conf->caption_models));
	for (n = offered->first; n != NULL; n = n->next)
		read_entry(ld, n);
	choose_default(ld, map);
}

void
captions_release(struct conf *conf)
{
	int i;

	for (i = 0; i < conf->n_caption_models; i++) {
		struct caption_model *m = &conf->caption_models[i];

		free(m->id);
		free(m->name);
		free(m->description);
		free(m->best_for);
		free(m->creativity);
		words_release(&m->strengths);
	}
	free(conf->caption_models);
}

const struct caption_model *
conf_caption_model(const struct conf *conf, const char *id)
{
	int i;

	for (i = 0; id != NULL && i < conf->n_caption_models; i++)
		if (strcmp(conf->caption_models[i].id, id) == 0)
			return &conf->caption_models[i];
	return NULL;
}

/* --- for people ----------------------------------------------------------- */

void
captions_print(const struct conf *conf, struct strbuf *out)
{
	int i;

	if (conf->n_caption_models == 0)
		return;
	strbuf_addstr(out, "\n# what people may choose for captions\n"
	    "caption_models:\n  default: ");
	add_quoted(out, conf->caption_models[conf->default_caption_model].id);
	strbuf_addstr(out, "\n  offered:\n");
	for (i = 0; i < conf->n_caption_models; i++) {
		const struct caption_model *m = &conf->caption_models[i];

		strbuf_addf(out, "    \"%s\": ", m->id);
		if (m->model == NULL)
			strbuf_addstr(out, "{}  # nobody to ask\n");
		else
			strbuf_addf(out, "{ provider: %s, model: \"%s\" }"
			    "  # models.yml:%d\n", m->provider->name,
			    m->model->id, m->line);
	}
}
