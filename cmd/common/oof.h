/* oof - the predictions of a cross-validation on queries left out, as a file. */
#ifndef LLMR_CMD_OOF_H
#define LLMR_CMD_OOF_H

#include "cmd.h"
#include "data/dataset.h"
#include "model/crossval.h"

/* JSON Lines as share/oof.schema.json says, a line a query, by query_id. Atomic. 0 / -1 and ctx->err. */
int oof_save(struct ctx *, const struct dataset *, const struct crossval *, const char *path);

#endif
