#include "math/gemm512.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "math/lanes.h"

#define BASE "avx512f,avx512bw,avx512vl,avx512dq,fma"
#define TARGET __attribute__((target(BASE)))
#define TARGET_BF16 __attribute__((target(BASE ",avx512bf16")))
#define TARGET_VNNI __attribute__((target(BASE ",avx512vnni")))
#define ALWAYS static inline __attribute__((always_inline))

#define FN(name) z_##name
#define FMA(a, b, c) ((lanes_f)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define VMIN(a, b) ((lanes_f)_mm512_min_ps((__m512)(a), (__m512)(b)))
#define VMAX(a, b) ((lanes_f)_mm512_max_ps((__m512)(a), (__m512)(b)))
#define ROUND(x) ((lanes_f)_mm512_roundscale_ps((__m512)(x), 8))
#define EXPONENT(x, n) ((lanes_f)_mm512_scalef_ps((__m512)(x), (__m512)(n)))
#define SUM(v) _mm512_reduce_add_ps((__m512)(v))
#define MAX_OF(v) _mm512_reduce_max_ps((__m512)(v))
#define STORE_HALF(p, v) z_store_half(p, v)
#define STORE_U8(p, v) _mm_storeu_si128((__m128i *)(void *)(p), \
	_mm512_cvtusepi32_epi8(_mm512_cvttps_epi32((__m512)(v))))

/* Round to nearest even by integers; finite values alone come here. */
TARGET ALWAYS void
z_store_half(uint16_t *p, lanes_f v)
{
	__m512i u = _mm512_castps_si512((__m512)v);
	__m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));

	u = _mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
	_mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi32_epi16(_mm512_srli_epi32(u, 16)));
}

#include "math/gemm.inc"

TARGET_BF16 static void
z_to_bf16(const float *x, size_t ldx, size_t m, size_t k, void *out, float *step, float *low)
{
	uint16_t *y = out;

	(void)step;
	(void)low;
	for (size_t i = 0; i < m; i++, x += ldx, y += k)
		for (size_t j = 0; j < k; j += 16)
			_mm256_storeu_si256((__m256i *)(void *)(y + j),
			    (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(x + j)));
}

/* ---- tiles ----
 *
 * The sums of a tile stay in registers: rows x vecs of them, at most 24. All
 * counts are constants where a body is used, so that every loop over them
 * unrolls; the copy at the end keeps GCC 12 from spilling them meanwhile.
 */

#define AHEAD 4096	/* bytes: the weights of few rows come from far away; measured */
#define UNROLL _Pragma("GCC unroll 16")

#define TILE_BODY(name, target, acc_t, zero, step_fn)							\
target ALWAYS void											\
name(const char *a, size_t lda, const int rows, const int vecs, const char *b, size_t ldb,		\
	size_t steps, char *out, size_t ldo)								\
{													\
	acc_t acc[12][4];										\
													\
	UNROLL for (int r = 0; r < rows; r++)								\
		UNROLL for (int v = 0; v < vecs; v++)							\
			acc[r][v] = zero;								\
	for (size_t s = 0; s < steps; s++, a += 4, b += ldb) {						\
		__m512i w[4];										\
													\
		UNROLL for (int v = 0; v < vecs; v++)							\
			w[v] = _mm512_loadu_si512(b + 64 * v);						\
		if (vecs == 4)										\
			UNROLL for (int v = 0; v < vecs; v++)						\
				_mm_prefetch(b + AHEAD + 64 * v, _MM_HINT_T0);				\
		UNROLL for (int r = 0; r < rows; r++) {							\
			__m512i x = _mm512_set1_epi32(*(const cell *)(const void *)(a + (size_t)r * lda)); \
													\
			UNROLL for (int v = 0; v < vecs; v++)						\
				acc[r][v] = step_fn(acc[r][v], x, w[v]);				\
		}											\
	}												\
	UNROLL for (int r = 0; r < rows; r++)								\
		UNROLL for (int v = 0; v < vecs; v++)							\
			*(acc_u *)(void *)(out + (size_t)r * ldo * 4 + 64 * v) = (acc_u)acc[r][v];	\
}

typedef int32_t cell __attribute__((may_alias));
typedef float acc_u __attribute__((vector_size(64), may_alias, aligned(4)));

#define STEP_F32(acc, x, w) _mm512_fmadd_ps(_mm512_castsi512_ps(x), _mm512_castsi512_ps(w), acc)
#define STEP_BF16(acc, x, w) z_dot_bf16(acc, x, w)
#define STEP_I8(acc, x, w) z_dot_i8(acc, x, w)

/* By hand: with the intrinsics GCC 12 copies every sum at every step, and spills some. */
TARGET ALWAYS __m512i
z_dot_i8(__m512i acc, __m512i x, __m512i w)
{
	__asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(x), "v"(w));
	return acc;
}

TARGET ALWAYS __m512
z_dot_bf16(__m512 acc, __m512i x, __m512i w)
{
	__asm__("vdpbf16ps %2, %1, %0" : "+v"(acc) : "v"(x), "v"(w));
	return acc;
}

TILE_BODY(body_f32, TARGET, __m512, _mm512_setzero_ps(), STEP_F32)
TILE_BODY(body_bf16, TARGET_BF16, __m512, _mm512_setzero_ps(), STEP_BF16)
TILE_BODY(body_i8, TARGET_VNNI, __m512i, _mm512_setzero_si512(), STEP_I8)

#define CASE(body, r, v) case r: body(a, lda, r, v, b, ldb, steps, out, ldo); break;
#define CASES6(body, v) CASE(body, 1, v) CASE(body, 2, v) CASE(body, 3, v) CASE(body, 4, v)	\
	CASE(body, 5, v) CASE(body, 6, v)
#define CASES12(body, v) CASES6(body, v) CASE(body, 7, v) CASE(body, 8, v) CASE(body, 9, v)	\
	CASE(body, 10, v) CASE(body, 11, v) CASE(body, 12, v)

#define TILE(name, target, body)								\
target static void										\
name(const void *a, size_t lda, size_t rows, const void *b, size_t ldb, size_t steps,		\
	size_t cols, void *out, size_t ldo)							\
{												\
	switch (cols) {										\
	case 16: switch (rows) { CASES12(body, 1) } break;					\
	case 32: switch (rows) { CASES12(body, 2) } break;					\
	case 48: switch (rows) { CASES6(body, 3) } break;					\
	case 64: switch (rows) { CASES6(body, 4) } break;					\
	}											\
}

TILE(tile_f32, TARGET, body_f32)
TILE(tile_bf16, TARGET_BF16, body_bf16)
TILE(tile_i8, TARGET_VNNI, body_i8)

/* bfloat16 weights against float rows, where the CPU has no product of pairs. */
TARGET ALWAYS void
widened(const char *a, size_t lda, const int rows, const int vecs, const char *b, size_t ldb,
	size_t steps, char *out, size_t ldo)
{
	const __m512i high = _mm512_set1_epi32((int32_t)0xffff0000);
	__m512 acc[12][4];

	UNROLL for (int r = 0; r < rows; r++)
		UNROLL for (int v = 0; v < vecs; v++)
			acc[r][v] = _mm512_setzero_ps();
	for (size_t s = 0; s < 2 * steps; s++, a += 4, b += s % 2 == 0 ? ldb : 0) {
		__m512 w[4];

		UNROLL for (int v = 0; v < vecs; v++) {
			__m512i pair = _mm512_loadu_si512(b + 64 * v);

			w[v] = _mm512_castsi512_ps(s % 2 == 0 ? _mm512_slli_epi32(pair, 16) :
			    _mm512_and_si512(pair, high));
		}
		UNROLL for (int r = 0; r < rows; r++) {
			__m512 x = _mm512_set1_ps(*(const float *)(const void *)(a + (size_t)r * lda));

			UNROLL for (int v = 0; v < vecs; v++)
				acc[r][v] = _mm512_fmadd_ps(x, w[v], acc[r][v]);
		}
	}
	UNROLL for (int r = 0; r < rows; r++)
		UNROLL for (int v = 0; v < vecs; v++)
			_mm512_storeu_ps(out + (size_t)r * ldo * 4 + 64 * v, acc[r][v]);
}

TILE(tile_widened, TARGET, widened)

/* ---- transposition of 32-bit cells, 16 x 16 at a time ---- */

TARGET ALWAYS void
transpose16(__m512i v[16])
{
	static const int32_t even[16] = { 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27 };
	static const int32_t odd[16] = { 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31 };
	const __m512i lo = _mm512_loadu_si512(even), hi = _mm512_loadu_si512(odd);
	__m512i t[16], u[16];

	UNROLL for (int i = 0; i < 16; i += 2) {
		t[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
		t[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
	}
	UNROLL for (int i = 0; i < 16; i += 4) {
		u[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
		u[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
		u[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
		u[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
	}
	/* u[4g + c]: in lane l column 4l + c of rows 4g..4g+3. Swap lanes between the groups. */
	UNROLL for (int c = 0; c < 4; c++) {
		t[c] = _mm512_permutex2var_epi32(u[c], lo, u[4 + c]);
		t[4 + c] = _mm512_permutex2var_epi32(u[c], hi, u[4 + c]);
		t[8 + c] = _mm512_permutex2var_epi32(u[8 + c], lo, u[12 + c]);
		t[12 + c] = _mm512_permutex2var_epi32(u[8 + c], hi, u[12 + c]);
	}
	UNROLL for (int c = 0; c < 4; c++) {
		v[c] = _mm512_shuffle_i32x4(t[c], t[8 + c], 0x44);
		v[8 + c] = _mm512_shuffle_i32x4(t[c], t[8 + c], 0xee);
		v[4 + c] = _mm512_shuffle_i32x4(t[4 + c], t[12 + c], 0x44);
		v[12 + c] = _mm512_shuffle_i32x4(t[4 + c], t[12 + c], 0xee);
	}
}

TARGET static void
z_transpose(const uint32_t *src, size_t lds, size_t rows, size_t cols, uint32_t *dst, size_t ldd)
{
	for (size_t i = 0; i < rows; i += 16)
		for (size_t j = 0; j < cols; j += 16) {
			__mmask16 some = cols - j < 16 ? (__mmask16)((1u << (cols - j)) - 1) : 0xffff;
			size_t n = cols - j < 16 ? cols - j : 16;
			__m512i v[16];

			UNROLL for (size_t r = 0; r < 16; r++)
				v[r] = i + r < rows ? _mm512_maskz_loadu_epi32(some, src + (i + r) * lds + j) :
				    _mm512_setzero_si512();
			transpose16(v);
			for (size_t c = 0; c < n; c++)
				_mm512_storeu_si512(dst + (j + c) * ldd + i, v[c]);
		}
}

TARGET static void
z_interleave(const uint16_t *src, size_t lds, size_t rows, size_t cols, uint32_t *dst)
{
	for (size_t i = 0; i < rows; i += 2, src += 2 * lds, dst += cols)
		for (size_t j = 0; j < cols; j += 16) {
			__m512i v = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)(src + j)));

			if (i + 1 < rows)
				v = _mm512_or_si512(v, _mm512_slli_epi32(_mm512_cvtepu16_epi32(
				    _mm256_loadu_si256((const __m256i *)(const void *)(src + lds + j))), 16));
			_mm512_storeu_si512(dst + j, v);
		}
}

static const struct gemm_kernels f32 = { "avx512", GEMM_F32, GEMM_F32, GEMM_ROWS, tile_f32, z_finish_f32, z_to_f32,
	GEMM_F32, tile_f32, z_softmax, z_normalize, z_transpose, z_interleave };
static const struct gemm_kernels bf16 = { "avx512-bf16", GEMM_BF16, GEMM_BF16, GEMM_ROWS, tile_bf16, z_finish_bf16,
	z_to_bf16, GEMM_BF16, tile_bf16, z_softmax, z_normalize, z_transpose, z_interleave };
static const struct gemm_kernels bf16_widened = { "avx512", GEMM_BF16, GEMM_F32, GEMM_ROWS, tile_widened,
	z_finish_bf16, z_to_f32, GEMM_F32, tile_f32, z_softmax, z_normalize, z_transpose, z_interleave };
static const struct gemm_kernels i8_bf16 = { "avx512-vnni-bf16", GEMM_I8, GEMM_I8, GEMM_ROWS, tile_i8, z_finish_i8,
	z_to_u8, GEMM_BF16, tile_bf16, z_softmax, z_normalize, z_transpose, z_interleave };
static const struct gemm_kernels i8 = { "avx512-vnni", GEMM_I8, GEMM_I8, GEMM_ROWS, tile_i8, z_finish_i8,
	z_to_u8, GEMM_F32, tile_f32, z_softmax, z_normalize, z_transpose, z_interleave };

const struct gemm_kernels *
gemm512_kernels(enum gemm_type type, size_t i)
{
	const struct gemm_kernels *ways[3] = { NULL };
	bool base = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
	    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma");
	bool half = base && __builtin_cpu_supports("avx512bf16");
	bool vnni = base && __builtin_cpu_supports("avx512vnni");
	size_t n = 0;

	if (type == GEMM_F32 && base)
		ways[n++] = &f32;
	if (type == GEMM_BF16 && half)
		ways[n++] = &bf16;
	if (type == GEMM_BF16 && base)
		ways[n++] = &bf16_widened;
	if (type == GEMM_I8 && vnni && half)
		ways[n++] = &i8_bf16;
	if (type == GEMM_I8 && vnni)
		ways[n++] = &i8;
	return i < n ? ways[i] : NULL;
}

#else

const struct gemm_kernels *
gemm512_kernels(enum gemm_type type, size_t i)
{
	(void)type;
	(void)i;
	return NULL;
}

#endif
