/* load - what the router commands share: their --data, --model and --hparam. */
#ifndef LLMR_CMD_LOAD_H
#define LLMR_CMD_LOAD_H

#include "cmd.h"
#include "data/dataset.h"
#include "model/router.h"

/*
 * The dataset of --data (required) in the format FROM ("records" ...); what it
 * left out is told on stderr. NULL and ctx->err on failure.
 */
struct dataset *load_data(struct ctx *, const char *from);
/* The artifact of --model (required). NULL and ctx->err. */
struct router *load_router(struct ctx *);

/* A router artifact; under --require-signature only when its bytes are signed (ERR_NOPERM). */
struct router *load_artifact(struct ctx *, const char *path);

#endif
