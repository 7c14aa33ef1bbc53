/*
 * svd - leading singular vectors of a sparse matrix.
 *
 * Randomised subspace iteration: Halko, Martinsson, Tropp 2011, "Finding
 * structure with randomness", arXiv:0909.4061, algorithms 4.4 and 5.1. Dense
 * products go through math/mat in blocks of fixed size; sparse ones sum each
 * output row in a fixed order: the same bytes for any number of threads.
 * Depends on: math/mat, math/gather.  Threads: separate calls are independent.
 */
#ifndef LLMR_MATH_SVD_H
#define LLMR_MATH_SVD_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "math/mat.h"

/* Compressed sparse rows: entries of row i are start[i] .. start[i + 1] - 1. */
struct sparse {
	size_t rows, cols;
	size_t *start;		/* [rows + 1] */
	uint32_t *col;		/* [start[rows]] */
	float *val;
};

/* Release the three arrays. */
void svd_sparse_finish(struct sparse *);
/* out = x transposed, each of its rows ascending. Caller finishes it. */
int svd_transpose(const struct sparse *x, struct sparse *out, struct err *e);

struct svd_params {
	size_t rank;		/* singular vectors wanted */
	size_t oversample;	/* directions carried along */
	size_t passes;		/* extra passes of x^T x; 1 or 2 serve where the spectrum falls slowly */
	uint64_t seed;
};

/*
 * v [x->cols x rank] = right singular vectors as columns, largest first;
 * sigma [rank] the values. Where x has fewer, the rest is zero. The caller
 * called mat_open. Memory: (rows + cols) x (rank + oversample) floats and the transposed x.
 */
int svd_right(const struct sparse *x, const struct svd_params *, struct mat v, float *sigma,
	struct pool *, struct err *e);

#endif
