/* trainmode - what train is told about the choice: a pair of models, a mode, models without data. */
#ifndef LLMR_CMD_TRAINMODE_H
#define LLMR_CMD_TRAINMODE_H

#include "data/dataset.h"
#include "model/fit.h"
#include "model/router.h"

struct ctx;

/* --weak, --strong, --strong-share into the parameters. 0 / -1 and ctx->err. */
int trainmode_read(struct ctx *, struct fit_params *);
/* Can the mode be had with the models of the data? Before the work; says what it will take. */
int trainmode_check(struct ctx *, const struct fit_params *, const struct dataset *);
/*
 * --candidates: models without data that have a quality_score are taken into
 * the router; those without one are left out and named.
 */
int trainmode_widen(struct ctx *, struct router *);
/* What the mode will do, to standard error. */
void trainmode_say(const struct ctx *, const struct router *);

#endif
