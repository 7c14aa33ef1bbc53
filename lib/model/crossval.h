/*
 * crossval - K-fold cross-validation by query, with the predictions kept.
 *
 * Embedder and router are learned anew on each fold's training side, best
 * single is chosen there too; the held-out choices of all folds are judged
 * together. A fold from whose training side nothing can be learned (a handful
 * of texts without a common term) does not end it: there the router knows
 * nothing but each model's mean, as it does for a text without known terms.
 * Depends on: model/fit, data/split.  Threads: one caller; work is spread over
 * the pool, and the outcome is the same for any number.
 */
#ifndef LLMR_MODEL_CROSSVAL_H
#define LLMR_MODEL_CROSSVAL_H

#include <stddef.h>

#include "base/err.h"
#include "base/log.h"
#include "base/pool.h"
#include "data/dataset.h"
#include "model/fit.h"

struct crossval_plan {
	const struct fit_params *params;	/* its keep: each fold is a piece */
	size_t folds;				/* 2 .. queries */
	const struct progress *progress;	/* may be NULL */
	const struct log *log;			/* told of folds that could not be learned; may be NULL */
	/*
	 * Set hyperparameters for a fold from its training side alone, and say which
	 * they are by a number below choices; NULL: params serve all. 0 / -1.
	 */
	int (*choose)(void *ctx, const struct dataset *train, struct fit_params *p, size_t *chosen,
		struct err *e);
	void *ctx;
	size_t choices;
};

/* All owned; zeroed memory is fine for crossval_finish. */
struct crossval {
	size_t n, m, folds;
	size_t *fold;			/* [n] */
	size_t *choice, *best;		/* [n] router, best single; POLICY_NONE where the training side was empty */
	float *score;			/* [n x m] predicted by a router that did not see the row */
	size_t *chosen;			/* [folds] what choose said; 0 without it, or in a fold that could not be learned */
	size_t unlearned;		/* folds that knew nothing but means */
	struct eval_result result;
};

/* Fill a zeroed crossval. ERR_INPUT when there are more folds than queries, or no fold could be learned. */
int crossval_run(const struct crossval_plan *, const struct dataset *, struct pool *,
	struct crossval *, struct err *e);
void crossval_finish(struct crossval *);

#endif
