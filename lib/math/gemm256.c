#include "math/gemm256.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "math/lanes.h"

#pragma GCC diagnostic ignored "-Wpsabi"	/* vectors are passed between static functions only */

#define TARGET __attribute__((target("avx2,fma")))
#define ALWAYS static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

/* A vector of 16 as two halves. */
typedef float half_f __attribute__((vector_size(32), may_alias));
struct halves { __m256 lo, hi; };

TARGET ALWAYS struct halves
split(lanes_f v)
{
	struct halves h;

	memcpy(&h, &v, sizeof h);
	return h;
}

TARGET ALWAYS lanes_f
join(__m256 lo, __m256 hi)
{
	struct halves h = { lo, hi };
	lanes_f v;

	memcpy(&v, &h, sizeof v);
	return v;
}

TARGET ALWAYS lanes_f
y_fma(lanes_f a, lanes_f b, lanes_f c)
{
	struct halves x = split(a), y = split(b), z = split(c);

	return join(_mm256_fmadd_ps(x.lo, y.lo, z.lo), _mm256_fmadd_ps(x.hi, y.hi, z.hi));
}

TARGET ALWAYS float
y_sum(lanes_f v)
{
	float s = 0;

	for (int i = 0; i < LANES; i++)
		s += v[i];
	return s;
}

TARGET ALWAYS float
y_max(lanes_f v)
{
	float s = v[0];

	for (int i = 1; i < LANES; i++)
		s = v[i] > s ? v[i] : s;
	return s;
}

TARGET ALWAYS void
y_store_u8(uint8_t *p, lanes_f v)
{
	struct halves h = split(v);
	__m256i w = _mm256_packus_epi32(_mm256_cvttps_epi32(h.lo), _mm256_cvttps_epi32(h.hi));

	w = _mm256_permute4x64_epi64(w, 0xd8);
	_mm_storeu_si128((__m128i *)(void *)p,
	    _mm_packus_epi16(_mm256_castsi256_si128(w), _mm256_extracti128_si256(w, 1)));
}

#define FN(name) y_##name
#define FMA(a, b, c) y_fma(a, b, c)
#define VMIN(a, b) LANES_PICK((a) < (b), a, b)
#define VMAX(a, b) LANES_PICK((a) > (b), a, b)
#define ROUND(x) (((x) + 12582912.0f) - 12582912.0f)
#define EXPONENT(x, n) ((lanes_f)((lanes_i)(x) + (__builtin_convertvector(n, lanes_i) << 23)))
#define SUM(v) y_sum(v)
#define MAX_OF(v) y_max(v)
#define STORE_HALF(p, v) ((void)(p), (void)(v))
#define STORE_U8(p, v) y_store_u8(p, v)

#include "math/gemm.inc"

/*
 * 12 sums of 8 stay in registers: rows x 16 outputs, at most 6 rows. A tile of
 * 64 columns goes in four passes over the rows.
 */
#define ROWS_BODY(name, acc_t, zero, inner)								\
TARGET ALWAYS void											\
name(const char *a, size_t lda, const int rows, const char *b, size_t ldb, size_t steps, char *out,	\
	size_t ldo)											\
{													\
	acc_t acc[6][2];										\
													\
	UNROLL for (int r = 0; r < rows; r++)								\
		acc[r][0] = acc[r][1] = zero;								\
	for (size_t s = 0; s < steps; s++, b += ldb) {							\
		inner											\
	}												\
	UNROLL for (int r = 0; r < rows; r++)								\
		UNROLL for (int v = 0; v < 2; v++)							\
			*(acc_u *)(void *)(out + (size_t)r * ldo * 4 + 32 * v) = (acc_u)acc[r][v];	\
}

typedef float acc_u __attribute__((vector_size(32), may_alias, aligned(4)));
typedef int32_t cell __attribute__((may_alias, aligned(1)));

ROWS_BODY(rows_f32, __m256, _mm256_setzero_ps(),
	__m256 w0 = _mm256_loadu_ps((const float *)(const void *)b);
	__m256 w1 = _mm256_loadu_ps((const float *)(const void *)(b + 32));

	UNROLL for (int r = 0; r < rows; r++) {
		__m256 x = _mm256_broadcast_ss((const float *)(const void *)(a + (size_t)r * lda + 4 * s));

		acc[r][0] = _mm256_fmadd_ps(x, w0, acc[r][0]);
		acc[r][1] = _mm256_fmadd_ps(x, w1, acc[r][1]);
	}
)

ROWS_BODY(rows_bf16, __m256, _mm256_setzero_ps(),
	__m256i p0 = _mm256_loadu_si256((const __m256i *)(const void *)b);
	__m256i p1 = _mm256_loadu_si256((const __m256i *)(const void *)(b + 32));
	const __m256i high = _mm256_set1_epi32((int32_t)0xffff0000);

	for (size_t odd = 0; odd < 2; odd++) {
		__m256 w0 = _mm256_castsi256_ps(odd ? _mm256_and_si256(p0, high) : _mm256_slli_epi32(p0, 16));
		__m256 w1 = _mm256_castsi256_ps(odd ? _mm256_and_si256(p1, high) : _mm256_slli_epi32(p1, 16));

		UNROLL for (int r = 0; r < rows; r++) {
			__m256 x = _mm256_broadcast_ss((const float *)(const void *)(a + (size_t)r * lda +
			    8 * s + 4 * odd));

			acc[r][0] = _mm256_fmadd_ps(x, w0, acc[r][0]);
			acc[r][1] = _mm256_fmadd_ps(x, w1, acc[r][1]);
		}
	}
)

/* Products of 8 bits would saturate in vpmaddubsw; widened to 16 they cannot. */
ROWS_BODY(rows_i8, __m256i, _mm256_setzero_si256(),
	__m256i p0 = _mm256_loadu_si256((const __m256i *)(const void *)b);
	__m256i p1 = _mm256_loadu_si256((const __m256i *)(const void *)(b + 32));
	__m256i even0 = _mm256_srai_epi16(_mm256_slli_epi16(p0, 8), 8);
	__m256i even1 = _mm256_srai_epi16(_mm256_slli_epi16(p1, 8), 8);
	__m256i odd0 = _mm256_srai_epi16(p0, 8);
	__m256i odd1 = _mm256_srai_epi16(p1, 8);

	UNROLL for (int r = 0; r < rows; r++) {
		__m256i x = _mm256_set1_epi32(*(const cell *)(const void *)(a + (size_t)r * lda + 4 * s));
		__m256i xe = _mm256_and_si256(x, _mm256_set1_epi16(0xff));
		__m256i xo = _mm256_srli_epi16(x, 8);

		acc[r][0] = _mm256_add_epi32(acc[r][0], _mm256_madd_epi16(xe, even0));
		acc[r][0] = _mm256_add_epi32(acc[r][0], _mm256_madd_epi16(xo, odd0));
		acc[r][1] = _mm256_add_epi32(acc[r][1], _mm256_madd_epi16(xe, even1));
		acc[r][1] = _mm256_add_epi32(acc[r][1], _mm256_madd_epi16(xo, odd1));
	}
)

#define CASE(body, r) case r: body(x, lda, r, w, ldb, steps, y, ldo); break;
#define TILE(name, body)									\
TARGET static void										\
name(const void *a, size_t lda, size_t rows, const void *b, size_t ldb, size_t steps,		\
	size_t cols, void *out, size_t ldo)							\
{												\
	for (size_t i = 0; i < rows; i += 6)							\
		for (size_t j = 0; j < cols; j += 16) {						\
			const char *x = (const char *)a + i * lda, *w = (const char *)b + 4 * j; \
			char *y = (char *)out + 4 * (i * ldo + j);				\
												\
			switch (rows - i) {							\
			CASE(body, 1) CASE(body, 2) CASE(body, 3) CASE(body, 4) CASE(body, 5)	\
			default: body(x, lda, 6, w, ldb, steps, y, ldo); break;			\
			}									\
		}										\
}

TILE(tile_f32, rows_f32)
TILE(tile_bf16, rows_bf16)
TILE(tile_i8, rows_i8)

TARGET static void
y_transpose(const uint32_t *src, size_t lds, size_t rows, size_t cols, uint32_t *dst, size_t ldd)
{
	for (size_t i = 0; i < (rows + 15) / 16 * 16; i++)
		for (size_t j = 0; j < cols; j++)
			dst[j * ldd + i] = i < rows ? src[i * lds + j] : 0;
}

static const struct gemm_kernels ways[] = {
	[GEMM_F32] = { "avx2", GEMM_F32, GEMM_F32, GEMM_ROWS, tile_f32, y_finish_f32, y_to_f32, GEMM_F32, tile_f32,
		y_softmax, y_normalize, y_transpose, NULL },
	[GEMM_BF16] = { "avx2", GEMM_BF16, GEMM_F32, GEMM_ROWS, tile_bf16, y_finish_bf16, y_to_f32, GEMM_F32, tile_f32,
		y_softmax, y_normalize, y_transpose, NULL },
	[GEMM_I8] = { "avx2", GEMM_I8, GEMM_I8, GEMM_ROWS, tile_i8, y_finish_i8, y_to_u8, GEMM_F32, tile_f32,
		y_softmax, y_normalize, y_transpose, NULL },
};

const struct gemm_kernels *
gemm256_kernels(enum gemm_type type)
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &ways[type] : NULL;
}

#else

const struct gemm_kernels *
gemm256_kernels(enum gemm_type type)
{
	(void)type;
	return NULL;
}

#endif
