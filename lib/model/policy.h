/*
 * policy - from predicted scores to a choice.
 *
 * Maximises score - cost_weight * cost - latency_weight * latency over the
 * models that are allowed and whose expected cost and latency are within
 * max_cost and max_latency. Equal values: the model with the higher prior, then
 * the first by name. A model of unknown cost (or latency) counts as dear (slow)
 * as the dearest (slowest) known one, and never meets a limit.
 *
 * A mode chooses between two models alone, by a bound on the difference of
 * their values or by a draw, or draws from all.
 *
 * Exploration keeps learning possible: epsilon is the chance of a uniform draw,
 * temperature (not with a pair) that of a softmax over the values, both over the
 * best model and those whose expected cost is within explore_cost. The
 * probability with which the choice was made is its propensity, exact.
 * Depends on: nothing.  Threads: pure.
 */
#ifndef LLMR_MODEL_POLICY_H
#define LLMR_MODEL_POLICY_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define POLICY_NONE ((size_t)-1)

/* How the choice is made where it is not the highest value of all; zeroed: it is (model/mode). */
struct policy_mode {
	bool pair;		/* between weak and strong alone: weak where slope * lead + offset >= 0 */
	bool draw;		/* at random: weak with probability 1 / (1 + exp(-(slope * lead + offset))) */
	size_t weak, strong;
	double slope, offset;	/* lead: value of weak - value of strong; slope > 0, offset may be infinite */
	double temperature;	/* draw without a pair: by a softmax of the values over it */
};

struct policy {
	double cost_weight;	/* score per USD of a call, >= 0 */
	double max_cost;	/* USD of a call; INFINITY = no limit */
	const bool *allowed;	/* [m], NULL = all */
	double latency_weight;	/* score per second of a call, >= 0 */
	double max_latency;	/* seconds of a call; INFINITY = no limit */
	/* [m] expected seconds, NaN or below 0 = unknown; NULL = all unknown, to router_route: its own. */
	const float *latency;
	const float *prior;	/* [m] in place of the means in training; NULL = those */
	double epsilon;		/* 0..1 */
	double temperature;	/* of the softmax, in units of score; 0 = always the best */
	double explore_cost;	/* USD of a call; INFINITY = no limit */
	struct policy_mode mode;
	uint64_t seed;		/* of the draw, with the request and the text */
	struct slice request;	/* id of the request; may be SLICE_NONE */
};
#define POLICY_INIT { .max_cost = INFINITY, .max_latency = INFINITY, .explore_cost = INFINITY }

struct policy_choice {
	size_t model;		/* POLICY_NONE when no model may be chosen */
	size_t runner_up;	/* best of the others; POLICY_NONE when only one may be chosen */
	double propensity;	/* probability of this choice; 1 when nothing is random */
	bool explored;		/* it is not the model of the highest value */
};

/* score [m], cost [m] USD with NaN for unknown, prior [m] mean scores in training. Nothing random. */
void policy_choose(const struct policy *, size_t m, const float *score, const float *cost,
	const float *prior, struct policy_choice *);

/* Is anything random in it: exploration, or a mode that draws? */
bool policy_explores(const struct policy *);
/* The same, then explore by u, uniform in 0 <= u < 1. */
void policy_draw(const struct policy *, size_t m, const float *score, const float *cost,
	const float *prior, double u, struct policy_choice *);

#endif
