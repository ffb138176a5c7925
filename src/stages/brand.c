/*
 * The colours of a brand: what shares the user meant, and how to tell a model
 * (generation.md 7.1 and 7.2).
 *
 * The three core roles share the picture by default 60, 30 and 10 per cent.
 * Where a role is missing, its share is split over those that are there, and
 * a role's share over its colours.  Whoever moved a share away from that has a
 * plan of his own, which is then told in figures; otherwise only the order of
 * importance is told, since models take figures too literally.
 *
 * Which of them can be read on which is a matter of luminance (WCAG 2), so it is
 * worked out here and not left to a model's eye.
 *
 * A label is a user's text.  It stands in the lines, which templates fence,
 * and never in the guidance.
 */
#include "common.h"

#include <math.h>

#include "xalloc.h"

#define CUSTOM_TOLERANCE (0.03 + 1e-9)	/* 0.63 against 0.60 is no plan */
#define MAX_LABEL_CHARS 60
#define PLAN_TOLERANCE_POINTS 5

/* WCAG 2: relative luminance, and what is readable. */
#define LINEAR_BELOW 0.03928
#define GAMMA 2.4
#define FLARE 0.05
#define READABLE 4.5

static const double base_share[BRAND_CORE_ROLES] = { 0.60, 0.30, 0.10 };

static const char *const role_words[ROLE__COUNT] = {
	[ROLE_PRIMARY] = "primary",
	[ROLE_SECONDARY] = "secondary",
	[ROLE_ACCENT] = "accent",
	[ROLE_NEUTRAL_LIGHT] = "neutral_light",
	[ROLE_NEUTRAL_DARK] = "neutral_dark",
	[ROLE_UNKNOWN] = "unknown",
};

static const char *const line_heads[BRAND_CORE_ROLES] = {
	"Primary", "Secondary", "Accent",
};

/* --- reading ------------------------------------------------------------ */

static enum brand_role
role_of(const char *text)
{
	int i;

	if (text == NULL)
		return ROLE_UNKNOWN;
	for (i = 0; i < ROLE_UNKNOWN; i++)
		if (strcmp(text, role_words[i]) == 0)
			return (enum brand_role)i;
	if (strstr(text, "neutral") == NULL)
		return ROLE_UNKNOWN;
	return strstr(text, "dark") != NULL ? ROLE_NEUTRAL_DARK :
	    ROLE_NEUTRAL_LIGHT;
}

static bool
is_hex(const char *s)
{
	size_t n;

	if (s == NULL || *s != '#')
		return false;
	n = strspn(s + 1, "0123456789abcdefABCDEF");
	return (n == 3 || n == 6) && s[n + 1] == '\0';
}

static bool
is_core(enum brand_role role)
{
	return role < BRAND_CORE_ROLES;
}

static void
read_colour(const struct json_object *item, struct brand_colour *c)
{
	memset(c, 0, sizeof(*c));
	c->role = role_of(json_get_str(item, "role"));
	c->hex = json_get_str(item, "hex");
	c->label = json_get_str(item, "label");
	c->ratio = json_get_num(item, "ratio", -1.0);
	c->custom_mark = json_get_bool(item, "isCustomRatio", false);
}

static void
count_colour(struct brand_colours *b, const struct brand_colour *c)
{
	b->count[c->role]++;
	if (!is_core(c->role))
		return;
	if (b->count[c->role] == 1)
		b->core[b->n_core++] = c->role;
	if (c->ratio >= 0)
		b->sum[c->role] += c->ratio;
}

static double
expected_share(const struct brand_colours *b, enum brand_role role)
{
	double present = 0;
	int i;

	if (!is_core(role))
		return 0;
	for (i = 0; i < b->n_core; i++)
		present += base_share[b->core[i]];
	return (base_share[role] + (1.0 - present) / b->n_core) /
	    b->count[role];
}

static bool
is_custom(const struct brand_colours *b)
{
	int i;

	for (i = 0; i < b->n; i++)
		if (is_core(b->c[i].role) && b->c[i].custom_mark)
			return true;
	for (i = 0; i < b->n; i++)
		if (is_core(b->c[i].role) && b->c[i].ratio >= 0 &&
		    fabs(b->c[i].ratio - b->c[i].expected) > CUSTOM_TOLERANCE)
			return true;
	return false;
}

/*
 * A colour of the list; false when there is none.  Whatever is not a colour
 * code is passed over: codes are told outside of fences.
 */
static bool
take_colour(struct json_object *item, struct brand_colour *c, bool *plain)
{
	if (json_object_is_type(item, json_type_string)) {
		memset(c, 0, sizeof(*c));
		c->role = ROLE_UNKNOWN;
		c->ratio = -1.0;
		c->hex = json_object_get_string(item);
		*plain = true;
	} else {
		read_colour(item, c);
	}
	return is_hex(c->hex);
}

void
brand_analyse(const struct json_object *colors, struct brand_colours *out)
{
	struct brand_colour c;
	size_t i;
	int k;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < json_len(colors) && out->n < BRAND_MAX_COLOURS; i++) {
		if (!take_colour(json_object_array_get_idx(colors, i), &c,
		    &out->plain))
			continue;
		count_colour(out, &c);
		out->c[out->n++] = c;
	}
	for (k = 0; k < out->n; k++)
		out->c[k].expected = expected_share(out, out->c[k].role);
	out->custom = is_custom(out);
}

/* --- contrast ----------------------------------------------------------- */

/* Channel 0 to 2 of a valid code, 0 to 1. */
static double
channel(const char *hex, int i)
{
	bool is_short = strlen(hex) == 4;
	char digits[3] = { hex[is_short ? 1 + i : 1 + 2 * i],
	    hex[is_short ? 1 + i : 2 + 2 * i], '\0' };

	return (double)strtol(digits, NULL, 16) / 255.0;
}

static double
luminance(const char *hex)
{
	static const double weights[3] = { 0.2126, 0.7152, 0.0722 };
	double sum = 0, c;
	int i;

	for (i = 0; i < 3; i++) {
		c = channel(hex, i);
		sum += weights[i] * (c <= LINEAR_BELOW ? c / 12.92 :
		    pow((c + 0.055) / 1.055, GAMMA));
	}
	return sum;
}

double
brand_contrast(const char *a, const char *b)
{
	double la, lb;

	if (!is_hex(a) || !is_hex(b))
		return 1.0;
	la = luminance(a) + FLARE;
	lb = luminance(b) + FLARE;
	return la > lb ? la / lb : lb / la;
}

void
brand_readable_pair(const struct brand_colours *b, struct strbuf *out)
{
	double best = 0, contrast;
	int i, k, first = -1, second = -1;

	for (i = 0; i < b->n; i++)
		for (k = i + 1; k < b->n; k++) {
			contrast = brand_contrast(b->c[i].hex, b->c[k].hex);
			if (contrast < READABLE || contrast <= best)
				continue;
			best = contrast;
			first = i;
			second = k;
		}
	if (first >= 0)
		strbuf_addf(out, "%s and %s", b->c[first].hex,
		    b->c[second].hex);
}

/* --- telling ------------------------------------------------------------ */

/* "#AABBCC (Tomato), #112233" for one role; nothing when it has none. */
static void
add_role(struct strbuf *out, const struct brand_colours *b,
    enum brand_role role, bool *first)
{
	char *label;
	int i;

	for (i = 0; i < b->n; i++) {
		if (b->c[i].role != role)
			continue;
		label = text_one_line(b->c[i].label, MAX_LABEL_CHARS);
		strbuf_addf(out, "%s%s", *first ? "" : ", ", b->c[i].hex);
		if (label != NULL)
			strbuf_addf(out, " (%s)", label);
		*first = false;
		free(label);
	}
}

void
brand_palette_lines(const struct brand_colours *b, struct strbuf *out)
{
	bool first;
	int i;

	for (i = 0; i < BRAND_CORE_ROLES; i++) {
		if (b->count[i] == 0)
			continue;
		first = true;
		strbuf_addf(out, "%s: ", line_heads[i]);
		add_role(out, b, (enum brand_role)i, &first);
		strbuf_addch(out, '\n');
	}
	if (b->count[ROLE_NEUTRAL_LIGHT] + b->count[ROLE_NEUTRAL_DARK] > 0) {
		first = true;
		strbuf_addstr(out, "Neutrals: ");
		add_role(out, b, ROLE_NEUTRAL_LIGHT, &first);
		add_role(out, b, ROLE_NEUTRAL_DARK, &first);
		strbuf_addch(out, '\n');
	}
	if (b->plain) {
		first = true;
		strbuf_addstr(out, "Colours: ");
		add_role(out, b, ROLE_UNKNOWN, &first);
		strbuf_addch(out, '\n');
	}
}

/* "#AABBCC 50%, #112233 40%", in the order of the roles. */
static void
add_plan(struct strbuf *out, const struct brand_colours *b)
{
	bool first = true;
	int role, i;

	for (role = 0; role < BRAND_CORE_ROLES; role++)
		for (i = 0; i < b->n; i++) {
			if ((int)b->c[i].role != role || b->c[i].ratio <= 0)
				continue;
			strbuf_addf(out, "%s%s %ld%%", first ? "" : ", ",
			    b->c[i].hex, lround(b->c[i].ratio * 100));
			first = false;
		}
}

static void
add_custom(struct strbuf *out, const struct brand_colours *b,
    enum palette_layer layer)
{
	switch (layer) {
	case LAYER_STYLE:
		strbuf_addf(out, "Usage plan, binding to within %d percentage "
		    "points of the picture's area: ", PLAN_TOLERANCE_POINTS);
		break;
	case LAYER_CREATIVE:
		strbuf_addstr(out, "The colour palette field must reflect "
		    "this usage plan: ");
		break;
	}
	add_plan(out, b);
	strbuf_addstr(out, ".\n");
}

static void
add_hierarchy(struct strbuf *out, enum palette_layer layer)
{
	switch (layer) {
	case LAYER_STYLE:
		strbuf_addstr(out, "Order of importance: primary carries the "
		    "picture, secondary supports it, accent is kept for the "
		    "one place the eye should go.\n");
		break;
	case LAYER_CREATIVE:
		strbuf_addstr(out, "Express this hierarchy in words in the "
		    "colour palette field, without figures: primary "
		    "dominates, secondary supports, accent marks the one "
		    "place the eye should go.\n");
		break;
	}
}

void
brand_palette_guidance(const struct brand_colours *b, enum palette_layer layer,
    struct strbuf *out)
{
	if (b->n == 0)
		return;
	strbuf_addstr(out, "The picture must hold together as one palette and "
	    "respect the hierarchy of these colours.\n");
	if (b->custom)
		add_custom(out, b, layer);
	else if (b->n_core > 0)
		add_hierarchy(out, layer);
	strbuf_addstr(out, "Neutrals serve as backgrounds, text and "
	    "surfaces.\n");
}

void
brand_palette_snippet(const struct json_object *colors,
    enum palette_layer layer, struct strbuf *out)
{
	struct brand_colours b;

	brand_analyse(colors, &b);
	if (b.n == 0)
		return;
	strbuf_addstr(out, "Brand palette\n");
	brand_palette_lines(&b, out);
	brand_palette_guidance(&b, layer, out);
}
