/*
 * delete: runs that have ended, with everything that was theirs.
 *
 * Each run is a transaction of its own, so that one which is refused keeps no
 * other from being deleted.  It asks for nothing: whoever names an id means it.
 */
#include "ctl.h"

#include "submit.h"
#include "wake.h"
#include "xalloc.h"

/* What became of one of them. */
struct deleted {
	const char *id;
	enum err_code rc;
	struct err e;		/* with an error */
	struct run_deletion d;
};

static void
delete_one(struct ctl *c, const char *runs_dir, struct deleted *x)
{
	memset(&x->d, 0, sizeof(x->d));
	x->rc = run_delete(runs_dir, c->store, NULL, x->id, clock_now_ms(),
	    &x->d, &x->e);
	if (x->rc == ERR_NOT_FOUND)
		err_set(&x->e, x->rc, "there is no run %.40s", x->id);
	if (x->rc == ERR_OK && x->d.outcome == DELETE_IS_OPEN)
		x->rc = err_set(&x->e, ERR_CONFLICT, "run %s still waits or "
		    "runs; cancel it first", x->id);
	if (x->rc == ERR_OK)
		wake_send_event(c->service.conf->settings.run_dir, x->id);
}

static struct json_object *
deleted_view(const struct deleted *x)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "id", x->id);
	json_put_bool(o, "deleted", x->rc == ERR_OK);
	json_put_str(o, "error", x->rc != ERR_OK ? x->e.msg : NULL);
	json_put_str(o, "files_left",
	    x->rc == ERR_OK && x->d.files_left ? x->d.why.msg : NULL);
	return o;
}

static void
tell_deleted(const struct deleted *x)
{
	printf("Deleted %s.\n", x->id);
	if (x->d.files_left)
		fprintf(stderr, CTL_NAME ": files of run %s are left, a runner "
		    "will try again: %s\n", x->id, x->d.why.msg);
}

/* 0 when all are deleted. */
int
cmd_delete(struct ctl *c)
{
	struct json_object *list = NULL;
	struct deleted x;
	char *runs_dir;
	int status, i;

	status = ctl_open(c, OPEN_WRITING);
	if (status != 0)
		return status;
	runs_dir = xasprintf("%s/runs", c->service.conf->settings.data_dir);
	if (c->json)
		list = json_object_new_array();
	for (i = 0; i < c->n_operands; i++) {
		x = (struct deleted){ .id = c->operands[i], .e = ERR_INIT };
		delete_one(c, runs_dir, &x);
		if (c->json)
			json_object_array_add(list, deleted_view(&x));
		else if (x.rc == ERR_OK)
			tell_deleted(&x);
		if (x.rc != ERR_OK)
			status = ctl_fail(x.rc, &x.e);
	}
	if (c->json)
		print_json(list);
	free(runs_dir);
	return status;
}
