/*
 * What a request must be, shared by churns-api and churnsctl.
 *
 * A form is what a client sent, decoded but not yet believed: text fields and
 * uploaded files.  Checking it gives either a request, normalised, or all of
 * its faults at once.  Submitting a request stores it, or leaves nothing behind.
 *
 *   form --run_form_check--> run_request --run_submit--> stored, answered
 *                  '--> faults (422 with the array, or 400 with one sentence)
 */
#ifndef CHURNS_SUBMIT_H
#define CHURNS_SUBMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf.h"
#include "deletion.h"
#include "err.h"
#include "json.h"
#include "service.h"
#include "store.h"
#include "utf8.h"

#define FORM_MAX_FIELDS 100
#define FORM_MAX_NAME_BYTES 200	/* of a field's name */
#define FORM_MAX_FILES 4
#define FORM_MAX_FIELD_BYTES (1024 * 1024)
#define FORM_MAX_LARGE_FIELD_BYTES (70 * 1024 * 1024)	/* brand_kit with its logo */
#define IDEMPOTENCY_KEY_MAX 200
#define OWNER_DEFAULT "default"

struct form_field {
	char *name;
	char *value;		/* NUL-terminated; NULL when it is in spill */
	size_t len;
	char *spill;		/* name in the uploads directory of a value over FORM_MAX_FIELD_BYTES; NULL */
};

struct form_file {
	char *name;		/* of the form field */
	char *filename;		/* as sent; "" when empty */
	char *content_type;	/* as declared; "" when none */
	char *tmp;		/* name in the uploads directory */
	int64_t size;
	char sha256[65];
};

/* Owns everything in it; files not taken over are unlinked on release. */
struct form {
	struct form_field fields[FORM_MAX_FIELDS];
	int n_fields;
	struct form_file files[FORM_MAX_FILES];
	int n_files;
	int uploads_dirfd;	/* data_dir/uploads; borrowed; -1 without files */
};

void form_init(struct form *f, int uploads_dirfd);
void form_release(struct form *f);
/* The last field of that name; NULL when absent or empty (empty: not sent). */
const char *form_get(const struct form *f, const char *name);
const struct form_file *form_get_file(const struct form *f, const char *name);
/* Copies. ERR_INVALID over FORM_MAX_FIELDS. */
enum err_code form_add(struct form *f, const char *name, const char *value,
    size_t len, struct err *e);

/* A new file of ours in the uploads directory, open for reading and writing;
 * name is to be freed, and unlinked unless a form or request takes it over. */
enum err_code upload_create(int uploads_dirfd, char **name, int *fd,
    struct err *e);

/* What a field holds, for those who do not send forms. */
enum field_kind {
	FIELD_UNKNOWN,		/* nobody reads it */
	FIELD_TEXT,
	FIELD_NUMBER,		/* whole */
	FIELD_TRUTH,
	FIELD_JSON,		/* the text of an object */
	FIELD_FILE
};

struct shape_field {
	const char *name;
	enum field_kind kind;
};

struct form_shape {
	const struct shape_field *fields;
	int n;
};

enum field_kind form_field_kind(const struct form_shape *shape,
    const char *name);

struct faults;

/*
 * Fill the form from a JSON object that says the same: members are fields,
 * objects those that a form has as text, a file is {"filename", "content_type",
 * "data": base64}.  mapped says that text is part of a mapped file, whose pages
 * may be given back while it is read.  Values of a kind that a field does not
 * have go to faults, and the form can be checked all the same.
 * ERR_TYPE: the body is no JSON object (faults says so); ERR_INVALID (too many
 * members), ERR_TOO_LARGE, ERR_FULL, ERR_SYSTEM.
 */
enum err_code form_from_json(struct form *f, const struct form_shape *shape,
    const char *text, size_t len, bool mapped, struct faults *faults,
    struct err *e);

/* --- faults ------------------------------------------------------------------ */

struct faults {
	struct json_object *types;	/* [{type, loc, msg, input}]: 422 */
	struct json_object *rules;	/* [{field, message}]: 400 */
};

void faults_init(struct faults *f);
void faults_release(struct faults *f);
/* field: its name, "name/member" for a member of it, "" for the whole. */
void faults_type(struct faults *f, const char *type, const char *where,
    const char *field, const char *input, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));
void faults_rule(struct faults *f, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool faults_any(const struct faults *f);
/* 422 {"detail":[...]} if there are type faults, else 400 {"detail":"all
 * sentences","errors":[...]}. Caller's reference. */
struct json_object *faults_body(const struct faults *f, int *http_status);

/* --- runs -------------------------------------------------------------------- */

extern const struct form_shape run_form_shape;	/* the fields of a run */

struct run_request {
	struct json_object *form;	/* for the run detail: every accepted field */
	struct json_object *inputs;	/* context.h, without run id and paths */
	const struct form_file *image;	/* NULL: none; belongs to the form */
	char *image_name;	/* safe base name; NULL without image */
	char *logo_tmp;		/* decoded logo in the uploads directory; NULL */
	const char *logo_extension;	/* "png", by its bytes */
	char *mode;		/* given or derived */
	char fingerprint[65];	/* over decoded fields and file digests */
};

void run_request_release(struct run_request *r, int uploads_dirfd);

/*
 * Check everything, collect every fault, normalise (defaults, language in lower
 * case, derived mode, unified brief, brand kit by apply_branding, safe names).
 * The picture's type is told by its bytes.  ERR_TYPE or ERR_INVALID when there
 * are faults, ERR_FULL, ERR_SYSTEM.
 */
enum err_code run_form_check(const struct conf *conf, const struct form *f,
    struct run_request *out, struct faults *faults, struct err *e);

struct submit_result {
	char run_id[ID_MAX];	/* of the new run; "" on replay */
	int http_status;
	char *body;		/* JSON text to answer with; owned */
	bool replayed;		/* the kept answer of an earlier request */
};

void submit_result_release(struct submit_result *r);

/*
 * Plan with the generation executor, move the picture and logo into the run's
 * directory and sync them, store run, stages and job in one durable
 * transaction.  After a failure neither rows nor files are left.
 * idempotency_key NULL: none.  Does not wake anyone.
 * Errors: ERR_TYPE (the key was used for another request), ERR_INVALID,
 * ERR_BUSY, ERR_FULL, ERR_SYSTEM.
 */
enum err_code run_submit(struct service *s, struct store *st,
    const char *owner, const struct form *f, struct run_request *r,
    const char *idempotency_key, int64_t now_ms, struct submit_result *out,
    struct err *e);

/* --- deleting ---------------------------------------------------------------- */

struct run_deletion {
	enum delete_outcome outcome;
	bool files_left;	/* the run is gone, but not all of its files; a
				   runner will try again */
	struct err why;		/* with files_left */
};

/*
 * Delete a run with its rows (store_delete_run()) and its directory in
 * runs_dir.  The run is gone when this returns ERR_OK with DELETE_DONE, also
 * with files_left: then nothing of it is to be found under its id any more.
 * Errors are those of store_delete_run(); then nothing has changed.
 */
enum err_code run_delete(const char *runs_dir, struct store *st,
    const char *owner, const char *run_id, int64_t now_ms,
    struct run_deletion *out, struct err *e);

/* One pass over the deleted runs that may still have files; begin with all
 * zero. */
struct delete_sweep {
	struct deleted_run at;	/* looked at last */
	int done;		/* known to be gone for good now */
	int left;		/* that could not be removed ... */
	struct err why;		/* ... the last one for this reason */
};

/* Remove the files of the next few of them. *more: call again, soon. */
enum err_code run_delete_sweep(const char *runs_dir, struct store *st,
    struct delete_sweep *sweep, int64_t now_ms, bool *more, struct err *e);

#endif
