/*
 * Usage and money (generation.md section 13).  Tokens are counts, money is
 * nano-dollars, rounded half up once per call.  Pure functions.
 */
#ifndef CHURNS_PRICE_H
#define CHURNS_PRICE_H

#include <stdbool.h>
#include <stdint.h>

#include "conf.h"
#include "json.h"

struct usage {
	int64_t prompt, completion, cached, reasoning;
	int64_t text_in, image_in;	/* parts of prompt, where told apart */
	int64_t image_out;	/* image tokens of the answer */
	bool estimated;		/* the provider was silent: the figures are ours */
	bool has_billed;
	int64_t billed_nano;	/* the provider named the amount (usage.cost) */
};

/* From a provider's answer: OpenAI/OpenRouter chat, OpenAI images, Gemini
 * usageMetadata, or anything alike. False when there is none (*out zeroed). */
bool usage_read(const struct json_object *answer, struct usage *out);

/* A text or vision call. m NULL or without price: 0. */
int64_t price_chat(const struct model_info *m, const struct usage *u);
/* A picture call with n pictures; u->image_out 0: by the model's table. */
int64_t price_image(const struct model_info *m, const struct usage *u, int n,
    const char *quality, const char *size);
/* The amount to book: billed when the provider named it, else the price. */
int64_t price_booked(const struct model_info *m, const struct usage *u,
    int n_images, const char *quality, const char *size);

/*
 * The most that can be billed for a call that sends text_bytes of text and
 * pictures of image_tokens, and is answered with output tokens: at least as much
 * as price_booked() makes of any usage within that, rounded up.  Every byte
 * counts as a token, since no tokenizer makes more of it; tokens count at the
 * dearest rate they could be told as.
 */
int64_t price_most(const struct model_info *m, int64_t text_bytes,
    int64_t image_tokens, int64_t output);

/* Tokens one input picture costs (13.2). m NULL: the area rule. */
int64_t tokens_image(const struct model_info *m, int w, int h, bool high_detail);
/* The most it can cost: where the rule is a provider's own, that; where we have
 * none ("area"), what providers are known to count at most. */
int64_t tokens_image_most(const struct model_info *m, int w, int h,
    bool high_detail);
/* Words times 1.3, cut; for when a provider is silent and for estimates. */
int64_t tokens_text(const char *text);
/* Output tokens of one picture by the model's table, nearest entry: an unknown
 * quality counts as "medium", an unknown size as "1024x1024". */
int64_t tokens_picture(const struct model_info *m, const char *quality,
    const char *size);

/* The same as an upper bound: without an exact entry the dearest one. */
int64_t tokens_picture_most(const struct model_info *m, const char *quality,
    const char *size);

/* Integer rate * tokens / 1e6, half up, without overflow. */
int64_t price_tokens(int64_t tokens, int64_t nano_per_million);

/* Who a model id belongs to by its looks (13.1): "openai", "openrouter",
 * "google", "unknown". */
const char *provider_guess(const char *model_id);
/* Who to show as its provider: the configured one of a purpose that uses it,
 * else by its looks ("openai", "google", "openrouter", "unknown"). */
const char *provider_shown(const struct conf *conf, const char *model_id);

#endif
