/*
 * One attempt on the wire: sent, answered, or given up; and the download of a
 * picture that an answer only names.
 *
 * The order is what counts.  The ledger row is durable before the request is
 * handed to HTTP; pictures are on disk before the row says ANSWERED; and the
 * row is settled before anybody looks whether the answer is any good.
 */
#include "call.h"

#include <fcntl.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "xalloc.h"

#define HEADER_MAX 1100		/* bytes of a line; a key may take most */
#define FETCH_TRIES 2
#define FETCH_TIMEOUT_MS 30000

/* --- sending and answering ----------------------------------------------- */

static void
put_headers(const struct call *c, struct http_request *r,
    char lines[4][HEADER_MAX])
{
	int n = 0;

	snprintf(lines[n++], HEADER_MAX, "Content-Type: %s",
	    c->wire.content_type);
	snprintf(lines[n++], HEADER_MAX, "Idempotency-Key: %s",
	    c->idempotency_key);
	snprintf(lines[n++], HEADER_MAX, "X-Client-Request-Id: %s",
	    c->row.id);
	if (c->provider->key != NULL && c->provider->key[0] != '\0')
		snprintf(lines[n++], HEADER_MAX, "%s%s", c->wire.key_header,
		    c->provider->key);
	while (n-- > 0)
		r->headers[n] = lines[n];
}

void
attempt_send(struct call *c, struct http_group *g, int tag)
{
	const struct conf *conf = c->m->conf;
	const struct purpose *p = &conf->purposes[c->purpose];
	struct http_request r;
	char lines[4][HEADER_MAX];
	int64_t left_ms = call_time_left(c);
	int timeout_ms;
	enum err_code rc;

	rc = ledger_begin(c, &c->err);
	if (rc == ERR_BUDGET && call_await_budget(c))
		return;
	if (rc != ERR_OK) {
		call_end(c, rc == ERR_CONFLICT ? err_set(&c->err, ERR_SYSTEM,
		    "the ledger has a call that nobody made") : rc);
		return;
	}
	c->attempt = c->row.attempt;
	c->budget_until_ms = 0;
	timeout_ms = p->timeout_ms > 0 ? p->timeout_ms :
	    c->kind->gate == GATE_IMAGE ? conf->settings.image_timeout_ms :
	    conf->settings.llm_timeout_ms;
	memset(&r, 0, sizeof(r));
	r.method = "POST";
	r.url = c->wire.url;
	put_headers(c, &r, lines);
	r.body = c->wire.body;
	c->wire.body = NULL;	/* theirs now */
	r.connect_timeout_ms = conf->settings.connect_timeout_ms;
	r.total_timeout_ms = left_ms < timeout_ms ? (int)left_ms : timeout_ms;
	r.max_connections = c->provider->max_connections;
	r.http2 = c->provider->http2;
	r.max_text_bytes = CALL_TEXT_MAX_BYTES;
	r.max_string_bytes = c->wire.max_string_bytes;
	r.max_blob_bytes = r.max_string_bytes > 0 ? 0 : CALL_BLOB_MAX_BYTES;
	r.blob_dirfd = c->scope->run_dirfd;
	snprintf(c->blob_prefix, sizeof(c->blob_prefix), "calls/%s",
	    c->row.id);
	r.blob_prefix = c->blob_prefix;
	http_group_add(g, &r, tag);
	explicit_bzero(lines, sizeof(lines));	/* a key */
	c->step = STEP_FLIGHT;
}

/* Name the blobs that arrived whole; the others are of no use. */
static void
list_blobs(struct call *c, const struct http_answer *a)
{
	char name[80];
	int i;

	for (i = 0; i < a->n_blobs; i++) {
		snprintf(name, sizeof(name), "calls/%s.%d", c->row.id, i);
		if (!a->blob_invalid[i])
			ledger_add_blob(&c->row, name);
		else
			unlinkat(c->scope->run_dirfd, name, 0);
	}
}

static enum gate_result
gate_result_of(const struct verdict *v)
{
	if (v->local != ERR_OK)
		return GATE_NEUTRAL;
	if (v->fault == FAULT_RATE_LIMIT)
		return GATE_LIMITED;
	if (v->unknown || model_fault_is_transport(v->fault))
		return GATE_BROKEN;
	return GATE_FINE;
}

/* After a 429 or where the provider says so, everybody keeps away from it. */
static void
pause_gate(struct call *c, const struct verdict *v)
{
	const struct settings *s = &c->m->conf->settings;
	int64_t ms = v->retry_after_ms;

	if (ms < 0 && v->fault == FAULT_RATE_LIMIT && v->again)
		ms = backoff_ms(s, c->retries);
	if (ms > s->retry_after_cap_ms)
		ms = s->retry_after_cap_ms;
	if (ms > 0)
		gate_pause(c->m->gates, c->ticket.provider,
		    clock_mono_ms() + ms);
}

void
attempt_answered(struct call *c, struct http_answer *a)
{
	struct json_object *answer = NULL;
	struct verdict v;
	struct usage u;
	enum err_code rc = ERR_OK, settled;
	char *text = NULL;

	verdict_of_answer(a, c->provider->key, &answer, &v);
	pause_gate(c, &v);
	gate_leave(c->m->gates, &c->ticket, gate_result_of(&v),
	    clock_mono_ms());
	list_blobs(c, a);
	if (v.fault == FAULT_NONE) {
		rc = c->kind->keep(c, answer, &c->err);
		text = json_to_text(answer);
	}
	if (v.fault == FAULT_NONE || usage_read(answer, &u) ||
	    a->failure == HTTP_TOO_LARGE)
		ledger_book(c, answer);
	if (v.local != ERR_OK)
		rc = err_set(&c->err, v.local, "%s", a->message);
	/* An answer we could not keep may have been paid for. */
	if (rc != ERR_OK) {
		v.unknown = true;
		v.fault = FAULT_NETWORK;
	}
	settled = ledger_settle(c, &v, v.unknown ? NULL : text,
	    rc == ERR_OK ? &c->err : NULL);
	if (rc == ERR_OK)
		rc = settled;
	if (rc != ERR_OK)
		call_end(c, rc);
	else if (v.fault == FAULT_NONE)
		call_judge(c, &c->row, answer, true);
	else if (v.unknown && call_time_left(c) <= 0)
		call_out_of_time(c);
	else
		call_decide(c, &v, true);
	free(text);
	json_object_put(answer);
}

void
attempt_abandon(struct call *c)
{
	struct verdict v;

	verdict_set(&v, FAULT_NETWORK);
	v.unknown = true;
	snprintf(v.detail, sizeof(v.detail), "stopped while under way");
	ledger_settle(c, &v, NULL, NULL);
}

/* --- pictures that an answer only names ---------------------------------- */

static bool
is_web_url(const char *url)
{
	return strncasecmp(url, "https://", 8) == 0 ||
	    strncasecmp(url, "http://", 7) == 0;
}

static void
fetch_end(struct call *c, const struct verdict *v)
{
	free(c->fetch_url);
	c->fetch_url = NULL;
	call_decide(c, v, true);
}

/* The final name is given to whole files only: whoever finds it may use it. */
static enum err_code
keep_fetched(struct call *c, struct err *e)
{
	int calls = -1, fd = -1;
	char from[80];
	enum err_code rc;

	snprintf(from, sizeof(from), "%s.0", c->fetch_prefix);
	rc = file_open_dir(c->scope->run_dirfd, "calls", &calls, e);
	if (rc == ERR_OK)
		rc = file_open_beneath(c->scope->run_dirfd, from, O_RDONLY, 0,
		    &fd, e);
	if (rc == ERR_OK)
		rc = file_commit(fd, calls, strchr(from, '/') + 1,
		    strchr(c->fetch_file, '/') + 1, e);
	if (fd >= 0)
		close(fd);
	if (calls >= 0)
		close(calls);
	return rc;
}

void
attempt_fetch(struct call *c, struct http_group *g, int tag)
{
	int64_t left_ms = call_time_left(c);
	struct http_request r;
	struct verdict v;
	char old[80];

	verdict_set(&v, FAULT_NONE);
	if (faccessat(c->scope->run_dirfd, c->fetch_file, F_OK,
	    AT_SYMLINK_NOFOLLOW) == 0) {
		c->kind->fetched(c, &v);	/* by an earlier life */
		fetch_end(c, &v);
		return;
	}
	if (!is_web_url(c->fetch_url) || c->fetch_tries == FETCH_TRIES) {
		verdict_set(&v, FAULT_NO_IMAGE);
		fetch_end(c, &v);
		return;
	}
	c->fetch_tries++;
	/* A try before may have left something. */
	snprintf(old, sizeof(old), "%s.0", c->fetch_prefix);
	unlinkat(c->scope->run_dirfd, old, 0);
	memset(&r, 0, sizeof(r));
	r.method = "GET";
	r.url = c->fetch_url;
	r.connect_timeout_ms = c->m->conf->settings.connect_timeout_ms;
	r.total_timeout_ms = left_ms < FETCH_TIMEOUT_MS ? (int)left_ms :
	    FETCH_TIMEOUT_MS;
	r.max_text_bytes = CALL_TEXT_MAX_BYTES;
	r.max_blob_bytes = CALL_BLOB_MAX_BYTES;
	r.blob_dirfd = c->scope->run_dirfd;
	r.blob_prefix = c->fetch_prefix;
	r.raw_to_blob = true;
	c->until_ms = INT64_MAX;
	http_group_add(g, &r, tag + TAG_FETCH);
}

void
attempt_fetched(struct call *c, const struct http_answer *a)
{
	struct verdict v;
	enum err_code rc;

	if (a->failure == HTTP_LOCAL) {
		call_end(c, err_set(&c->err, a->local, "%s", a->message));
		return;
	}
	if (a->failure != HTTP_FINE || a->n_blobs != 1) {
		c->until_ms = clock_mono_ms() +
		    backoff_ms(&c->m->conf->settings, 0);
		return;		/* tried again then */
	}
	rc = keep_fetched(c, &c->err);
	if (rc != ERR_OK) {
		call_end(c, rc);
		return;
	}
	verdict_set(&v, FAULT_NONE);
	c->kind->fetched(c, &v);
	fetch_end(c, &v);
}
