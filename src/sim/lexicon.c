/*
 * Words the simulator knows: food with its colour, colours with their code,
 * and words that say nothing about a subject.
 *
 * This is what makes an answer about lemon tart speak of lemon tart: the
 * salient words of a brief are those that are left when stop words go, and a
 * run of them that ends in food wins.  To teach it a dish, add a row to
 * foods[]; the order does not matter.
 */
#include "sim.h"

#include <strings.h>

#include "xalloc.h"

#define WORD_MAX 32

static const struct food foods[] = {
	{ "tart", FOOD_SWEET, "#E8B23A" }, { "cake", FOOD_SWEET, "#C98A5B" },
	{ "cheesecake", FOOD_SWEET, "#F2DFB4" },
	{ "pie", FOOD_SWEET, "#C9853F" }, { "cookie", FOOD_SWEET, "#B9804A" },
	{ "brownie", FOOD_SWEET, "#4B2E22" },
	{ "croissant", FOOD_SWEET, "#D59A4C" },
	{ "pastry", FOOD_SWEET, "#D9A45B" }, { "muffin", FOOD_SWEET, "#B98045" },
	{ "cupcake", FOOD_SWEET, "#E7A7B4" },
	{ "macaron", FOOD_SWEET, "#D98FA5" },
	{ "donut", FOOD_SWEET, "#D98A5A" }, { "doughnut", FOOD_SWEET, "#D98A5A" },
	{ "waffle", FOOD_SWEET, "#CF9245" }, { "pancake", FOOD_SWEET, "#D8A252" },
	{ "gelato", FOOD_SWEET, "#EFC7B4" }, { "sorbet", FOOD_SWEET, "#E8657A" },
	{ "ice cream", FOOD_SWEET, "#F3E0C2" },
	{ "tiramisu", FOOD_SWEET, "#8C5E3C" },
	{ "chocolate", FOOD_SWEET, "#4A2A1B" },
	{ "dessert", FOOD_SWEET, "#D98E73" }, { "scone", FOOD_SWEET, "#DDB878" },
	{ "bun", FOOD_SWEET, "#C58A47" }, { "strudel", FOOD_SWEET, "#C98F52" },
	{ "pudding", FOOD_SWEET, "#D9B36A" }, { "honey", FOOD_SWEET, "#D99A1E" },
	{ "meringue", FOOD_SWEET, "#F4EAD7" },
	{ "lemon", FOOD_SWEET, "#F2C53D" }, { "strawberry", FOOD_SWEET, "#D3344A" },
	{ "raspberry", FOOD_SWEET, "#B8274C" }, { "berry", FOOD_SWEET, "#7A2950" },
	{ "apple", FOOD_SWEET, "#C2402F" }, { "peach", FOOD_SWEET, "#F1A66A" },
	{ "mango", FOOD_SWEET, "#F2A33C" }, { "fig", FOOD_SWEET, "#6B3A55" },
	{ "coffee", FOOD_DRINK, "#5A3A26" }, { "espresso", FOOD_DRINK, "#3B2317" },
	{ "cappuccino", FOOD_DRINK, "#B98A5E" },
	{ "latte", FOOD_DRINK, "#C79F74" }, { "tea", FOOD_DRINK, "#A8682B" },
	{ "matcha", FOOD_DRINK, "#7E9B45" }, { "chai", FOOD_DRINK, "#B67A43" },
	{ "juice", FOOD_DRINK, "#EE9A2E" }, { "smoothie", FOOD_DRINK, "#C9527B" },
	{ "lemonade", FOOD_DRINK, "#F0D55F" }, { "beer", FOOD_DRINK, "#D9962A" },
	{ "wine", FOOD_DRINK, "#6B1F33" }, { "cocktail", FOOD_DRINK, "#D8573F" },
	{ "spritz", FOOD_DRINK, "#EC6A2C" }, { "cider", FOOD_DRINK, "#D69B3A" },
	{ "bread", FOOD_SAVOURY, "#B27B43" }, { "loaf", FOOD_SAVOURY, "#A9713B" },
	{ "sourdough", FOOD_SAVOURY, "#A06A37" },
	{ "baguette", FOOD_SAVOURY, "#C48F4E" },
	{ "bagel", FOOD_SAVOURY, "#B97C3D" }, { "pizza", FOOD_SAVOURY, "#C94F2D" },
	{ "pasta", FOOD_SAVOURY, "#E3B653" }, { "lasagna", FOOD_SAVOURY, "#B8512F" },
	{ "risotto", FOOD_SAVOURY, "#E6CB86" }, { "burger", FOOD_SAVOURY, "#A2562B" },
	{ "sandwich", FOOD_SAVOURY, "#C79A5B" },
	{ "toast", FOOD_SAVOURY, "#C08B4A" }, { "taco", FOOD_SAVOURY, "#D9A03F" },
	{ "burrito", FOOD_SAVOURY, "#C99A5D" }, { "steak", FOOD_SAVOURY, "#6E2F25" },
	{ "chicken", FOOD_SAVOURY, "#C9803B" }, { "rib", FOOD_SAVOURY, "#7C3320" },
	{ "sausage", FOOD_SAVOURY, "#9A4A2E" }, { "kebab", FOOD_SAVOURY, "#94512D" },
	{ "noodle", FOOD_SAVOURY, "#DDB15B" }, { "ramen", FOOD_SAVOURY, "#C88A45" },
	{ "pho", FOOD_SAVOURY, "#A9702F" }, { "dumpling", FOOD_SAVOURY, "#E5CFA3" },
	{ "curry", FOOD_SAVOURY, "#D2842A" }, { "soup", FOOD_SAVOURY, "#C9682F" },
	{ "stew", FOOD_SAVOURY, "#8A4526" }, { "omelette", FOOD_SAVOURY, "#EBC24F" },
	{ "egg", FOOD_SAVOURY, "#F0C24B" }, { "cheese", FOOD_SAVOURY, "#E9BE56" },
	{ "quiche", FOOD_SAVOURY, "#DDA94E" }, { "fries", FOOD_SAVOURY, "#E2AE45" },
	{ "pretzel", FOOD_SAVOURY, "#8F542A" }, { "tapas", FOOD_SAVOURY, "#B5562F" },
	{ "paella", FOOD_SAVOURY, "#E0A32E" }, { "gnocchi", FOOD_SAVOURY, "#E4C98B" },
	{ "rice", FOOD_SAVOURY, "#EFE5CB" }, { "mushroom", FOOD_SAVOURY, "#A88B6C" },
	{ "breakfast", FOOD_SAVOURY, "#E0AE55" },
	{ "brunch", FOOD_SAVOURY, "#E5B765" },
	{ "salad", FOOD_GREEN, "#6E9B3C" }, { "bowl", FOOD_GREEN, "#7FA34E" },
	{ "avocado", FOOD_GREEN, "#7F9A4A" }, { "falafel", FOOD_GREEN, "#8B6A34" },
	{ "hummus", FOOD_GREEN, "#D8BD87" }, { "granola", FOOD_GREEN, "#B98B4F" },
	{ "yogurt", FOOD_GREEN, "#F3ECDF" }, { "vegetable", FOOD_GREEN, "#6C8F3F" },
	{ "asparagus", FOOD_GREEN, "#71923F" }, { "tofu", FOOD_GREEN, "#EADFC4" },
	{ "pumpkin", FOOD_GREEN, "#D9752A" }, { "tomato", FOOD_GREEN, "#CC3B2B" },
	{ "olive", FOOD_GREEN, "#7A7C3A" },
	{ "sushi", FOOD_SEA, "#E4775A" }, { "salmon", FOOD_SEA, "#E9806B" },
	{ "tuna", FOOD_SEA, "#B0414A" }, { "fish", FOOD_SEA, "#8FA9B5" },
	{ "oyster", FOOD_SEA, "#9AA39E" }, { "shrimp", FOOD_SEA, "#E68A6A" },
	{ "prawn", FOOD_SEA, "#E68A6A" }, { "lobster", FOOD_SEA, "#B83A2A" },
	{ "poke", FOOD_SEA, "#D98768" }, { "ceviche", FOOD_SEA, "#E3A98C" },
};

static const struct {
	const char *word;
	const char *hex;
} colors[] = {
	{ "black", "#1B1A19" }, { "white", "#FAF8F4" }, { "grey", "#8A8782" },
	{ "gray", "#8A8782" }, { "silver", "#BFC3C7" }, { "charcoal", "#36393D" },
	{ "red", "#C62F2B" }, { "crimson", "#A61E35" }, { "burgundy", "#6D1B2D" },
	{ "scarlet", "#D2301F" }, { "pink", "#EB8FA8" }, { "rose", "#D96C83" },
	{ "coral", "#F0785A" }, { "salmon", "#EE8A72" }, { "orange", "#EE7F22" },
	{ "apricot", "#F3AE70" }, { "peach", "#F5B98F" }, { "amber", "#E69A1F" },
	{ "terracotta", "#BE5B3A" }, { "rust", "#A5482A" }, { "copper", "#B1673A" },
	{ "gold", "#D3A533" }, { "golden", "#D3A533" }, { "yellow", "#F3CB2E" },
	{ "mustard", "#CF9F2A" }, { "lemon", "#F4D84A" }, { "cream", "#FBF1DA" },
	{ "ivory", "#F8F2E0" }, { "beige", "#E3D2B4" }, { "sand", "#DCC49A" },
	{ "vanilla", "#F5E6BE" }, { "caramel", "#B9762F" }, { "brown", "#76492B" },
	{ "chocolate", "#492A1C" }, { "green", "#3F8A46" }, { "sage", "#A0AF8C" },
	{ "mint", "#A6DCC1" }, { "olive", "#7B7B36" }, { "emerald", "#17805A" },
	{ "forest", "#27523A" }, { "pistachio", "#B5CB83" }, { "teal", "#17777A" },
	{ "turquoise", "#33B3AC" }, { "aqua", "#6FCBD0" }, { "cyan", "#35BFD6" },
	{ "blue", "#2F63B5" }, { "navy", "#1B2A52" }, { "azure", "#3F8DD8" },
	{ "indigo", "#3C3A86" }, { "lavender", "#B7A7DB" }, { "lilac", "#C3A4D2" },
	{ "purple", "#6E3F95" }, { "violet", "#7B4FB0" }, { "plum", "#6C3157" },
	{ "magenta", "#BE2F7E" },
};

/* Function words, and what marketing people put around any subject. */
static const char stop_words[] =
    " a about above across after again all also always am an and any are as "
    "at back be because been before being below best better between big both "
    "bright but by can come could do does doing down during each every few "
    "find for from full get give go good grand great had has have he her here him "
    "his how i if in into is it its just keep know let like little look looks "
    "made make makes making many may me more most much must my need needs new "
    "next no nor not now of off on once one only or other our out over own "
    "people per please put really right same see she should show showing "
    "shows small so some such than that the their them then there these they "
    "this those through to together too top two three under until up us use "
    "using very want wants warm was way we well were what when where which "
    "while who whom whose why will wish with within without would you your "
    "ad ads advert advertise advertisement advertising announce announcing "
    "audience awareness banner beautiful brand brands brief business buy cafe "
    "café campaign caption celebrate celebrating concept content create "
    "creative customer customers cosy cozy daily day days delicious design "
    "discount discover draw eat enjoy event everyone facebook feed favourite "
    "favorite feel fine focus food fresh freshly friends fun generate guests "
    "happy headline highlight homemade house image images instagram introduce "
    "introducing invite inviting item items launch launching light local logo "
    "look lovely marketing menu mood morning offer offering offers opening "
    "order page photo photograph photography photos picture pictures pinterest "
    "place plate platform post poster posts present presenting product "
    "products promo promote promoting promotion promotional promotions "
    "quality reach reel reels restaurant scene season sell selling serve "
    "served serving share shop shot social special specials start starting "
    "story style subject tasty text today try visual visuals visit visitors "
    "week weekend welcome words www http https com ";

/* A plain-word comparison over the bytes of a word, letters folded. */
static bool
same_word(const char *row, const char *word, size_t len)
{
	return strlen(row) == len && strncasecmp(row, word, len) == 0;
}

static const struct food *
find_food(const char *word, size_t len)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(foods); i++)
		if (same_word(foods[i].word, word, len))
			return &foods[i];
	return NULL;
}

const struct food *
lexicon_food(const char *word, size_t len)
{
	char single[WORD_MAX];
	const struct food *f;

	f = find_food(word, len);
	if (f != NULL || len < 4 || len >= sizeof(single) - 1 ||
	    (word[len - 1] != 's' && word[len - 1] != 'S'))
		return f;
	f = find_food(word, len - 1);
	if (f != NULL)
		return f;
	memcpy(single, word, len);
	if (strncasecmp(word + len - 3, "ies", 3) == 0) {
		single[len - 3] = 'y';		/* pastries */
		return find_food(single, len - 2);
	}
	if (strncasecmp(word + len - 2, "es", 2) == 0)
		return find_food(word, len - 2);	/* sandwiches */
	return NULL;
}

const char *
lexicon_color(const char *word, size_t len)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(colors); i++)
		if (same_word(colors[i].word, word, len))
			return colors[i].hex;
	return NULL;
}

bool
lexicon_is_stop_word(const char *word, size_t len)
{
	char padded[WORD_MAX + 2];
	size_t i;

	if (len <= 1 || len > WORD_MAX - 2)
		return len <= 1;
	padded[0] = ' ';
	for (i = 0; i < len; i++)
		padded[i + 1] = (char)tolower((unsigned char)word[i]);
	padded[len + 1] = ' ';
	padded[len + 2] = '\0';
	return strstr(stop_words, padded) != NULL;
}

/* Named by lightness, then by hue; brown is a dark orange to the eye. */
const char *
lexicon_color_name(int r, int g, int b)
{
	static const char *const deep[6] = { "deep red", "brown",
	    "dark green", "deep teal", "dark blue", "deep plum" };
	static const char *const middle[6] = { "warm red", "golden brown",
	    "fresh green", "teal", "blue", "violet" };
	static const char *const bright[6] = { "soft pink", "sunny yellow",
	    "pale green", "light aqua", "sky blue", "lilac" };
	int hi = r > g ? r : g, lo = r < g ? r : g, sector;
	double light = (0.299 * r + 0.587 * g + 0.114 * b) / 255, hue;

	hi = b > hi ? b : hi;
	lo = b < lo ? b : lo;
	if (hi - lo < 28)
		return light > 0.85 ? "white" : light > 0.6 ? "light grey" :
		    light > 0.25 ? "grey" : "near-black";
	if (hi - lo < 60 && light > 0.75)
		return "cream";
	if (hi == r)
		hue = 60.0 * (g - b) / (hi - lo);
	else if (hi == g)
		hue = 120 + 60.0 * (b - r) / (hi - lo);
	else
		hue = 240 + 60.0 * (r - g) / (hi - lo);
	if (hue < 0)
		hue += 360;
	sector = hue < 14 || hue >= 335 ? 0 : hue < 66 ? 1 : hue < 160 ? 2 :
	    hue < 195 ? 3 : hue < 255 ? 4 : 5;
	if (light < 0.3)
		return deep[sector];
	return light < 0.66 ? middle[sector] : bright[sector];
}
