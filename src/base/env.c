/*
 * The environment, with gaps filled from an env file.
 *
 * The rule that must hold: a process that was not told it may hold secrets
 * never keeps one.  The file is read in one piece into memory that is wiped,
 * a secret line is checked for its form and passed over, and env_get() does
 * not hand out a secret even if the real environment has it.  Messages name
 * lines, never what they hold.
 */
#include "env.h"

#include <errno.h>
#include <fcntl.h>
#include <strings.h>
#include <unistd.h>

#include "xalloc.h"

#define BLANKS " \t\r"

struct var {
	char *name;
	char *value;
};

struct env {
	struct var *vars;	/* of the file; the last of a name counts */
	size_t count;
	size_t alloc;
	bool secrets;
};

/* Where the parser is. */
struct source {
	const char *path;
	int line;
};

static enum err_code
fail_at(const struct source *src, const char *what, struct err *e)
{
	return err_set(e, ERR_CONFIG, "%s:%d: %s", src->path, src->line, what);
}

bool
env_is_secret_name(const char *name)
{
	static const char *const ends[] = {
		"_KEY", "_TOKEN", "_SECRET", "_PASSWORD",
	};
	size_t i, len, n;

	len = strlen(name);
	for (i = 0; i < ARRAY_LEN(ends); i++) {
		n = strlen(ends[i]);
		if (len >= n && strcasecmp(name + len - n, ends[i]) == 0)
			return true;
	}
	return false;
}

static void
wipe_free(char *s)
{
	if (s == NULL)
		return;
	explicit_bzero(s, strlen(s));
	free(s);
}

static void
add_var(struct env *env, const char *name, size_t len, char *value)
{
	if (env->count == env->alloc) {
		env->alloc = env->alloc > 0 ? env->alloc * 2 : 16;
		env->vars = xrealloc_array(env->vars, env->alloc,
		    sizeof(*env->vars));
	}
	env->vars[env->count].name = xstrndup(name, len);
	env->vars[env->count].value = value;
	env->count++;
}

/* Nothing but blanks and a comment? */
static bool
is_rest_empty(const char *s)
{
	s += strspn(s, BLANKS);
	return *s == '\0' || *s == '#';
}

/*
 * 'as it stands' or "with \" \\ \$ \` and no other escapes", as a shell
 * reads them.  Works in place: *value becomes the text between the quotes.
 */
static enum err_code
read_quoted(const struct source *src, char **value, struct err *e)
{
	char quote = **value;
	char *from = *value + 1, *to = *value + 1;

	while (*from != quote) {
		if (*from == '\0')
			return fail_at(src, "the quote is not closed", e);
		if (quote == '"' && *from == '\\' && from[1] != '\0' &&
		    strchr("\"\\$`", from[1]) != NULL)
			from++;
		*to++ = *from++;
	}
	if (!is_rest_empty(from + 1))
		return fail_at(src, "text after the closing quote", e);
	*to = '\0';
	(*value)++;
	return ERR_OK;
}

/* Up to a '#' behind a blank, without the blanks at the end. */
static void
cut_unquoted(char *value)
{
	char *p;

	for (p = value; *p != '\0'; p++)
		if (*p == '#' && (p == value || strchr(BLANKS, p[-1]) != NULL))
			break;
	while (p > value && strchr(BLANKS, p[-1]) != NULL)
		p--;
	*p = '\0';
}

static size_t
name_len(const char *s)
{
	size_t n = 0;

	if (isdigit((unsigned char)*s))
		return 0;
	while (isalnum((unsigned char)s[n]) || s[n] == '_')
		n++;
	return n;
}

/* One line, which may be scribbled on. */
static enum err_code
read_line(struct env *env, const struct source *src, char *line,
    struct err *e)
{
	char *name, *value;
	enum err_code rc;
	size_t len;

	if (is_rest_empty(line))
		return ERR_OK;
	name = line + strspn(line, BLANKS);
	if (strncmp(name, "export", 6) == 0 && (name[6] == ' ' ||
	    name[6] == '\t'))
		name += 6 + strspn(name + 6, BLANKS);
	len = name_len(name);
	value = name + len + strspn(name + len, BLANKS);
	if (len == 0 || *value != '=')
		return fail_at(src, "expected NAME=value", e);
	name[len] = '\0';
	value++;
	value += strspn(value, BLANKS);
	if (*value == '\'' || *value == '"') {
		rc = read_quoted(src, &value, e);
		if (rc != ERR_OK)
			return rc;
	} else {
		cut_unquoted(value);
	}
	if (env->secrets || !env_is_secret_name(name))
		add_var(env, name, len, xstrdup(value));
	return ERR_OK;
}

/* text ends in a NUL at text[len] and may be scribbled on. */
static enum err_code
read_lines(struct env *env, const char *path, char *text, size_t len,
    struct err *e)
{
	struct source src = { path, 1 };
	char *line, *end;
	enum err_code rc;

	for (line = text; line < text + len; line = end + 1, src.line++) {
		end = memchr(line, '\n', (size_t)(text + len - line));
		if (end == NULL)
			end = text + len;
		*end = '\0';
		if (strlen(line) != (size_t)(end - line))
			return fail_at(&src, "the line holds a NUL", e);
		rc = read_line(env, &src, line, e);
		if (rc != ERR_OK)
			return rc;
	}
	return ERR_OK;
}

/* Up to size bytes of fd: one buffer, so that there is one thing to wipe. */
static enum err_code
read_whole(int fd, const char *path, char *buf, size_t size, size_t *out_len,
    struct err *e)
{
	size_t len = 0;
	ssize_t n;

	while (len < size) {
		n = read(fd, buf + len, size - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set_errno(e, ERR_SYSTEM, errno,
			    "cannot read %s", path);
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*out_len = len;
	return ERR_OK;
}

static enum err_code
read_file(struct env *env, const char *path, bool optional, struct err *e)
{
	const size_t size = ENV_FILE_MAX_BYTES + 1;
	enum err_code rc = ERR_OK;
	char *text = NULL;
	size_t len = 0;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1 && errno == ENOENT && optional)
		return ERR_OK;
	if (fd == -1)
		return err_set_errno(e,
		    errno == ENOENT ? ERR_NOT_FOUND : ERR_SYSTEM, errno,
		    "cannot open %s", path);
	text = xmalloc(size);
	rc = read_whole(fd, path, text, size, &len, e);
	if (rc == ERR_OK && len == size)
		rc = err_set(e, ERR_CONFIG, "%s:1: over %d bytes", path,
		    ENV_FILE_MAX_BYTES);
	if (rc == ERR_OK) {
		text[len] = '\0';
		rc = read_lines(env, path, text, len, e);
	}
	explicit_bzero(text, size);
	free(text);
	close(fd);
	return rc;
}

enum err_code
env_load(const char *path, bool optional, bool secrets, struct env **out,
    struct err *e)
{
	struct env *env = NULL;
	enum err_code rc = ERR_OK;

	env = xcalloc(1, sizeof(*env));
	env->secrets = secrets;
	if (path != NULL)
		rc = read_file(env, path, optional, e);
	if (rc == ERR_OK) {
		*out = env;
		env = NULL;
	}
	env_free(env);
	return rc;
}

void
env_free(struct env *env)
{
	size_t i;

	if (env == NULL)
		return;
	for (i = 0; i < env->count; i++) {
		free(env->vars[i].name);
		wipe_free(env->vars[i].value);
	}
	free(env->vars);
	free(env);
}

const char *
env_get(const struct env *env, const char *name)
{
	const char *value;
	size_t i;

	if (env != NULL && !env->secrets && env_is_secret_name(name))
		return NULL;
	value = getenv(name);
	if (value != NULL && *value != '\0')
		return value;
	if (env == NULL)
		return NULL;
	for (i = env->count; i > 0; i--)
		if (strcmp(env->vars[i - 1].name, name) == 0)
			return env->vars[i - 1].value[0] != '\0' ?
			    env->vars[i - 1].value : NULL;
	return NULL;
}
