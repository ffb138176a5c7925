/* The fixture of the tests of requests. */
#include "tests/unit/submit_unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "digest.h"
#include "file.h"
#include "xalloc.h"

struct service svc;
struct store *st;
int uploads = -1;
struct form sent;
struct err err;

#define MAX_LINE 512

static char dir[64];

const char *
unit_dir(void)
{
	return dir;
}

/* An environment that somebody has set must not reach into a test. */
static void
clear_environment(void)
{
	clearenv();
	ck_assert_int_eq(setenv("PATH", "/usr/bin:/bin", 1), 0);
}

static char *
write_settings(void)
{
	char *path = xasprintf("%s/settings.env", dir);
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	fprintf(f, "CHURNS_DATA_DIR=%s/data\nCHURNS_RUN_DIR=%s/run\n"
	    "CHURNS_IMAGE_HELPER=/bin/true\n", dir, dir);
	ck_assert_int_eq(fclose(f), 0);
	return path;
}

void
unit_setup(void)
{
	struct conf_options opts = { TOP_SRCDIR "/conf", NULL, false };
	struct problems problems;
	char *settings;

	clear_environment();
	snprintf(dir, sizeof(dir), "/tmp/churns-submit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	settings = write_settings();
	opts.env_file = settings;
	problems_init(&problems);
	ck_assert_msg(service_load(&svc, &opts, &problems) == ERR_OK, "%s",
	    problems.text.buf);
	problems_release(&problems);
	free(settings);
	ck_ok(service_check_dirs(&svc, &err), &err);
	ck_ok(service_open_store(&svc, false, false, 4, &st, &err), &err);
	settings = xasprintf("%s/data/uploads", dir);
	ck_ok(file_open_dir(AT_FDCWD, settings, &uploads, &err), &err);
	free(settings);
	form_init(&sent, uploads);
}

void
unit_teardown(void)
{
	form_release(&sent);
	store_close(st);
	close(uploads);
	service_release(&svc);
	ck_ok(file_remove_tree(AT_FDCWD, dir, &err), &err);
}

int
unit_count(const char *path)
{
	char full[PATH_MAX];
	struct dirent *entry;
	DIR *d;
	int n = 0;

	snprintf(full, sizeof(full), "%s/%s", dir, path);
	d = opendir(full);
	ck_assert_ptr_nonnull(d);
	for (entry = readdir(d); entry != NULL; entry = readdir(d))
		n += entry->d_name[0] != '.';
	closedir(d);
	return n;
}

void
add_text(const char *name, const char *value)
{
	ck_ok(form_add(&sent, name, value, strlen(value), &err), &err);
}

void
add_lines(const char *lines)
{
	char name[MAX_LINE], value[MAX_LINE];
	const char *p = lines, *end, *equals;

	for (; *p != '\0'; p = *end != '\0' ? end + 1 : end) {
		end = p + strcspn(p, "\n");
		equals = memchr(p, '=', (size_t)(end - p));
		ck_assert_ptr_nonnull(equals);
		snprintf(name, sizeof(name), "%.*s", (int)(equals - p), p);
		snprintf(value, sizeof(value), "%.*s",
		    (int)(end - equals - 1), equals + 1);
		add_text(name, value);
	}
}

void
add_file(const char *name, const char *filename, const void *data, size_t len)
{
	struct form_file *f;
	int fd = -1;

	ck_assert_int_lt(sent.n_files, FORM_MAX_FILES);
	f = &sent.files[sent.n_files++];
	ck_ok(upload_create(uploads, &f->tmp, &fd, &err), &err);
	ck_ok(file_write_all(fd, data, len, &err), &err);
	close(fd);
	f->name = xstrdup(name);
	f->filename = xstrdup(filename);
	f->content_type = xstrdup("application/octet-stream");
	f->size = (int64_t)len;
	digest_buf_hex(data, len, f->sha256);
}

static void
put_be32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

void
make_png(uint8_t out[PNG_BYTES], uint32_t width, uint32_t height)
{
	static const uint8_t head[] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a,
		'\n', 0, 0, 0, 13, 'I', 'H', 'D', 'R' };

	memset(out, 0, PNG_BYTES);
	memcpy(out, head, sizeof(head));
	put_be32(out + 16, width);
	put_be32(out + 20, height);
	out[24] = 8;
	out[25] = 2;
}

void
add_png(const char *filename, uint32_t width, uint32_t height)
{
	uint8_t png[PNG_BYTES];

	make_png(png, width, height);
	add_file("image_file", filename, png, sizeof(png));
}

struct run_request *
check_fine(void)
{
	struct run_request *r = xcalloc(1, sizeof(*r));
	struct json_object *body;
	struct faults faults;
	enum err_code rc;
	int status;

	faults_init(&faults);
	rc = run_form_check(svc.conf, &sent, r, &faults, &err);
	body = faults_body(&faults, &status);
	ck_assert_msg(rc == ERR_OK && !faults_any(&faults), "%s: %s", err.msg,
	    json_object_to_json_string(body));
	json_object_put(body);
	faults_release(&faults);
	return r;
}

struct json_object *
check_faulty(int *status)
{
	struct run_request r;
	struct json_object *body;
	struct faults faults;
	enum err_code rc;

	memset(&r, 0, sizeof(r));
	faults_init(&faults);
	rc = run_form_check(svc.conf, &sent, &r, &faults, &err);
	ck_assert(faults_any(&faults));
	ck_assert(rc == ERR_TYPE || rc == ERR_INVALID);
	body = faults_body(&faults, status);
	ck_assert_int_eq(*status, err_http_status(rc));
	faults_release(&faults);
	/* Nothing is handed out with a fault. */
	ck_assert_ptr_null(r.form);
	ck_assert_ptr_null(r.logo_tmp);
	return body;
}

void
request_free(struct run_request *r)
{
	if (r != NULL)
		run_request_release(r, uploads);
	free(r);
}

const char *
at(const struct json_object *o, const char *path)
{
	struct json_object *v = json_at(o, path);

	return v != NULL ? json_object_get_string(v) : "null";
}

void
expect_only(const struct json_object *body, int status, const char *field,
    const char *says, const char *about)
{
	const struct json_object *list;

	if (status == 422) {
		list = json_at(body, "detail");
		ck_assert_msg(json_len(list) == 1, "%s: %s", about,
		    at(body, "detail"));
		ck_assert_str_eq(at(body, "detail/0/loc/0"), "body");
		ck_assert_str_eq(at(body, "detail/0/loc/1"), field);
		ck_assert_str_eq(at(body, "detail/0/type"), says);
		ck_assert_str_ne(at(body, "detail/0/msg"), "");
		return;
	}
	list = json_at(body, "errors");
	ck_assert_msg(json_len(list) == 1, "%s: %s", about,
	    at(body, "detail"));
	ck_assert_str_eq(at(body, "errors/0/field"), field);
	ck_assert_msg(strstr(at(body, "errors/0/message"), says) != NULL,
	    "%s: %s", about, at(body, "errors/0/message"));
	ck_assert_str_eq(at(body, "detail"), at(body, "errors/0/message"));
}

char *
many(int n)
{
	char *text = xmalloc((size_t)n * 3 + 1);
	int i;

	for (i = 0; i < n; i++)
		memcpy(text + 3 * i, "\xe2\x82\xac", 3);
	text[3 * n] = '\0';
	return text;
}
