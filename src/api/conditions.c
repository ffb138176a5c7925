/*
 * Reading the conditions of a request.
 *
 * A header that cannot be read is as if it were not there, which is never
 * wrong: the client then gets all of what it asked for.  Dates are read with
 * strptime(3), which follows the locale; no program of ours sets one.
 */
#include "conditions.h"

#include <strings.h>

#include "xalloc.h"
#include "yaml.h"

#define BYTES_UNIT "bytes="
#define WEAK_MARK "W/"

/* --- dates ------------------------------------------------------------------------ */

void
http_date_format(int64_t unix_s, char out[HTTP_DATE_MAX])
{
	time_t t = (time_t)unix_s;
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(out, HTTP_DATE_MAX, "%a, %d %b %Y %H:%M:%S GMT", &tm);
}

bool
http_date_parse(const char *text, int64_t *out_s)
{
	static const char *const forms[] = {
		"%a, %d %b %Y %H:%M:%S GMT",	/* the one that is sent today */
		"%A, %d-%b-%y %H:%M:%S GMT",	/* RFC 850 */
		"%a %b %e %H:%M:%S %Y",		/* asctime(3) */
	};
	const char *end;
	struct tm tm;
	size_t i;

	for (i = 0; i < ARRAY_LEN(forms); i++) {
		memset(&tm, 0, sizeof(tm));
		end = strptime(text, forms[i], &tm);
		if (end != NULL && *end == '\0') {
			*out_s = (int64_t)timegm(&tm);
			return true;
		}
	}
	return false;
}

/* --- entity tags -------------------------------------------------------------------- */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Between the members of a list: blanks, and commas of empty members. */
static const char *
skip_separators(const char *p)
{
	while (is_blank(*p) || *p == ',')
		p++;
	return p;
}

/* The end of the quoted part at p, or NULL when it is none. */
static const char *
quoted_end(const char *p)
{
	if (*p != '"')
		return NULL;
	for (p++; *p != '"'; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return NULL;
	return p + 1;
}

static const char *
without_mark(const char *tag)
{
	return strncmp(tag, WEAK_MARK, 2) == 0 ? tag + 2 : tag;
}

bool
tag_listed(const char *list, const char *tag, bool weak)
{
	const char *p = skip_separators(list), *opaque = without_mark(tag);
	const char *from, *to;

	if (*p == '*')
		return p[1 + strspn(p + 1, " \t,")] == '\0';
	if (!weak && opaque != tag)
		return false;
	while (*p != '\0') {
		from = without_mark(p);
		to = quoted_end(from);
		if (to == NULL)
			return false;
		if ((weak || from == p) && (size_t)(to - from) ==
		    strlen(opaque) && strncmp(from, opaque, strlen(opaque)) == 0)
			return true;
		p = to + strspn(to, " \t");
		if (*p != ',' && *p != '\0')
			return false;
		p = skip_separators(p);
	}
	return false;
}

/* --- preconditions ------------------------------------------------------------------- */

enum verdict
conditions_check(const struct conditions *c, const struct validators *v)
{
	int64_t since;

	if (c->if_match != NULL) {
		if (!tag_listed(c->if_match, v->tag, false))
			return VERDICT_FAILED;
	} else if (c->if_unmodified_since != NULL &&
	    http_date_parse(c->if_unmodified_since, &since) &&
	    v->modified_s > since) {
		return VERDICT_FAILED;
	}
	if (c->if_none_match != NULL)
		return tag_listed(c->if_none_match, v->tag, true) ?
		    VERDICT_NOT_MODIFIED : VERDICT_GO_ON;
	if (c->if_modified_since != NULL &&
	    http_date_parse(c->if_modified_since, &since) &&
	    v->modified_s <= since)
		return VERDICT_NOT_MODIFIED;
	return VERDICT_GO_ON;
}

/* --- ranges --------------------------------------------------------------------------- */

/* Is what the client has a part of still this? A date must be the very one,
 * and a tag a strong one. */
static bool
is_same(const char *if_range, const struct validators *v)
{
	const char *end = quoted_end(if_range);
	int64_t date;

	if (end != NULL)
		return end[strspn(end, " \t")] == '\0' &&
		    tag_listed(if_range, v->tag, false);
	return http_date_parse(if_range, &date) && date == v->modified_s;
}

/* Digits at *p as a number, the largest one when there are too many. */
static bool
read_number(const char **p, int64_t *out)
{
	char digits[24];
	size_t len = strspn(*p, "0123456789");

	if (len == 0)
		return false;
	*out = INT64_MAX;
	if (len < sizeof(digits)) {
		memcpy(digits, *p, len);
		digits[len] = '\0';
		if (!parse_int(digits, out))
			*out = INT64_MAX;
	}
	*p += len;
	return true;
}

/* The only member of the list at p; false when there are others, or none. */
static bool
read_spec(const char *p, int64_t *first, int64_t *last, bool *suffix)
{
	p = skip_separators(p);
	*suffix = !read_number(&p, first);
	if (*p++ != '-')
		return false;
	*last = INT64_MAX;
	if (!read_number(&p, last) && *suffix)
		return false;
	return *skip_separators(p) == '\0' && (*suffix || *first <= *last);
}

enum range_kind
range_check(const struct conditions *c, const struct validators *v,
    int64_t size, int64_t *first, int64_t *length)
{
	int64_t from = 0, to = 0;
	bool suffix = false;

	*first = 0;
	*length = size;
	if (c->range == NULL ||
	    strncasecmp(c->range, BYTES_UNIT, strlen(BYTES_UNIT)) != 0 ||
	    (c->if_range != NULL && !is_same(c->if_range, v)) ||
	    !read_spec(c->range + strlen(BYTES_UNIT), &from, &to, &suffix))
		return RANGE_WHOLE;
	if (suffix && to > 0 && size == 0)
		return RANGE_WHOLE;	/* there is no other way to say it */
	if (suffix) {		/* the last so many bytes */
		from = to < size ? size - to : 0;
		to = to == 0 ? -1 : size - 1;
	}
	if (to >= size)
		to = size - 1;
	if (from >= size || to < from)
		return RANGE_OUTSIDE;
	*first = from;
	*length = to - from + 1;
	return RANGE_PART;
}
