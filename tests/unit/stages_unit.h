/*
 * What the files of the stages' tests share: a run to work on, and a model and
 * a picture helper that do as they are told.
 *
 * The model is replaced at its interface (the linker's --wrap), so a stage
 * meets what it meets in earnest: answers go through the tolerant reader, the
 * hook, the schema and the stage's own verification, and an unusable one is
 * asked for once more.
 *
 * JSON is written with ' for ".
 */
#ifndef STAGES_UNIT_H
#define STAGES_UNIT_H

#include "tests/unit/unit.h"

#include "src/stages/common.h"
#include "stages.h"
#include "xalloc.h"

#define add_rows(tc, test, rows) \
	tcase_add_loop_test(tc, test, 0, (int)ARRAY_LEN(rows))

#define RUN_ID "6f1c2f0e-3a52-4a66-9f3e-0d6f6a1b2c3d"
#define T0 INT64_C(1752566472001)

extern struct conf *conf;
extern struct schema_set *schemas;
extern struct prompt_set *prompts;
extern char run_dir[];

#define MAX_TEXT (1024 * 1024)

extern int run_dirfd;

/* text lives until the test ends. */
char *keep(char *text);
/* A copy with " for ', kept. */
char *requoted(const char *text);

void script_begin(void);	/* the fixture's */
void script_end(void);

void stages_setup(void);	/* checked fixture of all cases */
void stages_teardown(void);

/* --- runs --------------------------------------------------------------- */

/* An ordinary run with some inputs changed: members without the braces. It
 * lives until the test ends. */
struct context *run_with(const char *members);
/* Let a stage have given this; NULL takes it back. */
void gave(struct context *c, const char *stage, const char *json);
/* JSON with ' for "; lives until the test ends. */
struct json_object *json(const char *text);

#define PICTURE "'image_reference':{'filename':'my tart.png',"		\
	"'content_type':'image/png','size_bytes':9,'width':800,"	\
	"'height':600,'instruction':null,"				\
	"'saved_image_path_in_run_dir':'input_tart.png'}"
#define PICTURE_TOLD(instruction) "'image_reference':{"			\
	"'filename':'my tart.png','content_type':'image/png',"		\
	"'size_bytes':9,'width':800,'height':600,'instruction':'"	\
	instruction "','saved_image_path_in_run_dir':'input_tart.png'}"
#define LOGO "'apply_branding':true,'brand_kit':{'colors':null,"		\
	"'brand_voice_description':null,'logo_analysis':null,"		\
	"'saved_logo_path_in_run_dir':'logo.png'}"
#define ALL_GOALS "'marketing_goals':{'target_audience':'Night owls',"	\
	"'objective':'Sell the last tray','voice':'Dry wit',"		\
	"'niche':'Late bakery'}"

#define WITH_LOGO "'brand_kit':{'colors':null,'brand_voice_description':"	\
	"null,'logo_analysis':null,'saved_logo_path_in_run_dir':'logo.png'}"
#define TEXT_ON "'render_text':true"
#define BRAND_ON "'apply_branding':true"

/* A kit with everything, each value recognisable. */
#define BRANDED "'apply_branding':true,'brand_kit':{'colors':["		\
	"{'hex':'#C0392B','role':'primary','label':'Brick','ratio':0.6},"	\
	"{'hex':'#F1C40F','role':'secondary','ratio':0.3},"		\
	"{'hex':'#2C3E50','role':'accent','ratio':0.1}],"		\
	"'brand_voice_description':'KITVOICE','logo_analysis':"		\
	"{'logo_style':'LOGOSTYLE','contains_text':true,"		\
	"'extracted_text':'LOGOTEXT','dominant_colors':['#ABCDEF']},"	\
	"'saved_logo_path_in_run_dir':'logo.png'}"

/* What image_eval gave: everything, the subject alone, nothing. */
extern const char seen_all[], seen_subject[], seen_not[];

/* Answers of image_eval and logo_eval. */
extern const char tart[], logo_seen[];

/* Runs of strategies for "gave": n of them, told apart by their number. */
const char *strategies(int n);
const char *styles(int n);
/* A concept answer whose fields are distinct markers; "members" override. */
const char *concept_with(const char *members);

/* --- rendering ---------------------------------------------------------- */

struct rendered {
	char *system, *user;
	char *both;
};
/* Of a prompt of conf/prompts; lives until the test ends. */
struct rendered rendered(const char *prompt, struct vars *v);
void has(const char *text, const char *piece);
void lacks(const char *text, const char *piece);
/* piece occurs, but only inside the named block. */
void fenced(const char *text, const char *block, const char *piece);
int occurrences(const char *text, const char *piece);
/* n words of seven characters and a blank; free() it. */
char *long_text(int n);
/* No two blank lines together: a section has left its blank line behind. */
void no_gaps(const char *text);
/* No stand-in for a missing value anywhere in it. */
void no_stand_ins(const char *text);
/* What every prompt for a language model must do. */
void is_hygienic(const struct rendered *r);
/* text without its blocks; lives until the test ends. */
char *outside_fences(const char *text);

/* --- the model ---------------------------------------------------------- */

/* The next answer to calls of this key: a purpose, with "/suffix" if any. */
void answers(const char *key, const char *text);
void fails(const char *key, enum model_fault fault);
void fails_with(const char *key, enum err_code rc);

struct asked {
	char key[64];
	char *system, *user;
	char images[MODEL_MAX_IMAGES][RUN_PATH_MAX];
	char mimes[MODEL_MAX_IMAGES][16];
	int n_images;
	double temperature;
	int variant;
	bool cacheable;
};

int n_asked(void);
int n_asked_for(const char *key);
const struct asked *asked(const char *key);	/* the last; fails without one */
int n_together(void);	/* calls of the largest model_chat_all() */
bool was_told(const char *key, const char *violation);

/* The next picture a provider sends, and what was asked of it. */
void paints(int width, int height);
void paints_not(enum model_fault fault);
void paints_without_logo(int width, int height);
void sees_nothing(void);	/* pixels_fit() refuses every picture from now on */

struct painted {
	char *prompt;
	char inputs[MODEL_MAX_IMAGES][RUN_PATH_MAX];
	int n_inputs;
	bool has_logo;
	char aspect[16], quality[16];
};
const struct painted *painted(void);
int n_painted(void);
const struct pixels_mark *marked(void);
int n_fitted(void);

/* --- stages ------------------------------------------------------------- */

bool exists(const char *name);	/* in the run's directory */
/* Files in it whose names begin so. */
int count_files(const char *prefix);

struct done {
	enum err_code rc;
	struct err e;
	struct json_object *out;
	struct stage_env env;
};
/* Run a stage of the table; what it gave lives until the test ends. */
struct done run_stage(const char *name, const struct context *c, int variant);
const struct stage *stage_named(const char *name);
/* The warning with this code; NULL: there is none. */
const char *warned(const struct done *d, const char *code);
/* Every item told of an output is valid by the row's schema. */
void keeps_schema(const char *stage, const struct json_object *out);

TCase *stages_text_case(void);
TCase *stages_brand_case(void);
TCase *stages_prompts_case(void);
TCase *stages_inputs_case(void);
TCase *stages_briefing_case(void);
TCase *stages_assembly_case(void);
TCase *stages_strategy_case(void);
TCase *stages_concept_case(void);
TCase *stages_assessment_case(void);
TCase *stages_exec_case(void);
TCase *stages_lane_case(void);

#endif
