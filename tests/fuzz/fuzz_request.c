/*
 * Fuzzing what churns-push reads of strangers: the head of a request, what it
 * asks for, and the messages of clients.
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined ... fuzz_request.c LIBS
 *   ./fuzz_request -max_len=9000 -dict=tests/fuzz/request.dict \
 *       tests/fuzz/corpus/request
 *
 * An input is a request; what follows its head is a message.
 *
 * Promises checked on every input:
 *   a head is never whole before its last byte has come, nor called bad or too
 *   long and then whole;
 *   every answer is one well-formed head with lines of ours alone, and a JSON
 *   body of the length it says;
 *   what libwebsockets is given differs only in the key;
 *   an address is one, a run id is made of harmless characters;
 *   a message made of any bytes is one object with an object in it.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <stdint.h>

#include "json.h"
#include "src/push/frames.h"
#include "src/push/reply.h"
#include "xalloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const origins[] = { "https://page.example",
	"https://*.tunnel.example", NULL };

static enum head_state
parse(const uint8_t *data, size_t size, struct head *h, char **buf)
{
	*buf = xmalloc(size + 1);
	memcpy(*buf, data, size);
	(*buf)[size] = '\0';
	return head_parse(*buf, size, h);
}

static void
check_growing(const uint8_t *data, size_t size, const struct head *whole)
{
	size_t cut = whole->len - 1 - (size > 0 ? data[size / 2] %
	    whole->len : 0);
	struct head h;
	char *buf;

	assert(parse(data, cut, &h, &buf) == HEAD_MORE);
	free(buf);
	/* What comes behind it changes nothing. */
	assert(parse(data, whole->len, &h, &buf) == HEAD_WHOLE);
	assert(h.len == whole->len && strcmp(h.path, whole->path) == 0);
	free(buf);
}

static void
check_line(const char *line, size_t len)
{
	static const char *const ours[] = { "HTTP/1.1 ", "Connection: close",
		"X-Content-Type-Options: nosniff", "Vary: Origin",
		"Access-Control-Allow-Origin: https://",
		"Access-Control-Allow-Credentials: true",
		"Access-Control-Expose-Headers: ",
		"Access-Control-Allow-Methods: GET, HEAD, OPTIONS",
		"Access-Control-Allow-Headers: ",
		"Access-Control-Max-Age: ", "Content-Type: ",
		"Cache-Control: no-store", "Content-Length: ", "Allow: GET",
		"Sec-WebSocket-Version: 13", "Upgrade: websocket",
		"X-Accel-Buffering: no", "Retry-After: " };
	size_t i;

	assert(memchr(line, '\n', len) == NULL);
	assert(memchr(line, '\0', len) == NULL);
	for (i = 0; i < ARRAY_LEN(ours); i++)
		if (strncmp(line, ours[i], strlen(ours[i])) == 0)
			return;
	assert(!"a line that is not ours");
}

static void
check_reply(const struct strbuf *reply, bool is_head)
{
	const char *at = reply->buf, *end = strstr(at, "\r\n\r\n"), *next;
	const char *length = strstr(at, "Content-Length: ");
	struct json_object *o = NULL;
	size_t body;

	assert(!strbuf_overflowed(reply) && end != NULL);
	assert(strlen(reply->buf) == reply->len);
	for (; at < end + 2; at = next + 2) {
		next = strstr(at, "\r\n");
		check_line(at, (size_t)(next - at));
	}
	body = strlen(end + 4);
	if (length == NULL || length > end || is_head)
		return;
	assert((size_t)strtol(length + 16, NULL, 10) == body);
	if (body > 0) {
		assert(json_parse(end + 4, body, &o, NULL) == ERR_OK);
		assert(json_get(o, "detail") != NULL);
		json_object_put(o);
	}
}

static void
check_handshake(const struct head *h)
{
	struct strbuf request = STRBUF_INIT(1024);
	const char *key;

	reply_handshake(h, &request);
	key = strstr(request.buf, "Sec-WebSocket-Key: ");
	assert(key != NULL && request.len == 24 + 19 + 4 +
	    (size_t)(key - request.buf));
	assert(strcmp(key + 19 + 24, "\r\n\r\n") == 0);
	strbuf_release(&request);
}

static void
check_wish(const struct head *h)
{
	struct settings s;
	struct strbuf reply = STRBUF_INIT(MAX_REPLY_BYTES);
	char address[ADDRESS_MAX];
	struct in6_addr raw;
	struct wish w;

	memset(&s, 0, sizeof(s));
	s.cors_origins = (char **)(uintptr_t)origins;
	wish_read(&s, h, &w, &reply);
	assert((w.kind == WISH_REFUSED) == (reply.len > 0));
	if (w.kind == WISH_SOCKET)
		check_handshake(h);
	if (w.kind == WISH_STREAM || w.kind == WISH_STREAM_HEAD)
		reply_stream(&s, h, true, &reply);
	if (w.kind != WISH_SOCKET)
		check_reply(&reply, strcmp(h->method, "HEAD") == 0);
	if (w.kind != WISH_REFUSED) {
		assert(w.run_id[0] != '\0' && w.after >= 0);
		assert(strpbrk(w.run_id, "\"\\/ %\r\n") == NULL);
	}
	caller_address(h, address);
	assert(address[0] == '\0' ||
	    inet_pton(strchr(address, ':') != NULL ? AF_INET6 : AF_INET,
	    address, &raw) == 1);
	strbuf_release(&reply);
}

/* The log is not a stranger, but what it holds came from models. */
static void
check_message(const char *bytes, size_t len)
{
	char *text = xstrndup(bytes, len);
	struct event ev = { 7, (char *)(uintptr_t)"run_error", text, 1 };
	struct json_object *o = NULL;
	struct frame *f;
	struct gist g;
	size_t n;

	message_is_ping(bytes, len);
	f = frame_of_event("x", &ev, &g);
	assert(json_parse(frame_text(f), f->len, &o, NULL) == ERR_OK);
	assert(json_get_obj(o, "data") != NULL);
	assert(json_get_int(o, "seq", 0) == 7);
	assert(strpbrk(frame_text(f), "\r\n") == NULL);
	assert(strncmp(frame_stream(f, &n), "id: 7\nevent: run_error\ndata: ",
	    28) == 0);
	json_object_put(o);
	gist_release(&g);
	frame_unref(f);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct head h;
	char *buf;

	switch (parse(data, size, &h, &buf)) {
	case HEAD_WHOLE:
		check_growing(data, size, &h);
		check_wish(&h);
		check_message((const char *)data + h.len, size - h.len);
		break;
	case HEAD_MORE:
		assert(size < MAX_HEAD_BYTES);
		check_message((const char *)data, size);
		break;
	case HEAD_BAD:
	case HEAD_TOO_LONG:
		break;
	}
	free(buf);
	return 0;
}
