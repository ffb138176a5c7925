/*
 * The checkpointer: a thread with a connection of its own that moves the log
 * (WAL) back into the database, so that no write pays for it.
 *
 * It never gets in anybody's way (PASSIVE), and that has a price: under a
 * steady load there is always a fresh commit it has not moved yet, so the log
 * would never start over and would grow without end.  Once it is long, the
 * little that is left after a pass is moved in a second one under the write
 * turn.  The next writer then finds the whole log moved and starts it over.
 *
 * What goes wrong here is not reported: the log is kept, the next commit asks
 * again, and a disk that is full or broken shows itself to the writers.
 */
#include "internal.h"

#include <pthread.h>

#include "xalloc.h"

#define CHECKPOINT_PAGES 1024	/* 4 MB in pages of 4 KB */
#define LONG_LOG_PAGES 4096	/* 16 MB */
#define CHECKPOINT_CACHE_KB 256
#define CHECKPOINT_BUSY_MS 100

struct checkpointer {
	struct db *db;		/* the thread's alone */
	struct turn turn;	/* likewise */
	pthread_t thread;

	pthread_mutex_t lock;	/* guards everything below */
	pthread_cond_t work;
	int seen;		/* length of the log at the last pass */
	bool due;
	bool closing;
};

void
checkpointer_notice(void *arg, int log_pages)
{
	struct checkpointer *c = arg;

	pthread_mutex_lock(&c->lock);
	if (log_pages < c->seen)
		c->seen = 0;	/* it has started over */
	if (log_pages - c->seen >= CHECKPOINT_PAGES && !c->due) {
		c->due = true;
		pthread_cond_signal(&c->work);
	}
	pthread_mutex_unlock(&c->lock);
}

static bool
is_wanted(void *arg)
{
	struct checkpointer *c = arg;
	bool wanted;

	pthread_mutex_lock(&c->lock);
	wanted = !c->closing;
	pthread_mutex_unlock(&c->lock);
	return wanted;
}

static void
move_log(struct checkpointer *c)
{
	int pages = 0, moved = 0;
	enum err_code rc;

	rc = db_checkpoint(c->db, &pages, &moved, NULL);
	if (rc == ERR_OK && pages >= LONG_LOG_PAGES &&
	    turn_take(&c->turn, is_wanted, c, NULL)) {
		rc = db_checkpoint(c->db, &pages, &moved, NULL);
		turn_give(&c->turn);
	}
	if (rc != ERR_OK)
		return;
	/* What a reader kept from being moved is for the next pass, when
	 * there is as much again, not for the next commit. */
	pthread_mutex_lock(&c->lock);
	c->seen = pages;
	pthread_mutex_unlock(&c->lock);
}

static void *
checkpointer_main(void *arg)
{
	struct checkpointer *c = arg;
	bool closing;

	for (;;) {
		pthread_mutex_lock(&c->lock);
		while (!c->due && !c->closing)
			pthread_cond_wait(&c->work, &c->lock);
		c->due = false;
		closing = c->closing;
		pthread_mutex_unlock(&c->lock);
		if (closing)
			return NULL;
		move_log(c);
	}
}

enum err_code
checkpointer_start(const struct place *p, struct checkpointer **out,
    struct err *e)
{
	struct db_options d = { .path = p->db, .full_sync = true,
	    .cache_kb = CHECKPOINT_CACHE_KB, .busy_ms = CHECKPOINT_BUSY_MS };
	struct checkpointer *c = xcalloc(1, sizeof(*c));
	enum err_code rc;

	c->turn = (struct turn)TURN_INIT;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->work, NULL);
	rc = turn_open(p->turn, false, &c->turn, e);
	if (rc == ERR_OK)
		rc = db_open(&d, &c->db, e);
	if (rc == ERR_OK)
		rc = store_thread(&c->thread, checkpointer_main, c, e);
	if (rc == ERR_OK) {
		*out = c;
		return rc;
	}
	db_close(c->db);
	turn_close(&c->turn);
	pthread_cond_destroy(&c->work);
	pthread_mutex_destroy(&c->lock);
	free(c);
	return rc;
}

void
checkpointer_stop(struct checkpointer *c)
{
	if (c == NULL)
		return;
	pthread_mutex_lock(&c->lock);
	c->closing = true;
	pthread_cond_signal(&c->work);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	db_close(c->db);
	turn_close(&c->turn);
	pthread_cond_destroy(&c->work);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
