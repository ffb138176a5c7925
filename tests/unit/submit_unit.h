/*
 * What the tests of requests share: the service as it is shipped (conf/ of the
 * source tree), a data directory and a database of this test's own, and short
 * ways to say "a form with these fields and that picture".
 */
#ifndef SUBMIT_UNIT_H
#define SUBMIT_UNIT_H

#include "tests/unit/unit.h"

#include "service.h"
#include "store.h"
#include "submit.h"

#define T0 INT64_C(1700000000000)	/* a moment in November 2023 */
#define SQUARE "Instagram Post (1:1 Square)"

/* Run test once per row of the array rows; its row is rows[_i]. */
#define add_rows(tc, test, rows) \
	tcase_add_loop_test(tc, test, 0, (int)ARRAY_LEN(rows))

extern struct service svc;
extern struct store *st;
extern int uploads;		/* descriptor of the uploads directory */
extern struct form sent;	/* empty at the start of a test */
extern struct err err;

/* Checked fixture. */
void unit_setup(void);
void unit_teardown(void);
const char *unit_dir(void);	/* holds data/ and run/ */

/* Entries of a directory beneath unit_dir(), without those of dots. */
int unit_count(const char *path);

void add_text(const char *name, const char *value);
void add_lines(const char *lines);	/* "name=value" each */
char *many(int n);	/* so many characters of three bytes each */
/* A file of the form, as the reader of bodies would have made it. */
void add_file(const char *name, const char *filename, const void *data,
    size_t len);

/* 33 bytes that say they are a PNG picture of that size. */
#define PNG_BYTES 33
void make_png(uint8_t out[PNG_BYTES], uint32_t width, uint32_t height);
void add_png(const char *filename, uint32_t width, uint32_t height);

/* Check the form: fine, or the answer with its faults (to be put). */
struct run_request *check_fine(void);
struct json_object *check_faulty(int *status);
/* The answer tells this fault and no other; says is part of its sentence, with
 * 422 its type. */
void expect_only(const struct json_object *body, int status, const char *field,
    const char *says, const char *about);
void request_free(struct run_request *r);

/* A member by path, as text; "null" for null; never NULL. */
const char *at(const struct json_object *o, const char *path);

TCase *submit_form_case(void);
TCase *submit_json_case(void);
TCase *submit_brief_case(void);
TCase *submit_kit_case(void);
TCase *submit_store_case(void);
TCase *submit_delete_case(void);
TCase *submit_views_case(void);
TCase *submit_service_case(void);
TCase *submit_wake_case(void);
TCase *submit_access_case(void);

#endif
