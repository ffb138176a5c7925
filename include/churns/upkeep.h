/*
 * Looking after the database as a whole: is everything in it what it should be,
 * what can be counted again, which files belong to its rows; and copies of it
 * that can be brought back.  For an operator's programs (churnsctl); nothing that
 * answers requests or executes jobs needs any of it.
 */
#ifndef CHURNS_UPKEEP_H
#define CHURNS_UPKEEP_H

#include "store.h"

/* --- verifying ------------------------------------------------------------- */

#define VERIFY_SHOWN 5		/* examples of a finding */
#define VERIFY_ID_MAX 80
#define VERIFY_MAX_DAMAGE 20	/* messages about a damaged file */

/* A rule about the rows that is broken. */
struct verify_finding {
	const char *name;	/* of the rule, for programs: "events-gapless" */
	const char *what;	/* a sentence without its stop */
	const char *todo;	/* a sentence: what to do about it */
	int64_t count;		/* things that break it */
	char ids[VERIFY_SHOWN][VERIFY_ID_MAX];	/* the first of them: runs,
				   refinements, owners, keys */
	int n_ids;
};

/* Ask all rules, of which there are *n_rules; found() is told of those that are
 * broken.  Reads everything; nobody has to wait for it. */
enum err_code store_verify(struct store *st,
    void (*found)(void *arg, const struct verify_finding *f), void *arg,
    int *n_rules, struct err *e);
/* Is the file whole, and does every reference lead somewhere? tell() is told
 * each damage, VERIFY_MAX_DAMAGE at most. */
enum err_code store_verify_file(struct store *st,
    void (*tell)(void *arg, const char *what), void *arg, struct err *e);
/* Make the numbers and sums again that are kept beside the rows, and give up
 * calls of jobs that have ended; one unit. Changes nothing that is right. */
enum err_code store_repair(struct store *st, struct err *e);

/* What is known of a run that may have a directory. */
struct run_presence {
	char id[ID_MAX];
	enum state status;
	bool deleted;
	bool files_removed;	/* of a deleted one */
	bool has_results;	/* a document of them was written */
	bool open;		/* a job of it waits or runs */
};

struct run_presence_list {
	struct run_presence *rows;
	int n;
};

/* At most max runs, deleted ones too, in the order of their ids, behind after
 * ("": from the first on). */
enum err_code store_verify_runs(struct store *st, const char *after, int max,
    struct run_presence_list *out, struct err *e);
void run_presence_list_release(struct run_presence_list *l);
/* ERR_NOT_FOUND */
enum err_code store_verify_run(struct store *st, const char *run_id,
    struct run_presence *out, struct err *e);

/* A file in a run's directory that must be there because a row names it. */
struct named_file {
	char *what;		/* "refinement", "paid answer" */
	char *path;		/* in the run's directory; a JSON array of them
				   with is_list */
	bool is_list;
};

struct named_file_list {
	struct named_file *rows;
	int n;
};

/* Those besides what the results name and what was uploaded with the run. */
enum err_code store_verify_files(struct store *st, const char *run_id,
    struct named_file_list *out, struct err *e);
void named_file_list_release(struct named_file_list *l);

/* --- backups --------------------------------------------------------------- */

/*
 * Write one state of the database, the one at the time of the call, to a new
 * file, which is on the disk when this returns.  Nobody has to wait for it.
 * After a failure there is no such file.  ERR_CONFLICT (it is there already),
 * ERR_FULL, ERR_SYSTEM.
 */
enum err_code store_backup(struct store *st, const char *to, struct err *e);

/*
 * Make such a file the database, where there is none.  Everybody else is kept out
 * while files(arg, ...) brings what the rows name; only if that succeeds the
 * database takes its place, whole.  *version is its schema, which may be older
 * than ours.  Errors: those of files; ERR_CONFLICT (there is a database, or what
 * is left of one), ERR_BUSY (somebody has it open), ERR_CONFIG (the file is no
 * database of ours, or newer), ERR_FULL, ERR_SYSTEM.
 */
enum err_code store_restore(const char *database, const char *from,
    enum err_code (*files)(void *arg, struct err *e), void *arg, int *version,
    struct err *e);

#endif
