/*
 * fittable - the table by which modes are calibrated: what a router predicts for rows it has not seen.
 *
 * Embedder and scorer are fitted anew without a fifth of the rows, which are
 * then predicted; so often until there are rows enough. An embedder that has
 * seen a text places it differently from a new one, and that shifts the shares
 * of calls by many points, so neither leaving out single rows nor leaving them
 * out of the scorer alone will do.
 * Depends on: model/fit, model/mode, data/split.  Threads: as model/fit.
 */
#ifndef LLMR_MODEL_FITTABLE_H
#define LLMR_MODEL_FITTABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "model/fit.h"

/* Is there to be one? Where a mode is asked for; outside cross-validation for two models, and on request. */
bool fittable_wanted(const struct fit_params *, const struct dataset *);
/* How many more fits it takes. */
size_t fittable_fits(const struct dataset *);
/* Into r (table, mode, mode_params), whose models and score_mean are set. 0 / -1 and err. */
int fittable_run(const struct fit_params *, const struct dataset *, struct router *r, struct pool *,
	struct err *e);

#endif
