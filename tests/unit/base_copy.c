/* Copies of files and directories. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/base.h"

#define BIG_BYTES (3 * 1024 * 1024 + 17)

static void
make_dir(const char *name)
{
	ck_assert_int_eq(mkdir(base_path(name), 0750), 0);
}

static bool
is_there(const char *name)
{
	struct stat st;

	return lstat(base_path(name), &st) == 0;
}

START_TEST(a_copy_has_content_mode_and_time_of_its_file)
{
	struct timespec times[2] = { { 1000, 0 }, { 1234567, 89 } };
	struct err e = ERR_INIT;
	int64_t bytes = 0;
	struct stat st;

	base_write("a", "what it says");
	ck_assert_int_eq(chmod(base_path("a"), 0640), 0);
	ck_assert_int_eq(utimensat(AT_FDCWD, base_path("a"), times, 0), 0);
	ck_ok(file_copy(base_temp_fd(), "a", base_temp_fd(), "b", &bytes, &e),
	    &e);
	ck_assert_int_eq(bytes, 12);
	ck_assert_int_eq(stat(base_path("b"), &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0640);
	ck_assert_int_eq(st.st_mtim.tv_sec, 1234567);
	ck_assert_int_eq(st.st_mtim.tv_nsec, 89);
	ck_assert_int_eq(st.st_size, 12);
}
END_TEST

START_TEST(a_large_file_is_copied_to_its_last_byte)
{
	struct err e = ERR_INIT;
	char chunk[4096], *data;
	int64_t bytes = 0;
	int fd, i;

	fd = open(base_path("a"), O_WRONLY | O_CREAT, 0600);
	for (i = 0; i < BIG_BYTES; i += (int)sizeof(chunk)) {
		memset(chunk, i / 4096, sizeof(chunk));
		ck_ok(file_write_all(fd, chunk, BIG_BYTES - i <
		    (int)sizeof(chunk) ? (size_t)(BIG_BYTES - i) :
		    sizeof(chunk), &e), &e);
	}
	close(fd);
	ck_ok(file_copy(base_temp_fd(), "a", base_temp_fd(), "b", &bytes, &e),
	    &e);
	ck_assert_int_eq(bytes, BIG_BYTES);
	data = malloc(BIG_BYTES + 1);
	fd = open(base_path("b"), O_RDONLY);
	for (i = 0; i < BIG_BYTES; ) {
		ssize_t n = read(fd, data, BIG_BYTES + 1);

		ck_assert_int_gt(n, 0);
		ck_assert_int_eq(data[0], (char)(i / 4096));
		i += (int)n;
	}
	ck_assert_int_eq(i, BIG_BYTES);
	close(fd);
	free(data);
}
END_TEST

START_TEST(a_copy_replaces_nothing_and_follows_no_link)
{
	struct err e = ERR_INIT;
	int64_t bytes;

	base_write("a", "new");
	base_write("b", "old");
	ck_fails(file_copy(base_temp_fd(), "a", base_temp_fd(), "b", &bytes,
	    &e), ERR_SYSTEM);
	ck_assert(is_there("b"));
	ck_assert_int_eq(symlink("a", base_path("l")), 0);
	ck_fails(file_copy(base_temp_fd(), "l", base_temp_fd(), "c", &bytes,
	    &e), ERR_SYSTEM);
	ck_assert(!is_there("c"));
	ck_fails(file_copy(base_temp_fd(), "nothing", base_temp_fd(), "c",
	    &bytes, &e), ERR_NOT_FOUND);
	make_dir("d");
	ck_fails(file_copy(base_temp_fd(), "d", base_temp_fd(), "c", &bytes,
	    &e), ERR_INVALID);
	ck_assert(!is_there("c"));
}
END_TEST

START_TEST(a_tree_is_copied_without_links_and_half_written_files)
{
	struct file_copied n = { 0, 0 };
	struct err e = ERR_INIT;
	struct stat st;

	make_dir("from");
	make_dir("from/calls");
	base_write("from/a", "12345");
	base_write("from/calls/x.0", "123");
	base_write("from/.tmp-1", "half");
	ck_assert_int_eq(symlink("a", base_path("from/l")), 0);
	ck_assert_int_eq(mkfifo(base_path("from/p"), 0600), 0);
	ck_ok(file_copy_tree(base_temp_fd(), "from", base_temp_fd(), "to", &n,
	    &e), &e);
	ck_assert_int_eq(n.files, 2);
	ck_assert_int_eq(n.bytes, 8);
	ck_assert(is_there("to/a") && is_there("to/calls/x.0"));
	ck_assert(!is_there("to/.tmp-1") && !is_there("to/l") &&
	    !is_there("to/p"));
	ck_assert_int_eq(stat(base_path("to/calls"), &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0750);
}
END_TEST

START_TEST(a_tree_goes_into_a_directory_that_is_there)
{
	struct file_copied n = { 0, 0 };
	struct err e = ERR_INIT;
	struct stat st;

	make_dir("from");
	make_dir("from/d");
	make_dir("to");
	ck_assert_int_eq(chmod(base_path("to"), 02770), 0);
	base_write("from/a", "1");
	base_write("to/b", "2");
	ck_ok(file_copy_tree(base_temp_fd(), "from", base_temp_fd(), "to", &n,
	    &e), &e);
	ck_assert(is_there("to/a") && is_there("to/b"));
	/* The place keeps its own mode, and hands its group on. */
	ck_assert_int_eq(stat(base_path("to"), &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 02770);
	ck_assert_int_eq(stat(base_path("to/d"), &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 02750);
	ck_fails(file_copy_tree(base_temp_fd(), "nothing", base_temp_fd(),
	    "to", &n, &e), ERR_NOT_FOUND);
	ck_assert_int_eq(symlink("from", base_path("l")), 0);
	ck_fails(file_copy_tree(base_temp_fd(), "l", base_temp_fd(), "to2",
	    &n, &e), ERR_SYSTEM);
	ck_assert(!is_there("to2"));
	ck_ok(file_sync_all(base_temp_fd(), &e), &e);
	ck_fails(file_sync_all(-1, &e), ERR_SYSTEM);
}
END_TEST

START_TEST(a_tree_that_is_too_deep_is_refused)
{
	struct file_copied n = { 0, 0 };
	struct err e = ERR_INIT;
	char path[64] = "d";
	int i;

	make_dir(path);
	for (i = 0; i < 12; i++) {
		snprintf(path + strlen(path), sizeof(path) - strlen(path),
		    "/d");
		make_dir(path);
	}
	ck_fails(file_copy_tree(base_temp_fd(), "d", base_temp_fd(), "to", &n,
	    &e), ERR_INVALID);
}
END_TEST

Suite *
base_copy_suite(void)
{
	Suite *s = suite_create("base: copies");
	TCase *tc = tcase_create("copies");

	tcase_add_checked_fixture(tc, base_temp_setup, base_temp_teardown);
	tcase_add_test(tc, a_copy_has_content_mode_and_time_of_its_file);
	tcase_add_test(tc, a_large_file_is_copied_to_its_last_byte);
	tcase_add_test(tc, a_copy_replaces_nothing_and_follows_no_link);
	tcase_add_test(tc,
	    a_tree_is_copied_without_links_and_half_written_files);
	tcase_add_test(tc, a_tree_goes_into_a_directory_that_is_there);
	tcase_add_test(tc, a_tree_that_is_too_deep_is_refused);
	suite_add_tcase(s, tc);
	return s;
}
