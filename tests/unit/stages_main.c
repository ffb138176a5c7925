/* The stages: words, brands, prompts, rules and what each stage does. */
#include "tests/unit/stages_unit.h"

int
main(void)
{
	Suite *s = suite_create("stages");
	SRunner *runner;
	int failed;

	suite_add_tcase(s, stages_text_case());
	suite_add_tcase(s, stages_brand_case());
	suite_add_tcase(s, stages_prompts_case());
	suite_add_tcase(s, stages_inputs_case());
	suite_add_tcase(s, stages_briefing_case());
	suite_add_tcase(s, stages_assembly_case());
	suite_add_tcase(s, stages_strategy_case());
	suite_add_tcase(s, stages_concept_case());
	suite_add_tcase(s, stages_assessment_case());
	suite_add_tcase(s, stages_exec_case());
	suite_add_tcase(s, stages_lane_case());
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
