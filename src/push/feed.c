/*
 * What the store knows, as answers for the hub.
 *
 * "The state of a run" is, while it is unfinished, the latest stage_update of
 * each stage, and after its end the message that told the end, if that was
 * only just now: whoever opens a page then must learn of it, but an old end
 * would make that page celebrate again.
 */
#include "feed.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "clock.h"
#include "log.h"
#include "xalloc.h"

#define MAX_STAGES_TOLD 64	/* of a run's state: its own and its refinements' */
#define LAST_EVENTS 64		/* looked through for the end of a run */

/* --- composing answers ---------------------------------------------------- */

static void
add_frame(struct answer *a, struct frame *f)
{
	a->frames = xrealloc_array(a->frames, a->n + 1, sizeof(*a->frames));
	a->frames[a->n++] = f;
}

static void
read_events(struct store *st, struct answer *a, struct err *e)
{
	struct event_list l = { NULL, 0, 0 };
	const struct question *q = &a->q;
	struct gist gist;
	int i;

	a->rc = store_list_events(st, q->owner, q->run_id, q->after, q->limit,
	    &l, e);
	a->last_seq = l.last_seq;
	for (i = 0; i < l.n; i++) {
		add_frame(a, frame_of_event(q->run_id, &l.rows[i], &gist));
		gist_release(&gist);
	}
	event_list_release(&l);
}

/* The stages told so far; names[i] belongs to frames[i] of the answer. */
struct stages {
	char *names[MAX_STAGES_TOLD];
};

/* In place of what the stage told before, and behind all others. */
static void
tell_stage(struct answer *a, struct stages *s, struct frame *f, char *name)
{
	size_t i;

	for (i = 0; i < a->n && strcmp(s->names[i], name) != 0; i++)
		continue;
	if (i == a->n && a->n == MAX_STAGES_TOLD)
		i = 0;
	if (i < a->n) {
		frame_unref(a->frames[i]);
		free(s->names[i]);
		a->n--;
		memmove(&a->frames[i], &a->frames[i + 1],
		    (a->n - i) * sizeof(a->frames[0]));
		memmove(&s->names[i], &s->names[i + 1],
		    (a->n - i) * sizeof(s->names[0]));
	}
	s->names[a->n] = name;
	add_frame(a, f);
}

static void
look_at_stage(struct answer *a, struct stages *s, const struct event *ev)
{
	struct frame *f;
	struct gist gist;

	if (ev->seq > a->last_seq || strcmp(ev->type, "stage_update") != 0)
		return;
	f = frame_of_event(a->q.run_id, ev, &gist);
	if (gist.stage != NULL)
		tell_stage(a, s, f, gist.stage);
	else
		frame_unref(f);
	gist.stage = NULL;
	gist_release(&gist);
}

static void
read_stages(struct store *st, struct answer *a, struct err *e)
{
	struct event_list l = { NULL, 0, 0 };
	struct stages s;
	int64_t after = 0;
	size_t n;
	int i;

	do {
		a->rc = store_list_events(st, a->q.owner, a->q.run_id, after,
		    MAX_EVENTS_PAGE, &l, e);
		n = (size_t)l.n;
		for (i = 0; i < l.n; i++) {
			after = l.rows[i].seq;
			look_at_stage(a, &s, &l.rows[i]);
		}
		event_list_release(&l);
	} while (a->rc == ERR_OK && n > 0 && after < a->last_seq);
	for (n = 0; n < a->n; n++)
		free(s.names[n]);
}

static void
read_end(struct store *st, struct answer *a, int64_t wall_ms, struct err *e)
{
	struct event_list l = { NULL, 0, 0 };
	struct frame *end = NULL, *f;
	struct gist gist;
	int64_t after = a->last_seq > LAST_EVENTS ? a->last_seq - LAST_EVENTS :
	    0;
	int i;

	a->rc = store_list_events(st, a->q.owner, a->q.run_id, after,
	    LAST_EVENTS, &l, e);
	for (i = 0; i < l.n && l.rows[i].seq <= a->last_seq; i++) {
		if (l.rows[i].created_ms < wall_ms - a->q.recent_ms ||
		    strncmp(l.rows[i].type, "run_", 4) != 0)
			continue;
		f = frame_of_event(a->q.run_id, &l.rows[i], &gist);
		if (gist.is_end) {
			frame_unref(end);
			end = f;
		} else {
			frame_unref(f);
		}
		gist_release(&gist);
	}
	if (end != NULL)
		add_frame(a, end);
	event_list_release(&l);
}

static void
read_state(struct store *st, struct answer *a, int64_t wall_ms, struct err *e)
{
	const char *run_id = a->q.run_id;
	struct run_tip tip = { -1, false };

	a->rc = store_read_tips(st, a->q.owner, &run_id, 1, &tip, e);
	if (a->rc == ERR_OK && tip.last_seq < 0)
		a->rc = err_set(e, ERR_NOT_FOUND, "there is no such run");
	if (a->rc != ERR_OK)
		return;
	a->last_seq = tip.last_seq;
	if (tip.is_over)
		read_end(st, a, wall_ms, e);
	else
		read_stages(st, a, e);
}

static void
read_tips(struct store *st, struct answer *a, struct err *e)
{
	const struct question *q = &a->q;
	const char **ids = xcalloc(q->n, sizeof(*ids));
	size_t i;

	for (i = 0; i < q->n; i++)
		ids[i] = q->run_ids[i];
	a->tips = xcalloc(q->n, sizeof(*a->tips));
	a->rc = store_read_tips(st, q->owner, ids, q->n, a->tips, e);
	free(ids);
}

static void
read_version(struct store *st, struct answer *a, int64_t *version,
    struct err *e)
{
	int64_t now = 0;

	a->rc = store_data_version(st, &now, e);
	if (a->rc != ERR_OK)
		return;
	a->changed = now != *version;
	*version = now;
}

void
feed_read(struct store *st, struct question *q, int64_t wall_ms,
    int64_t *version, struct answer *out)
{
	struct answer a = { .q = *q };
	struct err e = ERR_INIT;

	memset(q, 0, sizeof(*q));
	switch (a.q.kind) {
	case ASK_STATE:
		read_state(st, &a, wall_ms, &e);
		break;
	case ASK_AFTER:
	case ASK_NEWS:
		read_events(st, &a, &e);
		break;
	case ASK_CHANGED:
		read_version(st, &a, version, &e);
		break;
	case ASK_TIPS:
		read_tips(st, &a, &e);
		break;
	}
	if (a.rc != ERR_OK && a.rc != ERR_NOT_FOUND)
		log_warn("events not read, trying again", "run=%s error=%s",
		    a.q.run_id, log_quote(e.msg));
	*out = a;
}

/* --- the thread ----------------------------------------------------------- */

struct feed {
	struct store *store;
	void (*ready)(void *arg);
	void *arg;
	pthread_t thread;
	atomic_int pending;
	pthread_mutex_t lock;
	pthread_cond_t asked, answered;
	bool stopping;
	bool awaited;		/* somebody is in feed_wait() */
	struct question questions[FEED_MAX_PENDING];	/* rings */
	struct answer answers[FEED_MAX_PENDING];
	int first_question, n_questions, first_answer, n_answers;
};

/* The lock is held. */
static void
put_answer(struct feed *f, const struct answer *a)
{
	f->answers[(f->first_answer + f->n_answers) % FEED_MAX_PENDING] = *a;
	f->n_answers++;
	if (f->awaited)
		pthread_cond_signal(&f->answered);
}

static void *
feed_run(void *arg)
{
	struct feed *f = arg;
	struct question q;
	struct answer a;
	int64_t version = 0;
	bool awaited;

	pthread_mutex_lock(&f->lock);
	for (;;) {
		while (f->n_questions == 0 && !f->stopping)
			pthread_cond_wait(&f->asked, &f->lock);
		if (f->stopping)
			break;
		q = f->questions[f->first_question];
		f->first_question = (f->first_question + 1) % FEED_MAX_PENDING;
		f->n_questions--;
		pthread_mutex_unlock(&f->lock);
		feed_read(f->store, &q, clock_now_ms(), &version, &a);
		pthread_mutex_lock(&f->lock);
		put_answer(f, &a);
		awaited = f->awaited;
		pthread_mutex_unlock(&f->lock);
		if (!awaited)
			f->ready(f->arg);
		pthread_mutex_lock(&f->lock);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

static void
feed_free(struct feed *f)
{
	pthread_cond_destroy(&f->asked);
	pthread_cond_destroy(&f->answered);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

enum err_code
feed_start(struct store *st, void (*ready)(void *arg), void *arg,
    struct feed **out, struct err *e)
{
	struct feed *f = xcalloc(1, sizeof(*f));
	pthread_condattr_t monotonic;
	sigset_t all, before;
	int rc;

	f->store = st;
	f->ready = ready;
	f->arg = arg;
	pthread_mutex_init(&f->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&f->asked, NULL);
	pthread_cond_init(&f->answered, &monotonic);
	pthread_condattr_destroy(&monotonic);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&f->thread, NULL, feed_run, f);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0) {
		feed_free(f);
		return err_set_errno(e, ERR_SYSTEM, rc, "no thread");
	}
	*out = f;
	return ERR_OK;
}

void
feed_stop(struct feed *f)
{
	struct answer a;
	int i;

	if (f == NULL)
		return;
	pthread_mutex_lock(&f->lock);
	f->stopping = true;
	pthread_cond_signal(&f->asked);
	pthread_mutex_unlock(&f->lock);
	pthread_join(f->thread, NULL);
	while (feed_take(f, &a))
		answer_release(&a);
	for (i = 0; i < f->n_questions; i++)
		free(f->questions[(f->first_question + i) %
		    FEED_MAX_PENDING].run_ids);
	feed_free(f);
}

int
feed_pending(const struct feed *f)
{
	return atomic_load(&f->pending);
}

void
feed_ask(struct feed *f, const struct question *q)
{
	atomic_fetch_add(&f->pending, 1);
	pthread_mutex_lock(&f->lock);
	f->questions[(f->first_question + f->n_questions) % FEED_MAX_PENDING] =
	    *q;
	f->n_questions++;
	pthread_cond_signal(&f->asked);
	pthread_mutex_unlock(&f->lock);
}

bool
feed_wait(struct feed *f, int max_us)
{
	struct timespec until;
	bool found;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += max_us * 1000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	pthread_mutex_lock(&f->lock);
	f->awaited = true;
	while (f->n_answers == 0)
		if (pthread_cond_timedwait(&f->answered, &f->lock, &until) !=
		    0)
			break;
	f->awaited = false;
	found = f->n_answers > 0;
	pthread_mutex_unlock(&f->lock);
	return found;
}

bool
feed_take(struct feed *f, struct answer *out)
{
	bool found;

	pthread_mutex_lock(&f->lock);
	found = f->n_answers > 0;
	if (found) {
		*out = f->answers[f->first_answer];
		f->first_answer = (f->first_answer + 1) % FEED_MAX_PENDING;
		f->n_answers--;
	}
	pthread_mutex_unlock(&f->lock);
	if (found)
		atomic_fetch_sub(&f->pending, 1);
	return found;
}
