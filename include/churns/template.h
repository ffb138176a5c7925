/*
 * Prompt templates: text files that people who write copy can edit.
 *
 *   Anything before the first part line is a note to the reader and dropped.
 *   == system ==            starts a part; parts are named system and user
 *   {{name}}                the value of a placeholder
 *   {{block name}}          the value as a delimited block (see below)
 *   {{#name}} ... {{/name}} only if name has a value
 *   {{^name}} ... {{/name}} only if it has none
 *
 * Sections nest; a section line that holds nothing else vanishes whole, so no
 * blank lines are left behind.  A block is how text written by a user enters a
 * prompt: it is fenced by lines that the value cannot contain,
 *
 *   <<<brief
 *   ...the text, unchanged but that "<<<" and ">>>" are spaced apart...
 *   brief>>>
 *
 * A compiled template is read-only and may be used by many threads.
 */
#ifndef CHURNS_TEMPLATE_H
#define CHURNS_TEMPLATE_H

#include <stddef.h>

#include "err.h"
#include "strbuf.h"

#define TEMPLATE_MAX_BYTES (256 * 1024)
#define TEMPLATE_DEPTH_MAX 8

struct template;

struct template_var {
	const char *name;
	const char *value;	/* NULL or "": has no value */
};

/* Errors: ERR_CONFIG "path:line: what" (unknown part, unclosed section...). */
enum err_code template_load(const char *path, struct template **out,
    struct err *e);
enum err_code template_parse(const char *name, const char *text, size_t len,
    struct template **out, struct err *e);
void template_free(struct template *t);
const char *template_path(const struct template *t);

/*
 * Check that every placeholder used is one of names (NULL-terminated).
 * ERR_CONFIG "path:line: unknown placeholder {{x}}; known here are ...".
 */
enum err_code template_check(const struct template *t,
    const char *const *names, struct err *e);

/* Is the placeholder used anywhere (for tests and the doctor)? */
bool template_uses(const struct template *t, const char *name);

/* Append the part ("system" or "user") to out, white space at its ends
 * trimmed. An absent part appends nothing. vars has n rows; a name used by the
 * template but not given has no value. ERR_TOO_LARGE when out overflows. */
enum err_code template_render(const struct template *t, const char *part,
    const struct template_var *vars, size_t n, struct strbuf *out,
    struct err *e);

#endif
