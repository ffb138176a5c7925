/* Gathering and printing what was found; see report.h. */
#include "report.h"

#include <stdarg.h>

#include "xalloc.h"

#define MAX_MESSAGE_BYTES 4096
#define INDENT "     "		/* faults, beneath their check */

static const char *const level_words[LEVEL__COUNT] = {
	[LEVEL_OK] = "ok", [LEVEL_WARN] = "warn", [LEVEL_FAIL] = "FAIL",
};
static const enum colour level_colours[LEVEL__COUNT] = {
	[LEVEL_OK] = COLOUR_GOOD, [LEVEL_WARN] = COLOUR_DOUBT,
	[LEVEL_FAIL] = COLOUR_BAD,
};

void
report_init(struct report *r)
{
	memset(r, 0, sizeof(*r));
	r->checks = json_object_new_array();
}

void
report_release(struct report *r)
{
	json_object_put(r->checks);
	r->checks = NULL;
}

void
report_add(struct report *r, enum level level, const char *what,
    const char *fmt, ...)
{
	struct strbuf text = STRBUF_INIT(MAX_MESSAGE_BYTES);
	struct json_object *o = json_object_new_object();
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(&text, fmt, ap);
	va_end(ap);
	json_put_int(o, "level", level);
	json_put_str(o, "what", what);
	json_put_str(o, "message", text.buf);
	json_put_obj(o, "faults", json_object_new_array());
	json_object_array_add(r->checks, o);
	r->count[level]++;
	strbuf_release(&text);
}

void
report_faults(struct report *r, const char *lines)
{
	struct json_object *last, *faults;
	size_t len;

	last = json_object_array_get_idx(r->checks, json_len(r->checks) - 1);
	faults = json_get_arr(last, "faults");
	for (; *lines != '\0'; lines += len + (lines[len] == '\n')) {
		len = strcspn(lines, "\n");
		json_object_array_add(faults,
		    json_object_new_string_len(lines, (int)len));
	}
}

static void
print_check(const struct json_object *o)
{
	int64_t level = json_get_int(o, "level", LEVEL_FAIL);
	const struct json_object *faults = json_get_arr(o, "faults");
	enum colour colour = level_colours[level];
	size_t i;

	printf("%s%-4s%s %s: ", colour_on(colour), level_words[level],
	    colour_off(colour), json_get_str(o, "what"));
	print_plain(json_get_str(o, "message"));
	putchar('\n');
	for (i = 0; i < json_len(faults); i++) {
		fputs(INDENT, stdout);
		print_plain(json_object_get_string(
		    json_object_array_get_idx(faults, i)));
		putchar('\n');
	}
}

static void
print_closing(const struct report *r, const char *all_well)
{
	int fails = r->count[LEVEL_FAIL], warns = r->count[LEVEL_WARN];

	if (fails > 0)
		printf("%d of %zu checks failed", fails,
		    json_len(r->checks));
	else
		fputs(all_well, stdout);
	if (warns > 0)
		printf(", %d %s", warns, warns == 1 ? "warning" : "warnings");
	puts(".");
}

static void
print_report_json(const struct report *r)
{
	struct json_object *o = json_object_new_object(), *check;
	size_t i;

	for (i = 0; i < json_len(r->checks); i++) {
		check = json_object_array_get_idx(r->checks, i);
		json_put_str(check, "level",
		    level_words[json_get_int(check, "level", LEVEL_FAIL)]);
	}
	json_put_bool(o, "ok", r->count[LEVEL_FAIL] == 0);
	json_put_int(o, "warnings", r->count[LEVEL_WARN]);
	json_put_obj(o, "checks", json_object_get(r->checks));
	print_json(o);
}

void
report_print(const struct ctl *c, const struct report *r, const char *all_well)
{
	size_t i;

	if (c->json) {
		print_report_json(r);
		return;
	}
	for (i = 0; i < json_len(r->checks); i++)
		print_check(json_object_array_get_idx(r->checks, i));
	print_closing(r, all_well);
}
