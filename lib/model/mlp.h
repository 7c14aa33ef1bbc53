/*
 * mlp - multi-layer perceptron: one net predicts the score of every model.
 *
 * Objective score: regression, squared error over the cells that are known.
 * Objective best: classification, softmax over the models that are known, cross
 * entropy. Several nets (n_nets) are averaged. Costs are not learned here but
 * in model/expect. Training is in model/mlptrain.
 * Source: Rumelhart, Hinton & Williams 1986, doi:10.1038/323533a0; hyperparameters
 * by scikit-learn's names.
 * Depends on: model/target, math/affine, fmt/safetensors.
 * Threads: a fitted or loaded mlp is immutable; each thread brings its scratch.
 */
#ifndef LLMR_MODEL_MLP_H
#define LLMR_MODEL_MLP_H

#include "math/affine.h"
#include "model/scorer.h"
#include "model/target.h"

#define MLP_MAX_HIDDEN 8
#define MLP_MAX_WIDTH 8192
#define MLP_MAX_NETS 64
/* Where rows are few the nets differ by chance, and their mean is better than each. */
#define MLP_FEW_ROWS 20000
#define MLP_FEW_NETS 3

enum mlp_activation { MLP_RELU, MLP_TANH, MLP_LOGISTIC, MLP_IDENTITY };

/* Hyperparameters; names, aliases and ranges are those of llmr-train(1). */
struct mlp_params {
	uint32_t hidden[MLP_MAX_HIDDEN];	/* hidden_layer_sizes */
	uint32_t n_hidden;
	enum mlp_activation activation;
	double alpha;			/* L2, divided by the rows of a batch; >= 0 */
	double weight_decay;		/* L2 as it is; >= 0 */
	double rate;			/* learning_rate_init of Adam */
	double dropout;			/* of hidden units, 0 <= p < 1 */
	size_t batch_size;		/* 0 = auto: min(200, rows) */
	size_t max_iter;		/* epochs */
	size_t n_iter_no_change;	/* epochs without improvement that end training */
	double tol;			/* least relative fall of the loss that counts as improvement */
	double validation_fraction;	/* of the rows, held out for early stopping */
	bool early_stopping;
	size_t n_nets;			/* 0 = auto: MLP_FEW_NETS below MLP_FEW_ROWS rows, else 1 */
};

/* Where the layers lie in a block of weights. Layer l: [(size[l] + 1) x stride[l]], the bias last. */
struct mlp_shape {
	size_t layers;				/* hidden + 1 */
	size_t size[MLP_MAX_HIDDEN + 2];	/* inputs of layer l; size[layers] the outputs */
	size_t stride[MLP_MAX_HIDDEN + 1];	/* size[l + 1] padded; the padding is zero */
	size_t offset[MLP_MAX_HIDDEN + 1];	/* in floats, multiples of AFFINE_PAD */
	size_t total;				/* floats in all */
};
/* False when the floats do not fit in memory's address space. */
bool mlp_shape_init(struct mlp_shape *, const struct mlp_params *, size_t inputs, size_t outputs);

/* x [n] in place. */
void mlp_activate(enum mlp_activation, float *x, size_t n);
/* y [m] logits of which known [m] (NaN = not) take part, to probabilities; NULL = all. */
void mlp_softmax(float *y, const float *known, size_t m);

extern const struct scorer_kind mlp_kind;

#endif
