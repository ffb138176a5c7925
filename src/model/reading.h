/*
 * What the files that read answers share and no other room sees.
 *
 *   scan.c      finds the JSON in a text
 *   tolerant.c  reads one value, forgiving how it is written
 *   flatten.c   turns an object or a list into a sentence
 *   answer.c    puts these together
 */
#ifndef MODEL_READING_H
#define MODEL_READING_H

#include <stdbool.h>
#include <stddef.h>

#include "answer.h"
#include "json.h"
#include "strbuf.h"
#include "utf8.h"

/* --- scan.c -------------------------------------------------------------- */

struct span {
	size_t at, len;
};

struct scan {
	struct span spans[ANSWER_MAX_CANDIDATES];	/* in order of the text */
	int n;
	bool open;	/* the text ended inside a candidate */
	bool blank;	/* nothing but white space and finished reasoning */
};

/* Find every balanced {...} and [...] of the top level. When there are more
 * than fit, the longest are kept. */
void scan_answer(const char *text, size_t len, struct scan *out);

/* The two rules of lexing that scanner and reader must share; at is a place
 * in text. Does a comment start here (not the // of http://)? */
bool comment_starts(const char *text, size_t len, size_t at);
/* The first place after the comment that starts at `at`; *closed is false when
 * the text ends inside it. */
size_t comment_end(const char *text, size_t len, size_t at, bool *closed);
/* Does the single quote here end a string, or is it an apostrophe? */
bool single_quote_ends(const char *text, size_t len, size_t at);

/* --- tolerant.c ---------------------------------------------------------- */

/*
 * One value from the start of text. False when it is not JSON even with every
 * tolerance. *used is the number of bytes read, *strict says whether no
 * tolerance was needed; *out is the caller's reference, NULL for null.
 */
bool tolerant_read(const char *text, size_t len, size_t *used, bool *strict,
    struct json_object **out);

/* -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)? and nothing else. */
bool is_json_number(const char *s, size_t n);

/* --- flatten.c ----------------------------------------------------------- */

/*
 * The text of an object or list where a text was wanted (generation.md 10.3).
 * NULL when there is nothing in it; free() it.
 */
char *flatten_text(const struct json_object *v);

/* A scalar as text ("12", "true"); anything else as JSON with a blank after
 * each comma and colon. Null and what is empty append nothing. */
void add_plain_text(struct strbuf *sb, const struct json_object *v);

/* null, "", " ", {}, []: says nothing. */
bool is_empty_value(const struct json_object *v);

#endif
