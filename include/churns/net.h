/*
 * Addresses and networks as texts: "192.0.2.7", "10.0.0.0/8", "::1",
 * "2001:db8::/32".  Bits of a network beyond its length do not count, and an
 * IPv4 address that comes as an IPv6 one (::ffff:192.0.2.7) is the IPv4 address.
 */
#ifndef CHURNS_NET_H
#define CHURNS_NET_H

#include <stdbool.h>

#include "banned.h"

/* An address or a network? */
bool net_is_valid(const char *net);

/* Is the address (NULL: nobody's) in the network? False when either is none. */
bool net_contains(const char *net, const char *address);

#endif
