#include "math/dot.h"

#include <math.h>
#include <string.h>

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
scaled(const struct dot_codes *c, size_t i, int32_t product, float q_scale)
{
	return c->scale[i] * q_scale * (float)(product - 128 * c->sum[i]);
}

static void
code_portable(const struct dot_codes *c, size_t from, const uint8_t *q, float q_scale, float *out)
{
	for (size_t i = from; i < c->n; i++) {
		const int8_t *row = c->code + i * c->stride;
		int32_t s = 0;

		for (size_t j = 0; j < c->stride; j++)
			s += row[j] * q[j];
		out[i] = scaled(c, i, s, q_scale);
	}
}

#if defined(__x86_64__)

__attribute__((target("avx2"))) static void
code_avx2(const struct dot_codes *c, const uint8_t *q, float q_scale, float *out)
{
	const int8_t *rows = c->code;

	for (size_t i = 0; i < c->n; i++, rows += c->stride) {
		__m256i acc = _mm256_setzero_si256();
		__m128i s;

		for (size_t j = 0; j < c->stride; j += 16) {
			__m128i x, y;

			memcpy(&x, rows + j, sizeof x);
			memcpy(&y, q + j, sizeof y);
			acc = _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_cvtepi8_epi16(x),
			    _mm256_cvtepu8_epi16(y)));
		}
		s = _mm_add_epi32(_mm256_castsi256_si128(acc), _mm256_extracti128_si256(acc, 1));
		s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
		s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
		out[i] = scaled(c, i, _mm_cvtsi128_si32(s), q_scale);
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

VNNI static __m128i
load4(const int32_t *p)
{
	__m128i x;

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

/* Four rows at a time hide latency. */
VNNI static void
code_avx512(const struct dot_codes *k, const uint8_t *q, float q_scale, float *out)
{
	size_t i = 0, stride = k->stride;

	for (; i + 4 <= k->n; i += 4) {
		const int8_t *r = k->code + i * stride;
		__m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
		__m128i sums;
		__m128 scale;

		for (size_t j = 0; j < stride; j += 64) {
			__m512i y = load64(q + j);

			prefetch_bytes(r + STREAM_AHEAD + 4 * j, 256);
			a = _mm512_dpbusd_epi32(a, y, load64(r + j));
			b = _mm512_dpbusd_epi32(b, y, load64(r + stride + j));
			c = _mm512_dpbusd_epi32(c, y, load64(r + 2 * stride + j));
			d = _mm512_dpbusd_epi32(d, y, load64(r + 3 * stride + j));
		}
		sums = sum4(fold(a), fold(b), fold(c), fold(d));
		sums = _mm_sub_epi32(sums, _mm_slli_epi32(load4(k->sum + i), 7));
		scale = _mm_mul_ps(_mm_loadu_ps(k->scale + i), _mm_set1_ps(q_scale));
		_mm_storeu_ps(out + i, _mm_mul_ps(scale, _mm_cvtepi32_ps(sums)));
	}
	code_portable(k, i, q, q_scale, out);
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
		if (i + AHEAD < n) {
			const char *p = (const char *)(rows + (size_t)index[i + AHEAD] * d);

			for (size_t b = 0; b < d * sizeof *rows; b += 64)
				__builtin_prefetch(p + b);
		}
		dot_half(k, rows + (size_t)index[i] * d, 1, d, q, out + i);
	}
}

void
dot_code(enum dot_kernel k, const struct dot_codes *c, const uint8_t *q, float q_scale, float *out)
{
#if defined(__x86_64__)
	if (k == DOT_AVX512) {
		code_avx512(c, q, q_scale, out);
		return;
	}
	if (k == DOT_AVX2) {
		code_avx2(c, q, q_scale, out);
		return;
	}
#endif
	(void)k;
	code_portable(c, 0, q, q_scale, out);
}

float
dot_encode(const float *x, size_t d, int8_t *out)
{
	float max = 0, scale;

	for (size_t j = 0; j < d; j++)
		max = fabsf(x[j]) > max ? fabsf(x[j]) : max;
	scale = max / 127;
	for (size_t j = 0; j < d; j++)
		out[j] = scale > 0 ? (int8_t)lrintf(x[j] / scale) : 0;
	return scale;
}
