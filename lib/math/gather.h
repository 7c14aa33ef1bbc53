/*
 * gather - weighted sums of rows picked from a table.
 *
 * The product of a sparse row and a dense table, for tables too large for the
 * near caches: the rows that come are prefetched. AVX-512 and AVX2 with FMA
 * are chosen at run time; the plain form is the reference, equal within
 * rounding (fused multiply-add). The terms are summed in the order given.
 * Depends on: nothing.  Threads: pure functions.
 */
#ifndef LLMR_MATH_GATHER_H
#define LLMR_MATH_GATHER_H

#include <stddef.h>
#include <stdint.h>

/* Rows are padded to a multiple of this many columns. */
#define GATHER_COLS 32

/*
 * out [cols] = sum over i < n of coef[i] * table[row[i]][..]. cols = columns of the table, row to
 * row, a multiple of GATHER_COLS; every row[i] lies in the table.
 */
void gather_f32(const float *table, size_t cols, const uint32_t *row, const float *coef, size_t n,
	float *out);
/* The same over signed bytes; a row's scale belongs into coef. */
void gather_i8(const int8_t *table, size_t cols, const uint32_t *row, const float *coef, size_t n,
	float *out);

/* The plain forms, for tests. */
void gather_f32_ref(const float *table, size_t cols, const uint32_t *row, const float *coef,
	size_t n, float *out);
void gather_i8_ref(const int8_t *table, size_t cols, const uint32_t *row, const float *coef,
	size_t n, float *out);

#endif
