/*
 * routellm - how well a router splits calls between a weak and a strong model.
 *
 * The router's predicted lead of the strong model over the weak one is its win
 * rate; thresholds at the deciles of that rate send 0, 10, ... 100 % of the
 * queries to the strong model (rows at the threshold go to it too, but for the
 * last). PGR, performance gap recovered = (score - weak) / (strong - weak).
 *   apgr    mean PGR over the share of strong calls (trapezia): 0.5 for chance
 *   cpt50   smallest share of strong calls at which the curve reaches half of
 *   cpt80   the gap, 80 % of it; between two thresholds by straight line
 * Source: Ong et al. 2024, RouteLLM, arXiv:2406.18665.
 * Depends on: math/bootstrap.  Threads: safe.
 */
#ifndef LLMR_MODEL_ROUTELLM_H
#define LLMR_MODEL_ROUTELLM_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "math/bootstrap.h"

#define ROUTELLM_STEPS 10

struct routellm {
	double weak, strong;				/* mean scores */
	/* Share of strong calls, ascending, and mean score. */
	struct { double share, score; } curve[ROUTELLM_STEPS + 1];
	/* NaN when the strong model is not the better one here. */
	struct bootstrap_ci apgr, cpt50, cpt80;
};

/* lead, weak, strong [n]: predicted score of strong minus that of weak; their true scores. */
int routellm_run(const double *lead, const double *weak, const double *strong, size_t n,
	size_t draws, uint64_t seed, struct pool *, struct routellm *, struct err *e);

#endif
