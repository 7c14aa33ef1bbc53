/*
 * drift - how far new queries lie from those that a router learned from.
 *
 * Each new query's similarity to its nearest training query is held against
 * what queries of the training set have. Distributions are compared by the
 * population stability index over bins of equal weight in training: sum over
 * bins of (q - p) ln(q / p), counts smoothed by a half. Without any drift its
 * mean is about (bins - 1)(1/n + 1/m); that and twice its deviation are the
 * noise given beside it (Yurdakul & Naranjo 2020, doi:10.21314/JRMV.2020.227).
 * Out of distribution is what lies below the 1 % quantile of training.
 *
 * An embedder that has learned from a query places it otherwise than one that
 * has not, by more than most drift. So where the texts of the training set are
 * at hand, an embedder of the same kind is fitted to four fifths of them, and
 * the last fifth is what the new queries are held against. Without texts, the
 * vectors that a knn artifact holds are compared, each left out in turn; there
 * only what such learning cannot explain counts as drift.
 * Depends on: model/router, model/knn, embed, embed/shape, math/dot.  Threads: safe.
 */
#ifndef LLMR_MODEL_DRIFT_H
#define LLMR_MODEL_DRIFT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/str.h"
#include "model/router.h"

#define DRIFT_BINS 10
#define DRIFT_OOD 0.01		/* quantile of training below which a query is out of distribution */
#define DRIFT_FEW 100		/* with fewer queries the figures are rough */
#define DRIFT_HELD 5		/* one training query in so many is held out */
#define DRIFT_MIN_TEXTS 50	/* fewer texts are not split */
#define DRIFT_MAX_TEXTS 25000	/* of more, an even share is taken */
/* Training queries that are left out in turn: so many that this many pairs are compared, at least so many. */
#define DRIFT_PAIRS ((size_t)200000000)
#define DRIFT_MIN_REFERENCE 1000

struct drift_summary { double mean, p01, p05, p50, p95; };

struct drift_feature {
	size_t index;			/* of the shape (embed/shape) or the vector */
	double psi, train_mean, new_mean;
};

struct drift {
	size_t n, reference;		/* new queries, training queries held against them */
	size_t known;		/* new ones that occur in training, compared without themselves */
	size_t empty;		/* new ones without a known term */
	struct drift_summary train, fresh;	/* similarity to the nearest training query, -1..1 */
	double psi, noise;		/* of that similarity */
	double ood_below, ood;		/* similarity; share of the new queries */
	bool held_out;			/* held against queries that the embedder has not seen */
	bool learned;			/* else: that it has learned from, so that only "further away" counts */
	bool shapes;			/* features are those of embed/shape, else places of the vector */
	size_t n_features;
	struct drift_feature *feature;	/* [n_features] largest index first; owned */
	double feature_noise;		/* what chance may give the largest of them */
};

/*
 * Compare n > 0 texts with the training set of a loaded router (it holds the
 * digests of its queries). train [n_train]: its texts; NULL or fewer than
 * DRIFT_MIN_TEXTS: those that the artifact keeps, else the vectors of kind knn;
 * another kind without texts is ERR_INPUT. With texts the features are those of
 * their shape, else the places of the vectors. The same for any number of threads.
 */
int drift_run(const struct router *, const struct slice *text, size_t n, const struct slice *train,
	size_t n_train, struct pool *, struct cancel *, struct drift *out, struct err *e);
void drift_finish(struct drift *);

/*
 * Does the similarity, the largest feature's index, tell of drift by more than
 * bound and noise? Where the embedder has learned from what it is held against,
 * similarity does only when new queries lie further away, and features never.
 */
bool drift_in_similarity(const struct drift *, double bound);
bool drift_in_features(const struct drift *, double bound);

/* Population stability index of b [m] against a [n], n and m > 0; both get sorted. */
double drift_psi(double *a, size_t n, double *b, size_t m);

#endif
