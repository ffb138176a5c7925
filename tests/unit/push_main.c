/* churns-push without sockets: messages, requests, who is sent what. */
#include "tests/unit/push_unit.h"

int
main(void)
{
	Suite *s = suite_create("push");
	SRunner *sr;
	int failed;

	suite_add_tcase(s, push_frames_case());
	suite_add_tcase(s, push_head_case());
	suite_add_tcase(s, push_reply_case());
	suite_add_tcase(s, push_hub_case());
	suite_add_tcase(s, push_life_case());
	suite_add_tcase(s, push_order_case());
	suite_add_tcase(s, push_feed_case());
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
