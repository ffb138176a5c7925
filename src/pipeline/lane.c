/*
 * The bounded pool of threads that lanes run in.
 *
 * A job hands over its lanes as one batch and works on them itself: its own
 * thread takes from its own batch whatever the pool has not taken, then waits
 * for the rest.  So a job always gets on, even when the pool is smaller than
 * its lanes, full of other jobs' lanes, or unable to make a thread; and no lane
 * ever waits for another lane.
 *
 * Batches stand in a ring and take turns: a free thread takes one lane of the
 * batch in front, which then goes to the back.  A run of six variants cannot
 * keep a run of one waiting behind it.
 */
#include <pthread.h>
#include <signal.h>

#include "internal.h"

#include "xalloc.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LANE_STACK_BYTES (1024 * 1024)	/* instrumented frames are larger */
#else
#define LANE_STACK_BYTES (256 * 1024)
#endif

struct batch {
	struct lane_task *tasks;
	int n, next;		/* tasks from next on are not taken yet */
	int running;
	pthread_cond_t done;	/* signalled when none is running or left */
	struct batch *prev, *after;	/* in the ring while any is left */
};

struct lane_pool {
	pthread_mutex_t lock;
	pthread_cond_t work;	/* a batch has come, or the pool closes */
	struct batch *ring;	/* whose turn it is; NULL: nothing waits */
	int waiting;		/* tasks in the ring that nobody has taken */
	pthread_t *threads;
	int n_threads, max_threads;
	int idle;
	bool closing;
};

static void
ring_add(struct lane_pool *p, struct batch *b)
{
	if (p->ring == NULL) {
		b->prev = b->after = b;
		p->ring = b;
		return;
	}
	b->after = p->ring;
	b->prev = p->ring->prev;
	b->prev->after = b;
	b->after->prev = b;
}

static void
ring_remove(struct lane_pool *p, struct batch *b)
{
	if (b->after == b) {
		p->ring = NULL;
	} else {
		b->prev->after = b->after;
		b->after->prev = b->prev;
		if (p->ring == b)
			p->ring = b->after;
	}
	b->prev = b->after = NULL;
}

/* Take the next task of b and run it with the lock let go meanwhile. */
static void
run_one(struct lane_pool *p, struct batch *b)
{
	struct lane_task *t;

	t = &b->tasks[b->next++];
	p->waiting--;
	b->running++;
	if (b->next == b->n)
		ring_remove(p, b);
	pthread_mutex_unlock(&p->lock);
	t->run(t->arg);
	pthread_mutex_lock(&p->lock);
	b->running--;
	if (b->running == 0 && b->next == b->n)
		pthread_cond_signal(&b->done);
}

static void *
lane_thread(void *arg)
{
	struct lane_pool *p = arg;
	struct batch *b;

	pthread_mutex_lock(&p->lock);
	while (!p->closing || p->ring != NULL) {
		if (p->ring == NULL) {
			p->idle++;
			pthread_cond_wait(&p->work, &p->lock);
			p->idle--;
			continue;
		}
		b = p->ring;
		p->ring = b->after;	/* the next turn is another's */
		run_one(p, b);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* One more thread; without success the others have to do. */
static void
add_thread(struct lane_pool *p)
{
	pthread_attr_t attr;
	sigset_t all, before;

	/* Signals are for the program's main thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, LANE_STACK_BYTES);
	if (pthread_create(&p->threads[p->n_threads], &attr, lane_thread,
	    p) == 0)
		p->n_threads++;
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

struct lane_pool *
lane_pool_new(int max_threads)
{
	struct lane_pool *p;

	p = xcalloc(1, sizeof(*p));
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	p->max_threads = max_threads > 0 ? max_threads : 0;
	p->threads = xcalloc((size_t)p->max_threads + 1, sizeof(*p->threads));
	return p;
}

void
lane_pool_free(struct lane_pool *p)
{
	int i;

	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->closing = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (i = 0; i < p->n_threads; i++)
		pthread_join(p->threads[i], NULL);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	free(p->threads);
	free(p);
}

/* Enough threads for all that waits but the one task the caller takes. */
static void
call_threads(struct lane_pool *p)
{
	int wanted;

	wanted = p->waiting - 1 - p->idle;
	while (wanted-- > 0 && p->n_threads < p->max_threads)
		add_thread(p);
	pthread_cond_broadcast(&p->work);
}

void
lane_pool_run(struct lane_pool *p, struct lane_task *tasks, int n)
{
	struct batch b = { .tasks = tasks, .n = n };
	int i;

	if (p == NULL) {
		for (i = 0; i < n; i++)
			tasks[i].run(tasks[i].arg);
		return;
	}
	if (n == 0)
		return;
	pthread_cond_init(&b.done, NULL);
	pthread_mutex_lock(&p->lock);
	ring_add(p, &b);
	p->waiting += n;
	call_threads(p);
	while (b.next < b.n)
		run_one(p, &b);
	while (b.running > 0)
		pthread_cond_wait(&b.done, &p->lock);
	pthread_mutex_unlock(&p->lock);
	pthread_cond_destroy(&b.done);
}
