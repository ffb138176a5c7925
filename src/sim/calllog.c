/*
 * A record of calls that outlives this process.
 *
 * The counters answer "how often", and die with us.  Whoever kills the simulator
 * on purpose and wants to know afterwards what a client had been answered needs
 * more: three lines for each call, appended to a file, one object each.
 *
 *   arrived    its body is complete; nothing has been answered
 *   answering  what is about to be sent, before any byte of it
 *   ended      whether the last byte was handed to the socket
 *
 * A call that has "answering" with status 200 and no "ended" may or may not
 * have been answered: we were killed in between.  A call without "answering"
 * certainly was not.
 *
 * Each line is one write() to a file opened for appending, so lines of several
 * threads, and of a simulator that was started again, never mix.
 */
#include "sim.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "xalloc.h"

#define LOG_MODE 0644
#define MAX_LINE_BYTES 4096

struct call_log {
	int fd;
};

static const char *const event_names[] = {
	[CALL_LOG_ARRIVED] = "arrived",
	[CALL_LOG_ANSWERING] = "answering",
	[CALL_LOG_ENDED] = "ended",
};

enum err_code
call_log_open(const char *path, struct call_log **out, struct err *e)
{
	struct call_log *l;
	int fd;

	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, LOG_MODE);
	if (fd < 0)
		return err_set_errno(e, ERR_SYSTEM, errno, "log %s", path);
	l = xcalloc(1, sizeof(*l));
	l->fd = fd;
	*out = l;
	return ERR_OK;
}

void
call_log_close(struct call_log *l)
{
	if (l == NULL)
		return;
	close(l->fd);
	free(l);
}

void
call_log_write(struct call_log *l, enum call_log_event event,
    const struct logged_call *c)
{
	struct strbuf line = STRBUF_INIT(MAX_LINE_BYTES);
	struct json_object *o;

	if (l == NULL)
		return;
	o = json_object_new_object();
	json_put_str(o, "event", event_names[event]);
	json_put_int(o, "ms", clock_now_ms());
	json_put_int(o, "pid", getpid());
	json_put_int(o, "call", c->number);
	json_put_str(o, "kind", sim_kind_name(c->kind));
	json_put_str(o, "key", c->key);
	json_put_str(o, "request", c->request_id);
	if (event != CALL_LOG_ARRIVED) {
		json_put_int(o, "status", c->status);
		json_put_str(o, "fault", c->fault);
		json_put_bool(o, "whole", c->whole);
	}
	strbuf_add_json(&line, o);
	strbuf_addch(&line, '\n');
	json_object_put(o);
	if (strbuf_overflowed(&line) ||
	    write(l->fd, line.buf, line.len) != (ssize_t)line.len)
		log_warn("a call is missing in the log, ignoring", "call=%lld",
		    (long long)c->number);
	strbuf_release(&line);
}
