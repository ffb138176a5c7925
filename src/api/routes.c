/*
 * The routes: one table, and what is the same for all of them.
 *
 * To add a route: write its handler (its comment lists its answers), declare it
 * in worker.h, add a row here, document it in the API document, and test it in
 * tests/program/test_api.py.
 *
 * What is shown to OPERATORS is refused to clients from other addresses than
 * api.operators has.
 *
 * A pattern's {name} matches one path segment; {name...} the rest of the path.
 * Segments called {run_id} must be ids; anything else is a 404 before the
 * handler runs.
 */
#include "worker.h"

#include <unistd.h>

#include "access.h"
#include "id.h"
#include "net.h"
#include "xalloc.h"

#define PREFLIGHT_AGE_S 600
#define MAX_LOCATION_BYTES 2000	/* a longer one would be cut as a header */
#define CORS_METHODS "GET, POST, PUT, DELETE, OPTIONS"
#define EXPOSED_HEADERS "Accept-Ranges, Allow, Content-Disposition, "	\
	"Content-Range, ETag, Idempotency-Replayed, Last-Modified, Link, " \
	"Location, Retry-After, X-Request-Id"

static const struct route routes[] = {
	{ METHOD_GET, "/", page_root, ANYONE },
	{ METHOD_GET, "/openapi.json", page_openapi, ANYONE },
	{ METHOD_GET, "/docs", page_docs, ANYONE },
	{ METHOD_GET, "/redoc", page_redoc, ANYONE },
	{ METHOD_GET, "/health", page_health, ANYONE },
	{ METHOD_GET, "/health/ready", page_ready, ANYONE },
	{ METHOD_GET, "/health/executor-stats", page_executor_stats, OPERATORS },
	{ METHOD_GET, "/metrics", page_metrics, OPERATORS },
	{ METHOD_GET, "/api/v1/status", page_status, ANYONE },
	{ METHOD_GET, "/api/v1/config/platforms", page_platforms, ANYONE },
	{ METHOD_GET, "/api/v1/config/task-types", page_task_types, ANYONE },
	{ METHOD_GET, "/api/v1/config/caption-models", page_caption_models,
	  ANYONE },
	{ METHOD_POST, "/api/v1/runs", page_run_create, ANYONE },
	{ METHOD_GET, "/api/v1/runs", page_run_list, ANYONE },
	/* The existing client uses this spelling and must not be redirected. */
	{ METHOD_GET, "/api/v1/runs/", page_run_list, ANYONE },
	{ METHOD_GET, "/api/v1/runs/{run_id}", page_run_show, ANYONE },
	{ METHOD_DELETE, "/api/v1/runs/{run_id}", page_run_delete, ANYONE },
	{ METHOD_GET, "/api/v1/runs/{run_id}/status", page_run_status, ANYONE },
	{ METHOD_GET, "/api/v1/runs/{run_id}/results", page_run_results, ANYONE },
	{ METHOD_GET, "/api/v1/runs/{run_id}/events", page_run_events, ANYONE },
	{ METHOD_POST, "/api/v1/runs/{run_id}/cancel", page_run_cancel, ANYONE },
	{ METHOD_GET, "/api/v1/files/{run_id}/{path...}", page_file, ANYONE },
};

int
route_count(void)
{
	return (int)ARRAY_LEN(routes);
}

const struct route *
route_at(int i)
{
	return i >= 0 && i < route_count() ? &routes[i] : NULL;
}

_Static_assert(ARRAY_LEN(routes) < METRICS_ROUTES, "raise METRICS_ROUTES");

/*
 * Match path against a pattern, cutting parameters into text (a copy of path
 * that the caller lends). params[] point into it.
 */
static bool
match(const char *pattern, const char *path, char *text,
    const char *params[MAX_PARAMS])
{
	const char *p = pattern;
	char *q = text;
	int n = 0;

	snprintf(text, MAX_PATH_BYTES, "%s", path);
	while (*p != '\0') {
		if (*p != '{') {
			if (*p != *q)
				return false;
			p++;
			q++;
			continue;
		}
		if (*q == '\0' || n == MAX_PARAMS)
			return false;
		params[n++] = q;
		p += strcspn(p, "}") + 1;
		if (strncmp(p - 4, "...}", 4) == 0)
			return true;
		q += strcspn(q, "/");
		if (q == params[n - 1])
			return false;
		if (*q == '/' && *p == '/') {
			/* Keep walking the original; text ends here. */
			*q = '\0';
			p++;
			q++;
		}
	}
	return *q == '\0';
}

/* Every {run_id} is the first parameter. */
static bool
ids_are_valid(const struct route *route, const struct request *r)
{
	return strstr(route->pattern, "{run_id}") == NULL ||
	    id_is_valid(r->params[0]);
}

/* The row's place, or route_count() when none fits. */
static int
find_route(enum method method, const char *path, struct request *r)
{
	size_t i;

	if (method == METHOD_HEAD)
		method = METHOD_GET;
	for (i = 0; i < ARRAY_LEN(routes); i++)
		if (routes[i].method == method &&
		    match(routes[i].pattern, path, r->param_text, r->params))
			break;
	return (int)i;
}

/* "GET, HEAD, OPTIONS": what the path answers; empty when it is unknown. */
static void
allowed_methods(const char *path, struct request *r, struct strbuf *out)
{
	int m;

	for (m = 0; m < METHOD_OPTIONS; m++)
		if (route_at(find_route((enum method)m, path, r)) != NULL)
			strbuf_addf(out, "%s, ", method_name((enum method)m));
	if (out->len > 0)
		strbuf_addstr(out, "OPTIONS");
}

/* --- CORS ------------------------------------------------------------------------- */

static bool
origin_allowed(const struct worker *w, const char *origin)
{
	return access_origin_listed(w->svc->conf->settings.cors_origins,
	    origin);
}

static void
add_cors(const struct worker *w, const struct request *r,
    struct response *res)
{
	/* A cache must not give one origin's answer to another. */
	response_header(res, "Vary", "Origin");
	if (r->origin == NULL || !origin_allowed(w, r->origin))
		return;
	response_header(res, "Access-Control-Allow-Origin", "%s", r->origin);
	response_header(res, "Access-Control-Allow-Credentials", "true");
	response_header(res, "Access-Control-Expose-Headers",
	    EXPOSED_HEADERS);
}

static void
answer_preflight(const struct worker *w, const struct request *r,
    struct response *res)
{
	if (!origin_allowed(w, r->origin)) {
		response_error(res, 400, "This origin may not use the API.");
		return;
	}
	res->status = 200;
	response_header(res, "Access-Control-Allow-Methods", CORS_METHODS);
	if (r->acr_headers != NULL)
		response_header(res, "Access-Control-Allow-Headers", "%s",
		    r->acr_headers);
	response_header(res, "Access-Control-Max-Age", "%d", PREFLIGHT_AGE_S);
}

/* --- dispatch --------------------------------------------------------------------- */

/* A path that is a route but for its trailing slash: 307 there. */
static bool
redirect_slash(struct request *r, struct response *res)
{
	char other[MAX_PATH_BYTES];
	size_t len = strlen(r->path), raw = strlen(r->raw_path);
	struct strbuf allow = STRBUF_INIT(100);
	bool known;

	/* It must have been sent as a slash, since it is cut from what was
	 * sent. No route begins with "//", so this never leads elsewhere. */
	if (len < 2 || r->path[len - 1] != '/' || raw < 2 ||
	    r->raw_path[raw - 1] != '/' ||
	    raw + strlen(r->query_text) > MAX_LOCATION_BYTES)
		return false;
	memcpy(other, r->path, len - 1);
	other[len - 1] = '\0';
	allowed_methods(other, r, &allow);
	known = allow.len > 0;
	strbuf_release(&allow);
	if (!known)
		return false;
	res->status = 307;
	response_header(res, "Location", "%.*s%s%s", (int)(raw - 1),
	    r->raw_path, *r->query_text != '\0' ? "?" : "", r->query_text);
	return true;
}

static void
answer_unmatched(struct request *r, struct response *res)
{
	struct strbuf allow = STRBUF_INIT(100);

	allowed_methods(r->path, r, &allow);
	if (allow.len > 0 && r->method == METHOD_OPTIONS) {
		res->status = 204;
		response_header(res, "Allow", "%s", allow.buf);
	} else if (allow.len > 0) {
		response_header(res, "Allow", "%s", allow.buf);
		response_error(res, 405, "Method Not Allowed");
	} else if (!redirect_slash(r, res)) {
		response_error(res, 404, "Not Found");
	}
	strbuf_release(&allow);
}

static bool
is_operator(const struct worker *w, const struct request *r)
{
	char **p = w->svc->conf->settings.api_operators;

	for (; *p != NULL; p++)
		if (net_contains(*p, r->remote_addr))
			return true;
	return false;
}

static enum err_code
call_handler(struct worker *w, const struct route *route, struct request *r,
    struct response *res, struct err *e)
{
	enum err_code rc;

	rc = route->answer(w, r, res, e);
	if (rc == ERR_OK && (strbuf_overflowed(&res->body) ||
	    strbuf_overflowed(&res->headers)))
		rc = err_set(e, ERR_SYSTEM, "the answer is larger than %d "
		    "bytes, or its headers than %d", MAX_RESPONSE_BYTES,
		    MAX_HEADER_BYTES);
	return rc;
}

static void
answer_route(struct worker *w, const struct route *route, struct request *r,
    struct response *res)
{
	struct err e = ERR_INIT;

	if (!ids_are_valid(route, r)) {
		response_error(res, 404, "There is no such run.");
		return;
	}
	if (route->whom == OPERATORS && !is_operator(w, r)) {
		response_error(res, 403, "This is for operators only: the "
		    "setting api.operators says from where it may be read.");
		return;
	}
	if (strstr(route->pattern, "{run_id}") != NULL)
		snprintf(r->run_id, sizeof(r->run_id), "%s", r->params[0]);
	if (call_handler(w, route, r, res, &e) != ERR_OK) {
		response_reset(res);
		response_err(res, &e, w->svc->conf->settings.development);
	}
}

/* What every answer carries, errors included. */
static void
finish_answer(const struct worker *w, const struct request *r,
    struct response *res)
{
	add_cors(w, r, res);
	response_header(res, "X-Request-Id", "%s", r->id);
	response_header(res, "X-Content-Type-Options", "nosniff");
}

void
route_refuse(struct worker *w, struct request *r, const struct err *why,
    struct response *res)
{
	r->route = route_count();
	response_err(res, why, w->svc->conf->settings.development);
	finish_answer(w, r, res);
}

void
route_request(struct worker *w, struct request *r, struct response *res)
{
	const struct route *route;

	r->route = route_count();
	if (r->method == METHOD_OPTIONS && r->origin != NULL &&
	    r->acr_method != NULL) {
		answer_preflight(w, r, res);
	} else {
		r->route = find_route(r->method, r->path, r);
		route = route_at(r->route);
		if (route != NULL)
			answer_route(w, route, r, res);
		else
			answer_unmatched(r, res);
	}
	finish_answer(w, r, res);
}
