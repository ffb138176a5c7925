/*
 * A schema as plain C: what schema.c (loading), schema_fit.c (checking) and
 * schema_text.c (writing and varying) share.
 */
#ifndef MODEL_SCHEMA_NODE_H
#define MODEL_SCHEMA_NODE_H

#include <regex.h>

#include "schema.h"

#define SCHEMA_MAX_MEMBERS 64	/* of one object, enum or anyOf */
#define SCHEMA_PATTERN_SUBJECT_MAX 1024	/* longer strings match no pattern */

enum schema_type {		/* bits of schema.types */
	TYPE_OBJECT = 1,
	TYPE_ARRAY = 2,
	TYPE_STRING = 4,
	TYPE_INTEGER = 8,
	TYPE_NUMBER = 16,	/* integers are numbers, too */
	TYPE_BOOLEAN = 32,
	TYPE_NULL = 64
};
#define TYPE_ANY 127

struct schema_limit {
	bool set;
	double value;
};

struct schema_member {
	char *name;
	struct schema *schema;	/* owned */
	bool required;
};

struct schema {
	char *name;		/* of a root: "visual_concept"; NULL below it */
	char *title, *description;	/* NULL: none */
	char *default_text;	/* the default as JSON; NULL: none */
	unsigned types;		/* TYPE_ANY when the file names none */
	char **values;		/* enum, or const, as canonical JSON; NULL: any */
	int n_values;
	bool is_const;
	struct schema_member *members;
	int n_members;
	bool closed;		/* additionalProperties: false */
	struct schema *items;	/* of a list; NULL: anything */
	struct schema_limit min_items, max_items, min_length, max_length;
	struct schema_limit minimum, maximum;
	char *pattern;		/* NULL: none */
	regex_t regex;		/* compiled when pattern is set */
	struct schema **any_of;	/* NULL: no alternatives */
	int n_any_of;
	char *ref_name;		/* file the $ref names; NULL: it is no $ref */
	const struct schema *ref;	/* its root; owned by the set */
};

/* The schema itself, or the one it refers to. */
const struct schema *schema_follow(const struct schema *s);

/* Does it allow null? Follows references and alternatives. */
bool schema_takes_null(const struct schema *s);

/* "text", "a whole number": the types in words, "x or y" for several. */
void schema_add_types(struct strbuf *sb, unsigned types);

/* "string", ...: the word in a schema for one bit, and back (0: no such). */
const char *schema_type_word(unsigned type);
unsigned schema_type_bit(const char *word);

/*
 * One file's content, references not yet resolved. Faults go to problems with
 * their place ("/properties/colors: ..."); the result is never NULL, but of
 * use only when there were none. schema_free() it.
 */
struct schema *schema_compile(const char *path, const struct json_object *doc,
    struct problems *problems);

#endif
