/*
 * Text for people: aligned tables, money, times, and nothing that a row could
 * use to steer the terminal.
 *
 * What stands in the database came from clients and from models, so every text
 * is cleaned on its way out.  Widths count characters; colours are escape
 * sequences around a padded cell and only sent to a terminal, so what is piped
 * on is plain.
 */
#include "ctl.h"

#include <stdarg.h>
#include <unistd.h>

#include "submit.h"
#include "xalloc.h"

#define NANO_DIGITS 9
#define NANO 1000000000LL
#define GAP "  "		/* between columns */
#define CELL_CHARS 100		/* a cell is cut there */
#define MINUTE_MS 60000

int
print_json(struct json_object *o)
{
	char *text = json_to_pretty_text(o);

	puts(text);
	free(text);
	json_object_put(o);
	return 0;
}

/* --- cleaning ------------------------------------------------------------- */

/* U+0000 to U+001F, U+007F to U+009F. */
static bool
is_control(const char *s)
{
	unsigned char c = (unsigned char)*s;

	return c < ' ' || c == 0x7f ||
	    (c == 0xc2 && (unsigned char)s[1] < 0xa0);
}

void
add_plain(struct strbuf *out, const char *s, int max_chars)
{
	int64_t chars;
	size_t n;
	int shown = 0;

	chars = utf8_length(s, strlen(s));
	if (chars < 0)
		chars = (int64_t)strlen(s);
	for (; *s != '\0'; s += n > 0 ? n : 1) {
		if (max_chars > 0 && chars > max_chars &&
		    shown >= max_chars - 3) {
			strbuf_addstr(out, "...");
			return;
		}
		n = utf8_char_len(s, strnlen(s, 4));
		if (*s == '\n' || *s == '\t' || *s == '\r')
			strbuf_addch(out, ' ');
		else if (n == 0 || is_control(s))
			strbuf_addch(out, '?');
		else
			strbuf_add(out, s, n);
		shown++;
	}
}

void
print_plain(const char *s)
{
	struct strbuf text = STRBUF_INIT(MAX_LINE_BYTES);

	add_plain(&text, s, 0);
	fputs(text.buf, stdout);
	strbuf_release(&text);
}

/* --- figures -------------------------------------------------------------- */

int
money_decimals(int64_t nano, int min_decimals)
{
	int64_t rest = nano % NANO;
	int digits = NANO_DIGITS;

	while (digits > min_decimals && rest % 10 == 0) {
		rest /= 10;
		digits--;
	}
	return digits;
}

void
add_money(struct strbuf *out, int64_t nano, int decimals)
{
	char rest[32];

	snprintf(rest, sizeof(rest), "%09lld", (long long)(nano % NANO));
	strbuf_addf(out, "$%lld.%.*s", (long long)(nano / NANO),
	    money_decimals(nano, decimals), rest);
}

void
add_seconds(struct strbuf *out, int64_t ms)
{
	if (ms < MINUTE_MS)
		strbuf_addf(out, "%lld.%lld s", (long long)(ms / 1000),
		    (long long)(ms % 1000 / 100));
	else
		strbuf_addf(out, "%lld min %02lld s",
		    (long long)(ms / MINUTE_MS),
		    (long long)(ms % MINUTE_MS / 1000));
}

const char *
time_text(int64_t ms, char out[CLOCK_TEXT_MAX])
{
	if (ms == 0) {
		snprintf(out, CLOCK_TEXT_MAX, "-");
		return out;
	}
	return clock_format(ms - ms % 1000, out);
}

/* --- colours -------------------------------------------------------------- */

static bool
is_coloured(void)
{
	const char *off = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && (off == NULL || *off == '\0') &&
	    term != NULL && strcmp(term, "dumb") != 0;
}

const char *
colour_on(enum colour colour)
{
	if (colour == COLOUR_NONE || !is_coloured())
		return "";
	switch (colour) {
	case COLOUR_GOOD:
		return "\033[32m";
	case COLOUR_BAD:
		return "\033[31m";
	case COLOUR_DOUBT:
		return "\033[33m";
	case COLOUR_NONE:
		break;
	}
	return "";
}

const char *
colour_off(enum colour colour)
{
	return *colour_on(colour) != '\0' ? "\033[0m" : "";
}

enum colour
state_colour(enum state s)
{
	switch (s) {
	case STATE_COMPLETED:
		return COLOUR_GOOD;
	case STATE_FAILED:
		return COLOUR_BAD;
	case STATE_CANCELLED:
		return COLOUR_DOUBT;
	case STATE_PENDING:
	case STATE_RUNNING:
	case STATE__COUNT:
		break;
	}
	return COLOUR_NONE;
}

enum colour
stage_colour(enum stage_status s)
{
	switch (s) {
	case STAGE_COMPLETED:
		return COLOUR_GOOD;
	case STAGE_FAILED:
		return COLOUR_BAD;
	case STAGE_SKIPPED:
		return COLOUR_DOUBT;
	case STAGE_PENDING:
	case STAGE_RUNNING:
	case STAGE_STATUS__COUNT:
		break;
	}
	return COLOUR_NONE;
}

/* --- tables --------------------------------------------------------------- */

void
table_init(struct table *t, const struct column *columns, int n_columns)
{
	t->columns = columns;
	t->n_columns = n_columns;
	t->cells = NULL;
	t->n_cells = 0;
}

void
table_release(struct table *t)
{
	int i;

	for (i = 0; i < t->n_cells; i++)
		free(t->cells[i].text);
	free(t->cells);
	table_init(t, t->columns, t->n_columns);
}

void
table_state(struct table *t, const char *text, enum colour colour)
{
	struct strbuf clean = STRBUF_INIT(MAX_LINE_BYTES);
	struct cell *cell;

	add_plain(&clean, text != NULL && *text != '\0' ? text : "-",
	    CELL_CHARS);
	if ((t->n_cells & (t->n_cells - 1)) == 0)
		t->cells = xrealloc_array(t->cells,
		    t->n_cells == 0 ? 1 : (size_t)t->n_cells * 2,
		    sizeof(*t->cells));
	cell = &t->cells[t->n_cells++];
	cell->text = strbuf_detach(&clean);
	cell->colour = colour;
}

void
table_text(struct table *t, const char *text)
{
	table_state(t, text, COLOUR_NONE);
}

void
table_int(struct table *t, int64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)v);
	table_text(t, text);
}

void
table_money(struct table *t, int64_t nano, int decimals)
{
	struct strbuf text = STRBUF_INIT(64);

	add_money(&text, nano, decimals);
	table_text(t, text.buf);
	strbuf_release(&text);
}

void
table_seconds(struct table *t, int64_t ms)
{
	struct strbuf text = STRBUF_INIT(64);

	if (ms >= 0)
		add_seconds(&text, ms);
	table_text(t, text.buf);
	strbuf_release(&text);
}

/* Cleaned text is always UTF-8. */
static int
width_of(const char *text)
{
	return (int)utf8_length(text, strlen(text));
}

static int
column_width(const struct table *t, int column)
{
	int i, w, width = width_of(t->columns[column].title);

	for (i = column; i < t->n_cells; i += t->n_columns) {
		w = width_of(t->cells[i].text);
		if (w > width)
			width = w;
	}
	return width;
}

static void
print_cell(const struct table *t, int column, int width, const char *text,
    enum colour colour)
{
	int pad = width - width_of(text);
	bool last = column == t->n_columns - 1;

	if (column > 0)
		fputs(GAP, stdout);
	if (t->columns[column].right)
		printf("%*s", pad, "");
	printf("%s%s%s", colour_on(colour), text, colour_off(colour));
	/* Nothing stands behind the last one: no blanks at the ends. */
	if (!t->columns[column].right && !last)
		printf("%*s", pad, "");
	if (last)
		putchar('\n');
}

void
table_print(const struct table *t, const char *indent)
{
	int *widths = xcalloc((size_t)t->n_columns, sizeof(*widths));
	int i, column;

	fputs(indent, stdout);
	for (i = 0; i < t->n_columns; i++) {
		widths[i] = column_width(t, i);
		print_cell(t, i, widths[i], t->columns[i].title, COLOUR_NONE);
	}
	for (i = 0; i < t->n_cells; i++) {
		column = i % t->n_columns;
		if (column == 0)
			fputs(indent, stdout);
		print_cell(t, column, widths[column], t->cells[i].text,
		    t->cells[i].colour);
	}
	free(widths);
}
