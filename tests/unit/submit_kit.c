#include "tests/unit/submit_unit.h"
TCase *
submit_kit_case(void)
{
	return tcase_create("kit");
}
