/*
 * What went wrong, in the words of the specification (generation.md 9.5).
 *
 * Providers tell it in three shapes: OpenAI's {"error":{"code","type",
 * "message","param"}}, Gemini's {"error":{"status","message","details"}}
 * (bare or in a list), and OpenRouter's, which can come with status 200 and
 * carries the real status as its code.  All are read by one reader, since
 * Gemini's chat answers in Gemini's shape and proxies mix them.
 *
 * What a provider writes is never shown to users, except for a rejected
 * request, where it is the only thing that helps: one short line of printable
 * characters, without anything that looks like a key.
 *
 * A verdict is a function of what the ledger keeps (status, fault, sentence),
 * so that a row of an earlier life is judged as it was then.
 */
#include "call.h"

#include <assert.h>

#include "xalloc.h"

#define MAX_MESSAGE_BYTES 300
#define MAX_WORD_BYTES 64	/* of a code, a type, a status */
#define KEY_WORD_MIN 16		/* a word this long after sk- is a key */

static const struct {
	const char *name;
	bool transport;
	const char *text;
} faults[] = {
	[FAULT_NONE] = { "none", false, "no fault" },
	[FAULT_AUTH] = { "auth", false,
	    "The model provider refused our key: it is invalid or not allowed "
	    "to use this model. Ask the operator to check it." },
	[FAULT_RATE_LIMIT] = { "rate_limit", true,
	    "The model provider is busy or our quota is used up. Try again "
	    "later." },
	[FAULT_CONTENT_POLICY] = { "content_policy", false,
	    "The model provider refused this content. Change the brief or the "
	    "picture and try again." },
	[FAULT_BAD_REQUEST] = { "bad_request", false,
	    "The model provider rejected the request." },
	[FAULT_NETWORK] = { "network", true,
	    "The connection to the model provider failed. Try again later." },
	[FAULT_TIMEOUT] = { "timeout", true,
	    "The model provider took too long to answer. Try again later." },
	[FAULT_SERVER] = { "server", true,
	    "The model provider reported an error of its own. Try again "
	    "later." },
	[FAULT_TRUNCATED] = { "truncated", false,
	    "The model's answer was cut off before its end. Try again." },
	[FAULT_NO_JSON] = { "no_json", false,
	    "The model's answer could not be read. Try again." },
	[FAULT_INVALID_SCHEMA] = { "invalid_schema", false,
	    "The model's answer did not have the form that was asked for. Try "
	    "again." },
	[FAULT_NO_IMAGE] = { "no_image", false,
	    "The model answered without a picture. Try again or change the "
	    "brief." },
	[FAULT_EMPTY] = { "empty", false,
	    "The model's answer was empty. Try again." },
	[FAULT_NOT_CONFIGURED] = { "not_configured", false,
	    "No model is configured for this step, or its key is missing. Ask "
	    "the operator." },
};

_Static_assert(ARRAY_LEN(faults) == FAULT__COUNT, "a fault has no row");

struct provider_error {
	char code[MAX_WORD_BYTES];	/* "" if none; numbers as text */
	char type[MAX_WORD_BYTES];
	char status[MAX_WORD_BYTES];	/* Gemini: "RESOURCE_EXHAUSTED" */
	char reason[MAX_WORD_BYTES];	/* Gemini, in details: "API_KEY_INVALID" */
	char message[MAX_MESSAGE_BYTES];
	bool flagged;		/* OpenRouter: the moderation's reasons are named */
	int64_t retry_ms;	/* Gemini, in details; -1: not said */
};

/* --- names --------------------------------------------------------------- */

const char *
model_fault_name(enum model_fault f)
{
	return (unsigned)f < FAULT__COUNT ? faults[f].name : "unknown";
}

const char *
model_fault_text(enum model_fault f)
{
	return faults[(unsigned)f < FAULT__COUNT ? f : FAULT_SERVER].text;
}

bool
model_fault_is_transport(enum model_fault f)
{
	return (unsigned)f < FAULT__COUNT && faults[f].transport;
}

bool
fault_parse(const char *name, enum model_fault *out)
{
	int i;

	for (i = 0; i < FAULT__COUNT; i++) {
		if (name != NULL && strcmp(name, faults[i].name) == 0) {
			*out = (enum model_fault)i;
			return true;
		}
	}
	return false;
}

void
verdict_set(struct verdict *v, enum model_fault fault)
{
	memset(v, 0, sizeof(*v));
	v->fault = fault;
	v->retry_after_ms = -1;
	if (fault != FAULT_NONE)
		snprintf(v->sentence, sizeof(v->sentence), "%s",
		    model_fault_text(fault));
}

/* --- reading what the provider says -------------------------------------- */

static bool
is_key_word(const char *word, size_t len)
{
	return len >= KEY_WORD_MIN && (strncmp(word, "sk-", 3) == 0 ||
	    strncmp(word, "AIza", 4) == 0);
}

/* One line of printable text without keys; cut to fit. */
static void
clean_message(const char *text, const char *key, char out[MAX_MESSAGE_BYTES])
{
	struct strbuf sb = STRBUF_INIT(MAX_MESSAGE_BYTES - 1);
	size_t n, key_len = key != NULL ? strlen(key) : 0;
	struct err clean = ERR_INIT;

	while (*text != '\0' && !strbuf_overflowed(&sb)) {
		n = strcspn(text, " \t\r\n\"'(),:;<>[]{}`");
		if (key_len > 0 && n >= key_len &&
		    memmem(text, n, key, key_len) != NULL)
			strbuf_addstr(&sb, "[key]");
		else if (is_key_word(text, n))
			strbuf_addstr(&sb, "[key]");
		else
			strbuf_add(&sb, text, n);
		text += n;
		if (*text == '\0')
			break;
		n = strspn(text, " \t\r\n");
		strbuf_addch(&sb, n > 0 ? ' ' : *text);
		text += n > 0 ? n : 1;
	}
	strbuf_trim(&sb);
	/* err_set() makes it well-formed. */
	err_set(&clean, ERR_MODEL, "%s", sb.buf);
	snprintf(out, MAX_MESSAGE_BYTES, "%.*s", MAX_MESSAGE_BYTES - 1,
	    clean.msg);
	strbuf_release(&sb);
}

static void
copy_word(const struct json_object *o, const char *key,
    char out[MAX_WORD_BYTES])
{
	const char *s = json_get_str(o, key);
	size_t i;

	if (s == NULL && json_object_is_type(json_get(o, key), json_type_int))
		s = json_object_to_json_string(json_get(o, key));
	snprintf(out, MAX_WORD_BYTES, "%s", s != NULL ? s : "");
	for (i = 0; out[i] != '\0'; i++)
		if (!isgraph((unsigned char)out[i]))
			out[i] = '?';
}

/* Gemini's details: why, and for how long. */
static void
read_details(const struct json_object *details, struct provider_error *pe)
{
	const char *delay;
	char *end;
	double s;
	size_t i;

	for (i = 0; i < json_len(details); i++) {
		const struct json_object *d =
		    json_object_array_get_idx(details, i);

		if (json_get_str(d, "reason") != NULL)
			copy_word(d, "reason", pe->reason);
		delay = json_get_str(d, "retryDelay");	/* "34.07s" */
		if (delay == NULL)
			continue;
		s = strtod(delay, &end);
		if (end != delay && *end == 's' && s >= 0 && s < 1e6)
			pe->retry_ms = (int64_t)(s * 1000);
	}
}

/* False when body is no error. */
static bool
error_read(const struct json_object *body, const char *key,
    struct provider_error *pe)
{
	struct json_object *error;
	const char *message = NULL, *param;
	char text[MAX_MESSAGE_BYTES * 2];

	memset(pe, 0, sizeof(*pe));
	pe->retry_ms = -1;
	if (json_object_is_type(body, json_type_array))
		body = json_object_array_get_idx(body, 0);
	error = json_get(body, "error");
	if (error == NULL)
		error = json_at(body, "choices/0/error");
	if (error == NULL)
		return false;
	if (json_object_is_type(error, json_type_string)) {
		message = json_object_get_string(error);
	} else {
		copy_word(error, "code", pe->code);
		copy_word(error, "type", pe->type);
		copy_word(error, "status", pe->status);
		read_details(json_get_arr(error, "details"), pe);
		pe->flagged = json_len(json_at(error, "metadata/reasons")) > 0;
		message = json_get_str(error, "message");
	}
	/* The parameter tells more than many a message. */
	param = json_get_str(error, "param");
	snprintf(text, sizeof(text), "%.400s%s%.80s%s",
	    message != NULL ? message : "", param != NULL ? " (" : "",
	    param != NULL ? param : "", param != NULL ? ")" : "");
	clean_message(text, key, pe->message);
	return true;
}

/* --- classes ------------------------------------------------------------- */

static bool
one_of(const char *word, const char *const *words)
{
	for (; *words != NULL; words++)
		if (strcasecmp(word, *words) == 0)
			return true;
	return false;
}

static bool
is_policy(int status, const struct provider_error *pe)
{
	static const char *const codes[] = { "moderation_blocked",
		"content_policy_violation", "content_filter",
		"content_policy", "ResponsibleAIPolicyViolation", NULL };
	static const char *const phrases[] = { "content policy",
		"content_policy", "safety system", "content management policy",
		"usage policies", "flagged by moderation", NULL };
	int i;

	if (one_of(pe->code, codes) || one_of(pe->type, codes))
		return true;
	if (status != 400 && status != 403 && status != 422)
		return false;
	for (i = 0; phrases[i] != NULL; i++)
		if (strcasestr(pe->message, phrases[i]) != NULL)
			return true;
	return pe->flagged;
}

static enum model_fault
fault_of_status(int status)
{
	switch (status) {
	case 401:
	case 403:
		return FAULT_AUTH;
	case 402:
	case 429:
		return FAULT_RATE_LIMIT;
	case 408:
		return FAULT_TIMEOUT;
	case 409:
	case 425:
		return FAULT_SERVER;
	}
	return status >= 500 ? FAULT_SERVER : FAULT_BAD_REQUEST;
}

static enum model_fault
fault_of_error(int status, const struct provider_error *pe)
{
	if (is_policy(status, pe))
		return FAULT_CONTENT_POLICY;
	if (strcmp(pe->status, "RESOURCE_EXHAUSTED") == 0)
		return FAULT_RATE_LIMIT;
	/* Gemini says 400 for a wrong key. */
	if (strcmp(pe->reason, "API_KEY_INVALID") == 0 ||
	    strcmp(pe->code, "invalid_api_key") == 0 ||
	    strcmp(pe->status, "UNAUTHENTICATED") == 0)
		return FAULT_AUTH;
	return fault_of_status(status);
}

static bool
status_is_retryable(int status)
{
	return status == 408 || status == 409 || status == 425 ||
	    status == 429 || status >= 500;
}

/* An error answer: what it means, with status as the real one. */
static void
verdict_of_error(int status, const struct provider_error *pe,
    struct verdict *v)
{
	verdict_set(v, fault_of_error(status, pe));
	v->status = status;
	v->retry_after_ms = pe->retry_ms;
	v->again = model_fault_is_transport(v->fault) &&
	    (status_is_retryable(status) ||
	    strcmp(pe->status, "RESOURCE_EXHAUSTED") == 0);
	if (strcmp(pe->code, "insufficient_quota") == 0 ||
	    strcmp(pe->type, "insufficient_quota") == 0)
		v->again = false;	/* no waiting fills an account */
	if (v->fault == FAULT_BAD_REQUEST && pe->message[0] != '\0')
		snprintf(v->sentence, sizeof(v->sentence),
		    "The model provider rejected the request: %s",
		    pe->message);
	else if (pe->message[0] != '\0')
		snprintf(v->detail, sizeof(v->detail), "HTTP %d: %s", status,
		    pe->message);
	else
		snprintf(v->detail, sizeof(v->detail), "HTTP %d", status);
}

/* No answer, or one that could not be taken. */
static void
verdict_of_failure(const struct http_answer *a, struct verdict *v)
{
	switch (a->failure) {
	case HTTP_FINE:
		assert(!"an answer is no failure");
		break;
	case HTTP_NOT_SENT:
		verdict_set(v, FAULT_NETWORK);
		v->again = true;
		break;
	case HTTP_TIMEOUT:
		verdict_set(v, FAULT_TIMEOUT);
		v->unknown = true;
		break;
	case HTTP_BROKEN:
	case HTTP_CANCELLED:
		verdict_set(v, FAULT_NETWORK);
		v->unknown = true;
		break;
	case HTTP_TOO_LARGE:
		verdict_set(v, FAULT_NO_JSON);
		break;
	case HTTP_LOCAL:
		verdict_set(v, FAULT_NETWORK);
		v->unknown = true;
		v->local = a->local != ERR_OK ? a->local : ERR_SYSTEM;
		break;
	}
	v->status = a->status;
	snprintf(v->detail, sizeof(v->detail), "%s", a->message);
}

void
verdict_of_answer(const struct http_answer *a, const char *key,
    struct json_object **answer, struct verdict *v)
{
	struct json_object *body = NULL;
	struct provider_error pe;
	int status = a->status, said;
	bool is_error;

	/* An error status is an answer even if its page broke off. */
	if (a->failure != HTTP_FINE &&
	    (status < 400 || a->failure == HTTP_LOCAL)) {
		verdict_of_failure(a, v);
		return;
	}
	if (json_parse(a->text.buf, a->text.len, &body, NULL) != ERR_OK)
		body = NULL;
	is_error = error_read(body, key, &pe);
	if (status >= 200 && status < 300 && is_error) {
		said = (int)strtol(pe.code, NULL, 10);
		status = said >= 400 && said < 600 ? said : 502;
	}
	if (status < 200 || status >= 300) {
		verdict_of_error(status, &pe, v);
		if (a->retry_after_ms >= 0)
			v->retry_after_ms = a->retry_after_ms;
	} else if (!json_object_is_type(body, json_type_object)) {
		verdict_set(v, FAULT_SERVER);
		v->status = status;
		v->again = true;
		snprintf(v->detail, sizeof(v->detail),
		    "HTTP %d whose body is not a JSON object", status);
	} else {
		verdict_set(v, FAULT_NONE);
		v->status = status;
	}
	*answer = body;
}

void
verdict_of_row(const struct call_row *row, struct verdict *v)
{
	enum model_fault fault = FAULT_SERVER;

	if (row->state == CALL_SENT || row->state == CALL_UNKNOWN) {
		if (!fault_parse(row->fault, &fault))
			fault = FAULT_NETWORK;
		verdict_set(v, fault);
		v->unknown = true;
		return;
	}
	fault_parse(row->fault, &fault);
	verdict_set(v, fault);
	v->status = row->http_status;
	/* Never received (no status), or a status that passes. */
	v->again = model_fault_is_transport(fault) &&
	    (row->http_status == 0 || status_is_retryable(row->http_status) ||
	    row->http_status / 100 == 2);
	if (fault == FAULT_BAD_REQUEST && row->error != NULL)
		snprintf(v->sentence, sizeof(v->sentence), "%s", row->error);
}

bool
rejection_mentions(const struct verdict *v, const char *const *words)
{
	if (v->fault != FAULT_BAD_REQUEST ||
	    (v->status != 400 && v->status != 404 && v->status != 422))
		return false;
	for (; *words != NULL; words++)
		if (strcasestr(v->sentence, *words) != NULL)
			return true;
	return false;
}
