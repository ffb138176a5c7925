/*
 * A strict reader: lines end in CRLF, names are tokens, values have no control
 * characters, nothing is folded.  Web servers in front of us send no others.
 */
#include "head.h"

#include <stdint.h>
#include <strings.h>

#include "banned.h"
#include "xalloc.h"

#define MAX_HEADERS 100
#define TOKEN "!#$%&'*+-.^_`|~0123456789"			\
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* --- values --------------------------------------------------------------- */

/* Is word one of the elements of a list separated by commas? */
static bool
list_has(const char *list, const char *word)
{
	size_t len, want = strlen(word);

	for (;; list++) {
		list += strspn(list, " \t");
		len = strcspn(list, ", \t");
		if (len == want && strncasecmp(list, word, len) == 0)
			return true;
		list = strchr(list, ',');
		if (list == NULL)
			return false;
	}
}

/* What stands behind the last comma: the address our own web server added. */
static const char *
last_of(const char *list)
{
	const char *comma = strrchr(list, ',');

	if (comma == NULL)
		return list;
	return comma + 1 + strspn(comma + 1, " \t");
}

static bool
take_once(const char **slot, const char *value)
{
	if (*slot != NULL)
		return false;
	*slot = value;
	return true;
}

static bool
take_header(struct head *h, const char *name, const char *value)
{
	const struct {
		const char *name;
		const char **slot;
	} once[] = {
		{ "Host", &h->host }, { "Origin", &h->origin },
		{ "Sec-WebSocket-Key", &h->ws_key },
		{ "Sec-WebSocket-Version", &h->ws_version },
		{ "Last-Event-ID", &h->last_event_id },
		{ "Access-Control-Request-Method", &h->acr_method },
		{ "Access-Control-Request-Headers", &h->acr_headers },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(once); i++)
		if (strcasecmp(name, once[i].name) == 0)
			return take_once(once[i].slot, value);
	if (strcasecmp(name, "Upgrade") == 0)
		h->upgrade_websocket |= list_has(value, "websocket");
	else if (strcasecmp(name, "Connection") == 0)
		h->connection_upgrade |= list_has(value, "upgrade");
	else if (strcasecmp(name, "X-Forwarded-For") == 0)
		h->forwarded_for = last_of(value);
	return true;
}

/* --- lines ---------------------------------------------------------------- */

/* Cut the next line off *at; NULL when it does not end in CRLF, or has any
 * other control character than a tab in it. */
static char *
next_line(char **at)
{
	char *line = *at, *p;

	for (p = line; *p != '\r'; p++)
		if ((unsigned char)*p < ' ' && *p != '\t')
			return NULL;
	if (p[1] != '\n')
		return NULL;
	*p = '\0';
	*at = p + 2;
	return line;
}

/* Printable ASCII, without what ends or splits it. */
static bool
is_target(const char *s)
{
	if (*s != '/')
		return false;
	for (; *s != '\0'; s++)
		if (*s <= ' ' || *s > '~' || *s == '#')
			return false;
	return true;
}

/* "GET /path?query HTTP/1.1" */
static bool
parse_request(char *line, struct head *h)
{
	char *target, *version, *query;

	target = line + strspn(line, TOKEN);
	if (target == line || *target != ' ')
		return false;
	*target++ = '\0';
	version = strchr(target, ' ');
	if (version == NULL)
		return false;
	*version++ = '\0';
	if (!is_target(target) || (strcmp(version, "HTTP/1.1") != 0 &&
	    strcmp(version, "HTTP/1.0") != 0))
		return false;
	h->is_http11 = strcmp(version, "HTTP/1.1") == 0;
	h->method = line;
	h->path = target;
	h->query = "";
	query = strchr(target, '?');
	if (query != NULL) {
		*query = '\0';
		h->query = query + 1;
	}
	return true;
}

/* "Name: value" */
static bool
parse_header(char *line, struct head *h)
{
	char *colon = line + strspn(line, TOKEN), *end;

	if (colon == line || *colon != ':')
		return false;
	*colon++ = '\0';
	colon += strspn(colon, " \t");
	end = colon + strlen(colon);
	while (end > colon && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*end = '\0';
	return take_header(h, line, colon);
}

/* How long the head is; 0: its end has not come. */
static size_t
length_of(const char *buf, size_t len)
{
	const char *end = memmem(buf, len, "\r\n\r\n", 4);

	return end == NULL ? 0 : (size_t)(end - buf) + 4;
}

enum head_state
head_parse(char *buf, size_t len, struct head *out)
{
	struct head h;
	char *at = buf, *line;
	int n;

	memset(&h, 0, sizeof(h));
	h.len = length_of(buf, len);
	if (h.len == 0 && len >= MAX_HEAD_BYTES)
		return HEAD_TOO_LONG;
	if (h.len == 0)
		return HEAD_MORE;
	if (h.len > MAX_HEAD_BYTES)
		return HEAD_TOO_LONG;
	line = next_line(&at);
	if (line == NULL || !parse_request(line, &h))
		return HEAD_BAD;
	for (n = 0; n <= MAX_HEADERS; n++) {
		line = next_line(&at);
		if (line == NULL)
			return HEAD_BAD;
		if (*line == '\0') {
			*out = h;
			return HEAD_WHOLE;
		}
		if (!parse_header(line, &h))
			return HEAD_BAD;
	}
	return HEAD_BAD;
}
