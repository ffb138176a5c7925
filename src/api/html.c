/* HTML from text and from a little Markdown; what is understood is in html.h. */
#include "html.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define MAX_HEADING_LEVEL 6
#define MAX_TEXT_BYTES (64 * 1024)
#define FENCE "```"

struct line {
	const char *p;
	size_t len;		/* without the end of the line */
	size_t indent;		/* spaces in front */
};

/* What is open while lines are read. */
enum block { BLOCK_NONE, BLOCK_TEXT, BLOCK_BULLETS, BLOCK_NUMBERS,
	BLOCK_TABLE_HEAD, BLOCK_TABLE };

struct markdown {
	struct strbuf *out;
	struct strbuf text;	/* of a paragraph or item, until it is whole */
	enum block block;
	int level;		/* of a heading "#" */
	bool is_code;		/* between fences */
};

/* --- escaping ---------------------------------------------------------------------- */

void
html_text_n(struct strbuf *out, const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		switch (s[i]) {
		case '&':
			strbuf_addstr(out, "&amp;");
			break;
		case '<':
			strbuf_addstr(out, "&lt;");
			break;
		case '>':
			strbuf_addstr(out, "&gt;");
			break;
		case '"':
			strbuf_addstr(out, "&quot;");
			break;
		default:
			strbuf_addch(out, s[i]);
			break;
		}
}

void
html_text(struct strbuf *out, const char *s)
{
	if (s != NULL)
		html_text_n(out, s, strlen(s));
}

void
html_slug(const char *s, size_t len, char out[HTML_SLUG_MAX])
{
	size_t i, n = 0;

	for (i = 0; i < len && n < HTML_SLUG_MAX - 1; i++) {
		if (isalnum((unsigned char)s[i]))
			out[n++] = (char)tolower((unsigned char)s[i]);
		else if (n > 0 && out[n - 1] != '-')
			out[n++] = '-';
	}
	while (n > 0 && out[n - 1] == '-')
		n--;
	out[n] = '\0';
}

/* --- inside a line ----------------------------------------------------------------- */

static const char *
find(const char *p, const char *end, const char *what)
{
	return memmem(p, (size_t)(end - p), what, strlen(what));
}

static bool
is_target(const char *p)
{
	return *p == '#' || *p == '/' || strncmp(p, "http://", 7) == 0 ||
	    strncmp(p, "https://", 8) == 0;
}

/* "[text](target)" at p; returns what follows, or NULL when it is none. */
static const char *
add_link(struct strbuf *out, const char *p, const char *end)
{
	const char *middle = memchr(p, ']', (size_t)(end - p)), *close;

	if (middle == NULL || end - middle < 2 || middle[1] != '(')
		return NULL;
	close = memchr(middle, ')', (size_t)(end - middle));
	if (close == NULL || !is_target(middle + 2))
		return NULL;
	strbuf_addstr(out, "<a href=\"");
	html_text_n(out, middle + 2, (size_t)(close - middle - 2));
	strbuf_addstr(out, "\">");
	html_inline(out, p + 1, (size_t)(middle - p - 1));
	strbuf_addstr(out, "</a>");
	return close + 1;
}

/* Text between two marks, as element; NULL when the second is missing. */
static const char *
add_marked(struct strbuf *out, const char *p, const char *end,
    const char *mark, const char *element)
{
	size_t len = strlen(mark);
	const char *close = find(p + len, end, mark);

	if (close == NULL || close == p + len)
		return NULL;
	strbuf_addf(out, "<%s>", element);
	if (*mark == '`')
		html_text_n(out, p + len, (size_t)(close - p) - len);
	else
		html_inline(out, p + len, (size_t)(close - p) - len);
	strbuf_addf(out, "</%s>", element);
	return close + len;
}

void
html_inline(struct strbuf *out, const char *s, size_t len)
{
	const char *p = s, *end = s + len, *next;

	while (p < end) {
		next = NULL;
		if (*p == '`')
			next = add_marked(out, p, end, "`", "code");
		else if (*p == '*' && p + 1 < end && p[1] == '*')
			next = add_marked(out, p, end, "**", "strong");
		else if (*p == '[')
			next = add_link(out, p, end);
		if (next == NULL) {
			html_text_n(out, p, 1);
			next = p + 1;
		}
		p = next;
	}
}

/* --- blocks ------------------------------------------------------------------------- */

static struct line
read_line(const char **at)
{
	struct line l = { *at, strcspn(*at, "\n"), 0 };

	*at += l.len + ((*at)[l.len] == '\n');
	while (l.indent < l.len && l.p[l.indent] == ' ')
		l.indent++;
	l.p += l.indent;
	l.len -= l.indent;
	while (l.len > 0 && l.p[l.len - 1] == ' ')
		l.len--;
	return l;
}

static bool
begins(const struct line *l, const char *with)
{
	return l->len >= strlen(with) && memcmp(l->p, with, strlen(with)) == 0;
}

static void
flush_text(struct markdown *m)
{
	html_inline(m->out, m->text.buf, m->text.len);
	strbuf_reset(&m->text);
}

static void
close_block(struct markdown *m)
{
	flush_text(m);
	switch (m->block) {
	case BLOCK_NONE:
		break;
	case BLOCK_TEXT:
		strbuf_addstr(m->out, "</p>\n");
		break;
	case BLOCK_BULLETS:
		strbuf_addstr(m->out, "</li></ul>\n");
		break;
	case BLOCK_NUMBERS:
		strbuf_addstr(m->out, "</li></ol>\n");
		break;
	case BLOCK_TABLE_HEAD:
	case BLOCK_TABLE:
		strbuf_addstr(m->out, "</tbody></table></div>\n");
		break;
	}
	m->block = BLOCK_NONE;
}

/* The depth of a heading, 0 when the line is none. */
static size_t
heading_depth(const struct line *l)
{
	size_t n = 0;

	while (n < l->len && l->p[n] == '#')
		n++;
	return n < l->len && l->p[n] == ' ' ? n : 0;
}

static void
add_heading(struct markdown *m, const struct line *l, size_t depth)
{
	const char *text = l->p + depth + 1;
	size_t len = l->len - depth - 1;
	int level = m->level + (int)depth - 1;
	char slug[HTML_SLUG_MAX];

	close_block(m);
	if (level > MAX_HEADING_LEVEL)
		level = MAX_HEADING_LEVEL;
	html_slug(text, len, slug);
	strbuf_addf(m->out, "<h%d id=\"%s\">", level, slug);
	html_inline(m->out, text, len);
	strbuf_addf(m->out, "</h%d>\n", level);
}

/* A row of a table: the first is its head, one of dashes ends that. */
static void
add_row(struct markdown *m, const struct line *l)
{
	const char *cell, *p = l->p + 1, *end = l->p + l->len, *bar;
	const char *element = "td";

	if (strspn(l->p, "|-: ") >= l->len)
		return;
	if (m->block != BLOCK_TABLE_HEAD && m->block != BLOCK_TABLE) {
		close_block(m);
		strbuf_addstr(m->out, "<div class=\"wide\" tabindex=\"0\"><table><thead>");
		m->block = BLOCK_TABLE_HEAD;
		element = "th";
	}
	strbuf_addstr(m->out, "<tr>");
	for (; p < end; p = bar + 1) {
		bar = memchr(p, '|', (size_t)(end - p));
		if (bar == NULL)
			bar = end;
		for (cell = p; cell < bar && *cell == ' '; cell++)
			continue;
		strbuf_addf(m->out, "<%s>", element);
		html_inline(m->out, cell, (size_t)(bar - cell));
		strbuf_addf(m->out, "</%s>", element);
	}
	strbuf_addstr(m->out, "</tr>\n");
	if (*element == 't' && element[1] == 'h')
		strbuf_addstr(m->out, "</thead><tbody>\n");
}

/* The width of "- " or "12. " in front of an item; 0 when there is none. */
static size_t
item_mark(const struct line *l, enum block *kind)
{
	size_t n = strspn(l->p, "0123456789");

	*kind = BLOCK_BULLETS;
	if (begins(l, "- "))
		return 2;
	*kind = BLOCK_NUMBERS;
	return n > 0 && n + 1 < l->len && l->p[n] == '.' &&
	    l->p[n + 1] == ' ' ? n + 2 : 0;
}

static void
add_item(struct markdown *m, const struct line *l, size_t mark,
    enum block kind)
{
	if (m->block == kind) {
		flush_text(m);
		strbuf_addstr(m->out, "</li>\n<li>");
	} else {
		close_block(m);
		strbuf_addstr(m->out, kind == BLOCK_BULLETS ? "<ul>\n<li>" :
		    "<ol>\n<li>");
		m->block = kind;
	}
	strbuf_add(&m->text, l->p + mark, l->len - mark);
}

static void
add_text(struct markdown *m, const struct line *l)
{
	bool goes_on = m->block == BLOCK_TEXT || (l->indent > 0 &&
	    (m->block == BLOCK_BULLETS || m->block == BLOCK_NUMBERS));

	if (!goes_on) {
		close_block(m);
		strbuf_addstr(m->out, "<p>");
		m->block = BLOCK_TEXT;
	} else {
		strbuf_addch(&m->text, '\n');
	}
	strbuf_add(&m->text, l->p, l->len);
}

static void
add_line(struct markdown *m, const struct line *l)
{
	enum block kind;
	size_t mark, depth = heading_depth(l);

	if (l->len == 0) {
		close_block(m);
		return;
	}
	mark = item_mark(l, &kind);
	if (depth > 0)
		add_heading(m, l, depth);
	else if (begins(l, "|"))
		add_row(m, l);
	else if (mark > 0)
		add_item(m, l, mark, kind);
	else
		add_text(m, l);
}

static void
add_code_line(struct markdown *m, const struct line *l)
{
	size_t i;

	for (i = 0; i < l->indent; i++)
		strbuf_addch(m->out, ' ');
	html_text_n(m->out, l->p, l->len);
	strbuf_addch(m->out, '\n');
}

void
html_markdown(struct strbuf *out, const char *text, int level)
{
	struct markdown m = { out, STRBUF_INIT(MAX_TEXT_BYTES), BLOCK_NONE,
		level, false };
	const char *at = text != NULL ? text : "";
	struct line l;

	while (*at != '\0') {
		l = read_line(&at);
		if (begins(&l, FENCE)) {
			close_block(&m);
			m.is_code = !m.is_code;
			strbuf_addstr(out, m.is_code ? "<pre tabindex=\"0\"><code>" :
			    "</code></pre>\n");
		} else if (m.is_code) {
			add_code_line(&m, &l);
		} else {
			add_line(&m, &l);
		}
	}
	if (m.is_code)
		strbuf_addstr(out, "</code></pre>\n");
	close_block(&m);
	strbuf_release(&m.text);
}

const char *
html_next_heading(const char **at, size_t *len)
{
	bool is_code = false;
	struct line l;

	while (**at != '\0') {
		l = read_line(at);
		if (begins(&l, FENCE))
			is_code = !is_code;
		if (!is_code && heading_depth(&l) == 1) {
			*len = l.len - 2;
			return l.p + 2;
		}
	}
	return NULL;
}
