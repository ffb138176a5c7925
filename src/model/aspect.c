/*
 * Aspect ratios: the nearest shape a model can draw (generation.md,
 * section 12).
 *
 * Two ratios are the same when they differ by less than EPSILON; so 4:6 is
 * 2:3, and a tie between two candidates is one however the division ended.
 */
#include "aspect.h"

#include <math.h>

#define EPSILON 1e-9
#define MAX_NUMBER_BYTES 32	/* of one side of a ratio */

/* Who wins a tie; everything else comes after them. */
static const char *const preference[] = {
	"1:1", "9:16", "16:9", "3:4", "4:3", "2:3", "3:2"
};
#define N_PREFERENCE ((int)(sizeof(preference) / sizeof(preference[0])))

static const char square[] = "1:1";

/* A positive decimal such as "1.91", blanks around it allowed; 0 otherwise. */
static double
side(const char *s, size_t n)
{
	char text[MAX_NUMBER_BYTES];
	size_t i, dots = 0, digits = 0;

	while (n > 0 && *s == ' ') {
		s++;
		n--;
	}
	while (n > 0 && s[n - 1] == ' ')
		n--;
	if (n >= sizeof(text))
		return 0;
	for (i = 0; i < n; i++) {
		if (s[i] == '.')
			dots++;
		else if (isdigit((unsigned char)s[i]))
			digits++;
		else
			return 0;
	}
	if (dots > 1 || digits == 0)
		return 0;
	memcpy(text, s, n);
	text[n] = '\0';
	return strtod(text, NULL);
}

double
aspect_ratio(const char *text, bool *valid)
{
	const char *colon;
	double width = 0, height = 0;
	bool ok;

	colon = text != NULL ? strchr(text, ':') : NULL;
	if (colon != NULL && strchr(colon + 1, ':') == NULL) {
		width = side(text, (size_t)(colon - text));
		height = side(colon + 1, strlen(colon + 1));
	}
	ok = width > 0 && height > 0;
	if (valid != NULL)
		*valid = ok;
	return ok ? width / height : 1.0;
}

static int
rank(const char *aspect)
{
	int i;

	for (i = 0; i < N_PREFERENCE; i++)
		if (strcmp(preference[i], aspect) == 0)
			break;
	return i;
}

int
aspect_nearest(double target, const char *const *candidates, int n,
    double *difference)
{
	double best = 0, d;
	int i, found = -1;

	for (i = 0; i < n; i++) {
		d = fabs(aspect_ratio(candidates[i], NULL) - target);
		if (found < 0 || d < best - EPSILON ||
		    (d < best + EPSILON &&
		    rank(candidates[i]) < rank(candidates[found]))) {
			found = i;
			best = d;
		}
	}
	if (difference != NULL)
		*difference = best;
	return found;
}

struct aspect_choice
aspect_resolve(const char *text, const struct model_info *model)
{
	struct aspect_choice choice = { square, NULL, NULL };
	const char *candidates[MAX_ASPECTS];
	double target, difference = 0;
	bool valid;
	int i, n, found;

	target = aspect_ratio(text, &valid);
	n = model != NULL ? model->n_aspects : 0;
	if (n == 0) {
		choice.reason = "nothing is known about the shapes of this "
		    "model; square is used";
		return choice;
	}
	found = -1;
	for (i = 0; i < n; i++) {
		candidates[i] = model->aspects[i].aspect;
		if (valid && strcmp(text, candidates[i]) == 0)
			found = i;
	}
	if (found < 0)
		found = aspect_nearest(target, candidates, n, &difference);
	choice.aspect = model->aspects[found].aspect;
	choice.size = model->aspects[found].size;
	if (!valid)
		choice.reason = "not a ratio of two positive numbers; square "
		    "is used";
	else if (difference > EPSILON)
		choice.reason = "the model cannot draw this shape; the "
		    "nearest is used";
	return choice;
}
