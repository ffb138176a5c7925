/*
 * One rule each, used by every program that answers the outside.  The web
 * server in front may terminate TLS, so of an origin's scheme nothing can be
 * told from here: only its host is compared with the host that was asked.
 */
#include "access.h"

#include <strings.h>

#include "submit.h"

const char *
access_owner(void)
{
	return OWNER_DEFAULT;
}

/* A star in a pattern stands for one part of a host name. */
static bool
matches(const char *pattern, const char *origin)
{
	const char *star = strchr(pattern, '*');
	size_t head, tail, len = strlen(origin), i;

	if (star == NULL)
		return strcmp(pattern, origin) == 0;
	head = (size_t)(star - pattern);
	tail = strlen(star + 1);
	if (len <= head + tail || strncmp(pattern, origin, head) != 0 ||
	    strcmp(star + 1, origin + len - tail) != 0)
		return false;
	for (i = head; i < len - tail; i++)
		if (!isalnum((unsigned char)origin[i]) && origin[i] != '-')
			return false;
	return true;
}

bool
access_origin_listed(char *const *patterns, const char *origin)
{
	for (; patterns != NULL && *patterns != NULL; patterns++)
		if (matches(*patterns, origin))
			return true;
	return false;
}

/* The text without the port that goes without saying. */
static size_t
significant(const char *host, const char *usual_port)
{
	size_t len = strlen(host), tail = strlen(usual_port);

	if (len > tail && strcmp(host + len - tail, usual_port) == 0)
		len -= tail;
	return len;
}

bool
access_origin_is_host(const char *origin, const char *host)
{
	const char *port, *named;
	size_t a, b;

	if (strncasecmp(origin, "https://", 8) == 0) {
		named = origin + 8;
		port = ":443";
	} else if (strncasecmp(origin, "http://", 7) == 0) {
		named = origin + 7;
		port = ":80";
	} else {
		return false;
	}
	a = significant(named, port);
	b = significant(host, port);
	return a > 0 && a == b && strncasecmp(named, host, a) == 0;
}
