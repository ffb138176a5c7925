/*
 * What a picture is and how large, from its first bytes.
 *
 * Uploads are named by what they are, not by what the client calls them, and
 * nothing is decoded here: these bytes come from strangers and decoding is
 * for churns-image.  All reading goes through struct source, which hands out
 * bytes at an offset or says no; no length found in a file is trusted
 * further than that.
 */
#include "file.h"

#include <errno.h>
#include <unistd.h>

#include "xalloc.h"

#define SNIFF_BYTES 16
#define HEAD_BYTES 30		/* the longest fixed header: WebP extended */
#define SEGMENTS_MAX 4096	/* of a JPEG before its frame header */

static const struct {
	const char *mime;
	const char *extension;
} types[] = {
	[IMAGE_NONE] = { NULL, NULL },
	[IMAGE_PNG] = { "image/png", "png" },
	[IMAGE_JPEG] = { "image/jpeg", "jpg" },
	[IMAGE_WEBP] = { "image/webp", "webp" },
	[IMAGE_GIF] = { "image/gif", "gif" },
};

struct source {
	const unsigned char *data;	/* NULL: read from fd */
	size_t len;
	int fd;
};

/* Up to n bytes at offset at; how many there were. */
static size_t
read_at(const struct source *s, uint64_t at, unsigned char *out, size_t n)
{
	size_t done = 0;
	ssize_t got;

	if (s->data != NULL) {
		if (at >= s->len)
			return 0;
		if (n > s->len - at)
			n = (size_t)(s->len - at);
		memcpy(out, s->data + at, n);
		return n;
	}
	while (done < n) {
		got = pread(s->fd, out + done, n - done,
		    (off_t)(at + done));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		done += (size_t)got;
	}
	return done;
}

static int
big16(const unsigned char *p)
{
	return p[0] << 8 | p[1];
}

static int
little16(const unsigned char *p)
{
	return p[1] << 8 | p[0];
}

static int
little24(const unsigned char *p)
{
	return p[2] << 16 | p[1] << 8 | p[0];
}

static bool
png_size(const unsigned char *h, size_t n, int *w, int *ht)
{
	/* A side beyond 31 bits is not allowed in a PNG. */
	if (n < 24 || memcmp(h + 8, "\0\0\0\rIHDR", 8) != 0 ||
	    h[16] > 0x7f || h[20] > 0x7f)
		return false;
	*w = big16(h + 16) << 16 | big16(h + 18);
	*ht = big16(h + 20) << 16 | big16(h + 22);
	return true;
}

static bool
gif_size(const unsigned char *h, size_t n, int *w, int *ht)
{
	if (n < 10)
		return false;
	*w = little16(h + 6);
	*ht = little16(h + 8);
	return true;
}

static bool
webp_size(const unsigned char *h, size_t n, int *w, int *ht)
{
	if (n >= 30 && memcmp(h + 12, "VP8 ", 4) == 0) {
		/* Only a key frame has a start code and a size. */
		if ((h[20] & 1) != 0 || memcmp(h + 23, "\x9d\x01\x2a", 3) != 0)
			return false;
		*w = little16(h + 26) & 0x3fff;
		*ht = little16(h + 28) & 0x3fff;
		return true;
	}
	if (n >= 25 && memcmp(h + 12, "VP8L", 4) == 0) {
		if (h[20] != 0x2f)
			return false;
		*w = (little16(h + 21) & 0x3fff) + 1;
		*ht = (little24(h + 22) >> 6 & 0x3fff) + 1;
		return true;
	}
	if (n >= 30 && memcmp(h + 12, "VP8X", 4) == 0) {
		*w = little24(h + 24) + 1;
		*ht = little24(h + 27) + 1;
		return true;
	}
	return false;
}

/* SOF0 to SOF15 without the three codes that mean something else there. */
static bool
is_frame_header(unsigned marker)
{
	return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 &&
	    marker != 0xc8 && marker != 0xcc;
}

/* From segment to segment until one is a frame header. */
static bool
jpeg_size(const struct source *s, int *w, int *ht)
{
	unsigned char h[9];
	uint64_t at = 2;
	int segments;
	size_t n;

	for (segments = 0; segments < SEGMENTS_MAX; segments++) {
		n = read_at(s, at, h, sizeof(h));
		if (n < 4 || h[0] != 0xff)
			return false;
		if (h[1] == 0xff) {		/* filling */
			at++;
			continue;
		}
		if (h[1] == 0x01 || (h[1] >= 0xd0 && h[1] <= 0xd7)) {
			at += 2;		/* markers without a segment */
			continue;
		}
		if (is_frame_header(h[1])) {
			if (n < sizeof(h))
				return false;
			*ht = big16(h + 5);
			*w = big16(h + 7);
			return true;
		}
		/* Behind these come pixels or nothing. */
		if (h[1] == 0xda || h[1] == 0xd9 || big16(h + 2) < 2)
			return false;
		at += 2 + (uint64_t)big16(h + 2);
	}
	return false;
}

static bool
size_of(const struct source *s, int *out_w, int *out_h)
{
	unsigned char head[HEAD_BYTES] = { 0 };
	bool ok = false;
	int w = 0, h = 0;
	size_t n;

	n = read_at(s, 0, head, sizeof(head));
	switch (image_sniff(head, n)) {
	case IMAGE_NONE:
		break;
	case IMAGE_PNG:
		ok = png_size(head, n, &w, &h);
		break;
	case IMAGE_JPEG:
		ok = jpeg_size(s, &w, &h);
		break;
	case IMAGE_WEBP:
		ok = webp_size(head, n, &w, &h);
		break;
	case IMAGE_GIF:
		ok = gif_size(head, n, &w, &h);
		break;
	}
	if (!ok || w <= 0 || h <= 0)
		return false;
	*out_w = w;
	*out_h = h;
	return true;
}

enum image_type
image_sniff(const void *data, size_t len)
{
	const unsigned char *p = data;

	if (len >= 8 && memcmp(p, "\x89PNG\r\n\x1a\n", 8) == 0)
		return IMAGE_PNG;
	if (len >= 3 && memcmp(p, "\xff\xd8\xff", 3) == 0)
		return IMAGE_JPEG;
	if (len >= 12 && memcmp(p, "RIFF", 4) == 0 &&
	    memcmp(p + 8, "WEBP", 4) == 0)
		return IMAGE_WEBP;
	if (len >= 6 && (memcmp(p, "GIF87a", 6) == 0 ||
	    memcmp(p, "GIF89a", 6) == 0))
		return IMAGE_GIF;
	return IMAGE_NONE;
}

enum image_type
image_sniff_fd(int fd)
{
	struct source s = { NULL, 0, fd };
	unsigned char head[SNIFF_BYTES] = { 0 };
	size_t n;

	n = read_at(&s, 0, head, sizeof(head));
	return image_sniff(head, n);
}

const char *
image_mime(enum image_type t)
{
	return (unsigned)t < ARRAY_LEN(types) ? types[t].mime : NULL;
}

const char *
image_extension(enum image_type t)
{
	return (unsigned)t < ARRAY_LEN(types) ? types[t].extension : NULL;
}

bool
image_dimensions(const void *data, size_t len, int *out_w, int *out_h)
{
	struct source s = { data, len, -1 };

	if (data == NULL)
		return false;
	return size_of(&s, out_w, out_h);
}

bool
image_dimensions_fd(int fd, int *out_w, int *out_h)
{
	struct source s = { NULL, 0, fd };

	return size_of(&s, out_w, out_h);
}
