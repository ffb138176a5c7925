/*
 * What the files of test_api share: an uploads directory and forms fed in
 * pieces; and a client that asks the routes with a real database and real
 * directories, but without FastCGI: a request is a list of variables and a
 * body, an answer is looked at as it would be written.
 */
#ifndef API_UNIT_H
#define API_UNIT_H

#include "tests/unit/unit.h"

#include "id.h"
#include "src/api/worker.h"
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

/* --- the client ------------------------------------------------------------ */

#define URLENCODED "CONTENT_TYPE=application/x-www-form-urlencoded"
#define UNKNOWN_ID "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"

/* A body and how it comes: pieces of at most step bytes. */
struct body {
	const char *text;
	size_t len, at, step;
	bool fails;		/* at its end the reader tells an error */
};

extern struct worker the_worker;
extern struct response got;	/* to the last request */
extern char run_id[ID_MAX];	/* of the last run made */
extern size_t answer_max;	/* bytes of an answer; 0: as it is */

/* Checked fixture. */
void client_setup(void);
void client_teardown(void);

/* "GET /path?query" with more variables, NULL-terminated. */
void ask_with(struct body *b, const char *what, ...);
#define ask(what) ask_with(NULL, what, NULL)
void post(const char *type, const char *text, size_t step);
void make_run(void);
/* Of the run made last. */
void ask_run(const char *method, const char *rest);
void ask_file(const char *path, const char *variable);

/* The value of a header, until the next call; NULL when absent. */
const char *header(const char *name);
/* The text at a path of the JSON body, until the next call. */
const char *member(const char *path);

TCase *api_multipart_case(void);
TCase *api_large_case(void);	/* bodies of megabytes */
TCase *api_routes_case(void);
TCase *api_files_case(void);
TCase *api_docs_case(void);
TCase *api_conditions_case(void);
TCase *api_tags_case(void);
TCase *api_metrics_case(void);
TCase *api_lists_case(void);
TCase *api_seat_case(void);

/* api_files.c: the run made last is executed, COMPLETED, with empty metadata. */
void complete_run(void);
void put_text(const char *name, const char *text);

#endif
