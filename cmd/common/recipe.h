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
/* The description that train writes beside its output must not be the recipe itself. 0, or -1 and ERR_USAGE. */
int recipe_spared(struct ctx *, const char *output);
/* Set its hyperparameters; a bad one is ERR_CONFIG naming file, line and key. NULL is fine. */
int recipe_hparams(struct ctx *, const struct recipe *, struct fit_params *);

#endif
