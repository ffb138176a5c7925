/*
 * Gates: when a call may be sent.
 *
 * Per provider: calls in flight, requests a minute, a pause that everybody
 * keeps after the provider asked for one.  Over all providers: calls of a
 * kind in flight.  Nobody waits in here; a ticket that is not let through
 * stands in its queue (one per provider and kind, first come first served)
 * and its group is woken when the queue moves:
 *
 *   - only the head of a queue may pass;
 *   - whoever passes or gives up wakes the next head;
 *   - whoever leaves wakes all heads, for the slot may suit any of them.
 *
 * A thread with several calls asks for all of them in turn and waits for
 * answers and wakes together, so it can never wait for a slot that one of
 * its own finished calls holds.
 *
 * A provider that answers 429 gets half as many calls at a time, and one more
 * for each full round that goes well.  One that failed BREAKER_AFTER times in
 * a row gets no call for a while and then one at a time until one succeeds.
 */
#include "call.h"

#include <assert.h>

#include "clock.h"
#include "xalloc.h"

#define BREAKER_AFTER 8
#define LIMITED_ONCE_MS 1000
#define BURST_S 5	/* of the minute's rate, at once after a quiet time */
#define TOKEN 60000	/* of one request; a rate of 1 earns 1 each ms */

TAILQ_HEAD(gate_queue, gate_ticket);

struct gate {
	const struct provider *provider;
	struct gate_queue queue[GATE_KIND__COUNT];
	int waiting;
	int in_flight;
	int allowed;		/* 1 .. provider->max_parallel, after 429s */
	int good;		/* successes since allowed changed */
	int64_t limited_ms;	/* when it was last halved; monotonic */
	int broken;		/* failures in a row */
	int64_t tokens;		/* TOKEN for a request */
	int64_t tokens_ms;	/* when they were counted; monotonic */
	int64_t paused_until_ms;	/* monotonic */
	int64_t calls, errors;
};

struct gates {
	pthread_mutex_t lock;
	struct gate *gates;	/* as conf->providers */
	int n;
	int in_flight[GATE_KIND__COUNT];
	int max[GATE_KIND__COUNT];
	int64_t breaker_pause_ms;
};

static int64_t
burst_of(const struct gate *g)
{
	int64_t burst = (int64_t)g->provider->rate_per_minute * BURST_S / 60;

	return (burst < 1 ? 1 : burst) * TOKEN;
}

static int
at_least_one(int n)
{
	return n > 1 ? n : 1;
}

struct gates *
gates_new(const struct conf *conf)
{
	struct gates *gs = xcalloc(1, sizeof(*gs));
	int i, k;

	pthread_mutex_init(&gs->lock, NULL);
	gs->n = conf->n_providers;
	gs->gates = xcalloc((size_t)gs->n + 1, sizeof(*gs->gates));
	gs->max[GATE_LLM] = at_least_one(conf->settings.max_parallel_llm);
	gs->max[GATE_IMAGE] = at_least_one(conf->settings.max_parallel_image);
	gs->breaker_pause_ms = conf->settings.retry_cap_ms;
	for (i = 0; i < gs->n; i++) {
		struct gate *g = &gs->gates[i];

		g->provider = &conf->providers[i];
		g->allowed = at_least_one(g->provider->max_parallel);
		g->tokens = burst_of(g);
		for (k = 0; k < GATE_KIND__COUNT; k++)
			TAILQ_INIT(&g->queue[k]);
	}
	return gs;
}

void
gates_free(struct gates *gs)
{
	if (gs == NULL)
		return;
	pthread_mutex_destroy(&gs->lock);
	free(gs->gates);
	free(gs);
}

static void
wake_head(struct gate *g, enum gate_kind kind)
{
	struct gate_ticket *head = TAILQ_FIRST(&g->queue[kind]);

	if (head != NULL)
		http_group_wake(head->wake);
}

static void
wake_all_heads(struct gates *gs)
{
	int i, k;

	for (i = 0; i < gs->n; i++)
		for (k = 0; k < GATE_KIND__COUNT; k++)
			wake_head(&gs->gates[i], (enum gate_kind)k);
}

/* Credit the time since the last look. */
static void
earn_tokens(struct gate *g, int64_t now_ms)
{
	int64_t burst = burst_of(g);

	if (g->tokens_ms != 0 && now_ms > g->tokens_ms) {
		/* A quiet hour is as good as a quiet minute. */
		if (now_ms - g->tokens_ms > TOKEN)
			g->tokens = burst;
		else
			g->tokens += (now_ms - g->tokens_ms) *
			    g->provider->rate_per_minute;
	}
	if (g->tokens > burst)
		g->tokens = burst;
	if (now_ms > g->tokens_ms)
		g->tokens_ms = now_ms;
}

/* May one more go to this provider? If time alone will help, when. */
static bool
gate_open(struct gates *gs, struct gate *g, enum gate_kind kind,
    int64_t now_ms, int64_t *again_ms)
{
	int rate = g->provider->rate_per_minute;

	*again_ms = INT64_MAX;
	if (gs->in_flight[kind] >= gs->max[kind] ||
	    g->in_flight >= (g->broken >= BREAKER_AFTER ? 1 : g->allowed))
		return false;
	if (g->paused_until_ms > now_ms) {
		*again_ms = g->paused_until_ms;
		return false;
	}
	if (rate <= 0)
		return true;
	earn_tokens(g, now_ms);
	if (g->tokens >= TOKEN)
		return true;
	*again_ms = now_ms + (TOKEN - g->tokens + rate - 1) / rate;
	return false;
}

bool
gate_enter(struct gates *gs, struct gate_ticket *t, int64_t now_ms,
    int64_t *again_ms)
{
	struct gate *g = &gs->gates[t->provider];
	bool in = false;

	assert(!t->held);
	*again_ms = INT64_MAX;
	pthread_mutex_lock(&gs->lock);
	if (!t->queued) {
		TAILQ_INSERT_TAIL(&g->queue[t->kind], t, link);
		t->queued = true;
		g->waiting++;
	}
	if (TAILQ_FIRST(&g->queue[t->kind]) == t)
		in = gate_open(gs, g, t->kind, now_ms, again_ms);
	if (in) {
		TAILQ_REMOVE(&g->queue[t->kind], t, link);
		t->queued = false;
		t->held = true;
		g->waiting--;
		g->in_flight++;
		gs->in_flight[t->kind]++;
		g->calls++;
		if (g->provider->rate_per_minute > 0)
			g->tokens -= TOKEN;
		wake_head(g, t->kind);
	}
	pthread_mutex_unlock(&gs->lock);
	return in;
}

/* What a finished call says about its provider. */
static void
learn(struct gates *gs, struct gate *g, enum gate_result result,
    int64_t now_ms)
{
	switch (result) {
	case GATE_NEUTRAL:
		return;
	case GATE_FINE:
		g->broken = 0;
		if (g->allowed < g->provider->max_parallel &&
		    ++g->good >= g->allowed) {
			g->allowed++;
			g->good = 0;
		}
		return;
	case GATE_LIMITED:
		g->errors++;
		g->good = 0;
		/* All that were under way are refused together: once. */
		if (g->limited_ms != 0 &&
		    now_ms < g->limited_ms + LIMITED_ONCE_MS)
			return;
		g->allowed = at_least_one(g->allowed / 2);
		g->limited_ms = now_ms;
		return;
	case GATE_BROKEN:
		g->errors++;
		g->broken++;
		if (g->broken >= BREAKER_AFTER &&
		    g->paused_until_ms < now_ms + gs->breaker_pause_ms)
			g->paused_until_ms = now_ms + gs->breaker_pause_ms;
		return;
	}
}

void
gate_leave(struct gates *gs, struct gate_ticket *t, enum gate_result result,
    int64_t now_ms)
{
	struct gate *g;

	if (!t->queued && !t->held)
		return;
	g = &gs->gates[t->provider];
	pthread_mutex_lock(&gs->lock);
	if (t->queued) {
		TAILQ_REMOVE(&g->queue[t->kind], t, link);
		g->waiting--;
		wake_head(g, t->kind);
	} else {
		g->in_flight--;
		gs->in_flight[t->kind]--;
		learn(gs, g, result, now_ms);
		wake_all_heads(gs);
	}
	t->queued = t->held = false;
	pthread_mutex_unlock(&gs->lock);
}

void
gate_pause(struct gates *gs, int provider, int64_t until_ms)
{
	struct gate *g = &gs->gates[provider];

	pthread_mutex_lock(&gs->lock);
	if (g->paused_until_ms < until_ms)
		g->paused_until_ms = until_ms;
	pthread_mutex_unlock(&gs->lock);
}

static enum circuit
circuit_of(const struct gate *g, int64_t mono_ms)
{
	if (g->broken < BREAKER_AFTER)
		return CIRCUIT_CLOSED;
	return g->paused_until_ms > mono_ms ? CIRCUIT_OPEN :
	    CIRCUIT_HALF_OPEN;
}

int
gates_stats(struct gates *gs, struct provider_stats *out, int max)
{
	int64_t mono_ms = clock_mono_ms(), now_ms = clock_now_ms();
	int i;

	pthread_mutex_lock(&gs->lock);
	for (i = 0; i < gs->n && i < max; i++) {
		const struct gate *g = &gs->gates[i];

		out[i].name = g->provider->name;
		out[i].calls = g->calls;
		out[i].errors = g->errors;
		out[i].in_flight = g->in_flight;
		out[i].waiting = g->waiting;
		out[i].circuit = circuit_of(g, mono_ms);
		out[i].paused_until_ms = g->paused_until_ms > mono_ms ?
		    now_ms + g->paused_until_ms - mono_ms : 0;
	}
	pthread_mutex_unlock(&gs->lock);
	return gs->n;
}
