#include "tests/unit/push_rig.h"

#include "clock.h"

struct rig rig;

void
rig_set_up(void)
{
	memset(&rig, 0, sizeof(rig));
	rig.limits = (struct hub_limits){ .max_clients = 1000,
	    .max_per_address = 3, .queue_messages = 8, .queue_bytes = 10000,
	    .ping_ms = 20000, .pong_ms = 10000, .poll_ms = 250,
	    .recent_ms = 5000 };
	rig.now = (struct moment){ START, INT64_C(1700000000000) };
	rig.hub = hub_new(&rig.limits, "default");
	rig.runs[0].id = RUN_A;
	rig.runs[1].id = RUN_B;
	rig.n_runs = 2;
	rig.version = 1;
}

void
rig_tear_down(void)
{
	struct hub_counts n;

	hub_get_counts(rig.hub, &n);
	ck_assert_int_eq(n.clients, 0);
	ck_assert_int_eq(n.streams, 0);
	ck_assert_int_eq(n.runs, 0);
	ck_assert_int_eq(n.queued, 0);
	ck_assert_int_eq(n.queued_bytes, 0);
	ck_assert_int_eq(hub_due_ms(rig.hub), INT64_MAX);
	hub_free(rig.hub);
}

struct pretended *
run_named(const char *id)
{
	int i;

	for (i = 0; i < rig.n_runs; i++)
		if (strcmp(rig.runs[i].id, id) == 0)
			return &rig.runs[i];
	return NULL;
}

void
commit(const char *id, int n)
{
	run_named(id)->last_seq += n;
	rig.version++;
}

void
hint(const char *id)
{
	hub_hint(rig.hub, id);
}

struct client *
join_as(enum client_kind kind, const char *id, int64_t after,
    const char *address)
{
	struct joining j = { kind, id, after >= 0, after, address, NULL };
	struct client *c = NULL;

	return hub_join(rig.hub, &j, &rig.now, &c) == JOIN_OK ? c : NULL;
}

struct client *
join(const char *id)
{
	return join_as(CLIENT_SOCKET, id, -1, "");
}

struct client *
join_after(const char *id, int64_t after)
{
	return join_as(CLIENT_SOCKET, id, after, "");
}

void
leave(struct client *c)
{
	hub_leave(rig.hub, c);
}

/* --- the store ------------------------------------------------------------ */

static struct frame *
event(const char *id, int64_t seq)
{
	struct strbuf data = STRBUF_INIT(MAX_TEXT);
	struct event ev = { .seq = seq, .type = (char *)"stage_update",
	    .created_ms = rig.now.wall_ms };
	struct frame *f;
	struct gist g;

	strbuf_addstr(&data, "{\"stage_name\":\"s\",\"x\":\"");
	while (data.len < rig.message_bytes)
		strbuf_addch(&data, 'x');
	strbuf_addstr(&data, "\"}");
	ev.data = data.buf;
	f = frame_of_event(id, &ev, &g);
	gist_release(&g);
	strbuf_release(&data);
	return f;
}

static void
read_run(struct answer *a, int64_t after, int limit)
{
	struct pretended *r = run_named(a->q.run_id);
	int64_t seq;

	if (r == NULL || r->last_seq < 0) {
		a->rc = ERR_NOT_FOUND;
		return;
	}
	a->last_seq = r->last_seq;
	for (seq = after + 1; seq <= r->last_seq && (int)a->n < limit; seq++) {
		a->frames = xrealloc_array(a->frames, a->n + 1,
		    sizeof(*a->frames));
		a->frames[a->n++] = event(a->q.run_id, seq);
	}
}

static void
read_tips(struct answer *a)
{
	struct pretended *r;
	size_t i;

	a->tips = xcalloc(a->q.n, sizeof(*a->tips));
	for (i = 0; i < a->q.n; i++) {
		r = run_named(a->q.run_ids[i]);
		a->tips[i].last_seq = r != NULL ? r->last_seq : -1;
	}
}

/* The state of a run is here: its last two events, or none after its end. */
static void
read_state(struct answer *a)
{
	struct pretended *r = run_named(a->q.run_id);

	if (r != NULL && r->is_over)
		read_run(a, r->last_seq, 0);
	else
		read_run(a, r != NULL && r->last_seq > 2 ? r->last_seq - 2 : 0,
		    2);
}

void
read_answer(struct question *q, struct answer *out)
{
	struct answer a = { .q = *q };

	if (rig.is_broken)
		a.rc = ERR_BUSY;
	else if (q->kind == ASK_STATE)
		read_state(&a);
	else if (q->kind == ASK_AFTER || q->kind == ASK_NEWS)
		read_run(&a, q->after, q->limit);
	else if (q->kind == ASK_CHANGED)
		a.changed = rig.version != rig.seen;
	else
		read_tips(&a);
	if (q->kind == ASK_CHANGED && !rig.is_broken)
		rig.seen = rig.version;
	*out = a;
}

void
deliver(struct answer *a)
{
	hub_answer(rig.hub, a, &rig.now);
}

void
answer_question(struct question *q)
{
	struct answer a;

	read_answer(q, &a);
	deliver(&a);
}

bool
take_question(struct question *q)
{
	if (!hub_question(rig.hub, q))
		return false;
	rig.asked[q->kind]++;
	return true;
}

bool
answer_one(void)
{
	struct question q;

	if (!take_question(&q))
		return false;
	answer_question(&q);
	return true;
}

void
settle_all(void)
{
	while (answer_one())
		continue;
}

void
pass(int64_t ms)
{
	rig.now.mono_ms += ms;
	rig.now.wall_ms += ms;
	hub_tick(rig.hub, &rig.now);
	settle_all();
}

/* --- sending -------------------------------------------------------------- */

char *
sent(struct client *c)
{
	struct strbuf sb = STRBUF_INIT(MAX_TEXT);
	enum outgoing what;
	struct frame *f;

	for (;;) {
		what = client_next(c, &f);
		if (what == OUT_NOTHING)
			break;
		if (sb.len > 0)
			strbuf_addch(&sb, ' ');
		if (what == OUT_PING)
			strbuf_addstr(&sb, "life");
		else if (f->seq == 0)
			strbuf_addstr(&sb, "ping");
		else
			strbuf_addf(&sb, "%lld", (long long)f->seq);
		client_sent(rig.hub, c, what);
		settle_all();
	}
	if (sb.len == 0)
		return xstrdup("");
	return strbuf_detach(&sb);
}
