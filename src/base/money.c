/*
 * Decimal numbers as integers: exact in both directions, since what is shown is
 * compared with bills and what is written is a limit.
 */
#include "money.h"

#include <ctype.h>
#include <stdio.h>

#define MIN_DECIMALS 2

static bool
add_digit(int64_t *value, int digit)
{
	return !__builtin_mul_overflow(*value, 10, value) &&
	    !__builtin_add_overflow(*value, digit, value);
}

bool
decimal_parse(const char *text, int scale, int64_t *out)
{
	int64_t value = 0;
	int decimals = 0, digits = 0;
	bool after_point = false;

	for (; *text != '\0'; text++) {
		if (*text == '.' && !after_point) {
			after_point = true;
			continue;
		}
		if (!isdigit((unsigned char)*text))
			return false;
		digits++;
		if (after_point && decimals == scale) {
			if (*text != '0')
				return false;
			continue;
		}
		if (!add_digit(&value, *text - '0'))
			return false;
		if (after_point)
			decimals++;
	}
	for (; decimals < scale; decimals++) {
		if (!add_digit(&value, 0))
			return false;
	}
	if (digits == 0)
		return false;
	*out = value;
	return true;
}

void
decimal_add(struct strbuf *sb, int64_t value, int scale, int min_decimals)
{
	int64_t unit = 1;
	char fraction[24];
	int i, len;

	for (i = 0; i < scale; i++)
		unit *= 10;
	strbuf_addf(sb, "%lld", (long long)(value / unit));
	len = snprintf(fraction, sizeof(fraction), "%0*lld", scale,
	    (long long)(value % unit));
	if (scale == 0)
		len = 0;
	while (len > min_decimals && fraction[len - 1] == '0')
		len--;
	if (len > 0)
		strbuf_addf(sb, ".%.*s", len, fraction);
}

const char *
money_text(int64_t nano, char out[MONEY_TEXT_MAX])
{
	struct strbuf sb = STRBUF_INIT(MONEY_TEXT_MAX);

	strbuf_addstr(&sb, nano < 0 ? "-$" : "$");
	/* The least number has no positive twin; a nano-dollar is forgiven. */
	decimal_add(&sb, nano == INT64_MIN ? INT64_MAX : nano < 0 ? -nano :
	    nano, NANO_DIGITS, MIN_DECIMALS);
	snprintf(out, MONEY_TEXT_MAX, "%s", sb.buf);
	strbuf_release(&sb);
	return out;
}

bool
money_parse(const char *text, int64_t max_nano, int64_t *out)
{
	int64_t nano;

	if (!decimal_parse(text, NANO_DIGITS, &nano) || nano > max_nano)
		return false;
	*out = nano;
	return true;
}
