/*
 * Sentences for the fields of answers; between chat.c and prose.c.
 *
 * A sentence is a template with slots: {s} the subject, {S} the same with a
 * capital, {d} a second phrase of the brief, {n} a niche, {c} the colours
 * with their codes, {c1} {c2} names of the first two.
 */
#ifndef PROSE_H
#define PROSE_H

#include "sim.h"

#define PROSE_MAX_BYTES 8192

struct voice {			/* who speaks of what */
	const struct sim_request *r;
	struct facts facts;
	struct look look;	/* of the first input picture */
	bool has_look;
	unsigned base;		/* from the subject: where the choice begins */
};

/*
 * Append text for a known field, as item number i of its list or variant;
 * false when the field is not known.
 */
bool prose_field(const struct voice *v, const char *name, int i,
    struct strbuf *out);

/* Known lists of short words (style_keywords, hashtags, ...); entry k of the
 * list that belongs to item i, or NULL. */
const char *prose_word(const struct voice *v, const char *name, int i, int k,
    char *buf, size_t size);

/* Text for a field nobody here has heard of. */
void prose_unknown(const struct voice *v, const char *name,
    const char *description, struct strbuf *out);

/* The niche of item i: one that was offered, or one that fits the food. */
const char *prose_niche(const struct voice *v, int i, char *buf, size_t size);

/* A caption-like text, for when no schema is asked for. */
void prose_caption(const struct voice *v, struct strbuf *out);

/* Colours of item i as codes, most important first; at most 3. */
int prose_colors(const struct voice *v, int i, char (*out)[8]);

#endif
