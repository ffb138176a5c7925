/*
 * Which inputs appear in which prompt, and which never do (generation.md 11).
 *
 * One run in which every input is a marker, rendered in three situations:
 *
 *   T   told: a picture with an instruction, text and branding on
 *   K   kept: a picture without one, text and branding on
 *   O   off: no picture, text and branding off, though overlay, kit and the
 *       language of the words are there
 *
 * The table is the lists of section 11 turned round: a row is an input, a
 * column a prompt, an entry the situations in which the one must be in the
 * other.  In all others it must not.  What was written by people or seen by
 * models stands in blocks only, except in the prompt for the image model.
 */
#include "tests/unit/stages_unit.h"

enum prompt_no {
	IMAGE_EVAL, LOGO_EVAL, STRATEGY, STYLE, CONCEPT, ASSEMBLY, ASSESSMENT,
	PROMPT__COUNT
};

static const char *const prompt_names[PROMPT__COUNT] = {
	"image_eval", "logo_eval", "strategy", "style_guide",
	"creative_expert", "prompt_assembly", "image_assessment",
};

static const char situations[] = "TKO";

/* --- the run ------------------------------------------------------------- */

static const char everything[] = "'task_type':'4. Menu Spotlights',"
    "'creativity_level':3,'language':'es','mode':'M-MODE','prompt':'M-BRIEF',"
    "'task_description':'M-OVERLAY','brief_intent':'M-INTENT',"
    "'unified_brief':{'generalBrief':'M-UNIFIED'},"
    "'adaptation_prompt':'M-ADAPT','marketing_goals':{'target_audience':"
    "'M-GAUD','objective':'M-GOBJ','voice':'M-GVOICE','niche':'M-GNICHE'},"
    "'brand_kit':{'colors':[{'hex':'#C0FFEE','role':'primary','label':"
    "'M-LABEL','ratio':0.9},{'hex':'#1A1A55','role':'accent','ratio':0.1}],"
    "'brand_voice_description':'M-VOICE','logo_analysis':{'logo_style':"
    "'M-LOGOSTYLE','contains_text':true,'extracted_text':'M-LOGOTEXT',"
    "'dominant_colors':['#ABCDEF']},'saved_logo_path_in_run_dir':"
    "'M-LOGOPATH.png'}";

#define M_PICTURE(instruction) "'image_reference':{'filename':"		\
	"'M-FILENAME.png','content_type':'image/png','size_bytes':9,"		\
	"'width':800,'height':600,'instruction':" instruction ","		\
	"'saved_image_path_in_run_dir':'M-PATH.png'}"

static struct context *
run_in(char situation)
{
	const char *switches = situation == 'T' ?
	    "'render_text':true,'apply_branding':true,"
	    M_PICTURE("'M-INSTRUCTION'") : situation == 'K' ?
	    "'render_text':true,'apply_branding':true," M_PICTURE("null") :
	    "'render_text':false,'apply_branding':false";
	struct context *c = run_with(keep(xasprintf("%s,%s", everything,
	    switches)));

	if (situation != 'O')
		gave(c, "image_eval", "{'image_analysis':{'main_subject':"
		    "'M-SUBJECT','angle_orientation':'M-ANGLE',"
		    "'secondary_elements':['M-ELEMENT'],"
		    "'setting_environment':'M-SETTING','style_mood':'M-MOOD',"
		    "'extracted_text':'M-SEENTEXT'}}");
	return c;
}

static const char two_strategies[] = "{'marketing_strategies':["
    "{'target_audience':'M-OTHERAUD','target_niche':'M-OTHERNICHE',"
    "'target_objective':'M-OTHEROBJ','target_voice':'M-OTHERVOICE'},"
    "{'target_audience':'M-AUD','target_niche':'M-NICHE',"
    "'target_objective':'M-OBJ','target_voice':'M-SAYS'}]}";
static const char style_set[] = "{'style_keywords':['M-KEYWORD'],"
    "'style_description':'M-STYLE','marketing_impact':'M-EFFECT',"
    "'source_strategy_index':1}";

/* As the stage would have stored it in this situation. */
static struct json_object *
concept_in(const struct context *c)
{
	struct concept_rules rules;
	struct json_object *record, *copy;
	char *text;

	concept_rules_of(c, &rules);
	record = concept_record(json(concept_with("'main_subject':'M-SUBJ',"
	    "'composition_and_framing':'M-COMP','background_environment':"
	    "'M-BG','foreground_elements':'M-FG','lighting_and_mood':"
	    "'M-LIGHT','color_palette':'M-PAL','visual_style':'M-LOOK',"
	    "'promotional_text_visuals':'M-PROMO','logo_visuals':'M-LOGO',"
	    "'texture_and_details':'M-TEX','negative_elements':'M-NEG',"
	    "'creative_reasoning':'M-WHY','suggested_alt_text':'M-ALT'")),
	    &rules, 1);
	text = json_to_text(record);
	copy = json(text);
	free(text);
	json_object_put(record);
	return copy;
}

/* --- rendering ----------------------------------------------------------- */

static struct rendered
assembled(const struct context *c)
{
	struct json_object *item = NULL;
	struct rendered r = { NULL, NULL, NULL };
	struct err e = ERR_INIT;

	ck_ok(assemble(conf, prompts_get(prompts, "prompt_assembly"), c,
	    concept_in(c), 1, &item, &e), &e);
	r.user = keep(xstrdup(json_get_str(item, "prompt")));
	r.system = keep(xstrdup(""));
	r.both = r.user;
	json_object_put(item);
	return r;
}

static struct rendered
rendered_in(enum prompt_no p, char situation)
{
	static char offered[] = "M-OFFERED";
	struct niches niches = { .item = { offered }, .n = 1 };
	struct assessment_rules rules = { .reference = situation != 'O',
	    .text = situation != 'O', .index = 1 };
	struct context *c = run_in(situation);
	struct json_object *all = json(two_strategies);
	struct vars v = { .n = 0 };

	switch (p) {
	case IMAGE_EVAL:
		image_eval_vars(&v, conf, c);
		break;
	case LOGO_EVAL:
		break;
	case STRATEGY:
		strategy_vars(&v, conf, c, &niches, 2,
		    json("[{'target_audience':'M-HAVE','target_niche':'n',"
		    "'target_objective':'o','target_voice':'v'}]"));
		break;
	case STYLE:
		style_vars(&v, conf, c, json_get_arr(all,
		    "marketing_strategies"), 1);
		break;
	case CONCEPT:
		concept_vars(&v, conf, c,
		    json_at(all, "marketing_strategies/1"), json(style_set),
		    1);
		break;
	case ASSEMBLY:
		return assembled(c);
	case ASSESSMENT:
		assessment_vars(&v, conf, c, json_get(concept_in(c),
		    "visual_concept"), &rules);
		break;
	case PROMPT__COUNT:
		break;
	}
	return rendered(prompt_names[p], &v);
}

/* --- what is where ------------------------------------------------------- */

static const struct {
	const char *marker;
	bool bare;		/* our own word, or one that cannot do harm */
	const char *in[PROMPT__COUNT];	/* NULL: never */
} rows[] = {
	/*		       image  logo  strat. style  concept assembly assess. */
	/* what the client wrote */
	{ "M-BRIEF", false,	{ NULL, NULL, "TKO", "TKO", "TKO", NULL, NULL } },
	{ "M-OVERLAY", false,	{ NULL, NULL, "TKO", NULL, "TK", NULL, NULL } },
	{ "M-INSTRUCTION", false, { "T", NULL, "T", "T", "T", "T", NULL } },
	{ "M-FILENAME", false,	{ NULL, NULL, NULL, NULL, "TK", NULL, NULL } },
	{ "M-GAUD", false,	{ NULL, NULL, "TKO", NULL, NULL, NULL, NULL } },
	{ "M-GOBJ", false,	{ NULL, NULL, "TKO", NULL, NULL, NULL, NULL } },
	{ "M-GVOICE", false,	{ NULL, NULL, "TKO", NULL, NULL, NULL, NULL } },
	{ "M-GNICHE", false,	{ NULL, NULL, "TKO", NULL, NULL, NULL, NULL } },
	/* what the client chose */
	{ "4. Menu Spotlights", true,
	    { "TKO", NULL, "TKO", "TKO", "TKO", NULL, "TKO" } },
	{ "Instagram Post", true,
	    { "TKO", NULL, "TKO", "TKO", "TKO", NULL, "TKO" } },
	{ "level: 3, Abstract", true,
	    { NULL, NULL, NULL, "TKO", "TKO", NULL, "TKO" } },
	{ "Output language: Spanish", true,
	    { NULL, NULL, NULL, NULL, "TKO", NULL, NULL } },
	{ "spect ratio", true,
	    { NULL, NULL, NULL, NULL, "TKO", "TKO", NULL } },
	{ "Text: ON", true,	{ NULL, NULL, NULL, NULL, "TK", NULL, NULL } },
	{ "Branding: ON", true,	{ NULL, NULL, NULL, NULL, "TK", NULL, NULL } },
	/* what was seen in the picture */
	{ "M-SUBJECT", false,	{ NULL, NULL, "TK", "TK", "TK", NULL, NULL } },
	{ "M-ANGLE", false,	{ NULL, NULL, NULL, "T", "T", NULL, NULL } },
	{ "M-SETTING", false,	{ NULL, NULL, NULL, "T", "T", NULL, NULL } },
	{ "M-MOOD", false,	{ NULL, NULL, NULL, "T", "T", NULL, NULL } },
	{ "M-ELEMENT", false,	{ NULL, NULL, NULL, "T", "T", NULL, NULL } },
	{ "M-SEENTEXT", false,	{ NULL, NULL, NULL, NULL, NULL, NULL, NULL } },
	/* the brand */
	{ "M-LABEL", false,	{ NULL, NULL, NULL, "TK", "TK", NULL, NULL } },
	{ "#C0FFEE", true,	{ NULL, NULL, NULL, "TK", "TK", NULL, NULL } },
	{ "read most easily in", true,
	    { NULL, NULL, NULL, NULL, "TK", NULL, NULL } },
	{ "M-VOICE", false,	{ NULL, NULL, NULL, "TK", "TK", NULL, NULL } },
	{ "M-LOGOSTYLE", false,	{ NULL, NULL, NULL, "TK", "TK", NULL, NULL } },
	{ "M-LOGOTEXT", false,	{ NULL, NULL, NULL, "TK", "TK", NULL, NULL } },
	{ "#ABCDEF", false,	{ NULL, NULL, NULL, "TK", "TK", NULL, NULL } },
	/* what earlier stages made */
	{ "M-OFFERED", false,	{ NULL, NULL, "TKO", NULL, NULL, NULL, NULL } },
	{ "M-HAVE", false,	{ NULL, NULL, "TKO", NULL, NULL, NULL, NULL } },
	{ "M-AUD", false,	{ NULL, NULL, NULL, "TKO", "TKO", NULL, NULL } },
	{ "M-NICHE", false,	{ NULL, NULL, NULL, "TKO", "TKO", NULL, NULL } },
	{ "M-OBJ", false,	{ NULL, NULL, NULL, "TKO", "TKO", NULL, NULL } },
	{ "M-SAYS", false,	{ NULL, NULL, NULL, "TKO", "TKO", NULL, NULL } },
	{ "M-OTHERAUD", false,	{ NULL, NULL, NULL, "TKO", NULL, NULL, NULL } },
	{ "M-OTHERVOICE", false, { NULL, NULL, NULL, "TKO", NULL, NULL, NULL } },
	{ "M-KEYWORD", false,	{ NULL, NULL, NULL, NULL, "TKO", NULL, NULL } },
	{ "M-STYLE", false,	{ NULL, NULL, NULL, NULL, "TKO", NULL, NULL } },
	{ "M-EFFECT", false,	{ NULL, NULL, NULL, NULL, "TKO", NULL, NULL } },
	/* the concept */
	{ "M-SUBJ\"", false,	{ NULL, NULL, NULL, NULL, NULL, NULL, "TO" } },
	{ "M-SUBJ.", false,	{ NULL, NULL, NULL, NULL, NULL, "TO", NULL } },
	{ "M-COMP", false,	{ NULL, NULL, NULL, NULL, NULL, "TKO", "TKO" } },
	{ "M-BG", false,	{ NULL, NULL, NULL, NULL, NULL, "TKO", "TKO" } },
	{ "M-FG", false,	{ NULL, NULL, NULL, NULL, NULL, "TKO", "TKO" } },
	{ "M-LIGHT", false,	{ NULL, NULL, NULL, NULL, NULL, "TKO", "TKO" } },
	{ "M-PAL", false,	{ NULL, NULL, NULL, NULL, NULL, "TKO", "TKO" } },
	{ "M-LOOK", false,	{ NULL, NULL, NULL, NULL, NULL, "TKO", "TKO" } },
	{ "M-PROMO", false,	{ NULL, NULL, NULL, NULL, NULL, "TK", "TK" } },
	{ "M-LOGO\"", false,	{ NULL, NULL, NULL, NULL, NULL, NULL, "TK" } },
	{ "M-LOGO.", false,	{ NULL, NULL, NULL, NULL, NULL, "TK", NULL } },
	{ "M-TEX", false,	{ NULL, NULL, NULL, NULL, NULL, "TKO", "TKO" } },
	{ "M-NEG", false,	{ NULL, NULL, NULL, NULL, NULL, "TKO", "TKO" } },
	{ "M-WHY", false,	{ NULL, NULL, NULL, NULL, NULL, NULL, NULL } },
	{ "M-ALT", false,	{ NULL, NULL, NULL, NULL, NULL, NULL, NULL } },
	/* nobody's business */
	{ "M-MODE", false,	{ NULL, NULL, NULL, NULL, NULL, NULL, NULL } },
	{ "M-INTENT", false,	{ NULL, NULL, NULL, NULL, NULL, NULL, NULL } },
	{ "M-UNIFIED", false,	{ NULL, NULL, NULL, NULL, NULL, NULL, NULL } },
	{ "M-ADAPT", false,	{ NULL, NULL, NULL, NULL, NULL, NULL, NULL } },
	{ "M-PATH", false,	{ NULL, NULL, NULL, NULL, NULL, NULL, NULL } },
	{ "M-LOGOPATH", false,	{ NULL, NULL, NULL, NULL, NULL, NULL, NULL } },
	{ RUN_ID, false,	{ NULL, NULL, NULL, NULL, NULL, NULL, NULL } },
};

START_TEST(each_input_is_in_the_prompts_it_belongs_to_and_in_no_other)
{
	enum prompt_no p = (enum prompt_no)(_i / 3);
	char situation = situations[_i % 3];
	struct rendered r = rendered_in(p, situation);
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		const char *wanted = rows[i].in[p];
		bool is_in = strstr(r.both, rows[i].marker) != NULL;

		ck_assert_msg(is_in == (wanted != NULL &&
		    strchr(wanted, situation) != NULL),
		    "%s, situation %c: %s is %s", prompt_names[p], situation,
		    rows[i].marker, is_in ? "there" : "missing");
		if (!rows[i].bare && p != ASSEMBLY)
			lacks(outside_fences(r.both), rows[i].marker);
	}
	no_gaps(r.user);
	no_gaps(r.system);
}
END_TEST

/* Everything above what changes is the same for all requests, so that
 * providers can keep it (generation.md 9.7). */
START_TEST(what_never_changes_comes_first)
{
	static const size_t same[PROMPT__COUNT] = {	/* 0: the whole part */
		[CONCEPT] = 8000, [ASSESSMENT] = 2000
	};
	enum prompt_no p = (enum prompt_no)_i;
	struct rendered told, other;
	const char *s;

	if (p == ASSEMBLY)
		return;		/* an image model has no system part */
	told = rendered_in(p, 'T');
	for (s = situations + 1; *s != '\0'; s++) {
		other = rendered_in(p, *s);
		if (same[p] == 0)
			ck_assert_str_eq(told.system, other.system);
		else
			ck_assert_int_eq(strncmp(told.system, other.system,
			    same[p]), 0);
	}
	lacks(told.system, "M-");
}
END_TEST

TCase *
stages_inputs_case(void)
{
	TCase *tc = tcase_create("inputs of prompts");

	tcase_add_checked_fixture(tc, stages_setup, stages_teardown);
	tcase_add_loop_test(tc,
	    each_input_is_in_the_prompts_it_belongs_to_and_in_no_other, 0,
	    3 * PROMPT__COUNT);
	tcase_add_loop_test(tc, what_never_changes_comes_first, 0,
	    PROMPT__COUNT);
	return tc;
}
