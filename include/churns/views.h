/*
 * Rows as the JSON objects of the API document (openapi.yaml): every
 * documented key present, missing values null, times with Z.
 */
#ifndef CHURNS_VIEWS_H
#define CHURNS_VIEWS_H

#include "conf.h"
#include "json.h"
#include "store.h"

struct json_object *view_run(const struct run *r);	/* Run */
struct json_object *view_run_detail(const struct conf *conf,
    const struct run *r, const struct stage_list *stages);	/* RunDetail; stages begun or skipped */
struct json_object *view_run_list(const struct run_page *p, int page,
    int page_size);	/* RunList */
struct json_object *view_run_status(const struct run *r,
    const struct job *job, const struct stage_list *stages, int64_t now_ms);	/* RunStatusReport, plus warnings-free extras */
struct json_object *view_stage(const struct stage_row *s);	/* StageProgress */
/* {"events":[{"seq","type","run_id","timestamp","data"}],"last_seq"} */
struct json_object *view_events(const char *run_id, const struct event_list *l);
/* {"processes":[{"role","pid","host","executors","constructed_total",...}]} */
struct json_object *view_processes(const struct process_list *l, int64_t now_ms);

#endif
