/*
 * A teller: makes events as a runner would, at a pace of its own, for the tests
 * and benchmarks of those who follow runs.
 *
 *   teller --conf DIR --env FILE [--runs N] [--events N] [--rate PER_SECOND]
 *          [--bytes N] [--threads N] [--quiet]
 *
 * It stores N runs, claims their jobs and prints their ids; then it waits for a
 * line on standard input and tells so many events, in turn of the runs, by the
 * same store function and with the same wake-up as churns-runner.  For each it
 * prints "run seq commit": the time at which the commit had returned, in
 * microseconds since 1970.  No runner may be running, it would claim the jobs.
 */
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "access.h"
#include "clock.h"
#include "id.h"
#include "service.h"
#include "store.h"
#include "wake.h"
#include "xalloc.h"

#define LEASE_MS (24 * 3600 * 1000)
#define MAX_RUNS 10000

struct told_run {
	struct job job;
	struct job_ref ref;
	int64_t seq;
};

static struct {
	struct conf_options conf;
	int runs, events, rate, bytes, threads;
	bool quiet;
} args = { .runs = 1, .events = 10, .bytes = 300, .threads = 1 };

static struct service service;
static struct store *store;
static struct told_run *runs;
static atomic_int told;
static char *filler;

static void
fail(const char *what, const struct err *e)
{
	fprintf(stderr, "teller: %s: %s\n", what, e->msg);
	exit(1);
}

static int
number(const char *text)
{
	return (int)strtol(text, NULL, 10);
}

static void
read_arguments(int argc, char **argv)
{
	static const struct option options[] = {
		{ "conf", required_argument, NULL, 'c' },
		{ "env", required_argument, NULL, 'e' },
		{ "runs", required_argument, NULL, 'r' },
		{ "events", required_argument, NULL, 'n' },
		{ "rate", required_argument, NULL, 'p' },
		{ "bytes", required_argument, NULL, 'b' },
		{ "threads", required_argument, NULL, 't' },
		{ "quiet", no_argument, NULL, 'q' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	for (c = getopt_long(argc, argv, "", options, NULL); c != -1;
	    c = getopt_long(argc, argv, "", options, NULL)) {
		switch (c) {
		case 'c': args.conf.dir = optarg; break;
		case 'e': args.conf.env_file = optarg; break;
		case 'r': args.runs = number(optarg); break;
		case 'n': args.events = number(optarg); break;
		case 'p': args.rate = number(optarg); break;
		case 'b': args.bytes = number(optarg); break;
		case 't': args.threads = number(optarg); break;
		case 'q': args.quiet = true; break;
		default: exit(64);
		}
	}
	if (args.runs < 1 || args.runs > MAX_RUNS || args.threads < 1)
		exit(64);
}

static void
submit_one(void)
{
	struct run run = { .owner = (char *)(uintptr_t)access_owner(),
	    .mode = (char *)(uintptr_t)"easy_mode",
	    .form = (char *)(uintptr_t)"{}",
	    .inputs = (char *)(uintptr_t)"{}",
	    .created_ms = clock_now_ms() };
	struct planned_stage stage = { "image_eval", 1 };
	char job_id[ID_MAX];
	struct new_run nr = { .run = &run, .stages = &stage, .n_stages = 1,
	    .job_id = job_id, .deadline_after_ms = LEASE_MS };
	enum submit_outcome outcome;
	struct err e = ERR_INIT;

	id_new(run.id);
	id_new(job_id);
	if (store_submit_run(store, &nr, NULL, &outcome, NULL, NULL, &e) !=
	    ERR_OK)
		fail("submit", &e);
}

static void
claim_one(struct told_run *r, const struct holder *h)
{
	struct err e = ERR_INIT;
	int64_t next = 0;
	bool found = false;

	if (store_claim(store, h, clock_now_ms(), LEASE_MS, &r->job, &found,
	    &next, &e) != ERR_OK || !found)
		fail("claim", &e);
	r->ref.job_id = r->job.id;
	r->ref.run_id = r->job.run_id;
	r->ref.fence = r->job.fence;
}

static void
make_runs(void)
{
	struct holder h = { .host = id_host(), .boot_id = id_boot(),
	    .life_file = "/nonexistent" };
	char id[ID_MAX];
	int i;

	id_new(id);
	h.id = id;
	runs = xcalloc((size_t)args.runs, sizeof(*runs));
	for (i = 0; i < args.runs; i++) {
		submit_one();
		claim_one(&runs[i], &h);
		printf("%s\n", runs[i].job.run_id);
	}
	fflush(stdout);
}

static int64_t
wall_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* A stage that never ends can be told of again and again. */
static void
tell(struct told_run *r)
{
	struct stage_update u = { .name = "image_eval", .order = 1,
	    .status = STAGE_RUNNING, .duration_ms = -1, .message = "..." };
	struct err e = ERR_INIT;
	char *data;

	data = xasprintf("{\"stage_name\":\"image_eval\",\"stage_order\":1,"
	    "\"status\":\"RUNNING\",\"filler\":\"%s\"}", filler);
	u.event_data = data;
	u.started_ms = clock_now_ms();
	if (store_progress(store, &r->ref, NULL, &u, 1, u.started_ms, &e) !=
	    ERR_OK)
		fail("progress", &e);
	r->seq++;
	if (!args.quiet)
		printf("%s %" PRId64 " %" PRId64 "\n", r->job.run_id, r->seq,
		    wall_us());
	wake_send_event(service.conf->settings.run_dir, r->job.run_id);
	free(data);
}

struct share {
	pthread_t thread;
	int which;
	int64_t began_us;
};

/* Runs which, which + threads, ...: a run belongs to one thread. */
static void *
tell_share(void *arg)
{
	struct share *s = arg;
	int64_t due_us, now_us;
	int n;

	for (n = s->which; n < args.events; n += args.threads) {
		due_us = s->began_us + (args.rate > 0 ?
		    (int64_t)n * 1000000 / args.rate : 0);
		now_us = clock_mono_us();
		if (due_us > now_us)
			usleep((useconds_t)(due_us - now_us));
		tell(&runs[n % args.runs]);
		atomic_fetch_add(&told, 1);
	}
	return NULL;
}

int
main(int argc, char **argv)
{
	struct problems problems;
	struct err e = ERR_INIT;
	struct share *shares;
	char line[16];
	int i;

	read_arguments(argc, argv);
	/* A run stays with one thread only if its number says so. */
	while (args.runs % args.threads != 0)
		args.threads--;
	problems_init(&problems);
	if (conf_load(&args.conf, &problems, &service.conf) != ERR_OK ||
	    problems.count > 0) {
		fputs(problems.text.buf, stderr);
		return EXIT_CONFIG;
	}
	problems_release(&problems);
	if (service_open_store(&service, true, false, 2, &store, &e) != ERR_OK)
		fail("store", &e);
	filler = xcalloc(1, (size_t)args.bytes + 1);
	memset(filler, 'x', (size_t)args.bytes);
	make_runs();
	if (fgets(line, sizeof(line), stdin) == NULL)
		return 0;
	shares = xcalloc((size_t)args.threads, sizeof(*shares));
	for (i = 0; i < args.threads; i++) {
		shares[i].which = i;
		shares[i].began_us = clock_mono_us();
		pthread_create(&shares[i].thread, NULL, tell_share,
		    &shares[i]);
	}
	for (i = 0; i < args.threads; i++)
		pthread_join(shares[i].thread, NULL);
	printf("told %d\n", atomic_load(&told));
	fflush(stdout);
	store_close(store);
	for (i = 0; i < args.runs; i++)
		job_release(&runs[i].job);
	free(runs);
	free(shares);
	free(filler);
	conf_free(service.conf);
	return 0;
}
