/*
 * The brand kit of a request: colours, voice and a logo that travels as base64
 * inside the JSON.
 *
 * Logos may be 50 MB, so the JSON never enters memory whole: a string-aware
 * scan copies it with every long string replaced by a mark, the small copy is
 * parsed, and the logo is decoded in pieces from where it lies (a field that
 * large is a mapped file) into a file of its own.
 *
 * Paths from a client never count: where a logo is kept is decided by us.
 */
#include "internal.h"

#include <unistd.h>

#include "digest.h"
#include "file.h"
#include "xalloc.h"

#define LONG_STRING_BYTES 8192
#define MAX_LONG_STRINGS 8
#define LONG_MARK "@long:"
#define DECODE_BYTES 49152

struct span {
	const char *p;
	size_t len;
};

struct compact {
	struct strbuf text;
	struct span longs[MAX_LONG_STRINGS];
	int n;
};

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

/* --- long strings out ----------------------------------------------------------- */

/* One string, p at its opening quote; returns what follows it. */
static const char *
compact_string(struct compact *c, const char *p, const char *end)
{
	const char *begin = p + 1, *q = begin;

	while (q < end && *q != '"')
		q += *q == '\\' && q + 1 < end ? 2 : 1;
	if (q > end)
		q = end;
	if ((size_t)(q - begin) < LONG_STRING_BYTES ||
	    c->n == MAX_LONG_STRINGS) {
		strbuf_add(&c->text, p, (size_t)(q - p));
	} else {
		strbuf_addf(&c->text, "\"" LONG_MARK "%d", c->n);
		c->longs[c->n].p = begin;
		c->longs[c->n].len = (size_t)(q - begin);
		c->n++;
	}
	if (q < end) {
		strbuf_addch(&c->text, '"');
		q++;
	}
	return q;
}

static void
compact_json(struct compact *c, const char *text, size_t len)
{
	const char *p = text, *end = text + len, *q;

	while (p < end) {
		if (*p == '"') {
			p = compact_string(c, p, end);
			continue;
		}
		q = memchr(p, '"', (size_t)(end - p));
		if (q == NULL)
			q = end;
		strbuf_add(&c->text, p, (size_t)(q - p));
		p = q;
	}
}

/* The text of a member, wherever it is; false when it is absent or null. */
static bool
member_span(const struct compact *c, const struct json_object *kit,
    const char *key, struct span *out)
{
	const char *s = json_get_str(kit, key);
	int64_t n;

	if (s == NULL || *s == '\0')
		return false;
	if (strncmp(s, LONG_MARK, strlen(LONG_MARK)) == 0 &&
	    parse_int(s + strlen(LONG_MARK), &n) && n >= 0 && n < c->n) {
		*out = c->longs[n];
		return true;
	}
	out->p = s;
	out->len = strlen(s);
	return true;
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
read_color(struct json_object *color, size_t i, struct faults *faults)
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
	else if (label != NULL &&
	    utf8_length(label, strlen(label)) > MAX_LABEL_CHARS)
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
read_colors(const struct json_object *kit, struct faults *faults)
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
		color = read_color(json_object_array_get_idx(list, i), i,
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

/* What follows the comma of a data URI; a bare base64 text has none. */
static struct span
payload(struct span s)
{
	const char *comma;

	if (s.len < 5 || strncmp(s.p, "data:", 5) != 0)
		return s;
	comma = memchr(s.p, ',', s.len);
	if (comma == NULL) {
		s.len = 0;
		return s;
	}
	s.len -= (size_t)(comma + 1 - s.p);
	s.p = comma + 1;
	return s;
}

/*
 * Decode into fd. JSON may write "/" as "\/", which is the one escape base64
 * text can have; false when it is not base64 or too large.
 */
static bool
decode_to_fd(struct span s, int fd, enum err_code *rc, struct err *e)
{
	struct base64_decode_ctx ctx;
	uint8_t bytes[BASE64_DECODE_LENGTH(DECODE_BYTES)];
	char chunk[DECODE_BYTES];
	int64_t total = 0;
	size_t at = 0, n, got;

	base64_decode_init(&ctx);
	while (at < s.len) {
		for (n = 0; n < sizeof(chunk) && at < s.len; at++)
			if (s.p[at] != '\\')
				chunk[n++] = s.p[at];
		got = sizeof(bytes);
		if (!base64_decode_update(&ctx, &got, bytes, n, chunk))
			return false;
		total += (int64_t)got;
		if (total > MAX_LOGO_BYTES)
			return false;
		*rc = file_write_all(fd, bytes, got, e);
		if (*rc != ERR_OK)
			return true;
	}
	return base64_decode_final(&ctx) && total > 0;
}

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
	if (!decode_to_fd(payload(s), fd, &rc, e))
		k->warning = xstrdup("The logo could not be read and was left "
		    "out: it is not base64 text of a picture.");
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
	struct span s = { NULL, 0 };
	int64_t chars = 0;

	if (v != NULL && !is_kind(v, json_type_string))
		faults_rule(faults, "brand_kit",
		    "brand_kit.brand_voice_description must be text.");
	else if (member_span(c, in, "brand_voice_description", &s))
		chars = utf8_length(s.p, s.len);
	if (chars > conf->settings.max_voice_chars)
		faults_rule(faults, "brand_kit", "The brand voice has %lld "
		    "characters; at most %d are taken.", (long long)chars,
		    conf->settings.max_voice_chars);
	json_put_str(out, "brand_voice_description",
	    json_get_str(in, "brand_voice_description"));
}

/* An analysis of ours; what a browser made up for itself is dropped, since it
 * would keep the logo from being looked at. */
static void
put_analysis(const struct json_object *in, struct json_object *out)
{
	struct json_object *a = json_get_obj(in, "logo_analysis");

	json_put_obj(out, "logo_analysis",
	    json_get_str(a, "logo_style") != NULL ? json_copy(a) : NULL);
}

static enum err_code
read_kit(const struct conf *conf, const struct form *f, bool want_logo,
    struct compact *c, struct brand_kit *k, struct faults *faults,
    struct err *e)
{
	struct json_object *in = NULL, *logo;
	enum err_code rc = ERR_OK;
	struct span s;

	if (strbuf_overflowed(&c->text) ||
	    json_parse(c->text.buf, c->text.len, &in, e) != ERR_OK) {
		faults_rule(faults, "brand_kit", "brand_kit is not JSON.");
		goto out;
	}
	if (!is_kind(in, json_type_object)) {
		faults_rule(faults, "brand_kit",
		    "brand_kit must be a JSON object.");
		goto out;
	}
	k->kit = json_object_new_object();
	json_put_obj(k->kit, "colors", read_colors(in, faults));
	put_voice(conf, c, in, k->kit, faults);
	json_put_null(k->kit, "saved_logo_path_in_run_dir");
	put_analysis(in, k->kit);
	logo = json_get(in, "logo_file_base64");
	if (logo != NULL && !is_kind(logo, json_type_string))
		faults_rule(faults, "brand_kit",
		    "brand_kit.logo_file_base64 must be text.");
	else if (want_logo && member_span(c, in, "logo_file_base64", &s))
		rc = read_logo(conf, f->uploads_dirfd, s, k, e);
out:
	json_object_put(in);
	return rc;
}

enum err_code
brand_kit_read(const struct conf *conf, const struct form *f, bool want_logo,
    struct brand_kit *out, struct faults *faults, struct err *e)
{
	struct compact c = { STRBUF_INIT(MAX_SMALL_JSON_BYTES), { { NULL, 0 } },
		0 };
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
	compact_json(&c, view.text, view.len);
	rc = read_kit(conf, f, want_logo, &c, &k, faults, e);
	field_view_release(&view);
	strbuf_release(&c.text);
	if (rc != ERR_OK) {
		brand_kit_release(&k, f->uploads_dirfd);
		return rc;
	}
	*out = k;
	return ERR_OK;
}
