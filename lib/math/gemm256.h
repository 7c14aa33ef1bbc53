/*
 * gemm256 - gemm's kernels for AVX2 with FMA.
 *
 * Depends on: math/gemm.  Threads: pure.
 */
#ifndef LLMR_MATH_GEMM256_H
#define LLMR_MATH_GEMM256_H

#include "math/gemm.h"

/* NULL where the CPU has no AVX2 or no FMA. */
const struct gemm_kernels *gemm256_kernels(enum gemm_type);

#endif
