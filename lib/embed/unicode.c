#include "embed/unicode.h"

struct record {
	uint8_t flags, combining;
	uint16_t decomposition;		/* into pool: a length, then code points; 0: itself */
	int32_t lower;			/* distance to the small letter */
};

#include "embed/unicode.inc"

#define BLOCK 128
#define HANGUL_FIRST 0xac00
#define HANGUL_COUNT 11172
#define HANGUL_V 21
#define HANGUL_T 28

static const struct record *
find(uint32_t cp)
{
	return cp > 0x10ffff ? &records[0] :
	    &records[blocks[(size_t)stage[cp / BLOCK] * BLOCK + cp % BLOCK]];
}

unsigned
unicode_flags(uint32_t cp)
{
	return find(cp)->flags;
}

unsigned
unicode_class(uint32_t cp)
{
	return find(cp)->combining;
}

size_t
unicode_decompose(uint32_t cp, uint32_t out[UNICODE_MAX_DECOMPOSITION])
{
	const struct record *r;
	size_t n;

	if (cp - HANGUL_FIRST < HANGUL_COUNT) {
		uint32_t i = cp - HANGUL_FIRST, t = i % HANGUL_T;

		out[0] = 0x1100 + i / (HANGUL_V * HANGUL_T);
		out[1] = 0x1161 + i / HANGUL_T % HANGUL_V;
		out[2] = 0x11a7 + t;
		return t == 0 ? 2 : 3;
	}
	r = find(cp);
	if (r->decomposition == 0) {
		out[0] = cp;
		return 1;
	}
	n = pool[r->decomposition];
	for (size_t i = 0; i < n; i++)
		out[i] = pool[r->decomposition + 1 + i];
	return n;
}

size_t
unicode_lower(uint32_t cp, uint32_t out[2])
{
	if (cp == 0x130) {
		out[0] = 'i';
		out[1] = 0x307;
		return 2;
	}
	out[0] = (uint32_t)((int32_t)cp + find(cp)->lower);
	return 1;
}
