/* frompostgres - extract --from postgres: LiteLLM's spend log, by itself or joined to traces. */
#ifndef LLMR_CMD_FROMPOSTGRES_H
#define LLMR_CMD_FROMPOSTGRES_H

#include "cmd.h"

int frompostgres_run(struct ctx *);

#endif
