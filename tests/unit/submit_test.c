/* The submit room: from a form to stored rows, and what programs share. */
#include "tests/unit/submit_unit.h"

int
main(void)
{
	Suite *s = suite_create("submit");
	SRunner *sr;
	int failed;

	suite_add_tcase(s, submit_form_case());
	suite_add_tcase(s, submit_json_case());
	suite_add_tcase(s, submit_brief_case());
	suite_add_tcase(s, submit_kit_case());
	suite_add_tcase(s, submit_store_case());
	suite_add_tcase(s, submit_delete_case());
	suite_add_tcase(s, submit_views_case());
	suite_add_tcase(s, submit_service_case());
	suite_add_tcase(s, submit_wake_case());
	suite_add_tcase(s, submit_access_case());
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
