/*
 * One line per event, to standard error: UTC time, level, program, event,
 * then key=value fields.  Only main loops log; everything below returns an
 * err.  A tolerated failure ends its event in ", ignoring".
 *
 *   log_info("run claimed", "run=%s stage=%s", id, stage);
 *   2026-01-01T12:00:00.123Z info churns-runner "run claimed" run=... stage=...
 *
 * In JSON format the same becomes {"time":...,"level":...,"program":...,
 * "event":...,"fields":"run=... stage=..."} with fields split at key=value
 * where possible.  Lines are cut at 4 KB; control characters are escaped, so
 * bytes from outside cannot forge a line.  Values with blanks are quoted by
 * the caller with LOG_Q (a string through log_quote()).
 *
 * Thread-safe: one write(2) per line.
 */
#ifndef CHURNS_LOG_H
#define CHURNS_LOG_H

#include <stdbool.h>

#include "banned.h"

#define LOG_LINE_MAX 4096
#define LOG_CONTEXT_MAX 128

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

/* program is kept, not copied. Before this call: text, info. */
void log_init(const char *program, enum log_level level, enum log_format fmt);
bool log_level_parse(const char *name, enum log_level *out);	/* "debug"... any case */
bool log_enabled(enum log_level level);

void log_write(enum log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define log_debug(event, ...) \
	do { if (log_enabled(LOG_DEBUG)) log_write(LOG_DEBUG, event, __VA_ARGS__); } while (0)
#define log_info(event, ...) log_write(LOG_INFO, event, __VA_ARGS__)
#define log_warn(event, ...) log_write(LOG_WARN, event, __VA_ARGS__)
#define log_error(event, ...) log_write(LOG_ERROR, event, __VA_ARGS__)

/*
 * Fields ("request=..."), cut at LOG_CONTEXT_MAX bytes, that stand before those
 * of every line this thread writes from now on, so that whatever is logged on
 * behalf of a request says which one. NULL ends it.
 */
void log_context(const char *fields);

/* s as a double-quoted value, cut at about 512 bytes; uses a thread-local
 * ring of four buffers, so at most four per log call. NULL gives "". */
const char *log_quote(const char *s);

#endif
