/*
 * fit - from a dataset to a router, and an honest estimate of its worth.
 *
 * Depends on: model/router, model/eval, data/split, embed.  Threads: one caller;
 * work is spread over the pool, and the outcome is the same for any number.
 */
#ifndef LLMR_MODEL_FIT_H
#define LLMR_MODEL_FIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/pool.h"
#include "data/dataset.h"
#include "model/baseline.h"
#include "model/eval.h"
#include "model/router.h"

struct fit_params {
	struct embed_params embed;
	const struct scorer_kind *kind;
	/* Hyperparameters of the kind, as its params_init leaves them. */
	_Alignas(16) unsigned char scorer[SCORER_MAX_PARAMS];
	bool best;		/* objective best: neighbours vote for their best model */
	uint64_t seed;
	struct cancel *cancel;	/* may be NULL */
	struct mode_params mode;	/* router_mode and its like */
	bool scores_alone;	/* no cost and response time, and no table unless a mode is asked for */
};
void fit_params_init(struct fit_params *, const struct scorer_kind *);
/*
 * Set a hyperparameter of the embedder (dim, min_df, max_features, max_bytes)
 * or of the router (model/knn.h), or of the choice (model/mode.h). ERR_USAGE for an unknown name or bad value.
 */
int fit_params_set(struct fit_params *, const char *name, const char *value, struct err *e);

/* Bytes that training will hold at its peak, roughly: matrices, vectors, texts. */
uint64_t fit_memory(const struct fit_params *, const struct dataset *);

/* Learn. NULL and err on failure; release with router_free. */
struct router *fit_router(const struct fit_params *, const struct dataset *, struct pool *,
	struct err *e);

/*
 * K-fold cross-validation by query: embedder and router are learned anew on
 * each fold's training side, best single chosen there too; the held-out choices
 * of all folds are judged together. folds <= queries.
 */
int fit_cv(const struct fit_params *, const struct dataset *, size_t folds, struct pool *,
	const struct progress *, struct cancel *, struct eval_result *out, struct err *e);

/* fit_loo compares about this many pairs of queries, but leaves out at least that many in turn. */
#define FIT_LOO_PAIRS ((size_t)40000000)
#define FIT_LOO_MIN 1000
/*
 * Leave-one-out on a fitted knn router (nothing is compared for other kinds):
 * each query scored without its own row.
 * The embedder has seen the text but never the scores, so it is a little
 * kinder than fit_cv, and much cheaper.
 */
int fit_loo(const struct router *, const struct dataset *, uint64_t seed, struct pool *,
	struct eval_result *out, struct err *e);

/* What llmr.training of the artifact says. cv may be NULL. Members of an open JSON object. */
struct fit_record {
	const struct dataset *data;
	const struct baseline *baseline;
	const struct eval_result *cv, *loo;
	size_t folds;
	uint64_t seed;
	const struct router *router;	/* its index, when it has one */
};
void fit_record_write(const struct fit_record *, struct jsonw *);
/* The hyperparameters as a JSON object's members. */
void fit_params_write(const struct fit_params *, const struct router *, struct jsonw *);

#endif
