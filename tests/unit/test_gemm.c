#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "math/gemm.h"
#include "math/mat.h"

#define N 208
#define K 96
#define M 29

struct fixture {
	float *w, *x, *bias, *scale, *sum, *out, *step, *low;
	void *panels, *rows;
};

static void
fixture_make(struct fixture *f, enum gemm_type type)
{
	struct rng r;

	rng_seed(&r, 5);
	f->w = mem_aligned(N * K, 4, NULL);
	f->x = mem_aligned(M * K, 4, NULL);
	f->bias = mem_aligned(gemm_padded(N), 4, NULL);
	f->scale = mem_aligned(gemm_padded(N), 4, NULL);
	f->sum = mem_aligned(gemm_padded(N), 4, NULL);
	f->out = mem_aligned(M * N, 4, NULL);
	f->rows = mem_aligned(M * K, 4, NULL);
	f->step = mem_aligned(M, 4, NULL);
	f->low = mem_aligned(M, 4, NULL);
	f->panels = mem_aligned(gemm_packed_bytes(type, N, K), 1, NULL);
	for (size_t i = 0; i < N * K; i++)
		f->w[i] = (float)rng_normal(&r) * 0.2f;
	for (size_t i = 0; i < M * K; i++)
		f->x[i] = (float)rng_normal(&r);
	for (size_t i = 0; i < N; i++)
		f->bias[i] = (float)rng_normal(&r);
	gemm_pack(type, f->w, N, K, f->panels, type == GEMM_I8 ? f->scale : NULL, type == GEMM_I8 ? f->sum : NULL);
}

static void
fixture_finish(struct fixture *f)
{
	void *all[] = { f->w, f->x, f->bias, f->scale, f->sum, f->out, f->rows, f->step, f->low, f->panels };

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		free(all[i]);
}

/* The activation as a kernel sees it. */
static double
seen(const struct fixture *f, const struct gemm_kernels *g, size_t i, size_t j)
{
	if (g->rows == GEMM_F32)
		return (double)f->x[i * K + j];
	if (g->rows == GEMM_BF16)
		return (double)gemm_from_bf16(((const uint16_t *)f->rows)[i * K + j]);
	return (double)f->low[i] + (double)f->step[i] * ((const uint8_t *)f->rows)[i * K + j];
}

static void
check(const struct gemm_kernels *g, struct fixture *f, enum gemm_then then)
{
	const struct gemm_weights w = { N, K, f->panels, f->bias, f->scale, f->sum };
	struct gemm_rows rows = { f->rows, K * 4 / gemm_per_cell(g->rows), f->step, f->low };
	double tolerance = g->type == GEMM_F32 || then != GEMM_GELU ? 2e-5 : 5e-4;

	g->convert(f->x, K, M, K, f->rows, f->step, f->low);
	for (size_t i = 0; i < M * N; i++)
		f->out[i] = 1;
	gemm_mul(g, &w, rows, M, then, f->out, N);
	for (size_t i = 0; i < M; i++)
		for (size_t j = 0; j < N; j++) {
			double want = (double)f->bias[j], is = (double)f->out[i * N + j];

			for (size_t k = 0; k < K; k++)
				want += seen(f, g, i, k) * (double)gemm_unpacked(g->type, &w, j, k);
			want = then == GEMM_ADD ? want + 1 : then == GEMM_GELU ? gemm_gelu(want) :
			    then == GEMM_RELU ? fmax(want, 0) : want;
			cr_assert(fabs(is - want) < tolerance * (1 + fabs(want)), "%s %d: [%zu, %zu] %g, not %g",
			    g->name, (int)then, i, j, is, want);
		}
}

Test(gemm, every_way_equals_the_plain_sum)
{
	const struct gemm_kernels *g;
	struct fixture f;

	cr_assert(mat_open(NULL) == 0);
	for (enum gemm_type t = GEMM_F32; t <= GEMM_I8; t++) {
		fixture_make(&f, t);
		for (size_t i = 0; (g = gemm_kernels_at(t, i)) != NULL; i++)
			for (enum gemm_then then = GEMM_STORE; then <= GEMM_RELU; then++)
				check(g, &f, then);
		fixture_finish(&f);
	}
}

Test(gemm, packed_weights_are_near_the_true_ones)
{
	struct fixture f;

	for (enum gemm_type t = GEMM_F32; t <= GEMM_I8; t++) {
		fixture_make(&f, t);
		for (size_t i = 0; i < N; i++)
			for (size_t j = 0; j < K; j++) {
				const struct gemm_weights w = { N, K, f.panels, f.bias, f.scale, f.sum };
				float limit = t == GEMM_F32 ? 0 : t == GEMM_BF16 ? fabsf(f.w[i * K + j]) / 256 :
				    f.scale[i] * 0.5001f;

				cr_assert(fabsf(gemm_unpacked(t, &w, i, j) - f.w[i * K + j]) <= limit);
			}
		fixture_finish(&f);
	}
}

/* 8-bit sums do not saturate at the ends of their ranges. */
Test(gemm, extreme_bytes_do_not_saturate)
{
	const struct gemm_kernels *g;

	for (size_t way = 0; (g = gemm_kernels_at(GEMM_I8, way)) != NULL; way++) {
		_Alignas(64) uint8_t a[K];
		_Alignas(64) int8_t b[K * GEMM_COLS];
		_Alignas(64) int32_t out[GEMM_COLS];

		memset(a, 255, sizeof a);
		memset(b, -127, sizeof b);
		g->tile(a, K, 1, b, GEMM_COLS * 4, K / 4, GEMM_COLS, out, GEMM_COLS);
		for (size_t j = 0; j < GEMM_COLS; j++)
			cr_assert_eq(out[j], -255 * 127 * K, "%s", g->name);
	}
}

Test(gemm, softmax_and_normalisation)
{
	const struct gemm_kernels *g;

	for (enum gemm_type t = GEMM_F32; t <= GEMM_I8; t++)
		for (size_t way = 0; (g = gemm_kernels_at(t, way)) != NULL; way++) {
			_Alignas(64) float s[64], x[48], gamma[48], beta[48];
			double want[37], total = 0, mean = 0, var = 0;
			float sum;

			for (size_t i = 0; i < 37; i++)
				s[i] = (float)sin((double)i * 3) * 30;
			s[7] = -1000;
			for (size_t i = 0; i < 37; i++)
				total += want[i] = exp(0.25 * ((double)s[i] - 30));
			sum = g->softmax(s, 37, 0.25f, NULL);
			for (size_t i = 0; i < 48; i++)
				cr_assert(fabs((double)(s[i] / sum) - (i < 37 ? want[i] / total : 0)) < 1e-6, "%s %zu",
				    g->name, i);
			for (size_t i = 0; i < 48; i++) {
				x[i] = (float)i * (float)i / 100;
				gamma[i] = 2;
				beta[i] = -1;
				mean += (double)x[i] / 48;
			}
			for (size_t i = 0; i < 48; i++)
				var += ((double)x[i] - mean) * ((double)x[i] - mean) / 48;
			g->normalize(x, 48, gamma, beta, 1e-12f);
			for (size_t i = 0; i < 48; i++)
				cr_assert(fabs((double)x[i] - (((double)i * (double)i / 100 - mean) / sqrt(var) * 2 - 1)) <
				    1e-5, "%s", g->name);
		}
}

Test(gemm, bfloat16_rounds_to_even)
{
	cr_expect_eq(gemm_to_bf16(1), 0x3f80);
	cr_expect_eq(gemm_to_bf16(1.00390625f), 0x3f80);
	cr_expect_eq(gemm_to_bf16(1.01171875f), 0x3f82);
	cr_expect_eq(gemm_to_bf16(-INFINITY), 0xff80);
	cr_expect(isnan(gemm_from_bf16(gemm_to_bf16(NAN))));
}
