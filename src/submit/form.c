/*
 * Forms and faults: what a client sent, and everything that is wrong with it.
 *
 * A form owns the temporary files it names: whoever takes one over (a rename
 * into a run's directory) leaves a name behind that no longer exists, so
 * releasing a form always leaves the uploads directory clean.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "id.h"
#include "xalloc.h"

#define MAX_FAULT_CHARS 600
#define UPLOAD_MODE 0640
#define MAX_INPUT_SHOWN 200	/* characters of a faulty value told back */

/* --- forms -------------------------------------------------------------------- */

void
form_init(struct form *f, int uploads_dirfd)
{
	memset(f, 0, sizeof(*f));
	f->uploads_dirfd = uploads_dirfd;
}

static void
drop_file(int dirfd, char *name)
{
	if (name != NULL && dirfd >= 0)
		unlinkat(dirfd, name, 0);
	free(name);
}

void
form_release(struct form *f)
{
	int i;

	for (i = 0; i < f->n_fields; i++) {
		free(f->fields[i].name);
		free(f->fields[i].value);
		drop_file(f->uploads_dirfd, f->fields[i].spill);
	}
	for (i = 0; i < f->n_files; i++) {
		free(f->files[i].name);
		free(f->files[i].filename);
		free(f->files[i].content_type);
		drop_file(f->uploads_dirfd, f->files[i].tmp);
	}
	form_init(f, f->uploads_dirfd);
}

static const struct form_field *
find_field(const struct form *f, const char *name)
{
	int i;

	for (i = f->n_fields - 1; i >= 0; i--)
		if (strcmp(f->fields[i].name, name) == 0)
			return &f->fields[i];
	return NULL;
}

const char *
form_get(const struct form *f, const char *name)
{
	const struct form_field *field = find_field(f, name);

	if (field == NULL || field->len == 0)
		return NULL;
	return field->value;
}

const struct form_file *
form_get_file(const struct form *f, const char *name)
{
	int i;

	for (i = f->n_files - 1; i >= 0; i--)
		if (strcmp(f->files[i].name, name) == 0)
			return &f->files[i];
	return NULL;
}

enum err_code
form_add(struct form *f, const char *name, const char *value, size_t len,
    struct err *e)
{
	struct form_field *field;

	if (f->n_fields == FORM_MAX_FIELDS)
		return err_set(e, ERR_INVALID, "the form has more than %d "
		    "fields", FORM_MAX_FIELDS);
	field = &f->fields[f->n_fields++];
	field->name = xstrdup(name);
	field->value = xmalloc(len + 1);
	memcpy(field->value, value, len);
	field->value[len] = '\0';
	field->len = len;
	field->spill = NULL;
	return ERR_OK;
}

enum err_code
form_view(const struct form *f, const char *name, struct field_view *out,
    struct err *e)
{
	const struct form_field *field = find_field(f, name);

	if (field == NULL || field->len == 0)
		return err_set(e, ERR_NOT_FOUND, "%s was not sent", name);
	return field_view(f, field, out, e);
}

enum err_code
field_view(const struct form *f, const struct form_field *field,
    struct field_view *out, struct err *e)
{
	struct field_view v = { NULL, 0, NULL };
	enum err_code rc;
	int fd = -1;

	v.len = field->len;
	if (field->spill == NULL) {
		v.text = field->value;
		*out = v;
		return ERR_OK;
	}
	rc = file_open_beneath(f->uploads_dirfd, field->spill, O_RDONLY, 0,
	    &fd, e);
	if (rc != ERR_OK)
		return rc;
	v.map = mmap(NULL, v.len, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (v.map == MAP_FAILED)
		return err_set_errno(e, ERR_SYSTEM, errno, "%s", field->name);
	v.text = v.map;
	*out = v;
	return ERR_OK;
}

void
field_view_release(struct field_view *v)
{
	if (v->map != NULL)
		munmap(v->map, v->len);
	memset(v, 0, sizeof(*v));
}

void
mapped_forget(const char *from, const char *to)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	/* Its first page may have been begun by the piece before this one,
	 * which could not forget it. */
	uintptr_t first = (uintptr_t)from & ~(page - 1);
	uintptr_t last = (uintptr_t)to & ~(page - 1);

	if (first < last)
		madvise((void *)first, last - first, MADV_DONTNEED);
}

enum err_code
upload_create(int uploads_dirfd, char **name, int *fd, struct err *e)
{
	char id[ID_MAX];
	char *made;

	id_new(id);
	/* The pid lets the next start tell what a killed process left. */
	made = xasprintf("up-%ld-%s", (long)getpid(), id);
	*fd = openat(uploads_dirfd, made, O_RDWR | O_CREAT | O_EXCL |
	    O_NOFOLLOW | O_CLOEXEC, UPLOAD_MODE);
	if (*fd < 0) {
		err_set_errno(e, ERR_SYSTEM, errno, "uploads");
		free(made);
		return e != NULL ? e->code : ERR_SYSTEM;
	}
	*name = made;
	return ERR_OK;
}

size_t
json_weight(const char *text, size_t len)
{
	bool in_string = false;
	size_t i, n = 1;

	for (i = 0; i < len; i++) {
		if (in_string && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			in_string = !in_string;
		else if (!in_string && memchr(",[{", text[i], 3) != NULL)
			n++;
	}
	return n;
}

/* --- faults ------------------------------------------------------------------- */

void
faults_init(struct faults *f)
{
	f->types = json_object_new_array();
	f->rules = json_object_new_array();
}

void
faults_release(struct faults *f)
{
	json_object_put(f->types);
	json_object_put(f->rules);
	f->types = NULL;
	f->rules = NULL;
}

static void
put_format(struct json_object *o, const char *key, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

static void
put_format(struct json_object *o, const char *key, const char *fmt, va_list ap)
{
	char text[MAX_FAULT_CHARS];

	vsnprintf(text, sizeof(text), fmt, ap);
	json_put_str(o, key, text);
}

void
faults_type(struct faults *f, const char *type, const char *where,
    const char *field, const char *input, const char *fmt, ...)
{
	struct json_object *fault = json_object_new_object();
	struct json_object *loc = json_object_new_array();
	size_t len = strcspn(field, "/");
	va_list ap;

	json_put_str(fault, "type", type);
	json_object_array_add(loc, json_object_new_string(where));
	if (*field != '\0')	/* else it is about the whole of where */
		json_object_array_add(loc,
		    json_object_new_string_len(field, (int)len));
	if (field[len] == '/')
		json_object_array_add(loc,
		    json_object_new_string(field + len + 1));
	json_put_obj(fault, "loc", loc);
	va_start(ap, fmt);
	put_format(fault, "msg", fmt, ap);
	va_end(ap);
	/* Bytes that are not text would make our answer no JSON. */
	if (input != NULL && utf8_length(input, strlen(input)) < 0)
		input = NULL;
	if (input != NULL && strlen(input) > MAX_INPUT_SHOWN)
		input = NULL;
	json_put_str(fault, "input", input);
	json_object_array_add(f->types, fault);
}

void
faults_rule(struct faults *f, const char *field, const char *fmt, ...)
{
	struct json_object *fault = json_object_new_object();
	va_list ap;

	json_put_str(fault, "field", field);
	va_start(ap, fmt);
	put_format(fault, "message", fmt, ap);
	va_end(ap);
	json_object_array_add(f->rules, fault);
}

bool
faults_any(const struct faults *f)
{
	return json_len(f->types) > 0 || json_len(f->rules) > 0;
}

struct json_object *
faults_body(const struct faults *f, int *http_status)
{
	struct json_object *body = json_object_new_object();
	struct strbuf all = STRBUF_INIT(64 * 1024);
	size_t i, n = json_len(f->rules);

	if (json_len(f->types) > 0) {
		*http_status = err_http_status(ERR_TYPE);
		json_put_obj(body, "detail", json_copy(f->types));
		goto out;
	}
	*http_status = err_http_status(ERR_INVALID);
	for (i = 0; i < n; i++) {
		if (i > 0)
			strbuf_addch(&all, ' ');
		strbuf_addstr(&all, json_get_str(
		    json_object_array_get_idx(f->rules, i), "message"));
	}
	json_put_str(body, "detail", all.buf);
	json_put_obj(body, "errors", json_copy(f->rules));
out:
	strbuf_release(&all);
	return body;
}
