/* Whose things may be seen, and from which pages. */
#include "tests/unit/submit_unit.h"

#include "access.h"
#include "xalloc.h"

static const char *const listed[] = { "https://shop.example",
	"https://*.tunnel.example", NULL };

static const struct {
	const char *origin;
	bool allowed;
} origins[] = {
	{ "https://shop.example", true },
	{ "http://shop.example", false },
	{ "https://shop.example:8443", false },
	{ "https://SHOP.example", false },	/* browsers send lower case */
	{ "https://a1-b.tunnel.example", true },
	{ "https://a.b.tunnel.example", false },
	{ "https://.tunnel.example", false },
	{ "https://evil.example/.tunnel.example", false },
	{ "null", false },
	{ "", false },
};

START_TEST(an_origin_is_compared_exactly_but_for_a_star)
{
	char **list = (char **)listed;

	ck_assert_msg(access_origin_listed(list, origins[_i].origin) ==
	    origins[_i].allowed, "%s", origins[_i].origin);
	ck_assert(!access_origin_listed(NULL, origins[_i].origin));
}
END_TEST

static const struct {
	const char *origin, *host;
	bool same;
} hosts[] = {
	{ "http://shop.example", "shop.example", true },
	{ "https://shop.example", "shop.example", true },
	{ "https://Shop.Example", "shop.example", true },
	{ "http://shop.example:80", "shop.example", true },
	{ "http://shop.example", "shop.example:80", true },
	{ "https://shop.example", "shop.example:443", true },
	{ "http://127.0.0.1:8000", "127.0.0.1:8000", true },
	{ "http://[::1]:8000", "[::1]:8000", true },
	{ "http://127.0.0.1:8000", "127.0.0.1", false },
	{ "http://shop.example.evil", "shop.example", false },
	{ "http://evil/shop.example", "shop.example", false },
	{ "file://shop.example", "shop.example", false },
	{ "null", "shop.example", false },
	{ "http://", "", false },
};

START_TEST(a_page_of_the_host_asked_is_at_home)
{
	ck_assert_msg(access_origin_is_host(hosts[_i].origin,
	    hosts[_i].host) == hosts[_i].same, "%s at %s", hosts[_i].origin,
	    hosts[_i].host);
}
END_TEST

START_TEST(everybody_is_the_same_owner)
{
	ck_assert_str_eq(access_owner(), OWNER_DEFAULT);
}
END_TEST

TCase *
submit_access_case(void)
{
	TCase *t = tcase_create("access");

	add_rows(t, an_origin_is_compared_exactly_but_for_a_star, origins);
	add_rows(t, a_page_of_the_host_asked_is_at_home, hosts);
	tcase_add_test(t, everybody_is_the_same_owner);
	return t;
}
