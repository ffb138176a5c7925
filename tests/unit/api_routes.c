#include "tests/unit/api_unit.h"
TCase *
api_routes_case(void)
{
	return tcase_create("routes");
}
