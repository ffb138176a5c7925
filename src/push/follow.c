/*
 * Runs: what the store is asked about them, and who is given the answers.
 *
 * A client that joins asks for itself: the state of the run, or page after page
 * from the number it names.  It asks for the next page only when it has sent
 * the last one, so a long history never fills a queue, and it is live when it
 * has caught up with its audience.  From then on one question of the audience
 * serves all: news are asked for once and shared.
 *
 *   audience   NEW --first answer--> FOLLOWED --run deleted--> SILENT
 *                '--no such run--> SILENT
 *
 * News come by hints; hints can be lost.  So while any run is followed the
 * database is asked from time to time whether anybody has committed anything,
 * and only then how far each run has come.  A run that does not exist is never
 * asked for again: its clients cost a socket and nothing else.
 */
#include "hub_internal.h"

#include "xalloc.h"

#define PAGE_EVENTS 64		/* of one answer; half a queue if that is less */
#define RETRY_MS 1000		/* after the store could not answer */

/* --- audiences ------------------------------------------------------------ */

struct audience *
audience_find(struct hub *h, const char *run_id)
{
	struct link *bucket = &h->audiences[hub_hash(h, run_id) &
	    (BUCKETS - 1)];
	struct audience *a;
	struct link *l;

	for (l = bucket->next; l != bucket; l = l->next) {
		a = LINK_OF(l, struct audience, in_bucket);
		if (strcmp(a->run_id, run_id) == 0)
			return a;
	}
	return NULL;
}

struct audience *
audience_of(struct hub *h, const char *run_id)
{
	struct audience *a = audience_find(h, run_id);

	if (a != NULL)
		return a;
	a = xcalloc(1, sizeof(*a));
	snprintf(a->run_id, sizeof(a->run_id), "%s", run_id);
	a->state = id_is_valid(a->run_id) ? AUDIENCE_NEW : AUDIENCE_SILENT;
	a->ticket = ++h->last_ticket;
	link_init(&a->clients);
	link_init(&a->frames);
	link_init(&a->in_bucket);
	link_init(&a->in_all);
	link_init(&a->in_asking);
	link_put(&h->audiences[hub_hash(h, a->run_id) & (BUCKETS - 1)],
	    &a->in_bucket);
	link_put(&h->all, &a->in_all);
	return a;
}

void
audience_leave(struct hub *h, struct audience *a)
{
	struct link *l;

	if (!link_is_free(&a->clients))
		return;
	/* Frames may outlive it where a connection is still sending one. */
	for (l = link_first(&a->frames); l != NULL;
	    l = link_first(&a->frames))
		link_take(l);
	h->followed -= a->state == AUDIENCE_FOLLOWED;
	link_take(&a->in_bucket);
	link_take(&a->in_all);
	link_take(&a->in_asking);
	free(a);
}

/* The frame of that number that others wait for already, if there is one. The
 * reference of f is taken, one to the result is the caller's. */
static struct frame *
share(struct audience *a, struct frame *f)
{
	struct frame *other;
	struct link *l;

	for (l = a->frames.prev; l != &a->frames; l = l->prev) {
		other = LINK_OF(l, struct frame, shared);
		if (other->seq == f->seq) {
			frame_unref(f);
			return frame_ref(other);
		}
	}
	link_put(&a->frames, &f->shared);
	return f;
}

/* --- asking --------------------------------------------------------------- */

static void
ask_news(struct hub *h, struct audience *a)
{
	if (!link_is_free(&a->in_asking))
		return;
	if (a->asked || a->state == AUDIENCE_NEW) {
		a->news = true;
		return;
	}
	if (a->state != AUDIENCE_FOLLOWED)
		return;
	a->asked = true;
	a->news = a->failed = false;
	link_put(&h->asking_news, &a->in_asking);
}

void
client_ask(struct hub *h, struct client *c)
{
	if (c->drop != DROP_NONE || c->asked)
		return;
	if (!id_is_valid(c->home->run_id)) {
		c->state = CLIENT_SILENT;
		client_attend(h, c);
		return;
	}
	c->asked = true;
	c->failed = false;
	link_put(&h->asking, &c->in_asking);
}

void
client_drained(struct hub *h, struct client *c)
{
	if (c->state != CLIENT_CATCHING || c->asked || c->failed)
		return;
	if (c->seq >= c->home->seq)
		c->state = CLIENT_LIVE;
	else
		client_ask(h, c);
}

static void
ask_again_later(struct hub *h, const struct moment *now)
{
	if (h->retry_ms == INT64_MAX)
		h->retry_ms = now->mono_ms + RETRY_MS;
}

static int
page_events(const struct hub *h)
{
	int half = h->limits.queue_messages / 2;

	return half < PAGE_EVENTS ? half : PAGE_EVENTS;
}

static void
question_of_client(const struct hub *h, const struct client *c,
    struct question *q)
{
	q->kind = c->wants_state ? ASK_STATE : ASK_AFTER;
	q->ticket = c->ticket;
	memcpy(q->run_id, c->home->run_id, ID_MAX);
	q->after = c->seq;
	q->limit = page_events(h);
	q->recent_ms = h->limits.recent_ms;
}

static void
question_of_audience(const struct hub *h, const struct audience *a,
    struct question *q)
{
	q->kind = ASK_NEWS;
	q->ticket = a->ticket;
	memcpy(q->run_id, a->run_id, ID_MAX);
	q->after = a->seq;
	q->limit = page_events(h);
}

static void
question_of_tips(const struct hub *h, struct question *q)
{
	const struct audience *a;
	const struct link *l;

	q->kind = ASK_TIPS;
	q->run_ids = xcalloc((size_t)h->followed, sizeof(*q->run_ids));
	for (l = h->all.next; l != &h->all; l = l->next) {
		a = LINK_OF(l, const struct audience, in_all);
		if (a->state == AUDIENCE_FOLLOWED)
			memcpy(q->run_ids[q->n++], a->run_id, ID_MAX);
	}
}

/* Looking comes first: it is rare, cheap, and what it finds nobody has told.
 * Then news, since many wait for them; who comes anew waits for itself. */
bool
hub_question(struct hub *h, struct question *out)
{
	struct question q = { .owner = h->owner };
	struct link *news = link_first(&h->asking_news);
	struct link *client = link_first(&h->asking);

	if (h->want_tips && !h->poll_asked && h->followed > 0) {
		h->poll_asked = true;
		h->want_tips = h->want_changed = false;
		question_of_tips(h, &q);
	} else if (h->want_changed && !h->poll_asked) {
		h->poll_asked = true;
		h->want_changed = false;
		q.kind = ASK_CHANGED;
	} else if (news != NULL) {
		link_take(news);
		question_of_audience(h, LINK_OF(news, struct audience,
		    in_asking), &q);
	} else if (client != NULL) {
		link_take(client);
		question_of_client(h, LINK_OF(client, struct client,
		    in_asking), &q);
	} else {
		return false;
	}
	*out = q;
	return true;
}

/* --- answers -------------------------------------------------------------- */

void
answer_release(struct answer *a)
{
	size_t i;

	for (i = 0; i < a->n; i++)
		frame_unref(a->frames[i]);
	free(a->frames);
	free(a->tips);
	free(a->q.run_ids);
	memset(a, 0, sizeof(*a));
}

/* It exists, and its events go as far as seq. */
static void
follow(struct hub *h, struct audience *a, int64_t seq,
    const struct moment *now)
{
	if (a->state == AUDIENCE_FOLLOWED) {
		if (seq > a->seq)
			ask_news(h, a);
		return;
	}
	a->state = AUDIENCE_FOLLOWED;
	a->seq = seq;
	if (h->followed++ == 0)
		h->poll_ms = now->mono_ms + h->limits.poll_ms;
	if (a->news)
		ask_news(h, a);
}

/* There is no such run, or no longer. */
static void
silence(struct hub *h, struct audience *a)
{
	struct client *c;
	struct link *l;

	h->followed -= a->state == AUDIENCE_FOLLOWED;
	a->state = AUDIENCE_SILENT;
	a->asked = a->news = a->failed = false;
	link_take(&a->in_asking);
	for (l = a->clients.next; l != &a->clients; l = l->next) {
		c = LINK_OF(l, struct client, in_home);
		if (c->asked)
			continue;	/* it is told by its own answer */
		c->state = CLIENT_SILENT;
		c->failed = false;
		client_attend(h, c);
	}
}

static struct client *
client_of(struct audience *a, uint64_t ticket)
{
	struct client *c;
	struct link *l;

	for (l = a->clients.next; l != &a->clients; l = l->next) {
		c = LINK_OF(l, struct client, in_home);
		if (c->ticket == ticket)
			return c;
	}
	return NULL;
}

/* The client has its page; what of it is new goes into the queue. */
static void
give_page(struct hub *h, struct client *c, struct answer *a)
{
	size_t i;

	for (i = 0; i < a->n; i++) {
		a->frames[i] = share(c->home, a->frames[i]);
		if (!c->wants_state && a->frames[i]->seq <= c->seq)
			continue;
		client_push(h, c, a->frames[i], true);
		if (!c->wants_state)
			c->seq = a->frames[i]->seq;
	}
	/* A state is whole; so is a page that turned out empty. */
	if ((c->wants_state || a->n == 0) && a->last_seq > c->seq)
		c->seq = a->last_seq;
	c->wants_state = false;
}

static void
settle(struct hub *h, struct client *c)
{
	bool much = c->queued > h->limits.queue_messages / 2 ||
	    c->queued_bytes > h->limits.queue_bytes / 2;

	c->state = CLIENT_CATCHING;
	if (c->queued == 0)
		client_drained(h, c);
	else if (!much && c->seq >= c->home->seq)
		c->state = CLIENT_LIVE;
	client_attend(h, c);
}

static void
answer_client(struct hub *h, struct answer *a, const struct moment *now)
{
	struct audience *home = audience_find(h, a->q.run_id);
	struct client *c = home == NULL ? NULL : client_of(home, a->q.ticket);

	if (c == NULL || c->drop != DROP_NONE)
		return;
	c->asked = false;
	if (a->rc == ERR_OK) {
		follow(h, home, a->last_seq, now);
		give_page(h, c, a);
		settle(h, c);
	} else if (a->rc == ERR_NOT_FOUND) {
		c->state = CLIENT_SILENT;
		client_attend(h, c);
		silence(h, home);
	} else if (c->kind == CLIENT_STREAM && c->state == CLIENT_JOINING) {
		client_drop(h, c, DROP_TROUBLE);
	} else {
		c->failed = true;
		ask_again_later(h, now);
	}
}

static void
give_all(struct hub *h, struct audience *home, struct frame *f)
{
	struct client *c;
	struct link *l;

	for (l = home->clients.next; l != &home->clients; l = l->next) {
		c = LINK_OF(l, struct client, in_home);
		if (c->state != CLIENT_LIVE || f->seq <= c->seq)
			continue;
		client_push(h, c, f, false);
		c->seq = f->seq;
	}
}

static void
answer_news(struct hub *h, struct answer *a, const struct moment *now)
{
	struct audience *home = audience_find(h, a->q.run_id);
	size_t i;

	if (home == NULL || home->ticket != a->q.ticket ||
	    home->state != AUDIENCE_FOLLOWED)
		return;
	home->asked = false;
	if (a->rc == ERR_NOT_FOUND) {
		silence(h, home);
		return;
	}
	if (a->rc != ERR_OK) {
		home->failed = true;
		ask_again_later(h, now);
		return;
	}
	for (i = 0; i < a->n; i++) {
		a->frames[i] = share(home, a->frames[i]);
		give_all(h, home, a->frames[i]);
		home->seq = a->frames[i]->seq;
	}
	if (a->n == 0 && a->last_seq > home->seq)
		home->seq = a->last_seq;
	if (home->news || a->last_seq > home->seq)
		ask_news(h, home);
}

static void
answer_tips(struct hub *h, const struct answer *a)
{
	struct audience *home;
	size_t i;

	for (i = 0; i < a->q.n && a->rc == ERR_OK; i++) {
		home = audience_find(h, a->q.run_ids[i]);
		if (home == NULL || home->state != AUDIENCE_FOLLOWED)
			continue;
		if (a->tips[i].last_seq < 0)
			silence(h, home);
		else if (a->tips[i].last_seq > home->seq)
			ask_news(h, home);
	}
}

void
hub_answer(struct hub *h, struct answer *a, const struct moment *now)
{
	switch (a->q.kind) {
	case ASK_STATE:
	case ASK_AFTER:
		answer_client(h, a, now);
		break;
	case ASK_NEWS:
		answer_news(h, a, now);
		break;
	case ASK_CHANGED:
		h->poll_asked = false;
		/* Who cannot say must be taken to mean yes. */
		h->want_tips = h->want_tips || a->changed || a->rc != ERR_OK;
		h->poll_ms = now->mono_ms + h->limits.poll_ms;
		break;
	case ASK_TIPS:
		h->poll_asked = false;
		h->tips_failed = a->rc != ERR_OK;
		if (h->tips_failed)
			ask_again_later(h, now);
		answer_tips(h, a);
		break;
	}
	answer_release(a);
}

/* --- hints and time ------------------------------------------------------- */

/* A look at all of them; who has not been answered asks after the answer. */
static void
look_at_all(struct hub *h)
{
	struct audience *a;
	struct link *l;

	h->want_tips = h->followed > 0;
	for (l = h->all.next; l != &h->all; l = l->next) {
		a = LINK_OF(l, struct audience, in_all);
		if (a->state == AUDIENCE_NEW)
			a->news = true;
	}
}

void
hub_hint(struct hub *h, const char *run_id)
{
	struct audience *a;

	if (run_id == NULL || *run_id == '\0') {
		look_at_all(h);
		return;
	}
	a = audience_find(h, run_id);
	if (a != NULL)
		ask_news(h, a);
}

static void
retry(struct hub *h, struct audience *a)
{
	struct client *c;
	struct link *l;

	if (a->failed)
		ask_news(h, a);
	for (l = a->clients.next; l != &a->clients; l = l->next) {
		c = LINK_OF(l, struct client, in_home);
		if (c->failed)
			client_ask(h, c);
	}
}

void
follow_tick(struct hub *h, const struct moment *now)
{
	struct link *l;

	if (h->followed > 0 && !h->poll_asked && h->poll_ms <= now->mono_ms) {
		h->want_changed = true;
		h->poll_ms = now->mono_ms + h->limits.poll_ms;
	}
	if (h->retry_ms > now->mono_ms)
		return;
	h->retry_ms = INT64_MAX;
	h->want_tips = h->want_tips || h->tips_failed;
	h->tips_failed = false;
	for (l = h->all.next; l != &h->all; l = l->next)
		retry(h, LINK_OF(l, struct audience, in_all));
}

int64_t
follow_due_ms(const struct hub *h)
{
	if (h->followed > 0 && !h->poll_asked && h->poll_ms < h->retry_ms)
		return h->poll_ms;
	return h->retry_ms;
}
