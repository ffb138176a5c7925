/*
 * Pictures are decoded and drawn by churns-image, in a process of its own with
 * an empty environment; this is how the runner asks it.  At most max_parallel
 * helpers run at once; others wait.  All paths are relative to dir.
 *
 * Errors: ERR_INVALID (not a picture we take, broken, too many pixels, or one
 * that the helper died of twice: the message says which), ERR_TIMEOUT (of one
 * picture), ERR_CANCELLED, ERR_LOST, ERR_FULL, ERR_SYSTEM (no helper, it cannot
 * work, somebody killed it).
 */
#ifndef CHURNS_PIXELS_H
#define CHURNS_PIXELS_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "http.h"
#include "json.h"

struct pixels;

/* helper: path of churns-image. ERR_CONFIG when it cannot be executed. */
enum err_code pixels_new(const char *helper, int max_parallel,
    int64_t max_image_pixels, struct pixels **out, struct err *e);
void pixels_free(struct pixels *p);

struct pixels_info {
	char type[8];		/* "png", "jpeg", "webp", "gif" */
	int width, height;
	int orientation;	/* EXIF, 1..8 */
	int64_t bytes;
};

enum err_code pixels_inspect(struct pixels *p, const char *dir,
    const char *in, struct cancel *cancel, struct pixels_info *out,
    struct err *e);

/* Orientation applied, at most max_side on the long side, metadata stripped. */
enum err_code pixels_fit(struct pixels *p, const char *dir, const char *in,
    const char *out_path, int max_side, bool png, struct cancel *cancel,
    struct pixels_info *out, struct err *e);

struct pixels_mark {
	const char *run_id, *model, *prompt_hash;
	bool simulated;
};

/* Verify a provider's picture, write it beneath base name out_base with the
 * right extension and our metadata. *file (free() it) is its base name. */
enum err_code pixels_finish(struct pixels *p, const char *dir, const char *in,
    const char *out_base, const struct pixels_mark *mark,
    struct cancel *cancel, char **file, struct pixels_info *out,
    struct err *e);

/* At most that wide, a JPEG on white that keeps the mark of in. */
enum err_code pixels_thumb(struct pixels *p, const char *dir, const char *in,
    const char *out_path, int width, struct cancel *cancel,
    struct pixels_info *out, struct err *e);

/* --- editing a part of a picture ------------------------------------------- */

struct pixels_mask {
	int width, height;
	int64_t selected;	/* pixels that may change */
	double share;		/* of all */
};

/*
 * A mask that people painted (white: may change) for the picture base. What is
 * not NULL is made of it: api, the provider's form (transparent: may change),
 * and region, that part of base with nothing around it.  ERR_INVALID when it is
 * no 8-bit grey, RGB or RGBA PNG, has not the size of base, or selects nothing:
 * the message names the sizes.
 */
enum err_code pixels_mask(struct pixels *p, const char *dir,
    const char *base, const char *mask, const char *api, const char *region,
    struct cancel *cancel, struct pixels_mask *out, struct err *e);

/* Draw such a mask for base from shapes: JSON, one or a list of rectangles,
 * circles and polygons in fractions of the picture. */
enum err_code pixels_draw_mask(struct pixels *p, const char *dir,
    const char *base, const char *shapes, const char *out_path,
    struct cancel *cancel, struct pixels_mask *out, struct err *e);

/* The edited picture with base put back, to the last bit, where the mask says
 * that nothing may change; a PNG of base's size. *done is false, and nothing
 * written, when the two have different shapes. */
enum err_code pixels_composite(struct pixels *p, const char *dir,
    const char *base, const char *mask, const char *edited,
    const char *out_path, struct cancel *cancel, bool *done, struct err *e);

/* How far other, scaled to base, is from it, in levels of 0..255. */
enum err_code pixels_compare(struct pixels *p, const char *dir,
    const char *base, const char *other, struct cancel *cancel, int *max_gap,
    double *mean_gap, struct err *e);

#endif
