/*
 * From what a model wrote to the value that was asked for (generation.md,
 * section 10).
 *
 * The scanner finds the candidates, the tolerant reader reads them, a hook
 * mends what a model is known to get wrong, the schema decides.  In order of
 * preference:
 *
 *   with a schema     the first candidate in strict JSON that validates, then
 *                     the first in any writing that validates
 *   without           the longest in strict JSON, then the longest in any
 *
 * A candidate that validates wins over everything else, even over "length".
 * Otherwise an answer that was cut is `truncated` before it is anything else,
 * since the remedy is more room and not another question.
 *
 * Candidates are read one at a time and again for the second look; holding all
 * of them would cost the memory of the whole answer many times over.
 */
#include "answer.h"

#include "reading.h"

#define MAX_VIOLATIONS_BYTES (16 * 1024)

enum writing { NOT_JSON, STRICT, TOLERANT };

struct search {
	const char *text;
	const struct answer_wish *wish;
	struct scan scan;
	enum writing writing[ANSWER_MAX_CANDIDATES];
	struct json_object *value;	/* what was found; NULL while nothing was */
	struct strbuf faults;	/* of the best candidate that does not validate */
	int n_faults;		/* how many; 0: there is no such candidate */
};

/* Candidate i, or NULL: it is a container, so never null itself. */
static struct json_object *
read_candidate(const struct search *s, int i, enum writing *writing)
{
	const struct span *span = &s->scan.spans[i];
	struct json_object *value = NULL;
	size_t used = 0;
	bool strict = false;

	*writing = NOT_JSON;
	if (!tolerant_read(s->text + span->at, span->len, &used, &strict,
	    &value))
		return NULL;
	if (used != span->len) {
		json_object_put(value);
		return NULL;
	}
	*writing = strict ? STRICT : TOLERANT;
	return value;
}

static struct json_object *
mended(const struct search *s, struct json_object *value)
{
	if (s->wish->hook == NULL)
		return value;
	return s->wish->hook(value, s->wish->hook_arg);
}

/* Hold a candidate against the schema: it becomes the value, or its faults are
 * remembered if they are the fewest yet. Takes the reference. */
static void
try_candidate(struct search *s, struct json_object *value)
{
	struct strbuf faults = STRBUF_INIT(MAX_VIOLATIONS_BYTES);
	struct strbuf other;
	int n;

	value = mended(s, value);
	n = schema_fit(s->wish->schema, &value, &faults);
	if (n == 0) {
		s->value = value;
		value = NULL;
	} else if (s->n_faults == 0 || n < s->n_faults) {
		other = s->faults;
		s->faults = faults;
		faults = other;
		s->n_faults = n;
	}
	json_object_put(value);
	strbuf_release(&faults);
}

static void
search_by_schema(struct search *s)
{
	struct json_object *value;
	enum writing writing;
	int i;

	for (i = 0; i < s->scan.n && s->value == NULL; i++) {
		value = read_candidate(s, i, &s->writing[i]);
		if (s->writing[i] == STRICT)
			try_candidate(s, value);
		else
			json_object_put(value);
	}
	for (i = 0; i < s->scan.n && s->value == NULL; i++) {
		if (s->writing[i] != TOLERANT)
			continue;
		value = read_candidate(s, i, &writing);
		try_candidate(s, value);
	}
}

static void
search_by_length(struct search *s)
{
	enum writing best = NOT_JSON, writing;
	struct json_object *value;
	size_t longest = 0;
	bool better;
	int i;

	for (i = 0; i < s->scan.n; i++) {
		value = read_candidate(s, i, &writing);
		if (best == STRICT)
			better = writing == STRICT &&
			    s->scan.spans[i].len > longest;
		else
			better = writing == STRICT || (writing == TOLERANT &&
			    s->scan.spans[i].len > longest);
		if (!better) {
			json_object_put(value);
			continue;
		}
		json_object_put(s->value);
		s->value = value;
		best = writing;
		longest = s->scan.spans[i].len;
	}
	if (s->value != NULL)
		s->value = mended(s, s->value);
}

enum answer_fault
answer_read(const char *text, size_t len, const struct answer_wish *wish,
    struct json_object **out, struct strbuf *violations)
{
	struct search s = { .text = text, .wish = wish,
	    .faults = STRBUF_INIT(MAX_VIOLATIONS_BYTES) };
	enum answer_fault fault = ANSWER_FINE;
	bool cut = wish->length_cut;

	if (len > ANSWER_MAX_BYTES) {
		len = ANSWER_MAX_BYTES;
		cut = true;
	}
	scan_answer(text, len, &s.scan);
	if (wish->schema != NULL)
		search_by_schema(&s);
	else
		search_by_length(&s);

	if (s.value != NULL &&
	    (wish->schema != NULL || !cut || !s.scan.open)) {
		*out = s.value;
		s.value = NULL;
	} else if (cut || s.scan.open) {
		fault = ANSWER_TRUNCATED;
	} else if (s.n_faults > 0) {
		fault = ANSWER_INVALID_SCHEMA;
		if (violations != NULL)
			strbuf_addstr(violations, s.faults.buf);
	} else if (s.scan.blank) {
		fault = ANSWER_EMPTY;
	} else {
		fault = ANSWER_NO_JSON;
	}
	json_object_put(s.value);
	strbuf_release(&s.faults);
	return fault;
}

const char *
answer_fault_name(enum answer_fault f)
{
	switch (f) {
	case ANSWER_FINE:
		return "fine";
	case ANSWER_EMPTY:
		return "empty";
	case ANSWER_TRUNCATED:
		return "truncated";
	case ANSWER_NO_JSON:
		return "no_json";
	case ANSWER_INVALID_SCHEMA:
		return "invalid_schema";
	}
	return "unknown";
}
