/*
 * hist - log-linear histogram of durations.
 *
 * Buckets of constant relative width: values below 256 exactly, above in 128
 * steps per power of two, so a quantile is at most 0.4 % off. The manner of
 * HdrHistogram (G. Tene). Recording is one increment, no allocation.
 * Depends on: nothing.  Threads: one thread at a time; merge afterwards.
 */
#ifndef LLMR_MATH_HIST_H
#define LLMR_MATH_HIST_H

#include <stddef.h>
#include <stdint.h>

#define HIST_SUB_BITS 7
#define HIST_BUCKETS ((65 - HIST_SUB_BITS) << HIST_SUB_BITS)

struct hist {
	uint64_t count[HIST_BUCKETS];
	uint64_t n, max, min;		/* min is meaningless while n == 0 */
	double sum;
};

void hist_init(struct hist *);
/* Any unit; the callers here use nanoseconds. */
void hist_add(struct hist *, uint64_t v);
void hist_merge(struct hist *, const struct hist *other);
/*
 * Smallest recorded value v such that at least q (0..1) of the values are <= v,
 * to bucket precision; 0 when empty.
 */
double hist_quantile(const struct hist *, double q);
double hist_mean(const struct hist *);

#endif
