/* A run directory, an HTTP thread and a peer: what wire tests start with. */
#include <fcntl.h>
#include <unistd.h>

#include "tests/unit/model_test.h"

#include "file.h"

static char dir[64];
int dirfd_;
struct http *http;
struct peer *peer;

void
wire_setup(void)
{
	struct http_options opts = { 0, NULL };
	struct err e = ERR_INIT;

	snprintf(dir, sizeof(dir), "/tmp/churns-http-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_ok(file_open_dir(AT_FDCWD, dir, &dirfd_, &e), &e);
	ck_assert_int_eq(mkdirat(dirfd_, "calls", 0750), 0);
	ck_ok(http_new(&opts, &http, &e), &e);
	peer = peer_new();
}

void
wire_teardown(void)
{
	struct err e = ERR_INIT;

	http_free(http);
	peer_free(peer);
	close(dirfd_);
	ck_ok(file_remove_tree(AT_FDCWD, dir, &e), &e);
}

struct http_request
post(const char *url, const char *text)
{
	struct http_request r;

	memset(&r, 0, sizeof(r));
	r.method = "POST";
	r.url = url;
	r.headers[0] = "Content-Type: application/json";
	r.connect_timeout_ms = 2000;
	r.total_timeout_ms = 5000;
	r.max_text_bytes = MB;
	r.blob_dirfd = -1;
	if (text != NULL) {
		r.body = http_body_new();
		http_body_text(r.body, text, strlen(text));
	}
	return r;
}

void
exchange(struct http_request r, struct http_answer *out)
{
	struct http_group *g = http_group_new(http, NULL);
	int tag = -1;

	http_group_add(g, &r, 7);
	ck_assert_int_eq(http_group_pending(g), 1);
	ck_assert(http_group_wait(g, 10000, &tag, out));
	ck_assert_int_eq(tag, 7);
	ck_assert_int_eq(http_group_pending(g), 0);
	http_group_free(g);
}
