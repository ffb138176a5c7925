/* Connections whose other end is late, at times that the test chooses. */
#include "tests/unit/api_unit.h"

#include <sys/socket.h>
#include <unistd.h>

#include "src/api/seat.h"

static struct seat seat;
static int ours = -1, theirs = -1;

static void
setup(void)
{
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    ends), 0);
	ours = ends[0];
	theirs = ends[1];
	seat_init(&seat);
}

static void
teardown(void)
{
	seat_destroy(&seat);
	if (ours >= 0)
		close(ours);
	close(theirs);
}

START_TEST(who_is_in_time_is_left_alone)
{
	seat_take(&seat, ours, 1000);
	ck_assert(!seat_check(&seat, 999));
	ck_assert(!seat_is_shut(&seat));
	/* Our turn: nobody is late, however long it takes. */
	seat_rest(&seat);
	ck_assert(!seat_check(&seat, INT64_MAX - 1));
	seat_await(&seat, false, 5000);
	ck_assert(!seat_check(&seat, 4999));
	seat_leave(&seat);
	ck_assert(!seat_check(&seat, 6000));
}
END_TEST

START_TEST(who_sends_too_late_is_heard_no_more_but_told)
{
	char c = 0;

	seat_take(&seat, ours, 1000);
	ck_assert(seat_check(&seat, 1000));
	ck_assert(seat_is_shut(&seat));
	ck_assert(!seat_check(&seat, 2000));	/* once */
	ck_assert_int_eq((int)read(ours, &c, 1), 0);
	ck_assert_int_eq((int)write(ours, "x", 1), 1);
	ck_assert_int_eq((int)read(theirs, &c, 1), 1);
	ck_assert_int_eq(c, 'x');
}
END_TEST

START_TEST(who_does_not_read_is_sent_no_more)
{
	seat_take(&seat, ours, 1000);
	seat_await(&seat, true, 2000);
	ck_assert(!seat_check(&seat, 1999));
	ck_assert(seat_check(&seat, 2000));
	ck_assert_int_eq((int)send(ours, "x", 1, MSG_NOSIGNAL), -1);
}
END_TEST

/* libfcgi may have closed it, and its number may be somebody else's by now. */
START_TEST(nobody_else_is_shut_in_its_place)
{
	int ends[2];
	char c = 0;

	seat_take(&seat, ours, 1000);
	close(ours);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    ends), 0);
	ck_assert_int_eq(ends[0], ours);
	ck_assert(seat_check(&seat, 1000));
	ck_assert_int_eq((int)write(ends[1], "x", 1), 1);
	ck_assert_int_eq((int)read(ends[0], &c, 1), 1);
	close(ends[1]);
}
END_TEST

START_TEST(a_seat_is_taken_again)
{
	seat_take(&seat, ours, 1000);
	ck_assert(seat_check(&seat, 1000));
	seat_leave(&seat);
	seat_take(&seat, theirs, 3000);
	ck_assert(!seat_is_shut(&seat));
	ck_assert(!seat_check(&seat, 2999));
}
END_TEST

TCase *
api_seat_case(void)
{
	TCase *t = tcase_create("seat");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, who_is_in_time_is_left_alone);
	tcase_add_test(t, who_sends_too_late_is_heard_no_more_but_told);
	tcase_add_test(t, who_does_not_read_is_sent_no_more);
	tcase_add_test(t, nobody_else_is_shut_in_its_place);
	tcase_add_test(t, a_seat_is_taken_again);
	return t;
}
