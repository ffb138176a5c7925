/*
 * submit: a run without a web server.
 *
 * The options become the same form that a client would have posted, so the
 * same rules hold and the same faults are told; a picture is copied into the
 * uploads directory first, as the API does, because submitting moves it from
 * there into the run's directory.
 */
#include "ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "digest.h"
#include "file.h"
#include "submit.h"
#include "wake.h"
#include "xalloc.h"

#define COPY_BYTES 65536

const struct ctl_option submit_options[] = {
	{ "platform", "NAME", "where it will be shown (platforms.yml); needed" },
	{ "prompt", "TEXT", "the brief" },
	{ "image", "FILE", "reference picture" },
	{ "variants", "N", "1 to 6 (default 3)" },
	{ "creativity", "N", "1 to 3 (default 2)" },
	{ "task", "NAME", "task type" },
	{ "text", "TEXT", "words to be seen in the picture" },
	{ "language", "CODE", "two letters (default en)" },
	{ "brand-kit", "FILE", "JSON, as the API takes it; turns branding on" },
	{ "key", "KEY", "the same key and request give the same run" },
	{ "field", "NAME=VALUE", "any other field of the form; may be repeated" },
	{ "watch", NULL, "follow it until it has ended" },
	{ NULL, NULL, NULL }
};

/* Options that are a field as they are; switch_on is set to true with it. */
static const struct {
	const char *option, *field, *switch_on;
} fields[] = {
	{ "platform", "platform_name", NULL },
	{ "prompt", "prompt", NULL },
	{ "variants", "num_variants", NULL },
	{ "creativity", "creativity_level", NULL },
	{ "task", "task_type", NULL },
	{ "text", "task_description", "render_text" },
	{ "language", "language", NULL },
};

/* --- the form ------------------------------------------------------------- */

static enum err_code
add_text(struct form *f, const char *name, const char *value, struct err *e)
{
	return form_add(f, name, value, strlen(value), e);
}

/* Everything but files. What --field says comes last and wins. */
static enum err_code
add_fields(const struct ctl *c, struct form *f, struct err *e)
{
	enum err_code rc = ERR_OK;
	const char *value, *equals;
	char *name;
	size_t i;
	int j;

	for (i = 0; i < ARRAY_LEN(fields) && rc == ERR_OK; i++) {
		value = ctl_given(c, fields[i].option);
		if (value == NULL)
			continue;
		rc = add_text(f, fields[i].field, value, e);
		if (rc == ERR_OK && fields[i].switch_on != NULL)
			rc = add_text(f, fields[i].switch_on, "true", e);
	}
	for (j = 0; j < c->n_given && rc == ERR_OK; j++) {
		if (strcmp(c->given[j].name, "field") != 0)
			continue;
		equals = strchr(c->given[j].value, '=');
		name = xstrndup(c->given[j].value,
		    (size_t)(equals - c->given[j].value));
		rc = add_text(f, name, equals + 1, e);
		free(name);
	}
	return rc;
}

static enum err_code
add_brand_kit(const struct ctl *c, struct form *f, struct err *e)
{
	struct strbuf text = STRBUF_INIT(FORM_MAX_LARGE_FIELD_BYTES);
	const char *path = ctl_given(c, "brand-kit");
	enum err_code rc = ERR_OK;

	if (path == NULL)
		return ERR_OK;
	rc = file_read(path, FORM_MAX_LARGE_FIELD_BYTES, &text, e);
	if (rc == ERR_OK)
		rc = form_add(f, "brand_kit", text.buf, text.len, e);
	if (rc == ERR_OK)
		rc = add_text(f, "apply_branding", "true", e);
	strbuf_release(&text);
	return rc;
}

/* --- the picture ---------------------------------------------------------- */

/* Only a file that has an end is read to its end. */
static enum err_code
open_picture(const char *path, int64_t max, int *out, int64_t *size,
    struct err *e)
{
	enum err_code rc = ERR_OK;
	struct stat st;
	int fd;

	/* A fifo must not hold us up before we have seen that it is one. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_set_errno(e, ERR_INVALID, errno, "%s", path);
	if (fstat(fd, &st) != 0)
		rc = err_set_errno(e, ERR_SYSTEM, errno, "%s", path);
	else if (!S_ISREG(st.st_mode))
		rc = err_set(e, ERR_INVALID, "%s is not a file", path);
	else if (st.st_size > max)
		rc = err_set(e, ERR_TOO_LARGE, "%s has %lld bytes; at most "
		    "%lld are taken", path, (long long)st.st_size,
		    (long long)max);
	if (rc != ERR_OK) {
		close(fd);
		return rc;
	}
	*out = fd;
	*size = st.st_size;
	return ERR_OK;
}

static enum err_code
copy_bytes(int from, int to, int64_t size, const char *path, struct err *e)
{
	char *chunk = xmalloc(COPY_BYTES);
	enum err_code rc = ERR_OK;
	int64_t left = size;
	ssize_t n;

	while (rc == ERR_OK && left > 0) {
		n = read(from, chunk, COPY_BYTES);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = err_set_errno(e, ERR_SYSTEM, errno, "%s", path);
		else if (n == 0 || n > left)
			rc = err_set(e, ERR_CONFLICT, "%s changed while it "
			    "was read", path);
		else
			rc = file_write_all(to, chunk, (size_t)n, e);
		left -= n;
	}
	free(chunk);
	return rc;
}

static void
name_picture(struct form *f, const char *path, char *tmp, int64_t size)
{
	struct form_file *file = &f->files[f->n_files++];
	const char *slash = strrchr(path, '/');

	file->name = xstrdup("image_file");
	file->filename = xstrdup(slash != NULL ? slash + 1 : path);
	file->content_type = xstrdup("");
	file->tmp = tmp;
	file->size = size;
}

/* A copy of the picture, which belongs to the form from its first byte on. */
static enum err_code
add_picture(const struct ctl *c, struct form *f, struct err *e)
{
	const char *path = ctl_given(c, "image");
	int from = -1, to = -1;
	int64_t size = 0;
	char *tmp = NULL;
	enum err_code rc;

	if (path == NULL)
		return ERR_OK;
	rc = open_picture(path, c->service.conf->settings.max_upload_bytes,
	    &from, &size, e);
	if (rc == ERR_OK)
		rc = upload_create(f->uploads_dirfd, &tmp, &to, e);
	if (rc != ERR_OK)
		goto out;
	name_picture(f, path, tmp, size);
	rc = copy_bytes(from, to, size, path, e);
	if (rc == ERR_OK)
		rc = digest_fd_hex(to, f->files[f->n_files - 1].sha256, e);
out:
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
	return rc;
}

/* --- the answer ----------------------------------------------------------- */

/* One fault a line; what was typed is named by its field. */
static void
print_faults(const struct faults *f)
{
	struct json_object *fault, *loc;
	size_t i, n;

	for (i = 0; i < json_len(f->types); i++) {
		fault = json_object_array_get_idx(f->types, i);
		loc = json_get_arr(fault, "loc");
		n = json_len(loc);
		fprintf(stderr, CTL_NAME ": %s: %s\n", n == 0 ? "form" :
		    json_object_get_string(json_object_array_get_idx(loc,
		    n - 1)), json_get_str(fault, "msg"));
	}
	for (i = 0; i < json_len(f->rules); i++) {
		fault = json_object_array_get_idx(f->rules, i);
		fprintf(stderr, CTL_NAME ": %s: %s\n",
		    json_get_str(fault, "field"),
		    json_get_str(fault, "message"));
	}
}

/* The id of the run; with --json the whole of it. False: it has none. */
static bool
print_result(const struct ctl *c, const struct submit_result *r,
    char run_id[ID_MAX])
{
	struct json_object *run = NULL;
	struct err e = ERR_INIT;
	const char *id = NULL;

	if (json_parse(r->body, strlen(r->body), &run, &e) == ERR_OK)
		id = json_get_str(run, "id");
	if (id == NULL || !id_is_valid(id)) {
		fputs(CTL_NAME ": the kept answer names no run\n", stderr);
		json_object_put(run);
		return false;
	}
	snprintf(run_id, ID_MAX, "%s", id);
	if (r->replayed)
		fputs(CTL_NAME ": submitted before with this key\n", stderr);
	if (!c->json) {
		puts(id);
		json_object_put(run);
	} else if (ctl_given(c, "watch") == NULL) {
		print_json(run);
	} else {
		json_object_put(run);	/* the events are the output */
	}
	fflush(stdout);
	return true;
}

/* --- submitting ----------------------------------------------------------- */

static int
check_usage(const struct ctl *c)
{
	const char *key = ctl_given(c, "key"), *equals;
	int i;

	for (i = 0; i < c->n_given; i++) {
		if (strcmp(c->given[i].name, "field") != 0)
			continue;
		equals = strchr(c->given[i].value, '=');
		if (equals == NULL || equals == c->given[i].value)
			return ctl_misuse(c, "--field takes NAME=VALUE");
	}
	if (key != NULL && (*key == '\0' || strlen(key) > IDEMPOTENCY_KEY_MAX))
		return ctl_misuse(c, "--key must have 1 to %d characters",
		    IDEMPOTENCY_KEY_MAX);
	return 0;
}

/* Directories, database, and the one that uploads go to. */
static int
open_all(struct ctl *c, int *uploads_fd)
{
	struct err e = ERR_INIT;
	enum err_code rc;
	char *path;
	int status;

	status = ctl_load_all(c);
	if (status == 0)
		status = ctl_check_user(c);
	if (status != 0)
		return status;
	rc = service_check_dirs(&c->service, &e);
	if (rc != ERR_OK)
		return ctl_fail(rc, &e);
	status = ctl_open(c, OPEN_MAKING);
	if (status != 0)
		return status;
	path = xasprintf("%s/uploads", c->service.conf->settings.data_dir);
	rc = file_open_dir(AT_FDCWD, path, uploads_fd, &e);
	free(path);
	return rc == ERR_OK ? 0 : ctl_fail(rc, &e);
}

static int
submit_form(struct ctl *c, struct form *form, struct submit_result *result)
{
	struct run_request request;
	struct err e = ERR_INIT;
	struct faults faults;
	enum err_code rc;
	int status = 0;

	memset(&request, 0, sizeof(request));
	faults_init(&faults);
	rc = add_fields(c, form, &e);
	if (rc == ERR_OK)
		rc = add_brand_kit(c, form, &e);
	if (rc == ERR_OK)
		rc = add_picture(c, form, &e);
	if (rc == ERR_OK)
		rc = run_form_check(c->service.conf, form, &request, &faults,
		    &e);
	if (faults_any(&faults)) {
		print_faults(&faults);
		status = CTL_FAILED;
		goto out;
	}
	if (rc == ERR_OK)
		rc = run_submit(&c->service, c->store, OWNER_DEFAULT, form,
		    &request, ctl_given(c, "key"), clock_now_ms(), result, &e);
	if (rc != ERR_OK)
		status = ctl_fail(rc, &e);
out:
	run_request_release(&request, form->uploads_dirfd);
	faults_release(&faults);
	return status;
}

int
cmd_submit(struct ctl *c)
{
	struct submit_result result = { "", 0, NULL, false };
	char run_id[ID_MAX] = "";
	struct form form;
	int uploads_fd = -1, status;

	status = check_usage(c);
	if (status == 0)
		status = open_all(c, &uploads_fd);
	if (status != 0)
		return status;
	form_init(&form, uploads_fd);
	status = submit_form(c, &form, &result);
	if (status == 0) {
		wake_send(c->service.conf->settings.run_dir, "runner", "job");
		status = print_result(c, &result, run_id) ? 0 : CTL_FAILED;
	}
	form_release(&form);
	submit_result_release(&result);
	close(uploads_fd);
	if (status == 0 && ctl_given(c, "watch") != NULL)
		status = watch_run(c, run_id);
	return status;
}
