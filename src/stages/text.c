/*
 * Words: the small repairs that stand between what people and models write
 * and what goes into a prompt.
 *
 * Lengths are code points, since limits are promised to people in characters.
 * Everything here takes valid UTF-8 (requests and answers are checked before)
 * and gives valid UTF-8.
 */
#include "common.h"

#include "utf8.h"
#include "xalloc.h"

#define CUT_LOOK_BACK 40	/* code points given up to end at a blank */

static const char *const void_words[] = {
	"none", "null", "nil", "n/a", "not applicable", "undefined", "-",
	"\xe2\x80\x93", "\xe2\x80\x94",
};

/* What a sentence may end with, and what may still follow that. */
static const char *const enders[] = {
	".", "!", "?", ":", "\xe2\x80\xa6", "\xe3\x80\x82", "\xef\xbc\x81",
	"\xef\xbc\x9f",
};
static const char *const closers[] = {
	"\"", "'", ")", "]", "\xe2\x80\x9d", "\xe2\x80\x99", "\xe3\x80\x8d",
};

static bool
is_blank(char c)
{
	return (unsigned char)c <= ' ' || c == 0x7f;
}

static bool
is_follower(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

size_t
text_chars(const char *s)
{
	return utf8_count(s, strlen(s));
}

/* Narrow s[0..n) to what is between blanks, quotes and a last full stop. */
static void
strip_dress(const char **s, size_t *n)
{
	static const char dress[] = "\"'`()[]<>.";

	while (*n > 0 && (is_blank(**s) || strchr(dress, **s) != NULL)) {
		(*s)++;
		(*n)--;
	}
	while (*n > 0 && (is_blank((*s)[*n - 1]) ||
	    strchr(dress, (*s)[*n - 1]) != NULL))
		(*n)--;
}

bool
text_is_void(const char *s)
{
	size_t n, i;

	if (s == NULL)
		return true;
	n = strlen(s);
	strip_dress(&s, &n);
	if (n == 0)
		return true;
	for (i = 0; i < ARRAY_LEN(void_words); i++)
		if (strlen(void_words[i]) == n &&
		    strncasecmp(void_words[i], s, n) == 0)
			return true;
	return false;
}

bool
text_same(const char *a, const char *b)
{
	size_t la, lb;

	while (is_blank(*a) && *a != '\0')
		a++;
	while (is_blank(*b) && *b != '\0')
		b++;
	la = strlen(a);
	lb = strlen(b);
	while (la > 0 && is_blank(a[la - 1]))
		la--;
	while (lb > 0 && is_blank(b[lb - 1]))
		lb--;
	return la == lb && strncasecmp(a, b, la) == 0;
}

/* Offset of code point number at, or of the end. */
static size_t
offset_of(const char *s, size_t at)
{
	size_t i;

	for (i = 0; s[i] != '\0'; i++) {
		if (is_follower(s[i]))
			continue;
		if (at == 0)
			return i;
		at--;
	}
	return i;
}

char *
text_cut(const char *s, size_t max_chars)
{
	size_t end = offset_of(s, max_chars), back, floor;

	if (s[end] != '\0') {
		floor = max_chars > CUT_LOOK_BACK ?
		    offset_of(s, max_chars - CUT_LOOK_BACK) : 0;
		for (back = end; back > floor && !is_blank(s[back]); back--)
			;
		if (back > floor)
			end = back;
		while (end > 0 && (is_blank(s[end - 1]) ||
		    strchr(",;:-", s[end - 1]) != NULL))
			end--;
	}
	return xstrndup(s, end);
}

/* Runs of blanks and controls made single blanks, none at the ends. */
static char *
squeeze(const char *s, size_t n)
{
	char *line = xcalloc(n + 1, 1), *to = line;
	bool gap = false;
	size_t i;

	for (i = 0; i < n; i++) {
		if (is_blank(s[i])) {
			gap = to > line;
			continue;
		}
		if (gap)
			*to++ = ' ';
		gap = false;
		*to++ = s[i];
	}
	return line;
}

char *
text_one_line(const char *s, size_t max_chars)
{
	char *line, *cut;

	if (text_is_void(s))
		return NULL;
	line = squeeze(s, strlen(s));
	cut = text_cut(line, max_chars);
	free(line);
	return cut;
}

bool
text_has(const char *text, const char *words)
{
	char *line;
	bool found;

	if (text == NULL)
		return false;
	line = squeeze(text, strlen(text));
	found = strstr(line, words) != NULL;
	free(line);
	return found;
}

/* Does s[0..n) end with one of the list? Its length, or 0. */
static size_t
tail_in(const char *s, size_t n, const char *const *list, size_t count)
{
	size_t i, len;

	for (i = 0; i < count; i++) {
		len = strlen(list[i]);
		if (len <= n && memcmp(s + n - len, list[i], len) == 0)
			return len;
	}
	return 0;
}

char *
text_sentence(const char *s)
{
	char *line = text_one_line(s, MAX_PROMPT_TEXT), *ended;
	size_t n, len;

	if (line == NULL)
		return NULL;
	n = strlen(line);
	do {
		len = tail_in(line, n, closers, ARRAY_LEN(closers));
		n -= len;
	} while (len > 0);
	if (tail_in(line, n, enders, ARRAY_LEN(enders)) > 0)
		return line;
	ended = xasprintf("%s.", line);
	free(line);
	return ended;
}

void
literals_find(const char *s, struct literals *out)
{
	const char *open, *close;
	char *item;

	memset(out, 0, sizeof(*out));
	if (s == NULL)
		return;
	open = strchr(s, '"');
	while (open != NULL && out->n < MAX_LITERALS) {
		close = strchr(open + 1, '"');
		if (close == NULL)
			break;
		item = squeeze(open + 1, (size_t)(close - open) - 1);
		if (*item == '\0')
			free(item);
		else
			out->item[out->n++] = item;
		open = strchr(close + 1, '"');
	}
}

void
literals_release(struct literals *l)
{
	int i;

	for (i = 0; i < l->n; i++)
		free(l->item[i]);
	memset(l, 0, sizeof(*l));
}
