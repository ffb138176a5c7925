/*
 * Where settings come from: default, churns.yml, environment, in that order,
 * each overriding the one before.  The origin of every value is remembered,
 * for "churnsctl config" and so that a fault found later (two settings that
 * contradict each other) names the line or variable to change.
 */
#include "settings.h"

#include <assert.h>

#include "xalloc.h"

#define MAX_SOCKET_PATH 107	/* sun_path without its NUL */
#define VARIABLE_BYTES (MAX_KEY * 2)

/* "api.workers" gives CHURNS_API_WORKERS. */
static void
variable_name(const struct setting *row, char out[VARIABLE_BYTES])
{
	char *c;

	snprintf(out, VARIABLE_BYTES, "CHURNS_%s", row->key);
	for (c = out; *c != '\0'; c++) {
		if (*c == '.')
			*c = '_';
		else
			*c = (char)toupper((unsigned char)*c);
	}
}

static const struct setting *
find_row(const char *key)
{
	size_t i;

	for (i = 0; i < setting_count; i++) {
		if (strcmp(setting_rows[i].key, key) == 0)
			return &setting_rows[i];
	}
	return NULL;
}

static struct origin *
origin_of(struct loading *ld, const struct setting *row)
{
	return &ld->full->origins[row - setting_rows];
}

static void
set_defaults(struct settings *s)
{
	struct err e = ERR_INIT;
	enum err_code rc;
	size_t i;

	for (i = 0; i < setting_count; i++) {
		rc = setting_store(s, &setting_rows[i],
		    setting_rows[i].initial, false, &e);
		assert(rc == ERR_OK);
		(void)rc;
	}
}

/* --- churns.yml -------------------------------------------------------- */

static bool
is_list(enum kind kind)
{
	return kind == KIND_CORS || kind == KIND_NETS;
}

/* The text of a value, list items joined by commas. False after a report. */
static bool
value_text(struct loading *ld, const struct setting *row,
    const struct yaml_node *n, struct strbuf *out)
{
	const struct yaml_node *item;

	if (!is_kind(ld, n, is_list(row->kind) ? YAML_LIST : YAML_SCALAR,
	    row->key))
		return false;
	if (n->kind == YAML_SCALAR && yaml_is_null(n)) {
		fault(ld, n->line, "%s has no value; leave the line out for "
		    "the default, %s", row->key, row->initial);
		return false;
	}
	for (item = n->first; item != NULL; item = item->next) {
		if (!is_kind(ld, item, YAML_SCALAR, "an entry"))
			return false;
		strbuf_addf(out, "%s, ", item->text);
	}
	strbuf_addstr(out, n->text);
	if (strbuf_overflowed(out)) {
		fault(ld, n->line, "%s is too long", row->key);
		return false;
	}
	return true;
}

static void
set_from_node(struct loading *ld, const struct setting *row,
    const struct yaml_node *n)
{
	struct strbuf text = STRBUF_INIT(MAX_VALUE_BYTES);
	struct err e = ERR_INIT;

	if (!value_text(ld, row, n, &text))
		goto out;
	if (setting_store(&ld->conf->settings, row, text.buf, false, &e) !=
	    ERR_OK)
		fault(ld, n->line, "%s %s", row->key, e.msg);
	origin_of(ld, row)->kind = ORIGIN_FILE;
	origin_of(ld, row)->line = n->line;
out:
	strbuf_release(&text);
}

/* The names of all settings, or of their sections, for near misses. */
static void
collect_names(bool sections, char *names[SETTINGS_MAX + 1])
{
	const char *key, *dot;
	size_t i, n = 0;

	for (i = 0; i < setting_count; i++) {
		key = setting_rows[i].key;
		dot = strchr(key, '.');
		if (!sections)
			names[n++] = xstrdup(key);
		else if (dot != NULL)
			names[n++] = xstrndup(key, (size_t)(dot - key));
	}
	names[n] = NULL;
}

static void
free_names(char *names[SETTINGS_MAX + 1])
{
	size_t i;

	for (i = 0; names[i] != NULL; i++)
		free(names[i]);
}

static void
unknown(struct loading *ld, int line, bool section, const char *key)
{
	const char *what = section ? "section" : "setting";
	char *names[SETTINGS_MAX + 1];
	const char *near;

	collect_names(section, names);
	near = nearest(key, (const char *const *)names);
	if (near != NULL)
		fault(ld, line, "there is no %s '%s'; did you mean '%s'?",
		    what, key, near);
	else
		fault(ld, line, "there is no %s '%s'", what, key);
	free_names(names);
}

static bool
is_section(const char *name)
{
	size_t i, len = strlen(name);

	for (i = 0; i < setting_count; i++) {
		if (strncmp(setting_rows[i].key, name, len) == 0 &&
		    setting_rows[i].key[len] == '.')
			return true;
	}
	return false;
}

static void
set_from_key(struct loading *ld, const char *section,
    const struct yaml_node *n)
{
	char *key;
	const struct setting *row;

	key = xasprintf("%s%s%s", section, *section != '\0' ? "." : "",
	    n->key);
	row = find_row(key);
	if (row != NULL)
		set_from_node(ld, row, n);
	else
		unknown(ld, n->line, false, key);
	free(key);
}

static void
set_from_file(struct loading *ld, const struct yaml_node *root)
{
	const struct yaml_node *n, *leaf;

	for (n = root->first; n != NULL; n = n->next) {
		if (!is_section(n->key)) {
			if (n->kind == YAML_MAP)
				unknown(ld, n->line, true, n->key);
			else
				set_from_key(ld, "", n);
			continue;
		}
		/* A section with nothing but comments is not wrong. */
		if (n->kind == YAML_SCALAR && yaml_is_null(n))
			continue;
		if (!is_kind(ld, n, YAML_MAP, n->key))
			continue;
		for (leaf = n->first; leaf != NULL; leaf = leaf->next)
			set_from_key(ld, n->key, leaf);
	}
}

/* --- environment ------------------------------------------------------- */

static void
set_from_variable(struct loading *ld, const struct setting *row)
{
	char name[VARIABLE_BYTES];
	const char *used = name, *text;
	struct err e = ERR_INIT;
	struct origin *o = origin_of(ld, row);

	variable_name(row, name);
	text = env_get(ld->env, used);
	if (text == NULL && row->old_name != NULL) {
		used = row->old_name;
		text = env_get(ld->env, used);
	}
	if (text == NULL)
		return;
	o->kind = variable_is_real(used) ? ORIGIN_VARIABLE : ORIGIN_ENV_FILE;
	o->old_name = used != name;
	if (setting_store(&ld->conf->settings, row, text, true, &e) != ERR_OK)
		fault_variable(ld, used, "%s", e.msg);
}

/* --- what no single row can say ---------------------------------------- */

/* A fault of the setting's value, wherever that came from. */
static void
blame(struct loading *ld, const char *key, const char *sentence)
{
	const struct setting *row = find_row(key);
	const struct origin *o;
	char name[VARIABLE_BYTES];

	assert(row != NULL);
	o = origin_of(ld, row);
	switch (o->kind) {
	case ORIGIN_DEFAULT:
	case ORIGIN_FILE:
		fault(ld, o->line, "%s %s", key, sentence);
		break;
	case ORIGIN_VARIABLE:
	case ORIGIN_ENV_FILE:
		variable_name(row, name);
		fault_variable(ld, o->old_name ? row->old_name : name, "%s",
		    sentence);
		break;
	}
}

/* Put dir in front of a relative path that follows the first skip bytes. */
static void
resolve(char **text, size_t skip, const char *dir)
{
	char *whole;

	if ((*text)[skip] == '/')
		return;
	whole = xasprintf("%.*s%s/%s", (int)skip, *text, dir, *text + skip);
	free(*text);
	*text = whole;
}

/* A path of a socket is made absolute. */
static void
check_address(struct loading *ld, const char *key, char **address)
{
	if (strchr(*address, '/') == NULL && strchr(*address, ':') != NULL)
		return;
	resolve(address, 0, ld->conf->settings.run_dir);
	if (strlen(*address) > MAX_SOCKET_PATH)
		blame(ld, key, "makes a socket path longer than the 107 bytes "
		    "that the system allows");
}

/* Whoever reaches churns-push is believed when it says whom it speaks for, so
 * only this host may. */
static bool
is_local(const char *address)
{
	return address[0] == '/' || strncmp(address, "127.", 4) == 0 ||
	    strncmp(address, "localhost:", 10) == 0;
}

static void
check_together(struct loading *ld)
{
	struct settings *s = &ld->conf->settings;

	resolve(&s->database, strlen("sqlite:"), s->data_dir);
	check_address(ld, "api.listen", &s->api_listen);
	check_address(ld, "push.listen", &s->push_listen);
	if (!is_local(s->push_listen))
		blame(ld, "push.listen", "must be a socket or a loopback "
		    "address, since the web server in front is trusted");
	if (s->runner_renew_ms > s->runner_lease_ms / 2)
		blame(ld, "runner.renew_s",
		    "must be at most half of runner.lease_s");
	if (s->retry_base_ms > s->retry_cap_ms)
		blame(ld, "calls.retry_base_ms",
		    "must not exceed calls.retry_cap_ms");
	if (s->budget_run_max_nano > 0 &&
	    s->budget_run_nano > s->budget_run_max_nano)
		blame(ld, "budget.run_usd",
		    "must not exceed budget.run_max_usd");
	if (s->max_upload_bytes > s->api_max_body_bytes)
		blame(ld, "limits.max_upload_mb",
		    "must not exceed api.max_body_mb");
}

void
settings_load(struct loading *ld)
{
	struct yaml_doc *doc;
	size_t i;

	ld->path = ld->full->settings_path;
	set_defaults(&ld->conf->settings);
	doc = open_file(ld, true);
	if (doc != NULL)
		set_from_file(ld, doc->root);
	yaml_free(doc);
	for (i = 0; i < setting_count; i++)
		set_from_variable(ld, &setting_rows[i]);
	check_together(ld);
}

/* --- printing ---------------------------------------------------------- */

static void
add_origin(struct strbuf *out, const struct conf_full *full,
    const struct setting *row)
{
	const struct origin *o = &full->origins[row - setting_rows];
	char name[VARIABLE_BYTES];

	variable_name(row, name);
	switch (o->kind) {
	case ORIGIN_DEFAULT:
		strbuf_addf(out, "default; variable %s", name);
		break;
	case ORIGIN_FILE:
		strbuf_addf(out, "churns.yml:%d; variable %s", o->line, name);
		break;
	case ORIGIN_VARIABLE:
		strbuf_addf(out, "environment variable %s",
		    o->old_name ? row->old_name : name);
		return;
	case ORIGIN_ENV_FILE:
		strbuf_addf(out, "%s in the env file",
		    o->old_name ? row->old_name : name);
		return;
	}
	if (row->old_name != NULL)
		strbuf_addf(out, " or %s", row->old_name);
}

void
settings_print(const struct conf_full *full, struct strbuf *out)
{
	const char *previous = "", *indent, *dot;
	const struct setting *row;
	size_t i, len;

	for (i = 0; i < setting_count; i++) {
		row = &setting_rows[i];
		dot = strchr(row->key, '.');
		len = dot != NULL ? (size_t)(dot - row->key) + 1 : 0;
		if (len > 0 && strncmp(previous, row->key, len) != 0)
			strbuf_addf(out, "\n%.*s:\n", (int)len - 1, row->key);
		previous = row->key;
		indent = len > 0 ? "  " : "";
		strbuf_addf(out, "%s# %s\n%s%s: ", indent, row->doc, indent,
		    row->key + len);
		setting_add_value(out, &full->pub.settings, row);
		strbuf_addstr(out, "  # ");
		add_origin(out, full, row);
		strbuf_addch(out, '\n');
	}
}
