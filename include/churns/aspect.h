/* Aspect ratios: what the platform wants against what an image model can do
 * (generation.md section 12). Pure functions over the model's table. */
#ifndef CHURNS_ASPECT_H
#define CHURNS_ASPECT_H

#include <stdbool.h>

#include "conf.h"

struct aspect_choice {
	const char *aspect;	/* one of the model's, or "1:1" */
	const char *size;	/* "1024x1536"; NULL where the provider takes none */
	const char *reason;	/* why it is not what was asked; NULL: it is */
};

/* Width/height; 1.0 and *valid = false when text is malformed (no colon, more
 * than two parts, not numbers, zero or negative). valid may be NULL. */
double aspect_ratio(const char *text, bool *valid);

/* model NULL (unknown provider): "1:1", no size, a reason. Never fails. */
struct aspect_choice aspect_resolve(const char *text,
    const struct model_info *model);

/* Position of the nearest of n candidates; ties by 1:1, 9:16, 16:9, 3:4, 4:3,
 * 2:3, 3:2. -1 when n is 0. *difference may be NULL. */
int aspect_nearest(double target, const char *const *candidates, int n,
    double *difference);

#endif
