#include "fmt/jscan.h"

#include <string.h>

#include "base/str.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_X86 1
#include <immintrin.h>
#endif

/* Bytes of a text that are looked at. The last, plus the quote before it, is within JSCAN_AHEAD. */
#define PLACE_1 3
#define PLACE_2 7

void
jscan_mark(struct jscan_marks *m, unsigned i, const char *text, size_t n)
{
	static const size_t places[JSCAN_PLACES] = { 0, PLACE_1, PLACE_2 };
	uint8_t bit = (uint8_t)(1u << (i % 8));

	for (size_t k = 0; k < JSCAN_PLACES; k++) {
		bool any = places[k] >= n;
		unsigned char c = any ? 0 : (unsigned char)text[places[k]];

		for (unsigned v = 0; v < 16; v++) {
			if (any || v == (c & 15u))
				m->low[k][v] |= bit;
			if (any || v == c >> 4)
				m->high[k][v] |= bit;
		}
		for (unsigned v = 0; v < 64; v++)
			if (any || v == (c & 63u))
				m->six[k][v] |= bit;
	}
}

const char *
jscan_name(enum jscan_level level)
{
	switch (level) {
	case JSCAN_AVX512:
		return "avx512";
	case JSCAN_AVX2:
		return "avx2";
	case JSCAN_SSE2:
		return "sse2";
	case JSCAN_PORTABLE:
		break;
	}
	return "portable";
}

/*
 * Bytes that an odd run of backslashes escapes. A run's start at an odd
 * position is told from one at an even position by the carry of an addition
 * through the run: its end then falls on the other parity.
 */
static inline uint64_t
find_escaped(uint64_t backslash, uint64_t *carry)
{
	const uint64_t even = 0x5555555555555555u;
	uint64_t follows, odd_starts, sum;

	if (backslash == 0) {
		follows = *carry;
		*carry = 0;
		return follows;
	}
	backslash &= ~*carry;
	follows = backslash << 1 | *carry;
	odd_starts = backslash & ~even & ~follows;
	sum = odd_starts + backslash;
	*carry = sum < backslash;
	return (even ^ sum << 1) & follows;
}

/* What one block comes to, from the raw bitmaps of its bytes. */
struct raw_block {
	uint64_t quote, backslash, bracket, below20, newline, mark, u;
	bool high;
};

/* Bit i: the number of set bits up to and including i is odd. */
static inline uint64_t
prefix_xor(uint64_t x)
{
	x ^= x << 1;
	x ^= x << 2;
	x ^= x << 4;
	x ^= x << 8;
	x ^= x << 16;
	x ^= x << 32;
	return x;
}

/*
 * The places of a block's set bits, appended. The first two are written whether
 * they exist or not: most blocks have no more, and a loop whose length is hard
 * to foresee costs more than the writing.
 */
static inline uint16_t *
put_places(uint16_t *q, size_t b, uint64_t bits)
{
	unsigned base = (unsigned)b * JSCAN_BLOCK, n;
	uint64_t rest = bits & (bits - 1);

	q[0] = (uint16_t)(base + (unsigned)__builtin_ctzll(bits | (uint64_t)1 << 63));
	q[1] = (uint16_t)(base + (unsigned)__builtin_ctzll(rest | (uint64_t)1 << 63));
	n = (unsigned)(bits != 0) + (unsigned)(rest != 0);
	for (rest &= rest - 1; rest != 0; rest &= rest - 1)
		q[n++] = (uint16_t)(base + (unsigned)__builtin_ctzll(rest));
	return q + n;
}

/* Returns the new end of the places. */
static inline uint16_t *
put_block(struct jscan_found *out, uint16_t *q, size_t b, struct jscan_state *st, const char *p,
	const struct raw_block *r, bool newlines, uint64_t escaped, uint64_t strings)
{
	uint64_t in = strings ^ st->in_string;
	uint64_t quote = r->quote & ~escaped;
	uint64_t unicode = r->backslash & ~escaped & r->u;
	uint64_t bits = (r->bracket & ~in) | (quote & in & r->mark);

	st->in_string = (uint64_t)((int64_t)in >> 63);
	for (; unicode != 0; unicode &= unicode - 1) {
		unsigned i = (unsigned)__builtin_ctzll(unicode);

		if (p[i + 2] == '0' && p[i + 3] == '0')
			bits |= (uint64_t)1 << i;
	}
	if (r->below20 != 0) {
		out->low |= (uint64_t)1 << b;
		out->control[b] = r->below20 & in;
		out->newline[b] = r->newline;
		bits |= (r->below20 & in) | (newlines ? r->newline : 0);
	}
	out->high |= (uint64_t)r->high << b;
	return put_places(q, b, bits);
}

static inline bool
may_mark(const struct jscan_marks *m, const char *p)
{
	unsigned char a = (unsigned char)p[0], b = (unsigned char)p[PLACE_1];
	unsigned char c = (unsigned char)p[PLACE_2];

	return (m->low[0][a & 15] & m->high[0][a >> 4] & m->low[1][b & 15] & m->high[1][b >> 4] &
		m->low[2][c & 15] & m->high[2][c >> 4]) != 0;
}

static void
run_portable(const char *p, size_t n, const struct jscan_marks *m, bool newlines,
	struct jscan_state *st, struct jscan_found *out)
{
	/* Copies, since stores to *out could otherwise be to *st. */
	struct jscan_state s = *st;
	uint16_t *q = out->place;

	for (size_t b = 0; b < n; b++, p += JSCAN_BLOCK) {
		struct raw_block r = { 0 };
		uint64_t escaped;

		for (unsigned i = 0; i < JSCAN_BLOCK; i++) {
			unsigned char c = (unsigned char)p[i];
			uint64_t bit = (uint64_t)1 << i;

			r.quote |= c == '"' ? bit : 0;
			r.backslash |= c == '\\' ? bit : 0;
			r.bracket |= (c | 0x20) == '{' || (c | 0x20) == '}' ? bit : 0;
			r.below20 |= c < 0x20 ? bit : 0;
			r.newline |= c == '\n' ? bit : 0;
			r.high |= c >= 0x80;
			if (m == NULL)
				continue;
			r.u |= p[i + 1] == 'u' ? bit : 0;
			r.mark |= c == '"' && may_mark(m, p + i + 1) ? bit : 0;
		}
		escaped = find_escaped(r.backslash, &s.escaped);
		q = put_block(out, q, b, &s, p, &r, newlines, escaped,
			prefix_xor(r.quote & ~escaped));
	}
	*st = s;
	out->n = (size_t)(q - out->place);
}

#ifdef HAVE_X86

/* Bits of 64 bytes in 4 vectors. */
static inline uint64_t
bits4(const __m128i v[4])
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < 4; i++)
		bits |= (uint64_t)(unsigned)_mm_movemask_epi8(v[i]) << (16 * i);
	return bits;
}

static inline uint64_t
equal4(const __m128i v[4], char c)
{
	__m128i x = _mm_set1_epi8(c), e[4];

	for (unsigned i = 0; i < 4; i++)
		e[i] = _mm_cmpeq_epi8(v[i], x);
	return bits4(e);
}

/* SSE2 is in every x86-64 CPU. It has no table look-up: quotes are looked at one by one. */
static void
run_sse2(const char *p, size_t n, const struct jscan_marks *m, bool newlines,
	struct jscan_state *st, struct jscan_found *out)
{
	struct jscan_state s = *st;
	uint16_t *q = out->place;

	for (size_t b = 0; b < n; b++, p += JSCAN_BLOCK) {
		__m128i v[4], lower[4], low[4];
		struct raw_block r = { 0 };
		uint64_t escaped;

		for (unsigned i = 0; i < 4; i++) {
			v[i] = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
			lower[i] = _mm_or_si128(v[i], _mm_set1_epi8(0x20));
			low[i] = _mm_cmpeq_epi8(_mm_min_epu8(v[i], _mm_set1_epi8(0x1f)), v[i]);
		}
		r.quote = equal4(v, '"');
		r.backslash = equal4(v, '\\');
		r.bracket = equal4(lower, '{') | equal4(lower, '}');
		r.below20 = bits4(low);
		r.newline = r.below20 == 0 ? 0 : equal4(v, '\n');
		r.high = bits4(v) != 0;
		for (uint64_t k = m != NULL ? r.quote : 0; k != 0; k &= k - 1)
			if (may_mark(m, p + __builtin_ctzll(k) + 1))
				r.mark |= k & (0 - k);
		if (m != NULL && r.backslash != 0)
			r.u = equal4(v, 'u') >> 1 | (uint64_t)(p[JSCAN_BLOCK] == 'u') << 63;
		escaped = find_escaped(r.backslash, &s.escaped);
		q = put_block(out, q, b, &s, p, &r, newlines, escaped,
			prefix_xor(r.quote & ~escaped));
	}
	*st = s;
	out->n = (size_t)(q - out->place);
}

#define AVX2 __attribute__((target("avx2,pclmul,bmi")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vbmi,avx2,pclmul,bmi")))

/* prefix_xor by carry-less multiplication with all ones. */
__attribute__((target("pclmul"))) static inline uint64_t
prefix_xor_clmul(uint64_t x)
{
	__m128i v = _mm_clmulepi64_si128(_mm_set_epi64x(0, (long long)x), _mm_set1_epi8(-1), 0);

	return (uint64_t)_mm_cvtsi128_si64(v);
}

AVX2 static inline uint64_t
bits2(__m256i a, __m256i b)
{
	return (uint64_t)(uint32_t)_mm256_movemask_epi8(a) |
		(uint64_t)(uint32_t)_mm256_movemask_epi8(b) << 32;
}

AVX2 static inline uint64_t
equal2(__m256i a, __m256i b, char c)
{
	__m256i x = _mm256_set1_epi8(c);

	return bits2(_mm256_cmpeq_epi8(a, x), _mm256_cmpeq_epi8(b, x));
}

AVX2 static inline __m256i
table2(const uint8_t t[16])
{
	return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)t));
}

/* Bytes of v that are in the sets of low and high nibbles, as group bits. */
AVX2 static inline __m256i
groups2(__m256i v, __m256i low, __m256i high)
{
	const __m256i nibble = _mm256_set1_epi8(15);

	return _mm256_and_si256(_mm256_shuffle_epi8(low, _mm256_and_si256(v, nibble)),
		_mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble)));
}

AVX2 static inline __m256i
load2(const char *p)
{
	return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

/* Where a marked string's content may begin, as bits of the quote before it; 32 bytes. */
AVX2 static inline __m256i
marks2(const char *p, const struct jscan_marks *m)
{
	__m256i a = groups2(load2(p + 1), table2(m->low[0]), table2(m->high[0]));
	__m256i b = groups2(load2(p + 1 + PLACE_1), table2(m->low[1]), table2(m->high[1]));
	__m256i c = groups2(load2(p + 1 + PLACE_2), table2(m->low[2]), table2(m->high[2]));

	return _mm256_and_si256(_mm256_and_si256(a, b), c);
}

AVX2 static void
run_avx2(const char *p, size_t n, const struct jscan_marks *m, bool newlines,
	struct jscan_state *st, struct jscan_found *out)
{
	/* Copies, since stores to *out could otherwise be to *st. */
	struct jscan_state s = *st;
	uint16_t *q = out->place;
	const __m256i case_bit = _mm256_set1_epi8(0x20), top = _mm256_set1_epi8(0x1f);

	for (size_t i = 0; i < n; i++, p += JSCAN_BLOCK) {
		__m256i a = load2(p), b = load2(p + 32);
		__m256i al = _mm256_or_si256(a, case_bit), bl = _mm256_or_si256(b, case_bit);
		struct raw_block r = { 0 };
		uint64_t escaped;

		r.quote = equal2(a, b, '"');
		r.backslash = equal2(a, b, '\\');
		r.bracket = equal2(al, bl, '{') | equal2(al, bl, '}');
		r.below20 = bits2(_mm256_cmpeq_epi8(_mm256_min_epu8(a, top), a),
			_mm256_cmpeq_epi8(_mm256_min_epu8(b, top), b));
		r.newline = r.below20 == 0 ? 0 : equal2(a, b, '\n');
		r.high = _mm256_movemask_epi8(_mm256_or_si256(a, b)) != 0;
		if (m != NULL) {
			r.mark = ~equal2(marks2(p, m), marks2(p + 32, m), 0);
			r.u = r.backslash == 0 ? 0 : equal2(load2(p + 1), load2(p + 33), 'u');
		}
		escaped = find_escaped(r.backslash, &s.escaped);
		q = put_block(out, q, i, &s, p, &r, newlines, escaped,
			prefix_xor_clmul(r.quote & ~escaped));
	}
	*st = s;
	out->n = (size_t)(q - out->place);
}

AVX512 static inline __m512i
load5(const void *p)
{
	return _mm512_loadu_si512(p);
}

AVX512 static inline uint64_t
equal5(__m512i v, char c)
{
	return _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(c));
}

AVX512 static void
run_avx512(const char *p, size_t n, const struct jscan_marks *m, bool newlines,
	struct jscan_state *st, struct jscan_found *out)
{
	/* Copies, since stores to *out could otherwise be to *st. */
	struct jscan_state s = *st;
	uint16_t *q = out->place;
	static const struct jscan_marks none;
	const struct jscan_marks *t = m != NULL ? m : &none;
	const __m512i t0 = load5(t->six[0]), t1 = load5(t->six[1]), t2 = load5(t->six[2]);

	for (size_t b = 0; b < n; b++, p += JSCAN_BLOCK) {
		__m512i v = load5(p), next = load5(p + 1);
		__m512i lower = _mm512_or_si512(v, _mm512_set1_epi8(0x20));
		struct raw_block r = { 0 };
		uint64_t escaped;

		r.quote = equal5(v, '"');
		r.backslash = equal5(v, '\\');
		r.bracket = equal5(lower, '{') | equal5(lower, '}');
		r.below20 = _mm512_cmplt_epu8_mask(v, _mm512_set1_epi8(0x20));
		r.newline = r.below20 == 0 ? 0 : equal5(v, '\n');
		r.high = _mm512_movepi8_mask(v) != 0;
		if (m != NULL) {
			/* A byte's low six bits choose its entry. */
			__m512i g0 = _mm512_permutexvar_epi8(next, t0);
			__m512i g1 = _mm512_permutexvar_epi8(load5(p + 1 + PLACE_1), t1);
			__m512i g2 = _mm512_permutexvar_epi8(load5(p + 1 + PLACE_2), t2);

			r.mark = _mm512_test_epi8_mask(_mm512_and_si512(g0, g1), g2);
			r.u = equal5(next, 'u');
		}
		escaped = find_escaped(r.backslash, &s.escaped);
		q = put_block(out, q, b, &s, p, &r, newlines, escaped,
			prefix_xor_clmul(r.quote & ~escaped));
	}
	*st = s;
	out->n = (size_t)(q - out->place);
}

bool
jscan_can(enum jscan_level level)
{
	if (level == JSCAN_PORTABLE || level == JSCAN_SSE2)
		return true;
	if (!__builtin_cpu_supports("pclmul") || !__builtin_cpu_supports("bmi") ||
	    !__builtin_cpu_supports("avx2"))
		return false;
	return level == JSCAN_AVX2 ||
		(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
		__builtin_cpu_supports("avx512vbmi"));
}

#else

bool
jscan_can(enum jscan_level level)
{
	return level == JSCAN_PORTABLE;
}

#endif

enum jscan_level
jscan_best(void)
{
	if (jscan_can(JSCAN_AVX512))
		return JSCAN_AVX512;
	if (jscan_can(JSCAN_AVX2))
		return JSCAN_AVX2;
	return jscan_can(JSCAN_SSE2) ? JSCAN_SSE2 : JSCAN_PORTABLE;
}

void
jscan_run(enum jscan_level level, const char *p, size_t n, const struct jscan_marks *marks,
	bool newlines, struct jscan_state *st, struct jscan_found *out)
{
	out->n = 0;
	out->low = out->high = 0;
#ifdef HAVE_X86
	if (level == JSCAN_AVX512) {
		run_avx512(p, n, marks, newlines, st, out);
		return;
	}
	if (level == JSCAN_AVX2) {
		run_avx2(p, n, marks, newlines, st, out);
		return;
	}
	if (level == JSCAN_SSE2) {
		run_sse2(p, n, marks, newlines, st, out);
		return;
	}
#endif
	(void)level;
	run_portable(p, n, marks, newlines, st, out);
}

#ifdef HAVE_X86
/* Which of 16 bytes are a quote, a backslash or below 0x20. */
static inline unsigned
special16(__m128i v)
{
	__m128i hit = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
		_mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
	__m128i low = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);

	return (unsigned)_mm_movemask_epi8(_mm_or_si128(hit, low));
}
#endif

static inline bool
is_special(char c)
{
	return c == '"' || c == '\\' || (unsigned char)c < 0x20;
}

const char *
jscan_special(const char *p, const char *end)
{
#ifdef HAVE_X86
	for (; end - p >= 16; p += 16) {
		unsigned bits = special16(_mm_loadu_si128((const __m128i *)(const void *)p));

		if (bits != 0)
			return p + __builtin_ctz(bits);
	}
#endif
	while (p < end && !is_special(*p))
		p++;
	return p;
}

char *
jscan_copy(char *q, const char **from, const char *end)
{
	const char *p = *from;

#ifdef HAVE_X86
	for (; end - p >= 16; p += 16, q += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		unsigned bits = special16(v);

		_mm_storeu_si128((__m128i *)(void *)q, v);
		if (bits != 0) {
			*from = p + __builtin_ctz(bits);
			return q + __builtin_ctz(bits);
		}
	}
#endif
	while (p < end && !is_special(*p))
		*q++ = *p++;
	*from = p;
	return q;
}

/* Bytes from p on that are ASCII for sure: a multiple of 8, perhaps fewer than there are. */
static size_t
ascii_run(const char *p, size_t n)
{
	size_t i = 0;
	uint64_t w;

#ifdef HAVE_X86
	for (; n - i >= 64; i += 64) {
		const __m128i *v = (const __m128i *)(const void *)(p + i);
		__m128i a = _mm_or_si128(_mm_loadu_si128(v), _mm_loadu_si128(v + 1));
		__m128i b = _mm_or_si128(_mm_loadu_si128(v + 2), _mm_loadu_si128(v + 3));

		if (_mm_movemask_epi8(_mm_or_si128(a, b)) != 0)
			break;
	}
#endif
	while (n - i >= 8 && (memcpy(&w, p + i, 8), (w & 0x8080808080808080u) == 0))
		i += 8;
	return i;
}

#ifdef HAVE_X86
/*
 * UTF-8 by looking up pairs of bytes (Keiser & Lemire 2021, "Validating UTF-8 in
 * less than one instruction per byte", doi:10.1002/spe.2940). A bit that is set
 * for a byte's high nibble, its low nibble and the next byte's high nibble
 * alike names an error.
 */
enum {
	SHORT = 1,		/* a lead byte, then none that continues */
	LONG = 2,		/* ASCII, then a byte that continues */
	OVER3 = 4,		/* e0 80..9f */
	SURROGATE = 16,		/* ed a0..bf */
	OVER2 = 32,		/* c0, c1 */
	TOO_LARGE = 8,		/* f4 90.., f5.. */
	TOO_LARGE_1000 = 64,	/* f5.. 80..8f; also f0 80..8f, too long a form */
	TWO_CONTS = 128		/* two bytes that continue: right only as third or fourth */
};
#define CARRY (SHORT | LONG | TWO_CONTS)

AVX2 static inline __m256i
pair_errors(__m256i v, __m256i before)
{
	const __m256i first_high = _mm256_broadcastsi128_si256(_mm_setr_epi8(
		LONG, LONG, LONG, LONG, LONG, LONG, LONG, LONG,
		(char)TWO_CONTS, (char)TWO_CONTS, (char)TWO_CONTS, (char)TWO_CONTS,
		SHORT | OVER2, SHORT, SHORT | OVER3 | SURROGATE, SHORT | TOO_LARGE | TOO_LARGE_1000));
	const char c = (char)(CARRY | TOO_LARGE | TOO_LARGE_1000);
	const __m256i first_low = _mm256_broadcastsi128_si256(_mm_setr_epi8(
		(char)(CARRY | OVER3 | OVER2 | TOO_LARGE_1000), (char)(CARRY | OVER2), (char)CARRY, (char)CARRY,
		(char)(CARRY | TOO_LARGE), c, c, c, c, c, c, c, c, (char)(c | SURROGATE), c, c));
	const __m256i second_high = _mm256_broadcastsi128_si256(_mm_setr_epi8(
		SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT,
		(char)(LONG | OVER2 | TWO_CONTS | OVER3 | TOO_LARGE_1000),
		(char)(LONG | OVER2 | TWO_CONTS | OVER3 | TOO_LARGE),
		(char)(LONG | OVER2 | TWO_CONTS | SURROGATE | TOO_LARGE),
		(char)(LONG | OVER2 | TWO_CONTS | SURROGATE | TOO_LARGE),
		SHORT, SHORT, SHORT, SHORT));
	const __m256i nibble = _mm256_set1_epi8(15);
	__m256i a = _mm256_shuffle_epi8(first_high, _mm256_and_si256(_mm256_srli_epi16(before, 4), nibble));
	__m256i b = _mm256_shuffle_epi8(first_low, _mm256_and_si256(before, nibble));
	__m256i d = _mm256_shuffle_epi8(second_high, _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble));

	return _mm256_and_si256(_mm256_and_si256(a, b), d);
}

/*
 * How many of the n bytes at p are valid for sure, whole characters; the rest
 * is for the plain check. The 3 bytes before p are read: they end a character.
 */
AVX2 static size_t
utf8_run_avx2(const char *p, size_t n)
{
	size_t i = 0;

	for (; n - i >= 32; i += 32) {
		__m256i v = load2(p + i), one = load2(p + i - 1), two = load2(p + i - 2);
		__m256i three = load2(p + i - 3), must;

		if (_mm256_movemask_epi8(_mm256_or_si256(v, three)) == 0)
			continue;
		/* The third byte of three or four, and the fourth of four, continue. */
		must = _mm256_or_si256(_mm256_subs_epu8(two, _mm256_set1_epi8(0xe0 - 0x80)),
			_mm256_subs_epu8(three, _mm256_set1_epi8(0xf0 - 0x80)));
		must = _mm256_and_si256(must, _mm256_set1_epi8((char)0x80));
		must = _mm256_xor_si256(must, pair_errors(v, one));
		if (!_mm256_testz_si256(must, must))
			break;
	}
	/* The last character may go on behind: leave it out. */
	for (unsigned k = 0; k < 3 && i > 0 && ((unsigned char)p[i - 1] & 0xc0) == 0x80; k++)
		i--;
	return i > 0 && (unsigned char)p[i - 1] >= 0xc0 ? i - 1 : i;
}
#endif

size_t
jscan_utf8(const char *p, size_t n)
{
	size_t i = 0;

	while (i < n) {
		size_t run, bad;

		i += ascii_run(p + i, n - i);
		while (i < n && (unsigned char)p[i] < 0x80)
			i++;
#ifdef HAVE_X86
		if (i >= 3 && n - i >= 32 && jscan_can(JSCAN_AVX2))
			i += utf8_run_avx2(p + i, n - i);
#endif
		for (run = i; run < n && (unsigned char)p[run] >= 0x80; run++)
			continue;
		bad = utf8_valid(p + i, run - i);
		if (bad < run - i)
			return i + bad;
		i = run;
	}
	return n;
}
