/*
 * What editing a part of a picture needs: masks, and putting the edited part
 * back.
 *
 * People paint white where a picture may change; providers want that part
 * transparent.  A mask has the size of its picture, pixel for pixel.  What an
 * image model gives back differs a little everywhere, so outside the mask the
 * picture's own pixels are put back: what was not painted stays as it was, to
 * the last bit.
 */
#include "image.h"

#include <math.h>

#define EDITABLE_ABOVE 200	/* luminance; so soft edges of a brush count */
#define MAX_SHAPES 64
#define MAX_POINTS 256
#define SAME_ASPECT 0.02	/* two shapes count as one below this, in log */
#define RAMP_PX 2		/* over which an edit fades in, inside the mask */
#define MASK_DEPTH 8

/* What a PNG says of its pixels in IHDR. */
enum png_colour { PNG_GREY = 0, PNG_RGB = 2, PNG_RGBA = 6 };

static enum err_code
check_mask_form(const struct picture *p, struct err *e)
{
	struct png_chunk head;
	size_t at = 0;
	unsigned depth, colour;

	if (p->type != IMAGE_PNG)
		return err_set(e, ERR_INVALID, "the mask is not a PNG");
	if (!png_next(&p->bytes, &at, &head) || head.body_len < 10)
		return err_set(e, ERR_INVALID, "the mask has no header");
	depth = head.body[8];
	colour = head.body[9];
	if (depth != MASK_DEPTH || (colour != PNG_GREY && colour != PNG_RGB &&
	    colour != PNG_RGBA))
		return err_set(e, ERR_INVALID, "the mask must be an 8-bit "
		    "greyscale, RGB or RGBA PNG");
	return ERR_OK;
}

static int
luminance(int c)
{
	return (299 * gdTrueColorGetRed(c) + 587 * gdTrueColorGetGreen(c) +
	    114 * gdTrueColorGetBlue(c) + 500) / 1000;
}

static bool
is_white(int c)
{
	return luminance(c) > EDITABLE_ABOVE &&
	    gdTrueColorGetAlpha(c) != gdAlphaTransparent;
}

/* One byte a pixel: may it change? */
struct selection {
	unsigned char *of;	/* w * h */
	int w, h;
	int64_t n;		/* how many may */
	int left, top, right, bottom;	/* of those, inclusive */
};

static void
selection_release(struct selection *s)
{
	free(s->of);
	s->of = NULL;
}

/* White, or, where nothing is white, what is transparent already. */
static enum err_code
select_pixels(gdImagePtr mask, struct selection *s, struct err *e)
{
	bool by_white = false;
	int x, y, c;

	s->w = gdImageSX(mask);
	s->h = gdImageSY(mask);
	s->of = calloc((size_t)s->w, (size_t)s->h);
	if (s->of == NULL)
		return err_set(e, ERR_SYSTEM, "no memory for the mask");
	s->left = s->w;
	s->top = s->h;
	s->right = s->bottom = -1;
	for (y = 0; y < s->h && !by_white; y++)
		for (x = 0; x < s->w && !by_white; x++)
			by_white = is_white(gdImageTrueColorPixel(mask, x, y));
	for (y = 0; y < s->h; y++)
		for (x = 0; x < s->w; x++) {
			c = gdImageTrueColorPixel(mask, x, y);
			if (by_white ? !is_white(c) :
			    gdTrueColorGetAlpha(c) != gdAlphaTransparent)
				continue;
			s->of[(size_t)y * (size_t)s->w + (size_t)x] = 1;
			s->n++;
			s->left = x < s->left ? x : s->left;
			s->right = x > s->right ? x : s->right;
			s->top = y < s->top ? y : s->top;
			s->bottom = y;
		}
	if (s->n == 0)
		return err_set(e, ERR_INVALID, "the mask selects nothing: "
		    "paint white where the picture may change");
	return ERR_OK;
}

/* Load, check and decode a mask for a picture of w x h. */
static enum err_code
load_mask(const char *path, int64_t max_pixels, int w, int h,
    struct selection *s, struct err *e)
{
	gdImagePtr im = NULL;
	struct picture p;
	enum err_code rc;

	rc = picture_load(path, max_pixels, &p, e);
	if (rc == ERR_OK)
		rc = check_mask_form(&p, e);
	if (rc == ERR_OK && (p.width != w || p.height != h))
		rc = err_set(e, ERR_INVALID, "the mask has %d x %d pixels and "
		    "the picture %d x %d; they must be the same", p.width,
		    p.height, w, h);
	if (rc == ERR_OK)
		rc = picture_decode(&p, &im, e);
	if (rc == ERR_OK)
		rc = select_pixels(im, s, e);
	if (im != NULL)
		gdImageDestroy(im);
	picture_release(&p);
	return rc;
}

static void
put_selection(struct json_object *result, const struct selection *s)
{
	json_put_int(result, "width", s->w);
	json_put_int(result, "height", s->h);
	json_put_int(result, "selected", s->n);
	json_put_num(result, "share", (double)s->n /
	    ((double)s->w * (double)s->h));
	json_put_int(result, "left", s->left);
	json_put_int(result, "top", s->top);
	json_put_int(result, "right", s->right);
	json_put_int(result, "bottom", s->bottom);
}

static gdImagePtr
canvas(int w, int h)
{
	gdImagePtr im = gdImageCreateTrueColor(w, h);

	if (im != NULL) {
		gdImageAlphaBlending(im, gdEffectReplace);
		gdImageSaveAlpha(im, 1);
	}
	return im;
}

static bool
selected(const struct selection *s, int x, int y)
{
	return s->of[(size_t)y * (size_t)s->w + (size_t)x] != 0;
}

/* Transparent where it may change, black elsewhere. */
static gdImagePtr
provider_mask(const struct selection *s)
{
	gdImagePtr im = canvas(s->w, s->h);
	int x, y;

	for (y = 0; im != NULL && y < s->h; y++)
		for (x = 0; x < s->w; x++)
			gdImageSetPixel(im, x, y, selected(s, x, y) ?
			    gdTrueColorAlpha(0, 0, 0, gdAlphaTransparent) :
			    gdTrueColor(0, 0, 0));
	return im;
}

/* The picture where it may change, nothing elsewhere. */
static gdImagePtr
region_of(gdImagePtr base, const struct selection *s)
{
	gdImagePtr im = canvas(s->w, s->h);
	int x, y;

	for (y = 0; im != NULL && y < s->h; y++)
		for (x = 0; x < s->w; x++)
			gdImageSetPixel(im, x, y, selected(s, x, y) ?
			    gdImageTrueColorPixel(base, x, y) :
			    gdTrueColorAlpha(0, 0, 0, gdAlphaTransparent));
	return im;
}

static enum err_code
write_png(gdImagePtr im, const char *path, int64_t *bytes, struct err *e)
{
	struct strbuf data = STRBUF_INIT(IMAGE_MAX_FILE_BYTES);
	enum err_code rc;

	if (im == NULL)
		return err_set(e, ERR_SYSTEM, "no memory for the pixels");
	rc = fit_encode(im, IMAGE_PNG, 0, &data, e);
	if (rc == ERR_OK)
		rc = result_write(path, &data, e);
	if (rc == ERR_OK && bytes != NULL)
		*bytes = (int64_t)data.len;
	strbuf_release(&data);
	return rc;
}

/* A picture as people see it: decoded and upright. */
static enum err_code
load_upright(const char *path, int64_t max_pixels, gdImagePtr *out,
    struct err *e)
{
	struct picture p;
	enum err_code rc;

	rc = picture_load(path, max_pixels, &p, e);
	if (rc == ERR_OK)
		rc = picture_decode(&p, out, e);
	if (rc == ERR_OK)
		rc = orientation_apply(out, p.orientation, e);
	picture_release(&p);
	return rc;
}

/* --- operations ----------------------------------------------------------- */

enum err_code
edit_mask(const char *base_path, const char *mask_path, const char *out,
    const char *region, int64_t max_pixels, struct json_object *result,
    struct err *e)
{
	struct selection s = { .of = NULL };
	gdImagePtr base = NULL, made = NULL, part = NULL;
	enum err_code rc;
	int64_t bytes = 0;

	rc = load_upright(base_path, max_pixels, &base, e);
	if (rc == ERR_OK)
		rc = load_mask(mask_path, max_pixels, gdImageSX(base),
		    gdImageSY(base), &s, e);
	if (rc == ERR_OK && out != NULL) {
		made = provider_mask(&s);
		rc = write_png(made, out, &bytes, e);
	}
	if (rc == ERR_OK && region != NULL) {
		part = region_of(base, &s);
		rc = write_png(part, region, NULL, e);
	}
	if (rc == ERR_OK) {
		put_selection(result, &s);
		if (out != NULL)
			json_put_int(result, "bytes", bytes);
	}
	if (part != NULL)
		gdImageDestroy(part);
	if (made != NULL)
		gdImageDestroy(made);
	if (base != NULL)
		gdImageDestroy(base);
	selection_release(&s);
	return rc;
}

/* --- putting an edit back ------------------------------------------------- */

static gdImagePtr
scaled_to(gdImagePtr im, int w, int h)
{
	gdImagePtr dst;

	dst = canvas(w, h);
	if (dst == NULL)
		return NULL;
	if (gdImageSX(im) == w && gdImageSY(im) == h)
		gdImageCopy(dst, im, 0, 0, 0, 0, w, h);
	else
		gdImageCopyResampled(dst, im, 0, 0, 0, 0, w, h,
		    gdImageSX(im), gdImageSY(im));
	return dst;
}

/* Of the pixels around, how many in 1000 may change? */
static int
share_around(const struct selection *s, int x, int y)
{
	int dx, dy, n = 0, all = 0;

	for (dy = -RAMP_PX; dy <= RAMP_PX; dy++)
		for (dx = -RAMP_PX; dx <= RAMP_PX; dx++) {
			if (x + dx < 0 || x + dx >= s->w || y + dy < 0 ||
			    y + dy >= s->h)
				continue;
			all++;
			n += selected(s, x + dx, y + dy);
		}
	return 1000 * n / all;
}

static int
mixed(int a, int b, int share)
{
	return (a * (1000 - share) + b * share + 500) / 1000;
}

static int
mixed_pixel(int was, int is, int share)
{
	return gdTrueColorAlpha(
	    mixed(gdTrueColorGetRed(was), gdTrueColorGetRed(is), share),
	    mixed(gdTrueColorGetGreen(was), gdTrueColorGetGreen(is), share),
	    mixed(gdTrueColorGetBlue(was), gdTrueColorGetBlue(is), share),
	    mixed(gdTrueColorGetAlpha(was), gdTrueColorGetAlpha(is), share));
}

/* base becomes the result: only what may change is touched. */
static void
put_back(gdImagePtr base, gdImagePtr edited, const struct selection *s)
{
	int x, y, was, is;

	gdImageAlphaBlending(base, gdEffectReplace);
	gdImageSaveAlpha(base, 1);
	for (y = s->top; y <= s->bottom; y++)
		for (x = s->left; x <= s->right; x++) {
			if (!selected(s, x, y))
				continue;
			was = gdImageTrueColorPixel(base, x, y);
			is = gdImageTrueColorPixel(edited, x, y);
			gdImageSetPixel(base, x, y, mixed_pixel(was, is,
			    share_around(s, x, y)));
		}
}

static bool
same_aspect(gdImagePtr a, gdImagePtr b)
{
	double ra = (double)gdImageSX(a) / gdImageSY(a);
	double rb = (double)gdImageSX(b) / gdImageSY(b);

	return fabs(log(ra / rb)) < SAME_ASPECT;
}

enum err_code
edit_composite(const char *base_path, const char *mask_path,
    const char *edited_path, const char *out, int64_t max_pixels,
    struct json_object *result, struct err *e)
{
	gdImagePtr base = NULL, edited = NULL, fitted = NULL;
	struct selection s = { .of = NULL };
	bool alike = false;
	int64_t bytes = 0;
	enum err_code rc;

	rc = load_upright(base_path, max_pixels, &base, e);
	if (rc == ERR_OK)
		rc = load_mask(mask_path, max_pixels, gdImageSX(base),
		    gdImageSY(base), &s, e);
	if (rc == ERR_OK)
		rc = load_upright(edited_path, max_pixels, &edited, e);
	if (rc == ERR_OK)
		alike = same_aspect(base, edited);
	if (rc == ERR_OK && alike) {
		fitted = scaled_to(edited, gdImageSX(base), gdImageSY(base));
		if (fitted == NULL)
			rc = err_set(e, ERR_SYSTEM, "no memory for the pixels");
	}
	if (rc == ERR_OK && alike) {
		put_back(base, fitted, &s);
		rc = write_png(base, out, &bytes, e);
	}
	if (rc == ERR_OK) {
		json_put_bool(result, "composited", alike);
		json_put_int(result, "width", gdImageSX(alike ? base : edited));
		json_put_int(result, "height", gdImageSY(alike ? base : edited));
		json_put_int(result, "bytes", bytes);
	}
	if (fitted != NULL)
		gdImageDestroy(fitted);
	if (edited != NULL)
		gdImageDestroy(edited);
	if (base != NULL)
		gdImageDestroy(base);
	selection_release(&s);
	return rc;
}

/* --- comparing ------------------------------------------------------------ */

static int
channel_gap(int a, int b)
{
	return a > b ? a - b : b - a;
}

enum err_code
edit_compare(const char *base_path, const char *other_path,
    int64_t max_pixels, struct json_object *result, struct err *e)
{
	gdImagePtr base = NULL, other = NULL, fitted = NULL;
	int64_t sum = 0;
	enum err_code rc;
	int x, y, i, a, b, most = 0;

	rc = load_upright(base_path, max_pixels, &base, e);
	if (rc == ERR_OK)
		rc = load_upright(other_path, max_pixels, &other, e);
	if (rc == ERR_OK) {
		fitted = scaled_to(other, gdImageSX(base), gdImageSY(base));
		if (fitted == NULL)
			rc = err_set(e, ERR_SYSTEM, "no memory for the pixels");
	}
	for (y = 0; rc == ERR_OK && y < gdImageSY(base); y++)
		for (x = 0; x < gdImageSX(base); x++) {
			a = gdImageTrueColorPixel(base, x, y);
			b = gdImageTrueColorPixel(fitted, x, y);
			for (i = 0; i < 24; i += 8) {
				int gap = channel_gap((a >> i) & 255,
				    (b >> i) & 255);

				sum += gap;
				most = gap > most ? gap : most;
			}
		}
	if (rc == ERR_OK) {
		json_put_int(result, "max_difference", most);
		json_put_num(result, "mean_difference", (double)sum /
		    (3.0 * gdImageSX(base) * gdImageSY(base)));
		json_put_bool(result, "same_aspect", same_aspect(base, other));
	}
	if (fitted != NULL)
		gdImageDestroy(fitted);
	if (other != NULL)
		gdImageDestroy(other);
	if (base != NULL)
		gdImageDestroy(base);
	return rc;
}

/* --- masks from coordinates ----------------------------------------------- */

static bool
fraction(const struct json_object *o, const char *name, double *out)
{
	*out = json_get_num(o, name, -1);
	return *out >= 0 && *out <= 1;
}

static int
at(double f, int side)
{
	int n = (int)floor(f * side + 0.5);

	return n > side - 1 ? side - 1 : n;
}

/* Either {x, y, width, height} or {x1, y1, x2, y2}; ends are inside. */
static bool
draw_rectangle(gdImagePtr im, const struct json_object *o, int white)
{
	int w = gdImageSX(im), h = gdImageSY(im);
	double x1, y1, x2, y2;

	if (fraction(o, "x1", &x1) && fraction(o, "y1", &y1)) {
		if (!fraction(o, "x2", &x2) || !fraction(o, "y2", &y2))
			return false;
	} else {
		if (!fraction(o, "x", &x1) || !fraction(o, "y", &y1) ||
		    !fraction(o, "width", &x2) || !fraction(o, "height", &y2))
			return false;
		x2 = fmin(1, x1 + x2);
		y2 = fmin(1, y1 + y2);
	}
	if (x2 <= x1 || y2 <= y1)
		return false;
	gdImageFilledRectangle(im, at(x1, w), at(y1, h), at(x2, w), at(y2, h),
	    white);
	return true;
}

static bool
draw_circle(gdImagePtr im, const struct json_object *o, int white)
{
	int w = gdImageSX(im), h = gdImageSY(im), d;
	double cx, cy, r;

	if (!fraction(o, "cx", &cx) || !fraction(o, "cy", &cy) ||
	    !fraction(o, "radius", &r) || r <= 0)
		return false;
	d = 2 * (int)floor(r * (w < h ? w : h) + 0.5);
	gdImageFilledEllipse(im, at(cx, w), at(cy, h), d > 0 ? d : 1,
	    d > 0 ? d : 1, white);
	return true;
}

static bool
draw_polygon(gdImagePtr im, const struct json_object *o, int white)
{
	const struct json_object *points = json_get_arr(o, "points"), *p;
	gdPoint corners[MAX_POINTS];
	size_t i, n = json_len(points);
	double x, y;

	if (n < 3 || n > MAX_POINTS)
		return false;
	for (i = 0; i < n; i++) {
		p = json_object_array_get_idx(points, i);
		if (json_len(p) != 2)
			return false;
		x = json_object_get_double(json_object_array_get_idx(p, 0));
		y = json_object_get_double(json_object_array_get_idx(p, 1));
		if (!(x >= 0 && x <= 1 && y >= 0 && y <= 1))
			return false;
		corners[i].x = at(x, gdImageSX(im));
		corners[i].y = at(y, gdImageSY(im));
	}
	gdImageFilledPolygon(im, corners, (int)n, white);
	return true;
}

static bool
draw_shape(gdImagePtr im, const struct json_object *o, int white)
{
	const char *type = json_get_str(o, "type");

	if (!json_object_is_type(o, json_type_object))
		return false;
	if (type == NULL || strcmp(type, "rectangle") == 0)
		return draw_rectangle(im, o, white);
	if (strcmp(type, "circle") == 0)
		return draw_circle(im, o, white);
	return strcmp(type, "polygon") == 0 && draw_polygon(im, o, white);
}

static bool
draw_shapes(gdImagePtr im, const struct json_object *shapes, int white)
{
	size_t i, n = json_len(shapes);

	if (json_object_is_type(shapes, json_type_object))
		return draw_shape(im, shapes, white);
	if (n == 0 || n > MAX_SHAPES)
		return false;
	for (i = 0; i < n; i++)
		if (!draw_shape(im, json_object_array_get_idx(shapes, i),
		    white))
			return false;
	return true;
}

enum err_code
edit_draw_mask(const char *base_path, const char *shapes_text,
    const char *out, int64_t max_pixels, struct json_object *result,
    struct err *e)
{
	struct json_object *shapes = NULL;
	struct selection s = { .of = NULL };
	gdImagePtr base = NULL, mask = NULL;
	enum err_code rc;

	rc = load_upright(base_path, max_pixels, &base, e);
	if (rc == ERR_OK && json_parse(shapes_text, strlen(shapes_text),
	    &shapes, NULL) != ERR_OK)
		rc = err_set(e, ERR_INVALID, "the mask's shapes are not JSON");
	if (rc == ERR_OK) {
		mask = canvas(gdImageSX(base), gdImageSY(base));
		if (mask == NULL)
			rc = err_set(e, ERR_SYSTEM, "no memory for the mask");
	}
	if (rc == ERR_OK) {
		gdImageFilledRectangle(mask, 0, 0, gdImageSX(mask) - 1,
		    gdImageSY(mask) - 1, gdTrueColor(0, 0, 0));
		if (!draw_shapes(mask, shapes, gdTrueColor(255, 255, 255)))
			rc = err_set(e, ERR_INVALID, "the mask's shapes must "
			    "be rectangles, circles or polygons with "
			    "coordinates from 0 to 1");
	}
	if (rc == ERR_OK)
		rc = select_pixels(mask, &s, e);
	if (rc == ERR_OK)
		rc = write_png(mask, out, NULL, e);
	if (rc == ERR_OK)
		put_selection(result, &s);
	if (mask != NULL)
		gdImageDestroy(mask);
	if (base != NULL)
		gdImageDestroy(base);
	json_object_put(shapes);
	selection_release(&s);
	return rc;
}
