/*
 * Deleting a run, and finding its files afterwards.  Part of the store; what
 * store.h says of units, owners and errors holds here.
 *
 *   there --store_delete_run--> deleted --store_files_removed--> files removed
 */
#ifndef CHURNS_DELETION_H
#define CHURNS_DELETION_H

#include <stdint.h>

#include "store.h"

enum delete_outcome {
	DELETE_DONE,
	DELETE_IS_OPEN		/* nothing changed: it, or another job of it, waits
				   or runs */
};

/*
 * Delete a run that has ended, as one unit: from then on nobody finds it, and
 * its texts, events, stages, checkpoints, refinements and captions are gone.
 * Its ledger rows and jobs stay for the money, without what was answered.  Kept
 * answers to requests with an idempotency key go too, so a later request with
 * that key counts as new.
 * The cache of answers belongs to no run and stays.
 * Its files are the caller's to remove (run_delete() in submit.h does both).
 * ERR_NOT_FOUND (also when owned by another, or deleted already).
 */
enum err_code store_delete_run(struct store *st, const char *owner,
    const char *run_id, int64_t now_ms, enum delete_outcome *outcome,
    struct err *e);

struct deleted_run {
	char id[ID_MAX];
	int64_t deleted_ms;
};

struct deleted_list {
	struct deleted_run *rows;
	int n;
};

/* Deleted runs that may still have files, those deleted first first, behind
 * *after (all zero: from the first on), at most max (<= 100). */
enum err_code store_list_deleted(struct store *st,
    const struct deleted_run *after, int max, struct deleted_list *out,
    struct err *e);
void deleted_list_release(struct deleted_list *l);
/* They are gone for good: the run is not listed any more. */
enum err_code store_files_removed(struct store *st, const char *run_id,
    struct err *e);

#endif
