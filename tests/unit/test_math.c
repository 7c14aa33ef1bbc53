#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "math/bootstrap.h"
#include "math/dot.h"
#include "math/hist.h"
#include "math/topk.h"

static int
descending(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x < y) - (x > y);
}

/* Values of several shapes: spread, all equal, many ties, one far outlier, tiny differences,
 * subnormal, too far apart for a float. */
static void
fill(float *x, size_t n, unsigned shape, struct rng *g)
{
	for (size_t i = 0; i < n; i++)
		switch (shape) {
		case 0: x[i] = (float)rng_normal(g); break;
		case 1: x[i] = 0.25f; break;
		case 2: x[i] = (float)rng_below(g, 4); break;
		case 5: x[i] = (float)rng_below(g, 2) * 0x1p-149f; break;
		case 6: x[i] = (i % 2 == 0 ? 3e38f : -3e38f) * (float)rng_double(g); break;
		case 3: x[i] = i == 7 ? 1e30f : (float)rng_double(g); break;
		default: x[i] = 1 + (float)rng_below(g, 1000) * 1e-7f; break;
		}
}

Test(topk, selects_the_largest_and_lowest_index_on_ties)
{
	enum { N = 3000 };
	static float x[N], sorted[N], work[N];
	static uint32_t out[N];
	const size_t sizes[] = { 1, 2, 24, 25, 200, N }, ks[] = { 1, 2, 13, 24, 199, N };
	struct rng g;

	rng_seed(&g, 1);
	for (unsigned shape = 0; shape < 7; shape++)
		for (size_t a = 0; a < 6; a++)
			for (size_t b = 0; b < 6; b++) {
				size_t n = sizes[a], k = ks[b], want = k < n ? k : n, got, ties = 0;

				fill(x, n, shape, &g);
				for (size_t i = 0; i < n; i++)
					sorted[i] = x[i];
				qsort(sorted, n, sizeof *sorted, descending);
				got = topk_select(x, n, k, work, out);
				cr_assert(got == want, "shape %u n %zu k %zu: %zu", shape, n, k, got);
				for (size_t i = 0; i < got; i++) {
					cr_expect(x[out[i]] >= sorted[want - 1], "shape %u n %zu k %zu",
						shape, n, k);
					cr_expect(i == 0 || out[i] > out[i - 1], "ascending");
					ties += x[out[i]] == sorted[want - 1];
				}
				/* Of the values at the boundary the first ones by index are in. */
				for (size_t i = 0, at = 0; i < n && ties > 0; i++) {
					if (x[i] != sorted[want - 1])
						continue;
					while (at < got && out[at] < i)
						at++;
					cr_expect(at < got && out[at] == i, "tie: shape %u n %zu k %zu",
						shape, n, k);
					ties--;
				}
			}
}

Test(dot, half_round_trip)
{
	static const struct { float x; uint16_t h; } cases[] = {
		{ 0, 0 }, { -0.0f, 0x8000 }, { 1, 0x3c00 }, { -2, 0xc000 }, { 65504, 0x7bff },
		{ 65520, 0x7c00 }, { 1e9f, 0x7c00 }, { 0x1p-14f, 0x0400 }, { 0x1p-24f, 0x0001 },
		{ 0x1p-26f, 0 }, { 1.0f + 0x1p-11f, 0x3c00 }, { 1.0f + 0x3p-11f, 0x3c02 },
		{ 0x1.ffcp-15f, 0x0400 - 0x0000 }, { 0.333251953125f, 0x3555 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		cr_expect(dot_to_half(cases[i].x) == cases[i].h, "case %zu: %04x", i,
			dot_to_half(cases[i].x));
	for (unsigned h = 0; h < 0x10000; h++)
		if ((h & 0x7c00) != 0x7c00)
			cr_assert(dot_to_half(dot_from_half((uint16_t)h)) == h, "%04x", h);
}

Test(dot, kernels_agree)
{
	static const size_t dims[] = { 1, 8, 15, 16, 17, 64, 100, 256, 384 };
	enum { N = 9 };
	struct rng g;

	rng_seed(&g, 3);
	for (size_t c = 0; c < sizeof dims / sizeof dims[0]; c++) {
		size_t d = dims[c], stride = (d + 63) & ~(size_t)63;
		uint16_t *rows = mem_aligned(N * d, sizeof *rows, NULL);
		float *q = mem_aligned(d, sizeof *q, NULL), *x = mem_aligned(d, sizeof *x, NULL);
		uint8_t *code = mem_aligned(N, stride, NULL);
		int8_t *qc = mem_aligned(stride, 1, NULL), *rc = mem_aligned(stride, 1, NULL);
		struct dot_query query = { qc, 0.5f, 0 };

		for (size_t j = 0; j < d; j++) {
			q[j] = (float)rng_normal(&g) / (float)d;
			qc[j] = (int8_t)((int)rng_below(&g, 255) - 127);
			query.sum += qc[j];
		}
		for (size_t i = 0; i < N; i++) {
			for (size_t j = 0; j < d; j++) {
				x[j] = (float)rng_normal(&g);
				rows[i * d + j] = dot_to_half(x[j]);
			}
			cr_expect(dot_encode(x, d, (int8_t *)code + i * stride) > 0);
			for (size_t j = 0; j < stride; j++)
				code[i * stride + j] ^= 0x80;
		}
		for (int k = 0; k < DOT_KERNELS; k++) {
			float out[N], at[N];
			float product[N], some[N], scale[N];
			const struct dot_codes codes = { N, stride, code, scale };
			struct dot_query row;
			const uint32_t index[N] = { 8, 0, 3, 3, 1, 2, 7, 6, 5 };

			if (!dot_supported((enum dot_kernel)k))
				continue;
			dot_half((enum dot_kernel)k, rows, N, d, q, out);
			dot_half_at((enum dot_kernel)k, rows, index, N, d, q, at);
			for (size_t i = 0; i < N; i++)
				scale[i] = (float)(i + 1);
			dot_code((enum dot_kernel)k, &codes, &query, product);
			dot_code_at((enum dot_kernel)k, &codes, index, N, &query, some);
			row = dot_row(&codes, 3, rc);
			for (size_t j = 0; j < stride; j++) {
				cr_expect(rc[j] == code[3 * stride + j] - 128);
				row.sum -= rc[j];
			}
			cr_expect(row.sum == 0 && row.scale == 4);
			for (size_t i = 0; i < N; i++) {
				double want = 0;
				long exact = 0;

				for (size_t j = 0; j < d; j++) {
					want += (double)dot_from_half(rows[i * d + j]) * (double)q[j];
					exact += ((long)code[i * stride + j] - 128) * qc[j];
				}
				cr_expect(fabs(want - (double)out[i]) < 1e-5, "%s d %zu row %zu",
					dot_name((enum dot_kernel)k), d, i);
				cr_expect(product[i] == (float)(i + 1) * 0.5f * (float)exact,
					"%s d %zu row %zu: %g, not of %ld", dot_name((enum dot_kernel)k),
					d, i, (double)product[i], exact);
				cr_expect(some[i] == product[index[i]], "%s d %zu row %zu by number",
					dot_name((enum dot_kernel)k), d, i);
				cr_expect(at[i] == out[index[i]], "%s d %zu row %zu alone",
					dot_name((enum dot_kernel)k), d, i);
			}
		}
		free(rows);
		free(q);
		free(x);
		free(code);
		free(qc);
		free(rc);
	}
}

Test(hist, quantiles_within_one_percent)
{
	enum { N = 20000 };
	static const double qs[] = { 0, 0.5, 0.9, 0.99, 0.999, 1 };
	struct hist *h = mem_calloc(1, sizeof *h, NULL), *part = mem_calloc(1, sizeof *part, NULL);
	double *x = mem_calloc(N, sizeof *x, NULL);
	struct rng g;

	rng_seed(&g, 5);
	hist_init(h);
	cr_expect(hist_quantile(h, 0.5) == 0);
	hist_init(part);
	for (size_t i = 0; i < N; i++) {
		uint64_t v = (uint64_t)exp(rng_double(&g) * 20);

		x[i] = (double)v;
		hist_add(i % 3 == 0 ? part : h, v);
	}
	hist_merge(h, part);
	for (size_t gap = N / 2; gap > 0; gap /= 2)
		for (size_t i = gap; i < N; i++)
			for (size_t j = i; j >= gap && x[j - gap] > x[j]; j -= gap) {
				double t = x[j];

				x[j] = x[j - gap];
				x[j - gap] = t;
			}
	for (size_t i = 0; i < sizeof qs / sizeof qs[0]; i++) {
		size_t rank = (size_t)ceil(qs[i] * N);
		double want = x[rank == 0 ? 0 : rank - 1], got = hist_quantile(h, qs[i]);

		cr_expect(fabs(got - want) <= 0.01 * want + 0.5, "q %g: %g, not %g", qs[i], got, want);
	}
	hist_add(h, UINT64_MAX);
	cr_expect(hist_quantile(h, 1) == (double)UINT64_MAX);
	free(h);
	free(part);
	free(x);
}

Test(bootstrap, interval_and_threads)
{
	enum { N = 400 };
	static double a[N], b[N], c[N];
	struct bootstrap_ci delta, gap, delta2, gap2;
	struct pool *pool = pool_new(3, NULL);
	struct rng g;

	rng_seed(&g, 9);
	for (size_t i = 0; i < N; i++) {
		b[i] = rng_double(&g) < 0.5;
		a[i] = rng_double(&g) < 0.6;
		c[i] = a[i] > b[i] ? a[i] : b[i];
	}
	cr_assert(bootstrap_paired(a, b, c, N, 1000, 7, NULL, &delta, &gap, NULL) == 0);
	cr_assert(bootstrap_paired(a, b, c, N, 1000, 7, pool, &delta2, &gap2, NULL) == 0);
	cr_expect(delta.lo == delta2.lo && delta.hi == delta2.hi && gap.lo == gap2.lo,
		"the number of threads shows");
	cr_expect(delta.lo < delta.value && delta.value < delta.hi);
	/* Standard error of a difference of two such means: sqrt(2 * 0.25 / 400) = 0.035. */
	cr_expect(delta.hi - delta.lo > 0.10 && delta.hi - delta.lo < 0.18, "%g",
		delta.hi - delta.lo);
	cr_assert(bootstrap_paired(a, b, b, N, 100, 7, NULL, &delta, &gap, NULL) == 0);
	cr_expect(isnan(gap.value) && isnan(gap.lo), "ideal equals baseline: no gap");
	cr_assert(bootstrap_paired(a, b, b, 0, 100, 7, NULL, &delta, &gap, NULL) == 0);
	cr_expect(isnan(delta.value));
	pool_free(pool);
}
