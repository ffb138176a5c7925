/* Providers, models, purposes, keys, and what is printed of them. */
#include "conf_unit.h"

#include "yaml.h"

/* --- models and purposes ----------------------------------------------- */

static const struct {
	const char *id;
	int64_t input, output, cached;	/* nano-dollars per million tokens */
} prices[] = {			/* generation.md 13.3 */
	{ "openai/o4-mini", 1100000000, 4400000000, 550000000 },
	{ "openai/o4-mini-high", 1100000000, 4400000000, 550000000 },
	{ "o4-mini", 1100000000, 4400000000, 550000000 },
	{ "openai/gpt-4.1-mini", 400000000, 1200000000, 200000000 },
	{ "gpt-4.1-mini", 400000000, 1200000000, 200000000 },
	{ "gpt-4.1", 2000000000, 8000000000, 1000000000 },
	{ "openai/gpt-4.1", 2000000000, 8000000000, 1000000000 },
	{ "google/gemini-2.5-pro", 1250000000, 10000000000, 625000000 },
	{ "openai/gpt-4o-mini", 150000000, 600000000, 75000000 },
	{ "openai/gpt-4o", 5000000000, 15000000000, 2500000000 },
	{ "deepseek/deepseek-r1-0528", 500000000, 2150000000, 250000000 },
	{ "qwen/qwen3-235b-a22b", 140000000, 2000000000, 70000000 },
	{ "gpt-image-1", 5000000000, 40000000000, 1250000000 },
	{ "gemini-2.5-flash-image-preview", 300000000, 30000000000,
	  300000000 },
};

/* Whoever adds one adds a row, with where its price is from. */
START_TEST(no_price_is_in_the_file_that_is_not_in_the_table)
{
	struct conf *conf = load_good();
	size_t k;
	int i;

	for (i = 0; i < conf->n_models; i++) {
		const struct model_info *m = &conf->models[i];

		for (k = 0; k < ARRAY_LEN(prices); k++)
			if (m->price_input == prices[k].input &&
			    m->price_output == prices[k].output)
				break;
		ck_assert_msg(k < ARRAY_LEN(prices), "%s", m->id);
	}
	conf_free(conf);
}
END_TEST

START_TEST(prices_are_exact_to_the_nano_dollar)
{
	struct conf *conf = load_good();
	const struct model_info *m = conf_model(conf, prices[_i].id);

	ck_assert_ptr_nonnull(m);
	ck_assert_int_eq(m->price_input, prices[_i].input);
	ck_assert_int_eq(m->price_output, prices[_i].output);
	ck_assert_int_eq(m->price_cached_input, prices[_i].cached);
	ck_assert(!m->is_free);
	conf_free(conf);
}
END_TEST

START_TEST(a_price_keeps_its_ninth_decimal)
{
	struct conf *conf;

	edit("models.yml", "{ input: 0.14, output: 2.00, cached_input: 0.07 }",
	    "{ input: 0.123456789, output: 7, image_input: 0.1000000000 }");
	conf = load_good();
	ck_assert_int_eq(conf_model(conf, "qwen/qwen3-235b-a22b")->price_input,
	    123456789);
	ck_assert_int_eq(
	    conf_model(conf, "qwen/qwen3-235b-a22b")->price_output,
	    7000000000);
	ck_assert_int_eq(
	    conf_model(conf, "qwen/qwen3-235b-a22b")->price_cached_input,
	    123456789);
	ck_assert_int_eq(
	    conf_model(conf, "qwen/qwen3-235b-a22b")->price_image_input,
	    100000000);
	conf_free(conf);
}
END_TEST

START_TEST(free_models_are_marked_and_cost_nothing)
{
	struct conf *conf;

	edit("models.yml", "{ input: 0.14, output: 2.00, cached_input: 0.07 }",
	    "free");
	conf = load_good();
	ck_assert(conf_model(conf, "qwen/qwen3-235b-a22b")->is_free);
	ck_assert_int_eq(
	    conf_model(conf, "qwen/qwen3-235b-a22b")->price_output, 0);
	conf_free(conf);
}
END_TEST

START_TEST(models_are_found_by_exact_id_then_behind_the_slash)
{
	struct conf *conf = load_good();

	ck_assert_str_eq(conf_model(conf, "openai/gpt-4.1")->id,
	    "openai/gpt-4.1");
	ck_assert_str_eq(conf_model(conf, "x/y/gpt-4.1")->id, "gpt-4.1");
	ck_assert_ptr_null(conf_model(conf, "foo/bar"));
	ck_assert_ptr_null(conf_model(conf, "gpt-4.1/"));
	conf_free(conf);
}
END_TEST

START_TEST(models_know_what_they_can)
{
	struct conf *conf = load_good();
	const struct model_info *m;

	m = conf_model(conf, "o4-mini");
	ck_assert(!m->takes_temperature && m->reasoning);
	ck_assert(m->max_completion_tokens);
	ck_assert_int_eq(m->token_rule, TOKENS_PATCH);
	ck_assert_double_eq(m->patch_factor, 1.72);
	m = conf_model(conf, "openai/o4-mini");
	ck_assert(m->takes_temperature && m->reasoning);
	m = conf_model(conf, "openai/gpt-4o-mini");
	ck_assert_int_eq(m->token_rule, TOKENS_TILE);
	ck_assert_int_eq(m->tile_base, 2833);
	ck_assert_int_eq(m->tile_tokens, 5667);
	ck_assert_int_eq(m->answer_mode, ANSWER_JSON_SCHEMA);
	m = conf_model(conf, "gpt-image-1");
	ck_assert(m->is_image && m->takes_two_images && !m->takes_aspect);
	ck_assert_int_eq(m->price_image_input, 10000000000);
	ck_assert_int_eq(m->n_aspects, 3);
	ck_assert_str_eq(m->aspects[1].aspect, "2:3");
	ck_assert_str_eq(m->aspects[1].size, "1024x1536");
	ck_assert_int_eq(m->n_image_prices, 9);
	ck_assert_str_eq(m->image_prices[8].quality, "high");
	ck_assert_str_eq(m->image_prices[8].size, "1536x1024");
	ck_assert_int_eq(m->image_prices[8].tokens, 6208);
	m = conf_model(conf, "gemini-2.5-flash-image-preview");
	ck_assert_int_eq(m->n_aspects, 5);
	ck_assert_ptr_null(m->aspects[0].size);
	ck_assert_int_eq(m->image_prices[0].tokens, 1290);
	ck_assert_str_eq(m->image_prices[0].quality, "");
	ck_assert(!m->takes_aspect);
	conf_free(conf);
}
END_TEST

START_TEST(a_model_of_ones_own_is_a_few_lines)
{
	struct conf *conf;
	const struct model_info *m;

	add_model(MORE_SHAPES);
	conf = load_good();
	m = conf_model(conf, "more-shapes");
	ck_assert(m->is_image && m->takes_aspect);
	ck_assert_int_eq(m->n_aspects, 3);
	ck_assert_int_eq(m->n_image_prices, 1);
	ck_assert_int_eq(m->price_output, 31000000000);
	conf_free(conf);
}
END_TEST

static const struct {
	const char *id;
	enum answer_mode mode;
} modes[] = {		/* D12: free text behind OpenRouter, by exact id */
	{ "openai/o4-mini", ANSWER_JSON_OBJECT },
	{ "openai/o4-mini-high", ANSWER_JSON_OBJECT },
	{ "google/gemini-2.5-pro", ANSWER_JSON_OBJECT },
	{ "openai/gpt-4.1", ANSWER_JSON_SCHEMA },
	{ "openai/gpt-4.1-mini", ANSWER_JSON_SCHEMA },
	{ "o4-mini", ANSWER_JSON_SCHEMA },
};

START_TEST(some_models_are_not_trusted_with_a_schema)
{
	struct conf *conf = load_good();

	ck_assert_int_eq(conf_model(conf, modes[_i].id)->answer_mode,
	    modes[_i].mode);
	conf_free(conf);
}
END_TEST

static const struct {
	enum purpose_id id;
	const char *name, *provider, *model;
	double temperature;
	int max_tokens, reasoning_max_tokens;
} purposes[] = {		/* generation.md 3.2 and 9.3 */
	{ PURPOSE_IMAGE_EVAL, "image_eval", "openrouter", "openai/gpt-4.1",
	  0.2, 800, 4000 },
	{ PURPOSE_LOGO_EVAL, "logo_eval", "openrouter", "openai/gpt-4.1",
	  0.1, 1000, 4000 },
	{ PURPOSE_STRATEGY_GOALS, "strategy_goals", "openrouter",
	  "openai/gpt-4.1-mini", 0.7, 1500, 6000 },
	{ PURPOSE_STYLE_GUIDE, "style_guide", "openrouter",
	  "google/gemini-2.5-pro", 0.8, 2000, 8000 },
	{ PURPOSE_CREATIVE_EXPERT, "creative_expert", "openrouter",
	  "google/gemini-2.5-pro", 0.7, 5000, 10000 },
	{ PURPOSE_STYLE_ADAPTATION, "style_adaptation", "openrouter",
	  "google/gemini-2.5-pro", 0.7, 6000, 10000 },
	{ PURPOSE_IMAGE_GENERATION, "image_generation", "gemini",
	  "gemini-2.5-flash-image-preview", -1, 0, 0 },
	{ PURPOSE_IMAGE_ASSESSMENT, "image_assessment", "openrouter",
	  "openai/o4-mini", 0.1, 2500, 6000 },
	{ PURPOSE_CAPTION, "caption", "openrouter", "openai/gpt-4.1", 0.3,
	  3000, 8000 },
};

START_TEST(each_purpose_has_its_model_and_parameters)
{
	struct conf *conf = load_good();
	const struct purpose *p = &conf->purposes[purposes[_i].id];
	char *entry = xasprintf("\n  %s:\n", purposes[_i].name);
	enum purpose_id id;

	ck_assert_str_eq(purpose_name(purposes[_i].id), purposes[_i].name);
	ck_assert(purpose_parse(purposes[_i].name, &id));
	ck_assert_int_eq(id, purposes[_i].id);
	ck_assert_str_eq(p->provider->name, purposes[_i].provider);
	ck_assert_str_eq(p->model->id, purposes[_i].model);
	ck_assert_double_eq(p->temperature, purposes[_i].temperature);
	ck_assert_int_eq(p->max_tokens, purposes[_i].max_tokens);
	ck_assert_int_eq(p->reasoning_max_tokens,
	    purposes[_i].reasoning_max_tokens);
	ck_assert_int_eq(p->line, line_of("models.yml", entry) + 1);
	free(entry);
	conf_free(conf);
}
END_TEST

static const struct {
	const char *id;
	double temperature;
	bool sent;		/* the model takes one */
} assessors[] = {		/* J23 */
	{ "openai/o4-mini", 0.05, true },
	{ "openai/o4-mini-high", 0.05, true },
	{ "o4-mini", 0.05, false },
	{ "openai/gpt-4.1", 0.1, true },
	{ "google/gemini-2.5-pro", 0.1, true },
	{ "openai/gpt-4o", 0.1, true },
};

START_TEST(an_assessment_has_the_temperature_of_its_model)
{
	struct conf *conf = load_good();
	const struct model_info *m = conf_model(conf, assessors[_i].id);

	ck_assert_double_eq(purpose_temperature(
	    &conf->purposes[PURPOSE_IMAGE_ASSESSMENT], m),
	    assessors[_i].temperature);
	ck_assert_int_eq(m->takes_temperature, assessors[_i].sent);
	/* One question more after an answer that cannot be used. */
	ck_assert_int_ge(conf->settings.validation_retries, 1);
	conf_free(conf);
}
END_TEST

START_TEST(a_model_can_be_asked_without_a_temperature)
{
	const struct purpose *p;
	struct conf *conf;

	edit("models.yml", "o4-mini: 0.05, o4-mini-high: 0.05",
	    "o4-mini: none");
	conf = load_good();
	p = &conf->purposes[PURPOSE_IMAGE_ASSESSMENT];
	ck_assert_double_lt(purpose_temperature(p, p->model), 0);
	ck_assert_double_eq(purpose_temperature(p, p->fallback_model), 0.1);
	conf_free(conf);
}
END_TEST

static const struct {
	const char *about, *provider, *id;	/* values; NULL: unset */
	const char *want_provider, *want_model;
} overrides[] = {		/* of STRATEGY_MODEL_*; P12 */
	{ "model alone", NULL, "openai/gpt-4o", "openrouter",
	  "openai/gpt-4o" },
	{ "model without its vendor", NULL, "gpt-4o", "openrouter",
	  "openai/gpt-4o" },
	{ "provider in lower case", "openai", NULL, "openai",
	  "gpt-4.1-mini" },
	{ "provider in mixed case", "OpenAI", "gpt-4.1", "openai",
	  "gpt-4.1" },
	{ "model with a vendor the provider does not use", "OPENAI",
	  "openai/o4-mini", "openai", "o4-mini" },
	{ "provider and model of another vendor", "Gemini",
	  "google/gemini-2.5-pro", "gemini", "gemini-2.5-pro" },
	{ "the provider it has already", "OpenRouter", NULL, "openrouter",
	  "openai/gpt-4.1-mini" },
};

START_TEST(variables_override_provider_and_model)
{
	const struct purpose *p;
	struct conf *conf;

	if (overrides[_i].provider != NULL)
		setenv("STRATEGY_MODEL_PROVIDER", overrides[_i].provider, 1);
	if (overrides[_i].id != NULL)
		setenv("STRATEGY_MODEL_ID", overrides[_i].id, 1);
	conf = load_good();
	p = &conf->purposes[PURPOSE_STRATEGY_GOALS];
	ck_assert_str_eq(p->provider->name, overrides[_i].want_provider);
	ck_assert_str_eq(p->model->id, overrides[_i].want_model);
	ck_assert_ptr_eq(p->model, conf_model(conf, p->model->id));
	ck_assert_str_eq(conf->purposes[PURPOSE_CAPTION].model->id,
	    "openai/gpt-4.1");
	conf_free(conf);
}
END_TEST

static const struct {
	const char *prefix;
	enum purpose_id first, last;
} prefixes[] = {
	{ "IMG_EVAL", PURPOSE_IMAGE_EVAL, PURPOSE_LOGO_EVAL },
	{ "STRATEGY", PURPOSE_STRATEGY_GOALS, PURPOSE_STRATEGY_GOALS },
	{ "STYLE_GUIDER", PURPOSE_STYLE_GUIDE, PURPOSE_STYLE_GUIDE },
	{ "CREATIVE_EXPERT", PURPOSE_CREATIVE_EXPERT, PURPOSE_CREATIVE_EXPERT },
	{ "STYLE_ADAPTATION", PURPOSE_STYLE_ADAPTATION,
	  PURPOSE_STYLE_ADAPTATION },
	{ "IMAGE_ASSESSMENT", PURPOSE_IMAGE_ASSESSMENT,
	  PURPOSE_IMAGE_ASSESSMENT },
	{ "CAPTION", PURPOSE_CAPTION, PURPOSE_CAPTION },
};

START_TEST(each_pair_of_variables_reaches_its_purposes_and_no_other)
{
	char *provider = xasprintf("%s_MODEL_PROVIDER", prefixes[_i].prefix);
	char *id = xasprintf("%s_MODEL_ID", prefixes[_i].prefix);
	struct conf *conf;
	bool reached;
	int i;

	setenv(provider, "OpenAI", 1);
	setenv(id, "o4-mini", 1);
	conf = load_good();
	for (i = 0; i < PURPOSE__COUNT; i++) {
		reached = i >= (int)prefixes[_i].first &&
		    i <= (int)prefixes[_i].last;
		ck_assert_int_eq(
		    strcmp(conf->purposes[i].model->id, "o4-mini") == 0,
		    reached);
		ck_assert_int_eq(strcmp(conf->purposes[i].provider->name,
		    "openai") == 0, reached);
	}
	conf_free(conf);
	free(provider);
	free(id);
}
END_TEST

static const struct {
	const char *provider, *want_provider, *want_model;
} image_providers[] = {		/* P9, P13 */
	{ NULL, "gemini", "gemini-2.5-flash-image-preview" },
	{ "Gemini", "gemini", "gemini-2.5-flash-image-preview" },
	{ "OpenAI", "openai", "gpt-image-1" },
	{ "openai", "openai", "gpt-image-1" },
};

START_TEST(the_image_model_follows_from_the_provider)
{
	const struct purpose *p;
	struct conf *conf;

	if (image_providers[_i].provider != NULL)
		setenv("IMAGE_GENERATION_PROVIDER",
		    image_providers[_i].provider, 1);
	conf = load_good();
	p = &conf->purposes[PURPOSE_IMAGE_GENERATION];
	ck_assert_str_eq(p->provider->name, image_providers[_i].want_provider);
	ck_assert_str_eq(p->model->id, image_providers[_i].want_model);
	conf_free(conf);
}
END_TEST

START_TEST(a_model_listed_under_its_bare_name_keeps_the_id_that_was_asked_for)
{
	struct conf *conf;
	const struct model_info *m;

	setenv("CAPTION_MODEL_ID", "azure/gpt-4o", 1);
	conf = load_good();
	m = conf->purposes[PURPOSE_CAPTION].model;
	ck_assert_str_eq(m->id, "azure/gpt-4o");
	ck_assert_int_eq(m->price_input, 5000000000);
	ck_assert_ptr_eq(m, conf_model(conf, "azure/gpt-4o"));
	conf_free(conf);
}
END_TEST

START_TEST(fallbacks_resolve_unless_they_are_the_chosen_model)
{
	struct conf *conf;

	setenv("IMG_EVAL_MODEL_ID", "google/gemini-2.5-pro", 1);
	conf = load_good();
	ck_assert_str_eq(
	    conf->purposes[PURPOSE_CAPTION].fallback_model->id,
	    "google/gemini-2.5-pro");
	ck_assert_ptr_null(conf->purposes[PURPOSE_IMAGE_EVAL].fallback_model);
	ck_assert_ptr_null(
	    conf->purposes[PURPOSE_IMAGE_EVAL].fallback_provider);
	ck_assert_ptr_null(
	    conf->purposes[PURPOSE_IMAGE_GENERATION].fallback_model);
	conf_free(conf);
}
END_TEST

START_TEST(a_purpose_can_be_switched_off)
{
	struct conf *conf;

	edit("models.yml", "  caption:\n    provider: openrouter\n"
	    "    model: openai/gpt-4.1\n"
	    "    fallback: { provider: openrouter, "
	    "model: google/gemini-2.5-pro }\n"
	    "    temperature: 0.3\n    max_tokens: 3000\n"
	    "    reasoning_max_tokens: 8000\n", "  caption: none\n");
	conf = load_good();
	ck_assert_ptr_null(conf->purposes[PURPOSE_CAPTION].provider);
	ck_assert_ptr_null(conf->purposes[PURPOSE_CAPTION].model);
	conf_free(conf);
}
END_TEST

START_TEST(variables_replace_address_and_mark_of_any_provider)
{
	struct conf *conf;

	edit("models.yml", "providers:\n  openrouter:",
	    "providers:\n  My-Server:\n    wire: openai\n"
	    "    base_url: http://[::1]:8080/v1//\n    key: none\n"
	    "  openrouter:");
	setenv("OPENROUTER_BASE_URL", "http://127.0.0.1:9/api/", 1);
	setenv("MY_SERVER_SIMULATED", "1", 1);
	conf = load_good();
	ck_assert_str_eq(conf_provider(conf, "OpenRouter")->base_url,
	    "http://127.0.0.1:9/api");
	ck_assert_str_eq(conf_provider(conf, "my-server")->base_url,
	    "http://[::1]:8080/v1");
	ck_assert(conf_provider(conf, "MY-SERVER")->simulated);
	ck_assert_ptr_null(conf_provider(conf, "my-server")->key_env);
	ck_assert_int_eq(conf_provider(conf, "gemini")->wire, WIRE_GEMINI);
	/* Simulated, but nothing is asked of it. */
	ck_assert(!conf_any_simulated(conf));
	conf_free(conf);
	setenv("GEMINI_SIMULATED", "1", 1);
	conf = load_good();
	ck_assert(conf_any_simulated(conf));
	conf_free(conf);
}
END_TEST

/* --- keys -------------------------------------------------------------- */

START_TEST(keys_are_kept_only_when_asked_for)	/* N9: one is in no file */
{
	struct conf *conf;

	setenv("OPENROUTER_API_KEY", "or-secret-1", 1);
	put("churns.env", "GEMINI_API_KEY=ge-secret-2\n");
	conf = load_good();
	ck_assert_ptr_null(conf_provider(conf, "openrouter")->key);
	ck_assert_ptr_null(conf_provider(conf, "gemini")->key);
	ck_assert_str_eq(conf_provider(conf, "gemini")->key_env,
	    "GEMINI_API_KEY");
	ck_assert(!conf->purposes[PURPOSE_CAPTION].missing_key);
	ck_assert_int_eq(conf->keys_found, 0);
	ck_assert_int_eq(conf->keys_needed, 2);
	conf_free(conf);
	conf = load_with_keys();
	ck_assert_str_eq(conf_provider(conf, "openrouter")->key,
	    "or-secret-1");
	ck_assert_str_eq(conf_provider(conf, "gemini")->key, "ge-secret-2");
	ck_assert_int_eq(conf->keys_found, 2);
	conf_free(conf);
}
END_TEST

START_TEST(missing_keys_are_named_with_the_purposes_that_need_them)
{
	struct strbuf out = STRBUF_INIT(4096);
	struct conf *conf;
	char *want;

	setenv("OPENROUTER_API_KEY", "k", 1);
	setenv("CAPTION_MODEL_PROVIDER", "openai", 1);
	conf = load_with_keys();
	ck_assert_int_eq(conf_missing_keys(conf, &out), 2);
	want = xasprintf("OPENAI_API_KEY is not set; caption needs it "
	    "(models.yml:%d)\nGEMINI_API_KEY is not set; image_generation "
	    "needs it (models.yml:%d)\n", line_of("models.yml",
	    "\n  caption:\n") + 1, line_of("models.yml",
	    "\n  image_generation:\n") + 1);
	ck_assert_str_eq(out.buf, want);
	free(want);
	ck_assert(conf->purposes[PURPOSE_CAPTION].missing_key);
	ck_assert(!conf->purposes[PURPOSE_IMAGE_EVAL].missing_key);
	ck_assert_int_eq(conf->keys_found, 1);
	ck_assert_int_eq(conf->keys_needed, 3);
	strbuf_reset(&out);
	conf_summary(conf, &out);
	ck_assert_str_eq(out.buf, "clients configured 12 of 18, keys 1 of 3, "
	    "17 models, prices as of 2025-09-01");
	conf_free(conf);
	strbuf_release(&out);
}
END_TEST

static const struct {
	const char *about, *openrouter, *gemini, *openai;	/* keys; NULL */
	const char *pictures;	/* IMAGE_GENERATION_PROVIDER; NULL */
	int configured;
	bool strategy, structured, caption, gemini_pictures, openai_pictures,
	    refinement;
} summaries[] = {		/* N12 */
	{ "no key", NULL, NULL, NULL, NULL, 0, false, false, false, false,
	  false, false },
	{ "all keys", "a", "b", "c", NULL, 18, true, true, true, true, true,
	  true },
	{ "texts alone", "a", NULL, NULL, NULL, 14, true, true, true, false,
	  false, false },
	{ "as delivered", "a", "b", NULL, NULL, 15, true, true, true, true,
	  false, false },
	{ "pictures by OpenAI", "a", "b", "c", "OpenAI", 17, true, true, true,
	  false, true, true },
};

START_TEST(the_client_summary_has_eighteen_entries)
{
	struct conf_client c[CONF_CLIENTS];
	const bool want[] = { summaries[_i].strategy, summaries[_i].structured,
	    summaries[_i].caption, summaries[_i].gemini_pictures,
	    summaries[_i].openai_pictures, summaries[_i].refinement };
	static const char *const names[] = { "base_llm_client_strategy",
	    "instructor_client_strategy", "base_llm_client_caption",
	    "image_gen_client_gemini", "image_gen_client",
	    "image_refinement_client" };
	struct conf *conf;
	size_t i, k;

	if (summaries[_i].openrouter != NULL)
		setenv("OPENROUTER_API_KEY", summaries[_i].openrouter, 1);
	if (summaries[_i].gemini != NULL)
		setenv("GEMINI_API_KEY", summaries[_i].gemini, 1);
	if (summaries[_i].openai != NULL)
		setenv("OPENAI_API_KEY", summaries[_i].openai, 1);
	if (summaries[_i].pictures != NULL)
		setenv("IMAGE_GENERATION_PROVIDER", summaries[_i].pictures, 1);
	conf = load_with_keys();
	ck_assert_int_eq(CONF_CLIENTS, 18);
	ck_assert_int_eq(conf_clients(conf, c), summaries[_i].configured);
	for (i = 0; i < ARRAY_LEN(names); i++) {
		for (k = 0; k < CONF_CLIENTS; k++)
			if (strcmp(c[k].name, names[i]) == 0)
				break;
		ck_assert_msg(k < CONF_CLIENTS && c[k].configured == want[i],
		    "%s: %s", summaries[_i].about, names[i]);
	}
	for (i = 0; i < CONF_CLIENTS; i++)
		for (k = 0; k < i; k++)
			ck_assert_str_ne(c[i].name, c[k].name);
	conf_free(conf);
}
END_TEST

START_TEST(servers_without_a_key_and_simulated_ones_need_none)
{
	struct strbuf out = STRBUF_INIT(4096);
	struct conf *conf;

	edit("models.yml", "key: OPENROUTER_API_KEY", "key: none");
	setenv("GEMINI_SIMULATED", "yes", 1);
	conf = load_with_keys();
	ck_assert_int_eq(conf_missing_keys(conf, &out), 0);
	ck_assert_str_eq(out.buf, "");
	ck_assert_int_eq(conf->keys_needed, 0);
	ck_assert(!conf->purposes[PURPOSE_IMAGE_GENERATION].missing_key);
	conf_summary(conf, &out);
	ck_assert_str_eq(out.buf, "clients configured 15 of 18, keys 0 of 0, "
	    "simulated gemini, 17 models, prices as of 2025-09-01");
	conf_free(conf);
	strbuf_release(&out);
}
END_TEST

START_TEST(captions_offer_what_the_file_says)
{
	const struct caption_model *m;
	struct conf *conf = load_good();

	ck_assert_int_eq(conf->n_caption_models, 2);
	ck_assert_int_eq(conf->default_caption_model, 0);
	m = conf_caption_model(conf, "google/gemini-2.5-pro");
	ck_assert_ptr_nonnull(m);
	ck_assert_str_eq(m->model->id, "google/gemini-2.5-pro");
	ck_assert_str_eq(m->provider->name, "openrouter");
	ck_assert(!m->fast);
	ck_assert(conf->caption_models[0].fast);
	ck_assert_int_eq(m->strengths.n, 2);
	ck_assert_ptr_null(conf_caption_model(conf, "gemini-2.5-pro"));
	ck_assert_ptr_null(conf_caption_model(conf, NULL));
	conf_free(conf);
}
END_TEST

START_TEST(a_caption_id_can_stand_for_another_model)
{
	const struct caption_model *m;
	struct conf *conf;

	edit("models.yml", "  offered:\n    openai/gpt-4.1:\n",
	    "  default: house\n  offered:\n    house:\n"
	    "      provider: openai\n      model: openai/gpt-4.1-mini\n");
	conf = load_good();
	m = conf_caption_model(conf, "house");
	ck_assert_str_eq(m->model->id, "gpt-4.1-mini");
	ck_assert_str_eq(m->provider->name, "openai");
	ck_assert_int_eq(conf->default_caption_model, 0);
	conf_free(conf);
}
END_TEST

START_TEST(the_first_choice_for_captions_follows_the_purpose)
{
	struct conf *conf;

	ck_assert_int_eq(setenv("CAPTION_MODEL_ID", "gemini-2.5-pro", 1), 0);
	conf = load_good();
	ck_assert_int_eq(conf->default_caption_model, 1);
	conf_free(conf);
}
END_TEST

START_TEST(a_file_without_choices_for_captions_is_fine)
{
	struct strbuf text = STRBUF_INIT(1024 * 1024);
	struct err e = ERR_INIT;
	struct conf *conf;
	char *path, *from, *to;

	path = xasprintf("%s/models.yml", dir);
	ck_ok(file_read(path, 1024 * 1024, &text, &e), &e);
	from = strstr(text.buf, "\ncaption_models:");
	to = strstr(from, "\n# --- models ---");
	ck_assert_ptr_nonnull(to);
	memmove(from, to, strlen(to) + 1);
	put("models.yml", text.buf);
	conf = load_good();
	ck_assert_int_eq(conf->n_caption_models, 0);
	conf_free(conf);
	strbuf_release(&text);
	free(path);
}
END_TEST

START_TEST(the_print_is_yaml_with_origins_and_without_keys)
{
	struct strbuf out = STRBUF_INIT(256 * 1024);
	struct yaml_doc *doc = NULL;
	struct err e = ERR_INIT;
	struct conf *conf;
	const struct yaml_node *n;
	char *want;

	setenv("OPENROUTER_API_KEY", "sk-or-very-secret", 1);
	setenv("LLM_TIMEOUT_SECONDS", "7.25", 1);
	put("churns.env", "OPENAI_API_KEY=sk-oa-very-secret\n"
	    "CHURNS_API_THREADS=3\n");
	conf = load_with_keys();
	conf_print(conf, &out);
	ck_assert(!strbuf_overflowed(&out));
	ck_assert_ptr_null(strstr(out.buf, "very-secret"));
	ck_ok(yaml_parse("print", out.buf, out.len, &doc, &e), &e);
	n = yaml_get(doc->root, "calls");
	ck_assert_str_eq(yaml_get(n, "llm_timeout_s")->text, "7.25");
	n = yaml_get(yaml_get(doc->root, "providers"), "openrouter");
	ck_assert_str_eq(yaml_get(n, "key")->text, "OPENROUTER_API_KEY");
	n = yaml_get(yaml_get(doc->root, "models"), "google/gemini-2.5-pro");
	ck_assert_str_eq(yaml_get(yaml_get(n, "price"), "cached_input")->text,
	    "0.625");
	yaml_free(doc);
	ck_assert_ptr_nonnull(strstr(out.buf,
	    "key: OPENROUTER_API_KEY  # set\n"));
	ck_assert_ptr_nonnull(strstr(out.buf,
	    "key: GEMINI_API_KEY  # not set\n"));
	ck_assert_ptr_nonnull(strstr(out.buf, "llm_timeout_s: 7.25  "
	    "# environment variable LLM_TIMEOUT_SECONDS\n"));
	ck_assert_ptr_nonnull(strstr(out.buf, "threads: 3  "
	    "# CHURNS_API_THREADS in the env file\n"));
	want = xasprintf("  workers: 2  # churns.yml:%d; variable "
	    "CHURNS_API_WORKERS\n", line_of("churns.yml", "\n  workers:") + 1);
	ck_assert_ptr_nonnull(strstr(out.buf, want));
	ck_assert_ptr_nonnull(strstr(out.buf, "run_dir: \"/run/churns\"  "
	    "# default; variable CHURNS_RUN_DIR\n"));
	free(want);
	conf_free(conf);
	strbuf_release(&out);
}
END_TEST

TCase *
conf_models_case(void)
{
	TCase *tc = tcase_create("models");

	tcase_add_checked_fixture(tc, conf_setup, conf_teardown);
	tcase_add_loop_test(tc, prices_are_exact_to_the_nano_dollar, 0,
	    ARRAY_LEN(prices));
	tcase_add_test(tc,
	    no_price_is_in_the_file_that_is_not_in_the_table);
	tcase_add_test(tc, a_price_keeps_its_ninth_decimal);
	tcase_add_test(tc, free_models_are_marked_and_cost_nothing);
	tcase_add_test(tc,
	    models_are_found_by_exact_id_then_behind_the_slash);
	tcase_add_test(tc, models_know_what_they_can);
	tcase_add_test(tc, a_model_of_ones_own_is_a_few_lines);
	tcase_add_loop_test(tc, some_models_are_not_trusted_with_a_schema, 0,
	    ARRAY_LEN(modes));
	tcase_add_loop_test(tc, each_purpose_has_its_model_and_parameters, 0,
	    ARRAY_LEN(purposes));
	tcase_add_loop_test(tc,
	    an_assessment_has_the_temperature_of_its_model, 0,
	    ARRAY_LEN(assessors));
	tcase_add_test(tc, a_model_can_be_asked_without_a_temperature);
	tcase_add_loop_test(tc, variables_override_provider_and_model, 0,
	    ARRAY_LEN(overrides));
	tcase_add_loop_test(tc,
	    each_pair_of_variables_reaches_its_purposes_and_no_other, 0,
	    ARRAY_LEN(prefixes));
	tcase_add_loop_test(tc, the_image_model_follows_from_the_provider, 0,
	    ARRAY_LEN(image_providers));
	tcase_add_test(tc,
	    a_model_listed_under_its_bare_name_keeps_the_id_that_was_asked_for);
	tcase_add_test(tc,
	    fallbacks_resolve_unless_they_are_the_chosen_model);
	tcase_add_test(tc, a_purpose_can_be_switched_off);
	tcase_add_test(tc, variables_replace_address_and_mark_of_any_provider);
	tcase_add_test(tc, keys_are_kept_only_when_asked_for);
	tcase_add_test(tc,
	    missing_keys_are_named_with_the_purposes_that_need_them);
	tcase_add_loop_test(tc, the_client_summary_has_eighteen_entries, 0,
	    ARRAY_LEN(summaries));
	tcase_add_test(tc, servers_without_a_key_and_simulated_ones_need_none);
	tcase_add_test(tc, captions_offer_what_the_file_says);
	tcase_add_test(tc, a_caption_id_can_stand_for_another_model);
	tcase_add_test(tc, the_first_choice_for_captions_follows_the_purpose);
	tcase_add_test(tc, a_file_without_choices_for_captions_is_fine);
	tcase_add_test(tc, the_print_is_yaml_with_origins_and_without_keys);
	return tc;
}
