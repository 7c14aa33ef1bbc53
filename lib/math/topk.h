/*
 * topk - the k largest of many values, without sorting them.
 *
 * Histogram selection: bucket all values between their extremes, keep the
 * bucket that the k-th largest falls into, repeat; a sample prunes large inputs
 * first. Linear time, no allocation.
 * Depends on: nothing.  Threads: pure functions.
 */
#ifndef LLMR_MATH_TOPK_H
#define LLMR_MATH_TOPK_H

#include <stddef.h>
#include <stdint.h>

/*
 * Indexes of the min(k, n) largest of x[0..n), in ascending order of index;
 * among equal values the lower index wins. x is finite. work [n] is scratch, apart from x.
 * Returns the number written to out [min(k, n)].
 */
size_t topk_select(const float *x, size_t n, size_t k, float *work, uint32_t *out);
/* The k-th largest value (1 <= k <= n); overwrites work [n]. */
float topk_value(const float *x, size_t n, size_t k, float *work);
/* Indexes of all x[i] >= bound, ascending; out [n]. Returns how many. */
size_t topk_at_least(const float *x, size_t n, float bound, uint32_t *out);

#endif
