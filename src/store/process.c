/*
 * Who is alive: a row per process, refreshed by its heartbeat.  Only health
 * pages look at it; leases do not depend on it.
 */
#include "internal.h"

#include "xalloc.h"

#define MAX_PROCESS_ROWS 1000	/* shown; more than a host runs */

static enum err_code
put_unit(struct db *db, void *arg, struct err *e)
{
	static const char sql[] =
	    "INSERT INTO processes (id, role, pid, host, boot_id, started_ms,"
	    " heartbeat_ms, stats) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
	    " ON CONFLICT (id) DO UPDATE SET role = excluded.role,"
	    " pid = excluded.pid, host = excluded.host,"
	    " boot_id = excluded.boot_id, started_ms = excluded.started_ms,"
	    " heartbeat_ms = excluded.heartbeat_ms, stats = excluded.stats";
	const struct process_row *p = *(const struct process_row **)arg;

	return db_run(db, sql, DB_ARGS(db_s(p->id), db_s(p->role),
	    db_i(p->pid), db_s(p->host), db_s(p->boot_id),
	    db_i(p->started_ms), db_i(p->heartbeat_ms), db_s(p->stats)), NULL,
	    e);
}

enum err_code
store_put_process(struct store *st, const struct process_row *p,
    struct err *e)
{
	return store_write(st, put_unit, &p, e);
}

static enum err_code
delete_unit(struct db *db, void *arg, struct err *e)
{
	static const char sql[] = "DELETE FROM processes WHERE id = ?1";

	return db_run(db, sql, DB_ARGS(db_s(*(const char **)arg)), NULL, e);
}

enum err_code
store_delete_process(struct store *st, const char *id, struct err *e)
{
	return store_write(st, delete_unit, &id, e);
}

static enum err_code
sweep_unit(struct db *db, void *arg, struct err *e)
{
	static const char sql[] =
	    "DELETE FROM processes WHERE heartbeat_ms < ?1";

	return db_run(db, sql, DB_ARGS(db_i(*(const int64_t *)arg)), NULL, e);
}

enum err_code
store_sweep_processes(struct store *st, int64_t before_ms, struct err *e)
{
	return store_write(st, sweep_unit, &before_ms, e);
}

static enum err_code
process_from_row(struct db_rows *r, void *slot, struct err *e)
{
	struct process_row *p = slot;

	(void)e;
	copy_id(p->id, db_text(r, 0));
	p->role = db_text_copy(r, 1);
	p->pid = db_int(r, 2);
	p->host = db_text_copy(r, 3);
	p->boot_id = db_text_copy(r, 4);
	p->started_ms = db_int(r, 5);
	p->heartbeat_ms = db_int(r, 6);
	p->stats = db_text_copy(r, 7);
	return ERR_OK;
}

enum err_code
store_list_processes(struct store *st, int64_t since_ms,
    struct process_list *out, struct err *e)
{
	static const struct reading how = {
		"SELECT id, role, pid, host, boot_id, started_ms,"
		" heartbeat_ms, stats FROM processes WHERE heartbeat_ms >= ?1"
		" ORDER BY role, started_ms, id LIMIT ?2",
		process_from_row, sizeof(struct process_row)
	};
	struct row_list rows = { NULL, 0 };
	struct process_list list;
	enum err_code rc;

	rc = store_read_rows(st, &how, DB_ARGS(db_i(since_ms),
	    db_i(MAX_PROCESS_ROWS)), &rows, e);
	list.rows = rows.rows;
	list.n = rows.n;
	if (rc == ERR_OK)
		*out = list;
	else
		process_list_release(&list);
	return rc;
}

void
process_list_release(struct process_list *l)
{
	struct process_row *p;
	int i;

	for (i = 0; i < l->n; i++) {
		p = &l->rows[i];
		free(p->role);
		free(p->host);
		free(p->boot_id);
		free(p->stats);
	}
	free(l->rows);
	memset(l, 0, sizeof(*l));
}
