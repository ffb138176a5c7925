/* What the files of the submit room share. */
#ifndef SUBMIT_INTERNAL_H
#define SUBMIT_INTERNAL_H

#include "submit.h"

#define MAX_LOGO_BYTES (50LL * 1024 * 1024)
#define MAX_BRAND_COLORS 24
#define MAX_LABEL_CHARS 60
#define MAX_GOAL_CHARS 300	/* each of the four marketing fields */
#define MAX_ANALYSIS_CHARS 2000	/* a text of a logo's analysis */
#define MAX_SMALL_JSON_BYTES (64 * 1024)	/* a JSON field other than brand_kit */
#define MAX_JSON_VALUES 2000	/* in a JSON field: each costs far more than its text */

/* --- form.c ------------------------------------------------------------------ */

/* Bytes of a field wherever they are; len 0 and NULL when it was not sent. */
struct field_view {
	const char *text;
	size_t len;
	void *map;		/* to be unmapped; NULL */
};

/* ERR_NOT_FOUND when not sent (or empty), ERR_SYSTEM. */
enum err_code form_view(const struct form *f, const char *name,
    struct field_view *out, struct err *e);
/* The same of one field, which must not be empty. */
enum err_code field_view(const struct form *f, const struct form_field *field,
    struct field_view *out, struct err *e);
void field_view_release(struct field_view *v);

/* About how many values a JSON text holds, told without parsing it. */
size_t json_weight(const char *text, size_t len);

/*
 * Bytes of a mapped field were read and will be read again, if at all, from its
 * file: their pages need not count as this process's memory. Never for bytes
 * that are not mapped from a file: those would be lost.
 */
void mapped_forget(const char *from, const char *to);
#define FORGET_BYTES (1024 * 1024)	/* read before they are forgotten */

/* --- compact.c ----------------------------------------------------------------- */

/* Longer than any text that is taken could be, were every character of it
 * written as two escapes: 32000 characters, the most a setting allows. */
#define LONG_STRING_BYTES (32000 * 12 + 1)
#define MAX_LONG_STRINGS 8
#define LONG_MARK_MAX (ID_MAX + 8)

struct span {
	const char *p;
	size_t len;
	bool mapped;		/* part of a mapped file */
};

/* A JSON text with marks instead of its long strings. */
struct compact {
	struct strbuf text;
	size_t long_bytes;	/* from which on a string is long */
	char mark[LONG_MARK_MAX];	/* how one begins */
	bool mapped;
	struct span longs[MAX_LONG_STRINGS];	/* raw: escapes are as sent */
	int n;
};

void compact_init(struct compact *c, size_t max_bytes, size_t long_bytes);
void compact_release(struct compact *c);
/* text must stay where it is as long as c is used. It may overflow c->text. */
void compact_json(struct compact *c, const char *text, size_t len,
    bool mapped);
/* Is s the mark of a long string, and of which? NULL. */
const struct span *compact_marked(const struct compact *c, const char *s);
/* Write JSON text made of c's to fd with the long strings in their places. */
enum err_code compact_expand(const struct compact *c, const char *text, int fd,
    struct err *e);

struct decoded {
	int64_t size;
	char sha256[65];
};

/*
 * Decode base64, perhaps a data URI, into fd. False when it is something else,
 * more than max_bytes, or (out NULL) nothing; *rc tells whether writing failed,
 * and then the result means nothing.
 */
bool span_decode(struct span s, int64_t max_bytes, int fd,
    struct decoded *out, enum err_code *rc, struct err *e);

/* Write what a JSON string that holds s says to fd. False when it has an escape
 * that is none; *rc as above. */
bool span_unescape(struct span s, int fd, enum err_code *rc, struct err *e);

/* --- json_form.c --------------------------------------------------------------- */

/* form_from_json(), where tests can say which strings are long. */
enum err_code json_form_fill(struct form *f, const struct form_shape *shape,
    const char *text, size_t len, bool mapped, size_t long_bytes,
    struct faults *faults, struct err *e);

/* --- brand_kit.c -------------------------------------------------------------- */

struct brand_kit {
	struct json_object *kit;	/* checked, without base64; NULL: none */
	char *logo_tmp;		/* in the uploads directory; NULL */
	const char *logo_extension;
	char *warning;		/* the logo was unusable, in words; NULL */
};

void brand_kit_release(struct brand_kit *k, int uploads_dirfd);

/*
 * Read and check the field brand_kit; its faults go to faults. The logo is
 * decoded only when want_logo. Nothing of it enters memory whole.
 */
enum err_code brand_kit_read(const struct conf *conf, const struct form *f,
    bool want_logo, struct brand_kit *out, struct faults *faults,
    struct err *e);

/* --- brief.c ------------------------------------------------------------------ */

/* What the inputs say, before and after the unified brief (generation.md 5.3). */
struct brief {
	const char *prompt, *instruction, *overlay;	/* NULL: none; not owned */
	bool has_image, has_logo;	/* a picture, a logo was sent */
	bool drop_image;	/* logoOnly: the picture is not used */
	const char *intent;	/* NULL without a brief */
};

/* Apply brief (NULL: none) to b. Faults that only the whole shows go to
 * faults. Strings point into brief or stay. */
void brief_apply(const struct json_object *brief, struct brief *b,
    struct faults *faults);
/* Shape of the field unified_brief. */
void brief_check(const struct json_object *brief, struct faults *faults);

#endif
