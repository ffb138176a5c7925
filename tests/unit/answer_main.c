/* Answers of models, schemas, shapes and prices: the suites and their
 * fixtures. */
#include "tests/unit/answer_unit.h"

#include "xalloc.h"

struct schema_set *schemas;
struct conf *conf;

void
load_schemas(void)
{
	struct problems problems;
	enum err_code rc;

	problems_init(&problems);
	rc = schema_set_load(TOP_SRCDIR "/conf/schemas", &problems, &schemas);
	ck_assert_msg(rc == ERR_OK && problems.count == 0, "%s",
	    problems.text.buf);
	problems_release(&problems);
}

void
drop_schemas(void)
{
	schema_set_free(schemas);
	schemas = NULL;
}

void
load_conf(void)
{
	struct conf_options options = { .dir = TOP_SRCDIR "/conf" };
	struct problems problems;
	enum err_code rc;

	problems_init(&problems);
	rc = conf_load(&options, &problems, &conf);
	ck_assert_msg(rc == ERR_OK, "%s", problems.text.buf);
	problems_release(&problems);
}

void
drop_conf(void)
{
	conf_free(conf);
	conf = NULL;
}

const struct schema *
schema_of(const char *name)
{
	const struct schema *s = schema_get(schemas, name);

	ck_assert_msg(s != NULL, "there is no schema %s", name);
	return s;
}

const struct model_info *
model_of(const char *id)
{
	const struct model_info *m = conf_model(conf, id);

	ck_assert_msg(m != NULL, "models.yml has no %s", id);
	return m;
}

struct json_object *
json_of(const char *text)
{
	struct json_object *v = NULL;
	struct err e = ERR_INIT;

	ck_assert_msg(json_parse(text, strlen(text), &v, &e) == ERR_OK,
	    "%s: %s", text, e.msg);
	return v;
}

void
ck_json(const struct json_object *value, const char *want, const char *about)
{
	struct json_object *wanted = json_of(want);
	char *a = json_to_canonical(value), *b = json_to_canonical(wanted);

	ck_assert_msg(strcmp(a, b) == 0, "%s: is %.600s, wanted %.600s", about,
	    a, b);
	free(a);
	free(b);
	json_object_put(wanted);
}

char *
repeated(const char *part, size_t n)
{
	char *text = xmalloc(n + 1);
	size_t i, len = strlen(part);

	for (i = 0; i < n; i++)
		text[i] = part[i % len];
	text[n] = '\0';
	return text;
}

int
main(void)
{
	SRunner *runner = srunner_create(extract_suite());
	int failed;

	srunner_add_suite(runner, hostile_suite());
	srunner_add_suite(runner, schema_suite());
	srunner_add_suite(runner, hooks_suite());
	srunner_add_suite(runner, aspect_suite());
	srunner_add_suite(runner, price_suite());
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
