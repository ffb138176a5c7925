/* Filling an answer. */
#include "request.h"

#include <unistd.h>

#include "digest.h"
#include "log.h"

#define RETRY_AFTER_S 2		/* after a 503: a lock or a full disk */
#define HEADER_VALUE_MAX 2048
#define TAG_DIGITS 20		/* of a digest, hexadecimal */

const char *
http_reason(int status)
{
	switch (status) {
	case 200: return "OK";
	case 204: return "No Content";
	case 206: return "Partial Content";
	case 304: return "Not Modified";
	case 307: return "Temporary Redirect";
	case 400: return "Bad Request";
	case 403: return "Forbidden";
	case 404: return "Not Found";
	case 405: return "Method Not Allowed";
	case 408: return "Request Timeout";
	case 409: return "Conflict";
	case 412: return "Precondition Failed";
	case 413: return "Content Too Large";
	case 415: return "Unsupported Media Type";
	case 416: return "Range Not Satisfiable";
	case 422: return "Unprocessable Content";
	case 500: return "Internal Server Error";
	case 503: return "Service Unavailable";
	case 504: return "Gateway Timeout";
	default: return "Unknown";
	}
}

void
strbuf_add_url_escaped(struct strbuf *out, const char *s, bool slashes)
{
	for (; *s != '\0'; s++)
		if (isalnum((unsigned char)*s) || strchr("._-~", *s) != NULL ||
		    (slashes && *s == '/'))
			strbuf_addch(out, *s);
		else
			strbuf_addf(out, "%%%02X", (unsigned char)*s);
}

void
response_init(struct response *res)
{
	memset(res, 0, sizeof(*res));
	res->status = 200;
	strbuf_init(&res->headers, MAX_HEADER_BYTES);
	strbuf_init(&res->body, MAX_RESPONSE_BYTES);
	res->file_fd = -1;
}

void
response_release(struct response *res)
{
	strbuf_release(&res->headers);
	strbuf_release(&res->body);
	if (res->file_fd >= 0)
		close(res->file_fd);
	res->file_fd = -1;
}

void
response_reset(struct response *res)
{
	response_release(res);
	response_init(res);
}

void
response_header(struct response *res, const char *name, const char *fmt, ...)
{
	char value[HEADER_VALUE_MAX];
	va_list ap;
	size_t i;

	va_start(ap, fmt);
	vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	for (i = 0; value[i] != '\0'; i++)
		if (iscntrl((unsigned char)value[i])) {
			value[i] = '\0';
			break;
		}
	if (strcmp(name, "Content-Type") == 0)
		res->has_type = true;
	strbuf_addf(&res->headers, "%s: %s\r\n", name, value);
}

void
response_json(struct response *res, int status, struct json_object *o)
{
	res->status = status;
	response_header(res, "Content-Type", "application/json");
	if (!res->has_tag)
		response_header(res, "Cache-Control", "no-store");
	strbuf_reset(&res->body);
	strbuf_add_json(&res->body, o);
	json_object_put(o);
}

void
response_error(struct response *res, int status, const char *message)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "detail", message);
	response_json(res, status, o);
}

bool
response_is_known(const struct request *r, struct response *res,
    const char *fmt, ...)
{
	const char *list = r->conditions.if_none_match;
	char tag[TAG_MAX], text[TAG_MAX - 4];	/* without W/ and quotes */
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(tag, sizeof(tag), "W/\"%s\"", text);
	response_header(res, "ETag", "%s", tag);
	response_header(res, "Cache-Control", "no-cache");
	res->has_tag = true;
	if (list == NULL || !tag_listed(list, tag, true))
		return false;
	res->status = 304;
	return true;
}

void
response_kept(const struct request *r, struct response *res,
    const char *content_type, const char *data, size_t len)
{
	char digest[DIGEST_HEX_MAX];

	digest_buf_hex(data, len, digest);
	if (response_is_known(r, res, "%.*s", TAG_DIGITS, digest))
		return;
	res->status = 200;
	response_header(res, "Content-Type", "%s", content_type);
	strbuf_add(&res->body, data, len);
}

void
response_kept_json(const struct request *r, struct response *res,
    struct json_object *o)
{
	char *text = json_to_text(o);

	response_kept(r, res, "application/json", text, strlen(text));
	json_object_put(o);
	free(text);
}

void
response_faults(struct response *res, const struct faults *faults)
{
	struct json_object *body;
	int status = 0;

	body = faults_body(faults, &status);
	response_json(res, status, body);
}

void
response_err(struct response *res, const struct err *e, bool development)
{
	int status = err_http_status(e->code);
	struct json_object *o;
	struct faults faults;

	if (status == 503)
		response_header(res, "Retry-After", "%d", RETRY_AFTER_S);
	if (status == 422) {
		faults_init(&faults);
		faults_type(&faults, "value_error", "body", "", NULL, "%s",
		    e->msg);
		response_faults(res, &faults);
		faults_release(&faults);
		return;
	}
	if (status != 500) {
		response_error(res, status, e->msg);
		return;
	}
	log_error("request failed", "code=%s error=%s", err_code_name(e->code),
	    log_quote(e->msg));
	o = json_object_new_object();
	json_put_str(o, "detail", "Internal server error");
	json_put_str(o, "error", development ? e->msg :
	    "The server could not do this; its log says why.");
	response_json(res, status, o);
}
