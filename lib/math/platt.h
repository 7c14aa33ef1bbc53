/*
 * platt - probabilities from the decision values of two-class machines.
 *
 * Source: Platt 1999 with the Newton iteration of Lin, Lin, Weng 2007
 * (doi:10.1007/s10994-007-5018-6); coupling of all pairs by the second method
 * of Wu, Lin, Weng 2004 (JMLR 5, p. 975).
 * Threads: pure functions.
 */
#ifndef LLMR_MATH_PLATT_H
#define LLMR_MATH_PLATT_H

#include <stdbool.h>
#include <stddef.h>

/* P(positive | v) = 1 / (1 + exp(a v + b)); a < 0 where larger values are more positive. */
struct platt { double a, b; };

/* Fit to n values (n may be 0: then 1 / (1 + exp(-v))) and whether each was positive. */
struct platt platt_fit(const double *value, const bool *positive, size_t n);
double platt_probability(struct platt, double value);

/*
 * p [k], summing to 1, from r [k x k]: r[i k + j] = P(i | i or j), in (0, 1),
 * r[j k + i] = 1 - it. work [k x k + k].
 */
void platt_couple(const double *r, size_t k, double *work, double *p);

#endif
