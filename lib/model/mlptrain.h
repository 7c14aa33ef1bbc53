/*
 * mlptrain - fits the weights of one perceptron by Adam on mini-batches.
 *
 * A batch is cut into blocks of rows by its size alone; each block has its own
 * gradient, and they are added in order, so that the outcome is the same for
 * any number of threads. Hidden units are initialised after Glorot & Bengio
 * 2010; dropout after Srivastava et al. 2014.
 * Depends on: model/mlp, math/adam, math/mat.
 */
#ifndef LLMR_MODEL_MLPTRAIN_H
#define LLMR_MODEL_MLPTRAIN_H

#include "model/mlp.h"

/*
 * Train one net into w [shape->total] (64-byte aligned, zeroed), work spread
 * over the pool (NULL = this thread). mat_open was called. epochs (may be NULL)
 * gets how many were run. data's keep is where the state after each epoch is
 * kept. 0; -1 with ERR_INTR when cancelled, ERR_INPUT when it diverged.
 */
int mlptrain_net(const struct mlp_params *, const struct mlp_shape *, const struct scorer_data *,
	const struct target *, uint64_t seed, struct pool *, float *w, size_t *epochs,
	struct err *e);
/* Bytes that it holds beside data and w. */
uint64_t mlptrain_memory(const struct mlp_params *, const struct mlp_shape *, size_t n);

#endif
