/*
 * jobs - one background thread that does what must not hold up an HTTP thread.
 *
 * Reloads, registrations and the like, in the order they were asked for.
 * Depends on: base.  Threads: safe.
 */
#ifndef LLMR_SERVE_JOBS_H
#define LLMR_SERVE_JOBS_H

#include "base/err.h"

struct jobs;
struct jobs *jobs_start(struct err *e);
/* Run fn(ctx) on the thread, after what was asked before. -1 when memory lacks (fn is not run then). */
int jobs_ask(struct jobs *, void (*fn)(void *ctx), void *ctx, struct err *e);
/* Finish what was asked, then end. NULL is fine. */
void jobs_stop(struct jobs *);

#endif
