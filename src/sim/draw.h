/* Lettering, between draw.c and letters.c. */
#ifndef DRAW_H
#define DRAW_H

#include <gd.h>
#include <gdfontg.h>

#include "sim.h"

/*
 * Draw text with its middle at (cx, cy), as large as fits into w x h pixels,
 * over a shadow.  Without a usable font the built-in bitmap font is enlarged,
 * so words are always there.
 */
void letters_draw(gdImagePtr im, const char *text, int cx, int cy, int w,
    int h, int color, int shadow);

#endif
