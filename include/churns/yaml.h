/*
 * A YAML file as a tree that remembers line numbers, so that whoever finds a
 * fault in it can say where.  From libyaml's events; anchors, aliases, tags
 * and several documents are refused.  Duplicate keys are an error.
 */
#ifndef CHURNS_YAML_H
#define CHURNS_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* This file hides libyaml's of the same name; yaml.c alone asks for it. */
#ifdef CHURNS_YAML_WANTS_LIBYAML
#include_next <yaml.h>
#endif

#define YAML_MAX_BYTES (1024 * 1024)
#define YAML_DEPTH_MAX 16

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_node {
	enum yaml_kind kind;
	int line;		/* 1-based */
	char *key;		/* in a map: its key; NULL in lists and at the root */
	char *text;		/* YAML_SCALAR: never NULL */
	bool plain;		/* YAML_SCALAR: unquoted, so null/true/12 mean something */
	struct yaml_node *first;	/* children, in file order */
	struct yaml_node *next;	/* sibling */
};

struct yaml_doc {
	char *path;		/* as given, for messages */
	struct yaml_node *root;	/* an empty file is an empty map */
};

/* Errors: ERR_CONFIG with "path:line: what"; ERR_NOT_FOUND when there is no
 * such file; ERR_SYSTEM. */
enum err_code yaml_load(const char *path, struct yaml_doc **out, struct err *e);
enum err_code yaml_parse(const char *name, const char *text, size_t len,
    struct yaml_doc **out, struct err *e);
/* libyaml exports a yaml_free() and would call ours: another symbol. */
void yaml_free(struct yaml_doc *doc) __asm__("churns_yaml_free");

const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);	/* NULL if none or not a map */
size_t yaml_count(const struct yaml_node *n);	/* children */
bool yaml_is_null(const struct yaml_node *n);	/* NULL, or plain "", ~, null */

/* Values with their check; false when the text is something else. Numbers are
 * decimal, booleans true/false/yes/no/on/off/1/0 in any case. */
bool yaml_to_int(const struct yaml_node *n, int64_t *out);
bool yaml_to_num(const struct yaml_node *n, double *out);
bool yaml_to_bool(const struct yaml_node *n, bool *out);

/* The tree as JSON: a plain null, true, false or number in JSON's notation is
 * one, everything else is text. NULL for null; the caller's reference. */
struct json_object;
struct json_object *yaml_to_json(const struct yaml_node *n);

/* For other texts (environment, forms) the same readers. */
bool parse_int(const char *s, int64_t *out);
bool parse_num(const char *s, double *out);
bool parse_bool(const char *s, bool *out);	/* also t/f, y/n */

#endif
