/* recipe - a training recipe fills what the command line left open. */
#ifndef LLMR_CMD_RECIPE_H
#define LLMR_CMD_RECIPE_H

#include "cmd.h"
#include "data/recipe.h"
#include "model/fit.h"

/*
 * Read --recipe, tell what of it makes no difference, and give its data, output,
 * seed and the like as options that are not set. *out is NULL without --recipe.
 * Release with recipe_free.
 */
int recipe_open(struct ctx *, struct recipe **out);
/* Set its hyperparameters; a bad one is ERR_CONFIG naming file, line and key. NULL is fine. */
int recipe_hparams(struct ctx *, const struct recipe *, struct fit_params *);

#endif
