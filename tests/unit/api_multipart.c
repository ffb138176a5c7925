/*
 * Form bodies: every body is read whole, byte by byte and in odd pieces, and
 * must mean the same each time; whatever is wrong with one leaves no file.
 */
#include "tests/unit/api_unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>
#include <unistd.h>

#include "digest.h"
#include "file.h"
#include "src/api/multipart.h"
#include "xalloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TYPE "multipart/form-data; boundary=AaB"
#define FIELD(name) \
	"--AaB\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n"
#define FILE_PART(params) \
	"--AaB\r\nContent-Disposition: form-data; " params "\r\n\r\n"
#define END "\r\n--AaB--\r\n"
#define MAX_SHOWN 4096

static const size_t steps[] = { 0, 1, 2, 3, 5, 7, 11, 13, 17, 64 };

/* "name=value;" per field, then "name<filename>type:content;" per file. */
static void
show(const struct form *f, struct strbuf *out)
{
	struct strbuf content = STRBUF_INIT(MAX_SHOWN);
	struct err e = ERR_INIT;
	int i, fd = -1;

	strbuf_reset(out);
	for (i = 0; i < f->n_fields; i++) {
		strbuf_addf(out, "%s=", f->fields[i].name);
		strbuf_add(out, f->fields[i].value, f->fields[i].len);
		strbuf_addch(out, ';');
	}
	for (i = 0; i < f->n_files; i++) {
		strbuf_addf(out, "%s<%s>%s:", f->files[i].name,
		    f->files[i].filename, f->files[i].content_type);
		ck_ok(file_open_beneath(f->uploads_dirfd, f->files[i].tmp,
		    O_RDONLY, 0, &fd, &e), &e);
		strbuf_reset(&content);
		ck_ok(file_read_fd(fd, MAX_SHOWN, &content, &e), &e);
		close(fd);
		ck_assert_int_eq(f->files[i].size, (int64_t)content.len);
		strbuf_add(out, content.buf, content.len);
		strbuf_addch(out, ';');
	}
	strbuf_release(&content);
}

/* --- what is read ----------------------------------------------------------------- */

static const struct {
	const char *about, *type, *body, *want;
} good[] = {
	{ "two fields", TYPE, FIELD("a") "1\r\n" FIELD("b") "2" END,
	  "a=1;b=2;" },
	{ "an empty field", TYPE, FIELD("a") END, "a=;" },
	{ "no parts", TYPE, "--AaB--", "" },
	{ "no parts, line before", TYPE, "\r\n--AaB--\r\n", "" },
	{ "the same name twice", TYPE, FIELD("a") "1\r\n" FIELD("a") "2" END,
	  "a=1;a=2;" },
	{ "line breaks are content", TYPE,
	  FIELD("a") "\r\n\r\nx\r\ny\r\n\r\n" END, "a=\r\n\r\nx\r\ny\r\n\r\n;" },
	{ "almost boundaries are content", TYPE, FIELD("a")
	  "--AaB\r\n--Aa\r\n-\r\r\n--A\r\n\r\n--\r--AaB\n--AaB" END,
	  "a=--AaB\r\n--Aa\r\n-\r\r\n--A\r\n\r\n--\r--AaB\n--AaB;" },
	{ "preamble and epilogue", TYPE, "hello --AaB\r\nthere\r\n"
	  FIELD("a") "1" END "--AaB\r\nbye\r\n" FIELD("b") "2" END, "a=1;" },
	{ "padding behind boundaries", TYPE, "--AaB \t\r\n"
	  "Content-Disposition: form-data; name=a\r\n\r\n1\r\n--AaB--  \r\n",
	  "a=1;" },
	{ "header names in any case", TYPE, "--AaB\r\n"
	  "content-disposition: FORM-data; NAME=\"a\"\r\n\r\n1" END, "a=1;" },
	{ "no blank behind the colon", TYPE, "--AaB\r\n"
	  "Content-Disposition:form-data;name=\"a\"\r\n\r\n1" END, "a=1;" },
	{ "unknown headers and parameters", TYPE, "--AaB\r\nX-Y: z\r\n"
	  "Content-Disposition: form-data; x=y; name=\"a\"; z=\"; name=b\";\r\n"
	  "Content-Length: 1\r\n\r\n1" END, "a=1;" },
	{ "a folded header", TYPE, "--AaB\r\nContent-Disposition: form-data;\r\n"
	  "\tname=\"a\"\r\nContent-Type: text/plain;\r\n  charset=utf-8\r\n\r\n1"
	  END, "a=1;" },
	{ "escapes in a quoted name", TYPE, FIELD("a\\\"b\\\\c\\d") "1" END,
	  "a\"b\\c\\d=1;" },
	{ "UTF-8 in a name", TYPE, FIELD("\xc3\xa4") "\xe2\x82\xac" END,
	  "\xc3\xa4=\xe2\x82\xac;" },
	{ "a plain transfer encoding", TYPE, "--AaB\r\n"
	  "Content-Disposition: form-data; name=a\r\n"
	  "Content-Transfer-Encoding: binary\r\n\r\n1" END, "a=1;" },
	{ "a file", TYPE, "--AaB\r\nContent-Disposition: form-data; "
	  "name=\"image_file\"; filename=\"tart.png\"\r\n"
	  "Content-Type: image/png\r\n\r\nPNG\r\n" END,
	  "image_file<tart.png>image/png:PNG\r\n;" },
	{ "an empty file", TYPE, FILE_PART("name=f; filename=x") END,
	  "f<x>:;" },
	{ "a browser without a file", TYPE, FILE_PART("name=f; filename=\"\"")
	  END, "f<>:;" },
	{ "a Windows path", TYPE,
	  FILE_PART("name=f; filename=\"C:\\dir\\a b.png\"") "x" END,
	  "f<C:\\dir\\a b.png>:x;" },
	{ "a quote in a file name", TYPE,
	  FILE_PART("name=f; filename=\"a\\\"b;c.png\"") "x" END,
	  "f<a\"b;c.png>:x;" },
	{ "an extended file name alone", TYPE,
	  FILE_PART("name=f; filename*=UTF-8''%e2%82%ac%20x.png") "x" END,
	  "f<\xe2\x82\xac x.png>:x;" },
	{ "an extended file name wins, last", TYPE, FILE_PART("name=f; "
	  "filename=a; filename*=utf-8'en'b") "x" END, "f<b>:x;" },
	{ "an extended file name wins, first", TYPE, FILE_PART("name=f; "
	  "filename*=utf-8'en'b; filename=a") "x" END, "f<b>:x;" },
	{ "Latin-1", TYPE, FILE_PART("name=f; filename*=ISO-8859-1''caf%E9")
	  "x" END, "f<caf\xc3\xa9>:x;" },
	{ "an unknown charset", TYPE, FILE_PART("name=f; filename=a; "
	  "filename*=KOI8-R''%E9") "x" END, "f<a>:x;" },
	{ "control characters in a file name", TYPE,
	  FILE_PART("name=f; filename*=UTF-8''a%0d%0aSet-Cookie:%20x") "x" END,
	  "f<a__Set-Cookie: x>:x;" },
	{ "files and fields mixed", TYPE, FIELD("a") "1\r\n"
	  FILE_PART("name=f; filename=x") "X\r\n" FIELD("b") "2\r\n"
	  FILE_PART("name=f; filename=y") "Y" END,
	  "a=1;b=2;f<x>:X;f<y>:Y;" },
	{ "a quoted boundary with blanks",
	  "Multipart/Form-Data; charset=utf-8; BOUNDARY=\"a b:c\"",
	  "--a b:c\r\nContent-Disposition: form-data; name=a\r\n\r\n--a b"
	  "\r\n--a b:c--", "a=--a b;" },
	{ "a boundary of dashes", "multipart/form-data; boundary=----",
	  "------\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n-----"
	  "\r\n--------", "a=\r\n-----;" },
	{ "a boundary that repeats itself",
	  "multipart/form-data;boundary=--\\\\--",
	  "----\\\\--\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n----\\"
	  "\r\n----\\\\\r\n----\\\\----", "a=\r\n----\\\r\n----\\\\;" },
};

START_TEST(a_body_means_the_same_however_it_is_cut)
{
	struct strbuf seen = STRBUF_INIT(MAX_SHOWN);
	struct err e = ERR_INIT;
	struct form form;
	size_t i;

	for (i = 0; i < ARRAY_LEN(steps); i++) {
		form_init(&form, api_uploads());
		ck_assert_msg(api_feed(good[_i].type, good[_i].body,
		    strlen(good[_i].body), steps[i], &form, &e) == ERR_OK,
		    "%s in steps of %zu: %s", good[_i].about, steps[i], e.msg);
		show(&form, &seen);
		ck_assert_msg(strcmp(seen.buf, good[_i].want) == 0,
		    "%s in steps of %zu: %s", good[_i].about, steps[i],
		    seen.buf);
		form_release(&form);
		ck_assert_int_eq(api_upload_count(), 0);
	}
	strbuf_release(&seen);
}
END_TEST

/* --- what is refused ---------------------------------------------------------------- */

static const struct {
	const char *about, *type, *body, *says;
} bad[] = {
	{ "no boundary", "multipart/form-data", "--AaB--", "boundary" },
	{ "an empty boundary", "multipart/form-data; boundary=", "----",
	  "boundary" },
	{ "two boundaries", TYPE "; boundary=x", "--AaB--", "boundary" },
	{ "an open quote", "multipart/form-data; boundary=\"AaB", "--AaB--",
	  "boundary" },
	{ "a boundary that ends in a blank",
	  "multipart/form-data; boundary=\"AaB \"", "--AaB --", "boundary" },
	{ "a boundary with a control character",
	  "multipart/form-data; boundary=A\x01", "--A\x01--", "boundary" },
	{ "another multipart", "multipart/mixed; boundary=AaB", "--AaB--",
	  "multipart/form-data" },
	{ "a longer word", "multipart/form-data2; boundary=AaB", "--AaB--",
	  "multipart/form-data" },
	{ "a parameter without a value", "multipart/form-data; boundary",
	  "--AaB--", "boundary" },
	{ "no semicolon", "multipart/form-data boundary=AaB", "--AaB--",
	  "boundary" },
	{ "an empty body", TYPE, "", "closing boundary" },
	{ "text alone", TYPE, "hello", "closing boundary" },
	{ "no closing boundary", TYPE, FIELD("a") "1\r\n--AaB\r\n",
	  "closing boundary" },
	{ "cut in the content", TYPE, FIELD("a") "1", "closing boundary" },
	{ "cut in the closing boundary", TYPE, FIELD("a") "1\r\n--AaB-",
	  "closing boundary" },
	{ "cut in the headers", TYPE, "--AaB\r\nContent-Disp",
	  "closing boundary" },
	{ "cut in a file", TYPE, FILE_PART("name=f; filename=x") "content",
	  "closing boundary" },
	{ "line feeds alone", TYPE, "--AaB\nContent-Disposition: form-data; "
	  "name=\"a\"\n\n1\n--AaB--\n", "behind a boundary" },
	{ "a longer boundary", TYPE, "--AaBC\r\n\r\n", "behind a boundary" },
	{ "one dash", TYPE, "--AaB-x", "behind a boundary" },
	{ "text behind padding", TYPE, "--AaB  x\r\n", "behind a boundary" },
	{ "a carriage return alone", TYPE, "--AaB\rx", "behind a boundary" },
	{ "no headers", TYPE, "--AaB\r\n\r\n1" END, "no name" },
	{ "no disposition", TYPE, "--AaB\r\nContent-Type: a/b\r\n\r\n1" END,
	  "no name" },
	{ "no name", TYPE, FILE_PART("filename=x") "1" END, "no name" },
	{ "another disposition", TYPE, "--AaB\r\n"
	  "Content-Disposition: attachment; name=a\r\n\r\n1" END,
	  "Content-Disposition" },
	{ "two dispositions", TYPE, "--AaB\r\n"
	  "Content-Disposition: form-data; name=a\r\n"
	  "Content-Disposition: form-data; name=b\r\n\r\n1" END,
	  "Content-Disposition" },
	{ "two names", TYPE, FILE_PART("name=a; name=b") "1" END, "name" },
	{ "two file names", TYPE, FILE_PART("name=a; filename=b; filename=c")
	  "1" END, "filename" },
	{ "two extended file names", TYPE, FILE_PART("name=a; "
	  "filename*=UTF-8''b; filename*=UTF-8''c") "1" END, "filename*" },
	{ "an extended name without quotes", TYPE,
	  FILE_PART("name=a; filename*=b") "1" END, "filename*" },
	{ "an extended name with a broken escape", TYPE,
	  FILE_PART("name=a; filename*=UTF-8''%4") "1" END, "filename*" },
	{ "an extended name with a zero byte", TYPE,
	  FILE_PART("name=a; filename*=UTF-8''x%00y") "1" END, "filename*" },
	{ "an open quote in a name", TYPE, FILE_PART("name=\"a") "1" END,
	  "Content-Disposition" },
	{ "text behind a quoted name", TYPE, FILE_PART("name=\"a\"b") "1" END,
	  "Content-Disposition" },
	{ "a name that is not UTF-8", TYPE, FIELD("\xff") "1" END, "UTF-8" },
	{ "a header without a colon", TYPE, "--AaB\r\nhello\r\n\r\n1" END,
	  "header line" },
	{ "a header without a name", TYPE, "--AaB\r\n: x\r\n\r\n1" END,
	  "header line" },
	{ "a line feed in a header", TYPE, "--AaB\r\nX: a\nb\r\n\r\n1" END,
	  "line break" },
	{ "a carriage return in a header", TYPE,
	  "--AaB\r\nX: a\rb\r\n\r\n1" END, "line break" },
	{ "base64", TYPE, "--AaB\r\n"
	  "Content-Disposition: form-data; name=a\r\n"
	  "Content-Transfer-Encoding: base64\r\n\r\nMQ==" END,
	  "Content-Transfer-Encoding" },
	{ "a file, then nonsense", TYPE, FILE_PART("name=f; filename=x")
	  "X\r\n--AaB\r\n\r\n", "no name" },
};

START_TEST(a_malformed_body_is_refused_and_leaves_nothing)
{
	struct err e = ERR_INIT, first = ERR_INIT;
	struct form form;
	size_t i;

	for (i = 0; i < ARRAY_LEN(steps); i++) {
		form_init(&form, api_uploads());
		ck_assert_msg(api_feed(bad[_i].type, bad[_i].body,
		    strlen(bad[_i].body), steps[i], &form, &e) == ERR_INVALID,
		    "%s", bad[_i].about);
		ck_assert_msg(strstr(e.msg, bad[_i].says) != NULL, "%s: %s",
		    bad[_i].about, e.msg);
		if (i == 0)
			first = e;
		ck_assert_str_eq(e.msg, first.msg);
		form_release(&form);
		ck_assert_int_eq(api_upload_count(), 0);
	}
}
END_TEST

START_TEST(every_beginning_of_a_body_is_refused)
{
	static const char body[] = FIELD("a") "1\r\n"
	    FILE_PART("name=f; filename=x") "X\r\n--AaB--";
	struct err e = ERR_INIT;
	struct form form;
	size_t n;

	for (n = 0; n < sizeof(body) - 1; n++) {
		form_init(&form, api_uploads());
		ck_fails(api_feed(TYPE, body, n, 0, &form, &e), ERR_INVALID);
		form_release(&form);
		ck_assert_int_eq(api_upload_count(), 0);
	}
	form_init(&form, api_uploads());
	ck_ok(api_feed(TYPE, body, n, 0, &form, &e), &e);
	form_release(&form);
}
END_TEST

START_TEST(a_zero_byte_is_content_but_not_header)
{
	static const char content[] = FIELD("a") "x\0y" END;
	static const char header[] = "--AaB\r\nContent-Disposition: "
	    "form-data; name=\"a\0b\"\r\n\r\n1" END;
	struct err e = ERR_INIT;
	struct form form;

	form_init(&form, -1);
	ck_ok(api_feed(TYPE, content, sizeof(content) - 1, 1, &form, &e), &e);
	ck_assert_int_eq((int)form.fields[0].len, 3);
	ck_assert_mem_eq(form.fields[0].value, "x\0y", 4);
	form_release(&form);
	ck_fails(api_feed(TYPE, header, sizeof(header) - 1, 1, &form, &e),
	    ERR_INVALID);
	form_release(&form);
}
END_TEST

START_TEST(without_an_uploads_directory_there_are_no_files)
{
	static const char body[] = FILE_PART("name=f; filename=x") "X" END;
	struct err e = ERR_INIT;
	struct form form;

	form_init(&form, -1);
	ck_fails(api_feed(TYPE, body, strlen(body), 0, &form, &e),
	    ERR_INVALID);
	form_release(&form);
}
END_TEST

/* --- limits ------------------------------------------------------------------------- */

/* A body of n times part and an end. */
static char *
repeated(int n, const char *part)
{
	struct strbuf b = STRBUF_INIT(1024 * 1024);
	int i;

	for (i = 0; i < n; i++)
		strbuf_addf(&b, "%s%s", i > 0 ? "\r\n" : "", part);
	strbuf_addstr(&b, END);
	return strbuf_detach(&b);
}

static enum err_code
feed_text(const char *body, struct err *e)
{
	struct form form;
	enum err_code rc;

	form_init(&form, api_uploads());
	rc = api_feed(TYPE, body, strlen(body), 0, &form, e);
	form_release(&form);
	ck_assert_int_eq(api_upload_count(), 0);
	return rc;
}

static const struct {
	const char *part;
	int max;
	const char *says;
} counts[] = {
	{ FIELD("a") "1", FORM_MAX_FIELDS, "fields" },
	{ FILE_PART("name=f; filename=x") "1", FORM_MAX_FILES, "files" },
};

START_TEST(there_are_only_so_many_parts)
{
	char *fits = repeated(counts[_i].max, counts[_i].part);
	char *not = repeated(counts[_i].max + 1, counts[_i].part);
	struct err e = ERR_INIT;

	ck_ok(feed_text(fits, &e), &e);
	ck_fails(feed_text(not, &e), ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(e.msg, counts[_i].says));
	free(fits);
	free(not);
}
END_TEST

static const struct {
	const char *before, *after;
	int max;		/* letters in between that are accepted */
	const char *says;
} lengths[] = {
	{ "--AaB\r\nContent-Disposition: form-data; name=\"", "\"\r\n\r\n1" END,
	  MAX_FIELD_NAME_BYTES, "name" },
	{ "--AaB\r\nContent-Disposition: form-data; name=a; filename=\"",
	  "\"\r\n\r\n1" END, MAX_FILENAME_BYTES, "filename" },
	{ "--AaB\r\nContent-Disposition: form-data; name=a; filename=",
	  "\r\n\r\n1" END, MAX_FILENAME_BYTES, "filename" },
	{ "--AaB\r\nContent-Disposition: form-data; name=a; filename*=UTF-8''",
	  "\r\n\r\n1" END, MAX_FILENAME_BYTES - 7, "filename" },
	/* 44 bytes of the first header with its CRLF, "X: ", two CRLFs. */
	{ "--AaB\r\nContent-Disposition: form-data; name=\"abc\"\r\nX: ",
	  "\r\n\r\n1" END, MAX_PART_HEADER_BYTES - 44 - 3 - 4, "headers" },
};

START_TEST(names_and_headers_are_only_so_long)
{
	struct strbuf body = STRBUF_INIT(64 * 1024);
	struct err e = ERR_INIT;
	int i, over;

	for (over = 0; over <= 1; over++) {
		strbuf_reset(&body);
		strbuf_addstr(&body, lengths[_i].before);
		for (i = 0; i < lengths[_i].max + over; i++)
			strbuf_addch(&body, 'x');
		strbuf_addstr(&body, lengths[_i].after);
		if (over == 0) {
			ck_ok(feed_text(body.buf, &e), &e);
			continue;
		}
		ck_fails(feed_text(body.buf, &e), ERR_INVALID);
		ck_assert_msg(strstr(e.msg, lengths[_i].says) != NULL, "%s",
		    e.msg);
	}
	strbuf_release(&body);
}
END_TEST

START_TEST(a_boundary_is_only_so_long)
{
	char type[400] = "multipart/form-data; boundary=", body[400] = "--";
	struct err e = ERR_INIT;
	struct form form;
	size_t t = strlen(type);

	memset(type + t, 'x', MAX_BOUNDARY_BYTES);
	memset(body + 2, 'x', MAX_BOUNDARY_BYTES);
	memcpy(body + 2 + MAX_BOUNDARY_BYTES, "--", 3);
	form_init(&form, -1);
	ck_ok(api_feed(type, body, strlen(body), 1, &form, &e), &e);
	type[t + MAX_BOUNDARY_BYTES] = 'x';
	ck_fails(api_feed(type, body, strlen(body), 1, &form, &e),
	    ERR_INVALID);
	form_release(&form);
}
END_TEST

/* --- megabytes ------------------------------------------------------------------------ */

/* head, then n times text, then the end. */
static char *
filled(const char *head, const char *text, size_t n, size_t *out_len)
{
	struct strbuf b = STRBUF_INIT(80 * 1024 * 1024);
	size_t i;

	strbuf_addstr(&b, head);
	for (i = 0; i < n; i++)
		strbuf_addstr(&b, text);
	strbuf_addstr(&b, END);
	ck_assert(!strbuf_overflowed(&b));
	*out_len = b.len;
	return strbuf_detach(&b);
}

#define LARGE_REPEATS (1024 * 1024)

/* Content made to be mistaken for delimiters, 1 Mi times each. */
static const char *const hostile[] = { "\r", "\r\n", "\r\n--", "\r\n--Aa",
	"\r\r\n-", "--AaB", "x" };

START_TEST(hostile_content_is_read_whole_and_in_linear_time)
{
	static const char head[] = FILE_PART("name=f; filename=x");
	size_t len = 0, n = strlen(hostile[_i]) * LARGE_REPEATS;
	char *body = filled(head, hostile[_i], LARGE_REPEATS, &len);
	char want[DIGEST_HEX_MAX];
	struct err e = ERR_INIT;
	struct form form;

	digest_buf_hex(body + strlen(head), n, want);
	form_init(&form, api_uploads());
	ck_ok(api_feed(TYPE, body, len, 4093, &form, &e), &e);
	ck_assert_int_eq(form.files[0].size, (int64_t)n);
	ck_assert_str_eq(form.files[0].sha256, want);
	form_release(&form);
	ck_assert_int_eq(api_upload_count(), 0);
	free(body);
}
END_TEST

START_TEST(a_brand_kit_outgrows_memory_and_nothing_else_may)
{
	size_t n = FORM_MAX_FIELD_BYTES / 4 + 100000, len = 0, not_len = 0;
	char *kit = filled(FIELD("brand_kit"), "abc\r", n, &len);
	char *other = filled(FIELD("prompt"), "abc\r", n, &not_len);
	struct strbuf text = STRBUF_INIT(8 * 1024 * 1024);
	struct err e = ERR_INIT;
	struct form form;
	int fd = -1;

	form_init(&form, api_uploads());
	ck_ok(api_feed(TYPE, kit, len, 1000, &form, &e), &e);
	ck_assert_int_eq(form.n_fields, 1);
	ck_assert_ptr_null(form.fields[0].value);
	ck_assert_uint_eq(form.fields[0].len, 4 * n);
	ck_assert_int_eq(api_upload_count(), 1);
	ck_ok(file_open_beneath(api_uploads(), form.fields[0].spill, O_RDONLY,
	    0, &fd, &e), &e);
	ck_ok(file_read_fd(fd, 8 * 1024 * 1024, &text, &e), &e);
	close(fd);
	ck_assert_uint_eq(text.len, 4 * n);
	ck_assert_mem_eq(text.buf, kit + strlen(FIELD("brand_kit")), 4 * n);
	form_release(&form);
	ck_assert_int_eq(api_upload_count(), 0);

	ck_fails(api_feed(TYPE, other, not_len, 1000, &form, &e), ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(e.msg, "prompt"));
	form_release(&form);
	strbuf_release(&text);
	free(kit);
	free(other);
}
END_TEST

START_TEST(a_field_of_just_the_limit_stays_in_memory)
{
	size_t len = 0;
	char *body = filled(FIELD("brand_kit"), "a", FORM_MAX_FIELD_BYTES,
	    &len);
	struct err e = ERR_INIT;
	struct form form;

	form_init(&form, api_uploads());
	ck_ok(api_feed(TYPE, body, len, 0, &form, &e), &e);
	ck_assert_ptr_nonnull(form.fields[0].value);
	ck_assert_int_eq(api_upload_count(), 0);
	form_release(&form);
	free(body);
}
END_TEST

START_TEST(all_text_together_has_a_limit)
{
	struct strbuf body = STRBUF_INIT(16 * 1024 * 1024);
	size_t each = FORM_MAX_FIELD_BYTES - 1;
	char *value = xmalloc(each + 1);
	struct err e = ERR_INIT;
	struct form form;
	int i;

	memset(value, 'a', each);
	value[each] = '\0';
	for (i = 0; i < MAX_FORM_TEXT_BYTES / FORM_MAX_FIELD_BYTES + 1; i++)
		strbuf_addf(&body, "%s%s%s", i > 0 ? "\r\n" : "", FIELD("a"),
		    value);
	strbuf_addstr(&body, END);
	form_init(&form, api_uploads());
	ck_fails(api_feed(TYPE, body.buf, body.len, 0, &form, &e),
	    ERR_TOO_LARGE);
	form_release(&form);
	strbuf_release(&body);
	free(value);
}
END_TEST

START_TEST(a_file_that_cannot_be_written_is_gone)
{
	static const struct rlimit small = { 100000, 100000 };
	size_t len = 0;
	char *body = filled(FILE_PART("name=f; filename=x"), "abcd", 100000,
	    &len);
	struct err e = ERR_INIT;
	struct form form;

	/* A write beyond the limit fails like one to a broken disk. */
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	form_init(&form, api_uploads());
	ck_fails(api_feed(TYPE, body, len, 5000, &form, &e), ERR_SYSTEM);
	form_release(&form);
	ck_assert_int_eq(api_upload_count(), 0);
	free(body);
}
END_TEST

START_TEST(what_the_fuzzer_asserts_holds_for_its_corpus)
{
	static const char dir[] = TOP_SRCDIR "/tests/fuzz/corpus/multipart";
	struct strbuf text = STRBUF_INIT(1024 * 1024);
	struct err e = ERR_INIT;
	struct dirent *entry;
	DIR *d = opendir(dir);
	char path[PATH_MAX];
	int n = 0;

	ck_assert_ptr_nonnull(d);
	for (entry = readdir(d); entry != NULL; entry = readdir(d)) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		strbuf_reset(&text);
		ck_ok(file_read(path, 1024 * 1024, &text, &e), &e);
		LLVMFuzzerTestOneInput((const uint8_t *)text.buf, text.len);
		n++;
	}
	closedir(d);
	strbuf_release(&text);
	ck_assert_int_ge(n, 20);
}
END_TEST

TCase *
api_multipart_case(void)
{
	TCase *t = tcase_create("multipart");

	tcase_add_checked_fixture(t, api_setup, api_teardown);
	add_rows(t, a_body_means_the_same_however_it_is_cut, good);
	add_rows(t, a_malformed_body_is_refused_and_leaves_nothing, bad);
	tcase_add_test(t, every_beginning_of_a_body_is_refused);
	tcase_add_test(t, a_zero_byte_is_content_but_not_header);
	tcase_add_test(t, without_an_uploads_directory_there_are_no_files);
	add_rows(t, there_are_only_so_many_parts, counts);
	add_rows(t, names_and_headers_are_only_so_long, lengths);
	tcase_add_test(t, a_boundary_is_only_so_long);
	tcase_add_test(t, what_the_fuzzer_asserts_holds_for_its_corpus);
	return t;
}

TCase *
api_large_case(void)
{
	TCase *t = tcase_create("large bodies");

	tcase_set_timeout(t, 20);
	tcase_add_checked_fixture(t, api_setup, api_teardown);
	add_rows(t, hostile_content_is_read_whole_and_in_linear_time, hostile);
	tcase_add_test(t, a_brand_kit_outgrows_memory_and_nothing_else_may);
	tcase_add_test(t, a_field_of_just_the_limit_stays_in_memory);
	tcase_add_test(t, all_text_together_has_a_limit);
	tcase_add_test(t, a_file_that_cannot_be_written_is_gone);
	return t;
}
