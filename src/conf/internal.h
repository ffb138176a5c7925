/*
 * What the files of the conf room share.
 *
 * Each loader (settings_load, models_load, ...) reads one file into the conf
 * under construction.  It never stops at a fault: it reports it with the line
 * and goes on with whatever makes sense, so that one start tells everything.
 * A conf with faults is thrown away, therefore half-filled entries are fine
 * as long as conf_free() can release them.
 */
#ifndef CHURNS_CONF_INTERNAL_H
#define CHURNS_CONF_INTERNAL_H

#include "conf.h"
#include "money.h"

#define SETTINGS_MAX 96		/* rows of the settings table */
#define MAX_KEY 64		/* bytes of a key or name in any of the files */
#define MAX_LIST 256		/* entries of a list or map in any file */

enum origin_kind {
	ORIGIN_DEFAULT,
	ORIGIN_FILE,
	ORIGIN_VARIABLE,	/* of the real environment */
	ORIGIN_ENV_FILE
};

/* Where a value came from. */
struct origin {
	enum origin_kind kind;
	int line;		/* ORIGIN_FILE */
	bool old_name;		/* the variable had its first name */
};

/* How a provider names models: "vendor/name" or bare. */
enum id_style { IDS_AS_WRITTEN, IDS_VENDOR, IDS_BARE };

struct provider_side {
	enum id_style ids;
	bool url_overridden;	/* by NAME_BASE_URL */
	bool mark_overridden;	/* by NAME_SIMULATED */
};

struct purpose_side {
	const char *provider_variable;	/* that replaced the file; NULL */
	const char *model_variable;
	bool off;		/* "PURPOSE: none" */
};

/* What conf_load() really allocates; the public part comes first. */
struct conf_full {
	struct conf pub;
	bool secrets;		/* keys were read */
	char *env_path;		/* NULL: no env file */
	char *settings_path;
	struct origin origins[SETTINGS_MAX];
	struct provider_side *provider_sides;	/* one per provider */
	struct purpose_side purpose_sides[PURPOSE__COUNT];
	int models_room;	/* entries that fit into pub.models */
};

/* A conf under construction, and the file being read. */
struct loading {
	struct conf_full *full;
	struct conf *conf;	/* &full->pub */
	struct problems *problems;
	const struct env *env;
	const char *path;	/* of the file being read, for faults */
};

/* A word of a fixed choice; lists end with text NULL. */
struct word {
	const char *text;
	int value;
};

/* --- check.c: readers that report what is wrong ------------------------ */

void fault(struct loading *ld, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* About an environment variable: says whether it is in the env file, and in
 * which line.  Never put a secret's value into the text. */
void fault_variable(struct loading *ld, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The real environment sets it, so a value does not come from the file. */
bool variable_is_real(const char *name);

/*
 * Load ld->path; NULL after reporting.  A missing file is reported unless
 * optional.  The root is a map.
 */
struct yaml_doc *open_file(struct loading *ld, bool optional);

/* Nearest word of a NULL-terminated list, NULL when none is near. */
const char *nearest(const char *text, const char *const *words);

bool is_kind(struct loading *ld, const struct yaml_node *n,
    enum yaml_kind kind, const char *what);
void check_keys(struct loading *ld, const struct yaml_node *map,
    const char *const *allowed);

/*
 * Members of a map.  A missing one leaves *out alone and is true; a wrong one
 * is reported and false.
 */
bool read_int(struct loading *ld, const struct yaml_node *map, const char *key,
    int min, int max, int *out);
bool read_bool(struct loading *ld, const struct yaml_node *map,
    const char *key, bool *out);
bool read_word(struct loading *ld, const struct yaml_node *map,
    const char *key, const struct word *words, int *out);
/* Text of a member; NULL when it is missing (reported if needed) or wrong. */
const char *read_text(struct loading *ld, const struct yaml_node *map,
    const char *key, bool needed);

/* The word's value; false when it is none of them. Any letter case. */
bool word_find(const struct word *words, const char *text, int *out);
const char *word_text(const struct word *words, int value);
/* "a, b or c" */
void word_list(const struct word *words, struct strbuf *out);

/* "3:2": two positive decimals. */
bool aspect_is_valid(const char *text);
/* A list that must be there and hold something; NULL after a report. */
const struct yaml_node *needed_list(struct loading *ld,
    const struct yaml_node *map, const char *key);
/* Such a list of texts of at most max bytes each, no two alike. */
void read_words(struct loading *ld, const struct yaml_node *map,
    const char *key, size_t max, struct words *w);
void words_release(struct words *w);

/* Printable, without blanks at the ends, at most max bytes. */
bool name_is_clean(const char *text, size_t max);
/* A double-quoted YAML scalar. */
void add_quoted(struct strbuf *out, const char *text);

/* --- the loaders; each leaves ld->path at its file --------------------- */

void settings_load(struct loading *ld);
void models_load(struct loading *ld);	/* calls the next two */
void providers_load(struct loading *ld, const struct yaml_node *list);
void purposes_load(struct loading *ld, const struct yaml_node *list);
void captions_load(struct loading *ld, const struct yaml_node *map);
void order_load(struct loading *ld);
void tables_load(struct loading *ld);	/* pools, platforms, languages */

void settings_release(struct settings *s);
void models_release(struct conf *conf);
void captions_release(struct conf *conf);
void providers_release(struct conf *conf);
void order_release(struct conf *conf);
void tables_release(struct conf *conf);

/* The entry itself, not the one after the last slash. */
struct model_info *model_exact(const struct conf *conf, const char *id);
/* The model that id means at this provider, spelled as the provider has it; an
 * entry is added when only the part after the slash is listed. NULL. */
const struct model_info *model_at_provider(struct loading *ld,
    const struct provider *p, const char *id);
/* Give model_info *to the contents of *from, all of its own, under id. */
void model_copy(struct model_info *to, const struct model_info *from,
    const char *id);

/* Where each setting came from and its value, as YAML with comments. */
void settings_print(const struct conf_full *full, struct strbuf *out);
/* The rest of conf_print(): providers, purposes, models; stages, tables. */
void models_print(const struct conf_full *full, struct strbuf *out);
void captions_print(const struct conf *conf, struct strbuf *out);
void lists_print(const struct conf_full *full, struct strbuf *out);

/* Lower-cased copy, as providers are kept. */
char *lower_copy(const char *text);
/* NAME_suffix for a provider: "open-router" gives OPEN_ROUTER_BASE_URL. */
void provider_variable(const struct provider *p, const char *suffix,
    char out[MAX_KEY * 2]);

#endif
