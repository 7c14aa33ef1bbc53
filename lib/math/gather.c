#include "math/gather.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define X86 1
#else
#define X86 0
#endif

#define LINE 64
#define AHEAD 12	/* rows in flight; measured flat from 8 to 16 */

void
gather_f32_ref(const float *table, size_t cols, const uint32_t *row, const float *coef, size_t n,
	float *out)
{
	memset(out, 0, cols * sizeof(*out));
	for (size_t i = 0; i < n; i++) {
		const float *t = table + row[i] * cols;

		for (size_t j = 0; j < cols; j++)
			out[j] += coef[i] * t[j];
	}
}

void
gather_i8_ref(const int8_t *table, size_t cols, const uint32_t *row, const float *coef, size_t n,
	float *out)
{
	memset(out, 0, cols * sizeof(*out));
	for (size_t i = 0; i < n; i++) {
		const int8_t *t = table + row[i] * cols;

		for (size_t j = 0; j < cols; j++)
			out[j] += coef[i] * (float)t[j];
	}
}

#if X86
/*
 * Each pass keeps a strip of the outcome in registers over all rows: 16
 * accumulators with AVX-512, 8 with AVX2. The loops over them must be unrolled
 * whole, or the compiler spills the array to memory.
 */
static inline void
prefetch(const void *p, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += LINE)
		__builtin_prefetch((const char *)p + at, 0, 3);
}

#define STRIP(name, isa, type, lane_count, lanes, elem, zero, load_mul, store)			\
	__attribute__((target(isa))) static void						\
	name(const elem *table, size_t cols, const uint32_t *row, const float *coef, size_t n,	\
		float *out)									\
	{											\
		type acc[lanes];								\
												\
		_Pragma("GCC unroll 16")							\
		for (int k = 0; k < lanes; k++)							\
			acc[k] = zero();							\
		for (size_t i = 0; i < n; i++) {						\
			const elem *t = table + row[i] * cols;					\
												\
			if (i + AHEAD < n)							\
				prefetch(table + row[i + AHEAD] * cols,				\
					lanes * lane_count * sizeof(elem));			\
			_Pragma("GCC unroll 16")						\
			for (int k = 0; k < lanes; k++)						\
				acc[k] = load_mul(t + k * lane_count, coef[i], acc[k]);		\
		}										\
		_Pragma("GCC unroll 16")							\
		for (int k = 0; k < lanes; k++)							\
			store(out + k * lane_count, acc[k]);					\
	}

#define F32_512(p, c, a) _mm512_fmadd_ps(_mm512_set1_ps(c), _mm512_loadu_ps(p), a)
#define I8_512(p, c, a) _mm512_fmadd_ps(_mm512_set1_ps(c), _mm512_cvtepi32_ps(			\
	_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)(p)))), a)
#define F32_256(p, c, a) _mm256_fmadd_ps(_mm256_set1_ps(c), _mm256_loadu_ps(p), a)
#define I8_256(p, c, a) _mm256_fmadd_ps(_mm256_set1_ps(c), _mm256_cvtepi32_ps(			\
	_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(p)))), a)

STRIP(f32_512_256, "avx512f", __m512, 16, 16, float, _mm512_setzero_ps, F32_512, _mm512_storeu_ps)
STRIP(f32_512_32, "avx512f", __m512, 16, 2, float, _mm512_setzero_ps, F32_512, _mm512_storeu_ps)
STRIP(i8_512_256, "avx512f", __m512, 16, 16, int8_t, _mm512_setzero_ps, I8_512, _mm512_storeu_ps)
STRIP(i8_512_32, "avx512f", __m512, 16, 2, int8_t, _mm512_setzero_ps, I8_512, _mm512_storeu_ps)
STRIP(f32_256_64, "avx2,fma", __m256, 8, 8, float, _mm256_setzero_ps, F32_256, _mm256_storeu_ps)
STRIP(f32_256_32, "avx2,fma", __m256, 8, 4, float, _mm256_setzero_ps, F32_256, _mm256_storeu_ps)
STRIP(i8_256_64, "avx2,fma", __m256, 8, 8, int8_t, _mm256_setzero_ps, I8_256, _mm256_storeu_ps)
STRIP(i8_256_32, "avx2,fma", __m256, 8, 4, int8_t, _mm256_setzero_ps, I8_256, _mm256_storeu_ps)
#endif

typedef void f32_strip(const float *, size_t, const uint32_t *, const float *, size_t, float *);
typedef void i8_strip(const int8_t *, size_t, const uint32_t *, const float *, size_t, float *);

/* A wide strip and the narrow one for what is left of the columns; NULL: the plain form. */
struct kernel {
	size_t wide;
	f32_strip *f32_wide, *f32_narrow;
	i8_strip *i8_wide, *i8_narrow;
};

static struct kernel
kernel(void)
{
#if X86
	if (__builtin_cpu_supports("avx512f"))
		return (struct kernel){ 256, f32_512_256, f32_512_32, i8_512_256, i8_512_32 };
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		return (struct kernel){ 64, f32_256_64, f32_256_32, i8_256_64, i8_256_32 };
#endif
	return (struct kernel){ 0, NULL, NULL, NULL, NULL };
}

void
gather_f32(const float *table, size_t cols, const uint32_t *row, const float *coef, size_t n,
	float *out)
{
	struct kernel k = kernel();
	size_t j = 0;

	if (k.wide == 0) {
		gather_f32_ref(table, cols, row, coef, n, out);
		return;
	}
	for (; j + k.wide <= cols; j += k.wide)
		k.f32_wide(table + j, cols, row, coef, n, out + j);
	for (; j < cols; j += GATHER_COLS)
		k.f32_narrow(table + j, cols, row, coef, n, out + j);
}

void
gather_i8(const int8_t *table, size_t cols, const uint32_t *row, const float *coef, size_t n,
	float *out)
{
	struct kernel k = kernel();
	size_t j = 0;

	if (k.wide == 0) {
		gather_i8_ref(table, cols, row, coef, n, out);
		return;
	}
	for (; j + k.wide <= cols; j += k.wide)
		k.i8_wide(table + j, cols, row, coef, n, out + j);
	for (; j < cols; j += GATHER_COLS)
		k.i8_narrow(table + j, cols, row, coef, n, out + j);
}
