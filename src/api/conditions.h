/*
 * Conditional requests and ranges (RFC 9110, sections 8.8, 13 and 14): what the
 * headers of a request mean for something with these validators. There is no
 * answer in here; who asks makes it.
 */
#ifndef API_CONDITIONS_H
#define API_CONDITIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "banned.h"

#define TAG_MAX 100		/* bytes of an entity tag, with its quotes */
#define HTTP_DATE_MAX 40

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
void http_date_format(int64_t unix_s, char out[HTTP_DATE_MAX]);
/* All three forms that RFC 9110 has recipients accept. */
bool http_date_parse(const char *text, int64_t *out_s);

/*
 * Is tag among those of a list as in If-None-Match ("*" is any)?  Weak
 * comparison leaves W/ out of account, strong comparison knows no weak tags.
 * What stands behind a part that is none of a list's is not looked at.
 */
bool tag_listed(const char *list, const char *tag, bool weak);

struct validators {
	const char *tag;	/* strong */
	int64_t modified_s;
};

struct conditions {		/* headers as sent; NULL: none */
	const char *if_match, *if_none_match;
	const char *if_modified_since, *if_unmodified_since;
	const char *range, *if_range;
};

enum verdict {
	VERDICT_GO_ON,
	VERDICT_NOT_MODIFIED,	/* 304 */
	VERDICT_FAILED		/* 412 */
};

/* For GET and HEAD, in the order of section 13.2.2 without its last step. */
enum verdict conditions_check(const struct conditions *c,
    const struct validators *v);

enum range_kind {
	RANGE_WHOLE,		/* none asked for, or to be ignored */
	RANGE_PART,		/* 206 */
	RANGE_OUTSIDE		/* 416 */
};

/*
 * The last step, for GET: one range is obeyed; several of them, another unit
 * and what is no range give the whole, as they may.
 */
enum range_kind range_check(const struct conditions *c,
    const struct validators *v, int64_t size, int64_t *first,
    int64_t *length);

#endif
