/*
 * kridge - kernel ridge router: each model's score is a smooth function of
 * where a prompt lies among the training prompts.
 *
 * Ridge regression in the space of the Gaussian kernel exp(-gamma |x - y|^2)
 * (Saunders, Gammerman & Vovk 1998), solved exactly by Cholesky: memory grows
 * with the square of the rows and time with their cube, so beyond max_rows a
 * share of the rows, drawn by the seed, stands for all. Models whose cells are
 * known on the same rows share one factorisation; costs go the same way.
 * Depends on: math/kernel, math/mat, math/dot, model/target.
 * Threads: as model/scorer.
 */
#ifndef LLMR_MODEL_KRIDGE_H
#define LLMR_MODEL_KRIDGE_H

#include <stddef.h>

#include "model/scorer.h"

/* Hyperparameters; names as in scikit-learn where it has them. */
struct kridge_params {
	double gamma;			/* > 0; vectors are of unit length */
	double lambda;			/* penalty, > 0; alpha is the same */
	size_t max_rows;		/* most rows that a system has */
};

extern const struct scorer_kind kridge_kind;

#endif
