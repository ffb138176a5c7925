/*
 * Where is the JSON in what a model wrote?
 *
 * One pass over the text, left to right.  Outside of JSON everything is prose:
 * quotes, fences and apostrophes mean nothing there, only an opening brace or
 * bracket does, and only when what follows can be its content.  From such an
 * opener on the text is JSON, however badly written, up to the closer that
 * balances it: that is a candidate.
 *
 *   prose --opener--> inside --balanced--> candidate, prose again
 *     |                  '----end of text--> open: the answer was cut
 *     '--<think>...</think>--> skipped whole
 *
 * The scan takes linear time whatever the text: every byte is looked at as
 * part of one candidate or one stretch of prose, the looks ahead cover
 * stretches that do not overlap, and a closing tag that was searched for in
 * vain is not searched for again.  It does not recurse and keeps a depth, not
 * a stack: which closer belongs to which opener is the reader's business.
 */
#include "reading.h"

#define BYTE_ORDER_MARK "\xef\xbb\xbf"
#define MAX_LITERAL 8		/* letters of the longest word below */

/* Tags models put around their reasoning. */
static const char *const reasoning_tags[] = {
	"think", "thinking", "thought", "thoughts", "reasoning", "reflection",
	"analysis", "scratchpad"
};
#define N_TAGS (sizeof(reasoning_tags) / sizeof(reasoning_tags[0]))

/* Words that are values, so that a bracket before one opens a list. */
static const char *const literals[] = {
	"true", "false", "null", "none", "nan"
};
#define N_LITERALS (sizeof(literals) / sizeof(literals[0]))

/* --- lexing shared with the reader --------------------------------------- */

static bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool
is_word_char(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '$' ||
	    (unsigned char)c >= 0x80;
}

static size_t
skip_space(const char *text, size_t len, size_t at)
{
	while (at < len && is_space(text[at]))
		at++;
	return at;
}

bool
comment_starts(const char *text, size_t len, size_t at)
{
	if (at + 1 >= len || text[at] != '/')
		return false;
	if (text[at + 1] != '/' && text[at + 1] != '*')
		return false;
	return at == 0 || text[at - 1] != ':';
}

size_t
comment_end(const char *text, size_t len, size_t at, bool *closed)
{
	const char *end;

	*closed = true;
	if (text[at + 1] == '/') {
		end = memchr(text + at, '\n', len - at);
		return end != NULL ? (size_t)(end - text) : len;
	}
	end = memmem(text + at + 2, len - at - 2, "*/", 2);
	if (end != NULL)
		return (size_t)(end - text) + 2;
	*closed = false;
	return len;
}

bool
single_quote_ends(const char *text, size_t len, size_t at)
{
	for (at++; at < len; at++)
		if (text[at] != ' ' && text[at] != '\t')
			break;
	return at == len || strchr(",:}]\r\n/", text[at]) != NULL;
}

/* --- inside a candidate -------------------------------------------------- */

/* The place after the string whose opening quote is at `at`; len when it is
 * never closed. */
static size_t
string_end(const char *text, size_t len, size_t at)
{
	char quote = text[at];

	for (at++; at < len; at++) {
		if (text[at] == '\\')
			at++;
		else if (text[at] == quote && (quote == '"' ||
		    single_quote_ends(text, len, at)))
			return at + 1;
	}
	return len;
}

/*
 * The place after the closer that balances the opener at `at`; 0 when the
 * text ends before.
 */
static size_t
balanced_end(const char *text, size_t len, size_t at)
{
	size_t depth = 0;
	char last = '\0';	/* last character that is not white space */
	bool closed;

	while (at < len) {
		char c = text[at];

		if (comment_starts(text, len, at)) {
			at = comment_end(text, len, at, &closed);
			continue;
		}
		if (c == '"' || (c == '\'' && last != '\0' &&
		    strchr("{[,:", last) != NULL)) {
			at = string_end(text, len, at);
			last = c;
			if (at == len)
				return 0;
			continue;
		}
		if (c == '{' || c == '[')
			depth++;
		if ((c == '}' || c == ']') && --depth == 0)
			return at + 1;
		if (!is_space(c))
			last = c;
		at++;
	}
	return 0;
}

/* --- prose --------------------------------------------------------------- */

/* A bare key and its colon? */
static bool
is_bare_key(const char *text, size_t len, size_t at)
{
	if (!is_word_char(text[at]) || isdigit((unsigned char)text[at]))
		return false;
	while (at < len && (is_word_char(text[at]) || text[at] == '-'))
		at++;
	at = skip_space(text, len, at);
	return at < len && text[at] == ':';
}

static bool
is_literal(const char *text, size_t len, size_t at)
{
	size_t i, n = 0;

	while (at + n < len && n < MAX_LITERAL && is_word_char(text[at + n]))
		n++;
	for (i = 0; i < N_LITERALS; i++)
		if (strlen(literals[i]) == n &&
		    strncasecmp(text + at, literals[i], n) == 0)
			return true;
	return false;
}

/* Can what follows the opener at `at` be its content? */
static bool
opens(const char *text, size_t len, size_t at)
{
	char opener = text[at];
	char c;

	at = skip_space(text, len, at + 1);
	if (at == len)
		return true;
	c = text[at];
	if (c == '"' || c == '\'')
		return true;
	if (opener == '{')
		return c == '}' || comment_starts(text, len, at) ||
		    is_bare_key(text, len, at);
	if (c == ']' || c == '[' || c == '{' || isdigit((unsigned char)c))
		return true;
	if (c == '-')
		return at + 1 < len && isdigit((unsigned char)text[at + 1]);
	return is_literal(text, len, at);
}

struct prose {
	const char *text;
	size_t len;
	bool unclosed[N_TAGS];	/* no closing tag from here on */
};

/* Is there "<name>" (opening) or "</name>" at `at`? */
static bool
is_tag(const struct prose *p, size_t at, const char *name, bool opening)
{
	size_t n = strlen(name);
	size_t skip = opening ? 1 : 2;

	if (p->len - at < n + skip + 1 || p->text[at] != '<')
		return false;
	if (!opening && p->text[at + 1] != '/')
		return false;
	return strncasecmp(p->text + at + skip, name, n) == 0 &&
	    p->text[at + skip + n] == '>';
}

/* The place after the closing tag, or 0. */
static size_t
find_closing(const struct prose *p, size_t at, const char *name)
{
	const char *next;

	while (at < p->len) {
		next = memchr(p->text + at, '<', p->len - at);
		if (next == NULL)
			return 0;
		at = (size_t)(next - p->text);
		if (is_tag(p, at, name, false))
			return at + strlen(name) + 3;
		at++;
	}
	return 0;
}

/* The place after the block of reasoning that starts at `at`; `at` itself
 * when none does or it has no end. */
static size_t
reasoning_end(struct prose *p, size_t at)
{
	size_t i, end;

	for (i = 0; i < N_TAGS; i++) {
		if (p->unclosed[i] || !is_tag(p, at, reasoning_tags[i], true))
			continue;
		end = find_closing(p, at, reasoning_tags[i]);
		if (end > 0)
			return end;
		p->unclosed[i] = true;
	}
	return at;
}

/* --- the candidates ------------------------------------------------------ */

/* Which one has to go? The shortest, of equals the last. */
static int
shortest(const struct scan *s)
{
	int i, found = 0;

	for (i = 1; i < s->n; i++)
		if (s->spans[i].len <= s->spans[found].len)
			found = i;
	return found;
}

static void
keep(struct scan *s, size_t at, size_t end)
{
	int out;

	if (s->n == ANSWER_MAX_CANDIDATES) {
		out = shortest(s);
		if (s->spans[out].len >= end - at)
			return;
		memmove(&s->spans[out], &s->spans[out + 1],
		    (size_t)(s->n - out - 1) * sizeof(s->spans[0]));
		s->n--;
	}
	s->spans[s->n].at = at;
	s->spans[s->n].len = end - at;
	s->n++;
}

void
scan_answer(const char *text, size_t len, struct scan *out)
{
	struct prose p = { text, len, { false } };
	size_t at = 0, end;

	out->n = 0;
	out->open = false;
	out->blank = true;
	at = skip_space(text, len, at);
	if (len - at >= 3 && memcmp(text + at, BYTE_ORDER_MARK, 3) == 0)
		at += 3;
	while (at < len) {
		if (text[at] == '<') {
			end = reasoning_end(&p, at);
			if (end > at) {
				at = end;
				continue;
			}
		}
		if (!is_space(text[at]))
			out->blank = false;
		if ((text[at] != '{' && text[at] != '[') ||
		    !opens(text, len, at)) {
			at++;
			continue;
		}
		end = balanced_end(text, len, at);
		if (end == 0) {
			out->open = true;
			return;
		}
		keep(out, at, end);
		at = end;
	}
}
