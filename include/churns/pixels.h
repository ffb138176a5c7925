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

#endif
