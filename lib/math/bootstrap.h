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

/*
 * Any k statistics at once. fn computes them from how often each of the n
 * items was drawn (count [n], sum n; all 1: the sample itself) into out [k],
 * NaN where undefined; worker < pool_threads names its scratch.
 */
typedef void bootstrap_fn(void *arg, const uint32_t *count, unsigned worker, double *out);
/*
 * ci [k]: value from the sample itself. p [k] or NULL: two-sided, that the
 * statistic is 0, from the share of draws on the other side of 0 (never below
 * 2 / (draws + 1)).
 */
int bootstrap_stats(bootstrap_fn *fn, void *arg, size_t n, size_t k, size_t draws, uint64_t seed,
	struct pool *, struct bootstrap_ci *ci, double *p, struct err *e);

#endif
