/*
 * The configuration: everything under conf/ that is data, loaded once when a
 * process starts, cross-checked, and read-only afterwards.
 *
 *   churns.yml        settings of the programs            struct settings
 *   stage_order.yml   stages per mode                     struct stage_order
 *   models.yml        providers, models, purposes         struct provider ...
 *   platforms.yml     platforms and task types
 *   pools.yml         words for when a model is out       struct pool
 *   languages.yml     accepted languages, English names
 *   prompts/ schemas/ are loaded by the rooms that use them (stages, model),
 *                     from conf->dir
 *
 * A fault never stops the loading: all faults of all files are collected in
 * struct problems, each as "file:line: plain sentence", so that one look
 * tells everything.  A program that finds any ends with exit status 78.
 *
 * Order of precedence for a setting: real environment variable, env file,
 * churns.yml, default.  The names of the environment variables of the first
 * implementation keep working; each setting's row says which they are.
 */
#ifndef CHURNS_CONF_H
#define CHURNS_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "env.h"
#include "err.h"
#include "log.h"
#include "strbuf.h"
#include "yaml.h"

#define EXIT_CONFIG 78		/* EX_CONFIG of sysexits.h */
#define MAX_VARIANTS 6
#define MAX_ASPECTS 16
#define MAX_OWN_TEMPERATURES 8
#define MAX_STAGES 16
#define CONF_CLIENTS 18
#define MAX_CAPTION_MODELS 16

/* --- faults ------------------------------------------------------------- */

struct problems {
	struct strbuf text;	/* one problem a line */
	int count;
};

void problems_init(struct problems *p);
void problems_release(struct problems *p);
/* path may be NULL, line 0: both are left out. */
void problems_add(struct problems *p, const char *path, int line,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* --- churns.yml --------------------------------------------------------- */

enum sendfile_mode {
	SENDFILE_DIRECT,	/* churns-api sends the bytes itself */
	SENDFILE_X_SENDFILE,	/* lighttpd, Apache: absolute path */
	SENDFILE_X_ACCEL	/* nginx: api.sendfile_prefix + path in runs/ */
};

enum store_sync { STORE_SYNC_NORMAL, STORE_SYNC_FULL };

/* Strings are owned by the struct conf and never NULL unless it says so. */
struct settings {
	/* where things are */
	char *data_dir;		/* holds runs/ (and db/ unless database says else) */
	char *run_dir;		/* wake sockets and life-sign files */
	char *database;		/* "sqlite:PATH"; PATH is absolute once loaded */
	char *image_helper;	/* path of churns-image */

	enum log_level log_level;
	enum log_format log_format;
	bool presentation_mode;
	bool development;	/* ENV=development: answers carry real error texts */

	char *api_listen;	/* Unix socket, absolute once loaded; or host:port */
	int api_workers;	/* processes */
	int api_threads;	/* accepting threads in each */
	int api_max_rss_mb;	/* retire a worker above; 0: never */
	int api_max_requests;	/* retire a worker after; 0: never */
	int api_read_timeout_ms;	/* of silence in the middle of a request */
	int64_t api_max_body_bytes;
	int64_t max_upload_bytes;	/* one picture */
	enum sendfile_mode api_sendfile;
	char *api_sendfile_prefix;
	char **cors_origins;	/* NULL-terminated; "*." is one part of a name */
	char **api_operators;	/* NULL-terminated addresses and networks (net.h) */

	int runner_max_jobs;	/* executed at once */
	int runner_max_lanes;	/* lane threads for all jobs together */
	int runner_lease_ms;
	int runner_renew_ms;
	int runner_poll_ms;	/* longest sleep between looks at the queue */
	int runner_max_attempts;	/* without a checkpoint in between */
	int runner_max_rss_mb;	/* drain and exit 0 above; 0: never */
	int run_deadline_ms;

	char *push_listen;	/* Unix socket, absolute once loaded; or loopback:port */
	char **push_origins;	/* NULL-terminated; empty: cors_origins */
	int push_max_sockets;	/* followed at once */
	int push_max_per_address;	/* of them from one address; 0: no limit */
	int push_max_frame_bytes;	/* longest message taken from a client */
	int push_queue_messages;	/* waiting for one socket, beyond it is dropped */
	int64_t push_queue_bytes;
	int push_ping_ms;	/* between signs of life */
	int push_pong_ms;	/* patience for the answer */
	int push_poll_ms;	/* between looks for news nobody told of */
	int push_recent_ms;	/* how long an end is told to those who come late */

	enum store_sync store_sync;
	int store_cache_kb;
	int store_lock_wait_ms;	/* longest wait for the write turn */

	int max_retries;	/* transport retries per call */
	int validation_retries;	/* re-asks after an unusable answer */
	int llm_timeout_ms;	/* per attempt */
	int image_timeout_ms;
	int stage_timeout_ms;	/* calls of a stage, for one variant, all in all */
	int connect_timeout_ms;
	int retry_base_ms;	/* first pause; doubles, +-25 %, cap retry_cap_ms */
	int retry_cap_ms;
	int retry_after_cap_ms;	/* longest Retry-After that is honoured */
	int max_parallel_llm;	/* per process, over all providers */
	int max_parallel_image;
	int64_t max_body_in_flight_bytes;	/* answers being received, all together */
	char *image_quality;	/* low, medium, high */

	/* what may be spent, nano-dollars; 0: no limit */
	int64_t budget_run_nano;	/* by a run that does not say */
	int64_t budget_run_max_nano;	/* by a run at most, whatever it says */
	int64_t budget_owner_day_nano;	/* for one owner in a day (UTC) */
	int64_t budget_day_nano;	/* in a day (UTC) */

	int analysis_max_px;	/* long side shown to image_eval */
	int assessment_max_px;
	int max_brief_chars;
	int max_instruction_chars;
	int max_overlay_chars;
	int max_voice_chars;
	int64_t max_image_pixels;	/* refused above, before decoding */
};

/* --- models.yml --------------------------------------------------------- */

enum wire {
	WIRE_OPENAI,		/* /chat/completions, /images/generations, /images/edits */
	WIRE_GEMINI		/* /models/ID:generateContent; chat at /openai/chat/completions */
};

struct provider {
	char *name;		/* as in models.yml, lower case: "openrouter" */
	enum wire wire;
	char *base_url;		/* no trailing slash; after environment overrides */
	char *key_env;		/* NULL with "key: none" */
	char *key;		/* owned; NULL unless conf_load() was told to keep secrets */
	int max_parallel;	/* calls in flight to it, per process */
	int max_connections;	/* TCP connections per host */
	int rate_per_minute;	/* requests; 0: no limit of ours */
	bool http2;
	bool simulated;		/* answers come from churns-sim; results say so */
	int line;
};

enum answer_mode {		/* the best the model is known to support */
	ANSWER_TEXT,
	ANSWER_JSON_OBJECT,
	ANSWER_JSON_SCHEMA
};

enum token_rule { TOKENS_AREA, TOKENS_PATCH, TOKENS_TILE };	/* generation.md 13.2 */

struct aspect_size {
	char *aspect;		/* "2:3" */
	char *size;		/* "1024x1536"; NULL where the provider takes none */
};

struct image_price {		/* output tokens of one picture */
	char *quality;		/* "medium"; "" when the model has none */
	char *size;		/* "1024x1024"; "" for every size */
	int tokens;
};

struct model_info {
	char *id;		/* "openai/gpt-4.1" */
	bool is_image;		/* makes pictures */
	bool is_free;		/* "price: free" */
	/* nano-dollars per million tokens */
	int64_t price_input;	/* text */
	int64_t price_image_input;
	int64_t price_output;	/* text, or image tokens when is_image */
	int64_t price_cached_input;
	enum answer_mode answer_mode;
	bool takes_temperature;
	bool takes_aspect;	/* Gemini imageConfig.aspectRatio */
	bool takes_two_images;
	bool reasoning;		/* output limits also pay for hidden reasoning */
	bool max_completion_tokens;	/* name of the limit on the wire */
	enum token_rule token_rule;
	int tile_base, tile_tokens;
	double patch_factor;
	struct aspect_size aspects[MAX_ASPECTS];	/* in order of the file */
	int n_aspects;
	struct image_price *image_prices;
	int n_image_prices;
	int line;
};

/* What calls are made for; prompts, sampling and ledger rows carry its name. */
enum purpose_id {
	PURPOSE_IMAGE_EVAL,
	PURPOSE_LOGO_EVAL,
	PURPOSE_STRATEGY_GOALS,
	PURPOSE_STYLE_GUIDE,
	PURPOSE_CREATIVE_EXPERT,
	PURPOSE_STYLE_ADAPTATION,
	PURPOSE_IMAGE_GENERATION,
	PURPOSE_IMAGE_ASSESSMENT,
	PURPOSE_CAPTION,
	PURPOSE__COUNT
};

/* A model that does this work at a temperature of its own. */
struct own_temperature {
	char *model;		/* its id, or the part after the last slash */
	double value;
};

struct purpose {
	const struct provider *provider;	/* NULL: not configured */
	const struct model_info *model;	/* NULL: not configured */
	const struct provider *fallback_provider;	/* NULL: none */
	const struct model_info *fallback_model;
	double temperature;	/* < 0: not sent */
	struct own_temperature own[MAX_OWN_TEMPERATURES];
	int n_own;
	int max_tokens;		/* 0: not sent */
	int reasoning_max_tokens;	/* used instead when the model reasons; 0: max_tokens */
	int timeout_ms;		/* 0: the setting */
	bool missing_key;	/* provider needs a key that is not there */
	int line;
};

const char *purpose_name(enum purpose_id id);	/* "image_eval", ... */
bool purpose_parse(const char *name, enum purpose_id *out);
/* What a model is to be asked at; < 0: nothing is sent. */
double purpose_temperature(const struct purpose *p, const struct model_info *m);

struct words {
	char **item;
	int n;
};

/* One choice of whoever asks for a caption. */
struct caption_model {
	char *id;		/* what clients name it by; usually the model's */
	char *name, *description, *best_for, *creativity;	/* for people */
	struct words strengths;
	bool fast;		/* latency "Low" */
	const struct provider *provider;	/* who is asked, and for what */
	const struct model_info *model;
	int line;
};

/* --- stage_order.yml ---------------------------------------------------- */

enum mode { MODE_GENERATION, MODE_REFINEMENT, MODE_CAPTION, MODE__COUNT };

const char *mode_name(enum mode m);
bool mode_parse(const char *name, enum mode *out);

struct stage_order {
	char *names[MAX_STAGES];
	int lines[MAX_STAGES];	/* where each stands in the file; 0: built in */
	int n;
};

/* --- platforms.yml, pools.yml, languages.yml ---------------------------- */

struct platform {
	char *name;		/* "Instagram Post (1:1 Square)" */
	char *short_name;	/* "Instagram Post", by the rule of generation.md 2.2 */
	int width, height;
	char *aspect;		/* "1.91:1" */
	char *guidance_key;	/* which platform text prompts use; never NULL */
};

struct task_type {
	char *name;		/* "4. Menu Spotlights" */
	char *pool;		/* name of its pool */
};

struct pool {
	char *name;		/* "product_focus" */
	struct words audience, niche, objective, voice;
};

struct language {
	char code[4];
	char *name;		/* English name */
};

/* --- everything --------------------------------------------------------- */

struct conf {
	char *dir;		/* where it was read from; absolute */
	char *stage_order_path;
	char *models_path;
	struct settings settings;
	struct provider *providers;
	int n_providers;
	struct model_info *models;
	int n_models;
	struct purpose purposes[PURPOSE__COUNT];
	struct caption_model *caption_models;	/* in order of the file */
	int n_caption_models;	/* 0: none are offered */
	int default_caption_model;	/* place in them */
	char *prices_as_of;	/* date text from models.yml */
	struct stage_order order[MODE__COUNT];
	struct platform *platforms;
	int n_platforms;
	struct task_type *task_types;
	int n_task_types;
	struct pool *pools;
	int n_pools;
	struct language *languages;
	int n_languages;
	int keys_found, keys_needed;	/* of the providers that purposes use */
};

struct conf_options {
	const char *dir;	/* NULL: $CHURNS_CONF_DIR, else the installed one */
	const char *env_file;	/* NULL: $CHURNS_ENV_FILE, else DIR/churns.env if there */
	bool secrets;		/* keep provider keys (churns-runner, churnsctl doctor) */
};

/*
 * Load and check.  Returns ERR_OK with *out complete, or ERR_CONFIG with all
 * faults in problems (and *out untouched).  A missing key is no fault here:
 * it is noted in purposes[].missing_key when opts->secrets, and whoever needs
 * the key decides.  The caller frees *out with conf_free().
 */
enum err_code conf_load(const struct conf_options *opts,
    struct problems *problems, struct conf **out);
void conf_free(struct conf *conf);	/* wipes keys */

/* The directory it is (or would be) read from, absolute, to be freed; NULL
 * after a report. For checking what else is in there. */
char *conf_find_dir(const struct conf_options *opts,
    struct problems *problems);

/* One line per missing key ("OPENAI_API_KEY is not set; image_generation
 * needs it (models.yml:12)"), for the runner that must refuse to start. */
int conf_missing_keys(const struct conf *conf, struct strbuf *out);

/*
 * The resolved configuration as YAML with, per setting, its value, where it
 * came from (default, file line, variable) and what it means. No secrets:
 * keys are shown as "set" or "not set".
 */
void conf_print(const struct conf *conf, struct strbuf *out);

/*
 * The clients by the names they have always had, and whether each is
 * configured: its provider is there, with its key (so opts->secrets is wanted).
 * Returns how many are.
 */
struct conf_client {
	const char *name;	/* "base_llm_client_strategy" */
	bool configured;
};
int conf_clients(const struct conf *conf, struct conf_client out[CONF_CLIENTS]);

/* "clients configured 15 of 18, ..." for the start-up log; no secrets. */
void conf_summary(const struct conf *conf, struct strbuf *out);

/* Look-ups; NULL when there is none. */
const struct platform *conf_platform(const struct conf *conf, const char *name);
const struct task_type *conf_task_type(const struct conf *conf, const char *name);
/* By task type name prefix as in generation.md 2.3; never NULL ("default"). */
const struct pool *conf_pool(const struct conf *conf, const char *task_type);
const struct language *conf_language(const struct conf *conf, const char *code);
/* English name; the upper-cased code in buf when unknown (buf of 16). */
const char *conf_language_name(const struct conf *conf, const char *code,
    char buf[16]);
const struct model_info *conf_model(const struct conf *conf, const char *id);	/* exact, then after the last '/' */
const struct provider *conf_provider(const struct conf *conf, const char *name);	/* any case */
const struct caption_model *conf_caption_model(const struct conf *conf,
    const char *id);
bool conf_any_simulated(const struct conf *conf);

/* "Instagram Post (1:1 Square)" -> "Instagram Post": the rule itself. */
char *platform_short_name(const char *name);

#endif
