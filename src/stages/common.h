/*
 * What the stages share, and the pure part of each: text in, text or JSON out,
 * no model, no disk.  The executing part of a stage is thin on purpose; what
 * is worth getting right stands here, where a test can reach it.
 *
 * Text that came from outside (brief, instruction, names of files, goals, but
 * also what a model wrote about them) enters a prompt for a language model
 * only as a fenced block.  Bare placeholders hold what this program decides:
 * names from conf/, numbers, aspects.
 */
#ifndef CHURNS_STAGES_COMMON_H
#define CHURNS_STAGES_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf.h"
#include "context.h"
#include "digest.h"
#include "err.h"
#include "json.h"
#include "model.h"
#include "stage.h"
#include "strbuf.h"
#include "template.h"

#define MAX_VARS 96		/* placeholders of one prompt */
#define MAX_PROMPT_TEXT (64 * 1024)	/* bytes of one rendered part */
#define MAX_LITERALS 8		/* quoted pieces of an overlay text */
#define MAX_NICHES 3		/* asked for and kept */
#define MAX_ALT_CHARS 160
#define DEFAULT_VARIANTS 3
#define ABSENT "N/A"		/* a task or platform that is not known */
#define RUN_PATH_MAX 160	/* bytes of a path relative to it */

/* --- text.c: words ------------------------------------------------------ */

size_t text_chars(const char *s);	/* code points of valid UTF-8 */
/* Nothing is said: NULL, blank, or a word that stands for nothing ("none",
 * "n/a", "null"), which models write where they mean null. */
bool text_is_void(const char *s);
bool text_same(const char *a, const char *b);	/* apart from case and blanks at the ends */
/* At most max_chars, cut at a blank where there is one. free() it. */
char *text_cut(const char *s, size_t max_chars);
/* In one line, blanks and controls made single blanks, cut; NULL when void. */
char *text_one_line(const char *s, size_t max_chars);
/* In one line and ended by a full stop unless it ends itself. NULL when void. */
char *text_sentence(const char *s);

/* Are the words (a literal) in the text, line breaks aside? */
bool text_has(const char *text, const char *words);

/* What stands inside straight double quotes, in order and each in one line,
 * blank ones left out. */
struct literals {
	char *item[MAX_LITERALS];
	int n;
};
void literals_find(const char *s, struct literals *out);
void literals_release(struct literals *l);

/* --- seeded.c: choices that are the same each time ---------------------- */

/* A number in 0..n-1 that depends on the names alone. n >= 1. */
int seeded_choice(const char *run_id, const char *what, int n);

/* --- vars.c: placeholders ----------------------------------------------- */

struct vars {
	struct template_var v[MAX_VARS];
	int n;
};

void vars_release(struct vars *v);
/* Copies value; NULL or blank: the placeholder has no value. A name may be set
 * once. */
void vars_set(struct vars *v, const char *name, const char *value);
void vars_setf(struct vars *v, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void vars_flag(struct vars *v, const char *name, bool on);
const char *vars_get(const struct vars *v, const char *name);	/* NULL: no value */

/* Every name the functions below set, for the stages' lists. */
#define PLACE_NAMES "platform", "platform_instagram_post",			\
	"platform_instagram_story", "platform_facebook",			\
	"platform_pinterest", "platform_xiaohongshu", "platform_other",	\
	"task"
#define ASPECT_NAMES "aspect"
#define TASK_NAMES "task_1", "task_2", "task_3", "task_4", "task_5",		\
	"task_6", "task_7", "task_8", "task_other"
#define LEVEL_NAMES "level", "level_name", "level_1", "level_2", "level_3"
#define BRIEF_NAMES "brief", "overlay"
#define LANGUAGE_NAMES "language", "other_language"
#define REFERENCE_NAMES "reference", "default_edit", "instruction", "subject",	\
	"angle", "setting", "mood", "elements"
#define BRAND_NAMES "brand", "palette", "palette_guidance", "voice", "logo"
#define LETTERING_NAMES "readable_pair"
#define GOAL_NAMES "goals_complete", "goals_partial", "goal_audience",		\
	"goal_objective", "goal_voice", "goal_niche"
#define STRATEGY_NAMES "index", "strategy"

enum palette_layer { LAYER_STYLE, LAYER_CREATIVE };

/* no_task: shown where the run has no task type. */
void vars_place(struct vars *v, const struct conf *conf,
    const struct context *c, const char *no_task);
void vars_aspect(struct vars *v, const struct conf *conf, const struct context *c);
void vars_task(struct vars *v, const struct context *c);
void vars_level(struct vars *v, const struct context *c);
void vars_brief(struct vars *v, const struct context *c);
void vars_language(struct vars *v, const struct conf *conf, const struct context *c);
void vars_reference(struct vars *v, const struct context *c);
void vars_brand(struct vars *v, const struct context *c, enum palette_layer layer);
/* Brand colours for words that have to be read. */
void vars_lettering(struct vars *v, const struct context *c);
void vars_goals(struct vars *v, const struct context *c);
void vars_strategy(struct vars *v, const struct json_object *strategy, int index);

/* --- common.c: what executing stages do alike --------------------------- */

/* The edit the run asks for (generation.md 5.3). */
enum situation {
	SITUATION_FULL,
	SITUATION_LOGO,
	SITUATION_DEFAULT_EDIT,
	SITUATION_INSTRUCTED_EDIT,
	SITUATION_COMPLEX_EDIT,
	SITUATION_ADAPTATION,
	SITUATION__COUNT
};

enum situation situation_of(const struct context *c);
const char *situation_name(enum situation s);	/* assembly_type */

bool goals_are_complete(const struct context *c);
int strategy_count(const struct context *c);	/* 1..MAX_VARIANTS */

/* Aspect the configured image model will be asked for. */
const char *drawn_aspect(const struct conf *conf, const struct context *c);

/* Both parts of a prompt; either may be NULL. ERR_TOO_LARGE, ERR_SYSTEM. */
enum err_code prompt_render(const struct template *t, const struct vars *v,
    struct strbuf *system, struct strbuf *user, struct err *e);

/* A chat request with its texts; chat_call_release() frees what it owns. */
struct chat_call {
	struct chat_request req;
	struct strbuf system, user;
	char suffix[12];
};

void chat_call_init(struct chat_call *k, struct stage_env *env,
    enum purpose_id purpose, const char *stage, const char *schema);
enum err_code chat_call_render(struct chat_call *k,
    const struct stage_env *env, const char *prompt, const struct vars *v,
    struct err *e);
void chat_call_release(struct chat_call *k);
/* Note what a result says beyond its value. */
void result_note(struct stage_env *env, const struct call_result *r);

/* A picture of the run made fit for sending. */
struct picture {
	char path[RUN_PATH_MAX];	/* relative to the run's directory */
	const char *mime;
	int width, height;
};

/*
 * Scale in (relative to the run's directory) into WORK_DIR/NAME.EXT unless that is
 * there already; so lanes and later lives of the job use the same bytes.
 * ERR_INVALID: it cannot be read. Otherwise as stops_job().
 */
enum err_code picture_prepare(struct stage_env *env, const char *in,
    const char *name, int max_side, bool png, struct picture *out,
    struct err *e);
/* What the code of a picture helper that failed is to a stage. */
enum err_code picture_fault(const struct stage_env *env, enum err_code rc,
    struct err *e);
/* The reference as the image model gets it. */
enum err_code picture_reference(struct stage_env *env, const struct context *c,
    struct picture *out, struct err *e);
/* The logo, which must be there. */
enum err_code picture_logo(struct stage_env *env, const struct context *c,
    struct picture *out, struct err *e);
void picture_attach(struct chat_request *req, const struct picture *p);

const char *reference_path(const struct context *c);	/* NULL: no picture */

/* --- brand.c: palettes -------------------------------------------------- */

#define BRAND_MAX_COLOURS 32
#define BRAND_CORE_ROLES 3

enum brand_role {
	ROLE_PRIMARY,
	ROLE_SECONDARY,
	ROLE_ACCENT,		/* the core roles come first */
	ROLE_NEUTRAL_LIGHT,
	ROLE_NEUTRAL_DARK,
	ROLE_UNKNOWN,
	ROLE__COUNT
};

struct brand_colour {
	const char *hex;	/* the JSON's */
	const char *label;	/* NULL: none */
	enum brand_role role;
	double ratio;		/* 0..1; < 0: not given */
	double expected;	/* default share; 0 unless the role is core */
	bool custom_mark;
};

struct brand_colours {
	struct brand_colour c[BRAND_MAX_COLOURS];
	int n;
	bool plain;		/* old data: colour codes without roles */
	bool custom;		/* the user has chosen shares of his own */
	enum brand_role core[BRAND_CORE_ROLES];	/* in order of appearance */
	int n_core;
	int count[ROLE__COUNT];
	double sum[BRAND_CORE_ROLES];	/* of the ratios given */
};

/* colors: the kit's list; NULL gives none. Points into it. */
void brand_analyse(const struct json_object *colors, struct brand_colours *out);
/* WCAG's contrast of two colour codes, 1 to 21; 1 when one is no code. */
double brand_contrast(const char *a, const char *b);
/* The two of the colours that are told apart best, as "#AABBCC and #112233";
 * nothing when no two are readable one on the other. */
void brand_readable_pair(const struct brand_colours *b, struct strbuf *out);
/* The colours, a role a line; words of users are in it. */
void brand_palette_lines(const struct brand_colours *b, struct strbuf *out);
/* How they are to be used; ours alone. */
void brand_palette_guidance(const struct brand_colours *b,
    enum palette_layer layer, struct strbuf *out);
/* Heading, lines and guidance; nothing for an empty list. */
void brand_palette_snippet(const struct json_object *colors,
    enum palette_layer layer, struct strbuf *out);

/* --- image_eval.c ------------------------------------------------------- */

void image_eval_vars(struct vars *v, const struct conf *conf,
    const struct context *c);
/* All six members; all but the subject null unless the picture is edited as
 * told. Takes the reference, gives one. */
struct json_object *image_analysis_shape(struct json_object *answer,
    bool instructed);

/* --- strategy.c --------------------------------------------------------- */

struct niches {
	char *item[MAX_NICHES];
	int n;
};

void niches_release(struct niches *n);
/* From an answer: trimmed, no duplicates, at most MAX_NICHES. */
void niches_take(struct niches *n, const struct json_object *list);
/* 1..MAX_NICHES of the pool's, by the run's id. */
void niches_from_pool(struct niches *n, const struct pool *pool,
    const char *run_id);

/* Without niches they are to be found. have: strategies that are there already
 * (NULL: none). */
void strategy_vars(struct vars *v, const struct conf *conf,
    const struct context *c, const struct niches *niches, int count,
    const struct json_object *have);
/*
 * Append what is usable of an answer's list to have: complete items, no
 * duplicates, at most count in all, each with its niche. Returns how many
 * items were dropped as incomplete or as duplicates.
 */
int strategies_take(struct json_object *have, const struct json_object *list,
    int count, const struct niches *niches, const struct context *c);
/* Append from the pool until there are count. */
void strategies_fill(struct json_object *have, int count,
    const struct niches *niches, const struct pool *pool,
    const struct context *c, const char *run_id);

/* --- style_guide.c ------------------------------------------------------ */

void style_vars(struct vars *v, const struct conf *conf,
    const struct context *c, const struct json_object *strategies, int index);
/* The set of an answer for this strategy; NULL when there is none. */
struct json_object *style_pick(const struct json_object *answer, int index);
struct json_object *style_neutral(int creativity, int index);

/* --- creative_expert.c -------------------------------------------------- */

double concept_temperature(const struct conf *conf, int creativity);
void concept_vars(struct vars *v, const struct conf *conf,
    const struct context *c, const struct json_object *strategy,
    const struct json_object *style, int index);

struct concept_rules {
	bool text_on, branding_on, reference, default_edit;
	const char *overlay;	/* NULL: none */
	bool literals_told;	/* the one complaint about them was made */
};

void concept_rules_of(const struct context *c, struct concept_rules *out);
/* A chat_request.verify; arg is a struct concept_rules. */
void concept_verify(struct json_object *value, struct strbuf *violations,
    void *arg);
/* The record to store: every member there, switches obeyed. Caller's. */
struct json_object *concept_record(const struct json_object *answer,
    const struct concept_rules *rules, int index);

/* --- prompt_assembly.c -------------------------------------------------- */

/*
 * The item for a concept record ({visual_concept, source_strategy_index});
 * position stands in for a missing index. A record without a concept gives an
 * item with "error" and no prompt. Caller's reference.
 */
enum err_code assemble(const struct conf *conf, const struct template *t,
    const struct context *c, const struct json_object *record, int position,
    struct json_object **out, struct err *e);

/* --- image_generation.c ------------------------------------------------- */

/* "generated_image_strategy_2_20250715080112001234", without extension. */
void picture_base_name(int index, bool edited, int64_t started_ms, char *out,
    size_t size);
struct json_object *image_record_failed(const struct context *c,
    const struct err *why);

struct sent_picture {
	const char *type;	/* "reference_image", "logo_image" */
	const char *path;
	int width, height;
};

struct json_object *image_record(const struct conf *conf, int index,
    const char *prompt, const struct image_result *r, const char *file,
    const struct pixels_info *info, const struct sent_picture *sent,
    int n_sent);

/* --- image_assessment.c ------------------------------------------------- */

struct assessment_rules {
	bool reference;		/* a second picture is the client's */
	bool text;		/* the concept has words to render */
	int index;
	const char *image_path;	/* file name */
	bool simulated;
};

enum noise {
	NOISE_UNKNOWN,		/* nobody looked, or nothing was said */
	NOISE_FINE,
	NOISE_TO_REDUCE
};

/* scores: an answer's, NULL when there is none. */
enum noise noise_of(const struct json_object *scores);

void assessment_vars(struct vars *v, const struct conf *conf,
    const struct context *c, const struct json_object *concept,
    const struct assessment_rules *rules);
enum err_code assessment_schema(const struct schema *whole,
    const struct assessment_rules *rules, struct schema **out, struct err *e);
/* ERR_INVALID when a score that everything rests on is missing. */
enum err_code assessment_record(const struct json_object *answer,
    const struct assessment_rules *rules, struct json_object **out,
    struct err *e);

/* --- the stages' rows --------------------------------------------------- */

extern const struct stage_prompt image_eval_prompts[];
extern const struct stage_prompt strategy_prompts[];
extern const struct stage_prompt style_guide_prompts[];
extern const struct stage_prompt creative_expert_prompts[];
extern const struct stage_prompt prompt_assembly_prompts[];
extern const struct stage_prompt image_assessment_prompts[];

enum err_code stage_image_eval(struct stage_env *env, const struct context *c,
    struct json_object **out, struct err *e);
enum err_code stage_strategy(struct stage_env *env, const struct context *c,
    struct json_object **out, struct err *e);
enum err_code stage_style_guide(struct stage_env *env, const struct context *c,
    struct json_object **out, struct err *e);
enum err_code stage_creative_expert(struct stage_env *env,
    const struct context *c, struct json_object **out, struct err *e);
enum err_code stage_prompt_assembly(struct stage_env *env,
    const struct context *c, struct json_object **out, struct err *e);
enum err_code stage_image_generation(struct stage_env *env,
    const struct context *c, struct json_object **out, struct err *e);
enum err_code stage_image_assessment(struct stage_env *env,
    const struct context *c, struct json_object **out, struct err *e);

#endif
