/* Group commit: many threads, units that fail, and waiting for it. */
#include "tests/unit/store_support.h"

#include "xalloc.h"

Suite *writer_suite(void);

/* --- batches -------------------------------------------------------------- */

#define THREADS 16
#define UNITS 200

static void *
many_puts(void *arg)
{
	char key[40];
	int i;

	for (i = 0; i < UNITS; i++) {
		snprintf(key, sizeof(key), "%d-%d", *(int *)arg, i);
		ck_assert_int_eq(store_cache_put(st, key, "{}", T0, NULL),
		    ERR_OK);
	}
	return NULL;
}

START_TEST(many_writers_share_commits)
{
	pthread_t t[THREADS];
	struct store_stats s;
	int n[THREADS], i;

	for (i = 0; i < THREADS; i++) {
		n[i] = i;
		pthread_create(&t[i], NULL, many_puts, &n[i]);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	store_get_stats(st, &s);
	ck_assert_int_eq(s.units, THREADS * UNITS);
	ck_assert_int_lt(s.commits, s.units);
	ck_assert_int_eq(s.failed_units + s.busy_errors + s.queued, 0);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM answer_cache"),
	    THREADS * UNITS);
}
END_TEST

START_TEST(what_waits_is_one_transaction)
{
	struct store_stats before, after;
	struct put p[20];
	struct gate g;
	int i;

	gate_close(&g, ERR_OK);
	store_get_stats(st, &before);
	for (i = 0; i < 20; i++)
		put_start(&p[i], i, "{}");
	wait_for_queue(20);
	gate_open(&g);
	for (i = 0; i < 20; i++)
		pthread_join(p[i].thread, NULL);
	store_get_stats(st, &after);
	ck_assert_int_eq(after.commits - before.commits, 2);
	ck_assert_int_eq(after.units - before.units, 21);
}
END_TEST

START_TEST(a_unit_that_fails_leaves_the_others)
{
	struct store_stats s;
	struct put p[10];
	struct gate g;
	int i;

	gate_close(&g, ERR_INVALID);
	for (i = 0; i < 10; i++)
		put_start(&p[i], i, i % 3 == 0 ? NULL : "{}");
	wait_for_queue(10);
	gate_open(&g);
	ck_assert_int_eq(g.rc, ERR_INVALID);
	for (i = 0; i < 10; i++) {
		pthread_join(p[i].thread, NULL);
		ck_assert_int_eq(p[i].rc, i % 3 == 0 ? ERR_SYSTEM : ERR_OK);
		ck_assert_int_eq(is_stored(p[i].key), i % 3 != 0);
	}
	store_get_stats(st, &s);
	ck_assert_int_eq(s.failed_units, 5);
	ck_assert_int_eq(s.units, 6);
}
END_TEST

/* Writes a row and then fails. */
static enum err_code
half_unit(struct db *db, void *arg, struct err *e)
{
	static const char sql[] = "INSERT INTO answer_cache"
	    " (key, created_ms, answer) VALUES ('half', 1, '{}')";
	enum err_code rc;

	(void)arg;
	rc = db_run(db, sql, DB_NONE, NULL, e);
	return rc != ERR_OK ? rc : err_set(e, ERR_LOST, "half way");
}

START_TEST(a_unit_that_fails_half_way_has_written_nothing)
{
	ck_fails(store_write(st, half_unit, NULL, &err), ERR_LOST);
	ck_assert_str_eq(err.msg, "half way");
	ck_assert(!is_stored("half"));
}
END_TEST

/* Ends the transaction of the whole batch, as the engine may on errors. */
static enum err_code
wrecking_unit(struct db *db, void *arg, struct err *e)
{
	(*(int *)arg)++;
	db_rollback(db);
	return err_set(e, ERR_FULL, "as if the disk were full");
}

static void *
wrecker(void *arg)
{
	ck_assert_int_eq(store_write(st, wrecking_unit, arg, NULL), ERR_FULL);
	return NULL;
}

START_TEST(a_batch_the_engine_gave_up_is_run_again_one_by_one)
{
	pthread_t wreck;
	struct put p[6];
	struct gate g;
	int i, times = 0;

	gate_close(&g, ERR_OK);
	for (i = 0; i < 6; i++) {
		if (i == 3) {
			wait_for_queue(3);
			pthread_create(&wreck, NULL, wrecker, &times);
			wait_for_queue(4);
		}
		put_start(&p[i], i, i == 1 ? NULL : "{}");
	}
	wait_for_queue(7);
	gate_open(&g);
	pthread_join(wreck, NULL);
	ck_assert_int_eq(times, 2);
	for (i = 0; i < 6; i++) {
		pthread_join(p[i].thread, NULL);
		ck_assert_int_eq(p[i].rc, i == 1 ? ERR_SYSTEM : ERR_OK);
		ck_assert_int_eq(is_stored(p[i].key), i != 1);
	}
}
END_TEST

START_TEST(readers_do_not_wait_for_a_writer)
{
	struct put p;
	struct gate g;

	ck_ok(store_cache_put(st, "old", "{}", T0, &err), &err);
	gate_close(&g, ERR_OK);
	put_start(&p, 1, "{}");
	wait_for_queue(1);
	ck_assert(is_stored("old"));
	ck_assert(!is_stored("key-1"));
	ck_ok(store_ping(st, &err), &err);
	claim_none(T0);		/* asking is reading, too */
	gate_open(&g);
	pthread_join(p.thread, NULL);
	ck_assert(is_stored("key-1"));
}
END_TEST

#define EVENT_THREADS 16
#define EVENTS_EACH 50

static struct claimed lane_job;

static void *
lane(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < EVENTS_EACH; i++)
		ck_assert_int_eq(tell(&lane_job, "strategy", STAGE_RUNNING,
		    T0), ERR_OK);
	return NULL;
}

START_TEST(events_of_many_threads_have_no_gaps)
{
	pthread_t t[EVENT_THREADS];
	struct event_list l;
	int64_t seq = 0;
	int i;

	add_run(1);
	claim_at(T0 + 10, &lane_job);
	for (i = 0; i < EVENT_THREADS; i++)
		pthread_create(&t[i], NULL, lane, NULL);
	while (seq < EVENT_THREADS * EVENTS_EACH) {
		/* Whoever has seen n has seen all up to n. */
		ck_ok(store_list_events(st, NULL, id_of("run", 1), seq, 500,
		    &l, &err), &err);
		for (i = 0; i < l.n; i++)
			ck_assert_int_eq(l.rows[i].seq, ++seq);
		event_list_release(&l);
	}
	for (i = 0; i < EVENT_THREADS; i++)
		pthread_join(t[i], NULL);
	ck_assert_int_eq(last_event_seq(1), EVENT_THREADS * EVENTS_EACH);
}
END_TEST

/* --- two requests with the same key --------------------------------------- */

struct repeat {
	pthread_barrier_t *start;
	int n, round;
	enum submit_outcome outcome;
};

static void *
repeated_post(void *arg)
{
	struct repeat *r = arg;
	struct run_spec spec = { .n = r->n };
	struct idempotency idem = { "ann", "POST /runs", "", "fp", 201, "{}" };
	char key[40], *body = NULL;
	int status = 0;

	snprintf(key, sizeof(key), "key-%d", r->round);
	idem.key = key;
	pthread_barrier_wait(r->start);
	ck_assert_int_eq(submit(st, &spec, &idem, &r->outcome, &status, &body,
	    &err), ERR_OK);
	free(body);
	return NULL;
}

START_TEST(of_two_posts_with_one_key_one_makes_a_run)
{
	struct repeat r[2];
	pthread_barrier_t start;
	pthread_t t[2];
	int round, i;

	pthread_barrier_init(&start, NULL, 2);
	for (round = 0; round < 100; round++) {
		for (i = 0; i < 2; i++) {
			r[i] = (struct repeat){ &start, round * 2 + i, round,
			    SUBMIT_MISMATCH };
			pthread_create(&t[i], NULL, repeated_post, &r[i]);
		}
		for (i = 0; i < 2; i++)
			pthread_join(t[i], NULL);
		ck_assert_int_eq(r[0].outcome + r[1].outcome,
		    SUBMIT_NEW + SUBMIT_REPLAY);
	}
	pthread_barrier_destroy(&start);
	ck_assert_int_eq(sql_int("SELECT count(*) FROM runs"), 100);
}
END_TEST

static void *
closer(void *arg)
{
	store_close(arg);
	return NULL;
}

START_TEST(closing_waits_for_what_is_queued)
{
	struct store_options o = options();
	struct store *closing = st;
	struct put p[3];
	struct gate g;
	pthread_t t;
	int i;

	gate_close(&g, ERR_OK);
	for (i = 0; i < 3; i++)
		put_start(&p[i], i, "{}");
	wait_for_queue(3);
	pthread_create(&t, NULL, closer, closing);
	gate_open(&g);
	pthread_join(t, NULL);
	for (i = 0; i < 3; i++) {
		pthread_join(p[i].thread, NULL);
		ck_assert_int_eq(p[i].rc, ERR_OK);
	}
	open_with(&o);
	ck_assert(is_stored("key-0") && is_stored("key-1") &&
	    is_stored("key-2"));
}
END_TEST

/* --- withdrawing ---------------------------------------------------------- */

START_TEST(what_waits_too_long_is_withdrawn)
{
	struct store_stats s;
	struct put p;
	struct gate g;

	gate_close(&g, ERR_OK);
	put_start(&p, 1, "{}");
	pthread_join(p.thread, NULL);
	ck_assert_int_eq(p.rc, ERR_BUSY);
	gate_open(&g);
	ck_assert_int_eq(g.rc, ERR_OK);	/* taken: it was waited for */
	ck_assert(!is_stored(p.key));
	store_get_stats(st, &s);
	ck_assert_int_eq(s.busy_errors, 1);
	ck_assert_int_eq(s.queued, 0);
	ck_ok(store_cache_put(st, "later", "{}", T0, &err), &err);
}
END_TEST

Suite *
writer_suite(void)
{
	Suite *s = suite_create("store: writer");
	TCase *tc = tcase_create("patient");
	TCase *impatient = tcase_create("impatient");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, many_writers_share_commits);
	tcase_add_test(tc, what_waits_is_one_transaction);
	tcase_add_test(tc, a_unit_that_fails_leaves_the_others);
	tcase_add_test(tc, a_unit_that_fails_half_way_has_written_nothing);
	tcase_add_test(tc, a_batch_the_engine_gave_up_is_run_again_one_by_one);
	tcase_add_test(tc, readers_do_not_wait_for_a_writer);
	tcase_add_test(tc, events_of_many_threads_have_no_gaps);
	tcase_add_test(tc, of_two_posts_with_one_key_one_makes_a_run);
	tcase_add_test(tc, closing_waits_for_what_is_queued);
	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(impatient, set_up_impatient, tear_down);
	tcase_add_test(impatient, what_waits_too_long_is_withdrawn);
	suite_add_tcase(s, impatient);
	return s;
}
