/*
 * hybrid - several kinds of router blended.
 *
 * Each member is fitted on all rows; what it is worth shows on rows that it was
 * not fitted on: `folds` times a part of the rows is left out and predicted by
 * members fitted on the rest. The weights are those that leave the least
 * squared error of the differences between models on a query, none negative, in
 * all 1 together with that of each model's mean, which stands for knowing
 * nothing; the members' are drawn a little towards equal ones (stacking: Wolpert 1992,
 * doi:10.1016/S0893-6080(05)80023-1; Breiman 1996, doi:10.1007/BF00117832). Of
 * more than 30,000 rows left out only so many, drawn by the seed, are predicted.
 *
 * Far from all that it was trained on a router guesses, and guessing loses to
 * the best single model. With knn among the members, the cosine of a query to
 * its nearest training query tells how far it is: below one bound the
 * prediction is each model's mean (so the choice is the best single model),
 * above another the blend, between them a mixture. The bounds are where the
 * outcome on rows left out at random is best, less what any of the regions left
 * out whole (clusters of the vectors stand for tasks) loses beyond its noise;
 * but never so high that more than a quarter of the former would be concerned.
 * Depends on: model/knn, model/target, and whatever kinds are registered.
 * Threads: as model/scorer.
 */
#ifndef LLMR_MODEL_HYBRID_H
#define LLMR_MODEL_HYBRID_H

#include <stdbool.h>
#include <stddef.h>

#include "model/knn.h"
#include "model/scorer.h"

#define HYBRID_MEMBERS 7
#define HYBRID_SLOT 256

/*
 * Hyperparameters: members (names with commas), folds, regions, guard (true,
 * false), and those of a member behind its name and a dot: knn.n_neighbors.
 */
struct hybrid_params {
	bool member[HYBRID_MEMBERS];	/* in the order of hybrid_member_name */
	bool given[HYBRID_MEMBERS];	/* a hyperparameter of it was set, member or not */
	bool guard;
	size_t folds, regions;		/* 2.. */
	struct { _Alignas(16) unsigned char bytes[HYBRID_SLOT]; } of[HYBRID_MEMBERS];
};

extern const struct scorer_kind hybrid_kind;

/* "knn" ..., NULL from HYBRID_MEMBERS on. */
const char *hybrid_member_name(size_t i);
/* Weight of member i in the blend, 0 when it is none. */
double hybrid_weight(const void *model, size_t i);
/* The knn among the members, NULL when there is none; its scratch within a scratch. */
const struct knn *hybrid_knn(const void *model);
const struct knn_scratch *hybrid_knn_scratch(const void *model, const void *scratch);

#endif
