#include "fmt/hash.h"

#include <string.h>
#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_X86 1
#include <cpuid.h>
#include <immintrin.h>
#endif

#include <sodium.h>

_Static_assert(sizeof(crypto_hash_sha256_state) <= sizeof(((struct sha256 *)0)->state),
	"struct sha256 is too small for libsodium's state");

static crypto_hash_sha256_state *
state_of(struct sha256 *s)
{
	return (crypto_hash_sha256_state *)(void *)s->state;
}

#ifdef HAVE_X86

/*
 * With the CPU's own instructions, five times as fast: queries are digested one
 * by one, and that shows. libsodium 1.0.18 does not use them.
 */
#define SHA __attribute__((target("sha,sse4.1,ssse3")))

struct fast {
	uint32_t h[8];
	uint64_t bytes;
	uint8_t block[64];
};
_Static_assert(sizeof(struct fast) <= sizeof(((struct sha256 *)0)->state),
	"struct sha256 is too small");

static const uint32_t round_constants[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

/*
 * Leaf 7, EBX bit 29: not every compiler's __builtin_cpu_supports knows "sha".
 * The answer never changes, but asking takes microseconds on a virtual machine,
 * so it is kept.
 */
static bool
have_sha(void)
{
	static _Atomic int known;	/* 0 not asked, 1 no, 2 yes */
	unsigned a, b, c, d;

	if (known == 0)
		known = __builtin_cpu_supports("sse4.1") && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 &&
			(b >> 29 & 1) != 0 ? 2 : 1;
	return known == 2;
}

/*
 * n blocks of 64 bytes. The instructions keep the eight words as a, b, e, f and
 * c, d, g, h; four rounds at a time, the message schedule beside them.
 */
SHA static void
sha_blocks(uint32_t h[8], const uint8_t *p, size_t n)
{
	const __m128i swap = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
	__m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)h), 0xb1);
	__m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)(h + 4)), 0x1b);
	__m128i abef = _mm_alignr_epi8(low, high, 8), cdgh = _mm_blend_epi16(high, low, 0xf0);

	for (; n > 0; n--, p += 64) {
		const __m128i abef0 = abef, cdgh0 = cdgh;
		__m128i m[4];

#pragma GCC unroll 4
		for (unsigned i = 0; i < 4; i++)
			m[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i)), swap);
		/* Unrolled, the four words of the schedule stay in registers. */
#pragma GCC unroll 16
		for (unsigned i = 0; i < 16; i++) {
			const __m128i now = m[i % 4], before = m[(i + 3) % 4];
			__m128i next = m[(i + 1) % 4];
			__m128i k = _mm_add_epi32(now, _mm_loadu_si128(
				(const __m128i *)(const void *)(round_constants + (size_t)4 * i)));

			cdgh = _mm_sha256rnds2_epu32(cdgh, abef, k);
			if (i >= 3 && i < 15) {
				next = _mm_add_epi32(next, _mm_alignr_epi8(now, before, 4));
				m[(i + 1) % 4] = _mm_sha256msg2_epu32(next, now);
			}
			abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(k, 0x0e));
			if (i >= 1 && i <= 12)
				m[(i + 3) % 4] = _mm_sha256msg1_epu32(before, now);
		}
		abef = _mm_add_epi32(abef, abef0);
		cdgh = _mm_add_epi32(cdgh, cdgh0);
	}
	low = _mm_shuffle_epi32(abef, 0x1b);
	high = _mm_shuffle_epi32(cdgh, 0xb1);
	_mm_storeu_si128((__m128i *)(void *)h, _mm_blend_epi16(low, high, 0xf0));
	_mm_storeu_si128((__m128i *)(void *)(h + 4), _mm_alignr_epi8(high, low, 8));
}

static bool
fast_init(struct sha256 *s)
{
	static const uint32_t start[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
		0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
	struct fast *f = (struct fast *)(void *)s->state;

	if (!have_sha())
		return false;
	memcpy(f->h, start, sizeof start);
	f->bytes = 0;
	return true;
}

static void
fast_add(struct sha256 *s, const uint8_t *p, size_t n)
{
	struct fast *f = (struct fast *)(void *)s->state;
	size_t had = f->bytes % 64, part = 64 - had;

	f->bytes += n;
	if (had > 0 && n >= part) {
		memcpy(f->block + had, p, part);
		sha_blocks(f->h, f->block, 1);
		p += part;
		n -= part;
		had = 0;
	}
	if (had == 0 && n >= 64) {
		sha_blocks(f->h, p, n / 64);
		p += n / 64 * 64;
		n %= 64;
	}
	if (n > 0)
		memcpy(f->block + had, p, n);
}

static void
fast_final(struct sha256 *s, uint8_t out[32])
{
	struct fast *f = (struct fast *)(void *)s->state;
	uint64_t bits = f->bytes * 8;
	size_t had = f->bytes % 64;

	f->block[had++] = 0x80;
	if (had > 56) {
		memset(f->block + had, 0, 64 - had);
		sha_blocks(f->h, f->block, 1);
		had = 0;
	}
	memset(f->block + had, 0, 56 - had);
	for (unsigned i = 0; i < 8; i++)
		f->block[56 + i] = (uint8_t)(bits >> (56 - 8 * i));
	sha_blocks(f->h, f->block, 1);
	for (unsigned i = 0; i < 32; i++)
		out[i] = (uint8_t)(f->h[i / 4] >> (24 - 8 * (i % 4)));
}

#else

static bool
fast_init(struct sha256 *s)
{
	(void)s;
	return false;
}

static void
fast_add(struct sha256 *s, const uint8_t *p, size_t n)
{
	(void)s;
	(void)p;
	(void)n;
}

static void
fast_final(struct sha256 *s, uint8_t out[32])
{
	(void)s;
	(void)out;
}

#endif

void
sha256_init(struct sha256 *s)
{
	s->fast = fast_init(s);
	if (!s->fast)
		(void)crypto_hash_sha256_init(state_of(s));
}

void
sha256_add(struct sha256 *s, const void *p, size_t n)
{
	if (s->fast)
		fast_add(s, p, n);
	else
		(void)crypto_hash_sha256_update(state_of(s), p, n);
}

void
sha256_final(struct sha256 *s, uint8_t out[32])
{
	if (s->fast)
		fast_final(s, out);
	else
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
