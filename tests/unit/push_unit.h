/* What the tests of churns-push share. */
#ifndef PUSH_UNIT_H
#define PUSH_UNIT_H

#include "tests/unit/unit.h"

#include "src/push/feed.h"
#include "src/push/hub.h"
#include "src/push/reply.h"
#include "xalloc.h"

#define add_rows(tc, test, rows) \
	tcase_add_loop_test(tc, test, 0, (int)ARRAY_LEN(rows))

TCase *push_frames_case(void);
TCase *push_head_case(void);
TCase *push_reply_case(void);
TCase *push_hub_case(void);
TCase *push_life_case(void);
TCase *push_order_case(void);
TCase *push_feed_case(void);

#endif
