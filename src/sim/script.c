/*
 * The script: how slow answers are and which of them go wrong.
 *
 *   {"latency_ms": 200, "dear": false,
 *    "faults": [{"kind": "chat", "schema": "visual_concept", "skip": 1,
 *                "times": 2, "fault": "status", "status": 429,
 *                "retry_after": "1"}]}
 *
 * A call takes the first fault that matches it in all fields given and has
 * not been used up; "skip" lets that many matching calls pass first.  A fault
 * of type latency changes the pace only, so the search goes on behind it.
 * "dear" makes every answer say that it used as much as it could have.
 *
 * To add a type: a value in enum fault_type, a row in fault_types[], its
 * effect in answer.c (or server.c when it is about the connection), a line in
 * the manual page.
 */
#include "sim.h"

#include <pthread.h>

#include "xalloc.h"

#define MAX_FAULTS 1000
#define MAX_LATENCY_MS (10 * 60 * 1000)
#define DEFAULT_STALL_MS (10 * 60 * 1000)
#define DEFAULT_STATUS 500

static const struct {
	const char *name;
	bool chat, picture;	/* what it can happen to */
} fault_types[FAULT__COUNT] = {
	[FAULT_NONE] = { "none", false, false },
	[FAULT_STATUS] = { "status", true, true },
	[FAULT_RESET] = { "reset", true, true },
	[FAULT_STALL] = { "stall", true, true },
	[FAULT_TRUNCATED] = { "truncated", true, false },
	[FAULT_FENCED] = { "fenced", true, false },
	[FAULT_CHATTY] = { "chatty", true, false },
	[FAULT_WRONG_SCHEMA] = { "wrong_schema", true, false },
	[FAULT_NO_JSON] = { "no_json", true, false },
	[FAULT_EMPTY] = { "empty", true, true },
	[FAULT_NO_IMAGE] = { "no_image", false, true },
	[FAULT_BROKEN_IMAGE] = { "broken_image", false, true },
	[FAULT_POLICY] = { "policy", true, true },
	[FAULT_LATENCY] = { "latency", true, true },
	[FAULT_UNSUPPORTED_FORMAT] = { "unsupported_format", true, false },
	[FAULT_NO_USAGE] = { "no_usage", true, true },
};

const char *
fault_name(enum fault_type t)
{
	return fault_types[t].name;
}

struct rule {
	int kind;		/* enum sim_kind; -1: any */
	char *model;		/* owned; NULL: any. So are the next two */
	char *schema;
	char *contains;
	enum answer_format format;	/* of unsupported_format */
	int64_t skip;
	int64_t times;		/* left; -1: for ever */
	struct fault fault;	/* latency_ms -1: not given */
};

struct script {
	pthread_mutex_t lock;
	int64_t latency_ms;
	bool dear;
	struct rule *rules;
	int n;
};

/* --- reading ----------------------------------------------------------- */

static void
rule_release(struct rule *r)
{
	free(r->model);
	free(r->schema);
	free(r->contains);
	free(r->fault.body);
}

static void
rules_free(struct rule *rules, int n)
{
	int i;

	for (i = 0; i < n; i++)
		rule_release(&rules[i]);
	free(rules);
}

static enum err_code
check_members(struct json_object *o, struct err *e)
{
	static const char *const known = " kind model schema contains skip "
	    "times fault status retry_after latency_ms stall_ms body format ";
	const char *stranger = NULL;
	char name[40];

	json_object_object_foreach(o, key, value) {
		(void)value;
		snprintf(name, sizeof(name), " %s ", key);
		if (strstr(known, name) == NULL)
			stranger = key;
	}
	if (stranger != NULL)
		return err_set(e, ERR_INVALID, "a fault has no member '%s'",
		    stranger);
	return ERR_OK;
}

static enum err_code
read_kind(const char *name, int *out, struct err *e)
{
	int k;

	*out = -1;
	if (name == NULL || strcmp(name, "any") == 0)
		return ERR_OK;
	for (k = 0; k < KIND__COUNT; k++) {
		if (strcmp(name, sim_kind_name((enum sim_kind)k)) == 0) {
			*out = k;
			return ERR_OK;
		}
	}
	return err_set(e, ERR_INVALID, "there is no kind of call '%s'", name);
}

static enum err_code
read_type(const char *name, enum fault_type *out, struct err *e)
{
	int t;

	for (t = FAULT_NONE + 1; name != NULL && t < FAULT__COUNT; t++) {
		if (strcmp(name, fault_types[t].name) == 0) {
			*out = (enum fault_type)t;
			return ERR_OK;
		}
	}
	return err_set(e, ERR_INVALID, "there is no fault '%s'",
	    name != NULL ? name : "");
}

static void
read_match(const struct json_object *o, struct rule *r)
{
	const char *format = json_get_str(o, "format");

	r->model = xstrdup(json_get_str(o, "model"));
	r->schema = xstrdup(json_get_str(o, "schema"));
	r->contains = xstrdup(json_get_str(o, "contains"));
	r->skip = json_get_int(o, "skip", 0);
	r->times = json_get_int(o, "times", 1);
	r->format = format != NULL && strcmp(format, "json_object") == 0 ?
	    FORMAT_JSON_OBJECT : FORMAT_JSON_SCHEMA;
}

static void
read_effect(const struct json_object *o, struct fault *f)
{
	struct json_object *body = json_get(o, "body");
	struct json_object *after = json_get(o, "retry_after");

	f->status = (int)json_get_int(o, "status",
	    f->type == FAULT_STATUS ? DEFAULT_STATUS : 0);
	f->latency_ms = json_get_int(o, "latency_ms", -1);
	f->stall_ms = json_get_int(o, "stall_ms", DEFAULT_STALL_MS);
	if (after != NULL)
		snprintf(f->retry_after, sizeof(f->retry_after), "%s",
		    json_object_get_string(after));
	if (body != NULL)
		f->body = json_to_text(body);
}

static enum err_code
read_rule(struct json_object *o, struct rule *r, struct err *e)
{
	enum err_code rc;

	if (!json_object_is_type(o, json_type_object))
		return err_set(e, ERR_INVALID, "a fault is an object");
	rc = check_members(o, e);
	if (rc == ERR_OK)
		rc = read_kind(json_get_str(o, "kind"), &r->kind, e);
	if (rc == ERR_OK)
		rc = read_type(json_get_str(o, "fault"), &r->fault.type, e);
	if (rc != ERR_OK)
		return rc;
	read_match(o, r);
	read_effect(o, &r->fault);
	if (r->fault.status != 0 &&
	    (r->fault.status < 200 || r->fault.status > 599))
		return err_set(e, ERR_INVALID, "status %d is no HTTP status",
		    r->fault.status);
	if (r->fault.latency_ms > MAX_LATENCY_MS)
		return err_set(e, ERR_INVALID, "a latency is at most %d ms",
		    MAX_LATENCY_MS);
	return ERR_OK;
}

static enum err_code
read_rules(const struct json_object *list, struct rule **out, int *out_n,
    struct err *e)
{
	size_t n = json_len(list), i;
	struct rule *rules = NULL;
	enum err_code rc = ERR_OK;

	if (n > MAX_FAULTS)
		return err_set(e, ERR_INVALID, "at most %d faults", MAX_FAULTS);
	rules = xcalloc(n + 1, sizeof(*rules));
	for (i = 0; rc == ERR_OK && i < n; i++)
		rc = read_rule(json_object_array_get_idx(list, i), &rules[i],
		    e);
	if (rc != ERR_OK) {
		rules_free(rules, (int)n);
		return rc;
	}
	*out = rules;
	*out_n = (int)n;
	return ERR_OK;
}

/* --- the script -------------------------------------------------------- */

struct script *
script_new(void)
{
	struct script *s = xcalloc(1, sizeof(*s));

	pthread_mutex_init(&s->lock, NULL);
	return s;
}

void
script_free(struct script *s)
{
	if (s == NULL)
		return;
	rules_free(s->rules, s->n);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void
script_reset(struct script *s)
{
	pthread_mutex_lock(&s->lock);
	rules_free(s->rules, s->n);
	s->rules = NULL;
	s->n = 0;
	s->latency_ms = 0;
	s->dear = false;
	pthread_mutex_unlock(&s->lock);
}

/* Rules that would be too many together are not taken at all. */
static bool
take_rules(struct script *s, struct rule *rules, int n, bool append)
{
	struct rule *all;

	if (!append || s->n == 0) {
		rules_free(s->rules, s->n);
		s->rules = rules;
		s->n = n;
		return true;
	}
	if (s->n + n > MAX_FAULTS) {
		rules_free(rules, n);
		return false;
	}
	all = xrealloc_array(s->rules, (size_t)(s->n + n) + 1, sizeof(*all));
	memcpy(all + s->n, rules, (size_t)n * sizeof(*all));
	s->rules = all;
	s->n += n;
	free(rules);
	return true;
}

enum err_code
script_load(struct script *s, const char *json, size_t len, struct err *e)
{
	struct json_object *o = NULL, *list;
	struct rule *rules = NULL;
	int64_t latency;
	enum err_code rc;
	int n = 0;

	rc = json_parse(json, len, &o, e);
	if (rc != ERR_OK)
		goto out;
	list = json_get(o, "faults");
	latency = json_get_int(o, "latency_ms", 0);
	if (!json_object_is_type(o, json_type_object) ||
	    (list != NULL && !json_object_is_type(list, json_type_array))) {
		rc = err_set(e, ERR_INVALID, "a script is an object with "
		    "latency_ms and a list of faults");
		goto out;
	}
	if (latency < 0 || latency > MAX_LATENCY_MS) {
		rc = err_set(e, ERR_INVALID, "latency_ms is 0 to %d",
		    MAX_LATENCY_MS);
		goto out;
	}
	if (list != NULL)
		rc = read_rules(list, &rules, &n, e);
	if (rc != ERR_OK)
		goto out;
	pthread_mutex_lock(&s->lock);
	if (json_get(o, "latency_ms") != NULL)
		s->latency_ms = latency;
	s->dear = json_get_bool(o, "dear", s->dear);
	if (list != NULL &&
	    !take_rules(s, rules, n, json_get_bool(o, "append", false)))
		rc = err_set(e, ERR_INVALID, "at most %d faults", MAX_FAULTS);
	pthread_mutex_unlock(&s->lock);
out:
	json_object_put(o);
	return rc;
}

/* --- applying it ------------------------------------------------------- */

/* By the name it was given or by one of its own members. */
static bool
schema_matches(const struct sim_request *r, const char *wanted)
{
	struct json_object *props = json_get_obj(r->schema, "properties");

	return strcmp(r->schema_name, wanted) == 0 ||
	    json_object_object_get_ex(props, wanted, NULL);
}

static bool
rule_matches(const struct rule *rule, const struct sim_request *r)
{
	if (rule->times == 0)
		return false;
	if (rule->kind != -1 && rule->kind != (int)r->kind)
		return false;
	if (r->wants_picture ? !fault_types[rule->fault.type].picture :
	    !fault_types[rule->fault.type].chat)
		return false;
	if (rule->fault.type == FAULT_UNSUPPORTED_FORMAT &&
	    r->format != rule->format)
		return false;
	if (rule->model != NULL && strcmp(rule->model, r->model) != 0)
		return false;
	if (rule->schema != NULL && !schema_matches(r, rule->schema))
		return false;
	return rule->contains == NULL ||
	    strstr(r->user.buf, rule->contains) != NULL ||
	    strstr(r->system.buf, rule->contains) != NULL;
}

static bool
use_up(struct rule *rule)
{
	if (rule->skip > 0) {
		rule->skip--;
		return false;
	}
	if (rule->times > 0)
		rule->times--;
	return true;
}

void
script_apply(struct script *s, const struct sim_request *r, struct fault *out)
{
	int64_t latency;
	struct rule *rule;
	bool dear;
	int i;

	memset(out, 0, sizeof(*out));
	pthread_mutex_lock(&s->lock);
	latency = s->latency_ms;
	dear = s->dear;
	for (i = 0; i < s->n && out->type == FAULT_NONE; i++) {
		rule = &s->rules[i];
		if (!rule_matches(rule, r) || !use_up(rule))
			continue;
		if (rule->fault.latency_ms >= 0)
			latency = rule->fault.latency_ms;
		if (rule->fault.type == FAULT_LATENCY)
			continue;
		*out = rule->fault;
		out->body = xstrdup(rule->fault.body);
	}
	out->latency_ms = latency;
	out->dear = dear;
	pthread_mutex_unlock(&s->lock);
}

void
fault_release(struct fault *f)
{
	free(f->body);
	f->body = NULL;
}
