/* The text format of Prometheus. Figures are integers of ours and are written
 * as decimals, never by way of a float, so that money stays exact. */
#include "exposition.h"

#include <inttypes.h>

static const struct {
	int64_t scale;
	int digits;
} units[] = {
	[UNIT_ONE] = { 1, 0 },
	[UNIT_MILLI] = { 1000, 3 },
	[UNIT_MICRO] = { 1000000, 6 },
	[UNIT_NANO] = { 1000000000, 9 },
};

void
labels_init(struct labels *l)
{
	l->len = 0;
	l->text[0] = '\0';
}

void
labels_add(struct labels *l, const char *name, const char *value)
{
	struct strbuf one = STRBUF_INIT(MAX_LABELS_BYTES);

	strbuf_addf(&one, "%s%s=\"", l->len > 0 ? "," : "", name);
	for (; *value != '\0'; value++)
		if (*value == '\n')
			strbuf_addstr(&one, "\\n");
		else if (*value == '"' || *value == '\\')
			strbuf_addf(&one, "\\%c", *value);
		else
			strbuf_addch(&one, *value);
	strbuf_addch(&one, '"');
	if (!strbuf_overflowed(&one) && l->len + one.len < sizeof(l->text)) {
		memcpy(l->text + l->len, one.buf, one.len + 1);
		l->len += one.len;
	}
	strbuf_release(&one);
}

void
labels_add_int(struct labels *l, const char *name, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, value);
	labels_add(l, name, text);
}

void
family(struct strbuf *out, const char *name, const char *type,
    const char *help)
{
	strbuf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
	    type);
}

void
sample(struct strbuf *out, const char *name, const struct labels *l,
    int64_t value, enum unit unit)
{
	int64_t scale = units[unit].scale, rest = value % scale;

	strbuf_addstr(out, name);
	if (l != NULL && l->len > 0)
		strbuf_addf(out, "{%s}", l->text);
	if (rest == 0)
		strbuf_addf(out, " %" PRId64 "\n", value / scale);
	else
		strbuf_addf(out, " %s%lld.%0*lld\n", value < 0 ? "-" : "",
		    llabs(value / scale), units[unit].digits, llabs(rest));
}
