/* The suites of tests/unit/test_model, and what they share. */
#ifndef MODEL_TEST_H
#define MODEL_TEST_H

#include "tests/unit/peer.h"
#include "tests/unit/unit.h"

#include "http.h"

#define MB (1024 * 1024)

Suite *suite_http(void);
Suite *suite_sink(void);

/* --- model_wire.c: between wire_setup() and wire_teardown() ------------------ */

extern int dirfd_;		/* a directory with calls/ in it */
extern struct http *http;
extern struct peer *peer;

void wire_setup(void);
void wire_teardown(void);

/* A POST of text (NULL: no body yet) with generous limits. */
struct http_request post(const char *url, const char *text);
/* Send it alone and wait for its answer. */
void exchange(struct http_request r, struct http_answer *out);

#endif
