/*
 * Asking churns-image, the only program that decodes pixels.
 *
 * Each operation is a process of its own: posix_spawn (nothing of ours is
 * copied), an empty environment, no descriptors but three, the run's directory
 * as its working directory, signals as a fresh program expects them.  It limits
 * itself; here we limit what we wait for and what we read:
 *
 *   wait for a turn -> spawn -> read both pipes until they end -> reap
 *        |                          |
 *        '-- cancel, time ----------'--> kill, reap
 *
 * It answers with one JSON object on standard output, or with one sentence on
 * standard error and exit status 2 when the picture is at fault.  One that dies
 * of a picture (a crash, a limit it has set itself) is started once more; dying
 * twice is the picture's fault.  Killed from outside, it is ours.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pixels.h"

#include "clock.h"
#include "xalloc.h"

#define MAX_ANSWER_BYTES (64 * 1024)
#define MAX_COMPLAINT_BYTES 1024
#define MAX_ARGS 16
#define HELPER_TIMEOUT_MS 90000	/* above the limits it sets itself */
#define CANCEL_LOOK_MS 50	/* how soon a cancel is noticed */
#define REAP_LOOK_MS 2
#define EXIT_BAD_PICTURE 2
#define CRASH_TRIES 2

struct pixels {
	char *helper;
	char max_pixels[24];
	pthread_mutex_t lock;
	pthread_cond_t freed;
	int free_turns;
};

struct helper {
	pid_t pid;
	int fd[2];		/* its standard output and error; -1: ended */
	struct strbuf text[2];
	int64_t deadline_ms;	/* monotonic */
};

/* --- turns ---------------------------------------------------------------- */

static enum err_code
cancelled(struct cancel *cancel, struct err *e)
{
	enum err_code rc;

	rc = cancel_code(cancel);
	if (rc == ERR_OK)
		return ERR_OK;
	return err_set(e, rc, "stopped while working on a picture");
}

static enum err_code
turn_take(struct pixels *p, struct cancel *cancel, struct err *e)
{
	struct timespec until;
	enum err_code rc;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		rc = cancelled(cancel, e);
		if (rc != ERR_OK || p->free_turns > 0)
			break;
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += CANCEL_LOOK_MS * 1000000L;
		if (until.tv_nsec >= 1000000000L) {
			until.tv_nsec -= 1000000000L;
			until.tv_sec++;
		}
		pthread_cond_timedwait(&p->freed, &p->lock, &until);
	}
	if (rc == ERR_OK)
		p->free_turns--;
	pthread_mutex_unlock(&p->lock);
	return rc;
}

static void
turn_give(struct pixels *p)
{
	pthread_mutex_lock(&p->lock);
	p->free_turns++;
	pthread_cond_signal(&p->freed);
	pthread_mutex_unlock(&p->lock);
}

/* --- the process ---------------------------------------------------------- */

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* What the child has open and believes about signals. */
static int
spawn(const char *helper, char *const *argv, const char *dir, int out_fd,
    int err_fd, pid_t *pid)
{
	static char *const no_environment[] = { NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int rc;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out_fd, 1);
	posix_spawn_file_actions_adddup2(&files, err_fd, 2);
	posix_spawn_file_actions_addclosefrom_np(&files, 3);
	posix_spawn_file_actions_addchdir_np(&files, dir);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr,
	    POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	rc = posix_spawn(pid, helper, &files, &attr, argv, no_environment);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return rc;
}

static enum err_code
helper_start(struct pixels *p, char *const *argv, const char *dir,
    struct helper *h, struct err *e)
{
	int out[2] = { -1, -1 }, complaints[2] = { -1, -1 };
	int rc;

	h->pid = -1;
	h->fd[0] = h->fd[1] = -1;
	strbuf_init(&h->text[0], MAX_ANSWER_BYTES);
	strbuf_init(&h->text[1], MAX_COMPLAINT_BYTES);
	h->deadline_ms = clock_mono_ms() + HELPER_TIMEOUT_MS;
	rc = 0;
	if (pipe2(out, O_CLOEXEC) != 0 || pipe2(complaints, O_CLOEXEC) != 0)
		rc = errno;
	if (rc == 0)
		rc = spawn(p->helper, argv, dir, out[1], complaints[1],
		    &h->pid);
	close_fd(&out[1]);
	close_fd(&complaints[1]);
	if (rc != 0) {
		close_fd(&out[0]);
		close_fd(&complaints[0]);
		h->pid = -1;
		return err_set_errno(e, ERR_SYSTEM, rc,
		    "the picture helper cannot be started");
	}
	h->fd[0] = out[0];
	h->fd[1] = complaints[0];
	return ERR_OK;
}

/* Kill it if it still runs, and let go of everything. */
static void
helper_end(struct helper *h)
{
	if (h->pid > 0) {
		kill(h->pid, SIGKILL);
		while (waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	close_fd(&h->fd[0]);
	close_fd(&h->fd[1]);
	strbuf_release(&h->text[0]);
	strbuf_release(&h->text[1]);
}

static enum err_code
check_limits(const struct helper *h, struct cancel *cancel, struct err *e)
{
	if (cancelled(cancel, e) != ERR_OK)
		return e != NULL ? e->code : cancel_code(cancel);
	if (clock_mono_ms() >= h->deadline_ms)
		return err_set(e, ERR_TIMEOUT,
		    "the picture took too long to process");
	return ERR_OK;
}

static void
read_some(struct helper *h, int i)
{
	char buf[4096];
	ssize_t n;

	n = read(h->fd[i], buf, sizeof(buf));
	if (n > 0)
		strbuf_add(&h->text[i], buf, (size_t)n);
	else if (n == 0 || errno != EINTR)
		close_fd(&h->fd[i]);
}

/* Until both pipes have ended. */
static enum err_code
read_all(struct helper *h, struct cancel *cancel, struct err *e)
{
	struct pollfd fds[2];
	enum err_code rc;
	int i;

	while (h->fd[0] >= 0 || h->fd[1] >= 0) {
		rc = check_limits(h, cancel, e);
		if (rc != ERR_OK)
			return rc;
		for (i = 0; i < 2; i++) {
			fds[i].fd = h->fd[i];	/* -1 is passed over */
			fds[i].events = POLLIN;
			fds[i].revents = 0;
		}
		poll(fds, 2, CANCEL_LOOK_MS);
		for (i = 0; i < 2; i++)
			if (fds[i].revents != 0)
				read_some(h, i);
	}
	return ERR_OK;
}

/* It has closed its pipes, so it is about to end; but it may be lying. */
static enum err_code
reap(struct helper *h, struct cancel *cancel, int *status, struct err *e)
{
	enum err_code rc;
	pid_t pid;

	for (;;) {
		pid = waitpid(h->pid, status, WNOHANG);
		if (pid == h->pid) {
			h->pid = -1;
			return ERR_OK;
		}
		if (pid < 0 && errno != EINTR)
			return err_set_errno(e, ERR_SYSTEM, errno,
			    "the picture helper got lost");
		rc = check_limits(h, cancel, e);
		if (rc != ERR_OK)
			return rc;
		poll(NULL, 0, REAP_LOOK_MS);
	}
}

/* Did it die of what it was doing? Its limits come as signals too. */
static bool
has_crashed(int status)
{
	static const int signals[] = { SIGSEGV, SIGABRT, SIGBUS, SIGFPE,
	    SIGILL, SIGSYS, SIGTRAP, SIGXCPU, SIGXFSZ, SIGALRM };
	size_t i;

	for (i = 0; i < ARRAY_LEN(signals); i++)
		if (WIFSIGNALED(status) && WTERMSIG(status) == signals[i])
			return true;
	return false;
}

/* What its exit status and its words mean. */
static enum err_code
judge(struct helper *h, int status, struct json_object **out, struct err *e)
{
	const char *words;

	strbuf_trim(&h->text[1]);
	words = h->text[1].buf;
	if (has_crashed(status))
		return err_set(e, ERR_INVALID, "the picture cannot be "
		    "processed (its helper was ended by signal %d)",
		    WTERMSIG(status));
	if (WIFSIGNALED(status))
		return err_set(e, ERR_SYSTEM,
		    "the picture helper was killed by signal %d",
		    WTERMSIG(status));
	if (WEXITSTATUS(status) == EXIT_BAD_PICTURE)
		return err_set(e, ERR_INVALID, "%s",
		    words[0] != '\0' ? words : "the picture cannot be used");
	if (WEXITSTATUS(status) != 0)
		return err_set(e, strstr(words, strerror(ENOSPC)) != NULL ?
		    ERR_FULL : ERR_SYSTEM,
		    "the picture helper failed with status %d: %s",
		    WEXITSTATUS(status), words);
	if (strbuf_overflowed(&h->text[0]) ||
	    json_parse(h->text[0].buf, h->text[0].len, out, NULL) != ERR_OK ||
	    !json_object_is_type(*out, json_type_object)) {
		json_object_put(*out);
		*out = NULL;
		return err_set(e, ERR_SYSTEM,
		    "the picture helper's answer cannot be read");
	}
	return ERR_OK;
}

/* One helper, from its start to its end. */
static enum err_code
run_helper(struct pixels *p, char *const *argv, const char *dir,
    struct cancel *cancel, int *status, struct json_object **out,
    struct err *e)
{
	struct helper h;
	enum err_code rc;

	rc = helper_start(p, argv, dir, &h, e);
	if (rc == ERR_OK)
		rc = read_all(&h, cancel, e);
	if (rc == ERR_OK)
		rc = reap(&h, cancel, status, e);
	if (rc == ERR_OK)
		rc = judge(&h, *status, out, e);
	helper_end(&h);
	return rc;
}

/* Run the helper with these words after its options; *out is its answer. */
static enum err_code
ask(struct pixels *p, const char *dir, const char *const *words,
    struct cancel *cancel, struct json_object **out, struct err *e)
{
	char *argv[MAX_ARGS + 4];
	enum err_code rc;
	int status, tries = 0, n = 0;

	argv[n++] = p->helper;
	argv[n++] = (char *)"--max-pixels";
	argv[n++] = p->max_pixels;
	for (; *words != NULL; words++) {
		assert(n < MAX_ARGS + 3);
		argv[n++] = (char *)*words;
	}
	argv[n] = NULL;
	rc = turn_take(p, cancel, e);
	if (rc != ERR_OK)
		return rc;
	do {
		status = 0;
		rc = run_helper(p, argv, dir, cancel, &status, out, e);
	} while (has_crashed(status) && ++tries < CRASH_TRIES);
	turn_give(p);
	return rc;
}

/* --- the operations ------------------------------------------------------- */

/* The helper takes a path that begins with '-' for an option. */
static enum err_code
check_path(const char *path, struct err *e)
{
	if (path[0] == '-' || path[0] == '/' || path[0] == '\0')
		return err_set(e, ERR_INVALID, "\"%s\" is not a picture of "
		    "the run", path);
	return ERR_OK;
}

static void
read_info(const struct json_object *answer, struct pixels_info *out)
{
	const char *type;

	memset(out, 0, sizeof(*out));
	type = json_get_str(answer, "type");
	snprintf(out->type, sizeof(out->type), "%s", type != NULL ? type : "");
	out->width = (int)json_get_int(answer, "width", 0);
	out->height = (int)json_get_int(answer, "height", 0);
	out->orientation = (int)json_get_int(answer, "orientation", 1);
	out->bytes = json_get_int(answer, "bytes", 0);
}

enum err_code
pixels_inspect(struct pixels *p, const char *dir, const char *in,
    struct cancel *cancel, struct pixels_info *out, struct err *e)
{
	const char *words[] = { "inspect", in, NULL };
	struct json_object *answer = NULL;
	enum err_code rc;

	rc = check_path(in, e);
	if (rc == ERR_OK)
		rc = ask(p, dir, words, cancel, &answer, e);
	if (rc == ERR_OK)
		read_info(answer, out);
	json_object_put(answer);
	return rc;
}

enum err_code
pixels_fit(struct pixels *p, const char *dir, const char *in,
    const char *out_path, int max_side, bool png, struct cancel *cancel,
    struct pixels_info *out, struct err *e)
{
	char side[16];
	const char *words[] = { "fit", "--max-side", side, "--format",
	    png ? "png" : "jpeg", in, out_path, NULL };
	struct json_object *answer = NULL;
	enum err_code rc;

	snprintf(side, sizeof(side), "%d", max_side);
	rc = check_path(in, e);
	if (rc == ERR_OK)
		rc = check_path(out_path, e);
	if (rc == ERR_OK)
		rc = ask(p, dir, words, cancel, &answer, e);
	if (rc == ERR_OK)
		read_info(answer, out);
	json_object_put(answer);
	return rc;
}

enum err_code
pixels_finish(struct pixels *p, const char *dir, const char *in,
    const char *out_base, const struct pixels_mark *mark,
    struct cancel *cancel, char **file, struct pixels_info *out,
    struct err *e)
{
	const char *words[] = { "finish", "--run-id", mark->run_id, "--model",
	    mark->model, "--prompt-hash", mark->prompt_hash,
	    mark->simulated ? "--simulated" : in,
	    mark->simulated ? in : out_base,
	    mark->simulated ? out_base : NULL, NULL };
	struct json_object *answer = NULL;
	const char *name;
	enum err_code rc;

	rc = check_path(in, e);
	if (rc == ERR_OK)
		rc = check_path(out_base, e);
	if (rc == ERR_OK)
		rc = ask(p, dir, words, cancel, &answer, e);
	if (rc != ERR_OK)
		return rc;
	name = json_get_str(answer, "file");
	if (name == NULL || strchr(name, '/') != NULL) {
		json_object_put(answer);
		return err_set(e, ERR_SYSTEM,
		    "the picture helper named no file");
	}
	*file = xstrdup(name);
	read_info(answer, out);
	json_object_put(answer);
	return ERR_OK;
}

enum err_code
pixels_thumb(struct pixels *p, const char *dir, const char *in,
    const char *out_path, int width, struct cancel *cancel,
    struct pixels_info *out, struct err *e)
{
	char wide[16];
	const char *words[] = { "thumb", "--width", wide, in, out_path, NULL };
	struct json_object *answer = NULL;
	enum err_code rc;

	snprintf(wide, sizeof(wide), "%d", width);
	rc = check_path(in, e);
	if (rc == ERR_OK)
		rc = check_path(out_path, e);
	if (rc == ERR_OK)
		rc = ask(p, dir, words, cancel, &answer, e);
	if (rc == ERR_OK)
		read_info(answer, out);
	json_object_put(answer);
	return rc;
}

/* --- editing a part of a picture ------------------------------------------ */

/* Each of the paths (NULL-terminated). */
static enum err_code
check_paths(const char *const *paths, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (; *paths != NULL && rc == ERR_OK; paths++)
		rc = check_path(*paths, e);
	return rc;
}

static void
read_mask(const struct json_object *answer, struct pixels_mask *out)
{
	out->width = (int)json_get_int(answer, "width", 0);
	out->height = (int)json_get_int(answer, "height", 0);
	out->selected = json_get_int(answer, "selected", 0);
	out->share = json_get_num(answer, "share", 0);
}

enum err_code
pixels_mask(struct pixels *p, const char *dir, const char *base,
    const char *mask, const char *api, const char *region,
    struct cancel *cancel, struct pixels_mask *out, struct err *e)
{
	const char *words[] = { api != NULL ? "make-mask" : "check-mask",
	    "--base", base, mask, api, NULL, NULL, NULL };
	const char *paths[] = { base, mask, api, region, NULL };
	struct json_object *answer = NULL;
	enum err_code rc;

	assert(api != NULL || region == NULL);
	if (region != NULL) {
		words[5] = "--region";
		words[6] = region;
	}
	rc = check_paths(paths, e);
	if (rc == ERR_OK)
		rc = ask(p, dir, words, cancel, &answer, e);
	if (rc == ERR_OK)
		read_mask(answer, out);
	json_object_put(answer);
	return rc;
}

enum err_code
pixels_draw_mask(struct pixels *p, const char *dir, const char *base,
    const char *shapes, const char *out_path, struct cancel *cancel,
    struct pixels_mask *out, struct err *e)
{
	const char *words[] = { "draw-mask", "--shapes", shapes, base,
	    out_path, NULL };
	const char *paths[] = { base, out_path, NULL };
	struct json_object *answer = NULL;
	enum err_code rc;

	rc = check_paths(paths, e);
	if (rc == ERR_OK)
		rc = ask(p, dir, words, cancel, &answer, e);
	if (rc == ERR_OK)
		read_mask(answer, out);
	json_object_put(answer);
	return rc;
}

enum err_code
pixels_composite(struct pixels *p, const char *dir, const char *base,
    const char *mask, const char *edited, const char *out_path,
    struct cancel *cancel, bool *done, struct err *e)
{
	const char *words[] = { "composite", "--base", base, "--mask", mask,
	    edited, out_path, NULL };
	const char *paths[] = { base, mask, edited, out_path, NULL };
	struct json_object *answer = NULL;
	enum err_code rc;

	rc = check_paths(paths, e);
	if (rc == ERR_OK)
		rc = ask(p, dir, words, cancel, &answer, e);
	if (rc == ERR_OK)
		*done = json_get_bool(answer, "composited", false);
	json_object_put(answer);
	return rc;
}

enum err_code
pixels_compare(struct pixels *p, const char *dir, const char *base,
    const char *other, struct cancel *cancel, int *max_gap, double *mean_gap,
    struct err *e)
{
	const char *words[] = { "compare", "--base", base, other, NULL };
	const char *paths[] = { base, other, NULL };
	struct json_object *answer = NULL;
	enum err_code rc;

	rc = check_paths(paths, e);
	if (rc == ERR_OK)
		rc = ask(p, dir, words, cancel, &answer, e);
	if (rc == ERR_OK) {
		*max_gap = (int)json_get_int(answer, "max_difference", 255);
		*mean_gap = json_get_num(answer, "mean_difference", 255);
	}
	json_object_put(answer);
	return rc;
}

/* --- starting and stopping ------------------------------------------------ */

enum err_code
pixels_new(const char *helper, int max_parallel, int64_t max_image_pixels,
    struct pixels **out, struct err *e)
{
	pthread_condattr_t attr;
	struct pixels *p;
	char *path;

	path = realpath(helper, NULL);
	if (path == NULL || access(path, X_OK) != 0) {
		free(path);
		return err_set_errno(e, ERR_CONFIG, errno,
		    "the picture helper %s cannot be executed", helper);
	}
	p = xcalloc(1, sizeof(*p));
	p->helper = path;
	p->free_turns = max_parallel > 0 ? max_parallel : 1;
	snprintf(p->max_pixels, sizeof(p->max_pixels), "%lld",
	    (long long)max_image_pixels);
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->freed, &attr);
	pthread_condattr_destroy(&attr);
	*out = p;
	return ERR_OK;
}

void
pixels_free(struct pixels *p)
{
	if (p == NULL)
		return;
	pthread_cond_destroy(&p->freed);
	pthread_mutex_destroy(&p->lock);
	free(p->helper);
	free(p);
}
