/* All suites of the model room. */
#include "tests/unit/model_test.h"

int
main(void)
{
	SRunner *sr = srunner_create(suite_http());
	int failed;

	srunner_add_suite(sr, suite_sink());
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
