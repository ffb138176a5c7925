/*
 * SHA-256 and base64.
 *
 * Digests name requests, uploads and answers; two different things must not
 * share one by the way their parts are strung together, hence
 * digest_add_field().
 */
#include "digest.h"

#include <errno.h>
#include <unistd.h>

#define READ_BYTES (16 * 1024)
#define GROUP_BYTES 3		/* become 4 letters without padding */
#define ENCODE_BYTES (1024 * GROUP_BYTES)
#define DECODE_CHARS 4096
#define FIELD_NULL 0
#define FIELD_STRING 1

void
digest_init(struct digest *d)
{
	sha256_init(&d->ctx);
}

void
digest_add(struct digest *d, const void *data, size_t len)
{
	if (len > 0)
		sha256_update(&d->ctx, len, data);
}

void
digest_add_field(struct digest *d, const char *s)
{
	uint8_t head[9];
	uint64_t len;
	int i;

	len = s != NULL ? strlen(s) : 0;
	head[0] = s != NULL ? FIELD_STRING : FIELD_NULL;
	for (i = 0; i < 8; i++)
		head[1 + i] = (uint8_t)(len >> (8 * (7 - i)));
	digest_add(d, head, sizeof(head));
	digest_add(d, s, (size_t)len);
}

void
digest_hex(struct digest *d, char out[DIGEST_HEX_MAX])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t raw[SHA256_DIGEST_SIZE];
	size_t i;

	sha256_digest(&d->ctx, sizeof(raw), raw);
	for (i = 0; i < sizeof(raw); i++) {
		out[2 * i] = digits[raw[i] >> 4];
		out[2 * i + 1] = digits[raw[i] & 0x0f];
	}
	out[2 * sizeof(raw)] = '\0';
}

void
digest_buf_hex(const void *data, size_t len, char out[DIGEST_HEX_MAX])
{
	struct digest d;

	digest_init(&d);
	digest_add(&d, data, len);
	digest_hex(&d, out);
}

enum err_code
digest_fd_hex(int fd, char out[DIGEST_HEX_MAX], struct err *e)
{
	unsigned char chunk[READ_BYTES];
	struct digest d;
	off_t at = 0;
	ssize_t n;

	digest_init(&d);
	for (;;) {
		n = pread(fd, chunk, sizeof(chunk), at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set_errno(e, ERR_SYSTEM, errno,
			    "cannot read the file to hash");
		if (n == 0)
			break;
		digest_add(&d, chunk, (size_t)n);
		at += n;
	}
	digest_hex(&d, out);
	return ERR_OK;
}

void
base64_add(struct strbuf *sb, const void *data, size_t len)
{
	char text[BASE64_ENCODE_RAW_LENGTH(ENCODE_BYTES)];
	const uint8_t *p = data;
	size_t n;

	/* Chunks of whole groups: only the last one is padded. */
	for (; len > 0; len -= n, p += n) {
		n = len < ENCODE_BYTES ? len : ENCODE_BYTES;
		base64_encode_raw(text, n, p);
		strbuf_add(sb, text, BASE64_ENCODE_RAW_LENGTH(n));
	}
}

enum err_code
base64_decode_to(struct strbuf *out, const char *text, size_t len,
    struct err *e)
{
	struct base64_decode_ctx ctx;
	uint8_t raw[BASE64_DECODE_LENGTH(DECODE_CHARS)];
	size_t start = out->len;
	size_t n, made;

	base64_decode_init(&ctx);
	for (; len > 0; len -= n, text += n) {
		n = len < DECODE_CHARS ? len : DECODE_CHARS;
		made = sizeof(raw);
		if (!base64_decode_update(&ctx, &made, raw, n, text)) {
			strbuf_truncate(out, start);
			return err_set(e, ERR_INVALID, "not base64 text");
		}
		strbuf_add(out, raw, made);
	}
	if (!base64_decode_final(&ctx)) {
		strbuf_truncate(out, start);
		return err_set(e, ERR_INVALID, "base64 text ends too early");
	}
	if (strbuf_overflowed(out)) {
		strbuf_truncate(out, start);
		return err_set(e, ERR_TOO_LARGE,
		    "base64 data are over %zu bytes", out->max);
	}
	return ERR_OK;
}
