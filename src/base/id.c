/*
 * Identifiers.  A UUID is the only thing that keeps a stranger from guessing
 * somebody's run, so its bits come from the kernel and from nowhere else.
 */
#include "id.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/random.h>
#include <unistd.h>

#define HOST_MAX 256
#define UNKNOWN "unknown"
#define BOOT_ID_PATH "/proc/sys/kernel/random/boot_id"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char boot[ID_MAX];
static char host[HOST_MAX];

static void
random_bytes(unsigned char *out, size_t len)
{
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = getrandom(out + done, len - done, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			abort();
		done += (size_t)n;
	}
}

void
id_new(char out[ID_MAX])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char raw[16];
	size_t i, at = 0;

	random_bytes(raw, sizeof(raw));
	raw[6] = (unsigned char)((raw[6] & 0x0f) | 0x40);	/* version 4 */
	raw[8] = (unsigned char)((raw[8] & 0x3f) | 0x80);	/* RFC 4122 */
	for (i = 0; i < sizeof(raw); i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			out[at++] = '-';
		out[at++] = digits[raw[i] >> 4];
		out[at++] = digits[raw[i] & 0x0f];
	}
	out[at] = '\0';
}

bool
id_is_valid(const char *s)
{
	size_t i;

	if (s == NULL)
		return false;
	for (i = 0; i < ID_LEN; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (s[i] != '-')
				return false;
		} else if (!((s[i] >= '0' && s[i] <= '9') ||
		    (s[i] >= 'a' && s[i] <= 'f'))) {
			return false;
		}
	}
	return s[ID_LEN] == '\0';
}

static void
learn_boot(void)
{
	ssize_t n = 0;
	int fd;

	fd = open(BOOT_ID_PATH, O_RDONLY | O_CLOEXEC);
	if (fd != -1) {
		n = read(fd, boot, ID_LEN);
		close(fd);
	}
	if (n != ID_LEN)
		n = 0;
	boot[n] = '\0';
	if (!id_is_valid(boot))
		snprintf(boot, sizeof(boot), "%s", UNKNOWN);
}

static void
learn_host(void)
{
	/* A name that fills the buffer may come without its NUL. */
	if (gethostname(host, sizeof(host)) != 0)
		host[0] = '\0';
	host[sizeof(host) - 1] = '\0';
	if (host[0] == '\0')
		snprintf(host, sizeof(host), "%s", UNKNOWN);
}

static void
learn(void)
{
	learn_boot();
	learn_host();
}

const char *
id_boot(void)
{
	pthread_once(&once, learn);
	return boot;
}

const char *
id_host(void)
{
	pthread_once(&once, learn);
	return host;
}
