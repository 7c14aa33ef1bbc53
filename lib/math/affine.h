/*
 * affine - one vector through a matrix, for scoring a single query.
 *
 * Weights lie by input, outputs padded to a multiple of AFFINE_PAD, so that
 * memory is read straight on, nothing is summed across a register, and inputs
 * that are zero (half of them behind relu) cost nothing. The kernel is chosen
 * once, by what the CPU has; they agree within a few units in the last place.
 * Depends on: math/dot (choice of kernel).  Threads: pure functions.
 */
#ifndef LLMR_MATH_AFFINE_H
#define LLMR_MATH_AFFINE_H

#include <stddef.h>

#include "math/dot.h"

#define AFFINE_PAD 16
#define AFFINE_STRIDE(n) (((n) + AFFINE_PAD - 1) / AFFINE_PAD * AFFINE_PAD)

/*
 * y [stride] = w[in] + sum over i < in of x[i] * w[i].
 *   w [(in + 1) x stride] the last row is the bias; 64-byte aligned
 *   x [in]   y [stride] 64-byte aligned; stride a multiple of AFFINE_PAD
 */
void affine_apply(enum dot_kernel, const float *w, size_t in, size_t stride, const float *x,
	float *y);

#endif
