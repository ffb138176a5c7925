/*
 * Counting requests over all workers.
 *
 * Figures that each worker kept for itself would have to be added up by whoever
 * is asked, who would need to ask the others; and what a worker had counted
 * would be gone with it, so that counters go backwards whenever one is
 * replaced.  So the parent maps a page before it forks, which all workers
 * inherit, old and new ones alike, and every count is one atomic addition in
 * it: exact without a lock, there when its worker is not, and at zero only when
 * the parent starts anew, which is what counters are allowed to do.
 *
 * The rule that must hold: whatever is in there is a lock-free atomic, since a
 * worker may be killed between any two instructions.
 */
#include "metrics.h"

#include <sys/mman.h>

#include "xalloc.h"

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "counters are shared by processes");

const int64_t latency_ends_us[LATENCY_BUCKETS - 1] = { 500, 1000, 2500, 5000,
	10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000,
	10000000 };

struct metrics *
metrics_new(int64_t now_ms)
{
	struct metrics *m;

	m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED)
		return NULL;
	m->started_ms = now_ms;
	return m;
}

void
metrics_free(struct metrics *m)
{
	if (m != NULL)
		munmap(m, sizeof(*m));
}

static void
add(atomic_llong *to, int64_t n)
{
	if (n != 0)
		atomic_fetch_add_explicit(to, n, memory_order_relaxed);
}

void
metrics_request(struct metrics *m, int route, int status, int64_t us,
    int64_t received, int64_t sent)
{
	struct latency *l;
	int i = 0;

	if (route < 0 || route >= METRICS_ROUTES)
		route = METRICS_ROUTES - 1;
	if (status < 100 || status > 599)
		status = 500;
	l = &m->latency[route][status / 100 - 1];
	while (i < LATENCY_BUCKETS - 1 && us > latency_ends_us[i])
		i++;
	add(&l->sum_us, us);
	add(&l->n[i], 1);
	add(&m->received_bytes, received);
	add(&m->sent_bytes, sent);
}

void
metrics_store(struct metrics *m, const struct store_stats *before,
    const struct store_stats *now)
{
	long long longest = atomic_load(&m->store_max_turn_wait_us);

	add(&m->store_commits, now->commits - before->commits);
	add(&m->store_units, now->units - before->units);
	add(&m->store_failed_units, now->failed_units - before->failed_units);
	add(&m->store_busy_waits, now->busy_waits - before->busy_waits);
	add(&m->store_busy_errors, now->busy_errors - before->busy_errors);
	while (now->max_turn_wait_us > longest &&
	    !atomic_compare_exchange_weak(&m->store_max_turn_wait_us, &longest,
	    now->max_turn_wait_us))
		;
}

void
metrics_read(const struct metrics *m, int route, int status_class,
    struct latency_figures *out)
{
	const struct latency *l = &m->latency[route][status_class];
	int64_t n;
	int i;

	for (i = 0; i < LATENCY_BUCKETS; i++) {
		n = atomic_load(&l->n[i]);
		out->n[i] += n;
		out->count += n;
	}
	out->sum_us += atomic_load(&l->sum_us);
}

int64_t
latency_quantile_us(const struct latency_figures *f, double q)
{
	int64_t below = 0;
	int i;

	for (i = 0; i < LATENCY_BUCKETS - 1 && f->count > 0; i++) {
		below += f->n[i];
		if ((double)below >= q * (double)f->count)
			return latency_ends_us[i];
	}
	return -1;
}
