/*
 * Who may see what: the rules that churns-api and churns-push share.
 */
#ifndef CHURNS_ACCESS_H
#define CHURNS_ACCESS_H

#include <stdbool.h>

/* Whose things the caller may see. There is no authentication, so everybody
 * is the same owner; this is the one place that says so. */
const char *access_owner(void);

/* Is origin (of an Origin header) one of patterns (NULL-terminated; NULL: none)?
 * A star in a pattern stands for one part of a host name. */
bool access_origin_listed(char *const *patterns, const char *origin);

/* Does origin name the host that was asked (a Host header, with its port)? */
bool access_origin_is_host(const char *origin, const char *host);

#endif
