/*
 * Reading a request from CGI variables.  Nothing here believes the client: the
 * path is decoded once and refused when it is not plain text, and a request id
 * is taken over only when it could stand in a log line.
 */
#include "request.h"

#include "access.h"
#include "id.h"
#include "multipart.h"
#include "yaml.h"

static const char *
variable(char **envp, const char *name)
{
	size_t len = strlen(name);
	int i;

	for (i = 0; envp[i] != NULL; i++)
		if (strncmp(envp[i], name, len) == 0 && envp[i][len] == '=')
			return envp[i] + len + 1;
	return NULL;
}

static const char *
variable_or(char **envp, const char *name, const char *dflt)
{
	const char *v = variable(envp, name);

	return v != NULL ? v : dflt;
}

static const char *const methods[] = {
	[METHOD_GET] = "GET",
	[METHOD_HEAD] = "HEAD",
	[METHOD_POST] = "POST",
	[METHOD_PUT] = "PUT",
	[METHOD_DELETE] = "DELETE",
	[METHOD_OPTIONS] = "OPTIONS",
	[METHOD_OTHER] = "OTHER",
};

const char *
method_name(enum method m)
{
	return methods[m];
}

static enum method
method_parse(const char *name)
{
	int i;

	for (i = 0; i < METHOD_OTHER; i++)
		if (strcmp(name, methods[i]) == 0)
			break;
	return (enum method)i;
}

static bool
is_sane_id(const char *s)
{
	size_t len = strlen(s);

	return len > 0 && len < REQUEST_ID_MAX && strspn(s,
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789-_.") == len;
}

/* REQUEST_URI is what the client sent; without it (a test, an odd server)
 * script name and path info together are the same, already decoded. */
static enum err_code
read_path(struct request *r, char **envp, struct err *e)
{
	const char *uri = variable(envp, "REQUEST_URI");
	const char *script = variable_or(envp, "SCRIPT_NAME", "");
	const char *info = variable_or(envp, "PATH_INFO", "");
	size_t len;

	if (uri == NULL || *uri != '/') {
		if (snprintf(r->path, sizeof(r->path), "%s%s", script, info) >=
		    (int)sizeof(r->path))
			goto too_long;
		snprintf(r->raw_path, sizeof(r->raw_path), "%s", r->path);
	} else {
		len = strcspn(uri, "?#");
		if (len >= sizeof(r->raw_path))
			goto too_long;
		memcpy(r->raw_path, uri, len);
		r->raw_path[len] = '\0';
		if (!percent_decode(uri, len, r->path, sizeof(r->path))) {
			snprintf(r->path, sizeof(r->path), "/");
			return err_set(e, ERR_INVALID, "the path contains a "
			    "broken %%-escape");
		}
	}
	if (r->path[0] != '/')
		snprintf(r->path, sizeof(r->path), "/");
	return ERR_OK;
too_long:
	snprintf(r->path, sizeof(r->path), "/");
	snprintf(r->raw_path, sizeof(r->raw_path), "/");
	return err_set(e, ERR_INVALID, "the path is longer than %d bytes",
	    MAX_PATH_BYTES - 1);
}

static enum err_code
check_size(char **envp, struct err *e)
{
	size_t total = 0;
	int i;

	for (i = 0; envp[i] != NULL; i++)
		total += strlen(envp[i]);
	if (total > MAX_VARIABLES_BYTES)
		return err_set(e, ERR_INVALID, "the headers of the request "
		    "have more than %d bytes", MAX_VARIABLES_BYTES);
	return ERR_OK;
}

static void
read_conditions(struct request *r, char **envp)
{
	struct conditions *c = &r->conditions;

	c->if_match = variable(envp, "HTTP_IF_MATCH");
	c->if_none_match = variable(envp, "HTTP_IF_NONE_MATCH");
	c->if_modified_since = variable(envp, "HTTP_IF_MODIFIED_SINCE");
	c->if_unmodified_since = variable(envp, "HTTP_IF_UNMODIFIED_SINCE");
	c->range = variable(envp, "HTTP_RANGE");
	c->if_range = variable(envp, "HTTP_IF_RANGE");
}

enum err_code
request_init(struct request *r, char **envp, struct err *e)
{
	const char *s;
	int64_t length;
	enum err_code rc;

	memset(r, 0, sizeof(*r));
	form_init(&r->query, -1);
	r->method_name = variable_or(envp, "REQUEST_METHOD", "GET");
	r->method = method_parse(r->method_name);
	r->content_type = variable_or(envp, "CONTENT_TYPE", "");
	r->content_length = -1;
	if (parse_int(variable_or(envp, "CONTENT_LENGTH", ""), &length) &&
	    length >= 0)
		r->content_length = length;
	r->origin = variable(envp, "HTTP_ORIGIN");
	r->acr_method = variable(envp, "HTTP_ACCESS_CONTROL_REQUEST_METHOD");
	r->acr_headers = variable(envp, "HTTP_ACCESS_CONTROL_REQUEST_HEADERS");
	read_conditions(r, envp);
	r->accept = variable_or(envp, "HTTP_ACCEPT", "");
	r->remote_addr = variable(envp, "REMOTE_ADDR");
	r->idempotency_key = variable(envp, "HTTP_IDEMPOTENCY_KEY");
	if (r->idempotency_key != NULL && *r->idempotency_key == '\0')
		r->idempotency_key = NULL;
	r->query_text = variable_or(envp, "QUERY_STRING", "");
	r->owner = access_owner();
	s = variable(envp, "HTTP_X_REQUEST_ID");
	if (s != NULL && is_sane_id(s)) {
		snprintf(r->id, sizeof(r->id), "%s", s);
	} else {
		char made[ID_MAX];

		id_new(made);
		snprintf(r->id, sizeof(r->id), "%s", made);
	}
	rc = read_path(r, envp, e);
	if (rc == ERR_OK)
		rc = check_size(envp, e);
	if (rc != ERR_OK)
		return rc;
	if (strlen(r->query_text) > MAX_QUERY_BYTES)
		return err_set(e, ERR_INVALID, "the query is longer than %d "
		    "bytes", MAX_QUERY_BYTES);
	return urlencoded_parse(r->query_text, strlen(r->query_text),
	    &r->query, e);
}

void
request_release(struct request *r)
{
	form_release(&r->query);
}

int64_t
query_int(const struct request *r, const char *name, int64_t dflt,
    int64_t min, int64_t max, struct faults *faults)
{
	const char *s = form_get(&r->query, name);
	int64_t v = dflt;

	if (s == NULL)
		return dflt;
	if (!parse_int(s, &v))
		faults_type(faults, "int_parsing", "query", name, s,
		    "%s must be a whole number.", name);
	else if (v < min)
		faults_type(faults, "greater_than_equal", "query", name, s,
		    "%s must be at least %lld.", name, (long long)min);
	else if (v > max)
		faults_type(faults, "less_than_equal", "query", name, s,
		    "%s must be at most %lld.", name, (long long)max);
	else
		return v;
	return dflt;
}
