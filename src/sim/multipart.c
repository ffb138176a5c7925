/*
 * multipart/form-data, over a body that is in memory as a whole.
 *
 * Parts are pointers into the body; nothing is copied but names.  A body
 * that does not follow its own boundary is malformed, not guessed at.
 */
#include "sim.h"

#include <strings.h>

#define MAX_BOUNDARY 200

static const char *
find(const char *hay, size_t n, const char *needle)
{
	return memmem(hay, n, needle, strlen(needle));
}

static bool
get_boundary(const char *content_type, char *out, size_t size)
{
	const char *p, *end;
	size_t n;

	if (content_type == NULL ||
	    strncasecmp(content_type, "multipart/form-data", 19) != 0)
		return false;
	p = strstr(content_type, "boundary=");
	if (p == NULL)
		return false;
	p += 9;
	if (*p == '"') {
		p++;
		end = strchr(p, '"');
		n = end != NULL ? (size_t)(end - p) : 0;
	} else {
		n = strcspn(p, "; \t");
	}
	if (n == 0 || n > MAX_BOUNDARY)
		return false;
	snprintf(out, size, "--%.*s", (int)n, p);
	return true;
}

/* name="..." and filename= from the headers of one part. */
static bool
read_headers(const char *head, size_t n, struct part *out)
{
	const char *p, *end;
	size_t len;

	p = find(head, n, "name=\"");
	/* Not the one inside filename="...". */
	while (p != NULL && p > head && p[-1] == 'e')
		p = find(p + 6, n - (size_t)(p + 6 - head), "name=\"");
	if (p == NULL)
		return false;
	p += 6;
	end = memchr(p, '"', n - (size_t)(p - head));
	if (end == NULL)
		return false;
	len = (size_t)(end - p);
	if (len >= sizeof(out->name))
		len = sizeof(out->name) - 1;
	memcpy(out->name, p, len);
	out->name[len] = '\0';
	out->is_file = find(head, n, "filename=") != NULL;
	return true;
}

/* The part whose boundary line ends at p; *next is the following boundary. */
static bool
read_part(const char *p, size_t n, const char *boundary, struct part *out,
    const char **next)
{
	char delimiter[MAX_BOUNDARY + 8];
	const char *body, *end;

	body = find(p, n, "\r\n\r\n");
	if (body == NULL || !read_headers(p, (size_t)(body - p) + 2, out))
		return false;
	body += 4;
	snprintf(delimiter, sizeof(delimiter), "\r\n%s", boundary);
	end = find(body, n - (size_t)(body - p), delimiter);
	if (end == NULL)
		return false;
	out->data = body;
	out->len = (size_t)(end - body);
	*next = end + 2;
	return true;
}

int
multipart_split(const char *content_type, const char *body, size_t len,
    struct part *out, int max)
{
	char boundary[MAX_BOUNDARY + 4];
	const char *p, *end = body + len;
	int n = 0;

	if (!get_boundary(content_type, boundary, sizeof(boundary)))
		return -1;
	p = find(body, len, boundary);
	while (p != NULL) {
		p += strlen(boundary);
		if (end - p >= 2 && memcmp(p, "--", 2) == 0)
			return n;
		if (end - p < 2 || memcmp(p, "\r\n", 2) != 0 || n == max)
			return -1;
		p += 2;
		if (!read_part(p, (size_t)(end - p), boundary, &out[n], &p))
			return -1;
		n++;
	}
	return -1;
}
