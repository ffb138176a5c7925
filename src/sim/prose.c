/*
 * What the simulated models say.
 *
 * Eight looks, each a coherent art direction: keywords, description, frame,
 * light, surface.  A concept takes the look whose keywords stand in its prompt
 * (the style stage put them there), otherwise the one its variant number
 * leads to; so the parts of one variant agree and two variants differ.
 * Goals, niches and judgements are tables of sentences, read from a place
 * that the subject decides.
 */
#include "prose.h"

#include "xalloc.h"

#define ALT_MIN_CHARS 100
#define ALT_MAX_CHARS 125
#define LOOK_KEYWORDS 4
#define LOOK_HEXES 2

struct style_look {
	const char *keywords[LOOK_KEYWORDS];
	const char *hexes[LOOK_HEXES];	/* beside the food's own colour */
	const char *style;
	const char *impact;
	const char *composition;
	const char *background;
	const char *foreground;
	const char *light;
	const char *surface;
	const char *avoid;
	const char *reason;
};

static const struct style_look looks[] = {
	{
		{ "dutch still life", "low side light", "velvet shadow",
		    "quiet abundance" },
		{ "#2B2A33", "#8A5A3B" },
		"A table painted by patience: {s} emerges from velvet shadow as "
		"in a seventeenth-century Dutch still life. One low window, deep "
		"umber tones and a single bright edge make it feel precious "
		"without feeling staged.",
		"The stillness stops a scrolling thumb; people remember the one "
		"picture that did not shout.",
		"{S} sits left of centre on the lower third, seen from slightly "
		"above the table edge, with generous dark space to its right.",
		"A dim pantry wall in umber with the soft outline of a pewter jug "
		"and folded linen, all well out of focus.",
		"A few crumbs and one curled peel near the table edge.",
		"Low side light from a single window on the left, slow fall-off, "
		"calm and intimate.",
		"Visible crumb and glaze, matte plaster, the weave of old linen.",
		"Neon, hard flash, plastic props, crowded tables.",
		"Restraint lends {s} the dignity of something made by hand."
	},
	{
		{ "two-colour print", "paper grain", "bold shapes",
		    "flat layers" },
		{ "#E4572E", "#F3EBDD" },
		"{S} as a risograph poster: flat overlapping layers, visible paper "
		"grain and slightly missed registration. Shapes do the talking, "
		"in the spirit of Bauhaus teaching sheets.",
		"Bold, reproducible and easy to recognise at thumbnail size, it "
		"invites sharing as if it were a poster for a wall.",
		"Seen straight from above, {s} fills a circle in the middle of a "
		"strict grid with one quadrant left empty.",
		"An uncoated paper surface with two overlapping geometric fields.",
		"One thin ring of a second ink crossing the plate.",
		"Even, shadowless light like a scanner bed; cheerful and direct.",
		"Halftone dots, paper fibre, ink that overlaps and darkens.",
		"Gradients, realistic reflections, more than three inks.",
		"A graphic reading of {s} is read in an instant."
	},
	{
		{ "mediterranean noon", "hard shadow", "whitewashed wall",
		    "salt air" },
		{ "#2F7FB5", "#FBF7EE" },
		"High sun on a whitewashed terrace; {s} throws a crisp shadow and "
		"the air seems to smell of salt. The frame borrows the honesty of "
		"postwar Italian travel photography.",
		"It sells an hour off as much as a bite, which is what gets saved "
		"and sent to a friend.",
		"{S} in the lower half at a low three-quarter angle, its shadow "
		"drawing a diagonal towards the upper right.",
		"A whitewashed wall with a strip of sea behind it and one olive "
		"branch in bloom.",
		"The rim of a cold glass, cropped by the left edge.",
		"Overhead noon sun with crisp shadows, bright and generous.",
		"Rough lime plaster, beaded water, flakes of sea salt.",
		"Grey skies, indoor clutter, heavy vignettes.",
		"Sunlight makes {s} feel like a small holiday."
	},
	{
		{ "nordic morning", "soft daylight", "pale wood", "open space" },
		{ "#CBD5D1", "#EFE9DF" },
		"Early light through a thin curtain, pale birch and a lot of air "
		"around {s}. The calm of Danish interior painting keeps every "
		"detail legible and nothing loud.",
		"Clarity builds trust: what one sees is what one gets, and that "
		"turns lookers into buyers.",
		"{S} on the right vertical third at eye level, balanced by empty "
		"table and a window reflection on the left.",
		"A pale kitchen with birch shelves dissolving into daylight.",
		"A folded napkin and a plain steel fork, parallel to the edge.",
		"Diffuse north light, barely any shadow, fresh and unhurried.",
		"Fine wood grain, soft ceramics, steam that is just visible.",
		"Saturated props, busy patterns, warm tungsten glow.",
		"Space around {s} reads as confidence."
	},
	{
		{ "mid-century menu", "cut-out shapes", "optimistic palette",
		    "hand lettering" },
		{ "#1F6F78", "#F2B134" },
		"A menu card from a 1958 lunch counter: {s} photographed cleanly "
		"and set among cut-paper shapes. Optimistic, a little witty, with "
		"the rhythm of jazz record sleeves.",
		"Its wit gives people a reason to comment, and the shapes give the "
		"brand a kit to reuse.",
		"{S} floats slightly above centre, framed by three cut-paper arcs "
		"that lead the eye clockwise.",
		"A field of cut paper with boomerang and star shapes.",
		"One paper star overlapping the edge of the plate.",
		"Clean studio light with one soft shadow, playful and upbeat.",
		"Paper edges with tiny lifts, crisp crust, satin glaze.",
		"Distressed effects, photographic backgrounds, clip art.",
		"Optimism suits {s} and leaves room for words."
	},
	{
		{ "washi paper", "asymmetry", "seasonal sign", "hushed palette" },
		{ "#7A8B6F", "#EDE6D6" },
		"{S} placed with Japanese restraint: one off-centre object, a "
		"seasonal twig, washi paper and silence. Asymmetry in the manner "
		"of ukiyo-e margins gives the eye somewhere to rest.",
		"The seasonal sign makes it timely, so it is worth sharing now "
		"rather than some day.",
		"{S} low in the left corner, a single twig crossing to the upper "
		"right, two thirds of the frame left quiet.",
		"A sheet of layered washi paper with a faint horizon fold.",
		"The tip of a flowering twig, slightly out of focus.",
		"Skylight through paper screens; hushed, attentive.",
		"Paper fibres, a matte glaze, one drop of syrup catching light.",
		"Symmetry, ornament, stock blossoms, pure white.",
		"Emptiness makes {s} the only thing worth looking at."
	},
	{
		{ "night market", "cinematic contrast", "steam and glow",
		    "wet reflections" },
		{ "#101A2B", "#E0574F" },
		"After rain, under lanterns: {s} handed over in a glow of steam, "
		"with colour pooled in wet stone. Framed like a still from "
		"nineties Hong Kong cinema, close and full of motion.",
		"Movement and appetite in one frame make people stop and tag "
		"whoever they would go with.",
		"A tight medium shot of {s} held towards the camera, background "
		"lights stretched into soft discs.",
		"A narrow market lane at night, lanterns and rain on stone.",
		"A curl of steam and a hand in a rolled sleeve.",
		"Lantern light from behind, cool fill from the street, lively and "
		"close.",
		"Glossy edges, fine rain, blistered crust.",
		"Daylight, empty streets, sterile surfaces.",
		"Night gives {s} an appetite of its own."
	},
	{
		{ "botanical plate", "ink outline", "specimen layout",
		    "pressed leaves" },
		{ "#4F6B4A", "#F1E9D2" },
		"{S} as a botanical plate: its ingredients arranged around it like "
		"specimens, with fine ink outlines and watercolour washes. The "
		"order of eighteenth-century herbals meets appetite.",
		"It rewards a second look and explains quality without a claim, "
		"so it is kept and passed on.",
		"{S} in the exact centre, ingredients spaced evenly around it in "
		"an oval, all facing the viewer.",
		"Aged cream paper with faint ruled lines and a pressed leaf.",
		"A pencil and one cut ingredient lying across the margin.",
		"Even desk light from above with gentle shadows, curious and "
		"clear.",
		"Watercolour blooms, ink hairlines, the zest in close detail.",
		"Photographic clutter, heavy black, decorative fonts.",
		"Showing the parts of {s} proves what is in it."
	},
};

struct row {
	const char *name;
	const char *lines[8];	/* NULL ends a shorter list */
};

/* Eight lines where variants must differ, fewer where they need not. */
static const struct row rows[] = {
	{ "target_audience", {
		"Regulars of the neighbourhood who plan their weekend around a "
		"good {s}",
		"Young professionals looking for an afternoon treat near the "
		"office",
		"Families who share one table and never agree on one dish",
		"Visitors with a camera who want the one thing this place is "
		"known for",
		"Curious home cooks who ask how the {s} was made",
		"Students meeting between lectures, with more time than money",
		"Couples choosing somewhere unhurried for a date",
		"People who order in on weeknights and care what arrives" } },
	{ "target_objective", {
		"Bring people in this week to taste the {s}",
		"Make the {s} the first thing they think of when they crave "
		"something good",
		"Win orders for the {s} in the quiet hours of the afternoon",
		"Show the craft behind the {s} so that its price explains itself",
		"Get the {s} saved and sent to a friend as a plan for the weekend",
		"Introduce the {s} to people who have never walked in",
		"Turn one-time guests into regulars who come back for the {s}",
		"Raise pre-orders for the {s} before the weekend" } },
	{ "target_voice", {
		"Warm and unhurried, like a baker talking across the counter",
		"Playful and quick, with one good line and no exclamation marks",
		"Quietly confident; it lets the {s} do the talking",
		"Knowledgeable and generous, as if sharing a recipe",
		"Sunny and inviting, with the ease of a holiday postcard",
		"Direct and appetising, short words and clear promises",
		"Elegant and sensory, attentive to texture and scent",
		"Honest and local, spoken by someone who knows your name" } },
	{ "main_subject", {
		"{S}, freshly plated, its cut edge turned to the viewer",
		"One generous portion of {s} being lifted from the plate",
		"{S} resting on a simple plate, its surface catching the light",
		"{S} in the moment before the first bite" } },
	{ "logo_visuals", {
		"A small mark in the lower right margin, single colour, about six "
		"per cent of the width, never over the {s}",
		"The mark printed on the paper liner under the {s}, partly in "
		"shadow, discreet but legible",
		"A tone-on-tone watermark in the upper left corner with clear "
		"space on all sides" } },
	{ "secondary_elements", {
		"a {c2} surface", "a plain plate", "soft window light" } },
	{ "angle_orientation", {
		"Three-quarter view from slightly above", "Eye level, frontal",
		"Straight from above" } },
	{ "setting_environment", {
		"A tabletop with {c2} tones and a soft, unfocused background",
		"An indoor table near a window" } },
	{ "style_mood", {
		"Natural and appetising, with soft light and {c1} tones",
		"Calm, homely, lightly contrasted" } },
	{ "logo_style", {
		"wordmark", "circular emblem", "geometric icon",
		"hand-drawn monogram" } },
	{ "concept_adherence", {
		"Theme, palette and framing follow the concept; {s} is where the "
		"concept puts it and the mood agrees.",
		"The picture keeps the idea of {s} and its light; a small part of "
		"the described setting is only hinted at.",
		"{S} and palette are right; the composition is a little more "
		"central than asked for." } },
	{ "subject_preservation", {
		"{S} keeps its shape, surface and proportions from the reference.",
		"{S} is clearly the same; minor surface details were smoothed." } },
	{ "technical_quality", {
		"Clean edges, plausible light and proportion, no artefacts at "
		"normal viewing size.",
		"Sound light and resolution; one soft area near the border.",
		"Good overall; fine texture on {s} is slightly simplified." } },
	{ "text_rendering_quality", {
		"The words are spelled as asked, legible, and sit well in the "
		"layout.",
		"Spelling is right; contrast to the background could be higher." } },
	{ "core_message", {
		"{S}, made the slow way, is ready when you are." } },
	{ "target_emotion", { "Anticipation", "Comfort", "Curiosity" } },
	{ "tone_of_voice", { "Warm, concrete, lightly witty" } },
	{ "primary_call_to_action", {
		"Come by and try the {s} today.",
		"Save this for your next {s} craving." } },
	{ "caption_structure", {
		"One sensory opening line, two short sentences, one invitation." } },
	{ "style_notes", {
		"Short lines, plain words, the name of the dish early." } },
	{ "length_guidance", { "Two to four short sentences" } },
	{ "task_type_notes", { "Lead with appetite, then give the reason." } },
	{ "adaptation_reasoning", {
		"The light, palette and framing of the source stay; only what "
		"depended on the old subject was rewritten for {s}." } },
};

/* Niches by food category, four each. */
static const char *const niches[FOOD__COUNT][4] = {
	[FOOD_OTHER] = { "Neighbourhood café", "Modern bistro",
	    "Speciality delicatessen", "Seasonal market kitchen" },
	[FOOD_SWEET] = { "Artisan patisserie", "Neighbourhood café and bakery",
	    "Dessert bar", "Afternoon tea room" },
	[FOOD_DRINK] = { "Speciality coffee bar", "Neighbourhood wine bar",
	    "Juice and tea counter", "All-day café" },
	[FOOD_SAVOURY] = { "Casual family trattoria", "Street food kitchen",
	    "Craft bakery and lunch counter", "Comfort food delivery" },
	[FOOD_GREEN] = { "Plant-forward lunch kitchen", "Healthy bowl bar",
	    "Farm-to-table bistro", "Organic delicatessen" },
	[FOOD_SEA] = { "Harbour seafood bar", "Modern sushi counter",
	    "Coastal bistro", "Poke and salad kitchen" },
};

/* --- slots ------------------------------------------------------------- */

static const struct style_look *
look_of(const struct voice *v, int i)
{
	size_t k;

	for (k = 0; k < ARRAY_LEN(looks); k++)
		if (strstr(v->r->user.buf, looks[k].keywords[0]) != NULL)
			return &looks[k];
	return &looks[(v->base + (unsigned)i) % ARRAY_LEN(looks)];
}

static const char *
name_of_hex(const char *hex)
{
	long rgb = strtol(hex + 1, NULL, 16);

	return lexicon_color_name((int)(rgb >> 16 & 255), (int)(rgb >> 8 & 255),
	    (int)(rgb & 255));
}

int
prose_colors(const struct voice *v, int i, char (*out)[8])
{
	const struct style_look *look = look_of(v, i);
	const struct food *food = v->facts.food;
	int n = 0, k;

	for (k = 0; k < v->facts.n_hexes && n < 3; k++)
		snprintf(out[n++], 8, "%s", v->facts.hexes[k]);
	/* "Yellow and yellow" would be true of many a dish and say nothing. */
	if (!v->facts.hexes_given && food != NULL && n < 3 && (n == 0 ||
	    strcmp(name_of_hex(food->hex), name_of_hex(out[0])) != 0))
		snprintf(out[n++], 8, "%s", food->hex);
	for (k = 0; k < LOOK_HEXES && n < 3; k++)
		snprintf(out[n++], 8, "%s", look->hexes[k]);
	return n;
}

/* The k-th colour's name: of what was seen, else of what was chosen. */
static const char *
color_name(const struct voice *v, int i, int k)
{
	char hexes[3][8];
	int n;

	if (v->has_look && v->look.n > 0)
		return v->look.names[k < v->look.n ? k : v->look.n - 1];
	n = prose_colors(v, i, hexes);
	return name_of_hex(hexes[k < n ? k : n - 1]);
}

static void
add_colors(const struct voice *v, int i, struct strbuf *out)
{
	char hexes[3][8];
	int n, k;

	n = prose_colors(v, i, hexes);
	for (k = 0; k < n; k++)
		strbuf_addf(out, "%s%s (%s)", k == 0 ? "" : k == n - 1 ?
		    " and " : ", ", name_of_hex(hexes[k]), hexes[k]);
}

static void
add_capital(struct strbuf *out, const char *s)
{
	strbuf_addch(out, (unsigned char)s[0] < 0x80 ?
	    (char)toupper((unsigned char)s[0]) : s[0]);
	strbuf_addstr(out, s + 1);
}

static void
add_slot(const struct voice *v, const char *slot, int i, struct strbuf *out)
{
	char niche[FACTS_PHRASE_MAX];

	if (strncmp(slot, "{s}", 3) == 0)
		strbuf_addstr(out, v->facts.subject);
	else if (strncmp(slot, "{S}", 3) == 0)
		add_capital(out, v->facts.subject);
	else if (strncmp(slot, "{d}", 3) == 0)
		strbuf_addstr(out, v->facts.detail[0] != '\0' ?
		    v->facts.detail : "good company");
	else if (strncmp(slot, "{n}", 3) == 0)
		strbuf_addstr(out, prose_niche(v, i, niche, sizeof(niche)));
	else if (strncmp(slot, "{c}", 3) == 0)
		add_colors(v, i, out);
	else if (strncmp(slot, "{c1}", 4) == 0)
		strbuf_addstr(out, color_name(v, i, 0));
	else
		strbuf_addstr(out, color_name(v, i, 1));
}

static void
fill(const struct voice *v, const char *text, int i, struct strbuf *out)
{
	const char *slot, *end;

	for (slot = strchr(text, '{'); slot != NULL; slot = strchr(text, '{')) {
		strbuf_add(out, text, (size_t)(slot - text));
		add_slot(v, slot, i, out);
		end = strchr(slot, '}');
		text = end != NULL ? end + 1 : slot + strlen(slot);
	}
	strbuf_addstr(out, text);
}

const char *
prose_niche(const struct voice *v, int i, char *buf, size_t size)
{
	int category = v->facts.food != NULL ? v->facts.food->category :
	    FOOD_OTHER;

	if (v->facts.n_niches > 0)
		snprintf(buf, size, "%s",
		    v->facts.niches[i % v->facts.n_niches]);
	else
		snprintf(buf, size, "%s", niches[category][i % 4]);
	return buf;
}

/* --- fields made of parts ---------------------------------------------- */

static void
add_lettering(const struct voice *v, int i, struct strbuf *out)
{
	static const char *const type[] = { "a generous serif",
	    "a bold, clear sans-serif", "loose hand lettering" };
	int k;

	strbuf_addstr(out, "The words ");
	if (v->facts.n_quotes == 0) {
		strbuf_addch(out, '"');
		add_capital(out, v->facts.subject);
		strbuf_addstr(out, ", today\"");
	}
	for (k = 0; k < v->facts.n_quotes; k++)
		strbuf_addf(out, "%s\"%s\"", k == 0 ? "" :
		    k == v->facts.n_quotes - 1 ? " and below them " : ", ",
		    v->facts.quotes[k]);
	strbuf_addf(out, " in %s across the upper third, high contrast to the "
	    "background, well clear of ", type[(v->base + (unsigned)i) % 3]);
	strbuf_addstr(out, v->facts.subject);
	strbuf_addch(out, '.');
}

static size_t
count_chars(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

/* Cut at a word so that at most max characters are left. */
static void
cut_words(struct strbuf *sb, size_t max)
{
	while (count_chars(sb->buf) > max) {
		char *blank = strrchr(sb->buf, ' ');

		if (blank == NULL)
			break;
		strbuf_truncate(sb, (size_t)(blank - sb->buf));
	}
	while (sb->len > 0 && strchr(" ,;", sb->buf[sb->len - 1]) != NULL)
		strbuf_truncate(sb, sb->len - 1);
}

/* 100 to 125 characters: clauses are added while they fit and are needed; a
 * subject of an odd length is finished by cutting at a word. */
static void
add_alt_text(const struct voice *v, int i, struct strbuf *out)
{
	static const char *const clauses[] = {
		"{S} on a plain plate", " in soft light",
		" against {c2} tones", ", seen up close",
		" with its texture clearly visible", ", ready to be served",
		" beside a folded napkin", ", with room around it",
		", freshly made",
	};
	static const char more[] = " on a calm table by the window in the "
	    "first light of the day with nothing else around it";
	struct strbuf sb = STRBUF_INIT(PROSE_MAX_BYTES);
	size_t k, before;

	for (k = 0; k < ARRAY_LEN(clauses) && count_chars(sb.buf) <
	    ALT_MIN_CHARS; k++) {
		before = sb.len;
		fill(v, clauses[k], i, &sb);
		if (k > 0 && count_chars(sb.buf) > ALT_MAX_CHARS - 1)
			strbuf_truncate(&sb, before);
	}
	if (count_chars(sb.buf) < ALT_MIN_CHARS)
		strbuf_addstr(&sb, more);
	cut_words(&sb, ALT_MAX_CHARS - 1);
	strbuf_addstr(out, sb.buf);
	strbuf_addch(out, '.');
	strbuf_release(&sb);
}

static const char *
look_field(const struct style_look *l, const char *name)
{
	const struct {
		const char *name;
		const char *text;
	} fields[] = {
		{ "style_description", l->style },
		{ "marketing_impact", l->impact },
		{ "composition_and_framing", l->composition },
		{ "background_environment", l->background },
		{ "foreground_elements", l->foreground },
		{ "lighting_and_mood", l->light },
		{ "visual_style", l->style },
		{ "texture_and_details", l->surface },
		{ "negative_elements", l->avoid },
		{ "creative_reasoning", l->reason },
	};
	size_t k;

	for (k = 0; k < ARRAY_LEN(fields); k++)
		if (strcmp(name, fields[k].name) == 0)
			return fields[k].text;
	return NULL;
}

static const char *
row_line(const struct voice *v, const char *name, int i)
{
	unsigned n;
	size_t k;

	for (k = 0; k < ARRAY_LEN(rows); k++) {
		if (strcmp(name, rows[k].name) != 0)
			continue;
		for (n = 0; n < 8 && rows[k].lines[n] != NULL; n++)
			continue;
		return rows[k].lines[(v->base + (unsigned)i) % n];
	}
	return NULL;
}

/* What a picture shows when nobody has said what it is. */
static void
add_seen(const struct voice *v, struct strbuf *out)
{
	strbuf_addf(out, "a %s dish on a %s surface", color_name(v, 0, 0),
	    color_name(v, 0, 1));
}

bool
prose_field(const struct voice *v, const char *name, int i, struct strbuf *out)
{
	char niche[FACTS_PHRASE_MAX];
	const char *line;

	if (strcmp(name, "target_niche") == 0 ||
	    strcmp(name, "relevant_niches") == 0) {
		strbuf_addstr(out, prose_niche(v, i, niche, sizeof(niche)));
		return true;
	}
	if (strcmp(name, "color_palette") == 0) {
		add_colors(v, i, out);
		fill(v, "; the first leads, the others support {s}.", i, out);
		return true;
	}
	if (strcmp(name, "promotional_text_visuals") == 0) {
		add_lettering(v, i, out);
		return true;
	}
	if (strcmp(name, "suggested_alt_text") == 0) {
		add_alt_text(v, i, out);
		return true;
	}
	if (strcmp(name, "main_subject") == 0 && v->has_look &&
	    v->r->kind == KIND_CHAT) {
		if (v->facts.from_brief)
			fill(v, "{S} on a {c2} surface", i, out);
		else
			add_seen(v, out);
		return true;
	}
	line = look_field(look_of(v, i), name);
	if (line == NULL)
		line = row_line(v, name, i);
	if (line == NULL)
		return false;
	fill(v, line, i, out);
	return true;
}

const char *
prose_word(const struct voice *v, const char *name, int i, int k, char *buf,
    size_t size)
{
	static const char *const themes[] = { "craft", "season",
	    "generosity", "texture", "good company" };
	static const char *const emoji[] = { "\xf0\x9f\x8d\x8b",
	    "\xe2\x9c\xa8", "\xf0\x9f\x8d\xb0" };
	static const char *const tags[] = { "freshlymade", "localfavourite",
	    "foodlover", "treatyourself", "madebyhand" };
	char *p;

	if (strcmp(name, "style_keywords") == 0)
		return look_of(v, i)->keywords[k % LOOK_KEYWORDS];
	if (strcmp(name, "key_themes_to_include") == 0)
		return themes[k % 5];
	if (strcmp(name, "emoji_suggestions") == 0)
		return emoji[k % 3];
	if (strcmp(name, "seo_keywords") == 0) {
		snprintf(buf, size, k == 0 ? "%s" : k == 1 ? "best %s" :
		    k == 2 ? "%s near me" : "homemade %s", v->facts.subject);
		return buf;
	}
	if (strcmp(name, "hashtags") == 0) {
		if (k > 0)
			snprintf(buf, size, "#%s", tags[(k - 1) % 5]);
		else
			snprintf(buf, size, "#%s", v->facts.subject);
		for (p = buf; *p != '\0'; p++)
			while (*p == ' ' || *p == '-' || *p == '\'')
				memmove(p, p + 1, strlen(p));
		return buf;
	}
	return NULL;
}

void
prose_unknown(const struct voice *v, const char *name,
    const char *description, struct strbuf *out)
{
	struct strbuf label = STRBUF_INIT(PROSE_MAX_BYTES);
	size_t i;

	strbuf_addstr(&label, description != NULL && description[0] != '\0' ?
	    description : name);
	for (i = 0; i < label.len; i++)
		if (label.buf[i] == '_')
			label.buf[i] = ' ';
	cut_words(&label, 60);
	while (label.len > 0 && label.buf[label.len - 1] == '.')
		strbuf_truncate(&label, label.len - 1);
	if (label.len > 0)
		add_capital(out, label.buf);
	fill(v, label.len > 0 ? ": {s}, clear, warm and true to the brief." :
	    "{S}, clear, warm and true to the brief.", 0, out);
	strbuf_release(&label);
}

void
prose_caption(const struct voice *v, struct strbuf *out)
{
	fill(v, "Some days ask for {s}. Ours is made this morning, by hand, and "
	    "goes well with {d}.\n\nCome by while it lasts.", 0, out);
}
