/*
 * outlier - is a prompt far from all that a router was trained on?
 *
 * For routers that keep their training rows (knn, hybrid with one): the
 * similarity to the nearest row, against the 1 % quantile of the same among
 * the training rows themselves, as `llmr drift` counts it, here of a sample
 * of them.
 * Depends on: serve/loaded, model/knn.  Threads: as said per function.
 */
#ifndef LLMR_SERVE_OUTLIER_H
#define LLMR_SERVE_OUTLIER_H

#include <stdbool.h>

#include "serve/loaded.h"

/*
 * Find the bound; some hundred searches, so not on a thread that serves.
 * Nothing happens for a router without rows, or when memory lacks. Threads:
 * one at a time; readers go on meanwhile.
 */
void outlier_calibrate(struct loaded *);
/* Was the text that the scratch scored last beyond the bound? False while there is none. Threads: safe. */
bool outlier_is(const struct loaded *, const struct router_scratch *);

#endif
