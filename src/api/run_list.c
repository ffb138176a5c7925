/*
 * GET /api/v1/runs: which runs are asked for, and where the list goes on.
 *
 * A client can turn pages by number, as the existing one does, or follow keys:
 * a cursor names the place behind the last run seen, so that runs that come or
 * go meanwhile move nothing.  Every page says by which cursor it is followed, in
 * its body and in a Link header; with a cursor there are no page numbers.
 *
 * What is asked for is checked here, all faults at once; what an empty value
 * means is as the document of the first implementation has it: no filter,
 * except for status.
 */
#include "worker.h"

#include "clock.h"
#include "digest.h"
#include "utf8.h"
#include "views.h"
#include "xalloc.h"

#define DEFAULT_PAGE_SIZE 20
#define MAX_PAGE 1000000
#define MAX_TEXT_CHARS 200	/* looked for in prompts */
#define DATE_BYTES 10		/* YYYY-MM-DD */
#define TAG_DIGITS 20
#define MAX_LINK_BYTES 2000	/* a longer one would be cut as a header */

/* What a following page is asked with again, besides its cursor. */
static const char *const lasting[] = { "page_size", "status", "mode",
	"platform", "q", "created_from", "created_to" };

static bool
was_sent(const struct request *r, const char *name)
{
	int i;

	for (i = 0; i < r->query.n_fields; i++)
		if (strcmp(r->query.fields[i].name, name) == 0)
			return true;
	return false;
}

static void
read_status(const struct request *r, struct run_query *q,
    struct faults *faults)
{
	const char *status = form_get(&r->query, "status");

	/* An empty status counts as a wrong one here, unlike in forms. */
	q->by_status = was_sent(r, "status");
	if (q->by_status && !state_parse(status != NULL ? status : "",
	    &q->status))
		faults_type(faults, "enum", "query", "status", status,
		    "status must be PENDING, RUNNING, COMPLETED, FAILED or "
		    "CANCELLED.");
}

static void
read_text(const struct request *r, struct run_query *q,
    struct faults *faults)
{
	const char *text = form_get(&r->query, "q");
	int64_t n = text != NULL ? utf8_length(text, strlen(text)) : 0;

	q->text = text;
	if (n < 0)
		faults_type(faults, "string_unicode", "query", "q", NULL,
		    "q is not valid UTF-8 text.");
	else if (n > MAX_TEXT_CHARS)
		faults_type(faults, "string_too_long", "query", "q", text,
		    "q has %lld characters; at most %d are looked for.",
		    (long long)n, MAX_TEXT_CHARS);
}

/* A date is the moment at which it begins. */
static bool
parse_moment(const char *text, int64_t *out_ms)
{
	char moment[CLOCK_TEXT_MAX];

	if (strlen(text) != DATE_BYTES)
		return clock_parse(text, out_ms);
	snprintf(moment, sizeof(moment), "%sT00:00:00Z", text);
	return clock_parse(moment, out_ms);
}

/* What is not sent is 0; nothing is older than the first millisecond. */
static int64_t
read_moment(const struct request *r, const char *name, struct faults *faults)
{
	const char *text = form_get(&r->query, name);
	int64_t ms = 0;

	if (text == NULL)
		return 0;
	if (!parse_moment(text, &ms))
		faults_type(faults, "datetime_parsing", "query", name, text,
		    "%s must be a date, as 2026-01-31, or a time in UTC, as "
		    "2026-01-31T08:00:00Z.", name);
	return ms > 0 ? ms : 1;
}

static void
read_place(const struct request *r, struct run_query *q,
    struct faults *faults)
{
	const char *cursor = form_get(&r->query, "cursor");

	q->page = (int)query_int(r, "page", 1, 1, MAX_PAGE, faults);
	if (cursor == NULL)
		return;
	q->page = 0;
	if (form_get(&r->query, "page") != NULL)
		faults_type(faults, "value_error", "query", "page",
		    form_get(&r->query, "page"),
		    "page cannot be sent together with cursor.");
	if (!view_cursor_parse(cursor, &q->after))
		faults_type(faults, "value_error", "query", "cursor", cursor,
		    "cursor must be a next_cursor that a list has given.");
}

static void
read_query(const struct request *r, struct run_query *q,
    struct faults *faults)
{
	memset(q, 0, sizeof(*q));
	q->owner = r->owner;
	read_place(r, q, faults);
	q->page_size = (int)query_int(r, "page_size", DEFAULT_PAGE_SIZE, 1,
	    MAX_LIST_PAGE, faults);
	read_status(r, q, faults);
	q->mode = form_get(&r->query, "mode");
	q->platform = form_get(&r->query, "platform");
	read_text(r, q, faults);
	q->from_ms = read_moment(r, "created_from", faults);
	q->to_ms = read_moment(r, "created_to", faults);
}

/* --- the answer ----------------------------------------------------------------- */

/* What a page shows: which runs, in which version, and the figures around. */
static bool
knows_page(const struct worker *w, const struct request *r,
    struct response *res, const struct run_page *page)
{
	char text[128], hex[DIGEST_HEX_MAX];
	struct digest d;
	int i;

	digest_init(&d);
	digest_add_field(&d, w->tag_salt);
	snprintf(text, sizeof(text), "%lld %d %lld %s",
	    (long long)page->total, page->has_more,
	    (long long)page->next.created_ms, page->next.id);
	digest_add_field(&d, text);
	for (i = 0; i < page->n; i++) {
		snprintf(text, sizeof(text), "%s %lld", page->runs[i].id,
		    (long long)page->runs[i].version);
		digest_add_field(&d, text);
	}
	digest_hex(&d, hex);
	return response_is_known(r, res, "l%.*s", TAG_DIGITS, hex);
}

static void
put_link(const struct request *r, struct response *res,
    const struct run_page *page)
{
	struct strbuf link = STRBUF_INIT(MAX_LINK_BYTES);
	char cursor[VIEW_CURSOR_MAX];
	const char *value;
	size_t i;

	if (!page->has_more)
		return;
	view_cursor(&page->next, cursor);
	strbuf_addf(&link, "<%s?", r->path);
	for (i = 0; i < ARRAY_LEN(lasting); i++) {
		value = form_get(&r->query, lasting[i]);
		if (value == NULL)
			continue;
		strbuf_addf(&link, "%s=", lasting[i]);
		strbuf_add_url_escaped(&link, value, false);
		strbuf_addch(&link, '&');
	}
	strbuf_addf(&link, "cursor=%s>; rel=\"next\"", cursor);
	/* The body says it, too. */
	if (!strbuf_overflowed(&link))
		response_header(res, "Link", "%s", link.buf);
	strbuf_release(&link);
}

/*
 * 200 with some runs, newest first: a page, or what follows a cursor; 304; 422
 * with all that is wrong with the query.
 */
enum err_code
page_run_list(struct worker *w, struct request *r, struct response *res,
    struct err *e)
{
	struct run_page page = { .runs = NULL };
	struct run_query q;
	struct faults faults;
	enum err_code rc = ERR_OK;

	faults_init(&faults);
	read_query(r, &q, &faults);
	if (faults_any(&faults)) {
		response_faults(res, &faults);
		goto out;
	}
	rc = store_list_runs(w->store, &q, &page, e);
	if (rc != ERR_OK)
		goto out;
	put_link(r, res, &page);
	if (!knows_page(w, r, res, &page))
		response_json(res, 200, view_run_list(&page, q.page,
		    q.page_size));
out:
	run_page_release(&page);
	faults_release(&faults);
	return rc;
}
