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

/* The full rows side by side with what was predicted for them; all of it owned. */
struct eval_table {
	size_t n, m;
	float *score, *cost;		/* [n x m] truth; cost USD, NaN = unknown */
	float *predicted, *expected;	/* [n x m] the router's scores; its costs in USD, NaN = unknown */
	bool *candidate;		/* [m] */
	size_t *row;			/* [n] where the row stands in the input, ascending */
	size_t *choice, *best, *oracle;	/* [n] router, best single, best of the row (cheapest of equals) */
	bool costs;			/* every candidate's cost is known in every row */
};
/* predicted, expected [in->n x in->m]. Fills a zeroed table; eval_table_finish releases it, on failure too. */
int eval_table_make(const struct eval_input *in, const float *predicted, const float *expected,
	struct eval_table *, struct err *e);
void eval_table_finish(struct eval_table *);

/* A part of a table: all of it, or one task. */
struct eval_group {
	size_t n;
	double router, best, random, oracle;			/* mean scores */
	double router_cost, best_cost, oracle_cost;		/* mean USD, NaN unless all are known */
	struct bootstrap_ci score, cost;			/* of the router */
	struct bootstrap_ci delta, gap;				/* as in eval_result */
	struct bootstrap_ci regret;				/* mean of oracle - router */
	struct bootstrap_ci agreement;				/* share of rows on which the choice scores as the oracle */
	struct bootstrap_ci perf_gain;				/* router / best single - 1, of scores */
	struct bootstrap_ci cost_save;				/* 1 - router / best single, of costs */
	double *model_score, *model_cost;			/* [m] means; NaN for no candidate, unknown cost */
	size_t *chosen;						/* [m] how often */
};
/* rows [n] of the table, NULL for all. Fills a zeroed group; eval_group_finish releases it, on failure too. */
int eval_group_make(const struct eval_table *, const size_t *rows, size_t n, size_t draws,
	uint64_t seed, struct pool *, struct eval_group *, struct err *e);
void eval_group_finish(struct eval_group *);

#endif
