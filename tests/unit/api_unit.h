/*
 * What the files of test_api share: a data directory of this test's own with
 * an uploads directory in it, and forms fed in pieces.
 */
#ifndef API_UNIT_H
#define API_UNIT_H

#include "tests/unit/unit.h"

#include "submit.h"

#include "tests/unit/submit_unit.h"

/* Checked fixture. */
void api_setup(void);
void api_teardown(void);
const char *api_dir(void);	/* the data directory */
int api_uploads(void);		/* descriptor of uploads/ in it */
int api_upload_count(void);	/* files in it now */

/* Parse body, handed over in pieces of step bytes (0: whole). */
enum err_code api_feed(const char *content_type, const char *body, size_t len,
    size_t step, struct form *form, struct err *e);

TCase *api_multipart_case(void);
TCase *api_large_case(void);	/* bodies of megabytes */
TCase *api_routes_case(void);

#endif
