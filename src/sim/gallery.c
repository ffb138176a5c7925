/*
 * Pictures answered by URL, kept until somebody fetches them: the youngest
 * few, because a simulator that runs for days must not grow.
 */
#include "sim.h"

#include <pthread.h>

#define HUNG 32
#define MAX_HUNG_BYTES (64u * 1024 * 1024)

struct frame {
	char hash[DIGEST_HEX_MAX];
	struct strbuf png;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct frame frames[HUNG];
static unsigned next_frame;
static size_t hung_bytes;

static void
take_down(struct frame *f)
{
	hung_bytes -= f->png.len;
	strbuf_release(&f->png);
	f->hash[0] = '\0';
}

static struct frame *
find(const char *hash)
{
	int i;

	for (i = 0; i < HUNG; i++)
		if (frames[i].hash[0] != '\0' &&
		    strcmp(frames[i].hash, hash) == 0)
			return &frames[i];
	return NULL;
}

void
gallery_put(const char *hash, const struct strbuf *png)
{
	struct frame *f;
	unsigned i;

	pthread_mutex_lock(&lock);
	if (find(hash) != NULL)
		goto out;
	f = &frames[next_frame++ % HUNG];
	if (f->hash[0] != '\0')
		take_down(f);
	/* Oldest first, until there is room. */
	for (i = 0; i < HUNG && hung_bytes + png->len > MAX_HUNG_BYTES; i++)
		if (frames[(next_frame + i) % HUNG].hash[0] != '\0')
			take_down(&frames[(next_frame + i) % HUNG]);
	strbuf_init(&f->png, SIM_MAX_PICTURE_BYTES);
	strbuf_add(&f->png, png->buf, png->len);
	snprintf(f->hash, sizeof(f->hash), "%s", hash);
	hung_bytes += f->png.len;
out:
	pthread_mutex_unlock(&lock);
}

bool
gallery_get(const char *hash, struct strbuf *out)
{
	struct frame *f;

	pthread_mutex_lock(&lock);
	f = find(hash);
	if (f != NULL)
		strbuf_add(out, f->png.buf, f->png.len);
	pthread_mutex_unlock(&lock);
	return f != NULL;
}

void
gallery_clear(void)
{
	int i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < HUNG; i++)
		if (frames[i].hash[0] != '\0')
			take_down(&frames[i]);
	pthread_mutex_unlock(&lock);
}
