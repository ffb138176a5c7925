/*
 * What a prompt speaks of.
 *
 * The prompts of our client hold user text in blocks (<<<brief ... brief>>>)
 * and short lines with a label ("COUNT: 3", "INDEX: 1", "NICHE: ...",
 * "SUBJECT: ...", "Text: OFF", "Branding: OFF").  Where they are present they
 * decide; a prompt written by somebody else still gets a sensible reading
 * from its words.
 *
 * The subject is found by splitting the brief at stop words and punctuation
 * into runs; a run that ends in a word of the food lexicon wins, the earlier
 * the better.
 */
#include "sim.h"

#include <strings.h>

#include "xalloc.h"

#define SUBJECT_WORDS 3
#define MAX_RUNS 400
#define MAX_COUNT 12
#define NEAR_CHARS 48
#define LETTERING_REACH 700	/* after "Text in the picture" */

struct run {			/* words between two stop words */
	const char *start;
	size_t len;
	int score;
};

/* --- words ------------------------------------------------------------- */

/* Bytes above 0x7f are letters of some language, but for the general
 * punctuation block (dashes, typographic quotes) and CJK stops. */
static bool
is_word_byte(const char *p)
{
	unsigned char c = (unsigned char)*p;

	if (c == 0xe2 && (unsigned char)p[1] == 0x80)
		return false;
	if (c == 0xe3 && (unsigned char)p[1] == 0x80)
		return false;
	if (c == 0xef && (unsigned char)p[1] == 0xbc)
		return false;
	return isalnum(c) || c >= 0x80 || c == '\'' || c == '-';
}

/* The next word at or behind p; NULL at end. *gap: only blanks before it. */
static const char *
next_word(const char *p, const char *end, size_t *len, bool *gap)
{
	const char *start;

	*gap = true;
	while (p < end && !is_word_byte(p)) {
		if (*p != ' ')
			*gap = false;
		/* Step over the whole of a punctuation character. */
		p++;
		while (p < end && ((unsigned char)*p & 0xc0) == 0x80)
			p++;
	}
	if (p >= end)
		return NULL;
	start = p;
	while (p < end && is_word_byte(p))
		p++;
	*len = (size_t)(p - start);
	return start;
}

static bool
breaks_run(const char *w, size_t len)
{
	if (lexicon_is_stop_word(w, len) || isdigit((unsigned char)w[0]))
		return true;
	return len > 2 && w[len - 2] == '\'';	/* Luna's */
}

/* --- runs -------------------------------------------------------------- */

/* Cut the run behind its last word of food and to a few words before. */
static void
score_run(struct run *r, int position)
{
	const char *w = r->start, *end = r->start + r->len;
	const char *starts[64];
	size_t lens[64], len = 0;
	int n = 0, last = -1, first, i;
	bool gap;

	for (w = next_word(w, end, &len, &gap); w != NULL && n < 64;
	    w = next_word(w + len, end, &len, &gap)) {
		starts[n] = w;
		lens[n] = len;
		if (lexicon_food(w, len) != NULL)
			last = n;
		n++;
	}
	if (n == 0) {
		r->score = -1;
		return;
	}
	i = last >= 0 ? last : n - 1;
	if (last < 0 && n > SUBJECT_WORDS)
		i = SUBJECT_WORDS - 1;
	first = i - SUBJECT_WORDS + 1;
	if (first < 0)
		first = 0;
	r->start = starts[first];
	r->len = (size_t)(starts[i] + lens[i] - starts[first]);
	r->score = (last >= 0 ? 1000 : 0) + (i > first ? 20 : 0) - position;
}

static int
split_runs(const char *text, size_t n, struct run *runs, int max)
{
	const char *end = text + n, *w, *run = NULL, *run_end = NULL;
	size_t len = 0;
	bool gap;
	int count = 0;

	for (w = next_word(text, end, &len, &gap); w != NULL && count < max;
	    w = next_word(w + len, end, &len, &gap)) {
		if (run != NULL && (!gap || breaks_run(w, len))) {
			runs[count++] = (struct run){ run,
			    (size_t)(run_end - run), 0 };
			run = NULL;
		}
		if (breaks_run(w, len))
			continue;
		if (run == NULL)
			run = w;
		run_end = w + len;
	}
	if (run != NULL && count < max)
		runs[count++] = (struct run){ run, (size_t)(run_end - run), 0 };
	return count;
}

/* The largest length <= n that does not end within a character. */
static size_t
whole_chars(const char *s, size_t n)
{
	size_t lead = n, need;

	while (lead > 0 && ((unsigned char)s[lead - 1] & 0xc0) == 0x80)
		lead--;
	if (lead == 0 || (unsigned char)s[lead - 1] < 0xc0)
		return n;
	need = (unsigned char)s[lead - 1] >= 0xf0 ? 4 :
	    (unsigned char)s[lead - 1] >= 0xe0 ? 3 : 2;
	return n - (lead - 1) < need ? lead - 1 : n;
}

static void
copy_phrase(char *out, const char *s, size_t len)
{
	size_t i, n = 0;
	bool blank = false;

	for (i = 0; i < len && n < FACTS_PHRASE_MAX - 2; i++) {
		if (isspace((unsigned char)s[i]) ||
		    iscntrl((unsigned char)s[i])) {
			blank = n > 0;
			continue;
		}
		if (blank)
			out[n++] = ' ';
		blank = false;
		out[n++] = s[i];
	}
	out[i < len ? whole_chars(out, n) : n] = '\0';
}

/* Names keep their capital; a capital that begins a sentence does not. */
static void
lower_first(char *s)
{
	if (isupper((unsigned char)s[0]) && !isupper((unsigned char)s[1]))
		s[0] = (char)tolower((unsigned char)s[0]);
}

static bool
subject_from(const char *text, size_t len, struct facts *f)
{
	struct run runs[MAX_RUNS], *best = NULL, *second = NULL;
	int n, i;

	n = split_runs(text, len, runs, MAX_RUNS);
	for (i = 0; i < n; i++) {
		score_run(&runs[i], i);
		if (runs[i].score > -MAX_RUNS &&
		    (best == NULL || runs[i].score > best->score))
			best = &runs[i];
	}
	if (best == NULL)
		return false;
	copy_phrase(f->subject, best->start, best->len);
	lower_first(f->subject);
	for (i = 0; i < n; i++) {
		if (&runs[i] == best || (runs[i].len == best->len &&
		    strncasecmp(runs[i].start, best->start, best->len) == 0))
			continue;
		if (second == NULL || runs[i].score > second->score)
			second = &runs[i];
	}
	if (second != NULL) {
		copy_phrase(f->detail, second->start, second->len);
		lower_first(f->detail);
	}
	return f->subject[0] != '\0';
}

static const struct food *
food_in(const char *phrase)
{
	const char *end = phrase + strlen(phrase), *w;
	const struct food *f, *found = NULL;
	size_t len = 0;
	bool gap;

	for (w = next_word(phrase, end, &len, &gap); w != NULL;
	    w = next_word(w + len, end, &len, &gap)) {
		f = lexicon_food(w, len);
		if (f != NULL)
			found = f;
	}
	return found;
}

/* --- the conventions of our prompts ------------------------------------ */

/* The text between "<<<name" and "name>>>"; NULL when there is none. */
static const char *
block(const char *text, const char *name, size_t *len)
{
	char open[40], close[40];
	const char *start, *end;

	snprintf(open, sizeof(open), "<<<%s", name);
	snprintf(close, sizeof(close), "%s>>>", name);
	start = strstr(text, open);
	if (start == NULL)
		return NULL;
	start += strlen(open);
	end = strstr(start, close);
	if (end == NULL)
		return NULL;
	*len = (size_t)(end - start);
	return start;
}

/* The rest of the line at p that begins with tag, or of the next such line. */
static const char *
next_line(const char *p, const char *text, const char *tag, size_t *len)
{
	size_t n = strlen(tag);

	for (p = strstr(p, tag); p != NULL; p = strstr(p + 1, tag)) {
		if (p != text && p[-1] != '\n')
			continue;
		p += n;
		while (*p == ' ')
			p++;
		*len = strcspn(p, "\r\n");
		return p;
	}
	return NULL;
}

/* The last one counts: a re-ask adds to the conversation. */
static const char *
last_line(const char *text, const char *tag, size_t *len)
{
	const char *p, *found = NULL;
	size_t n = 0;

	for (p = next_line(text, text, tag, &n); p != NULL;
	    p = next_line(p, text, tag, &n)) {
		found = p;
		*len = n;
	}
	return found;
}

static int
line_number(const char *text, const char *tag, int missing)
{
	size_t len = 0;
	const char *p;
	long v;

	p = last_line(text, tag, &len);
	if (p == NULL || !isdigit((unsigned char)*p))
		return missing;
	v = strtol(p, NULL, 10);
	return v > MAX_COUNT ? MAX_COUNT : (int)v;
}

static bool
line_is(const char *text, const char *tag, const char *value)
{
	const char *p;
	size_t len = 0;

	p = last_line(text, tag, &len);
	return p != NULL && len >= strlen(value) &&
	    strncasecmp(p, value, strlen(value)) == 0;
}

static void
find_niches(const char *text, struct facts *f)
{
	const char *p;
	size_t len = 0;

	for (p = next_line(text, text, "NICHE:", &len);
	    p != NULL && f->n_niches < FACTS_MAX_NICHES;
	    p = next_line(p, text, "NICHE:", &len)) {
		copy_phrase(f->niches[f->n_niches], p, len);
		if (f->niches[f->n_niches][0] != '\0')
			f->n_niches++;
	}
}

static void
add_hex(struct facts *f, const char *six)
{
	char hex[8] = "#";
	int i;

	for (i = 0; i < 6; i++)
		hex[i + 1] = (char)toupper((unsigned char)six[i]);
	hex[7] = '\0';
	for (i = 0; i < f->n_hexes; i++)
		if (strcmp(f->hexes[i], hex) == 0)
			return;
	if (f->n_hexes < FACTS_MAX_HEXES)
		memcpy(f->hexes[f->n_hexes++], hex, sizeof(hex));
}

static void
find_hexes(const char *text, struct facts *f)
{
	const char *p;
	size_t n;

	for (p = strchr(text, '#'); p != NULL; p = strchr(p + 1, '#')) {
		n = strspn(p + 1, "0123456789abcdefABCDEF");
		if (n == 6 && !isalnum((unsigned char)p[7]))
			add_hex(f, p + 1);
	}
	f->hexes_given = f->n_hexes > 0;
}

static void
find_color_words(const char *text, size_t n, struct facts *f)
{
	const char *end = text + n, *w, *hex;
	size_t len = 0;
	bool gap;

	for (w = next_word(text, end, &len, &gap); w != NULL;
	    w = next_word(w + len, end, &len, &gap)) {
		hex = lexicon_color(w, len);
		if (hex != NULL)
			add_hex(f, hex + 1);
	}
}

int
words_quoted(const char *text, size_t len, char (*out)[FACTS_PHRASE_MAX],
    int max)
{
	const char *end = text + len, *p = text, *q;
	int n = 0;

	while (n < max) {
		p = memchr(p, '"', (size_t)(end - p));
		if (p == NULL)
			break;
		q = memchr(p + 1, '"', (size_t)(end - p - 1));
		if (q == NULL)
			break;
		copy_phrase(out[n], p + 1, (size_t)(q - p - 1));
		if (out[n][0] != '\0')
			n++;
		p = q + 1;
	}
	return n;
}

/* Words to draw: quoted, behind what introduces them in an image prompt. */
static void
find_lettering(const char *text, struct facts *f)
{
	static const char *const tags[] = { "Text in the picture",
	    "romotional text", "On-image text", "Lettering" };
	const char *p = NULL;
	size_t i, len;

	for (i = 0; i < ARRAY_LEN(tags) && f->n_quotes == 0; i++) {
		p = strstr(text, tags[i]);
		if (p == NULL)
			continue;
		len = strcspn(p, "\n");
		if (memchr(p, '"', len) == NULL)
			len = strlen(p);
		if (len > LETTERING_REACH)
			len = LETTERING_REACH;
		f->n_quotes = words_quoted(p, len, f->quotes,
		    FACTS_MAX_QUOTES);
	}
}

/* --- counts ------------------------------------------------------------ */

static int
number_at(const char *p, size_t *len)
{
	static const char *const names[] = { "one", "two", "three", "four",
	    "five", "six", "seven", "eight", "nine", "ten" };
	size_t i;
	long v;

	if (isdigit((unsigned char)*p)) {
		*len = strspn(p, "0123456789");
		v = strtol(p, NULL, 10);
		return v >= 1 && v <= MAX_COUNT ? (int)v : 0;
	}
	for (i = 0; i < ARRAY_LEN(names); i++) {
		*len = strlen(names[i]);
		if (strncasecmp(p, names[i], *len) == 0 &&
		    !isalnum((unsigned char)p[*len]))
			return (int)i + 1;
	}
	return 0;
}

static bool
near_behind(const char *p, const char *topic)
{
	size_t n = strlen(topic), i;

	for (i = 0; i < NEAR_CHARS && p[i] != '\0' && p[i] != '.' &&
	    p[i] != '\n'; i++)
		if (strncasecmp(p + i, topic, n) == 0)
			return true;
	return false;
}

int
words_count_near(const char *text, const char *topic)
{
	const char *p;
	size_t len = 0;
	int v, found = 0;

	p = strstr(text, "N = ");
	if (p != NULL)
		found = number_at(p + 4, &len);
	if (found > 0)
		return found;
	for (p = text; *p != '\0'; p++) {
		if (p != text && isalnum((unsigned char)p[-1]))
			continue;
		v = number_at(p, &len);
		if (v == 0 || isalpha((unsigned char)p[len]))
			continue;
		if (near_behind(p + len, topic))
			return v;
	}
	return 0;
}

/* --- everything -------------------------------------------------------- */

static void
find_subject(const char *text, struct facts *f)
{
	static const char *const blocks[] = { "brief", "subject" };
	size_t len = 0, i;
	const char *p;

	for (i = 0; i < ARRAY_LEN(blocks); i++) {
		p = block(text, blocks[i], &len);
		if (p != NULL && subject_from(p, len, f)) {
			f->from_brief = true;
			return;
		}
	}
	p = last_line(text, "SUBJECT:", &len);
	if (p != NULL && len > 0) {
		copy_phrase(f->subject, p, len);
		f->from_brief = f->subject[0] != '\0';
	}
	if (f->subject[0] == '\0')
		subject_from(text, strlen(text), f);
	if (f->subject[0] == '\0')
		copy_phrase(f->subject, "house speciality", 16);
}

void
facts_find(const struct sim_request *r, struct facts *out)
{
	const char *text = r->user.buf, *p;
	size_t len = 0;

	memset(out, 0, sizeof(*out));
	find_subject(text, out);
	out->food = food_in(out->subject);
	out->count = line_number(text, "COUNT:",
	    line_number(r->system.buf, "COUNT:", 0));
	out->index = line_number(text, "INDEX:", -1);
	find_niches(text, out);
	find_hexes(text, out);
	if (out->n_hexes == 0) {
		p = block(text, "brief", &len);
		if (p != NULL)
			find_color_words(p, len, out);
		else
			find_color_words(text, strlen(text), out);
	}
	p = block(text, "overlay", &len);
	out->has_overlay = p != NULL;
	if (p != NULL)
		out->n_quotes = words_quoted(p, len, out->quotes,
		    FACTS_MAX_QUOTES);
	else if (r->wants_picture)
		find_lettering(text, out);
	out->wants_details = strstr(text, "<<<instruction") != NULL ||
	    strstr(text, "FULL ANALYSIS") != NULL;
	out->keeps_subject = strstr(text, "KEEP THE SUBJECT") != NULL;
	out->text_off = line_is(text, "Text:", "off") ||
	    line_is(text, "TEXT:", "off");
	out->branding_off = line_is(text, "Branding:", "off") ||
	    line_is(text, "BRANDING:", "off");
}
