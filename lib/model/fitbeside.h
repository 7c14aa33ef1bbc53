/*
 * fitbeside - what a router learns beside its scorer: cost and response time, and the table for modes.
 *
 * Depends on: model/fit, model/expect, model/mode, model/outoffold.
 * Threads: as model/fit.
 */
#ifndef LLMR_MODEL_FITBESIDE_H
#define LLMR_MODEL_FITBESIDE_H

#include "model/fit.h"

/* Bytes that it holds beside the data. */
uint64_t fitbeside_memory(const struct dataset *, size_t d);
/*
 * Into r (expect, table, mode), whose models and score_mean are set. data: what
 * model, of p->kind, was fitted on. The table is made where the kind has it
 * nearly for free, where there are two models, and where a mode is asked for.
 */
int fitbeside_run(const struct fit_params *p, const struct dataset *, const struct scorer_data *data,
	const void *model, struct router *r, struct err *e);

#endif
