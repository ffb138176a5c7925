/*
 * What "churnsctl config" prints of models.yml, stage_order.yml and the
 * tables.  The output is YAML again, so that it can be read by programs, and
 * holds no secret: of a key only the variable's name and whether it is set.
 */
#include "internal.h"

#define PRICE_DECIMALS 2

static const char *
wire_text(enum wire wire)
{
	switch (wire) {
	case WIRE_OPENAI:
		return "openai";
	case WIRE_GEMINI:
		return "gemini";
	}
	return "?";
}

static const char *
answer_text(enum answer_mode mode)
{
	switch (mode) {
	case ANSWER_TEXT:
		return "text";
	case ANSWER_JSON_OBJECT:
		return "json_object";
	case ANSWER_JSON_SCHEMA:
		return "json_schema";
	}
	return "?";
}

static const char *
yes_no(bool value)
{
	return value ? "yes" : "no";
}

static void
add_item(struct strbuf *out, const char *key, const char *text)
{
	strbuf_addf(out, "    %s: ", key);
	add_quoted(out, text);
	strbuf_addch(out, '\n');
}

/* --- models.yml -------------------------------------------------------- */

static void
add_provider(struct strbuf *out, const struct conf_full *full,
    const struct provider *p, const struct provider_side *side)
{
	char name[MAX_KEY * 2];

	strbuf_addf(out, "  %s:  # models.yml:%d\n    wire: %s\n"
	    "    base_url: ", p->name, p->line, wire_text(p->wire));
	add_quoted(out, p->base_url);
	provider_variable(p, "BASE_URL", name);
	strbuf_addf(out, "  # %s %s\n", side->url_overridden ? "from" :
	    "variable", name);
	if (p->key_env == NULL)
		strbuf_addstr(out, "    key: none\n");
	else
		strbuf_addf(out, "    key: %s  # %s\n", p->key_env,
		    !full->secrets ? "not read by this program" :
		    p->key != NULL ? "set" : "not set");
	strbuf_addf(out, "    max_parallel: %d\n    max_connections: %d\n"
	    "    rate_per_minute: %d\n    http2: %s\n    simulated: %s",
	    p->max_parallel, p->max_connections, p->rate_per_minute,
	    yes_no(p->http2), yes_no(p->simulated));
	provider_variable(p, "SIMULATED", name);
	strbuf_addf(out, "  # %s %s\n", side->mark_overridden ? "from" :
	    "variable", name);
}

static void
add_choice(struct strbuf *out, const char *key, const char *text,
    const char *variable)
{
	strbuf_addf(out, "    %s: ", key);
	add_quoted(out, text);
	if (variable != NULL)
		strbuf_addf(out, "  # from %s", variable);
	strbuf_addch(out, '\n');
}

static void
add_temperature(struct strbuf *out, double value)
{
	if (value < 0)
		strbuf_addstr(out, "none");
	else
		strbuf_addf(out, "%g", value);
}

static void
add_temperatures(struct strbuf *out, const struct purpose *p)
{
	int i;

	strbuf_addstr(out, "    temperature: ");
	add_temperature(out, p->temperature);
	strbuf_addch(out, '\n');
	for (i = 0; i < p->n_own; i++) {
		strbuf_addstr(out, i == 0 ? "    temperature_of: { " : ", ");
		add_quoted(out, p->own[i].model);
		strbuf_addstr(out, ": ");
		add_temperature(out, p->own[i].value);
	}
	if (p->n_own > 0)
		strbuf_addstr(out, " }\n");
}

static void
add_purpose(struct strbuf *out, const struct purpose *p,
    const struct purpose_side *side, const char *name)
{
	if (p->provider == NULL) {
		strbuf_addf(out, "  %s: none  # models.yml:%d\n", name,
		    p->line);
		return;
	}
	strbuf_addf(out, "  %s:  # models.yml:%d%s\n", name, p->line,
	    p->missing_key ? "; its key is missing" : "");
	add_choice(out, "provider", p->provider->name,
	    side->provider_variable);
	add_choice(out, "model", p->model->id, side->model_variable);
	if (p->fallback_model != NULL) {
		strbuf_addf(out, "    fallback: { provider: %s, model: ",
		    p->fallback_provider->name);
		add_quoted(out, p->fallback_model->id);
		strbuf_addstr(out, " }\n");
	}
	add_temperatures(out, p);
	strbuf_addf(out, "    max_tokens: %d\n    reasoning_max_tokens: %d\n"
	    "    timeout_s: %d\n", p->max_tokens, p->reasoning_max_tokens,
	    p->timeout_ms / 1000);
}

static void
add_amount(struct strbuf *out, const char *key, int64_t nano)
{
	strbuf_addf(out, "%s: ", key);
	decimal_add(out, nano, NANO_DIGITS, PRICE_DECIMALS);
}

static void
add_price(struct strbuf *out, const struct model_info *m)
{
	if (m->is_free) {
		strbuf_addstr(out, "    price: free\n");
		return;
	}
	add_amount(out, "    price: { input", m->price_input);
	add_amount(out, ", output", m->price_output);
	add_amount(out, ", cached_input", m->price_cached_input);
	add_amount(out, ", image_input", m->price_image_input);
	strbuf_addstr(out, " }\n");
}

static void
add_token_rule(struct strbuf *out, const struct model_info *m)
{
	switch (m->token_rule) {
	case TOKENS_AREA:
		strbuf_addstr(out, "    image_tokens: { rule: area }\n");
		break;
	case TOKENS_PATCH:
		strbuf_addf(out, "    image_tokens: { rule: patch, "
		    "factor: %g }\n", m->patch_factor);
		break;
	case TOKENS_TILE:
		strbuf_addf(out, "    image_tokens: { rule: tile, base: %d, "
		    "tile: %d }\n", m->tile_base, m->tile_tokens);
		break;
	}
}

static void
add_pictures(struct strbuf *out, const struct model_info *m)
{
	const struct image_price *row;
	int i;

	strbuf_addf(out, "    aspect_parameter: %s\n    two_images: %s\n"
	    "    aspects: {", yes_no(m->takes_aspect),
	    yes_no(m->takes_two_images));
	for (i = 0; i < m->n_aspects; i++)
		strbuf_addf(out, "%s \"%s\": %s", i > 0 ? "," : "",
		    m->aspects[i].aspect, m->aspects[i].size != NULL ?
		    m->aspects[i].size : "none");
	strbuf_addstr(out, " }\n    output_tokens:\n");
	for (i = 0; i < m->n_image_prices; i++) {
		row = &m->image_prices[i];
		strbuf_addf(out, "      - { quality: %s, size: %s, "
		    "tokens: %d }\n", *row->quality ? row->quality : "any",
		    *row->size ? row->size : "any", row->tokens);
	}
}

static void
add_model(struct strbuf *out, const struct model_info *m)
{
	strbuf_addstr(out, "  ");
	add_quoted(out, m->id);
	strbuf_addf(out, ":  # models.yml:%d\n    kind: %s\n", m->line,
	    m->is_image ? "image" : "text");
	add_price(out, m);
	if (m->is_image) {
		add_pictures(out, m);
		return;
	}
	strbuf_addf(out, "    answers: %s\n    temperature: %s\n"
	    "    reasoning: %s\n    limit_name: %s\n",
	    answer_text(m->answer_mode), yes_no(m->takes_temperature),
	    yes_no(m->reasoning), m->max_completion_tokens ?
	    "max_completion_tokens" : "max_tokens");
	add_token_rule(out, m);
}

void
models_print(const struct conf_full *full, struct strbuf *out)
{
	const struct conf *conf = &full->pub;
	int i;

	strbuf_addstr(out, "\n# the day the prices stand for\n"
	    "prices_as_of: ");
	add_quoted(out, conf->prices_as_of);
	strbuf_addstr(out, "\n\n# servers that answer\nproviders:\n");
	for (i = 0; i < conf->n_providers; i++)
		add_provider(out, full, &conf->providers[i],
		    &full->provider_sides[i]);
	strbuf_addstr(out, "\n# which model does which work\npurposes:\n");
	for (i = 0; i < PURPOSE__COUNT; i++)
		add_purpose(out, &conf->purposes[i], &full->purpose_sides[i],
		    purpose_name((enum purpose_id)i));
	strbuf_addstr(out, "\n# what models can do; prices in US dollars per "
	    "million tokens\nmodels:\n");
	for (i = 0; i < conf->n_models; i++)
		add_model(out, &conf->models[i]);
	captions_print(conf, out);
}

/* --- stage_order.yml and the tables ------------------------------------ */

static void
add_order(struct strbuf *out, const struct stage_order *order,
    const char *mode)
{
	int i;

	strbuf_addf(out, "  %s:\n", mode);
	for (i = 0; i < order->n; i++) {
		strbuf_addf(out, "    - %s  # ", order->names[i]);
		if (order->lines[i] > 0)
			strbuf_addf(out, "stage_order.yml:%d\n",
			    order->lines[i]);
		else
			strbuf_addstr(out, "built in\n");
	}
}

static void
add_platforms(struct strbuf *out, const struct conf *conf)
{
	const struct platform *p;
	int i;

	for (i = 0; i < conf->n_platforms; i++) {
		p = &conf->platforms[i];
		strbuf_addstr(out, "  - name: ");
		add_quoted(out, p->name);
		strbuf_addch(out, '\n');
		add_item(out, "short_name", p->short_name);
		strbuf_addf(out, "    width: %d\n    height: %d\n", p->width,
		    p->height);
		add_item(out, "aspect", p->aspect);
		add_item(out, "guidance", p->guidance_key);
	}
}

void
lists_print(const struct conf_full *full, struct strbuf *out)
{
	const struct conf *conf = &full->pub;
	const struct pool *p;
	int i;

	strbuf_addstr(out, "\n# stages of each mode\nstage_order:\n");
	for (i = 0; i < MODE__COUNT; i++)
		add_order(out, &conf->order[i], mode_name((enum mode)i));
	strbuf_addstr(out, "\n# platforms.yml\nplatforms:\n");
	add_platforms(out, conf);
	strbuf_addstr(out, "\ntask_types:\n");
	for (i = 0; i < conf->n_task_types; i++) {
		strbuf_addstr(out, "  - name: ");
		add_quoted(out, conf->task_types[i].name);
		strbuf_addch(out, '\n');
		add_item(out, "pool", conf->task_types[i].pool);
	}
	strbuf_addstr(out, "\n# entries of each list in pools.yml\npools:\n");
	for (i = 0; i < conf->n_pools; i++) {
		p = &conf->pools[i];
		strbuf_addf(out, "  %s: { audience: %d, niche: %d, "
		    "objective: %d, voice: %d }\n", p->name, p->audience.n,
		    p->niche.n, p->objective.n, p->voice.n);
	}
	strbuf_addstr(out, "\n# languages.yml\nlanguages:\n");
	for (i = 0; i < conf->n_languages; i++) {
		strbuf_addf(out, "  \"%s\": ", conf->languages[i].code);
		add_quoted(out, conf->languages[i].name);
		strbuf_addch(out, '\n');
	}
}
