/*
 * What the files of this room share and no other room sees.
 */
#ifndef BASE_INTERNAL_H
#define BASE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <json-c/json.h>

#include "err.h"

#define JSON_NUMBER_MAX 40	/* bytes of a number we write, with the NUL */
#define JSON_EXACT_MAX 9007199254740992.0	/* 2^53: no gaps up to here */

/*
 * Length of the UTF-8 character s starts with, when it is whole within n
 * bytes and well-formed (no overlong form, no surrogate, at most U+10FFFF);
 * otherwise 0.
 */
size_t utf8_char_len(const char *s, size_t n);

/* Is all of s well-formed UTF-8? */
bool utf8_is_valid(const char *s, size_t n);

/* The largest length <= n at which s can be cut without splitting a
 * character.  Malformed bytes count as characters of their own. */
size_t utf8_cut(const char *s, size_t n);

/*
 * The second way of file_open_beneath(), used where openat2(2) is refused:
 * one component after another, none of them a link.  Same contract; path is
 * already known to be relative and without "..".
 */
enum err_code file_walk_beneath(int dirfd, const char *path, int flags,
    mode_t mode, int *out_fd, struct err *e);

/* The shortest text that reads back as v (finite), with a "." or an "e" in
 * it, so that it reads back as a double. */
void json_format_double(char out[JSON_NUMBER_MAX], double v);

/* Bytes and length of a string object; they may hold a NUL. */
const char *json_string_of(const struct json_object *o, size_t *out_len);

#endif
