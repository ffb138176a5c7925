/*
 * Time: reading the clocks, and UTC text.
 *
 * Text is only ever made from and turned into Unix milliseconds in UTC; no
 * time zone of the host plays a part.  A year has four digits: times outside
 * 0000-9999 are shown as the nearest one inside.
 */
#include "clock.h"

#include <assert.h>

#define MS_PER_S 1000
#define MS_MIN (-INT64_C(62167219200000))	/* start of year 0000 */
#define MS_MAX INT64_C(253402300799999)	/* end of year 9999 */
#define FRACTION_DIGITS_MAX 9

static int64_t
read_us(clockid_t id)
{
	struct timespec ts;
	int rc;

	rc = clock_gettime(id, &ts);
	assert(rc == 0);
	(void)rc;
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
clock_now_ms(void)
{
	return read_us(CLOCK_REALTIME) / 1000;
}

int64_t
clock_mono_ms(void)
{
	return read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t
clock_mono_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}

/* Split into calendar fields and the milliseconds of the second. */
static int
split(int64_t ms, struct tm *tm)
{
	time_t seconds;
	int64_t rest;

	if (ms < MS_MIN)
		ms = MS_MIN;
	if (ms > MS_MAX)
		ms = MS_MAX;
	rest = ms % MS_PER_S;
	if (rest < 0)
		rest += MS_PER_S;
	seconds = (time_t)((ms - rest) / MS_PER_S);
	gmtime_r(&seconds, tm);
	return (int)rest;
}

/* Two digits whatever the field holds, which also bounds what is printed. */
static unsigned
two(int field)
{
	return (unsigned)field % 100;
}

const char *
clock_format(int64_t ms, char out[CLOCK_TEXT_MAX])
{
	struct tm tm;
	char fraction[8] = "";
	unsigned rest;

	rest = (unsigned)split(ms, &tm) % MS_PER_S;
	if (rest > 0)
		snprintf(fraction, sizeof(fraction), ".%03u000", rest);
	snprintf(out, CLOCK_TEXT_MAX, "%04u-%02u-%02uT%02u:%02u:%02u%sZ",
	    (unsigned)(tm.tm_year + 1900) % 10000, two(tm.tm_mon + 1),
	    two(tm.tm_mday), two(tm.tm_hour), two(tm.tm_min), two(tm.tm_sec),
	    fraction);
	return out;
}

const char *
clock_stamp(int64_t ms, char out[CLOCK_STAMP_MAX])
{
	struct tm tm;
	unsigned rest;

	rest = (unsigned)split(ms, &tm) % MS_PER_S;
	snprintf(out, CLOCK_STAMP_MAX, "%04u%02u%02u%02u%02u%02u%03u000",
	    (unsigned)(tm.tm_year + 1900) % 10000, two(tm.tm_mon + 1),
	    two(tm.tm_mday), two(tm.tm_hour), two(tm.tm_min), two(tm.tm_sec),
	    rest);
	return out;
}

/* Exactly n digits at *p, which is moved behind them. */
static bool
read_digits(const char **p, int n, int *out)
{
	int value = 0;

	for (; n > 0; n--, (*p)++) {
		if (!isdigit((unsigned char)**p))
			return false;
		value = value * 10 + (**p - '0');
	}
	*out = value;
	return true;
}

static bool
read_char(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

static bool
read_date_and_time(const char **p, struct tm *tm)
{
	bool ok;

	ok = read_digits(p, 4, &tm->tm_year) && read_char(p, '-') &&
	    read_digits(p, 2, &tm->tm_mon) && read_char(p, '-') &&
	    read_digits(p, 2, &tm->tm_mday) && read_char(p, 'T') &&
	    read_digits(p, 2, &tm->tm_hour) && read_char(p, ':') &&
	    read_digits(p, 2, &tm->tm_min) && read_char(p, ':') &&
	    read_digits(p, 2, &tm->tm_sec);
	tm->tm_year -= 1900;
	tm->tm_mon -= 1;
	return ok;
}

/* A fraction, if one is there, in whole milliseconds. */
static bool
read_fraction(const char **p, int *out_ms)
{
	int digits = 0, ms = 0;

	if (!read_char(p, '.')) {
		*out_ms = 0;
		return true;
	}
	for (; isdigit((unsigned char)**p); (*p)++) {
		if (digits < 3)
			ms = ms * 10 + (**p - '0');
		digits++;
	}
	if (digits == 0 || digits > FRACTION_DIGITS_MAX)
		return false;
	for (; digits < 3; digits++)
		ms *= 10;
	*out_ms = ms;
	return true;
}

bool
clock_parse(const char *text, int64_t *out_ms)
{
	struct tm asked, tm;
	const char *p = text;
	time_t seconds;
	int ms;

	if (text == NULL)
		return false;
	memset(&asked, 0, sizeof(asked));
	if (!read_date_and_time(&p, &asked) || !read_fraction(&p, &ms))
		return false;
	if (strcmp(p, "Z") != 0 && strcmp(p, "+00:00") != 0 && *p != '\0')
		return false;
	/* timegm() carries the 31st of February over into March; whatever it
	 * had to carry was not a date. */
	tm = asked;
	seconds = timegm(&tm);
	if (tm.tm_year != asked.tm_year || tm.tm_mon != asked.tm_mon ||
	    tm.tm_mday != asked.tm_mday || tm.tm_hour != asked.tm_hour ||
	    tm.tm_min != asked.tm_min || tm.tm_sec != asked.tm_sec)
		return false;
	*out_ms = (int64_t)seconds * MS_PER_S + ms;
	return true;
}
