/*
 * Rows as the JSON objects of the API document (openapi.yaml): every
 * documented key present, missing values null, times with Z; and the
 * cursor a client is given to come back with.
 */
#ifndef CHURNS_VIEWS_H
#define CHURNS_VIEWS_H

#include <stdbool.h>
#include <stdint.h>

#include "json.h"
#include "store.h"

struct json_object *view_run(const struct run *r);	/* Run */
/* RunDetail; the stages begun or skipped */
struct json_object *view_run_detail(const struct run *r,
    const struct stage_list *stages);
/* RunList and "next_cursor"; page 0 (by key) is null, an unknown total, too */
struct json_object *view_run_list(const struct run_page *p, int page,
    int page_size);
/* RunStatusReport and "last_seq"; job (NULL: none) is the run's own */
struct json_object *view_run_status(const struct run *r,
    const struct job *job, const struct stage_list *stages, int64_t now_ms);
struct json_object *view_stage(const struct stage_row *s);	/* StageProgress */
/* {"events":[{"seq","type","run_id","timestamp","data"}],"last_seq"} */
struct json_object *view_events(const char *run_id, const struct event_list *l);
/* {"processes":[{"role","pid","host","executors","constructed_total",...}]} */
struct json_object *view_processes(const struct process_list *l, int64_t now_ms);

/* --- cursors --------------------------------------------------------------- */

#define VIEW_CURSOR_MAX 64

/* Text for a URL, opaque to clients. */
void view_cursor(const struct run_key *k, char out[VIEW_CURSOR_MAX]);
/* False when it is none of ours. */
bool view_cursor_parse(const char *text, struct run_key *out);

#endif
