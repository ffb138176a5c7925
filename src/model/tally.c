/*
 * Sums over the wire requests of this process, per provider and model.
 *
 * The ledger knows all of it for good, but adding it up means reading it; who
 * watches a process wants to know every few seconds what it is doing.  These
 * sums begin at zero with the process, as counters may.  There are no more rows
 * than the configuration has pairs of provider and model.
 */
#include "call.h"

#include "xalloc.h"

struct tallies {
	pthread_mutex_t lock;
	struct model_tally *rows;
	int n, room;
};

struct tallies *
tallies_new(void)
{
	struct tallies *t = xcalloc(1, sizeof(*t));

	pthread_mutex_init(&t->lock, NULL);
	return t;
}

void
tallies_free(struct tallies *t)
{
	if (t == NULL)
		return;
	pthread_mutex_destroy(&t->lock);
	free(t->rows);
	free(t);
}

/* The lock is held. Names are the configuration's, so they compare by place. */
static struct model_tally *
row_of(struct tallies *t, const struct provider *p,
    const struct model_info *m)
{
	struct model_tally *row;
	int i;

	for (i = 0; i < t->n; i++)
		if (t->rows[i].provider == p->name &&
		    t->rows[i].model == m->id)
			return &t->rows[i];
	if (t->n == t->room) {
		t->room = t->room > 0 ? 2 * t->room : 8;
		t->rows = xrealloc_array(t->rows, (size_t)t->room,
		    sizeof(*t->rows));
	}
	row = &t->rows[t->n++];
	memset(row, 0, sizeof(*row));
	row->provider = p->name;
	row->model = m->id;
	return row;
}

void
tally_sent(struct tallies *t, const struct provider *p,
    const struct model_info *m)
{
	struct model_tally *row;

	pthread_mutex_lock(&t->lock);
	row = row_of(t, p, m);
	row->sent++;
	row->in_flight++;
	pthread_mutex_unlock(&t->lock);
}

void
tally_settled(struct tallies *t, const struct provider *p,
    const struct model_info *m, const struct call_row *r,
    enum model_fault fault)
{
	struct model_tally *row;

	pthread_mutex_lock(&t->lock);
	row = row_of(t, p, m);
	row->in_flight--;
	switch (r->state) {
	case CALL_ANSWERED:
		row->answered++;
		break;
	case CALL_UNKNOWN:
		row->unknown++;
		break;
	case CALL_FAILED:
		row->failed[fault]++;
		break;
	case CALL_SENT:
	case CALL_STATE__COUNT:
		break;
	}
	row->cost_nano += r->cost_nano;
	row->prompt += r->prompt_tokens;
	row->completion += r->completion_tokens;
	row->cached += r->cached_tokens;
	row->reasoning += r->reasoning_tokens;
	row->image_in += r->image_in_tokens;
	row->image_out += r->image_out_tokens;
	pthread_mutex_unlock(&t->lock);
}

int
tallies_get(struct tallies *t, struct model_tally *out, int max)
{
	int n;

	pthread_mutex_lock(&t->lock);
	n = t->n;
	if (max > n)
		max = n;
	if (max > 0)
		memcpy(out, t->rows, (size_t)max * sizeof(*out));
	pthread_mutex_unlock(&t->lock);
	return n;
}
