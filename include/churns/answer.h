/*
 * Reading what a language model wrote: find the JSON in it, forgive how it is
 * written, hold it against its schema (generation.md section 10, exactly).
 *
 * The tolerant reader never changes the content of an already quoted string
 * and never turns true, false or null into text.
 */
#ifndef CHURNS_ANSWER_H
#define CHURNS_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"
#include "json.h"
#include "schema.h"

#define ANSWER_MAX_BYTES (512 * 1024)
#define ANSWER_MAX_CANDIDATES 32

enum answer_fault {
	ANSWER_FINE = 0,
	ANSWER_EMPTY,		/* nothing but white space */
	ANSWER_TRUNCATED,	/* cut off before its end */
	ANSWER_NO_JSON,		/* no object or array in it */
	ANSWER_INVALID_SCHEMA	/* JSON, but not what was asked for */
};

const char *answer_fault_name(enum answer_fault f);	/* "truncated", ... */

/* Repair a parsed candidate before it is held against the schema: takes the
 * reference, gives one back (the same or another). */
typedef struct json_object *answer_hook(struct json_object *candidate, void *arg);

struct answer_wish {
	const struct schema *schema;	/* NULL: any object or array */
	answer_hook *hook;	/* NULL: none */
	void *hook_arg;
	bool length_cut;	/* the provider said finish_reason "length" */
};

/*
 * ANSWER_FINE: *out is the value (caller's reference). Otherwise *out is
 * untouched; for ANSWER_INVALID_SCHEMA the violations of the best candidate
 * are appended to violations, one a line (NULL: not wanted).
 */
enum answer_fault answer_read(const char *text, size_t len,
    const struct answer_wish *wish, struct json_object **out,
    struct strbuf *violations);

/* One value at the start of text with every tolerance; for tests and the
 * fuzzer. NULL with *used = 0 when it is not JSON even so; NULL for null.
 * *used: bytes consumed. */
struct json_object *tolerant_parse(const char *text, size_t len, size_t *used);

/* Hooks of generation.md 10.3. */
answer_hook hook_strategies;	/* audience/objective/voice -> target_*; bare list;
				 * items that lack one are left out while one is left */
answer_hook hook_style_sets;	/* bare list; missing source_strategy_index by position */
answer_hook hook_concept;	/* a bare concept is wrapped; objects flattened */
answer_hook hook_adaptation;	/* object-valued subject, text, logo */
answer_hook hook_assessment;	/* scores cut to integers and clamped */

#endif
