/*
 * config and migrate: the two commands about what stands before any run.
 *
 * A command may rely on its options being parsed; it opens what it needs with
 * ctl_load() or ctl_open(), returns the exit status, and leaves the closing to
 * main().
 */
#include "ctl.h"

#include "store.h"

#define MAX_CONFIG_BYTES (1024 * 1024)

/* The resolved configuration as YAML; of keys only whether they are set. */
int
cmd_config(struct ctl *c)
{
	struct strbuf text = STRBUF_INIT(MAX_CONFIG_BYTES);
	int status;

	status = ctl_load(c);
	if (status == 0) {
		conf_print(c->service.conf, &text);
		fputs(text.buf, stdout);
	}
	strbuf_release(&text);
	return status;
}

/* The database at the version of this program: made, upgraded, or left alone
 * because it is there already. Fails while a program has it open. */
int
cmd_migrate(struct ctl *c)
{
	struct err e = ERR_INIT;
	struct json_object *o;
	enum err_code rc;
	int from = 0, to = 0, status;

	status = ctl_load(c);
	if (status == 0)
		status = ctl_check_user(c);
	if (status != 0)
		return status;
	rc = store_migrate(c->service.conf->settings.database, &from, &to, &e);
	if (rc != ERR_OK)
		return ctl_fail(rc, &e);
	if (c->json) {
		o = json_object_new_object();
		json_put_int(o, "from", from);
		json_put_int(o, "to", to);
		return print_json(o);
	}
	if (from == to)
		printf("The database has schema %d already.\n", to);
	else if (from == 0)
		printf("The database was made with schema %d.\n", to);
	else
		printf("The database was upgraded from schema %d to %d.\n",
		    from, to);
	return 0;
}
