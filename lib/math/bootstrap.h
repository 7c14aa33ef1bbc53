/*
 * bootstrap - percentile intervals by resampling queries.
 *
 * Efron & Tibshirani 1993, chapter 13. All statistics of one draw use the same
 * resample, so differences are paired. Each draw has its own stream of random
 * numbers: the outcome does not depend on threads.
 * Depends on: base/clock (rng), base/pool.  Threads: safe.
 */
#ifndef LLMR_MATH_BOOTSTRAP_H
#define LLMR_MATH_BOOTSTRAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"

struct bootstrap_ci {
	double value, lo, hi;		/* 95 % interval; all NaN where undefined */
};

/*
 * a, b, c [n]: per-query outcome of the router, of the baseline, of the ideal.
 *   delta  mean(a) - mean(b)
 *   gap    (sum a - sum b) / (sum c - sum b); undefined when the ideal equals the baseline
 */
int bootstrap_paired(const double *a, const double *b, const double *c, size_t n, size_t draws,
	uint64_t seed, struct pool *, struct bootstrap_ci *delta, struct bootstrap_ci *gap,
	struct err *e);

#endif
