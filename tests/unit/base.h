/* What the files of test_base share. */
#ifndef UNIT_BASE_H
#define UNIT_BASE_H

#include <stddef.h>

#include "tests/unit/unit.h"

Suite *base_text_suite(void);
Suite *base_log_suite(void);
Suite *base_template_suite(void);
Suite *base_json_suite(void);
Suite *base_data_suite(void);
Suite *base_file_suite(void);
Suite *base_image_suite(void);
Suite *base_net_suite(void);
Suite *base_copy_suite(void);

/* Run test once per row of the array rows; its row is rows[_i]. */
#define add_rows(tc, test, rows) \
	tcase_add_loop_test(tc, test, 0, (int)ARRAY_LEN(rows))

/* Checked fixture: a directory of this test's own, removed with what is in
 * it.  Then its path and an open descriptor of it. */
void base_temp_setup(void);
void base_temp_teardown(void);
const char *base_temp_dir(void);
int base_temp_fd(void);

/* The path of name in it: static, good until the next call. */
const char *base_path(const char *name);
/* Write text to the file name in it and return base_path(name). */
const char *base_write(const char *name, const char *text);

/* open_text n times, inner, close_text n times; free() it. */
char *base_repeat(size_t n, const char *open_text, const char *inner,
    const char *close_text);

#endif
