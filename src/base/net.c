/* Networks: an address of 16 bytes and how many of its bits count. */
#include "net.h"

#include <arpa/inet.h>
#include <stdint.h>

#define ADDRESS_BYTES 16
#define MAPPED_BITS 96		/* of the prefix that marks an IPv4 address */

struct net {
	uint8_t bytes[ADDRESS_BYTES];
	int bits;		/* that count */
};

/* IPv4 addresses stand behind the prefix ::ffff:0:0/96. */
static bool
read_address(const char *text, uint8_t out[ADDRESS_BYTES], bool *is_v4)
{
	struct in_addr v4;

	*is_v4 = inet_pton(AF_INET, text, &v4) == 1;
	if (!*is_v4)
		return inet_pton(AF_INET6, text, out) == 1;
	memset(out, 0, ADDRESS_BYTES);
	out[10] = out[11] = 0xff;
	memcpy(out + 12, &v4, sizeof(v4));
	return true;
}

/* A length of at most max: digits, no sign, no blank. */
static bool
read_bits(const char *text, int max, int *out)
{
	size_t len = strspn(text, "0123456789");

	if (len == 0 || len > 3 || text[len] != '\0')
		return false;
	*out = (int)strtol(text, NULL, 10);
	return *out <= max;
}

static bool
read_net(const char *text, struct net *out)
{
	char address[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
	bool is_v4;

	if (len >= sizeof(address))
		return false;
	memcpy(address, text, len);
	address[len] = '\0';
	if (!read_address(address, out->bytes, &is_v4))
		return false;
	out->bits = 8 * ADDRESS_BYTES;
	if (slash == NULL)
		return true;
	if (!read_bits(slash + 1, is_v4 ? 32 : 128, &out->bits))
		return false;
	if (is_v4)
		out->bits += MAPPED_BITS;
	return true;
}

bool
net_is_valid(const char *net)
{
	struct net n;

	return read_net(net, &n);
}

bool
net_contains(const char *net, const char *address)
{
	uint8_t a[ADDRESS_BYTES];
	struct net n;
	bool is_v4;
	int whole, rest;

	if (address == NULL || !read_net(net, &n) ||
	    !read_address(address, a, &is_v4))
		return false;
	whole = n.bits / 8;
	rest = n.bits % 8;
	return memcmp(a, n.bytes, (size_t)whole) == 0 && (rest == 0 ||
	    (a[whole] ^ n.bytes[whole]) >> (8 - rest) == 0);
}
