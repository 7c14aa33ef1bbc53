/*
 * outoffold - predictions for training rows by models that have not seen them.
 *
 * The cheapest honest way that a kind offers: those that it made while fitting,
 * leaving out one row at a time, or fits without a third of the rows each.
 * Depends on: model/scorer.  Threads: one caller; work is spread over data->pool.
 */
#ifndef LLMR_MODEL_OUTOFFOLD_H
#define LLMR_MODEL_OUTOFFOLD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "model/scorer.h"

/* Is it nearly free, or does it take fits of its own? */
bool outoffold_cheap(const struct scorer_kind *, const void *model);
/*
 * out [rows x m]: predictions for the first rows of data. model was fitted with
 * params on data. 0 / -1 and err.
 */
int outoffold_scores(const struct scorer_kind *, const void *params, const void *model,
	const struct scorer_data *data, size_t rows, float *out, struct err *e);

#endif
