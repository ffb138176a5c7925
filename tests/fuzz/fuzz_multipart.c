/*
 * Fuzzing the reader of form bodies: whatever bytes come, in whatever pieces,
 * it neither crashes nor leaks, and it leaves no file behind.
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined ... fuzz_multipart.c LIBS
 *   ./fuzz_multipart -max_len=4096 tests/fuzz/corpus/multipart
 *
 * An input is the Content-Type header up to the first line feed, then the
 * body.  The unit tests call this with the corpus as well.
 *
 * Promises checked on every input:
 *   the same body in other pieces gives the same form, or the same error;
 *   a file has the size and the digest that the form says;
 *   names are UTF-8 without control characters;
 *   once the form is released the directory is empty.
 */
#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

#include "digest.h"
#include "file.h"
#include "src/api/multipart.h"
#include "xalloc.h"

#define MAX_TYPE_BYTES 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[64];
static int dir_fd = -1;

static void
remove_dir(void)
{
	rmdir(dir);
}

/* Made once, in memory where there is such a place. */
static int
uploads(void)
{
	if (dir_fd >= 0)
		return dir_fd;
	snprintf(dir, sizeof(dir), "%s/churns-fuzz-XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert(mkdtemp(dir) != NULL);
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(dir_fd >= 0);
	atexit(remove_dir);
	return dir_fd;
}

static int
count_files(void)
{
	struct dirent *entry;
	DIR *d = opendir(dir);
	int n = 0;

	assert(d != NULL);
	for (entry = readdir(d); entry != NULL; entry = readdir(d))
		n += entry->d_name[0] != '.';
	closedir(d);
	return n;
}

/* Feed body in pieces of step bytes. */
static enum err_code
feed(const char *type, const char *body, size_t len, size_t step,
    struct form *form, struct err *e)
{
	struct multipart *m = NULL;
	enum err_code rc;
	size_t at, n;

	rc = multipart_new(type, form, &m, e);
	for (at = 0; rc == ERR_OK && at < len; at += n) {
		n = len - at < step ? len - at : step;
		rc = multipart_feed(m, body + at, n, e);
	}
	if (rc == ERR_OK)
		rc = multipart_end(m, e);
	multipart_free(m);
	return rc;
}

static void
check_name(const char *name)
{
	assert(utf8_length(name, strlen(name)) >= 0);
	for (; *name != '\0'; name++)
		assert(!iscntrl((unsigned char)*name));
}

static void
check_file(const char *tmp, int64_t size, const char *sha256)
{
	char hex[DIGEST_HEX_MAX];
	struct stat st;
	int fd = openat(dir_fd, tmp, O_RDONLY | O_CLOEXEC);

	assert(fd >= 0 && fstat(fd, &st) == 0 && st.st_size == size);
	if (sha256 != NULL) {
		assert(digest_fd_hex(fd, hex, NULL) == ERR_OK);
		assert(strcmp(hex, sha256) == 0);
	}
	close(fd);
}

static void
check_form(const struct form *f)
{
	int i;

	for (i = 0; i < f->n_fields; i++) {
		check_name(f->fields[i].name);
		assert((f->fields[i].value == NULL) ==
		    (f->fields[i].spill != NULL));
		if (f->fields[i].spill != NULL)
			check_file(f->fields[i].spill,
			    (int64_t)f->fields[i].len, NULL);
	}
	for (i = 0; i < f->n_files; i++) {
		check_name(f->files[i].name);
		check_file(f->files[i].tmp, f->files[i].size,
		    f->files[i].sha256);
	}
}

static void
check_same(const struct form *a, const struct form *b)
{
	int i;

	assert(a->n_fields == b->n_fields && a->n_files == b->n_files);
	for (i = 0; i < a->n_fields; i++) {
		assert(strcmp(a->fields[i].name, b->fields[i].name) == 0);
		assert(a->fields[i].len == b->fields[i].len);
		if (a->fields[i].value != NULL)
			assert(memcmp(a->fields[i].value, b->fields[i].value,
			    a->fields[i].len) == 0);
	}
	for (i = 0; i < a->n_files; i++) {
		assert(strcmp(a->files[i].name, b->files[i].name) == 0);
		assert(strcmp(a->files[i].filename,
		    b->files[i].filename) == 0);
		assert(strcmp(a->files[i].sha256, b->files[i].sha256) == 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	const char *line = memchr(data, '\n', size);
	size_t type_len = line != NULL ? (size_t)(line - text) : size, step;
	struct form whole, pieces;
	struct err e = ERR_INIT, f = ERR_INIT;
	enum err_code rc;
	char *type;

	if (line == NULL || type_len > MAX_TYPE_BYTES)
		return 0;
	type = xstrndup(text, type_len);
	text = line + 1;
	size -= type_len + 1;
	form_init(&whole, uploads());
	form_init(&pieces, uploads());
	rc = feed(type, text, size, size + 1, &whole, &e);
	if (rc == ERR_OK)
		check_form(&whole);
	/* One, or another step that the input chooses. */
	step = size > 0 ? (size_t)(unsigned char)text[size - 1] % 23 + 1 : 1;
	assert(feed(type, text, size, step, &pieces, &f) == rc);
	if (rc == ERR_OK)
		check_same(&whole, &pieces);
	else
		assert(strcmp(e.msg, f.msg) == 0);
	form_release(&whole);
	form_release(&pieces);
	assert(count_files() == 0);
	free(type);
	return 0;
}
