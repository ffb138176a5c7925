/*
 * A report: checks, each with a level, what was looked at, what it came to, and
 * the faults beneath it.  For commands that look at many things (doctor, verify).
 *
 *   ok    this is fine, and what it came to
 *   warn  it works, but somebody should know
 *   FAIL  it does not; faults stand beneath
 */
#ifndef CTL_REPORT_H
#define CTL_REPORT_H

#include "ctl.h"

enum level { LEVEL_OK, LEVEL_WARN, LEVEL_FAIL, LEVEL__COUNT };

struct report {
	struct json_object *checks;	/* [{level, what, message, faults}] */
	int count[LEVEL__COUNT];
	bool misconfigured;	/* a FAIL that is mended in the configuration */
};

void report_init(struct report *r);
void report_release(struct report *r);

void report_add(struct report *r, enum level level, const char *what,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Lines that belong to the check added last. */
void report_faults(struct report *r, const char *lines);

/* For people, or as JSON when that was asked for; all_well is the closing line
 * when nothing failed, without its stop. */
void report_print(const struct ctl *c, const struct report *r,
    const char *all_well);

#endif
