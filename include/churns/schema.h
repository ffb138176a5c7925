/*
 * JSON Schema, as far as conf/schemas uses it: type (one or several), enum,
 * const, properties, required, additionalProperties (boolean), items,
 * minItems, maxItems, minLength, maxLength, pattern, minimum, maximum, anyOf,
 * $ref to another file of the directory, and the annotations title,
 * description, default, $schema, $id.  Any other keyword, a required member
 * that properties does not have, or a dangling $ref is a fault found when the
 * file is loaded, not when an answer arrives.
 *
 * A schema is read-only once loaded and may be used by many threads (each use
 * reads plain C structures, never shared json_objects).
 */
#ifndef CHURNS_SCHEMA_H
#define CHURNS_SCHEMA_H

#include <stdbool.h>

#include "conf.h"
#include "err.h"
#include "json.h"
#include "strbuf.h"

#define SCHEMA_FILE_MAX_BYTES (256 * 1024)
#define SCHEMA_DEPTH_MAX 16

struct schema;
struct schema_set;

/* Load every *.json of dir. Faults go to problems (file, line 0 or the line
 * json gives). *out is complete only when no problem was added. */
enum err_code schema_set_load(const char *dir, struct problems *problems,
    struct schema_set **out);
void schema_set_free(struct schema_set *set);
const struct schema *schema_get(const struct schema_set *set, const char *name);	/* "visual_concept"; NULL if none */

const char *schema_name(const struct schema *s);

/*
 * Make value fit, losslessly, then list what still does not: digit strings
 * and integral floats to integers, integers to numbers, null for absent
 * optional members, a bare array where an object with exactly one array member
 * is wanted (wrapped), a single object where an array of objects is wanted
 * (wrapped), a text field that arrives as object or list flattened to text
 * (generation.md 10.3; empty containers become null), unknown members dropped.
 *
 * *value may be replaced (its reference is taken and given). Each violation is
 * one line "path: what is wrong" appended to violations, all of them, capped
 * at 40. Returns how many; 0 means valid.
 */
int schema_fit(const struct schema *s, struct json_object **value,
    struct strbuf *violations);

/* Check without changing anything (outputs of stages). Same lines. */
int schema_check(const struct schema *s, const struct json_object *value,
    struct strbuf *violations);

/* Members in drop (paths like "assessment_scores/subject_preservation") are
 * removed, those in require made required and may no longer be null; both
 * NULL-terminated, NULL for none. Lists are passed through. Errors:
 * ERR_INVALID (no such member). The caller frees *out with schema_free(). */
enum err_code schema_vary(const struct schema *s, const char *const *drop,
    const char *const *require, struct schema **out, struct err *e);
void schema_free(struct schema *s);	/* only what schema_vary() made */

/* For response_format json_schema with strict: true: limits, patterns and
 * titles dropped, references inlined, every property required, optional ones
 * nullable, additionalProperties false. Caller's reference. */
struct json_object *schema_strict(const struct schema *s);

/* The schema in full for a prompt (compact text; free() it). */
char *schema_text(const struct schema *s);

#endif
