/*
 * The brand kit of a request: colours, voice and a logo that travels as base64
 * inside the JSON.
 *
 * Logos may be 50 MB, so the JSON never enters memory whole (compact.c): a
 * small copy of it is parsed, and the logo is decoded in pieces from where it
 * lies (a field that large is a mapped file) into a file of its own.
 *
 * Paths from a client never count: where a logo is kept is decided by us.
 */
#include "internal.h"

#include <unistd.h>

#include "file.h"
#include "xalloc.h"

#define MAX_KIT_BYTES (1024 * 1024)	/* of JSON without its long strings */

static const char *const roles[] = { "primary", "secondary", "accent",
	"neutral_light", "neutral_dark" };

void
brand_kit_release(struct brand_kit *k, int uploads_dirfd)
{
	json_object_put(k->kit);
	if (k->logo_tmp != NULL && uploads_dirfd >= 0)
		unlinkat(uploads_dirfd, k->logo_tmp, 0);
	free(k->logo_tmp);
	free(k->warning);
	memset(k, 0, sizeof(*k));
}

/* Longer than limit characters? NULL is not. */
static bool
is_too_long(const struct compact *c, const char *s, int limit)
{
	return s != NULL && (compact_marked(c, s) != NULL ||
	    utf8_length(s, strlen(s)) > limit);
}

/* --- colours -------------------------------------------------------------------- */

static bool
is_hex_color(const char *s)
{
	size_t i, len = strlen(s);

	if (s[0] != '#' || (len != 4 && len != 7))
		return false;
	for (i = 1; i < len; i++)
		if (!isxdigit((unsigned char)s[i]))
			return false;
	return true;
}

/* "#fff" and "#FFFFFF" are one colour: lower case, six digits. */
static void
color_key(const char *hex, char out[8])
{
	int i;

	out[0] = '#';
	for (i = 0; i < 6; i++)
		out[i + 1] = (char)tolower((unsigned char)
		    hex[strlen(hex) == 4 ? 1 + i / 2 : 1 + i]);
	out[7] = '\0';
}

static bool
is_role(const char *s)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(roles); i++)
		if (strcmp(roles[i], s) == 0)
			return true;
	return false;
}

static bool
is_kind(struct json_object *v, enum json_type type)
{
	return json_object_is_type(v, type);
}

static bool
is_number(struct json_object *v)
{
	return is_kind(v, json_type_int) || is_kind(v, json_type_double);
}

/* One colour, checked; the accepted copy, or NULL after telling a fault. */
static struct json_object *
read_color(const struct compact *c, struct json_object *color, size_t i,
    struct faults *faults)
{
	const char *hex, *role, *label;
	struct json_object *out, *ratio;
	double share;

	if (!is_kind(color, json_type_object)) {
		faults_rule(faults, "brand_kit", "Colour %zu of the brand kit "
		    "must be an object with hex and role.", i + 1);
		return NULL;
	}
	hex = json_get_str(color, "hex");
	role = json_get_str(color, "role");
	label = json_get_str(color, "label");
	ratio = json_get(color, "ratio");
	share = json_get_num(color, "ratio", 0);
	if (hex == NULL || !is_hex_color(hex))
		faults_rule(faults, "brand_kit", "Colour %zu of the brand kit "
		    "needs a hex code like #4a90e2 or #fff.", i + 1);
	else if (role == NULL || !is_role(role))
		faults_rule(faults, "brand_kit", "Colour %zu of the brand kit "
		    "needs one of the roles primary, secondary, accent, "
		    "neutral_light, neutral_dark.", i + 1);
	else if (ratio != NULL &&
	    (!is_number(ratio) || !(share >= 0) || share > 1))
		faults_rule(faults, "brand_kit", "The ratio of colour %zu of "
		    "the brand kit must be a number from 0 to 1.", i + 1);
	else if (is_too_long(c, label, MAX_LABEL_CHARS))
		faults_rule(faults, "brand_kit", "The label of colour %zu of "
		    "the brand kit is longer than %d characters.", i + 1,
		    MAX_LABEL_CHARS);
	else {
		out = json_object_new_object();
		json_put_str(out, "hex", hex);
		json_put_str(out, "role", role);
		json_put_str(out, "label", label);
		json_put_obj(out, "ratio", json_copy(ratio));
		if (json_get_bool(color, "isCustomRatio", false))
			json_put_bool(out, "isCustomRatio", true);
		return out;
	}
	return NULL;
}

static bool
is_duplicate(const struct json_object *colors, const char *hex)
{
	size_t i, n = json_len(colors);
	char a[8], b[8];

	color_key(hex, a);
	for (i = 0; i < n; i++) {
		color_key(json_get_str(json_object_array_get_idx(colors, i),
		    "hex"), b);
		if (strcmp(a, b) == 0)
			return true;
	}
	return false;
}

static struct json_object *
read_colors(const struct compact *c, const struct json_object *kit,
    struct faults *faults)
{
	struct json_object *list = json_get(kit, "colors"), *out, *color;
	size_t i, n;

	if (list == NULL)
		return NULL;
	if (!is_kind(list, json_type_array)) {
		faults_rule(faults, "brand_kit",
		    "brand_kit.colors must be a list.");
		return NULL;
	}
	n = json_len(list);
	if (n > MAX_BRAND_COLORS) {
		faults_rule(faults, "brand_kit", "The brand kit has %zu "
		    "colours; at most %d are taken.", n, MAX_BRAND_COLORS);
		return NULL;
	}
	out = json_object_new_array();
	for (i = 0; i < n; i++) {
		color = read_color(c, json_object_array_get_idx(list, i), i,
		    faults);
		if (color == NULL)
			continue;
		if (is_duplicate(out, json_get_str(color, "hex"))) {
			faults_rule(faults, "brand_kit", "The colour %s is in "
			    "the brand kit twice.", json_get_str(color, "hex"));
			json_object_put(color);
			continue;
		}
		json_object_array_add(out, color);
	}
	return out;
}

/* --- the logo ------------------------------------------------------------------- */

static enum err_code
read_logo(const struct conf *conf, int dirfd, struct span s,
    struct brand_kit *k, struct err *e)
{
	enum err_code rc = ERR_OK;
	enum image_type type = IMAGE_NONE;
	char *name = NULL;
	int fd = -1, w = 0, h = 0;

	rc = upload_create(dirfd, &name, &fd, e);
	if (rc != ERR_OK)
		return rc;
	if (!span_decode(s, MAX_LOGO_BYTES, fd, NULL, &rc, e))
		k->warning = xstrdup("The logo could not be read and was left "
		    "out: it is not base64 text, or has more than 50 MiB.");
	if (rc != ERR_OK || k->warning != NULL)
		goto out;
	type = image_sniff_fd(fd);
	if (type == IMAGE_NONE)
		k->warning = xstrdup("The logo was left out: it is not a PNG, "
		    "JPEG, WebP or GIF picture.");
	else if (!image_dimensions_fd(fd, &w, &h) ||
	    (int64_t)w * h > conf->settings.max_image_pixels)
		k->warning = xstrdup("The logo was left out: its size cannot "
		    "be told or it has too many pixels.");
	if (k->warning != NULL)
		goto out;
	k->logo_tmp = name;
	k->logo_extension = image_extension(type);
	name = NULL;
out:
	close(fd);
	if (name != NULL)
		unlinkat(dirfd, name, 0);
	free(name);
	return rc;
}

/* --- the whole ------------------------------------------------------------------ */

static void
put_voice(const struct conf *conf, const struct compact *c,
    const struct json_object *in, struct json_object *out,
    struct faults *faults)
{
	struct json_object *v = json_get(in, "brand_voice_description");
	const char *voice = json_get_str(in, "brand_voice_description");

	if (v != NULL && !is_kind(v, json_type_string))
		faults_rule(faults, "brand_kit",
		    "brand_kit.brand_voice_description must be text.");
	else if (is_too_long(c, voice, conf->settings.max_voice_chars))
		faults_rule(faults, "brand_kit", "The description of the "
		    "brand's voice is longer than %d characters.",
		    conf->settings.max_voice_chars);
	json_put_str(out, "brand_voice_description", voice);
}

/* Those of the analysis' colours that are colours; they stand in prompts. */
static struct json_object *
hex_colors(const struct json_object *analysis)
{
	struct json_object *in = json_get_arr(analysis, "dominant_colors");
	struct json_object *out = json_object_new_array(), *color;
	size_t i, n = json_len(in);
	const char *s;

	for (i = 0; i < n && json_len(out) < MAX_BRAND_COLORS; i++) {
		color = json_object_array_get_idx(in, i);
		s = is_kind(color, json_type_string) ?
		    json_object_get_string(color) : "";
		if (is_hex_color(s))
			json_object_array_add(out, json_object_get(color));
	}
	return out;
}

/*
 * An analysis of ours that comes back with a kit. What a browser made up for
 * itself is dropped, since it would keep the logo from being looked at.
 */
static void
put_analysis(const struct compact *c, const struct json_object *in,
    struct json_object *out)
{
	static const char *const kept[] = { "logo_style", "contains_text",
		"extracted_text" };
	struct json_object *a = json_get_obj(in, "logo_analysis");
	struct json_object *copy;
	const char *style = json_get_str(a, "logo_style");
	size_t i;

	if (style == NULL || is_too_long(c, style, MAX_ANALYSIS_CHARS) ||
	    is_too_long(c, json_get_str(a, "extracted_text"),
	    MAX_ANALYSIS_CHARS)) {
		json_put_null(out, "logo_analysis");
		return;
	}
	copy = json_object_new_object();
	for (i = 0; i < ARRAY_LEN(kept); i++)
		json_put_obj(copy, kept[i], json_copy(json_get(a, kept[i])));
	json_put_obj(copy, "dominant_colors", hex_colors(a));
	json_put_obj(out, "logo_analysis", copy);
}

/* Where the text of the logo lies; false when there is none. */
static bool
find_logo(const struct compact *c, const struct json_object *in,
    struct span *out)
{
	const char *s = json_get_str(in, "logo_file_base64");
	const struct span *far;

	if (s == NULL || *s == '\0')
		return false;
	far = compact_marked(c, s);
	if (far != NULL) {
		*out = *far;
		return true;
	}
	out->p = s;
	out->len = strlen(s);
	out->mapped = false;
	return true;
}

static enum err_code
read_kit(const struct conf *conf, const struct form *f, bool want_logo,
    struct compact *c, struct brand_kit *k, struct faults *faults,
    struct err *e)
{
	struct json_object *in = NULL, *logo;
	enum err_code rc = ERR_OK;
	struct span s;

	if (strbuf_overflowed(&c->text)) {
		faults_rule(faults, "brand_kit", "brand_kit has more than %d "
		    "bytes besides its logo.", MAX_KIT_BYTES);
		goto out;
	}
	if (json_weight(c->text.buf, c->text.len) > MAX_JSON_VALUES) {
		faults_rule(faults, "brand_kit", "brand_kit holds more than "
		    "%d values.", MAX_JSON_VALUES);
		goto out;
	}
	if (json_parse(c->text.buf, c->text.len, &in, e) != ERR_OK) {
		faults_rule(faults, "brand_kit", "brand_kit is not JSON.");
		goto out;
	}
	if (!is_kind(in, json_type_object)) {
		faults_rule(faults, "brand_kit",
		    "brand_kit must be a JSON object.");
		goto out;
	}
	k->kit = json_object_new_object();
	json_put_obj(k->kit, "colors", read_colors(c, in, faults));
	put_voice(conf, c, in, k->kit, faults);
	json_put_null(k->kit, "saved_logo_path_in_run_dir");
	put_analysis(c, in, k->kit);
	logo = json_get(in, "logo_file_base64");
	if (logo != NULL && !is_kind(logo, json_type_string))
		faults_rule(faults, "brand_kit",
		    "brand_kit.logo_file_base64 must be text.");
	else if (want_logo && find_logo(c, in, &s))
		rc = read_logo(conf, f->uploads_dirfd, s, k, e);
out:
	json_object_put(in);
	return rc;
}

enum err_code
brand_kit_read(const struct conf *conf, const struct form *f, bool want_logo,
    struct brand_kit *out, struct faults *faults, struct err *e)
{
	struct compact c;
	struct field_view view = { NULL, 0, NULL };
	struct brand_kit k = { NULL, NULL, NULL, NULL };
	enum err_code rc;

	rc = form_view(f, "brand_kit", &view, e);
	if (rc == ERR_NOT_FOUND) {
		*out = k;
		return ERR_OK;
	}
	if (rc != ERR_OK)
		return rc;
	compact_init(&c, MAX_KIT_BYTES, LONG_STRING_BYTES);
	compact_json(&c, view.text, view.len, view.map != NULL);
	rc = read_kit(conf, f, want_logo, &c, &k, faults, e);
	field_view_release(&view);
	compact_release(&c);
	if (rc != ERR_OK) {
		brand_kit_release(&k, f->uploads_dirfd);
		return rc;
	}
	*out = k;
	return ERR_OK;
}
