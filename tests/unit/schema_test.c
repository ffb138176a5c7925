/*
 * Schemas: what a file may say, what fits, what is said about what does not,
 * and the forms in which a schema goes to a model (generation.md 9.1, 10.2
 * step 7, 17 D, 18).
 */
#include "tests/unit/answer_unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "xalloc.h"

static char temp_dir[64];

static void
make_temp_dir(void)
{
	snprintf(temp_dir, sizeof(temp_dir), "/tmp/churns-schema-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(temp_dir));
}

static void
remove_temp_dir(void)
{
	ck_assert_int_eq(file_remove_tree(AT_FDCWD, temp_dir, NULL), ERR_OK);
}

static void
write_schema_file(const char *name, const char *text)
{
	char *path = xasprintf("%s/%s", temp_dir, name);
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
	free(path);
}

/* A set of one schema "s" (and "other", an object with one text). */
static struct schema_set *
set_of(const char *text)
{
	struct schema_set *set = NULL;
	struct problems problems;

	write_schema_file("s.json", text);
	write_schema_file("other.json", "{\"type\":\"object\",\"properties\":"
	    "{\"name\":{\"type\":\"string\"}},\"required\":[\"name\"]}");
	problems_init(&problems);
	schema_set_load(temp_dir, &problems, &set);
	ck_assert_msg(set != NULL, "%s", problems.text.buf);
	problems_release(&problems);
	return set;
}

/* --- the files of conf/schemas ------------------------------------------- */

static const char *const index_18[] = {
	"image_analysis", "logo_analysis", "relevant_niches",
	"marketing_strategies", "marketing_goal_set", "style_guidance_list",
	"visual_concept", "image_generation_prompt", "image_assessment",
	"noise_assessment", "image_assessment_record", "assembled_prompt",
	"generated_image_result", "cost_summary", "brand_kit",
	"unified_brief", "input_snapshot", "style_recipe_envelope",
	"stage_progress_event"
};

START_TEST(every_schema_of_the_index_is_there)
{
	ck_assert_str_eq(schema_name(schema_of(index_18[_i])), index_18[_i]);
	ck_assert_ptr_null(schema_get(schemas, "no_such_schema"));
}
END_TEST

/* Walk a strict schema: what OpenAI demands of it holds everywhere. */
static void
check_strict(const char *name, struct json_object *o)
{
	static const char *const refused[] = {
		"$schema", "$id", "$ref", "title", "minItems", "maxItems",
		"minLength", "maxLength", "pattern", "minimum", "maximum",
		"default"
	};
	struct json_object *properties = json_get_obj(o, "properties");
	struct json_object *any = json_get_arr(o, "anyOf");
	size_t i;

	for (i = 0; i < ARRAY_LEN(refused); i++)
		ck_assert_msg(json_get(o, refused[i]) == NULL, "%s: %s", name,
		    refused[i]);
	if (properties != NULL) {
		ck_assert(!json_get_bool(o, "additionalProperties", true));
		ck_assert_uint_eq(json_len(json_get(o, "required")),
		    (size_t)json_object_object_length(properties));
		json_object_object_foreach(properties, key, value)
			check_strict(key, value);
	}
	if (json_get(o, "items") != NULL)
		check_strict(name, json_get(o, "items"));
	for (i = 0; i < json_len(any); i++)
		check_strict(name, json_object_array_get_idx(any, i));
}

START_TEST(every_schema_can_be_projected_and_written)
{
	const struct schema *s = schema_of(index_18[_i]);
	struct json_object *strict = schema_strict(s), *full;
	char *text = schema_text(s);

	check_strict(index_18[_i], strict);
	full = json_of(text);
	ck_assert_str_eq(json_get_str(full, "type"), "object");
	ck_assert_ptr_nonnull(json_get(full, "title"));
	ck_assert_ptr_null(strstr(text, "$ref"));
	ck_assert_ptr_null(strchr(text, '\n'));
	json_object_put(full);
	json_object_put(strict);
	free(text);
}
END_TEST

START_TEST(optional_members_may_be_null_in_a_strict_schema)
{
	struct json_object *o = schema_strict(schema_of("image_assessment"));

	ck_json(json_at(o, "properties/assessment_scores/properties/"
	    "subject_preservation/type"), "[\"integer\",\"null\"]",
	    "optional");
	ck_json(json_at(o, "properties/assessment_scores/properties/"
	    "technical_quality/type"), "\"integer\"", "required");
	json_object_put(o);
	o = schema_strict(schema_of("image_generation_prompt"));
	ck_json(json_at(o, "properties/visual_concept/properties/main_subject/"
	    "type"), "[\"string\",\"null\"]", "through a reference");
	json_object_put(o);
	o = schema_strict(schema_of("input_snapshot"));
	ck_json(json_at(o, "properties/mode"), "{\"type\":[\"string\","
	    "\"null\"],\"enum\":[\"easy_mode\",\"custom_mode\","
	    "\"task_specific_mode\",null]}", "an enum");
	ck_json(json_at(o, "properties/brand_kit/anyOf/1/type"), "\"null\"",
	    "an alternative");
	json_object_put(o);
}
END_TEST

START_TEST(a_written_schema_says_everything)
{
	struct schema_set *set = set_of("{\"type\":\"object\",\"properties\":"
	    "{\"a\":{\"type\":\"array\",\"items\":{\"$ref\":\"other.json\"},"
	    "\"minItems\":1,\"maxItems\":3},\"b\":{\"type\":\"string\","
	    "\"pattern\":\"^x\",\"minLength\":2,\"maxLength\":9,"
	    "\"default\":\"xy\"},\"c\":{\"const\":4},\"d\":{\"type\":"
	    "\"number\",\"minimum\":0.5,\"maximum\":1}},\"required\":[\"a\"],"
	    "\"additionalProperties\":true}");
	char *text = schema_text(schema_get(set, "s"));
	struct json_object *o = json_of(text);

	ck_json(o, "{\"type\":\"object\",\"properties\":"
	    "{\"a\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
	    "\"properties\":{\"name\":{\"type\":\"string\"}},\"required\":"
	    "[\"name\"],\"additionalProperties\":true},"
	    "\"minItems\":1,\"maxItems\":3},\"b\":{\"type\":\"string\","
	    "\"pattern\":\"^x\",\"minLength\":2,\"maxLength\":9,"
	    "\"default\":\"xy\"},\"c\":{\"const\":4},\"d\":{\"type\":"
	    "\"number\",\"minimum\":0.5,\"maximum\":1}},\"required\":[\"a\"],"
	    "\"additionalProperties\":true}", "full");
	json_object_put(o);
	free(text);
	schema_set_free(set);
}
END_TEST

/* --- faults of files ----------------------------------------------------- */

static const struct {
	const char *text;
	const char *problem;	/* occurs in the problems */
} faults[] = {
	{ "{\"type\":\"object\",\"oneOf\":[]}", "\"oneOf\" is not a keyword" },
	{ "{\"properties\":{\"a\":{\"tpye\":\"string\"}}}",
	    "/properties/a: \"tpye\" is not a keyword" },
	{ "{\"type\":\"text\"}", "type \"text\" is unknown" },
	{ "{\"type\":[]}", "type is an empty list" },
	{ "{\"properties\":{\"a\":{}},\"required\":[\"b\"]}",
	    "required names \"b\"" },
	{ "{\"required\":[\"b\"]}", "required names \"b\"" },
	{ "{\"items\":{\"$ref\":\"gone.json\"}}",
	    "no such schema beside it: gone.json" },
	{ "{\"items\":{\"$ref\":\"../s.json\"}}", "no such schema" },
	{ "{\"items\":{\"$ref\":\"s.json\"}}", "refers to itself" },
	{ "{\"$ref\":\"s.json\"}", "refers to itself" },
	{ "{\"$ref\":\"other.json\",\"type\":\"object\"}",
	    "\"type\" beside $ref" },
	{ "{\"anyOf\":[{}],\"type\":\"object\"}", "\"type\" beside anyOf" },
	{ "{\"additionalProperties\":{\"type\":\"string\"}}",
	    "neither true nor false" },
	{ "{\"minItems\":\"3\"}", "minItems is not a count" },
	{ "{\"minLength\":-1}", "minLength is not a count" },
	{ "{\"minimum\":\"low\"}", "minimum is not a number" },
	{ "{\"pattern\":\"(\"}", "pattern: " },
	{ "{\"pattern\":\"\\\\d+\"}", "not a POSIX extended expression" },
	{ "{\"enum\":[]}", "enum is not a list" },
	{ "{\"title\":1}", "title is not text" },
	{ "[]", "a schema is an object" },
	{ "{\"items\":[]}", "/items: a schema is an object" },
	{ "{\"type\":", "s.json: line 1" }
};

START_TEST(a_fault_in_a_file_is_named_when_it_is_loaded)
{
	struct schema_set *set = NULL;
	struct problems problems;

	write_schema_file("s.json", faults[_i].text);
	write_schema_file("other.json", "{}");
	problems_init(&problems);
	ck_fails(schema_set_load(temp_dir, &problems, &set), ERR_CONFIG);
	ck_assert_ptr_null(set);
	ck_assert_int_eq(problems.count, 1);
	ck_assert_msg(strstr(problems.text.buf, faults[_i].problem) != NULL,
	    "%s: %s", faults[_i].text, problems.text.buf);
	ck_assert_ptr_nonnull(strstr(problems.text.buf, "s.json"));
	problems_release(&problems);
}
END_TEST

START_TEST(faults_of_all_files_are_told_at_once)
{
	struct schema_set *set = NULL;
	struct problems problems;
	struct strbuf deep = STRBUF_INIT(65536);
	int i;

	for (i = 0; i < SCHEMA_DEPTH_MAX; i++)
		strbuf_addstr(&deep, i % 2 == 0 ? "{\"items\":" :
		    "{\"properties\":{\"a\":");
	strbuf_addstr(&deep, "{}");
	for (i = SCHEMA_DEPTH_MAX - 1; i >= 0; i--)
		strbuf_addstr(&deep, i % 2 == 0 ? "}" : "}}");
	write_schema_file("deep.json", deep.buf);
	write_schema_file("bad.json", "{\"type\":\"x\",\"enum\":1,\"y\":2}");
	write_schema_file("notes.txt", "not a schema");
	problems_init(&problems);
	ck_fails(schema_set_load(temp_dir, &problems, &set), ERR_CONFIG);
	ck_assert_int_ge(problems.count, 4);
	ck_assert_ptr_nonnull(strstr(problems.text.buf, "deep.json"));
	ck_assert_ptr_nonnull(strstr(problems.text.buf, "bad.json"));
	ck_assert_ptr_null(strstr(problems.text.buf, "notes.txt"));
	problems_release(&problems);
	strbuf_release(&deep);
}
END_TEST

START_TEST(a_directory_without_schemas_is_a_fault)
{
	struct schema_set *set = NULL;
	struct problems problems;

	problems_init(&problems);
	ck_fails(schema_set_load(temp_dir, &problems, &set), ERR_CONFIG);
	ck_fails(schema_set_load("/nonexistent/schemas", &problems, &set),
	    ERR_CONFIG);
	ck_assert_int_eq(problems.count, 2);
	problems_release(&problems);
}
END_TEST

/* --- fitting ------------------------------------------------------------- */

static const struct {
	const char *about;
	const char *schema;	/* of s.json, unless it is the name of one */
	const char *value;
	const char *want;	/* what it becomes; NULL: the faults say */
	const char *faults;	/* NULL: none */
	const char *check;	/* faults when nothing may be mended; NULL: none */
} fits[] = {
	{ "D3: digits in quotes", "{\"type\":\"integer\"}", "\"5\"", "5", NULL,
	    "(top): is text, must be a whole number\n" },
	{ "digits with a sign and blanks", "{\"type\":\"integer\"}",
	    "\" -12 \"", "-12", NULL,
	    "(top): is text, must be a whole number\n" },
	{ "more digits than an integer has", "{\"type\":\"integer\"}",
	    "\"9999999999999999999999\"", NULL,
	    "(top): is text, must be a whole number\n",
	    "(top): is text, must be a whole number\n" },
	{ "other text is no integer", "{\"type\":\"integer\"}", "\"5.5\"", NULL,
	    "(top): is text, must be a whole number\n",
	    "(top): is text, must be a whole number\n" },
	{ "integral float", "{\"type\":\"integer\"}", "5.0", "5", NULL, NULL },
	{ "a fraction is no integer", "{\"type\":\"integer\"}", "5.5", NULL,
	    "(top): is a number, must be a whole number\n",
	    "(top): is a number, must be a whole number\n" },
	{ "an integer is a number", "{\"type\":\"number\"}", "5", "5", NULL,
	    NULL },
	{ "digits are a number", "{\"type\":\"number\"}", "\"5\"", "5", NULL,
	    "(top): is text, must be a number\n" },
	{ "a number is no text", "{\"type\":\"string\"}", "5", NULL,
	    "(top): is a whole number, must be text\n",
	    "(top): is a whole number, must be text\n" },
	{ "true is no text", "{\"type\":\"boolean\"}", "\"true\"", NULL,
	    "(top): is text, must be true or false\n",
	    "(top): is text, must be true or false\n" },
	{ "D4: absent optional members become null", "image_analysis",
	    "{\"main_subject\":\"Burger\"}",
	    "{\"main_subject\":\"Burger\",\"secondary_elements\":null,"
	    "\"angle_orientation\":null,\"setting_environment\":null,"
	    "\"style_mood\":null,\"extracted_text\":null}", NULL, NULL },
	{ "D5", "image_analysis", "{\"secondary_elements\":[]}", NULL,
	    "main_subject: is missing\n", "main_subject: is missing\n" },
	{ "D11", "visual_concept", "{\"main_subject\":\"a\","
	    "\"promotional_text_visuals\":\"b\",\"logo_visuals\":\"c\"}", NULL,
	    "composition_and_framing: is missing\n"
	    "background_environment: is missing\n"
	    "lighting_and_mood: is missing\ncolor_palette: is missing\n"
	    "visual_style: is missing\nsuggested_alt_text: is missing\n",
	    "composition_and_framing: is missing\n"
	    "background_environment: is missing\n"
	    "lighting_and_mood: is missing\ncolor_palette: is missing\n"
	    "visual_style: is missing\nsuggested_alt_text: is missing\n" },
	{ "D1: a bare list is wrapped", "style_guidance_list",
	    "[{\"style_keywords\":[\"a\",\"b\",\"c\"],\"style_description\":"
	    "\"d\",\"marketing_impact\":\"i\",\"source_strategy_index\":\"0\"}]",
	    "{\"style_guidance_sets\":[{\"style_keywords\":[\"a\",\"b\",\"c\"],"
	    "\"style_description\":\"d\",\"marketing_impact\":\"i\","
	    "\"source_strategy_index\":0}]}", NULL,
	    "(top): is a list, must be an object\n" },
	{ "a single object where a list of them is wanted",
	    "style_guidance_list", "{\"style_guidance_sets\":"
	    "{\"style_keywords\":[\"a\"],\"style_description\":\"d\","
	    "\"marketing_impact\":\"i\",\"source_strategy_index\":0}}",
	    "{\"style_guidance_sets\":[{\"style_keywords\":[\"a\"],"
	    "\"style_description\":\"d\",\"marketing_impact\":\"i\","
	    "\"source_strategy_index\":0}]}", NULL,
	    "style_guidance_sets: is an object, must be a list\n" },
	{ "a list is not wrapped where two could take it",
	    "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\"},"
	    "\"b\":{\"type\":\"array\"}}}", "[1]", NULL,
	    "(top): is a list, must be an object\n",
	    "(top): is a list, must be an object\n" },
	{ "unknown members are dropped", "noise_assessment",
	    "{\"noise_and_grain_impact\":3,\"why\":\"clean\",\"x\":{\"y\":1}}",
	    "{\"noise_and_grain_impact\":3}", NULL,
	    "(top): has no member \"why\"\n(top): has no member \"x\"\n" },
	{ "and kept where the schema is open",
	    "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":"
	    "\"integer\"}}}", "{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":2}", NULL,
	    NULL },
	{ "null for an optional member that may not be null",
	    "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":"
	    "\"integer\"}}}", "{\"a\":null}", "{}", NULL,
	    "a: is null, must be a whole number\n" },
	{ "null for a required one",
	    "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":"
	    "\"integer\"}},\"required\":[\"a\"]}", "{\"a\":null}", NULL,
	    "a: is null, must be a whole number\n",
	    "a: is null, must be a whole number\n" },
	{ "a text that arrives as an object",
	    "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":"
	    "\"string\"}}}",
	    "{\"a\":{\"light_source\":\"left\",\"n\":2,\"x\":null}}",
	    "{\"a\":\"Light source: left; N: 2.\"}", NULL,
	    "a: is an object, must be text\n" },
	{ "a text that arrives as a list",
	    "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":"
	    "\"string\"}}}", "{\"a\":[\"blur\",\"noise\"]}",
	    "{\"a\":\"[blur; noise]\"}", NULL,
	    "a: is a list, must be text\n" },
	{ "an empty container is null", "image_analysis",
	    "{\"main_subject\":\"x\",\"style_mood\":{},\"extracted_text\":[],"
	    "\"angle_orientation\":[[]],\"setting_environment\":{\"a\":null},"
	    "\"secondary_elements\":[]}",
	    "{\"main_subject\":\"x\",\"style_mood\":null,"
	    "\"extracted_text\":null,\"angle_orientation\":null,"
	    "\"setting_environment\":null,\"secondary_elements\":[]}", NULL,
	    "angle_orientation: is a list, must be text or null\n"
	    "setting_environment: is an object, must be text or null\n"
	    "style_mood: is an object, must be text or null\n"
	    "extracted_text: is a list, must be text or null\n" },
	{ "and missing where it is required", "image_analysis",
	    "{\"main_subject\":{}}", NULL,
	    "main_subject: is null, must be text\n",
	    "main_subject: is an object, must be text\n" },
	{ "white space alone is empty", "image_analysis",
	    "{\"main_subject\":\"  \"}", NULL, "main_subject: is empty\n",
	    "main_subject: is empty\n" },
	{ "length counts characters",
	    "{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}",
	    "\"\xc3\xa9\xc3\xa9\xc3\xa9\"", "\"\xc3\xa9\xc3\xa9\xc3\xa9\"",
	    NULL, NULL },
	{ "too short", "{\"type\":\"string\",\"minLength\":2}", "\"a\"", NULL,
	    "(top): is 1 character long, must be at least 2\n",
	    "(top): is 1 character long, must be at least 2\n" },
	{ "too long", "{\"type\":\"string\",\"maxLength\":2}", "\"abc\"", NULL,
	    "(top): is 3 characters long, must be at most 2\n",
	    "(top): is 3 characters long, must be at most 2\n" },
	{ "a pattern", "logo_analysis", "{\"logo_style\":\"wordmark\","
	    "\"contains_text\":true,\"dominant_colors\":[\"#12ab34\",\"red\"]}",
	    NULL, "dominant_colors/1: does not match ^#[0-9A-Fa-f]{6}$\n",
	    "dominant_colors/1: does not match ^#[0-9A-Fa-f]{6}$\n" },
	{ "too few and too many items",
	    "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\","
	    "\"minItems\":1},\"b\":{\"type\":\"array\",\"maxItems\":1}}}",
	    "{\"a\":[],\"b\":[1,2]}", NULL,
	    "a: has 0 items, must have at least 1\n"
	    "b: has 2 items, must have at most 1\n",
	    "a: has 0 items, must have at least 1\n"
	    "b: has 2 items, must have at most 1\n" },
	{ "limits of numbers", "{\"type\":\"array\",\"items\":{\"type\":"
	    "\"number\",\"minimum\":1,\"maximum\":5}}", "[0.5,1,5,6]", NULL,
	    "0: is 0.5, must be at least 1\n3: is 6, must be at most 5\n",
	    "0: is 0.5, must be at least 1\n3: is 6, must be at most 5\n" },
	{ "items are mended where they stand", "{\"type\":\"array\",\"items\":"
	    "{\"type\":\"integer\"}}", "[\"1\",2.0,3]", "[1,2,3]", NULL,
	    "0: is text, must be a whole number\n" },
	{ "an enum", "{\"type\":\"array\",\"items\":{\"enum\":[\"a\",2,null]}}",
	    "[\"a\",2.0,null,\"b\"]", NULL,
	    "3: must be one of \"a\", 2, null\n",
	    "3: must be one of \"a\", 2, null\n" },
	{ "a const", "{\"const\":\"a\"}", "\"b\"", NULL,
	    "(top): must be one of \"a\"\n", "(top): must be one of \"a\"\n" },
	{ "the first form that fits",
	    "{\"anyOf\":[{\"$ref\":\"other.json\"},{\"type\":\"integer\"}]}",
	    "\"7\"", "7", NULL, "(top): fits none of the 2 forms it may "
	    "have\n" },
	{ "a form through a reference",
	    "{\"anyOf\":[{\"type\":\"integer\"},{\"$ref\":\"other.json\"}]}",
	    "{\"name\":\"x\"}", "{\"name\":\"x\"}", NULL, NULL },
	{ "no form fits", "{\"type\":\"object\",\"properties\":{\"a\":"
	    "{\"anyOf\":[{\"type\":\"null\"},{\"$ref\":\"other.json\"}]}}}",
	    "{\"a\":{\"name\":1}}", NULL,
	    "a: fits none of the 2 forms it may have\n",
	    "a: fits none of the 2 forms it may have\n" },
	{ "null where a form takes it", "{\"type\":\"object\",\"properties\":"
	    "{\"a\":{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"integer\"}]}}}",
	    "{}", "{\"a\":null}", NULL, NULL },
	{ "an absent enum without null stays absent",
	    "{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[\"x\"]},"
	    "\"b\":{\"enum\":[\"x\",null]},\"c\":{\"const\":1},\"d\":{}}}",
	    "{\"a\":null}", "{\"b\":null,\"d\":null}", NULL,
	    "a: must be one of \"x\"\n" },
	{ "all faults, with their paths", "marketing_strategies",
	    "{\"strategies\":[{\"target_audience\":\"\"},7]}", NULL,
	    "strategies/0/target_audience: is empty\n"
	    "strategies/0/target_objective: is missing\n"
	    "strategies/0/target_voice: is missing\n"
	    "strategies/1: is a whole number, must be an object\n",
	    "strategies/0/target_audience: is empty\n"
	    "strategies/0/target_objective: is missing\n"
	    "strategies/0/target_voice: is missing\n"
	    "strategies/1: is a whole number, must be an object\n" }
};

/* The schema of a row: by name, or written out. */
static const struct schema *
row_schema(const char *schema, struct schema_set **set)
{
	*set = NULL;
	if (schema[0] != '{')
		return schema_of(schema);
	*set = set_of(schema);
	return schema_get(*set, "s");
}

static int
lines_of(const char *text)
{
	int n = 0;

	for (; text != NULL && *text != '\0'; text++)
		n += *text == '\n';
	return n;
}

START_TEST(what_fits_is_mended_and_what_does_not_is_told)
{
	struct json_object *value = json_of(fits[_i].value);
	struct strbuf text = STRBUF_INIT(65536);
	struct schema_set *set;
	const struct schema *s = row_schema(fits[_i].schema, &set);
	const char *check = fits[_i].check != NULL ? fits[_i].check : "";
	const char *told = fits[_i].faults != NULL ? fits[_i].faults : "";
	int n;

	n = schema_check(s, value, &text);
	ck_assert_msg(strcmp(text.buf, check) == 0, "%s: check: %s",
	    fits[_i].about, text.buf);
	ck_assert_int_eq(n, lines_of(check));
	ck_json(value, fits[_i].value, "untouched by a check");

	strbuf_reset(&text);
	n = schema_fit(s, &value, &text);
	ck_assert_msg(strcmp(text.buf, told) == 0, "%s: fit: %s",
	    fits[_i].about, text.buf);
	ck_assert_int_eq(n, lines_of(told));
	if (fits[_i].want != NULL) {
		ck_json(value, fits[_i].want, fits[_i].about);
		ck_assert_int_eq(schema_check(s, value, NULL), 0);
	}
	json_object_put(value);
	strbuf_release(&text);
	schema_set_free(set);
}
END_TEST

START_TEST(of_many_faults_forty_are_written_and_all_counted)
{
	struct json_object *list = json_object_new_array(), *value;
	struct strbuf text = STRBUF_INIT(65536);
	int i;

	for (i = 0; i < 100; i++)
		json_object_array_add(list, json_object_new_int(i));
	value = json_object_new_object();
	json_object_object_add(value, "relevant_niches", list);
	ck_assert_int_eq(schema_fit(schema_of("relevant_niches"), &value,
	    &text), 101);
	ck_assert_int_eq(lines_of(text.buf), 40);
	json_object_put(value);
	strbuf_release(&text);
}
END_TEST

START_TEST(a_hostile_member_name_is_shown_harmless)
{
	struct json_object *value = json_object_new_object();
	struct strbuf text = STRBUF_INIT(65536);

	json_put_int(value, "noise_and_grain_impact", 3);
	json_put_int(value, "x\n\x1b[2J and a great deal more than anyone "
	    "wants to read", 1);
	ck_assert_int_eq(schema_check(schema_of("noise_assessment"), value,
	    &text), 1);
	ck_assert_str_eq(text.buf, "(top): has no member "
	    "\"x??[2J and a great deal more than anyone\"\n");
	json_object_put(value);
	strbuf_release(&text);
}
END_TEST

/* --- varying ------------------------------------------------------------- */

START_TEST(an_assessment_is_varied_by_what_the_run_has)
{
	static const char *const no_text[] = {
		"assessment_scores/text_rendering_quality",
		"assessment_justification/text_rendering_quality", NULL
	};
	static const char *const subject[] = {
		"assessment_scores/subject_preservation", NULL
	};
	static const char answer[] = "{\"assessment_scores\":{"
	    "\"concept_adherence\":4,\"technical_quality\":4,"
	    "\"text_rendering_quality\":3},\"assessment_justification\":"
	    "{\"concept_adherence\":\"a\",\"technical_quality\":\"b\"}}";
	const struct schema *s = schema_of("image_assessment");
	struct strbuf text = STRBUF_INIT(65536);
	struct json_object *value = json_of(answer);
	struct schema *varied = NULL;
	struct err e = ERR_INIT;
	char *written;

	ck_ok(schema_vary(s, no_text, subject, &varied, &e), &e);
	ck_assert_str_eq(schema_name(varied), "image_assessment");
	ck_assert_int_eq(schema_fit(varied, &value, &text), 1);
	ck_assert_str_eq(text.buf,
	    "assessment_scores/subject_preservation: is missing\n");
	ck_assert_ptr_null(json_at(value,
	    "assessment_scores/text_rendering_quality"));
	written = schema_text(varied);
	ck_assert_ptr_null(strstr(written, "text_rendering_quality"));
	free(written);
	/* The one it was made from is what it was. */
	ck_assert_int_eq(schema_check(s, value, NULL), 0);
	written = schema_text(s);
	ck_assert_ptr_nonnull(strstr(written, "text_rendering_quality"));
	free(written);
	schema_free(varied);
	json_object_put(value);
	strbuf_release(&text);
}
END_TEST

START_TEST(a_variant_reaches_through_references_and_lists)
{
	static const char *const lettering[] = {
		"visual_concept/promotional_text_visuals", NULL
	};
	static const char *const index[] = {
		"style_guidance_sets/source_strategy_index", NULL
	};
	struct json_object *o;
	struct schema *varied = NULL;
	struct err e = ERR_INIT;

	ck_ok(schema_vary(schema_of("image_generation_prompt"), NULL,
	    lettering, &varied, &e), &e);
	o = schema_strict(varied);
	ck_json(json_at(o, "properties/visual_concept/properties/"
	    "promotional_text_visuals/type"), "\"string\"", "not null");
	json_object_put(o);
	schema_free(varied);

	ck_ok(schema_vary(schema_of("style_guidance_list"), index, NULL,
	    &varied, &e), &e);
	o = schema_strict(varied);
	ck_assert_uint_eq(json_len(json_at(o,
	    "properties/style_guidance_sets/items/required")), 3);
	json_object_put(o);
	schema_free(varied);
}
END_TEST

START_TEST(a_variant_keeps_values_and_alternatives)
{
	static const char *const name[] = { "num_variants", NULL };
	static const char value[] = "{\"platform_name\":\"x\",\"mode\":"
	    "\"easy\",\"num_variants\":9,\"brand_kit\":7}";
	struct strbuf text = STRBUF_INIT(65536);
	struct json_object *o = json_of(value);
	struct schema *varied = NULL;
	struct err e = ERR_INIT;

	ck_ok(schema_vary(schema_of("input_snapshot"), name, NULL, &varied,
	    &e), &e);
	ck_assert_int_eq(schema_check(varied, o, &text), 2);
	ck_assert_ptr_nonnull(strstr(text.buf, "mode: must be one of"));
	ck_assert_ptr_nonnull(strstr(text.buf, "brand_kit: fits none of"));
	json_object_put(o);
	schema_free(varied);
	strbuf_release(&text);
}
END_TEST

START_TEST(a_variant_of_a_member_that_is_not_there_is_refused)
{
	static const char *const wrong[] = { "assessment_scores/beauty", NULL };
	static const char *const far[] = {
		"assessment_scores/technical_quality/x", NULL
	};
	struct schema *varied = NULL;
	struct err e = ERR_INIT;

	ck_fails(schema_vary(schema_of("image_assessment"), wrong, NULL,
	    &varied, &e), ERR_INVALID);
	ck_assert_str_eq(e.msg, "schema image_assessment has no member "
	    "assessment_scores/beauty");
	ck_fails(schema_vary(schema_of("image_assessment"), NULL, far,
	    &varied, &e), ERR_INVALID);
	ck_assert_ptr_null(varied);
}
END_TEST

Suite *
schema_suite(void)
{
	Suite *s = suite_create("schemas");
	TCase *t = tcase_create("schemas");

	tcase_add_checked_fixture(t, make_temp_dir, remove_temp_dir);
	tcase_add_unchecked_fixture(t, load_schemas, drop_schemas);
	tcase_add_loop_test(t, every_schema_of_the_index_is_there, 0,
	    (int)ARRAY_LEN(index_18));
	tcase_add_loop_test(t, every_schema_can_be_projected_and_written, 0,
	    (int)ARRAY_LEN(index_18));
	tcase_add_test(t, optional_members_may_be_null_in_a_strict_schema);
	tcase_add_test(t, a_written_schema_says_everything);
	tcase_add_loop_test(t, a_fault_in_a_file_is_named_when_it_is_loaded, 0,
	    (int)ARRAY_LEN(faults));
	tcase_add_test(t, faults_of_all_files_are_told_at_once);
	tcase_add_test(t, a_directory_without_schemas_is_a_fault);
	tcase_add_loop_test(t, what_fits_is_mended_and_what_does_not_is_told,
	    0, (int)ARRAY_LEN(fits));
	tcase_add_test(t, of_many_faults_forty_are_written_and_all_counted);
	tcase_add_test(t, a_hostile_member_name_is_shown_harmless);
	tcase_add_test(t, an_assessment_is_varied_by_what_the_run_has);
	tcase_add_test(t, a_variant_reaches_through_references_and_lists);
	tcase_add_test(t, a_variant_keeps_values_and_alternatives);
	tcase_add_test(t, a_variant_of_a_member_that_is_not_there_is_refused);
	suite_add_tcase(s, t);
	return s;
}
