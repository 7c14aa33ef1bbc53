#include "fmt/blake2b.h"

#include <string.h>

static const uint64_t start[8] = {
	0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
	0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

static inline uint64_t
load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	v = __builtin_bswap64(v);
#endif
	return v;
}

static inline uint64_t
rotate(uint64_t v, unsigned n)
{
	return v >> n | v << (64 - n);
}

/* The mixing function, on four words of the state and two of the message. */
#define MIX(a, b, c, d, x, y) do { \
	a += b + (x); d = rotate(d ^ a, 32); \
	c += d; b = rotate(b ^ c, 24); \
	a += b + (y); d = rotate(d ^ a, 16); \
	c += d; b = rotate(b ^ c, 63); \
} while (0)

/* One round: columns, then diagonals; the order of the message's words as constants, so that they stay put. */
#define ROUND(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p) do { \
	MIX(v0, v4, v8, v12, w[a], w[b]); MIX(v1, v5, v9, v13, w[c], w[d]); \
	MIX(v2, v6, v10, v14, w[e], w[f]); MIX(v3, v7, v11, v15, w[g], w[h]); \
	MIX(v0, v5, v10, v15, w[i], w[j]); MIX(v1, v6, v11, v12, w[k], w[l]); \
	MIX(v2, v7, v8, v13, w[m], w[n]); MIX(v3, v4, v9, v14, w[o], w[p]); \
} while (0)

/* n blocks of 128 bytes; done counts what came before them. final: the last, whose true end is at done. */
static void
compress(uint64_t h[8], const uint8_t *p, size_t n, uint64_t done, uint64_t step, uint64_t final)
{
	for (; n > 0; n--, p += 128) {
		uint64_t w[16];
		uint64_t v0 = h[0], v1 = h[1], v2 = h[2], v3 = h[3], v4 = h[4], v5 = h[5], v6 = h[6], v7 = h[7];
		uint64_t v8 = start[0], v9 = start[1], v10 = start[2], v11 = start[3];
		uint64_t v12 = start[4] ^ (done += step), v13 = start[5], v14 = start[6] ^ final, v15 = start[7];

		for (unsigned i = 0; i < 16; i++)
			w[i] = load64(p + (size_t)8 * i);
		ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
		ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3);
		ROUND(11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4);
		ROUND(7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8);
		ROUND(9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13);
		ROUND(2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9);
		ROUND(12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11);
		ROUND(13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10);
		ROUND(6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5);
		ROUND(10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0);
		ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
		ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3);
		h[0] ^= v0 ^ v8;
		h[1] ^= v1 ^ v9;
		h[2] ^= v2 ^ v10;
		h[3] ^= v3 ^ v11;
		h[4] ^= v4 ^ v12;
		h[5] ^= v5 ^ v13;
		h[6] ^= v6 ^ v14;
		h[7] ^= v7 ^ v15;
	}
}

void
blake2b_init(struct blake2b *s)
{
	memcpy(s->h, start, sizeof start);
	s->h[0] ^= 0x01010000 ^ 64;	/* fan-out and depth 1, no key, 64 bytes */
	s->bytes = 0;
	s->used = 0;
}

/* The last block is another one than the rest, so a full block waits until more comes. */
void
blake2b_add(struct blake2b *s, const void *from, size_t n)
{
	const uint8_t *p = from;
	size_t k;

	if (n == 0)
		return;
	k = sizeof s->block - s->used;
	if (n > k) {
		if (s->used > 0) {
			memcpy(s->block + s->used, p, k);
			compress(s->h, s->block, 1, s->bytes, 128, 0);
			s->bytes += 128;
			s->used = 0;
			p += k;
			n -= k;
		}
		k = (n - 1) / 128;
		compress(s->h, p, k, s->bytes, 128, 0);
		s->bytes += 128 * (uint64_t)k;
		p += 128 * k;
		n -= 128 * k;
	}
	memcpy(s->block + s->used, p, n);
	s->used += n;
}

void
blake2b_final(struct blake2b *s, uint8_t out[64])
{
	memset(s->block + s->used, 0, sizeof s->block - s->used);
	compress(s->h, s->block, 1, s->bytes, s->used, UINT64_MAX);
	for (unsigned i = 0; i < 64; i++)
		out[i] = (uint8_t)(s->h[i / 8] >> 8 * (i % 8));
}
