/* froms3 - extract --from s3: what LiteLLM's S3 logger left in a bucket. */
#ifndef LLMR_CMD_FROMS3_H
#define LLMR_CMD_FROMS3_H

#include "cmd.h"

int froms3_run(struct ctx *);

#endif
