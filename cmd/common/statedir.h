/*
 * statedir - the one folder that a service may write to.
 */
#ifndef LLMR_CMD_STATEDIR_H
#define LLMR_CMD_STATEDIR_H

#include "base/buf.h"
#include "cmd.h"

/*
 * --state-dir; else /app/data where it can be written to (a container's
 * volume); else $XDG_STATE_HOME/llmr or ~/.local/state/llmr. Made when missing,
 * but for /app/data. A --state-dir that cannot be used is -1 and ERR_CANTCREAT;
 * without any other nothing is kept: out stays empty, and a warning says so.
 */
int statedir_find(struct ctx *c, struct buf *out);

#endif
