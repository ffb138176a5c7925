/*
 * What the files of the conf tests share: a directory of its own for each
 * test, holding a copy of the conf/ that is shipped, which a test then edits.
 */
#ifndef CONF_UNIT_H
#define CONF_UNIT_H

#include "unit.h"

#include "conf.h"
#include "file.h"
#include "xalloc.h"

extern char dir[];		/* of this test; absolute */
extern struct problems problems;

void conf_setup(void);		/* clears the environment, too */
void conf_teardown(void);

/* Replace a file, or write a new one, in dir. */
void put(const char *name, const char *text);
void drop(const char *name);
/* Replace the one place where old stands in the file by new. */
void edit(const char *name, const char *old, const char *new);
/* Append an entry to models.yml. */
void add_model(const char *entry);
#define MORE_SHAPES "  more-shapes:\n"					\
	"    same_as: gemini-2.5-flash-image-preview\n"			\
	"    price: { input: 0.4, output: 31 }\n"			\
	"    aspect_parameter: yes\n    aspects: [\"1:1\", \"2:3\", \"21:9\"]\n"
/* 1-based line of the first place where text stands in the file. */
int line_of(const char *name, const char *text);

/* Load dir, with or without keys. */
enum err_code load(bool secrets, struct conf **out);
/* Load dir and demand that nothing is wrong. */
struct conf *load_good(void);
struct conf *load_with_keys(void);
/* Load dir and demand exactly count problems, the first of which begins so:
 * "name:line: text", with line 0 "name: text", with name NULL text alone. */
void load_bad(const char *name, int line, const char *text, int count);

TCase *conf_settings_case(void);
TCase *conf_models_case(void);
TCase *conf_faults_case(void);

#endif
