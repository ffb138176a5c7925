/*
 * A glance at an input picture: its most frequent colours and how bright it
 * is.  That is enough for a description a person would nod at.
 *
 * The picture comes from whoever called; a simulator on loopback decodes it
 * in its own process, with the size limited before.
 */
#include "sim.h"

#include <gd.h>

#include "file.h"
#include "xalloc.h"

#define GLANCE_SIDE 64
#define BUCKETS 512		/* 8 levels of each channel */

struct bucket {
	long n, r, g, b;
};

static gdImagePtr
decode(const struct strbuf *file)
{
	int size = (int)file->len;

	switch (image_sniff(file->buf, file->len)) {
	case IMAGE_PNG:
		return gdImageCreateFromPngPtr(size, file->buf);
	case IMAGE_JPEG:
		return gdImageCreateFromJpegPtr(size, file->buf);
	case IMAGE_WEBP:
		return gdImageCreateFromWebpPtr(size, file->buf);
	case IMAGE_GIF:
		return gdImageCreateFromGifPtr(size, file->buf);
	case IMAGE_NONE:
		break;
	}
	return NULL;
}

struct gdImageStruct *
look_decode(const struct strbuf *file)
{
	int w = 0, h = 0;
	gdImagePtr im;

	if (!image_dimensions(file->buf, file->len, &w, &h) ||
	    (int64_t)w * h > SIM_MAX_PIXELS)
		return NULL;
	im = decode(file);
	if (im == NULL)
		return NULL;
	if (!gdImageTrueColor(im) && !gdImagePaletteToTrueColor(im)) {
		gdImageDestroy(im);
		return NULL;
	}
	return im;
}

static int
by_count(const void *a, const void *b)
{
	const struct bucket *x = a, *y = b;

	if (x->n != y->n)
		return x->n < y->n ? 1 : -1;
	return 0;
}

static long
count_buckets(gdImagePtr im, struct bucket *buckets, double *light)
{
	int x, y, c, r, g, b;
	struct bucket *k;
	long total = 0;

	for (y = 0; y < gdImageSY(im); y++) {
		for (x = 0; x < gdImageSX(im); x++) {
			c = gdImageTrueColorPixel(im, x, y);
			if (gdTrueColorGetAlpha(c) > gdAlphaMax / 2)
				continue;
			r = gdTrueColorGetRed(c);
			g = gdTrueColorGetGreen(c);
			b = gdTrueColorGetBlue(c);
			k = &buckets[(r >> 5) << 6 | (g >> 5) << 3 | b >> 5];
			k->n++;
			k->r += r;
			k->g += g;
			k->b += b;
			*light += (0.299 * r + 0.587 * g + 0.114 * b) / 255;
			total++;
		}
	}
	return total;
}

/* Names, not codes, must differ: "cream, cream and cream" tells nothing. */
static bool
name_is_new(const struct look *l, const char *name)
{
	int i;

	for (i = 0; i < l->n; i++)
		if (strcmp(l->names[i], name) == 0)
			return false;
	return true;
}

static void
take_colors(const struct bucket *buckets, struct look *out)
{
	const char *name;
	int i, r, g, b;

	for (i = 0; i < BUCKETS && buckets[i].n > 0 && out->n < LOOK_MAX_COLORS;
	    i++) {
		r = (int)(buckets[i].r / buckets[i].n);
		g = (int)(buckets[i].g / buckets[i].n);
		b = (int)(buckets[i].b / buckets[i].n);
		name = lexicon_color_name(r, g, b);
		if (!name_is_new(out, name))
			continue;
		out->names[out->n] = name;
		snprintf(out->hexes[out->n], sizeof(out->hexes[0]),
		    "#%02X%02X%02X", (unsigned)r & 255, (unsigned)g & 255,
		    (unsigned)b & 255);
		out->n++;
	}
}

bool
look_at(const struct strbuf *file, struct look *out)
{
	struct bucket *buckets = NULL;
	gdImagePtr im, small;
	long total;

	memset(out, 0, sizeof(*out));
	im = look_decode(file);
	if (im == NULL)
		return false;
	out->width = gdImageSX(im);
	out->height = gdImageSY(im);
	small = gdImageCreateTrueColor(GLANCE_SIDE, GLANCE_SIDE);
	if (small != NULL) {
		gdImageAlphaBlending(small, gdEffectReplace);
		gdImageCopyResized(small, im, 0, 0, 0, 0, GLANCE_SIDE,
		    GLANCE_SIDE, out->width, out->height);
		buckets = xcalloc(BUCKETS, sizeof(*buckets));
		total = count_buckets(small, buckets, &out->brightness);
		if (total > 0)
			out->brightness /= (double)total;
		qsort(buckets, BUCKETS, sizeof(*buckets), by_count);
		take_colors(buckets, out);
		free(buckets);
		gdImageDestroy(small);
	}
	gdImageDestroy(im);
	return out->n > 0;
}
