/*
 * The pictures of a simulated image model.
 *
 * A picture is a gradient of the colours that were asked for, a dish on a
 * plate (or, for an edit, the input picture itself in the middle and a logo
 * small in a corner), the words that were to be rendered, and a mark that
 * nobody can miss: SIMULATED.
 *
 * Hundreds may be asked for at once on a small machine, so all of them are
 * palette pictures, one byte a pixel: a plain generation from the start, in a
 * ramp of colours whose bands deflate quickly; an edit by quantising at the
 * end.
 */
#include "draw.h"

#include <math.h>

#include "xalloc.h"

#define RAMP 150		/* palette entries of the background */
#define DISH 40			/* of the dish */
#define PLATE 16		/* of the plate */
#define PNG_LEVEL 1
#define MAX_LINES 4
#define LINE_CHARS 24		/* a longer text is broken */

struct rgb {
	int r, g, b;
};

struct canvas {
	gdImagePtr im;
	int w, h;
	struct rgb colors[3];
	struct rgb food;
	uint64_t seed;
	int ramp[RAMP];		/* palette indexes */
	int dish[DISH];
	int plate[PLATE];
};

/* --- colours ----------------------------------------------------------- */

static struct rgb
from_hex(const char *hex)
{
	long v = strtol(hex + 1, NULL, 16);
	struct rgb c = { (int)(v >> 16 & 255), (int)(v >> 8 & 255),
	    (int)(v & 255) };

	return c;
}

static struct rgb
blend(struct rgb a, struct rgb b, double t)
{
	struct rgb c = { (int)lround(a.r + (b.r - a.r) * t),
	    (int)lround(a.g + (b.g - a.g) * t),
	    (int)lround(a.b + (b.b - a.b) * t) };

	return c;
}

static double
light_of(struct rgb c)
{
	return (0.299 * c.r + 0.587 * c.g + 0.114 * c.b) / 255;
}

static struct rgb
from_hue(double hue, double light)
{
	double k = fmod(hue, 360) / 60;
	struct rgb pure = {
		(int)(255 * fmin(1, fmax(0, fabs(k - 3) - 1))),
		(int)(255 * fmin(1, fmax(0, 2 - fabs(k - 2)))),
		(int)(255 * fmin(1, fmax(0, 2 - fabs(k - 4)))),
	};
	struct rgb paper = { 245, 238, 226 };

	return blend(pure, paper, light);
}

/* What was asked for; what is missing comes from the food or the hash. */
static void
choose_colors(struct canvas *c, const struct facts *f)
{
	struct rgb cream = { 250, 243, 230 }, night = { 38, 32, 40 };
	int i;

	c->food = f->food != NULL ? from_hex(f->food->hex) :
	    from_hue((double)(c->seed % 360), 0.35);
	for (i = 0; i < 3 && i < f->n_hexes; i++)
		c->colors[i] = from_hex(f->hexes[i]);
	if (i == 0)
		c->colors[i++] = blend(c->food, cream, 0.45);
	if (i == 1) {
		c->colors[1] = light_of(c->colors[0]) > 0.5 ?
		    blend(c->colors[0], night, 0.35) :
		    blend(c->colors[0], cream, 0.55);
		i++;
	}
	if (i == 2)
		c->colors[2] = blend(c->colors[1], cream, 0.5);
}

static int
allocate(gdImagePtr im, struct rgb c)
{
	return gdImageColorResolve(im, c.r, c.g, c.b);
}

static void
allocate_ramps(struct canvas *c)
{
	struct rgb white = { 252, 250, 246 }, shade = { 196, 190, 184 };
	struct rgb dark = { 40, 22, 14 };
	double t;
	int i;

	for (i = 0; i < RAMP; i++) {
		t = 2.0 * i / (RAMP - 1);
		c->ramp[i] = allocate(c->im, t <= 1 ? blend(c->colors[0],
		    c->colors[1], t) : blend(c->colors[1], c->colors[2],
		    t - 1));
	}
	for (i = 0; i < DISH; i++) {
		t = (double)i / (DISH - 1);
		c->dish[i] = allocate(c->im, t < 0.5 ? blend(blend(c->food,
		    dark, 0.45), c->food, 2 * t) : blend(c->food, white,
		    t - 0.5));
	}
	for (i = 0; i < PLATE; i++)
		c->plate[i] = allocate(c->im, blend(shade, white,
		    (double)i / (PLATE - 1)));
}

/* --- shapes ------------------------------------------------------------ */

static void
draw_gradient(struct canvas *c)
{
	double turn = (double)(c->seed % 64) / 64 * M_PI / 2;
	double dx = sin(turn) / c->w, dy = cos(turn) / c->h;
	double top = sin(turn) + cos(turn);
	int x, y, step = (int)(dx / top * RAMP * 65536), at;
	unsigned char *row;

	for (y = 0; y < c->h; y++) {
		row = c->im->pixels[y];
		at = (int)(y * dy / top * RAMP * 65536);
		for (x = 0; x < c->w; x++, at += step)
			row[x] = (unsigned char)c->ramp[at >> 16 < RAMP ?
			    at >> 16 : RAMP - 1];
	}
}

/* The ground under the plate, a few steps darker in the ramp's own order. */
static void
draw_shadow(struct canvas *c, int cx, int cy, int r)
{
	struct rgb black = { 12, 10, 12 };
	int i, index, x, y, w;

	index = allocate(c->im, blend(c->colors[1], black, 0.55));
	for (y = -r; y <= r; y++) {
		if (cy + y < 0 || cy + y >= c->h)
			continue;
		w = (int)sqrt((double)r * r - (double)y * y);
		for (i = -w; i <= w; i++) {
			x = cx + i;
			/* A coarse screen fades it out towards its edge. */
			if (x >= 0 && x < c->w && i * i + y * y < r * r *
			    (80 + (x * 7 + y * 5 + (x ^ y)) % 20) / 100)
				c->im->pixels[cy + y][x] =
				    (unsigned char)index;
		}
	}
}

static void
draw_disc(struct canvas *c, int cx, int cy, int r, const int *ramp, int n,
    double texture)
{
	double inv = 1.0 / r, dx, dy, d, t, flute;
	int x, y;

	for (y = cy - r; y <= cy + r; y++) {
		for (x = cx - r; x <= cx + r; x++) {
			if (x < 0 || y < 0 || x >= c->w || y >= c->h)
				continue;
			dx = (x - cx) * inv;
			dy = (y - cy) * inv;
			d = dx * dx + dy * dy;
			if (d > 1)
				continue;
			/* Only the rim is fluted, and only there it costs. */
			flute = texture > 0 && d > 0.6 ? texture *
			    sin(40 * atan2(dy, dx)) : 0;
			t = 0.62 - 0.30 * (dx + dy) * d - 0.28 * d * d * d *
			    (1 - flute);
			t = t < 0 ? 0 : t > 1 ? 1 : t;
			c->im->pixels[y][x] =
			    (unsigned char)ramp[(int)(t * (n - 1))];
		}
	}
}

static void
draw_dish(struct canvas *c)
{
	int side = c->w < c->h ? c->w : c->h, r = side / 3;
	int cx = c->w / 2 + (int)(c->seed >> 8 & 63) * side / 640 - side / 20;
	int cy = c->h * 58 / 100;

	draw_shadow(c, cx + r / 12, cy + r / 9, r);
	draw_disc(c, cx, cy, r, c->plate, PLATE, 0);
	draw_disc(c, cx, cy, r * 78 / 100, c->plate + 2, PLATE - 2, 0);
	draw_disc(c, cx, cy, r * 62 / 100, c->dish, DISH - 12, 0.5);
	draw_disc(c, cx, cy, r * 53 / 100, c->dish + 6, DISH - 6, 0);
}

/* --- inputs of an edit ------------------------------------------------- */

/* Averaging every source pixel is dear and shows only when a picture gets
 * much smaller. */
static void
place_input(struct canvas *c, gdImagePtr src, int cx, int cy, int max_w,
    int max_h)
{
	gdImagePtr fast;
	int w = max_w, h = (int)((int64_t)gdImageSY(src) * max_w /
	    gdImageSX(src));

	if (h > max_h) {
		h = max_h;
		w = (int)((int64_t)gdImageSX(src) * max_h / gdImageSY(src));
	}
	if (w < 1)
		w = 1;
	if (h < 1)
		h = 1;
	gdImageAlphaBlending(c->im, gdEffectAlphaBlend);
	if (gdImageSX(src) < 2 * w)
		gdImageSetInterpolationMethod(src, GD_BILINEAR_FIXED);
	fast = gdImageSX(src) < 2 * w ? gdImageScale(src, (unsigned)w,
	    (unsigned)h) : NULL;
	if (fast != NULL) {
		gdImageCopy(c->im, fast, cx - w / 2, cy - h / 2, 0, 0, w, h);
		gdImageDestroy(fast);
		return;
	}
	gdImageCopyResampled(c->im, src, cx - w / 2, cy - h / 2, 0, 0, w, h,
	    gdImageSX(src), gdImageSY(src));
}

static enum err_code
draw_inputs(struct canvas *c, const struct sim_request *r, struct err *e)
{
	int small = (c->w < c->h ? c->w : c->h) / 6;
	gdImagePtr src;
	int i;

	if (!gdImagePaletteToTrueColor(c->im))
		return err_set(e, ERR_SYSTEM, "no memory for a picture");
	for (i = 0; i < r->n_pictures && i < 2; i++) {
		src = look_decode(&r->pictures[i]);
		if (src == NULL)
			return err_set(e, ERR_INVALID, "Invalid image file or "
			    "mode for image %d, please check your image file.",
			    i + 1);
		if (i == 0)
			place_input(c, src, c->w / 2, c->h * 54 / 100,
			    c->w * 84 / 100, c->h * 72 / 100);
		else
			place_input(c, src, small / 2 + c->w / 40,
			    c->h - small / 2 - c->h / 40, small, small);
		gdImageDestroy(src);
	}
	return ERR_OK;
}

/* --- words ------------------------------------------------------------- */

/* The blank nearest to the middle of what one of n lines should hold. */
static char *
find_cut(char *p, int n)
{
	size_t len = strlen(p), want = len / (size_t)n, best = len, i, away;
	char *cut = NULL;

	for (i = 1; i < len; i++) {
		if (p[i] != ' ')
			continue;
		away = i > want ? i - want : want - i;
		if (away < best) {
			best = away;
			cut = p + i;
		}
	}
	return cut;
}

/* Break a text into even lines of about LINE_CHARS; returns how many. */
static int
break_lines(char *text, char **lines)
{
	int want = (int)(strlen(text) / LINE_CHARS) + 1, n = 0;
	char *p = text, *cut;

	if (want > MAX_LINES)
		want = MAX_LINES;
	while (n < want - 1) {
		cut = find_cut(p, want - n);
		if (cut == NULL)
			break;
		lines[n++] = p;
		*cut = '\0';
		p = cut + 1;
	}
	lines[n++] = p;
	return n;
}

/* Lines of one text are of one size: a shorter one gets less room. */
static int
draw_lines(struct canvas *c, char **lines, int n, int y, int h, int color,
    int shadow)
{
	size_t longest = 1;
	int i;

	for (i = 0; i < n; i++)
		if (strlen(lines[i]) > longest)
			longest = strlen(lines[i]);
	for (i = 0; i < n; i++, y += h + h / 5)
		letters_draw(c->im, lines[i], c->w / 2, y, (int)((size_t)c->w *
		    86 / 100 * strlen(lines[i]) / longest), h, color, shadow);
	return y;
}

static void
draw_words(struct canvas *c, const struct facts *f)
{
	struct rgb light = { 255, 252, 244 }, dark = { 28, 22, 24 };
	bool on_dark = light_of(blend(c->colors[0], c->colors[1], 0.3)) < 0.55;
	char text[FACTS_PHRASE_MAX], *lines[MAX_LINES];
	int color, shadow, y = c->h * 9 / 100, n, k;

	color = allocate(c->im, on_dark ? light : dark);
	shadow = allocate(c->im, blend(c->colors[0], on_dark ? dark : light,
	    0.6));
	for (k = 0; k < f->n_quotes && y < c->h * 40 / 100; k++) {
		snprintf(text, sizeof(text), "%s", f->quotes[k]);
		n = break_lines(text, lines);
		y = draw_lines(c, lines, n, y, c->h * (k == 0 ? 9 : 5) / 100,
		    color, shadow);
	}
}

static void
draw_mark(struct canvas *c)
{
	struct rgb light = { 255, 255, 255 }, dark = { 30, 30, 34 };
	int w = c->w * 28 / 100, h = w / 6, pad = c->w / 60;
	int x = c->w - w - pad, y = c->h - h - pad, index;

	index = allocate(c->im, dark);
	gdImageFilledRectangle(c->im, x, y, c->w - pad, c->h - pad, index);
	letters_draw(c->im, "SIMULATED", x + w / 2, y + h / 2, w * 88 / 100,
	    h * 62 / 100, allocate(c->im, light), index);
}

static enum err_code
encode(gdImagePtr im, struct strbuf *png, struct err *e)
{
	int size = 0;
	void *data;

	/* A palette halves both the work and the bytes of an edit. */
	if (gdImageTrueColor(im)) {
		gdImageTrueColorToPaletteSetMethod(im, GD_QUANT_JQUANT, 0);
		gdImageTrueColorToPalette(im, 1, gdMaxColors);
	}
	data = gdImagePngPtrEx(im, &size, PNG_LEVEL);
	if (data == NULL || size <= 0)
		return err_set(e, ERR_SYSTEM, "a picture cannot be encoded");
	strbuf_add(png, data, (size_t)size);
	gdFree(data);
	return ERR_OK;
}

enum err_code
draw_picture(const struct sim_request *r, struct strbuf *png, struct err *e)
{
	struct facts *f = xcalloc(1, sizeof(*f));
	struct canvas c = { .w = r->width, .h = r->height, .seed = r->seed };
	enum err_code rc = ERR_OK;

	facts_find(r, f);
	choose_colors(&c, f);
	c.im = gdImageCreate(c.w, c.h);
	if (c.im == NULL) {
		rc = err_set(e, ERR_SYSTEM, "no memory for a picture");
		goto out;
	}
	allocate_ramps(&c);
	draw_gradient(&c);
	if (r->n_pictures > 0)
		rc = draw_inputs(&c, r, e);
	else
		draw_dish(&c);
	if (rc != ERR_OK)
		goto out;
	draw_words(&c, f);
	draw_mark(&c);
	rc = encode(c.im, png, e);
out:
	if (c.im != NULL)
		gdImageDestroy(c.im);
	free(f);
	return rc;
}
