/*
 * trees - extremely randomised trees: many coarse maps of the vectors, averaged.
 *
 * Geurts, Ernst & Wehenkel 2006, doi:10.1007/s10994-006-6226-1. At each node
 * some of the dimensions are tried, each with one threshold drawn at random
 * between its extremes there, and the split kept that leaves least squared
 * error over all models at once. A leaf predicts the mean of its rows. Where a
 * model has no known cell in a leaf, the leaf says what the node above it says.
 * Trees see what linear and distance-based kinds do not: steps and
 * interactions of a few dimensions, such as those of embed/shape.
 * Depends on: model/target.  Threads: as model/scorer.
 */
#ifndef LLMR_MODEL_TREES_H
#define LLMR_MODEL_TREES_H

#include "model/scorer.h"

#define TREES_MAX 2000
#define TREES_MAX_DEPTH 40

/* Hyperparameters; names as in scikit-learn, and dims. */
struct trees_params {
	size_t n_estimators;		/* trees, 1..TREES_MAX */
	size_t min_samples_leaf;	/* rows of a leaf, at least */
	size_t max_depth;		/* 1..TREES_MAX_DEPTH */
	double max_features;		/* share of the dimensions tried at a node, above 0 and up to 1 */
	size_t dims;			/* only so many dimensions are looked at, those that tell most by themselves */
};

extern const struct scorer_kind trees_kind;

#endif
