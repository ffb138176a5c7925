/* What clients send: names made safe, pictures known by their bytes. */
#include "tests/unit/base.h"

#include <fcntl.h>
#include <unistd.h>

#include "file.h"
#include "xalloc.h"

/* --- names --------------------------------------------------------------- */

static const struct {
	const char *sent, *want;
} name_rows[] = {
	{ "photo.png", "photo.png" }, { "My Photo (1).PNG",
	    "My_Photo__1_.PNG" },
	{ "/etc/passwd", "passwd" }, { "..\\..\\boot.ini", "boot.ini" },
	{ "C:\\a/b\\c.jpg", "c.jpg" }, { "../../x", "x" },
	{ "..", "uploaded_image" }, { ".", "uploaded_image" },
	{ "", "uploaded_image" }, { NULL, "uploaded_image" },
	{ "a/", "uploaded_image" }, { "....", "uploaded_image" },
	{ "???", "uploaded_image" }, { "___", "uploaded_image" },
	{ ".htaccess", "htaccess" }, { "...x.png", "x.png" },
	{ "a..b", "a..b" }, { "a\nb\x01.png", "a_b_.png" },
	{ "caf\xc3\xa9.png", "caf__.png" }, { "\xe5\x9b\xbe.png",
	    "___.png" },
	{ "a;rm -rf.png", "a_rm_-rf.png" }, { "-rf", "-rf" },
	{ "a%2fb.png", "a_2fb.png" }, { "x.", "x." },
};

START_TEST(a_sent_name_becomes_a_safe_one)
{
	char out[FILE_NAME_MAX];

	file_safe_name(name_rows[_i].sent, out);
	ck_assert_str_eq(out, name_rows[_i].want);
}
END_TEST

static const struct {
	size_t stem;
	const char *ext;
	const char *want_end;
	size_t want_len;
} long_rows[] = {
	{ 95, ".png", "xxx.png", 99 }, { 96, ".png", "xxx.png", 99 },
	{ 500, ".jpeg", "xxx.jpeg", 99 }, { 500, "", "xxxx", 99 },
	{ 99, "", "xxxx", 99 }, { 98, "", "xxxx", 98 },
	{ 200, ".averyveryverylongextension", "xxxx", 99 },
	{ 3, ".png", "xxx.png", 7 },
};

START_TEST(a_long_name_is_cut_before_its_extension)
{
	char sent[600], out[FILE_NAME_MAX];
	const char *want = long_rows[_i].want_end;

	memset(sent, 'x', long_rows[_i].stem);
	snprintf(sent + long_rows[_i].stem, 50, "%s", long_rows[_i].ext);
	file_safe_name(sent, out);
	ck_assert_uint_eq(strlen(out), long_rows[_i].want_len);
	ck_assert_str_eq(out + strlen(out) - strlen(want), want);
}
END_TEST

START_TEST(every_byte_gives_a_safe_name)
{
	char sent[8], out[FILE_NAME_MAX];
	int c;

	for (c = 1; c < 256; c++) {
		snprintf(sent, sizeof(sent), "a%cb", c);
		file_safe_name(sent, out);
		ck_assert_uint_eq(strspn(out, "abcdefghijklmnopqrstuvwxyz"
		    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"), strlen(out));
	}
}
END_TEST

/* --- pictures ------------------------------------------------------------ */

#define BYTES(s) s, sizeof(s) - 1

static const struct {
	const char *what;
	const char *data;
	size_t len;
	enum image_type type;
	int w, h;		/* 0: cannot be read */
} image_rows[] = {
	{ "png", BYTES("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x04\0\0\0\x02\x01"
	    "\x08\x02\0\0\0"), IMAGE_PNG, 1024, 513 },
	{ "png of no width", BYTES("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\0"
	    "\0\0\x02\x01"), IMAGE_PNG, 0, 0 },
	{ "png too wide to be true", BYTES("\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
	    "\xff\0\0\0\0\0\x02\x01"), IMAGE_PNG, 0, 0 },
	{ "png cut", BYTES("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x04\0\0\0\x02"),
	    IMAGE_PNG, 0, 0 },
	{ "png without header", BYTES("\x89PNG\r\n\x1a\n\0\0\0\rIDAT\0\0\x04"
	    "\0\0\0\x02\x01"), IMAGE_PNG, 0, 0 },
	{ "gif", BYTES("GIF89a\x40\x01\xf0\0\0\0"), IMAGE_GIF, 320, 240 },
	{ "old gif", BYTES("GIF87a\x01\0\x02\0"), IMAGE_GIF, 1, 2 },
	{ "gif cut", BYTES("GIF89a\x40\x01\xf0"), IMAGE_GIF, 0, 0 },
	{ "webp lossy", BYTES("RIFF\x24\0\0\0WEBPVP8 \x18\0\0\0\x30\x01\0"
	    "\x9d\x01\x2a\x2c\x01\xc8\x40"), IMAGE_WEBP, 300, 200 },
	{ "webp lossy without a key frame", BYTES("RIFF\x24\0\0\0WEBPVP8 "
	    "\x18\0\0\0\x31\x01\0\x9d\x01\x2a\x2c\x01\xc8\0"),
	    IMAGE_WEBP, 0, 0 },
	{ "webp lossless", BYTES("RIFF\x24\0\0\0WEBPVP8L\x18\0\0\0\x2f"
	    "\x2b\xc1\x31\x10"), IMAGE_WEBP, 300, 200 },
	{ "webp lossless, wrong mark", BYTES("RIFF\x24\0\0\0WEBPVP8L\x18\0"
	    "\0\0\x2e\x2b\xc1\x31\x10"), IMAGE_WEBP, 0, 0 },
	{ "webp extended", BYTES("RIFF\x24\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0"
	    "\xff\x03\0\x00\x02\0"), IMAGE_WEBP, 1024, 513 },
	{ "webp cut", BYTES("RIFF\x24\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff"),
	    IMAGE_WEBP, 0, 0 },
	{ "webp of another kind", BYTES("RIFF\x24\0\0\0WEBPXXXX\x0a\0\0\0"
	    "\0\0\0\0\0\0\0\0\0\0\0\0"), IMAGE_WEBP, 0, 0 },
	{ "jpeg", BYTES("\xff\xd8\xff\xe0\0\x04JF\xff\xc0\0\x11\x08\x02\x58"
	    "\x03\x20\x03"), IMAGE_JPEG, 800, 600 },
	{ "progressive jpeg, filled and with tables", BYTES("\xff\xd8\xff"
	    "\xe1\0\x06" "Exif\xff\xff\xff\xdb\0\x03\x01\xff\xc4\0\x02\xff"
	    "\x01\xff\xc2\0\x11\x08\0\x10\0\x20"), IMAGE_JPEG, 32, 16 },
	{ "jpeg without a frame", BYTES("\xff\xd8\xff\xe0\0\x04JF\xff\xda\0"
	    "\x04xx\xff\xc0\0\x11\x08\0\x10\0\x20"), IMAGE_JPEG, 0, 0 },
	{ "jpeg that ends", BYTES("\xff\xd8\xff\xe0\0\x04JF\xff\xd9\xff\xc0"
	    "\0\x11\x08\0\x10\0\x20"), IMAGE_JPEG, 0, 0 },
	{ "jpeg with a segment too short", BYTES("\xff\xd8\xff\xe0\0\x01JF"
	    "\xff\xc0\0\x11\x08\0\x10\0\x20"), IMAGE_JPEG, 0, 0 },
	{ "jpeg with a segment that leaves the file", BYTES("\xff\xd8\xff"
	    "\xe0\xff\xffJF"), IMAGE_JPEG, 0, 0 },
	{ "jpeg with its frame cut", BYTES("\xff\xd8\xff\xc0\0\x11\x08\0"
	    "\x10\0"), IMAGE_JPEG, 0, 0 },
	{ "jpeg with junk between", BYTES("\xff\xd8\xff\xe0\0\x04JF\x12\xff"
	    "\xc0\0\x11\x08\0\x10\0\x20"), IMAGE_JPEG, 0, 0 },
	{ "jpeg of no height", BYTES("\xff\xd8\xff\xc0\0\x11\x08\0\0\0\x20"),
	    IMAGE_JPEG, 0, 0 },
	{ "jpeg of three bytes", BYTES("\xff\xd8\xff"), IMAGE_JPEG, 0, 0 },
	{ "nothing", BYTES(""), IMAGE_NONE, 0, 0 },
	{ "text", BYTES("hello, this is not a picture at all"), IMAGE_NONE,
	    0, 0 },
	{ "svg", BYTES("<svg xmlns='http://www.w3.org/2000/svg'/>"),
	    IMAGE_NONE, 0, 0 },
	{ "wave file", BYTES("RIFF\x24\0\0\0WAVEfmt "), IMAGE_NONE, 0, 0 },
	{ "half a png mark", BYTES("\x89PNG\r\n"), IMAGE_NONE, 0, 0 },
	{ "bmp", BYTES("BM\x36\0\0\0\0\0\0\0\0\0\0\0"), IMAGE_NONE, 0, 0 },
};

static void
check_size(bool ok, int w, int h, int row)
{
	ck_assert_msg(ok == (image_rows[row].w > 0), "%s: %d x %d",
	    image_rows[row].what, w, h);
	ck_assert_int_eq(w, ok ? image_rows[row].w : -7);
	ck_assert_int_eq(h, ok ? image_rows[row].h : -7);
}

START_TEST(a_picture_is_known_by_its_bytes)
{
	const char *data = image_rows[_i].data;
	size_t len = image_rows[_i].len;
	struct err e = ERR_INIT;
	int w = -7, h = -7, fd;
	char *exact;
	bool ok;

	ck_assert_msg(image_sniff(data, len) == image_rows[_i].type, "%s",
	    image_rows[_i].what);
	/* A copy of just its length: reading on would be found. */
	exact = xmalloc(len);
	memcpy(exact, data, len);
	ok = image_dimensions(exact, len, &w, &h);
	check_size(ok, w, h, _i);
	free(exact);
	ck_ok(file_replace(base_temp_fd(), "pic", data, len, 0600, &e), &e);
	fd = open(base_path("pic"), O_RDONLY);
	ck_assert_int_eq(image_sniff_fd(fd), image_rows[_i].type);
	w = h = -7;
	ok = image_dimensions_fd(fd, &w, &h);
	check_size(ok, w, h, _i);
	ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 0);
	close(fd);
}
END_TEST

START_TEST(every_cut_of_a_picture_is_safe)
{
	int w, h;
	size_t n;
	char *cut;

	for (n = 0; n < image_rows[_i].len; n++) {
		cut = xmalloc(n);
		memcpy(cut, image_rows[_i].data, n);
		image_sniff(cut, n);
		image_dimensions(cut, n, &w, &h);
		free(cut);
	}
}
END_TEST

START_TEST(a_frame_far_into_a_jpeg_is_found)
{
	struct strbuf jpeg = STRBUF_INIT(1000000);
	char segment[65537] = "\xff\xe2\xff\xff";
	struct err e = ERR_INIT;
	int w = 0, h = 0, fd, i;

	strbuf_add(&jpeg, "\xff\xd8", 2);
	for (i = 0; i < 8; i++)
		strbuf_add(&jpeg, segment, sizeof(segment));
	strbuf_add(&jpeg, "\xff\xc0\0\x11\x08\x01\0\x02\0\x03", 10);
	ck_assert(image_dimensions(jpeg.buf, jpeg.len, &w, &h));
	ck_ok(file_replace(base_temp_fd(), "j", jpeg.buf, jpeg.len, 0600, &e), &e);
	fd = open(base_path("j"), O_RDONLY);
	w = h = 0;
	ck_assert(image_dimensions_fd(fd, &w, &h));
	ck_assert_int_eq(w, 512);
	ck_assert_int_eq(h, 256);
	close(fd);
	strbuf_release(&jpeg);
}
END_TEST

START_TEST(types_have_a_mime_type_and_an_extension)
{
	int w, h;

	ck_assert_str_eq(image_mime(IMAGE_PNG), "image/png");
	ck_assert_str_eq(image_mime(IMAGE_JPEG), "image/jpeg");
	ck_assert_str_eq(image_mime(IMAGE_WEBP), "image/webp");
	ck_assert_str_eq(image_mime(IMAGE_GIF), "image/gif");
	ck_assert_ptr_null(image_mime(IMAGE_NONE));
	ck_assert_str_eq(image_extension(IMAGE_PNG), "png");
	ck_assert_str_eq(image_extension(IMAGE_JPEG), "jpg");
	ck_assert_str_eq(image_extension(IMAGE_WEBP), "webp");
	ck_assert_str_eq(image_extension(IMAGE_GIF), "gif");
	ck_assert_ptr_null(image_extension(IMAGE_NONE));
	ck_assert_ptr_null(image_mime((enum image_type)99));
	ck_assert_int_eq(image_sniff_fd(-1), IMAGE_NONE);
	ck_assert(!image_dimensions_fd(-1, &w, &h));
	ck_assert(!image_dimensions(NULL, 0, &w, &h));
}
END_TEST

/* --- suite --------------------------------------------------------------- */

static TCase *
image_case(void)
{
	TCase *tc = tcase_create("names and pictures");

	tcase_add_checked_fixture(tc, base_temp_setup, base_temp_teardown);
	add_rows(tc, a_sent_name_becomes_a_safe_one, name_rows);
	add_rows(tc, a_long_name_is_cut_before_its_extension, long_rows);
	tcase_add_test(tc, every_byte_gives_a_safe_name);
	add_rows(tc, a_picture_is_known_by_its_bytes, image_rows);
	add_rows(tc, every_cut_of_a_picture_is_safe, image_rows);
	tcase_add_test(tc, a_frame_far_into_a_jpeg_is_found);
	tcase_add_test(tc, types_have_a_mime_type_and_an_extension);
	return tc;
}

Suite *
base_image_suite(void)
{
	Suite *s = suite_create("base: names and pictures");

	suite_add_tcase(s, image_case());
	return s;
}
