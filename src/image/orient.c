/*
 * Which way up: EXIF orientation, read and applied.
 *
 * A camera stores what its sensor saw and notes how it was held.  Readers
 * that ignore the note show people lying on their side, so pictures shown to
 * a model are turned for real and the note is dropped with all metadata.
 *
 * The block of EXIF is found by our own walkers in JPEG (APP1), PNG (eXIf)
 * and WebP (EXIF); libexif reads it.
 */
#include "image.h"

#include <libexif/exif-data.h>

#define EXIF_MAX_BYTES (256 * 1024)
#define JPEG_APP1 0xe1

static const char exif_prefix[6] = { 'E', 'x', 'i', 'f', 0, 0 };

static bool
has_prefix(const unsigned char *body, size_t len)
{
	return len >= sizeof(exif_prefix) &&
	    memcmp(body, exif_prefix, sizeof(exif_prefix)) == 0;
}

static const unsigned char *
find_exif(const struct picture *p, size_t *out_len)
{
	struct jpeg_segment s;
	struct png_chunk c;
	size_t at = 0;

	switch (p->type) {
	case IMAGE_JPEG:
		while (jpeg_next(&p->bytes, &at, &s)) {
			if (s.marker == JPEG_APP1 &&
			    has_prefix(s.body, s.body_len)) {
				*out_len = s.body_len;
				return s.body;
			}
		}
		break;
	case IMAGE_PNG:
		while (png_next(&p->bytes, &at, &c)) {
			if (memcmp(c.type, "eXIf", 4) == 0) {
				*out_len = c.body_len;
				return c.body;
			}
		}
		break;
	case IMAGE_WEBP:
		return webp_find(&p->bytes, "EXIF", out_len);
	case IMAGE_GIF:
	case IMAGE_NONE:
		break;
	}
	return NULL;
}

int
orientation_read(const struct picture *p)
{
	struct strbuf block = STRBUF_INIT(EXIF_MAX_BYTES);
	const unsigned char *body;
	ExifData *data = NULL;
	ExifEntry *entry;
	int value = 1;
	size_t len = 0;

	body = find_exif(p, &len);
	if (body == NULL)
		goto out;
	if (!has_prefix(body, len))
		strbuf_add(&block, exif_prefix, sizeof(exif_prefix));
	strbuf_add(&block, body, len);
	if (strbuf_overflowed(&block))
		goto out;
	data = exif_data_new_from_data((const unsigned char *)block.buf,
	    (unsigned)block.len);
	if (data == NULL)
		goto out;
	entry = exif_content_get_entry(data->ifd[EXIF_IFD_0],
	    EXIF_TAG_ORIENTATION);
	if (entry != NULL && entry->format == EXIF_FORMAT_SHORT &&
	    entry->components >= 1 && entry->size >= 2)
		value = exif_get_short(entry->data,
		    exif_data_get_byte_order(data));
	if (value < 1 || value > 8)
		value = 1;
out:
	if (data != NULL)
		exif_data_unref(data);
	strbuf_release(&block);
	return value;
}

/*
 * Every orientation is a swap of the axes or not, and each stored axis read
 * forwards or backwards.
 */
static const struct {
	bool swap;
	bool back_x;	/* the stored column runs backwards */
	bool back_y;	/* the stored row runs backwards */
} turns[9] = {
	[2] = { false, true, false },
	[3] = { false, true, true },
	[4] = { false, false, true },
	[5] = { true, false, false },
	[6] = { true, false, true },
	[7] = { true, true, true },
	[8] = { true, true, false },
};

enum err_code
orientation_apply(gdImagePtr *im, int orientation, struct err *e)
{
	gdImagePtr src = *im, dst;
	int w = gdImageSX(src), h = gdImageSY(src), x, y, sx, sy;
	bool swap;

	if (orientation < 2 || orientation > 8)
		return ERR_OK;
	swap = turns[orientation].swap;
	dst = gdImageCreateTrueColor(swap ? h : w, swap ? w : h);
	if (dst == NULL)
		return err_set(e, ERR_SYSTEM, "no memory to turn the picture");
	for (y = 0; y < gdImageSY(dst); y++) {
		for (x = 0; x < gdImageSX(dst); x++) {
			sx = swap ? y : x;
			sy = swap ? x : y;
			if (turns[orientation].back_x)
				sx = w - 1 - sx;
			if (turns[orientation].back_y)
				sy = h - 1 - sy;
			gdImageTrueColorPixel(dst, x, y) =
			    gdImageTrueColorPixel(src, sx, sy);
		}
	}
	gdImageDestroy(src);
	*im = dst;
	return ERR_OK;
}
