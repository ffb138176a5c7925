/*
 * Convenience around json-c.  json-c's reference counts are plain integers: a
 * json_object never crosses threads; what must cross is text.
 *
 * Readers never fail: a missing member or one of another type gives the
 * default.  Strings returned belong to the object.
 */
#ifndef CHURNS_JSON_H
#define CHURNS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

#include "err.h"
#include "strbuf.h"

#define JSON_DEPTH_MAX 32

/*
 * Strictly parse one JSON value of any type (comments, NaN, single quotes,
 * trailing text, invalid UTF-8, a depth over JSON_DEPTH_MAX are refused).
 * The JSON value null gives *out = NULL with ERR_OK.
 * Errors: ERR_INVALID with the position. *out is the caller's (json_object_put).
 */
enum err_code json_parse(const char *text, size_t len, struct json_object **out,
    struct err *e);

/* json_parse() of a whole file of at most max bytes; the error names path. */
enum err_code json_parse_file(const char *path, size_t max,
    struct json_object **out, struct err *e);

struct json_object *json_get(const struct json_object *o, const char *key);
const char *json_get_str(const struct json_object *o, const char *key);	/* NULL if none */
int64_t json_get_int(const struct json_object *o, const char *key, int64_t dflt);
double json_get_num(const struct json_object *o, const char *key, double dflt);
bool json_get_bool(const struct json_object *o, const char *key, bool dflt);
struct json_object *json_get_arr(const struct json_object *o, const char *key);	/* NULL unless array */
struct json_object *json_get_obj(const struct json_object *o, const char *key);	/* NULL unless object */
/* A path of member names and array positions: "choices/0/message/content". */
struct json_object *json_at(const struct json_object *o, const char *path);
size_t json_len(const struct json_object *array);	/* 0 for NULL or another type */
bool json_is_blank(const struct json_object *o);	/* NULL, or a string of white space only */

/* Writers. NULL strings become JSON null, so that every key is present. */
void json_put_str(struct json_object *o, const char *key, const char *s);
void json_put_int(struct json_object *o, const char *key, int64_t v);
void json_put_num(struct json_object *o, const char *key, double v);	/* non-finite: null */
void json_put_bool(struct json_object *o, const char *key, bool v);
void json_put_obj(struct json_object *o, const char *key, struct json_object *v);	/* v's reference is taken; NULL: null */
void json_put_null(struct json_object *o, const char *key);

/* Nano-dollars as a JSON number of dollars, exact ("0.04224"). */
struct json_object *json_new_money(int64_t nano_usd);
/* Milliseconds as a JSON number of seconds, exact ("8.8"). */
struct json_object *json_new_seconds(int64_t ms);
/* Unix milliseconds as clock_format() text; 0 gives NULL (JSON null). */
struct json_object *json_new_time(int64_t ms);

struct json_object *json_copy(const struct json_object *o);	/* deep; NULL stays NULL */

/* Compact UTF-8 text, slashes and non-ASCII unescaped; free() it. */
char *json_to_text(const struct json_object *o);
char *json_to_pretty_text(const struct json_object *o);	/* two-space indented */
void strbuf_add_json(struct strbuf *sb, const struct json_object *o);

/* Text with members sorted by key at every level: equal values, equal text. */
char *json_to_canonical(const struct json_object *o);

#endif
