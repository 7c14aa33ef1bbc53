/* hook - run a command on a change, without a shell; values go along in its environment. */
#ifndef LLMR_CMD_HOOK_H
#define LLMR_CMD_HOOK_H

#include "cmd.h"

struct hook_value { const char *name, *value; };

/*
 * argv[0..n-1] with the values added to the environment, standard input from
 * /dev/null; waits for its end. ERR_NO when it ended badly, ERR_NOINPUT when it
 * cannot be started.
 */
int hook_run(struct ctx *, const char *const *argv, size_t n, const struct hook_value *, size_t n_values);

#endif
