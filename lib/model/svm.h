/*
 * svm - support vector machines as a router.
 *
 * Objective score: an epsilon-regression per model over one kernel matrix that
 * all share; objective best: one machine per pair of models, with probabilities
 * from a held-out part (math/platt), so that a score is the probability of being
 * the best. Above exact_rows training rows: ridge regression on random Fourier
 * features of the same kernel, and approximated says so.
 * Support vectors are stored once, in binary16, for every model.
 * Source: Chang, Lin 2011, doi:10.1145/1961189.1961199.
 * Depends on: math/smo, math/rff, math/dot, model/scorer.  Threads: as model/scorer.
 */
#ifndef LLMR_MODEL_SVM_H
#define LLMR_MODEL_SVM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "math/dot.h"
#include "math/kernel.h"
#include "model/scorer.h"

#define SVM_MAX_DIM 65536
#define SVM_MAX_DEGREE 9

enum svm_gamma { SVM_GAMMA_SCALE, SVM_GAMMA_AUTO, SVM_GAMMA_NUMBER };

struct svm_params {
	enum kernel_type kernel;
	enum svm_gamma gamma_rule;	/* scale: 1 / (d variance of all elements); auto: 1 / d */
	double gamma;			/* as resolved by fit */
	double C;			/* 0: the default of the objective */
	double epsilon, coef0, tol;
	double alpha;			/* ridge penalty of the approximation */
	size_t degree;
	size_t cache_mb;		/* MiB of kernel rows while fitting */
	size_t exact_rows;		/* more training rows than this: approximated */
	size_t n_components;		/* Fourier features */
	bool probability;		/* best: calibrated; false: share of the pairs won */
	bool approximated;		/* set by fit */
};

struct svm {
	struct svm_params params;
	size_t d, m;
	size_t n;			/* support vectors, or Fourier features (n_components, or d when linear) */
	size_t classes;			/* 0: regression */
	const float *mean;		/* [m] mean score, or share of rows where best */
	const float *cost_mean;		/* [m] USD, -1 = unknown */
	/* exact */
	const uint16_t *rows;		/* [n x d] binary16; of classes: sorted by class */
	/* approximated */
	const float *omega, *phase;	/* [n x d], [n]; NULL when linear */
	/*
	 * Regression: coef [m x n], bias [m]. Classification: coef [(classes - 1) x n], the weight of
	 * a row of class a against b in line b < a ? b : b - 1; bias and sigmoid [pairs], [pairs x 2].
	 */
	const float *coef, *bias, *sigmoid;
	const uint32_t *class_model;	/* [classes] ascending */
	const uint32_t *class_rows;	/* [classes] */
	/* made at fit and load */
	struct kernel k;
	enum dot_kernel dot;
	float *half_norm;		/* [n] of the rows as stored */
	void *owned[10];		/* freed with it */
};

/* "rbf", "linear", "poly". */
const char *svm_kernel_name(enum kernel_type);
/* Number of pairs of k classes. */
size_t svm_pairs(size_t k);
/* The kernel of the resolved parameters; half_norm of the stored rows. 0 / -1. */
int svm_prepare(struct svm *, struct err *e);
void svm_free(struct svm *);

extern const struct scorer_kind svm_kind;

#endif
