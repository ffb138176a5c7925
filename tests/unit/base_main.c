/*
 * The ground floor: everything that knows nothing of the product.  Here are
 * the directory that each test of it has to itself, and the suites.
 */
#include "tests/unit/base.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "file.h"
#include "strbuf.h"

#define REPEAT_MAX (4 * 1024 * 1024)

static char temp_dir[64];
static int dir_fd = -1;

const char *
base_temp_dir(void)
{
	return temp_dir;
}

int
base_temp_fd(void)
{
	return dir_fd;
}

const char *
base_path(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", temp_dir, name);
	return path;
}

const char *
base_write(const char *name, const char *text)
{
	const char *path = base_path(name);
	FILE *f;

	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(text, 1, strlen(text), f), strlen(text));
	ck_assert_int_eq(fclose(f), 0);
	return path;
}

void
base_temp_setup(void)
{
	snprintf(temp_dir, sizeof(temp_dir), "/tmp/churns-base-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(temp_dir));
	dir_fd = open(temp_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ne(dir_fd, -1);
}

void
base_temp_teardown(void)
{
	struct err e = ERR_INIT;

	close(dir_fd);
	ck_ok(file_remove_tree(AT_FDCWD, temp_dir, &e), &e);
	ck_assert_int_eq(access(temp_dir, F_OK), -1);
}

char *
base_repeat(size_t n, const char *open_text, const char *inner,
    const char *close_text)
{
	struct strbuf sb = STRBUF_INIT(REPEAT_MAX);
	size_t i;

	for (i = 0; i < n; i++)
		strbuf_addstr(&sb, open_text);
	strbuf_addstr(&sb, inner);
	for (i = 0; i < n; i++)
		strbuf_addstr(&sb, close_text);
	ck_assert(!strbuf_overflowed(&sb));
	return strbuf_detach(&sb);
}

int
main(void)
{
	SRunner *sr;
	int failed;

	sr = srunner_create(base_text_suite());
	srunner_add_suite(sr, base_log_suite());
	srunner_add_suite(sr, base_template_suite());
	srunner_add_suite(sr, base_json_suite());
	srunner_add_suite(sr, base_data_suite());
	srunner_add_suite(sr, base_file_suite());
	srunner_add_suite(sr, base_image_suite());
	srunner_add_suite(sr, base_net_suite());
	srunner_add_suite(sr, base_copy_suite());
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
