/* grid - the search of train: its options, its table for people, its JSON. */
#ifndef LLMR_CMD_GRID_H
#define LLMR_CMD_GRID_H

#include "base/buf.h"
#include "cmd.h"
#include "model/crossval.h"
#include "model/search.h"

/*
 * The grid of --search and --grid (the kind's own where none is given) for
 * params. *wanted is false, and the grid empty, when neither is given.
 */
int grid_open(struct ctx *, const struct fit_params *, struct search_grid *, bool *wanted);
/* Every candidate with its scores by rung, the chosen one first, to stderr. */
void grid_say(const struct ctx *, const struct search_grid *, const struct search_result *);
/*
 * The search as a JSON object, appended: metric, candidates with their rungs,
 * chosen, its score, and what each fold of the cross-validation chose.
 */
void grid_json(const struct search_grid *, const struct search_result *, const struct crossval *,
	struct buf *out);

#endif
