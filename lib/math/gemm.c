#include "math/gemm.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "math/gemm256.h"
#include "math/gemm512.h"
#include "math/lanes.h"
#include "math/mat.h"

#pragma GCC diagnostic ignored "-Wpsabi"	/* vectors are passed between static functions only */

size_t
gemm_per_cell(enum gemm_type type)
{
	return type == GEMM_F32 ? 1 : type == GEMM_BF16 ? 2 : 4;
}

size_t
gemm_padded(size_t n)
{
	return (n + GEMM_COLS - 1) / GEMM_COLS * GEMM_COLS;
}

size_t
gemm_packed_bytes(enum gemm_type type, size_t n, size_t k)
{
	return gemm_padded(n) * k * 4 / gemm_per_cell(type);
}

uint16_t
gemm_to_bf16(float x)
{
	uint32_t u;

	memcpy(&u, &x, sizeof u);
	if ((u & 0x7fffffff) > 0x7f800000)
		return (uint16_t)(u >> 16 | 0x40);
	return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

float
gemm_from_bf16(uint16_t h)
{
	uint32_t u = (uint32_t)h << 16;
	float x;

	memcpy(&x, &u, sizeof x);
	return x;
}

/* Place of weight (i, j) among the values of the panels. */
static size_t
place(enum gemm_type type, size_t k, size_t i, size_t j)
{
	size_t per = gemm_per_cell(type);

	return (i / GEMM_COLS) * GEMM_COLS * k + (j / per) * GEMM_COLS * per + (i % GEMM_COLS) * per + j % per;
}

static void
pack_row_i8(const float *w, size_t i, size_t k, int8_t *panels, float *scale, float *sum)
{
	float most = 0;
	int32_t total = 0;

	for (size_t j = 0; j < k; j++)
		most = fabsf(w[j]) > most ? fabsf(w[j]) : most;
	scale[i] = most / 127;
	for (size_t j = 0; j < k; j++) {
		int8_t q = (int8_t)(most > 0 ? lrintf(w[j] / most * 127) : 0);

		panels[place(GEMM_I8, k, i, j)] = q;
		total += q;
	}
	sum[i] = scale[i] * (float)total;
}

void
gemm_pack(enum gemm_type type, const float *w, size_t n, size_t k, void *panels, float *scale,
	float *sum)
{
	memset(panels, 0, gemm_packed_bytes(type, n, k));
	for (size_t i = n; scale != NULL && i < gemm_padded(n); i++)
		scale[i] = sum[i] = 0;
	for (size_t i = 0; i < n; i++, w += k) {
		if (type == GEMM_I8)
			pack_row_i8(w, i, k, panels, scale, sum);
		for (size_t j = 0; type == GEMM_F32 && j < k; j++)
			((float *)panels)[place(type, k, i, j)] = w[j];
		for (size_t j = 0; type == GEMM_BF16 && j < k; j++)
			((uint16_t *)panels)[place(type, k, i, j)] = gemm_to_bf16(w[j]);
	}
}

float
gemm_unpacked(enum gemm_type type, const struct gemm_weights *w, size_t i, size_t j)
{
	size_t at = place(type, w->k, i, j);

	return type == GEMM_F32 ? ((const float *)w->panels)[at] :
	    type == GEMM_BF16 ? gemm_from_bf16(((const uint16_t *)w->panels)[at]) :
	    w->scale[i] * (float)((const int8_t *)w->panels)[at];
}

double
gemm_gelu(double x)
{
	return 0.5 * x * (1 + erf(x * M_SQRT1_2));
}

/* ---- the plain way ---- */

#define FN(name) plain_##name
#define TARGET
#define FMA(a, b, c) ((a) * (b) + (c))
#define VMIN(a, b) LANES_PICK((a) < (b), a, b)
#define VMAX(a, b) LANES_PICK((a) > (b), a, b)
#define ROUND(x) (((x) + 12582912.0f) - 12582912.0f)
#define EXPONENT(x, n) ((lanes_f)((lanes_i)(x) + (__builtin_convertvector(n, lanes_i) << 23)))
#define SUM(v) plain_sum(v)
#define MAX_OF(v) plain_max(v)
#define STORE_HALF(p, v) ((void)(p), (void)(v))
#define STORE_U8(p, v) plain_store_u8(p, v)

static float
plain_sum(lanes_f v)
{
	float s = 0;

	for (int i = 0; i < LANES; i++)
		s += v[i];
	return s;
}

static float
plain_max(lanes_f v)
{
	float s = v[0];

	for (int i = 1; i < LANES; i++)
		s = v[i] > s ? v[i] : s;
	return s;
}

static void
plain_store_u8(uint8_t *p, lanes_f v)
{
	for (int i = 0; i < LANES; i++)
		p[i] = (uint8_t)v[i];
}

#include "math/gemm.inc"

static void
plain_tile_f32(const void *a, size_t lda, size_t rows, const void *b, size_t ldb, size_t steps,
	size_t cols, void *out, size_t ldo)
{
	for (size_t i = 0; i < rows; i++) {
		const float *x = (const float *)(const void *)((const char *)a + i * lda);

		for (size_t j = 0; j < cols; j += LANES) {
			const char *w = (const char *)b + j * sizeof(float);
			V acc = SET(0);

			for (size_t s = 0; s < steps; s++)
				acc += SET(x[s]) * LOAD(w + s * ldb);
			STORE((float *)out + i * ldo + j, acc);
		}
	}
}

/* Rows are floats, two to a cell. */
static void
plain_tile_bf16(const void *a, size_t lda, size_t rows, const void *b, size_t ldb, size_t steps,
	size_t cols, void *out, size_t ldo)
{
	for (size_t i = 0; i < rows; i++) {
		const float *x = (const float *)(const void *)((const char *)a + i * lda);

		for (size_t j = 0; j < cols; j += LANES) {
			const char *w = (const char *)b + j * sizeof(float);
			V acc = SET(0);

			for (size_t s = 0; s < steps; s++) {
				lanes_i pair = (lanes_i)LOAD(w + s * ldb);

				acc += SET(x[2 * s]) * (V)(pair << 16);
				acc += SET(x[2 * s + 1]) * (V)(pair & (int32_t)0xffff0000);
			}
			STORE((float *)out + i * ldo + j, acc);
		}
	}
}

static void
plain_tile_i8(const void *a, size_t lda, size_t rows, const void *b, size_t ldb, size_t steps,
	size_t cols, void *out, size_t ldo)
{
	for (size_t i = 0; i < rows; i++) {
		const uint8_t *x = (const uint8_t *)a + i * lda;
		int32_t *sums = (int32_t *)out + i * ldo;

		for (size_t j = 0; j < cols; j++) {
			const int8_t *w = (const int8_t *)b + 4 * j;
			int32_t acc = 0;

			for (size_t s = 0; s < steps; s++)
				for (size_t c = 0; c < 4; c++)
					acc += x[4 * s + c] * w[s * ldb + c];
			sums[j] = acc;
		}
	}
}

static void
plain_transpose(const uint32_t *src, size_t lds, size_t rows, size_t cols, uint32_t *dst, size_t ldd)
{
	for (size_t i = 0; i < (rows + 15) / 16 * 16; i++)
		for (size_t j = 0; j < cols; j++)
			dst[j * ldd + i] = i < rows ? src[i * lds + j] : 0;
}

static void
blas_tile(const void *a, size_t lda, size_t rows, const void *b, size_t ldb, size_t steps,
	size_t cols, void *out, size_t ldo)
{
	/* mat has no constant matrices; these two are only read. */
	union { const void *in; float *x; } left = { a }, right = { b };

	mat_mul_nn(1, (struct mat){ left.x, rows, steps, lda / sizeof(float) },
	    (struct mat){ right.x, steps, cols, ldb / sizeof(float) }, 0,
	    (struct mat){ out, rows, cols, ldo }, NULL);
}

static const struct gemm_kernels blas = { "openblas", GEMM_F32, GEMM_F32, GEMM_MAX_ROWS, blas_tile,
	plain_finish_f32, plain_to_f32, GEMM_F32, plain_tile_f32, plain_softmax, plain_normalize,
	plain_transpose, NULL };

static const struct gemm_kernels plain[] = {
	[GEMM_F32] = { "plain", GEMM_F32, GEMM_F32, GEMM_ROWS, plain_tile_f32, plain_finish_f32, plain_to_f32,
		GEMM_F32, plain_tile_f32, plain_softmax, plain_normalize, plain_transpose, NULL },
	[GEMM_BF16] = { "plain", GEMM_BF16, GEMM_F32, GEMM_ROWS, plain_tile_bf16, plain_finish_bf16, plain_to_f32,
		GEMM_F32, plain_tile_f32, plain_softmax, plain_normalize, plain_transpose, NULL },
	[GEMM_I8] = { "plain", GEMM_I8, GEMM_I8, GEMM_ROWS, plain_tile_i8, plain_finish_i8, plain_to_u8,
		GEMM_F32, plain_tile_f32, plain_softmax, plain_normalize, plain_transpose, NULL },
};

const struct gemm_kernels *
gemm_kernels_at(enum gemm_type type, size_t i)
{
	const struct gemm_kernels *k;

	for (size_t j = 0; (k = gemm512_kernels(type, j)) != NULL; j++)
		if (i-- == 0)
			return k;
	if ((k = gemm256_kernels(type)) != NULL && i-- == 0)
		return k;
	if (type == GEMM_F32 && strcmp(mat_core(), "none") != 0 && i-- == 0)
		return &blas;
	return i == 0 ? &plain[type] : NULL;
}

void
gemm_mul(const struct gemm_kernels *g, const struct gemm_weights *w, struct gemm_rows rows, size_t m,
	enum gemm_then then, float *out, size_t ldo)
{
	_Alignas(64) float tile[GEMM_MAX_ROWS * GEMM_COLS];
	const struct gemm_finish f = { w, rows, then, out, ldo };
	size_t per = gemm_per_cell(g->type), steps = w->k / per, blocks = (m + g->tile_rows - 1) / g->tile_rows;
	const char *panel = w->panels;

	/* A panel at a time against all rows, in blocks as even as can be: the weights pass once. */
	for (size_t col = 0; col < w->n; col += GEMM_COLS, panel += steps * GEMM_COLS * 4) {
		size_t cols = w->n - col < GEMM_COLS ? (w->n - col + 15) / 16 * 16 : GEMM_COLS;

		for (size_t b = 0; b < blocks; b++) {
			size_t row = b * m / blocks, n = (b + 1) * m / blocks - row;

			g->tile((const char *)rows.x + row * rows.ld, rows.ld, n, panel, GEMM_COLS * 4,
			    steps, cols, tile, GEMM_COLS);
			g->finish(&f, tile, row, n, col);
		}
	}
}
