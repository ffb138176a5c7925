/*
 * churns.yml: one table of rows that parses, checks and documents at once.
 *
 * To add a setting: a member in struct settings (conf.h), a row in
 * setting_rows[] below, and its line with a comment in conf/churns.yml (a test
 * compares the two).  Nothing else knows the settings by name.
 *
 * The key is the path in the file, "api.workers".  Its environment variable is
 * made from it, CHURNS_API_WORKERS; old_name is the one the first
 * implementation had, if any.  The new name wins over the old one, both win
 * over the file, the file over the default.  Every source goes through the
 * same text parser, the default of the row included.
 */
#include "settings.h"

#include "net.h"
#include "xalloc.h"

#define MAX_ENTRIES 64		/* of a list */
#define MAX_PORT 65535
#define MIB (1024 * 1024)
#define MAX_BUDGET_USD 1000000
#define NANO_PER_DOLLAR 1000000000
#define MS_DIGITS 3		/* decimals of a second that are kept */

static const struct word level_words[] = {
	{ "debug", LOG_DEBUG }, { "info", LOG_INFO }, { "warn", LOG_WARN },
	{ "error", LOG_ERROR },
	/* as old environment files may have it */
	{ "warning", LOG_WARN }, { "critical", LOG_ERROR }, { NULL, 0 }
};
static const struct word format_words[] = {
	{ "text", LOG_TEXT }, { "json", LOG_JSON }, { NULL, 0 }
};
static const struct word sendfile_words[] = {
	{ "direct", SENDFILE_DIRECT }, { "x-sendfile", SENDFILE_X_SENDFILE },
	{ "x-accel", SENDFILE_X_ACCEL }, { NULL, 0 }
};
static const struct word sync_words[] = {
	{ "full", STORE_SYNC_FULL }, { "normal", STORE_SYNC_NORMAL },
	{ NULL, 0 }
};
static const struct word quality_words[] = {
	{ "low", 0 }, { "medium", 1 }, { "high", 2 }, { NULL, 0 }
};

#define AT(member) offsetof(struct settings, member)

const struct setting setting_rows[] = {
	{ "data_dir", KIND_PATH, AT(data_dir), CHURNS_STATEDIR, 0, 0, NULL,
	  NULL, "directory of runs/ and of the database; absolute" },
	{ "run_dir", KIND_PATH, AT(run_dir), "/run/churns", 0, 0, NULL, NULL,
	  "directory of wake sockets and life signs; absolute, on this host" },
	{ "database", KIND_DATABASE, AT(database), "sqlite:db/churns.sqlite",
	  0, 0, NULL, NULL, "sqlite:PATH; a relative PATH is in data_dir" },
	{ "image_helper", KIND_PATH, AT(image_helper),
	  CHURNS_LIBEXECDIR "/churns-image", 0, 0, NULL, NULL,
	  "program that decodes and draws pictures; absolute" },
	{ "environment", KIND_ENVIRONMENT, AT(development), "production", 0, 0,
	  NULL, "ENV", "development: answers carry real error texts" },
	{ "presentation_mode", KIND_SWITCH, AT(presentation_mode), "no", 0, 0,
	  NULL, "PRESENTATION_MODE", "yes: steps are numbered, not named" },

	{ "log.level", KIND_WORD, AT(log_level), "info", 0, 0, level_words,
	  "LOG_LEVEL", "least important line that is written" },
	{ "log.format", KIND_WORD, AT(log_format), "text", 0, 0, format_words,
	  NULL, "form of a line" },

	{ "api.listen", KIND_LISTEN, AT(api_listen), "api.sock", 0, 0, NULL,
	  NULL, "Unix socket (a relative path is in run_dir) or host:port" },
	{ "api.workers", KIND_INT, AT(api_workers), "2", 1, 64, NULL, NULL,
	  "processes" },
	{ "api.threads", KIND_INT, AT(api_threads), "8", 1, 256, NULL, NULL,
	  "accepting threads in each process" },
	{ "api.max_rss_mb", KIND_INT, AT(api_max_rss_mb), "64", 0, 65536, NULL,
	  NULL, "memory above which a worker is replaced; 0: never" },
	{ "api.max_requests", KIND_INT, AT(api_max_requests), "0", 0,
	  1000000000, NULL, NULL,
	  "requests after which a worker is replaced; 0: never" },
	{ "api.max_body_mb", KIND_MEBIBYTES, AT(api_max_body_bytes), "64", 1,
	  1024, NULL, NULL, "largest request body" },
	{ "api.read_timeout_s", KIND_SECONDS, AT(api_read_timeout_ms), "30", 1,
	  600, NULL, NULL,
	  "silence of the web server that ends a request or an answer" },
	{ "api.sendfile", KIND_WORD, AT(api_sendfile), "direct", 0, 0,
	  sendfile_words, NULL, "who sends the bytes of pictures" },
	{ "api.sendfile_prefix", KIND_LOCATION, AT(api_sendfile_prefix),
	  "/churns-files/", 0, 0, NULL, NULL,
	  "internal location of runs/ in nginx, for x-accel" },
	{ "api.cors_origins", KIND_CORS, AT(cors_origins),
	  "http://localhost:3000, http://127.0.0.1:3000, http://frontend:3000, "
	  "https://*.ngrok-free.app", 0, 0, NULL, NULL, "web origins whose pages may call the API" },

	{ "api.operators", KIND_NETS, AT(api_operators),
	  "127.0.0.1/8, ::1", 0, 0, NULL, NULL,
	  "addresses that may read figures about the programs" },

	{ "runner.max_jobs", KIND_INT, AT(runner_max_jobs), "16", 1, 1024,
	  NULL, NULL, "jobs executed at once" },
	{ "runner.max_lanes", KIND_INT, AT(runner_max_lanes), "96", 1, 4096,
	  NULL, NULL, "lane threads of all jobs together" },
	{ "runner.lease_s", KIND_SECONDS, AT(runner_lease_ms), "30", 2, 3600,
	  NULL, NULL, "how long a job stays with a runner without a sign" },
	{ "runner.renew_s", KIND_SECONDS, AT(runner_renew_ms), "10", 1, 1800,
	  NULL, NULL, "how often a lease is renewed; at most half of it" },
	{ "runner.poll_ms", KIND_INT, AT(runner_poll_ms), "1000", 10, 60000,
	  NULL, NULL, "longest sleep between looks at the queue" },
	{ "runner.max_attempts", KIND_INT, AT(runner_max_attempts), "3", 1,
	  100, NULL, NULL, "attempts of a job without progress in between" },
	{ "runner.max_rss_mb", KIND_INT, AT(runner_max_rss_mb), "0", 0, 65536,
	  NULL, "CHURNS_MAX_RSS_MB",
	  "memory above which the runner drains and exits; 0: never" },
	{ "runner.run_deadline_s", KIND_SECONDS, AT(run_deadline_ms), "3600",
	  1, 7 * 24 * 3600, NULL, NULL, "longest time a run may take" },

	{ "push.listen", KIND_LISTEN, AT(push_listen), "push.sock", 0, 0, NULL,
	  NULL, "Unix socket (a relative path is in run_dir) or loopback:port" },
	{ "push.origins", KIND_CORS, AT(push_origins), "", 0, 0, NULL, NULL,
	  "web origins whose pages may follow runs; none: api.cors_origins" },
	{ "push.max_sockets", KIND_INT, AT(push_max_sockets), "4096", 1,
	  100000, NULL, NULL, "sockets and event streams open at once" },
	{ "push.max_per_address", KIND_INT, AT(push_max_per_address), "100",
	  0, 100000, NULL, NULL, "of them from one address; 0: no limit" },
	{ "push.max_frame_bytes", KIND_INT, AT(push_max_frame_bytes), "16384",
	  125, 16777216, NULL, NULL, "longest message taken from a client" },
	{ "push.queue_messages", KIND_INT, AT(push_queue_messages), "256", 8,
	  100000, NULL, NULL, "messages waiting for a socket that lags" },
	{ "push.queue_mb", KIND_MEBIBYTES, AT(push_queue_bytes), "1", 1, 1024,
	  NULL, NULL, "the same in bytes; beyond either it is dropped" },
	{ "push.ping_s", KIND_SECONDS, AT(push_ping_ms), "20", 1, 240, NULL,
	  NULL, "pause between signs of life on a silent connection" },
	{ "push.pong_s", KIND_SECONDS, AT(push_pong_ms), "20", 1, 240, NULL,
	  NULL, "time in which a sign of life must be answered" },
	{ "push.poll_ms", KIND_INT, AT(push_poll_ms), "250", 10, 60000, NULL,
	  NULL, "pause between looks for news while somebody follows" },
	{ "push.recent_s", KIND_SECONDS, AT(push_recent_ms), "5", 0, 3600,
	  NULL, NULL, "how long the end of a run is told to who comes late" },

	{ "store.synchronous", KIND_WORD, AT(store_sync), "full", 0, 0,
	  sync_words, NULL, "full: an answered request survives a power cut" },
	{ "store.cache_kb", KIND_INT, AT(store_cache_kb), "4096", 64, 1048576,
	  NULL, NULL, "page cache of one database connection" },
	{ "store.lock_wait_ms", KIND_INT, AT(store_lock_wait_ms), "5000", 10,
	  600000, NULL, NULL, "longest wait for the turn to write" },

	{ "calls.max_retries", KIND_INT, AT(max_retries), "3", 0, 20, NULL,
	  "LLM_MAX_RETRIES", "retries of a call after transport faults" },
	{ "calls.validation_retries", KIND_INT, AT(validation_retries), "1", 0,
	  10, NULL, "LLM_VALIDATION_RETRIES",
	  "times a model is asked again after an unusable answer" },
	{ "calls.llm_timeout_s", KIND_SECONDS, AT(llm_timeout_ms), "120", 1,
	  3600, NULL, "LLM_TIMEOUT_SECONDS",
	  "time for one attempt of a text or vision call" },
	{ "calls.image_timeout_s", KIND_SECONDS, AT(image_timeout_ms), "180",
	  1, 3600, NULL, "IMAGE_TIMEOUT_SECONDS",
	  "time for one attempt of a picture call" },
	{ "calls.stage_timeout_s", KIND_SECONDS, AT(stage_timeout_ms), "900",
	  1, 86400, NULL, NULL,
	  "time for all calls of a stage for one variant, waits included" },
	{ "calls.connect_timeout_s", KIND_SECONDS, AT(connect_timeout_ms),
	  "10", 1, 300, NULL, NULL, "time to get a connection" },
	{ "calls.retry_base_ms", KIND_INT, AT(retry_base_ms), "500", 1, 60000,
	  NULL, NULL, "first pause before a retry; doubles each time" },
	{ "calls.retry_cap_ms", KIND_INT, AT(retry_cap_ms), "8000", 1, 600000,
	  NULL, NULL, "longest pause before a retry" },
	{ "calls.retry_after_cap_s", KIND_SECONDS, AT(retry_after_cap_ms),
	  "60", 0, 3600, NULL, NULL,
	  "longest pause a provider can ask for (Retry-After)" },
	{ "calls.max_parallel_llm", KIND_INT, AT(max_parallel_llm), "16", 1,
	  1024, NULL, "MAX_PARALLEL_LLM_CALLS",
	  "text and vision calls in flight, per process" },
	{ "calls.max_parallel_image", KIND_INT, AT(max_parallel_image), "4", 1,
	  1024, NULL, "MAX_PARALLEL_IMAGE_CALLS",
	  "picture calls in flight, per process" },
	{ "calls.max_in_flight_mb", KIND_MEBIBYTES,
	  AT(max_body_in_flight_bytes), "24", 1, 4096, NULL, NULL,
	  "answers being received, all together" },
	{ "calls.image_quality", KIND_QUALITY, AT(image_quality), "medium", 0,
	  0, quality_words, "IMAGE_QUALITY_SETTING",
	  "quality asked for where the image model has several" },

	{ "budget.run_usd", KIND_MONEY, AT(budget_run_nano), "0", 0,
	  MAX_BUDGET_USD, NULL, NULL,
	  "most a run may cost; 0: no limit" },
	{ "budget.run_max_usd", KIND_MONEY, AT(budget_run_max_nano), "0", 0,
	  MAX_BUDGET_USD, NULL, NULL,
	  "most budget.run_usd may be; 0: no limit" },
	{ "budget.owner_day_usd", KIND_MONEY, AT(budget_owner_day_nano), "0",
	  0, MAX_BUDGET_USD, NULL, NULL,
	  "most the runs of one owner may cost in a day; 0: no limit" },
	{ "budget.day_usd", KIND_MONEY, AT(budget_day_nano), "0", 0,
	  MAX_BUDGET_USD, NULL, NULL,
	  "most all runs may cost in a day; 0: no limit" },

	{ "limits.max_upload_mb", KIND_MEBIBYTES, AT(max_upload_bytes), "50",
	  1, 1024, NULL, NULL, "largest picture that is accepted" },
	{ "limits.max_image_pixels", KIND_INT64, AT(max_image_pixels),
	  "60000000", 65536, 1000000000, NULL, NULL,
	  "width times height above which a picture is not decoded" },
	{ "limits.analysis_max_px", KIND_INT, AT(analysis_max_px), "1568", 64,
	  8192, NULL, NULL, "long side of a picture shown for analysis" },
	{ "limits.assessment_max_px", KIND_INT, AT(assessment_max_px), "1536",
	  64, 8192, NULL, NULL, "long side of a picture shown for assessment" },
	{ "limits.max_brief_chars", KIND_INT, AT(max_brief_chars), "4000", 1,
	  32000, NULL, NULL, "longest brief" },
	{ "limits.max_instruction_chars", KIND_INT, AT(max_instruction_chars),
	  "2000", 1, 32000, NULL, NULL, "longest instruction for a picture" },
	{ "limits.max_overlay_chars", KIND_INT, AT(max_overlay_chars), "1000",
	  1, 32000, NULL, NULL, "longest text for the picture" },
	{ "limits.max_voice_chars", KIND_INT, AT(max_voice_chars), "1000", 1,
	  32000, NULL, NULL, "longest description of the brand's voice" },
};

const size_t setting_count = ARRAY_LEN(setting_rows);

_Static_assert(ARRAY_LEN(setting_rows) <= SETTINGS_MAX, "raise SETTINGS_MAX");
_Static_assert(sizeof(enum log_level) == sizeof(int) &&
    sizeof(enum sendfile_mode) == sizeof(int), "KIND_WORD stores an int");

/* --- parsers: text to struct settings ---------------------------------- */

static void *
member(struct settings *s, const struct setting *row)
{
	return (char *)s + row->offset;
}

static const void *
member_const(const struct settings *s, const struct setting *row)
{
	return (const char *)s + row->offset;
}

static void
set_text(struct settings *s, const struct setting *row, const char *text)
{
	char **at = member(s, row);
	char *copy = xstrdup(text);

	free(*at);
	*at = copy;
}

static void
list_free(char **list)
{
	char **p;

	for (p = list; p != NULL && *p != NULL; p++)
		free(*p);
	free(list);
}

static enum err_code
parse_number(const struct setting *row, const char *text, int64_t *out,
    struct err *e)
{
	int64_t value;

	if (!parse_int(text, &value))
		return err_set(e, ERR_CONFIG, "must be a whole number, "
		    "not '%s'", text);
	if (value < row->min || value > row->max)
		return err_set(e, ERR_CONFIG, "must be from %lld to %lld, "
		    "not %lld", (long long)row->min, (long long)row->max,
		    (long long)value);
	*out = value;
	return ERR_OK;
}

static enum err_code
parse_seconds(const struct setting *row, const char *text, int *out_ms,
    struct err *e)
{
	int64_t ms;

	if (!decimal_parse(text, MS_DIGITS, &ms))
		return err_set(e, ERR_CONFIG, "must be a number of seconds, "
		    "not '%s'", text);
	if (ms < row->min * 1000 || ms > row->max * 1000)
		return err_set(e, ERR_CONFIG, "must be from %lld to %lld "
		    "seconds, not %s", (long long)row->min,
		    (long long)row->max, text);
	*out_ms = (int)ms;
	return ERR_OK;
}

static enum err_code
parse_money(const struct setting *row, const char *text, int64_t *out,
    struct err *e)
{
	int64_t nano;

	if (!money_parse(text, INT64_MAX, &nano))
		return err_set(e, ERR_CONFIG, "must be an amount of dollars "
		    "such as 2.50, not '%s'", text);
	if (nano < row->min * NANO_PER_DOLLAR ||
	    nano > row->max * NANO_PER_DOLLAR)
		return err_set(e, ERR_CONFIG, "must be from %lld to %lld "
		    "dollars, not %s", (long long)row->min,
		    (long long)row->max, text);
	*out = nano;
	return ERR_OK;
}

static enum err_code
parse_word(const struct setting *row, const char *text, int *out,
    struct err *e)
{
	struct strbuf list = STRBUF_INIT(MAX_VALUE_BYTES);
	enum err_code rc = ERR_OK;

	if (!word_find(row->words, text, out)) {
		word_list(row->words, &list);
		rc = err_set(e, ERR_CONFIG, "must be %s, not '%s'", list.buf,
		    text);
	}
	strbuf_release(&list);
	return rc;
}

/*
 * A switch in churns.yml must say yes or no.  The variable PRESENTATION_MODE
 * has always been on for the words of yes and off for anything else.
 */
static enum err_code
parse_switch(const char *text, bool from_variable, bool *out, struct err *e)
{
	bool value = false;

	if (!parse_bool(text, &value) && !from_variable)
		return err_set(e, ERR_CONFIG, "must be yes or no, not '%s'",
		    text);
	*out = value;
	return ERR_OK;
}

static enum err_code
check_listen(const char *text, struct err *e)
{
	const char *colon = strrchr(text, ':');
	int64_t port;

	if (colon == NULL || strchr(text, '/') != NULL)
		return ERR_OK;
	if (colon == text || !parse_int(colon + 1, &port) || port < 1 ||
	    port > MAX_PORT)
		return err_set(e, ERR_CONFIG, "must be the path of a socket "
		    "or host:port, not '%s'", text);
	return ERR_OK;
}

static enum err_code
check_text(const struct setting *row, const char *text, struct err *e)
{
	size_t len = strlen(text);

	if (!name_is_clean(text, MAX_VALUE_BYTES))
		return err_set(e, ERR_CONFIG, "is empty or has control "
		    "characters or blanks around it");
	if (row->kind == KIND_PATH && text[0] != '/')
		return err_set(e, ERR_CONFIG, "must be an absolute path, "
		    "not '%s'", text);
	if (row->kind == KIND_DATABASE &&
	    (strncmp(text, "sqlite:", 7) != 0 || text[7] == '\0'))
		return err_set(e, ERR_CONFIG, "must be sqlite:PATH, not '%s'",
		    text);
	if (row->kind == KIND_LOCATION && (text[0] != '/' ||
	    text[len - 1] != '/' || strstr(text, "..") != NULL ||
	    strpbrk(text, " ?#%\\") != NULL))
		return err_set(e, ERR_CONFIG, "must begin and end with a "
		    "slash and be plain, not '%s'", text);
	if (row->kind == KIND_LISTEN)
		return check_listen(text, e);
	return ERR_OK;
}

/* scheme://host[:port], where host may begin with "*." */
static bool
origin_is_valid(const char *text)
{
	const char *host;
	size_t len;
	int64_t port;

	if (strncmp(text, "https://", 8) == 0)
		host = text + 8;
	else if (strncmp(text, "http://", 7) == 0)
		host = text + 7;
	else
		return false;
	if (strncmp(host, "*.", 2) == 0)
		host += 2;
	len = strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789.-");
	if (len == 0 || host[0] == '.')
		return false;
	host += len;
	return *host == '\0' || (*host == ':' &&
	    parse_int(host + 1, &port) && port >= 1 && port <= MAX_PORT);
}

static bool
entry_is_valid(enum kind kind, const char *text)
{
	return kind == KIND_NETS ? net_is_valid(text) : origin_is_valid(text);
}

static const char *
entry_example(enum kind kind)
{
	return kind == KIND_NETS ? "an address or a network such as 192.0.2.7 "
	    "or 10.0.0.0/8" : "an origin such as https://shop.example or "
	    "https://*.example (lower case, no path)";
}

/* Entries with commas or blanks between them. */
static enum err_code
parse_list(enum kind kind, const char *text, char ***out, struct err *e)
{
	char **list = xcalloc(MAX_ENTRIES + 1, sizeof(*list));
	enum err_code rc = ERR_OK;
	size_t n = 0, len;
	char *one;

	for (text += strspn(text, ", \t"); *text != '\0';
	    text += len + strspn(text + len, ", \t")) {
		len = strcspn(text, ", \t");
		if (n == MAX_ENTRIES) {
			rc = err_set(e, ERR_CONFIG, "has more than %d entries",
			    MAX_ENTRIES);
			goto out;
		}
		one = xstrndup(text, len);
		list[n++] = one;
		if (!entry_is_valid(kind, one)) {
			rc = err_set(e, ERR_CONFIG, "has '%s', which is not "
			    "%s", one, entry_example(kind));
			goto out;
		}
	}
	*out = list;
	list = NULL;
out:
	list_free(list);
	return rc;
}

enum err_code
setting_store(struct settings *s, const struct setting *row,
    const char *text, bool from_variable, struct err *e)
{
	void *at = member(s, row);
	char **list = NULL;
	int64_t number = 0;
	int word = 0;
	enum err_code rc = ERR_OK;

	switch (row->kind) {
	case KIND_INT:
		rc = parse_number(row, text, &number, e);
		if (rc == ERR_OK)
			*(int *)at = (int)number;
		break;
	case KIND_INT64:
		rc = parse_number(row, text, at, e);
		break;
	case KIND_SECONDS:
		rc = parse_seconds(row, text, at, e);
		break;
	case KIND_MEBIBYTES:
		rc = parse_number(row, text, &number, e);
		if (rc == ERR_OK)
			*(int64_t *)at = number * MIB;
		break;
	case KIND_MONEY:
		rc = parse_money(row, text, at, e);
		break;
	case KIND_WORD:
		rc = parse_word(row, text, at, e);
		break;
	case KIND_QUALITY:
		rc = parse_word(row, text, &word, e);
		if (rc == ERR_OK)
			set_text(s, row, word_text(row->words, word));
		break;
	case KIND_SWITCH:
		rc = parse_switch(text, from_variable, at, e);
		break;
	case KIND_ENVIRONMENT:
		*(bool *)at = strcmp(text, "development") == 0;
		break;
	case KIND_PATH:
	case KIND_DATABASE:
	case KIND_LISTEN:
	case KIND_LOCATION:
		rc = check_text(row, text, e);
		if (rc == ERR_OK)
			set_text(s, row, text);
		break;
	case KIND_CORS:
	case KIND_NETS:
		rc = parse_list(row->kind, text, &list, e);
		if (rc == ERR_OK) {
			list_free(*(char ***)at);
			*(char ***)at = list;
		}
		break;
	}
	return rc;
}

/* --- and back to text, for YAML ---------------------------------------- */

void
setting_add_value(struct strbuf *out, const struct settings *s,
    const struct setting *row)
{
	const void *at = member_const(s, row);
	char *const *origin;

	switch (row->kind) {
	case KIND_INT:
		strbuf_addf(out, "%d", *(const int *)at);
		break;
	case KIND_INT64:
		strbuf_addf(out, "%lld", (long long)*(const int64_t *)at);
		break;
	case KIND_SECONDS:
		decimal_add(out, *(const int *)at, MS_DIGITS, 0);
		break;
	case KIND_MEBIBYTES:
		strbuf_addf(out, "%lld",
		    (long long)(*(const int64_t *)at / MIB));
		break;
	case KIND_MONEY:
		decimal_add(out, *(const int64_t *)at, NANO_DIGITS, 0);
		break;
	case KIND_WORD:
		strbuf_addstr(out, word_text(row->words, *(const int *)at));
		break;
	case KIND_SWITCH:
		strbuf_addstr(out, *(const bool *)at ? "yes" : "no");
		break;
	case KIND_ENVIRONMENT:
		strbuf_addstr(out, *(const bool *)at ? "development" :
		    "production");
		break;
	case KIND_QUALITY:
	case KIND_PATH:
	case KIND_DATABASE:
	case KIND_LISTEN:
	case KIND_LOCATION:
		add_quoted(out, *(char *const *)at);
		break;
	case KIND_CORS:
	case KIND_NETS:
		strbuf_addch(out, '[');
		for (origin = *(char **const *)at; *origin != NULL; origin++) {
			if (origin != *(char **const *)at)
				strbuf_addstr(out, ", ");
			add_quoted(out, *origin);
		}
		strbuf_addch(out, ']');
		break;
	}
}

void
settings_release(struct settings *s)
{
	size_t i;

	for (i = 0; i < setting_count; i++) {
		switch (setting_rows[i].kind) {
		case KIND_QUALITY:
		case KIND_PATH:
		case KIND_DATABASE:
		case KIND_LISTEN:
		case KIND_LOCATION:
			free(*(char **)member(s, &setting_rows[i]));
			break;
		case KIND_CORS:
		case KIND_NETS:
			list_free(*(char ***)member(s, &setting_rows[i]));
			break;
		case KIND_INT:
		case KIND_INT64:
		case KIND_SECONDS:
		case KIND_MEBIBYTES:
		case KIND_MONEY:
		case KIND_WORD:
		case KIND_SWITCH:
		case KIND_ENVIRONMENT:
			break;
		}
	}
	memset(s, 0, sizeof(*s));
}
