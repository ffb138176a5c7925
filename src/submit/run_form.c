/*
 * POST /api/v1/runs: from a form to a request, or to all of its faults.
 *
 * Every rule is looked at whatever the others said, so that a client mends its
 * form once.  Type faults (a number that is none) win over broken rules, since
 * they are answered in another shape.
 *
 * Two documents come out: "form", what the run detail shows again, and
 * "inputs", what the pipeline works from (context.h), normalised: defaults
 * filled in, language in lower case, mode derived, the unified brief laid over
 * the older fields, brand kit only with branding on.
 */
#include "internal.h"

#include <fcntl.h>
#include <unistd.h>

#include "digest.h"
#include "file.h"
#include "xalloc.h"

#define DEFAULT_CREATIVITY 2
#define DEFAULT_VARIANTS 3
#define DEFAULT_LANGUAGE "en"
#define MAX_LISTED 600		/* characters of a list of choices in a sentence */

/* Everything one check works with. */
struct check {
	const struct conf *conf;
	const struct form *form;
	struct faults *faults;
	struct json_object *out_form;	/* owned by the request */
	struct json_object *inputs;
	/* kept while the request is put together */
	const struct platform *platform;
	int64_t creativity, variants;
	bool render_text, apply_branding;
	char language[4];
	const struct form_file *image;
	enum image_type image_type;
	int image_w, image_h;
	struct json_object *brief_doc;	/* owned */
	struct brief brief;
	struct brand_kit kit;
};

struct text_rule {
	const char *name;
	const char *title;	/* in sentences */
	size_t limit_offset;	/* of an int in struct settings; 0: max_chars */
	int max_chars;
};

#define SETTING(field) offsetof(struct settings, field)

/* Fields that are text and kept as they are. */
static const struct text_rule text_rules[] = {
	{ "prompt", "The brief", SETTING(max_brief_chars), 0 },
	{ "task_description", "The text for the picture",
	  SETTING(max_overlay_chars), 0 },
	{ "image_instruction", "The picture instruction",
	  SETTING(max_instruction_chars), 0 },
	{ "marketing_audience", "The audience", 0, MAX_GOAL_CHARS },
	{ "marketing_objective", "The objective", 0, MAX_GOAL_CHARS },
	{ "marketing_voice", "The voice", 0, MAX_GOAL_CHARS },
	{ "marketing_niche", "The niche", 0, MAX_GOAL_CHARS },
	{ "adaptation_prompt", "The adaptation prompt",
	  SETTING(max_instruction_chars), 0 },
};

static const char *const modes[] = { "easy_mode", "custom_mode",
	"task_specific_mode" };

/* --- fields --------------------------------------------------------------------- */

static int
rule_limit(const struct conf *conf, const struct text_rule *r)
{
	if (r->limit_offset == 0)
		return r->max_chars;
	return *(const int *)((const char *)&conf->settings +
	    r->limit_offset);
}

/* Broken UTF-8 never comes further than here. */
static bool
check_length(struct check *c, const char *field, const char *title,
    const char *s, int limit)
{
	int64_t n = utf8_length(s, strlen(s));

	if (n < 0)
		faults_rule(c->faults, field, "%s is not valid UTF-8 text.",
		    title);
	else if (n > limit)
		faults_rule(c->faults, field, "%s has %lld characters; at most "
		    "%d are taken.", title, (long long)n, limit);
	else
		return true;
	return false;
}

static void
check_texts(struct check *c)
{
	const struct form_field *field;
	size_t i;
	int j;

	for (i = 0; i < ARRAY_LEN(text_rules); i++) {
		const char *s = form_get(c->form, text_rules[i].name);

		if (s != NULL)
			check_length(c, text_rules[i].name,
			    text_rules[i].title, s,
			    rule_limit(c->conf, &text_rules[i]));
		json_put_str(c->out_form, text_rules[i].name, s);
	}
	for (j = 0; j < c->form->n_fields; j++) {
		field = &c->form->fields[j];
		if (field->value != NULL &&
		    strlen(field->value) != field->len)
			faults_rule(c->faults, field->name, "The field %s "
			    "contains a zero byte.", field->name);
	}
}

/* A field that we read as text must not have been sent as a file. */
static void
check_kinds(struct check *c)
{
	const char *name;
	int i;

	for (i = 0; i < run_form_shape.n; i++) {
		name = run_form_shape.fields[i].name;
		if (run_form_shape.fields[i].kind != FIELD_FILE &&
		    form_get_file(c->form, name) != NULL)
			faults_type(c->faults, "string_type", "body", name,
			    NULL, "%s must be sent as text, not as a file.",
			    name);
	}
}

static int64_t
int_field(struct check *c, const char *name, int64_t dflt, int64_t min,
    int64_t max, const char *rule)
{
	const char *s = form_get(c->form, name);
	int64_t v = dflt;

	if (s != NULL && !parse_int(s, &v))
		faults_type(c->faults, "int_parsing", "body", name, s,
		    "%s must be a whole number.", name);
	else if (v < min || v > max)
		faults_rule(c->faults, name, "%s", rule);
	json_put_int(c->out_form, name, v);
	return v;
}

static bool
bool_field(struct check *c, const char *name)
{
	const char *s = form_get(c->form, name);
	bool v = false;

	if (s != NULL && !parse_bool(s, &v))
		faults_type(c->faults, "bool_parsing", "body", name, s,
		    "%s must be true or false.", name);
	json_put_bool(c->out_form, name, v);
	return v;
}

static void
check_platform(struct check *c)
{
	const char *s = form_get(c->form, "platform_name");
	struct strbuf list = STRBUF_INIT(MAX_LISTED);
	int i;

	json_put_str(c->out_form, "platform_name", s);
	if (s == NULL) {
		faults_type(c->faults, "missing", "body", "platform_name",
		    NULL, "Field required");
		return;
	}
	c->platform = conf_platform(c->conf, s);
	if (c->platform != NULL)
		return;
	for (i = 0; i < c->conf->n_platforms; i++)
		strbuf_addf(&list, "%s%s", i > 0 ? "; " : "",
		    c->conf->platforms[i].name);
	faults_rule(c->faults, "platform_name",
	    "platform_name must be one of: %s.", list.buf);
	strbuf_release(&list);
}

static void
check_language(struct check *c)
{
	const char *s = form_get(c->form, "language");
	size_t i;

	snprintf(c->language, sizeof(c->language), "%s", DEFAULT_LANGUAGE);
	if (s != NULL) {
		for (i = 0; i < sizeof(c->language) - 1 && s[i] != '\0'; i++)
			c->language[i] = (char)tolower((unsigned char)s[i]);
		c->language[i] = '\0';
		if (s[i] != '\0' ||
		    conf_language(c->conf, c->language) == NULL)
			faults_rule(c->faults, "language", "language must be "
			    "the two-letter code of a language we write in, "
			    "such as en, es or zh.");
	}
	json_put_str(c->out_form, "language", c->language);
}

static void
check_task_type(struct check *c)
{
	const char *s = form_get(c->form, "task_type");

	if (s != NULL && conf_task_type(c->conf, s) == NULL)
		faults_rule(c->faults, "task_type", "task_type is not one of "
		    "the %d task types; GET /api/v1/config/task-types lists "
		    "them.", c->conf->n_task_types);
	json_put_str(c->out_form, "task_type", s);
}

static bool
has_goal(const struct form *f)
{
	return form_get(f, "marketing_audience") != NULL ||
	    form_get(f, "marketing_objective") != NULL ||
	    form_get(f, "marketing_voice") != NULL ||
	    form_get(f, "marketing_niche") != NULL;
}

static const char *
check_mode(struct check *c)
{
	const char *s = form_get(c->form, "mode");
	size_t i;

	if (s == NULL)
		return form_get(c->form, "task_type") != NULL ? modes[2] :
		    has_goal(c->form) ? modes[1] : modes[0];
	for (i = 0; i < ARRAY_LEN(modes); i++)
		if (strcmp(s, modes[i]) == 0)
			return modes[i];
	faults_rule(c->faults, "mode", "mode must be easy_mode, custom_mode or "
	    "task_specific_mode; it may be left out.");
	return modes[0];
}

/* A field that holds a JSON object; NULL when not sent or faulty. */
static struct json_object *
json_field(struct check *c, const char *name)
{
	const char *s = form_get(c->form, name);
	struct json_object *o = NULL;
	struct err e = ERR_INIT;

	if (s == NULL)
		return NULL;
	if (strlen(s) > MAX_SMALL_JSON_BYTES)
		faults_rule(c->faults, name, "%s is longer than %d bytes.",
		    name, MAX_SMALL_JSON_BYTES);
	else if (json_weight(s, strlen(s)) > MAX_JSON_VALUES)
		faults_rule(c->faults, name, "%s holds more than %d values.",
		    name, MAX_JSON_VALUES);
	else if (json_parse(s, strlen(s), &o, &e) != ERR_OK)
		faults_rule(c->faults, name, "%s is not JSON: %s.", name,
		    e.msg);
	else if (!json_object_is_type(o, json_type_object))
		faults_rule(c->faults, name, "%s must be a JSON object.",
		    name);
	else
		return o;
	json_object_put(o);
	return NULL;
}

static void
check_presets(struct check *c)
{
	const char *type = form_get(c->form, "preset_type");

	if (form_get(c->form, "preset_id") != NULL)
		faults_rule(c->faults, "preset_id", "Presets are not available "
		    "on this server yet; leave preset_id out.");
	if (type != NULL && strcmp(type, "INPUT_TEMPLATE") != 0 &&
	    strcmp(type, "STYLE_RECIPE") != 0)
		faults_rule(c->faults, "preset_type", "preset_type must be "
		    "INPUT_TEMPLATE or STYLE_RECIPE.");
	/* Kept as sent; without a preset the run itself is an ordinary one. */
	json_put_str(c->out_form, "preset_type", type);
	json_put_obj(c->out_form, "template_overrides",
	    json_field(c, "template_overrides"));
}

/* A recipe is shown beside the picture it was applied to: its name beneath
 * the run's directory. */
static void
put_base_image(struct check *c, const char *image_name)
{
	const char *type = json_get_str(c->out_form, "preset_type");
	char *name = NULL;

	if (c->image != NULL && type != NULL &&
	    strcmp(type, "STYLE_RECIPE") == 0)
		name = xasprintf("input_%s", image_name);
	json_put_str(c->out_form, "base_image_url", name);
	free(name);
}

/* --- the picture ------------------------------------------------------------------ */

/* The picture; a browser sends an empty nameless file when none was chosen. */
static const struct form_file *
sent_image(const struct form *f)
{
	const struct form_file *file = form_get_file(f, "image_file");

	if (file != NULL && file->size == 0 && file->filename[0] == '\0')
		return NULL;
	return file;
}

static enum err_code
check_image(struct check *c, struct err *e)
{
	const struct settings *set = &c->conf->settings;
	const struct form_file *file = sent_image(c->form);
	enum err_code rc;
	int fd = -1;

	if (form_get(c->form, "image_file") != NULL)
		faults_type(c->faults, "value_error", "body", "image_file",
		    NULL, "image_file must be sent as a file.");
	if (file == NULL)
		return ERR_OK;
	if (file->size > set->max_upload_bytes) {
		faults_rule(c->faults, "image_file", "The picture has %lld "
		    "bytes; at most %lld are taken.", (long long)file->size,
		    (long long)set->max_upload_bytes);
		return ERR_OK;
	}
	rc = file_open_beneath(c->form->uploads_dirfd, file->tmp, O_RDONLY, 0,
	    &fd, e);
	if (rc != ERR_OK)
		return rc;
	c->image_type = image_sniff_fd(fd);
	if (c->image_type == IMAGE_NONE)
		faults_rule(c->faults, "image_file", "image_file is not a PNG, "
		    "JPEG, WebP or GIF picture.");
	else if (!image_dimensions_fd(fd, &c->image_w, &c->image_h))
		faults_rule(c->faults, "image_file", "The picture is damaged: "
		    "its size cannot be read.");
	else if ((int64_t)c->image_w * c->image_h > set->max_image_pixels)
		faults_rule(c->faults, "image_file", "The picture is %d x %d "
		    "pixels; at most %lld in all are taken.", c->image_w,
		    c->image_h, (long long)set->max_image_pixels);
	else
		c->image = file;
	close(fd);
	return ERR_OK;
}

/* --- the brief over the older fields ------------------------------------------------ */

static void
check_brief(struct check *c)
{
	struct brief *b = &c->brief;

	c->brief_doc = json_field(c, "unified_brief");
	if (c->brief_doc != NULL)
		brief_check(c->brief_doc, c->faults);
	b->prompt = form_get(c->form, "prompt");
	b->overlay = form_get(c->form, "task_description");
	/* A picture that was refused is a fault already, not a missing one. */
	b->has_image = sent_image(c->form) != NULL;
	b->has_logo = c->kit.logo_tmp != NULL;
	/* Only meaningful together with a picture; dropped without. */
	b->instruction = b->has_image ?
	    form_get(c->form, "image_instruction") : NULL;
	brief_apply(c->brief_doc, b, c->faults);
	if (b->drop_image)
		c->image = NULL;
	if (c->brief_doc != NULL && b->prompt != NULL)
		check_length(c, "unified_brief", "The brief", b->prompt,
		    c->conf->settings.max_brief_chars);
	if (c->brief_doc != NULL && b->instruction != NULL)
		check_length(c, "unified_brief", "The edit instruction",
		    b->instruction, c->conf->settings.max_instruction_chars);
	if (c->brief_doc != NULL && b->overlay != NULL)
		check_length(c, "unified_brief", "The text for the picture",
		    b->overlay, c->conf->settings.max_overlay_chars);
	if (b->prompt == NULL && !b->has_image && !b->has_logo)
		faults_rule(c->faults, "prompt", "There is nothing to work "
		    "from: write a brief or add a picture.");
}

/* --- the two documents ---------------------------------------------------------------- */

static void
put_goals(struct check *c)
{
	struct json_object *goals;

	if (!has_goal(c->form)) {
		json_put_null(c->inputs, "marketing_goals");
		return;
	}
	goals = json_object_new_object();
	json_put_str(goals, "target_audience",
	    form_get(c->form, "marketing_audience"));
	json_put_str(goals, "objective",
	    form_get(c->form, "marketing_objective"));
	json_put_str(goals, "voice", form_get(c->form, "marketing_voice"));
	json_put_str(goals, "niche", form_get(c->form, "marketing_niche"));
	json_put_obj(c->inputs, "marketing_goals", goals);
}

static void
put_platform(struct check *c)
{
	struct json_object *p = json_object_new_object();
	struct json_object *r = json_object_new_object();

	json_put_str(p, "name", c->platform->name);
	json_put_int(r, "width", c->platform->width);
	json_put_int(r, "height", c->platform->height);
	json_put_str(r, "aspect_ratio", c->platform->aspect);
	json_put_obj(p, "resolution_details", r);
	json_put_obj(c->inputs, "target_platform", p);
}

static void
put_image(struct check *c, const char *name)
{
	struct json_object *ref;
	char *path;

	if (c->image == NULL) {
		json_put_null(c->inputs, "image_reference");
		return;
	}
	ref = json_object_new_object();
	path = xasprintf("input_%s", name);
	json_put_str(ref, "filename",
	    utf8_length(c->image->filename, strlen(c->image->filename)) >= 0 ?
	    c->image->filename : name);
	json_put_str(ref, "content_type", image_mime(c->image_type));
	json_put_int(ref, "size_bytes", c->image->size);
	json_put_int(ref, "width", c->image_w);
	json_put_int(ref, "height", c->image_h);
	json_put_str(ref, "instruction", c->brief.instruction);
	json_put_str(ref, "saved_image_path_in_run_dir", path);
	json_put_obj(c->inputs, "image_reference", ref);
	free(path);
}

static void
put_kit(struct check *c)
{
	struct json_object *kit = NULL, *warning;
	char *logo;

	json_put_obj(c->out_form, "brand_kit", json_copy(c->kit.kit));
	if (c->apply_branding && c->kit.kit != NULL) {
		kit = json_copy(c->kit.kit);
		if (c->kit.logo_tmp != NULL) {
			logo = xasprintf("logo.%s", c->kit.logo_extension);
			json_put_str(kit, "saved_logo_path_in_run_dir", logo);
			free(logo);
		}
	}
	json_put_obj(c->inputs, "brand_kit", kit);
	if (c->kit.warning == NULL)
		return;
	warning = json_object_new_object();
	json_put_str(warning, "code", "logo_unusable");
	json_put_str(warning, "message", c->kit.warning);
	json_object_array_add(json_get(c->inputs, "submit_warnings"), warning);
}

static void
put_inputs(struct check *c, const char *mode, const char *image_name)
{
	static const char *const absent[] = { "preset_id", "preset_type",
		"preset_data", "template_overrides", "adaptation_prompt" };
	struct json_object *in = c->inputs;
	size_t i;

	json_put_str(in, "pipeline_mode", mode_name(MODE_GENERATION));
	json_put_int(in, "creativity_level", c->creativity);
	json_put_int(in, "num_variants", c->variants);
	json_put_str(in, "mode", mode);
	json_put_str(in, "task_type", form_get(c->form, "task_type"));
	json_put_str(in, "language", c->language);
	put_platform(c);
	json_put_str(in, "prompt", c->brief.prompt);
	json_put_str(in, "task_description", c->brief.overlay);
	json_put_bool(in, "render_text", c->render_text);
	json_put_bool(in, "apply_branding", c->apply_branding);
	put_goals(c);
	put_image(c, image_name);
	json_put_obj(in, "submit_warnings", json_object_new_array());
	put_kit(c);
	json_put_str(in, "brief_intent", c->brief.intent);
	json_put_obj(in, "unified_brief", json_copy(c->brief_doc));
	for (i = 0; i < ARRAY_LEN(absent); i++)
		json_put_null(in, absent[i]);
	json_put_obj(in, "skip_stages", json_object_new_array());
}

static void
put_form(struct check *c, const char *mode, const char *image_name)
{
	json_put_str(c->out_form, "mode", mode);
	json_put_bool(c->out_form, "has_image_reference", c->image != NULL);
	json_put_str(c->out_form, "image_filename",
	    c->image != NULL ? image_name : NULL);
	put_base_image(c, image_name);
	if (c->image == NULL)
		json_put_null(c->out_form, "image_instruction");
	json_put_obj(c->out_form, "unified_brief", json_copy(c->brief_doc));
}

static void
digest_view(struct digest *d, const struct field_view *view)
{
	size_t at, n;

	for (at = 0; at < view->len; at += n) {
		n = view->len - at;
		if (n > FORGET_BYTES)
			n = FORGET_BYTES;
		digest_add(d, view->text + at, n);
		if (view->map != NULL)
			mapped_forget(view->text + at, view->text + at + n);
	}
}

/*
 * The same request, whatever its multipart boundaries: every field by name and
 * content in order, every file by digest.
 */
static enum err_code
fingerprint(const struct form *f, char out[DIGEST_HEX_MAX], struct err *e)
{
	struct field_view view = { NULL, 0, NULL };
	struct digest d;
	enum err_code rc;
	int i;

	digest_init(&d);
	for (i = 0; i < f->n_fields; i++) {
		if (f->fields[i].len == 0)
			continue;
		rc = field_view(f, &f->fields[i], &view, e);
		if (rc != ERR_OK)
			return rc;
		digest_add_field(&d, f->fields[i].name);
		digest_add(&d, &view.len, sizeof(view.len));
		digest_view(&d, &view);
		field_view_release(&view);
	}
	for (i = 0; i < f->n_files; i++) {
		digest_add_field(&d, f->files[i].name);
		digest_add_field(&d, f->files[i].filename);
		digest_add_field(&d, f->files[i].sha256);
	}
	digest_hex(&d, out);
	return ERR_OK;
}

/* --- the whole ------------------------------------------------------------------------ */

static enum err_code
check_all(struct check *c, const char **mode, struct err *e)
{
	enum err_code rc;

	check_kinds(c);
	check_platform(c);
	c->creativity = int_field(c, "creativity_level", DEFAULT_CREATIVITY,
	    1, 3, "creativity_level must be 1, 2 or 3.");
	c->variants = int_field(c, "num_variants", DEFAULT_VARIANTS, 1,
	    MAX_VARIANTS, "num_variants must be from 1 to 6.");
	*mode = check_mode(c);
	check_task_type(c);
	check_language(c);
	check_texts(c);
	c->render_text = bool_field(c, "render_text");
	c->apply_branding = bool_field(c, "apply_branding");
	check_presets(c);
	rc = check_image(c, e);
	if (rc != ERR_OK)
		return rc;
	rc = brand_kit_read(c->conf, c->form, c->apply_branding, &c->kit,
	    c->faults, e);
	if (rc != ERR_OK)
		return rc;
	check_brief(c);
	if (json_len(c->faults->types) > 0)
		return err_set(e, ERR_TYPE, "the form has fields that are "
		    "missing or of the wrong type");
	if (json_len(c->faults->rules) > 0)
		return err_set(e, ERR_INVALID, "the form breaks a rule");
	return ERR_OK;
}

void
run_request_release(struct run_request *r, int uploads_dirfd)
{
	json_object_put(r->form);
	json_object_put(r->inputs);
	free(r->image_name);
	free(r->mode);
	if (r->logo_tmp != NULL && uploads_dirfd >= 0)
		unlinkat(uploads_dirfd, r->logo_tmp, 0);
	free(r->logo_tmp);
	memset(r, 0, sizeof(*r));
}

enum err_code
run_form_check(const struct conf *conf, const struct form *f,
    struct run_request *out, struct faults *faults, struct err *e)
{
	struct check c = { .conf = conf, .form = f, .faults = faults };
	struct run_request r;
	char name[FILE_NAME_MAX] = "";
	const char *mode = NULL;
	enum err_code rc;

	memset(&r, 0, sizeof(r));
	c.out_form = json_object_new_object();
	c.inputs = json_object_new_object();
	rc = check_all(&c, &mode, e);
	if (rc != ERR_OK)
		goto out;
	if (c.image != NULL)
		file_safe_name(c.image->filename, name);
	put_inputs(&c, mode, name);
	put_form(&c, mode, name);
	rc = fingerprint(f, r.fingerprint, e);
	if (rc != ERR_OK)
		goto out;
	r.form = c.out_form;
	r.inputs = c.inputs;
	c.out_form = NULL;
	c.inputs = NULL;
	r.image = c.image;
	r.image_name = c.image != NULL ? xstrdup(name) : NULL;
	r.logo_tmp = c.kit.logo_tmp;
	r.logo_extension = c.kit.logo_extension;
	c.kit.logo_tmp = NULL;
	r.mode = xstrdup(mode);
	*out = r;
out:
	brand_kit_release(&c.kit, f->uploads_dirfd);
	json_object_put(c.brief_doc);
	json_object_put(c.out_form);
	json_object_put(c.inputs);
	return rc;
}
