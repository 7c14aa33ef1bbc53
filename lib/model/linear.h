/*
 * linear - somebody's own weights as a router: layers of weight and bias.
 *
 * Kind "linear": one layer, or several with an activation between them. It is
 * not trained here but made of a safetensors file by linear_import; what comes
 * out of the last layer becomes the scores by the link. Costs are unknown.
 * Tensors in an artifact: llmr-artifact(5).
 * Depends on: model/scorer, model/target.  Threads: immutable; each thread brings its scratch.
 */
#ifndef LLMR_MODEL_LINEAR_H
#define LLMR_MODEL_LINEAR_H

#include "model/scorer.h"

#define LINEAR_MAX_LAYERS 8
#define LINEAR_MAX_WIDTH 65536
/* Largest size of a weight that is taken. */
#define LINEAR_MAX_WEIGHT 1e6f

enum linear_link { LINEAR_IDENTITY, LINEAR_LOGISTIC, LINEAR_SOFTMAX };
enum linear_activation { LINEAR_ACT_RELU, LINEAR_ACT_TANH, LINEAR_ACT_LOGISTIC, LINEAR_ACT_IDENTITY };

struct linear_params {
	enum linear_link link;			/* outputs to scores */
	enum linear_activation activation;	/* between layers */
};

extern const struct scorer_kind linear_kind;

/*
 * A model from a file of weights, F32: "weight" [m x d] and, if there is one,
 * "bias" [m]; or with layers, "layers.0.weight" [h x d], "layers.0.bias" [h] and
 * so on up to m outputs. row [m]: which output is model j. All of it is copied.
 * NULL and ERR_INPUT naming the tensor that is wrong. Release by linear_kind.free.
 */
void *linear_import(const struct tensorfile *, bool layers, const size_t *row, size_t m, size_t d,
	const struct linear_params *, struct err *e);

#endif
