/*
 * What a provider says a call used (generation.md 13.1).
 *
 * The shapes differ in names and not in meaning, so one table of names per
 * figure covers them all, those of providers nobody has met yet included:
 * the first name that is there counts.  A provider is not trusted with the
 * figures either; what is negative or absurd is cut.
 */
#include "price.h"

#include <math.h>

#define MAX_TOKENS 1000000000000	/* per figure */
#define MAX_BILLED_USD 1000000.0	/* no call costs that much */
#define NANO_PER_USD 1e9

/* A count, or -1 when it is not there. */
static int64_t
count_at(const struct json_object *o, const char *path)
{
	struct json_object *v = json_at(o, path);
	double d;

	if (!json_object_is_type(v, json_type_int) &&
	    !json_object_is_type(v, json_type_double))
		return -1;
	d = json_object_get_double(v);
	if (!(d > 0))
		return 0;
	return d > (double)MAX_TOKENS ? MAX_TOKENS : (int64_t)d;
}

/* The first of the paths that leads to a count; 0 when none does. */
static int64_t
count_of(const struct json_object *o, const char *const *paths)
{
	int64_t n;

	for (; *paths != NULL; paths++) {
		n = count_at(o, *paths);
		if (n >= 0)
			return n;
	}
	return 0;
}

/* Gemini tells kinds apart in a list: [{ modality: "IMAGE", tokenCount }]. */
static int64_t
count_modality(const struct json_object *o, const char *list,
    const char *modality)
{
	struct json_object *details = json_get_arr(o, list), *item;
	const char *kind;
	int64_t n, sum = 0;
	size_t i;

	for (i = 0; i < json_len(details) && sum < MAX_TOKENS; i++) {
		item = json_object_array_get_idx(details, i);
		kind = json_get_str(item, "modality");
		n = count_at(item, "tokenCount");
		if (kind != NULL && strcmp(kind, modality) == 0 && n > 0)
			sum += n;
	}
	return sum;
}

static void
read_openai(const struct json_object *o, struct usage *u)
{
	static const char *const prompt[] = {
		"prompt_tokens", "input_tokens", NULL
	};
	static const char *const completion[] = {
		"completion_tokens", "output_tokens", NULL
	};
	static const char *const cached[] = {
		"prompt_tokens_details/cached_tokens",
		"input_tokens_details/cached_tokens", NULL
	};
	static const char *const reasoning[] = {
		"completion_tokens_details/reasoning_tokens",
		"output_tokens_details/reasoning_tokens", NULL
	};
	static const char *const text_in[] = {
		"input_tokens_details/text_tokens",
		"prompt_tokens_details/text_tokens", NULL
	};
	static const char *const image_in[] = {
		"input_tokens_details/image_tokens",
		"prompt_tokens_details/image_tokens", NULL
	};
	static const char *const image_out[] = {
		"output_tokens_details/image_tokens",
		"completion_tokens_details/image_tokens", NULL
	};

	u->prompt = count_of(o, prompt);
	u->completion = count_of(o, completion);
	u->cached = count_of(o, cached);
	u->reasoning = count_of(o, reasoning);
	u->text_in = count_of(o, text_in);
	u->image_in = count_of(o, image_in);
	u->image_out = count_of(o, image_out);
}

/* Thinking is paid like any other output, but counted beside it. */
static void
read_gemini(const struct json_object *o, struct usage *u)
{
	static const char *const prompt[] = { "promptTokenCount", NULL };
	static const char *const completion[] = {
		"candidatesTokenCount", "responseTokenCount", NULL
	};
	static const char *const cached[] = {
		"cachedContentTokenCount", NULL
	};
	static const char *const thoughts[] = { "thoughtsTokenCount", NULL };

	u->prompt = count_of(o, prompt);
	u->reasoning = count_of(o, thoughts);
	u->completion = count_of(o, completion) + u->reasoning;
	u->cached = count_of(o, cached);
	u->text_in = count_modality(o, "promptTokensDetails", "TEXT");
	u->image_in = count_modality(o, "promptTokensDetails", "IMAGE");
	u->image_out = count_modality(o, "candidatesTokensDetails", "IMAGE");
}

/* An amount in dollars, as OpenRouter names it. */
static void
read_billed(const struct json_object *o, struct usage *u)
{
	double usd = json_get_num(o, "cost", -1);

	if (!(usd >= 0) || usd > MAX_BILLED_USD)
		return;
	u->has_billed = true;
	u->billed_nano = (int64_t)floor(usd * NANO_PER_USD + 0.5);
}

static void
read_one(const struct json_object *o, struct usage *u)
{
	static const char *const sums[] = {
		"total_tokens", "totalTokenCount", NULL
	};

	if (json_get(o, "promptTokenCount") != NULL ||
	    json_get(o, "totalTokenCount") != NULL)
		read_gemini(o, u);
	else
		read_openai(o, u);
	read_billed(o, u);
	/* A sum alone: nothing tells its parts apart. */
	if (u->prompt == 0 && u->completion == 0)
		u->prompt = count_of(o, sums);
}

static void
add(struct usage *sum, const struct usage *u)
{
	sum->prompt += u->prompt;
	sum->completion += u->completion;
	sum->cached += u->cached;
	sum->reasoning += u->reasoning;
	sum->text_in += u->text_in;
	sum->image_in += u->image_in;
	sum->image_out += u->image_out;
	sum->billed_nano += u->billed_nano;
	sum->has_billed = sum->has_billed || u->has_billed;
}

/* An images API answers with pictures; what it counts as output is them. */
static bool
is_images_answer(const struct json_object *answer)
{
	return json_get_arr(answer, "data") != NULL;
}

bool
usage_read(const struct json_object *answer, struct usage *out)
{
	static const char *const places[] = {
		"usage", "usageMetadata", "usage_metadata"
	};
	struct json_object *o = NULL;
	struct usage u = { 0 }, one;
	bool told;
	size_t i;

	for (i = 0; o == NULL && i < sizeof(places) / sizeof(places[0]); i++)
		o = json_get(answer, places[i]);
	if (json_object_is_type(o, json_type_array)) {
		for (i = 0; i < json_len(o) && u.prompt < MAX_TOKENS; i++) {
			memset(&one, 0, sizeof(one));
			read_one(json_object_array_get_idx(o, i), &one);
			add(&u, &one);
		}
	} else if (o != NULL) {
		read_one(o, &u);
	}
	if (u.image_out == 0 && is_images_answer(answer))
		u.image_out = u.completion;
	/* Zeros everywhere are a way of saying nothing. */
	told = u.prompt > 0 || u.completion > 0 || u.billed_nano > 0;
	memset(out, 0, sizeof(*out));
	if (told)
		*out = u;
	return told;
}
