/*
 * ridge - linear router: each model's score is an affine function of the vector.
 *
 * Least squares with a penalty on the weights, not on the intercept (Hoerl &
 * Kennard 1970, doi:10.1080/00401706.1970.10488634), by the normal equations:
 * rows stream past in blocks, only a Gram matrix is held. Cells that were not
 * observed take no part: models with the same pattern of them share a Gram
 * matrix. Costs, where known, are predicted the same way.
 * Depends on: math/mat, math/affine, model/target.  Threads: as model/scorer.
 */
#ifndef LLMR_MODEL_RIDGE_H
#define LLMR_MODEL_RIDGE_H

#include "model/scorer.h"

/* Hyperparameters: lambda (alpha, as scikit-learn calls it). */
struct ridge_params {
	double lambda;			/* penalty, > 0 */
};

extern const struct scorer_kind ridge_kind;

#endif
