/* The settings of churns.yml and where they come from. */
#include "conf_unit.h"

#include "yaml.h"

/* --- the files that are shipped ---------------------------------------- */

START_TEST(the_shipped_files_load_without_a_problem)
{
	struct conf_options opts = { .dir = TOP_SRCDIR "/conf" };
	struct conf *conf = NULL;

	ck_assert_msg(conf_load(&opts, &problems, &conf) == ERR_OK,
	    "problems:\n%s", problems.text.buf);
	ck_assert_int_eq(problems.count, 0);
	ck_assert_int_eq(conf->n_languages, 40);
	ck_assert_int_eq(conf->n_platforms, 5);
	ck_assert_int_eq(conf->n_task_types, 8);
	ck_assert_int_eq(conf->n_pools, 5);
	conf_free(conf);
}
END_TEST

/* The settings as printed, without the comment that tells the origin. */
static void
settings_of(const struct conf *conf, struct strbuf *out)
{
	struct strbuf all = STRBUF_INIT(256 * 1024);
	char *line, *next, *end;

	conf_print(conf, &all);
	ck_assert(!strbuf_overflowed(&all));
	end = strstr(all.buf, "prices_as_of:");
	ck_assert_ptr_nonnull(end);
	*end = '\0';
	for (line = all.buf; line != NULL; line = next) {
		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		end = strstr(line, "  # ");
		if (end != NULL && end > line)
			*end = '\0';
		strbuf_addf(out, "%s\n", line);
	}
	strbuf_release(&all);
}

START_TEST(the_shipped_settings_state_the_defaults)
{
	struct strbuf shipped = STRBUF_INIT(65536);
	struct strbuf defaults = STRBUF_INIT(65536);
	struct conf *conf = load_good();

	settings_of(conf, &shipped);
	conf_free(conf);
	drop("churns.yml");
	conf = load_good();
	settings_of(conf, &defaults);
	conf_free(conf);
	ck_assert_str_eq(shipped.buf, defaults.buf);
	strbuf_release(&defaults);
	strbuf_release(&shipped);
}
END_TEST

/* Every leaf of map stands, perhaps as a comment, in the text. */
static void
check_leaves(const struct yaml_node *map, const char *text)
{
	const struct yaml_node *n;
	char *active, *comment;

	for (n = map->first; n != NULL; n = n->next) {
		if (n->kind == YAML_MAP) {
			check_leaves(n, text);
			continue;
		}
		active = xasprintf("%s:", n->key);
		comment = xasprintf("\n# %s:", n->key);
		ck_assert_msg(strstr(text, active) != NULL ||
		    strstr(text, comment) != NULL,
		    "churns.yml does not mention %s", n->key);
		free(active);
		free(comment);
	}
}

START_TEST(the_shipped_settings_mention_every_setting)
{
	struct strbuf file = STRBUF_INIT(65536);
	struct strbuf known = STRBUF_INIT(65536);
	struct conf *conf = load_good();
	struct yaml_doc *doc = NULL;
	struct err e = ERR_INIT;
	char *path = xasprintf("%s/churns.yml", dir);

	settings_of(conf, &known);
	ck_ok(yaml_parse("known", known.buf, known.len, &doc, &e), &e);
	ck_ok(file_read(path, 65536, &file, &e), &e);
	ck_assert_uint_eq(yaml_count(yaml_get(doc->root, "limits")), 8);
	check_leaves(doc->root, file.buf);
	yaml_free(doc);
	free(path);
	conf_free(conf);
	strbuf_release(&known);
	strbuf_release(&file);
}
END_TEST

START_TEST(the_example_env_file_loads_and_changes_nothing)
{
	struct conf_options opts = {
		.dir = dir, .env_file = TOP_SRCDIR "/conf/churns.env.example",
		.secrets = true
	};
	struct conf *conf = NULL;

	ck_assert_int_eq(conf_load(&opts, &problems, &conf), ERR_OK);
	ck_assert_int_eq(conf->keys_found, 0);
	ck_assert_int_eq(conf->keys_needed, 2);
	ck_assert_str_eq(conf->purposes[PURPOSE_CAPTION].model->id,
	    "openai/gpt-4.1");
	conf_free(conf);
}
END_TEST

START_TEST(defaults_have_the_units_of_the_struct)
{
	struct conf *conf = load_good();
	const struct settings *s = &conf->settings;

	ck_assert_int_eq(s->llm_timeout_ms, 120000);
	ck_assert_int_eq(s->image_timeout_ms, 180000);
	ck_assert_int_eq(s->runner_lease_ms, 30000);
	ck_assert_int_eq(s->run_deadline_ms, 3600000);
	ck_assert_int_eq(s->retry_after_cap_ms, 60000);
	ck_assert_int_eq(s->max_upload_bytes, 52428800);
	ck_assert_int_eq(s->api_max_body_bytes, 67108864);
	ck_assert_int_eq(s->max_image_pixels, 60000000);
	ck_assert_int_eq(s->max_retries, 3);
	ck_assert_int_eq(s->validation_retries, 1);
	ck_assert_int_eq(s->max_parallel_image, 4);
	ck_assert_int_eq(s->max_parallel_llm, 16);
	ck_assert_int_eq(s->store_sync, STORE_SYNC_FULL);
	ck_assert_int_eq(s->log_level, LOG_INFO);
	ck_assert_str_eq(s->image_quality, "medium");
	ck_assert_str_eq(s->run_dir, "/run/churns");
	ck_assert_str_eq(s->api_listen, "/run/churns/api.sock");
	ck_assert_str_eq(s->cors_origins[2], "http://frontend:3000");
	ck_assert_str_eq(s->cors_origins[3], "https://*.ngrok-free.app");
	ck_assert_str_eq(s->api_operators[0], "127.0.0.1/8");
	ck_assert_str_eq(s->api_operators[1], "::1");
	ck_assert_ptr_null(s->api_operators[2]);
	ck_assert_ptr_null(s->cors_origins[4]);
	ck_assert(!s->development && !s->presentation_mode);
	conf_free(conf);
}
END_TEST

/* --- settings: sources ------------------------------------------------- */

START_TEST(the_real_environment_wins_over_the_env_file_and_both_over_the_yaml)
{
	struct conf *conf;

	edit("churns.yml", "workers: 2", "workers: 3");
	edit("churns.yml", "threads: 8", "threads: 9");
	edit("churns.yml", "max_jobs: 16", "max_jobs: 17");
	put("churns.env", "export CHURNS_API_WORKERS='4'\n"
	    "CHURNS_API_THREADS=10 # ten\n");
	setenv("CHURNS_API_WORKERS", "5", 1);
	conf = load_good();
	ck_assert_int_eq(conf->settings.api_workers, 5);
	ck_assert_int_eq(conf->settings.api_threads, 10);
	ck_assert_int_eq(conf->settings.runner_max_jobs, 17);
	conf_free(conf);
}
END_TEST

START_TEST(an_empty_variable_counts_as_unset)
{
	struct conf *conf;

	put("churns.env", "CHURNS_API_WORKERS=4\nLLM_MAX_RETRIES=\n");
	setenv("CHURNS_API_WORKERS", "", 1);
	setenv("STRATEGY_MODEL_ID", "", 1);
	conf = load_good();
	ck_assert_int_eq(conf->settings.api_workers, 4);
	ck_assert_int_eq(conf->settings.max_retries, 3);
	ck_assert_str_eq(conf->purposes[PURPOSE_STRATEGY_GOALS].model->id,
	    "openai/gpt-4.1-mini");
	conf_free(conf);
}
END_TEST

START_TEST(old_names_work_and_new_names_win)
{
	struct conf *conf;

	setenv("LLM_TIMEOUT_SECONDS", "45.5", 1);
	setenv("IMAGE_TIMEOUT_SECONDS", "60", 1);
	setenv("CHURNS_CALLS_IMAGE_TIMEOUT_S", "61", 1);
	setenv("LLM_MAX_RETRIES", "0", 1);
	setenv("LLM_VALIDATION_RETRIES", "2", 1);
	setenv("MAX_PARALLEL_IMAGE_CALLS", "6", 1);
	setenv("MAX_PARALLEL_LLM_CALLS", "7", 1);
	setenv("IMAGE_QUALITY_SETTING", "HIGH", 1);
	setenv("LOG_LEVEL", "WARNING", 1);
	setenv("ENV", "development", 1);
	setenv("CHURNS_MAX_RSS_MB", "200", 1);
	conf = load_good();
	ck_assert_int_eq(conf->settings.llm_timeout_ms, 45500);
	ck_assert_int_eq(conf->settings.image_timeout_ms, 61000);
	ck_assert_int_eq(conf->settings.max_retries, 0);
	ck_assert_int_eq(conf->settings.validation_retries, 2);
	ck_assert_int_eq(conf->settings.max_parallel_image, 6);
	ck_assert_int_eq(conf->settings.max_parallel_llm, 7);
	ck_assert_str_eq(conf->settings.image_quality, "high");
	ck_assert_int_eq(conf->settings.log_level, LOG_WARN);
	ck_assert(conf->settings.development);
	ck_assert_int_eq(conf->settings.runner_max_rss_mb, 200);
	ck_assert_int_eq(conf->settings.api_max_rss_mb, 64);
	conf_free(conf);
}
END_TEST

static const struct {
	const char *text;
	bool on;
} switches[] = {		/* P2 */
	{ "true", true }, { "TRUE", true }, { "1", true }, { "yes", true },
	{ "on", true }, { "false", false }, { "0", false }, { "", false },
	{ "enabled", false },
};

START_TEST(the_presentation_switch_is_on_for_words_of_yes_only)
{
	struct conf *conf;

	setenv("PRESENTATION_MODE", switches[_i].text, 1);
	conf = load_good();
	ck_assert_int_eq(conf->settings.presentation_mode, switches[_i].on);
	conf_free(conf);
}
END_TEST

START_TEST(relative_places_are_resolved)
{
	struct conf *conf;

	setenv("CHURNS_DATA_DIR", "/srv/pictures", 1);
	setenv("CHURNS_RUN_DIR", "/tmp/r", 1);
	setenv("CHURNS_DATABASE", "sqlite:x.db", 1);
	setenv("CHURNS_IMAGE_HELPER", "/opt/churns-image", 1);
	conf = load_good();
	ck_assert_str_eq(conf->settings.database, "sqlite:/srv/pictures/x.db");
	ck_assert_str_eq(conf->settings.api_listen, "/tmp/r/api.sock");
	ck_assert_str_eq(conf->settings.push_listen, "/tmp/r/push.sock");
	ck_assert_str_eq(conf->settings.image_helper, "/opt/churns-image");
	conf_free(conf);
	setenv("CHURNS_DATABASE", "sqlite:/x.db", 1);
	setenv("CHURNS_API_LISTEN", "127.0.0.1:9000", 1);
	conf = load_good();
	ck_assert_str_eq(conf->settings.database, "sqlite:/x.db");
	ck_assert_str_eq(conf->settings.api_listen, "127.0.0.1:9000");
	conf_free(conf);
}
END_TEST

START_TEST(web_origins_come_as_a_list_or_separated_by_commas)
{
	struct conf *conf;

	edit("churns.yml", "    - http://frontend:3000\n",
	    "    - https://*.ngrok-free.app\n");
	conf = load_good();
	ck_assert_str_eq(conf->settings.cors_origins[2],
	    "https://*.ngrok-free.app");
	conf_free(conf);
	setenv("CHURNS_API_CORS_ORIGINS", "https://a.example,http://b:80", 1);
	conf = load_good();
	ck_assert_str_eq(conf->settings.cors_origins[0], "https://a.example");
	ck_assert_str_eq(conf->settings.cors_origins[1], "http://b:80");
	ck_assert_ptr_null(conf->settings.cors_origins[2]);
	conf_free(conf);
}
END_TEST

START_TEST(directory_and_env_file_can_come_from_variables)
{
	struct conf_options opts = { .secrets = false };
	struct conf *conf = NULL;
	char *path = xasprintf("%s/other.env", dir);

	put("other.env", "CHURNS_API_WORKERS=6\n");
	put("churns.env", "CHURNS_API_WORKERS=7\n");
	setenv("CHURNS_CONF_DIR", dir, 1);
	setenv("CHURNS_ENV_FILE", path, 1);
	ck_assert_int_eq(conf_load(&opts, &problems, &conf), ERR_OK);
	ck_assert_int_eq(conf->settings.api_workers, 6);
	ck_assert_str_eq(conf->dir, dir);
	conf_free(conf);
	free(path);
}
END_TEST

TCase *
conf_settings_case(void)
{
	TCase *tc = tcase_create("settings");

	tcase_add_checked_fixture(tc, conf_setup, conf_teardown);
	tcase_add_test(tc, the_shipped_files_load_without_a_problem);
	tcase_add_test(tc, the_shipped_settings_state_the_defaults);
	tcase_add_test(tc, the_shipped_settings_mention_every_setting);
	tcase_add_test(tc, the_example_env_file_loads_and_changes_nothing);
	tcase_add_test(tc, defaults_have_the_units_of_the_struct);
	tcase_add_test(tc,
	    the_real_environment_wins_over_the_env_file_and_both_over_the_yaml);
	tcase_add_test(tc, an_empty_variable_counts_as_unset);
	tcase_add_test(tc, old_names_work_and_new_names_win);
	tcase_add_loop_test(tc,
	    the_presentation_switch_is_on_for_words_of_yes_only, 0,
	    ARRAY_LEN(switches));
	tcase_add_test(tc, relative_places_are_resolved);
	tcase_add_test(tc, web_origins_come_as_a_list_or_separated_by_commas);
	tcase_add_test(tc, directory_and_env_file_can_come_from_variables);
	return tc;
}
