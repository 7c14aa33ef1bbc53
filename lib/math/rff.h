/*
 * rff - random Fourier features and the ridge regression on them.
 *
 * z(x) = sqrt(2 / D) cos(omega x + phase): the inner product of two is the rbf
 * kernel on average, with an error of about 1 / sqrt(D).
 * Source: Rahimi, Recht 2007 (NIPS 20).
 * Depends on: math/kernel, math/mat.  Threads: one caller at a time per pool.
 */
#ifndef LLMR_MATH_RFF_H
#define LLMR_MATH_RFF_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/pool.h"
#include "math/mat.h"

/* omega [dims x d] and phase [dims] for exp(-gamma |x - y|^2). */
void rff_draw(double gamma, size_t d, size_t dims, uint64_t seed, float *omega, float *phase);
/* out [dims] of one vector. */
void rff_one(const float *omega, const float *phase, size_t d, size_t dims, const float *x,
	float *out);

struct rff_problem {
	struct mat x;			/* [n x d] */
	const float *omega, *phase;	/* NULL: the vectors themselves (dims = d) */
	size_t dims, m;
	const float *y;			/* [n x m] targets, NaN: no part in that column */
	const float *weight;		/* [n], NULL = all 1 */
	double alpha;			/* ridge penalty; the constant is not penalised */
	struct cancel *cancel;
};

/*
 * coef [m x dims], bias [m]. Rows go through in pieces; when every target is
 * known one Gram matrix serves all columns, else each has its own.
 */
int rff_ridge(const struct rff_problem *, float *coef, float *bias, struct pool *, struct err *e);
/* Bytes that it holds meanwhile. */
uint64_t rff_memory(size_t n, size_t dims, size_t m);

#endif
