/*
 * Clients: coming and going, their queues, their signs of life.
 *
 * A queue is bounded in messages and bytes.  What does not fit drops the client
 * instead of waiting: it comes back with the number of its last message and
 * reads the rest from the database, where nothing is ever in its way.
 *
 * Signs of life are due after the same pause for everybody, so a list in the
 * order of coming is in the order of time, and the next one due is its head.
 * (After a reload with another pause some are late by the difference, once.)
 */
#include "hub_internal.h"

#include <sys/random.h>

#include "xalloc.h"

#define HEAR_WINDOW_MS 1000	/* of a client's messages ... */
#define HEAR_MAX 20		/* ... so many are looked at */
#define PING_BURST 5		/* pings that clients of a run may cause at once */
#define PING_REFILL_MS 1000	/* one more after each */

/* --- tables --------------------------------------------------------------- */

uint64_t
hub_hash(const struct hub *h, const char *text)
{
	uint64_t x = h->seed ^ UINT64_C(0xcbf29ce484222325);

	for (; *text != '\0'; text++) {
		x ^= (unsigned char)*text;
		x *= UINT64_C(0x100000001b3);
		x ^= x >> 29;
	}
	return x;
}

static struct address *
address_of(struct hub *h, const char *text)
{
	struct link *bucket = &h->addresses[hub_hash(h, text) & (BUCKETS - 1)];
	struct address *a;
	struct link *l;

	for (l = bucket->next; l != bucket; l = l->next) {
		a = LINK_OF(l, struct address, in_bucket);
		if (strcmp(a->text, text) == 0)
			return a;
	}
	a = xcalloc(1, sizeof(*a));
	snprintf(a->text, sizeof(a->text), "%s", text);
	link_init(&a->in_bucket);
	link_put(bucket, &a->in_bucket);
	return a;
}

static void
address_drop(struct address *a)
{
	if (a == NULL || a->clients > 0)
		return;
	link_take(&a->in_bucket);
	free(a);
}

/* --- the hub -------------------------------------------------------------- */

struct hub *
hub_new(const struct hub_limits *limits, const char *owner)
{
	struct hub *h = xcalloc(1, sizeof(*h));
	int i;

	h->limits = *limits;
	h->owner = owner;
	h->retry_ms = INT64_MAX;
	/* Without randomness it is still a hash, only a foreseeable one. */
	if (getrandom(&h->seed, sizeof(h->seed), GRND_NONBLOCK) < 0)
		h->seed = 0;
	for (i = 0; i < BUCKETS; i++) {
		link_init(&h->audiences[i]);
		link_init(&h->addresses[i]);
	}
	link_init(&h->all);
	link_init(&h->pinging);
	link_init(&h->ponging);
	link_init(&h->attention);
	link_init(&h->asking);
	link_init(&h->asking_news);
	return h;
}

void
hub_free(struct hub *h)
{
	free(h);
}

void
hub_set_limits(struct hub *h, const struct hub_limits *limits)
{
	h->limits = *limits;
}

void
hub_get_counts(const struct hub *h, struct hub_counts *out)
{
	*out = h->counts;
	out->runs = h->followed;
}

/* --- queues --------------------------------------------------------------- */

void
client_attend(struct hub *h, struct client *c)
{
	if (link_is_free(&c->in_attention))
		link_put(&h->attention, &c->in_attention);
}

struct client *
hub_attention(struct hub *h)
{
	struct link *l = link_first(&h->attention);

	if (l == NULL)
		return NULL;
	link_take(l);
	return LINK_OF(l, struct client, in_attention);
}

static void
pop(struct hub *h, struct client *c)
{
	struct entry *first = c->head;

	c->head = first->next;
	if (c->head == NULL)
		c->tail = NULL;
	c->queued--;
	c->queued_bytes -= (int64_t)first->frame->len;
	h->counts.queued--;
	h->counts.queued_bytes -= (int64_t)first->frame->len;
	frame_unref(first->frame);
	free(first);
}

static void
empty_queue(struct hub *h, struct client *c)
{
	while (c->head != NULL)
		pop(h, c);
}

void
client_drop(struct hub *h, struct client *c, enum drop why)
{
	if (c->drop != DROP_NONE)
		return;
	c->drop = why;
	if (why != DROP_RESTART)
		empty_queue(h, c);
	if (why == DROP_SLOW)
		h->counts.slow++;
	if (why == DROP_DEAD)
		h->counts.dead++;
	link_take(&c->in_asking);
	link_take(&c->in_clock);
	client_attend(h, c);
}

void
client_push(struct hub *h, struct client *c, struct frame *f, bool force)
{
	struct entry *last;

	if (c->drop != DROP_NONE)
		return;
	if (!force && c->queued > 0 &&
	    (c->queued >= h->limits.queue_messages ||
	    c->queued_bytes + (int64_t)f->len > h->limits.queue_bytes)) {
		client_drop(h, c, DROP_SLOW);
		return;
	}
	last = xmalloc(sizeof(*last));
	last->frame = frame_ref(f);
	last->next = NULL;
	if (c->tail != NULL)
		c->tail->next = last;
	else
		c->head = last;
	c->tail = last;
	c->queued++;
	c->queued_bytes += (int64_t)f->len;
	h->counts.queued++;
	h->counts.queued_bytes += (int64_t)f->len;
	client_attend(h, c);
}

enum outgoing
client_next(const struct client *c, struct frame **frame)
{
	*frame = NULL;
	if (c->drop == DROP_NONE && c->ping_due)
		return OUT_PING;
	if (c->head == NULL)
		return OUT_NOTHING;
	*frame = c->head->frame;
	return OUT_FRAME;
}

void
client_sent(struct hub *h, struct client *c, enum outgoing what)
{
	switch (what) {
	case OUT_NOTHING:
		break;
	case OUT_PING:
		c->ping_due = false;
		break;
	case OUT_FRAME:
		h->counts.sent++;
		pop(h, c);
		if (c->head == NULL)
			client_drained(h, c);
		break;
	}
}

/* --- coming and going ----------------------------------------------------- */

static enum join
may_join(struct hub *h, const struct joining *j, struct address **from)
{
	struct address *a;

	if (h->restarting || h->counts.clients >= h->limits.max_clients)
		return JOIN_FULL;
	if (*j->address == '\0')
		return JOIN_OK;
	a = address_of(h, j->address);
	if (h->limits.max_per_address > 0 &&
	    a->clients >= h->limits.max_per_address) {
		address_drop(a);
		return JOIN_CROWDED;
	}
	*from = a;
	return JOIN_OK;
}

static struct client *
client_new(struct hub *h, const struct joining *j)
{
	struct client *c = xcalloc(1, sizeof(*c));

	c->owner = j->owner;
	c->kind = j->kind;
	c->ticket = ++h->last_ticket;
	c->wants_state = !j->has_after;
	c->seq = j->has_after ? j->after : 0;
	link_init(&c->in_home);
	link_init(&c->in_clock);
	link_init(&c->in_attention);
	link_init(&c->in_asking);
	return c;
}

enum join
hub_join(struct hub *h, const struct joining *j, const struct moment *now,
    struct client **out)
{
	struct address *from = NULL;
	struct frame *greeting;
	struct client *c;
	enum join may;

	may = may_join(h, j, &from);
	if (may != JOIN_OK) {
		h->counts.refused++;
		return may;
	}
	c = client_new(h, j);
	c->from = from;
	if (from != NULL)
		from->clients++;
	c->home = audience_of(h, j->run_id);
	link_put(&c->home->clients, &c->in_home);
	c->due_ms = now->mono_ms + h->limits.ping_ms;
	link_put(&h->pinging, &c->in_clock);
	h->counts.clients++;
	h->counts.joined++;
	h->counts.streams += c->kind == CLIENT_STREAM;
	greeting = frame_ping(c->home->run_id, now->wall_ms);
	client_push(h, c, greeting, true);
	frame_unref(greeting);
	client_ask(h, c);
	*out = c;
	return JOIN_OK;
}

void
hub_leave(struct hub *h, struct client *c)
{
	empty_queue(h, c);
	link_take(&c->in_home);
	link_take(&c->in_clock);
	link_take(&c->in_attention);
	link_take(&c->in_asking);
	audience_leave(h, c->home);
	if (c->from != NULL) {
		c->from->clients--;
		address_drop(c->from);
	}
	h->counts.clients--;
	h->counts.streams -= c->kind == CLIENT_STREAM;
	free(c);
}

/* --- hearing -------------------------------------------------------------- */

/* May clients of this run cause another ping to all of them? */
static bool
may_ping(struct audience *a, const struct moment *now)
{
	int64_t more = (now->mono_ms - a->pings_ms) / PING_REFILL_MS;

	if (a->pings_ms == 0 || a->pings + more >= PING_BURST) {
		a->pings = PING_BURST;
		a->pings_ms = now->mono_ms;
	} else {
		a->pings += (int)more;
		a->pings_ms += more * PING_REFILL_MS;
	}
	if (a->pings == 0)
		return false;
	a->pings--;
	return true;
}

static void
ping_all(struct hub *h, struct audience *a, const struct moment *now)
{
	struct frame *f = frame_ping(a->run_id, now->wall_ms);
	struct link *l;

	for (l = a->clients.next; l != &a->clients; l = l->next)
		client_push(h, LINK_OF(l, struct client, in_home), f, false);
	frame_unref(f);
}

void
hub_hear(struct hub *h, struct client *c, const char *text, size_t len,
    const struct moment *now)
{
	if (now->mono_ms - c->heard_ms >= HEAR_WINDOW_MS) {
		c->heard_ms = now->mono_ms;
		c->heard = 0;
	}
	if (c->heard >= HEAR_MAX || c->drop != DROP_NONE)
		return;
	c->heard++;
	if (message_is_ping(text, len) && may_ping(c->home, now))
		ping_all(h, c->home, now);
}

void
hub_alive(struct hub *h, struct client *c, const struct moment *now)
{
	if (c->drop != DROP_NONE)
		return;
	c->awaits_pong = false;
	c->due_ms = now->mono_ms + h->limits.ping_ms;
	link_put(&h->pinging, &c->in_clock);
}

/* --- time ----------------------------------------------------------------- */

/*
 * Time for a sign of life.  A stream cannot answer one, but if the last has not
 * even been written, nobody reads.
 */
static void
ping(struct hub *h, struct client *c, const struct moment *now)
{
	if (c->ping_due) {
		client_drop(h, c, DROP_DEAD);
		return;
	}
	c->ping_due = true;
	client_attend(h, c);
	switch (c->kind) {
	case CLIENT_SOCKET:
		c->awaits_pong = true;
		c->due_ms = now->mono_ms + h->limits.pong_ms;
		link_put(&h->ponging, &c->in_clock);
		break;
	case CLIENT_STREAM:
		c->due_ms = now->mono_ms + h->limits.ping_ms;
		link_put(&h->pinging, &c->in_clock);
		break;
	}
}

/* The first of the list, if its time has come. */
static struct client *
next_due(const struct link *list, const struct moment *now)
{
	struct link *l = link_first(list);
	struct client *c;

	if (l == NULL)
		return NULL;
	c = LINK_OF(l, struct client, in_clock);
	return c->due_ms <= now->mono_ms ? c : NULL;
}

void
hub_tick(struct hub *h, const struct moment *now)
{
	struct client *c;

	for (c = next_due(&h->ponging, now); c != NULL;
	    c = next_due(&h->ponging, now))
		client_drop(h, c, DROP_DEAD);
	for (c = next_due(&h->pinging, now); c != NULL;
	    c = next_due(&h->pinging, now))
		ping(h, c, now);
	follow_tick(h, now);
}

static int64_t
first_due(const struct link *list)
{
	const struct link *l = link_first(list);

	return l == NULL ? INT64_MAX :
	    LINK_OF(l, const struct client, in_clock)->due_ms;
}

int64_t
hub_due_ms(const struct hub *h)
{
	int64_t due = follow_due_ms(h), other;

	other = first_due(&h->pinging);
	due = other < due ? other : due;
	other = first_due(&h->ponging);
	return other < due ? other : due;
}

void
hub_restart(struct hub *h)
{
	struct link *a, *l;

	h->restarting = true;
	for (a = h->all.next; a != &h->all; a = a->next) {
		struct audience *home = LINK_OF(a, struct audience, in_all);

		for (l = home->clients.next; l != &home->clients; l = l->next)
			client_drop(h, LINK_OF(l, struct client, in_home),
			    DROP_RESTART);
	}
}
