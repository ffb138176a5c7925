/*
 * stage_order.yml: which stages a mode has, in which order.
 *
 * The file of the first implementation has one list, "stages"; it stands for
 * "generation" where that is missing.  A mode that the file does not mention
 * has its built-in list, and so has every mode when there is no file.  Whether
 * a name is a stage is known to the stage table, a floor above; the lines are
 * kept so that it can complain with the right one.
 */
#include "internal.h"

#include "xalloc.h"

static const char *const mode_names[MODE__COUNT] = {
	[MODE_GENERATION] = "generation",
	[MODE_REFINEMENT] = "refinement",
	[MODE_CAPTION] = "caption",
};

static const char *const keys[] = {
	"generation", "refinement", "caption", "stages", NULL
};

static const char *const built_in[MODE__COUNT][MAX_STAGES] = {
	[MODE_GENERATION] = {
		"image_eval", "strategy", "style_guide", "creative_expert",
		"prompt_assembly", "image_generation", "image_assessment"
	},
	[MODE_REFINEMENT] = {
		"load_base_image", "conditional_stage", "save_outputs"
	},
	[MODE_CAPTION] = { "caption" },
};

const char *
mode_name(enum mode m)
{
	return mode_names[m];
}

bool
mode_parse(const char *name, enum mode *out)
{
	int i;

	for (i = 0; i < MODE__COUNT; i++) {
		if (strcmp(mode_names[i], name) == 0) {
			*out = (enum mode)i;
			return true;
		}
	}
	return false;
}

static void
add_stage(struct stage_order *order, const char *name, int line)
{
	order->names[order->n] = xstrdup(name);
	order->lines[order->n] = line;
	order->n++;
}

static bool
has_stage(const struct stage_order *order, const char *name)
{
	int i;

	for (i = 0; i < order->n; i++) {
		if (strcmp(order->names[i], name) == 0)
			return true;
	}
	return false;
}

static void
read_list(struct loading *ld, const struct yaml_node *list,
    struct stage_order *order)
{
	const struct yaml_node *n;

	if (!is_kind(ld, list, YAML_LIST, list->key))
		return;
	if (list->first == NULL)
		fault(ld, list->line, "%s has no stages", list->key);
	for (n = list->first; n != NULL; n = n->next) {
		if (!is_kind(ld, n, YAML_SCALAR, "a stage"))
			continue;
		if (!name_is_clean(n->text, MAX_KEY))
			fault(ld, n->line, "'%s' cannot be the name of a "
			    "stage", n->text);
		else if (has_stage(order, n->text))
			fault(ld, n->line, "stage %s stands in %s twice",
			    n->text, list->key);
		else if (order->n == MAX_STAGES)
			fault(ld, n->line, "%s has more than %d stages",
			    list->key, MAX_STAGES);
		else
			add_stage(order, n->text, n->line);
	}
}

static const struct yaml_node *
list_of(const struct yaml_node *root, enum mode m)
{
	const struct yaml_node *n = yaml_get(root, mode_names[m]);

	if (n == NULL && m == MODE_GENERATION)
		n = yaml_get(root, "stages");
	return n;
}

void
order_load(struct loading *ld)
{
	const struct yaml_node *list;
	struct yaml_doc *doc;
	int m, i;

	ld->path = ld->conf->stage_order_path;
	doc = open_file(ld, true);
	if (doc != NULL)
		check_keys(ld, doc->root, keys);
	for (m = 0; m < MODE__COUNT; m++) {
		list = doc == NULL ? NULL : list_of(doc->root, (enum mode)m);
		if (list != NULL) {
			read_list(ld, list, &ld->conf->order[m]);
			continue;
		}
		for (i = 0; i < MAX_STAGES && built_in[m][i] != NULL; i++)
			add_stage(&ld->conf->order[m], built_in[m][i], 0);
	}
	yaml_free(doc);
}

void
order_release(struct conf *conf)
{
	int m, i;

	for (m = 0; m < MODE__COUNT; m++) {
		for (i = 0; i < conf->order[m].n; i++)
			free(conf->order[m].names[i]);
	}
}
