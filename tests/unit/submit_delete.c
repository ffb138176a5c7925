/*
 * Deleting a run with its files: gone at once, links never followed, and what
 * a crash or a refusal has left is found again.
 */
#include "tests/unit/submit_unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "xalloc.h"

#define ID1 "6f9619ff-8b86-4d01-b42d-00cf4fc96401"
#define ID2 "6f9619ff-8b86-4d01-b42d-00cf4fc96402"
#define SETTLED (60 * 60 * 1000)	/* later than any runner is late */
#define TOO_DEEP 80

static const struct planned_stage stages[] = { { "strategy", 2 } };

/* A path beneath the test's directory; kept in a ring of some buffers. */
static const char *
below(const char *path, const char *more)
{
	static char ring[4][400];
	static unsigned turn;
	char *out = ring[turn++ % 4];

	snprintf(out, sizeof(ring[0]), "%s/%s%s", unit_dir(), path, more);
	return out;
}

static bool
there(const char *path)
{
	struct stat sb;

	return lstat(path, &sb) == 0;
}

static void
put_file(const char *dir, const char *name)
{
	int fd = -1;

	ck_ok(file_open_dir(AT_FDCWD, dir, &fd, &err), &err);
	ck_ok(file_replace(fd, name, "x", 1, 0600, &err), &err);
	close(fd);
}

/* A run that was cancelled, with a directory and a picture in it. */
static void
add_ended(const char *id)
{
	struct run r = { .owner = (char[]){ "ann" },
	    .mode = (char[]){ "easy_mode" }, .created_ms = T0 };
	struct new_run nr = { .run = &r, .stages = stages, .n_stages = 1,
	    .job_id = id, .deadline_after_ms = 1000 };
	enum submit_outcome submitted;
	enum cancel_outcome cancelled;
	enum state was;

	snprintf(r.id, sizeof(r.id), "%s", id);
	ck_ok(store_submit_run(st, &nr, NULL, &submitted, NULL, NULL, &err),
	    &err);
	ck_ok(store_cancel_run(st, "ann", id, "x", T0 + 1, &cancelled, &was,
	    &err), &err);
	ck_ok(file_make_dirs(below("data/runs/", id), 0750, &err), &err);
	put_file(below("data/runs/", id), "generated_1.png");
}

static struct run_deletion
delete_it(const char *id)
{
	struct run_deletion d;

	ck_ok(run_delete(svc.runs_dir, st, "ann", id, T0 + 10, &d, &err), &err);
	ck_assert_int_eq(d.outcome, DELETE_DONE);
	return d;
}

static struct delete_sweep
sweep_at(int64_t now_ms)
{
	struct delete_sweep s;
	bool more = true;

	memset(&s, 0, sizeof(s));
	while (more)
		ck_ok(run_delete_sweep(svc.runs_dir, st, &s, now_ms, &more,
		    &err), &err);
	return s;
}

static int
still_listed(void)
{
	struct deleted_run from = { "", 0 };
	struct deleted_list l;
	int n;

	ck_ok(store_list_deleted(st, &from, 0, &l, &err), &err);
	n = l.n;
	deleted_list_release(&l);
	return n;
}

/* --- at once -------------------------------------------------------------- */

START_TEST(a_deleted_run_takes_its_directory_along)
{
	struct run_deletion d;
	struct run r;

	add_ended(ID1);
	add_ended(ID2);
	d = delete_it(ID1);
	ck_assert(!d.files_left);
	ck_fails(store_get_run(st, NULL, ID1, &r, &err), ERR_NOT_FOUND);
	ck_assert_int_eq(unit_count("data/runs"), 1);
	ck_assert(!there(below("data/runs/.deleted-", ID1)));
	ck_assert(there(below("data/runs/", ID2 "/generated_1.png")));
}
END_TEST

START_TEST(a_run_without_a_directory_is_deleted_as_well)
{
	add_ended(ID1);
	ck_ok(file_remove_tree(AT_FDCWD, below("data/runs/", ID1), &err),
	    &err);
	ck_assert(!delete_it(ID1).files_left);
}
END_TEST

START_TEST(a_run_that_is_refused_keeps_its_files)
{
	struct run r = { .id = ID2, .owner = (char[]){ "ann" },
	    .mode = (char[]){ "easy_mode" }, .created_ms = T0 };
	struct new_run nr = { .run = &r, .stages = stages, .n_stages = 1,
	    .job_id = ID2, .deadline_after_ms = 1000 };
	enum submit_outcome submitted;
	struct run_deletion d;

	ck_ok(store_submit_run(st, &nr, NULL, &submitted, NULL, NULL, &err),
	    &err);
	ck_ok(file_make_dirs(below("data/runs/", ID2), 0750, &err), &err);
	ck_ok(run_delete(svc.runs_dir, st, "ann", ID2, T0, &d, &err), &err);
	ck_assert_int_eq(d.outcome, DELETE_IS_OPEN);
	ck_assert(there(below("data/runs/", ID2)));
	add_ended(ID1);
	ck_fails(run_delete(svc.runs_dir, st, "bob", ID1, T0, &d, &err),
	    ERR_NOT_FOUND);
	ck_assert(there(below("data/runs/", ID1 "/generated_1.png")));
}
END_TEST

START_TEST(links_are_removed_and_never_followed)
{
	add_ended(ID1);
	ck_ok(file_make_dirs(below("precious", ""), 0750, &err), &err);
	put_file(below("precious", ""), "gold");
	ck_assert_int_eq(symlink(below("precious", ""),
	    below("data/runs/", ID1 "/link")), 0);
	ck_assert(!delete_it(ID1).files_left);
	ck_assert(there(below("precious/gold", "")));
	/* Not even where the directory itself should be. */
	add_ended(ID2);
	ck_ok(file_remove_tree(AT_FDCWD, below("data/runs/", ID2), &err),
	    &err);
	ck_assert_int_eq(symlink(below("precious", ""),
	    below("data/runs/", ID2)), 0);
	ck_assert(!delete_it(ID2).files_left);
	ck_assert(there(below("precious/gold", "")));
	ck_assert(!there(below("data/runs/", ID2)));
}
END_TEST

/* --- later ---------------------------------------------------------------- */

/* Deeper than is removed at once: stands for a file that cannot be removed. */
static void
make_unremovable(const char *dir)
{
	int fd = -1, next = -1, i;

	ck_ok(file_open_dir(AT_FDCWD, dir, &fd, &err), &err);
	for (i = 0; i < TOO_DEEP; i++) {
		ck_assert_int_eq(mkdirat(fd, "d", 0750), 0);
		ck_ok(file_open_dir(fd, "d", &next, &err), &err);
		close(fd);
		fd = next;
	}
	close(fd);
}

START_TEST(what_cannot_be_removed_is_hidden_and_tried_again)
{
	struct run_deletion d;
	struct delete_sweep s;
	char deep[600];
	int i;

	add_ended(ID1);
	make_unremovable(below("data/runs/", ID1));
	d = delete_it(ID1);
	ck_assert(d.files_left);
	ck_assert_ptr_nonnull(strstr(d.why.msg, "deep"));
	ck_assert(!there(below("data/runs/", ID1)));
	ck_assert(there(below("data/runs/.deleted-", ID1)));
	s = sweep_at(T0 + SETTLED);
	ck_assert_int_eq(s.left, 1);
	ck_assert_ptr_nonnull(strstr(s.why.msg, "deep"));
	ck_assert_int_eq(still_listed(), 1);
	/* Half of it goes, then the sweep can do the rest. */
	snprintf(deep, sizeof(deep), "%s", below("data/runs/.deleted-", ID1));
	for (i = 0; i < TOO_DEEP / 2; i++)
		snprintf(deep + strlen(deep), 3, "/d");
	ck_ok(file_remove_tree(AT_FDCWD, deep, &err), &err);
	s = sweep_at(T0 + SETTLED);
	ck_assert_int_eq(s.left, 0);
	ck_assert_int_eq(s.done, 1);
	ck_assert(!there(below("data/runs/.deleted-", ID1)));
	ck_assert_int_eq(still_listed(), 0);
}
END_TEST

/* Where a crash may stop: 0 after the rows, 1 after the renaming, 2 when a new
 * directory was made by somebody who had not heard of it. */
START_TEST(what_a_crash_left_is_swept)
{
	enum delete_outcome outcome;
	struct delete_sweep s;

	add_ended(ID1);
	ck_ok(store_delete_run(st, "ann", ID1, T0 + 10, &outcome, &err), &err);
	if (_i > 0)
		ck_assert_int_eq(rename(below("data/runs/", ID1),
		    below("data/runs/.deleted-", ID1)), 0);
	if (_i > 1)
		ck_assert_int_eq(mkdir(below("data/runs/", ID1), 0750), 0);
	s = sweep_at(T0 + 20);
	ck_assert_int_eq(s.left + s.done, 0);
	ck_assert(!there(below("data/runs/", ID1)));
	ck_assert(!there(below("data/runs/.deleted-", ID1)));
	/* A runner that is late makes a file; only then it is over. */
	ck_assert_int_eq(still_listed(), 1);
	ck_ok(file_make_dirs(below("data/runs/", ID1), 0750, &err), &err);
	put_file(below("data/runs/", ID1), "late.png");
	s = sweep_at(T0 + SETTLED);
	ck_assert_int_eq(s.done, 1);
	ck_assert(!there(below("data/runs/", ID1)));
	ck_assert_int_eq(still_listed(), 0);
}
END_TEST

START_TEST(a_sweep_takes_a_few_at_a_time_and_keeps_what_lives)
{
	struct delete_sweep s;
	struct run_deletion d;
	bool more = true;
	char id[ID_MAX];
	int i, calls = 0;

	add_ended(ID1);
	for (i = 0; i < 70; i++) {
		snprintf(id, sizeof(id), "%.34s%02d", ID2, i + 10);
		add_ended(id);
		ck_ok(run_delete(svc.runs_dir, st, NULL, id, T0 + 10, &d,
		    &err), &err);
	}
	memset(&s, 0, sizeof(s));
	for (; more; calls++)
		ck_ok(run_delete_sweep(svc.runs_dir, st, &s, T0 + SETTLED,
		    &more, &err), &err);
	ck_assert_int_eq(calls, 3);
	ck_assert_int_eq(s.done, 70);
	ck_assert_int_eq(still_listed(), 0);
	ck_assert(there(below("data/runs/", ID1 "/generated_1.png")));
	ck_assert_int_eq(sweep_at(T0 + SETTLED).done, 0);
}
END_TEST

START_TEST(a_sweep_without_its_directory_is_an_error)
{
	struct delete_sweep s;
	bool more = false;

	add_ended(ID1);
	delete_it(ID1);
	memset(&s, 0, sizeof(s));
	ck_fails(run_delete_sweep("/nowhere/runs", st, &s, T0, &more, &err),
	    ERR_NOT_FOUND);
	ck_assert_int_eq(still_listed(), 1);
}
END_TEST

TCase *
submit_delete_case(void)
{
	TCase *tc = tcase_create("deleting");

	tcase_add_checked_fixture(tc, unit_setup, unit_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_deleted_run_takes_its_directory_along);
	tcase_add_test(tc, a_run_without_a_directory_is_deleted_as_well);
	tcase_add_test(tc, a_run_that_is_refused_keeps_its_files);
	tcase_add_test(tc, links_are_removed_and_never_followed);
	tcase_add_test(tc, what_cannot_be_removed_is_hidden_and_tried_again);
	tcase_add_loop_test(tc, what_a_crash_left_is_swept, 0, 3);
	tcase_add_test(tc, a_sweep_takes_a_few_at_a_time_and_keeps_what_lives);
	tcase_add_test(tc, a_sweep_without_its_directory_is_an_error);
	return tc;
}
