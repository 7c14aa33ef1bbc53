/*
 * gemm512 - gemm's kernels for AVX-512, with BF16 and VNNI where the CPU has them.
 *
 * Depends on: math/gemm.  Threads: pure.
 */
#ifndef LLMR_MATH_GEMM512_H
#define LLMR_MATH_GEMM512_H

#include "math/gemm.h"

/* The i-th way for weights of a type that this CPU can go; NULL when there is none. */
const struct gemm_kernels *gemm512_kernels(enum gemm_type, size_t i);

#endif
