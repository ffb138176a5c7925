/*
 * The unified brief: one object that says what the client wants to happen with
 * words and picture, laid over the older fields (generation.md 5.3).
 */
#include "internal.h"

#include "xalloc.h"

static const char *const intents[] = { "fullGeneration", "defaultEdit",
	"instructedEdit", "styleAdaptation", "logoOnly" };

static bool
is_intent(const char *s)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(intents); i++)
		if (strcmp(s, intents[i]) == 0)
			return true;
	return false;
}

static void
check_text(const struct json_object *o, const char *key, const char *shown,
    struct faults *faults)
{
	struct json_object *v = json_get(o, key);

	if (v != NULL && !json_object_is_type(v, json_type_string))
		faults_rule(faults, "unified_brief",
		    "unified_brief.%s must be text.", shown);
}

void
brief_check(const struct json_object *brief, struct faults *faults)
{
	struct json_object *overlay;
	const char *intent;

	if (!json_object_is_type(brief, json_type_object)) {
		faults_rule(faults, "unified_brief",
		    "unified_brief must be a JSON object.");
		return;
	}
	intent = json_get_str(brief, "intentType");
	if (intent == NULL || !is_intent(intent))
		faults_rule(faults, "unified_brief",
		    "unified_brief.intentType must be one of fullGeneration, "
		    "defaultEdit, instructedEdit, styleAdaptation, logoOnly.");
	if (json_get_str(brief, "generalBrief") == NULL)
		faults_rule(faults, "unified_brief",
		    "unified_brief.generalBrief is required and must be text.");
	check_text(brief, "editInstruction", "editInstruction", faults);
	overlay = json_get(brief, "textOverlay");
	if (overlay != NULL && !json_object_is_type(overlay, json_type_object))
		faults_rule(faults, "unified_brief",
		    "unified_brief.textOverlay must be an object or null.");
	else
		check_text(overlay, "raw", "textOverlay.raw", faults);
}

static const char *
filled(const char *s)
{
	return s != NULL && *s != '\0' ? s : NULL;
}

static void
apply_edit(const struct json_object *brief, struct brief *b,
    struct faults *faults)
{
	const char *instruction =
	    filled(json_get_str(brief, "editInstruction"));

	if (strcmp(b->intent, "instructedEdit") == 0) {
		if (!b->has_image)
			faults_rule(faults, "unified_brief",
			    "An edit needs a picture: add image_file, or "
			    "choose the intent fullGeneration.");
		if (instruction != NULL)
			b->instruction = instruction;
	} else if (strcmp(b->intent, "styleAdaptation") != 0) {
		/* Keep the subject as it is: an older field does not turn it
		 * into an edit. */
		b->instruction = NULL;
	}
}

void
brief_apply(const struct json_object *brief, struct brief *b,
    struct faults *faults)
{
	const char *text;

	if (brief == NULL)
		return;
	b->intent = json_get_str(brief, "intentType");
	if (b->intent == NULL)
		return;		/* told by brief_check() */
	text = filled(json_get_str(brief, "generalBrief"));
	if (text != NULL)
		b->prompt = text;
	text = filled(json_get_str(json_get_obj(brief, "textOverlay"), "raw"));
	if (text != NULL)
		b->overlay = text;
	apply_edit(brief, b, faults);
	if (strcmp(b->intent, "logoOnly") == 0) {
		if (!b->has_logo)
			faults_rule(faults, "unified_brief",
			    "The intent logoOnly needs a logo in brand_kit and "
			    "apply_branding switched on.");
		b->drop_image = true;
	}
	if (strcmp(b->intent, "styleAdaptation") == 0)
		faults_rule(faults, "unified_brief",
		    "The intent styleAdaptation needs a style preset, and "
		    "presets are not available on this server yet.");
}
