#include "serve/auth.h"

#include <string.h>
#include <strings.h>

#include "fmt/hash.h"
#include "serve/reply.h"

/* Equal, in a time that depends on neither. */
static bool
same(const char *a, const char *b)
{
	uint8_t x[32], y[32];
	unsigned diff = 0;

	sha256_bytes(a, strlen(a), x);
	sha256_bytes(b, strlen(b), y);
	for (int i = 0; i < 32; i++)
		diff |= (unsigned)(x[i] ^ y[i]);
	return diff == 0;
}

/* The key of a request: Authorization: Bearer, or the headers that clients of other makers send. */
static const char *
given_key(const struct exchange *x)
{
	const char *a = exchange_header(x, "Authorization");

	if (a != NULL && strncasecmp(a, "Bearer ", 7) == 0)
		return a + 7;
	if ((a = exchange_header(x, "x-litellm-api-key")) != NULL)
		return strncasecmp(a, "Bearer ", 7) == 0 ? a + 7 : a;
	if ((a = exchange_header(x, "api-key")) != NULL)
		return a;
	return exchange_header(x, "x-api-key");
}

bool
auth_check(struct exchange *x, enum auth what, const struct config *c, bool no_auth)
{
	const char *key = given_key(x), *master = c->general.master_key;

	if (what == AUTH_OPEN || (what == AUTH_METRICS && !c->general.metrics_auth))
		return true;
	if (master == NULL) {
		if (what == AUTH_USER || what == AUTH_METRICS || no_auth)
			return true;
		reply_error(x, 403, "auth_error", NULL, "no master key is configured, so nobody may do this");
		return false;
	}
	if (key != NULL && same(key, master))
		return true;
	exchange_set(x, "WWW-Authenticate", "Bearer");
	reply_error(x, 401, "auth_error", NULL, key == NULL ? "no API key was given: Authorization: Bearer KEY"
		: "the API key is wrong");
	return false;
}
