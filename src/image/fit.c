/*
 * Smaller pictures for models to look at, and encoding.
 *
 * Scaling down averages every source pixel by the area it covers, weighted
 * by its opacity; that neither rings nor aliases, which matters more to a
 * judge of "noise and grain" than the last bit of crispness.
 */
#include "image.h"

#define PNG_LEVEL 6
#define JPEG_COM 0xfe

static gdImagePtr
blank(int w, int h, bool opaque)
{
	gdImagePtr im;

	im = gdImageCreateTrueColor(w, h);
	if (im == NULL)
		return NULL;
	if (opaque) {
		gdImageFilledRectangle(im, 0, 0, w - 1, h - 1,
		    gdTrueColor(255, 255, 255));
		gdImageAlphaBlending(im, gdEffectAlphaBlend);
	} else {
		gdImageAlphaBlending(im, gdEffectReplace);
		gdImageSaveAlpha(im, 1);
	}
	return im;
}

static int
scaled(int side, int64_t num, int64_t den)
{
	int64_t n = ((int64_t)side * num + den / 2) / den;

	return n < 1 ? 1 : (int)n;
}

enum err_code
fit_scale(gdImagePtr im, int max_side, bool opaque, gdImagePtr *out,
    struct err *e)
{
	int w = gdImageSX(im), h = gdImageSY(im);
	int longer = w > h ? w : h;
	int nw = w, nh = h;
	gdImagePtr dst;

	if (longer > max_side) {
		nw = scaled(w, max_side, longer);
		nh = scaled(h, max_side, longer);
	}
	dst = blank(nw, nh, opaque);
	if (dst == NULL)
		return err_set(e, ERR_SYSTEM, "no memory for %d x %d pixels",
		    nw, nh);
	if (nw == w && nh == h)
		gdImageCopy(dst, im, 0, 0, 0, 0, w, h);
	else
		gdImageCopyResampled(dst, im, 0, 0, 0, 0, nw, nh, w, h);
	*out = dst;
	return ERR_OK;
}

/* libgd signs every JPEG with a comment. */
static bool
is_comment(const struct jpeg_segment *s)
{
	return s->marker == JPEG_COM;
}

enum err_code
fit_encode(gdImagePtr im, enum image_type type, int quality,
    struct strbuf *out, struct err *e)
{
	struct strbuf plain = STRBUF_INIT(IMAGE_MAX_FILE_BYTES);
	struct strbuf nothing = STRBUF_INIT(0);
	void *data;
	int size = 0;

	if (type == IMAGE_JPEG) {
		data = gdImageJpegPtr(im, &size, quality);
	} else {
		gdImageSaveAlpha(im, 1);
		data = gdImagePngPtrEx(im, &size, PNG_LEVEL);
	}
	if (data == NULL || size <= 0) {
		if (data != NULL)
			gdFree(data);
		return err_set(e, ERR_SYSTEM, "the picture cannot be encoded");
	}
	if (type == IMAGE_JPEG) {
		strbuf_add(&plain, data, (size_t)size);
		jpeg_rewrite(&plain, is_comment, &nothing, out);
	} else {
		strbuf_add(out, data, (size_t)size);
	}
	gdFree(data);
	strbuf_release(&plain);
	if (strbuf_overflowed(out) || out->len == 0)
		return err_set(e, ERR_SYSTEM,
		    "the encoded picture is too large");
	return ERR_OK;
}
