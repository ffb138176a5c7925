/*
 * Words in pictures.
 *
 * A bold sans-serif is asked of fontconfig by name, since where fonts lie is
 * a matter of the machine.  When there is none at all, libgd's largest bitmap
 * font is drawn small and enlarged: coarse, but it can be read.
 */
#include "draw.h"

#include <pthread.h>

#include "xalloc.h"

#define TYPEFACE "DejaVu Sans:bold"
#define PROBE_SIZE 100.0	/* points at which text is measured */
#define MIN_SIZE 6.0
#define MAX_BITMAP_CHARS 120

/*
 * fontconfig keeps its configuration until the process ends and has no caller
 * here that could free it: it is libgd's.  Leaks of ours stay reported.
 */
#ifdef __SANITIZE_ADDRESS__
const char *__lsan_default_suppressions(void);

const char *
__lsan_default_suppressions(void)
{
	return "leak:libfontconfig\n";
}
#endif

/* libgd's font cache has its lock, fontconfig's first use has not. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static char *
typeface(void)
{
	static char name[] = TYPEFACE;

	return name;
}

/* Width and height at PROBE_SIZE; false without a font. */
static bool
measure(char *text, int *w, int *h, int *left, int *base)
{
	int b[8] = { 0 };

	gdFTUseFontConfig(1);
	if (gdImageStringFT(NULL, b, 0, typeface(), PROBE_SIZE, 0, 0, 0,
	    text) != NULL)
		return false;
	*w = b[2] - b[0];
	*h = b[1] - b[7];
	*left = b[0];
	*base = b[1];
	return *w > 0 && *h > 0;
}

static bool
draw_font(gdImagePtr im, char *text, int cx, int cy, int w, int h, int color,
    int shadow)
{
	int tw = 0, th = 0, left = 0, base = 0, x, y, off, b[8];
	double size;

	if (!measure(text, &tw, &th, &left, &base))
		return false;
	size = PROBE_SIZE * w / tw;
	if (size > PROBE_SIZE * h / th)
		size = PROBE_SIZE * h / th;
	if (size < MIN_SIZE)
		size = MIN_SIZE;
	x = cx - (int)((tw / 2.0 + left) * size / PROBE_SIZE);
	y = cy + (int)((th / 2.0 - base) * size / PROBE_SIZE);
	off = 1 + (int)(size / 24);
	gdImageStringFT(im, b, shadow, typeface(), size, 0, x + off, y + off,
	    text);
	return gdImageStringFT(im, b, color, typeface(), size, 0, x, y,
	    text) == NULL;
}

/* The bitmap font knows Latin-1 alone; other letters become a dot. */
static void
to_bitmap_text(const char *text, char *out)
{
	size_t n = 0;

	for (; *text != '\0' && n < MAX_BITMAP_CHARS; text++) {
		if (((unsigned char)*text & 0xc0) == 0x80)
			continue;
		out[n++] = (unsigned char)*text < 0x80 ? *text : '.';
	}
	out[n] = '\0';
}

static void
draw_bitmap(gdImagePtr im, const char *text, int cx, int cy, int w, int h,
    int color)
{
	char plain[MAX_BITMAP_CHARS + 1];
	gdFontPtr font = gdFontGetGiant();
	int tw, th = font->h, dw, dh;
	gdImagePtr small;

	to_bitmap_text(text, plain);
	tw = font->w * (int)strlen(plain);
	if (tw == 0)
		return;
	small = gdImageCreate(tw, th);
	if (small == NULL)
		return;
	gdImageColorTransparent(small, gdImageColorAllocate(small, 0, 0, 0));
	gdImageString(small, font, 0, 0, (unsigned char *)plain,
	    gdImageColorAllocate(small, gdImageRed(im, color),
	    gdImageGreen(im, color), gdImageBlue(im, color)));
	dw = w;
	dh = (int)((int64_t)th * w / tw);
	if (dh > h) {
		dh = h;
		dw = (int)((int64_t)tw * h / th);
	}
	gdImageCopyResized(im, small, cx - dw / 2, cy - dh / 2, 0, 0, dw, dh,
	    tw, th);
	gdImageDestroy(small);
}

void
letters_draw(gdImagePtr im, const char *text, int cx, int cy, int w, int h,
    int color, int shadow)
{
	char *copy;
	bool done;

	if (text[0] == '\0' || w <= 0 || h <= 0)
		return;
	copy = xstrdup(text);	/* libgd's parameter is not const */
	pthread_mutex_lock(&lock);
	done = draw_font(im, copy, cx, cy, w, h, color, shadow);
	pthread_mutex_unlock(&lock);
	if (!done)
		draw_bitmap(im, copy, cx, cy, w, h, color);
	free(copy);
}
