/*
 * Writing figures in the text format of Prometheus, version 0.0.4: a family is
 * announced once, its samples follow. Names and labels that come from outside
 * are escaped; there is no figure without a family.
 */
#ifndef API_EXPOSITION_H
#define API_EXPOSITION_H

#include <stdint.h>

#include "strbuf.h"

#define EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define MAX_LABELS_BYTES 2048

/* How an integer of ours is shown in base units. */
enum unit {
	UNIT_ONE,
	UNIT_MILLI,		/* milliseconds as seconds */
	UNIT_MICRO,
	UNIT_NANO		/* nano-dollars as dollars */
};

struct labels {
	char text[MAX_LABELS_BYTES];	/* what stands between the braces */
	size_t len;
};

void labels_init(struct labels *l);
/* What does not fit any more is left out, whole. */
void labels_add(struct labels *l, const char *name, const char *value);
void labels_add_int(struct labels *l, const char *name, int64_t value);

/* type: "counter", "gauge", "histogram". */
void family(struct strbuf *out, const char *name, const char *type,
    const char *help);
/* l NULL: none. */
void sample(struct strbuf *out, const char *name, const struct labels *l,
    int64_t value, enum unit unit);

#endif
