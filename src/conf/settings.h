/*
 * The table of settings, between settings.c (what a row means and how its text
 * is read) and sources.c (where the texts come from).
 */
#ifndef CHURNS_CONF_SETTINGS_H
#define CHURNS_CONF_SETTINGS_H

#include "internal.h"

#define MAX_VALUE_BYTES 4096

enum kind {
	KIND_INT,		/* int */
	KIND_INT64,
	KIND_SECONDS,		/* int, ms; min, max of the row: seconds */
	KIND_MEBIBYTES,		/* int64_t, bytes; min, max of the row: MiB */
	KIND_MONEY,		/* int64_t, nano-dollars; min, max of the row: dollars */
	KIND_WORD,		/* an enum, int-sized; words of the row */
	KIND_QUALITY,		/* char *; one of the words of the row */
	KIND_SWITCH,		/* bool */
	KIND_ENVIRONMENT,	/* bool: is the word "development"? */
	KIND_PATH,		/* char *; absolute */
	KIND_DATABASE,		/* char *; sqlite:PATH */
	KIND_LISTEN,		/* char *; socket path or host:port */
	KIND_LOCATION,		/* char *; /.../ of a URL */
	KIND_CORS,		/* char **; NULL-terminated */
	KIND_NETS		/* the same, of addresses and networks */
};

struct setting {
	const char *key;	/* path in churns.yml: "api.workers" */
	enum kind kind;
	size_t offset;		/* in struct settings */
	const char *initial;	/* the default, as it would stand in the file */
	int64_t min, max;	/* of numbers */
	const struct word *words;	/* of KIND_WORD and KIND_QUALITY */
	const char *old_name;	/* variable of the first implementation; NULL */
	const char *doc;	/* one line for operators */
};

extern const struct setting setting_rows[];
extern const size_t setting_count;

/*
 * Read text into the row's member of s.  Variables may be laxer than the file.
 * After ERR_CONFIG the member is as it was; the message continues a sentence
 * that begins with the setting's name.
 */
enum err_code setting_store(struct settings *s, const struct setting *row,
    const char *text, bool from_variable, struct err *e);

/* The value as YAML that reads back the same. */
void setting_add_value(struct strbuf *out, const struct settings *s,
    const struct setting *row);

#endif
