/* Small checks that make a test read like a transcript. */
#ifndef UNIT_H
#define UNIT_H

#include <check.h>

#include "err.h"

/* The call succeeded; otherwise the test fails with its message. */
#define ck_ok(call, e)							\
	do {								\
		enum err_code ck_rc_ = (call);				\
		ck_assert_msg(ck_rc_ == ERR_OK, "%s: %s: %s", #call,	\
		    err_code_name(ck_rc_), (e)->msg);			\
	} while (0)

/* The call failed with this code. */
#define ck_fails(call, want)						\
	do {								\
		enum err_code ck_rc_ = (call);				\
		ck_assert_msg(ck_rc_ == (want), "%s: %s, wanted %s", #call,	\
		    err_code_name(ck_rc_), err_code_name(want));	\
	} while (0)

#endif
