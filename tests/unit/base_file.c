/* Files: durable, whole, beneath a directory. */
#include "tests/unit/base.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "file.h"
#include "src/base/internal.h"
#include "xalloc.h"

static int
count_entries(void)
{
	struct dirent *entry;
	int n = 0;
	DIR *d;

	d = opendir(base_temp_dir());
	ck_assert_ptr_nonnull(d);
	for (entry = readdir(d); entry != NULL; entry = readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static bool
holds(const char *name, const char *want)
{
	struct strbuf text = STRBUF_INIT(1000);
	bool same;

	same = file_read(base_path(name), 1000, &text, NULL) == ERR_OK &&
	    strcmp(text.buf, want) == 0;
	strbuf_release(&text);
	return same;
}

/* --- directories --------------------------------------------------------- */

static const char *const dir_rows[] = { "a", "a/b/c", "a//b///c/", "./a/.",
	"a/" };

START_TEST(directories_are_made_with_their_parents)
{
	struct err e = ERR_INIT;
	struct stat st;
	char *path;

	path = xstrdup(base_path(dir_rows[_i]));
	umask(0);
	ck_ok(file_make_dirs(path, 0750, &e), &e);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert(S_ISDIR(st.st_mode));
	ck_assert_uint_eq(st.st_mode & 0777, 0750);
	ck_ok(file_make_dirs(path, 0700, &e), &e);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0750);
	free(path);
}
END_TEST

START_TEST(relative_and_odd_directories_are_made)
{
	struct err e = ERR_INIT;

	ck_assert_int_eq(fchdir(base_temp_fd()), 0);
	ck_ok(file_make_dirs("x/y", 0755, &e), &e);
	ck_ok(file_make_dirs("/", 0755, &e), &e);
	ck_ok(file_make_dirs(".", 0755, &e), &e);
	ck_assert_int_eq(access(base_path("x/y"), F_OK), 0);
	ck_fails(file_make_dirs("", 0755, &e), ERR_SYSTEM);
	base_write("f", "");
	ck_fails(file_make_dirs("f", 0755, &e), ERR_SYSTEM);
	ck_fails(file_make_dirs("f/g", 0755, &e), ERR_SYSTEM);
	ck_assert_ptr_nonnull(strstr(e.msg, "Not a directory"));
	ck_assert_int_eq(symlink("x", base_path("link")), 0);
	ck_ok(file_make_dirs("link/z", 0755, &e), &e);
	ck_assert_int_eq(access(base_path("x/z"), F_OK), 0);
}
END_TEST

START_TEST(a_directory_is_opened_or_not)
{
	struct err e = ERR_INIT;
	int fd = -1;

	ck_ok(file_open_dir(AT_FDCWD, base_temp_dir(), &fd, &e), &e);
	ck_assert_int_eq(fsync(fd), 0);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	close(fd);
	fd = -1;
	ck_fails(file_open_dir(base_temp_fd(), "none", &fd, &e), ERR_NOT_FOUND);
	base_write("f", "");
	ck_fails(file_open_dir(base_temp_fd(), "f", &fd, &e), ERR_SYSTEM);
	ck_assert_int_eq(fd, -1);
}
END_TEST

/* --- beneath ------------------------------------------------------------- */

/* in/ is the directory given; out is beside it. */
static int
make_tree(void)
{
	struct err e = ERR_INIT;
	int fd = -1;

	ck_ok(file_make_dirs(base_path("in/sub/deep"), 0755, &e), &e);
	base_write("out", "outside");
	base_write("in/f", "f");
	base_write("in/sub/g", "g");
	ck_assert_int_eq(symlink("f", base_path("in/link")), 0);
	ck_assert_int_eq(symlink("../out", base_path("in/up")), 0);
	ck_assert_int_eq(symlink("/etc/passwd", base_path("in/abs")), 0);
	ck_assert_int_eq(symlink("sub", base_path("in/dirlink")), 0);
	ck_assert_int_eq(symlink("nowhere", base_path("in/dangling")), 0);
	ck_ok(file_open_dir(base_temp_fd(), "in", &fd, &e), &e);
	return fd;
}

static const struct {
	const char *path;
	int flags;
	enum err_code want;
} beneath_rows[] = {
	{ "f", O_RDONLY, ERR_OK },
	{ "./f", O_RDONLY, ERR_OK },
	{ "sub/g", O_RDONLY, ERR_OK },
	{ "sub//./g", O_RDONLY, ERR_OK },
	{ "sub", O_RDONLY | O_DIRECTORY, ERR_OK },
	{ "sub/", O_RDONLY, ERR_OK },
	{ ".", O_RDONLY | O_DIRECTORY, ERR_OK },
	{ "sub/deep", O_PATH, ERR_OK },
	{ "f", O_RDWR, ERR_OK },
	{ "new", O_WRONLY | O_CREAT | O_EXCL, ERR_OK },
	{ "sub/new", O_WRONLY | O_CREAT, ERR_OK },
	{ "sub", O_RDWR | O_TMPFILE, ERR_OK },
	{ "", O_RDONLY, ERR_NOT_FOUND },
	{ "none", O_RDONLY, ERR_NOT_FOUND },
	{ "none/f", O_RDONLY, ERR_NOT_FOUND },
	{ "f/g", O_RDONLY, ERR_NOT_FOUND },
	{ "f/", O_RDONLY, ERR_NOT_FOUND },
	{ "none/new", O_WRONLY | O_CREAT, ERR_NOT_FOUND },
	{ "../out", O_RDONLY, ERR_FORBIDDEN },
	{ "..", O_RDONLY, ERR_FORBIDDEN },
	{ "sub/../f", O_RDONLY, ERR_FORBIDDEN },
	{ "sub/..", O_RDONLY, ERR_FORBIDDEN },
	{ "none/../../out", O_RDONLY, ERR_FORBIDDEN },
	{ "/etc/passwd", O_RDONLY, ERR_FORBIDDEN },
	{ "//f", O_RDONLY, ERR_FORBIDDEN },
	{ "link", O_RDONLY, ERR_FORBIDDEN },
	{ "link", O_RDONLY | O_NOFOLLOW, ERR_FORBIDDEN },
	{ "link", O_PATH, ERR_FORBIDDEN },
	{ "up", O_RDONLY, ERR_FORBIDDEN },
	{ "abs", O_RDONLY, ERR_FORBIDDEN },
	{ "dirlink/g", O_RDONLY, ERR_FORBIDDEN },
	{ "dirlink", O_RDONLY | O_DIRECTORY, ERR_FORBIDDEN },
	{ "dangling", O_RDONLY, ERR_FORBIDDEN },
	{ "dangling", O_WRONLY | O_CREAT, ERR_FORBIDDEN },
	{ "f", O_WRONLY | O_CREAT | O_EXCL, ERR_SYSTEM },
	{ "sub", O_WRONLY, ERR_SYSTEM },
};

static void
check_opened(int fd)
{
	ck_assert_int_ge(fd, 0);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	close(fd);
}

START_TEST(nothing_outside_is_opened)
{
	int in = make_tree(), fd = -1;
	struct err e = ERR_INIT;
	enum err_code rc;

	rc = file_open_beneath(in, beneath_rows[_i].path,
	    beneath_rows[_i].flags, 0640, &fd, &e);
	ck_assert_msg(rc == beneath_rows[_i].want, "%s: %s %s",
	    beneath_rows[_i].path, err_code_name(rc), e.msg);
	if (rc == ERR_OK)
		check_opened(fd);
	else
		ck_assert_int_eq(fd, -1);
	close(in);
	ck_assert(holds("out", "outside"));
}
END_TEST

/* Make openat2(2) fail with errnum for the rest of this process. */
static bool
refuse_openat2(int errnum)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		    offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K,
		    SECCOMP_RET_ERRNO | ((unsigned)errnum & 0xffff)),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { ARRAY_LEN(code), code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
}

/* In a child: open row i with openat2 refused; 0 when it went as wanted. */
static int
open_in_sandbox(int in, int row, int errnum)
{
	enum err_code rc;
	int fd = -1;

	if (!refuse_openat2(errnum))
		return 77;
	if (syscall(SYS_openat2, in, ".", NULL, 0) != -1 || errno != errnum)
		return 2;
	rc = file_open_beneath(in, beneath_rows[row].path,
	    beneath_rows[row].flags, 0640, &fd, NULL);
	if (rc != beneath_rows[row].want || (rc == ERR_OK) != (fd >= 0))
		return 1;
	if (rc == ERR_OK && (fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0)
		return 3;
	return 0;
}

static int
wait_for_child(pid_t pid)
{
	int status = -1;

	ck_assert_int_ne(pid, -1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

START_TEST(nothing_outside_is_opened_in_a_sandbox)
{
	int in = make_tree();
	pid_t pid;
	int rc;

	pid = fork();
	if (pid == 0)
		_exit(open_in_sandbox(in, _i, _i % 2 == 0 ? ENOSYS : EPERM));
	rc = wait_for_child(pid);
	close(in);
	/* 77: this host does not let a process filter itself; the walk has
	 * a test of its own below. */
	ck_assert_msg(rc == 0 || rc == 77, "%s: child said %d",
	    beneath_rows[_i].path, rc);
	ck_assert(holds("out", "outside"));
}
END_TEST

static int
count_descriptors(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 256; fd++)
		if (fcntl(fd, F_GETFD) != -1)
			n++;
	return n;
}

START_TEST(the_walk_refuses_links_and_leaks_nothing)
{
	static const struct {
		const char *path;
		enum err_code want;
	} rows[] = {
		{ "f", ERR_OK }, { "sub/g", ERR_OK }, { "sub/deep", ERR_OK },
		{ "link", ERR_FORBIDDEN }, { "dirlink/g", ERR_FORBIDDEN },
		{ "sub/none/x", ERR_NOT_FOUND }, { "f/g", ERR_NOT_FOUND },
	};
	int in = make_tree(), before, fd;
	struct err e = ERR_INIT;
	size_t i;

	before = count_descriptors();
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		fd = -1;
		ck_fails(file_walk_beneath(in, rows[i].path, O_RDONLY, 0,
		    &fd, &e), rows[i].want);
		if (fd != -1)
			check_opened(fd);
		ck_assert_int_eq(count_descriptors(), before);
	}
	close(in);
}
END_TEST

START_TEST(a_component_too_long_is_not_there)
{
	char path[NAME_MAX + 10];
	struct err e = ERR_INIT;
	int fd = -1;

	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	ck_fails(file_open_beneath(base_temp_fd(), path, O_RDONLY, 0, &fd, &e),
	    ERR_NOT_FOUND);
	ck_fails(file_walk_beneath(base_temp_fd(), path, O_RDONLY, 0, &fd, &e),
	    ERR_NOT_FOUND);
	ck_assert_int_eq(fd, -1);
}
END_TEST

START_TEST(a_created_file_has_its_mode)
{
	struct err e = ERR_INIT;
	struct stat st;
	int fd = -1;

	umask(0);
	ck_ok(file_open_beneath(base_temp_fd(), "n", O_WRONLY | O_CREAT, 0640, &fd,
	    &e), &e);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0640);
	close(fd);
	ck_ok(file_walk_beneath(base_temp_fd(), "m", O_WRONLY | O_CREAT, 0600, &fd,
	    &e), &e);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	close(fd);
}
END_TEST

/* --- reading and writing ------------------------------------------------- */

START_TEST(a_file_is_read_whole_or_not_at_all)
{
	struct strbuf text = STRBUF_INIT(100);
	struct err e = ERR_INIT;

	strbuf_addstr(&text, "+");
	ck_ok(file_read(base_write("f", "12345"), 5, &text, &e), &e);
	ck_assert_str_eq(text.buf, "+12345");
	ck_fails(file_read(base_path("f"), 4, &text, &e), ERR_TOO_LARGE);
	ck_assert_ptr_nonnull(strstr(e.msg, "f: over 4 bytes"));
	ck_assert_str_eq(text.buf, "+12345");
	ck_fails(file_read(base_path("none"), 4, &text, &e), ERR_NOT_FOUND);
	ck_fails(file_read(base_temp_dir(), 4, &text, &e), ERR_SYSTEM);
	ck_ok(file_read(base_write("empty", ""), 0, &text, &e), &e);
	ck_assert_str_eq(text.buf, "+12345");
	strbuf_release(&text);
}
END_TEST

START_TEST(reading_stops_at_the_buffers_own_maximum)
{
	struct strbuf text = STRBUF_INIT(8);
	struct err e = ERR_INIT;

	strbuf_addstr(&text, "keep");
	ck_fails(file_read(base_write("f", "12345"), 100, &text, &e),
	    ERR_TOO_LARGE);
	ck_assert_str_eq(text.buf, "keep");
	strbuf_release(&text);
}
END_TEST

START_TEST(bytes_come_through_a_pipe_in_pieces)
{
	struct strbuf text = STRBUF_INIT(300000);
	struct err e = ERR_INIT;
	char *data;
	pid_t pid;
	int p[2];

	data = xmalloc(200000);
	memset(data, 'z', 200000);
	ck_assert_int_eq(pipe(p), 0);
	pid = fork();
	if (pid == 0) {
		close(p[0]);
		_exit(file_write_all(p[1], data, 200000, NULL));
	}
	close(p[1]);
	ck_ok(file_read_fd(p[0], 200000, &text, &e), &e);
	ck_assert_uint_eq(text.len, 200000);
	ck_assert_mem_eq(text.buf, data, 200000);
	ck_assert_int_eq(wait_for_child(pid), 0);
	close(p[0]);
	free(data);
	strbuf_release(&text);
}
END_TEST

START_TEST(a_full_disk_is_told_apart)
{
	struct err e = ERR_INIT;
	int fd;

	fd = open("/dev/full", O_WRONLY);
	ck_assert_int_ne(fd, -1);
	ck_fails(file_write_all(fd, "x", 1, &e), ERR_FULL);
	close(fd);
	ck_fails(file_write_all(-1, "x", 1, &e), ERR_SYSTEM);
	ck_ok(file_write_all(-1, NULL, 0, &e), &e);
}
END_TEST

START_TEST(a_file_is_replaced_whole)
{
	struct err e = ERR_INIT;
	struct stat st;

	umask(0);
	ck_ok(file_replace(base_temp_fd(), "f", "old", 3, 0640, &e), &e);
	ck_assert(holds("f", "old"));
	ck_ok(file_replace(base_temp_fd(), "f", "newer", 5, 0600, &e), &e);
	ck_assert(holds("f", "newer"));
	ck_assert_int_eq(stat(base_path("f"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_ok(file_replace(base_temp_fd(), "f", NULL, 0, 0600, &e), &e);
	ck_assert(holds("f", ""));
	ck_assert_int_eq(count_entries(), 1);
}
END_TEST

START_TEST(a_link_is_replaced_and_not_followed)
{
	struct err e = ERR_INIT;

	base_write("target", "safe");
	ck_assert_int_eq(symlink("target", base_path("f")), 0);
	ck_ok(file_replace(base_temp_fd(), "f", "new", 3, 0600, &e), &e);
	ck_assert(holds("target", "safe"));
	ck_assert(holds("f", "new"));
}
END_TEST

static const char *const not_names[] = { "", ".", "..", "a/b", "/a", "a/" };

START_TEST(only_a_name_can_be_replaced)
{
	struct err e = ERR_INIT;

	ck_fails(file_replace(base_temp_fd(), not_names[_i], "x", 1, 0600, &e),
	    ERR_INVALID);
	ck_assert_int_eq(count_entries(), 0);
}
END_TEST

START_TEST(a_failed_replacement_leaves_the_old_file_and_no_other)
{
	struct rlimit limit, small;
	struct err e = ERR_INIT;
	char data[4096];

	memset(data, 'x', sizeof(data));
	ck_ok(file_replace(base_temp_fd(), "f", "old", 3, 0600, &e), &e);
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	small = limit;
	small.rlim_cur = 1000;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	ck_fails(file_replace(base_temp_fd(), "f", data, sizeof(data), 0600, &e),
	    ERR_SYSTEM);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert(holds("f", "old"));
	ck_assert_int_eq(count_entries(), 1);
	ck_assert_ptr_nonnull(strstr(e.msg, "f: cannot write"));
}
END_TEST

START_TEST(a_failed_rename_leaves_no_temporary_file)
{
	struct err e = ERR_INIT;
	int fd;

	ck_assert_int_eq(mkdir(base_path("d"), 0755), 0);
	ck_fails(file_replace(base_temp_fd(), "d", "x", 1, 0600, &e), ERR_SYSTEM);
	ck_assert_int_eq(count_entries(), 1);
	fd = open(base_write("from", "x"), O_WRONLY);
	ck_fails(file_commit(fd, base_temp_fd(), "from", "d", &e), ERR_SYSTEM);
	close(fd);
	ck_assert_int_eq(access(base_path("from"), F_OK), -1);
	ck_fails(file_replace(-1, "f", "x", 1, 0600, &e), ERR_SYSTEM);
}
END_TEST

START_TEST(a_commit_gives_the_file_its_name)
{
	struct err e = ERR_INIT;
	int fd;

	fd = open(base_write(".tmp-1", "x"), O_WRONLY);
	ck_ok(file_commit(fd, base_temp_fd(), ".tmp-1", "f", &e), &e);
	close(fd);
	ck_assert(holds("f", "x"));
	ck_assert_int_eq(count_entries(), 1);
	/* What cannot be synced is not given a name. */
	base_write(".tmp-2", "x");
	ck_fails(file_commit(-1, base_temp_fd(), ".tmp-2", "g", &e), ERR_SYSTEM);
	ck_assert_int_eq(count_entries(), 1);
}
END_TEST

START_TEST(temporary_files_of_the_killed_are_removed_and_no_others)
{
	base_write(".tmp-0123", "half");
	base_write(".tmp-", "half");
	base_write(".tm", "mine");
	base_write("x.tmp-1", "mine");
	file_remove_temporaries(base_temp_fd());
	ck_assert_int_eq(count_entries(), 2);
	ck_assert(holds(".tm", "mine"));
	ck_assert(holds("x.tmp-1", "mine"));
	file_remove_temporaries(-1);	/* nothing to look at is nothing */
}
END_TEST

/* --- removing ------------------------------------------------------------ */

START_TEST(a_tree_is_removed_and_links_are_not_followed)
{
	struct err e = ERR_INIT;
	char name[32];
	int i;

	close(make_tree());
	for (i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "in/sub/%d", i);
		base_write(name, "");
	}
	ck_assert_int_eq(symlink("../..", base_path("in/sub/loop")), 0);
	ck_assert_int_eq(mkfifo(base_path("in/fifo"), 0600), 0);
	ck_ok(file_remove_tree(base_temp_fd(), "in", &e), &e);
	ck_assert_int_eq(count_entries(), 1);
	ck_assert(holds("out", "outside"));
	ck_ok(file_remove_tree(base_temp_fd(), "in", &e), &e);
}
END_TEST

START_TEST(a_link_to_a_tree_is_only_a_link)
{
	struct err e = ERR_INIT;

	close(make_tree());
	ck_assert_int_eq(symlink("in", base_path("l")), 0);
	ck_ok(file_remove_tree(base_temp_fd(), "l", &e), &e);
	ck_assert(holds("in/f", "f"));
	ck_ok(file_remove_tree(base_temp_fd(), "out", &e), &e);
	ck_assert_int_eq(count_entries(), 1);
}
END_TEST

START_TEST(a_tree_too_deep_is_an_error_and_not_a_crash)
{
	struct strbuf path = STRBUF_INIT(4000);
	struct err e = ERR_INIT;
	int i;

	for (i = 0; i < 100; i++)
		strbuf_addstr(&path, "d/");
	ck_assert_int_eq(fchdir(base_temp_fd()), 0);
	ck_ok(file_make_dirs(path.buf, 0700, &e), &e);
	ck_fails(file_remove_tree(base_temp_fd(), "d", &e), ERR_SYSTEM);
	/* From the middle on it is not too deep, and then the rest is not. */
	path.buf[100] = '\0';
	ck_ok(file_remove_tree(base_temp_fd(), path.buf, &e), &e);
	ck_ok(file_remove_tree(base_temp_fd(), "d", &e), &e);
	ck_assert_int_eq(count_entries(), 0);
	strbuf_release(&path);
}
END_TEST

START_TEST(what_cannot_be_removed_is_reported)
{
	char name[NAME_MAX + 10];
	struct err e = ERR_INIT;

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	ck_fails(file_remove_tree(base_temp_fd(), name, &e), ERR_SYSTEM);
	ck_assert_ptr_nonnull(strstr(e.msg, "File name too long"));
	ck_fails(file_remove_tree(-1, "x", &e), ERR_SYSTEM);
}
END_TEST

/* --- suite --------------------------------------------------------------- */

static TCase *
beneath_case(void)
{
	TCase *tc = tcase_create("beneath");

	tcase_add_checked_fixture(tc, base_temp_setup, base_temp_teardown);
	add_rows(tc, directories_are_made_with_their_parents, dir_rows);
	tcase_add_test(tc, relative_and_odd_directories_are_made);
	tcase_add_test(tc, a_directory_is_opened_or_not);
	add_rows(tc, nothing_outside_is_opened, beneath_rows);
	add_rows(tc, nothing_outside_is_opened_in_a_sandbox, beneath_rows);
	tcase_add_test(tc, the_walk_refuses_links_and_leaks_nothing);
	tcase_add_test(tc, a_component_too_long_is_not_there);
	tcase_add_test(tc, a_created_file_has_its_mode);
	return tc;
}

static TCase *
file_case(void)
{
	TCase *tc = tcase_create("file");

	tcase_add_checked_fixture(tc, base_temp_setup, base_temp_teardown);
	tcase_add_test(tc, a_file_is_read_whole_or_not_at_all);
	tcase_add_test(tc, reading_stops_at_the_buffers_own_maximum);
	tcase_add_test(tc, bytes_come_through_a_pipe_in_pieces);
	tcase_add_test(tc, a_full_disk_is_told_apart);
	tcase_add_test(tc, a_file_is_replaced_whole);
	tcase_add_test(tc, a_link_is_replaced_and_not_followed);
	tcase_add_test(tc,
	    temporary_files_of_the_killed_are_removed_and_no_others);
	add_rows(tc, only_a_name_can_be_replaced, not_names);
	tcase_add_test(tc,
	    a_failed_replacement_leaves_the_old_file_and_no_other);
	tcase_add_test(tc, a_failed_rename_leaves_no_temporary_file);
	tcase_add_test(tc, a_commit_gives_the_file_its_name);
	tcase_add_test(tc, a_tree_is_removed_and_links_are_not_followed);
	tcase_add_test(tc, a_link_to_a_tree_is_only_a_link);
	tcase_add_test(tc, a_tree_too_deep_is_an_error_and_not_a_crash);
	tcase_add_test(tc, what_cannot_be_removed_is_reported);
	return tc;
}

Suite *
base_file_suite(void)
{
	Suite *s = suite_create("base: file");

	suite_add_tcase(s, beneath_case());
	suite_add_tcase(s, file_case());
	return s;
}
