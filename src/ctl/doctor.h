/*
 * What doctor's two halves share: the report.  doctor.c looks at what is
 * configured, doctor_site.c at the machine and the database.
 */
#ifndef CTL_DOCTOR_H
#define CTL_DOCTOR_H

#include "ctl.h"

enum level { LEVEL_OK, LEVEL_WARN, LEVEL_FAIL, LEVEL__COUNT };

struct report {
	struct json_object *checks;	/* [{level, what, message, faults}] */
	int count[LEVEL__COUNT];
	bool misconfigured;	/* a FAIL that is mended in the configuration */
};

void report_add(struct report *r, enum level level, const char *what,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Lines that belong to the check added last. */
void report_faults(struct report *r, const char *lines);

/* Directories, sockets, helper, database, processes. */
void doctor_site(struct report *r, const struct ctl *c);

#endif
