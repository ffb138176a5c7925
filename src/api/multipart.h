/*
 * The two shapes of form bodies, read as they arrive.
 *
 * multipart/form-data (RFC 7578): a streaming parser that is fed whatever
 * arrives, a boundary may be split anywhere. File parts go to files in the
 * uploads directory as they come, with a running SHA-256; text fields stay in
 * memory up to FORM_MAX_FIELD_BYTES, and brand_kit alone may grow beyond, to
 * FORM_MAX_LARGE_FIELD_BYTES, in a file. A part with a filename parameter is a
 * file, one without is a text field.
 *
 * application/x-www-form-urlencoded: query strings and small bodies.
 *
 * Whatever fails, releasing the form removes every file that was made.
 */
#ifndef API_MULTIPART_H
#define API_MULTIPART_H

#include <stddef.h>

#include "err.h"
#include "submit.h"

#define MAX_BOUNDARY_BYTES 200
#define MAX_PART_HEADER_BYTES 8192
#define MAX_FIELD_NAME_BYTES FORM_MAX_NAME_BYTES
#define MAX_FILENAME_BYTES 1024
#define MAX_URLENCODED_BYTES (2 * 1024 * 1024)
#define MAX_FORM_TEXT_BYTES (4 * 1024 * 1024)	/* in memory, all fields together */

struct multipart;

/* content_type: the whole header. form is filled and stays the caller's.
 * ERR_INVALID when it is not multipart/form-data with a usable boundary. */
enum err_code multipart_new(const char *content_type, struct form *form,
    struct multipart **out, struct err *e);
/* ERR_INVALID (malformed; says how), ERR_TOO_LARGE, ERR_FULL, ERR_SYSTEM.
 * After an error nothing more may be fed. */
enum err_code multipart_feed(struct multipart *m, const char *data, size_t len,
    struct err *e);
/* The body has ended: ERR_INVALID without the closing boundary. Makes the
 * files' digests. */
enum err_code multipart_end(struct multipart *m, struct err *e);
void multipart_free(struct multipart *m);

/* Decode name=value&... into form. ERR_INVALID for a broken %-escape, a zero
 * byte, or too many fields. */
enum err_code urlencoded_parse(const char *text, size_t len, struct form *form,
    struct err *e);
/* Percent-decode into out (with NUL), '+' stays '+'. False when broken, with
 * a zero byte, or too long. */
bool percent_decode(const char *text, size_t len, char *out, size_t out_size);

#endif
