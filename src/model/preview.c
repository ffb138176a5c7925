/*
 * Showing a call instead of sending it (model.h says why it is done here).
 *
 * A call that is shown walks through the ledger like one that is resumed, so
 * its re-asks are shown, too; where the ledger ends, it ends.  Only a picture
 * that was answered is not taken from there: it would end its stage, so
 * there is nothing more to be seen, and using it would make files.
 *
 * The first ask is what today's configuration and prompts make, also when an
 * earlier life sent something else; the row beside it tells the difference.
 *
 * The body is read back whole, pictures and all, since it is parsed as what it
 * is, not searched; that is the price of showing what is there.
 */
#include "call.h"

#include "provider.h"
#include "xalloc.h"

#define MAX_BODY_BYTES ((size_t)256 * 1024 * 1024)
#define LINE_END "\r\n"
#define HEAD_END "\r\n\r\n"

/* --- reading back -------------------------------------------------------- */

struct json_object *
body_rest(const struct json_object *body, const char *const *names)
{
	struct json_object *rest = json_object_new_object();
	const char *const *n;

	if (body == NULL || !json_object_is_type(body, json_type_object))
		return rest;
	json_object_object_foreach((struct json_object *)(uintptr_t)body, key,
	    value) {
		for (n = names; *n != NULL && strcmp(*n, key) != 0; n++)
			continue;
		if (*n == NULL)
			json_put_obj(rest, key, json_object_get(value));
	}
	return rest;
}

/* One part of a form, its head and its value, added unless it is a file. */
static void
take_part(struct json_object *form, const char *head, size_t head_len,
    const char *value, size_t value_len)
{
	static const char before[] = "name=\"";
	const char *name, *end;
	char *key, *text;

	name = memmem(head, head_len, before, strlen(before));
	if (name == NULL || memmem(head, head_len, "filename=", 9) != NULL)
		return;
	name += strlen(before);
	end = memchr(name, '"', head_len - (size_t)(name - head));
	if (end == NULL)
		return;
	key = xstrndup(name, (size_t)(end - name));
	text = xstrndup(value, value_len);
	json_put_str(form, key, text);
	free(key);
	free(text);
}

/* The fields of a form as strings. Caller's. */
static struct json_object *
read_form(const struct strbuf *body, const char *content_type)
{
	struct json_object *form = json_object_new_object();
	const char *boundary = strstr(content_type, "boundary=");
	const char *at = body->buf, *end = body->buf + body->len;
	const char *value, *next;
	char *line = NULL;
	size_t len;

	if (boundary == NULL)
		return form;
	line = xasprintf(LINE_END "--%s", boundary + strlen("boundary="));
	len = strlen(line);
	/* A part goes from the end of one such line to the next one. */
	at += len - strlen(LINE_END);
	while (at < end) {
		value = memmem(at, (size_t)(end - at), HEAD_END,
		    strlen(HEAD_END));
		if (value == NULL)
			break;
		value += strlen(HEAD_END);
		next = memmem(value, (size_t)(end - value), line, len);
		if (next == NULL)
			break;
		take_part(form, at, (size_t)(value - at), value,
		    (size_t)(next - value));
		at = next + len;
	}
	free(line);
	return form;
}

static enum err_code
read_back(const struct call *c, struct json_object **out, struct err *e)
{
	struct strbuf text = STRBUF_INIT(MAX_BODY_BYTES);
	const char *type = c->wire.content_type;
	enum err_code rc;

	rc = http_body_render(c->wire.body, &text, e);
	if (rc == ERR_OK && strncmp(type, "multipart/", 10) == 0)
		*out = read_form(&text, type);
	else if (rc == ERR_OK)
		rc = json_parse(text.buf, text.len, out, e);
	strbuf_release(&text);
	return rc;
}

/* --- showing ------------------------------------------------------------- */

static const struct call_row *
last_sent(const struct call *c)
{
	int i;

	for (i = c->past.n - 1; i >= 0; i--)
		if (c->past.rows[i].ask == c->ask)
			return &c->past.rows[i];
	return NULL;
}

/* Show the prepared request. */
static enum err_code
show(struct call *c, bool to_send, bool cached, struct err *e)
{
	struct call_preview p = {
		.purpose = c->purpose_key,
		.variant = c->variant,
		.ask = c->ask,
		.round = c->m->preview_round,
		.provider = c->provider->name,
		.model = c->model->id,
		.url = c->wire.url,
		.simulated = c->provider->simulated,
		.fallback = c->on_fallback,
		.bytes = http_body_length(c->wire.body),
		.hash = c->hash,
		.to_send = to_send,
		.cached = cached,
		.sent = last_sent(c),
	};
	struct json_object *body = NULL;
	enum err_code rc;

	rc = read_back(c, &body, e);
	if (rc == ERR_OK) {
		c->kind->describe(c, body, &p);
		c->m->preview(c->m->preview_arg, &p);
		c->shown_ask = c->ask;
	}
	json_object_put(p.parameters);
	json_object_put(body);
	return rc;
}

bool
call_can_ask(const struct model *m, const struct provider *p)
{
	return p != NULL && (m->preview != NULL || provider_usable(p));
}

bool
preview_ask(struct call *c)
{
	const struct call_row *next = c->n_past_used < c->past.n ?
	    &c->past.rows[c->n_past_used] : NULL;
	bool follow = next != NULL && (c->kind->gate != GATE_IMAGE ||
	    next->state != CALL_ANSWERED);
	enum err_code rc = ERR_OK;

	if (c->shown_ask != c->ask || next == NULL) {
		rc = call_prepare(c, &c->err);
		if (rc == ERR_OK)
			rc = show(c, next == NULL, false, &c->err);
	}
	if (rc == ERR_OK && follow)
		return true;
	if (rc == ERR_OK) {
		rc = err_set(&c->err, ERR_MODEL, "the request was shown, not "
		    "sent");
		c->err.detail = FAULT_NOT_CONFIGURED;
	}
	call_end(c, rc);
	return false;
}

void
preview_followed(struct call *c)
{
	if (c->m->preview != NULL && c->shown_ask != c->ask &&
	    c->wire.body != NULL)
		show(c, false, false, NULL);
}

void
preview_cached(struct call *c)
{
	if (c->m->preview != NULL)
		show(c, false, true, NULL);
}
