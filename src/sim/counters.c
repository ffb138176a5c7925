/*
 * What came in and what went out.
 *
 * Tests of "nothing answered is bought twice" live on these numbers, so they
 * are strict: a call counts as answered only when its status was 200 and its
 * last byte was handed to the socket; a repeat is a call whose
 * Idempotency-Key was seen before, and a repeat of an answered key is counted
 * by itself, since that is the one a client should never need.
 *
 * Everything is under one lock and everything is bounded.
 */
#include "sim.h"

#include <pthread.h>

#include "clock.h"
#include "xalloc.h"

#define MAX_KEYS 100000
#define KEY_SLOTS 262144	/* a power of two, well above MAX_KEYS */
#define MAX_NAMES 256		/* models, schemas */
#define RECENT 256
#define RECENT_CHARS 2000
#define KEY_MAX 128

struct key_row {
	char *key;		/* owned; NULL: free slot */
	enum sim_kind kind;
	int calls, answered;
};

struct name_row {
	char name[SIM_NAME_MAX];
	int64_t calls;
};

struct names {
	struct name_row rows[MAX_NAMES];
	int n;
};

struct recent {
	int64_t at_ms, took_ms;
	enum sim_kind kind;
	char model[SIM_NAME_MAX], schema[SIM_NAME_MAX], key[KEY_MAX];
	char *system, *prompt;	/* owned, cut; NULL: empty slot */
	int status;
	bool whole;
	size_t bytes;
};

struct counters {
	pthread_mutex_t lock;
	int64_t calls[KIND__COUNT], answered[KIND__COUNT];
	int64_t failed, repeats, repeats_of_answered, connections, unparsed;
	int64_t in_flight, max_in_flight;
	struct names models, schemas;
	struct key_row *keys;
	int n_keys;
	struct recent recent[RECENT];
	unsigned next;		/* slot of the next recent */
};

struct counters *
counters_new(void)
{
	struct counters *c = xcalloc(1, sizeof(*c));

	c->keys = xcalloc(KEY_SLOTS, sizeof(*c->keys));
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

static void
forget(struct counters *c)
{
	size_t i;

	/* Free slots are not even touched: they have no memory yet. */
	for (i = 0; i < KEY_SLOTS; i++) {
		if (c->keys[i].key == NULL)
			continue;
		free(c->keys[i].key);
		memset(&c->keys[i], 0, sizeof(c->keys[i]));
	}
	for (i = 0; i < RECENT; i++) {
		free(c->recent[i].system);
		free(c->recent[i].prompt);
	}
	memset(c->recent, 0, sizeof(c->recent));
}

void
counters_free(struct counters *c)
{
	if (c == NULL)
		return;
	forget(c);
	free(c->keys);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* Calls in flight stay counted: their end is still to come. */
void
counters_reset(struct counters *c)
{
	pthread_mutex_lock(&c->lock);
	forget(c);
	memset(c->calls, 0, sizeof(c->calls));
	memset(c->answered, 0, sizeof(c->answered));
	memset(&c->models, 0, sizeof(c->models));
	memset(&c->schemas, 0, sizeof(c->schemas));
	c->failed = c->repeats = c->repeats_of_answered = 0;
	c->connections = c->unparsed = 0;
	c->n_keys = 0;
	c->next = 0;
	c->max_in_flight = c->in_flight;
	pthread_mutex_unlock(&c->lock);
}

static struct key_row *
find_key(struct counters *c, const char *key)
{
	size_t h = 14695981039346656037ull, i;
	const char *p;

	for (p = key; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * 1099511628211ull;
	for (i = h & (KEY_SLOTS - 1); c->keys[i].key != NULL;
	    i = (i + 1) & (KEY_SLOTS - 1))
		if (strcmp(c->keys[i].key, key) == 0)
			break;
	return &c->keys[i];
}

static void
count_name(struct names *names, const char *name)
{
	int i;

	for (i = 0; i < names->n; i++)
		if (strcmp(names->rows[i].name, name) == 0)
			break;
	if (i == MAX_NAMES)
		return;
	if (i == names->n) {
		snprintf(names->rows[i].name, SIM_NAME_MAX, "%s", name);
		names->n++;
	}
	names->rows[i].calls++;
}

void
counters_connection(struct counters *c)
{
	pthread_mutex_lock(&c->lock);
	c->connections++;
	pthread_mutex_unlock(&c->lock);
}

static void
count_key(struct counters *c, enum sim_kind kind, const char *key)
{
	struct key_row *row = find_key(c, key);

	if (row->key != NULL) {
		c->repeats++;
		if (row->answered > 0)
			c->repeats_of_answered++;
	} else if (c->n_keys < MAX_KEYS) {
		row->key = xstrdup(key);
		row->kind = kind;
		c->n_keys++;
	}
	if (row->key != NULL)
		row->calls++;
}

void
counters_arrived(struct counters *c, enum sim_kind kind, const char *key)
{
	pthread_mutex_lock(&c->lock);
	c->calls[kind]++;
	c->in_flight++;
	if (c->in_flight > c->max_in_flight)
		c->max_in_flight = c->in_flight;
	if (key != NULL)
		count_key(c, kind, key);
	pthread_mutex_unlock(&c->lock);
}

void
counters_parsed(struct counters *c, const struct sim_request *r)
{
	pthread_mutex_lock(&c->lock);
	if (r == NULL) {
		c->unparsed++;
	} else {
		count_name(&c->models, r->model);
		if (r->schema_name[0] != '\0')
			count_name(&c->schemas, r->schema_name);
	}
	pthread_mutex_unlock(&c->lock);
}

/* The first characters of a text, whole ones. */
static char *
first_chars(const char *s)
{
	size_t n = 0, chars = 0;

	if (s == NULL)
		return xstrdup("");
	for (; s[n] != '\0'; n++) {
		if (((unsigned char)s[n] & 0xc0) == 0x80)
			continue;
		if (chars++ == RECENT_CHARS)
			break;
	}
	return xstrndup(s, n);
}

static void
remember(struct counters *c, const struct outcome *o)
{
	struct recent *r = &c->recent[c->next++ % RECENT];

	free(r->system);
	free(r->prompt);
	memset(r, 0, sizeof(*r));
	r->at_ms = o->at_ms;
	r->took_ms = o->took_ms;
	r->kind = o->kind;
	snprintf(r->model, sizeof(r->model), "%s", o->model);
	snprintf(r->schema, sizeof(r->schema), "%s", o->schema);
	snprintf(r->key, sizeof(r->key), "%s", o->key != NULL ? o->key : "");
	r->system = first_chars(o->system);
	r->prompt = first_chars(o->prompt);
	r->status = o->status;
	r->whole = o->whole;
	r->bytes = o->bytes;
}

void
counters_done(struct counters *c, const struct outcome *o)
{
	bool answered = o->whole && o->status == 200;
	struct key_row *row;

	pthread_mutex_lock(&c->lock);
	c->in_flight--;
	if (answered)
		c->answered[o->kind]++;
	else
		c->failed++;
	if (o->key != NULL && answered) {
		row = find_key(c, o->key);
		if (row->key != NULL)
			row->answered++;
	}
	remember(c, o);
	pthread_mutex_unlock(&c->lock);
}

/* --- texts ------------------------------------------------------------- */

static struct json_object *
by_kind(const int64_t counts[KIND__COUNT])
{
	struct json_object *o = json_object_new_object();
	int k;

	for (k = 0; k < KIND__COUNT; k++)
		json_put_int(o, sim_kind_name((enum sim_kind)k), counts[k]);
	return o;
}

static struct json_object *
by_name(const struct names *names)
{
	struct json_object *o = json_object_new_object();
	int i;

	for (i = 0; i < names->n; i++)
		json_put_int(o, names->rows[i].name, names->rows[i].calls);
	return o;
}

static struct json_object *
by_key(const struct counters *c)
{
	struct json_object *o = json_object_new_object(), *row;
	size_t i;

	for (i = 0; i < KEY_SLOTS; i++) {
		if (c->keys[i].key == NULL)
			continue;
		row = json_object_new_object();
		json_put_int(row, "calls", c->keys[i].calls);
		json_put_int(row, "answered", c->keys[i].answered);
		json_put_str(row, "kind", sim_kind_name(c->keys[i].kind));
		json_put_obj(o, c->keys[i].key, row);
	}
	return o;
}

char *
counters_text(struct counters *c)
{
	struct json_object *o = json_object_new_object();
	char *text;

	pthread_mutex_lock(&c->lock);
	json_put_obj(o, "calls", by_kind(c->calls));
	json_put_obj(o, "answered", by_kind(c->answered));
	json_put_int(o, "failed", c->failed);
	json_put_int(o, "unparsed", c->unparsed);
	json_put_int(o, "repeats", c->repeats);
	json_put_int(o, "repeats_of_answered", c->repeats_of_answered);
	json_put_int(o, "connections", c->connections);
	json_put_int(o, "in_flight", c->in_flight);
	json_put_int(o, "max_in_flight", c->max_in_flight);
	json_put_obj(o, "by_model", by_name(&c->models));
	json_put_obj(o, "by_schema", by_name(&c->schemas));
	json_put_obj(o, "keys", by_key(c));
	pthread_mutex_unlock(&c->lock);
	text = json_to_text(o);
	json_object_put(o);
	return text;
}

static struct json_object *
describe(const struct recent *r)
{
	struct json_object *o = json_object_new_object();

	json_put_obj(o, "time", json_new_time(r->at_ms));
	json_put_int(o, "took_ms", r->took_ms);
	json_put_str(o, "kind", sim_kind_name(r->kind));
	json_put_str(o, "model", r->model);
	json_put_str(o, "schema", r->schema[0] != '\0' ? r->schema : NULL);
	json_put_str(o, "key", r->key[0] != '\0' ? r->key : NULL);
	json_put_int(o, "status", r->status);
	json_put_bool(o, "whole", r->whole);
	json_put_int(o, "bytes", (int64_t)r->bytes);
	json_put_str(o, "system", r->system);
	json_put_str(o, "prompt", r->prompt);
	return o;
}

char *
counters_requests_text(struct counters *c, int last)
{
	struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array();
	const struct recent *r;
	char *text;
	int i;

	if (last > RECENT)
		last = RECENT;
	pthread_mutex_lock(&c->lock);
	for (i = last; i > 0; i--) {
		r = &c->recent[(c->next - (unsigned)i) % RECENT];
		if ((unsigned)i <= c->next && r->prompt != NULL)
			json_object_array_add(list, describe(r));
	}
	pthread_mutex_unlock(&c->lock);
	json_put_obj(o, "requests", list);
	text = json_to_text(o);
	json_object_put(o);
	return text;
}
