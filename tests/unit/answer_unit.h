/* What the tests of answers, schemas, shapes and prices share. */
#ifndef ANSWER_UNIT_H
#define ANSWER_UNIT_H

#include "tests/unit/unit.h"

#include "answer.h"
#include "conf.h"
#include "schema.h"

/* conf/ of the source tree, loaded once for the tests that have the fixture:
 * they run in children that inherit it. */
extern struct schema_set *schemas;
extern struct conf *conf;
void load_schemas(void);
void drop_schemas(void);
void load_conf(void);
void drop_conf(void);

/* The schema of that name; the test fails without it. */
const struct schema *schema_of(const char *name);
/* A model of models.yml; the test fails without it. */
const struct model_info *model_of(const char *id);

/* Parse strictly; the test fails when the text is not JSON. */
struct json_object *json_of(const char *text);
/* value is what the text says (members in any order, 5.0 is 5). */
void ck_json(const struct json_object *value, const char *want,
    const char *about);

/* The text of n bytes: part over and over. free() it. */
char *repeated(const char *part, size_t n);

Suite *extract_suite(void);	/* answer_test.c */
Suite *hostile_suite(void);	/* hostile_test.c */
Suite *schema_suite(void);	/* schema_test.c */
Suite *hooks_suite(void);	/* hooks_test.c */
Suite *aspect_suite(void);	/* aspect_test.c */
Suite *price_suite(void);	/* price_test.c */

#endif
