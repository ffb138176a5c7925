/*
 * Fuzzing the reader of answers: whatever bytes come, it neither crashes nor
 * leaks, and what it lets through is what it promised.
 *
 * With clang and its libFuzzer, from the root of the source tree:
 *
 *   F="-std=gnu11 -D_GNU_SOURCE -Iinclude/churns -DTOP_SRCDIR=\".\""
 *   F="$F $(pkg-config --cflags --libs json-c yaml-0.1 nettle) -lm -pthread"
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -o fuzz_answer \
 *       tests/fuzz/fuzz_answer.c src/base/[a-z]*.c src/conf/check.c \
 *       src/model/{answer,flatten,hooks,scan}.c \
 *       src/model/{schema*,tolerant,utf8}.c $F
 *   ./fuzz_answer -dict=tests/fuzz/answer.dict -max_len=8192 \
 *       OUT_DIR tests/fuzz/corpus/answer
 *
 * The unit tests call it with hostile texts and with the corpus, so it keeps
 * compiling and what was once found stays found.  The first byte chooses the
 * schema and the hook ('d' none, 'e' creative expert, ...) and whether the
 * provider said "length".
 *
 * Promises checked on every input:
 *   a value is a container, within the depth, in UTF-8 and strictly writable;
 *   with a schema it validates, and fitting it again changes nothing;
 *   valid JSON is read exactly as the strict reader reads it.
 */
#include <assert.h>
#include <stdint.h>

#include "answer.h"
#include "json.h"
#include "schema.h"

#ifndef FUZZ_SCHEMAS
#define FUZZ_SCHEMAS TOP_SRCDIR "/conf/schemas"
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
	const char *schema;	/* NULL: none */
	answer_hook *hook;
} kinds[] = {
	{ NULL, NULL },
	{ "image_generation_prompt", hook_concept },
	{ "visual_concept", hook_adaptation },
	{ "marketing_strategies", hook_strategies },
	{ "style_guidance_list", hook_style_sets },
	{ "image_assessment", hook_assessment },
	{ "noise_assessment", hook_assessment },
	{ "logo_analysis", NULL },
	{ "input_snapshot", NULL },
	{ "image_analysis", NULL }
};
#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* Loaded once and never freed: a fuzzer has no end. */
static const struct schema_set *
all_schemas(void)
{
	static struct schema_set *set;
	struct problems problems;

	if (set == NULL) {
		problems_init(&problems);
		schema_set_load(FUZZ_SCHEMAS, &problems, &set);
		problems_release(&problems);
		assert(set != NULL);
	}
	return set;
}

/* Written out, the value is JSON that the strict reader takes, and the same. */
static void
check_writable(const struct json_object *value)
{
	struct json_object *again = NULL;
	struct err e = ERR_INIT;
	char *text = json_to_text(value);
	char *canonical = json_to_canonical(value), *other;

	assert(json_parse(text, strlen(text), &again, &e) == ERR_OK);
	other = json_to_canonical(again);
	assert(strcmp(canonical, other) == 0);
	json_object_put(again);
	free(other);
	free(canonical);
	free(text);
}

static void
check_fitted(const struct schema *s, struct json_object *value)
{
	struct json_object *again = json_copy(value);
	char *before = json_to_canonical(value), *after;

	assert(schema_check(s, value, NULL) == 0);
	assert(schema_fit(s, &again, NULL) == 0);
	after = json_to_canonical(again);
	assert(strcmp(before, after) == 0);
	json_object_put(again);
	free(before);
	free(after);
}

/* Are there as many digits in a row as only an unsigned integer holds?  The
 * strict reader keeps those, the tolerant one makes them doubles. */
static bool
has_long_digits(const char *text, size_t len)
{
	size_t i, run = 0;

	for (i = 0; i < len && run < 19; i++)
		run = isdigit((unsigned char)text[i]) ? run + 1 : 0;
	return run == 19;
}

/* Where the strict reader finds a value, so does the tolerant one, and the
 * same (except NUL, which the tolerant one replaces). */
static void
check_agreement(const char *text, size_t len)
{
	struct json_object *strict = NULL, *tolerant;
	char *a, *b;
	size_t used = 0;

	if (json_parse(text, len, &strict, NULL) != ERR_OK)
		return;
	if (memmem(text, len, "\\u0000", 6) == NULL &&
	    !has_long_digits(text, len)) {
		tolerant = tolerant_parse(text, len, &used);
		a = json_to_canonical(strict);
		b = json_to_canonical(tolerant);
		assert(used > 0);
		assert(strcmp(a, b) == 0);
		free(a);
		free(b);
		json_object_put(tolerant);
	}
	json_object_put(strict);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct strbuf violations = STRBUF_INIT(65536);
	struct json_object *value = NULL;
	struct answer_wish wish = { 0 };
	const char *text;
	enum answer_fault fault;
	size_t kind;

	if (size == 0)
		return 0;
	kind = data[0] % N_KINDS;
	text = (const char *)data + 1;
	size--;
	if (kinds[kind].schema != NULL)
		wish.schema = schema_get(all_schemas(), kinds[kind].schema);
	wish.hook = kinds[kind].hook;
	wish.length_cut = data[0] >= 128;

	fault = answer_read(text, size, &wish, &value, &violations);
	assert((fault == ANSWER_FINE) == (value != NULL));
	assert((fault == ANSWER_INVALID_SCHEMA) == (violations.len > 0));
	if (value != NULL) {
		assert(json_object_is_type(value, json_type_object) ||
		    json_object_is_type(value, json_type_array));
		check_writable(value);
		if (wish.schema != NULL)
			check_fitted(wish.schema, value);
	}
	check_agreement(text, size);
	json_object_put(value);
	strbuf_release(&violations);
	return 0;
}
