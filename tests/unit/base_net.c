/* Which addresses are in a network. */
#include "tests/unit/base.h"

#include "net.h"
#include "xalloc.h"

static const struct {
	const char *net, *address;
	bool inside;
} rows[] = {
	{ "127.0.0.1/8", "127.0.0.1", true },
	{ "127.0.0.1/8", "127.255.0.9", true },
	{ "127.0.0.1/8", "128.0.0.1", false },
	{ "127.0.0.1/8", "::1", false },
	{ "127.0.0.1/8", "::ffff:127.0.0.1", true },
	{ "127.0.0.1/8", "::127.0.0.1", false },
	{ "10.1.2.3", "10.1.2.3", true },
	{ "10.1.2.3", "10.1.2.4", false },
	{ "10.1.2.3/32", "10.1.2.4", false },
	{ "10.1.2.128/25", "10.1.2.127", false },
	{ "10.1.2.128/25", "10.1.2.129", true },
	{ "192.0.2.0/31", "192.0.2.1", true },
	{ "192.0.2.0/31", "192.0.2.2", false },
	{ "0.0.0.0/0", "203.0.113.9", true },
	{ "0.0.0.0/0", "2001:db8::1", false },
	{ "::/0", "2001:db8::1", true },
	{ "::1", "::1", true },
	{ "::1", "0:0:0:0:0:0:0:1", true },
	{ "::1", "::2", false },
	{ "2001:db8::/33", "2001:db8:7fff::1", true },
	{ "2001:db8::/33", "2001:db8:8000::1", false },
	{ "::ffff:10.0.0.0/104", "10.200.0.1", true },
	{ "127.0.0.1/8", "127.1", false },
	{ "127.0.0.1/8", "127.0.0.1 ", false },
	{ "127.0.0.1/8", "localhost", false },
	{ "127.0.0.1/8", "", false },
	{ "127.0.0.1/8", NULL, false },
	{ "nowhere", "127.0.0.1", false },
};

START_TEST(an_address_is_inside_or_not)
{
	ck_assert_msg(net_contains(rows[_i].net, rows[_i].address) ==
	    rows[_i].inside, "%s in %s", rows[_i].address, rows[_i].net);
}
END_TEST

static const struct {
	const char *text;
	bool valid;
} texts[] = {
	{ "10.0.0.0", true }, { "10.0.0.0/0", true }, { "10.0.0.0/32", true },
	{ "10.0.0.0/33", false }, { "10.0.0.0/", false },
	{ "10.0.0.0/+8", false }, { "10.0.0.0/8/8", false },
	{ "10.0.0.0/0008", false }, { "10.0.0", false }, { "", false },
	{ "/8", false }, { "::/128", true }, { "::/129", false },
	{ "fe80::1%eth0", false },
	{ "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", false },
};

START_TEST(what_is_no_network_is_told)
{
	ck_assert_msg(net_is_valid(texts[_i].text) == texts[_i].valid, "%s",
	    texts[_i].text);
}
END_TEST

Suite *
base_net_suite(void)
{
	Suite *s = suite_create("base: net");
	TCase *tc = tcase_create("net");

	add_rows(tc, an_address_is_inside_or_not, rows);
	add_rows(tc, what_is_no_network_is_told, texts);
	suite_add_tcase(s, tc);
	return s;
}
