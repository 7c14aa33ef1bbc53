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
	struct checkpoint_at keep;	/* where pieces of a long training are kept; zeroed: nowhere */
	struct mode_params mode;	/* router_mode and its like */
	bool scores_alone;	/* no cost and response time, and no table unless a mode is asked for */
};
void fit_params_init(struct fit_params *, const struct scorer_kind *);
/*
 * Set a hyperparameter of the embedder (dim, min_df, max_features, max_bytes)
 * or of the router (model/knn.h), or of the choice (model/mode.h). ERR_USAGE for an unknown name or bad value.
 */
int fit_params_set(struct fit_params *, const char *name, const char *value, struct err *e);

/*
 * Bytes that training will hold at its peak beside the dataset, as an upper
 * bound: what the embedder is learned with, vectors, what the kind holds.
 */
uint64_t fit_memory(const struct fit_params *, const struct dataset *);

/* Learn. NULL and err on failure; release with router_free. */
struct router *fit_router(const struct fit_params *, const struct dataset *, struct pool *,
	struct err *e);

/*
 * The same in two steps, so that several trainings can share the first. fit_embed
 * learns an embedder from the texts and turns them into vectors; fit_scorer
 * learns from these; release its model with the kind's free.
 */
struct fit_space {
	struct embedder *embed;		/* owned; router_free has it once a router was made of it */
	float *x;			/* [n x d] */
	size_t n, d;
};
int fit_embed(const struct fit_params *, const struct dataset *, struct pool *, struct fit_space *,
	struct err *e);
void fit_space_finish(struct fit_space *);	/* zeroed memory is fine */
void *fit_scorer(const struct fit_params *, const struct dataset *, const struct fit_space *,
	struct pool *, struct err *e);
/* Mean of each column's known cells [m]; none for a column without any. NULL when memory lacks; free(3). */
float *fit_column_means(const float *cells, size_t n, size_t m, float none, struct err *e);

/* Outcome of choices on a dataset's full rows: choice, best [n], POLICY_NONE = a row that does not count. */
int fit_judge(const struct dataset *, const size_t *choice, const size_t *best, uint64_t seed,
	struct pool *, struct eval_result *out, struct err *e);

/* fit_loo compares about this many pairs of queries, but leaves out at least that many in turn. */
#define FIT_LOO_PAIRS ((size_t)40000000)
#define FIT_LOO_MIN 1000
/*
 * Leave-one-out on a fitted knn router (nothing is compared for other kinds):
 * each query scored without its own row.
 * The embedder has seen the text but never the scores, so it is a little
 * kinder than crossval_run, and much cheaper.
 */
int fit_loo(const struct router *, const struct dataset *, uint64_t seed, struct pool *,
	struct eval_result *out, struct err *e);

/* What llmr.training of the artifact says. cv may be NULL. Members of an open JSON object. */
struct fit_record {
	const struct dataset *data;
	const struct baseline *baseline;
	const struct eval_result *cv, *loo;
	size_t folds, unlearned;	/* of them, those that knew nothing but means */
	uint64_t seed;
	const char *weights;		/* what queries count for: "record", "uniform", "task"; NULL = nobody said */
	const char *search;		/* JSON text on the search for hyperparameters; NULL = there was none */
	const struct router *router;	/* its index, when it has one */
};
void fit_record_write(const struct fit_record *, struct jsonw *);
/* The hyperparameters as a JSON object's members: as the router has them, or, NULL, as they are asked for. */
void fit_params_write(const struct fit_params *, const struct router *, struct jsonw *);

#endif
