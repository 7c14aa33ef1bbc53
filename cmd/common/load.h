/* load - what the router commands share: their --data, --model and --hparam. */
#ifndef LLMR_CMD_LOAD_H
#define LLMR_CMD_LOAD_H

#include "cmd.h"
#include "data/dataset.h"
#include "embed/encoder.h"
#include "model/router.h"

/*
 * The dataset of --data (required) in the format FROM ("records" ...); what it
 * left out is told on stderr. NULL and ctx->err on failure.
 */
struct dataset *load_data(struct ctx *, const char *from);
/* The artifact of --model (required), with the encoder that --embedder names, if any. NULL and ctx->err. */
struct router *load_router(struct ctx *);
/*
 * The encoder of an embedder's name ("bert:PATH", "lsa+bert:PATH"); *out is NULL
 * when the name has none. dtype and truncate as on the command line, NULL the defaults.
 */
int load_encoder(struct ctx *, const char *embedder, const char *dtype, const char *truncate,
	struct encoder **out);

/*
 * A router artifact, with the encoder that it may need (NULL none); under --require-signature only when
 * its bytes are signed (ERR_NOPERM).
 */
struct router *load_artifact(struct ctx *, const char *path, struct encoder *);

#endif
