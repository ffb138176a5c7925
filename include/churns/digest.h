/* SHA-256 and base64, from nettle. */
#ifndef CHURNS_DIGEST_H
#define CHURNS_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include <nettle/base64.h>
#include <nettle/sha2.h>

#include "err.h"
#include "strbuf.h"

#define DIGEST_HEX_MAX 65	/* 64 hex digits and the NUL */

struct digest {
	struct sha256_ctx ctx;
};

void digest_init(struct digest *d);
void digest_add(struct digest *d, const void *data, size_t len);
/* A string with its length in front, so that "ab","c" differs from "a","bc".
 * NULL differs from "". */
void digest_add_field(struct digest *d, const char *s);
void digest_hex(struct digest *d, char out[DIGEST_HEX_MAX]);	/* d is spent */

void digest_buf_hex(const void *data, size_t len, char out[DIGEST_HEX_MAX]);

/* Hash of what can be read from fd from offset 0 on (pread, offset untouched). */
enum err_code digest_fd_hex(int fd, char out[DIGEST_HEX_MAX], struct err *e);

/* Append the base64 text of data. */
void base64_add(struct strbuf *sb, const void *data, size_t len);

/* Decode text (white space allowed) and append to out. ERR_INVALID when it is
 * not base64; ERR_TOO_LARGE when out's maximum is passed. */
enum err_code base64_decode_to(struct strbuf *out, const char *text, size_t len,
    struct err *e);

#endif
