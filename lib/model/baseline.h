/*
 * baseline - what a router must beat.
 *
 * Best single: the model with the highest mean over its known cells (ties:
 * first by name). Cheapest: the lowest mean cost. Random, oracle, tie rate and
 * the scores of a comparison need queries answered by every model (full rows).
 * Depends on: nothing.  Threads: pure.
 */
#ifndef LLMR_MODEL_BASELINE_H
#define LLMR_MODEL_BASELINE_H

#include <stddef.h>

#define BASELINE_NONE ((size_t)-1)
/* Two scores closer than this are a tie. */
#define BASELINE_TIE 1e-6

struct baseline {
	size_t full;			/* rows whose cells are all known */
	size_t best, cheapest;		/* models; cheapest BASELINE_NONE without costs */
	double best_score;		/* mean over its known cells */
	double cheapest_score;		/* mean over its known cells; NaN without costs */
	double random, oracle;		/* means over full rows; NaN when there is none */
	double tie_rate;		/* full rows whose best score is shared */
	double equal_rate;		/* full rows on which all models score the same */
};

/* score, cost [n x m], NaN = unknown; cost may be NULL. n, m > 0. */
void baseline_compute(const float *score, const float *cost, size_t n, size_t m,
	struct baseline *);

#endif
