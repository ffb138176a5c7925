/*
 * What can be wrong with a configuration, and that it is said: the file, the
 * line, a sentence; all faults at once; no secret in any of them.
 */
#include "conf_unit.h"

/*
 * One edit of a shipped file.  The problem must stand in the line in which
 * "where" is found afterwards (NULL: it names no line).
 */
static const struct fault {
	const char *file, *old, *new, *where, *says;
} faults[] = {
	/* churns.yml */
	{ "churns.yml", "  workers: 2", "  worker: 2", "worker: 2",
	  "there is no setting 'api.worker'; did you mean 'api.workers'?" },
	{ "churns.yml", "environment: production", "colour: blue",
	  "colour: blue", "there is no setting 'colour'\n" },
	{ "churns.yml", "\nlog:\n", "\nlogs:\n", "logs:",
	  "there is no section 'logs'; did you mean 'log'?" },
	{ "churns.yml", "  workers: 2", "  workers: 65", "workers: 65",
	  "api.workers must be from 1 to 64, not 65" },
	{ "churns.yml", "  workers: 2", "  workers: two", "workers: two",
	  "api.workers must be a whole number, not 'two'" },
	{ "churns.yml", "  workers: 2", "  workers:", "  workers:",
	  "api.workers has no value; leave the line out for the default, 2" },
	{ "churns.yml", "  workers: 2", "  workers: [2]", "  workers: [2]",
	  "api.workers must be a single value, not a list" },
	{ "churns.yml", "  lease_s: 30", "  lease_s: 30s", "lease_s: 30s",
	  "runner.lease_s must be a number of seconds, not '30s'" },
	{ "churns.yml", "  connect_timeout_s: 10", "  connect_timeout_s: 0.5",
	  "connect_timeout_s: 0.5", "calls.connect_timeout_s must be from 1 "
	  "to 300 seconds, not 0.5" },
	{ "churns.yml", "  renew_s: 10", "  renew_s: 15.001", "renew_s: 15",
	  "runner.renew_s must be at most half of runner.lease_s" },
	{ "churns.yml", "  retry_base_ms: 500", "  retry_base_ms: 8001",
	  "retry_base_ms", "calls.retry_base_ms must not exceed "
	  "calls.retry_cap_ms" },
	{ "churns.yml", "  max_upload_mb: 50", "  max_upload_mb: 65",
	  "max_upload_mb: 65", "limits.max_upload_mb must not exceed "
	  "api.max_body_mb" },
	{ "churns.yml", "presentation_mode: no", "presentation_mode: enabled",
	  "presentation_mode: enabled",
	  "presentation_mode must be yes or no, not 'enabled'" },
	{ "churns.yml", "  level: info", "  level: loud", "level: loud",
	  "log.level must be debug, info, warn, error" },
	{ "churns.yml", "  sendfile: direct", "  sendfile: nginx",
	  "sendfile: nginx", "api.sendfile must be direct, x-sendfile or "
	  "x-accel, not 'nginx'" },
	{ "churns.yml", "prefix: /churns-files/", "prefix: churns-files",
	  "prefix: churns-files", "api.sendfile_prefix must begin and end "
	  "with a slash" },
	{ "churns.yml", "database: sqlite:db/churns.sqlite",
	  "database: postgres://x", "database: postgres",
	  "database must be sqlite:PATH, not 'postgres://x'" },
	{ "churns.yml", "# run_dir: /run/churns", "run_dir: run/churns",
	  "run_dir: run", "run_dir must be an absolute path" },
	{ "churns.yml", "  listen: push.sock", "  listen: 0.0.0.0:8001",
	  "listen: 0.0.0.0:8001", "push.listen must be a socket or a loopback address" },
	{ "churns.yml", "  listen: api.sock", "  listen: localhost:http",
	  "listen: localhost", "api.listen must be the path of a socket or "
	  "host:port" },
	{ "churns.yml", "  day_usd: 0", "  day_usd: 1e3", "  day_usd",
	  "budget.day_usd must be an amount of dollars such as 2.50, not "
	  "'1e3'" },
	{ "churns.yml", "  day_usd: 0", "  day_usd: 1000000.000000001",
	  "  day_usd", "budget.day_usd must be from 0 to 1000000 dollars" },
	{ "churns.yml", "  run_max_usd: 0", "  run_max_usd: 0.0000000001",
	  "  run_max_usd", "budget.run_max_usd must be an amount of dollars" },
	{ "churns.yml", "  run_usd: 0\n  run_max_usd: 0",
	  "  run_usd: 2.01\n  run_max_usd: 2", "  run_usd: 2.01",
	  "budget.run_usd must not exceed budget.run_max_usd" },
	{ "churns.yml", "    - http://frontend:3000", "    - \"*\"",
	  "  cors_origins:", "api.cors_origins has '*', which is not an "
	  "origin" },
	{ "churns.yml", "    - http://frontend:3000",
	  "    - https://shop.example/", "  cors_origins:",
	  "api.cors_origins has 'https://shop.example/'" },
	{ "churns.yml", "    - ::1", "    - localhost", "  operators:",
	  "api.operators has 'localhost', which is not an address or a "
	  "network" },
	{ "churns.yml", "    - ::1", "    - 10.0.0.0/33", "  operators:",
	  "api.operators has '10.0.0.0/33'" },
	{ "churns.yml", "  max_retries: 3",
	  "  max_retries: 3\n  max_retries: 4",
	  "  max_retries: 4", "\"max_retries\" is there twice" },

	/* stage_order.yml */
	{ "stage_order.yml", "\ncaption:", "\ncaptions:", "captions:",
	  "unknown key 'captions'; did you mean 'caption'?" },
	{ "stage_order.yml", "  - save_outputs", "  - load_base_image",
	  "  - load_base_image\n\n", "stage load_base_image stands in "
	  "refinement twice" },
	{ "stage_order.yml", "\ncaption:\n  - caption", "\ncaption: []",
	  "caption: []", "caption has no stages" },
	{ "stage_order.yml", "\ncaption:\n  - caption", "\ncaption: caption",
	  "caption: caption", "caption must be a list, not a single value" },

	/* models.yml: captions */
	{ "models.yml", "\ncaption_models:\n", "\ncaption_model:\n",
	  "caption_model:", "unknown key 'caption_model'; did you mean "
	  "'caption_models'?" },
	{ "models.yml", "  offered:\n", "  default: gpt-5\n  offered:\n",
	  "default: gpt-5", "default is 'gpt-5', which is not among" },
	{ "models.yml", "      latency: Low", "      latency: Medium",
	  "latency: Medium", "latency must be Low or Higher, not 'Medium'" },
	{ "models.yml", "      latency: Low\n", "",
	  "    openai/gpt-4.1:\n      name", "latency is missing" },
	{ "models.yml", "      name: Quick", "      name:", "name:\n      desc",
	  "name has no value" },
	{ "models.yml", "      strengths: [fast, steady]",
	  "      strengths: [fast, fast]", "strengths: [fast, f",
	  "'fast' stands in strengths twice" },
	{ "models.yml", "      name: Quick", "      model: gpt-0\n      name: Q",
	  "    openai/gpt-4.1:\n      model", "there is no model 'gpt-0'" },
	{ "models.yml", "      name: Quick",
	  "      model: gpt-image-1\n      name: Q",
	  "    openai/gpt-4.1:\n      model", "model gpt-image-1 makes pictures" },
	{ "models.yml", "      name: Quick",
	  "      provider: nobody\n      name: Q", "provider: nobody",
	  "there is no provider 'nobody'" },

	/* models.yml: providers */
	{ "models.yml", "    key: OPENAI_API_KEY", "    key: sk-live-12345",
	  "sk-live", "key must be the name of an environment variable" },
	{ "models.yml", "    key: OPENAI_API_KEY", "    key: MY_ACCESS",
	  "MY_ACCESS", "key must be the name of an environment variable" },
	{ "models.yml", "    key: OPENAI_API_KEY\n", "",
	  "  openai:\n    wire:", "key is missing" },
	{ "models.yml", "base_url: https://api.openai.com/v1",
	  "base_url: api.openai.com/v1", "base_url: api",
	  "base_url must begin with http:// or https://" },
	{ "models.yml", "base_url: https://api.openai.com/v1",
	  "base_url: https://me:word@api.openai.com/v1", "base_url: https://me",
	  "base_url must not hold a user name or password" },
	{ "models.yml", "    wire: gemini", "    wire: grpc", "wire: grpc",
	  "wire must be openai or gemini, not 'grpc'" },
	{ "models.yml", "    max_parallel: 16", "    max_parallel: 0",
	  "max_parallel: 0", "max_parallel must be a whole number from 1 to "
	  "1024, not '0'" },

	/* models.yml: models */
	{ "models.yml", "prices_as_of: 2025-09-01", "prices_as_of: today",
	  "prices_as_of: today", "prices_as_of must be YYYY-MM-DD" },
	{ "models.yml", "    price: { input: 0.50, output: 2.15, "
	  "cached_input: 0.25 }\n", "", "  deepseek/deepseek-r1-0528:",
	  "model deepseek/deepseek-r1-0528 has no price; if it costs "
	  "nothing, say price: free" },
	{ "models.yml", "{ input: 0.50, output: 2.15, cached_input: 0.25 }",
	  "{ input: 0.50 }", "{ input: 0.50 }", "output is missing" },
	{ "models.yml", "{ input: 0.50, output: 2.15, cached_input: 0.25 }",
	  "{ input: 0.50, output: \"2,15\" }", "2,15",
	  "price output must be US dollars per million tokens, such as 1.25, "
	  "not '2,15'" },
	{ "models.yml", "{ input: 0.50, output: 2.15, cached_input: 0.25 }",
	  "{ input: -1, output: 1 }", "input: -1", "price input must be" },
	{ "models.yml", "{ input: 0.50, output: 2.15, cached_input: 0.25 }",
	  "{ input: 0.0000000001, output: 1 }", "0.0000000001",
	  "price input must be" },
	{ "models.yml", "{ input: 0.50, output: 2.15, cached_input: 0.25 }",
	  "cheap", "price: cheap", "price must be free or {" },
	{ "models.yml", "{ input: 0.50, output: 2.15, cached_input: 0.25 }",
	  "{ input: 1, output: 2, cache: 1 }", "cache: 1",
	  "unknown key 'cache'" },
	{ "models.yml", "  openai/gpt-4o: { same_as: gpt-4o }",
	  "  openai/gpt-4o: { same_as: gpt-5 }", "same_as: gpt-5",
	  "same_as: there is no model gpt-5 above" },
	{ "models.yml", "{ rule: patch, factor: 1.72 }", "{ rule: patch }",
	  "{ rule: patch }", "rule patch needs a factor above 0" },
	{ "models.yml", "{ rule: tile, base: 2833, tile: 5667 }",
	  "{ rule: tile, base: 2833 }", "{ rule: tile, base: 2833 }",
	  "rule tile needs base and tile" },
	{ "models.yml", "      \"2:3\": 1024x1536", "      \"2/3\": 1024x1536",
	  "\"2/3\"", "'2/3' is not an aspect such as \"3:2\"" },
	{ "models.yml", "      \"2:3\": 1024x1536", "      \"2:3\": 1024",
	  "\"2:3\": 1024", "'1024' is not a size such as 1536x1024" },
	{ "models.yml", "    answers: text\n    reasoning: yes\n  qwen",
	  "    two_images: yes\n  qwen", "    two_images: yes\n  qwen",
	  "two_images is for models with kind: image" },

	{ "models.yml", "    output_tokens: 1290\n", "",
	  "  gemini-2.5-flash-image-preview:\n", "image model "
	  "gemini-2.5-flash-image-preview needs output_tokens, or its "
	  "pictures would have no price" },

	/* models.yml: purposes */
	{ "models.yml", "    model: openai/o4-mini\n",
	  "    model: openai/o5-mini\n", "    model: openai/o5-mini",
	  "there is no model 'openai/o5-mini' in " },
	{ "models.yml", "    provider: gemini\n", "    provider: google\n",
	  "    provider: google\n", "there is no provider 'google' in " },
	{ "models.yml", "      gemini: gemini-2.5-flash-image-preview",
	  "      gemini: gemini-2.5-pro", "      gemini: gemini-2.5-pro",
	  "model gemini-2.5-pro does not make pictures" },
	{ "models.yml", "      openai: gpt-image-1", "      openai: dall-e",
	  "      openai: dall-e", "there is no model 'dall-e'" },
	{ "models.yml", "      gemini: gemini-2.5-flash-image-preview\n", "",
	  "    models:\n", "models has no model for provider gemini" },
	{ "models.yml", "    model: openai/o4-mini\n",
	  "    model: gpt-image-1\n", "    model: gpt-image-1\n",
	  "model gpt-image-1 makes pictures; this work needs one that "
	  "writes" },
	{ "models.yml", "    temperature: 0.1\n    temperature_of",
	  "    temperature: hot\n    temperature_of", "temperature: hot", "temperature must be a number from 0 to 2, or "
	  "none" },
	{ "models.yml", "    temperature: 0.1\n    temperature_of",
	  "    temperature: 2.1\n    temperature_of", "temperature: 2.1",
	  "temperature must be a number from 0 to 2, or none" },
	{ "models.yml", "temperature_of: { o4-mini: 0.05",
	  "temperature_of: { o4-mini: warm", "temperature_of: { o4",
	  "o4-mini must be a number from 0 to 2, or none" },
	{ "models.yml", "temperature_of: { o4-mini: 0.05",
	  "temperature_of: { o5-mini: 0.05", "temperature_of: { o5",
	  "there is no model 'o5-mini' below" },
	{ "models.yml", "temperature_of: { o4-mini: 0.05, o4-mini-high: 0.05 }",
	  "temperature_of: 0.05", "temperature_of: 0.05",
	  "temperature_of must be a map" },
	{ "models.yml", "    timeout_s: 75", "    timeout: 75", "timeout: 75",
	  "unknown key 'timeout'; did you mean 'timeout_s'?" },

	/* platforms.yml */
	{ "platforms.yml", "aspect: \"2:3\"", "aspect: \"2:0\"",
	  "aspect: \"2:0\"", "'2:0' is not an aspect such as \"3:2\"" },
	{ "platforms.yml", "    width: 1024", "    width: wide",
	  "width: wide", "width must be a whole number from 1 to 16384, not "
	  "'wide'" },
	{ "platforms.yml", "    width: 1024\n", "",
	  "  - name: Pinterest", "a platform needs width and height" },
	{ "platforms.yml", "name: Facebook Post (Mixed)",
	  "name: Select Platform...", "name: Select",
	  "'Select Platform...' is a menu's placeholder, not a name" },
	{ "platforms.yml", "name: Facebook Post (Mixed)",
	  "name: Instagram Post (1:1 Square)", "  - name: Instagram Post "
	  "(1:1 Square)\n    width: 1200", "platform 'Instagram Post (1:1 "
	  "Square)' is there already" },
	{ "platforms.yml", "    pool: informative", "    pool: information",
	  "pool: information", "there is no pool 'information' in "
	  "pools.yml" },
	{ "platforms.yml", "name: 8. Behind", "name: Behind",
	  "name: Behind", "task type 'Behind the Scenes Imagery' must begin "
	  "with a number and a full stop" },
	{ "platforms.yml", "name: 8. Behind", "name: 7. Behind",
	  "name: 7. Behind", "the number of task type '7. Behind the Scenes "
	  "Imagery' is taken" },

	/* pools.yml */
	{ "pools.yml", "    - Light and playful", "    - fresh and modern",
	  "    - fresh and modern", "'fresh and modern' stands in voice "
	  "twice" },
	{ "pools.yml", "\ndefault:\n", "\nothers:\n", NULL,
	  "pool default is missing" },

	/* languages.yml */
	{ "languages.yml", "\"fo\": Faroese", "\"FO\": Faroese", "\"FO\"",
	  "'FO' is not a language code" },
	{ "languages.yml", "\"fo\": Faroese", "\"fo\":", "\"fo\":",
	  "language fo has no name" },
};

/* The same where one edit makes a name unknown and the right one missing, or
 * hits an entry and the one that is its copy: the first of two is checked. */
static const struct fault double_faults[] = {
	{ "models.yml", "    wire: gemini", "    wires: gemini",
	  "wires: gemini", "unknown key 'wires'; did you mean 'wire'?" },
	{ "models.yml", "\n  logo_eval:\n", "\n  logo_evil:\n",
	  "  logo_evil:", "unknown key 'logo_evil'; did you mean "
	  "'logo_eval'?" },
	{ "platforms.yml", "\ntask_types:", "\ntask_type:",
	  "task_type:", "unknown key 'task_type'; did you mean "
	  "'task_types'?" },
	{ "pools.yml", "\ninformative:\n  audience:", "\ninformative:\n"
	  "  audiences:", "  audiences:", "unknown key 'audiences'; did you "
	  "mean 'audience'?" },
};

static void
check_fault(const struct fault *f, int count)
{
	edit(f->file, f->old, f->new);
	load_bad(f->file, f->where != NULL ? line_of(f->file, f->where) : 0,
	    f->says, count);
}

START_TEST(each_fault_is_named_with_file_line_and_sentence)
{
	check_fault(&faults[_i], 1);
}
END_TEST

START_TEST(faults_that_come_in_pairs_are_both_told)
{
	check_fault(&double_faults[_i], 2);
}
END_TEST

START_TEST(missing_files_are_named)
{
	drop("languages.yml");
	load_bad(NULL, 0, "", 1);
	ck_assert_ptr_nonnull(strstr(problems.text.buf, "languages.yml"));
	put("languages.yml", "en: English\n");
	drop("models.yml");
	load_bad(NULL, 0, "", 1);
	ck_assert_ptr_nonnull(strstr(problems.text.buf, "models.yml"));
}
END_TEST

START_TEST(a_file_that_is_no_yaml_is_named_with_the_line)
{
	put("stage_order.yml", "generation:\n  - a\n  b: [\n");
	load_bad("stage_order.yml", 3, "", 1);
	put("stage_order.yml", "- generation\n");
	load_bad("stage_order.yml", 1, "the file must be a map", 1);
}
END_TEST

START_TEST(a_missing_directory_is_named)
{
	struct conf_options opts = { .dir = "/nonexistent/churns" };
	struct conf *conf = NULL;

	ck_assert_int_eq(conf_load(&opts, &problems, &conf), ERR_CONFIG);
	ck_assert_ptr_null(conf);
	ck_assert_str_eq(problems.text.buf, "/nonexistent/churns: the "
	    "directory of the configuration cannot be opened: No such file "
	    "or directory\n");
}
END_TEST

START_TEST(all_faults_of_all_files_are_told_at_once)
{
	static const char *const says[] = {
		"api.worker'", "LLM_MAX_RETRIES", "openai/o5", "has no price",
		"unknown key 'captions'", "'Elvish' is not", "not an aspect",
		"stands in voice twice", "IMAGE_GENERATION_PROVIDER",
	};
	struct conf *conf = NULL;
	size_t i;

	edit("churns.yml", "  workers: 2", "  worker: 2");
	put("churns.env", "LLM_MAX_RETRIES=many\n");
	setenv("IMAGE_GENERATION_PROVIDER", "Midjourney", 1);
	edit("models.yml", "model: openai/o4-mini\n", "model: openai/o5\n");
	edit("models.yml", "    price: { input: 0.50, output: 2.15, "
	    "cached_input: 0.25 }\n", "");
	edit("stage_order.yml", "\ncaption:", "\ncaptions:");
	edit("languages.yml", "\"fo\": Faroese", "Elvish: Quenya");
	edit("platforms.yml", "aspect: \"2:3\"", "aspect: \"2:0\"");
	edit("pools.yml", "    - Light and playful", "    - Fresh and modern");
	ck_assert_int_eq(load(false, &conf), ERR_CONFIG);
	ck_assert_ptr_null(conf);
	for (i = 0; i < ARRAY_LEN(says); i++)
		ck_assert_msg(strstr(problems.text.buf, says[i]) != NULL,
		    "no '%s' in\n%s", says[i], problems.text.buf);
	ck_assert_int_eq(problems.count, (int)ARRAY_LEN(says));
}
END_TEST

/* --- variables --------------------------------------------------------- */

static const struct {
	const char *name, *value, *says;
} variables[] = {
	{ "CHURNS_API_WORKERS", "0", "must be from 1 to 64, not 0" },
	{ "LLM_TIMEOUT_SECONDS", "soon",
	  "must be a number of seconds, not 'soon'" },
	{ "IMAGE_QUALITY_SETTING", "ultra", "must be low, medium or high" },
	{ "LOG_LEVEL", "chatty", "must be debug" },
	{ "CHURNS_RUNNER_RENEW_S", "16",
	  "must be at most half of runner.lease_s" },
	{ "CHURNS_DATA_DIR", "data", "must be an absolute path" },
	{ "CHURNS_API_LISTEN",
	  "/a-very-long-path/a-very-long-path/a-very-long-path/"
	  "a-very-long-path/a-very-long-path/a-very-long-path/api.sock",
	  "makes a socket path longer than the 107 bytes" },
	{ "STRATEGY_MODEL_PROVIDER", "mistral",
	  "there is no provider 'mistral' in " },
	{ "STYLE_GUIDER_MODEL_ID", "openai/gpt-9",
	  "there is no model 'openai/gpt-9' in " },
	{ "IMG_EVAL_MODEL_PROVIDER", "mistral",
	  "there is no provider 'mistral' in " },
	{ "CAPTION_MODEL_ID", "gpt-image-1", "model gpt-image-1 makes "
	  "pictures; this work needs one that writes" },
	{ "IMAGE_GENERATION_PROVIDER", "openrouter",
	  "models has no model for provider openrouter" },
	{ "OPENAI_BASE_URL", "ftp://x", "must begin with http:// or "
	  "https://" },
	{ "GEMINI_SIMULATED", "maybe", "must be yes or no, not 'maybe'" },
};

static bool
says_twice(const char *name)
{
	return strcmp(name, "IMG_EVAL_MODEL_PROVIDER") == 0;
}

START_TEST(a_wrong_variable_is_named)
{
	char *want = xasprintf("environment variable %s: %s",
	    variables[_i].name, variables[_i].says);
	struct conf *conf = NULL;

	setenv(variables[_i].name, variables[_i].value, 1);
	ck_assert_int_eq(load(false, &conf), ERR_CONFIG);
	ck_assert_msg(strncmp(problems.text.buf, want, strlen(want)) == 0,
	    "wanted %s, got\n%s", want, problems.text.buf);
	/* Two purposes share the pair of the strategy calls. */
	ck_assert_int_eq(problems.count, says_twice(variables[_i].name) ? 2 :
	    1);
	free(want);
}
END_TEST

START_TEST(the_chosen_image_model_must_have_a_price_for_the_quality)
{
	setenv("IMAGE_GENERATION_PROVIDER", "openai", 1);
	edit("models.yml", "      medium: {", "      mid: {");
	load_bad("models.yml", line_of("models.yml", "openai: gpt-image-1"),
	    "model gpt-image-1 has no output_tokens for quality medium", 1);
	setenv("IMAGE_QUALITY_SETTING", "low", 1);
	conf_free(load_good());
}
END_TEST

START_TEST(the_openai_protocol_needs_sizes)
{
	add_model(MORE_SHAPES);
	edit("models.yml", "      openai: gpt-image-1",
	    "      openai: more-shapes");
	conf_free(load_good());
	setenv("IMAGE_GENERATION_PROVIDER", "openai", 1);
	load_bad("models.yml", line_of("models.yml", "openai: more-shapes"),
	    "provider openai is told sizes, but model more-shapes lists none "
	    "for its aspects", 1);
}
END_TEST

START_TEST(a_wrong_line_of_the_env_file_is_named)
{
	char *line = xasprintf("# changes\nA=1\n  export %s = '%s'\nB=2\n",
	    variables[_i].name, variables[_i].value);
	char *want = xasprintf("%s/churns.env:3: %s: %s", dir,
	    variables[_i].name, variables[_i].says);
	struct conf *conf = NULL;

	put("churns.env", line);
	ck_assert_int_eq(load(false, &conf), ERR_CONFIG);
	ck_assert_msg(strncmp(problems.text.buf, want, strlen(want)) == 0,
	    "wanted %s, got\n%s", want, problems.text.buf);
	free(want);
	free(line);
}
END_TEST

START_TEST(an_env_file_that_cannot_be_read_does_not_hide_other_faults)
{
	struct conf *conf = NULL;

	put("churns.env", "A=1\nthis is no assignment\n");
	load_bad("churns.env", 2, "", 1);
	edit("churns.yml", "  workers: 2", "  worker: 2");
	ck_assert_int_eq(load(false, &conf), ERR_CONFIG);
	ck_assert_int_eq(problems.count, 2);
}
END_TEST

START_TEST(an_env_file_that_was_asked_for_must_be_there)
{
	struct conf_options opts = { .dir = dir, .env_file = "/nonexistent" };
	struct conf *conf = NULL;

	ck_assert_int_eq(conf_load(&opts, &problems, &conf), ERR_CONFIG);
	ck_assert_int_eq(problems.count, 1);
	ck_assert_ptr_nonnull(strstr(problems.text.buf, "/nonexistent"));
	setenv("CHURNS_ENV_FILE", "/nowhere/churns.env", 1);
	load_bad(NULL, 0, "", 1);
	ck_assert_ptr_nonnull(strstr(problems.text.buf, "/nowhere/churns.env"));
}
END_TEST

START_TEST(no_problem_repeats_a_secret)
{
	struct conf *conf = NULL;

	setenv("OPENROUTER_API_KEY", "sk-secret with blank", 1);
	put("churns.env", "GEMINI_API_KEY=\"sk-secret\tagain\"\n");
	edit("models.yml", "    key: OPENAI_API_KEY",
	    "    key: sk-secret-pasted");
	ck_assert_int_eq(load(true, &conf), ERR_CONFIG);
	ck_assert_int_eq(problems.count, 3);
	ck_assert_ptr_null(strstr(problems.text.buf, "sk-secret"));
	ck_assert_ptr_nonnull(strstr(problems.text.buf,
	    "environment variable OPENROUTER_API_KEY: the key has a blank"));
	ck_assert_ptr_nonnull(strstr(problems.text.buf,
	    "churns.env:1: GEMINI_API_KEY: the key has a blank"));
}
END_TEST

START_TEST(a_problem_is_one_line_whatever_it_quotes)
{
	struct conf *conf = NULL;

	setenv("LLM_MAX_RETRIES", "1\nroot: all is well", 1);
	ck_assert_int_eq(load(false, &conf), ERR_CONFIG);
	ck_assert_int_eq(problems.count, 1);
	ck_assert_ptr_eq(strchr(problems.text.buf, '\n'),
	    problems.text.buf + problems.text.len - 1);
	ck_assert_ptr_nonnull(strstr(problems.text.buf, "'1?root"));
}
END_TEST

/* --- the first implementation's sample file ---------------------------- */

/* Its kind: providers in lower case, ids without vendor, much that nothing
 * reads, keys as they were named. */
static const char old_env[] =
	"# Application\n"
	"ENV=development\n"
	"DEBUG=true\n"
	"LOG_LEVEL=INFO\n"
	"SECRET_KEY=change-me\n"
	"ALLOWED_HOSTS=[\"localhost\", \"127.0.0.1\"]\n"
	"CORS_ORIGINS=http://localhost:3000,http://localhost:8000\n"
	"\n"
	"# Database\n"
	"DATABASE_URL=sqlite:///./churns.db\n"
	"REDIS_URL=redis://localhost:6379/0\n"
	"REDIS_PASSWORD=\n"
	"\n"
	"# Models\n"
	"OPENAI_API_KEY=sk-old-one\n"
	"OPENAI_MODEL=gpt-4-turbo-preview\n"
	"OPENAI_MAX_TOKENS=4096\n"
	"IMG_EVAL_MODEL_PROVIDER=openai\n"
	"IMG_EVAL_MODEL_ID=gpt-4.1\n"
	"STRATEGY_MODEL_PROVIDER=openrouter\n"
	"STRATEGY_MODEL_ID=gpt-4.1-mini\n"
	"STYLE_GUIDER_MODEL_PROVIDER=openrouter\n"
	"STYLE_GUIDER_MODEL_ID=gemini-2.5-pro\n"
	"CREATIVE_EXPERT_MODEL_PROVIDER=gemini\n"
	"CREATIVE_EXPERT_MODEL_ID=\n"
	"IMAGE_ASSESSMENT_MODEL_PROVIDER=openai\n"
	"IMAGE_ASSESSMENT_MODEL_ID=o4-mini\n"
	"IMAGE_GENERATION_PROVIDER=openai\n"
	"IMAGE_GENERATION_MODEL_ID=dall-e-3\n"
	"\n"
	"# Limits\n"
	"MAX_FILE_SIZE=10485760   # 10 MB\n"
	"ALLOWED_EXTENSIONS=jpg,jpeg,png\n"
	"MAX_IMAGE_WIDTH=2048\n"
	"IMAGE_QUALITY=85\n"
	"TASK_TIMEOUT=300\n"
	"MAX_CONCURRENT_TASKS=5\n"
	"TASK_RETRY_ATTEMPTS=3\n"
	"RATE_LIMIT_REQUESTS=100\n"
	"CACHE_TTL=3600\n"
	"ENABLE_METRICS=true\n"
	"CHURNS_SIMULATE=0\n"
	"export BACKUP_SCHEDULE=\"0 2 * * *\"\n"
	"PRESENTATION_MODE=off\n";

START_TEST(an_old_env_file_works_as_it_is)
{
	static const struct {
		enum purpose_id id;
		const char *provider, *model;
	} want[] = {
		{ PURPOSE_IMAGE_EVAL, "openai", "gpt-4.1" },
		{ PURPOSE_LOGO_EVAL, "openai", "gpt-4.1" },
		{ PURPOSE_STRATEGY_GOALS, "openrouter",
		  "openai/gpt-4.1-mini" },
		{ PURPOSE_STYLE_GUIDE, "openrouter",
		  "google/gemini-2.5-pro" },
		{ PURPOSE_CREATIVE_EXPERT, "gemini", "gemini-2.5-pro" },
		{ PURPOSE_IMAGE_ASSESSMENT, "openai", "o4-mini" },
		{ PURPOSE_IMAGE_GENERATION, "openai", "gpt-image-1" },
	};
	const struct purpose *p;
	struct conf *conf;
	size_t i;

	put("churns.env", old_env);
	conf = load_with_keys();
	for (i = 0; i < ARRAY_LEN(want); i++) {
		p = &conf->purposes[want[i].id];
		ck_assert_str_eq(p->provider->name, want[i].provider);
		ck_assert_str_eq(p->model->id, want[i].model);
	}
	ck_assert(conf->settings.development);
	ck_assert(!conf->settings.presentation_mode);
	ck_assert_str_eq(conf_provider(conf, "openai")->key, "sk-old-one");
	ck_assert(conf->purposes[PURPOSE_STYLE_GUIDE].missing_key);
	ck_assert_str_eq(conf->settings.image_quality, "medium");
	conf_free(conf);
}
END_TEST

TCase *
conf_faults_case(void)
{
	TCase *tc = tcase_create("faults");

	tcase_add_checked_fixture(tc, conf_setup, conf_teardown);
	tcase_add_loop_test(tc,
	    each_fault_is_named_with_file_line_and_sentence, 0,
	    ARRAY_LEN(faults));
	tcase_add_loop_test(tc, faults_that_come_in_pairs_are_both_told, 0,
	    ARRAY_LEN(double_faults));
	tcase_add_test(tc, missing_files_are_named);
	tcase_add_test(tc, a_file_that_is_no_yaml_is_named_with_the_line);
	tcase_add_test(tc, a_missing_directory_is_named);
	tcase_add_test(tc, all_faults_of_all_files_are_told_at_once);
	tcase_add_loop_test(tc, a_wrong_variable_is_named, 0,
	    ARRAY_LEN(variables));
	tcase_add_test(tc,
	    the_chosen_image_model_must_have_a_price_for_the_quality);
	tcase_add_test(tc, the_openai_protocol_needs_sizes);
	tcase_add_loop_test(tc, a_wrong_line_of_the_env_file_is_named, 0,
	    ARRAY_LEN(variables));
	tcase_add_test(tc,
	    an_env_file_that_cannot_be_read_does_not_hide_other_faults);
	tcase_add_test(tc, an_env_file_that_was_asked_for_must_be_there);
	tcase_add_test(tc, no_problem_repeats_a_secret);
	tcase_add_test(tc, a_problem_is_one_line_whatever_it_quotes);
	tcase_add_test(tc, an_old_env_file_works_as_it_is);
	return tc;
}
