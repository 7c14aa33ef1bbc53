/*
 * search - hyperparameters chosen from a grid by successive halving.
 *
 * All candidates are tried on a few queries, the better third of them on three
 * times as many, and so on, until the last few are tried on all (Jamieson &
 * Talwalkar 2016, arXiv:1502.07943; the resource is the number of queries, as
 * in scikit-learn's HalvingGridSearchCV). On each rung a candidate is
 * cross-validated: what counts is the mean score of its choices on queries
 * left out, or, where too few queries were answered by every model, how near
 * its predictions come to the known scores. An embedder is learned once for all candidates
 * that share its hyperparameters.
 * The figure of the winner is the best of many and so too good. What a search
 * is worth shows when it runs inside each fold of an outer cross-validation:
 * model/crossval with search_choose.
 * Depends on: model/fit, model/crossval.  Threads: one caller; work is spread
 * over the pool, and the outcome is the same for any number.
 */
#ifndef LLMR_MODEL_SEARCH_H
#define LLMR_MODEL_SEARCH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "data/dataset.h"
#include "fmt/jsonw.h"
#include "model/fit.h"

#define SEARCH_MAX_AXES 16
#define SEARCH_MAX_CANDIDATES 1000
#define SEARCH_FACTOR 3			/* one in so many goes on to the next rung */
#define SEARCH_FOLDS 3			/* of the cross-validation on a rung */
#define SEARCH_LEAST 200		/* queries of the first rung, where there are as many */

/* One hyperparameter and the values to try. */
struct search_axis { const char *name, **value; size_t n; };

/* All combinations of the axes' values; the first axis varies slowest. */
struct search_grid {
	struct search_axis axis[SEARCH_MAX_AXES];
	size_t n, candidates;
	struct arena own;
};

/*
 * Add an axis, "NAME=V1,V2,..."; where a value holds commas itself, values are
 * parted (and may be ended) by '|'. Every value is tried on params. ERR_USAGE naming what is wrong.
 */
int search_grid_add(struct search_grid *, const char *spec, const struct fit_params *params,
	struct err *e);
/* The axes that serve most data for a kind; 0 / -1. */
int search_grid_default(struct search_grid *, const struct fit_params *params, struct err *e);
void search_grid_finish(struct search_grid *);
/* Candidate i (0 .. candidates - 1) as hyperparameters. */
int search_apply(const struct search_grid *, size_t i, struct fit_params *, struct err *e);
/* Its values as the members of an open JSON object. */
void search_write_candidate(const struct search_grid *, size_t i, struct jsonw *);
/* "a=1 b=2". */
void search_name(const struct search_grid *, size_t i, struct buf *);

/* A candidate on a rung; score NaN: it could not be learned. */
struct search_cell { size_t candidate, rung, queries; double score; };

struct search_result {
	struct search_cell *cell;	/* [n_cells] by rung, then by candidate; owned */
	size_t n_cells, rungs, winner;
	double score;			/* of the winner on the last rung: too good */
	bool by_error;			/* scores are negated mean squared errors: too few full rows */
};

struct search_plan {
	const struct fit_params *params;	/* what the grid leaves open; its keep: results are pieces */
	const struct search_grid *grid;
	const struct progress *progress;	/* may be NULL */
};
/* Fill a zeroed result; release it with search_finish, on failure too. */
int search_run(const struct search_plan *, const struct dataset *, struct pool *,
	struct search_result *, struct err *e);
void search_finish(struct search_result *);

/* For crossval_plan.choose, with a struct search_nested as ctx: each fold is searched on its training side. */
struct search_nested { const struct search_plan *plan; struct pool *pool; };
int search_choose(void *nested, const struct dataset *train, struct fit_params *p, size_t *chosen,
	struct err *e);

/* Bytes that a search holds at its peak beside the dataset, as an upper bound. */
uint64_t search_memory(const struct search_plan *, const struct dataset *);

#endif
