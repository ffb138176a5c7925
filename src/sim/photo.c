/*
 * A photograph that was never taken: a lemon tart on a plate, on a wooden
 * table, by a window on the left.
 *
 * Demos and tests need a picture that looks like what people upload, has
 * camera metadata and no owner.  It is traced: for every pixel a few rays
 * from slightly different points of the lens (so edges are smooth and the far
 * lemon is out of focus) are cut with a handful of shapes that have closed
 * formulas, then shaded, toned and given the grain of a sensor.  Randomness
 * comes from hashing coordinates, so the bytes are the same every time.
 *
 * With an orientation the pixels are stored as a camera held that way would
 * store them and the tag says so: a reader that honours it sees the same
 * upright picture.
 */
#include "sim.h"

#include <math.h>
#include <pthread.h>

#include <gd.h>

#define WIDTH 1600
#define HEIGHT 1200
#define RAYS 4			/* per pixel */
#define JPEG_QUALITY 88
#define PAINTERS 4		/* threads; each takes every fourth row */
#define KISSES 11		/* of meringue */

/* The scene, in units of about eight centimetres; y is up, z is away. */
#define PLATE_R 2.25
#define PLATE_Y 0.10
#define TART_R 1.42
#define SIDE_R (TART_R - 0.018)	/* below the fluted edge */
#define TART_TOP 0.62
#define CURD_R 1.27
#define FAR 1e9

struct v3 {
	double x, y, z;
};

struct hit {
	double t;
	struct v3 p, n;
	int kiss;		/* which one, for its shader */
	void (*shade)(struct hit *);	/* NULL: the dark room behind */
	struct v3 color;	/* linear; set by shade() with what is below */
	double gloss;		/* 0..1 */
};

static const struct v3 to_light = { -0.62, 0.66, 0.42 };
static const struct v3 camera = { 0.15, 4.05, -5.35 };
static const struct v3 lemon = { -2.75, 0.62, 2.55 };

/* Set by set_scene(): too dear to compute for every ray. */
static struct v3 kisses[KISSES];
static double kiss_r[KISSES];
static struct v3 ahead, right, up;

/* --- arithmetic -------------------------------------------------------- */

static struct v3
vec(double x, double y, double z)
{
	struct v3 r = { x, y, z };

	return r;
}

static struct v3
add(struct v3 a, struct v3 b, double k)
{
	return vec(a.x + b.x * k, a.y + b.y * k, a.z + b.z * k);
}

static struct v3
mix(struct v3 a, struct v3 b, double t)
{
	return add(vec(a.x * (1 - t), a.y * (1 - t), a.z * (1 - t)), b, t);
}

static double
dot(struct v3 a, struct v3 b)
{
	return a.x * b.x + a.y * b.y + a.z * b.z;
}

static struct v3
unit(struct v3 a)
{
	double l = sqrt(dot(a, a));

	return vec(a.x / l, a.y / l, a.z / l);
}

static double
clamp01(double v)
{
	return v < 0 ? 0 : v > 1 ? 1 : v;
}

static double
smooth(double low, double high, double v)
{
	double t = clamp01((v - low) / (high - low));

	return t * t * (3 - 2 * t);
}

/* A number in [0,1) for a place; the same place, the same number. */
static double
speck(int x, int y, int z)
{
	uint32_t h = (uint32_t)x * 374761393u + (uint32_t)y * 668265263u +
	    (uint32_t)z * 2246822519u;

	h = (h ^ (h >> 13)) * 1274126177u;
	h ^= h >> 16;
	return (double)(h & 0xffffff) / 16777216.0;
}

static double
noise(double x, double y, int layer)
{
	int ix = (int)floor(x), iy = (int)floor(y);
	double fx = x - ix, fy = y - iy;
	double a, b;

	fx = fx * fx * (3 - 2 * fx);
	fy = fy * fy * (3 - 2 * fy);
	a = speck(ix, iy, layer) * (1 - fx) + speck(ix + 1, iy, layer) * fx;
	b = speck(ix, iy + 1, layer) * (1 - fx) +
	    speck(ix + 1, iy + 1, layer) * fx;
	return a * (1 - fy) + b * fy;
}

static double
cloud(double x, double y, int layer)
{
	return 0.55 * noise(x, y, layer) + 0.3 * noise(2.1 * x, 2.1 * y,
	    layer + 1) + 0.15 * noise(4.3 * x, 4.3 * y, layer + 2);
}

/* --- surfaces ---------------------------------------------------------- */

static void
shade_table(struct hit *h)
{
	double plank = floor(h->p.z / 1.15 + 0.4);
	double across = h->p.z / 1.15 + 0.4 - plank;
	double tone = speck((int)plank, 7, 3);
	double grain, seam;

	grain = cloud(h->p.x * 0.9 + 19 * tone, h->p.z * 9 + 3 * sin(h->p.x *
	    0.35 + 6 * tone), 11);
	grain = 0.6 * grain + 0.4 * noise(h->p.x * 3, h->p.z * 60, 17);
	seam = smooth(0, 0.025, across) * smooth(0, 0.025, 1 - across);
	h->color = mix(vec(0.115, 0.052, 0.024), vec(0.36, 0.19, 0.095), grain *
	    0.75 + 0.25 * tone);
	h->color = mix(vec(0.02, 0.01, 0.006), h->color, 0.25 + 0.75 * seam);
	h->n = unit(vec(0.05 * (grain - 0.5), 1, 0.1 * (grain - 0.5)));
	h->gloss = 0.16 * grain;
}

static void
shade_plate(struct hit *h)
{
	double r = hypot(h->p.x, h->p.z), slope = 0;

	if (r > 1.62)
		slope = -0.26 * smooth(1.62, 1.8, r);
	if (r > PLATE_R - 0.07)
		slope = 0.9 * smooth(PLATE_R - 0.07, PLATE_R, r);
	h->n = unit(vec(h->p.x / r * slope, 1, h->p.z / r * slope));
	h->color = vec(0.80, 0.79, 0.76);
	/* A thin glazed line, as on café ware. */
	h->color = mix(h->color, vec(0.16, 0.23, 0.30),
	    0.85 * smooth(2.08, 2.10, r) * (1 - smooth(2.13, 2.15, r)));
	h->gloss = 0.75;
}

/* A slice of lemon of radius 1 seen from above; coverage 0..1. */
static double
lemon_slice(double x, double z, double turn, struct v3 *color)
{
	double r = hypot(x, z), a, seg, pith, cells;

	if (r >= 1)
		return 0;
	a = (atan2(z, x) + turn) * 9 / (2 * M_PI);
	seg = fabs(a - floor(a) - 0.5) * 2;
	pith = smooth(0.80, 0.86, r) + smooth(0.86, 0.97, seg) *
	    smooth(0.05, 0.25, r) + 1 - smooth(0.06, 0.12, r);
	cells = noise(x * 14, z * 14, 41);
	*color = mix(vec(0.86, 0.58, 0.05), vec(0.95, 0.75, 0.20), cells);
	*color = mix(*color, vec(0.92, 0.86, 0.62), clamp01(pith) * 0.85);
	*color = mix(*color, vec(0.84, 0.52, 0.02), smooth(0.91, 0.94, r));
	return 1 - smooth(0.985, 1.0, r);
}

static const struct {
	double x, z, r, turn;
} slices[] = {
	{ -0.17, 0.10, 0.46, 0.3 },
	{ 0.25, -0.20, 0.43, 1.1 },
};

/* A mint leaf along its own x axis, one unit long; coverage 0..1. */
static double
mint_leaf(double x, double z, struct v3 *color)
{
	double half, vein;

	if (x <= 0 || x >= 1)
		return 0;
	half = 0.30 * sin(M_PI * pow(x, 0.8)) + 0.012 * sin(42 * x);
	if (fabs(z) >= half)
		return 0;
	vein = 1 - smooth(0.0, 0.03, fabs(z));
	vein += 0.5 * (1 - smooth(0, 0.25, fabs(sin(18 * (x - fabs(z))))));
	*color = mix(vec(0.045, 0.17, 0.03), vec(0.20, 0.42, 0.10),
	    clamp01(0.6 * vein + 0.4 * noise(8 * x, 8 * z, 51)));
	return 1;
}

static void
garnish(struct hit *h)
{
	struct v3 color = { 0, 0, 0 };
	double cover, dx, dz;
	size_t i;

	for (i = 0; i < sizeof(slices) / sizeof(slices[0]); i++) {
		dx = h->p.x - slices[i].x;
		dz = h->p.z - slices[i].z;
		/* The light comes from the back left: shade to the front. */
		cover = 1 - smooth(0.85, 1.12, hypot(dx - 0.05, dz + 0.04) /
		    slices[i].r);
		h->color = mix(h->color, vec(0.30, 0.15, 0.01), 0.5 * cover);
		cover = lemon_slice(dx / slices[i].r, dz / slices[i].r,
		    slices[i].turn, &color);
		h->color = mix(h->color, color, cover);
		h->gloss = h->gloss * (1 - cover) + 0.35 * cover;
	}
	for (i = 0; i < 2; i++) {
		dx = h->p.x - 0.02;
		dz = h->p.z - 0.0;
		cover = mint_leaf((i == 0 ? 0.82 * dx + 0.57 * dz : -0.42 * dx +
		    0.91 * dz) / 0.5, (i == 0 ? -0.57 * dx + 0.82 * dz : -0.91 *
		    dx - 0.42 * dz) / 0.5, &color);
		h->color = mix(h->color, color, cover);
		h->gloss *= 1 - 0.6 * cover;
	}
}

static void
shade_crust(struct hit *h, double upward)
{
	double a = atan2(h->p.z, h->p.x), flute = cos(46 * a);
	double bake = cloud(5 * a + 9, 6 * h->p.y + 3 * hypot(h->p.x, h->p.z),
	    23);
	double out = 1 - upward;

	h->n = unit(vec(cos(a) * out - 0.55 * out * sin(46 * a) * -sin(a), upward,
	    sin(a) * out - 0.55 * out * sin(46 * a) * cos(a)));
	h->color = mix(vec(0.30, 0.13, 0.035), vec(0.70, 0.42, 0.16),
	    clamp01(0.15 + 0.75 * bake + 0.18 * flute * out));
	h->gloss = 0.05;
}

static void
shade_tart_top(struct hit *h)
{
	double r = hypot(h->p.x, h->p.z), wave;

	if (r > CURD_R) {
		shade_crust(h, clamp01(1.25 - fabs(r - 1.345) / 0.10));
		return;
	}
	wave = cloud(h->p.x * 2.3, h->p.z * 2.3, 31) - 0.5;
	h->n = unit(vec(0.10 * wave, 1, 0.14 * wave));
	h->color = mix(vec(0.80, 0.43, 0.012), vec(0.93, 0.64, 0.045),
	    clamp01(0.5 + wave));
	/* Darker where it meets the crust: it has baked there. */
	h->color = mix(h->color, vec(0.55, 0.24, 0.012),
	    0.7 * smooth(CURD_R - 0.13, CURD_R, r));
	h->gloss = 0.6;
	garnish(h);
}

static void
shade_tart_side(struct hit *h)
{
	shade_crust(h, 0.12 + 0.5 * smooth(0.45, TART_TOP, h->p.y));
}

static void
shade_kiss(struct hit *h)
{
	struct v3 c = kisses[h->kiss];
	double swirl, toast;

	swirl = sin(3 * atan2(h->p.z - c.z, h->p.x - c.x) + 26 * h->p.y);
	toast = smooth(0.74, 0.88, h->p.y + 0.03 * swirl) *
	    (0.25 + 0.75 * noise(19 * h->p.x, 19 * h->p.z, 61));
	h->color = mix(vec(0.93, 0.87, 0.75), vec(0.40, 0.17, 0.04),
	    clamp01(1.1 * toast));
	h->n = unit(add(h->n, vec(0, swirl, 0), 0.20));
	h->gloss = 0.10;
}

static void
shade_lemon(struct hit *h)
{
	double bump = noise(26 * h->p.x, 26 * h->p.y + 9 * h->p.z, 71) - 0.5;

	h->n = unit(add(h->n, vec(bump, bump, -bump), 0.10));
	h->color = mix(vec(0.72, 0.40, 0.01), vec(0.90, 0.60, 0.03),
	    clamp01(0.6 + bump));
	h->gloss = 0.30;
}

/* --- intersections ----------------------------------------------------- */

static void
hit_floor(struct v3 o, struct v3 d, struct hit *best, double y, double r,
    void (*shade)(struct hit *))
{
	double t = (y - o.y) / d.y, flute;
	struct v3 p;

	if (d.y >= 0 || t >= best->t)
		return;
	p = add(o, d, t);
	flute = hypot(p.x, p.z);
	if (shade == shade_tart_top && flute > r - 0.03)
		flute -= 0.018 * cos(46 * atan2(p.z, p.x));
	if (flute > r)
		return;
	best->t = t;
	best->p = p;
	best->n = vec(0, 1, 0);
	best->shade = shade;
}

static void
hit_tart_side(struct v3 o, struct v3 d, struct hit *best)
{
	double a = d.x * d.x + d.z * d.z;
	double b = o.x * d.x + o.z * d.z;
	double c = o.x * o.x + o.z * o.z - SIDE_R * SIDE_R;
	double disc = b * b - a * c, t;
	struct v3 p;

	if (disc < 0)
		return;
	t = (-b - sqrt(disc)) / a;
	p = add(o, d, t);
	if (t >= best->t || p.y < PLATE_Y || p.y > TART_TOP)
		return;
	best->t = t;
	best->p = p;
	best->shade = shade_tart_side;
}

/* A ball drawn out along y is a ball in a space pressed flat. */
static bool
hit_ball(struct v3 o, struct v3 d, struct v3 center, double r,
    double stretch, struct hit *best)
{
	struct v3 co = add(o, center, -1), cd = d, q;
	double a, b, c, disc, t;

	co.y /= stretch;
	cd.y /= stretch;
	a = dot(cd, cd);
	b = dot(co, cd);
	c = dot(co, co) - r * r;
	disc = b * b - a * c;
	if (disc < 0)
		return false;
	t = (-b - sqrt(disc)) / a;
	if (t <= 0 || t >= best->t)
		return false;
	best->t = t;
	best->p = add(o, d, t);
	q = add(co, cd, t);
	best->n = unit(vec(q.x, q.y / stretch, q.z));
	return true;
}

static struct hit
trace(struct v3 o, struct v3 d)
{
	struct hit best = { .t = FAR };
	int i;

	hit_floor(o, d, &best, 0, 40, shade_table);
	hit_floor(o, d, &best, PLATE_Y, PLATE_R, shade_plate);
	hit_floor(o, d, &best, TART_TOP, TART_R, shade_tart_top);
	hit_tart_side(o, d, &best);
	for (i = 0; i < KISSES; i++) {
		if (hit_ball(o, d, kisses[i], kiss_r[i], 1.25, &best)) {
			best.shade = shade_kiss;
			best.kiss = i;
		}
	}
	if (hit_ball(o, d, lemon, 0.66, 0.93, &best))
		best.shade = shade_lemon;
	if (best.shade != NULL)
		best.shade(&best);
	return best;
}

/* --- light ------------------------------------------------------------- */

/*
 * How much of the window a point sees past an upright cylinder at (cx,cz):
 * the way to the light, seen from above, is a line that ends where it rises
 * above the top; its distance from the axis decides, with a soft edge that
 * widens with the way.
 */
static double
past_cylinder(struct v3 p, double cx, double cz, double r, double top)
{
	double way = (top - p.y) / to_light.y, k, dx, dz, miss, soft;

	if (way <= 0)
		return 1;
	dx = to_light.x * way;
	dz = to_light.z * way;
	k = clamp01(((cx - p.x) * dx + (cz - p.z) * dz) /
	    (dx * dx + dz * dz));
	miss = hypot(p.x + k * dx - cx, p.z + k * dz - cz) - r;
	soft = 0.05 + 0.28 * k * way;
	return smooth(-soft, soft, miss);
}

static double
light_reaching(const struct hit *h)
{
	struct v3 p = h->p, from = add(p, to_light, 0.02);
	double seen;
	int i;

	seen = past_cylinder(from, 0, 0, PLATE_R - 0.1, PLATE_Y);
	if (p.y < TART_TOP - 0.01)
		seen *= past_cylinder(from, 0, 0, TART_R - 0.04, TART_TOP);
	if (h->shade != shade_lemon)
		seen *= past_cylinder(from, lemon.x, lemon.z, 0.5, 1.1);
	if (p.y < TART_TOP - 0.02 || p.x * p.x + p.z * p.z > TART_R * TART_R)
		return seen;
	for (i = 0; i < KISSES; i++) {
		if (h->shade == shade_kiss && h->kiss == i)
			continue;
		seen *= 0.25 + 0.75 * past_cylinder(from, kisses[i].x,
		    kisses[i].z, 0.11, TART_TOP + 0.22);
	}
	return seen;
}

/* Corners see less of the sky. */
static double
openness(const struct hit *h)
{
	struct v3 p = h->p;
	double r = hypot(p.x, p.z), open = 1;

	if (p.y < 0.01)
		open *= 0.35 + 0.65 * smooth(PLATE_R - 0.05, PLATE_R + 0.5, r);
	else if (p.y < TART_TOP - 0.05)
		open *= 0.45 + 0.55 * smooth(TART_R - 0.1, TART_R + 0.45, r);
	if (h->shade != shade_lemon)
		open *= 0.5 + 0.5 * smooth(0.4, 1.0, hypot(p.x - lemon.x,
		    p.z - lemon.z));
	return open;
}

static struct v3
light_up(const struct hit *h, struct v3 d)
{
	struct v3 l = unit(to_light), half, c;
	double reach, direct, sky, shine;

	if (h->shade == NULL)
		return vec(0.05, 0.045, 0.04);
	half = unit(add(l, d, -1));
	reach = light_reaching(h);
	direct = fmax(0, 0.12 + 0.88 * dot(h->n, l)) * reach;
	sky = (0.62 + 0.38 * h->n.y) * openness(h);
	shine = fmax(0, dot(h->n, half));
	shine = h->gloss * (0.55 * pow(shine, 60) + 0.12 * pow(shine, 9)) *
	    (0.2 + 0.8 * reach);
	c = vec(h->color.x * (1.75 * direct + 0.36 * sky),
	    h->color.y * (1.62 * direct + 0.38 * sky),
	    h->color.z * (1.42 * direct + 0.43 * sky));
	return add(c, vec(1.0, 0.97, 0.92), 1.5 * shine);
}

/* --- the camera -------------------------------------------------------- */

static void
set_scene(void)
{
	double a;
	int i;

	ahead = unit(vec(-camera.x, 0.30 - camera.y, -0.1 - camera.z));
	right = unit(vec(ahead.z, 0, -ahead.x));
	up = vec(ahead.y * right.z - ahead.z * right.y,
	    ahead.z * right.x - ahead.x * right.z,
	    ahead.x * right.y - ahead.y * right.x);
	for (i = 0; i < KISSES; i++) {
		a = i * 2 * M_PI / KISSES + 0.16 * (speck(i, 1, 1) - 0.5);
		kisses[i] = vec(1.02 * cos(a), TART_TOP + 0.05, 1.02 * sin(a));
		kiss_r[i] = 0.165 + 0.02 * speck(i, 2, 2);
	}
}

static struct v3
see(int x, int y, int ray)
{
	double sx = x + speck(x, y, 100 + ray), sy = y + speck(x, y, 200 + ray);
	double focus = 6.35, lens = 0.045, a, r;
	struct v3 d, o, at;
	struct hit h;

	sx = (sx - WIDTH / 2.0) / WIDTH * 0.86;
	sy = (HEIGHT / 2.0 - sy) / WIDTH * 0.86;
	d = unit(add(add(ahead, right, sx), up, sy));
	at = add(camera, d, focus);
	a = 2 * M_PI * (speck(x, y, 300) + ray / (double)RAYS);
	r = lens * sqrt(speck(x, y, 400 + ray));
	o = add(add(camera, right, r * cos(a)), up, r * sin(a));
	d = unit(add(at, o, -1));
	h = trace(o, d);
	return light_up(&h, d);
}

static int
tone(double v, double grain)
{
	double t;

	v *= 1.15;
	t = v * (2.51 * v + 0.03) / (v * (2.43 * v + 0.59) + 0.14);
	t = pow(clamp01(t), 1 / 2.2) * 255 + grain;
	return t < 0 ? 0 : t > 255 ? 255 : (int)t;
}

static int
pixel(int x, int y)
{
	struct v3 c = { 0, 0, 0 };
	double grain, edge;
	int ray;

	for (ray = 0; ray < RAYS; ray++)
		c = add(c, see(x, y, ray), 1.0 / RAYS);
	edge = hypot((x - WIDTH / 2.0) / WIDTH, (y - HEIGHT / 2.0) / HEIGHT);
	edge = 1 - 0.55 * edge * edge;
	grain = 5.5 * (speck(x, y, 500) + speck(x, y, 501) - 1);
	return gdTrueColor(tone(c.x * edge, grain + 2 * (speck(x, y, 502) -
	    0.5)), tone(c.y * edge, grain), tone(c.z * edge, grain + 3 *
	    (speck(x, y, 503) - 0.5)));
}

/* Where an upright pixel is stored by a camera held in this orientation. */
static void
stored_at(int orientation, int x, int y, int *sx, int *sy)
{
	bool swap = orientation >= 5;
	int w = swap ? HEIGHT : WIDTH, h = swap ? WIDTH : HEIGHT;

	*sx = swap ? y : x;
	*sy = swap ? x : y;
	if (orientation == 2 || orientation == 3 || orientation == 7 ||
	    orientation == 8)
		*sx = w - 1 - *sx;
	if (orientation == 3 || orientation == 4 || orientation == 6 ||
	    orientation == 7)
		*sy = h - 1 - *sy;
}

/* APP1 with an IFD of two entries: Model, Orientation. */
static void
add_exif(struct strbuf *out, int orientation)
{
	static const unsigned char head[] = {
		0xff, 0xe1, 0, 52, 'E', 'x', 'i', 'f', 0, 0,
		'M', 'M', 0, 42, 0, 0, 0, 8, 0, 2,
		0x01, 0x10, 0, 2, 0, 0, 0, 6, 0, 0, 0, 38,
		0x01, 0x12, 0, 3, 0, 0, 0, 1,
	};

	strbuf_add(out, head, sizeof(head));
	strbuf_addch(out, 0);
	strbuf_addch(out, (char)orientation);
	strbuf_add(out, "\0\0\0\0\0\0churns", 12);
}

struct painter {
	gdImagePtr im;
	int orientation;
	int first_row;
	pthread_t thread;
	bool running;
};

static void *
paint_rows(void *arg)
{
	struct painter *p = arg;
	int x, y, sx = 0, sy = 0;

	for (y = p->first_row; y < HEIGHT; y += PAINTERS) {
		for (x = 0; x < WIDTH; x++) {
			stored_at(p->orientation, x, y, &sx, &sy);
			gdImageTrueColorPixel(p->im, sx, sy) = pixel(x, y);
		}
	}
	return NULL;
}

static void
paint(gdImagePtr im, int orientation)
{
	struct painter painters[PAINTERS];
	int i;

	set_scene();
	for (i = 0; i < PAINTERS; i++) {
		painters[i] = (struct painter){ .im = im,
		    .orientation = orientation, .first_row = i };
		painters[i].running = pthread_create(&painters[i].thread, NULL,
		    paint_rows, &painters[i]) == 0;
		if (!painters[i].running)
			paint_rows(&painters[i]);
	}
	for (i = 0; i < PAINTERS; i++)
		if (painters[i].running)
			pthread_join(painters[i].thread, NULL);
}

enum err_code
photo_draw(int orientation, struct strbuf *out, struct err *e)
{
	bool swap = orientation >= 5;
	gdImagePtr im;
	int size = 0;
	char *data;

	im = gdImageCreateTrueColor(swap ? HEIGHT : WIDTH,
	    swap ? WIDTH : HEIGHT);
	if (im == NULL)
		return err_set(e, ERR_SYSTEM, "no memory for a photograph");
	paint(im, orientation);
	data = gdImageJpegPtr(im, &size, JPEG_QUALITY);
	gdImageDestroy(im);
	if (data == NULL || size < 2)
		return err_set(e, ERR_SYSTEM, "the photograph is not encoded");
	strbuf_add(out, data, 2);	/* SOI */
	if (orientation > 0)
		add_exif(out, orientation);
	strbuf_add(out, data + 2, (size_t)size - 2);
	gdFree(data);
	return ERR_OK;
}
