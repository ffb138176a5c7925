/* One worker process, as its handlers see it. */
#ifndef API_WORKER_H
#define API_WORKER_H

#include <pthread.h>
#include <stdatomic.h>

#include "document.h"
#include "metrics.h"
#include "request.h"
#include "seat.h"
#include "service.h"
#include "store.h"

#define TAG_SALT_MAX 9

struct worker {
	struct service *svc;
	const struct document *document;
	struct store *store;
	int listen_fd;
	int stop_event;		/* eventfd: readable when threads shall stop */
	int uploads_dirfd;
	int runs_dirfd;
	atomic_int active;	/* requests in hand */
	atomic_int living;	/* accepting threads that have not ended */
	atomic_llong requests;
	struct metrics *metrics;	/* of all workers */
	pthread_mutex_t counted_lock;
	struct store_stats counted;	/* in metrics already */
	struct presence presence;
	/* Part of tags that name a version of rows: another program, or another
	 * setting, shows the same rows differently. */
	char tag_salt[TAG_SALT_MAX];
};

/*
 * A handler fills res, or returns an error, from which the answer is made; what
 * it has filled by then is dropped.  The comment above each lists its answers.
 */
typedef enum err_code handler(struct worker *w, struct request *r,
    struct response *res, struct err *e);

/*
 * One row of the table in routes.c. Its place there is how requests are
 * counted; request.route is that place, and route_count() that of a request
 * which no row fits.
 */
enum audience { ANYONE, OPERATORS };

struct route {
	enum method method;	/* GET serves HEAD as well */
	const char *pattern;
	handler *answer;
	enum audience whom;
};

struct FCGX_Request;

/* serve.c: answer a request that was accepted, finish it and leave the seat. */
void serve(struct worker *w, struct seat *seat, struct FCGX_Request *f);
/* What the store has done since the last time goes to the metrics. */
void worker_count_store(struct worker *w);

int route_count(void);
const struct route *route_at(int i);	/* NULL: no row fitted */

/* Answer r: route it, call its handler, put CORS and request id on. Never
 * fails; whatever goes wrong becomes an answer. */
void route_request(struct worker *w, struct request *r, struct response *res);
/* Answer a request that could not be read, with the error that says why. */
void route_refuse(struct worker *w, struct request *r, const struct err *why,
    struct response *res);

/* runs.c */
handler page_run_create, page_run_show, page_run_status, page_run_results,
    page_run_events, page_run_cancel, page_run_delete;
/* run_list.c */
handler page_run_list;
/* docs.c */
handler page_openapi, page_docs, page_redoc;
/* files.c */
handler page_file;
/* health.c */
handler page_root, page_health, page_ready, page_executor_stats, page_status,
    page_platforms, page_task_types, page_caption_models;
/* prometheus.c */
handler page_metrics;

/*
 * bodies.c: the body of a POST as a form of that shape, whether it was sent as a
 * form or as JSON; in JSON, values of the wrong kind go to faults and the form
 * can be checked even so.  ERR_INVALID, ERR_TYPE (no shape that we read, or no
 * JSON: then faults says so), ERR_TOO_LARGE, ERR_FULL, ERR_SYSTEM.
 */
enum err_code read_form(struct worker *w, struct request *r,
    const struct form_shape *shape, struct form *form, struct faults *faults,
    struct err *e);

#endif
