/* trainnotes - what hyperparameters come to with the data at hand, said before the work. */
#ifndef LLMR_CMD_TRAINNOTES_H
#define LLMR_CMD_TRAINNOTES_H

#include "data/dataset.h"
#include "model/fit.h"
#include "model/search.h"

struct ctx;

/*
 * To standard error: neighbours that are too many or few, a kernel that will be
 * approximated, rows that will stand for all, hyperparameters without effect.
 * grid: what is searched, NULL when nothing is. 0 / -1 and ctx->err.
 */
int trainnotes(struct ctx *, const struct fit_params *, const struct search_grid *grid,
	const struct dataset *);

#endif
