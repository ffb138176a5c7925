/*
 * What a finished run shows: pipeline_metadata.json (progress-and-files.md
 * 3.2) and, derived from it, the RunResults object of the API and of the
 * run_complete event.  Pure functions over JSON.
 */
#ifndef CHURNS_RESULTS_H
#define CHURNS_RESULTS_H

#include <stdint.h>

#include "context.h"
#include "json.h"
#include "store.h"

#define METADATA_FILE "pipeline_metadata.json"
#define METADATA_MAX_BYTES (8 * 1024 * 1024)

/* The metadata document. outputs: per stage {output_key: ...} as told to
 * people, merged under its stage's name; warnings an array (not taken over). */
struct json_object *results_metadata(const struct json_object *inputs,
    const struct json_object *outputs, const struct json_object *warnings,
    const struct call_list *calls, const struct stage_list *stages,
    int64_t wall_ms, bool simulated);

/* {"total_pipeline_cost_usd", "total_pipeline_duration_seconds",
 *  "stage_costs":[{stage_name, cost_usd, duration_seconds, ...}], ...}:
 * every executed stage, failed ones with their real spend. */
struct json_object *results_cost_summary(const struct stage_list *stages,
    const struct call_list *calls, int64_t wall_ms);

/* llm_call_usage: the usage keys of generation.md 13.1 derived from the rows. */
struct json_object *results_usage(const struct call_list *calls);

/* RunResults from a metadata document: every documented key, generated images
 * by strategy index, plus "warnings" and "simulated". Concepts and prompts
 * stand in the place of their strategy index; places of variants that dropped
 * out are filled ("dropped": true). refinements is taken over; NULL: null. */
struct json_object *results_view(const char *run_id, const char *status,
    const struct json_object *metadata, struct json_object *refinements);

#endif
