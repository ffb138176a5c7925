/*
 * What doctor's two halves share.  doctor.c looks at what is configured,
 * doctor_site.c at the machine and the database.
 */
#ifndef CTL_DOCTOR_H
#define CTL_DOCTOR_H

#include "report.h"

/* Directories, sockets, helper, database, processes. */
void doctor_site(struct report *r, const struct ctl *c);

#endif
