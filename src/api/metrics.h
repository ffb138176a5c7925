/*
 * What is counted of requests and workers, exactly, over all workers of a
 * parent: struct metrics lies in memory that they share.
 */
#ifndef API_METRICS_H
#define API_METRICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store.h"

#define METRICS_ROUTES 64	/* rows of the table of routes, and one more */
#define STATUS_CLASSES 5	/* 1xx to 5xx */
#define LATENCY_BUCKETS 15	/* the last one has no upper end */

/* Upper ends in microseconds; of all but the last bucket. */
extern const int64_t latency_ends_us[LATENCY_BUCKETS - 1];

struct latency {
	atomic_llong n[LATENCY_BUCKETS];
	atomic_llong sum_us;
};

struct metrics {
	struct latency latency[METRICS_ROUTES][STATUS_CLASSES];
	atomic_llong received_bytes;	/* of bodies */
	atomic_llong sent_bytes;
	atomic_llong workers_started, workers_ended, workers_killed;
	/* What the workers' stores did: struct store_stats, added up. */
	atomic_llong store_commits, store_units, store_failed_units;
	atomic_llong store_busy_waits, store_busy_errors;
	atomic_llong store_max_turn_wait_us;	/* the longest of all */
	int64_t started_ms;	/* of the parent; written before it forks */
};

/* Zeroed. NULL when there is no memory. */
struct metrics *metrics_new(int64_t now_ms);
void metrics_free(struct metrics *m);	/* in this process */

/* A request was answered; route as in request.route. */
void metrics_request(struct metrics *m, int route, int status, int64_t us,
    int64_t received, int64_t sent);
/* A worker's store has gone on from *before to *now. */
void metrics_store(struct metrics *m, const struct store_stats *before,
    const struct store_stats *now);

/* One reading of a histogram: the buckets of the same moment, more or less, and
 * count is their sum whatever happens meanwhile. */
struct latency_figures {
	int64_t n[LATENCY_BUCKETS];
	int64_t count, sum_us;
};

/* Adds to *out. */
void metrics_read(const struct metrics *m, int route, int status_class,
    struct latency_figures *out);
/* The end of the bucket in which the q-th part (0 to 1) lies; -1 without
 * requests, and beyond the last end. */
int64_t latency_quantile_us(const struct latency_figures *f, double q);

#endif
