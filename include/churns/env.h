/*
 * The environment of the process, with gaps filled from an env file.
 *
 * A variable that is set and not empty in the real environment wins; the file
 * (NAME=value lines, optional "export", '#' comments, single or double quotes)
 * fills in what is unset.  An empty value counts as unset.  Nothing is written
 * to the process environment.
 *
 * Secrets: names that end in _KEY, _TOKEN, _SECRET or _PASSWORD are skipped
 * unless env_load() is told that this process may hold them; so keys do not
 * enter the memory of a process that must not have them.
 */
#ifndef CHURNS_ENV_H
#define CHURNS_ENV_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

#define ENV_FILE_MAX_BYTES (256 * 1024)

struct env;

/* path NULL: no file. A file that does not exist is no error when optional.
 * Errors: ERR_CONFIG with "path:line: what", ERR_NOT_FOUND, ERR_SYSTEM. */
enum err_code env_load(const char *path, bool optional, bool secrets,
    struct env **out, struct err *e);
void env_free(struct env *env);		/* wipes what it holds */

/* NULL when unset or empty; valid until env_free(). A secret name in an env
 * loaded without secrets is NULL. env NULL reads the process alone. */
const char *env_get(const struct env *env, const char *name);
bool env_is_secret_name(const char *name);

#endif
