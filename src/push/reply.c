/*
 * Judging requests.  The order is: is there such a place, is the method one of
 * its own, may this page use it, is the rest of it right.
 *
 * Origin: a page of another site could open a socket to us with nothing but the
 * visitor's network position, since sockets know no CORS; so the Origin header
 * is checked before anything else happens.  Programs send none and may.
 *
 * Address: only a web server on this host reaches us (push.listen is a socket
 * or a loopback address), and each that we ship adds the address of its client
 * at the end of X-Forwarded-For.  What stands before it, and X-Real-IP, can be
 * made up by anybody and is not looked at.  Who names no address is a program
 * on this host itself and is limited only by the number of all sockets.
 */
#include "reply.h"

#include <arpa/inet.h>

#include "access.h"
#include "json.h"
#include "submit.h"
#include "yaml.h"
#include "xalloc.h"

#define SOCKET_PREFIX "/api/v1/ws/"
#define STREAM_PREFIX "/api/v1/runs/"
#define STREAM_SUFFIX "/stream"
#define WS_VERSION "13"
#define WS_KEY_LEN 24		/* 16 bytes in base64 */
#define RETRY_MS 2000		/* an event stream comes back after so long */
#define RETRY_AFTER_S 2
#define PREFLIGHT_AGE_S 600
#define STREAM_METHODS "GET, HEAD, OPTIONS"
#define MAX_VALUE_TEXT 32	/* of a number in the query */

/* --- text ----------------------------------------------------------------- */

static const char *
reason(int status)
{
	switch (status) {
	case 200: return "OK";
	case 204: return "No Content";
	case 400: return "Bad Request";
	case 403: return "Forbidden";
	case 404: return "Not Found";
	case 405: return "Method Not Allowed";
	case 422: return "Unprocessable Content";
	case 426: return "Upgrade Required";
	case 429: return "Too Many Requests";
	case 431: return "Request Header Fields Too Large";
	case 503: return "Service Unavailable";
	default: return "Unknown";
	}
}

static void
begin(const struct settings *s, const struct head *h, int status,
    struct strbuf *out)
{
	const char *origin = h != NULL ? h->origin : NULL;

	strbuf_addf(out, "HTTP/1.1 %d %s\r\n"
	    "Connection: close\r\n"
	    "X-Content-Type-Options: nosniff\r\n"
	    "Vary: Origin\r\n", status, reason(status));
	if (origin != NULL && access_origin_listed(s->cors_origins, origin))
		strbuf_addf(out, "Access-Control-Allow-Origin: %s\r\n"
		    "Access-Control-Allow-Credentials: true\r\n"
		    "Access-Control-Expose-Headers: Retry-After\r\n",
		    origin);
}

static void
finish(const struct head *h, const char *body, struct strbuf *out)
{
	strbuf_addf(out, "Content-Type: application/json\r\n"
	    "Cache-Control: no-store\r\n"
	    "Content-Length: %zu\r\n\r\n", strlen(body));
	if (h == NULL || strcmp(h->method, "HEAD") != 0)
		strbuf_addstr(out, body);
}

static void
error_with(const struct settings *s, const struct head *h, int status,
    const char *header, const char *message, struct strbuf *out)
{
	struct json_object *o = json_object_new_object();
	char *body;

	json_put_str(o, "detail", message);
	body = json_to_text(o);
	begin(s, h, status, out);
	strbuf_addstr(out, header);
	finish(h, body, out);
	free(body);
	json_object_put(o);
}

void
reply_error(const struct settings *s, const struct head *h, int status,
    const char *message, struct strbuf *reply)
{
	char header[64] = "";

	if (status == 503 || status == 429)
		snprintf(header, sizeof(header), "Retry-After: %d\r\n",
		    RETRY_AFTER_S);
	error_with(s, h, status, header, message, reply);
}

void
reply_stream(const struct settings *s, const struct head *h, bool head_only,
    struct strbuf *reply)
{
	begin(s, h, 200, reply);
	/* nginx buffers what does not say that it must not. */
	strbuf_addstr(reply, "Content-Type: text/event-stream\r\n"
	    "Cache-Control: no-store\r\n"
	    "X-Accel-Buffering: no\r\n\r\n");
	if (!head_only)
		strbuf_addf(reply, "retry: %d\n\n", RETRY_MS);
}

void
reply_handshake(const struct head *h, struct strbuf *request)
{
	strbuf_addf(request, "GET / HTTP/1.1\r\n"
	    "Host: churns\r\n"
	    "Upgrade: websocket\r\n"
	    "Connection: Upgrade\r\n"
	    "Sec-WebSocket-Version: " WS_VERSION "\r\n"
	    "Sec-WebSocket-Key: %s\r\n\r\n", h->ws_key);
}

/* --- places --------------------------------------------------------------- */

/* A run's id as a path names it: at least it could be one. */
static bool
name_in(const char *from, size_t len, char out[RUN_NAME_MAX])
{
	if (len == 0 || len >= RUN_NAME_MAX || strspn(from,
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789-_.~") < len)
		return false;
	memcpy(out, from, len);
	out[len] = '\0';
	return true;
}

static bool
is_socket_path(const char *path, char run_id[RUN_NAME_MAX])
{
	size_t head = strlen(SOCKET_PREFIX);

	return strncmp(path, SOCKET_PREFIX, head) == 0 &&
	    name_in(path + head, strlen(path + head), run_id);
}

static bool
is_stream_path(const char *path, char run_id[RUN_NAME_MAX])
{
	size_t head = strlen(STREAM_PREFIX), len = strlen(path);
	size_t tail = strlen(STREAM_SUFFIX);

	return len > head + tail && strncmp(path, STREAM_PREFIX, head) == 0 &&
	    strcmp(path + len - tail, STREAM_SUFFIX) == 0 &&
	    name_in(path + head, len - head - tail, run_id);
}

/* --- numbers -------------------------------------------------------------- */

/* The last value of that name in the query; empty counts as absent. */
static bool
query_value(const char *query, const char *name, char out[MAX_VALUE_TEXT])
{
	size_t len, want = strlen(name);
	const char *at = query;
	bool found = false;

	for (;;) {
		len = strcspn(at, "&");
		if (len > want + 1 && strncmp(at, name, want) == 0 &&
		    at[want] == '=') {
			found = true;
			snprintf(out, MAX_VALUE_TEXT, "%.*s",
			    (int)(len - want - 1), at + want + 1);
		}
		if (at[len] == '\0')
			return found;
		at += len + 1;
	}
}

static void
refuse_after(const struct settings *s, const struct head *h, const char *text,
    struct strbuf *reply)
{
	struct json_object *o;
	struct faults faults;
	int status = 422;
	char *body;

	faults_init(&faults);
	faults_type(&faults, "int_parsing", "query", "after", text,
	    "after must be a whole number from 0 on.");
	o = faults_body(&faults, &status);
	body = json_to_text(o);
	begin(s, h, status, reply);
	finish(h, body, reply);
	free(body);
	json_object_put(o);
	faults_release(&faults);
}

/*
 * Where to go on: after=, else Last-Event-ID, which a browser sends by itself
 * when it comes back; then what the address says is from the first time.  One
 * that is no number of ours is as good as none.
 */
static bool
read_after(const struct settings *s, const struct head *h, struct wish *w,
    struct strbuf *reply)
{
	char text[MAX_VALUE_TEXT];
	int64_t n = 0;

	if (query_value(h->query, "after", text)) {
		if (!parse_int(text, &n) || n < 0) {
			refuse_after(s, h, text, reply);
			return false;
		}
		w->has_after = true;
		w->after = n;
	}
	if (w->kind != WISH_SOCKET && h->last_event_id != NULL &&
	    parse_int(h->last_event_id, &n) && n >= 0) {
		w->has_after = true;
		w->after = n;
	}
	return true;
}

/* --- wishes --------------------------------------------------------------- */

static bool
origin_may(const struct settings *s, const struct head *h)
{
	char **listed = s->push_origins != NULL && s->push_origins[0] != NULL ?
	    s->push_origins : s->cors_origins;

	return h->origin == NULL ||
	    (h->host != NULL && access_origin_is_host(h->origin, h->host)) ||
	    access_origin_listed(listed, h->origin);
}

static bool
is_handshake(const struct head *h)
{
	return h->upgrade_websocket && h->connection_upgrade && h->is_http11;
}

/* Exactly what it must be, since it is copied into another request. */
static bool
key_is_good(const char *key)
{
	return key != NULL && strlen(key) == WS_KEY_LEN && strspn(key,
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789+/") == WS_KEY_LEN - 2 &&
	    strcmp(key + WS_KEY_LEN - 2, "==") == 0;
}

static bool
check_socket(const struct settings *s, const struct head *h,
    struct strbuf *reply)
{
	if (strcmp(h->method, "GET") != 0)
		error_with(s, h, 405, "Allow: GET\r\n", "Method Not Allowed",
		    reply);
	else if (!is_handshake(h))
		reply_error(s, h, 404, "Not Found", reply);
	else if (h->ws_version == NULL ||
	    strcmp(h->ws_version, WS_VERSION) != 0)
		error_with(s, h, 426, "Sec-WebSocket-Version: " WS_VERSION
		    "\r\nUpgrade: websocket\r\n",
		    "Only version 13 of the protocol is spoken here.", reply);
	else if (!key_is_good(h->ws_key))
		reply_error(s, h, 400, "Sec-WebSocket-Key is missing or "
		    "broken.", reply);
	else
		return true;
	return false;
}

static void
answer_preflight(const struct settings *s, const struct head *h,
    struct strbuf *reply)
{
	if (!access_origin_listed(s->cors_origins, h->origin)) {
		reply_error(s, h, 400, "This origin may not use the API.",
		    reply);
		return;
	}
	begin(s, h, 200, reply);
	strbuf_addf(reply, "Access-Control-Allow-Methods: " STREAM_METHODS
	    "\r\nAccess-Control-Max-Age: %d\r\n", PREFLIGHT_AGE_S);
	if (h->acr_headers != NULL)
		strbuf_addf(reply, "Access-Control-Allow-Headers: %s\r\n",
		    h->acr_headers);
	strbuf_addstr(reply, "Content-Length: 0\r\n\r\n");
}

static bool
check_stream(const struct settings *s, const struct head *h, struct wish *w,
    struct strbuf *reply)
{
	if (strcmp(h->method, "OPTIONS") == 0 && h->origin != NULL &&
	    h->acr_method != NULL) {
		answer_preflight(s, h, reply);
	} else if (strcmp(h->method, "OPTIONS") == 0) {
		begin(s, h, 204, reply);
		strbuf_addstr(reply, "Allow: " STREAM_METHODS "\r\n\r\n");
	} else if (strcmp(h->method, "GET") == 0) {
		w->kind = WISH_STREAM;
		return true;
	} else if (strcmp(h->method, "HEAD") == 0) {
		w->kind = WISH_STREAM_HEAD;
		return true;
	} else {
		error_with(s, h, 405, "Allow: " STREAM_METHODS "\r\n",
		    "Method Not Allowed", reply);
	}
	return false;
}

void
wish_read(const struct settings *s, const struct head *h, struct wish *out,
    struct strbuf *reply)
{
	struct wish w = { .kind = WISH_SOCKET };
	bool good = false;

	if (is_socket_path(h->path, w.run_id))
		good = check_socket(s, h, reply);
	else if (is_stream_path(h->path, w.run_id))
		good = check_stream(s, h, &w, reply);
	else
		reply_error(s, h, 404, "Not Found", reply);
	if (good && !origin_may(s, h)) {
		reply_error(s, h, 403, "Pages of this origin may not follow "
		    "runs.", reply);
		good = false;
	}
	if (good)
		good = read_after(s, h, &w, reply);
	if (!good)
		w.kind = WISH_REFUSED;
	*out = w;
}

/* --- callers -------------------------------------------------------------- */

void
caller_address(const struct head *h, char out[ADDRESS_MAX])
{
	struct in6_addr six;
	struct in_addr four;

	out[0] = '\0';
	if (h->forwarded_for == NULL)
		return;
	if (inet_pton(AF_INET, h->forwarded_for, &four) == 1) {
		inet_ntop(AF_INET, &four, out, ADDRESS_MAX);
	} else if (inet_pton(AF_INET6, h->forwarded_for, &six) == 1) {
		/* A subscriber has a whole network of these. */
		if (!IN6_IS_ADDR_V4MAPPED(&six))
			memset(six.s6_addr + 8, 0, 8);
		inet_ntop(AF_INET6, &six, out, ADDRESS_MAX);
	}
}
