/*
 * The ledger: what is written down before and after a wire request.
 *
 *   ledger_begin()   row SENT, the most it can cost reserved, durable, then the
 *                    request goes out
 *   ledger_settle()  ANSWERED with the answer, FAILED, or UNKNOWN
 *
 * A picture is on disk and synced before its row says ANSWERED, so whoever
 * reads such a row may rely on its files, unless somebody removed them since:
 * ledger_blobs_exist() is asked for that.
 *
 * Settling is not fenced and is tried again while the database is busy, also
 * after a cancel: a paid answer is always booked.
 */
#include "call.h"

#include <fcntl.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "log.h"
#include "money.h"
#include "xalloc.h"

#define SETTLE_TRIES 5
#define SETTLE_PAUSE_MS 200

void
ledger_key(const struct call *c, char out[IDEMPOTENCY_KEY_MAX])
{
	char hex[DIGEST_HEX_MAX], number[16];
	struct digest d;

	digest_init(&d);
	digest_add_field(&d, c->scope->ref->job_id);
	digest_add_field(&d, c->stage);
	snprintf(number, sizeof(number), "%d", c->variant);
	digest_add_field(&d, number);
	digest_add_field(&d, c->purpose_key);
	snprintf(number, sizeof(number), "%d", c->ask);
	digest_add_field(&d, number);
	digest_hex(&d, hex);
	snprintf(out, IDEMPOTENCY_KEY_MAX, "%.*s", IDEMPOTENCY_KEY_MAX - 1,
	    hex);
}

enum err_code
ledger_load(struct call *c, struct err *e)
{
	return store_find_calls(c->m->store, c->scope->ref->job_id, c->stage,
	    c->variant, c->purpose_key, &c->past, e);
}

enum err_code
ledger_begin(struct call *c, struct err *e)
{
	struct call_row *r = &c->row;
	enum err_code rc;

	call_row_release(r);
	memset(r, 0, sizeof(*r));
	id_new(r->id);
	r->job_id = xstrdup(c->scope->ref->job_id);
	r->run_id = xstrdup(c->scope->ref->run_id);
	r->owner = xstrdup(c->scope->owner);
	r->stage = xstrdup(c->stage);
	r->variant = c->variant;
	r->purpose = xstrdup(c->purpose_key);
	r->attempt = c->attempt + 1;
	r->ask = c->ask;
	r->state = CALL_SENT;
	r->provider = xstrdup(c->provider->name);
	r->model = xstrdup(c->model->id);
	r->idempotency_key = xstrdup(c->idempotency_key);
	r->request_hash = xstrdup(c->hash);
	r->simulated = c->provider->simulated;
	r->sent_ms = clock_now_ms();
	r->estimate_nano = c->kind->most(c);
	rc = store_call_begin(c->m->store, c->scope->ref, r, e);
	if (rc == ERR_OK)
		tally_sent(c->m->tallies, c->provider, c->model);
	return rc;
}

static void
put_usage(struct call_row *r, const struct usage *u)
{
	r->prompt_tokens = u->prompt;
	r->completion_tokens = u->completion;
	r->cached_tokens = u->cached;
	r->reasoning_tokens = u->reasoning;
	r->image_in_tokens = u->image_in;
	r->image_out_tokens = u->image_out;
	r->has_billed = u->has_billed;
	r->estimated = u->estimated;
}

void
ledger_usage(const struct call_row *r, struct usage *out)
{
	memset(out, 0, sizeof(*out));
	out->prompt = r->prompt_tokens;
	out->completion = r->completion_tokens;
	out->cached = r->cached_tokens;
	out->reasoning = r->reasoning_tokens;
	out->image_in = r->image_in_tokens;
	out->image_out = r->image_out_tokens;
	out->estimated = r->estimated;
	out->has_billed = r->has_billed;
	out->billed_nano = r->has_billed ? r->cost_nano : 0;
}

static bool
has_price(const struct model_info *m)
{
	return m->is_free || m->price_input > 0 || m->price_output > 0 ||
	    m->price_image_input > 0;
}

/* A price in models.yml is out of date, or a provider kept no limit. What it
 * charged is booked all the same. */
static void
tell_dear(const struct call *c, bool billed)
{
	char cost[MONEY_TEXT_MAX], most[MONEY_TEXT_MAX];

	money_text(c->row.cost_nano, cost);
	money_text(c->row.estimate_nano, most);
	log_warn("a call cost more than was reserved for it", "call=%s "
	    "provider=%s model=%s cost=%s reserved=%s billed=%s", c->row.id,
	    c->provider->name, c->model->id, cost, most,
	    billed ? "yes" : "no");
	call_note(c, "cost_above_estimate", "a call to %s cost %s, more than "
	    "the %s that were reserved for it", c->model->id, cost, most);
}

void
ledger_book(struct call *c, const struct json_object *answer)
{
	struct usage u;

	if (!usage_read(answer, &u)) {
		c->kind->estimate(c, answer, &u);
		u.estimated = true;
	}
	put_usage(&c->row, &u);
	c->row.cost_nano = c->kind->price(c, &u, answer);
	c->cost_nano += c->row.cost_nano;
	c->usage = u;
	if (c->row.cost_nano > c->row.estimate_nano)
		tell_dear(c, u.has_billed);
	if (!has_price(c->model) && !u.has_billed && !c->no_price_said) {
		c->no_price_said = true;
		call_note(c, "no_price", "models.yml has no price for %s; its "
		    "calls are booked at 0", c->model->id);
	}
}

enum err_code
ledger_settle(struct call *c, const struct verdict *v,
    const char *answer_text, struct err *e)
{
	struct call_row *r = &c->row;
	enum err_code rc;
	int tries = 0;

	r->settled_ms = clock_now_ms();
	r->http_status = v->status;
	r->state = v->unknown ? CALL_UNKNOWN :
	    v->fault == FAULT_NONE ? CALL_ANSWERED : CALL_FAILED;
	if (r->state != CALL_ANSWERED) {
		r->fault = xstrdup(model_fault_name(v->fault));
		r->error = xstrdup(v->detail[0] != '\0' ? v->detail :
		    v->sentence);
	}
	r->answer = xstrdup(answer_text);
	tally_settled(c->m->tallies, c->provider, c->model, r, v->fault);
	do {
		if (tries > 0)
			cancel_sleep(NULL, SETTLE_PAUSE_MS);
		rc = store_call_settle(c->m->store, r, e);
	} while (rc == ERR_BUSY && ++tries < SETTLE_TRIES);
	/* Somebody settled it before us with the same answer: fine. */
	if (rc == ERR_CONFLICT) {
		err_clear(e);
		rc = ERR_OK;
	}
	return rc;
}

/* --- files --------------------------------------------------------------- */

/* The names of the row as an array, caller's reference; NULL when none. */
static struct json_object *
blob_names(const struct call_row *r)
{
	struct json_object *names = NULL;

	if (r->blobs == NULL || json_parse(r->blobs, strlen(r->blobs), &names,
	    NULL) != ERR_OK)
		return NULL;
	if (!json_object_is_type(names, json_type_array)) {
		json_object_put(names);
		return NULL;
	}
	return names;
}

bool
ledger_blobs_exist(const struct call_row *r, int run_dirfd)
{
	struct json_object *names = blob_names(r);
	const char *name;
	bool all = true;
	size_t i;
	int fd;

	for (i = 0; all && i < json_len(names); i++) {
		name = json_object_get_string(json_object_array_get_idx(names,
		    i));
		all = name != NULL && file_open_beneath(run_dirfd, name,
		    O_RDONLY, 0, &fd, NULL) == ERR_OK;
		if (all)
			close(fd);
	}
	json_object_put(names);
	return all;
}

bool
ledger_has_blob(const struct call_row *r, const char *name)
{
	struct json_object *names = blob_names(r);
	const char *have;
	bool found = false;
	size_t i;

	for (i = 0; !found && i < json_len(names); i++) {
		have = json_object_get_string(json_object_array_get_idx(names,
		    i));
		found = have != NULL && strcmp(have, name) == 0;
	}
	json_object_put(names);
	return found;
}

void
ledger_add_blob(struct call_row *r, const char *name)
{
	struct json_object *names = blob_names(r);

	if (names == NULL)
		names = json_object_new_array();
	json_object_array_add(names, json_object_new_string(name));
	free(r->blobs);
	r->blobs = json_to_text(names);
	json_object_put(names);
}
