/* Identifiers: random UUIDs (version 4), lower-case text. */
#ifndef CHURNS_ID_H
#define CHURNS_ID_H

#include <stdbool.h>
#include <stddef.h>

#include "banned.h"

#define ID_LEN 36
#define ID_MAX 37		/* with the NUL */

void id_new(char out[ID_MAX]);	/* aborts when the kernel has no randomness */
bool id_is_valid(const char *s);	/* 8-4-4-4-12 lower-case hex digits */

/* The kernel's boot id and this host's name; both kept after the first call,
 * never NULL ("unknown" when the system does not say). */
const char *id_boot(void);
const char *id_host(void);

#endif
