#include "math/gram.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define VECTOR 16			/* columns of a tile are counted in these */
#define PANEL_VECTORS (GRAM_PANEL / VECTOR)

size_t
gram_padded(size_t cols)
{
	return (cols + GRAM_PANEL - 1) / GRAM_PANEL * GRAM_PANEL;
}

size_t
gram_chunk(size_t cols)
{
	return gram_padded(cols) * GRAM_ROWS;
}

void
gram_pack(float *chunk, size_t row, size_t from, const float *x, size_t n)
{
	while (n > 0) {
		size_t at = from % GRAM_PANEL, k = GRAM_PANEL - at < n ? GRAM_PANEL - at : n;

		memcpy(chunk + (from - at) * GRAM_ROWS + row * GRAM_PANEL + at, x, k * sizeof *x);
		from += k;
		x += k;
		n -= k;
	}
}

/*
 * A tile: c [height x 16 vectors] += a^T b over the rows, a and b in their panels. Each kernel has
 * as many sums as it has registers for.
 */
typedef void tile_fn(const float *a, const float *b, size_t rows, size_t vectors, float *c,
	size_t ld);

static void
tile_portable(const float *a, const float *b, size_t rows, size_t vectors, float *c, size_t ld)
{
	for (size_t v = 0; v < vectors; v++)
		for (size_t r = 0; r < 4; r++) {
			float sum[VECTOR] = { 0 };

			for (size_t k = 0; k < rows; k++)
				for (size_t j = 0; j < VECTOR; j++)
					sum[j] += a[k * GRAM_PANEL + r] * b[k * GRAM_PANEL + v * VECTOR + j];
			for (size_t j = 0; j < VECTOR; j++)
				c[r * ld + v * VECTOR + j] += sum[j];
		}
}

#if defined(__x86_64__)

#define SIX(X) X(0) X(1) X(2) X(3) X(4) X(5)
#define EIGHT(X) SIX(X) X(6) X(7)

/* Sums of row r by name, so that they stay in registers. */
#define ZERO2(r) __m256 x##r = _mm256_setzero_ps(), y##r = x##r;
#define STEP2(r) s = _mm256_broadcast_ss(a + r); \
	x##r = _mm256_fmadd_ps(s, p, x##r); y##r = _mm256_fmadd_ps(s, q, y##r);
#define PUT2(r) _mm256_storeu_ps(c + r * ld, _mm256_add_ps(_mm256_loadu_ps(c + r * ld), x##r)); \
	_mm256_storeu_ps(c + r * ld + 8, _mm256_add_ps(_mm256_loadu_ps(c + r * ld + 8), y##r));

__attribute__((target("avx2,fma"))) static void
column_avx2(const float *a, const float *b, size_t rows, float *c, size_t ld)
{
	SIX(ZERO2)

	for (size_t k = 0; k < rows; k++, a += GRAM_PANEL, b += GRAM_PANEL) {
		const __m256 p = _mm256_load_ps(b), q = _mm256_load_ps(b + 8);
		__m256 s;

		SIX(STEP2)
	}
	SIX(PUT2)
}

static void
tile_avx2(const float *a, const float *b, size_t rows, size_t vectors, float *c, size_t ld)
{
	for (size_t v = 0; v < vectors; v++)
		column_avx2(a, b + v * VECTOR, rows, c + v * VECTOR, ld);
}

#define ZERO1(r) __m512 x##r = _mm512_setzero_ps();
#define ZERO2W(r) ZERO1(r) __m512 y##r = x##r;
#define ZERO3(r) ZERO2W(r) __m512 z##r = x##r;
#define STEP1(r) x##r = _mm512_fmadd_ps(_mm512_set1_ps(a[r]), p, x##r);
#define STEP2W(r) s = _mm512_set1_ps(a[r]); x##r = _mm512_fmadd_ps(s, p, x##r); \
	y##r = _mm512_fmadd_ps(s, q, y##r);
#define STEP3(r) STEP2W(r) z##r = _mm512_fmadd_ps(s, t, z##r);
#define PUT_AT(r, at, sum) _mm512_storeu_ps(c + r * ld + at, \
	_mm512_add_ps(_mm512_loadu_ps(c + r * ld + at), sum));
#define PUT1(r) PUT_AT(r, 0, x##r)
#define PUT2W(r) PUT1(r) PUT_AT(r, 16, y##r)
#define PUT3(r) PUT2W(r) PUT_AT(r, 32, z##r)

__attribute__((target("avx512f"))) static void
column_avx512(const float *a, const float *b, size_t rows, float *c, size_t ld)
{
	EIGHT(ZERO1)

	for (size_t k = 0; k < rows; k++, a += GRAM_PANEL, b += GRAM_PANEL) {
		const __m512 p = _mm512_load_ps(b);

		EIGHT(STEP1)
	}
	EIGHT(PUT1)
}

__attribute__((target("avx512f"))) static void
pair_avx512(const float *a, const float *b, size_t rows, float *c, size_t ld)
{
	EIGHT(ZERO2W)

	for (size_t k = 0; k < rows; k++, a += GRAM_PANEL, b += GRAM_PANEL) {
		const __m512 p = _mm512_load_ps(b), q = _mm512_load_ps(b + 16);
		__m512 s;

		EIGHT(STEP2W)
	}
	EIGHT(PUT2W)
}

__attribute__((target("avx512f"))) static void
panel_avx512(const float *a, const float *b, size_t rows, float *c, size_t ld)
{
	EIGHT(ZERO3)

	for (size_t k = 0; k < rows; k++, a += GRAM_PANEL, b += GRAM_PANEL) {
		const __m512 p = _mm512_load_ps(b), q = _mm512_load_ps(b + 16), t = _mm512_load_ps(b + 32);
		__m512 s;

		EIGHT(STEP3)
	}
	EIGHT(PUT3)
}

static void
tile_avx512(const float *a, const float *b, size_t rows, size_t vectors, float *c, size_t ld)
{
	if (vectors == 3)
		panel_avx512(a, b, rows, c, ld);
	else if (vectors == 2)
		pair_avx512(a, b, rows, c, ld);
	else
		column_avx512(a, b, rows, c, ld);
}

#endif

/* Height divides GRAM_PANEL. */
static size_t
choose(enum dot_kernel k, tile_fn **tile)
{
#if defined(__x86_64__)
	if (k == DOT_AVX512) {
		*tile = tile_avx512;
		return 8;
	}
	if (k == DOT_AVX2) {
		*tile = tile_avx2;
		return 6;
	}
#endif
	(void)k;
	*tile = tile_portable;
	return 4;
}

void
gram_add(enum dot_kernel kernel, const float *chunk, size_t rows, size_t cols, float *c)
{
	size_t ld = gram_padded(cols), panel = (size_t)GRAM_PANEL * GRAM_ROWS, height;
	tile_fn *tile;

	height = choose(kernel, &tile);
	for (size_t j = 0; j < cols; j += GRAM_PANEL) {
		size_t left = (cols - j + VECTOR - 1) / VECTOR;
		size_t vectors = left < PANEL_VECTORS ? left : PANEL_VECTORS;
		const float *b = chunk + j / GRAM_PANEL * panel;

		for (size_t i = 0; i < cols && i < j + GRAM_PANEL; i += height) {
			/* On the diagonal, vectors wholly below it are left out. */
			size_t skip = i > j ? (i - j) / VECTOR : 0;
			const float *a = chunk + i / GRAM_PANEL * panel + i % GRAM_PANEL;

			if (skip < vectors)
				tile(a, b + skip * VECTOR, rows, vectors - skip, c + i * ld + j + skip * VECTOR,
				    ld);
		}
	}
}
