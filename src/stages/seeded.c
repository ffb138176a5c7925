/*
 * Choices that look random and are the same each time: a stage that runs again
 * after a crash must give what it gave before, and a user who looks at a run
 * twice must see one run.  The seed is the run's id, so two runs differ.
 */
#include "common.h"

#include <assert.h>

#define SEED_HEX_DIGITS 15	/* 60 bits; the bias of % n is beyond notice */

int
seeded_choice(const char *run_id, const char *what, int n)
{
	char hex[DIGEST_HEX_MAX];
	struct digest d;

	assert(n >= 1);
	digest_init(&d);
	digest_add_field(&d, run_id);
	digest_add_field(&d, what);
	digest_hex(&d, hex);
	hex[SEED_HEX_DIGITS] = '\0';
	return (int)(strtoull(hex, NULL, 16) % (unsigned int)n);
}
