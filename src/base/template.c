/*
 * Prompt templates: compiled once to a list of nodes, rendered often.
 *
 * The file is read line by line.  A part line ends the part before it; any
 * other line becomes text and tag nodes in order.  A section is its opening
 * node, which knows where its closing node is, so rendering is one pass that
 * either goes on or jumps.  Everything that can be wrong with a template is
 * found here with its line, when the program starts and not when a prompt is
 * needed; after that nothing in it changes.
 *
 * The rule that must hold: text in a block cannot end the block.  Its fence
 * is three angle brackets, and three in a row never leave a block's value
 * together.
 */
#include "template.h"

#include <assert.h>

#include "file.h"
#include "internal.h"
#include "xalloc.h"

#define NAME_LEN_MAX 64		/* bytes of a placeholder's name */
#define PARTS 2
#define NO_PART (-1)
#define BLOCK_WORD "block"
#define FENCE 3			/* angle brackets */

static const char *const part_names[PARTS] = { "system", "user" };

enum node_kind {
	NODE_TEXT,
	NODE_VALUE,		/* {{name}} */
	NODE_BLOCK,		/* {{block name}} */
	NODE_IF,		/* {{#name}} */
	NODE_UNLESS,		/* {{^name}} */
	NODE_END		/* {{/name}} */
};

struct node {
	enum node_kind kind;
	int line;
	char *text;		/* NODE_TEXT: the text; otherwise the name */
	size_t len;		/* of text */
	size_t end;		/* NODE_IF, NODE_UNLESS: index of its NODE_END */
	bool at_line_end;	/* NODE_BLOCK: nothing follows in its line */
};

struct template {
	char *path;
	struct node *nodes;
	size_t count;
	size_t alloc;
	struct {
		bool present;
		size_t first;	/* nodes[first..end) */
		size_t end;
	} parts[PARTS];
};

/* What is known while the file is being read. */
struct reader {
	struct template *t;
	int line;
	int part;		/* NO_PART: still in the note at the top */
	size_t open[TEMPLATE_DEPTH_MAX];	/* opening nodes, outermost first */
	int depth;
};

/* A tag as it stands in a line. */
struct tag {
	enum node_kind kind;
	const char *name;
	size_t name_len;
	size_t len;		/* with its braces */
};

/* --- reading ------------------------------------------------------------- */

static enum err_code
fail_at(const struct template *t, int line, const char *what, struct err *e)
{
	return err_set(e, ERR_CONFIG, "%s:%d: %s", t->path, line, what);
}

static bool
is_blank_char(char c)
{
	return c == ' ' || c == '\t';
}

/* Narrow s to what is between the blanks at its ends. */
static void
trim(const char **s, size_t *n)
{
	while (*n > 0 && is_blank_char((*s)[*n - 1]))
		(*n)--;
	while (*n > 0 && is_blank_char(**s)) {
		(*s)++;
		(*n)--;
	}
}

static bool
is_name(const char *s, size_t n)
{
	size_t i;

	if (n == 0 || n > NAME_LEN_MAX)
		return false;
	for (i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && s[i] != '_' &&
		    s[i] != '.' && s[i] != '-')
			return false;
	return true;
}

static struct node *
add_node(struct reader *r, enum node_kind kind, const char *text, size_t len)
{
	struct template *t = r->t;
	struct node *n;

	if (t->count == t->alloc) {
		t->alloc = t->alloc > 0 ? t->alloc * 2 : 32;
		t->nodes = xrealloc_array(t->nodes, t->alloc,
		    sizeof(*t->nodes));
	}
	n = &t->nodes[t->count++];
	memset(n, 0, sizeof(*n));
	n->kind = kind;
	n->line = r->line;
	n->text = xstrndup(text, len);
	n->len = len;
	return n;
}

/* What stands between the braces. */
static bool
read_tag_inside(const char *s, size_t n, struct tag *out)
{
	const size_t word = strlen(BLOCK_WORD);

	trim(&s, &n);
	if (n == 0)
		return false;
	out->kind = NODE_VALUE;
	if (*s == '#' || *s == '^' || *s == '/') {
		out->kind = *s == '#' ? NODE_IF :
		    *s == '^' ? NODE_UNLESS : NODE_END;
		s++;
		n--;
		trim(&s, &n);
	} else if (n > word && memcmp(s, BLOCK_WORD, word) == 0 &&
	    is_blank_char(s[word])) {
		out->kind = NODE_BLOCK;
		s += word;
		n -= word;
		trim(&s, &n);
	} else if (n == word && memcmp(s, BLOCK_WORD, word) == 0) {
		return false;
	}
	out->name = s;
	out->name_len = n;
	return is_name(s, n);
}

/*
 * Offset of the next tag in s[0..n), or n.  "{{{name}}}" is a brace, a tag
 * and a brace, so that a prompt can show JSON.
 */
static size_t
find_tag(const char *s, size_t n)
{
	size_t i;

	for (i = 0; i + 1 < n; i++) {
		if (s[i] != '{' || s[i + 1] != '{')
			continue;
		if (i + 2 < n && s[i + 2] == '{')
			continue;
		return i;
	}
	return n;
}

/* The tag that begins at s. */
static enum err_code
read_tag(const struct reader *r, const char *s, size_t n, struct tag *out,
    struct err *e)
{
	const char *close;

	close = memmem(s + 2, n - 2, "}}", 2);
	if (close == NULL)
		return fail_at(r->t, r->line, "\"{{\" without \"}}\"", e);
	if (!read_tag_inside(s + 2, (size_t)(close - s) - 2, out))
		return err_set(e, ERR_CONFIG,
		    "%s:%d: \"%.*s\" is not a placeholder", r->t->path,
		    r->line, (int)(close - s) + 2, s);
	out->len = (size_t)(close - s) + 2;
	return ERR_OK;
}

static enum err_code
open_section(struct reader *r, const struct tag *tag, struct err *e)
{
	if (r->depth == TEMPLATE_DEPTH_MAX)
		return fail_at(r->t, r->line, "sections nested too deep", e);
	r->open[r->depth++] = r->t->count;
	add_node(r, tag->kind, tag->name, tag->name_len);
	return ERR_OK;
}

static enum err_code
close_section(struct reader *r, const struct tag *tag, struct err *e)
{
	struct node *open;

	if (r->depth == 0)
		return err_set(e, ERR_CONFIG,
		    "%s:%d: {{/%.*s}} closes nothing", r->t->path, r->line,
		    (int)tag->name_len, tag->name);
	open = &r->t->nodes[r->open[r->depth - 1]];
	if (open->len != tag->name_len ||
	    memcmp(open->text, tag->name, tag->name_len) != 0)
		return err_set(e, ERR_CONFIG, "%s:%d: {{/%.*s}} where "
		    "section %s of line %d is open", r->t->path, r->line,
		    (int)tag->name_len, tag->name, open->text, open->line);
	open->end = r->t->count;
	r->depth--;
	add_node(r, NODE_END, tag->name, tag->name_len);
	return ERR_OK;
}

static enum err_code
add_tag(struct reader *r, const struct tag *tag, bool at_line_end,
    struct err *e)
{
	struct node *n;

	switch (tag->kind) {
	case NODE_TEXT:
		break;
	case NODE_VALUE:
	case NODE_BLOCK:
		n = add_node(r, tag->kind, tag->name, tag->name_len);
		n->at_line_end = at_line_end;
		break;
	case NODE_IF:
	case NODE_UNLESS:
		return open_section(r, tag, e);
	case NODE_END:
		return close_section(r, tag, e);
	}
	return ERR_OK;
}

/* Does the line hold section tags and nothing else but blanks? */
static bool
is_section_line(const struct reader *r, const char *s, size_t n)
{
	struct tag tag;
	bool found = false;

	for (;;) {
		trim(&s, &n);
		if (n == 0)
			return found;
		if (find_tag(s, n) != 0 ||
		    read_tag(r, s, n, &tag, NULL) != ERR_OK ||
		    tag.kind == NODE_VALUE || tag.kind == NODE_BLOCK)
			return false;
		found = true;
		s += tag.len;
		n -= tag.len;
	}
}

/* A line of a part: s[0..n) without its newline, which has_newline says. */
static enum err_code
read_text_line(struct reader *r, const char *s, size_t n, bool has_newline,
    struct err *e)
{
	bool bare = is_section_line(r, s, n);
	enum err_code rc;
	struct tag tag;
	size_t at;

	while (n > 0) {
		at = find_tag(s, n);
		if (at > 0 && !bare)
			add_node(r, NODE_TEXT, s, at);
		s += at;
		n -= at;
		if (n == 0)
			break;
		rc = read_tag(r, s, n, &tag, e);
		if (rc == ERR_OK)
			rc = add_tag(r, &tag, tag.len == n, e);
		if (rc != ERR_OK)
			return rc;
		s += tag.len;
		n -= tag.len;
	}
	if (has_newline && !bare)
		add_node(r, NODE_TEXT, "\n", 1);
	return ERR_OK;
}

/* "== name ==": the name in it, or false when the line is something else. */
static bool
is_part_line(const char *s, size_t n, const char **out_name, size_t *out_len)
{
	while (n > 0 && is_blank_char(s[n - 1]))
		n--;
	if (n < 6 || memcmp(s, "== ", 3) != 0 ||
	    memcmp(s + n - 3, " ==", 3) != 0)
		return false;
	s += 3;
	n -= 6;
	trim(&s, &n);
	*out_name = s;
	*out_len = n;
	return true;
}

static enum err_code
end_part(struct reader *r, struct err *e)
{
	const struct node *open;

	if (r->depth > 0) {
		open = &r->t->nodes[r->open[r->depth - 1]];
		return err_set(e, ERR_CONFIG,
		    "%s:%d: section %s is not closed", r->t->path,
		    open->line, open->text);
	}
	if (r->part != NO_PART)
		r->t->parts[r->part].end = r->t->count;
	return ERR_OK;
}

static enum err_code
begin_part(struct reader *r, const char *name, size_t len, struct err *e)
{
	enum err_code rc;
	int i;

	rc = end_part(r, e);
	if (rc != ERR_OK)
		return rc;
	for (i = 0; i < PARTS; i++)
		if (strlen(part_names[i]) == len &&
		    memcmp(part_names[i], name, len) == 0)
			break;
	if (i == PARTS)
		return err_set(e, ERR_CONFIG,
		    "%s:%d: unknown part \"%.*s\"; known are system and user",
		    r->t->path, r->line, (int)len, name);
	if (r->t->parts[i].present)
		return err_set(e, ERR_CONFIG,
		    "%s:%d: part %s is there twice", r->t->path, r->line,
		    part_names[i]);
	r->part = i;
	r->t->parts[i].present = true;
	r->t->parts[i].first = r->t->count;
	return ERR_OK;
}

static enum err_code
read_line(struct reader *r, const char *s, size_t n, bool has_newline,
    struct err *e)
{
	const char *name;
	size_t len;

	if (n > 0 && s[n - 1] == '\r')
		n--;
	if (memchr(s, '\0', n) != NULL || !utf8_is_valid(s, n))
		return fail_at(r->t, r->line, "not UTF-8 text", e);
	if (is_part_line(s, n, &name, &len))
		return begin_part(r, name, len, e);
	if (r->part == NO_PART)
		return ERR_OK;
	return read_text_line(r, s, n, has_newline, e);
}

static enum err_code
read_lines(struct reader *r, const char *text, size_t len, struct err *e)
{
	const char *end = text + len, *newline;
	enum err_code rc;
	size_t n;

	while (text < end) {
		r->line++;
		newline = memchr(text, '\n', (size_t)(end - text));
		n = (size_t)((newline != NULL ? newline : end) - text);
		rc = read_line(r, text, n, newline != NULL, e);
		if (rc != ERR_OK)
			return rc;
		text += n + (newline != NULL ? 1 : 0);
	}
	rc = end_part(r, e);
	if (rc == ERR_OK && r->part == NO_PART)
		rc = fail_at(r->t, r->line > 0 ? r->line : 1,
		    "there is no \"== system ==\" or \"== user ==\" line", e);
	return rc;
}

enum err_code
template_parse(const char *name, const char *text, size_t len,
    struct template **out, struct err *e)
{
	static const char bom[] = "\xef\xbb\xbf";
	struct template *t;
	struct reader r;
	enum err_code rc;

	if (len > TEMPLATE_MAX_BYTES)
		return err_set(e, ERR_CONFIG, "%s:1: over %d bytes", name,
		    TEMPLATE_MAX_BYTES);
	if (len >= 3 && memcmp(text, bom, 3) == 0) {
		text += 3;
		len -= 3;
	}
	t = xcalloc(1, sizeof(*t));
	t->path = xstrdup(name);
	memset(&r, 0, sizeof(r));
	r.t = t;
	r.part = NO_PART;
	rc = read_lines(&r, text, len, e);
	if (rc == ERR_OK) {
		*out = t;
		t = NULL;
	}
	template_free(t);
	return rc;
}

enum err_code
template_load(const char *path, struct template **out, struct err *e)
{
	struct strbuf text = STRBUF_INIT(TEMPLATE_MAX_BYTES);
	enum err_code rc;

	rc = file_read(path, TEMPLATE_MAX_BYTES, &text, e);
	if (rc == ERR_TOO_LARGE)
		rc = err_set(e, ERR_CONFIG, "%s:1: over %d bytes", path,
		    TEMPLATE_MAX_BYTES);
	if (rc == ERR_OK)
		rc = template_parse(path, text.buf, text.len, out, e);
	strbuf_release(&text);
	return rc;
}

void
template_free(struct template *t)
{
	size_t i;

	if (t == NULL)
		return;
	for (i = 0; i < t->count; i++)
		free(t->nodes[i].text);
	free(t->nodes);
	free(t->path);
	free(t);
}

const char *
template_path(const struct template *t)
{
	return t->path;
}

/* --- checking ------------------------------------------------------------ */

static bool
is_one_of(const char *name, const char *const *names)
{
	for (; *names != NULL; names++)
		if (strcmp(name, *names) == 0)
			return true;
	return false;
}

static enum err_code
fail_unknown(const struct template *t, const struct node *n,
    const char *const *names, struct err *e)
{
	struct strbuf known = STRBUF_INIT(ERR_MSG_MAX);
	enum err_code rc;
	size_t i;

	for (i = 0; names[i] != NULL; i++)
		strbuf_addf(&known, "%s%s", i > 0 ? ", " : "", names[i]);
	rc = err_set(e, ERR_CONFIG,
	    "%s:%d: unknown placeholder {{%s}}; known here are %s", t->path,
	    n->line, n->text, i > 0 ? known.buf : "none");
	strbuf_release(&known);
	return rc;
}

enum err_code
template_check(const struct template *t, const char *const *names,
    struct err *e)
{
	size_t i;

	for (i = 0; i < t->count; i++)
		if (t->nodes[i].kind != NODE_TEXT &&
		    !is_one_of(t->nodes[i].text, names))
			return fail_unknown(t, &t->nodes[i], names, e);
	return ERR_OK;
}

bool
template_uses(const struct template *t, const char *name)
{
	size_t i;

	for (i = 0; i < t->count; i++)
		if (t->nodes[i].kind != NODE_TEXT &&
		    strcmp(t->nodes[i].text, name) == 0)
			return true;
	return false;
}

/* --- rendering ----------------------------------------------------------- */

static const char *
value_of(const char *name, const struct template_var *vars, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(vars[i].name, name) == 0)
			return vars[i].value != NULL ? vars[i].value : "";
	return "";
}

/* value with every run of three or more "<" or ">" spaced apart. */
static void
add_fenceless(struct strbuf *out, const char *value)
{
	const char brackets[] = "<>";
	size_t n, i;

	while (*value != '\0') {
		n = strcspn(value, brackets);
		strbuf_add(out, value, n);
		value += n;
		if (*value == '\0')
			break;
		for (n = 1; value[n] == value[0]; n++)
			;
		for (i = 0; i < n; i++) {
			if (i > 0 && n >= FENCE)
				strbuf_addch(out, ' ');
			strbuf_addch(out, value[0]);
		}
		value += n;
	}
}

static void
add_block(struct strbuf *out, const struct node *n, const char *value)
{
	if (*value == '\0')
		return;
	if (out->len > 0 && out->buf[out->len - 1] != '\n')
		strbuf_addch(out, '\n');
	strbuf_addf(out, "<<<%s\n", n->text);
	add_fenceless(out, value);
	if (out->len > 0 && out->buf[out->len - 1] != '\n')
		strbuf_addch(out, '\n');
	strbuf_addf(out, "%s>>>", n->text);
	if (!n->at_line_end)
		strbuf_addch(out, '\n');
}

static void
render_part(const struct template *t, int part,
    const struct template_var *vars, size_t n, struct strbuf *out)
{
	const struct node *node;
	const char *value;
	size_t i;

	for (i = t->parts[part].first; i < t->parts[part].end; i++) {
		node = &t->nodes[i];
		value = "";
		if (node->kind != NODE_TEXT)
			value = value_of(node->text, vars, n);
		switch (node->kind) {
		case NODE_TEXT:
			strbuf_add(out, node->text, node->len);
			break;
		case NODE_VALUE:
			strbuf_addstr(out, value);
			break;
		case NODE_BLOCK:
			add_block(out, node, value);
			break;
		case NODE_IF:
			if (*value == '\0')
				i = node->end;
			break;
		case NODE_UNLESS:
			if (*value != '\0')
				i = node->end;
			break;
		case NODE_END:
			break;
		}
	}
}

enum err_code
template_render(const struct template *t, const char *part,
    const struct template_var *vars, size_t n, struct strbuf *out,
    struct err *e)
{
	struct strbuf text = STRBUF_INIT(out->max);
	size_t start = out->len;
	enum err_code rc = ERR_OK;
	int i;

	for (i = 0; i < PARTS; i++)
		if (strcmp(part_names[i], part) == 0)
			break;
	assert(i < PARTS);
	if (t->parts[i].present)
		render_part(t, i, vars, n, &text);
	strbuf_trim(&text);
	strbuf_add(out, text.buf, text.len);
	if (strbuf_overflowed(&text) || strbuf_overflowed(out)) {
		strbuf_truncate(out, start);
		rc = err_set(e, ERR_TOO_LARGE,
		    "%s: the %s prompt is over %zu bytes", t->path, part,
		    out->max);
	}
	strbuf_release(&text);
	return rc;
}
