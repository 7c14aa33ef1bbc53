#include "trust/b64.h"

#include <sodium.h>

bool
b64_decode(struct slice text, uint8_t *out, size_t cap, size_t *n)
{
	*n = 0;
	/* libsodium 1.0.18 takes some bytes above 0x7f for the letter without their high bit. */
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] > 0x7f)
			return false;
	return text.n == 0 || sodium_base642bin(out, cap, text.p, text.n, NULL, n, NULL,
		sodium_base64_VARIANT_ORIGINAL) == 0;
}
