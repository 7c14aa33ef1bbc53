/*
 * policy - from predicted scores to a choice.
 *
 * Maximises score - cost_weight * cost over the models that are allowed and
 * whose predicted cost is within max_cost. Equal values: the model with the
 * higher mean score in training, then the first by name. A model of unknown
 * cost counts as dear as the dearest known one, and never meets a max_cost.
 * Depends on: nothing.  Threads: pure.
 */
#ifndef LLMR_MODEL_POLICY_H
#define LLMR_MODEL_POLICY_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

#define POLICY_NONE ((size_t)-1)

struct policy {
	double cost_weight;	/* score per USD of a call, >= 0 */
	double max_cost;	/* USD of a call; INFINITY = no limit */
	const bool *allowed;	/* [m], NULL = all */
};
#define POLICY_INIT { 0, INFINITY, NULL }

struct policy_choice {
	size_t model;		/* POLICY_NONE when no model may be chosen */
	size_t runner_up;	/* POLICY_NONE when only one may */
	double propensity;	/* probability of this choice; 1: nothing here is random */
};

/* score [m], cost [m] USD with NaN for unknown, prior [m] mean scores in training. */
void policy_choose(const struct policy *, size_t m, const float *score, const float *cost,
	const float *prior, struct policy_choice *);

#endif
