/*
 * What the commands of churnsctl share: what was asked for, opening what a
 * command needs, and printing for people or for programs.
 *
 * A command is a function that returns the exit status.  It prints its results
 * on standard output and one sentence on standard error when it fails, through
 * ctl_fail() or ctl_misuse(), which also give the status to return.  What it
 * opened is closed by main().
 */
#ifndef CTL_H
#define CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"
#include "conf.h"
#include "err.h"
#include "json.h"
#include "service.h"
#include "store.h"
#include "strbuf.h"

#define CTL_NAME "churnsctl"
#define CTL_FAILED 1
#define CTL_USAGE 64		/* EX_USAGE of sysexits.h; 78 is EXIT_CONFIG */
#define MAX_GIVEN 128		/* options of one command line */
#define MAX_OPTIONS 20		/* different options of one command */
#define MAX_LINE_BYTES (64 * 1024)

/* --- commands ------------------------------------------------------------- */

struct ctl;

struct ctl_option {
	const char *name;	/* without the dashes */
	const char *value;	/* what stands behind it; NULL: a switch */
	const char *doc;	/* one line for --help */
};

struct command {
	const char *name;
	const char *operand;	/* "ID", needed; "ID...": one or more; NULL: takes
				   none */
	const char *summary;
	const struct ctl_option *options;	/* beside the common ones; ended by a NULL name; NULL: none */
	bool json;		/* has --json */
	bool secrets;		/* reads keys: is there one, never which */
	int (*run)(struct ctl *c);
};

/* To add a command see the table in main.c. */
int cmd_doctor(struct ctl *c);
int cmd_config(struct ctl *c);
int cmd_migrate(struct ctl *c);
int cmd_submit(struct ctl *c);
int cmd_list(struct ctl *c);
int cmd_show(struct ctl *c);
int cmd_watch(struct ctl *c);
int cmd_cancel(struct ctl *c);
int cmd_delete(struct ctl *c);
int cmd_verify(struct ctl *c);
int cmd_backup(struct ctl *c);
int cmd_restore(struct ctl *c);
int cmd_calls(struct ctl *c);
int cmd_prompt(struct ctl *c);
int cmd_queue(struct ctl *c);

extern const struct ctl_option submit_options[];
extern const struct ctl_option list_options[];
extern const struct ctl_option verify_options[];
extern const struct ctl_option prompt_options[];

/* Follow a run's events from after on until it has ended; the exit status says
 * how. The store is open. (watch, and submit --watch) */
int watch_run(struct ctl *c, const char *run_id);

/* --- one invocation ------------------------------------------------------- */

struct given {
	const char *name;	/* of the option */
	const char *value;	/* NULL: a switch */
};

struct ctl {
	/* what was asked for */
	const struct command *command;
	struct conf_options conf;
	bool json;
	const char *operand;	/* the first; NULL: the command takes none */
	char **operands;	/* all of them */
	int n_operands;
	struct given given[MAX_GIVEN];	/* in the order of the command line */
	int n_given;
	/* what is open */
	struct service service;	/* conf alone after ctl_load() */
	struct store *store;
};

/* The last one of that name: its value, "" for a switch; NULL: not given. */
const char *ctl_given(const struct ctl *c, const char *name);

/* Say it on standard error; the exit status for it. */
int ctl_fail(enum err_code rc, const struct err *e);
int ctl_misuse(const struct ctl *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* 0, or the exit status after having said why not. */
int ctl_load(struct ctl *c);	/* the configuration */
int ctl_load_all(struct ctl *c);	/* prompts, schemas and executors as well */

enum opening {
	OPEN_READING,		/* never writes, never makes one */
	OPEN_WRITING,		/* one that is there */
	OPEN_MAKING		/* made when it is not there */
};

/* The database; the configuration, too, unless it is loaded already. */
int ctl_open(struct ctl *c, enum opening how);
/* Root must not leave files that the programs cannot write afterwards. */
int ctl_check_user(const struct ctl *c);
/* The run that the operand names, of whichever owner. */
int ctl_get_run(struct ctl *c, struct run *out);

/* --- printing ------------------------------------------------------------- */

/* Pretty, with a newline; takes the reference. Returns 0. */
int print_json(struct json_object *o);

/* Text from outside on one line: control characters and what is no UTF-8
 * become '?', line breaks blanks. Cut to max_chars with "..."; 0: whole. */
void add_plain(struct strbuf *out, const char *s, int max_chars);
void print_plain(const char *s);

/* Dollars, exact: at least min_decimals, more where the amount has more. */
int money_decimals(int64_t nano, int min_decimals);
void add_money(struct strbuf *out, int64_t nano, int decimals);
void add_seconds(struct strbuf *out, int64_t ms);	/* "8.8 s", "2 min 05 s" */
const char *time_text(int64_t ms, char out[CLOCK_TEXT_MAX]);	/* to the second; "-" for 0 */

/* Escape sequences of a terminal, "" where standard output is none. */
enum colour { COLOUR_NONE, COLOUR_GOOD, COLOUR_BAD, COLOUR_DOUBT };

const char *colour_on(enum colour colour);
const char *colour_off(enum colour colour);
enum colour state_colour(enum state s);
enum colour stage_colour(enum stage_status s);

/* --- tables --------------------------------------------------------------- */

struct column {
	const char *title;
	bool right;		/* aligned at its right side */
};

struct cell {
	char *text;		/* owned */
	enum colour colour;
};

/* Cells are added row by row. */
struct table {
	const struct column *columns;
	int n_columns;
	struct cell *cells;
	int n_cells;
};

void table_init(struct table *t, const struct column *columns, int n_columns);
void table_release(struct table *t);
/* The next cell; NULL or "" shows "-". */
void table_text(struct table *t, const char *text);
void table_state(struct table *t, const char *text, enum colour colour);
void table_int(struct table *t, int64_t v);
void table_money(struct table *t, int64_t nano, int decimals);
void table_seconds(struct table *t, int64_t ms);	/* < 0: "-" */
/* With its titles; every line begins with indent. */
void table_print(const struct table *t, const char *indent);

#endif
