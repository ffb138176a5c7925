/*
 * models.yml: the file and its models.  providers.c reads its providers,
 * purposes.c joins the two, captions.c reads what people may choose from.
 *
 * A model is what it can do and costs.  A model without a price is a fault
 * even when no purpose uses it, because a switch to it by environment variable
 * must not make costs disappear.
 *
 * Entries are allocated once with room for the ids that purposes may add
 * (purposes.c), so that pointers into the arrays stay valid.
 */
#include "internal.h"

#include "xalloc.h"

#define MAX_MODEL_ID 200
#define MAX_QUALITY 15		/* struct image_result keeps 16 bytes */
#define MAX_SIZE_PX 16384
#define MAX_TOKENS 1000000
#define MAX_PRICE_NANO (1000000LL * 1000000000LL)	/* a dollar a token */

static const char *const root_keys[] = {
	"prices_as_of", "providers", "purposes", "models", "caption_models",
	NULL
};
static const char *const model_keys[] = {
	"same_as", "kind", "price", "answers", "temperature", "reasoning",
	"limit_name", "image_tokens", "aspects", "aspect_parameter",
	"two_images", "output_tokens", NULL
};
static const char *const price_keys[] = {
	"input", "output", "cached_input", "image_input", NULL
};
static const char *const rule_keys[] = {
	"rule", "base", "tile", "factor", NULL
};
static const struct word kind_words[] = {
	{ "text", false }, { "image", true }, { NULL, 0 }
};
static const struct word answer_words[] = {
	{ "text", ANSWER_TEXT }, { "json_object", ANSWER_JSON_OBJECT },
	{ "json_schema", ANSWER_JSON_SCHEMA }, { NULL, 0 }
};
static const struct word limit_words[] = {
	{ "max_tokens", false }, { "max_completion_tokens", true },
	{ NULL, 0 }
};
static const struct word rule_words[] = {
	{ "area", TOKENS_AREA }, { "patch", TOKENS_PATCH },
	{ "tile", TOKENS_TILE }, { NULL, 0 }
};

/* --- models ------------------------------------------------------------ */

struct model_info *
model_exact(const struct conf *conf, const char *id)
{
	int i;

	for (i = 0; i < conf->n_models; i++) {
		if (strcmp(conf->models[i].id, id) == 0)
			return &conf->models[i];
	}
	return NULL;
}

static void
drop_aspects(struct model_info *m)
{
	int i;

	for (i = 0; i < m->n_aspects; i++) {
		free(m->aspects[i].aspect);
		free(m->aspects[i].size);
	}
	m->n_aspects = 0;
}

static void
drop_image_prices(struct model_info *m)
{
	int i;

	for (i = 0; i < m->n_image_prices; i++) {
		free(m->image_prices[i].quality);
		free(m->image_prices[i].size);
	}
	free(m->image_prices);
	m->image_prices = NULL;
	m->n_image_prices = 0;
}

static void
add_image_price(struct model_info *m, const char *quality, const char *size,
    int tokens)
{
	struct image_price *row;

	m->image_prices = xrealloc_array(m->image_prices,
	    (size_t)m->n_image_prices + 1, sizeof(*m->image_prices));
	row = &m->image_prices[m->n_image_prices++];
	row->quality = xstrdup(quality);
	row->size = xstrdup(size);
	row->tokens = tokens;
}

void
model_copy(struct model_info *to, const struct model_info *from,
    const char *id)
{
	int i;

	*to = *from;
	to->id = xstrdup(id);
	for (i = 0; i < from->n_aspects; i++) {
		to->aspects[i].aspect = xstrdup(from->aspects[i].aspect);
		to->aspects[i].size = xstrdup(from->aspects[i].size);
	}
	to->image_prices = NULL;
	to->n_image_prices = 0;
	for (i = 0; i < from->n_image_prices; i++)
		add_image_price(to, from->image_prices[i].quality,
		    from->image_prices[i].size, from->image_prices[i].tokens);
}

static void
read_amount(struct loading *ld, const struct yaml_node *price,
    const char *key, bool needed, int64_t *out)
{
	const char *text = read_text(ld, price, key, needed);
	int64_t value;

	if (text == NULL)
		return;
	if (!decimal_parse(text, NANO_DIGITS, &value) ||
	    value > MAX_PRICE_NANO)
		fault(ld, yaml_get(price, key)->line, "price %s must be US "
		    "dollars per million tokens, such as 1.25, not '%s'", key,
		    text);
	else
		*out = value;
}

static void
read_price(struct loading *ld, const struct yaml_node *n,
    struct model_info *m, bool inherited)
{
	const struct yaml_node *price = yaml_get(n, "price");

	if (price == NULL) {
		if (!inherited)
			fault(ld, n->line, "model %s has no price; if it "
			    "costs nothing, say price: free", m->id);
		return;
	}
	m->is_free = price->kind == YAML_SCALAR &&
	    strcmp(price->text, "free") == 0;
	m->price_input = m->price_output = 0;
	m->price_cached_input = m->price_image_input = 0;
	if (m->is_free)
		return;
	if (price->kind != YAML_MAP) {
		fault(ld, price->line, "price must be free or { input: "
		    "DOLLARS, output: DOLLARS } per million tokens");
		return;
	}
	check_keys(ld, price, price_keys);
	read_amount(ld, price, "input", true, &m->price_input);
	read_amount(ld, price, "output", true, &m->price_output);
	m->price_cached_input = m->price_image_input = m->price_input;
	read_amount(ld, price, "cached_input", false, &m->price_cached_input);
	read_amount(ld, price, "image_input", false, &m->price_image_input);
}

static void
read_token_rule(struct loading *ld, const struct yaml_node *n,
    struct model_info *m)
{
	const struct yaml_node *rule = yaml_get(n, "image_tokens");
	int kind = TOKENS_AREA;

	if (rule == NULL || !is_kind(ld, rule, YAML_MAP, "image_tokens"))
		return;
	check_keys(ld, rule, rule_keys);
	if (read_text(ld, rule, "rule", true) == NULL ||
	    !read_word(ld, rule, "rule", rule_words, &kind))
		return;
	m->token_rule = (enum token_rule)kind;
	switch (m->token_rule) {
	case TOKENS_AREA:
		break;
	case TOKENS_PATCH:
		if (!yaml_to_num(yaml_get(rule, "factor"), &m->patch_factor) ||
		    m->patch_factor <= 0 || m->patch_factor > 1000)
			fault(ld, rule->line, "rule patch needs a factor "
			    "above 0");
		break;
	case TOKENS_TILE:
		m->tile_base = m->tile_tokens = 0;
		read_int(ld, rule, "base", 0, MAX_TOKENS, &m->tile_base);
		read_int(ld, rule, "tile", 1, MAX_TOKENS, &m->tile_tokens);
		if (m->tile_tokens == 0)
			fault(ld, rule->line, "rule tile needs base and tile");
		break;
	}
}

/* "1024x1536" */
static bool
size_is_valid(const char *text)
{
	char width[8];
	const char *x = strchr(text, 'x');
	int64_t w, h;

	if (x == NULL || (size_t)(x - text) >= sizeof(width))
		return false;
	memcpy(width, text, (size_t)(x - text));
	width[x - text] = '\0';
	return parse_int(width, &w) && w > 0 && w <= MAX_SIZE_PX &&
	    parse_int(x + 1, &h) && h > 0 && h <= MAX_SIZE_PX;
}

/* A list of aspects, or a map of aspects to sizes. */
static void
read_aspects(struct loading *ld, const struct yaml_node *n,
    struct model_info *m)
{
	const struct yaml_node *list = yaml_get(n, "aspects"), *item;
	const char *aspect, *size;

	if (list == NULL)
		return;
	drop_aspects(m);
	for (item = list->first; item != NULL; item = item->next) {
		if (!is_kind(ld, item, YAML_SCALAR, "an aspect"))
			continue;
		aspect = list->kind == YAML_MAP ? item->key : item->text;
		size = list->kind == YAML_MAP ? item->text : NULL;
		if (!aspect_is_valid(aspect))
			fault(ld, item->line, "'%s' is not an aspect such as "
			    "\"3:2\"", aspect);
		else if (size != NULL && !size_is_valid(size))
			fault(ld, item->line, "'%s' is not a size such as "
			    "1536x1024", size);
		else if (m->n_aspects == MAX_ASPECTS)
			fault(ld, item->line, "more than %d aspects",
			    MAX_ASPECTS);
		else {
			m->aspects[m->n_aspects].aspect = xstrdup(aspect);
			m->aspects[m->n_aspects++].size = xstrdup(size);
		}
	}
}

static void
read_picture_tokens(struct loading *ld, const struct yaml_node *n,
    struct model_info *m, const char *quality, const char *size)
{
	int64_t tokens;

	if (!is_kind(ld, n, YAML_SCALAR, "output_tokens"))
		return;
	if (*size != '\0' && !size_is_valid(size))
		fault(ld, n->line, "'%s' is not a size such as 1536x1024",
		    size);
	else if (!yaml_to_int(n, &tokens) || tokens < 1 ||
	    tokens > MAX_TOKENS)
		fault(ld, n->line, "output_tokens must be a whole number "
		    "from 1 to %d, not '%s'", MAX_TOKENS, n->text);
	else
		add_image_price(m, quality, size, (int)tokens);
}

/* A number, or by quality a number, or by quality and size. */
static void
read_output_tokens(struct loading *ld, const struct yaml_node *n,
    struct model_info *m)
{
	const struct yaml_node *table = yaml_get(n, "output_tokens");
	const struct yaml_node *quality, *size;

	if (table == NULL)
		return;
	drop_image_prices(m);
	if (table->kind != YAML_MAP) {
		read_picture_tokens(ld, table, m, "", "");
		return;
	}
	for (quality = table->first; quality != NULL; quality = quality->next) {
		if (strlen(quality->key) > MAX_QUALITY)
			fault(ld, quality->line, "the name of a quality has "
			    "at most %d bytes", MAX_QUALITY);
		if (quality->kind != YAML_MAP) {
			read_picture_tokens(ld, quality, m, quality->key, "");
			continue;
		}
		for (size = quality->first; size != NULL; size = size->next)
			read_picture_tokens(ld, size, m, quality->key,
			    size->key);
	}
}

static void
check_picture_model(struct loading *ld, const struct yaml_node *n,
    const struct model_info *m)
{
	static const char *const keys[] = {
		"aspects", "aspect_parameter", "two_images", "output_tokens",
		NULL
	};
	const char *const *key;

	for (key = keys; !m->is_image && *key != NULL; key++) {
		if (yaml_get(n, *key) != NULL)
			fault(ld, yaml_get(n, *key)->line, "%s is for models "
			    "with kind: image", *key);
	}
	if (m->is_image && m->n_aspects == 0)
		fault(ld, n->line, "image model %s needs aspects", m->id);
	if (m->is_image && m->n_image_prices == 0)
		fault(ld, n->line, "image model %s needs output_tokens, or "
		    "its pictures would have no price", m->id);
}

/* The entry's values; *m holds the defaults, or those of same_as. */
static void
read_model_keys(struct loading *ld, const struct yaml_node *n,
    struct model_info *m, bool inherited)
{
	int image = m->is_image, limit = m->max_completion_tokens;
	int answers = (int)m->answer_mode;

	check_keys(ld, n, model_keys);
	read_word(ld, n, "kind", kind_words, &image);
	m->is_image = image != 0;
	read_word(ld, n, "answers", answer_words, &answers);
	m->answer_mode = (enum answer_mode)answers;
	read_word(ld, n, "limit_name", limit_words, &limit);
	m->max_completion_tokens = limit != 0;
	read_bool(ld, n, "temperature", &m->takes_temperature);
	read_bool(ld, n, "reasoning", &m->reasoning);
	read_bool(ld, n, "aspect_parameter", &m->takes_aspect);
	read_bool(ld, n, "two_images", &m->takes_two_images);
	read_price(ld, n, m, inherited);
	read_token_rule(ld, n, m);
	read_aspects(ld, n, m);
	read_output_tokens(ld, n, m);
	check_picture_model(ld, n, m);
}

static void
read_model(struct loading *ld, const struct yaml_node *n)
{
	struct conf *conf = ld->conf;
	struct model_info *m = &conf->models[conf->n_models], *base = NULL;
	const char *same_as;

	if (!name_is_clean(n->key, MAX_MODEL_ID)) {
		fault(ld, n->line, "'%s' cannot be the id of a model", n->key);
		return;
	}
	if (!is_kind(ld, n, YAML_MAP, n->key))
		return;
	same_as = read_text(ld, n, "same_as", false);
	if (same_as != NULL) {
		base = model_exact(conf, same_as);
		if (base == NULL)
			fault(ld, yaml_get(n, "same_as")->line, "same_as: "
			    "there is no model %s above", same_as);
	}
	if (base != NULL) {
		model_copy(m, base, n->key);
	} else {
		m->id = xstrdup(n->key);
		m->takes_temperature = true;
	}
	m->line = n->line;
	conf->n_models++;
	read_model_keys(ld, n, m, same_as != NULL);
}

/* --- the file ---------------------------------------------------------- */

static void
read_date(struct loading *ld, const struct yaml_node *root)
{
	const char *text = read_text(ld, root, "prices_as_of", true);
	size_t i;

	if (text == NULL)
		return;
	for (i = 0; i < 10; i++) {
		if (i == 4 || i == 7 ? text[i] != '-' :
		    !isdigit((unsigned char)text[i]))
			break;
	}
	if (i < 10 || text[10] != '\0')
		fault(ld, yaml_get(root, "prices_as_of")->line,
		    "prices_as_of must be YYYY-MM-DD, not '%s'", text);
	else
		ld->conf->prices_as_of = xstrdup(text);
}

/* A map that must be there and hold something; NULL after a report. */
static const struct yaml_node *
section(struct loading *ld, const struct yaml_node *root, const char *key)
{
	const struct yaml_node *n = yaml_get(root, key);

	if (n == NULL || n->first == NULL) {
		fault(ld, n != NULL ? n->line : 0, "%s is missing or empty",
		    key);
		return NULL;
	}
	return is_kind(ld, n, YAML_MAP, key) ? n : NULL;
}

void
models_load(struct loading *ld)
{
	const struct yaml_node *list, *n;
	struct yaml_doc *doc;

	ld->path = ld->conf->models_path;
	doc = open_file(ld, false);
	if (doc == NULL)
		return;
	check_keys(ld, doc->root, root_keys);
	read_date(ld, doc->root);
	list = section(ld, doc->root, "providers");
	if (list != NULL)
		providers_load(ld, list);
	list = section(ld, doc->root, "models");
	if (list != NULL) {
		/* Each purpose can add one id for itself, one as fall-back,
		 * and each choice for captions one. */
		ld->full->models_room = (int)yaml_count(list) +
		    2 * PURPOSE__COUNT + MAX_CAPTION_MODELS;
		ld->conf->models = xcalloc((size_t)ld->full->models_room,
		    sizeof(*ld->conf->models));
		for (n = list->first; n != NULL; n = n->next)
			read_model(ld, n);
	}
	list = section(ld, doc->root, "purposes");
	if (list != NULL && ld->conf->n_providers > 0 &&
	    ld->conf->n_models > 0)
		purposes_load(ld, list);
	n = yaml_get(doc->root, "caption_models");
	if (n != NULL && is_kind(ld, n, YAML_MAP, n->key))
		captions_load(ld, n);
	yaml_free(doc);
}

void
models_release(struct conf *conf)
{
	int i;

	for (i = 0; i < conf->n_models; i++) {
		drop_aspects(&conf->models[i]);
		drop_image_prices(&conf->models[i]);
		free(conf->models[i].id);
	}
	free(conf->models);
	for (i = 0; i < PURPOSE__COUNT; i++)
		while (conf->purposes[i].n_own > 0)
			free(conf->purposes[i].own[
			    --conf->purposes[i].n_own].model);
	free(conf->prices_as_of);
}
