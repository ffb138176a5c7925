/*
 * Bodies and sinks: what is sent piece by piece, and where pictures go while
 * they arrive.
 */
#include <fcntl.h>
#include <unistd.h>

#include "tests/unit/model_test.h"

#include "digest.h"
#include "file.h"
#include "src/model/internal.h"
#include "xalloc.h"

/* --- bodies -------------------------------------------------------------- */

static void
write_file(const char *name, const void *data, size_t len)
{
	struct err e = ERR_INIT;

	ck_ok(file_replace(dirfd_, name, data, len, 0600, &e), &e);
}

static char *
pattern(size_t len)
{
	char *p = xmalloc(len + 1);
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = (char)(i * 131 + i / 251);
	p[len] = '\0';
	return p;
}

static const size_t sizes[] = { 0, 1, 2, 3, 4, 3071, 3072, 3073, 100000 };

START_TEST(a_body_is_read_alike_in_every_way)
{
	size_t size = sizes[_i];
	char *data = pattern(size), want_hash[65], hash[65], byte;
	struct strbuf want = STRBUF_INIT(MB), got = STRBUF_INIT(MB);
	struct strbuf bytes = STRBUF_INIT(MB);
	struct http_body *b = http_body_new();
	struct body_cursor at = { 0, 0 };
	struct err e = ERR_INIT;
	struct http_request r;
	struct http_answer a;

	write_file("picture", data, size);
	strbuf_addstr(&want, "{");
	base64_add(&want, data, size);
	strbuf_addstr(&want, "|");
	strbuf_add(&want, data, size);
	strbuf_addstr(&want, "}");
	http_body_text(b, "{", 1);
	ck_ok(http_body_file(b, dirfd_, "picture", true, &e), &e);
	http_body_text(b, "|", 1);
	ck_ok(http_body_file(b, dirfd_, "picture", false, &e), &e);
	http_body_text(b, "}", 1);
	ck_assert_int_eq((int)http_body_length(b), (int)want.len);
	ck_ok(http_body_render(b, &got, &e), &e);
	ck_assert_uint_eq(got.len, want.len);
	ck_assert_mem_eq(got.buf, want.buf, want.len);
	while (body_read(b, &at, &byte, 1) == 1)
		strbuf_addch(&bytes, byte);
	ck_assert_uint_eq(bytes.len, want.len);
	ck_assert_mem_eq(bytes.buf, want.buf, want.len);
	ck_ok(http_body_hash(b, hash, &e), &e);
	digest_buf_hex(want.buf, want.len, want_hash);
	ck_assert_str_eq(hash, want_hash);
	peer_add(peer, (struct peer_step){ .body = "ok" });
	r = post(peer_url(peer), NULL);
	r.body = b;
	exchange(r, &a);
	ck_assert_uint_eq(peer_request(peer, 0)->len, want.len);
	ck_assert_mem_eq(peer_request(peer, 0)->body, want.buf, want.len);
	http_answer_release(&a);
	strbuf_release(&want);
	strbuf_release(&got);
	strbuf_release(&bytes);
	free(data);
}
END_TEST

START_TEST(a_file_that_shrinks_is_an_error_of_ours)
{
	struct http_body *b = http_body_new();
	struct err e = ERR_INIT;
	struct http_request r;
	struct http_answer a;
	char hash[65];
	int fd = -1;

	write_file("picture", "0123456789", 10);
	ck_ok(http_body_file(b, dirfd_, "picture", true, &e), &e);
	ck_fails(http_body_file(b, dirfd_, "../picture", true, &e),
	    ERR_FORBIDDEN);
	ck_fails(http_body_file(b, dirfd_, "calls", true, &e), ERR_INVALID);
	ck_fails(http_body_file(b, dirfd_, "none", true, &e), ERR_NOT_FOUND);
	ck_ok(file_open_beneath(dirfd_, "picture", O_WRONLY | O_TRUNC, 0, &fd,
	    &e), &e);
	close(fd);
	ck_fails(http_body_hash(b, hash, &e), ERR_SYSTEM);
	r = post(peer_url(peer), NULL);
	r.body = b;
	exchange(r, &a);
	ck_assert_int_eq(a.failure, HTTP_LOCAL);
	ck_assert_int_eq(peer_count(peer), 0);
	http_answer_release(&a);
}
END_TEST

/* --- sinks --------------------------------------------------------------- */

#define LONG 90000		/* bytes of a picture whose text is too long */

enum dress { PLAIN, SLASHES, UNICODE, URL_SAFE, LINES, UNPADDED };

/* {"data":"<base64 of n bytes>","n":1} in one of the ways JSON allows. */
static void
dressed(struct strbuf *out, const void *data, size_t n, enum dress how)
{
	struct strbuf b64 = STRBUF_INIT(8 * MB);
	size_t i, len;
	char c;

	base64_add(&b64, data, n);
	len = b64.len;
	while (how == UNPADDED && b64.buf[len - 1] == '=')
		len--;
	strbuf_addstr(out, "{\"text\":\"a \\\" \\\\\",\"data\":\"");
	for (i = 0; i < len; i++) {
		c = b64.buf[i];
		if (how == SLASHES && c == '/')
			strbuf_addstr(out, "\\/");
		else if (how == UNICODE && (c == '/' || c == '+' || c == '='))
			strbuf_addf(out, "\\u00%02X", (unsigned)c);
		else if (how == URL_SAFE && (c == '/' || c == '+'))
			strbuf_addch(out, c == '/' ? '_' : '-');
		else
			strbuf_addch(out, c);
		if (how == LINES && i % 76 == 75)
			strbuf_addstr(out, "\\r\\n");
	}
	strbuf_addstr(out, "\",\"n\":1}");
	strbuf_release(&b64);
}

/* Feed text in steps of step bytes (0: growing ones). */
static bool
feed(struct sink *s, const struct strbuf *text, size_t step)
{
	size_t at = 0, n = step > 0 ? step : 1;

	while (at < text->len) {
		if (n > text->len - at)
			n = text->len - at;
		if (!sink_feed(s, 200, text->buf + at, n))
			return false;
		at += n;
		if (step == 0)
			n = n * 2 + 1;
	}
	return true;
}

static void
new_sink(struct sink *s, const char *prefix)
{
	struct http_request r = post("", NULL);

	r.max_blob_bytes = MB;
	r.blob_prefix = prefix;
	sink_init(s, &r, dup(dirfd_));
}

static void
blob_is(const char *name, const void *want, size_t len)
{
	struct strbuf got = STRBUF_INIT(4 * MB);
	struct err e = ERR_INIT;
	struct stat sb;
	int fd = -1;

	ck_ok(file_open_beneath(dirfd_, name, O_RDONLY, 0, &fd, &e), &e);
	ck_ok(file_read_fd(fd, 4 * MB, &got, &e), &e);
	ck_assert_int_eq(fstat(fd, &sb), 0);
	ck_assert_int_eq((int)(sb.st_mode & 0137), 0);
	ck_assert_uint_eq(got.len, len);
	ck_assert_mem_eq(got.buf, want, len);
	close(fd);
	strbuf_release(&got);
}

static const struct {
	enum dress dress;
	size_t step;
} cuts[] = {
	{ PLAIN, 1 }, { PLAIN, 0 }, { PLAIN, 16384 }, { PLAIN, 1 << 30 },
	{ SLASHES, 1 }, { SLASHES, 0 }, { SLASHES, 997 },
	{ UNICODE, 1 }, { UNICODE, 0 }, { UNICODE, 1 << 30 },
	{ URL_SAFE, 1 }, { URL_SAFE, 4096 },
	{ LINES, 1 }, { LINES, 0 }, { LINES, 16384 },
	{ UNPADDED, 1 }, { UNPADDED, 1 << 30 },
};

START_TEST(a_long_string_becomes_a_file_however_it_is_cut)
{
	struct strbuf text = STRBUF_INIT(4 * MB);
	char *data = pattern(LONG + 1);
	struct err e = ERR_INIT;
	struct sink s;

	dressed(&text, data, LONG + 1, cuts[_i].dress);
	new_sink(&s, "calls/id");
	ck_assert(feed(&s, &text, cuts[_i].step));
	ck_assert_str_eq(s.text.buf,
	    "{\"text\":\"a \\\" \\\\\",\"data\":\"@blob:0\",\"n\":1}");
	ck_assert_int_eq(s.n_blobs, 1);
	ck_assert(!s.blob_invalid[0]);
	ck_ok(sink_sync(&s, &e), &e);
	sink_release(&s);
	blob_is("calls/id.0", data, LONG + 1);
	strbuf_release(&text);
	free(data);
}
END_TEST

START_TEST(a_string_moves_by_its_length_not_by_its_chunks)
{
	static const size_t steps[] = { 1, 0, 16384, 1 << 30 };
	struct strbuf text = STRBUF_INIT(4 * MB);
	struct sink s;
	size_t i, len;

	for (len = SINK_STRING_MAX - 1; len <= SINK_STRING_MAX + 1; len++) {
		for (i = 0; i < ARRAY_LEN(steps); i++) {
			strbuf_reset(&text);
			strbuf_addstr(&text, "[\"");
			while (text.len < len + 2)
				strbuf_addch(&text, 'A');
			strbuf_addstr(&text, "\"]");
			new_sink(&s, "calls/edge");
			ck_assert(feed(&s, &text, steps[i]));
			ck_assert_int_eq(s.n_blobs,
			    len > SINK_STRING_MAX ? 1 : 0);
			sink_discard(&s);
			sink_release(&s);
		}
	}
	strbuf_release(&text);
}
END_TEST

START_TEST(several_pictures_become_several_files)
{
	struct strbuf text = STRBUF_INIT(4 * MB);
	char *data = pattern(LONG + 5);
	struct err e = ERR_INIT;
	struct sink s;
	int i;

	for (i = 0; i < 3; i++)
		dressed(&text, data, LONG + (size_t)i, PLAIN);
	new_sink(&s, "calls/id");
	ck_assert(feed(&s, &text, 1000));
	ck_assert_int_eq(s.n_blobs, 3);
	ck_assert_ptr_nonnull(strstr(s.text.buf, "@blob:2"));
	ck_ok(sink_sync(&s, &e), &e);
	sink_release(&s);
	blob_is("calls/id.0", data, LONG);
	blob_is("calls/id.1", data, LONG + 1);
	blob_is("calls/id.2", data, LONG + 2);
	strbuf_release(&text);
	free(data);
}
END_TEST

START_TEST(a_long_string_that_is_no_base64_is_marked)
{
	static const char *const bad[] = { "\xc3\xa4", "\\u00e4", "\\\"",
		"!", "\\u12", "=A" };
	struct strbuf text = STRBUF_INIT(4 * MB);
	struct sink s;
	size_t i;

	strbuf_addstr(&text, "[\"");
	for (i = 0; i < SINK_STRING_MAX + 100; i++)
		strbuf_addch(&text, 'A');
	strbuf_addstr(&text, bad[_i]);
	strbuf_addstr(&text, "AAAA\",2]");
	new_sink(&s, "calls/bad");
	ck_assert(feed(&s, &text, 7));
	ck_assert_int_eq(s.n_blobs, 1);
	ck_assert(s.blob_invalid[0]);
	ck_assert_str_eq(s.text.buf, "[\"@blob:0\",2]");
	sink_discard(&s);
	ck_assert_int_eq(faccessat(dirfd_, "calls/bad.0", F_OK, 0), -1);
	sink_release(&s);
	strbuf_release(&text);
}
END_TEST

START_TEST(a_file_that_exists_is_never_overwritten)
{
	struct strbuf text = STRBUF_INIT(4 * MB);
	char *data = pattern(LONG);
	struct sink s;

	write_file("there.0", "kept", 4);
	dressed(&text, data, LONG, PLAIN);
	new_sink(&s, "there");
	ck_assert(!feed(&s, &text, 1000));
	ck_assert_int_eq(s.failure, HTTP_LOCAL);
	sink_discard(&s);
	sink_release(&s);
	blob_is("there.0", "kept", 4);
	strbuf_release(&text);
	free(data);
}
END_TEST

START_TEST(pictures_have_limits)
{
	struct http_request r = post("", NULL);
	struct strbuf text = STRBUF_INIT(4 * MB);
	char *data = pattern(LONG);
	struct sink s;

	dressed(&text, data, LONG, PLAIN);
	r.blob_prefix = "calls/big";
	r.max_blob_bytes = _i == 0 ? LONG : _i == 1 ? LONG - 1 : 0;
	sink_init(&s, &r, dup(dirfd_));
	ck_assert(feed(&s, &text, 1000) == (_i == 0));
	ck_assert_int_eq(s.failure, _i == 0 ? HTTP_FINE : HTTP_TOO_LARGE);
	sink_discard(&s);
	sink_release(&s);
	strbuf_release(&text);
	free(data);
}
END_TEST

START_TEST(a_picture_goes_from_the_wire_to_disk)
{
	struct strbuf text = STRBUF_INIT(8 * MB);
	char *data = pattern(3 * MB);
	struct http_request r = post(peer_url(peer), "x");
	struct http_answer a;
	struct http_stats st;

	dressed(&text, data, 3 * MB, PLAIN);
	peer_add(peer, (struct peer_step){ .body = text.buf,
	    .len = text.len });
	r.max_text_bytes = SINK_STRING_MAX + 1000;
	r.max_blob_bytes = 4 * MB;
	r.blob_dirfd = dirfd_;
	r.blob_prefix = "calls/pic";
	exchange(r, &a);
	ck_assert_msg(a.failure == HTTP_FINE, "%s", a.message);
	ck_assert_int_eq(a.n_blobs, 1);
	blob_is("calls/pic.0", data, 3 * MB);
	http_get_stats(http, &st);
	ck_assert_int_eq((int)st.in_flight_bytes, 0);
	http_answer_release(&a);
	strbuf_release(&text);
	free(data);
}
END_TEST

START_TEST(a_picture_that_breaks_off_leaves_no_file)
{
	struct strbuf text = STRBUF_INIT(4 * MB);
	char *data = pattern(LONG);
	struct http_request r = post(peer_url(peer), "x");
	struct http_answer a;

	dressed(&text, data, LONG, PLAIN);
	peer_add(peer, (struct peer_step){ .body = text.buf, .len = text.len,
	    .way = PEER_CUT, .cut = 80000 });
	r.max_blob_bytes = MB;
	r.blob_dirfd = dirfd_;
	r.blob_prefix = "calls/cut";
	exchange(r, &a);
	ck_assert_int_eq(a.failure, HTTP_BROKEN);
	ck_assert_int_eq(a.n_blobs, 0);
	ck_assert_int_eq(faccessat(dirfd_, "calls/cut.0", F_OK, 0), -1);
	http_answer_release(&a);
	strbuf_release(&text);
	free(data);
}
END_TEST

START_TEST(a_download_is_one_file)
{
	char *data = pattern(LONG);
	struct http_request r = post(peer_url(peer), NULL);
	struct http_answer a;

	peer_add(peer, (struct peer_step){ .body = data, .len = LONG });
	peer_add(peer, (struct peer_step){ .status = 404, .body = "gone" });
	r.method = "GET";
	r.raw_to_blob = true;
	r.max_blob_bytes = MB;
	r.blob_dirfd = dirfd_;
	r.blob_prefix = "calls/get";
	exchange(r, &a);
	ck_assert_int_eq(a.failure, HTTP_FINE);
	ck_assert_int_eq(a.n_blobs, 1);
	ck_assert_str_eq(peer_request(peer, 0)->method, "GET");
	blob_is("calls/get.0", data, LONG);
	http_answer_release(&a);
	r.blob_prefix = "calls/gone";
	exchange(r, &a);
	ck_assert_int_eq(a.status, 404);
	ck_assert_int_eq(a.n_blobs, 0);
	ck_assert_str_eq(a.text.buf, "gone");
	http_answer_release(&a);
	free(data);
}
END_TEST

Suite *
suite_sink(void)
{
	Suite *s = suite_create("sink");
	TCase *t = tcase_create("bodies and sinks");

	tcase_add_checked_fixture(t, wire_setup, wire_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, a_body_is_read_alike_in_every_way, 0,
	    ARRAY_LEN(sizes));
	tcase_add_test(t, a_file_that_shrinks_is_an_error_of_ours);
	tcase_add_loop_test(t,
	    a_long_string_becomes_a_file_however_it_is_cut, 0,
	    ARRAY_LEN(cuts));
	tcase_add_test(t, a_string_moves_by_its_length_not_by_its_chunks);
	tcase_add_test(t, several_pictures_become_several_files);
	tcase_add_loop_test(t, a_long_string_that_is_no_base64_is_marked, 0,
	    6);
	tcase_add_test(t, a_file_that_exists_is_never_overwritten);
	tcase_add_loop_test(t, pictures_have_limits, 0, 3);
	tcase_add_test(t, a_picture_goes_from_the_wire_to_disk);
	tcase_add_test(t, a_picture_that_breaks_off_leaves_no_file);
	tcase_add_test(t, a_download_is_one_file);
	suite_add_tcase(s, t);
	return s;
}
