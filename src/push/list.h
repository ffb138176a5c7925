/*
 * A doubly linked list through a member of what it holds.  A link that is in no
 * list points to itself, so taking it out twice is fine.
 */
#ifndef PUSH_LIST_H
#define PUSH_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct link {
	struct link *next, *prev;
};

/* The struct of which l is that member. */
#define LINK_OF(l, type, member) \
	((type *)(void *)((char *)(l) - offsetof(type, member)))

static inline void
link_init(struct link *l)
{
	l->next = l->prev = l;
}

static inline bool
link_is_free(const struct link *l)
{
	return l->next == l;
}

static inline void
link_take(struct link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	link_init(l);
}

/* To the end of the list; from wherever it was. */
static inline void
link_put(struct link *list, struct link *l)
{
	link_take(l);
	l->prev = list->prev;
	l->next = list;
	list->prev->next = l;
	list->prev = l;
}

static inline struct link *
link_first(const struct link *list)
{
	return list->next == list ? NULL : list->next;
}

#endif
