/*
 * calibration - does a predicted score of 0.7 mean 0.7?
 *
 * Predicted against true scores of the chosen models in ten bins of equal
 * width. Expected calibration error: the mean over rows of |mean predicted -
 * mean true| of their bin (Guo et al. 2017, arXiv:1706.04599).
 * Depends on: math/bootstrap.  Threads: safe.
 */
#ifndef LLMR_MODEL_CALIBRATION_H
#define LLMR_MODEL_CALIBRATION_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "math/bootstrap.h"

#define CALIBRATION_BINS 10

struct calibration {
	struct {
		size_t n;
		double predicted, actual;	/* means; NaN when empty */
	} bin[CALIBRATION_BINS];		/* k: predictions in k/10..(k+1)/10, 1 in the last */
	struct bootstrap_ci ece;
};

/* predicted, actual [n]; predictions outside 0..1 count as 0 or 1. */
int calibration_run(const double *predicted, const double *actual, size_t n, size_t draws,
	uint64_t seed, struct pool *, struct calibration *, struct err *e);

#endif
