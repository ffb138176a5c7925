/* A client of the handlers, without FastCGI: see api_unit.h. */
#include "tests/unit/api_unit.h"

#include <fcntl.h>
#include <unistd.h>

#include "file.h"
#include "xalloc.h"

#define MAX_VARIABLES 12

struct worker the_worker;
struct response got;
char run_id[ID_MAX];
size_t answer_max;

static int
read_piece(void *arg, char *buf, int len)
{
	struct body *b = arg;
	size_t n = b->len - b->at;

	if (n == 0)
		return b->fails ? -1 : 0;
	if (n > (size_t)len)
		n = (size_t)len;
	if (n > b->step)
		n = b->step;
	memcpy(buf, b->text + b->at, n);
	b->at += n;
	return (int)n;
}

void
client_setup(void)
{
	unit_setup();
	memset(&the_worker, 0, sizeof(the_worker));
	the_worker.svc = &svc;
	the_worker.metrics = metrics_new(T0);
	ck_assert_ptr_nonnull(the_worker.metrics);
	the_worker.store = st;
	the_worker.uploads_dirfd = uploads;
	ck_ok(file_open_dir(AT_FDCWD, svc.runs_dir, &the_worker.runs_dirfd, &err),
	    &err);
	response_init(&got);
	answer_max = 0;
}

void
client_teardown(void)
{
	response_release(&got);
	metrics_free(the_worker.metrics);
	close(the_worker.runs_dirfd);
	unit_teardown();
}

void
ask_with(struct body *b, const char *what, ...)
{
	char *envp[MAX_VARIABLES + 4], *query = strchr(what, '?');
	const char *path = strchr(what, ' ') + 1;
	struct request r;
	va_list ap;
	int n = 3, i;
	bool from = false;

	envp[0] = xasprintf("REQUEST_METHOD=%.*s", (int)(path - what - 1),
	    what);
	envp[1] = xasprintf("REQUEST_URI=%s", path);
	envp[2] = xasprintf("QUERY_STRING=%s", query != NULL ? query + 1 : "");
	va_start(ap, what);
	do {
		ck_assert_int_lt(n, MAX_VARIABLES + 3);
		envp[n] = va_arg(ap, char *);
		from = from || (envp[n] != NULL &&
		    strncmp(envp[n], "REMOTE_ADDR=", 12) == 0);
	} while (envp[n++] != NULL);
	va_end(ap);
	if (!from) {
		envp[n - 1] = (char *)(uintptr_t)"REMOTE_ADDR=127.0.0.1";
		envp[n] = NULL;
	}
	response_release(&got);
	response_init(&got);
	if (answer_max > 0)
		got.body.max = answer_max;
	if (request_init(&r, envp, &err) != ERR_OK) {
		route_refuse(&the_worker, &r, &err, &got);
	} else {
		r.read_body = read_piece;
		r.read_arg = b;
		route_request(&the_worker, &r, &got);
	}
	request_release(&r);
	for (i = 0; i < 3; i++)
		free(envp[i]);
}

void
post(const char *type, const char *text, size_t step)
{
	struct body b = { text, strlen(text), 0, step, false };

	ask_with(&b, "POST /api/v1/runs", type, NULL);
}

const char *
header(const char *name)
{
	static char value[4096];
	const char *p;
	size_t len = strlen(name);

	for (p = got.headers.buf; *p != '\0'; p = strstr(p, "\r\n") + 2)
		if (strncmp(p, name, len) == 0 && p[len] == ':') {
			snprintf(value, sizeof(value), "%.*s",
			    (int)strcspn(p + len + 2, "\r"), p + len + 2);
			return value;
		}
	return NULL;
}

const char *
member(const char *path)
{
	static char value[4096];
	struct json_object *o = NULL;

	ck_ok(json_parse(got.body.buf, got.body.len, &o, &err), &err);
	snprintf(value, sizeof(value), "%s", at(o, path));
	json_object_put(o);
	return value;
}

void
make_run(void)
{
	post(URLENCODED, "prompt=tart&platform_name="
	    "Instagram+Post+%281%3A1+Square%29", 64);
	ck_assert_int_eq(got.status, 200);
	snprintf(run_id, sizeof(run_id), "%s", member("id"));
	ck_assert(id_is_valid(run_id));
}

void
ask_run(const char *method, const char *rest)
{
	char *what = xasprintf("%s /api/v1/runs/%s%s", method, run_id, rest);

	ask(what);
	free(what);
}

void
ask_file(const char *path, const char *variable)
{
	char *what = xasprintf("GET /api/v1/files/%s/%s", run_id, path);

	ask_with(NULL, what, variable, NULL);
	free(what);
}
