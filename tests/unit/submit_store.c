#include "tests/unit/submit_unit.h"
TCase *
submit_store_case(void)
{
	return tcase_create("store");
}
