#include "tests/unit/submit_unit.h"
TCase *
submit_service_case(void)
{
	return tcase_create("service");
}
TCase *
submit_wake_case(void)
{
	return tcase_create("wake");
}
