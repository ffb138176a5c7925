/*
 * What the document says of this server and no other: the lists that are
 * configuration and the limits that are settings.
 *
 * To add one: a row here, and x-churns-from at the schema in conf/openapi.yml.
 */
#include "document.h"

#include "xalloc.h"

#define FROM "x-churns-from"

struct filling {
	const struct conf *conf;
	const char *path;
	struct problems *problems;
};

/* --- sources --------------------------------------------------------------------- */

enum figure { FIGURE_INT, FIGURE_INT64 };

#define SETTING(field) offsetof(struct settings, field)

static const struct {
	const char *name;
	enum figure kind;
	size_t offset;		/* in struct settings */
} figures[] = {
	{ "api.max_body_mb", FIGURE_INT64, SETTING(api_max_body_bytes) },
	{ "limits.max_upload_mb", FIGURE_INT64, SETTING(max_upload_bytes) },
	{ "limits.max_brief_chars", FIGURE_INT, SETTING(max_brief_chars) },
	{ "limits.max_instruction_chars", FIGURE_INT,
	  SETTING(max_instruction_chars) },
	{ "limits.max_overlay_chars", FIGURE_INT, SETTING(max_overlay_chars) },
	{ "limits.max_voice_chars", FIGURE_INT, SETTING(max_voice_chars) },
};

static struct json_object *
platforms(const struct conf *conf)
{
	struct json_object *list = json_object_new_array();
	int i;

	for (i = 0; i < conf->n_platforms; i++)
		json_object_array_add(list,
		    json_object_new_string(conf->platforms[i].name));
	return list;
}

static struct json_object *
task_types(const struct conf *conf)
{
	struct json_object *list = json_object_new_array();
	int i;

	for (i = 0; i < conf->n_task_types; i++)
		json_object_array_add(list,
		    json_object_new_string(conf->task_types[i].name));
	return list;
}

static struct json_object *
languages(const struct conf *conf)
{
	struct json_object *list = json_object_new_array();
	int i;

	for (i = 0; i < conf->n_languages; i++)
		json_object_array_add(list,
		    json_object_new_string(conf->languages[i].code));
	return list;
}

static const struct {
	const char *name;
	struct json_object *(*list)(const struct conf *conf);
} lists[] = {
	{ "platforms", platforms },
	{ "task_types", task_types },
	{ "languages", languages },
};

/* NULL: there is no such source. */
static struct json_object *
source_value(const struct conf *conf, const char *name)
{
	const char *settings = (const char *)&conf->settings;
	size_t i;

	for (i = 0; i < ARRAY_LEN(lists); i++)
		if (strcmp(lists[i].name, name) == 0)
			return lists[i].list(conf);
	for (i = 0; i < ARRAY_LEN(figures); i++) {
		if (strcmp(figures[i].name, name) != 0)
			continue;
		switch (figures[i].kind) {
		case FIGURE_INT:
			return json_object_new_int(*(const int *)(settings +
			    figures[i].offset));
		case FIGURE_INT64:
			return json_object_new_int64(*(const int64_t *)
			    (settings + figures[i].offset));
		}
	}
	return NULL;
}

/* --- filling --------------------------------------------------------------------- */

static void
fill_schema(const struct filling *f, struct json_object *schema,
    struct json_object *from)
{
	struct json_object *value;
	const char *name;

	json_object_object_foreach(from, keyword, source) {
		name = json_object_is_type(source, json_type_string) ?
		    json_object_get_string(source) : "";
		value = source_value(f->conf, name);
		if (value != NULL)
			json_put_obj(schema, keyword, value);
		else
			problems_add(f->problems, f->path, 0, "%s names '%s', "
			    "which is nothing that the server knows", FROM,
			    name);
	}
}

static void
fill_all(const struct filling *f, struct json_object *o)
{
	struct json_object *from;
	size_t i;

	if (json_object_is_type(o, json_type_array)) {
		for (i = 0; i < json_len(o); i++)
			fill_all(f, json_object_array_get_idx(o, i));
		return;
	}
	if (!json_object_is_type(o, json_type_object))
		return;
	from = json_get_obj(o, FROM);
	if (from != NULL)
		fill_schema(f, o, from);
	json_object_object_foreach(o, key, value) {
		(void)key;
		fill_all(f, value);
	}
}

void
document_fill(struct json_object *doc, const struct conf *conf,
    const char *path, struct problems *problems)
{
	struct filling f = { conf, path, problems };

	fill_all(&f, doc);
}
