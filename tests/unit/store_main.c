/* Runs the tests of the store. */
#include "tests/unit/store_support.h"

Suite *runs_suite(void);
Suite *ledger_suite(void);
Suite *spend_suite(void);
Suite *queue_suite(void);
Suite *race_suite(void);
Suite *writer_suite(void);
Suite *turn_suite(void);
Suite *fault_suite(void);
Suite *file_suite(void);
Suite *damage_suite(void);
Suite *delete_suite(void);
Suite *list_suite(void);
Suite *power_suite(void);
Suite *verify_suite(void);
Suite *backup_suite(void);
Suite *follow_suite(void);
Suite *derived_suite(void);

int
main(void)
{
	SRunner *sr = srunner_create(runs_suite());
	int failed;

	srunner_add_suite(sr, ledger_suite());
	srunner_add_suite(sr, spend_suite());
	srunner_add_suite(sr, queue_suite());
	srunner_add_suite(sr, race_suite());
	srunner_add_suite(sr, writer_suite());
	srunner_add_suite(sr, turn_suite());
	srunner_add_suite(sr, fault_suite());
	srunner_add_suite(sr, file_suite());
	srunner_add_suite(sr, damage_suite());
	srunner_add_suite(sr, delete_suite());
	srunner_add_suite(sr, list_suite());
	srunner_add_suite(sr, power_suite());
	srunner_add_suite(sr, verify_suite());
	srunner_add_suite(sr, backup_suite());
	srunner_add_suite(sr, follow_suite());
	srunner_add_suite(sr, derived_suite());
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
