/*
 * A disk that loses power: a layer under SQLite, and in the place of fsync() and
 * fdatasync(), that knows what has reached the platter and what has not.
 *
 * Every file that SQLite opens for the database lives twice: the real file, which
 * is what the running program sees, and the platter, which is what a machine
 * would find after a power cut:
 *
 *   write, truncate          the real file; noted as pending
 *   sync of the file         pending becomes platter
 *   create, delete           the real directory; the name is pending
 *   sync of the directory    names become platter
 *   cut                      the platter, with any part of what is pending
 *
 * What is pending survives in pieces of a sector, each by chance, and a piece
 * may be torn: SQLite says that it can live with that.  A name that was not
 * synced may be there or not; so may one that was deleted.
 *
 * After the cut the process that goes on writes into the void: everything fails.
 * power_restore() then lays the platter down as real files, for the same paths.
 */
#ifndef POWER_H
#define POWER_H

#include <stdbool.h>
#include <stdint.h>

enum power_survival {
	POWER_DROP,		/* nothing that was not synced */
	POWER_SOME,		/* pieces of it */
	POWER_KEEP,		/* all of it: a kill, not a cut */
	POWER__COUNT
};

/* Put the layer under SQLite as its default; the test's process ends with it.
 * Files in dir (a path without links) have a platter, and so has its own name
 * if it is not there yet. */
void power_install(const char *dir);

/* Lose power at the n-th operation from now on (1 is the next one), while it is
 * being done; the seed decides what survives. n < 0: not by itself. */
void power_cut_at(int n, enum power_survival how, uint64_t seed);
void power_cut_now(void);	/* between two operations */
bool power_is_off(void);
int power_operations(void);	/* so far, since power_cut_at() */
bool power_lost_something(void);	/* the last cut: not all survived */

/* From now on the disk says "synced" and has done nothing. */
void power_lie(bool lies);

/* The machine starts again: the files are what was on the platter. Nobody may
 * have any of them open. */
void power_restore(void);

#endif
