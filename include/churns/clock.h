/*
 * Time.  Inside, time is integer Unix milliseconds given by the caller, so
 * that tests choose it; only main loops and the model layer read the clock.
 * Outside it is UTC text with Z.
 */
#ifndef CHURNS_CLOCK_H
#define CHURNS_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "banned.h"

#define CLOCK_TEXT_MAX 32	/* "2026-01-01T12:00:00.123000Z" and the NUL */
#define CLOCK_STAMP_MAX 24	/* 20 digits and the NUL */

int64_t clock_now_ms(void);	/* wall clock, Unix milliseconds */
int64_t clock_mono_ms(void);	/* monotonic; only differences mean anything */
int64_t clock_mono_us(void);

/* YYYY-MM-DDTHH:MM:SS[.mmm000]Z; the fraction is left out when it is zero. */
const char *clock_format(int64_t ms, char out[CLOCK_TEXT_MAX]);

/* Reads what clock_format() writes (fraction of 1-9 digits or none, Z or
 * +00:00 or nothing after it). False when it is anything else. */
bool clock_parse(const char *text, int64_t *out_ms);

/* YYYYMMDDhhmmss and six digits (microseconds) in UTC, as in file names. */
const char *clock_stamp(int64_t ms, char out[CLOCK_STAMP_MAX]);

#endif
