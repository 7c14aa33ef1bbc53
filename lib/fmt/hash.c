#include "fmt/hash.h"

#include <sodium.h>

_Static_assert(sizeof(crypto_hash_sha256_state) <= sizeof(((struct sha256 *)0)->state),
	"struct sha256 is too small for libsodium's state");

static crypto_hash_sha256_state *
state_of(struct sha256 *s)
{
	return (crypto_hash_sha256_state *)(void *)s->state;
}

void
sha256_init(struct sha256 *s)
{
	(void)crypto_hash_sha256_init(state_of(s));
}

void
sha256_add(struct sha256 *s, const void *p, size_t n)
{
	(void)crypto_hash_sha256_update(state_of(s), p, n);
}

void
sha256_final(struct sha256 *s, uint8_t out[32])
{
	(void)crypto_hash_sha256_final(state_of(s), out);
}

void
sha256_bytes(const void *p, size_t n, uint8_t out[32])
{
	(void)crypto_hash_sha256(out, p, n);
}

void
hex_format(const uint8_t *p, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * n] = '\0';
}
