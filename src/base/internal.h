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
#include "utf8.h"

#define JSON_NUMBER_MAX 40	/* bytes of a number we write, with the NUL */
#define JSON_EXACT_MAX 9007199254740992.0	/* 2^53: no gaps up to here */

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
