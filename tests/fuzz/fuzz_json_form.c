/*
 * Fuzzing the reader of JSON bodies: whatever bytes come, it neither crashes nor
 * leaks, and it leaves no file behind.
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined ... fuzz_json_form.c LIBS
 *   ./fuzz_json_form -max_len=4096 tests/fuzz/corpus/json_form
 *
 * An input is one byte, which says from which length on a string is long, then
 * the body.  The unit tests call this with the corpus as well.
 *
 * Promises checked on every input:
 *   a body that can be read is read whichever of its strings are long;
 *   a file has the size and the digest that the form says, and the same ones
 *   whether its text was in memory or not;
 *   an object means the same in either case;
 *   once the form is released the directory is empty.
 */
#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

#include "digest.h"
#include "file.h"
#include "src/submit/internal.h"
#include "xalloc.h"

#define MAX_FIELD (4 * 1024 * 1024)

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

static void
check_file(const struct form_file *f)
{
	char hex[DIGEST_HEX_MAX];
	struct stat st;
	int fd;

	if (f->sha256[0] == '\0')
		return;		/* it was no base64, and that was told */
	fd = openat(dir_fd, f->tmp, O_RDONLY | O_CLOEXEC);
	assert(fd >= 0 && fstat(fd, &st) == 0 && st.st_size == f->size);
	assert(digest_fd_hex(fd, hex, NULL) == ERR_OK);
	assert(strcmp(hex, f->sha256) == 0);
	close(fd);
}

/* The field's text, wherever it is. */
static char *
text_of(const struct form_field *f)
{
	struct strbuf text = STRBUF_INIT(MAX_FIELD);
	int fd;

	if (f->spill == NULL)
		return xstrndup(f->value, f->len);
	fd = openat(dir_fd, f->spill, O_RDONLY | O_CLOEXEC);
	assert(fd >= 0 && file_read_fd(fd, MAX_FIELD, &text, NULL) == ERR_OK);
	assert(text.len == f->len);
	close(fd);
	return strbuf_detach(&text);
}

static void
check_same_meaning(const struct form_field *a, const struct form_field *b)
{
	struct json_object *x = NULL, *y = NULL;
	char *s = text_of(a), *t = text_of(b), *p, *q;

	if (strcmp(s, t) != 0 &&
	    json_parse(s, strlen(s), &x, NULL) == ERR_OK) {
		assert(json_parse(t, strlen(t), &y, NULL) == ERR_OK);
		p = json_to_canonical(x);
		q = json_to_canonical(y);
		assert(strcmp(p, q) == 0);
		free(p);
		free(q);
	}
	json_object_put(x);
	json_object_put(y);
	free(s);
	free(t);
}

static void
check_same(const struct form *a, const struct form *b)
{
	int i;

	assert(a->n_fields == b->n_fields && a->n_files == b->n_files);
	for (i = 0; i < a->n_fields; i++) {
		assert(strcmp(a->fields[i].name, b->fields[i].name) == 0);
		/* A text that is too long is told and replaced. */
		if (form_field_kind(&run_form_shape, a->fields[i].name) ==
		    FIELD_JSON)
			check_same_meaning(&a->fields[i], &b->fields[i]);
	}
	for (i = 0; i < a->n_files; i++) {
		check_file(&a->files[i]);
		check_file(&b->files[i]);
		assert(a->files[i].size == b->files[i].size);
		assert(strcmp(a->files[i].sha256, b->files[i].sha256) == 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct form whole, marked;
	struct faults faults, others;
	struct err e = ERR_INIT;
	enum err_code rc;

	if (size == 0)
		return 0;
	form_init(&whole, uploads());
	form_init(&marked, uploads());
	faults_init(&faults);
	faults_init(&others);
	rc = json_form_fill(&whole, &run_form_shape, (const char *)data + 1,
	    size - 1, false, SIZE_MAX, &faults, &e);
	assert(rc != ERR_TYPE || faults_any(&faults));
	if (json_form_fill(&marked, &run_form_shape, (const char *)data + 1,
	    size - 1, false, (size_t)data[0] + 1, &others, &e) == ERR_OK) {
		if (rc == ERR_OK)
			check_same(&whole, &marked);
	} else {
		/* Names may be too long, everything else is found. */
		assert(rc != ERR_OK || e.code == ERR_INVALID);
	}
	faults_release(&faults);
	faults_release(&others);
	form_release(&whole);
	form_release(&marked);
	assert(count_files() == 0);
	return 0;
}
