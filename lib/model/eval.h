/*
 * eval - the outcome of a router's choices against the baselines.
 *
 * Only queries answered by every candidate count (full rows): elsewhere the
 * outcome of the baselines is not known. Intervals are 95 % percentile
 * bootstrap by query, paired (math/bootstrap).
 * Depends on: math/bootstrap, model/policy.  Threads: safe.
 */
#ifndef LLMR_MODEL_EVAL_H
#define LLMR_MODEL_EVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "math/bootstrap.h"

#define EVAL_DRAWS 2000

struct eval_input {
	size_t n, m;
	const float *score, *cost;	/* [n x m] truth, NaN = unknown; cost USD */
	const bool *candidate;		/* [m] models compared, NULL = all */
	const size_t *choice;		/* [n] the router's model */
	const size_t *best;		/* [n] best single, as chosen on training rows */
	size_t cheapest;		/* POLICY_NONE when unknown */
	size_t min_full;		/* with fewer full rows nothing is compared */
	size_t draws;
	uint64_t seed;
};

/* Means over the full rows; NaN where undefined or not compared. */
struct eval_result {
	size_t full;
	bool compared;			/* full >= min_full */
	double router, best, random, cheapest, oracle;
	double router_cost, best_cost, cheapest_cost, oracle_cost;	/* NaN when a cell's cost is unknown */
	double tie_rate;
	struct bootstrap_ci delta;	/* router - best single */
	struct bootstrap_ci gap;	/* (router - best single) / (oracle - best single) */
};

int eval_run(const struct eval_input *, struct pool *, struct eval_result *, struct err *e);

#endif
