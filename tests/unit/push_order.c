/*
 * Whatever order things come in, every client is sent every event after its
 * number once, in order, without a gap.
 *
 * A schedule is a row of choices made by a small random generator from a seed:
 * somebody joins, leaves, lags, reads; a run has events with and without a
 * hint; a question is taken; it is read, and later its answer, by then perhaps
 * old, is delivered; time passes.
 * A seed that fails is named and can be run again.
 */
#include "tests/unit/push_rig.h"

#define SEEDS 300
#define STEPS 600
#define MAX_CLIENTS 12
#define MAX_TAKEN 8

static uint64_t random_state;

static int
choose(int n)
{
	random_state = random_state * UINT64_C(6364136223846793005) +
	    UINT64_C(1442695040888963407);
	return (int)((random_state >> 33) % (uint64_t)n);
}

struct follower {
	struct client *c;
	const char *run;
	int64_t last;		/* number of the last event it was sent */
	bool exact;		/* it named a number, so the first is last + 1 */
	bool greeted;
};

static struct follower followers[MAX_CLIENTS];
static struct question taken[MAX_TAKEN];
static int n_taken;
static struct answer answers[MAX_TAKEN];	/* read, not delivered */
static int n_answers;
static int seed;
static int delivered, resumed;

static void
read_one(struct follower *f)
{
	enum outgoing what;
	struct frame *frame;

	what = client_next(f->c, &frame);
	if (what == OUT_PING)
		hub_alive(rig.hub, f->c, &rig.now);
	if (what == OUT_FRAME && frame->seq > 0) {
		ck_assert_msg(f->greeted, "seed %d: no greeting", seed);
		/* A state may leave out events, and only a state may. */
		ck_assert_msg(f->exact ? frame->seq == f->last + 1 :
		    frame->seq > f->last, "seed %d: %lld after %lld", seed,
		    (long long)frame->seq, (long long)f->last);
		f->last = frame->seq;
		f->exact = f->exact || f->c->state != CLIENT_JOINING;
		delivered++;
	} else if (what == OUT_FRAME) {
		f->greeted = true;
	}
	if (what != OUT_NOTHING)
		client_sent(rig.hub, f->c, what);
}

static void
go(struct follower *f)
{
	leave(f->c);
	f->c = NULL;
}

static void
come(struct follower *f)
{
	bool again = f->run != NULL && choose(2) == 0;

	if (!again) {
		f->run = choose(2) == 0 ? RUN_A : RUN_B;
		f->exact = choose(2) == 0;
		f->last = f->exact ? choose((int)run_named(f->run)->last_seq +
		    1) : 0;
	} else {
		/* With the number it has: exactly what it has missed. */
		f->exact = true;
		resumed++;
	}
	f->greeted = false;
	f->c = join_as(choose(4) == 0 ? CLIENT_STREAM : CLIENT_SOCKET, f->run,
	    f->exact ? f->last : -1, "");
}

/* The feed is one thread: it reads in the order of asking. */
static void
read_first(void)
{
	if (n_taken == 0 || n_answers == MAX_TAKEN)
		return;
	rig.is_broken = choose(15) == 0;
	read_answer(&taken[0], &answers[n_answers++]);
	rig.is_broken = false;
	memmove(&taken[0], &taken[1], (size_t)--n_taken * sizeof(taken[0]));
}

static void
deliver_first(void)
{
	if (n_answers == 0)
		return;
	deliver(&answers[0]);
	memmove(&answers[0], &answers[1],
	    (size_t)--n_answers * sizeof(answers[0]));
}

static void
step(void)
{
	struct follower *f = &followers[choose(MAX_CLIENTS)];
	const char *run = choose(2) == 0 ? RUN_A : RUN_B;
	int what = choose(16);

	if (f->c != NULL && f->c->drop != DROP_NONE)
		go(f);
	if (what == 0 && f->c != NULL)
		go(f);
	else if (what <= 2 && f->c == NULL)
		come(f);
	else if (what <= 4)
		commit(run, 1 + choose(5));
	else if (what <= 6)
		hint(choose(5) == 0 ? "" : run);
	else if (what <= 9 && n_taken < MAX_TAKEN)
		n_taken += take_question(&taken[n_taken]);
	else if (what <= 11)
		read_first();
	else if (what == 12)
		deliver_first();
	else if (what == 13) {
		rig.now.mono_ms += choose(400);
		hub_tick(rig.hub, &rig.now);
	} else if (f->c != NULL) {
		read_one(f);
	}
}

/* Everybody reads on until all have everything. */
static void
catch_up(void)
{
	int i, round;

	for (round = 0; round < 400; round++) {
		while (n_taken > 0 || n_answers > 0) {
			read_first();
			deliver_first();
		}
		pass(300);
		for (i = 0; i < MAX_CLIENTS; i++)
			if (followers[i].c != NULL &&
			    followers[i].c->drop == DROP_NONE)
				read_one(&followers[i]);
	}
	for (i = 0; i < MAX_CLIENTS; i++) {
		struct follower *f = &followers[i];

		if (f->c == NULL)
			continue;
		if (f->c->drop == DROP_NONE && f->exact)
			ck_assert_msg(f->last == run_named(f->run)->last_seq,
			    "seed %d: %s stands at %lld of %lld", seed, f->run,
			    (long long)f->last,
			    (long long)run_named(f->run)->last_seq);
		go(f);
	}
}

START_TEST(every_event_once_in_order_without_a_gap)
{
	int i;

	seed = _i;
	random_state = (uint64_t)seed * 7919 + 1;
	memset(followers, 0, sizeof(followers));
	n_taken = n_answers = delivered = resumed = 0;
	/* Large enough that clients lag, small enough that some are dropped. */
	rig.limits.queue_messages = 8 + choose(30);
	hub_set_limits(rig.hub, &rig.limits);
	for (i = 0; i < STEPS; i++)
		step();
	catch_up();
	ck_assert_msg(delivered > 20, "seed %d: only %d sent", seed,
	    delivered);
	ck_assert_msg(resumed > 0, "seed %d: nobody came back", seed);
}
END_TEST

TCase *
push_order_case(void)
{
	TCase *t = tcase_create("order");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, rig_set_up, rig_tear_down);
	tcase_add_loop_test(t, every_event_once_in_order_without_a_gap, 0,
	    SEEDS);
	return t;
}
