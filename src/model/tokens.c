/*
 * How many tokens a picture or a text costs, before or without being told by
 * the provider (generation.md 13.2).
 *
 * Everything is whole numbers: where a rule says "cut to an integer" the
 * division does it, and no sum depends on how a fraction was rounded.
 */
#include "price.h"

#define MAX_SIDE_PX (1 << 20)	/* larger pictures do not exist */

#define PATCH_PX 32
#define PATCHES_MAX 1536

#define TILE_PX 512
#define TILE_LONG_MAX_PX 2048	/* scaled down to this first */
#define TILE_SHORT_PX 768	/* then to this, up or down */

#define AREA_PX 1048576		/* 1024 x 1024 cost AREA_TOKENS */
#define AREA_TOKENS 1000
#define AREA_TOKENS_MIN 100

#define MOST_AREA_PX 512
#define MOST_SIDE_PX 4096	/* of a picture whose size is not known */
#define MOST_TOKENS_MIN 512
#define GOOGLE_TILE_MIN_PX 256
#define GOOGLE_TILE_MAX_PX 768
#define GOOGLE_TILE_TOKENS 258

#define USUAL_QUALITY "medium"
#define USUAL_SIZE "1024x1024"

static int64_t
ceil_div(int64_t a, int64_t b)
{
	return (a + b - 1) / b;
}

static int64_t
by_area(int64_t w, int64_t h)
{
	int64_t tokens = w * h * AREA_TOKENS / AREA_PX;

	return tokens < AREA_TOKENS_MIN ? AREA_TOKENS_MIN : tokens;
}

static int64_t
by_patch(double factor, int64_t w, int64_t h)
{
	int64_t patches = ceil_div(w, PATCH_PX) * ceil_div(h, PATCH_PX);

	if (patches > PATCHES_MAX)
		patches = PATCHES_MAX;
	return (int64_t)((double)patches * factor);
}

/* Scale both sides so that `from` becomes `to`. */
static void
scale(int64_t *w, int64_t *h, int64_t from, int64_t to)
{
	*w = *w * to / from;
	*h = *h * to / from;
}

static int64_t
by_tile(const struct model_info *m, int64_t w, int64_t h, bool high_detail)
{
	int64_t longer, shorter;

	if (!high_detail)
		return m->tile_base;
	longer = w > h ? w : h;
	if (longer > TILE_LONG_MAX_PX)
		scale(&w, &h, longer, TILE_LONG_MAX_PX);
	shorter = w < h ? w : h;
	if (shorter == 0)
		return by_area(w, h);	/* a line too thin for a pixel */
	scale(&w, &h, shorter, TILE_SHORT_PX);
	return m->tile_base +
	    m->tile_tokens * ceil_div(w, TILE_PX) * ceil_div(h, TILE_PX);
}

int64_t
tokens_image(const struct model_info *m, int w, int h, bool high_detail)
{
	if (w <= 0 || h <= 0)
		return AREA_TOKENS_MIN;
	if (w > MAX_SIDE_PX)
		w = MAX_SIDE_PX;
	if (h > MAX_SIDE_PX)
		h = MAX_SIDE_PX;
	if (m == NULL)
		return by_area(w, h);
	switch (m->token_rule) {
	case TOKENS_AREA:
		return by_area(w, h);
	case TOKENS_PATCH:
		return by_patch(m->patch_factor, w, h);
	case TOKENS_TILE:
		return by_tile(m, w, h, high_detail);
	}
	return by_area(w, h);
}

/*
 * What providers count for a picture whose model has no rule of its own: by
 * area at most a token for 512 pixels (Anthropic 750, Qwen 784); Google 258 for
 * each tile, whose side is two thirds of the shorter side or as much as fits.
 */
static int64_t
most_by_area(int64_t w, int64_t h)
{
	int64_t tokens = ceil_div(w * h, MOST_AREA_PX), tiles;
	int64_t side = (w < h ? w : h) * 2 / 3;

	if (side < GOOGLE_TILE_MIN_PX)
		side = GOOGLE_TILE_MIN_PX;
	if (side > GOOGLE_TILE_MAX_PX)
		side = GOOGLE_TILE_MAX_PX;
	tiles = ceil_div(w, side) * ceil_div(h, side);
	return tiles * GOOGLE_TILE_TOKENS > tokens ?
	    tiles * GOOGLE_TILE_TOKENS : tokens;
}

int64_t
tokens_image_most(const struct model_info *m, int w, int h, bool high_detail)
{
	int64_t tokens, area;

	if (w <= 0 || h <= 0)
		w = h = MOST_SIDE_PX;
	if (w > MAX_SIDE_PX)
		w = MAX_SIDE_PX;
	if (h > MAX_SIDE_PX)
		h = MAX_SIDE_PX;
	tokens = tokens_image(m, w, h, high_detail);
	if (m == NULL || m->token_rule == TOKENS_AREA) {
		area = most_by_area(w, h);
		if (area > tokens)
			tokens = area;
	}
	/* Rules cut fractions, and nobody counts less than a tile. */
	return tokens + 1 > MOST_TOKENS_MIN ? tokens + 1 : MOST_TOKENS_MIN;
}

int64_t
tokens_text(const char *text)
{
	int64_t words = 0;
	bool inside = false;

	for (; *text != '\0'; text++) {
		if (isspace((unsigned char)*text)) {
			inside = false;
		} else if (!inside) {
			inside = true;
			words++;
		}
	}
	return words * 13 / 10;
}

/* How well an entry fits what is asked for: quality counts before size, and
 * what is exact before what is usual. 0: by its presence alone. */
static int
fitness(const struct image_price *p, const char *quality, const char *size)
{
	int fit = 0;

	if (quality != NULL && strcmp(p->quality, quality) == 0)
		fit += 100;
	else if (p->quality[0] == '\0')
		fit += 50;
	else if (strcmp(p->quality, USUAL_QUALITY) == 0)
		fit += 20;
	if (size != NULL && strcmp(p->size, size) == 0)
		fit += 10;
	else if (p->size[0] == '\0')
		fit += 5;
	else if (strcmp(p->size, USUAL_SIZE) == 0)
		fit += 2;
	return fit;
}

int64_t
tokens_picture(const struct model_info *m, const char *quality,
    const char *size)
{
	const struct image_price *best = NULL, *p;
	int i;

	for (i = 0; m != NULL && i < m->n_image_prices; i++) {
		p = &m->image_prices[i];
		if (best == NULL || fitness(p, quality, size) >
		    fitness(best, quality, size))
			best = p;
	}
	return best != NULL ? best->tokens : 0;
}

int64_t
tokens_picture_most(const struct model_info *m, const char *quality,
    const char *size)
{
	int64_t most = 0;
	int i;

	for (i = 0; m != NULL && i < m->n_image_prices; i++) {
		const struct image_price *p = &m->image_prices[i];

		if ((p->quality[0] == '\0' || (quality != NULL &&
		    strcmp(p->quality, quality) == 0)) &&
		    (p->size[0] == '\0' || (size != NULL &&
		    strcmp(p->size, size) == 0)))
			return p->tokens;
		if (p->tokens > most)
			most = p->tokens;
	}
	return most;
}
