#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "math/gram.h"

/* Every kernel of this machine against sums in double; sizes on both sides of panels and tiles. */
static void
check(enum dot_kernel kernel, size_t rows, size_t cols)
{
	size_t wide = gram_padded(cols);
	float *a = mem_aligned(rows, cols * sizeof *a, NULL);
	float *chunk = mem_aligned(gram_chunk(cols), sizeof *chunk, NULL);
	float *c = mem_aligned(wide, wide * sizeof *c, NULL);
	struct rng g;

	rng_seed(&g, rows * 1000 + cols);
	for (size_t i = 0; i < rows * cols; i++)
		a[i] = (float)rng_normal(&g);
	/* In two pieces, as a ridge packs its features and targets. */
	for (size_t i = 0; i < rows; i++) {
		gram_pack(chunk, i, 0, a + i * cols, cols / 3);
		gram_pack(chunk, i, cols / 3, a + i * cols + cols / 3, cols - cols / 3);
	}
	gram_add(kernel, chunk, rows, cols, c);
	gram_add(kernel, chunk, rows, cols, c);
	for (size_t i = 0; i < cols; i++)
		for (size_t j = i; j < cols; j++) {
			double sum = 0, size = 0;

			for (size_t k = 0; k < rows; k++) {
				sum += 2 * (double)a[k * cols + i] * (double)a[k * cols + j];
				size += fabs((double)a[k * cols + i] * (double)a[k * cols + j]);
			}
			cr_assert(fabs((double)c[i * wide + j] - sum) <= 1e-5 * (1 + size),
				"%s, %zu x %zu: cell %zu,%zu is %g, not %g", dot_name(kernel), rows, cols, i,
				j, (double)c[i * wide + j], sum);
		}
	free(a);
	free(chunk);
	free(c);
}

Test(gram, against_sums)
{
	static const size_t cols[] = { 1, 5, 16, 17, 33, 47, 48, 49, 64, 97, 150 };
	static const size_t rows[] = { 1, 2, 63, GRAM_ROWS };

	for (int k = 0; k < DOT_KERNELS; k++)
		for (size_t i = 0; dot_supported((enum dot_kernel)k) && i < sizeof cols / sizeof *cols; i++)
			for (size_t j = 0; j < sizeof rows / sizeof *rows; j++)
				check((enum dot_kernel)k, rows[j], cols[i]);
}
