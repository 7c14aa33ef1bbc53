#include "math/dot.h"

#include <math.h>
#include <string.h>

#include "math/lanes.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

uint16_t
dot_to_half(float x)
{
	uint32_t u, sign, mant, shift, rest, half;
	int32_t exp;

	memcpy(&u, &x, sizeof u);
	sign = (u >> 16) & 0x8000;
	exp = (int32_t)((u >> 23) & 0xff) - 127 + 15;
	mant = u & 0x7fffff;
	if (exp == 0xff - 127 + 15)
		return (uint16_t)(sign | 0x7c00 | (mant != 0 ? 0x200 : 0));
	if (exp >= 31)
		return (uint16_t)(sign | 0x7c00);
	if (exp < -10)
		return (uint16_t)sign;
	shift = 13;
	if (exp <= 0) {		/* subnormal: the leading one becomes explicit */
		mant |= 0x800000;
		shift += (uint32_t)(1 - exp);
		exp = 0;
	}
	half = ((uint32_t)exp << 10) + (mant >> shift);
	rest = mant & ((1u << shift) - 1);
	/* A carry out of the mantissa rightly raises the exponent. */
	if (rest > 1u << (shift - 1) || (rest == 1u << (shift - 1) && (half & 1) != 0))
		half++;
	return (uint16_t)(sign | half);
}

float
dot_from_half(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16, exp = (h >> 10) & 31, mant = h & 0x3ff, u;
	float f;

	if (exp == 31)
		u = sign | 0x7f800000 | mant << 13;
	else if (exp > 0)
		u = sign | (exp + 112) << 23 | mant << 13;
	else {
		f = (float)mant * 0x1p-24f;
		return sign != 0 ? -f : f;
	}
	memcpy(&f, &u, sizeof f);
	return f;
}

static void
half_portable(const uint16_t *rows, size_t n, size_t d, const float *q, float *out)
{
	for (size_t i = 0; i < n; i++, rows += d) {
		float acc[8] = { 0 }, s = 0;
		size_t j = 0;

		for (; j + 8 <= d; j += 8)
			for (size_t l = 0; l < 8; l++)
				acc[l] += dot_from_half(rows[j + l]) * q[j + l];
		for (; j < d; j++)
			s += dot_from_half(rows[j]) * q[j];
		for (size_t l = 0; l < 8; l++)
			s += acc[l];
		out[i] = s;
	}
}

static float
scaled(const struct dot_codes *c, size_t i, int32_t product, const struct dot_query *q)
{
	return c->scale[i] * q->scale * (float)(product - 128 * q->sum);
}

/*
 * Rows are read straight on, but a hardware prefetcher stops at each 4 KiB page
 * and keeps too few lines in flight: asking this far ahead doubles the speed
 * out of memory and costs nothing out of cache. Measured flat from 6 to 24 KiB.
 */
#define STREAM_AHEAD 12288

static inline void
prefetch_bytes(const void *p, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += 64)
		__builtin_prefetch((const char *)p + at);
}

static int32_t
product_portable(const uint8_t *row, const int8_t *q, size_t stride)
{
	int32_t s = 0;

	for (size_t j = 0; j < stride; j++)
		s += row[j] * q[j];
	return s;
}

static void
code_portable(const struct dot_codes *c, size_t from, const struct dot_query *q, float *out)
{
	for (size_t i = from; i < c->n; i++)
		out[i] = scaled(c, i, product_portable(c->code + i * c->stride, q->code, c->stride), q);
}

#if defined(__x86_64__)

/* One row's product. */
__attribute__((target("avx2"))) static int32_t
product_avx2(const uint8_t *row, const int8_t *q, size_t stride)
{
	__m256i acc = _mm256_setzero_si256();
	__m128i s;

	for (size_t j = 0; j < stride; j += 16) {
		__m128i x, y;

		memcpy(&x, row + j, sizeof x);
		memcpy(&y, q + j, sizeof y);
		acc = _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_cvtepu8_epi16(x),
		    _mm256_cvtepi8_epi16(y)));
	}
	s = _mm_add_epi32(_mm256_castsi256_si128(acc), _mm256_extracti128_si256(acc, 1));
	s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
	s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
	return _mm_cvtsi128_si32(s);
}

__attribute__((target("avx2"))) static void
code_avx2(const struct dot_codes *c, const struct dot_query *q, float *out)
{
	for (size_t i = 0; i < c->n; i++) {
		const uint8_t *row = c->code + i * c->stride;

		prefetch_bytes(row + STREAM_AHEAD, c->stride);
		out[i] = scaled(c, i, product_avx2(row, q->code, c->stride), q);
	}
}

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vnni")))

VNNI static __m512i
load64(const void *p)
{
	__m512i x;

	memcpy(&x, p, sizeof x);
	return x;
}

VNNI static __m256i
fold(__m512i x)
{
	return _mm256_add_epi32(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1));
}

/* The sums of four vectors side by side. */
VNNI static __m128i
sum4(__m256i a, __m256i b, __m256i c, __m256i d)
{
	__m256i s = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));

	return _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
}

/* The products of four rows. */
VNNI static inline __m128i
product4(const uint8_t *const r[4], const int8_t *q, size_t stride)
{
	__m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;

	for (size_t j = 0; j < stride; j += 64) {
		__m512i y = load64(q + j);

		a = _mm512_dpbusd_epi32(a, load64(r[0] + j), y);
		b = _mm512_dpbusd_epi32(b, load64(r[1] + j), y);
		c = _mm512_dpbusd_epi32(c, load64(r[2] + j), y);
		d = _mm512_dpbusd_epi32(d, load64(r[3] + j), y);
	}
	return sum4(fold(a), fold(b), fold(c), fold(d));
}

/* Four rows at a time hide latency. */
VNNI static void
code_avx512(const struct dot_codes *k, const struct dot_query *q, float *out)
{
	size_t i = 0, stride = k->stride;

	for (; i + 4 <= k->n; i += 4) {
		const uint8_t *p = k->code + i * stride;
		const uint8_t *const r[4] = { p, p + stride, p + 2 * stride, p + 3 * stride };
		__m128i sums;
		__m128 scale;

		prefetch_bytes(p + STREAM_AHEAD, 4 * stride);
		sums = product4(r, q->code, stride);
		sums = _mm_sub_epi32(sums, _mm_set1_epi32(128 * q->sum));
		scale = _mm_mul_ps(_mm_loadu_ps(k->scale + i), _mm_set1_ps(q->scale));
		_mm_storeu_ps(out + i, _mm_mul_ps(scale, _mm_cvtepi32_ps(sums)));
	}
	code_portable(k, i, q, out);
}

VNNI static void
code_at_avx512(const struct dot_codes *k, const uint32_t *index, size_t n, const struct dot_query *q,
	float *out)
{
	for (size_t i = 0; i < n; i += 4) {
		const uint8_t *r[4];
		int32_t sum[4];
		__m128i sums;

		for (size_t l = 0; l < 4; l++)
			r[l] = k->code + (size_t)index[i + l < n ? i + l : n - 1] * k->stride;
		sums = product4(r, q->code, k->stride);
		memcpy(sum, &sums, sizeof sum);
		for (size_t l = 0; l < 4 && i + l < n; l++)
			out[i + l] = scaled(k, index[i + l], sum[l], q);
	}
}

/* A row's codes turned into a query's; returns their sum. */
__attribute__((target("avx2"))) static int32_t
row_avx2(const uint8_t *row, size_t stride, int8_t *code)
{
	__m256i sum = _mm256_setzero_si256();
	int64_t part[4];

	for (size_t j = 0; j < stride; j += 32) {
		__m256i x;

		memcpy(&x, row + j, sizeof x);
		sum = _mm256_add_epi64(sum, _mm256_sad_epu8(x, _mm256_setzero_si256()));
		x = _mm256_xor_si256(x, _mm256_set1_epi8((char)0x80));
		memcpy(code + j, &x, sizeof x);
	}
	memcpy(part, &sum, sizeof part);
	return (int32_t)(part[0] + part[1] + part[2] + part[3]) - 128 * (int32_t)stride;
}

__attribute__((target("avx2,fma,f16c"))) static float
sum8(__m256 v)
{
	__m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

	s = _mm_add_ps(s, _mm_movehl_ps(s, s));
	s = _mm_add_ss(s, _mm_shuffle_ps(s, s, 1));
	return _mm_cvtss_f32(s);
}

__attribute__((target("avx2,fma,f16c"))) static __m256
load8(const uint16_t *p)
{
	__m128i h;

	memcpy(&h, p, sizeof h);
	return _mm256_cvtph_ps(h);
}

__attribute__((target("avx2,fma,f16c"))) static void
half_avx2(const uint16_t *rows, size_t n, size_t d, const float *q, float *out)
{
	for (size_t i = 0; i < n; i++, rows += d) {
		__m256 a = _mm256_setzero_ps(), b = a;
		size_t j = 0;
		float s;

		for (; j + 16 <= d; j += 16) {
			a = _mm256_fmadd_ps(load8(rows + j), _mm256_loadu_ps(q + j), a);
			b = _mm256_fmadd_ps(load8(rows + j + 8), _mm256_loadu_ps(q + j + 8), b);
		}
		s = sum8(_mm256_add_ps(a, b));
		for (; j < d; j++)
			s += dot_from_half(rows[j]) * q[j];
		out[i] = s;
	}
}

__attribute__((target("avx512f"))) static __m512
load16(const uint16_t *p)
{
	__m256i h;

	memcpy(&h, p, sizeof h);
	return _mm512_cvtph_ps(h);
}

/* Adds in the order of one row below, so that a row's product never depends on its neighbours. */
__attribute__((target("avx512f"))) static void
half_avx512_one(const uint16_t *row, size_t d, const float *q, float *out)
{
	size_t whole = d & ~(size_t)15;
	__m512 a = _mm512_setzero_ps();
	float s;

	for (size_t j = 0; j < whole; j += 16)
		a = _mm512_fmadd_ps(load16(row + j), _mm512_loadu_ps(q + j), a);
	s = _mm512_reduce_add_ps(a);
	for (size_t j = whole; j < d; j++)
		s += dot_from_half(row[j]) * q[j];
	*out = s;
}

/* Four rows at a time keep enough loads in flight to saturate memory; a lone row is read once. */
__attribute__((target("avx512f"))) static void
half_avx512(const uint16_t *rows, size_t n, size_t d, const float *q, float *out)
{
	size_t whole = d & ~(size_t)15;

	if (n == 1) {
		half_avx512_one(rows, d, q, out);
		return;
	}
	for (size_t i = 0; i < n; i += 4) {
		const uint16_t *r[4];
		__m512 a[4];

		for (size_t l = 0; l < 4; l++) {
			r[l] = rows + (i + l < n ? i + l : n - 1) * d;
			a[l] = _mm512_setzero_ps();
		}
		for (size_t j = 0; j < whole; j += 16) {
			__m512 x = _mm512_loadu_ps(q + j);

			if (j % 32 == 0)
				prefetch_bytes(r[0] + STREAM_AHEAD / 2 + 4 * j, 256);
			a[0] = _mm512_fmadd_ps(load16(r[0] + j), x, a[0]);
			a[1] = _mm512_fmadd_ps(load16(r[1] + j), x, a[1]);
			a[2] = _mm512_fmadd_ps(load16(r[2] + j), x, a[2]);
			a[3] = _mm512_fmadd_ps(load16(r[3] + j), x, a[3]);
		}
		for (size_t l = 0; l < 4 && i + l < n; l++) {
			float s = _mm512_reduce_add_ps(a[l]);

			for (size_t j = whole; j < d; j++)
				s += dot_from_half(r[l][j]) * q[j];
			out[i + l] = s;
		}
	}
}

#endif

int
dot_supported(enum dot_kernel k)
{
	switch (k) {
#if defined(__x86_64__)
	case DOT_AVX2:		/* every CPU with AVX2 has F16C */
		return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
	case DOT_AVX512:
		return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
		    __builtin_cpu_supports("avx512vnni");
#endif
	case DOT_PORTABLE:
		return 1;
	default:
		return 0;
	}
}

enum dot_kernel
dot_best(void)
{
	if (dot_supported(DOT_AVX512))
		return DOT_AVX512;
	return dot_supported(DOT_AVX2) ? DOT_AVX2 : DOT_PORTABLE;
}

const char *
dot_name(enum dot_kernel k)
{
	return k == DOT_AVX512 ? "avx512" : k == DOT_AVX2 ? "avx2" : "portable";
}

void
dot_half(enum dot_kernel k, const uint16_t *rows, size_t n, size_t d, const float *q, float *out)
{
	if (n == 0)
		return;
#if defined(__x86_64__)
	if (k == DOT_AVX512) {
		half_avx512(rows, n, d, q, out);
		return;
	}
	if (k == DOT_AVX2) {
		half_avx2(rows, n, d, q, out);
		return;
	}
#endif
	(void)k;
	half_portable(rows, n, d, q, out);
}

/* Rows this far ahead are asked for early: they lie scattered, no prefetcher finds them. */
#define AHEAD 8

void
dot_half_at(enum dot_kernel k, const uint16_t *rows, const uint32_t *index, size_t n, size_t d,
	const float *q, float *out)
{
	for (size_t i = 0; i < n; i++) {
		if (i + AHEAD < n)
			prefetch_bytes(rows + (size_t)index[i + AHEAD] * d, d * sizeof *rows);
		dot_half(k, rows + (size_t)index[i] * d, 1, d, q, out + i);
	}
}

void
dot_code(enum dot_kernel k, const struct dot_codes *c, const struct dot_query *q, float *out)
{
#if defined(__x86_64__)
	if (k == DOT_AVX512) {
		code_avx512(c, q, out);
		return;
	}
	if (k == DOT_AVX2) {
		code_avx2(c, q, out);
		return;
	}
#endif
	(void)k;
	code_portable(c, 0, q, out);
}

void
dot_code_at(enum dot_kernel k, const struct dot_codes *c, const uint32_t *index, size_t n,
	const struct dot_query *q, float *out)
{
#if defined(__x86_64__)
	if (k == DOT_AVX512) {
		code_at_avx512(c, index, n, q, out);
		return;
	}
	if (k == DOT_AVX2) {
		for (size_t i = 0; i < n; i++)
			out[i] = scaled(c, index[i], product_avx2(c->code + (size_t)index[i] * c->stride,
			    q->code, c->stride), q);
		return;
	}
#endif
	(void)k;
	for (size_t i = 0; i < n; i++)
		out[i] = scaled(c, index[i], product_portable(c->code + (size_t)index[i] * c->stride,
		    q->code, c->stride), q);
}

/* Adding this and taking it away rounds a small float to the nearest integer, ties to even. */
#define ROUND 12582912.0f

LANES_BODY float
encode_body(const float *x, size_t d, int8_t *out)
{
	const lanes_i magnitude = (lanes_i){ 0 } + 0x7fffffff;
	lanes_f most = { 0 };
	float max = 0, scale;
	size_t j = 0;

	for (; j + LANES <= d; j += LANES) {
		lanes_f v = (lanes_f)((lanes_i)*(const lanes_fu *)(const void *)(x + j) & magnitude);

		most = LANES_PICK(v > most, v, most);
	}
	for (size_t l = 0; l < LANES; l++)
		max = most[l] > max ? most[l] : max;
	for (; j < d; j++)
		max = fabsf(x[j]) > max ? fabsf(x[j]) : max;
	scale = max / 127;
	if (!(scale > 0)) {
		memset(out, 0, d);
		return 0;
	}
	for (j = 0; j + LANES <= d; j += LANES) {
		lanes_f v = *(const lanes_fu *)(const void *)(x + j) / scale;
		lanes_i code = __builtin_convertvector((v + ROUND) - ROUND, lanes_i);

		for (size_t l = 0; l < LANES; l++)
			out[j + l] = (int8_t)code[l];
	}
	for (; j < d; j++)
		out[j] = (int8_t)(int32_t)((x[j] / scale + ROUND) - ROUND);
	return scale;
}
LANES_VARIANTS(float, return, encode, (const float *x, size_t d, int8_t *out), (x, d, out))

float
dot_encode(const float *x, size_t d, int8_t *out)
{
	return LANES_CALL(encode, (x, d, out));
}

struct dot_query
dot_query(const float *x, size_t d, size_t stride, int8_t *code)
{
	struct dot_query q = { code, dot_encode(x, d, code), 0 };

	memset(code + d, 0, stride - d);
	for (size_t j = 0; j < d; j++)
		q.sum += code[j];
	return q;
}

struct dot_query
dot_row(const struct dot_codes *c, size_t row, int8_t *code)
{
	const uint8_t *from = c->code + row * c->stride;
	struct dot_query q = { code, c->scale[row], 0 };

#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2")) {
		q.sum = row_avx2(from, c->stride, code);
		return q;
	}
#endif
	for (size_t j = 0; j < c->stride; j++) {
		code[j] = (int8_t)(from[j] - 128);
		q.sum += code[j];
	}
	return q;
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma,f16c"))) static size_t
widen_avx2(const uint16_t *from, size_t n, float *to)
{
	size_t j = 0;

	for (; j + 8 <= n; j += 8)
		_mm256_storeu_ps(to + j, load8(from + j));
	return j;
}
#endif

void
dot_widen(const uint16_t *from, size_t n, float *to)
{
	size_t j = 0;

#if defined(__x86_64__)
	if (dot_supported(DOT_AVX2))
		j = widen_avx2(from, n, to);
#endif
	for (; j < n; j++)
		to[j] = dot_from_half(from[j]);
}
