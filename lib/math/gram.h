/*
 * gram - the upper triangle of A^T A for rows that stream past.
 *
 * A symmetric product needs half the work of a general one, and a BLAS may take kernels older
 * than the CPU; so this one is ours. Rows are packed in chunks that stay in the second-level
 * cache, as panels of GRAM_PANEL columns, and added up in single precision; the caller adds the
 * sums of a few thousand rows in double. The kernel is chosen once, by what the CPU has; they
 * agree within rounding (they fuse or do not fuse multiply and add).
 * Depends on: math/dot (choice of kernel).  Threads: pure functions.
 */
#ifndef LLMR_MATH_GRAM_H
#define LLMR_MATH_GRAM_H

#include <stddef.h>

#include "math/dot.h"

#define GRAM_PANEL 48
#define GRAM_ROWS 256		/* of a chunk */

/* cols in whole panels: the stride of c. */
size_t gram_padded(size_t cols);
/* Floats of a chunk. */
size_t gram_chunk(size_t cols);

/* x [n] to columns from, from + 1 ... of row `row' of a chunk. */
void gram_pack(float *chunk, size_t row, size_t from, const float *x, size_t n);
/*
 * c [gram_padded(cols)^2] += A^T A for the first rows <= GRAM_ROWS of a chunk: the upper triangle;
 * what lies below it is undefined. Columns from cols on must be finite. Both 64-byte aligned.
 */
void gram_add(enum dot_kernel, const float *chunk, size_t rows, size_t cols, float *c);

#endif
