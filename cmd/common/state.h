/* state - where a server keeps what outlives it. */
#ifndef LLMR_CMD_STATE_H
#define LLMR_CMD_STATE_H

#include "base/buf.h"
#include "cmd.h"

/*
 * --state-dir, /app/data where that can be written, $XDG_STATE_HOME/llmr,
 * ~/.local/state/llmr, in this order; appended. False when there is none.
 */
bool state_folder(struct ctx *, struct buf *out);

#endif
