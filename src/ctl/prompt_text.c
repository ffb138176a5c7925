/*
 * prompt, for people: the document of --json as text.
 *
 * Texts stand behind a bar, line by line, so that nothing a client or a model
 * wrote can be taken for a line of ours.
 */
#include "prompt.h"

#include <inttypes.h>

#include "xalloc.h"

static void
print_line(const char *name, const char *text)
{
	printf("  %-11s ", name);
	print_plain(text);
	putchar('\n');
}

/* Each line of it behind a bar. */
static void
print_text(const char *title, const char *text)
{
	size_t len;
	char *one;

	if (text == NULL)
		return;
	printf("\n  %s\n", title);
	for (; *text != '\0'; text += len + (text[len] == '\n')) {
		len = strcspn(text, "\n");
		one = xstrndup(text, len);
		fputs("  | ", stdout);
		print_plain(one);
		putchar('\n');
		free(one);
	}
}

static void
print_parameters(const struct json_object *call)
{
	struct json_object *p = json_get_obj(call, "parameters");
	struct strbuf text = STRBUF_INIT(MAX_LINE_BYTES);

	json_object_object_foreach(p, key, value) {
		strbuf_addf(&text, "%s%s ", text.len > 0 ? ", " : "", key);
		if (json_object_is_type(value, json_type_string))
			strbuf_addstr(&text, json_object_get_string(value));
		else
			strbuf_add_json(&text, value);
	}
	if (text.len > 0)
		print_line("parameters", text.buf);
	strbuf_release(&text);
}

static void
print_pictures(const struct json_object *call)
{
	struct json_object *list = json_get_arr(call, "pictures"), *p;
	char *text;
	size_t i;

	for (i = 0; i < json_len(list); i++) {
		p = json_object_array_get_idx(list, i);
		text = xasprintf("%s, %s, %" PRId64 " x %" PRId64 ", %" PRId64
		    " bytes", json_get_str(p, "name"), json_get_str(p, "type"),
		    json_get_int(p, "width", 0), json_get_int(p, "height", 0),
		    json_get_int(p, "bytes", 0));
		print_line("picture", text);
		free(text);
	}
}

/* What has become of it, and whether it would be sent. */
static void
print_state(const struct json_object *call)
{
	struct json_object *row = json_get_obj(call, "ledger");
	const char *state = json_get_str(row, "state");
	const char *hash = json_get_str(row, "hash");
	bool to_send = json_get_bool(call, "to_send", false);
	char *text;

	if (json_get_bool(call, "cached", false)) {
		print_line("state", "not sent: an equal request was answered "
		    "before");
	} else if (row == NULL) {
		print_line("state", "not sent yet");
	} else {
		text = xasprintf("%s in attempt %" PRId64 "%s", state,
		    json_get_int(row, "attempt", 0), !to_send ? "" :
		    strcmp(state, call_state_name(CALL_SENT)) == 0 ?
		    ", no answer yet" : ", would be sent again");
		print_line("state", text);
		free(text);
	}
	if (row != NULL && json_get_bool(row, "same_request", false)) {
		print_line("", "this very request was sent");
	} else if (row != NULL) {
		text = xasprintf("another request was sent, to %s: hash %s",
		    json_get_str(row, "model"), hash != NULL ? hash : "?");
		print_line("", text);
		free(text);
	}
	if (json_get_bool(call, "uncertain", false))
		print_line("", "made without the answer to a call above; with "
		    "it this one may be another, or none");
}

static void
print_call(const struct json_object *call, int number)
{
	const struct json_object *answer = json_get_obj(call, "answer");
	int64_t ask = json_get_int(call, "ask", 1);
	char *text;

	printf("\n%d. %s", number, json_get_str(call, "purpose"));
	if (json_get(call, "variant") != NULL)
		printf(", variant %" PRId64, json_get_int(call, "variant", 0));
	if (ask > 1)
		printf(", asked again (%" PRId64 ")", ask);
	putchar('\n');
	text = xasprintf("%s%s", json_get_str(call, "provider"),
	    json_get_bool(call, "simulated", false) ? " (simulated)" : "");
	print_line("provider", text);
	free(text);
	text = xasprintf("%s%s", json_get_str(call, "model"),
	    json_get_bool(call, "fallback", false) ? " (fall-back)" : "");
	print_line("model", text);
	free(text);
	print_line("url", json_get_str(call, "url"));
	print_parameters(call);
	if (answer != NULL) {
		text = xasprintf("%s %s", json_get_str(answer, "mode"),
		    json_get_str(answer, "schema"));
		print_line("answer", text);
		free(text);
	}
	print_pictures(call);
	printf("  %-11s %" PRId64 " bytes\n", "size",
	    json_get_int(call, "bytes", 0));
	print_line("hash", json_get_str(call, "hash"));
	print_state(call);
	print_text("system", json_get_str(call, "system"));
	print_text("user", json_get_str(call, "user"));
	print_text("unusable answer", json_get_str(call, "answered"));
	print_text("complaint", json_get_str(call, "complaint"));
}

static void
print_problems(const struct json_object *problems)
{
	const struct json_object *p;
	size_t i;

	for (i = 0; i < json_len(problems); i++) {
		p = json_object_array_get_idx(problems, i);
		putchar('\n');
		if (json_get(p, "variant") != NULL)
			printf("Variant %" PRId64 ": ",
			    json_get_int(p, "variant", 0));
		fputs(json_get(p, "variant") != NULL ?
		    "nothing would be sent: " : "Nothing would be sent: ",
		    stdout);
		print_plain(json_get_str(p, "message"));
		putchar('\n');
	}
}

void
prompt_print(const struct json_object *doc)
{
	const struct json_object *calls = json_get_arr(doc, "calls");
	const char *idle = json_get_str(doc, "idle");
	size_t i;

	printf("Run %s, stage %s\n", json_get_str(doc, "run_id"),
	    json_get_str(doc, "stage"));
	if (idle != NULL) {
		fputs("\nNothing would be sent: ", stdout);
		print_plain(idle);
		putchar('\n');
	}
	for (i = 0; i < json_len(calls); i++)
		print_call(json_object_array_get_idx(calls, i), (int)i + 1);
	print_problems(json_get_arr(doc, "problems"));
}
