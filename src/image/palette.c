/*
 * The palette of a picture: a handful of colours with the roles they could
 * play in a brand kit.
 *
 * The picture is shrunk, its colours are grouped by median cut (libgd's), and
 * every group counts by its pixels: a colour nobody sees has no say.  Of the
 * saturated groups the most frequent is the primary, the next ones secondary
 * and accent; of the others the most frequent light one and dark one are the
 * neutrals.  A picture without any saturated colour (a black wordmark) has
 * its most frequent colour that is not near white as primary.
 *
 * Transparent pixels do not count: a logo is what is painted.
 */
#include "image.h"

#include <math.h>

#define SHRINK_SIDE 200
#define QUANTISE_COLORS 16
#define OPAQUE_ENOUGH (gdAlphaMax / 2)
#define MIN_SHARE 0.004		/* less is the seam between two colours */
#define SATURATED 0.22		/* chroma of HSV, scaled by value */
#define NEAR 40			/* groups closer than this are one colour */
#define NEAR_WHITE 0.93

enum color_role {
	ROLE_NONE,
	ROLE_PRIMARY,
	ROLE_SECONDARY,
	ROLE_ACCENT,
	ROLE_NEUTRAL_LIGHT,
	ROLE_NEUTRAL_DARK,
	ROLE__COUNT
};

static const char *const role_names[ROLE__COUNT] = {
	[ROLE_PRIMARY] = "primary",
	[ROLE_SECONDARY] = "secondary",
	[ROLE_ACCENT] = "accent",
	[ROLE_NEUTRAL_LIGHT] = "neutral_light",
	[ROLE_NEUTRAL_DARK] = "neutral_dark",
};

struct swatch {
	int r, g, b;
	long count;		/* pixels */
	enum color_role role;
};

static double
lightness(const struct swatch *s)
{
	return (299.0 * s->r + 587.0 * s->g + 114.0 * s->b) / 255000.0;
}

/* max - min of the channels over 255: how much colour the eye sees.  HSV's
 * own saturation would call nearly black and nearly white vivid. */
static double
chroma(const struct swatch *s)
{
	int hi = s->r, lo = s->r;

	if (s->g > hi)
		hi = s->g;
	if (s->b > hi)
		hi = s->b;
	if (s->g < lo)
		lo = s->g;
	if (s->b < lo)
		lo = s->b;
	return (hi - lo) / 255.0;
}

static bool
is_near(const struct swatch *a, const struct swatch *b)
{
	int dr = a->r - b->r, dg = a->g - b->g, db = a->b - b->b;

	return dr * dr + dg * dg + db * db < NEAR * NEAR;
}

/* Quantise in place and count who is used; returns the number of swatches. */
static int
count_colors(gdImagePtr im, const unsigned char *painted, struct swatch *s)
{
	int x, y, i, n = 0;
	long count[gdMaxColors] = { 0 };

	for (y = 0; y < gdImageSY(im); y++)
		for (x = 0; x < gdImageSX(im); x++)
			if (painted[y * SHRINK_SIDE + x])
				count[gdImagePalettePixel(im, x, y)]++;
	for (i = 0; i < gdMaxColors && n < PALETTE_MAX_COLORS; i++) {
		if (count[i] == 0)
			continue;
		s[n].r = gdImageRed(im, i);
		s[n].g = gdImageGreen(im, i);
		s[n].b = gdImageBlue(im, i);
		s[n].count = count[i];
		s[n].role = ROLE_NONE;
		n++;
	}
	return n;
}

static int
by_count(const void *a, const void *b)
{
	const struct swatch *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return (x->r << 16 | x->g << 8 | x->b) -
	    (y->r << 16 | y->g << 8 | y->b);
}

/* Fold near ones into the more frequent; s is sorted and stays so. */
static int
merge_near(struct swatch *s, int n)
{
	int i, k, kept = 0;

	for (i = 0; i < n; i++) {
		for (k = 0; k < kept; k++)
			if (is_near(&s[i], &s[k]))
				break;
		if (k < kept)
			s[k].count += s[i].count;
		else
			s[kept++] = s[i];
	}
	qsort(s, (size_t)kept, sizeof(*s), by_count);
	return kept;
}

/* The first without a role that is saturated or not, within a lightness. */
static struct swatch *
pick(struct swatch *s, int n, bool saturated, double low, double high)
{
	double light;
	int i;

	for (i = 0; i < n; i++) {
		light = lightness(&s[i]);
		if (s[i].role == ROLE_NONE &&
		    (chroma(&s[i]) >= SATURATED) == saturated &&
		    light >= low && light <= high)
			return &s[i];
	}
	return NULL;
}

static void
give(struct swatch *s, enum color_role role)
{
	if (s != NULL)
		s->role = role;
}

static void
assign_roles(struct swatch *s, int n)
{
	struct swatch *first;

	first = pick(s, n, true, 0, 1);
	if (first == NULL)
		first = pick(s, n, false, 0, NEAR_WHITE);
	if (first == NULL && n > 0)
		first = &s[0];
	give(first, ROLE_PRIMARY);
	give(pick(s, n, true, 0, 1), ROLE_SECONDARY);
	give(pick(s, n, true, 0, 1), ROLE_ACCENT);
	give(pick(s, n, false, 0.6, 1), ROLE_NEUTRAL_LIGHT);
	give(pick(s, n, false, 0, 0.4), ROLE_NEUTRAL_DARK);
}

static struct json_object *
describe(const struct swatch *s, long total)
{
	struct json_object *o = json_object_new_object();
	char hex[8];

	snprintf(hex, sizeof(hex), "#%02X%02X%02X", (unsigned)s->r & 0xff,
	    (unsigned)s->g & 0xff, (unsigned)s->b & 0xff);
	json_put_str(o, "hex", hex);
	json_put_str(o, "role", role_names[s->role]);
	json_put_null(o, "label");
	json_put_num(o, "ratio",
	    round(10000.0 * (double)s->count / (double)total) / 10000.0);
	return o;
}

/* Those with a role, in order of the roles; then what else is frequent. */
static struct json_object *
list_colors(struct swatch *s, int n, int max, long total)
{
	struct json_object *list = json_object_new_array();
	int role, i;

	for (role = ROLE_PRIMARY; role < ROLE__COUNT; role++)
		for (i = 0; i < n; i++)
			if (s[i].role == (enum color_role)role &&
			    (int)json_len(list) < max)
				json_object_array_add(list,
				    describe(&s[i], total));
	for (i = 0; i < n && (int)json_len(list) < max; i++) {
		if (s[i].role != ROLE_NONE ||
		    (double)s[i].count < MIN_SHARE * (double)total)
			continue;
		s[i].role = chroma(&s[i]) >= SATURATED ? ROLE_ACCENT :
		    lightness(&s[i]) >= 0.5 ? ROLE_NEUTRAL_LIGHT :
		    ROLE_NEUTRAL_DARK;
		json_object_array_add(list, describe(&s[i], total));
	}
	return list;
}

struct json_object *
palette_of(gdImagePtr im, int max)
{
	static unsigned char painted[SHRINK_SIDE * SHRINK_SIDE];
	struct swatch s[PALETTE_MAX_COLORS];
	gdImagePtr small = NULL;
	long total = 0;
	int x, y, n, kept = 0;

	if (fit_scale(im, SHRINK_SIDE, false, &small, NULL) != ERR_OK)
		return NULL;
	for (y = 0; y < gdImageSY(small); y++) {
		for (x = 0; x < gdImageSX(small); x++) {
			painted[y * SHRINK_SIDE + x] = gdTrueColorGetAlpha(
			    gdImageTrueColorPixel(small, x, y)) < OPAQUE_ENOUGH;
			total += painted[y * SHRINK_SIDE + x];
		}
	}
	gdImageTrueColorToPaletteSetMethod(small, GD_QUANT_JQUANT, 0);
	if (!gdImageTrueColorToPalette(small, 0, QUANTISE_COLORS)) {
		gdImageDestroy(small);
		return NULL;
	}
	n = count_colors(small, painted, s);
	gdImageDestroy(small);
	qsort(s, (size_t)n, sizeof(*s), by_count);
	n = merge_near(s, n);
	while (kept < n && (double)s[kept].count >= MIN_SHARE * (double)total)
		kept++;
	assign_roles(s, kept);
	return list_colors(s, kept, max, total > 0 ? total : 1);
}
