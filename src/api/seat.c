/*
 * Shutting connections that are late.
 *
 * A thread reads and writes inside libfcgi, which waits for ever.  A time-out of
 * the socket would bound the silence between two bytes but not somebody who
 * sends one byte a minute; so another thread looks, every now and then, whether
 * the time for the whole of it is over, and shuts the socket down, which ends
 * whatever wait there is.
 *
 * libfcgi closes the connection when it likes, and the number of its descriptor
 * may then be somebody else's.  The seat therefore has a duplicate: shutting
 * down is about the socket, whichever descriptor names it.
 *
 * Only reading is shut while a request is read, so that who was late can still
 * be told so.
 */
#include "seat.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

void
seat_init(struct seat *s)
{
	memset(s, 0, sizeof(*s));
	pthread_mutex_init(&s->lock, NULL);
	s->fd = -1;
	s->due_ms = INT64_MAX;
}

void
seat_destroy(struct seat *s)
{
	seat_leave(s);
	pthread_mutex_destroy(&s->lock);
}

void
seat_take(struct seat *s, int connection, int64_t due_ms)
{
	/* Without a descriptor to spare the connection is not watched. */
	int fd = fcntl(connection, F_DUPFD_CLOEXEC, 0);

	pthread_mutex_lock(&s->lock);
	s->fd = fd;
	s->due_ms = due_ms;
	s->writing = false;
	s->shut = false;
	pthread_mutex_unlock(&s->lock);
}

void
seat_await(struct seat *s, bool writing, int64_t due_ms)
{
	pthread_mutex_lock(&s->lock);
	s->writing = writing;
	s->due_ms = due_ms;
	pthread_mutex_unlock(&s->lock);
}

void
seat_rest(struct seat *s)
{
	seat_await(s, false, INT64_MAX);
}

void
seat_leave(struct seat *s)
{
	int fd;

	pthread_mutex_lock(&s->lock);
	fd = s->fd;
	s->fd = -1;
	s->due_ms = INT64_MAX;
	pthread_mutex_unlock(&s->lock);
	if (fd >= 0)
		close(fd);
}

bool
seat_is_shut(struct seat *s)
{
	bool shut;

	pthread_mutex_lock(&s->lock);
	shut = s->shut;
	pthread_mutex_unlock(&s->lock);
	return shut;
}

bool
seat_check(struct seat *s, int64_t now_ms)
{
	bool late;

	pthread_mutex_lock(&s->lock);
	late = s->fd >= 0 && now_ms >= s->due_ms;
	if (late) {
		shutdown(s->fd, s->writing ? SHUT_RDWR : SHUT_RD);
		s->shut = true;
		s->due_ms = INT64_MAX;
	}
	pthread_mutex_unlock(&s->lock);
	return late;
}
