#include "tests/unit/submit_unit.h"
TCase *
submit_views_case(void)
{
	return tcase_create("views");
}
