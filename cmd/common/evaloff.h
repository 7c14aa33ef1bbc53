/* evaloff - llmr eval --off-policy: judge a router by calls that another policy chose. */
#ifndef LLMR_CMD_EVALOFF_H
#define LLMR_CMD_EVALOFF_H

struct ctx;

/* As a command: 0, or -1 with ctx->err. */
int evaloff_run(struct ctx *);

#endif
