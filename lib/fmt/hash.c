#include "fmt/hash.h"

#include <string.h>

#include <sodium.h>

/* clang learned to ask for this feature by name only lately. */
#if defined __x86_64__ && defined __GNUC__ && !defined __clang__ && __GNUC__ >= 11
#define WITH_SHA_NI 1
#include <immintrin.h>
#endif

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

#ifdef WITH_SHA_NI
static const uint32_t round_keys[64] __attribute__((aligned(16))) = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

#define SHA_NI __attribute__((target("sha,ssse3,sse4.1")))

/* Four rounds on the state's halves (ABEF, CDGH) with four words of the message. */
SHA_NI static inline void
four_rounds(__m128i *abef, __m128i *cdgh, __m128i words, const uint32_t *keys)
{
	__m128i k = _mm_add_epi32(words, _mm_load_si128((const __m128i *)(const void *)keys));

	*cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, k);
	*abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32(k, 0x0e));
}

/* The next four words of the message schedule from the sixteen before. */
SHA_NI static inline __m128i
next_words(__m128i a, __m128i b, __m128i c, __m128i d)
{
	return _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(a, b),
		_mm_alignr_epi8(d, c, 4)), d);
}

/* FIPS 180-4 on n blocks of 64 bytes, by the CPU's own instructions. */
SHA_NI static void
blocks_by_cpu(uint32_t state[8], const uint8_t *p, size_t n)
{
	const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
	__m128i lo = _mm_shuffle_epi32(_mm_loadu_si128((const void *)state), 0xb1);
	__m128i hi = _mm_shuffle_epi32(_mm_loadu_si128((const void *)(state + 4)), 0x1b);
	__m128i abef = _mm_alignr_epi8(lo, hi, 8), cdgh = _mm_blend_epi16(hi, lo, 0xf0);

	for (; n > 0; n--, p += 64) {
		__m128i abef0 = abef, cdgh0 = cdgh, w[4];

		for (int i = 0; i < 4; i++)
			w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const void *)(p + 16 * i)), swap);
		for (int i = 0; i < 4; i++)
			four_rounds(&abef, &cdgh, w[i], round_keys + 4 * i);
		for (int i = 16; i < 64; i += 16) {
			w[0] = next_words(w[0], w[1], w[2], w[3]);
			four_rounds(&abef, &cdgh, w[0], round_keys + i);
			w[1] = next_words(w[1], w[2], w[3], w[0]);
			four_rounds(&abef, &cdgh, w[1], round_keys + i + 4);
			w[2] = next_words(w[2], w[3], w[0], w[1]);
			four_rounds(&abef, &cdgh, w[2], round_keys + i + 8);
			w[3] = next_words(w[3], w[0], w[1], w[2]);
			four_rounds(&abef, &cdgh, w[3], round_keys + i + 12);
		}
		abef = _mm_add_epi32(abef, abef0);
		cdgh = _mm_add_epi32(cdgh, cdgh0);
	}
	lo = _mm_shuffle_epi32(abef, 0x1b);
	hi = _mm_shuffle_epi32(cdgh, 0xb1);
	_mm_storeu_si128((void *)state, _mm_blend_epi16(lo, hi, 0xf0));
	_mm_storeu_si128((void *)(state + 4), _mm_alignr_epi8(hi, lo, 8));
}

/* As crypto_hash_sha256_update on the same state, whose count is in bits. */
static void
add_by_cpu(crypto_hash_sha256_state *s, const uint8_t *p, size_t n)
{
	size_t have = (size_t)(s->count >> 3) & 63, take = 64 - have;

	s->count += (uint64_t)n << 3;
	if (n < take) {
		memcpy(s->buf + have, p, n);
		return;
	}
	if (have > 0) {
		memcpy(s->buf + have, p, take);
		blocks_by_cpu(s->state, s->buf, 1);
		p += take;
		n -= take;
	}
	blocks_by_cpu(s->state, p, n / 64);
	memcpy(s->buf, p + n / 64 * 64, n % 64);
}
#endif

void
sha256_add(struct sha256 *s, const void *p, size_t n)
{
	if (n == 0)
		return;
#ifdef WITH_SHA_NI
	if (__builtin_cpu_supports("sha") && __builtin_cpu_supports("sse4.1")) {
		add_by_cpu(state_of(s), p, n);
		return;
	}
#endif
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
	struct sha256 s;

	sha256_init(&s);
	sha256_add(&s, p, n);
	sha256_final(&s, out);
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
