/*
 * A JSON body as a form.
 *
 * Programs would rather send {"num_variants": 2, "brand_kit": {...}} than a form
 * with JSON inside its fields.  What they send is turned into the very form that
 * a browser would have sent, so that there is one set of rules and not two: a
 * number becomes its digits, an object its text, a picture a file.  Only what a
 * form cannot be wrong in is told here: a value of a kind that the field does
 * not have.  It is put into the form all the same, so that the field does not
 * count as missing, too.
 *
 *   text: string        number: 2, 2.0 or "2"        truth: true, 1 or "yes"
 *   object: {...} or its text        file: {"filename", "content_type", "data"}
 *
 * null is as if the member were not there.  A member that no field is named
 * after is kept like an unknown field: nobody looks at it, but a repeated
 * request must have it again.
 */
#include "internal.h"

#include <inttypes.h>
#include <math.h>
#include <unistd.h>

#include "file.h"
#include "xalloc.h"

#define MAX_TEXT_BYTES (2 * 1024 * 1024)	/* of JSON without its long strings */
#define MAX_EXACT 9007199254740992.0	/* 2^53: doubles are whole numbers up to it */
#define MAX_MEMBERS 4000		/* values in the whole body */
#define FILE_BYTES_MAX (1024LL * 1024 * 1024)	/* the body's limit is smaller */

struct turning {
	struct form *form;
	const struct form_shape *shape;
	const struct compact *compact;
	struct faults *faults;
};

/* --- values ----------------------------------------------------------------------- */

static enum err_code
add(struct turning *t, const char *name, const char *text, size_t len,
    struct err *e)
{
	return form_add(t->form, name, text, len, e);
}

static enum err_code
add_object_text(struct turning *t, const char *name,
    const struct json_object *v, struct err *e)
{
	char *text = json_to_text(v);
	enum err_code rc = add(t, name, text, strlen(text), e);

	free(text);
	return rc;
}

/* Of another kind than the field: told, and sent all the same. */
static enum err_code
add_wrong(struct turning *t, const char *name, const struct json_object *v,
    const char *type, const char *wanted, struct err *e)
{
	faults_type(t->faults, type, "body", name, NULL, "%s must be %s.",
	    name, wanted);
	return add_object_text(t, name, v, e);
}

static enum err_code
add_string(struct turning *t, const char *name, struct json_object *v,
    struct err *e)
{
	const char *text = json_object_get_string(v);

	if (compact_marked(t->compact, text) == NULL)
		return add(t, name, text,
		    (size_t)json_object_get_string_len(v), e);
	faults_rule(t->faults, name, "%s is longer than %d bytes.", name,
	    LONG_STRING_BYTES - 1);
	return add(t, name, "-", 1, e);
}

static enum err_code
add_number(struct turning *t, const char *name, struct json_object *v,
    struct err *e)
{
	double d = json_object_get_double(v);
	char digits[32];
	int n;

	switch (json_object_get_type(v)) {
	case json_type_string:
		return add_string(t, name, v, e);
	case json_type_double:
		if (d != floor(d) || fabs(d) > MAX_EXACT)
			return add_object_text(t, name, v, e);
		n = snprintf(digits, sizeof(digits), "%.0f", d);
		return add(t, name, digits, (size_t)n, e);
	case json_type_int:
		n = snprintf(digits, sizeof(digits), "%" PRId64,
		    json_object_get_int64(v));
		return add(t, name, digits, (size_t)n, e);
	case json_type_null:
	case json_type_boolean:
	case json_type_object:
	case json_type_array:
		break;
	}
	/* Not a number: the rules say so. */
	return add_object_text(t, name, v, e);
}

/* --- objects ------------------------------------------------------------------------- */

/* A field in a file of its own, as the reader of multipart makes it. */
static enum err_code
begin_spill(struct turning *t, const char *name, struct form_field **field,
    int *fd, struct err *e)
{
	char *tmp = NULL;
	enum err_code rc;

	rc = add(t, name, "", 0, e);
	if (rc == ERR_OK)
		rc = upload_create(t->form->uploads_dirfd, &tmp, fd, e);
	if (rc != ERR_OK)
		return rc;
	*field = &t->form->fields[t->form->n_fields - 1];
	free((*field)->value);
	(*field)->value = NULL;
	(*field)->spill = tmp;
	return ERR_OK;
}

static enum err_code
end_spill(struct form_field *field, int fd, struct err *e)
{
	off_t len = lseek(fd, 0, SEEK_END);

	close(fd);
	if (len < 0)
		return err_set(e, ERR_SYSTEM, "uploads: lseek");
	if (len > FORM_MAX_LARGE_FIELD_BYTES)
		return err_set(e, ERR_TOO_LARGE, "the field %s is longer than "
		    "%d bytes", field->name, FORM_MAX_LARGE_FIELD_BYTES);
	field->len = (size_t)len;
	return ERR_OK;
}

static enum err_code
add_object(struct turning *t, const char *name, struct json_object *v,
    struct err *e)
{
	char *text = json_to_text(v);
	struct form_field *field = NULL;
	enum err_code rc;
	int fd = -1;

	if (strstr(text, t->compact->mark) == NULL) {
		rc = add(t, name, text, strlen(text), e);
		goto out;
	}
	rc = begin_spill(t, name, &field, &fd, e);
	if (rc != ERR_OK)
		goto out;
	rc = compact_expand(t->compact, text, fd, e);
	if (rc == ERR_OK)
		rc = end_spill(field, fd, e);
	else
		close(fd);
out:
	free(text);
	return rc;
}

/* An object's text within a string, too long for memory. */
static enum err_code
add_long_text(struct turning *t, const char *name, const struct span *span,
    struct err *e)
{
	struct form_field *field = NULL;
	enum err_code rc;
	int fd = -1;

	rc = begin_spill(t, name, &field, &fd, e);
	if (rc != ERR_OK)
		return rc;
	if (!span_unescape(*span, fd, &rc, e)) {
		faults_rule(t->faults, name, "%s has an escape that is none.",
		    name);
		rc = ERR_OK;
	}
	if (rc == ERR_OK)
		return end_spill(field, fd, e);
	close(fd);
	return rc;
}

static enum err_code
add_json(struct turning *t, const char *name, struct json_object *v,
    struct err *e)
{
	const struct span *span;

	if (!json_object_is_type(v, json_type_string))
		return add_object(t, name, v, e);
	span = compact_marked(t->compact, json_object_get_string(v));
	return span != NULL ? add_long_text(t, name, span, e) :
	    add_string(t, name, v, e);
}

/* --- files ---------------------------------------------------------------------------- */

/* A text member of a file object; "" when it is not there. */
static const char *
file_text(struct turning *t, const char *name, const struct json_object *o,
    const char *key)
{
	struct json_object *v = json_get(o, key);
	char place[FORM_MAX_NAME_BYTES + 32];

	if (v == NULL)
		return "";
	if (json_object_is_type(v, json_type_string) &&
	    compact_marked(t->compact, json_object_get_string(v)) == NULL)
		return json_object_get_string(v);
	snprintf(place, sizeof(place), "%s/%s", name, key);
	faults_type(t->faults, "string_type", "body", place, NULL,
	    "%s.%s must be a string of at most %d bytes.", name, key,
	    LONG_STRING_BYTES - 1);
	return "";
}

/* The base64 text, wherever it is; false after telling what is wrong. */
static bool
file_data(struct turning *t, const char *name, const struct json_object *o,
    struct span *out)
{
	struct json_object *v = json_get(o, "data");
	const struct span *far;
	char place[FORM_MAX_NAME_BYTES + 32];

	snprintf(place, sizeof(place), "%s/data", name);
	if (!json_object_is_type(v, json_type_string)) {
		faults_type(t->faults, v == NULL ? "missing" : "string_type",
		    "body", place, NULL, "%s.data must be the file's bytes in "
		    "base64.", name);
		return false;
	}
	far = compact_marked(t->compact, json_object_get_string(v));
	if (far != NULL) {
		*out = *far;
		return true;
	}
	out->p = json_object_get_string(v);
	out->len = (size_t)json_object_get_string_len(v);
	out->mapped = false;
	return true;
}

static enum err_code
decode_file(struct turning *t, const char *name, struct span span,
    struct form_file *file, struct err *e)
{
	struct decoded decoded = { 0, "" };
	char place[FORM_MAX_NAME_BYTES + 32];
	enum err_code rc;
	int fd = -1;

	rc = upload_create(t->form->uploads_dirfd, &file->tmp, &fd, e);
	if (rc != ERR_OK)
		return rc;
	if (!span_decode(span, FILE_BYTES_MAX, fd, &decoded, &rc, e)) {
		snprintf(place, sizeof(place), "%s/data", name);
		faults_type(t->faults, "value_error", "body", place, NULL,
		    "%s.data is not base64.", name);
	}
	close(fd);
	file->size = decoded.size;
	memcpy(file->sha256, decoded.sha256, sizeof(file->sha256));
	return rc;
}

static enum err_code
add_file(struct turning *t, const char *name, struct json_object *v,
    struct err *e)
{
	struct form_file *file;
	struct span span;

	if (!json_object_is_type(v, json_type_object)) {
		faults_type(t->faults, "dict_type", "body", name, NULL,
		    "%s must be an object with filename, content_type and "
		    "data in base64.", name);
		return ERR_OK;
	}
	if (!file_data(t, name, v, &span))
		return ERR_OK;
	if (t->form->n_files == FORM_MAX_FILES)
		return err_set(e, ERR_INVALID, "the form has more than %d "
		    "files", FORM_MAX_FILES);
	file = &t->form->files[t->form->n_files++];
	memset(file, 0, sizeof(*file));
	file->name = xstrdup(name);
	file->filename = xstrdup(file_text(t, name, v, "filename"));
	file->content_type = xstrdup(file_text(t, name, v, "content_type"));
	return decode_file(t, name, span, file, e);
}

/* --- members ---------------------------------------------------------------------------- */

enum field_kind
form_field_kind(const struct form_shape *shape, const char *name)
{
	int i;

	for (i = 0; i < shape->n; i++)
		if (strcmp(shape->fields[i].name, name) == 0)
			return shape->fields[i].kind;
	return FIELD_UNKNOWN;
}

static enum err_code
add_member(struct turning *t, const char *name, struct json_object *v,
    struct err *e)
{
	bool is_string = json_object_is_type(v, json_type_string);

	if (v == NULL)
		return ERR_OK;
	if (strlen(name) > FORM_MAX_NAME_BYTES ||
	    compact_marked(t->compact, name) != NULL)
		return err_set(e, ERR_INVALID, "a member's name is longer "
		    "than %d bytes", FORM_MAX_NAME_BYTES);
	switch (form_field_kind(t->shape, name)) {
	case FIELD_TEXT:
		return is_string ? add_string(t, name, v, e) :
		    add_wrong(t, name, v, "string_type", "a string", e);
	case FIELD_NUMBER:
		return add_number(t, name, v, e);
	case FIELD_TRUTH:
		return is_string ? add_string(t, name, v, e) :
		    add_object_text(t, name, v, e);
	case FIELD_JSON:
		return add_json(t, name, v, e);
	case FIELD_FILE:
		return add_file(t, name, v, e);
	case FIELD_UNKNOWN:
		break;
	}
	return add_object(t, name, v, e);
}

static enum err_code
add_members(struct turning *t, const struct json_object *body, struct err *e)
{
	enum err_code rc = ERR_OK;

	json_object_object_foreach(body, name, v) {
		rc = add_member(t, name, v, e);
		if (rc != ERR_OK)
			break;
	}
	return rc;
}

/* --- the body ----------------------------------------------------------------------------- */

static enum err_code
refuse(struct faults *faults, const char *type, const char *sentence,
    struct err *e)
{
	faults_type(faults, type, "body", "", NULL, "%s", sentence);
	return err_set(e, ERR_TYPE, "%s", sentence);
}

static enum err_code
parse_body(const struct compact *c, struct json_object **out,
    struct faults *faults, struct err *e)
{
	char sentence[ERR_MSG_MAX + 64];
	struct err why = ERR_INIT;

	if (strbuf_overflowed(&c->text))
		return err_set(e, ERR_TOO_LARGE, "a JSON body may have %d "
		    "bytes besides its pictures", MAX_TEXT_BYTES);
	if (json_weight(c->text.buf, c->text.len) > MAX_MEMBERS)
		return err_set(e, ERR_TOO_LARGE, "a JSON body may hold %d "
		    "values", MAX_MEMBERS);
	if (json_parse(c->text.buf, c->text.len, out, &why) != ERR_OK) {
		/* With strings taken out its columns are not those sent. */
		snprintf(sentence, sizeof(sentence), "The body is not JSON%s%s.",
		    c->n == 0 ? ": " : "", c->n == 0 ? why.msg : "");
		return refuse(faults, "json_invalid", sentence, e);
	}
	if (!json_object_is_type(*out, json_type_object))
		return refuse(faults, "dict_type",
		    "The body must be a JSON object.", e);
	return ERR_OK;
}

enum err_code
json_form_fill(struct form *f, const struct form_shape *shape,
    const char *text, size_t len, bool mapped, size_t long_bytes,
    struct faults *faults, struct err *e)
{
	struct turning t = { .form = f, .shape = shape, .faults = faults };
	struct json_object *body = NULL;
	struct compact c;
	enum err_code rc;

	compact_init(&c, MAX_TEXT_BYTES, long_bytes);
	compact_json(&c, text, len, mapped);
	t.compact = &c;
	rc = parse_body(&c, &body, faults, e);
	if (rc == ERR_OK)
		rc = add_members(&t, body, e);
	json_object_put(body);
	compact_release(&c);
	return rc;
}

enum err_code
form_from_json(struct form *f, const struct form_shape *shape,
    const char *text, size_t len, bool mapped, struct faults *faults,
    struct err *e)
{
	return json_form_fill(f, shape, text, len, mapped, LONG_STRING_BYTES,
	    faults, e);
}
