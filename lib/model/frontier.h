/*
 * frontier - what score a router reaches at what cost.
 *
 * The router is asked to choose anew at 61 prices: at a willingness to pay of
 * w USD for a score of 1 it takes the model with the highest w * predicted
 * score - predicted cost (w = 0: the cheapest, w infinite: the best). Each
 * price is a point (mean true cost, mean true score). The frontier is the
 * non-decreasing upper convex hull of the points: what mixing them at random
 * reaches. AIQ, average improvement in quality, is the area under it divided
 * by the range of cost, from the cheapest to the dearest single model; left of
 * its first point a router is worth a mixture of that point and of no answer
 * at no cost, right of its last one as much as there.
 * Source: Hu et al. 2024, RouterBench, arXiv:2403.12031.
 * Depends on: model/eval, math/bootstrap.  Threads: safe.
 */
#ifndef LLMR_MODEL_FRONTIER_H
#define LLMR_MODEL_FRONTIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "math/bootstrap.h"
#include "model/eval.h"

#define FRONTIER_POINTS 61

struct frontier_xy { double x, y; };

/*
 * Reduce p [n] to its non-decreasing upper hull, in place, x ascending; the
 * number of points left. n > 0, all finite.
 */
size_t frontier_hull(struct frontier_xy *p, size_t n);
/* Mean height of a hull (x >= 0) over lo..hi, as said above; NaN unless lo < hi. */
double frontier_area(const struct frontier_xy *hull, size_t n, double lo, double hi);

struct frontier_point {
	double wtp;			/* USD for a score of 1; INFINITY for the last */
	double score, cost;		/* true means */
	bool hull;			/* on the frontier */
};

/* The cheapest point that reaches a score. All but target NaN when none does. */
struct frontier_target {
	double target;			/* score */
	double score, cost;		/* reached; USD per query */
	double share;			/* cost / cost of the single model that is the yardstick */
	double cost_weight;		/* 1 / wtp: the setting that does it */
};

struct frontier {
	/* False, and nothing below set, when a cost is unknown or all models cost the same. */
	bool known;
	struct frontier_point point[FRONTIER_POINTS];
	double lo, hi;			/* mean cost of the cheapest and of the dearest single model */
	size_t strongest;		/* single model with the highest mean score here */
	struct bootstrap_ci aiq, single, delta;	/* router; single models; difference */
	size_t draws;			/* taken; fewer than asked for when that would take minutes */
	struct frontier_target at95;	/* 95 % of the strongest single model's score */
	struct frontier_target at_best;	/* the best single's score */
};

/* prior [m] breaks ties, as in policy. all: the group of all rows of the table. */
int frontier_run(const struct eval_table *, const struct eval_group *all, const float *prior,
	size_t draws, uint64_t seed, struct pool *, struct frontier *, struct err *e);

#endif
