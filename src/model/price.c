/*
 * Money: what a call costs by the table of prices (generation.md 13.3, 13.4).
 *
 * Money is nano-dollars and prices are nano-dollars per million tokens, so
 * every product is a whole number; a call adds its products up in 128 bits
 * and is rounded once, half up.  Sums of calls are then sums of integers, and
 * a cost summary agrees with the ledger to the last digit.
 */
#include "price.h"

#define TOKENS_PER_PRICE 1000000

/* GCC and Clang have it on every 64-bit target. */
__extension__ typedef unsigned __int128 product;

static product
times(int64_t tokens, int64_t nano_per_million)
{
	if (tokens <= 0 || nano_per_million <= 0)
		return 0;
	return (product)tokens * (product)nano_per_million;
}

/* Half up, and no more than an int64 holds. */
static int64_t
rounded(product sum)
{
	sum = (sum + TOKENS_PER_PRICE / 2) / TOKENS_PER_PRICE;
	return sum > INT64_MAX ? INT64_MAX : (int64_t)sum;
}

int64_t
price_tokens(int64_t tokens, int64_t nano_per_million)
{
	return rounded(times(tokens, nano_per_million));
}

/* Text that was put in. A count of cached tokens that cannot be true, being
 * larger than the whole, is not believed. */
static product
times_input(const struct model_info *m, int64_t tokens, int64_t cached)
{
	if (cached <= 0 || cached > tokens)
		return times(tokens, m->price_input);
	return times(tokens - cached, m->price_input) +
	    times(cached, m->price_cached_input);
}

int64_t
price_chat(const struct model_info *m, const struct usage *u)
{
	if (m == NULL || m->is_free)
		return 0;
	return rounded(times_input(m, u->prompt, u->cached) +
	    times(u->completion, m->price_output));
}

int64_t
price_image(const struct model_info *m, const struct usage *u, int n,
    const char *quality, const char *size)
{
	int64_t text, made;

	if (m == NULL || m->is_free)
		return 0;
	text = u->text_in;
	if (text <= 0)
		text = u->prompt > u->image_in ? u->prompt - u->image_in : 0;
	made = u->image_out;
	if (made <= 0)
		made = n > 0 ? n * tokens_picture(m, quality, size) : 0;
	return rounded(times_input(m, text, u->cached) +
	    times(u->image_in, m->price_image_input) +
	    times(made, m->price_output));
}

int64_t
price_booked(const struct model_info *m, const struct usage *u,
    int n_images, const char *quality, const char *size)
{
	if (u->has_billed)
		return u->billed_nano;
	if (n_images > 0 || (m != NULL && m->is_image))
		return price_image(m, u, n_images, quality, size);
	return price_chat(m, u);
}

/* --- the most a call can cost -------------------------------------------- */

#define MESSAGE_TOKENS 64	/* what a request costs beside its texts */
#define OUTPUT_TOKENS 16	/* that a provider may count beside the answer */

static int64_t
dearer(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

int64_t
price_most(const struct model_info *m, int64_t text_bytes,
    int64_t image_tokens, int64_t output)
{
	int64_t text_rate, image_rate;
	product sum;

	if (m == NULL || m->is_free)
		return 0;
	/* A cache may be dearer than none, and a provider that tells pictures
	 * and text as one number makes either of the other. */
	text_rate = dearer(m->price_input, m->price_cached_input);
	image_rate = dearer(text_rate, m->price_image_input);
	sum = times(text_bytes + MESSAGE_TOKENS, text_rate) +
	    times(image_tokens, image_rate) +
	    times(output + OUTPUT_TOKENS, m->price_output);
	sum = (sum + TOKENS_PER_PRICE - 1) / TOKENS_PER_PRICE;
	return sum > INT64_MAX ? INT64_MAX : (int64_t)sum;
}

/* --- who a model belongs to ---------------------------------------------- */

static bool
starts_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static bool
starts_with_any(const char *s, const char *const *prefixes)
{
	for (; *prefixes != NULL; prefixes++)
		if (starts_with(s, *prefixes))
			return true;
	return false;
}

const char *
provider_guess(const char *model_id)
{
	static const char *const openai[] = {
		"gpt-", "o1-", "o3-", NULL
	};
	static const char *const google[] = { "gemini-", "models/", NULL };
	static const char *const vendors[] = {
		"openai/", "anthropic/", "google/", "meta/"
	};
	size_t i;

	if (starts_with_any(model_id, openai))
		return "openai";
	for (i = 0; i < sizeof(vendors) / sizeof(vendors[0]); i++)
		if (strstr(model_id, vendors[i]) != NULL)
			return "openrouter";
	if (starts_with_any(model_id, google))
		return "google";
	return "unknown";
}

const char *
provider_shown(const struct conf *conf, const char *model_id)
{
	static const char *const openai[] = { "gpt-", "o1", "o3", NULL };
	const struct purpose *p;
	int i;

	for (i = 0; i < PURPOSE__COUNT; i++) {
		p = &conf->purposes[i];
		if (p->model != NULL && p->provider != NULL &&
		    strcmp(p->model->id, model_id) == 0)
			return p->provider->name;
		if (p->fallback_model != NULL &&
		    p->fallback_provider != NULL &&
		    strcmp(p->fallback_model->id, model_id) == 0)
			return p->fallback_provider->name;
	}
	if (starts_with_any(model_id, openai))
		return "openai";
	if (starts_with(model_id, "gemini-"))
		return "google";
	return strchr(model_id, '/') != NULL ? "openrouter" : "unknown";
}
