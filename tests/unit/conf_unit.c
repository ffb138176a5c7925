/* The fixture of the conf tests. */
#include "conf_unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_FILE (256 * 1024)

char dir[PATH_MAX];
struct problems problems;

static char tmp_root[PATH_MAX];

static char *
path_of(const char *name)
{
	return xasprintf("%s/%s", dir, name);
}

static void
read_into(const char *path, struct strbuf *text)
{
	struct err e = ERR_INIT;

	strbuf_reset(text);
	ck_ok(file_read(path, MAX_FILE, text, &e), &e);
}

static void
write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

void
put(const char *name, const char *text)
{
	char *path = path_of(name);

	write_text(path, text);
	free(path);
}

void
drop(const char *name)
{
	char *path = path_of(name);

	ck_assert_int_eq(unlink(path), 0);
	free(path);
}

void
edit(const char *name, const char *old, const char *new)
{
	struct strbuf text = STRBUF_INIT(MAX_FILE);
	struct strbuf out = STRBUF_INIT(MAX_FILE);
	char *path = path_of(name), *at;

	read_into(path, &text);
	at = strstr(text.buf, old);
	ck_assert_msg(at != NULL, "%s has no '%s'", name, old);
	ck_assert_msg(strstr(at + 1, old) == NULL, "%s has '%s' twice", name,
	    old);
	strbuf_add(&out, text.buf, (size_t)(at - text.buf));
	strbuf_addstr(&out, new);
	strbuf_addstr(&out, at + strlen(old));
	write_text(path, out.buf);
	strbuf_release(&out);
	strbuf_release(&text);
	free(path);
}

void
add_model(const char *entry)
{
	struct strbuf text = STRBUF_INIT(MAX_FILE);
	char *path = path_of("models.yml");

	read_into(path, &text);
	strbuf_addstr(&text, entry);
	write_text(path, text.buf);
	strbuf_release(&text);
	free(path);
}

int
line_of(const char *name, const char *text)
{
	struct strbuf all = STRBUF_INIT(MAX_FILE);
	char *path = path_of(name);
	const char *at, *c;
	int line = 1;

	read_into(path, &all);
	at = strstr(all.buf, text);
	ck_assert_msg(at != NULL, "%s has no '%s'", name, text);
	for (c = all.buf; c < at; c++)
		line += *c == '\n';
	strbuf_release(&all);
	free(path);
	return line;
}

static void
copy_shipped(const char *name)
{
	struct strbuf text = STRBUF_INIT(MAX_FILE);
	char *path = xasprintf("%s/conf/%s", TOP_SRCDIR, name);

	read_into(path, &text);
	put(name, text.buf);
	free(path);
	strbuf_release(&text);
}

void
conf_setup(void)
{
	static const char *const files[] = {
		"churns.yml", "stage_order.yml", "models.yml",
		"platforms.yml", "pools.yml", "languages.yml"
	};
	const char *tmp = getenv("TMPDIR");
	char *name;
	size_t i;

	if (tmp_root[0] == '\0')
		snprintf(tmp_root, sizeof(tmp_root), "%s",
		    tmp != NULL ? tmp : "/tmp");
	/* What the person who runs the tests has set must not matter. */
	clearenv();
	name = xasprintf("%s/churns-conf-XXXXXX", tmp_root);
	ck_assert_ptr_nonnull(mkdtemp(name));
	ck_assert_ptr_nonnull(realpath(name, dir));
	free(name);
	for (i = 0; i < ARRAY_LEN(files); i++)
		copy_shipped(files[i]);
	problems_init(&problems);
}

void
conf_teardown(void)
{
	struct err e = ERR_INIT;

	problems_release(&problems);
	ck_ok(file_remove_tree(AT_FDCWD, dir, &e), &e);
}

enum err_code
load(bool secrets, struct conf **out)
{
	struct conf_options opts = { .dir = dir, .secrets = secrets };

	problems_release(&problems);
	problems_init(&problems);
	return conf_load(&opts, &problems, out);
}

static struct conf *
load_clean(bool secrets)
{
	struct conf *conf = NULL;
	enum err_code rc = load(secrets, &conf);

	ck_assert_msg(rc == ERR_OK, "problems:\n%s", problems.text.buf);
	ck_assert_int_eq(problems.count, 0);
	ck_assert_str_eq(problems.text.buf, "");
	ck_assert_ptr_nonnull(conf);
	return conf;
}

struct conf *
load_good(void)
{
	return load_clean(false);
}

struct conf *
load_with_keys(void)
{
	return load_clean(true);
}

void
load_bad(const char *name, int line, const char *text, int count)
{
	struct conf *conf = NULL;
	char *want;

	if (name == NULL)
		want = xstrdup(text);
	else if (line == 0)
		want = xasprintf("%s/%s: %s", dir, name, text);
	else
		want = xasprintf("%s/%s:%d: %s", dir, name, line, text);
	ck_assert_int_eq(load(false, &conf), ERR_CONFIG);
	ck_assert_ptr_null(conf);
	ck_assert_msg(problems.count == count &&
	    strncmp(problems.text.buf, want, strlen(want)) == 0,
	    "wanted %d:\n%s\ngot %d:\n%s", count, want, problems.count,
	    problems.text.buf);
	free(want);
}
