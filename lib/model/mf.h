/*
 * mf - matrix factorisation: which of two models does better on a prompt.
 *
 * s(q, j) = v_j . (P q) + b_j, with a projection P [latent_dim x d] shared by all
 * models and an embedding v_j of each. Learned by the pairwise logistic loss
 * over pairs of models whose scores truly differ on a query: ties say nothing,
 * and counting them as losses teaches the order of the columns. All pairs of a
 * query share one projection. For scoring, V P collapses to one matrix.
 * A pairwise loss leaves level and scale open. The scale, one for all models, is
 * fitted by least squares on margins of rows that were left out, a quarter at a
 * time; the level of each model is such that its mean prediction over the rows
 * is its mean score. A small scale thus means: call the best single model.
 * Source: Rendle et al. 2009 (BPR), arXiv:1205.2618; Ong et al. 2024
 * (RouteLLM), arXiv:2406.18665, section 4.2.
 * Depends on: model/target, math/adam, math/affine, math/mat.
 * Threads: training runs in the caller's; a fitted or loaded mf is immutable.
 */
#ifndef LLMR_MODEL_MF_H
#define LLMR_MODEL_MF_H

#include "model/scorer.h"

#define MF_MAX_LATENT 4096

/* Hyperparameters; names, aliases and ranges are those of llmr-train(1). */
struct mf_params {
	size_t latent_dim;
	double rate;			/* lr of Adam */
	size_t epochs;
	double noise_alpha;		/* normal noise of this size on query vectors while training */
	double regularization;		/* L2 on P and V; >= 0 */
	size_t batch_size;		/* queries per step */
};

extern const struct scorer_kind mf_kind;

#endif
