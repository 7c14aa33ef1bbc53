/* moved - the body of promote and rollback: move a channel's pointer and tell. */
#ifndef LLMR_CMD_MOVED_H
#define LLMR_CMD_MOVED_H

#include "cmd.h"
#include "registry/publish.h"

typedef int moved_fn(struct registry *, const char *name, const char *version, struct publish *, struct err *);
int moved_run(struct ctx *, const char *name, const char *version, moved_fn *);

#endif
