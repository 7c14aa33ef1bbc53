/*
 * pool - a fixed set of threads for loops whose parts are independent.
 *
 * Which thread runs which part never shows in the outcome: parts write only
 * their own output, and the caller merges in part order.
 * Depends on: base/err.  Threads: one caller at a time per pool.
 */
#ifndef LLMR_BASE_POOL_H
#define LLMR_BASE_POOL_H

#include <stddef.h>

#include "base/err.h"

struct pool;

/* n threads in all, the caller's included (n = 1 starts none). NULL and err on failure. */
struct pool *pool_new(unsigned n, struct err *e);
void pool_free(struct pool *);			/* NULL is fine */
unsigned pool_threads(const struct pool *);	/* NULL gives 1 */
/*
 * Run fn(arg, part, worker) for part = 0..parts-1; worker in 0..threads-1 names
 * the running thread (for scratch memory). Returns when all are done.
 * pool NULL runs in the caller. fn reports errors through arg.
 */
void pool_run(struct pool *, size_t parts, void (*fn)(void *arg, size_t part, unsigned worker), void *arg);
/* Cores that the cgroup (v1, v2) and the affinity mask grant; at least 1. */
unsigned pool_cores(void);

#endif
