/*
 * adam - first-order stochastic optimiser with adaptive moments.
 *
 * Source: Kingma & Ba 2015, arXiv:1412.6980, algorithm 1 with the bias
 * correction folded into the rate, as its section 2 suggests. Every parameter
 * is updated on its own, so that ranges may be updated in any order, by any
 * number of threads, with the same outcome.
 * Depends on: math/dot (choice of kernel), base/mem.
 * Threads: adam_next by one thread; adam_apply on disjoint ranges by any.
 */
#ifndef LLMR_MATH_ADAM_H
#define LLMR_MATH_ADAM_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "math/dot.h"

struct adam {
	size_t n;			/* parameters */
	float *m, *v;			/* [n] moments, 64-byte aligned */
	double rate, beta1, beta2;	/* beta1 0.9, beta2 0.999 after adam_init */
	uint64_t t;			/* steps so far */
	float step;			/* rate of the step under way, bias-corrected */
	enum dot_kernel kernel;
};

/* Zero moments for n parameters; release with adam_finish (zeroed memory is fine). */
int adam_init(struct adam *, size_t n, double rate, struct err *e);
void adam_finish(struct adam *);
/* Begin the next step. */
void adam_next(struct adam *);
/*
 * Update w[from..to) by the gradient scale * (part[0] + ... + part[parts-1]) + decay * w,
 * parts added in order. part[k] and w [n], 64-byte aligned; from a multiple of 16; parts >= 1.
 */
void adam_apply(const struct adam *, float *w, float *const *part, size_t parts, float scale,
	float decay, size_t from, size_t to);

#endif
