/*
 * The log: one event, one line, one write(2).
 *
 * A line is put together in a buffer of fixed size and never holds a raw
 * control character, so bytes from outside can neither forge a second line
 * nor steer a terminal.  A line that grows too long is cut between two
 * characters and says so with "..."; in JSON its strings and braces are
 * closed all the same, for which room is kept back from the start.
 *
 * The three settings are written once, before there are threads.
 */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <strings.h>
#include <unistd.h>

#include "clock.h"
#include "internal.h"
#include "xalloc.h"

#define PROGRAM_MAX 64		/* bytes of an escaped program name */
#define EVENT_MAX 512		/* bytes of an escaped event */
#define CUT_MARK "..."
#define JSON_TAIL 8		/* room for CUT_MARK, "}} and the newline */
#define TEXT_TAIL 4		/* room for CUT_MARK and the newline */
#define QUOTE_MAX 512		/* bytes of log_quote() before its cut mark */
#define QUOTE_BUFFERS 4
#define ESCAPE_MAX 8		/* the longest escape of one character */

static const char *const level_names[] = {
	[LOG_DEBUG] = "debug",
	[LOG_INFO] = "info",
	[LOG_WARN] = "warn",
	[LOG_ERROR] = "error",
};

static struct {
	const char *program;
	enum log_level level;
	enum log_format format;
} settings = { "churns", LOG_INFO, LOG_TEXT };

/* Fields of the work this thread is at; see log_context(). */
static _Thread_local char context[LOG_CONTEXT_MAX];

/* A text under construction in somebody's buffer; there is no NUL. */
struct line {
	char *buf;
	size_t len;
	size_t limit;		/* no more than this many bytes */
	bool cut;		/* something did not fit; nothing follows */
};

void
log_init(const char *program, enum log_level level, enum log_format fmt)
{
	settings.program = program;
	settings.level = level;
	settings.format = fmt;
}

void
log_context(const char *fields)
{
	size_t n = fields != NULL ? strlen(fields) : 0;

	if (n >= sizeof(context))
		n = utf8_cut(fields, sizeof(context) - 1);
	if (n > 0)
		memcpy(context, fields, n);
	context[n] = '\0';
}

bool
log_level_parse(const char *name, enum log_level *out)
{
	size_t i;

	if (name == NULL)
		return false;
	for (i = 0; i < ARRAY_LEN(level_names); i++) {
		if (strcasecmp(name, level_names[i]) == 0) {
			*out = (enum log_level)i;
			return true;
		}
	}
	if (strcasecmp(name, "warning") == 0) {
		*out = LOG_WARN;
		return true;
	}
	return false;
}

bool
log_enabled(enum log_level level)
{
	return level >= settings.level;
}

/* All of it or nothing. */
static void
put(struct line *l, const char *s, size_t n)
{
	if (l->cut || n > l->limit - l->len) {
		l->cut = true;
		return;
	}
	memcpy(l->buf + l->len, s, n);
	l->len += n;
}

static void
puts_line(struct line *l, const char *s)
{
	put(l, s, strlen(s));
}

/* Length of the printable character at s, 0 when it must be escaped.  The
 * controls U+0080 to U+009F steer some terminals, as ESC does. */
static size_t
printable_len(const char *s, size_t n)
{
	size_t len;

	len = utf8_char_len(s, n);
	if (len == 1 && iscntrl((unsigned char)s[0]))
		return 0;
	if (len == 2 && (unsigned char)s[0] == 0xc2 &&
	    (unsigned char)s[1] < 0xa0)
		return 0;
	return len;
}

static void
escape_byte(char out[ESCAPE_MAX], unsigned char c)
{
	switch (c) {
	case '\n':
		snprintf(out, ESCAPE_MAX, "\\n");
		break;
	case '\r':
		snprintf(out, ESCAPE_MAX, "\\r");
		break;
	case '\t':
		snprintf(out, ESCAPE_MAX, "\\t");
		break;
	default:
		snprintf(out, ESCAPE_MAX, "\\x%02x", c);
		break;
	}
}

/* s with what is not printable escaped, and with quotes if these end it. */
static void
put_text(struct line *l, const char *s, size_t n, bool quoted)
{
	char escape[ESCAPE_MAX];
	size_t i, len;

	for (i = 0; i < n && !l->cut; i += len) {
		len = printable_len(s + i, n - i);
		if (len == 0) {
			escape_byte(escape, (unsigned char)s[i]);
			puts_line(l, escape);
			len = 1;
		} else if (quoted && (s[i] == '"' || s[i] == '\\')) {
			escape[0] = '\\';
			escape[1] = s[i];
			put(l, escape, 2);
		} else {
			put(l, s + i, len);
		}
	}
}

/* One character inside a JSON string. */
static void
put_json_char(struct line *l, const char *s, size_t len)
{
	char escape[ESCAPE_MAX];

	if (len == 0) {
		puts_line(l, "\\ufffd");
	} else if (*s == '"' || *s == '\\') {
		escape[0] = '\\';
		escape[1] = *s;
		put(l, escape, 2);
	} else if (len == 1 && iscntrl((unsigned char)*s)) {
		snprintf(escape, sizeof(escape), "\\u%04x", (unsigned char)*s);
		puts_line(l, escape);
	} else {
		put(l, s, len);
	}
}

static void
put_json(struct line *l, const char *s, size_t n)
{
	size_t i, len;

	for (i = 0; i < n && !l->cut; i += len > 0 ? len : 1) {
		len = utf8_char_len(s + i, n - i);
		put_json_char(l, s + i, len);
	}
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/*
 * The escape at s (what put_text() wrote) back into its character.  Returns
 * its length, or 0 when it is none that stands for a character: a byte that
 * was not UTF-8 stays readable as "\xff".
 */
static size_t
unescape(const char *s, size_t n, char *out)
{
	int high, low;

	if (n < 2 || s[0] != '\\')
		return 0;
	switch (s[1]) {
	case '"':
	case '\\':
		*out = s[1];
		return 2;
	case 'n':
		*out = '\n';
		return 2;
	case 'r':
		*out = '\r';
		return 2;
	case 't':
		*out = '\t';
		return 2;
	case 'x':
		if (n < 4)
			return 0;
		high = hex_value(s[2]);
		low = hex_value(s[3]);
		if (high < 0 || high > 7 || low < 0)
			return 0;
		*out = (char)(high * 16 + low);
		return 4;
	}
	return 0;
}

/* The inside of a quoted value as the inside of a JSON string. */
static void
put_json_unquoted(struct line *l, const char *s, size_t n)
{
	size_t i, len;
	char c;

	for (i = 0; i < n && !l->cut; i += len) {
		len = unescape(s + i, n - i, &c);
		if (len > 0) {
			put_json_char(l, &c, 1);
			continue;
		}
		len = utf8_char_len(s + i, n - i);
		put_json_char(l, s + i, len);
		if (len == 0)
			len = 1;
	}
}

/* One key=value; pointers into the text it was found in. */
struct field {
	const char *key;
	size_t key_len;
	const char *value;	/* without its quotes */
	size_t value_len;
	bool quoted;
};

static bool
is_key_char(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '-';
}

/*
 * Read one field at s.  Returns how far it and the blanks after it reach, 0
 * when there is no field.  At the end of a text that was cut a closing quote
 * may be missing.
 */
static size_t
read_field(const char *s, size_t n, bool cut, struct field *f)
{
	size_t i = 0, start;

	while (i < n && is_key_char(s[i]))
		i++;
	if (i == 0 || i == n || s[i] != '=')
		return 0;
	f->key = s;
	f->key_len = i;
	i++;
	f->quoted = i < n && s[i] == '"';
	if (f->quoted) {
		start = ++i;
		while (i < n && s[i] != '"')
			i += s[i] == '\\' && i + 1 < n ? 2 : 1;
		f->value_len = i - start;
		if (i == n && !cut)
			return 0;
		if (i < n)
			i++;
	} else {
		start = i;
		while (i < n && s[i] != ' ')
			i++;
		f->value_len = i - start;
	}
	f->value = s + start;
	if (i < n && s[i] != ' ')
		return 0;
	while (i < n && s[i] == ' ')
		i++;
	return i;
}

static bool
is_all_fields(const char *s, size_t n, bool cut)
{
	struct field f;
	size_t i, len;

	for (i = 0; i < n; i += len) {
		len = read_field(s + i, n - i, cut, &f);
		if (len == 0)
			return false;
	}
	return n > 0;
}

/* {"key":"value",...}, always closed; l->limit leaves room for that. */
static void
put_fields_object(struct line *l, const char *s, size_t n, bool cut)
{
	struct field f;
	size_t i, begin;
	bool open = false;	/* a value's string is not closed yet */

	puts_line(l, "{");
	for (i = 0; i < n && !l->cut; ) {
		i += read_field(s + i, n - i, cut, &f);
		begin = l->len;
		if (open)
			puts_line(l, "\",");
		puts_line(l, "\"");
		put(l, f.key, f.key_len);
		puts_line(l, "\":\"");
		if (l->cut) {
			l->len = begin;		/* no half keys */
			break;
		}
		open = true;
		if (f.quoted)
			put_json_unquoted(l, f.value, f.value_len);
		else
			put_json(l, f.value, f.value_len);
	}
	cut = cut || l->cut;
	l->cut = false;
	l->limit += JSON_TAIL;
	if (cut && open)
		puts_line(l, CUT_MARK);
	puts_line(l, open ? "\"}" : "}");
}

static void
put_fields_string(struct line *l, const char *s, size_t n, bool cut)
{
	puts_line(l, "\"");
	put_json(l, s, n);
	cut = cut || l->cut;
	l->cut = false;
	l->limit += JSON_TAIL;
	if (cut)
		puts_line(l, CUT_MARK);
	puts_line(l, "\"");
}

/* Run put_x with a limit of its own; what does not fit is left out. */
static void
put_capped(struct line *l, const char *s, size_t max, bool json)
{
	size_t limit = l->limit;

	if (l->len + max < limit)
		l->limit = l->len + max;
	if (json)
		put_json(l, s, strlen(s));
	else
		put_text(l, s, strlen(s), true);
	l->cut = false;
	l->limit = limit;
}

static void
put_json_line(struct line *l, const char *time, enum log_level level,
    const char *event, const char *fields, size_t n, bool cut)
{
	l->limit -= JSON_TAIL;
	puts_line(l, "{\"time\":\"");
	puts_line(l, time);
	puts_line(l, "\",\"level\":\"");
	puts_line(l, level_names[level]);
	puts_line(l, "\",\"program\":\"");
	put_capped(l, settings.program, PROGRAM_MAX, true);
	puts_line(l, "\",\"event\":\"");
	put_capped(l, event, EVENT_MAX, true);
	puts_line(l, "\",\"fields\":");
	if (is_all_fields(fields, n, cut))
		put_fields_object(l, fields, n, cut);
	else
		put_fields_string(l, fields, n, cut);
	puts_line(l, "}\n");
}

static void
put_text_line(struct line *l, const char *time, enum log_level level,
    const char *event, const char *fields, size_t n, bool cut)
{
	l->limit -= TEXT_TAIL;
	puts_line(l, time);
	puts_line(l, " ");
	puts_line(l, level_names[level]);
	puts_line(l, " ");
	put_capped(l, settings.program, PROGRAM_MAX, false);
	puts_line(l, " \"");
	put_capped(l, event, EVENT_MAX, false);
	puts_line(l, "\"");
	if (n > 0) {
		puts_line(l, " ");
		put_text(l, fields, n, false);
	}
	cut = cut || l->cut;
	l->cut = false;
	l->limit += TEXT_TAIL;
	if (cut)
		puts_line(l, CUT_MARK);
	puts_line(l, "\n");
}

static void
write_line(const struct line *l)
{
	ssize_t n;

	/* Only a call that wrote nothing is repeated: the rest of a line by
	 * itself could end up behind somebody else's. */
	do
		n = write(STDERR_FILENO, l->buf, l->len);
	while (n < 0 && errno == EINTR);
}

void
log_write(enum log_level level, const char *event, const char *fmt, ...)
{
	char time[CLOCK_TEXT_MAX];
	char fields[LOG_LINE_MAX];
	char buf[LOG_LINE_MAX];
	struct line l = { buf, 0, sizeof(buf), false };
	int saved_errno = errno;
	bool cut = false;
	size_t n = strlen(context);
	va_list ap;
	int made;

	if (!log_enabled(level))
		return;
	memcpy(fields, context, n);
	if (n > 0)
		fields[n++] = ' ';
	va_start(ap, fmt);
	made = vsnprintf(fields + n, sizeof(fields) - n, fmt, ap);
	va_end(ap);
	if (made > 0)
		n += (size_t)made;
	else if (n > 0)
		n--;
	if (n >= sizeof(fields)) {
		cut = true;
		n = utf8_cut(fields, sizeof(fields) - 1);
	}
	clock_format(clock_now_ms(), time);
	switch (settings.format) {
	case LOG_TEXT:
		put_text_line(&l, time, level, event, fields, n, cut);
		break;
	case LOG_JSON:
		put_json_line(&l, time, level, event, fields, n, cut);
		break;
	}
	write_line(&l);
	errno = saved_errno;
}

const char *
log_quote(const char *s)
{
	static _Thread_local char ring[QUOTE_BUFFERS][QUOTE_MAX + 8];
	static _Thread_local unsigned turn;
	struct line l = { NULL, 0, QUOTE_MAX, false };
	bool cut;

	l.buf = ring[turn++ % QUOTE_BUFFERS];
	puts_line(&l, "\"");
	if (s != NULL)
		put_text(&l, s, strlen(s), true);
	cut = l.cut;
	l.cut = false;
	l.limit = sizeof(ring[0]);
	if (cut)
		puts_line(&l, CUT_MARK);
	put(&l, "\"", 2);	/* and its NUL */
	return l.buf;
}
