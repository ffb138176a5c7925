/*
 * A crowd: many sockets that follow runs, for the tests and benchmarks of
 * churns-push.
 *
 *   crowd --socket PATH [--per-run N] [--events N] [--stalled N]
 *         [--seconds N] [--times FILE] [--plain] < RUN-IDS
 *
 * It reads run ids, one a line, up to an empty line or the end, opens N sockets
 * on each with after=0 (--plain: without), prints "connected", and waits until
 * each has been sent so many events, all in order and without a gap.  The first
 * --stalled sockets never read.  It writes "run seq arrival" for each event to
 * FILE, with the time in microseconds since 1970, and ends with one line:
 *
 *   sockets=N complete=N gaps=N cut=N events=N
 *
 * complete: sockets with all their events; cut: closed by the other side.  Its
 * exit status is 0 when all that read are complete.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "strbuf.h"
#include "xalloc.h"

#define ID_TEXT 40
#define MAX_RUNS 10000
#define MAX_MESSAGE (8 * 1024 * 1024)
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define PONG_HEAD 6

struct follower {
	int fd, run;
	int64_t last;		/* seq */
	int events, gaps;
	bool cut, stalled;
	struct strbuf in;
};

static struct {
	const char *socket, *times;
	int per_run, events, stalled, seconds;
	bool plain;
} args = { .per_run = 1, .seconds = 60 };

static char ids[MAX_RUNS][ID_TEXT];
static int n_runs, n_followers, done;
static struct follower *followers;

/* Kept in memory until the end: a write could wait for somebody's fsync. */
struct arrival {
	int run;
	int64_t seq, at_us;
};

static struct arrival *arrivals;
static size_t n_arrivals, room;

static void
die(const char *what)
{
	fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t
wall_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void
read_arguments(int argc, char **argv)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "per-run", required_argument, NULL, 'p' },
		{ "events", required_argument, NULL, 'e' },
		{ "stalled", required_argument, NULL, 'x' },
		{ "seconds", required_argument, NULL, 't' },
		{ "times", required_argument, NULL, 'f' },
		{ "plain", no_argument, NULL, 'l' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	for (c = getopt_long(argc, argv, "", options, NULL); c != -1;
	    c = getopt_long(argc, argv, "", options, NULL)) {
		switch (c) {
		case 's': args.socket = optarg; break;
		case 'p': args.per_run = (int)strtol(optarg, NULL, 10); break;
		case 'e': args.events = (int)strtol(optarg, NULL, 10); break;
		case 'x': args.stalled = (int)strtol(optarg, NULL, 10); break;
		case 't': args.seconds = (int)strtol(optarg, NULL, 10); break;
		case 'f': args.times = optarg; break;
		case 'l': args.plain = true; break;
		default: exit(64);
		}
	}
	if (args.socket == NULL)
		exit(64);
}

static void
read_ids(void)
{
	char line[256];
	size_t len;

	while (n_runs < MAX_RUNS && fgets(line, sizeof(line), stdin) != NULL) {
		len = strcspn(line, "\n");
		if (len == 0)
			break;
		if (len < ID_TEXT)
			snprintf(ids[n_runs++], ID_TEXT, "%.*s", (int)len,
			    line);
	}
}

/* --- one socket ------------------------------------------------------------ */

static void
handshake(struct follower *f)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	char text[512];
	ssize_t n;
	char *end;
	size_t got = 0;

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", args.socket);
	f->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (f->fd < 0)
		die("socket");
	while (connect(f->fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
		if (errno != EAGAIN)
			die("connect");
		usleep(1000);
	}
	snprintf(text, sizeof(text), "GET /api/v1/ws/%s%s HTTP/1.1\r\n"
	    "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " KEY "\r\n\r\n",
	    ids[f->run], args.plain ? "" : "?after=0");
	if (write(f->fd, text, strlen(text)) < 0)
		die("write");
	/* The answer byte by byte: what follows it is for the stalled, too. */
	for (end = NULL; end == NULL; end = strstr(text, "\r\n\r\n")) {
		n = read(f->fd, text + got, 1);
		if (n != 1 || got + 2 > sizeof(text))
			die("no answer");
		text[++got] = '\0';
	}
	if (strncmp(text, "HTTP/1.1 101", 12) != 0) {
		fprintf(stderr, "crowd: refused: %.60s\n", text);
		exit(1);
	}
	fcntl(f->fd, F_SETFL, O_NONBLOCK);
	strbuf_init(&f->in, MAX_MESSAGE);
}

static void
take_message(struct follower *f, const char *text, size_t len, int64_t now)
{
	const char *seq = memmem(text, len < 200 ? len : 200, "\"seq\":", 6);
	int64_t n;

	if (seq == NULL)
		return;		/* a ping */
	n = strtoll(seq + 6, NULL, 10);
	if (f->events > 0 && n != f->last + 1)
		f->gaps++;
	f->last = n;
	f->events++;
	if (f->events == args.events)
		done++;
	if (n_arrivals < room)
		arrivals[n_arrivals++] = (struct arrival){ f->run, n, now };
}

static void
answer_ping(struct follower *f, const char *payload, size_t len)
{
	char frame[PONG_HEAD + 125] = { (char)0x8a, (char)(0x80 | len) };

	memcpy(frame + PONG_HEAD, payload, len);
	if (write(f->fd, frame, PONG_HEAD + len) < 0)
		f->cut = true;
}

/* One frame off the front; false: it is not whole. */
static bool
take_frame(struct follower *f, size_t *at, int64_t now)
{
	const unsigned char *p = (unsigned char *)f->in.buf + *at;
	size_t have = f->in.len - *at, len, head = 2, i;

	if (have < 2)
		return false;
	len = p[1] & 0x7f;
	if (len == 126)
		head = 4;
	else if (len == 127)
		head = 10;
	if (have < head)
		return false;
	if (head > 2)
		for (i = 2, len = 0; i < head; i++)
			len = len << 8 | p[i];
	if (have < head + len)
		return false;
	if ((p[0] & 0x0f) == 1)
		take_message(f, (const char *)p + head, len, now);
	else if ((p[0] & 0x0f) == 9)
		answer_ping(f, (const char *)p + head, len);
	else if ((p[0] & 0x0f) == 8)
		f->cut = true;
	*at += head + len;
	return true;
}

static void
receive(struct follower *f)
{
	int64_t now = wall_us();
	char chunk[65536];
	size_t at = 0;
	ssize_t n;

	n = read(f->fd, chunk, sizeof(chunk));
	if (n <= 0) {
		f->cut = n == 0 || errno != EAGAIN;
		return;
	}
	strbuf_add(&f->in, chunk, (size_t)n);
	while (take_frame(f, &at, now))
		continue;
	memmove(f->in.buf, f->in.buf + at, f->in.len - at + 1);
	strbuf_truncate(&f->in, f->in.len - at);
}

/* --- all of them ------------------------------------------------------------- */

static int
gather(void)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int poller = epoll_create1(EPOLL_CLOEXEC), i;
	struct follower *f;

	n_followers = n_runs * args.per_run;
	followers = xcalloc((size_t)n_followers, sizeof(*followers));
	for (i = 0; i < n_followers; i++) {
		f = &followers[i];
		f->run = i % n_runs;
		f->stalled = i < args.stalled;
		handshake(f);
		ev.data.ptr = f;
		if (!f->stalled && epoll_ctl(poller, EPOLL_CTL_ADD, f->fd,
		    &ev) != 0)
			die("epoll");
	}
	printf("connected %d\n", n_followers);
	fflush(stdout);
	return poller;
}

static void
watch(int poller)
{
	int64_t end = clock_mono_ms() + args.seconds * 1000;
	struct epoll_event evs[256];
	struct follower *f;
	int i, n;

	while (done < n_followers - args.stalled && clock_mono_ms() < end) {
		n = epoll_wait(poller, evs, 256, 100);
		for (i = 0; i < n; i++) {
			f = evs[i].data.ptr;
			receive(f);
			if (f->cut)
				epoll_ctl(poller, EPOLL_CTL_DEL, f->fd, NULL);
		}
	}
}

/* Has the other side let go of one that did not read? */
static bool
was_let_go(struct follower *f)
{
	char chunk[65536];
	ssize_t n;

	do
		n = read(f->fd, chunk, sizeof(chunk));
	while (n > 0);
	return n == 0 || errno != EAGAIN;
}

static void
write_times(void)
{
	FILE *out;
	size_t i;

	if (args.times == NULL)
		return;
	out = fopen(args.times, "we");
	if (out == NULL)
		die(args.times);
	for (i = 0; i < n_arrivals; i++)
		fprintf(out, "%s %" PRId64 " %" PRId64 "\n",
		    ids[arrivals[i].run], arrivals[i].seq, arrivals[i].at_us);
	fclose(out);
}

static int
report(void)
{
	int complete = 0, gaps = 0, cut = 0, events = 0, i;

	for (i = 0; i < n_followers; i++) {
		complete += followers[i].events >= args.events &&
		    !followers[i].stalled;
		gaps += followers[i].gaps;
		cut += followers[i].cut || (followers[i].stalled &&
		    was_let_go(&followers[i]));
		events += followers[i].events;
	}
	printf("sockets=%d complete=%d gaps=%d cut=%d events=%d\n",
	    n_followers, complete, gaps, cut, events);
	return complete == n_followers - args.stalled && gaps == 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
	struct rlimit files;
	int poller;

	read_arguments(argc, argv);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	read_ids();
	if (args.times != NULL) {
		room = (size_t)n_runs * (size_t)args.per_run *
		    (size_t)args.events;
		arrivals = xcalloc(room, sizeof(*arrivals));
	}
	poller = gather();
	watch(poller);
	write_times();
	return report();
}
