#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/pool.h"
#include "math/gather.h"
#include "math/mat.h"
#include "math/svd.h"

static struct mat
random_mat(size_t rows, size_t cols, uint64_t seed)
{
	struct mat m = { mem_calloc(rows * (cols + 3), sizeof(float), NULL), rows, cols, cols + 3 };
	struct rng r;

	rng_seed(&r, seed);
	for (size_t i = 0; i < rows * m.ld; i++)
		m.x[i] = (float)(rng_double(&r) - 0.5);
	return m;
}

static void
open_or_skip(void)
{
	struct err e = ERR_INIT;

	if (mat_open(&e) < 0)
		cr_skip_test("%s", e.msg);
}

Test(mat, products)
{
	static const size_t sizes[][3] = { { 1, 1, 1 }, { 3, 5, 7 }, { 512, 9, 33 }, { 513, 4, 2 },
		{ 1300, 17, 40 } };

	open_or_skip();
	cr_expect(strcmp(mat_core(), "none") != 0);
	for (size_t c = 0; c < sizeof(sizes) / sizeof(sizes[0]); c++) {
		size_t n = sizes[c][0], m = sizes[c][1], k = sizes[c][2];
		struct mat a = random_mat(n, k, 1), bt = random_mat(m, k, 2), b = random_mat(k, m, 3);
		struct mat y = random_mat(n, m, 4), z = random_mat(n, m, 4);
		struct mat y0 = random_mat(n, m, 4);

		mat_mul_nt(2, a, bt, 0.5f, y, NULL);
		mat_mul_nn(2, a, b, 0, z, NULL);
		for (size_t i = 0; i < n; i += n / 7 + 1) {
			for (size_t j = 0; j < m; j++) {
				double nt = 0.5 * (double)y0.x[i * y0.ld + j], nn = 0;

				for (size_t t = 0; t < k; t++) {
					double x = 2 * (double)a.x[i * a.ld + t];

					nt += x * (double)bt.x[j * bt.ld + t];
					nn += x * (double)b.x[t * b.ld + j];
				}
				cr_expect(fabs(nt - (double)y.x[i * y.ld + j]) < 1e-4, "case %zu", c);
				cr_expect(fabs(nn - (double)z.x[i * z.ld + j]) < 1e-4, "case %zu", c);
			}
		}
		free(a.x), free(b.x), free(bt.x), free(y.x), free(z.x), free(y0.x);
	}
}

/* The same bytes from 1, 2 and 4 threads. */
Test(mat, threads)
{
	static const unsigned threads[] = { 1, 2, 4 };
	struct mat a, b, c[3];
	double *g[3];

	open_or_skip();
	a = random_mat(5000, 37, 1);
	b = random_mat(19, 37, 2);
	for (int t = 0; t < 3; t++) {
		struct pool *pool = pool_new(threads[t], NULL);

		cr_assert(pool != NULL);
		c[t] = random_mat(5000, 19, 3);
		g[t] = mem_calloc(37 * 37, sizeof(double), NULL);
		mat_mul_nt(1, a, b, 0, c[t], pool);
		cr_assert(mat_gram(1, a, g[t], pool, NULL) == 0);
		pool_free(pool);
		cr_expect(memcmp(c[t].x, c[0].x, 5000 * c[0].ld * sizeof(float)) == 0);
		cr_expect(memcmp(g[t], g[0], 37 * 37 * sizeof(double)) == 0);
	}
	for (size_t i = 0; i < 37; i += 5) {
		for (size_t j = 0; j < 37; j += 3) {
			double sum = 0;

			for (size_t r = 0; r < 5000; r++)
				sum += (double)a.x[r * a.ld + i] * (double)a.x[r * a.ld + j];
			cr_expect(fabs(sum - g[0][i * 37 + j]) < 1e-3, "%zu %zu", i, j);
		}
	}
	for (int t = 0; t < 3; t++)
		free(c[t].x), free(g[t]);
	free(a.x), free(b.x);
}

Test(mat, eigen)
{
	double a[] = { 2, 1, 0, 1, 2, 0, 0, 0, 5 }, w[3];

	open_or_skip();
	cr_assert(mat_eigen(a, 3, w, NULL) == 0);
	cr_expect(fabs(w[0] - 1) < 1e-12 && fabs(w[1] - 3) < 1e-12 && fabs(w[2] - 5) < 1e-12);
	cr_expect(fabs(fabs(a[0]) - sqrt(0.5)) < 1e-12 && fabs(a[0] + a[1]) < 1e-12);
	cr_expect(fabs(fabs(a[8]) - 1) < 1e-12);
}

/* Fast forms against the plain ones, within rounding. */
Test(gather, equals_reference)
{
	static const size_t cols[] = { 32, 64, 96, 256, 288, 320, 544 };
	static const size_t ns[] = { 0, 1, 2, 13, 40, 300 };
	struct rng r;

	rng_seed(&r, 5);
	for (size_t c = 0; c < sizeof(cols) / sizeof(cols[0]); c++) {
		size_t k = cols[c], rows = 50;
		float *table = mem_calloc(rows * k, sizeof(*table), NULL);
		int8_t *bytes = mem_calloc(rows * k, 1, NULL);
		float coef[300], fast[544], plain[544];
		uint32_t row[300];

		for (size_t i = 0; i < rows * k; i++) {
			table[i] = (float)(rng_double(&r) - 0.5);
			bytes[i] = (int8_t)(rng_u64(&r) & 0xff);
		}
		for (size_t i = 0; i < 300; i++) {
			coef[i] = (float)(rng_double(&r) - 0.5) / 10;
			row[i] = (uint32_t)rng_below(&r, rows);
		}
		for (size_t t = 0; t < sizeof(ns) / sizeof(ns[0]); t++) {
			gather_f32(table, k, row, coef, ns[t], fast);
			gather_f32_ref(table, k, row, coef, ns[t], plain);
			for (size_t j = 0; j < k; j++)
				cr_expect(fabsf(fast[j] - plain[j]) < 1e-5f, "f32 %zu %zu", k, ns[t]);
			gather_i8(bytes, k, row, coef, ns[t], fast);
			gather_i8_ref(bytes, k, row, coef, ns[t], plain);
			for (size_t j = 0; j < k; j++)
				cr_expect(fabsf(fast[j] - plain[j]) < 1e-3f, "i8 %zu %zu", k, ns[t]);
		}
		free(table);
		free(bytes);
	}
}

/* A sparse matrix of 300 x 200 that is the sum of `rank` orthogonal blocks of falling weight. */
static struct sparse
blocks(size_t rank)
{
	struct sparse x = { .rows = 300, .cols = 200 };
	size_t at = 0;

	x.start = mem_calloc(x.rows + 1, sizeof(*x.start), NULL);
	x.col = mem_calloc(x.rows * 10, sizeof(*x.col), NULL);
	x.val = mem_calloc(x.rows * 10, sizeof(*x.val), NULL);
	for (size_t r = 0; r < x.rows; r++) {
		size_t b = r % rank;

		for (size_t j = 0; j < 10; j++) {
			x.col[at] = (uint32_t)(b * 10 + j);
			x.val[at++] = 1.0f / (float)(1 + b);
		}
		x.start[r + 1] = at;
	}
	return x;
}

Test(svd, known_values)
{
	struct sparse x = blocks(5);
	struct svd_params p = { 12, 8, 1, 3 };
	struct mat v = random_mat(200, 12, 1);
	float sigma[12];
	struct err e = ERR_INIT;

	open_or_skip();
	cr_assert(svd_right(&x, &p, v, sigma, NULL, &e) == 0, "%s", e.msg);
	for (size_t k = 0; k < 12; k++) {
		double want = k < 5 ? sqrt(60.0 * 10.0) / (double)(1 + k) : 0;

		cr_expect(fabs((double)sigma[k] - want) < 1e-3 * (want + 1), "value %zu is %g", k,
			(double)sigma[k]);
		for (size_t c = 0; c < 200; c++) {
			double is = fabs((double)v.x[c * v.ld + k]);

			cr_expect(fabs(is - (k < 5 && c / 10 == k ? sqrt(0.1) : 0)) < 1e-4,
				"vector %zu entry %zu is %g", k, c, is);
		}
	}
	svd_sparse_finish(&x);
	free(v.x);
}

Test(svd, transpose_and_threads)
{
	struct sparse x = blocks(7), t, back;
	struct svd_params p = { 32, 32, 1, 3 };
	struct mat v[2] = { random_mat(200, 32, 1), random_mat(200, 32, 1) };
	float sigma[32];

	cr_assert(svd_transpose(&x, &t, NULL) == 0 && svd_transpose(&t, &back, NULL) == 0);
	cr_expect(t.rows == 200 && t.cols == 300 && t.start[200] == x.start[300]);
	cr_expect(memcmp(back.start, x.start, 301 * sizeof(*x.start)) == 0);
	cr_expect(memcmp(back.col, x.col, x.start[300] * sizeof(*x.col)) == 0);
	cr_expect(memcmp(back.val, x.val, x.start[300] * sizeof(*x.val)) == 0);
	open_or_skip();
	for (unsigned i = 0; i < 2; i++) {
		struct pool *pool = pool_new(1 + 3 * i, NULL);

		cr_assert(svd_right(&x, &p, v[i], sigma, pool, NULL) == 0);
		pool_free(pool);
	}
	cr_expect(memcmp(v[0].x, v[1].x, 200 * v[0].ld * sizeof(float)) == 0);
	svd_sparse_finish(&x), svd_sparse_finish(&t), svd_sparse_finish(&back);
	free(v[0].x), free(v[1].x);
}
