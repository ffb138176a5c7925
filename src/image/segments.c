/*
 * The containers of picture files: segments of a JPEG, chunks of a PNG, of a
 * WebP, blocks of a GIF.
 *
 * Metadata is read, added and taken away at this level, so that the encoded
 * pixels of a provider's picture are never touched.  The walkers also tell
 * whether a file reaches its own end: the decoders are forgiving there and
 * would fill the missing part with grey.
 *
 * The rule: no length found in a file is used before it was held against
 * what is left of the buffer.
 */
#include "image.h"

#include <zlib.h>

#define PNG_SIGNATURE_BYTES 8
#define PNG_CHUNK_OVERHEAD 12	/* length, type, CRC */
#define RIFF_HEADER_BYTES 12
#define GIF_HEADER_BYTES 13
#define GIF_FRAME_BYTES 10	/* image descriptor with its introducer */

#define JPEG_SOI 0xd8
#define JPEG_EOI 0xd9
#define JPEG_SOS 0xda
#define JPEG_APP0 0xe0
#define JPEG_APP1 0xe1

static size_t
big16(const unsigned char *p)
{
	return (size_t)p[0] << 8 | p[1];
}

static size_t
big32(const unsigned char *p)
{
	return big16(p) << 16 | big16(p + 2);
}

static size_t
little32(const unsigned char *p)
{
	return (size_t)p[3] << 24 | (size_t)p[2] << 16 | (size_t)p[1] << 8 |
	    p[0];
}

static const unsigned char *
bytes_of(const struct strbuf *file)
{
	return (const unsigned char *)file->buf;
}

bool
jpeg_next(const struct strbuf *file, size_t *at, struct jpeg_segment *out)
{
	const unsigned char *p = bytes_of(file);
	size_t start = *at, body;

	if (start == 0)
		start = 2;		/* behind SOI */
	/* Any number of 0xff may fill the gap before a marker. */
	while (start + 2 <= file->len && p[start] == 0xff &&
	    p[start + 1] == 0xff)
		start++;
	if (start + 4 > file->len || p[start] != 0xff)
		return false;
	memset(out, 0, sizeof(*out));
	out->marker = p[start + 1];
	out->start = p + start;
	if (out->marker == JPEG_EOI)
		return false;
	body = big16(p + start + 2);
	if (body < 2 || body > file->len - start - 2)
		return false;
	out->body = p + start + 4;
	out->body_len = body - 2;
	out->len = out->marker == JPEG_SOS ? file->len - start : body + 2;
	*at = start + out->len;
	return true;
}

/* From the entropy-coded data behind SOS on to EOI, over later scans. */
static bool
jpeg_reaches_end(const unsigned char *p, size_t len)
{
	size_t i = 0, body;

	while (i + 2 <= len) {
		if (p[i] != 0xff || p[i + 1] == 0x00 || p[i + 1] == 0xff ||
		    (p[i + 1] >= 0xd0 && p[i + 1] <= 0xd7)) {
			i++;
			continue;
		}
		if (p[i + 1] == JPEG_EOI)
			return true;
		if (i + 4 > len)
			return false;
		body = big16(p + i + 2);
		if (body < 2 || body > len - i - 2)
			return false;
		i += body + 2;
	}
	return false;
}

static bool
jpeg_is_whole(const struct strbuf *file)
{
	struct jpeg_segment s;
	size_t at = 0;

	while (jpeg_next(file, &at, &s))
		if (s.marker == JPEG_SOS)
			return jpeg_reaches_end(s.body + s.body_len,
			    s.len - 4 - s.body_len);
	return false;
}

bool
png_next(const struct strbuf *file, size_t *at, struct png_chunk *out)
{
	const unsigned char *p = bytes_of(file);
	size_t start = *at, body;

	if (start == 0)
		start = PNG_SIGNATURE_BYTES;
	if (start > file->len || file->len - start < PNG_CHUNK_OVERHEAD)
		return false;
	body = big32(p + start);
	if (body > file->len - start - PNG_CHUNK_OVERHEAD)
		return false;
	memset(out, 0, sizeof(*out));
	memcpy(out->type, p + start + 4, 4);
	out->start = p + start;
	out->body = p + start + 8;
	out->body_len = body;
	out->len = body + PNG_CHUNK_OVERHEAD;
	*at = start + out->len;
	return true;
}

static bool
png_is_whole(const struct strbuf *file)
{
	struct png_chunk c;
	size_t at = 0;

	while (png_next(file, &at, &c))
		if (memcmp(c.type, "IEND", 4) == 0)
			return true;
	return false;
}

const unsigned char *
webp_find(const struct strbuf *file, const char *fourcc, size_t *out_len)
{
	const unsigned char *p = bytes_of(file);
	size_t at = RIFF_HEADER_BYTES, body;

	while (at < file->len && file->len - at >= 8) {
		body = little32(p + at + 4);
		if (body > file->len - at - 8)
			return NULL;
		if (memcmp(p + at, fourcc, 4) == 0) {
			*out_len = body;
			return p + at + 8;
		}
		at += 8 + body + (body & 1);
	}
	return NULL;
}

static bool
webp_is_whole(const struct strbuf *file)
{
	return file->len >= RIFF_HEADER_BYTES &&
	    little32(bytes_of(file) + 4) <= file->len - 8;
}

/* Over a chain of data blocks that starts at *at; false when it has no end. */
static bool
gif_skip_blocks(const struct strbuf *file, size_t *at)
{
	const unsigned char *p = bytes_of(file);
	size_t i = *at, n;

	while (i < file->len) {
		n = p[i];
		i += 1 + n;
		if (n == 0) {
			*at = i;
			return true;
		}
	}
	return false;
}

/* Only the first frame is ever decoded; so only it must be whole. */
static bool
gif_is_whole(const struct strbuf *file)
{
	const unsigned char *p = bytes_of(file);
	size_t at = GIF_HEADER_BYTES;

	if (file->len < GIF_HEADER_BYTES)
		return false;
	if ((p[10] & 0x80) != 0)
		at += (size_t)3 << ((p[10] & 7) + 1);
	while (at < file->len) {
		if (p[at] == '!') {
			at += 2;
			if (!gif_skip_blocks(file, &at))
				return false;
			continue;
		}
		if (p[at] != ',' || file->len - at < GIF_FRAME_BYTES)
			return false;
		if ((p[at + 9] & 0x80) != 0)
			at += (size_t)3 << ((p[at + 9] & 7) + 1);
		at += GIF_FRAME_BYTES + 1;	/* and the code size */
		return gif_skip_blocks(file, &at);
	}
	return false;
}

bool
picture_is_whole(const struct picture *p)
{
	switch (p->type) {
	case IMAGE_PNG:
		return png_is_whole(&p->bytes);
	case IMAGE_JPEG:
		return jpeg_is_whole(&p->bytes);
	case IMAGE_WEBP:
		return webp_is_whole(&p->bytes);
	case IMAGE_GIF:
		return gif_is_whole(&p->bytes);
	case IMAGE_NONE:
		break;
	}
	return false;
}

static void
add_big32(struct strbuf *out, uint32_t v)
{
	unsigned char b[4] = { (unsigned char)(v >> 24),
	    (unsigned char)(v >> 16), (unsigned char)(v >> 8),
	    (unsigned char)v };

	strbuf_add(out, b, sizeof(b));
}

void
png_add_chunk(struct strbuf *out, const char *type, const void *body,
    size_t len)
{
	uLong crc;

	crc = crc32(0, (const Bytef *)type, 4);
	crc = crc32(crc, body, (uInt)len);
	add_big32(out, (uint32_t)len);
	strbuf_add(out, type, 4);
	strbuf_add(out, body, len);
	add_big32(out, (uint32_t)crc);
}

static bool
is_leading(const struct jpeg_segment *s)
{
	return s->marker == JPEG_APP0 ||
	    (s->marker == JPEG_APP1 && s->body_len >= 6 &&
	    memcmp(s->body, "Exif\0", 6) == 0);
}

void
jpeg_rewrite(const struct strbuf *file,
    bool (*drop)(const struct jpeg_segment *s), const struct strbuf *insert,
    struct strbuf *out)
{
	struct jpeg_segment s;
	bool inserted = false;
	size_t at = 0;

	strbuf_add(out, file->buf, 2);
	while (jpeg_next(file, &at, &s)) {
		if (!inserted && !is_leading(&s)) {
			strbuf_add(out, insert->buf, insert->len);
			inserted = true;
		}
		if (!drop(&s))
			strbuf_add(out, s.start, s.len);
	}
}
