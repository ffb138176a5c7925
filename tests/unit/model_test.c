/* All suites of the model room. */
#include "tests/unit/model_test.h"

#include "log.h"

int
main(void)
{
	SRunner *sr = srunner_create(suite_http());
	int failed;

	/* Warnings are part of what is tested here. */
	log_init("test_model", LOG_ERROR, LOG_TEXT);
	srunner_add_suite(sr, suite_sink());
	srunner_add_suite(sr, suite_fault());
	srunner_add_suite(sr, suite_gate());
	srunner_add_suite(sr, suite_chat());
	srunner_add_suite(sr, suite_edges());
	srunner_add_suite(sr, suite_image());
	srunner_add_suite(sr, suite_resume());
	srunner_add_suite(sr, suite_stop());
	srunner_add_suite(sr, suite_budget());
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
