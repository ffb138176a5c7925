/*
 * One worker: its store, its accepting threads, its end.
 *
 * A thread waits for the listening socket and for the stop event, then accepts.
 * Several threads, here and in sibling processes, wait for the same socket;
 * EPOLLEXCLUSIVE wakes few of them, and who comes too late gets -EAGAIN and
 * waits again.  Nothing interrupts a request in hand: libfcgi's reads end on
 * EINTR, so all signals are blocked and stopping is an event.  Only a connection
 * whose other end keeps a thread waiting for too long is shut (seat.h); the
 * thread that supervises looks for them.
 *
 *   SERVING --stop pipe closed, or a limit reached--> STOPPING: threads finish
 *   what they have, at most STOP_PATIENCE_MS, or LEAVE_PATIENCE_MS when others
 *   serve meanwhile --> exit
 */
#include "worker.h"

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api.h"
#include "clock.h"
#include "digest.h"
#include "file.h"
#include "log.h"
#include "xalloc.h"

#define STOP_PATIENCE_MS 5000	/* when the program stops */
#define LEAVE_PATIENCE_MS 60000	/* when others take over: a long upload may end */
#define STOP_STEP_MS 20
#define THREAD_STACK (512 * 1024)
#define MALLOC_ARENAS 2
#define ACCEPT_PAUSE_US 50000	/* after an accept that fails for lack of descriptors */
#define MAX_LAST_REQUESTS 16	/* a thread takes when it is to stop */
#define EXIT_FAILED 1

/* A thread and its seat. */
struct desk {
	struct worker *w;
	struct seat seat;
	pthread_t thread;
};

/* --- accepting ------------------------------------------------------------------------ */

static int
make_poller(const struct worker *w)
{
	struct epoll_event socket_event = { .events = EPOLLIN |
		EPOLLEXCLUSIVE };
	struct epoll_event stop_event = { .events = EPOLLIN };
	int fd = epoll_create1(EPOLL_CLOEXEC);

	socket_event.data.fd = w->listen_fd;
	stop_event.data.fd = w->stop_event;
	if (fd < 0 ||
	    epoll_ctl(fd, EPOLL_CTL_ADD, w->listen_fd, &socket_event) != 0 ||
	    epoll_ctl(fd, EPOLL_CTL_ADD, w->stop_event, &stop_event) != 0) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

/* True when there may be a connection, false when it is time to stop. */
static bool
await_connection(const struct worker *w, int poller)
{
	struct epoll_event events[2];
	int n, i;

	for (;;) {
		n = epoll_wait(poller, events, 2, -1);
		for (i = 0; i < n; i++)
			if (events[i].data.fd == w->stop_event)
				return false;
		if (n > 0)
			return true;
	}
}

/*
 * Accept a connection and read its variables: true with a request, false when
 * there is none, with *failed when that was the system's fault.
 *
 * libfcgi can do both, but would wait without end for variables that do not
 * come, in a place where nobody knows which connection it is.  So we accept, and
 * hand it over the way it keeps one between requests itself: told that there is
 * one, it does not accept.  It has no listening socket of its own, so that it
 * cannot take another one when this one turns out to be no good.
 */
static bool
take_request(struct worker *w, struct seat *seat, FCGX_Request *f,
    bool *failed)
{
	int fd = accept4(w->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	*failed = fd < 0 && errno != EAGAIN && errno != EINTR &&
	    errno != ECONNABORTED;
	if (fd < 0)
		return false;
	seat_take(seat, fd, clock_mono_ms() +
	    w->svc->conf->settings.api_read_timeout_ms);
	f->ipcFd = fd;
	f->keepConnection = 1;
	if (FCGX_Accept_r(f) == 0) {
		seat_rest(seat);
		return true;
	}
	seat_leave(seat);
	return false;
}

static void *
accept_loop(void *arg)
{
	struct desk *desk = arg;
	struct worker *w = desk->w;
	bool failed = false;
	FCGX_Request f;
	int poller, last;

	poller = make_poller(w);
	if (poller < 0 || FCGX_InitRequest(&f, -1, FCGI_FAIL_ACCEPT_ON_INTR) !=
	    0) {
		log_error("accepting thread not started", "errno=%d", errno);
		atomic_fetch_sub(&w->living, 1);
		return NULL;
	}
	while (await_connection(w, poller)) {
		if (take_request(w, &desk->seat, &f, &failed))
			serve(w, &desk->seat, &f);
		else if (failed)
			usleep(ACCEPT_PAUSE_US);
	}
	/*
	 * A connection that woke this thread woke no other, so it must not be
	 * left behind: first stop being one that can be woken, then take what
	 * waits.
	 */
	close(poller);
	for (last = 0; last < MAX_LAST_REQUESTS; last++) {
		if (!take_request(w, &desk->seat, &f, &failed))
			break;
		serve(w, &desk->seat, &f);
	}
	FCGX_Free(&f, 1);
	atomic_fetch_sub(&w->living, 1);
	return NULL;
}

static int
start_threads(struct worker *w, struct desk *desks, int n)
{
	pthread_attr_t attr;
	int i;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	for (i = 0; i < n; i++) {
		desks[i].w = w;
		seat_init(&desks[i].seat);
		atomic_fetch_add(&w->living, 1);
		if (pthread_create(&desks[i].thread, &attr, accept_loop,
		    &desks[i]) != 0) {
			atomic_fetch_sub(&w->living, 1);
			seat_destroy(&desks[i].seat);
			break;
		}
	}
	pthread_attr_destroy(&attr);
	return i;
}

/* --- the process ---------------------------------------------------------------------- */

void
worker_count_store(struct worker *w)
{
	struct store_stats now;

	pthread_mutex_lock(&w->counted_lock);
	store_get_stats(w->store, &now);
	metrics_store(w->metrics, &w->counted, &now);
	w->counted = now;
	pthread_mutex_unlock(&w->counted_lock);
}

static void
beat(struct worker *w)
{
	struct json_object *stats = json_object_new_object();
	struct store_stats ss;
	struct err e = ERR_INIT;

	worker_count_store(w);
	store_get_stats(w->store, &ss);
	json_put_int(stats, "active_tasks", atomic_load(&w->active));
	json_put_int(stats, "queued", ss.queued);
	json_put_int(stats, "requests", atomic_load(&w->requests));
	json_put_int(stats, "db_commits", ss.commits);
	json_put_int(stats, "db_busy_waits", ss.busy_waits);
	json_put_int(stats, "db_busy_errors", ss.busy_errors);
	if (presence_beat(&w->presence, w->svc, w->store, stats,
	    clock_now_ms(), &e) != ERR_OK)
		log_warn("heartbeat not written, ignoring", "error=%s",
		    log_quote(e.msg));
}

static bool
should_retire(const struct worker *w)
{
	const struct settings *s = &w->svc->conf->settings;

	if (s->api_max_rss_mb > 0 && service_rss_bytes() >
	    (int64_t)s->api_max_rss_mb * 1024 * 1024) {
		log_info("retiring", "reason=rss rss_bytes=%lld",
		    (long long)service_rss_bytes());
		return true;
	}
	if (s->api_max_requests > 0 &&
	    atomic_load(&w->requests) >= s->api_max_requests) {
		log_info("retiring", "reason=requests");
		return true;
	}
	return false;
}

static void
watch_seats(struct desk *desks, int n)
{
	int64_t now = clock_mono_ms();
	int i;

	for (i = 0; i < n; i++)
		if (seat_check(&desks[i].seat, now))
			log_warn("connection shut, its other end is too slow",
			    "thread=%d", i);
}

/* Until it is time to end; returns how long that may take. */
static int64_t
supervise(struct worker *w, struct desk *desks, int n, int stop_fd)
{
	struct pollfd p = { stop_fd, POLLIN, 0 };
	int64_t next_beat = 0, now;
	char told;

	for (;;) {
		now = clock_mono_ms();
		if (now >= next_beat) {
			beat(w);
			next_beat = now + PRESENCE_BEAT_MS;
		}
		/* A byte before the end: others have taken over. */
		if (poll(&p, 1, PRESENCE_BEAT_MS / 4) > 0)
			return read(stop_fd, &told, 1) == 1 ?
			    LEAVE_PATIENCE_MS : STOP_PATIENCE_MS;
		watch_seats(desks, n);
		if (should_retire(w))
			return LEAVE_PATIENCE_MS;
	}
}

/* Everything in hand is answered, or patience ends. */
static void
finish_requests(struct worker *w, struct desk *desks, int n,
    int64_t patience_ms)
{
	int64_t end = clock_mono_ms() + patience_ms;
	eventfd_t one = 1;

	if (eventfd_write(w->stop_event, one) != 0)
		log_error("stop event not written", "errno=%d", errno);
	/* Threads, not requests: one may be reading what will become one. */
	while (atomic_load(&w->living) > 0 && clock_mono_ms() < end) {
		usleep(STOP_STEP_MS * 1000);
		watch_seats(desks, n);
	}
	if (atomic_load(&w->living) > 0)
		log_warn("requests cut off", "count=%d",
		    atomic_load(&w->living));
}

static void
make_salt(const struct service *svc, char out[TAG_SALT_MAX])
{
	struct digest d;
	char hex[DIGEST_HEX_MAX];

	digest_init(&d);
	digest_add_field(&d, CHURNS_VERSION);
	digest_add_field(&d, svc->conf->settings.presentation_mode ? "p" : "");
	digest_hex(&d, hex);
	snprintf(out, TAG_SALT_MAX, "%.*s", TAG_SALT_MAX - 1, hex);
}

static enum err_code
open_worker(struct worker *w, struct err *e)
{
	const struct settings *s = &w->svc->conf->settings;
	char *uploads = xasprintf("%s/uploads", s->data_dir);
	enum err_code rc;

	rc = service_open_store(w->svc, false, false, s->api_threads,
	    &w->store, e);
	if (rc == ERR_OK)
		rc = file_open_dir(AT_FDCWD, uploads, &w->uploads_dirfd, e);
	if (rc == ERR_OK)
		rc = file_open_dir(AT_FDCWD, w->svc->runs_dir, &w->runs_dirfd,
		    e);
	w->stop_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (rc == ERR_OK && (w->stop_event < 0 || FCGX_Init() != 0))
		rc = err_set(e, ERR_SYSTEM, "cannot set up FastCGI");
	free(uploads);
	return rc;
}

int
worker_run(struct site *site, int listen_fd, int stop_fd,
    struct metrics *metrics)
{
	struct worker w = { .svc = &site->svc, .document = &site->document,
		.listen_fd = listen_fd, .metrics = metrics,
		.counted_lock = PTHREAD_MUTEX_INITIALIZER,
		.uploads_dirfd = -1, .runs_dirfd = -1, .stop_event = -1 };
	struct desk *desks = NULL;
	struct err e = ERR_INIT;
	int n, wanted = site->svc.conf->settings.api_threads;
	bool idle;
	int i;

	mallopt(M_ARENA_MAX, MALLOC_ARENAS);
	if (open_worker(&w, &e) != ERR_OK) {
		log_error("worker cannot start", "error=%s", log_quote(e.msg));
		return e.code == ERR_CONFIG ? EXIT_CONFIG : EXIT_FAILED;
	}
	presence_init(&w.presence, "api", clock_now_ms());
	make_salt(&site->svc, w.tag_salt);
	desks = xcalloc((size_t)wanted, sizeof(*desks));
	n = start_threads(&w, desks, wanted);
	if (n == 0)
		return EXIT_FAILED;
	finish_requests(&w, desks, n, supervise(&w, desks, n, stop_fd));
	idle = atomic_load(&w.living) == 0;
	if (store_delete_process(w.store, w.presence.id, &e) != ERR_OK)
		log_warn("process row not removed, ignoring", "error=%s",
		    log_quote(e.msg));
	worker_count_store(&w);
	/* A thread that is still in a request may use all of this: then the
	 * end of the process frees it. */
	if (idle) {
		for (i = 0; i < n; i++) {
			pthread_join(desks[i].thread, NULL);
			seat_destroy(&desks[i].seat);
		}
		free(desks);
		store_close(w.store);
		close(w.uploads_dirfd);
		close(w.runs_dirfd);
		close(w.stop_event);
		site_release(site);
	}
	return 0;
}
