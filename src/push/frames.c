/*
 * Text out of events.
 *
 * The data of an event was written as JSON by the runner and is pasted as it is,
 * once it has been found to be one object without line breaks: clients read into
 * data before they look at the type, and a stream ends a message at a line
 * break.  Anything else shows as an empty object rather than not at all, since
 * a number that is left out looks like a lost message.
 */
#include "frames.h"

#include "clock.h"
#include "json.h"
#include "xalloc.h"

#define ENVELOPE_BYTES 512	/* of a message besides its data */
#define ESCAPED 6		/* bytes that one may become, as \u007f */

/* --- gist ----------------------------------------------------------------- */

static void
read_gist(const char *type, const struct json_object *data, struct gist *g)
{
	const char *job = json_get_str(data, "job_id");
	const char *stage = json_get_str(data, "stage_name");

	g->is_stage = strcmp(type, "stage_update") == 0;
	/* What a refinement tells on its run's channel names its job. */
	g->is_end = job == NULL && (strcmp(type, "run_complete") == 0 ||
	    strcmp(type, "run_error") == 0);
	if (g->is_stage && stage != NULL)
		g->stage = xasprintf("%s %s", job != NULL ? job : "", stage);
}

void
gist_release(struct gist *g)
{
	free(g->stage);
	memset(g, 0, sizeof(*g));
}

/* --- making --------------------------------------------------------------- */

static struct frame *
frame_new(int64_t seq, const struct strbuf *text)
{
	struct frame *f = xcalloc(1, sizeof(*f));

	f->refs = 1;
	f->seq = seq;
	f->len = text->len;
	f->room = xmalloc(FRAME_HEADROOM + text->len + 1);
	memcpy(f->room + FRAME_HEADROOM, text->buf, text->len + 1);
	link_init(&f->shared);
	return f;
}

static void
add_member(struct strbuf *sb, const char *name, const char *value)
{
	strbuf_addf(sb, "\"%s\":\"", name);
	strbuf_add_json_escaped(sb, value, strlen(value));
	strbuf_addstr(sb, "\",");
}

static void
add_data(struct strbuf *sb, const char *text, struct json_object *data)
{
	if (data == NULL)
		strbuf_addstr(sb, "{}");
	else if (strpbrk(text, "\r\n") == NULL)
		strbuf_addstr(sb, text);
	else
		strbuf_add_json(sb, data);
}

struct frame *
frame_of_event(const char *run_id, const struct event *ev, struct gist *gist)
{
	struct json_object *data = NULL;
	char when[CLOCK_TEXT_MAX];
	struct strbuf text;
	struct frame *f;

	memset(gist, 0, sizeof(*gist));
	if (json_parse(ev->data, strlen(ev->data), &data, NULL) == ERR_OK &&
	    !json_object_is_type(data, json_type_object)) {
		json_object_put(data);
		data = NULL;
	}
	strbuf_init(&text, ESCAPED * strlen(ev->data) + strlen(ev->type) +
	    strlen(run_id) + ENVELOPE_BYTES);
	strbuf_addch(&text, '{');
	add_member(&text, "type", ev->type);
	add_member(&text, "run_id", run_id);
	strbuf_addf(&text, "\"seq\":%lld,", (long long)ev->seq);
	add_member(&text, "timestamp", clock_format(ev->created_ms, when));
	strbuf_addstr(&text, "\"data\":");
	add_data(&text, ev->data, data);
	strbuf_addch(&text, '}');
	f = frame_new(ev->seq, &text);
	read_gist(ev->type, data, gist);
	strbuf_release(&text);
	json_object_put(data);
	return f;
}

struct frame *
frame_ping(const char *run_id, int64_t wall_ms)
{
	struct strbuf text = STRBUF_INIT(ENVELOPE_BYTES);
	char when[CLOCK_TEXT_MAX];
	struct frame *f;

	clock_format(wall_ms, when);
	strbuf_addch(&text, '{');
	add_member(&text, "type", "ping");
	add_member(&text, "run_id", run_id);
	add_member(&text, "timestamp", when);
	strbuf_addf(&text, "\"data\":{\"timestamp\":\"%s\"}}", when);
	f = frame_new(0, &text);
	strbuf_release(&text);
	return f;
}

/* --- sharing -------------------------------------------------------------- */

struct frame *
frame_ref(struct frame *f)
{
	f->refs++;
	return f;
}

void
frame_unref(struct frame *f)
{
	if (f == NULL || --f->refs > 0)
		return;
	link_take(&f->shared);
	free(f->room);
	free(f->stream);
	free(f);
}

const char *
frame_text(const struct frame *f)
{
	return f->room + FRAME_HEADROOM;
}

/* The value of "type", which our own text begins with: letters and _ only. */
static size_t
type_in(const char *text, const char **type)
{
	*type = text + strlen("{\"type\":\"");
	return strspn(*type, "abcdefghijklmnopqrstuvwxyz_");
}

const char *
frame_stream(struct frame *f, size_t *len)
{
	struct strbuf sb;
	const char *type;
	size_t n;

	if (f->stream == NULL) {
		strbuf_init(&sb, f->len + ENVELOPE_BYTES);
		if (f->seq > 0)
			strbuf_addf(&sb, "id: %lld\n", (long long)f->seq);
		n = type_in(frame_text(f), &type);
		strbuf_addstr(&sb, "event: ");
		strbuf_add(&sb, type, n);
		strbuf_addstr(&sb, "\ndata: ");
		strbuf_add(&sb, frame_text(f), f->len);
		strbuf_addstr(&sb, "\n\n");
		f->stream_len = sb.len;
		f->stream = strbuf_detach(&sb);
	}
	*len = f->stream_len;
	return f->stream;
}

/* --- from clients --------------------------------------------------------- */

bool
message_is_ping(const char *text, size_t len)
{
	struct json_object *o = NULL;
	const char *type;
	bool is_ping;

	if (json_parse(text, len, &o, NULL) != ERR_OK)
		return false;
	type = json_get_str(o, "type");
	is_ping = type != NULL && strcmp(type, "ping") == 0;
	json_object_put(o);
	return is_ping;
}
