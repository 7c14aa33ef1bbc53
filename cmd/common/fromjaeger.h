/* fromjaeger - extract --from jaeger and --from tempo: stores that are asked window by window. */
#ifndef LLMR_CMD_FROMJAEGER_H
#define LLMR_CMD_FROMJAEGER_H

#include <stdbool.h>

#include "cmd.h"

int fromjaeger_run(struct ctx *, bool tempo);

#endif
