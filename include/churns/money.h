/*
 * Money as text, and other decimal numbers that must not be rounded.  Money is
 * integer nano-dollars everywhere; here is how it reads in a sentence and how
 * people write it.
 */
#ifndef CHURNS_MONEY_H
#define CHURNS_MONEY_H

#include <stdbool.h>
#include <stdint.h>

#include "strbuf.h"

#define NANO_DIGITS 9		/* decimals of a dollar that are kept */
#define MONEY_TEXT_MAX 32

/* "$0.25", "$0.000125", "-$3.00": at least two decimals and as many as it
 * takes to be exact. Returns out. */
const char *money_text(int64_t nano, char out[MONEY_TEXT_MAX]);

/* Dollars as people write them: "0.25", "3", ".5". False for anything else (a
 * sign, an exponent, blanks, a tenth decimal) and beyond max_nano. */
bool money_parse(const char *text, int64_t max_nano, int64_t *out);

/*
 * A decimal number without sign or exponent, times 10^scale, exactly; false
 * when it has more decimals than that or does not fit.
 */
bool decimal_parse(const char *text, int scale, int64_t *out);
/* The shortest text with min_decimals that decimal_parse() reads back. */
void decimal_add(struct strbuf *sb, int64_t value, int scale, int min_decimals);

#endif
