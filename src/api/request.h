/*
 * One HTTP request and its answer, without FastCGI in them: a request is read
 * from a list of CGI variables, a response is filled by a handler and written by
 * the worker.  So both can be tested without a web server.
 */
#ifndef API_REQUEST_H
#define API_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "conditions.h"
#include "err.h"
#include "json.h"
#include "strbuf.h"
#include "submit.h"

#define MAX_PATH_BYTES 2048
#define MAX_QUERY_BYTES 8192
#define MAX_VARIABLES_BYTES 65536	/* headers among them */
#define MAX_PARAMS 2
#define REQUEST_ID_MAX 65
#define MAX_RESPONSE_BYTES (16 * 1024 * 1024)
#define MAX_HEADER_BYTES (16 * 1024)

enum method { METHOD_GET, METHOD_HEAD, METHOD_POST, METHOD_PUT, METHOD_DELETE,
	METHOD_OPTIONS, METHOD_OTHER };

const char *method_name(enum method m);	/* "GET"; "OTHER" */

/* Pulls the next bytes of the body: how many, 0 at its end, or a failure. */
typedef int body_reader(void *arg, char *buf, int len);
#define BODY_BROKEN (-1)	/* it ended before its end */
#define BODY_LATE (-2)		/* it came too slowly to be awaited */

struct request {
	/* what the server said; strings live as long as the request */
	enum method method;
	const char *method_name;
	const char *content_type;	/* "" when none */
	int64_t content_length;	/* -1: not said */
	const char *origin;	/* NULL: none */
	const char *acr_method, *acr_headers;	/* of a CORS preflight; NULL */
	struct conditions conditions;
	const char *accept;	/* "" when none */
	const char *remote_addr;	/* NULL: the web server does not say */
	const char *idempotency_key;	/* NULL */
	/* what we made of it */
	char id[REQUEST_ID_MAX];	/* X-Request-Id: theirs if sane, else ours */
	char path[MAX_PATH_BYTES];	/* decoded, begins with / */
	char raw_path[MAX_PATH_BYTES];	/* as sent, for redirects */
	const char *query_text;	/* as sent; "" when none */
	struct form query;
	const char *params[MAX_PARAMS];	/* of the route's pattern, into param_text */
	char param_text[MAX_PATH_BYTES];
	const char *owner;	/* whose things may be seen */
	char run_id[ID_MAX];	/* for the access log; "" */
	int route;		/* route_at(): the row that answers */
	int64_t body_bytes;	/* read so far */
	body_reader *read_body;
	void *read_arg;
};

/*
 * envp: NAME=value strings, NULL-terminated. ERR_INVALID when path or query
 * cannot be decoded or are too long; the request can be answered even so.
 * Release in any case.
 */
enum err_code request_init(struct request *r, char **envp, struct err *e);
void request_release(struct request *r);

/* Query values with their checks; faults become 422 with loc ["query", name].
 * An absent one gives dflt. */
int64_t query_int(const struct request *r, const char *name, int64_t dflt,
    int64_t min, int64_t max, struct faults *faults);

/* What is neither a letter, a digit nor one of ._-~ as %XX; slashes may stay. */
void strbuf_add_url_escaped(struct strbuf *out, const char *s, bool slashes);

struct response {
	int status;
	struct strbuf headers;	/* complete lines with CRLF */
	struct strbuf body;
	bool has_type;		/* Content-Type is among the headers */
	bool has_tag;		/* ETag is: caches may keep it, and ask */
	int file_fd;		/* sent instead of body; -1 */
	int64_t file_offset, file_length;
	const char *wake;	/* text for the runner once answered; NULL */
	bool told;		/* run_id has a new event: for push */
};

void response_init(struct response *res);
void response_release(struct response *res);
void response_reset(struct response *res);	/* as after init */
/* Control characters in value end it, so that no header can be forged. */
void response_header(struct response *res, const char *name, const char *fmt,
    ...) __attribute__((format(printf, 3, 4)));
/* Takes o's reference. */
void response_json(struct response *res, int status, struct json_object *o);
/* {"detail": message} in the shape the status wants. */
void response_error(struct response *res, int status, const char *message);
/* All faults, in the shape they have (faults_body()). */
void response_faults(struct response *res, const struct faults *faults);
/* From an err: its status, Retry-After for 503, real texts of 500 only in
 * development (and always in the log). */
void response_err(struct response *res, const struct err *e, bool development);

/*
 * Tell caches that they may keep the answer and ask each time whether it is
 * still this. True when the client has asked and it is: res is then a finished
 * 304, and nothing need be made. The tag is given without quotes and is weak:
 * what it stands for means the same, byte for byte or not.
 */
bool response_is_known(const struct request *r, struct response *res,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* 200 with bytes that seldom change, and a tag made of them; 304. */
void response_kept(const struct request *r, struct response *res,
    const char *content_type, const char *data, size_t len);
/* The same of JSON. Takes o's reference. */
void response_kept_json(const struct request *r, struct response *res,
    struct json_object *o);

const char *http_reason(int status);	/* "Not Found" */

#endif
