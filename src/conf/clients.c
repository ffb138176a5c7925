/*
 * The client summary: who can be asked for what, without a secret.
 *
 * The names are those of the first implementation, which built an object for
 * each and a second one for structured answers; people and scripts that watch
 * it know them.  Here they are a view of what was resolved: a client is
 * configured when the provider of its purpose is there with the key it wants.
 */
#include "internal.h"

#include "xalloc.h"

static const struct {
	const char *base, *structured;
	enum purpose_id purpose;
} text_clients[] = {
	{ "base_llm_client_img_eval", "instructor_client_img_eval",
	  PURPOSE_IMAGE_EVAL },
	{ "base_llm_client_strategy", "instructor_client_strategy",
	  PURPOSE_STRATEGY_GOALS },
	{ "base_llm_client_style_guide", "instructor_client_style_guide",
	  PURPOSE_STYLE_GUIDE },
	{ "base_llm_client_creative_expert",
	  "instructor_client_creative_expert", PURPOSE_CREATIVE_EXPERT },
	{ "base_llm_client_image_assessment",
	  "instructor_client_image_assessment", PURPOSE_IMAGE_ASSESSMENT },
	{ "base_llm_client_caption", "instructor_client_caption",
	  PURPOSE_CAPTION },
	{ "base_llm_client_style_adaptation",
	  "instructor_client_style_adaptation", PURPOSE_STYLE_ADAPTATION },
};

/* Pictures: by provider, since changes of a picture are always OpenAI's. */
static const struct {
	const char *name;
	enum wire wire;
	const char *provider;	/* NULL: the one that makes the pictures */
} picture_clients[] = {
	{ "image_gen_client", WIRE_OPENAI, "openai" },
	{ "image_gen_client_openai", WIRE_OPENAI, "openai" },
	{ "image_gen_client_gemini", WIRE_GEMINI, NULL },
	{ "image_refinement_client", WIRE_OPENAI, "openai" },
};

_Static_assert(2 * ARRAY_LEN(text_clients) + ARRAY_LEN(picture_clients) ==
    CONF_CLIENTS, "a client is missing");

static bool
is_usable(const struct provider *p)
{
	return p != NULL && (p->key != NULL || p->key_env == NULL ||
	    p->simulated);
}

int
conf_clients(const struct conf *conf, struct conf_client out[CONF_CLIENTS])
{
	const struct provider *p;
	int found = 0, n = 0;
	size_t i;

	for (i = 0; i < ARRAY_LEN(text_clients); i++) {
		p = conf->purposes[text_clients[i].purpose].provider;
		out[n].name = text_clients[i].base;
		out[n++].configured = is_usable(p);
		out[n].name = text_clients[i].structured;
		out[n++].configured = is_usable(p);
	}
	for (i = 0; i < ARRAY_LEN(picture_clients); i++) {
		p = picture_clients[i].provider != NULL ?
		    conf_provider(conf, picture_clients[i].provider) :
		    conf->purposes[PURPOSE_IMAGE_GENERATION].provider;
		out[n].name = picture_clients[i].name;
		out[n++].configured = is_usable(p) &&
		    p->wire == picture_clients[i].wire;
	}
	for (i = 0; i < CONF_CLIENTS; i++)
		found += out[i].configured ? 1 : 0;
	return found;
}
